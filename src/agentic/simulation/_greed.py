"""What becomes of customers when a policy is greedy for clicks: the feared loop, beside one that is not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Final

import attrs
import numpy as np

from agentic._agent import Agent
from agentic.arrays import F64
from agentic.errors import ConfigurationError
from agentic.guardrails import Consent, Cooldown, FrequencyCap
from agentic.policies import LinearThompson
from agentic.protocols import Guardrail, Policy
from agentic.rewards import Goals
from agentic.simulation._campaign import MARGIN, actions, features
from agentic.simulation._presets import SCENARIOS
from agentic.simulation._rehearsal import MEASURES, PairedDifference, measured, seeds_of
from agentic.simulation._scenario import Scenario
from agentic.simulation._simulate import simulate
from agentic.simulation._weekly import Weekly
from agentic.simulation._world import PURPOSE, World

_WINDOW: Final = timedelta(hours=72)
_EVERY_DAY: Final = 7.0


def greedy(policy: Policy, /, *, customers: int, seed: int, scenario: Scenario) -> tuple[Agent, World]:
    """Set up an agent that is after clicks: nothing else counts, and no rule but consent, the law's."""
    return _set_up(policy, Goals({"click": 1.0}, window=_WINDOW), [], customers, seed, scenario)


def careful(policy: Policy, /, *, customers: int, seed: int, scenario: Scenario) -> tuple[Agent, World]:
    """Set up an agent that is after purchases and for which unsubscriptions and complaints are losses.

    It sends two messages a week at most and rests for 36 hours after each.
    """
    goals = Goals({"purchase": MARGIN, "click": 0.05, "unsubscribe": -5.0, "complaint": -5.0}, window=_WINDOW)
    rules: list[Guardrail] = [
        Cooldown(timedelta(hours=36)),
        FrequencyCap(2, per=timedelta(days=7), name="weekly_cap"),
    ]
    return _set_up(policy, goals, rules, customers, seed, scenario)


def _set_up(
    policy: Policy, goals: Goals, rules: list[Guardrail], customers: int, seed: int, scenario: Scenario
) -> tuple[Agent, World]:
    agent = Agent(
        "feared-loop",
        actions=actions(),
        features=features(scenario),
        policy=policy,
        guardrails=[Consent(PURPOSE), *rules],
        goals=goals,
        seed=seed,
        salt=f"feared-loop/{seed}",
    )
    return agent, World.of(customers, seed=seed, scenario=scenario)


@attrs.frozen(eq=False)
class FearedLoop:
    """The weeks of two agents with the same policy, the same customers and the same luck.

    Attributes:
        scenario: How the customers live, answer and tire.
        customers: In each crowd.
        margin: Share of sales that is earned.
        seeds: Of the crowds.
        greedy: The weeks of the agent that is after clicks, one for each seed.
        careful: The weeks of the one with caps, rest and goals of its own for what people dislike.
    """

    scenario: Scenario
    customers: int
    margin: float
    seeds: tuple[int, ...]
    greedy: tuple[Weekly, ...]
    careful: tuple[Weekly, ...]

    @property
    def weeks(self) -> int:
        """For how long decisions were made."""
        return len(self.greedy[0])

    def series(self, measure: str, /) -> tuple[F64, F64]:
        """One measure week by week, the mean over seeds: greedy and careful, shape (w,) each.

        Args:
            measure: A column of ``Weekly``, or ``"value"``, what was earned less the price of messages.

        Raises:
            ConfigurationError: There is no such measure.
        """
        names = {"value", *(field.name for field in attrs.fields(Weekly))}
        if measure not in names:
            raise ConfigurationError(
                f"no weekly measure {measure!r}: choose one of {sorted(names)}", value=measure, expected=names
            )
        greedy, careful = (
            np.mean([self._column(one, measure) for one in side], axis=0)
            for side in (self.greedy, self.careful)
        )
        return greedy, careful

    def difference(self, measure: str, /, *, weeks: slice = slice(None)) -> PairedDifference:
        """One measure summed over weeks, per customer of the first day; the greedy agent is the challenger.

        Args:
            measure: As for ``series``.
            weeks: Which weeks.

        Raises:
            ConfigurationError: There is no such measure.
        """
        self.series(measure)
        champion, challenger = (
            np.array([self._column(one, measure)[weeks].sum() for one in side]) / self.customers
            for side in (self.careful, self.greedy)
        )
        return PairedDifference.of(champion, challenger)

    def differences(self) -> dict[str, PairedDifference]:
        """The measures of a ``Rehearsal``, over all weeks; the greedy agent is the challenger."""
        champion, challenger = (
            [measured(one, self.customers, self.margin) for one in side]
            for side in (self.careful, self.greedy)
        )
        return {
            name: PairedDifference.of(
                np.array([one[name] for one in champion]), np.array([one[name] for one in challenger])
            )
            for name in MEASURES
        }

    def _column(self, weekly: Weekly, measure: str) -> F64:
        found: F64 = weekly.profit(self.margin) if measure == "value" else getattr(weekly, measure)
        return found


def feared_loop(
    policy: Policy | None = None,
    *,
    scenario: Scenario = SCENARIOS["news_clicks"],
    customers: int = 300,
    weeks: int = 26,
    seeds: Sequence[int] = range(5),
    margin: float = MARGIN,
    progress: Callable[[int, int], None] | None = None,
) -> FearedLoop:
    """Let the same policy learn twice: once for clicks without a limit, once with care.

    Each day is every customer's turn. Nothing tells the greedy agent to send more: that more messages
    bring more clicks is what it finds out, and that they end is beyond its reward window.

    Args:
        policy: What both learn with; ``LinearThompson()`` by default.
        scenario: How the customers live, answer and tire.
        customers: In each crowd.
        weeks: For how long decisions are made.
        seeds: Of the crowds: two or more, each once.
        margin: Share of sales that is earned.
        progress: Told how many simulations are done, and out of how many.

    Raises:
        ConfigurationError: An argument is out of range.
    """
    chosen = seeds_of(seeds)
    learner = LinearThompson() if policy is None else policy
    sides: tuple[list[Weekly], list[Weekly]] = ([], [])
    for place, seed in enumerate(chosen):
        for side, make in enumerate((greedy, careful)):
            agent, world = make(learner, customers=customers, seed=seed, scenario=scenario)
            sides[side].append(simulate(agent, world, weeks=weeks, decisions_per_week=_EVERY_DAY).weekly)
            if progress is not None:
                progress(2 * place + side + 1, 2 * len(chosen))
    return FearedLoop(scenario, customers, margin, chosen, tuple(sides[0]), tuple(sides[1]))
