"""Where a message stands, and which word may follow which.

One ladder, one pure function: any order and any repetition of a provider's events ends in the same state.
"""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """Every state of an outbound message (and `received` for an inbound one)."""

    HELD = "held"  # in the campaign, not yet released
    QUEUED = "queued"  # released to the outbox
    LEASED = "leased"  # claimed, a slot reserved; nothing on the wire
    SUBMITTING = "submitting"  # may be on the wire
    UNCERTAIN = "uncertain"  # we do not know whether the provider took it
    ACCEPTED = "accepted"  # the provider took it
    SENT = "sent"  # the carrier took it
    UNCONFIRMED = "unconfirmed"  # no final word came, or the carrier says unknown
    FAILED = "failed"  # given up
    EXPIRED = "expired"  # its validity passed first
    REFUSED = "refused"  # by the provider or its filter
    UNDELIVERED = "undelivered"  # by the carrier or the handset
    DELIVERED = "delivered"
    SUPPRESSED = "suppressed"  # without a submit: the recipient may not be texted
    CANCELLED = "cancelled"  # without a submit: the campaign was cancelled
    RECEIVED = "received"  # inbound


RANK: dict[Status, int] = {
    Status.ACCEPTED: 20,
    Status.SENT: 30,
    Status.UNCONFIRMED: 40,
    Status.FAILED: 50,
    Status.EXPIRED: 60,
    Status.REFUSED: 70,
    Status.UNDELIVERED: 80,
    Status.DELIVERED: 100,
}

HANDOVERS = frozenset({Status.HELD, Status.QUEUED, Status.LEASED, Status.SUBMITTING, Status.UNCERTAIN})
"""States that change hands by conditional update; an event may lift a message out of any of them."""

UNFINISHED = frozenset({Status.HELD, Status.QUEUED, Status.LEASED, Status.SUBMITTING})
"""While one message of a campaign is in one of these, the campaign is not finished."""

FINAL = frozenset(
    {
        Status.UNCONFIRMED,
        Status.FAILED,
        Status.EXPIRED,
        Status.REFUSED,
        Status.UNDELIVERED,
        Status.DELIVERED,
        Status.SUPPRESSED,
        Status.CANCELLED,
        Status.RECEIVED,
    }
)
"""Nothing further is expected, though a late report may still raise the rank."""


def advance(current: Status, event: Status) -> Status:
    """The state after a provider's `event`: a higher rank wins, a hand-over yields to any event.

    Commutative and idempotent over events: `advance` folds any order of the same events to one state.
    """
    if event not in RANK:
        return current
    if current in HANDOVERS or RANK[event] > RANK.get(current, 1000):
        return event
    return current
