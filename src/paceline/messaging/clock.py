"""What time is it for slots and leases? The database's wall clock, carried on by the machine's monotonic one."""

from __future__ import annotations

import time

from . import engine


class Clock:
    """`now()` in epoch seconds. `sync()` reads the database's clock; between two syncs time cannot jump."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def sync(self) -> float:
        """Anchors to the database's clock and answers its time. Called at each claim, in its transaction."""
        before = time.monotonic()
        wall = engine.now()
        self._offset = wall - (before + time.monotonic()) / 2
        return wall

    def now(self) -> float:
        return time.monotonic() + self._offset
