"""How many texts may be released now, so that the replies stay within what the team can answer?

Pure arithmetic without a clock: ages and horizons are seconds, callers pass what they have seen and act on the answer.

The model, in five sentences. A submitted text is answered with probability `rate`, after a delay that falls into one of
`BINS`; both are learned, from the campaign's own replies and from how long its texts have been out. A text whose reply may
still come counts by the share of the delays that it has lived through, so a young campaign neither over- nor underrates its
replies. The team closes conversations at a rate that is stated, or learned from what it closed while it had something to do,
and nothing outside its office hours. From this follows, for every moment to come, the backlog's mean and variance if n more
texts were released now and none later:

    mean(t)     = backlog + arrivals(t) − closings(t), and never less than what arrives on an empty desk
    variance(t) = arrivals(t)                     each reply comes or does not (Poisson, which is above the binomial)
                + (arrivals(t) · doubt)²          the rate is known only so well: doubt² = 1 / (replies seen + prior)
                + pending² · G(1 − G) / seen      so is the shape of the delays: G = the share of them that has come by t
                + closings(t) · unevenness        people do not close like clocks
                + (closings(t) · doubt of it)²

`room` is the largest n with mean + z · √variance at or under the line at every moment of the horizon. It is asked again and
again: what the bound holds back now is released when the replies have turned out to be few.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
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
"""How many replies the first guess is worth. With so few, a guess that is a third of the truth lies within the bound from
the start, and the first handful of replies outweighs it."""

SHAPE_WEIGHT = 12.0
"""How many replies the first guess of the delays is worth."""

CLOSING_WEIGHT = 30.0
"""How many closings the team's stated rate is worth; where nothing is stated, the guess is worth `UNSTATED_WEIGHT`."""

UNSTATED_WEIGHT = 2.0
UNSTATED_SECONDS = 2 * HOUR
"""A team that has said only how many it can have open is believed to close as many in this time."""

UNEVENNESS = 0.5
"""The variance of the closings in a stretch over their mean: 0 a clock, 1 people who each take any time."""

CLOSING_Z = 1.5
"""How many standard deviations below its mean the closing rate is taken: what a Gamma distribution leaves there."""

Z = 3.0
"""How many standard deviations stay free under the line."""

HORIZON = (
    *(15.0, 30.0, 60.0, 90.0),
    *(m * MINUTE for m in (2, 3, 4, 6, 8, 11, 15, 20, 30, 45, 60, 90, 128, 192, 256, 384, 512, 768)),
    *(d * DAY for d in (1, 2, 3)),
)
"""The moments that are looked at, besides those at which the team comes and goes."""


def _normal(x: float) -> float:
    return 0.5 * (1.0 + math.erf(x / math.sqrt(2.0)))


def _prior_shape() -> tuple[float, ...]:
    below = [0.0, *(_normal(math.log(edge / MEDIAN_SECONDS) / SPREAD) for edge in EDGES[1:])]
    return tuple((after - before) / below[-1] for before, after in pairwise(below))


PRIOR_SHAPE = _prior_shape()


@dataclass(frozen=True, slots=True)
class Team:
    """Who answers: at most `line` conversations open, `per_second` closed while there are any.

    `per_second` None: it is learned. `closed` in `busy_seconds` is what was seen lately: closings, and for how long there
    was something to close in office hours. `hours` None: always there. `now` is epoch seconds and matters only with them.
    """

    line: int
    per_second: float | None = None
    closed: float = 0.0
    busy_seconds: float = 0.0
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
    """A campaign's reply rate, and its delays as the cumulative share at each of `EDGES`; `weight` is what both rest on."""

    rate: float
    cumulative: tuple[float, ...]
    replies: int

    @property
    def doubt(self) -> float:
        """The standard deviation of the rate, as a share of it."""
        return 1.0 / math.sqrt(self.replies + RATE_WEIGHT)

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


def learn(seen: Seen) -> Learned:
    """The rate and the delays that explain best what was seen, between the first guess and the replies.

    Texts whose reply may still come are counted in each bin by how much of it they have lived through.
    """
    lived = _lived(seen.submitted)
    replies = sum(seen.replies)
    shape = list(PRIOR_SHAPE)
    rate = seen.guess
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
    return Learned(min(rate, 1.0), tuple(cumulative), replies)


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


def room(team: Team, backlog: int, mine: Seen, others: Sequence[Seen] = (), *, z: float = Z) -> int:
    """How many texts of `mine` may be released now, the pipelines of `others` in mind. 0 when none."""
    if backlog >= team.line:
        return 0
    moments = _moments(team)
    learned = learn(mine)
    flows = [_flow(learned, mine, moments), *(_flow(learn(other), other, moments) for other in others)]
    arrivals = [sum(at_once) for at_once in zip(*(flow.arrivals for flow in flows), strict=True)]
    spread = [sum(at_once) for at_once in zip(*(flow.spread for flow in flows[1:]), strict=True)] or [0.0] * len(moments)
    closings = _closings(team, moments)
    within = [learned.within(t) for t in moments]
    doubt2, shape2 = learned.doubt**2, 1.0 / (learned.replies + SHAPE_WEIGHT)
    own, pending, z2 = flows[0].arrivals, flows[0].pending, z * z

    def fits(n: int) -> bool:
        more = n * learned.rate
        left = pending + more
        mean, came_before, closed_before = float(backlog), 0.0, 0.0
        came_since = closed_since = ours_since = spread_since = 0.0  # since the desk was empty
        for i, share in enumerate(within):
            came, closed = arrivals[i] + more * share, closings[i]
            mean += came - came_before - closed + closed_before
            came_before, closed_before = came, closed
            ours = own[i] + more * share
            if mean <= 0.0:
                mean, came_since, closed_since, ours_since, spread_since = 0.0, came, closed, ours, spread[i]
                continue
            fresh = ours - ours_since
            variance = (
                came
                - came_since
                + fresh * fresh * doubt2
                + fresh * (left - fresh) * shape2
                + spread[i]
                - spread_since
                + (closed - closed_since) * UNEVENNESS
            )
            free = team.line - mean
            if free < 0.0 or z2 * variance > free * free:
                return False
        return True

    if not fits(1):
        return 0
    least, most = 1, 2
    while most < MOST and fits(most):
        least, most = most, most * 2
    while most - least > 1:
        middle = (least + most) // 2
        least, most = (middle, most) if fits(middle) else (least, middle)
    return least


MOST = 1 << 24
"""More than that are never released at once."""


@dataclass(frozen=True, slots=True)
class _Flow:
    """What a campaign's released texts will still bring: by each moment, in all, and the variance of what is not known."""

    arrivals: list[float]
    pending: float
    spread: list[float]


def _flow(learned: Learned, seen: Seen, moments: Sequence[float]) -> _Flow:
    within = learned.within
    out = [(age, count, within(age)) for age, count in seen.submitted if age < EDGES[-1]]
    if seen.queued:
        out.append((0.0, seen.queued, 0.0))
    pending = learned.rate * sum(count * (1.0 - lived) for _, count, lived in out)
    arrivals = [learned.rate * sum(count * (within(age + t) - lived) for age, count, lived in out) for t in moments]
    doubt2, shape2 = learned.doubt**2, 1.0 / (learned.replies + SHAPE_WEIGHT)
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
    stated = team.per_second is not None
    weight = CLOSING_WEIGHT if stated else UNSTATED_WEIGHT
    guess = team.per_second or team.line / UNSTATED_SECONDS
    return (weight + team.closed) / (weight / guess + team.busy_seconds), 1.0 / math.sqrt(weight + team.closed)


def _closings(team: Team, moments: Sequence[float]) -> list[float]:
    """What a team that always has something to do closes by each moment, at the rate that it is sure to have."""
    rate, doubt = closing_rate(team)
    rate *= max(1.0 - doubt * doubt / 9 - CLOSING_Z * doubt / 3, 0.0) ** 3
    if team.hours is None:
        return [rate * seconds for seconds in moments]
    spans = [(start - team.now, end - team.now) for start, end in team.hours.spans(team.now, team.now + HORIZON[-1])]
    return [rate * sum(max(0.0, min(end, t) - start) for start, end in spans) for t in moments]
