"""How is a frontier laid out for reading: plain text, a table and what follows from it."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import Final

from agentic.economics._claims import FRACTION, Claim
from agentic.economics._frontier import Frontier
from agentic.economics._rows import KINDS, Kind, Mean, Row
from agentic.economics._steps import Step

_COLUMNS: Final = 110
_NAME: Final = 18
_WIDTHS: Final = (11, 6, 9, 9, 9, 9, 9, 10, 8, 8)
_HEAD: Final = {
    "": ("share of", "", "", "cost of", "cost of", "", "us a", "multiply-", "policy", "bytes a"),
    "policy": (
        "attainable",
        "+-",
        "benefit",
        "messages",
        "compute",
        "net",
        "decision",
        "adds",
        "KiB",
        "subject",
    ),
}
_STEP: Final = 36
_STEPS: Final = (9, 19, 10, 13, 18)
_WHOLES: Final = {"attainable": "the attainable", "best": "the best policy's benefit"}
_BY: Final = {"compute": "by compute", "messages": "by messages", "total": "by all costs"}


def report(found: Frontier, /) -> str:
    """Lay the frontier out for reading, as plain text of at most 110 columns."""
    return "\n".join(
        [
            *_head(found),
            *_table(found),
            *_told_steps(found, "total", "Steps up the frontier, all costs"),
            *_told_steps(found, "compute", "Steps up the frontier of compute alone"),
            *_told_claims(found),
            *_told_flips(found),
        ]
    )


def _head(found: Frontier) -> list[str]:
    seeds = len(found.seeds)
    text = (
        f"{len(found.rows)} {'policy' if len(found.rows) == 1 else 'policies'},"
        f" {found.decisions // seeds:,} decisions of each on {seeds} {'seed' if seeds == 1 else 'seeds'};"
        f" a core hour costs {found.prices.core_hour:,g}, messages {found.prices.message:g} times what the"
        " catalogue says. Amounts are per thousand decisions; +- is one standard error over seeds."
        " us, and costs of compute, are measured: they differ from run to run."
    )
    return textwrap.wrap(text, _COLUMNS)


def _table(found: Frontier) -> list[str]:
    total = {row.name for row in found.efficient("total")}
    frugal = {row.name for row in found.efficient("compute")}
    lines = [""]
    lines += [f"   {name:<{_NAME}}{_cells(words, _WIDTHS)}" for name, words in _HEAD.items()]
    for row in (found.nothing, *found.rows, found.oracle):
        marks = ("*" if row.name in total else " ") + ("o" if row.name in frugal else " ")
        lines.append(f"{marks} {_line(row)}")
    return [*lines, "  * on the frontier of all costs, o on that of compute alone"]


def _line(row: Row) -> str:
    name = _short(row.name, _NAME)
    work = "-" if row.work is None else f"{row.work:,.0f}"
    cells = (
        _share(row.share.value),
        f"{100.0 * row.share.error:.1f}" if math.isfinite(row.share.error) else "-",
        _money(row.benefit.value),
        _money(row.message_cost),
        _small(row.compute_cost),
        _money(row.net),
        f"{row.compute_us:,.1f}",
        work,
        f"{row.policy_bytes / 1024:,.1f}",
        f"{row.subject_bytes:,}",
    )
    return f"{name:<{_NAME}}{_cells(cells, _WIDTHS)}"


def _cells(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))


def _told_steps(found: Frontier, kind: Kind, title: str) -> list[str]:
    steps = found.steps(kind)
    lines = ["", title]
    if not steps:
        return [*lines, "  no policy brings more than doing nothing"]
    head = ("benefit", "95 % interval", "cost", "a unit costs", "pays to core hour")
    lines.append(f"  {'':<{_STEP}}{_cells(head, _STEPS)}")
    for step in steps:
        name = f"{_ascii(step.below)} -> {_ascii(step.above)}"
        if len(name) > _STEP:
            name = f"{_short(step.below, _STEP // 2 - 2)} -> {_short(step.above, _STEP // 2 - 2)}"
        cells = (
            _money(step.benefit.value, sign=True),
            _interval(step.benefit),
            _small(step.cost, sign=True),
            _small(step.price),
            _limit(step),
        )
        lines.append(f"  {name:<{_STEP}}{_cells(cells, _STEPS)}{'' if step.certain else '  ?'}")
    if not all(step.certain for step in steps):
        lines.append("  ? the benefit may be noise")
    return lines


def _interval(mean: Mean) -> str:
    return f"{_money(mean.low)} to {_money(mean.high)}" if math.isfinite(mean.error) else "-"


def _limit(step: Step) -> str:
    if step.core_hour_limit == 0.0:
        return "never"
    return "any" if math.isinf(step.core_hour_limit) else _large(step.core_hour_limit)


def _told_claims(found: Frontier) -> list[str]:
    lines = ["", f"Is most of the benefit to be had at {FRACTION:.0%} of the dearest policy's cost, or less?"]
    answers: dict[tuple[str, str], list[str]] = {}  # costs with the same answer are told in one breath
    for claim in found.claims():
        asked = f"{claim.goal:.0%} of {_WHOLES[claim.whole]}"
        answers.setdefault((asked, _verdict(claim)), []).append(_BY[claim.kind])
    for (asked, verdict), kinds in answers.items():
        costs = "by every cost" if len(kinds) == len(KINDS) else " and ".join(kinds)
        lines += _wrapped(f"{asked}, {costs}: {verdict}", 2)
    return lines


def _verdict(claim: Claim) -> str:
    has = _share(claim.share.value)
    if math.isfinite(claim.share.error):
        has += f" ({_share(claim.share.low)} to {_share(claim.share.high)})"
    if claim.reached_by is None:
        return f"{claim.verdict}. Nobody gets there, {_ascii(claim.nearest)} comes nearest with {has}"
    cost = "where nothing costs anything"
    if math.isfinite(claim.fraction):
        cost = f"at {_share(claim.fraction)} of the cost of {_ascii(claim.dearest)}"
        if claim.kind == "compute" and claim.nearest != claim.dearest and math.isfinite(claim.beyond):
            cost += f", {_share(claim.beyond)} of what that costs beyond doing nothing"
    return f"{claim.verdict}. The cheapest to get there is {_ascii(claim.nearest)}, {has}, {cost}"


def _told_flips(found: Frontier) -> list[str]:
    lines = ["", "What would change the verdicts by all costs"]
    flips = found.flips()
    for flip in flips:
        side = "above" if flip.core_hour > found.prices.core_hour else "below"
        other = "below" if side == "above" else "above"
        lines += _wrapped(
            f"{flip.goal:.0%} of {_WHOLES[flip.whole]}: {flip.verdict} with a core hour {side}"
            f" {_large(flip.core_hour)}, or messages {other} {flip.message:.2g} times their prices",
            2,
        )
    return lines if flips else [*lines, "  no price of computing or of messages does"]


def _money(value: float, *, sign: bool = False) -> str:
    return f"{value:+,.2f}" if sign else f"{value:,.2f}"


def _small(value: float, *, sign: bool = False) -> str:
    """Money that may be a millionth."""
    text = f"{value:,.2f}" if abs(value) >= 0.01 or value == 0.0 else f"{value:.1e}"
    return f"+{text}" if sign and value >= 0 else text


def _large(value: float) -> str:
    return f"{value:,.2f}" if value < 1e3 else f"{value:,.0f}" if value < 1e7 else f"{value:.1e}"


def _share(value: float) -> str:
    return f"{100.0 * value:.0f}%" if math.isfinite(value) else "-"


def _short(name: str, most: int) -> str:
    told = _ascii(name)
    return told if len(told) <= most else f"{told[: most - 1]}~"


def _ascii(name: str) -> str:
    """A name as any terminal can show it."""
    return name.encode("ascii", "backslashreplace").decode()


def _wrapped(text: str, indent: int) -> list[str]:
    begin = " " * indent
    return textwrap.wrap(text, _COLUMNS, initial_indent=begin, subsequent_indent=f"{begin}  ")
