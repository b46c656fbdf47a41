"""How fast does a campaign enter the outbox? In tranches, whose size and distance may change while it runs."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paceline.dispatcher.chores import Chores
from paceline.messaging import campaigns, suppressions
from paceline.messaging.campaigns import CampaignError
from paceline.messaging.models import Campaign
from paceline.sms.errors import Throttled
from paceline.sms.status import Status

from .factories import Clock, account, launched, pass_gate, queued, send, sender, settle, statuses, undone

pytestmark = [pytest.mark.django_db, pytest.mark.contract]


@pytest.fixture
def line():
    """An account with one sender without a limit."""
    line = account()
    sender(line, mps=None)
    return line


def release(campaign, at):
    """All that the valve lets through at a moment, in as many steps as it takes."""
    steps = []
    while step := campaigns.release(campaign, at):
        steps.append(step)
    return sum(steps)


def waiting(campaign):
    return campaign.messages.filter(status=Status.QUEUED).count()


def test_no_batch_size_is_no_valve(line):
    """Without a batch size everybody is released at once, in chunks that keep each transaction short."""
    campaign = launched(450)

    assert [campaigns.release(campaign, 0) for _ in range(4)] == [200, 200, 50, 0]


def test_the_next_tranche_waits_for_the_delay(line, clock):
    """The next tranche is due exactly `delay_period` seconds after the last submit of the one before."""
    campaign = launched(8, batch_size=3, delay_period=60)

    assert release(campaign, clock.now()) == 3
    last = max(s.lease.slot_at for s in send(clock, line))

    assert release(campaign, last + 59.999) == 0
    assert release(campaign, last + 60) == 3
    assert statuses(campaign) == {Status.ACCEPTED: 3, Status.QUEUED: 3, Status.HELD: 2}


def test_the_next_tranche_waits_for_the_one_before(line, clock):
    """While one text of a tranche waits for its slot, or came back, the next tranche does not begin."""
    campaign = launched(4, batch_size=2, delay_period=1)
    release(campaign, clock.now())
    first = pass_gate(clock, line)[0]
    settle(first.lease, Throttled("slow down", retry_after=5), clock)

    assert release(campaign, clock.now() + 3600) == 0
    clock.at += 10
    send(clock, line)
    assert release(campaign, clock.now() + 3600) == 2


def test_a_tranche_larger_than_a_step(line, clock):
    """A tranche is released in steps of one transaction each, to its size and no further."""
    campaign = launched(700, batch_size=450, delay_period=60)

    assert [campaigns.release(campaign, clock.now()) for _ in range(4)] == [200, 200, 50, 0]


def test_the_suppressed_fill_no_place(line, clock):
    """A tranche of 4 sends to 4, however many between them may not be texted."""
    campaign = launched(10, batch_size=4, delay_period=60)
    for text in campaign.messages.order_by("pk")[1:5]:
        suppressions.add(text.to)

    release(campaign, clock.now())

    assert statuses(campaign) == {Status.QUEUED: 4, Status.SUPPRESSED: 4, Status.HELD: 2}


def test_a_changed_pace_holds_from_the_next_tranche(line, clock):
    """A tranche that is being released keeps its size; the next one has the new size and the new delay."""
    campaign = launched(700, batch_size=300, delay_period=600)
    campaigns.release(campaign, clock.now())

    campaigns.set_pace(campaign, batch_size=10, delay_period=30)

    assert release(campaign, clock.now()) == 100  # what was left of the 300
    send(clock, line)
    assert release(campaign, clock.now() + 29) == 0
    assert release(campaign, clock.now() + 30) == 10


def test_the_valve_is_taken_away_and_put_back(line, clock):
    """Without a batch size the rest leaves at once; a new one begins with a tranche of its own."""
    campaign = launched(700, batch_size=300, delay_period=600)
    campaigns.release(campaign, clock.now())
    campaigns.set_pace(campaign, batch_size=None, delay_period=0)
    campaigns.release(campaign, clock.now())

    campaigns.set_pace(campaign, batch_size=10, delay_period=600)

    assert waiting(campaign) < 700
    assert release(campaign, clock.now()) == 0  # the tranche before is still in the outbox


def test_other_texts_of_the_outbox_do_not_shut_the_valve(line, clock):
    """A tranche waits for its own campaign only."""
    queued(line.senders.get(), 5, not_before=clock.now() + 1e6)

    assert release(launched(3, batch_size=3), clock.now()) == 3


@pytest.mark.parametrize("pace", [{"batch_size": 0, "delay_period": 1}, {"batch_size": 1, "delay_period": -1}])
def test_a_pace_that_cannot_be(line, pace):
    """A pace without sense is refused and changes nothing."""
    campaign = launched(1, batch_size=7, delay_period=8)

    with pytest.raises(CampaignError):
        campaigns.set_pace(campaign, **pace)

    campaign.refresh_from_db()
    assert (campaign.batch_size, campaign.delay_period) == (7, 8)


@pytest.mark.parametrize("state", [Campaign.State.FINISHED, Campaign.State.CANCELLED])
def test_a_campaign_that_is_over_has_no_pace(line, state):
    """Whose pace cannot matter any more is told so."""
    campaign = launched(1, batch_size=7)
    Campaign.objects.update(state=state)

    with pytest.raises(CampaignError, match=f"is {state}"):
        campaigns.set_pace(campaign, batch_size=8, delay_period=0)


# --- the property: whatever is done to it, everybody once -----------------------------------------------------

acts = st.one_of(
    st.tuples(st.just("pace"), st.sampled_from([None, 1, 2, 5]), st.sampled_from([0.0, 3.0, 10.0])),
    st.tuples(st.sampled_from(["pause", "resume", "send", "send", "send", "stop one"])),
    st.tuples(st.just("wait"), st.sampled_from([0.5, 3.0, 20.0])),
)


def test_whatever_is_done_to_the_pace_everybody_is_sent_to_once(line):
    """Over random changes of pace, pauses, opt-outs and cancels: each recipient has one row and one submit at most,
    no tranche is larger than the largest size, and in the end the account is exact.
    """
    campaign = launched(12, batch_size=3, delay_period=5)
    numbers = list(campaign.messages.values_list("to", flat=True))

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(plan=st.lists(acts, max_size=12), ending=st.sampled_from(["finish", "cancel"]))
    def holds(plan, ending):
        with undone():
            clock, written, stopped = Clock(), [], iter(numbers[::-1])
            chores = Chores(clock)
            mine = Campaign.objects.get(pk=campaign.pk)

            def go_on():
                chores.round()
                written.extend(s.message.number for s in send(clock, line))

            for act, *values in plan:
                match act:
                    case "pace":
                        campaigns.set_pace(mine, batch_size=values[0], delay_period=values[1])
                    case "pause" if mine.state == Campaign.State.RUNNING:
                        campaigns.pause(mine)
                    case "resume" if mine.state == Campaign.State.PAUSED:
                        campaigns.resume(mine)
                    case "send":
                        before = len(written)
                        go_on()
                        assert mine.batch_size is None or len(written) - before <= 5
                        assert mine.state != Campaign.State.PAUSED or len(written) == before
                    case "stop one":
                        suppressions.add(next(stopped))
                    case "wait":
                        clock.at += values[0]
                mine.refresh_from_db()
                if mine.state == Campaign.State.FINISHED:
                    break
            if mine.state == Campaign.State.PAUSED:
                campaigns.resume(mine)
            if ending == "cancel" and mine.state == Campaign.State.RUNNING:
                campaigns.cancel(mine)
            for _ in range(40):
                go_on()
                mine.refresh_from_db()
                if mine.finished_at:
                    break
                clock.at += 10

            assert mine.finished_at is not None
            assert sorted(mine.messages.values_list("to", flat=True)) == sorted(numbers)
            assert len(written) == len(set(written))
            counts = statuses(mine)
            assert counts.pop(Status.ACCEPTED, 0) == len(written)
            assert set(counts) <= {Status.SUPPRESSED, Status.CANCELLED}
            assert ending == "cancel" or Status.CANCELLED not in counts

    holds()
