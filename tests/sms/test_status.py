"""Where a message stands after whatever its provider said, in whatever order."""

from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline.sms.status import FINAL, HANDOVERS, RANK, UNFINISHED, Status, advance

EVENTS = sorted(RANK)


@pytest.mark.parametrize(
    ("current", "event", "after"),
    [
        (Status.ACCEPTED, Status.SENT, Status.SENT),
        (Status.SENT, Status.DELIVERED, Status.DELIVERED),
        (Status.DELIVERED, Status.SENT, Status.DELIVERED),
        (Status.DELIVERED, Status.UNDELIVERED, Status.DELIVERED),
        (Status.UNDELIVERED, Status.DELIVERED, Status.DELIVERED),
        (Status.UNCONFIRMED, Status.UNDELIVERED, Status.UNDELIVERED),
        (Status.EXPIRED, Status.DELIVERED, Status.DELIVERED),
        (Status.FAILED, Status.ACCEPTED, Status.FAILED),
        (Status.UNCERTAIN, Status.ACCEPTED, Status.ACCEPTED),
        (Status.SUBMITTING, Status.DELIVERED, Status.DELIVERED),
        (Status.SUPPRESSED, Status.DELIVERED, Status.SUPPRESSED),
        (Status.CANCELLED, Status.SENT, Status.CANCELLED),
        (Status.SENT, Status.QUEUED, Status.SENT),
        (Status.QUEUED, Status.LEASED, Status.QUEUED),
    ],
)
def test_one_event(current, event, after):
    """raises the rank or changes nothing; a hand-over yields to any event and is none itself."""
    assert advance(current, event) is after


@given(
    st.sampled_from(Status),
    st.lists(st.sampled_from(Status)).flatmap(
        lambda events: st.tuples(st.just(events), st.permutations(events + events[: len(events) // 2]))
    ),
)
def test_any_order_and_repetition(start, histories):
    """of the same events ends in the same state."""
    told, retold = histories

    assert reduce(advance, retold, start) is reduce(advance, told, start)


@given(st.sampled_from(sorted(HANDOVERS)), st.lists(st.sampled_from(EVENTS), min_size=1))
def test_a_message_on_its_way(start, events):
    """ends at the highest word that was said of it."""
    assert reduce(advance, events, start) is max(events, key=RANK.__getitem__)


@given(st.sampled_from(sorted(set(Status) - HANDOVERS)), st.sampled_from(Status))
def test_no_event_moves_a_message_back(current, event):
    """Neither to a lower rank nor into a hand-over."""
    after = advance(current, event)

    assert after not in HANDOVERS
    assert after is current or RANK[after] > RANK[current]


def test_every_state_has_its_place():
    """A state is a hand-over, or final, or waiting for the next word of the provider: one of the three."""
    waiting = {Status.ACCEPTED, Status.SENT}

    assert HANDOVERS | FINAL | waiting == set(Status)
    assert len(HANDOVERS) + len(FINAL) + len(waiting) == len(Status)
    assert UNFINISHED < HANDOVERS
    assert len(set(RANK.values())) == len(RANK)
