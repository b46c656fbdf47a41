"""Which sender does a contact hear from? Always the same one; assignment keeps the senders' loads even."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Sequence

from django.db.models import Count, Q, QuerySet
from django.utils import timezone

from paceline.sms import pacing
from paceline.sms.errors import InvalidNumber, PacelineError, SenderProblem
from paceline.sms.numbers import normalize
from paceline.sms.status import Status

from . import accounts, engine, lanes, signals
from .models import Account, Contact, Sender, TextMessage


def active() -> list[Sender]:
    """The senders that contacts may be assigned to, by id."""
    return list(Sender.objects.filter(removed_at=None).select_related("account").order_by("pk"))


def everyone() -> QuerySet[Sender]:
    """Every sender, the removed ones too, by id."""
    return Sender.objects.select_related("account").order_by("pk")


class UnknownSender(PacelineError):
    """Not one of ours; the sentence says how to add it."""


def spelled(raw: str, region: str | None) -> str:
    """A sender as we store it: E.164 for a number, a short code or an alphanumeric id (11 characters) as it is.

    Raises `InvalidNumber`.
    """
    text = raw.strip()
    if text.isascii() and (any(c.isalpha() for c in text) or (text.isdigit() and len(text) <= 6)):
        if not text.replace(" ", "").isalnum() or len(text) > 11:
            raise InvalidNumber("not_valid", "An alphanumeric sender has up to 11 letters, digits and spaces")
        if text.isdigit() and len(text) < 3:
            raise InvalidNumber("too_short", "A short code has three digits or more")
        return text
    return normalize(text, region)


def get(raw: str, region: str) -> Sender:
    """The open sender of that number or id, in any spelling. Raises `UnknownSender` or `InvalidNumber`."""
    number = spelled(raw, region)
    found = everyone().filter(number=number, removed_at=None).first()
    if found is None:
        known = ", ".join(sender.number for sender in active()[:20]) or "none yet"
        raise UnknownSender(f"{number} is not one of our senders ({known}); add it with: paceline sender add {number}")
    return found


def lane(account: Account, number: str) -> Sender:
    """The sender of that number or id on `account`, made when it is new, with the rate that the settings name.

    Raises `SenderProblem` for a removed one: nothing leaves it until it is added again.
    """
    found = Sender.objects.filter(account=account, number=number).first()
    if found is None:
        entry = accounts.configured().get(account.alias, {})
        mps = None if entry.get("SENDER_MPS") is None else pacing.per_second(entry["SENDER_MPS"])
        defaults = {"mps": mps, "unit": accounts.limits(entry)["unit"]}
        found, _ = Sender.objects.get_or_create(account=account, number=number, defaults=defaults)
    if found.removed_at is not None:
        raise SenderProblem("This sender has been removed; nothing leaves it", code="sender_removed")
    return found


def add(
    account: Account,
    number: str,
    *,
    mps: float | None = 1.0,
    unit: str | None = None,
    daily_cap: int | None = None,
) -> tuple[Sender, bool]:
    """Adds a lane, or opens a removed or blocked one again with these limits. Answers (sender, was it new).

    `unit` is what `mps` counts, messages or segments; None leaves it as it is. Contacts without a sender get one at
    their next campaign.
    """
    defaults = {"mps": mps, "daily_cap": daily_cap, "unit": unit or Sender.Unit.MESSAGE}
    sender, created = Sender.objects.get_or_create(account=account, number=number, defaults=defaults)
    if not created:
        if (sender.mps, sender.unit) != (mps, unit or sender.unit):
            lanes.set_rate(sender, mps, engine.now(), unit=unit)
        if sender.daily_cap != daily_cap:
            lanes.set_daily_cap(sender, daily_cap, engine.now())
        Sender.objects.filter(pk=sender.pk).update(removed_at=None, blocked="", uncertain_streak=0)
        sender.refresh_from_db()
    _rehome(Q(sender=None))
    return sender, created


def remove(sender: Sender) -> int:
    """Nothing leaves this sender any more; its contacts and waiting messages go to the others, evenly.

    Answers how many contacts changed their sender. What is on the wire already is not touched. With no sender
    left they wait, without one, until a sender is added.
    """
    Sender.objects.filter(pk=sender.pk).update(removed_at=timezone.now())
    moved = 0
    while ids := list(
        Contact.objects.filter(sender=sender).order_by("pk").values_list("pk", flat=True)[: engine.CHUNK]
    ):
        with engine.write():
            Contact.objects.filter(pk__in=ids).update(sender=None)
            assign(ids)
            moved += len(ids)
    _rehome(Q(sender=sender))
    return moved


def rehome() -> None:
    """What came back to the queue of a sender that had been removed meanwhile follows its contact."""
    if removed := list(Sender.objects.exclude(removed_at=None).values_list("pk", flat=True)):
        _rehome(Q(sender__in=removed))


def loads() -> dict[int, int]:
    """How many contacts each lane has that may send. With a million contacts it takes a while: not in a transaction."""
    lanes_ = active()
    found = Contact.objects.filter(sender__in=lanes_).order_by().values_list("sender").annotate(count=Count("pk"))
    return dict.fromkeys([lane.pk for lane in lanes_], 0) | dict(found)


def assign(contact_ids: Sequence[int], known: dict[int, int] | None = None) -> None:
    """Gives each of these contacts that has none a sender, the least loaded first: loads differ by one at most.

    `known` are `loads()` of a moment ago; what is given here is added to them. Runs inside the caller's transaction.
    """
    lanes_ = active()
    if not lanes_:
        return
    homeless = list(Contact.objects.filter(pk__in=contact_ids, sender=None).order_by("pk").values_list("pk", flat=True))
    if not homeless:
        return
    if known is None or known.keys() != {lane.pk for lane in lanes_}:
        known = loads()
    heap = [(load, pk) for pk, load in known.items()]
    heapq.heapify(heap)
    chosen: dict[int, list[int]] = defaultdict(list)
    for contact_id in homeless:
        load, sender_id = heap[0]
        chosen[sender_id].append(contact_id)
        heapq.heapreplace(heap, (load + 1, sender_id))
    for sender_id, ids in chosen.items():
        Contact.objects.filter(pk__in=ids, sender=None).update(sender=sender_id)
        known[sender_id] += len(ids)


def _rehome(whose: Q) -> None:
    """Waiting messages go to their contact's sender, and a contact without one gets one first."""
    waiting = TextMessage.objects.filter(whose, status__in=[Status.HELD, Status.QUEUED]).order_by("pk")
    after = 0
    while pairs := list(waiting.filter(pk__gt=after).values_list("pk", "contact")[: engine.CHUNK]):
        with engine.write(), signals.watched([message for message, _ in pairs]):
            assign([contact for _, contact in pairs if contact])
            _follow_contacts([message for message, _ in pairs])
        after = pairs[-1][0]


def _follow_contacts(message_ids: Sequence[int]) -> None:
    """Gives waiting messages their contacts' sender of now, or none."""
    moves: dict[int | None, list[int]] = defaultdict(list)
    pairs = TextMessage.objects.filter(pk__in=message_ids).values_list("pk", "contact__sender")
    for message_id, sender_id in pairs:
        moves[sender_id].append(message_id)
    numbers = dict(Sender.objects.filter(pk__in=[s for s in moves if s]).values_list("pk", "number"))
    for sender_id, ids in moves.items():
        TextMessage.objects.filter(pk__in=ids, status__in=[Status.HELD, Status.QUEUED]).update(
            sender=sender_id, frm=numbers.get(sender_id, "")
        )
