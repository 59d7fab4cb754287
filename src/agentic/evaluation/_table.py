"""How do policies compare, on the whole and by segment: a table for people, and its figures."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any, Final

import attrs

from agentic._drawing import printable
from agentic._offpolicy import UNSUPPORTED, Estimate

AS_LOGGED: Final = "as logged"
_NAME: Final = 28
_COLUMNS: Final = 110


@attrs.frozen
class Compared:
    """What one policy would have earned, on the whole or in one segment.

    Attributes:
        policy: Its name; of what was really done, ``"as logged"``.
        by: What the segment is of: a feature, ``"arm"`` or ``"policy_version"``; empty for the whole.
        segment: Which one; empty for the whole.
        estimate: Reward per decision.
        gain: By how much that is more than what the same decisions earned as they were logged.
        gain_low: Lower bound of the gain, at the level of the estimate; infinite without support.
        gain_high: Upper bound.

    .. versionadded:: 0.1
    """

    policy: str
    by: str
    segment: str
    estimate: Estimate
    gain: float
    gain_low: float
    gain_high: float

    @property
    def supported(self) -> bool:
        """Whether the log can say anything at all."""
        return math.isfinite(self.estimate.standard_error)


@attrs.frozen
class Comparison:
    """What policies would have earned per decision by one log, beside what was earned.

    ``str()`` is a table, ``comparison["name"]`` a policy's row for the whole log; iterating yields all rows.

    Attributes:
        agent: Whose log it is.
        level: Share of samples in which the bounds of each row are to hold, in (0, 1).
        rows: As logged, and each policy, on the whole and then in every segment.
        erased: Decisions left out because what was known of their subjects is erased.
        features: Decisions left out because features were declared otherwise then.

    .. versionadded:: 0.1
    """

    agent: str
    level: float
    rows: tuple[Compared, ...]
    erased: int = 0
    features: int = 0

    def __iter__(self) -> Iterator[Compared]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, policy: str, /) -> Compared:
        """The row of a policy for the whole log.

        Raises:
            KeyError: There is none.
        """
        for row in self.rows:
            if row.policy == policy and not row.by:
                return row
        raise KeyError(policy)

    @property
    def policies(self) -> tuple[str, ...]:
        """Names, as logged first."""
        return tuple(dict.fromkeys(row.policy for row in self.rows))

    def by(self, name: str, /) -> dict[str, dict[str, Compared]]:
        """The rows of one feature's segments, of ``"arm"`` or ``"policy_version"``, by segment and policy."""
        found: dict[str, dict[str, Compared]] = {}
        for row in self.rows:
            if row.by == name:
                found.setdefault(row.segment, {})[row.policy] = row
        return found

    @property
    def looks(self) -> int:
        """How many intervals are looked at in segments, as logged left out."""
        return sum(bool(row.by) and row.policy != AS_LOGGED for row in self.rows)

    def __str__(self) -> str:
        """Return a table of at most 110 columns, with the reasons to doubt its rows."""
        return "\n".join(_laid_out(self))

    @property
    def facts(self) -> dict[str, Any]:  # JSON
        """Everything in the table, as JSON has it: what is infinite or unknown is ``None``."""
        from agentic._codec import converter

        told = {
            "agent": self.agent,
            "level": self.level,
            "erased": self.erased,
            "features": self.features,
            "rows": [converter().unstructure(row) for row in self.rows],
        }
        return {name: _finite(value) for name, value in told.items()}


def _finite(value: Any) -> Any:  # JSON
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@attrs.frozen
class Figures:
    """Writes all figures of a comparison to the same place, which is as fine as what was earned is sure.

    Attributes:
        places: Digits after the point.
    """

    places: int

    @classmethod
    def of(cls, found: Comparison, /) -> Figures:
        """As fine as the first row that has an interval."""
        for row in found.rows:
            width = row.estimate.high - row.estimate.low
            if row.supported and 0.0 < width < math.inf:
                return cls(min(max(2 - math.floor(math.log10(width)), 0), 9))
        return cls(4)

    def one(self, value: float, sign: str = "-") -> str:
        """A figure; with the sign ``"+"``, also that of what is more than 0."""
        if abs(value) >= 1e9 or not math.isfinite(value):
            return f"{value:{sign}.4g}"
        return f"{round(value, self.places) + 0.0:{sign},.{self.places}f}"

    def between(self, low: float, high: float, sign: str = "-") -> str:
        """An interval."""
        return f"{self.one(low, sign)} to {self.one(high, sign)}"


def remarks(found: Comparison, weak: str, /) -> list[str]:
    """What has to be said below: of weak rows, of many looks, of what was left out.

    Args:
        found: The comparison.
        weak: How weak rows are told.
    """
    told = []
    if any(row.estimate.diagnostics.verdict == "weak" for row in found.rows):
        told.append(f"{weak}: read the reasons before using the interval")
    if found.looks > 1:
        missed, together = found.looks * (1.0 - found.level), 1.0 - (1.0 - found.level) / found.looks
        told.append(
            f"of {found.looks} intervals in segments some {missed:.2g} miss by chance alone: for all to hold"
            f" together, ask for level={together:.6g}"
        )
    for count, why in (
        (found.erased, "their subjects were erased"),
        (found.features, "features were declared otherwise"),
    ):
        if count:
            told.append(f"left out: {count:,} decisions, because {why}")
    return told


def _laid_out(found: Comparison) -> Iterator[str]:
    percent, figures = f"{100 * found.level:g} %", Figures.of(found)
    cells = [_cells(row, figures) for row in found.rows]
    heads = ("value", "interval", "gain", "interval", "rows worth")
    widths = [max(len(head), *(len(row[i]) for row in cells)) + 2 for i, head in enumerate(heads)]
    many = f"{found.rows[0].estimate.n:,} decisions"
    yield f"{printable(found.agent)}: reward per decision, {many}, {percent} intervals"
    group: tuple[str, str] | None = None
    for row, texts in zip(found.rows, cells, strict=True):
        if (row.by, row.segment) != group:
            group = row.by, row.segment
            yield ""
            if row.by:
                yield (
                    printable(f"{row.by}: {row.segment}"[: _COLUMNS - 24])
                    + f"  ({row.estimate.n:,} decisions)"
                )
            else:
                yield " " * _NAME + _line(heads, widths)
        weak = " ?" if row.estimate.diagnostics.verdict == "weak" else ""
        yield f"  {_cut(row.policy):<{_NAME - 2}}{_line(texts, widths)}{weak}"
    yield from _doubts(found)
    told = remarks(found, "? weak")
    if told:
        yield ""
    for text in told:
        yield from textwrap.wrap(text, _COLUMNS, initial_indent="  ", subsequent_indent="    ")


def _cells(row: Compared, figures: Figures) -> tuple[str, str, str, str, str]:
    found = row.estimate
    worth = f"{found.diagnostics.effective_rows:,.0f}"
    if not row.supported:
        return "", UNSUPPORTED, "", "", worth
    value, interval = figures.one(found.value), figures.between(found.low, found.high)
    if row.policy == AS_LOGGED:
        return value, interval, "", "", worth
    bounds = figures.between(row.gain_low, row.gain_high, "+")
    return value, interval, figures.one(row.gain, "+"), bounds, worth


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "".join(f"{cell:>{wide}}" for cell, wide in zip(cells, widths, strict=True))


def _cut(name: str) -> str:
    shown = printable(name)
    return shown if len(shown) <= _NAME - 3 else f"{shown[: _NAME - 6]}..."


def _doubts(found: Comparison) -> Iterator[str]:
    """The reasons of the rows for the whole log; those of segments are in their estimates."""
    told = [
        (row.policy, reason)
        for row in found.rows
        if not row.by
        for reason in row.estimate.diagnostics.reasons
    ]
    if told:
        yield ""
    for policy, reason in told:
        line = f"{_cut(policy)}: {printable(reason)}"
        yield from textwrap.wrap(line, _COLUMNS, initial_indent="  ", subsequent_indent="    ")
