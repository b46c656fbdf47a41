"""How does MessageBird's classic REST API look from its side? JSON in and out, reports by GET, signed with a JWT.

Facts from the official libraries and the pages on sending, errors and signed requests. Where they leave a choice, this
carrier is the strict one.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar
from urllib.parse import urlencode

from ..behaviour import Ending, Forgery
from ..flags import flag
from ..ledger import Accept
from .base import Callback, Knock, Problem, Reply, Said, Submission, Wire, count_segments, is_web_address

SUBMIT = "/messages"
FORM = "application/x-www-form-urlencoded"
PARAMETERS = frozenset(
    (
        *("originator", "recipients", "body", "type", "reference", "reportUrl", "validity", "datacoding"),
        *("mclass", "scheduledDatetime", "gateway"),
    )
)
SIGNED_SECONDS = 60
STALE_SECONDS = 3600

ENDINGS: Mapping[Ending, tuple[str, str, str]] = {
    Ending.DELIVERED: ("delivered", "", "successfully delivered"),
    Ending.ABSENT: ("delivery_failed", "27", "absent subscriber"),
    Ending.UNREACHABLE: ("delivery_failed", "", "received network error"),
    Ending.UNROUTABLE: ("delivery_failed", "1", "unknown subscriber"),
    Ending.FILTERED: ("delivery_failed", "", "carrier rejected"),
    Ending.EXPIRED: ("expired", "", ""),
    Ending.UNKNOWN: ("delivery_failed", "", ""),
    Ending.OPTED_OUT: ("delivery_failed", "", "opted out"),
}
"""Our ending → their status, statusErrorCode and statusReason. They have no status for unknown."""


def problem(status: int, code: int, description: str, parameter: str | None = None, **more: Any) -> Problem:
    error = {"code": code, "description": description, "parameter": parameter}
    return Problem(Reply(status, json.dumps({"errors": [error]}).encode()), str(code), **more)


@dataclass(frozen=True)
class MessageBird(Wire):
    """MessageBird's classic REST API."""

    name: ClassVar[str] = "messagebird"
    forgeries: ClassVar[Sequence[Forgery]] = tuple(Forgery)
    garbage: ClassVar[Sequence[Reply]] = (
        Reply(201),
        Reply(200, b"<html><body>Welcome to the hotel's network</body></html>", "text/html"),
        Reply(201, b'{"id": "5d2f8c1e6a34'),
        Reply(201, b'{"id": null, "recipients": {}}'),
        Reply(200, b"\xff\xfe\x00"),
    )
    server_errors: ClassVar[Sequence[Reply]] = (
        Reply(500, b'{"errors": [{"code": 99, "description": "internal error", "parameter": null}]}'),
        Reply(502, b"<html><body>502 Bad Gateway</body></html>", "text/html"),
        Reply(503),
        Reply(504),
    )

    access_key: str = flag("sandbox-token", "Key that requests name", secret=True)
    signing_key: str = flag("sandbox-signing-key", "Key that webhooks are signed with", secret=True)

    def submits(self, knock: Knock) -> bool:
        return knock.path == SUBMIT

    def read(self, knock: Knock, now: float) -> Submission:
        if knock.method != "POST":
            raise problem(405, 98, "Method not allowed")
        given = knock.headers.get("authorization", "")
        if not hmac.compare_digest(given.encode(), f"AccessKey {self.access_key}".encode()):
            raise self.unauthorized()
        if knock.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            raise problem(415, 21, "Send application/json")
        return _submission(knock.body)

    def accepted(self, submission: Submission, provider_id: str) -> Reply:
        item = {
            "recipient": int(submission.number.lstrip("+") or 0),
            "status": "sent",
            "statusDatetime": _timestamp(0),
            "messagePartCount": count_segments(submission.text),
        }
        answer = {
            "id": provider_id,
            "href": f"https://rest.messagebird.com/messages/{provider_id}",
            "direction": "mt",
            "originator": submission.sender.lstrip("+"),
            "body": submission.text,
            "reference": submission.reference or None,
            "createdDatetime": _timestamp(0),
            "recipients": {"totalCount": 1, "totalSentCount": 1, "items": [item]},
        }
        return Reply(201, json.dumps(answer).encode())

    def new_id(self) -> str:
        return uuid.uuid4().hex

    def unauthorized(self) -> Problem:
        return problem(401, 2, "Request not allowed (incorrect access_key)", "access_key")

    def low_balance(self) -> Problem:
        return problem(422, 25, "not enough balance")

    def throttled(self, why: str) -> Problem:
        return problem(429, 21, "Too many requests", throttled=True, why=why)

    def barred_recipient(self) -> Problem:
        return problem(422, 9, "no (correct) recipients found", "recipient")

    def internal(self) -> Problem:
        return problem(500, 99, "internal error")

    def not_found(self) -> Problem:
        return problem(404, 98, "API not found")

    def words(self, ending: Ending | None) -> tuple[str, str]:
        return ENDINGS[ending][:2] if ending else ("sent", "")

    def report(
        self, accept: Accept, ending: Ending | None, at: float, url: str, now: float, forgery: Forgery | None = None
    ) -> Callback:
        status, code, reason = ENDINGS[ending] if ending else ("sent", "", "")
        fields = {
            "id": accept.provider_id,
            "reference": accept.reference,
            "recipient": accept.number.lstrip("+"),
            "status": status,
            "statusReason": reason,
            "statusDatetime": _timestamp(at),
            "messagePartCount": str(count_segments(accept.text)),
        }
        if code:
            fields["statusErrorCode"] = code
        url += ("&" if "?" in url else "?") + urlencode(fields)
        return Callback("GET", url, self._signed(url, b"", now, forgery))

    def inbound(self, said: Said, url: str, now: float) -> Callback:
        fields = {
            "id": said.provider_id,
            "originator": said.number.lstrip("+"),
            "recipient": said.sender.lstrip("+"),
            "body": said.text,
            "createdDatetime": _timestamp(said.at),
        }
        body = urlencode(fields).encode()
        return Callback("POST", url, {"Content-Type": FORM, **self._signed(url, body, now)}, body)

    def _signed(self, url: str, body: bytes, now: float, forgery: Forgery | None = None) -> dict[str, str]:
        """The header with a JWT over the address and the body, or one with a `forgery` in it."""
        if forgery is Forgery.UNSIGNED:
            return {}
        since = int(now) - (STALE_SECONDS if forgery is Forgery.STALE else 0)
        claims = {
            "iss": "MessageBird",
            "nbf": since,
            "exp": since + SIGNED_SECONDS,
            "jti": str(uuid.uuid4()),
            "url_hash": _hash(url.encode() + (b"&" if forgery is Forgery.WRONG_HASH else b"")),
        }
        if body:
            claims["payload_hash"] = _hash(body)
        none = forgery is Forgery.ALGORITHM_NONE
        header = {"alg": "none" if none else "HS256", "typ": "JWT"}
        token = _base64(json.dumps(header).encode()) + b"." + _base64(json.dumps(claims).encode())
        key = self.signing_key + ("?" if forgery is Forgery.WRONG_SECRET else "")
        mac = b"" if none else hmac.digest(key.encode(), token, "sha256")
        return {"MessageBird-Signature-JWT": (token + b"." + _base64(mac)).decode()}


def _submission(body: bytes) -> Submission:
    """A submission from the body, checked field by field. Raises `Problem`."""
    try:
        fields = json.loads(body)
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        raise problem(400, 21, "Send a JSON object")
    for name in fields.keys() - PARAMETERS:
        raise problem(422, 10, f"{name} is not a parameter", name)
    sender, numbers, text = fields.get("originator"), fields.get("recipients"), fields.get("body")
    number = numbers[0] if isinstance(numbers, list) and len(numbers) == 1 else None  # this carrier takes one
    if not isinstance(number, str) or not re.fullmatch(r"[1-9][0-9]{6,14}", number):
        raise problem(422, 9, "no (correct) recipients found", "recipient")
    if not isinstance(sender, str) or not re.fullmatch(r"[1-9][0-9]{2,14}|(?=.*[A-Za-z])[A-Za-z0-9 ]{1,11}", sender):
        raise problem(422, 10, "originator is invalid", "originator")
    if not isinstance(text, str) or not text:
        raise problem(422, 9, "body is required", "body")
    _check_options(fields)
    return Submission(
        sender=f"+{sender}" if sender.isdigit() else sender,
        number=f"+{number}",
        text=text,
        reference=fields.get("reference", ""),
        webhook_url=fields.get("reportUrl", ""),
    )


def _check_options(fields: Mapping[str, Any]) -> None:
    """The optional fields. Raises `Problem` for a wrong one."""
    validity, reference, url = fields.get("validity", 1), fields.get("reference", "r"), fields.get("reportUrl")
    right = {
        "type": fields.get("type", "sms") == "sms",
        "datacoding": fields.get("datacoding", "plain") in ("plain", "unicode", "auto"),
        "validity": isinstance(validity, int) and not isinstance(validity, bool) and validity >= 1,
        "reference": isinstance(reference, str) and 1 <= len(reference) <= 60,
        "reportUrl": url is None or (isinstance(url, str) and is_web_address(url) and "reference" in fields),
    }
    for name, fine in right.items():
        if not fine:
            raise problem(422, 10, f"{name} is invalid", name)


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _base64(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")


def _timestamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
