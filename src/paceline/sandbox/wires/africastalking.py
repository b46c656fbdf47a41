"""How does Africa's Talking look from its side? Forms in, JSON out, forms back.

Facts from the company's official libraries and its pages on notifications; the codes are those that two independent
integrations agree on. What they leave open is strict here.
"""

from __future__ import annotations

import hmac
import json
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from ..behaviour import Ending, Forgery
from ..flags import flag
from ..ledger import Accept
from .base import Callback, Knock, Problem, Reply, Said, Submission, Wire, count_segments

SUBMIT = "/version1/messaging"
FORM = "application/x-www-form-urlencoded"
PARAMETERS = frozenset(
    ("username", "to", "message", "from", "bulkSMSMode", "enqueue", "keyword", "linkId", "retryDurationInHours")
)
REQUIRED = ("username", "to", "message")
COST_PER_SEGMENT = Decimal("0.8000")
NETWORK = "63902"

ENDINGS: Mapping[Ending, tuple[str, str]] = {
    Ending.DELIVERED: ("Success", ""),
    Ending.ABSENT: ("Failed", "UserIsInactive"),
    Ending.UNREACHABLE: ("Failed", "DeliveryFailure"),
    Ending.UNROUTABLE: ("Failed", "NotNetworkSubscriber"),
    Ending.FILTERED: ("Rejected", "DeliveryFailure"),
    Ending.EXPIRED: ("Failed", "DeliveryFailure"),
    Ending.UNKNOWN: ("Failed", ""),
    Ending.OPTED_OUT: ("Rejected", "UserInBlackList"),
}
"""Our ending → their status and failureReason. They have no words for expired and unknown."""


@dataclass(frozen=True)
class AfricasTalking(Wire):
    """Africa's Talking's messaging API, version 1."""

    name: ClassVar[str] = "africastalking"
    forgeries: ClassVar[Sequence[Forgery]] = (Forgery.UNSIGNED, Forgery.WRONG_SECRET)
    refuses_opted_out: ClassVar[bool] = True
    garbage: ClassVar[Sequence[Reply]] = (
        Reply(201),
        Reply(200, b"<html><body>Welcome to the hotel's network</body></html>", "text/html"),
        Reply(201, b'{"SMSMessageData": {"Message": "Sent to 1/1", "Recipients": []}}'),
        Reply(201, b'{"SMSMessageData": {"Recipients": [{"statusCode": 101, "messageId": "None"}]}}'),
        Reply(201, b'{"SMSMessageData": {"Recipients": [{"statusCode": 101, "messageId": "ATXid_5d2f'),
        Reply(201, b"\xff\xfe\x00"),
    )
    server_errors: ClassVar[Sequence[Reply]] = (
        Reply(500, b"Internal Server Error", "text/plain"),
        Reply(502, b"<html><body>502 Bad Gateway</body></html>", "text/html"),
        Reply(503),
        Reply(504),
    )

    username: str = flag("sandbox", "The application's name")
    api_key: str = flag("sandbox-api-key", "Key of the application", secret=True)

    def submits(self, knock: Knock) -> bool:
        return knock.path == SUBMIT

    def read(self, knock: Knock, now: float) -> Submission:
        if knock.method != "POST":
            raise _problem(405, "Submit with POST")
        if knock.headers.get("content-type", "").partition(";")[0].strip() != FORM:
            raise _problem(415, "Send a form")
        try:
            pairs = parse_qsl(knock.body.decode("ascii"), keep_blank_values=True, strict_parsing=True, errors="strict")
        except ValueError:
            raise _problem(400, "Send a form") from None
        fields = dict(pairs)
        key = knock.headers.get("apikey", "")
        if fields.get("username") != self.username or not hmac.compare_digest(key.encode(), self.api_key.encode()):
            raise self.unauthorized()
        if len(fields) < len(pairs) or fields.keys() - PARAMETERS or not all(fields.get(name) for name in REQUIRED):
            raise _problem(400, "Must have username, to and message, and nothing unknown or twice")
        if fields.get("bulkSMSMode", "1") != "1":
            raise _problem(400, "bulkSMSMode must be 1")
        number, sender = fields["to"], fields.get("from", "AFRICASTKNG")
        if not re.fullmatch(r"\+[1-9][0-9]{6,14}", number):
            raise self._not_for(number, 403, "InvalidPhoneNumber")
        if not re.fullmatch(r"\+?[1-9][0-9]{2,14}|(?=.*[A-Za-z])[A-Za-z0-9 _.-]{1,11}", sender):
            raise Problem(_reply({"Message": "InvalidSenderId", "Recipients": []}), "InvalidSenderId")
        return Submission(sender=sender, number=number, text=fields["message"])

    def accepted(self, submission: Submission, provider_id: str) -> Reply:
        cost = f"KES {COST_PER_SEGMENT * count_segments(submission.text)}"
        return _reply(
            {
                "Message": f"Sent to 1/1 Total Cost: {cost}",
                "Recipients": [_recipient(submission.number, 101, "Success", provider_id, cost)],
            }
        )

    def new_id(self) -> str:
        return "ATXid_" + uuid.uuid4().hex

    def unauthorized(self) -> Problem:
        return _problem(401, "The supplied authentication is invalid")

    def low_balance(self) -> Problem:
        return self._not_for("", 405, "InsufficientBalance")

    def throttled(self, why: str) -> Problem:
        return Problem(Reply(429, b"Too many requests", "text/plain"), "429", throttled=True, why=why)

    def barred_recipient(self) -> Problem:
        return self._not_for("", 403, "InvalidPhoneNumber")

    def opted_out(self) -> Problem:
        return self._not_for("", 406, "UserInBlacklist")

    def internal(self) -> Problem:
        return _problem(500, "Internal Server Error")

    def not_found(self) -> Problem:
        return _problem(404, "The requested resource could not be found")

    def words(self, ending: Ending | None) -> tuple[str, str]:
        return ENDINGS[ending] if ending else ("Submitted", "")

    def report(
        self, accept: Accept, ending: Ending | None, at: float, url: str, now: float, forgery: Forgery | None = None
    ) -> Callback:
        status, reason = self.words(ending)
        fields = {
            "id": accept.provider_id,
            "status": status,
            "phoneNumber": accept.number,
            "networkCode": NETWORK,
            "retryCount": "0",
        }
        if reason:
            fields["failureReason"] = reason
        return _form(_forged(url, forgery), fields)

    def inbound(self, said: Said, url: str, now: float) -> Callback:
        return _form(
            url,
            {
                "date": datetime.fromtimestamp(said.at, UTC).strftime("%Y-%m-%d %H:%M:%S"),
                "from": said.number,
                "to": said.sender,
                "text": said.text,
                "id": said.provider_id,
                "linkId": uuid.uuid4().hex,
                "networkCode": NETWORK,
            },
        )

    def _not_for(self, number: str, code: int, status: str) -> Problem:
        """A refusal of the one recipient: it sits inside a 201."""
        entry = _recipient(number, code, status, "None", "0")
        return Problem(_reply({"Message": "Sent to 0/1 Total Cost: 0", "Recipients": [entry]}), str(code))


def _recipient(number: str, code: int, status: str, provider_id: str, cost: str) -> dict[str, Any]:
    return {"number": number, "status": status, "statusCode": code, "messageId": provider_id, "cost": cost}


def _reply(data: Mapping[str, Any]) -> Reply:
    return Reply(201, json.dumps({"SMSMessageData": data}).encode())


def _problem(status: int, sentence: str) -> Problem:
    return Problem(Reply(status, sentence.encode(), "text/plain"), str(status))


def _form(url: str, fields: Mapping[str, str]) -> Callback:
    return Callback("POST", url, {"Content-Type": FORM}, urlencode(fields).encode())


def _forged(url: str, forgery: Forgery | None) -> str:
    """The address as a stranger would call it: without its last part, or with one that is guessed."""
    parts = urlsplit(url)
    path, _, last = parts.path.rpartition("/")
    if forgery is Forgery.UNSIGNED:
        return urlunsplit(parts._replace(path=path))
    if forgery is Forgery.WRONG_SECRET:
        return urlunsplit(parts._replace(path=f"{path}/{last[::-1]}x"))
    return url
