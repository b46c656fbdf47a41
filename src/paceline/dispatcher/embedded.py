"""How does one dispatcher run on one data folder? Alone, by a file lock; at its start it recovers."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from django.db import DatabaseError, InterfaceError, connection

from paceline.messaging import accounts, engine, installation, outbox
from paceline.sms.errors import PacelineError

from .lock import alone
from .loop import Dispatcher
from .wirelog import WireLog

log = logging.getLogger("paceline.dispatcher")

LOCK = "dispatcher.lock"
COLLECT_EVERY = 20_000  # objects that are new since the last look: a few hundred messages on their way
WIRE_LOG = "wire.jsonl"


class AlreadyRunning(PacelineError):
    """Another dispatcher works on this data folder."""


@contextlib.contextmanager
def only_one(data_dir: Path, patience_seconds: float = 0.0) -> Iterator[None]:
    """Holds the data folder's lock; the system frees it with the process, however that ends."""
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(alone(data_dir / LOCK, patience_seconds))
        except BlockingIOError:
            raise AlreadyRunning(
                f"Another dispatcher works on {data_dir}; stop it first, or let it do the sending"
            ) from None
        yield


def run(
    data_dir: Path,
    *,
    until: Callable[[], bool] | None = None,
    patience_seconds: float = 5.0,
    only_direct: bool = False,
) -> None:
    """Dispatches until SIGTERM or Ctrl-C (drains; the second time it stops at once), or until `until` says so.

    `only_direct` sends texts of no campaign and does no chores: for a command that wants one text out.

    Raises `AlreadyRunning`. At the start it requeues what a dispatcher on this folder has left leased, and marks what
    that was submitting uncertain; what others on the same database hold ends by time.
    """
    with only_one(data_dir, patience_seconds), _in_its_own_name(installation.owner(data_dir)) as owner:
        accounts.sync()
        installation.begin(data_dir)
        outbox.recover(engine.now(), mine=owner)
        log = WireLog(data_dir / WIRE_LOG)
        try:
            runner()(_main(Dispatcher(wire_log=log, only_direct=only_direct), until))
        finally:
            log.close()


@contextlib.contextmanager
def _in_its_own_name(owner: str) -> Iterator[str]:
    before, outbox.owner = outbox.owner, owner
    try:
        yield owner
    finally:
        outbox.owner = before


def runner() -> Callable[..., None]:
    """What runs an event loop: uvloop, where it is."""
    _spare_the_collector()
    try:
        import uvloop
    except ImportError:
        return asyncio.run
    return uvloop.run


def _spare_the_collector() -> None:
    """What has been loaded stays for good, so the garbage collector need not look at it again and again."""
    if not gc.get_freeze_count():
        gc.collect()
        gc.freeze()
        gc.set_threshold(COLLECT_EVERY, 10, 10)


async def _main(dispatcher: Dispatcher, until: Callable[[], bool] | None) -> None:
    sys.setswitchinterval(0.001)  # the chores' thread must not hold up a slot
    loop = asyncio.get_running_loop()
    signals = 0

    def stop() -> None:
        nonlocal signals
        signals += 1
        if signals > 1:
            os._exit(130)
        dispatcher.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(ValueError, NotImplementedError, RuntimeError):
            loop.add_signal_handler(number, stop)
    watching = asyncio.create_task(_watch(dispatcher, until)) if until else None
    await dispatcher.run()
    if watching:
        watching.cancel()


async def _watch(dispatcher: Dispatcher, until: Callable[[], bool]) -> None:
    while not await asyncio.get_running_loop().run_in_executor(None, _says, until):
        await asyncio.sleep(0.05)
    dispatcher.stop()


def _says(until: Callable[[], bool]) -> bool:
    """What `until` answers; no, while the database is away: then nobody knows."""
    try:
        return until()
    except (DatabaseError, InterfaceError) as error:
        log.warning("Whether all is done cannot be seen (%s); it is looked at again", type(error).__name__)
        connection.close()
        return False
