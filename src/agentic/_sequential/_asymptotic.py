"""How far does the bound of an asymptotic confidence sequence lie from the estimate?"""

from __future__ import annotations

import math
from typing import Literal


def tuning(tuned_at: float, *, alpha: float) -> float:
    """Return the squared scale of the mixture that makes the sequence tightest at `tuned_at` rows.

    Args:
        tuned_at: Rows of both arms, above 0.
        alpha: Two-sided error, in (0, 1); twice the error of a one-sided sequence.

    Source: Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas 2021, Time-uniform central limit theory and
    asymptotic confidence sequences, appendix B.2, in the closed form that GrowthBook uses.
    """
    bend = -2.0 * math.log(alpha)
    return (bend + math.log1p(bend)) / tuned_at


def asymptotic_radius(
    standard_error: float, rows: float, *, alpha: float, tuned_at: float, sides: Literal[1, 2]
) -> float:
    """Return how far the bound of an asymptotic confidence sequence lies from the estimate.

    Args:
        standard_error: Of the estimate, from all rows so far.
        rows: Rows so far; of both arms for a difference.
        alpha: Chance of ever missing in the limit of many rows, in (0, 1): of both bounds together with
            two sides, of the one bound with one.
        tuned_at: Rows at which the bound is tightest, above 0.
        sides: 2 for an interval, 1 for a bound on one side.

    Source: Waudby-Smith and others 2021 (arXiv 2103.06476), theorem 2.2 for two sides and its one-sided
    form as GrowthBook states it.

    .. versionadded:: 0.1
    """
    if not (rows > 0.0 and math.isfinite(standard_error)):
        return math.inf
    scaled = rows * tuning(tuned_at, alpha=alpha * (3 - sides))
    root = math.sqrt(scaled + 1.0)
    odds = math.log(root / alpha) if sides == 2 else math.log1p(root / (2.0 * alpha))
    return standard_error * math.sqrt(2.0 * (scaled + 1.0) / scaled * odds)
