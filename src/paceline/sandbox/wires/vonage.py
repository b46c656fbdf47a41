"""How does Vonage's Messages API v1 look from their side? Requests checked, answers and callbacks written and signed.

Facts from the Messages API's OpenAPI description 1.11.0, the official SDKs and the developer pages on signed webhooks,
statuses and errors. Where they leave a choice, this carrier is the strict one, so that a wrong request is found here.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import json
import re
import uuid
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

from ..behaviour import Ending, Forgery
from ..flags import flag
from ..ledger import Accept
from .base import JSON, Callback, Knock, Problem, Reply, Said, Submission, Wire, count_segments, is_web_address

SUBMIT = "/v1/messages"
ERRORS = "https://developer.vonage.com/api-errors"

LONGEST_TEXT = 1000
LONGEST_REFERENCE = 100
TTL_SECONDS = range(20, 604_801)
STALE_SECONDS = 3600
CLOCK_SKEW_SECONDS = 60

PRICE_PER_SEGMENT = Decimal("0.0079")
CURRENCY = "EUR"
NETWORK = "310260"

SUBMITTED = "submitted"
ENDINGS: Mapping[Ending, tuple[str, str, str]] = {
    Ending.DELIVERED: ("delivered", "", ""),
    Ending.ABSENT: ("rejected", "1190", "Absent subscriber, permanent"),
    Ending.UNREACHABLE: ("rejected", "1260", "Destination unreachable"),
    Ending.UNROUTABLE: ("undeliverable", "1250", "Destination cannot be routed to"),
    Ending.FILTERED: ("rejected", "1210", "Message blocked by a spam filter"),
    Ending.EXPIRED: ("rejected", "1360", "The message's time to live has passed"),
    Ending.UNKNOWN: ("rejected", "1330", "Unknown error"),
    Ending.OPTED_OUT: ("rejected", "1240", "The end user has opted out of messages from this sender"),
}
"""Our ending → their status, code and detail."""


def problem(
    status: int, code: str, title: str, detail: str, parameter: str = "", *, throttled: bool = False, why: str = ""
) -> Problem:
    """A problem object as the answer; `code` is the end of its type, such as messages#1420."""
    body: dict[str, Any] = {
        "type": f"{ERRORS}{'/' if code.startswith('messages#') else '#'}{code}",
        "title": title,
        "detail": detail,
        "instance": uuid.uuid4().hex,
    }
    if parameter:
        body["invalid_parameters"] = [{"name": parameter, "reason": detail}]
    return Problem(Reply(status, json.dumps(body).encode()), code, throttled=throttled, why=why)


def unauthorized(detail: str) -> Problem:
    return problem(401, "unauthorized", "Unauthorized", detail)


@dataclass(frozen=True)
class Vonage(Wire):
    """Vonage's Messages API v1.

    With a `public_key` (PEM text, or the path of a file) Bearer tokens are taken, beside Basic authentication.
    """

    name: ClassVar[str] = "vonage"
    forgeries: ClassVar[Sequence[Forgery]] = tuple(Forgery)
    garbage: ClassVar[Sequence[Reply]] = (
        Reply(200),
        Reply(202),
        Reply(200, b"<html><body>Welcome to the hotel's network</body></html>", "text/html"),
        Reply(202, b'{"message_uuid": "5d2f8c1e-6a34-'),
        Reply(202, b'{"result": "ok"}'),
        Reply(200, b"\xff\xfe\x00"),
    )
    server_errors: ClassVar[Sequence[Reply]] = (
        Reply(500, b'{"type": "https://developer.vonage.com/api-errors#internal", "title": "Internal error"}'),
        Reply(502, b"<html><body>502 Bad Gateway</body></html>", "text/html"),
        Reply(503),
        Reply(504, b"<html><body>504 Gateway Time-out</body></html>", "text/html"),
    )

    api_key: str = flag("sandbox", "API key that requests and webhooks name")
    api_secret: str = flag("sandbox-secret", "Secret of Basic authentication", secret=True)
    signature_secret: str = flag(
        "sandbox-signature-secret-of-32-bytes", "Secret that webhooks are signed with", secret=True
    )
    application_id: str = flag("", "Application that Bearer tokens must name and webhooks carry")
    public_key: str = flag("", "The application's public key (a PEM file): allows Bearer authentication")

    def check(self) -> None:
        if self.public_key:
            _pem(self.public_key)

    def submits(self, knock: Knock) -> bool:
        return knock.path == SUBMIT

    def read(self, knock: Knock, now: float) -> Submission:
        if knock.method != "POST":
            raise problem(405, "wrong-verb", "Wrong verb", "Submit with POST.")
        self._admit(knock.headers.get("authorization", ""), now)
        return read(knock.headers.get("content-type", ""), knock.body)

    def accepted(self, submission: Submission, provider_id: str) -> Reply:
        return Reply(202, json.dumps({"message_uuid": provider_id}).encode())

    def unauthorized(self) -> Problem:
        return unauthorized("Your credentials have been revoked.")

    def low_balance(self) -> Problem:
        detail = "This request could not be performed due to your account balance."
        return problem(402, "low-balance", "Low balance", detail)

    def throttled(self, why: str) -> Problem:
        return problem(429, "messages#1000", "Throttled", "Too many requests.", throttled=True, why=why)

    def barred_recipient(self) -> Problem:
        return problem(422, "messages#1430", "Invalid recipient", "The recipient number is not valid.", "to")

    def internal(self) -> Problem:
        detail = "There was an error processing your request in the platform."
        return problem(500, "internal", "Internal error", detail)

    def not_found(self) -> Problem:
        return problem(404, "not-found", "Not found", "This carrier has no such address.")

    def words(self, ending: Ending | None) -> tuple[str, str]:
        status, code, _ = ENDINGS[ending] if ending else (SUBMITTED, "", "")
        return status, code

    def report(
        self, accept: Accept, ending: Ending | None, at: float, url: str, now: float, forgery: Forgery | None = None
    ) -> Callback:
        return self._signed(url, report(accept, ending, at), now, forgery)

    def inbound(self, said: Said, url: str, now: float) -> Callback:
        return self._signed(url, inbound(said), now)

    def _signed(self, url: str, body: bytes, now: float, forgery: Forgery | None = None) -> Callback:
        return Callback("POST", url, signed(body, self, now, forgery), body)

    def _admit(self, authorization: str, now: float) -> None:
        """Raises `Problem` 401 unless the header is this account's; `now` is epoch seconds."""
        scheme, _, credentials = authorization.partition(" ")
        if scheme.lower() == "basic" and hmac.compare_digest(_decoded(credentials), self._basic()):
            return
        if scheme.lower() == "bearer" and self.public_key:
            admit_bearer(credentials.strip(), self.public_key, self.application_id, now)
            return
        raise unauthorized("You did not provide correct credentials.")

    def _basic(self) -> bytes:
        return f"{self.api_key}:{self.api_secret}".encode()


def _decoded(credentials: str) -> bytes:
    try:
        return b64decode(credentials.strip(), validate=True)
    except (binascii.Error, ValueError):
        return b""


def admit_bearer(token: str, public_key: str, application_id: str, now: float) -> None:
    """Raises `Problem` 401 unless `token` is an RS256 JWT of this application that has not expired."""
    claims = _claims(token, public_key)
    issued = claims.get("iat")
    if not isinstance(issued, int | float) or issued > now + CLOCK_SKEW_SECONDS:
        raise unauthorized("The token's iat is missing or in the future.")
    if not claims.get("jti"):
        raise unauthorized("The token has no jti.")
    expires = claims.get("exp", issued + 900)
    if not isinstance(expires, int | float) or expires <= now:
        raise problem(401, "jwt-expired", "Token expired", "The token has expired.")
    if not claims.get("application_id") or (application_id and claims["application_id"] != application_id):
        raise unauthorized("The token does not name this application.")


@lru_cache(maxsize=256)
def _claims(token: str, public_key: str) -> Mapping[str, Any]:
    """The claims of a genuinely signed token. Clients use one token for minutes, so it is verified once."""
    import jwt  # only a carrier with a public key needs it

    try:
        # Dates are checked at each request, not once when the token is first seen.
        options: Any = {"verify_exp": False, "verify_iat": False, "verify_nbf": False}
        claims: Mapping[str, Any] = jwt.decode(token, _pem(public_key), algorithms=["RS256"], options=options)
    except jwt.InvalidTokenError as error:
        raise unauthorized("The token is not signed by this application.") from error
    return claims


@lru_cache(maxsize=8)
def _pem(public_key: str) -> str:
    return public_key if public_key.startswith("-----BEGIN") else Path(public_key).read_text()


PARAMETERS = frozenset(
    (
        *("message_type", "channel", "to", "from", "text", "client_ref", "webhook_url"),
        *("webhook_version", "ttl", "sms", "trusted_recipient"),
    )
)
SMS_PARAMETERS = frozenset(("encoding_type", "entity_id", "content_id", "pool_id"))


def read(content_type: str, body: bytes) -> Submission:
    """A submission from the request, checked field by field. Raises `Problem` 415 or 422."""
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise problem(415, "content-type-header", "Invalid Content-Type", "Send application/json.")
    try:
        fields = json.loads(body)
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        raise problem(422, "invalid-json", "Invalid JSON", "Unable to parse the request as a JSON object.")

    number, sender, text = fields.get("to"), fields.get("from"), fields.get("text")
    reference = fields.get("client_ref", "")
    if fields.get("channel") != "sms":
        raise _invalid(1400, "Unsupported channel", "channel must be sms.", "channel")
    if fields.get("message_type") != "text":
        raise _invalid(1440, "Unsupported message type", "message_type must be text.", "message_type")
    if not isinstance(number, str) or not re.fullmatch(r"[1-9][0-9]{6,14}", number):
        raise _invalid(1430, "Invalid recipient", "to must be 7 to 15 digits, without + or 00.", "to")
    if not isinstance(sender, str) or not _is_sender(sender):
        raise _invalid(1420, "Invalid sender", "from must be digits without +, or 1 to 11 letters and digits.", "from")
    if not isinstance(text, str) or not 1 <= len(text) <= LONGEST_TEXT:
        raise _invalid(1150, "Invalid parameters", f"text must be 1 to {LONGEST_TEXT} characters.", "text")
    if not isinstance(reference, str) or len(reference) > LONGEST_REFERENCE:
        raise _invalid(
            1450, "Invalid client_ref", f"client_ref must be at most {LONGEST_REFERENCE} characters.", "client_ref"
        )
    _check_options(fields)
    return Submission(
        sender=f"+{sender}" if sender.isdigit() else sender,
        number=f"+{number}",
        text=text,
        reference=reference,
        webhook_url=fields.get("webhook_url", ""),
    )


def _check_options(fields: Mapping[str, Any]) -> None:
    """The optional fields. Raises `Problem` for a wrong one, and for one that the API does not have."""
    ttl, url, sms = fields.get("ttl", 3600), fields.get("webhook_url", "http://a"), fields.get("sms", {})
    if isinstance(ttl, bool) or not isinstance(ttl, int) or ttl not in TTL_SECONDS:
        raise _parameter("ttl", f"must be {TTL_SECONDS[0]} to {TTL_SECONDS[-1]} seconds.")
    if not isinstance(url, str) or not is_web_address(url):
        raise _parameter("webhook_url", "must be an http or https URL.")
    if fields.get("webhook_version", "v1") != "v1":
        raise _parameter("webhook_version", "must be v1, the only shape this carrier writes.")
    if not isinstance(fields.get("trusted_recipient", False), bool):
        raise _parameter("trusted_recipient", "must be true or false.")
    if not isinstance(sms, dict) or sms.get("encoding_type", "auto") not in ("auto", "text", "unicode"):
        raise _parameter("sms.encoding_type", "must be auto, text or unicode.")
    for unknown in [*(fields.keys() - PARAMETERS), *(f"sms.{each}" for each in sms.keys() - SMS_PARAMETERS)]:
        raise _parameter(unknown, "is not a parameter of this API.")


def _invalid(code: int, title: str, detail: str, parameter: str) -> Problem:
    return problem(422, f"messages#{code}", title, detail, parameter)


def _parameter(name: str, rule: str) -> Problem:
    return _invalid(1150, "Invalid parameters", f"{name} {rule}", name)


def _is_sender(sender: str) -> bool:
    return bool(re.fullmatch(r"[1-9][0-9]{2,14}|(?=.*[A-Za-z])[A-Za-z0-9 ]{1,11}", sender))


def report(accept: Accept, ending: Ending | None, at: float) -> bytes:
    """The body of a status callback; no ending means `submitted`. `at` is epoch seconds."""
    status, code, detail = ENDINGS[ending] if ending else (SUBMITTED, "", "")
    segments = count_segments(accept.text)
    body: dict[str, Any] = {
        "message_uuid": accept.provider_id,
        "to": accept.number.lstrip("+"),
        "from": accept.sender.lstrip("+"),
        "timestamp": _timestamp(at),
        "status": status,
        "channel": "sms",
        "usage": {"currency": CURRENCY, "price": str(PRICE_PER_SEGMENT * segments)},
        "destination": {"network_code": NETWORK},
        "sms": {"count_total": str(segments)},
    }
    if accept.reference:
        body["client_ref"] = accept.reference
    if code:
        body["error"] = {
            "type": f"{ERRORS}/messages#{code}",
            "title": code,
            "detail": detail,
            "instance": uuid.uuid4().hex,
        }
    return json.dumps(body).encode()


def inbound(said: Said) -> bytes:
    """The body of an inbound callback."""
    words = re.findall(r"\w+", said.text)
    body = {
        "channel": "sms",
        "message_type": "text",
        "message_uuid": said.provider_id,
        "to": said.sender.lstrip("+"),
        "from": said.number.lstrip("+"),
        "timestamp": _timestamp(said.at),
        "text": said.text,
        "sms": {"num_messages": str(count_segments(said.text)), "keyword": words[0].upper() if words else ""},
        "usage": {"currency": CURRENCY, "price": "0.0000"},
        "origin": {"network_code": NETWORK},
    }
    return json.dumps(body).encode()


def _timestamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def signed(body: bytes, account: Vonage, now: float, forgery: Forgery | None = None) -> dict[str, str]:
    """The headers of a callback: an HS256 JWT over the body's SHA-256, or one with a `forgery` in it.

    By hand, for speed; tests verify it with an independent library.
    """
    headers = {"Content-Type": JSON}
    if forgery is Forgery.UNSIGNED:
        return headers
    claims = {
        "iat": int(now) - (STALE_SECONDS if forgery is Forgery.STALE else 0),
        "jti": str(uuid.uuid4()),
        "iss": "Vonage",
        "payload_hash": hashlib.sha256(body + b" " if forgery is Forgery.WRONG_HASH else body).hexdigest(),
        "api_key": account.api_key,
    }
    if account.application_id:
        claims["application_id"] = account.application_id
    algorithm = "none" if forgery is Forgery.ALGORITHM_NONE else "HS256"
    token = _base64(json.dumps({"alg": algorithm, "typ": "JWT"}).encode()) + b"." + _base64(json.dumps(claims).encode())
    secret = account.signature_secret + ("?" if forgery is Forgery.WRONG_SECRET else "")
    mac = b"" if forgery is Forgery.ALGORITHM_NONE else hmac.digest(secret.encode(), token, "sha256")
    headers["Authorization"] = f"Bearer {(token + b'.' + _base64(mac)).decode()}"
    return headers


def _base64(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")
