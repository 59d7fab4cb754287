"""Subject records in this process: one contiguous slab per layout, and a dict from subject to slot."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from itertools import repeat
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from agentic.arrays import I64, Bools, Layout, Records, Rows
from agentic.errors import StoreError
from agentic.state._migrate import migrate

_FIRST: Final = 256
_GROWTH: Final = 1.5


@attrs.define(eq=False)
class _Slab:
    """Records of one name. Slots of deleted subjects are used again.

    The rows hold every field that any layout of this name has asked for: two versions of an agent that
    run side by side each see their own fields, and neither loses what the other counts.
    """

    layout: Layout
    slots: dict[str, int] = attrs.field(factory=dict)
    rows: Records = attrs.field(init=False)
    versions: I64 = attrs.field(init=False)
    free: list[int] = attrs.field(factory=list)
    blank: Records = attrs.field(init=False)
    shared: bool = False

    def __attrs_post_init__(self) -> None:
        self.rows, self.blank = self.layout.new(_FIRST), self.layout.blank
        self.versions = np.zeros(_FIRST, dtype=np.int64)

    def admit(self, layout: Layout) -> None:
        """Make room for the fields of another layout; existing ones must agree."""
        migrate(self.rows[:0], layout)  # refuses a field that changed
        have = set(self.rows.dtype.names or ())
        if have <= set(layout.dtype.names or ()):  # nobody else's fields: rows as this layout has them
            if self.rows.dtype != layout.dtype:
                self.rows, self.blank = migrate(self.rows, layout), layout.blank
            self.layout, self.shared = layout, False
            return
        if new := [name for name in layout.dtype.names or () if name not in have]:
            dtype = np.dtype([*self.rows.dtype.descr, *((name, layout.dtype[name]) for name in new)])
            rows: Records = np.empty(len(self.rows), dtype=dtype)
            blank: Records = np.zeros((), dtype=dtype)
            for name in self.rows.dtype.names or ():
                rows[name], blank[name] = self.rows[name], self.blank[name]
            for name in new:
                rows[name] = blank[name] = layout.blank[name]
            self.rows, self.blank = rows, blank
        self.layout, self.shared = layout, True

    def find(self, subjects: Sequence[str]) -> I64:
        return np.fromiter(map(self.slots.get, subjects, repeat(-1)), dtype=np.int64, count=len(subjects))

    def read(self, slots: I64, layout: Layout) -> Records:
        """Rows in these slots as the layout shows them: a copy."""
        return migrate(self.rows[slots], layout) if self.shared else self.rows[slots]

    def write(self, slots: I64, rows: Records) -> None:
        """Set the fields that these rows have."""
        if self.shared:
            for name in rows.dtype.names or ():
                self.rows[name][slots] = rows[name]
        else:
            self.rows[slots] = rows

    def add(self, subjects: Iterable[str]) -> I64:
        """Give each of these strangers a slot."""
        given = []
        for subject in subjects:
            slot = self.free.pop() if self.free else len(self.slots)
            self.slots[subject] = slot
            given.append(slot)
        need = max(given, default=-1) + 1
        if need > len(self.rows):
            size = max(need, int(len(self.rows) * _GROWTH))
            rows = np.empty(size, dtype=self.rows.dtype)
            rows[: len(self.rows)] = self.rows
            versions = np.zeros(size, dtype=np.int64)
            versions[: len(self.versions)] = self.versions
            self.rows, self.versions = rows, versions
        found = np.array(given, dtype=np.int64)
        self.rows[found] = self.blank
        return found


class MemoryStore:
    """Keeps subject records in memory; they are gone when the process ends.

    Linearizable per subject, safe for threads. One record costs the layout's width, 8 bytes of
    version, and what Python needs for a string in a dict.
    """

    consistency: Final = "linearizable"

    def __init__(self) -> None:
        self._slabs: dict[str, _Slab] = {}
        self._lock = threading.Lock()
        self._clock = 0

    def _slab(self, layout: Layout) -> _Slab:
        slab = self._slabs.get(layout.name)
        if slab is None:
            slab = self._slabs[layout.name] = _Slab(layout)
        elif slab.layout is not layout and slab.layout.fingerprint != layout.fingerprint:
            slab.admit(layout)
        return slab

    def load(self, subjects: Sequence[str], layout: Layout, /) -> Rows:
        """Return private copies, in the order asked; blank and version 0 for strangers."""
        with self._lock:
            slab = self._slab(layout)
            slots = slab.find(subjects)
            rows = slab.read(slots, layout)
            versions = slab.versions[slots]
        strangers = slots < 0
        if strangers.any():
            rows[strangers] = layout.blank
            versions[strangers] = 0
        return Rows(rows, versions)

    def store(
        self, subjects: Sequence[str], rows: Records, expected: NDArray[np.int64], layout: Layout, /
    ) -> Bools:
        """Write rows whose version is still the expected one; say which. Subjects are distinct."""
        if not len(subjects) == len(rows) == len(expected):
            raise StoreError(
                f"store needs as many rows and versions as subjects, got {len(subjects)}, {len(rows)} and"
                f" {len(expected)}"
            )
        with self._lock:
            slab = self._slab(layout)
            slots = slab.find(subjects)
            known = slots >= 0
            accepted: Bools = np.where(known, slab.versions[slots], 0) == expected
            fresh = accepted & ~known
            if fresh.any():
                new = np.flatnonzero(fresh)
                slots[new] = slab.add([subjects[i] for i in new.tolist()])
            self._clock += 1
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
                for subject in subjects:
                    slot = slab.slots.get(subject)
                    if slot is None:
                        continue
                    # The last slot moves into the gap only by reuse: slots stay where they are.
                    known.add(subject)
                    del slab.slots[subject]
                    slab.rows[slot] = slab.blank
                    slab.versions[slot] = 0
                    slab.free.append(slot)
        return len(known)

    def subjects(self) -> list[str]:
        """Every subject known, without the records that agents keep for themselves."""
        with self._lock:
            found = {subject for slab in self._slabs.values() for subject in slab.slots}
        return sorted(subject for subject in found if not subject.startswith("\x00"))

    def __len__(self) -> int:
        return len(self.subjects())

    @property
    def bytes_held(self) -> int:
        """Bytes of records and versions, without Python's own strings and dicts."""
        with self._lock:
            return sum(slab.rows.nbytes + slab.versions.nbytes for slab in self._slabs.values())
