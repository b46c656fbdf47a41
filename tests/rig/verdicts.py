"""Was a promise broken? Judged by the carrier's log, the wire log, what people did, and the rows at the end.

Each judge answers findings and knows one promise. Our own counters are never asked, but for being compared.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from math import ceil
from typing import Any

from paceline.sms.status import RANK, UNFINISHED, Status

OBEYED_SECONDS = 0.250
CLAIMED_AHEAD_SECONDS = 0.8  # what a claim may have reserved at a limit that has changed since
TAKEN = {Status.ACCEPTED, Status.SENT, Status.DELIVERED, Status.UNDELIVERED, Status.UNCONFIRMED}
NOT_TAKEN = {Status.SUPPRESSED, Status.CANCELLED, Status.FAILED, Status.REFUSED, Status.EXPIRED} | UNFINISHED

ALLOWED: dict[str, set[str]] = {
    "held": {"queued", "suppressed", "refused", "cancelled"},
    "queued": {"leased", "submitting", "cancelled", "suppressed", "expired", "failed"},  # leased within one commit
    "leased": {"queued", "submitting", "suppressed", "cancelled", "expired", "failed"},
    "submitting": {"queued", "leased", "uncertain", "accepted", "refused", "failed"},
    "uncertain": {"held", "queued", "leased", "accepted", "refused", "failed", "cancelled"},
}
"""The hand-overs. Above them reports raise the rank, from wherever the message was submitted."""


def of(world: Any) -> list[Any]:
    """Every promise that this world's run has broken."""
    from paceline.messaging.models import TextMessage

    outgoing = TextMessage.objects.filter(direction="outgoing").order_by("pk")
    rows = list(outgoing.select_related("sender__account", "campaign"))
    judges = (twice, phantoms, told_truth, settled, over_limit, obeyed, expired, caps, ladder, everybody, rested)
    return [_finding(judge, what) for judge in judges for what in judge(world, rows)]


def _finding(judge: Any, what: str) -> Any:
    from .simulation import Finding

    return Finding(judge.__name__.replace("_", " "), what)


def twice(world: Any, rows: list[Any]) -> Iterator[str]:
    """The carrier takes one text at most for each recipient of a campaign, and for each single text."""
    known = {row.reference: row for row in rows}
    count: Counter[Any] = Counter()
    for reference, at in world.ether.accepted.items():
        row = known.get(reference)
        key = (row.campaign_id, row.to) if row and row.campaign_id else (reference,)
        count[key] += len(at)
    for key, times in count.items():
        if times > 1:
            yield f"{times} texts for {key}"


def phantoms(world: Any, rows: list[Any]) -> Iterator[str]:
    """What we call taken, the carrier has."""
    for row in rows:
        if row.status in TAKEN and not world.ether.accepted.get(row.reference):
            yield f"{row.pk} to {row.to} is {row.status}, and the carrier never took it"


def told_truth(world: Any, rows: list[Any]) -> Iterator[str]:
    """What we call not sent, the carrier has not; what it refused, it did refuse; what it reported, we know."""
    for row in rows:
        ether = world.ether
        if row.status in NOT_TAKEN and ether.accepted.get(row.reference):
            yield f"{row.pk} to {row.to} is {row.status}, and the carrier took it"
        if row.status == Status.REFUSED and not ether.refused[row.reference]:
            yield f"{row.pk} to {row.to} is refused, and the carrier never refused it"
        absent = row.reason == "the provider does not have it: nothing was sent"  # of a caller's own text
        if row.status == Status.FAILED and not (ether.unreached[row.reference] or absent):
            yield f"{row.pk} to {row.to} has failed, and every request got through"
        if row.status == Status.CANCELLED and "cancelled" not in _states(world, row.campaign_id):
            yield f"{row.pk} to {row.to} is cancelled, and its campaign never was"
        if row.status == Status.SUPPRESSED and not _ever_stopped(world, row):
            yield f"{row.pk} to {row.to} is suppressed, and never said stop"
        told = ether.reported.get(row.reference, set())
        if told and ether.provider.capabilities.echoes_reference and row.status in RANK:
            best = max(told, key=RANK.__getitem__)
            if RANK[Status(row.status)] < RANK[best]:
                yield f"{row.pk} to {row.to} is {row.status}, and was reported {best}"


def _states(world: Any, campaign: int | None) -> set[str]:
    return {state for _, state in world.facts.held.get(campaign, [])}


def _ever_stopped(world: Any, row: Any) -> bool:
    return any(person == row.to for _, person in world.facts.stops) or any(
        world.ether.refused[reference] for reference in world.ether.refused
    )


def settled(world: Any, rows: list[Any]) -> Iterator[str]:
    """In fine weather nothing stays on its way; what stays uncertain, nobody could tell us."""
    from .simulation import can_reconcile

    able = world.ether.provider.capabilities
    for row in rows:
        if row.status in UNFINISHED and not _may_wait(row):
            yield f"{row.pk} to {row.to} is still {row.status}"
        if row.status != Status.UNCERTAIN:
            continue
        taken = bool(world.ether.accepted.get(row.reference))
        overlooked = row.reference in world.ether.overlooked  # asked again after minutes
        if able.lookup and can_reconcile() and not overlooked and (taken or able.lookup_proves_absence):
            yield f"{row.pk} to {row.to} is uncertain, and the provider could tell"
        elif able.echoes_reference and world.ether.reported.get(row.reference):
            yield f"{row.pk} to {row.to} is uncertain, and was reported"


def _may_wait(row: Any) -> bool:
    if row.campaign is not None and row.campaign.state in ("draft", "scheduled"):
        return True
    if row.status not in (Status.QUEUED, Status.HELD) or row.sender is None:
        return False
    return row.sender.daily_cap is not None or row.sender.account.recipient_daily_cap is not None


def over_limit(world: Any, rows: list[Any]) -> Iterator[str]:
    """No sliding second of the wire log holds more than a limit allows."""
    campaign_of = {row.reference: row.campaign_id for row in rows}
    alias_of = {row.frm: row.sender.account.alias for row in rows if row.sender}
    lines: dict[tuple[str, str], list[Any]] = defaultdict(list)
    for line in world.ether.wire:
        lines["sender", line.sender].append(line)
        if line.sender in alias_of:
            lines["account", alias_of[line.sender]].append(line)
        if campaign_of.get(line.reference):
            lines["campaign", str(campaign_of[line.reference])].append(line)
    for key, history in world.facts.rates.items():
        in_segments = world.facts.units.get(key) == "segment"
        written = [(line.at, line.segments if in_segments else 1) for line in lines.get(key, [])]
        yield from _windows(key, sorted(written), history, world.facts.clock_steps)


def _windows(
    key: tuple[str, str], written: list[tuple[float, int]], history: list[Any], steps: list[float]
) -> Iterator[str]:
    moments = [at for at, _ in written]
    for i, at in enumerate(moments):
        if any(at - 1 - CLAIMED_AHEAD_SECONDS < step < at + 1 for step in steps):
            continue  # two clocks for as long as a claim reaches ahead
        rates = list(_rates(history, at - CLAIMED_AHEAD_SECONDS, at + 1))
        if None in rates:
            continue
        rate = max(rates)
        window, most = (1.0, ceil(rate)) if rate >= 1 else (1.0 / rate, 1)
        if window > 1:
            rates = list(_rates(history, at - CLAIMED_AHEAD_SECONDS, at + window))
            if len(rates) > 1 or any(at - 1 < step < at + window for step in steps):
                continue
        end = bisect_left(moments, at + window - 1e-6)
        units = sum(cost for _, cost in written[i:end])
        if units > max(most, written[i][1]):  # a message dearer than its limit leaves alone
            yield f"{units} in {window:g} s from {at:.3f} at {' '.join(key)}, whose limit is {rate:g} a second"
            return


def _rates(history: list[Any], since: float, until: float) -> Iterator[float | None]:
    """Every rate that held at some time between the two."""
    for (begins, rate), (ends, _) in zip(history, [*history[1:], (1e9, None)], strict=True):
        if begins < until and ends > since:
            yield rate


def obeyed(world: Any, rows: list[Any]) -> Iterator[str]:
    """No submit begins later than 250 ms after a STOP, a pause or a cancel."""
    campaign_of = {row.reference: row.campaign_id for row in rows}
    for line in world.ether.wire:
        before = line.at - OBEYED_SECONDS
        stopped = [at for at, person in world.facts.stops if person == line.number and at < before]
        if stopped and not any(p == line.number and stopped[-1] <= at for at, p in world.facts.starts):
            yield f"{line.number} was written to at {line.at:.3f}, and had said stop at {stopped[-1]:.3f}"
        states = [entry for entry in world.facts.held.get(campaign_of.get(line.reference), []) if entry[0] < line.at]
        if states and states[-1][1] in ("paused", "cancelled") and states[-1][0] < before:
            yield f"{line.number} was written to at {line.at:.3f}, its campaign {states[-1][1]} at {states[-1][0]:.3f}"


def expired(world: Any, rows: list[Any]) -> Iterator[str]:
    """No submit begins later than 250 ms after its message expired."""
    from .simulation import _now

    if world.facts.clock_steps:
        return
    ends = {row.reference: row.expires_at.timestamp() - _now.start for row in rows if row.expires_at}
    for line in world.ether.wire:
        if line.at > ends.get(line.reference, 1e9) + OBEYED_SECONDS:
            yield f"{line.number} was written to at {line.at:.3f}, expired at {ends[line.reference]:.3f}"


def caps(world: Any, rows: list[Any]) -> Iterator[str]:
    """No sender submits more on a day than its cap, and nobody gets more than theirs."""
    from .simulation import _now

    if world.facts.clock_steps:
        return
    cap_of = {row.frm: row.sender.daily_cap for row in rows if row.sender and row.sender.daily_cap is not None}
    account_of = {row.frm: row.sender.account for row in rows if row.sender}
    used: Counter[Any] = Counter()
    texts: Counter[Any] = Counter()
    for line in world.ether.wire:
        at = _now.start + line.at
        if at % 86400 > OBEYED_SECONDS:  # just after midnight it may have passed the gate just before
            used[line.sender, at // 86400] += 1
    for line in {line.reference: line for line in world.ether.wire}.values():  # a 429 before it was no text
        at = _now.start + line.at
        if at % 86400 > OBEYED_SECONDS and world.ether.accepted.get(line.reference):
            texts[account_of.get(line.sender), line.number, at // 86400] += 1
    for (account, person, day), count in texts.items():
        if account and account.recipient_daily_cap is not None and count > account.recipient_daily_cap:
            yield f"{count} on day {day:.0f} to {person}, whose cap is {account.recipient_daily_cap}"
    for (sender, day), count in used.items():
        if count > cap_of.get(sender, count):
            yield f"{count} on day {day:.0f} from {sender}, whose cap is {cap_of[sender]}"


def ladder(world: Any, rows: list[Any]) -> Iterator[str]:
    """Status never moves back."""
    from django.db import connection

    for at, pk, was, became in connection.connection.execute("SELECT * FROM journal ORDER BY rowid"):
        if became in ALLOWED.get(was, ()):
            continue
        if became in RANK and (was in ALLOWED or RANK.get(Status(was), 1000) < RANK[Status(became)]):
            continue
        yield f"{pk} went from {was} to {became} at {at:.3f}"


def everybody(world: Any, rows: list[Any]) -> Iterator[str]:
    """A launched campaign has one row for each recipient, and its account adds up."""
    from paceline.messaging import progress

    for campaign in world.campaigns:
        mine = [row for row in rows if row.campaign_id == campaign.pk]
        if "running" in _states(world, campaign.pk) and len(mine) != world.facts.audience[campaign.pk]:
            yield f"campaign {campaign.pk} has {len(mine)} rows for {world.facts.audience[campaign.pk]} recipients"
        said, counted = progress.of(world._campaign(campaign.pk)), Counter(row.status for row in mine)
        if mine and dict(said.counts) != dict(counted):
            yield f"campaign {campaign.pk} says {dict(said.counts)}, its rows say {dict(counted)}"


def rested(world: Any, rows: Iterable[Any]) -> Iterator[str]:
    """A sender that was asked to wait, waits."""
    from django.db import connection

    if world.facts.clock_steps:
        return
    back = connection.connection.execute("SELECT at FROM journal WHERE was = 'submitting' AND became = 'queued'")
    requeued = sorted(at for (at,) in back)
    for answered, sender, rest in world.ether.throttled:
        known = bisect_left(requeued, answered)
        if rest < 1 or known == len(requeued) or requeued[known] > answered + 0.3:
            continue  # whoever got the answer has died with it, or was late to tell
        begins, ends = requeued[known] + CLAIMED_AHEAD_SECONDS + 0.1, answered + rest
        for line in world.ether.wire:
            if line.sender == sender and begins < line.at < ends:
                yield f"{sender} was asked at {answered:.3f} to rest {rest:g} s, and wrote at {line.at:.3f}"
                return
