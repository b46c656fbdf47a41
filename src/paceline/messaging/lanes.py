"""How fast may each sender and account go right now, and what slows or stops it?

A limit is a timeline. A claim takes slots on it; a provider's 429 slows it, an outage holds it back, three
uncertain answers in a row narrow it to one probe at a time, a problem that needs a person blocks it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime

from django.db.models import F, Value
from django.db.models.functions import Greatest

from paceline.sms import pacing
from paceline.sms.errors import AccountProblem, SenderProblem, Throttled
from paceline.sms.status import Status

from . import engine
from .models import Account, Limit, Sender, TextMessage

log = logging.getLogger("paceline.lanes")

LEAD_MOST_SECONDS = 0.25
BACKOFF_MOST_SECONDS = 3600.0
THROTTLE_SECONDS = 1.0  # the pause after a 429 that names no time
SLOWDOWN_STEP = 0.7  # what a 429 leaves of a lane's rate
SLOWDOWN_LEAST = 0.05
RECOVERY_STEP = 1.25
RECOVERY_SECONDS = 10.0
PROBE_AFTER_UNCERTAIN = 3
SEGMENTS_MOST = 31  # what one message may cost at the most: 1,000 characters, all of them emoji


@dataclass(slots=True)
class Timeline:
    """One limit while a claim walks over it: free from `free_at` on, one unit every `step` seconds."""

    limit: Limit
    free_at: float
    step: float
    most: int  # how many messages this claim may take here
    taken: int = 0

    def take(self, slot_at: float, segments: int) -> None:
        """Uses the slot: the limit is free again after what the message costs."""
        units = segments if self.limit.unit == Limit.Unit.SEGMENT else 1
        self.free_at = slot_at + self.step * units
        self.taken += 1


def rate(limit: Limit, now: float) -> float | None:
    """The units per second that hold now; for a sender less what its provider's 429s have taught."""
    if isinstance(limit, Sender) and limit.mps:
        return limit.mps * learned(limit, now)
    return limit.mps


def learned(sender: Sender, now: float) -> float:
    """The share of its rate that a sender may use: lowered by each 429, recovered by steps since the last."""
    if sender.slowdown >= 1:
        return 1.0
    steps = max(0, int((now - sender.slowed_at) / RECOVERY_SECONDS))
    return min(1.0, sender.slowdown * RECOVERY_STEP**steps)


def timeline(limit: Limit, now: float, horizon: float, most: int) -> Timeline:
    """A limit's timeline as stored, made believable: a moment that no claim could have set is a stepped clock."""
    step = pacing.interval(rate(limit, now))
    longest = step * (SEGMENTS_MOST if limit.unit == Limit.Unit.SEGMENT else 1)
    free_at = pacing.clamp(limit.next_free_at, now, longest, pacing.LOOKAHEAD_SECONDS + LEAD_MOST_SECONDS)
    if free_at != limit.next_free_at:
        if limit.next_free_at is not None:
            log.warning("The clock was stepped back: %s %s starts as just used", type(limit).__name__, limit.pk)
        type(limit)._default_manager.filter(pk=limit.pk).update(next_free_at=free_at)
    if limit.backoff_until <= now + BACKOFF_MOST_SECONDS:
        free_at = max(free_at, limit.backoff_until)
    if step:
        most = min(most, int((horizon - max(free_at, now)) / step) + 1) if free_at <= horizon else 0
    elif free_at > horizon:
        most = 0
    return Timeline(limit, free_at, step, most)


def open_timelines(account_id: int, now: float, horizon: float, most: int) -> tuple[Timeline | None, list[Timeline]]:
    """The account's timeline and those of its senders that may take a message before `horizon`.

    Locks the account, then the senders by id. A blocked account has none.
    """
    account = engine.locked(Account.objects.filter(pk=account_id)).get()
    parent = timeline(account, now, horizon, most)
    if account.blocked or not parent.most:
        return None, []
    senders = engine.locked(Sender.objects.filter(account=account, removed_at=None, blocked="").order_by("pk"))
    lanes = [timeline(sender, now, horizon, min(parent.most, _allowance(sender, now))) for sender in senders]
    return parent, [lane for lane in lanes if lane.most > 0]


def open_lane(message: TextMessage, now: float) -> tuple[Timeline, Timeline] | None:
    """The timelines of one message's account and sender, both locked; None while its lane waits for a probe's answer.

    Raises `AccountProblem`, `SenderProblem` or `Throttled` for what else than its rate keeps the lane from sending.
    """
    account = engine.locked(Account.objects.filter(senders=message.sender_id)).get()
    sender = engine.locked(Sender.objects.filter(pk=message.sender_id)).get()
    if account.blocked:
        raise AccountProblem(f"Account {account.alias} is blocked: {account.blocked}"[:200], code="account_blocked")
    if sender.removed_at is not None:
        raise SenderProblem("This sender has been removed; nothing leaves it", code="sender_removed")
    if sender.blocked:
        raise SenderProblem(f"This sender is blocked: {sender.blocked}"[:200], code="sender_blocked")
    if not has_room(sender, now):
        raise Throttled(
            f"This sender has sent its {sender.daily_cap} of today; it goes on at midnight UTC", code="daily_cap"
        )
    if _waits_for_probe(sender, message.pk):
        return None
    return timeline(account, now, now, 1), timeline(sender, now, now, 1)


def _waits_for_probe(sender: Sender, but: int | None = None) -> bool:
    """After uncertain answers in a row one message at a time is on its way, `but` not counted."""
    if sender.uncertain_streak < PROBE_AFTER_UNCERTAIN:
        return False
    on_its_way = TextMessage.objects.filter(status__in=[Status.LEASED, Status.SUBMITTING], sender=sender)
    return on_its_way.exclude(pk=but).exists()


def _allowance(sender: Sender, now: float) -> int:
    """How many more messages this sender may take for other reasons than its rate."""
    most = engine.CHUNK
    if sender.daily_cap is not None:
        most = min(most, sender.daily_cap - used_today(sender, now))
    if sender.uncertain_streak >= PROBE_AFTER_UNCERTAIN:
        most = min(most, 0 if _waits_for_probe(sender) else 1)
    return most


def has_room(sender: Sender, now: float) -> bool:
    """False when the sender's cap of the day is used up."""
    return sender.daily_cap is None or used_today(sender, now) < sender.daily_cap


def used_today(sender: Sender, now: float) -> int:
    """What the sender has submitted on the day (UTC) of `now`."""
    return sender.capped_count if sender.capped_on == day(now) else 0


def day(now: float) -> date:
    return datetime.fromtimestamp(now, UTC).date()


def save(timelines: Iterable[Timeline]) -> None:
    """Writes back what a claim has used."""
    for line in timelines:
        if not line.taken:
            continue
        changed = {"next_free_at": line.free_at}
        if isinstance(line.limit, Sender):
            changed["turn"] = line.limit.turn
        type(line.limit)._default_manager.filter(pk=line.limit.pk).update(**changed)


def count_submits(submits: dict[int, int], now: float) -> None:
    """Counts what passed the gate towards each sender's daily cap. {sender id: how many}"""
    today = day(now)
    for sender_id, count in sorted(submits.items()):
        same_day = Sender.objects.filter(pk=sender_id, capped_on=today)
        if not same_day.update(capped_count=F("capped_count") + count):
            Sender.objects.filter(pk=sender_id).update(capped_on=today, capped_count=count)


# --- what slows and stops -------------------------------------------------------------------------------------


def throttle(sender_id: int, now: float, retry_after: float | None) -> float:
    """The provider said 429: the lane rests and goes on slower. Answers the moment until which it rests."""
    sender = Sender.objects.get(pk=sender_id)
    rest = min(BACKOFF_MOST_SECONDS, THROTTLE_SECONDS if retry_after is None else max(0.0, retry_after))
    until = max(sender.backoff_until, now + rest)
    slower = {}
    if now - sender.slowed_at > THROTTLE_SECONDS:  # one burst of 429s is one lesson
        slower = {"slowdown": max(SLOWDOWN_LEAST, learned(sender, now) * SLOWDOWN_STEP), "slowed_at": now}
    Sender.objects.filter(pk=sender_id).update(backoff_until=until, **slower)
    return until


def hold_account(sender_id: int, until: float) -> None:
    """The provider could not be reached: the whole account waits until the given moment."""
    Account.objects.filter(senders=sender_id).update(backoff_until=Greatest(F("backoff_until"), Value(until)))


def heard(sender_id: int, *, uncertain: bool) -> None:
    """Keeps the count of uncertain answers in a row on a lane; a clear one ends it."""
    sender = Sender.objects.filter(pk=sender_id)
    if uncertain:
        sender.update(uncertain_streak=F("uncertain_streak") + 1)
    else:
        sender.exclude(uncertain_streak=0).update(uncertain_streak=0)


def block(limit: Limit, why: str) -> None:
    """Nothing leaves this sender or account until a person acts."""
    type(limit)._default_manager.filter(pk=limit.pk).update(blocked=why)
    log.error("%s %s is blocked: %s", type(limit).__name__, limit.pk, why)


def unblock(account: Account) -> None:
    """A person has acted: the account and its senders may send again."""
    account.senders.update(blocked="", uncertain_streak=0)
    Account.objects.filter(pk=account.pk).update(blocked="", backoff_until=0)


def set_rate(sender: Sender, mps: float | None, now: float) -> None:
    """Changes a sender's pace; the next claim uses it, and the last slot keeps its distance at the new pace."""
    with engine.write():
        sender = engine.locked(Sender.objects.filter(pk=sender.pk)).get()
        before, free_at = pacing.interval(rate(sender, now)), sender.next_free_at
        sender.mps = mps
        if free_at is not None:
            free_at += pacing.interval(rate(sender, now)) - before
        Sender.objects.filter(pk=sender.pk).update(mps=mps, next_free_at=free_at)
