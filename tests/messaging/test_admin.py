"""Django's admin: everything can be read, history cannot be rewritten, what changes goes by the verbs."""

from __future__ import annotations

import re

import pytest
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.urls import reverse

from paceline.messaging import TextMessage, conversations, lanes, rules, suppressions
from paceline.messaging.models import Account, Campaign, Contact, Event, KeywordRule, Sender, Suppression

from . import factories

pytestmark = pytest.mark.django_db

OURS = [model for model in admin.site._registry if model._meta.app_label == "paceline"]
WRITABLE = {"Sender": {"change"}, "Suppression": {"delete"}, "QuickReply": {"change", "delete"}}
WRITABLE |= {"KeywordRule": {"change", "delete"}}


@pytest.fixture
def operator(client):
    """The browser of somebody who may do everything."""
    client.force_login(get_user_model().objects.create_superuser("operator", password="long enough to pass"))
    return client


@pytest.fixture
def everything(line, lane):
    """One row at least of everything there is."""
    factories.launched(2)
    factories.event(body=b'{"status": "delivered"}')
    suppressions.add("+12125550199", suppressions.Reason.OPT_OUT, "replied 'STOP'")
    rules.add("All", "any", "", [{"do": "reply", "text": "Hi"}, {"do": "forward", "to": "office@example.org"}])
    factories.conversation(lane)
    conversations.save_quick_reply("hours", "We are open from 9 to 5")


def url(model, page, *arguments):
    return reverse(f"admin:paceline_{model._meta.model_name}_{page}", args=arguments)


def test_every_model_with_a_story_is_there():
    """What people ask about can be looked up."""
    assert {Account, Sender, Contact, Campaign, TextMessage, Suppression, Event} <= set(OURS)


@pytest.mark.parametrize("model", OURS, ids=lambda model: model.__name__)
def test_pages(operator, everything, model):
    """Each list and each row's page opens."""
    row = model.objects.first()

    assert operator.get(url(model, "changelist")).status_code == 200
    assert operator.get(url(model, "change", row.pk)).status_code == 200


@pytest.mark.parametrize("model", OURS, ids=lambda model: model.__name__)
def test_history_cannot_be_rewritten(operator, everything, model):
    """Nobody, not even the superuser, deletes or edits what has happened."""
    row = model.objects.first()
    if "delete" not in WRITABLE.get(model.__name__, ()):
        assert operator.post(url(model, "delete", row.pk), {"post": "yes"}).status_code == 403
    if "change" not in WRITABLE.get(model.__name__, ()):
        assert operator.post(url(model, "change", row.pk), {"text": "Something else"}).status_code == 403
    if model.__name__ not in WRITABLE:
        assert operator.get(url(model, "add")).status_code == 403


@pytest.mark.parametrize("how", ["reference", "provider_id", "to"])
def test_a_message_is_found_by(operator, lane, how):
    """Its number in any spelling, its reference, the provider's id; and nothing beside it."""
    person, other = factories.people(2)
    texts = factories.queued(lane, 2)
    for text, contact, number in zip(texts, (person, other), "12", strict=True):
        TextMessage.objects.filter(pk=text.pk).update(contact=contact, to=contact.number, provider_id=f"id-{number}")
    sought = TextMessage.objects.get(pk=texts[0].pk)
    term = {"to": sought.to[2:]}.get(how, getattr(sought, how))  # a national number is one of REGION

    page = operator.get(url(TextMessage, "changelist"), {"q": term}).content.decode()

    assert sought.reference in page and texts[1].reference not in page


def test_the_log_is_filtered_by_what_matters(operator, everything):
    """Status, direction, campaign, day."""
    campaign = Campaign.objects.get()
    wanted = {"status__exact": "held", "direction__exact": "outgoing", "campaign__id__exact": campaign.pk}

    assert "2 text messages" in operator.get(url(TextMessage, "changelist"), wanted).content.decode()
    none = operator.get(url(TextMessage, "changelist"), {"status__exact": "sent"}).content.decode()
    assert "0 text messages" in none


def test_a_list_counts_no_whole_table(operator, everything, django_assert_max_num_queries):
    """However many messages there are: no count without a bound, no query for each row."""
    with django_assert_max_num_queries(12) as asked:
        operator.get(url(TextMessage, "changelist"))

    counts = [query["sql"] for query in asked.captured_queries if re.search(r"COUNT.*textmessage", query["sql"])]
    assert counts and all("LIMIT" in sql for sql in counts)


def test_a_suppression_is_added_and_lifted(operator):
    """In any spelling, once, by hand; an unusable number is an error of the form."""
    add = url(Suppression, "add")
    assert operator.post(add, {"number": "(212) 555-0123", "evidence": "asked by mail"}).status_code == 302
    entry = Suppression.objects.get()
    assert (entry.number, entry.reason, entry.evidence) == ("+12125550123", "manual", "asked by mail")

    assert "errorlist" in operator.post(add, {"number": "212"}).content.decode()
    assert operator.post(url(Suppression, "delete", entry.pk), {"post": "yes"}).status_code == 302
    assert not Suppression.objects.exists()


def test_a_sender_is_added_paced_and_removed(operator, line):
    """By the verbs: contacts find their sender, a rate keeps its timeline, a removed one sends nothing."""
    operator.post(url(Sender, "add"), {"account": line.pk, "number": "(202) 555-0100", "mps": "2"})
    sender = Sender.objects.get()
    assert (sender.number, sender.mps) == ("+12025550100", 2.0)

    operator.post(url(Sender, "change", sender.pk), {"mps": "5", "daily_cap": "100"})
    sender.refresh_from_db()
    assert (sender.mps, sender.daily_cap) == (5.0, 100)

    operator.post(url(Sender, "changelist"), {"action": "remove", "_selected_action": [sender.pk]})
    sender.refresh_from_db()
    assert sender.removed_at is not None

    operator.post(url(Sender, "changelist"), {"action": "reopen", "_selected_action": [sender.pk]})
    sender.refresh_from_db()
    assert (sender.removed_at, sender.mps, sender.daily_cap) == (None, 5.0, 100)


def test_an_account_is_unblocked(operator, line, lane):
    """When what caused it has been mended, and its senders with it."""
    lanes.block(line, "credentials")
    lanes.block(lane, "not registered")

    operator.post(url(Account, "changelist"), {"action": "unblock", "_selected_action": [line.pk]})

    line.refresh_from_db()
    lane.refresh_from_db()
    assert (line.blocked, lane.blocked) == ("", "")


def test_a_rule_is_written_and_tried(operator, lane):
    """Faults are told field by field; a trial says what would be answered, and sends nothing."""
    rule = {"name": "Hours", "match": "exact", "words": "HOURS", "position": "5", "active": "on", "trial": "hours?"}
    faulty = operator.post(url(KeywordRule, "add"), rule | {"words": "", "actions": '[{"do": "dance"}]'})
    assert "The pattern is empty" in faulty.content.decode() and "Known are reply" in faulty.content.decode()

    told = operator.post(
        url(KeywordRule, "add"), rule | {"actions": '[{"do": "reply", "text": "From 9 to 5"}]'}, follow=True
    )

    assert KeywordRule.objects.get().words == "HOURS"
    assert "It would be answered: to +12025550199: From 9 to 5." in told.content.decode()
    assert not TextMessage.objects.exists()
