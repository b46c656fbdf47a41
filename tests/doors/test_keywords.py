"""The commands about keyword rules: added, listed, tried, switched, removed; and what is wrong is one sentence."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
from click.testing import CliRunner

from paceline.messaging import suppressions
from paceline.messaging.models import KeywordRule, TextMessage
from paceline.project.cli import main
from tests.messaging import factories

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def umask():
    """Commands keep what they write to themselves; the tests after them need not."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
def lane():
    return factories.sender(factories.account(), mps=None, number="+12025550100")


def keywords(*arguments: str) -> Any:
    """`paceline keywords ARGUMENTS --json`, which must succeed; its value."""
    done = CliRunner().invoke(main, ["keywords", *arguments, "--json"])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_a_rule_from_its_first_day_to_its_last():
    """Added, listed, shown, switched off and on, removed."""
    added = keywords(
        "add", "join", "--words", "JOIN, IN", "--reply", "Welcome!", "--subscribe", "news", "--position", "5"
    )
    assert (added["match"], added["words"], added["position"], added["active"]) == ("exact", "JOIN, IN", 5, True)
    assert added["actions"] == [{"do": "reply", "text": "Welcome!"}, {"do": "subscribe", "list": "news"}]
    assert keywords("list") == [added]
    assert keywords("show", "join") == added | {"matched": 0}
    assert keywords("disable", "join")["active"] is False
    assert keywords("enable", "join")["active"] is True
    assert keywords("remove", "join") == {"name": "join", "removed": True}
    assert not KeywordRule.objects.exists()


def test_every_action_has_its_option():
    """And without words it is a rule for any text."""
    added = keywords(
        *(
            "add",
            "all",
            "--go-on",
            "--language",
            "es",
            "--list",
            "guests",
            "--unsubscribe",
            "old",
            "--tag",
            "a",
            "--tag",
        ),
        *(
            "b",
            "--untag",
            "c",
            "--forward",
            "+12065550150",
            "--forward",
            "office@example.org",
            "--assign",
            "ada",
            "--close",
        ),
    )

    assert (added["match"], added["language"], added["list"], added["go_on"]) == ("any", "es", "guests", True)
    assert [action["do"] for action in added["actions"]] == [
        *("unsubscribe", "tag", "tag", "untag", "forward", "forward", "assign", "close"),
    ]


def test_a_trial_says_all_and_does_nothing(lane):
    """Which rules, which texts, which other actions; for a contact, with their fields."""
    (ada,) = factories.people(1, first_name="Ada")
    reply = 'Hi {{ first_name|default("there") }}'
    keywords("add", "hours", "--words", "HOURS", "--match", "first-word", "--reply", reply, "--tag", "asked")

    told = keywords("try", "Hours on Sunday?", "--from", ada.number)

    assert told == {
        "intent": None,
        "certainty": None,
        "rules": ["hours"],
        "texts": [{"to": ada.number, "text": "Hi Ada", "why": "hours"}],
        "actions": [{"rule": "hours", "do": "tag", "with": "asked"}],
        "suppressed": False,
    }
    assert not TextMessage.objects.exists()


def test_a_trial_of_an_order(lane, settings):
    """It says how the text reads, and whom nothing would reach."""
    settings.PACELINE = settings.PACELINE | {"PROGRAM_NAME": "Opening Night"}
    suppressions.add("+12065550150", suppressions.Reason.MANUAL)

    done = CliRunner().invoke(main, ["keywords", "try", "STOP", "--from", "+12065550150"])

    assert "It reads as STOP (exact)" in done.stdout
    assert "Opening Night: You are unsubscribed" in done.stdout
    assert "+12065550150 is suppressed" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["add", "x"], "There are no actions"),
        (["add", "x", "--words", "a(b", "--match", "pattern", "--close"], "At character 2"),
        (["add", "x", "--reply", "Hi {{ name }}"], "Action 1 (reply): Who writes may be a stranger"),
        (["add", "x", "--forward", "12"], "neither a number nor an e-mail address"),
        (["add", "x", "--webhook", "https://hooks.example.org/"], "set PACELINE_WEBHOOK_SECRET"),
        (["show", "x"], "There is no rule 'x'; paceline keywords list shows them"),
        (["remove", "x"], "There is no rule 'x'"),
        (["try", "Hi", "--from", "12"], "no number to text"),
    ],
)
def test_what_is_wrong_is_one_sentence(arguments, words):
    """On stderr, with exit code 2, and nothing is kept."""
    done = CliRunner().invoke(main, ["keywords", *arguments])

    (sentence,) = done.stderr.splitlines()
    assert (done.exit_code, done.stdout) == (2, "") and words in sentence
    assert not KeywordRule.objects.exists()
