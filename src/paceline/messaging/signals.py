"""Who is told that a message has changed? Receivers of seven signals, after the commit, batch by batch.

`message_sent`, `delivery_updated` and `message_received` send one `MessageEvent` as `event`; and Django's own
`post_save` is sent for `TextMessage`, although most rows are written by statements that Django does not see.
`conversation_opened` and `conversation_closed` send one `ConversationEvent`, `keyword_matched` one `KeywordMatch`.
Without receivers all of this costs no query. A process that dies between a commit and its signals sends none: what
must not be missed is read from the rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import DEFAULT_DB_ALIAS
from django.db.models import QuerySet
from django.db.models.signals import post_save
from django.dispatch import Signal
from django.utils import timezone

from paceline.sms.status import UNFINISHED, Status

from . import engine
from .models import Conversation, TextMessage

message_sent = Signal()
"""The provider has answered that it takes a message."""

delivery_updated = Signal()
"""Its status has changed otherwise: sent, delivered, refused, uncertain, suppressed … (not: queued, submitting)"""

message_received = Signal()
"""Somebody has sent us a text."""

conversation_opened = Signal()
"""Somebody waits for the team: a text has opened a conversation, or a person has reopened it."""

conversation_closed = Signal()
"""The team is done with a conversation."""

keyword_matched = Signal()
"""Keyword rules have matched a text that somebody has sent us. `event` is a `KeywordMatch`."""

_OURS = (message_sent, delivery_updated, message_received)


@dataclass(frozen=True, slots=True)
class MessageEvent:
    """What has happened to a message. `status` is that of this moment; `message` is the row, read after the commit.

    `previous` is None when the row is new. `code` is the provider's own word, `reason` our sentence for it.
    """

    message: TextMessage
    status: Status
    previous: Status | None
    code: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class ConversationEvent:
    """A conversation that was opened or closed; the row is read after the commit.

    `message` is the text that has opened it, `by` the person who has reopened or closed it; else None and empty.
    """

    conversation: Conversation
    at: datetime
    by: str
    message: TextMessage | None


@dataclass(frozen=True, slots=True)
class KeywordMatch:
    """Rules have matched an inbound text: the row, read after the commit, and the rules' names in their order."""

    message: TextMessage
    rules: list[str]
    at: datetime


def is_heard() -> bool:
    """True when anybody listens; callers spare themselves queries otherwise."""
    return post_save.has_listeners(TextMessage) or any(signal.has_listeners(TextMessage) for signal in _OURS)


_READS = (
    *("pk", "status", "code", "reason", "provider_id", "attempt", "sender_id", "to", "text", "not_before", "segments"),
    *("price", "currency", "accepted_at", "reported_at"),
)


def _read(ids: Iterable[int] | QuerySet[Any]) -> dict[int, Any]:
    found: dict[int, Any] = {}
    for part in engine.chunks(sorted(ids)):
        rows = TextMessage.objects.filter(pk__in=part).order_by("pk")
        found |= {row.pk: row for row in rows.values_list(*_READS, named=True)}
    return found


@contextmanager
def watched(ids: Iterable[int] | QuerySet[Any]) -> Iterator[None]:
    """Tells of those of `ids` that the block changes; for inside the transaction that does.

    `ids` may be a queryset of primary keys, which is read only when somebody listens.
    """
    if not is_heard():
        yield
        return
    before = _read(ids)
    yield
    changed = [(row, before[pk]) for pk, row in _read(before).items() if row != before[pk]]
    if changed:
        at = timezone.now()
        engine.after_commit(lambda: _tell(changed, at))


@contextmanager
def inserted(among: QuerySet[TextMessage]) -> Iterator[None]:
    """Tells of the rows among these that the block inserts past Django; for inside the transaction that does."""
    if not is_heard():
        yield
        return
    ids = among.values_list("pk", flat=True)
    known = set(ids)
    yield
    created(set(ids.all()) - known)


def created(ids: Iterable[int]) -> None:
    """Tells of rows that have been inserted past Django; for inside the transaction that did."""
    if is_heard() and (new := [(row, None) for row in _read(ids).values()]):
        at = timezone.now()
        engine.after_commit(lambda: _tell(new, at))


def insert(message: TextMessage) -> TextMessage:
    """Inserts one message, told of after the commit instead of within the transaction."""
    TextMessage.objects.bulk_create([message])
    created([message.pk])
    return message


def _tell(changes: Sequence[tuple[Any, Any]], at: datetime) -> None:
    for part in engine.chunks(changes):
        messages = TextMessage.objects.in_bulk([row.pk for row, _ in part])
        for row, before in part:
            if row.pk in messages:
                _tell_one(messages[row.pk], row, before, at)


def _tell_one(message: TextMessage, row: Any, before: Any, at: datetime) -> None:
    post_save.send_robust(
        TextMessage, instance=message, created=before is None, raw=False, using=DEFAULT_DB_ALIAS, update_fields=None
    )
    status, previous = Status(row.status), None if before is None else Status(before.status)
    if status is Status.RECEIVED:
        signal = message_received
    elif before is not None and row.accepted_at and not before.accepted_at:
        signal = message_sent
    elif status is previous or status in UNFINISHED:
        return
    else:
        signal = delivery_updated
    signal.send_robust(TextMessage, event=MessageEvent(message, status, previous, row.code, row.reason, at))


def tell_conversations(signal: Signal, changes: Sequence[tuple[int, datetime, str, int | None]]) -> None:
    """Tells of (conversation's id, moment, by whom, the text's id), once what is being written is committed."""
    if changes and signal.has_listeners(Conversation):
        engine.after_commit(lambda: _tell_conversations(signal, changes))


def _tell_conversations(signal: Signal, changes: Sequence[tuple[int, datetime, str, int | None]]) -> None:
    for part in engine.chunks(changes):
        conversations = Conversation.objects.select_related("contact", "sender", "campaign").in_bulk(
            [c for c, *_ in part]
        )
        messages = TextMessage.objects.in_bulk([message for *_, message in part if message])
        for pk, at, by, message in part:
            if pk in conversations:
                event = ConversationEvent(conversations[pk], at, by, messages.get(message or 0))
                signal.send_robust(Conversation, event=event)


def matched(message: TextMessage, rules: Sequence[str]) -> None:
    """Tells that these rules have matched; for inside the transaction that carries them out."""
    if keyword_matched.has_listeners(TextMessage):
        at = timezone.now()
        engine.after_commit(lambda: _tell_match(message.pk, list(rules), at))


def _tell_match(message_id: int, rules: list[str], at: datetime) -> None:
    message = TextMessage.objects.filter(pk=message_id).first()
    if message is not None:
        keyword_matched.send_robust(TextMessage, event=KeywordMatch(message, rules, at))
