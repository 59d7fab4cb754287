"""What do the logged rewards say when weighed: estimators that need no reward predictions."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import attrs
import numpy as np

from agentic._offpolicy._estimator import averaged, bent, check_clip, check_from, clipped, named
from agentic._offpolicy._intervals import Contributions
from agentic._offpolicy._logged import Rows, reject
from agentic.errors import EvaluationError

_ROUNDING = 1e-9


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
        check_clip(self.clip)

    @property
    def name(self) -> str:
        """How reports call it."""
        return named("IPW", "clip", self.clip)

    def contribute(self, rows: Rows, /) -> Contributions:
        """Return min(w, clip) r."""
        weight = clipped(rows.weight, self.clip)
        return averaged(weight * rows.reward, weight=weight, modelled=False)


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
class BIPW:
    """Weighs by importances that were estimated instead of logged, and divides by their sum.

    For logs without probabilities, or whose probabilities cannot be trusted: estimate the importances with
    `balanced_weights`, take the rows with `weighed`, and `judge` them. The estimate is as good as the
    classifier behind the importances, and the interval leaves out its error.

    Source: Sondhi, Arbour, Dimmery 2020, Balanced Off-Policy Evaluation in General Action Spaces.
    Value: sum(w r) / sum(w); standard error by the delta method, with the weights taken as known.

    .. versionadded:: 0.1
    """

    model_free: ClassVar[Literal[True]] = True
    name = "B-IPW"

    def contribute(self, rows: Rows, /) -> Contributions:
        """Return w r / mean(w)."""
        return SNIPW().contribute(rows)


@attrs.frozen
class Replay:
    """Averages the rewards of the rows whose action a deterministic target would have taken too.

    Unbiased when every action was equally likely to be logged; where probabilities differ, SNIPW is the
    one that corrects for it, and the verdict counts what was left uncorrected as altered weight.

    Source: Li, Chu, Langford, Wang 2011, Unbiased Offline Evaluation of Contextual-bandit-based News
    Article Recommendation Algorithms. Value: mean of r over matching rows.

    .. versionadded:: 0.1
    """

    model_free: ClassVar[Literal[True]] = True
    name = "Replay"

    def contribute(self, rows: Rows, /) -> Contributions:
        """Return r / mean(match) where the target takes the logged action, and 0 elsewhere.

        Raises:
            EvaluationError: The target is not deterministic, or the rows have no logged probabilities.
        """
        if rows.probability is None:
            message = (
                "Replay needs to know which rows the target repeats and the rows have no logged "
                "probabilities, expected rows of overlap(logged, target)"
            )
            raise EvaluationError(message, field="probability", value=None, expected="shape (n,)")
        match = rows.weight > 0.0
        chance = rows.weight * rows.probability
        drawn = match & (np.abs(chance - 1.0) > _ROUNDING)
        if drawn.any():
            row = int(np.argmax(drawn))
            reject("target", row, chance[row], "0 or 1", "use SNIPW() for a target that draws its actions")
        matching = rows.weight[match]
        least = float(matching.min()) if matching.size else 0.0
        even = not matching.size or least == matching.max()
        weight = rows.weight if even else np.where(match, least, 0.0)
        return SNIPW().contribute(attrs.evolve(rows, weight=weight))


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
        check_from("strength", self.strength, low=0.0, to=1.0)

    @property
    def name(self) -> str:
        """How reports call it."""
        return named("SubgaussianIPW", "strength", self.strength)

    def contribute(self, rows: Rows, /) -> Contributions:
        """Return w / (1 - lambda + lambda w) r."""
        weight = bent(rows.weight, self.strength)
        return averaged(weight * rows.reward, weight=weight, modelled=False)
