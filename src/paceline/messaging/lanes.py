"""How fast may each sender and account go right now, and what slows or stops it?

A limit is a timeline. A claim takes slots on it; a provider's 429 slows it, an outage holds it back, three
uncertain answers in a row narrow it to one probe at a time, a problem that needs a person blocks it.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from django.db.models import F, Value
from django.db.models.functions import Greatest

from paceline.sms import pacing
from paceline.sms.errors import AccountProblem, SenderProblem, Throttled
from paceline.sms.status import Status

from . import breaker, caps, engine
from .caps import day
from .models import Account, Campaign, Limit, Sender, TextMessage

log = logging.getLogger("paceline.lanes")

SENDERS, CAMPAIGNS = Sender._meta.db_table, Campaign._meta.db_table

LEAD_MOST_SECONDS = 0.25
BACKOFF_MOST_SECONDS = 3600.0
THROTTLE_SECONDS = 1.0  # the pause after a 429 that names no time
SLOWDOWN_STEP = 0.7  # what a 429 leaves of a lane's rate
SLOWDOWN_LEAST = 0.05
RECOVERY_STEP = 1.25
RECOVERY_SECONDS = 10.0
PROBE_AFTER_UNCERTAIN = 3
WINDOW_PARTS = 256  # a window in segments is remembered in so many parts, or a few more
SEGMENTS_MOST = 31  # what one message may cost at the most: 1,000 characters, all of them emoji


@dataclass(slots=True)
class Timeline:
    """One limit while a claim walks over it: free from `free_at` on, one unit every `step` seconds.

    In messages that is all: `fits` of them, the whole units of a second, take a `window`. Segments come several at
    once, so a limit in segments also remembers what each slot of the last window has cost, and no sliding window holds
    more than `fits` segments; a message dearer than that has a window for itself, and pays its cost after it.
    """

    limit: Limit
    free_at: float
    step: float
    most: int  # how many messages this claim may take here
    fits: int = 1
    recent: deque[list[float]] = field(default_factory=deque)  # [slot, segments], of a limit in segments
    segments_left: int | None = None  # what the money of the day still pays
    taken: int = 0

    @property
    def window(self) -> float:
        return self.fits * self.step

    def is_free(self, now: float) -> bool:
        """True when it limits nothing: no rate, no rest, no money to count."""
        return not self.step and self.free_at <= now and self.segments_left is None

    def earliest(self, segments: int) -> float:
        """The first moment at which the limit has room for a message of so many segments."""
        free_at = self.free_at
        if self.recent:
            room = max(0, self.fits - segments)
            used = sum(units for _, units in self.recent)
            for slot_at, units in self.recent:
                if used <= room:
                    break
                used -= units
                free_at = max(free_at, slot_at + self.window)
        return free_at

    def take(self, slot_at: float, segments: int) -> None:
        """Uses the slot: the limit is free again after what the message costs."""
        self.taken += 1
        if self.segments_left is not None:
            self.segments_left -= segments
        if self.limit.unit != Limit.Unit.SEGMENT:
            self.free_at = slot_at + self.step
            return
        self.free_at = slot_at + self.step * segments
        if not self.step:
            return
        while self.recent and self.recent[0][0] + self.window <= slot_at:
            self.recent.popleft()
        if self.recent and self.recent[-1][1] + segments <= self.fits // WINDOW_PARTS:
            self.recent[-1][:] = slot_at, self.recent[-1][1] + segments  # as if all of it were as late: never too much
        else:
            self.recent.append([slot_at, segments])


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


def in_words(limit: Limit, now: float | None = None) -> str:
    """A limit as people read it: "20 a minute", "3 segments a second", "no limit"; with `now` what is left of it.

    After a 429: "0.7 of 1 a second (learned)", until it has recovered.
    """
    if limit.mps is None:
        return "no limit"
    per, times = ("second", 1) if limit.mps >= 1 or limit.mps * 60 < 1 else ("minute", 60)
    holds = limit.mps if now is None else rate(limit, now) or limit.mps
    unit = " segments" if limit.unit == Limit.Unit.SEGMENT else ""
    if holds < limit.mps:
        return f"{holds * times:.3g} of {limit.mps * times:g}{unit} a {per} (learned)"
    return f"{limit.mps * times:g}{unit} a {per}"


def free_at(limit: Limit, now: float) -> float:
    """From when a limit is free again, as stored, made believable: what no claim could have set is a stepped clock."""
    longest = pacing.interval(rate(limit, now))
    if limit.unit == Limit.Unit.SEGMENT and limit.next_free_at is not None:  # else as if one segment had just left
        longest *= SEGMENTS_MOST
    return pacing.clamp(limit.next_free_at, now, longest, pacing.LOOKAHEAD_SECONDS + LEAD_MOST_SECONDS)


def timeline(limit: Limit, now: float, horizon: float, most: int) -> Timeline:
    """A limit's timeline; that of a stepped clock is put right, and a window in segments is full then."""
    units = rate(limit, now)
    step, fits = pacing.interval(units), _whole(units)
    in_segments = limit.unit == Limit.Unit.SEGMENT
    free = free_at(limit, now)
    recent = [[at, used] for at, used in limit.recent if at + fits * step > now] if in_segments and step else []
    if free != limit.next_free_at:
        if limit.next_free_at is not None:
            log.warning("The clock was stepped back: %s %s starts as just used", type(limit).__name__, limit.pk)
        recent = [[now, fits]] if in_segments and step else []
        type(limit)._default_manager.filter(pk=limit.pk).update(next_free_at=free, recent=recent)
    if limit.backoff_until <= now + BACKOFF_MOST_SECONDS:
        free = max(free, limit.backoff_until)
    if step:
        most = min(most, int((horizon - max(free, now)) / step) + 1) if free <= horizon else 0
    elif free > horizon:
        most = 0
    return Timeline(limit, free, step, most, fits, deque(recent))


def _whole(rate: float | None) -> int:
    """The whole units of a second at this rate; at less than one a second, one in its own longer time."""
    return max(1, int((rate or 0) + 1e-9))


def open_accounts(ids: Collection[int] | None = None) -> list[Account]:
    """The accounts that nothing blocks, of these or of all."""
    found = engine.read(Account, "blocked = ''")
    return found if ids is None else [account for account in found if account.pk in ids]


def lock_account(account_id: int) -> Account:
    """Whose turn it is on an account: only then the clock is read, or what was waited for would seem a stepped one."""
    (account,) = engine.read(Account, "id = %s", [account_id], lock=True)
    return account


def open_timelines(account: Account, now: float, horizon: float, most: int) -> tuple[Timeline | None, list[Timeline]]:
    """The timeline of an account that is locked, and those of its senders that may take a message before `horizon`.

    Locks the senders by id. A blocked account has none.
    """
    parent = timeline(account, now, horizon, most)
    if breaker.is_open(account):
        parent.most = 0 if breaker.waits_for_probe(account) else min(parent.most, 1)
    parent.segments_left = caps.segments_left(account, now)
    if account.blocked or not parent.most or parent.segments_left == 0:
        return None, []
    senders = engine.read(Sender, "account_id = %s AND removed_at IS NULL AND blocked = ''", [account.pk], lock=True)
    lanes = [timeline(sender, now, horizon, min(parent.most, _allowance(sender, now))) for sender in senders]
    return parent, [lane for lane in lanes if lane.most > 0]


def open_campaigns(now: float, horizon: float, most: int) -> dict[int, Timeline | None]:
    """The running campaigns, each with its timeline if it has a limit of its own; without those that are used up.

    Locks those that have a limit, by id: a campaign's limit holds over all accounts and senders that it leaves from.
    """
    running = engine.rows(f"SELECT id, mps FROM {CAMPAIGNS} WHERE state = 'running' ORDER BY id")
    found: dict[int, Timeline | None] = {pk: None for pk, mps in running if mps is None}
    if limited := [pk for pk, mps in running if mps is not None]:
        is_one, ids = engine.one_of("id", limited)
        for campaign in engine.read(Campaign, f"{is_one} AND state = 'running'", ids, lock=True):
            line = timeline(campaign, now, horizon, most)
            if line.most > 0:
                found[campaign.pk] = line
    return found


def open_lane(message: TextMessage, account: Account, now: float) -> list[Timeline] | None:
    """The timelines of all limits that one message passes, locked; None while its lane waits for a probe's answer.

    The account is locked already.

    Raises `AccountProblem`, `SenderProblem` or `Throttled` for what else than its rate keeps the lane from sending.
    """
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
    left = caps.segments_left(account, now)
    if left is not None and left < message.segments:
        raise Throttled(caps.no_money(account), code=caps.SPEND)
    if not caps.has_room_for(account, message, now):
        raise Throttled(caps.too_often(account), code=caps.RECIPIENT)
    if _waits_for_probe(sender, message.pk) or breaker.waits_for_probe(account, message.pk):
        return None
    limits: list[Limit] = [account, sender]
    limits += engine.locked(Campaign.objects.filter(pk=message.campaign_id, mps__isnull=False))
    return [timeline(limit, now, now, 1) for limit in limits]


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


def save(timelines: Iterable[Timeline]) -> None:
    """Writes back what a claim has used."""
    moments: dict[type[Limit], list[tuple[int, float]]] = {}
    turns = []
    for line in timelines:
        if not line.taken:
            continue
        limit = line.limit
        if limit.unit == Limit.Unit.SEGMENT:
            type(limit)._default_manager.filter(pk=limit.pk).update(recent=list(line.recent))
        if isinstance(limit, Sender):
            turns.append((limit.pk, line.free_at, limit.turn))
        else:
            moments.setdefault(type(limit), []).append((limit.pk, line.free_at))
    free_at = {"next_free_at": "float8"}
    for model, rows in moments.items():
        engine.update_each(model._meta.db_table, free_at, rows)
    engine.update_each(Sender._meta.db_table, free_at | {"turn": "bigint"}, turns)


def count_submits(submits: dict[int, int], now: float) -> None:
    """Counts what passed the gate towards the daily caps of senders that have one. {sender id: how many}"""
    today = day(now)
    for sender_id, count in sorted(submits.items()):
        same_day = Sender.objects.filter(pk=sender_id, capped_on=today)
        if not same_day.update(capped_count=F("capped_count") + count):
            Sender.objects.filter(pk=sender_id).update(capped_on=today, capped_count=count)


# --- what slows and stops -------------------------------------------------------------------------------------


def lock(sender_ids: Iterable[int]) -> None:
    """Senders that are about to be changed, one after another: by id, as a claim locks them, or the two would wait."""
    if len(ids := set(sender_ids)) > 1:
        list(engine.locked(Sender.objects.filter(pk__in=ids).order_by("pk")).values_list("pk", flat=True))


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


def heard(*sender_ids: int, uncertain: bool) -> None:
    """Keeps the count of uncertain answers in a row on lanes; a clear one ends it."""
    if uncertain:
        Sender.objects.filter(pk__in=sender_ids).update(uncertain_streak=F("uncertain_streak") + 1)
        return
    is_one, ids = engine.one_of("id", sender_ids)
    if doubted := [
        pk for (pk,) in engine.rows(f"SELECT id FROM {SENDERS} WHERE {is_one} AND uncertain_streak > 0", ids)
    ]:
        lock(doubted)
        Sender.objects.filter(pk__in=doubted).update(uncertain_streak=0)


def block(limit: Limit, why: str) -> None:
    """Nothing leaves this sender or account until a person acts."""
    type(limit)._default_manager.filter(pk=limit.pk).update(blocked=why)
    log.error("%s %s is blocked: %s", type(limit).__name__, limit.pk, why)


def unblock(account: Account) -> None:
    """A person has acted: the account and its senders may send again."""
    account.senders.update(blocked="", uncertain_streak=0)
    Account.objects.filter(pk=account.pk).update(blocked="", backoff_until=0)


def set_daily_cap(sender: Sender, cap: int | None, now: float) -> None:
    """Changes a sender's cap of the day; what it has submitted today counts, also what no cap counted."""
    of_today = TextMessage.objects.filter(sender=sender, submitted_at__gte=caps.midnight(now) - 24 * 3600)
    with engine.write():
        Sender.objects.filter(pk=sender.pk).update(
            daily_cap=cap, capped_on=day(now), capped_count=0 if cap is None else of_today.count()
        )


def set_rate(limit: Limit, mps: float | None, now: float, *, unit: str | None = None) -> None:
    """Changes the pace of a sender, an account or a campaign; the next claim uses it.

    The last slot keeps its distance at the new pace. `unit` is what is counted, messages or segments; None leaves it.
    """
    rows = type(limit)._default_manager.filter(pk=limit.pk)
    with engine.write():
        limit = engine.locked(rows).get()
        before, free_at, recent = rate(limit, now), limit.next_free_at, limit.recent
        switched = unit is not None and unit != limit.unit
        limit.mps, limit.unit = mps, unit or limit.unit
        in_segments = limit.unit == Limit.Unit.SEGMENT
        step = pacing.interval(rate(limit, now))
        if before is None and isinstance(limit, Campaign):
            free_at = None  # nobody kept it while it had no limit: it starts as just used
        elif recent and in_segments and not switched:
            free_at = recent[-1][0] + step * recent[-1][1]
        elif free_at is not None:
            free_at += step - pacing.interval(before)
        if not in_segments:
            recent = []
        elif (switched or before is None) and free_at is not None:  # what its slots have cost is not known: all
            recent = [[max(now, free_at), _whole(rate(limit, now))]]
        rows.update(mps=mps, unit=limit.unit, next_free_at=free_at, recent=recent)
