"""What must be kept of an arm's outcomes to know their mean and how sure it is?"""

from __future__ import annotations

from typing import Self

import attrs
import numpy as np
import numpy.typing as npt

from agentic._sequential._checks import as_outcomes, check_not_negative


@attrs.frozen(kw_only=True)
class Moments:
    """Holds what a mean and its spread need of one arm.

    Attributes:
        rows: Number of rows.
        mean: Their mean, 0 without rows.
        squares: Sum of squared deviations from the mean.
        zeros: Rows whose outcome is 0.
        ones: Rows whose outcome is 1.

    .. versionadded:: 0.1
    """

    rows: float = attrs.field(default=0.0, validator=check_not_negative)
    mean: float = 0.0
    squares: float = attrs.field(default=0.0, validator=check_not_negative)
    zeros: float = attrs.field(default=0.0, validator=check_not_negative)
    ones: float = attrs.field(default=0.0, validator=check_not_negative)

    @classmethod
    def of(cls, outcomes: npt.ArrayLike, /) -> Self:
        """Return the moments of outcomes: shape (n,)."""
        values = as_outcomes("outcomes", outcomes)
        if not values.size:
            return cls()
        mean = float(values.mean())
        return cls(
            rows=float(values.size),
            mean=mean,
            squares=float(((values - mean) ** 2).sum()),
            zeros=float(np.count_nonzero(values == 0.0)),
            ones=float(np.count_nonzero(values == 1.0)),
        )

    @classmethod
    def of_sums(
        cls, rows: float, total: float, sum_of_squares: float, /, *, zeros: float, ones: float
    ) -> Self:
        """Return the moments from sums, as a database computes them.

        Args:
            rows: Number of rows.
            total: Sum of the outcomes.
            sum_of_squares: Sum of their squares.
            zeros: Rows whose outcome is 0.
            ones: Rows whose outcome is 1.
        """
        if not rows:
            return cls()
        mean = total / rows
        return cls(
            rows=rows, mean=mean, squares=max(0.0, sum_of_squares - total * mean), zeros=zeros, ones=ones
        )

    def merged(self, other: Moments, /) -> Moments:
        """Return the moments of both sets of rows together."""
        rows = self.rows + other.rows
        if not rows:
            return self
        gap = other.mean - self.mean
        return Moments(
            rows=rows,
            mean=self.mean + gap * other.rows / rows,
            squares=self.squares + other.squares + gap * gap * self.rows * other.rows / rows,
            zeros=self.zeros + other.zeros,
            ones=self.ones + other.ones,
        )

    @property
    def variance(self) -> float:
        """Variance with n - 1; 0 with fewer than two rows."""
        return self.squares / (self.rows - 1.0) if self.rows > 1.0 else 0.0

    @property
    def carrying(self) -> float:
        """Rows that carry the spread: of 0 and 1 the rarer kind, otherwise those that are not 0."""
        return self.rows - max(self.zeros, self.ones)
