"""Vonage's wire: who is let in, which request is in order, what the answers and problems look like."""

import json
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from paceline.sandbox.carrier import Running
from paceline.sandbox.wires import Problem, vonage
from paceline.sandbox.wires.base import count_segments
from paceline.sandbox.wires.vonage import Vonage
from paceline.sms.segments import count

APPLICATION = "78d335fa-323d-4114-9c3d-d6f0d48968cf"


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="module")
def account(key: rsa.RSAPrivateKey) -> Vonage:
    pem = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return Vonage(application_id=APPLICATION, public_key=pem.decode())


def test_a_request_in_order(tmp_path: Path, client: Any) -> None:
    """202 with a message_uuid, and the log has the line, numbers with the plus, stamped when it was read."""
    before = time.time()
    with Running(ledger=tmp_path / "log") as carrier:
        [answer] = client.submit(carrier.url, client.body(3, text="Höllo 😀", ttl=3600, sms={"encoding_type": "auto"}))
        [accept] = carrier.accepts()

    assert answer.status == 202
    assert before <= accept.at <= time.time()
    assert carrier.events("accepted") == [
        {
            "event": "accepted",
            "at": accept.at,
            "from": "+12125550199",
            "to": "+12005550103",
            "reference": f"{3:032x}",
            "text": "Höllo 😀",
            "provider_id": answer.json["message_uuid"],
        }
    ]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"channel": "mms"}, "messages#1400"),
        ({"message_type": "image"}, "messages#1440"),
        ({"to": "+12125550100"}, "messages#1430"),
        ({"to": "0012125550100"}, "messages#1430"),
        ({"to": 12125550100}, "messages#1430"),
        ({"to": None}, "messages#1430"),
        ({"to": "123456"}, "messages#1430"),
        ({"from": "+12125550199"}, "messages#1420"),
        ({"from": "TWELVE LETTERS"}, "messages#1420"),
        ({"from": None}, "messages#1420"),
        ({"text": ""}, "messages#1150"),
        ({"text": "x" * 1001}, "messages#1150"),
        ({"client_ref": "r" * 101}, "messages#1450"),
        ({"ttl": 19}, "messages#1150"),
        ({"ttl": "3600"}, "messages#1150"),
        ({"webhook_url": "ftp://example.org"}, "messages#1150"),
        ({"webhook_version": "v2"}, "messages#1150"),
        ({"sms": {"encoding_type": "gsm"}}, "messages#1150"),
        ({"sms": {"ttl": 3}}, "messages#1150"),
        ({"clientref": "r"}, "messages#1150"),
    ],
)
def test_a_field_out_of_order(client: Any, fields: dict[str, Any], code: str) -> None:
    """Each wrong field is a 422 with its own number and its name among the invalid parameters."""
    with pytest.raises(Problem) as caught:
        vonage.read("application/json", json.dumps(client.body(**fields)).encode())

    assert (caught.value.reply.status, caught.value.code) == (422, code)
    assert json.loads(caught.value.reply.body)["invalid_parameters"][0]["name"].split(".")[0] in {*fields, "sms"}


def test_problems_over_http(tmp_path: Path, client: Any) -> None:
    """A refusal is a problem object, is in the log as refused, and nothing is accepted."""
    with Running(ledger=tmp_path / "log") as carrier:
        answers = [
            *client.submit(carrier.url, client.body(to="+1"), b"{", b"[]"),
            *client.submit(carrier.url, client.body(), Content_Type="text/plain"),
            client.get(carrier.url + "/v1/messages"),
            client.get(carrier.url + "/v2/messages"),
        ]
        accepted = carrier.accepts()

    assert [answer.status for answer in answers] == [422, 422, 422, 415, 405, 404]
    assert answers[0].json["type"] == "https://developer.vonage.com/api-errors/messages#1430"
    assert answers[0].json.keys() == {"type", "title", "detail", "instance", "invalid_parameters"}
    assert sorted(each["code"] for each in carrier.events("refused")) == [
        "content-type-header", "invalid-json", "invalid-json", "messages#1430", "wrong-verb",
    ]  # fmt: skip
    assert not accepted


def test_credentials(tmp_path: Path, client: Any, account: Vonage, key: rsa.RSAPrivateKey) -> None:
    """Basic with the right secret, or a fresh RS256 token of this application; everything else is 401."""
    now = int(time.time())
    claims = {"application_id": APPLICATION, "iat": now, "exp": now + 900, "jti": "one"}
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    tokens = {
        "good": jwt.encode(claims, key, "RS256"),
        "no exp": jwt.encode({k: v for k, v in claims.items() if k != "exp"}, key, "RS256"),
        "other key": jwt.encode(claims, other, "RS256"),
        "other application": jwt.encode({**claims, "application_id": "x"}, key, "RS256"),
        "expired": jwt.encode({**claims, "iat": now - 1800, "exp": now - 900}, key, "RS256"),
        "no jti": jwt.encode({k: v for k, v in claims.items() if k != "jti"}, key, "RS256"),
        "secret instead of key": jwt.encode(claims, "x" * 40, "HS256"),
        "none": jwt.encode(claims, None, "none"),
        "no token": "not.a.token",
    }
    wrong_basic = client.basic(Vonage(api_secret="wrong"))

    with Running(ledger=tmp_path / "log", wire=account) as carrier:
        bearer = {
            name: client.submit(carrier.url, client.body(), Authorization=f"Bearer {token}")[0]
            for name, token in tokens.items()
        }
        basic, *refused = (
            client.submit(carrier.url, client.body(), Authorization=header)[0].status
            for header in (client.basic(), wrong_basic, "Basic !", "", "Digest x")
        )

    assert {name for name, answer in bearer.items() if answer.status == 202} == {"good", "no exp"}
    assert {answer.status for answer in bearer.values()} == {202, 401}
    assert bearer["expired"].json["type"].endswith("#jwt-expired")
    assert bearer["other key"].json["type"].endswith("#unauthorized")
    assert basic == 202
    assert refused == [401] * 4


@pytest.mark.parametrize(
    "text", ["", "x" * 160, "x" * 161, "€" * 80, "€" * 81, "€" * 77 * 2, "я" * 70, "я" * 71, "😀" * 34, "😀" * 100]
)
def test_the_carriers_own_segment_count(text: str) -> None:
    """It was written apart from the library's, and both find the same."""
    assert count_segments(text) == max(1, count(text))
