"""What did the carrier take, when, and does that keep every promise? An append-only log of JSON lines, and its judge.

The log is the ground truth: a line is in the file before anybody hears of what it says. `judge` reads the carrier's
log and equally the dispatcher's wire log (lines of at, from, reference without an event).
"""

from __future__ import annotations

import json
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WINDOW_SECONDS = 0.95
"""A second, less what the way to the carrier may bunch up: two messages written a second apart can be read closer."""


@dataclass(frozen=True, slots=True)
class Accept:
    """One submission that the carrier took. `at` is epoch seconds, stamped when the request had been read."""

    at: float
    sender: str
    number: str = ""
    reference: str = ""
    text: str = ""
    provider_id: str = ""
    webhook_url: str = ""

    @property
    def key(self) -> str:
        """What this message's draws hang on: its reference, or the number when it came without one."""
        return self.reference or self.number

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Accept:
        return cls(
            at=record["at"],
            sender=record["from"],
            number=record.get("to", ""),
            reference=record.get("reference", ""),
            text=record.get("text", ""),
            provider_id=record.get("provider_id", ""),
            webhook_url=record.get("webhook_url", ""),
        )

    def record(self) -> dict[str, Any]:
        """The line of the log. `webhook_url` is there only when the request named one."""
        record = {
            "event": "accepted",
            "at": self.at,
            "from": self.sender,
            "to": self.number,
            "reference": self.reference,
            "text": self.text,
            "provider_id": self.provider_id,
        }
        return {**record, "webhook_url": self.webhook_url} if self.webhook_url else record


class Ledger:
    """The log, open for appending by one process. Raises OSError when the file cannot be opened or written."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        end = os.fstat(self._file).st_size
        if end and os.pread(self._file, 1, end - 1) != b"\n":
            os.write(self._file, b"\n")  # killed in the middle of a line: it must not swallow the next one

    def append(self, *records: Mapping[str, Any]) -> None:
        """Writes lines in one system call: all of them are there afterwards, whatever kills this process.

        On a full disk nothing is left behind and OSError is raised, so that the caller can say no.
        """
        lines = b"".join(json.dumps(each, separators=(",", ":")).encode() + b"\n" for each in records)
        written = os.write(self._file, lines)
        if written != len(lines):
            os.ftruncate(self._file, os.lseek(self._file, 0, os.SEEK_CUR) - written)
            raise OSError(f"Only {written} of {len(lines)} bytes fit into {self.path}")

    def close(self) -> None:
        os.close(self._file)


def records(path: Path | str) -> Iterator[dict[str, Any]]:
    """Every line of a log in order, without the halves of lines that a kill left behind."""
    with Path(path).open("rb") as file:
        for line in file:
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if isinstance(record, dict):
                yield record


def accepts(path: Path | str) -> Iterator[Accept]:
    """The submissions in a log: its `accepted` lines, and lines without an event (a wire log's)."""
    return (Accept.from_record(each) for each in records(path) if each.get("event", "accepted") == "accepted")


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a log proves. The busiest counts are messages in any window of the judged length."""

    accepted: int
    duplicates: int
    senders: Mapping[str, int]
    busiest: Mapping[str, int]
    max_per_second: int

    @property
    def max_per_sender_per_second(self) -> int:
        return max(self.busiest.values(), default=0)


def judge(accepted: Iterable[Accept], window_seconds: float = WINDOW_SECONDS) -> Judgement:
    """Counts a log: twice to the same number, and too many at once, by sender and in all.

    A wire log has no numbers; there a duplicate is a reference written again. Judge it over a whole second.
    """
    times: dict[str, list[float]] = defaultdict(list)
    recipients: Counter[str] = Counter()
    for each in accepted:
        times[each.sender].append(each.at)
        recipients[each.number or each.reference] += 1
    return Judgement(
        accepted=recipients.total(),
        duplicates=recipients.total() - len(recipients),
        senders={sender: len(moments) for sender, moments in times.items()},
        busiest={sender: busiest_window(moments, window_seconds) for sender, moments in times.items()},
        max_per_second=busiest_window([at for moments in times.values() for at in moments], window_seconds),
    )


def busiest_window(times: Sequence[float], seconds: float) -> int:
    """The most moments in any half-open window [t, t + seconds); O(n log n), any order."""
    ordered = sorted(times)
    most = first = 0
    for last, moment in enumerate(ordered):
        while moment - ordered[first] >= seconds:
            first += 1
        most = max(most, last - first + 1)
    return most
