"""What can an interval be told of rows that nobody holds?"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import attrs


@attrs.frozen
class Sums:
    """What an interval can be told of rows that nobody holds: n rows with weights w and rewards r.

    Attributes:
        n: How many.
        value: The estimate.
        weight: Sum of w.
        gain: Sum of w r.
        weight_square: Sum of squares of w about its mean.
        cross: Sum of products of w and w r about their means.
        gain_square: Sum of squares of w r about its mean.
        least: Smallest w.
        most: Largest w.
        plain: Whether the estimate is one of plain weighted rewards: no model, nothing clipped.
        independent: Whether every row stands for itself.

    .. versionadded:: 0.1
    """

    n: int
    value: float
    weight: float
    gain: float
    weight_square: float
    cross: float
    gain_square: float
    least: float
    most: float
    plain: bool
    independent: bool


@runtime_checkable
class SummedInterval(Protocol):
    """Capability: an interval that needs no rows, only their sums."""

    def bounds_of(
        self, sums: Sums, /, *, standard_error: float, level: float, reward_range: tuple[float, float] | None
    ) -> tuple[float, float]:
        """Return what ``bounds`` returns for the rows themselves."""
