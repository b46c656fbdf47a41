"""How do we speak with AWS End User Messaging SMS (once Pinpoint)? Its API pinpoint-sms-voice-v2.

    POST {base_url}/          AWS JSON 1.0, `X-Amz-Target: PinpointSMSVoiceV2.SendTextMessage`, Signature Version 4
                              → 200 and a `MessageId`
    events, inbound texts     through Amazon SNS, which POSTs each in a signed envelope to an HTTPS subscription of ours

Source: AWS's service model (2022-03-31), its user guide's pages on events and two-way SMS, SNS's pages on HTTPS
endpoints, and the description of Signature Version 4. What they say between the lines:

- no event without a configuration set whose event destination is an SNS topic;
- our reference goes out in `Context` and comes back in each event;
- `TEXT_SUCCESSFUL` is the carrier's yes, not the handset's; where carriers give no receipts it is the last word;
- SNS's signature proves that AWS sent it, for any customer's topic: only together with the topic's name is it ours.

There is neither a look-up nor an idempotency token. Written out with hmac: boto3 would repeat a submit by itself.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..errors import (
    AccountProblem,
    OptedOut,
    ProviderError,
    Refused,
    SenderProblem,
    Throttled,
    Uncertain,
    WebhookRejected,
)
from ..messages import Accepted, DeliveryReport, InboundText, Message, Request, Response, WebhookRequest
from ..status import Status
from . import reading
from .base import REFERENCE, Capabilities, Provider, has_token, http_url, json_body, require

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

# ---------------------------------------------------------------------------------------------------------------------
# Their words and ours
# ---------------------------------------------------------------------------------------------------------------------

STATUSES: dict[str, tuple[Status, str]] = {
    # eventType: (what it means, the reason)
    "TEXT_PENDING": (Status.ACCEPTED, ""),
    "TEXT_QUEUED": (Status.ACCEPTED, ""),
    "TEXT_SENT": (Status.SENT, ""),
    "TEXT_SUCCESSFUL": (Status.SENT, ""),
    "TEXT_DELIVERED": (Status.DELIVERED, ""),
    "TEXT_UNREACHABLE": (Status.UNDELIVERED, "the phone is switched off or out of reach"),
    "TEXT_CARRIER_UNREACHABLE": (Status.UNDELIVERED, "the recipient's carrier cannot be reached"),
    "TEXT_INVALID": (Status.REFUSED, "the number is not valid; correct it"),
    "TEXT_INVALID_MESSAGE": (Status.REFUSED, "the text is not valid; correct it"),
    "TEXT_BLOCKED": (Status.REFUSED, "the phone blocks it, or the number's country is blocked"),
    "TEXT_CARRIER_BLOCKED": (Status.REFUSED, "the carrier blocked it"),
    "TEXT_PROTECT_BLOCKED": (Status.REFUSED, "the account's protect configuration blocked it"),
    "TEXT_SPAM": (Status.REFUSED, "it was taken for spam; reword the text"),
    "TEXT_TTL_EXPIRED": (Status.EXPIRED, "its validity passed before it could be delivered"),
    "TEXT_UNKNOWN": (Status.UNCONFIRMED, "the carrier does not say what became of it"),
}

THROTTLED = {"ThrottlingException", "ThrottledException", "Throttling", "TooManyRequestsException"}

ACCOUNT_EXCEPTIONS = {
    "AccessDeniedException": "this key may not send; allow it sms-voice:SendTextMessage",
    "ServiceQuotaExceededException": "a quota of the AWS account is used up; raise it",
    "UnrecognizedClientException": "AWS does not know the key; check access_key_id and region",
    "InvalidClientTokenId": "AWS does not know the key; check access_key_id and region",
    "InvalidSignatureException": "AWS does not accept the signature; check secret_access_key and this machine's clock",
    "SignatureDoesNotMatch": "AWS does not accept the signature; check secret_access_key",
    "IncompleteSignatureException": "AWS does not accept the signature; check access_key_id",
    "MissingAuthenticationTokenException": "AWS found no signature; check base_url",
    "ExpiredTokenException": "the session token has expired; use new credentials",
    "RequestExpired": "AWS takes the request for expired; check this machine's clock",
    "OptInRequired": "the AWS account is not signed up for this service",
    "UnknownOperationException": "the address is not this service's; check base_url",
    "SerializationException": "AWS cannot read the request",
}

SENDER_EXCEPTIONS = {"ResourceNotFoundException": "AWS does not know the sender or the configuration set"}

REASONS: dict[str, tuple[type[ProviderError], str]] = {
    # Reason in an exception: (the reaction, the reason and what to do)
    "DESTINATION_PHONE_NUMBER_OPTED_OUT": (OptedOut, "the recipient has opted out"),
    "DESTINATION_PHONE_NUMBER_NOT_VERIFIED": (
        AccountProblem,
        "the account is in the sandbox and may only text verified numbers; ask AWS for production access",
    ),
    "MONTHLY_SPEND_LIMIT_REACHED_FOR_TEXT": (AccountProblem, "the month's spending limit is reached; raise it"),
    "INSUFFICIENT_ACCOUNT_REPUTATION": (AccountProblem, "AWS has stopped the account for its reputation; ask support"),
    "ACCOUNT_DISABLED": (AccountProblem, "AWS has disabled the account; ask support"),
    "NO_ORIGINATION_IDENTITIES_FOUND": (SenderProblem, "no sender fits; choose another"),
    "INVALID_IDENTITY_FOR_DESTINATION_COUNTRY": (SenderProblem, "the sender is not allowed in that country"),
    "SENDER_ID_NOT_REGISTERED": (SenderProblem, "the sender id is not registered; register it"),
    "SENDER_ID_NOT_SUPPORTED": (SenderProblem, "the country takes no sender ids; choose a number"),
    "SENDER_ID_REQUIRES_REGISTRATION": (SenderProblem, "the sender id must be registered first"),
    # About one number: the account goes on with the others.
    "DESTINATION_COUNTRY_BLOCKED": (Refused, "AWS does not send to the number's country"),
    "DESTINATION_COUNTRY_BLOCKED_BY_PROTECT_CONFIGURATION": (
        Refused,
        "the account's protect configuration blocks the number's country; change it there",
    ),
    "DESTINATION_PHONE_NUMBER_BLOCKED_BY_PROTECT_NUMBER_OVERRIDE": (
        Refused,
        "the account's protect configuration blocks this number; change it there",
    ),
    "PRICE_OVER_THRESHOLD": (Refused, "it costs more than allowed"),
}

# ---------------------------------------------------------------------------------------------------------------------

SERVICE = "sms-voice"
TARGET = "PinpointSMSVoiceV2.SendTextMessage"
CONTENT_TYPE = "application/x-amz-json-1.0"
TEXT_LIMIT = 1600
TTL_SECONDS = (5, 259_200)
FRESH_SECONDS = 7200
"""A notification's age, either way: SNS goes on trying for an hour, by default, under the first date."""

SIGNED_FIELDS = {
    # Type of an envelope: the fields that its signature covers, in their order
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
    "UnsubscribeConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
}
MAY_BE_ABSENT = "Subject"


class Aws(Provider):
    """AWS End User Messaging SMS. `access_key_id`, `secret_access_key` and `region` submit; `session_token` goes with
    temporary credentials. Without a `configuration_set` AWS sends no events. `message_type` is TRANSACTIONAL or
    PROMOTIONAL.

    Webhooks come from SNS. `webhook_secret` asks for it at the end of the subscription's address.
    `signing_certificate` (SNS's, as PEM text or the path of a PEM file; several in one are tried in turn) asks for a
    signature, and needs `topic_arns`, the topics to be believed (a list, or text with commas). With both, both are
    asked for; with neither, every webhook is rejected. A provider does no I/O, so it does not fetch `SigningCertURL`.

    Raises `ValueError` for options that cannot work, and never repeats their values.
    """

    name = "aws"
    credentials = ("access_key_id", "secret_access_key")
    capabilities = Capabilities(
        echoes_reference=True,
        validity=True,
        max_text_units=TEXT_LIMIT,
        signs_webhooks=True,
        price_in_report=True,
        answers_stop=True,
    )

    def __init__(
        self,
        *,
        access_key_id: str = "",
        secret_access_key: str = "",
        session_token: str = "",
        region: str = "",
        configuration_set: str = "",
        message_type: str = "TRANSACTIONAL",
        base_url: str = "",
        webhook_secret: str = "",
        signing_certificate: str | Path = "",
        topic_arns: Sequence[str] | str = (),
    ) -> None:
        if not (access_key_id and secret_access_key):
            raise ValueError("AWS: set access_key_id and secret_access_key")
        if not re.fullmatch(r"[a-z0-9-]{1,40}", region, re.ASCII):
            raise ValueError("AWS: set region, such as eu-west-1")
        if message_type not in ("TRANSACTIONAL", "PROMOTIONAL"):
            raise ValueError("AWS: message_type is TRANSACTIONAL or PROMOTIONAL")
        arns = topic_arns.split(",") if isinstance(topic_arns, str) else topic_arns
        self._topics = frozenset(arn.strip() for arn in arns if arn.strip())
        if signing_certificate and not self._topics:
            raise ValueError("AWS: signing_certificate needs topic_arns, for SNS signs for every customer")

        self._key_id = access_key_id
        self._secret = secret_access_key
        self._session_token = session_token
        self._region = region
        self._configuration_set = configuration_set
        self._message_type = message_type
        origin = http_url("AWS", "base_url", base_url or f"https://{SERVICE}.{region}.amazonaws.com").rstrip("/")
        self.endpoint = origin + "/"
        self._webhook_secret = webhook_secret.encode()
        self._public_keys = _public_keys(signing_certificate) if signing_certificate else []

    def __repr__(self) -> str:
        return f"<Aws {self.endpoint}>"

    def build(self, message: Message) -> Request:
        """The POST that submits `message`, signed now: AWS takes it for some five minutes.

        Raises `Refused` for a text over 1600 characters or not valid Unicode. The configuration set is named even when
        no report is wanted, for it also carries the account's rules.
        """
        if len(message.text) > TEXT_LIMIT:
            raise Refused(
                f"The text has {len(message.text)} characters and AWS takes {TEXT_LIMIT}; shorten it.",
                code="text_too_long",
            )
        fields: dict[str, Any] = {
            "DestinationPhoneNumber": message.number,
            "OriginationIdentity": message.sender,
            "MessageBody": message.text,
            "MessageType": self._message_type,
            "Context": {REFERENCE: message.reference},
        }
        if message.validity_seconds is not None:
            shortest, longest = TTL_SECONDS
            fields["TimeToLive"] = min(max(int(message.validity_seconds), shortest), longest)
        if self._configuration_set:
            fields["ConfigurationSetName"] = self._configuration_set
        body = json_body(fields)
        headers = {"Content-Type": CONTENT_TYPE, "X-Amz-Target": TARGET}
        if self._session_token:
            headers["X-Amz-Security-Token"] = self._session_token
        headers |= signed_headers(
            self.endpoint, headers, body, self._key_id, self._secret, self._region, SERVICE, time.time()
        )
        return Request("POST", self.endpoint, headers, body)

    def read(self, response: Response) -> Accepted:
        """What AWS's answer means: the HTTP status decides first, then the exception's `Reason`, then its name."""
        status, answer = response.status, reading.json_object(response.body)
        if 200 <= status < 300:
            message_id = answer.get("MessageId")
            if isinstance(message_id, str) and message_id.strip():
                return Accepted(provider_id=reading.clean(message_id))
            raise Uncertain("AWS's answer says yes but names no message; wait for its event.")
        if 400 <= status < 500:
            raise _refusal(status, answer, response.headers)
        raise Uncertain(f"AWS answered with HTTP status {status}; whether it took the message is not known.")

    def verify(self, webhook: WebhookRequest, now: float) -> None:
        """Raises `WebhookRejected` unless the address ends in our secret, and SNS signed it for a topic of ours within
        two hours of `now`: each as far as the options ask for it.

        A replay within the two hours passes: the storage behind it is idempotent.
        """
        if not (self._webhook_secret or self._public_keys):
            raise WebhookRejected("Webhooks cannot be verified: set AWS's option webhook_secret or signing_certificate")
        if self._webhook_secret:
            require(has_token(webhook, self._webhook_secret), "its address does not end in webhook_secret")
        if self._public_keys:
            self._verify_signature(reading.json_object(webhook.body), now)

    def events(self, webhook: WebhookRequest) -> Sequence[DeliveryReport | InboundText]:
        """The one event in a notification; none in one that is not about a text, or that confirms a subscription.

        Takes SNS's envelope, and the bare event of a subscription with raw message delivery. Raises `WebhookRejected`
        for a body that is not a JSON object.
        """
        envelope = reading.parsed(webhook.body)
        if not isinstance(envelope, dict):
            raise WebhookRejected("The webhook's body is not a JSON object")
        event, at = envelope, None
        if "Type" in envelope:
            message = envelope.get("Message") if envelope["Type"] == "Notification" else ""
            event = reading.json_object(message.encode("utf-8", "replace") if isinstance(message, str) else b"")
            at = reading.moment(envelope.get("Timestamp"))
        if reading.clean(event.get("eventType")).startswith("TEXT_"):
            return [_delivery_report(event)]
        inbound = _inbound_text(event, at)
        return [inbound] if inbound else []

    def _verify_signature(self, envelope: dict[str, Any], now: float) -> None:
        fields = SIGNED_FIELDS.get(reading.clean(envelope.get("Type")), ())
        values = [(name, envelope.get(name)) for name in fields if name != MAY_BE_ABSENT or name in envelope]
        require(bool(values) and all(isinstance(value, str) for _, value in values), "it is no notification of SNS")
        text = "".join(f"{name}\n{value}\n" for name, value in values).encode("utf-8", "replace")
        version, signature = reading.clean(envelope.get("SignatureVersion")), _one_spelling(envelope.get("Signature"))
        require(version in ("1", "2") and bool(signature), "it carries no signature")
        require(
            any(_signed_by(key, version, signature, text) for key in self._public_keys),
            "its signature is wrong; check the option signing_certificate",
        )
        require(envelope["TopicArn"] in self._topics, "it is from a topic that is not in topic_arns")
        date = reading.moment(envelope["Timestamp"])
        require(
            date is not None and abs(now - date.timestamp()) <= FRESH_SECONDS,
            "its date is too far from now; check this machine's clock",
        )


# Signature Version 4


def signed_headers(
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    key_id: str,
    secret: str,
    region: str,
    service: str,
    now: float,
) -> dict[str, str]:
    """The headers that sign a POST of `body` with `headers` to `url`, which has no query, at `now` (epoch seconds)."""
    parts = urlsplit(url)
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    signed = {name.lower(): " ".join(value.split()) for name, value in headers.items()}
    signed |= {"host": _host(parts.scheme, parts.netloc), "x-amz-date": stamp}
    names = ";".join(sorted(signed))
    lines = [f"{name}:{signed[name]}" for name in sorted(signed)]
    canonical = "\n".join(["POST", parts.path or "/", "", *lines, "", names, hashlib.sha256(body).hexdigest()])
    scope = f"{stamp[:8]}/{region}/{service}/aws4_request"
    to_sign = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{secret}".encode()
    for step in scope.split("/"):
        key = hmac.digest(key, step.encode(), "sha256")
    signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
    return {
        "X-Amz-Date": stamp,
        "Authorization": f"AWS4-HMAC-SHA256 Credential={key_id}/{scope}, SignedHeaders={names}, Signature={signature}",
    }


def _host(scheme: str, netloc: str) -> str:
    """As an HTTP client writes it: without the port that goes without saying."""
    return netloc.lower().removesuffix({"http": ":80", "https": ":443"}[scheme])


# SNS's signature


def _public_keys(value: str | Path) -> list[RSAPublicKey]:
    """The keys of the certificates in PEM text or in a PEM file, parsed once."""
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.x509 import load_pem_x509_certificates

    text = str(value)
    if "-----BEGIN" not in text:
        try:
            text = Path(value).expanduser().read_text()
        except (OSError, ValueError):
            raise ValueError("AWS: signing_certificate is neither PEM text nor the path of a readable file") from None
    pem = text.replace("\\n", "\n")  # as environment variables often carry it
    try:
        keys = [certificate.public_key() for certificate in load_pem_x509_certificates(pem.encode())]
    except ValueError:
        raise ValueError("AWS: signing_certificate is not a PEM certificate") from None
    rsa = [key for key in keys if isinstance(key, RSAPublicKey)]
    if not rsa or len(rsa) != len(keys):
        raise ValueError("AWS: signing_certificate must be SNS's, with an RSA key")
    return rsa


def _one_spelling(signature: object) -> bytes:
    """The bytes of standard base64 in its one spelling, or none."""
    if not isinstance(signature, str) or not signature.isascii():
        return b""
    try:
        decoded = base64.b64decode(signature, validate=True)
    except (ValueError, binascii.Error):
        return b""
    return decoded if base64.b64encode(decoded).decode() == signature else b""


def _signed_by(key: RSAPublicKey, version: str, signature: bytes, text: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15

    # Version 1 is SNS's default still. That SHA-1 has collisions does not help who cannot choose what AWS signs.
    algorithm = hashes.SHA256() if version == "2" else hashes.SHA1()  # noqa: S303
    try:
        key.verify(signature, text, PKCS1v15(), algorithm)
    except InvalidSignature:
        return False
    return True


# Answers


def _refusal(status: int, answer: dict[str, Any], headers: Mapping[str, str]) -> ProviderError:
    """The reaction to a 4xx."""
    exception = _exception(answer.get("__type")) or _exception(headers.get("x-amzn-errortype"))
    code = reading.code(answer.get("Reason")) or exception or str(status)
    if status == 429 or exception in THROTTLED:
        return Throttled("AWS asks us to slow down.", code=code, retry_after=reading.retry_after(headers))
    if status == 408:
        return Uncertain("AWS says that the request came too slowly; whether it took the message is not known.")
    if code in REASONS:
        reaction, reason = REASONS[code]
        prefix = "Nothing can be sent" if reaction is AccountProblem else "AWS refused the message"
        return reaction(f"{prefix}: {reason}.", code=code)
    if exception in SENDER_EXCEPTIONS:
        return SenderProblem(f"AWS refused the message: {SENDER_EXCEPTIONS[exception]}.", code=code)
    if exception in ACCOUNT_EXCEPTIONS:
        return AccountProblem(f"Nothing can be sent: {ACCOUNT_EXCEPTIONS[exception]}.", code=code)
    if status in (401, 402, 403, 404, 405, 415):
        return AccountProblem(
            f"Nothing can be sent: AWS answered with HTTP status {status}; check the credentials and base_url.",
            code=code,
        )
    return Refused(f"AWS refused the message: {code}.", code=code)


def _exception(value: object) -> str:
    """The exception's name, from `namespace#Name` or `Name:http://…`."""
    return reading.code(reading.clean(value).rpartition("#")[2].partition(":")[0])


# Webhooks


def _delivery_report(event: dict[str, Any]) -> DeliveryReport:
    word = reading.clean(event["eventType"])
    status, reason = STATUSES.get(word, (None, ""))
    price, fee = reading.price(event.get("totalMessagePrice")), reading.price(event.get("totalCarrierFee"))
    return DeliveryReport(
        status=status,
        reference=reading.clean(reading.as_object(event.get("context")).get(REFERENCE)),
        provider_id=reading.clean(event.get("messageId")),
        word=word,
        reason=reason,
        at=_from_milliseconds(event.get("eventTimestamp")),
        price=None if price is None else price + (fee or 0),
        currency="USD" if price is not None else "",
        segments=reading.count(event.get("totalMessageParts")),
    )


def _inbound_text(event: dict[str, Any], at: datetime | None) -> InboundText | None:
    text = event.get("messageBody")
    number = reading.with_plus(reading.clean(event.get("originationNumber")))
    if not isinstance(text, str) or not number:
        return None
    return InboundText(
        number=number,
        sender=reading.with_plus(reading.clean(event.get("destinationNumber"))),
        text=reading.clean(text, strip=False),
        provider_id=reading.clean(event.get("inboundMessageId")),
        at=at,
    )


def _from_milliseconds(value: object) -> datetime | None:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 10**14:
        return None
    return datetime.fromtimestamp(value / 1000, UTC)
