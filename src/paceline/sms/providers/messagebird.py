"""How do we speak with MessageBird (now Bird)? Its classic REST API.

    POST {base_url}/messages        JSON, `Authorization: AccessKey …` → 201 with an `id`
    status reports                  GET on our address, everything in the query
    inbound texts                   GET or POST (a form)
    both signed                     `MessageBird-Signature-JWT`, over a hash of the address called and one of the body

Source: MessageBird's official libraries and its pages on sending, errors and signed requests. It sends no report about
a message without a `reference`, which is ours. The libraries do not say which codes besides 2 and 9 there are, nor how
the fields of a report beyond the first five are called: 10, 20, 25, 98, `statusReason`, `statusErrorCode` and
`messagePartCount` are what is generally reported.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import AccountProblem, ProviderError, Refused, SenderProblem, Throttled, Uncertain, WebhookRejected
from ..messages import Accepted, DeliveryReport, InboundText, Message, Request, Response, WebhookRequest
from ..status import Status
from . import reading
from .base import Capabilities, Provider, called_url, http_url, json_body, require

# ---------------------------------------------------------------------------------------------------------------------
# Their words and ours
# ---------------------------------------------------------------------------------------------------------------------

STATUSES = {
    "scheduled": Status.ACCEPTED,
    "sent": Status.SENT,
    "buffered": Status.SENT,
    "delivered": Status.DELIVERED,
    "expired": Status.EXPIRED,
    "delivery_failed": Status.UNDELIVERED,
}

REASONS = {
    # statusReason in a report: our reason
    "unknown subscriber": "the number does not exist; correct it",
    "absent subscriber": "the phone is switched off or out of reach",
    "opted out": "the recipient has opted out",
    "carrier rejected": "the carrier blocked it",
    "received network error": "the carrier's network had an error",
}
OPTED_OUT = "opted out"

CODES = {
    "2": "MessageBird does not accept the access key; check the option access_key",
    "9": "the number or another parameter is missing or not valid; correct it",
    "10": "the number or another parameter is not valid; correct it",
    "20": "MessageBird does not know this address; check base_url",
    "25": "the MessageBird account's balance is too low; top it up",
    "98": "MessageBird does not know this address; check base_url",
}
ACCOUNT_CODES = {"2", "20", "25", "98"}

ACCOUNT_STATUSES = {
    401: "MessageBird does not accept the access key; check the option access_key",
    402: "the MessageBird account's balance is too low; top it up",
    403: "MessageBird does not let this account send; look at its dashboard",
    404: "the address is not MessageBird's; check base_url",
    405: "the address is not MessageBird's; check base_url",
    406: "the address is not MessageBird's; check base_url",
    415: "the address is not MessageBird's; check base_url",
}

# ---------------------------------------------------------------------------------------------------------------------

ALGORITHMS = {"HS256": "sha256", "HS384": "sha384", "HS512": "sha512"}
LEEWAY_SECONDS = 60  # for exp and nbf, which MessageBird sets a minute or so apart
LONGEST_TOKEN = 8192


class MessageBird(Provider):
    """MessageBird's classic REST API. `access_key` submits; `signing_key` (another key) verifies webhooks: without it
    every webhook is rejected. `webhook_url` is where reports go, instead of the address set in the dashboard; its
    scheme and host are also taken for those of every webhook, for MessageBird signs the address that it called.

    Raises `ValueError` for options that cannot work, and never repeats their values.
    """

    name = "messagebird"
    credentials = ("access_key", "")
    capabilities = Capabilities(echoes_reference=True, validity=True, signs_webhooks=True)

    def __init__(
        self,
        *,
        access_key: str = "",
        signing_key: str = "",
        base_url: str = "https://rest.messagebird.com",
        webhook_url: str = "",
    ) -> None:
        if not access_key:
            raise ValueError("MessageBird: set access_key")
        self._access_key = access_key
        self._signing_key = signing_key.encode()
        self.endpoint = http_url("MessageBird", "base_url", base_url).rstrip("/") + "/messages"
        self._webhook_url = http_url("MessageBird", "webhook_url", webhook_url) if webhook_url else ""

    def __repr__(self) -> str:
        return f"<MessageBird {self.endpoint}>"

    def build(self, message: Message) -> Request:
        """The POST that submits `message`. Raises `Refused` for a text that is not valid Unicode.

        Without a reference there is no report, so a message that wants none goes without.
        """
        fields: dict[str, Any] = {
            "originator": reading.without_plus(message.sender),
            "recipients": [message.number.removeprefix("+")],
            "body": message.text,
            "datacoding": "auto",  # their default is plain: what GSM-7 does not have would be lost
        }
        if message.validity_seconds is not None:
            fields["validity"] = max(1, int(message.validity_seconds))
        if message.report:
            fields["reference"] = message.reference
            if self._webhook_url:
                fields["reportUrl"] = self._webhook_url
        body = json_body(fields)
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json",
            "Authorization": f"AccessKey {self._access_key}",
        }
        return Request("POST", self.endpoint, headers, body)

    def read(self, response: Response) -> Accepted:
        """What MessageBird's answer means: the HTTP status decides first, then the first error's code."""
        status, answer = response.status, reading.json_object(response.body)
        if 200 <= status < 300:
            message_id = answer.get("id")
            if isinstance(message_id, str) and message_id.strip():
                return Accepted(provider_id=reading.clean(message_id), segments=_segments(answer))
            raise Uncertain("MessageBird's answer says yes but names no message; wait for its report.")
        if 400 <= status < 500:
            raise _refusal(status, answer, response.headers)
        raise Uncertain(f"MessageBird answered with HTTP status {status}; whether it took the message is not known.")

    def verify(self, webhook: WebhookRequest, now: float) -> None:
        """Raises `WebhookRejected` unless MessageBird signed this address and body, and `now` is within its dates.

        A replay within them passes: the storage behind it is idempotent.
        """
        if not self._signing_key:
            raise WebhookRejected("Webhooks cannot be verified: set MessageBird's option signing_key")
        claims = _verified_claims(webhook.headers.get("messagebird-signature-jwt", ""), self._signing_key)

        require(claims.get("iss") == "MessageBird", "it does not come from MessageBird")
        require(reading.is_moment(claims.get("nbf")) and reading.is_moment(claims.get("exp")), "it has no date")
        require(
            claims["nbf"] - LEEWAY_SECONDS <= now <= claims["exp"] + LEEWAY_SECONDS,
            "its date is too far from now; check this machine's clock",
        )
        require(
            _is_hash(claims.get("url_hash"), called_url(webhook, self._webhook_url).encode("utf-8", "surrogatepass")),
            "another address was signed; check the option webhook_url, or the proxy's X-Forwarded-Proto",
        )
        if webhook.body or "payload_hash" in claims:
            require(
                bool(webhook.body) and _is_hash(claims.get("payload_hash"), webhook.body),
                "its body is not the one that was signed",
            )

    def events(self, webhook: WebhookRequest) -> Sequence[DeliveryReport | InboundText]:
        """The one event in a webhook, from the body or, without one, from the query."""
        if webhook.body.lstrip()[:1] == b"{":
            fields: Mapping[str, Any] = reading.json_object(webhook.body)
        else:
            fields = reading.form(webhook.body or webhook.query)
        if not fields:
            raise WebhookRejected("The webhook has neither a form nor a JSON object")
        if "originator" in fields:
            inbound = _inbound_text(fields)
            return [inbound] if inbound else []
        return [_delivery_report(fields)] if "status" in fields else []


# Answers


def _segments(answer: dict[str, Any]) -> int | None:
    items = reading.as_list(reading.as_object(answer.get("recipients")).get("items"))
    return reading.count(reading.as_object(items[0] if items else None).get("messagePartCount"))


def _refusal(status: int, answer: dict[str, Any], headers: Mapping[str, str]) -> ProviderError:
    """The reaction to a 4xx."""
    errors = reading.as_list(answer.get("errors"))
    error = reading.as_object(errors[0] if errors else None)
    code = reading.code(error.get("code"), numeric=True) or str(status)
    if status == 429:
        return Throttled("MessageBird asks us to slow down.", code=code, retry_after=reading.retry_after(headers))
    if status == 408:
        return Uncertain("MessageBird says that the request came too slowly; whether it took the message is not known.")
    if status in ACCOUNT_STATUSES or code in ACCOUNT_CODES:
        return AccountProblem(f"Nothing can be sent: {CODES.get(code) or ACCOUNT_STATUSES[status]}.", code=code)
    if error.get("parameter") == "originator":
        return SenderProblem("MessageBird refused the sender; choose or register another.", code=code)
    return Refused(f"MessageBird refused the message: {CODES.get(code, f'code {code}')}.", code=code)


# Webhooks


def _verified_claims(token: str, key: bytes) -> dict[str, Any]:
    """The claims of a token that `key` signed with HS256, HS384 or HS512, and with nothing else (RFC 7515, 7518)."""
    parts = token.split(".")
    require(len(parts) == 3 and token.isascii() and len(token) <= LONGEST_TOKEN, "it carries no signed token")
    header = reading.json_object(reading.unbase64(parts[0]))
    algorithm = ALGORITHMS.get(reading.clean(header.get("alg")))
    if algorithm is None or "crit" in header:
        raise WebhookRejected("The webhook is rejected: its signature is not of the kinds HS256, HS384 and HS512")
    signature = hmac.digest(key, f"{parts[0]}.{parts[1]}".encode(), algorithm)
    # Compared as text: base64 has several spellings for the same bytes, and only one of them was sent.
    expected = base64.urlsafe_b64encode(signature).rstrip(b"=").decode()
    require(reading.same(parts[2], expected), "its signature is wrong; check the option signing_key")
    return reading.json_object(reading.unbase64(parts[1]))


def _is_hash(given: object, data: bytes) -> bool:
    return isinstance(given, str) and reading.same(given, hashlib.sha256(data).hexdigest())


def _delivery_report(fields: Mapping[str, Any]) -> DeliveryReport:
    word = reading.clean(fields["status"])
    why = reading.clean(fields.get("statusReason")).lower().replace("_", " ")
    return DeliveryReport(
        status=STATUSES.get(word),
        reference=reading.clean(fields.get("reference")),
        provider_id=reading.clean(fields.get("id")),
        word=word,
        code=reading.code(fields.get("statusErrorCode"), numeric=True),
        reason=REASONS.get(why, ""),
        at=reading.moment(fields.get("statusDatetime")),
        opted_out=why == OPTED_OUT,
        segments=reading.count(fields.get("messagePartCount")),
    )


def _inbound_text(fields: Mapping[str, Any]) -> InboundText | None:
    text = fields.get("body", fields.get("payload"))
    number = reading.with_plus(reading.clean(fields["originator"]))
    if not isinstance(text, str) or not number:
        return None
    return InboundText(
        number=number,
        sender=reading.with_plus(reading.clean(fields.get("recipient"))),
        text=reading.clean(text, strip=False),
        provider_id=reading.clean(fields.get("id")),
        at=reading.moment(fields.get("createdDatetime")),
    )
