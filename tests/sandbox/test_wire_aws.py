"""AWS's client and AWS's wire, over real sockets: each signs and verifies by itself."""

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from paceline.sandbox.behaviour import Ending
from paceline.sandbox.wires import Knock, Problem
from paceline.sandbox.wires.aws import Aws as AwsWire
from paceline.sms.messages import Message
from paceline.sms.providers.aws import Aws
from paceline.sms.providers.registry import from_url
from paceline.sms.status import Status

from .wire_contract import WireContract

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
KEY_PEM = KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()
NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
CERTIFICATE = (
    x509.CertificateBuilder(NAME, NAME, KEY.public_key(), 7, datetime.now(UTC), datetime.now(UTC) + timedelta(days=1))
    .sign(KEY, hashes.SHA256())
    .public_bytes(serialization.Encoding.PEM)
    .decode()
)


class TestAwsWire(WireContract):
    """SNS signs, and nothing in the address is secret."""

    wire = AwsWire(signing_key=KEY_PEM)
    locked = AwsWire(secret_access_key="another-secret")
    retry_after = None
    endings = {
        Ending.ABSENT: Status.UNDELIVERED,
        Ending.UNREACHABLE: Status.UNDELIVERED,
        Ending.UNROUTABLE: Status.REFUSED,
        Ending.FILTERED: Status.REFUSED,
        Ending.EXPIRED: Status.EXPIRED,
        Ending.UNKNOWN: Status.UNCONFIRMED,
    }

    def provider(self, url, webhook_url):
        return Aws(
            access_key_id="AKIDSANDBOX",
            secret_access_key="sandbox-secret",
            region="us-east-1",
            configuration_set="reports",
            base_url=url,
            signing_certificate=CERTIFICATE,
            topic_arns=["arn:aws:sns:us-east-1:000000000000:sms"],
        )


class TestAwsWireWithASecretAddress(TestAwsWire):
    """The subscription's address ends in the secret, and nothing is signed."""

    wire = AwsWire()
    token = "sandbox-webhook-secret"
    test_answer_that_says_nothing_is_uncertain = None  # the same answers, and they take their time

    def provider(self, url, webhook_url):
        options = f"region=us-east-1&configuration_set=reports&webhook_secret={self.token}"
        return from_url(f"aws+http://AKIDSANDBOX:sandbox-secret@{url.removeprefix('http://')}?{options}")


def test_signing_key_is_a_file_too(tmp_path: Path) -> None:
    """And a wrong one is found at start."""
    path = tmp_path / "key.pem"
    path.write_text(KEY_PEM)
    AwsWire(signing_key=str(path)).check()
    other = tmp_path / "other.pem"
    other.write_text("-----BEGIN")
    for wrong in (other, tmp_path / "nowhere"):
        with pytest.raises(OSError):
            AwsWire(signing_key=str(wrong)).check()


def knock(**options: str) -> Knock:
    """A request as our client makes it and aiohttp sends it."""
    account = {"access_key_id": "AKIDSANDBOX", "secret_access_key": "sandbox-secret", "region": "us-east-1"}
    request = Aws(**account | options).build(Message("Hello", "+13105550199", "+12125550123"))
    headers = {name.lower(): value for name, value in request.headers.items()}
    host = request.url.removeprefix("https://").removesuffix("/")
    return Knock("POST", request.url, "/", "", {**headers, "host": host}, request.body)


def changed(knock: Knock, body: bytes = b"", **headers: str) -> Knock:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Knock(knock.method, knock.url, knock.path, knock.query, {**knock.headers, **named}, body or knock.body)


def test_a_signature_out_of_order() -> None:
    """The wire checks the whole signature: who, when, where, which headers, which body."""
    wire, now, right = AwsWire(), time.time(), knock()
    assert wire.read(right, now).number == "+12125550123"
    assert wire.read(knock(session_token="temporary"), now).number == "+12125550123"
    wrong = [
        changed(right, body=right.body.replace(b"Hello", b"Hallo")),
        changed(right, host="example.org"),
        changed(right, x_amz_date="20260304T091527Z"),
        changed(right, x_amz_security_token="not signed"),
        changed(right, authorization=""),
        changed(right, authorization=right.headers["authorization"][:-1]),
        changed(right, authorization=right.headers["authorization"].replace("content-type;", "")),
        knock(secret_access_key="another"),
        knock(access_key_id="AKIDANOTHER"),
        knock(region="eu-west-1"),
    ]
    for each, when in [*((one, now) for one in wrong), (right, now + 301), (right, now - 301)]:
        with pytest.raises(Problem) as caught:
            wire.read(each, when)
        assert caught.value.reply.status == 400
        assert caught.value.code.endswith("Exception")


@pytest.mark.parametrize(
    "fields",
    [
        {"DestinationPhoneNumber": "12125550123"},
        {"OriginationIdentity": "PACE LINE"},
        {"MessageBody": ""},
        {"MessageBody": "x" * 1601},
        {"MessageType": "OTP"},
        {"TimeToLive": 4},
        {"TimeToLive": 259_201},
        {"Context": {"reference": ""}},
        {"Context": {str(n): "x" for n in range(6)}},
        {"Reference": "r1"},
    ],
)
def test_a_field_out_of_order(fields, monkeypatch):
    """Each wrong field is a ValidationException."""
    monkeypatch.setattr(AwsWire, "_admit", lambda *_: None)
    right = {"DestinationPhoneNumber": "+12125550123", "OriginationIdentity": "PACE", "MessageBody": "Hi"}
    AwsWire().read(changed(knock(), json.dumps(right).encode()), 0.0)
    with pytest.raises(Problem) as caught:
        AwsWire().read(changed(knock(), json.dumps(right | fields).encode()), 0.0)

    assert b"ValidationException" in caught.value.reply.body
