"""What follows from the sums of a linear model: coefficients, their uncertainty, scales and noise."""

from __future__ import annotations

import math
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from agentic.arrays import F64
from agentic.errors import LearningError

_NOISE_COUNT: Final = 5.0
_SMALLEST: Final = 1e-9
_EXPONENT: Final = 400.0
_NEVER_SEEN: Final = 0.5
_SMALL: Final = 48


@attrs.frozen(eq=False)
class Solution:
    """The posterior of a linear model.

    A is the gram matrix plus the prior precision.

    Attributes:
        theta: Shape (d, k), float64: posterior means.
        root: Shape (d, k * d), float32: a root of each action's ``A^-1``, side by side.
        noise: Estimated standard deviation of a reward about its mean.
        level: What an action earns of which nothing is known.
        scale: Shape (d,), float64: variance of each feature, a power of two; 1 for the constant.
        diagonal: Shape (k, d), float64: diagonals of the gram matrices.
        totals: Shape (k, d), float64: their last columns, the sums of the features.
        by_moment: Shape (k, d), float64: ``A^-1 moment``.
        by_total: Shape (k, d), float64: ``A^-1 totals``.
    """

    theta: F64
    root: NDArray[np.float32]
    noise: float
    level: float
    scale: F64
    diagonal: F64
    totals: F64
    by_moment: F64
    by_total: F64


def solved(
    gram: tuple[F64, ...],
    moment: F64,
    count: F64,
    square: F64,
    *,
    precision: float,
    before: tuple[Solution, frozenset[int]] | None,
) -> Solution:
    """Solve for the posterior; only for the actions that changed, if an older solution is at hand.

    Args:
        gram: k arrays (d, d), float64.
        moment: Shape (k, d), float64.
        count: Shape (k,), float64.
        square: Shape (k,), float64.
        precision: ``LinearModel.precision``.
        before: An older solution, and the actions whose sums are other than they were.

    Raises:
        LearningError: The sums belong to no data.
    """
    k, d = moment.shape
    every = list(range(k))
    if before is None:
        older, which = None, every
        diagonal, totals = np.empty((k, d)), np.empty((k, d))
    else:
        older, which = before[0], sorted(before[1])
        diagonal, totals = older.diagonal.copy(), older.totals.copy()
    for column in which:
        diagonal[column] = gram[column].diagonal()
        totals[column] = gram[column][-1]
    scale = scales_of(np.add.reduce(diagonal, axis=0), np.add.reduce(totals, axis=0))
    if older is not None and not np.array_equal(scale, older.scale):
        older, which = None, every
    if older is None:
        by_moment, by_total = np.empty((k, d)), np.empty((k, d))
        root = np.empty((d, k, d), dtype=np.float32)
    else:
        by_moment, by_total = older.by_moment.copy(), older.by_total.copy()
        root = older.root.reshape(d, k, d).copy()
    if which:
        prior = precision * scale
        prior[-1] = min(precision, 1.0)
        lower = inverse_root(np.array([gram[column] for column in which]), prior)
        upper = lower.transpose(0, 2, 1)
        sums = np.empty((len(which), d, 2))
        sums[:, :, 0], sums[:, :, 1] = moment[which], totals[which]
        parts = np.matmul(upper, np.matmul(lower, sums))
        by_moment[which], by_total[which] = parts[:, :, 0], parts[:, :, 1]
        root[:, which] = upper.transpose(1, 0, 2)
    theta, level, noise = _levelled(by_moment, by_total, moment, totals, count, square)
    out = Solution(theta, root.reshape(d, k * d), noise, level, scale, diagonal, totals, by_moment, by_total)
    for array in (out.theta, out.root, scale, diagonal, totals, by_moment, by_total):
        array.flags.writeable = False
    return out


def _levelled(
    by_moment: F64, by_total: F64, moment: F64, totals: F64, count: F64, square: F64
) -> tuple[F64, float, float]:
    """Coefficients (d, k), to which the common level was added; that level; and the noise.

    The level makes the rewards most likely: about the mean over actions, however often each was tried.
    """
    untold = float(np.add.reduce(totals[:, -1] - np.add.reduce(totals * by_total, axis=1)))
    level = 0.0
    if untold > 0.0:
        level = float(np.add.reduce(moment[:, -1] - np.add.reduce(totals * by_moment, axis=1))) / untold
    about = by_moment - level * by_total
    fitted = np.add.reduce(about * (moment - level * totals), axis=1)
    varied = np.maximum(square - level * (2.0 * moment[:, -1] - level * totals[:, -1]), 0.0)
    residual = float(np.add.reduce(np.maximum(varied - fitted, 0.0)))
    seen, size = float(np.add.reduce(count)), float(np.add.reduce(square))
    noise = noise_of(float(np.add.reduce(varied)), residual, seen, size)
    about[:, -1] += level
    return np.ascontiguousarray(about.T), level, noise


def noise_of(varied: float, residual: float, count: float, square: float, /) -> float:
    """Standard deviation of a reward about its mean; a priori all of the variance of rewards is noise.

    Args:
        varied: Sum of squares about the common level.
        residual: Of these, what the model leaves; coefficients count as what they cost.
        count: Observations.
        square: Sum of squared rewards.
    """
    if not (count > 0.0 and square > 0.0):
        return _NEVER_SEEN
    variance = max(varied, _SMALLEST * square) / count
    return math.sqrt((_NOISE_COUNT * variance + residual) / (_NOISE_COUNT + count))


def scales_of(diagonal: F64, totals: F64) -> F64:
    """Variance of each feature over all actions, as the nearest power of two; 1 where a feature is always 0.

    Rounded, because every coefficient of every action hangs on it: so it rarely changes. With few
    observations it leans towards the mean square.
    """
    seen = diagonal[-1]
    if not seen > 0.0:
        return np.ones(len(diagonal))
    variance = np.maximum(diagonal - totals * (totals / (seen + 1.0)), _SMALLEST * diagonal) / seen
    exponent = np.log2(np.where(diagonal > 0.0, variance, 1.0))
    scale = np.exp2(np.rint(np.clip(exponent, -_EXPONENT, _EXPONENT)))
    scale[-1] = 1.0
    return np.asarray(scale)


def inverse_root(gram: F64, prior: F64) -> F64:
    """Lower triangular L with L'L = A^-1 for A = gram + prior on the diagonal, shape (k, d, d).

    Where features repeat each other at a large scale the prior drowns in rounding, and there is no such
    root; there, and only there, the diagonal is raised by a trillionth of itself, or as much as it takes.
    """
    k, d = gram.shape[:2]
    ridge = gram.copy()
    diagonal = ridge.reshape(k, d * d)[:, :: d + 1]
    diagonal += prior
    for share in (0.0, 1e-12, 1e-9, 1e-6):
        if share:
            diagonal *= 1.0 + share
        try:
            lower = _inverse_of_lower(np.asarray(np.linalg.cholesky(ridge)))
            if np.isfinite(lower).all():
                return np.asarray(lower)
        except np.linalg.LinAlgError:
            if k > 1:  # one action must not change the bits of another
                return np.concatenate([inverse_root(part[None], prior) for part in gram])
    raise LearningError(
        "gram is no sum of x x': its smallest eigenvalue is negative or not a number", value=gram
    )


def _inverse_of_lower(lower: F64) -> F64:
    """Inverses of lower triangular matrices (k, d, d), by halves: a fraction of the work of a general one."""
    d = lower.shape[-1]
    if d <= _SMALL:
        return np.asarray(np.linalg.inv(lower))
    half = d // 2
    out = np.zeros_like(lower)
    out[:, :half, :half] = _inverse_of_lower(np.ascontiguousarray(lower[:, :half, :half]))
    out[:, half:, half:] = _inverse_of_lower(np.ascontiguousarray(lower[:, half:, half:]))
    across = np.matmul(np.ascontiguousarray(lower[:, half:, :half]), out[:, :half, :half])
    out[:, half:, :half] = -np.matmul(out[:, half:, half:], across)
    return out
