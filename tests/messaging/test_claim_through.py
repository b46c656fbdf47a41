"""Where nothing limits, claim and gate are one transaction: does everything that the gate looks at still hold?"""

import pytest

from paceline.messaging import outbox, suppressions, turns
from paceline.messaging.models import Campaign, TextMessage
from paceline.sms.messages import Accepted
from paceline.sms.status import Status

from .factories import NOON, queued, running, sender, settle, statuses

pytestmark = [pytest.mark.django_db, pytest.mark.contract]


def status_of(text):
    return TextMessage.objects.get(pk=text.pk).status


def test_what_no_limit_holds_up_may_be_written_at_once(line, lane, clock):
    """One commit: the texts are submitting under one attempt, in the order of a claim, and their answers count."""
    bulk = queued(lane, 3, campaign=running())
    (code,) = queued(lane)

    claimed = outbox.claim_through(line.pk, clock)

    assert (list(claimed.leases), claimed.taken, len(claimed.passed)) == ([], 4, 4)
    rows = TextMessage.objects.filter(status=Status.SUBMITTING)
    assert {(row.slot_at, row.submitted_at, row.lease_until) for row in rows} == {
        (NOON, NOON, NOON + outbox.SUBMIT_LEASE_SECONDS)
    }
    assert {row.attempt for row in rows} == {claimed.passed[0].lease.attempt} != {""}
    for submission in claimed.passed:
        settle(submission.lease, Accepted("1"), clock)
    assert {status_of(text) for text in (*bulk, code)} == {Status.ACCEPTED}


def test_a_limit_wants_a_slot(line, lane, clock):
    """One lane with a rate and the account's claim makes leases, for the gate in their time."""
    queued(lane, 2)
    queued(sender(line, mps=10), 2)

    claimed = outbox.claim_through(line.pk, clock)

    assert (len(claimed.leases), list(claimed.passed)) == (4, [])
    assert not TextMessage.objects.filter(status=Status.SUBMITTING).exists()


def test_the_gate_s_look_is_not_left_out(line, lane, clock):
    """Suppressed and expired texts end, a paused campaign's are not taken, a sender's cap is kept; nobody is lost."""
    stopped, _, _ = texts = queued(lane, 3)
    suppressions.add(stopped.to)
    paused = queued(lane, 2, campaign=Campaign.objects.create(name="p", text="Hi", state=Campaign.State.PAUSED))
    capped = queued(sender(line, mps=None, daily_cap=1), 3)

    claimed = outbox.claim_through(line.pk, clock)

    assert status_of(stopped) == Status.SUPPRESSED
    assert {status_of(text) for text in texts[1:]} == {Status.SUBMITTING}
    assert {status_of(text) for text in paused} == {Status.QUEUED}
    assert sorted(status_of(text) for text in capped) == [Status.QUEUED, Status.QUEUED, Status.SUBMITTING]
    assert len(claimed.passed) == 3


def test_cancelled_between_the_two_looks(line, lane, clock, monkeypatch):
    """A campaign that is cancelled after its texts were chosen: none of them passes."""
    campaign = running()
    queued(lane, 2, campaign=campaign)
    choose = turns.at_once

    def cancelled(*args):
        Campaign.objects.update(state=Campaign.State.CANCELLED)
        return choose(*args)

    monkeypatch.setattr(turns, "at_once", cancelled)

    assert outbox.claim_through(line.pk, clock).passed == []
    assert statuses(campaign) == {Status.CANCELLED: 2}


def test_killed_behind_it(line, lane, clock):
    """What may have left is uncertain when its lease is over, and never queued."""
    (text,) = queued(lane)
    outbox.claim_through(line.pk, clock)

    assert outbox.recover(clock.now() + 1) == (0, 0)
    assert outbox.recover(clock.now() + outbox.SUBMIT_LEASE_SECONDS + 1) == (0, 1)
    assert status_of(text) == Status.UNCERTAIN
