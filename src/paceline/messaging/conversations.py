"""Who waits for an answer, and whose turn is it? What people and our numbers say to each other, for a team.

    (new) ─text─▶ open ◀─assign / release─▶ assigned
                   │ ▲                        │ ▲
                   │ └───────── snoozed ◀─────┘ │   a text, its moment or `assign` ends a snooze
                   └──close──▶ closed ◀──close──┘   a text that needs an answer, or `reopen`, opens it again

A state changes by a conditional update whose row count is the answer: of two doors that act at once, one is told no.
People are names, as they sign in (`User.get_username()`); every verb takes the name or the user. Nothing in this
module sends: a reply goes into the outbox, ahead of bulk, from the number that the person knows.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import QuerySet

from paceline.sms.errors import PacelineError
from paceline.sms.status import Status

from . import engine
from .models import Conversation, Note, QuickReply, Reply, TextMessage

State = Conversation.State

UNCLOSED = (State.OPEN, State.ASSIGNED, State.SNOOZED)
"""The backlog: what somebody must still see to."""

ANSWERS_WITHIN = timedelta(days=30)
"""A text that comes later than this after our last one answers nothing in particular."""

NUMBER = re.compile(r"\+[0-9]{3,15}")
_SHORTCUT = re.compile(r"/([\w-]+)(?!\S)")
_NEVER_LEFT = (
    *(Status.HELD, Status.QUEUED, Status.LEASED),
    *(Status.FAILED, Status.REFUSED, Status.SUPPRESSED, Status.CANCELLED),
)


class UnknownShortcut(PacelineError):
    """No quick reply has this name; the sentence lists those that there are."""


# --- what comes in --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Incoming:
    """One inbound text whose row has been inserted, in the same transaction.

    `needs_answer` is False when nobody has to see it (an opt-out, a START): it is in the thread and opens nothing.
    """

    message: TextMessage
    received_at: datetime
    answers: Answered | None = None
    needs_answer: bool = True


@dataclass(frozen=True, slots=True)
class Answered:
    """The message of ours that a text answers: its id, its campaign, and when it was submitted (epoch seconds)."""

    id: int
    campaign_id: int | None
    submitted_at: float


@dataclass(frozen=True, slots=True)
class Taken:
    """What has become of one inbound text: its row, what is known of it, and its conversation as it is now."""

    message: TextMessage
    reply: Reply
    conversation: Conversation


def answered(asked: Sequence[tuple[int | None, str, datetime]]) -> list[Answered | None]:
    """What each text answers, given as (contact's id, our number, moment of receipt); one query for all.

    The latest message to this person that was submitted before, from that number, or else from another of ours; None
    when there was none within 30 days.
    """
    ids = sorted({contact_id for contact_id, _, _ in asked if contact_id})
    if not ids:
        return [None] * len(asked)
    since = min(at for _, _, at in asked) - ANSWERS_WITHIN
    sent = (
        TextMessage.objects.filter(engine.among(TextMessage, "contact", ids))
        .filter(direction=TextMessage.Direction.OUTGOING, submitted_at__gte=since.timestamp())
        .exclude(status__in=_NEVER_LEFT)
        .order_by("submitted_at", "pk")
    )
    of: dict[int, list[tuple[int, int | None, float, str]]] = defaultdict(list)
    for contact_id, *message in sent.values_list("contact", "pk", "campaign", "submitted_at", "frm"):
        of[contact_id].append(tuple(message))
    return [_latest(of.get(contact_id or 0, ()), ours, at) for contact_id, ours, at in asked]


def _latest(sent: Sequence[tuple[int, int | None, float, str]], ours: str, at: datetime) -> Answered | None:
    moment = at.timestamp()
    before = [m for m in sent if moment - ANSWERS_WITHIN.total_seconds() <= m[2] <= moment]
    for pk, campaign_id, submitted_at, _ in [*reversed([m for m in before if m[3] == ours]), *reversed(before)]:
        return Answered(pk, campaign_id, submitted_at)
    return None


def take_in(texts: Sequence[Incoming]) -> list[Taken]:
    """Puts new inbound texts, oldest first, into their conversations; answers one `Taken` for each, in their order.

    A text that needs an answer opens what was closed or snoozed, counts as unread, and starts the wait if nobody
    waits yet. Runs inside the caller's transaction, which has inserted the messages just now: a text that is known
    already must not come here again. A handful of statements, however many texts.
    """
    raise NotImplementedError


# --- what the team does ---------------------------------------------------------------------------------------


def reply(conversation: Conversation, text: str, author: Any = "", *, at: datetime | None = None) -> TextMessage:
    """Queues an answer, ahead of bulk, from the number that the person knows; nobody waits any more then.

    A quick reply's `/shortcut` is spelled out first. Raises, with the reason for people and a `code`: `Refused` (the
    number is suppressed, or none that can be texted; an empty text), `SenderProblem` (the number is not ours, removed
    or blocked), `AccountProblem` (blocked); and what `expand` raises.
    """
    raise NotImplementedError


def assign(conversation: Conversation, to: Any, *, taking_from: Any = "") -> bool:
    """`to` takes it up. False when it is closed, or somebody else has it; name them in `taking_from` to take over."""
    raise NotImplementedError


def release(conversation: Conversation) -> bool:
    """Nobody has it any more, it is open to all. False when nobody had it."""
    raise NotImplementedError


def snooze(conversation: Conversation, until: datetime) -> bool:
    """Out of sight until that moment (aware, in the future), or until they write. False when it is closed."""
    raise NotImplementedError


def close(conversation: Conversation, by: Any = "", *, seen: int | None = None, at: datetime | None = None) -> bool:
    """Done: it leaves the backlog, and is nobody's. False when it was closed already.

    `seen` is the id of the last inbound message that was seen: what came after it keeps the conversation open.
    """
    raise NotImplementedError


def close_all(chosen: Iterable[int], by: Any = "", *, at: datetime | None = None) -> int:
    """Closes the conversations of these ids, some hundreds in a transaction; answers how many were not closed yet."""
    raise NotImplementedError


def reopen(conversation: Conversation, *, at: datetime | None = None) -> bool:
    """Opens a closed one by hand. False when it was not closed."""
    raise NotImplementedError


def mark_read(conversation: Conversation) -> bool:
    """Nothing of it is unread. False when a text has come since `conversation` was read from the database."""
    raise NotImplementedError


def note(conversation: Conversation, text: str, author: Any = "") -> Note:
    """Keeps a note for the team. Raises `ValueError` for an empty one."""
    raise NotImplementedError


def wake(now: datetime | None = None) -> int:
    """Snoozed ones whose moment has come are open or assigned again. Answers how many."""
    raise NotImplementedError


# --- quick replies --------------------------------------------------------------------------------------------


def save_quick_reply(shortcut: str, text: str) -> QuickReply:
    """Makes or rewrites a quick reply. Raises `TemplateError` for its text, `ValueError` for its name."""
    raise NotImplementedError


def remove_quick_reply(shortcut: str) -> bool:
    """False when there was none."""
    raise NotImplementedError


def expand(conversation: Conversation, text: str) -> str:
    """The text with a `/shortcut` at its beginning spelled out, with this contact's fields.

    Raises `UnknownShortcut`, and `TemplateError` for a field that this contact lacks.
    """
    raise NotImplementedError


# --- what there is --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Backlog:
    """How many conversations are in each state, the closed ones apart, and since when the first one waits."""

    open: int = 0
    assigned: int = 0
    snoozed: int = 0
    waiting_since: datetime | None = None

    @property
    def total(self) -> int:
        """What is not closed. A snoozed one counts: it comes back."""
        return self.open + self.assigned + self.snoozed


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a thread: a message (either way) or a note, and its moment."""

    at: datetime
    message: TextMessage | None = None
    note: Note | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Entries in the order of time; `older` is what to give for the page before, None at the beginning."""

    entries: list[Entry]
    older: int | None


def backlog() -> Backlog:
    """How much the team has before it now."""
    raise NotImplementedError


def backlog_at(moment: datetime) -> int:
    """How many conversations were not closed at that moment, by the record of their spells."""
    raise NotImplementedError


def highest_backlog(since: datetime, until: datetime) -> int:
    """The most conversations that were unclosed at once between two moments, by the record of their spells."""
    raise NotImplementedError


def waiting(*, assignee: Any = None) -> QuerySet[Conversation]:
    """What is not closed and not snoozed: who waits longest first, then where the last word is ours.

    `assignee` narrows it down to one person's, `""` to what nobody has.
    """
    raise NotImplementedError


def thread(conversation: Conversation, *, most: int = 50, skip: int = 0) -> Page:
    """The last `most` messages and notes, but for the `skip` newest ones."""
    raise NotImplementedError


def name_of(person: Any) -> str:
    """How a person is kept here: the name they sign in with. A name stays as it is."""
    named = getattr(person, "get_username", None)
    return str(named() if named else person)[:254]
