"""One customer's life as an episode: the mask is production's, and so is what comes of a step."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Any

import attrs
import numpy as np
import pytest

from agentic import Agent, product
from agentic.conditions import F
from agentic.errors import ConfigurationError, EvaluationError
from agentic.features import Number
from agentic.policies import Fixed, Uniform
from agentic.protocols import Feature, Policy
from agentic.rewards import Goals
from agentic.simulation import SCENARIOS, Lifetime, World, alone_in_charge, simulate


def lived(life: Lifetime, seed: int, choose: Any) -> list[tuple[Any, ...]]:
    """All steps of one life: observation, info, action, reward, ends."""
    seen, info = life.reset(seed=seed)
    out, ended = [], False
    while not ended:
        action = choose(info)
        after, reward, terminated, truncated, then = life.step(action)
        out.append((seen, info, action, reward, terminated, truncated, then))
        seen, info, ended = after, then, terminated or truncated
    return out


def busiest(info: dict[str, Any]) -> int:
    return int(np.flatnonzero(info["action_mask"])[0])


def test_the_same_seed_is_the_same_life() -> None:
    """Every observation, reward and piece of information; another seed is somebody else."""
    one, again, other = (lived(Lifetime(weeks=3), seed, busiest) for seed in (5, 5, 6))
    for left, right in zip(one, again, strict=True):
        np.testing.assert_array_equal(left[0], right[0])
        np.testing.assert_array_equal(left[1]["action_mask"], right[1]["action_mask"])
        assert left[2:6] == right[2:6]
        assert left[6]["worth"] == right[6]["worth"]
    assert any(not np.array_equal(left[0], right[0]) for left, right in zip(one, other, strict=False))


def test_without_a_seed_life_goes_on_with_somebody_else() -> None:
    """A seed starts a sequence of episodes, the same each time."""
    life = Lifetime(weeks=1)
    first = [life.reset(seed=3)[0], life.reset()[0], life.reset()[0]]
    again = [life.reset(seed=3)[0], life.reset()[0], life.reset()[0]]
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first[0], first[1])


def test_the_mask_is_what_the_rules_allow() -> None:
    """What is masked is not sent, what is not masked is; doing nothing is possible, too."""
    life = Lifetime(weeks=3)
    idle = life.actions.index("no_action")
    rng, kinds = np.random.default_rng(1), {True: 0, False: 0}
    for seed in range(4):
        for seen, info, action, _, _, _, then in lived(
            life, seed, lambda _: int(rng.integers(len(life.actions)))
        ):
            mask = info["action_mask"]
            assert mask.dtype == np.int8
            assert mask[idle] == 1
            assert then["sent"] == (life.actions[action] if mask[action] else "no_action")
            assert seen.dtype == np.float32
            assert seen.shape == (life.width,)
            kinds[bool(mask[action])] += 1
    assert min(kinds.values()) > 10


def test_asking_leaves_no_trace() -> None:
    """The log holds one decision for each step, and caps count what was sent."""
    made: list[Agent] = []

    def make(
        policy: Policy, /, *, customers: int, seed: int, more_features: Sequence[Feature]
    ) -> tuple[Agent, World]:
        agent, world = alone_in_charge(policy, customers=customers, seed=seed, more_features=more_features)
        made.append(agent)
        return agent, world

    life = Lifetime(weeks=2, make=make)
    steps = lived(life, 1, busiest)
    logged = sum(len(block) for _, block in made[-1].log.read() if block.kind == "decision")
    assert logged == len(steps)
    sent = [then["sent"] != "no_action" for *_, then in steps]
    assert sum(sent[:7]) <= 2  # the weekly cap


def test_rewards_add_up_to_what_the_simulation_says() -> None:
    """A life that is stepped through is the life that is simulated: the same decisions, value and price."""
    goals = Goals({"purchase": 0.25, "click": 0.05, "unsubscribe": -5.0}, window=timedelta(hours=72))
    worlds: list[tuple[int, World]] = []

    def make(
        policy: Policy, /, *, customers: int, seed: int, more_features: Sequence[Feature]
    ) -> tuple[Agent, World]:
        actions = product({"message": ["voucher"], "channel": ["email"]})
        agent = Agent("one", actions, features=more_features, policy=policy, goals=goals, seed=seed)
        worlds.append((seed, World.of(customers, seed=seed)))
        return agent, worlds[-1][1]

    life = Lifetime(weeks=4, make=make)
    action = life.actions.index("voucher/email")
    steps = lived(life, 2, lambda _: action)
    agent, world = make(Uniform(), customers=1, seed=worlds[-1][0], more_features=[])
    agent.policy = Fixed("voucher/email")
    simulated = simulate(agent, world, weeks=4, decisions_per_week=7.0)
    assert len(simulated.now) >= len(steps)  # a simulation goes on deciding for who has left, in vain
    assert sum(step[3] for step in steps) == pytest.approx(simulated.value.sum())
    assert sum(step[6]["worth"] for step in steps) == pytest.approx(simulated.worth.sum())


def test_a_life_ends_when_the_weeks_are_over_or_the_customer_leaves() -> None:
    """Truncated once, at the end; terminated where a market loses its customers quickly."""
    steps = lived(Lifetime(weeks=2), 1, busiest)
    assert [step[5] for step in steps] == [False] * (len(steps) - 1) + [True]
    assert len(steps) == 14
    lossy = attrs.evolve(SCENARIOS["retail"], churn=0.2)
    life = Lifetime(weeks=20, make=partial(alone_in_charge, scenario=lossy))
    lives = [lived(life, seed, busiest) for seed in range(5)]
    assert sum(steps[-1][4] for steps in lives) >= 4
    assert not any(steps[-1][4] and steps[-1][5] for steps in lives)


def test_a_life_with_few_turns_has_at_least_one() -> None:
    """Where no turn falls into the weeks, the end of them is one."""
    life = Lifetime(weeks=1, decisions_per_week=0.01)
    steps = lived(life, 1, busiest)
    assert len(steps) == 1
    assert steps[0][5]


def test_steps_out_of_turn_are_refused() -> None:
    """Before the beginning, after the end, and with an action that is none."""
    life = Lifetime(weeks=1)
    with pytest.raises(EvaluationError, match=r"call reset\(\) first"):
        life.step(0)
    life.reset(seed=1)
    for wrong in (-1, len(life.actions), 0.5):
        with pytest.raises(ConfigurationError, match="an action is a whole number from 0 to"):
            life.step(wrong)  # type: ignore[arg-type]
    while True:
        _, _, terminated, truncated, _ = life.step(0)
        if terminated or truncated:
            break
    with pytest.raises(EvaluationError, match="is over"):
        life.step(0)


def agent_with(**arguments: Any) -> Any:
    def make(
        policy: Policy, /, *, customers: int, seed: int, more_features: Sequence[Feature]
    ) -> tuple[Agent, World]:
        features = [Number("days_since_purchase", low=0, high=1000, default=1), *more_features]
        actions = product({"message": ["voucher"]})
        agent = Agent("other", actions, policy=policy, features=features, **arguments)
        return agent, World.of(customers, seed=seed)

    return make


GOALS = Goals({"click": 1.0}, window=timedelta(hours=1))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({}, "needs goals"),
        ({"goals": GOALS, "holdout": 0.5}, "nobody else decides"),
        ({"goals": GOALS, "random_control": 0.5}, "nobody else decides"),
        ({"goals": GOALS, "exploration_floor": 0.1}, "nobody else decides"),
    ],
    ids=["goals", "holdout", "random control", "floor"],
)
def test_an_episode_needs_goals_and_one_who_decides(arguments: dict[str, Any], told: str) -> None:
    """An agent without goals, or one that leaves some decisions to others, is refused at once."""
    with pytest.raises(ConfigurationError, match=told):
        Lifetime(make=agent_with(**arguments))


def test_a_protected_customer_is_nobody_to_learn_from() -> None:
    """For whom no policy is asked there is no episode."""
    life = Lifetime(make=agent_with(goals=GOALS, protect=F("days_since_purchase") >= 0))
    with pytest.raises(EvaluationError, match="protects nobody"):
        life.reset(seed=1)


@pytest.mark.parametrize("arguments", [{"weeks": 0}, {"weeks": 1.5}, {"decisions_per_week": 8}], ids=repr)
def test_lengths_are_checked(arguments: dict[str, Any]) -> None:
    """Before there is a life."""
    with pytest.raises(ConfigurationError, match="must be"):
        Lifetime(**arguments)
