"""How sure is an estimate: intervals as functions of what every row contributes."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Literal, Protocol, runtime_checkable

import attrs
import numpy as np

from agentic._offpolicy._logged import Floats, Ints, Rows, reject
from agentic._offpolicy._sums import Sums


@attrs.frozen(eq=False)
class Contributions:
    """Holds what every row adds to an estimate.

    Attributes:
        value: The estimate.
        term: Shape (n,), float64: per-row terms whose mean is `value`.
        influence: Shape (n,), float64: how far each row moves the value, centred; the spread of
            its mean is the standard error.
        degrees: What the mean square of `influence` is divided by: n - 1 for a mean, n for a ratio.
        weight: Shape (n,), float64, or None: the weights in use after clipping or shrinking, the
            very array of the rows when neither happened, None when the estimator uses none.
        modelled: Whether reward predictions entered.

    .. versionadded:: 0.1
    """

    value: float
    term: Floats
    influence: Floats
    degrees: int = attrs.field(kw_only=True)
    weight: Floats | None = attrs.field(kw_only=True)
    modelled: bool = attrs.field(kw_only=True)


def independent(rows: Rows, /) -> bool:
    """Whether every row is a group of its own."""
    return rows.groups is None or int(rows.groups.max()) + 1 == rows.groups.size


@runtime_checkable
class Interval(Protocol):
    """Bounds the target's value from the rows and what they contribute."""

    @property
    def name(self) -> str:
        """How reports call it."""

    def bounds(
        self,
        rows: Rows,
        contributions: Contributions,
        /,
        *,
        standard_error: float,
        level: float,
        reward_range: tuple[float, float] | None,
    ) -> tuple[float, float]:
        """Return the lower and the upper bound, which together miss with probability 1 - `level`."""


@runtime_checkable
class CountsUnseen(Protocol):
    """Capability: an interval that counts on rewards that no row shows, so equal rewards need no other."""

    @property
    def counts_unseen(self) -> Literal[True]:
        """That it does."""


def standard_error(influence: Floats, *, degrees: int, groups: Ints | None = None) -> float:
    """Return the standard error of the mean of influence values.

    Args:
        influence: Shape (n,), float64, centred.
        degrees: Divisor of the mean square, n - 1 or n; unused with groups.
        groups: Shape (n,), int64 codes 0 to g - 1. Rows of one group may depend on each other in
            any way; groups are independent. The sums by group are then the observations, with the
            factor g / (g - 1).

    Returns:
        Infinity when one row or one group leaves no spread to measure.

    Source: Liang and Zeger 1986, Longitudinal data analysis using generalized linear models, for
    the sums by group.

    .. versionadded:: 0.1
    """
    if groups is None:
        return math.sqrt(float(influence @ influence) / (influence.size * degrees)) if degrees else math.inf
    sums = np.bincount(groups, weights=influence)
    if sums.size < 2:
        return math.inf
    return math.sqrt(float(sums @ sums) * sums.size / (sums.size - 1)) / influence.size


@attrs.frozen
class Normal:
    """Takes the value plus or minus a normal quantile of standard errors.

    For SNIPW and SNDR the influence values are those of a ratio, so this is the delta method. It
    holds when many rows carry the spread and fails at rare rewards; the diagnostics count them as
    `carrying_rows`. Of a log of which only a sample was kept, the rows that were not count as rows
    without reward, as by VowpalWabbit, when every row is a group of its own.

    .. versionadded:: 0.1
    """

    name = "normal"

    def bounds(
        self,
        rows: Rows,
        contributions: Contributions,
        /,
        *,
        standard_error: float,
        level: float,
        reward_range: tuple[float, float] | None,
    ) -> tuple[float, float]:
        """Return the value minus and plus the margin."""
        error = standard_error
        if rows.stands is not None and independent(rows):
            error = _sampled_error(rows, contributions, float(rows.stands.mean()))
        return _about(contributions.value, error, level)

    def bounds_of(
        self, sums: Sums, /, *, standard_error: float, level: float, reward_range: tuple[float, float] | None
    ) -> tuple[float, float]:
        """Return the same of rows that nobody holds."""
        return _about(sums.value, standard_error, level)


def _about(value: float, error: float, level: float) -> tuple[float, float]:
    margin = NormalDist().inv_cdf(0.5 + level / 2.0) * error
    return value - margin, value + margin


def _sampled_error(rows: Rows, contributions: Contributions, stands: float) -> float:
    """The standard error where each row stands for so many on average, the others without reward."""
    influence, n = contributions.influence, contributions.influence.size
    ratio = contributions.degrees == n
    plain = contributions.value
    if ratio:  # the part of the value that does not divide by weights
        plain = float(rows.modelled.mean()) if contributions.modelled and rows.modelled is not None else 0.0
    squares = stands * stands * float(influence @ influence) + n * plain * plain * stands * (stands - 1.0)
    whole = n * stands
    return math.sqrt(squares / (whole * (whole if ratio else whole - 1.0)))


def alike_bounds(
    reward: float, *, n: int, weight_cap: float, level: float, reward_range: tuple[float, float]
) -> tuple[float, float]:
    """Bound the value when every logged reward is the same, where no spread can be measured.

    With p the chance that a row has weight and another reward, the value differs from `reward` by
    at most `weight_cap` times p times the distance to the end of the range; n rows without one
    bound p by 1 - ((1 - level) / 2) ** (1 / n). Exact when `weight_cap` truly bounds the weights.

    Args:
        reward: The reward of every row.
        n: Number of rows, independent.
        weight_cap: The largest weight that can occur.
        level: Share of samples in which the bounds hold, in (0, 1).
        reward_range: Lowest and highest reward there can be.

    Raises:
        EvaluationError: An argument is out of range.

    Source: Hanley and Lippman-Hand 1983, If nothing goes wrong, is everything all right? (the rule
    of three), two-sided here and weighted.

    .. versionadded:: 0.1
    """
    low, high = reward_range
    for field, value, sound, expected in (
        ("n", n, n >= 1, "1 or more"),
        ("weight_cap", weight_cap, 0.0 <= weight_cap < math.inf, "a finite number of 0 or more"),
        ("level", level, 0.0 < level < 1.0, "more than 0 and less than 1"),
        ("reward", reward, low <= reward <= high, f"a number from {low} to {high}"),
    ):
        if not sound:
            reject(field, None, value, expected, "correct it")
    reach = weight_cap * -math.expm1(math.log((1.0 - level) / 2.0) / n)
    return max(low, reward - reach * (reward - low)), min(high, reward + reach * (high - reward))
