"""What waits in a run, and what has its sender been told? Lanes in memory: messages in order, a timeline, back-off.

Moments are of `time.monotonic`.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass

from . import pacing
from .errors import ProviderError
from .messages import Message

SLOWER, FASTER = 0.8, 1.1  # what a 429 does to a lane's rate, and what two quiet seconds do
FASTER_EVERY_SECONDS = 2.0


class Hold:
    """Waits after what certainly did not leave. Failures that were under way together count as one."""

    def __init__(self) -> None:
        self.until = 0.0
        self.strikes = 0
        self.since = 0.0

    def strike(self, began: float, now: float, retry_after: float | None) -> bool:
        """One more failure, of a submit that began at `began`. True when it opens a new wait."""
        if self.strikes and began < self.until:
            return False
        self.since = self.since or now
        self.strikes += 1
        self.until = now + pacing.back_off(self.strikes, random.random(), retry_after)  # noqa: S311 jitter
        return True

    def clear(self, began: float) -> None:
        """Something got through that began after the last wait."""
        if self.strikes and began >= self.until:
            self.strikes, self.since = 0, 0.0

    def is_hopeless(self, retries: int, retry_seconds: float, now: float) -> bool:
        """True after more failures in a row than that, or for longer."""
        return self.strikes > retries or (self.strikes > 1 and now - self.since > retry_seconds)


class Lane:
    """One sender: its messages in order, its timeline and what its answers have taught us."""

    def __init__(self, sender: str, rate: float | None) -> None:
        self.sender = sender
        self.jobs: deque[Job] = deque()
        self.rate = self.limit = rate
        self.interval = pacing.interval(rate)
        self.free_at = 0.0
        self.hold = Hold()
        self.faster_at = 0.0
        self.in_flight = 0
        self.doubts = 0
        self.warm = False
        self.stopped: ProviderError | None = None
        self._second, self._count, self._count_before = 0, 0, 0

    def accepted(self, now: float) -> None:
        """Counts by the second, in case a 429 makes us ask how many were too many."""
        second = int(now)
        if second != self._second:
            self._count_before = self._count if second == self._second + 1 else 0
            self._second, self._count = second, 0
        self._count += 1

    def slow_down(self, now: float) -> None:
        """A 429: below the rate until now, whether a limit had set it or nothing."""
        self._set_rate((self.rate or max(self._count, self._count_before, 1.0)) * SLOWER, now)
        self.free_at = max(self.free_at, self.hold.until)

    def speed_up(self, now: float) -> None:
        """Back towards the limit, a step at a time."""
        if self.rate is not None and self.rate != self.limit and now >= self.faster_at:
            faster = self.rate * FASTER
            self._set_rate(faster if self.limit is None else min(faster, self.limit), now)

    def _set_rate(self, rate: float, now: float) -> None:
        self.rate = rate
        self.interval = pacing.interval(rate)
        self.faster_at = now + FASTER_EVERY_SECONDS


@dataclass(slots=True, eq=False)
class Job:
    """One message on its way."""

    row: int
    message: Message
    segments: int
    lane: Lane
    slot: float = 0.0
    began: float = 0.0
    written: bool = False
    tries: int = 0
    first_try: float = 0.0
