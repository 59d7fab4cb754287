"""A log in a database file that many processes share: blocks of bytes, each with its digest."""

from __future__ import annotations

import copy
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from agentic._database import Database
from agentic.arrays import I64, Block, Receipt
from agentic.errors import DamagedError, DatabaseError, LogError
from agentic.provenance import _checkpoints
from agentic.provenance._bundle import Evidence
from agentic.provenance._checkpoints import StoredCheckpoint
from agentic.provenance._dropping import Note, drop, too_old, unsigned
from agentic.provenance._encoding import SALT, Packed, Packer, TooWide, public_columns, written_meta
from agentic.provenance._erasing import Surrogates, erase, erase_records
from agentic.provenance._headers import PLACES, Header
from agentic.provenance._notes import Signer
from agentic.provenance._pieces import SEGMENT, Reader, block_digest, end_of, vault_digest
from agentic.provenance._proving import Consistency, Inclusion, Leaf, Prover
from agentic.provenance._rechecking import Progress, Recheck, Verified
from agentic.provenance._sealing import State, seal

_MOST_HEADERS: Final = 1024  # ids kept in memory


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
        self._reader = Reader(database)
        self._next: int | None = None  # number of the next record; not known before the first look
        self._ids: dict[bytes, int] = {}  # of headers in the file, by digest
        self._meta: tuple[object, dict[str, Any], str] = (None, {}, "")
        database.join(self)

    @property
    def database(self) -> Database:
        """Where records lie."""
        return self._database

    @property
    def durability(self) -> str:
        """What a record outlives once it is appended: the database's word for it."""
        return self._database.durability.name

    def begin(self, changed: bool, /) -> None:
        """Take note that a transaction begins; others may have written."""
        if changed:
            self._next = None

    def undo(self, /) -> None:
        """Forget what a transaction did that was rolled back."""
        self._next = None
        self._ids = {}
        self._reader.forget()

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
        meta_text = self._written(block)
        public = public_columns(block)
        try:
            with self._database.writing() as connection:
                first = end_of(connection) if self._next is None else self._next
                self._next = None  # until all is written

                def pack(lo: int, hi: int) -> Packed:
                    return self._packer.pack(block, meta_text, public, lo, hi)

                for lo, hi in _cuts(first, count):
                    for at, piece in _fitting(pack, lo, hi):
                        self._write(connection, first + at, piece)
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
        digest = block_digest(first, piece.count, header, piece.fixed, piece.rows)
        connection.execute(
            "INSERT INTO blocks(first, count, kind, header, fixed, public, digest)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (first, piece.count, header.kind, number, piece.fixed, piece.rows, digest),
        )
        if header.is_personal:
            salts = os.urandom(SALT * piece.count)
            digest = vault_digest(first, piece.shared, piece.personal, salts)
            connection.execute(
                "INSERT INTO vault(first, fixed, personal, salts, digest) VALUES (?, ?, ?, ?, ?)",
                (first, piece.shared, piece.personal, salts, digest),
            )

    def _header_id(self, connection: sqlite3.Connection, header: Header) -> int:
        """Find the header in the file, or put it there."""
        row = connection.execute("SELECT id FROM headers WHERE digest = ?", (header.digest,)).fetchone()
        if row is None:
            cursor = connection.execute(
                "INSERT INTO headers(digest, body) VALUES (?, ?)", (header.digest, header.body)
            )
            row = (cursor.lastrowid,)
        if len(self._ids) >= _MOST_HEADERS:
            self._ids = {}
        number: int = row[0]
        self._ids[header.digest] = number
        return number

    def _written(self, block: Block) -> str:
        """The block's meta as text; that of the last block is at hand, as blocks mostly share one."""
        meta, content, text = self._meta
        if meta is not block.meta or content != block.meta:
            text = written_meta(block)
            self._meta = block.meta, copy.deepcopy(block.meta), text
        return text

    def read(self, after: int = 0, /) -> Iterator[tuple[Receipt, Block]]:
        """Yield blocks in order, from the one that holds record ``after``, up to what is the end now.

        Small blocks that follow each other and are alike come as one. After a ``drop``, reading starts with
        the first record kept.

        Raises:
            DamagedError: Records are missing, or their bytes are not those that were written.
        """
        for piece in self._reader.pieces(after):
            yield Receipt(piece.first, piece.count), piece.block()

    def read_kind(self, kind: str, after: int = 0, /) -> Iterator[tuple[Receipt, Block]]:
        """Yield blocks of one kind in order, from the one that holds record ``after`` or the next.

        Raises:
            DamagedError: Bytes of such records are not those that were written.
        """
        for piece in self._reader.pieces(after, kind=kind):
            yield Receipt(piece.first, piece.count), piece.block()

    def scan(self, kind: str, names: Iterable[str], after: int = 0, /) -> Iterator[tuple[Receipt, Block]]:
        """Yield blocks of one kind with these columns alone, as far as they have them; else as ``read_kind``.

        Where only public columns are asked for, the personal part is not even looked at.

        Raises:
            DamagedError: Bytes of such records are not those that were written.
        """
        wanted = frozenset(names)
        for piece in self._reader.pieces(after, kind=kind, names=wanted):
            yield Receipt(piece.first, piece.count), piece.block(wanted)

    def read_public(self, after: int = 0, /, kind: str | None = None) -> Iterator[tuple[Receipt, Block]]:
        """Yield blocks in order, without the columns that tell whom they are about; else as ``read``.

        Args:
            after: Record to start with: the block that holds it comes whole.
            kind: Only of this kind.

        Raises:
            DamagedError: Records are missing, or their bytes are not those that were written.
        """
        for piece in self._reader.pieces(after, kind=kind, names=frozenset()):
            names = frozenset(
                column.name for place in ("fixed", "rows") for column in piece.header.by_place[place]
            )
            yield Receipt(piece.first, piece.count), piece.block(names)

    def columns(self, kind: str | None = None, /, *, personal: bool) -> list[tuple[str, str, str, int]]:
        """Return what columns records have or had: kind, name, dtype, and axes besides that of records.

        Args:
            kind: Only of this kind.
            personal: Also those that tell whom records are about.

        Raises:
            DamagedError: A header is not what was written.
        """
        with self._database.reading() as connection:
            stored = connection.execute("SELECT body, digest FROM headers ORDER BY id").fetchall()
        places = PLACES if personal else PLACES[:2]
        found = {
            (header.kind, column.name, column.dtype, len(column.shape))
            for header in (Header.read(*row) for row in stored)
            for column in header.columns
            if column.place in places and kind in (None, header.kind)
        }
        return sorted(found)

    def __len__(self) -> int:
        """How many records have been appended, also those dropped since."""
        return self.next

    @property
    def next(self) -> int:
        """The number that the next record gets."""
        with self._database.reading() as connection:
            return end_of(connection)

    def seal(self, until: int | None = None, /) -> int:
        """Give records their places in the tree, all or those up to ``until``; return how many have one.

        Takes about 2 us a record; writers are held off only while hashes are noted, 16,384 at a time.
        Interrupted, it goes on where it was; several processes may seal at once.

        Raises:
            DamagedError: Records are not as they were written.
        """
        return seal(self._database, self._reader, until)

    @property
    def size(self) -> int:
        """How many records have their places in the tree."""
        with self._database.reading() as connection:
            return State.load(self._database, connection).frontier.size

    def root(self, size: int | None = None, /) -> bytes:
        """Return the root over all sealed records, or over the first ``size``: 32 bytes.

        Raises:
            ProofError: So many are not sealed, or ``size`` lies inside of what was dropped.
        """
        with self._prover() as prover:
            return prover.root(size)

    def prove(self, position: int, size: int | None = None, /) -> Inclusion:
        """Prove that a record is among all sealed ones, or among the first ``size``.

        Raises:
            ProofError: It is not, or was dropped.
        """
        with self._prover() as prover:
            return prover.inclusion(position, size)

    def prove_growth(self, old: int, new: int | None = None, /) -> Consistency:
        """Prove that the log of ``new`` records, by default of all sealed, begins with the first ``old``.

        Raises:
            ProofError: There are not so many, or ``old`` lies inside of what was dropped.
        """
        with self._prover() as prover:
            return prover.consistency(old, new)

    def leaf(self, position: int, /) -> Leaf:
        """Return the bytes that a sealed record's place in the tree was computed from.

        Raises:
            ProofError: There is no such record, or it is not sealed, or was dropped.
        """
        with self._prover() as prover:
            return prover.leaf(position)

    def checkpoint(self, *signers: Signer, at: int, origin: str | None = None) -> str:
        """Seal all records, have these keys sign how many there are and their root, and keep and return that.

        Give it to somebody out of the operator's reach: only who kept it can tell a log that was rewritten.
        Signed again at the same size, a checkpoint has the signatures of both times.

        Args:
            signers: At least one.
            at: When this is, in microseconds; kept beside the note and not signed.
            origin: The log's own name, such as ``"shop.example/agents/win-back"``; given once, before the
                first checkpoint, else made up of random digits. It stays.

        Raises:
            ProofError: There is no signer, the log has no records, or it has another name.
            DamagedError: Records are not as they were written.
        """
        return _checkpoints.checkpoint(self._database, self._reader, signers, origin, at)

    def checkpoints(self) -> list[StoredCheckpoint]:
        """Return the checkpoints that the file holds, the smallest first.

        Raises:
            DamagedError: One is not what a checkpoint is.
        """
        return _checkpoints.stored(self._database)

    @property
    def origin(self) -> str | None:
        """The log's own name, which its checkpoints begin with; ``None`` before the first of them."""
        return _checkpoints.origin_of(self._database)

    def evidence(self, position: int, note: str | None = None, /) -> Evidence:
        """Put together what proves a record to who does not trust the operator.

        Args:
            position: Number of the record.
            note: A checkpoint that has it; by default the latest one that the file holds signed.

        Raises:
            ProofError: No checkpoint is on the record yet, the note is not on this log, or the record was
                dropped.
        """
        return _checkpoints.evidence(self._database, self._reader, position, note)

    def erase(self, surrogates: Surrogates, /) -> int:
        """Erase what is personal about some subjects, in their records and in those about their decisions.

        Seals first. What is erased reads as not known; roots and proofs stay as they are. In the file its
        bytes become zeros; ``Database.scrub`` sees to the write-ahead log. Records that are appended about
        them meanwhile are not found: delete the subjects' state first.

        Args:
            surrogates: Pairs of 64-bit numbers, shape (m, 2).

        Returns:
            How many records lost something by it.

        Raises:
            InvalidSubjectError: These are no surrogates, or one is zero, which stands for nobody.
        """
        return erase(self._database, self._reader, surrogates)

    def erase_records(self, positions: I64 | Sequence[int], /) -> int:
        """Erase what is personal in some records, and in those about these decisions; as ``erase``.

        Raises:
            LogError: There is no such record.
        """
        return erase_records(self._database, self._reader, positions)

    def drop(self, before: int, /, *, at: int, note: Note = unsigned) -> int:
        """Drop records before this one, in whole segments of 4,096, and keep the segments' roots.

        Seals first. Reading starts with the first record kept; numbers go on as if nothing had happened. What
        is left can still be proved to be in the log, and the log to have grown from its checkpoint at the
        place where the dropping ends, which is made where there is none.

        Args:
            before: Number of the first record that must stay.
            at: When this is, in microseconds.
            note: Writes the checkpoint, given size and root; unsigned by default.

        Returns:
            How many records were dropped.
        """
        return drop(self._database, self._reader, before, at, note)

    def boundary(self, than: int, /) -> int:
        """Number of the first record of the first segment that has something as new as this; seals first.

        Args:
            than: Time in microseconds; a record's is its public column ``at``.
        """
        seal(self._database, self._reader)
        return too_old(self._database, than)

    def drop_older(self, than: int, /, *, at: int, note: Note = unsigned) -> int:
        """Drop segments from the beginning of the log whose records are all older; as ``drop``.

        Args:
            than: Time in microseconds; a record's is its public column ``at``.
            at: When this is, in microseconds.
            note: Writes the checkpoint, given size and root; unsigned by default.
        """
        return drop(self._database, self._reader, self.boundary(than), at, note)

    def verify(self, progress: Progress | None = None, /) -> Verified:
        """Read the whole log and recompute everything from its bytes; takes about 4 us a record.

        Others may go on writing; what is looked at is what is there when it begins. What it cannot see is a
        log that was rewritten as a whole, checkpoints included: compare ``root`` with a checkpoint kept
        elsewhere.

        Args:
            progress: Called with how many records are done, and of how many, every 4,096.
        """
        return Recheck(self._database, self._reader).run(progress)

    @contextmanager
    def _prover(self) -> Iterator[Prover]:
        with self._database.reading() as connection:
            yield Prover(self._database, self._reader, connection)


def _cuts(first: int, count: int) -> Iterator[tuple[int, int]]:
    """Ranges of a block's records that stay within segments, when its first is number ``first``."""
    lo = 0
    while lo < count:
        hi = min(count, lo + SEGMENT - (first + lo) % SEGMENT)
        yield lo, hi
        lo = hi


def _fitting(pack: Callable[[int, int], Packed], lo: int, hi: int) -> Iterator[tuple[int, Packed]]:
    """Pack a range, in halves where one long text would make all the others as long."""
    try:
        piece = pack(lo, hi)
    except TooWide:
        middle = (lo + hi) // 2
        yield from _fitting(pack, lo, middle)
        yield from _fitting(pack, middle, hi)
    else:
        yield lo, piece
