"""Which quantiles do bounds need: of the distributions that small samples follow."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Final

# Above this many rows the series for Student's t is exact to 1e-11; below, its finite sum is cheap.
_SERIES_FROM: Final = 200


def student_t(level: float, degrees: int, /) -> float:
    """Return the t with P(|T| <= t) = ``level`` for whole ``degrees`` of freedom, 1 or more.

    Source: Abramowitz and Stegun 1964, 26.7.5 (series in 1 / degrees) from 200 degrees on,
    26.7.3 and 26.7.4 (finite sums, solved by bisection) below.
    """
    if degrees < _SERIES_FROM:
        low, high = 0.0, math.pi / 2.0
        for _ in range(60):
            middle = (low + high) / 2.0
            low, high = (middle, high) if _central_mass(middle, degrees) < level else (low, middle)
        return math.sqrt(degrees) * math.tan((low + high) / 2.0)
    z = NormalDist().inv_cdf(0.5 + level / 2.0)
    s = z * z
    first = (s + 1) * z / 4
    second = ((5 * s + 16) * s + 3) * z / 96
    third = (((3 * s + 19) * s + 17) * s - 15) * z / 384
    fourth = ((((79 * s + 776) * s + 1482) * s - 1920) * s - 945) * z / 92160
    return z + (first + (second + (third + fourth / degrees) / degrees) / degrees) / degrees


def _central_mass(theta: float, degrees: int) -> float:
    """Return P(|T| <= t) where tan(theta) = t / sqrt(degrees)."""
    odd = degrees % 2
    square = math.cos(theta) ** 2
    term = math.cos(theta) if odd else 1.0
    total = 0.0
    for step in range(1 + odd, degrees, 2):
        total += term
        term *= square * step / (step + 1)
    total *= math.sin(theta)
    return (theta + total) * 2.0 / math.pi if odd else total
