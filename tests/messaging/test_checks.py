"""`manage.py check` finds what would keep texts from leaving, says how to mend it, and repeats no secret."""

from __future__ import annotations

import copy
import sys

import pytest
from django.core.checks import run_checks
from django.db import connections
from django.urls import include, path

from paceline.messaging import checks
from paceline.sms.messages import Accepted, Message, Request, Response
from paceline.sms.providers import Provider

SECRET = "only-for-tests-and-never-shown"
CONSOLE = {"default": {"BACKEND": "console"}}
VONAGE = {"api_key": "abcd1234", "api_secret": SECRET}


class Picky(Provider):
    """An own provider that quotes what it was given."""

    name = "picky"

    def __init__(self, *, token: str) -> None:
        raise ValueError(f"{token} is not a token")

    def build(self, message: Message) -> Request:
        raise NotImplementedError

    def read(self, response: Response) -> Accepted:
        raise NotImplementedError


def found(*which) -> dict[str, str]:
    """{id: message and hint} of the checks of Paceline."""
    messages = [message for check in which or (None,) for message in (check() if check else run_checks())]
    return {m.id: f"{m.msg} {m.hint}" for m in messages if m.id.startswith("paceline.")}


@pytest.mark.django_db
def test_the_product_is_clean():
    """Nothing is found in the settings that `paceline up` runs with."""
    assert found() == {}


SHAPES = {
    "a setting that is no dictionary": ("console", "paceline.E003", "PROVIDERS"),
    "no provider": ({"PROVIDERS": {}}, "paceline.E004", "BACKEND"),
    "a provider that is a list": ({"PROVIDERS": {"default": ["console"]}}, "paceline.E005", "OPTIONS"),
    "a word that means nothing": ({"PROVIDERS": CONSOLE, "REGOIN": "US"}, "paceline.W001", "REGION"),
    "an unknown backend": ({"PROVIDERS": {"default": {"BACKEND": "no.such.Provider"}}}, "paceline.E006", "dotted"),
    "no backend": ({"PROVIDERS": {"default": {"OPTIONS": {}}}}, "paceline.E006", "BACKEND"),
    "an option too many": (
        {"PROVIDERS": {"default": {"BACKEND": "vonage", "OPTIONS": VONAGE | {"api_sekret": SECRET}}}},
        "paceline.E007",
        "api_sekret",
    ),
    "options that contradict": (
        {"PROVIDERS": {"default": {"BACKEND": "vonage", "OPTIONS": VONAGE | {"private_key": SECRET}}}},
        "paceline.E007",
        "either api_secret or private_key",
    ),
    "an own provider that quotes": (
        {"PROVIDERS": {"default": {"BACKEND": f"{__name__}.Picky", "OPTIONS": {"token": SECRET}}}},
        "paceline.E007",
        "ValueError",
    ),
    "a URL that leads nowhere": ({"PROVIDERS": {"default": f"nowhere://a:{SECRET}@"}}, "paceline.E007", "OPTIONS"),
    "a rate that is none": ({"PROVIDERS": {"default": CONSOLE["default"] | {"MPS": 0}}}, "paceline.E008", "MPS"),
    "no secret for webhooks": (
        {"PROVIDERS": {"default": {"BACKEND": "vonage", "OPTIONS": VONAGE}}},
        "paceline.W002",
        "signature_secret",
    ),
}


@pytest.mark.parametrize("case", SHAPES)
def test_settings(settings, case):
    """Each mistake has its id and a hint that names what to change; a secret is in neither."""
    settings.PACELINE, expected, hint = SHAPES[case]
    findings = found(checks.check_settings, checks.check_providers)

    assert set(findings) == {expected}
    assert hint in findings[expected]
    assert SECRET not in str(findings)


def test_no_setting_at_all(settings):
    """The hint is a setting to paste."""
    del settings.PACELINE

    assert checks.SHAPE in found(checks.check_settings)["paceline.E002"]
    assert found(checks.check_providers) == {}


def test_without_time_zones(settings):
    """Scheduled texts need aware datetimes."""
    settings.USE_TZ = False

    assert "paceline.E001" in found(checks.check_settings)


def test_without_a_dispatcher(settings):
    """Queued texts would wait; said as information, since a project may only use send_text()."""
    settings.INSTALLED_APPS = [app for app in settings.INSTALLED_APPS if app != "paceline.dispatcher"]

    assert "manage.py dispatch" in found(checks.check_settings)["paceline.I001"]


WHAT_IS_ANSWERED = {
    "hours that are none": ({"OFFICE_HOURS": "always", "OFFICE_CLOSED_TEXT": "Later"}, "OFFICE_HOURS", "Mon-Fri 9-17"),
    "a zone that is none": (
        {"OFFICE_HOURS": "Mon-Fri 9-17 Mars/North", "OFFICE_CLOSED_TEXT": "Later"},
        "OFFICE_HOURS",
        "America/New_York",
    ),
    "hours without their text": ({"OFFICE_HOURS": "Mon-Fri 9-17"}, "OFFICE_CLOSED_TEXT", "We are back at 9"),
    "a text without its hours": ({"OFFICE_CLOSED_TEXT": "Later"}, "OFFICE_HOURS", "Mon-Fri 9-17"),
    "a contact of nobody": ({"HELP_CONTACT": "help@example.org"}, "PROGRAM_NAME", "Opening Night"),
    "an answer that is too long": ({"STOP_TEXT": "x" * 5000}, "STOP_TEXT", "shorten it"),
    "a name that is too long": ({"PROGRAM_NAME": "x" * 5000}, "PROGRAM_NAME", "shorten it"),
    "no word for who answers": ({"ANSWER_KEYWORDS": "maybe"}, "ANSWER_KEYWORDS", "auto"),
    "no as a boolean": ({"ANSWER_KEYWORDS": False}, "ANSWER_KEYWORDS", "Right would be: no"),
    "a limit of nothing": ({"AUTOMATIC_PER_MINUTE": 0}, "AUTOMATIC_PER_MINUTE", "600"),
    "a limit that is a word": ({"AUTOMATIC_PER_MINUTE": "many"}, "AUTOMATIC_PER_MINUTE", "600"),
    "a secret that is short": ({"WEBHOOK_SECRET": SECRET}, "WEBHOOK_SECRET", "openssl rand"),
    "an address without a scheme": ({"WEBHOOK_URL": "sms.example.org"}, "WEBHOOK_URL", "https://sms.example.org"),
    "an address without a host": ({"WEBHOOK_URL": "https:///webhooks"}, "WEBHOOK_URL", "https://sms.example.org"),
}


@pytest.mark.parametrize("case", WHAT_IS_ANSWERED)
def test_what_is_answered_by_itself(settings, case):
    """The setting by its name, what is wrong with it, and a value that would be right."""
    ours, key, hint = WHAT_IS_ANSWERED[case]
    settings.PACELINE = {"PROVIDERS": CONSOLE} | ours

    said = {f"{message.id} {message.msg} {message.hint}" for message in checks.check_two_way()}

    assert any(f"paceline.E013 PACELINE['{key}']" in each and hint in each for each in said), said
    assert SECRET not in str(said)


def test_settings_that_are_right_are_not_complained_of(settings):
    ours = {"PROGRAM_NAME": "Opening Night", "HELP_CONTACT": "help@example.org", "ANSWER_KEYWORDS": "yes"}
    hours = {"OFFICE_HOURS": "Mon-Fri 9-17 America/New_York", "OFFICE_CLOSED_TEXT": "We are back at 9"}
    rest = {"AUTOMATIC_PER_MINUTE": 60, "WEBHOOK_SECRET": "whsec_" + "c2VjcmV0" * 5, "WEBHOOK_URL": "http://[::1]:80/w"}

    settings.PACELINE = {"PROVIDERS": CONSOLE} | ours | hours | rest

    assert found(checks.check_two_way) == {}


urlpatterns: list = []
with_webhooks = [path("sms/", include("paceline.webhooks.urls"))]


def test_webhooks_that_are_not_mounted(settings):
    """Where a provider would knock and no door is; mounted anywhere it is fine, and the console never knocks."""
    settings.ROOT_URLCONF = __name__
    settings.PACELINE = {"PROVIDERS": {"default": {"BACKEND": "vonage", "OPTIONS": VONAGE}}}
    assert "include(" in found(checks.check_webhooks)["paceline.W003"]

    settings.PACELINE = {"PROVIDERS": CONSOLE}
    assert found(checks.check_webhooks) == {}

    settings.PACELINE = {"PROVIDERS": {"default": {"BACKEND": "vonage", "OPTIONS": VONAGE}}}
    sys.modules["urls_with_webhooks"] = mounted = type(sys)("urls_with_webhooks")
    mounted.urlpatterns = with_webhooks
    settings.ROOT_URLCONF = "urls_with_webhooks"
    assert found(checks.check_webhooks) == {}


def test_sqlite_as_django_sets_it_up(monkeypatch):
    """Without IMMEDIATE and WAL two processes get in each other's way; the hint can be pasted."""
    plain = copy.deepcopy(connections["default"].settings_dict) | {"OPTIONS": {}}
    monkeypatch.setattr(connections["default"], "settings_dict", plain)
    monkeypatch.setattr(connections["default"], "vendor", "sqlite")
    findings = found(checks.check_database)

    assert set(findings) == {"paceline.W004", "paceline.W005"}
    pasted = {"DATABASES": {"default": {}}}
    exec(findings["paceline.W004"].partition("Paste: ")[2], pasted)
    monkeypatch.setattr(connections["default"], "settings_dict", pasted["DATABASES"]["default"])
    assert found(checks.check_database) == {}


def test_another_engine(monkeypatch):
    """What the guarantees are not tested on is an error."""
    monkeypatch.setattr(connections["default"], "vendor", "oracle")

    assert "PostgreSQL" in found(checks.check_database)["paceline.E009"]
