"""`paceline inbox`: one answer each, or one sentence that says what, why and what next."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from typing import Any

import pytest
from click.testing import CliRunner, Result
from django.utils import timezone

from paceline.messaging import accounts, conversations, rules, senders, suppressions
from paceline.messaging.models import Conversation, TextMessage
from paceline.project.cli import main

from . import stage

pytestmark = pytest.mark.django_db

PARKING, GRACE, DMITRI, ESRA = "+12065550102", "+12065550107", "+12065550104", "+12065550105"


@pytest.fixture(autouse=True)
def configured(settings):
    settings.PACELINE = settings.PACELINE | {
        "PROVIDERS": {"default": {"BACKEND": "paceline.sms.providers.local.Dummy"}},
    }
    accounts.provider.cache_clear()
    mask = os.umask(0o022)
    yield
    os.umask(mask)
    accounts.provider.cache_clear()


@pytest.fixture(autouse=True)
def answered() -> list[Conversation]:
    return stage.answered_night()


def paceline(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["inbox", *arguments])


def answer(*arguments: str) -> Any:
    done = paceline(*arguments, "--json")
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def of(number: str) -> Conversation:
    return Conversation.objects.get(number=number)


def test_the_list_has_who_waits_longest_first(answered):
    everybody = answer("list")

    assert [row["id"] for row in everybody] == [each.pk for each in answered if each.number != DMITRI]
    assert everybody[0]["campaign_name"] == "Opening night" and everybody[0]["unread"] == 1


@pytest.mark.parametrize(
    ("arguments", "numbers"),
    [
        (["--show", "snoozed"], {DMITRI}),
        (["--show", "closed"], set()),
        (["--of", "marta"], {ESRA}),
        (["--of", "nobody-here"], set()),
    ],
)
def test_the_list_can_be_narrowed_down(arguments, numbers):
    assert {row["number"] for row in answer("list", *arguments)} == numbers


def test_what_nobody_has_is_listed():
    assert {row["assignee"] for row in answer("list", "--show", "unassigned")} == {""}


def test_a_thread_is_shown_and_stays_unread():
    conversations.note(of(PARKING), "Asked the caretaker", "marta")

    shown = answer("show", PARKING)

    assert [entry["kind"] for entry in shown["thread"]] == ["outgoing", "incoming", "note"]
    assert (shown["thread"][1]["text"], shown["unread"], shown["obstacle"]) == ("Is there parking nearby?", 1, "")
    assert "note (marta): Asked the caretaker" in paceline("show", PARKING).stdout


def test_what_a_rule_has_sent_is_marked():
    """`automatic` beside its time; a person's own reply is not."""
    rules.add("Parking", "first_word", "parking", [{"do": "reply", "text": "Behind the house"}])
    stage.says(senders.active()[0], PARKING, "Parking please")
    conversations.reply(of(PARKING), "See you", "marta")

    shown = answer("show", PARKING)["thread"]

    assert [(e["text"], e["automatic"]) for e in shown if e["kind"] == "outgoing"][1:] == [
        ("Behind the house", True),
        ("See you", False),
    ]
    assert "we (automatic): Behind the house" in paceline("show", PARKING).stdout


def test_what_steers_a_terminal_is_not_printed():
    stage.says(senders.active()[0], PARKING, "one\ntwo\x1b[2Jthree\u202e")

    assert "they: one two [2Jthree \n" in paceline("show", PARKING).stdout


def test_a_reply_is_queued_with_its_quick_reply_spelled_out():
    sent = answer("reply", str(of(PARKING).pk), "/parking Welcome!", "--by", "marta")

    message = TextMessage.objects.get(reference=sent["reference"])
    assert (message.frm, message.to, message.status) == ("+12025550101", PARKING, "queued")
    assert message.text == "Hi Björn, there is parking behind the house, on 4th Street. Welcome!"
    assert message.team_reply.author == "marta" and of(PARKING).waiting_since is None


def test_one_who_has_opted_out_is_not_texted():
    """Exit 3, and nothing is queued."""
    before = TextMessage.objects.count()

    done = paceline("reply", GRACE, "Sorry")

    assert (done.exit_code, done.stdout) == (3, "")
    assert f"suppressed; paceline optout show {GRACE} says why" in done.stderr
    assert TextMessage.objects.count() == before


def test_two_do_not_both_have_one():
    done = paceline("assign", ESRA, "bob")
    assert (done.exit_code, of(ESRA).assignee) == (1, "marta")
    assert f"paceline inbox assign {of(ESRA).pk} bob --from marta" in done.stderr

    assert answer("assign", ESRA, "bob", "--from", "marta")["assignee"] == "bob"


def test_closing_counts_what_was_open():
    ids = [str(of(PARKING).pk), ESRA]
    for each in (PARKING, ESRA):
        conversations.mark_read(of(each))
    assert answer("close", *ids, "--by", "marta") == {"closed": 2, "left": 0, "unread": []}

    assert answer("close", *ids) == {"closed": 0, "left": 2, "unread": []}
    assert of(ESRA).spells.get().closed_by == "marta"


def test_what_nobody_has_read_is_not_closed_over():
    """Exit 1; the others are closed. It says what, why and the next command."""
    conversations.mark_read(of(ESRA))

    done = paceline("close", PARKING, ESRA, "--json")

    pk = of(PARKING).pk
    assert (done.exit_code, of(PARKING).state, of(ESRA).state) == (1, "assigned", "closed")
    assert json.loads(done.stdout) == {"closed": 1, "left": 0, "unread": [pk]}
    assert f"Conversation {pk} stays open: 1 unread" in done.stderr
    assert f"paceline inbox show {pk}; or close it all the same: paceline inbox close {pk} --anyway" in done.stderr


def test_a_text_that_came_after_the_last_look_is_not_closed_over():
    """Also when somebody else has read it meanwhile. The last line of `show` is the command for what it showed."""
    shown = answer("show", PARKING)
    command = ["close", str(of(PARKING).pk), "--seen", str(shown["seen"])]
    assert f"paceline inbox {' '.join(command)}" in paceline("show", PARKING).stdout
    stage.says(senders.active()[0], PARKING, "And is it free?")
    conversations.mark_read(of(PARKING))

    done = paceline(*command)

    assert (done.exit_code, of(PARKING).state) == (1, "assigned")
    assert "they have written since you looked" in done.stderr
    command[-1] = str(answer("show", PARKING)["seen"])
    assert answer(*command)["closed"] == 1


def test_somebody_may_close_all_the_same():
    assert answer("close", PARKING, ESRA, "--anyway")["closed"] == 2
    assert (of(PARKING).state, of(PARKING).unread) == ("closed", 0)


def test_one_is_released_and_is_open_to_all():
    assert answer("release", ESRA)["assignee"] == ""

    done = paceline("release", ESRA)

    assert (done.exit_code, of(ESRA).state) == (1, "open")
    assert f"is nobody's, so there is nothing to release; see: paceline inbox show {of(ESRA).pk}" in done.stderr


def test_a_closed_one_is_opened_again():
    conversations.close(of(ESRA))
    assert answer("reopen", ESRA, "--by", "marta")["state"] == "open"
    assert of(ESRA).spells.count() == 2

    done = paceline("reopen", ESRA)

    assert done.exit_code == 1 and "is open already; see: paceline inbox show" in done.stderr


def test_one_is_put_off():
    answer("snooze", PARKING, "--for", "90m")

    assert timedelta(minutes=89) < of(PARKING).snoozed_until - timezone.now() <= timedelta(minutes=90)
    assert answer("snooze", PARKING, "--until", "2126-12-01T09:00+01:00")["snoozed_until"].startswith(
        "2126-12-01T08:00"
    )


def test_a_note_is_kept():
    assert answer("note", PARKING, "Asked the caretaker", "--by", "marta")["author"] == "marta"
    assert of(PARKING).notes.get().text == "Asked the caretaker"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["show", "999999"], 2, "There is no conversation 999999; paceline inbox list"),
        (["show", "+12065550199"], 2, "Nothing has come from +12065550199"),
        (["show", "call me"], 2, "is no number to text"),
        (["close", PARKING, ESRA, "--seen", "1"], 2, "--seen is for one conversation"),
        (["close", PARKING, "--seen", "1", "--anyway"], 2, "without --anyway"),
        (["reply", PARKING, "/nothing"], 2, "There is no quick reply /nothing (there is: /doors"),
        (["reply", PARKING, " "], 1, "The text is empty"),
        (["assign", PARKING, " "], 2, "it is empty"),
        (["snooze", PARKING], 2, "--for 2h"),
        (["snooze", PARKING, "--for", "2h", "--until", "2126-12-01T09:00+01:00"], 2, "one of them"),
        (["snooze", PARKING, "--for", "soon"], 2, "write 90m, 2h or 3d"),
        (["snooze", PARKING, "--for", "9999999999999d"], 2, "up to a year"),
        (["snooze", PARKING, "--until", "2126-12-01T09:00"], 2, "no date with a zone"),
        (["snooze", PARKING, "--until", "2001-01-01T09:00+00:00"], 2, "is past"),
        (["note", PARKING, " "], 2, "The note is empty"),
        (["close"], 2, "Missing argument"),
        (["list", "--show", "everything"], 2, "is not one of"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(arguments, code, words):
    done = paceline(*arguments)

    (sentence,) = done.stderr.splitlines()
    assert (done.exit_code, done.stdout) == (code, "")
    assert sentence.startswith("Error: ") and words in sentence


def test_a_blocked_sender_is_said_and_where_to_look():
    sender = senders.active()[0]
    sender.blocked = "number not owned"
    sender.save()

    done = paceline("reply", PARKING, "Hi")

    assert done.exit_code == 1 and "number not owned; see: paceline sender list" in done.stderr


def test_one_person_and_two_of_our_numbers_are_two_conversations():
    """The telephone number alone does not say which."""
    other, _ = senders.add(accounts.get(), "+12025550102", mps=1)
    second = stage.says(other, PARKING, "Hello?")

    done = paceline("show", PARKING)

    assert done.exit_code == 2 and f"{second.pk} (+12025550102)" in done.stderr
    assert answer("show", str(second.pk))["ours"] == "+12025550102"


def test_a_closed_one_is_neither_assigned_nor_put_off():
    conversations.close(of(PARKING))
    suppressions.remove(GRACE)

    assert "is closed; open it first: paceline inbox reopen" in paceline("assign", PARKING, "bob").stderr
    assert "is closed, so there is nothing to release" in paceline("release", PARKING).stderr
    assert "is closed" in paceline("snooze", PARKING, "--for", "2h").stderr
