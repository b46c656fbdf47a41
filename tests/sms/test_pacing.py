"""Slots: who may leave when, and what the wire sees of it at the worst."""

from itertools import chain
from math import ceil, ulp

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paceline.sms.pacing import LATE_TOLERANCE_SECONDS, LOOKAHEAD_SECONDS, clamp, interval, is_late, slot

NOW = 1_800_000_000.0

rates = st.one_of(st.integers(1, 100), st.sampled_from([0.1, 0.5, 1.5, 2.5, 250, 1000]))
late = st.one_of(st.sampled_from([0.0, LATE_TOLERANCE_SECONDS]), st.floats(0, LATE_TOLERANCE_SECONDS))
idle = st.one_of(st.just(0.0), st.floats(0, 2))


def most_in_a_second(moments, rate):
    """The largest number of moments in any sliding second.

    The second is shortened by what float addition may lose on the way: a moment since the epoch is exact to 0.2 µs,
    and a second at `rate` is the sum of that many intervals.
    """
    moments = sorted(moments)
    second = 1.0 - (ceil(rate) + 2) * ulp(NOW)
    most = first = 0
    for last, moment in enumerate(moments):
        while moment - moments[first] >= second:
            first += 1
        most = max(most, last - first + 1)
    return most


@settings(max_examples=150, deadline=None)
@given(rates, st.data())
def test_one_limit(rate, data):
    """However late within the tolerance, however busy or idle: no sliding second holds more than the rate."""
    length = min(3 * ceil(rate), 120) if rate < 200 else 2 * rate
    lateness = data.draw(st.lists(late, min_size=5, max_size=20))
    pauses = data.draw(st.lists(idle, min_size=1, max_size=7))
    now = free = NOW
    wire = []

    for turn in range(length):
        now += pauses[turn % len(pauses)] / rate
        at = slot(now, [free])
        free = at + interval(rate)
        wire.append(at + lateness[turn % len(lateness)])

    assert most_in_a_second(wire, rate) <= ceil(rate)


@settings(max_examples=100, deadline=None)
@given(
    account_rate=st.integers(1, 40),
    sender_rates=st.lists(rates, min_size=1, max_size=4),
    turns=st.lists(st.tuples(st.integers(0, 3), late, idle), min_size=50, max_size=150),
)
def test_a_parent_limit(account_rate, sender_rates, turns):
    """Senders under one account: neither the account nor any sender goes over its rate in a sliding second."""
    now = account_free = NOW
    sender_free = [NOW] * len(sender_rates)
    wire = [[] for _ in sender_rates]

    for turn, lateness, pause in turns:
        sender = turn % len(sender_rates)
        now += pause / account_rate
        at = slot(now, [account_free, sender_free[sender]])
        account_free = at + interval(account_rate)
        sender_free[sender] = at + interval(sender_rates[sender])
        wire[sender].append(at + lateness)

    assert most_in_a_second(chain(*wire), account_rate) <= account_rate
    for rate, moments in zip(sender_rates, wire, strict=True):
        assert most_in_a_second(moments, rate) <= ceil(rate)


@pytest.mark.parametrize("rate", [0.1, 1, 30, 1000])
def test_the_price_of_the_tolerance(rate):
    """A lane that is never idle runs at 97 % of its rate, no less."""
    assert 0.97 < 1 / interval(rate) / rate < 0.98


def test_a_limit_without_a_rate():
    """costs no time."""
    assert interval(None) == 0.0


@pytest.mark.parametrize(
    ("free_at", "at"), [([NOW - 5], NOW), ([NOW + 2], NOW + 2), ([NOW + 1, NOW + 3], NOW + 3), ([NOW - 1, NOW], NOW)]
)
def test_a_slot(free_at, at):
    """is when the last of its limits is free, and never in the past."""
    assert slot(NOW, free_at) == at


@pytest.mark.parametrize(
    ("now", "late"),
    [
        (NOW - 1, False),
        (NOW, False),
        (NOW + LATE_TOLERANCE_SECONDS, False),
        (NOW + LATE_TOLERANCE_SECONDS + 1e-6, True),
    ],
)
def test_a_missed_slot(now, late):
    """is one that is past by more than the tolerance; early or on time is not late."""
    assert is_late(now, NOW) is late


STEP = interval(2)


@pytest.mark.parametrize(
    ("situation", "free_at", "believed"),
    [
        ("missing: as if it had just been used", None, NOW + STEP),
        ("free long ago: believed", NOW - 3600, NOW - 3600),
        ("within a claim's reach: believed", NOW + LOOKAHEAD_SECONDS, NOW + LOOKAHEAD_SECONDS),
        ("at the edge of that: believed", NOW + LOOKAHEAD_SECONDS + STEP, NOW + LOOKAHEAD_SECONDS + STEP),
        ("beyond: the clock was stepped", NOW + LOOKAHEAD_SECONDS + STEP + 0.001, NOW + STEP),
        ("far beyond: the clock was stepped", NOW + 3600, NOW + STEP),
    ],
)
def test_a_timeline_read_back(situation, free_at, believed):
    """Missing, believable, or further ahead than any claim could have set it."""
    assert clamp(free_at, NOW, STEP) == believed
