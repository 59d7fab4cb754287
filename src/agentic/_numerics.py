"""Arithmetic whose answer for a row does not depend on the rows beside it.

Two things in numpy break this silently: BLAS picks other kernels for other row counts, so ``X @ W``
has other last bits for 1 row than for 257; and a reduction over a contiguous axis adds pairwise. Here
every product runs in blocks of exactly ``ROWS`` rows, padded with zeros, and every reduction runs
over an outer axis. Whether this machine's BLAS keeps the promise for a shape is probed when the shape
is first used; where it does not, ``einsum`` does the work.
"""

from __future__ import annotations

import functools
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
# float32 or float64, the same in and out; numpy's own stubs cannot say that without a type variable each.
Floats = NDArray[Any]

ROWS: Final = 8
_NODES: Final = 24
_REACH: Final = 4.0
_WORK: Final = 1 << 15


def padded(matrix: Floats, /) -> Floats:
    """Return a C-contiguous copy, or the matrix itself, whose row count is a multiple of ``ROWS``."""
    short = -len(matrix) % ROWS
    if not short:
        return np.ascontiguousarray(matrix)
    out = np.zeros((len(matrix) + short, *matrix.shape[1:]), dtype=matrix.dtype)
    out[: len(matrix)] = matrix
    return out


def matmul(left: Floats, right: Floats, /) -> Floats:
    """Multiply so that a row of the answer depends on that row of ``left`` alone, bit for bit.

    Args:
        left: Shape (n, d), float32 or float64.
        right: Shape (d, m), the same dtype.

    Returns:
        Shape (n, m).
    """
    n, d = left.shape
    m = right.shape[1]
    if n == 0 or d == 0 or m == 0:
        return np.zeros((n, m), dtype=left.dtype)
    blocks = padded(left)
    if not _blocks_agree(d, m, left.dtype.str):  # pragma: no cover - depends on the machine's BLAS
        return np.einsum("nd,dm->nm", blocks, np.ascontiguousarray(right))[:n]
    return np.matmul(blocks.reshape(-1, ROWS, d), right).reshape(-1, m)[:n]


@functools.cache
def _blocks_agree(d: int, m: int, dtype: str) -> bool:
    """Whether a row keeps its bits wherever it stands in a block of this shape."""
    sample = np.random.default_rng(d * 1_000_003 + m)
    rows = sample.standard_normal((ROWS, d)).astype(dtype)
    right = sample.standard_normal((d, m)).astype(dtype)
    want = np.matmul(rows.reshape(1, ROWS, d), right)[0]
    for shift in range(ROWS):
        lonely = np.zeros((1, ROWS, d), dtype=dtype)
        lonely[0, shift] = rows[0]
        turned = np.matmul(np.roll(rows, shift, axis=0).reshape(1, ROWS, d), right)[0]
        if not (
            np.array_equal(np.matmul(lonely, right)[0, shift], want[0])
            and np.array_equal(turned, np.roll(want, shift, axis=0))
        ):  # pragma: no cover - depends on the machine's BLAS
            return False
    return True


def ndtr(z: Floats, /) -> Floats:
    """Standard normal distribution function, absolute error below 7.5e-8.

    Source: Abramowitz & Stegun 1964, formula 26.2.17. Ours keeps the input's dtype and shape.
    """
    a = np.abs(z)
    t = 1.0 / (1.0 + 0.2316419 * a)
    poly = t * (0.319381530 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))))
    tail = 0.3989422804014327 * np.exp(-0.5 * a * a) * poly
    return np.where(z >= 0, 1.0 - tail, tail)


def win_probabilities(mean: F64, spread: F64, allowed: NDArray[np.bool_], /) -> F64:
    """Probability that each of several independent normals is the largest.

    One-dimensional quadrature of ``pdf_j(s) * prod_(i != j) cdf_i(s)``. Nodes start four standard
    deviations below the best lower end, where every normal still alive has its mass, and widen
    geometrically above it, so one narrow normal among wide ones keeps its own nodes.

    Args:
        mean: Shape (n, k), finite where allowed.
        spread: Shape (n, k), standard deviations, > 0 where allowed.
        allowed: Shape (n, k). Others get exactly 0.

    Returns:
        Shape (n, k), float64, not negative; a row sums to about 1, or to 0 when nothing is allowed.
        With spreads within a factor of three the error is below 1e-3 in the worst case and 1e-5 in
        the mean; with spreads a factor of a hundred apart, 3e-2 and 2e-4.
    """
    n, k = mean.shape
    if n == 0:
        return np.zeros((0, k))
    low_end = mean - _REACH * spread
    low_end[~allowed] = -np.inf
    low = low_end.max(axis=1, keepdims=True)
    low[~np.isfinite(low)] = 0.0
    high_end = mean + _REACH * spread
    alive = allowed & (high_end > low)
    high_end[~alive] = -np.inf
    length = high_end.max(axis=1, keepdims=True) - low
    length[~(length > 0)] = 1.0
    narrow = np.where(alive, spread, np.inf).min(axis=1, keepdims=True)
    bend = 1.2 * np.log(np.maximum(length / (narrow * (2 * _REACH)), 1.0)) + 1e-3
    bend[~np.isfinite(bend)] = 1e-3
    safe = np.where(alive, spread, 1.0)
    offset = np.where(alive, (low - mean) / safe, 8.0).astype(np.float32)
    slope = np.where(alive, length / safe, 0.0).astype(np.float32)
    rate = np.where(alive, 1.0 / safe, 0.0)
    rate /= np.maximum(rate.max(axis=1, keepdims=True), 1e-300)
    out = np.empty((n, k))
    step = max(ROWS, _WORK // (_NODES * k) // ROWS * ROWS)
    for lo in range(0, n, step):
        rows = slice(lo, min(lo + step, n))
        out[rows] = _quadrature(
            padded(offset[rows]),
            padded(slope[rows]),
            padded(rate[rows].astype(np.float32)),
            padded(bend[rows].astype(np.float32)),
        )[: rows.stop - lo]
    out[~alive] = 0.0
    return out


def _quadrature(offset: Floats, slope: Floats, rate: Floats, bend: Floats) -> F64:
    """Sum the integrand over graded nodes; arrays are (rows, k), rows a multiple of ``ROWS``."""
    at = ((np.arange(_NODES, dtype=np.float32) + np.float32(0.5)) / np.float32(_NODES))[:, None]
    bend = np.maximum(bend[:, 0], np.float32(1e-3))[None, :]  # padding rows hold zeros
    stretch = np.exp(bend * at)  # (nodes, rows)
    node = (stretch - 1) / (np.exp(bend) - 1)
    z = np.ascontiguousarray(slope.T)[None] * node[:, None, :]  # (nodes, k, rows)
    z += np.ascontiguousarray(offset.T)[None]
    np.minimum(z, np.float32(6.0), out=z)
    # Abramowitz & Stegun 26.2.17, sharing one exp between density and distribution.
    bell = z * z
    bell *= np.float32(-0.5)
    np.exp(bell, out=bell)
    t = np.abs(z)
    t *= np.float32(0.2316419)
    t += np.float32(1.0)
    np.divide(np.float32(1.0), t, out=t)
    poly = t * np.float32(1.330274429 * 0.3989422804)
    for coefficient in (-1.821255978, 1.781477937, -0.356563782, 0.319381530):
        poly += np.float32(coefficient * 0.3989422804)
        poly *= t
    poly *= bell
    below = np.where(z >= 0, np.float32(1.0) - poly, poly)
    every = np.multiply.reduce(below, axis=1)  # (nodes, rows)
    every *= stretch
    bell /= below
    bell *= every[:, None, :]
    total = np.add.reduce(bell, axis=0).T * rate  # (rows, k)
    total = total.astype(np.float64)
    share = np.cumsum(total, axis=1)[:, -1:]
    share[share <= 0] = 1.0
    return np.asarray(total / share, dtype=np.float64)
