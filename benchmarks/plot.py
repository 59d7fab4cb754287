"""How is a curve drawn? Small panels on logarithmic scales, as SVG, in plain Python."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Final

import attrs

Points = list[tuple[float, float]]

_WIDTH, _HEIGHT = 320.0, 236.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 46.0, 14.0, 50.0, 34.0
_COLUMNS: Final = 3
_COLOURS: Final = ("#0b62a4", "#c2410c", "#15803d")
_INK, _FAINT = "#1f2937", "#e5e7eb"


@attrs.define
class Panel:
    """One small plot.

    Attributes:
        title: Names what grows.
        ideal: Slope of the dashed lines: a curve should stay below its own.
        since: Where these begin.
        lines: Points by label.
    """

    title: str
    ideal: float
    since: float = 0.0
    lines: dict[str, Points] = attrs.field(factory=dict)


@attrs.frozen
class _Scale:
    """A logarithmic axis from ``low`` to ``high``, drawn from ``start`` to ``end``."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        share = (math.log10(value) - math.log10(self.low)) / (math.log10(self.high) - math.log10(self.low))
        return self.start + share * (self.end - self.start)


def short(value: float) -> str:
    """A number for an axis: 0.5, 20, 3k, 2M."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def ticks(low: float, high: float) -> list[float]:
    """Powers of ten from ``low`` to ``high``; with 2 and 5 times these where there are few."""
    found: list[float] = []
    for digits in ((1,), (1, 3), (1, 2, 5)):
        found = [
            digit * 10.0**power
            for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
            for digit in digits
            if low <= digit * 10.0**power <= high * (1 + 1e-9)
        ]
        if len(found) >= 3:
            break
    return found


def svg(title: str, panels: Sequence[Panel]) -> str:
    """Draw the panels, three in a row, all with one vertical axis.

    Args:
        title: Of what is measured, above all panels.
        panels: At least one, each with at least one line; values are positive.
    """
    costs = [cost for panel in panels for points in panel.lines.values() for _, cost in points]
    low, high = 10 ** math.floor(math.log10(min(costs))), 10 ** math.ceil(math.log10(max(costs)) + 1e-9)
    rows = -(-len(panels) // _COLUMNS)
    width, height = _COLUMNS * _WIDTH + 16, rows * _HEIGHT + 40
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}"'
            f' height="{height:g}" font-family="system-ui, sans-serif" font-size="11" fill="{_INK}">'
        ),
        f"<title>{escape(title)}</title>",
        f'<rect width="{width:g}" height="{height:g}" fill="#ffffff"/>',
        f'<text x="14" y="24" font-size="15" font-weight="600">{escape(title)}</text>',
        (
            f'<text x="{width - 14:g}" y="24" text-anchor="end" fill="#6b7280">both scales logarithmic;'
            " dashed: as steep as it should be at most</text>"
        ),
    ]
    for at, panel in enumerate(panels):
        x, y = 8 + at % _COLUMNS * _WIDTH, 36 + at // _COLUMNS * _HEIGHT
        parts += [f'<g transform="translate({x:g} {y:g})">', *_panel(panel, low, high), "</g>"]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _panel(panel: Panel, low: float, high: float) -> list[str]:
    sizes = [size for points in panel.lines.values() for size, _ in points]
    across = _Scale(min(sizes) / 1.15, max(sizes) * 1.15, _LEFT, _WIDTH - _RIGHT)
    up = _Scale(low, high, _HEIGHT - _BOTTOM, _TOP)
    parts = [f'<text x="{_LEFT:g}" y="16" font-weight="600">{escape(panel.title)}</text>']
    for cost in ticks(low, high):
        y = up(cost)
        parts.append(f'<path d="M{across.start:g} {y:.1f}H{across.end:g}" stroke="{_FAINT}"/>')
        parts.append(f'<text x="{_LEFT - 6:g}" y="{y + 4:.1f}" text-anchor="end">{short(cost)}</text>')
    for size in sorted(set(sizes)):
        x = across(size)
        parts.append(f'<path d="M{x:.1f} {up.start:g}v4" stroke="{_INK}"/>')
        parts.append(f'<text x="{x:.1f}" y="{up.start + 17:g}" text-anchor="middle">{short(size)}</text>')
    parts.append(f'<path d="M{across.start:g} {up.start:g}H{across.end:g}" stroke="{_INK}"/>')
    for at, (label, points) in enumerate(panel.lines.items()):
        colour = _COLOURS[at % len(_COLOURS)]
        parts.append(
            _ideal([p for p in points if p[0] >= panel.since] or points, panel.ideal, colour, across, up)
        )
        path = " ".join(
            f"{'L' if i else 'M'}{across(size):.1f} {up(cost):.1f}" for i, (size, cost) in enumerate(points)
        )
        parts.append(f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.8"/>')
        parts += [
            f'<circle cx="{across(size):.1f}" cy="{up(cost):.1f}" r="2.6" fill="{colour}"/>'
            for size, cost in points
        ]
        x = _LEFT + at * 142
        parts.append(f'<rect x="{x:g}" y="25" width="9" height="9" fill="{colour}"/>')
        parts.append(f'<text x="{x + 13:g}" y="33.5" font-size="10">{escape(label)}</text>')
    return parts


def _ideal(points: Points, slope: float, colour: str, across: _Scale, up: _Scale) -> str:
    """The dashed line from the first of these points, as far as the panel goes."""
    (first, cost), (last, _) = points[0], points[-1]
    end = min(last, first * (up.high / cost) ** (1 / slope)) if slope > 0 else last
    reached = cost * (end / first) ** slope
    return (
        f'<path d="M{across(first):.1f} {up(cost):.1f}L{across(end):.1f} {up(reached):.1f}"'
        f' stroke="{colour}" stroke-opacity="0.55" stroke-dasharray="4 3" fill="none"/>'
    )
