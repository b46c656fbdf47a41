"""How does Sinch's SMS API look from their side? Batches checked, answers and callbacks written and signed.

Facts from the official SDKs (shapes, signature) and the developer pages (words and codes of reports). Where they leave
a choice, this carrier is the strict one: a batch has one recipient, and what it does not know it refuses.
"""

from __future__ import annotations

import hmac
import json
import re
import secrets
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote, unquote

from ..behaviour import Ending, Forgery
from ..flags import flag
from ..ledger import Accept
from .base import JSON, Callback, Knock, Problem, Reply, Said, Submission, Wire, count_segments, is_web_address

if TYPE_CHECKING:
    from ..book import Book

ULID_LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
LONGEST_VALIDITY = timedelta(days=3)
STALE_SECONDS = 3600

DISPATCHED = ("Dispatched", 401)
ENDINGS: Mapping[Ending, tuple[str, int]] = {
    Ending.DELIVERED: ("Delivered", 0),
    Ending.ABSENT: ("Failed", 27),
    Ending.UNREACHABLE: ("Failed", 404),
    Ending.UNROUTABLE: ("Aborted", 402),
    Ending.FILTERED: ("Aborted", 408),
    Ending.EXPIRED: ("Expired", 406),
    Ending.UNKNOWN: ("Unknown", 34),
    Ending.OPTED_OUT: ("Deleted", 30),
}
"""Our ending → their status and code. Below 256 it is a carrier's own; which ones is not documented."""

PARAMETERS = frozenset(
    (
        *("to", "from", "body", "type", "delivery_report", "callback_url", "client_reference", "send_at", "expire_at"),
        *("feedback_enabled", "flash_message", "parameters", "truncate_concat", "max_number_of_message_parts"),
        *("from_ton", "from_npi"),
    )
)
REPORT_KINDS = ("none", "summary", "full", "per_recipient", "per_recipient_final")


def problem(status: int, code: str, text: str, *, throttled: bool = False, why: str = "") -> Problem:
    reply = Reply(status, json.dumps({"code": code, "text": text}).encode())
    return Problem(reply, code, throttled=throttled, why=why)


@dataclass(frozen=True)
class Sinch(Wire):
    """A service plan of Sinch's SMS API.

    With an empty `signature_secret` webhooks are not signed; a forged one then has a key in its address that is wrong.
    """

    name: ClassVar[str] = "sinch"
    forgeries: ClassVar[Sequence[Forgery]] = tuple(Forgery)
    garbage: ClassVar[Sequence[Reply]] = (
        Reply(201),
        Reply(200, b"<html><body>Welcome to the hotel's network</body></html>", "text/html"),
        Reply(201, b'{"id": "01K1EXAMPLEBATCH00'),
        Reply(201, b'{"result": "ok"}'),
        Reply(201, b'{"id": null, "to": []}'),
        Reply(200, b"\xff\xfe\x00"),
    )
    server_errors: ClassVar[Sequence[Reply]] = (
        Reply(500, b'{"code": "internal_error", "text": "An internal error occurred."}'),
        Reply(502, b"<html><body>502 Bad Gateway</body></html>", "text/html"),
        Reply(503),
        Reply(504, b"<html><body>504 Gateway Time-out</body></html>", "text/html"),
    )

    service_plan_id: str = flag("sandbox-plan", "Service plan that addresses name")
    api_token: str = flag("sandbox-token", "Token of Bearer authentication", secret=True)
    signature_secret: str = flag(
        "sandbox-signature-secret", "Secret that webhooks are signed with; empty leaves them unsigned", secret=True
    )

    def submits(self, knock: Knock) -> bool:
        return knock.path == self._batches()

    def read(self, knock: Knock, now: float) -> Submission:
        if knock.method != "POST":
            raise problem(405, "method_not_allowed", "Submit with POST.")
        self._admit(knock)
        return read(knock.headers.get("content-type", ""), knock.body, now)

    def accepted(self, submission: Submission, provider_id: str) -> Reply:
        batch = {
            "id": provider_id,
            "to": [submission.number.lstrip("+")],
            "from": submission.sender.lstrip("+"),
            "canceled": False,
            "body": submission.text,
            "type": "mt_text",
            "client_reference": submission.reference,
            "delivery_report": "per_recipient",
        }
        return Reply(201, json.dumps(batch).encode())

    def new_id(self) -> str:
        return "01K" + "".join(secrets.choice(ULID_LETTERS) for _ in range(23))

    def look_up(self, knock: Knock, book: Book, ending: Callable[[Accept], Ending | None]) -> Reply | None:
        """`GET …/batches/{id}/delivery_report/{number}`."""
        found = re.fullmatch(r"/([^/]+)/delivery_report/([0-9]+)", knock.path.removeprefix(self._batches()))
        if knock.method != "GET" or not knock.path.startswith(self._batches()) or not found:
            return None
        self._admit(knock)
        batch, number = unquote(found[1]), "+" + found[2]
        for accept in book.messages.values():
            if (accept.provider_id, accept.number) == (batch, number):
                return Reply(200, json.dumps(report(accept, ending(accept), accept.at)).encode())
        raise self.not_found()

    def unauthorized(self) -> Problem:
        return problem(401, "unauthorized", "The token is not valid.")

    def low_balance(self) -> Problem:
        return problem(403, "forbidden", "The service plan is blocked, or has no credit.")

    def throttled(self, why: str) -> Problem:
        return problem(429, "too_many_requests", "Too many requests.", throttled=True, why=why)

    def barred_recipient(self) -> Problem:
        return problem(400, "syntax_invalid_parameter_format", "to: not a number that can be texted.")

    def internal(self) -> Problem:
        return problem(500, "internal_error", "An internal error occurred.")

    def not_found(self) -> Problem:
        return problem(404, "not_found", "There is no such resource.")

    def words(self, ending: Ending | None) -> tuple[str, str]:
        status, code = ENDINGS[ending] if ending else DISPATCHED
        return status, str(code)

    def report(
        self, accept: Accept, ending: Ending | None, at: float, url: str, now: float, forgery: Forgery | None = None
    ) -> Callback:
        if forgery and not self.signature_secret:
            url = wrong_key(url)
        return self._signed(url, json.dumps(report(accept, ending, at)).encode(), now, forgery)

    def inbound(self, said: Said, url: str, now: float) -> Callback:
        fields = {
            "type": "mo_text",
            "id": said.provider_id,
            "from": said.number.lstrip("+"),
            "to": said.sender.lstrip("+"),
            "body": said.text,
            "operator_id": "24801",
            "sent_at": _timestamp(said.at),
            "received_at": _timestamp(said.at),
        }
        return self._signed(url, json.dumps(fields).encode(), now)

    def _batches(self) -> str:
        return f"/xms/v1/{quote(self.service_plan_id, safe='')}/batches"

    def _admit(self, knock: Knock) -> None:
        given = knock.headers.get("authorization", "").encode()
        if not hmac.compare_digest(given, f"Bearer {self.api_token}".encode()):
            raise self.unauthorized()

    def _signed(self, url: str, body: bytes, now: float, forgery: Forgery | None = None) -> Callback:
        headers = {"Content-Type": JSON}
        if self.signature_secret and forgery is not Forgery.UNSIGNED:
            headers |= signed(body, self.signature_secret, now, forgery)
        return Callback("POST", url, headers, body)


def read(content_type: str, body: bytes, now: float) -> Submission:
    """A batch from the request, checked field by field. Raises `Problem` 400 or 415."""
    if content_type.partition(";")[0].strip().lower() != JSON:
        raise problem(415, "unsupported_media_type", "Send application/json.")
    try:
        fields = json.loads(body)
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        raise problem(400, "syntax_invalid_json", "Unable to parse the request as a JSON object.")
    to, sender, text, url = (fields.get(each, "") for each in ("to", "from", "body", "callback_url"))
    reference = fields.get("client_reference", "")
    for unknown in fields.keys() - PARAMETERS:
        raise _wrong(unknown, "is not a parameter of this API")
    if fields.get("type", "mt_text") != "mt_text":
        raise _wrong("type", "must be mt_text")
    if not isinstance(to, list) or len(to) != 1 or not isinstance(to[0], str):
        raise _wrong("to", "must be a list of one number")
    if not re.fullmatch(r"\+?[1-9][0-9]{6,14}", to[0]):
        raise _wrong("to", "must be 7 to 15 digits")
    if not isinstance(sender, str) or not re.fullmatch(r"[1-9][0-9]{2,14}|(?=.*[A-Za-z])[A-Za-z0-9 ]{1,11}", sender):
        raise _wrong("from", "must be digits, or 1 to 11 letters and digits")
    if not isinstance(text, str) or not text:
        raise _wrong("body", "must be a text")
    if not isinstance(reference, str):
        raise _wrong("client_reference", "must be a text")
    if fields.get("delivery_report", "none") not in REPORT_KINDS:
        raise _wrong("delivery_report", f"must be one of {', '.join(REPORT_KINDS)}")
    if url != "" and not (isinstance(url, str) and is_web_address(url)):
        raise _wrong("callback_url", "must be an http or https URL")
    if "expire_at" in fields and not _is_ahead(fields["expire_at"], now):
        raise _wrong("expire_at", "must be a time in the next three days")
    return Submission(
        sender=f"+{sender}" if sender.isdigit() else sender,
        number="+" + to[0].lstrip("+"),
        text=text,
        reference=reference,
        webhook_url=url,
    )


def _wrong(parameter: str, rule: str) -> Problem:
    return problem(400, "syntax_constraint_violation", f"{parameter}: {rule}.")


def _is_ahead(value: object, now: float) -> bool:
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return False
    if at is None or at.tzinfo is None:
        return False
    return timedelta(0) < at - datetime.fromtimestamp(now, UTC) <= LONGEST_VALIDITY


def report(accept: Accept, ending: Ending | None, at: float) -> dict[str, Any]:
    """A recipient's delivery report; no ending means dispatched. `at` is epoch seconds."""
    status, code = ENDINGS[ending] if ending else DISPATCHED
    fields: dict[str, Any] = {
        "type": "recipient_delivery_report_sms",
        "batch_id": accept.provider_id,
        "recipient": accept.number.lstrip("+"),
        "code": code,
        "status": status,
        "at": _timestamp(at),
        "operator_status_at": _timestamp(at),
        "number_of_message_parts": count_segments(accept.text),
    }
    return fields | ({"client_reference": accept.reference} if accept.reference else {})


def signed(body: bytes, secret: str, now: float, forgery: Forgery | None = None) -> dict[str, str]:
    """The headers of a signature: HMAC-SHA256 over body, nonce and time, or one with a `forgery` in it."""
    nonce = secrets.token_hex(8)
    date = str(int(now) - (STALE_SECONDS if forgery is Forgery.STALE else 0))
    key = secret + ("?" if forgery is Forgery.WRONG_SECRET else "")
    content = body + (b" " if forgery is Forgery.WRONG_HASH else b"")
    mac = hmac.digest(key.encode(), content + f".{nonce}.{date}".encode(), "sha256")
    none = forgery is Forgery.ALGORITHM_NONE
    return {
        "x-sinch-webhook-signature": "" if none else b64encode(mac).decode(),
        "x-sinch-webhook-signature-nonce": nonce,
        "x-sinch-webhook-signature-timestamp": date,
        "x-sinch-webhook-signature-algorithm": "none" if none else "HmacSHA256",
    }


def wrong_key(url: str) -> str:
    """The address as somebody would call it who has not seen it: its last sign is another one."""
    return url[:-1] + ("0" if url[-1:] != "0" else "1")


def _timestamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
