"""Which wake-ups are there? One that sends, one that finds out who has to send, one for everything periodic."""

from __future__ import annotations

from celery import shared_task
from django.conf import settings

from paceline.dispatcher import shift
from paceline.dispatcher.chores import Chores
from paceline.messaging.clock import Clock
from paceline.project import celery

_clock = Clock()
_chores = Chores(_clock)  # of this process: it remembers when its rarer chores were done


@shared_task(name="paceline.wake")
def wake() -> None:
    """One more shift for each account that has something to send and may need it."""
    for account in shift.wanted():
        dispatch.apply_async((account,), expires=celery.EXPIRES_SECONDS)


@shared_task(name="paceline.dispatch")
def dispatch(account: int) -> None:
    """One shift. Without an account like that it finds nothing to do."""
    shift.work(account, wire_log=settings.PACELINE["WIRE_LOG"], draining=celery.draining)


@shared_task(name="paceline.chores")
def chores() -> None:
    """Fan-out, release, finish, recovery, reports and whatever else a dispatcher does beside sending."""
    _clock.sync()  # leases end by the database's clock
    shift.do_chores(_chores, draining=celery.draining)
