"""Plivo, word by word. The contract comes first, then what only Plivo does."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from paceline.sms.errors import AccountProblem, Refused, Throttled, Uncertain, WebhookRejected
from paceline.sms.messages import DeliveryReport, InboundText, Message, Response, WebhookRequest
from paceline.sms.providers import from_url
from paceline.sms.providers.plivo import Plivo
from paceline.sms.status import Status

from .provider_contract import NOW, NUMBER, SENDER, ProviderContract

TOKEN = "canary-auth-token"
OWN_SECRET = "canary-webhook-secret"
ORIGIN = "https://sms.example.org"
STATUS, INBOUND = "/webhooks/default/status", "/webhooks/default/inbound"
UUID = "db3ce55a-7f1d-11e1-8ea7-1231380bc196"


def plivo(**options) -> Plivo:
    return Plivo(**({"auth_id": "MAXXXX", "auth_token": TOKEN, "webhook_url": ORIGIN + STATUS} | options))


def keyed(**options) -> Plivo:
    return plivo(webhook_secret=OWN_SECRET, **options)


def answer(status: int, **fields) -> Response:
    return Response(status, {}, json.dumps(fields).encode())


def signed(path: str, query: str = "", *, token: str = TOKEN, nonce: str = "12345", **fields: str) -> WebhookRequest:
    """A webhook as Plivo signs it: the address without its query, and a nonce. Computed here, not by our own code."""
    content = f"{ORIGIN}{path}{nonce}".encode()
    signature = base64.b64encode(hmac.new(token.encode(), content, hashlib.sha256).digest()).decode()
    headers = {"x-plivo-signature-v2": signature, "x-plivo-signature-v2-nonce": nonce}
    return WebhookRequest("POST", path, headers, query, urlencode(fields).encode(), ORIGIN)


def report(name: str, **changes: str) -> dict[str, str]:
    word, _, code = name.partition(" ")
    return {
        "MessageUUID": UUID,
        "From": "13105550199",
        "To": "12125550123",
        "Status": word,
        "ErrorCode": code or "000",
        "Units": "2",
        "TotalAmount": "0.0130",
        "DeliveryReportTime": "2026-03-04 09:15:31.120000+00:00",
    } | changes


def inbound(**changes: str) -> dict[str, str]:
    return {"MessageUUID": UUID, "From": "12125550123", "To": "13105550199", "Type": "sms", "Text": "STOP"} | changes


def events(query: str = "", **fields: str) -> list:
    return list(plivo().events(WebhookRequest("POST", "", {}, query, urlencode(fields).encode())))


class TestPlivoContract(ProviderContract):
    """With the signature alone, which covers the path."""

    provider = plivo()
    other_provider = plivo(auth_token="another-token")
    secrets = (TOKEN, base64.b64encode(f"MAXXXX:{TOKEN}".encode()).decode())
    accept = answer(202, api_id="a-1", message="message(s) queued", message_uuid=[UUID])
    accepted_id = UUID
    refuse = answer(400, api_id="a-1", error="dst is not a valid number")
    refuse_code = "400"
    throttle = answer(429, error="too many requests")
    account_problems = (answer(401), answer(402), answer(403), answer(404), answer(405))
    reports = (
        ("queued", Status.ACCEPTED),
        ("sent", Status.SENT),
        ("delivered", Status.DELIVERED),
        ("read", Status.DELIVERED),
        ("undelivered 20", Status.UNDELIVERED),
        ("failed 300", Status.FAILED),
        ("rejected 30", Status.REFUSED),
    )
    signature_covers = "path"
    mutations = 10_000

    def understand(self, request):
        fields = json.loads(request.body)
        return {
            "reference": parse_qs(urlsplit(fields["url"]).query)["reference"][0],
            "sender": fields["src"],
            "number": fields["dst"],
            "text": fields["text"],
        }

    def report(self, name, reference, provider_id, at):
        url = json.loads(self.provider.build(self.message(reference=reference)).body)["url"]
        return signed(STATUS, urlsplit(url).query, **report(name, MessageUUID=provider_id))

    def inbound(self, number, sender, text, at):
        return signed(INBOUND, **inbound(From=number[1:], To=sender[1:], Text=text))

    def signature(self, webhook):
        return webhook.headers["x-plivo-signature-v2"]

    def with_signature(self, webhook, signature):
        return replace(webhook, headers={**webhook.headers, "x-plivo-signature-v2": signature})


class TestKeyedPlivoContract(TestPlivoContract):
    """With our secret in the addresses as well: what is not in the signature, the reference, is in the key."""

    provider = keyed()
    other_provider = keyed(auth_token="another-token")
    secrets = (*TestPlivoContract.secrets, OWN_SECRET)
    signature_covers = "reference"

    def inbound(self, number, sender, text, at):
        return signed(f"{INBOUND}/{OWN_SECRET}", **inbound(From=number[1:], To=sender[1:], Text=text))


# Options


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"auth_id": ""}, "auth_id and auth_token"),
        ({"auth_token": ""}, "auth_id and auth_token"),
        ({"base_url": "canary.example"}, "base_url"),
        ({"webhook_url": "/canary"}, "webhook_url"),
    ],
)
def test_option_that_cannot_work_is_named(options, hint):
    """With what to set, and without repeating a value."""
    with pytest.raises(ValueError, match=hint) as error:
        plivo(**options)

    assert "canary" not in str(error.value)


def test_provider_url():
    """Account and token; our secret is an option."""
    provider = from_url(f"plivo://MAXXXX:{TOKEN}@?webhook_secret={OWN_SECRET}", webhook_url=ORIGIN + STATUS)

    assert provider.endpoint == "https://api.plivo.com/v1/Account/MAXXXX/Message/"
    assert "key=" in json.loads(provider.build(Message("Hi", SENDER, NUMBER)).body)["url"]


# Requests and answers


def test_request_as_documented():
    """JSON with digits, and an address that holds our reference."""
    request = plivo().build(Message("Hi", SENDER, NUMBER, "r1"))

    assert (request.method, request.url) == ("POST", "https://api.plivo.com/v1/Account/MAXXXX/Message/")
    assert request.headers["Authorization"] == "Basic " + base64.b64encode(f"MAXXXX:{TOKEN}".encode()).decode()
    assert json.loads(request.body) == {
        "src": "13105550199",
        "dst": "12125550123",
        "text": "Hi",
        "type": "sms",
        "url": f"{ORIGIN}{STATUS}?reference=r1",
        "method": "POST",
    }


@pytest.mark.parametrize(("options", "report"), [({}, False), ({"webhook_url": ""}, True)])
def test_message_without_a_report_names_no_address(options, report):
    """Nor does one when nobody has said where reports come in."""
    assert "url" not in json.loads(plivo(**options).build(Message("Hi", SENDER, NUMBER, report=report)).body)


@pytest.mark.parametrize(
    ("response", "reaction", "code"),
    [
        (answer(202, message_uuid=[], invalid_number=["12125550123"]), Refused, "invalid_number"),
        (answer(202, message_uuid=[]), Uncertain, ""),
        (answer(202, invalid_number=["12125550123"]), Uncertain, ""),
        (answer(202, message_uuid=[UUID, UUID]), Uncertain, ""),
        (answer(202, message_uuid=UUID), Uncertain, ""),
        (answer(202, message_uuid=[7]), Uncertain, ""),
        (answer(400), Refused, "400"),
        (answer(401), AccountProblem, "401"),
        (answer(404), AccountProblem, "404"),
        (answer(408), Uncertain, ""),
        (answer(429), Throttled, "429"),
        (answer(500), Uncertain, ""),
    ],
)
def test_answer_word_by_word(response, reaction, code):
    """A list of one id is a yes; no id and an invalid number a no; anything in between is neither."""
    with pytest.raises(reaction) as raised:
        plivo().read(response)

    assert type(raised.value) is reaction
    assert raised.value.code == code


# Webhooks


def test_example_of_plivos_own_library():
    """The one known signature that we have; the query is not covered."""
    headers = {
        "x-plivo-signature-v2": "c9UfYTAz66/fNbalbhFFXzfvf24gcVzCT7fy2yat75I=",
        "x-plivo-signature-v2-nonce": "12345678901234567890",
    }
    example = WebhookRequest("POST", "/plivo/status/", headers, "x=1", b"", "https://hooks.example.org")
    provider = plivo(auth_token="docs-plivo-token", webhook_url="")

    provider.verify(example, NOW)
    provider.verify(replace(example, query="x=2"), NOW)
    for other in (replace(example, path="/plivo/status"), replace(example, origin="http://hooks.example.org")):
        with pytest.raises(WebhookRejected):
            provider.verify(other, NOW)


def test_main_accounts_signature_counts_too():
    """A subaccount's message is signed with both tokens; one of them is ours."""
    genuine = signed(STATUS, **report("delivered"))
    signature, nonce = genuine.headers.values()
    both = {"x-plivo-signature-v2": "another", "x-plivo-signature-ma-v2": signature}

    plivo().verify(replace(genuine, headers={**both, "x-plivo-signature-v2-nonce": nonce}), NOW)


@pytest.mark.parametrize("nonce", ["", "1", "é", "\ud800"])
def test_nonce_is_signed(nonce):
    """Another one does not fit."""
    genuine = signed(STATUS, **report("delivered"))
    with pytest.raises(WebhookRejected):
        plivo().verify(replace(genuine, headers={**genuine.headers, "x-plivo-signature-v2-nonce": nonce}), NOW)


def test_address_behind_a_proxy_is_the_one_outside():
    """`webhook_url` says which scheme and host Plivo called."""
    inside = replace(signed(STATUS, **report("delivered")), origin="http://10.0.0.7:8000")

    plivo().verify(inside, NOW)
    with pytest.raises(WebhookRejected):
        plivo(webhook_url="").verify(inside, NOW)


def own_address(reference: str) -> str:
    """The query of the address that a message names."""
    url = json.loads(keyed().build(Message("Hi", SENDER, NUMBER, reference)).body)["url"]
    return urlsplit(url).query


def test_signature_alone_can_be_moved_to_another_message():
    """This is what Plivo's signature does not prove, and why `webhook_secret` is worth setting."""
    seen = signed(STATUS, own_address("r1"), **report("delivered"))
    moved = replace(seen, query=own_address("r2").replace("key=", "key=0"))

    plivo().verify(moved, NOW)
    keyed().verify(seen, NOW)
    with pytest.raises(WebhookRejected, match="key of its message"):
        keyed().verify(moved, NOW)


def test_with_a_secret_each_kind_has_its_address():
    """A report comes to its message's own, a text to the one that ends in the secret; never the other way round."""
    token = f"{INBOUND}/{OWN_SECRET}"
    keyed().verify(signed(STATUS, own_address("r1"), **report("delivered")), NOW)
    keyed().verify(signed(token, **inbound()), NOW)

    for other in (
        signed(token, **report("delivered")),
        signed(STATUS, own_address("r1"), **inbound()),
        signed(INBOUND, **inbound()),
        signed(STATUS, **report("delivered")),
        signed(f"{token}x", **inbound()),
    ):
        with pytest.raises(WebhookRejected, match="address"):
            keyed().verify(other, NOW)


def test_report_carries_what_plivo_says():
    """Price, units, time, code and our reason."""
    (event,) = events("reference=r1", **report("undelivered 50"))

    assert event == DeliveryReport(
        status=Status.UNDELIVERED,
        reference="r1",
        provider_id=UUID,
        word="undelivered",
        code="50",
        reason="the number is invalid; correct it",
        at=datetime(2026, 3, 4, 9, 15, 31, 120_000, UTC),
        price=Decimal("0.0130"),
        currency="USD",
        segments=2,
    )


def test_part_of_a_message_names_its_parent():
    """That is the id of our 202."""
    (event,) = events(**report("delivered", MessageUUID="part-2", ParentMessageUUID=UUID))

    assert event.provider_id == UUID


@pytest.mark.parametrize(
    ("code", "kept", "words"),
    [
        ("000", "", ""),
        ("", "", ""),
        ("450", "450", "country"),
        ("200", "200", "it seems"),
        ("420", "420", "it seems"),
        ("777", "777", "do not know"),
        ("12125550123", "", ""),
    ],
)
def test_code_of_a_report(code, kept, words):
    """What is only believed about one says so; none suppresses a number."""
    (event,) = events(**report("rejected", ErrorCode=code))

    assert (event.code, event.opted_out) == (kept, False)
    assert words in event.reason
    assert bool(event.reason) is bool(kept)


@pytest.mark.parametrize("word", ["Delivered", "accepted", ""])
def test_unknown_word_is_kept_without_a_meaning(word):
    """It changes no state and is no error."""
    (event,) = events(**report("delivered", Status=word))

    assert (event.status, event.word) == (None, word)


def test_inbound_text():
    """With the person's number and ours; answered with an empty document, which texts nothing back."""
    assert events(**inbound(Text="Stop & go")) == [InboundText(NUMBER, SENDER, "Stop & go", UUID)]
    assert plivo().acknowledgement == b"<Response/>"


@pytest.mark.parametrize("changes", [{"Type": "mms"}, {"From": ""}])
def test_what_is_not_a_text_is_no_event(changes):
    """A picture is not an empty text."""
    assert events(**inbound(**changes)) == []


@pytest.mark.parametrize("body", [b"", b"Status=delivered", b'{"MessageUUID": "x"}', b"[1]", b"\xff"])
def test_body_that_names_no_message_is_rejected(body):
    """Nothing of it is stored as an event."""
    with pytest.raises(WebhookRejected, match="form"):
        plivo().events(WebhookRequest("POST", "", {}, "", body))
