"""What did a provider tell us? Every webhook is kept as it came, committed before the 200, and applied once.

`store` and `store_together` are what the webhook doors call; exact opt-out words take effect in the same commit.
`apply_due` is repeated by a dispatcher, or called by the same door: reports raise their message's status, texts go to
the inbox. Twice the same webhook changes nothing.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, OperationalError
from django.utils import timezone

from paceline.sms import failpoints
from paceline.sms.errors import PacelineError
from paceline.sms.messages import DeliveryReport, InboundText, WebhookRequest

from . import accounts, engine, inbox, reports
from .models import Event

log = logging.getLogger("paceline.events")

SHARE_MOST, TEXTS_SHARE_MOST = 250, 12
"""Webhooks that may share a commit, and texts among them: on SQLite all wait for it, and a STOP takes 1 ms."""

APPLY_MOST = 100
TEXTS_AT_ONCE = 50  # so that a dispatcher's claims need not wait longer than for other writes
KEEP_UNMATCHED_SECONDS = 72 * 3600.0


class Arrival:
    """A verified webhook on its way into the database, and what it says.

    `is_done`: it is committed, or `error` says why not. `turn` is held until then, or until it is to write for all.
    """

    __slots__ = ("account", "at", "error", "is_done", "is_to_write", "key", "texts", "turn", "webhook")

    def __init__(self, account: str, webhook: WebhookRequest, says: Sequence[DeliveryReport | InboundText]) -> None:
        self.account, self.webhook, self.at = account, webhook, timezone.now()
        said = [account.encode(), webhook.query.encode(), webhook.body]
        self.key = hashlib.sha256(b"\0".join(said)).hexdigest()
        self.texts = [each for each in says if isinstance(each, InboundText)]
        self.is_done = self.is_to_write = False
        self.error: BaseException | None = None
        self.turn = threading.Lock()
        self.turn.acquire()

    def end(self, error: BaseException | None = None) -> None:
        self.is_done, self.error = True, error


class _GroupCommit:
    """Webhooks on several threads share one commit: who finds nobody writing writes, then the first who came since.

    Each wakes once. Of a queue at one lock all would wake in turn, only to see that they are done.
    """

    def __init__(self) -> None:
        self._waiting: list[Arrival] = []
        self._is_writing = False
        self._lock = threading.Lock()

    def __call__(self, arrival: Arrival) -> None:
        with self._lock:
            self._waiting.append(arrival)
            waits, self._is_writing = self._is_writing, True
        try:
            if waits:
                arrival.turn.acquire()
        except BaseException:
            self._leave(arrival)
            raise
        if not arrival.is_done:
            self._write()
        if arrival.error is not None:
            raise arrival.error

    def _write(self) -> None:
        with self._lock:
            group = sharing(self._waiting)
            self._waiting = self._waiting[len(group) :]
        store_together(group)
        self._hand_on()
        for member in group[1:]:
            member.turn.release()

    def _hand_on(self) -> None:
        with self._lock:
            following = self._waiting[:1]
            self._is_writing = bool(following)
        for arrival in following:
            arrival.is_to_write = True
            arrival.turn.release()

    def _leave(self, arrival: Arrival) -> None:
        """Its thread was interrupted while it waited; if it was to write, the next one does."""
        with self._lock:
            if arrival in self._waiting:
                self._waiting.remove(arrival)
        if arrival.is_to_write:
            self._hand_on()


_group_commit = _GroupCommit()


def store(arrival: Arrival) -> None:
    """Keeps a verified webhook and commits it; its exact opt-out words are in force when this returns."""
    _group_commit(arrival)


def sharing(waiting: Iterable[Arrival]) -> list[Arrival]:
    """The first of them: as many as may share a commit, one at the least."""
    group, texts = [], 0
    for arrival in islice(waiting, SHARE_MOST):
        texts += len(arrival.texts)
        if group and texts > TEXTS_SHARE_MOST:
            break
        group.append(arrival)
    return group


def store_together(group: Sequence[Arrival]) -> None:
    """The same for several, in one commit if the database takes them all. Each one's `error` says how it went."""
    error: BaseException | None = None
    try:
        _write(group)
        failpoints.hit("after_store")
    except DatabaseError as refused:
        if len(group) > 1 and not isinstance(refused, OperationalError):
            for member in group:  # one row that the database refuses must not fail its neighbours
                store_together([member])
            return
        error = refused
    except BaseException as fault:
        error = fault
    for member in group:
        member.end(error)


def _write(group: Sequence[Arrival]) -> None:
    with engine.write():
        keys = [arrival.key for arrival in group if arrival.texts]
        known = set(Event.objects.filter(dedupe_key__in=keys).values_list("dedupe_key", flat=True)) if keys else set()
        engine.insert(Event._meta.db_table, _COLUMNS, [_values(arrival) for arrival in group])
        for arrival in group:
            if arrival.texts and arrival.key not in known:
                known.add(arrival.key)
                for text in arrival.texts:
                    inbox.obey(text)


_COLUMNS = ("account", "dedupe_key", "query", "body", "received_at", "next_try_at", "tries", "outcome")


def _values(arrival: Arrival) -> tuple[Any, ...]:
    webhook = arrival.webhook
    return arrival.account, arrival.key, webhook.query, webhook.body, engine.moment(arrival.at), 0.0, 0, ""


def apply_at_once() -> None:
    """What the webhook door calls after `store`: applies what is due, where PACELINE["APPLY_IN_WEBHOOK"] says so.

    That is the default, for projects that run no dispatcher. What goes wrong is logged and stays due.
    """
    if not getattr(settings, "PACELINE", {}).get("APPLY_IN_WEBHOOK", True):
        return
    try:
        with _applying:
            apply_due(engine.now())
    except Exception:
        log.exception("A stored webhook could not be applied yet; it stays due")


_applying = threading.Lock()
"""Two threads that apply at once would both do all of it."""


def apply_due(now: float) -> int:
    """Applies what has been stored, oldest first, a chunk at a time. Answers how many events were looked at.

    A report whose message is not known (yet) is tried again with growing delays for 72 hours.
    """
    due = engine.read(Event, "next_try_at <= %s", [now], most=APPLY_MOST)
    if due:
        _apply_or_park(due, now)
    return len(due)


def _apply_or_park(due: Sequence[Event], now: float) -> None:
    """Applies events together; when that fails, one by one, and parks the one that cannot be applied."""
    try:
        _apply(due, now)
    except OperationalError:
        raise  # the database is away or busy: all of them again, later
    except Exception as error:
        if len(due) > 1:
            for event in due:
                _apply_or_park([event], now)
            return
        log.exception("Event %s could not be applied", due[0].pk)
        outcome = f"could not be applied: {type(error).__name__}"
        Event.objects.filter(pk=due[0].pk).update(next_try_at=None, outcome=outcome)


def _apply(due: Sequence[Event], now: float) -> None:
    read = [(event, item) for event in due for item in _read(event, now)]
    if told := [(event, item) for event, item in read if isinstance(item, DeliveryReport)]:
        with engine.write():
            for event in reports.apply(told):
                _keep_for_later(event, now, "no message with this reference or provider_id")
    for part in engine.chunks([(event, item) for event, item in read if isinstance(item, InboundText)], TEXTS_AT_ONCE):
        inbox.receive(part)
    with engine.write():
        engine.many(
            f"UPDATE {Event._meta.db_table} SET next_try_at = %s, tries = %s, outcome = %s WHERE id = %s",
            [(event.next_try_at, event.tries, event.outcome[:200], event.pk) for event in due],
        )


def _read(event: Event, now: float) -> Sequence[DeliveryReport | InboundText]:
    """What the event says. One that cannot be read is parked with the reason; the others go on."""
    event.next_try_at, event.outcome = None, "applied"
    try:
        provider = accounts.provider(event.account)
        return provider.events(WebhookRequest("POST", "", {}, event.query, bytes(event.body)))
    except ImproperlyConfigured:
        _keep_for_later(event, now, "its provider is not in the settings")
    except Exception as error:
        event.outcome = f"unreadable: {type(error).__name__}"
        if not isinstance(error, PacelineError):
            log.exception("Event %s could not be read", event.pk)
    return []


def _keep_for_later(event: Event, now: float, why: str) -> None:
    """A report may come before its message is known here; later it never will be."""
    event.tries = min(event.tries + 1, 1000)
    event.outcome = why
    if (timezone.now() - event.received_at).total_seconds() < KEEP_UNMATCHED_SECONDS:
        event.next_try_at = now + min(3600.0, 0.5 * 2 ** min(event.tries, 12))
