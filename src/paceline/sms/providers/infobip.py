"""How do we speak with Infobip? Its SMS API 3.

    POST {base_url}/sms/3/messages    JSON, `Authorization: App KEY` → 200, with a status for each message
    GET  {base_url}/sms/3/logs        what became of a message, by our own id, for 48 hours
    reports and inbound texts         POST, JSON, up to 100 results in one call

Source: Infobip's OpenAPI description (3.210) and its pages on status and error codes. What they say between the lines:

- `messageId` is ours to choose: we send our reference, and a second use of it is refused with status 23;
- a 200 says that the request was read: a message in it may still be refused (group 5);
- "DELIVERED_TO_OPERATOR" is no delivery.

Which signature a webhook may carry is agreed on for each subscription and not described. So the addresses are secret:
one made for each message, or one that ends in the secret.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

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
from ..messages import Accepted, DeliveryReport, InboundText, Lookup, Message, Request, Response, WebhookRequest
from ..status import Status
from . import reading
from .base import Capabilities, Provider, callback_url, has_key, has_token, http_url, json_body, require

# ---------------------------------------------------------------------------------------------------------------------
# Their words and ours
# ---------------------------------------------------------------------------------------------------------------------

STATUSES: dict[str, tuple[Status, str]] = {
    # id of a status: (what it means in a report, the reason and what to do)
    "26": (Status.ACCEPTED, ""),
    "7": (Status.SENT, ""),
    "3": (Status.SENT, ""),
    "2": (Status.SENT, ""),  # DELIVERED_TO_OPERATOR
    "5": (Status.DELIVERED, ""),
    "4": (Status.UNDELIVERED, "the carrier refused it"),
    "9": (Status.UNDELIVERED, "it could not be delivered"),
    "31": (Status.UNDELIVERED, "it could not be sent to the carrier"),
    "15": (Status.EXPIRED, "its validity passed before it could be delivered"),
    "29": (Status.UNCONFIRMED, "the carrier does not say what became of it"),
    "87": (Status.REFUSED, "the carrier's signalling protection blocked it"),
    "6": (Status.REFUSED, "the account does not cover this number's network; ask Infobip to enable it"),
    "8": (Status.REFUSED, "the number's prefix is not valid; correct it"),
    "10": (Status.REFUSED, "the number is on a do-not-disturb list"),
    "11": (Status.REFUSED, "the sender is not registered; register it or choose another"),
    "12": (Status.REFUSED, "the account's credit is used up; top it up"),
    "13": (Status.REFUSED, "the sender is on a block list; choose another"),
    "14": (Status.REFUSED, "the number is on a block list"),
    "17": (Status.REFUSED, "the account's prepaid package has expired; renew it"),
    "18": (Status.REFUSED, "a test account may only text its own number; upgrade it"),
    "19": (Status.REFUSED, "no route leads to this number; ask Infobip to enable one"),
    "20": (Status.REFUSED, "too many messages went to this number in an hour; send it later"),
    "21": (Status.REFUSED, "Infobip had an internal error"),
    "23": (Status.ACCEPTED, "Infobip had this message already"),  # the first one's report says what became of it
    "24": (Status.REFUSED, "the message's user data header is not valid"),
    "25": (Status.REFUSED, "the text is too long; shorten it"),
    "51": (Status.REFUSED, "the number is missing"),
    "52": (Status.REFUSED, "the number is not valid; correct it"),
    "100": (Status.REFUSED, "Infobip had an internal error"),
}

GROUPS = {
    # groupId, for a status whose id is not above. 1 and 3 hold words of several meanings: none is guessed.
    2: Status.UNDELIVERED,
    5: Status.REFUSED,
}

DUPLICATE = "23"
OPTED_OUT = {"10", "14"}
SENDER_STATUSES = {"11", "13"}
ACCOUNT_STATUSES = {"12", "17", "18"}
UNCLEAR_STATUSES = {"21", "100"}
"""An error inside Infobip: it says no, and we do not know how far the message had come."""

ERRORS = {
    # id of an error in a report: the reason and what to do
    "1": "the number does not exist; correct it",
    "5": "the phone could not be identified",
    "6": "the phone is switched off or out of reach",
    "9": "the carrier does not let this phone receive",
    "13": "the carrier bars messages to this phone",
    "27": "the phone is switched off or out of reach",
    "31": "the phone was busy",
    "256": "the phone's memory is full",
    "351": "the number is not valid; correct it",
    "541": "a limit of the carrier or the account is reached; send it later",
    "542": "a limit of the carrier or the account is reached; send it later",
    "560": "the recipient's subscription bars short codes",
    "564": "the recipient's subscription bars short codes",
    "561": "the carrier blocked the content; reword the text",
    "573": "the recipient has blocked this sender",
    "581": "the recipient's credit is used up",
    "594": "the campaign's id is not valid; check the sender's registration",
    "603": "the carrier blocked the content; reword the text",
    "604": "the recipient has opted out of this campaign",
    "607": "the carrier took it for spam; reword the text",
    "628": "the phone had a passing failure; send it later",
    "2049": "the number is on a block list",
    "2050": "the number is on a block list",
    "2052": "the number is on a block list",
    "2053": "the sender is on a block list; choose another",
    "3041": "the number is no longer in use",
    "4101": "its validity is longer than Infobip takes",
    "4103": "too many messages went to this number in a short time; send it later",
    "4104": "too many messages went to this number in a short time; send it later",
    "4202": "the sender's registration has reached its limit; send it later",
}
OPTED_OUT_ERRORS = {"573", "604"}

ACCOUNT_PROBLEMS = {
    401: "Infobip does not accept the key; check the option api_key",
    402: "the Infobip account's credit is used up; top it up",
    403: "Infobip does not let this key send; check its scopes",
    404: "the address is not Infobip's; check base_url",
    405: "the address is not Infobip's; check base_url",
    406: "the address is not Infobip's; check base_url",
    415: "the address is not Infobip's; check base_url",
}

# ---------------------------------------------------------------------------------------------------------------------

VALIDITY_MINUTES = (1, 2880)


class Infobip(Provider):
    """Infobip's SMS API 3. `base_url` is the account's own host (https://xxxxx.api.infobip.com); `api_key` submits.

    With `webhook_url` each message names where its reports go. Webhooks are not signed: `webhook_secret` makes the
    addresses that are believed; without it every webhook is rejected.

    Raises `ValueError` for options that cannot work, and never repeats their values.
    """

    name = "infobip"
    credentials = ("api_key", "")
    capabilities = Capabilities(
        echoes_reference=True,
        lookup=True,
        idempotency_key=True,
        validity=True,
        price_in_report=True,
    )

    def __init__(
        self, *, api_key: str = "", base_url: str = "", webhook_url: str = "", webhook_secret: str = ""
    ) -> None:
        if not api_key:
            raise ValueError("Infobip: set api_key")
        if not base_url:
            raise ValueError("Infobip: set base_url, the account's own address (https://xxxxx.api.infobip.com)")
        origin = http_url("Infobip", "base_url", base_url).rstrip("/")
        self._api_key = api_key
        self.endpoint = origin + "/sms/3/messages"
        self._logs = origin + "/sms/3/logs"
        self._webhook_url = http_url("Infobip", "webhook_url", webhook_url) if webhook_url else ""
        self._webhook_secret = webhook_secret.encode()

    def __repr__(self) -> str:
        return f"<Infobip {self.endpoint}>"

    def build(self, message: Message) -> Request:
        """The POST that submits `message`. Raises `Refused` for a text that is not valid Unicode."""
        fields: dict[str, Any] = {
            "sender": reading.without_plus(message.sender),
            "destinations": [{"to": message.number.removeprefix("+"), "messageId": message.reference}],
            "content": {"text": message.text},
        }
        if message.validity_seconds is not None:
            shortest, longest = VALIDITY_MINUTES
            minutes = min(max(-(-int(message.validity_seconds) // 60), shortest), longest)
            fields["options"] = {"validityPeriod": {"amount": minutes, "timeUnit": "MINUTES"}}
        if message.report and self._webhook_url:
            url = callback_url(self._webhook_url, message.reference, self._webhook_secret)
            fields["webhooks"] = {"delivery": {"url": url}, "contentType": "application/json"}
        whole = {"messages": [fields], "options": {"includeSmsCountInResponse": True}}
        body = json_body(whole)
        return Request("POST", self.endpoint, self._headers() | {"Content-Type": "application/json"}, body)

    def read(self, response: Response) -> Accepted:
        """What Infobip's answer means: the HTTP status first, and in a 200 the status of the message."""
        status, answer = response.status, reading.json_object(response.body)
        if 200 <= status < 300:
            return _taken(answer)
        if 400 <= status < 500:
            raise _refusal(status, _answer_code(answer), response.headers)
        raise Uncertain(f"Infobip answered with HTTP status {status}; whether it took the message is not known.")

    def verify(self, webhook: WebhookRequest, now: float) -> None:
        """Raises `WebhookRejected` unless it came to an address that only Infobip was told.

        The address of one message lets reports in, and nothing that says it is from a person.
        """
        if not self._webhook_secret:
            raise WebhookRejected("Webhooks cannot be verified: set Infobip's option webhook_secret")
        if has_token(webhook, self._webhook_secret):
            return
        require(has_key(webhook, self._webhook_secret), "its address is not one of ours; check webhook_secret")
        require(all("status" in each for each in _results(webhook)), "a report's address brought something else")

    def events(self, webhook: WebhookRequest) -> Sequence[DeliveryReport | InboundText]:
        """The events of all results in a webhook. Raises `WebhookRejected` for a body that has no results."""
        return [event for each in _results(webhook) if (event := _event(each))]

    def build_lookup(self, sought: Lookup) -> Request:
        """The GET that asks Infobip's log of the last 48 hours by the id, which is our reference."""
        return Request("GET", f"{self._logs}?{urlencode({'messageId': _sought_id(sought)})}", self._headers())

    def read_lookup(self, response: Response, sought: Lookup) -> DeliveryReport | None:
        """What the log has of the message. Nothing proves nothing: how soon the log is written is not said."""
        results = reading.json_object(response.body).get("results")
        if not 200 <= response.status < 300 or not isinstance(results, list):
            raise Uncertain(f"Infobip's log did not answer (HTTP status {response.status}); ask again later.")
        for each in results:
            if isinstance(each, dict) and each.get("messageId") == _sought_id(sought) and "status" in each:
                return _delivery_report(each)
        return None

    def _headers(self) -> dict[str, str]:
        return {"Accept": "application/json", "Authorization": f"App {self._api_key}"}


# Answers


def _taken(answer: dict[str, Any]) -> Accepted:
    """The result for the one message in a 200."""
    messages = reading.as_list(answer.get("messages"))
    message = reading.as_object(messages[0] if messages else None)
    provider_id, (group, code) = message.get("messageId"), _status(message)
    if isinstance(provider_id, str) and provider_id.strip() and (code == DUPLICATE or group in (0, 1, 3)):
        return Accepted(
            provider_id=reading.clean(provider_id),
            segments=reading.count(reading.as_object(message.get("details")).get("messageCount")),
        )
    if group != 5 or code == DUPLICATE:
        raise Uncertain("Infobip's answer is neither a clear yes nor a clear no; wait for the report.", code=code)
    raise _rejected(code)


def _rejected(code: str) -> ProviderError:
    """The reaction to group 5 in a 200."""
    reason = _reason(code)
    if code in UNCLEAR_STATUSES:
        return Uncertain(f"Infobip did not say whether it took the message: {reason}.", code=code)
    if code in ACCOUNT_STATUSES:
        return AccountProblem(f"Nothing can be sent: {reason}.", code=code)
    if code in SENDER_STATUSES:
        return SenderProblem(f"Infobip refused the sender: {reason}.", code=code)
    if code in OPTED_OUT:
        return OptedOut(f"Infobip refused the message: {reason}.", code=code)
    return Refused(f"Infobip refused the message: {reason or 'it gives no code'}.", code=code)


def _refusal(status: int, code: str, headers: Mapping[str, str]) -> ProviderError:
    """The reaction to a 4xx."""
    code = code or str(status)
    if status == 429:
        return Throttled("Infobip asks us to slow down.", code=code, retry_after=reading.retry_after(headers))
    if status == 408:
        return Uncertain("Infobip says that the request came too slowly; whether it took the message is not known.")
    if status in ACCOUNT_PROBLEMS:
        return AccountProblem(f"Nothing can be sent: {ACCOUNT_PROBLEMS[status]}.", code=code)
    return Refused(f"Infobip refused the message: code {code}.", code=code)


def _answer_code(answer: dict[str, Any]) -> str:
    """The machine code of an error: `errorCode` (such as E401), or in the older envelope `messageId`."""
    newer = reading.clean(answer.get("errorCode"))
    if newer[:1] == "E" and newer[1:].isascii() and newer[1:].isdigit() and len(newer) <= 6:
        return newer
    older = reading.as_object(reading.as_object(answer.get("requestError")).get("serviceException"))
    return reading.code(older.get("messageId"))


def _sought_id(sought: Lookup) -> str:
    return sought.provider_id or sought.reference


# Webhooks


def _results(webhook: WebhookRequest) -> list[dict[str, Any]]:
    results = reading.json_object(webhook.body).get("results")
    if not isinstance(results, list):
        raise WebhookRejected("The webhook's body is not a JSON object with results")
    return [each for each in results if isinstance(each, dict)]


def _event(result: dict[str, Any]) -> DeliveryReport | InboundText | None:
    return _delivery_report(result) if "status" in result else _inbound_text(result)


def _delivery_report(result: dict[str, Any]) -> DeliveryReport:
    group, code = _status(result)
    error = reading.clean(reading.as_object(result.get("error")).get("id"))
    error = reading.code(error, numeric=True) if error != "0" else ""
    status = STATUSES[code][0] if code in STATUSES else GROUPS.get(group)
    bad = group in (2, 4, 5)
    price = reading.as_object(result.get("price"))
    segments = reading.count(result.get("messageCount", result.get("smsCount")))
    each = reading.price(price.get("pricePerMessage"))
    reference = reading.clean(result.get("messageId"))
    return DeliveryReport(
        status=status,
        reference=reference,
        provider_id=reference,
        word=reading.code(reading.as_object(result["status"]).get("name")) or code,
        code=(error or code) if bad else "",
        reason=(ERRORS.get(error) or _reason(code)) if bad else "",
        at=reading.moment(result.get("doneAt")),
        opted_out=bad and (code in OPTED_OUT or error in OPTED_OUT_ERRORS),
        price=None if each is None else each * (segments or 1),
        currency=reading.currency(price.get("currency")) if each is not None else "",
        segments=segments,
    )


def _inbound_text(result: dict[str, Any]) -> InboundText | None:
    text = result.get("text")
    number = reading.with_plus(reading.clean(result.get("from")))
    if not isinstance(text, str) or not number:
        return None
    return InboundText(
        number=number,
        sender=reading.with_plus(reading.clean(result.get("to"))),
        text=reading.clean(text, strip=False),
        provider_id=reading.clean(result.get("messageId")),
        at=reading.moment(result.get("receivedAt")),
    )


# Codes


def _status(result: dict[str, Any]) -> tuple[int, str]:
    """The group (-1 when there is none) and id of a status."""
    status = reading.as_object(result.get("status"))
    group = reading.count(status.get("groupId"))
    return -1 if group is None else group, reading.code(status.get("id"), numeric=True)


def _reason(code: str) -> str:
    if code in STATUSES:
        return STATUSES[code][1]
    return f"status {code} of Infobip, which we do not know" if code else ""
