"""Who is the next to write to an SQLite file? The one that holds the turnstile, a lock beside it.

SQLite keeps no queue: whoever asks at the right moment has the lock, and a process that always does keeps others out
for as long as it likes. Here a writer takes the turnstile first and lets go of it when its transaction has begun, so
while one waits for the file nobody else can ask for it. The system frees the lock of a process that dies.

It waits outside SQLite, which would keep its connection meanwhile: whoever has the file and comes upon a cursor of
that connection, as the garbage collector of any thread may, would wait for the waiting one, and it for him.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from django.db import OperationalError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

try:
    import fcntl
except ImportError:  # Windows: there it goes as SQLite has it
    fcntl = None  # type: ignore[assignment]

BUSY_SECONDS = 30.0
"""How long a statement waits for the file before it fails."""

LOOK_SECONDS = 0.001
PATIENCE_SECONDS = 1.0  # who holds it longer stands still: a transaction takes some 20 ms
SUFFIX = "-turnstile"

_BUSY, _BUSY_SNAPSHOT = 5, 517  # sqlite.org/rescode.html; the latter stays so for as long as its transaction does

_places: dict[tuple[int, str], tuple[int | None, threading.Lock]] = {}
"""Per process and database: its own open file, since a fork would share its lock too (None: no such file), and whose
turn it is among its threads, which share that file."""


def join(connection: BaseDatabaseWrapper, **signal: Any) -> None:
    """A new connection waits for its turn here from now on. For `connection_created`.

    Only with WAL, where nothing but the beginning of a write can find the file taken.
    """
    if connection.vendor != "sqlite":
        return
    with connection.cursor() as cursor:
        if cursor.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            return
        cursor.execute("PRAGMA busy_timeout = 0")
    if _in_turn not in connection.execute_wrappers:
        connection.execute_wrappers.insert(0, _in_turn)


def _in_turn(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
    """Runs a statement; one that finds the file taken has changed nothing, and is run again when its turn comes."""
    connection = context["connection"]
    if many and not connection.in_atomic_block:  # a statement for each row: some of them would be run twice
        with transaction.atomic(using=connection.alias):
            return execute(sql, params, many, context)
    if not sql.startswith("BEGIN"):  # who begins may not pass by those who wait
        try:
            return execute(sql, params, many, context)
        except OperationalError as error:
            if many or not _is_taken(error):
                raise
    give_up_at = time.monotonic() + BUSY_SECONDS
    with held(str(connection.settings_dict["NAME"])):
        while True:
            try:
                return execute(sql, params, many, context)
            except OperationalError as error:
                if not _is_taken(error) or time.monotonic() > give_up_at:
                    raise
            time.sleep(LOOK_SECONDS)


def _is_taken(error: OperationalError) -> bool:
    code = getattr(error.__cause__, "sqlite_errorcode", 0)
    return code & 0xFF == _BUSY and code != _BUSY_SNAPSHOT


@contextmanager
def held(database: str) -> Iterator[None]:
    """Waits for the turnstile of a database.

    Who has waited in vain, or can have no file there, goes on without: it is for fairness alone.
    """
    file, threads = _place(database)
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    is_first = file is not None and threads.acquire(timeout=PATIENCE_SECONDS)
    is_held = is_first and _take(file, give_up_at)
    try:
        yield
    finally:
        if is_held:
            fcntl.flock(file, fcntl.LOCK_UN)
        if is_first:
            threads.release()


def _take(file: int, give_up_at: float) -> bool:
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except OSError:
            if time.monotonic() > give_up_at:
                return False
            time.sleep(LOOK_SECONDS)


def _place(database: str) -> tuple[int | None, threading.Lock]:
    key = os.getpid(), database
    if key not in _places:
        file = None
        if fcntl and ":memory:" not in database and "mode=memory" not in database:
            with suppress(OSError):
                file = os.open(database + SUFFIX, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        ours = file, threading.Lock()
        if _places.setdefault(key, ours) is not ours and file is not None:  # another thread was quicker
            os.close(file)
    return _places[key]
