"""How do many dispatchers share the work? In shifts: each sends for one account until it is idle or its time is over.

Who calls a shift (a Celery task) and when is a matter of speed alone. Claims are exclusive by the locks of the rows,
so two shifts on one account, or one too many or too few, neither exceed a limit nor send anything twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

from django.db.models import Exists, OuterRef, Q

from paceline.messaging import accounts, engine
from paceline.messaging.models import Account, Campaign, Sender, TextMessage
from paceline.sms.status import Status

from .chores import Chores
from .embedded import runner
from .loop import Dispatcher
from .wirelog import WireLog

SHIFT_SECONDS = 30.0
IDLE_SECONDS = 2.0
LOOK_EVERY_SECONDS = 0.05
NEIGHBOURS_EVERY_SECONDS = 1.0
JUST_NOW_SECONDS = 0.5
ONE_IS_ENOUGH = 500.0
"""Messages a second that one dispatcher sends with ease: an account that may not send more needs no second one."""


def due() -> set[int]:
    """The accounts (their ids) that have something to claim, whoever is at it already."""
    running = Campaign.objects.filter(state=Campaign.State.RUNNING).values_list("pk", flat=True)
    waiting = TextMessage.objects.filter(
        Q(campaign=None) | Q(campaign__in=list(running)),
        status=Status.QUEUED,
        sender=OuterRef("pk"),
        not_before__lte=engine.now(),
    )
    lanes = Sender.objects.filter(Exists(waiting), removed_at=None, blocked="", account__blocked="")
    return set(lanes.values_list("account", flat=True))


def served() -> set[int]:
    """The accounts that a dispatcher is sending for at this moment: it has claimed or submitted just now.

    What a dead one had on the wire says nothing of the living, and is leased for most of a minute.
    """
    now = engine.now()
    just_now = Q(status=Status.LEASED, lease_until__gte=now) | Q(
        status=Status.SUBMITTING, submitted_at__gte=now - JUST_NOW_SECONDS
    )
    alive = TextMessage.objects.filter(just_now, sender=OuterRef("pk"))
    return set(Sender.objects.filter(Exists(alive)).values_list("account", flat=True))


def wanted() -> list[int]:
    """The accounts that one more shift would help: due, and not in good hands already."""
    accounts_due = due()
    if not accounts_due:
        return []
    in_good_hands = {pk for pk in served() & accounts_due if _most_per_second(pk) <= ONE_IS_ENOUGH}
    return sorted(accounts_due - in_good_hands)


def _most_per_second(account_id: int) -> float:
    of_account = Account.objects.filter(pk=account_id).values_list("mps", flat=True)
    of_senders = Sender.objects.filter(account=account_id, removed_at=None).values_list("mps", flat=True)
    account, lanes = (sum(math.inf if mps is None else mps for mps in rates) for rates in (of_account, of_senders))
    return min(account, lanes)


class Neighbours:
    """Whom a shift sends for: its own account, and those that it finds due and unserved at two looks in a row.

    So an account never waits because the shifts of others take every worker's time.
    """

    def __init__(self, own: int) -> None:
        self._accounts = {own}
        self._seen: set[int] = set()
        self._look_at = time.monotonic() + NEIGHBOURS_EVERY_SECONDS

    def __call__(self) -> set[int]:
        if time.monotonic() >= self._look_at:
            alone = due() - self._accounts
            alone -= served() if alone else set()
            self._accounts |= alone & self._seen
            self._seen = alone
            self._look_at = time.monotonic() + NEIGHBOURS_EVERY_SECONDS
        return self._accounts


def work(
    account_id: int,
    *,
    wire_log: Path | None = None,
    draining: Callable[[], bool] = lambda: False,
    seconds: float = SHIFT_SECONDS,
    idle_seconds: float = IDLE_SECONDS,
) -> None:
    """Sends for the account until nothing has been claimed for `idle_seconds`, or for `seconds`; chores are others'.

    At its end it sends what it has leased; on SIGTERM, and when `draining` says so, it gives that back at once.
    `wire_log` is a folder for a file of this process.
    """
    accounts.sync()
    log = WireLog(wire_log and _wire_log(wire_log))
    try:
        dispatcher = Dispatcher(wire_log=log, serves=Neighbours(account_id), chores=False)
        runner()(_main(dispatcher, draining, seconds, idle_seconds))
    finally:
        log.close()


def _wire_log(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder / f"wire-{socket.gethostname()}-{os.getpid()}.jsonl"


async def _main(dispatcher: Dispatcher, draining: Callable[[], bool], seconds: float, idle_seconds: float) -> None:
    before, loop = signal.getsignal(signal.SIGTERM), asyncio.get_running_loop()
    with contextlib.suppress(ValueError, NotImplementedError, RuntimeError):  # only a main thread may
        loop.add_signal_handler(signal.SIGTERM, dispatcher.stop)
    watching = asyncio.create_task(_watch(dispatcher, draining, seconds, idle_seconds))
    try:
        await dispatcher.run()
    finally:
        watching.cancel()
        with contextlib.suppress(ValueError, NotImplementedError, RuntimeError):
            loop.remove_signal_handler(signal.SIGTERM)
            signal.signal(signal.SIGTERM, before)


async def _watch(dispatcher: Dispatcher, draining: Callable[[], bool], seconds: float, idle_seconds: float) -> None:
    begun = busy = time.monotonic()
    while not draining():
        await asyncio.sleep(LOOK_EVERY_SECONDS)
        now = time.monotonic()
        busy = now if dispatcher.is_busy else busy
        if now - begun > seconds or now - busy > idle_seconds:
            dispatcher.finish()
    dispatcher.stop()


def do_chores(chores: Chores, *, seconds: float = SHIFT_SECONDS, draining: Callable[[], bool] = lambda: False) -> None:
    """Rounds of chores while there is more to be done at once, and for `seconds` at the most."""
    end_at = time.monotonic() + seconds
    while chores.round().more and time.monotonic() < end_at and not draining():
        pass
