"""The values that cross a seam: a message, the HTTP it becomes, the answer it gets, the events that follow."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from .status import Status


def new_reference() -> str:
    """A fresh 128-bit id in 32 hex digits: sent with a message, echoed by its reports."""
    return secrets.token_hex(16)


@dataclass(frozen=True, slots=True)
class Message:
    """One outbound text. `number` is E.164 with the plus; `sender` a number, short code or alphanumeric id."""

    text: str
    sender: str
    number: str
    reference: str = field(default_factory=new_reference)
    validity_seconds: int | None = None
    report: bool = True
    """Whether to ask for a status report, where the provider lets each message choose."""


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request as a value. `url` and `headers` may carry credentials: never log them, hence no repr."""

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP answer as a value; header names are lower-case."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The provider took it. What it does not say yet (price, segments) is None."""

    provider_id: str
    segments: int | None = None
    price: Decimal | None = None
    currency: str = ""


@dataclass(frozen=True, slots=True)
class WebhookRequest:
    """What a provider sent to us, before any parser touched it; header names are lower-case."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    query: str = ""
    body: bytes = field(default=b"", repr=False)
    origin: str = ""  # scheme and host as they were called: https://sms.example.org


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """A provider's word about a message of ours. `status` is None when the word is not in our table."""

    status: Status | None
    reference: str = ""
    provider_id: str = ""
    word: str = ""  # the provider's own status word
    code: str = ""  # the provider's own error code
    reason: str = ""  # our sentence for it
    at: datetime | None = None
    opted_out: bool = False
    price: Decimal | None = None
    currency: str = ""
    segments: int | None = None


@dataclass(frozen=True, slots=True)
class InboundText:
    """A text that somebody sent to one of our senders. `number` is theirs, `sender` is ours; E.164 both."""

    number: str
    sender: str
    text: str
    provider_id: str = ""
    at: datetime | None = None
    opted_out: bool = False  # the provider has taken it for a STOP, whatever its words are


@dataclass(frozen=True, slots=True)
class Lookup:
    """A message to ask a provider about: by its id when we know it, else by what we had sent and when."""

    reference: str
    number: str = ""
    sender: str = ""
    text: str = ""
    provider_id: str = ""
    submitted_at: float = 0.0  # epoch seconds
