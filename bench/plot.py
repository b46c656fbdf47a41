"""How does a pace look? A small SVG writer: panels under each other, lines in them, a rule for the limit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, PANEL, GAP, LEFT, RIGHT, TOP = 760, 120, 44, 56, 16, 56
COLOURS = ("#1f6feb", "#8250df", "#1a7f37", "#bc4c00")


@dataclass(frozen=True, slots=True)
class Line:
    """`points` are (seconds, share of the limit)."""

    name: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Panel:
    title: str
    lines: Sequence[Line]


def draw(title: str, panels: Sequence[Panel], seconds: float, most: float = 1.25) -> str:
    """The document. The same names have the same colours in all panels; `most` is the top of each, 1.0 the limit."""
    names = list(dict.fromkeys(line.name for panel in panels for line in panel.lines))
    height = TOP + len(panels) * (PANEL + GAP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        'font-family="system-ui, sans-serif" font-size="12">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        f'<text x="{LEFT}" y="18" font-size="14" font-weight="600">{escape(title)}</text>',
    ]
    for i, name in enumerate(names):
        x = LEFT + i * (WIDTH - LEFT - RIGHT) // len(names)
        parts.append(f'<path d="M{x} 34h18" stroke="{COLOURS[i % 4]}" stroke-width="3"/>')
        parts.append(f'<text x="{x + 24}" y="38" fill="#444">{escape(name)}</text>')
    for number, panel in enumerate(panels):
        parts += _panel(panel, TOP + number * (PANEL + GAP) + 16, names, seconds, most)
    return "\n".join([*parts, "</svg>", ""])


def _panel(panel: Panel, top: int, names: Sequence[str], seconds: float, most: float) -> list[str]:
    inner = WIDTH - LEFT - RIGHT

    def across(at: float) -> float:
        return round(LEFT + at / seconds * inner, 1)

    def up(share: float) -> float:
        return round(top + PANEL * (1 - min(share, most) / most), 1)

    parts = [f'<text x="{LEFT}" y="{top - 4}" font-weight="600">{escape(panel.title)}</text>']
    for share, colour, width in ((0.0, "#999", 1), (0.5, "#ddd", 1), (1.0, "#d1242f", 1.5)):
        dashes = ' stroke-dasharray="5 4"' if share == 1.0 else ""
        parts.append(
            f'<path d="M{LEFT} {up(share)}h{inner}" stroke="{colour}" stroke-width="{width}"{dashes}/>'
            f'<text x="{LEFT - 6}" y="{up(share) + 4}" text-anchor="end" fill="#444">{share:.0%}</text>'
        )
    parts += [
        f'<text x="{across(tick)}" y="{top + PANEL + 15}" text-anchor="middle" fill="#444">{tick} s</text>'
        for tick in range(0, int(seconds) + 1, 10 if seconds > 20 else 1)
    ]
    for line in panel.lines:
        points = " ".join(f"{across(at)},{up(share)}" for at, share in line.points)
        colour = COLOURS[names.index(line.name) % 4]
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.4" opacity=".85"/>')
    return parts
