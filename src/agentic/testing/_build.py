"""What to try a plugin on: random but repeatable spaces, batches and feedback, with every nuisance in them.

The batches hold what production holds: rows where only `NO_ACTION` is left, unknown time zones, missing
feature values, actions that are delivered later, a mandatory message.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import attrs
import numpy as np

from agentic import zones
from agentic._flow import delivery_times
from agentic._noise import text_keys
from agentic.arrays import Batch, Chosen, Feedback, Space
from agentic.catalogue import Catalogue
from agentic.conditions import Coded, Column
from agentic.types import MANDATORY, MARKETING, SERVICE, TRANSACTIONAL, Action, micros

START: Final = micros(datetime(2026, 3, 1, 9, tzinfo=UTC))
"""No batch is decided before this time, and none more than forty days after it."""

_HOUR: Final = 3_600_000_000
_ZONES: Final = ("America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Europe/Berlin", "UTC")
_TIERS: Final = ("free", "gold", "platinum")
_MISSING: Final = 0.1


def subjects(n: int, /) -> list[str]:
    """Name ``n`` subjects."""
    return [f"subject-{i:05}" for i in range(n)]


def catalogue(k: int = 7, /) -> Catalogue:
    """Make a catalogue of ``k`` actions, `NO_ACTION` among them: ``a0``, ``a1`` and so on.

    Four channels, four message classes, one action with a delay and one with a local time of delivery.
    """
    kinds = (MARKETING, MARKETING, SERVICE, MARKETING, TRANSACTIONAL, MANDATORY)
    channels = ("sms", "push", "email", None)
    return Catalogue.of(
        Action(
            f"a{i}",
            channel=channels[i % 4],
            message_class=kinds[i % 6],
            cost=(0.12, 0.0, 0.01)[i % 3],
            value=float(i % 5),
            delay=timedelta(hours=2) if i % 6 == 1 else timedelta(0),
            send_at="18:30" if i % 6 == 3 else None,
            dimensions={"message": f"m{i % 3}"},
        )
        for i in range(k - 1)
    )


def batch(n: int = 257, k: int = 7, *, d: int = 33, seed: int = 0, actions: Catalogue | None = None) -> Batch:
    """Make a batch of ``n`` rows, the same for the same arguments.

    In row 0 everything is allowed, in row 1 nothing but `NO_ACTION`, in row 2 one action besides it.

    Args:
        n: Rows.
        k: Actions, `NO_ACTION` among them, at least 2.
        d: Encoded feature columns, at least 1; the last one is 1.
        seed: Of everything random in it.
        actions: Takes the place of ``catalogue(k)``.

    Returns:
        A batch whose ``columns`` are the numbers ``age``, ``visits`` and ``x0`` and the category ``tier``.
    """
    dice = np.random.default_rng([seed, n, d])
    candidates = catalogue(k) if actions is None else actions
    k = len(candidates)
    X = dice.standard_normal((n, d))
    X[:, -1] = 1.0
    now = START + dice.integers(0, 40 * 24 * _HOUR, n)
    known = np.array([zones.UNKNOWN, *(zones.number(name) for name in _ZONES)], dtype=np.int16)
    zone = known[dice.integers(0, len(known), n)]
    columns: dict[str, Column] = {
        "age": dice.integers(16, 90, n).astype(np.float64),
        "visits": dice.poisson(3.0, n).astype(np.float64),
        "x0": X[:, 0].copy(),
    }
    for column in columns.values():
        column[dice.random(n) < _MISSING] = np.nan  # type: ignore[index]  # all three are plain arrays
    codes = dice.integers(-1, len(_TIERS), n).astype(np.float64)
    codes[dice.random(n) < _MISSING] = np.nan
    columns["tier"] = Coded(codes, _TIERS)
    allowed = dice.random((n, k)) < 0.8
    allowed[0:1] = True
    allowed[1:3] = False
    allowed[2:3, 0 if candidates.idle else 1] = True
    allowed[:, candidates.idle] = True
    return Batch(
        catalogue=candidates,
        keys=text_keys(subjects(n), salt=str(seed).encode()),
        now=now,
        delivery=np.array(delivery_times(candidates, now, zone)),
        zone=zone,
        X=X,
        columns=columns,
        allowed=allowed,
    )


def space(of: Batch | None = None, /) -> Space:
    """Say what a component for this batch is bound to; without a batch, what fits `batch`."""
    of = batch(1) if of is None else of
    return Space(
        catalogue=of.catalogue,
        width=of.X.shape[1],
        encoded=(*(f"x{i}" for i in range(of.X.shape[1] - 1)), "bias"),
        fields=frozenset(of.columns),
        categories={
            name: column.categories for name, column in of.columns.items() if isinstance(column, Coded)
        },
    )


def feedback(of: Batch | None = None, /, *, seed: int = 0) -> Feedback:
    """Close every decision of a batch, drawn uniformly among what was allowed; rewards are 0 or 1."""
    of = batch() if of is None else of
    dice = np.random.default_rng([seed, len(of)])
    action = np.argmax(np.where(of.allowed, dice.random(of.allowed.shape), -1.0), axis=1)
    chance = 0.2 + 0.6 * (action % 2)
    return Feedback(
        catalogue=of.catalogue,
        X=of.X,
        action=action,
        reward=(dice.random(len(of)) < chance).astype(np.float64),
        probability=1.0 / of.allowed.sum(axis=1),
        allowed=of.allowed,
        keys=of.keys,
        at=of.now,
    )


def chosen(of: Batch, /, *, slots: int = 1, seed: int = 0) -> Chosen:
    """Draw ``slots`` actions for each row of a batch, uniformly among what is allowed."""
    dice = np.random.default_rng([seed, len(of), slots])
    order = np.argsort(np.where(of.allowed, dice.random(of.allowed.shape), 2.0), axis=1)[:, :slots]
    lines = np.arange(len(of))[:, None]
    idle = of.catalogue.idle
    over = np.cumsum(order == idle, axis=1) > 0
    action = np.where(of.allowed[lines, order] & ~over, order, idle)
    return Chosen(action, of.delivery[lines, action], action != idle)


def at(of: Batch, now: Any, /) -> Batch:  # int or an array of them
    """Move a batch to another time: microseconds, one or one for each row."""
    moved = np.broadcast_to(np.asarray(now, dtype=np.int64), of.now.shape).copy()
    return attrs.evolve(of, now=moved, delivery=np.array(delivery_times(of.catalogue, moved, of.zone)))


def tiled(of: Batch, rows: int, /) -> Batch:
    """Repeat the rows of a batch until there are so many."""
    return of.take(np.arange(rows) % max(len(of), 1)) if len(of) else of


def with_columns(of: Batch, features: Sequence[Any], /, *, seed: int = 0) -> Batch:  # Feature; duck-typed
    """Give a batch random values, some missing, for declared features that it has no column for."""
    dice = np.random.default_rng([seed, len(of)])
    columns = dict(of.columns)
    for feature in features:
        if feature.name in columns:
            continue
        if feature.categories is None:
            values = dice.random(len(of))
            values[dice.random(len(of)) < _MISSING] = np.nan
            columns[feature.name] = values
        else:
            codes = dice.integers(-2, len(feature.categories), len(of)).astype(np.float64)
            columns[feature.name] = Coded(codes, tuple(feature.categories))
    return attrs.evolve(of, columns=columns)
