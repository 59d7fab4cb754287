"""What must be kept of rows to know later how far they spread: sums that add, whoever adds them.

How far each row moves an estimate is known only when all rows are: it hangs on the estimate itself. But it
is always a combination of a few columns of the row, with coefficients that come last. So of rows that are
independent all products of up to four columns are summed, and of subjects the columns themselves: either
gives the spread of any combination afterwards.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Final, Protocol, Self

import attrs
import numpy as np
import numpy.typing as npt

from agentic import _noise
from agentic._offpolicy._logged import Floats, Ints
from agentic.arrays import U64

MOST_GROUPS: Final = 1 << 18
_AT_ONCE: Final = 8192
_WHOLE: Final = 64  # bits of a key


class Spread(Protocol):
    """What is kept of rows for the sake of their spread, in columns of which the first is always 1."""

    @property
    def independent(self) -> bool:
        """Whether every row stands for itself."""

    @property
    def units(self) -> int:
        """How many there are of what is independent: rows, subjects, or lots of subjects."""

    def observe(self, columns: Floats, keys: U64 | None, frame: Floats, /) -> Self:
        """Add rows: columns of shape (p, n), seen in the frame of the rows alone, of shape (p, p)."""

    def merge(self, other: Self, mine: Floats, others: Floats, both: Floats, /) -> Self:
        """Add what was kept elsewhere, given the frames of one, of the other, and of both together."""

    def products(self, first: Floats, second: Floats, frame: Floats, /) -> float:
        """Sum over units of one combination of columns times another, in the frame of all rows."""

    def error(self, square: float, degrees: int, /) -> float:
        """Standard error of a mean of which this is the sum of squares; as ``standard_error`` has it."""

    def fourth(self, combination: Floats, frame: Floats, /) -> float:
        """Sum over units of the fourth power of a combination of columns, in the frame of all rows."""


@functools.cache
def _pairs(p: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    return np.triu_indices(p)


def _lifted(change: Floats) -> Floats:
    """What a change of columns does to their products: shape (q, q) for p columns and q pairs."""
    i, j = _pairs(len(change))
    straight = change[np.ix_(i, i)] * change[np.ix_(j, j)]
    crossed = change[np.ix_(i, j)] * change[np.ix_(j, i)]
    return np.asarray(straight + np.where(i != j, crossed, 0.0), dtype=np.float64)


@attrs.frozen(eq=False)
class ByRow:
    """Sums of products of rows that are independent, centred so that nothing cancels.

    Attributes:
        n: How many rows.
        gram: Shape (q, q): sums of products of pairs of columns; the first pair is 1.

    Source: Chan, Golub, LeVeque 1983, Algorithms for computing the sample variance, carried on to the fourth
    order: a shift of the centre is a linear map of the products.
    """

    n: int
    gram: Floats

    @classmethod
    def none(cls, p: int, /) -> Self:
        """Of no rows, with ``p`` columns."""
        q = p * (p + 1) // 2
        return cls(0, np.zeros((q, q)))

    @property
    def independent(self) -> bool:
        """Every row stands for itself."""
        return True

    @property
    def units(self) -> int:
        """Rows."""
        return self.n

    def observe(self, columns: Floats, _: U64 | None, frame: Floats, /) -> Self:
        """Sum the products of these rows; only ever called on what holds none."""
        p, n = columns.shape
        i, j = _pairs(p)
        gram = np.zeros_like(self.gram)
        for start in range(0, n, _AT_ONCE):
            seen = _seen(columns[:, start : start + _AT_ONCE], frame)
            pairs = np.empty((len(i), seen.shape[1]))
            for place, (one, other) in enumerate(zip(i.tolist(), j.tolist(), strict=True)):
                np.multiply(seen[one], seen[other], out=pairs[place])
            gram += pairs @ pairs.T
        return type(self)(n, gram)

    def merge(self, other: Self, mine: Floats, others: Floats, both: Floats, /) -> Self:
        """Add in the frame of both."""
        gram = np.zeros_like(self.gram)
        for part, frame in ((self, mine), (other, others)):
            if part.n:
                # Frames are triangular with ones: what leads from one to the other is exact to rounding.
                change = _lifted(np.asarray(np.linalg.solve(frame.T, both.T).T, dtype=np.float64))
                gram += change @ part.gram @ change.T
        return type(self)(self.n + other.n, gram)

    def products(self, first: Floats, second: Floats, _: Floats, /) -> float:
        """Of the second order."""
        i, j = _pairs(len(first))
        square = np.zeros((len(first), len(first)))
        square[i, j] = square[j, i] = self.gram[0]
        return float(first @ square @ second)

    def error(self, square: float, degrees: int, /) -> float:
        """By rows."""
        return math.sqrt(square / (self.n * degrees)) if degrees else math.inf

    def fourth(self, combination: Floats, _: Floats, /) -> float:
        """Of the fourth order."""
        i, j = _pairs(len(combination))
        squared = combination[i] * combination[j] * np.where(i != j, 2.0, 1.0)
        return float(squared @ self.gram @ squared)


def _seen(columns: Floats, frame: Floats) -> Floats:
    """The columns in a frame, by subtraction: a product of matrices would round what nearly cancels."""
    seen = np.array(columns)
    for row, column in zip(*np.nonzero(np.tril(frame, -1)), strict=True):
        seen[row] += frame[row, column] * columns[column]
    return seen


Run = tuple[U64, Floats]
"""Keys, ascending, and the sums of each: shapes (g,) and (p, g)."""


@attrs.frozen(eq=False)
class ByGroup:
    """Sums by subject, in a table that does not grow beyond ``most`` places.

    Where there are more subjects, those whose hashes begin with the same bits share a place: lots of
    subjects, drawn by chance and independent of each other, whose sums spread as much as those of their
    subjects do. The standard error is then itself an estimate of some 1 / sqrt(2 ``most``) of relative error.
    Which subjects share a place follows from all of them together, not from the order in which they came.

    Attributes:
        n: How many rows.
        most: Places.
        bits: How many leading bits of a hash make a place: 64 while each subject has its own.
        runs: Parts of the table, each half as large as the one before it, or smaller.
    """

    n: int
    most: int
    bits: int
    runs: tuple[Run, ...] = ()

    @classmethod
    def none(cls, most: int, /) -> Self:
        """Of no rows."""
        return cls(0, most, _WHOLE)

    @property
    def independent(self) -> bool:
        """Whether no subject has two rows."""
        return self.bits == _WHOLE and self.units == self.n

    @property
    def units(self) -> int:
        """Subjects, or the lots that they were put in."""
        return len(self.whole().runs[0][0]) if self.runs else 0

    def observe(self, columns: Floats, keys: U64 | None, _: Floats, /) -> Self:
        """Add rows to the sums of their subjects."""
        assert keys is not None  # noqa: S101 - for the type checker
        mixed = _noise.mix(keys)
        return self._with((_summed(mixed >> np.uint64(_WHOLE - self.bits), columns),), columns.shape[1])

    def merge(self, other: Self, mine: Floats, others: Floats, both: Floats, /) -> Self:
        """Add sums by key."""
        bits, most = min(self.bits, other.bits), min(self.most, other.most)
        part = other.whole()
        made = attrs.evolve(self, most=most)._coarser(bits)
        return made._with(tuple(_shifted(run, part.bits - bits) for run in part.runs), other.n)

    def _with(self, runs: Sequence[Run], n: int) -> Self:
        table, bits = [*self.runs, *runs], self.bits
        while len(table) > 1 and 2 * len(table[-1][0]) >= len(table[-2][0]):
            second, first = table.pop(), table.pop()
            keys = np.concatenate([first[0], second[0]])
            table.append(_summed(keys, np.concatenate([first[1], second[1]], axis=1)))
        made = attrs.evolve(self, n=self.n + n, runs=tuple(table))
        largest = max((run[0] for run in table), key=len, default=np.zeros(0, np.uint64))
        return made._coarser(_fitting(largest, bits, self.most))

    def _coarser(self, bits: int) -> Self:
        if bits == self.bits:
            return self
        runs = tuple(_shifted(run, self.bits - bits) for run in self.runs)
        return attrs.evolve(self, bits=bits, runs=runs)

    def whole(self) -> Self:
        """The same as one table."""
        if len(self.runs) < 2:
            return self
        keys = np.concatenate([run[0] for run in self.runs])
        run = _summed(keys, np.concatenate([run[1] for run in self.runs], axis=1))
        return attrs.evolve(self, runs=(run,))._coarser(_fitting(run[0], self.bits, self.most))

    def products(self, first: Floats, second: Floats, frame: Floats, /) -> float:
        """Of the subjects' sums."""
        seen = _seen(self.whole().runs[0][1], frame)
        return float((first @ seen) @ (second @ seen))

    def error(self, square: float, _: int, /) -> float:
        """By subject."""
        units = self.units
        return math.sqrt(square * units / (units - 1)) / self.n if units > 1 else math.inf

    def fourth(self, combination: Floats, frame: Floats, /) -> float:
        """Of the subjects' sums."""
        squares = (combination @ _seen(self.whole().runs[0][1], frame)) ** 2
        return float(squares @ squares)


def _summed(keys: U64, columns: Floats) -> Run:
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    if len(starts) == len(keys):
        return ordered, columns[:, order]
    return ordered[starts], np.add.reduceat(columns[:, order], starts, axis=1)


def _shifted(run: Run, by: int) -> Run:
    return _summed(run[0] >> np.uint64(by), run[1]) if by else run


def _fitting(keys: U64, bits: int, most: int) -> int:
    """The most leading bits, up to ``bits``, in which so many keys have at most ``most`` places."""
    while len(keys) > most:
        keys = np.unique(keys >> np.uint64(1))
        bits -= 1
    return bits


@attrs.frozen(eq=False)
class Heights:
    """How many weights lie where, filed by their leading bits: 256 places to a factor of two.

    Attributes:
        place: Shape (b,), ascending.
        count: Shape (b,): weights that are filed there.
        total: Shape (b,): their sum.
    """

    place: Ints = attrs.field(factory=lambda: np.zeros(0, np.int64))
    count: Ints = attrs.field(factory=lambda: np.zeros(0, np.int64))
    total: Floats = attrs.field(factory=lambda: np.zeros(0))

    @classmethod
    def of(cls, weight: Floats, /) -> Self:
        """File weights, none of them negative."""
        places = (weight + 0.0).view(np.int64) >> 44  # so that a zero has no sign
        if len(weight) < _AT_ONCE:
            return cls._made(places, np.ones(len(weight), np.int64), weight)
        # There are half a million places at most, and to count in them is cheaper than to sort.
        least = int(places.min())
        places -= least
        counts = np.bincount(places)
        found = counts.nonzero()[0]
        totals = np.bincount(places, weights=weight)[found]
        return cls(found + least, counts[found], totals.astype(np.float64, copy=False))

    @classmethod
    def _made(cls, places: Ints, counts: Ints, totals: Floats) -> Self:
        place, where = np.unique(places, return_inverse=True)
        count = np.bincount(where, weights=counts, minlength=len(place)).astype(np.int64)
        total = np.bincount(where, weights=totals, minlength=len(place)).astype(np.float64, copy=False)
        return cls(place, count, total)

    def merge(self, other: Self, /) -> Self:
        """Of both together."""
        names = ("place", "count", "total")
        place, count, total = (np.concatenate([getattr(self, n), getattr(other, n)]) for n in names)
        return self._made(place, count, total)

    def heaviest(self, rows: int, /) -> float:
        """Sum of the heaviest ``rows`` weights, to 1 part in 256 of those in the last place opened."""
        above = np.cumsum(self.count[::-1])[::-1]
        last = max(0, int(np.searchsorted(-above, -rows, side="right")) - 1)
        rest = rows - (int(above[last + 1]) if last + 1 < len(above) else 0)
        return float(self.total[last + 1 :].sum() + self.total[last] * rest / self.count[last])
