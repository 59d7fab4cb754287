"""What does more benefit cost: the policies that no other beats, and the steps from one to the next."""

from __future__ import annotations

import math
from collections.abc import Sequence

import attrs

from agentic.economics._rows import Kind, Mean, Row


@attrs.frozen
class Step:
    """What one policy brings and costs more than the one below it on the frontier.

    Amounts are per thousand decisions.

    Attributes:
        below: From which policy; ``nothing`` for the first step.
        above: To which.
        kind: The cost that counts.
        cost: How much more it costs. Measured in so far as it is of computing.
        benefit: How much more it brings, the difference paired by seed.
        price: Cost of one more unit of benefit; a step pays below 1, as far as benefit is money.
        certain: Whether the benefit is more than noise: its lower bound is above 0.
        core_hour_limit: Price of a core hour up to which the step pays, message prices as they are: 0
            where it never does, infinite where it always does.
    """

    below: str
    above: str
    kind: Kind
    cost: float
    benefit: Mean
    price: float
    certain: bool
    core_hour_limit: float


def efficient(rows: Sequence[Row], kind: Kind, /) -> tuple[Row, ...]:
    """Rows that no other beats, by cost; of equals the first by name."""
    kept: list[Row] = []
    for row in sorted(rows, key=lambda one: (one.cost_of(kind), -one.benefit.value, one.name)):
        if not kept or row.benefit.value > kept[-1].benefit.value:
            kept.append(row)
    return tuple(kept)


def steps_up(nothing: Row, rows: Sequence[Row], kind: Kind, /) -> tuple[Step, ...]:
    """The steps from doing nothing over these rows, each dearer and better than the one before."""
    out = []
    below = nothing
    for above in rows:
        if above.benefit.value <= below.benefit.value:  # worse than nothing, and paid for
            continue
        benefit = Mean.of([more - less for more, less in zip(above.gains, below.gains, strict=True)])
        cost = above.cost_of(kind) - below.cost_of(kind)
        out.append(
            Step(
                below=below.name,
                above=above.name,
                kind=kind,
                cost=cost,
                benefit=benefit,
                price=cost / benefit.value,
                certain=benefit.low > 0.0,
                core_hour_limit=_limit(below, above, benefit.value),
            )
        )
        below = above
    return tuple(out)


def _limit(below: Row, above: Row, benefit: float) -> float:
    """The price of a core hour at which benefit and all costs of a step are equal."""
    left = benefit - (above.message_cost - below.message_cost)
    hours = above.core_hours - below.core_hours
    if hours <= 0.0:
        return math.inf if left >= 0.0 else 0.0
    return max(left / hours, 0.0)
