"""How does a project's test see what would have been texted? The fixture `sms_outbox`, like Django's `mail.outbox`.

Loaded by pytest wherever Paceline is installed, so nothing is imported here until a test asks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, overload

import pytest

if TYPE_CHECKING:
    from paceline.messaging.models import TextMessage

MEMORY = "paceline.sms.providers.local.Memory"


@dataclass(frozen=True, slots=True)
class SentText:
    """One text that has left, as the provider got it."""

    text: str
    sender: str
    number: str
    reference: str

    @property
    def frm(self) -> str:
        return self.sender

    @property
    def to(self) -> str:
        return self.number

    @property
    def message(self) -> TextMessage:
        """Its row, fresh from the database."""
        from paceline.messaging.models import TextMessage

        return TextMessage.objects.get(reference=self.reference)


class Outbox(Sequence[SentText]):
    """What has left in this test, in order."""

    @overload
    def __getitem__(self, index: int) -> SentText: ...

    @overload
    def __getitem__(self, index: slice) -> list[SentText]: ...

    def __getitem__(self, index: int | slice) -> SentText | list[SentText]:
        return self._sent()[index]

    def __len__(self) -> int:
        return len(self._sent())

    def __repr__(self) -> str:
        return repr(self._sent())

    def clear(self) -> None:
        """Forgets what has left so far."""
        from paceline.sms.transports import clear_memory_outbox

        clear_memory_outbox()

    def deliver_due(self, at: datetime | None = None) -> int:
        """Sends what is queued and due, or will be due at the aware datetime `at`; answers how many texts left.

        Does what a dispatcher does, campaigns and suppressions included, but at once and in the test's own
        transaction: no time passes.
        """
        before = len(self)
        _dispatch(at)
        return len(self) - before

    @staticmethod
    def _sent() -> list[SentText]:
        from paceline.sms.transports import memory_outbox

        return [SentText(sent["text"], sent["sender"], sent["number"], sent["reference"]) for sent in memory_outbox]


@pytest.fixture
def sms_outbox() -> Iterator[Outbox]:
    """Every account sends into memory for this test; what has left is in this list: `.text`, `.frm`, `.to`.

    Nothing reaches a network, and no rate of the settings holds a test up. The test needs the database.
    """
    from django.conf import settings
    from django.test import override_settings

    given = getattr(settings, "PACELINE", {})
    aliases = given.get("PROVIDERS") or {"default": {}}
    outbox = Outbox()
    with override_settings(PACELINE=given | {"PROVIDERS": {alias: {"BACKEND": MEMORY} for alias in aliases}}):
        outbox.clear()
        yield outbox
        outbox.clear()


class _Standing:
    """A clock that stands; the shape of `paceline.messaging.clock.Clock`."""

    times_set = 0

    def __init__(self, at: float) -> None:
        self.at = at

    def sync(self) -> float:
        return self.at

    def now(self) -> float:
        return self.at


def _dispatch(at: datetime | None) -> None:
    from paceline.dispatcher.chores import Chores
    from paceline.messaging import accounts, engine, outbox
    from paceline.messaging.models import Account
    from paceline.sms.transports import Transport

    if at is not None and at.tzinfo is None:
        raise ValueError("at has no time zone; give an aware datetime such as timezone.now()")
    clock: Any = _Standing(engine.now() if at is None else at.timestamp())
    chores = Chores(clock)
    accounts.sync()
    with Transport() as transport:
        busy = True
        while busy:
            busy = chores.round().more
            for account in Account.objects.filter(blocked=""):
                for limits in (Account.objects.filter(pk=account.pk), account.senders.all()):
                    limits.update(next_free_at=0.0, backoff_until=0.0)  # a rate is no reason to wait here
                leases = outbox.claim(account.pk, clock)
                clock.at = max([clock.at, *(lease.slot_at for lease in leases)])
                outcomes = []
                for submission in outbox.gate(leases, clock):
                    accepted = transport.submit(accounts.provider(account.alias), submission.message)
                    outcomes.append(outbox.Outcome(submission.lease, accepted, clock.now()))
                outbox.settle(outcomes)
                busy |= bool(leases)
