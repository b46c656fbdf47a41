"""What the tests of the tables and verbs share."""

import pytest

from paceline.messaging import accounts

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
