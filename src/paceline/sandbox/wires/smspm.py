"""How does SMSPM look from its side? One address for both styles, and answers in the shape that is switched on.

Facts from the company's documentation (version 2.0), its Python article for the GET style and its landing page for the
status words of that style. Where they contradict each other a switch chooses; what they leave open is strict here.
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from ..behaviour import Ending, Forgery
from ..flags import flag
from ..ledger import Accept
from .base import (
    JSON,
    Callback,
    Knock,
    Problem,
    Reply,
    Said,
    Submission,
    Wire,
    count_segments,
    is_web_address,
    reference_in,
)

SUBMIT = ("", "/")
REQUIRED = ("hash", "token", "toNumber", "text")
PARAMETERS = frozenset((*REQUIRED, "fromNumber", "smsId", "report"))
DEFAULT_SENDER = "smspm.com"
PRICE_PER_SEGMENT = Decimal("0.045")

ENDINGS: Mapping[Ending, str] = {
    Ending.DELIVERED: "delivered",
    Ending.ABSENT: "undelivered",
    Ending.UNREACHABLE: "undelivered",
    Ending.UNROUTABLE: "failed",
    Ending.FILTERED: "rejected",
    Ending.EXPIRED: "expired",
    Ending.UNKNOWN: "failed",
    Ending.OPTED_OUT: "rejected",
}
"""Our ending → their word. There is none for an opt-out."""


@dataclass(frozen=True)
class Smspm(Wire):
    """SMSPM, both styles at the root address."""

    name: ClassVar[str] = "smspm"
    forgeries: ClassVar[Sequence[Forgery]] = (Forgery.UNSIGNED, Forgery.WRONG_SECRET)
    garbage: ClassVar[Sequence[Reply]] = (
        Reply(200),
        Reply(200, b"<html><body>Welcome to the hotel's network</body></html>", "text/html"),
        Reply(200, b'{"messages": []}'),
        Reply(200, b'{"messages": [{"toNumber": "12125550123", "status": "Added to queue"}]}'),
        Reply(200, b'{"status": "success"}'),
        Reply(200, b'{"status": "success", "messageId": "5d2f8c'),
        Reply(200, b"\xff\xfe\x00"),
    )
    server_errors: ClassVar[Sequence[Reply]] = (
        Reply(500, b'{"status": "server_error", "message": "Try again later"}'),
        Reply(502, b"<html><body>502 Bad Gateway</body></html>", "text/html"),
        Reply(503),
        Reply(504),
    )

    hash: str = flag("sandbox-hash", "First half of the credentials", secret=True)
    token: str = flag("sandbox-token", "Second half of the credentials", secret=True)
    answers: str = flag("v2", "Shape of the answers, whatever the request's style: v2 or classic")
    reports_by: str = flag("GET", "How reports come: GET with a query, or POST with JSON")

    def __post_init__(self) -> None:
        if self.answers not in ("v2", "classic"):
            raise ValueError("answers is v2 or classic")
        if self.reports_by not in ("GET", "POST"):
            raise ValueError("reports_by is GET or POST")

    def submits(self, knock: Knock) -> bool:
        return knock.path in SUBMIT

    def read(self, knock: Knock, now: float) -> Submission:
        fields = self._fields(knock)
        for name in REQUIRED:
            if not fields.get(name):
                raise self._no(400, "invalid_params", f"{name[0].upper()}{name[1:]} is required")
        for name, ours in (("hash", self.hash), ("token", self.token)):
            if not _same(fields[name], ours):
                raise self.unauthorized()
        for name, value in fields.items():
            if name not in PARAMETERS or not isinstance(value, str):
                raise self._no(400, "invalid_params", "Unknown or malformed parameter")
        number, sender = fields["toNumber"], fields.get("fromNumber", DEFAULT_SENDER)
        if not re.fullmatch(r"\+?[1-9][0-9]{6,14}" if knock.method == "GET" else r"[1-9][0-9]{6,14}", number):
            raise self.barred_recipient()
        if not re.fullmatch(r"\+?[1-9][0-9]{2,14}|(?=.*[A-Za-z])[A-Za-z0-9 .]{1,11}", sender):
            raise self._no(200, "invalid_sender", "Invalid sender")
        if not is_web_address(fields.get("report", "http://a")):
            raise self._no(400, "invalid_params", "Invalid report URL")
        webhook_url = fields.get("report", "")
        return Submission(
            sender="+" + sender.lstrip("+") if sender.lstrip("+").isdigit() and len(sender) > 7 else sender,
            number="+" + number.lstrip("+"),
            text=fields["text"],
            reference=reference_in(webhook_url) or fields.get("smsId", ""),
            webhook_url=webhook_url,
        )

    def accepted(self, submission: Submission, provider_id: str) -> Reply:
        if self.answers == "v2":
            entry = {"id": provider_id, "toNumber": submission.number.lstrip("+"), "status": "Added to queue"}
            return Reply(200, json.dumps({"messages": [entry]}).encode())
        parts = count_segments(submission.text)
        answer = {"status": "success", "messageId": provider_id, "parts": parts, "currency": "EUR"}
        return Reply(200, json.dumps({**answer, "cost": float(PRICE_PER_SEGMENT * parts)}).encode())

    def unauthorized(self) -> Problem:
        return self._no(401, "auth_failed", "Invalid token")

    def low_balance(self) -> Problem:
        return self._no(402 if self.answers == "v2" else 200, "low_balance", "Insufficient balance")

    def throttled(self, why: str) -> Problem:
        return self._no(429, "rate_limit", "Too many requests", throttled=True, why=why)

    def barred_recipient(self) -> Problem:
        if self.answers == "classic":
            return self._no(200, "invalid_phone", "Invalid phone number")
        entry = {"id": "refused-with-an-id", "toNumber": "372", "error": "Invalid phone number: 372"}
        return Problem(Reply(200, json.dumps({"messages": [entry]}).encode()), "invalid_phone")

    def internal(self) -> Problem:
        return self._no(500, "server_error", "Try again later")

    def not_found(self) -> Problem:
        return self._no(404, "not_found", "No such address")

    def words(self, ending: Ending | None) -> tuple[str, str]:
        return ENDINGS[ending] if ending else "submitted", ""

    def report(
        self, accept: Accept, ending: Ending | None, at: float, url: str, now: float, forgery: Forgery | None = None
    ) -> Callback:
        url = _forged(url, forgery)
        word, to = self.words(ending)[0], accept.number.lstrip("+")
        if self.reports_by == "GET":
            query = urlencode({"id": accept.provider_id, "status": word, "toNumber": to})
            return Callback("GET", url + ("&" if urlsplit(url).query else "?") + query)
        timestamp = datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        body = {"messageId": accept.provider_id, "status": word, "to": to, "timestamp": timestamp}
        return Callback("POST", url, {"Content-Type": JSON}, json.dumps(body).encode())

    def inbound(self, said: Said, url: str, now: float) -> Callback:
        raise NotImplementedError("SMSPM hands over no inbound texts")

    def _fields(self, knock: Knock) -> dict[str, Any]:
        if knock.method == "GET":
            return dict(parse_qsl(knock.query, keep_blank_values=True))
        if knock.method != "POST":
            raise self._no(405, "invalid_params", "Submit with GET or POST")
        try:
            fields = json.loads(knock.body)
        except ValueError:
            fields = None
        if not isinstance(fields, dict) or not knock.headers.get("content-type", "").startswith(JSON):
            raise self._no(400, "invalid_params", "Send JSON")
        return fields

    def _no(self, status: int, word: str, message: str, *, throttled: bool = False, why: str = "") -> Problem:
        """A refusal of the whole request; v2 knows no status words and says some things inside a 200, too."""
        answer = {"error": message} if self.answers == "v2" else {"status": word, "message": message}
        return Problem(Reply(status, json.dumps(answer).encode()), word, throttled=throttled, why=why)


def _same(given: object, ours: str) -> bool:
    return isinstance(given, str) and hmac.compare_digest(given.encode(), ours.encode())


def _forged(url: str, forgery: Forgery | None) -> str:
    """The address as a stranger would call it: what it ends in is not known, or guessed."""
    parts = urlsplit(url)
    if forgery is Forgery.UNSIGNED:
        return urlunsplit(parts._replace(query=""))
    if forgery is Forgery.WRONG_SECRET:
        return urlunsplit(parts._replace(query=parts.query[:-1] + ("0" if parts.query[-1:] != "0" else "1")))
    return url
