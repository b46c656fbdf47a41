"""AWS, word by word. The contract comes first, then what only AWS does."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID

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
from paceline.sms.providers import from_url
from paceline.sms.providers.aws import REASONS, STATUSES, Aws, signed_headers
from paceline.sms.status import Status

from .provider_contract import NOW, NUMBER, SENDER, ProviderContract

TOPIC = "arn:aws:sns:eu-west-1:000000000000:sms"
SECRET = "canary-webhook-secret"
ACCOUNT = {"access_key_id": "AKIDEXAMPLE", "secret_access_key": "canary/secret+key", "region": "eu-west-1"}


def certificate(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    since = datetime(2026, 1, 1, tzinfo=UTC)
    built = x509.CertificateBuilder(name, name, key.public_key(), 7, since, since + timedelta(days=365))
    return built.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
CERTIFICATE, OTHER_CERTIFICATE = certificate(KEY), certificate(OTHER_KEY)


def aws(**options) -> Aws:
    return Aws(**(ACCOUNT | {"signing_certificate": CERTIFICATE, "topic_arns": [TOPIC]} | options))


def bare(**options) -> Aws:
    """With an address that ends in the secret, and no certificate."""
    return Aws(**(ACCOUNT | {"webhook_secret": SECRET} | options))


def exception(name: str, reason: str = "", status: int = 400) -> Response:
    body = {"__type": f"com.amazonaws.pinpointsmsvoicev2#{name}", "Message": "…"} | (
        {"Reason": reason} if reason else {}
    )
    return Response(status, {}, json.dumps(body).encode())


def timestamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def envelope(message: object, at: float = NOW, **changes) -> dict:
    fields = {
        "Type": "Notification",
        "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
        "TopicArn": TOPIC,
        "Message": message if isinstance(message, str) else json.dumps(message),
        "Timestamp": timestamp(at),
        "SignatureVersion": "2",
        "SigningCertURL": "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0.pem",
        "UnsubscribeURL": "https://sns.eu-west-1.amazonaws.com/?Action=Unsubscribe",
    } | changes
    return {name: value for name, value in fields.items() if value is not None}


NOTIFICATION = ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"]
CONFIRMATION = ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]


def signed(fields: dict, key: rsa.RSAPrivateKey = KEY) -> WebhookRequest:
    """As SNS signs it: the documented fields that are there, name and value by turns, each on its line."""
    names = NOTIFICATION if fields["Type"] == "Notification" else CONFIRMATION
    text = "".join(f"{name}\n{fields[name]}\n" for name in names if name in fields)
    algorithm = hashes.SHA1() if fields["SignatureVersion"] == "1" else hashes.SHA256()
    signature = key.sign(text.encode(), padding.PKCS1v15(), algorithm)
    return posted(fields | {"Signature": base64.b64encode(signature).decode()})


def posted(fields: object, path: str = "/webhooks/default/status") -> WebhookRequest:
    return WebhookRequest("POST", path, {"x-amz-sns-message-type": "Notification"}, "", json.dumps(fields).encode())


def event(word: str = "TEXT_DELIVERED", **changes) -> dict:
    return {
        "eventType": word,
        "eventVersion": "1.0",
        "eventTimestamp": 1772615727470,
        "isFinal": True,
        "originationPhoneNumber": SENDER,
        "destinationPhoneNumber": NUMBER,
        "messageId": "862a8790-60c0-4430-9b2b-658bdexample",
        "messageStatus": word.removeprefix("TEXT_"),
        "context": {"reference": "0123456789abcdef0123456789abcdef"},
        "totalMessageParts": 2,
        "totalMessagePrice": 0.09582,
        "totalCarrierFee": 0.005,
    } | changes


def inbound(**changes) -> dict:
    return {
        "originationNumber": NUMBER,
        "destinationNumber": SENDER,
        "messageKeyword": "STOP",
        "messageBody": "Stop please",
        "inboundMessageId": "cae173d2-66b9-564c-8309-21f858e9fb84",
        "previousPublishedMessageId": "862a8790-60c0-4430-9b2b-658bdexample",
    } | changes


def events(fields: object) -> list:
    body = fields if isinstance(fields, bytes) else json.dumps(fields).encode()
    return list(aws().events(WebhookRequest("POST", "", {}, "", body)))


class TestAwsContract(ProviderContract):
    provider = aws()
    other_provider = aws(signing_certificate=OTHER_CERTIFICATE)
    secrets = ("canary/secret+key", "canary-session-token")
    accept = Response(200, {}, b'{"MessageId": "862a8790"}')
    accepted_id = "862a8790"
    refuse = exception("ValidationException", "INVALID_PARAMETER")
    refuse_code = "INVALID_PARAMETER"
    throttle = exception("ThrottlingException")
    opt_out = exception("ConflictException", "DESTINATION_PHONE_NUMBER_OPTED_OUT")
    sender_problem = exception("ValidationException", "SENDER_ID_NOT_REGISTERED")
    account_problems = (
        exception("ServiceQuotaExceededException", "MONTHLY_SPEND_LIMIT_REACHED_FOR_TEXT"),
        exception("AccessDeniedException", "ACCOUNT_DISABLED"),
        exception("AccessDeniedException"),
        exception("InvalidSignatureException"),
        exception("UnrecognizedClientException"),
        Response(403),
    )
    reports = tuple((word, status) for word, (status, _) in STATUSES.items())
    fresh_seconds = 7200
    mutations = 10_000

    def understand(self, request):
        fields = json.loads(request.body)
        return {
            "reference": fields["Context"]["reference"],
            "sender": fields["OriginationIdentity"],
            "number": fields["DestinationPhoneNumber"][1:],
            "text": fields["MessageBody"],
        }

    def report(self, name, reference, provider_id, at):
        return signed(envelope(event(name, context={"reference": reference}, messageId=provider_id), at))

    def inbound(self, number, sender, text, at):
        return signed(
            envelope(inbound(originationNumber=number, destinationNumber=sender, messageBody=text), at, Subject="Reply")
        )

    def signature(self, webhook):
        return json.loads(webhook.body)["Signature"]

    def with_signature(self, webhook, signature):
        return replace(webhook, body=json.dumps(json.loads(webhook.body) | {"Signature": signature}).encode())

    def unsigned(self, webhook):
        fields = json.loads(webhook.body)
        without = {name: value for name, value in fields.items() if name != "Signature"}
        return [self.with_signature(webhook, ""), posted(without), posted(json.loads(fields["Message"]))]

    def test_webhook_with_a_changed_body_is_rejected(self):
        """Each signed field, in each letter; one missing, of another type; a field that was not there."""
        for webhook in self.webhooks():
            fields = json.loads(webhook.body)
            for name in [name for name in NOTIFICATION if name in fields]:
                value = fields[name]
                letters = [value[:i] + chr(ord(value[i]) ^ 1) + value[i + 1 :] for i in range(len(value))]
                for other in [*letters, value + "\n", value[:-1], "", None, 7, [value], {}]:
                    with pytest.raises(WebhookRejected):
                        self.provider.verify(posted(fields | {name: other}), NOW)
                with pytest.raises(WebhookRejected):
                    self.provider.verify(posted({each: fields[each] for each in fields if each != name}), NOW)
            with pytest.raises(WebhookRejected):
                self.provider.verify(posted(fields | {"Subject": "Another"}), NOW)
            for body in (b"", b"[]", webhook.body[:-1]):
                with pytest.raises(WebhookRejected):
                    self.provider.verify(replace(webhook, body=body), NOW)


# Options and requests


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"access_key_id": ""}, "access_key_id and secret_access_key"),
        ({"secret_access_key": ""}, "access_key_id and secret_access_key"),
        ({"region": ""}, "region"),
        ({"region": "canary.example/"}, "region"),
        ({"message_type": "canary"}, "message_type"),
        ({"base_url": "canary"}, "base_url"),
        ({"topic_arns": ()}, "topic_arns"),
        ({"topic_arns": " , "}, "topic_arns"),
        ({"signing_certificate": "/nowhere/canary.pem"}, "readable file"),
        ({"signing_certificate": "-----BEGIN CERTIFICATE-----\ncanary"}, "not a PEM certificate"),
        ({"signing_certificate": certificate(ec.generate_private_key(ec.SECP256R1()))}, "RSA"),
    ],
)
def test_option_that_cannot_work_is_named(options, hint):
    """Without repeating its value."""
    with pytest.raises(ValueError, match=hint) as error:
        aws(**options)

    assert "canary" not in str(error.value)


def test_loads_from_one_line():
    """Credentials escaped, the region as an option; topics with commas."""
    provider = from_url("aws://AKIDEXAMPLE:canary%2Fsecret%2Bkey@?region=eu-west-1&configuration_set=reports")

    assert provider.endpoint == "https://sms-voice.eu-west-1.amazonaws.com/"
    assert json.loads(provider.build(Message("Hi", SENDER, NUMBER)).body)["ConfigurationSetName"] == "reports"
    aws(topic_arns=f"arn:other, {TOPIC}").verify(signed(envelope(event())), NOW)


def test_certificate_in_a_file(tmp_path):
    """Several in one file, as around a change of SNS's certificate; and as environment variables often carry it."""
    path = tmp_path / "sns.pem"
    path.write_text(OTHER_CERTIFICATE + CERTIFICATE)
    for given in (path, str(path), CERTIFICATE.replace("\n", "\\n")):
        aws(signing_certificate=given).verify(signed(envelope(event())), NOW)


def test_request_as_documented():
    """AWS JSON 1.0, numbers with the plus, our reference in Context; nothing that we were not asked for."""
    request = aws().build(Message("Hi", "PACELINE", NUMBER, "r1"))

    assert (request.method, request.url) == ("POST", "https://sms-voice.eu-west-1.amazonaws.com/")
    assert request.headers["Content-Type"] == "application/x-amz-json-1.0"
    assert request.headers["X-Amz-Target"] == "PinpointSMSVoiceV2.SendTextMessage"
    assert json.loads(request.body) == {
        "DestinationPhoneNumber": NUMBER,
        "OriginationIdentity": "PACELINE",
        "MessageBody": "Hi",
        "MessageType": "TRANSACTIONAL",
        "Context": {"reference": "r1"},
    }


@pytest.mark.parametrize(("validity_seconds", "ttl"), [(None, None), (0, 5), (3600, 3600), (10**9, 259_200)])
def test_validity_becomes_time_to_live(validity_seconds, ttl):
    """Within what AWS takes; none asked for, none sent."""
    request = aws().build(Message("Hi", SENDER, NUMBER, validity_seconds=validity_seconds))

    assert json.loads(request.body).get("TimeToLive") == ttl


# Signature Version 4


def test_signature_of_the_published_test_vector():
    """`post-vanilla` of AWS's test suite for Signature Version 4."""
    headers = signed_headers(
        "https://example.amazonaws.com/",
        {},
        b"",
        "AKIDEXAMPLE",
        "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
        "us-east-1",
        "service",
        datetime(2015, 8, 30, 12, 36, tzinfo=UTC).timestamp(),
    )

    assert headers == {
        "X-Amz-Date": "20150830T123600Z",
        "Authorization": "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        "SignedHeaders=host;x-amz-date, "
        "Signature=5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
    }


def test_signature_with_further_headers_and_a_body():
    """`post-x-www-form-urlencoded` of the same suite; a header's spaces count once, the usual port not at all."""
    headers = signed_headers(
        "https://example.amazonaws.com:443/",
        {"Content-Type": " application/x-www-form-urlencoded "},
        b"Param1=value1",
        "AKIDEXAMPLE",
        "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
        "us-east-1",
        "service",
        datetime(2015, 8, 30, 12, 36, tzinfo=UTC).timestamp(),
    )

    assert "SignedHeaders=content-type;host;x-amz-date" in headers["Authorization"]
    assert headers["Authorization"].endswith("ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a")


def test_signature_of_a_submit_step_by_step(monkeypatch):
    """Computed a second time, line by line as the description has it."""
    monkeypatch.setattr(time, "time", lambda: NOW)
    provider = aws(session_token="canary-session-token", base_url="http://127.0.0.1:9000")
    request = provider.build(Message("Grüße", SENDER, NUMBER, "r1"))

    canonical = (
        "POST\n/\n\n"
        "content-type:application/x-amz-json-1.0\n"
        "host:127.0.0.1:9000\n"
        "x-amz-date:20260304T091527Z\n"
        "x-amz-security-token:canary-session-token\n"
        "x-amz-target:PinpointSMSVoiceV2.SendTextMessage\n\n"
        "content-type;host;x-amz-date;x-amz-security-token;x-amz-target\n" + hashlib.sha256(request.body).hexdigest()
    )
    to_sign = "AWS4-HMAC-SHA256\n20260304T091527Z\n20260304/eu-west-1/sms-voice/aws4_request\n"
    to_sign += hashlib.sha256(canonical.encode()).hexdigest()

    def mac(key: bytes, text: str) -> bytes:
        return hmac.new(key, text.encode(), hashlib.sha256).digest()

    key = mac(mac(mac(mac(b"AWS4canary/secret+key", "20260304"), "eu-west-1"), "sms-voice"), "aws4_request")
    assert request.headers["Authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260304/eu-west-1/sms-voice/aws4_request, "
        "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amz-target, "
        f"Signature={mac(key, to_sign).hex()}"
    )


# Answers


@pytest.mark.parametrize(
    ("response", "reaction", "code"),
    [
        *((exception("ConflictException", reason), reaction, reason) for reason, (reaction, _) in REASONS.items()),
        (exception("ThrottlingException", status=429), Throttled, "ThrottlingException"),
        (exception("TooManyRequestsException"), Throttled, "TooManyRequestsException"),
        (Response(429), Throttled, "429"),
        (exception("ResourceNotFoundException"), SenderProblem, "ResourceNotFoundException"),
        (exception("ServiceQuotaExceededException"), AccountProblem, "ServiceQuotaExceededException"),
        (exception("ExpiredTokenException"), AccountProblem, "ExpiredTokenException"),
        (exception("SerializationException"), AccountProblem, "SerializationException"),
        (exception("AccessDeniedException", "SOMETHING_NEW"), AccountProblem, "SOMETHING_NEW"),
        (exception("ValidationException", "SOMETHING_NEW"), Refused, "SOMETHING_NEW"),
        (exception("ConflictException"), Refused, "ConflictException"),
        (exception("+12125550123"), Refused, "400"),
        (Response(400, {}, b'{"__type": "ThrottlingException"}'), Throttled, "ThrottlingException"),
        (Response(400, {"x-amzn-errortype": "ThrottlingException:http://…"}), Throttled, "ThrottlingException"),
        (Response(400), Refused, "400"),
        (Response(404), AccountProblem, "404"),
        (Response(408), Uncertain, ""),
        (exception("InternalServerException", status=500), Uncertain, ""),
        (exception("ThrottlingException", status=503), Uncertain, ""),
        (exception("ConflictException", "DESTINATION_PHONE_NUMBER_OPTED_OUT", 200), Uncertain, ""),
        (Response(200, {}, b'{"MessageId": 7}'), Uncertain, ""),
    ],
)
def test_answer_calls_for_a_reaction(response, reaction, code):
    """The exception's reason decides, then its name, then the HTTP status; after a 5xx nothing is certain."""
    with pytest.raises(reaction) as error:
        aws().read(response)

    assert type(error.value) is reaction
    assert error.value.code == code


def test_one_blocked_number_does_not_stop_the_account():
    """What is said of a number or its country is said of no other."""
    blocked = [reason for reason in REASONS if "BLOCKED" in reason]

    assert len(blocked) == 3
    assert {REASONS[reason][0] for reason in [*blocked, "PRICE_OVER_THRESHOLD"]} == {Refused}
    assert REASONS["DESTINATION_PHONE_NUMBER_OPTED_OUT"][0] is OptedOut


# SNS's signature


@pytest.mark.parametrize("version", ["1", "2"])
def test_both_versions_of_the_signature(version):
    """SHA-1 is SNS's default still; each version is taken at its word."""
    webhook = signed(envelope(event(), SignatureVersion=version))
    aws().verify(webhook, NOW)

    fields = json.loads(webhook.body)
    for other in ("2" if version == "1" else "1", "3", "", None, 2):
        if other != int(version):
            with pytest.raises(WebhookRejected):
                aws().verify(posted(fields | {"SignatureVersion": other}), NOW)


def test_signature_has_one_spelling():
    """Base64 has bits to spare before its padding: the same bytes spelt otherwise were not sent."""
    webhook = signed(envelope(event()))
    fields = json.loads(webhook.body)
    head, letter, padding = fields["Signature"][:-3], fields["Signature"][-3], fields["Signature"][-2:]
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    other = head + letters[letters.index(letter) + 1] + padding
    assert base64.b64decode(other) == base64.b64decode(fields["Signature"])

    aws().verify(webhook, NOW)
    for spelling in (other, fields["Signature"] + "\n", fields["Signature"].rstrip("=")):
        with pytest.raises(WebhookRejected):
            aws().verify(posted(fields | {"Signature": spelling}), NOW)


def test_topic_of_another_customer():
    """AWS signs for every customer: only our topics are believed."""
    with pytest.raises(WebhookRejected, match="topic_arns"):
        aws().verify(signed(envelope(event(), TopicArn="arn:aws:sns:eu-west-1:111111111111:sms")), NOW)


def test_confirmation_of_a_subscription_is_verified_and_is_no_event():
    """It has other fields to sign; somebody follows its SubscribeURL by hand."""
    for kind in ("SubscriptionConfirmation", "UnsubscribeConfirmation"):
        fields = envelope("You have chosen to subscribe", Type=kind, SubscribeURL="https://sns…", Token="t" * 64)
        webhook = signed(fields)

        aws().verify(webhook, NOW)
        assert events(webhook.body) == []
        for name in CONFIRMATION:
            with pytest.raises(WebhookRejected):
                aws().verify(posted(json.loads(webhook.body) | {name: "another"}), NOW)


def test_text_that_no_encoding_takes():
    """Half of a surrogate pair in a signed field is no crash."""
    fields = envelope(event()) | {"Signature": "AAAA", "Message": "\ud83d"}
    with pytest.raises(WebhookRejected):
        aws().verify(posted(fields), NOW)


# The secret address


def test_address_that_ends_in_the_secret():
    """Enough without a certificate; with one, both are asked for."""
    right, wrong = f"/webhooks/default/status/{SECRET}", "/webhooks/default/status"
    genuine = json.loads(signed(envelope(event())).body)
    both = aws(webhook_secret=SECRET)

    bare().verify(posted(event(), right), NOW)
    both.verify(posted(genuine, right), NOW)
    for provider, webhook in (
        (bare(), posted(event(), wrong)),
        (bare(), posted(genuine, wrong + "/guessed")),
        (both, posted(genuine, wrong)),
        (both, posted(event(), right)),
    ):
        with pytest.raises(WebhookRejected):
            provider.verify(webhook, NOW)


def test_without_either_nothing_is_believed():
    """And the sentence says which options are missing."""
    with pytest.raises(WebhookRejected, match="webhook_secret or signing_certificate"):
        Aws(**ACCOUNT).verify(signed(envelope(event())), NOW)


# Events


def test_event_says_when_what_and_how_much():
    """The carrier's fee belongs to the price; both are in dollars, exact."""
    (report,) = events(envelope(event()))

    assert report.reference == "0123456789abcdef0123456789abcdef"
    assert report.provider_id == "862a8790-60c0-4430-9b2b-658bdexample"
    assert report.at == datetime(2026, 3, 4, 9, 15, 27, 470_000, tzinfo=UTC)
    assert (report.price, report.currency, report.segments) == (Decimal("0.10082"), "USD", 2)


def test_raw_delivery_has_no_envelope():
    """The event is the body itself."""
    assert events(event()) == events(envelope(event()))
    assert events(inbound())[0].text == "Stop please"


def test_final_success_is_still_not_delivered():
    """Where carriers give no receipts, the carrier's yes is the last word."""
    (report,) = events(envelope(event("TEXT_SUCCESSFUL", isFinal=True)))

    assert report.status is Status.SENT


@pytest.mark.parametrize(
    "changes",
    [
        {"eventTimestamp": "soon", "totalMessagePrice": "x", "context": None},
        {"eventTimestamp": -1, "totalMessagePrice": None, "context": []},
        {"eventTimestamp": 10**20, "totalMessagePrice": True, "context": {"reference": 7.5}},
    ],
)
def test_fields_of_another_type(changes):
    """They are as good as none."""
    (report,) = events(envelope(event(**changes)))

    assert (report.at, report.price, report.currency, report.reference) == (None, None, "", "")


@pytest.mark.parametrize(
    "message",
    ["Hello", "", "[]", {}, {"eventType": "MEDIA_DELIVERED"}, {"eventType": "VOICE_COMPLETED"}, {"messageBody": "x"}],
)
def test_what_is_not_about_a_text(message):
    """A test notification, a picture, a call: no event, and no error that SNS would repeat it for."""
    assert events(envelope(message)) == []


def test_new_word_changes_nothing():
    """It is kept, and means nothing yet."""
    (report,) = events(envelope(event("TEXT_TELEPORTED")))

    assert (report.status, report.word) == (None, "TEXT_TELEPORTED")


def test_inbound_text_comes_when_sns_says():
    """The text itself has no date."""
    (text,) = events(envelope(inbound()))

    assert (text.number, text.sender, text.text) == (NUMBER, SENDER, "Stop please")
    assert text.provider_id == "cae173d2-66b9-564c-8309-21f858e9fb84"
    assert text.at == datetime(2026, 3, 4, 9, 15, 27, tzinfo=UTC)
