"""How are records read from the database file, and how is it known that they are what was written?"""

from __future__ import annotations

import hashlib
import sqlite3
import struct
from collections.abc import Iterator, Sequence
from typing import Any, Final

import attrs

from agentic._database import Database
from agentic.arrays import Block
from agentic.errors import DamagedError
from agentic.provenance._encoding import SALT, blank_rows, unpack
from agentic.provenance._headers import Header

SEGMENT: Final = 4096
_MOST_READ: Final = 1 << 22  # bytes fetched at a time, once reading has got going
_MOST_HEADERS: Final = 1024  # kept in memory
_MOST: Final = 1 << 62  # records of a log
_NUMBERS: Final = struct.Struct("<qqqq")
# Cast, because SQLite repeats a text that is not UTF-8 in its error, and damage may make one of anything.
_BLOCK: Final = (
    "b.first, b.count, CAST(b.kind AS BLOB), b.header, CAST(b.fixed AS BLOB), CAST(b.public AS BLOB),"
    " b.digest"
)
_VAULT: Final = "CAST(v.fixed AS BLOB), CAST(v.personal AS BLOB), CAST(v.salts AS BLOB), v.digest"


@attrs.frozen(eq=False)
class Piece:
    """Some records as they are stored: consecutive, of one header.

    Attributes:
        first: Number of the first.
        count: How many.
        header: How to read them.
        parts: Bytes by place.
        salts: 16 bytes a record; empty where nothing is personal or was not asked for.
    """

    first: int
    count: int
    header: Header
    parts: dict[str, bytes]
    salts: bytes

    @property
    def end(self) -> int:
        """Number after the last."""
        return self.first + self.count

    def block(self, names: frozenset[str] | None = None) -> Block:
        """The records as they were appended; erased values as not known."""
        blank = None
        if self.salts:
            found = blank_rows(self.salts)
            blank = found if found.any() else None
        columns = unpack(self.header, self.count, self.parts, blank, names)
        return Block(self.header.kind, columns, self.header.meta)


def block_digest(first: int, count: int, header: Header, fixed: bytes, rows: bytes) -> bytes:
    """SHA-256 over everything else in a row of ``blocks``; over its header by the header's digest."""
    lengths = _NUMBERS.pack(first, count, len(fixed), len(rows))
    return hashlib.sha256(b"".join((lengths, header.digest, fixed, rows))).digest()


def vault_digest(first: int, shared: bytes, personal: bytes, salts: bytes) -> bytes:
    """SHA-256 over everything else in a row of ``vault``."""
    lengths = _NUMBERS.pack(first, len(shared), len(personal), len(salts))
    return hashlib.sha256(b"".join((lengths, shared, personal, salts))).digest()


def damaged(first: int, count: object) -> DamagedError:
    """The error for records whose bytes are not those that were written."""
    last = first + count - 1 if isinstance(count, int) and 0 < count <= SEGMENT else "?"
    return DamagedError(
        f"records {first} to {last} of the log are not as they were written: restore the file from a backup",
        first=first,
        count=count,
    )


def missing(first: int, stop: int) -> DamagedError:
    """The error for records that are not there."""
    return DamagedError(
        f"records {first} to {stop - 1} are missing from the log: restore the file from a backup",
        first=first,
        count=stop - first,
    )


def end_of(connection: sqlite3.Connection) -> int:
    """The number that the next record of the log gets."""
    row = connection.execute("SELECT first, count FROM blocks ORDER BY first DESC LIMIT 1").fetchone()
    return kept_from(connection) if row is None else int(row[0]) + _counted(row)


def kept_from(connection: sqlite3.Connection) -> int:
    """The first record that retention has left, or would leave of what comes."""
    row = connection.execute("SELECT max(first) FROM segments WHERE dropped_at IS NOT NULL").fetchone()
    return 0 if row[0] is None else int(row[0]) + SEGMENT


def _counted(row: Sequence[Any]) -> int:
    """How many records a block has, given what its row begins with."""
    first, count = row[:2]
    if not (type(count) is type(first) is int and 0 < count <= SEGMENT and 0 <= first < _MOST):
        raise damaged(first, count)
    return count


class Reader:
    """Reads records as they are stored, checked against their digests; remembers headers.

    Args:
        database: Where they are.
    """

    def __init__(self, database: Database, /) -> None:
        self._database = database
        self._headers: dict[int, Header] = {}

    def forget(self) -> None:
        """Forget headers that may never have been committed."""
        self._headers = {}

    def pieces(
        self,
        after: int = 0,
        end: int | None = None,
        *,
        kind: str | None = None,
        names: frozenset[str] | None = None,
    ) -> Iterator[Piece]:
        """Yield records in order; small blocks that follow each other and are alike come as one.

        Args:
            after: Record to start with: the block that holds it comes whole.
            end: Number to stop before; what is the end now by default.
            kind: Only of this kind.
            names: Columns that will be read: where none of them is personal, ``salts`` and the personal
                bytes are left out.

        Raises:
            DamagedError: Records are missing, or their bytes are not those that were written.
        """
        after = max(0, after)
        with self._database.reading() as connection:
            stop = end_of(connection)
            stop = stop if end is None else min(end, stop)
            if after >= stop:
                return
            start = _start(connection, after, kind)
        most = 1
        while start < stop:
            with self._database.reading() as connection:
                found = self.fetch(connection, start, stop, most, kind, names)
                if kind is None and (not found or found[0].first != start):
                    at = found[0].first if found else stop
                    if kept_from(connection) != at:  # nor were they dropped while we read
                        raise missing(start, at)
            if not found:
                return
            start = found[-1].end
            weight = sum(len(part) for piece in found for part in piece.parts.values())
            most = max(1, min(4096, 4 * most, most * _MOST_READ // max(weight, 1)))
            for piece in _merged(found):
                if piece.end > after:
                    yield piece

    def fetch(
        self,
        connection: sqlite3.Connection,
        start: int,
        stop: int,
        most: int = -1,
        kind: str | None = None,
        names: frozenset[str] | None = None,
    ) -> list[Piece]:
        """Return blocks that begin at ``start`` or later and before ``stop``, as they are stored.

        Args:
            connection: To read by.
            start: Least number of their first records.
            stop: Number after the most.
            most: How many blocks at most; -1 for any number.
            kind: Only of this kind, and then not without gaps.
            names: As in ``pieces``.

        Raises:
            DamagedError: Records between two of them are missing, or bytes are not those that were written.
        """
        where, values = _of_kind(kind)
        table, columns = "blocks b", _BLOCK
        if names is None:
            table, columns = f"{table} LEFT JOIN vault v ON v.first = b.first", f"{_BLOCK}, {_VAULT}"
        rows = connection.execute(
            f"SELECT {columns} FROM {table} WHERE b.first >= ? AND b.first < ? {where}"  # noqa: S608 - our own words
            " ORDER BY b.first LIMIT ?",
            (start, stop, *values, most),
        ).fetchall()
        found: list[Piece] = []
        for row in rows:
            piece = self._piece(connection, row, names)
            if kind is None and found and found[-1].end != piece.first:
                raise missing(found[-1].end, piece.first)
            found.append(piece)
        return found

    def _piece(self, connection: sqlite3.Connection, row: Any, names: frozenset[str] | None) -> Piece:
        """Check a row of ``blocks``, and of ``vault`` where it is needed."""
        first, _, kind, number, fixed, rows, digest = row[:7]
        count = _counted(row)
        header = self._header(connection, number, first)
        good = (
            isinstance(fixed, bytes)
            and isinstance(rows, bytes)
            and header.kind.encode() == kind
            and len(fixed) == header.widths["fixed"]
            and len(rows) == count * header.widths["rows"]
            and block_digest(first, count, header, fixed, rows) == digest
        )
        if not good:
            raise damaged(first, count)
        parts = {"fixed": fixed, "rows": rows, "shared": b"", "personal": b""}
        if not header.is_personal or not _wants_personal(header, names):
            return Piece(first, count, header, parts, b"")
        if names is None:
            stored: Any = row[7:]
        else:
            stored = connection.execute(f"SELECT {_VAULT} FROM vault v WHERE first = ?", (first,)).fetchone()  # noqa: S608 - our own words
        if stored is None:
            raise damaged(first, count)
        shared, personal, salts, digest = stored
        whole, own = header.widths["shared"], header.widths["personal"]
        good = (
            isinstance(shared, bytes)
            and isinstance(personal, bytes)
            and isinstance(salts, bytes)
            and len(salts) == SALT * count
            and (len(shared), len(personal)) in ((whole, count * own), (0, count * (whole + own)))
            and vault_digest(first, shared, personal, salts) == digest
        )
        if not good:
            raise damaged(first, count)
        parts["shared"], parts["personal"] = shared, personal
        return Piece(first, count, header, parts, salts)

    def _header(self, connection: sqlite3.Connection, number: int, first: int) -> Header:
        """The header of this id; read once."""
        header = self._headers.get(number)
        if header is None:
            row = connection.execute("SELECT body, digest FROM headers WHERE id = ?", (number,)).fetchone()
            if row is None:
                raise DamagedError(
                    f"the header of the records from {first} on is missing: restore the file from a backup",
                    first=first,
                )
            header = Header.read(*row)
            if len(self._headers) >= _MOST_HEADERS:
                self._headers = {}
            self._headers[number] = header
        return header


def _start(connection: sqlite3.Connection, after: int, kind: str | None) -> int:
    """Number of the first record of the block that holds this one, or of what retention left."""
    where, values = _of_kind(kind)
    row = connection.execute(
        f"SELECT b.first, b.count FROM blocks b WHERE b.first <= ? {where} ORDER BY b.first DESC LIMIT 1",  # noqa: S608 - our own words
        (after, *values),
    ).fetchone()
    if row is not None and row[0] + _counted(row) > after:
        return int(row[0])
    return max(after, kept_from(connection))


def _of_kind(kind: str | None) -> tuple[str, tuple[str, ...]]:
    """What to add to a condition, such that the index of what is no decision can be used."""
    if kind is None:
        return "", ()
    return "AND b.kind = ?" + (" AND b.kind <> 'decision'" if kind != "decision" else ""), (kind,)


def _wants_personal(header: Header, names: frozenset[str] | None) -> bool:
    return names is None or any(
        column.name in names for place in ("shared", "personal") for column in header.by_place[place]
    )


def _merged(found: list[Piece]) -> Iterator[Piece]:
    """Join small pieces of one segment that follow each other and are read the same way."""
    at = 0
    while at < len(found):
        one, end = found[at], at + 1
        while end < len(found) and _follows(found[end - 1], found[end]):
            end += 1
        if end == at + 1:
            yield one
        else:
            some = found[at:end]
            parts = {
                **one.parts,
                "rows": b"".join([piece.parts["rows"] for piece in some]),
                "personal": b"".join([piece.parts["personal"] for piece in some]),
            }
            count = some[-1].end - one.first
            yield Piece(one.first, count, one.header, parts, b"".join([piece.salts for piece in some]))
        at = end


def _follows(one: Piece, other: Piece) -> bool:
    return (
        other.header is one.header
        and other.first == one.end
        and other.first // SEGMENT == one.first // SEGMENT
        and other.parts["fixed"] == one.parts["fixed"]
        and other.parts["shared"] == one.parts["shared"]
    )
