"""Which rewards are still open, and what have they come to?"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from threading import Lock
from typing import Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray

from agentic.arrays import Bools, F64, I64, U64
from agentic.errors import InvalidOutcomeError, LearningError, UnknownDecisionError
from agentic.rewards._goals import Goals
from agentic.types import span

_FAR: Final = int(np.iinfo(np.int64).max)

# Bits of a window's state; a closed one, or one that never was, is 0.
_OPEN: Final = 1
_WAITS: Final = 2  # starts at an exposure that has not been heard of
_MOVES: Final = 4  # starts at its exposure, known or not
_SEEN: Final = 8  # an exposure has been recorded
_FINAL: Final = 16  # a terminal goal has been recorded

_EVENT: Final = np.dtype(
    [("position", "i8"), ("slot", "i8"), ("worth", "f8"), ("at", "i8"), ("event", "u8")]
)


class Recorded(enum.IntEnum):
    """What became of an outcome when it was recorded."""

    COUNTED = 1
    """It counts towards the reward, or is the exposure that starts the window."""
    DUPLICATE = 2
    """An outcome with this event key, or an exposure no later than this one, was recorded before."""
    LATE = 3
    """It happened after the window."""
    EARLY = 4
    """It happened before the window started; clocks get no tolerance."""
    CLOSED = 5
    """The reward is final already, or the choice was dropped, or never opened."""
    UNEXPOSED = 6
    """It is kept, and counts if an exposure turns up that puts it into the window."""


@attrs.frozen(eq=False)
class Closed:
    """Rewards that are final, in order of position, then slot.

    Attributes:
        position: Shape (c,), int64: place of the decision in the log.
        slot: Shape (c,), int64.
        reward: Shape (c,), float64.
    """

    position: I64
    slot: I64
    reward: F64

    def __len__(self) -> int:
        return len(self.position)


class Ledger:
    """Keeps the open reward windows of an agent: one for every slot of every decision.

    It is a fold of the log: the same calls give the same state, however the outcomes are grouped into
    calls. A reward depends on which outcomes were heard before it became final, not on their order.

    With ``start="exposure"`` the earliest exposure heard of starts the window. Outcomes are kept until the
    window closes and judged then, so an outcome may arrive before its exposure, and an exposure that turns
    out to be earlier than the first one moves the window. ``record`` says how things stand at that moment.

    Memory: 9 bytes per open choice (17 with ``start="exposure"``) for every log position from the oldest
    open one on, up to twice that while arrays grow; 40 bytes per outcome, and about 300 for the set of
    event keys of a decision that has any. All of it is given back when the decision closes.

    All methods may be called from any thread.
    """

    def __init__(self, goals: Goals, /) -> None:
        self._goals = goals
        self._window = span(goals.window, "window")
        self._terminal = frozenset(goals.codes(goals.terminal).tolist())
        self._by_exposure = goals.start == "exposure"
        self._lock = Lock()
        # Position `p` is row `p - base`; rows from `low` to `high` are in use, those before `low` are closed.
        self._base = self._low = self._high = 0
        self._at: I64 = np.zeros(0, dtype=np.int64)
        self._state: NDArray[np.uint8] = np.zeros((0, 1), dtype=np.uint8)
        self._start: I64 = np.zeros((0, 1), dtype=np.int64)
        self._events: NDArray[Any] = np.zeros(0, dtype=_EVENT)  # structured
        self._kept = 0
        self._keys: dict[int, set[int]] = {}
        self._last_words: dict[tuple[int, int], list[int]] = {}  # terminal outcomes not in a window so far
        self._pending = self._dropped = 0
        self._due = _FAR  # nothing closes before

    @property
    def goals(self) -> Goals:
        """What it counts."""
        return self._goals

    @property
    def pending(self) -> int:
        """Open windows: one for each slot of each decision."""
        return self._pending

    @property
    def dropped(self) -> int:
        """Choices that were never exposed, and so never learned from."""
        return self._dropped

    @property
    def oldest(self) -> int | None:
        """The smallest log position with an open window; ``None`` when there is none."""
        with self._lock:
            return self._base + self._low if self._pending else None

    def open(self, first: int, at: I64, sends: Bools, /) -> None:
        """Open the windows of decisions at log positions ``first``, ``first + 1``, and so on.

        Args:
            first: Not before the position after the last one opened; positions in between have no window.
            at: Shape (n,), int64: when each was decided.
            sends: Shape (n, s), bool: the slot sends something.

        Raises:
            LearningError: The position was passed already, or shapes do not fit.
        """
        if sends.ndim != 2 or sends.shape[0] != len(at) or sends.shape[1] == 0:
            raise LearningError(
                f"sends must have shape ({len(at)}, s) with at least one slot, got {sends.shape}",
                value=sends.shape,
            )
        with self._lock:
            if first < self._base + self._high:
                raise LearningError(
                    f"decisions open in the order of the log, got position {first} "
                    f"after {self._base + self._high - 1}: rebuild the ledger to start over",
                    value=first,
                )
            if len(at) == 0:
                return
            n, s = sends.shape
            low = self._make_room(first, n, s)
            self._at[low : low + n] = at
            state = np.full((n, s), _OPEN, dtype=np.uint8)
            if self._by_exposure:
                state[sends] |= _WAITS | _MOVES
                self._start[low : low + n] = _FAR
            self._state[low : low + n, :s] = state
            self._pending += n * s
            self._due = min(self._due, int(at.min()) + self._window)

    def record(
        self, position: I64, slot: I64, goal: Sequence[str] | I64, value: F64, at: I64, event: U64, /
    ) -> NDArray[np.uint8]:
        """Note outcomes of decisions, in the order of the log; all of the call or, on an error, none.

        Args:
            position: Shape (m,), int64: place of the decision in the log.
            slot: Shape (m,), int64.
            goal: Names of the outcomes, or their codes, shape (m,).
            value: Shape (m,), float64, finite.
            at: Shape (m,), int64: when each happened.
            event: Shape (m,), uint64: what makes it another outcome than the last one of this decision.

        Returns:
            Shape (m,), uint8: a ``Recorded`` for each.

        Raises:
            UnknownDecisionError: A position was never opened, nor passed over.
            UnknownGoalError: No goal counts such an outcome.
            InvalidOutcomeError: A value is not finite, a slot is negative, or lengths differ.
        """
        codes = self._goals.codes(goal)
        columns = {"position": position, "slot": slot, "goal": codes, "value": value, "at": at, "event": event}
        lengths = {name: len(column) for name, column in columns.items()}
        if len(set(lengths.values())) > 1:
            raise InvalidOutcomeError(f"outcomes must have one length, got {lengths!r}", value=lengths)
        if (slot < 0).any():
            raise InvalidOutcomeError(f"a slot counts from 0, got {int(slot.min())}", value=int(slot.min()))
        outcomes = np.empty(len(codes), dtype=_EVENT)
        outcomes["position"], outcomes["slot"], outcomes["at"] = position, slot, at
        outcomes["worth"], outcomes["event"] = self._goals.worth(codes, value), event
        with self._lock:
            end = self._base + self._high
            strange = np.flatnonzero((position < 0) | (position >= end))
            if len(strange):
                wrong = int(position[strange[0]])
                raise UnknownDecisionError(
                    f"no decision at log position {wrong}: {end} is the first one not opened", value=wrong
                )
            told = zip(
                position.tolist(), slot.tolist(), codes.tolist(), at.tolist(), event.tolist(), strict=True
            )
            status = np.array([self._note(*one) for one in told], dtype=np.uint8)
            # Exposures are in the windows' starts. An early outcome is kept: the window may still move.
            keep = (codes != 0) & np.isin(status, (Recorded.COUNTED, Recorded.UNEXPOSED))
            if self._by_exposure:
                keep |= status == Recorded.EARLY
                keep[keep] = self._is_kept(outcomes[keep])
            self._keep(outcomes[keep])
        return status

    def close(self, now: int, /) -> Closed:
        """Hand out the rewards that are final by now, each once."""
        with self._lock:
            if now < self._due:
                return Closed(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
            rows = slice(self._low, self._high)
            state, at = self._state[rows], self._at[rows, None]
            live = (state & _OPEN) > 0
            begin = np.broadcast_to(at, state.shape)
            if self._by_exposure:
                begin = np.where((state & (_MOVES | _WAITS)) == _MOVES, self._start[rows], begin)
            over = live & (begin + self._window <= now)
            lost = over & ((state & _WAITS) > 0)
            final = (over | (live & ((state & _FINAL) > 0))) & ~lost
            line, slot = np.nonzero(final)
            position = line + self._base + self._low
            reward = self._settle(final, lost, begin)
            state[final | lost] = 0
            self._pending -= len(line) + int(lost.sum())
            self._dropped += int(lost.sum())
            left = live & ~final & ~lost
            self._due = int(begin[left].min()) + self._window if self._pending else _FAR
            self._advance()
            return Closed(position, slot, reward)

    def _note(self, position: int, slot: int, code: int, at: int, event: int) -> Recorded:
        row = position - self._base
        if row < self._low or slot >= self._state.shape[1]:
            return Recorded.CLOSED
        state = int(self._state[row, slot])
        if not state & _OPEN or state & _FINAL:
            return Recorded.CLOSED
        keys = self._keys.get(position)
        if keys is not None and event in keys:
            return Recorded.DUPLICATE
        decided = int(self._at[row])
        status = (
            self._note_exposure(position, slot, decided, at)
            if code == 0
            else self._note_outcome(position, slot, code, decided, at)
        )
        return status

    def _advance(self) -> None: ...
