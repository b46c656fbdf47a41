"""What does a provider get as an answer? 200 when its webhook is verified and committed, 4xx when it is not genuine."""

from __future__ import annotations

import logging
import time
from typing import NamedTuple

from django.core.exceptions import ImproperlyConfigured, SuspiciousOperation

from paceline.messaging import accounts, events
from paceline.sms.errors import WebhookRejected
from paceline.sms.messages import WebhookRequest

log = logging.getLogger("paceline.webhooks")

METHODS = ("GET", "POST")
BODY_MOST = 64 * 1024
LENGTH_MOST = len(str(BODY_MOST))  # digits; Python refuses to read a number of some thousands
CONTENT_TYPE = "text/plain"


class Answer(NamedTuple):
    """An HTTP status and body, plain text."""

    status: int
    body: bytes


TOO_LARGE = Answer(413, b"A webhook is at most 64 KB")
UNKNOWN = Answer(404, b"No such account takes webhooks here")
NOT_GENUINE = Answer(401, b"Rejected")
UNREADABLE = Answer(400, b"Bad request")
NOT_KEPT = Answer(500, b"Not taken; send it again")


def is_too_large(length: str | None) -> bool:
    """By the Content-Length that its sender gives, which may be nonsense."""
    digits = (length or "0").lstrip("0")
    return bool(digits) and (not digits.isdecimal() or len(digits) > LENGTH_MOST or int(digits) > BODY_MOST)


def hear(webhook: WebhookRequest, alias: str) -> tuple[events.Arrival | None, Answer]:
    """What there is to keep, and the answer once it is kept; or nothing, and the refusal. Does no I/O."""
    if len(webhook.body) > BODY_MOST:
        return None, TOO_LARGE
    try:
        provider = accounts.provider(alias)
        provider.verify(webhook, time.time())
        says = provider.events(webhook)
    except (ImproperlyConfigured, NotImplementedError):
        return None, UNKNOWN
    except WebhookRejected as error:
        log.warning("A webhook for %s was rejected: %s", alias, error)
        return None, NOT_GENUINE
    return events.Arrival(alias, webhook, says), Answer(200, provider.acknowledgement)


def failed(alias: str, error: Exception) -> Answer:
    """To a webhook that could not be taken. The log has the reason, and nothing of the body."""
    if isinstance(error, SuspiciousOperation):  # a host that is not ours, a request that breaks off
        log.warning("A webhook for %s was refused: %s", alias, type(error).__name__)
        return UNREADABLE
    log.error("A webhook for %s could not be taken; its provider will send it again", alias, exc_info=error)
    return NOT_KEPT
