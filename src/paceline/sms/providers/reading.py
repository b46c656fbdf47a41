"""What can be read from something that somebody else sent? Whatever it holds, nothing here raises.

Answers and webhooks come from outside: a field may be missing, of another type, hostile. These functions answer with
the value in our form, or with nothing.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import parse_qsl

LONGEST_RETRY_SECONDS = 86_400.0
"""Whatever a Retry-After says, look again after a day."""

FORM_FIELDS_MOST = 1000


# Bodies


def parsed(body: bytes) -> Any:
    """The JSON in a body, or None."""
    try:
        return _decode(body.decode())  # as nearly all of them are, and quicker than to find that out
    except (ValueError, RecursionError):
        pass
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


_decode = json.JSONDecoder().decode


def json_object(body: bytes) -> dict[str, Any]:
    """The JSON object in a body, or an empty one."""
    return as_object(parsed(body))


def form(text: str | bytes) -> dict[str, str]:
    """The fields of a form or a query, blank ones too; of a name that comes twice, the last."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    try:
        return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=FORM_FIELDS_MOST))
    except ValueError:
        return {}


def as_object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def as_list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


# Fields


def clean(value: object, *, strip: bool = True) -> str:
    """Text that every database takes: no NUL, no half surrogates. Numbers become digits, other things ""."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**30:
        return str(value)
    if not isinstance(value, str):
        return ""
    text = value.replace("\0", "")
    if not text.isascii():  # which nearly all ids and codes are
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text.strip() if strip else text


def code(value: object, *, numeric: bool = False) -> str:
    """A machine code if it looks like one, so that no stray text or phone number passes for it."""
    pattern = r"[0-9]{1,5}" if numeric else r"[0-9]{1,5}|[A-Za-z][A-Za-z_-]{0,63}"
    text = clean(value)
    return text if re.fullmatch(pattern, text, re.ASCII) else ""


def with_plus(party: str) -> str:
    """E.164 for a number (7 to 15 digits, with or without plus); short codes and names as they are."""
    digits = party.removeprefix("+")
    return "+" + digits if re.fullmatch(r"[1-9][0-9]{6,14}", digits, re.ASCII) else party


def without_plus(sender: str) -> str:
    """Numbers lose their plus; names pass untouched."""
    digits = sender[1:]
    return digits if sender.startswith("+") and digits.isdecimal() and digits.isascii() else sender


def moment(value: object) -> datetime | None:
    """An aware time in UTC from ISO 8601; without a zone it is UTC already. None for anything else."""
    if not isinstance(value, str):
        return None
    try:
        read = datetime.fromisoformat(value.strip())
        return (read if read.tzinfo else read.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def price(value: object) -> Decimal | None:
    """An exact amount; None when it is not one that fits (a million, nine decimals)."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        amount = Decimal(str(value).strip())
    except (InvalidOperation, ValueError):
        return None
    return amount if amount.is_finite() and abs(amount) < 1_000_000 and amount == round(amount, 9) else None


def currency(value: object) -> str:
    """Three capital letters, or nothing."""
    text = clean(value).upper()
    return text if re.fullmatch(r"[A-Z]{3}", text) else ""


def count(value: object) -> int | None:
    """A small number such as a count of segments."""
    text = clean(value)
    return int(text) if re.fullmatch(r"[0-9]{1,3}", text, re.ASCII) else None


def is_moment(value: object) -> bool:
    """Whether it can be a time in epoch seconds."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e12


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds from a Retry-After of seconds or of an HTTP date; None when there is none that can be read."""
    value = headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,6})?", value):
        return min(float(value), LONGEST_RETRY_SECONDS)
    until = _http_date(value)
    if until is None:
        return None
    now = _http_date(headers.get("date", ""))  # the clock that wrote the other one
    return min(max(until - (time.time() if now is None else now), 0.0), LONGEST_RETRY_SECONDS)


def _http_date(value: str) -> float | None:
    try:
        date = parsedate_to_datetime(value)
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


# Signatures


def same(given: str, expected: str) -> bool:
    """Whether two texts are equal, in a time that tells nothing. Compare signatures as text: it has one spelling."""
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), expected.encode("utf-8", "surrogatepass"))


def unbase64(text: str) -> bytes:
    """The bytes of standard or URL-safe base64, with or without padding."""
    try:
        return base64.b64decode(text.replace("-", "+").replace("_", "/") + "==")
    except (ValueError, binascii.Error):
        return b""
