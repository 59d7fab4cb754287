"""Where do open reward windows live? In arrays by log position that move along with the log."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from agentic.arrays import I64

# Bits of a window's state; of a closed one, or one that never was, it is 0.
OPEN: Final = 1
MOVES: Final = 2  # starts at its exposure
SEEN: Final = 4  # an exposure has been heard of
FINAL: Final = 8  # a terminal goal has been reached

FAR: Final = int(np.iinfo(np.int64).max)
_LEAST: Final = 1024


class Windows:
    """Dense arrays: row ``r`` is log position ``base + r``; rows ``low`` to ``high`` are in use.

    Attributes:
        base: Log position of the first row.
        low: First row with an open window, when there is one.
        high: Row after the last one.
        at: Shape (c,), int64: when each was decided.
        state: Shape (c, s), uint8.
        start: Shape (c, s), int64: the earliest exposure, ``FAR`` before any; no rows when not asked for.
    """

    def __init__(self, *, with_start: bool) -> None:
        self.base = self.low = self.high = 0
        self.at: I64 = np.zeros(0, dtype=np.int64)
        self.state: NDArray[np.uint8] = np.zeros((0, 1), dtype=np.uint8)
        self.start: I64 = np.zeros((0, 1), dtype=np.int64)
        self._with_start = with_start

    @property
    def end(self) -> int:
        """The log position after the last row."""
        return self.base + self.high

    def add(self, first: int, at: I64, state: NDArray[np.uint8], /) -> None:
        """Put rows in at a position that is not before the end; rows in between are closed.

        Args:
            first: Log position of the first one.
            at: Shape (n,).
            state: Shape (n, s).
        """
        n, width = state.shape
        if self.low == self.high:
            self.base, self.low, self.high = first, 0, 0
        wide = max(width, self.state.shape[1])
        if first - self.base + n > len(self.at) or wide > self.state.shape[1]:
            # Room for as many again, so that adding costs the same on average however long it goes on.
            self._move(2 * (first - self.base - self.low + n), wide)
        row = first - self.base
        self.state[self.high : row + n] = 0
        self.at[row : row + n] = at
        self.state[row : row + n, :width] = state
        if self._with_start:
            self.start[row : row + n] = FAR
        self.high = row + n

    def advance(self) -> None:
        """Move on past rows that are closed, and give back memory."""
        live = (self.state[self.low : self.high] != 0).any(axis=1)
        self.low = self.low + int(np.argmax(live)) if live.any() else self.high
        used = self.high - self.low
        if len(self.at) > max(_LEAST, 4 * used):
            self._move(2 * used, self.state.shape[1])

    def _move(self, capacity: int, width: int) -> None:
        capacity = max(capacity, _LEAST)
        rows, used = slice(self.low, self.high), self.high - self.low
        at = np.zeros(capacity, dtype=np.int64)
        state = np.zeros((capacity, width), dtype=np.uint8)
        at[:used] = self.at[rows]
        state[:used, : self.state.shape[1]] = self.state[rows]
        if self._with_start:
            start = np.full((capacity, width), FAR, dtype=np.int64)
            start[:used, : self.start.shape[1]] = self.start[rows]
            self.start = start
        self.at, self.state = at, state
        self.base, self.low, self.high = self.base + self.low, 0, used
