"""Several dispatchers on one database, none of them alone: each text once, and every limit over all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.utils import timezone

from paceline.dispatcher import shift
from paceline.dispatcher.loop import (
    CALM_LOOKAHEAD_SECONDS,
    CLAIM_LEAST,
    FEW,
    GATE_AHEAD_MOST_SECONDS,
    Dispatcher,
    Reach,
)
from paceline.messaging import accounts, campaigns, engine, lanes, outbox, senders
from paceline.messaging.models import Account, Sender, TextMessage
from paceline.sandbox import ledger
from paceline.sms import pacing

from ..installation import until
from ..messaging import factories
from .test_dispatcher import Bench, campaign_for, ended
from .test_dispatcher import bench as bench  # the fixture

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.contract]


@contextmanager
def dispatchers(how_many: int, first: Bench, folder: Path) -> Iterator[list[Bench]]:
    """So many dispatchers with a carrier in common, each with a wire log of its own."""
    places = [first]
    for n in range(1, how_many):
        (folder / str(n)).mkdir()
        places.append(Bench(folder / str(n), first.carrier))
    for place in places:
        place.start()
    try:
        yield places
    finally:
        for place in places:
            place.stop()


def busiest(lines: list[dict]) -> int:
    return ledger.busiest_window(sorted(line["at"] for line in lines), 1.0)


def test_two_dispatchers_share_an_account_within_its_limits(bench: Bench, tmp_path: Path) -> None:
    """By the union of their wire logs no limit of a sender or the account is exceeded; nobody is texted twice."""
    campaign = campaign_for(150, [25, 25], account_mps=40)

    with dispatchers(2, bench, tmp_path) as places:
        until(lambda: ended(campaign), 60)

    lines = [line for place in places for line in place.wire()]
    by_sender = [[line for line in lines if line["from"] == sender.number] for sender in senders.active()]
    assert busiest(lines) <= 40
    assert max(map(busiest, by_sender)) <= 25
    assert Counter(accept.number for accept in bench.carrier.accepts()).most_common(1)[0][1] == 1
    assert len(bench.carrier.accepts()) == 150
    print(f"written by each: {[len(place.wire()) for place in places]}")


def test_four_dispatchers_without_a_limit_send_each_text_once(bench: Bench, tmp_path: Path) -> None:
    """As fast as they can, over the same rows: claims exclude each other, and no lock is waited for in a circle."""
    campaign = campaign_for(600, [None, None])

    with dispatchers(4, bench, tmp_path) as places:
        until(lambda: ended(campaign), 60)

    assert Counter(accept.number for accept in bench.carrier.accepts()).most_common(1)[0][1] == 1
    assert len(bench.carrier.accepts()) == 600 == sum(len(place.wire()) for place in places)
    assert set(TextMessage.objects.values_list("status", flat=True)) == {"accepted"}


# --- who has to be woken --------------------------------------------------------------------------------------


def lane(alias: str, mps: float | None = 1.0, **fields: object) -> Sender:
    return factories.sender(factories.account(alias=alias), mps, **fields)


def test_an_account_is_due_when_something_could_leave() -> None:
    """Queued for now: yes. For later, of a paused campaign, or on a blocked or removed sender: no."""
    due, later, paused, blocked, removed, idle = (
        lane(alias) for alias in ("due", "later", "paused", "blocked", "removed", "idle")
    )
    factories.queued(due)
    factories.queued(later, not_before=engine.now() + 600)
    factories.queued(blocked)
    factories.queued(removed)
    bulk = factories.running()
    factories.queued(paused, campaign=bulk)
    campaigns.pause(bulk)
    Sender.objects.filter(pk=blocked.pk).update(blocked="why")
    Sender.objects.filter(pk=removed.pk).update(removed_at=timezone.now())

    assert shift.due() == {due.account_id}
    assert shift.wanted() == [due.account_id]
    assert idle.account_id not in shift.due()


@pytest.mark.parametrize(("mps", "helps"), [(20.0, False), (None, True), (2000.0, True)])
def test_a_second_shift_is_wanted_only_where_one_is_not_enough(mps: float | None, helps: bool) -> None:
    """A dispatcher sends for it already: another one helps an account that may send thousands a second."""
    sender = lane("default", mps)
    factories.queued(sender, 2)
    text = factories.queued(sender)[0]
    TextMessage.objects.filter(pk=text.pk).update(status="leased", attempt="a", lease_until=engine.now() + 60)

    assert shift.served() == {sender.account_id}
    assert shift.wanted() == ([sender.account_id] if helps else [])


def test_a_dead_dispatchers_account_is_wanted_again() -> None:
    """What it held is no longer alive when its lease has ended."""
    sender = lane("default")
    factories.queued(sender, 2)
    text = factories.queued(sender)[0]
    TextMessage.objects.filter(pk=text.pk).update(status="leased", attempt="a", lease_until=engine.now() - 1)

    assert shift.wanted() == [sender.account_id]


def test_what_a_dead_dispatcher_had_on_the_wire_keeps_nobody_away() -> None:
    """Its submits are leased for most of a minute; who has submitted nothing just now is not at it."""
    sender = lane("default", 10.0)
    factories.queued(sender)
    now = engine.now()
    on_the_wire = {"status": "submitting", "lease_until": now + 40}
    factories.queued(sender, **on_the_wire, submitted_at=now - 0.1)
    assert shift.served() == {sender.account_id}

    TextMessage.objects.filter(status="submitting").update(submitted_at=now - 2)

    assert shift.served() == set()
    assert shift.wanted() == [sender.account_id]


def test_a_shift_ends_when_it_is_idle(bench: Bench) -> None:
    """It sends what there is, leaves nothing leased, and returns by itself."""
    senders.add(accounts.get(), factories.number(), mps=50)
    for n in range(5):
        outbox.queue_text("Hi", senders.active()[0], factories.number(n))

    shift.work(Account.objects.get().pk, idle_seconds=0.5)

    assert Counter(TextMessage.objects.values_list("status", flat=True)) == {"accepted": 5}


def test_a_shift_whose_time_is_over_sends_what_it_has_leased(bench: Bench, monkeypatch) -> None:
    """No slot is wasted at its end, nothing is left on the way, and the rest waits for the next shift."""
    given_back: list[object] = []
    monkeypatch.setattr(outbox, "give_back", given_back.extend)
    senders.add(accounts.get(), factories.number(), mps=10)
    for n in range(60):
        outbox.queue_text("Hi", senders.active()[0], factories.number(n))

    shift.work(Account.objects.get().pk, seconds=1.0)

    counts = Counter(TextMessage.objects.values_list("status", flat=True))
    assert set(counts) == {"accepted", "queued"}
    assert counts["accepted"] == len(bench.carrier.accepts())
    assert given_back == []


def test_a_shift_takes_on_an_account_that_nobody_serves(bench: Bench, settings, monkeypatch) -> None:
    """Its own has nothing to do any more, or much: another one's text leaves all the same."""
    monkeypatch.setattr(shift, "NEIGHBOURS_EVERY_SECONDS", 0.1)
    entry = settings.PACELINE["PROVIDERS"]["default"]
    settings.PACELINE = settings.PACELINE | {"PROVIDERS": {"default": entry, "second": entry}}
    senders.add(accounts.get(), factories.number(), mps=50)
    other, _ = senders.add(accounts.get("second"), factories.number(99), mps=50)
    outbox.queue_text("Hi", other, factories.number(1))

    shift.work(Account.objects.get(alias="default").pk, idle_seconds=2)

    assert [accept.number for accept in bench.carrier.accepts()] == [factories.number(1)]


# --- what a dispatcher takes at a time ------------------------------------------------------------------------


def test_missed_slots_make_a_dispatcher_take_less_and_begin_earlier() -> None:
    """On a machine that is too slow for what it takes, it comes to what it can, and misses no slots for ever."""
    reach = Reach()
    for _ in range(20):
        reach.missed()
        reach.claimed(10)

    assert reach.claim_most == CLAIM_LEAST
    assert reach.gate_ahead == GATE_AHEAD_MOST_SECONDS
    assert reach.gate_ahead + pacing.LATE_TOLERANCE_SECONDS < 0.25, "STOP and pause are obeyed later than promised"
    assert reach.lead == lanes.LEAD_MOST_SECONDS


def test_a_dispatcher_that_keeps_up_takes_as_much_as_before() -> None:
    """One bad moment is forgotten within a few seconds."""
    reach = Reach()
    reach.missed()
    for _ in range(40):
        reach.claimed(10)

    assert reach.claim_most == outbox.CLAIM_MOST
    assert reach.gate_ahead == outbox.GATE_AHEAD_SECONDS
    assert reach.lead < 0.001
    assert reach.ahead == CALM_LOOKAHEAD_SECONDS


@pytest.mark.parametrize(("taken", "ahead"), [(FEW, CALM_LOOKAHEAD_SECONDS), (FEW + 1, pacing.LOOKAHEAD_SECONDS)])
def test_a_claim_reaches_far_ahead_where_many_messages_leave_and_less_far_where_few_do(
    taken: int, ahead: float
) -> None:
    """What a killed dispatcher had claimed is lost to the limit; a claim that takes time must have some in hand."""
    reach = Reach()
    for _ in range(40):
        reach.claimed(taken)

    assert reach.ahead == ahead


@pytest.mark.parametrize(
    ("mps", "free_in", "is_left_alone"),
    [
        (50.0, 0.19, True),  # nearly all within reach is claimed
        (50.0, 0.05, False),
        (0.5, 2.0, True),  # slower than a claim reaches: its next slot is not yet within reach
        (50.0, 3600.0, False),  # no claim could have set it: a stepped clock, for the claim to put right
        (50.0, None, False),
    ],
)
def test_an_account_is_left_alone_where_a_claim_would_find_hardly_a_slot(
    mps: float, free_in: float | None, is_left_alone: bool
) -> None:
    """A claim's locks are for something; an account whose time makes no sense gets its claim."""
    dispatcher = Dispatcher()
    now = dispatcher.clock.now()
    account = Account(alias="default", mps=mps, next_free_at=None if free_in is None else now + free_in)

    assert dispatcher._is_used_up(account) is is_left_alone
