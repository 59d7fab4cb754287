"""How far may a sum of centred observations wander? Boundaries that it crosses at no time but rarely."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from agentic._sequential._checks import Floats, reject
from agentic._sequential._special import gamma_shares, log_beta, log_gamma


def mixture_scale(tuned_at: float, /, *, alpha: float) -> float:
    """Return the mixture's scale, in units of intrinsic time, that is tightest at `tuned_at`.

    Args:
        tuned_at: Intrinsic time, above 0.
        alpha: Two-sided error; twice the error of a one-sided boundary.

    Source: Howard, Ramdas, McAuliffe and Sekhon 2021, Time-uniform, nonparametric, nonasymptotic
    confidence sequences, section 3.5, in the closed form of the authors' package.
    """
    bend = -2.0 * math.log(alpha)
    return tuned_at / (bend + math.log1p(bend))


def normal_boundary(v: npt.ArrayLike, /, *, alpha: float, tuned_at: float) -> Floats:
    """Return the boundary of the two-sided normal mixture, for sub-Gaussian sums.

    Args:
        v: Shape (...), intrinsic times, above 0: the sums' variances.
        alpha: Chance that the absolute sum ever exceeds it, in (0, 1).
        tuned_at: Intrinsic time at which it is tightest.

    Source: Howard and others 2021, proposition 5 and equation 14.

    .. versionadded:: 0.1
    """
    times = _times(v)
    scale = mixture_scale(tuned_at, alpha=alpha)
    boundary: Floats = np.sqrt((times + scale) * (np.log1p(times / scale) - 2.0 * math.log(alpha)))
    return boundary


def one_sided_normal_boundary(v: npt.ArrayLike, /, *, alpha: float, tuned_at: float) -> Floats:
    """Return the boundary of the one-sided normal mixture, for sums that are sub-Gaussian above.

    Args:
        v: Shape (...), intrinsic times, above 0.
        alpha: Chance that the sum ever exceeds it, in (0, 1/2).
        tuned_at: Intrinsic time at which it is tightest.

    Source: Howard and others 2021, proposition 6.

    .. versionadded:: 0.1
    """
    times = _times(v)
    scale = mixture_scale(tuned_at, alpha=2.0 * alpha)

    def log_mixture(s: Floats) -> Floats:
        half = s * s / (2.0 * (times + scale))
        below = 0.5 + 0.5 * gamma_shares(0.5, half)[0]
        answer: Floats = 0.5 * np.log(4.0 * scale / (times + scale)) + half + np.log(below)
        return answer

    return _crossing(log_mixture, -math.log(alpha), np.sqrt(times + scale))


def gamma_exponential_boundary(
    v: npt.ArrayLike, /, *, alpha: float, tuned_at: float, scale: float = 1.0
) -> Floats:
    """Return the boundary of the gamma-exponential mixture, for sums that are sub-exponential above.

    With observations in [0, 1] and v the sum of squared prediction errors it is the boundary of an
    empirical Bernstein sequence.

    Args:
        v: Shape (...), intrinsic times, above 0.
        alpha: Chance that the sum ever exceeds it, in (0, 1/2).
        tuned_at: Intrinsic time at which it is tightest.
        scale: The sub-exponential scale c, above 0: 1 for observations in [0, 1].

    Source: Howard and others 2021, proposition 9.

    .. versionadded:: 0.1
    """
    times = _times(v)
    square = scale * scale
    rho = mixture_scale(tuned_at, alpha=2.0 * alpha) / square
    shape = times / square + rho
    lead = rho * math.log(rho) - math.lgamma(rho) - math.log(float(gamma_shares(rho, rho)[0]))
    fixed = lead + log_gamma(shape)

    def log_mixture(s: Floats) -> Floats:
        x = s / scale + shape
        answer: Floats = fixed + np.log(gamma_shares(shape, x)[0]) - shape * np.log(x) + x - rho
        return answer

    return _crossing(log_mixture, -math.log(alpha), np.sqrt(times + rho * square))


def gamma_poisson_boundary(
    v: npt.ArrayLike, /, *, alpha: float, tuned_at: float, scale: float = 1.0
) -> Floats:
    """Return the boundary of the gamma-Poisson mixture, for sums that are sub-Poisson above.

    Args:
        v: Shape (...), intrinsic times, above 0.
        alpha: Chance that the sum ever exceeds it, in (0, 1/2).
        tuned_at: Intrinsic time at which it is tightest.
        scale: The largest step c, above 0.

    Source: Howard and others 2021, proposition 10.

    .. versionadded:: 0.1
    """
    times = _times(v)
    square = scale * scale
    rho = mixture_scale(tuned_at, alpha=2.0 * alpha) / square
    rate = times / square + rho
    lead = rho * math.log(rho) - math.lgamma(rho) - math.log(float(gamma_shares(rho, rho)[1]))

    def log_mixture(s: Floats) -> Floats:
        shape = s / scale + rate
        upper = np.log(gamma_shares(shape, rate)[1])
        answer: Floats = lead + log_gamma(shape) + upper - shape * np.log(rate) + times / square
        return answer

    return _crossing(log_mixture, -math.log(alpha), np.sqrt(times + rho * square))


def beta_binomial_boundary(
    v: npt.ArrayLike, /, *, alpha: float, tuned_at: float, below: float, above: float
) -> Floats:
    """Return the boundary of the two-sided beta-binomial mixture, for sums of steps of two sizes.

    Args:
        v: Shape (...), intrinsic times, above 0: `below` times `above` for every observation.
        alpha: Chance that the mixture ever exceeds 1 / `alpha`, both sides together.
        tuned_at: Intrinsic time at which it is tightest.
        below: How far a step may go down; the mean, for observations of 0 and 1.
        above: How far it may go up; 1 less the mean.

    Returns:
        The boundary above; v / `below`, the largest sum there can be, where none is crossed.

    Source: Howard and others 2021, proposition 7.

    .. versionadded:: 0.1
    """
    times = _times(v)
    most = times / below

    def log_mixture(s: Floats) -> Floats:
        return log_beta_binomial(s, times, tuned_at=tuned_at, alpha=alpha, below=below, above=above)

    return _crossing(log_mixture, -math.log(alpha), most, most=most)


def stitched_boundary(v: npt.ArrayLike, /, *, alpha: float, least: float = 1.0, scale: float = 0.0) -> Floats:
    """Return the polynomially stitched boundary, which grows as slowly as a law of the iterated logarithm.

    Args:
        v: Shape (...), intrinsic times; those below `least` count as `least`.
        alpha: Chance that the sum ever exceeds it, in (0, 1).
        least: Intrinsic time from which on it is tight, above 0.
        scale: The sub-gamma scale c, 0 for sub-Gaussian sums.

    Source: Howard and others 2021, equation 10, with epochs that double and the exponent 1.4.

    .. versionadded:: 0.1
    """
    times = np.maximum(_times(v), least)
    power, growth = 1.4, 2.0
    first = (growth**0.25 + growth**-0.25) / math.sqrt(2.0)
    second = 0.5 * (math.sqrt(growth) + 1.0)
    constant = math.log(_zeta(power) / math.log(growth) ** power) - math.log(alpha)
    budget = power * np.log(np.log(growth * times / least)) + constant
    linear = second * scale * budget
    boundary: Floats = np.sqrt(first * first * times * budget + linear * linear) + linear
    return boundary


def _zeta(s: float, /) -> float:
    """Return Riemann's zeta function above 1: twenty terms, then Euler and Maclaurin's formula."""
    n = 20.0
    total = math.fsum(math.pow(k, -s) for k in range(1, int(n)))
    tail = math.pow(n, 1.0 - s) / (s - 1.0) + 0.5 * math.pow(n, -s) + s * math.pow(n, -s - 1.0) / 12.0
    third = -s * (s + 1.0) * (s + 2.0) * math.pow(n, -s - 3.0) / 720.0
    fifth = s * (s + 1.0) * (s + 2.0) * (s + 3.0) * (s + 4.0) * math.pow(n, -s - 5.0) / 30240.0
    return total + tail + third + fifth


def log_beta_binomial(
    s: npt.ArrayLike,
    v: npt.ArrayLike,
    *,
    tuned_at: npt.ArrayLike,
    alpha: float,
    below: npt.ArrayLike,
    above: npt.ArrayLike,
) -> Floats:
    """Return the logarithm of the two-sided beta-binomial mixture of sums `s` at intrinsic times `v`."""
    s, v, g, h = (np.asarray(value, np.float64) for value in (s, v, below, above))
    tuned = np.asarray(tuned_at, np.float64) * mixture_scale(1.0, alpha=alpha)
    r = np.maximum(tuned - g * h, 1e-3 * g * h)
    both = g + h
    answer: Floats = (
        v / (g * h) * np.log(both)
        - (v + h * s) / (h * both) * np.log(g)
        - (v - g * s) / (g * both) * np.log(h)
        + log_beta((r + v - g * s) / (g * both), (r + v + h * s) / (h * both))
        - log_beta(r / (g * both), r / (h * both))
    )
    return answer


def _times(v: npt.ArrayLike) -> Floats:
    times = np.asarray(v, dtype=np.float64)
    if not (np.isfinite(times) & (times >= 0.0)).all():
        reject("v", str(float(times.min())), "finite intrinsic times of 0 or more", "give sums of variances")
    return times


def _crossing(
    log_mixture: Callable[[Floats], Floats], threshold: float, start: Floats, *, most: Floats | None = None
) -> Floats:
    """Return where a mixture, rising in the sum, reaches the threshold: by doubling, then bisection."""
    high = np.array(start, dtype=np.float64)
    if most is None:
        while (short := log_mixture(high) < threshold).any():
            high = np.where(short, 2.0 * high, high)
    low = np.zeros_like(high)
    for _ in range(60):
        middle = 0.5 * (low + high)
        beyond = log_mixture(middle) >= threshold
        low, high = np.where(beyond, low, middle), np.where(beyond, middle, high)
    return high
