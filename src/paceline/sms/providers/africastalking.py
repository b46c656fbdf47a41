"""How do we speak with Africa's Talking? Its messaging API, version 1.

    POST {base_url}/version1/messaging   a form, header apiKey → 201 and one entry of `Recipients` for our number
    delivery reports, inbound texts and opt-out notices   forms, unsigned, to addresses that its dashboard is told

Source: the company's official libraries for the request, its pages on notifications for the webhooks. The table of
`statusCode` is what two independent integrations agree on. Two things to know:

- a refusal sits inside the 201, by `statusCode`; these are codes of the body, not HTTP statuses;
- `Success` in an answer means taken, in a report delivered.

No request carries a reference of ours, so a report finds its message by the company's id alone: an uncertain message
cannot settle by itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

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
from .base import Capabilities, Provider, form_body, has_token, http_url, require

# ---------------------------------------------------------------------------------------------------------------------
# Their words and ours
# ---------------------------------------------------------------------------------------------------------------------

STATUSES = {
    "Submitted": Status.SENT,
    "Buffered": Status.SENT,
    "Sent": Status.SENT,
    "Success": Status.DELIVERED,
    "Failed": Status.UNDELIVERED,
    "Rejected": Status.REFUSED,
}
"""The words of delivery reports."""

ACCEPTED = {"100", "101", "102"}

CODES: dict[str, tuple[type[ProviderError], str]] = {
    # statusCode of our recipient: (the reaction, the reason and what to do)
    "401": (AccountProblem, "Africa's Talking holds the account's messages as a risk; ask its support"),
    "402": (SenderProblem, "the sender is not registered; register it"),
    "403": (Refused, "the number is invalid; correct it"),
    "404": (Refused, "numbers of this kind are not supported"),
    "405": (AccountProblem, "the Africa's Talking account's balance is too low; top it up"),
    "406": (OptedOut, "the recipient has opted out"),
    "407": (Refused, "no route leads to this number"),
    "409": (OptedOut, "the recipient's carrier keeps it on a do-not-disturb list"),
    "500": (Uncertain, "Africa's Talking had an error; whether it took the message is not known"),
    "501": (Uncertain, "the gateway behind Africa's Talking had an error; whether it took the message is not known"),
    "502": (Refused, "the gateway behind Africa's Talking refused it"),
}

EXPLANATIONS = {
    # in `Message`, without its spaces, when there is no entry for our recipient: the code that says the same
    "invalidsenderid": "402",
    "insufficientbalance": "405",
}

FAILURES = {
    # failureReason of a report: the reason and what to do
    "InsufficientCredit": "the recipient's prepaid balance is empty",
    "InvalidLinkId": "the link id is invalid",
    "UserIsInactive": "the number is no longer in use",
    "UserInBlackList": "the recipient has opted out",
    "UserAccountSuspended": "the recipient's account at the carrier is suspended",
    "NotNetworkSubscriber": "the number belongs to no subscriber",
    "UserNotSubscribedToProduct": "the recipient has not subscribed to this service",
    "UserDoesNotExist": "the number does not exist; correct it",
    "DeliveryFailure": "the carrier could not deliver it",
}
OPTED_OUT = {"UserInBlackList"}

ACCOUNT_PROBLEMS = {
    401: "Africa's Talking does not accept username and api_key; check the provider's options",
    402: "the Africa's Talking account's balance is too low; top it up",
    403: "Africa's Talking does not let this account send; look into its dashboard",
}
WRONG_DOOR = {404, 405, 406, 415}
"""A mistake in our settings or in this file, never in a message."""

# ---------------------------------------------------------------------------------------------------------------------

LIVE, SANDBOX = "https://api.africastalking.com", "https://api.sandbox.africastalking.com"


class AfricasTalking(Provider):
    """Africa's Talking's bulk SMS. `username` is the application's, `api_key` from its dashboard.

    The username `sandbox` goes to the company's own sandbox unless `base_url` says otherwise. Webhooks are not signed:
    the addresses on its dashboard end in `webhook_secret`, and without it every webhook is rejected.

    Raises `ValueError` for options that cannot work, and never repeats their values.
    """

    name = "africastalking"
    credentials = ("username", "api_key")
    capabilities = Capabilities()

    def __init__(self, *, username: str, api_key: str, webhook_secret: str = "", base_url: str = "") -> None:
        for option, value in (("username", username), ("api_key", api_key)):
            if not value:
                raise ValueError(f"AfricasTalking: set {option}, which stands on its dashboard")
        if not re.fullmatch(r"[\x21-\x7e]+", api_key):
            raise ValueError("AfricasTalking: api_key must be printable ASCII without spaces")
        self._username = username
        self._api_key = api_key
        self._webhook_secret = webhook_secret.encode()
        host = base_url or (SANDBOX if username == "sandbox" else LIVE)
        self.endpoint = http_url("AfricasTalking", "base_url", host).rstrip("/") + "/version1/messaging"

    def __repr__(self) -> str:
        return f"<AfricasTalking {self.endpoint}>"

    def build(self, message: Message) -> Request:
        """The POST that submits `message`. Raises `Refused` for a text that is not valid Unicode."""
        fields = {
            "username": self._username,
            "to": message.number,
            "from": message.sender,
            "message": message.text,
            "bulkSMSMode": "1",
        }
        body = form_body(fields)
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Accept": "application/json",
            "apiKey": self._api_key,
        }
        return Request("POST", self.endpoint, headers, body)

    def read(self, response: Response) -> Accepted:
        """What the answer means: in a 2xx the recipient's `statusCode` decides, otherwise the HTTP status."""
        status = response.status
        if 200 <= status < 300:
            return _read_data(reading.as_object(reading.json_object(response.body).get("SMSMessageData")))
        if not 400 <= status < 500 or status == 408:
            raise Uncertain(
                f"Africa's Talking answered with HTTP status {status}; whether it took the message is not known."
            )
        raise _refusal(status, response.headers)

    def verify(self, webhook: WebhookRequest, now: float) -> None:
        """Raises `WebhookRejected` unless the address ends in our secret."""
        if not self._webhook_secret:
            raise WebhookRejected("Webhooks cannot be verified: set AfricasTalking's option webhook_secret")
        require(has_token(webhook, self._webhook_secret), "its address does not end in the webhook_secret")

    def events(self, webhook: WebhookRequest) -> Sequence[DeliveryReport | InboundText]:
        """The one event in a form; none for what is neither report, text nor opt-out.

        The notice of an opt-out names no text; it is read as the STOP that it stands for. Raises `WebhookRejected` for
        a body without fields.
        """
        fields = reading.form(webhook.body)
        if not fields:
            raise WebhookRejected("The webhook's body is not a form")
        said = {name: reading.clean(value) for name, value in fields.items()}
        number, text = said.get("from", said.get("phoneNumber", "")), fields.get("text")
        if "status" in said:
            return [_delivery_report(said)]
        if not number:
            return []
        if text is None and not said.get("senderId"):
            return []
        return [
            InboundText(
                number=reading.with_plus(number),
                sender=reading.with_plus(said.get("to", said.get("senderId", ""))),
                text=reading.clean("STOP" if text is None else text, strip=False),
                provider_id=said.get("id", ""),
                at=reading.moment(said.get("date")),
            )
        ]


# Answers


def _read_data(data: Mapping[str, Any]) -> Accepted:
    """What a 2xx says of our recipient."""
    recipients = reading.as_list(data.get("Recipients"))
    if not recipients:
        explanation = reading.clean(data.get("Message")).replace(" ", "").lower()
        for phrase, code in EXPLANATIONS.items():
            if phrase in explanation:
                raise _reaction(code)
    recipient = reading.as_object(recipients[0]) if len(recipients) == 1 else {}
    code = reading.code(recipient.get("statusCode"), numeric=True)
    if code in CODES:
        raise _reaction(code)
    provider_id = reading.clean(recipient.get("messageId"))
    if code not in ACCEPTED or provider_id in ("", "None"):
        raise Uncertain("Africa's Talking's answer does not say what became of the message; look into its dashboard.")
    price, currency = _cost(recipient.get("cost"))
    return Accepted(provider_id, price=price, currency=currency)


def _reaction(code: str) -> ProviderError:
    reaction, reason = CODES[code]
    return reaction(f"Africa's Talking did not take the message: {reason}.", code=code)


def _refusal(status: int, headers: Mapping[str, str]) -> ProviderError:
    """The reaction to a 4xx; its body is text for people."""
    if status == 429:
        return Throttled("Africa's Talking asks us to slow down.", code="429", retry_after=reading.retry_after(headers))
    if status in ACCOUNT_PROBLEMS:
        return AccountProblem(f"Nothing can be sent: {ACCOUNT_PROBLEMS[status]}.", code=str(status))
    if status in WRONG_DOOR:
        return AccountProblem(
            f"Nothing can be sent: HTTP status {status} means that the address is not theirs; check base_url.",
            code=str(status),
        )
    return Refused(f"Africa's Talking refused the message with HTTP status {status}.", code=str(status))


def _cost(value: object) -> tuple[Decimal | None, str]:
    """The amount and currency in a cost such as `KES 0.8000`."""
    currency, _, amount = reading.clean(value).partition(" ")
    price = reading.price(amount) if reading.currency(currency) else None
    return price, reading.currency(currency) if price is not None else ""


# Webhooks


def _delivery_report(said: Mapping[str, str]) -> DeliveryReport:
    word, code = said["status"], reading.code(said.get("failureReason"))
    return DeliveryReport(
        status=STATUSES.get(word),
        provider_id=said.get("id", ""),
        word=word,
        code=code,
        reason=FAILURES.get(code, f"{code}, which we do not know" if code else ""),
        opted_out=code in OPTED_OUT,
    )
