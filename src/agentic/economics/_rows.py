"""What is one policy worth, and what does it cost: a row of the frontier, and how sure it is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final, Literal, Protocol

import attrs
import numpy as np

from agentic._statistics import student_t
from agentic.arrays import F64
from agentic.economics._ladder import Work
from agentic.economics._prices import Prices

Kind = Literal["compute", "messages", "total"]
"""Which cost: of computing, of messages, or both."""

KINDS: Final[tuple[Kind, ...]] = ("compute", "messages", "total")
LEVEL: Final = 0.95
_WARM: Final = 4  # the first wave in so many is left out of timings


class Tried(Protocol):
    """What came of one policy in one campaign with one seed."""

    @property
    def decisions(self) -> int:
        """How many were made."""

    @property
    def benefit(self) -> float:
        """What they were worth together."""

    @property
    def messages(self) -> int:
        """How many of them sent something."""

    @property
    def message_cost(self) -> float:
        """What that cost."""

    @property
    def decide_us(self) -> F64:
        """Shape (w,): measured microseconds of processor time per decision, wave by wave."""

    @property
    def learn_us(self) -> F64:
        """Shape (t,): measured microseconds of processor time of each call of learn."""

    @property
    def actions(self) -> int:
        """Candidates of a decision."""

    @property
    def width(self) -> int:
        """Columns of ``X``."""

    @property
    def policy_bytes(self) -> int:
        """Of the arrays that the policy holds at the end."""

    @property
    def subject_bytes(self) -> int:
        """Of one subject's record."""


@attrs.frozen
class Mean:
    """A mean over seeds, with its error.

    Attributes:
        value: The mean.
        error: Its standard error; infinite for a single seed.
        low: Lower bound at 95 %, by Student's t.
        high: Upper bound.
    """

    value: float
    error: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float], scale: float = 1.0, /, *, value: float | None = None) -> Mean:
        """The mean of some values over ``scale``; or ``value``, with the spread of those values."""
        n, mean = len(values), float(np.mean(values)) / scale if value is None else value
        if n < 2 or not math.isfinite(mean):
            return cls(mean, math.inf, -math.inf, math.inf)
        error = float(np.std(values, ddof=1)) / math.sqrt(n) / abs(scale)
        margin = student_t(LEVEL, n - 1) * error
        return cls(mean, error, mean - margin, mean + margin)


def ratio(top: Sequence[float], bottom: Sequence[float], /) -> Mean:
    """Mean over mean, paired by seed: with the error of the first order.

    ``nan`` where the mean at the bottom is not positive: of nothing there are no shares.

    Source: Cochran 1977, Sampling techniques, section 6.4: the spread of top - ratio * bottom.
    """
    below = float(np.mean(bottom))
    if not below > 0.0:
        return Mean(math.nan, math.inf, -math.inf, math.inf)
    value = float(np.mean(top)) / below
    return Mean.of([t - value * b for t, b in zip(top, bottom, strict=True)], below, value=value)


@attrs.frozen
class Row:
    """What one policy brings and costs; amounts are per thousand decisions, of the first choice of each.

    Attributes:
        name: Of the rung.
        share: Of the attainable benefit: 0 is doing nothing, 1 is the oracle; ``nan`` where there is none.
        benefit: More than doing nothing, in the currency of the rewards.
        gains: The same, seed by seed.
        messages: How many are sent.
        message_list_cost: What they cost by the catalogue.
        decide_us: Microseconds of processor time per decision, rules, state and log included: the median
            over warm waves. Measured.
        learn_us: The same of learning: the median over seeds. Measured.
        work: Multiply-adds of one decision as the rung counts them; ``None`` where nobody has.
        policy_bytes: Of the arrays that the policy holds after learning, the most of all seeds.
        subject_bytes: Of one subject's record, everything in it.
        prices: By which costs are worked out.
    """

    name: str
    share: Mean
    benefit: Mean
    gains: tuple[float, ...]
    messages: float
    message_list_cost: float
    decide_us: float
    learn_us: float
    work: float | None
    policy_bytes: int
    subject_bytes: int
    prices: Prices

    @property
    def message_cost(self) -> float:
        """What the messages cost."""
        return self.message_list_cost * self.prices.message

    @property
    def compute_cost(self) -> float:
        """What deciding and learning cost, on measured time."""
        return self.core_hours * self.prices.core_hour

    @property
    def cost(self) -> float:
        """Of messages and computing together."""
        return self.message_cost + self.compute_cost

    @property
    def net(self) -> float:
        """Benefit less cost."""
        return self.benefit.value - self.cost

    @property
    def compute_us(self) -> float:
        """Measured microseconds of processor time for one decision, learning from it included."""
        return self.decide_us + self.learn_us

    @property
    def core_hours(self) -> float:
        """Measured hours of one core for a thousand decisions."""
        return self.compute_us / 3.6e6

    def cost_of(self, kind: Kind, /) -> float:
        """One kind of cost."""
        return {"compute": self.compute_cost, "messages": self.message_cost, "total": self.cost}[kind]


def row_of(
    name: str,
    work: Work | None,
    tried: Sequence[Tried],
    nothing: Sequence[Tried],
    oracle: Sequence[Tried],
    prices: Prices,
) -> Row:
    """Put together what came of one policy, seed by seed, beside doing nothing and the oracle."""
    gains = _gains(tried, nothing)
    decisions = sum(one.decisions for one in tried)
    decide = float(np.median(np.concatenate([_warm(one.decide_us) for one in tried])))
    learn = float(np.median([one.learn_us.sum() / one.decisions for one in tried]))
    return Row(
        name=name,
        share=ratio(gains, _gains(oracle, nothing)),
        benefit=Mean.of(gains),
        gains=tuple(gains),
        messages=1e3 * sum(one.messages for one in tried) / decisions,
        message_list_cost=1e3 * sum(one.message_cost for one in tried) / decisions,
        decide_us=decide,
        learn_us=learn,
        work=None if work is None else float(work(tried[0].actions, tried[0].width)),
        policy_bytes=max(one.policy_bytes for one in tried),
        subject_bytes=max(one.subject_bytes for one in tried),
        prices=prices,
    )


def _gains(tried: Sequence[Tried], nothing: Sequence[Tried]) -> list[float]:
    """Benefit over doing nothing, per thousand decisions, seed by seed."""
    pairs = zip(tried, nothing, strict=True)
    return [1e3 * (one.benefit - none.benefit) / one.decisions for one, none in pairs]


def _warm(decide_us: F64) -> Any:  # an array
    return decide_us[len(decide_us) // _WARM :]
