"""What do the logged rewards say when weighed: estimators that need no reward predictions."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import attrs
import numpy as np

from agentic._offpolicy._estimator import averaged, bent, check_clip, check_from, clipped, named
from agentic._offpolicy._intervals import Contributions
from agentic._offpolicy._logged import Rows


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
        check_from("strength", self.strength, low=0.0, below=1.0)

    @property
    def name(self) -> str:
        """How reports call it."""
        return named("SubgaussianIPW", "strength", self.strength)

    def contribute(self, rows: Rows, /) -> Contributions:
        """Return w / (1 - lambda + lambda w) r."""
        weight = bent(rows.weight, self.strength)
        return averaged(weight * rows.reward, weight=weight, modelled=False)
