"""How do we speak with Twilio? Programmable Messaging, API version 2010-04-01.

    POST {base_url}/2010-04-01/Accounts/{sid}/Messages.json     a form, Basic → 201 and a `sid`, or 4xx with a `code`
    GET  the same address, or …/Messages/{message}.json         look-ups
    status callbacks and inbound texts                          forms, signed with `X-Twilio-Signature`

Source: Twilio's OpenAPI description, its error dictionary, its pages on statuses, opt-outs and webhook security, the
official library. What its pages say between the lines:

- there is no reference of ours in the API: it travels in the query of `StatusCallback`, which Twilio signs too;
- the list of messages is not complete at once, so it proves that a message is there, never that it is not;
- the price comes some time after the last callback, in the message alone, as a negative number;
- a webhook is answered with nothing: text in the answer could be sent to the person.

Not verified: the status of some account problems, how new the list is, callback retries. The signature by a shared key
(HMAC-SHA256, a beta) is not spoken; webhooks carry no date, so a replay is stopped by storage alone.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

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
from ..segments import smart
from ..status import Status
from . import reading
from .base import Capabilities, Provider, callback_url, called_reference, called_url, form_body, http_url, require

# ---------------------------------------------------------------------------------------------------------------------
# Their words and ours
# ---------------------------------------------------------------------------------------------------------------------

STATUSES = {
    "accepted": Status.ACCEPTED,
    "scheduled": Status.ACCEPTED,
    "queued": Status.ACCEPTED,
    "sending": Status.ACCEPTED,
    "sent": Status.SENT,
    "delivered": Status.DELIVERED,
    "read": Status.DELIVERED,
    "undelivered": Status.UNDELIVERED,
    "failed": Status.FAILED,  # unless its code says otherwise: REFUSED_CODES
    "canceled": Status.FAILED,
}

EXPIRED = "30036"

REFUSED_CODES = {"30002", "30007", "30032", "30033", "30034", "30035"}
"""`failed` with one of these, or with a 21xxx, was refused by Twilio or a filter."""

ANSWERS: dict[str, tuple[type[ProviderError], str]] = {
    # code in an answer: (the reaction, the reason and what to do)
    "14107": (Throttled, "too many texts went to this number in half a minute"),
    "20003": (AccountProblem, "Twilio does not accept the credentials; check account_sid and auth_token or API key"),
    "20404": (AccountProblem, "Twilio does not know this address; check account_sid"),
    "20409": (Uncertain, "Twilio saw a conflict"),
    "20429": (Throttled, "Twilio asks us to slow down"),
    "20500": (Uncertain, "Twilio had an internal error"),
    "20503": (Uncertain, "Twilio is not available"),
    "21211": (Refused, "the number is invalid; correct it"),
    "21212": (SenderProblem, "the sender is invalid; correct it"),
    "21408": (Refused, "the account may not text that country; allow it in Twilio's geographic permissions"),
    "21602": (Refused, "the text is missing"),
    "21603": (Refused, "the sender is missing"),
    "21604": (Refused, "the number is missing"),
    "21606": (SenderProblem, "the sender is not one of the account's numbers; choose another"),
    "21607": (SenderProblem, "the sender is not one of the account's numbers; choose another"),
    "21608": (AccountProblem, "a trial account may only text verified numbers; verify the number or upgrade"),
    "21609": (AccountProblem, "the address for reports is invalid; check the option webhook_url"),
    "21610": (OptedOut, "the recipient has opted out of this sender"),
    "21611": (Throttled, "the sender has ten hours of texts waiting at Twilio"),
    "21612": (Refused, "no route leads from this sender to this number"),
    "21614": (Refused, "the number is not a mobile number"),
    "21617": (Refused, "the text is too long; shorten it"),
    "21618": (Refused, "the text cannot be sent; reword it"),
    "21619": (Refused, "the text is missing"),
    "21620": (Refused, "the media's address is invalid"),
    "21656": (Refused, "the template's variables do not fit"),
    "21659": (SenderProblem, "the sender is not one of the account's numbers; choose another"),
    "21660": (SenderProblem, "the sender belongs to another account; choose another"),
    "21701": (SenderProblem, "the messaging service is not there; check messaging_service_sid"),
    "21702": (SenderProblem, "the messaging service cannot be used; check it in Twilio's console"),
    "21703": (SenderProblem, "the messaging service has no sender for this number; add one to its pool"),
    "21704": (SenderProblem, "the messaging service has no senders; add one to its pool"),
    "21705": (SenderProblem, "the messaging service is invalid; check messaging_service_sid"),
    "21910": (SenderProblem, "sender and number are of different channels; choose another sender"),
    "30002": (AccountProblem, "the account is suspended; look into Twilio's console"),
    "30018": (SenderProblem, "the destination wants a registered sender; register it"),
    "30024": (SenderProblem, "the sender is not set up at the carrier; ask Twilio"),
    "30032": (SenderProblem, "the toll-free sender is not verified; verify it"),
    "30033": (SenderProblem, "the sender's campaign is suspended; look into Twilio's console"),
    "30034": (SenderProblem, "the sender is not registered for A2P 10DLC; register it"),
    "30035": (SenderProblem, "the sender is still being set up; wait"),
    "63018": (Throttled, "the channel's rate is exceeded"),
    "63038": (Throttled, "the account's daily limit is reached"),
}

REST_SECONDS = {"14107": 30.0, "21611": 600.0, "63038": 3600.0}
"""How long to wait after these, where Twilio names no time: a second is not enough."""

CODES = {
    # ErrorCode of a callback; those of ANSWERS may come here too
    "30001": "the message waited too long in Twilio's queue; lower the rate",
    "30003": "the phone is switched off or out of reach for now",
    "30004": "the recipient or the carrier has blocked it",
    "30005": "the number does not exist",
    "30006": "the number is a landline, or its carrier cannot be reached",
    "30007": "a filter of Twilio or the carrier stopped it; reword the text",
    "30008": "the carrier does not say why it was not delivered",
    "30010": "it would have cost more than allowed",
    "30017": "the carrier's network is congested",
    "30019": "the message is too large",
    "30022": "the carrier's rate for this sender is exceeded; lower the rate",
    "30023": "the carrier's daily limit for this sender is reached; continue tomorrow",
    "30026": "70 % of the carrier's daily limit are used",
    "30027": "the carrier's daily limit is reached; continue tomorrow",
    EXPIRED: "its validity passed before it could be sent",
    "30410": "the carrier did not answer in time",
    "30441": "the toll-free sender's verification was rejected",
    "30442": "the toll-free sender's verification was rejected",
    "30450": "delivery to this number is blocked for a time",
}

OPTED_OUT = {"21610"}  # reported: write a suppression

ACCOUNT_STATUSES = {401, 402, 403}
WRONG_DOOR = {404, 405, 406, 415}

# ---------------------------------------------------------------------------------------------------------------------

VERSION = "2010-04-01"
TEXT_LIMIT = 1600  # characters
VALIDITY_SECONDS = (6, 36_000)  # 1 is allowed, more than 5 advised
LIST_MOST = 20  # messages of a look-up: twenty of the longest still are an answer that is read whole
EARLIER_SECONDS = 60.0  # a message's date against our time of submission: clocks differ
LATER_SECONDS = 120.0


class Twilio(Provider):
    """Twilio's Programmable Messaging for SMS.

    `account_sid`, and either `auth_token` or `api_key` and `api_secret`. Webhooks are always signed with the auth
    token: without it every webhook is rejected; while it is being changed, `secondary_auth_token` is believed too.
    `webhook_url` is where reports come in: without it there are none. With `messaging_service_sid` messages go through
    that service, whose pool must hold the sender; a sender that is such an id (MG…) lets the service choose.

    Raises `ValueError` for options that cannot work, and says which to set. It never repeats their values.
    """

    name = "twilio"
    credentials = ("account_sid", "auth_token")
    capabilities = Capabilities(
        echoes_reference=True,
        lookup=True,
        validity=True,
        max_text_units=TEXT_LIMIT,
        signs_webhooks=True,
        answers_stop=True,
    )

    def __init__(
        self,
        *,
        account_sid: str = "",
        auth_token: str = "",
        secondary_auth_token: str = "",
        api_key: str = "",
        api_secret: str = "",
        messaging_service_sid: str = "",
        base_url: str = "https://api.twilio.com",
        webhook_url: str = "",
    ) -> None:
        if not re.fullmatch(r"AC[0-9A-Za-z]{1,62}", account_sid):
            raise ValueError("Twilio: set account_sid, which begins with AC")
        if bool(api_key) != bool(api_secret):
            raise ValueError("Twilio: api_key and api_secret go together; set both or neither")
        if not (auth_token or api_key):
            raise ValueError("Twilio: set auth_token, or api_key and api_secret")
        if messaging_service_sid and not _is_service(messaging_service_sid):
            raise ValueError("Twilio: messaging_service_sid is MG and 32 hexadecimal digits")
        self._tokens = [token.encode() for token in (auth_token, secondary_auth_token) if token]
        self._messaging_service_sid = messaging_service_sid
        self._webhook_url = http_url("Twilio", "webhook_url", webhook_url) if webhook_url else ""
        if not self._webhook_url:  # only an address of our own brings the reference back
            self.capabilities = replace(self.capabilities, echoes_reference=False)
        self._messages = (
            http_url("Twilio", "base_url", base_url).rstrip("/") + f"/{VERSION}/Accounts/{account_sid}/Messages"
        )
        self.endpoint = f"{self._messages}.json"
        user, password = (api_key, api_secret) if api_key else (account_sid, auth_token)
        self._basic = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    def __repr__(self) -> str:
        return f"<Twilio {self.endpoint}>"

    def build(self, message: Message) -> Request:
        """The POST that submits `message`. Raises `Refused` for a text over 1600 characters or not valid Unicode."""
        if len(message.text) > TEXT_LIMIT:
            raise Refused(
                f"The text has {len(message.text)} characters and Twilio takes {TEXT_LIMIT}; shorten it.",
                code="text_too_long",
            )
        fields = {"To": message.number, "Body": message.text}
        if _is_service(message.sender):
            fields["MessagingServiceSid"] = message.sender
        else:
            fields["From"] = message.sender
            if self._messaging_service_sid:
                fields["MessagingServiceSid"] = self._messaging_service_sid
        if message.report and self._webhook_url:
            fields["StatusCallback"] = callback_url(self._webhook_url, message.reference)
        if message.validity_seconds is not None:
            shortest, longest = VALIDITY_SECONDS
            fields["ValidityPeriod"] = str(min(max(int(message.validity_seconds), shortest), longest))
        body = form_body(fields)
        return Request(
            "POST", self.endpoint, self._headers() | {"Content-Type": "application/x-www-form-urlencoded"}, body
        )

    def read(self, response: Response) -> Accepted:
        """What Twilio's answer means: the code decides, else the HTTP status."""
        status, answer = response.status, reading.json_object(response.body)
        if 200 <= status < 300:
            if sid := reading.clean(answer.get("sid")):
                price, currency = _price(answer)
                segments = reading.count(answer.get("num_segments")) or None  # a service says 0 at first
                return Accepted(provider_id=sid, segments=segments, price=price, currency=currency)
            raise Uncertain("Twilio's answer says yes but names no message; wait for its report.")
        if 400 <= status < 500:
            raise _refusal(status, _answer_code(answer), response.headers)
        raise Uncertain(f"Twilio answered with HTTP status {status}; whether it took the message is not known.")

    def verify(self, webhook: WebhookRequest, now: float) -> None:
        """Raises `WebhookRejected` unless Twilio signed this address and this body with our auth token.

        It signs the address as it called it, so behind a proxy `webhook_url` must say what that was. There is no date
        in a webhook: a replay passes, and the storage behind it is idempotent.
        """
        if not self._tokens:
            raise WebhookRejected("Webhooks cannot be verified: set Twilio's option auth_token")
        given = webhook.headers.get("x-twilio-signature", "")
        require(bool(given), "it carries no signature")
        if _is_json(webhook.body):
            # the address carries the hash of such a body, and the signature covers the address
            signed_hash = reading.form(webhook.query).get("bodySHA256", "")
            genuine = reading.same(signed_hash, hashlib.sha256(webhook.body).hexdigest())
            require(genuine, "its body is not the one that was signed")
            signed = ""
        else:
            signed = _joined(webhook.body)
        addresses = _with_and_without_port(called_url(webhook, self._webhook_url))
        found = [
            reading.same(given, _signature(token, address + signed)) for token in self._tokens for address in addresses
        ]
        require(any(found), "its signature is wrong; check the options auth_token and webhook_url")

    def events(self, webhook: WebhookRequest) -> Sequence[DeliveryReport | InboundText]:
        """The one event in a webhook; none for what is not about a text. Raises `WebhookRejected` when unreadable."""
        fields = _fields(webhook)
        require(bool(fields), "it holds no parameters")
        sid = reading.clean(fields.get("MessageSid") or fields.get("SmsSid"))
        number, sender = reading.clean(fields.get("From")), reading.clean(fields.get("To"))
        if ":" in number + sender:  # another channel, such as whatsapp:+1…
            return []
        if "MessageStatus" in fields:
            return [_report(fields["MessageStatus"], fields.get("ErrorCode"), called_reference(webhook), sid)]
        text = fields.get("Body")
        is_picture = not text and reading.clean(fields.get("NumMedia")) not in ("", "0")
        if not isinstance(text, str) or not number or is_picture:
            return []
        return [
            InboundText(
                number=reading.with_plus(number),
                sender=reading.with_plus(sender),
                text=reading.clean(text, strip=False),
                provider_id=sid,
                opted_out=reading.clean(fields.get("OptOutType")) == "STOP",  # sent with Advanced Opt-Out alone
            )
        ]

    def build_lookup(self, sought: Lookup) -> Request:
        """The GET of one message by its id; or of the newest ones to this number, when the id was lost.

        The list is not narrowed by date: `DateSent` would leave out what still waits in Twilio's queue.
        """
        if sought.provider_id:
            return Request("GET", f"{self._messages}/{quote(sought.provider_id, safe='')}.json", self._headers())
        wanted = {"To": sought.number, "PageSize": str(LIST_MOST)}
        if sought.sender and not (self._messaging_service_sid or _is_service(sought.sender)):
            wanted["From"] = sought.sender  # a service chooses its sender later
        return Request("GET", f"{self.endpoint}?{urlencode(wanted)}", self._headers())

    def read_lookup(self, response: Response, sought: Lookup) -> DeliveryReport | None:
        """The message as Twilio has it now, with its price when that is known; None when it is not there (yet).

        In a list, what has our text and was made about the time of our submit is ours; of several, the nearest.
        """
        status, answer = response.status, reading.json_object(response.body)
        if status == 404 and sought.provider_id:
            return None
        if 400 <= status < 500:
            raise _not_told(_refusal(status, _answer_code(answer), response.headers))
        if status != 200:
            raise Uncertain(f"Twilio answered the look-up with HTTP status {status}; ask again.")
        if sought.provider_id:
            if reading.clean(answer.get("sid")) != sought.provider_id:
                raise Uncertain("Twilio's answer to the look-up cannot be read; ask again.")
            return _found(answer, sought)
        if not isinstance(answer.get("messages"), list):
            raise Uncertain("Twilio's answer to the look-up cannot be read; ask again.")
        ours = [each for each in map(reading.as_object, answer["messages"]) if _is_sought(each, sought)]
        return _found(min(ours, key=lambda each: _apart(each, sought)), sought) if ours else None

    def _headers(self) -> dict[str, str]:
        return {"Accept": "application/json", "Authorization": self._basic}


def _is_service(sender: str) -> bool:
    return bool(re.fullmatch(r"MG[0-9a-fA-F]{32}", sender))


# Answers


def _refusal(status: int, code: str, headers: Mapping[str, str]) -> ProviderError:
    """The reaction to a 4xx."""
    reaction, reason = ANSWERS.get(code, (Refused, f"code {code} of Twilio, which we do not know"))
    if status == 429 or reaction is Throttled:
        seconds = reading.retry_after(headers)
        why = f" ({reason})" if code in ANSWERS else ""
        rest = REST_SECONDS.get(code) if seconds is None else seconds
        return Throttled(f"Twilio takes it later{why}.", code=code or "429", retry_after=rest)
    if status in (408, 409) or reaction is Uncertain:
        return Uncertain(
            f"Twilio answered with HTTP status {status}; whether it took the message is not known.", code=code
        )
    if status in ACCOUNT_STATUSES and code not in ANSWERS:
        reason = (
            ANSWERS["20003"][1] if status == 401 else "Twilio does not let this account send; look into its console"
        )
        return AccountProblem(f"Nothing can be sent: {reason}.", code=code or str(status))
    if status in WRONG_DOOR and code not in ANSWERS:
        return AccountProblem(
            f"Nothing can be sent: HTTP status {status} means that the address is not Twilio's; check base_url.",
            code=code or str(status),
        )
    if reaction is AccountProblem:
        return AccountProblem(f"Nothing can be sent: {reason}.", code=code)
    if not code:
        return Refused(f"Twilio refused the message: HTTP status {status}.", code=str(status))
    return reaction(f"Twilio refused the {'sender' if reaction is SenderProblem else 'message'}: {reason}.", code=code)


def _not_told(error: ProviderError) -> ProviderError:
    """What a refusal means for a look-up: about the message itself it says nothing."""
    if isinstance(error, AccountProblem | Throttled | Uncertain):
        return error
    return Uncertain("Twilio refused the look-up; what became of the message is not known.", code=error.code)


def _answer_code(answer: Mapping[str, Any]) -> str:
    """The code; newer services have it at the end of `type`."""
    kind = answer.get("type")
    fragment = re.split("[/#]", kind)[-1] if isinstance(kind, str) else ""
    return reading.code(answer.get("code"), numeric=True) or reading.code(fragment, numeric=True)


def _price(message: Mapping[str, Any]) -> tuple[Decimal | None, str]:
    """What it cost: Twilio writes it as what the account loses, a negative number."""
    price = reading.price(message.get("price"))
    return (None, "") if price is None else (abs(price), reading.currency(message.get("price_unit")))


# Look-ups


def _is_sought(found: Mapping[str, Any], sought: Lookup) -> bool:
    """Whether a message of the list can be the one we sent. (A service may have smart encoding switched on.)"""
    return (
        bool(reading.clean(found.get("sid")))
        and found.get("to") == sought.number
        and found.get("body") in (sought.text, smart(sought.text))
        and str(found.get("direction", "")).startswith("outbound")
        and -EARLIER_SECONDS <= _apart(found, sought, signed=True) <= LATER_SECONDS
    )


def _apart(found: Mapping[str, Any], sought: Lookup, *, signed: bool = False) -> float:
    """Seconds from our submit to the message's date."""
    created = _moment(found.get("date_created"))
    seconds = float("inf") if created is None else created.timestamp() - sought.submitted_at
    return seconds if signed else abs(seconds)


def _found(message: Mapping[str, Any], sought: Lookup) -> DeliveryReport:
    price, currency = _price(message)
    report = _report(message.get("status"), message.get("error_code"), sought.reference, reading.clean(message["sid"]))
    return DeliveryReport(
        status=report.status,
        reference=report.reference,
        provider_id=report.provider_id,
        word=report.word,
        code=report.code,
        reason=report.reason,
        at=_moment(message.get("date_updated")),
        opted_out=report.opted_out,
        price=price,
        currency=currency,
        segments=reading.count(message.get("num_segments")) or None,
    )


def _moment(value: object) -> datetime | None:
    """An aware time in UTC from RFC 2822, such as "Wed, 04 Mar 2026 09:15:25 +0000"."""
    try:
        read = parsedate_to_datetime(value if isinstance(value, str) else "")
        return (read if read.tzinfo else read.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


# Webhooks


def _signature(token: bytes, text: str) -> str:
    return base64.b64encode(hmac.digest(token, text.encode("utf-8", "surrogatepass"), "sha1")).decode()


def _joined(body: bytes) -> str:
    """A form's names and values as they are signed: sorted, each different value of a name once, blanks too."""
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=reading.FORM_FIELDS_MOST)
    except ValueError:
        raise WebhookRejected("The webhook is rejected: its body is not a form") from None
    return "".join(name + value for name, value in sorted(set(pairs)))


def _with_and_without_port(url: str) -> Iterable[str]:
    """An address as Twilio may have written it when it signed: it is not consistent about the scheme's usual port."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return {url}
    bare = parts.netloc.removesuffix(f":{port}")
    usual = port or {"https": 443, "http": 80}.get(parts.scheme)
    # by hand, because urlunsplit would tidy up what was signed as it is
    rest = url[len(f"{parts.scheme}://{parts.netloc}") :]
    return {url, f"{parts.scheme}://{bare}{rest}", f"{parts.scheme}://{bare}:{usual}{rest}"}


def _is_json(body: bytes) -> bool:
    """By its first character, in `verify` and in `events` alike: a header could be made to say anything."""
    return body.lstrip()[:1] in (b"{", b"[")


def _fields(webhook: WebhookRequest) -> Mapping[str, Any]:
    """The parameters, from the body if there is one (JSON or a form), else from the query."""
    if _is_json(webhook.body):
        return reading.json_object(webhook.body)
    return reading.form(webhook.body or webhook.query)


def _report(status: object, error_code: object, reference: str, sid: str) -> DeliveryReport:
    word, code = reading.clean(status), reading.code(error_code, numeric=True)
    found = STATUSES.get(word)
    if found in (Status.FAILED, Status.UNDELIVERED) and code == EXPIRED:
        found = Status.EXPIRED
    elif found is Status.FAILED and (code in REFUSED_CODES or re.fullmatch("21[0-9]{3}", code)):
        found = Status.REFUSED
    known = CODES.get(code) or (ANSWERS[code][1] if code in ANSWERS else "")
    return DeliveryReport(
        status=found,
        reference=reference,
        provider_id=sid,
        word=word,
        code=code,
        reason=(known or f"code {code} of Twilio, which we do not know") if code else "",
        opted_out=code in OPTED_OUT,
    )
