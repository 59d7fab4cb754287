"""What would the target policy have earned: estimators over logged rows, and the front function.

An estimator turns weighed rows into per-row contributions; an interval turns contributions into
bounds; diagnostics say whether either can be believed.
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal, Protocol, runtime_checkable

import attrs
import numpy as np
import numpy.typing as npt

from agentic._offpolicy._diagnostics import Diagnostics, diagnose
from agentic._offpolicy._intervals import (
    Contributions,
    CountsUnseen,
    Interval,
    Normal,
    alike_bounds,
    standard_error,
)
from agentic._offpolicy._logged import Floats, Logged, Rows, overlap, reject
from agentic.errors import EvaluationError


@runtime_checkable
class Estimator(Protocol):
    """Says what every row contributes to the value of the target policy."""

    @property
    def name(self) -> str:
        """How reports call it."""

    def contribute(self, rows: Rows, /) -> Contributions:
        """Return the per-row terms, their value and its influence values."""


@runtime_checkable
class ModelFree(Protocol):
    """Capability: an estimator that needs no reward predictions, so that nobody makes any for it."""

    @property
    def model_free(self) -> Literal[True]:
        """That it is."""


def _mean(term: Floats, *, weight: Floats | None, modelled: bool) -> Contributions:
    value = float(term.mean())
    return Contributions(value, term, term - value, degrees=term.size - 1, weight=weight, modelled=modelled)


def _model(rows: Rows, name: str) -> tuple[Floats, Floats]:
    if rows.predicted is None or rows.modelled is None:
        message = (
            f"{name} predicts rewards and q is None, expected predictions of shape (n, k); pass "
            "q=cross_fit(...), or estimator=SNIPW(), which needs none"
        )
        raise EvaluationError(message, field="q", value=None, expected="shape (n, k)")
    return rows.predicted, rows.modelled


def _from(field: str, value: float, *, low: float, below: float) -> None:
    if not low <= value < below:
        reject(field, None, value, f"{low} or more and below {below}", "choose it by the weights you expect")


@attrs.frozen
class IPW:
    """Weights every reward by how much likelier the target is to take the action.

    Unbiased when logged probabilities are right and the target only takes actions the log could.

    Attributes:
        clip: Weights are cut to this, in (0, inf]: less variance, biased towards 0.

    Source: Horvitz and Thompson 1952, A Generalization of Sampling Without Replacement; Ionides 2008,
    Truncated Importance Sampling, for the clip. Value: mean(min(w, clip) r).

    .. versionadded:: 0.1
    """

    model_free: ClassVar[Literal[True]] = True
    clip: float = attrs.field(default=math.inf, kw_only=True)

    def __attrs_post_init__(self) -> None:
        """Refuse a clip that leaves nothing."""
        _check_clip(self.clip)

    @property
    def name(self) -> str:
        """How reports call it."""
        return _named("IPW", "clip", self.clip)

    def contribute(self, rows: Rows, /) -> Contributions:
        """Return min(w, clip) r."""
        weight = _clipped(rows.weight, self.clip)
        return _mean(weight * rows.reward, weight=weight, modelled=False)


@attrs.frozen
class SNIPW:
    """Divides weighted rewards by the sum of the weights, so that the value stays among the rewards.

    Consistent rather than unbiased; far steadier than IPW when rewards sit away from 0. NaN when
    no row has weight.

    Source: Swaminathan and Joachims 2015, The Self-Normalized Estimator for Counterfactual
    Learning. Value: sum(w r) / sum(w); standard error by the delta method, sqrt(sum w^2 (r - V)^2) /
    sum(w). Open Bandit Pipeline resamples w r / mean(w) with the divisor held fixed, which is up to
    three times too wide.

    .. versionadded:: 0.1
    """

    model_free: ClassVar[Literal[True]] = True
    name = "SNIPW"

    def contribute(self, rows: Rows, /) -> Contributions:
        """Return w r / mean(w)."""
        w, n = rows.weight, rows.weight.size
        mean = float(w.mean())
        if mean == 0.0:
            nothing = np.zeros(n)
            return Contributions(math.nan, nothing, nothing, degrees=n, weight=w, modelled=False)
        term = w * rows.reward
        term /= mean
        value = float(term.mean())
        influence = w * (-value / mean)
        influence += term
        return Contributions(value, term, influence, degrees=n, weight=w, modelled=False)


@attrs.frozen
class DM:
    """Averages the reward predictions over the target's actions.

    As good as the predictions. The interval counts only how contexts vary, not how wrong the model
    may be, so the verdict is never better than weak.

    Source: Dudik et al. 2014, Doubly Robust Policy Evaluation and Optimization.

    .. versionadded:: 0.1
    """

    name = "DM"

    def contribute(self, rows: Rows, /) -> Contributions:
        """Return the sum over actions of target times q."""
        _, modelled = _model(rows, self.name)
        return _mean(modelled, weight=None, modelled=True)


@attrs.frozen
class DR:
    """Starts from the predictions and corrects them with weighted residuals.

    Unbiased if either the logged probabilities are right or, without cross-fitting error, the
    predictions are; with both, of the least variance among these. Predict with `cross_fit`, so
    that no row is corrected by a model that has seen it.

    Attributes:
        clip: Weights are cut to this, in (0, inf].

    Source: Dudik et al. 2014, Doubly Robust Policy Evaluation and Optimization.

    .. versionadded:: 0.1
    """

    clip: float = attrs.field(default=math.inf, kw_only=True)

    def __attrs_post_init__(self) -> None:
        """Refuse a clip that leaves nothing."""
        _check_clip(self.clip)

    @property
    def name(self) -> str:
        """How reports call it."""
        return _named("DR", "clip", self.clip)

    def contribute(self, rows: Rows, /) -> Contributions:
        """Return modelled + min(w, clip) (r - predicted)."""
        return _corrected(rows, _clipped(rows.weight, self.clip), self.name)


@attrs.frozen
class SNDR:
    """Divides only DR's correction by the mean weight, never the predictions.

    Source: Thomas and Brunskill 2016, Data-Efficient Off-Policy Policy Evaluation
    (weighted doubly robust, one step). Value: mean(modelled) + sum(w (r - predicted)) / sum(w);
    standard error by the delta method.

    .. versionadded:: 0.1
    """

    name = "SNDR"

    def contribute(self, rows: Rows, /) -> Contributions:
        """Return modelled + w (r - predicted) / mean(w)."""
        predicted, modelled = _model(rows, self.name)
        w, n = rows.weight, rows.weight.size
        mean, centre = float(w.mean()), float(modelled.mean())
        share = w / mean if mean > 0.0 else w
        correction = rows.reward - predicted
        correction *= share
        shift = float(correction.mean())
        term = modelled + correction
        influence = term - centre
        influence -= share * shift
        value = centre + shift if mean > 0.0 else math.nan
        return Contributions(value, term, influence, degrees=n, weight=w, modelled=True)


@attrs.frozen
class SwitchDR:
    """Corrects the predictions only where the weight is small enough to trust.

    Attributes:
        threshold: Rows with a larger weight keep their prediction, 0 or more.

    Source: Wang, Agarwal, Dudik 2017, Optimal and Adaptive Off-policy Evaluation in Contextual
    Bandits, with DR in place of IPW as in Open Bandit Pipeline.

    .. versionadded:: 0.1
    """

    threshold: float

    def __attrs_post_init__(self) -> None:
        """Refuse a threshold below 0."""
        _from("threshold", self.threshold, low=0.0, below=math.inf)

    @property
    def name(self) -> str:
        """How reports call it."""
        return _named("SwitchDR", "threshold", self.threshold)

    def contribute(self, rows: Rows, /) -> Contributions:
        """Return modelled + w [w <= threshold] (r - predicted)."""
        return _corrected(rows, rows.weight * (rows.weight <= self.threshold), self.name)


@attrs.frozen
class DRos:
    """Shrinks large weights smoothly, by the bound that is best in mean squared error.

    Attributes:
        shrinkage: Lambda, 0 or more: 0 is DM, large values approach DR.

    Source: Su et al. 2020, Doubly robust off-policy evaluation with shrinkage:
    weight lambda w / (w^2 + lambda), which is not min(w, lambda).

    .. versionadded:: 0.1
    """

    shrinkage: float

    def __attrs_post_init__(self) -> None:
        """Refuse a shrinkage below 0."""
        _from("shrinkage", self.shrinkage, low=0.0, below=math.inf)

    @property
    def name(self) -> str:
        """How reports call it."""
        return _named("DRos", "shrinkage", self.shrinkage)

    def contribute(self, rows: Rows, /) -> Contributions:
        """Return modelled + lambda w / (w^2 + lambda) (r - predicted)."""
        if self.shrinkage == 0.0:
            return _corrected(rows, np.zeros_like(rows.weight), self.name)
        weight = rows.weight * rows.weight
        weight += self.shrinkage
        np.divide(rows.weight, weight, out=weight)
        weight *= self.shrinkage
        return _corrected(rows, weight, self.name)


@attrs.frozen
class SubgaussianIPW:
    """Bends weights so that the estimate's tails are those of a normal variable.

    Attributes:
        strength: Lambda in [0, 1): 0 is IPW.

    Source: Metelli, Russo, Restelli 2021, Subgaussian and Differentiable Importance Sampling for
    Off-Policy Evaluation and Learning (power s = -1): w / (1 - lambda + lambda w).

    .. versionadded:: 0.1
    """

    model_free: ClassVar[Literal[True]] = True
    strength: float

    def __attrs_post_init__(self) -> None:
        """Refuse a strength outside [0, 1)."""
        _from("strength", self.strength, low=0.0, below=1.0)

    @property
    def name(self) -> str:
        """How reports call it."""
        return _named("SubgaussianIPW", "strength", self.strength)

    def contribute(self, rows: Rows, /) -> Contributions:
        """Return w / (1 - lambda + lambda w) r."""
        weight = _bent(rows.weight, self.strength)
        return _mean(weight * rows.reward, weight=weight, modelled=False)


@attrs.frozen
class SubgaussianDR:
    """Corrects predictions with the bent weights of `SubgaussianIPW`.

    Attributes:
        strength: Lambda in [0, 1): 0 is DR.

    Source: as `SubgaussianIPW`.

    .. versionadded:: 0.1
    """

    strength: float

    def __attrs_post_init__(self) -> None:
        """Refuse a strength outside [0, 1)."""
        _from("strength", self.strength, low=0.0, below=1.0)

    @property
    def name(self) -> str:
        """How reports call it."""
        return _named("SubgaussianDR", "strength", self.strength)

    def contribute(self, rows: Rows, /) -> Contributions:
        """Return modelled + w / (1 - lambda + lambda w) (r - predicted)."""
        return _corrected(rows, _bent(rows.weight, self.strength), self.name)


def _check_clip(clip: float) -> None:
    if not clip > 0.0:
        reject(
            "clip", None, clip, "more than 0", "choose it by the weights you expect; math.inf clips nothing"
        )


def _named(name: str, parameter: str, value: float) -> str:
    return name if math.isinf(value) else f"{name}({parameter}={value:g})"


def _clipped(weight: Floats, clip: float) -> Floats:
    return weight if math.isinf(clip) else np.minimum(weight, clip)


def _bent(weight: Floats, strength: float) -> Floats:
    return weight / (1.0 - strength + strength * weight)


def _corrected(rows: Rows, weight: Floats, name: str) -> Contributions:
    predicted, modelled = _model(rows, name)
    term = rows.reward - predicted
    term *= weight
    term += modelled
    return _mean(term, weight=weight, modelled=True)


@attrs.frozen
class Estimate:
    """Says what the target policy would have earned per decision, how surely, and on what support.

    Attributes:
        value: The estimate. Given even without support, as arithmetic; NaN if no row has weight and
            the estimator divides by it.
        low: Lower bound.
        high: Upper bound.
        standard_error: Of the value; infinite without support.
        n: Number of rows.
        level: Share of samples in which the bounds are to hold the true value, in (0, 1).
        method: Estimator and interval, in words.
        diagnostics: How far the log supports all this.

    .. versionadded:: 0.1
    """

    value: float
    low: float
    high: float
    standard_error: float
    n: int
    level: float
    method: str
    diagnostics: Diagnostics

    def __str__(self) -> str:
        """Return one line, and one more for every reason to doubt it."""
        found = self.diagnostics
        line = (
            f"{self.value:.6g}, {100 * self.level:g} % interval {self.low:.6g} to {self.high:.6g} "
            f"({self.method}; {self.n:,} rows worth {found.effective_rows:,.0f}): {found.verdict}"
        )
        return "\n".join([line, *(f"  - {reason}" for reason in found.reasons)])


_DOUBLY_ROBUST = DR()
_NORMAL = Normal()


def estimate(
    logged: Logged,
    target: npt.ArrayLike,
    *,
    estimator: Estimator = _DOUBLY_ROBUST,
    q: npt.ArrayLike | None = None,
    level: float = 0.95,
    reward_range: tuple[float, float] | None = None,
    interval: Interval = _NORMAL,
) -> Estimate:
    """Estimate the mean reward of a target policy from rows that another policy logged.

    Without support (verdict "unsupported") the bounds are those of `reward_range`, or infinite, and
    the standard error is infinite: the value stays, to be looked at but not believed. With a
    range, bounds are cut to it, while the value is left as it came: IPW can leave the range. When
    all rewards with weight are equal or the measured spread is 0, the bounds are at least those
    of `alike_bounds`, with the largest weight seen as its cap.

    Args:
        logged: The rows.
        target: Shape (n, k), the target's probability of every action for every row; or shape (n,),
            of the logged action alone, for estimators without a model. `np.broadcast_to` serves
            for a target that ignores the row.
        estimator: How rows contribute. The default, DR, needs `q`; SNIPW and IPW do not.
        q: Shape (n, k), finite: predicted reward of every action for every row, from `cross_fit`.
        level: Share of samples in which the bounds are to hold, in (0, 1).
        reward_range: Lowest and highest reward there can be.
        interval: How contributions become bounds; `CressieRead` for rare rewards of independent rows.

    Raises:
        EvaluationError: Malformed input, named by row and field; predictions missing; or an
            interval that does not apply.

    .. versionadded:: 0.1
    """
    if not 0.0 < level < 1.0:
        reject("level", None, level, "more than 0 and less than 1", "give 0.95 for 95 %")
    if reward_range is not None:
        _check_range(logged.reward, reward_range)
    rows = overlap(logged, target, q=q)
    return judge(
        rows,
        probability=logged.probability,
        estimator=estimator,
        level=level,
        reward_range=reward_range,
        interval=interval,
    )


def judge(
    rows: Rows,
    /,
    *,
    probability: Floats,
    estimator: Estimator,
    level: float = 0.95,
    reward_range: tuple[float, float] | None = None,
    interval: Interval = _NORMAL,
) -> Estimate:
    """Estimate from rows that are weighed already: what ``estimate`` does once it has weighed them.

    Args:
        rows: The weighed rows.
        probability: Shape (n,), float64, in (0, 1]: the logged probabilities.
        estimator: How rows contribute.
        level: Share of samples in which the bounds are to hold, in (0, 1).
        reward_range: Lowest and highest reward there can be.
        interval: How contributions become bounds.

    Raises:
        EvaluationError: The estimator or the interval does not apply to such rows.
    """
    n = rows.reward.size
    with np.errstate(over="ignore", invalid="ignore"):  # overflow ends as an unsupported estimate
        found = estimator.contribute(rows)
        error = standard_error(found.influence, degrees=found.degrees, groups=rows.groups)
        facts = diagnose(rows, found, probability=probability, bounded=reward_range is not None)
        # Asked even when its answer will not be used, so that a misuse never depends on the data.
        low, high = interval.bounds(rows, found, standard_error=error, level=level, reward_range=reward_range)
    if facts.verdict != "unsupported":
        if reward_range is not None:
            if facts.alike and not isinstance(interval, CountsUnseen):
                low, high = _widened(low, high, rows, found, facts, level, reward_range)
            low, high = max(low, reward_range[0]), min(high, reward_range[1])
        if low <= high:
            method = f"{estimator.name}, {interval.name} interval"
            return Estimate(found.value, low, high, error, n, level, method, facts)
        reason = f"the {interval.name} interval lies outside reward_range: the weights cannot be right"
        facts = attrs.evolve(facts, verdict="unsupported", reasons=(reason, *facts.reasons))
    low, high = reward_range or (-math.inf, math.inf)
    method = f"{estimator.name}, no interval"
    return Estimate(found.value, low, high, math.inf, n, level, method, facts)


def doubted(found: Estimate, seen: int, /) -> Estimate:
    """The same, at best weak where the policy may know the answers of so many of the rows."""
    if not seen:
        return found
    facts = found.diagnostics
    reason = (
        f"the policy may have learned from {seen:,} of these {found.n:,} rows, so it looks better than it is:"
        " teach it on one part of joined(agent).split() and judge it by the other"
    )
    if facts.verdict == "unsupported":
        facts = attrs.evolve(facts, reasons=(*facts.reasons, reason))
    else:
        facts = attrs.evolve(facts, verdict="weak", reasons=(reason, *facts.reasons))
    return attrs.evolve(found, diagnostics=facts)


def _widened(
    low: float,
    high: float,
    rows: Rows,
    found: Contributions,
    facts: Diagnostics,
    level: float,
    reward_range: tuple[float, float],
) -> tuple[float, float]:
    """Stretch bounds that no spread supports to those that equal rewards allow."""
    seen = rows.reward[rows.weight > 0.0]
    same = float(seen[0]) if seen.min() == seen.max() else found.value
    n = rows.reward.size if rows.groups is None else int(rows.groups.max()) + 1
    cap = max(1.0, facts.largest_weight)
    inside = min(max(same, reward_range[0]), reward_range[1])
    least, most = alike_bounds(inside, n=n, weight_cap=cap, level=level, reward_range=reward_range)
    return min(low, least), max(high, most)


def _check_range(reward: Floats, reward_range: tuple[float, float]) -> None:
    low, high = reward_range
    if not -math.inf < low < high < math.inf:
        remedy = "give the lowest and the highest reward there can be"
        reject("reward_range", None, reward_range, "two finite numbers in order", remedy)
    for row in (int(reward.argmin()), int(reward.argmax())):
        if not low <= reward[row] <= high:
            remedy = "widen reward_range to every reward that can occur"
            reject("reward", row, reward[row], f"a number from {low} to {high}", remedy)
