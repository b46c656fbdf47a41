"""Writers of an SQLite file take turns by a turnstile beside it."""

import fcntl
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import pytest
from django.db import OperationalError, connection, connections, transaction

from paceline.messaging import databases, engine, turnstile
from paceline.messaging.models import Contact

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "sqlite", reason="SQLite alone keeps no queue"),
]


TABLE = Contact._meta.db_table


@contextmanager
def another_process_waits():
    """Holds the turnstile as a process does that waits for the file: by an open file of its own."""
    file = os.open(str(connection.settings_dict["NAME"]) + turnstile.SUFFIX, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file
    finally:
        os.close(file)


def write():
    with engine.write():
        Contact.objects.create(number=f"+1202555{Contact.objects.count() + 100:04d}")


def test_nobody_passes_by_who_waits():
    """While one waits for the file, the next does not even ask for it; afterwards it is its turn."""
    with another_process_waits() as file:
        releasing = threading.Timer(0.3, fcntl.flock, (file, fcntl.LOCK_UN))
        releasing.start()
        begun = time.monotonic()
        write()
        waited = time.monotonic() - begun

        assert waited >= 0.29
        releasing.join()


def test_who_stands_still_at_the_turnstile_stops_nobody(monkeypatch):
    """A process that is frozen there is passed by after a second: the turnstile is for fairness alone."""
    monkeypatch.setattr(turnstile, "PATIENCE_SECONDS", 0.2)
    with another_process_waits():
        write()

        assert Contact.objects.count() == 1


def test_the_turnstile_is_free_once_a_transaction_has_begun():
    """It is held while waiting, not while writing: the next in line can already wait there."""
    file = os.open(str(connection.settings_dict["NAME"]) + turnstile.SUFFIX, os.O_RDWR | os.O_CREAT)
    with engine.write():
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises when it is held

    os.close(file)


@pytest.fixture
def other():
    """Another thread, with a connection of its own."""
    with ThreadPoolExecutor(1) as thread:
        yield thread
        thread.submit(connection.close)


def test_who_writes_without_a_transaction_waits_too(other):
    """A write of Django's own, of one statement, goes in when the file is free."""
    write()
    with transaction.atomic():
        Contact.objects.update(number="Mia")
        renaming = other.submit(Contact.objects.update, number="Zoë")
        time.sleep(0.3)
        assert not renaming.done()

    assert renaming.result(5) == 1
    assert Contact.objects.get().number == "Zoë"


def test_a_batch_without_a_transaction_goes_in_once(other):
    """Were each row a transaction, the file could be taken in their midst, and who begins anew does the first twice."""
    write()
    Contact.objects.update(number="")
    with transaction.atomic():
        adding = other.submit(engine.many, f"UPDATE {TABLE} SET number = number || %s", [("a",), ("b",), ("c",)])
        time.sleep(0.1)

    adding.result(5)
    assert Contact.objects.get().number == "abc"


def test_who_finds_the_file_taken_for_too_long_is_told(other, monkeypatch):
    """After half a minute it is an error that says so, and nothing is written."""
    monkeypatch.setattr(turnstile, "BUSY_SECONDS", 0.2)
    with transaction.atomic(), pytest.raises(OperationalError) as failing:
        other.submit(write).result(5)

    assert engine.is_busy(failing.value)
    assert Contact.objects.count() == 0


@pytest.mark.parametrize("writes", [write, lambda: Contact.objects.update(number="Zoë")])
def test_who_waits_keeps_nobody_waiting(other, writes):
    """Who writes may come upon a cursor of one who waits, as the garbage collector does, and lets go of it at once."""
    write()
    left = other.submit(lambda: [connection.cursor()]).result(5)
    other.submit(left[0].execute, "SELECT 1 UNION SELECT 2").result(5)
    with transaction.atomic():
        waiting = other.submit(writes)
        time.sleep(0.3)
        begun = time.monotonic()
        left.clear()
        assert time.monotonic() - begun < 5
        assert not waiting.done()

    waiting.result(5)


def test_two_threads_wait_one_after_the_other(other):
    """They share the open file, so its lock alone would let both pass."""
    database = str(connection.settings_dict["NAME"])

    def second():
        with turnstile.held(database):
            return time.monotonic()

    with turnstile.held(database):
        waiting = other.submit(second)
        time.sleep(0.3)
        free = time.monotonic()

    assert waiting.result(5) >= free


def test_without_wal_sqlite_waits_itself(tmp_path):
    """Where readers hold up the end of a write, there is more to wait for than its beginning."""
    entry = {**connection.settings_dict, **databases.from_file(tmp_path / "old.sqlite3")}
    entry["OPTIONS"]["init_command"] = "PRAGMA journal_mode=DELETE;"
    old = type(connections["default"])(entry, "default")
    try:
        with old.cursor() as cursor:
            assert cursor.execute("PRAGMA busy_timeout").fetchone() == (30_000,)
        assert old.execute_wrappers == []
    finally:
        old.close()


def test_a_database_in_memory_has_none():
    """Nobody else can write to it, and no file is made for it."""
    with turnstile.held(":memory:"):
        assert not os.path.exists(":memory:" + turnstile.SUFFIX)


def test_threads_that_come_together_have_one_file(tmp_path, monkeypatch):
    """However many meet a database for the first time at once, one file is open for it, and all ask for the same."""
    together, database, opening = threading.Barrier(8), str(tmp_path / "some.sqlite3"), os.open

    def slowly(*how):
        together.wait(5)
        return opening(*how)

    monkeypatch.setattr(turnstile.os, "open", slowly)
    with ThreadPoolExecutor(8) as threads:
        places = set(threads.map(turnstile._place, [database] * 8))

    ours = [each for each in os.listdir("/proc/self/fd") if _is_of(each, database)]
    assert len(places) == len(ours) == 1


def _is_of(descriptor, database):
    with suppress(OSError):
        return os.readlink(f"/proc/self/fd/{descriptor}").startswith(database)
