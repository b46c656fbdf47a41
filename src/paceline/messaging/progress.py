"""How far is a campaign, how fast does it go, and when will it be done? Everything is derived from the rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Max, QuerySet
from django.db.models.functions import Floor

from paceline.sms import pacing
from paceline.sms.status import HANDOVERS, RANK, UNFINISHED, Status

from . import caps, engine, lanes, replies
from .models import Account, Campaign, Sender, TextMessage

RATE_WINDOW_SECONDS = 10.0
OUTBOX = (Status.QUEUED, Status.LEASED, Status.SUBMITTING)
STILL_SECONDS = 15.0  # a running campaign that submits nothing for so long needs an explanation


@dataclass(frozen=True, slots=True)
class SenderShare:
    """One sender's part in a campaign."""

    number: str
    submitted: int
    waiting: int
    limit: float | None  # messages per second that hold now
    unit: str  # what its limit counts: message or segment
    learned: float  # the share of its rate that the provider's 429s have left, 1.0 = all
    blocked: str


@dataclass(frozen=True, slots=True)
class Progress:
    """A campaign at one moment. `counts` has every status that occurs; rates are per second."""

    id: int
    name: str
    state: str
    total: int
    counts: dict[str, int]
    waiting: int  # held, queued or leased: nothing on the wire yet
    submitted: int  # a request was or may have been written
    rate: float
    limit: float | None
    eta_seconds: float | None
    senders: list[SenderShare]
    own_limit: float | None  # of the campaign itself, in its unit per second
    unit: str
    spent: str  # money, as the accounts' prices per segment count it
    spend_cap: str | None
    blocked: str  # why it was paused by itself
    started_at: datetime | None
    finished_at: datetime | None

    @property
    def done(self) -> float:
        """The share of recipients that wait for no submit any more, 0 to 1."""
        return (self.total - self.waiting) / self.total if self.total else 0.0

    def as_json(self) -> dict[str, Any]:
        """Plain values for `--json` and the API."""
        values = asdict(self) | {"done": round(self.done, 4)}
        for key in ("started_at", "finished_at"):
            values[key] = values[key].isoformat() if values[key] else None
        return values


def of(campaign: Campaign) -> Progress:
    """The account of a campaign: who got it, who did not, who is uncertain, in numbers."""
    mine = TextMessage.objects.filter(campaign=campaign)
    now = engine.now()
    counts: dict[str, int] = dict.fromkeys(TextMessage.STATUSES, 0)
    waiting: dict[int | None, int] = {}
    submitted: dict[int | None, int] = {}
    for status, sender, count in _by_status(mine).values_list("status", "sender").annotate(count=Count("pk")):
        counts[status] += count
        side = waiting if status in UNFINISHED and status != Status.SUBMITTING else submitted
        if side is waiting or status in RANK or status in HANDOVERS:
            side[sender] = side.get(sender, 0) + count
    unwritten = sum(len(intake.numbers) for intake in campaign.intakes.all()) if not campaign.fanned_out else 0
    if not campaign.fanned_out and campaign.list_id:
        after = campaign.fan_out_after
        members = campaign.list.memberships.filter(pk__gt=after)
        drafted = campaign.state == Campaign.State.DRAFT
        unwritten += (members if drafted else members.filter(pk__lte=campaign.fan_out_until)).count()
    counts[Status.HELD] += unwritten
    lanes_used = Sender.objects.filter(pk__in={*waiting, *submitted} - {None}).select_related("account").order_by("pk")
    shares = [
        SenderShare(
            number=sender.number,
            submitted=submitted.get(sender.pk, 0),
            waiting=waiting.get(sender.pk, 0),
            limit=lanes.rate(sender, now),
            unit=sender.unit,
            learned=round(lanes.learned(sender, now), 3),
            blocked=sender.blocked or sender.account.blocked,
        )
        for sender in lanes_used
    ]
    limit = _least(_together(lanes_used, now), campaign.mps)
    recent = mine.filter(submitted_at__gt=now - RATE_WINDOW_SECONDS, submitted_at__lte=now).count()
    total_waiting = sum(waiting.values()) + unwritten
    return Progress(
        id=campaign.pk,
        name=campaign.name,
        state=campaign.state,
        total=sum(counts.values()),
        counts={status: count for status, count in counts.items() if count},
        waiting=total_waiting,
        submitted=sum(submitted.values()),
        rate=round(recent / RATE_WINDOW_SECONDS, 2),
        limit=limit,
        eta_seconds=_eta(campaign, shares, total_waiting, limit),
        senders=shares,
        **_limits(campaign),
        started_at=campaign.started_at,
        finished_at=campaign.finished_at,
    )


def _limits(campaign: Campaign) -> dict[str, Any]:
    return {
        "own_limit": campaign.mps,
        "unit": campaign.unit,
        "spent": f"{campaign.spent:f}",
        "spend_cap": None if campaign.spend_cap is None else f"{campaign.spend_cap:f}",
        "blocked": campaign.blocked,
    }


def _least(*limits: float | None) -> float | None:
    return min((limit for limit in limits if limit is not None), default=None)


def _together(senders: Iterable[Sender], now: float) -> float | None:
    """Messages per second that these senders may send at once, each account's own limit in mind; None is no limit."""
    by_account: dict[Account, list[float | None]] = {}
    for sender in senders:
        by_account.setdefault(sender.account, []).append(lanes.rate(sender, now))
    total = 0.0
    for account, rates in by_account.items():
        known = [rate for rate in rates if rate is not None]
        least = _least(account.mps, None if len(known) < len(rates) else sum(known))
        if least is None:
            return None
        total += least
    return total or None


def _eta(campaign: Campaign, shares: list[SenderShare], waiting: int, limit: float | None) -> float | None:
    """Seconds to the last submit: the slowest lane's queue, plus the valve's delays."""
    if campaign.state != Campaign.State.RUNNING:
        return None
    if any(share.blocked for share in shares) or (waiting and not shares):
        return None  # who sends what is not known yet, or nobody can
    if replies.is_aware(campaign) and waiting:
        return None  # the replies will tell
    by_lane = [share.waiting * pacing.interval(share.limit) for share in shares]
    seconds = max([*by_lane, waiting * pacing.interval(limit)], default=0.0)
    if campaign.batch_size and waiting:
        seconds += campaign.delay_period * (max(0, waiting - campaign.tranche_left) // campaign.batch_size)
    return round(seconds, 1)


# --- for pages: many campaigns at once, the last minutes, and what holds it back ------------------------------


def _by_status(messages: QuerySet[TextMessage]) -> QuerySet[TextMessage]:
    """All of them, asked for status by status: as the index has them that begins with it."""
    return messages.filter(status__in=TextMessage.STATUSES).order_by()


def overview(campaigns: Sequence[Campaign]) -> list[Progress]:
    """What `of` says about each, in the same order; those that have ended share one query over an index.

    The ended ones have a rate of 0 and no senders.
    """
    ended = [c.pk for c in campaigns if c.fanned_out and c.state in (Campaign.State.FINISHED, Campaign.State.CANCELLED)]
    counts: dict[int, dict[str, int]] = {pk: {} for pk in ended}
    rows = _by_status(TextMessage.objects.filter(campaign__in=ended)).values_list("campaign", "status")
    for pk, status, count in rows.annotate(count=Count("pk")):
        counts[pk][status] = count
    return [_ended(campaign, counts[campaign.pk]) if campaign.pk in counts else of(campaign) for campaign in campaigns]


def _ended(campaign: Campaign, counts: dict[str, int]) -> Progress:
    waiting = sum(counts.get(status, 0) for status in UNFINISHED - {Status.SUBMITTING})
    total = sum(counts.values())
    without_submit = counts.get(Status.SUPPRESSED, 0) + counts.get(Status.CANCELLED, 0)
    return Progress(
        id=campaign.pk,
        name=campaign.name,
        state=campaign.state,
        total=total,
        counts=counts,
        waiting=waiting,
        submitted=total - waiting - without_submit,
        rate=0.0,
        limit=None,
        eta_seconds=None,
        senders=[],
        **_limits(campaign),
        started_at=campaign.started_at,
        finished_at=campaign.finished_at,
    )


def throughput(campaign: Campaign, seconds: int = 120, *, now: float | None = None) -> list[tuple[int, int]]:
    """(second since the epoch, submits in it) for each of the last whole `seconds`, oldest first, zeros too.

    The second that `now` is in is not over and is left out.
    """
    end = int(engine.now() if now is None else now)
    mine = TextMessage.objects.filter(campaign=campaign, submitted_at__gte=end - seconds, submitted_at__lt=end)
    by_second = mine.order_by().annotate(second=Floor("submitted_at")).values_list("second").annotate(count=Count("pk"))
    counts = {int(second): count for second, count in by_second}
    return [(second, counts.get(second, 0)) for second in range(end - seconds, end)]


def next_tranche_at(campaign: Campaign) -> float | None:
    """When the valve opens again, in epoch seconds; None unless the campaign waits for its delay and nothing else."""
    if campaign.state != Campaign.State.RUNNING or not campaign.batch_size or campaign.tranche_left:
        return None
    mine = TextMessage.objects.filter(campaign=campaign)
    waiting = mine.filter(status__in=[Status.QUEUED, Status.LEASED]).exclude(code=caps.RECIPIENT)
    if waiting.exists() or not mine.filter(status=Status.HELD).exists():
        return None
    last = mine.aggregate(last=Max("submitted_at"))["last"]
    return None if last is None else float(last + campaign.delay_period)


def brakes(campaign: Campaign, progress: Progress) -> list[str]:
    """What holds a running campaign back at this moment: a sentence each, the weightiest first, for people."""
    if campaign.state == Campaign.State.PAUSED:
        return [
            f"{campaign.blocked}." if campaign.blocked else "It is paused: nothing leaves until somebody resumes it."
        ]
    if campaign.state != Campaign.State.RUNNING or not progress.waiting:
        return []
    now = engine.now()
    shares = {share.number: share for share in progress.senders}
    said = [f"{number} is blocked: {share.blocked}" for number, share in shares.items() if share.blocked]
    lanes_used = Sender.objects.filter(number__in=shares).select_related("account").order_by("pk")
    for sender in lanes_used:
        rest = max(sender.backoff_until, sender.account.backoff_until) - now
        if sender.daily_cap is not None and lanes.used_today(sender, now) >= sender.daily_cap:
            said.append(f"{sender} has sent its {sender.daily_cap} of today; it goes on at midnight UTC.")
        elif not sender.blocked and 1 <= rest <= lanes.BACKOFF_MOST_SECONDS:
            said.append(f"{sender} rests for {in_words(rest)}: the provider could not be reached or asked for it.")
        elif shares[sender.number].learned < 1:
            percent = round(shares[sender.number].learned * 100)
            said.append(f"{sender} goes at {percent} % of its rate, since the provider found it too fast; it recovers.")
    for account in {sender.account for sender in lanes_used}:
        left = caps.segments_left(account, now)
        if left == 0:
            said.append(f"{caps.no_money(account)}.")
    if capped := campaign.messages.filter(status=Status.QUEUED, code=caps.RECIPIENT).count():
        said.append(
            f"{capped} recipients have had all texts of today that one number may get; they go on at midnight UTC."
        )
    if campaign.fanned_out and sum(share.waiting for share in progress.senders) < progress.waiting:
        said.append("Some recipients have no sender: add one with `paceline sender add NUMBER`.")
    opens_at = next_tranche_at(campaign)
    if opens_at is not None and opens_at > now:
        delay = in_words(campaign.delay_period)
        said.append(f"The next {campaign.batch_size} leave in {in_words(opens_at - now)}: tranches are {delay} apart.")
    if not said and replies.is_aware(campaign) and not campaign.messages.filter(status__in=OUTBOX).exists():
        said.append(f"Waiting for the team: {replies.backlog()} of {replies.line(campaign)} conversations open.")
    if said:
        return said
    if campaign.mps and campaign.mps == progress.limit and progress.rate >= 0.8 * campaign.mps:
        return [f"It runs at its own limit: {lanes.in_words(campaign)}."]
    if progress.limit and progress.rate >= 0.8 * progress.limit:
        count = len(progress.senders)
        return [f"It runs at its limit: {count} sender{'s' * (count != 1)} may send {progress.limit:.3g} a second."]
    started = campaign.started_at.timestamp() if campaign.started_at else now
    if not progress.rate and now - max(started, _last_submit(campaign) or 0) > STILL_SECONDS:
        return ["Texts are waiting and nothing leaves: is a dispatcher running? `paceline up` starts one."]
    return []


def _last_submit(campaign: Campaign) -> float | None:
    return TextMessage.objects.filter(campaign=campaign).aggregate(last=Max("submitted_at"))["last"]


def in_words(seconds: float) -> str:
    """A length of time as people say it: "40 s", "3 min 20 s", "2 h 10 min", "3 days 4 h"."""
    left = max(0, round(seconds))
    if left < 60:
        return f"{left} s"
    units = ((86400, "days" if left >= 2 * 86400 else "day"), (3600, "h"), (60, "min"), (1, "s"))
    largest = next(place for place, (size, _) in enumerate(units) if left >= size)
    said = []
    for size, word in units[largest : largest + 2]:
        amount, left = divmod(left, size)
        if amount:
            said.append(f"{amount} {word}")
    return " ".join(said)
