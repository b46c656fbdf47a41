"""How far is a campaign, how fast does it go, and when will it be done? Everything is derived from the rows."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count

from paceline.sms import pacing
from paceline.sms.status import HANDOVERS, RANK, UNFINISHED, Status

from . import engine, lanes
from .models import Campaign, Sender, TextMessage

RATE_WINDOW_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class SenderShare:
    """One sender's part in a campaign."""

    number: str
    submitted: int
    waiting: int
    limit: float | None  # messages per second that hold now
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
    counts: dict[str, int] = dict.fromkeys((s.value for s in Status), 0)
    waiting: dict[int | None, int] = {}
    submitted: dict[int | None, int] = {}
    for status, sender, count in mine.order_by().values_list("status", "sender").annotate(count=Count("pk")):
        counts[status] += count
        side = waiting if status in UNFINISHED and status != Status.SUBMITTING else submitted
        if side is waiting or status in RANK or status in HANDOVERS:
            side[sender] = side.get(sender, 0) + count
    unwritten = sum(len(intake.numbers) for intake in campaign.intakes.all()) if not campaign.fanned_out else 0
    if not campaign.fanned_out and campaign.list_id:
        after = campaign.fan_out_after
        members = campaign.list.memberships.filter(pk__gt=after)
        unwritten += members.filter(pk__lte=campaign.fan_out_until).count() if campaign.started_at else members.count()
    counts[Status.HELD] += unwritten
    shares = [
        SenderShare(
            number=sender.number,
            submitted=submitted.get(sender.pk, 0),
            waiting=waiting.get(sender.pk, 0),
            limit=lanes.rate(sender, now),
            learned=round(lanes.learned(sender, now), 3),
            blocked=sender.blocked or sender.account.blocked,
        )
        for sender in Sender.objects.filter(pk__in={*waiting, *submitted} - {None})
        .select_related("account")
        .order_by("pk")
    ]
    recent = mine.filter(submitted_at__gt=now - RATE_WINDOW_SECONDS, submitted_at__lte=now).count()
    limits = [share.limit for share in shares]
    account = shares and Sender.objects.filter(number=shares[0].number).values_list("account__mps", flat=True).first()
    limit = None if not limits or None in limits else sum(value for value in limits if value)
    if account:
        limit = min(limit, account) if limit is not None else account
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
        started_at=campaign.started_at,
        finished_at=campaign.finished_at,
    )


def _eta(campaign: Campaign, shares: list[SenderShare], waiting: int, limit: float | None) -> float | None:
    """Seconds to the last submit: the slowest lane's queue, plus the valve's delays."""
    if campaign.state != Campaign.State.RUNNING:
        return None
    if any(share.blocked for share in shares):
        return None
    by_lane = [share.waiting * pacing.interval(share.limit) for share in shares]
    seconds = max([*by_lane, waiting * pacing.interval(limit)], default=0.0)
    if campaign.batch_size and waiting:
        seconds += campaign.delay_period * (max(0, waiting - campaign.tranche_left) // campaign.batch_size)
    return round(seconds, 1)
