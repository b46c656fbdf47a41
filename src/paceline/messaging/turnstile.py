"""Which process is the next to write to an SQLite file? The one that holds the turnstile, a lock beside it.

SQLite keeps no queue: whoever asks at the right moment has the lock, and a process that always does keeps others out
for as long as it likes. Here a writer takes the turnstile first and lets go of it when its transaction has begun, so
while one waits for the file nobody else can ask for it. The system frees the lock of a process that dies.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

try:
    import fcntl
except ImportError:  # Windows: there it goes as SQLite has it
    fcntl = None  # type: ignore[assignment]

LOOK_SECONDS = 0.001
PATIENCE_SECONDS = 1.0  # who holds it longer stands still: a transaction takes some 20 ms
SUFFIX = "-turnstile"

_files: dict[tuple[int, str], int | None] = {}
"""Per process and database: its own open file, since a fork would share its lock too. None: no such file."""


@contextmanager
def held(database: str) -> Iterator[None]:
    """Waits for the turnstile of a database. For one thread of a process at a time.

    Who has waited in vain, or can have no file there, goes on without: it is for fairness alone.
    """
    file = _file(database)
    is_held = file is not None and _take(file)
    try:
        yield
    finally:
        if is_held:
            fcntl.flock(file, fcntl.LOCK_UN)


def _take(file: int) -> bool:
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except OSError:
            if time.monotonic() > give_up_at:
                return False
            time.sleep(LOOK_SECONDS)


def _file(database: str) -> int | None:
    key = os.getpid(), database
    if key not in _files:
        _files[key] = None
        if fcntl and ":memory:" not in database and "mode=memory" not in database:
            with suppress(OSError):
                _files[key] = os.open(database + SUFFIX, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    return _files[key]
