"""What do the processes of a case do? Prepare, dispatch, take webhooks, say what the tables say; and break where told.

All of it runs in children of the warm process; `move_into` points the product at the place of the case.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.db import DatabaseError, connection, connections

from paceline.dispatcher import embedded, loop
from paceline.dispatcher.wirelog import WireLog
from paceline.messaging import accounts, campaigns, contacts, databases, events, outbox, senders, texts
from paceline.messaging.models import Account, Campaign, Contact, Event, Membership, TextMessage
from paceline.sms import failpoints, pacing
from paceline.sms.status import Status

from ..installation import ACCOUNT
from . import web as server

UNFINISHED = (Status.HELD, Status.QUEUED, Status.LEASED, Status.SUBMITTING)
ACCOUNT_MPS = 6.0
SENDER_MPS = 4.0
SENDERS = ("+12025550100", "+12025550101")
DIRECT = "+13035550199"
"""Who gets the one text that belongs to no campaign."""


def move_into(place: dict[str, Any]) -> None:
    options = {
        "api_key": ACCOUNT.api_key,
        "api_secret": ACCOUNT.api_secret,
        "signature_secret": ACCOUNT.signature_secret,
        "base_url": place["carrier"],
    }
    provider = {"BACKEND": "paceline.sms.providers.vonage.Vonage", "OPTIONS": options, "MPS": place["account_mps"]}
    folder = Path(place["folder"])
    settings.DATA_DIR = folder
    settings.PACELINE = settings.PACELINE | {"PROVIDERS": {"default": provider}, "DATA_DIR": folder}
    settings.DATABASES = {"default": databases.from_url(place["database"])}
    connections.settings = connections.configure_settings(settings.DATABASES)
    for alias in connections:
        with contextlib.suppress(AttributeError):  # what was made with the old settings, though nobody has used it
            del connections[alias]
    accounts.provider.cache_clear()
    outbox.SUBMIT_LEASE_SECONDS = place["lease"]
    outbox.check_lease = lambda longest: None  # the lease is for stalls to outlast; the time-outs, for a slow machine
    for mutant in place["mutants"]:
        MUTANTS[mutant]()


# --- what there is --------------------------------------------------------------------------------------------


def migrate(place: dict[str, Any]) -> None:
    call_command("migrate", verbosity=0, interactive=False)
    connections.close_all()


def prepare(place: dict[str, Any], people: int) -> list[str]:
    """A running campaign over two senders and one text beside it; answers every number that is to be reached."""
    account = accounts.get()
    for number in SENDERS:
        senders.add(account, number, mps=place["sender_mps"])
    Account.objects.update(next_free_at=0.0)
    audience = contacts.get_list("people")
    areas = (206, 415, 212, 312, 617)
    numbers = [f"+1{areas[n // 100]}55501{n % 100:02}" for n in range(people)]
    Contact.objects.bulk_create([Contact(number=number) for number in numbers])
    members = [Membership(list=audience, contact=person) for person in Contact.objects.filter(number__in=numbers)]
    Membership.objects.bulk_create(members)
    campaigns.launch(campaigns.create("Opening night", "Doors open at 7", list=audience))
    if place["direct"]:
        texts.queue_text("Your code is 482913", SENDERS[0], DIRECT)
        numbers.append(DIRECT)
    return numbers


def tables(place: dict[str, Any]) -> dict[str, Any]:
    """What we believe of every message."""
    outgoing = TextMessage.objects.filter(direction=TextMessage.Direction.OUTGOING)
    return {
        "messages": list(outgoing.values("to", "status", "reference", "submitted_at")),
        "received": TextMessage.objects.filter(status=Status.RECEIVED).count(),
        "events": Event.objects.count(),
    }


def is_over(place: dict[str, Any]) -> bool:
    """Whether every message has left, or ended otherwise, and the campaign with them."""
    if Campaign.objects.filter(finished_at=None).exists():
        return False
    return not TextMessage.objects.filter(status__in=UNFINISHED).exists()


def apply_reports(place: dict[str, Any]) -> None:
    while events.apply_due(time.time() + 60):
        pass


# --- those that work ------------------------------------------------------------------------------------------


def dispatch(place: dict[str, Any], breaks: Any = (), alone: bool = True) -> None:
    """The dispatcher, until nothing is left to send; `alone` on its data folder, or one of several."""
    arm(place, breaks)
    if alone:
        embedded.run(Path(place["folder"]), until=_nothing_is_left, patience_seconds=240.0)
        return
    accounts.sync()
    asyncio.run(embedded._main(loop.Dispatcher(wire_log=_wire_log(place)), _nothing_is_left))


def _nothing_is_left() -> bool:
    """False when the database does not answer."""
    try:
        return is_over({})
    except DatabaseError:
        connection.close()
        return False


def _wire_log(place: dict[str, Any]) -> WireLog:
    return WireLog(Path(place["folder"]) / embedded.WIRE_LOG)


def send_one(place: dict[str, Any], breaks: Any = ()) -> None:
    """A program that sends one text by itself."""
    arm(place, breaks)
    texts.send_text("Your code is 482913", SENDERS[0], DIRECT)


def recover(place: dict[str, Any]) -> None:
    """As a dispatcher's chores do it, long after."""
    outbox.recover(time.time() + 3600)


def web(place: dict[str, Any], breaks: Any = ()) -> None:
    """The whole of the web side; only webhooks come."""
    arm(place, breaks)
    server.serve(place["web_port"])


# --- breaking -------------------------------------------------------------------------------------------------


class Broken(RuntimeError):
    """What an armed point raises."""


def arm(place: dict[str, Any], breaks: Any) -> None:
    """[[point, n, steps], …]: whoever comes by for the n-th time does the steps, and everybody else passes."""
    for point, turn, steps in breaks:
        failpoints.arm(point, _on_turn(turn, _acting(Path(place["folder"]), point, steps)))


def _on_turn(turn: int, act: Callable[[], None]) -> Callable[[], None]:
    seen = 0

    def pass_by() -> None:
        nonlocal seen
        seen += 1
        if seen == turn:
            act()

    return pass_by


def _acting(folder: Path, point: str, steps: Any) -> Callable[[], None]:
    def act() -> None:
        (folder / f"at {point}").touch()
        for verb, *what in steps:
            match verb:
                case "exit":
                    os._exit(137)
                case "raise":
                    raise Broken(point)
                case "sleep":
                    time.sleep(what[0])
                case "touch":
                    (folder / what[0]).touch()
                case "wait":
                    give_up_at = time.monotonic() + 240
                    while not (folder / what[0]).exists() and time.monotonic() < give_up_at:
                        time.sleep(0.01)

    return act


# --- bugs, by name: the rig must find each --------------------------------------------------------------------


def _requeue_what_was_submitting() -> None:
    """A rescue that takes `submitting` for not sent."""

    def recover(now: float, **whose: Any) -> tuple[int, int]:
        left = TextMessage.objects.filter(status__in=[Status.LEASED, Status.SUBMITTING], lease_until__lt=now)
        return left.update(status=Status.QUEUED, attempt="", lease_until=None), 0

    outbox.recover = recover


def _never_late() -> None:
    """No look at the clock before the write."""
    pacing.is_late = lambda *moments: False


def _no_fence() -> None:
    """Whoever settles writes, whoever holds the message by now."""
    many = outbox.engine.many

    def unfenced(sql: str, rows: Any) -> int:
        if " AND attempt = %s" not in sql:
            return many(sql, rows)
        place = sql[: sql.index(" AND attempt = %s")].count("%s")
        return many(sql.replace(" AND attempt = %s", ""), [(*row[:place], *row[place + 1 :]) for row in rows])

    outbox.engine.many = unfenced


def _submit_before_the_commit() -> None:
    """`submitting` is written when the answer is there: what a kill leaves looks as if it had not been sent."""
    gate, settle = outbox.gate, outbox.settle

    def early(leases: Any, clock: Any, **options: Any) -> Any:
        passed = gate(leases, clock, **options)
        for s in passed:
            until = s.lease.slot_at + outbox.SUBMIT_LEASE_SECONDS
            TextMessage.objects.filter(pk=s.lease.id).update(status=Status.LEASED, lease_until=until)
        return passed

    def late(outcomes: Any, **options: Any) -> None:
        for o in outcomes:
            TextMessage.objects.filter(pk=o.lease.id, status=Status.LEASED).update(status=Status.SUBMITTING)
        settle(outcomes, **options)

    outbox.gate, outbox.settle = early, late


MUTANTS = {
    "rescue_of_submitting": _requeue_what_was_submitting,
    "no_late_check": _never_late,
    "no_fence": _no_fence,
    "submit_before_commit": _submit_before_the_commit,
}
