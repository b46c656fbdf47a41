"""How does Infobip's SMS API 3 look from its side? JSON in and out, a status for each message inside a 200.

Facts from Infobip's OpenAPI description (3.210) and its pages on status and error codes. Where they leave a choice,
this carrier is the strict one. Its webhooks carry no signature: who knows the address is believed.
"""

from __future__ import annotations

import hmac
import json
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import parse_qs

from ..behaviour import Ending, Forgery
from ..flags import flag
from ..ledger import Accept
from .base import JSON, Callback, Knock, Problem, Reply, Said, Submission, Wire, count_segments, is_web_address

if TYPE_CHECKING:
    from ..book import Book

SUBMIT = "/sms/3/messages"
LOGS = "/sms/3/logs"
PRICE_PER_SEGMENT = 0.0075
CURRENCY = "EUR"
VALIDITY_UNITS = {"SECONDS": 1, "MINUTES": 60, "HOURS": 3600}
LONGEST_VALIDITY_SECONDS = 172_800
GROUPS = {0: "OK", 1: "PENDING", 2: "UNDELIVERABLE", 3: "DELIVERED", 4: "EXPIRED", 5: "REJECTED"}
ERROR_GROUPS = {0: "OK", 1: "HANDSET_ERRORS", 2: "USER_ERRORS", 3: "OPERATOR_ERRORS"}

Status = tuple[int, int, str]
"""Group, id, name."""

ACCEPTED: Status = (1, 26, "PENDING_ACCEPTED")
NO_ERROR: Status = (0, 0, "NO_ERROR")

ENDINGS: Mapping[Ending, tuple[Status, Status]] = {
    Ending.DELIVERED: ((3, 5, "DELIVERED_TO_HANDSET"), NO_ERROR),
    Ending.ABSENT: ((2, 9, "UNDELIVERABLE_NOT_DELIVERED"), (1, 27, "EC_ABSENT_SUBSCRIBER")),
    Ending.UNREACHABLE: ((2, 9, "UNDELIVERABLE_NOT_DELIVERED"), (1, 6, "EC_ABSENT_SUBSCRIBER_SM")),
    Ending.UNROUTABLE: ((5, 19, "REJECTED_NO_ROUTE"), NO_ERROR),
    Ending.FILTERED: ((2, 4, "UNDELIVERABLE_REJECTED_OPERATOR"), (3, 561, "EC_CONTENT_BLOCKED")),
    Ending.EXPIRED: ((4, 15, "EXPIRED_EXPIRED"), NO_ERROR),
    Ending.UNKNOWN: ((4, 29, "EXPIRED_DLR_UNKNOWN"), NO_ERROR),
    Ending.OPTED_OUT: ((5, 14, "REJECTED_DESTINATION"), (2, 604, "EC_CAMPAIGN_BLOCK_LIST")),
}
"""Our ending → their status and error."""


def problem(status: int, code: str, description: str, **more: Any) -> Problem:
    body = {"errorCode": code, "description": description, "action": "Check the request.", "violations": []}
    return Problem(Reply(status, json.dumps(body).encode()), code, **more)


@dataclass(frozen=True)
class Infobip(Wire):
    """Infobip's SMS API 3."""

    name: ClassVar[str] = "infobip"
    forgeries: ClassVar[Sequence[Forgery]] = (Forgery.UNSIGNED, Forgery.WRONG_SECRET)
    refuses_repeats: ClassVar[bool] = True
    reports_handover: ClassVar[bool] = False
    garbage: ClassVar[Sequence[Reply]] = (
        Reply(200),
        Reply(200, b"<html><body>Welcome to the hotel's network</body></html>", "text/html"),
        Reply(200, b'{"messages": []}'),
        Reply(200, b'{"messages": [{"messageId": "0a", "status": {}}]}'),
        Reply(200, b'{"bulkId": "5d2f8c1e6a34", "messages": [{"mess'),
        Reply(200, b"\xff\xfe\x00"),
    )
    server_errors: ClassVar[Sequence[Reply]] = (
        Reply(500, b'{"requestError": {"serviceException": {"messageId": "GENERAL_ERROR", "text": "Error"}}}'),
        Reply(502, b"<html><body>502 Bad Gateway</body></html>", "text/html"),
        Reply(503),
        Reply(504),
    )

    api_key: str = flag("sandbox-token", "Key that requests name", secret=True)

    def submits(self, knock: Knock) -> bool:
        return knock.path == SUBMIT

    def read(self, knock: Knock, now: float) -> Submission:
        if knock.method != "POST":
            raise problem(405, "E405", "Method not allowed.")
        self._admit(knock)
        if knock.headers.get("content-type", "").partition(";")[0].strip() != JSON:
            raise problem(415, "E415", "Send application/json.")
        return _submission(knock.body)

    def accepted(self, submission: Submission, provider_id: str) -> Reply:
        return _answer(submission, ACCEPTED)

    def id_for(self, submission: Submission) -> str:
        return submission.reference or self.new_id()

    def look_up(self, knock: Knock, book: Book, ending: Callable[[Accept], Ending | None]) -> Reply | None:
        if knock.path != LOGS:
            return None
        self._admit(knock)
        if knock.method != "GET":
            raise problem(405, "E405", "Method not allowed.")
        sought = parse_qs(knock.query).get("messageId", [])
        found = [book.messages[each] for each in sought if each in book.messages]
        return Reply(200, json.dumps({"results": [_result(each, ending(each), each.at) for each in found]}).encode())

    def unauthorized(self) -> Problem:
        error = {"serviceException": {"messageId": "UNAUTHORIZED", "text": "Invalid login details"}}
        return Problem(Reply(401, json.dumps({"requestError": error}).encode()), "UNAUTHORIZED")

    def low_balance(self) -> Problem:
        return _rejected((5, 12, "REJECTED_NOT_ENOUGH_CREDITS"))

    def throttled(self, why: str) -> Problem:
        return problem(429, "E429", "Too many requests.", throttled=True, why=why)

    def barred_recipient(self) -> Problem:
        return _rejected((5, 52, "REJECTED_DESTINATION_NOT_VALID"))

    def repeated(self, submission: Submission) -> Problem:
        return _rejected((5, 23, "REJECTED_DUPLICATE_MESSAGE_ID"), submission)

    def internal(self) -> Problem:
        return problem(500, "E500", "Internal server error.")

    def not_found(self) -> Problem:
        return problem(404, "E404", "Not found.")

    def words(self, ending: Ending | None) -> tuple[str, str]:
        status, error = ENDINGS[ending] if ending else (ACCEPTED, NO_ERROR)
        return status[2], str(error[1] or "")

    def report(
        self, accept: Accept, ending: Ending | None, at: float, url: str, now: float, forgery: Forgery | None = None
    ) -> Callback:
        return _callback(_forged(url, forgery), {"results": [_result(accept, ending, at)]})

    def inbound(self, said: Said, url: str, now: float) -> Callback:
        result = {
            "messageId": said.provider_id,
            "from": said.number.lstrip("+"),
            "to": said.sender.lstrip("+"),
            "text": said.text,
            "cleanText": said.text,
            "keyword": None,
            "receivedAt": _timestamp(said.at),
            "smsCount": count_segments(said.text),
            "price": {"pricePerMessage": 0.0, "currency": CURRENCY},
        }
        return _callback(url, {"results": [result], "messageCount": 1, "pendingMessageCount": 0})

    def _admit(self, knock: Knock) -> None:
        given = knock.headers.get("authorization", "")
        if not hmac.compare_digest(given.encode(), f"App {self.api_key}".encode()):
            raise self.unauthorized()


def _submission(body: bytes) -> Submission:
    """A submission from the body, checked field by field. Raises `Problem`."""
    try:
        fields = json.loads(body)
    except ValueError:
        fields = None
    whole = _only(fields, ("messages", "options"), "the body")
    options = _only(whole.get("options", {}), ("includeSmsCountInResponse",), "options")
    _check(isinstance(options.get("includeSmsCountInResponse", True), bool), "includeSmsCountInResponse")
    message = _only(
        _one(whole.get("messages"), "messages"), ("sender", "destinations", "content", "options", "webhooks")
    )
    destination = _only(_one(message.get("destinations"), "destinations"), ("to", "messageId"), "destinations")
    content = _only(message.get("content"), ("text",), "content")
    sender, number = _text(message.get("sender"), "sender"), _text(destination.get("to"), "to")
    reference = destination.get("messageId", "")
    _check(bool(re.fullmatch(r"[1-9][0-9]{6,14}", number)), "to")
    _check(bool(re.fullmatch(r"[1-9][0-9]{2,14}|(?=.*[A-Za-z])[A-Za-z0-9 ]{1,11}", sender)), "sender")
    _check(isinstance(reference, str) and len(reference) <= 100, "messageId")
    _check_validity(_only(message.get("options", {}), ("validityPeriod", "campaignReferenceId"), "options"))
    return Submission(
        sender=f"+{sender}" if sender.isdigit() else sender,
        number=f"+{number}",
        text=_text(content.get("text"), "text"),
        reference=reference,
        webhook_url=_webhook_url(message),
    )


def _check_validity(options: Mapping[str, Any]) -> None:
    if "validityPeriod" not in options:
        return
    period = _only(options["validityPeriod"], ("amount", "timeUnit"), "validityPeriod")
    amount, seconds = period.get("amount"), VALIDITY_UNITS.get(str(period.get("timeUnit")), 0)
    whole = amount if isinstance(amount, int) and not isinstance(amount, bool) else 0
    _check(1 <= whole * seconds <= LONGEST_VALIDITY_SECONDS, "validityPeriod")


def _webhook_url(message: Mapping[str, Any]) -> str:
    """Where a message's reports go, if it says so."""
    if "webhooks" not in message:
        return ""
    webhooks = _only(message["webhooks"], ("delivery", "contentType", "callbackData"), "webhooks")
    _check(webhooks.get("contentType", JSON) == JSON, "contentType")  # the only type that this carrier writes
    url = _only(webhooks.get("delivery", {}), ("url",), "delivery").get("url", "")
    _check(isinstance(url, str) and is_web_address(url), "url")
    return str(url)


def _only(value: object, names: Sequence[str], where: str = "messages") -> dict[str, Any]:
    """The object, if it holds nothing but these fields."""
    _check(isinstance(value, dict), where)
    assert isinstance(value, dict)
    for unknown in value.keys() - set(names):
        raise problem(400, "E400", f"{where} must not have {unknown}.")
    return value


def _one(value: object, where: str) -> object:
    """The one member of a list: this carrier takes no bulk."""
    _check(isinstance(value, list) and len(value) == 1, where)
    assert isinstance(value, list)
    return value[0]


def _text(value: object, name: str) -> str:
    """The value, if it is a text that is not empty."""
    _check(isinstance(value, str) and bool(value), name)
    return str(value)


def _check(fine: bool, name: str) -> None:
    if not fine:
        raise problem(400, "E400", f"{name} is not valid.")


def _answer(submission: Submission, status: Status) -> Reply:
    message = {
        "messageId": submission.reference or uuid.uuid4().hex,
        "destination": submission.number.lstrip("+"),
        "status": _status(status, GROUPS),
        "details": {"messageCount": count_segments(submission.text)},
    }
    return Reply(200, json.dumps({"bulkId": uuid.uuid4().hex, "messages": [message]}).encode())


def _rejected(status: Status, submission: Submission | None = None) -> Problem:
    """A refusal of the one message: it sits inside a 200."""
    return Problem(_answer(submission or Submission("", "", ""), status), str(status[1]))


def _status(status: Status, groups: Mapping[int, str]) -> dict[str, Any]:
    group, number, name = status
    return {"groupId": group, "groupName": groups[group], "id": number, "name": name, "description": name.lower()}


def _result(accept: Accept, ending: Ending | None, at: float) -> dict[str, Any]:
    """A message in a report or in the log."""
    status, error = ENDINGS[ending] if ending else (ACCEPTED, NO_ERROR)
    return {
        "bulkId": uuid.uuid4().hex,
        "messageId": accept.provider_id,
        "to": accept.number.lstrip("+"),
        "sender": accept.sender.lstrip("+"),
        "sentAt": _timestamp(accept.at),
        "doneAt": _timestamp(at),
        "messageCount": count_segments(accept.text),
        "mccMnc": "310260",
        "price": {"pricePerMessage": PRICE_PER_SEGMENT, "currency": CURRENCY},
        "status": _status(status, GROUPS),
        "error": _status(error, ERROR_GROUPS) | {"permanent": error[1] != 0},
    }


def _callback(url: str, fields: Mapping[str, Any]) -> Callback:
    return Callback("POST", url, {"Content-Type": JSON}, json.dumps(fields).encode())


def _forged(url: str, forgery: Forgery | None) -> str:
    """The address as a stranger would call it: without its secret end, or with one that is guessed."""
    if forgery is Forgery.UNSIGNED:
        return url.partition("?")[0] if "?" in url else url.rpartition("/")[0]
    if forgery is Forgery.WRONG_SECRET:
        return url[:-1] + ("1" if url.endswith("0") else "0")
    return url


def _timestamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "+0000")
