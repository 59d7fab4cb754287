"""Is every byte of the log what was written, and every record where the tree has it?"""

from __future__ import annotations

import base64
import sqlite3
from collections.abc import Callable
from typing import Any, TypeAlias

import attrs
import numpy as np

from agentic._database import Database
from agentic.errors import DamagedError, DatabaseError
from agentic.provenance._encoding import blank_rows
from agentic.provenance._headers import Header
from agentic.provenance._leaves import commitments, commitments_in, leaf_hashes, times_of
from agentic.provenance._merkle import HASH
from agentic.provenance._pieces import SEGMENT, Piece, Reader, damaged, end_of, missing
from agentic.provenance._sealing import Growth, State

Progress: TypeAlias = Callable[[int, int], object]


@attrs.frozen
class Verified:
    """What a check of a whole log found.

    Attributes:
        records: How many were read and are as they were written.
        erased: How many of them have had their personal values erased.
        dropped: How many are known by the roots of their segments alone.
        segments: How many full segments there are, dropped ones among them.
        size: How many records are sealed.
        root: Over these, from the bytes of the records; compare it with a checkpoint kept elsewhere.
        problem: What the first thing is that is not right; ``None`` where everything is.
    """

    records: int
    erased: int
    dropped: int
    segments: int
    size: int
    root: bytes
    problem: str | None

    @property
    def ok(self) -> bool:
        """Whether everything is right."""
        return self.problem is None


class Recheck:
    """One reading of a log, of all that is there when it begins; others may write, seal, erase and drop.

    Args:
        database: Where the records are.
        reader: Of them.
    """

    def __init__(self, database: Database, reader: Reader, /) -> None:
        self._database = database
        self._reader = reader
        self._growth = Growth(State())
        self._records = self._erased = self._dropped = 0
        self._state = State()
        self._end = 0
        self._checkpoints: list[tuple[int, str]] = []  # still to be met, the largest first

    def run(self, progress: Progress | None) -> Verified:
        """Look at everything; stop at the first thing that is not right."""
        problem = None
        try:
            with self._database.snapshot() as connection:
                self._begin(connection)
            for first in range(0, self._end, SEGMENT):
                with self._database.snapshot() as connection:
                    self._segment(connection, first)
                if progress is not None:
                    progress(min(first + SEGMENT, self._end), self._end)
            self._finish()
        except DatabaseError as error:
            problem = str(error)
        frontier = self._growth.state().frontier
        segments = len(self._growth.segments)
        counts = self._records, self._erased, self._dropped, segments
        return Verified(*counts, frontier.size, frontier.root(), problem)

    def _begin(self, connection: sqlite3.Connection) -> None:
        """See how far the log goes, and that nothing lies beyond."""
        self._state, self._end = State.load(self._database, connection), end_of(connection)
        size = self._state.frontier.size
        if size > self._end:
            raise missing(self._end, size)
        self._checkpoints = connection.execute(
            "SELECT size, note FROM checkpoints ORDER BY size DESC"
        ).fetchall()
        self._meet(0)
        if self._checkpoints and self._checkpoints[-1][0] <= 0:
            raise DamagedError(
                f"there is a checkpoint of {self._checkpoints[-1][0]} records: restore the file from a backup"
            )
        segments = connection.execute("SELECT first FROM segments ORDER BY first").fetchall()
        if [first for (first,) in segments] != list(range(0, size // SEGMENT * SEGMENT, SEGMENT)):
            raise DamagedError(
                f"{size} records are sealed, and the {len(segments)} segments that are listed are not theirs:"
                " restore the file from a backup"
            )
        for table, end in (("vault", self._end), ("commitments", size)):
            row = connection.execute(
                f"SELECT min(first) FROM {table} WHERE first < 0 OR first >= ?",  # noqa: S608 - our own words
                (end,),
            ).fetchone()
            if row[0] is not None:
                raise damaged(row[0], None)
        for body, digest in connection.execute("SELECT body, digest FROM headers"):
            Header.read(body, digest)

    def _segment(self, connection: sqlite3.Connection, first: int) -> None:
        """Check a segment and all that is stored about it."""
        size, stop = self._state.frontier.size, min(first + SEGMENT, self._end)
        row = None
        if first + SEGMENT <= size:
            row = connection.execute(
                "SELECT root, first_at, last_at, dropped_at FROM segments WHERE first = ?", (first,)
            ).fetchone()
            if row is None:
                raise missing(first, stop)
            if row[3] is not None:
                self._dropped_segment(connection, first, row[0])
                return
        held = self._reader.fetch(connection, first, stop)
        if not held or held[0].first != first:
            raise missing(first, held[0].first if held else stop)
        if held[-1].end != stop:
            raise missing(held[-1].end, stop)
        self._strays(connection, first, stop, held)
        self._leaves(connection, first, min(stop, size), held)
        for piece in held:
            self._records += piece.count
            self._erased += _blank_in(piece)
        if row is not None:
            segment = self._growth.segments[-1]
            if (segment.first, segment.root, segment.first_at, segment.last_at) != (first, *row[:3]):
                raise DamagedError(
                    f"the root or the times of records {first} to {stop - 1} are not those of the records:"
                    " restore the file from a backup",
                    first=first,
                )

    def _dropped_segment(self, connection: sqlite3.Connection, first: int, root: Any) -> None:
        """Take the root of a segment for granted whose records are gone; they are to be gone altogether."""
        (kept,) = connection.execute(
            "SELECT count(*) FROM segments WHERE first < ? AND dropped_at IS NULL", (first,)
        ).fetchone()
        stop = first + SEGMENT
        if kept or not isinstance(root, bytes) or len(root) != HASH:
            raise missing(first, stop)
        for table in ("blocks", "commitments"):
            if connection.execute(
                f"SELECT 1 FROM {table} WHERE first >= ? AND first < ?",  # noqa: S608 - our own words
                (first, stop),
            ).fetchone():
                raise damaged(first, SEGMENT)
        self._strays(connection, first, stop, [])
        while self._checkpoints and self._checkpoints[-1][0] < stop:
            self._checkpoints.pop()  # within what was dropped: nobody can tell any more
        self._growth.skip(root)
        self._dropped += SEGMENT
        self._meet(stop)

    def _leaves(self, connection: sqlite3.Connection, first: int, stop: int, held: list[Piece]) -> None:
        """Check commitments of what is sealed, and add its leaves."""
        if stop <= first:
            return
        rows = connection.execute(
            "SELECT first, hashes FROM commitments WHERE first >= ? AND first < ? ORDER BY first",
            (first, first + SEGMENT),
        ).fetchall()
        stored = commitments_in(rows, first, stop)
        if stop == first + SEGMENT and sum(len(hashes) for _, hashes in rows) != SEGMENT * HASH:
            raise damaged(first, SEGMENT)
        for piece in held:
            if piece.first >= stop:
                return
            stands = stored[piece.first - first : piece.end - first]
            if len(stands) < piece.count:
                raise damaged(piece.first, piece.count)
            made = commitments(piece)
            if made != stands:
                blank = blank_rows(piece.salts).tolist() if piece.salts else [False] * piece.count
                if any(a != b and not gone for a, b, gone in zip(made, stands, blank, strict=True)):
                    raise damaged(piece.first, piece.count)
            leaves, times, at = leaf_hashes(piece, stands), times_of(piece), piece.first
            while at < piece.end:
                # Stop where a checkpoint was made, to compare.
                to = min(piece.end, self._checkpoints[-1][0]) if self._checkpoints else piece.end
                self._growth.add(leaves[at - piece.first : to - piece.first], times)
                self._meet(to)
                at = to

    def _meet(self, size: int) -> None:
        """Compare what was found with the checkpoint of this size, where there is one."""
        if self._checkpoints and self._checkpoints[-1][0] == size:
            note = self._checkpoints.pop()[1]
            lines = note.split("\n") if isinstance(note, str) else []
            root = base64.b64encode(self._growth.state().frontier.root()).decode()
            if lines[1:3] != [str(size), root]:
                raise DamagedError(
                    f"the first {size} records are not those of the checkpoint of that size: the log or the"
                    " checkpoint was rewritten",
                    size=size,
                )

    def _finish(self) -> None:
        if self._growth.state() != self._state:
            raise DamagedError(
                f"the {self._state.frontier.size} sealed records do not lead to the root that is kept of"
                " them: restore the file from a backup"
            )
        if self._checkpoints:
            size = self._checkpoints[0][0]
            raise DamagedError(
                f"there is a checkpoint of {size} records and {self._state.frontier.size} are sealed: the log"
                " was cut, restore the file from a backup",
                size=size,
            )

    def _strays(self, connection: sqlite3.Connection, first: int, stop: int, held: list[Piece]) -> None:
        """Refuse personal values that belong to no records."""
        rows = connection.execute(
            "SELECT first FROM vault WHERE first >= ? AND first < ? ORDER BY first", (first, stop)
        )
        if [row[0] for row in rows] != [piece.first for piece in held if piece.salts]:
            raise damaged(first, stop - first)


def _blank_in(piece: Piece) -> int:
    """Count the erased records of a piece, which are to hold nothing."""
    if not piece.salts:
        return 0
    blank = blank_rows(piece.salts)
    if not blank.any():
        return 0
    personal = np.frombuffer(piece.parts["personal"], dtype=np.uint8).reshape(piece.count, -1)
    if piece.parts["shared"] or personal[blank].any():
        raise damaged(piece.first, piece.count)
    return int(blank.sum())
