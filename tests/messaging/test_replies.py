"""A campaign that listens: what is released follows what the team has open, what it closes, and what may still come."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import accumulate, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline.messaging import campaigns, conversations, inbox, progress, replies
from paceline.messaging.campaigns import CampaignError
from paceline.messaging.models import BacklogSample, Conversation, Spell
from paceline.messaging.replies import ReplyPace
from paceline.sms.status import Status

from .factories import NOON, Clock, Plain, account, inbound, launched, send, sender

pytestmark = [pytest.mark.django_db, pytest.mark.contract, pytest.mark.usefixtures("plain_provider")]


@pytest.fixture
def clock():
    """The present: what comes in is stamped with it."""
    return Clock(datetime.now(UTC).timestamp())


@pytest.fixture
def lane():
    line = account()
    return sender(line, mps=None)


@pytest.fixture(autouse=True)
def forgotten():
    """What a process remembers about campaigns does not outlive a test's tables."""
    for memory in (replies._ask_at, replies._settled, replies._sampled):
        memory.clear()


def release(campaign, at):
    steps = []
    while step := campaigns.release(campaign, at):
        steps.append(step)
    return sum(steps)


def submit(campaign, clock, lane):
    """Everything that is in the outbox goes to the provider."""
    while campaign.messages.filter(status=Status.QUEUED).exists():
        send(clock, lane.account)


def answer(message, lane, text="Is there parking?"):
    event = inbound(text, message.to, lane.number, next_try_at=None)
    inbox.receive([(event, said) for said in Plain().events(event)])


def test_a_campaign_without_a_line_asks_nobody(lane, clock, django_assert_num_queries):
    """Nothing is reply-aware: the question costs no query and lets everybody through."""
    campaign = launched(250)

    with django_assert_num_queries(0):
        assert replies.has_room(campaign, clock.now())
    assert release(campaign, clock.now()) == 250


def test_the_first_tranche_is_what_the_line_bears(lane, clock):
    """A line of 6 and a guess of a fifth: a few are released; that they are submitted frees nobody."""
    campaign = launched(200, reply_pace=ReplyPace(line=6, guess=0.2))

    first = release(campaign, clock.now())
    submit(campaign, clock, lane)

    assert 0 < first <= 30
    assert release(campaign, clock.now() + 2) == 0
    assert campaign.messages.filter(status=Status.HELD).count() == 200 - first


def test_a_full_desk_holds_everything_and_a_closing_lets_on(lane, clock):
    """While the open conversations stand at the line nobody is released, whoever they come from; then they are."""
    others = launched(3)
    release(others, clock.now())
    submit(others, clock, lane)
    for message in others.messages.all():
        answer(message, lane)
    campaign = launched(50, reply_pace=ReplyPace(line=3, per_hour=600, guess=0.05))

    at_the_line = release(campaign, clock.now())
    said = progress.brakes(campaign, progress.of(campaign))
    for conversation in Conversation.objects.all():
        conversations.close(conversation)
    afterwards = release(campaign, clock.now() + 2)

    assert at_the_line == 0
    assert said == ["Waiting for the team: 3 of 3 conversations open."]
    assert afterwards > 0


def test_two_campaigns_share_the_teams_room(lane, clock):
    """What the first has on its way is room that the second does not get."""
    alone = launched(300, reply_pace=ReplyPace(line=10, guess=0.1))
    taken = release(alone, clock.now())
    beside = launched(300, reply_pace=ReplyPace(line=10, guess=0.1))

    second = release(beside, clock.now())

    assert second < taken / 2


def test_the_rate_is_learned_from_the_replies(lane, clock):
    """Half of the texts are answered where a fiftieth was guessed: the next ones wait."""
    pace = ReplyPace(line=20, per_hour=600, guess=0.02)
    campaign = launched(1000, reply_pace=pace)
    release(campaign, clock.now())
    submit(campaign, clock, lane)
    for message in campaign.messages.filter(status=Status.ACCEPTED).order_by("pk")[:40]:
        answer(message, lane)
    for conversation in Conversation.objects.all():
        conversations.close(conversation)
    naive = launched(1000, reply_pace=pace)
    seen = replies._seen(campaign, datetime.now(UTC).timestamp())

    assert sum(seen.replies) == 40
    assert release(campaign, clock.now() + 5) == 0
    assert seen.queued == 0
    assert naive.reply_rate_guess == 0.02


def test_batch_rules_hold_as_well(lane, clock):
    """A tranche is never more than `batch_size`, however much room the team has."""
    campaign = launched(100, batch_size=5, delay_period=60, reply_pace=ReplyPace(line=500, guess=0.01))

    assert release(campaign, clock.now()) == 5


def test_an_opt_out_is_no_work(lane, clock):
    """STOP opens no conversation: it takes no room and is no reply that somebody must answer."""
    campaign = launched(20, reply_pace=ReplyPace(line=50))
    release(campaign, clock.now())
    submit(campaign, clock, lane)
    answer(campaign.messages.filter(status=Status.ACCEPTED).first(), lane, "STOP")

    assert replies.backlog() == 0
    assert sum(replies._seen(campaign, datetime.now(UTC).timestamp()).replies) == 0


def test_a_change_acts_at_the_next_tranche(lane, clock):
    """A higher line lets on at once, without a pause; None waits for the team no more."""
    campaign = launched(400, reply_pace=ReplyPace(line=2, guess=0.2))
    first = release(campaign, clock.now())

    wider = campaigns.set_reply_pace(campaign, ReplyPace(line=30, guess=0.2))
    second = release(wider, clock.now())
    open_ = campaigns.set_reply_pace(wider, None)

    assert second > first
    assert not replies.is_aware(open_)
    assert release(open_, clock.now()) == 400 - first - second


@pytest.mark.parametrize(
    ("pace", "says"),
    [
        (ReplyPace(line=0), "line"),
        (ReplyPace(per_hour=0), "Replies per hour"),
        (ReplyPace(line=5, team_size=0), "team"),
        (ReplyPace(line=5, guess=1.5), "guess"),
        (ReplyPace(line=5, hours="nine to five"), "office hours"),
        (ReplyPace(guess=0.1), "Say how many"),
    ],
)
def test_what_cannot_be_kept_is_refused(pace, says):
    """A sentence says what to write instead, and no draft is made."""
    with pytest.raises(CampaignError, match=says):
        campaigns.create("Opening night", "Doors open at 7", numbers=["+12065550100"], reply_pace=pace)


def test_a_rate_alone_makes_a_line():
    """What the team closes in 20 minutes, and never less than one for each of them."""
    three = campaigns.create("a", "Hi", reply_pace=ReplyPace(per_hour=60, team_size=3))
    slow = campaigns.create("b", "Hi", reply_pace=ReplyPace(per_hour=1, team_size=4))

    assert replies.line(three) == 60
    assert replies.line(slow) == 4


def test_the_curve_is_recorded_when_it_changes(lane, clock):
    """One sample while nothing changes, one more with the next change, never two within five seconds."""
    campaign = launched(40, reply_pace=ReplyPace(line=10, guess=0.2))
    release(campaign, clock.now())
    submit(campaign, clock, lane)

    moments = [replies.record(clock.now() + seconds) for seconds in (0, 1, 6, 12)]
    answer(campaign.messages.filter(status=Status.ACCEPTED).first(), lane)
    moments += [replies.record(clock.now() + seconds) for seconds in (13, 19)]

    assert moments == [1, 0, 0, 0, 1, 0]
    assert [(row.backlog, row.line) for row in replies.curve(campaign)] == [(0, 10), (1, 10)]
    assert BacklogSample.objects.filter(campaign=campaign).count() == 2


def test_a_curve_costs_the_same_however_long_the_campaign_runs(lane, clock):
    """A week of samples: some hundreds stay, over all of it, with every day's peak, the first one and the last."""
    campaign = launched(1, reply_pace=ReplyPace(line=60))
    begin, peaks = clock.now() - 7 * 86_400, {}
    for hour in range(0, 7 * 24, 2):
        rows = [(begin + 3600 * hour + 20 * i, (hour * 7 + i) % 41) for i in range(360)]
        if hour % 24 == 12:
            rows[177] = rows[177][0], 1000 + hour
            peaks[hour] = 1000 + hour
        BacklogSample.objects.bulk_create(
            BacklogSample(
                campaign=campaign, at=datetime.fromtimestamp(at, UTC), released=hour, backlog=backlog, line=60
            )
            for at, backlog in rows
        )
        replies._thin(campaign)

        assert BacklogSample.objects.filter(campaign=campaign).count() <= replies.SAMPLES_MOST
    curve = replies.curve(campaign)

    assert len(curve) > 200
    assert [each.backlog for each in curve if each.backlog >= 1000] == list(peaks.values())
    assert (curve[0].at.timestamp(), curve[-1].at.timestamp()) == pytest.approx((begin, rows[-1][0]))
    gaps = [(later.at - earlier.at).total_seconds() for earlier, later in pairwise(curve)]
    assert max(gaps) < 2 * 7 * 86_400 / 240


@given(st.lists(st.tuples(st.integers(1, 400), st.integers(0, 9)), min_size=3, max_size=200), st.data())
def test_two_who_thin_at_once_leave_every_stretch_its_peak(steps, data):
    """Each knows the samples up to another moment."""
    moments = [NOON + at for at in accumulate(5.0 * seconds for seconds, _ in steps)]
    rows = [(at, backlog, pk) for pk, (at, (_, backlog)) in enumerate(zip(moments, steps, strict=True))]
    known = data.draw(st.integers(2, len(rows)))

    gone = {*replies.not_peaks(rows), *replies.not_peaks(rows[:known])}

    left = [row for row in rows if row[2] not in gone]
    assert max(backlog for _, backlog, _ in left) == max(backlog for _, backlog, _ in rows)
    assert {pk for _, _, pk in rows} - set(replies.not_peaks(rows)) <= {pk for _, _, pk in left}


def test_what_the_team_closed_is_learned(lane, clock):
    """Two closings in the two minutes in which there was work, read from the record of the conversations."""
    campaign = launched(5, reply_pace=ReplyPace(line=50))
    release(campaign, clock.now())
    submit(campaign, clock, lane)
    for message in campaign.messages.all()[:2]:
        answer(message, lane)
    now = clock.now() + 120
    for conversation in Conversation.objects.all():
        conversations.close(conversation, at=datetime.fromtimestamp(now, UTC))

    seen = replies._lately(now + 600, None)

    assert Spell.objects.count() == 2
    assert seen.closed == 2
    assert 100 < seen.busy_seconds < 140
