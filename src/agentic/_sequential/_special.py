"""Which special functions do mixtures need, over arrays: log-gamma and the incomplete gamma function."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from agentic._sequential._checks import Floats

_SHIFT: Final = 10.0
_HALF_LOG_TAU: Final = 0.5 * math.log(2.0 * math.pi)
# Stirling's series, Abramowitz and Stegun 1964, 6.1.41: B_2k / (2k (2k - 1)).
_STIRLING: Final = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156)
_TINY: Final = 1e-300
_MOST_TERMS: Final = 200_000
_RESOLVED: Final = 4e-16


def log_gamma(x: npt.ArrayLike) -> Floats:
    """Return the logarithm of the gamma function of numbers above 0, to about 1e-14 of its size."""
    z = np.array(x, dtype=np.float64)
    product = np.ones_like(z)
    while (small := z < _SHIFT).any():
        product = np.where(small, product * z, product)
        z = np.where(small, z + 1.0, z)
    inverse = 1.0 / (z * z)
    series = np.zeros_like(z)
    for coefficient in reversed(_STIRLING):
        series = series * inverse + coefficient
    answer: Floats = (z - 0.5) * np.log(z) - z + _HALF_LOG_TAU + series / z - np.log(product)
    return answer


def log_beta(a: npt.ArrayLike, b: npt.ArrayLike) -> Floats:
    """Return the logarithm of the beta function of numbers above 0."""
    return log_gamma(a) + log_gamma(b) - log_gamma(np.add(a, b))


def gamma_shares(a: npt.ArrayLike, x: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Return the regularised lower and upper incomplete gamma function, P(a, x) and Q(a, x).

    Args:
        a: Above 0.
        x: 0 or more.

    Source: Press and others 2007, Numerical Recipes, section 6.2: the series below a + 1, the
    continued fraction by Lentz's method above.
    """
    a, x = np.broadcast_arrays(np.asarray(a, np.float64), np.asarray(x, np.float64))
    with np.errstate(divide="ignore"):
        scale = np.exp(np.where(x > 0.0, a * np.log(np.maximum(x, _TINY)) - x - log_gamma(a), -np.inf))
    series = x < a + 1.0
    lower, upper = np.empty_like(scale), np.empty_like(scale)
    lower[series] = scale[series] * _series(a[series], x[series])
    upper[series] = 1.0 - lower[series]
    upper[~series] = scale[~series] * _fraction(a[~series], x[~series])
    lower[~series] = 1.0 - upper[~series]
    return lower, upper


def _series(a: Floats, x: Floats) -> Floats:
    term = 1.0 / a
    total, step = term.copy(), 0
    while step < _MOST_TERMS and (term > total * 1e-17).any():
        step += 1
        term = term * x / (a + step)
        total += term
    return total


def _fraction(a: Floats, x: Floats) -> Floats:
    b = x + 1.0 - a
    c = np.full_like(x, 1.0 / _TINY)
    d = 1.0 / np.where(np.abs(b) < _TINY, _TINY, b)
    total, step = d.copy(), 0
    change = np.full_like(x, np.inf)
    while step < _MOST_TERMS and (np.abs(change - 1.0) > _RESOLVED).any():
        step += 1
        an = -step * (step - a)
        b = b + 2.0
        d = an * d + b
        d = 1.0 / np.where(np.abs(d) < _TINY, _TINY, d)
        c = b + an / c
        c = np.where(np.abs(c) < _TINY, _TINY, c)
        change = c * d
        total = total * change
    return total
