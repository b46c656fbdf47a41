"""How does one text reach many? Rows become messages, messages wait in their sender's lane, workers submit them.

    rows ─▶ prepare ─▶ lane (one per sender) ─▶ gate (slots; run file) ─▶ workers ─▶ a Result for every row

One loop feeds, `concurrency` workers submit; there is no task per message. What certainly did not leave goes back to
its lane, what may have left never does. The rules are those of docs/architecture.md, kept in memory and a run file
instead of tables.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any

from . import numbers, pacing, segments, templates
from .errors import (
    AccountProblem,
    InvalidNumber,
    ProviderError,
    Refused,
    SenderProblem,
    TemplateError,
    Throttled,
    Unavailable,
    Uncertain,
)
from .lanes import Hold, Job, Lane
from .messages import Accepted, Message
from .providers.base import Provider
from .results import WITHOUT_A_TEXT, Outcome, Progress, Result
from .runs import RETURNED, SUBMITTING, Entry, RunFile, RunFileError
from .transports import AsyncTransport

NUMBER_FIELDS = ("number", "to", "phone")
"""Where a row that is a mapping has its number; the first that is there counts."""

CHUNK = 250  # rows read at a time
LOOKAHEAD = 2_000  # messages prepared ahead
LOOKAHEAD_MOST = 50_000  # and when the rows of one sender are rare among the others'
GATE_AHEAD_SECONDS = 0.08  # slots are given out this far ahead
GATE_EVERY_SECONDS = 0.04  # so often, and so often the run file is synced
CONNECT_AHEAD_SECONDS = 0.5  # a lane slower than that finds its connection opened
PROGRESS_EVERY_SECONDS = 0.25
DRAIN_SECONDS = 10.0  # how long an interrupted run waits for answers
DOUBTS = 3  # uncertain in a row: from then on a lane has one message under way at a time

WireRecord = Callable[[float, Message], None]
Reader = Callable[[int], Awaitable[Sequence[Any]]]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run does, once the caller's options are checked. Raises `ValueError` and `TemplateError`."""

    text: str
    senders: tuple[str, ...]
    sticky: bool = True
    rate: float | None = None
    account_rate: float | None = None
    batch_size: int | None = None
    batch_delay: float = 0.0
    region: str | None = None
    concurrency: int = 256
    run_file: Path | str | None = None
    validity_seconds: int | None = None
    report: bool = True
    retries: int = 5
    retry_seconds: float = 60.0

    def __post_init__(self) -> None:
        templates.parse(self.text)
        if not self.text.strip():
            raise ValueError("The text is empty: there is nothing to send")
        if not self.senders or not all(self.senders):
            raise ValueError("No sender: give frm or senders, or set PACELINE_FROM")
        if len(set(self.senders)) != len(self.senders):
            raise ValueError("A sender is named twice")
        for rate in (self.rate, self.account_rate):
            pacing.interval(rate)
        if self.concurrency < 1 or (self.batch_size is not None and self.batch_size < 1) or self.batch_delay < 0:
            raise ValueError("concurrency and batch_size are 1 or more, batch_delay is 0 or more seconds")


class _Missed(Exception):
    """The slot was missed: nothing has been written."""


class Run:
    """One run, from rows to results. Moments are of `time.monotonic`."""

    def __init__(
        self,
        plan: Plan,
        provider: Provider,
        transport: AsyncTransport,
        read: Reader,
        *,
        total: int | None = None,
        progress: Callable[[Progress], object] | None = None,
        on_result: Callable[[Result], object] | None = None,
        on_write: WireRecord | None = None,
    ) -> None:
        self._plan = plan
        self._provider = provider
        self._transport = transport
        self._read = read
        self._total = total
        self._progress = progress
        self._on_result = on_result
        self._on_write = on_write
        self._epoch = time.time() - time.monotonic()

        self._template = templates.parse(plan.text)
        self._constant = None if self._template.fields else (plan.text, segments.count(plan.text))
        self._lanes = [Lane(sender, plan.rate) for sender in plan.senders]
        self._by_turn = tuple(self._lanes)
        self._account_interval = pacing.interval(plan.account_rate)
        self._account_free_at = 0.0
        self._hold = Hold()
        self._stopped: ProviderError | None = None

        self._results: list[Result | None] = []
        self._first_row: dict[str, int] = {}
        self._unread: deque[Any] = deque()
        self._exhausted = False
        self._waiting = 0  # messages in lanes
        self._pending = 0  # messages without a result
        self._turn = 0
        self._is_full = False  # the workers have all that they may have
        self._batch_left = plan.batch_size
        self._last_write = 0.0

        self._ready: deque[Job] = deque()
        self._idle: deque[asyncio.Future[None]] = deque()
        self._workers: list[asyncio.Task[None]] = []
        self._warming: set[asyncio.Task[None]] = set()
        self._woken = asyncio.Event()
        self._ended = False
        self._failure: BaseException | None = None
        self._task: asyncio.Task[Any] | None = None

        self._file: RunFile | None = None
        self._disk: ThreadPoolExecutor | None = None
        self._unwritten: list[dict[str, Any]] = []

        self._counts = dict.fromkeys(Outcome, 0)
        self._earlier = 0
        self._started = 0.0
        self._told = 0.0

    async def run(self) -> list[Result]:
        """Sends, and returns a result for every row, in order.

        Raises `RunFileError`, OSError of the run file, and what the rows or a callback raise; what was under way is
        settled before. So it is when the task is cancelled.
        """
        plan = self._plan
        self._task = asyncio.current_task()
        self._started = time.monotonic()
        if plan.run_file is not None:
            self._file = RunFile(plan.run_file, [plan.text, sorted(plan.senders), plan.sticky])
            self._disk = ThreadPoolExecutor(1, "paceline-run-file")
        try:
            try:
                await self._feed()
            except BaseException:
                self._failure = self._failure or RuntimeError("the run ended")
                await self._drain(DRAIN_SECONDS)
                raise
            await self._drain(None)
        finally:
            if self._disk is not None:
                self._disk.shutdown()
            if self._file is not None:
                self._write_outcomes()
                self._file.close()
        self._tell_progress()
        return [result for result in self._results if result is not None]

    def interrupt(self) -> None:
        """Stops as a cancelled task does. Call it on the loop."""
        if self._task is not None:
            self._task.cancel()

    def stop(self, reason: ProviderError) -> None:
        """Submits nothing more; what has not left comes back as not sent for this reason."""
        if self._stopped is None:
            self._stopped = reason
        for lane in self._lanes:
            self._stop_lane(lane, reason)
        self._woken.set()

    # Rows become messages

    async def _refill(self) -> bool:
        """Prepares some rows, unless enough messages wait or the tranche is full. True when more could be prepared."""
        while self._wants_rows():
            if not self._unread:
                if self._exhausted:
                    return False
                chunk = await self._read(CHUNK)
                self._exhausted = not chunk
                self._unread.extend(chunk)
                await asyncio.sleep(0)  # whoever submits goes first
                continue
            if self._batch_left == 0 and not self._next_tranche():
                return False
            for _ in range(min(len(self._unread), CHUNK)):
                if self._batch_left == 0:
                    break
                self._prepare(self._unread.popleft())
            if self._waiting and not self._is_verifying():
                return True
        return False

    def _wants_rows(self) -> bool:
        if self._failure is not None:
            return False
        if self._stopped is not None or self._is_verifying():
            return True
        if self._waiting < LOOKAHEAD:
            return True
        return self._waiting < LOOKAHEAD_MOST and any(not lane.jobs and not lane.stopped for lane in self._lanes)

    def _next_tranche(self) -> bool:
        """True when the tranche before has been answered and the delay since its last submit is over."""
        if self._stopped is not None or self._is_verifying():
            self._batch_left = self._plan.batch_size
            return True
        if self._pending:
            return False
        due = self._last_write + self._plan.batch_delay if self._last_write else 0.0
        if time.monotonic() < due:
            self._wake_later(due)
            return False
        self._batch_left = self._plan.batch_size
        return True

    def _is_verifying(self) -> bool:
        """While rows that the run file knows are still to come, nothing leaves: they may be other rows."""
        return self._file is not None and len(self._results) <= self._file.last_row and not self._is_read()

    def _is_read(self) -> bool:
        return self._exhausted and not self._unread

    def _prepare(self, row: object) -> None:
        """One row: a message in its lane, or a result at once."""
        index = len(self._results)
        self._results.append(None)
        number = ""
        try:
            raw, fields = _number_and_fields(row)
            number = numbers.normalize(raw, self._plan.region)
            entry = self._file.recall(index, number) if self._file else None
            first = self._first_row.setdefault(number, index)
            if first != index:
                self._tell(Result(index, number, Outcome.DUPLICATE, duplicate_of=first))
                return
            lane = self._lane_of(number)
            if entry is not None and entry.state != RETURNED:
                self._tell(_recalled(index, number, lane.sender, entry))
                return
            text, count = self._constant or self._render(fields)
        except (InvalidNumber, TemplateError) as error:
            self._tell(Result(index, number, Outcome.INVALID, error=error))
            return
        message = Message(
            text, lane.sender, number, validity_seconds=self._plan.validity_seconds, report=self._plan.report
        )
        job = Job(index, message, count, lane)
        self._pending += 1
        if lane.stopped is not None:
            self._settle(job, Outcome.NOT_SENT, lane.stopped)
            return
        if self._batch_left is not None:
            self._batch_left -= 1
        lane.jobs.append(job)
        self._waiting += 1

    def _render(self, fields: Mapping[str, Any]) -> tuple[str, int]:
        wanted = {name: str(fields[name]) for name in self._template.fields if fields.get(name) is not None}
        text = templates.render(self._template, wanted)
        if not text.strip():
            raise TemplateError("The text is empty for this row: there is nothing to send.")
        return text, segments.count(text)

    def _lane_of(self, number: str) -> Lane:
        """Sticky: the sender with the highest hash for this number, so that another sender moves few of them."""
        lanes = self._lanes
        if len(lanes) == 1:
            return lanes[0]
        if self._plan.sticky:
            return max(lanes, key=lambda lane: blake2b(f"{lane.sender}\0{number}".encode(), digest_size=8).digest())
        self._turn += 1
        return self._by_turn[(self._turn - 1) % len(lanes)]

    # The gate

    async def _feed(self) -> None:
        """Until every row has its result: prepare, give out slots, write down what is about to leave, let it go."""
        if self._plan.rate or self._plan.account_rate:
            await self._transport.connect(self._provider)
        while True:
            self._woken.clear()
            if self._failure is not None:
                raise self._failure
            more = await self._refill()
            if self._is_verifying():
                continue
            if self._file is not None and len(self._results) <= self._file.last_row:
                raise RunFileError(f"{self._file.path.name} knows more rows than there are now; give it the same rows")
            jobs, next_at = self._take(time.monotonic())
            if jobs:
                self._connect_ahead(len(jobs))
                await self._note(jobs)
                self._release(jobs)
            elif self._is_read() and not self._pending:
                return
            if more:
                continue
            timer = self._wake_later(next_at)
            await self._woken.wait()
            if timer is not None:
                timer.cancel()

    def _take(self, now: float) -> tuple[list[Job], float | None]:
        """The messages that may leave soon, in slot order, and when to look again."""
        taken: list[Job] = []
        horizon = now + GATE_AHEAD_SECONDS
        room = self._plan.concurrency - len(self._ready)
        self._is_full = False
        if now < self._hold.until:
            return taken, self._hold.until
        while len(taken) < room:
            best, best_at = None, float("inf")
            held_until = float("inf")
            for lane in self._lanes:
                if not lane.jobs or (lane.doubts >= DOUBTS and lane.in_flight):
                    continue
                if lane.hold.until > now:
                    held_until = min(held_until, lane.hold.until)
                elif lane.free_at < best_at:
                    best, best_at = lane, lane.free_at
            if best is None:
                return taken, held_until if held_until < float("inf") else None
            slot = pacing.slot(now, (best_at, self._account_free_at))
            if slot > horizon:
                self._warm_up(best, slot - now)
                return taken, slot - GATE_AHEAD_SECONDS + GATE_EVERY_SECONDS
            job = best.jobs.popleft()
            self._waiting -= 1
            best.in_flight += 1
            best.warm = False
            paced = best.interval or self._account_interval
            job.slot = slot if paced else 0.0
            job.written = False
            best.free_at = slot + best.interval if paced else now
            if self._account_interval:
                self._account_free_at = slot + self._account_interval
            taken.append(job)
            if len(self._lanes) > 1 and not best.interval:  # lanes without a limit take turns
                self._lanes.remove(best)
                self._lanes.append(best)
        self._is_full = True
        return taken, None

    def _connect_ahead(self, submits: int) -> None:
        """Submits by GET want a connection each: for these, and for as many after them."""
        if self._provider.method == "GET" and (self._plan.rate or self._plan.account_rate):
            self._connect(2 * submits)

    def _warm_up(self, lane: Lane, seconds: float) -> None:
        """Opens the connection before the slot of a lane that is slower than connections live."""
        if lane.warm or lane.interval < CONNECT_AHEAD_SECONDS:
            return
        lane.warm = True
        loop = asyncio.get_running_loop()
        loop.call_later(max(0.0, seconds - CONNECT_AHEAD_SECONDS), self._connect)

    def _connect(self, submits: int = 1) -> None:
        if not self._ended:
            task = asyncio.get_running_loop().create_task(self._transport.connect(self._provider, submits))
            self._warming.add(task)
            task.add_done_callback(self._warming.discard)

    async def _note(self, jobs: list[Job]) -> None:
        """The run file knows what may be on the wire, before it can be."""
        if self._file is None or self._disk is None:
            return
        self._write_outcomes()
        intents = [(job.row, job.message.number, job.message.reference) for job in jobs]
        writing = asyncio.get_running_loop().run_in_executor(self._disk, self._file.submitting, intents)
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            await asyncio.wait([writing])
            for job in jobs:
                self._write_outcome({"row": job.row, "is": RETURNED})
            raise

    def _release(self, jobs: list[Job]) -> None:
        """Hands messages to workers, of which there are as many as were ever needed."""
        self._ready.extend(jobs)
        for _ in jobs:
            if self._idle:
                _wake(self._idle.popleft())
            elif len(self._workers) < self._plan.concurrency:
                self._workers.append(asyncio.create_task(self._work()))
            else:
                return

    def _wake_later(self, moment: float | None) -> asyncio.TimerHandle | None:
        if moment is None:
            return None
        return asyncio.get_running_loop().call_later(max(0.0, moment - time.monotonic()), self._woken.set)

    # The workers

    async def _work(self) -> None:
        """Submits what is ready until the run ends."""
        try:
            while True:
                while not self._ready:
                    if self._ended:
                        return
                    waiter = asyncio.get_running_loop().create_future()
                    self._idle.append(waiter)
                    await waiter
                await self._submit(self._ready.popleft())
        except Exception as error:  # a callback's or the run file's: the run ends with it
            self._failure = self._failure or error
            self._woken.set()

    async def _submit(self, job: Job) -> None:
        lane = job.lane
        job.began = time.monotonic()
        if self._failure is not None or lane.stopped is not None or max(lane.hold.until, self._hold.until) > job.began:
            self._give_back(job)
            return
        result: Accepted | Exception
        try:
            while (early := job.slot - time.monotonic()) > 0:
                await asyncio.sleep(early)
            job.began = time.monotonic()
            result = await self._transport.submit(
                self._provider, job.message, before_write=partial(self._before_write, job)
            )
        except _Missed:
            if lane.free_at <= job.slot + lane.interval:
                lane.free_at = job.slot  # nothing was written in it and nobody has a later one
            self._give_back(job)
            return
        except ProviderError as error:
            result = error
        except Exception as error:
            if not job.written:
                self._give_back(job)
                raise
            result = Uncertain(f"Something unforeseen happened after the write ({type(error).__name__}).")
        except asyncio.CancelledError:
            self._cancelled(job)
            raise
        self._answered(job, result)

    def _before_write(self, job: Job) -> None:
        """The last line before the write: a missed slot is void, and nothing is written for it."""
        now = time.monotonic()
        if job.slot and pacing.is_late(now, job.slot):
            raise _Missed
        if self._failure is not None or job.lane.stopped is not None:
            raise _Missed
        if self._on_write is not None:
            self._on_write(now + self._epoch, job.message)
        job.written = True
        self._last_write = now

    def _answered(self, job: Job, result: Accepted | ProviderError | Exception) -> None:
        """What an answer means for the message, its lane and the run."""
        lane, now = job.lane, time.monotonic()
        if isinstance(result, Unavailable):
            self._unavailable(job, result, now)
            return
        self._hold.clear(job.began)
        if isinstance(result, Throttled):
            self._throttled(job, result, now)
            return
        lane.hold.clear(job.began)
        lane.in_flight -= 1
        if lane.doubts >= DOUBTS:
            self._woken.set()
        if isinstance(result, Accepted):
            lane.doubts = 0
            lane.accepted(now)
            if lane.rate != lane.limit:
                lane.speed_up(now)
            self._settle(job, Outcome.ACCEPTED, None, result)
        elif isinstance(result, AccountProblem):
            self.stop(result)
            self._settle(job, Outcome.FAILED, result)
        elif isinstance(result, SenderProblem):
            self._stop_lane(lane, result)
            self._settle(job, Outcome.FAILED, result)
        elif isinstance(result, Refused):
            lane.doubts = 0
            self._settle(job, Outcome.REFUSED, result)
        else:
            lane.doubts += 1
            unnamed = result if isinstance(result, ProviderError) else Uncertain("Nobody knows what became of it.")
            self._settle(job, Outcome.UNCERTAIN, unnamed)

    def _unavailable(self, job: Job, error: Unavailable, now: float) -> None:
        """It never left. When nothing gets through for long, the run ends."""
        self._hold.strike(job.began, now, None)
        if self._hold.is_hopeless(self._plan.retries, self._plan.retry_seconds, now):
            self.stop(error)
        job.tries += 1
        if job.tries > self._plan.retries:
            job.lane.in_flight -= 1
            self._settle(job, Outcome.FAILED, error)
        else:
            self._give_back(job, error)

    def _throttled(self, job: Job, error: Throttled, now: float) -> None:
        """A definite no for now: the lane waits and goes on more slowly."""
        lane = job.lane
        lane.doubts = 0
        if lane.hold.strike(job.began, now, error.retry_after):
            lane.slow_down(now)
        if lane.hold.is_hopeless(self._plan.retries, self._plan.retry_seconds, now):
            self._stop_lane(lane, error)
        job.tries += 1
        job.first_try = job.first_try or job.began
        if job.tries > self._plan.retries and now - job.first_try > self._plan.retry_seconds:
            lane.in_flight -= 1
            self._settle(job, Outcome.FAILED, error)
        else:
            self._give_back(job, error)

    def _give_back(self, job: Job, error: ProviderError | None = None) -> None:
        """To the front of its lane; or, where nothing leaves any more, to the caller."""
        lane = job.lane
        lane.in_flight -= 1
        self._write_outcome({"row": job.row, "is": RETURNED})
        if lane.stopped is not None:
            self._settle(job, Outcome.NOT_SENT, error or lane.stopped)
            return
        lane.jobs.appendleft(job)
        self._waiting += 1
        self._woken.set()

    def _cancelled(self, job: Job) -> None:
        """The run waits no longer for this answer."""
        job.lane.in_flight -= 1
        if job.written:
            self._settle(job, Outcome.UNCERTAIN, Uncertain("The run was stopped before the provider's answer."))
        else:
            self._write_outcome({"row": job.row, "is": RETURNED})

    def _stop_lane(self, lane: Lane, reason: ProviderError) -> None:
        if lane.stopped is None:
            lane.stopped = reason
        while lane.jobs:
            self._waiting -= 1
            self._settle(lane.jobs.popleft(), Outcome.NOT_SENT, reason)

    # Results

    def _settle(
        self, job: Job, outcome: Outcome, error: ProviderError | None, accepted: Accepted | None = None
    ) -> None:
        message = job.message
        provider_id = accepted.provider_id if accepted else ""
        count = (accepted.segments if accepted else None) or job.segments
        if self._file is not None:
            if outcome in (Outcome.FAILED, Outcome.NOT_SENT):
                if job.began:
                    self._write_outcome({"row": job.row, "is": RETURNED})
            else:
                line = {"row": job.row, "is": outcome.value, "provider_id": provider_id, "segments": count}
                if error is not None:
                    line |= {"code": error.code, "sentence": str(error)}
                self._write_outcome(line)
        self._pending -= 1
        if self._pending == 0 or (self._is_full and len(self._ready) <= self._plan.concurrency // 4):
            self._woken.set()
        self._tell(
            Result(job.row, message.number, outcome, message.reference, provider_id, count, message.sender, error)
        )

    def _tell(self, result: Result) -> None:
        self._results[result.row] = result
        self._counts[result.status] += 1
        self._earlier += result.earlier
        if self._on_result is not None:
            self._on_result(result)
        if self._progress is not None and time.monotonic() - self._told >= PROGRESS_EVERY_SECONDS:
            self._tell_progress()

    def _tell_progress(self) -> None:
        if self._progress is None:
            return
        self._told = time.monotonic()
        counts = self._counts
        done = sum(counts.values())
        per_second = (done - self._earlier) / max(self._told - self._started, 0.001)
        left = None if self._total is None else self._total - done
        self._progress(
            Progress(
                done=done,
                total=self._total,
                accepted=counts[Outcome.ACCEPTED],
                failed=sum(counts[each] for each in WITHOUT_A_TEXT),
                uncertain=counts[Outcome.UNCERTAIN],
                per_second=round(per_second, 1),
                eta_seconds=round(left / per_second, 1) if left is not None and per_second else None,
            )
        )

    def _write_outcome(self, line: dict[str, Any]) -> None:
        """In the file by the end of this turn of the loop: answers that come together are one write."""
        if self._file is None:
            return
        if not self._unwritten:
            asyncio.get_running_loop().call_soon(self._write_outcomes)
        self._unwritten.append(line)

    def _write_outcomes(self) -> None:
        if not self._unwritten or self._file is None:
            return
        lines, self._unwritten = self._unwritten, []
        try:
            self._file.settled(lines)
        except OSError as error:
            self._failure = self._failure or error
            self._woken.set()

    # The end

    async def _drain(self, seconds: float | None) -> None:
        """Lets the workers end: those under way get their answer, for at most this long."""
        self._ended = True
        while self._idle:
            _wake(self._idle.popleft())
        try:
            if self._workers:
                _, late = await asyncio.wait(self._workers, timeout=seconds)
                await _cancel(late)
        except asyncio.CancelledError:  # interrupted again: no more waiting
            await _cancel(self._workers)
            raise
        finally:
            await _cancel(self._warming)
        if self._failure is not None and seconds is None:
            raise self._failure


def _number_and_fields(row: object) -> tuple[str, Mapping[str, Any]]:
    """What a row has to say. Raises `InvalidNumber` for a row that names no number."""
    if isinstance(row, str):
        return row, {"number": row}
    if isinstance(row, Mapping):
        for name in NUMBER_FIELDS:
            value = row.get(name)
            if value is not None and value != "":
                return str(value), row
        raise InvalidNumber("empty", "This row has no number: it is looked for under number, to and phone.")
    raise InvalidNumber("empty", "A row is a number, or a mapping with a number and the fields of the text.")


def _recalled(row: int, number: str, sender: str, entry: Entry) -> Result:
    """The result of a row that an earlier run with the same file has settled."""
    error: ProviderError | None = None
    outcome = Outcome.UNCERTAIN if entry.state == SUBMITTING else Outcome(entry.state)
    if entry.state == SUBMITTING:
        error = Uncertain("The run ended while this was being submitted; it may have been sent.")
    elif outcome is Outcome.UNCERTAIN:
        error = Uncertain(entry.sentence, code=entry.code)
    elif outcome is Outcome.REFUSED:
        error = Refused(entry.sentence, code=entry.code)
    return Result(row, number, outcome, entry.reference, entry.provider_id, entry.segments, sender, error, earlier=True)


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


async def _cancel(tasks: Any) -> None:
    tasks = list(tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
