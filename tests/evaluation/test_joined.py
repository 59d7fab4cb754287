"""Decisions joined with their rewards, and another policy judged by them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from scipy import stats

from agentic import Action, Agent
from agentic.errors import ConfigurationError, EvaluationError
from agentic.evaluation import DM, IPW, SNIPW, difference, evaluate, joined, target_probabilities
from agentic.features import Number
from agentic.policies import EpsilonGreedy, Fixed, Uniform
from agentic.rewards import Goals

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)


def small(**more: Any) -> Agent:
    return Agent(
        "small",
        [Action("a", channel="push", cost=0.5), Action("b", channel="email")],
        features=[Number("x", low=0, high=1)],
        policy=more.pop("policy", Uniform()),
        goals=Goals({"sale": 2.0}, window=DAY),
        **more,
    )


def filled(n: int = 600, **more: Any) -> Agent:
    """Three rounds of decisions; a sale follows ``a`` where x is high and ``b`` where it is low."""
    agent = small(**more)
    dice = np.random.default_rng(1)
    for day in range(3):
        x = dice.random(n)
        now = NOON + 2 * day * DAY
        batch = agent.decide_many([f"s{i}" for i in range(n)], {"x": x}, now=now)
        likes = np.where(batch.action_ids == "a", x, np.where(batch.action_ids == "b", 1 - x, 0.1))
        sold = np.flatnonzero(dice.random(n) < likes)
        ids = batch.take(sold).ids
        agent.record_many(ids, "sale", at=now + timedelta(hours=1))
        agent.learn(now=now + DAY)
    return agent


def test_a_row_is_a_decision_with_its_final_reward() -> None:
    """Action, probability, cost, arm and reward of every closed decision stand side by side."""
    agent = small()
    batch = agent.decide_many(["u", "v", "w"], {"x": [0.1, 0.5, 0.9]}, now=NOON)
    agent.record(batch[1].id, "sale", 3.0, at=NOON)
    agent.learn(now=NOON + DAY)
    rows = joined(agent)
    assert len(rows) == 3
    np.testing.assert_array_equal(rows.position, batch.positions)
    np.testing.assert_array_equal(rows.action, batch.action[:, 0])
    np.testing.assert_array_equal(rows.probability, batch.probability[:, 0])
    np.testing.assert_array_equal(rows.cost, batch.cost)
    np.testing.assert_array_equal(rows.reward, [0.0, 6.0, 0.0])
    np.testing.assert_array_equal(rows.key, batch.columns["key"])


def test_open_windows_are_left_out() -> None:
    """A decision takes part when its reward is final, not before, in whatever order rewards close."""
    agent = small()
    agent.decide("early", {"x": 0.5}, now=NOON)
    assert not len(joined(agent))
    agent.decide("late", {"x": 0.5}, now=NOON + 0.5 * DAY)
    agent.learn(now=NOON + DAY)
    assert len(joined(agent)) == 1
    agent.learn(now=NOON + 2 * DAY)
    assert len(joined(agent)) == 2
    assert (np.diff(joined(agent).position) > 0).all()


def test_of_a_slate_the_first_slot_counts() -> None:
    """Two slots make one row, with the reward of the first."""
    agent = small(policy=Fixed({"a": 1.0, "b": 1.0}))
    decision = agent.decide("u", {"x": 0.5}, slots=2, now=NOON)
    agent.record(decision.id, "sale", slot=1, at=NOON)
    agent.learn(now=NOON + DAY)
    rows = joined(agent)
    assert rows.reward.tolist() == [0.0]
    assert rows.catalogue.ids[rows.action[0]] == decision.action.id


def test_sums_by_subject_keep_the_arms_apart() -> None:
    """Rewards, contacts and costs of a subject add up, and a subject is in one arm only."""
    agent = filled(holdout=0.3, random_control=0.2)
    rows = joined(agent)
    subjects = rows.by_subject()
    assert len(subjects) == 600
    assert subjects.decisions.tolist() == [3.0] * 600
    assert subjects.reward.sum() == pytest.approx(rows.reward.sum())
    assert subjects.cost.sum() == pytest.approx(rows.cost.sum())
    held_out = subjects.of("holdout")
    assert not held_out.contacts.any()
    assert sum(len(subjects.of(arm)) for arm in ("policy", "holdout", "random_control")) == 600
    assert len(rows.of(["holdout"])) == 3 * len(held_out)


def test_unknown_arms_are_refused() -> None:
    """A misspelt arm is an error and not an empty answer."""
    rows = joined(small())
    with pytest.raises(EvaluationError, match="random_control"):
        rows.of(["random"])
    with pytest.raises(EvaluationError, match="holdout"):
        rows.by_subject().of("control")


def test_without_final_rewards_there_is_nothing_to_estimate() -> None:
    """The error says to record outcomes and to learn."""
    agent = small()
    agent.decide("u", {"x": 0.5}, now=NOON)
    with pytest.raises(EvaluationError, match="learn"):
        evaluate(agent, Uniform())


def test_the_probabilities_of_the_policy_itself_are_those_logged() -> None:
    """Asked again, a policy that does not learn gives the probabilities as logged, floor included."""
    agent = filled(policy=Fixed({"a": 3.0, "no_action": 1.0}), exploration_floor=0.3)
    rows = joined(agent)
    target, X = target_probabilities(agent, Fixed({"a": 3.0, "no_action": 1.0}), rows)
    np.testing.assert_array_equal(target[np.arange(len(rows)), rows.action], rows.probability)
    np.testing.assert_allclose(target.sum(axis=1), 1.0, atol=1e-12)
    assert X.shape == (len(rows), agent.plan.space.width)
    assert (X[:, -1] == 1.0).all()


def test_a_policy_evaluated_on_its_own_log_earned_what_it_earned() -> None:
    """All weights are one, so inverse weighting gives the plain mean of the rewards."""
    agent = filled()
    found = evaluate(agent, Uniform(), estimator=IPW())
    assert found.value == pytest.approx(joined(agent).reward.mean(), abs=1e-12)
    assert found.n == 1800


def test_estimators_agree_on_another_policy() -> None:
    """With and without predictions the value of "always a" is the mean over x of 2 x, which is 1."""
    agent = filled(2000)
    for estimator in (IPW(), SNIPW()):
        found = evaluate(agent, Fixed("a"), estimator=estimator)
        assert found.low <= 1.0 <= found.high
    doubly = evaluate(agent, Fixed("a"))
    assert doubly.low <= 1.0 <= doubly.high
    assert doubly.diagnostics.verdict == "ok"
    # The reward is linear in x, so predictions leave less to chance.
    assert doubly.standard_error < evaluate(agent, Fixed("a"), estimator=IPW()).standard_error
    assert evaluate(agent, Fixed("a"), estimator=DM()).value == pytest.approx(1.0, abs=0.05)


def test_the_level_widens_the_interval() -> None:
    """99 % bounds lie outside 90 % bounds, and a reward range cuts them."""
    agent = filled()
    narrow, wide = (evaluate(agent, Fixed("b"), level=level) for level in (0.9, 0.99))
    assert wide.low < narrow.low < narrow.value < narrow.high < wide.high
    assert evaluate(agent, Fixed("b"), reward_range=(0.0, 2.0)).high <= 2.0


def test_the_holdout_counts_only_when_asked_for() -> None:
    """By default the rows are those of the policy and of random control."""
    agent = filled(holdout=0.3, random_control=0.2)
    rows = joined(agent)
    assert evaluate(agent, Uniform()).n == len(rows.of(["policy", "random_control"]))
    assert evaluate(agent, Uniform(), arms=["random_control"]).n == len(rows.of(["random_control"]))


def test_a_policy_that_does_not_fit_is_refused() -> None:
    """Something without a name and weights, or for another catalogue, is no policy of this agent."""
    agent = filled(50)
    with pytest.raises(ConfigurationError, match="not a policy"):
        evaluate(agent, "always a")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="no action 'c'"):
        evaluate(agent, Fixed("c"))


def test_a_learner_can_be_judged_as_it_stands() -> None:
    """The policy in charge itself can be evaluated; nothing is learned and nothing logged by it."""
    agent = filled(policy=EpsilonGreedy(epsilon=0.2))
    before = len(list(agent.log.read())), agent.policy_version
    found = evaluate(agent, agent.policy)
    assert found.value > joined(agent).reward.mean() - 3 * found.standard_error
    assert (len(list(agent.log.read())), agent.policy_version) == before


def test_the_difference_of_means_is_welchs() -> None:
    """Error and bounds agree with SciPy's Welch test, to the rounding of the degrees of freedom."""
    dice = np.random.default_rng(3)
    for m, n in ((40, 300), (5, 1000), (800, 700)):
        first, second = dice.exponential(2.0, m), dice.normal(1.0, 3.0, n)
        found = difference(first, second, level=0.9)
        reference = stats.ttest_ind(first, second, equal_var=False)
        low, high = reference.confidence_interval(0.9)
        assert found.value == pytest.approx(first.mean() - second.mean())
        assert found.standard_error == pytest.approx(found.value / reference.statistic)
        # One degree of freedom fewer at most, which only widens the bounds.
        assert found.low <= low + 1e-12
        assert found.high >= high - 1e-12
        assert found.high - found.low == pytest.approx(high - low, rel=0.2 / min(m, n) + 0.05 * (m < 10))


def test_a_difference_needs_two_values_on_each_side() -> None:
    """Less cannot be compared, and samples without spread differ for certain."""
    with pytest.raises(EvaluationError, match="two values"):
        difference(np.ones(1), np.ones(5))
    with pytest.raises(EvaluationError, match="level"):
        difference(np.ones(2), np.ones(5), level=1.0)
    found = difference(np.full(3, 2.0), np.ones(4))
    assert (found.value, found.low, found.high, found.standard_error) == (1.0, 1.0, 1.0, 0.0)
