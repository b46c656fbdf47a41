"""How does the simulated carrier behave, and what does it draw for one message?

Nothing is rolled in passing: every draw is a hash of the seed and the message's reference (or a person's number), so a
run with the same seed and the same references goes the same way whatever the timing, and a test can ask beforehand.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import Enum
from hashlib import blake2b
from typing import TypeVar

from .flags import flag, share

Option = TypeVar("Option")


class Answer(Enum):
    """What happens to a submission that is in order. Those that accept write the log first."""

    OK = "ok"
    THROTTLE = "throttle"
    RESET = "reset"
    HANG = "hang"
    ERROR = "error"
    GARBAGE = "garbage"
    REDIRECT = "redirect"
    ACCEPT_RESET = "accept_reset"
    ACCEPT_HANG = "accept_hang"
    ACCEPT_ERROR = "accept_error"
    ACCEPT_GARBAGE = "accept_garbage"

    @property
    def accepts(self) -> bool:
        return self is Answer.OK or self.value.startswith("accept_")


FAULTS = tuple(answer for answer in Answer if answer is not Answer.OK)
"""Each is a share of `Behaviour` by the same name."""


class Ending(Enum):
    """How a message ends at the handset; the wire files say it in their own words."""

    DELIVERED = "delivered"
    ABSENT = "absent"
    UNREACHABLE = "unreachable"
    UNROUTABLE = "unroutable"
    FILTERED = "filtered"
    EXPIRED = "expired"
    UNKNOWN = "unknown"
    OPTED_OUT = "opted_out"


UNDELIVERED = (
    Ending.ABSENT,
    Ending.UNREACHABLE,
    Ending.UNROUTABLE,
    Ending.FILTERED,
    Ending.EXPIRED,
    Ending.UNKNOWN,
)


class Forgery(Enum):
    """What is wrong with a wrongly signed webhook."""

    WRONG_SECRET = "wrong_secret"  # noqa: S105  a kind of forgery, no secret
    WRONG_HASH = "wrong_hash"
    STALE = "stale"
    ALGORITHM_NONE = "algorithm_none"
    UNSIGNED = "unsigned"


REPLIES = ("Yes!", "Who is this?", "see you there", "Thanks 👍", "What time does it start?", "I can't make it, sorry")
STOPS = ("STOP", "Stop.", "stop")

LONGEST = 5
"""A drawn time is at most this many times its mean, so that a run ends."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The delivery reports of one message. Moments are seconds after its acceptance."""

    ending: Ending
    submitted: float
    final: float
    missing: bool
    early: bool
    duplicated: bool
    forged: Forgery | None


@dataclass(frozen=True, slots=True)
class Reply:
    """What the recipient answers, and how many seconds after the message reached the handset."""

    text: str
    delay: float
    stop: bool


@dataclass(frozen=True, slots=True)
class Behaviour:
    """Shares, times and lists; all faults are off by default.

    Raises ValueError for what cannot be drawn.
    """

    seed: int = flag(0, "Same seed and same references: same run")

    latency: float = flag(0.0, "Mean seconds from reading a request to answering it")
    latency_min: float = flag(0.0, "Seconds that every answer takes at least")
    latency_max: float = flag(0.0, "Seconds that an answer takes at most; 0 means five times the mean")
    throttle: float = share("requests answered 429, not accepted")
    retry_after: int = flag(1, "Seconds that a 429 names in Retry-After; 0 leaves the header out")
    reset: float = share("requests whose connection is reset, not accepted")
    hang: float = share("requests never answered, not accepted")
    error: float = share("requests answered 5xx, not accepted")
    garbage: float = share("requests answered 2xx with an unreadable body, not accepted")
    redirect: float = share("requests answered 307, not accepted")
    accept_reset: float = share("requests accepted, then the connection is reset")
    accept_hang: float = share("requests accepted, then never answered")
    accept_error: float = share("requests accepted, then answered 5xx")
    accept_garbage: float = share("requests accepted, then answered 2xx with an unreadable body")
    hang_seconds: float = flag(60.0, "Seconds that a hanging connection stays open")

    mps: float = flag(0.0, "Messages per second of one sender, 429 above it; 0 means no limit")
    account_mps: float = flag(0.0, "Messages per second of the whole account, 429 above it; 0 means no limit")
    refused: float = share("numbers refused with 422 as invalid recipients")
    refused_numbers: tuple[str, ...] = flag((), "A number that is refused with 422")
    unauthorized_after: int | None = flag(None, "Answer 401 from this many accepted messages on", int)
    low_balance_after: int | None = flag(None, "Answer 402 from this many accepted messages on", int)
    trouble_requests: int = flag(0, "After this many answers the 401 or 402 phase is over; 0 means it stays")

    report_delay: float = flag(0.5, "Mean seconds from acceptance to the final delivery report")
    undelivered: float = share("messages that do not reach the handset")
    opted_out: float = share("numbers that have opted out: accepted, then reported rejected (1240)")
    opted_out_numbers: tuple[str, ...] = flag((), "A number that has opted out")
    expired_numbers: tuple[str, ...] = flag((), "A number whose messages are reported expired (1360)")
    early: float = share("messages whose reports come before the HTTP answer")
    late: float = share("messages whose final report comes late")
    late_seconds: float = flag(5.0, "Seconds that a late report is late")
    duplicated: float = share("messages whose reports all come twice")
    reordered: float = share("messages whose final report comes before `submitted`")
    missing: float = share("messages whose reports never come; the log says dropped")
    silent_numbers: tuple[str, ...] = flag((), "A number whose reports never come")
    forged: float = share("messages with one more webhook, wrongly signed and lying")

    replies: float = share("delivered messages that are answered with some text")
    stops: float = share("numbers that answer STOP, once each, to the first message delivered to them")
    stop_numbers: tuple[str, ...] = flag((), "A number that answers STOP")
    reply_delay: float = flag(1.0, "Mean seconds from delivery to the reply")

    lookup: bool = flag(True, "Whether a message can be looked up by its reference (501 when not)")

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if each.metadata.get("share") and not 0 <= value <= 1:
                raise ValueError(f"{each.name} is a share from 0 to 1, not {value}")
            if isinstance(value, (int, float)) and each.name != "seed" and value < 0:
                raise ValueError(f"{each.name} cannot be negative, it is {value}")
        total = sum(getattr(self, fault.value) for fault in FAULTS)
        if total > 1 + 1e-9:
            raise ValueError(
                f"A request has one outcome: the shares of {', '.join(f.value for f in FAULTS)} add up to {total:g}"
            )

    def answer(self, reference: str, attempt: int) -> Answer:
        """What becomes of the `attempt`th submission (from 0) of a reference.

        The attempt counts, or a message that was throttled once would be throttled for ever.
        """
        left = self._draw("answer", reference, attempt)
        for fault in FAULTS:
            left -= getattr(self, fault.value)
            if left < 0:
                return fault
        return Answer.OK

    def pick(self, options: Sequence[Option], what: str, reference: str, attempt: int = 0) -> Option:
        """One of `options`, each as likely."""
        return options[int(self._draw(what, reference, attempt) * len(options))]

    def answer_delay(self, reference: str, attempt: int) -> float:
        """Seconds from reading the request to answering it."""
        if not self.latency:
            return self.latency_min
        seconds = self.latency_min + self._wait(
            max(0.0, self.latency - self.latency_min), "latency", reference, attempt
        )
        return min(seconds, self.latency_max) if self.latency_max else seconds

    def refuses(self, number: str) -> bool:
        """Whether submissions to this number are answered 422."""
        return number in self.refused_numbers or self._happens(self.refused, "refused", number)

    def has_opted_out(self, number: str) -> bool:
        """Whether this person has opted out at the carrier, before we knew."""
        return number in self.opted_out_numbers or self._happens(self.opted_out, "opted out", number)

    def says_stop(self, number: str) -> bool:
        """Whether this person answers the first message that reaches them with STOP."""
        return number in self.stop_numbers or self._happens(self.stops, "stop", number)

    def ending(self, reference: str, number: str) -> Ending:
        """How a message to this number ends."""
        if self.has_opted_out(number):
            return Ending.OPTED_OUT
        if number in self.expired_numbers:
            return Ending.EXPIRED
        if self._happens(self.undelivered, "undelivered", reference):
            return self.pick(UNDELIVERED, "ending", reference)
        return Ending.DELIVERED

    def plan(self, reference: str, number: str) -> Plan:
        """Which delivery reports a message gets, and when."""
        final = self._wait(self.report_delay, "report", reference)
        submitted = final * self._draw("submitted", reference)
        if self._happens(self.reordered, "reordered", reference):
            # Far enough apart that two webhooks under way at once do not put it right again.
            submitted = final + max(0.1, self.report_delay / 2)
        elif self._happens(self.late, "late", reference):
            final += self.late_seconds
        early = self._happens(self.early, "early", reference)
        forged = self._happens(self.forged, "forged", reference)
        return Plan(
            ending=self.ending(reference, number),
            submitted=0.0 if early else submitted,
            final=0.0 if early else final,
            missing=number in self.silent_numbers or self._happens(self.missing, "missing", reference),
            early=early,
            duplicated=self._happens(self.duplicated, "duplicated", reference),
            forged=self.pick(tuple(Forgery), "forgery", reference) if forged else None,
        )

    def reply(self, reference: str, number: str) -> Reply | None:
        """What the recipient of a message answers, if it reached them. That a STOP comes once is the caller's."""
        stop = self.says_stop(number)
        if not stop and not self._happens(self.replies, "reply", reference):
            return None
        if self.ending(reference, number) is not Ending.DELIVERED:
            return None
        texts = STOPS if stop else REPLIES
        return Reply(
            text=self.pick(texts, "words", reference),
            delay=self._wait(self.reply_delay, "reply delay", reference),
            stop=stop,
        )

    def _draw(self, what: str, key: str, attempt: int = 0) -> float:
        """A number in [0, 1) that belongs to this seed, question and key."""
        question = f"{self.seed}\0{what}\0{key}\0{attempt}"
        digest = blake2b(question.encode(errors="surrogatepass"), digest_size=7).digest()
        return int.from_bytes(digest) / 2.0**56

    def _happens(self, probability: float, what: str, key: str) -> bool:
        return probability > 0 and self._draw(what, key) < probability

    def _wait(self, mean: float, what: str, key: str, attempt: int = 0) -> float:
        """Seconds, exponentially spread around `mean`: most are short, a few are long, none is endless."""
        if not mean:
            return 0.0
        return min(-math.log(1 - self._draw(what, key, attempt)), LONGEST) * mean
