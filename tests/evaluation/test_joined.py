"""An agent's decisions joined with their rewards, its own and nobody else's."""

from __future__ import annotations

import math

import numpy as np
import pytest

from agentic.errors import EvaluationError
from agentic.evaluation import IPW, evaluate, joined
from agentic.policies import Fixed, Uniform
from agentic.provenance import MemoryLog
from logs import DAY, NOON, filled, small, work


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


@pytest.mark.parametrize("others", [0, 2], ids=["equal", "different"])
def test_agents_on_one_log_keep_apart(others: int) -> None:
    """Rows, rewards and estimates are those of a log of one's own, whatever the neighbour's catalogue."""
    log = MemoryLog()
    shared = [small("one", log=log), small("two", log=log, others=others)]
    alone = [small("one"), small("two", others=others)]
    for day in range(3):
        for agents in (shared, alone):
            for agent, seed in zip(agents, (day, 10 + day), strict=True):
                work(agent, day, 200, np.random.default_rng(seed))
    for mine, own in zip(shared, alone, strict=True):
        found, expected = joined(mine), joined(own)
        assert len(found) == len(expected) == 600
        for name in ("key", "arm", "at", "action", "probability", "cost", "reward"):
            np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)
        one, other = (evaluate(agent, Fixed("a")) for agent in (mine, own))
        assert (one.value, one.low, one.high) == (other.value, other.low, other.high)


def test_of_a_slate_a_row_is_the_first_slot() -> None:
    """Two slots make one row, whose action, probability, price and reward are those of the first."""
    agent = small(policy=Fixed({"a": 1.0, "b": 1.0}))
    firsts = set()
    for i in range(8):
        decision = agent.decide(f"u{i}", {"x": 0.5}, slots=2, now=NOON)
        agent.record(decision.id, "sale", slot=1, at=NOON)
        agent.learn(now=NOON + DAY)
        rows = joined(agent)
        first = decision.choices[0]
        assert rows.reward[-1] == 0.0
        assert rows.catalogue.ids[rows.action[-1]] == first.action.id
        assert rows.probability[-1] == first.probability
        assert rows.cost[-1] == first.action.cost
        firsts.add(first.action.id)
    assert firsts == {"a", "b"}  # so that the price of a second slot would have shown


def test_the_parts_of_a_split_share_no_subject() -> None:
    """Every row is in one part, all rows of a subject in the same, and more rows move nobody."""
    agent = filled(400)
    rows = joined(agent)
    first, second = rows.split(0.3, salt="june")
    assert len(first) + len(second) == len(rows)
    assert not set(first.key.tolist()) & set(second.key.tolist())
    again = rows.take(np.arange(500)).split(0.3, salt="june")[0]
    np.testing.assert_array_equal(again.position, first.position[first.position <= rows.position[499]])
    # A binomial share of 400 subjects: four standard deviations.
    share = len(np.unique(first.key)) / 400
    assert abs(share - 0.3) < 4.0 * math.sqrt(0.3 * 0.7 / 400)


def test_the_salt_chooses_the_split() -> None:
    """Same salt, same parts; another salt, other parts."""
    rows = joined(filled(100))
    one, same, other = (rows.split(salt=salt)[0].position.tolist() for salt in ("x", "x", "y"))
    assert one == same
    assert one != other


@pytest.mark.parametrize("share", [0.0, 1.0, math.nan])
def test_a_part_is_neither_nothing_nor_all(share: float) -> None:
    """A share outside 0 to 1 is refused."""
    with pytest.raises(EvaluationError, match="share"):
        joined(small()).split(share)


def test_rows_stay_in_the_order_of_the_log() -> None:
    """However rows are asked for they come in order, so that estimates find the right decisions again."""
    agent = filled(100)
    rows = joined(agent)
    mixed = np.random.default_rng(7).permutation(len(rows))[:150]
    some, same = rows.take(mixed), rows.take(np.isin(np.arange(len(rows)), mixed))
    np.testing.assert_array_equal(some.position, same.position)
    np.testing.assert_array_equal(some.reward, same.reward)
    one, other = (evaluate(agent, Fixed("a"), rows=part) for part in (some, same))
    assert (one.value, one.low, one.high) == (other.value, other.low, other.high)
    assert rows.take(np.array([-1, 0])).position.tolist() == rows.position[[0, -1]].tolist()


def test_rows_can_be_chosen() -> None:
    """An estimate by some rows is that of these rows alone."""
    agent = filled(100)
    rows = joined(agent)
    part = rows.take(rows.action != rows.catalogue.idle)
    found = evaluate(agent, Uniform(), rows=part, estimator=IPW())
    assert found.n == len(part)
    assert found.value == pytest.approx(part.reward.mean(), abs=1e-12)
