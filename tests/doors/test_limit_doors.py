"""Where do people and programs set a limit, and where do they see what holds? The same words at every door."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from click.testing import CliRunner, Result
from django.test import Client
from django.urls import reverse

from paceline.api import keys
from paceline.dashboard import links
from paceline.messaging import accounts, checks, engine, lanes
from paceline.messaging.models import Account, Campaign, Sender
from paceline.project.cli import main

from . import stage

pytestmark = pytest.mark.django_db

SENDER = "+12025550101"
DUMMY = "paceline.sms.providers.local.Dummy"


def paceline(*arguments: str) -> Result:
    """`paceline ARGUMENTS` in this process."""
    return CliRunner().invoke(main, list(arguments))


def told(*arguments: str) -> dict:
    done = paceline(*arguments, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.fixture(autouse=True)
def priced(settings, tmp_path, monkeypatch):
    """An account that says what a segment costs."""
    monkeypatch.chdir(tmp_path)
    entry = {"BACKEND": DUMMY, "PRICE_PER_SEGMENT": "0.0075"}
    settings.PACELINE = {"PROVIDERS": {"default": entry}, "REGION": "US"}
    accounts.provider.cache_clear()
    yield entry
    accounts.provider.cache_clear()


@pytest.fixture
def running(priced) -> Campaign:
    return stage.opening_night(guests=20, gone=12)


def test_a_sender_at_the_command_line(running):
    """Per second or per minute, in messages or segments; what is not named stays."""
    paceline("sender", "add", SENDER, "--mps", "20/min", "--per", "segment")
    sender = Sender.objects.get(number=SENDER)
    assert (sender.mps, sender.unit) == (pytest.approx(1 / 3), "segment")

    said = paceline("sender", "limit", SENDER, "0.5/s").stdout
    sender.refresh_from_db()
    assert (sender.mps, sender.unit) == (0.5, "segment")
    assert "30 segments a minute" in said


def test_a_learned_limit_in_the_list(running):
    """After a 429 the list says what is left of the rate, also as JSON."""
    lanes.throttle(Sender.objects.get(number=SENDER).pk, engine.now(), None)

    (line,) = [line for line in paceline("sender", "list").stdout.splitlines() if SENDER in line]
    (value,) = [each for each in told("sender", "list") if each["number"] == SENDER]
    assert "0.7 of 1 a second (learned)" in line
    assert (value["mps"], value["learned"]) == (1, 0.7)


def test_a_campaign_at_the_command_line(running):
    """Limits at its creation, changed while it runs, lifted with the word none; its account shows them."""
    create = ["campaign", "create", "slow", "--list", "Opening night guests", "--text", "Hi"]
    made = Campaign.objects.get(pk=told(*create, "--mps", "20/min", "--per", "segment", "--spend-cap", "12.5")["id"])
    assert (made.mps, made.unit, made.spend_cap) == (pytest.approx(1 / 3), "segment", Decimal("12.5"))

    shown = told("campaign", "pace", str(made.pk), "--mps", "3")
    assert (shown["own_limit"], shown["unit"], shown["spend_cap"]) == (3, "segment", "12.5000")

    shown = told("campaign", "pace", str(made.pk), "--mps", "none", "--spend-cap", "none")
    assert (shown["own_limit"], shown["spend_cap"]) == (None, None)


@pytest.mark.parametrize(
    "wrong", [["--mps", "3/h"], ["--mps", "0/min"], ["--spend-cap", "-1"], ["--spend-cap", "1.00001"]]
)
def test_what_is_no_limit_is_refused(running, wrong):
    """One sentence, and nothing is changed."""
    done = paceline("campaign", "pace", str(running.pk), *wrong)

    running.refresh_from_db()
    assert done.exit_code == 2
    assert (running.mps, running.spend_cap) == (None, None)


def test_a_campaign_without_money_says_so(running):
    """At every door: it is paused, and why."""
    why = "It has spent its 0.10; raise its spend cap and resume it"
    Campaign.objects.filter(pk=running.pk).update(state="paused", blocked=why, spend_cap="0.1", spent="0.0975")
    browser = Client()
    browser.force_login(stage.operator(), backend=links.BACKEND)

    assert why in paceline("campaign", "show", str(running.pk)).stdout
    assert told("campaign", "show", str(running.pk))["blocked"] == why
    assert why in browser.get(reverse("campaign", args=[running.pk])).content.decode()
    assert paceline("campaign", "resume", str(running.pk)).exit_code != 0


def test_limits_in_the_dashboard(running):
    """The form sets them, shows them as people write them, and empty lifts them."""
    browser = Client()
    browser.force_login(stage.operator(), backend=links.BACKEND)
    address = reverse("campaign-pace", args=[running.pk])

    browser.post(address, {"batch_size": "", "delay_period": "0", "mps": "20/min", "spend_cap": "5", "line": "60"})
    running.refresh_from_db()
    assert (running.mps, running.spend_cap, running.reply_line) == (pytest.approx(1 / 3), 5, 60)
    assert "20/min" in browser.get(reverse("campaign", args=[running.pk])).content.decode()

    assert browser.post(address, {"delay_period": "0", "mps": "quick"}).status_code == 422
    browser.post(address, {"batch_size": "", "delay_period": "0", "mps": "", "spend_cap": "", "line": ""})
    running.refresh_from_db()
    assert (running.mps, running.spend_cap, running.reply_line) == (None, None, None)


def test_limits_through_the_api(running):
    """A program gives them with its request."""
    _, key = keys.create("a program")
    body = {
        "sender": SENDER,
        "recipients": ["+12065550123"],
        "message_string": "Hi",
        "mps": "20/min",
        "spend_cap": "0.5",
        "line": 60,
    }
    headers = {"Authorization": f"Bearer {key}"}

    made = Client(headers=headers).post("/message/", body, content_type="application/json")
    wrong = Client(headers=headers).post("/message/", body | {"mps": 0, "line": 0}, content_type="application/json")

    campaign = Campaign.objects.get(pk=made.json()["id"])
    assert (campaign.mps, campaign.spend_cap, campaign.reply_line) == (pytest.approx(1 / 3), Decimal("0.5"), 60)
    assert wrong.status_code == 400
    assert {"mps", "line"} <= wrong.json().keys()


@pytest.mark.parametrize(
    "key, value",
    [("MPS", "3/h"), ("UNIT", "part"), ("RECIPIENT_DAILY_CAP", 0), ("SPEND_CAP", "much"), ("SENDER_MPS", 0)],
)
def test_a_wrong_setting_is_found_at_the_start(settings, priced, key, value):
    """`manage.py check` names the key and says what it is."""
    settings.PACELINE["PROVIDERS"]["default"] = priced | {key: value}

    (found,) = [each for each in checks.check_providers() if each.id == "paceline.E008"]
    assert key in found.msg


def test_a_spend_cap_without_a_price_is_found_at_the_start(settings):
    """It would count nothing."""
    settings.PACELINE = {"PROVIDERS": {"default": {"BACKEND": DUMMY, "SPEND_CAP": 5}}}

    assert "paceline.E010" in [each.id for each in checks.check_providers()]


def test_the_settings_limits_reach_the_account(settings, priced):
    """With the first look at the account, and after every change."""
    settings.PACELINE["PROVIDERS"]["default"] = priced | {"MPS": "90/min", "UNIT": "segment", "SPEND_CAP": 7}
    accounts.get()
    settings.PACELINE["PROVIDERS"]["default"] = priced
    accounts.get()

    account = Account.objects.get()
    assert (account.mps, account.unit, account.spend_cap) == (None, "message", None)
    assert account.price_per_segment == Decimal("0.0075")
