"""What has to be done again and again besides sending? One short step after another, each safe to kill and repeat."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from paceline.messaging import (
    automatic,
    campaigns,
    conversations,
    errands,
    events,
    installation,
    lanes,
    outbox,
    replies,
    stepped,
)
from paceline.messaging.clock import Clock
from paceline.messaging.models import Campaign, Event, Sender, TextMessage
from paceline.messaging.reconcile import Reconciler
from paceline.sms.status import Status

ASK_EVERY_SECONDS = 0.5  # with at most 20 look-ups on their way, so at most 40 a second
CLOSE_SECONDS = 2.0
SAMPLE_EVERY_SECONDS = 2.0
EVERY_SECOND = 1.0
CATCH_UP_EVERY_SECONDS = 5.0
EVERY_HOUR = 3600.0


@dataclass(slots=True)
class Step:
    """What a round of chores `did`; of that, `released` messages can be claimed; `more` waits to be done at once."""

    did: int = 0
    released: int = 0
    more: bool = False

    def count(self, done: int) -> bool:
        """True when something was done."""
        self.did += done
        return done > 0


@dataclass(slots=True)
class Chores:
    """A round applies reports, fans out, releases and finishes; rarer chores run when their time has come."""

    clock: Clock
    _due: dict[str, float] = field(default_factory=dict)
    _stopped: str = ""
    _times_set: int = 0
    _catch_up_until: float = 0.0  # on the monotonic clock
    _is_new: bool = True
    _reconciler: Reconciler = field(init=False)
    _errands: errands.Runner = field(init=False)

    def __post_init__(self) -> None:
        self._reconciler = Reconciler(self.clock)
        self._errands = errands.Runner(self.clock)

    def close(self) -> None:
        """Waits a moment for look-ups and errands under way; whoever does the chores next begins the rest again."""
        self._reconciler.close(CLOSE_SECONDS)
        self._errands.close(CLOSE_SECONDS)

    def round(self) -> Step:
        step = Step()
        now = self.clock.now()
        if self._is_time("recover", EVERY_SECOND):
            self._stopped = installation.guard()
            outbox.recover(self.clock.sync())  # leases end by the database's clock
            self._follow_the_clock()
            campaigns.reopen()
            conversations.wake()
            if not self._stopped:
                campaigns.start_scheduled()
        self._reconcile()
        if self._is_time("replies", SAMPLE_EVERY_SECONDS):
            replies.record(now)
        if self._is_time("expire", EVERY_HOUR):
            outbox.expire_reports()
            automatic.forget(now)
        if not self._stopped and self._is_time("errands", ASK_EVERY_SECONDS):  # of a copy, nothing is done outside
            self._errands.step()
        applied = events.apply_due(now)
        step.count(applied)
        step.more = applied >= events.APPLY_MOST
        for campaign in [] if self._stopped else campaigns.due():  # of a copy, what is held stays held
            if step.count(campaigns.fan_out(campaign)):
                step.more = True
            if campaign.state == campaigns.State.RUNNING:
                released = campaigns.release(campaign, self.clock.now())
                step.released += released
                if step.count(released):
                    step.more = True
                else:
                    campaigns.finish(campaign)
            elif campaign.state == campaigns.State.CANCELLED:
                if step.count(campaigns.sweep(campaign)):
                    step.more = True
                else:
                    campaigns.finish(campaign)
        return step

    def _follow_the_clock(self) -> None:
        """What waits by a clock that was set meanwhile, or while nobody did the chores, must not wait for long.

        Looked at again for a while: who has not noticed yet may still write moments of the old clock.
        """
        now = time.monotonic()
        was_set = self.clock.times_set != self._times_set
        if was_set:
            self._times_set = self.clock.times_set
            self._catch_up_until = now + 2 * outbox.SUBMIT_LEASE_SECONDS
            self._reconciler.forget_rests()
            stepped.settle_anew(self.clock.now())
        again = now < self._catch_up_until and self._is_time("catch up", CATCH_UP_EVERY_SECONDS)
        if was_set or again or self._is_new:
            self._is_new = False
            stepped.catch_up(self.clock.now())

    def _reconcile(self) -> None:
        if self._stopped:
            return
        if self._is_time("reconcile", ASK_EVERY_SECONDS):
            self._reconciler.step()
        else:
            self._reconciler.take_in()

    def _is_time(self, chore: str, every: float) -> bool:
        now = self.clock.now()
        if abs(now - self._due.get(chore, 0.0)) < every:
            return False
        self._due[chore] = now
        return True


def is_anything_due(now: float) -> bool:
    """True while a dispatcher has something to do at `now`; what a later moment or a person must free is not due.

    Looks at a message's stations in their order, so that one that moves on meanwhile is met at the next.
    """
    if installation.guard():
        return Event.objects.filter(next_try_at__lte=now).exists()
    if any(campaigns.is_due(campaign, now) for campaign in campaigns.due()):
        return True
    open_lanes = Sender.objects.filter(
        removed_at=None, blocked="", account__blocked="", backoff_until__lte=now, account__backoff_until__lte=now
    )
    with_room = [sender.pk for sender in open_lanes if lanes.has_room(sender, now)]
    waiting = TextMessage.objects.filter(status=Status.QUEUED, sender__in=with_room, not_before__lte=now)
    running = Campaign.objects.filter(state=campaigns.State.RUNNING).values_list("pk", flat=True)
    if waiting.filter(campaign=None).exists() or waiting.filter(campaign__in=list(running)).exists():
        return True
    on_its_way = TextMessage.objects.filter(status__in=[Status.LEASED, Status.SUBMITTING])
    if errands.is_any_due(now):
        return True
    return on_its_way.exists() or Event.objects.filter(next_try_at__lte=now).exists()
