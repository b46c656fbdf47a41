"""How much can the team take? What a reply-aware campaign reads before it releases the next texts, and what it records.

The team is one: whatever is open in the inbox counts, and so do the replies that other reply-aware campaigns will still
bring. The arithmetic is in `paceline.sms.replypace`; here is what it is asked with. It is read within the transaction
that releases, under a lock on all reply-aware campaigns: two of them never fill the same room.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Count, F, Q
from django.db.models.functions import Floor
from django.utils import timezone

from paceline.sms import officehours, replypace
from paceline.sms.status import Status

from . import conversations, engine
from .models import BacklogSample, Campaign, Reply, Spell, TextMessage

ASK_EVERY_SECONDS = 1.0
"""A campaign without room is asked again after so long."""

LATELY_SECONDS = 2 * 3600.0
"""How far back the team's closings are looked at."""

STILL_ANSWERED = timedelta(days=1)
"""A campaign that has ended is still answered for so long."""

SAMPLE_SECONDS = 5.0
BUCKET_SECONDS = 10.0
SETTLED_SECONDS = 600.0  # what was submitted longer ago is not counted again
WAIT_SECONDS = 20 * 60.0
LEFT_MOST = 20_000  # more than ever go at once need not be counted

_WAITING = (Status.QUEUED, Status.LEASED)
_NEVER_LEFT = (Status.HELD, *_WAITING, Status.FAILED, Status.REFUSED, Status.SUPPRESSED, Status.CANCELLED)


@dataclass(frozen=True, slots=True)
class ReplyPace:
    """What the team handles: at most `line` conversations open, or `per_hour` closed by each of `team_size` people.

    With only a rate, the line is what they close in 20 minutes; with only a line, the rate is learned. `hours` are
    those of the office, such as "Mon-Fri 9-17 Europe/Madrid"; empty is always. `guess` is the share of texts that may
    be answered.
    """

    line: int | None = None
    per_hour: float | None = None
    team_size: int = 1
    hours: str = ""
    guess: float | None = None

    def check(self) -> None:
        """Raises `ValueError`; the sentence says what to write instead."""
        if self.line is not None and not 1 <= self.line <= 1_000_000:
            raise ValueError("The line is how many conversations may be open at once: 1 to 1000000")
        if self.per_hour is not None and not 0.1 <= self.per_hour <= 3600:
            raise ValueError("Replies per hour are what one of the team answers: 0.1 to 3600")
        if not 1 <= self.team_size <= 10_000:
            raise ValueError("The team has 1 to 10000 people")
        if self.guess is not None and not 0.0001 <= self.guess <= 1:
            raise ValueError("The guess of the reply rate is a share of the texts: 0.0001 to 1, such as 0.12")
        if len(self.hours) > 120:
            raise ValueError("The office hours are too long: 120 characters are the most")
        if self.hours:
            officehours.parse(self.hours)
        if self.line is None and self.per_hour is None and self != NONE:
            raise ValueError(
                "Say how many conversations may be open (a line), or how many replies an hour are answered"
            )

    def with_line(self, line: int | None) -> ReplyPace:
        """The same with another line; without line and rate it is none at all."""
        return NONE if line is None and self.per_hour is None else replace(self, line=line)

    def columns(self) -> dict[str, Any]:
        """As the campaign keeps them."""
        return {
            "reply_line": self.line,
            "replies_per_hour": self.per_hour,
            "team_size": self.team_size,
            "office_hours": self.hours,
            "reply_rate_guess": self.guess,
        }

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


NONE = ReplyPace()


def pace(campaign: Campaign) -> ReplyPace:
    """What is stated in a campaign."""
    return ReplyPace(
        campaign.reply_line,
        campaign.replies_per_hour,
        campaign.team_size,
        campaign.office_hours,
        campaign.reply_rate_guess,
    )


def is_aware(campaign: Campaign) -> bool:
    """True when its pace follows the replies."""
    return campaign.reply_line is not None or campaign.replies_per_hour is not None


def line(campaign: Campaign) -> int:
    """How many conversations may be open at most."""
    if campaign.reply_line is not None:
        return campaign.reply_line
    by_rate = (campaign.replies_per_hour or 0.0) * campaign.team_size * WAIT_SECONDS / 3600
    return max(campaign.team_size, math.ceil(by_rate), 1)


def backlog() -> int:
    """What the team has before it now."""
    return conversations.backlog().total


# --- the valve's question -------------------------------------------------------------------------------------

_ask_at: dict[tuple[int, datetime], float] = {}
"""Campaigns that had no room, and when they are asked again. By process: who asks too early only works in vain."""


def has_room(campaign: Campaign, now: float) -> bool:
    """Whether anything of it may be released at `now` (epoch seconds); without a reply pace, always.

    A look outside any transaction, at most once a second where there is no room.
    """
    if not is_aware(campaign):
        return True
    if abs(now - _ask_at.get(_key(campaign), -math.inf)) < ASK_EVERY_SECONDS:
        return False
    if room(campaign, now):
        return True
    if len(_ask_at) > 1000:
        _ask_at.clear()
    _ask_at[_key(campaign)] = now
    return False


def ask_again(campaign: Campaign) -> None:
    """What the team handles has changed: the next question is not put off."""
    _ask_at.pop(_key(campaign), None)


def _key(campaign: Campaign) -> tuple[int, datetime]:
    return campaign.pk, campaign.created_at


def lock(campaign: Campaign) -> None:
    """Locks all campaigns whose replies the same team answers, if this is one; in their order, by id."""
    if is_aware(campaign):
        list(engine.locked(_aware().order_by("pk")).values_list("pk"))


def _aware() -> Any:
    aware = Q(reply_line__isnull=False) | Q(replies_per_hour__isnull=False)
    lately = Q(state__in=[Campaign.State.RUNNING, Campaign.State.PAUSED])
    return Campaign.objects.filter(aware, lately | Q(finished_at__gt=timezone.now() - STILL_ANSWERED))


def room(campaign: Campaign, now: float) -> int:
    """How many of its recipients may be released at `now`; without a reply pace, as many as one likes."""
    if not is_aware(campaign):
        return replypace.MOST
    team = _team(campaign, now)
    before = backlog()
    if before >= team.line:
        return 0
    mine, left = _seen(campaign, now), None
    if campaign.fanned_out:
        left = TextMessage.objects.filter(campaign=campaign, status=Status.HELD)[:LEFT_MOST].count()
    others = [_seen(other, now) for other in _aware().exclude(pk=campaign.pk)]
    return replypace.room(team, before, mine, others, left=left)


def _team(campaign: Campaign, now: float) -> replypace.Team:
    per_hour, hours = campaign.replies_per_hour, None
    if campaign.office_hours:
        hours = officehours.parse(campaign.office_hours)
    return replypace.Team(
        line(campaign),
        None if per_hour is None else per_hour * campaign.team_size / 3600,
        _lately(now, hours),
        hours,
        now,
    )


def _lately(now: float, hours: officehours.Hours | None) -> replypace.Lately:
    """What the team has closed lately, by the record of the conversations' spells."""
    since = now - LATELY_SECONDS
    moment = datetime.fromtimestamp(since, UTC)
    spells = [
        *Spell.objects.filter(closed_at=None).values_list("opened_at", "closed_at"),
        *Spell.objects.filter(closed_at__gt=moment).values_list("opened_at", "closed_at"),
    ]
    closed = sorted(shut.timestamp() for _, shut in spells if shut is not None and shut.timestamp() <= now)
    spans = sorted(
        (max(opened.timestamp(), since), now if shut is None else min(shut.timestamp(), now)) for opened, shut in spells
    )
    busy: list[tuple[float, float]] = []
    for start, end in spans:
        if busy and start <= busy[-1][1]:
            busy[-1] = busy[-1][0], max(busy[-1][1], end)
        elif end > start:
            busy.append((start, end))
    if hours is not None:
        busy = [span for start, end in busy for span in hours.spans(start, end)]
    return replypace.lately(closed, busy)


_settled: dict[tuple[int, datetime], tuple[float, list[tuple[float, int]]]] = {}
"""Per campaign: until when its submits are counted for good, and those submits in buckets."""


def _seen(campaign: Campaign, now: float) -> replypace.Seen:
    """What a campaign has shown: its submits by age, what is on its way, its replies by delay.

    A text that opened no conversation (an opt-out, one more word) is no work, and not counted.
    """
    submits = _submits(campaign, now)
    mine = TextMessage.objects.filter(campaign=campaign)
    answers = [0] * replypace.BINS
    opened = Reply.objects.filter(campaign=campaign, opens=True, delay_seconds__isnull=False)
    for delay in opened.values_list("delay_seconds", flat=True):
        which = replypace.bin_of(delay)
        if which is not None:
            answers[which] += 1
    return replypace.Seen(
        [(max(now - at, 0.0), count) for at, count in submits],
        answers,
        mine.filter(status__in=_WAITING).count(),
        campaign.reply_rate_guess or replypace.FIRST_GUESS,
    )


def _submits(campaign: Campaign, now: float) -> list[tuple[float, int]]:
    """(moment, texts) of all its submits; those of more than ten minutes ago are remembered, not counted again."""
    if len(_settled) > 1000:
        _settled.clear()
    until, old = _settled.get(_key(campaign), (0.0, []))
    sent = TextMessage.objects.filter(campaign=campaign, submitted_at__gte=until).exclude(status__in=_NEVER_LEFT)
    buckets = (
        sent.order_by()
        .annotate(bucket=Floor(F("submitted_at") / BUCKET_SECONDS))
        .values_list("bucket")
        .annotate(count=Count("pk"))
    )
    fresh = sorted(((float(bucket) + 0.5) * BUCKET_SECONDS, count) for bucket, count in buckets)
    settled = math.floor((now - SETTLED_SECONDS) / BUCKET_SECONDS) * BUCKET_SECONDS
    if settled > until:
        old = replypace.coarser([*old, *(pair for pair in fresh if pair[0] < settled)], now)
        fresh = [pair for pair in fresh if pair[0] >= settled]
        _settled[_key(campaign)] = settled, old
    return [*old, *fresh]


# --- the curve ------------------------------------------------------------------------------------------------

SAMPLES_MOST = 960
"""So many samples a campaign has at the most, so that its curve costs the same however long it runs …"""

SAMPLES_KEPT = 480
"""… with more, only the peaks of so many stretches of time stay, or of half as many: twice what is drawn."""

_sampled: dict[tuple[int, datetime], tuple[float, int, int, int]] = {}


def record(now: float) -> int:
    """Writes what each reply-aware campaign has released and the backlog, where that has changed. Answers how many.

    At most every five seconds for one campaign.
    """
    written = 0
    for campaign in _aware():
        at, *before = _sampled.get(_key(campaign)) or _last(campaign)
        if abs(now - at) < SAMPLE_SECONDS:
            continue
        mine = TextMessage.objects.filter(campaign=campaign)
        released = sum(count for _, count in _submits(campaign, now)) + mine.filter(status__in=_WAITING).count()
        sample = [released, backlog(), line(campaign)]
        if len(_sampled) > 1000:
            _sampled.clear()
        _sampled[_key(campaign)] = (at, *before) if sample == before else (now, *sample)  # type: ignore[assignment]
        if sample != before:
            values = dict(zip(("released", "backlog", "line"), sample, strict=True))
            BacklogSample.objects.create(campaign=campaign, at=datetime.fromtimestamp(now, UTC), **values)
            _thin(campaign)
            written += 1
    return written


def _thin(campaign: Campaign) -> None:
    """Removes those of too many samples that are no peak of their stretch of time."""
    mine = BacklogSample.objects.filter(campaign=campaign)
    if mine.count() <= SAMPLES_MOST:
        return
    rows = mine.order_by("at", "pk").values_list("at", "backlog", "pk")
    for part in engine.chunks(not_peaks([(at.timestamp(), backlog, pk) for at, backlog, pk in rows])):
        with engine.write():
            BacklogSample.objects.filter(pk__in=part).delete()


def not_peaks(samples: Sequence[tuple[float, int, int]]) -> list[int]:
    """The ids of those samples (moment, backlog, id) that may go, oldest first; the first and the last one stay.

    Stretches begin at the same moments whoever looks, and the next longer ones are two of them: when two processes
    thin at once, knowing different samples, each stretch still has its peak.
    """
    begin, end = samples[0], samples[-1]
    length = SAMPLE_SECONDS
    while (end[0] - begin[0]) / length > SAMPLES_KEPT:
        length *= 2
    peaks: dict[int, tuple[int, float, int]] = {}
    for at, backlog, pk in samples:
        stretch = int(at // length)
        peaks[stretch] = max(peaks.get(stretch, (-1, 0.0, 0)), (backlog, -at, -pk))
    stay = {begin[2], end[2], *(-pk for _, _, pk in peaks.values())}
    return [pk for _, _, pk in samples if pk not in stay]


def _last(campaign: Campaign) -> tuple[float, int, int, int]:
    row = BacklogSample.objects.filter(campaign=campaign).order_by("-at").first()
    return (row.at.timestamp(), row.released, row.backlog, row.line) if row else (0.0, -1, -1, -1)


def curve(campaign: Campaign) -> list[BacklogSample]:
    """The samples in the order of time: some hundreds, however long it has run, and every peak of the backlog."""
    return list(BacklogSample.objects.filter(campaign=campaign).order_by("at", "pk"))
