"""Does a limit hold to the message, and how much of it is used? One worker and four, twenty senders on one account.

The account has the limit, its twenty senders have none; more waits than can be sent. Judged by the wire logs (what each
worker writes just before it writes to the socket): no sliding second holds more than the limit. Judged again by the
carrier's own clock over 0.95 s, a second less what the way there may bunch up. A worker is a process with a dispatcher;
all of them have one database. The whole run draws docs/pacing.svg.

The whole run also tries it under chaos: four workers at 50 a second, one of them killed with SIGKILL every so often
and replaced at once by another, forked from a warm parent; and a carrier with all its faults. What a dead worker
had leased is void. `of_limit` is how much of the limit is used all the same; here the wire logs alone are the judge.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import sys
import time
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import django
from bench import harness, plot, queue
from bench.carrier import carrier
from bench.dispatch import provider
from bench.harness import Row, Sample

from paceline.sandbox.behaviour import Behaviour
from paceline.sandbox.carrier import Running
from paceline.sandbox.ledger import busiest_window
from paceline.sandbox.wires.vonage import Vonage

RATES, QUICK_RATES = ((1, 10, 100), (1000,)), ((10, 100),)
"""What runs at the same time: together they need less than a core."""
WORKERS = (1, 4)
SENDERS = 20
SECONDS, QUICK_SECONDS = 60.0, 4.0
CARRIER_LATENCY = 0.02
CHAOS_RATE, CHAOS_WORKERS = 50, 4
KILL_EVERY_SECONDS = (5.0, 1.0)
FAULTS = Behaviour(
    seed=1,
    latency=0.05,
    latency_min=0.01,
    throttle=0.03,
    reset=0.03,
    error=0.03,
    garbage=0.01,
    hang=0.01,
    accept_reset=0.03,
    accept_error=0.03,
    accept_garbage=0.01,
    accept_hang=0.01,
    hang_seconds=5.0,
)
SVG = harness.HOME / "docs" / "pacing.svg"


@dataclass(frozen=True, slots=True)
class Run:
    """What was seen of one limit: when the workers wrote, and when the carrier read."""

    rate: int
    workers: int
    engine: str
    wire: Sequence[float]
    read: Sequence[float]
    cpu_seconds: float
    peak_mb: float
    kill_every: float | None = None

    @property
    def name(self) -> str:
        killed = "" if self.kill_every is None else f", one killed every {self.kill_every:g} s"
        return f"{self.engine}, {self.workers} worker{'s' * (self.workers > 1)}{killed}"

    def row(self) -> Row:
        """`of_limit` is what was used of it, between the first write and the last."""
        sent = len(self.wire)
        per_second = (sent - 1) / (self.wire[-1] - self.wire[0]) if sent > 1 else 0.0
        return Row(
            f"{self.rate:,}/s, {self.name}",
            round(per_second, 3),
            round(self.cpu_seconds / max(sent, 1) * 1e6, 1),
            round(self.peak_mb, 1),
            {
                "sent": sent,
                "of_limit": round(per_second / self.rate, 4),
                "busiest_second": busiest_window(self.wire, 1.0),
                **({"carriers_busiest_095": busiest_window(self.read, 0.95)} if self.read else {}),
            },
        )


def rows(quick: bool) -> list[Row]:
    seconds = QUICK_SECONDS if quick else SECONDS
    runs: list[Run] = []
    for engine, server in harness.databases(quick).items():
        for workers in WORKERS[:1] if quick else WORKERS:
            for together in QUICK_RATES if quick else RATES:
                harness.say(f"{engine}, {workers} workers, {together} per second")
                run = partial(_run, workers=workers, engine=engine, server=server, seconds=seconds)
                with ThreadPoolExecutor(len(together)) as threads:
                    runs += threads.map(run, together)
    if quick:
        return [run.row() for run in sorted(runs, key=lambda run: run.rate)]
    SVG.write_text(_drawing(runs, seconds))
    return [run.row() for run in [*sorted(runs, key=lambda run: run.rate), *under_chaos()]]


def under_chaos() -> list[Run]:
    """Four workers, one of them killed every so often, beside a carrier with all its faults."""
    found = []
    for engine, server in harness.databases(quick=False).items():
        for every in KILL_EVERY_SECONDS:
            harness.say(f"{engine}, one of {CHAOS_WORKERS} workers killed every {every:g} s")
            found.append(_chaos(engine, server, every, SECONDS))
    return found


def _chaos(engine: str, server: str | None, every: float, seconds: float) -> Run:
    with ExitStack() as stack:
        environment = stack.enter_context(harness.installed(server))
        folder = Path(environment["PACELINE_DATA_DIR"])
        account = Vonage(api_key="key", api_secret="secret", signature_secret="nobody-asks" * 3)  # noqa: S106 our own
        there = stack.enter_context(Running(FAULTS, ledger=folder / "carrier.jsonl", wire=account))
        environment["PACELINE_PROVIDERS"] = provider(there.url, CHAOS_RATE)
        _done("fill", round(CHAOS_RATE * (seconds + 5) * 1.1) + 50, env=environment)
        with harness.start("pacing", "brood", CHAOS_WORKERS, every, seconds, env=environment) as process:
            sample = _sample(process)
        wire = sorted(chain.from_iterable(moments(path) for path in folder.glob("wire-*.jsonl")))
        cpu, peak = sample.cpu_seconds, sample.peak_mb
        return Run(CHAOS_RATE, CHAOS_WORKERS, engine, wire, [], cpu, peak, kill_every=every)


def _run(rate: int, workers: int, engine: str, server: str | None, seconds: float) -> Run:
    with ExitStack() as stack:
        there = stack.enter_context(carrier(CARRIER_LATENCY))
        account = {"PACELINE_PROVIDERS": provider(there.url, rate)}
        environment = stack.enter_context(harness.installed(server, **account))
        folder = Path(environment["PACELINE_DATA_DIR"])
        _done("fill", round(rate * (seconds + 5) * 1.1) + 50, env=environment)
        processes = [
            stack.enter_context(harness.start("pacing", "work", number, seconds, env=environment))
            for number in range(workers)
        ]
        samples = [_sample(process) for process in processes]
        wire = sorted(chain.from_iterable(moments(folder / f"wire-{number}.jsonl") for number in range(workers)))
        cpu, peak = sum(s.cpu_seconds for s in samples), max(s.peak_mb for s in samples)
        return Run(rate, workers, engine, wire, there.times(), cpu, peak)


def _done(*arguments: object, env: dict[str, str]) -> None:
    with harness.start("pacing", *arguments, env=env) as process:
        if process.wait():
            raise RuntimeError(f"bench.pacing {arguments[0]} ended with {process.returncode}")


def _sample(process: Any) -> Sample:
    output, _ = process.communicate(timeout=harness.CHILD_SECONDS)
    if process.returncode:
        raise RuntimeError(f"A worker ended with {process.returncode}")
    return Sample(**json.loads(output.splitlines()[-1]))


def moments(path: Path) -> list[float]:
    """When a worker wrote to the wire, as its log says."""
    return [json.loads(line)["at"] for line in path.read_text().splitlines()] if path.exists() else []


def _drawing(runs: Sequence[Run], seconds: float) -> str:
    panels = [
        plot.Panel(
            f"limit {rate:,} per second",
            [plot.Line(run.name, _sliding(run, seconds)) for run in runs if run.rate == rate and run.wire],
        )
        for rate in sorted({run.rate for run in runs})
    ]
    return plot.draw("Messages written in each sliding second, as a share of the account's limit", panels, seconds)


def _sliding(run: Run, seconds: float) -> list[tuple[float, float]]:
    """What the second before each moment holds, every half second."""
    first = run.wire[0]
    moments = [0.5 * n for n in range(2, int(seconds * 2) + 1)]
    counts = [bisect_right(run.wire, first + at) - bisect_right(run.wire, first + at - 1.0) for at in moments]
    return [(at, count / run.rate) for at, count in zip(moments, counts, strict=True)]


# --- in a process of its own ----------------------------------------------------------------------------------


def fill(messages: str) -> None:
    django.setup()
    from paceline.messaging import accounts

    queue.fill(queue.campaign(), queue.senders(SENDERS), int(messages))
    accounts.sync()


def work(number: str, seconds: str) -> None:
    """A dispatcher for so long, its wire log beside the others'."""
    django.setup()
    wall, cpu = time.perf_counter(), time.process_time()
    _dispatch(number, float(seconds))
    harness.report(Sample(1, time.perf_counter() - wall, time.process_time() - cpu, harness.peak_mb()))


def _dispatch(name: object, seconds: float) -> None:
    import uvloop

    from paceline.dispatcher.loop import Dispatcher
    from paceline.dispatcher.wirelog import WireLog

    log = WireLog(Path(os.environ["PACELINE_DATA_DIR"]) / f"wire-{name}.jsonl")

    async def run() -> None:
        dispatcher = Dispatcher(wire_log=log)
        asyncio.get_running_loop().call_later(seconds, dispatcher.stop)
        await dispatcher.run()

    sys.setswitchinterval(0.001)  # as the embedded dispatcher has it
    uvloop.run(run())


def brood(workers: str, every: str, seconds: str) -> None:
    """So many workers, forked from this process; now and then one of them is killed, in turn, and another forked."""
    django.setup()
    import uvloop  # noqa: F401 so that nobody forked has to

    from paceline.dispatcher import loop  # noqa: F401 so that it is loaded once, before the fork

    began = time.monotonic()
    ends = began + float(seconds)
    children = deque(_forked(ends) for _ in range(int(workers)))
    kill_at = began + float(every)
    while kill_at < ends:
        time.sleep(max(0.0, kill_at - time.monotonic()))
        kill_at += float(every)
        dead = children.popleft()
        os.kill(dead, signal.SIGKILL)
        os.waitpid(dead, 0)
        children.append(_forked(ends))
    peak = max(harness.peak_mb(child) for child in children)
    for child in children:
        os.waitpid(child, 0)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    harness.report(Sample(1, time.monotonic() - began, used.ru_utime + used.ru_stime, peak))


def _forked(ends: float) -> int:
    """The id of a child that is a worker until `ends`, on the monotonic clock."""
    child = os.fork()
    if child == 0:
        try:
            _dispatch(os.getpid(), max(0.1, ends - time.monotonic()))
        finally:
            os._exit(0)
    return child


if __name__ == "__main__":
    {"fill": fill, "work": work, "brood": brood}[sys.argv[1]](*sys.argv[2:])
