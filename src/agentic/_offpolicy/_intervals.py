"""How sure is an estimate: intervals as functions of what every row contributes."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Protocol, runtime_checkable

import attrs
import numpy as np

from agentic._offpolicy._logged import Floats, Ints, Rows, reject
from agentic._statistics import student_t
from agentic.errors import EvaluationError


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
    `carrying_rows`.

    .. versionadded:: 0.1
    """

    name = "normal"

    def bounds(
        self,
        _rows: Rows,
        contributions: Contributions,
        /,
        *,
        standard_error: float,
        level: float,
        reward_range: tuple[float, float] | None,
    ) -> tuple[float, float]:
        """Return the value minus and plus the margin."""
        margin = NormalDist().inv_cdf(0.5 + level / 2.0) * standard_error
        return contributions.value - margin, contributions.value + margin


@attrs.frozen
class CressieRead:
    """Bounds the value over all reweightings of the rows that the data cannot rule out.

    One unseen row is added at the worst reward and either end of the weights, and rows may be
    reweighted within a Cressie-Read divergence (power -2) so that the mean weight is exactly one.
    Unlike the normal interval it holds at rare rewards: what was never drawn is in it. For
    independent rows and the estimators IPW and SNIPW, and for one look at a fixed n: it is not
    valid under peeking. When all weights are equal the added row has no force; equal rewards are
    then bounded by `alike_bounds`.

    Attributes:
        weight_cap: The largest weight that can occur, not the largest that did: 1 over the lowest
            probability the logging policy gives, when it explores by a floor. Infinity is safe and
            two to four times as wide.
        weight_floor: The smallest weight that can occur, below 1.

    Source: Karampatziakis, Langford, Mineiro 2020, Empirical Likelihood for Contextual Bandits,
    at power -2 of the Cressie-Read family; the F(1, n) quantile for
    the divergence follows the authors' implementation. We solve the primal: a regression of
    w (r - worst) on w leaves the residual whose root mean square scales the bound.

    .. versionadded:: 0.1
    """

    weight_cap: float = attrs.field(default=math.inf, kw_only=True)
    weight_floor: float = attrs.field(default=0.0, kw_only=True)
    name = "Cressie-Read"

    def __attrs_post_init__(self) -> None:
        """Refuse ends between which a mean weight of one does not fit."""
        if not 0.0 <= self.weight_floor < 1.0:
            remedy = "give the smallest weight that can occur; 0 is always safe"
            reject("weight_floor", None, self.weight_floor, "0 or more and below 1", remedy)
        if not self.weight_cap > 1.0:
            remedy = "give the largest weight that can occur; math.inf is always safe"
            reject("weight_cap", None, self.weight_cap, "more than 1", remedy)

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
        """Return the least and the greatest value a plausible reweighting gives.

        Raises:
            EvaluationError: No reward range, several rows of one group, an estimator with a model or altered
                weights, or a weight outside the ends given.
        """
        if reward_range is None:
            remedy = "pass reward_range=(lowest, highest) or use Normal()"
            reject("reward_range", None, None, "the ends of the reward, which this interval needs", remedy)
        if contributions.modelled or contributions.weight is not rows.weight:
            message = (
                "the Cressie-Read interval bounds plain weighted rewards, expected the estimator IPW() "
                "or SNIPW(); use Normal() with an estimator that predicts, clips or shrinks"
            )
            raise EvaluationError(message, expected="IPW() or SNIPW()")
        if not independent(rows):
            message = (
                "the Cressie-Read interval takes rows as independent, expected no groups of several rows; "
                "give one row of each subject, or use Normal()"
            )
            raise EvaluationError(message, field="groups", expected="one row each")
        self._check(rows.weight)
        low, high = reward_range
        lower = self._bound(rows, low, sign=1.0, level=level)
        upper = self._bound(rows, high, sign=-1.0, level=level)
        return min(max(lower, low), high), min(max(upper, low), high)

    def _check(self, weight: Floats) -> None:
        slack = 1e-9  # weights are quotients: rounding must not refuse the exact cap
        for row, expected in (
            (int(weight.argmax()), f"at most the weight_cap {self.weight_cap}"),
            (int(weight.argmin()), f"at least the weight_floor {self.weight_floor}"),
        ):
            if not self.weight_floor * (1.0 - slack) <= weight[row] <= self.weight_cap * (1.0 + slack):
                remedy = "set the end by what the logging policy can draw, not by this sample"
                reject("weight", row, weight[row], expected, remedy)

    def _bound(self, rows: Rows, worst: float, *, sign: float, level: float) -> float:
        w, n = rows.weight, rows.weight.size
        # Shifting by the worst reward makes the added row contribute nothing, whatever its weight.
        gain = sign * w * (rows.reward - worst)
        ends = (min(self.weight_floor, float(w.min())), max(self.weight_cap, float(w.max())))
        nearest = _Added.of(w, gain, ends[1] if w.sum() < n else ends[0])
        # A unit of divergence beyond the least needed to bring the mean weight to one.
        budget = nearest.needed + student_t(level, n) ** 2 / (1 + n)
        found = []
        for end in ends:
            added = _Added.of(w, gain, end)
            if budget >= added.needed:
                found.append(added.centre - math.sqrt((budget - added.needed) * added.residual))
        return worst + sign * max(0.0, min(found))


@attrs.frozen
class _Added:
    """What the sample looks like once a row of weight `end` and gain 0 is added to it."""

    centre: float
    residual: float
    needed: float

    @classmethod
    def of(cls, w: Floats, gain: Floats, end: float) -> _Added:
        n = w.size
        if math.isinf(end):  # the limit: the added row takes up any missing weight at no gain
            mean = float(gain.mean())
            spread = float(((gain - mean) ** 2).sum()) / (1 + n)
            return cls(mean, spread, 1.0 / n)
        mean_w, mean_g = (float(w.sum()) + end) / (1 + n), float(gain.sum()) / (1 + n)
        off_w, off_g = w - mean_w, gain - mean_g
        var_w = (float(off_w @ off_w) + (end - mean_w) ** 2) / (1 + n)
        var_g = (float(off_g @ off_g) + mean_g**2) / (1 + n)
        cov = (float(off_w @ off_g) - (end - mean_w) * mean_g) / (1 + n)
        if var_w <= 0.0:  # every weight equals this end: no reweighting brings their mean to one
            return cls(mean_g, var_g, math.inf)
        centre = mean_g + (1.0 - mean_w) * cov / var_w
        return cls(centre, max(0.0, var_g - cov * cov / var_w), (1.0 - mean_w) ** 2 / var_w)


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

    Source: Hanley and Lippman-Hand 1983, If nothing goes wrong, is everything all right? (the rule
    of three), two-sided here and weighted.

    .. versionadded:: 0.1
    """
    reach = weight_cap * -math.expm1(math.log((1.0 - level) / 2.0) / n)
    low, high = reward_range
    return max(low, reward - reach * (reward - low)), min(high, reward + reach * (high - reward))
