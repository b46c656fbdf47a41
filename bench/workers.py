"""What does a second Celery worker bring on one account? The same queue, sent by one and by two.

The processes are those of `paceline up --workers`, on PostgreSQL and Redis. They share the machine's cores with both
and with the carrier: with two cores there is no room for twice as much. `cores` says how many there were. So there are
three pairs:

    20 ms away        without a limit: what the cores give
    1,000 ms away     without a limit: what a worker has on the wire at a time is what bounds it, and not the cores
    at 800 a second   a limit, which two must keep as one does: judged by the wire logs of all, as in `pacing`

`of_one` is how many times as fast two are as one.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from bench import dispatch, harness, pacing, queue
from bench.carrier import Carrier, carrier
from bench.harness import Row, Sample

from paceline.sandbox.ledger import busiest_window

MESSAGES, QUICK_MESSAGES = 30_000, 6_000
NEAR_SECONDS, FAR_SECONDS = 0.02, 1.0
LIMIT = 800
REDIS = os.environ.get("PACELINE_TEST_REDIS_URL") or "redis://127.0.0.1:6379/9"
BEGUN = 0.1
"""Of the messages: what is sent before all workers have been woken does not count."""


def rows(quick: bool) -> list[Row]:
    """Nothing without PostgreSQL and Redis."""
    server = harness.postgres()
    if server is None or not dispatch._redis():
        return []
    many = QUICK_MESSAGES if quick else MESSAGES
    found: list[Row] = []
    with queue.stocked(server, many) as template:
        for name, latency, limit in (
            (f"{NEAR_SECONDS * 1000:.0f} ms away", NEAR_SECONDS, None),
            (f"{FAR_SECONDS * 1000:,.0f} ms away", FAR_SECONDS, None),
            (f"at {LIMIT} a second", NEAR_SECONDS, LIMIT),
        ):
            run = partial(_sent, server, template, many, latency=latency, limit=limit)
            pair = {f"{count} worker{'s' * (count > 1)}, {name}": partial(run, count) for count in (2, 1)}
            found += _compared(harness.medians(pair, 1 if quick else 3))
    return found


def _compared(pair: list[Row]) -> list[Row]:
    """Two beside one."""
    two, one = pair
    return [replace(two, notes={"of_one": round(two.per_second / one.per_second, 2), **two.notes}), one]


def _sent(
    server: str, template: Mapping[str, str], many: int, workers: int, *, latency: float, limit: int | None
) -> Sample:
    with harness.installed(server, template) as environment, carrier(latency) as there:
        folder = Path(environment["PACELINE_DATA_DIR"])
        environment |= {
            "PACELINE_PROVIDERS": dispatch.provider(there.url, limit),
            "PACELINE_BROKER_URL": REDIS,
            "PACELINE_INSTANCE": f"bench-{os.getpid()}",
            "PACELINE_WIRE_LOG": str(folder / "wire"),
        }
        with _running(folder, environment, workers):
            begun_at, begun = _when(there, int(many * BEGUN)), there.taken()
            cpu = sum(map(harness.cpu_seconds, _senders()))
            ended_at, ended = _when(there, many), there.taken()
            cpu = sum(map(harness.cpu_seconds, _senders())) - cpu
            peak = max(map(harness.peak_mb, _senders()))
        notes: dict[str, Any] = {"cores": len(os.sched_getaffinity(0))}
        if limit is not None:
            logs = [*(folder / "wire").glob("*.jsonl")]
            notes |= {"busiest_second": busiest_window(sorted(chain.from_iterable(map(pacing.moments, logs))), 1.0)}
    return Sample(ended - begun, ended_at - begun_at, cpu, peak, notes)


@contextmanager
def _running(folder: Path, environment: dict[str, str], workers: int) -> Iterator[None]:
    """Beat, the chores' worker and so many that send."""
    commands = [["beat"], ["worker", "--chores", "--concurrency", "1"], *[["worker", "--concurrency", "1"]] * workers]
    running = []
    with (folder / "said.log").open("ab") as said:
        for command in commands:
            program = [sys.executable, "-m", "paceline", *command]
            whole = {**os.environ, **environment}
            running.append(subprocess.Popen(program, env=whole, stdout=said, stderr=said, start_new_session=True))  # noqa: S603
    try:
        yield
    finally:
        for process in running:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _senders() -> list[int]:
    """The processes that send: children of the workers that we have started."""
    return [grandchild for child in _children(os.getpid()) for grandchild in _children(child)]


def _children(pid: int) -> list[int]:
    with suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def _when(there: Carrier, many: int) -> float:
    """The moment at which the carrier has so many."""
    give_up_at = time.monotonic() + harness.CHILD_SECONDS
    while there.taken() < many:
        if time.monotonic() > give_up_at:
            raise RuntimeError("The workers do not send")
        time.sleep(0.02)
    return time.monotonic()
