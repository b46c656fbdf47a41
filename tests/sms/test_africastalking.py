"""Africa's Talking, word by word. The contract comes first, then what only Africa's Talking does."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from urllib.parse import parse_qsl, quote, urlencode

import pytest

from paceline.sms.errors import (
    AccountProblem,
    OptedOut,
    Refused,
    SenderProblem,
    Throttled,
    Uncertain,
    WebhookRejected,
)
from paceline.sms.messages import InboundText, Message, Response, WebhookRequest
from paceline.sms.providers import from_url
from paceline.sms.providers.africastalking import FAILURES, AfricasTalking
from paceline.sms.status import Status

from .provider_contract import NOW, NUMBER, ProviderContract

SECRET = "canary-webhook-secret"


def africastalking(**options) -> AfricasTalking:
    return AfricasTalking(**({"username": "paceline", "api_key": "canary-key", "webhook_secret": SECRET} | options))


def data(message: str = "Sent to 1/1 Total Cost: KES 0.8000", *recipients: dict) -> Response:
    body = {"SMSMessageData": {"Message": message, "Recipients": list(recipients)}}
    return Response(201, {}, json.dumps(body).encode())


def recipient(code: int, **fields) -> Response:
    entry = {"number": NUMBER, "status": "…", "statusCode": code, "messageId": "ATXid_1", "cost": "KES 0.8000"}
    return data("Sent to 1/1", entry | fields)


def webhook(token: str = SECRET, **fields: str) -> WebhookRequest:
    """A form to the address that ends in the token."""
    return WebhookRequest("POST", f"/webhooks/default/status/{token}", {}, "", urlencode(fields).encode())


def events(**fields: str) -> list:
    return list(africastalking().events(webhook(**fields)))


class TestAfricasTalkingContract(ProviderContract):
    provider = africastalking()
    other_provider = africastalking(webhook_secret="another-secret")
    secrets = ("canary-key", SECRET)
    signature_covers = ""
    accept = recipient(101)
    accepted_id = "ATXid_1"
    refuse = recipient(403, messageId="None")
    refuse_code = "403"
    throttle = Response(429)
    opt_out = recipient(406, messageId="None")
    sender_problem = recipient(402, messageId="None")
    account_problems = (
        recipient(405, messageId="None"),
        recipient(401, messageId="None"),
        Response(401),
        Response(403),
    )
    reports = (
        ("Submitted", Status.SENT),
        ("Buffered", Status.SENT),
        ("Sent", Status.SENT),
        ("Success", Status.DELIVERED),
        ("Failed", Status.UNDELIVERED),
        ("Failed UserIsInactive", Status.UNDELIVERED),
        ("Rejected", Status.REFUSED),
        ("Rejected UserInBlackList", Status.REFUSED),
    )
    opt_out_report = "Rejected UserInBlackList"

    def understand(self, request):
        fields = dict(parse_qsl(request.body.decode()))
        return {"sender": fields["from"], "number": fields["to"].removeprefix("+"), "text": fields["message"]}

    def report(self, name, reference, provider_id, at):
        word, _, reason = name.partition(" ")
        return webhook(id=provider_id, status=word, phoneNumber=NUMBER, failureReason=reason, retryCount="0")

    def inbound(self, number, sender, text, at):
        return webhook(**{"date": "2026-03-04 09:20:01", "from": number, "to": sender, "text": text, "id": "in-1"})

    def signature(self, webhook):
        return webhook.path.rpartition("/")[2]

    def with_signature(self, webhook, signature):
        token = quote(signature, safe="")
        return replace(webhook, path=f"/webhooks/default/status/{token}" if token else "/webhooks/default/status")

    def unsigned(self, webhook):
        return [self.with_signature(webhook, ""), replace(webhook, path="/"), replace(webhook, path="")]


# Options


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"username": ""}, "set username"),
        ({"api_key": ""}, "set api_key"),
        ({"api_key": "canary\r\nX: y"}, "api_key must be printable"),
        ({"base_url": "canary"}, "base_url"),
    ],
)
def test_option_that_cannot_work_is_named(options, hint):
    """With what to set, and without repeating a value."""
    with pytest.raises(ValueError, match=hint) as error:
        africastalking(**options)

    assert "canary" not in str(error.value)


def test_from_a_url_and_the_companys_own_sandbox():
    """The username `sandbox` has a host of its own."""
    path = "/version1/messaging"

    assert from_url("africastalking://paceline:k@").endpoint == "https://api.africastalking.com" + path
    assert from_url("africastalking://sandbox:k@").endpoint == "https://api.sandbox.africastalking.com" + path
    assert from_url("africastalking+http://sandbox:k@127.0.0.1:9").endpoint == "http://127.0.0.1:9" + path


# Requests


def test_request_as_documented():
    """A form with the key in a header; one recipient, with its plus."""
    request = africastalking().build(Message("Hi", "PaceLine", NUMBER, "r1"))

    assert (request.method, request.url) == ("POST", "https://api.africastalking.com/version1/messaging")
    assert request.headers["apiKey"] == "canary-key"
    assert dict(parse_qsl(request.body.decode())) == {
        "username": "paceline",
        "to": NUMBER,
        "from": "PaceLine",
        "message": "Hi",
        "bulkSMSMode": "1",
    }


# Answers


@pytest.mark.parametrize(
    ("response", "reaction", "code"),
    [
        (recipient(401), AccountProblem, "401"),
        (recipient(402), SenderProblem, "402"),
        (recipient(403), Refused, "403"),
        (recipient(404), Refused, "404"),
        (recipient(405), AccountProblem, "405"),
        (recipient(406), OptedOut, "406"),
        (recipient(407), Refused, "407"),
        (recipient(409), OptedOut, "409"),
        (recipient(500), Uncertain, "500"),
        (recipient(501), Uncertain, "501"),
        (recipient(502), Refused, "502"),
        (recipient(102, messageId="None"), Uncertain, ""),
        (recipient(102, messageId=""), Uncertain, ""),
        (recipient(103), Uncertain, ""),
        (recipient(True), Uncertain, ""),
        (data("InvalidSenderId"), SenderProblem, "402"),
        (data("Invalid Sender Id"), SenderProblem, "402"),
        (data("Insufficient balance"), AccountProblem, "405"),
        (data("Sent to 0/1"), Uncertain, ""),
        (data("", {"statusCode": 101, "messageId": "1"}, {"statusCode": 101, "messageId": "2"}), Uncertain, ""),
        (Response(400), Refused, "400"),
        (Response(401), AccountProblem, "401"),
        (Response(402), AccountProblem, "402"),
        (Response(404), AccountProblem, "404"),
        (Response(408), Uncertain, ""),
        (Response(429), Throttled, "429"),
        (replace(recipient(403), status=500), Uncertain, ""),
    ],
)
def test_answer_calls_for_a_reaction(response, reaction, code):
    """A code of the body is none of HTTP: 401 is a held account in one and a wrong key in the other."""
    with pytest.raises(reaction) as error:
        africastalking().read(response)

    assert type(error.value) is reaction
    assert error.value.code == code


@pytest.mark.parametrize("code", [100, 101, 102, "101"])
def test_processed_sent_or_queued_is_accepted(code):
    """Success in an answer is no delivery."""
    assert africastalking().read(recipient(code)).provider_id == "ATXid_1"


@pytest.mark.parametrize(
    ("cost", "price", "currency"),
    [("KES 0.8000", Decimal("0.8000"), "KES"), ("0", None, ""), ("KES free", None, ""), (None, None, "")],
)
def test_cost_has_its_currency_in_front(cost, price, currency):
    """An exact amount, or none."""
    accepted = africastalking().read(recipient(101, cost=cost))

    assert (accepted.price, accepted.currency) == (price, currency)


# Reports, texts, opt-outs


@pytest.mark.parametrize("reason", FAILURES)
def test_every_failure_has_a_reason(reason):
    """In a sentence; one of them is an opt-out."""
    (report,) = events(id="ATXid_1", status="Failed", failureReason=reason)

    assert (report.code, report.reason) == (reason, FAILURES[reason])
    assert report.opted_out is (reason == "UserInBlackList")


def test_unknown_words_are_kept_without_a_meaning():
    """They change nothing."""
    (report,) = events(id="ATXid_1", status="AbsentSubscriber", failureReason="SomethingNew")

    assert (report.status, report.word, report.code) == (None, "AbsentSubscriber", "SomethingNew")
    assert "do not know" in report.reason


def test_inbound_text_has_its_date():
    """Without a zone it is UTC."""
    (text,) = events(**{"date": "2026-03-04 09:20:01", "from": NUMBER, "to": "12345", "text": " Stop ", "id": "in-1"})

    assert text == InboundText(NUMBER, "12345", " Stop ", "in-1", datetime(2026, 3, 4, 9, 20, 1, tzinfo=UTC))


def test_notice_of_an_opt_out_is_a_stop():
    """It comes to its own address and names sender and number only."""
    (text,) = events(senderId="PaceLine", phoneNumber=NUMBER)

    assert (text.number, text.sender, text.text) == (NUMBER, "PaceLine", "STOP")


@pytest.mark.parametrize("fields", [{"phoneNumber": NUMBER}, {"text": "Hi"}, {"networkCode": "63902"}])
def test_anything_else_is_no_event(fields):
    """A form about something else."""
    assert events(**fields) == []


def test_without_a_secret_every_webhook_is_rejected():
    """Fail closed, and say which option to set."""
    for token in ("", SECRET):
        with pytest.raises(WebhookRejected, match="webhook_secret"):
            africastalking(webhook_secret="").verify(webhook(token, id="1", status="Success"), NOW)
