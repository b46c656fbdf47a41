"""How are the outbox's verbs kept going? Claims ahead, gates just in time, submits in their slots, settles in batches.

Database work runs on two threads, one for the lanes and one for the chores, so that neither a commit nor a
rendering holds up a slot. Nothing here decides; it only waits and calls.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import random
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connection

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

CLAIM_EVERY_SECONDS = 0.2
CHORES_EVERY_SECONDS = 0.05
IDLE_EVERY_SECONDS = 0.25
SETTLE_EVERY_SECONDS = 0.05
SETTLE_MOST = 500
CONNECTIONS = 1000
BREATH_SECONDS = 0.003  # between two chunks, so that other writers get their turn
DATABASE_RETRY_SECONDS = 0.5

T = TypeVar("T")


class Dispatcher:
    """Sends what is due until told to stop, then drains. Clock, transport, sleep and randomness are given."""

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
    ) -> None:
        self.clock = clock or Clock()
        self._transport = transport or AsyncTransport(connections=CONNECTIONS)
        self._wire_log = wire_log or WireLog(None)
        self._provider = provider
        self._sleep = sleep
        self._rng = rng or random.Random()  # noqa: S311 jitter, not a secret
        self._only_direct = only_direct
        self._lead = 0.0
        self._leases: list[tuple[float, int, Lease, Provider]] = []
        self._outcomes: list[Outcome] = []
        self._in_flight: set[asyncio.Task[None]] = set()
        self._lane_thread = ThreadPoolExecutor(1, "lanes")
        self._chore_thread = ThreadPoolExecutor(1, "chores")
        self._released = asyncio.Event()
        self._leased = asyncio.Event()
        self._settled = asyncio.Event()
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Claims nothing more; what is on the wire is waited for, what is only leased goes back."""
        self._stopping.set()
        for event in (self._released, self._leased, self._settled):
            event.set()

    async def run(self) -> None:
        """Runs until `stop`, and returns when everything is settled."""
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
        for thread in (self._lane_thread, self._chore_thread):
            thread.submit(lambda: connection.close()).result()  # each thread has a connection of its own
            thread.shutdown()

    async def _drain(self) -> None:
        leases = [lease for _, _, lease, _ in self._leases]
        self._leases.clear()
        if leases:
            await self._on(self._lane_thread, outbox.give_back, leases)
        if self._in_flight:
            await asyncio.wait(self._in_flight)
        self._settled.set()

    # --- the four loops ---------------------------------------------------------------------------------------

    async def _claim_loop(self) -> None:
        while not self._stopping.is_set():
            self._released.clear()
            try:
                for account_id, provider in await self._on(self._lane_thread, self._accounts):
                    leases = await self._on(
                        self._lane_thread,
                        partial(outbox.claim, account_id, self.clock, lead=self._lead, only_direct=self._only_direct),
                    )
                    for lease in leases:
                        heapq.heappush(self._leases, (lease.slot_at, lease.id, lease, provider))
                    if leases:
                        self._leased.set()
                        self._keep(asyncio.create_task(self._transport.connect(provider, self._due(provider))))
                        self._lead *= 0.9
            except DatabaseError as error:
                await self._database_is_away("claim", error)
            await self._wait(self._released, CLAIM_EVERY_SECONDS)

    def _due(self, provider: Provider) -> int:
        """How many submits wait for their slots."""
        return sum(each is provider for _, _, _, each in self._leases)

    def _accounts(self) -> list[tuple[int, Provider]]:
        if outbox.is_idle():
            return []
        found = []
        for account in Account.objects.filter(blocked="").order_by("pk"):
            try:
                found.append((account.pk, self._provider(account.alias)))
            except ImproperlyConfigured as error:
                lanes.block(account, str(error))
        return found

    async def _gate_loop(self) -> None:
        while not self._stopping.is_set():
            self._leased.clear()
            if not self._leases:
                await self._leased.wait()
                continue
            early = self._leases[0][0] - outbox.GATE_AHEAD_SECONDS - self.clock.now()
            if early > 0:
                await self._wait(self._leased, early)
                continue
            batch: dict[int, tuple[Lease, Provider]] = {}
            begins_by = self.clock.now() + outbox.GATE_AHEAD_SECONDS
            while self._leases and self._leases[0][0] <= begins_by:
                _, _, lease, provider = heapq.heappop(self._leases)
                if pacing.is_late(self.clock.now(), lease.slot_at):
                    self._missed(lease)
                else:
                    batch[lease.id] = lease, provider
            if not batch:
                continue
            try:
                passed = await self._on(
                    self._lane_thread, outbox.gate, [lease for lease, _ in batch.values()], self.clock
                )
            except DatabaseError as error:
                # whether it committed is not known, so nothing is sent: the leases end by time
                await self._database_is_away("gate", error)
                continue
            for submission in passed:
                self._keep(asyncio.create_task(self._submit(submission, batch[submission.lease.id][1])))

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._in_flight.add(task)
        task.add_done_callback(self._in_flight.discard)

    async def _submit(self, submission: Submission, provider: Provider) -> None:
        lease = submission.lease
        try:
            while (early := lease.slot_at - self.clock.now()) > 0:
                await self._sleep(early)
            result: Any = await self._transport.submit(
                provider, submission.message, before_write=partial(self._before_write, submission)
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

    def _before_write(self, submission: Submission) -> None:
        """The last line before the write: a missed slot is void, and nothing is written for it."""
        now = self.clock.now()
        if pacing.is_late(now, submission.lease.slot_at):
            raise Missed
        self._wire_log.write(now, submission.message)

    def _missed(self, lease: Lease) -> None:
        """The message goes back, and the next claims begin a little further ahead."""
        self._lead = min(lanes.LEAD_MOST_SECONDS, max(0.01, self._lead * 1.5))
        self._settle(Outcome(lease, Missed(), self.clock.now()))

    def _settle(self, outcome: Outcome) -> None:
        self._outcomes.append(outcome)
        self._settled.set()

    async def _settle_loop(self) -> None:
        """Ends when the loop is stopping, nothing is in flight and everything is written."""
        while not (self._stopping.is_set() and not self._in_flight and not self._outcomes):
            await self._wait(self._settled, IDLE_EVERY_SECONDS)
            self._settled.clear()
            if not self._outcomes:
                continue
            if len(self._outcomes) < SETTLE_MOST and not self._stopping.is_set():
                await self._sleep(SETTLE_EVERY_SECONDS)
            batch = self._outcomes[:SETTLE_MOST]
            try:
                await self._on(self._lane_thread, outbox.settle, batch)
            except DatabaseError as error:  # kept in memory and written when the database is back
                await self._database_is_away("settle", error)
                self._settled.set()
                continue
            del self._outcomes[: len(batch)]
            if self._outcomes:
                self._settled.set()

    async def _chore_loop(self) -> None:
        chores = Chores(self.clock)
        while not (self._stopping.is_set() or self._only_direct):
            try:
                step = await self._on(self._chore_thread, chores.round)
            except DatabaseError as error:
                await self._database_is_away("chores", error)
                continue
            if step.released:
                self._released.set()
            await self._sleep(BREATH_SECONDS if step.more else CHORES_EVERY_SECONDS)

    # --- waiting ----------------------------------------------------------------------------------------------

    async def _on(self, thread: ThreadPoolExecutor, verb: Callable[..., T], *args: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(thread, partial(verb, *args))

    async def _wait(self, event: asyncio.Event, seconds: float) -> None:
        try:
            await asyncio.wait_for(event.wait(), seconds)
        except TimeoutError:
            return

    async def _database_is_away(self, verb: str, error: DatabaseError) -> None:
        log.error("%s: the database did not answer (%s); trying again", verb, type(error).__name__)
        for thread in (self._lane_thread, self._chore_thread):
            await self._on(thread, lambda: connection.close_if_unusable_or_obsolete())
        await self._sleep(DATABASE_RETRY_SECONDS * (0.5 + self._rng.random()))
