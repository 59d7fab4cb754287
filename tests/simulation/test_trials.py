"""Trials count what decisions are truly worth; the oracle takes the best; what learns is weighed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import attrs
import numpy as np
import pytest

from agentic import Agent, product
from agentic.errors import ConfigurationError
from agentic.evaluation import joined
from agentic.policies import Fixed, LinearThompson, SquareCB, TemplateRanking, Uniform
from agentic.protocols import Feature, Policy
from agentic.rewards import Goals
from agentic.simulation import (
    BEST_GUESS,
    Moment,
    Oracle,
    Trials,
    World,
    campaign,
    playbook,
    simulate,
    templates,
    truths,
)
from agentic.simulation._trials import _held_bytes

TIMED = ("decide_us", "learn_us")


def test_true_worth_is_value_without_the_luck() -> None:
    """What customers' outcomes came to is what decisions were worth on average, within four errors."""
    agent, world = campaign(Uniform(), customers=3000, seed=3, holdout=0.2)
    simulated = simulate(agent, world, weeks=2)
    worth = np.bincount(simulated.moment.row, weights=simulated.worth, minlength=len(world))
    gap = simulated.value - worth
    assert simulated.worth.shape == simulated.now.shape
    assert abs(gap.mean()) < 4.0 * gap.std() / np.sqrt(len(gap))
    assert simulated.worth.std() < simulated.value.std()


def test_times_are_told_for_every_wave_and_every_day() -> None:
    """One time per call of decide_many, and one per call of learn, all of them positive."""
    agent, world = campaign(customers=300, seed=1)
    simulated = simulate(agent, world, weeks=1)
    assert len(simulated.decide_us) == len(np.unique(simulated.now))
    assert len(simulated.learn_us) == 7 + 4  # a window of three days after the last, and one more
    assert (simulated.decide_us > 0).all()


def test_the_oracle_takes_what_is_truly_worth_most() -> None:
    """In every state that it met no allowed action is worth more than the one it took."""
    goals = Goals({"purchase": 0.25, "click": 0.05, "unsubscribe": -5.0}, window=timedelta(hours=72))
    agent, world = campaign(
        Fixed("no_action"),
        customers=200,
        seed=4,
        holdout=0.0,
        random_control=0.0,
        exploration_floor=0.0,
        more_features=truths(),
    )
    agent.policy = Oracle(world, goals)
    simulated = simulate(agent, world, weeks=2)
    rows, k = joined(agent), len(agent.plan.catalogue)
    blocks = [block.columns["denied"] for _, block in agent.log.read() if block.kind == "decision"]
    allowed = np.concatenate(blocks) == 0
    for now in np.unique(simulated.now).tolist():
        here = np.flatnonzero(simulated.now == now)
        moment = simulated.moment.take(here)
        every = np.broadcast_to(np.arange(k), (len(here), k))
        answer = world.response(moment, rows.catalogue, every, now)
        worth = sum(answer.worth(goals).values())
        best = np.where(allowed[here], worth, -np.inf).max(axis=1)
        taken = np.take_along_axis(worth, rows.action[here, None], axis=1)[:, 0]
        np.testing.assert_allclose(taken, best, rtol=1e-12)
        np.testing.assert_allclose(simulated.worth[here], taken, rtol=1e-12)


def test_truths_take_no_columns_and_reach_nobody_else() -> None:
    """An agent that declares how customers really are encodes no more, and others are not told."""
    plain, _ = campaign(customers=5)
    told, _ = campaign(customers=5, more_features=truths())
    assert told.plan.space.width == plain.plan.space.width
    assert told.plan.space.fields - plain.plan.space.fields == {feature.name for feature in truths()}


def test_a_trial_is_the_same_but_for_its_times() -> None:
    """Twice the same arguments give the same facts; another seed gives others."""
    trials = Trials(customers=150, weeks=1)
    first, again, other = (trials.run(LinearThompson(), seed) for seed in (1, 1, 2))
    for field in attrs.fields(type(first)):
        if field.name not in TIMED:
            assert getattr(first, field.name) == getattr(again, field.name), field.name
    assert first.benefit != other.benefit


def test_doing_nothing_and_knowing_everything_are_the_ends() -> None:
    """Rules earn more than nothing and less than the oracle; messages and their costs are counted."""
    trials = Trials(customers=400, weeks=2)
    nothing, rules, oracle = trials.nothing(5), trials.run(playbook(), 5), trials.oracle(5)
    assert nothing.benefit < rules.benefit < oracle.benefit
    assert nothing.messages <= 400 * 0.02  # the recall
    assert nothing.decisions == rules.decisions == oracle.decisions
    assert 0 < rules.messages < rules.decisions
    assert 0.0 < rules.message_cost <= 0.08 * rules.messages
    assert nothing.policy_bytes == rules.policy_bytes == 0
    assert rules.actions == 20
    assert rules.width == oracle.width > 20


def clicks(
    policy: Policy, /, *, customers: int, seed: int, more_features: Sequence[Feature]
) -> tuple[Agent, World]:
    """A campaign whose four actions differ in name alone, where a click is all that counts."""
    agent = Agent(
        "clicks",
        product({"message": ["voucher"], "channel": ["email"], "shade": ["red", "green", "blue", "grey"]}),
        features=more_features,
        policy=policy,
        goals=Goals({"click": 1.0}, window=timedelta(hours=72)),
        seed=seed,
    )
    return agent, World.of(customers, seed=seed)


def test_a_campaign_of_ones_own_can_be_tried() -> None:
    """Where every action is alike and none does harm, any that sends is as good as the oracle, exactly."""
    trials = Trials(customers=100, weeks=1, make=clicks)
    oracle, nothing = trials.oracle(2), trials.nothing(2)
    for policy in (Fixed("voucher/email/red"), Fixed({f"voucher/email/{s}": 1.0 for s in ("red", "blue")})):
        assert trials.run(policy, 2).benefit == pytest.approx(oracle.benefit, rel=1e-12)
    assert nothing.benefit == 0.0 < oracle.benefit


def test_without_goals_there_is_nothing_to_try() -> None:
    """An agent without goals is refused by the simulation, the oracle's too."""

    def mute(
        policy: Policy, /, *, customers: int, seed: int, more_features: Sequence[Feature]
    ) -> tuple[Agent, World]:
        actions = product({"message": ["voucher"]})
        return Agent("mute", actions, policy=policy, features=more_features), World.of(customers)

    for attempt in (Trials(make=mute).nothing, Trials(make=mute).oracle):
        with pytest.raises(ConfigurationError, match="needs goals"):
            attempt(0)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"customers": 0}, "customers must be a whole number"),
        ({"customers": True}, "got True"),
        ({"weeks": 0}, "weeks must be a whole number"),
        ({"weeks": 2.5}, "got 2.5"),
    ],
)
def test_sizes_are_checked(arguments: dict[str, int], told: str) -> None:
    """What cannot be simulated is refused before anything is."""
    with pytest.raises(ConfigurationError, match=told):
        Trials(**arguments)


def test_a_campaign_is_set_up_by_a_function() -> None:
    """Anything else is refused where it is given."""
    wrong: Any = "newsletter"
    with pytest.raises(ConfigurationError, match=r"sets up .agent, world., got 'newsletter'"):
        Trials(make=wrong)


def test_held_bytes_count_every_array_once() -> None:
    """Arrays in attrs classes, dicts, lists and plain objects; views and repeats count their base, once."""

    class Odd:
        def __init__(self, array: object) -> None:
            self.array = array

    base = np.zeros(100)
    assert _held_bytes(Fixed("a")) == 0
    assert _held_bytes(base[:10]) == 800
    assert _held_bytes({"a": [base, base[5:]], "b": Odd(base)}) == 800
    assert _held_bytes((Odd(np.zeros(3)), {1, 2})) == 24
    again: list[object] = [np.zeros(1)]
    again.append(again)
    assert _held_bytes(again) == 8
    agent, _ = campaign(SquareCB(), customers=1)
    ranked, _ = campaign(TemplateRanking(templates(), SquareCB()), customers=1)
    assert _held_bytes(ranked.policy) == _held_bytes(agent.policy) > 0
    assert _held_bytes(Moment(*(np.zeros(2) for _ in range(5)))) == 80  # type: ignore[arg-type]


def test_the_best_guess_and_the_templates_fit_the_campaign() -> None:
    """They name actions and fields that the campaign has."""
    for policy in (Fixed(BEST_GUESS), TemplateRanking(templates(), Uniform())):
        agent, _ = campaign(policy, customers=1)
        assert agent.policy.name == policy.name
