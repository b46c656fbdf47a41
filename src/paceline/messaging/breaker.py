"""When does an account stop trying? After so many troubles in a row; then it asks with one text, after growing pauses.

Trouble is what says nothing about the one text: no connection, a time-out, a 5xx. While the breaker is open nobody's
tries are counted, so an outage of a day makes nobody `failed`. One clear answer, of whatever kind, closes it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from paceline.sms import pacing
from paceline.sms.status import Status

from . import engine
from .models import Account, Sender, TextMessage

log = logging.getLogger("paceline.breaker")

_LANES = f"FROM {Sender._meta.db_table} s JOIN {Account._meta.db_table} a ON a.id = s.account_id"

TRIP_AFTER = 10
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What one submit says about its account. `slot_at` is when it began, `at` when it ended."""

    sender_id: int
    trouble: bool
    slot_at: float
    at: float
    why: str


def pause_seconds(troubles: int) -> float:
    """How long an open breaker waits before its next probe, after so many troubles in a row."""
    return min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(troubles - TRIP_AFTER, 16))


def is_open(account: Account) -> bool:
    """True while one text at a time may be on its way through the account."""
    return account.trouble_streak >= TRIP_AFTER


def waits_for_probe(account: Account, but: int | None = None) -> bool:
    """True while an open breaker's one text is on its way, `but` not counted."""
    if not is_open(account):
        return False
    on_its_way = TextMessage.objects.filter(
        status__in=[Status.LEASED, Status.SUBMITTING], sender__in=account.senders.all()
    )
    return on_its_way.exclude(pk=but).exists()


def note(answers: Sequence[Answer]) -> set[int]:
    """Counts what the answers say about their accounts; answers the senders whose accounts' breakers are open.

    Runs inside the caller's transaction, before anything else is locked there: accounts come first.
    """
    is_one, ids = engine.one_of("s.id", list({answer.sender_id for answer in answers}))
    rows = engine.rows(f"SELECT s.id, a.id, a.trouble_streak {_LANES} WHERE {is_one}", ids)
    of = {sender_id: account_id for sender_id, account_id, _ in rows}
    concerned = {account_id for _, account_id, streak in rows if streak}
    concerned |= {of[answer.sender_id] for answer in answers if answer.trouble and answer.sender_id in of}
    if not concerned:
        return set()
    opened: set[int] = set()
    for account in engine.locked(Account.objects.filter(pk__in=concerned).order_by("pk")):
        _count(account, [answer for answer in answers if of.get(answer.sender_id) == account.pk])
        if is_open(account):
            opened.add(account.pk)
    return {sender_id for sender_id, account_id in of.items() if account_id in opened}


def _count(account: Account, answers: Iterable[Answer]) -> None:
    before = account.trouble_streak
    for answer in sorted(answers, key=lambda answer: answer.at):
        if not answer.trouble:
            account.trouble_streak, account.tripped_at = 0, None
        elif not is_open(account):
            account.trouble_streak += 1
            if is_open(account):
                _wait(account, answer)
        elif answer.slot_at >= account.backoff_until - pacing.LATE_TOLERANCE_SECONDS:
            account.trouble_streak = min(account.trouble_streak + 1, 1000)  # a probe; the others were on their way
            _wait(account, answer)
    Account.objects.filter(pk=account.pk).update(
        trouble_streak=account.trouble_streak, tripped_at=account.tripped_at, backoff_until=account.backoff_until
    )
    if before >= TRIP_AFTER and not is_open(account):
        log.warning("Account %s answers again: it sends as before", account)


def _wait(account: Account, answer: Answer) -> None:
    pause = pause_seconds(account.trouble_streak)
    account.backoff_until = max(account.backoff_until, answer.at + pause)
    account.tripped_at = account.tripped_at or answer.at
    log.error(
        "Account %s: %s submits in a row came to nothing (%s); one text asks again in %g s, the others wait",
        account, account.trouble_streak, answer.why, pause,
    )  # fmt: skip


def reset(account: Account) -> None:
    """A person has acted: it sends as before."""
    Account.objects.filter(pk=account.pk).update(trouble_streak=0, tripped_at=None)


def in_words(account: Account, now: float) -> str:
    """What a person should know of an open breaker; "" when it is closed."""
    if not is_open(account):
        return ""
    rest = max(0.0, account.backoff_until - now)
    asks = f"asks again in {rest:.0f} s" if rest >= 1 else "is asking with one text"
    return f"does not answer ({account.trouble_streak} submits in a row came to nothing); Paceline {asks}"
