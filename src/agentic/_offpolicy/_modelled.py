"""What do reward predictions say, corrected by the log: the direct method and its doubly robust kin."""

from __future__ import annotations

import math

import attrs
import numpy as np

from agentic._offpolicy._estimator import averaged, bent, check_clip, check_from, clipped, named
from agentic._offpolicy._intervals import Contributions
from agentic._offpolicy._logged import Floats, Rows
from agentic.errors import EvaluationError


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
        return averaged(modelled, weight=None, modelled=True)


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
        check_clip(self.clip)

    @property
    def name(self) -> str:
        """How reports call it."""
        return named("DR", "clip", self.clip)

    def contribute(self, rows: Rows, /) -> Contributions:
        """Return modelled + min(w, clip) (r - predicted)."""
        return _corrected(rows, clipped(rows.weight, self.clip), self.name)


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
        threshold: Rows with a larger weight keep their prediction, 0 or more: 0 is DM, infinity
            is DR.

    Source: Wang, Agarwal, Dudik 2017, Optimal and Adaptive Off-policy Evaluation in Contextual
    Bandits, with DR in place of IPW as in Open Bandit Pipeline.

    .. versionadded:: 0.1
    """

    threshold: float

    def __attrs_post_init__(self) -> None:
        """Refuse a threshold below 0."""
        check_from("threshold", self.threshold, low=0.0, to=math.inf)

    @property
    def name(self) -> str:
        """How reports call it."""
        return named("SwitchDR", "threshold", self.threshold)

    def contribute(self, rows: Rows, /) -> Contributions:
        """Return modelled + w [w <= threshold] (r - predicted)."""
        if math.isinf(self.threshold):
            return _corrected(rows, rows.weight, self.name)
        return _corrected(rows, rows.weight * (rows.weight <= self.threshold), self.name)


@attrs.frozen
class DRos:
    """Shrinks large weights smoothly, by the bound that is best in mean squared error.

    Attributes:
        shrinkage: Lambda, 0 or more: 0 is DM, large values approach DR, which infinity is.

    Source: Su et al. 2020, Doubly robust off-policy evaluation with shrinkage:
    weight lambda w / (w^2 + lambda), which is not min(w, lambda).

    .. versionadded:: 0.1
    """

    shrinkage: float

    def __attrs_post_init__(self) -> None:
        """Refuse a shrinkage below 0."""
        check_from("shrinkage", self.shrinkage, low=0.0, to=math.inf)

    @property
    def name(self) -> str:
        """How reports call it."""
        return named("DRos", "shrinkage", self.shrinkage)

    def contribute(self, rows: Rows, /) -> Contributions:
        """Return modelled + lambda w / (w^2 + lambda) (r - predicted)."""
        if self.shrinkage == 0.0:
            return _corrected(rows, np.zeros_like(rows.weight), self.name)
        if math.isinf(self.shrinkage):
            return _corrected(rows, rows.weight, self.name)
        weight = rows.weight * rows.weight
        weight += self.shrinkage
        np.divide(rows.weight, weight, out=weight)
        weight *= self.shrinkage
        return _corrected(rows, weight, self.name)


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
        check_from("strength", self.strength, low=0.0, to=1.0)

    @property
    def name(self) -> str:
        """How reports call it."""
        return named("SubgaussianDR", "strength", self.strength)

    def contribute(self, rows: Rows, /) -> Contributions:
        """Return modelled + w / (1 - lambda + lambda w) (r - predicted)."""
        return _corrected(rows, bent(rows.weight, self.strength), self.name)


def _corrected(rows: Rows, weight: Floats, name: str) -> Contributions:
    predicted, modelled = _model(rows, name)
    term = rows.reward - predicted
    term *= weight
    term += modelled
    return averaged(term, weight=weight, modelled=True)


def _model(rows: Rows, name: str) -> tuple[Floats, Floats]:
    if rows.predicted is None or rows.modelled is None:
        message = (
            f"{name} predicts rewards and q is None, expected predictions of shape (n, k); pass "
            "q=cross_fit(...), or estimator=SNIPW(), which needs none"
        )
        raise EvaluationError(message, field="q", value=None, expected="shape (n, k)")
    return rows.predicted, rows.modelled
