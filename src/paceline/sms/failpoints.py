"""Where may a test break a process? Named points on a message's way; a process that nobody armed passes each of them.

Only code can arm a point, never an environment variable or a setting: the scripts of the proof rig do.
"""

from __future__ import annotations

from collections.abc import Callable

POINTS = (
    "after_claim",  # the leases are committed, nobody has them yet
    "before_gate",
    "after_gate",  # `submitting` is committed, nothing is written
    "before_write",  # the last line before the first byte
    "after_write",  # the request is with the system, no answer yet
    "after_response",  # the answer is read, nobody has been told
    "before_settle",
    "after_settle",
    "after_store",  # a webhook is committed, its sender has no answer yet
)

_armed: dict[str, Callable[[], None]] = {}


def hit(point: str) -> None:
    """Passes the point, or does what it is armed with."""
    if _armed and (act := _armed.get(point)) is not None:
        act()


def arm(point: str, act: Callable[[], None]) -> None:
    """From now on `act` is called at the point, in the thread that comes by. Raises `KeyError` for no such point."""
    if point not in POINTS:
        raise KeyError(point)
    _armed[point] = act


def disarm() -> None:
    """Every point is passed again."""
    _armed.clear()
