"""Does a message reach the wire at most once, and does every outcome find its place? Gate, settle, recovery."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from django.utils import timezone

from paceline.messaging import campaigns, lanes, outbox, senders, suppressions
from paceline.messaging.clock import Clock as RealClock
from paceline.messaging.models import Account, Campaign, Sender, Suppression, TextMessage
from paceline.messaging.outbox import Missed
from paceline.sms import errors, pacing
from paceline.sms.messages import Accepted
from paceline.sms.status import Status

from .factories import (
    IDLE,
    NOON,
    accept,
    account,
    number,
    on_threads,
    pass_gate,
    people,
    queued,
    running,
    send,
    sender,
    settle,
)

pytestmark = [pytest.mark.django_db, pytest.mark.contract]

DAY = 24 * 3600


@pytest.fixture
def leased(line, lane, clock):
    """A text that has been claimed, and its lease."""
    text = queued(lane, campaign=running())[0]
    return text, outbox.claim(line.pk, clock)[0]


@pytest.fixture
def submitting(leased, clock):
    """A text that has passed the gate, and its lease."""
    text, lease = leased
    assert outbox.gate([lease], clock)
    return text, lease


def now_of(row):
    row.refresh_from_db()
    return row


def set_of(row, **changes):
    type(row).objects.filter(pk=row.pk).update(**changes)


# --- queue ----------------------------------------------------------------------------------------------------


def test_a_direct_text_is_queued_with_what_it_needs(lane):
    """One call queues a text from a sender to a number; its segments are counted, its reference has 128 bits."""
    text = outbox.queue_text("Ihr Code: 123456 ✓" * 8, lane, number(7))

    assert (text.status, text.frm, text.to, text.segments) == (Status.QUEUED, lane.number, number(7), 3)
    assert len(bytes.fromhex(text.reference)) == 16
    assert text.contact.number == number(7)


def test_an_empty_text_is_refused(lane):
    """A text of nothing but blanks is not queued."""
    with pytest.raises(errors.Refused, match="empty"):
        outbox.queue_text(" \n", lane, number(7))

    assert not TextMessage.objects.exists()


# --- gate -----------------------------------------------------------------------------------------------------


def test_the_gate_commits_submitting_before_the_wire(leased, clock):
    """What passes is `submitting` and carries all that its one request needs."""
    text, lease = leased

    (submission,) = outbox.gate([lease], clock)

    now_of(text)
    assert (text.status, text.submitted_at) == (Status.SUBMITTING, lease.slot_at)
    assert text.lease_until > lease.slot_at + 35  # longer than the transport's time-outs
    wire = submission.message
    assert (wire.reference, wire.sender, wire.number, wire.text) == (text.reference, text.frm, text.to, "Hi")


def test_a_lease_passes_once(leased, clock):
    """The same lease a second time passes nothing: exactly one request."""
    _, lease = leased

    assert [len(outbox.gate([lease], clock)) for _ in range(2)] == [1, 0]


def test_an_older_lease_does_not_pass(line, leased, clock):
    """A dispatcher that slept while its lease was recovered and claimed again is stopped at the gate."""
    text, old = leased
    clock.at += 1
    assert outbox.recover(clock.now()) == (1, 0)
    (new,) = outbox.claim(line.pk, clock)

    assert outbox.gate([old], clock) == []
    assert now_of(text).status == Status.LEASED
    assert len(outbox.gate([new], clock)) == 1


BETWEEN_CLAIM_AND_GATE = {
    "the recipient says STOP": (lambda text: suppressions.add(text.to), Status.SUPPRESSED),
    "the campaign is cancelled": (lambda text: campaigns.cancel(text.campaign), Status.CANCELLED),
    "the campaign is paused": (lambda text: campaigns.pause(text.campaign), Status.QUEUED),
    "the text expires": (lambda text: set_of(text, expires_at=datetime.fromtimestamp(NOON, UTC)), Status.EXPIRED),
    "the sender is removed": (lambda text: set_of(text.sender, removed_at=timezone.now()), Status.QUEUED),
    "the sender is blocked": (lambda text: lanes.block(text.sender, "not registered"), Status.QUEUED),
    "the cap is used up": (lambda text: set_of(text.sender, daily_cap=0), Status.QUEUED),
}


@pytest.mark.parametrize("event", BETWEEN_CLAIM_AND_GATE)
def test_the_gate_stops_when(leased, clock, event):
    """What has changed since the claim is obeyed: nothing is written, and the text goes where it belongs."""
    text, lease = leased
    happens, becomes = BETWEEN_CLAIM_AND_GATE[event]
    happens(text)

    assert outbox.gate([lease], clock) == []
    now_of(text)
    assert (text.status, text.attempt, text.submitted_at, text.lease_until) == (becomes, "", None, None)


def test_one_stopped_text_holds_up_no_other(line, lane, clock):
    """A gate's batch loses only those that may not leave."""
    texts = queued(lane, 5)
    leases = outbox.claim(line.pk, clock)
    suppressions.add(texts[2].to)

    assert {s.lease.id for s in outbox.gate(leases, clock)} == {t.pk for t in texts} - {texts[2].pk}


def test_paused_and_resumed(line, leased, clock):
    """What a pause has stopped at the gate is claimed again after the resume, once."""
    text, lease = leased
    campaigns.pause(text.campaign)
    outbox.gate([lease], clock)
    assert outbox.claim(line.pk, clock) == []

    campaigns.resume(text.campaign)

    assert [s.lease.id for s in send(clock, line)] == [text.pk]


def test_validity_goes_with_the_message(lane, line, clock):
    """A text that expires tells the provider for how many seconds it is good."""
    queued(lane, expires_at=datetime.fromtimestamp(NOON, UTC) + timedelta(minutes=5))

    (submission,) = pass_gate(clock, line)

    assert submission.message.validity_seconds == 300


def test_a_daily_cap_ends_at_midnight(line, clock):
    """A sender submits its cap a day (UTC); the rest stays queued and leaves the next day, up to the cap again."""
    lane = sender(line, mps=None, daily_cap=3)
    queued(lane, 7)

    days = []
    for _ in range(4):
        days.append(sum(len(send(clock, line)) for _ in range(3)))
        clock.at += DAY

    assert days == [3, 3, 1, 0]


def test_a_cap_counts_what_one_claim_has_leased_too_much(line, clock):
    """The cap holds at the gate, also when a claim took more than was left (it was lowered meanwhile)."""
    lane = sender(line, mps=None, daily_cap=10)
    queued(lane, 10)
    leases = outbox.claim(line.pk, clock)
    set_of(lane, daily_cap=4)

    assert [len(outbox.gate(part, clock)) for part in (leases[:3], leases[3:])] == [3, 1]
    assert TextMessage.objects.filter(status=Status.QUEUED).count() == 6


# --- settle ---------------------------------------------------------------------------------------------------


def test_accepted(submitting, clock):
    """The provider took it: `accepted`, under the provider's id."""
    text, lease = submitting

    settle(lease, Accepted(provider_id="abc"), clock)

    now_of(text)
    assert (text.status, text.provider_id, text.lease_until) == (Status.ACCEPTED, "abc", None)
    assert text.accepted_at.timestamp() == pytest.approx(clock.now(), abs=0.001)


def test_accepted_late(submitting, clock):
    """An answer that comes after the recovery had to call it uncertain still makes it accepted."""
    text, lease = submitting
    outbox.recover(clock.now() + 60)
    assert now_of(text).status == Status.UNCERTAIN

    settle(lease, Accepted(provider_id="abc"), clock)

    now_of(text)
    assert (text.status, text.provider_id, text.code, text.reason) == (Status.ACCEPTED, "abc", "", "")


def test_accepted_after_its_report(submitting, clock):
    """A report that was faster than the answer keeps its higher rank and its words; the provider's id is added."""
    text, lease = submitting
    set_of(text, status=Status.UNDELIVERED, code="1320", reason="blocked by the carrier")

    settle(lease, Accepted(provider_id="abc"), clock)

    now_of(text)
    assert (text.status, text.code, text.reason) == (Status.UNDELIVERED, "1320", "blocked by the carrier")
    assert text.provider_id == "abc"


ANY_RESULT = [
    Accepted(provider_id="old"),
    Missed(),
    errors.Throttled("slow down", retry_after=1),
    errors.Unavailable("refused"),
    errors.Uncertain("timed out"),
    errors.Refused("bad number"),
    errors.OptedOut("stop"),
    errors.SenderProblem("unknown sender"),
    errors.AccountProblem("no funds"),
]


@pytest.mark.parametrize("result", ANY_RESULT, ids=lambda result: type(result).__name__)
def test_an_outcome_of_an_older_attempt_touches_nothing(line, leased, clock, result):
    """Only the attempt that holds a message writes its outcome."""
    text, old = leased
    clock.at += 1
    outbox.recover(clock.now())
    outbox.gate(outbox.claim(line.pk, clock), clock)
    before = TextMessage.objects.values().get(pk=text.pk)

    settle(old, result, clock)

    assert TextMessage.objects.values().get(pk=text.pk) == before


def test_throttled_goes_back_and_slows_the_lane(line, clock):
    """A 429 fails nothing: the text waits for Retry-After, and its lane goes on at 70 % of its rate."""
    lane = sender(line, mps=2)
    queued(lane, 3)

    send(clock, line, lambda message: errors.Throttled("slow down", retry_after=7))
    said_at = clock.now()

    assert TextMessage.objects.filter(status=Status.QUEUED).count() == 3
    assert lanes.rate(now_of(lane), said_at) == pytest.approx(1.4)
    clock.at = said_at + 6.4
    assert outbox.claim(line.pk, clock) == []
    clock.at = said_at + 7
    (lease,) = outbox.claim(line.pk, clock)
    assert lease.slot_at == said_at + 7


def test_a_throttled_lane_recovers_by_steps(line, clock):
    """After each 10 s without a 429 a lane is a quarter faster, up to its rate and no further."""
    lane = sender(line, mps=10)

    for second in (0, 0.5, 2, 4):  # the second is of the same burst
        lanes.throttle(lane.pk, clock.now() + second, None)

    now_of(lane)
    recovering = [lanes.rate(lane, clock.now() + 4 + later) for later in (0, 9, 10, 20, 60)]
    assert recovering[0] == recovering[1] < recovering[2] < recovering[3] < recovering[4] == 10
    assert recovering[0] == pytest.approx(10 * 0.7**3)
    assert recovering[2] / recovering[1] == pytest.approx(1.25)


def test_a_provider_that_always_throttles_stops_nobody_for_good(line, clock):
    """A lane keeps a twentieth of its rate at the least."""
    lane = sender(line, mps=10)

    for minute in range(30):
        lanes.throttle(lane.pk, clock.now() + 2 * minute, None)

    assert lanes.rate(now_of(lane), clock.now() + 60) >= 0.5


def test_unavailable_is_tried_again_and_then_given_up(line, lane, clock):
    """What never left is queued again, later each time; after 12 tries it has failed, as others do get through."""
    text = queued(lane)[0]

    def answer(message):
        if message.reference != text.reference:
            return accept(message)
        return errors.Unavailable("connection refused", code="ECONNREFUSED")

    waits = []
    while now_of(text).status == Status.QUEUED:
        asked_at = clock.at = max(clock.at, text.not_before, Account.objects.get().backoff_until)
        queued(lane)
        send(clock, line, answer)
        waits.append(now_of(text).not_before - asked_at)

    assert waits[:4] == [0.5, 1, 2, 4]
    assert max(waits) <= 60
    assert (text.status, text.tries, text.code) == (Status.FAILED, outbox.TRIES_MOST - 1, "ECONNREFUSED")
    assert len(waits) == outbox.TRIES_MOST


def test_while_a_provider_is_away_the_whole_account_waits(line, lane, clock):
    """One connection refused spares the account's other lanes theirs, for seconds only."""
    queued(lane)
    send(clock, line, lambda message: errors.Unavailable("connection refused"))
    queued(sender(line, mps=None))

    clock.at += 0.2
    assert outbox.claim(line.pk, clock)[0].slot_at >= NOON + 0.5
    assert Account.objects.get().backoff_until <= NOON + 5


def test_refused_keeps_the_code_and_says_why(submitting, clock):
    """A definite no is the end: with the provider's code and our sentence, cut to what a column holds."""
    text, lease = submitting

    settle(lease, errors.Refused("Not a mobile number" + "." * 300, code="1120"), clock)

    now_of(text)
    assert (text.status, text.code) == (Status.REFUSED, "1120")
    assert text.reason.startswith("Not a mobile number")


def test_opted_out_is_refused_and_suppressed(submitting, clock):
    """When the provider knows of a STOP that we do not, the number is suppressed from then on."""
    text, lease = submitting

    settle(lease, errors.OptedOut("The recipient said stop", code="1250"), clock)

    assert now_of(text).status == Status.REFUSED
    assert Suppression.objects.get(number=text.to).reason == Suppression.Reason.PROVIDER


@pytest.mark.parametrize(("problem", "who"), [(errors.SenderProblem, "sender"), (errors.AccountProblem, "account")])
def test_a_problem_for_people_blocks_and_loses_nothing(line, lane, clock, problem, who):
    """What only a person can mend stops the lane, or the account, with the reason; the texts wait for it."""
    beside = sender(line, mps=None)
    texts = queued(lane, 2)
    send(clock, line, lambda message: problem("Register the campaign first"))

    blocked = {"sender": now_of(lane), "account": now_of(line)}[who]
    assert "Register" in blocked.blocked
    assert {now_of(text).status for text in texts} == {Status.QUEUED}
    assert outbox.claim(line.pk, clock) == []
    other = queued(beside)[0]
    assert [lease.id for lease in outbox.claim(line.pk, clock)] == ([other.pk] if who == "sender" else [])

    lanes.unblock(line)

    assert {t.pk for t in texts} <= {lease.id for lease in outbox.claim(line.pk, clock)}


@pytest.mark.parametrize(
    "what", [errors.Uncertain("reset after the write"), errors.ProviderError("?"), ValueError("?")]
)
def test_uncertain_is_never_queued_by_anything(line, submitting, clock, what):
    """What nobody can name may have been sent: days of claims and recoveries never send it again."""
    text, lease = submitting
    settle(lease, what, clock)

    for _ in range(5):
        clock.at += DAY
        outbox.recover(clock.now())
        assert outbox.claim(line.pk, clock) == []
    outbox.recover(clock.now(), everything=True)
    outbox.expire_reports(0)

    assert now_of(text).status == Status.UNCERTAIN


def test_three_uncertain_in_a_row_make_a_lane_probe(line, lane, clock):
    """Then one text at a time leaves and is waited for; a clear answer opens the lane again."""
    queued(lane, 20)
    first = outbox.gate(outbox.claim(line.pk, clock)[:3], clock)
    outbox.give_back([s.lease for s in first])  # changes nothing: they have passed the gate
    outbox.recover(clock.now() + 1)
    for submission in first:
        settle(submission.lease, errors.Uncertain("timed out"), clock)

    (probe,) = pass_gate(clock, line)
    assert outbox.claim(line.pk, clock) == []  # until the probe's answer
    settle(probe.lease, errors.Uncertain("timed out"), clock)
    (probe,) = pass_gate(clock, line)
    settle(probe.lease, accept(probe.message), clock)

    assert len(outbox.claim(line.pk, clock)) == 15


def test_two_uncertain_do_not(line, lane, clock):
    """A clear answer in between starts the count again."""
    queued(lane, 20)
    bad = errors.Uncertain("timed out")
    answers = iter([bad, bad, Accepted("1"), bad, bad])
    for lease in outbox.claim(line.pk, clock)[:5]:
        outbox.gate([lease], clock)
        settle(lease, next(answers), clock)
    outbox.recover(clock.now() + 1)

    assert len(outbox.claim(line.pk, clock)) == 15


def test_a_missed_slot_is_void(line, clock):
    """Nothing was written for a slot that had passed: the text goes back, and the slot is used by nobody."""
    lane = sender(line, mps=1)
    text = queued(lane)[0]
    (lease,) = [s.lease for s in pass_gate(clock, line)]
    clock.at += 0.031

    settle(lease, Missed(), clock)

    now_of(text)
    assert (text.status, text.attempt, text.submitted_at) == (Status.QUEUED, "", None)
    clock.at += 0.6
    assert outbox.claim(line.pk, clock)[0].slot_at == pytest.approx(lease.slot_at + 1.03)


def test_a_miss_that_is_told_late_is_still_a_definite_no(submitting, clock):
    """A frozen machine that wakes after the recovery and then finds its slot missed has written nothing."""
    text, lease = submitting
    outbox.recover(clock.now() + 60)

    settle(lease, Missed(), clock)

    assert now_of(text).status == Status.QUEUED


def test_leases_given_back(line, lane, clock):
    """A drain returns what it only leased; what has passed the gate stays where it is."""
    queued(lane, 4)
    leases = outbox.claim(line.pk, clock)
    outbox.gate(leases[:1], clock)

    outbox.give_back(leases)

    found = list(TextMessage.objects.order_by("pk").values_list("status", flat=True))
    assert found == [Status.SUBMITTING, Status.QUEUED, Status.QUEUED, Status.QUEUED]


# --- recovery -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mps", "ends_after"), [(1000, 0.031), (None, pacing.UNPACED_TOLERANCE_SECONDS)])
def test_recovery_by_time(line, mps, ends_after, clock):
    """`leased` past its slot is queued again; `submitting` past its time-outs becomes uncertain, never queued."""
    sent, kept = queued(sender(line, mps=mps), 2)
    outbox.gate(outbox.claim(line.pk, clock)[:1], clock)

    assert outbox.recover(clock.now()) == (0, 0)
    assert outbox.recover(clock.now() + ends_after + 0.002) == (1, 0)
    assert outbox.recover(clock.now() + outbox.SUBMIT_LEASE_SECONDS - 1) == (0, 0)
    assert outbox.recover(clock.now() + outbox.SUBMIT_LEASE_SECONDS + 1) == (0, 1)
    assert (now_of(kept).status, now_of(sent).status) == (Status.QUEUED, Status.UNCERTAIN)


def test_recovery_at_the_start(line, lane, clock):
    """A dispatcher that knows itself to be the only one need not wait for the leases to end."""
    queued(lane, 3)
    outbox.gate(outbox.claim(line.pk, clock)[:1], clock)

    assert outbox.recover(clock.now(), everything=True) == (2, 1)


def test_what_comes_back_to_a_removed_sender_follows_its_contact(line, lane, clock):
    """A text that was on its way when its sender was removed is not stranded: it leaves from the contact's new one."""
    other = sender(line, mps=None)
    person = people(1)[0]
    set_of(person, sender=lane)
    text = queued(lane, contact=person)[0]
    leases = outbox.claim(line.pk, clock)
    senders.remove(lane)
    assert outbox.gate(leases, clock) == []

    outbox.recover(clock.now())

    (submission,) = send(clock, line)
    assert (submission.lease.id, submission.message.sender) == (text.pk, other.number)


@pytest.mark.parametrize(("hours", "becomes"), [(71, Status.ACCEPTED), (73, Status.UNCONFIRMED)])
def test_no_final_word(submitting, clock, hours, becomes):
    """After 72 hours without a final report an accepted text is unconfirmed."""
    text, lease = submitting
    settle(lease, Accepted("abc"), clock)
    set_of(text, submitted_at=timezone.now().timestamp() - hours * 3600)

    outbox.expire_reports()

    assert now_of(text).status == becomes


# --- at once --------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_claimers_at_once_share_nothing():
    """Claimers on real threads never take one text twice, nor one slot of a limit twice."""
    line = account(mps=400)
    lanes_ = [sender(line, mps=150) for _ in range(4)]
    for lane in lanes_:
        queued(lane, 200, running())

    answers = on_threads(4, lambda i: [lease for _ in range(6) for lease in outbox.claim(line.pk, RealClock())])
    leases = [lease for answer in answers for lease in answer]

    assert len(leases) > 150
    assert len({lease.id for lease in leases}) == len(leases)
    assert TextMessage.objects.filter(status=Status.LEASED).count() == len(leases)
    for rate, which in [(400, {lane.pk for lane in lanes_}), *((150, {lane.pk}) for lane in lanes_)]:
        found = sorted(lease.slot_at for lease in leases if lease.sender_id in which)
        assert all(b - a > 1.03 / rate - 1e-6 for a, b in pairwise(found))


@pytest.mark.django_db(transaction=True)
def test_gates_at_once_pass_a_lease_once_and_no_cap(clock):
    """The same leases at two gates at once pass once, and a daily cap holds over all gates."""
    line = account()
    lane = sender(line, mps=None, daily_cap=30)
    queued(lane, 30)
    leases = outbox.claim(line.pk, clock)
    set_of(lane, daily_cap=20)

    answers = on_threads(4, lambda i: outbox.gate(leases[:15] if i % 2 else leases[15:], clock))
    passed = [s.lease.id for answer in answers for s in answer]

    assert len(passed) == len(set(passed)) == 20
    assert Sender.objects.get().capped_count == 20


@pytest.mark.django_db(transaction=True)
def test_everything_at_once_ends_with_each_text_once():
    """Claims, gates, settles and recoveries of four dispatchers in one another's way: each text is sent once."""
    line = account()
    campaign = running()
    for _ in range(2):
        queued(sender(line, mps=None), 150, campaign)
    written = []

    def dispatch(i):
        clock = RealClock()
        for _ in range(12):
            leases = outbox.claim(line.pk, clock)[:40]
            passed = outbox.gate(leases, clock)
            written.extend(s.message.reference for s in passed)
            outbox.settle([outbox.Outcome(s.lease, accept(s.message), clock.now()) for s in passed])
            outbox.recover(clock.now() + 1)

    problems = [answer for answer in on_threads(4, dispatch) if answer]

    assert not problems
    assert len(written) == len(set(written)) == TextMessage.objects.filter(status=Status.ACCEPTED).count() >= 40
    assert Account.objects.get().next_free_at > IDLE
    assert Campaign.objects.get() == campaign
