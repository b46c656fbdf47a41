"""SMSPM, word by word. The contract comes first, for either style, then what only SMSPM does."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import pytest

from paceline.sms.errors import AccountProblem, Refused, SenderProblem, Throttled, Uncertain, WebhookRejected
from paceline.sms.messages import Message, Response, WebhookRequest
from paceline.sms.providers import from_url
from paceline.sms.providers.base import callback_url
from paceline.sms.providers.smspm import Smspm
from paceline.sms.status import Status

from .provider_contract import NOW, NUMBER, SENDER, ProviderContract

CREDENTIALS = {"hash": "canary-hash", "token": "canary-token"}
SECRET = "canary-webhook-secret"
HERE = "https://sms.example.org/webhooks/default/status"


def smspm(**options) -> Smspm:
    return Smspm(**(CREDENTIALS | {"webhook_secret": SECRET, "webhook_url": HERE} | options))


def answer(status: int, fields: object) -> Response:
    return Response(status, {}, json.dumps(fields).encode())


def entry(**fields) -> dict:
    return {"messages": [{"toNumber": "12125550123"} | fields]}


def address(reference: str, secret: str = SECRET) -> WebhookRequest:
    """A call of the address that a message with this reference has named."""
    return WebhookRequest("GET", "/", {}, urlsplit(callback_url(HERE, reference, secret.encode())).query)


class SmspmContract(ProviderContract):
    """What both styles have in common: the wire's reports, and the key in their address."""

    secrets = (CREDENTIALS["hash"], CREDENTIALS["token"], SECRET)
    signature_covers = "reference"
    reports = (
        ("Added to queue", Status.ACCEPTED),
        ("queued", Status.ACCEPTED),
        ("pending", Status.ACCEPTED),
        ("submitted", Status.SENT),
        ("delivered", Status.DELIVERED),
        ("DELIVERED", Status.DELIVERED),
        ("undelivered", Status.UNDELIVERED),
        ("failed", Status.FAILED),
        ("rejected", Status.REFUSED),
        ("expired", Status.EXPIRED),
    )
    other_provider = smspm(webhook_secret="another-secret")

    def report(self, name, reference, provider_id, at):
        fields = {"messageId": provider_id, "status": name, "to": "12125550123"}
        return replace(address(reference), method="POST", body=json.dumps(fields).encode())

    def signature(self, webhook):
        return parse_qs(webhook.query)["key"][0]

    def with_signature(self, webhook, signature):
        return replace(
            webhook, query=urlencode({"reference": parse_qs(webhook.query)["reference"][0], "key": signature})
        )


class TestSmspmContract(SmspmContract):
    provider = smspm()
    accept = answer(200, entry(id="0b8c1f6e", status="Added to queue"))
    accepted_id = "0b8c1f6e"
    refuse = answer(200, entry(id="0b8c1f6e", error="Invalid phone number: 12125550123"))
    refuse_code = "invalid_phone"
    throttle = answer(429, {"error": "Too many requests"})
    sender_problem = answer(400, {"error": "Unknown fromNumber"})
    account_problems = (
        answer(400, {"error": "Token is required"}),
        answer(200, {"error": "Hash is required"}),
        answer(401, {"error": "Nope"}),
        answer(402, {"error": "Pay"}),
        answer(200, {"error": "Not enough credit"}),
    )

    def understand(self, request):
        fields = json.loads(request.body)
        return {
            "reference": parse_qs(urlsplit(fields["report"]).query)["reference"][0],
            "sender": fields["fromNumber"],
            "number": fields["toNumber"],
            "text": fields["text"],
        }


class TestSmspmClassicContract(SmspmContract):
    provider = smspm(style="classic")
    accept = answer(200, {"status": "success", "messageId": "a1b2c3"})
    accepted_id = "a1b2c3"
    refuse = answer(200, {"status": "invalid_phone", "message": "12125550123 is not E.164"})
    refuse_code = "invalid_phone"
    throttle = answer(429, {"status": "rate_limit"})
    sender_problem = answer(200, {"status": "invalid_sender"})
    account_problems = (answer(401, {"status": "auth_failed"}), answer(200, {"status": "low_balance"}))

    def understand(self, request):
        fields = dict(parse_qsl(urlsplit(request.url).query))
        return {
            "reference": parse_qs(urlsplit(fields["report"]).query)["reference"][0],
            "sender": fields["fromNumber"],
            "number": fields["toNumber"].removeprefix("+"),
            "text": fields["text"],
        }


# Options


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"hash": ""}, "set hash"),
        ({"token": ""}, "set token"),
        ({"style": "canary"}, "style must be one of v2, classic"),
        ({"base_url": "api.smspm.com/canary"}, "base_url"),
        ({"webhook_url": "/canary"}, "webhook_url"),
    ],
)
def test_option_that_cannot_work_is_named(options, hint):
    """With what to set, and without repeating a value."""
    with pytest.raises(ValueError, match=hint) as error:
        smspm(**options)

    assert "canary" not in str(error.value)


def test_from_a_url():
    """Hash and token stand where user and password do."""
    request = from_url("smspm://my-hash:my%20token@?style=classic").build(Message("Hi", SENDER, NUMBER))

    assert dict(parse_qsl(urlsplit(request.url).query)) == {
        "hash": "my-hash",
        "token": "my token",
        "toNumber": NUMBER,
        "fromNumber": SENDER,
        "text": "Hi",
    }


# Requests


def test_v2_request_as_documented():
    """JSON by POST, digits without plus, no secret in the address."""
    request = smspm(webhook_url="").build(Message("Hi", "PaceLine", NUMBER, "r1"))

    assert (request.method, request.url) == ("POST", "https://api.smspm.com/")
    assert json.loads(request.body) == {
        "hash": "canary-hash",
        "token": "canary-token",
        "toNumber": "12125550123",
        "fromNumber": "PaceLine",
        "text": "Hi",
        "smsId": "r1",
    }


def test_classic_request_is_the_articles():
    """GET with five parameters, the number with its plus (written %2B); no body."""
    request = smspm(style="classic", webhook_url="").build(Message("Hi & bye", "MyApp", NUMBER))

    assert (request.method, request.body) == ("GET", b"")
    assert request.url == (
        "https://api.smspm.com/?hash=canary-hash&token=canary-token&toNumber=%2B12125550123&fromNumber=MyApp"
        "&text=Hi+%26+bye"
    )


@pytest.mark.parametrize("style", ["v2", "classic"])
def test_no_report_is_asked_for_without_need(style):
    """Not when the message wants none, not without an address, and not without the secret that protects it."""
    wanted, unwanted = Message("Hi", SENDER, NUMBER), Message("Hi", SENDER, NUMBER, report=False)
    for provider, message in (
        (smspm(style=style), unwanted),
        (smspm(style=style, webhook_url=""), wanted),
        (smspm(style=style, webhook_secret=""), wanted),
    ):
        request = provider.build(message)
        assert b"report" not in request.body
        assert "report" not in request.url
    assert "report" in smspm(style=style).build(wanted).url + smspm(style=style).build(wanted).body.decode()


def test_connections_are_opened_ahead_as_the_style_wants_them():
    """A POST may go over one that was used before, a GET wants one for itself."""
    assert (smspm().method, smspm(style="classic").method) == ("POST", "GET")
    assert smspm().endpoint == smspm(style="classic").endpoint == "https://api.smspm.com/"


# Answers


@pytest.mark.parametrize("style", ["v2", "classic"])
@pytest.mark.parametrize(
    "fields",
    [
        entry(id="x-1", status="Added to queue"),
        entry(id="x-1"),
        {"status": "success", "messageId": "x-1"},
        {"status": "SUCCESS", "messageId": "x-1", "parts": 2, "cost": 0.09, "currency": "EUR"},
        {"id": "x-1", "status": "queued", "price": 0.04},
    ],
    ids=repr,
)
def test_every_shape_of_yes_is_accepted(style, fields):
    """The company's pages name three, and not which style has which."""
    assert smspm(style=style).read(answer(200, fields)).provider_id == "x-1"


def test_price_and_segments_of_an_answer():
    """They are there sometimes."""
    accepted = smspm().read(
        answer(200, {"status": "success", "messageId": 7, "parts": 2, "cost": 0.09, "currency": "EUR"})
    )

    assert (accepted.provider_id, accepted.segments) == ("7", 2)
    assert (accepted.price, accepted.currency) == (Decimal("0.09"), "EUR")


@pytest.mark.parametrize(
    ("response", "reaction", "code"),
    [
        (answer(200, {"status": "invalid_phone"}), Refused, "invalid_phone"),
        (answer(200, {"status": "low_balance", "id": "7"}), AccountProblem, "low_balance"),
        (answer(200, {"status": "destination_blocked"}), Refused, "destination_blocked"),
        (answer(200, {"status": "invalid_sender"}), SenderProblem, "invalid_sender"),
        (answer(200, {"status": "rate_limit"}), Throttled, "rate_limit"),
        (answer(200, {"status": "server_error", "message": "Try again"}), Uncertain, "server_error"),
        (answer(200, {"status": "error", "message": "Not enough funds"}), AccountProblem, "low_balance"),
        (answer(200, {"status": "error", "message": "Something else"}), Refused, "error"),
        (answer(200, {"status": "error"}), Uncertain, ""),
        (answer(200, {"status": "pending", "message": "Wait"}), Uncertain, ""),
        (answer(200, {"status": "success", "message": "No id"}), Uncertain, ""),
        (answer(200, entry(error="Something else")), Refused, "error"),
        (answer(200, entry(error="Sender is not registered")), SenderProblem, "invalid_sender"),
        (answer(200, entry(error={"code": 7})), Uncertain, ""),
        (answer(200, entry(status="Added to queue")), Uncertain, ""),
        (answer(200, {"messages": [{"id": "1"}, {"id": "2"}]}), Uncertain, ""),
        (answer(200, {"messages": {"id": "1"}}), Uncertain, ""),
        (answer(200, {"error": "Something else"}), Uncertain, ""),
        (answer(400, {"error": "Invalid phone number: 372"}), Refused, "invalid_phone"),
        (answer(400, {"status": "invalid_params"}), Refused, "invalid_params"),
        (answer(400, {"error": "Something else"}), Refused, "400"),
        (answer(403, {"status": "invalid_sender"}), SenderProblem, "invalid_sender"),
        (answer(403, {}), AccountProblem, "auth_failed"),
        (answer(404, {}), AccountProblem, "404"),
        (answer(408, {"status": "invalid_phone"}), Uncertain, ""),
        (answer(429, {"status": "invalid_phone"}), Throttled, "invalid_phone"),
        (answer(500, {"status": "invalid_phone"}), Uncertain, ""),
    ],
)
def test_answer_calls_for_a_reaction(response, reaction, code):
    """The status word first, then the HTTP status, then phrases; inside a 200 an unknown word is a doubt."""
    with pytest.raises(reaction) as error:
        smspm().read(response)

    assert type(error.value) is reaction
    assert error.value.code == code


# Reports


@pytest.mark.parametrize(
    ("query", "body"),
    [
        ("id=x-1&status=delivered&toNumber=12125550123", b""),
        ("", b"messageId=x-1&status=delivered&to=12125550123"),
        ("", b'{"messageId": "x-1", "status": "delivered", "timestamp": "2026-03-04T09:15:27Z"}'),
        ("", b'{"event": "sms.delivered", "id": "x-1", "to": "12125550123", "deliveredAt": "2026-03-04T09:15:27Z"}'),
    ],
)
def test_every_form_of_a_report(query, body):
    """By GET or POST, form or JSON; our reference comes from the address."""
    webhook = address("r1")
    webhook = replace(webhook, query=webhook.query + "&" + query, body=body)

    smspm().verify(webhook, NOW)
    (report,) = smspm().events(webhook)

    assert (report.status, report.word) == (Status.DELIVERED, "delivered")
    assert (report.provider_id, report.reference) == ("x-1", "r1")
    assert report.at in (None, datetime(2026, 3, 4, 9, 15, 27, tzinfo=UTC))


def test_unknown_word_is_kept_without_a_meaning():
    """It changes nothing."""
    webhook = replace(address("r1"), body=b'{"id": "x-1", "status": "vanished"}')
    (report,) = smspm().events(webhook)

    assert (report.status, report.word) == (None, "vanished")


def test_key_of_one_message_opens_no_other():
    """Whoever has seen one address cannot report on another message."""
    webhook = address("r1")
    with pytest.raises(WebhookRejected):
        smspm().verify(replace(webhook, query=webhook.query.replace("r1", "r2")), NOW)


def test_without_a_secret_every_webhook_is_rejected():
    """Fail closed, and say which option to set."""
    for webhook in (address("r1"), address("r1", ""), WebhookRequest("GET", "/", {}, "reference=r1&key=")):
        with pytest.raises(WebhookRejected, match="webhook_secret"):
            smspm(webhook_secret="").verify(webhook, NOW)


def test_company_hears_ok():
    """As its pages want it."""
    assert smspm().acknowledgement == b"OK"
