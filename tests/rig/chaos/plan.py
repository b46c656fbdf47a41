"""What happens when? One kill per tick, everything else strewn between; drawn from the seed before it begins."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence

TICK_SECONDS = (0.100, 0.150)

KILLS = {"worker": 80, "web": 12, "beat": 8}
"""Of a hundred kills, whom they hit."""

OTHERS = {
    # what: (one in so many ticks, the least of it in a run)
    "stop": (8, 5),  # somebody who has not had their text yet says STOP
    "rate": (20, 2),
    "freeze": (60, 1),  # a worker stands still for longer than its leases, then goes on
    "stall": (50, 1),  # the carrier stands still for a second
    "pause": (50, 1),
    "relaunch": (40, 1),
}
POSTGRES = {"cut": (12, 3), "restart": (150, 1)}
ONCE = ("launch", "hog")
SQLITE_ONCE = ("full",)


def draw(rng: random.Random, kills: int, db: str) -> list[list[str]]:
    """What is to happen at each tick, in order."""
    ticks: dict[int, list[str]] = defaultdict(list)
    pool = [name for name, share in KILLS.items() for _ in range(share)]
    for tick in range(kills):
        ticks[tick].append(f"kill {rng.choice(pool)}")
    for what, (every, least) in (OTHERS | (POSTGRES if db == "postgres" else {})).items():
        for _ in range(max(least, kills // every)):
            ticks[rng.randrange(kills)].append(what)
    _once(rng, ticks, kills, ONCE + (SQLITE_ONCE if db == "sqlite" else ()))
    return [ticks[tick] for tick in range(kills)]


def _once(rng: random.Random, ticks: dict[int, list[str]], kills: int, names: Sequence[str]) -> None:
    """Each somewhere in its own part of the run, so that two of them do not cover each other up."""
    for place, name in enumerate(names):
        part = kills / len(names)
        ticks[int(place * part + rng.random() * part * 0.7)].append(name)
