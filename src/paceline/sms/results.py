"""What does one hear of a run? A result for every row, and how far it is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from .errors import PacelineError


class Outcome(StrEnum):
    """What became of a row."""

    ACCEPTED = "accepted"  # the provider took it
    REFUSED = "refused"  # it never will
    UNCERTAIN = "uncertain"  # it may have taken it: not to be sent again without looking
    FAILED = "failed"  # it certainly did not, after all that back-off
    INVALID = "invalid"  # the row has no number or lacks a field
    DUPLICATE = "duplicate"  # an earlier row has the same number
    NOT_SENT = "not sent"  # the run ended before its turn


WITHOUT_A_TEXT = (Outcome.REFUSED, Outcome.FAILED, Outcome.INVALID, Outcome.NOT_SENT)
"""What `Progress` counts as failed."""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one row. `error` says why it was not accepted; `earlier` that an earlier run settled it."""

    row: int
    number: str
    status: Outcome
    reference: str = ""
    provider_id: str = ""
    segments: int = 0
    sender: str = ""
    error: PacelineError | None = None
    duplicate_of: int | None = None
    earlier: bool = False

    @property
    def accepted(self) -> bool:
        """Whether the provider took it."""
        return self.status is Outcome.ACCEPTED

    @property
    def retryable(self) -> bool:
        """Whether it certainly did not leave, so that sending it again cannot send it twice."""
        return self.status in (Outcome.FAILED, Outcome.NOT_SENT)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is. `failed` counts what will not arrive by this run: refused, failed, invalid and not sent."""

    done: int
    total: int | None
    accepted: int
    failed: int
    uncertain: int
    per_second: float
    eta_seconds: float | None
