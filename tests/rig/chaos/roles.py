"""What does each process do until it is killed? Worker, webhook server, beat; and those that only get in the way."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import uvloop
from django.db import DatabaseError, connection, transaction

from paceline.dispatcher.chores import Chores
from paceline.dispatcher.loop import Dispatcher
from paceline.dispatcher.wirelog import WireLog
from paceline.messaging import accounts, campaigns, engine
from paceline.messaging.clock import Clock
from paceline.messaging.models import Campaign, TextMessage
from paceline.sms import errors
from paceline.sms.messages import Message
from paceline.sms.status import Status
from paceline.sms.transports import AsyncTransport, Transport

from .. import web

CONNECT_SECONDS = 1.0
TOTAL_SECONDS = 3.0
LOCK_SECONDS = 5.0


# --- those that work ------------------------------------------------------------------------------------------


class Wire(WireLog):
    """The wire log, and beside the dispatcher's own time the machine's: how far they differ is printed."""

    def write(self, at: float, message: Message) -> None:
        line = {"at": at, "wall": time.time(), "from": message.sender, "reference": message.reference}
        os.write(self._file, json.dumps(line).encode() + b"\n")


def worker(wire: str, number: int) -> None:
    """Claims, gates, submits and settles; drains on SIGTERM."""
    uvloop.run(_work(Path(wire) / f"{os.getpid()}.jsonl"))


async def _work(wire: Path) -> None:
    transport = AsyncTransport(connections=200, connect_seconds=CONNECT_SECONDS, total_seconds=TOTAL_SECONDS)
    dispatcher = Dispatcher(transport=transport, wire_log=Wire(wire), chores=False)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, dispatcher.stop)
    await dispatcher.run()


def beat() -> None:
    """Recovers, applies reports, fans out, releases, looks up, finishes."""
    clock = Clock()
    chores = Chores(clock)
    while True:
        try:
            clock.sync()
            more = chores.round().more
        except DatabaseError:
            connection.close()
            time.sleep(0.2)
            continue
        time.sleep(0.003 if more else 0.05)


# --- those that get in the way --------------------------------------------------------------------------------


def launch(campaign: int, at: float, said: str) -> None:
    """Launches a campaign at that moment, as several doors at once do; writes down what it was told."""
    time.sleep(max(0.0, at - time.time()))
    answer = "launched"
    for _ in range(100):
        try:
            campaigns.launch(Campaign.objects.get(pk=campaign))
        except campaigns.CampaignError as error:
            answer = str(error)
        except DatabaseError:
            connection.close()
            time.sleep(0.2)
            continue
        break
    with open(said, "a") as file:
        file.write(json.dumps({"campaign": campaign, "answer": answer}) + "\n")


def hog() -> None:
    """Holds the table of messages for itself for a while: on SQLite nobody else can write at all."""
    with transaction.atomic():
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute(f"LOCK TABLE {TextMessage._meta.db_table} IN ACCESS EXCLUSIVE MODE")
        time.sleep(LOCK_SECONDS)


# --- the shape of the peers -----------------------------------------------------------------------------------


def at_least_once(wire: str, number: int, mps: float) -> None:
    """A queue's worker: takes a message, sends it, then acknowledges it. What is not acknowledged comes again.

    So it does after a kill, and after every answer that is no clear yes or no. The number is the worker's place: who
    takes it over is given what was taken before.
    """
    log = Wire(Path(wire) / f"{os.getpid()}.jsonl")
    attempt = f"place {number}"
    provider = accounts.provider(accounts.DEFAULT)
    with Transport(connect_seconds=CONNECT_SECONDS, total_seconds=TOTAL_SECONDS) as transport:
        while True:
            began = time.monotonic()
            try:
                row = _taken(attempt)
                if row is not None:
                    _send(row, provider, transport, log)
            except DatabaseError:
                connection.close()
            time.sleep(max(0.0, began + 1 / mps - time.monotonic()))


def _taken(attempt: str) -> TextMessage | None:
    mine = TextMessage.objects.filter(status=Status.LEASED, attempt=attempt)
    if row := mine.first():
        return row
    with engine.write():
        running = TextMessage.objects.filter(status=Status.QUEUED, campaign__state=Campaign.State.RUNNING)
        for row in engine.locked(running.order_by("pk"), skip=True)[:1]:
            TextMessage.objects.filter(pk=row.pk).update(status=Status.LEASED, attempt=attempt, lease_until=None)
            return row
    return None


def _send(row: TextMessage, provider: Any, transport: Transport, log: Wire) -> None:
    message = Message(text=row.text, sender=row.frm, number=row.to, reference=row.reference)
    changes: dict[str, Any] = {"submitted_at": time.time()}
    try:
        accepted = transport.submit(provider, message, before_write=lambda: log.write(time.time(), message))
        changes |= {"status": Status.ACCEPTED, "provider_id": accepted.provider_id}
    except errors.Refused as error:
        changes |= {"status": Status.REFUSED, "reason": str(error)[:200]}
    except errors.ProviderError:
        return
    TextMessage.objects.filter(pk=row.pk, status=Status.LEASED).update(**changes)


ROLES = {"worker": worker, "beat": beat, "web": web.serve, "launch": launch, "hog": hog, "at-least-once": at_least_once}
