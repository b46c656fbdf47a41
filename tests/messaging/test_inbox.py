"""What do people answer? Every text is kept once, and their STOP and START are in force with the webhook's commit."""

import json
from contextlib import contextmanager
from time import sleep

import pytest

from paceline.messaging import engine, events, inbox, suppressions
from paceline.messaging.models import Event, TextMessage
from paceline.sms.messages import WebhookRequest
from paceline.sms.status import Status

from .factories import NOON, Plain, account, number, on_threads, people, sender

pytestmark = [pytest.mark.django_db, pytest.mark.contract, pytest.mark.usefixtures("plain_provider")]


def receive(text, by, *, provider_id="in-1", to="+12025550100"):
    """A webhook with one inbound text, stored as the door stores it."""
    receive_all({"number": by, "sender": to, "text": text, "provider_id": provider_id})


def receive_all(*items):
    webhook = WebhookRequest("POST", "", {}, "", json.dumps(items).encode())
    events.store("default", webhook, Plain().events(webhook))


def is_suppressed(who):
    return suppressions.among([who]) == {who}


# --- what is kept ---------------------------------------------------------------------------------------------


def test_an_inbound_text_is_kept_with_who_and_where():
    """It becomes a message of the contact who wrote it and the sender it was written to; it is no campaign's."""
    lane = sender(account())
    (person,) = people(1)

    receive("Running late 🚕", person.number, to=lane.number)
    events.apply_due(NOON)

    text = TextMessage.objects.get()
    assert (text.status, text.direction) == (Status.RECEIVED, TextMessage.Direction.INCOMING)
    assert (text.frm, text.to, text.text) == (person.number, lane.number, "Running late 🚕")
    assert (text.contact, text.sender, text.provider_id) == (person, lane, "in-1")


def test_a_stranger_is_kept_too():
    """A text from somebody whom we do not know, to a number that is not ours, is not lost."""
    receive("Who is this?", number(1))
    events.apply_due(NOON)

    text = TextMessage.objects.get()
    assert (text.contact, text.sender, text.frm) == (None, None, number(1))


def test_the_same_webhook_twice_is_one_text():
    """A provider that repeats itself, or a round that is repeated after a kill, keeps one text."""
    for _ in range(2):
        receive("Hello", number(1))
    events.apply_due(NOON)
    Event.objects.update(next_try_at=0)
    events.apply_due(NOON)

    assert TextMessage.objects.count() == 1


def test_the_same_words_on_another_day_are_another_text():
    """What tells them apart is the provider's id."""
    receive("Yes", number(1), provider_id="in-1")
    receive("Yes", number(1), provider_id="in-2")
    events.apply_due(NOON)

    assert TextMessage.objects.count() == 2


def test_several_texts_in_one_webhook():
    """A provider that sends texts in batches loses none of them, though somebody says the same twice."""
    said = [(number(1), "in-1"), (number(1), "in-2"), (number(2), "in-3")]
    receive_all(*({"number": who, "sender": "40404", "text": "Hello", "provider_id": id} for who, id in said))
    events.apply_due(NOON)

    assert list(TextMessage.objects.order_by("provider_id").values_list("frm", "provider_id")) == said


# --- STOP and START -------------------------------------------------------------------------------------------


def test_stop_is_in_force_when_the_webhook_is_stored():
    """Before anything is applied, the number is suppressed, with the word as evidence."""
    receive(" Stop! ", number(1))

    assert is_suppressed(number(1))
    assert "Stop!" in suppressions.Suppression.objects.get().evidence


@pytest.mark.django_db(transaction=True)
def test_a_stop_that_cannot_be_obeyed_is_not_stored(monkeypatch):
    """Webhook and opt-out are one commit: without the one there is not the other, and the provider tries again."""

    def broken(text):
        raise RuntimeError("the disk is gone")

    with monkeypatch.context() as patch, pytest.raises(RuntimeError):
        patch.setattr(inbox, "obey", broken)
        receive("STOP", number(1))
    assert not Event.objects.exists()

    receive("STOP", number(1))

    assert is_suppressed(number(1))


def test_what_the_provider_took_for_a_stop_is_one():
    """In words that nobody here knows; the provider would refuse the next text."""
    receive_all({"number": number(1), "sender": "40404", "text": "basta", "provider_id": "in-1", "opted_out": True})

    assert is_suppressed(number(1))
    assert "basta" in suppressions.Suppression.objects.get().evidence


def test_start_lifts_an_opt_out():
    """Who has stopped may be texted again after their START."""
    receive("STOP", number(1), provider_id="in-1")
    receive("start", number(1), provider_id="in-2")

    assert not is_suppressed(number(1))


def test_start_does_not_lift_what_others_have_set():
    """An entry of an operator stays, whatever the person writes."""
    suppressions.add(number(1))

    receive("START", number(1))

    assert is_suppressed(number(1))


def test_a_replayed_start_after_a_later_stop():
    """A webhook that comes again changes nothing: the old START does not lift the STOP that followed it."""
    receive("START", number(1), provider_id="in-1")
    receive("STOP", number(1), provider_id="in-2")

    receive("START", number(1), provider_id="in-1")

    assert is_suppressed(number(1))


@pytest.mark.parametrize("text", ["Please don't stop", "I cannot START before 9", "", "STOP" * 50])
def test_only_the_exact_word_counts(text):
    """A word inside a sentence is no order."""
    suppressions.add(number(2), suppressions.Reason.OPT_OUT)

    receive(text, number(1), provider_id="in-1")
    receive(text, number(2), provider_id="in-2")

    assert (is_suppressed(number(1)), is_suppressed(number(2))) == (False, True)


def test_a_name_is_nobody_to_suppress():
    """A STOP that seems to come from a name or a short code makes no entry: no text could go there."""
    receive("STOP", "AcmeBank")
    receive("STOP", "40404", provider_id="in-2")

    assert not suppressions.Suppression.objects.exists()


# --- many at once ---------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_many_webhooks_at_once_share_their_commits(monkeypatch):
    """Twenty doors at the same moment: every STOP is in force when its own door returns, a repeated one once."""
    commits = []
    write = engine.write

    @contextmanager
    def counted():
        commits.append(1)
        with write():
            yield
            if len(commits) == 1:
                sleep(0.3)  # a slow disk: the others gather meanwhile

    monkeypatch.setattr(engine, "write", counted)

    def door(i):
        who = number(i // 2)  # two doors get the same webhook
        receive("STOP", who)
        return is_suppressed(who)

    assert on_threads(20, door) == [True] * 20
    assert Event.objects.count() == suppressions.Suppression.objects.count() == 10
    assert len(commits) < 10
