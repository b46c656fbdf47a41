"""What went wrong, named by the reaction it wants.

PacelineError
├── InvalidNumber          not a number we can send to        → the import reports it, nothing else stops
├── TemplateError          a text that cannot be rendered     → the author is told, nothing is sent
├── WebhookRejected        bad signature or unreadable        → 4xx, counted, nothing stored as an event
└── ProviderError (= TextMessageError, its documented name)
    ├── Throttled          slow down (with retry_after)       → the lane waits, the message keeps its place
    ├── Unavailable        it never left                      → retried later with back-off, a few times
    ├── Uncertain          it may have been sent              → marked uncertain, never resent by ourselves
    ├── Refused            will never be accepted             → refused, with the provider's code and our reason
    │   └── OptedOut       the recipient said stop            → refused + suppression
    ├── SenderProblem      this sender may not send           → its lane pauses, the message waits or changes sender
    └── AccountProblem     nothing will be accepted           → the account's lanes pause, the operator is told
"""

from __future__ import annotations


class PacelineError(Exception):
    """The root: everything that this package raises on purpose."""


class InvalidNumber(PacelineError):
    """Not a number we can send to. `reason` is a short machine word, the message a sentence for people."""

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason


class TemplateError(PacelineError):
    """A text that cannot be parsed, or a field that a recipient does not have."""


class WebhookRejected(PacelineError):
    """A webhook with a bad signature, a stale date or an unreadable body. Answer 4xx and store nothing."""


class ProviderError(PacelineError):
    """What a provider's answer (or its absence) means for one message.

    `code` is the provider's own word, kept as it came; the exception's text is ours and carries
    neither credentials nor the recipient's number.
    """

    def __init__(self, sentence: str = "", *, code: str = "") -> None:
        super().__init__(sentence)
        self.code = code


TextMessageError = ProviderError


class Throttled(ProviderError):
    """A definite no for now. `retry_after` is seconds, or None when the provider names none."""

    def __init__(self, sentence: str = "", *, code: str = "", retry_after: float | None = None) -> None:
        super().__init__(sentence, code=code)
        self.retry_after = retry_after


class Unavailable(ProviderError):
    """It certainly never left: connection refused, DNS or TLS failed before the write."""


class Uncertain(ProviderError):
    """It may have been sent: time-out, reset, 5xx or an unreadable answer after the write."""


class Refused(ProviderError):
    """Will never be accepted as it is: a bad number, a barred recipient, unacceptable content."""


class OptedOut(Refused):
    """The recipient has told the provider to stop."""


class SenderProblem(ProviderError):
    """This sender may not send (unknown, unregistered, not allowed in that country)."""


class AccountProblem(ProviderError):
    """Nothing will be accepted from this account until a person acts: credentials, funds, suspension."""
