"""A log in a database file that many processes share: blocks of bytes, each with its digest."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import struct
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any, Final, Protocol

import attrs

from agentic.arrays import Block, Receipt
from agentic.errors import DamagedError, DatabaseError, LogError
from agentic.provenance._encoding import (
    SALT,
    Header,
    Packed,
    Packer,
    blank_rows,
    public_columns,
    unpack,
    written_meta,
)

SEGMENT: Final = 4096
_MOST_PIECE: Final = 1 << 23  # bytes of its public or personal rows
_MOST_READ: Final = 1 << 22  # bytes fetched at a time, once reading has got going
_HEADERS: Final = 1024  # kept in memory
_NUMBERS: Final = struct.Struct("<qqqq")


class Database(Protocol):
    """What a log needs of the database it lies in; ``agentic._database.Database`` is one."""

    def join(self, participant: Any, /) -> None:
        """Call its ``begin`` and ``undo``."""

    def writing(self) -> AbstractContextManager[sqlite3.Connection]:
        """Hold the right to write, and a transaction."""

    def reading(self) -> AbstractContextManager[sqlite3.Connection]:
        """A connection to read by."""

    @property
    def in_writing(self) -> bool:
        """Whether this thread is writing already."""


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

    def block(self, names: frozenset[str] | None = None) -> Block:
        """The records as they were appended; erased values as not known."""
        blank = None
        if self.salts:
            found = blank_rows(self.salts)
            blank = found if found.any() else None
        columns = unpack(self.header, self.count, self.parts, blank, names)
        return Block(self.header.kind, columns, self.header.meta)


def block_digest(first: int, count: int, kind: str, header: bytes, fixed: bytes, rows: bytes) -> bytes:
    """SHA-256 over everything else in a row of ``blocks``; the header by its digest."""
    name = kind.encode()
    lengths = _NUMBERS.pack(first, count, len(name), len(fixed))
    return hashlib.sha256(b"".join((lengths, name, header, fixed, rows))).digest()


def vault_digest(first: int, shared: bytes, personal: bytes, salts: bytes) -> bytes:
    """SHA-256 over everything else in a row of ``vault``."""
    lengths = _NUMBERS.pack(first, len(shared), len(personal), len(salts))
    return hashlib.sha256(b"".join((lengths, shared, personal, salts))).digest()


class DurableLog:
    """Keeps records in a database file, where they outlive the process; safe for threads and processes.

    What is appended within the database's ``writing()`` stands or falls with it; otherwise each append is a
    transaction of its own. Values that could tell whom a record is about lie in a part that can be erased.

    Args:
        database: Where. Several logs on one database are one log.
    """

    pseudonymous: Final = True

    def __init__(self, database: Database, /) -> None:
        self._database = database
        self._packer = Packer()
        self._next: int | None = None  # number of the next record; not known before the first look
        self._ids: dict[bytes, int] = {}  # of headers in the file, by digest
        self._headers: dict[int, Header] = {}
        database.join(self)

    @property
    def database(self) -> Database:
        """Where records lie."""
        return self._database

    @property
    def durability(self) -> str:
        """What a record outlives once it is appended: the database's word for it."""
        name: str = self._database.durability.name  # type: ignore[attr-defined]
        return name

    def begin(self, changed: bool, /) -> None:
        """Take note that a transaction begins; others may have written."""
        if changed:
            self._next = None

    def undo(self, /) -> None:
        """Forget what a transaction did that was rolled back."""
        self._next = None
        self._ids = {}
        self._headers = {}

    def append(self, block: Block, /) -> Receipt:
        """Append all records of the block, or none.

        Raises:
            LogError: The block's columns differ in length, or hold what cannot be stored, or the database
                failed.
            DamagedError: What the file says of its end cannot be.
        """
        count = len(block)
        if not all([column.ndim and len(column) == count for column in block.columns.values()]):  # noqa: C419 - a third cheaper
            shapes = {name: column.shape for name, column in block.columns.items()}
            raise LogError(
                f"the columns of a {block.kind!r} block must have one length, got shapes {shapes!r}: nothing"
                " was appended",
                value=shapes,
            )
        meta_text = written_meta(block)
        public = public_columns(block)
        joins = self._database.in_writing
        try:
            with self._database.writing() as connection:
                first = end_of(connection) if self._next is None else self._next
                self._next = None  # until all is written
                packed = [
                    (first + lo, piece)
                    for lo, hi in _cuts(first, count)
                    for lo, piece in _fitting(
                        lambda a, b: self._packer.pack(block, meta_text, public, a, b), lo, hi
                    )
                ]
                if joins and packed:
                    connection.execute("SAVEPOINT block")
                try:
                    for at, piece in packed:
                        self._write(connection, at, piece)
                except BaseException:
                    if joins and connection.in_transaction:
                        connection.execute("ROLLBACK TO block")
                        connection.execute("RELEASE block")
                        self.undo()
                    raise
                if joins and packed:
                    connection.execute("RELEASE block")
                self._next = first + count
        except DamagedError:
            raise
        except DatabaseError as error:
            raise LogError(
                f"the database failed while {count} {block.kind!r} records were appended ({error}): none of"
                " them was"
            ) from error
        return Receipt(first, count)

    def _write(self, connection: sqlite3.Connection, first: int, piece: Packed) -> None:
        header = piece.header
        number = self._ids.get(header.digest)
        if number is None:
            number = self._header_id(connection, header)
        digest = block_digest(first, piece.count, header.kind, header.digest, piece.fixed, piece.rows)
        connection.execute(
            "INSERT INTO blocks(first, count, kind, header, fixed, public, digest)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (first, piece.count, header.kind, number, piece.fixed, piece.rows, digest),
        )
        if header.is_personal:
            salts = os.urandom(SALT * piece.count)
            connection.execute(
                "INSERT INTO vault(first, fixed, personal, salts, digest) VALUES (?, ?, ?, ?, ?)",
                (
                    first,
                    piece.shared,
                    piece.personal,
                    salts,
                    vault_digest(first, piece.shared, piece.personal, salts),
                ),
            )

    def _header_id(self, connection: sqlite3.Connection, header: Header) -> int:
        """Find the header in the file, or put it there."""
        row = connection.execute("SELECT id FROM headers WHERE digest = ?", (header.digest,)).fetchone()
        if row is None:
            cursor = connection.execute(
                "INSERT INTO headers(digest, body) VALUES (?, ?)", (header.digest, header.body)
            )
            row = (cursor.lastrowid,)
        if len(self._ids) >= _HEADERS:
            self._ids = {}
        number: int = row[0]
        self._ids[header.digest] = number
        return number

    def read(self, after: int = 0, /) -> Iterator[tuple[Receipt, Block]]:
        """Yield blocks in order, from the one that holds record ``after``, up to what is the end now.

        Small blocks of one kind that follow each other come as one.

        Raises:
            DamagedError: Records are missing, or their bytes are not those that were written.
        """
        for piece in self.pieces(after):
            yield Receipt(piece.first, piece.count), piece.block()

    def read_kind(self, kind: str, after: int = 0, /) -> Iterator[tuple[Receipt, Block]]:
        """Yield blocks of one kind in order, from the one that holds record ``after`` or the next.

        Raises:
            DamagedError: Bytes of such records are not those that were written.
        """
        for piece in self.pieces(after, kind=kind):
            yield Receipt(piece.first, piece.count), piece.block()

    def scan(self, kind: str, names: Iterable[str], after: int = 0, /) -> Iterator[tuple[Receipt, Block]]:
        """Yield blocks of one kind with these columns alone, as far as they have them; else as ``read_kind``.

        Where only public columns are asked for, the personal part is not even looked at.

        Raises:
            DamagedError: Bytes of such records are not those that were written.
        """
        wanted = frozenset(names)
        for piece in self.pieces(after, kind=kind, names=wanted):
            yield Receipt(piece.first, piece.count), piece.block(wanted)

    def __len__(self) -> int:
        """How many records have been appended, also those dropped since."""
        return self.next

    @property
    def next(self) -> int:
        """The number that the next record gets."""
        with self._database.reading() as connection:
            return end_of(connection)

    def pieces(
        self,
        after: int = 0,
        end: int | None = None,
        *,
        kind: str | None = None,
        names: frozenset[str] | None = None,
    ) -> Iterator[Piece]:
        """Yield records as stored, checked against their digests.

        Args:
            after: Record to start with: the block that holds it comes whole.
            end: Number to stop before; what is the end now by default.
            kind: Only of this kind.
            names: Columns that will be read: where none of them is personal, ``salts`` and the personal
                bytes are left out.

        Raises:
            DamagedError: Records are missing, or their bytes are not those that were written.
        """
        with self._database.reading() as connection:
            stop = end_of(connection)
            if end is not None:
                stop = min(end, stop)
            after = max(0, after)
            start = self._start(connection, after, stop, kind)
        most, expected = 1, start
        while start < stop:
            with self._database.reading() as connection:
                found = self._fetch(connection, start, stop, most, kind, names)
            if not found:
                break
            for piece in found:
                if kind is None and piece.first != expected:
                    expected = self._after_gap(expected, piece.first)
                expected = piece.first + piece.count
            weight = sum(len(part) for piece in found for part in piece.parts.values())
            most = max(1, min(4096, 2 * most, int(most * _MOST_READ / max(weight, 1))))
            start = expected
            for piece in _merged(found):
                if piece.first + piece.count > after:
                    yield piece
        if kind is None and expected < stop:
            self._after_gap(expected, stop)

    def _start(self, connection: sqlite3.Connection, after: int, stop: int, kind: str | None) -> int:
        """Number of the first record of the block that holds this one."""
        if after >= stop:
            return stop
        where, values = _of_kind(kind)
        row = connection.execute(
            f"SELECT first, count FROM blocks WHERE first <= ? {where} ORDER BY first DESC LIMIT 1",  # noqa: S608 - our own words
            (after, *values),
        ).fetchone()
        if row is None or row[0] + row[1] <= after:
            return after if kind is not None or row is not None else self._kept(connection, after)
        first: int = row[0]
        return first

    def _kept(self, connection: sqlite3.Connection, after: int) -> int:
        """The first record kept by retention, where it is later than this one."""
        row = connection.execute("SELECT max(first) FROM segments WHERE dropped_at IS NOT NULL").fetchone()
        return max(after, 0 if row[0] is None else row[0] + SEGMENT)

    def _after_gap(self, expected: int, found: int) -> int:
        """Go on behind records that were dropped meanwhile; there is no other way for them to be gone."""
        with self._database.reading() as connection:
            if self._kept(connection, expected) == found:
                return found
        raise DamagedError(
            f"records {expected} to {found - 1} are missing from the log: restore the file from a backup",
            first=expected,
            count=found - expected,
        )

    def _fetch(
        self,
        connection: sqlite3.Connection,
        start: int,
        stop: int,
        most: int,
        kind: str | None,
        names: frozenset[str] | None,
    ) -> list[Piece]:
        """So many blocks from this number on, of this kind."""
        where, values = _of_kind(kind)
        rows = connection.execute(
            "SELECT first, count, kind, header, fixed, public, digest FROM blocks"  # noqa: S608 - our own words
            f" WHERE first >= ? AND first < ? {where} ORDER BY first LIMIT ?",
            (start, stop, *values, most),
        ).fetchall()
        return [self._piece(connection, row, names) for row in rows]

    def _piece(self, connection: sqlite3.Connection, row: Any, names: frozenset[str] | None) -> Piece:
        """Check a row of ``blocks`` and what belongs to it."""
        first, count, kind, number, fixed, rows, digest = row
        header = self._header(connection, number, first)
        good = (
            type(count) is int
            and 0 < count <= SEGMENT
            and isinstance(fixed, bytes)
            and isinstance(rows, bytes)
            and header.kind == kind
            and len(fixed) == header.widths["fixed"]
            and len(rows) == count * header.widths["rows"]
            and block_digest(first, count, kind, header.digest, fixed, rows) == digest
        )
        if not good:
            raise damaged(first, count)
        parts = {"fixed": fixed, "rows": rows, "shared": b"", "personal": b""}
        salts = b""
        if header.is_personal and _wants_personal(header, names):
            found = connection.execute(
                "SELECT fixed, personal, salts, digest FROM vault WHERE first = ?", (first,)
            ).fetchone()
            if found is None:
                raise damaged(first, count)
            shared, personal, salts, digest = found
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
            if len(self._headers) >= _HEADERS:
                self._headers = {}
            self._headers[number] = header
        return header


def damaged(first: int, count: object) -> DamagedError:
    """The error for records whose bytes are not those that were written."""
    last = first + count - 1 if isinstance(count, int) and 0 < count <= SEGMENT else "?"
    return DamagedError(
        f"records {first} to {last} of the log are not as they were written: restore the file from a backup",
        first=first,
        count=count,
    )


def end_of(connection: sqlite3.Connection) -> int:
    """The number that the next record of the log gets."""
    row = connection.execute("SELECT first, count FROM blocks ORDER BY first DESC LIMIT 1").fetchone()
    if row is not None:
        first, count = row
        if type(count) is not int or not 0 < count <= SEGMENT:
            raise damaged(first, count)
        return int(first) + count
    row = connection.execute("SELECT max(first) FROM segments").fetchone()
    return 0 if row is None or row[0] is None else int(row[0]) + SEGMENT


def _of_kind(kind: str | None) -> tuple[str, tuple[str, ...]]:
    """What to add to a condition, such that the index of what is no decision can be used."""
    if kind is None:
        return "", ()
    return ("AND kind = ?" if kind == "decision" else "AND kind = ? AND kind <> 'decision'"), (kind,)


def _wants_personal(header: Header, names: frozenset[str] | None) -> bool:
    return names is None or any(
        column.name in names for place in ("shared", "personal") for column in header.by_place[place]
    )


def _cuts(first: int, count: int) -> Iterator[tuple[int, int]]:
    """Ranges of a block's records that stay within segments, when its first is number ``first``."""
    lo = 0
    while lo < count:
        hi = min(count, lo + SEGMENT - (first + lo) % SEGMENT)
        yield lo, hi
        lo = hi


def _fitting(pack: Callable[[int, int], Packed], lo: int, hi: int) -> Iterator[tuple[int, Packed]]:
    """Pack a range, in halves where one long text would make all the others as long."""
    piece = pack(lo, hi)
    if hi - lo > 1 and max(len(piece.rows), len(piece.personal)) > _MOST_PIECE:
        middle = (lo + hi) // 2
        yield from _fitting(pack, lo, middle)
        yield from _fitting(pack, middle, hi)
    else:
        yield lo, piece


def _merged(found: list[Piece]) -> Iterator[Piece]:
    """Join small pieces that follow each other and are read the same way."""
    at = 0
    while at < len(found):
        one = found[at]
        count, end = one.count, at + 1
        while end < len(found) and count + found[end].count <= SEGMENT:
            piece = found[end]
            like = (
                piece.header is one.header
                and piece.first == one.first + count
                and piece.parts["fixed"] == one.parts["fixed"]
                and piece.parts["shared"] == one.parts["shared"]
            )
            if not like:
                break
            count, end = count + piece.count, end + 1
        if end == at + 1:
            yield one
        else:
            some = found[at:end]
            parts = {
                **one.parts,
                "rows": b"".join(piece.parts["rows"] for piece in some),
                "personal": b"".join(piece.parts["personal"] for piece in some),
            }
            yield Piece(one.first, count, one.header, parts, b"".join(piece.salts for piece in some))
        at = end
