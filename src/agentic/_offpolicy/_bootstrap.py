"""How sure is an estimate, by drawing the rows again: each draw divides by its own weights."""

from __future__ import annotations

import math
from statistics import NormalDist

import attrs
import numpy as np

from agentic._offpolicy._intervals import Contributions
from agentic._offpolicy._logged import Floats, Ints, Rows, reject

_NORMAL = NormalDist()
# Rows, or groups, that are drawn one by one; above, rows that move the value alike share a cell.
_CELLS = 2048
_HEAVIEST = 1024
_AT_ONCE = 500


@attrs.frozen
class Bootstrap:
    """Takes the quantiles of the value over resamples of the rows, or of whole groups where rows depend.

    Every resample computes the estimator anew: a self-normalised one divides by the weights that this
    resample holds, and a resample of groups by its rows. What was never drawn is in no resample: at rare
    rewards it fails as the normal interval does, and without a click its width is 0. `EmpiricalLikelihood`
    is made for that.

    Up to 2,048 rows, distinct rows or groups are drawn as they are, by their multinomial counts. Of more,
    the 1,024 that move the value most still are; the others share 1,024 cells with those that move it
    about as much, and inside the cells the sum is drawn from a normal with their means and covariances.
    Mean and covariance of a resample are exact then too; what is lost is the skewness within a cell,
    which thousands of light rows average out.

    Attributes:
        resamples: How many, 100 or more.
        seed: Of the draws; the same rows and seed give the same bounds.

    Source: Efron 1979, Bootstrap Methods: Another Look at the Jackknife; Davison and Hinkley 1997,
    Bootstrap Methods and their Application, section 3.8, for groups.

    .. versionadded:: 0.1
    """

    resamples: int = attrs.field(default=10_000, kw_only=True)
    seed: int = attrs.field(default=0, kw_only=True)
    name = "bootstrap"

    def __attrs_post_init__(self) -> None:
        """Refuse too few to tell a quantile by."""
        _check(self.resamples)

    def bounds(
        self,
        rows: Rows,
        contributions: Contributions,
        /,
        *,
        standard_error: float,
        level: float,
        reward_range: tuple[float, float] | None,
    ) -> tuple[float, float]:
        """Return the quantiles that leave (1 - level) / 2 on each side."""
        found = resampled(rows, contributions, resamples=self.resamples, seed=self.seed)
        tail = (1.0 - level) / 2.0
        low, high = np.quantile(found, [tail, 1.0 - tail])
        return float(low), float(high)


@attrs.frozen
class AcceleratedBootstrap:
    """Takes the quantiles of `Bootstrap`, moved by how biased and how skewed the value is.

    Its error in coverage falls with n where that of plain quantiles falls with the root of n.

    Attributes:
        resamples: How many, 100 or more.
        seed: Of the draws; the same rows and seed give the same bounds.

    Source: Efron 1987, Better Bootstrap Confidence Intervals (BCa), acceleration from the influence values.

    .. versionadded:: 0.1
    """

    resamples: int = attrs.field(default=10_000, kw_only=True)
    seed: int = attrs.field(default=0, kw_only=True)
    name = "BCa bootstrap"

    def __attrs_post_init__(self) -> None:
        """Refuse too few to tell a quantile by."""
        _check(self.resamples)

    def bounds(
        self,
        rows: Rows,
        contributions: Contributions,
        /,
        *,
        standard_error: float,
        level: float,
        reward_range: tuple[float, float] | None,
    ) -> tuple[float, float]:
        """Return the quantiles of the resamples that, bias and skewness taken off, leave (1 - level) / 2."""
        found = resampled(rows, contributions, resamples=self.resamples, seed=self.seed)
        tied = np.isclose(found, contributions.value, rtol=1e-12, atol=0.0)
        below = float(np.mean(found < contributions.value, where=~tied)) if not tied.all() else 0.5
        edge = 0.5 / found.size
        bias = _NORMAL.inv_cdf(min(max(below, edge), 1.0 - edge))
        moves = contributions.influence
        if rows.groups is not None:
            moves = _by_group(rows.groups, moves)
        squares = float(moves @ moves)
        skewness = float(moves @ (moves * moves)) / (6.0 * squares**1.5) if squares > 0.0 else 0.0
        at = []
        for z in (_NORMAL.inv_cdf((1.0 - level) / 2.0), _NORMAL.inv_cdf((1.0 + level) / 2.0)):
            rest = 1.0 - skewness * (bias + z)
            moved = bias + (bias + z) / rest if rest > 0.0 else math.copysign(math.inf, z)
            at.append(_NORMAL.cdf(moved))
        low, high = np.quantile(found, at)
        return float(low), float(high)


def resampled(rows: Rows, contributions: Contributions, /, *, resamples: int, seed: int) -> Floats:
    """Return the value of every resample of the rows, or of the groups, as `Bootstrap` draws them.

    Args:
        rows: The weighed rows.
        contributions: What an estimator made of them; it counts as self-normalised when its `degrees`
            are n, and as a mean of its terms otherwise.
        resamples: How many to draw.
        seed: Of the draws.

    Returns:
        Shape (resamples,), float64; shorter by the resamples that hold no weight to divide by.

    .. versionadded:: 0.1
    """
    parts = _Parts.of(rows, contributions)
    cells = parts.cells()
    dice = np.random.default_rng(seed)
    share = cells.count / cells.count.sum()
    found = np.empty(resamples)
    for start in range(0, resamples, _AT_ONCE):
        stop = min(resamples, start + _AT_ONCE)
        drawn = dice.multinomial(int(cells.count.sum()), share, size=stop - start)
        sums = drawn.astype(np.float64) @ cells.mean
        if cells.root is not None:
            sums += dice.standard_normal((stop - start, cells.root.shape[0])) @ cells.root
        found[start:stop] = parts.value(sums)
    told = np.isfinite(found)
    return found[told] if told.any() else found


def _by_group(groups: Ints, column: Floats) -> Floats:
    return np.bincount(groups, weights=column).astype(np.float64)


def _check(resamples: int) -> None:
    if resamples < 100:
        reject("resamples", None, resamples, "100 or more", "draw thousands: quantiles need many")


@attrs.frozen(eq=False)
class _Parts:
    """What a resample adds up, and how the value follows from the sums.

    Attributes:
        column: Shape (m, 2) or (m, 4), float64, by row or group: how many rows and the sum of their
            terms; or how many, predictions, weighted residuals and weights, for a value that divides the
            latter two.
        influence: Shape (m,), float64: how far each moves the value.
    """

    column: Floats
    influence: Floats

    @classmethod
    def of(cls, rows: Rows, contributions: Contributions) -> _Parts:
        term, influence, n = contributions.term, contributions.influence, contributions.term.size
        weight = contributions.weight
        size = np.ones(n) if rows.stands is None else rows.stands / rows.stands.mean()
        columns = [size, term]
        if weight is not None and contributions.degrees == n and weight.any():
            predicted = rows.modelled if contributions.modelled else None
            predicted = np.zeros(n) if predicted is None else predicted
            columns = [size, predicted, term - predicted, weight / weight.mean()]
        if rows.groups is not None:
            columns = [_by_group(rows.groups, one) for one in columns]
            influence = _by_group(rows.groups, influence)
        return cls(np.stack(columns, axis=1), influence)

    def value(self, sums: Floats) -> Floats:
        """Return the values, shape (b,), of resamples with these sums, shape (b, 2) or (b, 4)."""
        with np.errstate(divide="ignore", invalid="ignore"):
            found: Floats = sums[:, 1] / sums[:, 0]
            if sums.shape[1] > 2:
                found = found + sums[:, 2] / sums[:, 3]
        return found

    def cells(self) -> _Cells:
        m = self.influence.size
        few = _distinct(self.column)
        if few is not None:
            return few
        size = np.abs(self.influence)
        heavy = np.argpartition(size, m - _HEAVIEST)[m - _HEAVIEST :]
        cut = float(size[heavy].min()) or 1.0
        place = (self.influence + cut) * (_HEAVIEST / (2.0 * cut))
        code = np.clip(place, 0.0, _HEAVIEST - 1.0).astype(np.int64)
        code[heavy] = _HEAVIEST + np.arange(_HEAVIEST)
        return _Cells.of(self.column, code)


@attrs.frozen(eq=False)
class _Cells:
    """Rows, or cells of rows that share a mean.

    Attributes:
        mean: Shape (c, p), float64.
        count: Shape (c,), float64.
        root: Shape (p, p), float64, or None: a root of the covariance that sums inside the cells have.
    """

    mean: Floats
    count: Floats
    root: Floats | None

    @classmethod
    def of(cls, column: Floats, code: Ints) -> _Cells:
        count = np.bincount(code).astype(np.float64)
        held = count > 0.0
        mean = np.zeros((count.size, column.shape[1]))
        for part in range(column.shape[1]):
            mean[:, part] = np.bincount(code, weights=column[:, part]) / np.where(held, count, 1.0)
        off = column - mean[code]
        values, vectors = np.linalg.eigh(off.T @ off)
        root = (vectors * np.sqrt(np.maximum(values, 0.0))).T
        return cls(mean[held], count[held], root)


def _distinct(column: Floats) -> _Cells | None:
    """Return the distinct rows and how often each occurs, if they are few."""
    if len(np.unique(column[:: max(1, len(column) // (4 * _CELLS))], axis=0)) > _CELLS:
        return None
    found, count = np.unique(column, axis=0, return_counts=True)
    return _Cells(found, count.astype(np.float64), None) if len(found) <= _CELLS else None
