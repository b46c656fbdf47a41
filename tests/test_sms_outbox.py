"""A project's own tests see what would have been texted; nothing reaches a network."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.test import TestCase
from django.utils import timezone

from paceline.messaging import accounts, campaigns, queue_text, send_text, senders, suppressions
from paceline.pytest_plugin import MEMORY, sms_outbox  # noqa: F401 not loaded by name where it is not installed anew

from .messaging import factories

pytestmark = pytest.mark.django_db

OURS, THEIRS = "+12025550100", "+12125550123"


def test_what_was_sent_is_in_the_list(sms_outbox):  # noqa: F811
    """Like `mail.outbox`: in order, with the words of both worlds, and the row behind it."""
    send_text("Please remember to pick up the bread", OURS, THEIRS)
    send_text("And milk", OURS, THEIRS)

    assert [sent.text for sent in sms_outbox] == ["Please remember to pick up the bread", "And milk"]
    first = sms_outbox[0]
    assert (first.frm, first.to, first.sender, first.number) == (OURS, THEIRS, OURS, THEIRS)
    assert first.message.status == "accepted"


def test_each_test_begins_with_an_empty_list(sms_outbox):  # noqa: F811
    """What the test before has sent is gone."""
    assert len(sms_outbox) == 0 and list(sms_outbox) == []


def test_every_account_is_switched(settings, request):
    """Whatever the settings name, and whatever was loaded before; afterwards they are what they were."""
    settings.PACELINE = {"PROVIDERS": {"default": "console://", "second": {"BACKEND": "console", "MPS": 1}}}
    accounts.provider("second")
    outbox = request.getfixturevalue("sms_outbox")

    for alias in ("default", "second"):
        send_text("Hi", OURS, THEIRS, using=alias)

    assert len(outbox) == 2


def test_what_is_queued_leaves_when_it_is_due(sms_outbox):  # noqa: F811
    """No dispatcher runs in a test: one call does its work, at this moment or at any other, and no time passes."""
    tomorrow = timezone.now() + timedelta(days=1)
    queue_text("Now", OURS, THEIRS)
    queue_text("Tomorrow", OURS, THEIRS, at=tomorrow)
    assert len(sms_outbox) == 0

    assert sms_outbox.deliver_due() == 1
    assert sms_outbox.deliver_due(at=tomorrow - timedelta(seconds=1)) == 0
    assert sms_outbox.deliver_due(at=tomorrow) == 1
    assert [sent.text for sent in sms_outbox] == ["Now", "Tomorrow"]


def test_campaigns_and_suppressions_too(sms_outbox):  # noqa: F811
    """A campaign is released and sent, who said STOP gets nothing."""
    senders.add(accounts.get(), OURS, mps=1.0)
    campaign = factories.draft(4, batch_size=2)
    suppressions.add(campaign.list.contacts.first().number)
    campaigns.launch(campaign)

    assert sms_outbox.deliver_due() == 3
    assert {sent.text for sent in sms_outbox} == {"Doors open at 7"}


class InATestCase(TestCase):
    """The same in the classes of Django."""

    @pytest.fixture(autouse=True)
    def _outbox(self, sms_outbox):  # noqa: F811
        self.outbox = sms_outbox

    def test_it_is_there(self):
        """Signals wait for the commit, as everything does in a TestCase."""
        from paceline.messaging import message_sent

        heard = []
        message_sent.connect(lambda event, **rest: heard.append(event.status), weak=False, dispatch_uid="heard")
        with self.captureOnCommitCallbacks(execute=True):
            send_text("Hi", OURS, THEIRS)
        message_sent.disconnect(dispatch_uid="heard")

        assert [sent.text for sent in self.outbox] == ["Hi"]
        assert heard == ["accepted"]


def test_the_settings_come_back():
    """The switch ends with the test."""
    assert MEMORY not in str(settings.PACELINE["PROVIDERS"])


def test_loading_the_plugin_loads_nothing(root: Path):
    """It is loaded into every test run of every project, so it may cost nothing; and pytest finds it."""
    script = "import sys, paceline.pytest_plugin; print({'django', 'aiohttp', 'phonenumbers'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    declared = tomllib.loads((root / "pyproject.toml").read_text())["project"]["entry-points"]["pytest11"]

    assert done.stdout.strip() == "set()", done.stderr
    assert set(declared.values()) == {"paceline.pytest_plugin"}
