"""What does a provider get as an answer? 200 when its webhook is verified and committed, 4xx when it is not genuine."""

from __future__ import annotations

import logging
import time

from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from paceline.messaging import accounts, events
from paceline.sms.errors import WebhookRejected
from paceline.sms.messages import WebhookRequest

log = logging.getLogger("paceline.webhooks")

BODY_MOST = 64 * 1024


@csrf_exempt
@transaction.non_atomic_requests
@require_http_methods(["GET", "POST"])
def receive(request: HttpRequest, alias: str, kind: str, token: str = "") -> HttpResponse:
    """Takes a status or an inbound webhook of one account; both may come to either address.

    Companies that sign nothing get an address that ends in a secret token; their providers look at it.
    """
    length = request.META.get("CONTENT_LENGTH") or "0"
    if not length.isdecimal() or int(length) > BODY_MOST or len(request.body) > BODY_MOST:
        return HttpResponse("A webhook is at most 64 KB", status=413)
    webhook = WebhookRequest(
        method=request.method or "",
        path=request.path,
        headers={name.lower(): value for name, value in request.headers.items()},
        query=request.META.get("QUERY_STRING", ""),
        body=request.body,
        origin=f"{request.scheme}://{request.get_host()}",
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
    events.apply_at_once()
    return HttpResponse(provider.acknowledgement, content_type="text/plain")
