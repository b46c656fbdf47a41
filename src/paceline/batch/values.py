"""What does a script get back? The word about one text, the account of a send, and what went wrong.

PacelineError
└── BatchError        cannot be done as asked            → the sentence says what to do instead
    ├── Unfinished    an earlier send has not ended      → resume or cancel it
    └── Halted        nothing can leave until you act    → mend the cause, then resume
KeyboardInterrupt
└── Interrupted       Ctrl-C: the campaign is paused     → resume it, whenever you like
"""

from __future__ import annotations

from dataclasses import dataclass, field

from paceline.sms.errors import PacelineError
from paceline.sms.status import Status

TAKEN = frozenset({Status.ACCEPTED, Status.SENT, Status.UNCONFIRMED, Status.DELIVERED})
"""The provider took it, and nothing bad has been heard of it since."""


@dataclass(frozen=True, slots=True)
class Payload:
    """What became of one text. `code` is the provider's own word, `reason` our sentence, `reference` our id for it.

    `print` shows the numbers; its repr, which may end up in a log, does not.
    """

    number: str = field(repr=False)
    sender: str
    text: str = field(repr=False)
    status: Status
    code: str
    reason: str
    reference: str

    def __str__(self) -> str:
        why = f" ({self.reason})" if self.reason else ""
        return f"{self.number} from {self.sender or 'nobody'}: {self.status}{why}"


@dataclass(frozen=True, slots=True)
class Summary:
    """The account of a campaign at one moment. `senders` counts what each has submitted.

    `failed` are those that were not sent, or that the provider, the carrier or the handset refused; `uncertain` those
    of which nobody knows whether the provider took them: they are not sent again. `seconds` lie between the first
    submit and the last.
    """

    campaign_id: int
    state: str
    counts: dict[str, int]
    senders: dict[str, int] = field(repr=False)
    failed: list[Payload] = field(repr=False)
    uncertain: list[Payload] = field(repr=False)
    seconds: float

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    @property
    def accepted(self) -> int:
        """How many the provider has, delivered or not."""
        return sum(self.counts.get(status, 0) for status in TAKEN)

    def __str__(self) -> str:
        counts = ", ".join(f"{count} {status}" for status, count in self.counts.items())
        return f"Campaign {self.campaign_id} is {self.state}: {self.total} people, {counts}, in {self.seconds:g} s"


@dataclass(frozen=True, slots=True)
class Added:
    """What became of numbers that were added. `invalid` holds (what was given, why it is no number)."""

    new: int
    known: int
    invalid: list[tuple[str, str]] = field(repr=False)


class BatchError(PacelineError):
    """It cannot be done; the sentence says why and what to do."""


class Unfinished(BatchError):
    """An earlier send has not ended, and a second one beside it would text people twice."""

    def __init__(self, campaign_id: int, sentence: str) -> None:
        super().__init__(sentence)
        self.campaign_id = campaign_id


class Halted(BatchError):
    """Every sender that has something to send is blocked or removed; the campaign is paused."""

    def __init__(self, summary: Summary, why: str) -> None:
        super().__init__(
            f"Nothing can leave: {why}. Campaign {summary.campaign_id} is paused; when that is mended, go on with "
            f"client.resume({summary.campaign_id})"
        )
        self.campaign_id = summary.campaign_id
        self.summary = summary


class Interrupted(KeyboardInterrupt):
    """Ctrl-C: the campaign is paused, what was on the wire is settled."""

    def __init__(self, summary: Summary) -> None:
        super().__init__(
            f"Campaign {summary.campaign_id} is paused, {summary.accepted} of {summary.total} texts are accepted; "
            f"go on with client.resume({summary.campaign_id})"
        )
        self.campaign_id = summary.campaign_id
        self.summary = summary
