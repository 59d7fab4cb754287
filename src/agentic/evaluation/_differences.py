"""By how much do two groups of subjects differ: means with their bounds."""

from __future__ import annotations

import math

import attrs

from agentic._offpolicy import reject
from agentic._statistics import student_t
from agentic.arrays import F64


@attrs.frozen
class Difference:
    """Says by how much the means of two groups differ.

    Attributes:
        value: First mean minus second.
        low: Lower bound.
        high: Upper bound.
        standard_error: Of the value; infinite where no spread was seen, and the bounds with it.
        level: Share of samples in which the bounds are to hold, in (0, 1).
    """

    value: float
    low: float
    high: float
    standard_error: float
    level: float


def difference(first: F64, second: F64, /, *, level: float = 0.95) -> Difference:
    """Compare two independent samples by their means, whatever their spreads.

    Where neither sample has any spread, none can be measured: error and bounds are infinite. Where one
    has none, as when nobody in a small holdout buys, its mean counts as known, and the bounds are too
    narrow.

    Args:
        first: Shape (m,), at least 2.
        second: Shape (n,), at least 2.
        level: Share of samples in which the bounds are to hold, in (0, 1).

    Raises:
        EvaluationError: A sample has fewer than two values, or the level is out of range.

    Source: Welch 1947, The generalization of Student's problem when several different population
    variances are involved, with the degrees of freedom rounded down to a whole number.
    """
    _check(first, second, level)
    parts = [float(sample.var(ddof=1)) / len(sample) for sample in (first, second)]
    value, squared = float(first.mean() - second.mean()), sum(parts)
    if squared == 0.0:
        return Difference(value, -math.inf, math.inf, math.inf, level)
    weights = [part * part / (len(s) - 1) for part, s in zip(parts, (first, second), strict=True)]
    degrees = max(1, math.floor(squared * squared / sum(weights)))
    return _bounded(value, math.sqrt(squared), degrees, level)


def paired_difference(first: F64, second: F64, /, *, level: float = 0.95) -> Difference:
    """Compare what the same subjects were worth under one thing and under another.

    Where all differ by the same, no spread can be measured: error and bounds are infinite.

    Args:
        first: Shape (n,), at least 2.
        second: Shape (n,), of the same subjects in the same order.
        level: Share of samples in which the bounds are to hold, in (0, 1).

    Raises:
        EvaluationError: There are fewer than two pairs, the lengths differ, or the level is out of range.

    Source: Student 1908, The probable error of a mean.
    """
    _check(first, second, level)
    if len(first) != len(second):
        reject("second", None, len(second), f"{len(first)} values, as many as first", "pair the subjects")
    gaps = first - second
    value, spread = float(gaps.mean()), float(gaps.std(ddof=1))
    if spread == 0.0:
        return Difference(value, -math.inf, math.inf, math.inf, level)
    return _bounded(value, spread / math.sqrt(len(gaps)), len(gaps) - 1, level)


def _bounded(value: float, error: float, degrees: int, level: float) -> Difference:
    margin = student_t(level, degrees) * error
    return Difference(value, value - margin, value + margin, error, level)


def _check(first: F64, second: F64, level: float) -> None:
    for field, sample in (("first", first), ("second", second)):
        if len(sample) < 2:
            reject(field, None, len(sample), "two values or more", "wait until both groups have some")
    if not 0.0 < level < 1.0:
        reject("level", None, level, "more than 0 and less than 1", "give 0.95 for 95 %")
