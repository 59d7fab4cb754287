"""Subject records in memory and in a database: nothing committed is lost, and processes share them."""

from __future__ import annotations

import base64
import json
import sqlite3
from collections.abc import Sequence
from typing import Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray

from agentic._database import Database, damaged, digest
from agentic.arrays import I64, Bools, Layout, Records, Rows
from agentic.errors import DatabaseError, StoreError
from agentic.state._index import Texts
from agentic.state._memory import _Slab

_PAGE: Final = 1024
_GONE: Final = -1  # the length of a name that was forgotten
_BATCH: Final = 24  # a place in a journal row takes so many bits of what a record is born as
_LEAST: Final = 256 << 20
_KINDS: Final = frozenset("biufcSUV mM".replace(" ", ""))


class _Recorded(_Slab):
    """Records that know which place of which journal row they were born in: a name that tells nothing."""

    def __init__(self, layout: Layout) -> None:
        super().__init__(layout)
        self.born: I64 = np.zeros(len(self.versions), dtype=np.int64)

    def _make_room(self, strangers: int) -> None:
        taken = self.index.slots
        if taken + strangers > len(self.born):
            super()._make_room(strangers)
            born = np.zeros(len(self.versions), dtype=np.int64)
            born[:taken] = self.born[:taken]
            self.born = born

    def place(self, subjects: Sequence[str], rows: Records, seq: int, places: I64) -> None:
        """Write rows of distinct subjects, known or not, as the journal row ``seq`` has them."""
        slots = self.index.find(subjects)
        held = np.where(slots >= 0, self.versions[slots], 0)
        self.fill(subjects, slots, held, rows, seq, places)

    def fill(
        self, subjects: Sequence[str], slots: I64, held: I64, rows: Records, seq: int, places: I64
    ) -> None:
        """``place`` where slots and versions, 0 for strangers, are known."""
        strange = np.flatnonzero(held == 0)
        if len(strange):
            new = strange[slots[strange] < 0]
            if len(new):
                slots[new] = self.add(
                    subjects if len(new) == len(subjects) else [subjects[i] for i in new.tolist()]
                )
            at = slots[strange]
            if self.rows.dtype != rows.dtype:
                self.rows[at] = self.blank
            self.born[at] = seq << _BATCH | places[strange]
        self.write(slots, rows)
        self.versions[slots] = seq


@attrs.frozen(eq=False)
class _Before:
    """What a call found: who, and their rows, versions and births; version 0 for strangers."""

    slab: _Recorded
    subjects: Sequence[str]
    rows: Records
    versions: I64
    born: I64

    def restore(self) -> None:
        for subject, version in zip(self.subjects, self.versions.tolist(), strict=True):
            if not version:
                self.slab.remove(subject)
        known = np.flatnonzero(self.versions)
        if not len(known):
            return
        who = [self.subjects[i] for i in known.tolist()]
        slots = self.slab.index.find(who)
        if (slots < 0).any():
            strangers = np.flatnonzero(slots < 0)
            slots[strangers] = self.slab.add([who[i] for i in strangers.tolist()])
        self.slab.write(slots, self.rows[known])
        self.slab.born[slots] = self.born[known]
        self.slab.versions[slots] = self.versions[known]


class DurableStore:
    """Keeps every subject record in memory, and in a database whatever is needed to make them anew.

    Linearizable per subject, across the threads and processes that share the file. What ``store`` and
    ``delete`` do inside ``database.writing()`` stands or falls with it. Versions are numbers of journal rows,
    the same in every process.

    Args:
        database: Where records lie; it stays open when the store is closed.
    """

    consistency: Final = "linearizable"

    def __init__(self, database: Database, /) -> None:
        self._database = database
        self._slabs: dict[str, _Recorded] = {}
        self._layouts: dict[str, Layout] = {}  # by their key in the file
        self._keys: set[str] = set()  # of those known to be there
        self._clock = 0  # the last journal row applied
        self._written = 0  # journal rows of the transaction that is going on
        self._compacted = 0  # the last journal row that the pages hold
        self._journaled = 0  # bytes of rows since then
        self._begun = 0, 0  # both as they were when the transaction began
        self._seen: int | None = None
        self._before: list[_Before] = []
        self._closed = False
        database.join(self)
        with database.writing():
            pass

    def begin(self, changed: bool, /) -> None:
        """Catch up with what other processes wrote."""
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
        """Return private copies, in the order asked; blank and version 0 for strangers."""
        if self._database.in_writing:
            return self._load(subjects, layout)
        with self._database.alone() as connection:
            (version,) = connection.execute("PRAGMA data_version").fetchone()
            if version != self._seen:
                connection.execute("BEGIN")
                try:
                    self._catch_up(connection)
                finally:
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
                self._seen = version
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
            StoreError: There are not as many rows and versions as subjects, or an id takes a megabyte.
            DatabaseError: The database cannot be written to.
        """
        if not len(subjects) == len(rows) == len(expected):
            raise StoreError(
                f"store needs as many rows and versions as subjects, got {len(subjects)}, {len(rows)} and"
                f" {len(expected)}"
            )
        with self._database.writing() as connection:
            slab = self._slab(layout)
            slots = slab.index.find(subjects)
            held = np.where(slots >= 0, slab.versions[slots], 0)
            accepted: Bools = held == expected
            count = int(np.count_nonzero(accepted))
            if not count:
                return accepted
            if count < len(subjects):
                subjects = [subjects[i] for i in np.flatnonzero(accepted).tolist()]
                slots, held, rows = slots[accepted], held[accepted], rows[accepted]
            else:
                subjects = list(subjects)
            rows = np.ascontiguousarray(rows)
            self._journal(connection, self._key(connection, layout), _packed(subjects), rows)
            self._before.append(_Before(slab, subjects, slab.rows.take(slots), held, slab.born.take(slots)))
            slab.fill(subjects, slots, held, rows, self._clock, np.arange(count))
            if self._journaled > max(_LEAST, 4 * self._size()):
                self.compact()
        return accepted

    def delete(self, subjects: Sequence[str], /) -> int:
        """Forget these subjects in every layout, and in all that the file holds; return how many were known.

        Their bytes may lie in the write-ahead log until ``Database.scrub`` after the commit.
        """
        known: set[str] = set()
        with self._database.writing() as connection:
            distinct = list(dict.fromkeys(subjects))
            births = []
            for slab in self._slabs.values():
                slots = slab.index.find(distinct)
                there = np.flatnonzero((slots >= 0) & (slab.versions[slots] != 0))
                if not len(there):
                    continue
                who, at = [distinct[i] for i in there.tolist()], slots[there]
                self._before.append(_Before(slab, who, slab.rows.take(at), slab.versions[at], slab.born[at]))
                births.append(slab.born[at])
                for subject in who:
                    slab.remove(subject)
                known.update(who)
            if known:
                self._journal(connection, "", np.sort(np.concatenate(births)).astype("<i8").tobytes(), None)
                self._scrub(connection, known)
        return len(known)

    def subjects(self) -> list[str]:
        """Every subject known, without the records that agents keep for themselves."""
        self.load([], _NOBODY)
        with self._database.alone():
            found = [slab.subjects() for slab in self._slabs.values()]
        return sorted({subject for texts in found for subject in texts if not subject.startswith("\x00")})

    def __len__(self) -> int:
        return len(self.subjects())

    def _slab(self, layout: Layout) -> _Recorded:
        slab = self._slabs.get(layout.name)
        if slab is None:
            slab = self._slabs[layout.name] = _Recorded(layout)
        elif slab.layout is not layout and slab.layout.fingerprint != layout.fingerprint:
            slab.admit(layout)
        return slab

    def _key(self, connection: sqlite3.Connection, layout: Layout) -> str:
        """The key of a layout in the file, where it is written if it is not there."""
        key = f"{layout.fingerprint}:{layout.name}"
        if key not in self._keys:
            descr = _told(layout)
            connection.execute(
                "INSERT OR IGNORE INTO layouts VALUES (?, ?, ?)", (key, descr, digest("layouts", key, descr))
            )
            self._keys.add(key)
        return key

    def _journal(self, connection: sqlite3.Connection, key: str, names: bytes, rows: Records | None) -> None:
        seq = self._clock + 1
        raw = None if rows is None else rows.view(np.uint8).data
        connection.execute(
            "INSERT INTO journal VALUES (?, ?, ?, ?, ?)",
            (seq, key, names, raw, digest("journal", seq, key, names, b"" if raw is None else raw)),
        )
        self._clock, self._written = seq, self._written + 1
        self._journaled += len(names) + (0 if raw is None else raw.nbytes)

    def _catch_up(self, connection: sqlite3.Connection) -> None:
        """Apply the journal after the last row applied; from the pages on where that is gone."""
        compacted = self._database.noted("state", connection)
        if compacted is not None:
            told = json.loads(compacted)
            if told["seq"] != self._compacted:
                self._keys.clear()
                if self._clock < told["seq"]:
                    self._reload(connection, told)
                self._compacted = told["seq"]
                self._journaled = 0
        for seq, key, names, rows, check in connection.execute(
            "SELECT seq, layout, names, rows, digest FROM journal WHERE seq > ? ORDER BY seq", (self._clock,)
        ):
            if seq != self._clock + 1 or not self._intact("journal", seq, key, names, rows, check):
                raise damaged(self._database.path, "journal", self._clock + 1)
            if rows is None:
                self._forget(np.frombuffer(names, dtype="<i8"))
            else:
                self._apply(connection, seq, key, names, rows)
                self._journaled += len(names) + len(rows)
            self._clock = seq

    def _intact(self, table: str, *parts: Any) -> bool:  # what SQLite gives may be anything
        *told, check = parts
        seq, key, names, rows = told
        return (
            isinstance(key, str)
            and isinstance(names, bytes)
            and isinstance(rows, bytes | None)
            and check == digest(table, seq, key, names, rows or b"")
        )

    def _forget(self, births: I64) -> None:
        for slab in self._slabs.values():
            gone = np.isin(slab.born, births) & (slab.versions != 0)
            if gone.any():
                for subject in list(slab.index.texts(gone)):
                    slab.remove(subject)

    def _apply(self, connection: sqlite3.Connection, seq: int, key: str, names: bytes, rows: bytes) -> None:
        layout = self._layout(connection, key)
        subjects, places = _unpacked(names)
        records: Records = np.frombuffer(rows, dtype=layout.dtype)
        if len(places) < len(records):
            records = records[places]
        if subjects:
            self._slab(layout).place(subjects, records, seq, places)

    def _layout(self, connection: sqlite3.Connection, key: str) -> Layout:
        if key not in self._layouts:
            found = connection.execute("SELECT descr, digest FROM layouts WHERE name = ?", (key,)).fetchone()
            if found is None or not isinstance(found[0], str) or found[1] != digest("layouts", key, found[0]):
                raise damaged(self._database.path, "layouts", key)
            self._layouts[key] = _read(found[0])
            self._keys.add(key)
        return self._layouts[key]

    def _reload(self, connection: sqlite3.Connection, told: Any) -> None:
        """Make all records anew from the pages."""
        slabs: dict[str, _Recorded] = {}
        for key, count in told["pages"]:
            layout = self._layout(connection, key)
            slab = slabs[layout.name] = _Recorded(layout)
            for page in range(count):
                self._read_page(connection, key, page, slab)
        self._slabs, self._clock = slabs, told["seq"]

    def _read_page(self, connection: sqlite3.Connection, key: str, page: int, slab: _Recorded) -> None:
        found = connection.execute(
            "SELECT names, versions, rows, digest FROM pages WHERE layout = ? AND page = ?", (key, page)
        ).fetchone()
        if (
            found is None
            or not all(isinstance(part, bytes) for part in found)
            or found[3] != digest("pages", key, page, *found[:3])
        ):
            raise damaged(self._database.path, "pages", (key, page))
        names, versions, rows, _ = found
        subjects, places = _unpacked(names)
        if not subjects:
            return
        both = np.frombuffer(versions, dtype="<i8").reshape(2, -1)[:, places]
        slots = slab.add(subjects)
        slab.write(slots, np.frombuffer(rows, dtype=slab.layout.dtype)[places])
        slab.born[slots] = both[1]
        slab.versions[slots] = both[0]

    def compact(self) -> None:
        """Write all records into pages and empty the journal, which is read in full at every opening."""
        with self._database.writing() as connection:
            for table in ("journal", "pages", "layouts"):
                connection.execute(f"DELETE FROM {table}")  # noqa: S608 (three names from here)
            self._keys.clear()
            told = []
            for slab in self._slabs.values():
                layout = _layout_of(slab.layout.name, slab.rows.dtype, slab.blank)
                key = self._key(connection, layout)
                live = np.flatnonzero(slab.versions)
                subjects = list(slab.index.texts(slab.versions != 0))
                count = 0
                for lo in range(0, len(live), _PAGE):
                    at = live[lo : lo + _PAGE]
                    names = _packed(subjects[lo : lo + _PAGE])
                    versions = np.stack([slab.versions[at], slab.born[at]]).astype("<i8").tobytes()
                    rows = slab.rows.take(at).tobytes()
                    check = digest("pages", key, count, names, versions, rows)
                    connection.execute(
                        "INSERT INTO pages VALUES (?, ?, ?, ?, ?, ?)",
                        (key, count, names, versions, rows, check),
                    )
                    count += 1
                told.append([key, count])
            self._database.note("state", json.dumps({"seq": self._clock, "pages": told}).encode())
            self._compacted, self._journaled = self._clock, 0

    def close(self) -> None:
        """Compact the journal where it is larger than the records, and take part in no more transactions."""
        if self._closed:
            return
        if self._journaled > self._size():
            self.compact()
        self._closed = True
        self._database.leave(self)

    def _size(self) -> int:
        return sum(len(slab.index) * slab.rows.itemsize for slab in self._slabs.values())

    def _scrub(self, connection: sqlite3.Connection, gone: set[str]) -> None:
        """Overwrite whom the journal and the pages name."""
        raws = [subject.encode("utf-8", "surrogatepass") for subject in gone]
        for seq, names in connection.execute(
            "SELECT seq, names FROM journal WHERE rows IS NOT NULL"
        ).fetchall():
            if len(raws) <= 16 and not any(raw in names for raw in raws):
                continue
            key, rows = connection.execute(
                "SELECT layout, rows FROM journal WHERE seq = ?", (seq,)
            ).fetchone()
            scrubbed = _scrubbed(names, gone, rows)
            if scrubbed is not None:
                connection.execute(
                    "UPDATE journal SET names = ?, rows = ?, digest = ? WHERE seq = ?",
                    (*scrubbed, digest("journal", seq, key, *scrubbed), seq),
                )
        for key, page, names, versions in connection.execute(
            "SELECT layout, page, names, versions FROM pages"
        ).fetchall():
            if len(raws) <= 16 and not any(raw in names for raw in raws):
                continue
            (rows,) = connection.execute(
                "SELECT rows FROM pages WHERE layout = ? AND page = ?", (key, page)
            ).fetchone()
            scrubbed = _scrubbed(names, gone, rows)
            if scrubbed is not None:
                left, blank = scrubbed
                connection.execute(
                    "UPDATE pages SET names = ?, rows = ?, digest = ? WHERE layout = ? AND page = ?",
                    (left, blank, digest("pages", key, page, left, versions, blank), key, page),
                )


def _packed(subjects: Sequence[str]) -> bytes:
    texts = Texts(subjects)
    return (
        len(subjects).to_bytes(4, "little") + texts.size.astype("<i4").tobytes() + texts.bytes[:-8].tobytes()
    )


def _unpacked(names: bytes) -> tuple[list[str], I64]:
    """Those that are not forgotten, and their places."""
    count = int.from_bytes(names[:4], "little")
    sizes = np.frombuffer(names, dtype="<i4", count=count, offset=4).astype(np.int64)
    places = np.flatnonzero(sizes != _GONE)
    ends = np.cumsum(sizes[places]) + 4 + 4 * count
    starts = ends - sizes[places]
    texts = [
        names[lo:hi].decode("utf-8", "surrogatepass")
        for lo, hi in zip(starts.tolist(), ends.tolist(), strict=True)
    ]
    return texts, places


def _scrubbed(names: bytes, gone: set[str], rows: bytes) -> tuple[bytes, bytes] | None:
    texts, places = _unpacked(names)
    drop = {place for text, place in zip(texts, places.tolist(), strict=True) if text in gone}
    if not drop:
        return None
    count = int.from_bytes(names[:4], "little")
    sizes = np.frombuffer(names, dtype="<i4", count=count, offset=4).copy()
    sizes[sorted(drop)] = _GONE
    kept = "".join(text for text in texts if text not in gone).encode("utf-8", "surrogatepass")
    blank = bytearray(rows)
    width = len(rows) // count
    for place in drop:
        blank[place * width : (place + 1) * width] = bytes(width)
    return names[:4] + sizes.tobytes() + kept, bytes(blank)


def _told(layout: Layout) -> str:
    fields = []
    for name in layout.dtype.names or ():
        kind = layout.dtype[name]
        fields.append([name, kind.base.str, list(kind.shape)])
    return json.dumps(
        {"name": layout.name, "fields": fields, "blank": base64.b64encode(layout.blank.tobytes()).decode()}
    )


def _read(descr: str) -> Layout:
    told = json.loads(descr)
    dtype = np.dtype([(name, _kind(kind), tuple(shape)) for name, kind, shape in told["fields"]])
    blank: Records = np.frombuffer(base64.b64decode(told["blank"]), dtype=dtype)[0]
    return _layout_of(told["name"], dtype, blank)


def _layout_of(name: str, dtype: np.dtype[Any], blank: Records) -> Layout:
    import hashlib

    held: Records = np.zeros((), dtype=dtype)
    held[()] = blank
    told = repr((name, dtype.descr)).encode() + held.tobytes()
    held.flags.writeable = False
    return Layout(
        name=name, dtype=dtype, blank=held, fingerprint=hashlib.sha256(told).hexdigest()[:16], parts={}
    )


def _kind(text: str) -> np.dtype[Any]:
    dtype = np.dtype(text)
    if dtype.kind not in _KINDS or dtype.hasobject:
        raise DatabaseError(f"a field of kind {text!r} cannot be stored", value=text)
    return dtype


_NOBODY: Final = Layout.compose("\x00nobody", {})
