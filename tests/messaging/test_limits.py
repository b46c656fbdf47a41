"""Does every limit hold, each at its own place in the tree, and is no slot of another wasted? And do the caps?"""

import random
from decimal import Decimal
from itertools import pairwise

import pytest
from django.conf import settings as django_settings
from django.db import connection
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from paceline.messaging import accounts, campaigns, caps, engine, lanes, outbox, progress
from paceline.messaging.models import Account, Campaign, Limit, Sender, TextMessage
from paceline.messaging.outbox import Missed, Outcome
from paceline.sms import errors, pacing
from paceline.sms.status import Status

from .factories import (
    NOON,
    Clock,
    account,
    on_threads,
    pass_gate,
    people,
    queued,
    running,
    send,
    sender,
    undone,
)

pytestmark = [pytest.mark.django_db, pytest.mark.contract]

STEP = 1.03
DAY = 24 * 3600
SEGMENT = Limit.Unit.SEGMENT


def set_of(row, **changes):
    type(row).objects.filter(pk=row.pk).update(**changes)


def now_of(row):
    row.refresh_from_db()
    return row


def to_one(person, lane, how_many, **fields):
    """Texts that wait, all to one person."""
    found = queued(lane, how_many, **fields)
    TextMessage.objects.filter(pk__in=[text.pk for text in found]).update(contact=person, to=person.number)
    return found


def claims(clock, of, seconds, every=0.5):
    """[(slot, message)] of claims one after another."""
    found = []
    for _ in range(round(seconds / every)):
        for each in of:
            found += outbox.claim(each.pk, clock)
        clock.at += every
    texts = TextMessage.objects.in_bulk([lease.id for lease in found])
    return sorted(((lease.slot_at, texts[lease.id]) for lease in found), key=lambda pair: pair[0])


# --- the tree of rates ----------------------------------------------------------------------------------------


def test_a_slow_campaign_wastes_nobodys_slots(clock):
    """A campaign at 1/s on a sender at 10/s leaves the sender's other slots to others, and its own are spread."""
    line = account(mps=12)
    lane = sender(line, mps=10)
    slow, other = running(), running()
    set_of(slow, mps=1, next_free_at=0)
    queued(lane, 50, slow)
    queued(lane, 100, other)

    found = claims(clock, [line], seconds=5)
    of_slow = [at for at, text in found if text.campaign_id == slow.pk]

    assert {round(b[0] - a[0], 6) for a, b in pairwise(found)} == {0.103}
    assert len(of_slow) == 5
    assert all(b - a >= STEP - 1e-6 for a, b in pairwise(of_slow))


def test_single_texts_overtake_a_campaign_that_waits_for_its_limit(clock):
    """What a campaign's limit holds back holds up nobody behind it."""
    line = account()
    lane = sender(line, mps=10)
    slow = running()
    set_of(slow, mps=0.01, next_free_at=NOON + 0.1)
    queued(lane, 5, slow)
    single = queued(lane, 3, priority=90)

    assert {lease.id for lease in outbox.claim(line.pk, clock)} >= {text.pk for text in single}


def test_a_campaigns_limit_holds_over_accounts_and_senders(clock):
    """Two accounts with three senders each share a campaign's five a second."""
    lines = [account(), account(alias="other")]
    campaign = running()
    set_of(campaign, mps=5, next_free_at=0)
    for line in lines:
        for _ in range(3):
            queued(sender(line, mps=50), 20, campaign)

    found = [at for at, _ in claims(clock, lines, seconds=6)]

    assert {round(b - a, 6) for a, b in pairwise(found)} == {0.206}


@pytest.mark.django_db(transaction=True)
def test_a_campaigns_limit_holds_over_claims_at_once():
    """Six workers that claim for two accounts at the same moment keep the campaign's distance between all slots."""
    lines = [account(), account(alias="other")]
    campaign = running()
    set_of(campaign, mps=8, next_free_at=0)
    for line in lines:
        queued(sender(line, mps=None), 60, campaign)

    answers = []
    for later in (0, 0.2, 0.6):  # all on one clock, as the database's is
        answers += on_threads(6, lambda i, at=NOON + later: outbox.claim(lines[i % 2].pk, Clock(at)))

    assert not [answer for answer in answers if isinstance(answer, Exception)]
    found = sorted(lease.slot_at for leases in answers for lease in leases)
    assert len(found) >= 4
    assert all(b - a >= STEP / 8 - 1e-6 for a, b in pairwise(found))


def test_send_text_keeps_to_the_same_tree(clock):
    """A text past the dispatchers takes its slot on its campaign's limit too."""
    line = account()
    campaign = running()
    set_of(campaign, mps=2, next_free_at=NOON + 0.3)
    text = queued(sender(line, mps=None), 1, campaign)[0]

    lease = outbox.reserve(text, clock)

    assert lease.slot_at == pytest.approx(NOON + 0.3)
    assert now_of(campaign).next_free_at == pytest.approx(NOON + 0.3 + STEP / 2)


def test_a_campaign_whose_last_use_nobody_knows_starts_as_just_used(clock):
    """A limit given to a campaign acts on the next claim; its first text waits one interval."""
    line = account()
    campaign = running()
    queued(sender(line, mps=None), 5, campaign)
    campaigns.set_limits(campaign, mps=4.0, spend_cap=None)

    assert [lease.slot_at for lease in outbox.claim(line.pk, clock)] == pytest.approx([NOON + 0.2575])


@pytest.mark.parametrize("spelled, rate", [(3, 3), ("3", 3), ("0.5/s", 0.5), ("20/min", 1 / 3), (" 6 / Minute", 0.1)])
def test_rates_as_people_write_them(spelled, rate):
    """Per second or per minute."""
    assert pacing.per_second(spelled) == pytest.approx(rate)


@pytest.mark.parametrize("spelled", [0, -1, "nan", "inf", "", "3/h", "x/min", True, None])
def test_what_is_no_rate(spelled):
    """Nothing is guessed."""
    with pytest.raises(ValueError, match="no rate"):
        pacing.per_second(spelled)


# --- the property: no sliding window over any limit -----------------------------------------------------------

rates = st.none() | st.sampled_from([0.4, 1, 2, 3, 7, 10, 30])
units = st.sampled_from(list(Limit.Unit))
limits = st.tuples(rates, units)
costs = st.sampled_from([1, 1, 1, 2, 2, 3, 5, 9, 31])
steps = st.tuples(
    st.sampled_from(["claim", "claim", "claim", "crash", "change"]), st.sampled_from([0, 0.05, 0.2, 0.5, 1.3])
)


def assert_never_over(found, settings_):
    """No window of a limit holds more than fits it, even when its first text was 30 ms late and its last on time.

    Of a whole rate a window is a second; a text dearer than the rate has one for itself.
    `found` is [(slot, segments)]; `settings_` what (rate, unit) the limit had, one after another: the loosest counts.
    """
    if any(rate is None for rate, _ in settings_) or len({unit for _, unit in settings_}) > 1:
        return
    rate = max(rate for rate, _ in settings_)
    fits, unit = max(1, int(rate)), settings_[0][1]
    window = fits * STEP / rate
    spent = [(at, cost if unit == SEGMENT else 1) for at, cost in sorted(found)]
    first = used = 0
    for i, (at, cost) in enumerate(spent):
        used += cost
        while spent[first][0] <= at - window + 3e-5:
            used -= spent[first][1]
            first += 1
        assert used <= fits or first == i, (rate, unit, spent[first : i + 1], settings_)


def no_window_is_over(examples=20, phases=(Phase.reuse, Phase.generate)):
    """Over random trees, costs, changes and crashes; raises `AssertionError` otherwise."""
    lines = [account(), account(alias="other")]
    lanes_ = [sender(line) for line in lines for _ in range(2)]
    bulk = [running(), running()]
    for lane in lanes_:
        for campaign in (None, *bulk):
            queued(lane, 25, campaign)
    ids = list(TextMessage.objects.order_by("pk").values_list("pk", flat=True))
    tree = [*lines, *lanes_, *bulk]

    @settings(max_examples=examples, deadline=None, phases=phases, suppress_health_check=list(HealthCheck))
    @given(
        st.lists(limits, min_size=len(tree), max_size=len(tree)),
        st.lists(costs, min_size=7, max_size=7),
        st.lists(steps, min_size=6, max_size=16),
        st.randoms(use_true_random=False),
    )
    def holds(chosen, cost, course, rng: random.Random):
        with undone():
            clock, leases = Clock(), {}
            had = {limit: [pair] for limit, pair in zip(tree, chosen, strict=True)}
            for limit, (mps, unit) in zip(tree, chosen, strict=True):
                set_of(limit, mps=mps, unit=unit, next_free_at=0, recent=[])
            for part in range(7):
                TextMessage.objects.filter(pk__in=ids[part::7]).update(segments=cost[part])
            for what, wait in course:
                if what == "change":
                    limit = rng.choice(tree)
                    mps = rng.choice([1, 3, 10, 30])
                    lanes.set_rate(limit, mps, clock.at)
                    had[limit].append((mps, had[limit][0][1]))
                for line in lines:
                    claimed = outbox.claim(line.pk, clock)
                    if what == "crash":
                        outbox.give_back(claimed)
                    else:
                        leases |= {lease.id: lease for lease in claimed}
                clock.at += wait
            texts = TextMessage.objects.in_bulk(leases)
            used = [(lease.slot_at, texts[pk]) for pk, lease in leases.items()]
            account_of = {lane.pk: lane.account_id for lane in lanes_}
            for limit in tree:
                mine = {
                    Account: lambda text, limit=limit: account_of[text.sender_id] == limit.pk,
                    Sender: lambda text, limit=limit: text.sender_id == limit.pk,
                    Campaign: lambda text, limit=limit: text.campaign_id == limit.pk,
                }[type(limit)]
                assert_never_over([(at, text.segments) for at, text in used if mine(text)], had[limit])

    holds()


def test_no_sliding_window_is_over_any_limit_of_the_tree():
    """Accounts, senders and campaigns, in messages and segments, through changes and crashes: none is passed."""
    no_window_is_over()


@pytest.mark.rig
@pytest.mark.timeout(900)
def test_no_sliding_window_is_over_in_many_trees():
    """The same over ten times as many."""
    no_window_is_over(examples=200)


def test_the_property_bites_on_segments(monkeypatch):
    """Where a text's segments are paid after it only, the same test finds a second that holds too much."""
    monkeypatch.setattr(lanes.Timeline, "earliest", lambda line, segments: line.free_at)

    with pytest.raises(AssertionError):
        no_window_is_over(examples=200, phases=[Phase.generate])


def test_the_property_bites_on_campaigns(monkeypatch):
    """Where a claim does not write back what a campaign has used, it is found too."""
    save = lanes.save
    monkeypatch.setattr(lanes, "save", lambda lines: save(x for x in lines if x and not isinstance(x.limit, Campaign)))

    with pytest.raises(AssertionError):
        no_window_is_over(examples=200, phases=[Phase.generate])


@pytest.mark.parametrize(
    "cost, rate, each_second", [(1, 10, 10), (2, 10, 10), (3, 10, 9), (5, 10, 10), (2, 3, 2), (7, 3, 3)]
)
def test_a_limit_in_segments_is_used(clock, cost, rate, each_second):
    """As many whole texts as fit leave in each window; one that is dearer than the rate leaves too, at its average."""
    line = account()
    lane = sender(line, mps=rate, unit=SEGMENT)
    queued(lane, 250, segments=cost)

    found = [text.segments for at, text in claims(clock, [line], seconds=21 * STEP) if at < NOON + 20 * STEP]

    assert sum(found) >= 20 * each_second - max(cost, each_second)


def test_a_slow_sender_wastes_none_of_a_segment_accounts_slots(clock):
    """Beside slow senders a fast one fills what the account has left: nine of ten seconds' units, or more."""
    line = account(mps=20, unit=SEGMENT)
    for _ in range(5):
        queued(sender(line, mps=0.5), 20, segments=1)
    queued(sender(line, mps=None), 500, segments=1)

    found = [text.segments for at, text in claims(clock, [line], seconds=10 * STEP) if at < NOON + 10 * STEP]

    assert sum(found) >= 195


# --- changing a limit -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["account", "sender", "campaign"])
@pytest.mark.parametrize("unit", [Limit.Unit.MESSAGE, SEGMENT])
@pytest.mark.parametrize("before, after", [(1, 10), (10, 1)])
def test_a_changed_limit_acts_on_the_next_claim(clock, kind, unit, before, after):
    """The next slot is one interval of the new rate behind the last one."""
    line, campaign = account(), running()
    lane = sender(line, mps=None)
    limit = {"account": line, "sender": lane, "campaign": campaign}[kind]
    set_of(limit, mps=before, unit=unit, next_free_at=0)
    queued(lane, 30, campaign)
    last = outbox.claim(line.pk, clock)[-1].slot_at

    lanes.set_rate(now_of(limit), after, clock.at)
    clock.at = last + STEP / after - 0.4

    assert outbox.claim(line.pk, clock)[0].slot_at == pytest.approx(max(clock.at, last + STEP / after), abs=1e-5)


def test_an_accounts_limits_are_those_of_the_settings(clock):
    """Rate, unit and caps; a changed rate acts on the next claim."""
    line = account(mps=1)
    entry = {"BACKEND": "console", "MPS": "30/min", "UNIT": "segment"}
    entry |= {"RECIPIENT_DAILY_CAP": 3, "SPEND_CAP": 12.5, "PRICE_PER_SEGMENT": "0.0079"}
    django_settings.PACELINE, before = {"PROVIDERS": {"default": entry}}, django_settings.PACELINE
    try:
        accounts.sync()
    finally:
        django_settings.PACELINE = before

    now_of(line)
    assert (line.mps, line.unit, line.recipient_daily_cap) == (0.5, "segment", 3)
    assert (line.spend_cap, line.price_per_segment) == (Decimal("12.5"), Decimal("0.0079"))


# --- what has been learned from a 429 -------------------------------------------------------------------------


def test_a_learned_limit_is_shown_until_it_has_recovered(clock):
    """After a 429: 0.7 of 1 a second (learned); a minute later all of it again."""
    lane = sender(account(), mps=1)
    lanes.throttle(lane.pk, clock.now(), None)
    now_of(lane)

    shown = [lanes.in_words(lane, clock.now() + later) for later in (0, 10, 60)]

    assert shown == ["0.7 of 1 a second (learned)", "0.875 of 1 a second (learned)", "1 a second"]


@pytest.mark.parametrize(
    "rate, unit, words",
    [(1 / 3, "message", "20 a minute"), (3, SEGMENT, "3 segments a second"), (None, "message", "no limit")],
)
def test_a_limit_in_words(rate, unit, words):
    """As people read it."""
    assert lanes.in_words(Sender(mps=rate, unit=unit)) == words


# --- caps -----------------------------------------------------------------------------------------------------


def requeued_by_a_bug():
    """What no code of ours does: everything that has left is queued once more."""
    TextMessage.objects.exclude(status=Status.QUEUED).update(status=Status.QUEUED, attempt="", lease_until=None)


def test_a_recipients_cap_of_the_day(clock):
    """Of five texts to one number two leave today, in one gate; two tomorrow, one after it. Others are not held up."""
    line = account(recipient_daily_cap=2)
    lane = sender(line, mps=None)
    ada, grace = people(2)
    texts = to_one(ada, lane, 5)
    to_one(grace, lane, 1)

    left = [len(send(clock, line)) for _ in range(3)]
    held = TextMessage.objects.filter(status=Status.QUEUED, not_before=caps.midnight(NOON), code="recipient_cap")
    assert left == [3, 0, 0]
    assert held.count() == 3
    assert "had its 2 texts of today" in held[0].reason

    clock.at += DAY
    assert len(send(clock, line)) == 2
    clock.at += DAY
    assert len(send(clock, line)) == 1
    assert TextMessage.objects.filter(pk__in=[t.pk for t in texts], status=Status.ACCEPTED, reason="").count() == 5


def test_a_recipients_cap_is_of_one_account(clock):
    """What left through another account does not count; what was given back was never submitted."""
    line, other = account(recipient_daily_cap=1), account(alias="other")
    (ada,) = people(1)
    to_one(ada, sender(other, mps=None), 3)
    to_one(ada, sender(line, mps=None), 1)
    send(clock, other)

    passed = pass_gate(clock, line)
    outbox.settle([Outcome(s.lease, Missed(), clock.now()) for s in passed])

    assert len(send(clock, line)) == 1


def test_a_recipients_cap_holds_with_a_requeue_bug(clock):
    """Whatever is queued again by whatever mistake: no number gets more than its texts of the day."""
    line = account(recipient_daily_cap=2)
    lane = sender(line, mps=None)
    (ada,) = people(1)
    to_one(ada, lane, 3)

    left = 0
    for _ in range(5):
        left += len(send(clock, line))
        requeued_by_a_bug()
        TextMessage.objects.update(not_before=0)

    assert left == 2


def test_a_capped_recipient_holds_up_no_tranche(clock):
    """The next tranche does not wait until tomorrow for somebody who has had enough today."""
    line = account(recipient_daily_cap=1)
    lane = sender(line, mps=None)
    campaign = running()
    set_of(campaign, batch_size=1)
    person = people(1)[0]
    to_one(person, lane, 1)
    send(clock, line)
    to_one(person, lane, 1, campaign=campaign)
    queued(lane, 1, campaign, status=Status.HELD)
    send(clock, line)

    assert campaigns.release(now_of(campaign), clock.now()) == 1
    assert "had all texts of today" in " ".join(progress.brakes(now_of(campaign), progress.of(campaign)))


def test_an_accounts_money_of_the_day(clock):
    """Ten segments are paid for, to the cent: ten leave; the rest waits on its lane until midnight and says why."""
    line = account(price_per_segment=Decimal("0.1"), spend_cap=Decimal("1"))
    lane = sender(line, mps=None)
    queued(lane, 4, segments=3)

    left = [len(send(clock, line)) for _ in range(3)]
    now_of(line)
    assert left == [3, 0, 0]
    assert (line.spent, line.spent_on) == (Decimal("0.9"), caps.day(NOON))

    clock.at = caps.midnight(NOON)
    assert len(send(clock, line)) == 1
    assert now_of(line).spent == Decimal("0.3")


def test_an_accounts_money_holds_with_a_requeue_bug(clock):
    """Counted at the gate and never taken back: what is submitted twice by a mistake is paid twice."""
    line = account(price_per_segment=Decimal("0.25"), spend_cap=Decimal("2"))
    queued(sender(line, mps=None), 3)

    left = 0
    for _ in range(10):
        left += len(send(clock, line))
        requeued_by_a_bug()

    assert left == 8


def test_the_gate_stops_what_was_leased_before_the_money_was_spent(clock):
    """Two claims before the first gate lease more than the money pays; the gate lets pass what it pays."""
    line = account(price_per_segment=Decimal("1"), spend_cap=Decimal("3"))
    queued(sender(line, mps=None), 10)
    first, second = outbox.claim(line.pk, clock), outbox.claim(line.pk, clock)

    passed = [len(outbox.gate(leases, clock)) for leases in (first, second)]

    assert (len(first), len(second), passed) == (3, 3, [3, 0])
    assert "goes on at midnight" in TextMessage.objects.filter(code="spend_cap")[0].reason


@pytest.mark.django_db(transaction=True)
def test_gates_at_once_pass_no_cap():
    """Six gates at the same moment spend no more than the money, and text nobody more often, than the caps say."""
    line = account(price_per_segment=Decimal("1"), spend_cap=Decimal("20"), recipient_daily_cap=1)
    persons = people(15)
    clock = Clock()
    batches = []
    for _ in range(2):
        for part in range(3):
            lane = sender(line, mps=None)
            for person in persons[part * 5 : part * 5 + 5]:
                to_one(person, lane, 1)
    ids = list(TextMessage.objects.filter(status=Status.QUEUED).values_list("pk", flat=True))
    leases = outbox.claim(line.pk, clock)
    set_of(line, spend_cap=Decimal("10"))
    batches = [leases[i::6] for i in range(6)]

    answers = on_threads(6, lambda i: outbox.gate(batches[i], Clock()))

    assert not [answer for answer in answers if isinstance(answer, Exception)]
    passed = TextMessage.objects.filter(pk__in=[s.lease.id for answer in answers for s in answer])
    assert len(ids) == 30
    assert passed.count() == passed.values("contact").distinct().count() == 10
    assert now_of(line).spent == 10


def test_a_campaigns_money(clock):
    """At its spend cap a campaign is paused, says why, and goes on when the cap is raised. Others go on at once."""
    line = account(price_per_segment=Decimal("0.05"))
    lane = sender(line, mps=None)
    campaign, other = running(), running()
    set_of(campaign, spend_cap=Decimal("0.10"))
    queued(lane, 5, campaign)
    queued(lane, 5, other)

    left = [s.lease.id for s in send(clock, line) + send(clock, line)]
    now_of(campaign)
    assert TextMessage.objects.filter(pk__in=left, campaign=campaign).count() == 2
    assert TextMessage.objects.filter(pk__in=left, campaign=other).count() == 5
    assert (campaign.state, campaign.spent) == ("paused", Decimal("0.1"))
    assert progress.brakes(campaign, progress.of(campaign)) == [
        "It has spent its 0.10; raise its spend cap and resume it."
    ]
    with pytest.raises(campaigns.CampaignError, match="has spent its"):
        campaigns.resume(campaign)

    campaigns.set_limits(campaign, mps=None, spend_cap=Decimal("0.20"))
    assert campaigns.resume(campaign).blocked == ""
    assert len(send(clock, line)) == 2


def test_a_campaigns_money_holds_with_a_requeue_bug(clock):
    """Also when it is resumed by hand again and again."""
    line = account(price_per_segment=Decimal("0.05"))
    campaign = running()
    set_of(campaign, spend_cap=Decimal("0.30"))
    queued(sender(line, mps=None), 4, campaign)

    left = 0
    for _ in range(5):
        left += len(send(clock, line))
        requeued_by_a_bug()
        set_of(campaign, state="running")

    assert left == 6


@pytest.mark.parametrize("cap, code", [("recipient_daily_cap", "recipient_cap"), ("spend_cap", "spend_cap")])
def test_a_text_past_the_dispatchers_meets_the_caps(clock, cap, code):
    """Whoever waits for an answer gets the reason at once."""
    line = account(price_per_segment=Decimal("1"), **{cap: 1})
    lane = sender(line, mps=None)
    (ada,) = people(1)
    first, second = to_one(ada, lane, 2)
    assert outbox.gate([outbox.reserve(now_of(first), clock)], clock)

    with pytest.raises(errors.Throttled) as raised:
        outbox.reserve(now_of(second), clock)

    assert raised.value.code == code


def test_a_spend_cap_without_a_price_is_refused():
    """A cap that counts nothing would be a promise that nobody keeps."""
    account()

    with pytest.raises(campaigns.CampaignError, match="PRICE_PER_SEGMENT"):
        campaigns.create("Bulk", "Hi", spend_cap=Decimal("5"))


# --- priorities -----------------------------------------------------------------------------------------------


def backlog(lane, campaign, rows):
    """So many bulk texts on one lane, made by the database."""
    queued(lane, 1, campaign)
    columns = [f.column for f in TextMessage._meta.concrete_fields if f.name not in ("id", "to", "reference")]
    names = ", ".join(connection.ops.quote_name(column) for column in columns)
    to = connection.ops.quote_name("to")
    table, made = TextMessage._meta.db_table, 1
    vendor = {"postgresql": "as_postgresql", "mysql": "as_mysql"}.get(connection.vendor, "as_sqlite")
    reference, _ = getattr(engine.RandomReference(), vendor)(None, connection)
    place = "ROW_NUMBER() OVER (ORDER BY id) + %s"
    number_ = f"CONCAT('x', {place})" if vendor == "as_mysql" else f"'x' || CAST({place} AS VARCHAR(20))"
    with connection.cursor() as cursor:
        while made < rows:
            step = min(made, rows - made)
            cursor.execute(
                f"INSERT INTO {table} ({names}, {to}, reference) SELECT {names}, {number_}, {reference}"
                f" FROM {table} WHERE campaign_id = %s ORDER BY id LIMIT {step}",
                [made, campaign.pk],
            )
            made += step


def a_direct_text_leaves_soon(clock, rows):
    line = account()
    lane = sender(line, mps=10)
    campaign = running()
    backlog(lane, campaign, rows)
    leased = outbox.claim(line.pk, clock)
    (code,) = queued(lane)

    clock.at += 0.2  # as often as a dispatcher claims
    (next_, *_) = outbox.claim(line.pk, clock)

    assert TextMessage.objects.filter(campaign=campaign).count() == rows
    assert next_.id == code.pk
    assert next_.slot_at <= leased[-1].slot_at + STEP / 10 + 1e-6


def test_a_direct_text_behind_20_000_is_in_the_next_slot(clock):
    """It leaves one interval after what is already leased on its lane."""
    a_direct_text_leaves_soon(clock, 20_000)


@pytest.mark.rig
@pytest.mark.timeout(900)
def test_a_direct_text_behind_a_million_is_in_the_next_slot(clock):
    """The same behind 1,000,000 queued bulk texts."""
    a_direct_text_leaves_soon(clock, 1_000_000)
