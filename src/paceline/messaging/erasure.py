"""How is a person forgotten? Their number and words go from every table; the hash stays, and keeps forbidding texts.

What is left says that something was sent, when, and what became of it, and no longer to whom or what. A message's
number becomes a mark that no text can go to. Files are not looked at: sheets, backups, a provider's own records.

Messages are found by indexes. Raw webhooks have none for what stands in them: all are read, some hundreds at a time,
each time outside of any transaction, so that nobody waits.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.db.models import Max, Min, Q, QuerySet

from paceline.sms.messages import DeliveryReport, InboundText, WebhookRequest
from paceline.sms.status import Status

from . import accounts, contacts, conversations, engine, events, hashes, parting, signals, suppressions
from .models import AutomaticText, Campaign, Contact, Errand, Event, Intake, Reply, TextMessage

MARK = "erased-"
NOT_LEFT = (Status.HELD, Status.QUEUED, Status.LEASED)
ROUNDS_MOST = 100
CHUNK = 200  # messages that one write transaction rewrites, with their indexes
LOOKED_AT = 1000  # webhooks that one statement looks into
WHY = "the person was erased"

Progress = Callable[[int, int], object]
"""Is told how many of how many webhooks have been looked at."""


@dataclass(frozen=True, slots=True)
class Erased:
    """What an erasure has found: messages, webhooks, and whether there was a contact.

    `pending` webhooks name the person and stay for now: they hold what others said or were sent, it is not applied
    yet, and it cannot be parted from theirs. Erase once more when it is, within 72 hours.
    """

    messages: int
    webhooks: int
    contact: bool
    pending: int = 0


def erase(number: str, evidence: str = "", *, progress: Progress | None = None) -> Erased:
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
    webhooks, pending = _webhooks(number, progress or (lambda done, total: None))
    conversations.forget(number, mark(number))
    contact = contacts.forget(number)
    _admin_log(number)
    suppressions.forget(number)
    return Erased(messages, webhooks, contact, pending)


def mark(number: str) -> str:
    """What stands in a message for an erased number: the same for the same person, 21 characters."""
    return MARK + hashes.of(number)[:14]


def _intakes(number: str) -> None:
    """Numbers that campaigns were given and have not read yet."""
    for pk in Intake.objects.order_by("pk").values_list("pk", flat=True):
        if number not in Intake.objects.filter(pk=pk).values_list("numbers", flat=True).first() or ():
            continue
        with engine.write():
            intake = engine.locked(Intake.objects.filter(pk=pk)).first()
            if intake is not None and number in intake.numbers:
                intake.numbers = [other for other in intake.numbers if other != number]
                intake.save(update_fields=["numbers"]) if intake.numbers else intake.delete()


# --- texts ----------------------------------------------------------------------------------------------------


def _messages(number: str) -> int:
    """Texts to them and from them, and what has carried their words on to others."""
    count = 0
    for part in engine.chunks(sorted({*_sent(number), *_received(number)}), CHUNK):
        with engine.write(), signals.watched(part):
            mine = TextMessage.objects.filter(pk__in=part)
            references = list(engine.locked(mine.order_by("pk")).values_list("reference", flat=True))
            count += _emptied(mine)
            mine.update(contact=None)
            mine.filter(to=number).update(to=mark(number))
            mine.filter(frm=number).update(frm=mark(number))
            Errand.objects.filter(message__in=part, due_at__isnull=False).update(due_at=None, outcome=WHY)
        _carried_on(references)
    with engine.write():
        AutomaticText.objects.filter(number=number).update(number=mark(number))
    return count


def _sent(number: str) -> list[int]:
    """By the index that has each recipient once for each campaign, direct texts among them."""
    found = list(TextMessage.objects.filter(campaign=None, to=number).values_list("pk", flat=True))
    for part in engine.chunks(list(Campaign.objects.order_by("pk").values_list("pk", flat=True))):
        found += TextMessage.objects.filter(campaign__in=part, to=number).values_list("pk", flat=True)
    return found


def _received(number: str) -> list[int]:
    """By their conversations: what comes in is stored with one, in one commit; and by the contact."""
    replies = Reply.objects.filter(conversation__number=number).values_list("message", flat=True)
    known = list(Contact.objects.filter(number=number).values_list("pk", flat=True))
    theirs = TextMessage.objects.filter(Q(to=number) | Q(frm=number), contact__in=known)
    return [*replies, *theirs.values_list("pk", flat=True)]


def _carried_on(references: Collection[str]) -> None:
    """A rule may have forwarded what they wrote: their number and words, in a text to another."""
    forwards = AutomaticText.objects.filter(cause__in=references, kind=AutomaticText.Kind.FORWARD)
    if carried := list(forwards.exclude(message=None).values_list("message", flat=True)):
        with engine.write(), signals.watched(carried):
            _emptied(TextMessage.objects.filter(pk__in=carried))


def _emptied(messages: QuerySet[TextMessage]) -> int:
    """Without their words; what has not left does not leave. Answers how many."""
    messages.filter(status__in=NOT_LEFT).update(status=Status.SUPPRESSED, attempt="", lease_until=None, reason=WHY)
    return messages.update(text="", fields={})


# --- raw webhooks ---------------------------------------------------------------------------------------------


def _webhooks(number: str, progress: Progress) -> tuple[int, int]:
    """Those that have the number, with a plus or without, in the body or in the address: (emptied, left for now)."""
    digits = number[1:]
    names = Q(engine.holds(Event, "body", digits.encode())) | Q(query__contains=digits)
    ends = Event.objects.aggregate(first=Min("pk"), last=Max("pk"))
    emptied, left, last = 0, 0, ends["last"] or 0
    for start in range(ends["first"] or 1, last + 1, LOOKED_AT):
        end = start + LOOKED_AT - 1
        theirs = list(Event.objects.filter(names, pk__range=(start, end)).values_list("pk", flat=True))
        for part in engine.chunks(theirs, CHUNK):
            done = _without(part, number)
            emptied, left = emptied + done, left + len(part) - done
        progress(min(end, last), last)
    return emptied, left


def _without(ids: Collection[int], number: str) -> int:
    """Takes the person out of these webhooks; answers of how many."""
    done = 0
    with engine.write():
        for event in engine.locked(Event.objects.filter(pk__in=ids).order_by("pk")):
            body = b"" if event.next_try_at is None else _others(event, number)
            if body is None:
                continue
            kept = {"body": body} if body else {"body": b"", "query": "", "next_try_at": None, "outcome": "erased"}
            Event.objects.filter(pk=event.pk).update(**kept)
            done += 1
    return done


def _others(event: Event, number: str) -> bytes | None:
    """What is left of a webhook that is not applied yet: what it says of others; None when that cannot be parted."""
    raw, digits = bytes(event.body), number[1:]
    said = _said(event, raw)
    if said is None:
        return None
    strangers = [one for one in said if isinstance(one, InboundText) and one.number != number]
    if not strangers and len(said) <= 1:
        return b""
    body = None if digits in event.query else parting.parted(raw, digits)
    left = None if body is None else _said(event, body)
    if body is None or left is None or not all(one in left for one in strangers):
        return None
    return (body if left else b"") if all(one in said for one in left) else None


def _said(event: Event, body: bytes) -> Sequence[DeliveryReport | InboundText] | None:
    """What a webhook says with this body; nothing when it cannot be read, None when its provider is not here."""
    try:
        return accounts.provider(event.account).events(WebhookRequest("POST", "", {}, event.query, body))
    except ImproperlyConfigured:
        return None
    except Exception:  # as when it is applied: it never will be
        return []


# --- the rest --------------------------------------------------------------------------------------------------


def _admin_log(number: str) -> None:
    """Django's admin writes down what was added and deleted there, by the name that the entry had."""
    if apps.is_installed("django.contrib.admin"):
        log = apps.get_model("admin", "LogEntry")
        theirs = list(log.objects.filter(object_repr=number).values_list("pk", flat=True))
        for part in engine.chunks(theirs):
            log.objects.filter(pk__in=part).update(object_repr="(erased)")
