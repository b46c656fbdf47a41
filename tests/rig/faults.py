"""How many lives of an installation without a broken promise? `./run faults --seeds 2000`

    --seeds N        so many worlds, on all cores (300)
    --first N        from this seed on (1)
    --seed N         this one alone; with --trace also what happened in it
    --mutant NAME…   with this bug in the engine: how many seeds until it is found ("all": each of them)
    --keep           writes failing seeds to tests/rig/seeds.txt, whose seeds are run before all others
    --json           the last line: {"seeds", "faults", "submits", "recipients", "broken", "seconds"}

Every world is drawn from its seed: the same seed is the same run, on every machine.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from . import mutants, simulation

KEPT = Path(__file__).with_name("seeds.txt")
MUTANT_SEEDS = 400


def kept() -> list[int]:
    """The seeds that have found a bug once."""
    lines = KEPT.read_text().splitlines() if KEPT.exists() else []
    return [int(line.split("#")[0]) for line in lines if line.split("#")[0].strip()]


def live(seed: int, mutant: str = "") -> simulation.Result:
    """One seed's run, with a bug if one is named."""
    simulation.set_up()
    with mutants.MUTANTS[mutant]() if mutant else nullcontext():
        return simulation.run(seed)


def lives(seeds: Iterable[int], cores: int | None = None) -> Iterator[simulation.Result]:
    """Many seeds' runs, as they are done."""
    count = cores or len(os.sched_getaffinity(0))
    with multiprocessing.get_context("spawn").Pool(count) as pool:
        yield from pool.imap_unordered(_live_quietly, seeds, chunksize=4)


def _live_quietly(seed: int) -> simulation.Result:
    result = live(seed)
    if not result.findings:
        result.trace.clear()
    return result


def found_after(mutant: str, seeds: Iterable[int] = range(1, MUTANT_SEEDS + 1)) -> tuple[int, simulation.Result | None]:
    """How many seeds until the bug was found, and the run that found it; None if none did.

    Found is what breaks a promise that the engine without the bug keeps in the same world.
    """
    tried = 0
    for tried, seed in enumerate(seeds, 1):
        result = live(seed, mutant)
        if result.findings and {each.promise for each in result.findings} - {f.promise for f in live(seed).findings}:
            return tried, result
    return tried, None


def all_found(names: Sequence[str], first: int = 1) -> Iterator[tuple[str, int, simulation.Result | None]]:
    """Each mutant's name with what `found_after` says, as they are done, on all cores."""
    jobs = [(name, first) for name in names]
    with multiprocessing.get_context("spawn").Pool(min(len(jobs), len(os.sched_getaffinity(0)))) as pool:
        yield from pool.imap_unordered(_find, jobs)


def _find(job: tuple[str, int]) -> tuple[str, int, simulation.Result | None]:
    name, first = job
    return (name, *found_after(name, range(first, first + MUTANT_SEEDS)))


def main(arguments: list[str]) -> int:
    options = _options(arguments)
    if options.mutant:
        return _mutants(sorted(mutants.MUTANTS) if "all" in options.mutant else options.mutant, options)
    if options.seed is not None:
        result = live(options.seed)
        if options.trace:
            print("\n".join(result.trace))
        print(f"seed {result.seed}, fingerprint {result.fingerprint}")
        print("\n".join(f"BROKEN  {finding}" for finding in result.findings) or "nothing is broken")
        return int(bool(result.findings))
    return _many(options)


def _options(arguments: list[str]) -> Any:
    parser = argparse.ArgumentParser(prog="./run faults", description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=300)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--trace", action="store_true")
    parser.add_argument("--mutant", nargs="+", choices=["all", *sorted(mutants.MUTANTS)])
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args(arguments)


def _many(options: Any) -> int:
    began = time.monotonic()
    seeds = [*kept(), *range(options.first, options.first + options.seeds)]
    total = {"seeds": 0, "faults": 0, "submits": 0, "recipients": 0, "broken": 0}
    kinds: dict[str, int] = {}
    for result in lives(seeds):
        total["seeds"] += 1
        total["submits"] += result.submits
        total["recipients"] += result.recipients
        total["faults"] += result.faults.total()
        for kind, count in result.faults.items():
            kinds[kind] = kinds.get(kind, 0) + count
        if result.findings:
            total["broken"] += 1
            _tell(result)
            if options.keep:
                with KEPT.open("a") as file:
                    file.write(f"{result.seed}  # {result.findings[0].promise}\n")
        if total["seeds"] % 100 == 0:
            print(f"{total['seeds']} of {len(seeds)} seeds, {total['broken']} broken", file=sys.stderr, flush=True)
    seconds = time.monotonic() - began
    print(", ".join(f"{kind} {count}" for kind, count in sorted(kinds.items(), key=lambda each: -each[1])))
    print(
        f"{total['seeds']} worlds, {total['recipients']} recipients, {total['submits']} submits,"
        f" {total['faults']} faults: {total['broken']} broken, in {seconds:.0f} s"
    )
    if options.json:
        print(json.dumps(total | {"seconds": round(seconds, 1)}))
    return int(bool(total["broken"]))


def _tell(result: simulation.Result) -> None:
    for finding in result.findings[:3]:
        print(f"BROKEN  seed {result.seed}  {finding}")
    print(f"        ./run faults --seed {result.seed} --trace", flush=True)


def _mutants(names: list[str], options: Any) -> int:
    missed = 0
    for name, tried, result in all_found(names, options.first):
        if result is None:
            missed += 1
            print(f"{name:30} NOT FOUND in {tried} seeds", flush=True)
        else:
            print(f"{name:30} found after {tried:3} seeds, in {result.seed}: {result.findings[0]}", flush=True)
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
