"""What does the log add up to: who was accepted, how often was a reference tried, what does the carrier still owe?

Every line goes into the log and then into the sums, and at start the log is read into the same sums. So there is one
way to come to a state, and nothing that a kill could lose.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from . import ledger
from .ledger import Accept

SUBMITTED, FINAL = 1, 2
"""The two reports of a message, as bits of what is owed."""


class Book:
    """A log, open for writing, and its sums.

    `reports` are owed for each message, as bits; `reports_to` is where they go by default, without it none are owed.
    Raises OSError when the log cannot be opened.
    """

    def __init__(self, path: Path | str, reports_to: str = "", reports: int = SUBMITTED | FINAL) -> None:
        self.messages: dict[str, Accept] = {}  # by reference, the first of each
        self.owed_replies: dict[str, Mapping[str, Any]] = {}
        self.stopped: set[str] = set()
        self.counts: Counter[str] = Counter()
        self.troubles: Counter[str] = Counter()
        self._owed: dict[str, tuple[int, Accept]] = {}
        self._reports_to = reports_to
        self._reports = reports
        self._further_attempts: Counter[str] = Counter()
        self._ledger = ledger.Ledger(path)
        for record in ledger.records(path):
            self._add(record)

    def enter(self, *records: Mapping[str, Any]) -> None:
        """Writes lines to the log, all or none; then they count. Raises OSError when they cannot be written."""
        self._ledger.append(*records)
        for record in records:
            self._add(record)

    def close(self) -> None:
        self._ledger.close()

    def attempts(self, key: str) -> int:
        """How often this reference has been submitted, accepted or not."""
        return self._further_attempts[key] + (key in self.messages)

    def owed(self, provider_id: str) -> int:
        """The reports of a message that nobody has taken yet: bits of SUBMITTED and FINAL."""
        return self._owed[provider_id][0] if provider_id in self._owed else 0

    def unreported(self) -> Iterator[Accept]:
        """The messages of which a report is still owed."""
        return (accept for _, accept in list(self._owed.values()))

    def state(self) -> dict[str, int]:
        """Counts for people, and for a demo that waits until nothing is owed."""
        return {
            "accepted": self.counts["accepted"],
            "repeated": self.counts["accepted"] - len(self.messages),
            "refused": self.counts["refused"],
            "throttled": self.counts["throttled"],
            "failed": self.counts["failed"],
            "redirects_followed": self.counts["followed"],
            "reported": self.counts["reported"],
            "dropped": self.counts["dropped"],
            "forged": self.counts["forged"],
            "replies": self.counts["reply"],
            "replied": self.counts["replied"],
            "owed": len(self._owed) + len(self.owed_replies),
            "owed_reports": len(self._owed),
            "owed_replies": len(self.owed_replies),
        }

    def _add(self, record: Mapping[str, Any]) -> None:
        event = record.get("event", "")
        self.counts[event] += 1
        if event == "accepted":
            accept = Accept.from_record(record)
            if self.messages.setdefault(accept.key, accept) is not accept:
                self._further_attempts[accept.key] += 1
            if accept.webhook_url or self._reports_to:
                self._owed[accept.provider_id] = self._reports, accept
        elif event == "reported":
            self._settle(record["provider_id"], FINAL if record["final"] else SUBMITTED)
        elif event == "dropped":
            self._settle(record["provider_id"], SUBMITTED | FINAL)
        elif event == "reply":
            self.owed_replies[record["provider_id"]] = record
            if record["stop"]:
                self.stopped.add(record["from"])
        elif event == "replied":
            self.owed_replies.pop(record["provider_id"], None)
        elif event in ("refused", "throttled", "failed"):
            self.troubles[record.get("why", "")] += 1
            if key := record.get("reference") or record.get("to"):
                self._further_attempts[key] += 1

    def _settle(self, provider_id: str, reports: int) -> None:
        if provider_id not in self._owed:
            return
        owed, accept = self._owed[provider_id]
        if left := owed & ~reports:
            self._owed[provider_id] = left, accept
        else:
            del self._owed[provider_id]
