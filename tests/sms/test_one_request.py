"""Every provider on both transports: however the other side behaves, one submit is one request on the wire."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from urllib.parse import urlsplit, urlunsplit

import pytest

from paceline.sms.errors import ProviderError, Uncertain
from paceline.sms.messages import Accepted, Message, Request, Response
from paceline.sms.providers import NETWORKED
from paceline.sms.providers.base import Provider
from paceline.sms.transports import AsyncTransport, Transport

from .provider_contract import NUMBER, SENDER, ProviderContract
from .test_transports import CLOSE, Carrier, garbage, hang, hang_up, no_answer_in_yes, reset, server_error


def contract(name: str) -> type[ProviderContract]:
    """What the provider's own test says of its side of the wire."""
    module = import_module(f".test_{name}", __package__)
    tests = [each for name, each in vars(module).items() if name.startswith("Test")]
    return next(each for each in tests if issubclass(each, ProviderContract))


class Elsewhere(Provider):
    """A provider whose requests go to a server of this test's, at their own path and query."""

    name = "elsewhere"

    def __init__(self, provider: Provider, port: int) -> None:
        self._provider, self._port = provider, port
        self.endpoint = self._moved(provider.endpoint) if provider.endpoint else ""

    def build(self, message: Message) -> Request:
        request = self._provider.build(message)
        return replace(request, url=self._moved(request.url))

    def read(self, response: Response) -> Accepted:
        return self._provider.read(response)

    def _moved(self, url: str) -> str:
        parts = urlsplit(url)
        return urlunsplit(("http", f"127.0.0.1:{self._port}", parts.path or "/", parts.query, ""))


Submit = Callable[..., list[Accepted | ProviderError]]


def by_asyncio(provider: Provider, messages: int, pause: float, **options: float) -> list[Accepted | ProviderError]:
    async def run() -> list[Accepted | ProviderError]:
        results: list[Accepted | ProviderError] = []
        async with AsyncTransport(**options) as transport:
            for _ in range(messages):
                try:
                    results.append(await transport.submit(provider, Message("Hello", SENDER, NUMBER)))
                except ProviderError as error:
                    results.append(error)
                await asyncio.sleep(pause)
        return results

    return asyncio.run(run())


def by_threads(provider: Provider, messages: int, pause: float, **options: float) -> list[Accepted | ProviderError]:
    results: list[Accepted | ProviderError] = []
    with Transport(**options) as transport:
        for _ in range(messages):
            try:
                results.append(transport.submit(provider, Message("Hello", SENDER, NUMBER)))
            except ProviderError as error:
                results.append(error)
            time.sleep(pause)
    return results


@pytest.fixture(params=[by_asyncio, by_threads], ids=["asyncio", "sync"])
def submit(request: pytest.FixtureRequest) -> Submit:
    return request.param


@pytest.mark.parametrize("name", NETWORKED)
def test_fresh_kept_and_closed_connections(name: str, submit: Submit) -> None:
    """A new connection, a kept one, one that the server closed meanwhile: three messages are three requests."""
    case = contract(name)

    async def close_the_second(connection, count):
        await connection.answer(case.accept.status, case.accept.body)
        return CLOSE if count == 2 else None

    with Carrier(close_the_second) as carrier:
        results = submit(Elsewhere(case.provider, carrier.port), 3, 0.03)

    assert [type(result) for result in results] == [Accepted] * 3
    assert len(carrier.requests) == 3


@pytest.mark.parametrize("name", NETWORKED)
def test_connection_that_breaks_under_the_second_request(name: str, submit: Submit) -> None:
    """Where libraries repeat, we do not: the request arrived once, and nobody knows what became of it."""
    case = contract(name)

    async def first_only(connection, count):
        if count > 1:
            return CLOSE
        await connection.answer(case.accept.status, case.accept.body)

    with Carrier(first_only) as carrier:
        results = submit(Elsewhere(case.provider, carrier.port), 2, 0.0)

    assert [type(result) for result in results] == [Accepted, Uncertain]
    assert len(carrier.requests) == 2


async def redirect(connection, count):
    await connection.answer(307, b"", "Location: /elsewhere\r\n")


@pytest.mark.parametrize("behave", [redirect, hang, reset, hang_up, garbage, no_answer_in_yes, server_error])
@pytest.mark.parametrize("name", NETWORKED)
def test_answer_that_says_neither_yes_nor_no(name: str, behave: Callable, submit: Submit) -> None:
    """Redirect, silence, reset, end, garbage, 5xx: one request, and the message is uncertain."""
    with Carrier(behave) as carrier:
        (result,) = submit(Elsewhere(contract(name).provider, carrier.port), 1, 0.02, total_seconds=0.25)

    assert type(result) is Uncertain
    assert len(carrier.requests) == 1
