"""When may the next message leave? Slot arithmetic without a clock: callers pass `now`, callers sleep.

Moments are seconds since the epoch as floats, rates are per second. A limit is a timeline: the moment from
which it is free again. A message takes its slot at the latest of `now` and every limit that it passes, and
pushes each of those limits on by its own interval.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

LATE_TOLERANCE_SECONDS = 0.025
"""A slot that is missed by more than this is void: its message goes back."""

CLOCK_ERROR_SECONDS = 0.005
"""By how much two processes that share a limit may differ about the time."""

WINDOW_SECONDS = 1.0 + LATE_TOLERANCE_SECONDS + CLOCK_ERROR_SECONDS
"""An interval is this over the rate, so that by the wire's record no sliding second holds more than the
rate: a submit is at most the tolerance late, never early. The price is 3 % of throughput."""

UNPACED_TOLERANCE_SECONDS = 0.5
"""The same where no limit is passed: there is no slot to keep, only a lease that must end."""

LOOKAHEAD_SECONDS = 0.5
"""A claim reserves slots up to this far ahead and nothing beyond."""


def interval(rate: float | None) -> float:
    """Seconds between two units at `rate` per second; None is no limit and costs no time.

    Raises `ValueError` for a rate of zero or less: that is a pause, not a pace.
    """
    if rate is None:
        return 0.0
    if rate <= 0:
        raise ValueError("A rate is more than 0 per second; to stop a sender, remove it")
    return WINDOW_SECONDS / rate


PER_SECONDS = {"s": 1.0, "sec": 1.0, "second": 1.0, "m": 60.0, "min": 60.0, "minute": 60.0}


def per_second(spelled: float | str) -> float:
    """A rate as people write it, in units per second: 3, "3", "0.5/s", "20/min". Raises `ValueError`."""
    amount, _, per = str(spelled).partition("/")
    try:
        rate = float(amount) / PER_SECONDS[per.strip().lower() or "s"]
    except (KeyError, ValueError):
        rate = math.nan
    if isinstance(spelled, bool) or not 0 < rate < math.inf:
        raise ValueError(f"{spelled!r} is no rate: write 3 or 0.5/s for units a second, 20/min for units a minute")
    return rate


def slot(now: float, free_at: Iterable[float]) -> float:
    """The earliest moment at which every limit is free, and not before `now`."""
    return max((now, *free_at))


def is_late(now: float, slot_at: float, tolerance: float = LATE_TOLERANCE_SECONDS) -> bool:
    """True when a slot has been missed: nothing may be written for it any more."""
    return now > slot_at + tolerance


def clamp(free_at: float | None, now: float, step: float, ahead: float = LOOKAHEAD_SECONDS) -> float:
    """A timeline read back from storage, made believable.

    Missing: as if it had just been used. Further away than any claim could have set it (`ahead` plus one
    message's `step`): the clock was stepped, so it starts as if just used.
    """
    if free_at is None or free_at > now + ahead + step:
        return now + step
    return free_at


FIRST_BACK_OFF_SECONDS = 0.5
LONGEST_BACK_OFF_SECONDS = 30.0


def back_off(failures: int, luck: float, retry_after: float | None = None) -> float:
    """Seconds to wait after so many failures in a row (from 1) of what certainly did not leave.

    It doubles each time up to half a minute, less up to a half by `luck` (0 to 1, drawn by the caller), so that those
    who failed together do not come back together. Never shorter than the provider's own `retry_after`.
    """
    longest = min(FIRST_BACK_OFF_SECONDS * 2.0 ** min(failures - 1, 16), LONGEST_BACK_OFF_SECONDS)
    seconds = longest * (1 - luck / 2)
    return seconds if retry_after is None else max(seconds, retry_after + FIRST_BACK_OFF_SECONDS * luck)
