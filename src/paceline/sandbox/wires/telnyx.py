"""How does Telnyx's messaging API v2 look from their side? Requests checked, answers and callbacks written and signed.

Facts from the official SDKs (shapes, signature) and the developer pages (words and codes). Where they leave a choice,
this carrier is the strict one, so that a wrong request is found here.
"""

from __future__ import annotations

import hmac
import json
import re
import uuid
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import unquote

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

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from ..book import Book

MESSAGES = "/v2/messages"
STALE_SECONDS = 3600
PRICE_PER_PART = Decimal("0.0040")
CURRENCY = "USD"

SENT = ("sent", "", "")
ENDINGS: Mapping[Ending, tuple[str, str, str]] = {
    Ending.DELIVERED: ("delivered", "", ""),
    Ending.ABSENT: ("delivery_failed", "40008", "Undeliverable"),
    Ending.UNREACHABLE: ("delivery_failed", "40006", "Recipient server unavailable"),
    Ending.UNROUTABLE: ("sending_failed", "40001", "Not routable"),
    Ending.FILTERED: ("sending_failed", "40003", "Blocked as spam - permanent"),
    Ending.EXPIRED: ("expired", "40005", "Message expired during transmission"),
    Ending.UNKNOWN: ("delivery_unconfirmed", "", ""),
    Ending.OPTED_OUT: ("sending_failed", "40300", "Blocked due to STOP message"),
}
"""Our ending → their status, code and title."""

PARAMETERS = frozenset(
    (
        *("to", "from", "messaging_profile_id", "text", "type", "encoding", "webhook_url", "webhook_failover_url"),
        *("use_profile_webhooks", "send_at", "auto_detect"),
    )
)


def problem(
    status: int, code: str, title: str, pointer: str = "", *, throttled: bool = False, why: str = ""
) -> Problem:
    error: dict[str, Any] = {"code": code, "title": title, "detail": title}
    if pointer:
        error["source"] = {"pointer": pointer}
    return Problem(Reply(status, json.dumps({"errors": [error]}).encode()), code, throttled=throttled, why=why)


@dataclass(frozen=True)
class Telnyx(Wire):
    """Telnyx's messaging API v2. A client verifies its webhooks with `public_key`, which belongs to `private_key`."""

    name: ClassVar[str] = "telnyx"
    forgeries: ClassVar[Sequence[Forgery]] = tuple(Forgery)
    garbage: ClassVar[Sequence[Reply]] = (
        Reply(200),
        Reply(200, b"<html><body>Welcome to the hotel's network</body></html>", "text/html"),
        Reply(200, b'{"data": {"record_type": "message", "id": "40317f0c-'),
        Reply(200, b'{"data": {}}'),
        Reply(200, b'{"id": "40317f0c"}'),
        Reply(200, b"\xff\xfe\x00"),
    )
    server_errors: ClassVar[Sequence[Reply]] = (
        Reply(500, b'{"errors": [{"code": "10007", "title": "Unexpected error"}]}'),
        Reply(502, b"<html><body>502 Bad Gateway</body></html>", "text/html"),
        Reply(503),
        Reply(504, b"<html><body>504 Gateway Time-out</body></html>", "text/html"),
    )

    api_key: str = flag("sandbox-key", "Key of Bearer authentication", secret=True)
    private_key: str = flag(
        "c2FuZGJveC1wcml2YXRlLWtleS1vZi0zMi1ieXRlcyE=",
        "Ed25519 key (base64 of 32 bytes) that webhooks are signed with",
        secret=True,
    )

    @property
    def public_key(self) -> str:
        """What a client verifies with: base64 of 32 bytes."""
        return b64encode(_key(self.private_key).public_key().public_bytes_raw()).decode()

    def submits(self, knock: Knock) -> bool:
        return knock.path == MESSAGES

    def read(self, knock: Knock, now: float) -> Submission:
        if knock.method != "POST":
            raise problem(405, "10001", "Method not allowed")
        self._admit(knock)
        return read(knock.headers.get("content-type", ""), knock.body)

    def accepted(self, submission: Submission, provider_id: str) -> Reply:
        data = {
            **_message(provider_id, submission.sender, submission.number, submission.text, "queued"),
            "direction": "outbound",
            "completed_at": None,
            "webhook_url": submission.webhook_url or None,
        }
        return Reply(200, json.dumps({"data": data}).encode())

    def look_up(self, knock: Knock, book: Book, ending: Callable[[Accept], Ending | None]) -> Reply | None:
        """`GET /v2/messages/{id}`."""
        if knock.method != "GET" or not knock.path.startswith(MESSAGES + "/"):
            return None
        self._admit(knock)
        sought = unquote(knock.path.removeprefix(MESSAGES + "/"))
        for accept in book.messages.values():
            if accept.provider_id == sought:
                data = payload(accept, ending(accept), accept.at)
                return Reply(200, json.dumps({"data": data}).encode())
        raise self.not_found()

    def unauthorized(self) -> Problem:
        return problem(401, "10009", "Authentication failed")

    def low_balance(self) -> Problem:
        return problem(403, "10010", "Authorization failed")

    def throttled(self, why: str) -> Problem:
        return problem(429, "10011", "Too many requests", throttled=True, why=why)

    def barred_recipient(self) -> Problem:
        return problem(400, "10002", "Invalid phone number", "/to")

    def internal(self) -> Problem:
        return problem(500, "10007", "Unexpected error")

    def not_found(self) -> Problem:
        return problem(404, "10005", "Resource not found")

    def words(self, ending: Ending | None) -> tuple[str, str]:
        status, code, _ = ENDINGS[ending] if ending else SENT
        return status, code

    def report(
        self, accept: Accept, ending: Ending | None, at: float, url: str, now: float, forgery: Forgery | None = None
    ) -> Callback:
        kind = "message.finalized" if ending else "message.sent"
        return self._signed(url, event(kind, payload(accept, ending, at), at, url), now, forgery)

    def inbound(self, said: Said, url: str, now: float) -> Callback:
        message = {
            **_message(said.provider_id, said.number, said.sender, said.text, "webhook_delivered"),
            "direction": "inbound",
            "cost": None,
        }
        return self._signed(url, event("message.received", message, said.at, url), now)

    def _admit(self, knock: Knock) -> None:
        given = knock.headers.get("authorization", "").encode()
        if not hmac.compare_digest(given, f"Bearer {self.api_key}".encode()):
            raise self.unauthorized()

    def _signed(self, url: str, body: bytes, now: float, forgery: Forgery | None = None) -> Callback:
        headers = {"Content-Type": JSON}
        if forgery is not Forgery.UNSIGNED:
            headers |= signed(body, self.private_key, now, forgery)
        return Callback("POST", url, headers, body)


def read(content_type: str, body: bytes) -> Submission:
    """A message from the request, checked field by field. Raises `Problem` 400 or 415."""
    if content_type.partition(";")[0].strip().lower() != JSON:
        raise problem(415, "10015", "Send application/json")
    try:
        fields = json.loads(body)
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        raise problem(400, "10015", "Unable to parse the request as a JSON object")
    number, sender, text, url = (fields.get(each, "") for each in ("to", "from", "text", "webhook_url"))
    for unknown in fields.keys() - PARAMETERS:
        raise problem(400, "10015", "Unknown parameter", f"/{unknown}")
    if not isinstance(number, str) or not re.fullmatch(r"\+[1-9][0-9]{6,14}", number):
        raise problem(400, "10016", "Phone number must be in +E.164 format", "/to")
    if not isinstance(sender, str) or not _is_sender(sender):
        raise problem(400, "10016", "Phone number must be in +E.164 format", "/from")
    if not isinstance(text, str) or not text:
        raise problem(400, "10015", "The text is missing", "/text")
    if fields.get("type", "SMS") != "SMS":
        raise problem(400, "10015", "The type must be SMS", "/type")
    if fields.get("encoding", "auto") not in ("auto", "gsm7", "ucs2"):
        raise problem(400, "10015", "The encoding must be auto, gsm7 or ucs2", "/encoding")
    if not isinstance(fields.get("messaging_profile_id", ""), str):
        raise problem(400, "10015", "The messaging profile must be a text", "/messaging_profile_id")
    if url != "" and not (isinstance(url, str) and is_web_address(url)):
        raise problem(400, "10015", "The webhook URL must be an http or https URL", "/webhook_url")
    return Submission(sender=sender, number=number, text=text, reference=reference_in(url), webhook_url=url)


def _is_sender(sender: str) -> bool:
    return bool(re.fullmatch(r"\+[1-9][0-9]{6,14}|[1-9][0-9]{2,7}|(?=.*[A-Za-z])[A-Za-z0-9 ]{1,11}", sender))


def payload(accept: Accept, ending: Ending | None, at: float) -> dict[str, Any]:
    """The message in an event or a look-up; no ending means sent. `at` is epoch seconds."""
    status, code, title = ENDINGS[ending] if ending else SENT
    return {
        **_message(accept.provider_id, accept.sender, accept.number, accept.text, status),
        "direction": "outbound",
        "completed_at": _timestamp(at) if ending else None,
        "errors": [{"code": code, "title": title}] if code else [],
    }


def _message(provider_id: str, sender: str, number: str, text: str, status: str) -> dict[str, Any]:
    parts = count_segments(text)
    return {
        "id": provider_id,
        "record_type": "message",
        "type": "SMS",
        "from": {"phone_number": sender, "carrier": "", "line_type": ""},
        "to": [{"phone_number": number, "status": status, "carrier": "", "line_type": ""}],
        "text": text,
        "encoding": "GSM-7",
        "parts": parts,
        "cost": {"amount": str(PRICE_PER_PART * parts), "currency": CURRENCY},
        "errors": [],
    }


def event(kind: str, message: Mapping[str, Any], at: float, url: str) -> bytes:
    """The envelope that all webhooks come in."""
    data = {
        "event_type": kind,
        "id": str(uuid.uuid4()),
        "occurred_at": _timestamp(at),
        "payload": message,
        "record_type": "event",
    }
    return json.dumps({"data": data, "meta": {"attempt": 1, "delivered_to": url}}).encode()


def signed(body: bytes, private_key: str, now: float, forgery: Forgery | None = None) -> dict[str, str]:
    """The headers of a signature: Ed25519 over time and body, or one with a `forgery` in it."""
    key = _key(b64encode(b"?" * 32).decode() if forgery is Forgery.WRONG_SECRET else private_key)
    date = str(int(now) - (STALE_SECONDS if forgery is Forgery.STALE else 0))
    content = body + (b" " if forgery is Forgery.WRONG_HASH else b"")
    signature = b64encode(key.sign(f"{date}|".encode() + content)).decode()
    return {
        "telnyx-signature-ed25519": "" if forgery is Forgery.ALGORITHM_NONE else signature,
        "telnyx-timestamp": date,
    }


@lru_cache(maxsize=8)
def _key(private_key: str) -> Ed25519PrivateKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # only this wire needs it

    return Ed25519PrivateKey.from_private_bytes(b64decode(private_key))


def _timestamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
