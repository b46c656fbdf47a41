"""What went wrong in the code that people start from, and must not here: docs/coming-from.md names where it stands.

A second text after a timeout, credentials in logs, miscounted segments, swallowed failures, senders that send although
they were removed, moments without a time zone.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone

import paceline
from paceline.batch import BatchSMS
from paceline.messaging import TextMessage, accounts, queue_text, send_text, senders, texts
from paceline.messaging.models import Sender
from paceline.pytest_plugin import Outbox
from paceline.sandbox.behaviour import Behaviour
from paceline.sandbox.carrier import Running
from paceline.sandbox.wires.smspm import Smspm
from paceline.sms.transports import Transport

OURS, OTHER_OF_OURS, THEIRS, TEXT = "+12025550100", "+12025550101", "+12065550123", "Your table is ready"
HASH, TOKEN = "canary-hash-81", "canary-token-82"
PEOPLE = [f"+1206555{n:04d}" for n in range(100, 110)]

in_database = pytest.mark.django_db(transaction=True)


@pytest.fixture
def carrier(tmp_path: Path) -> Iterator[Running]:
    """SMSPM as the tutorial speaks with it: by GET, with hash and token in the address."""
    wire = Smspm(hash=HASH, token=TOKEN, answers="classic")
    with Running(Behaviour(), ledger=tmp_path / "carrier.jsonl", wire=wire) as running:
        yield running


@pytest.fixture
def url(carrier: Running) -> str:
    return f"smspm+http://{HASH}:{TOKEN}@{carrier.url.removeprefix('http://')}?style=classic"


@pytest.fixture
def project(url: str, tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A Django project that sends through the carrier and waits for an answer for a second."""
    settings.PACELINE = {"PROVIDERS": {"default": url}, "REGION": "US", "DATA_DIR": tmp_path / "paceline"}
    accounts.provider.cache_clear()
    with Transport(total_seconds=1.0) as transport:
        monkeypatch.setattr(texts, "_shared", transport)
        yield
    accounts.provider.cache_clear()


def numbers(carrier: Running) -> list[str]:
    return [accept.number for accept in carrier.accepts()]


# --- a timeout is not retried into a second text --------------------------------------------------------------


def test_timeout_in_a_script(carrier: Running, url: str) -> None:
    """The carrier takes the text and never answers: one request, and an error that says not to send again."""
    carrier.change(accept_hang=1.0)
    with paceline.Client(url, frm=OURS, total_seconds=0.5) as client, pytest.raises(paceline.Uncertain):
        client.send(TEXT, to=THEIRS)

    assert numbers(carrier) == [THEIRS]


def test_timeouts_in_a_list(carrier: Running, url: str, tmp_path: Path) -> None:
    """Each number once, also when the same run is started again."""
    carrier.change(accept_hang=1.0)
    with paceline.Client(url, frm=OURS, total_seconds=0.5) as client:
        first, second = (client.send_many(PEOPLE, TEXT, run_file=tmp_path / "run") for _ in range(2))

    assert {result.status for result in first} == {result.status for result in second} == {paceline.Outcome.UNCERTAIN}
    assert not any(result.retryable for result in second)
    assert sorted(numbers(carrier)) == PEOPLE


@in_database
def test_timeout_in_django(carrier: Running, project: None) -> None:
    """`send_text` submits once; a dispatcher that starts afterwards does not send it again either."""
    carrier.change(accept_hang=1.0)
    message = send_text(TEXT, OURS, THEIRS)
    carrier.change(accept_hang=0.0)
    call_command("dispatch", until_idle=True)

    assert isinstance(message.error, paceline.Uncertain)
    assert TextMessage.objects.get().status == "uncertain"
    assert numbers(carrier) == [THEIRS]


# --- credentials appear in no exception, repr or log ----------------------------------------------------------

TROUBLES: dict[str, dict[str, Any]] = {
    "reset": {"reset": 1.0},
    "timeout": {"hang": 1.0},
    "5xx": {"error": 1.0},
    "garbage": {"garbage": 1.0},
    "redirect": {"redirect": 1.0},
    "taken, then reset": {"accept_reset": 1.0},
    "taken, then timeout": {"accept_hang": 1.0},
    "taken, then 5xx": {"accept_error": 1.0},
    "taken, then garbage": {"accept_garbage": 1.0},
    "too fast": {"throttle": 1.0, "retry_after": 60},
    "refused": {"refused_numbers": (THEIRS,)},
    "unauthorized": {"unauthorized_after": 0},
    "no funds": {"low_balance_after": 0},
}


@pytest.fixture
def everything_logged(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """All loggers at DEBUG: ours, asyncio's and aiohttp's."""
    for name in ("", "asyncio", "paceline", "aiohttp", *(f"aiohttp.{part}" for part in AIOHTTP)):
        caplog.set_level(logging.DEBUG, name)
    return caplog


AIOHTTP = ("client", "access", "internal", "server", "web", "websocket")


def keeps_the_secret(*said: object) -> None:
    for each in said:
        for secret in (HASH, TOKEN, THEIRS, THEIRS[1:], TEXT, TEXT.replace(" ", "+")):
            assert secret not in str(each), f"{secret!r} is in {str(each)[:500]!r}"


def all_of(error: BaseException) -> str:
    """Its text, its repr, and the traceback with every cause, as a log has it."""
    return f"{error} {error!r} {''.join(traceback.format_exception(error))}"


def raised_by(client: paceline.Client) -> BaseException:
    with pytest.raises(paceline.ProviderError) as caught:
        client.send(TEXT, to=THEIRS)
    return caught.value


@pytest.mark.parametrize("trouble", TROUBLES)
def test_no_secret_from_a_script(
    carrier: Running, url: str, trouble: str, everything_logged: pytest.LogCaptureFixture
) -> None:
    """Whatever the company answers, and although hash, token, number and text are in the address."""
    carrier.change(**TROUBLES[trouble])
    with paceline.Client(url, frm=OURS, total_seconds=0.5, retry_seconds=1, retries=1) as client:
        keeps_the_secret(all_of(raised_by(client)), repr(client), repr(client.provider))

    keeps_the_secret(everything_logged.text)


@pytest.mark.parametrize("trouble", sorted(TROUBLES.keys() - {"too fast"}))
def test_no_secret_from_a_list(
    carrier: Running, url: str, trouble: str, everything_logged: pytest.LogCaptureFixture
) -> None:
    """The same for results. (429 is no result: the list waits.)"""
    carrier.change(**TROUBLES[trouble])
    with paceline.Client(url, frm=OURS, total_seconds=0.5, retry_seconds=1, retries=1) as client:
        (result,) = client.send_many([THEIRS], TEXT)

    assert result.error is not None
    keeps_the_secret(all_of(result.error), everything_logged.text)


def test_no_secret_when_nobody_listens(carrier: Running, url: str, everything_logged: pytest.LogCaptureFixture) -> None:
    """Refused connections, and a host that does not exist."""
    carrier.stop()
    nowhere = f"smspm://{HASH}:{TOKEN}@nowhere.invalid?style=classic"
    for provider in (url, nowhere):
        with paceline.Client(provider, frm=OURS, retries=1, retry_seconds=2) as client:
            keeps_the_secret(all_of(raised_by(client)))

    keeps_the_secret(everything_logged.text)


@pytest.mark.parametrize("wrong", ["smspm://{}:{}@host:port", "smspm://{}:{}@?style={}", "smsmp://{}:{}@"])
def test_no_secret_from_a_wrong_url(wrong: str) -> None:
    """It says what is wrong and does not repeat what it was given."""
    with pytest.raises(ValueError) as caught:
        paceline.Client(wrong.format(HASH, TOKEN, "nonsense"))

    keeps_the_secret(all_of(caught.value))


@in_database
@pytest.mark.parametrize("trouble", TROUBLES)
def test_no_secret_from_django(
    carrier: Running, project: None, trouble: str, everything_logged: pytest.LogCaptureFixture
) -> None:
    """Nor in what the row says of the error."""
    carrier.change(**TROUBLES[trouble])
    message = send_text(TEXT, OURS, THEIRS, wait_seconds=0)

    assert message.error is not None
    keeps_the_secret(all_of(message.error), message, repr(message), message.code, message.reason)
    ours = [record.getMessage() for record in everything_logged.records if not record.name.startswith("django.db")]
    keeps_the_secret("\n".join(ours))
    assert not any(secret in everything_logged.text for secret in (HASH, TOKEN))


# --- segments -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "encoding", "count"),
    [
        ("a" * 114 + "€", "GSM-7", 1),
        ("🍝" * 70, "UCS-2", 3),
        ("a" * 158 + "€", "GSM-7", 1),
        ("a" * 159 + "€", "GSM-7", 2),
        ("[" * 80, "GSM-7", 1),
        ("🍝" * 35, "UCS-2", 1),
    ],
)
def test_segments_are_counted_as_handsets_count(text: str, encoding: str, count: int) -> None:
    """The extension's characters are two septets each and cost no UCS-2; an emoji is two units of UCS-2."""
    assert (paceline.segments(text).encoding, paceline.count(text)) == (encoding, count)
    assert len(paceline.split(text)) == count


# --- fail_silently hides no lost message ----------------------------------------------------------------------

SILENT = {
    "taken, then timeout": (paceline.Uncertain, "uncertain"),
    "5xx": (paceline.Uncertain, "uncertain"),
    "refused": (paceline.Refused, "refused"),
    "too fast": (paceline.Throttled, "failed"),
    "unauthorized": (paceline.AccountProblem, "failed"),
    "no funds": (paceline.AccountProblem, "failed"),
}


@in_database
@pytest.mark.parametrize("trouble", SILENT)
def test_what_was_swallowed_is_on_the_message_and_its_row(carrier: Running, project: None, trouble: str) -> None:
    """Without an exception, and without a loss: class, status and reason say what became of it."""
    carrier.change(**TROUBLES[trouble])
    error, status = SILENT[trouble]

    message = send_text(TEXT, OURS, THEIRS, wait_seconds=0)

    row = TextMessage.objects.get()
    assert isinstance(message.error, error)
    assert message.status == row.status == status
    assert row.reason
    assert (row.text, row.to) == (TEXT, THEIRS)


@in_database
def test_what_never_got_near_a_carrier_is_a_row_too(carrier: Running, project: None) -> None:
    """A number that is none, and a carrier that is away."""
    wrong = send_text(TEXT, OURS, "12345")
    carrier.stop()
    away = send_text(TEXT, OURS, THEIRS, wait_seconds=0)

    assert isinstance(wrong.error, paceline.Refused)
    assert isinstance(away.error, paceline.Unavailable)
    first, second = TextMessage.objects.order_by("pk")
    assert (first.status, first.code, second.status) == ("refused", "invalid_number", "failed")


# --- a removed sender sends nothing ---------------------------------------------------------------------------


@in_database
def test_removed_sender_in_django(carrier: Running, project: None) -> None:
    """Neither now nor later, nor what was queued before."""
    send_text(TEXT, OURS, THEIRS)
    queue_text("queued before", OURS, THEIRS)
    senders.remove(Sender.objects.get(number=OURS))

    refused = send_text("afterwards", OURS, THEIRS)
    with pytest.raises(paceline.SenderProblem):
        queue_text("afterwards", OURS, THEIRS)
    call_command("dispatch", until_idle=True, seconds=20)

    assert isinstance(refused.error, paceline.SenderProblem)
    assert [accept.text for accept in carrier.accepts()] == [TEXT]


@in_database
def test_removed_sender_in_a_script(carrier: Running, project: None) -> None:
    """batch_sms left its people with it; here they hear from the others."""
    client = BatchSMS(mps=50)
    for number in (OURS, OTHER_OF_OURS):
        client.add_from_number(number)
    everybody = client.create_subscription_list("everybody")
    client.add_to_numbers(PEOPLE, subs=[everybody])
    client.remove_from_number(OURS)

    client.send_to_subscription(everybody, TEXT)

    assert sorted(numbers(carrier)) == PEOPLE
    assert {accept.sender for accept in carrier.accepts()} == {OTHER_OF_OURS}


# --- naive datetimes are refused ------------------------------------------------------------------------------


@in_database
@pytest.mark.parametrize("option", ["at", "expires_at"])
def test_moment_without_a_zone(carrier: Running, project: None, option: str) -> None:
    """The error says what to write; nothing is queued. The same moment with its zone is taken."""
    naive = datetime.now() + timedelta(hours=23)  # noqa: DTZ005 as the tutorial has it
    with pytest.raises(ValueError, match=rf"{option} has no time zone.*make_aware\({option}\)"):
        queue_text(TEXT, OURS, THEIRS, **{option: naive})
    assert not TextMessage.objects.exists()

    queue_text(TEXT, OURS, THEIRS, **{option: timezone.make_aware(naive)})
    assert TextMessage.objects.get().status == "queued"


def test_moment_without_a_zone_in_a_test() -> None:
    """The list of `sms_outbox`, which lets time pass, wants to know which time."""
    with pytest.raises(ValueError, match="time zone"):
        Outbox().deliver_due(at=datetime(2026, 12, 1, 9, 0))  # noqa: DTZ001
