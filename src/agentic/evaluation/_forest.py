"""What does a comparison of policies look like: a forest plot, as one drawing or as a page for any screen."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

import attrs

from agentic._drawing import even_ticks, number, words
from agentic._offpolicy import UNSUPPORTED
from agentic.evaluation._table import AS_LOGGED, Compared, Comparison, Figures, remarks

_LEFT, _RIGHT = 232.0, 592.0
_WIDE: Final = 7.4  # of a letter, on the safe side
_TOP: Final = 84
_ROW: Final = 26
_GAP: Final = 12
_LONGEST: Final = 30
_REACH: Final = 2.0  # of what values span: how far the axis goes for the sake of wide intervals

_COLOURS: Final = """
  :root { color-scheme: light dark; --back: #ffffff; --text: #1f2328; --soft: #59636e; --grid: #d1d9e0;
    --mark: #0969da; --other: #59636e; }
  @media (prefers-color-scheme: dark) { :root { --back: #0d1117; --text: #e6edf3; --soft: #9da7b3;
    --grid: #2f353d; --mark: #58a6ff; --other: #9da7b3; } }
"""
_FONT: Final = 'system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif'
_DRAWN: Final = f"""
  svg {{ font: 13px {_FONT}; }}
  .back {{ fill: var(--back); }} text {{ fill: var(--text); }} .title {{ font-size: 17px; font-weight: 600; }}
  .soft {{ fill: var(--soft); }} .grid {{ stroke: var(--grid); }} .strong {{ font-weight: 600; }}
  .zero {{ stroke: var(--other); stroke-dasharray: 3 4; }} .figure {{ font-variant-numeric: tabular-nums; }}
  .bar {{ stroke: var(--mark); stroke-width: 2; }} .dot {{ fill: var(--mark); stroke: var(--mark); }}
  .end {{ fill: var(--mark); }} .weak {{ fill: var(--back); stroke-width: 2; }}
  .own .bar {{ stroke: var(--other); }} .own .dot {{ fill: var(--other); stroke: var(--other); }}
  .own .weak {{ fill: var(--back); }}
"""
_LAID: Final = f"""
  * {{ box-sizing: border-box; }}
  body {{ margin: 0; background: var(--back); color: var(--text); font: 15px/1.45 {_FONT}; }}
  main {{ max-width: 70rem; margin: 0 auto; padding: 1.5rem 1rem 3rem; }}
  h1 {{ font-size: 1.3rem; margin: 0 0 .2rem; overflow-wrap: anywhere; }} p {{ margin: .3rem 0; }}
  .soft, caption {{ color: var(--soft); }} caption {{ text-align: left; padding: .4rem 0; }}
  table {{ border-collapse: collapse; width: 100%; margin-top: 1rem; }}
  th, td {{ padding: .3rem .6rem .3rem 0; text-align: left; font-weight: 400; vertical-align: middle; }}
  thead th {{ color: var(--soft); border-bottom: 1px solid var(--grid); white-space: nowrap; }}
  tbody th {{ overflow-wrap: anywhere; min-width: 9rem; max-width: 16rem; }}
  .group th {{ padding-top: 1.1rem; font-weight: 600; max-width: none; }}
  .figure {{ font-variant-numeric: tabular-nums; white-space: nowrap; }}
  .plot {{ width: 38%; min-width: 11rem; padding-right: 1.4rem; }}
  .lane {{ position: relative; height: 1.5rem; }} .axis {{ height: 1.3rem; color: var(--soft); }}
  .axis span {{ position: absolute; transform: translateX(-50%); font-size: .8rem; white-space: nowrap; }}
  .lane i {{ position: absolute; top: 0; bottom: 0; width: 0; border-left: 1px dashed var(--other); }}
  .lane b {{ position: absolute; top: calc(50% - 1px); height: 2px; background: var(--mark); }}
  .lane u {{ position: absolute; top: calc(50% - 5px); width: 10px; height: 10px; margin-left: -5px;
    border-radius: 50%; border: 2px solid var(--mark); background: var(--mark); }}
  .own b {{ background: var(--other); }} .own u {{ background: var(--other); border-color: var(--other); }}
  tr.weak u {{ background: var(--back); }}
  .lane s {{ position: absolute; top: calc(50% - 5px); border: 5px solid transparent; }}
  .lane .less {{ left: -3px; border-right-color: var(--mark); border-left: 0; }}
  .lane .more {{ right: -3px; border-left-color: var(--mark); border-right: 0; }}
  ul {{ padding-left: 1.2rem; }} li {{ margin: .2rem 0; }}
  @media (max-width: 62rem) {{
    table, tbody, tr, th, td {{ display: block; width: auto; min-width: 0; max-width: none; }}
    thead {{ display: block; }} thead th {{ display: none; border: 0; }} thead .plot {{ display: block; }}
    tbody tr {{ padding: .45rem 0; border-bottom: 1px solid var(--grid); }} th, td {{ padding: .1rem 0; }}
    .plot {{ width: auto; min-width: 0; padding: 0 .8rem; }} .group {{ border: 0; padding-bottom: 0; }}
    td.figure, td.verdict {{ display: inline-block; padding-right: 1rem; }}
    td.figure::before {{ content: attr(data-name) " "; color: var(--soft); }} td:empty {{ display: none; }}
  }}
"""


@attrs.frozen
class _Axis:
    """Where values stand, as shares of the width: 0 to 1."""

    low: float
    high: float

    @classmethod
    def over(cls, found: Comparison) -> _Axis:
        """An axis for all values; of wide intervals, so much that what is narrow can still be seen."""
        shown = [row for row in found.rows if _drawable(row)]
        if not shown:
            return cls(0.0, 1.0)
        logged = [row.estimate for row in shown if row.policy == AS_LOGGED]
        values = [row.estimate.value for row in shown]
        core = [*values, *(each.low for each in logged), *(each.high for each in logged)]
        span = max(core) - min(core)
        least, most = min(row.estimate.low for row in shown), max(row.estimate.high for row in shown)
        if span > 0.0:
            least, most = max(least, min(core) - _REACH * span), min(most, max(core) + _REACH * span)
        pad = 0.04 * (most - least) or 0.5 * abs(most) or 0.5
        return cls(least - pad, most + pad)

    def place(self, value: float) -> float:
        return min(max((value - self.low) / (self.high - self.low), 0.0), 1.0)

    def ticks(self, most: int) -> list[float]:
        found = even_ticks(self.low, self.high)
        return found[:: math.ceil(len(found) / most)]


def _drawable(row: Compared) -> bool:
    found = row.estimate
    return row.supported and all(map(math.isfinite, (found.value, found.low, found.high)))


def _kind(row: Compared) -> str:
    """Class names: they change the look of what is also said in words."""
    own = ["own"] if row.policy == AS_LOGGED else []
    return " ".join([*own, *(["weak"] if row.estimate.diagnostics.verdict == "weak" else [])])


def _logged(found: Comparison) -> float | None:
    """What was earned on the whole, for the upright line."""
    first = found.rows[0]
    return first.estimate.value if first.policy == AS_LOGGED and _drawable(first) else None


def _figures(row: Compared, figures: Figures) -> tuple[str, str]:
    """Value and gain, each with its interval."""
    found = row.estimate
    if not _drawable(row):
        return UNSUPPORTED, ""
    value = f"{figures.one(found.value)} ({figures.between(found.low, found.high)})"
    if row.policy == AS_LOGGED:
        return value, ""
    return value, f"{figures.one(row.gain, '+')} ({figures.between(row.gain_low, row.gain_high, '+')})"


def _title(found: Comparison) -> str:
    return f"{found.agent}: what policies would have earned"


def _subtitle(found: Comparison) -> str:
    return (
        f"Reward per decision with {100.0 * found.level:g} % intervals, by {found.rows[0].estimate.n:,}"
        " logged decisions"
    )


def _groups(found: Comparison) -> Iterator[tuple[str, list[Compared]]]:
    """The rows of the whole log, then those of each segment, under their titles."""
    rows: dict[tuple[str, str], list[Compared]] = {}
    for row in found.rows:
        rows.setdefault((row.by, row.segment), []).append(row)
    for (by, segment), group in rows.items():
        many = f" ({group[0].estimate.n:,} decisions)"
        yield (f"{by}: {segment}{many}" if by else "", group)


def _told(found: Comparison) -> str:
    """The drawing in words."""
    said, figures = [], Figures.of(found)
    for row in found.rows:
        where = f" where {row.by} is {row.segment}" if row.by else ""
        said.append(f"{row.policy}{where}: {_figures(row, figures)[0]}")
    return "; ".join(said)


def forest(found: Comparison, /) -> str:
    """Draw a comparison as an SVG document that needs nothing else, in light and dark.

    Every row is a point with its interval; the dashed line is what was earned. Hollow points are weak, and
    what the log cannot support is said in words and not drawn. An arrow ends what goes on beyond the axis.

    .. versionadded:: 0.1
    """
    axis, y, parts = _Axis.over(found), float(_TOP), list[str]()
    figures = [_figures(row, Figures.of(found)) for row in found.rows]
    gains = _RIGHT + 48 + _WIDE * max(len(value) for value, _ in figures)
    width = math.ceil(max(gains + 20 + _WIDE * max(4, *(len(gain) for _, gain in figures)), 800))
    texts = iter(figures)
    for title, rows in _groups(found):
        if title:
            y += _GAP
            parts.append(f'<text class="strong" x="20" y="{y + 17:.0f}">{words(_cut(title, 60))}</text>')
            y += _ROW
        for row in rows:
            parts += _drawn(row, axis, y, next(texts), gains)
            y += _ROW
    notes = remarks(found, "hollow points are weak")
    height = y + 46 + 20 * len(notes)
    lines = [
        f'<text class="soft" x="20" y="{y + 46 + 20 * i:.0f}">{words(note)}</text>'
        for i, note in enumerate(notes)
    ]
    size = f'viewBox="0 0 {width} {height:.0f}" width="{width}" height="{height:.0f}"'
    named = 'role="img" aria-labelledby="forest-title forest-desc"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} {named}>',
            f'<title id="forest-title">{words(_title(found))}</title>',
            f'<desc id="forest-desc">{words(_told(found))}</desc>',
            f"<style>{_COLOURS}{_DRAWN}</style>",
            f'<rect class="back" width="{width}" height="{height:.0f}"/>',
            f'<text class="title" x="20" y="32">{words(_cut(_title(found), 90))}</text>',
            f'<text class="soft" x="20" y="53">{words(_subtitle(found))}</text>',
            f'<text class="soft" x="{_RIGHT + 24}" y="{_TOP - 8}">value</text>',
            f'<text class="soft" x="{gains:.0f}" y="{_TOP - 8}">gain</text>',
            *_ruled(found, axis, y),
            *parts,
            *lines,
            "</svg>\n",
        ]
    )


def _at(axis: _Axis, value: float) -> float:
    return _LEFT + axis.place(value) * (_RIGHT - _LEFT)


def _ruled(found: Comparison, axis: _Axis, bottom: float) -> Iterator[str]:
    for tick in axis.ticks(6):
        x = _at(axis, tick)
        yield f'<line class="grid" x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{bottom:.0f}"/>'
        place = f'x="{x:.1f}" y="{bottom + 18:.0f}" text-anchor="middle"'
        yield f'<text class="soft" {place}>{number(tick)}</text>'
    earned = _logged(found)
    if earned is not None:
        x = _at(axis, earned)
        yield f'<line class="zero" x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{bottom:.0f}"/>'


def _drawn(row: Compared, axis: _Axis, y: float, figures: tuple[str, str], gains: float) -> Iterator[str]:
    middle, text = y + _ROW / 2, y + _ROW / 2 + 4.5
    value, gain = figures
    yield f'<g class="{_kind(row)}"><title>{words(f"{row.policy}: {value}")}</title>'
    yield f'<text x="20" y="{text:.1f}">{words(_cut(row.policy, _LONGEST))}</text>'
    if _drawable(row):
        found = row.estimate
        x, low, high = (_at(axis, each) for each in (found.value, found.low, found.high))
        yield f'<line class="bar" x1="{low:.1f}" y1="{middle:.1f}" x2="{high:.1f}" y2="{middle:.1f}"/>'
        for beyond, end, way in ((found.low < axis.low, _LEFT, 1), (found.high > axis.high, _RIGHT, -1)):
            if beyond:
                back = end + 8 * way
                tip = f"{end:.0f},{middle:.1f} {back:.0f},{middle - 5:.1f} {back:.0f},{middle + 5:.1f}"
                yield f'<polygon class="end" points="{tip}"/>'
        weak = " weak" if row.estimate.diagnostics.verdict == "weak" else ""
        yield f'<circle class="dot{weak}" cx="{x:.1f}" cy="{middle:.1f}" r="5"/>'
    soft = "" if _drawable(row) else " soft"
    yield f'<text class="figure{soft}" x="{_RIGHT + 24}" y="{text:.1f}">{words(value)}</text>'
    yield f'<text class="figure" x="{gains:.0f}" y="{text:.1f}">{words(gain)}</text></g>'


def _cut(name: str, most: int) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"


def forest_page(found: Comparison, /) -> str:
    """Lay a comparison out as one HTML document without scripts or anything from elsewhere.

    It is a table for who cannot see the drawing, fits a telephone, follows light and dark, and lists the
    reasons to doubt each row.

    .. versionadded:: 0.1
    """
    axis, figures = _Axis.over(found), Figures.of(found)
    body: list[str] = []
    for title, rows in _groups(found):
        if title:
            body.append(f'<tr class="group"><th colspan="5" scope="rowgroup">{words(title)}</th></tr>')
        body += [_laid(row, found, axis, figures) for row in rows]
    reasons = [
        f"<li>{words(_whose(row))}: {words(reason)}</li>"
        for row in found.rows
        for reason in row.estimate.diagnostics.reasons
    ]
    notes = remarks(found, "hollow points are weak")
    doubts = ["<h2>Reasons to doubt</h2>", "<ul>", *reasons, "</ul>"] if reasons else []
    ticks = "".join(
        f'<span style="left:{100 * axis.place(tick):.2f}%">{number(tick)}</span>' for tick in axis.ticks(4)
    )
    heads = ["policy", "value", "gain over as logged", "verdict"]
    cells = [f'<th scope="col">{head}</th>' for head in heads]
    plot = f'<th class="plot" scope="col" aria-label="drawing"><div class="lane axis">{ticks}</div></th>'
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{words(_title(found))}</title>",
            f"<style>{_COLOURS}{_LAID}</style></head><body><main>",
            f"<h1>{words(_title(found))}</h1>",
            f'<p class="soft">{words(_subtitle(found))}; the dashed line is what was earned.</p>',
            f"<table><thead><tr>{cells[0]}{plot}{''.join(cells[1:])}</tr></thead><tbody>",
            *body,
            "</tbody></table>",
            *(f'<p class="soft">{words(note)}</p>' for note in notes),
            *doubts,
            "</main></body></html>\n",
        ]
    )


def _whose(row: Compared) -> str:
    return f"{row.policy}, {row.by}: {row.segment}" if row.by else row.policy


def _laid(row: Compared, found: Comparison, axis: _Axis, figures: Figures) -> str:
    earned, lane = _logged(found), []
    if earned is not None:
        lane.append(f'<i style="left:{100 * axis.place(earned):.2f}%"></i>')
    value, gain = _figures(row, figures)
    if _drawable(row):
        each = row.estimate
        low, high = 100 * axis.place(each.low), 100 * axis.place(each.high)
        lane.append(f'<b style="left:{low:.2f}%;width:{high - low:.2f}%"></b>')
        lane += ['<s class="less"></s>'] if each.low < axis.low else []
        lane += ['<s class="more"></s>'] if each.high > axis.high else []
        lane.append(f'<u style="left:{100 * axis.place(each.value):.2f}%"></u>')
    verdict = "" if row.policy == AS_LOGGED or not _drawable(row) else row.estimate.diagnostics.verdict
    return (
        f'<tr class="{_kind(row)}"><th scope="row">{words(row.policy)}</th>'
        f'<td class="plot" aria-hidden="true"><div class="lane">{"".join(lane)}</div></td>'
        f'<td class="figure" data-name="value">{words(value)}</td>'
        f'<td class="figure" data-name="gain">{words(gain)}</td>'
        f'<td class="verdict">{verdict}</td></tr>'
    )
