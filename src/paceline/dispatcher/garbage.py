"""Who collects garbage beside SQLite? One thread, between its steps, while it waits for nothing.

What the collector finds may be a cursor, and to let go of one its connection must be free. A thread that waits in
SQLite for its turn to write holds its connection all the while. Met by the collector in the thread that has the turn,
neither could go on until SQLite gives up, which is after half a minute.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from paceline.messaging import engine

OLD_EVERY = 10  # so many looks at what is new for one at everything


@contextmanager
def by_hand() -> Iterator[None]:
    """Nobody collects by themselves meanwhile, where the database is SQLite; `collect` does."""
    if engine.has_a_server() or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def collect() -> None:
    """Collects what is due. For a thread that is in no transaction."""
    young, _, looks = gc.get_count()
    if not gc.isenabled() and young > gc.get_threshold()[0]:
        gc.collect(2 if looks >= OLD_EVERY else 1)
