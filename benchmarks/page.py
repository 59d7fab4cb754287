"""How do figures get onto the page on performance? As Markdown tables, between comments that name them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]
PAGE: Final = ROOT / "docs" / "performance.md"
PARTS: Final = ("full", "shards", "batch", "single", "threads", "learn", "growth", "profile", "limits")
MACHINE: Final = "machine"

Facts = Mapping[str, Any]  # JSON


def number(value: float | None) -> str:
    """Three digits that matter, thousands apart."""
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def machine(facts: Facts, repeat: int) -> str:
    """What the figures were measured on, in one sentence each."""
    peers = ", ".join(f"{peer} {found}" for peer, found in facts["peers"].items() if found) or "none"
    return (
        f"Measured on {facts['cpu']}, {facts['cores']} cores, {facts['system']}, Python {facts['python']},"
        f" numpy {facts['numpy']}, {facts['blas']} on one thread; medians of {repeat} runs by turns. The load"
        f" of the machine was {facts['load_1_min']} at the beginning. Peers: {peers}."
    )


def table(found: Facts) -> str:
    """The figures of one benchmark; its own table where it has made one."""
    if found.get("page"):
        return str(found["page"])
    lines = ["| | median | lowest to highest | unit | ratio | to |", "|---|---:|---:|---|---:|---|"]
    for figure in found["figures"]:
        what = figure["what"]
        what = f"&emsp;{what.strip()}" if what.startswith(" ") else what
        ratio = "" if figure["ratio"] is None else f"{figure['ratio']:.2f}"
        middle, ends = number(figure["median"]), f"{number(figure['low'])} to {number(figure['high'])}"
        lines.append(f"| {what} | {middle} | {ends} | {figure['unit']} | {ratio} | {figure['against']} |")
    return "\n".join(lines)


def sections(facts: Facts, everything: Mapping[str, Facts], repeat: int) -> dict[str, str]:
    """What stands between the comments, by name."""
    found = {MACHINE: machine(facts, repeat)}
    for name, one in everything.items():
        title = f"{one['title'][0].upper()}{one['title'][1:]}."
        notes = "\n".join(f"- {note}" for note in one["notes"])
        found[name] = f"{title}\n\n{table(one)}\n\n{notes}"
    return found


def markdown(found: Mapping[str, str]) -> str:
    """All sections with their comments, to be put in place by hand."""
    return "\n\n".join(f"{_begin(name)}\n\n{text}\n\n{_END}" for name, text in found.items())


def fill(page: str, found: Mapping[str, str]) -> str:
    """The page with these sections in place.

    Raises:
        LookupError: The page has no place for one.
    """
    for name, text in found.items():
        before, begin, rest = page.partition(f"{_begin(name)}\n")
        _, end, after = rest.partition(_END)
        if not end:
            raise LookupError(f"the page has no place for {name!r}: put {_begin(name)} and {_END} there")
        page = f"{before}{begin}\n{text}\n\n{end}{after}"
    return page


_END: Final = "<!-- end of figures -->"


def _begin(name: str) -> str:
    return f"<!-- figures: {name} -->"
