"""What is left of a person who was erased? That something happened, and a hash that keeps forbidding."""

import json

import pytest
from django.contrib.admin.models import LogEntry
from django.core import serializers
from django.db import connection
from django.test.utils import CaptureQueriesContext

from paceline.messaging import (
    campaigns,
    contacts,
    engine,
    erasure,
    events,
    inbox,
    outbox,
    parting,
    reconcile,
    rules,
    suppressions,
)
from paceline.messaging.models import (
    AutomaticText,
    Contact,
    Conversation,
    Errand,
    Event,
    Intake,
    LedgerEntry,
    Suppression,
    TextMessage,
)
from paceline.messaging.sheets import Row
from paceline.sms import errors
from paceline.sms.messages import Accepted, InboundText, WebhookRequest
from paceline.sms.status import Status

from . import factories
from .factories import NOON, Plain, number

pytestmark = [pytest.mark.django_db, pytest.mark.contract, pytest.mark.usefixtures("plain_provider")]

HIM, HER = number(1), number(2)
MODELS = (AutomaticText, Contact, Conversation, TextMessage, Event, Suppression, LedgerEntry, Intake)


def hear(*items):
    webhook = WebhookRequest("POST", "", {}, "", json.dumps(items).encode())
    events.store(events.Arrival("default", webhook, Plain().events(webhook)))


def says(who, text, provider_id):
    return {"number": who, "sender": "+12025550100", "text": text, "provider_id": provider_id}


def everything():
    """All that the tables say, as one text."""
    rows = [row for model in MODELS for row in model.objects.all()]
    bodies = b"".join(bytes(body) for body in Event.objects.values_list("body", flat=True))
    return serializers.serialize("json", rows) + bodies.decode()


def bring_in(*numbers):
    rows = [Row(1, who, who, "ready", "", "", {"name": "Ada Example"}) for who in numbers]
    contacts.add(rows, contacts.get_list("Guests"))
    return contacts.get_list("Guests")


def test_nothing_of_a_person_is_left(lane, clock):
    """Contact, fields, texts in both directions, raw webhooks, evidence: gone. What is others' stays."""
    guests = bring_in(HIM, HER)
    campaign = factories.fanned_out(campaigns.launch(campaigns.create("x", "Hi {{ name }}", list=guests)))
    campaigns.release(campaign, clock.now())
    hear(says(HIM, "my secret words", "in-1"), says(HER, "her words", "in-2"))
    hear(says(HIM, "STOP", "in-3"))
    events.apply_due(NOON)
    hear(says(HIM, "not applied yet", "in-4"))
    suppressions.add(HIM, evidence="asked by telephone")
    before = everything()
    assert all(words in before for words in (HIM, "my secret words", "Ada Example", "telephone"))

    done = erasure.erase(HIM)

    after = everything()
    assert HIM[1:] not in after and "secret words" not in after and "not applied" not in after
    assert "telephone" not in after and HER in after and "her words" in after
    assert (done.messages, done.webhooks, done.contact) == (4, 3, True)
    assert TextMessage.objects.count() == 6
    assert [line.what for line in suppressions.history(HIM)] == ["added", "added", "erased"]


def test_an_erased_person_is_not_texted_again(line, lane, clock):
    """Imported again, texted by hand, told to a campaign: nobody can, and START does not open it either."""
    hear(says(HIM, "STOP", "in-1"))
    erasure.erase(HIM)

    inbox.obey(InboundText(HIM, "+12025550100", "START"))
    guests = bring_in(HIM)
    campaign = factories.fanned_out(campaigns.launch(campaigns.create("x", "Hi", list=guests, numbers=[HIM])))
    outbox.queue_text("Hi", lane, HIM)
    campaigns.release(campaign, clock.now())

    assert factories.pass_gate(clock, line) == []
    assert set(TextMessage.objects.filter(to=HIM).values_list("status", flat=True)) == {Status.SUPPRESSED}


def test_somebody_who_had_never_said_stop_is_forbidden_too():
    """Whoever asks to be forgotten wants no more texts; a person may lift it, with the number in hand."""
    factories.people(1)
    erasure.erase(HIM)

    (entry,) = suppressions.of(HIM)
    assert (entry.number, entry.reason, str(entry)) == ("", "erased", "(erased)")
    assert suppressions.among([HIM]) == {HIM}
    assert suppressions.remove(HIM) and suppressions.among([HIM]) == set()


@pytest.mark.parametrize("status", [Status.HELD, Status.QUEUED, Status.LEASED])
def test_what_has_not_left_does_not_leave(line, lane, clock, status):
    """Held, queued, leased: suppressed, and an older lease passes no gate."""
    (text,) = factories.queued(lane, 1)
    leases = outbox.claim(line.pk, clock) if status is Status.LEASED else []
    TextMessage.objects.filter(pk=text.pk).update(status=status)

    who = text.to

    erasure.erase(who)

    assert outbox.gate(leases, clock) == []
    text.refresh_from_db()
    assert (text.status, text.to, text.text) == (Status.SUPPRESSED, erasure.mark(who), "")


@pytest.mark.parametrize("result", [Accepted("id"), errors.OptedOut("no", code="1"), errors.Uncertain("?")])
def test_what_is_on_the_wire_gets_its_answer(line, lane, clock, result):
    """The answer is written without the number; and what nobody knows of is not sent to nobody by a resend."""
    (text,) = factories.queued(lane, 1)
    (submission,) = factories.pass_gate(clock, line)
    erasure.erase(text.to)

    factories.settle(submission.lease, result, clock)
    reconcile.resend([text.pk])

    text.refresh_from_db()
    assert text.to.startswith(erasure.MARK) and len(text.to) == 21
    assert factories.pass_gate(clock, line) == []
    assert Suppression.objects.count() == 1


def test_two_erased_people_of_one_campaign_stay_two(lane, clock):
    """A campaign has each recipient once, also when it no longer knows who they were."""
    campaign = factories.launched(2)
    who = list(campaign.messages.values_list("to", flat=True))

    for person in who:
        erasure.erase(person)

    assert set(campaign.messages.values_list("to", flat=True)) == {erasure.mark(person) for person in who}


def test_a_campaign_forgets_the_numbers_that_it_was_given():
    """Also before it is launched; one that had nobody else has nobody then, and the others go on."""
    several = campaigns.create("several", "Hi", numbers=[HIM, HER])
    alone = campaigns.create("alone", "Hi", numbers=[HIM])

    erasure.erase(HIM)

    assert [intake.numbers for intake in several.intakes.all()] == [[HER]]
    assert not alone.intakes.exists()


def test_an_erasure_that_was_interrupted_is_repeated(monkeypatch):
    """Killed at any step, the person is forbidden already, and a second run ends it."""
    bring_in(HIM)
    with monkeypatch.context() as patch, pytest.raises(RuntimeError):
        patch.setattr(contacts, "forget", lambda number: (_ for _ in ()).throw(RuntimeError("killed")))
        erasure.erase(HIM)
    assert suppressions.among([HIM]) == {HIM}

    assert [erasure.erase(HIM).contact for _ in range(2)] == [True, False]
    assert HIM[1:] not in everything()


# --- webhooks that hold others' events too --------------------------------------------------------------------


def waits(*items, **fields):
    """A webhook that is stored, and that is not due yet: its message may still come."""
    return factories.event(body=json.dumps(items).encode(), next_try_at=NOON * 9, **fields)


def test_what_a_webhook_says_of_others_is_applied_later(lane):
    """A report on her message, which is not known yet, in one body with his words: he goes, her report stays due."""
    waits(says(HIM, "my secret words", "in-1"), {"provider_id": "hers", "status": "delivered", "word": HER})
    (hers,) = factories.queued(lane, 1, status=Status.ACCEPTED)

    done = erasure.erase(HIM)

    assert (done.webhooks, done.pending) == (1, 0)
    assert HIM[1:] not in everything() and "secret" not in everything()
    TextMessage.objects.filter(pk=hers.pk).update(provider_id="hers")
    events.apply_due(NOON * 10)
    hers.refresh_from_db()
    assert hers.status == Status.DELIVERED


def test_what_others_wrote_is_not_lost_when_it_names_the_person():
    """She quotes his number in a text that is not applied: it stays until it is, and the answer says so."""
    event = waits(says(HER, f"call me at {HIM}", "in-1"))

    done = erasure.erase(HIM)

    assert (done.webhooks, done.pending) == (0, 1)
    events.apply_due(NOON * 10)
    assert TextMessage.objects.get(frm=HER).text == f"call me at {HIM}"
    assert erasure.erase(HIM).pending == 0
    event.refresh_from_db()
    assert bytes(event.body) == b""


def test_a_webhook_of_a_provider_that_is_gone_stays_until_it_is_back():
    """Nobody can say whose it is."""
    waits(says(HIM, "Hello", "in-1"), says(HER, "Hello", "in-2"), account="gone")

    assert erasure.erase(HIM).pending == 1


@pytest.mark.parametrize("body", [[], [says(HIM, "Hello", "in-1")], [{"provider_id": "his", "word": HIM}]])
def test_a_webhook_of_theirs_alone_is_emptied_at_once(body):
    """Applied or not."""
    event = waits(*body, query=f"to={HIM[1:]}")

    assert erasure.erase(HIM).webhooks == 1
    event.refresh_from_db()
    assert (bytes(event.body), event.query, event.next_try_at) == (b"", "", None)


@pytest.mark.parametrize(
    ("document", "left"),
    [
        ('[{"to": "+12065550110"}, {"to": "+12065550111"}]', [{"to": "+12065550111"}]),
        ('{"results": [{"to": 12065550110}, {"to": 12065550111}]}', {"results": [{"to": 12065550111}]}),
        ('{"a": [{"to": ["12065550110", "1"], "id": 7}]}', {"a": [{"to": ["1"], "id": 7}]}),
        ('{"to": "+12065550110"}', None),
        ('{"12065550110": [1]}', None),
        ('"12065550110"', None),
        ("to=12065550110", None),
        ("[" * 100_000, None),
    ],
)
def test_the_smallest_entries_that_name_somebody_go(document, left):
    """Of a list; what names them anywhere else cannot be parted."""
    found = parting.parted(document.encode(), "12065550110")

    assert (json.loads(found) if found else None) == left


# --- how it is looked for -------------------------------------------------------------------------------------


@pytest.mark.skipif(connection.vendor != "sqlite", reason="SQLite says in plain words what it reads")
def test_messages_are_found_by_indexes(lane):
    """Whatever their number: sent with a campaign and without, and received."""
    factories.launched(3)
    bring_in(HIM)
    with CaptureQueriesContext(connection) as asked:
        erasure._messages(HIM)

    plans = [
        row[3]
        for query in asked
        if '"paceline_textmessage"' in query["sql"] and query["sql"].startswith("SELECT")
        for row in engine.rows(f"EXPLAIN QUERY PLAN {query['sql']}".replace("%", "%%"))
    ]
    assert len(plans) >= 3
    assert not [plan for plan in plans if plan.startswith("SCAN paceline_textmessage")]


def test_webhooks_are_looked_into_some_at_a_time(monkeypatch):
    """In short statements outside of transactions, and a terminal is told how far it is."""
    monkeypatch.setattr(erasure, "LOOKED_AT", 4)
    for i in range(10):
        factories.event(body=json.dumps([says(HIM if i % 3 else HER, "Hello", f"in-{i}")]).encode(), next_try_at=None)
    told = []

    done = erasure.erase(HIM, progress=lambda done, total: told.append((done, total)))

    assert done.webhooks == 6
    assert len(told) == 3 and told[-1][0] == told[-1][1] and told == sorted(told)
    assert HIM[1:] not in everything()


def test_what_a_rule_has_carried_on_forgets_too(lane, settings):
    """A forwarded text has their number and words, though it went to another; what waits to be told is not told."""
    settings.PACELINE = settings.PACELINE | {"WEBHOOK_SECRET": "whsec_" + "c2VjcmV0" * 5}
    rules.add(
        "All",
        "any",
        "",
        [{"do": "forward", "to": "+12025550177"}, {"do": "webhook", "url": "https://www.example.org/texts"}],
    )
    event = factories.inbound("my secret words", HIM, lane.number, next_try_at=None)
    inbox.receive([(event, said) for said in Plain().events(event)])
    assert TextMessage.objects.filter(to="+12025550177", text__contains="secret").count() == 1

    erasure.erase(HIM)

    assert HIM[1:] not in everything() and "secret" not in everything()
    forwarded = TextMessage.objects.get(to="+12025550177")
    assert (forwarded.text, forwarded.status) == ("", Status.SUPPRESSED)
    assert Errand.objects.get().due_at is None


def test_the_admins_own_log_forgets_too(admin_user):
    """It writes down the name of what was added there: a number."""
    LogEntry.objects.create(user=admin_user, action_flag=1, object_repr=HIM)

    erasure.erase(HIM)

    assert LogEntry.objects.get().object_repr == "(erased)"


def test_with_a_wrong_key_nobody_is_erased(settings):
    """The hash that is left would never be found."""
    suppressions.add(HER)
    bring_in(HIM)
    settings.PACELINE = settings.PACELINE | {"OPTOUT_KEY": "another key, long enough"}

    with pytest.raises(suppressions.WrongKey):
        erasure.erase(HIM)
    with pytest.raises(ValueError, match=r"E\.164"):
        erasure.erase("Acme")
    assert Contact.objects.filter(number=HIM).exists()


def test_bytes_are_found_in_a_webhook():
    """On every engine, anywhere in the body."""
    factories.event(body=b'{"to": "\xff\x00+12065550110"}')
    factories.event(body=b"12065550111")

    assert Event.objects.filter(engine.holds(Event, "body", b"12065550110")).count() == 1
