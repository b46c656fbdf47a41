"""What happens besides sending, by itself? Rounds of short steps that may be killed and repeated."""

from datetime import timedelta

import pytest
from django.utils import timezone

from paceline.dispatcher.chores import Chores
from paceline.messaging import campaigns, events, outbox
from paceline.messaging.models import Campaign, TextMessage
from paceline.sms.messages import WebhookRequest
from paceline.sms.status import Status

from .factories import account, draft, event, launched, queued, running, send, sender, statuses

pytestmark = [pytest.mark.django_db, pytest.mark.contract]


@pytest.fixture
def line():
    """An account with one sender without a limit."""
    line = account()
    sender(line, mps=None)
    return line


def rounds(chores):
    """Rounds until nothing waits to be done at once; answers how many were released."""
    released = 0
    while True:
        step = chores.round()
        released += step.released
        if not step.more:
            return released


def test_a_launch_is_all_that_people_do(line, clock):
    """From the launch on, rounds and claims bring a campaign to its end."""
    campaign = campaigns.launch(draft(450))
    chores = Chores(clock)

    assert rounds(chores) == 450
    assert len(send(clock, line)) == 450
    rounds(chores)

    campaign.refresh_from_db()
    assert (campaign.state, statuses(campaign)) == (Campaign.State.FINISHED, {Status.ACCEPTED: 450})


def test_a_round_killed_anywhere_is_made_up_for(line, clock):
    """Every round may be the last of its process: fresh ones, one after another, come to the same end."""
    campaign = campaigns.launch(draft(450, batch_size=200, delay_period=1))

    for _ in range(40):
        Chores(clock).round()
        send(clock, line)
        clock.at += 0.5

    campaign.refresh_from_db()
    assert (campaign.state, statuses(campaign)) == (Campaign.State.FINISHED, {Status.ACCEPTED: 450})


def test_a_scheduled_campaign_starts_within_a_second(line, clock):
    """What has come due is started by the next round that looks, once a second."""
    campaign = campaigns.launch(draft(3, scheduled_at=timezone.now() + timedelta(hours=1)))
    chores = Chores(clock)
    assert rounds(chores) == 0
    Campaign.objects.update(scheduled_at=timezone.now())

    clock.at += 1

    assert rounds(chores) == 3
    assert campaign.messages.count() == 3


@pytest.mark.parametrize("moves", [1.0, -7200.0], ids=["a second later", "after the clock was put back"])
def test_what_a_dead_dispatcher_left_is_found(line, clock, moves):
    """Leases that have ended go back to the queue, once a second, and also after the clock was stepped."""
    chores = Chores(clock)
    chores.round()
    text = queued(line.senders.get(), campaign=running())[0]
    outbox.claim(line.pk, clock)
    TextMessage.objects.update(lease_until=clock.now() - 1e5)

    clock.at += moves
    chores.round()

    text.refresh_from_db()
    assert text.status == Status.QUEUED


def test_what_a_clock_that_was_put_back_would_keep(line, clock):
    """Leased, it goes back; on the wire, it is uncertain: both within seconds, not after the hour that was put back."""
    queued(line.senders.get(), 2)
    leases = outbox.claim(line.pk, clock)
    outbox.gate(leases[:1], clock)

    clock.at -= 3600
    Chores(clock).round()

    assert sorted(TextMessage.objects.values_list("status", flat=True)) == [Status.QUEUED, Status.UNCERTAIN]


def test_no_final_word_is_found_too(line, clock):
    """Texts that were accepted days ago and never reported on become unconfirmed."""
    campaign = launched(1)
    campaign.messages.update(status=Status.ACCEPTED, submitted_at=1.0)

    Chores(clock).round()

    assert statuses(campaign) == {Status.UNCONFIRMED: 1}


def test_many_events_are_applied_one_round_after_another(line, clock, plain_provider):
    """More events than one round takes make it ask for another at once."""
    for i in range(events.APPLY_MOST):
        event(body=b"[]", query=str(i))
    events.store(events.Arrival("default", WebhookRequest("POST", "", {}, "", b"[ ]"), []))
    chores = Chores(clock)

    assert [chores.round().more for _ in range(3)] == [True, False, False]
