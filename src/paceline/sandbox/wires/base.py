"""What must a provider's side of the wire say? How it reads a request, answers it, reports, and signs.

The carrier (`door`, `followups`) decides what happens to a message; a `Wire` says it in one provider's own words. It is
written from the provider's documentation and shares no code with our client for it: each finds the other's mistakes.
Where the documentation leaves a choice, a wire is strict.
"""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import parse_qs, urlsplit

from ..behaviour import Ending, Forgery
from ..ledger import Accept

if TYPE_CHECKING:
    from ..book import Book

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Knock:
    """A request as it came: header names are lower-case, `url` is the whole address as it was called."""

    method: str
    url: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer."""

    status: int
    body: bytes = b""
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Callback:
    """A webhook: what is sent to somebody's server."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Submission:
    """A request in order, in our words: numbers with the plus.

    `webhook_url` is where this message's reports go, when the request says so. `reference` is the client's own id; a
    provider that knows no such thing finds it in the query of that address, for the log's sake (`reference_in`).
    """

    sender: str
    number: str
    text: str
    reference: str = ""
    webhook_url: str = ""

    @property
    def key(self) -> str:
        return self.reference or self.number


@dataclass(frozen=True, slots=True)
class Said:
    """A text from `number`, a person, to `sender`, one of the client's; `at` is epoch seconds."""

    provider_id: str
    number: str
    sender: str
    text: str
    at: float


class Problem(Exception):
    """A request that is not accepted: what it is answered, and for the log alone the provider's `code` and `why`."""

    def __init__(self, reply: Reply, code: str = "", *, throttled: bool = False, why: str = "") -> None:
        super().__init__(f"{reply.status} {code}")
        self.reply = reply
        self.code = code
        self.throttled = throttled
        self.why = why


class Wire(ABC):
    """One provider's format, and one customer's account there: the fields of a wire are flags of the sandbox."""

    name: ClassVar[str]
    forgeries: ClassVar[Sequence[Forgery]] = (Forgery.UNSIGNED,)
    """What can be wrong with a webhook of this provider."""
    refuses_opted_out: ClassVar[bool] = False
    """Whether an opted-out recipient is refused at once (`opted_out`), or accepted and then reported."""
    refuses_repeats: ClassVar[bool] = False
    """Whether a reference that was accepted is not accepted again (`repeated`)."""
    reports_handover: ClassVar[bool] = True
    """Whether there is a report when the carrier takes the message, before the final one."""
    garbage: ClassVar[Sequence[Reply]]
    """Answers that say yes and nothing that can be read."""
    server_errors: ClassVar[Sequence[Reply]]

    def check(self) -> None:  # noqa: B027  most name no file
        """Raises OSError when a file that the account names cannot be read."""

    @abstractmethod
    def submits(self, knock: Knock) -> bool:
        """Whether this request's address is the one for submissions."""

    @abstractmethod
    def read(self, knock: Knock, now: float) -> Submission:
        """A submission from the request, its credentials and every field checked. Raises `Problem`."""

    @abstractmethod
    def accepted(self, submission: Submission, provider_id: str) -> Reply:
        """The yes to a submission."""

    def new_id(self) -> str:
        """A fresh id for a message, of the provider's kind."""
        return str(uuid.uuid4())

    def id_for(self, submission: Submission) -> str:
        """The id of a message that is accepted: a fresh one, unless the client gives it its name."""
        return self.new_id()

    def look_up(self, knock: Knock, book: Book, ending: Callable[[Accept], Ending | None]) -> Reply | None:
        """The answer to a look-up in the provider's own API; None when this is not the address of one.

        `ending` says how a message has ended by now; None for one that is under way.
        """
        return None

    # The noes, in the provider's words

    @abstractmethod
    def unauthorized(self) -> Problem: ...

    @abstractmethod
    def low_balance(self) -> Problem: ...

    @abstractmethod
    def throttled(self, why: str) -> Problem: ...

    @abstractmethod
    def barred_recipient(self) -> Problem: ...

    def opted_out(self) -> Problem:
        """The recipient has said stop. Only with `refuses_opted_out`."""
        raise NotImplementedError

    def repeated(self, submission: Submission) -> Problem:
        """This message was accepted already. Only with `refuses_repeats`."""
        raise NotImplementedError

    @abstractmethod
    def internal(self) -> Problem:
        """Something broke inside the carrier: nothing was accepted."""

    @abstractmethod
    def not_found(self) -> Problem:
        """No such address."""

    # What follows a message

    @abstractmethod
    def words(self, ending: Ending | None) -> tuple[str, str]:
        """The provider's status word and error code; no ending means that the carrier took it."""

    @abstractmethod
    def report(
        self, accept: Accept, ending: Ending | None, at: float, url: str, now: float, forgery: Forgery | None = None
    ) -> Callback:
        """A delivery report to `url` about what happened at `at` (epoch seconds), signed `now`, or with a forgery."""

    @abstractmethod
    def inbound(self, said: Said, url: str, now: float) -> Callback:
        """What a person has texted, to `url`, signed `now`."""


def reference_in(webhook_url: str) -> str:
    """The client's reference in the query of a callback address, or nothing."""
    return (parse_qs(urlsplit(webhook_url).query).get("reference") or [""])[0]


def is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


# How a carrier counts: ours is judged by it, not with it

GSM_7 = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
GSM_7_EXTENSION = frozenset("\f^{}\\[~]|€")


def count_segments(text: str) -> int:
    """How many SMS the carrier bills (3GPP TS 23.038, 23.040)."""
    if set(text) <= GSM_7 | GSM_7_EXTENSION:
        widths, one, many = [1 + (each in GSM_7_EXTENSION) for each in text], 160, 153
    else:
        widths, one, many = [1 + (each > "\uffff") for each in text], 70, 67
    if sum(widths) <= one:
        return 1
    segments, room = 1, many
    for width in widths:  # a character of two units does not straddle two segments
        if width > room:
            segments, room = segments + 1, many
        room -= width
    return segments
