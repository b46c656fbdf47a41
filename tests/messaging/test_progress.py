"""How far is a campaign, and what holds it back? The account is exact at every moment of its life."""

from datetime import timedelta

import pytest
from django.utils import timezone

from paceline.messaging import accounts, campaigns, engine, lanes, progress, senders, suppressions
from paceline.messaging.models import Account, Campaign, Sender, TextMessage
from paceline.sms import errors
from paceline.sms.status import Status

from .factories import (
    Clock,
    audience,
    draft,
    fanned_out,
    launched,
    number,
    pass_gate,
    people,
    send,
    sender,
    settle,
)

pytestmark = [pytest.mark.django_db, pytest.mark.contract]


@pytest.fixture
def clock():
    """The database's time, since progress is about now."""
    return Clock(engine.now())


def of(campaign):
    """The progress of a campaign as the database has it."""
    return progress.of(Campaign.objects.get(pk=campaign.pk))


# --- the account ----------------------------------------------------------------------------------------------


def test_everybody_is_accounted_for_from_draft_to_end(line, clock):
    """At every step the total is the audience, each in one status; waiting goes down as submitted goes up."""
    sender(line, mps=None)
    guests = audience(people(250))
    campaign = campaigns.create("Opening night", "Hi", list=guests, numbers=[number(i) for i in range(50)])
    suppressions.add(number(7))
    seen = [of(campaign)]

    campaigns.launch(campaign)
    while campaigns.fan_out(campaign):
        seen.append(of(campaign))
    while campaigns.release(campaign, clock.now()):
        seen.append(of(campaign))
    pass_gate(clock, line)
    seen.append(of(campaign))

    assert {p.total for p in seen} == {300}
    assert all(sum(p.counts.values()) == 300 for p in seen)
    assert [p.waiting for p in seen] == sorted((p.waiting for p in seen), reverse=True)
    last = seen[-1]
    assert (last.waiting, last.submitted, last.done) == (0, 299, 1.0)
    assert last.counts == {Status.SUBMITTING: 299, Status.SUPPRESSED: 1}


@pytest.mark.parametrize("scheduled", [False, True])
def test_who_came_onto_the_list_later_is_not_counted(line, scheduled):
    """From the launch on the audience is frozen, though nobody has a row yet."""
    sender(line)
    later = timezone.now() + timedelta(hours=1) if scheduled else None
    campaign = campaigns.launch(draft(3, scheduled_at=later))

    audience(people(2), name=campaign.list.name)

    assert of(campaign).total == 3


def test_a_draft_counts_its_list_as_it_is(line):
    """Before the launch the list may still grow."""
    campaign = draft(3)

    audience(people(2), name=campaign.list.name)

    assert of(campaign).total == 5


def test_each_senders_share(line, clock):
    """What each sender has submitted and what still waits for it, with the pace that holds for it now."""
    fast, slow = sender(line, mps=4), sender(line, mps=2)
    campaign = launched(10)
    campaigns.release(campaign, clock.now())
    sent = send(clock, line)
    lanes.throttle(slow.pk, engine.now(), None)

    shares = {share.number: share for share in of(campaign).senders}

    for lane in (fast, slow):
        mine = sum(s.message.sender == lane.number for s in sent)
        assert (shares[lane.number].submitted, shares[lane.number].waiting) == (mine, 5 - mine)
    assert (shares[fast.number].limit, shares[slow.number].limit) == (4, pytest.approx(1.4))
    assert (shares[fast.number].learned, shares[slow.number].learned) == (1.0, 0.7)


@pytest.mark.parametrize(
    ("rates", "ceiling", "limit"),
    [([1, 1, 1], None, 3), ([10, 10], 12, 12), ([None, 1], None, None), ([None, 1], 30, 30)],
)
def test_the_limit_of_all_together(line, rates, ceiling, limit):
    """The senders' rates add up, to what the account allows; one without a limit leaves only the account's."""
    Account.objects.update(mps=ceiling)
    for rate in rates:
        sender(line, mps=rate)

    assert of(launched(6)).limit == limit


def test_the_rate_is_of_the_last_ten_seconds(line):
    """Submits of the last 10 s, per second; older ones and those still to come do not count."""
    sender(line)
    campaign = launched(30)
    now = engine.now()
    for i, text in enumerate(campaign.messages.all()):
        TextMessage.objects.filter(pk=text.pk).update(submitted_at=now - i + 0.5 + 3)

    assert of(campaign).rate == pytest.approx(1, abs=0.1)


def test_the_time_that_is_left(line):
    """The slowest lane's queue at its pace, and the valve's delays; none while it is blocked or not running."""
    lane = sender(line, mps=1)
    campaign = launched(100)
    assert of(campaign).eta_seconds == pytest.approx(103)

    campaigns.set_pace(campaign, batch_size=25, delay_period=60)
    assert of(campaign).eta_seconds == pytest.approx(103 + 4 * 60)

    lanes.block(lane, "not registered")
    assert of(campaign).eta_seconds is None
    lanes.unblock(line)
    campaigns.pause(campaign)
    assert of(campaign).eta_seconds is None


def test_json_is_plain(line):
    """`as_json` holds nothing that JSON has no word for."""
    import json

    sender(line)

    plain = of(launched(3)).as_json()

    assert json.loads(json.dumps(plain)) == plain
    assert plain["done"] == 0


def test_many_campaigns_on_a_page(line, clock, django_assert_max_num_queries):
    """An overview says the same counts as each campaign's own account, and asks once for all that have ended."""
    sender(line, mps=None)
    everything = []
    for _ in range(5):
        campaign = launched(4)
        campaigns.release(campaign, clock.now())
        first = pass_gate(clock, line)[0]
        settle(first.lease, errors.Refused("bad number"), clock)
        TextMessage.objects.filter(status=Status.SUBMITTING).update(status=Status.DELIVERED)
        everything.append(campaign)
    for campaign in everything:
        campaigns.finish(campaign)
    campaigns.cancel(launched(2))
    found = list(Campaign.objects.all())

    with django_assert_max_num_queries(2):
        page = progress.overview(found)

    for one, campaign in zip(page, found, strict=True):
        whole = of(campaign)
        assert (one.id, one.counts, one.total) == (whole.id, whole.counts, whole.total)
        assert (one.waiting, one.submitted, one.done) == (whole.waiting, whole.submitted, whole.done)


def test_throughput_second_by_second(line):
    """The last whole seconds, oldest first, those without a submit too, up to the one that has ended."""
    sender(line)
    campaign = launched(6)
    for text, at in zip(campaign.messages.order_by("pk"), [90.2, 97.0, 97.999, 99.5, 100.0, 100.4], strict=True):
        TextMessage.objects.filter(pk=text.pk).update(submitted_at=at)

    assert progress.throughput(campaign, 4, now=100.5) == [(96, 0), (97, 2), (98, 0), (99, 1)]


# --- what holds it back ---------------------------------------------------------------------------------------


def test_when_the_valve_opens(line, clock):
    """The next tranche's moment is known when nothing but the delay is waited for."""
    sender(line, mps=None)
    campaign = launched(4, batch_size=2, delay_period=200)
    assert progress.next_tranche_at(campaign) is None
    campaigns.release(campaign, clock.now())
    assert progress.next_tranche_at(campaign) is None

    last = max(s.lease.slot_at for s in send(clock, line))

    assert progress.next_tranche_at(campaign) == pytest.approx(last + 200)
    said = progress.brakes(campaign, of(campaign))
    assert said[0].startswith("The next 2 leave in 3 min")
    assert said[0].endswith("tranches are 3 min 20 s apart.")


def _late(campaign, lane):
    Campaign.objects.update(started_at=timezone.now() - timedelta(minutes=5))


def _at_its_limit(campaign, lane):
    pks = campaign.messages.values_list("pk", flat=True)[:10]
    TextMessage.objects.filter(pk__in=list(pks)).update(status=Status.ACCEPTED, submitted_at=engine.now() - 1)


BRAKES = {
    "It is paused": lambda campaign, lane: campaigns.pause(campaign),
    "is blocked: not registered": lambda campaign, lane: lanes.block(lane, "not registered"),
    "has sent its 5 of today": lambda campaign, lane: Sender.objects.update(
        daily_cap=5, capped_count=5, capped_on=lanes.day(engine.now())
    ),
    "rests for 30 s": lambda campaign, lane: Sender.objects.update(backoff_until=engine.now() + 30),
    "goes at 70 % of its rate": lambda campaign, lane: Sender.objects.update(slowdown=0.7, slowed_at=engine.now()),
    "Some recipients have no sender": lambda campaign, lane: senders.remove(lane),
    "It runs at its limit: 1 sender may send 1 a second": _at_its_limit,
    "is a dispatcher running?": _late,
}


@pytest.mark.parametrize("says", BRAKES)
def test_what_holds_it_back(line, says):
    """One sentence for people, with the sender and the figure that count."""
    lane = sender(line)
    campaign = launched(20)
    BRAKES[says](campaign, lane)
    campaign.refresh_from_db()

    assert says in progress.brakes(campaign, of(campaign))[0]


def test_nothing_holds_it_back(line):
    """A campaign that has just begun, and one that is done, need no explanation."""
    sender(line)
    begun = launched(3)
    assert progress.brakes(begun, of(begun)) == []

    begun.messages.update(status=Status.DELIVERED)

    assert progress.brakes(begun, of(begun)) == []
    assert fanned_out(begun).state == Campaign.State.RUNNING


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (200, "3 min 20 s"),
        (3600, "1 h"),
        (7800, "2 h 10 min"),
        (90_000, "1 day 1 h"),
        (273_600, "3 days 4 h"),
        (-5, "0 s"),
    ],
)
def test_a_length_of_time_in_words(seconds, said):
    """At most two units, as people say it."""
    assert progress.in_words(seconds) == said


@pytest.mark.usefixtures("plain_provider")
def test_an_account_is_made_when_it_is_first_asked_for(settings):
    """The settings name providers; each has one row, which keeps its limit from then on."""
    settings.PACELINE["PROVIDERS"]["default"] = settings.PACELINE["PROVIDERS"]["default"] | {"MPS": 30}

    first, again = accounts.get(), accounts.get()

    assert (first.pk, first.mps, str(first)) == (again.pk, 30, "default")
