"""How do a campaign's replies look? One SVG of curves over minutes: no script, light and dark by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, LEFT, RIGHT, TOP, GAP, FOOT = 880, 58, 92, 74, 54, 58

STYLE = """
svg { --ground: #ffffff; --ink: #1f2328; --quiet: #59636e; --grid: #e4e8ec; --valve: #1f6feb; --none: #bc4c00;
      --steady: #8250df; --line: #d1242f; }
@media (prefers-color-scheme: dark) {
  svg { --ground: #0d1117; --ink: #e6edf3; --quiet: #9198a1; --grid: #262c34; --valve: #58a6ff; --none: #f0883e;
        --steady: #bc8cff; --line: #ff7b72; } }
text { font: 12px system-ui, sans-serif; fill: var(--quiet); }
.title { font-size: 17px; font-weight: 600; fill: var(--ink); }
.head { font-size: 13px; font-weight: 600; fill: var(--ink); }
.ground { fill: var(--ground); }
.grid { stroke: var(--grid); }
.curve { fill: none; stroke-width: 1.8; stroke-linejoin: round; }
.area { stroke: none; opacity: .14; }
.valve { stroke: var(--valve); } .none { stroke: var(--none); } .steady { stroke: var(--steady); }
.line { stroke: var(--line); stroke-width: 1.4; stroke-dasharray: 6 4; }
.of-valve { fill: var(--valve); } .of-none { fill: var(--none); } .of-steady { fill: var(--steady); }
.of-line { fill: var(--line); }
"""


@dataclass(frozen=True, slots=True)
class Curve:
    """`points` are (seconds, value); `name` stands at `named_at`, `kind` is valve, none or steady."""

    name: str
    kind: str
    points: Sequence[tuple[float, float]]
    named_at: tuple[float, float]
    area: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """A heading, a height, the highest value of its axis, curves, and a dashed line where there is one."""

    title: str
    height: int
    top: float
    curves: Sequence[Curve]
    line: float | None = None


def draw(title: str, subtitle: str, panels: Sequence[Panel], seconds: float) -> str:
    """The document; all panels share the axis of minutes, from 0 to `seconds`."""
    height = TOP + sum(panel.height + GAP for panel in panels) + FOOT - GAP
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        f"<title>{escape(title)}</title><style>{STYLE}</style>",
        f'<rect class="ground" width="{WIDTH}" height="{height}" rx="8"/>',
        f'<text class="title" x="{LEFT}" y="28">{escape(title)}</text>',
        f'<text x="{LEFT}" y="46">{escape(subtitle)}</text>',
    ]
    y = TOP
    for panel in panels:
        parts += _panel(panel, y + 14, seconds)
        y += panel.height + GAP
    middle = LEFT + (WIDTH - LEFT - RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{height - 10}" text-anchor="middle">minutes since the launch</text></svg>')
    return "\n".join([*parts, ""])


def _panel(panel: Panel, top: float, seconds: float) -> list[str]:
    inner = WIDTH - LEFT - RIGHT

    def x(at: float) -> float:
        return round(LEFT + min(at, seconds) / seconds * inner, 1)

    def y(value: float) -> float:
        return round(top + panel.height * (1 - value / panel.top), 1)

    parts = [f'<text class="head" x="{LEFT}" y="{top - 8}">{escape(panel.title)}</text>']
    for tick in _ticks(panel.top, 4):
        parts.append(f'<path class="grid" d="M{LEFT} {y(tick)}h{inner}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y(tick) + 4}" text-anchor="end">{tick:,.0f}</text>')
    parts += [
        f'<text x="{x(tick * 60)}" y="{top + panel.height + 16}" text-anchor="middle">{tick:.0f}</text>'
        for tick in _ticks(seconds / 60, 8)
    ]
    for curve in panel.curves:
        points = " ".join(f"{x(at)},{y(value)}" for at, value in curve.points if at <= seconds)
        if curve.area:
            last = x(min(curve.points[-1][0], seconds))
            parts.append(f'<polygon class="area of-{curve.kind}" points="{LEFT},{y(0)} {points} {last},{y(0)}"/>')
        parts.append(f'<polyline class="curve {curve.kind}" points="{points}"/>')
    if panel.line is not None:
        parts.append(f'<path class="line" d="M{LEFT} {y(panel.line)}h{inner}"/>')
        parts.append(
            f'<text class="of-line" x="{LEFT + inner + 8}" y="{y(panel.line) + 4}">the line, {panel.line:g}</text>'
        )
    for curve in panel.curves:
        at, value = curve.named_at
        parts.append(f'<text class="of-{curve.kind}" x="{x(at)}" y="{y(value)}">{escape(curve.name)}</text>')
    return parts


def _ticks(top: float, most: int) -> list[float]:
    """Round values from 0 up to `top`, at most so many steps."""
    step = next(base * 10.0**power for power in range(9) for base in (1, 2, 5) if top / (base * 10**power) <= most)
    return [step * i for i in range(int(top / step) + 1)]
