"""Does the rig bite? Bugs with a name, each put into the real engine for as long as a block lasts.

`MUTANTS[name]()` is a context manager. The product itself knows nothing of them. The rig must find each one; a rig
that does not is worth nothing. They work in any process that runs the engine, so the rigs with real processes use them
too: `with mutants.at_least_once(): …` in a forked worker makes it the shape that most of this field has.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from unittest import mock

MUTANTS: dict[str, Callable[[], contextlib.AbstractContextManager[None]]] = {}


def _mutant(make: Callable[[], Iterator[None]]) -> Callable[[], contextlib.AbstractContextManager[None]]:
    switch = contextlib.contextmanager(make)
    MUTANTS[make.__name__.replace("_", "-")] = switch
    return switch


@contextlib.contextmanager
def _instead(where: Any, name: str, value: Any) -> Iterator[None]:
    with mock.patch.object(where, name, value):
        yield


def _execute(sql: str, rows: Sequence[Sequence[Any]]) -> None:
    from paceline.messaging import engine

    with engine.write():
        engine.many(sql, rows)


# --- a message twice ------------------------------------------------------------------------------------------


@_mutant
def retry_on_unknown() -> Iterator[None]:
    """What may have been sent is sent again, as if it had not left."""
    from paceline.messaging import outbox
    from paceline.sms import errors

    real = outbox._kind

    def kind(result: Any) -> type:
        found = real(result)
        return errors.Unavailable if found is errors.Uncertain else found

    with _instead(outbox, "_kind", kind):
        yield


@_mutant
def rescue_of_submitting() -> Iterator[None]:
    """Recovery puts everything back whose lease is over, also what may be on the wire."""
    from paceline.messaging import outbox

    with _recovering(f"UPDATE {outbox.TABLE} SET status = 'queued' WHERE status = 'submitting' AND lease_until < %s"):
        yield


@contextlib.contextmanager
def _recovering(sql: str) -> Iterator[None]:
    from paceline.messaging import outbox

    real = outbox.recover

    def recover(now: float, **options: Any) -> Any:
        _execute(sql, [(now,)])
        return real(now, **options)

    with _instead(outbox, "recover", recover):
        yield


@_mutant
def no_fence_in_the_gate() -> Iterator[None]:
    """The gate takes any message that it is asked for, whoever holds it now."""
    from paceline.messaging import outbox

    real = outbox.gate

    def gate(leases: Any, *rest: Any, **options: Any) -> Any:
        _execute(
            f"UPDATE {outbox.TABLE} SET attempt = %s, status = 'leased' WHERE id = %s"
            " AND status IN ('queued', 'leased', 'submitting')",
            [(lease.attempt, lease.id) for lease in leases],
        )
        return real(leases, *rest, **options)

    with _instead(outbox, "gate", gate):
        yield


@_mutant
def no_fence_in_settle() -> Iterator[None]:
    """A result is written to its message, though another attempt holds it by now."""
    from paceline.messaging import outbox

    real = outbox.settle

    def settle(outcomes: Any, **options: Any) -> None:
        _execute(
            f"UPDATE {outbox.TABLE} SET attempt = %s WHERE id = %s AND status = 'submitting'",
            [(outcome.lease.attempt, outcome.lease.id) for outcome in outcomes],
        )
        real(outcomes, **options)

    with _instead(outbox, "settle", settle):
        yield


@_mutant
def one_attempt_for_all() -> Iterator[None]:
    """Every claim calls itself the same, so that nobody can tell a zombie's lease from one's own."""
    from paceline.messaging import outbox

    with _instead(outbox, "new_reference", lambda: "0" * 32):
        yield


@_mutant
def commits_after_the_write() -> Iterator[None]:
    """The gate looks, and says so only with the result: a crash in between leaves no trace of the submit."""
    from paceline.messaging import outbox

    real_gate, real_settle = outbox.gate, outbox.settle

    def gate(leases: Any, *rest: Any, **options: Any) -> Any:
        passed = real_gate(leases, *rest, **options)
        _execute(
            f"UPDATE {outbox.TABLE} SET status = 'leased', lease_until = slot_at + 1 WHERE id = %s AND attempt = %s",
            [(each.lease.id, each.lease.attempt) for each in passed],
        )
        return passed

    def settle(outcomes: Any, **options: Any) -> None:
        _execute(
            f"UPDATE {outbox.TABLE} SET status = 'submitting' WHERE id = %s AND attempt = %s AND status = 'leased'",
            [(each.lease.id, each.lease.attempt) for each in outcomes],
        )
        real_settle(outcomes, **options)

    with _instead(outbox, "gate", gate), _instead(outbox, "settle", settle):
        yield


@_mutant
def error_before_the_write() -> Iterator[None]:
    """The transport calls every failure one before the write, so that it is tried again."""
    from paceline.sms import errors, transports

    def failure(self: Any, error: Exception) -> Exception:
        if isinstance(error, errors.ProviderError) or self._veto is not None:
            return real(self, error)
        return errors.Unavailable("no connection")

    real = transports._Attempt.failure
    with _instead(transports._Attempt, "failure", failure):
        yield


@_mutant
def absence_without_proof() -> Iterator[None]:
    """A look-up that does not find a message sends it again, though the provider declares that this proves nothing."""
    from paceline.messaging import reconcile

    real = reconcile.Reconciler._apply

    def apply(self: Any, question: Any, future: Any) -> None:
        with contextlib.suppress(Exception):
            if question.provider.read_lookup(future.result(), question.sought) is None:
                reconcile.never_taken(question.message)
                return
        real(self, question, future)

    with _instead(reconcile.Reconciler, "_apply", apply):
        yield


@_mutant
def looks_up_too_early() -> Iterator[None]:
    """The provider is asked at once, and believed, while the request may still lie in its queue."""
    from paceline.messaging import reconcile

    with _instead(reconcile, "settle_seconds", lambda alias: 0.0):
        yield


# --- a limit exceeded -----------------------------------------------------------------------------------------


@_mutant
def no_late_check() -> Iterator[None]:
    """A slot that has been missed is used all the same."""
    from paceline.sms import pacing

    with _instead(pacing, "is_late", lambda *moments: False):
        yield


@_mutant
def account_not_advanced() -> Iterator[None]:
    """A claim takes its slots on the senders' timelines, and forgets the account's."""
    from paceline.messaging import lanes
    from paceline.messaging.models import Account

    real = lanes.save

    def save(timelines: Any) -> None:
        real([line for line in timelines if line is not None and not isinstance(line.limit, Account)])

    with _instead(lanes, "save", save):
        yield


@_mutant
def limits_of_a_worker() -> Iterator[None]:
    """Every process keeps the limits for itself, as a rate limit in Celery does."""
    from paceline.messaging import lanes

    from .virtual import PROCESS

    kept: dict[Any, float] = {}
    real_timeline, real_save = lanes.timeline, lanes.save

    def key(limit: Any) -> Any:
        process = PROCESS.get()
        return (process and process.name, type(limit).__name__, limit.pk)

    def timeline(limit: Any, *rest: Any) -> Any:
        limit.next_free_at = kept.get(key(limit), limit.next_free_at)
        return real_timeline(limit, *rest)

    def save(timelines: Any) -> None:
        lines = [line for line in timelines if line is not None]
        real_save(line for line in lines if type(line.limit).__name__ == "Campaign")
        for line in lines:
            if line.taken:
                kept[key(line.limit)] = line.free_at

    with _instead(lanes, "timeline", timeline), _instead(lanes, "save", save):
        yield


@_mutant
def missing_limit_starts_free() -> Iterator[None]:
    """A limit that nobody knows the last use of is taken for free."""
    from paceline.sms import pacing

    real = pacing.clamp

    def clamp(free_at: float | None, now: float, *rest: float) -> float:
        return now if free_at is None else real(free_at, now, *rest)

    with _instead(pacing, "clamp", clamp):
        yield


@_mutant
def slots_are_given_back() -> Iterator[None]:
    """A message that missed its slot gives the slot back, and somebody else uses it beside the next."""
    from paceline.messaging import outbox
    from paceline.messaging.models import Account, Sender

    real = outbox.settle

    def settle(outcomes: Any, **options: Any) -> None:
        real(outcomes, **options)
        for outcome in outcomes:
            if isinstance(outcome.result, outbox.Missed):
                slot = outcome.lease.slot_at
                Sender.objects.filter(pk=outcome.lease.sender_id).update(next_free_at=slot)
                Account.objects.filter(senders=outcome.lease.sender_id).update(next_free_at=slot)

    with _instead(outbox, "settle", settle):
        yield


@_mutant
def no_daily_cap() -> Iterator[None]:
    """The sender's cap of the day is not looked at."""
    from paceline.messaging import lanes

    with _instead(lanes, "used_today", lambda sender, now: 0):
        yield


@_mutant
def no_back_off() -> Iterator[None]:
    """A 429 is tried again at once, whatever it says about when."""
    from paceline.messaging import lanes

    with _instead(lanes, "throttle", lambda sender_id, now, retry_after: now):
        yield


# --- people not obeyed ----------------------------------------------------------------------------------------


@_mutant
def no_suppression_in_the_gate() -> Iterator[None]:
    """Who has said STOP is looked up at the release, and not again before the write."""
    from types import SimpleNamespace

    from paceline.messaging import outbox, suppressions

    blind = SimpleNamespace(**vars(suppressions) | {"among": lambda numbers: set(numbers) and set()})
    with _instead(outbox, "suppressions", blind):
        yield


@_mutant
def no_campaign_in_the_gate() -> Iterator[None]:
    """Whether a campaign runs is looked up at the claim, and not again before the write."""
    from paceline.messaging import outbox

    real = outbox._stop

    def stop(message: Any, campaign: Any, *rest: Any) -> Any:
        return real(message, None, *rest)

    with _instead(outbox, "_stop", stop):
        yield


@_mutant
def no_expiry_in_the_gate() -> Iterator[None]:
    """A message that has expired leaves."""
    from paceline.messaging import outbox

    real = outbox._stop

    def stop(message: Any, *rest: Any) -> Any:
        return real(message._replace(expires_at=None), *rest)

    with _instead(outbox, "_stop", stop):
        yield


# --- not the truth --------------------------------------------------------------------------------------------


@_mutant
def report_overwrites() -> Iterator[None]:
    """The last report to come wins, whatever is known already."""
    from paceline.messaging import reports

    with _instead(reports, "advance", lambda current, event: event):
        yield


@_mutant
def answer_overwrites() -> Iterator[None]:
    """The provider's yes is written over the report that came before it."""
    from paceline.messaging import engine, outbox

    real = outbox._settle_accepted

    def settle_accepted(outcomes: Any) -> None:
        real(outcomes)
        engine.many(
            f"UPDATE {outbox.TABLE} SET status = 'accepted' WHERE id = %s AND attempt = %s",
            [(each.lease.id, each.lease.attempt) for each in outcomes],
        )

    with _instead(outbox, "_settle_accepted", settle_accepted):
        yield


@_mutant
def throttled_is_refused() -> Iterator[None]:
    """A 429 ends the message as if the provider had refused it."""
    from paceline.messaging import outbox
    from paceline.sms import errors

    real = outbox._kind

    def kind(result: Any) -> type:
        found = real(result)
        return errors.Refused if found is errors.Throttled else found

    with _instead(outbox, "_kind", kind):
        yield


@_mutant
def no_recovery() -> Iterator[None]:
    """What a dead dispatcher held stays held."""
    from paceline.messaging import outbox

    with _instead(outbox, "recover", lambda *rest, **options: (0, 0)):
        yield


# --- the shapes that others have ------------------------------------------------------------------------------


@_mutant
def at_least_once() -> Iterator[None]:
    """Sent first, marked afterwards: whoever dies in between, and what got no clear answer, is delivered again.

    The shape of a task per message that is acknowledged when it is done.
    """
    from paceline.messaging import outbox

    left = (
        f"UPDATE {outbox.TABLE} SET status = 'queued', attempt = '' WHERE status = 'submitting' AND submitted_at < %s"
    )
    with retry_on_unknown(), commits_after_the_write(), _recovering(left), error_before_the_write():
        yield


@_mutant
def checkpoint_at_fetch() -> Iterator[None]:
    """Done as soon as it is fetched: whoever dies with a batch in memory has lost it, and nobody will know."""
    from paceline.messaging import outbox

    real_gate = outbox.gate

    def gate(leases: Any, *rest: Any, **options: Any) -> Any:
        passed = real_gate(leases, *rest, **options)
        _execute(
            f"UPDATE {outbox.TABLE} SET status = 'accepted', lease_until = NULL WHERE id = %s AND attempt = %s",
            [(each.lease.id, each.lease.attempt) for each in passed],
        )
        return passed

    with _instead(outbox, "gate", gate):
        yield
