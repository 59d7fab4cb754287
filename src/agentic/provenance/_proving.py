"""What proves that a record is in a log, and that the log only grew?

Segments keep their roots, so a proof reads the records of one segment, or of two where an older size ends
within another one.
"""

from __future__ import annotations

import hashlib
import sqlite3
from typing import Final

import attrs

from agentic._database import Database
from agentic.errors import DamagedError, ProofError
from agentic.provenance._encoding import SALT, blank_rows
from agentic.provenance._leaves import commitments_in, covered, leaf_hashes
from agentic.provenance._merkle import (
    HASH,
    Frontier,
    complete_levels,
    consistency_path,
    inclusion_path,
    node_hash,
)
from agentic.provenance._pieces import SEGMENT, Reader, damaged
from agentic.provenance._sealing import LEVEL, State


@attrs.frozen
class Inclusion:
    """A proof that a record is in a log of some size; ``verify_inclusion`` checks it.

    Attributes:
        position: Number of the record.
        size: Records of the log.
        leaf: Hash of the record's leaf.
        path: Hashes from the leaf to the root.
        root: Of the tree.
    """

    position: int
    size: int
    leaf: bytes
    path: tuple[bytes, ...]
    root: bytes


@attrs.frozen
class Consistency:
    """A proof that a log only grew; ``verify_consistency`` checks it.

    Attributes:
        old: Records of the log then.
        new: Records later.
        path: Hashes that lead to both roots.
        old_root: Of the tree then.
        new_root: Of the tree later.
    """

    old: int
    new: int
    path: tuple[bytes, ...]
    old_root: bytes
    new_root: bytes


@attrs.frozen(repr=False)
class Leaf:
    """All that a record's place in the tree was computed from.

    Attributes:
        position: Number of the record.
        header: Canonical JSON: how to read what follows.
        fixed: Public values it shares with its neighbours.
        row: Its own.
        commitment: 32 bytes; zeros where nothing about it is personal.
        salt: 16 bytes; ``None`` where nothing is personal, or it was erased.
        payload: Its personal values, those it shares first; ``None`` likewise.
    """

    position: int
    header: bytes
    fixed: bytes
    row: bytes
    commitment: bytes
    salt: bytes | None
    payload: bytes | None

    @property
    def data(self) -> bytes:
        """What is hashed: the leaf hash is SHA-256 over ``0x00`` and this."""
        return hashlib.sha256(self.header).digest() + self.fixed + self.row + self.commitment


class Prover:
    """Proves things about what is sealed while it is made; called, it gives the hash of a complete subtree.

    Args:
        database: Where the records are.
        reader: Of them.
        connection: To read by.

    Attributes:
        size: How many records are sealed.
    """

    def __init__(self, database: Database, reader: Reader, connection: sqlite3.Connection, /) -> None:
        self._connection = connection
        self._reader = reader
        self._state = state = State.load(database, connection)
        self.size: Final = state.frontier.size
        self._roots: list[bytes] = []  # of segments
        self._levels: dict[int, list[list[bytes]]] = {}  # of segments, by number
        self._above: dict[tuple[int, int], bytes] = {}
        start = 0
        for root in state.frontier.roots:
            level = (self.size - start).bit_length() - 1
            self._above[level, start >> level] = root
            start += 1 << level

    def inclusion(self, position: int, size: int | None) -> Inclusion:
        """Prove that a record is among the first ``size``, by default among all sealed ones."""
        size = self.size if size is None else size
        root = self.root(size)
        path = inclusion_path(position, size, self)
        return Inclusion(position, size, self(0, position), tuple(path), root)

    def consistency(self, old: int, new: int | None) -> Consistency:
        """Prove that the first ``new`` records, by default all sealed ones, begin with the first ``old``."""
        new = self.size if new is None else new
        roots = self.root(old), self.root(new)
        return Consistency(old, new, tuple(consistency_path(old, new, self)), *roots)

    def leaf(self, position: int) -> Leaf:
        """Return what a record's leaf was computed from."""
        if not 0 <= position < self.size:
            raise ProofError(
                f"record {position} is not among the {self.size} that are sealed: seal first",
                value=position,
                expected=self.size,
            )
        first = self._block_of(position)
        (piece,) = self._reader.fetch(self._connection, first, first + 1)
        at, width = position - first, piece.header.widths["rows"]
        commitment = self._commitments(position, position + 1)[0]
        payload = salt = None
        if piece.salts and not blank_rows(piece.salts)[at]:
            line = covered(piece)[at]
            salt, payload = line[:SALT], line[SALT:]
            if hashlib.sha256(line).digest() != commitment:
                raise damaged(first, piece.count)
        own = piece.parts["rows"][at * width : (at + 1) * width]
        return Leaf(position, piece.header.body, piece.parts["fixed"], own, commitment, salt, payload)

    def root(self, size: int | None) -> bytes:
        """The root over the first ``size`` records."""
        if size is None or size == self.size:
            return self._state.frontier.root()
        if not 0 <= size <= self.size:
            raise ProofError(
                f"a root over {size} records is asked for, sealed are {self.size}: seal first",
                value=size,
                expected=self.size,
            )
        roots = []
        start = 0
        while start < size:
            level = (size - start).bit_length() - 1
            roots.append(self(level, start >> level))
            start += 1 << level
        return Frontier(size, tuple(roots)).root()

    def __call__(self, level: int, index: int) -> bytes:
        found = self._above.get((level, index))
        if found is not None:
            return found
        if level < LEVEL:
            segment = index >> (LEVEL - level)
            return self._within(segment)[level][index - (segment << (LEVEL - level))]
        if level == LEVEL:
            if not self._roots:
                self._roots = self._segment_roots()
            return self._roots[index]
        found = node_hash(self(level - 1, 2 * index), self(level - 1, 2 * index + 1))
        self._above[level, index] = found
        return found

    def _segment_roots(self) -> list[bytes]:
        rows = self._connection.execute("SELECT first, root FROM segments ORDER BY first").fetchall()
        roots = [root for _, root in rows]
        full = self.size >> LEVEL
        if [first for first, _ in rows] != list(range(0, full * SEGMENT, SEGMENT)) or any(
            not isinstance(root, bytes) or len(root) != HASH for root in roots
        ):
            raise DamagedError(
                "the roots of the log's segments are not all there: restore the file from a backup"
            )
        if Frontier().extend(roots) != self._state.full:
            raise DamagedError(
                "the roots of the log's segments do not lead to the root of the log: restore the file from a"
                " backup"
            )
        return roots

    def _within(self, segment: int) -> list[list[bytes]]:
        """All subtrees within a segment, from its records."""
        if segment not in self._levels:
            first = segment << LEVEL
            stop = min(first + SEGMENT, self.size)
            leaves: list[bytes] = []
            pieces = self._reader.fetch(self._connection, first, stop, names=frozenset())
            if not pieces or pieces[0].first != first or pieces[-1].end < stop:
                row = self._connection.execute(
                    "SELECT dropped_at FROM segments WHERE first = ?", (first,)
                ).fetchone()
                if row and row[0] is not None:
                    raise ProofError(
                        f"records {first} to {stop - 1} were dropped: proofs within them need a copy from"
                        " before",
                        value=first,
                    )
                raise damaged(first, stop - first)
            hashes = self._commitments(first, stop)
            for piece in pieces:
                leaves += leaf_hashes(piece, hashes[piece.first - first : piece.end - first])
            whole = Frontier().extend(leaves)
            right = self._state.rest if stop - first < SEGMENT else Frontier(SEGMENT, (self(LEVEL, segment),))
            if whole != right:
                raise damaged(first, stop - first)
            self._levels[segment] = complete_levels(leaves)
        return self._levels[segment]

    def _commitments(self, first: int, stop: int) -> list[bytes]:
        """The commitments of sealed records of one segment."""
        start = first // SEGMENT * SEGMENT
        rows = self._connection.execute(
            "SELECT first, hashes FROM commitments WHERE first >= ? AND first < ? ORDER BY first",
            (start, stop),
        ).fetchall()
        return commitments_in(rows, first, stop)

    def _block_of(self, position: int) -> int:
        """First record of the block that holds this one."""
        row = self._connection.execute(
            "SELECT first, count FROM blocks WHERE first <= ? ORDER BY first DESC LIMIT 1", (position,)
        ).fetchone()
        if row is None or not isinstance(row[1], int) or row[0] + row[1] <= position:
            self._within(position >> LEVEL)  # says what is wrong
            raise damaged(position, 1)
        return int(row[0])
