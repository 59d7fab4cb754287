"""Where is the mean of outcomes between 0 and 1? Confidence sequences that hold at all times together."""

from __future__ import annotations

import math
from typing import Final

import attrs
import numpy as np
import numpy.typing as npt

from agentic._sequential._asymptotic import tuning
from agentic._sequential._boundaries import (
    gamma_exponential_boundary,
    log_beta_binomial,
    normal_boundary,
)
from agentic._sequential._checks import Floats, reject

_STEPS: Final = 60


@attrs.frozen(eq=False)
class ConfidenceSequence:
    """Holds bounds at many times that all hold together.

    Attributes:
        lower: Shape (..., times), float64.
        upper: Shape (..., times), float64.

    .. versionadded:: 0.1
    """

    lower: Floats
    upper: Floats

    @property
    def width(self) -> Floats:
        """How far apart the bounds are: shape (..., times)."""
        return self.upper - self.lower

    @property
    def narrowed(self) -> ConfidenceSequence:
        """The same, every bound at least as tight as any before: as valid, for a mean that stays."""
        lower = np.maximum.accumulate(self.lower, axis=-1)
        return ConfidenceSequence(lower, np.minimum.accumulate(self.upper, axis=-1))

    def misses(self, mean: npt.ArrayLike, /) -> npt.NDArray[np.bool_]:
        """Return whether a mean lies outside at any time: shape (...)."""
        at = np.asarray(mean)[..., None]
        return np.asarray(((at < self.lower) | (at > self.upper)).any(axis=-1))


def as_unit(x: npt.ArrayLike) -> Floats:
    """Return observations as float64 in [0, 1] of shape (..., n), n above 0; never quotes one in an error.

    Raises:
        EvaluationError: Other than that.
    """
    values = np.asarray(x, dtype=np.float64)
    if values.ndim == 0 or values.shape[-1] == 0:
        reject(
            "x", values.shape, "a shape (..., n) with n above 0", "give observations in the order they came"
        )
    if not ((values >= 0.0) & (values <= 1.0)).all():  # NaN is neither
        remedy = "scale them by the lowest and highest outcome there can be"
        reject("x", "outside", "observations between 0 and 1", remedy)
    return values


def check_alpha(alpha: float) -> None:
    """Refuse what is no error.

    Raises:
        EvaluationError: Not strictly between 0 and 1.
    """
    if not 0.0 < alpha < 1.0:
        reject("alpha", alpha, "a number above 0 and below 1", "give the chance of missing, such as 0.05")


def times_of(x: Floats) -> Floats:
    """Return 1 to n."""
    return np.arange(1.0, x.shape[-1] + 1.0)


def shifted(x: Floats, first: float) -> Floats:
    """Return what was known before each observation: `first`, then all but the last."""
    out = np.empty_like(x)
    out[..., 0] = first
    out[..., 1:] = x[..., :-1]
    return out


def predictable_stakes(x: Floats, *, alpha: float) -> Floats:
    """Return stakes that are set before each observation by the spread of those before.

    Source: Waudby-Smith and Ramdas 2024, equation 26, with one prior observation of mean 1/2 and
    variance 1/4; the mean is capped at 1, for weighted rewards.
    """
    t = times_of(x)
    mean = np.minimum((0.5 + x.cumsum(axis=-1)) / (t + 1.0), 1.0)
    variance = shifted((0.25 + ((x - mean) ** 2).cumsum(axis=-1)) / (t + 1.0), 0.25)
    stakes: Floats = np.sqrt(-2.0 * math.log(alpha) / (t * np.log1p(t) * variance))
    return stakes


def bernstein_lower(
    x: Floats, *, alpha: float, truncation: float = 0.5, mean_cap: float = math.inf
) -> Floats:
    """Return a lower confidence sequence for the mean of observations that are not negative.

    Args:
        x: Shape (..., n), 0 or more, not bounded above.
        alpha: Chance of ever lying above the mean.
        truncation: The largest stake, in (0, 1).
        mean_cap: What the running mean is cut to when it predicts, 1 for weighted rewards.

    Source: Waudby-Smith and Ramdas 2024, theorem 2: predictable plug-in empirical Bernstein.
    """
    t = times_of(x)
    stakes = np.minimum(predictable_stakes(x, alpha=alpha), truncation)
    predicted = shifted(np.minimum(x.cumsum(axis=-1) / t, mean_cap), 0.0)
    spent = ((x - predicted) ** 2 * (-np.log1p(-stakes) - stakes)).cumsum(axis=-1)
    total = stakes.cumsum(axis=-1)
    lower: Floats = ((stakes * x).cumsum(axis=-1) - (spent - math.log(alpha))) / total
    return np.maximum(lower, 0.0)


def bernstein_sequence(
    x: npt.ArrayLike, /, *, alpha: float = 0.05, truncation: float = 0.5
) -> ConfidenceSequence:
    """Return the predictable plug-in empirical Bernstein sequence: closed form, adapts to the spread.

    Args:
        x: Shape (..., n), in [0, 1], in the order they came.
        alpha: Chance of ever missing the mean, in (0, 1).
        truncation: The largest stake, in (0, 1).

    Source: Waudby-Smith and Ramdas 2024, theorem 2.

    .. versionadded:: 0.1
    """
    values = as_unit(x)
    check_alpha(alpha)
    lower = bernstein_lower(values, alpha=alpha / 2.0, truncation=truncation)
    return ConfidenceSequence(
        lower, 1.0 - bernstein_lower(1.0 - values, alpha=alpha / 2.0, truncation=truncation)
    )


def hoeffding_sequence(
    x: npt.ArrayLike, /, *, alpha: float = 0.05, truncation: float = 1.0
) -> ConfidenceSequence:
    """Return the predictable plug-in Hoeffding sequence: closed form, blind to the spread.

    Args:
        x: Shape (..., n), in [0, 1], in the order they came.
        alpha: Chance of ever missing the mean, in (0, 1).
        truncation: The largest stake, above 0.

    Source: Waudby-Smith and Ramdas 2024, proposition 1.

    .. versionadded:: 0.1
    """
    values = as_unit(x)
    check_alpha(alpha)
    t = times_of(values)
    cost = -math.log(alpha / 2.0)
    stakes = np.minimum(np.sqrt(8.0 * cost / (t * np.log1p(t))), truncation)
    centre = (stakes * values).cumsum(axis=-1) / stakes.cumsum()
    margin = (cost + (stakes * stakes / 8.0).cumsum()) / stakes.cumsum()
    return ConfidenceSequence(np.maximum(centre - margin, 0.0), np.minimum(centre + margin, 1.0))


def normal_mixture_sequence(
    x: npt.ArrayLike, /, *, alpha: float = 0.05, tuned_at: float = 500.0
) -> ConfidenceSequence:
    """Return the conjugate-mixture Hoeffding sequence: closed form, blind to the spread, no stakes to set.

    Args:
        x: Shape (..., n), in [0, 1], in the order they came.
        alpha: Chance of ever missing the mean, in (0, 1).
        tuned_at: Number of observations at which it is tightest.

    Source: Howard and others 2021, equation 14, with variance 1/4 for each observation.

    .. versionadded:: 0.1
    """
    values = as_unit(x)
    check_alpha(alpha)
    t = times_of(values)
    mean = values.cumsum(axis=-1) / t
    margin = normal_boundary(t / 4.0, alpha=alpha, tuned_at=tuned_at / 4.0) / t
    return ConfidenceSequence(np.maximum(mean - margin, 0.0), np.minimum(mean + margin, 1.0))


def gamma_mixture_sequence(
    x: npt.ArrayLike, /, *, alpha: float = 0.05, tuned_at: float = 50.0
) -> ConfidenceSequence:
    """Return the conjugate-mixture empirical Bernstein sequence: adapts to the spread, root-found.

    Args:
        x: Shape (..., n), in [0, 1], in the order they came.
        alpha: Chance of ever missing the mean, in (0, 1); each side takes half.
        tuned_at: Sum of squared prediction errors at which it is tightest.

    Source: Howard and others 2021, theorem 4 with the gamma-exponential mixture of proposition 9. The
    authors' package halves alpha once more (`conjmix_empbern`), which we do not.

    .. versionadded:: 0.1
    """
    values = as_unit(x)
    check_alpha(alpha)
    t = times_of(values)
    mean = values.cumsum(axis=-1) / t
    # The squared errors are the same from below and above, since the first prediction is one half.
    v = ((values - shifted(mean, 0.5)) ** 2).cumsum(axis=-1)
    margin = gamma_exponential_boundary(v, alpha=alpha / 2.0, tuned_at=tuned_at) / t
    return ConfidenceSequence(np.maximum(mean - margin, 0.0), np.minimum(mean + margin, 1.0))


def bernoulli_bounds(
    successes: npt.ArrayLike,
    rows: npt.ArrayLike,
    /,
    *,
    alpha: float = 0.05,
    tuned_at: float = 500.0,
    tuned_alpha: float | None = None,
) -> ConfidenceSequence:
    """Return the exact bounds on a rate that hold at all times: beta-binomial mixture, from counts.

    Args:
        successes: Shape (...): so far, at each time.
        rows: Shape (...): so far, 1 or more.
        alpha: Chance of ever missing the rate, in (0, 1).
        tuned_at: Number of rows at which they are tightest.
        tuned_alpha: Error for which they are tightest, `alpha` if None.

    Source: Howard and others 2021, proposition 7; Robbins 1970 for the idea.

    .. versionadded:: 0.1
    """
    x, n = np.broadcast_arrays(np.asarray(successes, np.float64), np.asarray(rows, np.float64))
    check_alpha(alpha)
    if not ((n >= 1.0) & (x >= 0.0) & (x <= n)).all():
        reject("successes", "other", "0 <= successes <= rows and rows >= 1", "give counts since the start")
    found = x / n
    tuned = alpha if tuned_alpha is None else tuned_alpha

    def outside(p: Floats) -> npt.NDArray[np.bool_]:
        q = np.clip(p, 1e-300, 1.0 - 1e-16)
        variance = q * (1.0 - q)
        log_e = log_beta_binomial(
            x - n * q,
            variance * n,
            tuned_at=variance * tuned_at,
            alpha=tuned,
            below=q,
            above=1.0 - q,
        )
        beyond: npt.NDArray[np.bool_] = log_e > -math.log(alpha)
        return beyond

    lower, upper = np.zeros_like(found), np.ones_like(found)
    low, high = found.copy(), found.copy()  # inside
    for _ in range(_STEPS):
        middle = 0.5 * (lower + low)
        beyond = outside(middle)
        lower, low = np.where(beyond, middle, lower), np.where(beyond, low, middle)
        middle = 0.5 * (upper + high)
        beyond = outside(middle)
        upper, high = np.where(beyond, middle, upper), np.where(beyond, high, middle)
    return ConfidenceSequence(np.where(x > 0.0, lower, 0.0), np.where(x < n, upper, 1.0))


def bernoulli_sequence(
    x: npt.ArrayLike, /, *, alpha: float = 0.05, tuned_at: float = 500.0, tuned_alpha: float | None = None
) -> ConfidenceSequence:
    """Return the exact sequence for a rate, from observations of 0 and 1: see `bernoulli_bounds`.

    Args:
        x: Shape (..., n), 0 or 1, in the order they came.
        alpha: Chance of ever missing the rate, in (0, 1).
        tuned_at: Number of rows at which it is tightest.
        tuned_alpha: Error for which it is tightest, `alpha` if None.

    .. versionadded:: 0.1
    """
    values = as_unit(x)
    if not ((values == 0.0) | (values == 1.0)).all():
        reject("x", "between", "0 or 1", "use betting_sequence for outcomes between")
    counts = values.cumsum(axis=-1)
    return bernoulli_bounds(counts, times_of(values), alpha=alpha, tuned_at=tuned_at, tuned_alpha=tuned_alpha)


def asymptotic_sequence(
    x: npt.ArrayLike,
    /,
    *,
    alpha: float = 0.05,
    tuned_at: float = 500.0,
    least_carrying: float = 30.0,
) -> ConfidenceSequence:
    """Return the asymptotic sequence for the mean of observations of any size: closed form, not exact.

    Its error holds in the limit. Where outcomes are rare it fails badly from the start, so while fewer than
    `least_carrying` rows carry the spread its bounds are infinite.

    Args:
        x: Shape (..., n), finite, in the order they came.
        alpha: Chance of ever missing the mean, in (0, 1).
        tuned_at: Number of observations at which it is tightest.
        least_carrying: Rows that are not 0, and not 1, before anything is said.

    Source: Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas 2021 (arXiv 2103.06476), theorem 2.2.

    .. versionadded:: 0.1
    """
    values = np.asarray(x, dtype=np.float64)
    check_alpha(alpha)
    if values.ndim == 0 or not np.isfinite(values).all():
        reject("x", values.shape, "finite observations of shape (..., n)", "leave out what is not known yet")
    t = times_of(values)
    # Sums of squares lose the spread where the mean is large: take them about the first observation.
    about = values - values[..., :1]
    mean = about.cumsum(axis=-1) / t
    variance = np.maximum((about * about).cumsum(axis=-1) / t - mean * mean, 0.0)
    scaled = t * tuning(tuned_at, alpha=alpha)
    odds = 0.5 * np.log1p(scaled) - math.log(alpha)
    margin = np.sqrt(variance / t * 2.0 * (scaled + 1.0) / scaled * odds)
    carrying = np.minimum((values != 0.0).cumsum(axis=-1), (values != 1.0).cumsum(axis=-1))
    margin = np.where(carrying >= least_carrying, margin, np.inf)
    centre = mean + values[..., :1]
    return ConfidenceSequence(centre - margin, centre + margin)
