"""`send_text`: one text now, through the same verbs as everything else, and an honest row whatever happens."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from django.utils import timezone

from paceline.messaging import (
    InsideTransaction,
    InvalidNumber,
    Refused,
    SenderProblem,
    TextMessage,
    TextMessageError,
    Throttled,
    Unavailable,
    Uncertain,
    accounts,
    lanes,
    outbox,
    send_text,
    senders,
    suppressions,
    texts,
)
from paceline.messaging.clock import Clock
from paceline.messaging.models import Account, Sender
from paceline.sandbox.behaviour import Behaviour
from paceline.sms.messages import Accepted
from paceline.sms.status import Status

from ..installation import Installation, until
from .factories import on_threads

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.contract]

OURS, THEIRS = "+12025550100", "+12125550123"
MUCH_LATER = 4e9


def row(message: TextMessage) -> TextMessage:
    return TextMessage.objects.get(pk=message.pk)


# --- what a caller gets ---------------------------------------------------------------------------------------


def test_accepted(carrier):
    """The three lines that everybody writes: submitted once, and the saved row says what the provider said."""
    message = send_text("Doors open at 7", OURS, THEIRS)

    (accept,) = carrier.accepts()
    assert (accept.sender, accept.number, accept.text) == (OURS, THEIRS, "Doors open at 7")
    assert (message.frm, message.to, message.text) == (OURS, THEIRS, "Doors open at 7")
    assert (message.direction, message.status, message.simple_status) == ("outgoing", "accepted", "sending")
    assert (message.reference, message.provider_id) == (accept.reference, accept.provider_id)
    assert message.created_on <= timezone.now()
    assert message.error is None


def test_a_sender_is_made_on_first_use(carrier, settings):
    """Any spelling of it, once; its rate is the settings' SENDER_MPS."""
    settings.PACELINE["PROVIDERS"]["default"]["SENDER_MPS"] = 50

    for frm in (OURS, "(202) 555-0100", "GREENCAFE"):
        send_text("Hi", frm, THEIRS)

    assert list(Sender.objects.order_by("pk").values_list("number", "mps")) == [(OURS, 50), ("GREENCAFE", 50)]
    assert {accept.sender for accept in carrier.accepts()} == {OURS, "GREENCAFE"}


WRONG = {
    "no number": (("Hi", OURS, "call me"), "invalid_number"),
    "an empty number": (("Hi", OURS, ""), "invalid_number"),
    "a number that is too long for its column": (("Hi", OURS, "+" + "1" * 60), "invalid_number"),
    "no sender": (("Hi", "An Endless Name", THEIRS), "invalid_sender"),
    "an empty text": ((" ", OURS, THEIRS), "empty_text"),
    "a text that nobody takes": (("é" * 5000, OURS, THEIRS), "text_too_long"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_sent_is_a_row_too(carrier, case):
    """Silent or not, the row is there and says why: no message is lost without a trace."""
    arguments, code = WRONG[case]
    message = send_text(*arguments)

    with pytest.raises(Refused) as refused:
        send_text(*arguments, fail_silently=False)

    assert (message.status, message.code) == ("refused", code)
    assert isinstance(message.error, Refused) and message.reason == str(message.error)
    assert refused.value.text_message.status == "refused"
    assert TextMessage.objects.filter(status="refused", code=code).count() == 2
    assert not carrier.accepts()


def test_an_unusable_number_keeps_its_cause(carrier):
    """`Refused` from `InvalidNumber`, whose word says what is wrong with it; the number is in neither."""
    with pytest.raises(Refused) as refused:
        send_text("Hi", OURS, "+1212555", fail_silently=False)

    assert isinstance(refused.value.__cause__, InvalidNumber)
    assert refused.value.__cause__.reason == "too_short"
    assert "212555" not in str(refused.value)


def test_an_unknown_account_is_always_an_error(carrier):
    """A wrong setting is no failed text: it raises, silent or not."""
    with pytest.raises(ImproperlyConfigured, match="nowhere"):
        send_text("Hi", OURS, THEIRS, using="nowhere")


# --- what the provider may say --------------------------------------------------------------------------------

ANSWERS = {
    "refused_numbers": ({"refused_numbers": (THEIRS,)}, Refused, "refused", 0),
    "credentials": ({"unauthorized_after": 0}, TextMessageError, "failed", 0),
    "no answer that can be read": ({"garbage": 1.0}, Uncertain, "uncertain", 0),
    "taken, then reset": ({"accept_reset": 1.0}, Uncertain, "uncertain", 1),
    "an error after it was taken": ({"accept_error": 1.0}, Uncertain, "uncertain", 1),
    "throttled for long": ({"throttle": 1.0, "retry_after": 60}, Throttled, "failed", 0),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_the_row_tells_what_the_error_tells(carrier, case):
    """Each class of error has its status; nothing that raised is left waiting, so who tries again doubles nothing."""
    behaviour, error, status, taken = ANSWERS[case]
    carrier.change(**behaviour)

    with pytest.raises(error) as raised:
        send_text("Hi", OURS, THEIRS, fail_silently=False, wait_seconds=2)

    message = raised.value.text_message
    assert (message.status, message.code, message.reason) == (status, raised.value.code, str(raised.value))
    assert THEIRS not in str(raised.value) and "Hi" not in str(raised.value)
    assert len(carrier.accepts()) == taken
    assert not TextMessage.objects.filter(status__in=["queued", "leased", "submitting"]).exists()


def test_a_burst_of_429_is_waited_for(carrier):
    """What certainly did not leave is tried again within the bounds: the text arrives, once."""
    carrier.change(throttle=1.0)

    def end_of_burst():
        until(lambda: carrier.state()["throttled"], 10)
        carrier.change(throttle=0.0)

    answers = on_threads(2, lambda i: end_of_burst() if i else send_text("Hi", OURS, THEIRS))

    assert answers[0].status == "accepted"
    assert len(carrier.accepts()) == 1


def test_a_provider_that_is_away(carrier):
    """Connection refused: tried for a while, then failed for good; it did not leave and it will not."""
    carrier.stop()

    message = send_text("Hi", OURS, THEIRS, wait_seconds=1.5)
    carrier.start()

    assert isinstance(message.error, Unavailable)
    assert (message.status, message.tries > 1) == ("failed", True)
    assert outbox.claim(Account.objects.get().pk, Clock()) == []


def test_a_provider_that_comes_back_in_time(carrier):
    """Away for a moment: the same call waits and succeeds."""
    carrier.stop()
    answers = on_threads(2, lambda i: (time.sleep(0.7), carrier.start()) if i else send_text("Hi", OURS, THEIRS))

    assert answers[0].status == "accepted"
    assert len(carrier.accepts()) == 1


def test_price_and_segments_of_an_answer_are_kept(line, lane, clock):
    """What the provider says with its yes; nonsense beside the yes does not keep the yes from being written."""
    from .factories import queued, send

    first, second = queued(lane, 2)
    prices = {
        first.reference: Accepted("id 1", 2, Decimal("0.0079"), "EUR"),
        second.reference: Accepted("id 2", -1, Decimal("1e20"), ""),
    }
    send(clock, line, lambda message: prices[message.reference])

    assert (row(first).price, row(first).currency, row(first).segments) == (Decimal("0.0079"), "EUR", 2)
    assert (row(second).status, row(second).price, row(second).segments) == ("accepted", None, 1)


# --- limits and locks are obeyed ------------------------------------------------------------------------------


def test_it_waits_for_its_slot(carrier):
    """Eight threads and a sender of 10 a second: by the carrier's log no second has more."""
    senders.add(accounts.get(), OURS, mps=10)

    answers = on_threads(8, lambda i: [send_text(f"{i} {n}", OURS, THEIRS) for n in range(2)])

    assert Counter(message.status for sent in answers for message in sent) == {"accepted": 16}
    slots = sorted(TextMessage.objects.values_list("slot_at", flat=True))
    assert min(later - earlier for earlier, later in pairwise(slots)) > 1.02 / 10
    assert len(carrier.accepts()) == 16


def test_the_accounts_limit_holds_over_its_senders(carrier, settings):
    """Two senders without a limit of their own share the account's."""
    settings.PACELINE["PROVIDERS"]["default"]["MPS"] = 10

    for n in range(6):
        send_text("Hi", ("+12025550100", "+12025550101")[n % 2], THEIRS)

    slots = sorted(TextMessage.objects.values_list("slot_at", flat=True))
    assert min(later - earlier for earlier, later in pairwise(slots)) > 1.02 / 10


def test_no_slot_in_time(carrier):
    """A lane that is taken for longer than one waits: failed, nothing has left, nothing stays behind."""
    senders.add(accounts.get(), OURS, mps=0.05)

    message = send_text("Hi", OURS, THEIRS, wait_seconds=0.2)

    assert (message.status, message.code) == ("failed", "no_slot")
    assert isinstance(message.error, Throttled)
    assert not carrier.accepts()


STOPPED = {
    "the number is suppressed": (lambda lane: suppressions.add(THEIRS), "suppressed", "suppressed"),
    "the sender is removed": (lambda lane: senders.remove(lane), "failed", "sender_removed"),
    "the sender is blocked": (lambda lane: lanes.block(lane, "not registered"), "failed", "sender_blocked"),
    "the account is blocked": (lambda lane: lanes.block(lane.account, "no funds"), "failed", "account_blocked"),
    "the cap of the day is used up": (lambda lane: Sender.objects.update(daily_cap=0), "failed", "daily_cap"),
}


@pytest.mark.parametrize("case", STOPPED)
def test_nothing_leaves_when(carrier, case):
    """What stops a campaign stops a single text too, at once, and the row says which it was."""
    lane, _ = senders.add(accounts.get(), OURS, mps=None)
    happens, status, code = STOPPED[case]
    happens(lane)

    message = send_text("Hi", OURS, THEIRS)

    assert (message.status, message.code, message.error.code) == (status, code, code)
    assert not carrier.accepts()


def test_a_removed_sender_is_an_error_of_its_own(carrier):
    """Loud, it is a `SenderProblem`."""
    senders.remove(senders.add(accounts.get(), OURS)[0])

    with pytest.raises(SenderProblem, match="removed"):
        send_text("Hi", OURS, THEIRS, fail_silently=False)


def test_what_happens_between_lease_and_gate_is_obeyed(carrier, monkeypatch):
    """A STOP that comes while the text waits for its slot: nothing is written."""
    reserve = outbox.reserve

    def and_stop(*args, **kwargs):
        lease = reserve(*args, **kwargs)
        suppressions.add(THEIRS)
        return lease

    monkeypatch.setattr(outbox, "reserve", and_stop)
    message = send_text("Hi", OURS, THEIRS)

    assert (message.status, message.error.code) == ("suppressed", "suppressed")
    assert not carrier.accepts()


def test_a_text_that_is_too_old_is_not_sent(carrier):
    """`valid_for` over before the slot came: expired, not submitted."""
    senders.add(accounts.get(), OURS, mps=2)

    message = send_text("Your code", OURS, THEIRS, valid_for=timedelta(seconds=0.05))

    assert (message.status, message.error.code) == ("expired", "expired")
    assert not carrier.accepts()


def test_a_missed_slot_is_void(carrier, monkeypatch):
    """Stalled between gate and write: nothing is written for that slot, another is reserved, one text leaves."""
    senders.add(accounts.get(), OURS, mps=20)
    reserve, gate = outbox.reserve, outbox.gate
    slots = []

    def counted(*args, **kwargs):
        if isinstance(lease := reserve(*args, **kwargs), outbox.Lease):
            slots.append(lease.slot_at)
        return lease

    def stalled(*args, **kwargs):
        passed = gate(*args, **kwargs)
        if len(slots) == 1:
            time.sleep(0.3)
        return passed

    monkeypatch.setattr(outbox, "reserve", counted)
    monkeypatch.setattr(outbox, "gate", stalled)
    message = send_text("Hi", OURS, THEIRS)

    assert message.status == "accepted" and message.slot_at == slots[-1]
    assert len(slots) > 1 and len(carrier.accepts()) == 1


# --- two at once, and death -----------------------------------------------------------------------------------


def test_no_dispatcher_can_take_it(carrier, lane_of_ours):
    """From the first commit on the row is leased: a claim at any moment finds nothing."""
    message = outbox.compose("Hi", lane_of_ours, THEIRS)
    lease = outbox.reserve(message, Clock())

    assert row(message).status == Status.LEASED
    assert outbox.claim(lane_of_ours.account_id, Clock()) == []
    assert [s.lease for s in outbox.gate([lease], Clock())] == [lease]


NOT_YET = [Throttled("slower"), Unavailable("away"), SenderProblem("not registered"), outbox.Missed()]


@pytest.mark.parametrize("answer", NOT_YET, ids=lambda answer: type(answer).__name__)
def test_a_definite_no_stays_with_its_caller(carrier, lane_of_ours, answer):
    """What would go back to the queue is still leased, so that no dispatcher sends it too; time alone gives it back."""
    message = outbox.compose("Hi", lane_of_ours, THEIRS)
    clock = Clock()
    (submission,) = outbox.gate([outbox.reserve(message, clock)], clock)
    outbox.settle([outbox.Outcome(submission.lease, answer, clock.now())], keep_until=clock.now() + 60)

    assert row(message).status == Status.LEASED
    assert outbox.recover(clock.now()) == (0, 0)
    assert outbox.recover(clock.now() + 61) == (1, 0)


def test_what_the_gate_stops_stays_with_its_caller(carrier, lane_of_ours):
    """A sender that is blocked meanwhile: the caller decides, not the queue."""
    message = outbox.compose("Hi", lane_of_ours, THEIRS)
    lease = outbox.reserve(message, Clock())
    lanes.block(lane_of_ours, "not registered")

    assert outbox.gate([lease], Clock(), keep=True) == []
    assert row(message).status == Status.LEASED


def test_a_lease_that_was_recovered_is_taken_again_or_left_to_who_has_it(carrier, lane_of_ours):
    """Back in the queue it may be leased again; leased to somebody else it may not."""
    message = outbox.compose("Hi", lane_of_ours, THEIRS)
    outbox.reserve(message, Clock())
    outbox.recover(MUCH_LATER)
    assert row(message).status == Status.QUEUED

    outbox.reserve(message, Clock())
    outbox.recover(MUCH_LATER)
    (theirs,) = outbox.claim(lane_of_ours.account_id, Clock())

    for again in (lambda: outbox.reserve(message, Clock()), lambda: outbox.give_up(message, Status.FAILED, "", "")):
        with pytest.raises(outbox.Taken):
            again()
    assert row(message).attempt == theirs.attempt


@pytest.mark.parametrize("gated", [False, True])
def test_a_dispatcher_that_starts_meanwhile_leaves_it_alone(carrier, lane_of_ours, gated):
    """It knows that no other dispatcher lives, and nothing of a send_text in another process: that ends by time."""
    message, clock = outbox.compose("Hi", lane_of_ours, THEIRS), Clock()
    lease = outbox.reserve(message, clock)
    if gated:
        outbox.gate([lease], clock, keep=True)

    outbox.recover(lease.slot_at, everything=True)
    assert row(message).status == (Status.SUBMITTING if gated else Status.LEASED)

    outbox.recover(MUCH_LATER)
    assert row(message).status == (Status.UNCERTAIN if gated else Status.QUEUED)


def test_a_dispatcher_that_took_it_is_waited_for(carrier, lane_of_ours, monkeypatch):
    """Recovered under our feet and sent by a dispatcher: the answer is what became of it, and it left once."""
    gate, clock = outbox.gate, Clock()

    def taken_first(leases, clock_, *, keep=False):
        if keep:
            monkeypatch.setattr(outbox, "gate", gate)
            outbox.recover(MUCH_LATER)
            theirs = outbox.claim(lane_of_ours.account_id, clock)
            (submission,) = gate(theirs, clock)
            accepted = texts.transport().submit(accounts.provider("default"), submission.message)
            outbox.settle([outbox.Outcome(theirs[0], accepted, clock.now())])
        return gate(leases, clock_, keep=keep)

    monkeypatch.setattr(outbox, "gate", taken_first)
    message = send_text("Hi", OURS, THEIRS)

    assert (message.status, message.error) == ("accepted", None)
    assert len(carrier.accepts()) == 1


DYING = """
import django, os, sys
django.setup()
from paceline.messaging import outbox, send_text
settle = outbox.settle
def die(*args, **kwargs):
    os.kill(os.getpid(), 9)
def die_with_the_answer(outcomes, **kwargs):
    if isinstance(outcomes[0].result, outbox.Missed):  # a slow machine: another slot
        return settle(outcomes, **kwargs)
    die()
if sys.argv[1] == "before the gate":
    outbox.gate = die
if sys.argv[1] == "after the answer":
    outbox.settle = die_with_the_answer
send_text("Hi", "+12025550100", "+12125550123")
"""


@pytest.mark.skipif("DATABASE_URL" in os.environ, reason="an installation of its own, on SQLite")
@pytest.mark.parametrize(
    ("moment", "status", "taken"), [("before the gate", "queued", 0), ("after the answer", "uncertain", 1)]
)
def test_killed(tmp_path: Path, moment: str, status: str, taken: int) -> None:
    """kill -9 before the gate: the row goes back to the queue, not lost. After the write: uncertain, never again."""
    place = Installation(tmp_path, Behaviour())
    place.cli("sender", "add", OURS, "--mps", "10")
    environment = place.environment | {"DJANGO_SETTINGS_MODULE": "paceline.project.settings"}
    with place.carrier:
        done = subprocess.run([sys.executable, "-c", DYING, moment], env=environment, timeout=60)
        assert done.returncode == -signal.SIGKILL
        recovered = "from paceline.messaging import outbox; outbox.recover(4e9);"
        shown = (
            "from paceline.messaging import TextMessage; print(*TextMessage.objects.values_list('status', flat=True))"
        )
        script = f"import django; django.setup(); {recovered} {shown}"
        after = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=60
        )

        assert after.stdout.split() == [status], after.stderr
        assert len(place.carrier.accepts()) == taken


# --- transactions ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("silently", [True, False])
def test_inside_a_transaction_it_refuses(carrier, silently):
    """A rollback would forget a text that has left; the error names the ways that are right."""
    with transaction.atomic(), pytest.raises(InsideTransaction, match=r"queue_text\(\).*on_commit"):
        send_text("Hi", OURS, THEIRS, silently)

    assert not TextMessage.objects.exists() and not carrier.accepts()


@pytest.mark.django_db(transaction=False)
def test_inside_a_test_case_it_sends(carrier):
    """The transaction that Django's TestCase puts around a test is none that could forget a text."""
    assert send_text("Hi", OURS, THEIRS).status == "accepted"


@pytest.mark.django_db(transaction=False)
def test_within_a_transaction_of_the_test_it_refuses(carrier):
    """Under a TestCase too, what the project has written itself is refused."""
    with transaction.atomic(), pytest.raises(InsideTransaction):
        send_text("Hi", OURS, THEIRS)
