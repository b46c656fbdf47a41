"""How do we speak with Vonage (once Nexmo)? Its Messages API v1, channel SMS.

    POST {base_url}/v1/messages     JSON, Basic or RS256 JWT → 202 and a `message_uuid`
    status and inbound callbacks    JSON, signed with an HS256 JWT that carries a hash of the raw body

Source: Vonage's OpenAPI description of the Messages API (1.11), its list of message errors, and its pages on signed
webhooks. Three things that its pages say between the lines:

- a 202 means that Vonage took the message, the callback `submitted` that the carrier did (and that it costs);
- `rejected` is one word for expired, unknown, undelivered and refused: the error code tells them apart;
- a recipient who said STOP is accepted at first, then reported as rejected with code 1240.

There is neither a look-up nor an idempotency key: an uncertain message is settled by a callback with our `client_ref`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
from .base import Capabilities, Provider, http_url, json_body, require

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

# ---------------------------------------------------------------------------------------------------------------------
# Their words and ours
# ---------------------------------------------------------------------------------------------------------------------

STATUSES = {
    "submitted": Status.SENT,
    "delivered": Status.DELIVERED,
    "read": Status.DELIVERED,
    "undeliverable": Status.FAILED,
    "rejected": Status.REFUSED,  # unless its code says otherwise: CODES
}

CODES: dict[str, tuple[Status, str]] = {
    # code: (what `rejected` with this code means, the reason and what to do)
    "1000": (Status.REFUSED, "Vonage was sent more than it takes at a time; lower the rate"),
    "1010": (Status.REFUSED, "a parameter is missing"),
    "1020": (Status.REFUSED, "a parameter is invalid"),
    "1021": (Status.REFUSED, "a template parameter does not fit"),
    "1022": (Status.REFUSED, "the template is invalid"),
    "1030": (Status.REFUSED, "Vonage had an internal error"),
    "1040": (Status.REFUSED, "the message cannot be processed; check its text"),
    "1050": (Status.REFUSED, "the number is barred by Vonage"),
    "1060": (Status.REFUSED, "the account is barred; ask Vonage's support"),
    "1070": (Status.REFUSED, "the account's quota or credit is used up; top it up"),
    "1080": (Status.REFUSED, "the account may not use this service; ask Vonage to enable it"),
    "1090": (Status.REFUSED, "the text is too long; shorten it"),
    "1100": (Status.REFUSED, "Vonage could not reach the carrier"),
    "1120": (Status.REFUSED, "the sender is not allowed; choose or register another"),
    "1130": (Status.REFUSED, "the validity is out of range"),
    "1140": (Status.REFUSED, "the account lacks this facility; ask Vonage to enable it"),
    "1150": (Status.REFUSED, "a parameter is invalid"),
    "1160": (Status.REFUSED, "a trial account may only text the numbers on its list; add the number or upgrade"),
    "1170": (Status.UNDELIVERED, "the number is missing or invalid; correct it"),
    "1180": (Status.UNDELIVERED, "the phone is switched off or out of reach for now"),
    "1190": (Status.UNDELIVERED, "the number is no longer in use"),
    "1200": (Status.UNDELIVERED, "the number has moved to a carrier that cannot be reached"),
    "1210": (Status.REFUSED, "a spam filter stopped it; reword the text"),
    "1220": (Status.UNDELIVERED, "the phone was busy"),
    "1230": (Status.UNDELIVERED, "the carrier's network had an error"),
    "1240": (Status.UNDELIVERED, "the recipient has opted out of this sender"),
    "1241": (Status.UNDELIVERED, "too many messages went to this number in a short time"),
    "1250": (Status.UNDELIVERED, "no route leads to this number"),
    "1251": (Status.UNDELIVERED, "the number cannot be reached"),
    "1260": (Status.UNDELIVERED, "the destination cannot be reached"),
    "1270": (Status.UNDELIVERED, "the recipient's age forbids this content"),
    "1280": (Status.UNDELIVERED, "the carrier blocked it"),
    "1282": (Status.UNDELIVERED, "the provider behind Vonage blocked it"),
    "1290": (Status.UNDELIVERED, "the recipient's prepaid balance is empty"),
    "1300": (Status.UNDELIVERED, "the recipient is outside the carrier's network"),
    "1310": (Status.UNDELIVERED, "the phone cannot receive this message"),
    "1320": (Status.REFUSED, "Vonage saw it as a duplicate"),
    "1330": (Status.UNCONFIRMED, "the carrier does not say what became of it"),
    "1331": (Status.REFUSED, "the provider behind Vonage had an error"),
    "1340": (Status.UNCONFIRMED, "the carrier gives no clear outcome"),
    "1350": (Status.UNCONFIRMED, "the carrier gives no clear outcome"),
    "1360": (Status.EXPIRED, "its validity passed before it could be delivered"),
    "1370": (Status.UNCONFIRMED, "the carrier gives no clear outcome"),
    "1380": (Status.UNCONFIRMED, "the carrier gives no clear outcome"),
    "1381": (Status.UNCONFIRMED, "the carrier gives no clear outcome"),
    "1382": (Status.UNCONFIRMED, "the carrier gives no clear outcome"),
    "1400": (Status.REFUSED, "the channel is not supported"),
    "1410": (Status.REFUSED, "the channel's parameters are invalid"),
    "1420": (Status.REFUSED, "the sender is not allowed; choose or register another"),
    "1430": (Status.REFUSED, "the number is invalid; correct it"),
    "1440": (Status.REFUSED, "the message type is not supported"),
    "1450": (Status.REFUSED, "the reference is invalid"),
    "1451": (Status.REFUSED, "a parameter is invalid"),
    "1460": (Status.REFUSED, "the carrier's daily limit for this sender is reached; continue tomorrow"),
    "1461": (Status.REFUSED, "the carrier's daily limit for this sender is reached; continue tomorrow"),
    "1470": (Status.REFUSED, "a rule of Vonage's fraud protection stopped it; check the rules in its dashboard"),
    "1472": (Status.REFUSED, "Vonage's fraud protection saw a burst; check its dashboard"),
    "1473": (Status.REFUSED, "Vonage's fraud protection saw artificial traffic; check its dashboard"),
    "1480": (Status.REFUSED, "the sending entity is not registered with the regulator"),
    "1481": (Status.REFUSED, "the sender is not registered with the regulator"),
    "1482": (Status.REFUSED, "the text is not registered with the regulator"),
    "1483": (Status.REFUSED, "the recipient has not consented"),
    "1484": (Status.REFUSED, "the destination's regulation forbids it"),
}

OPTED_OUT = {"1240", "1483"}  # reported: write a suppression
SENDER_CODES = {"1420", "1120"}  # answered with 422: the lane pauses

ACCOUNT_CODES = {"1060", "1070", "1080", "1460", "1461", "1470", "1472", "1473"}
"""Answered with a 4xx: it is the account that may not send, so no recipient is given up for it."""

WRONG_DOOR = {404, 405, 406, 415}
"""A mistake in our settings or in this file, never in a message."""

OLDER = {"110": "1430", "1100": "1400", "1110": "1410", "1120": "1420", "1140": "1440", "1150": "1450"}
"""In answers (not in callbacks) these older codes may stand for the newer: their reason is the newer's."""

ACCOUNT_PROBLEMS = {
    # the word in the answer, or else its HTTP status
    "401": "Vonage does not accept the credentials; check the provider's options",
    "402": "the Vonage account's balance is too low; top it up",
    "403": "Vonage does not let this account send; look for a suspension in its dashboard",
    "invalid-api-key": "Vonage does not know the API key; check the option api_key",
    "invalid-signature": "Vonage does not accept the signature; check the option private_key",
    "jwt-expired": "Vonage takes our token for expired; check this machine's clock",
    "account-suspended": "the Vonage account is suspended; ask Vonage's support",
    "application-suspended": "the Vonage application is suspended; ask Vonage's support",
    "invalid-ip": "Vonage does not allow this machine's address; add it to the account's list",
}

# ---------------------------------------------------------------------------------------------------------------------

TEXT_LIMIT = 1000  # characters, by the API description
TTL_SECONDS = (20, 604_800)
FRESH_SECONDS = 300  # a webhook's age, either way; Vonage names no number
LEEWAY_SECONDS = 60  # for exp and nbf
TOKEN_SECONDS = 900  # how long a token of ours is valid
TOKEN_REUSE_SECONDS = 600  # and how long we go on using it: signing costs milliseconds
LONGEST_TOKEN = 8192


class Vonage(Provider):
    """Vonage's Messages API v1 for SMS.

    Credentials: either `api_key` and `api_secret`, or `application_id` and `private_key` (PEM text, or the path of a
    PEM file). `signature_secret` is the account's, for webhooks: without it every webhook is rejected. `base_url` may
    name a region's host (https://api-eu.nexmo.com); `webhook_url` overrides where status callbacks go.

    Raises `ValueError` for options that cannot work, and says which to set. It never repeats their values.
    """

    name = "vonage"
    credentials = ("api_key", "api_secret")
    capabilities = Capabilities(
        echoes_reference=True,
        validity=True,
        max_text_units=TEXT_LIMIT,
        signs_webhooks=True,
        price_in_report=True,
    )

    def __init__(
        self,
        *,
        api_key: str = "",
        api_secret: str = "",
        application_id: str = "",
        private_key: str | Path = "",
        signature_secret: str = "",
        base_url: str = "https://api.nexmo.com",
        webhook_url: str | None = None,
    ) -> None:
        if api_secret and private_key:
            raise ValueError("Vonage: set either api_secret or private_key, not both")
        if bool(application_id) != bool(private_key):
            raise ValueError("Vonage: application_id and private_key go together; set both or neither")
        if not private_key and not (api_key and api_secret):
            raise ValueError("Vonage: set api_key and api_secret, or application_id and private_key")

        self._api_key = api_key
        self._application_id = application_id
        self._signature_secret = signature_secret.encode()
        self.endpoint = http_url("Vonage", "base_url", base_url).rstrip("/") + "/v1/messages"
        self._webhook_url = http_url("Vonage", "webhook_url", webhook_url) if webhook_url else ""
        self._private_key = _load_private_key(private_key) if private_key else None
        self._basic = "Basic " + base64.b64encode(f"{api_key}:{api_secret}".encode()).decode()
        self._token = ("", 0.0)  # and when to make the next

    def __repr__(self) -> str:
        return f"<Vonage {self.endpoint} with {'an application' if self._private_key else 'an API key'}>"

    def build(self, message: Message) -> Request:
        """The POST that submits `message`. Raises `Refused` for a text over 1000 characters or not valid Unicode."""
        if len(message.text) > TEXT_LIMIT:
            raise Refused(
                f"The text has {len(message.text)} characters and Vonage takes {TEXT_LIMIT}; shorten it.",
                code="text_too_long",
            )
        fields: dict[str, Any] = {
            "message_type": "text",
            "channel": "sms",
            "to": message.number.removeprefix("+"),
            "from": reading.without_plus(message.sender),
            "text": message.text,
            "client_ref": message.reference,
            "sms": {"encoding_type": "auto"},
        }
        if message.validity_seconds is not None:
            shortest, longest = TTL_SECONDS
            fields["ttl"] = min(max(int(message.validity_seconds), shortest), longest)
        if self._webhook_url:
            fields["webhook_url"] = self._webhook_url
        body = json_body(fields)
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json",
            "Authorization": self._authorization(),
        }
        return Request("POST", self.endpoint, headers, body)

    def read(self, response: Response) -> Accepted:
        """What Vonage's answer means: the HTTP status decides first, then the code in the problem's `type`."""
        status, answer = response.status, reading.json_object(response.body)
        if 200 <= status < 300:
            message_uuid = answer.get("message_uuid")
            if isinstance(message_uuid, str) and message_uuid.strip():
                return Accepted(provider_id=reading.clean(message_uuid))
            raise Uncertain("Vonage's answer says yes but names no message; wait for its report.")
        if 400 <= status < 500:
            raise _refusal(status, _answer_code(answer), response.headers)
        raise Uncertain(f"Vonage answered with HTTP status {status}; whether it took the message is not known.")

    def verify(self, webhook: WebhookRequest, now: float) -> None:
        """Raises `WebhookRejected` unless Vonage signed this body for our account within 300 s of `now`.

        Written out with `hmac` because it runs for every report (some 20 µs). A replay within the 300 s passes: the
        storage behind it is idempotent.
        """
        if not self._signature_secret:
            raise WebhookRejected("Webhooks cannot be verified: set Vonage's option signature_secret")
        claims = _verified_claims(webhook.headers.get("authorization", ""), self._signature_secret)

        require(claims.get("iss") == "Vonage", "it does not come from Vonage")
        require(not self._api_key or claims.get("api_key") == self._api_key, "it is for another account")
        require(
            not self._application_id or claims.get("application_id") == self._application_id,
            "it is for another application",
        )
        require(reading.is_moment(claims.get("iat")), "it has no date")
        require(abs(now - claims["iat"]) <= FRESH_SECONDS, "its date is too far from now; check this machine's clock")
        if "exp" in claims:
            require(reading.is_moment(claims["exp"]) and now < claims["exp"] + LEEWAY_SECONDS, "it has expired")
        if "nbf" in claims:
            require(reading.is_moment(claims["nbf"]) and now >= claims["nbf"] - LEEWAY_SECONDS, "it is not valid yet")
        signed_hash = claims.get("payload_hash")
        require(
            isinstance(signed_hash, str) and reading.same(signed_hash, hashlib.sha256(webhook.body).hexdigest()),
            "its body is not the one that was signed",
        )

    def events(self, webhook: WebhookRequest) -> Sequence[DeliveryReport | InboundText]:
        """The one event in a callback; none for what is not about a text (a picture, another channel).

        Reads the v1 shapes and the older v0.1, in which `to` and `from` are objects. Raises `WebhookRejected` for a
        body that is not a JSON object.
        """
        fields = reading.parsed(webhook.body)
        if not isinstance(fields, dict):
            raise WebhookRejected("The webhook's body is not a JSON object")
        if "status" in fields:
            return [_delivery_report(fields)]
        inbound = _inbound_text(fields)
        return [inbound] if inbound else []

    def _authorization(self) -> str:
        if self._private_key is None:
            return self._basic
        token, renew_at = self._token
        now = time.time()
        if not renew_at - TOKEN_REUSE_SECONDS <= now < renew_at:  # used up, or the clock was set back
            import jwt  # here, because most installations use an API key and never need it

            claims = {
                "application_id": self._application_id,
                "iat": int(now),
                "exp": int(now) + TOKEN_SECONDS,
                "jti": str(uuid.uuid4()),
            }
            token = jwt.encode(claims, self._private_key, algorithm="RS256")
            self._token = (token, now + TOKEN_REUSE_SECONDS)
        return "Bearer " + token


# Options


def _load_private_key(value: str | Path) -> RSAPrivateKey:
    """The key object, parsed once: parsing costs some 40 ms."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    text = str(value)
    if "-----BEGIN" not in text:
        try:
            text = Path(value).expanduser().read_text()
        except (OSError, ValueError):
            raise ValueError("Vonage: private_key is neither PEM text nor the path of a readable file") from None
    pem = text.replace("\\n", "\n")  # as environment variables often carry it
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError("Vonage: private_key is not a PEM key without a passphrase") from None
    if not isinstance(key, RSAPrivateKey):
        raise ValueError("Vonage: private_key must be the application's RSA key")
    return key


# Answers


def _refusal(status: int, code: str, headers: Mapping[str, str]) -> ProviderError:
    """The reaction to a 4xx."""
    if status == 429:
        return Throttled("Vonage asks us to slow down.", code=code or "429", retry_after=reading.retry_after(headers))
    if status in (401, 402, 403):
        reason = ACCOUNT_PROBLEMS.get(code) or ACCOUNT_PROBLEMS[str(status)]
        return AccountProblem(f"Nothing can be sent: {reason}.", code=code or str(status))
    if status in WRONG_DOOR:
        return AccountProblem(
            f"Nothing can be sent: HTTP status {status} means that the address is not Vonage's; check base_url.",
            code=code or str(status),
        )
    if code in ACCOUNT_CODES:
        return AccountProblem(f"Nothing can be sent: {_reason(code)}.", code=code)
    if status == 408:
        return Uncertain("Vonage says that the request came too slowly; whether it took the message is not known.")
    reason = _reason(OLDER.get(code, code)) or f"HTTP status {status}"
    if code == "1240":
        return OptedOut(f"Vonage refused the message: {reason}.", code=code)
    if status == 422 and code in SENDER_CODES:
        return SenderProblem(f"Vonage refused the sender: {reason}.", code=code)
    return Refused(f"Vonage refused the message: {reason}.", code=code or str(status))


def _answer_code(answer: dict[str, Any]) -> str:
    """The machine code: the fragment of `type`; failing that a `title` that is one."""
    type_url = answer.get("type")
    fragment = type_url.rpartition("#")[2] if isinstance(type_url, str) and "#" in type_url else ""
    return reading.code(fragment) or reading.code(answer.get("title"), numeric=True)


# Webhooks


def _verified_claims(authorization: str, secret: bytes) -> dict[str, Any]:
    """The claims of a Bearer token that `secret` signed with HS256, and with nothing else (RFC 7515, 7518)."""
    scheme, _, token = authorization.partition(" ")
    parts = token.split(".")
    require(
        scheme.lower() == "bearer" and len(parts) == 3 and token.isascii() and len(token) <= LONGEST_TOKEN,
        "it carries no signed token",
    )
    header = reading.json_object(reading.unbase64(parts[0]))
    require(header.get("alg") == "HS256" and "crit" not in header, "its signature is not of the kind HS256")
    signature = hmac.digest(secret, f"{parts[0]}.{parts[1]}".encode(), "sha256")
    # Compared as text: base64 has several spellings for the same bytes, and only one of them was sent.
    expected = base64.urlsafe_b64encode(signature).rstrip(b"=").decode()
    require(reading.same(parts[2], expected), "its signature is wrong; check the option signature_secret")
    return reading.json_object(reading.unbase64(parts[1]))


def _delivery_report(fields: dict[str, Any]) -> DeliveryReport:
    word = reading.clean(fields["status"])
    code = _report_code(fields.get("error"))
    status = STATUSES.get(word)
    if word == "rejected" and code in CODES:
        status = CODES[code][0]
    usage = reading.as_object(fields.get("usage"))
    price = reading.price(usage.get("price"))
    return DeliveryReport(
        status=status,
        reference=reading.clean(fields.get("client_ref")),
        provider_id=reading.clean(fields.get("message_uuid")),
        word=word,
        code=code,
        reason=_reason(code),
        at=reading.moment(fields.get("timestamp")),
        opted_out=code in OPTED_OUT,
        price=price,
        currency=reading.clean(usage.get("currency"))[:3].upper() if price is not None else "",
        segments=reading.count(reading.as_object(fields.get("sms")).get("count_total")),
    )


def _inbound_text(fields: dict[str, Any]) -> InboundText | None:
    content = reading.as_object(reading.as_object(fields.get("message")).get("content")) or fields  # v0.1 nests it
    kind = content.get("message_type", content.get("type", "text"))
    text = content.get("text")
    number = reading.with_plus(_party(fields.get("from")))
    if fields.get("channel", "sms") != "sms" or kind != "text" or not isinstance(text, str) or not number:
        return None
    return InboundText(
        number=number,
        sender=reading.with_plus(_party(fields.get("to"))),
        text=reading.clean(text, strip=False),
        provider_id=reading.clean(fields.get("message_uuid")),
        at=reading.moment(fields.get("timestamp")),
    )


def _report_code(error: object) -> str:
    """v1 has the number in `title` (text, sometimes an integer) and in the `type` address; v0.1 in `code`."""
    fields = reading.as_object(error)
    return (
        reading.code(fields.get("title"), numeric=True)
        or reading.code(fields.get("code"), numeric=True)
        or _answer_code(fields)
    )


def _reason(code: str) -> str:
    if code in CODES:
        return CODES[code][1]
    return f"code {code} of Vonage, which we do not know" if code else ""


def _party(value: object) -> str:
    """A number or name; v0.1 has it in an object."""
    return reading.clean(reading.as_object(value).get("number") if isinstance(value, dict) else value)
