"""What waits for a moment that does not come for long, because the database's clock was put back?

Back-offs, pauses and look-ups are moments of that clock. Nothing stores how long they were meant to be, but each kind
has a longest: what lies further ahead was set by another clock, and is over. What people asked for, and what ends at
midnight, is meant by the calendar and stays.
"""

from __future__ import annotations

import logging

from django.db.models import F, Q, QuerySet

from paceline.sms.status import Status

from . import breaker, caps, engine, lanes, outbox, reconcile
from .models import Account, Event, Sender, TextMessage

log = logging.getLogger("paceline.clock")

AHEAD_SECONDS = 1.0
"""What slots may lie ahead of the clock, and clocks of each other."""


def catch_up(now: float) -> int:
    """Ends what waits for longer than anything of its kind waits; answers how many. Twice is once.

    Looks through the whole queue, so it is for the moments when a clock may have been set.
    """
    ended = _lanes(now) + _messages(now) + _look_ups(now) + _events(now)
    if ended:
        log.warning("The database's clock was put back: %s that waited for the old one go on", ended)
    return ended


def settle_anew(now: float) -> None:
    """The clock was set, on or back: a settle time that was running begins again, for nobody knows how long it ran.

    Else a clock put on would make a look-up prove that a provider lacks what it is still to take.
    """
    for alias in reconcile.askable():
        fresh = reconcile.uncertain().filter(look_ups=0, sender__account__alias=alias, look_up_at__isnull=False)
        ids = list(fresh.values_list("pk", flat=True))
        for part in engine.chunks(ids):
            again = TextMessage.objects.filter(pk__in=part, status=Status.UNCERTAIN, look_ups=0)
            again.update(look_up_at=now + reconcile.settle_seconds(alias))


def _lanes(now: float) -> int:
    longest = now + breaker.LONGEST_PAUSE_SECONDS + AHEAD_SECONDS
    paused = Account.objects.filter(backoff_until__gt=longest).update(backoff_until=0.0)
    # a 429 that is still to come says nothing about the next hour, neither of its rest nor of the pace
    told = Q(slowed_at__gt=now + AHEAD_SECONDS) | Q(backoff_until__gt=now + lanes.BACKOFF_MOST_SECONDS + AHEAD_SECONDS)
    return paused + Sender.objects.filter(told).update(backoff_until=0.0, slowed_at=now)


def _messages(now: float) -> int:
    waiting = TextMessage.objects.filter(status=Status.QUEUED, not_before__gt=now + AHEAD_SECONDS).exclude(reason="")
    of_a_cap = Q(code__in=[caps.RECIPIENT, caps.SPEND])
    longest = now + outbox.LONGEST_DELAY_SECONDS + AHEAD_SECONDS
    # who was told to wait longer waits no longer than the lane that was told so
    put_off = waiting.exclude(of_a_cap).filter(not_before__gt=longest)
    put_off = put_off.filter(not_before__gt=F("sender__backoff_until") + AHEAD_SECONDS)
    midnight = caps.midnight(now)
    return _end(put_off, now) + _end(waiting.filter(of_a_cap, not_before__gt=midnight), midnight)


def _end(waiting: QuerySet[TextMessage], at: float) -> int:
    ids = list(waiting.values_list("pk", flat=True))
    ended = 0
    for part in engine.chunks(ids):
        ended += TextMessage.objects.filter(pk__in=part, status=Status.QUEUED).update(not_before=at)
    return ended


def _look_ups(now: float) -> int:
    ended = 0
    for alias in reconcile.askable():
        of_account = reconcile.uncertain().filter(sender__account__alias=alias)
        for count in range(reconcile.LOOK_UPS_MOST):
            longest = now + reconcile.longest_wait(alias, count)
            late = of_account.filter(look_ups=count, look_up_at__gt=longest + AHEAD_SECONDS)
            ids = list(late.values_list("pk", flat=True))
            for part in engine.chunks(ids):
                still = TextMessage.objects.filter(pk__in=part, status=Status.UNCERTAIN, look_ups=count)
                ended += still.update(look_up_at=longest)
    return ended


def _events(now: float) -> int:
    """One that is tried again too early is tried again later."""
    return Event.objects.filter(next_try_at__gt=now + AHEAD_SECONDS).update(next_try_at=now)
