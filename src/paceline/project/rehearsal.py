"""How would the replies come in? A campaign, its people and a team on a simulated clock, seeded.

The people are drawn once per seed: who answers, and after how long. So the valve, a constant rate and no valve at all
are compared over the same answers.
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from paceline.project import curves
from paceline.sms import replypace
from paceline.sms.officehours import Hours
from paceline.sms.replypace import DAY, HOUR, MINUTE, Seen, Team


@dataclass(frozen=True, slots=True)
class Scene:
    """Who is texted, how they answer, and who answers them. Times are seconds, rates per second."""

    contacts: int = 5000
    mps: float = 50.0
    reply_rate: float = 0.12
    median_seconds: float = 6 * MINUTE
    within_the_hour: float = 0.95
    closes: float = 3 / MINUTE
    line: int = 60
    guess: float = 0.12
    stated: bool = False  # whether the campaign says how many the team closes
    uneven: bool = False  # closings take exponential times instead of the same one
    burst_at: float | None = None
    burst_share: float = 0.0  # of those who would still answer, so many do within a minute of that moment
    hours: Hours | None = None
    begins: float = 0.0
    every: float = 20.0

    @property
    def sigma(self) -> float:
        """Of the log-normal delays."""
        return math.log(HOUR / self.median_seconds) / _quantile(self.within_the_hour)


def _quantile(share: float) -> float:
    """Of the normal distribution, by bisection."""
    low, high = 0.0, 8.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if 0.5 * (1 + math.erf(middle / math.sqrt(2))) < share else (low, middle)
    return low


@dataclass(frozen=True, slots=True)
class Person:
    """One who answers: their place in the campaign, and how long they take."""

    place: int
    delay: float


def people(scene: Scene, seed: int) -> list[Person]:
    """Those of the audience who will answer, in the order in which they are texted."""
    luck = random.Random(seed)  # noqa: S311 a simulation
    mu, sigma = math.log(scene.median_seconds), scene.sigma
    answering = (place for place in range(scene.contacts) if luck.random() < scene.reply_rate)
    return [Person(place, luck.lognormvariate(mu, sigma)) for place in answering]


class Desk:
    """The team: one conversation after another, each taking its time, while somebody is there."""

    def __init__(self, scene: Scene, luck: random.Random) -> None:
        self.scene = scene
        self.luck = luck
        self.open = 0
        self.peak = 0
        self.closed: list[float] = []
        self.busy_since: float | None = None
        self.busy: list[tuple[float, float]] = []
        self._next: float | None = None

    def _ends(self, start: float) -> float:
        """When the work begun at `start` is done, the hours in which nobody is there left out."""
        takes = 1 / self.scene.closes
        takes = self.luck.expovariate(1 / takes) if self.scene.uneven else takes
        if self.scene.hours is None:
            return start + takes
        epoch = self.scene.begins
        for since, until in self.scene.hours.spans(epoch + start, epoch + start + 8 * DAY):
            if until - since >= takes:
                return since - epoch + takes
            takes -= until - since
        raise ValueError("nobody is there for a week")

    def until(self, now: float) -> None:
        """Closes what is done by `now`."""
        while self._next is not None and self._next <= now:
            at = self._next
            self.open -= 1
            self.closed.append(at)
            self._next = self._ends(at) if self.open else None
            if not self.open and self.busy_since is not None:
                self.busy.append((self.busy_since, at))
                self.busy_since = None

    def reply(self, at: float) -> None:
        self.until(at)
        self.open += 1
        self.peak = max(self.peak, self.open)
        if self._next is None:
            self._next = self._ends(at)
            self.busy_since = at


@dataclass(slots=True)
class Run:
    """What came of it: `curve` is (moment, released, backlog), one each `every` seconds."""

    peak: int = 0
    finish: float = 0.0
    largest: int = 0
    curve: list[tuple[float, int, int]] = field(default_factory=list)


LATELY = 2 * HOUR


def with_valve(scene: Scene, seed: int) -> Run:
    """The campaign with the valve, which is asked every `scene.every` seconds and knows only what has happened."""
    answers = people(scene, seed)
    luck = random.Random(f"{seed} desk")  # noqa: S311 a simulation
    desk, run = Desk(scene, luck), Run()
    released, upcoming = 0, 0
    coming: list[tuple[float, float]] = []  # (moment, delay)
    replies = [0] * replypace.BINS
    submits = Submits()
    now = lane_free = 0.0
    burst_done = scene.burst_at is None
    while True:
        if not burst_done and scene.burst_at is not None and now >= scene.burst_at:
            coming = [
                (min(at, now + luck.random() * MINUTE), delay) if luck.random() < scene.burst_share else (at, delay)
                for at, delay in coming
            ]
            heapq.heapify(coming)
            burst_done = True
        while coming and coming[0][0] <= now:
            at, submitted_at = heapq.heappop(coming)
            desk.reply(at)
            which = replypace.bin_of(at - submitted_at)
            if which is not None:
                replies[which] += 1
        desk.until(now)
        run.curve.append((now, released, desk.open))
        if released >= scene.contacts and not coming and not desk.open:
            break
        if released < scene.contacts:
            seen = Seen(submits.ages(now), tuple(replies), 0, scene.guess)
            team = Team(
                scene.line,
                scene.closes if scene.stated else None,
                _lately(desk, scene, now),
                scene.hours,
                scene.begins + now,
            )
            more = replypace.room(team, desk.open, seen, left=scene.contacts - released)
            if more:
                run.largest = max(run.largest, more)
                first = max(now, lane_free)
                lane_free = first + more / scene.mps
                submits.add(first + more / scene.mps / 2, more)
                while upcoming < len(answers) and answers[upcoming].place < released + more:
                    person = answers[upcoming]
                    at = first + (person.place - released) / scene.mps
                    heapq.heappush(coming, (at + person.delay, at))
                    upcoming += 1
                released += more
                run.finish = first + (more - 1) / scene.mps
        now += scene.every
    run.peak = desk.peak
    return run


def _lately(desk: Desk, scene: Scene, now: float) -> replypace.Lately:
    """What the desk closed lately, and for how long it had something to do."""
    since = now - LATELY
    desk.closed = [at for at in desk.closed if at > since]
    desk.busy = [(start, end) for start, end in desk.busy if end > since]
    spans = [*desk.busy, (desk.busy_since, now)] if desk.busy_since is not None else desk.busy
    spans = [(max(start, since), end) for start, end in spans]
    if scene.hours is not None:
        epoch = scene.begins
        there = [span for start, end in spans for span in scene.hours.spans(epoch + start, epoch + end)]
        spans = [(start - epoch, end - epoch) for start, end in there]
    return replypace.lately(desk.closed, spans)


class Submits:
    """When texts were submitted, in buckets that grow coarser as they grow old."""

    def __init__(self) -> None:
        self._buckets: list[tuple[float, int]] = []

    def add(self, at: float, count: int) -> None:
        self._buckets.append((at, count))

    def ages(self, now: float) -> list[tuple[float, int]]:
        self._buckets = replypace.coarser(self._buckets, now)
        return [(now - at, count) for at, count in self._buckets]


def at_constant_rate(scene: Scene, answers: Sequence[Person], seconds: float) -> Run:
    """The campaign at one rate throughout, the last submit after `seconds`."""
    step = seconds / max(scene.contacts - 1, 1)
    desk = Desk(scene, random.Random(0))  # noqa: S311 a simulation
    curve = [(0.0, 0, 0)]
    for at in sorted(person.place * step + person.delay for person in answers):
        desk.until(at)
        desk.reply(at)
        curve.append((at, min(scene.contacts, int(at / step) + 1), desk.open))
    return Run(peak=desk.peak, finish=seconds, curve=curve)


def verdict(scene: Scene, seed: int) -> dict[str, float]:
    """One seed's campaign: with the valve, without any, and at the best constant rate, which is known in hindsight."""
    answers = people(scene, seed)
    run = with_valve(scene, seed)
    return {
        "line": scene.line,
        "largest_tranche": run.largest,
        "peak_backlog": run.peak,
        "peak_backlog_without": at_constant_rate(scene, answers, scene.contacts / scene.mps).peak,
        "finish_seconds": round(run.finish, 1),
        "best_constant_seconds": best_constant(scene, answers),
    }


def drawing(scene: Scene, seed: int) -> str:
    """The curves of one seed as an SVG."""
    answers = people(scene, seed)
    run, without = with_valve(scene, seed), at_constant_rate(scene, answers, scene.contacts / scene.mps)
    best = best_constant(scene, answers)
    end = max(run.finish, best) + 45 * MINUTE
    peak = max(without.curve, key=lambda point: point[2])[0]
    steady = [(0.0, 0.0), (best, float(scene.contacts))]
    at_once = curves.Curve(f"{without.peak} open", "none", _thin(without, 2), (peak, without.peak * 1.08), True)
    valve = curves.Curve(f"{run.peak} at most", "valve", _thin(run, 2), (0.4 * end, 0.3 * scene.line), True)
    released = [
        curves.Curve(
            f"the best constant rate, {best / MINUTE:.0f} min", "steady", steady, (0.5 * end, 0.4 * scene.contacts)
        ),
        curves.Curve(
            f"the valve, {run.finish / MINUTE:.0f} min", "valve", _thin(run, 1), (0.2 * end, 0.62 * scene.contacts)
        ),
    ]
    return curves.draw(
        f"{scene.contacts:,} texts to people of whom {scene.reply_rate:.0%} answer, "
        f"a team that closes {scene.closes * MINUTE:g} a minute",
        "On a simulated clock: the valve learns how many answer and how soon, and keeps what is open under the line.",
        [
            curves.Panel("Open conversations, everything sent at once", 110, without.peak * 1.3, [at_once], scene.line),
            curves.Panel("Open conversations, with the valve", 170, scene.line * 1.15, [valve], scene.line),
            curves.Panel("Texts released", 150, scene.contacts * 1.05, released),
        ],
        end,
    )


def _step(run: Run) -> int:
    return max(1, len(run.curve) // 400)


def _thin(run: Run, column: int) -> list[tuple[float, float]]:
    points = [*run.curve[:: _step(run)], run.curve[-1]]
    return [(point[0], float(point[column])) for point in points]


def keeps(answers: Sequence[Person], step: float, takes: float, line: int) -> bool:
    """Whether a desk that takes so long for each stays at or under the line, one text each `step` seconds."""
    free_at: list[float] = []  # when each conversation is closed, in order
    done, ends = 0, 0.0
    for number, at in enumerate(sorted([person.place * step + person.delay for person in answers])):
        ends = (ends if ends > at else at) + takes
        free_at.append(ends)
        while free_at[done] <= at:
            done += 1
        if number + 1 - done > line:
            return False
    return True


def best_constant(scene: Scene, answers: Sequence[Person]) -> float:
    """Seconds of the fastest constant rate that keeps the line over these very answers, to the second.

    Every second from the least that is possible is tried, since a slower rate is not always a safer one.
    """
    takes = 1 / scene.closes
    delays = sorted(person.delay for person in answers)
    least = max(((n - scene.line - 1) * takes - delay for n, delay in enumerate(delays, 1)), default=0.0)
    seconds = float(max(math.ceil(least), math.ceil(scene.contacts / scene.mps)))
    while not keeps(answers, seconds / max(scene.contacts - 1, 1), takes, scene.line):
        seconds += 1.0
    return seconds
