"""How does a queued message reach the wire at most once, in its slot? Claim, gate, (submit), settle; and recovery.

Each verb is one short transaction. The submit itself lies between `gate` and `settle`, outside any transaction
and outside this module. The rules are in docs/architecture.md, "The life of a message".
"""

from __future__ import annotations

import logging
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from django.db.models import Q
from django.utils import timezone

from paceline.sms import errors, failpoints, pacing, segments
from paceline.sms.messages import Accepted, Message, new_reference
from paceline.sms.status import Status

from . import breaker, caps, engine, installation, lanes, senders, signals, suppressions, turns
from .clock import Clock
from .models import AutomaticText, Campaign, Contact, Sender, TextMessage
from .turns import Lease

log = logging.getLogger("paceline.outbox")

CLAIM_MOST = engine.CHUNK
GATE_AHEAD_SECONDS = 0.050
SUBMIT_LEASE_SECONDS = 45.0  # connect and total time-outs of the transport (5 s + 30 s) and a margin
CLOCKS_APART_SECONDS = 0.5  # this machine's clock from the database's, at the most
TRIES_MOST = 12  # about six minutes of back-off
LONGEST_DELAY_SECONDS = 60.0  # of a message that did not leave; one that met a 429 waits as long as its lane
PRIORITY_DIRECT = 10

TABLE = TextMessage._meta.db_table

owner = ""
"""How the attempts of this process begin, when its dispatcher runs on a data folder: what it left is its own."""


class Missed(errors.PacelineError):
    """The slot had passed before the write: nothing left, the message goes back."""


class Taken(errors.PacelineError):
    """Another dispatcher has the message: whoever asked for it must not submit it."""


class Submission(NamedTuple):
    """A message that has passed the gate: exactly one request may be written for it, in its slot."""

    lease: Lease
    message: Message


class Outcome(NamedTuple):
    """What became of a submission; `at` is the moment of the answer."""

    lease: Lease
    result: Accepted | errors.ProviderError | Missed
    at: float


# --- queue ----------------------------------------------------------------------------------------------------


def queue_text(
    text: str,
    sender: Sender,
    number: str,
    *,
    priority: int = PRIORITY_DIRECT,
    not_before: float = 0.0,
    expires_at: datetime | None = None,
    report: bool = True,
    reference: str = "",
) -> TextMessage:
    """Puts one text to an E.164 `number` into the outbox, ahead of bulk; it leaves from `not_before` (epoch) on.

    `reference` is its own, 32 hex digits that no other message has; empty: a fresh one. Raises `Refused` for a text
    that cannot be sent.
    """
    message = compose(text, sender, number, priority=priority, expires_at=expires_at, report=report)
    message.not_before = not_before
    message.reference = reference or message.reference
    with engine.write():
        return signals.insert(message)


def compose(text: str, sender: Sender, number: str, **fields: Any) -> TextMessage:
    """An outbound message that is not saved yet. Raises `Refused` for a text that cannot be sent."""
    if not text.strip():
        raise errors.Refused("The text is empty; write something to send", code="empty_text")
    count = segments.count(text)
    if count > lanes.SEGMENTS_MOST:
        raise errors.Refused(f"The text is over {lanes.SEGMENTS_MOST} segments; shorten it", code="text_too_long")
    contact, _ = Contact.objects.get_or_create(number=number)
    return TextMessage(
        text=text, sender=sender, frm=sender.number, to=number, contact=contact, segments=count, **fields
    )


# --- one message, past the dispatchers ------------------------------------------------------------------------

ASK_AGAIN_SECONDS = 0.25
ALONE = "alone-"
"""How the attempts of callers begin who submit without a dispatcher: a dispatcher that starts cannot know them dead."""


def reserve(message: TextMessage, clock: Clock, *, lead: float = 0.0) -> Lease | float:
    """Leases one message to its caller, with a slot on its sender and account; no dispatcher can take it then.

    A new message is inserted with its lease, in one commit; one that the caller holds, or that went back to the
    queue, gets another slot. Answers the moment to ask again (epoch seconds) when none is free within 500 ms.
    Raises `Taken`, or the `ProviderError` that says why nothing may leave this lane; then nothing has changed.
    """
    installation.require()
    assert message.sender is not None
    attempt = (ALONE + new_reference())[:32]
    with engine.write():
        account = lanes.lock_account(message.sender.account_id)
        now = clock.sync()
        opened = lanes.open_lane(message, account, now)
        if opened is None:
            return now + ASK_AGAIN_SECONDS
        lead = min(lead, lanes.LEAD_MOST_SECONDS)
        slot_at = pacing.slot(now + lead, [line.earliest(message.segments) for line in opened])
        ahead = lead + pacing.LOOKAHEAD_SECONDS
        if slot_at > now + ahead:
            return slot_at - ahead
        _lease(message, attempt, slot_at)
        for line in opened:
            line.take(slot_at, message.segments)
        lanes.save(opened)
    return Lease(message.pk, attempt, slot_at, message.sender.pk)


def _lease(message: TextMessage, attempt: str, slot_at: float) -> None:
    held, message.attempt = message.attempt, attempt
    message.status, message.slot_at = Status.LEASED, slot_at
    message.lease_until = slot_at + pacing.LATE_TOLERANCE_SECONDS
    if message.pk is None:
        signals.insert(message)
        return
    with signals.watched([message.pk]):
        leased = engine.many(
            f"UPDATE {TABLE} SET status = 'leased', attempt = %s, slot_at = %s, lease_until = %s {_STILL_MINE}",
            [(attempt, slot_at, message.lease_until, message.pk, held)],
        )
    if not leased:
        raise Taken


def give_up(message: TextMessage, status: Status, code: str, reason: str) -> None:
    """Ends a message that has not left and that its caller holds, or has not saved yet. Raises `Taken`."""
    if message.pk is None:
        message.status, message.code, message.reason = status, code[:40], reason[:200]
        with engine.write():
            signals.insert(message)
        return
    with engine.write(), signals.watched([message.pk]):
        ended = engine.many(
            f"UPDATE {TABLE} SET status = %s, attempt = '', lease_until = NULL, submitted_at = NULL, code = %s,"
            f" reason = %s {_STILL_MINE}",
            [(status.value, code[:40], reason[:200], message.pk, message.attempt)],
        )
    if not ended:
        raise Taken


# what recovery has put back to the queue is nobody's
_STILL_MINE = "WHERE id = %s AND (status = 'queued' OR (status = 'leased' AND attempt = %s))"


# --- claim ----------------------------------------------------------------------------------------------------


class Claimed(NamedTuple):
    """What a claim has taken: leases that wait for their gate, or what has passed it at once."""

    leases: Sequence[Lease] = ()
    passed: Sequence[Submission] = ()
    gated_at: float = 0.0
    """When the gate of `passed` began to look, on the monotonic clock."""

    taken: int = 0


def claim(
    account_id: int,
    clock: Clock,
    *,
    lead: float = 0.0,
    ahead: float = pacing.LOOKAHEAD_SECONDS,
    only_direct: bool = False,
    most: int | None = None,
) -> list[Lease]:
    """Leases the account's due messages, each with a slot reserved on every limit that it passes.

    In slot order over all lanes, at most `CLAIM_MOST` (or `most`) and nothing `ahead` of now by more than those
    seconds, 0.5 at the most; by priority first, between campaigns of one priority by turn. `lead` seconds are what the
    caller needs from here to the wire; `only_direct` leaves campaigns alone.
    """
    return list(_claim(account_id, clock, lead=lead, ahead=ahead, only_direct=only_direct, most=most).leases)


def claim_through(
    account_id: int,
    clock: Clock,
    *,
    lead: float = 0.0,
    ahead: float = pacing.LOOKAHEAD_SECONDS,
    only_direct: bool = False,
    most: int | None = None,
) -> Claimed:
    """A `claim` that takes what passes no limit through the gate as well, in the same transaction.

    There is no slot to wait for, so both looks are one, and one commit less.
    """
    return _claim(account_id, clock, lead=lead, ahead=ahead, only_direct=only_direct, most=most, through=True)


def _claim(
    account_id: int,
    clock: Clock,
    *,
    lead: float,
    ahead: float,
    only_direct: bool,
    most: int | None,
    through: bool = False,
) -> Claimed:
    if installation.guard():
        return Claimed()
    most = min(CLAIM_MOST, most or CLAIM_MOST)
    attempt = (owner + new_reference())[:32]
    with engine.write():
        row = lanes.lock_account(account_id)
        now = clock.sync() + min(lead, lanes.LEAD_MOST_SECONDS)
        horizon = now + min(ahead, pacing.LOOKAHEAD_SECONDS)
        account, senders = lanes.open_timelines(row, now, horizon, most)
        campaigns = {} if only_direct or not senders else lanes.open_campaigns(now, horizon, most)
        if account is None:
            return Claimed()
        most = min(most, account.most)
        waiting = turns.waiting(senders, now, campaigns, most)
        if not waiting:
            return Claimed()
        is_free = account.is_free(now) and all(lane.is_free(now) for lane in waiting)
        if is_free:
            leases = turns.at_once(account, waiting, now, most, attempt)
        else:
            leases = turns.in_slots(account, waiting, now, horizon, most, attempt)
        if not leases:
            return Claimed()
        lanes.save([account, *senders, *(line for line in campaigns.values() if line)])
        taken, passed, gated_at = len(leases), [], time.monotonic()
        with signals.watched(lease.id for lease in leases):
            if through and is_free:
                at, met_senders = clock.now(), {lane.sender.pk: lane.sender for lane in waiting}
                met = _Met(at, caps.Till([row], at), met_senders)
                leases, passed = [], _pass({lease.id: lease for lease in leases}, met, was=Status.QUEUED)
            else:
                leases = _lease_all(leases)
    failpoints.hit("after_gate" if passed else "after_claim")
    return Claimed(leases, passed, gated_at, taken)


def _lease_all(leases: list[Lease]) -> list[Lease]:
    """Writes the leases of a claim; answers those that are ours then."""
    if not leases:
        return []
    attempt = leases[0].attempt
    leased = engine.update_each(
        TABLE,
        {"slot_at": "float8", "lease_until": "float8"},
        [(lease.id, lease.slot_at, lease.slot_at + lease.tolerance) for lease in leases],
        assign="status = 'leased', attempt = %s",
        params=(attempt,),
        where="status = 'queued'",
    )
    if leased == len(leases):
        return leases
    # somebody moved a row between our read and our write: its slot is void
    ours = set(TextMessage.objects.filter(status=Status.LEASED, attempt=attempt).values_list("pk", flat=True))
    return [lease for lease in leases if lease.id in ours]


# --- gate -----------------------------------------------------------------------------------------------------

# rows instead of models: a gate's write transaction may be of 500 messages, and is to be short
GATE_READS = (
    *("id", "status", "attempt", "campaign", "contact", "sender", "reference", "frm", "to", "text", "segments"),
    *("expires_at", "report", "submitted_at"),
)


def gate(leases: Sequence[Lease], clock: Clock, *, keep: bool = False) -> list[Submission]:
    """The last look before the wire, and the commit of `submitting`: what comes back may be written, once.

    Passes what is still leased by this attempt, not suppressed (unless it is what the suppressed have just asked for),
    of a running campaign, not expired, under the caps of its sender, recipient, account and campaign. The rest goes
    where it belongs: back to the queue (with `keep` it stays leased to the caller), suppressed, cancelled, expired.
    """
    failpoints.hit("before_gate")
    held = {lease.id: lease for lease in leases}
    with engine.write(), signals.watched(held):
        now, sender_ids = clock.now(), {lease.sender_id for lease in held.values()}
        passed = _pass(held, _Met(now, caps.Till.of_senders(sender_ids, now), _senders(sender_ids)), keep=keep)
    failpoints.hit("after_gate")
    return passed


class _Met(NamedTuple):
    """What messages meet at a gate. Accounts with caps, then senders with one are locked already, as a claim does."""

    now: float
    till: caps.Till
    senders: dict[int, Sender]


def _pass(held: dict[int, Lease], met: _Met, *, was: Status = Status.LEASED, keep: bool = False) -> list[Submission]:
    """The gate within its transaction. `was` is queued for what has been claimed in this very transaction."""
    now, till, senders_ = met  # then campaigns and messages are locked: no two gates both see room under a cap
    is_claimed = was == Status.QUEUED
    is_one, ids = engine.one_of("id", list(held))
    till.lock_campaigns(is_one, ids)
    # what has just been claimed is known by its status when it is written, so that it need not be locked before
    rows = engine.read_rows(TextMessage, GATE_READS, is_one, ids, lock=not is_claimed)
    messages = [row for row in rows if row.status == was and (is_claimed or row.attempt == held[row.id].attempt)]
    campaigns = till.campaigns({m.campaign_id for m in messages if m.campaign_id})
    lists = {pk: campaign.list_id for pk, campaign in campaigns.items()}
    ways = [suppressions.Way(m.to, m.frm, lists.get(m.campaign_id)) for m in messages]
    forbidden = suppressions.among(ways)
    suppressed = {m.id for m, way in zip(messages, ways, strict=True) if way in forbidden} if forbidden else set()
    suppressed -= _excused([m for m in messages if m.id in suppressed], now)
    till.look_up(messages, senders_)
    counts = bool(till)
    passed: list[Submission] = []
    stopped: dict[Status, list[Lease]] = defaultdict(list)
    submits: Counter[int] = Counter()
    reached: dict[int, caps.Reached] = {}
    for message in messages:
        lease, sender = held[message.id], senders_[message.sender_id]
        end = _stop(message, campaigns.get(message.campaign_id), sender, message.id in suppressed, now)
        if end is None and sender.daily_cap is not None:
            used = lanes.used_today(sender, now) + submits[sender.pk]
            end = Status.QUEUED if used >= sender.daily_cap else None
        if counts and end is None and (cap := till.reached(message, sender)):
            end, reached[message.id] = Status.QUEUED, cap
        if end is not None:
            stopped[end].append(lease)
            continue
        submits[sender.pk] += 1
        if counts:
            till.count(message, sender)
        passed.append(Submission(lease, _wire_message(message, now)))
    back = stopped.pop(Status.QUEUED, [])
    if is_claimed:
        _lease_all([lease for ended in stopped.values() for lease in ended])
    elif not keep:
        _move(back, Status.QUEUED)
    engine.many(
        f"UPDATE {TABLE} SET not_before = %s, code = %s, reason = %s WHERE id = %s AND status = 'queued'",
        [(cap.until, cap.code, cap.reason[:200], pk) for pk, cap in reached.items()],
    )
    for status, ended in stopped.items():
        _move(ended, status)
    passed = _submitting(passed, was)
    lanes.count_submits({pk: n for pk, n in submits.items() if senders_[pk].daily_cap is not None}, now)
    till.save()
    return passed


def _excused(messages: Sequence[Any], now: float) -> set[int]:
    """Those that their suppressed recipients have asked for by the very text they answer: see `automatic`."""
    direct = {m.id: m.to for m in messages if m.campaign_id is None}
    if not direct:
        return set()
    asked_for = AutomaticText.objects.filter(message__in=list(direct), excused_until__gt=now)
    return {pk for pk, number in asked_for.values_list("message", "number") if direct[pk] == number}


def _senders(ids: set[int]) -> dict[int, Sender]:
    """The senders of a gate; those with a cap are locked, since two gates may not both see room under it."""
    found = _senders_by_id(ids)
    if capped := [pk for pk, sender in found.items() if sender.daily_cap is not None]:
        found |= _senders_by_id(capped, lock=True)
    return found


def _senders_by_id(ids: Collection[int], *, lock: bool = False) -> dict[int, Sender]:
    is_one, values = engine.one_of("id", list(ids))
    return {sender.pk: sender for sender in engine.read(Sender, is_one, values, lock=lock)}


def _submitting(passed: list[Submission], was: Status) -> list[Submission]:
    """Writes that these may be on the wire from now on, and answers those that may.

    They have been looked at, and are either locked or of one claim, whose attempt nobody else has.
    """
    if not passed:
        return passed
    is_one, ids = engine.one_of("id", [submission.lease.id for submission in passed])
    if was == Status.LEASED:
        marks, values = "submitted_at = slot_at, lease_until = slot_at + %s", [SUBMIT_LEASE_SECONDS]
    else:  # of one claim, which has one attempt, and without limits one slot
        lease = passed[0].lease
        marks = "attempt = %s, slot_at = %s, submitted_at = %s, lease_until = %s"
        values = [lease.attempt, lease.slot_at, lease.slot_at, lease.slot_at + SUBMIT_LEASE_SECONDS]
    written = engine.many(
        f"UPDATE {TABLE} SET status = 'submitting', {marks} WHERE {is_one} AND {engine.aside('status')} = '{was}'",
        [(*values, *ids)],
    )
    if written == len(passed):
        return passed
    # somebody moved a row between our read and our write: nothing may be written to the wire for it
    ours = set(engine.rows(f"SELECT id, attempt FROM {TABLE} WHERE {is_one} AND status = 'submitting'", ids))
    return [submission for submission in passed if submission.lease[:2] in ours]


def _stop(message: Any, campaign: Campaign | None, sender: Sender, suppressed: bool, now: float) -> Status | None:
    """Where a message goes that may not be submitted now, or None."""
    if suppressed:
        return Status.SUPPRESSED
    if campaign is not None and campaign.state == Campaign.State.CANCELLED:
        return Status.CANCELLED
    if message.expires_at is not None and message.expires_at.timestamp() <= now:
        return Status.EXPIRED
    if campaign is not None and campaign.state != Campaign.State.RUNNING:
        return Status.QUEUED
    if sender.removed_at is not None or sender.blocked:
        return Status.QUEUED
    return None


def _wire_message(message: Any, now: float) -> Message:
    validity = None if message.expires_at is None else int(message.expires_at.timestamp() - now)
    return Message(
        text=message.text,
        sender=message.frm,
        number=message.to,
        reference=message.reference,
        validity_seconds=validity,
        report=message.report,
    )


def _move(leases: Sequence[Lease], status: Status, *, was: str = "'leased'") -> None:
    """Moves what these attempts still hold to `status`; nothing of it was on the wire."""
    engine.many(
        # a submit of today that a lease still knows of (it should not) is not forgotten: the recipient's cap counts it
        f"UPDATE {TABLE} SET submitted_at = CASE WHEN status = 'leased' THEN submitted_at END, status = %s,"
        f" attempt = '', lease_until = NULL WHERE id = %s AND attempt = %s AND status IN ({was})",
        [(status.value, lease.id, lease.attempt) for lease in leases],
    )


def give_back(leases: Sequence[Lease]) -> None:
    """Returns leases that will not be used (a drain, a missed slot before the gate). Their slots stay void."""
    with engine.write(), signals.watched(lease.id for lease in leases):
        _move(leases, Status.QUEUED)


# --- settle ---------------------------------------------------------------------------------------------------

_STILL_OURS = "WHERE id = %s AND attempt = %s AND status IN ('submitting', 'uncertain')"


def settle(outcomes: Sequence[Outcome], *, keep_until: float | None = None) -> None:
    """Writes what the provider said, in one transaction. An outcome may only touch its own attempt.

    What would go back to the queue stays leased to the caller until `keep_until` (epoch seconds), if that is given.
    """
    failpoints.hit("before_settle")
    by_kind: dict[type, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        by_kind[_kind(outcome.result)].append(outcome)
    with engine.write(), signals.watched(outcome.lease.id for outcome in outcomes):
        resting = breaker.note([_answer(o, kind) for kind in _KINDS_AND_UNCERTAIN for o in by_kind[kind]])
        _settle_accepted(by_kind[Accepted])
        _settle_uncertain(by_kind[errors.Uncertain])
        _settle_refused(by_kind[errors.Refused])
        _settle_unavailable(by_kind[errors.Unavailable], keep_until, resting)
        if keep_until is None:
            _move([o.lease for o in by_kind[Missed]], Status.QUEUED, was="'leased', 'submitting', 'uncertain'")
        else:
            _requeue(by_kind[Missed], 0.0, keep_until)
        for outcome in by_kind[errors.AccountProblem]:  # before the senders, as a claim locks them
            lanes.block(Sender.objects.get(pk=outcome.lease.sender_id).account, _why(outcome))
        if by_kind[errors.Throttled] or by_kind[errors.SenderProblem] or by_kind[errors.Uncertain]:
            lanes.lock(outcome.lease.sender_id for outcome in outcomes)
        for outcome in by_kind[errors.Throttled]:
            retry_after = getattr(outcome.result, "retry_after", None)
            until = lanes.throttle(outcome.lease.sender_id, outcome.at, retry_after)
            _requeue([outcome], until, keep_until)
        for outcome in by_kind[errors.SenderProblem]:
            lanes.block(Sender(pk=outcome.lease.sender_id), _why(outcome))
        _requeue(by_kind[errors.SenderProblem] + by_kind[errors.AccountProblem], 0.0, keep_until)
        clear = [kind for kind in by_kind if kind not in (errors.Uncertain, Missed)]
        lanes.heard(*{o.lease.sender_id for kind in clear for o in by_kind[kind]}, uncertain=False)
        for outcome in by_kind[errors.Uncertain]:
            lanes.heard(outcome.lease.sender_id, uncertain=True)
    failpoints.hit("after_settle")


_KINDS = (
    Accepted,
    Missed,
    errors.Throttled,
    errors.Unavailable,
    errors.Refused,
    errors.SenderProblem,
    errors.AccountProblem,
)


def _kind(result: Accepted | errors.ProviderError | Missed) -> type:
    """The reaction that a result wants; what nobody can name is uncertain."""
    return next((kind for kind in _KINDS if isinstance(result, kind)), errors.Uncertain)


_KINDS_AND_UNCERTAIN = (errors.Uncertain, *(kind for kind in _KINDS if kind is not Missed))


def _answer(outcome: Outcome, kind: type) -> breaker.Answer:
    """What an outcome says about its account."""
    trouble = kind in (errors.Unavailable, errors.Uncertain)
    why = _why(outcome) if trouble else ""
    return breaker.Answer(outcome.lease.sender_id, trouble, outcome.lease.slot_at, outcome.at, why)


def _why(outcome: Outcome) -> str:
    return str(outcome.result)[:200]


def _settle_accepted(outcomes: Sequence[Outcome]) -> None:
    plain = [o for o in outcomes if o.result.price is None and o.result.segments is None]  # type: ignore[union-attr]
    if len(plain) == len(outcomes) and _settle_plain(plain):
        return
    rows = []
    for outcome in outcomes:
        accepted = outcome.result
        assert isinstance(accepted, Accepted)
        at = engine.moment(datetime.fromtimestamp(outcome.at, UTC))
        known = (_believable_segments(accepted), _believable_price(accepted), accepted.currency[:3])
        rows.append((accepted.provider_id[:64], at, *known, outcome.lease.id, outcome.lease.attempt))
    # an early report may have raised the status already; it keeps its rank and its words, and gets its provider_id
    ours = "status IN ('submitting', 'uncertain', 'accepted')"  # MariaDB sees the new status further to the right
    engine.many(
        f"UPDATE {TABLE} SET status = CASE WHEN {ours} THEN 'accepted' ELSE status END,"
        f" code = CASE WHEN {ours} THEN '' ELSE code END, reason = CASE WHEN {ours} THEN '' ELSE reason END,"
        " provider_id = %s, accepted_at = %s, lease_until = NULL, segments = COALESCE(%s, segments),"
        " price = COALESCE(price, %s), currency = CASE WHEN currency = '' THEN %s ELSE currency END"
        " WHERE id = %s AND attempt = %s",
        rows,
    )


def _settle_plain(outcomes: Sequence[Outcome]) -> bool:
    """The usual case in a short statement: nothing but an id was said, and no report was quicker. False otherwise."""
    if not outcomes:
        return True
    at = engine.moment(datetime.fromtimestamp(max(outcome.at for outcome in outcomes), UTC))
    written = engine.update_each(
        TABLE,
        {"provider_id": "text"},
        [(o.lease.id, o.result.provider_id[:64], o.lease.attempt) for o in outcomes],  # type: ignore[union-attr]
        assign="status = 'accepted', code = '', reason = '', lease_until = NULL, accepted_at = %s",
        params=(at,),
        match={"attempt": "text"},
        where="status = 'submitting'",
    )
    return written == len(outcomes)


def _believable_segments(accepted: Accepted) -> int | None:
    """What an answer says beside its yes must not keep the yes from being written."""
    return accepted.segments if accepted.segments and 0 < accepted.segments < 1000 else None


def _believable_price(accepted: Accepted) -> Any:
    price = accepted.price
    known = price is not None and price.is_finite() and 0 <= price < 100_000
    return engine.amount(TextMessage._meta.get_field("price"), price if known else None)


def _settle_uncertain(outcomes: Sequence[Outcome]) -> None:
    engine.many(
        f"UPDATE {TABLE} SET status = 'uncertain', lease_until = NULL, code = %s, reason = %s {_STILL_OURS}",
        [(_code(o), _why(o), o.lease.id, o.lease.attempt) for o in outcomes],
    )


def _settle_refused(outcomes: Sequence[Outcome]) -> None:
    engine.many(
        f"UPDATE {TABLE} SET status = 'refused', lease_until = NULL, code = %s, reason = %s {_STILL_OURS}",
        [(_code(o), _why(o), o.lease.id, o.lease.attempt) for o in outcomes],
    )
    opted_out = {o.lease.id: _code(o) for o in outcomes if isinstance(o.result, errors.OptedOut)}
    if not opted_out:
        return
    for pk, number, frm in TextMessage.objects.filter(pk__in=list(opted_out)).values_list("pk", "to", "frm"):
        suppressions.refused(number, frm, f"the provider refused a text: opted out {opted_out[pk]}".strip())


def _settle_unavailable(outcomes: Sequence[Outcome], keep_until: float | None, resting: set[int]) -> None:
    """It never left: back with a growing delay, the account waits too; after `TRIES_MOST` it has failed.

    The accounts of the senders `resting` reach nobody: what they could not send keeps its tries, and waits with them.
    """
    _requeue([outcome for outcome in outcomes if outcome.lease.sender_id in resting], 0.0, keep_until)
    outcomes = [outcome for outcome in outcomes if outcome.lease.sender_id not in resting]
    tries = dict(TextMessage.objects.filter(pk__in=[o.lease.id for o in outcomes]).values_list("pk", "tries"))
    for outcome in outcomes:
        tried = tries.get(outcome.lease.id, 0) + 1
        if tried >= TRIES_MOST:
            engine.many(
                f"UPDATE {TABLE} SET status = 'failed', lease_until = NULL, code = %s, reason = %s {_STILL_OURS}",
                [(_code(outcome), _why(outcome), outcome.lease.id, outcome.lease.attempt)],
            )
            continue
        until = outcome.at + min(LONGEST_DELAY_SECONDS, 0.25 * 2**tried)
        _requeue([outcome], until, keep_until, tries=tried)
        lanes.hold_account(outcome.lease.sender_id, min(until, outcome.at + 5.0))


def _requeue(
    outcomes: Sequence[Outcome], not_before: float, keep_until: float | None, *, tries: int | None = None
) -> None:
    """A definite no: the message goes back to the queue, not before a moment, or stays with its caller."""
    back = "'queued', attempt = ''" if keep_until is None else "'leased'"
    engine.many(
        f"UPDATE {TABLE} SET status = {back}, lease_until = %s, submitted_at = NULL,"
        f" not_before = %s, tries = COALESCE(%s, tries), code = %s, reason = %s {_STILL_OURS}",
        [(keep_until, not_before, tries, _code(o), _why(o), o.lease.id, o.lease.attempt) for o in outcomes],
    )


def _code(outcome: Outcome) -> str:
    return str(getattr(outcome.result, "code", ""))[:40]


# --- recovery -------------------------------------------------------------------------------------------------


def recover(now: float, *, everything: bool = False, mine: str = "") -> tuple[int, int]:
    """What a dead dispatcher left: `leased` goes back to the queue, `submitting` becomes uncertain, never queued.

    By time; a lease longer than any that is made is of a clock that was put back, and over too. At once what `mine`
    holds, an `owner` that runs nowhere else, for the start of a dispatcher that is alone on its data folder.
    `everything` is for one that knows itself to be the only one on the database: all of it, except what a `send_text`
    holds in another process. What came back to a sender that has been removed meanwhile follows its contact. Answers
    (requeued, uncertain).
    """
    senders.rehome()
    longest = 2 * SUBMIT_LEASE_SECONDS
    over = Q(lease_until__lt=now) | Q(lease_until__gt=now + longest)
    if mine:
        over |= Q(attempt__startswith=mine)
    if everything:
        over |= ~Q(attempt__startswith=ALONE)
    left = TextMessage.objects.filter(over, status__in=[Status.LEASED, Status.SUBMITTING]).order_by("pk")
    requeued = uncertain = 0
    while left.exists():
        with engine.write(), signals.watched(left.values_list("pk", flat=True)[: engine.CHUNK]):
            # what another transaction holds is being gated or settled at this moment: it is not left, or not yet
            held = list(engine.locked(left, skip=True).values_list("pk", flat=True)[: engine.CHUNK])
            these = TextMessage.objects.filter(pk__in=held)
            requeued += these.filter(status=Status.LEASED).update(status=Status.QUEUED, attempt="", lease_until=None)
            uncertain += these.filter(status=Status.SUBMITTING).update(
                status=Status.UNCERTAIN,
                lease_until=None,
                reason="the dispatcher stopped between the gate and the answer",
            )
        if not held:
            break
    if requeued or uncertain:
        log.info("Recovered: %s requeued, %s uncertain", requeued, uncertain)
    return requeued, uncertain


def check_lease(longest_seconds: float) -> None:
    """Raises `ValueError` when a submit may take so long that its lease could end, and its message be given up, before.

    On each side a clock may be off, so the lease outlasts the transport's `longest_seconds` by twice that.
    """
    least = longest_seconds + 2 * CLOCKS_APART_SECONDS
    if least > SUBMIT_LEASE_SECONDS:
        raise ValueError(
            f"A submit may take {longest_seconds:g} s by the transport's time-outs, and its lease is over after "
            f"{SUBMIT_LEASE_SECONDS:g} s: shorten the time-outs, or make SUBMIT_LEASE_SECONDS {least:g} or more"
        )


def is_idle() -> bool:
    """True when nothing waits for a claim; spares an idle dispatcher the write transaction."""
    return not engine.is_any(TextMessage, "status = 'queued'", by=turns.ORDER)


def expire_reports(after_seconds: float = 72 * 3600) -> int:
    """Accepted or sent long ago and no final word: unconfirmed. A later report may still raise it."""
    before = timezone.now().timestamp() - after_seconds
    silent = TextMessage.objects.filter(status__in=[Status.ACCEPTED, Status.SENT], submitted_at__lt=before)
    with engine.write(), signals.watched(silent.values_list("pk", flat=True)):
        return silent.update(status=Status.UNCONFIRMED, reason="no delivery report within 72 hours")
