"""Subject records in this process: one contiguous slab per layout, and an index from subject to slot."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agentic.arrays import I64, Bools, Layout, Records, Rows
from agentic.errors import StoreError
from agentic.state._index import Index
from agentic.state._migrate import migrate

_FIRST: Final = 256
_GROWTH: Final = 1.5


class Slab:
    """Records of one name. Slots of deleted subjects are used again.

    The rows hold every field that any layout of this name has asked for: two versions of an agent that
    run side by side each see their own fields, and neither loses what the other counts.

    Who has version 0 is a stranger, though the index may have a slot for them: what adds a subject ends with
    the version, and what removes one begins with it, so that either may be given up at any line. Rows of
    version 0 hold anything.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.index = Index()
        self.rows, self.blank = layout.new(_FIRST), layout.blank
        self.versions: I64 = np.zeros(_FIRST, dtype=np.int64)

    def admit(self, layout: Layout) -> None:
        """Make room for the fields of another layout; existing ones must agree."""
        migrate(self.rows[:0], layout)  # refuses a field that changed
        have, asked = set(self.rows.dtype.names or ()), layout.dtype.names or ()
        if new := [name for name in asked if name not in have]:
            dtype = np.dtype([*self.rows.dtype.descr, *((name, layout.dtype[name]) for name in new)])
            if have < set(asked):  # an agent that grew: from now on it is served without a detour
                dtype = layout.dtype
            rows: Records = np.empty(len(self.rows), dtype=dtype)
            taken = slice(self.index.slots)
            blank: Records = np.zeros((), dtype=dtype)
            for name in self.rows.dtype.names or ():
                rows[name][taken], blank[name] = self.rows[name][taken], self.blank[name]
            for name in new:
                rows[name][taken] = blank[name] = layout.blank[name]
            self.rows, self.blank = rows, blank
        self.layout = layout

    def read(self, slots: I64 | slice, layout: Layout) -> Records:
        """Rows in these slots as the layout shows them: a copy."""
        rows = self.rows
        if isinstance(slots, slice):
            some = rows[slots]
            found: Records = np.ndarray(some.shape, rows.dtype, bytearray(some.tobytes()))
        else:
            found = rows.take(slots)  # whole records: an index would copy field by field
        return found if rows.dtype == layout.dtype else migrate(found, layout)

    def load(self, subjects: Sequence[str], layout: Layout) -> Rows:
        """Copies in the order asked; blank and version 0 for strangers."""
        if len(subjects) == 1:
            slot = self.index.find_one(subjects[0])
            if slot >= 0:
                one = slice(slot, slot + 1)
                if self.versions[slot]:
                    return Rows(self.read(one, layout), self.versions[one].copy())
        slots = self.index.find(subjects)
        rows = self.read(slots, layout)
        versions = self.versions[slots]
        strangers = (slots < 0) | (versions == 0)
        if np.count_nonzero(strangers):
            rows[strangers] = layout.blank
            versions[strangers] = 0
        return Rows(rows, versions)

    def write(self, slots: I64 | slice, rows: Records) -> None:
        """Set the fields that these rows have."""
        if self.rows.dtype == rows.dtype:
            _opaque(self.rows)[slots] = _opaque(np.ascontiguousarray(rows))
        else:
            for name in rows.dtype.names or ():
                self.rows[name][slots] = rows[name]

    def add(self, subjects: Sequence[str]) -> I64:
        """Give each of these strangers a slot, whose row is still to be written."""
        self.make_room(len(subjects))
        return self.index.add(subjects)

    def make_room(self, strangers: int) -> None:
        """Have slots for so many more."""
        taken = self.index.slots
        if taken + strangers > len(self.rows):
            size = max(taken + strangers, int(len(self.rows) * _GROWTH))
            rows = np.empty(size, dtype=self.rows.dtype)
            _opaque(rows)[:taken] = _opaque(self.rows)[:taken]
            versions = np.zeros(size, dtype=np.int64)
            versions[:taken] = self.versions[:taken]
            self.versions, self.rows = versions, rows

    def replace(self, subject: str, row: Records, expected: int, version: int) -> bool:
        """Write the row, shape (1,), of one subject if its version is the expected one; say whether."""
        slot = self.index.find_one(subject)
        held = int(self.versions[slot]) if slot >= 0 else 0
        if expected != held:
            return False
        if slot < 0:
            self.make_room(1)
            slot = self.index.add_one(subject)
        if not held:
            self.rows[slot] = self.blank
        self.write(slice(slot, slot + 1), row)
        self.versions[slot] = version
        return True

    def remove(self, subject: str) -> bool:
        """Forget a subject; say whether it was known. The other slots stay where they are."""
        slot = self.index.find_one(subject)
        if slot < 0:
            return False
        known = bool(self.versions[slot])
        self.versions[slot] = 0
        self.rows[slot] = self.blank
        self.index.remove(subject)
        return known

    @property
    def nbytes(self) -> int:
        """Bytes of records, versions, ids and what finds them, room for more included."""
        return self.rows.nbytes + self.versions.nbytes + self.index.nbytes

    def subjects(self) -> Iterator[str]:
        """Those known at the time of the call, in the order of slots."""
        return self.index.texts(self.versions != 0)


def _opaque(rows: Records) -> NDArray[np.void]:
    """Records as so many bytes each, to be written whole and not field by field: a view."""
    return np.ndarray(rows.shape, np.dtype((np.void, rows.dtype.itemsize)), rows)


class MemoryStore:
    """Keeps subject records in memory; they are gone when the process ends.

    Linearizable per subject, safe for threads. A subject costs the layout's width, 8 bytes of version, its
    id in UTF-8, and 20 to 36 bytes to find it by, room for more included; records and versions grow by half
    at a time. No Python object is kept for it.
    """

    consistency: Final = "linearizable"

    def __init__(self) -> None:
        self._slabs: dict[str, Slab] = {}
        self._lock = threading.Lock()
        self._clock = 0

    def _slab(self, layout: Layout) -> Slab:
        slab = self._slabs.get(layout.name)
        if slab is None:
            slab = self._slabs[layout.name] = Slab(layout)
        elif slab.layout is not layout and slab.layout.fingerprint != layout.fingerprint:
            slab.admit(layout)
        return slab

    def load(self, subjects: Sequence[str], layout: Layout, /) -> Rows:
        """Return private copies, in the order asked; blank and version 0 for strangers."""
        with self._lock:
            return self._slab(layout).load(subjects, layout)

    def store(
        self, subjects: Sequence[str], rows: Records, expected: NDArray[np.int64], layout: Layout, /
    ) -> Bools:
        """Write rows whose version is still the expected one; say which. Subjects are distinct.

        Raises:
            StoreError: There are not as many rows and versions as subjects, or an id takes a megabyte.
        """
        if not len(subjects) == len(rows) == len(expected):
            raise StoreError(
                f"store needs as many rows and versions as subjects, got {len(subjects)}, {len(rows)} and"
                f" {len(expected)}"
            )
        with self._lock:
            slab = self._slab(layout)
            self._clock += 1
            if len(subjects) == 1:
                return np.array([slab.replace(subjects[0], rows, int(expected[0]), self._clock)])
            slots = slab.index.find(subjects)
            held = np.where(slots >= 0, slab.versions[slots], 0)
            accepted: Bools = held == expected
            strange = np.flatnonzero(accepted & (held == 0))
            if len(strange):
                new = strange[slots[strange] < 0]
                slots[new] = slab.add([subjects[i] for i in new.tolist()])
                slab.rows[slots[strange]] = slab.blank
            if accepted.all():
                slab.write(slots, rows)
                slab.versions[slots] = self._clock
            else:
                slab.write(slots[accepted], rows[accepted])
                slab.versions[slots[accepted]] = self._clock
        return accepted

    def delete(self, subjects: Sequence[str], /) -> int:
        """Forget these subjects in every layout; return how many were known."""
        known = set()
        with self._lock:
            for slab in self._slabs.values():
                known.update([subject for subject in subjects if slab.remove(subject)])
        return len(known)

    def subjects(self) -> list[str]:
        """Every subject known, without the records that agents keep for themselves."""
        with self._lock:
            found = [slab.subjects() for slab in self._slabs.values()]
        return sorted({subject for texts in found for subject in texts if not subject.startswith("\x00")})

    def __len__(self) -> int:
        return len(self.subjects())

    @property
    def bytes_held(self) -> int:
        """Bytes of records, versions, ids and what finds them, room for more included."""
        with self._lock:
            return sum(slab.nbytes for slab in self._slabs.values())
