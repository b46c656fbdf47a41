"""What the tests of the tables and verbs share."""

import pytest

from paceline.messaging import accounts, senders
from paceline.sandbox.behaviour import Behaviour
from paceline.sandbox.carrier import Running

from ..installation import ACCOUNT
from . import factories


@pytest.fixture
def clock():
    """A clock that stands at noon until a test moves it."""
    return factories.Clock()


@pytest.fixture
def plain_provider(settings):
    """Two accounts, "default" and "other", of a provider whose webhooks are plain JSON."""
    settings.PACELINE = settings.PACELINE | {"PROVIDERS": factories.PROVIDERS}
    accounts.provider.cache_clear()
    yield
    accounts.provider.cache_clear()


@pytest.fixture
def line():
    """The account "default", without a limit of its own."""
    return factories.account()


@pytest.fixture
def lane(line):
    """An idle sender without a limit."""
    return factories.sender(line, mps=None)


@pytest.fixture
def carrier(tmp_path, settings):
    """A simulated carrier, and "default" sends through it."""
    with Running(Behaviour(), ledger=tmp_path / "carrier.jsonl", wire=ACCOUNT) as running:
        options = {"api_key": ACCOUNT.api_key, "api_secret": ACCOUNT.api_secret, "base_url": running.url}
        provider = {"BACKEND": "paceline.sms.providers.vonage.Vonage", "OPTIONS": options}
        settings.PACELINE = {"PROVIDERS": {"default": provider}, "REGION": "US"}
        accounts.provider.cache_clear()
        yield running
    accounts.provider.cache_clear()


@pytest.fixture
def lane_of_ours(carrier):
    """A sender without a limit on the simulated carrier's account."""
    sender, _ = senders.add(accounts.get(), "+12025550100", mps=None)
    return sender
