"""Which promises were broken? The carrier's log and the wire logs say, and the rows only as what we claim."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf

from paceline.sandbox.behaviour import Behaviour, Ending
from paceline.sandbox.ledger import Accept
from paceline.sms.status import Status

OBEYED_WITHIN_SECONDS = 0.25
GRACE_SECONDS = 0.5 + 0.25 + 0.03
"""So long after its commit a changed rate may still meet slots of the old one: look-ahead, lead, lateness."""

TAKEN = {Status.ACCEPTED, Status.SENT, Status.UNCONFIRMED, Status.DELIVERED, Status.UNDELIVERED}
"""We claim that the carrier took it."""
TOLD = {Status.FAILED, Status.EXPIRED, Status.REFUSED, Status.UNDELIVERED}
"""Ends that a report tells, and that may also come without the carrier."""
UNSENT = {Status.SUPPRESSED, Status.CANCELLED, Status.FAILED, Status.EXPIRED, Status.REFUSED}
"""We claim that it never got to anybody."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What our own database says became of one recipient."""

    number: str
    reference: str
    status: str
    campaign: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Rate:
    """What a limit was from one moment to another: a sender's number, `of_campaign`, or nothing for the account."""

    name: str
    mps: float
    begins: float = -inf
    ends: float = inf


@dataclass(frozen=True, slots=True)
class Pause:
    """From the commit of the pause to just before the resume."""

    campaign: int
    begins: float
    ends: float


@dataclass(slots=True)
class Facts:
    """Everything that a verdict rests on."""

    recipients: Sequence[str]
    claims: Sequence[Claim]
    accepts: Sequence[Accept]
    wire: Sequence[Accept]
    rates: Sequence[Rate]
    stops: Mapping[str, float]  # number → when the webhook's 200 was there
    pauses: Sequence[Pause]
    behaviour: Behaviour
    unreported: frozenset[str] = frozenset()  # references whose final report never came, as the carrier says
    look_up: bool = True


@dataclass(slots=True)
class Verdict:
    duplicates: int = 0
    lost: int = 0
    phantom: int = 0
    over_limit: int = 0
    after_stop: int = 0
    uncertain_left: int = 0
    uncertain: int = 0  # all that stand as uncertain, also those that may
    busiest: dict[str, int] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    """One line for each promise that was broken, to begin a search with."""

    @property
    def broken(self) -> bool:
        counts = self.duplicates, self.lost, self.phantom, self.over_limit, self.after_stop, self.uncertain_left
        return any(counts)


def of_campaign(campaign: int) -> str:
    """The name of a campaign's own limit."""
    return f"campaign {campaign}"


def judge(facts: Facts) -> Verdict:
    """Counts what was broken."""
    verdict = Verdict()
    _judge_recipients(facts, verdict)
    _judge_limits(facts, verdict)
    _judge_obedience(facts, verdict)
    return verdict


def _judge_recipients(facts: Facts, verdict: Verdict) -> None:
    accepted = Counter(accept.number for accept in facts.accepts)
    keys = {accept.reference for accept in facts.accepts}
    verdict.duplicates = accepted.total() - len(accepted)
    verdict.lines += [f"duplicate: {number} was accepted {n} times" for number, n in accepted.items() if n > 1]
    by_number: dict[str, list[Claim]] = defaultdict(list)
    for claim in facts.claims:
        by_number[claim.number].append(claim)
    for number in facts.recipients:
        if not by_number[number]:
            verdict.lost += 1
            verdict.lines.append(f"lost: {number} has no row")
    for claim in facts.claims:
        taken = claim.reference in keys
        fault = _untrue(claim, taken, facts)
        if claim.status == Status.UNCERTAIN:
            verdict.uncertain += 1
            if facts.look_up or (taken and claim.reference not in facts.unreported):
                verdict.uncertain_left += 1
                verdict.lines.append(f"uncertain: {claim}, {'accepted' if taken else 'not accepted'} by the carrier")
        if fault:
            setattr(verdict, fault, getattr(verdict, fault) + 1)
            verdict.lines.append(f"{fault}: {claim}, {'accepted' if taken else 'not accepted'} by the carrier")


def _untrue(claim: Claim, taken: bool, facts: Facts) -> str:
    """Which promise the claim breaks, or none."""
    status = Status(claim.status)
    if status is Status.UNCERTAIN:
        return ""
    if status not in TAKEN | UNSENT:
        return "lost"  # still somewhere on its way, when nothing moves any more
    if not taken:
        return "phantom" if status in TAKEN else ""
    if status in TAKEN - {Status.DELIVERED, Status.UNDELIVERED}:
        return ""
    delivered = facts.behaviour.ending(claim.reference, claim.number) is Ending.DELIVERED
    if status is Status.DELIVERED:
        return "" if delivered else "phantom"
    return "phantom" if delivered or status not in TOLD else ""


def _judge_limits(facts: Facts, verdict: Verdict) -> None:
    """Every second that begins with a submit, for each sender, the account, and each campaign with a limit."""
    times: dict[str, list[float]] = defaultdict(list)
    campaigns = {claim.reference: of_campaign(claim.campaign) for claim in facts.claims}
    for each in facts.wire:
        times[campaigns.get(each.reference, "nobody's")].append(each.at)
        times[each.sender].append(each.at)
        times[""].append(each.at)
    rates: dict[str, list[Rate]] = defaultdict(list)
    for rate in facts.rates:
        rates[rate.name].append(rate)
    for name, moments in times.items():
        if not rates[name]:
            continue
        moments.sort()
        for first, begins in enumerate(moments):
            count = bisect_left(moments, begins + 1.0, first) - first
            verdict.busiest[name] = max(verdict.busiest.get(name, 0), count)
            allowed = max(rate.mps for rate in rates[name] if rate.begins < begins + 1.0 and rate.ends > begins)
            if count > allowed:
                verdict.over_limit += 1
                verdict.lines.append(f"over limit: {name or 'account'}, {count} from {begins:.6f}, {allowed:g} allowed")


def _judge_obedience(facts: Facts, verdict: Verdict) -> None:
    claims = {claim.reference: claim for claim in facts.claims}
    pauses: dict[int, list[Pause]] = defaultdict(list)
    for pause in facts.pauses:
        pauses[pause.campaign].append(pause)
    for each in facts.wire:
        claim = claims.get(each.reference)
        if claim is None:
            continue
        obeyed = each.at - OBEYED_WITHIN_SECONDS
        if obeyed > facts.stops.get(claim.number, inf):
            verdict.after_stop += 1
            verdict.lines.append(f"after STOP: {claim}, {each.at - facts.stops[claim.number]:.3f} s later")
        for pause in pauses[claim.campaign]:
            if obeyed > pause.begins and each.at < pause.ends:
                verdict.after_stop += 1
                verdict.lines.append(f"after pause: {claim}, {each.at - pause.begins:.3f} s later")


def faults_of_the_carrier(records: Iterable[Mapping[str, object]], behaviour: Behaviour) -> Counter[str]:
    """What the carrier did on purpose, as its log and its dice say: {how: how often}."""
    faults: Counter[str] = Counter()
    tries: Counter[str] = Counter()
    for record in records:
        event = record.get("event")
        key = str(record.get("reference") or record.get("to") or "")
        if event == "accepted":
            answer = behaviour.answer(key, tries[key])
            if answer.value.startswith("accept_"):
                faults[answer.value] += 1
            plan = behaviour.plan(key, str(record["to"]))
            faults["report early"] += plan.early
            faults["reports twice"] += plan.duplicated
            faults["report dropped"] += plan.missing
        elif event in ("failed", "throttled", "refused"):
            faults[str(record.get("how") or record.get("why") or event)] += 1
        elif event == "forged":
            faults["report forged"] += 1
        if event in ("accepted", "failed", "throttled", "refused"):
            tries[key] += 1
    return +faults
