"""Arithmetic whose answer for a row does not depend on the rows beside it.

Two things in numpy break this silently: BLAS picks other kernels for other row counts, so ``X @ W``
has other last bits for 1 row than for 257; and a reduction over a contiguous axis adds pairwise. Here
every product runs in blocks of exactly ``ROWS`` rows, padded with zeros, and every reduction runs
over an outer axis, with two rows at least beside each other. Whether this machine's BLAS keeps the promise
for a shape is probed when the shape is first used; where it does not, ``einsum`` does the work.
"""

from __future__ import annotations

import functools
import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
# float32 or float64, the same in and out; numpy's own stubs cannot say that without a type variable each.
Floats = NDArray[Any]

ROWS: Final = 8

# OpenBLAS wakes its threads for a product of more multiplications than this.
_QUIET: Final = 1 << 18

_REACH: Final = 4.0
_WORK: Final = 1 << 15
_BLOCK: Final = 1 << 14

# What is summed changes as fast as the largest of k normals does, whose standard deviation is about that
# of one over sqrt(1 + ln k). A midpoint sum of a bell is off by 2 exp(-2 (pi * deviation / step)^2), in
# relation: 3e-4 at a step of 1.5 deviations. Even nodes keep to that, 8, 16 or 24 of them, where the
# narrowest normal is not much narrower than the whole is long; beyond, nodes are graded, and 48, 96 or
# 192 keep to it where the narrow ones have their mass.
_NODES: Final = (8, 16, 24, 48, 96, 192)
_GRADED: Final = 3
_STEP: Final = 1.5
_MISSED: Final = 1e-5
# Half the logit of the normal distribution function is odd and smooth: z times this polynomial in z * z,
# fitted so that the distribution function is off by at most 2e-5; below it its derivative. Highest first.
_LOGIT: Final = [np.float32(c) for c in (-3.15808099e-04, 3.67982614e-02, 7.97717828e-01)]
_SLOPE: Final = [np.float32(c) for c in (-1.579040495e-03, 1.103947842e-01, 7.97717828e-01)]
_ONE, _HALF, _SURE = np.float32(1.0), np.float32(0.5), np.float32(7.0)
_LOST: Final = 7.0
_SURES: Final = np.full(4 * _WORK, _SURE)  # numpy's minimum with a scalar takes four times as long
_GRADING, _EVEN = np.float32(1.4), np.float32(1.1)
# Below every score there is, and still finite; wider grids than this ratio would overflow float32.
_NEVER: Final = -1e300
_NARROWEST: Final = 1e-16
_LEAST: Final = 1e-300


def _places(nodes: int) -> Floats:
    """Where nodes stand between the lower and the upper end before they are graded: shape (nodes, 1, 1)."""
    return ((np.arange(nodes) + 0.5) / nodes).astype(np.float32)[:, None, None]


_PLACES: Final = tuple(_places(nodes) for nodes in _NODES)


@functools.cache
def _sharpness(k: int) -> tuple[np.float32, F64]:
    """Of the largest of k normals; and how long a row of each kind may be, in its narrowest spreads.

    Graded nodes stand ``bend / nodes`` apart at a unit's distance from the lower end, see ``_quadrature``;
    the narrow normals have their mass up to some 7.5 spreads from it.
    """
    sharp = math.sqrt(1.0 + math.log(k))
    even = [_STEP * nodes / sharp for nodes in _NODES[:_GRADED]]
    steep = _STEP / 7.5 / sharp / float(_GRADING)
    graded = [2 * _REACH / sharp * math.exp(min(nodes * steep, 600.0)) for nodes in _NODES[_GRADED:-1]]
    return np.float32(sharp / (2 * _REACH)), np.maximum.accumulate([*even, *graded])


@functools.cache
def _floors(k: int) -> list[tuple[int, float]]:
    """Places from the top, and scores: below that place's ``mean + score * spread`` there is no largest.

    Where m normals are above a number with a probability of p each, none of them is with one of p^m.
    """
    ranks = {k // 2, k // 8} if k >= 16 else {k // 2}
    return [(k - m, _score(_MISSED ** (1.0 / m))) for m in ranks if m > 1]


def _score(share: float) -> float:
    """Where the normal distribution function has this value, between -8 and 8."""
    low, high = -8.0, 8.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if math.erfc(-middle / math.sqrt(2.0)) < 2 * share else (low, middle)
    return low


def padded(matrix: Floats, /) -> Floats:
    """Return a C-contiguous copy, or the matrix itself, whose row count is a multiple of ``ROWS``."""
    n = len(matrix)
    short = -n % ROWS
    if not short:
        return np.ascontiguousarray(matrix)
    out = np.zeros((n + short, *matrix.shape[1:]), dtype=matrix.dtype)
    out[:n] = matrix
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
    if not right.flags.c_contiguous:  # BLAS has other kernels for other layouts
        right = np.ascontiguousarray(right)
    block = padded(left)
    if n > ROWS:
        block = block.reshape(-1, ROWS, d)
    wide = max(_QUIET // (ROWS * d), 1)
    if m <= wide:
        return _product(block, right).reshape(-1, m)[:n]
    # In pieces, however many threads BLAS has: a server that decides must not seize all cores.
    product = np.empty((*block.shape[:-1], m), dtype=left.dtype)
    for lo in range(0, m, wide):
        product[..., lo : lo + wide] = _product(block, right[:, lo : lo + wide])
    return product.reshape(-1, m)[:n]


def _product(block: Floats, right: Floats) -> Floats:
    apart = max(right.strides[0] // right.itemsize, right.shape[1])  # more, in a piece of a wider matrix
    if _blocks_agree(block.shape[-1], right.shape[1], apart, block.dtype.char):
        return np.asarray(np.matmul(block, right))
    return np.asarray(np.einsum("...nd,dm->...nm", block, right))


@functools.cache
def _blocks_agree(d: int, m: int, apart: int, dtype: str) -> bool:
    """Whether a row keeps its bits wherever it stands in a block of this shape, alone or in company."""
    sample = np.random.default_rng(d * 1_000_003 + m)
    rows = sample.standard_normal((ROWS, d)).astype(dtype)
    right = sample.standard_normal((d, apart)).astype(dtype)[:, :m]
    want = np.matmul(rows, right)
    places = np.arange(ROWS)
    # Every row in every place, in company and alone, each in a block of its own.
    turned = rows[(places[:, None] + places) % ROWS]
    lonely = np.zeros((ROWS, ROWS, d), dtype=dtype)
    lonely[places, places] = rows
    return np.array_equal(
        np.matmul(turned, right), want[(places[:, None] + places) % ROWS]
    ) and np.array_equal(np.matmul(lonely, right)[places, places], want)


def win_probabilities(mean: F64, spread: F64, allowed: NDArray[np.bool_], /) -> F64:
    """Probability that each of several independent normals is the largest.

    One-dimensional quadrature of ``pdf_j(s) * prod_(i != j) cdf_i(s)`` in float32. Nodes start where the
    largest hardly ever is, at the earliest four standard deviations below the mean of whichever normal has
    the best such lower end, and reach four above the highest. Where spreads lie far apart they widen
    geometrically, so one narrow normal among wide ones keeps its own nodes. A row takes 8 to 192 nodes, by
    how far its spreads lie apart and how many candidates there are.

    Args:
        mean: Shape (n, k), k at least 1, finite, below 1e299 in size.
        spread: Shape (n, k), standard deviations, > 0, below 1e299.
        allowed: Shape (n, k). Others get exactly 0 and have no influence.

    Returns:
        Shape (n, k), float64, not negative; a row sums to 1 up to rounding, or to 0 when nothing is allowed.
        Measured on random rows with spreads up to a million apart, the error is about 1e-3 in the worst case
        and below 2e-5 in the mean; with a few wide normals among hundreds of narrow ones it is up to 3e-3.
    """
    n, k = mean.shape
    step = max(ROWS, _BLOCK // k // ROWS * ROWS)
    if 0 < n <= step:
        return _shares(mean, spread, allowed)
    out = np.empty((n, k))
    for lo in range(0, n, step):
        part = slice(lo, lo + step)
        out[part] = _shares(mean[part], spread[part], allowed[part])
    return out


def _shares(mean: F64, spread: F64, allowed: NDArray[np.bool_]) -> F64:
    """``win_probabilities`` of as many rows as stay in the processor's cache."""
    n, k = mean.shape
    # From here to the end columns are rows, at least two of them: so a reduction goes step by step, for all
    # rows at once, and mixes no two requests. Few rows stay below the 500 numbers where numpy lets go of
    # Python's lock, for which eight threads would then queue.
    m = max(n, 2)
    centre, width = np.zeros((k, m)), np.ones((k, m))
    centre[:, :n], width[:, :n] = mean.T, spread.T
    masked = None
    if np.count_nonzero(allowed) < n * k:
        masked = np.zeros((k, m), dtype=np.bool_)
        np.logical_not(allowed.T, out=masked[:, :n])
        np.copyto(centre, _NEVER, where=masked)
        np.copyto(width, 1.0, where=masked)
    centre -= np.maximum.reduce(centre, axis=0)  # small spreads among large means: differences first
    reach = width * _REACH
    low = np.maximum.reduce(centre - reach, axis=0)
    for place, score in _floors(k):
        np.maximum(low, np.partition(centre + width * score, place, axis=0)[place], out=low)
    reach += centre
    length = np.maximum.reduce(reach, axis=0)
    length -= low
    np.maximum(width, length * _NARROWEST, out=width)
    np.subtract(low, centre, out=centre)
    np.minimum(centre, width * _LOST, out=centre)
    centre /= width
    offset = centre.astype(np.float32)
    slope = np.divide(length, width, out=width).astype(np.float32)
    if masked is not None:
        np.copyto(slope, 0.0, where=masked)
    kinds = _sharpness(k)[1].searchsorted(np.maximum.reduce(slope, axis=0)[:n])
    kind = int(kinds[0])
    if n > 1 and np.count_nonzero(kinds == kind) < n:
        kind = int(np.bincount(kinds).argmax())
    shares = _integrated(offset, slope, kind)
    for other in set(kinds.tolist()) - {kind} if n > 1 else ():  # done twice: cheaper than to part the many
        rows = (kinds == other).nonzero()[0]
        rows = rows if len(rows) > 1 else rows.repeat(2)
        shares[:, rows] = _integrated(offset[:, rows], slope[:, rows], other)
    out = shares.astype(np.float64)
    if masked is not None:
        np.copyto(out, 0.0, where=masked)
    total = np.add.reduce(out, axis=0)
    np.maximum(total, _LEAST, out=total)
    out /= total
    return np.ascontiguousarray(out.T[:n])


def _integrated(offset: Floats, slope: Floats, kind: int) -> Floats:
    """The quadrature over rows of one kind, as many at a time as stay in the processor's cache."""
    k, m = offset.shape
    step = max(ROWS, _WORK // (_NODES[kind] * k) // ROWS * ROWS)
    if m <= step:
        return _quadrature(offset, slope, kind)
    out = np.empty((k, m), dtype=np.float32)
    for lo in range(0, m, step):
        part = slice(min(lo, m - 2), lo + step)  # two rows at least
        out[:, part] = _quadrature(offset[:, part], slope[:, part], kind)
    return out


def _quadrature(offset: Floats, slope: Floats, kind: int) -> Floats:
    """Sum the integrand over the nodes; a normal's score at node t is ``offset + slope * t``.

    Args:
        offset: Shape (k, rows), float32; at least two rows.
        slope: Shape (k, rows), float32.
        kind: Place in ``_NODES``.

    Returns:
        Shape (k, rows), float32: in proportion to the probabilities.
    """
    node, stretch = _PLACES[kind], None
    if kind >= _GRADED:
        bend = np.maximum.reduce(slope, axis=0)
        bend *= _sharpness(slope.shape[0])[0]
        np.maximum(bend, _EVEN, out=bend)
        np.log(bend, out=bend)
        bend *= _GRADING
        stretch = node[:, 0] * bend  # (nodes, rows)
        np.exp(stretch, out=stretch)
        node = ((stretch - _ONE) / (np.exp(bend) - _ONE))[:, None]
    z = slope * node  # (nodes, k, rows)
    z += offset
    np.minimum(z, _SURES[: z.size].reshape(z.shape) if z.size <= _SURES.size else _SURE, out=z)
    square = z * z
    y = square * _LOGIT[0]
    y += _LOGIT[1]
    y *= square
    y += _LOGIT[2]
    y *= z
    np.tanh(y, out=y)  # twice the distribution function, less one
    bell = square * _SLOPE[0]
    bell += _SLOPE[1]
    bell *= square
    bell += _SLOPE[2]
    np.subtract(_ONE, y, out=z)
    bell *= z  # the density, over the distribution function
    y += _ONE
    y *= _HALF
    every = np.multiply.reduce(y, axis=1)  # (nodes, rows)
    if stretch is not None:
        every *= stretch
    bell *= every[:, None]
    total = np.add.reduce(bell, axis=0)
    total *= slope
    return np.asarray(total)
