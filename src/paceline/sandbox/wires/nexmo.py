"""How does Vonage's SMS API, once Nexmo's, look from their side? Forms in, JSON out, receipts in three shapes.

Facts from Nexmo's definitions of the SMS API, Vonage's pages on receipts, inbound texts and signatures, and the
official libraries. Where they leave a choice, this carrier is the strict one. It sends one receipt for a message, with
the id of its last segment; the real one sends a receipt for each.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import ClassVar
from urllib.parse import parse_qsl, urlencode

from ..behaviour import Ending, Forgery
from ..flags import flag
from ..ledger import Accept
from .base import (
    GSM_7,
    GSM_7_EXTENSION,
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
)

SUBMIT = "/sms/json"
FORM = "application/x-www-form-urlencoded"

LONGEST_TEXT = 3200
LONGEST_REFERENCE = 40
LONGEST_CALLBACK = 100
TTL_MILLISECONDS = range(20_000, 604_800_001)
STALE_SECONDS = 3600

PRICE_PER_SEGMENT = Decimal("0.04500000")
NETWORK = "310260"

HANDED_OVER = ("accepted", "0")
ENDINGS: Mapping[Ending, tuple[str, str]] = {
    Ending.DELIVERED: ("delivered", "0"),
    Ending.ABSENT: ("failed", "3"),
    Ending.UNREACHABLE: ("failed", "12"),
    Ending.UNROUTABLE: ("failed", "11"),
    Ending.FILTERED: ("rejected", "6"),
    Ending.EXPIRED: ("expired", "2"),
    Ending.UNKNOWN: ("unknown", "1"),
    Ending.OPTED_OUT: ("failed", "9"),
}
"""Our ending → their status and err-code."""

STYLES = ("get", "post", "json")
METHODS = ("sha256", "sha512", "sha1", "md5", "md5hash")


def problem(status: str, text: str, *, throttled: bool = False, why: str = "") -> Problem:
    """A no: HTTP 200 all the same."""
    body = {"message-count": "1", "messages": [{"status": status, "error-text": text}]}
    return Problem(Reply(200, json.dumps(body).encode()), status, throttled=throttled, why=why)


@dataclass(frozen=True)
class Nexmo(Wire):
    """Vonage's SMS API, known as Nexmo's."""

    name: ClassVar[str] = "nexmo"
    forgeries: ClassVar[Sequence[Forgery]] = tuple(Forgery)
    garbage: ClassVar[Sequence[Reply]] = (
        Reply(200),
        Reply(200, b"<html><body>Welcome to the hotel's network</body></html>", "text/html"),
        Reply(200, b'{"message-count": "1", "messages": [{"status": "0", "mess'),
        Reply(200, b'{"message-count": "1", "messages": [{"status": "0"}]}'),
        Reply(200, b'{"message-count": "0", "messages": []}'),
        Reply(200, b"\xff\xfe\x00"),
    )
    server_errors: ClassVar[Sequence[Reply]] = (
        Reply(200, b'{"message-count": "1", "messages": [{"status": "5", "error-text": "Internal Error"}]}'),
        Reply(500, b"Internal error", "text/plain"),
        Reply(502, b"<html><body>502 Bad Gateway</body></html>", "text/html"),
        Reply(503),
    )

    api_key: str = flag("sandbox", "API key that requests and webhooks name")
    api_secret: str = flag("sandbox-secret", "Secret that goes with the API key", secret=True)
    signature_secret: str = flag(
        "sandbox-signature-secret-of-32-bytes", "Secret that webhooks are signed with", secret=True
    )
    signature_method: str = flag("sha256", "How webhooks are signed: sha256, sha512, sha1, md5 (HMAC) or md5hash")
    webhook_style: str = flag("post", "How webhooks come: get, post (a form) or json")

    def __post_init__(self) -> None:
        if self.signature_method not in METHODS:
            raise ValueError(f"signature_method is one of {', '.join(METHODS)}, not {self.signature_method!r}")
        if self.webhook_style not in STYLES:
            raise ValueError(f"webhook_style is one of {', '.join(STYLES)}, not {self.webhook_style!r}")

    def submits(self, knock: Knock) -> bool:
        return knock.path == SUBMIT

    def read(self, knock: Knock, now: float) -> Submission:
        if knock.method != "POST":
            raise problem("3", "Submit with POST.")
        if knock.query:
            raise problem("3", "Parameters belong into the body.")
        if knock.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
            raise problem("3", "Send a form.")
        fields = _form(knock.body)
        if "api_key" not in fields or "api_secret" not in fields:
            raise problem("2", "Missing api_key or api_secret")
        given = f"{fields['api_key']}:{fields['api_secret']}".encode()
        if not hmac.compare_digest(given, f"{self.api_key}:{self.api_secret}".encode()):
            raise self.unauthorized()
        return read(fields)

    def new_id(self) -> str:
        return f"0C{secrets.randbits(56) >> 8 << 8:014X}"  # room for the ids of further segments

    def accepted(self, submission: Submission, provider_id: str) -> Reply:
        segments = count_segments(submission.text)
        parts = [
            {
                "to": submission.number.lstrip("+"),
                "message-id": _segment_id(provider_id, n),
                "status": "0",
                "remaining-balance": "14.20330000",
                "message-price": str(PRICE_PER_SEGMENT),
                "network": NETWORK,
                **({"client-ref": submission.reference} if submission.reference else {}),
            }
            for n in range(segments)
        ]
        return Reply(200, json.dumps({"message-count": str(segments), "messages": parts}).encode())

    def unauthorized(self) -> Problem:
        return problem("4", "Bad Credentials")

    def low_balance(self) -> Problem:
        return problem("9", "Quota Exceeded - rejected")

    def throttled(self, why: str) -> Problem:
        return problem("1", "Throughput Rate Exceeded - please wait and retry", throttled=True, why=why)

    def barred_recipient(self) -> Problem:
        return problem("7", "The number you are trying to submit to is blacklisted")

    def internal(self) -> Problem:
        return Problem(Reply(500, b"Internal error", "text/plain"), "500")

    def not_found(self) -> Problem:
        return Problem(Reply(404, b"Not found", "text/plain"), "404")

    def words(self, ending: Ending | None) -> tuple[str, str]:
        return ENDINGS[ending] if ending else HANDED_OVER

    def report(
        self, accept: Accept, ending: Ending | None, at: float, url: str, now: float, forgery: Forgery | None = None
    ) -> Callback:
        status, code = self.words(ending)
        fields = {
            "msisdn": accept.number.lstrip("+"),
            "to": accept.sender.lstrip("+"),
            "network-code": NETWORK,
            "messageId": _segment_id(accept.provider_id, count_segments(accept.text) - 1),
            "price": str(PRICE_PER_SEGMENT),
            "status": status,
            "scts": datetime.fromtimestamp(at, UTC).strftime("%y%m%d%H%M"),
            "err-code": code,
            "api-key": self.api_key,
            "message-timestamp": _timestamp(at),
        }
        if accept.reference:
            fields["client-ref"] = accept.reference
        return self._callback(url, self._signed(fields, now, forgery))

    def inbound(self, said: Said, url: str, now: float) -> Callback:
        words = re.findall(r"\w+", said.text)
        fields = {
            "msisdn": said.number.lstrip("+"),
            "to": said.sender.lstrip("+"),
            "messageId": said.provider_id,
            "text": said.text,
            "type": "text" if _fits_gsm_7(said.text) else "unicode",
            "keyword": words[0].upper() if words else "",
            "api-key": self.api_key,
            "message-timestamp": _timestamp(said.at),
        }
        return self._callback(url, self._signed(fields, now))

    def _callback(self, url: str, fields: Mapping[str, str]) -> Callback:
        if self.webhook_style == "get":
            return Callback("GET", f"{url}{'&' if '?' in url else '?'}{urlencode(fields)}")
        if self.webhook_style == "json":
            return Callback("POST", url, {"Content-Type": JSON}, json.dumps(fields).encode())
        return Callback("POST", url, {"Content-Type": FORM}, urlencode(fields).encode())

    def _signed(self, fields: Mapping[str, str], now: float, forgery: Forgery | None = None) -> dict[str, str]:
        """The parameters with `timestamp`, `nonce` and `sig`, or with a `forgery` in them."""
        if forgery is Forgery.UNSIGNED:
            return dict(fields)
        at = int(now) - (STALE_SECONDS if forgery is Forgery.STALE else 0)
        whole = {**fields, "timestamp": str(at), "nonce": secrets.token_hex(8)}
        signed = {**whole, "status": "delivered"} if forgery is Forgery.WRONG_HASH else whole
        text = "".join(f"&{name}={signed[name].replace('&', '_').replace('=', '_')}" for name in sorted(signed))
        secret = self.signature_secret + ("?" if forgery is Forgery.WRONG_SECRET else "")
        if forgery is Forgery.ALGORITHM_NONE:
            whole["sig"] = hashlib.sha256(text.encode()).hexdigest()
        elif self.signature_method == "md5hash":
            whole["sig"] = hashlib.md5(f"{text}{secret}".encode(), usedforsecurity=False).hexdigest()
        else:
            whole["sig"] = hmac.new(secret.encode(), text.encode(), self.signature_method).hexdigest().upper()
        return whole


PARAMETERS = frozenset(
    (
        *("api_key", "api_secret", "from", "to", "text", "type", "ttl", "status-report-req", "callback"),
        *("message-class", "client-ref", "account-ref", "entity-id", "content-id", "trusted-number"),
    )
)


def _form(body: bytes) -> dict[str, str]:
    """The parameters, each once. Raises `Problem`."""
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=True, errors="strict")
    except ValueError:
        raise problem("3", "Invalid form") from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise problem("3", "A parameter is given twice")
    return fields


def read(fields: Mapping[str, str]) -> Submission:
    """A submission from the parameters, checked one by one. Raises `Problem`."""
    for name in ("to", "from", "text"):
        if not fields.get(name):
            raise problem("2", f"Missing {name}")
    for unknown in fields.keys() - PARAMETERS:
        raise problem("3", f"{unknown} is not a parameter of this API")
    number, sender, text, kind = fields["to"], fields["from"], fields["text"], fields.get("type", "text")
    reference, callback, ttl = fields.get("client-ref", ""), fields.get("callback", ""), fields.get("ttl", "20000")
    if not re.fullmatch(r"[1-9][0-9]{6,14}", number):
        raise problem("3", "to must be 7 to 15 digits, without + or 00")
    if not re.fullmatch(r"[1-9][0-9]{2,14}|(?=.*[A-Za-z])[A-Za-z0-9 ]{1,11}", sender):
        raise problem("15", "from must be digits without +, or 1 to 11 letters and digits")
    if kind not in ("text", "unicode"):
        raise problem("3", "type must be text or unicode")
    if kind == "text" and not _fits_gsm_7(text):
        raise problem("3", "characters that GSM-7 does not have are lost as type text; use unicode")
    if len(text) > LONGEST_TEXT:
        raise problem("12", "Message too long")
    if len(reference) > LONGEST_REFERENCE:
        raise problem("3", f"client-ref must be at most {LONGEST_REFERENCE} characters")
    if not re.fullmatch(r"[0-9]{1,9}", ttl) or int(ttl) not in TTL_MILLISECONDS:
        raise problem("3", "ttl must be 20000 to 604800000 milliseconds")
    if fields.get("status-report-req", "true") not in ("true", "false"):
        raise problem("3", "status-report-req must be true or false")
    if callback and (len(callback) > LONGEST_CALLBACK or not is_web_address(callback)):
        raise problem("23", "Invalid callback URL")
    return Submission(
        sender=f"+{sender}" if sender.isdigit() else sender,
        number=f"+{number}",
        text=text,
        reference=reference,
        webhook_url=callback,
    )


def _fits_gsm_7(text: str) -> bool:
    return set(text) <= GSM_7 | GSM_7_EXTENSION


def _segment_id(provider_id: str, n: int) -> str:
    """The id of the nth segment, from 0: the first one's is the message's."""
    return f"{int(provider_id, 16) + n:016X}"


def _timestamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")
