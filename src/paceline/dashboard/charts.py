"""How is a number drawn? As SVG made on the server: no script, no inline style, colours by class.

Nothing is scaled: positions are percentages, so a chart fits any width and its lines and letters keep their size.
Every drawing has the same elements in the same order each time, so that a morph only moves them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Protocol

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

SLIVER_PERCENT = 0.6
"""A group that has anybody is at least this wide: one uncertain text in ten thousand is not invisible."""

HEADROOM = 1.25


class Part(Protocol):
    """A piece of a bar: its colour's key, its name, how many it stands for and their percentage."""

    @property
    def key(self) -> str: ...
    @property
    def label(self) -> str: ...
    @property
    def count(self) -> int: ...
    @property
    def percent(self) -> float: ...


def bar(parts: Sequence[Part]) -> SafeString:
    """One bar, divided; `parts` in order from the left, their percentages 100 together or all 0."""
    widths = _widths([part.percent for part in parts])
    said = ", ".join(f"{part.label} {part.count:,}" for part in parts if part.count) or "Nobody yet"
    rects, x = [], 0.0
    for part, width in zip(parts, widths, strict=True):
        rects.append((f"{x:.3f}", f"{width:.3f}", part.key))
        x += width
    return format_html(
        '<svg class="bar" role="img" aria-label="{}">{}</svg>',
        said,
        format_html_join("", '<rect x="{}%" width="{}%" height="100%" class="fill-{}"/>', rects),
    )


def _widths(percents: Sequence[float]) -> list[float]:
    """Slivers are widened, and the widest part pays for it."""
    widths = [max(percent, SLIVER_PERCENT) if percent > 0 else 0.0 for percent in percents]
    excess = sum(widths) - sum(percents)
    if widths and excess > 0:
        widest = widths.index(max(widths))
        widths[widest] -= excess
    return widths


def share(done: int, waiting: int) -> SafeString:
    """How much of a sender's part is done."""
    total = done + waiting
    percent = 100 * done / total if total else 0.0
    return format_html(
        '<svg class="bar bar-thin" role="img" aria-label="{} % done">'
        '<rect width="100%" height="100%" class="fill-waiting"/><rect width="{}%" height="100%" class="fill-sending"/>'
        "</svg>",
        f"{percent:.0f}",
        f"{percent:.2f}",
    )


def gauge(actual: float, limit: float | None) -> SafeString:
    """The rate that is, against the rate that may be; empty without a limit."""
    if not limit:
        return SafeString("")
    percent = min(100.0, 100 * actual / limit)
    return format_html(
        '<svg class="bar bar-thin" role="img" aria-label="{} of {} a second">'
        '<rect width="100%" height="100%" class="fill-waiting"/><rect width="{}%" height="100%" class="fill-accent"/>'
        "</svg>",
        f"{actual:.3g}",
        f"{limit:.3g}",
        f"{percent:.2f}",
    )


def backlog(open_now: int, line: int | None) -> SafeString:
    """The conversations that are open, against the line that they are to stay under; empty without a line."""
    if not line:
        return SafeString("")
    top = max(open_now, line * HEADROOM)
    return format_html(
        '<svg class="bar backlog-bar" role="img" aria-label="{} conversations in the backlog; the line is {}">'
        '<rect width="100%" height="100%" class="fill-waiting"/><rect width="{}%" height="100%" class="{}"/>'
        '<line class="chart-limit" x1="{}%" x2="{}%" y1="0" y2="100%"/></svg>',
        open_now,
        line,
        f"{100 * open_now / top:.2f}",
        "fill-undelivered" if open_now > line else "fill-accent",
        *[f"{100 * line / top:.2f}"] * 2,
    )


def throughput(series: Sequence[tuple[int, int]], limit: float | None) -> SafeString:
    """Submits per second as steps over time, oldest left, with the limit as a dashed line.

    `series` is (second, submits), one for each second.
    """
    peak = max((count for _, count in series), default=0)
    top = max(peak, limit or 0, 1) * HEADROOM
    steps = [(i, 100 - 100 * count / top) for i, (_, count) in enumerate(series)]
    edge = " ".join(f"L{i} {y:.2f}L{i + 1} {y:.2f}" for i, y in steps)
    said = f"Texts submitted per second over the last {len(series)} seconds, {peak} at the most"
    return format_html(
        '<svg class="chart" role="img" aria-label="{}">{}'
        '<svg width="100%" height="100%" viewBox="0 0 {} 100" preserveAspectRatio="none">'
        '<path class="chart-area" d="M0 100{}L{} 100Z"/><path class="chart-edge" d="M{}"/></svg>{}{}</svg>',
        said if limit is None else f"{said}; the limit is {limit:.3g}",
        _grid(top / HEADROOM, top),
        len(series),
        edge,
        len(series),
        edge[1:],
        _numbers(top / HEADROOM, top),
        _limit_line(limit, top),
    )


def _grid(highest: float, top: float) -> SafeString:
    """Quiet lines at round values up to the highest that is drawn, behind everything."""
    return format_html_join(
        "",
        '<line class="chart-grid" x1="0" x2="100%" y1="{0}%" y2="{0}%"/>',
        ((f"{100 - 100 * value / top:.2f}",) for value in ticks(highest)),
    )


def _numbers(highest: float, top: float) -> SafeString:
    """What these lines stand for, before everything: a curve that crosses a number does not strike it out."""
    return format_html_join(
        "",
        '<text x="0" y="{}%" dy="-4">{}</text>',
        ((f"{100 - 100 * value / top:.2f}", f"{value:g}") for value in ticks(highest)),
    )


def _limit_line(limit: float | None, top: float) -> SafeString:
    if limit is None:
        return SafeString("")
    return format_html(
        '<line class="chart-limit" x1="0" x2="100%" y1="{0}%" y2="{0}%"/>'
        '<text class="chart-limit-name" x="100%" y="{0}%" dy="-6" text-anchor="end">limit {1}/s</text>',
        f"{100 - 100 * limit / top:.2f}",
        f"{limit:.3g}",
    )


def ticks(highest: float) -> Iterable[float]:
    """At most four whole values from above 0 up to `highest`: multiples of 1, 2 or 5 times a power of ten."""
    step = next(base * 10**power for power in range(12) for base in (1, 2, 5) if highest / (base * 10**power) < 5)
    return [step * i for i in range(1, int(highest / step) + 1)]


# --- the pace that listens ------------------------------------------------------------------------------------

CURVE_POINTS = 240
"""A curve of more moments shows the highest backlog of each part."""

PANELS = (("released", 0, 34), ("backlog", 46, 54))  # of the drawing's height: from, how much; in percent


class Sample(Protocol):
    """What a campaign had released at a moment, how many conversations were open then, and how many may be."""

    @property
    def at(self) -> datetime: ...
    @property
    def released(self) -> int: ...
    @property
    def backlog(self) -> int: ...
    @property
    def line(self) -> int: ...


def thinned(samples: Sequence[Sample], most: int = CURVE_POINTS) -> list[Sample]:
    """At most so many of them, in their order: of each part the one with the highest backlog; the last one always."""
    if len(samples) <= most:
        return list(samples)
    edges = [round(i * (len(samples) - 1) / (most - 1)) for i in range(most)]
    parts = [samples[start:end] for start, end in pairwise(edges)]
    return [max(part, key=lambda sample: sample.backlog) for part in parts if part] + [samples[-1]]


def curve(samples: Sequence[Sample]) -> SafeString:
    """Above, how many were released; below, the backlog under its line: the same time from left to right.

    `samples` are oldest first; fewer than two are no curve, and the answer is empty.
    """
    shown = thinned(samples)
    if len(shown) < 2:
        return SafeString("")
    peak, line, released = max(each.backlog for each in samples), shown[-1].line, shown[-1].released
    said = f"{released} released; the backlog was {peak} at the most and is {shown[-1].backlog}; its line is {line}"
    return format_html(
        '<svg class="chart chart-curve" role="img" aria-label="{}">{}{}</svg>',
        said,
        _panel(PANELS[0], shown, [each.released for each in shown], None),
        _panel(PANELS[1], shown, [each.backlog for each in shown], [each.line for each in shown]),
    )


def _panel(
    panel: tuple[str, int, int], samples: Sequence[Sample], values: Sequence[int], lines: Sequence[int] | None
) -> SafeString:
    """One of the two drawings: an area under steps, with the line over it as a dashed one."""
    name, y, height = panel
    highest = max([*values, *(lines or ()), 1])
    top = highest * HEADROOM
    begin = samples[0].at
    seconds = [(each.at - begin).total_seconds() for each in samples]
    width = max(seconds[-1], 1.0)
    edge = _steps(seconds, values, top)
    return format_html(
        '<svg x="0" y="{}%" width="100%" height="{}%">{}'
        '<svg width="100%" height="100%" viewBox="0 0 {} 100" preserveAspectRatio="none">'
        '<path class="chart-area curve-{}" d="M0 100L{}L{} 100Z"/><path class="chart-edge curve-{}" d="M{}"/>{}</svg>'
        "{}{}"
        '<line class="chart-floor" x1="0" x2="100%" y1="100%" y2="100%"/></svg>',
        *(y, height, _grid(highest, top), f"{width:g}", name, edge, f"{width:g}", name, edge),
        format_html('<path class="chart-limit chart-line" d="M{}"/>', _steps(seconds, lines, top)) if lines else "",
        _numbers(highest, top),
        _line_name(lines[-1], top) if lines else "",
    )


def _steps(seconds: Sequence[float], values: Sequence[int], top: float) -> str:
    """A path that holds each value until the next moment."""
    places = [f"{100 - 100 * value / top:.2f}" for value in values]
    path = f"{seconds[0]:g} {places[0]}"
    for second, before, place in zip(seconds[1:], places, places[1:], strict=False):
        path += f"L{second:g} {before}" + (f"L{second:g} {place}" if place != before else "")
    return path


def _line_name(line: int, top: float) -> SafeString:
    return format_html(
        '<text class="chart-limit-name" x="100%" y="{}%" dy="-6" text-anchor="end">line {}</text>',
        f"{100 - 100 * line / top:.2f}",
        line,
    )
