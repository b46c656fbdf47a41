"""What do people write for reports? A Django view: PyJWT checks the token, the ORM finds the message and saves it."""

from __future__ import annotations

import hashlib
import json
import os

from django.conf import settings

from paceline.project import settings as ours

if not settings.configured:
    settings.configure(
        **{name: getattr(ours, name) for name in dir(ours) if name.isupper()} | {"ROOT_URLCONF": __name__}
    )

import jwt
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

application = get_wsgi_application()

from paceline.messaging.models import Event, TextMessage  # noqa: E402


@csrf_exempt
def hook(request: HttpRequest) -> HttpResponse:
    token = request.headers["Authorization"].removeprefix("Bearer ")
    secret = os.environ["VONAGE_SIGNATURE_SECRET"]
    claims = jwt.decode(token, secret, algorithms=["HS256"], options={"verify_iat": False})
    digest = hashlib.sha256(request.body).hexdigest()
    if claims["payload_hash"] != digest:
        return HttpResponse(status=401)
    report = json.loads(request.body)
    Event.objects.create(account="default", dedupe_key=digest, body=request.body, next_try_at=None)
    message = TextMessage.objects.get(reference=report["client_ref"])
    message.status, message.provider_id = report["status"], report["message_uuid"]
    message.reported_at = timezone.now()
    message.save()
    return HttpResponse()


urlpatterns = [path("webhooks/default/status", hook)]
