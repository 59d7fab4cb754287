"""Do two arms have the same mean? A confidence sequence for many rows, whatever the outcomes look like."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, Self

import attrs
import numpy as np
import numpy.typing as npt

from agentic._sequential._asymptotic import asymptotic_radius, tuning
from agentic._sequential._checks import (
    LARGEST_LOG,
    Floats,
    check_not_negative,
    check_open_unit,
    check_positive,
    check_share,
    check_worse,
    reject,
)
from agentic._sequential._claims import Claims
from agentic._sequential._e_values import EValues
from agentic._sequential._moments import Moments


@attrs.frozen(kw_only=True)
class MeanTest(Claims):
    """Compares the means of two arms by a one-sided asymptotic confidence sequence on either side.

    For any outcome with a finite variance: revenue, minutes, cost. Looks may be as many as one likes. The
    error holds in the limit of many rows, not at few, and rare outcomes need far more rows than a
    normal interval's rule of thumb says: below `least_rows` rows, and `least_carrying` rows that carry the
    spread, in either arm the test says nothing at all (`ready` is False, the bounds are infinite, no e-value
    enters a peak). For yes and no use `CountTest`, which is exact; for outcomes between bounds that a
    few rows dominate `BettingTest`.

    Batches are compared each within itself and weighted by n0 n1 / (n0 + n1), so that shares may
    change from batch to batch while means drift; one batch is the textbook difference of means. The
    smaller arm counts with the variance of both arms together where its own is less.

    The test is a value: ``attrs.asdict(test)`` is JSON and `MeanTest.of_json` brings it back.

    Attributes:
        alpha: The largest chance of ever claiming what is not so, for each claim; in (0, 1).
        margin: What loss is still no harm, in the metric's own unit, 0 or more.
        relative_margin: The same as a share of the control's mean, in [0, 1); for metrics above 0. Both
            margins add up.
        worse: Which way the mean moves when it gets worse.
        tuned_at: Rows of both arms, split evenly, at which the bounds are tightest.
        least_rows: Rows that each arm needs before anything is said.
        least_carrying: Rows that carry the spread that each arm needs before anything is said.

    Source: Waudby-Smith and others 2021, Time-uniform central limit theory and asymptotic confidence
    sequences (arXiv 2103.06476), one-sided as in GrowthBook's sequential testing; with several batches the
    intrinsic time is the sum of their n0 n1 / (n0 + n1), four times which is the number of rows when
    shares are even.

    .. versionadded:: 0.1
    """

    alpha: float = attrs.field(default=0.05, validator=check_open_unit)
    margin: float = attrs.field(default=0.0, validator=check_not_negative)
    relative_margin: float = attrs.field(default=0.0, validator=check_share)
    worse: Literal["lower", "higher"] = attrs.field(default="lower", validator=check_worse)
    tuned_at: float = attrs.field(default=10_000.0, validator=check_positive)
    least_rows: float = attrs.field(default=200.0, validator=check_not_negative)
    least_carrying: float = attrs.field(default=20.0, validator=check_not_negative)
    control: Moments = attrs.field(factory=Moments)
    treatment: Moments = attrs.field(factory=Moments)
    weight: float = 0.0
    control_weighted: float = 0.0
    treatment_weighted: float = 0.0
    control_spread: float = 0.0
    treatment_spread: float = 0.0
    log_peak: float = 0.0
    safe_log_peak: float = 0.0

    @classmethod
    def of_json(cls, fields: dict[str, object], /) -> Self:
        """Return the test whose ``attrs.asdict`` this is."""
        arms = {name: Moments(**fields[name]) for name in ("control", "treatment")}  # type: ignore[arg-type] # checked by validators
        return cls(**{**fields, **arms})  # type: ignore[arg-type] # checked by validators

    def observe(self, *, control: npt.ArrayLike, treatment: npt.ArrayLike) -> Self:
        """Return the test after one batch of matured outcomes.

        Args:
            control: Shape (n0,), finite.
            treatment: Shape (n1,), finite.
        """
        return self.observe_moments(control=Moments.of(control), treatment=Moments.of(treatment))

    def observe_moments(self, *, control: Moments, treatment: Moments) -> Self:
        """Return the test after one batch that was summed elsewhere."""
        n0, n1 = control.rows, treatment.rows
        weight = n0 * n1 / (n0 + n1) if n0 and n1 else 0.0
        grown = attrs.evolve(
            self,
            control=self.control.merged(control),
            treatment=self.treatment.merged(treatment),
            weight=self.weight + weight,
            control_weighted=self.control_weighted + weight * control.mean,
            treatment_weighted=self.treatment_weighted + weight * treatment.mean,
            control_spread=self.control_spread + (weight * weight / n0 if n0 else 0.0),
            treatment_spread=self.treatment_spread + (weight * weight / n1 if n1 else 0.0),
        )
        if not grown.ready:
            return grown
        return attrs.evolve(
            grown,
            log_peak=max(self.log_peak, grown.log_e),
            safe_log_peak=max(self.safe_log_peak, grown.safe_log_e),
        )

    def merged(self, other: Self, /) -> Self:
        """Return the test that saw both shards' batches; its peaks are those of one look at both.

        Raises:
            EvaluationError: The other asks another question.
        """
        mine, theirs = self._question, other._question
        if mine != theirs:
            remedy = "merge tests of one alpha, margin, direction and tuning"
            reject("other", theirs, f"the same question, {mine}", remedy)
        sums = ("weight", "control_weighted", "treatment_weighted", "control_spread", "treatment_spread")
        both = attrs.evolve(
            self,
            control=self.control.merged(other.control),
            treatment=self.treatment.merged(other.treatment),
            **{name: getattr(self, name) + getattr(other, name) for name in sums},
        )
        if not both.ready:
            return attrs.evolve(both, log_peak=0.0, safe_log_peak=0.0)
        return attrs.evolve(both, log_peak=max(0.0, both.log_e), safe_log_peak=max(0.0, both.safe_log_e))

    @property
    def ready(self) -> bool:
        """Whether enough rows, and enough that carry the spread, are in for the limit to be trusted."""
        arms = (self.control, self.treatment)
        return (
            self.weight > 0.0
            and min(arm.rows for arm in arms) >= self.least_rows
            and min(arm.carrying for arm in arms) >= self.least_carrying
        )

    @property
    def rows(self) -> tuple[float, float]:
        """Rows of the control and of the treatment."""
        return self.control.rows, self.treatment.rows

    @property
    def estimate(self) -> float:
        """Treatment's mean less the control's, within batches; 0 before any batch of both."""
        if not self.weight:
            return 0.0
        return (self.treatment_weighted - self.control_weighted) / self.weight

    @property
    def standard_error(self) -> float:
        """Standard error of `estimate`; infinite before any batch of both."""
        return self._error(1.0)

    @property
    def bounds(self) -> tuple[float, float]:
        """Lower and upper bound on the difference, each missing at any look with `alpha` in the limit."""
        if not self.ready:
            return -math.inf, math.inf
        radius = asymptotic_radius(
            self.standard_error, 4.0 * self.weight, alpha=self.alpha, tuned_at=self.tuned_at, sides=1
        )
        return self.estimate - radius, self.estimate + radius

    @property
    def log_e(self) -> float:
        """The logarithm of `e_value`, which holds in the limit; 0 while not `ready`."""
        return self._log_e(-self._sign * self.estimate, self.standard_error)

    @property
    def safe_log_e(self) -> float:
        """The logarithm of `safe_e_value`, which holds in the limit; 0 while not `ready`."""
        kept = 1.0 - self._sign * self.relative_margin
        if not self.weight:
            return 0.0
        gain = (
            self._sign * (self.treatment_weighted - kept * self.control_weighted) / self.weight + self.margin
        )
        return self._log_e(gain, self._error(kept))

    @property
    def facts(self) -> dict[str, float | str | bool]:
        """What a monitor logs of this look: numbers that JSON can hold."""
        low, high = self.bounds
        return {
            "test": "mean",
            "alpha": self.alpha,
            "margin": self.margin,
            "relative_margin": self.relative_margin,
            "worse": self.worse,
            "control_rows": self.control.rows,
            "control_mean": self.control.mean,
            "treatment_rows": self.treatment.rows,
            "treatment_mean": self.treatment.mean,
            "estimate": self.estimate,
            "lower": low if math.isfinite(low) else "-inf",
            "upper": high if math.isfinite(high) else "inf",
            "e_value": self.e_value,
            "peak": self.peak,
            "safe_e_value": self.safe_e_value,
            "safe_peak": self.safe_peak,
            "ready": self.ready,
            "harmed": self.harmed,
            "safe": self.safe,
        }

    def trajectory(self, *, control: Sequence[npt.ArrayLike], treatment: Sequence[npt.ArrayLike]) -> EValues:
        """Return the e-values after each of many batches from an empty test, for many runs at once.

        Args:
            control: Five arrays of shape (..., looks), of each batch what `Moments.of_sums` takes: rows,
                sum, sum of squares, zeros, ones.
            treatment: The same of the treatment.
        """
        columns = np.broadcast_arrays(*(np.asarray(c, np.float64) for c in (*control, *treatment)))
        (n0, y0, *_), (n1, y1, *_) = columns[:5], columns[5:]
        weight = n0 * n1 / np.maximum(n0 + n1, 1.0)
        arms = [_Path.of(columns[:5], weight), _Path.of(columns[5:], weight)]
        mean0, mean1 = ((weight * y / np.maximum(n, 1.0)).cumsum(-1) for n, y in ((n0, y0), (n1, y1)))
        total = weight.cumsum(axis=-1)
        ready = (
            (total > 0.0)
            & (np.minimum(arms[0].rows, arms[1].rows) >= self.least_rows)
            & (np.minimum(arms[0].carrying, arms[1].carrying) >= self.least_carrying)
        )
        total = np.where(ready, total, 1.0)
        rows, squares = (np.stack([getattr(arm, name) for arm in arms]) for name in ("rows", "squares"))
        variances = _variances(rows, squares / np.maximum(rows - 1.0, 1.0), squares)
        scaled = 4.0 * total * tuning(self.tuned_at, alpha=2.0 * self.alpha)

        def e_values(shift: Floats, kept: float) -> Floats:
            sums = variances[1] * arms[1].spread + kept * kept * variances[0] * arms[0].spread
            error = np.sqrt(sums) / total
            log_e = _log_e_values(shift, error, scaled)
            answer: Floats = np.where(ready, np.exp(log_e), 1.0)
            return answer

        kept = 1.0 - self._sign * self.relative_margin
        return EValues(
            harm=e_values(self._sign * (mean0 - mean1) / total, 1.0),
            safe=e_values(self._sign * (mean1 - kept * mean0) / total + self.margin, kept),
        )

    @property
    def _sign(self) -> float:
        return 1.0 if self.worse == "lower" else -1.0

    @property
    def _question(self) -> tuple[object, ...]:
        return (
            *(self.alpha, self.margin, self.relative_margin, self.worse),
            *(self.tuned_at, self.least_rows, self.least_carrying),
        )

    def _error(self, kept: float) -> float:
        """Return the standard error of the treatment's mean less `kept` times the control's."""
        if not self.weight:
            return math.inf
        rows = np.array(self.rows)
        own = np.array([self.control.variance, self.treatment.variance])
        squares = np.array([self.control.squares, self.treatment.squares])
        control, treatment = _variances(rows, own, squares).tolist()
        total = treatment * self.treatment_spread + kept * kept * control * self.control_spread
        return math.sqrt(total) / self.weight

    def _log_e(self, shift: float, error: float) -> float:
        """Return the logarithm of 1 / the error at which the bound reaches 0, or 0 while not ready."""
        if not self.ready:
            return 0.0
        scaled = 4.0 * self.weight * tuning(self.tuned_at, alpha=2.0 * self.alpha)
        return float(_log_e_values(np.array(shift), np.array(error), np.array(scaled)))


def _variances(rows: Floats, own: Floats, squares: Floats) -> Floats:
    """Return what counts as the variance of either arm: shape (2, ...), like all arguments.

    In a small arm of skewed outcomes mean and variance are low together, before the first large outcome is
    in, and its own variance then makes the difference look sure: at a tenth of the rows, false alarms of
    10 to 20 % instead of 5 %. So the smaller arm's variance is at least that of both arms together.
    """
    pooled = squares.sum(axis=0) / np.maximum(rows.sum(axis=0) - 2.0, 1.0)
    answer: Floats = np.where(rows < rows[::-1], np.maximum(own, pooled), own)
    return answer


@attrs.frozen(eq=False)
class _Path:
    """What an arm's moments are after each batch."""

    rows: Floats
    carrying: Floats
    squares: Floats
    spread: Floats

    @classmethod
    def of(cls, columns: Sequence[Floats], weight: Floats) -> _Path:
        rows, total, squares, zeros, ones = (column.cumsum(axis=-1) for column in columns)
        off = np.maximum(squares - total * total / np.maximum(rows, 1.0), 0.0)
        spread = (weight * weight / np.maximum(columns[0], 1.0)).cumsum(axis=-1)
        return cls(rows, rows - np.maximum(zeros, ones), off, spread)


def _log_e_values(shift: Floats, error: Floats, scaled: Floats) -> Floats:
    """Return the logarithm of one over the error at which the one-sided radius equals the shift.

    That is 2 (exp(x) - 1) / sqrt(scaled + 1), with x = z z scaled / (2 (scaled + 1)) and z = shift / error.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.where(error > 0.0, shift / error, np.where(shift > 0.0, np.inf, 0.0))
    half = (0.5 * np.maximum(z, 0.0) ** 2 * scaled / (scaled + 1.0)).clip(max=LARGEST_LOG)
    with np.errstate(divide="ignore"):
        log_e: Floats = np.log(2.0 * np.expm1(half)) - 0.5 * np.log1p(scaled)
    return log_e.clip(min=-LARGEST_LOG)
