"""What does deciding this way earn more than the other way: per customer, per decision, and in all."""

from __future__ import annotations

import math
from typing import Any, Final

import attrs
import numpy as np
import numpy.typing as npt

from agentic._offpolicy import reject
from agentic.arrays import F64, U64
from agentic.economics import Prices
from agentic.evaluation import BySubject
from agentic.experiments._adjust import Before, cuped
from agentic.experiments._difference import UNPROVEN, Difference
from agentic.experiments._means import difference
from agentic.experiments._ratios import Ratio, ratio_difference
from agentic.experiments._samples import SampleRatio
from agentic.experiments._worth import Contrast, matched

_DEFAULT: Final = Prices()
UNREADABLE: Final = "do not read"
PAYS, LOSES = "it pays", "it costs more than it brings"
_HOUR_US: Final = 3.6e9


@attrs.frozen
class Amount:
    """One quantity with its bounds.

    Attributes:
        value: The estimate.
        low: Lower bound.
        high: Upper bound.
    """

    value: float
    low: float
    high: float


@attrs.frozen
class Gained:
    """Holds what one group earned more than the other: in money, by the same unit of counting.

    Attributes:
        gross: Value of the rewards.
        cost: Price of the messages.
        net: Gross less cost.
    """

    gross: Difference
    cost: Difference
    net: Difference


@attrs.frozen
class Increment:
    """Says what deciding one way earned more than deciding the other, in money. ``str`` of it is the report.

    Attributes:
        treatment: What is compared.
        control: What it is compared with.
        check: Whether the groups are as large as planned; where not, nothing here is to be read.
        per_customer: Over the whole period, for each subject who was decided for.
        per_decision: For each decision; subjects are what was parted, so errors are those of subjects.
        total: Net, over the period, of all subjects of the treatment.
        customers: Subjects of the treatment.
        decisions: Decisions for them whose reward is final.
        compute_us: Microseconds that one of these decisions took, on average, as logged.
        compute_cost: What they cost, in money per decision; not in ``net``, because subjects of both groups
            are decided for in the same calls.
        verdict: ``"it pays"``, ``"it costs more than it brings"``, ``"no difference proven"``, or
            ``"do not read"``.
    """

    treatment: str
    control: str
    check: SampleRatio
    per_customer: Gained
    per_decision: Gained
    total: Amount
    customers: int
    decisions: int
    compute_us: float
    compute_cost: float

    @property
    def verdict(self) -> str:
        """What is proven of the net increment per customer, if the groups can be compared at all."""
        if self.check.mismatch:
            return UNREADABLE
        found = self.per_customer.net
        return found.verdict if found.verdict == UNPROVEN else PAYS if found.value > 0.0 else LOSES

    def __str__(self) -> str:
        lines = [f"{self.treatment} against {self.control}: {self.verdict}", f"  groups: {self.check}"]
        for name, found in (("customer", self.per_customer), ("decision", self.per_decision)):
            lines += [
                f"  net per {name}: {told(found.net)}",
                f"    gross {told(found.gross)}",
                f"    messages cost {told(found.cost)}",
            ]
        low, high = self.total.low, self.total.high
        lines.append(
            f"  net in all, of {self.customers:,} customers and {self.decisions:,} decisions:"
            f" {self.total.value:+,.6g} ({low:+,.6g} to {high:+,.6g})"
        )
        lines.append(
            f"  computing: {self.compute_us:,.4g} us per decision, {self.compute_cost:.3g} in money (not net)"
        )
        return "\n".join(lines)

    @property
    def facts(self) -> dict[str, Any]:  # JSON-compatible
        """The same as JSON-compatible values; what is not finite is ``None``."""
        out: dict[str, Any] = plain(attrs.asdict(self) | {"verdict": self.verdict})
        return out


def increment(
    contrast: Contrast,
    /,
    *,
    value: float = 1.0,
    prices: Prices = _DEFAULT,
    before: tuple[U64, npt.ArrayLike] | None = None,
    level: float = 0.95,
) -> Increment:
    """Measure what one group earned more than the other, gross and net of what messages cost.

    Everybody counts who was decided for and has a final reward, whether or not anything was sent: what chance
    parted stays together. It is for one look, at a time that was set before.

    Args:
        contrast: Of ``by_arm`` or ``by_side``.
        value: Money for one unit of reward; 1 where rewards are money.
        prices: Factor on message costs, and the price of computing.
        before: Keys of subjects (``subject_keys``) and what was known of each *before the first decision*:
            shapes (m,), and (m,) or (m, d). Makes the figures per customer surer, by CUPED.
        level: Share of samples in which the bounds are to hold, in (0, 1).

    Raises:
        EvaluationError: A group has fewer than two subjects, nothing is known of one before, or an argument
            is out of range.

    Source: Welch 1947 per customer; Deng, Knoblich and Lu 2018 (delta method by subject) per decision; Deng,
    Xu, Kohavi and Walker 2013 (CUPED) with ``before``.
    """
    if not math.isfinite(value):
        reject("value", None, value, "a finite number", "say what one unit of reward is worth in money")
    known = None
    if before is not None:
        known = matched(contrast.treated.key, before), matched(contrast.plain.key, before)
    groups = contrast.treated, contrast.plain
    gross, cost = ([_sums(one, value, prices)[part] for one in groups] for part in (0, 1))
    net = [one - other for one, other in zip(gross, cost, strict=True)]

    def per_customer(pair: list[F64]) -> Difference:
        if known is None or all((one == one[0]).all() for one in pair):
            return difference(*pair, level=level)
        return cuped(Before(pair[0], known[0]), Before(pair[1], known[1]), level=level)

    def per_decision(pair: list[F64]) -> Difference:
        ratios = [Ratio(one, group.decisions) for one, group in zip(pair, groups, strict=True)]
        return ratio_difference(*ratios, level=level)

    whole = Gained(*(per_customer(pair) for pair in (gross, cost, net)))
    many = len(contrast.treated.key)
    return Increment(
        contrast.treatment,
        contrast.control,
        contrast.check,
        whole,
        Gained(*(per_decision(pair) for pair in (gross, cost, net))),
        Amount(*(many * one for one in (whole.net.value, whole.net.low, whole.net.high))),
        many,
        int(contrast.treated.decisions.sum()),
        contrast.compute_us,
        contrast.compute_us * prices.core_hour / _HOUR_US,
    )


def _sums(group: BySubject, value: float, prices: Prices) -> tuple[F64, F64]:
    return value * group.reward, prices.message * group.cost


def told(found: Difference, /) -> str:
    """A difference in a few words."""
    return (
        f"{found.value:+.6g} ({found.low:+.6g} to {found.high:+.6g}, p = {found.p_value:.3g});"
        f" {found.treatment.value:.6g} against {found.control.value:.6g}"
    )


def plain(value: Any, /) -> Any:  # JSON-compatible but for numbers that are none
    """The same with ``None`` for what is not finite, and lists for tuples and arrays."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value
