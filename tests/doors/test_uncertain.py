"""What people see and do about texts that nobody is sure of, and about what keeps every text waiting."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
from click.testing import CliRunner, Result
from django.conf import settings as django_settings
from django.urls import reverse

from paceline.dashboard import links
from paceline.messaging import accounts, breaker, campaigns, installation, senders
from paceline.messaging.models import Account, Campaign, TextMessage
from paceline.project import health
from paceline.project.cli import main
from paceline.sms.status import Status

from . import stage

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def configured(settings, monkeypatch):
    settings.PACELINE = settings.PACELINE | {
        "PROVIDERS": {"default": {"BACKEND": "paceline.sms.providers.local.Dummy"}},
    }
    accounts.provider.cache_clear()
    mask = os.umask(0o022)
    yield
    os.umask(mask)
    accounts.provider.cache_clear()


@pytest.fixture
def browser(client):
    client.force_login(stage.operator(), backend=links.BACKEND)
    return client


@pytest.fixture
def doubtful() -> Campaign:
    """A running campaign; 3 of its 12 submitted texts are uncertain."""
    campaign = stage.opening_night(guests=20, gone=12)
    ids = campaign.messages.filter(status__in=["accepted", "delivered", "sent"]).values_list("pk", flat=True)[:3]
    campaign.messages.filter(status=Status.UNCERTAIN).update(status=Status.DELIVERED)
    campaign.messages.filter(pk__in=list(ids)).update(status=Status.UNCERTAIN, reason="no answer in time")
    return campaign


def paceline(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(main, ["uncertain", *arguments], input=stdin)


def answer(*arguments: str) -> Any:
    done = paceline(*arguments, "--json")
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def uncertain() -> int:
    return TextMessage.objects.filter(status=Status.UNCERTAIN).count()


# --- the command line -----------------------------------------------------------------------------------------


def test_the_list_says_who_and_why(doubtful):
    """With references, which the other commands take; of one campaign or of all."""
    rows = answer("list", "--campaign", str(doubtful.pk))

    assert len(rows) == 3
    assert {row["reason"] for row in rows} == {"no answer in time"}
    assert {row["reference"] for row in rows} <= set(TextMessage.objects.values_list("reference", flat=True))
    assert paceline().stdout.count("no answer in time") == 3


def test_resend_says_that_it_may_double_and_asks(doubtful):
    """Without a person to ask, and without --yes, it changes nothing."""
    done = paceline("resend", "--all")

    assert done.exit_code == 3
    assert "twice" in done.stderr
    assert uncertain() == 3


def test_resend_of_some(doubtful):
    """Those are queued again, the others stay."""
    references = [row["reference"] for row in answer("list")[:2]]

    assert answer("resend", *references, "--yes") == {"resent": 2, "left": 0}
    assert uncertain() == 1
    assert set(TextMessage.objects.filter(reference__in=references).values_list("status", flat=True)) == {"queued"}


def test_resend_of_all_of_a_cancelled_campaign(doubtful):
    """They stay, and the answer says so."""
    campaigns.cancel(doubtful)

    assert answer("resend", "--all", "--campaign", str(doubtful.pk), "--yes") == {"resent": 0, "left": 3}


@pytest.mark.parametrize("arguments", [["resend"], ["resend", "--all", "f" * 32], ["resend", "f" * 32]])
def test_resend_of_nothing_that_is_uncertain(doubtful, arguments):
    """It says what to give."""
    done = paceline(*arguments)

    assert done.exit_code == 2
    assert "paceline uncertain list" in done.stderr


def test_a_look_up_where_nobody_can_be_asked(doubtful):
    """It counts them as what cannot be told."""
    assert answer("look-up") == {"found": 0, "absent": 0, "unknown": 3, "unanswered": 0}
    assert uncertain() == 3


# --- the dashboard --------------------------------------------------------------------------------------------


def test_the_button_says_what_it_risks(browser, doubtful):
    """It asks first, with the number and the word twice; pressed, they are queued again."""
    page = browser.get(reverse("campaign", args=[doubtful.pk])).content.decode()
    browser.post(reverse("campaign-resend", args=[doubtful.pk]))

    assert 'id="resend-yes"' in page
    assert "gets it twice" in page
    assert uncertain() == 0


def test_no_button_where_nothing_is_uncertain(browser):
    """Nor for who is not logged in."""
    campaign = stage.opening_night(guests=5, gone=2)

    assert 'id="resend-yes"' not in browser.get(reverse("campaign", args=[campaign.pk])).content.decode()
    browser.logout()
    assert browser.post(reverse("campaign-resend", args=[campaign.pk])).url == reverse("login")


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        (lambda: installation.stop("an older copy was restored"), "an older copy was restored"),
        (lambda: Account.objects.update(blocked="HTTP 401: wrong credentials"), "wrong credentials"),
        (lambda: Account.objects.update(trouble_streak=breaker.TRIP_AFTER), "10 submits in a row came to nothing"),
    ],
    ids=["a copy", "blocked", "an outage"],
)
def test_what_keeps_everybody_waiting_is_on_every_page(browser, trouble, words):
    """For who is logged in, and as a finding of `paceline doctor`; nobody else reads it."""
    senders.add(accounts.get(), "+12025550100", mps=1)
    quiet = browser.get(reverse("campaigns")).content.decode()
    trouble()

    page = browser.get(reverse("campaigns")).content.decode()
    found = [each for each in health.findings(django_settings.PACELINE["DATA_DIR"]) if words in each.words]
    browser.logout()
    outside = browser.get(reverse("login")).content.decode()

    assert words in page
    assert "alarm" not in quiet
    assert words not in outside
    assert [each.well for each in found] == [False]


def test_workers_send_and_their_broker_is_away(settings):
    """With a broker nobody is told to start a dispatcher: what is wrong is that the workers cannot be woken."""
    settings.PACELINE_BROKER_URL = "redis://127.0.0.1:1/0"

    found = {each.about: each for each in health.findings(django_settings.PACELINE["DATA_DIR"])}

    assert "dispatcher" not in found
    assert not found["workers"].well
    assert "broker cannot be reached" in found["workers"].words


def test_unblocking_closes_the_breaker(doubtful):
    """A person who has mended it need not wait for the next probe."""
    Account.objects.update(trouble_streak=50, tripped_at=1.0, backoff_until=4e9)

    list(health.unblock())

    assert set(Account.objects.values_list("trouble_streak", "tripped_at", "backoff_until")) == {(0, None, 0.0)}
