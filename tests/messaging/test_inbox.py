"""What do people answer? Every text is kept once, and their STOP and START are in force with the webhook's commit."""

import json
import time
from contextlib import contextmanager
from datetime import timedelta
from time import sleep

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from paceline.messaging import conversations, engine, events, inbox, suppressions
from paceline.messaging.models import Conversation, Event, Reply, Spell, TextMessage
from paceline.sms.messages import WebhookRequest
from paceline.sms.status import Status

from .factories import (
    NOON,
    Plain,
    account,
    conversation,
    inbound,
    number,
    on_threads,
    people,
    running,
    sender,
    unsaved,
)

pytestmark = [pytest.mark.django_db, pytest.mark.contract, pytest.mark.usefixtures("plain_provider")]


def receive(text, by, *, provider_id="in-1", to="+12025550100"):
    """A webhook with one inbound text, stored as the door stores it."""
    receive_all({"number": by, "sender": to, "text": text, "provider_id": provider_id})


def receive_all(*items):
    webhook = WebhookRequest("POST", "", {}, "", json.dumps(items).encode())
    events.store(events.Arrival("default", webhook, Plain().events(webhook)))


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


# --- which message it answers ---------------------------------------------------------------------------------


def sent(lane, person, *, seconds_ago=60.0, campaign=None, **fields):
    """A message of ours that was submitted so long ago."""
    fields = {"status": Status.DELIVERED, "submitted_at": time.time() - seconds_ago} | fields
    return TextMessage.objects.create(
        sender=lane,
        frm=lane.number,
        to=person.number,
        contact=person,
        campaign=campaign,
        text="Doors open at 7",
        **fields,
    )


def answer_of(person, lane):
    receive("Count me in", person.number, to=lane.number)
    events.apply_due(time.time() + 1)
    return Reply.objects.get()


def test_a_reply_is_attributed_to_the_campaign_that_it_answers(lane):
    """The campaign, the message, how long it took: what is learned of a campaign stands in one row."""
    (person,) = people(1)
    campaign = running()
    message = sent(lane, person, campaign=campaign)

    reply = answer_of(person, lane)

    assert (reply.campaign, reply.answers, reply.conversation.campaign) == (campaign, message, campaign)
    assert 60 <= reply.delay_seconds < 70


def test_the_latest_message_counts(lane):
    """A direct text after the campaign's is what they answer, and that is no campaign's."""
    (person,) = people(1)
    sent(lane, person, campaign=running(), seconds_ago=60)
    direct = sent(lane, person, seconds_ago=30)
    sent(lane, person, campaign=running(), seconds_ago=90)

    reply = answer_of(person, lane)

    assert (reply.answers, reply.campaign) == (direct, None)


def test_the_number_that_they_write_to_counts_first(line, lane):
    """A later message from another of our numbers is not what they answer; the only one, it is."""
    first, second = people(2)
    campaign, other = running(), running()
    sent(lane, first, campaign=campaign, seconds_ago=60)
    sent(sender(line), first, campaign=other, seconds_ago=30)
    sent(sender(line), second, campaign=other, seconds_ago=30)

    receive_all(
        *({"number": p.number, "sender": lane.number, "text": "Yes", "provider_id": str(p.pk)} for p in (first, second))
    )
    events.apply_due(time.time() + 1)

    assert [reply.campaign for reply in Reply.objects.order_by("pk")] == [campaign, other]


@pytest.mark.parametrize(
    "fields",
    [
        {"seconds_ago": 31 * 86400},
        {"seconds_ago": -3600},
        {"status": Status.REFUSED},
        {"status": Status.QUEUED, "submitted_at": None},
    ],
    ids=["a month ago", "after the reply", "refused", "not yet"],
)
def test_what_cannot_have_been_answered(lane, fields):
    """The text is kept, as nobody's answer."""
    (person,) = people(1)
    sent(lane, person, campaign=running(), **fields)

    reply = answer_of(person, lane)

    assert (reply.campaign, reply.answers, reply.delay_seconds) == (None, None, None)
    assert reply.conversation.state == "open"


def test_an_answer_to_no_campaign_leaves_the_campaign_of_the_conversation(lane):
    """It goes on about the campaign that it began with."""
    (person,) = people(1)
    campaign = running()
    sent(lane, person, campaign=campaign)
    talk = conversation(lane, "Is there parking?", person.number)
    conversations.reply(talk, "Yes")
    TextMessage.objects.filter(team_reply__isnull=False).update(
        status=Status.DELIVERED, submitted_at=time.time(), campaign=None
    )

    after = conversation(lane, "Thanks", person.number, received_at=timezone.now() + timedelta(seconds=5))

    assert (after.campaign, after.replies.latest("pk").campaign) == (campaign, None)


# --- once -----------------------------------------------------------------------------------------------------


def everything():
    """All that texts have written."""
    models = (TextMessage, Conversation, Reply, Spell)
    return [list(model.objects.order_by("pk").values()) for model in models]


def test_a_webhook_replayed_a_thousand_times_changes_nothing(lane):
    """Not what is stored, unread or waiting; nor does it reopen what has been closed since."""
    (person,) = people(1)
    receive("Is there parking?", person.number, to=lane.number)
    events.apply_due(time.time() + 1)
    conversations.close(Conversation.objects.get(), "ann")
    before = everything()

    for i in range(1000):
        receive("Is there parking?", person.number, to=lane.number)
        if i % 100 == 0:
            Event.objects.update(next_try_at=0)
            events.apply_due(time.time() + 1)

    assert everything() == before


def test_repeated_with_other_words_around_it(lane):
    """A provider that sends the same text again in another webhook (another date, another batch) has sent it once."""
    (person,) = people(1)
    same = {"number": person.number, "sender": lane.number, "text": "Hello", "provider_id": "in-1"}
    receive_all(same)
    receive_all(same, same | {"text": "And another", "provider_id": "in-2"})
    events.apply_due(time.time() + 1)

    talk = Conversation.objects.get()
    assert (talk.unread, TextMessage.objects.count(), Reply.objects.count()) == (2, 2, 2)


@pytest.mark.django_db(transaction=True)
def test_two_that_apply_the_same_events_at_once(lane):
    """Each text is stored once and counted as unread once, whoever was quicker."""
    writers = people(30)
    for i, person in enumerate(writers):
        for j in range(2):
            inbound(f"Text {j}", person.number, lane.number, f"in-{i}-{j}")

    def applies(i):
        while events.apply_due(time.time() + 1):
            pass

    answers = on_threads(3, applies)
    while events.apply_due(time.time() + 1):
        pass

    assert [error for error in answers if error and not isinstance(error, OperationalError)] == []
    assert TextMessage.objects.count() == Reply.objects.count() == 60
    assert set(Conversation.objects.values_list("unread", flat=True)) == {2}
    assert Spell.objects.count() == Conversation.objects.count() == 30


def test_one_text_that_cannot_be_stored_keeps_nobody_else_waiting(lane, monkeypatch):
    """It is parked with the reason; the others of its chunk are in the inbox."""
    take_in = conversations.take_in

    def broken(texts):
        if any(text.message.text == "poison" for text in texts):
            raise ValueError("no")
        return take_in(texts)

    monkeypatch.setattr(conversations, "take_in", broken)
    for said in ("Hello", "poison", "Hi"):
        inbound(said, number(), lane.number)
    events.apply_due(time.time() + 1)

    assert set(TextMessage.objects.values_list("text", flat=True)) == {"Hello", "Hi"}
    assert Event.objects.filter(outcome__startswith="could not").count() == 1


def test_the_statements_do_not_grow_with_the_texts(lane):
    """Fifty texts cost as many statements as ten."""

    def statements(how_many):
        for person in people(how_many):
            inbound("Hello", person.number, lane.number)
        with CaptureQueriesContext(connection) as queries:
            events.apply_due(time.time() + 1)
        return len(queries)

    assert statements(events.TEXTS_AT_ONCE) <= statements(10) < 30


def test_the_rate_of_inbound_texts(lane, capsys):
    """How many texts a second one core stores, attributes and puts into conversations; printed, not judged."""
    people_ = people(2000)
    campaign = running()
    TextMessage.objects.bulk_create(
        [
            TextMessage(
                **{"sender": lane, "frm": lane.number, "to": person.number, "contact": person, "campaign": campaign},
                **{"text": "Hi", "status": Status.DELIVERED, "submitted_at": time.time() - 60},
            )
            for person in people_
        ]
    )
    Event.objects.bulk_create([unsaved("Count me in", p.number, lane.number) for p in people_])
    wall, cpu = time.perf_counter(), time.process_time()

    while events.apply_due(time.time() + 1):
        pass

    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    with capsys.disabled():
        print(f"\n{2000 / wall:.0f} inbound texts a second, {2000 / cpu:.0f} in a second of this process's CPU")
    assert Reply.objects.filter(campaign=campaign).count() == Conversation.objects.count() == 2000


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
