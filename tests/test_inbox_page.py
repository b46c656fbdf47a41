"""Does docs/inbox.md work as it is written? Its samples are one program, run against what the page says there is."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from paceline.messaging import conversation_closed, conversation_opened, conversations
from paceline.messaging.models import Campaign, Contact, TextMessage
from paceline.sms.status import Status

from .messaging.factories import account, conversation, sender
from .test_readme import blocks

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "inbox.md").read_text()


@pytest.fixture
def stage(settings):
    """Somebody has answered "Opening night"."""
    lane = sender(account(), number="+12025550100")
    person = Contact.objects.create(number="+12125550123")
    TextMessage.objects.create(
        **{"sender": lane, "frm": lane.number, "to": person.number, "contact": person, "text": "Doors open at 7"},
        **{"campaign": Campaign.objects.create(name="Opening night"), "status": Status.DELIVERED},
        submitted_at=time.time() - 60,
    )
    conversation(lane, "Is there parking?", person.number)
    yield
    for signal in (conversation_opened, conversation_closed):
        signal.receivers.clear()
        signal.sender_receivers_cache.clear()


@pytest.mark.django_db(transaction=True)
def test_the_samples_print_what_is_shown(stage, capsys):
    """Each program's lines, in order."""
    names: dict[str, object] = {"__name__": "sample"}
    for program in blocks(PAGE, "python"):
        exec(program, names)
        shown = re.match(r"```\n\n((?:    .*\n)+)", PAGE.partition(program)[2])
        said = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
        assert said == ([line[4:].rstrip() for line in shown[1].splitlines()] if shown else [])


def test_every_state_has_its_row():
    """And no other."""
    assert set(re.findall(r"^\| `(\w+)` \| \w", PAGE, re.MULTILINE)) == set(conversations.State)


def test_every_code_of_a_refusal_is_in_the_table():
    """What `reply` refuses with, by its own words or by those of the outbox for a text."""
    source = Path(conversations.__file__).read_text()
    table = PAGE.partition("| Raises | `code` |")[2].partition("\n\n")[0]

    written = set(re.findall(r"`([a-z]+_[a-z_]+|suppressed)`", table))
    assert written == set(re.findall(r'code="(\w+)"', source)) | {"empty_text", "text_too_long"}
