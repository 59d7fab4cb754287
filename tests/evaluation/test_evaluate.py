"""Another policy judged by an agent's own log, and what the verdict says of one that learned from it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from agentic import Action, Agent
from agentic._codec import fingerprint
from agentic.arrays import Batch, Feedback, Proposal
from agentic.errors import ConfigurationError, EvaluationError
from agentic.evaluation import (
    DM,
    DR,
    IPW,
    SNIPW,
    CressieRead,
    evaluate,
    joined,
    target_probabilities,
    teach,
)
from agentic.experiments import difference
from agentic.policies import EpsilonGreedy, Fixed, LinearThompson, Uniform
from agentic.rewards import Goals
from agentic.testing import FailingPolicy
from logs import DAY, NOON, filled, small, work


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
    # Some 2000 rows of "a" whose rewards spread by 1 at most: four standard errors of their mean.
    assert abs(evaluate(agent, Fixed("a"), estimator=DM()).value - 1.0) < 4.0 / math.sqrt(2000)


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
    assert found.diagnostics.verdict == "weak"
    assert (len(list(agent.log.read())), agent.policy_version) == before


def noise() -> Agent:
    """Rewards are coins that come up three times in ten, whatever is done; everything is drawn at random."""
    agent = Agent(
        "noise",
        [Action(f"action-{i}") for i in range(100)],
        policy=EpsilonGreedy(epsilon=0.0),
        goals=Goals({"sale": 1.0}, window=DAY),
        random_control=1.0,
    )
    batch = agent.decide_many([f"s{i}" for i in range(2000)], now=NOON)
    lucky = np.flatnonzero(np.random.default_rng(5).random(2000) < 0.3)
    agent.record_many(batch.take(lucky).ids, "sale", at=NOON)
    agent.learn(now=NOON + DAY)
    return agent


def test_a_policy_judged_by_what_it_learned_from_is_never_ok() -> None:
    """Where there is nothing to learn, the in-sample estimate is far above the truth, and says why."""
    agent = noise()
    found = evaluate(agent, agent.policy, estimator=SNIPW())
    assert found.value > 0.3 + 0.1
    assert found.diagnostics.verdict != "ok"
    assert any("may have learned from 2,000 of these 2,000 rows" in one for one in found.diagnostics.reasons)


def test_a_policy_taught_on_one_part_is_judged_fairly_by_the_other() -> None:
    """Over twenty partings, estimates by rows it has not seen average the truth, within four errors."""
    agent = noise()
    values = []
    for number in range(20):
        first, second = joined(agent).split(salt=str(number))
        taught = teach(agent, EpsilonGreedy(epsilon=0.5), first)
        found = evaluate(agent, taught, rows=second, estimator=IPW())
        assert not any("learned" in reason for reason in found.diagnostics.reasons)
        values.append((found.value, found.standard_error))
    value, error = np.mean(values, axis=0)
    # Partings overlap, so their mean is taken to be no surer than one of them.
    assert abs(value - 0.3) < 4.0 * error
    best = evaluate(agent, agent.policy, estimator=IPW())
    assert best.value - value > 2.0 * error


def test_only_rewards_known_before_a_version_was_in_charge_count_as_seen() -> None:
    """The first version has seen none, the second the first round, and the last one all three."""
    agent = small(policy=EpsilonGreedy(epsilon=0.5))
    dice, versions = np.random.default_rng(1), [agent.policy]
    for day in range(3):
        work(agent, day, 300, dice)
        versions.append(agent.policy)
    told = [evaluate(agent, policy).diagnostics.reasons for policy in versions]
    assert not any("learned" in reason for reason in told[0])
    for seen, reasons in zip((300, 600, 900), told[1:], strict=True):
        assert f"may have learned from {seen} of these 900 rows" in reasons[0]
    late = joined(agent).take(np.arange(300, 900))
    reasons = evaluate(agent, versions[1], rows=late).diagnostics.reasons
    assert not any("learned" in reason for reason in reasons)


def test_a_seen_policy_without_support_stays_unsupported() -> None:
    """The gravest reason stays in front, and the doubt comes last."""
    agent = small(policy=EpsilonGreedy(epsilon=0.5))
    work(agent, 0, 6, np.random.default_rng(1))
    facts = evaluate(agent, agent.policy).diagnostics
    assert facts.verdict == "insufficient support"
    assert "fewer than" in facts.reasons[0]
    assert "may have learned" in facts.reasons[-1]


class Nameless:
    """Learns, but nobody can write it down: so nobody can have published it."""

    name = "nameless"

    def __init__(self) -> None:
        self.what = object()

    def propose(self, batch: Batch, /) -> Proposal:
        return Proposal(np.ones((len(batch), len(batch.catalogue))))

    def learn(self, feedback: Feedback, /) -> Nameless:
        return self


def test_a_learner_that_cannot_be_published_was_not() -> None:
    """It is judged without a doubt about what it has seen."""
    agent = filled()
    assert evaluate(agent, Nameless()).diagnostics.verdict == "ok"
    rows = joined(agent)
    nameless = Nameless()
    assert teach(agent, nameless, rows) is nameless


def test_teaching_is_learning_as_the_agent_does() -> None:
    """All rows at once give the version that the agent published, the holdout left out."""
    agent = small(policy=LinearThompson(), holdout=0.3)
    fresh = agent.policy
    work(agent, 0, 300, np.random.default_rng(2))
    taught = teach(agent, LinearThompson(), joined(agent))
    assert fingerprint(taught) == agent.policy_version != fingerprint(fresh)


def test_what_does_not_learn_cannot_be_taught() -> None:
    """The error says to judge it as it is."""
    agent = small()
    with pytest.raises(ConfigurationError, match="does not learn"):
        teach(agent, Fixed("a"), joined(agent))  # type: ignore[type-var]


def test_a_policy_that_fails_is_not_judged() -> None:
    """Its own error is the cause; it is not taken for a policy that does nothing."""
    with pytest.raises(EvaluationError) as caught:
        evaluate(filled(20), FailingPolicy())
    assert caught.value.__cause__ is not None


def test_rewards_are_predicted_only_for_those_who_ask() -> None:
    """One subject cannot be cut into folds: that stops DR and not the estimators without a model."""
    agent = small()
    for day in range(40):
        work(agent, day, 1, np.random.default_rng(day))
    with pytest.raises(EvaluationError, match="fold"):
        evaluate(agent, Fixed("a"), estimator=DR())
    for estimator in (IPW(), SNIPW()):
        assert math.isfinite(evaluate(agent, Fixed("a"), estimator=estimator).value)


def test_cressie_read_judges_where_every_subject_has_one_row() -> None:
    """With several rows of a subject it is refused, with what to do; one row each is independent."""
    agent = filled()
    ends = (0.0, 2.0)
    with pytest.raises(EvaluationError, match="one row of each subject"):
        evaluate(agent, Fixed("a"), estimator=IPW(), interval=CressieRead(), reward_range=ends)
    rows = joined(agent)
    single = rows.take(np.unique(rows.key, return_index=True)[1])
    cap = CressieRead(weight_cap=3.0)
    found = evaluate(agent, Fixed("a"), rows=single, estimator=IPW(), interval=cap, reward_range=ends)
    assert found.n == 600
    assert found.low < 1.0 < found.high


def test_selling_beats_silence() -> None:
    """The policy's subjects are worth more than the holdout's, by the arms of the log."""
    subjects = joined(filled(holdout=0.3)).by_subject()
    assert difference(subjects.of("policy").reward, subjects.of("holdout").reward).low > 0.0
