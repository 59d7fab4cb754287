"""What does the feared loop look like: an SVG of small panels, week by week, greedy and careful."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from typing import Final

import attrs
import numpy as np

from agentic.arrays import F64
from agentic.simulation._greed import FearedLoop

_WIDTH, _HEIGHT = 1064, 648
_PANEL: Final = (262.0, 190.0)
_LEFTS: Final = (66.0, 412.0, 758.0)
_TOPS: Final = (122.0, 396.0)
_TICKS: Final = 4

_STYLE: Final = """
  svg { font: 12.5px system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
  .back { fill: #ffffff; } text { fill: #1f2328; } .title { font-size: 17px; font-weight: 600; }
  .soft { fill: #59636e; } .grid { stroke: #d1d9e0; stroke-width: 1; } .strong { font-weight: 600; }
  .greedy, .careful { fill: none; stroke-width: 2; stroke-linejoin: round; }
  .greedy { stroke: #bc4c00; stroke-dasharray: 6 3; } .careful { stroke: #0969da; }
  @media (prefers-color-scheme: dark) {
    .back { fill: #0d1117; } text { fill: #e6edf3; } .soft { fill: #9da7b3; } .grid { stroke: #2f353d; }
    .greedy { stroke: #f0883e; } .careful { stroke: #58a6ff; }
  }
"""


@attrs.frozen
class _Panel:
    title: str
    greedy: F64
    careful: F64
    most: float | None = attrs.field(default=None, kw_only=True)  # the top of the axis, where it is known


def courses(found: FearedLoop, /) -> str:
    """Draw the feared loop as an SVG document that needs nothing else, in light and dark.

    Six panels, means over seeds: messages, clicks, trust of those who stayed, customers who stayed and may be
    written to, the value of each week, and what it has come to. The careful agent is drawn whole, the
    greedy one dashed.
    """
    weeks = {name: found.series(name) for name in ("messages", "clicks", "trust", "reachable", "value")}
    each = {name: tuple(one / found.customers for one in pair) for name, pair in weeks.items()}
    panels = [
        _Panel("messages per customer and week", *each["messages"]),
        _Panel("clicks per customer and week", *each["clicks"]),
        _Panel("trust of those who stayed", *weeks["trust"], most=1.0),
        _Panel("share who may be written to", *each["reachable"], most=1.0),
        _Panel("value per customer and week", *each["value"]),
        _Panel("value so far, per customer", *(np.cumsum(one) for one in each["value"])),
    ]
    size = f'viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-labelledby="loop-title loop-desc">',
        '<title id="loop-title">The feared loop: greedy for clicks, and careful</title>',
        f'<desc id="loop-desc">{html.escape(_told(panels))}</desc>',
        f"<style>{_STYLE}</style>",
        f'<rect class="back" width="{_WIDTH}" height="{_HEIGHT}"/>',
        '<text class="title" x="22" y="32">The feared loop</text>',
        f'<text class="soft" x="22" y="53">{html.escape(_subtitle(found))}</text>',
        '<line class="careful" x1="22" y1="76" x2="58" y2="76"/>',
        '<text x="66" y="80.5">careful: caps, rest, and goals for what people dislike</text>',
        '<line class="greedy" x1="412" y1="76" x2="448" y2="76"/>',
        '<text x="456" y="80.5">greedy: clicks are all that counts</text>',
    ]
    for place, panel in enumerate(panels):
        parts += _drawn(panel, _LEFTS[place % 3], _TOPS[place // 3])
    return "\n".join([*parts, "</svg>"]) + "\n"


def _subtitle(found: FearedLoop) -> str:
    return (
        f"{found.scenario.name}: the same policy learning twice on the same {found.customers:,} customers"
        f" with the same luck; means over {len(found.seeds)} seeds"
    )


def _told(panels: Sequence[_Panel]) -> str:
    """The picture in words."""
    return "; ".join(
        f"{panel.title}: careful {panel.careful[0]:.3g} at first and {panel.careful[-1]:.3g} at last, greedy"
        f" {panel.greedy[0]:.3g} and {panel.greedy[-1]:.3g}"
        for panel in panels
    )


def _drawn(panel: _Panel, left: float, top: float) -> list[str]:
    width, height = _PANEL
    low = min(0.0, float(panel.greedy.min()), float(panel.careful.min()))
    ticks = _ticks(low, panel.most or max(float(panel.greedy.max()), float(panel.careful.max()), low + 1e-9))
    low, high = min(low, ticks[0]), ticks[-1]
    bottom, weeks = top + height, len(panel.greedy)
    out = [f'<text class="strong" x="{left - 44}" y="{top - 12}">{html.escape(panel.title)}</text>']
    for tick in ticks:
        y = bottom - (tick - low) / (high - low) * height
        out += [
            f'<line class="grid" x1="{left}" y1="{y:.1f}" x2="{left + width}" y2="{y:.1f}"/>',
            f'<text class="soft" x="{left - 8}" y="{y + 4.5:.1f}" text-anchor="end">{tick:,.4g}</text>',
        ]
    for week in sorted({1, *range(_step(weeks), weeks + 1, _step(weeks))}):
        x = left + _along(week - 1, weeks) * width
        name = "week 1" if week == 1 else f"{week}"
        out.append(f'<text class="soft" x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{name}</text>')
    for name, values in (("greedy", panel.greedy), ("careful", panel.careful)):
        points = " ".join(
            f"{left + _along(week, weeks) * width:.1f},{bottom - (value - low) / (high - low) * height:.1f}"
            for week, value in enumerate(values.tolist())
        )
        out.append(f'<polyline class="{name}" points="{points}"/>')
    return out


def _along(week: int, weeks: int) -> float:
    return week / (weeks - 1) if weeks > 1 else 0.5


def _step(weeks: int) -> int:
    """Between weeks that are written below a panel."""
    return next(step for step in (1, 2, 5, 10, 20, 50, 100) if weeks <= 7 * step)


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers at even distances that hold both, at most six."""
    rough = (high - low) / _TICKS
    scale = 10.0 ** math.floor(math.log10(rough))
    step = next(scale * m for m in (1.0, 2.0, 2.5, 5.0, 10.0) if scale * m >= rough * (1.0 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [step * i for i in range(first, last + 1)]
