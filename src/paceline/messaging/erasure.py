"""How is a person forgotten? Their number and words go from every table; the hash stays, and keeps forbidding texts.

What is left says that something was sent, when, and what became of it, and no longer to whom or what. A message's
number becomes a mark that no text can go to. Files are not looked at: sheets, backups, a provider's own records.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.apps import apps
from django.db.models import Q

from paceline.sms.status import Status

from . import conversations, engine, events, hashes, signals, suppressions
from .models import Contact, Event, Intake, TextMessage

MARK = "erased-"
NOT_LEFT = (Status.HELD, Status.QUEUED, Status.LEASED)
ROUNDS_MOST = 100
CHUNK = 200  # messages that one write transaction rewrites, with their indexes


@dataclass(frozen=True, slots=True)
class Erased:
    """What an erasure has found: messages, webhooks, and whether there was a contact."""

    messages: int
    webhooks: int
    contact: bool


def erase(number: str, evidence: str = "") -> Erased:
    """Forgets the person of an E.164 `number`, in short transactions; from its first moment on they are not texted.

    What was to be sent to them is `suppressed`; a campaign that is told of them again, or a sheet that is imported
    again, texts nobody. May be killed and repeated. Raises `WrongKey`, and `ValueError` for what is no number.
    """
    if not suppressions.is_number(number):
        raise ValueError("not an E.164 number")
    suppressions.require_key()
    suppressions.add(number, suppressions.Reason.ERASED, evidence)
    for _ in range(ROUNDS_MOST):
        if not events.apply_due(engine.now()):  # what a webhook says of others is not lost with it
            break
    _intakes(number)
    messages = _messages(number)
    webhooks = _webhooks(number)
    conversations.forget(number, mark(number))
    contact = _contact(number)
    _admin_log(number)
    suppressions.forget(number)
    return Erased(messages, webhooks, contact)


def mark(number: str) -> str:
    """What stands in a message for an erased number: the same for the same person, 21 characters."""
    return MARK + hashes.of(number)[:14]


def _intakes(number: str) -> None:
    """Numbers that campaigns were given and have not read yet."""
    for pk in Intake.objects.order_by("pk").values_list("pk", flat=True):
        with engine.write():
            intake = engine.locked(Intake.objects.filter(pk=pk)).first()
            if intake is not None and number in intake.numbers:
                intake.numbers = [other for other in intake.numbers if other != number]
                intake.save(update_fields=["numbers"]) if intake.numbers else intake.delete()


def _messages(number: str) -> int:
    """Texts to them and from them. Neither column has an index: a look at every message, outside a transaction."""
    theirs = TextMessage.objects.filter(Q(to=number) | Q(frm=number))
    count = 0
    for part in engine.chunks(list(theirs.order_by("pk").values_list("pk", flat=True)), CHUNK):
        with engine.write(), signals.watched(part):
            mine = TextMessage.objects.filter(pk__in=part)
            list(engine.locked(mine.order_by("pk")).values_list("pk", flat=True))
            mine.filter(status__in=NOT_LEFT).update(
                status=Status.SUPPRESSED, attempt="", lease_until=None, reason="the person was erased"
            )
            count += mine.update(text="", fields={}, contact=None)
            mine.filter(to=number).update(to=mark(number))
            mine.filter(frm=number).update(frm=mark(number))
    return count


def _webhooks(number: str) -> int:
    """Raw webhooks that have the number, with a plus or without, in the body or in the address."""
    digits = number[1:]
    found = Event.objects.filter(Q(engine.holds(Event, "body", digits.encode())) | Q(query__contains=digits))
    count = 0
    for part in engine.chunks(list(found.order_by("pk").values_list("pk", flat=True))):
        with engine.write():
            count += Event.objects.filter(pk__in=part).update(body=b"", query="", next_try_at=None, outcome="erased")
    return count


def _contact(number: str) -> bool:
    with engine.write():
        _, deleted = Contact.objects.filter(number=number).delete()
    return bool(deleted)


def _admin_log(number: str) -> None:
    """Django's admin writes down what was added and deleted there, by the name that the entry had."""
    if apps.is_installed("django.contrib.admin"):
        log = apps.get_model("admin", "LogEntry")
        log.objects.filter(object_repr=number).update(object_repr="(erased)")
