"""What does the inbox show? Who waits and since when, what was said, and what keeps a reply from leaving.

Nothing is decided here: the conversations, their order and their counts come from `messaging.conversations`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import Max, QuerySet
from django.db.models.functions import Left
from django.utils import timezone

from paceline.messaging import conversations, progress, replies, suppressions
from paceline.messaging.conversations import Entry
from paceline.messaging.models import (
    Campaign,
    Contact,
    Conversation,
    QuickReply,
    Reply,
    Suppression,
    TeamReply,
    TextMessage,
)
from paceline.sms import segments
from paceline.sms.messages import new_reference
from paceline.sms.status import Status

from . import charts, context
from .pages import GROUPS, POLL_SECONDS, Badge

State = Conversation.State

FILTERS = {"waiting": "Waiting", "mine": "Mine", "unassigned": "Unassigned", "snoozed": "Snoozed", "closed": "Closed"}
EMPTY = {
    "waiting": "Nobody waits",
    "mine": "You have none",
    "unassigned": "Somebody sees to each of them",
    "snoozed": "None is put off",
    "closed": "None has been closed yet",
}
STATES = {  # state: (word, icon of the sprite)
    State.OPEN: ("Open", "inbox"),
    State.ASSIGNED: ("Assigned", "person"),
    State.SNOOZED: ("Snoozed", "clock"),
    State.CLOSED: ("Closed", "check"),
}
REASONS: dict[str, str] = {
    Suppression.Reason.OPT_OUT: "They have opted out",
    Suppression.Reason.PROVIDER: "The provider says that they have opted out",
    Suppression.Reason.MANUAL: "Somebody here has suppressed the number",
}
DOUBTFUL = "Their words may be an opt-out, and wait for somebody to read them"
SNIPPET = 160  # characters of the last text that the list shows
SAID = 90  # characters of a quick reply beside its name
MORNING = 9  # hours: until then a conversation sleeps that is put off to tomorrow
NAMES = ("full_name", "name", "first_name")  # the fields that say what somebody is called
ICONS = {status: (key, icon) for key, _, icon, statuses, _ in GROUPS for status in statuses}


@dataclass(frozen=True, slots=True)
class Row:
    """One conversation on the list."""

    conversation: Conversation
    name: str
    badge: Badge
    waits: str  # how long, in words; empty when the last word is ours
    snippet: str
    ours: bool  # the snippet is our text
    seen: int  # the last inbound message that the row stands for
    opted_out: bool


@dataclass(frozen=True, slots=True)
class Bubble:
    """One entry of a thread, with the colour and the picture of its status; `id` keeps it the same between polls."""

    id: str
    entry: Entry
    kind: str  # "in", "out" or "note"
    key: str = ""
    icon: str = ""
    is_new: bool = False  # nobody has read from here on
    campaign: str = ""


# --- the list -------------------------------------------------------------------------------------------------


def chosen(show: str, person: Any) -> QuerySet[Conversation]:
    """The conversations behind a filter, in the order in which they are seen to."""
    match show:
        case "mine":
            return conversations.waiting(assignee=person)
        case "unassigned":
            return conversations.waiting(assignee="")
        case "snoozed" | "closed":
            return conversations.recent(show)
    return conversations.waiting()


def inbox(found: Sequence[Conversation], show: str, person: Any) -> dict[str, Any]:
    """What the list shows about the conversations of one page."""
    backlog = conversations.backlog()
    line = reply_line()
    counts = {
        "waiting": backlog.open + backlog.assigned,
        "mine": conversations.waiting(assignee=person).count(),
        "unassigned": backlog.open,
        "snoozed": backlog.snoozed,
    }
    return {
        "rows": _rows(found),
        "show": show,
        "tabs": [(key, label, counts.get(key)) for key, label in FILTERS.items()],
        "nothing": EMPTY[show],
        "backlog": backlog,
        "line": line,
        "over": line is not None and backlog.total > line,
        "gauge": charts.backlog(backlog.total, line),
        "longest": waits(backlog.waiting_since),
        "waiting_count": context.waiting_count(),
        "poll_seconds": POLL_SECONDS,
    }


def reply_line() -> int | None:
    """The lowest line that a running campaign states for the backlog; None when none does."""
    running = Campaign.objects.filter(state=Campaign.State.RUNNING)
    return min((replies.line(each) for each in running if replies.is_aware(each)), default=None)


def waits(since: datetime | None) -> str:
    """How long somebody waits, in words that do not change with every poll; empty when nobody does."""
    if since is None:
        return ""
    seconds = (timezone.now() - since).total_seconds()
    return "a moment" if seconds < 60 else progress.in_words(seconds - seconds % 60)


def name(contact: Contact | None) -> str:
    """What somebody is called, by the fields of their import; empty when those do not say."""
    fields = contact.fields if contact else {}
    found = next((str(fields[key]).strip() for key in NAMES if fields.get(key)), "")
    last = str(fields.get("last_name") or "").strip()
    return f"{found} {last}".strip() if fields.get("first_name") == found else found


def badge(conversation: Conversation) -> Badge:
    """Its state in word, icon and colour; an assigned one says whose it is."""
    label, icon = STATES[State(conversation.state)]
    return Badge(conversation.state, conversation.assignee or label if icon == "person" else label, icon)


def _rows(found: Sequence[Conversation]) -> list[Row]:
    said = _last_words(found)
    stopped = _opted_out(found)
    rows = []
    for each in found:
        words = said.get(each.pk, Words())
        rows.append(
            Row(
                each,
                name(each.contact),
                badge(each),
                waits(each.waiting_since),
                words.snippet,
                words.ours > words.theirs,
                words.theirs,
                each.pk in stopped,
            )
        )
    return rows


def _opted_out(found: Sequence[Conversation]) -> set[int]:
    """The conversations with people who may not be texted from the number that they know."""
    ways = {each.pk: _way(each) for each in found if conversations.NUMBER.fullmatch(each.number)}
    try:
        stopped = suppressions.among(ways.values())
    except suppressions.WrongKey:
        return set()  # nobody at all is texted then; every thread says why
    return {pk for pk, way in ways.items() if way in stopped}


def _way(conversation: Conversation) -> suppressions.Way:
    return suppressions.Way(conversation.number, conversation.ours)


@dataclass(slots=True)
class Words:
    """The last message of each side, by its id, and how the later one begins."""

    theirs: int = 0
    ours: int = 0
    snippet: str = ""


def _last_words(found: Sequence[Conversation]) -> dict[int, Words]:
    """{conversation: its last words}, in three queries for a page."""
    ids = [each.pk for each in found]
    last = {pk: Words() for pk in ids}
    for said, side in ((Reply, "theirs"), (TeamReply, "ours")):
        of = said.objects.filter(conversation__in=ids).order_by().values_list("conversation")
        for pk, message in of.annotate(last=Max("message")):
            setattr(last[pk], side, message)
    messages = TextMessage.objects.filter(pk__in=[max(words.theirs, words.ours) for words in last.values()])
    texts = dict(messages.annotate(start=Left("text", SNIPPET)).values_list("pk", "start"))
    for words in last.values():
        words.snippet = texts.get(max(words.theirs, words.ours), "")
    return last


# --- a thread -------------------------------------------------------------------------------------------------


def thread(conversation: Conversation, person: Any, before: str = "") -> dict[str, Any]:
    """What the page of one conversation shows, beside its forms."""
    page = conversations.thread(conversation, before=before)
    ours = conversations.name_of(person)
    closed = conversation.state == State.CLOSED
    return {
        "conversation": conversation,
        "name": name(conversation.contact),
        "badge": badge(conversation),
        "waits": waits(conversation.waiting_since),
        "bubbles": _bubbles(page.entries, conversation.unread),
        "older": page.older,
        "seen": _seen(page.entries),
        "obstacle": conversations.obstacle(conversation),
        "stopped": _stopped(conversation),
        "poll_seconds": POLL_SECONDS,
        **_beside(conversation),
        "can": {
            "assign": not closed and conversation.assignee != ours,
            "release": bool(conversation.assignee) and not closed,
            "snooze": not closed,
            "close": not closed,
            "reopen": closed,
        },
    }


def sides(conversation: Conversation) -> dict[str, Any]:
    """What stands beside the thread and is not polled: quick replies, and the tokens of the forms."""
    quick = QuickReply.objects.order_by("shortcut")
    return {
        "quick": [(each.shortcut, each.text[:SAID] + "…" * (len(each.text) > SAID)) for each in quick],
        "once": new_reference(),
        "note_once": new_reference(),
    }


def _beside(conversation: Conversation) -> dict[str, Any]:
    """The facts in the side column: as live as the thread, since others work on them meanwhile."""
    contact, campaign = conversation.contact, conversation.campaign
    last = conversation.replies.filter(campaign=campaign).order_by("-pk").first()
    return {
        "state": STATES[State(conversation.state)][0],
        "tags": sorted(contact.tags.values_list("name", flat=True)) if contact else [],
        "notes": conversation.notes.count(),
        "fields": sorted((contact.fields if contact else {}).items()),
        "after_seconds": last.delay_seconds if last else None,
        "answers": Reply.objects.filter(campaign=campaign).count() if campaign else 0,
    }


def _bubbles(entries: Sequence[Entry], unread: int) -> list[Bubble]:
    first_new = _first_new(entries, unread)
    campaigns = _campaigns(entries)
    found = []
    for entry in entries:
        if entry.note:
            found.append(Bubble(f"note-{entry.note.pk}", entry, "note", icon="draft"))
        elif entry.message and _is_inbound(entry.message):
            is_new = entry.message.pk == first_new
            found.append(Bubble(f"text-{entry.message.pk}", entry, "in", is_new=is_new))
        elif entry.message:
            key, icon = ICONS.get(Status(entry.message.status), ("waiting", "clock"))
            campaign = campaigns.get(entry.message.pk, "")
            found.append(Bubble(f"text-{entry.message.pk}", entry, "out", key, icon, campaign=campaign))
    return found


def _first_new(entries: Sequence[Entry], unread: int) -> int | None:
    """The id of the first of the last `unread` texts that need an answer; None when there is none."""
    inbound = [entry.message.pk for entry in entries if entry.message and _is_inbound(entry.message)]
    if not unread or not inbound:
        return None
    asking = Reply.objects.filter(message__in=inbound, needs_answer=True).order_by("-message")
    return min(asking.values_list("message", flat=True)[:unread], default=None)


def _is_inbound(message: TextMessage) -> bool:
    return message.direction == TextMessage.Direction.INCOMING


def _campaigns(entries: Sequence[Entry]) -> dict[int, str]:
    """{message: the name of the campaign that it is of}."""
    ids = [entry.message.pk for entry in entries if entry.message and entry.message.campaign_id]
    return dict(TextMessage.objects.filter(pk__in=ids).values_list("pk", "campaign__name"))


def _seen(entries: Sequence[Entry]) -> int:
    """The id of the last inbound message that the page shows; 0 when it shows none."""
    return max((entry.message.pk for entry in entries if entry.message and _is_inbound(entry.message)), default=0)


def _stopped(conversation: Conversation) -> tuple[str, str, datetime] | None:
    """Why the number is suppressed, by what evidence, since when; None when it is not."""
    if not conversations.NUMBER.fullmatch(conversation.number):
        return None
    scopes = (suppressions.ALL.key, suppressions.Scope(sender=conversation.ours).key)
    try:
        entry = next((each for each in suppressions.of(conversation.number) if each.scope_key in scopes), None)
    except suppressions.WrongKey:
        return None  # the obstacle says so
    if entry is None:
        return None
    why = DOUBTFUL if entry.needs_review else REASONS.get(entry.reason, "The number is suppressed")
    return why, entry.evidence, entry.created_at


# --- what a reply comes to ------------------------------------------------------------------------------------


def counted(conversation: Conversation, text: str) -> dict[str, Any]:
    """What a reply would be as it stands: its segments, and a quick reply spelled out. Raises what `expand` raises."""
    spelled = conversations.expand(conversation, text)
    return {"segments": segments.segments(spelled), "spelled": spelled if spelled != text else "", "is_empty": not text}


def tomorrow(zone: str, now: datetime | None = None) -> datetime:
    """9:00 of the next day in a time zone such as Europe/Madrid; in the server's when there is none of that name."""
    try:
        there = ZoneInfo(zone) if zone else timezone.get_current_timezone()
    except (KeyError, ValueError, OSError):  # unknown, or no name at all
        there = timezone.get_current_timezone()
    day = (now or timezone.now()).astimezone(there) + timedelta(days=1)
    return day.replace(hour=MORNING, minute=0, second=0, microsecond=0)
