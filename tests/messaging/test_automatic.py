"""What is answered without a person? Once, from the number that was written to, and never in circles."""

from __future__ import annotations

import json
import logging
import time
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from paceline.messaging import automatic, conversations, engine, events, outbox, rules, signals, suppressions
from paceline.messaging.models import (
    AutomaticText,
    Contact,
    ContactTag,
    Conversation,
    Errand,
    Event,
    KeywordRule,
    Membership,
    Sender,
    TextMessage,
)
from paceline.sms.messages import WebhookRequest
from paceline.sms.status import Status

from .factories import NOON, Clock, Plain, account, audience, number, pass_gate, people, sender

pytestmark = [pytest.mark.django_db, pytest.mark.contract, pytest.mark.usefixtures("plain_provider")]

SECRET = "whsec_" + "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IQ=="
REPLY = {"do": "reply", "text": "We answer by e-mail: help@example.org"}


@pytest.fixture(autouse=True)
def program(settings):
    """A program that has a name, so that STOP, START and HELP are answered."""
    ours = {"PROGRAM_NAME": "Opening Night", "HELP_CONTACT": "help@example.org", "WEBHOOK_SECRET": SECRET}
    settings.PACELINE = settings.PACELINE | ours


@pytest.fixture
def lane(line):
    """The sender that people write to."""
    return sender(line, mps=None, number="+12025550100")


@pytest.fixture
def person():
    """Somebody who writes to us."""
    return people(1)[0]


def hear(text, by, to="+12025550100", *, account="default", provider_id="", at=None):
    """A webhook with one inbound text, stored and applied."""
    by = getattr(by, "number", by)
    items = [{"number": by, "sender": to, "text": text, "provider_id": provider_id or f"in-{time.monotonic_ns()}"}]
    webhook = WebhookRequest("POST", "", {}, "", json.dumps(items).encode())
    events.store(events.Arrival(account, webhook, Plain().events(webhook)))
    if at is not None:
        Event.objects.filter(outcome="").update(received_at=at)
    events.apply_due(NOON * 2)


def said(to=None):
    """What we have queued, in order: the texts to somebody, or all."""
    texts = TextMessage.objects.filter(direction="outgoing").order_by("pk")
    if to is not None:
        texts = texts.filter(to=getattr(to, "number", to))
    return list(texts.values_list("text", flat=True))


def held():
    """Why texts were held back, in order."""
    return list(AutomaticText.objects.exclude(held="").order_by("pk").values_list("held", flat=True))


def later(seconds):
    """Everything automatic was so much longer ago."""
    AutomaticText.objects.update(at=F("at") - seconds)


def rule(*actions, match="any", words="", name="Rule", **options):
    return rules.add(name, match, words, actions, **options)


# --- STOP, START, HELP --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "wanted"),
    [
        ("STOP", ["Opening Night", "no more messages", "help@example.org"]),
        ("Start", ["Opening Night", "Welcome back", "STOP"]),
        ("help", ["Opening Night", "help@example.org", "frequency", "rates may apply", "STOP"]),
    ],
)
def test_an_order_is_confirmed(lane, person, word, wanted):
    """By one text from the number that they wrote to, ahead of bulk, which says who we are and where help is."""
    hear(word, person)

    text = TextMessage.objects.get(direction="outgoing")
    assert (text.to, text.sender, text.priority) == (person.number, lane, outbox.PRIORITY_DIRECT)
    assert all(words in text.text for words in wanted), text.text


def test_a_confirmation_is_one_segment(lane, person):
    """Of plain letters, so that it costs no more than it must."""
    for word in ("STOP", "START", "HELP"):
        hear(word, person)

    assert list(TextMessage.objects.filter(direction="outgoing").values_list("segments", flat=True)) == [1, 1, 1]


def test_a_stop_is_confirmed_once_a_day(lane, person):
    """However often it is said."""
    for _ in range(3):
        hear("STOP", person)
    assert len(said(person)) == 1

    later(86_401)
    hear("STOP", person)

    assert (len(said(person)), held()) == (2, ["confirmed already"] * 2)


def test_a_confirmation_comes_soon_or_never(lane, person):
    """One that would be queued later than five minutes after the text is not; one that is queued expires by then."""
    hear("STOP", person, at=timezone.now() - timedelta(seconds=301))
    assert (said(), held()) == ([], ["too late"])

    hear("HELP", person)

    text = TextMessage.objects.get(direction="outgoing")
    assert text.expires_at - timezone.now() <= timedelta(seconds=300)


@pytest.mark.parametrize("by", ["12345", "+12345", "PACELINE", "+0012065550"])
def test_nobody_is_answered_who_has_no_number(lane, by):
    """Short codes and names are machines."""
    rule(REPLY)
    for word in ("STOP", "HELP", "Hello"):
        hear(word, by)

    assert said() == []


def test_without_a_name_nothing_is_confirmed(lane, person, settings):
    """Whoever has not said who they are says nothing."""
    settings.PACELINE = settings.PACELINE | {"PROGRAM_NAME": ""}
    hear("STOP", person)

    assert (said(), AutomaticText.objects.count()) == ([], 0)


def test_words_of_ones_own(lane, person, settings):
    """In another language, say."""
    settings.PACELINE = settings.PACELINE | {"STOP_TEXT": "Sie erhalten nichts mehr von uns."}
    hear("STOPP", person)

    assert said(person) == ["Sie erhalten nichts mehr von uns."]


@pytest.mark.parametrize(
    ("setting", "to", "answers", "wanted"),
    [
        ("auto", "+12025550100", False, ["stop", "start", "help"]),
        ("auto", "+12025550100", True, []),
        ("yes", "+12025550100", True, ["stop", "start", "help"]),
        ("no", "+12025550100", False, []),
        ("auto", "+18885550100", False, ["help"]),
        ("yes", "+18885550100", False, ["stop", "start", "help"]),
    ],
)
def test_what_the_provider_answers_is_not_answered_twice(line, settings, monkeypatch, setting, to, answers, wanted):
    """By its capability, unless the setting says; in the United States a toll-free number's network does it."""
    from dataclasses import replace

    settings.PACELINE = settings.PACELINE | {"ANSWER_KEYWORDS": setting}
    monkeypatch.setattr(Plain, "capabilities", replace(Plain.capabilities, answers_stop=answers))
    sender(line, mps=None, number=to)
    for word, person in zip(("STOP", "START", "HELP"), people(3), strict=True):
        hear(word, person, to=to)

    assert list(AutomaticText.objects.order_by("pk").values_list("kind", flat=True)) == wanted


# --- what passes a suppression ------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["STOP", "HELP"])
def test_what_a_suppressed_number_asks_for_passes_the_gate(line, lane, person, word):
    """The confirmation of its own STOP, and help."""
    suppressions.add(person.number, suppressions.Reason.OPT_OUT)
    hear(word, person)

    passed = pass_gate(Clock(engine.now()), line)

    assert [submission.message.number for submission in passed] == [person.number]


def test_nothing_else_passes_a_suppression(line, lane, person):
    """No direct text, no rule's reply, no office hours, nothing of a campaign, nothing beside the confirmation."""
    hear("STOP", person)
    outbox.queue_text("Only today", lane, person.number)
    rule(REPLY)
    hear("Hello?", person)
    confirmation = AutomaticText.objects.get(kind="stop").message

    passed = pass_gate(Clock(engine.now()), line)

    assert [submission.lease.id for submission in passed] == [confirmation.pk]
    assert TextMessage.objects.filter(status=Status.SUPPRESSED).count() == 1
    assert held() == ["suppressed"]


@pytest.mark.parametrize(
    "change",
    [
        {"message": {"to": "+12065550199"}},
        {"row": {"excused_until": 1.0}},
        {"row": {"excused_until": None}},
        {"row": {"number": "+12065550199"}},
        {"row": {"message": None}},
    ],
    ids=["another number", "too late", "not excused", "a row of another number", "another message"],
)
def test_the_exception_is_for_this_text_alone(line, lane, person, change):
    """Whatever about it is different, and it is suppressed like any other."""
    hear("STOP", person)
    suppressions.add("+12065550199", suppressions.Reason.OPT_OUT)
    TextMessage.objects.filter(direction="outgoing").update(**change.get("message", {"text": "Bye"}))
    AutomaticText.objects.filter(kind="stop").update(**change.get("row", {"held": ""}))

    assert pass_gate(Clock(engine.now()), line) == []
    assert TextMessage.objects.get(direction="outgoing").status == Status.SUPPRESSED


def test_a_welcome_is_no_exception(line, lane, person):
    """START that does not lift what an operator has forbidden is not answered."""
    suppressions.add(person.number, suppressions.Reason.MANUAL)
    hear("START", person)

    assert (said(), held()) == ([], ["suppressed"])


# --- rules --------------------------------------------------------------------------------------------------------


def test_a_reply_has_the_contacts_fields(lane):
    """And says something else to a stranger."""
    (ada,) = people(1, first_name="Ada")
    rule({"do": "reply", "text": 'Hi {{ first_name|default("there") }}'}, match="exact", words="HOURS, OPEN")

    hear("hours!", ada)
    hear("Open", number(1))

    assert said() == ["Hi Ada", "Hi there"]


def test_every_action_is_done(lane, person):
    """Each once, in one rule."""
    guests = audience([person], "Guests")
    ContactTag.objects.create(contact=person, name="old")
    rule(
        REPLY,
        {"do": "subscribe", "list": "VIP"},
        {"do": "unsubscribe", "list": "Guests"},
        {"do": "tag", "tag": "vip"},
        {"do": "untag", "tag": "old"},
        {"do": "forward", "to": "+1 206 555 0150"},
        {"do": "forward", "to": "office@example.org"},
        {"do": "webhook", "url": "https://hooks.example.org/paceline"},
        {"do": "assign", "user": "ada"},
        match="first_word",
        words="JOIN",
    )
    hear("Join please", person)

    assert said(person) == [REPLY["text"]]
    assert said("+12065550150") == [f"From {person.number}: Join please"]
    assert not guests.memberships.exists()
    assert list(Membership.objects.values_list("list__name", "contact")) == [("VIP", person.pk)]
    assert list(ContactTag.objects.values_list("name", flat=True)) == ["vip"]
    assert sorted(Errand.objects.values_list("kind", "target")) == [
        ("email", "office@example.org"),
        ("webhook", "https://hooks.example.org/paceline"),
    ]
    conversation = Conversation.objects.get()
    assert (conversation.state, conversation.assignee) == (conversations.State.ASSIGNED, "ada")


def test_a_rule_closes_what_nobody_has_to_see(lane, person):
    """The text is in the thread, and not in the backlog."""
    rule(REPLY, {"do": "close"})
    hear("What are your hours?", person)

    assert Conversation.objects.get().state == conversations.State.CLOSED


def test_a_stranger_who_subscribes_becomes_a_contact(lane):
    """With the number that they wrote from."""
    rule({"do": "subscribe", "list": "News"})
    hear("JOIN", number(1))

    assert Membership.objects.get().contact.number == number(1)


def test_subscribing_lifts_no_suppression(lane, person):
    """Only START does."""
    hear("STOP", person)
    rule({"do": "subscribe", "list": "News"})
    hear("JOIN", person)

    assert suppressions.among([person.number]) == {person.number}


def test_who_leaves_a_list_has_left_it_until_they_come_back(lane, person):
    """No campaign to it reaches them, others do; their own subscribing lifts that, and nothing else."""
    guests = audience([person], "Guests")
    way = suppressions.Way(person.number, lane.number, guests.pk)
    rule({"do": "unsubscribe", "list": "Guests"}, match="exact", words="LEAVE", name="Leave")
    rule({"do": "subscribe", "list": "Guests"}, match="exact", words="JOIN", name="Join")
    hear("LEAVE", person)
    assert suppressions.among([way]) == {way} and not suppressions.among([person.number])

    hear("JOIN", person)

    assert not suppressions.among([way]) and guests.memberships.exists()


def test_the_first_that_matches_is_the_last(lane, person):
    """By position, unless it says to go on."""
    rule({"do": "tag", "tag": "late"}, name="Late", position=3)
    rule({"do": "tag", "tag": "first"}, name="First", position=1, go_on=True)
    rule({"do": "tag", "tag": "second"}, name="Second", position=2)
    hear("Hello", person)

    assert sorted(ContactTag.objects.values_list("name", flat=True)) == ["first", "second"]


@pytest.mark.parametrize(
    ("who", "options", "applies"),
    [
        ({}, {"list": "Guests"}, True),
        ({}, {"list": "Others"}, False),
        ({"language": "es-MX"}, {"language": "es"}, True),
        ({"language": "es"}, {"language": "es"}, True),
        ({"language": "es"}, {"language": "es-mx"}, False),
        ({"language": "est"}, {"language": "es"}, False),
        ({}, {"language": "es"}, False),
    ],
)
def test_whom_a_rule_is_for(lane, who, options, applies):
    """Who is on its list; whose field says its language."""
    (person,) = people(1, **who)
    audience([person], "Guests")
    rule(REPLY, **options)
    hear("Hola", person)

    assert len(said()) == applies


def test_an_order_is_no_rules_business(lane, person):
    """What stops, starts or helps is never answered otherwise."""
    rule(REPLY)
    hear("STOP", person)
    hear("HELP", person)

    assert REPLY["text"] not in said() and not AutomaticText.objects.filter(kind="rule").exists()


def test_who_is_suppressed_gets_no_reply_but_is_heard(lane, person):
    """Their text is forwarded and tagged all the same."""
    suppressions.add(person.number, suppressions.Reason.MANUAL)
    rule(REPLY, {"do": "tag", "tag": "wrote"}, {"do": "forward", "to": "office@example.org"})
    hear("Hello", person)

    assert (said(), held(), ContactTag.objects.count(), Errand.objects.count()) == ([], ["suppressed"], 1, 1)


def test_a_rule_that_is_off_does_nothing(lane, person):
    """Until it is on again."""
    found = rule(REPLY)
    KeywordRule.objects.filter(pk=found.pk).update(active=False)
    hear("Hello", person)

    assert said() == []


def test_an_answer_costs_little(lane):
    """However many rules there are: what a transaction waits for is a handful of milliseconds for each text."""
    for i in range(100):
        rule(REPLY, match="pattern", words=f"... word{i} ... other{i} ...", name=f"Rule {i}")
    rule(REPLY, name="Rest", position=999)
    hear("What are your hours on Sunday, and is there parking?", number(1))

    texts = [(f"What are your hours on day {i}?", number(i)) for i in range(2, 42)]
    items = [{"number": by, "sender": lane.number, "text": text, "provider_id": f"x{by}"} for text, by in texts]
    webhook = WebhookRequest("POST", "", {}, "", json.dumps(items).encode())
    events.store(events.Arrival("default", webhook, Plain().events(webhook)))
    began = time.perf_counter()
    events.apply_due(NOON * 2)
    each = (time.perf_counter() - began) / len(texts)

    print(f"{each * 1000:.2f} ms for each text, 101 rules")
    assert len(said()) == 41
    assert each < 0.05


def test_a_project_is_told(lane, person, django_capture_on_commit_callbacks):
    """Once for each text, with the rules that have matched."""
    told = []

    def receiver(event, **rest):
        told.append((event.message.text, event.rules))

    signals.keyword_matched.connect(receiver)
    try:
        rule({"do": "tag", "tag": "a"}, name="One", go_on=True)
        rule({"do": "tag", "tag": "b"}, name="Two")
        with django_capture_on_commit_callbacks(execute=True):
            hear("Hello", person)
    finally:
        signals.keyword_matched.disconnect(receiver)

    assert told == [("Hello", ["One", "Two"])]


# --- forwarding ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("by", "text"),
    [("+12065550150", "I am driving"), ("+12065550101", "From +12065550102: Hello")],
    ids=["who it goes to", "forwarded already"],
)
def test_nothing_is_forwarded_in_circles(lane, by, text):
    """Back to the phone that it came from, or a second time."""
    rule({"do": "forward", "to": "+12065550150"})
    hear(text, by)

    assert said() == []


def test_nothing_is_forwarded_to_ourselves(lane, line, person):
    """Not when the rule is made, and not when a phone has become a sender since: then the rest is done."""
    with pytest.raises(rules.RuleError, match="our own senders"):
        rule({"do": "forward", "to": lane.number})
    rule({"do": "forward", "to": "+12065550150"}, REPLY)
    Sender.objects.create(account=line, number="+12065550150")
    hear("Hello", person)

    assert said() == [REPLY["text"]]


def test_a_phone_gets_so_many_an_hour(lane, monkeypatch):
    """The rest is in the inbox."""
    monkeypatch.setattr(automatic, "FORWARDS_MOST_AN_HOUR", 3)
    rule({"do": "forward", "to": "+12065550150"})
    for i in range(5):
        hear(f"Hello {i}", number(i))

    assert (len(said()), held()) == (3, ["too many to this phone"] * 2)


# --- office hours -------------------------------------------------------------------------------------------------


@pytest.fixture
def closed(settings):
    """Open for one hour, and not in this one."""
    day = (timezone.now() + timedelta(days=2)).strftime("%a")
    hours = {"OFFICE_HOURS": f"{day} 9-10 America/New_York", "OFFICE_CLOSED_TEXT": "We are back on Monday"}
    settings.PACELINE = settings.PACELINE | hours


def test_who_writes_out_of_hours_is_told(lane, person, closed):
    """Once in twelve hours for each conversation."""
    for _ in range(2):
        hear("Anybody there?", person)
    assert (said(), held()) == (["We are back on Monday"], ["told already"])

    later(12 * 3600 + 1)
    hear("And now?", person)

    assert len(said()) == 2


def test_a_rules_reply_is_enough(lane, person, closed):
    """Nobody gets two answers to one text."""
    rule(REPLY)
    hear("Hello", person)

    assert said() == [REPLY["text"]]


def test_in_hours_people_answer(lane, person, settings):
    """Nothing is said by itself."""
    hours = {"OFFICE_HOURS": "Mon-Sun 0-24", "OFFICE_CLOSED_TEXT": "We are closed"}
    settings.PACELINE = settings.PACELINE | hours
    hear("Hello", person)

    assert said() == []


# --- limits -------------------------------------------------------------------------------------------------------


def test_two_machines_fall_silent_after_three(line):
    """Each answers whatever comes; neither texts the other more than three times, for a day."""
    ours = sender(line, mps=None, number="+12025550100")
    theirs = sender(account(alias="other"), mps=None, number="+12125550100")
    rule(REPLY)
    hear("Is this a person?", theirs.number, to=ours.number)

    for _ in range(20):
        waiting = list(TextMessage.objects.filter(direction="outgoing", status=Status.QUEUED))
        TextMessage.objects.filter(pk__in=[text.pk for text in waiting]).update(status=Status.DELIVERED)
        for text in waiting:
            alias = "default" if text.to == ours.number else "other"
            hear(text.text, text.frm, to=text.to, account=alias)

    assert (len(said(ours)), len(said(theirs))) == (3, 3)
    assert held() == ["a loop"]

    later(23 * 3600)
    hear("Still there?", theirs.number, to=ours.number)
    assert len(said(theirs)) == 3

    later(2 * 3600)
    hear("Still there?", theirs.number, to=ours.number)
    assert len(said(theirs)) == 4


def test_a_person_in_between_is_no_loop(lane, person):
    """When the team has written, the count begins anew."""
    rule(REPLY)
    for _ in range(3):
        hear("Hello", person)
    conversations.reply(Conversation.objects.get(), "This is Ada. What is it?", "ada")
    hear("Hello", person)

    assert said(person).count(REPLY["text"]) == 4


def test_three_in_more_than_an_hour_are_no_loop(lane, person):
    """People write more than once a day."""
    rule(REPLY)
    for _ in range(4):
        hear("Hello", person)
        later(1801)

    assert len(said(person)) == 4


@pytest.mark.parametrize(
    ("moments", "now", "loop"),
    [
        ([], 0, False),
        ([0, 1], 2, False),
        ([0, 1, 2], 3, True),
        ([0, 1800, 3600], 3601, True),
        ([0, 1800, 3601], 3602, False),
        ([0, 1, 2], 86_401, True),
        ([0, 1, 2], 86_402, False),
        ([0, 1, 2, 90_000], 90_001, False),
    ],
)
def test_what_looks_like_a_loop(moments, now, loop):
    """Three within an hour, and then for a day."""
    assert automatic.is_loop(moments, now) is loop


def test_a_number_gets_so_many_a_day(lane, person, monkeypatch):
    """However slowly they come."""
    monkeypatch.setattr(automatic, "NUMBER_MOST_A_DAY", 4)
    rule(REPLY)
    for _ in range(6):
        hear("Hello", person)
        later(2000)

    assert (len(said(person)), held()) == (4, ["too many to this number"] * 2)


def test_all_together_get_so_many_a_minute(lane, settings):
    """A flood of texts is no flood of answers."""
    settings.PACELINE = settings.PACELINE | {"AUTOMATIC_PER_MINUTE": 5}
    rule(REPLY)
    for i in range(8):
        hear("Hello", number(i))
    assert (len(said()), held()) == (5, ["too many in this minute"] * 3)

    later(61)
    hear("Hello", number(9))

    assert len(said()) == 6


# --- once ---------------------------------------------------------------------------------------------------------


def test_replay_changes_nothing(lane, person):
    """The same webhook again, a round repeated after a kill, and the verb itself: one answer, one errand."""
    rule(REPLY, {"do": "tag", "tag": "x"}, {"do": "forward", "to": "office@example.org"}, {"do": "close"})
    for _ in range(5):
        hear("Hello", person, provider_id="in-1")
    Event.objects.update(next_try_at=0)
    events.apply_due(NOON)
    conversation = Conversation.objects.get()
    conversations.reopen(conversation)
    ContactTag.objects.all().delete()
    message = TextMessage.objects.get(direction="incoming")
    automatic.answer(message, automatic.Reading(None, automatic.Certainty.EXACT), conversation)

    conversation.refresh_from_db()
    assert (len(said()), Errand.objects.count(), ContactTag.objects.count()) == (1, 1, 0)
    assert conversation.state == conversations.State.OPEN


def test_one_that_fails_costs_nobody_else(lane, person, monkeypatch, caplog):
    """The text is in the inbox, the others are answered, and the log has neither number nor text."""
    rule(REPLY, {"do": "tag", "tag": "x"})

    def broken(contact, name):
        raise RuntimeError(f"{person.number} Hello")

    monkeypatch.setattr(rules, "tag", broken)
    with caplog.at_level(logging.ERROR):
        hear("Hello", person)
        monkeypatch.undo()
        hear("Hello", number(1))

    assert TextMessage.objects.filter(direction="incoming").count() == 2
    assert (len(said()), AutomaticText.objects.filter(number=person.number).count()) == (1, 0)
    assert "could not be answered (RuntimeError)" in caplog.text
    assert "555" not in caplog.text and "Hello" not in caplog.text


def hear_all(*said):
    """One webhook with several texts, given as (text, by): all of them in one transaction."""
    items = [
        {
            "number": getattr(by, "number", by),
            "sender": "+12025550100",
            "text": text,
            "provider_id": f"{time.monotonic_ns()}-{i}",
        }
        for i, (text, by) in enumerate(said)
    ]
    webhook = WebhookRequest("POST", "", {}, "", json.dumps(items).encode())
    events.store(events.Arrival("default", webhook, Plain().events(webhook)))
    events.apply_due(NOON * 2)


def test_one_that_fails_costs_nobody_of_its_transaction(lane, monkeypatch, caplog):
    """What was done for all of them at once is done one by one then, each once."""
    some = people(3)
    rule(REPLY, {"do": "tag", "tag": "x"})
    tag = rules.tag

    def broken(contact, name):
        if contact == some[1]:
            raise RuntimeError(f"{contact.number} Hello")
        tag(contact, name)

    monkeypatch.setattr(rules, "tag", broken)
    hear_all(*(("Hello", who) for who in some))

    assert TextMessage.objects.filter(direction="incoming").count() == 3
    assert [len(said(who)) for who in some] == [1, 0, 1]
    assert ContactTag.objects.count() == 2
    assert caplog.text.count("could not be answered (RuntimeError)") == 1


def test_limits_hold_within_one_transaction(lane, person, settings):
    """Texts that come together are counted as if they had come one after the other."""
    rule(REPLY)
    hear_all(*((f"Hello {i}", person) for i in range(5)))
    assert (len(said(person)), held()) == (3, ["a loop"] * 2)

    settings.PACELINE = settings.PACELINE | {"AUTOMATIC_PER_MINUTE": 5}
    AutomaticText.objects.filter(held__gt="").delete()
    hear_all(*((f"Hello there {i}", number(i)) for i in range(4)))

    assert (len(said()), held()) == (5, ["too many in this minute"] * 2)


@pytest.mark.parametrize(("text", "most"), [("Hello", 20), ("STOP", 18)])
def test_answering_costs_few_statements(lane, text, most):
    """From the stored webhook to its answer; ten texts together cost as many, and the look for a contact each."""
    rule(REPLY)

    for count in (1, 10):
        with CaptureQueriesContext(connection) as asked:
            hear_all(*((text, who) for who in people(count)))
        stored = next(
            i for i, query in enumerate(asked) if query["sql"].startswith("SELECT") and "next_try" in query["sql"]
        )
        spent = [q["sql"] for q in asked.captured_queries[stored:] if not q["sql"].startswith(BOUNDS)]

        assert len(spent) <= most + count + engine.has_a_server(), "\n".join(spent)  # a server has a clock of its own
        assert len(said()) in (1, 11)


BOUNDS = ("SAVEPOINT", "RELEASE", "PRAGMA", "BEGIN", "COMMIT")


def test_what_is_long_ago_is_forgotten(lane, person):
    """After a month, some hundreds at a time."""
    rule(REPLY)
    hear("Hello", person)
    later(31 * 86_400)
    hear("Hello", person)

    assert automatic.forget(engine.now()) == 1
    assert sorted(AutomaticText.objects.values_list("kind", flat=True)) == ["reply", "reply", "rule"]
    assert automatic.forget(engine.now()) == 0


def test_a_thread_says_what_nobody_wrote(lane, person, closed):
    """A rule's reply, the office hours' text, a confirmation: marked, also when no limit looks back so far any more."""
    rule(REPLY, match="exact", words="help desk")
    for text in ("help desk", "Hello?", "STOP"):
        hear(text, person)
    conversation = Conversation.objects.get()
    suppressions.remove(person.number)
    conversations.reply(conversation, "I am here now", "ann")
    later(31 * 86_400)
    automatic.forget(engine.now())

    marked = {e.message.text: e.automatic for e in conversations.thread(conversation).entries}

    assert {text for text, by_itself in marked.items() if by_itself} == {
        REPLY["text"],
        "We are back on Monday",
        "Opening Night: You are unsubscribed and will get no more messages. Help: help@example.org",
    }
    assert marked["I am here now"] is False and marked["Hello?"] is False


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("... a* ... a* ... a* ... a* ... a*b ...", "a " * 32_000),
        ("*a*a*a*a*a*a*a*a*a*a*b", "a" * 64_000),
        (", ".join(["...9 x ...9 y ...9 z"] * 13), "x y " * 16_000),
    ],
    ids=["gaps", "stars", "phrases"],
)
def test_a_hostile_pattern_costs_under_50_ms(lane, person, words, text):
    """Whatever stands in the rule and in the text."""
    found = [rule(REPLY, match="pattern", words=words)]
    began = time.process_time()

    rules.matching(found, text, person)

    assert time.process_time() - began < 0.05


def test_a_text_of_64_kb_is_taken_in_and_answered(lane, person):
    """Nothing about it is special but its length; too long to forward as a text, it is not."""
    rule(REPLY, {"do": "forward", "to": "+12065550150"})
    hear("x" * 64_000, person)

    assert (said(), held()) == ([REPLY["text"]], ["cannot be sent"])


def test_nothing_is_looked_at_that_is_not_ours(person):
    """A text to a number that is no sender of ours is forwarded by mail at the most."""
    rule(REPLY, {"do": "forward", "to": "office@example.org"})
    hear("Hello", person, to="+13125550100")

    assert (said(), held(), Errand.objects.count()) == ([], ["no sender of ours"], 1)


def test_a_plan_changes_nothing(lane, person):
    """What would be done is only said."""
    rule(REPLY, {"do": "tag", "tag": "x"})
    reading = automatic.Reading(None, automatic.Certainty.EXACT)
    now = datetime.now(UTC)

    found = automatic.plan("Hello", reading, number=person.number, contact=person, sender=lane, now=now)

    assert [text.text for text in found.texts] == [REPLY["text"]]
    assert not AutomaticText.objects.exists() and not TextMessage.objects.exists() and Contact.objects.count() == 1
