"""Which tails and quantiles do tests and bounds need: of the normal distribution and of its offspring.

Everything comes from the two incomplete integrals, of the beta and of the gamma function. Each is summed on
the side where it is small, so that a tail of 1e-300 has as many good digits as one of 0.3. Degrees of
freedom and shapes are real numbers; infinite degrees stand for the normal limit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

_NORMAL: Final = NormalDist()
_EPSILON: Final = 2.0**-53
_TINY: Final = 1e-300
_MOST_STEPS: Final = 1_000_000
# From so many degrees on, and up to so large a t, Hill's expansion is right to 2e-13 of the tail.
_HILL_FROM: Final = 500.0
_HILL_ALWAYS_FROM: Final = 20_000.0
_STIRLING: Final = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156)


def normal_tail(z: float, /) -> float:
    """Return P(Z > z)."""
    return math.erfc(z / math.sqrt(2.0)) / 2.0


def normal_quantile(mass: float, /) -> float:
    """Return the z with P(Z <= z) = ``mass``, which is more than 0 and less than 1.

    Source: Wichura 1988, Algorithm AS 241, as the standard library has it.
    """
    return _NORMAL.inv_cdf(mass)


def t_tail(t: float, degrees: float, /) -> float:
    """Return P(T > t) of Student's t.

    Args:
        t: Any number, or infinite.
        degrees: Above 0; infinite for the normal distribution.

    Source: Abramowitz and Stegun 1964, 26.7.1, by the incomplete beta integral; where degrees are many
    Hill 1970, Algorithm 395: Student's t-distribution, the normal deviate with the same tail.
    """
    square = t * t
    if degrees >= _HILL_ALWAYS_FROM or (degrees >= _HILL_FROM and square <= degrees / 16.0):
        return normal_tail(math.copysign(_hill(abs(t), degrees), t))
    if math.isinf(square):
        return 0.0 if t > 0.0 else 1.0
    whole = degrees + square
    half = beta_tails(degrees / whole, degrees / 2.0, 0.5, complement=square / whole)[0] / 2.0
    return half if t > 0.0 else 1.0 - half


def student_t(level: float, degrees: float, /) -> float:
    """Return the t with P(|T| <= t) = ``level``, which is more than 0 and less than 1."""
    if math.isinf(degrees):
        return -normal_quantile((1.0 - level) / 2.0)
    if level < 0.5:  # the mass in the middle has the digits that the tail has lost
        return _central_quantile(level, degrees)
    tail = (1.0 - level) / 2.0
    start = -normal_quantile(tail)
    return _solve(
        lambda t: (1.0, t_tail(t, degrees)),
        lambda t: _t_density(t, degrees),
        masses=(1.0, tail),
        start=start + (start**3 + start) / (4.0 * degrees),
        ends=(0.0, math.inf),
    )


def _central_quantile(level: float, degrees: float) -> float:
    def masses(t: float) -> tuple[float, float]:
        square = t * t
        whole = degrees + square
        return beta_tails(square / whole, 0.5, degrees / 2.0, complement=degrees / whole)

    return _solve(
        masses,
        lambda t: 2.0 * _t_density(t, degrees),
        masses=(level, 1.0 - level),
        start=level / (2.0 * _t_density(0.0, degrees)),
        ends=(0.0, math.inf),
    )


def _t_density(t: float, degrees: float) -> float:
    # The ratio of gamma functions, by the beta density at its middle, without their size.
    peak = _binomial_density(degrees / 2.0, 0.5, degrees / (degrees + 1.0), 1.0 / (degrees + 1.0))
    scale = peak * degrees / 2.0 * 0.5 / (degrees / 2.0 + 0.5)
    scale *= math.exp(degrees / 2.0 * math.log1p(1.0 / degrees)) * math.sqrt(degrees + 1.0)
    return scale / math.sqrt(degrees) * math.exp(-(degrees + 1.0) / 2.0 * math.log1p(t * t / degrees))


def _hill(t: float, degrees: float) -> float:
    """The normal deviate with the tail of this t."""
    if math.isinf(degrees):
        return t
    shifted = degrees - 0.5
    y = shifted * math.log1p(t * t / degrees) if t * t < math.inf else math.inf
    if math.isinf(y):
        return math.inf
    b = 48.0 * shifted * shifted
    correction = (((-0.4 * y - 3.3) * y - 24.0) * y - 85.5) / (0.8 * y * y + 100.0 + b)
    return (((correction + y + 3.0) / b) + 1.0) * math.sqrt(y)


def chi_square_tail(value: float, degrees: float, /) -> float:
    """Return P(X > value) of the chi-square distribution; ``value`` from 0, ``degrees`` above 0."""
    return gamma_tails(degrees / 2.0, value / 2.0)[1]


def chi_square_quantile(mass: float, degrees: float, /) -> float:
    """Return the x with P(X <= x) = ``mass``, which is more than 0 and less than 1."""
    shape = degrees / 2.0
    z = normal_quantile(mass)
    third = 1.0 - 1.0 / (9.0 * shape) + z / (3.0 * math.sqrt(shape))  # Wilson and Hilferty 1931
    small = math.exp((math.log(mass) + math.lgamma(shape + 1.0)) / shape)
    half = _solve(
        lambda x: gamma_tails(shape, x),
        lambda x: shape / x * _poisson_density(shape, x),
        masses=(mass, 1.0 - mass),
        start=shape * third**3 if third > 0.2 else small,
        ends=(0.0, math.inf),
    )
    return 2.0 * half


def f_tail(value: float, above: float, below: float, /) -> float:
    """Return P(F > value) of Fisher's F; ``value`` from 0, both degrees of freedom above 0 and finite."""
    whole = below + above * value
    if math.isinf(whole):
        return 0.0
    return beta_tails(below / whole, below / 2.0, above / 2.0, complement=above * value / whole)[0]


def f_quantile(mass: float, above: float, below: float, /) -> float:
    """Return the x with P(F <= x) = ``mass``, which is more than 0 and less than 1."""
    ratio = math.exp(normal_quantile(mass) * math.sqrt(2.0 / above + 2.0 / below))

    def masses(x: float) -> tuple[float, float]:
        whole = below + above * x
        return beta_tails(above * x / whole, above / 2.0, below / 2.0, complement=below / whole)

    def density(x: float) -> float:
        whole = below + above * x
        peak = _binomial_density(above / 2.0, below / 2.0, above * x / whole, below / whole)
        return peak * above * below / (2.0 * (above + below)) / x

    return _solve(masses, density, masses=(mass, 1.0 - mass), start=ratio, ends=(0.0, math.inf))


def beta_quantile(mass: float, a: float, b: float, /) -> float:
    """Return the x with I_x(a, b) = ``mass``, which is more than 0 and less than 1."""
    mean = a / (a + b)
    return _solve(
        lambda x: beta_tails(x, a, b),
        lambda x: _binomial_density(a, b, x, 1.0 - x) * a * b / (a + b) / (x * (1.0 - x)),
        masses=(mass, 1.0 - mass),
        start=min(max(mean + normal_quantile(mass) * math.sqrt(mean * (1 - mean) / (a + b + 1)), 0.02), 0.98),
        ends=(0.0, 1.0),
    )


def beta_tails(x: float, a: float, b: float, /, *, complement: float | None = None) -> tuple[float, float]:
    """Return I_x(a, b), the regularised incomplete beta integral, and one minus it, each with all its digits.

    Args:
        x: 0 to 1.
        a: Above 0.
        b: Above 0.
        complement: One minus x, where the caller knows it better than a difference would.

    Source: Press et al. 1992, Numerical Recipes, 6.4.5 (the continued fraction), with the leading factor of
    Loader 2000, Fast and accurate computation of binomial probabilities, which loses no digits to the
    size of gamma functions.
    """
    y = 1.0 - x if complement is None else complement
    if x <= 0.0:
        return 0.0, 1.0
    if y <= 0.0:
        return 1.0, 0.0
    if x > (a + 1.0) / (a + b + 2.0):
        high = _beta_below(y, x, b, a)
        return 1.0 - high, high
    low = _beta_below(x, y, a, b)
    return low, 1.0 - low


def _beta_below(x: float, y: float, a: float, b: float) -> float:
    """I_x(a, b) where it is the smaller side, by Lentz's way through the continued fraction."""
    front = _binomial_density(a, b, x, y) * b / (a + b)
    if front == 0.0:
        return 0.0
    c, d = 1.0, 1.0 - (a + b) * x / (a + 1.0)
    d = 1.0 / (d if abs(d) > _TINY else _TINY)
    out = d
    for m in range(1, _MOST_STEPS):  # pragma: no branch - it converges long before
        for step in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1.0 + step * d
            d = 1.0 / (d if abs(d) > _TINY else _TINY)
            c = 1.0 + step / c
            c = c if abs(c) > _TINY else _TINY
            out *= c * d
        if abs(c * d - 1.0) < 4.0 * _EPSILON:
            break
    return min(1.0, front * out)


def gamma_tails(shape: float, x: float, /) -> tuple[float, float]:
    """Return P(shape, x), the regularised incomplete gamma integral, and one minus it, with all their digits.

    Args:
        shape: Above 0.
        x: From 0.

    Source: Press et al. 1992, Numerical Recipes, 6.2.5 (the series) and 6.2.7 (the continued fraction),
    with the leading factor of Loader 2000.
    """
    if x <= 0.0:
        return 0.0, 1.0
    front = _poisson_density(shape, x)
    if front == 0.0:
        return (0.0, 1.0) if x < shape else (1.0, 0.0)
    if x < shape + 1.0:
        term = total = 1.0
        for m in range(1, _MOST_STEPS):  # pragma: no branch - it converges long before
            term *= x / (shape + m)
            total += term
            if term < total * _EPSILON:
                break
        low = min(1.0, front * total)
        return low, 1.0 - low
    b = x + 1.0 - shape
    c, d = 1.0 / _TINY, 1.0 / b
    out = d
    for m in range(1, _MOST_STEPS):  # pragma: no branch - it converges long before
        step = -m * (m - shape)
        b += 2.0
        d = step * d + b
        d = 1.0 / (d if abs(d) > _TINY else _TINY)
        c = b + step / c
        c = c if abs(c) > _TINY else _TINY
        out *= c * d
        if abs(c * d - 1.0) < 4.0 * _EPSILON:
            break
    high = min(1.0, front * shape * out)
    return 1.0 - high, high


def noncentral_t_tail(t: float, degrees: float, shift: float, /) -> float:
    """Return P(T > t) where T is a normal deviate plus ``shift`` over the root of chi-square over degrees.

    Absolute error below 1e-10: for the power of tests.

    Source: the definition, integrated over the chi distribution by Gauss and Legendre's rule in 200 nodes.
    """
    if math.isinf(degrees):
        return normal_tail(t - shift)
    width = 9.0 / math.sqrt(2.0 * degrees)
    low, high = max(0.0, 1.0 - width), 1.0 + 1.2 * width
    nodes, weights = _gauss_legendre()
    # In the fourth root, in which the density is smooth at 0 however few the degrees.
    low, high = low**0.25, high**0.25
    root = low + (high - low) * (nodes + 1.0) / 2.0
    s = root**4
    log = (4.0 * degrees - 1.0) * np.log(root) - degrees * (s * s - 1.0) / 2.0
    density = weights * np.exp(log)
    tails = np.array([normal_tail(t * one - shift) for one in s.tolist()])
    return float(density @ tails / density.sum())


@cache
def _gauss_legendre() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    nodes, weights = np.polynomial.legendre.leggauss(200)
    return nodes, weights


def _binomial_density(a: float, b: float, x: float, y: float) -> float:
    """Gamma(a + b + 1) / (Gamma(a + 1) Gamma(b + 1)) x^a y^b, where x + y = 1."""
    n = a + b
    exponent = _stirling_error(n) - _stirling_error(a) - _stirling_error(b)
    exponent -= _deviance(a, n * x) + _deviance(b, n * y)
    return math.sqrt(n / (2.0 * math.pi * a * b)) * math.exp(exponent)


def _poisson_density(a: float, x: float) -> float:
    """x^a e^-x / Gamma(a + 1)."""
    return math.exp(-_stirling_error(a) - _deviance(a, x)) / math.sqrt(2.0 * math.pi * a)


def _stirling_error(z: float) -> float:
    """What log Gamma(z + 1) is above Stirling's formula."""
    if z < 15.0:
        return math.lgamma(z + 1.0) - (z + 0.5) * math.log(z) + z - 0.5 * math.log(2.0 * math.pi)
    square = 1.0 / (z * z)
    out = 0.0
    for coefficient in reversed(_STIRLING):
        out = out * square + coefficient
    return out / z


def _deviance(x: float, mean: float) -> float:
    """Twice it is the deviance: x log(x / mean) + mean - x, without cancellation where both are near."""
    if mean <= 0.0 or math.isinf(mean):
        return math.inf
    gap = x - mean
    if abs(gap) >= 0.1 * (x + mean):
        return x * math.log(x / mean) - gap
    v = gap / (x + mean)
    out, power, k = gap * v, 2.0 * x * v, 1
    square = v * v
    while True:
        power *= square
        k += 2
        more = out + power / k
        if more == out:
            return out
        out = more


def _solve(
    tails: Callable[[float], tuple[float, float]],
    density: Callable[[float], float],
    *,
    masses: tuple[float, float],
    start: float,
    ends: tuple[float, float],
) -> float:
    """Find where a distribution has these masses below and above, by Newton on the log of the smaller one."""
    low, high = ends
    side = 0 if masses[0] <= masses[1] else 1
    x = start if low < start < high else (low + min(high, 1.0)) / 2.0
    for _ in range(200):  # pragma: no branch - it converges long before
        mass, slope = tails(x)[side], density(x)
        error = math.log(mass / masses[side]) if mass > 0.0 else -math.inf
        error = -error if side else error  # rises with x on either side
        if error == 0.0:
            break
        low, high = (x, high) if error < 0.0 else (low, x)
        new = x - error * mass / slope if slope > 0.0 and mass > 0.0 else math.nan
        if not low < new < high:
            new = 2.0 * x if math.isinf(high) else (math.sqrt(low * high) if low > 0.0 else high / 16.0)
            if not low < new < high:
                new = (low + high) / 2.0
        if not low < new < high or abs(new - x) <= 2.0 * _EPSILON * abs(new):
            x = new if low <= new <= high else x
            break
        x = new
    return x
