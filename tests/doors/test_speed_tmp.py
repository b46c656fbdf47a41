import time, pytest
from django.test import Client
from django.db import connection
from django.test.utils import CaptureQueriesContext
from paceline.dashboard import links
from paceline.messaging.models import *
from tests.doors import stage
@pytest.mark.django_db
def test_speed(settings):
    c=Client(); c.force_login(stage.operator(),backend=links.BACKEND)
    run=stage.opening_night()
    for i in range(49):
        k=Campaign.objects.create(name="E",text="Hi",state="finished",fanned_out=True)
        TextMessage.objects.bulk_create([TextMessage(campaign=k,to=f"+1{i:03}{j:07}",frm="x",status="delivered",sender_id=1) for j in range(2000)],batch_size=500)
    for url in ("/",f"/campaigns/{run.pk}/"):
        for _ in range(3):
            with CaptureQueriesContext(connection) as q:
                t=time.perf_counter(); r=c.get(url,headers={"HX-Request":"true"}); d=time.perf_counter()-t
        print(url,len(q),"queries",round(d*1000),"ms",len(r.content)//1024,"KB")
