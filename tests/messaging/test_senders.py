"""Which sender does a contact hear from? Always the same one, and the senders share them evenly."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paceline.messaging import campaigns, lanes, senders
from paceline.messaging.models import Contact, Sender, TextMessage
from paceline.messaging.senders import UnknownSender
from paceline.sms import pacing
from paceline.sms.errors import InvalidNumber
from paceline.sms.status import Status

from .factories import (
    NOON,
    audience,
    fanned_out,
    launched,
    pass_gate,
    people,
    queued,
    send,
    sender,
    settle,
    undone,
)

pytestmark = [pytest.mark.django_db, pytest.mark.contract]


def loads():
    """How many contacts each open sender has."""
    return [lane.contacts.count() for lane in senders.active()]


def who_hears_from_whom():
    return dict(Contact.objects.values_list("number", "sender__number"))


# --- assignment -----------------------------------------------------------------------------------------------


def test_loads_differ_by_one_at_most(line):
    """Whatever the number of senders and of contacts that come at a time, and when one of them is removed."""
    everybody = [person.pk for person in people(60)]
    lanes_ = [sender(line) for _ in range(5)]

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(closed=st.integers(0, 4), arrivals=st.lists(st.integers(0, 20), max_size=5), removed=st.booleans())
    def holds(closed, arrivals, removed):
        with undone():
            for lane in lanes_[:closed]:
                Sender.objects.filter(pk=lane.pk).update(removed_at="2026-11-01T00:00Z")
            left = everybody[:]
            for arrival in arrivals:
                senders.assign(left[:arrival])
                left = left[arrival:]
            if removed and closed < 4:
                senders.remove(lanes_[4])

            assert max(loads()) - min(loads()) <= 1
            assert sum(loads()) == len(everybody) - len(left)

    holds()


def test_a_new_sender_takes_the_next_contacts(line):
    """Nobody changes sender because one is added; who comes next goes where the load is least."""
    sender(line)
    before = people(4)
    senders.assign([person.pk for person in before])
    pairs = who_hears_from_whom()
    newer = sender(line)

    senders.assign([person.pk for person in people(4)])

    assert pairs.items() <= who_hears_from_whom().items()
    assert newer.contacts.count() == 4


def test_the_second_campaign_leaves_from_the_same_senders(line):
    """Over campaigns, imports and new senders, a contact keeps hearing from one number."""
    for _ in range(3):
        sender(line)
    first = launched(10)
    senders.add(line, "+12025550199")

    second = fanned_out(campaigns.launch(campaigns.create("Again", "Hi", list=first.list)))

    pairs = [sorted(campaign.messages.values_list("to", "frm")) for campaign in (first, second)]
    assert pairs[0] == pairs[1]


# --- removal --------------------------------------------------------------------------------------------------


def test_removal_moves_contacts_and_waiting_texts(line, clock):
    """A removed sender's contacts go to the others evenly, and what waits for it leaves from their new number."""
    lanes_ = [sender(line, mps=None) for _ in range(3)]
    campaign = launched(30, batch_size=12)
    campaigns.release(campaign, NOON)

    assert senders.remove(lanes_[0]) == 10

    assert loads() == [15, 15]
    texts = campaign.messages.select_related("contact__sender")
    assert {(t.sender_id, t.frm) for t in texts} == {(lane.pk, lane.number) for lane in lanes_[1:]}
    assert all(text.sender == text.contact.sender for text in texts)
    assert len(send(clock, line)) == 12


def test_removal_does_not_touch_what_is_on_the_wire(line, clock):
    """A text that may be on the wire stays with its sender, and its answer finds it."""
    lane = sender(line, mps=None)
    sender(line)
    text = queued(lane, contact=people(1)[0])[0]
    (submission,) = pass_gate(clock, line)

    senders.remove(lane)
    settle(submission.lease, ValueError("timed out"), clock)

    text.refresh_from_db()
    assert (text.sender, text.frm, text.status) == (lane, lane.number, Status.UNCERTAIN)


def test_the_last_sender_removed_and_another_added(line, clock):
    """Without any sender everything waits; the next one that is added takes it all."""
    lane = sender(line)
    campaign = launched(5)
    campaigns.release(campaign, NOON)
    senders.remove(lane)
    assert set(campaign.messages.values_list("sender", "frm")) == {(None, "")}

    added, created = senders.add(line, "+12025550199", mps=None)

    assert created
    assert set(campaign.messages.values_list("sender", "frm")) == {(added.pk, "+12025550199")}
    Sender.objects.update(next_free_at=0)
    assert len(send(clock, line)) == 5


def test_a_direct_text_of_a_removed_sender_leaves_from_another(line):
    """A contact without a sender of its own gets one, so that its waiting text is not stranded."""
    lane, other = sender(line), sender(line)
    text = queued(lane, contact=people(1)[0])[0]

    senders.remove(lane)

    text.refresh_from_db()
    assert (text.sender, text.frm) == (other, other.number)


def test_a_text_whose_contact_was_deleted_stops_nothing(line):
    """A waiting text of nobody we know any more cannot be given a sender; adding one still ends."""
    lane = sender(line)
    queued(lane)
    senders.remove(lane)

    senders.add(line, "+12025550199")

    assert TextMessage.objects.get().status == Status.QUEUED


def test_a_removed_sender_is_opened_again(line):
    """Adding a known sender opens it with the new limits; its history stays."""
    lane = sender(line, mps=1, blocked="not registered", uncertain_streak=3)
    senders.remove(lane)

    opened, created = senders.add(line, lane.number, mps=5, daily_cap=100)

    assert (opened.pk, created) == (lane.pk, False)
    assert (opened.mps, opened.daily_cap, opened.blocked, opened.removed_at) == (5, 100, "", None)
    assert opened.uncertain_streak == 0


# --- pace -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("before", "after"), [(1, 10), (10, 1), (None, 1), (1, None)])
def test_a_changed_rate_keeps_its_distance(line, before, after):
    """From one claim to the next the last slot keeps the distance that the new rate asks for."""
    used = 0.0 if before is None else pacing.interval(before)
    lane = sender(line, mps=before, next_free_at=NOON + used)

    lanes.set_rate(lane, after, NOON)

    lane.refresh_from_db()
    assert lane.next_free_at == pytest.approx(NOON + pacing.interval(after), abs=1e-6)


# --- names ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "stored"),
    [
        ("(202) 555-0123", "+12025550123"),
        (" +1 202 555 0123 ", "+12025550123"),
        ("40404", "40404"),
        ("PACELINE", "PACELINE"),
        ("Opera 2026", "Opera 2026"),
    ],
)
def test_how_a_sender_is_spelled(raw, stored):
    """Numbers in any spelling become E.164; short codes and names stay as they are."""
    assert senders.spelled(raw, "US") == stored


@pytest.mark.parametrize("raw", ["A name too long", "Oper@", "555-0123", "+1 202", ""])
def test_what_no_sender_can_be_called(raw):
    """A name of more than 11 characters or with signs in it, and what is no number, is refused."""
    with pytest.raises(InvalidNumber):
        senders.spelled(raw, "US")


def test_an_unknown_sender_says_how_to_add_it(line):
    """The sentence names those that there are and the command that adds this one; a removed one is unknown too."""
    lane, gone = sender(line, number="+12025550101"), sender(line, number="+12025550102")
    senders.remove(gone)

    assert senders.get(lane.number, "US") == lane
    for number in (gone.number, "+12025550123"):
        with pytest.raises(UnknownSender) as raised:
            senders.get(number, "US")
        assert lane.number in str(raised.value)
        assert f"paceline sender add {number}" in str(raised.value)


def test_nobody_is_given_a_sender_that_is_not_there(line):
    """Without any sender an assignment changes nothing."""
    person = people(1)[0]

    senders.assign([person.pk])

    person.refresh_from_db()
    assert person.sender is None
    assert audience([person]).contacts.count() == 1
