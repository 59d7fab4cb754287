"""Is what a store answers usable? A store is a plugin, and may answer anything."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from agentic.arrays import I64, Bools, Layout, Records
from agentic.errors import StoreError, masked
from agentic.protocols import StateStore


def load(store: StateStore, names: list[str], layout: Layout, /) -> tuple[Records, I64]:
    """Records and versions of these subjects, as the store hands them out.

    Raises:
        StoreError: They are no rows of this layout, one for each subject.
        Exception: The store's own.
    """
    found: Any = store.load(names, layout)  # whatever it answers
    if not hasattr(found, "rows") or not hasattr(found, "versions"):
        raise StoreError(f"a store must load Rows(rows, versions), got {masked(found)}")
    rows, versions = np.asarray(found.rows), np.asarray(found.versions)
    if rows.dtype != layout.dtype or not rows.shape == versions.shape == (len(names),):
        raise StoreError(f"a store must load {len(names)} rows of the layout, got {rows.shape}")
    return rows, versions


def save(store: StateStore, names: list[str], rows: Records, expected: I64, layout: Layout, /) -> Bools:
    """Which of these records the store took: shape (n,), bool.

    Raises:
        StoreError: It does not say so.
        Exception: The store's own.
    """
    stands: NDArray[Any] = store.store(names, rows, expected, layout)
    if not isinstance(stands, np.ndarray) or stands.dtype != np.bool_ or len(stands) != len(names):
        raise StoreError(f"a store must answer {len(names)} times yes or no, got {masked(stands)}")
    return stands
