"""How are the outbox's verbs kept going? Claims ahead, gates just in time, submits in their slots, settles in batches.

Database work runs on three threads, one for claims and gates, one for what comes back, one for the chores, so that
neither a commit nor a rendering holds up a slot. Nothing here decides; it only waits and calls.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, TypeVar

from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, InterfaceError, OperationalError, connection

from paceline.messaging import accounts, lanes, outbox
from paceline.messaging.clock import Clock
from paceline.messaging.models import Account
from paceline.messaging.outbox import Lease, Missed, Outcome, Submission
from paceline.sms import errors, pacing
from paceline.sms.providers import Provider
from paceline.sms.transports import AsyncTransport

from .chores import Chores
from .wirelog import WireLog

log = logging.getLogger("paceline.dispatcher")

CALM_LOOKAHEAD_SECONDS = 0.2
FEW = 12  # messages of a claim: what takes no time to speak of
CLAIM_EVERY = 0.4  # of what a claim reaches ahead
WORTH_A_CLAIM = 0.3  # of the same must be free on an account; a round later there is more than that left
CHORES_EVERY_SECONDS = 0.05
IDLE_EVERY_SECONDS = 0.25
QUIET_AFTER_SECONDS = 1.0  # in which the chores have found nothing to do
QUIET_EVERY_SECONDS = 0.125  # so late a tranche may begin
SETTLE_EVERY_SECONDS = 0.05
SETTLE_MOST = 500
CONNECTIONS = 1000
BREATH_SECONDS = 0.003  # between two chunks, so that other writers get their turn
DATABASE_RETRY_SECONDS = 0.5
SETTLE_TRIES = 5  # of a result that cannot be written though the database answers; then its lease ends by time

OBEYED_SECONDS = 0.24  # a submit begins so soon after its gate has begun, or not at all: STOP and pause are obeyed
GATE_AHEAD_MOST_SECONDS = 0.2  # with the tolerance less than that
GATE_LEAST_SECONDS = 0.025  # so much of a lane's time each gate is for, or every slot would have one of its own
CLAIM_LEAST = 10
FULL_AGAIN_SECONDS = 0.005
HIRED_AT_ONCE = 32

T = TypeVar("T")


@dataclass(slots=True)
class Reach:
    """How much is claimed and gated at a time, and how far ahead of its slot? What this machine can keep up with.

    Missed slots mean that the way from a claim to the wire takes longer than thought, for a busy machine or for locks
    that others hold. Then less is taken at a time and further ahead, and bit by bit more again when all goes well.

    Slots that are claimed ahead are lost with a process that dies, and slots that are not, with a claim that is slow.
    So a claim reaches as far as it may where it takes many messages or slots are missed, and else two fifths of that.
    """

    lead: float = 0.0  # seconds from a claim to its first slot
    ahead: float = CALM_LOOKAHEAD_SECONDS  # seconds that a claim reaches beyond its lead
    gate_ahead: float = outbox.GATE_AHEAD_SECONDS
    claim_most: int = outbox.CLAIM_MOST
    _has_missed: bool = False

    def missed(self) -> None:
        self.lead = min(lanes.LEAD_MOST_SECONDS, max(0.01, self.lead * 1.5))
        self._has_missed = True

    @property
    def claim_every(self) -> float:
        """Seconds between two rounds of claims."""
        return CLAIM_EVERY * self.ahead

    def claimed(self, taken: int) -> None:
        """After each claim that found something: draws the lesson from what has happened since the one before."""
        self.ahead = max(CALM_LOOKAHEAD_SECONDS, self.ahead * 0.95)
        if taken > FEW or taken >= self.claim_most or self._has_missed:
            self.ahead = pacing.LOOKAHEAD_SECONDS
        if self._has_missed:
            self._has_missed = False
            self.claim_most = max(CLAIM_LEAST, self.claim_most // 2)
            self.gate_ahead = min(GATE_AHEAD_MOST_SECONDS, self.gate_ahead * 1.5)
            return
        self.lead *= 0.9
        self.claim_most = min(outbox.CLAIM_MOST, self.claim_most + self.claim_most // 4 + 1)
        self.gate_ahead = max(outbox.GATE_AHEAD_SECONDS, self.gate_ahead * 0.98)


class _Due(NamedTuple):
    """A submission and its slot `at`, with the moment from which it is `late`, both on the monotonic clock."""

    submission: Submission
    provider: Provider
    at: float
    late: float


class Dispatcher:
    """Sends what is due until told to stop, then drains. Clock, transport, sleep and randomness are given.

    `serves` answers the ids of the accounts that it sends for, asked before each round of claims, on its database
    thread; None is all. Without `chores` somebody else has to do them. Any number of dispatchers may share an account.
    """

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        transport: AsyncTransport | None = None,
        wire_log: WireLog | None = None,
        provider: Callable[[str], Provider] = accounts.provider,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        rng: random.Random | None = None,
        only_direct: bool = False,
        serves: Callable[[], Collection[int]] | None = None,
        chores: bool = True,
    ) -> None:
        self.clock = clock or Clock()
        self._transport = transport or AsyncTransport(connections=CONNECTIONS)
        self._wire_log = wire_log or WireLog(None)
        self._provider = provider
        self._sleep = sleep
        self._rng = rng or random.Random()  # noqa: S311 jitter, not a secret
        self._only_direct = only_direct
        self._serves = serves
        self._chores = chores and not only_direct
        self._reach = Reach()
        self._leases: list[tuple[float, int, Lease, Provider]] = []
        self._outcomes: list[Outcome] = []
        self._due: deque[_Due] = deque()  # passed the gate, and waits for a task that submits it
        self._hiring = False
        self._under_way = 0
        self._in_flight: set[asyncio.Task[None]] = set()
        self._lane_thread = ThreadPoolExecutor(1, "lanes")
        self._settle_thread = ThreadPoolExecutor(1, "settles")
        self._chore_thread = ThreadPoolExecutor(1, "chores")
        self._threads = (self._lane_thread, self._settle_thread, self._chore_thread)
        self._released = asyncio.Event()
        self._leased = asyncio.Event()
        self._settled = asyncio.Event()
        self._finishing = False
        self._drained = False
        self._stopping = asyncio.Event()

    @property
    def is_busy(self) -> bool:
        """True while it holds a message: leased, on the wire, or with its result not yet written."""
        return bool(self._leases or self._due or self._in_flight or self._outcomes)

    def finish(self) -> None:
        """Claims nothing more, sends what it has leased in its slots, and stops: no slot is wasted."""
        self._finishing = True
        self._released.set()

    def stop(self) -> None:
        """Claims nothing more; what is on the wire is waited for, what is only leased goes back."""
        self._stopping.set()
        for event in (self._released, self._leased, self._settled):
            event.set()

    async def run(self) -> None:
        """Runs until `stop` or `finish`, and returns when everything is settled.

        Raises `ValueError` when a submit may outlast its lease.
        """
        outbox.check_lease(self._transport.longest_seconds)
        try:
            async with self._transport:
                settling = asyncio.create_task(self._settle_loop())
                loops = [asyncio.create_task(work()) for work in (self._claim_loop, self._gate_loop, self._chore_loop)]
                try:
                    await asyncio.gather(*loops)
                finally:
                    self.stop()
                    for task in loops:
                        task.cancel()
                    await asyncio.gather(*loops, return_exceptions=True)
                    await self._drain()
                    await settling
        finally:
            for thread in self._threads:
                thread.submit(lambda: connection.close()).result()  # each thread has a connection of its own
                thread.shutdown()

    async def _drain(self) -> None:
        leases = [lease for _, _, lease, _ in self._leases]
        self._leases.clear()
        if leases:
            try:
                await self._on(self._lane_thread, outbox.give_back, leases)
            except Exception as error:  # they go back by time
                await self._has_failed("give back", error)
        while self._due or self._in_flight:
            await asyncio.wait(self._in_flight or [asyncio.create_task(self._work())])
        self._drained = True
        self._settled.set()

    # --- the four loops ---------------------------------------------------------------------------------------

    async def _claim_loop(self) -> None:
        while not (self._stopping.is_set() or self._finishing):
            self._released.clear()
            is_full = False
            try:
                for account_id, provider in await self._on(self._lane_thread, self._accounts):
                    reach = self._reach
                    claim = partial(
                        outbox.claim_through,
                        lead=reach.lead,
                        ahead=reach.ahead,
                        only_direct=self._only_direct,
                        most=reach.claim_most,
                    )
                    claimed = await self._on(self._lane_thread, claim, account_id, self.clock)
                    is_full |= claimed.taken == reach.claim_most
                    gated_at, late = claimed.gated_at, claimed.gated_at + OBEYED_SECONDS
                    self._begin(_Due(submission, provider, gated_at, late) for submission in claimed.passed)
                    for lease in claimed.leases:
                        heapq.heappush(self._leases, (lease.slot_at, lease.id, lease, provider))
                    if claimed.leases:
                        self._leased.set()
                        self._keep(asyncio.create_task(self._transport.connect(provider, self._leased_to(provider))))
                    if claimed.taken:
                        reach.claimed(claimed.taken)
            except Exception as error:  # what it has leased and nobody knows of goes back by time
                await self._has_failed("claim", error)
            if is_full:
                await self._room()
            elif not self._finishing:
                await self._wait(self._released, self._reach.claim_every)
        while self._leases and not self._stopping.is_set():
            await self._wait(self._stopping, SETTLE_EVERY_SECONDS)
        self.stop()

    async def _room(self) -> None:
        """There is more to claim: as soon as there is room for it. Other accounts do not wait for a slow one."""
        again_at = time.monotonic() + self._reach.claim_every
        while time.monotonic() < again_at and not (self._stopping.is_set() or self._finishing):
            await self._sleep(FULL_AGAIN_SECONDS)
            if len(self._leases) + len(self._due) + self._under_way + self._reach.claim_most <= CONNECTIONS:
                return

    def _leased_to(self, provider: Provider) -> int:
        """How many submits wait for their slots."""
        return sum(each is provider for _, _, _, each in self._leases)

    def _accounts(self) -> list[tuple[int, Provider]]:
        if outbox.is_idle():
            return []
        found = []
        for account in lanes.open_accounts(None if self._serves is None else self._serves()):
            if self._is_used_up(account):
                continue
            try:
                found.append((account.pk, self._provider(account.alias)))
            except ImproperlyConfigured as error:
                lanes.block(account, str(error))
        return found

    def _is_used_up(self, account: Account) -> bool:
        """True when a claim would find few slots of the account within its reach, or none: others have claimed them.

        A few are not worth its locks: there is time to come again.
        """
        reach, now = self._reach, self.clock.now() + self._reach.lead
        free_at = lanes.free_at(account, now)
        return free_at == account.next_free_at and free_at > now + reach.ahead * (1 - WORTH_A_CLAIM)

    async def _gate_loop(self) -> None:
        while not self._stopping.is_set():
            self._leased.clear()
            if not self._leases:
                await self._leased.wait()
                continue
            early = self._leases[0][0] - self._reach.gate_ahead + GATE_LEAST_SECONDS - self.clock.now()
            if early > pacing.LOOKAHEAD_SECONDS + lanes.LEAD_MOST_SECONDS:  # the clock was stepped back since its claim
                self._missed(heapq.heappop(self._leases)[2])
                continue
            if early > 0:
                await self._wait(self._leased, early)
                continue
            batch: dict[int, tuple[Lease, Provider]] = {}
            began = time.monotonic()
            ahead = began - self.clock.now()  # from here on a clock that is stepped moves no slot
            begins_by = self.clock.now() + self._reach.gate_ahead
            while self._leases and self._leases[0][0] <= begins_by:
                _, _, lease, provider = heapq.heappop(self._leases)
                if pacing.is_late(self.clock.now(), lease.slot_at, lease.tolerance):
                    self._missed(lease)
                else:
                    batch[lease.id] = lease, provider
            if not batch:
                continue
            try:
                passed = await self._on(
                    self._lane_thread, outbox.gate, [lease for lease, _ in batch.values()], self.clock
                )
            except Exception as error:  # whether it committed is not known, so nothing is sent: the leases end by time
                await self._has_failed("gate", error)
                continue
            self._begin(
                _Due(submission, batch[submission.lease.id][1], due, min(due + submission.lease.tolerance, late))
                for submission in passed
                for due, late in [(submission.lease.slot_at + ahead, began + OBEYED_SECONDS)]
            )

    def _begin(self, passed: Iterable[_Due]) -> None:
        """These are submitted in their slots, in order, by as many tasks as it takes."""
        self._due.extend(passed)
        if self._due and not self._hiring:
            self._hire()

    def _hire(self) -> None:
        """A few tasks more at each turn of the loop while something waits.

        A near carrier has answered some by then, and a few connections in turn are quicker than hundreds at once; for
        a far one there are soon enough.
        """
        for _ in range(min(HIRED_AT_ONCE, len(self._due))):
            self._keep(asyncio.create_task(self._work()))
        self._hiring = bool(self._due)
        if self._hiring:
            asyncio.get_running_loop().call_soon(self._hire)

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._in_flight.add(task)
        task.add_done_callback(self._in_flight.discard)

    async def _work(self) -> None:
        while self._due:
            due = self._due.popleft()
            self._under_way += 1
            try:
                await self._submit(due)
            finally:
                self._under_way -= 1

    async def _submit(self, due: _Due) -> None:
        lease = due.submission.lease
        try:
            while (early := due.at - time.monotonic()) > 0:
                await self._sleep(early)
            result: Any = await self._transport.submit(
                due.provider, due.submission.message, before_write=partial(self._before_write, due)
            )
        except Missed:
            self._missed(lease)
            return
        except errors.ProviderError as error:
            result = error
        except Exception as error:
            log.exception("A submit ended in a way that nobody foresaw; its message is uncertain")
            result = errors.Uncertain(f"unforeseen: {type(error).__name__}")
        self._settle(Outcome(lease, result, self.clock.now()))

    def _before_write(self, due: _Due) -> None:
        """The last line before the write: a missed slot is void, and nothing is written for it."""
        if pacing.is_late(time.monotonic(), due.late, 0.0):
            raise Missed
        try:
            self._wire_log.write(self.clock.now(), due.submission.message)
        except OSError as error:  # what cannot be judged is not written either
            raise errors.Unavailable(
                f"The wire log cannot be written ({type(error).__name__}, {error.errno})"
            ) from None

    def _missed(self, lease: Lease) -> None:
        """The message goes back, and the next claims begin a little further ahead."""
        self._reach.missed()
        self._settle(Outcome(lease, Missed(), self.clock.now()))

    def _settle(self, outcome: Outcome) -> None:
        self._outcomes.append(outcome)
        self._settled.set()

    async def _settle_loop(self) -> None:
        """Ends when the loop is drained and everything is written: a gate that passes meanwhile is still heard of."""
        alone = tries = 0
        while not (self._drained and not self._outcomes):
            await self._wait(self._settled, IDLE_EVERY_SECONDS)
            self._settled.clear()
            if not self._outcomes:
                continue
            if len(self._outcomes) < SETTLE_MOST and not (alone or self._stopping.is_set()):
                await self._sleep(SETTLE_EVERY_SECONDS)
            batch = self._outcomes[: 1 if alone else SETTLE_MOST]
            try:
                await self._on(self._settle_thread, outbox.settle, batch)
            except (OperationalError, InterfaceError) as error:  # kept in memory and written when the database is back
                await self._has_failed("settle", error)
                self._settled.set()
                continue
            except Exception as error:  # it may be one of them: from here on one by one
                alone, tries = max(alone, len(batch)), tries + 1
                await self._has_failed("settle", error)
                self._settled.set()
                if len(batch) > 1 or tries <= SETTLE_TRIES:
                    continue
                log.error("A result cannot be written; its message will be uncertain")
            del self._outcomes[: len(batch)]
            alone, tries = max(0, alone - 1), 0
            if self._outcomes:
                self._settled.set()

    async def _chore_loop(self) -> None:
        chores, quiet_at = Chores(self.clock), 0.0
        synced = False
        while self._chores and not self._stopping.is_set():
            try:
                if not synced:  # leases end by the database's clock, also before the first claim
                    await self._on(self._chore_thread, self.clock.sync)
                    synced = True
                step = await self._on(self._chore_thread, chores.round)
            except Exception as error:
                await self._has_failed("chores", error)
                continue
            if step.released:
                self._released.set()
            if step.did:
                quiet_at = time.monotonic() + QUIET_AFTER_SECONDS
            often = CHORES_EVERY_SECONDS if time.monotonic() < quiet_at else QUIET_EVERY_SECONDS
            await self._wait(self._stopping, BREATH_SECONDS if step.more else often)
        await self._on(self._chore_thread, chores.close)

    # --- waiting ----------------------------------------------------------------------------------------------

    async def _on(self, thread: ThreadPoolExecutor, verb: Callable[..., T], *args: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(thread, partial(verb, *args))

    async def _wait(self, event: asyncio.Event, seconds: float) -> None:
        try:
            await asyncio.wait_for(event.wait(), seconds)
        except TimeoutError:
            return

    async def _has_failed(self, verb: str, error: Exception) -> None:
        """Whatever it was, the loops go on: a message that is held at this moment is safe by its lease."""
        if isinstance(error, DatabaseError):
            log.error("%s: the database did not answer (%s); trying again", verb, type(error).__name__)
        else:
            log.error("%s failed in a way that nobody foresaw; trying again", verb, exc_info=error)
        for thread in self._threads:
            await self._on(thread, lambda: connection.close_if_unusable_or_obsolete())
        await self._sleep(DATABASE_RETRY_SECONDS * (0.5 + self._rng.random()))
