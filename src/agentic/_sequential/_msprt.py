"""Do pairs differ on average? The mixture sequential probability ratio test."""

from __future__ import annotations

import math

import attrs
import numpy as np
import numpy.typing as npt

from agentic._sequential._bounded import ConfidenceSequence, check_alpha, times_of
from agentic._sequential._checks import LARGEST_LOG, Floats, reject


@attrs.frozen(eq=False)
class MSPRT:
    """Holds what the test says after each pair.

    Attributes:
        ratio: Shape (n,), float64: the mixture likelihood ratio, an e-value against "no difference".
        p_value: Shape (n,), float64: always valid, never rising: the least of 1 over the ratios so far.
        sequence: Bounds on the mean difference that hold at all pairs together, not narrowed.

    .. versionadded:: 0.1
    """

    ratio: Floats
    p_value: Floats
    sequence: ConfidenceSequence


def msprt(
    differences: npt.ArrayLike, /, *, variance: float, mixing_variance: float, alpha: float = 0.05
) -> MSPRT:
    """Test after each pair whether differences have mean zero, their variance being known.

    Args:
        differences: Shape (n,), treatment minus control, in the order the pairs were complete.
        variance: Of one difference, above 0.
        mixing_variance: Of the normal distribution of effects one expects, above 0.
        alpha: Chance of ever missing the mean difference, for the bounds.

    Source: Johari, Koomen, Pekelis and Walsh 2017, Peeking at A/B tests, equations 9 to 11.

    .. versionadded:: 0.1
    """
    values = np.asarray(differences, dtype=np.float64)
    check_alpha(alpha)
    if values.ndim != 1 or not values.size or not np.isfinite(values).all():
        reject(
            "differences", values.shape, "finite numbers of shape (n,), n above 0", "give whole pairs only"
        )
    for field, number in (("variance", variance), ("mixing_variance", mixing_variance)):
        if not (math.isfinite(number) and number > 0.0):
            reject(field, number, "a finite number above 0", "estimate it from earlier data")
    t = times_of(values)
    mean = values.cumsum() / t
    total = variance + t * mixing_variance
    log_ratio = 0.5 * np.log(variance / total) + t * t * mixing_variance * mean * mean / (
        2.0 * variance * total
    )
    log_ratio = log_ratio.clip(max=LARGEST_LOG)
    p_value = np.minimum(1.0, np.exp(-np.maximum.accumulate(log_ratio)))
    margin = np.sqrt(
        2.0
        * variance
        * total
        / (t * t * mixing_variance)
        * (0.5 * np.log(total / variance) - math.log(alpha))
    )
    return MSPRT(np.exp(log_ratio), p_value, ConfidenceSequence(mean - margin, mean + margin))
