"""An account whose provider is away: it rests and asks with one text, and nobody's tries are spent."""

from __future__ import annotations

import pytest

from paceline.messaging import breaker, lanes, outbox
from paceline.messaging.models import Account, TextMessage
from paceline.sms import errors
from paceline.sms.status import Status

from .factories import accept, pass_gate, queued, send, sender
from .factories import account as another

pytestmark = [pytest.mark.django_db, pytest.mark.contract]


def refused(message):
    return errors.Unavailable("connection refused", code="ECONNREFUSED")


def broken(message):
    return errors.Uncertain("HTTP status 500")


def rested(clock):
    """When the account may try again."""
    clock.at = max(clock.at, Account.objects.get(alias="default").backoff_until)


@pytest.fixture
def tripped(line, lane, clock):
    """An account that has just had as many troubles in a row as trip it; 20 texts wait."""
    queued(lane, 20)
    send(clock, line, refused)
    return Account.objects.get()


def test_so_many_troubles_in_a_row(tripped, clock):
    """The account rests for a second, whatever was on its way besides; the operator can read why."""
    assert breaker.is_open(tripped)
    assert tripped.backoff_until == clock.now() + breaker.FIRST_PAUSE_SECONDS
    assert tripped.tripped_at == clock.now()
    assert "10 submits in a row came to nothing" in breaker.in_words(tripped, clock.now())


def test_nobody_is_burnt_while_it_is_open(tripped, line, lane, clock):
    """However long the provider is away: one text asks at a time, at growing distances, and none has failed."""
    asked, pauses = [], []
    for _ in range(30):
        began = clock.now()
        rested(clock)
        pauses.append(clock.now() - began)
        asked.append(len(send(clock, line, refused)))

    assert asked == [1] * 30
    assert pauses[:6] == [1, 2, 4, 8, 16, 32]
    assert max(pauses) == breaker.LONGEST_PAUSE_SECONDS
    assert set(TextMessage.objects.values_list("status", "tries")) <= {(Status.QUEUED, 0), (Status.QUEUED, 1)}


def test_one_clear_answer_closes_it(tripped, line, clock):
    """All that waited leaves, each once."""
    rested(clock)
    assert len(send(clock, line, accept)) == 1

    assert not breaker.is_open(Account.objects.get())
    assert len(send(clock, line, accept)) == 19
    assert set(TextMessage.objects.values_list("status", flat=True)) == {Status.ACCEPTED}


@pytest.mark.parametrize("answer", [errors.Refused("a bad number"), errors.Throttled("slow down", retry_after=0)])
def test_a_no_is_clear_too(tripped, line, clock, answer):
    """Whatever a provider says of one text, it is there."""
    rested(clock)
    send(clock, line, lambda message: answer)

    assert not breaker.is_open(Account.objects.get())


def test_while_its_probe_is_on_its_way_nobody_else_asks(tripped, line, lane, clock):
    """Over all senders of the account, also for a text that jumps the queue."""
    queued(sender(line, mps=None), 5)
    rested(clock)

    assert len(pass_gate(clock, line)) == 1
    assert outbox.claim(line.pk, clock) == []
    direct = outbox.compose("Hi", lane, "+12125550123")
    assert isinstance(outbox.reserve(direct, clock), float)


def test_what_was_on_its_way_when_it_opened_lengthens_nothing(line, lane, clock):
    """Two hundred submits of one moment are one lesson."""
    queued(lane, 200)

    passed = pass_gate(clock, line)
    for submission in passed:
        outbox.settle([outbox.Outcome(submission.lease, refused(None), clock.now())])

    account = Account.objects.get()
    assert len(passed) == 200
    assert account.backoff_until == clock.now() + breaker.FIRST_PAUSE_SECONDS


def test_troubles_between_answers_are_everyday(line, lane, clock):
    """Nine in a row, again and again: the account goes on."""
    for _ in range(5):
        queued(lane, breaker.TRIP_AFTER - 1)
        send(clock, line, broken)
        queued(lane)
        TextMessage.objects.filter(status=Status.UNCERTAIN).update(status=Status.DELIVERED)
        lanes.heard(lane.pk, uncertain=False)
        rested(clock)
        send(clock, line, accept)

    assert Account.objects.get().trouble_streak == 0


def test_a_burst_of_errors_over_many_lanes(line, clock):
    """500 after 500: before each lane has had its three, the account rests; no more than that is uncertain."""
    for _ in range(20):
        queued(sender(line, mps=1), 10)

    for _ in range(10):
        send(clock, line, broken)

    assert breaker.is_open(Account.objects.get())
    assert TextMessage.objects.filter(status=Status.UNCERTAIN).count() <= 20
    assert not TextMessage.objects.filter(status=Status.FAILED).exists()


def test_another_account_does_not_notice(tripped, clock):
    """One provider's outage is its own."""
    other = another(alias="other")
    queued(sender(other, mps=None), 5)

    assert len(send(clock, other, accept)) == 5


def test_an_outcome_settled_twice(line, lane, clock):
    """As after a commit whose answer was lost: the rows say the same, and nobody has lost a try."""
    answers = [accept, refused, broken, lambda m: errors.Refused("no"), lambda m: errors.Throttled("slow")]
    queued(lane, len(answers))
    passed = pass_gate(clock, line)
    outcomes = [
        outbox.Outcome(s.lease, answer(s.message), clock.now()) for s, answer in zip(passed, answers, strict=True)
    ]

    outbox.settle(outcomes)
    once = list(TextMessage.objects.order_by("pk").values())
    outbox.settle(outcomes)

    assert list(TextMessage.objects.order_by("pk").values()) == once
