"""`queue_text`: not waited for, scheduled, part of the caller's transaction; and the command that sends it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction
from django.utils import timezone

from paceline.dispatcher import chores, embedded
from paceline.messaging import (
    Refused,
    SenderProblem,
    TextMessage,
    accounts,
    campaigns,
    lanes,
    outbox,
    queue_text,
    senders,
    suppressions,
)
from paceline.messaging.models import Sender
from paceline.sms.status import Status

from . import factories

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.contract]

OURS, THEIRS = "+12025550100", "+12125550123"
NINE = datetime(2026, 12, 1, 9, tzinfo=UTC)


@pytest.fixture
def dispatch(carrier, tmp_path):
    """`manage.py dispatch --until-idle`, bounded."""
    return lambda **options: call_command("dispatch", "--until-idle", data_dir=tmp_path, seconds=20, **options)


def test_queued_and_sent_by_the_command(carrier, dispatch):
    """The call returns at once; `manage.py dispatch --until-idle` sends, applies and stops."""
    message = queue_text("Doors open at 7", OURS, THEIRS)
    assert (message.status, message.simple_status, message.frm, message.to) == ("queued", "created", OURS, THEIRS)

    dispatch()

    (accept,) = carrier.accepts()
    message.refresh_from_db()
    assert (accept.reference, message.status) == (message.reference, "accepted")


def test_scheduled(carrier, dispatch):
    """Not before its moment, which is an aware datetime in any zone; a claim at that moment takes it."""
    message = queue_text("See you tomorrow", OURS, THEIRS, at=timezone.now() + timedelta(hours=1))

    dispatch()
    assert not carrier.accepts()

    clock = factories.Clock(message.not_before - 0.001)
    lane = Sender.objects.get()
    Sender.objects.update(next_free_at=0)
    assert outbox.claim(lane.account_id, clock) == []
    clock.at = message.not_before
    assert [lease.id for lease in outbox.claim(lane.account_id, clock)] == [message.pk]


@pytest.mark.parametrize("name", ["at", "expires_at"])
def test_a_naive_datetime_is_refused(carrier, name):
    """Nobody can know which moment it names; the error says what to write instead."""
    with pytest.raises(ValueError, match=rf"{name} has no time zone.*make_aware\({name}\).*ZoneInfo"):
        queue_text("Hi", OURS, THEIRS, **{name: NINE.replace(tzinfo=None)})

    assert not TextMessage.objects.exists()


def test_a_rollback_takes_it_back(carrier):
    """Queued in a transaction it is a part of it: rolled back it was never there, committed it is."""
    for fate in (RuntimeError, None):
        try:
            with transaction.atomic():
                queue_text("Your order is on its way", OURS, THEIRS)
                if fate:
                    raise fate
        except RuntimeError:
            pass

    assert TextMessage.objects.count() == 1


def test_how_long_it_is_good(carrier):
    """`valid_for` counts from `at`; both ways of saying it are one too many, and so is one before it may leave."""
    message = queue_text("Hi", OURS, THEIRS, at=NINE, valid_for=timedelta(minutes=5))
    assert message.expires_at == NINE + timedelta(minutes=5)

    with pytest.raises(ValueError, match="not both"):
        queue_text("Hi", OURS, THEIRS, expires_at=NINE, valid_for=timedelta(minutes=5))
    with pytest.raises(ValueError, match="expired before"):
        queue_text("Hi", OURS, THEIRS, at=NINE, expires_at=NINE)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("Hi", OURS, "call me"), "invalid_number"),
        (("Hi", "An Endless Name", THEIRS), "invalid_sender"),
        (("", OURS, THEIRS), "empty_text"),
    ],
)
def test_what_can_never_be_sent_is_refused_at_once(carrier, arguments, code):
    """Nothing is queued that could not leave."""
    with pytest.raises(Refused) as refused:
        queue_text(*arguments)

    assert refused.value.code == code
    assert not TextMessage.objects.exists()


def test_a_removed_sender_queues_nothing(carrier):
    """It is an error at the call, not a text that waits for ever."""
    senders.remove(senders.add(accounts.get(), OURS)[0])

    with pytest.raises(SenderProblem, match="removed"):
        queue_text("Hi", OURS, THEIRS)


def test_the_wish_for_a_report_goes_along(carrier, line, lane, clock):
    """`status_report=False` is still known when the message reaches the wire."""
    wishes = [queue_text("Hi", OURS, THEIRS, status_report=wish) for wish in (True, False)]
    Sender.objects.update(next_free_at=0)

    passed = factories.pass_gate(clock, line)

    assert {s.message.reference: s.message.report for s in passed} == {
        message.reference: wish for message, wish in zip(wishes, (True, False), strict=True)
    }


WAITS = {
    "a suppressed number": (lambda: suppressions.add(THEIRS), Status.SUPPRESSED),
    "a blocked sender": (lambda: lanes.block(Sender.objects.get(), "not registered"), Status.QUEUED),
    "a cap that is used up": (lambda: Sender.objects.update(daily_cap=0), Status.QUEUED),
}


@pytest.mark.parametrize("case", WAITS)
def test_the_command_stops_when_nothing_can_leave(carrier, dispatch, case):
    """What only a later day or a person can free does not keep `--until-idle` waiting."""
    message = queue_text("Hi", OURS, THEIRS)
    happens, status = WAITS[case]
    happens()

    dispatch()

    message.refresh_from_db()
    assert message.status == status
    assert not carrier.accepts()


def test_the_command_runs_a_campaign_to_its_end(carrier, dispatch):
    """Fan-out, tranches and the end are due work too; a pause between two tranches is not."""
    senders.add(accounts.get(), OURS, mps=None)
    campaign = factories.draft(7, batch_size=3, delay_period=0)
    campaigns.launch(campaign)

    dispatch()

    campaign.refresh_from_db()
    assert campaign.state == "finished"
    assert len(carrier.accepts()) == 7
    slow = campaigns.launch(factories.draft(4, batch_size=3, delay_period=3600))
    dispatch()
    assert factories.statuses(slow) == {"accepted": 3, "held": 1}
    assert not chores.is_anything_due(timezone.now().timestamp())


def test_one_dispatcher_at_a_time(carrier, dispatch, tmp_path):
    """A second one on the same folder says so instead of working beside the first."""
    with embedded.only_one(tmp_path), pytest.raises(CommandError, match="Another dispatcher"):
        dispatch()
