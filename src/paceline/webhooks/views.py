"""What does a provider get as an answer? 200 when its webhook is verified and committed, 4xx when it is not genuine."""

from __future__ import annotations

import logging
import time

from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from paceline.messaging import accounts, events
from paceline.sms.errors import WebhookRejected
from paceline.sms.messages import WebhookRequest

log = logging.getLogger("paceline.webhooks")

BODY_MOST = 64 * 1024


@csrf_exempt
@require_POST
def receive(request: HttpRequest, alias: str, kind: str = "") -> HttpResponse:
    """Takes a status or an inbound webhook of one account; both may come to either address."""
    length = request.META.get("CONTENT_LENGTH") or "0"
    if not length.isdecimal() or int(length) > BODY_MOST or len(request.body) > BODY_MOST:
        return HttpResponse("A webhook is at most 64 KB", status=413)
    webhook = WebhookRequest(
        method=request.method or "",
        path=request.path,
        headers={name.lower(): value for name, value in request.headers.items()},
        query=request.META.get("QUERY_STRING", ""),
        body=request.body,
    )
    try:
        provider = accounts.provider(alias)
        provider.verify(webhook, time.time())
        found = provider.events(webhook)
    except (ImproperlyConfigured, NotImplementedError):
        return HttpResponse("No such account takes webhooks here", status=404)
    except WebhookRejected as error:
        log.warning("A webhook for %s was rejected: %s", alias, error)
        return HttpResponse("Rejected", status=401)
    events.store(alias, webhook, found)
    return HttpResponse("OK")
