"""What does a claim cost per message, by how many it takes and by how many wait? Flat is what it should be.

    ./run bench claim [--quick | --deep] [--json]

`--deep` is one round of the depths to ten millions, in some minutes and 7 GB; the whole run makes five.

One lane without a limit and one running campaign; each claim is given back outside the timing, so that the queue keeps
its depth. The dispatcher's own CPU; on PostgreSQL the server's comes on top, and is in the rate.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict

import django
from bench import harness, queue
from bench.harness import Row, Sample

DEPTHS, QUICK_DEPTHS = (10**3, 10**4, 10**5, 10**6, 10**7), (10**3, 3 * 10**4)
BATCHES = {500: 20, 100: 50, 10: 100, 1: 200}
QUICK_BATCHES = {500: 2, 10: 10}
"""{how many a claim takes: how many claims make a sample}"""


def rows(quick: bool) -> list[Row]:
    depths, batches = (QUICK_DEPTHS, QUICK_BATCHES) if quick else (DEPTHS, BATCHES)
    return _on_each(depths, batches, harness.rounds(quick), harness.databases(quick))


def deep() -> list[Row]:
    """Every depth, once."""
    return _on_each(DEPTHS, BATCHES, 1, harness.databases(quick=False))


def _on_each(
    depths: Sequence[int], batches: Mapping[int, int], rounds: int, databases: Mapping[str, str | None]
) -> list[Row]:
    """Depths; {how many a claim takes: how many claims make a sample}; rounds; `harness.databases`."""
    found: list[Row] = []
    for engine, server in databases.items():
        with harness.installed(server) as environment:
            found += measured(engine, environment, depths, batches, rounds)
    return found


def measured(
    engine: str, environment: Mapping[str, str], depths: Sequence[int], batches: Mapping[int, int], rounds: int
) -> list[Row]:
    """A child per database: it grows the queue from depth to depth and prints a line for each cell."""
    asked = json.dumps([[*depths], [*batches.items()], rounds])
    with harness.start("claim", asked, env=environment) as process:
        output, _ = process.communicate(timeout=4 * harness.CHILD_SECONDS)
    if process.returncode:
        raise RuntimeError(f"bench claim on {engine} ended with {process.returncode}")
    found = []
    for line in output.splitlines():
        depth, batch, samples = json.loads(line)
        name = f"{engine}, {batch} at a time of {depth:,}"
        found.append(harness.row(name, [Sample(**sample) for sample in samples]))
    return found


def claims(batch: int, how_many: int) -> Sample:
    """So many claims of that size, given back each time; only the claims are timed."""
    from paceline.messaging import outbox
    from paceline.messaging.clock import Clock
    from paceline.messaging.models import Account

    outbox.CLAIM_MOST = batch  # what a claim takes at the most; a smaller one is the same claim
    account, clock = Account.objects.get().pk, Clock()
    items, seconds, cpu = 0, 0.0, 0.0
    for _ in range(how_many):
        wall, used = time.perf_counter(), time.process_time()
        leases = outbox.claim(account, clock)
        seconds, cpu = seconds + time.perf_counter() - wall, cpu + time.process_time() - used
        items += len(leases)
        outbox.give_back(leases)
    return Sample(items, seconds, cpu, harness.peak_mb())


def main(depths: list[int], batches: list[tuple[int, int]], rounds: int) -> None:
    django.setup()
    campaign, lanes, filled = queue.campaign(), queue.senders(1), 0
    for depth in depths:
        queue.fill(campaign, lanes, depth, filled + 1)
        filled = depth
        samples: dict[int, list[Sample]] = {batch: [] for batch, _ in batches}
        for _ in range(rounds):
            for batch, how_many in batches:
                claims(batch, 1)  # the caches are another question
                samples[batch].append(claims(batch, how_many))
        for batch, _ in batches:
            harness.say(f"claims of {batch} from {depth:,}")
            print(json.dumps([depth, batch, [asdict(sample) for sample in samples[batch]]]), flush=True)


if __name__ == "__main__":
    main(*json.loads(sys.argv[1]))
