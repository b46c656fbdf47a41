"""How does AWS End User Messaging SMS look from its side? Signed JSON in, events and inbound texts out through SNS.

Facts from AWS's service model of pinpoint-sms-voice-v2 (2022-03-31), the user guide's pages on events and two-way
SMS, SNS's pages on HTTPS endpoints and the description of Signature Version 4. Where they leave a choice, this carrier
is the strict one. One SNS topic serves events and inbound texts alike, and its subscription is confirmed already.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import uuid
from base64 import b64encode
from calendar import timegm
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from time import strptime
from typing import TYPE_CHECKING, Any, ClassVar

from ..behaviour import Ending, Forgery
from ..flags import flag
from ..ledger import Accept
from .base import Callback, Knock, Problem, Reply, Said, Submission, Wire, count_segments

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

SERVICE = "sms-voice"
TARGET = "PinpointSMSVoiceV2.SendTextMessage"
AWS_JSON = "application/x-amz-json-1.0"
REFERENCE = "reference"
SKEW_SECONDS = 300
STALE_SECONDS = 86_400

LONGEST_TEXT = 1600
TTL_SECONDS = range(5, 259_201)
PRICE_PER_SEGMENT = 0.00645
FEE_PER_SEGMENT = 0.0025

PARAMETERS = frozenset(
    (
        *("DestinationPhoneNumber", "OriginationIdentity", "MessageBody", "MessageType", "ConfigurationSetName"),
        *("TimeToLive", "MaxPrice", "Keyword", "Context", "DestinationCountryParameters", "DryRun"),
        *("ProtectConfigurationId", "MessageFeedbackEnabled"),
    )
)

ENDINGS: Mapping[Ending, tuple[str, str]] = {
    Ending.DELIVERED: ("TEXT_DELIVERED", "Message has been accepted by phone"),
    Ending.ABSENT: ("TEXT_UNREACHABLE", "Phone is currently unreachable/unavailable"),
    Ending.UNREACHABLE: ("TEXT_CARRIER_UNREACHABLE", "Phone carrier is currently unreachable/unavailable"),
    Ending.UNROUTABLE: ("TEXT_INVALID", "Phone number is not valid"),
    Ending.FILTERED: ("TEXT_SPAM", "Message was filtered as spam"),
    Ending.EXPIRED: ("TEXT_TTL_EXPIRED", "Message was not delivered within its time to live"),
    Ending.UNKNOWN: ("TEXT_UNKNOWN", "An unknown error occurred"),
    Ending.OPTED_OUT: ("TEXT_BLOCKED", "Phone has blocked SMS"),
}
"""Our ending → their eventType and description. An opted-out recipient is refused at once, so no event says it."""


def exception(name: str, reason: str = "", message: str = "", **more: Any) -> Problem:
    body = {"__type": f"com.amazonaws.pinpointsmsvoicev2#{name}", "Message": message or name}
    if reason:
        body["Reason"] = reason
    return Problem(Reply(400, json.dumps(body).encode(), AWS_JSON), reason or name, **more)


@dataclass(frozen=True)
class Aws(Wire):
    """AWS End User Messaging SMS, with an SNS topic. Without a `signing_key` nothing of SNS's is signed."""

    name: ClassVar[str] = "aws"
    forgeries: ClassVar[Sequence[Forgery]] = (
        Forgery.UNSIGNED,
        Forgery.WRONG_SECRET,
        Forgery.WRONG_HASH,
        Forgery.STALE,
    )
    refuses_opted_out: ClassVar[bool] = True
    garbage: ClassVar[Sequence[Reply]] = (
        Reply(200, b"", AWS_JSON),
        Reply(200, b"{}", AWS_JSON),
        Reply(200, b"<html><body>Welcome to the hotel's network</body></html>", "text/html"),
        Reply(200, b'{"MessageId": "5d2f8c1e-6a34-', AWS_JSON),
        Reply(200, b"\xff\xfe\x00", AWS_JSON),
    )
    server_errors: ClassVar[Sequence[Reply]] = (
        Reply(500, b'{"__type": "InternalServerException", "Message": "Internal error"}', AWS_JSON),
        Reply(502, b"<html><body>502 Bad Gateway</body></html>", "text/html"),
        Reply(503, b'{"__type": "ThrottlingException"}', AWS_JSON),
        Reply(504),
    )

    access_key_id: str = flag("AKIDSANDBOX", "Key id that requests name")
    secret_access_key: str = flag("sandbox-secret", "Secret that requests are signed with", secret=True)
    region: str = flag("us-east-1", "Region that requests are signed for")
    topic_arn: str = flag("arn:aws:sns:us-east-1:000000000000:sms", "SNS topic that events and inbound texts come from")
    signing_key: str = flag(
        "", "Private key (a PEM file) that SNS signs with; without it webhooks carry no signature", secret=True
    )

    def check(self) -> None:
        if self.signing_key:
            _private_key(self.signing_key)

    def submits(self, knock: Knock) -> bool:
        return knock.path == "/"

    def read(self, knock: Knock, now: float) -> Submission:
        if knock.method != "POST" or knock.headers.get("x-amz-target") != TARGET:
            raise exception("UnknownOperationException")
        if knock.headers.get("content-type") != AWS_JSON:
            raise exception("SerializationException")
        self._admit(knock, now)
        return _submission(knock.body)

    def accepted(self, submission: Submission, provider_id: str) -> Reply:
        return Reply(200, json.dumps({"MessageId": provider_id}).encode(), AWS_JSON)

    def unauthorized(self) -> Problem:
        return exception("UnrecognizedClientException", message="The security token in the request is invalid.")

    def low_balance(self) -> Problem:
        return exception("ServiceQuotaExceededException", "MONTHLY_SPEND_LIMIT_REACHED_FOR_TEXT")

    def throttled(self, why: str) -> Problem:
        return exception("ThrottlingException", throttled=True, why=why)

    def barred_recipient(self) -> Problem:
        return exception("ValidationException", "INVALID_PARAMETER")

    def opted_out(self) -> Problem:
        return exception("ConflictException", "DESTINATION_PHONE_NUMBER_OPTED_OUT")

    def internal(self) -> Problem:
        body = {"__type": "InternalServerException", "Message": "Internal error"}
        return Problem(Reply(500, json.dumps(body).encode(), AWS_JSON), "InternalServerException")

    def not_found(self) -> Problem:
        return exception("UnknownOperationException")

    def words(self, ending: Ending | None) -> tuple[str, str]:
        return (ENDINGS[ending][0] if ending else "TEXT_SUCCESSFUL"), ""

    def report(
        self, accept: Accept, ending: Ending | None, at: float, url: str, now: float, forgery: Forgery | None = None
    ) -> Callback:
        word, description = ENDINGS[ending] if ending else ("TEXT_SUCCESSFUL", "Message has been accepted by carrier")
        segments = count_segments(accept.text)
        event = {
            "eventType": word,
            "eventVersion": "1.0",
            "eventTimestamp": int(at * 1000),
            "isFinal": ending is not None,
            "originationPhoneNumber": accept.sender,
            "destinationPhoneNumber": accept.number,
            "isInternationalSend": False,
            "mcc": "310",
            "mnc": "260",
            "messageId": accept.provider_id,
            "messageRequestTimestamp": int(accept.at * 1000),
            "messageEncoding": "GSM" if accept.text.isascii() else "Unicode",
            "messageType": "TRANSACTIONAL",
            "messageStatus": word.removeprefix("TEXT_"),
            "messageStatusDescription": description,
            "context": {REFERENCE: accept.reference} if accept.reference else {},
            "totalMessageParts": segments,
            "totalMessagePrice": round(PRICE_PER_SEGMENT * segments, 5),
            "totalCarrierFee": round(FEE_PER_SEGMENT * segments, 5),
        }
        return self._notification(event, url, now, forgery)

    def inbound(self, said: Said, url: str, now: float) -> Callback:
        words = re.findall(r"\w+", said.text)
        text = {
            "originationNumber": said.number,
            "destinationNumber": said.sender,
            "messageKeyword": words[0].upper() if words else "",
            "messageBody": said.text,
            "inboundMessageId": said.provider_id,
            "previousPublishedMessageId": str(uuid.uuid4()),
        }
        return self._notification(text, url, now)

    def _notification(
        self, message: Mapping[str, Any], url: str, now: float, forgery: Forgery | None = None
    ) -> Callback:
        """SNS's envelope, or one with a `forgery` in it; when nothing is signed, the address is what is wrong."""
        envelope = {
            "Type": "Notification",
            "MessageId": str(uuid.uuid4()),
            "TopicArn": self.topic_arn,
            "Message": json.dumps(message),
            "Timestamp": _timestamp(now - (STALE_SECONDS if forgery is Forgery.STALE else 0)),
            "UnsubscribeURL": "https://sns.us-east-1.amazonaws.com/?Action=Unsubscribe",
        }
        if self.signing_key and forgery is not Forgery.UNSIGNED:
            key = _another_key() if forgery is Forgery.WRONG_SECRET else _private_key(self.signing_key)
            envelope |= {
                "SignatureVersion": "2",
                "Signature": _signature(key, envelope),
                "SigningCertURL": "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-sandbox.pem",
            }
        if forgery is Forgery.WRONG_HASH:
            envelope["Message"] += " "
        if forgery and not self.signing_key:
            url = url.rpartition("/")[0] + "/guessed"
        headers = {
            "Content-Type": "text/plain; charset=UTF-8",
            "x-amz-sns-message-type": "Notification",
            "x-amz-sns-topic-arn": self.topic_arn,
        }
        return Callback("POST", url, headers, json.dumps(envelope).encode())

    def _admit(self, knock: Knock, now: float) -> None:
        """Raises `Problem` unless this account signed the request within five minutes of `now`."""
        pattern = (
            r"AWS4-HMAC-SHA256 Credential=([^/, ]+)/([0-9]{8})/([^/, ]+)/([^/, ]+)/aws4_request, "
            r"SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})"
        )
        authorization = knock.headers.get("authorization", "")
        if not authorization:
            raise exception("MissingAuthenticationTokenException")
        given = re.fullmatch(pattern, authorization)
        if not given:
            raise exception("IncompleteSignatureException")
        key_id, day, region, service, signed, signature = given.groups()
        if key_id != self.access_key_id:
            raise self.unauthorized()
        date = knock.headers.get("x-amz-date", "")
        if (
            not re.fullmatch(r"[0-9]{8}T[0-9]{6}Z", date)
            or date[:8] != day
            or service != SERVICE
            or region != self.region
        ):
            raise exception("InvalidSignatureException", message="Credential should be scoped correctly.")
        if abs(now - timegm(strptime(date, "%Y%m%dT%H%M%SZ"))) > SKEW_SECONDS:
            raise exception("InvalidSignatureException", message="Signature expired.")
        names = signed.split(";")
        must = {"host", "content-type", *(name for name in knock.headers if name.startswith("x-amz-"))}
        if names != sorted(set(names)) or not must <= set(names) <= knock.headers.keys():
            raise exception("InvalidSignatureException", message="Headers must be signed.")
        if not hmac.compare_digest(signature, self._expected(knock, names, date)):
            raise exception("InvalidSignatureException", message="The signature does not match.")

    def _expected(self, knock: Knock, names: Sequence[str], date: str) -> str:
        request = f"{knock.method}\n{knock.path}\n{knock.query}\n"
        for name in names:
            request += f"{name}:{re.sub(' +', ' ', knock.headers[name].strip())}\n"
        request += f"\n{';'.join(names)}\n{hashlib.sha256(knock.body).hexdigest()}"
        scope = (date[:8], self.region, SERVICE, "aws4_request")
        text = f"AWS4-HMAC-SHA256\n{date}\n{'/'.join(scope)}\n{hashlib.sha256(request.encode()).hexdigest()}"
        key = b"AWS4" + self.secret_access_key.encode()
        for part in (*scope, text):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        return key.hex()


def _submission(body: bytes) -> Submission:
    """A submission from the body, checked field by field. Raises `Problem`."""
    try:
        fields = json.loads(body)
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        raise exception("SerializationException")
    for name in fields.keys() - PARAMETERS:
        raise _invalid("UNKNOWN_PARAMETER", name)
    number, sender, text = (
        fields.get(name) for name in ("DestinationPhoneNumber", "OriginationIdentity", "MessageBody")
    )
    context, ttl = fields.get("Context", {}), fields.get("TimeToLive", 5)
    if not isinstance(number, str) or not re.fullmatch(r"\+[1-9][0-9]{6,14}", number):
        raise _invalid("INVALID_PARAMETER", "DestinationPhoneNumber")
    if not isinstance(sender, str) or not re.fullmatch(r"\+[1-9][0-9]{2,14}|[A-Za-z0-9_:/-]{1,256}", sender):
        raise _invalid("INVALID_PARAMETER", "OriginationIdentity")
    if not isinstance(text, str) or not 1 <= len(text) <= LONGEST_TEXT:
        raise _invalid("INVALID_PARAMETER", "MessageBody")
    if fields.get("MessageType", "TRANSACTIONAL") not in ("TRANSACTIONAL", "PROMOTIONAL"):
        raise _invalid("INVALID_PARAMETER", "MessageType")
    if not isinstance(ttl, int) or isinstance(ttl, bool) or ttl not in TTL_SECONDS:
        raise _invalid("INVALID_PARAMETER", "TimeToLive")
    if not isinstance(fields.get("ConfigurationSetName", ""), str) or not _is_context(context):
        raise _invalid("INVALID_PARAMETER", "Context or ConfigurationSetName")
    return Submission(sender=sender, number=number, text=text, reference=context.get(REFERENCE, ""))


def _is_context(context: object) -> bool:
    return (
        isinstance(context, dict)
        and len(context) <= 5
        and all(isinstance(value, str) and 1 <= len(value) <= 800 for value in context.values())
    )


def _invalid(reason: str, name: str) -> Problem:
    return exception("ValidationException", reason, f"{name} is not valid.")


# SNS's signature


def _signature(key: RSAPrivateKey, envelope: Mapping[str, str]) -> str:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding

    text = ""
    for name in ("Message", "MessageId", "Timestamp", "TopicArn", "Type"):
        text += name + "\n" + envelope[name] + "\n"
    return b64encode(key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())).decode()


@lru_cache(maxsize=8)
def _private_key(pem: str) -> RSAPrivateKey:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key((pem if pem.startswith("-----BEGIN") else Path(pem).read_text()).encode(), None)
    except (ValueError, TypeError) as error:
        raise OSError("The signing key is not a PEM file without a passphrase") from error
    if not isinstance(key, RSAPrivateKey):
        raise OSError("The signing key must be an RSA key")
    return key


@lru_cache(maxsize=1)
def _another_key() -> RSAPrivateKey:
    """A stranger's."""
    from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

    return generate_private_key(public_exponent=65537, key_size=2048)


def _timestamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
