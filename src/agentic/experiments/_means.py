"""By how much do the means of two groups differ, whether they are other subjects or the same ones."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from agentic._offpolicy import as_array, reject
from agentic.arrays import F64
from agentic.experiments._difference import Arm, Difference, bounded, check_level

LARGEST: Final = 1e100
"""Values are no larger, so that sums of their squares are finite."""


def difference(treatment: npt.ArrayLike, control: npt.ArrayLike, /, *, level: float = 0.95) -> Difference:
    """Compare two independent samples by their means, whatever their spreads.

    One value for each subject: whoever has several decisions of a subject sums them first, or compares
    ratios. Where neither sample has any spread, none can be measured: error and bounds are infinite. Where
    one has none, as when nobody in a small holdout buys, its mean counts as known, and the bounds are too
    narrow.

    Args:
        treatment: Shape (m,), at least 2.
        control: Shape (n,), at least 2.
        level: Share of samples in which the bounds are to hold, in (0, 1).

    Raises:
        EvaluationError: A sample has fewer than two values, a value is not finite, or the level is out of
            range.

    Source: Welch 1947, The generalization of Student's problem when several different population
    variances are involved.
    """
    check_level(level)
    treated, plain = sample("treatment", treatment), sample("control", control)
    return welch(arm(treated), arm(plain), level=level, method="Welch")


def welch(treatment: Arm, control: Arm, /, *, level: float, method: str, lost: int = 1) -> Difference:
    """Compare two measured groups by Welch's test; ``lost`` degrees of freedom go for each group's fit."""
    squares = treatment.standard_error**2, control.standard_error**2
    total = sum(squares)
    weights = sum(
        (square / total) ** 2 / (group.n - lost)
        for square, group in zip(squares, (treatment, control), strict=True)
        if square > 0.0
    )
    degrees = 1.0 / weights if weights > 0.0 else math.inf
    return bounded(treatment, control, level=level, degrees=degrees, method=method)


def paired_difference(first: npt.ArrayLike, second: npt.ArrayLike, /, *, level: float = 0.95) -> Difference:
    """Compare what the same subjects were worth under one thing and under another.

    Where all differ by the same, no spread can be measured: error and bounds are infinite.

    Args:
        first: Shape (n,), at least 2.
        second: Shape (n,), of the same subjects in the same order.
        level: Share of samples in which the bounds are to hold, in (0, 1).

    Raises:
        EvaluationError: There are fewer than two pairs, the lengths differ, a value is not finite, or the
            level is out of range.

    Source: Student 1908, The probable error of a mean.
    """
    check_level(level)
    one, other = sample("first", first), sample("second", second)
    if len(one) != len(other):
        reject("second", None, len(other), f"{len(one)} values, as many as first", "pair the subjects")
    n = len(one)
    gaps = one - other
    return bounded(
        arm(one),
        arm(other),
        level=level,
        degrees=n - 1.0,
        method="paired t",
        value=float(gaps.mean()),
        squared=variance(gaps) / n,
        covariance=covariance(one, other) / n,
    )


def sample(field: str, values: npt.ArrayLike, /) -> F64:
    """The values of one group as finite float64, shape (n,).

    Raises:
        EvaluationError: Ragged, not numeric, of other dimensions, fewer than two, or a value
            is NaN, infinite or above 1e100.
    """
    try:
        n = np.size(values)
    except ValueError:  # ragged: what it is asked for next says so
        n = 2
    if n < 2:  # before the shape is asked for: an empty group is the usual mistake
        reject(field, None, n, "two values or more", "wait until both groups have some")
    if isinstance(values, np.ndarray) and values.dtype == np.bool_:
        values = values.astype(np.float64)
    array = as_array(field, values, ndim=1).astype(np.float64, copy=False)
    finite = np.isfinite(array)
    if not finite.all():
        row = int(np.argmin(finite))
        remedy = "leave subjects out while their value is pending: a missing value is not a number"
        reject(field, row, array[row], "a finite number", remedy)
    if np.abs(array).max() > LARGEST:
        row = int(np.argmax(np.abs(array)))
        reject(field, row, "larger", f"a number up to {LARGEST:g}", "measure it in a larger unit")
    return array


def arm(values: F64, /) -> Arm:
    """Measure the mean of one group."""
    return Arm(float(values.mean()), math.sqrt(variance(values) / len(values)), len(values))


def variance(values: F64, /) -> float:
    """The sample's variance, exactly 0 where all values are the same."""
    if (values == values[0]).all():  # a mean that rounds would leave some
        return 0.0
    return float(values.var(ddof=1))


def covariance(first: F64, second: F64, /) -> float:
    """The sample's covariance."""
    return float((first - first.mean()) @ (second - second.mean())) / (len(first) - 1)
