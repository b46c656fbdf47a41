"""What is time when nobody waits for it? An event loop whose clock jumps, and processes that die and freeze on it.

Everything that a process does carries its `Process` along as a context variable; the loop looks at it before each
step. So the dispatcher's real loops run here, several of them beside each other, and each of their steps is a place
to die at or to freeze at. One source of randomness, no threads: the same seed makes the same run.
"""

from __future__ import annotations

import asyncio
import heapq
import random
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from typing import Any

PROCESS: ContextVar[Process | None] = ContextVar("process", default=None)
EPSILON = 1e-9
SPIN_MOST = 20_000
"""Steps at one moment: more is a loop that waits for nothing."""


class Died(BaseException):
    """The process ends here, in the middle of a call; nothing of it may catch this."""


class Stuck(Exception):
    """Nothing will ever happen again, or nothing but the same."""


@dataclass(eq=False)
class Process:
    """One process of the run: it may be killed, or stopped for a while as by SIGSTOP."""

    name: str
    clumsy: Clumsiness
    is_alive: bool = True
    place: int = 0  # which of the installation's dispatchers it is
    stopped_until: float = 0.0
    backlog: list[asyncio.Handle] = field(default_factory=list)
    death: asyncio.Event = field(default_factory=asyncio.Event)

    def kill(self) -> None:
        self.is_alive = False
        self.death.set()


@dataclass
class Clumsiness:
    """How slow and how late a machine is: seconds, and how often in a thousand."""

    rng: random.Random
    database: float = 0.004  # what a transaction takes on the average
    slow_database: float = 0.0  # the share of transactions that take up to `slow_seconds`
    late_timer: float = 0.0  # the share of timers that fire up to `slow_seconds` late
    slow_seconds: float = 0.3

    def transaction(self) -> float:
        if self.rng.random() < self.slow_database:
            return self.rng.uniform(0, self.slow_seconds)
        return self.rng.expovariate(1 / self.database)

    def timer(self) -> float:
        if self.late_timer and self.rng.random() < self.late_timer:
            return self.rng.uniform(0, self.slow_seconds)
        return self.rng.random() * 0.0005


class VirtualLoop(asyncio.BaseEventLoop):
    """An asyncio loop that goes to the next timer instead of waiting for it.

    `before_step` is called with the process of each step. What would run on a thread runs on the loop, after a
    transaction's time; its answer comes after another.
    """

    def __init__(self, before_step: Callable[[Process], None]) -> None:
        super().__init__()
        self._at = 0.0
        self._before_step = before_step
        self._spins = 0
        self._busy_until: dict[int, float] = {}
        self.set_exception_handler(lambda loop, context: None)

    def time(self) -> float:
        return self._at

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> asyncio.TimerHandle:
        process = PROCESS.get() if context is None else context.get(PROCESS)
        if process is not None:
            when += process.clumsy.timer()
        return super().call_at(when, callback, *args, context=context)

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:
        process, answer = PROCESS.get(), self.create_future()
        begins = max(self._at, self._busy_until.get(id(executor), 0.0))
        if process is not None:
            begins += process.clumsy.transaction() / 2
        ends = begins + (process.clumsy.transaction() / 2 if process is not None else 0.0)
        self._busy_until[id(executor)] = ends

        def work() -> None:
            try:
                result, error = partial(func, *args)(), None
            except Died:
                assert process is not None
                process.kill()
                return
            except Exception as raised:
                result, error = None, raised
            self.call_at(max(ends, self._at), tell, result, error)

        def tell(result: Any, error: Exception | None) -> None:
            if answer.done():
                return
            if error is None:
                answer.set_result(result)
            else:
                answer.set_exception(error)

        self.call_at(begins, work)
        return answer

    def stop_process(self, process: Process, seconds: float) -> None:
        """It does nothing for so long, and then everything that it has missed."""
        process.stopped_until = self._at + seconds
        super().call_at(process.stopped_until, self._go_on, process)

    def _go_on(self, process: Process) -> None:
        missed, process.backlog = process.backlog, []
        self._ready.extend(missed)

    def _run_once(self) -> None:
        timers, ready = self._scheduled, self._ready
        if not ready:
            while timers and timers[0]._cancelled:
                heapq.heappop(timers)._scheduled = False
            if not timers:
                raise Stuck("nothing is left to happen")
            if timers[0]._when > self._at:
                self._at, self._spins = timers[0]._when, 0
        while timers and timers[0]._when <= self._at + EPSILON:
            timer = heapq.heappop(timers)
            timer._scheduled = False
            ready.append(timer)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if handle._cancelled:
                continue
            process = handle._context.get(PROCESS)
            if process is not None:
                self._before_step(process)
                if not process.is_alive:
                    continue
                if process.stopped_until > self._at + EPSILON:
                    process.backlog.append(handle)
                    continue
            handle._run()
        self._spins += 1
        if self._spins > SPIN_MOST:
            raise Stuck(f"a loop waits for nothing: {ready[0] if ready else ''}")

    def _process_events(self, event_list: Any) -> None: ...

    def _write_to_self(self) -> None: ...


class NoThread:
    """In place of a thread pool: the loop itself does the work; what is handed over past it is not done."""

    def __init__(self, *args: Any, **options: Any) -> None: ...

    def submit(self, work: Callable[..., Any], *args: Any) -> NoThread:
        return self

    def result(self, timeout: float | None = None) -> None: ...

    def shutdown(self, *args: Any, **options: Any) -> None: ...


async def for_ever() -> None:
    """What a dead process goes on with."""
    await asyncio.get_running_loop().create_future()
