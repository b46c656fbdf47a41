"""What does a page show? A campaign's account in the words, groups and moments that people read.

The numbers come from `messaging.progress`; nothing is counted here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from paceline.messaging import campaigns, lanes, progress, reconcile, replies
from paceline.messaging.models import Campaign
from paceline.messaging.progress import Progress
from paceline.sms.errors import TemplateError
from paceline.sms.segments import segments
from paceline.sms.status import Status

from . import charts

State = Campaign.State

POLL_SECONDS = 2
SLOW_POLL_SECONDS = 10  # everything is submitted; only reports may still come
REPORTS_AWAITED = timedelta(hours=72)  # as long as we retry a report that finds no message
CHART_SECONDS = 120
TABLE_STEP_SECONDS = 10
CURVE_ROWS = 13  # of the table beside the curve of released and backlog
SPOKEN_STEP = 10  # percent: a screen reader is told about every tenth, not every poll

STATES = {  # state: (word, icon of the sprite)
    State.DRAFT: ("Draft", "draft"),
    State.SCHEDULED: ("Scheduled", "clock"),
    State.RUNNING: ("Running", "running"),
    State.PAUSED: ("Paused", "paused"),
    State.FINISHED: ("Finished", "check"),
    State.CANCELLED: ("Cancelled", "cross"),
}

GROUPS = (  # key (its colour), label, icon, statuses, what it means; in the order of the bar
    ("delivered", "Delivered", "checks", (Status.DELIVERED,), "A delivery report says so."),
    ("accepted", "Accepted or sent", "check", (Status.ACCEPTED, Status.SENT), "Out of our hands; no final report yet."),
    ("sending", "Sending", "arrow", (Status.SUBMITTING,), "On the wire at this moment."),
    ("unconfirmed", "Unconfirmed", "dots", (Status.UNCONFIRMED,), "Sent, yet no final word will come."),
    (
        "uncertain",
        "Uncertain",
        "question",
        (Status.UNCERTAIN,),
        "The connection broke after the request was written: the provider may or may not have it. Never resent by "
        "itself; a report or a look-up settles it.",
    ),
    (
        "undelivered",
        "Not delivered",
        "cross",
        (Status.FAILED, Status.EXPIRED, Status.REFUSED, Status.UNDELIVERED),
        "Failed, expired, refused, or undelivered by the carrier.",
    ),
    ("skipped", "Not sent", "minus", (Status.SUPPRESSED, Status.CANCELLED), "Opted out, or cancelled before its turn."),
    ("waiting", "Waiting", "clock", (Status.HELD, Status.QUEUED, Status.LEASED), "Has its place in the queue."),
)
DETAILED = {"undelivered", "skipped"}  # groups whose statuses are named one by one


@dataclass(frozen=True, slots=True)
class Badge:
    """A campaign's state in word, icon and colour."""

    key: str
    label: str
    icon: str


@dataclass(frozen=True, slots=True)
class Group:
    """Recipients that people see as one kind."""

    key: str
    label: str
    icon: str
    count: int
    percent: float
    meaning: str
    detail: str  # "3 refused, 1 expired"; empty where the label says it all


@dataclass(frozen=True, slots=True)
class Row:
    """One campaign on the list."""

    campaign: Campaign
    progress: Progress
    badge: Badge
    bar: str
    ends_at: datetime | None


def badge(state: str) -> Badge:
    label, icon = STATES[State(state)]
    return Badge(state, label, icon)


def groups(account: Progress) -> list[Group]:
    """Every group, in the order of the bar, empty ones too: what is drawn keeps its place between two polls."""
    found = []
    for key, label, icon, statuses, meaning in GROUPS:
        count = sum(account.counts.get(status, 0) for status in statuses)
        named = [f"{account.counts[s]:,} {s}" for s in statuses if account.counts.get(s)] if key in DETAILED else []
        percent = 100 * count / account.total if account.total else 0.0
        found.append(Group(key, label, icon, count, percent, meaning, ", ".join(named)))
    return found


def campaign_list(found: Sequence[Campaign]) -> dict[str, Any]:
    """What the list shows about the campaigns of one page."""
    rows = [_row(campaign, account) for campaign, account in zip(found, progress.overview(found), strict=True)]
    return {
        "rows": rows,
        "running": sum(row.campaign.state == State.RUNNING for row in rows),
        "poll_seconds": POLL_SECONDS,
    }


def _row(campaign: Campaign, account: Progress) -> Row:
    return Row(
        campaign=campaign,
        progress=account,
        badge=badge(campaign.state),
        bar=charts.bar(groups(account)),
        ends_at=_ends_at(account),
    )


def campaign(found: Campaign) -> dict[str, Any]:
    """What the page of one campaign shows."""
    account = progress.of(found)
    parts = groups(account)
    series = progress.throughput(found, CHART_SECONDS)
    moving = found.state in (State.RUNNING, State.PAUSED) or any(count for _, count in series)
    return {
        "campaign": found,
        "progress": account,
        "badge": badge(found.state),
        "groups": parts,
        "counted": {part.key: part for part in parts},
        "bar": charts.bar(parts),
        "percent": _percent(account),
        "ends_at": _ends_at(account),
        "spoken": _spoken(account),
        "brakes": progress.brakes(found, account),
        "own_limit": lanes.in_words(found),
        "problems": _problems(found) if found.state == State.DRAFT else [],
        "gauge": charts.gauge(account.rate, account.limit),
        "chart": charts.throughput(series, account.limit) if moving else "",
        "table": _table(series) if moving else [],
        "senders": [(share, charts.share(share.submitted, share.waiting)) for share in account.senders],
        "average": _average(account),
        **_listening(found),
        "segments": segments(found.text),
        "has_fields": "{{" in found.text,
        "poll_seconds": _poll_seconds(account),
        "asked_later": reconcile.asked_later(found) if account.counts.get(Status.UNCERTAIN) else 0,
        "can": {
            "launch": found.state == State.DRAFT,
            "pause": found.state == State.RUNNING,
            "resume": found.state == State.PAUSED,
            "resend": bool(account.counts.get(Status.UNCERTAIN)) and found.state != State.CANCELLED,
            "cancel": found.state in (State.DRAFT, State.SCHEDULED, State.RUNNING, State.PAUSED),
        },
    }


def _ends_at(account: Progress) -> datetime | None:
    """When the last text leaves, by the ETA."""
    if account.eta_seconds is None or not account.waiting:
        return None
    return timezone.now() + timedelta(seconds=account.eta_seconds)


def _problems(draft: Campaign) -> list[str]:
    try:
        return campaigns.check(draft)
    except TemplateError as error:
        return [str(error)]


def _poll_seconds(account: Progress) -> int | None:
    """How often the page asks again; None when nothing about it will change any more."""
    if account.state not in (State.FINISHED, State.CANCELLED):
        return POLL_SECONDS
    if account.counts.get(Status.SUBMITTING) or account.waiting:
        return POLL_SECONDS
    awaited = sum(account.counts.get(status, 0) for status in (Status.ACCEPTED, Status.SENT, Status.UNCERTAIN))
    ended = account.finished_at or timezone.now()
    return SLOW_POLL_SECONDS if awaited and timezone.now() - ended < REPORTS_AWAITED else None


def _spoken(account: Progress) -> str:
    """The sentence that is read aloud when it changes: coarse on purpose."""
    label = badge(account.state).label
    if account.state in (State.DRAFT, State.SCHEDULED) or not account.total:
        return f"{label}."
    percent = _percent(account)
    return f"{label}: {percent - percent % SPOKEN_STEP} % submitted."


def _percent(account: Progress) -> int:
    """Of a hundred recipients, how many have been submitted: 100 is said when it is all, not before."""
    return 100 * account.submitted // account.total if account.total else 0


def _average(account: Progress) -> float | None:
    """Texts per second from the start to the end of a campaign that has ended."""
    if not (account.started_at and account.finished_at and account.submitted):
        return None
    seconds = (account.finished_at - account.started_at).total_seconds()
    return account.submitted / seconds if seconds >= 1 else None


def _listening(found: Campaign) -> dict[str, Any]:
    """The curve of a campaign that follows the replies, and the same in figures; empty for another."""
    if not replies.is_aware(found):
        return {}
    samples = charts.thinned(replies.curve(found))
    return {
        "curve": charts.curve(samples),
        "curve_table": charts.thinned(samples, CURVE_ROWS)[::-1],
        "curve_from": samples[0].at if samples else None,
        "backlog_now": replies.backlog(),
        "reply_line": replies.line(found),
    }


def _table(series: Sequence[tuple[int, int]]) -> list[tuple[int, int, int, float]]:
    """The chart in figures: (from, to) in seconds ago, submits, submits per second. Newest first."""
    steps = []
    for start in range(0, len(series), TABLE_STEP_SECONDS):
        part = series[start : start + TABLE_STEP_SECONDS]
        count = sum(submits for _, submits in part)
        ago = len(series) - start
        steps.append((ago, ago - len(part), count, count / len(part)))
    return steps[::-1]
