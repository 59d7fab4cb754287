"""Which rewards are still open, and what have they come to?"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from threading import Lock
from typing import Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray

from agentic.arrays import F64, I64, U64, Bools
from agentic.errors import InvalidOutcomeError, LearningError, UnknownDecisionError
from agentic.rewards._goals import Goals
from agentic.rewards._windows import FAR, FINAL, MOVES, OPEN, SEEN, Windows
from agentic.types import span


class Recorded(enum.IntEnum):
    """What became of an outcome when it was recorded."""

    COUNTED = 1
    """It counts towards the reward, or is the exposure that starts the window."""
    DUPLICATE = 2
    """This event key was recorded for the decision before, or an exposure no later than this one."""
    LATE = 3
    """It happened when the window was over."""
    EARLY = 4
    """It happened before the window started; clocks that disagree are given no tolerance."""
    CLOSED = 5
    """The reward is final, or the choice was dropped, or never opened."""
    UNEXPOSED = 6
    """It is kept, and counts if an exposure turns up that puts it into the window."""


COUNTED, DUPLICATE, LATE, EARLY, CLOSED, UNEXPOSED = Recorded

_OUTCOME: Final = np.dtype(
    [("position", "i8"), ("slot", "i8"), ("worth", "f8"), ("at", "i8"), ("event", "u8")]
)


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

    It is a fold of the log: the same calls in the same order give the same state, however outcomes are
    grouped into calls. An outcome counts from the start of the window to just before its end.

    With ``start="exposure"`` the earliest exposure heard of starts the window, and it must lie within one
    window's length of the decision. Outcomes are kept and judged when the window closes, so an outcome may
    arrive before its exposure, and an exposure that turns out to be earlier than the last one moves the
    window; ``record`` says how things stand at that moment. An outcome is no evidence of exposure.

    A terminal goal makes the reward of its slot final when it is recorded, if it lies in the window.

    Memory: 9 bytes per choice (17 with ``start="exposure"``) for every log position from the oldest open
    one on, up to four times that while arrays grow or wait to shrink; 40 bytes per outcome and some 300
    for the event keys of a decision that has any. All of it is given back as decisions close.

    All methods may be called from any thread.
    """

    def __init__(self, goals: Goals, /) -> None:
        self._goals = goals
        self._length = span(goals.window, "window")
        self._terminal = frozenset(goals.codes(goals.terminal).tolist())
        self._lock = Lock()
        self._windows = Windows(with_start=goals.start == "exposure")
        self._outcomes: NDArray[Any] = np.zeros(0, dtype=_OUTCOME)  # structured
        self._kept = 0
        self._keys: dict[int, set[int]] = {}
        # Times of terminal outcomes that lie in no window so far, by position and slot.
        self._parked: dict[tuple[int, int], list[int]] = {}
        self._pending = self._dropped = 0
        self._due = FAR  # nothing closes before

    @property
    def goals(self) -> Goals:
        """What it counts."""
        return self._goals

    @property
    def longest(self) -> int:
        """How long after a decision its reward is final at last, microseconds."""
        return self._length * (2 if self._goals.start == "exposure" else 1)

    @property
    def pending(self) -> int:
        """Open windows: one for each slot of each decision, until ``close`` has handed out its reward."""
        return self._pending

    @property
    def dropped(self) -> int:
        """Choices that were never exposed, and so are never learned from."""
        return self._dropped

    @property
    def oldest(self) -> int | None:
        """The smallest log position with an open window; ``None`` when there is none."""
        with self._lock:
            return self._windows.base + self._windows.low if self._pending else None

    def open(self, first: int, at: I64, sends: Bools, /) -> None:
        """Open the windows of decisions at log positions ``first``, ``first + 1``, and so on.

        Args:
            first: Not before the position after the last one opened; those in between have no window.
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
            if first < self._windows.end:
                raise LearningError(
                    f"decisions open in the order of the log, got position {first} when the next one is "
                    f"{self._windows.end} or later: to start over make a new Ledger",
                    value=first,
                )
            if len(at) == 0:
                return
            state = np.full(sends.shape, OPEN, dtype=np.uint8)
            if self._goals.start == "exposure":
                state[sends] |= MOVES
            self._windows.add(first, at, state)
            self._pending += sends.size
            self._due = min(self._due, int(at[0] if len(at) == 1 else at.min()) + self._length)

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
            event: Shape (m,), uint64: a key that tells it from other outcomes of the same decision.

        Returns:
            Shape (m,), uint8: a ``Recorded`` for each.

        Raises:
            UnknownDecisionError: A position lies beyond the last decision opened.
            UnknownGoalError: No goal counts such an outcome.
            InvalidOutcomeError: A value is not finite, a slot is negative, or lengths differ.
        """
        codes = self._goals.codes(goal)
        lengths = [len(column) for column in (position, slot, codes, value, at, event)]
        if len(set(lengths)) > 1:
            raise InvalidOutcomeError(
                f"position, slot, goal, value, at and event must have one length, got {lengths!r}",
                value=lengths,
            )
        if (slot < 0).any():
            raise InvalidOutcomeError(f"slots count from 0, got {int(slot.min())}", value=int(slot.min()))
        outcomes = np.empty(len(codes), dtype=_OUTCOME)
        outcomes["position"], outcomes["slot"], outcomes["at"] = position, slot, at
        outcomes["worth"], outcomes["event"] = self._goals.worth(codes, value), event
        with self._lock:
            strange = np.flatnonzero((position < 0) | (position >= self._windows.end))
            if len(strange):
                wrong = int(position[strange[0]])
                raise UnknownDecisionError(
                    f"no decision was opened at log position {wrong}, expected less than {self._windows.end}",
                    value=wrong,
                    expected=self._windows.end,
                )
            # One by one, because each may make the next a duplicate, move its window or end it.
            told = zip(
                *(outcomes[name].tolist() for name in ("position", "slot", "at", "event")), strict=True
            )
            noted = [self._note(code, *one) for code, one in zip(codes.tolist(), told, strict=True)]
            self._keep(outcomes[[keep for _, keep in noted]])
        return np.array([status for status, _ in noted], dtype=np.uint8)

    def close(self, now: int, /) -> Closed:
        """Hand out the rewards that are final by now, each once: windows that are over or ended early."""
        with self._lock:
            if now < self._due:
                return Closed(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
            windows = self._windows
            rows = slice(windows.low, windows.high)
            state, begin, lost = self._starts(rows)
            live = (state & OPEN) != 0
            over = live & (begin + self._length <= now)
            lost &= over
            final = (over & ~lost) | (live & ((state & FINAL) != 0))
            line, slot = np.nonzero(final)
            reward = self._rewards(final, over, begin)
            state[final | lost] = 0
            self._pending -= len(line) + int(lost.sum())
            self._dropped += int(lost.sum())
            left = state != 0
            self._due = int(begin[left].min()) + self._length if self._pending else FAR
            self._forget(left.any(axis=1))
            position = line + (windows.base + windows.low)
            windows.advance()
            return Closed(position, slot, reward)

    def start_at(self, position: int, /) -> None:
        """Take the windows of all decisions before a log position as closed; to be called first.

        Raises:
            LearningError: Windows were opened already.
        """
        with self._lock:
            if self._windows.end:
                raise LearningError(
                    f"start_at comes before the first window, got windows up to {self._windows.end}",
                    value=position,
                )
            self._windows.base = position

    def finish(self, position: I64, slot: I64, /) -> None:
        """Close windows whose rewards were handed out elsewhere, as the log tells; closed ones stay so.

        Args:
            position: Shape (m,), int64: places of decisions in the log.
            slot: Shape (m,), int64.
        """
        with self._lock:
            windows = self._windows
            row = position - windows.base
            here = (row >= windows.low) & (row < windows.high) & (slot < windows.state.shape[1])
            row, slot = row[here], slot[here]
            was = windows.state[row, slot] != 0
            if not was.any():
                return
            windows.state[row[was], slot[was]] = 0
            self._pending -= int(np.count_nonzero(was))
            rows = slice(windows.low, windows.high)
            state, begin, _ = self._starts(rows)
            live = state != 0
            kept = self._outcomes[: self._kept]
            which = kept["position"] - (windows.base + windows.low)
            self._outcomes = kept[live[which, kept["slot"]]]
            self._kept = len(self._outcomes)
            self._due = int(begin[live].min()) + self._length if self._pending else FAR
            if ((state & FINAL) != 0).any():
                self._due = -FAR
            self._forget(live.any(axis=1))
            windows.advance()

    def _note(self, code: int, position: int, slot: int, at: int, event: int) -> tuple[Recorded, bool]:
        """What becomes of one outcome, and whether it is to be kept."""
        windows = self._windows
        row = position - windows.base
        if row < windows.low or slot >= windows.state.shape[1]:
            return CLOSED, False
        state: int = windows.state.item(row, slot)
        if not state or state & FINAL:
            return CLOSED, False
        if event in self._keys.get(position, ()):
            return DUPLICATE, False
        if code == 0:
            status, keep = self._note_exposure(row, slot, at), False
            new = status is COUNTED
        else:
            status, keep = self._judge(row, slot, at)
            new = keep
            if keep and code in self._terminal:
                if status is COUNTED:
                    self._end(row, slot)
                else:
                    self._parked.setdefault((position, slot), []).append(at)
        if new:
            self._keys.setdefault(position, set()).add(event)
        return status, keep

    def _note_exposure(self, row: int, slot: int, at: int) -> Recorded:
        windows = self._windows
        state, decided = windows.state.item(row, slot), windows.at.item(row)
        if at < decided:
            return EARLY
        if at >= decided + self._length:
            return LATE
        if state & MOVES:
            if at >= windows.start.item(row, slot):
                return DUPLICATE
            windows.start[row, slot] = at
            self._due = min(self._due, at + self._length)
            times = self._parked.get((row + windows.base, slot), ())
            if any(at <= time < at + self._length for time in times):
                self._end(row, slot)
        elif state & SEEN:
            return DUPLICATE
        windows.state[row, slot] |= SEEN
        return COUNTED

    def _judge(self, row: int, slot: int, at: int) -> tuple[Recorded, bool]:
        windows = self._windows
        state, start = windows.state.item(row, slot), windows.at.item(row)
        if at < start:
            return EARLY, False
        if not state & MOVES:
            inside = at < start + self._length
            return (COUNTED if inside else LATE), inside
        if not state & SEEN:
            # The latest window that an exposure in time can start ends two lengths after the decision.
            possible = at < start + 2 * self._length
            return (UNEXPOSED if possible else LATE), possible
        start = windows.start.item(row, slot)
        if at < start:
            return EARLY, True
        inside = at < start + self._length
        return (COUNTED if inside else LATE), inside

    def _end(self, row: int, slot: int) -> None:
        self._windows.state[row, slot] |= FINAL
        self._due = -FAR

    def _keep(self, outcomes: NDArray[Any]) -> None:  # structured
        kept = self._kept + len(outcomes)
        if kept > len(self._outcomes):
            room = np.zeros(max(2 * kept, 64), dtype=_OUTCOME)
            room[: self._kept] = self._outcomes[: self._kept]
            self._outcomes = room
        self._outcomes[self._kept : kept] = outcomes
        self._kept = kept

    def _starts(self, rows: slice) -> tuple[NDArray[np.uint8], I64, Bools]:
        """States, starts of windows, and which have none yet: shape (rows, s) each; states are a view."""
        windows = self._windows
        state = windows.state[rows]
        begin: I64 = np.broadcast_to(windows.at[rows, None], state.shape)
        waits = np.zeros(state.shape, dtype=np.bool_)
        if self._goals.start == "exposure":
            by_exposure = state & (MOVES | SEEN)
            begin = np.where(by_exposure == MOVES | SEEN, windows.start[rows], begin)
            waits = by_exposure == MOVES
        return state, begin, waits

    def _rewards(self, final: Bools, over: Bools, begin: I64) -> F64:
        """Rewards of the windows in ``final``; their outcomes, and those of dropped ones, are let go."""
        outcomes = self._outcomes[: self._kept]
        row, slot = outcomes["position"] - (self._windows.base + self._windows.low), outcomes["slot"]
        numbers = np.flatnonzero(final)
        whose = np.searchsorted(numbers, row * final.shape[1] + slot)
        start = begin[row, slot]
        counts = final[row, slot] & (start <= outcomes["at"]) & (outcomes["at"] < start + self._length)
        reward = np.full(len(numbers), self._goals.default)
        # In order of time, and of event key at the same time, whatever order they were heard in.
        chosen, whose = outcomes[counts], whose[counts]
        order = np.lexsort((chosen["event"], chosen["at"], whose))
        worth = chosen["worth"][order]
        who, first = np.unique(whose[order], return_index=True)
        if len(who):
            if self._goals.aggregate == "first":
                reward[who] = worth[first]
            elif self._goals.aggregate == "max":
                reward[who] = np.maximum.reduceat(worth, first)
            else:
                reward[who] = np.bincount(whose[order], weights=worth)[who]
        self._outcomes = outcomes[~(final | over)[row, slot]]
        self._kept = len(self._outcomes)
        return reward

    def _forget(self, left: Bools) -> None:
        """Drop the event keys of decisions without an open window, and what was parked for them."""
        first = self._windows.base + self._windows.low
        if self._keys:
            heard = np.fromiter(self._keys, dtype=np.int64, count=len(self._keys))
            for position in heard[~left[heard - first]].tolist():
                del self._keys[position]
        for key in [key for key in self._parked if not left[key[0] - first]]:
            del self._parked[key]
