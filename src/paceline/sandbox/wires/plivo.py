"""How does Plivo's message API look from their side? Requests checked, answers and callbacks written and signed.

Facts from the official SDKs (shapes, signature) and the developer pages (words and codes). Where they leave a choice,
this carrier is the strict one, so that a wrong request is found here.
"""

from __future__ import annotations

import binascii
import hmac
import json
import re
import secrets
import uuid
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import ClassVar
from urllib.parse import quote, urlencode, urlsplit

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

FORM = "application/x-www-form-urlencoded"
RATE = Decimal("0.0065")

SENT = ("sent", "")
ENDINGS: Mapping[Ending, tuple[str, str]] = {
    Ending.DELIVERED: ("delivered", ""),
    Ending.ABSENT: ("undelivered", "50"),
    Ending.UNREACHABLE: ("undelivered", "20"),
    Ending.UNROUTABLE: ("failed", "50"),
    Ending.FILTERED: ("rejected", "30"),
    Ending.EXPIRED: ("undelivered", "420"),
    Ending.UNKNOWN: ("failed", "1000"),
    Ending.OPTED_OUT: ("rejected", "200"),
}
"""Our ending → their status and code; 200, 420 and 1000 as they are believed to be."""

PARAMETERS = frozenset(
    (
        *("src", "dst", "text", "type", "url", "method", "log", "trackable", "message_expiry", "dlt_entity_id"),
        *("dlt_template_id", "dlt_template_category"),
    )
)


def problem(status: int, error: str, *, throttled: bool = False, why: str = "") -> Problem:
    reply = Reply(status, json.dumps({"api_id": str(uuid.uuid4()), "error": error}).encode())
    return Problem(reply, str(status), throttled=throttled, why=why)


@dataclass(frozen=True)
class Plivo(Wire):
    """Plivo's message API v1. Its signature covers the address without the query, and no body."""

    name: ClassVar[str] = "plivo"
    forgeries: ClassVar[Sequence[Forgery]] = (Forgery.UNSIGNED, Forgery.WRONG_SECRET, Forgery.WRONG_HASH)
    garbage: ClassVar[Sequence[Reply]] = (
        Reply(202),
        Reply(200, b"<html><body>Welcome to the hotel's network</body></html>", "text/html"),
        Reply(202, b'{"message": "message(s) queued", "message_uuid": ["db3ce55a-'),
        Reply(202, b'{"message": "message(s) queued", "message_uuid": []}'),
        Reply(202, b'{"message": "message(s) queued"}'),
        Reply(200, b"\xff\xfe\x00"),
    )
    server_errors: ClassVar[Sequence[Reply]] = (
        Reply(500, b'{"api_id": "", "error": "internal error"}'),
        Reply(502, b"<html><body>502 Bad Gateway</body></html>", "text/html"),
        Reply(503),
        Reply(504, b"<html><body>504 Gateway Time-out</body></html>", "text/html"),
    )

    auth_id: str = flag("SANDBOXAUTHID", "Account that addresses and requests name")
    auth_token: str = flag("sandbox-token", "Token of Basic authentication, which also signs webhooks", secret=True)

    def submits(self, knock: Knock) -> bool:
        return knock.path == f"/v1/Account/{quote(self.auth_id, safe='')}/Message/"

    def read(self, knock: Knock, now: float) -> Submission:
        if knock.method != "POST":
            raise problem(405, "method not allowed")
        scheme, _, credentials = knock.headers.get("authorization", "").partition(" ")
        wanted = f"{self.auth_id}:{self.auth_token}".encode()
        if scheme.lower() != "basic" or not hmac.compare_digest(_decoded(credentials), wanted):
            raise self.unauthorized()
        return read(knock.headers.get("content-type", ""), knock.body)

    def accepted(self, submission: Submission, provider_id: str) -> Reply:
        answer = {"api_id": str(uuid.uuid4()), "message": "message(s) queued", "message_uuid": [provider_id]}
        return Reply(202, json.dumps(answer).encode())

    def unauthorized(self) -> Problem:
        return problem(401, "authentication failed")

    def low_balance(self) -> Problem:
        return problem(402, "insufficient balance")

    def throttled(self, why: str) -> Problem:
        return problem(429, "too many requests", throttled=True, why=why)

    def barred_recipient(self) -> Problem:
        return problem(400, "dst is not a valid number")

    def internal(self) -> Problem:
        return problem(500, "internal error")

    def not_found(self) -> Problem:
        return problem(404, "not found")

    def words(self, ending: Ending | None) -> tuple[str, str]:
        return ENDINGS[ending] if ending else SENT

    def report(
        self, accept: Accept, ending: Ending | None, at: float, url: str, now: float, forgery: Forgery | None = None
    ) -> Callback:
        status, code = self.words(ending)
        units = count_segments(accept.text)
        fields = {
            "MessageUUID": accept.provider_id,
            "ParentMessageUUID": accept.provider_id,
            "PartInfo": "1 of 1",
            "From": accept.sender.lstrip("+"),
            "To": accept.number.lstrip("+"),
            "Status": status,
            "ErrorCode": code or "000",
            "Units": str(units),
            "TotalRate": str(RATE),
            "TotalAmount": str(RATE * units),
            "DeliveryReportTime": datetime.fromtimestamp(at, UTC).isoformat(sep=" "),
        }
        return self._signed(url, fields, forgery)

    def inbound(self, said: Said, url: str, now: float) -> Callback:
        fields = {
            "MessageUUID": said.provider_id,
            "From": said.number.lstrip("+"),
            "To": said.sender.lstrip("+"),
            "Type": "sms",
            "Text": said.text,
            "Units": str(count_segments(said.text)),
        }
        return self._signed(url, fields)

    def _signed(self, url: str, fields: Mapping[str, str], forgery: Forgery | None = None) -> Callback:
        headers = {"Content-Type": FORM}
        if forgery is not Forgery.UNSIGNED:
            headers |= signed(url, self.auth_token, forgery)
        return Callback("POST", url, headers, urlencode(fields).encode())


def read(content_type: str, body: bytes) -> Submission:
    """A message from the request, checked field by field. Raises `Problem` 400."""
    if content_type.partition(";")[0].strip().lower() != JSON:
        raise problem(400, "send application/json")
    try:
        fields = json.loads(body)
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        raise problem(400, "unable to parse the request as a JSON object")
    sender, number, text, url = (fields.get(each, "") for each in ("src", "dst", "text", "url"))
    for unknown in fields.keys() - PARAMETERS:
        raise problem(400, f"{unknown} is not a parameter of this API")
    if not isinstance(number, str) or not re.fullmatch(r"[1-9][0-9]{6,14}", number):
        raise problem(400, "dst must be 7 to 15 digits")
    if not isinstance(sender, str) or not re.fullmatch(r"[1-9][0-9]{2,14}|(?=.*[A-Za-z])[A-Za-z0-9 ]{1,11}", sender):
        raise problem(400, "src must be digits, or 1 to 11 letters and digits")
    if sender == number:
        raise problem(400, "src and dst cannot be the same")
    if not isinstance(text, str) or not text:
        raise problem(400, "text must be a text")
    if fields.get("type", "sms") != "sms":
        raise problem(400, "type must be sms")
    if url != "" and not (isinstance(url, str) and is_web_address(url)):
        raise problem(400, "url must be an http or https URL")
    if fields.get("method", "POST") != "POST":
        raise problem(400, "method must be POST, the only one that this carrier calls with")
    return Submission(
        sender=f"+{sender}" if sender.isdigit() else sender,
        number=f"+{number}",
        text=text,
        reference=reference_in(url),
        webhook_url=url,
    )


def signed(url: str, auth_token: str, forgery: Forgery | None = None) -> dict[str, str]:
    """The headers of a V2 signature: over scheme, host, path and nonce, or one with a `forgery` in it."""
    nonce = str(secrets.randbelow(10**20))
    parts = urlsplit(url)
    address = f"{parts.scheme}://{parts.netloc}{parts.path}{'?' if forgery is Forgery.WRONG_HASH else ''}"
    key = auth_token + ("?" if forgery is Forgery.WRONG_SECRET else "")
    signature = b64encode(hmac.digest(key.encode(), (address + nonce).encode(), "sha256")).decode()
    return {
        "X-Plivo-Signature-V2": signature,
        "X-Plivo-Signature-Ma-V2": signature,
        "X-Plivo-Signature-V2-Nonce": nonce,
    }


def _decoded(credentials: str) -> bytes:
    try:
        return b64decode(credentials.strip(), validate=True)
    except (binascii.Error, ValueError):
        return b""
