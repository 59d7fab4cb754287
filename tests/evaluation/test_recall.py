"""Policies that remember are judged by what they knew, or would have known, at each decision."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from agentic import Action, Agent
from agentic.evaluation import DM, evaluate, joined, target_probabilities, teach
from agentic.features import Number
from agentic.policies import LinearThompson, Personal, Uniform
from agentic.provenance import MemoryLog
from agentic.rewards import Goals
from agentic.simulation import campaign, simulate
from agents import NOON, names
from remembering import Counts

HOUR = timedelta(hours=1)


def lived(policy: Any, rounds: int = 5, seed: int = 0, name: str = "shop", log: Any = None) -> Agent:
    agent = Agent(
        name,
        [Action(f"a{i}") for i in range(3)],
        features=[Number("age", low=0, high=100)],
        policy=policy,
        goals=Goals({"buy": 1.0}, window=HOUR),
        clock=lambda: NOON,
        holdout=0.1,
        log=log,
    )
    dice = np.random.default_rng(seed)
    for turn in range(rounds):
        now = NOON + 2 * turn * HOUR
        subjects = [name for name in names(60) if dice.random() < 0.7]
        batch = agent.decide_many(subjects, {"age": dice.uniform(0, 100, len(subjects))}, now=now)
        bought = [i for i in batch.ids if dice.random() < 0.4]
        agent.record_many(bought, "buy", at=now)
        if turn % 2:
            agent.learn(now=now + HOUR)
    agent.learn(now=NOON + 100 * HOUR)
    return agent


def test_what_was_logged_is_what_is_used() -> None:
    """The policy in charge of a log is judged with the probabilities it really had."""
    agent = lived(Counts())
    rows = joined(agent).of(["policy"])
    target, _ = target_probabilities(agent, agent.policy, rows)
    assert np.allclose(target[np.arange(len(rows)), rows.action], rows.probability)


def test_what_was_not_logged_is_what_would_have_been_known() -> None:
    """Another policy's log gives, at each decision, the rewards that were final before it."""
    own, other = lived(Counts()), lived(Uniform())
    rows = joined(other)
    target, _ = target_probabilities(other, Counts(), rows)
    seen: dict[int, int] = {}
    expected = np.zeros(len(rows))
    whom: dict[int, tuple[int, bool]] = {}
    row = 0
    for receipt, block in other.log.read():
        if block.kind == "decision":
            told = zip(block.columns["key"].tolist(), block.columns["arm"].tolist(), strict=True)
            for i, (key, arm) in enumerate(told):
                whom[receipt.first + i] = key, arm == 1
                if row < len(rows) and rows.position[row] == receipt.first + i:
                    expected[row] = seen.get(key, 0)
                    row += 1
        elif block.kind == "reward":
            for position in block.columns["decision"].tolist():
                key, held_out = whom[position]
                seen[key] = seen.get(key, 0) + (not held_out)
    assert row == len(rows)
    assert expected.max() > 1
    assert np.allclose(target[:, 0], (1 + expected) / (4 + expected))
    some = rows.take(np.arange(0, len(rows), 3))
    assert np.array_equal(target_probabilities(other, Counts(), some)[0], target[::3])
    assert len(joined(own)) == len(rows)


def test_what_others_wrote_to_the_log_is_no_concern() -> None:
    """Two agents share a log: what one of them would have known is what it would know alone."""
    alone = lived(Uniform(), seed=1)
    log = MemoryLog()
    lived(Uniform(), name="other", log=log)
    beside = lived(Uniform(), seed=1, log=log)
    targets = [target_probabilities(agent, Counts(), joined(agent))[0] for agent in (alone, beside)]
    assert np.array_equal(*targets)


def test_a_personal_policy_can_be_judged_by_anybody_s_log() -> None:
    """Taught on half of the subjects, judged by the other half, and the estimate knows its own error."""
    agent = lived(Uniform(), rounds=12)
    first, second = joined(agent).of(["policy"]).split()
    taught = teach(agent, Personal(), first)
    assert taught.between is not None
    assert taught.between.residual[2] > 0.8 * len(first)
    found = evaluate(agent, taught, rows=second)
    assert found.low < found.value < found.high
    assert abs(found.value - second.reward.mean()) < 0.2
    assert agent.policy.name == "uniform"
    assert agent.plan.remembered == ()


def test_teaching_in_one_go_is_learning_without_keeping() -> None:
    """What is learned of the population is what the agent learns from the same rewards in one call."""
    agent = lived(Uniform(), rounds=6)
    rows = joined(agent)
    counted = teach(agent, Counts(), rows)
    assert counted.learned == len(rows.of(["policy", "random_control"]))
    pooled = teach(agent, LinearThompson(), rows)
    personal = teach(agent, Personal(), rows)
    assert personal.population.model is not None
    assert pooled.model is not None
    assert np.allclose(personal.population.model.gram, pooled.model.gram)


def test_a_personal_agent_lives_through_a_campaign() -> None:
    """Simulated, replayed and judged like any other, with fields for each level of the catalogue."""
    agent, world = campaign(Personal(), customers=150, seed=3)
    simulate(agent, world, weeks=2)
    assert agent.failures == {}
    kept = [name for name in agent.plan.layout.dtype.names or () if "personal.count" in name]
    assert len(kept) == 2 + 9
    assert agent.replay().identical
    found = evaluate(agent, Personal(name="rival"), estimator=DM())
    assert np.isfinite(found.value)


@pytest.mark.parametrize("policy", [Personal(), Counts()], ids=["personal", "counts"])
def test_an_empty_log_holds_nothing_to_recall(policy: Any) -> None:
    """No rows, no answer, no error."""
    agent = lived(Uniform(), rounds=0)
    target, X = target_probabilities(agent, policy, joined(agent))
    assert target.shape == (0, 4)
    assert X.shape == (0, 2)
