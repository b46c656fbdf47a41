"""How does Twilio's Programmable Messaging look from their side? Forms in, JSON out, callbacks as signed forms.

Facts from Twilio's OpenAPI description, its error dictionary, its pages on statuses and webhook security, and the
official library. Where they leave a choice, this carrier is the strict one.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import parse_qsl, urlencode

from ..behaviour import Ending, Forgery
from ..flags import flag
from ..ledger import Accept
from .base import Callback, Knock, Problem, Reply, Said, Submission, Wire, count_segments, is_web_address, reference_in

if TYPE_CHECKING:
    from ..book import Book

VERSION = "2010-04-01"
ERRORS = "https://www.twilio.com/docs/errors"
FORM = "application/x-www-form-urlencoded"

LONGEST_TEXT = 1600
VALIDITY_SECONDS = range(1, 36_001)
PAGE_MOST = 1000

PRICE_PER_SEGMENT = Decimal("-0.00750")
POOL_NUMBER = "+12025550199"  # what a messaging service sends from

ENDINGS: Mapping[Ending, tuple[str, str]] = {
    Ending.DELIVERED: ("delivered", ""),
    Ending.ABSENT: ("undelivered", "30003"),
    Ending.UNREACHABLE: ("undelivered", "30005"),
    Ending.UNROUTABLE: ("undelivered", "30006"),
    Ending.FILTERED: ("failed", "30007"),
    Ending.EXPIRED: ("failed", "30036"),
    Ending.UNKNOWN: ("undelivered", "30008"),
    Ending.OPTED_OUT: ("failed", "21610"),
}
"""Our ending → their status and error code."""


def problem(status: int, code: int, message: str, *, throttled: bool = False, why: str = "") -> Problem:
    body = {"code": code, "message": message, "more_info": f"{ERRORS}/{code}", "status": status}
    return Problem(Reply(status, json.dumps(body).encode()), str(code), throttled=throttled, why=why)


@dataclass(frozen=True)
class Twilio(Wire):
    """Twilio's Programmable Messaging."""

    name: ClassVar[str] = "twilio"
    forgeries: ClassVar[Sequence[Forgery]] = (
        Forgery.WRONG_SECRET,
        Forgery.WRONG_HASH,
        Forgery.ALGORITHM_NONE,
        Forgery.UNSIGNED,
    )
    refuses_opted_out: ClassVar[bool] = True
    garbage: ClassVar[Sequence[Reply]] = (
        Reply(200),
        Reply(201),
        Reply(200, b"<html><body>Welcome to the hotel's network</body></html>", "text/html"),
        Reply(201, b'{"account_sid": "AC00000000000000000000000000000001", "sid": "SM0000'),
        Reply(201, b'{"sid": null, "status": "queued"}'),
        Reply(201, b"<?xml version='1.0'?><TwilioResponse/>", "application/xml"),
        Reply(200, b"\xff\xfe\x00"),
    )
    server_errors: ClassVar[Sequence[Reply]] = (
        Reply(500, b'{"code": 20500, "message": "Internal Server Error", "status": 500}'),
        Reply(502, b"<html><body>502 Bad Gateway</body></html>", "text/html"),
        Reply(503, b'{"code": 20503, "message": "Service Unavailable", "status": 503}'),
        Reply(504),
    )

    account_sid: str = flag("AC00000000000000000000000000000001", "Account that requests must name")
    auth_token: str = flag("sandbox-token", "Password of the account; webhooks are signed with it", secret=True)
    api_key: str = flag("", "An API key (SK…) that may be used as well")
    api_secret: str = flag("", "Secret of the API key", secret=True)

    def submits(self, knock: Knock) -> bool:
        return knock.method == "POST" and knock.path == self._path(".json")

    def read(self, knock: Knock, now: float) -> Submission:
        self._admit(knock)
        if knock.query:
            raise problem(400, 20001, "Parameters belong into the body")
        if knock.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
            raise problem(415, 20415, "Unsupported media type")
        return read(knock.body)

    def new_id(self) -> str:
        return f"SM{secrets.token_hex(16)}"

    def accepted(self, submission: Submission, provider_id: str) -> Reply:
        by_service = submission.sender.startswith("MG")
        now = datetime.now(UTC).timestamp()
        accept = Accept(now, submission.sender, submission.number, "", submission.text, provider_id)
        message = self._message(accept, "accepted" if by_service else "queued", "")
        if by_service:
            message |= {"num_segments": "0"}
        return Reply(201, json.dumps(message).encode())

    def look_up(self, knock: Knock, book: Book, ending: Callable[[Accept], Ending | None]) -> Reply | None:
        if knock.method != "GET" or not knock.path.startswith(self._path("")):
            return None
        self._admit(knock)
        if knock.path == self._path(".json"):
            return self._list(knock, book, ending)
        sid = knock.path.removeprefix(self._path("/")).removesuffix(".json")
        for accept in book.messages.values():
            if accept.provider_id == sid:
                return Reply(200, json.dumps(self._now(accept, ending)).encode())
        raise self.not_found()

    def unauthorized(self) -> Problem:
        return problem(401, 20003, "Authenticate")

    def low_balance(self) -> Problem:
        return problem(400, 30002, "Account suspended")

    def throttled(self, why: str) -> Problem:
        return problem(429, 20429, "Too Many Requests", throttled=True, why=why)

    def barred_recipient(self) -> Problem:
        return problem(400, 21211, "The 'To' number is not a valid phone number.")

    def opted_out(self) -> Problem:
        return problem(400, 21610, "Attempt to send to unsubscribed recipient")

    def internal(self) -> Problem:
        return problem(500, 20500, "Internal Server Error")

    def not_found(self) -> Problem:
        return problem(404, 20404, "The requested resource was not found")

    def words(self, ending: Ending | None) -> tuple[str, str]:
        return ENDINGS[ending] if ending else ("sent", "")

    def report(
        self, accept: Accept, ending: Ending | None, at: float, url: str, now: float, forgery: Forgery | None = None
    ) -> Callback:
        status, code = self.words(ending)
        fields = {
            **self._about(accept.provider_id),
            "MessageStatus": status,
            "SmsStatus": status,
            "To": accept.number,
            "From": accept.sender,
        }
        if accept.sender.startswith("MG"):
            fields |= {"From": POOL_NUMBER, "MessagingServiceSid": accept.sender}
        if code:
            fields["ErrorCode"] = code
        return self._signed(url, fields, forgery)

    def inbound(self, said: Said, url: str, now: float) -> Callback:
        fields = {
            **self._about(said.provider_id),
            "SmsMessageSid": said.provider_id,
            "SmsStatus": "received",
            "From": said.number,
            "To": said.sender,
            "Body": said.text,
            "NumMedia": "0",
            "NumSegments": str(count_segments(said.text)),
            "FromCountry": "US",
            "FromCity": "",
        }
        return self._signed(url, fields)

    def _path(self, end: str) -> str:
        return f"/{VERSION}/Accounts/{self.account_sid}/Messages{end}"

    def _admit(self, knock: Knock) -> None:
        scheme, _, credentials = knock.headers.get("authorization", "").partition(" ")
        try:
            given = base64.b64decode(credentials, validate=True)
        except ValueError:
            given = b""
        allowed = [f"{self.account_sid}:{self.auth_token}".encode()]
        if self.api_key and self.api_secret:
            allowed.append(f"{self.api_key}:{self.api_secret}".encode())
        if scheme.lower() != "basic" or not any(hmac.compare_digest(given, each) for each in allowed):
            raise self.unauthorized()

    def _list(self, knock: Knock, book: Book, ending: Callable[[Accept], Ending | None]) -> Reply:
        """The newest messages first, by recipient and sender."""
        wanted = dict(parse_qsl(knock.query, keep_blank_values=True))
        for unknown in wanted.keys() - {"To", "From", "PageSize"}:
            raise problem(400, 20001, f"{unknown} is not a parameter of this carrier")
        size = wanted.get("PageSize", "50")
        if not re.fullmatch("[0-9]{1,4}", size) or not 1 <= int(size) <= PAGE_MOST:
            raise problem(400, 20001, "Page size must be from 1 to 1000")
        found = [
            accept
            for accept in book.messages.values()
            if wanted.get("To", accept.number) == accept.number and wanted.get("From", accept.sender) == accept.sender
        ]
        newest = sorted(found, key=lambda accept: accept.at, reverse=True)[: int(size)]
        page = {
            "messages": [self._now(accept, ending) for accept in newest],
            "page": 0,
            "page_size": int(size),
            "start": 0,
            "end": len(newest),
            "next_page_uri": None,
            "previous_page_uri": None,
        }
        return Reply(200, json.dumps(page).encode())

    def _now(self, accept: Accept, ending: Callable[[Accept], Ending | None]) -> dict[str, Any]:
        """A message as it is by now: its price comes with its end."""
        ended = ending(accept)
        status, code = self.words(ended) if ended else ("queued", "")
        message = self._message(accept, status, code)
        return message | {"price": str(PRICE_PER_SEGMENT * count_segments(accept.text))} if ended else message

    def _message(self, accept: Accept, status: str, code: str) -> dict[str, Any]:
        by_service = accept.sender.startswith("MG")
        return {
            "account_sid": self.account_sid,
            "api_version": VERSION,
            "body": accept.text,
            "date_created": _date(accept.at),
            "date_sent": None if status in ("queued", "accepted") else _date(accept.at),
            "date_updated": _date(accept.at),
            "direction": "outbound-api",
            "error_code": int(code) if code else None,
            "error_message": None,
            "from": None if by_service else accept.sender,
            "messaging_service_sid": accept.sender if by_service else None,
            "num_media": "0",
            "num_segments": str(count_segments(accept.text)),
            "price": None,
            "price_unit": "USD",
            "sid": accept.provider_id,
            "status": status,
            "to": accept.number,
            "uri": self._path(f"/{accept.provider_id}.json"),
        }

    def _about(self, provider_id: str) -> dict[str, str]:
        account = {"AccountSid": self.account_sid, "ApiVersion": VERSION}
        return {"MessageSid": provider_id, "SmsSid": provider_id, **account}

    def _signed(self, url: str, fields: Mapping[str, str], forgery: Forgery | None = None) -> Callback:
        """The form with its `X-Twilio-Signature`, or with a `forgery` in that."""
        headers = {"Content-Type": FORM}
        signed = {**fields, "MessageStatus": "delivered"} if forgery is Forgery.WRONG_HASH else fields
        text = url + "".join(f"{name}{signed[name]}" for name in sorted(signed))
        token = self.auth_token + ("?" if forgery is Forgery.WRONG_SECRET else "")
        mac = hmac.new(token.encode(), text.encode(), hashlib.sha1).digest()
        if forgery is Forgery.ALGORITHM_NONE:
            mac = hashlib.sha1(text.encode(), usedforsecurity=False).digest()
        if forgery is not Forgery.UNSIGNED:
            headers["X-Twilio-Signature"] = base64.b64encode(mac).decode()
        return Callback("POST", url, headers, urlencode(fields).encode())


PARAMETERS = frozenset(
    (
        *("To", "From", "MessagingServiceSid", "Body", "StatusCallback", "ApplicationSid", "ValidityPeriod"),
        *("SmartEncoded", "ProvideFeedback", "Attempt", "MaxPrice", "ShortenUrls", "RiskCheck"),
        *("ContentRetention", "AddressRetention"),
    )
)


def read(body: bytes) -> Submission:
    """A submission from the form, checked field by field. Raises `Problem`."""
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=True, errors="strict")
    except ValueError:
        raise problem(400, 20001, "Invalid form") from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise problem(400, 20001, "A parameter is given twice")
    for unknown in fields.keys() - PARAMETERS:
        raise problem(400, 20001, f"{unknown} is not a parameter of this API")

    number, text, callback = fields.get("To", ""), fields.get("Body", ""), fields.get("StatusCallback", "")
    sender, service = fields.get("From", ""), fields.get("MessagingServiceSid", "")
    validity = fields.get("ValidityPeriod", "36000")
    if not number:
        raise problem(400, 21604, "A 'To' phone number is required.")
    if not re.fullmatch(r"\+[1-9][0-9]{6,14}", number):
        raise problem(400, 21211, "The 'To' number is not a valid phone number.")
    if not sender and not service:
        raise problem(400, 21603, "A 'From' phone number is required.")
    if sender and not re.fullmatch(r"\+[1-9][0-9]{6,14}|[0-9]{3,8}|(?=.*[A-Za-z])[A-Za-z0-9 ]{1,11}", sender):
        raise problem(400, 21212, "The 'From' number is not a valid phone number, shortcode, or alphanumeric sender.")
    if service and not re.fullmatch(r"MG[0-9a-fA-F]{32}", service):
        raise problem(400, 21705, "The Messaging Service Sid is invalid.")
    if not text:
        raise problem(400, 21602, "Message body is required.")
    if len(text) > LONGEST_TEXT:
        raise problem(400, 21617, "The concatenated message body exceeds the 1600 character limit.")
    if callback and not is_web_address(callback):
        raise problem(400, 21609, "The 'StatusCallback' URL is not a valid URL.")
    if not re.fullmatch("[0-9]{1,5}", validity) or int(validity) not in VALIDITY_SECONDS:
        raise problem(400, 20001, "ValidityPeriod must be 1 to 36000 seconds")
    return Submission(
        sender=sender or service,
        number=number,
        text=text,
        reference=reference_in(callback),
        webhook_url=callback,
    )


def _date(at: float) -> str:
    return format_datetime(datetime.fromtimestamp(at, UTC))
