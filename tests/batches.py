"""What tests of guardrails share: batches, records and choices without an agent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from agentic import zones
from agentic._flow import delivery_times
from agentic.arrays import Batch, Chosen, Layout, Space
from agentic.catalogue import Catalogue
from agentic.types import NO_ACTION, Action, micros

NOW = micros(datetime(2026, 3, 2, 12, 0, tzinfo=UTC))
"""A Monday noon in UTC."""


def space(
    *actions: Action, fields: Sequence[str] = (), categories: Mapping[str, tuple[str, ...]] | None = None
) -> Space:
    return Space(Catalogue.of(actions), 1, ("intercept",), frozenset(fields), categories or {})


def records(rule: Any, n: int = 1) -> Any:
    """Records of ``n`` strangers as the rule sees them: between fields of somebody else."""
    layout = Layout.compose("test", {"other": Suitcase.fields, rule.name: rule.fields, "zzz": Suitcase.fields})
    return layout.part(layout.new(n), rule.name)


class Suitcase:
    fields = ()


def batch(
    space: Space,
    *,
    now: Any = NOW,
    zone: str | None | Sequence[str | None] = "UTC",
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


def allowed(rule: Any, batch: Batch) -> Any:
    """The review as a full matrix, after checking what holds for every review."""
    review = rule.review(batch)
    shape = batch.allowed.shape
    out = np.broadcast_to(review.allowed, shape)
    assert out.dtype == np.bool_
    assert review.reason.isupper()
    assert out[:, batch.catalogue.idle].all()
    unknown = missing(rule, batch)
    assert not (unknown & out).any()
    return out


def missing(rule: Any, batch: Batch) -> Any:
    """What the review denies for want of knowledge, as a full matrix."""
    review = rule.review(batch)
    if review.unknown is None:
        return np.zeros(batch.allowed.shape, dtype=np.bool_)
    return np.broadcast_to(review.unknown, batch.allowed.shape)


def ids(rule: Any, batch: Batch, row: int = 0) -> set[str]:
    """Which actions a rule leaves to a row, besides doing nothing."""
    kept = np.flatnonzero(allowed(rule, batch)[row])
    return {batch.catalogue.ids[column] for column in kept} - {NO_ACTION.id}
