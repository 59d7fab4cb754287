"""How is a component made ready: bound, with columns it declares and records it has lived with?"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Final, TypeVar

import attrs
import numpy as np

from agentic.arrays import Batch, Field, Layout, Records
from agentic.protocols import Binds, Declares, Hears, Pooled, Remembers, Stateful
from agentic.testing import _build
from agentic.testing._compare import copied
from agentic.types import (
    ConsentGranted,
    ConsentWithdrawn,
    Fact,
    Released,
    Suppressed,
    ZoneKnown,
    instant,
)

T = TypeVar("T")

OWN: Final = "own"
OTHER: Final = "other"
FACTS: Final[tuple[Fact, ...]] = (
    ConsentGranted("marketing"),
    ConsentGranted("marketing", "sms"),
    ConsentWithdrawn("marketing", "email"),
    ConsentWithdrawn("marketing"),
    ConsentGranted("service"),
    ZoneKnown("Asia/Kolkata"),
    ZoneKnown(None),
    Suppressed(),
    Suppressed(instant(_build.START) + timedelta(days=20)),
    Released(),
)

_DAY: Final = 86_400_000_000
_PAST: Final = 12


def fitted(make: Callable[[], T], batch: Callable[[], Batch] | None, /) -> tuple[T, Batch]:
    """Make a component, bind it, and give the batch what the component needs; arrays are read-only.

    One with fields of its own gets records that twelve rounds of decisions and facts have written to.
    """
    component = make()
    of = _build.batch() if batch is None else batch()
    if isinstance(component, Declares):
        of = _build.with_columns(of, component.features)
    component = bound(component, of)
    if isinstance(component, Pooled):
        of = attrs.evolve(of, available=component.allowance(int(of.now.min(initial=_build.START)))[1])
    if isinstance(component, Stateful):
        of = attrs.evolve(of, rows=lived_in(component, of))
    elif isinstance(component, Remembers) and component.fields:
        of = attrs.evolve(of, rows=recalled(component, of))
    return component, copied(of)


def bound(component: T, of: Batch, /) -> T:
    """Bind a component that wants to be bound."""
    if isinstance(component, Binds):
        return component.bind(_build.space(of))
    return component


def recalled(component: Remembers, of: Batch, /) -> Records:
    """Let a policy remember a reward of every other subject; show its fields."""
    shape = layout(component)
    rows = shape.part(shape.new(len(of)), OWN)
    told = _build.feedback(of).take(slice(0, None, 2))
    subject = np.arange(0, len(of), 2)
    component.remember(attrs.evolve(told, columns=of.take(subject).columns, rows=rows, subject=subject), rows)
    return rows


def layout(component: Stateful | Remembers, /) -> Layout:
    """Lay out the component's fields beside somebody else's."""
    other = [Field("mark", np.int64, (3,), 7), Field("flag", np.uint8, (), 9)]
    return Layout.compose("conformance", {OWN: component.fields, OTHER: other})


def lived_in(component: Stateful, of: Batch, /) -> Records:
    """Write decisions of the days before, and facts, into fresh records; show the component's fields."""
    shape = layout(component)
    rows = shape.part(shape.new(len(of)), OWN)
    for round_ in range(_PAST):
        then = _build.at(of, of.now - (_PAST - round_) * (_DAY // 3))
        then.rows = rows
        component.settle(then, _build.chosen(then, seed=round_))
    if isinstance(component, Hears):
        dice = np.random.default_rng(len(of))
        for row, times in enumerate(dice.integers(0, 3, len(of)).tolist()):
            for fact in dice.integers(0, len(FACTS), times).tolist():
                component.hear(rows[row : row + 1], FACTS[fact], int(of.now[row]) - _DAY)
    return rows
