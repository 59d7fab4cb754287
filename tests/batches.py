"""What tests of guardrails share: batches, records and choices without an agent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
from hypothesis import strategies as st

from agentic import zones
from agentic._flow import delivery_times
from agentic.arrays import Batch, Chosen, Field, Layout, Space
from agentic.catalogue import Catalogue
from agentic.types import NO_ACTION, Action, instant, micros

NOW = micros(datetime(2026, 3, 2, 12, 0, tzinfo=UTC))
"""A Monday noon in UTC."""


def named(value: object) -> str:
    """Name a parameter the same in every process, also when it is a set."""
    return str(sorted(value)) if isinstance(value, set) else str(value)


def moments(first: int, last: int) -> st.SearchStrategy[datetime]:
    """Times in UTC, to the microsecond, from one year up to another."""
    start, end = (micros(datetime(year, 1, 1, tzinfo=UTC)) for year in (first, last))
    return st.integers(start, end).map(instant)


def space(
    *actions: Action, fields: Sequence[str] = (), categories: Mapping[str, tuple[str, ...]] | None = None
) -> Space:
    return Space(Catalogue.of(actions), 1, ("intercept",), frozenset(fields), categories or {})


def records(rule: Any, n: int = 1) -> Any:
    """Records of ``n`` strangers as the rule sees them: between fields of somebody else."""
    others = (Field("count", np.int64), Field("flag", np.int8))
    layout = Layout.compose("test", {"aaa": others, rule.name: rule.fields, "zzz": others})
    return layout.part(layout.new(n), rule.name)


def batch(
    space: Space,
    *,
    now: Any = NOW,
    zone: str | Sequence[str | None] | None = "UTC",
    rows: Any = None,
    columns: Mapping[str, Any] | None = None,
    slots: int = 1,
    available: int | None = None,
) -> Batch:
    """A batch with as many rows as the longest of ``now``, ``zone`` and ``rows``."""
    listed = [zone] if zone is None or isinstance(zone, str) else list(zone)
    times = np.atleast_1d(np.asarray(now, dtype=np.int64))
    n = max(len(listed), len(times), 1 if rows is None else len(rows))
    numbers = [zones.UNKNOWN if name is None else zones.check(name, "zone") for name in listed]
    where = np.broadcast_to(np.array(numbers, dtype=np.int16), n).copy()
    times = np.broadcast_to(times, n).copy()
    k = len(space.catalogue)
    return Batch(
        catalogue=space.catalogue,
        keys=np.arange(n, dtype=np.uint64),
        now=times,
        delivery=delivery_times(space.catalogue, times, where),
        zone=where,
        X=np.ones((n, 1)),
        columns={name: np.asarray(column) for name, column in (columns or {}).items()},
        allowed=np.ones((n, k), dtype=np.bool_),
        slots=slots,
        rows=rows,
        available=available,
    )


def chosen(batch: Batch, *rows: Sequence[str] | str) -> Chosen:
    """What each row chose: an action id, or one for every slot."""
    ids = [[row] if isinstance(row, str) else list(row) for row in rows]
    action = np.array([[batch.catalogue.column(name) for name in row] for row in ids], dtype=np.int64)
    line = np.arange(len(batch))[:, None]
    return Chosen(action, batch.delivery[line, action], action != batch.catalogue.idle)


def verdict(rule: Any, batch: Batch) -> tuple[Any, Any]:
    """Allowed and unknown as full matrices, after checking what holds for every review."""
    review = rule.review(batch)
    shape = batch.allowed.shape
    kept = np.broadcast_to(review.allowed, shape)
    unknown = np.broadcast_to(False if review.unknown is None else review.unknown, shape)
    assert kept.dtype == unknown.dtype == np.bool_
    assert review.reason.isupper()
    assert kept[:, batch.catalogue.idle].all()
    assert not (unknown & kept).any()
    return kept, unknown


def allowed(rule: Any, batch: Batch) -> Any:
    """What a rule leaves, shape (n, k)."""
    return verdict(rule, batch)[0]


def missing(rule: Any, batch: Batch) -> Any:
    """What a rule denies for want of knowledge, shape (n, k)."""
    return verdict(rule, batch)[1]


def ids(rule: Any, batch: Batch, row: int = 0) -> set[str]:
    """Which actions a rule leaves to a row, besides doing nothing."""
    kept = np.flatnonzero(allowed(rule, batch)[row])
    return {batch.catalogue.ids[column] for column in kept} - {NO_ACTION.id}
