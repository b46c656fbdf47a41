"""How does a Django project send one text? `send_text` waits for the provider's answer, `queue_text` does not.

Both go through the outbox's verbs, so both obey limits, suppressions and blocked senders, and submit at most once.
"""

from __future__ import annotations

import atexit
import logging
import random
import threading
import time
from datetime import datetime, timedelta

from django.conf import settings
from django.db import OperationalError, connection
from django.utils import timezone

from paceline.sms import errors, pacing
from paceline.sms.errors import InvalidNumber, ProviderError
from paceline.sms.messages import Accepted
from paceline.sms.numbers import normalize
from paceline.sms.providers import Provider
from paceline.sms.status import UNFINISHED, Status
from paceline.sms.transports import Transport

from . import accounts, engine, lanes, outbox, senders, suppressions
from .clock import Clock
from .models import Account, Sender, TextMessage
from .outbox import Lease, Missed, Outcome

log = logging.getLogger("paceline.texts")

WAIT_SECONDS = 10.0
LEAD_LEAST_SECONDS = 0.02  # what two commits before a slot take on a quick disk
ELSEWHERE_SECONDS = outbox.SUBMIT_LEASE_SECONDS
JITTER_SECONDS = 0.02
SETTLE_TRIES = 5


class InsideTransaction(RuntimeError):
    """`send_text` was called where a rollback could forget a text that has left."""


def send_text(
    text: str,
    frm: str,
    to: str,
    fail_silently: bool = True,
    status_report: bool = True,
    *,
    using: str = accounts.DEFAULT,
    valid_for: timedelta | None = None,
    wait_seconds: float = WAIT_SECONDS,
) -> TextMessage:
    """Submits one text now and answers its saved row, with what the provider said.

    It waits for a free slot, and tries again what certainly has not left, for `wait_seconds` at the most, beside the
    time that the provider takes to answer (30 s at the most). What has not left then is `failed` and stays so.

    With `fail_silently` an error is no exception but the message's `error`, besides its `status`, `code` and
    `reason`. Without it raises a `TextMessageError` (its `text_message` is the row). In either case raises
    `InsideTransaction` within `transaction.atomic()`, and `ImproperlyConfigured` for an unknown account (`using`).
    """
    _refuse_inside_a_transaction()
    account = _account(using)
    message = TextMessage(
        text=text,
        frm=frm[:21],
        to=to[:21],
        priority=outbox.PRIORITY_DIRECT,
        report=status_report,
        expires_at=None if valid_for is None else timezone.now() + valid_for,
    )
    failure: ProviderError | None = None
    try:
        _complete(message, account, frm, to)
        _send(message, accounts.provider(using), time.monotonic() + wait_seconds)
    except ProviderError as error:
        failure = error
    message.refresh_from_db()
    if failure is not None:
        message.error = failure
        failure.text_message = message  # type: ignore[attr-defined]  # the library below knows no rows
        if not fail_silently:
            raise failure
    return message


def queue_text(
    text: str,
    frm: str,
    to: str,
    *,
    at: datetime | None = None,
    priority: int = outbox.PRIORITY_DIRECT,
    valid_for: timedelta | None = None,
    expires_at: datetime | None = None,
    using: str = accounts.DEFAULT,
    status_report: bool = True,
) -> TextMessage:
    """Puts one text into the outbox, now or from the aware datetime `at` on; a dispatcher sends it.

    A part of the surrounding transaction: rolled back, it is not sent. A lower `priority` leaves first; after
    `expires_at`, or `valid_for` counted from `at`, it is not submitted any more.
    Raises `Refused` or `SenderProblem` for what can never be sent, `ValueError` for a naive datetime.
    """
    _check_aware(at=at, expires_at=expires_at)
    if valid_for is not None:
        if expires_at is not None:
            raise ValueError("Give either valid_for or expires_at, not both")
        expires_at = (at or timezone.now()) + valid_for
    if expires_at is not None and expires_at <= (at or timezone.now()):
        raise ValueError("It would have expired before it may leave: expires_at is not after at (or now)")
    number = _number(to)
    return outbox.queue_text(
        text,
        _lane(_account(using), frm),
        number,
        priority=priority,
        not_before=0.0 if at is None else at.timestamp(),
        expires_at=expires_at,
        report=status_report,
    )


def _check_aware(**moments: datetime | None) -> None:
    for name, moment in moments.items():
        if moment is not None and timezone.is_naive(moment):
            raise ValueError(
                f"{name} has no time zone, so it names no moment: write timezone.make_aware({name}) for the project's "
                "zone, or datetime(…, tzinfo=ZoneInfo('Europe/Paris'))"
            )


def _refuse_inside_a_transaction() -> None:
    """As `atomic(durable=True)` does, which lets the transaction of Django's TestCase pass."""
    blocks = connection.atomic_blocks
    if blocks and not blocks[-1]._from_testcase:
        raise InsideTransaction(
            "send_text() inside transaction.atomic(): a rollback would forget a text that has left. Use queue_text(), "
            "which is rolled back with the rest, or transaction.on_commit(lambda: send_text(…)). With ATOMIC_REQUESTS, "
            "decorate the view with @transaction.non_atomic_requests."
        )


# --- from whom, to whom ---------------------------------------------------------------------------------------


def _account(alias: str) -> Account:
    """The account's row; written to only when the settings have changed."""
    account = Account.objects.filter(alias=alias).first()
    if account is None or not accounts.is_in_line(account):
        return accounts.get(alias)
    return account


def _lane(account: Account, frm: str) -> Sender:
    try:
        number = senders.spelled(frm, region())
    except InvalidNumber as error:
        raise errors.Refused(f"frm is not a sender: {error}", code="invalid_sender") from error
    return senders.lane(account, number)


def _number(to: str) -> str:
    try:
        return normalize(to, region())
    except InvalidNumber as error:
        raise errors.Refused(f"to is not a number: {error}", code="invalid_number") from error


def region() -> str | None:
    """The country of numbers that do not say theirs, as the settings have it."""
    return getattr(settings, "PACELINE", {}).get("REGION")


def _complete(message: TextMessage, account: Account, frm: str, to: str) -> None:
    """Fills in what the row needs. Raises the error that keeps it from being sent, its row saved."""
    try:
        message.sender = _lane(account, frm)
        message.frm = message.sender.number
        message.to = _number(to)
        composed = outbox.compose(message.text, message.sender, message.to)
    except ProviderError as error:
        status = Status.REFUSED if isinstance(error, errors.Refused) else Status.FAILED
        outbox.give_up(message, status, error.code, str(error))
        raise
    message.contact, message.segments = composed.contact, composed.segments
    if suppressions.among([suppressions.Way(message.to, message.frm)]):
        why = errors.Refused("This number may not be texted: it is suppressed", code="suppressed")
        outbox.give_up(message, Status.SUPPRESSED, why.code, str(why))
        raise why


# --- reserve, gate, submit, settle ----------------------------------------------------------------------------


def _send(message: TextMessage, provider: Provider, give_up_at: float) -> None:
    """Returns when the provider took it; else raises what its row says too."""
    clock = Clock()
    why: ProviderError = errors.Throttled("No slot came free in time", code="no_slot")
    while True:
        transport().connect(provider)
        try:
            lease = outbox.reserve(message, clock, lead=_lead.seconds)
        except outbox.Taken:
            return _follow(message)
        except ProviderError as error:
            return _give_up(message, error)
        again_at = lease if isinstance(lease, float) else clock.now()
        if isinstance(lease, Lease):
            match _submit(lease, provider, clock, keep_seconds=outbox.SUBMIT_LEASE_SECONDS):
                case Accepted():
                    return _lead.kept()
                case Missed():
                    _lead.missed()
                    why = errors.Unavailable("This machine was too slow for its slots", code="missed")
                case errors.Throttled() | errors.Unavailable() as error:
                    why = error
                case errors.SenderProblem() | errors.AccountProblem() as error:
                    return _give_up(message, error)
                case None:
                    _raise_if_ended(message)
                case error:
                    raise error
        if time.monotonic() + max(0.0, again_at - clock.now()) > give_up_at:
            return _give_up(message, why)
        _sleep_until(again_at + random.uniform(0, JITTER_SECONDS), clock)  # noqa: S311 jitter, not a secret


class _Lead:
    """How far ahead of its slot this process begins: a slow disk would otherwise void every first slot."""

    def __init__(self) -> None:
        self.seconds = LEAD_LEAST_SECONDS

    def missed(self) -> None:
        self.seconds = min(lanes.LEAD_MOST_SECONDS, self.seconds * 2)

    def kept(self) -> None:
        self.seconds = max(LEAD_LEAST_SECONDS, self.seconds * 0.9)


_lead = _Lead()


def _submit(
    lease: Lease, provider: Provider, clock: Clock, keep_seconds: float
) -> Accepted | ProviderError | Missed | None:
    """One request at the most, and what came of it, settled; None when the gate has stopped it."""
    _sleep_until(lease.slot_at - outbox.GATE_AHEAD_SECONDS, clock)
    passed = outbox.gate([lease], clock, keep=True)
    if not passed:
        return None

    def before_write() -> None:
        if pacing.is_late(clock.now(), lease.slot_at):
            raise Missed

    _sleep_until(lease.slot_at, clock)
    result: Accepted | ProviderError | Missed
    try:
        result = transport().submit(provider, passed[0].message, before_write=before_write)
    except (ProviderError, Missed) as error:
        result = error
    except Exception as error:
        log.exception("A submit ended in a way that nobody foresaw; its message is uncertain")
        result = errors.Uncertain(f"unforeseen: {type(error).__name__}")
    _settle(Outcome(lease, result, clock.now()), clock.now() + keep_seconds)
    return result


def _settle(outcome: Outcome, keep_until: float) -> None:
    """The answer is known and must be written; a busy database is asked again."""
    for tries_left in reversed(range(SETTLE_TRIES)):
        try:
            return outbox.settle([outcome], keep_until=keep_until)
        except OperationalError as error:
            if not (engine.is_busy(error) and tries_left):
                raise
            time.sleep(random.uniform(0.01, 0.1))  # noqa: S311 jitter, not a secret


def _give_up(message: TextMessage, why: ProviderError) -> None:
    """Nothing has left and nothing will: whoever calls again sends it once."""
    try:
        outbox.give_up(message, Status.FAILED, why.code, str(why))
    except outbox.Taken:
        return _follow(message)
    raise why


def _follow(message: TextMessage) -> None:
    """A dispatcher took the message for left behind and sends it: waits for what becomes of it."""
    give_up_at = time.monotonic() + ELSEWHERE_SECONDS
    while time.monotonic() < give_up_at:
        message.refresh_from_db(fields=["status", "code", "reason"])
        if message.status not in UNFINISHED:
            return _raise_if_ended(message)
        if message.status == Status.QUEUED:
            why = errors.Unavailable(message.reason or "The message has not left", code=message.code)
            return _give_up(message, why)
        time.sleep(0.05)
    raise errors.Uncertain("A dispatcher is submitting it; do not send it again", code="elsewhere")


_ENDS: dict[Status, type[ProviderError]] = {
    Status.UNCERTAIN: errors.Uncertain,
    Status.FAILED: errors.Unavailable,
    Status.REFUSED: errors.Refused,
    Status.UNDELIVERED: errors.Refused,
    Status.EXPIRED: errors.Refused,
    Status.SUPPRESSED: errors.Refused,
    Status.CANCELLED: errors.Refused,
}


def _raise_if_ended(message: TextMessage) -> None:
    """Raises the error that a message's end without an acceptance stands for."""
    message.refresh_from_db(fields=["status", "code", "reason"])
    status = Status(message.status)
    if status in _ENDS:
        raise _ENDS[status](message.reason or f"The message is {status}", code=message.code or status)


def _sleep_until(moment: float, clock: Clock) -> None:
    while (early := moment - clock.now()) > 0:
        time.sleep(early)


_lock = threading.Lock()
_shared: Transport | None = None


def transport() -> Transport:
    """This process's connections: made with the first text, closed at exit."""
    global _shared
    with _lock:
        if _shared is None:
            _shared = Transport()
            atexit.register(_shared.close)
        return _shared
