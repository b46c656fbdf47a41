"""What has to be done again and again besides sending? One short step after another, each safe to kill and repeat."""

from __future__ import annotations

from dataclasses import dataclass, field

from paceline.messaging import campaigns, events, outbox
from paceline.messaging.clock import Clock

EVERY_SECOND = 1.0
EVERY_HOUR = 3600.0


@dataclass(slots=True)
class Step:
    """What a round of chores did: `released` messages can be claimed, `more` waits to be done at once."""

    released: int = 0
    more: bool = False


@dataclass(slots=True)
class Chores:
    """A round applies reports, fans out, releases and finishes; rarer chores run when their time has come."""

    clock: Clock
    _due: dict[str, float] = field(default_factory=dict)

    def round(self) -> Step:
        step = Step()
        now = self.clock.now()
        if self._is_time("recover", EVERY_SECOND):
            outbox.recover(now)
            campaigns.start_scheduled()
        if self._is_time("expire", EVERY_HOUR):
            outbox.expire_reports()
        step.more = events.apply_due(now) >= events.APPLY_MOST
        for campaign in campaigns.due():
            if campaigns.fan_out(campaign):
                step.more = True
            if campaign.state == campaigns.State.RUNNING:
                released = campaigns.release(campaign, self.clock.now())
                step.released += released
                step.more |= bool(released)
                if not released:
                    campaigns.finish(campaign)
            elif campaign.state == campaigns.State.CANCELLED:
                if campaigns.sweep(campaign):
                    step.more = True
                else:
                    campaigns.finish(campaign)
        return step

    def _is_time(self, chore: str, every: float) -> bool:
        now = self.clock.now()
        if abs(now - self._due.get(chore, 0.0)) < every:
            return False
        self._due[chore] = now
        return True
