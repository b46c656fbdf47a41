"""How does a webhook come in by its URL, through all of Django? Read, kept, answered."""

from __future__ import annotations

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from paceline.messaging import events
from paceline.sms.messages import WebhookRequest

from . import answers


@csrf_exempt
@transaction.non_atomic_requests
@require_http_methods(answers.METHODS)
def receive(request: HttpRequest, alias: str, kind: str, token: str = "") -> HttpResponse:
    """Takes a status or an inbound webhook of one account; both may come to either address.

    Companies that sign nothing get an address that ends in a secret token; their providers look at it.
    """
    if answers.is_too_large(request.META.get("CONTENT_LENGTH")):
        return response(answers.TOO_LARGE)
    webhook = WebhookRequest(
        method=request.method or "",
        path=request.path,
        headers={name.lower(): value for name, value in request.headers.items()},
        query=request.META.get("QUERY_STRING", ""),
        body=request.body,
        origin=f"{request.scheme}://{request.get_host()}",
    )
    arrival, answer = answers.hear(webhook, alias)
    if arrival is not None:
        events.store(arrival)
        events.apply_at_once()
    return response(answer)


def response(answer: answers.Answer) -> HttpResponse:
    return HttpResponse(answer.body, status=answer.status, content_type=answers.CONTENT_TYPE)
