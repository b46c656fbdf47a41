"""What time is it for slots and leases? The database's wall clock, carried on by the machine's monotonic one."""

from __future__ import annotations

import math
import time

from . import engine

DRIFT = 0.0005
"""How much faster or slower one clock may run than another: what time daemons slew by at the most."""

SET_SECONDS = 1.0
"""A clock that is set by less moves nothing that anybody would wait for."""


class Clock:
    """`now()` in epoch seconds. `sync()` reads the database's clock; between two syncs time cannot jump.

    A reading is only as good as the way to the server was short. So each narrows down what the earlier ones have left
    possible, and a slow answer on a busy machine moves nothing; one that is not possible is of a clock that was set.
    """

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()
        self._possible = (-math.inf, math.inf, time.monotonic())  # the least and the most offset, and known since when
        self.times_set = 0  # how often the database's clock was found to have been set, by more than a moment

    def sync(self) -> float:
        """Anchors to the database's clock and answers its time. Called at each claim, in its transaction."""
        before = time.monotonic()
        wall = engine.now()
        after = time.monotonic()
        least, most, known_at = self._possible
        drifted = DRIFT * (after - known_at)
        least, most = max(least - drifted, wall - after), min(most + drifted, wall - before)
        if least > most:
            self.times_set += least - most > SET_SECONDS
            least, most = wall - after, wall - before
        self._possible = (least, most, after)
        self._offset = (least + most) / 2
        return self.now()

    def now(self) -> float:
        return time.monotonic() + self._offset
