"""What does a frontier look like: an SVG of two panels, benefit against all costs and against compute."""

from __future__ import annotations

import html
import itertools
import math
from collections.abc import Callable
from typing import Final

import attrs

from agentic.economics._axes import LogAxis, even_ticks, number
from agentic.economics._frontier import Frontier, check_frontier
from agentic.economics._labels import Box, placed
from agentic.economics._rows import Kind, Row

_WIDTH, _HEIGHT = 1064, 560
_TOP, _BOTTOM = 84.0, 478.0
_PANELS: Final = ((66.0, 444.0), (600.0, 978.0))  # beside each stand the names of lines
_EM: Final = 12.5
_WIDE: Final = 0.56 * _EM  # of a letter, on the safe side
_BOLD: Final = 1.1  # how much wider the names of efficient policies are
_LONGEST: Final = 26

_STYLE: Final = """
  svg { font: 12.5px system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
  .back { fill: #ffffff; } text { fill: #1f2328; } .title { font-size: 17px; font-weight: 600; }
  .soft { fill: #59636e; } .grid { stroke: #d1d9e0; stroke-width: 1; }
  .mark { stroke: #59636e; stroke-width: 1; stroke-dasharray: 2 4; }
  .bar, .lead { stroke: #818b98; stroke-width: 1; } .bar { stroke-width: 1.5; }
  .edge { fill: none; stroke: #0969da; stroke-width: 2; }
  .dot { fill: #ffffff; stroke: #59636e; stroke-width: 1.75; }
  .best { fill: #0969da; stroke: #0969da; } .strong { font-weight: 600; }
  .name { paint-order: stroke; stroke: #ffffff; stroke-width: 3px; stroke-linejoin: round; }
  @media (prefers-color-scheme: dark) {
    .back { fill: #0d1117; } text { fill: #e6edf3; } .soft { fill: #9da7b3; } .grid { stroke: #2f353d; }
    .mark { stroke: #9da7b3; } .bar, .lead { stroke: #7d8590; } .edge { stroke: #58a6ff; }
    .dot { fill: #0d1117; stroke: #9da7b3; } .best { fill: #58a6ff; stroke: #58a6ff; }
    .name { stroke: #0d1117; }
  }
"""


@attrs.frozen
class _Scale:
    """The upright axis: shares of the attainable, or plain benefit where nothing is attainable."""

    shares: bool
    low: float
    high: float

    @classmethod
    def over(cls, found: Frontier) -> _Scale:
        shares = math.isfinite(found.oracle.share.value)
        rows = [_height(row, shares=shares) for row in found.rows]
        low, high = min(0.0, *rows), max(1.0 if shares else 0.0, *rows)
        span = (high - low) or 1.0
        return cls(shares, low - 0.04 * span, high + 0.06 * span)

    def place(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return _BOTTOM - min(max(share, 0.0), 1.0) * (_BOTTOM - _TOP)


def _height(row: Row, *, shares: bool) -> float:
    return row.share.value if shares else row.benefit.value


def plot(found: Frontier, /) -> str:
    """Draw the frontier as an SVG document that needs nothing else, in light and dark.

    Every policy is a point with its 95 % interval, over the total cost per thousand decisions on the left and
    over its compute on the right, both on logarithmic axes; the line is the frontier. What is free stands at
    the left edge.

    Raises:
        ConfigurationError: This is no frontier.
    """
    check_frontier(found)
    scale = _Scale.over(found)
    size = f'viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}"'
    names = 'role="img" aria-labelledby="frontier-title frontier-desc"'
    foot = (
        "Filled points and the line: no policy is cheaper and at least as good."
        " Upright bars: 95 % intervals over seeds."
    )
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} {names}>',
        '<title id="frontier-title">The frugality frontier: benefit against cost</title>',
        f'<desc id="frontier-desc">{_text(_told(found))}</desc>',
        f"<style>{_STYLE}</style>",
        f'<rect class="back" width="{_WIDTH}" height="{_HEIGHT}"/>',
        '<text class="title" x="22" y="32">The frugality frontier</text>',
        f'<text class="soft" x="22" y="53">{_text(_subtitle(found))}</text>',
    ]
    total = "messages and compute, money per 1,000 decisions (log)"
    compute = "compute, microseconds per decision, measured (log)"
    parts += _panel(found, scale, _PANELS[0], "total", lambda row: row.cost, f"total cost: {total}")
    parts += _panel(found, scale, _PANELS[1], "compute", lambda row: row.compute_us, compute)
    parts += [
        f'<text class="soft" x="22" y="{_HEIGHT - 16}">{foot}</text>',
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _told(found: Frontier) -> str:
    """The picture in words."""
    rows = [
        f"{row.name}: {_percent(row.share.value)} of the attainable benefit, {number(row.cost)} per thousand"
        f" decisions in all, {row.compute_us:.1f} microseconds per decision"
        for row in found.rows
    ]
    names = ", ".join(row.name for row in found.efficient("total"))
    return f"{'; '.join(rows)}. On the frontier of total cost: {names}."


def _subtitle(found: Frontier) -> str:
    return (
        f"{found.decisions // len(found.seeds):,} decisions of each policy on {len(found.seeds)}"
        f" {'seed' if len(found.seeds) == 1 else 'seeds'}; a core hour at {found.prices.core_hour:,g},"
        f" messages at {found.prices.message:g} times the catalogue's prices"
    )


def _panel(
    found: Frontier,
    scale: _Scale,
    ends: tuple[float, float],
    kind: Kind,
    cost: Callable[[Row], float],
    title: str,
) -> list[str]:
    """One panel: grid, axes, frontier, points and their names."""
    left, right = ends
    axis = LogAxis.over([cost(row) for row in found.rows], left, right)
    places = {
        row.name: (axis.place(cost(row)), scale.place(_height(row, shares=scale.shares)))
        for row in found.rows
    }
    best = [row.name for row in found.efficient(kind)]
    stairs, lines = _stairs([places[name] for name in best], right)
    bars = {row.name: _bar(row, scale, places[row.name][0]) for row in found.rows}
    return [
        *_grid(axis, scale, left, right, title),
        *_marks(found, scale, left, right),
        stairs,
        *(text for text, _ in bars.values()),
        *_points(found, places, set(best), lines, [box for _, box in bars.values()], ends),
    ]


def _grid(axis: LogAxis, scale: _Scale, left: float, right: float, title: str) -> list[str]:
    out = []
    for tick in axis.ticks():
        x = axis.place(tick)
        out += [
            f'<line class="grid" x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{_BOTTOM}"/>',
            f'<text class="soft" x="{x:.1f}" y="{_BOTTOM + 18}" text-anchor="middle">{number(tick)}</text>',
        ]
    for tick in even_ticks(scale.low, scale.high):
        y = scale.place(tick)
        shown = _percent(tick) if scale.shares else number(tick)
        out += [
            f'<line class="grid" x1="{left}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}"/>',
            f'<text class="soft" x="{left - 8}" y="{y + 4.5:.1f}" text-anchor="end">{shown}</text>',
        ]
    what = "share of the attainable benefit" if scale.shares else "benefit per 1,000 decisions"
    middle = (left + right) / 2
    return [
        *out,
        f'<text class="soft" x="{left}" y="{_TOP - 10}">{what}</text>',
        f'<text x="{middle}" y="{_BOTTOM + 42}" text-anchor="middle">{title}</text>',
    ]


def _marks(found: Frontier, scale: _Scale, left: float, right: float) -> list[str]:
    """Lines to judge by: the oracle, and 80 and 90 % of the best policy."""
    top = max(found.rows, key=lambda row: row.benefit.value)
    height = _height(top, shares=scale.shares)
    wanted = [(0.8 * height, "80 % of best"), (0.9 * height, "90 % of best")] if height > 0.0 else []
    if scale.shares:
        wanted.append((1.0, "oracle"))
    out, above = [], math.inf
    for value, words in sorted(wanted):
        y = scale.place(value)
        above = min(y + 4.5, above - _EM - 2)  # lines may be closer than their names are high
        out += [
            f'<line class="mark" x1="{left}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}"/>',
            f'<text class="soft" x="{right + 6}" y="{above:.1f}">{words}</text>',
        ]
    return out


def _stairs(best: list[tuple[float, float]], right: float) -> tuple[str, list[Box]]:
    """The frontier: along at a policy's benefit until the next one is affordable; and the room it takes."""
    turns: list[tuple[float, float]] = []
    for x, y in best:
        turns += [(x, turns[-1][1]), (x, y)] if turns else [(x, y)]
    turns.append((right, turns[-1][1]))
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in turns)
    boxes = [
        Box(min(x, u) - 2, min(y, v) - 2, max(x, u) + 2, max(y, v) + 2)
        for (x, y), (u, v) in itertools.pairwise(turns)
    ]
    return f'<polyline class="edge" points="{line}"/>', boxes


def _bar(row: Row, scale: _Scale, x: float) -> tuple[str, Box]:
    """The interval of a point; nothing where there is none."""
    mean = row.share if scale.shares else row.benefit
    y = scale.place(mean.value)
    if not math.isfinite(mean.error):
        return "", Box(x, y, x, y)
    low, high = scale.place(mean.low), scale.place(mean.high)
    text = f'<line class="bar" x1="{x:.1f}" y1="{high:.1f}" x2="{x:.1f}" y2="{low:.1f}"/>'
    return text, Box(x - 2, high, x + 2, low)


def _points(
    found: Frontier,
    places: dict[str, tuple[float, float]],
    best: set[str],
    lines: list[Box],
    bars: list[Box],
    ends: tuple[float, float],
) -> list[str]:
    points = [places[row.name] for row in found.rows]
    named = [(row, _short(row.name)) for row in found.rows]
    boxes = placed(
        points,
        [(_WIDE * len(name) * (_BOLD if row.name in best else 1.0) + 4, _EM + 4) for row, name in named],
        [Box(x - 7, y - 7, x + 7, y + 7) for x, y in points],
        lines,
        bars,
        Box(ends[0] + 2, _TOP - 4, ends[1] - 2, _BOTTOM - 2),
    )
    out = []
    for (row, name), (x, y), box in zip(named, points, boxes, strict=True):
        leader = ""
        near, by = box.nearest(x, y)
        if math.hypot(near - x, by - y) > 14.0:
            leader = f'<line class="lead" x1="{x:.1f}" y1="{y:.1f}" x2="{near:.1f}" y2="{by:.1f}"/>'
        dot, label = ("dot best", "name strong") if row.name in best else ("dot", "name")
        out.append(
            f"<g><title>{_text(_hint(row))}</title>{leader}"
            f'<circle class="{dot}" cx="{x:.1f}" cy="{y:.1f}" r="5"/>'
            f'<text class="{label}" x="{(box.left + box.right) / 2:.1f}" y="{box.bottom - 4.5:.1f}"'
            f' text-anchor="middle">{_text(name)}</text></g>'
        )
    return out


def _hint(row: Row) -> str:
    return (
        f"{row.name}: {_percent(row.share.value)} of the attainable, benefit {row.benefit.value:,.2f}, cost"
        f" {number(row.cost)} per 1,000 decisions, {row.compute_us:.1f} us a decision"
    )


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"


def _percent(value: float) -> str:
    return f"{100.0 * value:.0f} %" if math.isfinite(value) else "no share"


def _text(words: str) -> str:
    """Words as XML takes them."""
    return html.escape(words)
