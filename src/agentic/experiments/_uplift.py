"""For whom does it pay: the difference in every segment, corrected for how many were looked at."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any, Final

import attrs
import numpy as np
import numpy.typing as npt

from agentic._offpolicy import reject
from agentic._statistics import chi_square_tail
from agentic.arrays import F64, I64
from agentic.conditions import Coded, Column
from agentic.experiments._difference import HIGHER, LOWER, UNPROVEN, Difference
from agentic.experiments._increment import UNREADABLE, plain, told
from agentic.experiments._means import difference
from agentic.experiments._multiple import holm
from agentic.experiments._samples import SampleRatio
from agentic.experiments._worth import Contrast

_QUARTERS: Final = (0.25, 0.5, 0.75)
_MOST: Final = 100


@attrs.frozen
class UpliftSegment:
    """Says what treatment adds in one segment, in money per subject.

    Attributes:
        value: What its subjects have in common: a category, a span of numbers, or ``"missing"``.
        share: Of all subjects, 0 to 1.
        treated: How many of them were treated.
        control: How many were not.
        difference: Net reward per subject; ``None`` where a group has fewer than two.
        p_value: Corrected for all segments; 1 where there is no difference to judge.
        verdict: By the corrected p-value.
    """

    value: str
    share: float
    treated: int
    control: int
    difference: Difference | None
    p_value: float
    verdict: str

    def __str__(self) -> str:
        found = "too few" if self.difference is None else told(self.difference)
        return f"{self.value} ({self.share:.1%}): {found}; corrected p = {self.p_value:.3g}: {self.verdict}"


@attrs.frozen
class Uplift:
    """Says what treatment adds in every segment of a feature. ``str`` of it is a table.

    Attributes:
        feature: By which subjects are parted, as it was when each was first decided for.
        check: Whether the groups are as large as planned.
        whole: The difference of all subjects.
        segments: In the order of the feature's values.
        p_alike: How often segments that gain the same would differ by as much; small where they differ.
    """

    feature: str
    check: SampleRatio
    whole: Difference
    segments: tuple[UpliftSegment, ...]
    p_alike: float

    def __str__(self) -> str:
        head = f"uplift by {self.feature}: segments alike p = {self.p_alike:.3g}"
        if self.check.mismatch:
            head += f"; {UNREADABLE}: {self.check}"
        return "\n".join([head, f"  all: {told(self.whole)}", *(f"  {one}" for one in self.segments)])

    @property
    def facts(self) -> dict[str, Any]:  # JSON-compatible
        """The same as JSON-compatible values; what is not finite is ``None``."""
        out: dict[str, Any] = plain(attrs.asdict(self))
        return out


def uplift(
    contrast: Contrast,
    by: str,
    /,
    *,
    edges: npt.ArrayLike | None = None,
    value: float = 1.0,
    correct: Callable[[npt.ArrayLike], F64] = holm,
    level: float = 0.95,
) -> Uplift:
    """Measure what treatment adds, net of messages, in every segment of a feature.

    A subject is in the segment of its first decision, which nothing that was decided can have moved.

    Args:
        contrast: Of ``by_arm`` or ``by_side``.
        by: Name of a feature that rules see.
        edges: Of a number: where segments begin and end, ascending; by default it is cut in quarters.
        value: Money for one unit of reward.
        correct: For how many segments there are: ``holm``, or ``benjamini_hochberg``.
        level: Share of samples in which the bounds of one segment are to hold, in (0, 1).

    Raises:
        EvaluationError: There is no such feature, the edges do not ascend, or a value is out of range.

    Source: Cochran 1954, The combination of estimates from different experiments: do segments differ?
    """
    _, columns = contrast.seen_first()
    if by not in columns:
        reject("by", None, by, f"one of {sorted(columns)!r}", "name a feature of the agent")
    codes, names = _parted(columns[by], edges)
    groups = contrast.treated, contrast.plain
    net = np.concatenate([value * one.reward - one.cost for one in groups])
    treated = np.repeat([True, False], [len(one.key) for one in groups])
    found: list[tuple[str, int, int, Difference | None]] = []
    for code, name in enumerate(names):
        here = codes == code
        sides = net[here & treated], net[here & ~treated]
        if not any(map(len, sides)):
            continue
        enough = min(map(len, sides)) >= 2
        found.append(
            (name, len(sides[0]), len(sides[1]), difference(*sides, level=level) if enough else None)
        )
    corrected = correct([1.0 if one is None else one.p_value for *_, one in found]).tolist()
    alpha, n = 1.0 - level, len(net)
    segments = [
        UpliftSegment(name, (many + few) / n, many, few, one, p, _verdict(one, p, alpha))
        for (name, many, few, one), p in zip(found, corrected, strict=True)
    ]
    return Uplift(
        by,
        contrast.check,
        difference(net[treated], net[~treated], level=level),
        tuple(segments),
        _alike([one for *_, one in found if one is not None]),
    )


def _verdict(found: Difference | None, p_value: float, alpha: float) -> str:
    if found is None or p_value >= alpha:
        return UNPROVEN
    return HIGHER if found.value > 0.0 else LOWER


def _alike(found: list[Difference]) -> float:
    """Cochran's Q: weighted squares of what segments differ from their common difference."""
    parts = [one for one in found if math.isfinite(one.standard_error)]
    if len(parts) < 2:
        return 1.0
    values = np.array([one.value for one in parts])
    weights = np.array([one.standard_error**-2 for one in parts])
    common = float(weights @ values / weights.sum())
    return chi_square_tail(float(weights @ (values - common) ** 2), len(parts) - 1)


def _parted(column: Column, edges: npt.ArrayLike | None) -> tuple[I64, list[str]]:
    """Which segment each subject is in, and what the segments are called."""
    if isinstance(column, Coded):
        if edges is not None:
            reject("edges", None, "given", "none for a category", "leave them out")
        codes = np.nan_to_num(np.asarray(column.codes, dtype=np.float64), nan=-2.0).astype(np.int64)
        names = [str(one) for one in column.categories]
        names = [*names[:_MOST], *(["further values"] if len(names) > _MOST else [])]
        known = np.minimum(codes, len(names) - 1)
        return np.where(codes == -1, len(names), np.where(codes < -1, len(names) + 1, known)), [
            *names,
            "another value",
            "missing",
        ]
    values = np.asarray(column, dtype=np.float64)
    missing = np.isnan(values)
    there = values[~missing]
    if edges is None:
        few = np.unique(there)
        if len(few) <= len(_QUARTERS) + 1:
            codes = np.searchsorted(few, values)
            return np.where(missing, len(few), codes), [*(f"{one:g}" for one in few.tolist()), "missing"]
        cuts = np.unique(np.quantile(there, _QUARTERS))
    else:
        cuts = np.asarray(edges, dtype=np.float64)
        if cuts.ndim != 1 or not len(cuts) or not np.isfinite(cuts).all() or (np.diff(cuts) <= 0.0).any():
            reject("edges", None, cuts.tolist(), "ascending numbers", "say where segments begin: [30, 90]")
    codes = np.searchsorted(cuts, values, side="right")
    ends = [f"{cut:.4g}" for cut in cuts.tolist()]
    names = [
        f"below {ends[0]}",
        *(f"{a} to {b}" for a, b in itertools.pairwise(ends)),
        f"from {ends[-1]}",
    ]
    return np.where(missing, len(names), codes), [*names, "missing"]
