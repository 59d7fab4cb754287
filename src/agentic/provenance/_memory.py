"""A log in this process: large blocks as they come, small ones gathered by kind into columns."""

from __future__ import annotations

import bisect
import threading
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from agentic.arrays import Block, Receipt, Status
from agentic.errors import LogError

_SMALL: Final = 256
_WAITING: Final = 64
_FULL: Final = 4096
_END: Final = 1 << 62
_PUBLIC: Final = {
    "decision": frozenset(
        [
            *("at", "surrogate", "arm", "denied", "action", "probability", "explored", "score", "spread"),
            *("cost", "compute_us", "policy_failed"),
        ]
    ),
    "outcome": frozenset(("decision", "slot", "goal", "at")),
    "reward": frozenset(("decision", "slot", "reward")),
    "fact": frozenset(("at", "surrogate")),
    "erasure": frozenset(("at", "surrogate", "due", "state")),
}
"""Columns that say nothing about a person once the person's name and values are gone, by kind."""
_BLANK: Final[dict[str, Any]] = {"values": np.nan, "status": np.uint8(Status.NOT_FOUND), "zone": -1}


class _Segment:
    """Records of one kind and meta, with the number of each; ``count`` of the buffers' rows are used."""

    def __init__(
        self,
        kind: str,
        meta: dict[str, Any],  # JSON-compatible
        columns: dict[str, NDArray[Any]],
        numbers: NDArray[np.int64],
        count: int,
    ) -> None:
        self.kind = kind
        self.meta = meta
        self.columns = columns
        self.numbers = numbers
        self.count = count

    def fits(self, block: Block) -> bool:
        if self.count + len(block) > _FULL or not (self.meta is block.meta or self.meta == block.meta):
            return False
        if self.columns.keys() != block.columns.keys():
            return False
        for name, column in block.columns.items():
            mine = self.columns[name]
            if column.dtype != mine.dtype or column.shape[1:] != mine.shape[1:]:
                return False
        return True

    def add(self, block: Block, numbers: NDArray[np.int64]) -> None:
        end = self.count + len(block)
        if end > len(self.numbers):
            # Old buffers stay with whoever reads them; records are never written twice.
            size = max(end, 2 * len(self.numbers))
            self.columns = {name: _grown(column, size) for name, column in self.columns.items()}
            self.numbers = _grown(self.numbers, size)
        for name, column in block.columns.items():
            self.columns[name][self.count : end] = column
        self.numbers[self.count : end] = numbers
        self.count = end

    def about(self, names: set[str]) -> NDArray[np.int64]:
        """Rows about these subjects."""
        subjects = self.columns.get("subject")
        if subjects is None or not names:
            return np.empty(0, np.int64)
        return np.flatnonzero(np.logical_or.reduce([subjects[: self.count] == name for name in names]))

    def blank(self, rows: NDArray[np.int64]) -> int:
        """Replace what is personal in these rows; how many they are."""
        public = _PUBLIC.get(self.kind, frozenset()).union(self.meta.get("public", ()))
        columns = {}
        for name, column in self.columns.items():
            if name not in public:
                blanked = column.copy()  # readers keep theirs
                blanked[rows] = "" if column.dtype.hasobject else _BLANK.get(name, 0)
                blanked.flags.writeable = column.flags.writeable
                columns[name] = blanked
            else:
                columns[name] = column
        self.columns = columns
        return len(rows)


class MemoryLog:
    """Keeps every record in memory; gone when the process ends. Safe for threads.

    Blocks of fewer than 256 records are gathered into shared columns by kind, 64 at a time, so a single
    decision costs its bytes and not twenty arrays.
    """

    durability: Final = "memory"

    def __init__(self) -> None:
        self._large: list[_Segment] = []
        self._starts: list[int] = []
        self._gathered: dict[str, list[_Segment]] = {}
        self._waiting: dict[str, list[tuple[int, Block]]] = {}
        self._next = 0
        self._lock = threading.Lock()

    def append(self, block: Block, /) -> Receipt:
        """Append all records of the block, or none.

        Raises:
            LogError: The block's columns differ in length.
        """
        count = len(block)
        if not all([column.ndim and len(column) == count for column in block.columns.values()]):  # noqa: C419 - a third cheaper
            shapes = {name: column.shape for name, column in block.columns.items()}
            raise LogError(
                f"the columns of a {block.kind!r} block must have one length, got shapes {shapes!r}: nothing"
                " was appended",
                value=shapes,
            )
        with self._lock:
            first = self._next
            if count >= _SMALL:
                numbers = np.arange(first, first + count)
                columns = {name: _sealed(_ours(column)) for name, column in block.columns.items()}
                self._large.append(_Segment(block.kind, block.meta, columns, numbers, count))
                self._starts.append(first)
            elif count:
                waiting = self._waiting.setdefault(block.kind, [])
                if len(waiting) == _WAITING:
                    self._gather(block.kind)
                columns = {name: _ours(column) for name, column in block.columns.items()}
                waiting.append((first, Block(block.kind, columns, block.meta)))
            self._next += count
        return Receipt(first, count)

    def _gather(self, kind: str) -> None:
        """Copy the blocks that wait into the columns of their kind."""
        waiting, segments = self._waiting[kind], self._gathered.setdefault(kind, [])
        # Interrupted half-way, it begins again behind what was copied: nothing is lost or comes twice.
        done = int(segments[-1].numbers[segments[-1].count - 1]) if segments else -1
        for numbers, block in _runs([(first, block) for first, block in waiting if first > done]):
            if segments and segments[-1].fits(block):
                segments[-1].add(block, numbers)
            else:
                empty = {name: column[:0] for name, column in block.columns.items()}
                segment = _Segment(kind, block.meta, empty, np.empty(0, np.int64), 0)
                segment.add(block, numbers)
                segments.append(segment)
        waiting.clear()

    def read(self, after: int = 0, /) -> Iterator[tuple[Receipt, Block]]:
        """Yield blocks in order, from the one that holds record ``after``."""
        with self._lock:
            for kind in self._waiting:
                self._gather(kind)
            at = max(0, bisect.bisect_right(self._starts, after) - 1)
            end, most = self._next, len(self._large)
            cursors = [_Cursor(segments, after, end) for segments in self._gathered.values()]
        import heapq  # only readers need it

        heap = [(cursor.head, place) for place, cursor in enumerate(cursors) if cursor.head < end]
        heapq.heapify(heap)
        for place in range(at, most):
            start, segment = self._starts[place], self._large[place]
            while heap and heap[0][0] < start:
                yield cursors[heap[0][1]].step(heap, start)
            if start + segment.count > after:
                yield Receipt(start, segment.count), Block(segment.kind, segment.columns, segment.meta)
        while heap:
            yield cursors[heap[0][1]].step(heap, end)

    def erase(self, whom: Sequence[str], /) -> int:
        """Blank what is personal in the records of these subjects; return how many records those were.

        Records keep their numbers and what says nothing about a person: what was chosen, how likely it was,
        the reward. Whoever still holds an array that was read earlier holds what it held.
        """
        names = set(whom)
        with self._lock:
            for kind in self._waiting:
                self._gather(kind)
            segments = [*self._large, *(one for many in self._gathered.values() for one in many)]
            about = [(one, one.about(names)) for one in segments]
            gone = [one.numbers[rows] for one, rows in about if one.kind == "decision" and len(rows)]
            decisions = np.concatenate(gone) if gone else np.empty(0, np.int64)
            for number, (one, _) in enumerate(about):
                if one.kind == "outcome":
                    about[number] = (
                        one,
                        np.flatnonzero(np.isin(one.columns["decision"][: one.count], decisions)),
                    )
            return sum(one.blank(rows) for one, rows in about if len(rows))

    def __len__(self) -> int:
        return self._next


class _Cursor:
    """A place in the gathered segments of one kind; segments and their records are only ever added.

    Args:
        segments: Of this kind, in the order of their records.
        after: Number of the first record to read.
        end: Number after the last.
    """

    def __init__(self, segments: list[_Segment], after: int, end: int) -> None:
        self.segments = segments
        self.end = end
        self.which = bisect.bisect_left(
            segments, after, key=lambda segment: int(segment.numbers[segment.count - 1])
        )
        self.at = 0
        if self.which < len(segments):
            segment = segments[self.which]
            self.at = int(np.searchsorted(segment.numbers[: segment.count], after))
        self.numbers = np.empty(0, dtype=np.int64)
        self.head = _END
        self._look()

    def _look(self) -> None:
        """Find the next record there was when the reading began; its number, or one beyond all."""
        self.head = _END
        while self.which < len(self.segments):
            segment = self.segments[self.which]
            self.numbers = segment.numbers[: segment.count]
            if self.at < len(self.numbers):
                if self.numbers[self.at] < self.end:
                    self.head = int(self.numbers[self.at])
                return
            self.which, self.at = self.which + 1, 0

    def step(self, heap: list[tuple[int, int]], limit: int) -> tuple[Receipt, Block]:
        """Take the run of records up to the next one that stands elsewhere, and move on."""
        import heapq

        first, place = heapq.heappop(heap)
        if heap:
            limit = min(limit, heap[0][0])
        segment = self.segments[self.which]
        stop = int(np.searchsorted(self.numbers, limit))
        part = {name: _sealed(column[self.at : stop]) for name, column in segment.columns.items()}
        count, self.at = stop - self.at, stop
        self._look()
        if self.head < _END:
            heapq.heappush(heap, (self.head, place))
        return Receipt(first, count), Block(segment.kind, part, segment.meta)


def _runs(waiting: list[tuple[int, Block]]) -> Iterator[tuple[NDArray[np.int64], Block]]:
    """Blocks with the numbers of their records: all in one where they are alike, as they mostly are."""
    numbers = [np.arange(first, first + len(block)) for first, block in waiting]
    blocks = [block for _, block in waiting]
    if not blocks:
        return
    one = blocks[0]
    names = tuple(one.columns)
    if all(block.meta is one.meta and tuple(block.columns) == names for block in blocks):
        try:
            columns = {
                name: np.concatenate(
                    [block.columns[name] for block in blocks], dtype=one.columns[name].dtype, casting="no"
                )
                for name in names
            }
        except (TypeError, ValueError):  # of another dtype, or another shape
            pass
        else:
            yield np.concatenate(numbers), Block(one.kind, columns, one.meta)
            return
    yield from zip(numbers, blocks, strict=True)


def _ours(column: NDArray[Any]) -> NDArray[Any]:
    """The column, or a copy where somebody may still write to it: what comes after was not logged."""
    return column.copy() if column.flags.writeable else column


def _sealed(column: NDArray[Any]) -> NDArray[Any]:
    """A view that cannot be written through."""
    view = column.view()
    view.flags.writeable = False
    return view


def _grown(column: NDArray[Any], size: int) -> NDArray[Any]:
    out: NDArray[Any] = np.empty((size, *column.shape[1:]), dtype=column.dtype)
    out[: len(column)] = column
    return out
