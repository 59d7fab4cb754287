"""How sure is an estimate, by the reweightings of the rows that the data cannot rule out: Cressie-Read."""

from __future__ import annotations

import math
from typing import NoReturn

import attrs

from agentic._offpolicy._intervals import Contributions, independent
from agentic._offpolicy._logged import Floats, Rows, reject
from agentic._offpolicy._sums import Sums
from agentic._statistics import student_t
from agentic.errors import EvaluationError


@attrs.frozen
class CressieRead:
    """Bounds the value over all reweightings of the rows that the data cannot rule out.

    One unseen row is added at the worst reward and either end of the weights, and rows may be
    reweighted within a Cressie-Read divergence (power -2) so that the mean weight is exactly one.
    Unlike the normal interval it holds at rare rewards: what was never drawn is in it. For
    independent rows and the estimators IPW and SNIPW, and for one look at a fixed n: it is not
    valid under peeking. When all weights are equal the added row has no force; equal rewards are
    then bounded by `alike_bounds`.

    Of a log of which only a sample was kept, the rows that were not count as rows without weight. Rows of
    groups it refuses, because no floor of the log bounds what a whole unseen group weighs; use
    `EmpiricalLikelihood`, which takes the heaviest one seen.

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
            _refuse_no_range()
        if contributions.modelled or contributions.weight is not rows.weight:
            _refuse_altered()
        if not independent(rows):
            _refuse_groups()
        self._check(rows.weight if rows.stands is None else rows.weight * (rows.stands.mean() / rows.stands))
        low, high = reward_range
        lower = self._bound(rows, low, sign=1.0, level=level)
        upper = self._bound(rows, high, sign=-1.0, level=level)
        return min(max(lower, low), high), min(max(upper, low), high)

    def bounds_of(
        self, sums: Sums, /, *, standard_error: float, level: float, reward_range: tuple[float, float] | None
    ) -> tuple[float, float]:
        """Return the same of rows that nobody holds.

        Raises:
            EvaluationError: As ``bounds``.
        """
        if reward_range is None:
            _refuse_no_range()
        if not sums.plain:
            _refuse_altered()
        if not sums.independent:
            _refuse_groups()
        self._check_ends((None, sums.most), (None, sums.least))
        low, high = reward_range
        lower = self._bound_of(sums, low, sign=1.0, level=level)
        upper = self._bound_of(sums, high, sign=-1.0, level=level)
        return min(max(lower, low), high), min(max(upper, low), high)

    def _bound_of(self, sums: Sums, worst: float, *, sign: float, level: float) -> float:
        n = sums.n
        ends = (min(self.weight_floor, sums.least), max(self.weight_cap, sums.most))
        nearest = _Added.of_sums(sums, worst, sign, ends[1] if sums.weight < n else ends[0])
        budget = nearest.needed + _quantile(level, n) ** 2 / (1 + n)
        found = []
        for end in ends:
            added = _Added.of_sums(sums, worst, sign, end)
            if budget >= added.needed:
                found.append(added.centre - math.sqrt((budget - added.needed) * added.residual))
        return worst + sign * max(0.0, min(found))

    def _check(self, weight: Floats) -> None:
        most, least = int(weight.argmax()), int(weight.argmin())
        self._check_ends((most, float(weight[most])), (least, float(weight[least])))

    def _check_ends(self, *ends: tuple[int | None, float]) -> None:
        slack = 1e-9  # weights are quotients: rounding must not refuse the exact cap
        cap, floor = (
            f"at most the weight_cap {self.weight_cap}",
            f"at least the weight_floor {self.weight_floor}",
        )
        for (row, weight), expected in zip(ends, (cap, floor), strict=True):
            if not self.weight_floor * (1.0 - slack) <= weight <= self.weight_cap * (1.0 + slack):
                remedy = "set the end by what the logging policy can draw, not by this sample"
                reject("weight", row, weight, expected, remedy)

    def _bound(self, rows: Rows, worst: float, *, sign: float, level: float) -> float:
        w, missing, most = rows.weight, 0.0, 1.0
        if rows.stands is not None:
            w, most = w * float(rows.stands.mean()), float(rows.stands.max())
            missing = float(rows.stands.sum()) - w.size
        n = w.size + missing
        # Shifting by the worst reward makes the added row contribute nothing, whatever its weight.
        gain = sign * w * (rows.reward - worst)
        floor = 0.0 if missing else self.weight_floor
        ends = (min(floor, float(w.min())), max(self.weight_cap * most, float(w.max())))
        nearest = _Added.of(w, gain, ends[1] if w.sum() < n else ends[0], missing)
        # A unit of divergence beyond the least needed to bring the mean weight to one.
        budget = nearest.needed + _quantile(level, n) ** 2 / (1 + n)
        found = []
        for end in ends:
            added = _Added.of(w, gain, end, missing)
            if budget >= added.needed:
                found.append(added.centre - math.sqrt((budget - added.needed) * added.residual))
        return worst + sign * max(0.0, min(found))


def _refuse_no_range() -> NoReturn:
    remedy = "pass reward_range=(lowest, highest) or use Normal()"
    reject("reward_range", None, None, "the ends of the reward, which this interval needs", remedy)


def _refuse_altered() -> NoReturn:
    message = (
        "the Cressie-Read interval bounds plain weighted rewards, expected the estimator IPW() "
        "or SNIPW(); use EmpiricalLikelihood() with one that predicts, clips or shrinks"
    )
    raise EvaluationError(message, expected="IPW() or SNIPW()")


def _refuse_groups() -> NoReturn:
    message = (
        "the Cressie-Read interval takes rows as independent, expected no groups of several rows; "
        "use EmpiricalLikelihood(), or give one row of each subject"
    )
    raise EvaluationError(message, field="groups", expected="one row each")


@attrs.frozen
class _Added:
    """The sample once a row of weight `end` and gain 0 is added, and so many `missing` of weight 0."""

    centre: float
    residual: float
    needed: float

    @classmethod
    def of(cls, w: Floats, gain: Floats, end: float, missing: float) -> _Added:
        n = w.size + missing
        if math.isinf(end):  # the limit: the added row takes up any missing weight at no gain
            mean = float(gain.sum()) / n
            spread = (float(((gain - mean) ** 2).sum()) + missing * mean**2) / (1 + n)
            return cls(mean, spread, 1.0 / n)
        mean_w, mean_g = (float(w.sum()) + end) / (1 + n), float(gain.sum()) / (1 + n)
        off_w, off_g = w - mean_w, gain - mean_g
        var_w = (float(off_w @ off_w) + missing * mean_w**2 + (end - mean_w) ** 2) / (1 + n)
        var_g = (float(off_g @ off_g) + missing * mean_g**2 + mean_g**2) / (1 + n)
        cov = (float(off_w @ off_g) + missing * mean_w * mean_g - (end - mean_w) * mean_g) / (1 + n)
        if var_w <= 0.0:  # every weight equals this end: no reweighting brings their mean to one
            return cls(mean_g, var_g, math.inf)
        centre = mean_g + (1.0 - mean_w) * cov / var_w
        return cls(centre, max(0.0, var_g - cov * cov / var_w), (1.0 - mean_w) ** 2 / var_w)

    @classmethod
    def of_sums(cls, sums: Sums, worst: float, sign: float, end: float) -> _Added:
        n, gain = sums.n, sign * (sums.gain - worst * sums.weight)
        gain_square = sums.gain_square - worst * (2.0 * sums.cross - worst * sums.weight_square)
        if math.isinf(end):
            return cls(gain / n, max(0.0, gain_square) / (1 + n), 1.0 / n)
        mean_w, mean_g = (sums.weight + end) / (1 + n), gain / (1 + n)
        off_w, off_g = sums.weight / n - mean_w, gain / n - mean_g
        cross = sign * (sums.cross - worst * sums.weight_square)
        var_w = (sums.weight_square + n * off_w**2 + (end - mean_w) ** 2) / (1 + n)
        var_g = (gain_square + n * off_g**2 + mean_g**2) / (1 + n)
        cov = (cross + n * off_w * off_g - (end - mean_w) * mean_g) / (1 + n)
        if var_w <= 0.0:
            return cls(mean_g, var_g, math.inf)
        centre = mean_g + (1.0 - mean_w) * cov / var_w
        return cls(centre, max(0.0, var_g - cov * cov / var_w), (1.0 - mean_w) ** 2 / var_w)


def _quantile(level: float, degrees: float) -> float:
    """Return Student's t between those of whole degrees of freedom."""
    whole = math.floor(degrees)
    low = student_t(level, whole)
    return low if whole == degrees else low + (degrees - whole) * (student_t(level, whole + 1) - low)
