"""How many texts may be released now, so that the replies stay within what the team can answer?

Pure arithmetic without a clock: ages and horizons are seconds, callers pass what they have seen and act on the answer.

The model. A submitted text is answered with probability `rate`, after a delay that falls into one of the bins between
`EDGES`; both are learned from the campaign's own replies, from a first guess that a handful of them outweighs. A text
whose reply may still come counts by the share of the delays that it has lived through, so a young campaign neither
over- nor underrates its replies. The team closes conversations at a rate that is stated, or learned from what it closed
while it had something to do, and nothing outside its office hours. From this follows, for any two moments s < t to
come, what n more texts released now, and none later, leave of the work that came since s, when the desk was empty, or
since now:

    mean     = backlog now + arrivals − closings
    variance = arrivals                        each reply comes or does not (Poisson, which is above the binomial)
             + (own arrivals · doubt)²         the rate is known only so well: by the replies seen and what they lack
             + arrivals · still later / seen   nor is it known how many of the pending replies come by t
             + closings · unevenness           people do not close like clocks
    bound    = mean + z · √variance + (z² − 1) / 6 · skew      Cornish and Fisher, 1938: counts have a longer upper tail

`room` is the largest n with the bound at or under the line for every such pair of the horizon. It is asked again and
again: what the bound holds back now is released when the replies have turned out to be few. The last tranche is another
matter: once nothing is to follow, a cleared desk can take more at once than a full one can take one after another, so
the controller waits for that when it ends sooner.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from .officehours import Hours

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0

EDGES = (
    *(0.0, 15.0, 30.0, 45.0, 60.0, 90.0),
    *(m * MINUTE for m in (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768)),
    *(d * DAY for d in (1, 2, 3)),
)
"""Where the bins of the delays begin and end, in seconds; a reply that comes later is nobody's forecast."""

BINS = len(EDGES) - 1
WIDTHS = tuple(after - before for before, after in pairwise(EDGES))

FIRST_GUESS = 0.1
"""The share of texts that is answered, where nobody has said what to expect."""

MEDIAN_SECONDS, SPREAD = 5 * MINUTE, 1.6
"""The delays before any is seen: log-normal, half within five minutes, one in eight after half an hour."""

RATE_WEIGHT = 2.0
"""How many replies the first guess is worth. With so few, a guess that is a third of the truth lies within the bound
from the start, and the first handful of replies outweighs it."""

SHAPE_WEIGHT = 12.0
"""How many replies the first guess of the delays is worth."""

SHAPE_DOUBT = 2.0
"""And for how many it is trusted: people who answer within seconds must not take the valve by surprise."""

CLOSING_WEIGHT = 30.0
"""How many closings the team's stated rate is worth; where nothing is stated, the guess is worth `UNSTATED_WEIGHT`."""

UNSTATED_WEIGHT = 2.0
UNSTATED_SECONDS = 2 * HOUR
"""A team that has said only how many it can have open is believed to close as many in this time."""

UNEVENNESS, UNEVENNESS_WEIGHT = 0.5, 8.0
"""What is thought of `Lately.unevenness` before any closing is seen, and how many of them that is worth."""

CLOSING_Z = 0.5
"""How many standard deviations below its mean the closing rate is taken: what a Gamma distribution leaves there."""

Z, LAST_Z = 4.1, 2.4
"""How many standard deviations stay free under the line. The valve is asked again and again and fills each time what
luck has left, so a bound that holds at one moment with 99.9 % would not hold for hours; the last tranche is one try."""

HORIZON = (
    *(m * MINUTE for m in (0.15, 0.5, 1, 2, 3, 4.5, 6.5, 9, 12, 16, 21, 28, 40, 60, 90, 150, 270, 540)),
    *(d * DAY for d in (1, 3)),
)
"""The moments that are looked at, besides those at which the team comes and goes."""


def _normal(x: float) -> float:
    return 0.5 * (1.0 + math.erf(x / math.sqrt(2.0)))


def _prior_shape() -> tuple[float, ...]:
    below = [0.0, *(_normal(math.log(edge / MEDIAN_SECONDS) / SPREAD) for edge in EDGES[1:])]
    return tuple((after - before) / below[-1] for before, after in pairwise(below))


PRIOR_SHAPE = _prior_shape()


@dataclass(frozen=True, slots=True)
class Lately:
    """What a team closed lately: how many conversations, in how many seconds in which it had some, and how unevenly.

    `unevenness` is the variance of the closings in a stretch over their mean: 0 a clock, 1 people who take any time.
    """

    closed: int = 0
    busy_seconds: float = 0.0
    unevenness: float = 0.5


@dataclass(frozen=True, slots=True)
class Team:
    """Who answers: at most `line` conversations open, `per_second` closed while there are any.

    `per_second` None: it is learned. `hours` None: always there. `now` is epoch seconds and matters only with them.
    """

    line: int
    per_second: float | None = None
    lately: Lately | None = None
    hours: Hours | None = None
    now: float = 0.0


@dataclass(frozen=True, slots=True)
class Seen:
    """What a campaign has shown so far.

    `submitted` are (age in seconds, texts of that age); `replies` counts first replies by the bin of their delay;
    `queued` are released and not yet submitted. `guess` is the share of texts that was expected to be answered.
    """

    submitted: Sequence[tuple[float, int]] = ()
    replies: Sequence[int] = (0,) * BINS
    queued: int = 0
    guess: float = FIRST_GUESS


@dataclass(frozen=True, slots=True)
class Learned:
    """A campaign's reply rate, and its delays as the cumulative share at each of `EDGES`.

    `replies` is what both rest on; `lived` the share of its replies that should have come by now.
    """

    rate: float
    cumulative: tuple[float, ...]
    replies: int
    lived: float

    @property
    def doubt(self) -> float:
        """The standard deviation of the rate, as a share of it.

        The less of the delays has been lived through, the less can be told a low rate from slow replies.
        """
        slow = (1.0 - self.lived) / (self.lived * (self.replies + SHAPE_DOUBT)) if self.lived else 0.0
        return math.sqrt(1.0 / (self.replies + RATE_WEIGHT) + slow)

    def within(self, seconds: float) -> float:
        """The share of the replies that come within so long."""
        if seconds >= EDGES[-1]:
            return 1.0
        i = bisect_right(EDGES, seconds) - 1
        below = self.cumulative[i]
        return below + (self.cumulative[i + 1] - below) * (seconds - EDGES[i]) / WIDTHS[i]


def bin_of(delay: float) -> int | None:
    """In which bin of `Seen.replies` a delay is counted; None beyond them."""
    return bisect_right(EDGES, max(delay, 0.0)) - 1 if delay < EDGES[-1] else None


def coarser(buckets: Sequence[tuple[float, int]], now: float) -> list[tuple[float, int]]:
    """The same texts in fewer buckets: what lies closer together than a sixth of its age is one."""
    merged: list[tuple[float, int]] = []
    for at, count in buckets:
        if merged and at - merged[-1][0] < (now - at) / 6:
            before, known = merged[-1]
            merged[-1] = ((before * known + at * count) / (known + count), known + count)
        else:
            merged.append((at, count))
    return merged


def learn(seen: Seen) -> Learned:
    """The rate and the delays that explain best what was seen, between the first guess and the replies.

    Texts whose reply may still come are counted in each bin by how much of it they have lived through.
    """
    lived = _lived(seen.submitted)
    replies = sum(seen.replies)
    shape = list(PRIOR_SHAPE)
    rate, exposed = seen.guess, 0.0
    for _ in range(3):
        exposed = sum(n * share for n, share in zip(lived, shape, strict=True))
        rate = (RATE_WEIGHT + replies) / (RATE_WEIGHT / seen.guess + exposed)
        shape = [
            (count + SHAPE_WEIGHT * prior) / (rate * n + SHAPE_WEIGHT)
            for count, prior, n in zip(seen.replies, PRIOR_SHAPE, lived, strict=True)
        ]
        total = sum(shape)
        shape = [share / total for share in shape]
    cumulative = [0.0]
    for share in shape:
        cumulative.append(cumulative[-1] + share)
    texts = sum(count for _, count in seen.submitted)
    return Learned(min(rate, 1.0), tuple(cumulative), replies, exposed / texts if texts else 0.0)


def _lived(submitted: Sequence[tuple[float, int]]) -> list[float]:
    """For each bin, how many texts have lived through it; a part of it counts as that part."""
    ends = [0.0] * (BINS + 1)  # texts whose age lies in a bin have lived through all before it
    parts = [0.0] * BINS
    for age, count in submitted:
        i = bisect_right(EDGES, age) - 1 if age < EDGES[-1] else BINS
        ends[i] += count
        if i < BINS:
            parts[i] += count * (max(age, 0.0) - EDGES[i]) / WIDTHS[i]
    lived, older = [0.0] * BINS, ends[BINS]
    for i in reversed(range(BINS)):
        lived[i] = older + parts[i]
        older += ends[i]
    return lived


def room(team: Team, backlog: int, mine: Seen, others: Sequence[Seen] = (), *, left: int | None = None) -> int:
    """How many texts of `mine` may be released now, the pipelines of `others` in mind. 0 when none.

    With `left`, the number that is still to be released, the answer is never more; and it is 0 while all of them can
    leave together sooner than one after another: beside a cleared desk, more work may be out than beside a full one.
    """
    known = [learn(mine), *(learn(other) for other in others)]
    now = _room(team, backlog, known, (mine, *others), Z) or _few(team.line - backlog, known, (mine, *others))
    if known[0].replies < ACQUAINTED:
        pending = _flow(known[0], mine, ()).pending
        bearable = (team.line - backlog) * (1 + known[0].replies) / 2
        now = min(now, max(0, int((bearable - pending) / known[0].rate)))
        return now if left is None else min(now, left)
    if left is None:
        return now
    if now >= left or _room(team, backlog, known, (mine, *others), LAST_Z) >= left:
        return left
    return 0 if now and _is_better_at_once(team, backlog, known, (mine, *others), left, left - now) else now


def _few(free: int, known: Sequence[Learned], seen: Sequence[Seen]) -> int:
    """What a narrow line bears where the normal distribution says none: counted one by one, with no closing in sight.

    Each text opens one conversation at most, so a campaign whose line is 1 goes on too, one after another.
    """
    learned, n = known[0], 0
    pending = sum(_flow(each, one, ()).pending for each, one in zip(known, seen, strict=True))
    worst = 1.0 + 2.0 * learned.doubt
    while (
        n < free
        and min(
            _poisson_above(free, worst * (pending + (n + 1) * learned.rate)),
            _poisson_above(free - n - 1, worst * pending),
        )
        < RISK
    ):
        n += 1
    return n


def _poisson_above(most: int, mean: float) -> float:
    """The probability of more than so many."""
    if mean > 2 * most + 2:
        return 1.0
    term = total = math.exp(-mean)
    for k in range(1, most + 1):
        term *= mean / k
        total += term
    return 1.0 - total


def _is_better_at_once(
    team: Team, backlog: int, known: Sequence[Learned], seen: Sequence[Seen], left: int, after: int
) -> bool:
    """True when waiting, and then releasing all that is left, ends sooner than releasing all but `after` now."""
    rate, _ = closing_rate(team)
    patience = after * known[0].rate / rate
    if patience > PATIENCE_SECONDS:
        return False
    wait = 0.9 * patience  # the longer the wait, the more may go at once
    flows = [_flow(each, one, [wait]) for each, one in zip(known, seen, strict=True)]
    there = max(0.0, backlog + sum(flow.arrivals[0] for flow in flows) - _closings(team, [wait])[0])
    later = [replace(one, submitted=[(age + wait, n) for age, n in _out(one)], queued=0) for one in seen]
    return _room(replace(team, now=team.now + wait), there, known, later, LAST_Z) >= left


def _room(team: Team, backlog: float, known: Sequence[Learned], seen: Sequence[Seen], z: float) -> int:
    """The least over all pairs of moments s before t, the desk empty at s, or s now and the backlog there."""
    if backlog >= team.line:
        return 0
    moments = _moments(team)
    flows = [_flow(each, one, moments) for each, one in zip(known, seen, strict=True)]
    closings = [0.0, *_closings(team, moments)]
    mine, learned, z2 = flows[0], known[0], z * z
    doubt2, shape2 = learned.doubt**2, 1.0 / (learned.replies + SHAPE_DOUBT)
    uneven = min((team.lately or Lately(unevenness=UNEVENNESS)).unevenness, UNEVENNESS_MOST)
    lopsided = (z2 - 1.0) / 6.0
    skew = lopsided * doubt2
    rate, pending = learned.rate, flows[0].pending
    within = [0.0, *(rate * learned.within(t) for t in moments)]  # of one text more, by each moment
    own = [0.0, *mine.arrivals]
    theirs = [0.0, *(sum(flow.arrivals[i] for flow in flows[1:]) for i in range(len(moments)))]
    spread = [0.0, *(sum(flow.spread[i] for flow in flows[1:]) for i in range(len(moments)))]
    least = float(MOST)
    for s in range(len(moments)):
        start = backlog if s == 0 else 0.0
        for t in range(s + 1, len(moments) + 1):
            a = within[t] - within[s]
            ours = own[t] - own[s]
            closed = closings[t] - closings[s]
            others = theirs[t] - theirs[s]
            free = team.line - start - ours * (1.0 + skew) - others + closed - lopsided
            later, b = pending - ours, rate - a
            q0 = ours + others + closed * uneven + ours * ours * doubt2 + ours * later * shape2 + spread[t] - spread[s]
            c = free * free - z2 * q0
            if free <= 0.0 or c <= 0.0:
                return 0
            # n · a of work more leaves room while (free − n·a)² ≥ z² · (q0 + q1·n + q2·n²)
            within2, cross = a * a, a * b
            q1 = a + 2 * ours * a * doubt2 + (ours * b + later * a) * shape2
            a *= 1.0 + skew
            half = free * a + z2 * q1 / 2
            if half * least <= c / 2:
                continue
            square = a * a - z2 * (within2 * doubt2 + cross * shape2)
            least = min(least, c / (half + math.sqrt(max(half * half - square * c, 0.0))))
    return int(least)


RISK = 0.001
"""The chance to be over a narrow line that each question may take."""

ACQUAINTED = 4
"""Before so many replies nobody knows how fast these people answer: no more texts may be out than would fill half of
the room under the line if all their replies came at once, and as much more for each reply."""

UNEVENNESS_MOST = 4.0

PATIENCE_SECONDS = HOUR
"""At most so long is waited to let all that is left go at once."""

MOST = 1 << 24
"""More than that are never released at once."""


@dataclass(frozen=True, slots=True)
class _Flow:
    """What a campaign's released texts will still bring by each moment, in all, and the variance of what is unknown."""

    arrivals: list[float]
    pending: float
    spread: list[float]


def _out(seen: Seen) -> list[tuple[float, int]]:
    """The texts whose reply may still come, those that are about to be submitted among them."""
    return [(age, count) for age, count in (*seen.submitted, (0.0, seen.queued)) if count and age < EDGES[-1]]


def _flow(learned: Learned, seen: Seen, moments: Sequence[float]) -> _Flow:
    within = learned.within
    out = [(age, count, within(age)) for age, count in _out(seen)]
    pending = learned.rate * sum(count * (1.0 - lived) for _, count, lived in out)
    arrivals = [learned.rate * sum(count * (within(age + t) - lived) for age, count, lived in out) for t in moments]
    doubt2, shape2 = learned.doubt**2, 1.0 / (learned.replies + SHAPE_DOUBT)
    spread = [a * a * doubt2 + a * max(pending - a, 0.0) * shape2 for a in arrivals]
    return _Flow(arrivals, pending, spread)


def _moments(team: Team) -> list[float]:
    """The horizon, and when the team comes and goes within it."""
    if team.hours is None:
        return list(HORIZON)
    turns = (at - team.now for span in team.hours.spans(team.now, team.now + HORIZON[-1]) for at in span)
    return sorted({*HORIZON, *(turn for turn in turns if turn > 0)})


def closing_rate(team: Team) -> tuple[float, float]:
    """Conversations a second that the team closes while it has some, and the doubt of it as a share."""
    weight = UNSTATED_WEIGHT if team.per_second is None else CLOSING_WEIGHT
    guess = team.per_second or team.line / UNSTATED_SECONDS
    lately = team.lately or Lately()
    closed = weight + lately.closed
    return closed / (weight / guess + lately.busy_seconds), 1.0 / math.sqrt(closed)


def lately(closed_at: Sequence[float], busy: Sequence[tuple[float, float]]) -> Lately:
    """What follows from the moments of the closings and the stretches in which there was work and somebody to do it.

    Both in order and on one clock. A closing outside the stretches counts at the end of the one before.
    """
    ends = [end for _, end in busy]
    before = [0.0]
    for start, end in busy:
        before.append(before[-1] + end - start)
    at_work = []
    for at in closed_at:
        i = bisect_right(ends, at)
        at_work.append(before[i] + (max(0.0, at - busy[i][0]) if i < len(busy) else 0.0))
    mean = before[-1] / len(at_work) if at_work and before[-1] else 0.0
    off = sum(((after - since) / mean - 1.0) ** 2 for since, after in pairwise([0.0, *at_work])) if mean else 0.0
    unevenness = (UNEVENNESS_WEIGHT * UNEVENNESS + off) / (UNEVENNESS_WEIGHT + (len(at_work) if mean else 0))
    return Lately(len(at_work), before[-1], unevenness)


def _closings(team: Team, moments: Sequence[float]) -> list[float]:
    """What a team that always has something to do closes by each moment, at the rate that it is sure to have."""
    rate, doubt = closing_rate(team)
    rate *= max(1.0 - doubt * doubt / 9 - CLOSING_Z * doubt / 3, 0.0) ** 3
    if team.hours is None:
        return [rate * seconds for seconds in moments]
    spans = [(start - team.now, end - team.now) for start, end in team.hours.spans(team.now, team.now + HORIZON[-1])]
    return [rate * sum(max(0.0, min(end, t) - start) for start, end in spans) for t in moments]
