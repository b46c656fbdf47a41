"""Is somebody else at this already? A file's lock: one process at a time, and the system frees it with the process."""

from __future__ import annotations

import fcntl
import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def alone(path: Path, patience_seconds: float = math.inf) -> Iterator[None]:
    """Holds the lock of the file `path`, made when it is not there. Raises `BlockingIOError` when patience ends."""
    give_up_at = time.monotonic() + patience_seconds
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= give_up_at:
                    raise
                time.sleep(0.02)
        yield
    finally:
        os.close(descriptor)
