"""Sending without a provider: what each local one leaves behind."""

from __future__ import annotations

import asyncio
import json
import stat

import pytest

from paceline.sms import transports
from paceline.sms.errors import Unavailable, Uncertain
from paceline.sms.messages import Message, Response
from paceline.sms.providers import load
from paceline.sms.providers.local import Console, Dummy, File, Memory
from paceline.sms.transports import AsyncTransport, Transport

MESSAGE = Message("First line\nsecond: Привет 🚚", "PACELINE", "+12125550123", "r-1")
FIELDS = {"reference": "r-1", "sender": "PACELINE", "number": "+12125550123", "text": "First line\nsecond: Привет 🚚"}


@pytest.fixture(autouse=True)
def empty_outbox():
    transports.clear_memory_outbox()
    yield
    transports.clear_memory_outbox()


def local_providers(tmp_path) -> list:
    return [Console(), File(path=tmp_path / "sms.jsonl"), Memory(), Dummy()]


def test_request_is_the_message_under_an_address_of_its_own_scheme(tmp_path):
    """Pure translation: the transport does what the scheme says."""
    path = tmp_path / "with space" / "sms.jsonl"
    urls = {Console(): "console:", File(path=path): path.as_uri(), Memory(): "memory:", Dummy(): "dummy:"}
    for provider, url in urls.items():
        request = provider.build(MESSAGE)

        assert request.url == url
        assert json.loads(request.body) == FIELDS


def test_accepted_under_our_reference(tmp_path):
    """By the sync and the async transport alike."""

    async def submit(provider):
        async with AsyncTransport() as transport:
            return await transport.submit(provider, MESSAGE)

    for provider in local_providers(tmp_path):
        with Transport() as transport:
            assert transport.submit(provider, MESSAGE).provider_id == "local-r-1"
        assert asyncio.run(submit(provider)).provider_id == "local-r-1"


def test_console_prints_one_block(capsys):
    """Who to whom, and every line of the text."""
    with Transport() as transport:
        transport.submit(Console(), MESSAGE)

    assert capsys.readouterr().out == (
        "SMS from PACELINE to +12125550123, reference r-1\n  | First line\n  | second: Привет 🚚\n"
    )


def test_file_gains_one_line_per_message_and_only_its_owner_reads_it(tmp_path):
    """JSON lines, appended; texts and numbers are nobody else's business."""
    path = tmp_path / "a folder" / "sms.jsonl"
    path.parent.mkdir()
    with Transport() as transport:
        for _ in range(2):
            transport.submit(File(path=path), MESSAGE)

    assert [json.loads(line) for line in path.read_text().splitlines()] == [FIELDS, FIELDS]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_memory_keeps_what_was_sent():
    """For tests of those who use us."""
    with Transport() as transport:
        transport.submit(Memory(), MESSAGE)

    assert transports.memory_outbox == [FIELDS]

    transports.clear_memory_outbox()
    assert transports.memory_outbox == []


def test_dummy_leaves_nothing(capsys):
    """It only says yes."""
    with Transport() as transport:
        transport.submit(Dummy(), MESSAGE)

    assert capsys.readouterr().out == ""
    assert transports.memory_outbox == []


def test_file_that_cannot_be_opened_is_unavailable(tmp_path):
    """Nothing was written, and `before_write` was not called: it can be tried again."""
    called = []
    with Transport() as transport, pytest.raises(Unavailable):
        transport.submit(File(path=tmp_path / "missing" / "sms.jsonl"), MESSAGE, lambda: called.append(1))

    assert called == []


def test_before_write_holds_a_local_message_back_too(tmp_path, capsys):
    """The same rule as on the wire: if it raises, nothing happens and its exception comes out."""

    class TooLate(Exception):
        pass

    def veto():
        raise TooLate

    with Transport() as transport:
        for provider in local_providers(tmp_path):
            with pytest.raises(TooLate):
                transport.submit(provider, MESSAGE, veto)

    assert transports.memory_outbox == []
    assert (tmp_path / "sms.jsonl").read_bytes() == b""
    assert capsys.readouterr().out == ""


def test_before_write_is_called_once(tmp_path):
    """Also without a network."""
    for provider in local_providers(tmp_path):
        called = []
        with Transport() as transport:
            transport.submit(provider, MESSAGE, lambda called=called: called.append(1))

        assert called == [1]


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"null", b"\xff"])
def test_answer_that_cannot_be_read_is_uncertain(body):
    """As with every provider."""
    with pytest.raises(Uncertain):
        Memory().read(Response(202, {}, body))


def test_settings_load_them_by_path(tmp_path):
    """The file provider wants a path and says so."""
    for name in ("Console", "Memory", "Dummy"):
        load(f"paceline.sms.providers.local.{name}")
    load("paceline.sms.providers.local.File", {"path": str(tmp_path / "sms.jsonl")})
    with pytest.raises(ValueError, match="path"):
        File(path="")
    with pytest.raises(ValueError, match="path"):
        load("paceline.sms.providers.local.Console", {"path": "x"})
