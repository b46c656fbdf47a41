"""Who hears of a message? Three signals with one value each, and `post_save`, after the commit."""

from __future__ import annotations

import json
import logging
import re
import threading
from contextlib import contextmanager

import pytest
from django.db import OperationalError, connection, models, transaction
from django.db.models.signals import post_save
from django.dispatch import receiver

from paceline.messaging import (
    MessageEvent,
    Status,
    TextMessage,
    accounts,
    campaigns,
    delivery_updated,
    engine,
    events,
    message_received,
    message_sent,
    outbox,
    queue_text,
    send_text,
    suppressions,
)
from paceline.sandbox.behaviour import Behaviour
from paceline.sandbox.carrier import Running
from paceline.sms import errors
from paceline.sms.messages import WebhookRequest

from ..installation import ACCOUNT, until
from . import factories

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.contract]

OURS, THEIRS = "+12025550100", "+12125550123"


@contextmanager
def connected(signal, heard, **options):
    signal.connect(heard, weak=False, **options)
    try:
        yield
    finally:
        signal.disconnect(heard, **{k: v for k, v in options.items() if k != "weak"})


@pytest.fixture
def told():
    """What the three signals have sent, in order: (signal's name, event)."""
    log: list[tuple[str, MessageEvent]] = []
    names = {message_sent: "sent", delivery_updated: "updated", message_received: "received"}

    def hear(signal, event, **rest):
        log.append((names[signal], event))

    for signal in names:
        signal.connect(hear)
    yield log
    for signal in names:
        signal.disconnect(hear)


@pytest.fixture
def saved():
    """What `post_save` has sent for `TextMessage`: (pk, status, created)."""
    log: list[tuple[int, str, bool]] = []

    def hear(sender, instance, created, **rest):
        log.append((instance.pk, str(instance.status), created))

    with connected(post_save, hear, sender=TextMessage):
        yield log


def report(message: TextMessage, status: str, **fields) -> None:
    """A delivery report comes in and is applied."""
    body = json.dumps([{"reference": message.reference, "status": status, **fields}]).encode()
    webhook = WebhookRequest("POST", "", {}, "", body)
    events.store(events.Arrival("default", webhook, accounts.provider("default").events(webhook)))
    events.apply_at_once()


def said(told) -> list[tuple[str, str, str | None]]:
    return [(name, event.status.value, event.previous and event.previous.value) for name, event in told]


# --- the three signals ----------------------------------------------------------------------------------------


def test_a_text_that_is_delivered(plain_provider, settings, line, lane, clock, told):
    """Sent when the provider took it, updated at each step of its report; each event says from where to where."""
    settings.PACELINE["APPLY_IN_WEBHOOK"] = True
    (text,) = factories.queued(lane)
    factories.send(clock, line)

    for word in ("sent", "delivered", "delivered", "sent"):
        report(text, word, code="7", reason=f"because {word}")

    assert said(told) == [
        ("sent", "accepted", "submitting"),
        ("updated", "sent", "accepted"),
        ("updated", "delivered", "sent"),
    ]
    event = told[-1][1]
    assert (event.message, event.code, event.reason) == (text, "7", "because delivered")
    assert event.message.status == "delivered" and event.at.tzinfo is not None


ENDS = {
    errors.Refused("barred", code="6"): ("refused", "6", "barred"),
    errors.Uncertain("no answer", code=""): ("uncertain", "", "no answer"),
}


@pytest.mark.parametrize("answer", ENDS, ids=str)
def test_a_text_that_the_provider_did_not_take(line, lane, clock, told, answer):
    """What ends or stops a message is an update, with the provider's code and our reason."""
    factories.queued(lane)
    factories.send(clock, line, lambda message: answer)

    ((name, event),) = told
    assert (name, event.status, event.code, event.reason) == ("updated", *ENDS[answer])


def test_a_text_that_goes_back_to_the_queue_is_nobodys_news(line, lane, clock, told):
    """Queued, leased, submitting and queued again are our own business."""
    factories.queued(lane)
    factories.send(clock, line, lambda message: errors.Throttled("slower"))

    assert told == []


def test_texts_that_end_without_a_submit(line, lane, clock, told):
    """Suppressed at the gate, cancelled with their campaign: updates."""
    (text,) = factories.queued(lane)
    suppressions.add(text.to)
    factories.send(clock, line)
    campaign = factories.launched(3)
    campaigns.cancel(campaign)

    assert said(told) == [("updated", "suppressed", "leased")] + [("updated", "cancelled", "held")] * 3


def test_an_inbound_text(plain_provider, settings, told, saved):
    """Received once, however often its webhook comes, and a new row for `post_save`."""
    settings.PACELINE["APPLY_IN_WEBHOOK"] = True
    body = json.dumps([{"text": "Yes!", "number": THEIRS, "sender": OURS, "provider_id": "in 1"}]).encode()
    webhook = WebhookRequest("POST", "", {}, "", body)
    for _ in range(2):
        events.store(events.Arrival("default", webhook, accounts.provider("default").events(webhook)))
        events.apply_at_once()

    ((name, event),) = told
    assert (name, event.status, event.previous, event.message.text) == ("received", Status.RECEIVED, None, "Yes!")
    assert saved == [(event.message.pk, "received", True)]


# --- reports without a dispatcher -----------------------------------------------------------------------------


def test_with_a_dispatcher_the_door_applies_nothing(plain_provider, settings, line, lane, clock):
    """APPLY_IN_WEBHOOK is False in the product: the event is kept for its dispatcher."""
    (text,) = factories.queued(lane)
    factories.send(clock, line)
    assert settings.PACELINE["APPLY_IN_WEBHOOK"] is False

    report(text, "delivered")
    text.refresh_from_db()
    assert text.status == "accepted"

    events.apply_due(engine.now())
    text.refresh_from_db()
    assert text.status == "delivered"


def test_a_report_that_cannot_be_applied_now_stays_due(plain_provider, settings, line, lane, clock, caplog):
    """The database is away between the webhook's commit and its meaning: logged, no error for the provider."""
    settings.PACELINE["APPLY_IN_WEBHOOK"] = True
    (text,) = factories.queued(lane)
    factories.send(clock, line)

    def away(execute, sql, params, many, context):
        if "UPDATE" in sql and "paceline_textmessage" in sql:
            raise OperationalError("the database is away")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(away):
        report(text, "delivered")
    assert "stays due" in caplog.text

    events.apply_at_once()
    text.refresh_from_db()
    assert text.status == "delivered"


# --- post_save ------------------------------------------------------------------------------------------------


def test_post_save_sees_every_change_of_a_campaign(line, clock, saved):
    """From fan-out to the provider's answer: created once, then each hand-over, past all of the bulk statements."""
    factories.sender(line, mps=None)
    campaign = factories.launched(3)
    assert [(status, created) for _, status, created in saved] == [("held", True)] * 3

    saved.clear()
    campaigns.release(campaign, clock.now())
    factories.send(clock, line)

    steps = ["queued", "leased", "submitting", "accepted"]
    assert [(status, created) for _, status, created in saved] == [(step, False) for step in steps for _ in range(3)]


def test_post_save_sees_what_recovery_and_time_do(line, lane, clock, saved):
    """Requeued, uncertain, unconfirmed: nothing changes in silence."""
    factories.queued(lane, 2)
    first, second = outbox.claim(line.pk, clock)
    outbox.gate([second], clock)
    saved.clear()

    outbox.recover(0.0, everything=True)
    TextMessage.objects.filter(pk=first.id).update(status="sent", submitted_at=0.0)
    outbox.expire_reports()

    assert saved == [(first.id, "queued", False), (second.id, "uncertain", False), (first.id, "unconfirmed", False)]


def test_a_text_that_is_queued_is_created_once(carrier, saved):
    """One created=True, after the commit, when its row can be seen by everybody."""
    with transaction.atomic():
        message = queue_text("Hi", OURS, THEIRS)
        assert saved == []

    assert saved == [(message.pk, "queued", True)]


def test_a_text_that_is_rolled_back_was_never_there(carrier, saved):
    """Nobody hears of what has not happened."""
    with transaction.atomic():
        queue_text("Hi", OURS, THEIRS)
        transaction.set_rollback(True)

    assert saved == []


def test_send_text_tells_each_of_its_steps(carrier, saved, told):
    """Leased with its first commit (again where a busy machine has missed the slot), submitting, accepted."""
    message = send_text("Hi", OURS, THEIRS)

    steps = " ".join(status for _, status, _ in saved)
    assert re.fullmatch("((leased )+submitting )+accepted", steps), steps
    assert saved[0] == (message.pk, "leased", True)
    assert {(pk, created) for pk, _, created in saved[1:]} == {(message.pk, False)}
    assert said(told) == [("sent", "accepted", "submitting")]


# --- what receivers can and cannot do -------------------------------------------------------------------------


def test_a_receiver_that_raises_harms_nothing(carrier, told, caplog):
    """It is logged; the text leaves, the other receivers hear of it."""

    def fail(**rest):
        raise RuntimeError("the receiver's own mistake")

    with (
        connected(message_sent, fail),
        connected(post_save, fail, sender=TextMessage),
        caplog.at_level(logging.ERROR, "django.dispatch"),
    ):
        message = send_text("Hi", OURS, THEIRS)

    assert message.status == "accepted"
    assert said(told) == [("sent", "accepted", "submitting")]
    assert "fail" in caplog.text


def test_a_receiver_may_write_and_send(carrier):
    """It runs after the commit and outside the writer's turn: another text from within it is no deadlock."""
    answers = []

    def answer(event, **rest):
        if event.message.text == "Hi":
            answers.append(send_text("And hello", OURS, THEIRS))

    with connected(message_sent, answer):
        send_text("Hi", OURS, THEIRS)

    assert [message.status for message in answers] == ["accepted"]
    assert [accept.text for accept in carrier.accepts()] == ["Hi", "And hello"]


def test_a_receiver_holds_up_no_other_writer(line, lane, clock):
    """It runs when the next writer has its turn: a thread that writes is not kept waiting for it."""
    wrote = []

    def wait_for_another(**rest):
        thread = threading.Thread(target=lambda: wrote.append(factories.on_threads(1, lambda i: suppress())))
        thread.start()
        thread.join(5)

    def suppress():
        with engine.write():
            return suppressions.add(THEIRS)

    factories.queued(lane)
    with connected(message_sent, wait_for_another):
        factories.send(clock, line)
        assert wrote == [[True]]


def test_without_listeners_nothing_is_asked(line, lane, clock):
    """Nobody listens: not one query more. With somebody three: before, after, and the rows."""

    def queries_of_a_gate() -> int:
        factories.queued(lane)
        leases = outbox.claim(line.pk, clock)
        with connection.execute_wrapper(counting := Counting()):
            assert outbox.gate(leases, clock)
        return counting.queries

    queries_of_a_gate()  # the first of the day counts the cap anew
    alone = queries_of_a_gate()
    with connected(delivery_updated, print):
        heard = queries_of_a_gate()

    assert heard - alone == 3


class Counting:
    def __init__(self):
        self.queries = 0

    def __call__(self, execute, sql, params, many, context):
        self.queries += 1
        return execute(sql, params, many, context)


# --- the receivers of the documentation that projects come from ------------------------------------------------


class Notification(models.Model):
    message = models.ForeignKey(TextMessage, models.DO_NOTHING, related_name="+", db_constraint=False)
    status = models.CharField(max_length=12, blank=True)

    class Meta:
        app_label = "notifications"

    def __str__(self):
        return self.status


@pytest.fixture
def notifications(transactional_db):
    """The table of a host project's model."""
    with connection.schema_editor() as editor:
        editor.create_model(Notification)
    yield Notification.objects
    with connection.schema_editor() as editor:
        editor.delete_model(Notification)


@pytest.fixture
def seeds_receivers():
    """As django-simple-sms documents them, with today's imports."""

    @receiver(post_save, sender=TextMessage, dispatch_uid="message_update_user")
    def update_notification(sender, **kwargs):
        """Update 'Notification' object when the text message was sent."""
        message = kwargs.get("instance")
        created = kwargs.get("created")

        if not created:
            Notification.objects.filter(message=message).update(status=message.status)

    @receiver(post_save, sender=TextMessage, dispatch_uid="message_create_notification")
    def create_notification(sender, **kwargs):
        """Create a new 'Notification' object when a text message is received."""
        message = kwargs.get("instance")
        created = kwargs.get("created")

        if created:
            Notification.objects.create(message=message)

    yield
    for uid in ("message_update_user", "message_create_notification"):
        post_save.disconnect(sender=TextMessage, dispatch_uid=uid)


def test_the_receivers_that_projects_have(live_server, settings, tmp_path, notifications, seeds_receivers):
    """A text, its delivery report and the answer to it, over a real server and no dispatcher: each has its row."""
    where = f"{live_server.url}/webhooks/default"
    behaviour = Behaviour(report_delay=0.1, replies=1.0, reply_delay=0.1)
    urls = {"status_url": f"{where}/status", "inbound_url": f"{where}/inbound"}
    with Running(behaviour, ledger=tmp_path / "carrier.jsonl", wire=ACCOUNT, **urls) as carrier:
        options = {
            "api_key": ACCOUNT.api_key,
            "api_secret": ACCOUNT.api_secret,
            "signature_secret": ACCOUNT.signature_secret,
            "base_url": carrier.url,
        }
        settings.PACELINE = {"PROVIDERS": {"default": {"BACKEND": "vonage", "OPTIONS": options}}, "REGION": "US"}
        message = send_text("Can you come?", OURS, THEIRS)

        until(lambda: notifications.filter(message=message, status="delivered").exists(), 10)
        until(lambda: notifications.filter(message__direction="incoming").exists(), 10)
        carrier.settle()

    assert notifications.count() == 2
    message.refresh_from_db()
    assert (message.simple_status, message.currency) == ("delivered", "EUR") and message.price > 0
