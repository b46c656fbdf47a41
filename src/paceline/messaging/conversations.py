"""Who waits for an answer, and whose turn is it? What people and our numbers say to each other, for a team.

    (new) ──text──▶ open ◀──release──┐
                     │ ├──assign──▶ assigned
                     │ │              │ ├──snooze──▶ snoozed ──its moment, a text, assign──▶ open or assigned
                     └─┴────close─────┴─┴──▶ closed ──a text that needs an answer, reopen──▶ open

A state changes by a conditional update whose row count is the answer: of two doors that act at once, one is told no.
People are names, as they sign in (`User.get_username()`); every verb takes the name or the user. Nothing here sends:
a reply goes into the outbox, ahead of bulk, from the number that the person knows.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Count, F, Min, Q, QuerySet
from django.utils import timezone

from paceline.sms import errors, templates
from paceline.sms.errors import PacelineError
from paceline.sms.status import Status

from . import engine, outbox, signals, suppressions
from .models import (
    AutomaticText,
    Contact,
    Conversation,
    Note,
    QuickReply,
    Reply,
    Sender,
    Spell,
    TeamReply,
    TextMessage,
)

State = Conversation.State

UNCLOSED = (State.OPEN, State.ASSIGNED, State.SNOOZED)
"""The backlog: what somebody must still see to."""

ANSWERS_WITHIN = timedelta(days=30)
"""A text that comes later than this after our last one answers nothing in particular."""

NUMBER = re.compile(r"\+[0-9]{3,15}")
_SHORTCUT = re.compile(r"/([\w-]++)(?!/)")
_NAME = re.compile(r"[\w-]{1,40}")
_NEVER_LEFT = (
    *(Status.HELD, Status.QUEUED, Status.LEASED),
    *(Status.FAILED, Status.REFUSED, Status.SUPPRESSED, Status.CANCELLED),
)


class UnknownShortcut(PacelineError):
    """No quick reply has this name; the sentence lists those that there are."""


# --- what comes in --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Answered:
    """The message of ours that a text answers: its id, its campaign, and when it was submitted (epoch seconds)."""

    id: int
    campaign_id: int | None
    submitted_at: float


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
class Taken:
    """What has become of one inbound text: its row, and its conversation as it is after all of them.

    `opens`: the conversation was closed until this text.
    """

    message: TextMessage
    conversation: Conversation
    answers: Answered | None
    needs_answer: bool
    opens: bool


def answered(asked: Sequence[tuple[int | None, str, datetime]]) -> list[Answered | None]:
    """What each text answers, given as (contact's id, our number, moment of receipt); one query for all.

    The latest message to this person that was submitted before, from that number, or else from another of ours; None
    when there was none within 30 days.
    """
    ids = sorted({contact_id for contact_id, _, _ in asked if contact_id})
    if not ids:
        return [None] * len(asked)
    since = min(at for _, _, at in asked) - ANSWERS_WITHIN
    theirs, params = engine.one_of("contact_id", ids)
    left = ", ".join(["%s"] * len(_NEVER_LEFT))
    sent = engine.rows(
        f"SELECT contact_id, frm, id, campaign_id, submitted_at FROM {TextMessage._meta.db_table} WHERE {theirs} "
        f"AND direction = %s AND submitted_at >= %s AND status NOT IN ({left}) ORDER BY submitted_at, id",
        [*params, TextMessage.Direction.OUTGOING.value, since.timestamp(), *(status.value for status in _NEVER_LEFT)],
    )
    to: dict[int, list[tuple[Answered, str]]] = defaultdict(list)
    for contact_id, frm, *message in sent:
        to[contact_id].append((Answered(*message), frm))
    return [_latest(to.get(contact_id or 0, ()), ours, at) for contact_id, ours, at in asked]


def _latest(sent: Sequence[tuple[Answered, str]], ours: str, at: datetime) -> Answered | None:
    until = at.timestamp()
    since = until - ANSWERS_WITHIN.total_seconds()
    earlier = [pair for pair in sent if since <= pair[0].submitted_at <= until]
    from_ours = [message for message, frm in earlier if frm == ours]
    return (from_ours or [message for message, _ in earlier] or [None])[-1]


def take_in(texts: Sequence[Incoming]) -> list[Taken]:
    """Puts new inbound texts, oldest first, into their conversations; answers one `Taken` for each, in their order.

    A text that needs an answer opens what was closed, ends a snooze, counts as unread, and starts the wait if nobody
    waits yet. A short code or a name gets no answer, whatever it says. Runs inside the caller's transaction, which has
    inserted the messages just now: what is known already must not come here again. A handful of statements in all.
    """
    found = _locked(texts)
    taken = []
    for text in texts:
        conversation = found[_key(text)]
        needed = text.needs_answer and NUMBER.fullmatch(conversation.number) is not None
        taken.append(Taken(text.message, conversation, text.answers, needed, _hear(conversation, text, needed)))
    _write({one.conversation.pk: one.conversation for one in taken}.values())
    engine.insert(
        Reply._meta.db_table,
        _REPLY,
        [_values(one, text.received_at) for one, text in zip(taken, texts, strict=True)],
    )
    _begin([(one.conversation, "", one.message.pk) for one in taken if one.opens])
    return taken


_REPLY = (
    *("message_id", "conversation_id", "campaign_id", "answers_id", "delay_seconds", "received_at"),
    *("needs_answer", "opens"),
)


def _values(one: Taken, received_at: datetime) -> tuple[Any, ...]:
    campaign_id, answers_id, delay = None, None, None
    if one.answers:
        campaign_id, answers_id = one.answers.campaign_id, one.answers.id
        delay = received_at.timestamp() - one.answers.submitted_at
    moment = engine.moment(received_at)
    return one.message.pk, one.conversation.pk, campaign_id, answers_id, delay, moment, one.needs_answer, one.opens


def _key(text: Incoming) -> tuple[str, str]:
    """What tells conversations apart: their number, and ours."""
    return text.message.frm, text.message.to


def _locked(texts: Sequence[Incoming]) -> dict[tuple[str, str], Conversation]:
    """The conversations of these texts, locked until the transaction ends; new ones are made."""
    first = {_key(text): text for text in reversed(texts)}
    found = _of([number for number, _ in first])
    if new := sorted(first.keys() - found.keys()):
        engine.insert(
            Conversation._meta.db_table,
            ("number", "ours", "state", "assignee", "unread", "last_at"),
            [(*key, State.CLOSED.value, "", 0, engine.moment(first[key].received_at)) for key in new],
        )
        found |= _of([number for number, _ in new])
    for number, ours in first.keys() - found.keys():  # written another way, and the same to this database
        found[number, ours] = engine.locked(Conversation.objects.filter(number=number, ours=ours)).get()
    return found


def _of(numbers: Iterable[str]) -> dict[tuple[str, str], Conversation]:
    sought = engine.among(Conversation, "number", sorted(set(numbers)))
    rows = engine.locked(Conversation.objects.filter(sought).order_by("pk"))
    return {(row.number, row.ours): row for row in rows}


def _hear(conversation: Conversation, text: Incoming, needed: bool) -> bool:
    """What one text changes. True when it opens what was closed."""
    at = text.received_at
    conversation.last_at = max(conversation.last_at, at)
    conversation.contact_id = text.message.contact_id or conversation.contact_id
    conversation.sender_id = text.message.sender_id or conversation.sender_id
    if text.answers and text.answers.campaign_id:
        conversation.campaign_id = text.answers.campaign_id
    if not needed:
        return False
    conversation.unread += 1
    conversation.waiting_since = conversation.waiting_since or at
    if conversation.state == State.SNOOZED:
        conversation.state = State.ASSIGNED if conversation.assignee else State.OPEN
        conversation.snoozed_until = None
    if conversation.state != State.CLOSED:
        return False
    conversation.state = State.OPEN
    conversation.opened_at = max(at, conversation.closed_at or at)  # a spell begins after the one before
    return True


_HEARD = {
    **{"state": "varchar", "unread": "integer", "waiting_since": "timestamptz", "snoozed_until": "timestamptz"},
    **{"opened_at": "timestamptz", "last_at": "timestamptz"},
    **{"contact_id": "bigint", "sender_id": "bigint", "campaign_id": "bigint"},
}
"""What a text may change, with its type on PostgreSQL."""


def _write(conversations: Iterable[Conversation]) -> None:
    rows = [(c.pk, *(_plain(getattr(c, column)) for column in _HEARD)) for c in conversations]
    engine.update_each(Conversation._meta.db_table, _HEARD, sorted(rows))


def _plain(value: Any) -> Any:
    return engine.moment(value) if isinstance(value, datetime) else str(value) if isinstance(value, State) else value


def _begin(opened: Sequence[tuple[Conversation, str, int | None]]) -> None:
    """Records that these are open from their `opened_at` on, by whom or what text, and tells of it after the commit."""
    rows = [(c.pk, engine.moment(c.opened_at), None, "") for c, _, _ in opened if c.opened_at]
    engine.insert(Spell._meta.db_table, ("conversation_id", "opened_at", "closed_at", "closed_by"), rows)
    signals.tell_conversations(
        signals.conversation_opened, [(c.pk, c.opened_at, by, message) for c, by, message in opened if c.opened_at]
    )


# --- what the team does ---------------------------------------------------------------------------------------


def reply(
    conversation: Conversation,
    text: str,
    author: Any = "",
    *,
    seen: int | None = None,
    once: str = "",
    at: datetime | None = None,
) -> TextMessage:
    """Queues an answer, ahead of bulk, from the number that the person knows; nobody waits any more then.

    A quick reply's `/shortcut` is spelled out first. `seen` is the id of the last inbound message that its author has
    seen: what came after it still waits. `once` is a fresh reference (32 hex digits) that becomes the message's own:
    the same one again, as by a double click, queues nothing and answers the message that there is.

    Raises, with the reason for people and a `code`: `Refused` (the number is suppressed, or none that can be texted;
    an empty text), `SenderProblem` (the number is not ours, removed or blocked), `AccountProblem` (it is blocked); and
    what `expand` raises.
    """
    at = at or timezone.now()
    sender = _way_back(conversation)
    spelled = expand(conversation, text)
    with engine.write():
        row = _lock(conversation)
        if once and (message := TextMessage.objects.filter(reference=once, team_reply__conversation=row).first()):
            return message
        if suppressions.among([suppressions.Way(row.number, row.ours)]):
            raise errors.Refused("This number may not be texted: it is suppressed", code="suppressed")
        message = outbox.queue_text(spelled, sender, row.number, reference=once)
        TeamReply.objects.create(message=message, conversation=row, author=name_of(author), at=at)
        unread, since = _unseen(row, seen)
        Conversation.objects.filter(pk=row.pk).update(
            waiting_since=since and row.waiting_since and max(since, row.waiting_since),
            unread=min(unread, row.unread),
            contact=message.contact_id,
            last_at=max(row.last_at, at),
        )
    conversation.refresh_from_db()
    return message


def obstacle(conversation: Conversation) -> str:
    """Why no reply can leave now, in a sentence; empty when one can."""
    try:
        _way_back(conversation)
        stopped = suppressions.among([suppressions.Way(conversation.number, conversation.ours)])
    except PacelineError as error:
        return str(error)
    return "This number may not be texted: it is suppressed" if stopped else ""


def _way_back(conversation: Conversation) -> Sender:
    """The sender that this person has written to. Raises what keeps a reply from leaving it."""
    if not NUMBER.fullmatch(conversation.number):
        raise errors.Refused("This came from a short code or a name: nothing that a text goes to", code="no_number")
    sender = Sender.objects.select_related("account").filter(pk=conversation.sender_id).first()
    if sender is None:
        raise errors.SenderProblem("They wrote to a number that is not one of our senders", code="unknown_sender")
    if sender.removed_at is not None:
        raise errors.SenderProblem("This sender has been removed; nothing leaves it", code="sender_removed")
    if sender.blocked:
        raise errors.SenderProblem(f"This sender is blocked: {sender.blocked}"[:200], code="sender_blocked")
    if why := sender.account.blocked:
        raise errors.AccountProblem(f"Account {sender.account.alias} is blocked: {why}"[:200], code="account_blocked")
    return sender


def assign(conversation: Conversation, to: Any, *, taking_from: Any = "") -> bool:
    """`to` takes it up. False when it is closed, or somebody else has it; name them in `taking_from` to take over."""
    name, before = name_of(to), name_of(taking_from)
    if not name:
        raise ValueError("Nobody to assign it to; release() gives it back to all")
    return _change(
        conversation,
        Q(state__in=UNCLOSED, assignee__in=[before, name]),
        state=State.ASSIGNED,
        assignee=name,
        snoozed_until=None,
    )


def release(conversation: Conversation) -> bool:
    """Nobody has it any more: it is open to all, or stays snoozed. False when nobody had it."""
    snoozed = Q(state=State.SNOOZED) & ~Q(assignee="")
    return _change(conversation, Q(state=State.ASSIGNED), state=State.OPEN, assignee="") or _change(
        conversation, snoozed, assignee=""
    )


def snooze(conversation: Conversation, until: datetime) -> bool:
    """Out of sight until that moment, or until they write. False when it is closed.

    Raises `ValueError` for a moment without a time zone, and for one that has passed.
    """
    if timezone.is_naive(until):
        raise ValueError("until has no time zone, so it names no moment: write timezone.make_aware(until)")
    if until <= timezone.now():
        raise ValueError("That moment has passed already; say one that is to come")
    return _change(conversation, Q(state__in=UNCLOSED), state=State.SNOOZED, snoozed_until=until)


def wake(now: datetime | None = None) -> int:
    """Snoozed ones whose moment has come are open or assigned again. Answers how many."""
    due = Conversation.objects.filter(state=State.SNOOZED, snoozed_until__lte=now or timezone.now())
    if not due.exists():
        return 0
    with engine.write():
        woken = due.filter(assignee="").update(state=State.OPEN, snoozed_until=None)
        return woken + due.exclude(assignee="").update(state=State.ASSIGNED, snoozed_until=None)


def close(
    conversation: Conversation,
    by: Any = "",
    *,
    seen: int | None = None,
    if_read: bool = False,
    at: datetime | None = None,
) -> bool:
    """Done: it leaves the backlog, and is nobody's. False when it was closed already.

    `seen` is the id of the last inbound message that was seen: what came after it keeps the conversation open, False.
    Who cannot say so gives `if_read`: then what nobody has looked at keeps it open.
    """
    with engine.write():
        row = _lock(conversation)
        stays = (if_read and row.unread) or _unseen(row, seen)[0]
        done = not stays and bool(_close([row], name_of(by), at or timezone.now()))
    conversation.refresh_from_db()
    return done


def close_all(chosen: Iterable[int], by: Any = "", *, at: datetime | None = None) -> int:
    """Closes the conversations with these ids, some hundreds in a transaction; answers how many it has closed."""
    closed = 0
    for part in engine.chunks(sorted(set(chosen)), engine.CHUNK // 2):
        with engine.write():
            rows = engine.locked(Conversation.objects.filter(pk__in=part).order_by("pk"))
            closed += _close(rows, name_of(by), at or timezone.now())
    return closed


def _close(locked: Iterable[Conversation], by: str, at: datetime) -> int:
    """Closes those of these rows that are not closed yet, within the transaction that has locked them."""
    ids = [row.pk for row in locked if row.state != State.CLOSED]
    if ids:
        Conversation.objects.filter(pk__in=ids).update(
            state=State.CLOSED, assignee="", unread=0, waiting_since=None, snoozed_until=None, closed_at=at
        )
        Spell.objects.filter(conversation__in=ids, closed_at=None).update(closed_at=at, closed_by=by)
        signals.tell_conversations(signals.conversation_closed, [(pk, at, by, None) for pk in ids])
    return len(ids)


def forget(number: str, mark: str) -> None:
    """Of an erased person only `mark` remains: closed, without the team's notes. The record of the backlog stays."""
    for pk in Conversation.objects.filter(number=number).order_by("pk").values_list("pk", flat=True):
        with engine.write():
            row = engine.locked(Conversation.objects.filter(pk=pk)).get()
            _close([row], "", timezone.now())
            Note.objects.filter(conversation=row).delete()
            before = Conversation.objects.filter(number=mark, ours=row.ours).first()
            if before is None:
                Conversation.objects.filter(pk=pk).update(number=mark, contact=None)
                continue
            for model in (Reply, TeamReply, Spell):  # erased before, and they have written again since
                model._default_manager.filter(conversation=row).update(conversation=before)
            row.delete()


def reopen(conversation: Conversation, by: Any = "", *, at: datetime | None = None) -> bool:
    """Opens a closed one by hand. False when it was not closed."""
    with engine.write():
        done = _change(conversation, Q(state=State.CLOSED), state=State.OPEN, opened_at=at or timezone.now())
        if done:
            _begin([(conversation, name_of(by), None)])
    return done


def mark_read(conversation: Conversation, *, seen: int | None = None) -> int:
    """Nothing of it is unread, but for what came after the inbound message with the id `seen`. Answers how much."""
    with engine.write():
        row = _lock(conversation)
        unread = min(row.unread, _unseen(row, seen)[0])
        Conversation.objects.filter(pk=row.pk).update(unread=unread)
    conversation.refresh_from_db()
    return unread


def note(conversation: Conversation, text: str, author: Any = "", *, once: str = "") -> Note:
    """Keeps a note for the team; it is never sent. Raises `ValueError` for an empty one.

    `once` is a fresh token of up to 32 characters: the same one again, as by a double click, answers the note that
    there is.
    """
    if not text.strip():
        raise ValueError("The note is empty")
    with engine.write():
        row = _lock(conversation)
        if once and (kept := Note.objects.filter(conversation=row, once=once).first()):
            return kept
        return Note.objects.create(conversation=row, text=text, author=name_of(author), once=once or None)


def _change(conversation: Conversation, only: Q, **values: Any) -> bool:
    """Changes it where it is still so; the row count is the answer. What the caller holds is up to date then."""
    with engine.write():
        done = bool(Conversation.objects.filter(only, pk=conversation.pk).update(**values))
    conversation.refresh_from_db()
    return done


def _lock(conversation: Conversation) -> Conversation:
    return engine.locked(Conversation.objects.filter(pk=conversation.pk)).get()


def _unseen(conversation: Conversation, seen: int | None) -> tuple[int, datetime | None]:
    """How many texts that need an answer came after the message `seen`, and when the first did. The row is locked."""
    if seen is None:
        return 0, None
    later = Reply.objects.filter(conversation=conversation, message__gt=seen, needs_answer=True)
    found = later.aggregate(count=Count("pk"), first=Min("received_at"))
    return found["count"], found["first"]


def name_of(person: Any) -> str:
    """How a person is kept here: the name they sign in with. A name stays as it is."""
    named = getattr(person, "get_username", None)
    return str(named() if named else person)[:254]


# --- quick replies --------------------------------------------------------------------------------------------


def save_quick_reply(name: str, text: str) -> QuickReply:
    """Makes or rewrites a quick reply. Raises `TemplateError` for its text, `ValueError` for its name."""
    saved, _ = QuickReply.objects.update_or_create(shortcut=shortcut(name, text), defaults={"text": text})
    return saved


def shortcut(name: str, text: str) -> str:
    """The name as it is kept: small letters, no slash. Raises as `save_quick_reply` does."""
    kept = name.strip().removeprefix("/").casefold()
    if not _NAME.fullmatch(kept):
        raise ValueError("A shortcut is one word of up to 40 letters, digits, hyphens and underscores: /hours")
    if not text.strip():
        raise ValueError("The text is empty; write what the shortcut stands for")
    templates.parse(text)
    return kept


def remove_quick_reply(name: str) -> bool:
    """False when there was none."""
    deleted, _ = QuickReply.objects.filter(shortcut=name.strip().removeprefix("/").casefold()).delete()
    return bool(deleted)


def expand(conversation: Conversation, text: str) -> str:
    """The text with a `/shortcut` at its very beginning spelled out, with this contact's fields.

    Raises `UnknownShortcut`, and `TemplateError` for a field that this contact lacks.
    """
    word = _SHORTCUT.match(text)
    if word is None:
        return text
    name = word[1].casefold()
    quick = QuickReply.objects.filter(shortcut=name).first()
    if quick is None:
        known = ", ".join(f"/{s}" for s in QuickReply.objects.order_by("shortcut").values_list("shortcut", flat=True))
        raise UnknownShortcut(
            f"There is no quick reply /{name} (there is: {known or 'none yet'}); begin with a blank to send it as it is"
        )
    contact = Contact.objects.filter(number=conversation.number).first()
    return templates.render(quick.text, contact.fields if contact else {}) + text[word.end() :]


# --- what there is --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Backlog:
    """How many conversations are in each state but closed, and since when the first one waits."""

    open: int = 0
    assigned: int = 0
    snoozed: int = 0
    waiting_since: datetime | None = None

    @property
    def total(self) -> int:
        """What is not closed. A snoozed one counts: it comes back."""
        return self.open + self.assigned + self.snoozed


def backlog() -> Backlog:
    """How much the team has before it now; by index alone, however many conversations have been closed."""
    unclosed = Conversation.objects.filter(state__in=UNCLOSED)
    states = unclosed.order_by().values_list("state").annotate(count=Count("pk"), first=Min("waiting_since"))
    rows = [(state, count, first) for state, count, first in states]
    waits = min((first for state, _, first in rows if first and state != State.SNOOZED), default=None)
    return Backlog(**{state: count for state, count, _ in rows}, waiting_since=waits)


def backlog_at(moment: datetime) -> int:
    """How many conversations were not closed at that moment, by the record of their spells."""
    begun = Spell.objects.filter(opened_at__lte=moment)
    return begun.filter(closed_at=None).count() + begun.filter(closed_at__gt=moment).count()


def highest_backlog(since: datetime, until: datetime) -> int:
    """The most conversations that were not closed at once between two moments, by the record of their spells."""
    level = most = backlog_at(since)
    for _, step in sorted(
        [(at, +1) for at in _moments("opened_at", since, until)]
        + [(at, -1) for at in _moments("closed_at", since, until)]
    ):
        level += step
        most = max(most, level)
    return most


def _moments(field: str, since: datetime, until: datetime) -> QuerySet[Any]:
    within = Spell.objects.filter(**{f"{field}__gt": since, f"{field}__lte": until})
    return within.values_list(field, flat=True)


def waiting(*, assignee: Any = None) -> QuerySet[Conversation]:
    """What is open or assigned: who waits longest first, then where the last word is ours.

    `assignee` narrows it down to one person's; `""`, to what nobody has.
    """
    rows = Conversation.objects.filter(state__in=[State.OPEN, State.ASSIGNED])
    if assignee is not None:
        rows = rows.filter(assignee=name_of(assignee))
    return rows.select_related("contact", "sender", "campaign").order_by(F("waiting_since").asc(nulls_last=True), "pk")


def recent(*states: str) -> QuerySet[Conversation]:
    """All conversations, or those in these states: where something was said last, first."""
    rows = Conversation.objects.filter(state__in=states) if states else Conversation.objects.all()
    return rows.select_related("contact", "sender", "campaign").order_by("-last_at", "-pk")


# --- a thread -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a thread: a message, either way, or a note; when it was, and who of us wrote it, if that is known.

    `automatic`: a rule, the office hours or a confirmation has sent it, and nobody of the team.
    """

    at: datetime
    message: TextMessage | None = None
    note: Note | None = None
    author: str = ""
    automatic: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """Entries in the order of time. `older` asks for the page before; it is empty at the beginning."""

    entries: list[Entry]
    older: str = ""


def thread(conversation: Conversation, *, before: str = "", most: int = 50) -> Page:
    """The last `most` messages and notes; with `before`, a page's `older`, those that precede that page.

    What came in and what went out between the person and this number: of campaigns too, from their release on.
    """
    keys = sorted([*_texts(conversation), *_notes(conversation)])
    named = {f"{kind}{pk}": index for index, (_, kind, pk) in enumerate(keys)}
    end = named.get(before, len(keys))
    shown = keys[max(0, end - most) : end]
    messages = TextMessage.objects.in_bulk([pk for _, kind, pk in shown if kind == "m"])
    notes = Note.objects.in_bulk([pk for _, kind, pk in shown if kind == "n"])
    authors = dict(TeamReply.objects.filter(message__in=messages).values_list("message", "author"))
    unaided = set(AutomaticText.objects.filter(message__in=messages).values_list("message", flat=True))
    entries = [
        Entry(at, message=messages[pk], author=authors.get(pk, ""), automatic=pk in unaided)
        if kind == "m"
        else Entry(at, note=notes[pk], author=notes[pk].author)
        for at, kind, pk in shown
        if pk in (messages if kind == "m" else notes)
    ]
    return Page(entries, f"{shown[0][1]}{shown[0][2]}" if end > most else "")


def _texts(conversation: Conversation) -> Iterable[tuple[datetime, str, int]]:
    """(moment, "m", id) of its messages: by the contact's own, few as they are, or by what is on record without one."""
    received = dict(Reply.objects.filter(conversation=conversation).values_list("message", "received_at"))
    replied = TeamReply.objects.filter(conversation=conversation).values_list("message", flat=True)
    out = Q(direction=TextMessage.Direction.OUTGOING, frm=conversation.ours, to=conversation.number)
    rows = list(_read(TextMessage.objects.filter(pk__in=[*received, *replied])))
    if conversation.contact_id:
        into = Q(direction=TextMessage.Direction.INCOMING, frm=conversation.number, to=conversation.ours)
        mine = TextMessage.objects.filter(out | into, contact=conversation.contact_id).exclude(status=Status.HELD)
        rows += list(_read(mine))
    for pk, submitted_at, created_on in set(rows):
        at = created_on if submitted_at is None else datetime.fromtimestamp(submitted_at, UTC)
        yield received.get(pk, at), "m", pk


def _read(messages: QuerySet[TextMessage]) -> QuerySet[Any]:
    return messages.order_by().values_list("pk", "submitted_at", "created_on")


def _notes(conversation: Conversation) -> Iterable[tuple[datetime, str, int]]:
    for pk, at in Note.objects.filter(conversation=conversation).values_list("pk", "at"):
        yield at, "n", pk
