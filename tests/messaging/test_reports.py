"""What does a delivery report change? Whatever the order and repetition, the same; upwards only."""

import json
from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paceline.messaging import accounts, events, outbox, reports, suppressions
from paceline.messaging.models import Event, Sender, TextMessage
from paceline.sms import errors
from paceline.sms.messages import WebhookRequest
from paceline.sms.status import RANK, Status

from .factories import NOON, Plain, account, pass_gate, queued, send, sender, settle, undone

pytestmark = [pytest.mark.django_db, pytest.mark.contract, pytest.mark.usefixtures("plain_provider")]


@pytest.fixture
def text(lane):
    """A text that the provider took as "abc"."""
    return queued(lane, status=Status.ACCEPTED, provider_id="abc")[0]


def say(*items, of="default"):
    """One verified webhook of an account, stored as the door stores it."""
    webhook = WebhookRequest("POST", "", {}, "", json.dumps(items).encode())
    events.store(events.Arrival(of, webhook, Plain().events(webhook)))


def say_and_apply(*items, of="default", now=NOON):
    say(*items, of=of)
    events.apply_due(now)


def now_of(row):
    row.refresh_from_db()
    return row


# --- any order, any repetition --------------------------------------------------------------------------------

LIFE = [
    {"status": "accepted"},
    {"status": "sent", "segments": 2},
    {"status": "unconfirmed", "code": "7"},
    {"status": "undelivered", "code": "1320", "reason": "blocked by the carrier"},
    {"status": "delivered", "price": "0.0081", "currency": "USD"},
    {"word": "a status that nobody knows"},
]


@pytest.mark.parametrize("last", range(1, len(LIFE)))
def test_any_order_and_repetition_ends_in_the_same_state(lane, last):
    """Reports of one text in any order, repeated, by reference or provider's id, in any grouping: the same end."""
    text = queued(lane, status=Status.SUBMITTING)[0]
    life = LIFE[:last] + LIFE[-1:]

    @settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
    @given(said=st.permutations(life), again=st.lists(st.sampled_from(life)), pauses=st.sets(st.integers(0, 8)))
    def holds(said, again, pauses):
        with undone():
            for i, fields in enumerate([*said, *again]):
                name = {"reference": text.reference} if i % 3 else {"provider_id": "abc"}
                if not i:
                    name |= {"reference": text.reference}  # the first one says which is which
                say(fields | name)
                if i == 0 or i in pauses:
                    events.apply_due(NOON)
            events.apply_due(NOON)

            highest = max((f for f in life if "status" in f), key=lambda f: RANK[Status(f["status"])])
            now_of(text)
            assert text.status == highest["status"]
            assert (text.code, text.reason) == (highest.get("code", ""), highest.get("reason", ""))
            assert text.segments == (2 if last > 1 else 1)
            assert text.price == (Decimal("0.0081") if last > 4 else None)
            assert not Event.objects.exclude(next_try_at=None).exists()

    holds()


def test_the_same_webhook_twice_is_one_event(text):
    """A provider that repeats itself changes nothing; the same words about another account are another event."""
    say({"status": "sent", "provider_id": "abc"})
    say({"status": "sent", "provider_id": "abc"})
    say({"status": "sent", "provider_id": "abc"}, of="other")

    assert Event.objects.count() == 2


def test_reports_of_one_text_under_both_names_in_one_go(text):
    """One report by our reference and one by the provider's id, applied together: both count."""
    say_and_apply({"status": "sent", "reference": text.reference}, {"status": "delivered", "provider_id": "abc"})

    assert now_of(text).status == Status.DELIVERED


# --- which message --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("before", [Status.QUEUED, Status.LEASED, Status.SUBMITTING, Status.UNCERTAIN])
def test_a_report_by_reference_lifts_out_of_a_hand_over(line, lane, clock, before):
    """Who reports on a text has it: whatever we thought, it is settled and never sent again."""
    text = queued(lane, status=before, attempt="a", lease_until=NOON, slot_at=NOON)[0]

    say_and_apply({"status": "delivered", "reference": text.reference, "provider_id": "abc"})

    now_of(text)
    assert (text.status, text.provider_id, text.lease_until) == (Status.DELIVERED, "abc", None)
    assert text.reported_at is not None
    outbox.recover(clock.now() + 100, everything=True)
    assert outbox.claim(line.pk, clock) == []
    assert outbox.gate([outbox.Lease(text.pk, "a", NOON, lane.pk)], clock) == []


@pytest.mark.parametrize("before", [Status.SUPPRESSED, Status.CANCELLED])
def test_a_text_that_ended_without_a_submit_stays_so(lane, before):
    """A report cannot raise what was never sent; its event is applied all the same."""
    text = queued(lane, status=before)[0]

    say_and_apply({"status": "delivered", "reference": text.reference})

    assert now_of(text).status == before


def test_a_report_that_settles_an_uncertain_text_opens_its_lane(line, lane, clock):
    """A lane that probes after three uncertain goes on when a report clears one of them."""
    queued(lane, 10)
    for submission in outbox.gate(outbox.claim(line.pk, clock)[:3], clock):
        settle(submission.lease, errors.Uncertain("timed out"), clock)
    uncertain = TextMessage.objects.filter(status=Status.UNCERTAIN)[0]

    say_and_apply({"status": "delivered", "reference": uncertain.reference})

    assert Sender.objects.get().uncertain_streak == 0


def test_a_report_by_provider_id_is_for_its_own_account(text):
    """Two accounts may use the same id: only the one that sent the text is heard."""
    other = queued(sender(account(alias="other")), status=Status.ACCEPTED, provider_id="abc")[0]

    say_and_apply({"status": "delivered", "provider_id": "abc"}, of="other")

    assert (now_of(text).status, now_of(other).status) == (Status.ACCEPTED, Status.DELIVERED)


def test_a_long_provider_id_is_found_again(line, lane, clock):
    """An id that is longer than we keep is cut the same way in the answer and in its reports."""
    text = queued(lane)[0]
    (submission,) = pass_gate(clock, line)
    settle(submission.lease, outbox.Accepted("x" * 100), clock)

    say_and_apply({"status": "delivered", "provider_id": "x" * 100})

    assert now_of(text).status == Status.DELIVERED


def test_an_inbound_text_is_no_target(lane):
    """What came in is never reported on, whatever reference or id a report carries."""
    inbound = queued(lane, status=Status.RECEIVED, direction=TextMessage.Direction.INCOMING, provider_id="abc")[0]

    say_and_apply({"status": "delivered", "reference": inbound.reference, "provider_id": "abc", "segments": 9})

    assert (now_of(inbound).status, inbound.segments) == (Status.RECEIVED, 1)


# --- before its message is known ------------------------------------------------------------------------------


def test_an_early_report_waits_for_its_message(line, lane, clock):
    """A report whose message is not known yet is kept and tried again, less and less often, until it is."""
    say({"status": "delivered", "provider_id": "early"})
    waits = []
    for _ in range(20):
        events.apply_due(clock.now())
        waits.append(Event.objects.get().next_try_at - clock.now())
        clock.at += waits[-1]
    assert waits[0] <= 1
    assert waits == sorted(waits)
    assert waits[-1] <= 3600

    queued(lane)
    send(clock, line, lambda message: outbox.Accepted("early"))
    events.apply_due(clock.now())

    assert TextMessage.objects.get().status == Status.DELIVERED
    assert Event.objects.get().next_try_at is None


def test_an_unknown_reference_is_given_up_after_72_hours():
    """Then the event stays, for people, with what became of it."""
    say({"status": "delivered", "reference": "f" * 32})
    events.apply_due(NOON)
    assert Event.objects.get().next_try_at is not None

    Event.objects.update(received_at=timezone.now() - timedelta(hours=73))
    events.apply_due(NOON + 10)

    event = Event.objects.get()
    assert (event.next_try_at, event.outcome) == (None, "no message with this reference or provider_id")


def test_one_of_several_reports_is_early(text):
    """A webhook of several reports is tried again as a whole, which changes nothing for those that were applied."""
    say_and_apply({"status": "delivered", "provider_id": "abc"}, {"status": "sent", "provider_id": "early"})
    assert now_of(text).status == Status.DELIVERED

    early = queued(text.sender, status=Status.ACCEPTED, provider_id="early")[0]
    events.apply_due(NOON + 10)

    assert (now_of(text).status, now_of(early).status) == (Status.DELIVERED, Status.SENT)


@pytest.mark.parametrize(("body", "why"), [(b"<xml>", "WebhookRejected"), (b'[{"colour": "red"}]', "TypeError")])
def test_an_event_that_cannot_be_read_is_parked(text, body, why):
    """It stays with the reason and is not tried again; the others of the same round go on."""
    events.store(events.Arrival("default", WebhookRequest("POST", "", {}, "", body), []))
    say_and_apply({"status": "delivered", "provider_id": "abc"})

    parked = Event.objects.get(outcome__startswith="unreadable")
    assert (why in parked.outcome, parked.next_try_at, bytes(parked.body)) == (True, None, body)
    assert now_of(text).status == Status.DELIVERED


def test_more_events_than_one_round_takes(lane):
    """A round applies the oldest hundred; the next ones the rest."""
    texts = queued(lane, 150, status=Status.ACCEPTED)
    for text in texts:
        say({"status": "delivered", "reference": text.reference})

    assert [events.apply_due(NOON) for _ in range(3)] == [100, 50, 0]
    assert TextMessage.objects.filter(status=Status.DELIVERED).count() == 150


def test_a_round_that_was_killed_is_repeated_without_a_trace(text):
    """Reports applied but not yet marked so are applied again: the same end."""
    say_and_apply({"status": "undelivered", "provider_id": "abc", "code": "1", "price": "0.01", "currency": "EUR"})
    before = TextMessage.objects.values().get()
    Event.objects.update(next_try_at=0)

    events.apply_due(NOON)

    after = TextMessage.objects.values().get()
    assert {**before, "reported_at": None} == {**after, "reported_at": None}


# --- what it says ---------------------------------------------------------------------------------------------


def test_price_and_segments_are_kept(text):
    """What the provider counted and charged is on the message; a report without them takes nothing away."""
    say_and_apply({"status": "sent", "provider_id": "abc", "price": "0.0075", "currency": "USD", "segments": 3})
    say_and_apply({"status": "delivered", "provider_id": "abc"})

    now_of(text)
    assert (text.price, text.currency, text.segments) == (Decimal("0.0075"), "USD", 3)


def test_a_status_that_nobody_knows_changes_no_status(text):
    """A new word of the provider's is kept with its event; its price still counts."""
    say_and_apply({"word": "teleported", "provider_id": "abc", "price": "0.01", "currency": "USD"})

    assert (now_of(text).status, text.price) == (Status.ACCEPTED, Decimal("0.01"))


def test_an_opt_out_in_a_report_suppresses(text):
    """A report that says that the recipient has stopped forbids further texts."""
    say_and_apply({"status": "undelivered", "provider_id": "abc", "opted_out": True})

    assert suppressions.among([text.to]) == {text.to}


def test_an_event_that_cannot_be_applied_is_parked_and_the_others_go_on(text, monkeypatch):
    """A poisonous report fails neither the round nor its neighbours, and is not tried for ever."""
    take_in = reports._raise

    def choke(message, report):
        if report.code == "poison":
            raise ValueError("too much")
        return take_in(message, report)

    monkeypatch.setattr(reports, "_raise", choke)
    say({"status": "sent", "reference": text.reference, "code": "poison"})
    say_and_apply({"status": "delivered", "reference": text.reference})

    assert now_of(text).status == Status.DELIVERED
    assert Event.objects.get(outcome="could not be applied: ValueError").next_try_at is None


def test_a_report_of_an_account_that_is_not_in_the_settings_waits_for_it(text, settings):
    """A provider taken out of the settings by mistake loses no report."""
    say({"status": "delivered", "reference": text.reference})
    providers, settings.PACELINE = settings.PACELINE, {"PROVIDERS": {}}
    accounts.provider.cache_clear()
    events.apply_due(NOON)
    settings.PACELINE = providers
    events.apply_due(NOON + 60)

    assert now_of(text).status == Status.DELIVERED
