"""What does a Qini curve look like: an SVG of gain against the share of subjects that is treated."""

from __future__ import annotations

import html
import math
from typing import Final

import numpy as np

from agentic.experiments._qini import Qini

_WIDTH, _HEIGHT = 720, 480
_LEFT, _RIGHT, _TOP, _BOTTOM = 84.0, 690.0, 84.0, 404.0
_STYLE: Final = """
  svg { font: 12.5px system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
  .back { fill: #ffffff; } text { fill: #1f2328; } .title { font-size: 17px; font-weight: 600; }
  .soft { fill: #59636e; } .grid { stroke: #d1d9e0; stroke-width: 1; }
  .chance { stroke: #59636e; stroke-width: 1.5; stroke-dasharray: 5 4; }
  .band { fill: #0969da; fill-opacity: 0.13; } .edge { fill: none; stroke: #0969da; stroke-width: 2; }
  .name { paint-order: stroke; stroke: #ffffff; stroke-width: 3px; stroke-linejoin: round; }
  @media (prefers-color-scheme: dark) {
    .back { fill: #0d1117; } text { fill: #e6edf3; } .soft { fill: #9da7b3; } .grid { stroke: #2f353d; }
    .chance { stroke: #9da7b3; } .band { fill: #58a6ff; } .edge { stroke: #58a6ff; }
    .name { stroke: #0d1117; }
  }
"""


def qini_plot(found: Qini, /, *, title: str = "Who is worth treating: the Qini curve") -> str:
    """Draw the curve as an SVG document that needs nothing else, in light and dark.

    The line is the gain per subject of treating those with the highest score, with a band of the pointwise
    bounds; the broken line is treating as many at random.
    """
    z = (
        (found.high - found.coefficient) / found.standard_error
        if math.isfinite(found.standard_error)
        else 0.0
    )
    above, below = found.gain + z * found.error, found.gain - z * found.error
    low, high = min(0.0, float(below.min())), max(0.0, float(above.max()))
    span = (high - low) or 1.0
    low, high = low - 0.04 * span, high + 0.06 * span

    def x(share: float) -> float:
        return _LEFT + share * (_RIGHT - _LEFT)

    def y(gain: float) -> float:
        return _BOTTOM - (gain - low) / (high - low) * (_BOTTOM - _TOP)

    def line(gain: np.ndarray) -> list[str]:
        return [f"{x(s):.1f},{y(g):.1f}" for s, g in zip(found.share.tolist(), gain.tolist(), strict=True)]

    size = f'viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}"'
    end = float(found.gain[-1])
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-labelledby="qini-title qini-desc">',
        f'<title id="qini-title">{html.escape(title)}</title>',
        f'<desc id="qini-desc">{html.escape(str(found))}</desc>',
        f"<style>{_STYLE}</style>",
        f'<rect class="back" width="{_WIDTH}" height="{_HEIGHT}"/>',
        f'<text class="title" x="22" y="32">{html.escape(title)}</text>',
        f'<text class="soft" x="22" y="53">{html.escape(_subtitle(found))}</text>',
    ]
    for tick in _ticks(low, high):
        parts += [
            f'<line class="grid" x1="{_LEFT}" y1="{y(tick):.1f}" x2="{_RIGHT}" y2="{y(tick):.1f}"/>',
            f'<text class="soft" x="{_LEFT - 8}" y="{y(tick) + 4.5:.1f}" text-anchor="end">{tick:.4g}</text>',
        ]
    for percent in range(0, 101, 20):
        at = x(percent / 100)
        parts += [
            f'<line class="grid" x1="{at:.1f}" y1="{_TOP}" x2="{at:.1f}" y2="{_BOTTOM}"/>',
            f'<text class="soft" x="{at:.1f}" y="{_BOTTOM + 18}" text-anchor="middle">{percent} %</text>',
        ]
    axis = "share of subjects treated, highest score first"
    foot = f"Band: {100 * found.level:g} % interval of each point by itself."
    band = " ".join([*line(above), *reversed(line(below))])
    parts += [
        f'<text class="soft" x="{_LEFT}" y="{_TOP - 10}">gain per subject, of all</text>',
        f'<text x="{(_LEFT + _RIGHT) / 2}" y="{_BOTTOM + 42}" text-anchor="middle">{axis}</text>',
        f'<polygon class="band" points="{band}"/>',
        f'<line class="chance" x1="{x(0):.1f}" y1="{y(0):.1f}" x2="{x(1):.1f}" y2="{y(end):.1f}"/>',
        f'<polyline class="edge" points="{" ".join(line(found.gain))}"/>',
        f'<text class="name soft" x="{x(0.6):.1f}" y="{y(0.6 * end) + 18:.1f}">at random</text>',
        f'<text class="soft" x="22" y="{_HEIGHT - 12}">{foot}</text>',
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _subtitle(found: Qini) -> str:
    return (
        f"coefficient {found.coefficient:.4g} ({100 * found.level:g} % interval {found.low:.4g} to"
        f" {found.high:.4g}), {found.verdict}; {found.n:,} subjects"
    )


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers at even distances, at most seven."""
    rough = (high - low) / 6.0
    scale = 10.0 ** math.floor(math.log10(rough))
    step = next(scale * m for m in (1.0, 2.0, 2.5, 5.0, 10.0) if scale * m >= rough * (1.0 - 1e-9))
    return [step * i for i in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]
