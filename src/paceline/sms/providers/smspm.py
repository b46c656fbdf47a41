"""How do we speak with SMSPM? Its one address, in two styles.

    v2        POST {base_url}/   JSON with hash, token, toNumber, fromNumber, text, smsId, report
              → {"messages": [{"id": "…", "status": "Added to queue"}]}, or "error" in the entry or at the top
    classic   GET  {base_url}/?hash=…&token=…&toNumber=…&fromNumber=…&text=…
              → {"status": "success", "messageId": "…"}, or another status word with a message
    reports   GET or POST to the address in `report`, unsigned: id, status, toNumber

Sources: the company's documentation (version 2.0, October 2025) for v2, its Python article (June 2025) for classic, the
status words of classic answers from its landing page. They contradict each other, so both answers are read whichever
style was sent. Nothing is said about inbound texts, opt-outs, expiry or a signature, and the look-up only by its name.

An error in words is told by the phrases in `PHRASES`; what nobody can name inside a 2xx is `Uncertain`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..errors import AccountProblem, ProviderError, Refused, SenderProblem, Throttled, Uncertain, WebhookRejected
from ..messages import Accepted, DeliveryReport, Message, Request, Response, WebhookRequest
from ..status import Status
from . import reading
from .base import (
    Capabilities,
    Provider,
    callback_url,
    called_reference,
    form_body,
    has_key,
    http_url,
    json_body,
    require,
)

# ---------------------------------------------------------------------------------------------------------------------
# Their words and ours
# ---------------------------------------------------------------------------------------------------------------------

STATUSES = {
    "added to queue": Status.ACCEPTED,
    "queued": Status.ACCEPTED,
    "pending": Status.ACCEPTED,
    "submitted": Status.SENT,
    "delivered": Status.DELIVERED,
    "undelivered": Status.UNDELIVERED,
    "failed": Status.FAILED,
    "rejected": Status.REFUSED,
    "expired": Status.EXPIRED,
}
"""The words of reports, in any case."""

ANSWERS: dict[str, tuple[type[ProviderError], str]] = {
    # the status word of an answer: (the reaction, the reason and what to do)
    "invalid_phone": (Refused, "the number is invalid; correct it"),
    "invalid_params": (Refused, "a parameter is missing or malformed"),
    # Not the account's: one foreign number must not stop all others.
    "destination_blocked": (Refused, "the account may not text this country, or not now; ask SMSPM"),
    "invalid_sender": (SenderProblem, "the sender is not registered, or not valid for this country; register it"),
    "auth_failed": (AccountProblem, "SMSPM does not accept hash and token; check the provider's options"),
    "low_balance": (AccountProblem, "the SMSPM account's balance is too low; top it up"),
    "rate_limit": (Throttled, "SMSPM asks us to slow down"),
    "server_error": (Uncertain, "SMSPM had an error; whether it took the message is not known"),
}

PHRASES = {
    "token is required": "auth_failed",
    "hash is required": "auth_failed",
    "invalid token": "auth_failed",
    "invalid hash": "auth_failed",
    "invalid phone number": "invalid_phone",
    "balance": "low_balance",
    "credit": "low_balance",
    "funds": "low_balance",
    "sender": "invalid_sender",
    "fromnumber": "invalid_sender",
}
"""What an error in words holds → the status word that says the same; the first that fits."""

HTTP = {401: "auth_failed", 402: "low_balance", 403: "auth_failed", 429: "rate_limit"}

WRONG_DOOR = {404, 405, 406, 415}
"""A mistake in our settings or in this file, never in a message."""

# ---------------------------------------------------------------------------------------------------------------------

STYLES = ("v2", "classic")


class Smspm(Provider):
    """SMSPM, send-only. `hash` and `token` are on its dashboard.

    `style` is "v2" (POST with JSON; the default) or "classic" (GET): the latter writes hash and token, number and text
    into the address, where proxies and servers log them, and opens a connection for each message.

    `webhook_url` is where reports come in. They are not signed, so each message names an address with a key of its own,
    made with `webhook_secret`: without both there are no reports, and without the secret every webhook is rejected.

    Raises `ValueError` for options that cannot work, and never repeats their values.
    """

    name = "smspm"
    credentials = ("hash", "token")
    capabilities = Capabilities(echoes_reference=True, inbound=False)
    acknowledgement = b"OK"

    def __init__(
        self,
        *,
        hash: str,
        token: str,
        style: str = "v2",
        webhook_secret: str = "",
        webhook_url: str = "",
        base_url: str = "https://api.smspm.com",
    ) -> None:
        for option, value in (("hash", hash), ("token", token)):
            if not value:
                raise ValueError(f"SMSPM: set {option}, which stands on its dashboard")
        if style not in STYLES:
            raise ValueError(f"SMSPM: style must be one of {', '.join(STYLES)}")
        self._credentials = {"hash": hash, "token": token}
        self._classic = style == "classic"
        self._webhook_secret = webhook_secret.encode()
        self._webhook_url = http_url("SMSPM", "webhook_url", webhook_url) if webhook_url and webhook_secret else ""
        if not self._webhook_url:  # only an address of our own brings the reference back
            self.capabilities = replace(self.capabilities, echoes_reference=False)
        self._url = http_url("SMSPM", "base_url", base_url).rstrip("/") + "/"
        self.endpoint = self._url
        self.method = "GET" if self._classic else "POST"

    def __repr__(self) -> str:
        return f"<Smspm {self._url} {'classic' if self._classic else 'v2'}>"

    def build(self, message: Message) -> Request:
        """The one request of the style. Raises `Refused` for a text that is not valid Unicode."""
        fields = dict(self._credentials)
        if self._classic:
            fields |= {"toNumber": message.number, "fromNumber": message.sender, "text": message.text}
        else:
            fields |= {
                "toNumber": message.number.removeprefix("+"),
                "fromNumber": reading.without_plus(message.sender),
                "text": message.text,
                "smsId": message.reference,
            }
        if message.report and self._webhook_url:
            fields["report"] = callback_url(self._webhook_url, message.reference, self._webhook_secret)
        headers = {"Accept": "application/json"}
        if self._classic:
            return Request("GET", f"{self._url}?{form_body(fields).decode()}", headers)
        return Request("POST", self._url, {**headers, "Content-Type": "application/json"}, json_body(fields))

    def read(self, response: Response) -> Accepted:
        """What the answer means, in either shape: the status word decides, then the HTTP status, then phrases."""
        status, answer = response.status, reading.json_object(response.body)
        if not (200 <= status < 300 or 400 <= status < 500) or status == 408:
            raise Uncertain(f"SMSPM answered with HTTP status {status}; whether it took the message is not known.")
        entry = _entry(answer)
        if status < 300 and (accepted := _accepted(entry)):
            return accepted
        raise _refusal(status, entry, response.headers)

    def verify(self, webhook: WebhookRequest, now: float) -> None:
        """Raises `WebhookRejected` unless the address is one that we gave for this reference."""
        if not self._webhook_secret:
            raise WebhookRejected("Webhooks cannot be verified: set SMSPM's option webhook_secret")
        require(has_key(webhook, self._webhook_secret), "its address does not carry the key of its reference")

    def events(self, webhook: WebhookRequest) -> Sequence[DeliveryReport]:
        """The one report in a webhook, by GET or POST, form or JSON. Raises `WebhookRejected` when there is none."""
        fields: dict[str, Any] = reading.json_object(webhook.body)
        if not fields:
            fields = reading.form(webhook.query) | reading.form(webhook.body)
        event = reading.clean(fields.get("event")).rpartition(".")[2]  # sms.delivered
        word = reading.clean(fields.get("status")) or event
        if not word:
            raise WebhookRejected("The webhook holds no status")
        return [
            DeliveryReport(
                status=STATUSES.get(word.lower()),
                reference=called_reference(webhook),
                provider_id=reading.clean(fields.get("id")) or reading.clean(fields.get("messageId")),
                word=word,
                at=reading.moment(fields.get("timestamp")) or reading.moment(fields.get("deliveredAt")),
            )
        ]


# Answers


def _entry(answer: dict[str, Any]) -> dict[str, Any]:
    """What is said of our one recipient: the only entry of `messages`, or the answer itself."""
    if "messages" not in answer:
        return answer
    entries = reading.as_list(answer["messages"])
    return reading.as_object(entries[0]) if len(entries) == 1 else {}


def _accepted(entry: dict[str, Any]) -> Accepted | None:
    if entry.get("error"):
        return None
    word = reading.clean(entry.get("status")).lower()
    provider_id = reading.clean(entry.get("messageId" if word == "success" else "id"))
    if not provider_id or word in ANSWERS:
        return None
    price = reading.price(entry.get("cost"))
    return Accepted(
        provider_id,
        segments=reading.count(entry.get("parts")),
        price=price,
        currency=reading.currency(entry.get("currency")) if price is not None else "",
    )


def _refusal(status: int, entry: dict[str, Any], headers: Mapping[str, str]) -> ProviderError:
    """The reaction to an answer that is no yes."""
    word = reading.code(entry.get("status")).lower()
    said = " ".join(reading.clean(entry.get(name)) for name in ("error", "message")).strip().lower()
    phrase = next((meant for phrase, meant in PHRASES.items() if phrase in said), "")
    meant = word if word in ANSWERS else HTTP.get(status) or phrase
    if status == 429 or meant == "rate_limit":
        return Throttled(
            "SMSPM asks us to slow down.", code=word or str(status), retry_after=reading.retry_after(headers)
        )
    if meant:
        reaction, reason = ANSWERS[meant]
        return reaction(f"SMSPM did not take the message: {reason}.", code=meant)
    if status in WRONG_DOOR:
        return AccountProblem(
            f"Nothing can be sent: HTTP status {status} means that the address is not SMSPM's; check base_url.",
            code=str(status),
        )
    if status >= 400:
        return Refused(f"SMSPM refused the message with HTTP status {status}.", code=word or str(status))
    if said and word not in ("success", *STATUSES) and (word or "toNumber" in entry):
        return Refused("SMSPM refused the message in words that we do not know.", code=word or "error")
    return Uncertain("SMSPM's answer is neither a yes with an id nor a no that we know; wait for its report.")
