"""A Django project in one file: texts now and later, and is told what became of them and what people answer.

export SMS_URL='vonage://KEY:SECRET@?signature_secret=…' DATABASE_URL=sqlite:///texts.db SECRET_KEY=…
python django_project.py migrate    # then runserver, and beside it dispatch, which sends what is queued
"""

from datetime import UTC, datetime, timedelta
from os import environ

import django
from django.conf import settings
from django.core import management
from django.dispatch import receiver
from django.http import JsonResponse
from django.urls import include, path

from paceline import messaging
from paceline.messaging import databases

OURS = {"INSTALLED_APPS": ["paceline.messaging", "paceline.dispatcher"], "ROOT_URLCONF": __name__, "DEBUG": True}
OURS |= {"SECRET_KEY": environ["SECRET_KEY"], "DATABASES": {"default": databases.from_url(environ["DATABASE_URL"])}}
settings.configure(**OURS, PACELINE={"PROVIDERS": {"default": environ["SMS_URL"]}, "REGION": "US"})
django.setup()


def book(request):  # to be put behind your own login
    sent = messaging.send_text("We have your booking", "+12025550100", request.POST["phone"])
    if sent.error is None:
        messaging.queue_text("See you soon", sent.frm, sent.to, at=datetime.now(UTC) + timedelta(seconds=2))
    return JsonResponse({"status": sent.status, "code": sent.code}, status=502 if sent.error else 200)


@receiver([messaging.delivery_updated, messaging.message_received])
def happened(event, **kwargs):
    print(event.message.direction, event.message.to, event.status, flush=True)


urlpatterns = [path("book", book), path("webhooks/", include("paceline.webhooks.urls"))]
management.execute_from_command_line()
