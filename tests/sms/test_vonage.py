"""Vonage, word by word. The contract comes first, then what only Vonage does."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from paceline.sms.errors import (
    AccountProblem,
    OptedOut,
    Refused,
    SenderProblem,
    Throttled,
    Uncertain,
    WebhookRejected,
)
from paceline.sms.messages import Message, Response, WebhookRequest
from paceline.sms.providers import load
from paceline.sms.providers.vonage import Vonage
from paceline.sms.status import Status

from .provider_contract import NOW, NUMBER, SENDER, ProviderContract

SECRET = "canary-signature-secret-of-32-bytes"
BASIC = {"api_key": "abcd1234", "api_secret": "canary-api-secret"}
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PEM = KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()
APPLICATION = {"application_id": "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee", "private_key": PEM}


def problem(status: int, fragment: str, title: str = "Something") -> Response:
    body = {"type": f"https://developer.vonage.com/api-errors/messages#{fragment}", "title": title, "detail": "…"}
    return Response(status, {"content-type": "application/json"}, json.dumps(body).encode())


def claims(body: bytes, at: float = NOW, **changes) -> dict:
    fields = {
        "iss": "Vonage",
        "iat": int(at),
        "jti": "c5ba8f24-1a14-4c10-bfdf-3fbe8ce511b5",
        "payload_hash": hashlib.sha256(body).hexdigest(),
        "api_key": BASIC["api_key"],
    } | changes
    return {name: value for name, value in fields.items() if value is not None}


def signed(fields: object, at: float = NOW, *, secret: str = SECRET, **changes) -> WebhookRequest:
    """A callback as Vonage sends it, its token made by PyJWT and not by our own code."""
    body = fields if isinstance(fields, bytes) else json.dumps(fields).encode()
    token = jwt.encode(claims(body, at, **changes), secret, algorithm="HS256")
    return with_token(WebhookRequest("POST", "/hooks/vonage", {}, "", body), token)


def with_token(webhook: WebhookRequest, token: str) -> WebhookRequest:
    return replace(webhook, headers={**webhook.headers, "authorization": f"Bearer {token}"})


def status_callback(word: str, code: object = None, **changes) -> dict:
    fields = {
        "message_uuid": "5d2f8c1e-6a34-4a0b-9d55-1f0c2b7a9e41",
        "to": "12125550123",
        "from": "PACELINE",
        "timestamp": "2026-03-04T09:15:27Z",
        "status": word,
        "channel": "sms",
        "client_ref": "0123456789abcdef0123456789abcdef",
        "usage": {"currency": "EUR", "price": "0.0450"},
        "destination": {"network_code": "310004"},
        "sms": {"count_total": "2"},
    }
    if code is not None:
        fields["error"] = {"type": f"https://developer.vonage.com/api-errors/messages#{code}", "title": code}
    return fields | changes


def inbound_callback(**changes) -> dict:
    return {
        "channel": "sms",
        "message_type": "text",
        "message_uuid": "f3b1c0de-7777-4222-8aaa-90ab12cd34ef",
        "to": "13105550199",
        "from": "12125550123",
        "timestamp": "2026-03-04T09:20:01Z",
        "text": "Stop please",
        "sms": {"num_messages": "1", "keyword": "STOP"},
    } | changes


def vonage(**options) -> Vonage:
    return Vonage(**(BASIC | {"signature_secret": SECRET} | options))


def events(fields: object) -> list:
    body = fields if isinstance(fields, bytes) else json.dumps(fields).encode()
    return list(vonage().events(WebhookRequest("POST", "/", {}, "", body)))


class TestVonageContract(ProviderContract):
    provider = vonage()
    other_provider = vonage(signature_secret="another-secret-of-thirty-two-bytes")
    secrets = (BASIC["api_secret"], SECRET, base64.b64encode(b"abcd1234:canary-api-secret").decode())
    accept = Response(202, {}, b'{"message_uuid": "5d2f8c1e-6a34-4a0b-9d55-1f0c2b7a9e41"}')
    accepted_id = "5d2f8c1e-6a34-4a0b-9d55-1f0c2b7a9e41"
    refuse = problem(422, "1430", "Invalid recipient")
    refuse_code = "1430"
    throttle = problem(429, "1000")
    opt_out = problem(422, "1240")
    sender_problem = problem(422, "1420", "Invalid sender")
    account_problems = (problem(401, "unauthorized"), problem(402, "low-balance"), problem(403, "forbidden"))
    reports = (
        ("submitted", Status.SENT),
        ("delivered", Status.DELIVERED),
        ("read", Status.DELIVERED),
        ("undeliverable", Status.FAILED),
        ("rejected", Status.REFUSED),
        ("rejected 1240", Status.UNDELIVERED),
        ("rejected 1330", Status.UNCONFIRMED),
        ("rejected 1360", Status.EXPIRED),
    )
    opt_out_report = "rejected 1240"
    fresh_seconds = 300
    mutations = 10_000

    def understand(self, request):
        fields = json.loads(request.body)
        return {
            "reference": fields["client_ref"],
            "sender": fields["from"],
            "number": fields["to"],
            "text": fields["text"],
        }

    def report(self, name, reference, provider_id, at):
        word, _, code = name.partition(" ")
        return signed(status_callback(word, code or None, client_ref=reference, message_uuid=provider_id), at)

    def inbound(self, number, sender, text, at):
        return signed(inbound_callback(**{"from": number[1:], "to": sender[1:], "text": text}), at)

    def signature(self, webhook):
        return webhook.headers["authorization"].removeprefix("Bearer ")

    def with_signature(self, webhook, signature):
        return with_token(webhook, signature)


# Options


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({}, "set api_key and api_secret"),
        ({"api_key": "abcd1234"}, "set api_key and api_secret"),
        ({"api_secret": "canary-x"}, "set api_key and api_secret"),
        ({"application_id": "a"}, "application_id and private_key go together"),
        ({"private_key": "canary-x"}, "application_id and private_key go together"),
        (BASIC | {"application_id": "a"}, "application_id and private_key go together"),
        (BASIC | APPLICATION, "not both"),
        ({"application_id": "a", "private_key": "/nowhere/canary.pem"}, "readable file"),
        ({"application_id": "a", "private_key": "-----BEGIN PRIVATE KEY-----\ncanary"}, "not a PEM key"),
        (BASIC | {"base_url": "api.nexmo.com"}, "base_url"),
        (BASIC | {"base_url": "ftp://api.nexmo.com"}, "base_url"),
        (BASIC | {"base_url": "https://user:canary@api.nexmo.com"}, "base_url"),
        (BASIC | {"base_url": "https://[canary"}, "base_url"),
        (BASIC | {"webhook_url": "/hooks/canary"}, "webhook_url"),
    ],
)
def test_option_that_cannot_work_is_named(options, hint):
    """With what to set, and without repeating a value."""
    with pytest.raises(ValueError, match=hint) as error:
        Vonage(**options)

    assert "canary" not in str(error.value)


def test_private_key_must_be_rsa_without_a_passphrase():
    """Other keys are found at start, not at the first message."""
    elliptic = ec.generate_private_key(ec.SECP256R1())
    for key, encryption in (
        (elliptic, serialization.NoEncryption()),
        (KEY, serialization.BestAvailableEncryption(b"x")),
    ):
        pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption).decode()
        with pytest.raises(ValueError, match="private_key"):
            Vonage(application_id="a", private_key=pem)


def test_loads_by_its_dotted_path():
    """As settings name it."""
    assert isinstance(load("paceline.sms.providers.vonage.Vonage", BASIC), Vonage)


# Requests


def test_request_as_documented():
    """POST /v1/messages, Basic, flat JSON; nothing that we were not asked for."""
    request = vonage().build(Message("Hi", "PACELINE", NUMBER, "r1"))

    assert (request.method, request.url) == ("POST", "https://api.nexmo.com/v1/messages")
    assert request.headers["Authorization"] == "Basic " + base64.b64encode(b"abcd1234:canary-api-secret").decode()
    assert request.headers["Content-Type"] == "application/json"
    assert json.loads(request.body) == {
        "message_type": "text",
        "channel": "sms",
        "to": "12125550123",
        "from": "PACELINE",
        "text": "Hi",
        "client_ref": "r1",
        "sms": {"encoding_type": "auto"},
    }


def test_host_and_callback_address_are_options():
    """For regions, and for the sandbox."""
    provider = vonage(base_url="https://api-eu.nexmo.com/", webhook_url="https://sms.example.org/hooks")

    request = provider.build(Message("Hi", SENDER, NUMBER))

    assert request.url == "https://api-eu.nexmo.com/v1/messages"
    assert json.loads(request.body)["webhook_url"] == "https://sms.example.org/hooks"


@pytest.mark.parametrize(
    ("validity_seconds", "ttl"),
    [(None, None), (-1, 20), (0, 20), (20, 20), (3600, 3600), (604_800, 604_800), (10**9, 604_800)],
)
def test_validity_becomes_ttl_in_seconds(validity_seconds, ttl):
    """Within what Vonage takes; none asked for, none sent."""
    request = vonage().build(Message("Hi", SENDER, NUMBER, validity_seconds=validity_seconds))

    assert json.loads(request.body).get("ttl") == ttl


@pytest.mark.parametrize(
    ("sender", "wire"),
    [("+13105550199", "13105550199"), ("12345", "12345"), ("PaceLine", "PaceLine"), ("+Plus", "+Plus"), ("1+1", "1+1")],
)
def test_only_numbers_lose_their_plus(sender, wire):
    """Short codes and names pass untouched."""
    assert json.loads(vonage().build(Message("Hi", sender, NUMBER)).body)["from"] == wire


@pytest.mark.parametrize("kind", ["text", "path", "text with \\n"])
def test_application_signs_a_token_and_uses_it_again(kind, tmp_path, monkeypatch):
    """RS256, 15 minutes, fresh after 10 minutes or when the clock was set back."""
    path = tmp_path / "private.key"
    path.write_text(PEM)
    private_key = {"text": PEM, "path": path, "text with \\n": PEM.replace("\n", "\\n")}[kind]
    provider = Vonage(application_id="app-1", private_key=private_key)
    clock = [time.time()]
    monkeypatch.setattr(time, "time", lambda: clock[0])

    def token() -> str:
        return provider.build(Message("Hi", SENDER, NUMBER)).headers["Authorization"].removeprefix("Bearer ")

    first = token()
    payload = jwt.decode(first, KEY.public_key(), algorithms=["RS256"], leeway=60)
    clock[0] += 599
    again = token()
    clock[0] += 2
    later = token()
    clock[0] -= 3600
    earlier = token()

    assert payload["application_id"] == "app-1"
    assert payload["exp"] - payload["iat"] == 900
    assert first == again
    assert len({first, later, earlier}) == 3
    assert PEM.splitlines()[1] not in repr(provider)


# Answers


@pytest.mark.parametrize(
    ("answer", "reaction", "code"),
    [
        (problem(400, "1430"), Refused, "1430"),
        (problem(400, "1420"), Refused, "1420"),
        (problem(401, "unathorized"), AccountProblem, "unathorized"),
        (problem(401, "1430"), AccountProblem, "1430"),
        (problem(402, "low-balance"), AccountProblem, "low-balance"),
        (problem(403, "invalid-ip"), AccountProblem, "invalid-ip"),
        (Response(403, {}, b""), AccountProblem, "403"),
        (problem(404, "not-found"), AccountProblem, "not-found"),
        (problem(422, "1070"), AccountProblem, "1070"),
        (problem(422, "1460"), AccountProblem, "1460"),
        (Response(405), AccountProblem, "405"),
        (Response(408), Uncertain, ""),
        (problem(409, "1240"), OptedOut, "1240"),
        (problem(415, "content-type-header"), AccountProblem, "content-type-header"),
        (problem(422, "1420"), SenderProblem, "1420"),
        (problem(422, "1120"), SenderProblem, "1120"),
        (problem(422, "110"), Refused, "110"),
        (problem(422, "1140"), Refused, "1140"),
        (problem(422, "9999"), Refused, "9999"),
        (problem(422, "invalid-json"), Refused, "invalid-json"),
        (Response(422, {}, b'{"type": "about:blank", "title": "1420"}'), SenderProblem, "1420"),
        (Response(422, {}, b'{"type": 7, "title": 1420}'), SenderProblem, "1420"),
        (Response(422, {}, b'{"type": "x#+12125550123"}'), Refused, "422"),
        (Response(418, {}, b"<html>"), Refused, "418"),
        (problem(429, "1420"), Throttled, "1420"),
        (Response(429, {}, b""), Throttled, "429"),
        (problem(500, "1420"), Uncertain, ""),
        (problem(503, "1000"), Uncertain, ""),
        (Response(200, {}, b'{"message_uuid": ""}'), Uncertain, ""),
        (Response(202, {}, b'{"message_uuid": 7}'), Uncertain, ""),
    ],
)
def test_answer_calls_for_a_reaction(answer, reaction, code):
    """The HTTP status decides first, then the code, in its newer or older spelling."""
    with pytest.raises(reaction) as error:
        vonage().read(answer)

    assert type(error.value) is reaction
    assert error.value.code == code


def test_any_2xx_with_an_id_is_accepted():
    """The documentation says 202, its examples also 200."""
    for status in (200, 201, 202, 299):
        assert vonage().read(Response(status, {}, b'{"message_uuid": "u-1"}')).provider_id == "u-1"


def test_older_code_has_the_newer_reason():
    """1140 once meant the message type, not the account."""
    with pytest.raises(Refused, match="message type"):
        vonage().read(problem(422, "1140"))


# Signatures


def test_token_by_another_library_passes():
    """PyJWT signs, we verify; the header may carry more than it must."""
    body = b'{"status": "delivered"}'
    webhook = WebhookRequest("POST", "/", {}, "", body)
    for headers in (None, {"typ": "JWT", "kid": "1"}):
        token = jwt.encode(claims(body), SECRET, algorithm="HS256", headers=headers)
        vonage().verify(with_token(webhook, token), NOW)
        vonage().verify(replace(webhook, headers={"authorization": f"bearer {token}"}), NOW)


def test_token_of_any_other_kind_is_rejected():
    """HS256 and nothing else: not none, not a stronger hash, not a public key."""
    body = b'{"status": "delivered"}'
    webhook = WebhookRequest("POST", "/", {}, "", body)
    secret = SECRET * 2
    provider = vonage(signature_secret=secret)
    provider.verify(with_token(webhook, jwt.encode(claims(body), secret, algorithm="HS256")), NOW)

    others = [
        jwt.encode(claims(body), None, algorithm="none"),
        jwt.encode(claims(body), secret, algorithm="HS384"),
        jwt.encode(claims(body), secret, algorithm="HS512"),
        jwt.encode(claims(body), KEY, algorithm="RS256"),
        *(
            handmade({"alg": alg}, claims(body), secret)
            for alg in ("none", "None", "hs256", "RS256", "", None, ["HS256"])
        ),
        handmade({}, claims(body), secret),
        handmade({"alg": "HS256", "crit": ["exp"]}, claims(body), secret),
        handmade(["HS256"], claims(body), secret),
        handmade({"alg": "HS256"}, [claims(body)], secret),
    ]
    for token in others:
        with pytest.raises(WebhookRejected):
            provider.verify(with_token(webhook, token), NOW)


def handmade(header: object, payload: object, secret: str) -> str:
    """A token with an honest HMAC-SHA256 under any header."""

    def part(data: bytes) -> bytes:
        return base64.urlsafe_b64encode(data).rstrip(b"=")

    signing = part(json.dumps(header).encode()) + b"." + part(json.dumps(payload).encode())
    return (signing + b"." + part(hmac.digest(secret.encode(), signing, "sha256"))).decode()


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": None},
        {"iss": "Nexmo"},
        {"iss": ["Vonage"]},
        {"api_key": None},
        {"api_key": "other"},
        {"iat": None},
        {"iat": str(int(NOW))},
        {"iat": True},
        {"iat": float("nan")},
        {"iat": float("inf")},
        {"iat": 10**400},
        {"iat": NOW - 301},
        {"iat": NOW + 301},
        {"exp": NOW - 61},
        {"exp": "never"},
        {"nbf": NOW + 61},
        {"nbf": {}},
        {"payload_hash": None},
        {"payload_hash": ""},
        {"payload_hash": 7},
        {"payload_hash": hashlib.sha256(b"other").hexdigest()},
        {"payload_hash": "é" * 64},
    ],
    ids=repr,
)
def test_well_signed_but_wrong_claim_is_rejected(changes):
    """Signed with the right secret, and still not for us, not now, or not for this body."""
    body = json.dumps(status_callback("delivered")).encode()
    token = handmade({"alg": "HS256"}, claims(body) | changes, SECRET)
    if None in changes.values():
        token = handmade({"alg": "HS256"}, claims(body, **changes), SECRET)
    with pytest.raises(WebhookRejected):
        vonage().verify(with_token(WebhookRequest("POST", "/", {}, "", body), token), NOW)


@pytest.mark.parametrize("changes", [{"exp": NOW - 59}, {"nbf": NOW + 59}, {"iat": NOW - 299}, {"iat": NOW + 299}])
def test_clocks_may_differ_a_little(changes):
    """A minute for exp and nbf, five for the date."""
    vonage().verify(signed(status_callback("delivered"), **changes), NOW)


def test_application_must_be_ours_when_we_have_one():
    """And the account's key is then checked only if it was given."""
    ours = Vonage(**APPLICATION, signature_secret=SECRET)
    ours.verify(signed(status_callback("delivered"), application_id=APPLICATION["application_id"]), NOW)
    for other in (None, "11111111-2222-4333-8444-555555555555"):
        with pytest.raises(WebhookRejected, match="application"):
            ours.verify(signed(status_callback("delivered"), application_id=other), NOW)


def test_without_a_signature_secret_every_webhook_is_rejected():
    """Fail closed, and say which option to set; an empty secret signs nothing."""
    provider = vonage(signature_secret="")
    body = b"{}"
    for token in ("", "a.b.c", handmade({"alg": "HS256"}, claims(body), "")):
        with pytest.raises(WebhookRejected, match="signature_secret"):
            provider.verify(with_token(WebhookRequest("POST", "/", {}, "", body), token), NOW)


@pytest.mark.parametrize(
    "authorization",
    [
        *("", "Bearer", "Bearer ", "Bearer a", "Bearer a.b", "Bearer a.b.c", "Bearer a.b.c.d", "Bearer .."),
        *("Basic YTpi", "Bearer é.é.é", "Bearer \ud800.b.c", "Bearer " + "a" * 9000 + ".b.c"),
    ],
)
def test_header_that_is_no_token_is_rejected(authorization):
    """Whatever it holds."""
    with pytest.raises(WebhookRejected):
        vonage().verify(WebhookRequest("POST", "/", {"authorization": authorization}, "", b"{}"), NOW)


# Delivery reports


def test_report_carries_everything_that_vonage_says():
    """Price and segments arrive here, not in the answer."""
    (report,) = events(status_callback("rejected", "1240"))

    assert report.reference == "0123456789abcdef0123456789abcdef"
    assert report.provider_id == "5d2f8c1e-6a34-4a0b-9d55-1f0c2b7a9e41"
    assert (report.status, report.word, report.code) == (Status.UNDELIVERED, "rejected", "1240")
    assert report.opted_out
    assert "opted out" in report.reason
    assert report.at == datetime(2026, 3, 4, 9, 15, 27, tzinfo=UTC)
    assert (report.price, report.currency, report.segments) == (Decimal("0.0450"), "EUR", 2)


REJECTED = {
    Status.EXPIRED: "1360",
    Status.UNCONFIRMED: "1330 1340 1350 1370 1380 1381 1382",
    Status.UNDELIVERED: "1170 1180 1190 1200 1220 1230 1240 1241 1250 1251 1260 1270 1280 1282 1290 1300 1310",
    Status.REFUSED: "1000 1010 1050 1060 1120 1160 1210 1320 1331 1420 1430 1460 1470 1482 1483 7777",
}


@pytest.mark.parametrize(("status", "codes"), REJECTED.items())
def test_rejected_is_told_apart_by_its_code(status, codes):
    """One word for four fates. The code may be text or a number, in v1's place or in v0.1's."""
    for code in codes.split():
        v01 = {"error": {"code": int(code), "reason": "…"}, "to": {"type": "sms", "number": "12125550123"}}
        for fields in (
            status_callback("rejected", code),
            status_callback("rejected", int(code)),
            status_callback(
                "rejected", error={"type": f"https://developer.nexmo.com/api-errors#{code}", "title": "Failed"}
            ),
            status_callback("rejected", **v01),
        ):
            (report,) = events(fields)
            assert (report.status, report.code) == (status, code)
            assert report.reason
            assert report.opted_out is (code in ("1240", "1483"))


def test_older_status_shape_is_read():
    """v0.1: `to` and `from` are objects, the error has a code and a reason."""
    body = b"""{"message_uuid": "u-1", "to": {"type": "sms", "number": "12125550123"},
        "from": {"type": "sms", "number": "13105550199"}, "timestamp": "2026-03-04T09:15:27.123Z",
        "status": "delivered", "client_ref": "r1", "usage": {"price": "0.02", "currency": "EUR"}}"""

    (report,) = events(body)

    assert (report.status, report.reference, report.provider_id) == (Status.DELIVERED, "r1", "u-1")
    assert (report.price, report.code, report.reason) == (Decimal("0.02"), "", "")


@pytest.mark.parametrize("word", ["accepted", "buffered", "DELIVERED", "", 7, None, ["delivered"]])
def test_unknown_word_is_kept_without_a_meaning(word):
    """It changes no state and is no error: the raw event stays for people to look at."""
    (report,) = events(status_callback(word))

    assert report.status is None
    assert report.word == (str(word) if isinstance(word, str | int) else "")


@pytest.mark.parametrize(
    ("timestamp", "at"),
    [
        ("2026-03-04T09:15:27Z", datetime(2026, 3, 4, 9, 15, 27, tzinfo=UTC)),
        ("2026-03-04T09:15:27.250Z", datetime(2026, 3, 4, 9, 15, 27, 250_000, tzinfo=UTC)),
        ("2026-03-04T11:15:27+02:00", datetime(2026, 3, 4, 9, 15, 27, tzinfo=UTC)),
        ("2026-03-04 09:15:27", datetime(2026, 3, 4, 9, 15, 27, tzinfo=UTC)),
        ("0001-01-01T00:00:00+14:00", None),
        ("yesterday", None),
        ("", None),
        (1_772_615_727, None),
        (None, None),
    ],
)
def test_time_is_utc_or_none(timestamp, at):
    """Never naive, never a crash."""
    (report,) = events(status_callback("delivered", timestamp=timestamp))

    assert report.at == at
    assert at is None or report.at.utcoffset().total_seconds() == 0


@pytest.mark.parametrize(
    ("price", "expected"),
    [("0.0333", Decimal("0.0333")), (0.0333, Decimal("0.0333")), (0, Decimal("0")), ("0.0000", Decimal("0"))]
    + [(bad, None) for bad in ("", "free", "NaN", "Infinity", "1e99", "1e-30", None, True, [], {})],
)
def test_price_is_a_decimal_or_none(price, expected):
    """Never a float, nothing that a database would not hold."""
    (report,) = events(status_callback("delivered", usage={"price": price, "currency": "EUR"}))

    assert report.price == expected
    assert report.currency == ("EUR" if expected is not None else "")


@pytest.mark.parametrize(
    ("count", "segments"), [("3", 3), (3, 3), ("", None), ("many", None), (-1, None), (None, None)]
)
def test_segments_are_a_number_or_none(count, segments):
    """Vonage writes them as text."""
    (report,) = events(status_callback("submitted", sms={"count_total": count}))

    assert report.segments == segments


# Inbound texts


def test_inbound_text():
    """Whole (Vonage joins the segments), with the person's number and ours."""
    (text,) = events(inbound_callback())

    assert (text.number, text.sender, text.text) == ("+12125550123", "+13105550199", "Stop please")
    assert text.provider_id == "f3b1c0de-7777-4222-8aaa-90ab12cd34ef"
    assert text.at == datetime(2026, 3, 4, 9, 20, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("wire", "ours"),
    [
        ("12125550123", "+12125550123"),
        ("+12125550123", "+12125550123"),
        (12125550123, "+12125550123"),
        ("12345", "12345"),
        ("PACELINE", "PACELINE"),
        ("0123456789", "0123456789"),
    ],
)
def test_only_numbers_gain_a_plus(wire, ours):
    """Short codes and names stay as they are."""
    (text,) = events(inbound_callback(**{"from": wire}))

    assert text.number == ours


def test_older_inbound_shape_is_read():
    """v0.1 nests the text; a STOP in it counts as much."""
    (text,) = events(
        {
            "message_uuid": "u-2",
            "to": {"type": "sms", "number": "13105550199"},
            "from": {"type": "sms", "number": "12125550123"},
            "timestamp": "2026-03-04T09:20:01.000Z",
            "message": {"content": {"type": "text", "text": "STOP"}, "sms": {"num_messages": "1"}},
        }
    )

    assert (text.number, text.sender, text.text) == ("+12125550123", "+13105550199", "STOP")


@pytest.mark.parametrize(
    "changes",
    [
        {"message_type": "image", "text": None, "image": {"url": "https://example.org/a.jpg"}},
        {"message_type": "unsupported"},
        {"text": None},
        {"text": 7},
        {"channel": "whatsapp"},
        {"from": None},
        {"from": {}},
        {"message": {"content": {"type": "image", "image": {}}}, "message_type": None, "text": None},
    ],
    ids=repr,
)
def test_what_is_not_a_text_is_no_event(changes):
    """A picture is not an empty text."""
    assert events(inbound_callback(**changes)) == []


def test_empty_text_is_a_text():
    """People do send them."""
    (text,) = events(inbound_callback(text=""))

    assert text.text == ""


def test_signs_that_no_database_takes_are_taken_out():
    """NUL and half characters; a pair in two halves is joined."""
    (text,) = events(rb'{"from": "12125550123", "to": "1", "text": "a\u0000b \ud83d\ude9a \ud83d c"}')

    assert text.text == "ab 🚚 \N{REPLACEMENT CHARACTER} c"


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b'"text"', b"7", b"{", b"\xff", b"a=b&c=d", b"[" * 50_000])
def test_body_that_is_no_object_is_rejected(body):
    """Nothing of it is stored as an event."""
    with pytest.raises(WebhookRejected, match="JSON object"):
        events(body)
