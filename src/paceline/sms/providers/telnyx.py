"""How do we speak with Telnyx? Its messaging API v2.

    POST {base_url}/v2/messages         JSON, Bearer key → 200 and `data.id`
    GET  {base_url}/v2/messages/{id}    what became of it, for some ten days
    reports and inbound texts           one JSON envelope for all, signed with Ed25519 over time and raw body

Source: Telnyx's official SDKs (shapes, signature, its tolerance) and its developer pages (codes, limits, opt-outs).
What they say between the lines:

- no field of a message is a reference of ours, so each names a callback address that holds it; a webhook says in its
  signed `meta.delivered_to` which address it went to;
- a number that has said STOP to a messaging profile is told by code 40300.

Unverified: that `delivered_to` holds the whole address; the codes of a sender that may not send (the field that an
error names in `source.pointer` is looked at); what the header Idempotency-Key does, which is therefore not used. A
look-up needs Telnyx's id, so an uncertain message is settled by a report.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

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
from ..messages import (
    Accepted,
    DeliveryReport,
    InboundText,
    Lookup,
    Message,
    Request,
    Response,
    WebhookRequest,
)
from ..status import Status
from . import reading
from .base import REFERENCE, Capabilities, Provider, callback_url, called_reference, http_url, json_body, require

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

# ---------------------------------------------------------------------------------------------------------------------
# Their words and ours
# ---------------------------------------------------------------------------------------------------------------------

STATUSES = {
    "queued": Status.ACCEPTED,
    "sending": Status.ACCEPTED,
    "sent": Status.SENT,
    "delivered": Status.DELIVERED,
    "read": Status.DELIVERED,
    "delivery_failed": Status.UNDELIVERED,
    "sending_failed": Status.FAILED,
    "expired": Status.EXPIRED,
    "delivery_unconfirmed": Status.UNCONFIRMED,
}

REASONS = {
    # code: the reason and what to do
    "10002": "the number is invalid; correct it",
    "10009": "Telnyx does not accept the key; check the option api_key",
    "10010": "the key may not send; look into Telnyx's portal",
    "10011": "Telnyx was sent more than it takes at a time; lower the rate",
    "10015": "Telnyx cannot read the request",
    "10016": "a number is not in the international format; correct it",
    "40001": "the number is a landline or cannot be reached by text",
    "40002": "a spam filter stopped it for now; reword the text",
    "40003": "a spam filter stopped it; reword the text",
    "40004": "the recipient's carrier refused it",
    "40005": "its validity passed before it could be delivered",
    "40006": "the recipient's carrier could not be reached",
    "40008": "it could not be delivered",
    "40009": "the text is invalid; correct it",
    "40011": "the sender is over its rate; lower it",
    "40300": "the recipient has opted out of this sender's messaging profile",
}

OPTED_OUT = "40300"
ACCOUNT_CODES = {"10009", "10010"}
THROTTLED = "10011"

ACCOUNT_PROBLEMS = {
    # HTTP status: what to look at
    401: REASONS["10009"],
    402: "the Telnyx account's balance is too low; top it up",
    403: REASONS["10010"],
}

WRONG_DOOR = {404, 405, 406, 415}
"""A mistake in our settings or in this file, never in a message."""

# ---------------------------------------------------------------------------------------------------------------------

FRESH_SECONDS = 300  # a webhook's age, either way: the tolerance of Telnyx's own libraries


class Telnyx(Provider):
    """Telnyx's messaging API v2. `public_key` verifies webhooks: without it every webhook is rejected.

    `messaging_profile_id` is sent along with senders that are no numbers: a name belongs to a profile. Raises
    `ValueError` for options that cannot work, and says which to set. It never repeats their values.
    """

    name = "telnyx"
    credentials = ("api_key", "")
    capabilities = Capabilities(
        echoes_reference=True, lookup=True, signs_webhooks=True, price_in_report=True, answers_stop=True
    )

    def __init__(
        self,
        *,
        api_key: str,
        public_key: str = "",
        messaging_profile_id: str = "",
        base_url: str = "https://api.telnyx.com",
        webhook_url: str = "",
    ) -> None:
        if not api_key:
            raise ValueError("Telnyx: set api_key")
        base_url = http_url("Telnyx", "base_url", base_url)
        self._webhook_url = http_url("Telnyx", "webhook_url", webhook_url) if webhook_url else ""
        if not self._webhook_url:  # only an address of our own brings the reference back
            self.capabilities = replace(self.capabilities, echoes_reference=False)
        self._authorization = f"Bearer {api_key}"
        self._public_key = _load_public_key(public_key) if public_key else None
        self._messaging_profile_id = messaging_profile_id
        self.endpoint = base_url.rstrip("/") + "/v2/messages"

    def __repr__(self) -> str:
        return f"<Telnyx {self.endpoint}>"

    def build(self, message: Message) -> Request:
        """The POST that submits `message`. Raises `Refused` for a text that is not valid Unicode."""
        fields = {"from": message.sender, "to": message.number, "text": message.text, "type": "SMS"}
        if self._messaging_profile_id and not re.fullmatch(r"\+?[0-9]+", message.sender, re.ASCII):
            fields["messaging_profile_id"] = self._messaging_profile_id
        if message.report and self._webhook_url:
            fields["webhook_url"] = callback_url(self._webhook_url, message.reference)
        body = json_body(fields)
        return Request("POST", self.endpoint, {**self._headers(), "Content-Type": "application/json"}, body)

    def read(self, response: Response) -> Accepted:
        """What Telnyx's answer means: the HTTP status decides first, then the code of its first error."""
        if 200 <= response.status < 300:
            data = reading.as_object(reading.json_object(response.body).get("data"))
            if isinstance(data.get("id"), str) and (message_id := reading.clean(data["id"])):
                price, currency = _cost(data)
                return Accepted(message_id, reading.count(data.get("parts")), price, currency)
            raise Uncertain("Telnyx's answer says yes but names no message; wait for its report.")
        raise _failure(response)

    def verify(self, webhook: WebhookRequest, now: float) -> None:
        """Raises `WebhookRejected` unless Telnyx signed this body within 300 s of `now`.

        A replay within the 300 s passes: the storage behind it is idempotent.
        """
        if self._public_key is None:
            raise WebhookRejected("Webhooks cannot be verified: set Telnyx's option public_key")
        signature = webhook.headers.get("telnyx-signature-ed25519", "")
        date = webhook.headers.get("telnyx-timestamp", "")
        require(bool(signature), "it is not signed")
        require(bool(re.fullmatch(r"[0-9]{1,12}", date, re.ASCII)), "it has no date")
        # base64 has several spellings for the same bytes, and only one of them was sent
        require(bool(re.fullmatch(r"[A-Za-z0-9+/]{85}[AQgw]==", signature)), "its signature is not an Ed25519 one")
        genuine = _verifies(self._public_key, reading.unbase64(signature), date.encode() + b"|" + webhook.body)
        require(genuine, "its signature is wrong; check the option public_key")
        require(abs(now - int(date)) <= FRESH_SECONDS, "its date is too far from now; check this machine's clock")

    def events(self, webhook: WebhookRequest) -> Sequence[DeliveryReport | InboundText]:
        """The one event in a callback; none for what is not about a text. Raises `WebhookRejected` when unreadable."""
        fields = reading.parsed(webhook.body)
        if not isinstance(fields, dict):
            raise WebhookRejected("The webhook's body is not a JSON object")
        data = reading.as_object(fields.get("data"))
        payload = reading.as_object(data.get("payload"))
        match reading.clean(data.get("event_type")):
            case "message.sent" | "message.finalized":
                # the signed address first: the one that was called is not covered by the signature
                reference = _signed_reference(fields) or called_reference(webhook)
                return [_report(payload, reference, data.get("occurred_at"))]
            case "message.received":
                inbound = _inbound_text(payload, data.get("occurred_at"))
                return [inbound] if inbound else []
        return []

    def build_lookup(self, sought: Lookup) -> Request:
        """The GET of a message. Raises `Uncertain` without Telnyx's id: there is no other way to ask."""
        if not sought.provider_id:
            raise Uncertain("Telnyx finds a message by its own id only; wait for its report.")
        return Request("GET", f"{self.endpoint}/{quote(sought.provider_id, safe='')}", self._headers())

    def read_lookup(self, response: Response, sought: Lookup) -> DeliveryReport | None:
        """What Telnyx knows of the message; None for one that it does not have (any more)."""
        if response.status == 404:
            return None
        data = reading.as_object(reading.json_object(response.body).get("data"))
        if response.status == 200 and reading.clean(data.get("id")) == sought.provider_id:
            return _report(data, sought.reference, data.get("completed_at"))
        failure = _failure(response)
        if isinstance(failure, Throttled | AccountProblem):
            raise failure
        raise Uncertain("Telnyx did not say what became of the message; ask again.")

    def _headers(self) -> dict[str, str]:
        return {"Accept": "application/json", "Authorization": self._authorization}


# Ed25519, loaded where it is used: whoever sends through another company never needs it


def _load_public_key(value: str) -> Ed25519PublicKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        return Ed25519PublicKey.from_public_bytes(reading.unbase64(value.strip()))
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("Telnyx: public_key must be the base64 of 32 bytes, as Telnyx's portal shows it") from None


def _verifies(key: Ed25519PublicKey, signature: bytes, signed: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature

    try:
        key.verify(signature, signed)
    except InvalidSignature:
        return False
    return True


# Answers


def _failure(response: Response) -> ProviderError:
    """What an answer means that is not a yes."""
    status = response.status
    error = _first_error(reading.json_object(response.body))
    code = reading.code(error.get("code"), numeric=True)
    reason = REASONS.get(code) or f"code {code or status} of Telnyx, which we do not know"
    if not 400 <= status < 500 or status == 408:
        return Uncertain(f"Telnyx answered with HTTP status {status}; whether it took the message is not known.")
    if status == 429 or code == THROTTLED:
        return Throttled(
            "Telnyx asks us to slow down.", code=code or "429", retry_after=reading.retry_after(response.headers)
        )
    if code == OPTED_OUT:
        return OptedOut(f"Telnyx refused the message: {reason}.", code=code)
    if status in ACCOUNT_PROBLEMS or code in ACCOUNT_CODES:
        reason = REASONS[code] if code in ACCOUNT_CODES else ACCOUNT_PROBLEMS[status]
        return AccountProblem(f"Nothing can be sent: {reason}.", code=code or str(status))
    if status in WRONG_DOOR:
        return AccountProblem(
            f"Nothing can be sent: HTTP status {status} means that the address is not Telnyx's; check base_url.",
            code=code or str(status),
        )
    if reading.as_object(error.get("source")).get("pointer") == "/from":
        return SenderProblem(f"Telnyx refused the sender: {reason}.", code=code or str(status))
    return Refused(f"Telnyx refused the message: {reason}.", code=code or str(status))


def _first_error(fields: dict[str, Any]) -> dict[str, Any]:
    errors = reading.as_list(fields.get("errors"))
    return reading.as_object(errors[0]) if errors else {}


def _cost(fields: dict[str, Any]) -> tuple[Any, str]:
    cost = reading.as_object(fields.get("cost"))
    price = reading.price(cost.get("amount"))
    return price, reading.currency(cost.get("currency")) if price is not None else ""


# Webhooks


def _signed_reference(fields: dict[str, Any]) -> str:
    """Our reference in the address that the signed body says it was delivered to, or nothing."""
    try:
        query = urlsplit(reading.clean(reading.as_object(fields.get("meta")).get("delivered_to"))).query
    except ValueError:
        return ""
    return reading.clean(reading.form(query).get(REFERENCE))[:64]


def _report(payload: dict[str, Any], reference: str, at: object) -> DeliveryReport:
    recipients = reading.as_list(payload.get("to"))
    word = reading.clean(reading.as_object(recipients[0]).get("status")) if recipients else ""
    code = reading.code(_first_error(payload).get("code"), numeric=True)
    price, currency = _cost(payload)
    return DeliveryReport(
        status=STATUSES.get(word),
        reference=reference,
        provider_id=reading.clean(payload.get("id")),
        word=word,
        code=code,
        reason=(REASONS.get(code) or f"code {code} of Telnyx, which we do not know") if code else "",
        at=reading.moment(at),
        opted_out=code == OPTED_OUT,
        price=price,
        currency=currency,
        segments=reading.count(payload.get("parts")),
    )


def _inbound_text(payload: dict[str, Any], at: object) -> InboundText | None:
    number, text = _party(payload.get("from")), payload.get("text")
    if not number or not isinstance(text, str):
        return None
    ours = reading.as_list(payload.get("to"))
    return InboundText(
        number=number,
        sender=_party(ours[0]) if ours else "",
        text=reading.clean(text, strip=False),
        provider_id=reading.clean(payload.get("id")),
        at=reading.moment(at),
    )


def _party(value: object) -> str:
    return reading.with_plus(reading.clean(reading.as_object(value).get("phone_number")))
