"""How does one policy fare in the stock campaign: its benefit and what it costs, seed by seed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import attrs
import numpy as np

from agentic._agent import Agent
from agentic.arrays import F64
from agentic.errors import ConfigurationError
from agentic.evaluation import joined
from agentic.policies import Fixed
from agentic.protocols import Feature, Policy
from agentic.simulation._campaign import campaign
from agentic.simulation._oracle import Oracle, truths
from agentic.simulation._scenario import Scenario
from agentic.simulation._simulate import simulate
from agentic.simulation._world import RETAIL, World
from agentic.types import NO_ACTION


@attrs.frozen(eq=False)
class Trial:
    """Holds what came of one policy in one simulated campaign.

    Attributes:
        decisions: How many were made.
        benefit: What all of them were truly worth by the campaign's goals, luck averaged out.
        messages: How many of them sent something.
        message_cost: Price of what was sent.
        decide_us: Shape (w,), float64: microseconds of processor time per decision of each wave, in order.
            Measured.
        learn_us: Shape (t,), float64: microseconds of processor time of each day's learning, in order.
            Measured.
        actions: Candidates of a decision.
        width: Columns of ``X``.
        policy_bytes: Of the arrays that the policy holds at the end.
        subject_bytes: Of one subject's record.
    """

    decisions: int
    benefit: float
    messages: int
    message_cost: float
    decide_us: F64
    learn_us: F64
    actions: int
    width: int
    policy_bytes: int
    subject_bytes: int


class Making(Protocol):
    """Sets up an agent and a world for it: ``alone_in_charge``, or a function of your own."""

    def __call__(
        self, policy: Policy, /, *, customers: int, seed: int, more_features: Sequence[Feature]
    ) -> tuple[Agent, World]:
        """Make a fresh agent, with goals and with these features besides its own."""


def alone_in_charge(
    policy: Policy,
    /,
    *,
    customers: int,
    seed: int,
    more_features: Sequence[Feature] = (),
    scenario: Scenario = RETAIL,
) -> tuple[Agent, World]:
    """Set up the stock campaign with one policy in charge of every customer.

    Nobody is held out, nothing is decided at random, and there is no exploration floor: a policy pays for
    the exploring that it does itself. In another scenario: ``partial(alone_in_charge, scenario=...)``.
    """
    return campaign(
        policy,
        customers=customers,
        seed=seed,
        holdout=0.0,
        random_control=0.0,
        exploration_floor=0.0,
        more_features=more_features,
        scenario=scenario,
    )


@attrs.frozen
class Trials:
    """Tries policies in a simulated campaign: all of them meet the same customers with the same luck.

    Attributes:
        customers: 1 to 2,000,000.
        weeks: How long decisions are made, 1 to 520.
        make: Sets up the campaign.

    Raises:
        ConfigurationError: A number is out of range, or ``make`` is no function.
    """

    customers: int = attrs.field(default=2_000, kw_only=True)
    weeks: int = attrs.field(default=4, kw_only=True)
    make: Making = attrs.field(default=alone_in_charge, kw_only=True)

    def __attrs_post_init__(self) -> None:
        for value, most, what in ((self.customers, 2_000_000, "customers"), (self.weeks, 520, "weeks")):
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
                raise ConfigurationError(
                    f"{what} must be a whole number from 1 to {most:,}, got {value!r}", value=value
                )
        if not callable(self.make):
            raise ConfigurationError(
                f"make must be a function that sets up (agent, world), got {self.make!r:.200}",
                value=self.make,
            )

    def run(self, policy: Policy, seed: int, /) -> Trial:
        """Simulate the campaign with this policy in charge.

        Raises:
            ConfigurationError: The policy does not fit the campaign.
            LearningError: It cannot learn from its rewards.
        """
        return self._tried(*self.make(policy, customers=self.customers, seed=seed, more_features=[]))

    def nothing(self, seed: int, /) -> Trial:
        """Simulate it with nothing sent but what is mandatory."""
        return self.run(Fixed(NO_ACTION), seed)

    def oracle(self, seed: int, /) -> Trial:
        """Simulate it with a policy that knows what every action is truly worth, under the same rules."""
        agent, world = self.make(
            Fixed(NO_ACTION), customers=self.customers, seed=seed, more_features=truths()
        )
        if agent.goals is not None:  # without any, nothing can be simulated, which says so
            agent.policy = Oracle(world, agent.goals)
        return self._tried(agent, world)

    def _tried(self, agent: Agent, world: World) -> Trial:
        simulated = simulate(agent, world, weeks=self.weeks)
        rows, plan = joined(agent), agent.plan
        return Trial(
            decisions=len(rows),
            benefit=float(simulated.worth.sum()),
            messages=int(np.count_nonzero(rows.action != plan.catalogue.idle)),
            message_cost=float(rows.cost.sum()),
            decide_us=simulated.decide_us,
            learn_us=simulated.learn_us,
            actions=len(plan.catalogue),
            width=plan.space.width,
            policy_bytes=_held_bytes(agent.policy),
            subject_bytes=plan.layout.dtype.itemsize,
        )


def _held_bytes(value: object) -> int:
    """Bytes of all arrays that a policy holds, at whatever depth; each counts once."""
    arrays: dict[int, int] = {}
    seen: set[int] = set()
    todo: list[Any] = [value]  # whatever a policy is made of
    while todo:
        part = todo.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(part, np.ndarray):
            whole = part
            while isinstance(whole.base, np.ndarray):
                whole = whole.base
            arrays[id(whole)] = whole.nbytes
        elif isinstance(part, dict):
            todo.extend(part.values())
        elif isinstance(part, list | tuple | set | frozenset):
            todo.extend(part)
        elif attrs.has(type(part)):
            todo.extend(getattr(part, field.name, None) for field in attrs.fields(type(part)))
        else:
            todo.extend(getattr(part, "__dict__", {}).values())
    return sum(arrays.values())
