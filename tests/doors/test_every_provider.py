"""Every provider through Django's own doors: texts leave, reports and replies come in, forgeries change nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from paceline.messaging import accounts, send_text, suppressions
from paceline.messaging.models import Event, TextMessage
from paceline.sandbox.behaviour import STOPS, Behaviour
from paceline.sandbox.carrier import Running
from paceline.sms.providers import Capabilities

from ..installation import until
from ..sandbox.wire_contract import WireContract

pytestmark = pytest.mark.django_db(transaction=True)

OURS = "+13105550199"
PEOPLE = ("+12125550101", "+12125550102", "+12125550103")


def can(case: type[WireContract]) -> Capabilities:
    return case().provider("http://127.0.0.1:1", "http://127.0.0.1:1/webhooks/default/status").capabilities


def _cases() -> Iterator[type[WireContract]]:
    for path in sorted((Path(__file__).parent.parent / "sandbox").glob("test_wire_*.py")):
        module = import_module(f"tests.sandbox.{path.stem}")
        yield from (case for title, case in vars(module).items() if title.startswith("Test"))


CASES = list(_cases())
ANSWERED = [case for case in CASES if can(case).inbound]


def title(case: type[WireContract]) -> str:
    return case.__name__.removeprefix("Test")


@contextmanager
def installed(
    case: type[WireContract], live_server: Any, settings: Any, folder: Path, **faults: Any
) -> Iterator[tuple]:
    """A carrier of that provider, and this project set up to send through it."""
    door, ending = f"{live_server.url}/webhooks/default", f"/{case.token}" if case.token else ""
    with Running(
        Behaviour(report_delay=0.02, reply_delay=0.02, **faults),
        ledger=folder / "log",
        wire=case.wire,
        status_url=f"{door}/status{ending}" if can(case).reports else "",
        inbound_url=f"{door}/inbound{ending}",
    ) as carrier:
        provider = case().provider(carrier.url, f"{door}/status")
        settings.PACELINE = {"PROVIDERS": {"default": provider}, "REGION": "US"}
        accounts.provider.cache_clear()
        yield carrier
    accounts.provider.cache_clear()


@pytest.mark.parametrize("case", CASES, ids=title)
def test_texts_leave_and_their_reports_come_back(case, live_server, settings, tmp_path):
    """Accepted once each; then delivered, with a forged opt-out beside every genuine report that nobody believes."""
    with installed(case, live_server, settings, tmp_path, forged=1.0) as carrier:
        messages = [send_text("Hello 👋", OURS, number) for number in PEOPLE]
        carrier.settle()

    assert [message.error for message in messages] == [None] * 3
    assert sorted((each.sender, each.number, each.text) for each in carrier.accepts()) == [
        (OURS, number, "Hello 👋") for number in PEOPLE
    ]
    wanted = "delivered" if can(case).reports else "accepted"
    assert set(TextMessage.objects.values_list("status", flat=True)) == {wanted}
    assert suppressions.among(PEOPLE) == set()


@pytest.mark.parametrize("case", ANSWERED, ids=title)
def test_stop_is_obeyed_by_the_next_text(case, live_server, settings, tmp_path):
    """Who answers STOP is suppressed before the provider has its 200; the next text to them stays here."""
    with installed(case, live_server, settings, tmp_path, stop_numbers=PEOPLE[:1]) as carrier:
        send_text("Hello", OURS, PEOPLE[0])
        carrier.settle()
        until(lambda: not Event.objects.exclude(next_try_at=None).exists(), 10)
        again = send_text("Hello again", OURS, PEOPLE[0])

    reply = TextMessage.objects.get(direction="incoming")
    assert (reply.frm, reply.to) == (PEOPLE[0], OURS)
    assert reply.text in STOPS
    assert again.status == "suppressed"
    assert len(carrier.accepts()) == 1
