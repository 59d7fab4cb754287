"""How did the weeks go: messages, what came of them, trust and who is left, one row for each week."""

from __future__ import annotations

from collections.abc import Iterator

import attrs
import numpy as np

from agentic.arrays import F64
from agentic.simulation._life import Life
from agentic.simulation._world import Response, World


@attrs.frozen(eq=False)
class Weekly:
    """Columns of shape (w,), float64, one row for each week in which decisions were made.

    What comes of a decision belongs to the week of the decision, and is what comes of it on average: luck
    is left out. Sums over all customers, but for the last three columns, which are of the week's end.

    Attributes:
        decisions: How many were made.
        messages: How many of them sent something.
        cost: Price of what was sent.
        purchases: How many, with those that customers would have made anyway.
        sales: What these came to.
        clicks: How many.
        unsubscribes: How many.
        complaints: How many.
        trust: Mean trust of the customers who have not left, 0 to 1.
        active: How many customers have not left for good.
        reachable: How many of those may be sent marketing.
    """

    decisions: F64
    messages: F64
    cost: F64
    purchases: F64
    sales: F64
    clicks: F64
    unsubscribes: F64
    complaints: F64
    trust: F64
    active: F64
    reachable: F64

    @classmethod
    def empty(cls, weeks: int) -> Weekly:
        """Zeros, to be filled."""
        return cls(*(np.zeros(weeks) for _ in attrs.fields(cls)))

    def __len__(self) -> int:
        return len(self.decisions)

    def columns(self) -> Iterator[tuple[str, F64]]:
        """Name and values of every column."""
        return ((field.name, getattr(self, field.name)) for field in attrs.fields(type(self)))

    def profit(self, margin: float, /) -> F64:
        """What is earned in each week: this share of the sales less the price of messages, shape (w,)."""
        return np.asarray(margin * self.sales - self.cost)

    def _add(self, week: int, answer: Response, messages: int, cost: float) -> None:
        """Count one run's decisions in, given what is likely to come of each: (m, 1)."""
        self.decisions[week] += len(answer.click)
        self.messages[week] += messages
        self.cost[week] += cost
        self.purchases[week] += answer.purchase.sum()
        self.sales[week] += (answer.purchase * answer.amount).sum()
        self.clicks[week] += answer.click.sum()
        self.unsubscribes[week] += answer.unsubscribe.sum()
        self.complaints[week] += answer.complaint.sum()

    def _close(self, week: int, world: World, life: Life, now: int) -> None:
        """See who is left at the end of a week, and how they feel."""
        there = ~life.gone
        self.active[week] = there.sum()
        self.reachable[week] = (there & world.agrees & ~life.unsubscribed).sum()
        trust = life.trust_at(np.flatnonzero(there), now)
        self.trust[week] = trust.mean() if len(trust) else 0.0
