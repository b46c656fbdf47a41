"""Telnyx, word by word. The contract comes first, then what only Telnyx does."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from paceline.sms.errors import AccountProblem, OptedOut, Refused, SenderProblem, Throttled, Uncertain, WebhookRejected
from paceline.sms.messages import Accepted, InboundText, Lookup, Message, Response, WebhookRequest
from paceline.sms.providers import from_url
from paceline.sms.providers.telnyx import Telnyx
from paceline.sms.status import Status

from .provider_contract import NOW, NUMBER, SENDER, ProviderContract

HOOKS = "https://sms.example.org/webhooks/default/status"
ID = "40317f0c-6a34-4a0b-9d55-1f0c2b7a9e41"
KEY = Ed25519PrivateKey.generate()


def public(key: Ed25519PrivateKey) -> str:
    return base64.b64encode(key.public_key().public_bytes_raw()).decode()


def telnyx(**options) -> Telnyx:
    return Telnyx(**({"api_key": "canary-api-key", "public_key": public(KEY), "webhook_url": HOOKS} | options))


def answer(status: int, **fields) -> Response:
    return Response(status, {}, json.dumps(fields).encode())


def error(status: int, code: str, pointer: str = "") -> Response:
    source = {"source": {"pointer": pointer}} if pointer else {}
    return answer(status, errors=[{"code": code, "title": "Something", "detail": "…", **source}])


def data(**changes) -> dict:
    return {
        "id": ID,
        "record_type": "message",
        "direction": "outbound",
        "from": {"phone_number": SENDER},
        "to": [{"phone_number": NUMBER, "status": "queued"}],
        "parts": 2,
        "cost": {"amount": "0.0080", "currency": "USD"},
        "errors": [],
    } | changes


def event(event_type: str, payload: dict, called: str = f"{HOOKS}?reference=r1") -> bytes:
    fields = {
        "event_type": event_type,
        "id": "7a3e0000-0000-4000-8000-000000000000",
        "occurred_at": "2026-03-04T09:15:31.000+00:00",
        "payload": payload,
        "record_type": "event",
    }
    return json.dumps({"data": fields, "meta": {"attempt": 1, "delivered_to": called}}).encode()


def report(name: str, reference: str = "r1", provider_id: str = ID, **changes) -> bytes:
    word, _, code = name.partition(" ")
    kind = "message.sent" if word == "sent" else "message.finalized"
    payload = data(
        id=provider_id,
        to=[{"phone_number": NUMBER, "status": word}],
        errors=[{"code": code, "title": "…"}] if code else [],
    )
    return event(kind, payload | changes, f"{HOOKS}?reference={reference}")


def inbound(**changes) -> bytes:
    payload = data(
        direction="inbound",
        text="STOP",
        to=[{"phone_number": SENDER, "status": "webhook_delivered"}],
        **{"from": {"phone_number": NUMBER}},
    )
    return event("message.received", payload | changes, HOOKS)


def signed(body: bytes, at: float = NOW) -> WebhookRequest:
    """A webhook as Telnyx sends it."""
    signature = base64.b64encode(KEY.sign(f"{int(at)}|".encode() + body)).decode()
    headers = {"telnyx-signature-ed25519": signature, "telnyx-timestamp": str(int(at))}
    return WebhookRequest("POST", "/webhooks/default/status", headers, "", body)


def events(body: bytes, query: str = "") -> list:
    return list(telnyx().events(WebhookRequest("POST", "", {}, query, body)))


class TestTelnyxContract(ProviderContract):
    provider = telnyx()
    other_provider = telnyx(public_key=public(Ed25519PrivateKey.generate()))
    secrets = ("canary-api-key",)
    accept = answer(200, data=data())
    accepted_id = ID
    refuse = error(400, "10002")
    refuse_code = "10002"
    throttle = error(429, "10011")
    opt_out = error(400, "40300")
    sender_problem = error(400, "10016", "/from")
    account_problems = (error(401, "10009"), error(403, "10010"), Response(402), error(400, "10009"), Response(404))
    reports = (
        ("queued", Status.ACCEPTED),
        ("sending", Status.ACCEPTED),
        ("sent", Status.SENT),
        ("delivered", Status.DELIVERED),
        ("read", Status.DELIVERED),
        ("delivery_failed 40008", Status.UNDELIVERED),
        ("sending_failed 40001", Status.FAILED),
        ("sending_failed 40300", Status.FAILED),
        ("expired 40005", Status.EXPIRED),
        ("delivery_unconfirmed", Status.UNCONFIRMED),
    )
    opt_out_report = "sending_failed 40300"
    fresh_seconds = 300
    mutations = 10_000

    def understand(self, request):
        fields = json.loads(request.body)
        return {
            "reference": parse_qs(urlsplit(fields["webhook_url"]).query)["reference"][0],
            "sender": fields["from"],
            "number": fields["to"].removeprefix("+"),
            "text": fields["text"],
        }

    def report(self, name, reference, provider_id, at):
        return signed(report(name, reference, provider_id), at)

    def inbound(self, number, sender, text, at):
        return signed(
            inbound(text=text, to=[{"phone_number": sender}], **{"from": {"phone_number": number}}),
            at,
        )

    def signature(self, webhook):
        return webhook.headers["telnyx-signature-ed25519"]

    def with_signature(self, webhook, signature):
        return replace(webhook, headers={**webhook.headers, "telnyx-signature-ed25519": signature})


# Options


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"api_key": ""}, "api_key"),
        ({"public_key": "canary"}, "public_key"),
        ({"public_key": base64.b64encode(b"canary" * 6).decode()}, "public_key"),
        ({"base_url": "canary.example"}, "base_url"),
        ({"webhook_url": "/canary"}, "webhook_url"),
    ],
)
def test_option_that_cannot_work_is_named(options, hint):
    """With what to set, and without repeating a value."""
    with pytest.raises(ValueError, match=hint) as raised:
        telnyx(**options)

    assert "canary" not in str(raised.value)


def test_provider_url():
    """The key alone; the public one is an option."""
    provider = from_url(f"telnyx://canary-api-key@?public_key={quote(public(KEY), safe='')}", webhook_url=HOOKS)

    assert provider.build(Message("Hi", SENDER, NUMBER)).headers["Authorization"] == "Bearer canary-api-key"
    provider.verify(signed(report("delivered")), NOW)


def test_cryptography_is_loaded_only_to_verify():
    """Who sends through another company, or reads no webhooks, never pays for it."""
    script = (
        "import sys; from paceline.sms.providers.telnyx import Telnyx; Telnyx(api_key='k');"
        "print(any(each.startswith('cryptography') for each in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "False"


# Requests


def test_request_as_documented():
    """Numbers with their plus, and an address that holds our reference."""
    request = telnyx().build(Message("Hi", SENDER, NUMBER, "r1"))

    assert (request.method, request.url) == ("POST", "https://api.telnyx.com/v2/messages")
    assert json.loads(request.body) == {
        "from": SENDER,
        "to": NUMBER,
        "text": "Hi",
        "type": "SMS",
        "webhook_url": f"{HOOKS}?reference=r1",
    }
    assert "idempotency-key" not in {name.lower() for name in request.headers}


@pytest.mark.parametrize(("sender", "named"), [("PaceLine", True), (SENDER, False), ("12345", False)])
def test_profile_goes_along_with_a_name(sender, named):
    """A number has its own."""
    fields = json.loads(telnyx(messaging_profile_id="p-1").build(Message("Hi", sender, NUMBER)).body)

    assert fields["from"] == sender
    assert (fields.get("messaging_profile_id") == "p-1") is named


def test_message_without_a_report_names_no_address():
    """The profile's own address is Telnyx's business."""
    assert "webhook_url" not in json.loads(telnyx().build(Message("Hi", SENDER, NUMBER, report=False)).body)


# Answers


def test_yes_tells_parts_and_an_estimate_of_the_price():
    """The report has the final one."""
    assert telnyx().read(answer(200, data=data())) == Accepted(ID, 2, Decimal("0.0080"), "USD")
    assert telnyx().read(answer(200, data=data(cost=None, parts=None))) == Accepted(ID)


@pytest.mark.parametrize(
    ("response", "reaction", "code"),
    [
        (error(400, "10002"), Refused, "10002"),
        (error(422, "10016", "/to"), Refused, "10016"),
        (error(400, "10015"), Refused, "10015"),
        (error(400, "40009"), Refused, "40009"),
        (error(400, "77777"), Refused, "77777"),
        (answer(400, errors="?"), Refused, "400"),
        (error(422, "77777", "/from"), SenderProblem, "77777"),
        (error(403, "40300"), OptedOut, "40300"),
        (error(403, "77777"), AccountProblem, "77777"),
        (error(400, "10010"), AccountProblem, "10010"),
        (error(404, "10005"), AccountProblem, "10005"),
        (error(400, "10011"), Throttled, "10011"),
        (Response(429), Throttled, "429"),
        (error(408, "10002"), Uncertain, ""),
        (error(503, "10011"), Uncertain, ""),
    ],
)
def test_answer_word_by_word(response, reaction, code):
    """The first error's code decides within its status."""
    with pytest.raises(reaction) as raised:
        telnyx().read(response)

    assert type(raised.value) is reaction
    assert raised.value.code == code


# Webhooks


def test_without_a_public_key_every_webhook_is_rejected():
    """Fail closed, and say which option to set."""
    with pytest.raises(WebhookRejected, match="public_key"):
        telnyx(public_key="").verify(signed(report("delivered")), NOW)


@pytest.mark.parametrize("date", ["", "now", "é", "1772615728", "-1", "9" * 400])
def test_date_is_signed(date):
    """Another one does not fit."""
    genuine = signed(report("delivered"))
    with pytest.raises(WebhookRejected):
        telnyx().verify(replace(genuine, headers={**genuine.headers, "telnyx-timestamp": date}), NOW)


def test_reference_in_the_signed_body_goes_before_the_one_that_was_called():
    """Who replays a webhook to another message's address changes nothing there."""
    assert events(report("delivered", "r1"), "reference=r2")[0].reference == "r1"
    assert events(event("message.finalized", data(), HOOKS), "reference=r2")[0].reference == "r2"
    assert events(event("message.finalized", data(), "http://[r1"), "reference=r2")[0].reference == "r2"


def test_report_carries_what_telnyx_says():
    """Price, parts, time, code and our reason."""
    (found,) = events(report("delivery_failed 40001"))

    assert (found.status, found.word, found.code) == (Status.UNDELIVERED, "delivery_failed", "40001")
    assert "landline" in found.reason
    assert (found.price, found.currency, found.segments) == (Decimal("0.0080"), "USD", 2)
    assert found.at == datetime(2026, 3, 4, 9, 15, 31, tzinfo=UTC)


@pytest.mark.parametrize("to", [None, [], [7], [{}], [{"status": "DELIVERED"}], [{"status": 7}], {"status": "sent"}])
def test_unknown_word_is_kept_without_a_meaning(to):
    """It changes no state and is no error."""
    (found,) = events(report("delivered", to=to))

    assert found.status is None


def test_inbound_text():
    """With the person's number and ours."""
    at = datetime(2026, 3, 4, 9, 15, 31, tzinfo=UTC)

    assert events(inbound(text="Stop please")) == [InboundText(NUMBER, SENDER, "Stop please", ID, at)]


@pytest.mark.parametrize(
    "body",
    [
        inbound(text=None),
        inbound(**{"from": {}}),
        event("message.queued", data()),
        event("call.initiated", {}),
        b"{}",
        b'{"data": 7}',
    ],
)
def test_what_is_not_about_a_text_is_no_event(body):
    """Telnyx sends calls and pictures to webhooks too."""
    assert events(body) == []


# Look-ups

SOUGHT = Lookup("r1", NUMBER, SENDER, "Hi", ID)


def test_look_up_asks_by_id():
    """Without one there is nothing to ask for."""
    request = telnyx().build_lookup(SOUGHT)

    assert (request.method, request.url) == ("GET", f"https://api.telnyx.com/v2/messages/{ID}")
    assert request.headers["Authorization"] == "Bearer canary-api-key"
    with pytest.raises(Uncertain):
        telnyx().build_lookup(Lookup("r1", NUMBER))


def test_look_up_finds_or_does_not_find():
    """The message under our reference; None for one that is not there."""
    delivered = data(to=[{"phone_number": NUMBER, "status": "delivered"}], completed_at="2026-03-04T09:15:31Z")
    found = telnyx().read_lookup(answer(200, data=delivered), SOUGHT)

    assert (found.status, found.reference, found.provider_id) == (Status.DELIVERED, "r1", ID)
    assert found.at == datetime(2026, 3, 4, 9, 15, 31, tzinfo=UTC)
    assert telnyx().read_lookup(error(404, "10005"), SOUGHT) is None


@pytest.mark.parametrize(
    ("response", "reaction"),
    [
        (answer(200), Uncertain),
        (answer(200, data=data(id="another")), Uncertain),
        (error(400, "10015"), Uncertain),
        (error(400, "40300"), Uncertain),
        (answer(500), Uncertain),
        (error(401, "10009"), AccountProblem),
        (error(429, "10011"), Throttled),
    ],
)
def test_look_up_that_says_neither(response, reaction):
    """Never taken for absence, and never for a refusal of the message."""
    with pytest.raises(reaction) as raised:
        telnyx().read_lookup(response, SOUGHT)

    assert not isinstance(raised.value, Refused)
