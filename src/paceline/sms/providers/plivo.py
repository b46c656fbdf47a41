"""How do we speak with Plivo? Its message API v1.

    POST {base_url}/v1/Account/{auth_id}/Message/   JSON, Basic → 202 and a list of one `message_uuid`
    status reports                                  a form, to the address that the message named
    inbound texts                                   a form, to the address of the Plivo application

Source: Plivo's official SDKs (shapes, signature, an example of it) and its developer pages (words, codes, limits). What
they say between the lines:

- the signature (V2) covers scheme, host and path of the address that is called, and a nonce: neither its query nor the
  body. Whoever has seen one could send anything there; so with `webhook_secret` an address also holds a secret: a key
  for each message, or the secret itself at the end of the path;
- Plivo paces by itself: what is over a sender's rate is queued there.

Unverified: what error codes above 50 mean (200 is believed to be an opt-out, 420 an expiry; neither is acted on), the
names of most fields of a report, and `invalid_number` in an answer. There is no look-up here and no idempotency key: an
uncertain message is settled by the report that comes to its own address.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import quote

from ..errors import AccountProblem, ProviderError, Refused, Throttled, Uncertain, WebhookRejected
from ..messages import Accepted, DeliveryReport, InboundText, Message, Request, Response, WebhookRequest
from ..status import Status
from . import reading
from .base import (
    Capabilities,
    Provider,
    callback_url,
    called_reference,
    called_url,
    has_key,
    has_token,
    http_url,
    json_body,
    require,
)

# ---------------------------------------------------------------------------------------------------------------------
# Their words and ours
# ---------------------------------------------------------------------------------------------------------------------

STATUSES = {
    "queued": Status.ACCEPTED,
    "sent": Status.SENT,
    "delivered": Status.DELIVERED,
    "read": Status.DELIVERED,
    "undelivered": Status.UNDELIVERED,
    "failed": Status.FAILED,
    "rejected": Status.REFUSED,
}

REASONS = {
    # code in a report: the reason and what to do
    "10": "the message is invalid; check the text",
    "20": "the carrier's network had an error",
    "30": "a spam filter stopped it; reword the text",
    "40": "the sender is invalid; choose another",
    "50": "the number is invalid; correct it",
    "450": "the account may not text this country; allow it in Plivo's console",
    # believed, not verified
    "60": "it went in a loop between carriers, it seems",
    "70": "the number is permanently unavailable, it seems",
    "80": "the phone is out of reach for now, it seems",
    "90": "no route leads to this number, it seems",
    "100": "the carrier barred it, it seems",
    "110": "the text is too long, it seems; shorten it",
    "200": "the recipient has opted out, it seems; ask Plivo, and suppress the number if so",
    "300": "Plivo could not hand it to a carrier, it seems",
    "420": "its validity passed before it could be delivered, it seems",
    "1000": "Plivo does not know why, it seems",
}

ACCOUNT_PROBLEMS = {
    # HTTP status: what to look at
    401: "Plivo does not accept the credentials; check the options auth_id and auth_token",
    402: "the Plivo account's balance is too low; top it up",
    403: "Plivo does not let this account send; look into its console",
}

WRONG_DOOR = {404, 405, 406, 415}
"""A mistake in our settings or in this file, never in a message."""

# ---------------------------------------------------------------------------------------------------------------------

CURRENCY = "USD"
SIGNATURES = ("x-plivo-signature-v2", "x-plivo-signature-ma-v2")
"""With the token of the (sub)account that the message belongs to, and with the main account's."""


class Plivo(Provider):
    """Plivo's message API v1. `auth_token` submits and verifies; every webhook must be signed with it.

    `webhook_secret` is one of our own: with it a report must also come to its message's own address, and any other
    webhook to one that ends in the secret. `webhook_url` is where reports go, and the scheme and host that Plivo signs:
    without it no message names an address, and none is reported.

    Raises `ValueError` for options that cannot work, and says which to set. It never repeats their values.
    """

    name = "plivo"
    credentials = ("auth_id", "auth_token")
    capabilities = Capabilities(echoes_reference=True, signs_webhooks=True, price_in_report=True)
    acknowledgement = b"<Response/>"

    def __init__(
        self,
        *,
        auth_id: str,
        auth_token: str,
        webhook_secret: str = "",
        base_url: str = "https://api.plivo.com",
        webhook_url: str = "",
    ) -> None:
        if not (auth_id and auth_token):
            raise ValueError("Plivo: set auth_id and auth_token")
        base_url = http_url("Plivo", "base_url", base_url)
        self._webhook_url = http_url("Plivo", "webhook_url", webhook_url) if webhook_url else ""
        if not self._webhook_url:  # only an address of our own brings the reference back
            self.capabilities = replace(self.capabilities, echoes_reference=False)
        self._auth_token = auth_token.encode()
        self._authorization = "Basic " + base64.b64encode(f"{auth_id}:{auth_token}".encode()).decode()
        self._webhook_secret = webhook_secret.encode()
        self.endpoint = f"{base_url.rstrip('/')}/v1/Account/{quote(auth_id, safe='')}/Message/"

    def __repr__(self) -> str:
        return f"<Plivo {self.endpoint.partition('/v1/')[0]}>"

    def build(self, message: Message) -> Request:
        """The POST that submits `message`. Raises `Refused` for a text that is not valid Unicode."""
        fields = {
            "src": reading.without_plus(message.sender),
            "dst": message.number.removeprefix("+"),
            "text": message.text,
            "type": "sms",
        }
        if message.report and self._webhook_url:
            fields["url"] = callback_url(self._webhook_url, message.reference, self._webhook_secret)
            fields["method"] = "POST"
        body = json_body(fields)
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json",
            "Authorization": self._authorization,
        }
        return Request("POST", self.endpoint, headers, body)

    def read(self, response: Response) -> Accepted:
        """What Plivo's answer means: the HTTP status decides. Its `error` is a sentence, and is not repeated."""
        if not 200 <= response.status < 300:
            raise _failure(response)
        answer = reading.json_object(response.body)
        ids, invalid = reading.as_list(answer.get("message_uuid")), reading.as_list(answer.get("invalid_number"))
        if len(ids) == 1 and isinstance(ids[0], str) and (message_uuid := reading.clean(ids[0])):
            return Accepted(provider_id=message_uuid)
        if answer.get("message_uuid") == [] and invalid:
            raise Refused("Plivo refused the message: the number is invalid; correct it.", code="invalid_number")
        raise Uncertain("Plivo's answer says yes but names no message; wait for its report.")

    def verify(self, webhook: WebhookRequest, now: float) -> None:
        """Raises `WebhookRejected` unless Plivo signed this address, and our secret is in it when there is one.

        No date is signed, so an old webhook passes again; the storage behind it is idempotent.
        """
        nonce = webhook.headers.get("x-plivo-signature-v2-nonce", "")
        given = [webhook.headers[name] for name in SIGNATURES if webhook.headers.get(name)]
        require(bool(nonce and given), "it is not signed")
        signed = called_url(replace(webhook, query=""), self._webhook_url) + nonce
        digest = hmac.digest(self._auth_token, signed.encode("utf-8", "surrogatepass"), "sha256")
        expected = base64.b64encode(digest).decode()
        require(
            any(reading.same(each, expected) for each in given),
            "its signature is wrong; check the options auth_token and webhook_url",
        )
        if not self._webhook_secret:
            return
        if "Status" in _fields(webhook):
            require(has_key(webhook, self._webhook_secret), "its address lacks the key of its message")
        else:
            require(
                has_token(webhook, self._webhook_secret),
                "its address lacks the secret; check the option webhook_secret and the address at Plivo",
            )

    def events(self, webhook: WebhookRequest) -> Sequence[DeliveryReport | InboundText]:
        """The one event in a callback; none for what is not a text. Raises `WebhookRejected` when unreadable."""
        fields = _fields(webhook)
        if not fields.get("MessageUUID"):
            raise WebhookRejected("The webhook is not a form that names a message")
        if "Status" in fields:
            return [_report(fields, called_reference(webhook))]
        number = reading.with_plus(reading.clean(fields.get("From")))
        if not number or "Text" not in fields or fields.get("Type", "sms") != "sms":
            return []
        return [
            InboundText(
                number=number,
                sender=reading.with_plus(reading.clean(fields.get("To"))),
                text=reading.clean(fields["Text"], strip=False),
                provider_id=reading.clean(fields["MessageUUID"]),
            )
        ]


# Answers


def _failure(response: Response) -> ProviderError:
    """What an answer means that is not a yes."""
    status = response.status
    if not 400 <= status < 500 or status == 408:
        return Uncertain(f"Plivo answered with HTTP status {status}; whether it took the message is not known.")
    if status == 429:
        retry_after = reading.retry_after(response.headers)
        return Throttled("Plivo asks us to slow down.", code="429", retry_after=retry_after)
    if status in ACCOUNT_PROBLEMS:
        return AccountProblem(f"Nothing can be sent: {ACCOUNT_PROBLEMS[status]}.", code=str(status))
    if status in WRONG_DOOR:
        return AccountProblem(
            f"Nothing can be sent: HTTP status {status} means that there is no such account at this address;"
            " check auth_id and base_url.",
            code=str(status),
        )
    return Refused(
        f"Plivo refused the message with HTTP status {status}; check number, sender and text.", code=str(status)
    )


# Webhooks


def _fields(webhook: WebhookRequest) -> dict[str, str]:
    """The form in the body, which is where everything stands: only the reference is in the query."""
    return {} if webhook.body[:1] in (b"{", b"[") else reading.form(webhook.body)


def _report(fields: dict[str, str], reference: str) -> DeliveryReport:
    word = reading.clean(fields["Status"])
    code = reading.code(fields.get("ErrorCode"), numeric=True).lstrip("0")  # 000 is no error
    price = reading.price(fields.get("TotalAmount"))
    return DeliveryReport(
        status=STATUSES.get(word),
        reference=reference,
        provider_id=reading.clean(fields.get("ParentMessageUUID")) or reading.clean(fields["MessageUUID"]),
        word=word,
        code=code,
        reason=(REASONS.get(code) or f"code {code} of Plivo, which we do not know") if code else "",
        at=reading.moment(fields.get("DeliveryReportTime")),
        price=price,
        currency=CURRENCY if price is not None else "",
        segments=reading.count(fields.get("Units")),
    )
