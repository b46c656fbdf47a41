"""How are keyword rules kept? In one form; and a faulty one is told what, where, and what to do."""

from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError

from paceline.messaging import rules
from paceline.messaging.models import ContactList, KeywordRule

pytestmark = [pytest.mark.django_db, pytest.mark.contract]

SECRET = "whsec_" + "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IQ=="
REPLY = {"do": "reply", "text": "Welcome!"}


@pytest.fixture(autouse=True)
def secret(settings):
    settings.PACELINE = settings.PACELINE | {"WEBHOOK_SECRET": SECRET}


def add(*actions, match="exact", words="JOIN", **options):
    return rules.add("Join", match, words, actions or [REPLY], **options)


def test_a_rule_is_kept_as_it_is_used():
    """Numbers in E.164, languages in small letters, nothing around what was typed."""
    rule = add(
        {"do": "forward", "to": " (206) 555-0150 "}, {"do": "tag", "tag": " vip "}, words=" JOIN, in ", language="ES"
    )

    rule.refresh_from_db()
    assert rule.actions == [{"do": "forward", "to": "+12065550150"}, {"do": "tag", "tag": "vip"}]
    assert (rule.words, rule.language, rule.active) == ("JOIN, in", "es", True)


def test_the_same_name_is_the_same_rule():
    """Added again, it is replaced, and active."""
    first = add()
    KeywordRule.objects.update(active=False)
    again = add({"do": "close"}, words="HELLO", list="Guests")

    assert (again.pk, KeywordRule.objects.count()) == (first.pk, 1)
    assert (again.active, again.words, again.list) == (True, "HELLO", ContactList.objects.get())


def test_a_rule_is_found_by_name_or_number():
    """And an unknown one says where to look."""
    rule = add()

    assert rules.get("Join") == rules.get(str(rule.pk)) == rule
    with pytest.raises(rules.UnknownRule, match="keywords list"):
        rules.get("Leave")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"words": ""}, "words: The pattern is empty"),
        ({"words": "a(b", "match": "pattern"}, "words: At character 2: “(” means nothing here"),
        ({"words": "JOIN", "match": "any"}, "words: A rule for any text has no words. Leave them out"),
        ({"words": "JOIN us", "match": "first_word"}, "is more than one word"),
        ({"match": "regex"}, "match: "),
        ({"language": "Spanish!"}, "language: 'Spanish!' is no language. Write two letters"),
    ],
)
def test_a_faulty_rule_is_told(options, said):
    """By its field."""
    with pytest.raises(rules.RuleError) as raised:
        add(**options)

    assert said in str(raised.value)
    assert not KeywordRule.objects.exists()


@pytest.mark.parametrize(
    ("action", "said"),
    [
        ({}, 'Action 2 has no "do" that is known. Known are reply, '),
        ({"do": "dance"}, 'Action 2 has no "do" that is known'),
        ({"do": ["reply"]}, 'Action 2 has no "do" that is known'),
        ({"do": "reply"}, 'Action 2 (reply) needs a text in "text".'),
        ({"do": "reply", "text": "  "}, 'Action 2 (reply) needs a text in "text".'),
        ({"do": "reply", "text": 5}, 'Action 2 (reply) needs a text in "text".'),
        (
            {"do": "reply", "text": "Hi", "to": "x"},
            "Action 2 (reply) has 'to', which means nothing there. Leave it out.",
        ),
        ({"do": "close", "user": "ada"}, "Action 2 (close) has 'user', which means nothing there"),
        ({"do": "reply", "text": "Hi {{ name }}"}, 'Say what to write instead: {{ name|default("…") }}.'),
        ({"do": "reply", "text": "Hi {{ name"}, "Action 2 (reply): At character 4: “{{” is never closed"),
        ({"do": "reply", "text": "x" * 5000}, "Action 2 (reply): The text is over"),
        ({"do": "forward", "to": "12"}, "Action 2 (forward): '12' is neither a number nor an e-mail address."),
        ({"do": "forward", "to": "a@b"}, "Action 2 (forward): 'a@b' is no e-mail address. Write one such as"),
        ({"do": "forward", "to": "a@example.org\nBcc: b@example.org"}, "is no e-mail address"),
        ({"do": "tag", "tag": "x" * 61}, "Action 2 (tag): The tag has 61 characters; at most 60 are kept."),
        ({"do": "subscribe", "list": "x" * 121}, "Action 2 (subscribe): The list's name has 121 characters"),
        (
            {"do": "webhook", "url": "http://hooks.example.org/"},
            "Action 2 (webhook): A webhook carries a person's text",
        ),
        ({"do": "webhook", "url": "https://10.0.0.1/"}, "webhooks go to public addresses only"),
    ],
    ids=str,
)
def test_a_faulty_action_is_told(action, said):
    """Which one, what is wrong, and what to do."""
    with pytest.raises(rules.RuleError) as raised:
        add(REPLY, action)

    assert said in str(raised.value)


@pytest.mark.parametrize("actions", [[], {}, None, "reply", [REPLY] * 21, ["reply"], [None]])
def test_what_is_no_list_of_actions_is_told(actions):
    """In the admin people type JSON."""
    rule = KeywordRule(name="Join", match="exact", words="JOIN", actions=actions)

    with pytest.raises(ValidationError) as raised:
        rule.full_clean()
    assert set(raised.value.message_dict) == {"actions"}


def test_a_webhook_needs_a_secret(settings):
    """Else nobody could tell who has sent it."""
    settings.PACELINE = settings.PACELINE | {"WEBHOOK_SECRET": ""}

    with pytest.raises(rules.RuleError, match="set PACELINE_WEBHOOK_SECRET"):
        add({"do": "webhook", "url": "https://hooks.example.org/"})


def test_a_deleted_list_takes_its_rules_along():
    """Or they would be for everybody."""
    add(list="Guests")
    ContactList.objects.get().delete()

    assert not KeywordRule.objects.exists()
