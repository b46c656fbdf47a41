"""How do we speak with Nexmo, Vonage's older SMS API?

    POST {base_url}/sms/json      a form with key and secret → always 200, `messages` with a `status` per segment
    receipts and inbound texts    GET query, POST form or POST JSON, as the account is set; signed with `sig`

Source: Nexmo's definitions of the SMS API, Vonage's pages on its statuses, receipts and signatures, the official
libraries. Four things that are easily missed:

- HTTP 200 says nothing: "0" in a `status` is a yes, everything else a no;
- in a receipt `to` is the sender and `msisdn` the recipient; in an inbound text `msisdn` is the person who wrote;
- there is one receipt for each segment, with that segment's id; our `client-ref` is the same in all of them;
- a long inbound text comes in pieces, each of which is an event here: to join them takes a memory.

Nobody has verified whether a receipt that is repeated is signed anew, and whether `ttl` has the same bounds everywhere.
There is neither a look-up nor an idempotency key.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from ..errors import AccountProblem, ProviderError, Refused, SenderProblem, Throttled, Uncertain, WebhookRejected
from ..messages import Accepted, DeliveryReport, InboundText, Message, Request, Response, WebhookRequest
from ..segments import segments
from ..status import Status
from . import reading
from .base import Capabilities, Provider, form_body, http_url, require

# ---------------------------------------------------------------------------------------------------------------------
# Their words and ours
# ---------------------------------------------------------------------------------------------------------------------

ANSWERS: dict[str, tuple[type[ProviderError], str]] = {
    # status in an answer: (the reaction, the reason and what to do)
    "1": (Throttled, "Nexmo asks us to slow down"),
    "2": (Refused, "a parameter is missing"),
    "3": (Refused, "a parameter is invalid"),
    "4": (AccountProblem, "Nexmo does not accept the credentials; check api_key and api_secret"),
    "5": (Uncertain, "Nexmo had an internal error"),
    "6": (Refused, "the message cannot be processed; check its text"),
    "7": (Refused, "the number is barred by Nexmo"),
    "8": (AccountProblem, "the account is barred; ask Vonage's support"),
    "9": (AccountProblem, "the account's quota or credit is used up; top it up"),
    "10": (Throttled, "Nexmo has too many connections of this account open"),
    "11": (AccountProblem, "the account may not send over HTTP; ask Vonage to enable it"),
    "12": (Refused, "the text is too long; shorten it"),
    "14": (AccountProblem, "Nexmo does not accept the signature; check the credentials"),
    "15": (SenderProblem, "the sender is not allowed; choose or register another"),
    "22": (Refused, "the network code is invalid"),
    "23": (AccountProblem, "the address for reports is invalid; check the option webhook_url"),
    "29": (AccountProblem, "a trial account may only text the numbers on its list; add the number or upgrade"),
    "32": (AccountProblem, "Nexmo was sent both a signature and a secret; check the account's settings"),
    "33": (Refused, "the number is no longer in use"),
}

STATUSES = {
    # status in a receipt
    "accepted": Status.SENT,
    "buffered": Status.SENT,
    "delivered": Status.DELIVERED,
    "expired": Status.EXPIRED,
    "failed": Status.UNDELIVERED,
    "rejected": Status.REFUSED,
    "unknown": Status.UNCONFIRMED,
}

CODES = {
    # err-code in a receipt; 0 is no error
    "1": "the carrier does not say what became of it",
    "2": "the phone is switched off or out of reach for now",
    "3": "the number is no longer in use",
    "4": "the recipient's carrier has barred it",
    "5": "the number has moved to a carrier that cannot be reached",
    "6": "a spam filter stopped it; reword the text",
    "7": "the phone was busy",
    "8": "the carrier's network had an error",
    "9": "the recipient has opted out, or the number is illegal",
    "10": "the carrier found the message illegal; check its text",
    "11": "no route leads to this number",
    "12": "the destination cannot be reached",
    "13": "the recipient's age forbids this content",
    "14": "the carrier blocked it",
    "15": "the recipient's prepaid balance is empty",
    "50": "the sending entity is not registered with the regulator",
    "51": "the sender is not registered with the regulator",
    "52": "the text is not registered with the regulator",
    "53": "the recipient has not consented",
    "54": "the destination's regulation forbids it",
    "99": "the carrier had an error that it does not name",
}

OPTED_OUT = {"9", "53"}  # reported: write a suppression

SIGNATURE_METHODS = ("sha256", "sha512", "sha1", "md5", "md5hash")
"""HMAC with that hash; `md5hash` alone is the plain hash of parameters and secret that old accounts are set to."""

# ---------------------------------------------------------------------------------------------------------------------

TEXT_LIMIT = 3200  # characters
TTL_SECONDS = (20, 604_800)  # on the wire in milliseconds
CALLBACK_LIMIT = 100  # characters
FRESH_SECONDS = 300  # a webhook's age, either way; Vonage says "minutes"
WRONG_DOOR = {404, 405, 406, 415}


class Nexmo(Provider):
    """Vonage's SMS API, known as Nexmo's.

    `api_key` and `api_secret` submit. `signature_secret` is the account's, for webhooks: without it every webhook is
    rejected. `signature_method` must be what the account is set to: HMAC with `sha256` unless another is named, and
    `md5hash`, which is weak, only on request. `webhook_url` is named in each message (100 characters at most).

    Raises `ValueError` for options that cannot work, and says which to set. It never repeats their values.
    """

    name = "nexmo"
    credentials = ("api_key", "api_secret")
    capabilities = Capabilities(echoes_reference=True, validity=True, max_text_units=TEXT_LIMIT, signs_webhooks=True)

    def __init__(
        self,
        *,
        api_key: str = "",
        api_secret: str = "",
        signature_secret: str = "",
        signature_method: str = "sha256",
        base_url: str = "https://rest.nexmo.com",
        webhook_url: str = "",
    ) -> None:
        if not (api_key and api_secret):
            raise ValueError("Nexmo: set api_key and api_secret")
        if signature_method not in SIGNATURE_METHODS:
            raise ValueError(f"Nexmo: signature_method must be one of {', '.join(SIGNATURE_METHODS)}")
        if len(webhook_url) > CALLBACK_LIMIT:
            raise ValueError(
                f"Nexmo: webhook_url may have {CALLBACK_LIMIT} characters; set it to nothing and use the dashboard's"
            )
        self._api_key = api_key
        self._api_secret = api_secret
        self._signature_secret = signature_secret.encode()
        self._signature_method = signature_method
        self._webhook_url = http_url("Nexmo", "webhook_url", webhook_url) if webhook_url else ""
        self.endpoint = http_url("Nexmo", "base_url", base_url).rstrip("/") + "/sms/json"

    def __repr__(self) -> str:
        return f"<Nexmo {self.endpoint}>"

    def build(self, message: Message) -> Request:
        """The POST that submits `message`. Raises `Refused` for a text over 3200 characters or not valid Unicode.

        Key and secret stand in the body, as the API wants them: never in the address.
        """
        if len(message.text) > TEXT_LIMIT:
            raise Refused(
                f"The text has {len(message.text)} characters and Nexmo takes {TEXT_LIMIT}; shorten it.",
                code="text_too_long",
            )
        fields = {
            "api_key": self._api_key,
            "api_secret": self._api_secret,
            "from": reading.without_plus(message.sender),
            "to": message.number.removeprefix("+"),
            "text": message.text,
            # as `text`, what GSM-7 does not have would be lost
            "type": "unicode" if segments(message.text).encoding == "UCS-2" else "text",
            "client-ref": message.reference,
        }
        if message.validity_seconds is not None:
            shortest, longest = TTL_SECONDS
            fields["ttl"] = str(1000 * min(max(int(message.validity_seconds), shortest), longest))
        if not message.report:
            fields["status-report-req"] = "false"
        elif self._webhook_url:
            fields["callback"] = self._webhook_url
        body = form_body(fields)
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        return Request("POST", self.endpoint, headers, body)

    def read(self, response: Response) -> Accepted:
        """What Nexmo's answer means. With one segment taken the whole message counts as taken: never send it again."""
        status = response.status
        if 400 <= status < 500:
            raise _refusal(status, response.headers)
        if not 200 <= status < 300:
            raise Uncertain(f"Nexmo answered with HTTP status {status}; whether it took the message is not known.")
        parts = [
            reading.as_object(part) for part in reading.as_list(reading.json_object(response.body).get("messages"))
        ]
        taken = [part for part in parts if reading.clean(part.get("status")) == "0"]
        if not taken:
            raise _no(parts, response.headers)
        provider_id = reading.clean(taken[0].get("message-id"))
        if not provider_id:
            raise Uncertain("Nexmo's answer says yes but names no message; wait for its receipt.")
        return Accepted(provider_id=provider_id, segments=len(parts), price=_sum_of_prices(taken))

    def verify(self, webhook: WebhookRequest, now: float) -> None:
        """Raises `WebhookRejected` unless these parameters were signed for our account within 300 s of `now`.

        The signature is one of parameters, sorted, not of bytes: JSON may be spelled otherwise, and in values `&`, `=`
        and `_` are the same to it. A replay within the 300 s passes: the storage behind it is idempotent.
        """
        if not self._signature_secret:
            raise WebhookRejected("Webhooks cannot be verified: set Nexmo's option signature_secret")
        fields = _fields(webhook)
        given, timestamp = fields.pop("sig", ""), fields.get("timestamp", "")
        require(bool(given), "it carries no signature; switch signed webhooks on in the dashboard")
        # a name with a separator in it could read like two parameters
        require(all(re.fullmatch(r"[\w.-]+", name) for name in fields), "a parameter's name is not one of Nexmo's")
        expected = self._signature(fields)
        # hex in capitals or in small letters, as each method has it: nothing between the two was ever sent
        genuine = reading.same(given, expected) | reading.same(given, expected.upper())
        require(genuine, "its signature is wrong; check the options signature_secret and signature_method")
        require(bool(re.fullmatch(r"[0-9]{1,12}", timestamp, re.ASCII)), "it has no date")
        require(abs(now - int(timestamp)) <= FRESH_SECONDS, "its date is too far from now; check this machine's clock")
        require(fields.get("api-key", self._api_key) == self._api_key, "it is for another account")

    def events(self, webhook: WebhookRequest) -> Sequence[DeliveryReport | InboundText]:
        """The one event in a webhook; none for what is not about a text. Raises `WebhookRejected` when unreadable."""
        fields = _fields(webhook)
        require(bool(fields), "it holds no parameters")
        if "status" in fields:
            return [_receipt(fields)]
        number = reading.with_plus(reading.clean(fields.get("msisdn")))
        if not number or "text" not in fields or fields.get("type", "text") not in ("text", "unicode"):
            return []
        return [
            InboundText(
                number=number,
                sender=reading.with_plus(reading.clean(fields.get("to"))),
                text=reading.clean(fields["text"], strip=False),
                provider_id=reading.clean(fields.get("messageId")),
                at=reading.moment(fields.get("message-timestamp")),
            )
        ]

    def _signature(self, fields: Mapping[str, str]) -> str:
        """Hexadecimal, in small letters."""
        joined = "".join(f"&{name}={re.sub('[&=]', '_', value)}" for name, value in sorted(fields.items()))
        signed = joined.encode("utf-8", "surrogatepass")
        if self._signature_method == "md5hash":
            return hashlib.md5(signed + self._signature_secret, usedforsecurity=False).hexdigest()
        return hmac.digest(self._signature_secret, signed, self._signature_method).hex()


# Answers


def _refusal(status: int, headers: Mapping[str, str]) -> ProviderError:
    """The reaction to a 4xx, which the SMS API itself never gives: something in front of it does."""
    if status == 429:
        return Throttled("Nexmo asks us to slow down.", code="429", retry_after=reading.retry_after(headers))
    if status == 408:
        return Uncertain("Nexmo says that the request came too slowly; whether it took the message is not known.")
    if status in (401, 402, 403):
        return AccountProblem("Nothing can be sent: Nexmo does not let this account in.", code=str(status))
    if status in WRONG_DOOR:
        return AccountProblem(
            f"Nothing can be sent: HTTP status {status} means that the address is not Nexmo's; check base_url.",
            code=str(status),
        )
    return Refused(f"Nexmo refused the message: HTTP status {status}.", code=str(status))


def _no(parts: Sequence[Mapping[str, Any]], headers: Mapping[str, str]) -> ProviderError:
    """The reaction to an answer in which no segment was taken: a definite no only when all of them say the same."""
    codes = {reading.code(part.get("status"), numeric=True) for part in parts}
    code = codes.pop() if len(codes) == 1 else ""
    if code not in ANSWERS:
        return Uncertain("Nexmo's answer says neither yes nor a no that we know; wait for its receipt.", code=code)
    reaction, reason = ANSWERS[code]
    if reaction is Throttled:
        return Throttled(f"{reason}.", code=code, retry_after=reading.retry_after(headers))
    if reaction is AccountProblem:
        return AccountProblem(f"Nothing can be sent: {reason}.", code=code)
    if reaction is Uncertain:
        return Uncertain(f"{reason}; whether it took the message is not known.", code=code)
    return reaction(f"Nexmo refused the message: {reason}.", code=code)


def _sum_of_prices(parts: Sequence[Mapping[str, Any]]) -> Decimal | None:
    """What all segments cost together, in the account's currency, which Nexmo does not name."""
    prices = [reading.price(part.get("message-price")) for part in parts]
    known = [price for price in prices if price is not None]
    return sum(known, Decimal(0)) if len(known) == len(parts) else None


# Webhooks


def _fields(webhook: WebhookRequest) -> dict[str, str]:
    """The parameters, from the body if there is one (JSON or a form), else from the query."""
    if not webhook.body:
        return reading.form(webhook.query)
    if webhook.body.lstrip()[:1] != b"{":
        return reading.form(webhook.body)
    return {name: _as_text(value) for name, value in reading.json_object(webhook.body).items()}


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _receipt(fields: Mapping[str, str]) -> DeliveryReport:
    """A receipt is about one segment, and so is its price: we keep the sum that the answer gave."""
    word = reading.clean(fields["status"])
    code = reading.code(fields.get("err-code"), numeric=True)
    code = "" if code == "0" else code
    return DeliveryReport(
        status=STATUSES.get(word),
        reference=reading.clean(fields.get("client-ref")),
        provider_id=reading.clean(fields.get("messageId")),
        word=word,
        code=code,
        reason=(CODES.get(code) or f"code {code} of Nexmo, which we do not know") if code else "",
        at=reading.moment(fields.get("message-timestamp")),
        opted_out=code in OPTED_OUT,
    )
