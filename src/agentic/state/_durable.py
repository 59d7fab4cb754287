"""Subject records in memory and in a database: nothing committed is lost, and processes share them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray

from agentic._database import Database, Token
from agentic._sqlite import damaged, digest
from agentic.arrays import I64, Bools, Layout, Records, Rows
from agentic.errors import LayoutError, StoreError
from agentic.state._memory import Slab
from agentic.state._packed import describe, forget, pack, read_layout, records, unpack

_PAGE: Final = 1024
_PLACES: Final = 24  # bits of a birth that are the place in its journal row
_MOST: Final = 1 << _PLACES
_LAST: Final = (1 << (63 - _PLACES)) - 1  # number of a journal row
_LEAST: Final = 256 << 20
_FEW: Final = 16


class _BornSlab(Slab):
    """Records that know which place of which journal row they first came from.

    That names a subject to all processes, tells nothing of them, and is never given again.
    """

    def __init__(self, layout: Layout) -> None:
        super().__init__(layout)
        self.born: I64 = np.zeros(len(self.versions), dtype=np.int64)

    def make_room(self, strangers: int) -> None:
        super().make_room(strangers)
        if len(self.born) < len(self.versions):
            born = np.zeros(len(self.versions), dtype=np.int64)
            born[: len(self.born)] = self.born
            self.born = born

    def held(self, slots: I64) -> I64:
        """Versions of subjects in these slots, 0 for strangers."""
        return np.where(slots >= 0, self.versions[slots], 0)

    def put(
        self, subjects: Sequence[str], slots: I64, held: I64, rows: Records, seq: int, places: I64
    ) -> None:
        """Write rows of distinct subjects as the places of a journal row have them."""
        strange = np.flatnonzero(held == 0)
        if len(strange):
            new = strange[slots[strange] < 0]
            if len(new):
                slots[new] = self.add([subjects[i] for i in new.tolist()])
            at = slots[strange]
            if self.rows.dtype != rows.dtype:
                self.rows[at] = self.blank
            self.born[at] = seq << _PLACES | places[strange]
        self.write(slots, rows)
        self.versions[slots] = seq


@attrs.frozen(eq=False)
class _Before:
    """What a call found: who, and their rows, versions and births; version 0 for strangers."""

    slab: _BornSlab
    subjects: Sequence[str]
    rows: Records
    versions: I64
    born: I64

    @classmethod
    def of(cls, slab: _BornSlab, subjects: Sequence[str], slots: I64, held: I64) -> _Before:
        return cls(slab, subjects, slab.rows.take(slots), held, slab.born.take(slots))

    def restore(self) -> None:
        """Put it back, wherever it is now; may be done twice."""
        for i in np.flatnonzero(self.versions == 0).tolist():
            self.slab.remove(self.subjects[i])
        known = np.flatnonzero(self.versions)
        if len(known):
            subjects = [self.subjects[i] for i in known.tolist()]
            slots = self.slab.index.find(subjects)
            gone = np.flatnonzero(slots < 0)
            slots[gone] = self.slab.add([subjects[i] for i in gone.tolist()])
            self.slab.write(slots, self.rows[known])
            self.slab.born[slots] = self.born[known]
            self.slab.versions[slots] = self.versions[known]


class DurableStore:
    """Keeps every subject record in memory, and in a database what is needed to make them anew.

    Linearizable per subject, among the threads and processes that share the file. What is stored and deleted
    inside ``database.writing()`` stands or falls with it; outside each call is a transaction of its own. A
    ``load`` waits for the transactions of other threads. Versions are numbers of rows in the journal, the
    same in every process.

    A subject costs what it costs a ``MemoryStore``, and 8 bytes; in the file its record, its id, and 16 bytes
    once, and as much for every time it was stored since the journal was last compacted.

    Args:
        database: Where they lie; it stays open when the store is closed.

    Raises:
        DamagedError: What the file holds is not what was written.
    """

    consistency: Final = "linearizable"

    def __init__(self, database: Database, /) -> None:
        self._database = database
        self._slabs: dict[str, _BornSlab] = {}
        self._layouts: dict[str, Layout] = {}  # as stored, by their key in the file
        self._keys: dict[str, str] = {}  # of layouts that the file has, by fingerprint and name
        self._clock = 0  # the last journal row that the slabs know
        self._written = 0  # how many of those belong to the transaction that is going on
        self._compacted = 0  # the last journal row that the pages know
        self._journaled = 0  # bytes in the journal
        self._begun = 0, 0  # both as the transaction found them
        self._before: list[_Before] = []
        self._seen: Token | None = None
        self._closed = False
        database.join(self)
        try:
            with self._caught_up():
                pass
        except BaseException:
            database.leave(self)
            raise

    @property
    def database(self) -> Database:
        """Where records lie."""
        return self._database

    def begin(self, changed: bool, /) -> None:
        """Catch up with what others wrote."""
        self._before.clear()
        self._written, self._begun = 0, (self._compacted, self._journaled)
        if changed:
            with self._database.alone() as connection:
                self._catch_up(connection)
            self._begun = self._compacted, self._journaled

    def undo(self, /) -> None:
        """Be as before the transaction."""
        while self._before:
            self._before[-1].restore()
            self._before.pop()
        self._clock, self._written = self._clock - self._written, 0
        self._compacted, self._journaled = self._begun
        self._keys.clear()

    def load(self, subjects: Sequence[str], layout: Layout, /) -> Rows:
        """Return private copies, in the order asked; blank and version 0 for strangers.

        Raises:
            LayoutError: A field of the same name was stored with another dtype or shape.
            DatabaseError: The database cannot be read.
            DamagedError: What it holds is not what was written.
        """
        if self._database.in_writing:
            return self._load(subjects, layout)
        with self._caught_up():
            return self._load(subjects, layout)

    def _load(self, subjects: Sequence[str], layout: Layout) -> Rows:
        slab = self._slabs.get(layout.name)
        if slab is None:
            return Rows(layout.new(len(subjects)), np.zeros(len(subjects), dtype=np.int64))
        return slab.load(subjects, layout)

    def store(
        self, subjects: Sequence[str], rows: Records, expected: NDArray[np.int64], layout: Layout, /
    ) -> Bools:
        """Write rows whose version is still the expected one; say which. Subjects are distinct.

        Raises:
            StoreError: There are not as many rows and versions as subjects, or more than 16,777,216, or an id
                takes a megabyte, or the store was closed.
            LayoutError: A field of the same name was stored with another dtype or shape.
            DatabaseError: The database cannot be written; nothing was stored.
        """
        if not len(subjects) == len(rows) == len(expected):
            raise StoreError(
                f"store needs as many rows and versions as subjects, got {len(subjects)}, {len(rows)} and"
                f" {len(expected)}"
            )
        if len(subjects) > _MOST:
            raise StoreError(f"store takes at most {_MOST:,} subjects at once, got {len(subjects):,}")
        with self._writing() as connection:
            slab = self._slab(layout)
            slots = slab.index.find(subjects)
            held = slab.held(slots)
            accepted: Bools = held == expected
            count = int(np.count_nonzero(accepted))
            if not count:
                return accepted
            who = list(subjects)
            if count < len(who):
                chosen = np.flatnonzero(accepted)
                who = [who[i] for i in chosen.tolist()]
                slots, held, rows = slots[chosen], held[chosen], rows[chosen]
            rows = np.ascontiguousarray(rows)
            self._journal(connection, self._key(connection, layout), pack(who), _raw(rows))
            self._before.append(_Before.of(slab, who, slots, held))
            slab.put(who, slots, held, rows, self._clock, np.arange(count))
            if self._journaled > _LEAST and self._journaled > 4 * self._size():
                self.compact()
        return accepted

    def delete(self, subjects: Sequence[str], /) -> int:
        """Forget these subjects in every layout, and overwrite what the file has of them; return how many.

        Until ``Database.scrub``, after the commit, their bytes may lie in the write-ahead log.

        Raises:
            StoreError: The store was closed.
            DatabaseError: The database cannot be written; nobody was forgotten.
        """
        known: set[str] = set()
        births = []
        with self._writing() as connection:
            distinct = list(dict.fromkeys(subjects))
            for slab in self._slabs.values():
                slots = slab.index.find(distinct)
                there = np.flatnonzero(slab.held(slots))
                if not len(there):
                    continue
                who, at = [distinct[i] for i in there.tolist()], slots[there]
                self._before.append(_Before.of(slab, who, at, slab.versions[at]))
                births.append(slab.born[at])
                for subject in who:
                    slab.remove(subject)
                known.update(who)
            if known:
                told = np.sort(np.concatenate(births)).astype("<i8").tobytes()
                self._journal(connection, "", told, None)
                self._scrub(connection, known)
        return len(known)

    def subjects(self) -> list[str]:
        """Every subject known, without the records that agents keep for themselves."""
        with self._caught_up():
            found = [slab.subjects() for slab in self._slabs.values()]
        return sorted({subject for texts in found for subject in texts if not subject.startswith("\x00")})

    def __len__(self) -> int:
        return len(self.subjects())

    @property
    def bytes_held(self) -> int:
        """Bytes in memory of records, versions, births, ids and what finds them, room for more included."""
        with self._database.alone():
            return sum(slab.nbytes + slab.born.nbytes for slab in self._slabs.values())

    def compact(self) -> None:
        """Write all records into pages and empty the journal, which is read whole at every opening."""
        with self._writing() as connection:
            for table in ("journal", "pages", "layouts"):
                connection.execute(f"DELETE FROM {table}")  # noqa: S608 (one of these three)
            self._keys.clear()
            pages = []
            for slab in self._slabs.values():
                if not slab.versions.any():
                    continue
                key = self._key(connection, Layout.stored(slab.layout.name, slab.rows.dtype, slab.blank))
                pages.append([key, self._write_pages(connection, key, slab)])
            told = json.dumps({"seq": self._clock, "pages": pages})
            self._database.note("state", told.encode())
            self._compacted, self._journaled = self._clock, 0

    def close(self) -> None:
        """Compact the journal if it is larger than the records, and let go of the database.

        Does nothing the second time.
        """
        if self._closed:
            return
        try:
            if self._journaled > self._size() and not self._database.closed:
                self.compact()
        finally:
            self._closed = True
            self._database.leave(self)

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        if self._closed:
            raise StoreError("the store was closed: make another of the database")
        with self._database.writing() as connection:
            yield connection

    @contextmanager
    def _caught_up(self) -> Iterator[None]:
        """Hold other threads off, knowing whatever was committed."""
        with self._database.alone() as connection:
            if not self._database.in_writing:
                token = self._database.token()
                if token != self._seen:
                    connection.execute("BEGIN")
                    try:
                        self._catch_up(connection)
                    finally:
                        connection.execute("ROLLBACK")
                    self._seen = token
            yield

    def _slab(self, layout: Layout) -> _BornSlab:
        slab = self._slabs.get(layout.name)
        if slab is None:
            slab = self._slabs[layout.name] = _BornSlab(layout)
        elif slab.layout is not layout and slab.layout.fingerprint != layout.fingerprint:
            slab.admit(layout)
        return slab

    def _size(self) -> int:
        return sum(len(slab.index) * slab.rows.itemsize for slab in self._slabs.values())

    def _key(self, connection: sqlite3.Connection, layout: Layout) -> str:
        """What a layout is called in the file, where it is written if it is not there."""
        known = f"{layout.fingerprint} {layout.name}"
        if known not in self._keys:
            descr = describe(layout)
            key = digest(descr).hex()
            connection.execute(
                "INSERT OR REPLACE INTO layouts VALUES (?, ?, ?)",
                (key, descr, digest("layouts", key, descr)),
            )
            self._keys[known] = key
        return self._keys[known]

    def _layout(self, connection: sqlite3.Connection, key: str) -> Layout:
        if key not in self._layouts:
            found = connection.execute("SELECT descr, digest FROM layouts WHERE name = ?", (key,)).fetchone()
            if (
                found is None
                or not isinstance(found[0], str)
                or (key, found[1]) != (digest(found[0]).hex(), digest("layouts", key, found[0]))
            ):
                raise self._damaged("layouts", key)
            try:
                self._layouts[key] = read_layout(found[0])
            except ValueError as error:
                raise self._damaged("layouts", key) from error
        return self._layouts[key]

    def _damaged(self, table: str, row: object) -> Exception:
        return damaged(self._database.path, table, row)

    def _journal(
        self, connection: sqlite3.Connection, key: str, names: bytes, rows: memoryview | None
    ) -> None:
        seq = self._clock + 1
        check = digest("journal", seq, key, names, "" if rows is None else rows)
        connection.execute("INSERT INTO journal VALUES (?, ?, ?, ?, ?)", (seq, key, names, rows, check))
        self._clock, self._written = seq, self._written + 1
        self._journaled += len(names) + (0 if rows is None else rows.nbytes)

    def _catch_up(self, connection: sqlite3.Connection) -> None:
        """Apply the journal after the last row that is known; the pages first where that is gone."""
        try:
            self._follow(connection)
        except LayoutError:  # with fields that a transaction asked for which was undone
            self._slabs, self._clock, self._compacted = {}, 0, 0
            try:
                self._follow(connection)
            except LayoutError as error:
                raise self._damaged("journal", self._clock + 1) from error

    def _follow(self, connection: sqlite3.Connection) -> None:
        state = self._database.noted("state", connection)
        start = self._clock
        if state is not None:
            try:
                told = json.loads(state.decode())
                seq = int(told["seq"])
                pages = [(bytes(key, "ascii").decode(), int(count)) for key, count in told["pages"]]
                if not 0 <= seq <= _LAST:
                    raise ValueError
            except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
                raise self._damaged("meta", "state") from error
            if seq != self._compacted:
                self._keys.clear()
                if self._clock < seq:
                    self._read_pages(connection, seq, pages)
                    start = 0
                self._compacted, self._journaled = seq, 0
        elif connection.execute("SELECT 1 FROM pages").fetchone():
            raise self._damaged("meta", "state")
        for seq, key, names, rows, check in connection.execute(
            "SELECT seq, layout, names, rows, digest FROM journal WHERE seq > ? ORDER BY seq", (self._clock,)
        ):
            if seq != self._clock + 1 or not is_row(seq, key, names, rows, check):
                raise self._damaged("journal", self._clock + 1)
            try:
                if rows is None:
                    self._forget(np.frombuffer(names, dtype="<i8"), start)
                else:
                    self._apply(connection, seq, key, names, rows)
            except LayoutError:
                raise
            except ValueError as error:
                raise self._damaged("journal", seq) from error
            self._journaled += len(names) + len(rows or b"")
            self._clock = seq
        # Where rows or pages are out of sight, SQLite still knows which number was the last.
        last = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'journal'").fetchone()
        if self._clock != (0 if last is None else last[0]):
            raise self._damaged("journal", self._clock + 1)

    def _forget(self, births: I64, start: int) -> None:
        """Forget those of these births who were known at the journal row ``start``.

        Whoever was born later has never been seen here: their names were overwritten with the deletion.
        """
        births = births[births >> _PLACES <= start]
        for slab in self._slabs.values() if len(births) else ():
            gone = np.isin(slab.born, births) & (slab.versions != 0)
            if gone.any():
                for subject in slab.index.texts(gone):
                    slab.remove(subject)

    def _apply(self, connection: sqlite3.Connection, seq: int, key: str, names: bytes, rows: bytes) -> None:
        layout = self._layout(connection, key)
        subjects, places = unpack(names)
        found = records(rows, layout.dtype, int.from_bytes(names[:4], "little"))
        if subjects:
            slab = self._slab(layout)
            slots = slab.index.find(subjects)
            slab.put(subjects, slots, slab.held(slots), found.take(places), seq, places)

    def _write_pages(self, connection: sqlite3.Connection, key: str, slab: _BornSlab) -> int:
        live = slab.versions != 0
        subjects, slots = list(slab.index.texts(live)), np.flatnonzero(live)
        for page, lo in enumerate(range(0, len(slots), _PAGE)):
            at = slots[lo : lo + _PAGE]
            names = pack(subjects[lo : lo + _PAGE])
            versions = np.stack([slab.versions[at], slab.born[at]]).astype("<i8").tobytes()
            rows = slab.rows.take(at).tobytes()
            check = digest("pages", key, page, names, versions, rows)
            connection.execute(
                "INSERT INTO pages VALUES (?, ?, ?, ?, ?, ?)", (key, page, names, versions, rows, check)
            )
        return -(-len(slots) // _PAGE)

    def _read_pages(self, connection: sqlite3.Connection, seq: int, pages: list[tuple[str, int]]) -> None:
        """Make all records anew."""
        slabs: dict[str, _BornSlab] = {}
        (found,) = connection.execute("SELECT count(*) FROM pages").fetchone()
        if found != sum(count for _, count in pages):
            raise self._damaged("meta", "state")
        for key, count in pages:
            layout = self._layout(connection, key)
            slab = slabs[layout.name] = _BornSlab(layout)
            slab.make_room(count * _PAGE)
            for page in range(count):
                found = connection.execute(
                    "SELECT names, versions, rows, digest FROM pages WHERE layout = ? AND page = ?",
                    (key, page),
                ).fetchone()
                if found is None or not is_page(key, page, *found):
                    raise self._damaged("pages", (key, page))
                try:
                    _read_page(slab, *found[:3])
                except ValueError as error:
                    raise self._damaged("pages", (key, page)) from error
        self._slabs, self._clock = slabs, seq

    def _scrub(self, connection: sqlite3.Connection, gone: set[str]) -> None:
        """Overwrite whom journal and pages name."""
        raws = [subject.encode("utf-8", "surrogatepass") for subject in gone]
        many = len(raws) > _FEW
        told = connection.execute("SELECT seq, names FROM journal WHERE rows IS NOT NULL")
        hits = [seq for seq, names in told if many or _mentions(names, raws)]
        for seq in hits:
            key, names, rows, check = connection.execute(
                "SELECT layout, names, rows, digest FROM journal WHERE seq = ?", (seq,)
            ).fetchone()
            if not is_row(seq, key, names, rows, check):
                raise self._damaged("journal", seq)
            if left := forget(names, rows, gone):
                connection.execute(
                    "UPDATE journal SET names = ?, rows = ?, digest = ? WHERE seq = ?",
                    (*left, digest("journal", seq, key, *left), seq),
                )
        told = connection.execute("SELECT layout, page, names FROM pages")
        places = [(key, page) for key, page, names in told if many or _mentions(names, raws)]
        for key, page in places:
            names, versions, rows, check = connection.execute(
                "SELECT names, versions, rows, digest FROM pages WHERE layout = ? AND page = ?", (key, page)
            ).fetchone()
            if not is_page(key, page, names, versions, rows, check):
                raise self._damaged("pages", (key, page))
            if left := forget(names, rows, gone):
                check = digest("pages", key, page, left[0], versions, left[1])
                connection.execute(
                    "UPDATE pages SET names = ?, rows = ?, digest = ? WHERE layout = ? AND page = ?",
                    (*left, check, key, page),
                )


def _raw(rows: Records) -> memoryview:
    return rows.view(np.uint8).data if rows.itemsize else memoryview(b"")


def is_row(seq: Any, key: Any, names: Any, rows: Any, check: Any) -> bool:  # SQLite may give anything
    return (
        isinstance(key, str)
        and isinstance(names, bytes)
        and isinstance(rows, bytes | None)
        and check == digest("journal", seq, key, names, rows or "")
    )


def is_page(key: Any, page: Any, names: Any, versions: Any, rows: Any, check: Any) -> bool:  # likewise
    return all(isinstance(part, bytes) for part in (names, versions, rows)) and check == digest(
        "pages", key, page, names, versions, rows
    )


def _read_page(slab: _BornSlab, names: bytes, versions: bytes, rows: bytes) -> None:
    subjects, places = unpack(names)
    count = int.from_bytes(names[:4], "little")
    found = records(rows, slab.layout.dtype, count)
    numbers = np.frombuffer(versions, dtype="<i8").reshape(2, count)[:, places]
    slots = slab.add(subjects)
    slab.write(slots, found.take(places))
    slab.born[slots] = numbers[1]
    slab.versions[slots] = numbers[0]


def _mentions(names: Any, raws: list[bytes]) -> bool:  # SQLite may give anything
    return not isinstance(names, bytes) or any(raw in names for raw in raws)
