"""How does the tree over a log's records grow?

Hashing a record costs more than writing it, so records are sealed later than they are appended. Until then
the digests of their blocks protect them against accidents, though not against whoever rewrites both: as with
the merge delay of Certificate Transparency, what nobody has signed yet is not proved.
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Sequence
from typing import Final

import attrs

from agentic._database import Database
from agentic.errors import DamagedError
from agentic.provenance._leaves import commitments, leaf_hashes, times_of
from agentic.provenance._merkle import Frontier
from agentic.provenance._pieces import SEGMENT, Reader, end_of

LEVEL: Final = SEGMENT.bit_length() - 1
_KEY: Final = "log.tree"
_AT_ONCE: Final = 4  # segments sealed in one transaction
_TIMES: Final = struct.Struct("<qq")


@attrs.frozen
class State:
    """What is kept of the tree to let it grow.

    Attributes:
        frontier: Over all sealed records.
        first_at: Least ``at`` of the segment that is not full yet, in microseconds; ``None`` for none.
        last_at: Its greatest.
    """

    frontier: Frontier = attrs.field(factory=Frontier)
    first_at: int | None = None
    last_at: int | None = None

    @property
    def full(self) -> Frontier:
        """The tree over the roots of all full segments."""
        size = self.frontier.size >> LEVEL
        return Frontier(size, self.frontier.roots[: size.bit_count()])

    @property
    def rest(self) -> Frontier:
        """The tree over the segment that is not full yet."""
        size = self.frontier.size % SEGMENT
        return Frontier(size, self.frontier.roots[(self.frontier.size >> LEVEL).bit_count() :])

    def to_bytes(self) -> bytes:
        """As it is stored."""
        # No time is written as a range that holds none.
        first, last = (
            (1, 0) if self.first_at is None or self.last_at is None else (self.first_at, self.last_at)
        )
        return _TIMES.pack(first, last) + self.frontier.to_bytes()

    @classmethod
    def from_bytes(cls, stored: bytes, /) -> State:
        """Read what ``to_bytes`` wrote.

        Raises:
            DamagedError: These are not bytes that it wrote.
        """
        frontier = Frontier.from_bytes(stored[_TIMES.size :])
        first, last = _TIMES.unpack(stored[: _TIMES.size])
        return cls(frontier) if first > last else cls(frontier, first, last)

    @classmethod
    def load(cls, database: Database, connection: sqlite3.Connection, /) -> State:
        """Read it from the file.

        Raises:
            DamagedError: It is not what was written, or gone.
        """
        stored = database.noted(_KEY, connection)
        if stored is not None:
            return cls.from_bytes(stored)
        if connection.execute("SELECT 1 FROM commitments LIMIT 1").fetchone():
            raise DamagedError(
                "records are sealed but the frontier of their tree is missing: restore the file from a backup"
            )
        return cls()


@attrs.frozen
class Segment:
    """A full segment.

    Attributes:
        first: Its first record.
        root: Over its leaves.
        first_at: Least time of its records, in microseconds; ``None`` where they have none.
        last_at: The greatest.
    """

    first: int
    root: bytes
    first_at: int | None
    last_at: int | None


class Growth:
    """Adds leaves to a tree in memory, segment by segment.

    Args:
        state: To begin with.
    """

    def __init__(self, state: State, /) -> None:
        self._full, self._rest = state.full, state.rest
        self._first_at, self._last_at = state.first_at, state.last_at
        self.segments: list[Segment] = []

    def add(self, leaves: Sequence[bytes], times: tuple[int, int] | None) -> None:
        """Add leaf hashes of one segment, whose times lie between these two."""
        if times is not None:
            self._first_at = times[0] if self._first_at is None else min(self._first_at, times[0])
            self._last_at = times[1] if self._last_at is None else max(self._last_at, times[1])
        self._rest = self._rest.extend(leaves)
        if self._rest.size == SEGMENT:
            root = self._rest.root()
            self.segments.append(Segment(self._full.size << LEVEL, root, self._first_at, self._last_at))
            self._full, self._rest = self._full.extend([root]), Frontier()
            self._first_at = self._last_at = None

    def skip(self, root: bytes) -> None:
        """Add a full segment of which the root alone is known."""
        self.segments.append(Segment(self._full.size << LEVEL, root, None, None))
        self._full = self._full.extend([root])

    def state(self) -> State:
        """What there is now."""
        size = (self._full.size << LEVEL) + self._rest.size
        frontier = Frontier(size, self._full.roots + self._rest.roots)
        return State(frontier, self._first_at, self._last_at)


def seal(database: Database, reader: Reader, until: int | None = None, /) -> int:
    """Give records their places, up to at least ``until``; return the size of the tree.

    The hashing is done without holding anybody off; what another process sealed meanwhile is left.

    Raises:
        DamagedError: Records are not as they were written.
    """
    while True:
        with database.reading() as connection:
            before = State.load(database, connection)
            size, end = before.frontier.size, end_of(connection)
        target = end if until is None else min(until, end)
        if size >= target:
            return size
        growth = Growth(before)
        kept: dict[int, tuple[int, list[bytes]]] = {}  # by segment: first record, commitments
        for piece in reader.pieces(size, min(target, (size // SEGMENT + _AT_ONCE) * SEGMENT)):
            hashes = commitments(piece)
            growth.add(leaf_hashes(piece, hashes), times_of(piece))
            kept.setdefault(piece.first // SEGMENT, (piece.first, []))[1].extend(hashes)
        with database.writing() as connection:
            if State.load(database, connection).frontier == before.frontier:
                connection.executemany(
                    "INSERT INTO commitments(first, hashes) VALUES (?, ?)",
                    [(first, b"".join(hashes)) for first, hashes in kept.values()],
                )
                connection.executemany(
                    "INSERT INTO segments(first, root, first_at, last_at) VALUES (?, ?, ?, ?)",
                    [attrs.astuple(segment) for segment in growth.segments],
                )
                database.note(_KEY, growth.state().to_bytes())
