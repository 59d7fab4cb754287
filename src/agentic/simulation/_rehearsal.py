"""What would another policy in charge do: both on the same customers with the same luck, for months."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

import attrs
import numpy as np

from agentic._agent import Agent
from agentic._codec import fingerprint
from agentic._statistics import student_t
from agentic.arrays import F64
from agentic.errors import ConfigurationError
from agentic.protocols import Policy
from agentic.simulation._campaign import MARGIN
from agentic.simulation._scenario import Scenario
from agentic.simulation._simulate import simulate
from agentic.simulation._trials import alone_in_charge
from agentic.simulation._weekly import Weekly
from agentic.simulation._world import RETAIL, World

LEVEL: Final = 0.95
_MOST_SEEDS: Final = 1_000

MEASURES: Final[Mapping[str, int]] = {
    "value": +1,
    "late_value": +1,
    "purchases": +1,
    "clicks": 0,
    "messages": 0,
    "cost": -1,
    "unsubscribes": -1,
    "complaints": -1,
    "left": -1,
    "trust": +1,
}
"""What a rehearsal measures, and whether more of it is good (1), bad (-1) or neither (0)."""


@attrs.frozen
class PairedDifference:
    """One measure under both policies, means over seeds, and the paired difference.

    Attributes:
        champion: Under the champion.
        challenger: Under the challenger.
        difference: Challenger less champion.
        low: Lower end of the 95 % interval of the difference.
        high: Upper end.
    """

    champion: float
    challenger: float
    difference: float
    low: float
    high: float

    @classmethod
    def of(cls, champion: F64, challenger: F64) -> PairedDifference:
        """Student's t on the differences seed by seed: shape (s,) each, s of 2 or more."""
        gap = challenger - champion
        mean, n = float(gap.mean()), len(gap)
        reach = student_t(LEVEL, n - 1) * float(gap.std(ddof=1)) / math.sqrt(n)
        return cls(float(champion.mean()), float(challenger.mean()), mean, mean - reach, mean + reach)


class Staging(Protocol):
    """Sets up an agent and a world of a scenario: ``alone_in_charge``, or a function of your own."""

    def __call__(
        self, policy: Policy, /, *, customers: int, seed: int, scenario: Scenario
    ) -> tuple[Agent, World]:
        """Make a fresh agent with goals, and a world, of this seed."""


@attrs.frozen
class Rehearsal:
    """What a challenger did in simulated customers' lives that the champion did not: evidence for a release.

    Every seed is another crowd with other luck; within a seed both policies meet the same customers at the
    same times with the same luck. Intervals are over seeds, so they hold for other crowds of the scenario,
    and say nothing of how far the scenario is from the real customers. Nothing in it was measured by a
    clock: the same arguments give the same rehearsal, in every process.

    Attributes:
        scenario: Name of the scenario.
        scenario_hash: Of all its figures.
        champion: Version of the policy in charge, before it learned anything here.
        challenger: The same of the other.
        customers: In each crowd.
        weeks: For how long decisions were made.
        seeds: Of the crowds.
        margin: Share of sales that is earned.
        differences: By measure. Per customer of the first day, whether or not they stayed: ``"value"``, what
            was earned less the price of messages, over all weeks; ``"purchases"``, ``"clicks"``,
            ``"messages"``, ``"cost"``, ``"unsubscribes"`` and ``"complaints"``. Share of customers who
            ``"left"``. Of those who stayed: ``"late_value"``, earned in a week of the last quarter, and
            mean ``"trust"`` at the end.
    """

    scenario: str
    scenario_hash: str
    champion: str
    challenger: str
    customers: int
    weeks: int
    seeds: tuple[int, ...]
    margin: float
    differences: Mapping[str, PairedDifference] = attrs.field(hash=False)

    @property
    def verdict(self) -> str:
        """``"better"`` or ``"worse"`` where the interval of the value leaves 0 out, else ``"undecided"``."""
        value = self.differences["value"]
        return "better" if value.low > 0.0 else "worse" if value.high < 0.0 else "undecided"

    @property
    def harms(self) -> tuple[str, ...]:
        """Measures in which the challenger is shown to be worse: each by an interval of its own at 95 %."""
        return tuple(
            name
            for name, sign in MEASURES.items()
            if (sign > 0 and self.differences[name].high < 0.0)
            or (sign < 0 and self.differences[name].low > 0.0)
        )

    @property
    def digest(self) -> str:
        """Hash of all of it, the same in every process."""
        return fingerprint(self.facts)

    @property
    def facts(self) -> dict[str, Any]:  # JSON-compatible
        """All of it as plain values; what is asked by a property is left out."""
        return {
            "scenario": self.scenario,
            "scenario_hash": self.scenario_hash,
            "champion": self.champion,
            "challenger": self.challenger,
            "customers": self.customers,
            "weeks": self.weeks,
            "seeds": list(self.seeds),
            "margin": self.margin,
            "differences": {name: attrs.asdict(one) for name, one in self.differences.items()},
        }

    @classmethod
    def of_facts(cls, facts: Mapping[str, Any], /) -> Rehearsal:
        """The rehearsal that told these facts.

        Raises:
            ConfigurationError: They are no rehearsal's.
        """
        try:
            plain = dict(facts)
            found = {name: PairedDifference(**plain["differences"][name]) for name in MEASURES}
            return cls(**plain | {"seeds": tuple(plain["seeds"]), "differences": found})
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigurationError(
                "these are not the facts of a rehearsal: pass those of one, rehearsal.facts", value=None
            ) from error

    def __str__(self) -> str:
        head = (
            f"rehearsed in {self.scenario!r}: {self.customers:,} customers, {self.weeks} weeks,"
            f" {len(self.seeds)} seeds: {self.verdict}"
        )
        rows = [f"{'per customer':<14}{'champion':>12}{'challenger':>12}{'difference':>12}   95 % interval"]
        rows += [
            f"{name:<14}{one.champion:>12,.3f}{one.challenger:>12,.3f}{one.difference:>+12,.3f}"
            f"   {one.low:+,.3f} to {one.high:+,.3f}{'  worse' if name in self.harms else ''}"
            for name, one in self.differences.items()
        ]
        return "\n".join([head, *rows])


def rehearse(
    champion: Policy,
    challenger: Policy,
    /,
    scenario: Scenario = RETAIL,
    *,
    seeds: Sequence[int] = range(5),
    customers: int = 500,
    weeks: int = 12,
    decisions_per_week: float = 2.5,
    margin: float = MARGIN,
    make: Staging = alone_in_charge,
    make_challenger: Staging | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Rehearsal:
    """Put each of two policies in charge of the same simulated customers, and compare what came of it.

    Both learn as they would in production. What is compared is the whole horizon, so a policy that earns
    quickly at the price of trust has time to pay for it.

    Args:
        champion: The policy in charge.
        challenger: The one that would take its place.
        scenario: How the customers live, answer and tire.
        seeds: Of the crowds: two or more, each once.
        customers: In each crowd.
        weeks: For how long decisions are made.
        decisions_per_week: How often each customer's turn comes, on average; above 0, at most 7.
        margin: Share of sales that is earned.
        make: Sets up an agent and a world; the stock campaign by default.
        make_challenger: The same for the challenger, where its agent has other goals or rules.
        progress: Told how many simulations are done, and out of how many.

    Raises:
        ConfigurationError: An argument is out of range, or a policy does not fit the campaign.
    """
    chosen = seeds_of(seeds)
    if not math.isfinite(margin):
        raise ConfigurationError(f"margin must be a finite number, got {margin!r}", value=margin)
    sides: list[list[dict[str, float]]] = [[], []]
    versions: list[str] = ["", ""]
    for place, seed in enumerate(chosen):
        for side, (policy, stage) in enumerate(((champion, make), (challenger, make_challenger or make))):
            agent, world = stage(policy, customers=customers, seed=seed, scenario=scenario)
            versions[side] = versions[side] or agent.policy_version
            found = simulate(agent, world, weeks=weeks, decisions_per_week=decisions_per_week)
            sides[side].append(measured(found.weekly, customers, margin))
            if progress is not None:
                progress(2 * place + side + 1, 2 * len(chosen))
    return Rehearsal(
        scenario=scenario.name,
        scenario_hash=fingerprint(scenario.facts),
        champion=versions[0],
        challenger=versions[1],
        customers=customers,
        weeks=weeks,
        seeds=chosen,
        margin=margin,
        differences={
            name: PairedDifference.of(*(np.array([one[name] for one in side]) for side in sides))
            for name in MEASURES
        },
    )


def measured(weekly: Weekly, customers: int, margin: float, /) -> dict[str, float]:
    """What a rehearsal measures, of one simulation."""
    profit = weekly.profit(margin)
    late = slice(-max(len(weekly) // 4, 1), None)
    sums = {
        name: float(getattr(weekly, name).sum()) / customers
        for name in ("purchases", "clicks", "messages", "cost", "unsubscribes", "complaints")
    }
    found = {
        "value": float(profit.sum()) / customers,
        "late_value": float(profit[late].sum()) / max(float(weekly.active[late].sum()), 1.0),
        "left": 1.0 - float(weekly.active[-1]) / customers,
        "trust": float(weekly.trust[-1]),
        **sums,
    }
    return {name: found[name] for name in MEASURES}


def seeds_of(seeds: Sequence[int], /) -> tuple[int, ...]:
    chosen = tuple(seeds)
    whole = all(isinstance(seed, int) and not isinstance(seed, bool) for seed in chosen)
    if not whole or not 2 <= len(chosen) <= _MOST_SEEDS or len(set(chosen)) < len(chosen):
        raise ConfigurationError(
            f"seeds must be 2 to {_MOST_SEEDS} whole numbers, each once, got {chosen!r:.200}: an interval"
            " over crowds needs more than one",
            value=chosen,
        )
    return chosen
