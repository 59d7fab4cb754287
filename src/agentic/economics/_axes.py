"""Where does a number stand on an axis, and which numbers are written beside it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import attrs

from agentic._drawing import MOST_TICKS as _MOST
from agentic._drawing import even_ticks, number

__all__ = ["LogAxis", "even_ticks", "number"]

_MANTISSAS: Final = ((1.0,), (1.0, 3.0), (1.0, 2.0, 5.0), (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0))
_PAD: Final = 0.09  # of the axis, left and right of the outermost points
_NARROWEST: Final = math.log10(1.5)
_FEWEST: Final = 3


@attrs.frozen
class LogAxis:
    """A logarithmic axis on which what is free stands at the very beginning.

    Attributes:
        low: Decimal logarithm at the beginning.
        high: At the end.
        start: Place of the beginning, in pixels.
        end: Of the end.
        free: Whether something is free.
    """

    low: float
    high: float
    start: float
    end: float
    free: bool

    @classmethod
    def over(cls, values: Sequence[float], start: float, end: float, /) -> LogAxis:
        """An axis on which all of these stand, none at the edge; values are 0 or more."""
        logs = [math.log10(value) for value in values if value > 0.0] or [0.0]
        middle, span = (min(logs) + max(logs)) / 2.0, max(max(logs) - min(logs), _NARROWEST)
        reach = span * (0.5 + _PAD)
        return cls(middle - reach, middle + reach, start, end, min(values, default=1.0) <= 0.0)

    def place(self, value: float, /) -> float:
        """Where a value stands."""
        if value <= 0.0:
            return self.start
        share = (math.log10(value) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Round numbers within the axis, at most seven, and 0 where something is free."""
        found: list[float] = []
        for mantissas in _MANTISSAS:
            found = [
                mantissa * 10.0**power
                for power in range(math.floor(self.low) - 1, math.ceil(self.high) + 1)
                for mantissa in mantissas
                if self.low <= math.log10(mantissa) + power <= self.high
            ]
            if len(found) >= _FEWEST:
                break
        if len(found) < _FEWEST:
            found = even_ticks(10.0**self.low, 10.0**self.high)
        found = found[:: math.ceil(len(found) / _MOST)]
        return [0.0, *found] if self.free else found
