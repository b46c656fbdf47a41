"""The database's clock is set by an hour: nothing waits an hour for it, and nothing is believed too early."""

import time

import pytest

from paceline.dispatcher.chores import Chores
from paceline.messaging import caps, clock, engine, outbox, reconcile, stepped
from paceline.messaging.clock import Clock
from paceline.messaging.models import Account, Sender, TextMessage
from paceline.sms.errors import Throttled, Unavailable, Uncertain
from paceline.sms.status import Status

from . import factories
from .factories import event, launched, pass_gate, queued, send, settle

pytestmark = [pytest.mark.django_db, pytest.mark.contract]

HOUR = 3600.0


def put_back(clock):
    """The clock is put back, and the process that does the chores has noticed."""
    clock.at -= HOUR
    clock.times_set += 1


@pytest.mark.parametrize("answer", [Throttled("429", retry_after=20), Unavailable("nobody there")])
def test_a_back_off_ends(line, lane, clock, answer):
    """What was to wait for seconds goes on within the next rounds, message and lane."""
    chores = Chores(clock)
    queued(lane)
    (submission,) = pass_gate(clock, line)
    settle(submission.lease, answer, clock)
    assert not outbox.claim(line.pk, clock)

    put_back(clock)
    chores.round()
    clock.at += 1

    assert len(outbox.claim(line.pk, clock)) == 1


def test_a_breaker_asks_again(line, lane, clock):
    """An account that paused for a minute does not pause for an hour."""
    Account.objects.update(backoff_until=clock.at + 60, trouble_streak=20)
    queued(lane)
    put_back(clock)

    Chores(clock).round()

    assert len(outbox.claim(line.pk, clock)) == 1


def test_a_lesson_of_the_old_clock_is_forgotten_in_time(line, clock):
    """A lane that a 429 has slowed recovers by steps from now on, not in an hour."""
    lane = factories.sender(line, mps=10.0, slowdown=0.5, slowed_at=clock.at)
    put_back(clock)

    Chores(clock).round()

    lane.refresh_from_db()
    assert lane.slowed_at == pytest.approx(clock.at)


def test_a_rest_that_is_not_over_stays(line, lane, clock):
    """The same look at a clock that nobody has set changes nothing."""
    queued(lane)
    (submission,) = pass_gate(clock, line)
    settle(submission.lease, Throttled("429", retry_after=1800), clock)
    clock.at += 60

    assert stepped.catch_up(clock.at) == 0
    assert not outbox.claim(line.pk, clock)


def test_what_people_put_off_stays_put_off(lane, clock):
    """A text for later leaves later by the calendar, whatever the clock."""
    queued(lane, not_before=clock.at + 2 * HOUR)
    put_back(clock)

    assert stepped.catch_up(clock.at) == 0
    assert TextMessage.objects.get().not_before == clock.at + 3 * HOUR


def test_a_cap_of_the_day_ends_at_midnight_of_the_new_clock(lane, clock):
    """Put back over a midnight, it does not last for a day more."""
    until = caps.midnight(clock.at)
    queued(lane, not_before=until, code=caps.RECIPIENT, reason="This number has had its text of today")
    day_before = clock.at - 24 * HOUR

    stepped.catch_up(day_before)

    assert TextMessage.objects.get().not_before == caps.midnight(day_before) == until - 24 * HOUR


def test_the_next_tranche_does_not_wait_for_the_old_clock(line, lane, clock):
    """The last submit lies an hour ahead: the next tranche begins, and the one after it waits its seconds again."""
    campaign = launched(6, batch_size=2, delay_period=30)
    chores = Chores(clock)
    chores.round()
    assert len(send(clock, line)) == 2

    put_back(clock)
    sent = []
    for _ in range(20):
        chores.round()
        sent += [(clock.at, each) for each in send(clock, line)]
        clock.at += 2

    assert len(sent) == 4
    assert sent[2][0] - sent[1][0] >= 30
    assert campaign.messages.filter(status=Status.HELD).count() == 0


def test_a_report_without_its_message_is_tried_again(clock):
    """It is applied as soon as the message is known, by the new clock."""
    waiting = event(next_try_at=clock.at + 2)
    put_back(clock)

    stepped.catch_up(clock.at)

    waiting.refresh_from_db()
    assert waiting.next_try_at <= clock.at + stepped.AHEAD_SECONDS


@pytest.fixture
def uncertain(line, lane, clock, settings):
    """A text of which nobody knows, and a provider that is to be asked about it in a minute."""
    options = {"api_key": "key", "api_secret": "no-secret", "base_url": "http://127.0.0.1:9"}
    entry = {"BACKEND": "paceline.sandbox.provider.VonageWithLookup", "OPTIONS": options}
    settings.PACELINE = {"PROVIDERS": {"default": entry}, "REGION": "US", "SETTLE_SECONDS": 60.0}
    reconcile.accounts.provider.cache_clear()
    queued(lane)
    (submission,) = pass_gate(clock, line)
    settle(submission.lease, Uncertain("no answer"), clock)
    reconcile._schedule(clock.at)
    yield TextMessage.objects.get()
    reconcile.accounts.provider.cache_clear()


def test_a_look_up_does_not_wait_for_the_old_clock(uncertain, clock):
    """It is asked about after the settle time by the new one."""
    put_back(clock)

    stepped.catch_up(clock.at)

    uncertain.refresh_from_db()
    assert uncertain.look_up_at == pytest.approx(clock.at + 60)


def test_a_clock_put_on_proves_nothing_absent(uncertain, clock):
    """The settle time has not passed because the clock says so: it begins again."""
    chores = Chores(clock)
    chores.round()
    clock.at += HOUR
    clock.times_set += 1

    chores.round()

    uncertain.refresh_from_db()
    assert uncertain.look_up_at == pytest.approx(clock.at + 60)
    assert uncertain.look_ups == 0


@pytest.mark.parametrize("seconds", [-HOUR, HOUR])
def test_a_clock_that_was_set_is_noticed(monkeypatch, seconds):
    """At the next look, once; what a slow answer moves is not."""
    step = 0.0
    monkeypatch.setattr(clock.engine, "now", lambda: time.time() + step)
    ours = Clock()
    ours.sync()
    ours.sync()
    assert ours.times_set == 0

    step = seconds
    ours.sync()
    ours.sync()

    assert ours.times_set == 1
    assert ours.now() == pytest.approx(engine.now(), abs=0.1)


def test_lanes_that_nobody_slowed_are_left_alone(line, clock):
    """A look changes no row of a lane at rest."""
    lane = factories.sender(line, mps=1.0)
    stepped.catch_up(clock.at)

    assert Sender.objects.get(pk=lane.pk).slowed_at == lane.slowed_at
