"""Sinch, word by word. The contract comes first, then what only Sinch does."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from paceline.sms.errors import AccountProblem, Refused, Throttled, Uncertain, WebhookRejected
from paceline.sms.messages import DeliveryReport, InboundText, Lookup, Message, Response, WebhookRequest
from paceline.sms.providers import from_url
from paceline.sms.providers.sinch import Sinch
from paceline.sms.status import Status

from .provider_contract import NOW, NUMBER, SENDER, ProviderContract

SECRET = "canary-signature-secret"
OWN_SECRET = "canary-webhook-secret"
HOOKS = "https://sms.example.org/webhooks/default/status"
BATCH = "01K1EXAMPLEBATCH0000000000"


def sinch(**options) -> Sinch:
    fields = {"service_plan_id": "plan-1", "api_token": "canary-api-token", "webhook_url": HOOKS}
    return Sinch(**(fields | {"signature_secret": SECRET} | options))


def keyed(**options) -> Sinch:
    """A plan whose webhooks Sinch does not sign."""
    return sinch(**({"signature_secret": "", "webhook_secret": OWN_SECRET} | options))


def answer(status: int, /, **fields) -> Response:
    return Response(status, {}, json.dumps(fields).encode())


def webhook(**fields) -> WebhookRequest:
    return WebhookRequest("POST", "/webhooks/default/status", {}, "", json.dumps(fields).encode())


def signed(at: float, /, *, secret: str = SECRET, nonce: str = "N-0001", **fields) -> WebhookRequest:
    """A webhook as Sinch signs it; the signature is computed here, not by our own code."""
    bare = webhook(**fields)
    content = bare.body + f".{nonce}.{int(at)}".encode()
    signature = base64.b64encode(hmac.new(secret.encode(), content, hashlib.sha256).digest()).decode()
    prefix = "x-sinch-webhook-signature"
    headers = {
        prefix: signature,
        f"{prefix}-nonce": nonce,
        f"{prefix}-timestamp": str(int(at)),
        f"{prefix}-algorithm": "HmacSHA256",
    }
    return replace(bare, headers=headers)


def report(name: str, reference: str = "r1", provider_id: str = BATCH, **changes) -> dict:
    word, _, code = name.partition(" ")
    return {
        "type": "recipient_delivery_report_sms",
        "batch_id": provider_id,
        "recipient": "12125550123",
        "code": int(code or 0),
        "status": word,
        "at": "2026-03-04T09:15:31.120Z",
        "operator_status_at": "2026-03-04T09:15:30Z",
        "client_reference": reference,
    } | changes


def inbound(**changes) -> dict:
    return {
        "type": "mo_text",
        "id": "01K1EXAMPLEINBOUND00000000",
        "from": "12125550123",
        "to": "13105550199",
        "body": "STOP",
        "received_at": "2026-03-04T09:20:01Z",
        "operator_id": "24801",
    } | changes


def events(**fields) -> list:
    return list(sinch().events(webhook(**fields)))


class TestSinchContract(ProviderContract):
    provider = sinch()
    other_provider = sinch(signature_secret="another-secret")
    secrets = ("canary-api-token", SECRET)
    accept = answer(201, id=BATCH, to=["12125550123"], type="mt_text", canceled=False)
    accepted_id = BATCH
    refuse = answer(400, code="syntax_invalid_parameter_format", text="to: invalid")
    refuse_code = "syntax_invalid_parameter_format"
    throttle = answer(429, code="too_many_requests", text="Slow down")
    account_problems = (answer(401), answer(402), answer(403, code="forbidden"), answer(404), Response(405))
    reports = (
        ("Queued 400", Status.ACCEPTED),
        ("Dispatched 401", Status.SENT),
        ("Delivered", Status.DELIVERED),
        ("Failed 404", Status.UNDELIVERED),
        ("Aborted 402", Status.UNDELIVERED),
        ("Aborted 408", Status.REFUSED),
        ("Aborted 413", Status.REFUSED),
        ("Expired 406", Status.EXPIRED),
        ("Rejected 12", Status.REFUSED),
        ("Deleted", Status.REFUSED),
        ("Cancelled 407", Status.FAILED),
        ("Unknown", Status.UNCONFIRMED),
    )
    fresh_seconds = 300
    mutations = 10_000

    def understand(self, request):
        fields = json.loads(request.body)
        (number,) = fields["to"]
        return {
            "reference": fields["client_reference"],
            "sender": fields["from"],
            "number": number,
            "text": fields["body"],
        }

    def report(self, name, reference, provider_id, at):
        return signed(at, **report(name, reference, provider_id))

    def inbound(self, number, sender, text, at):
        return signed(at, **inbound(**{"from": number[1:], "to": sender[1:], "body": text}))

    def signature(self, webhook):
        return webhook.headers["x-sinch-webhook-signature"]

    def with_signature(self, webhook, signature):
        return replace(webhook, headers={**webhook.headers, "x-sinch-webhook-signature": signature})


class TestUnsignedSinchContract(TestSinchContract):
    """Without a signature: the key in the address that the message named, which fits this message alone."""

    provider = keyed()
    other_provider = keyed(webhook_secret="another-secret")
    secrets = ("canary-api-token", OWN_SECRET)
    signature_covers = "reference"
    fresh_seconds = None

    def report(self, name, reference, provider_id, at):
        sent = json.loads(self.provider.build(self.message(reference=reference)).body)
        return replace(webhook(**report(name, reference, provider_id)), query=urlsplit(sent["callback_url"]).query)

    def webhooks(self, at=NOW):
        return [self.report("Delivered", reference, "their-1", at) for reference in ("r1", "r2")]

    def signature(self, webhook):
        return parse_qs(webhook.query)["key"][0]

    def with_signature(self, webhook, signature):
        query = {name: values[0] for name, values in parse_qs(webhook.query).items()}
        return replace(webhook, query=urlencode(query | {"key": signature}))


# Options


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"service_plan_id": ""}, "service_plan_id and api_token"),
        ({"api_token": ""}, "service_plan_id and api_token"),
        ({"region": "canary"}, "region must be one of us, eu, au, br, ca"),
        ({"base_url": "canary.example"}, "base_url"),
        ({"webhook_url": "/canary"}, "webhook_url"),
    ],
)
def test_option_that_cannot_work_is_named(options, hint):
    """With what to set, and without repeating a value."""
    with pytest.raises(ValueError, match=hint) as error:
        sinch(**options)

    assert "canary" not in str(error.value)


def test_provider_url():
    """The plan and its token; the region is an option."""
    provider = from_url("sinch://plan-1:canary-api-token@?region=eu", webhook_url=HOOKS)

    assert provider.endpoint == "https://eu.sms.api.sinch.com/xms/v1/plan-1/batches"
    assert provider.build(Message("Hi", SENDER, NUMBER)).headers["Authorization"] == "Bearer canary-api-token"


# Requests


def test_request_as_documented():
    """A batch of one, with our reference and an address that holds it."""
    request = sinch().build(Message("Hi", "PACELINE", NUMBER, "r1"))

    assert (request.method, request.url) == ("POST", "https://us.sms.api.sinch.com/xms/v1/plan-1/batches")
    assert json.loads(request.body) == {
        "type": "mt_text",
        "to": ["12125550123"],
        "from": "PACELINE",
        "body": "Hi",
        "client_reference": "r1",
        "delivery_report": "per_recipient",
        "callback_url": f"{HOOKS}?reference=r1",
    }


def test_message_without_a_report_names_no_address():
    """And asks for none."""
    fields = json.loads(sinch().build(Message("Hi", SENDER, NUMBER, report=False)).body)

    assert fields["delivery_report"] == "none"
    assert "callback_url" not in fields


@pytest.mark.parametrize(("validity_seconds", "seconds"), [(-1, 60), (3600, 3600), (10**9, 259_199)])
def test_validity_is_a_moment_within_three_days(validity_seconds, seconds):
    """In UTC; at least a minute ahead."""
    before = int(time.time())
    fields = json.loads(sinch().build(Message("Hi", SENDER, NUMBER, validity_seconds=validity_seconds)).body)
    after = int(time.time())

    at = datetime.fromisoformat(fields["expire_at"])
    assert before + seconds <= at.timestamp() <= after + seconds
    assert at.utcoffset().total_seconds() == 0


# Webhooks


def test_example_of_sinchs_own_library():
    """The one known signature that we have."""
    example = WebhookRequest(
        "POST",
        "/",
        {
            "x-sinch-webhook-signature": "9vScNt14FzClijUmDKGJNwNFFoiEozM+MAzFptwHve8=",
            "x-sinch-webhook-signature-nonce": "N-0001",
            "x-sinch-webhook-signature-timestamp": "1772615727",
            "x-sinch-webhook-signature-algorithm": "HmacSHA256",
        },
        "",
        b'{"type":"mo_text","id":"01K1"}',
    )
    provider = sinch(signature_secret="docs-sinch-secret")

    provider.verify(example, 1_772_615_727)
    with pytest.raises(WebhookRejected):
        provider.verify(replace(example, body=example.body + b"\n"), 1_772_615_727)


@pytest.mark.parametrize("part", ["-nonce", "-timestamp", "-algorithm"])
@pytest.mark.parametrize("value", ["", "none", "é", "1772615728", "9" * 400, "\ud800"])
def test_other_headers_are_signed_or_checked(part, value):
    """Nonce and date belong to the signature; the algorithm is the one we know, or not named."""
    genuine = signed(NOW, **report("Delivered"))
    changed = replace(genuine, headers={**genuine.headers, f"x-sinch-webhook-signature{part}": value})

    if (part, value) == ("-algorithm", ""):
        sinch().verify(changed, NOW)
    else:
        with pytest.raises(WebhookRejected):
            sinch().verify(changed, NOW)


def test_without_a_secret_every_webhook_is_rejected():
    """Fail closed, and say which option to set; an empty secret signs nothing."""
    provider = sinch(signature_secret="")
    for each in (webhook(), signed(NOW, secret="", **report("Delivered"))):
        with pytest.raises(WebhookRejected, match="signature_secret, or webhook_secret"):
            provider.verify(each, NOW)


def own_address(reference: str = "r1") -> str:
    """The query of the address that a message names."""
    fields = json.loads(keyed().build(Message("Hi", SENDER, NUMBER, reference)).body)
    return urlsplit(fields["callback_url"]).query


def test_secret_is_in_no_address_that_leaves():
    """A key shows nothing of it."""
    assert OWN_SECRET not in own_address()
    assert own_address("r1") != own_address("r2")


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        (report("Delivered", "r2"), "another message"),
        (inbound(), "reports only"),
        ({"type": "delivery_report_sms", "client_reference": "r2", "statuses": []}, "another message"),
        ({}, "reports only"),
    ],
)
def test_a_messages_own_address_takes_its_own_reports_only(fields, sentence):
    """Who has seen one address can say nothing about others, nor speak for a person."""
    with pytest.raises(WebhookRejected, match=sentence):
        keyed().verify(replace(webhook(**fields), query=own_address()), NOW)


def test_address_that_ends_in_the_secret_takes_everything():
    """The one that is pasted at Sinch."""
    for fields in (report("Delivered"), inbound()):
        pasted = replace(webhook(**fields), path=f"/webhooks/default/inbound/{OWN_SECRET}")
        keyed().verify(pasted, NOW)
        for path in ("/webhooks/default/inbound", "/webhooks/default/inbound/", f"{pasted.path}x"):
            with pytest.raises(WebhookRejected, match="neither key nor secret"):
                keyed().verify(replace(pasted, path=path), NOW)


def test_both_secrets_are_both_demanded():
    """One of them is not enough."""
    provider = sinch(webhook_secret=OWN_SECRET)
    genuine = replace(signed(NOW, **report("Delivered")), query=own_address())

    provider.verify(genuine, NOW)
    for half in (replace(genuine, query=""), replace(genuine, headers={})):
        with pytest.raises(WebhookRejected):
            provider.verify(half, NOW)


@pytest.mark.parametrize("word", ["Delivered", "DELIVERED", "delivered"])
def test_words_are_compared_without_case(word):
    """Pages and libraries of Sinch write them differently."""
    (event,) = events(**report(word))

    assert (event.status, event.word, event.code, event.reason) == (Status.DELIVERED, word, "", "")


@pytest.mark.parametrize("word", ["Accepted", "", 7, None, ["Delivered"]])
def test_unknown_word_is_kept_without_a_meaning(word):
    """It changes no state and is no error."""
    (event,) = events(**report("Delivered") | {"status": word})

    assert event.status is None


def test_report_carries_what_sinch_says():
    """Time, segments, code and our reason."""
    (event,) = events(**report("Failed 404", number_of_message_parts=2))

    assert event == DeliveryReport(
        status=Status.UNDELIVERED,
        reference="r1",
        provider_id=BATCH,
        word="Failed",
        code="404",
        reason="the carrier had a temporary fault",
        at=datetime(2026, 3, 4, 9, 15, 31, 120_000, UTC),
        segments=2,
    )


def test_code_that_nobody_knows_says_whose_it_is():
    """Below 256 it is the carrier's."""
    assert [events(**report(f"Failed {code}"))[0].reason for code in (27, 499)] == [
        "code 27 of the carrier, which we do not know",
        "code 499 of Sinch, which we do not know",
    ]


def test_reference_in_the_address_serves_when_the_body_has_none():
    """As a summary may not have it; the signed one goes first."""
    bare = webhook(**report("Delivered", ""))
    full = webhook(**report("Delivered", "r1"))

    assert sinch().events(replace(bare, query="reference=r9"))[0].reference == "r9"
    assert sinch().events(replace(full, query="reference=r9"))[0].reference == "r1"


def test_summary_has_an_event_for_each_status():
    """But not for one that counts nobody."""
    found = events(
        type="delivery_report_sms",
        batch_id=BATCH,
        total_message_count=1,
        statuses=[{"code": 401, "status": "Dispatched", "count": 0}, {"code": 0, "status": "Delivered", "count": 1}],
    )

    assert [(each.provider_id, each.status) for each in found] == [(BATCH, Status.DELIVERED)]


def test_inbound_text():
    """With the person's number and ours."""
    assert events(**inbound(body="Stop please")) == [
        InboundText(
            NUMBER, SENDER, "Stop please", "01K1EXAMPLEINBOUND00000000", datetime(2026, 3, 4, 9, 20, 1, tzinfo=UTC)
        )
    ]


@pytest.mark.parametrize(
    "changes", [{"type": "mo_binary", "body": "AQID", "udh": "00"}, {"body": None}, {"from": None}, {"type": "other"}]
)
def test_what_is_not_a_text_is_no_event(changes):
    """A binary message is no text."""
    assert events(**inbound() | changes) == []


# Look-ups

SOUGHT = Lookup("r1", NUMBER, SENDER, "Hi", BATCH)


def test_look_up_asks_for_the_recipients_report():
    """With the id; without one there is nothing to ask for."""
    request = sinch().build_lookup(SOUGHT)

    assert (request.method, request.url.partition("/xms/v1/")[2]) == (
        "GET",
        f"plan-1/batches/{BATCH}/delivery_report/12125550123",
    )
    assert request.headers["Authorization"] == "Bearer canary-api-token"
    with pytest.raises(Uncertain):
        sinch().build_lookup(Lookup("r1", NUMBER))


def test_look_up_finds_or_does_not_find():
    """A report under our reference; None for a batch that is not there."""
    found = sinch().read_lookup(answer(200, **report("Delivered", "")), SOUGHT)

    assert (found.status, found.reference, found.provider_id) == (Status.DELIVERED, "r1", BATCH)
    assert sinch().read_lookup(answer(404, code="not_found"), SOUGHT) is None


@pytest.mark.parametrize(
    ("response", "error"),
    [
        (answer(200), Uncertain),
        (answer(200, **report("Delivered", provider_id="another")), Uncertain),
        (answer(400), Uncertain),
        (answer(500), Uncertain),
        (answer(401), AccountProblem),
        (answer(429), Throttled),
    ],
)
def test_look_up_that_says_neither(response, error):
    """Never taken for absence, and never for a refusal of the message."""
    with pytest.raises(error) as raised:
        sinch().read_lookup(response, SOUGHT)

    assert not isinstance(raised.value, Refused)
