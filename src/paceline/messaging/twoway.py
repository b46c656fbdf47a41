"""Are the settings right that say what is answered by itself? Each fault, and a value that would be right.

Asked by the system check and by `paceline doctor`. What cannot be told from the settings alone (a rule, a campaign's
line, the mail server) only the doctor looks at.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

from paceline.sms import officehours, segments
from paceline.sms.keywords import Keyword

from . import automatic, errands, lanes

ANSWER_KEYWORDS = ("auto", "yes", "no")
HOURS = "Mon-Fri 9-17 America/New_York"
CLOSED = "We are back at 9."


@dataclass(frozen=True, slots=True)
class Fault:
    """A key of PACELINE that is wrong: `wrong` goes on after its name, `right` is a value that would be right."""

    key: str
    wrong: str
    right: str


def faults() -> Iterator[Fault]:
    """What is wrong. A secret is not repeated."""
    given = getattr(settings, "PACELINE", None)
    if not isinstance(given, dict):
        return
    yield from _office_hours(given)
    yield from _confirmations(given)
    yield from _limit(given)
    yield from _webhooks(given)


def _office_hours(given: dict[str, Any]) -> Iterator[Fault]:
    hours, text = given.get("OFFICE_HOURS"), given.get("OFFICE_CLOSED_TEXT")
    if hours:
        try:
            officehours.parse(str(hours))
        except ValueError as error:
            yield Fault("OFFICE_HOURS", f"cannot be read, so nobody is told that the office is closed: {error}", HOURS)
    if hours and not text:
        yield Fault("OFFICE_CLOSED_TEXT", "is not set, so OFFICE_HOURS answers nobody", CLOSED)
    if text and not hours:
        yield Fault("OFFICE_HOURS", "is not set, so OFFICE_CLOSED_TEXT is never sent", HOURS)
    if text and (why := _too_long(str(text))):
        yield Fault("OFFICE_CLOSED_TEXT", why, CLOSED)


def _confirmations(given: dict[str, Any]) -> Iterator[Fault]:
    wanted = given.get("ANSWER_KEYWORDS")
    if wanted not in (None, "", *ANSWER_KEYWORDS):
        said = "is none of auto, yes and no, so it counts as auto"
        yield Fault("ANSWER_KEYWORDS", said, "no" if wanted is False else "yes" if wanted is True else "auto")
    if given.get("HELP_CONTACT") and not (given.get("PROGRAM_NAME") or given.get("HELP_TEXT")):
        yield Fault("PROGRAM_NAME", "is not set, so HELP_CONTACT is told to nobody", "Opening Night")
    for keyword in Keyword:
        if why := _too_long(automatic.confirmation(keyword)):
            own = f"{keyword.value.upper()}_TEXT"
            yield Fault(own if given.get(own) else "PROGRAM_NAME", why, "Opening Night")


def _limit(given: dict[str, Any]) -> Iterator[Fault]:
    most = given.get("AUTOMATIC_PER_MINUTE")
    if most is not None and (isinstance(most, bool) or not isinstance(most, int) or most < 1):
        said = "is no count of texts from 1 on; to answer nothing, leave the texts and the rules out"
        yield Fault("AUTOMATIC_PER_MINUTE", said, str(automatic.EVERYBODY_MOST_A_MINUTE))


def _webhooks(given: dict[str, Any]) -> Iterator[Fault]:
    if given.get("WEBHOOK_SECRET"):
        try:
            errands.secret()
        except errands.NoSecret:
            said = f"is no {errands.SECRET_PREFIX} with {errands.SECRET_LEAST} random bytes or more in base64"
            yield Fault("WEBHOOK_SECRET", said, "what this prints: echo whsec_$(openssl rand -base64 32)")
    if (url := given.get("WEBHOOK_URL")) and not _is_address(str(url)):
        said = "is no address that a provider could call with reports and replies"
        yield Fault("WEBHOOK_URL", said, "https://sms.example.org/webhooks")


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        return False


def _too_long(text: str) -> str:
    if segments.count(text) <= lanes.SEGMENTS_MOST:
        return ""
    return f"makes an answer of over {lanes.SEGMENTS_MOST} segments, which is never sent; shorten it"
