"""Writers of an SQLite file take turns by a turnstile beside it."""

import fcntl
import os
import threading
import time
from contextlib import contextmanager

import pytest
from django.db import connection

from paceline.messaging import engine, turnstile
from paceline.messaging.models import Contact

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "sqlite", reason="SQLite alone keeps no queue"),
]


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


def test_a_database_in_memory_has_none():
    """Nobody else can write to it, and no file is made for it."""
    with turnstile.held(":memory:"):
        assert not os.path.exists(":memory:" + turnstile.SUFFIX)
