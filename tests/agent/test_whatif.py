"""What another policy would have changed, for whom, and what that would have been worth."""

from __future__ import annotations

import math
from collections import Counter
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentic import Action, Agent, Verdict
from agentic._whatif import _filed, _least
from agentic.evaluation import SNIPW, evaluate, joined, target_probabilities
from agentic.features import Number
from agentic.policies import Fixed, LinearThompson, Uniform
from agentic.rewards import Goals
from agents import DAY, NOON, names
from logs import filled, small
from replaying import columns, copied, leaning

OTHER = Fixed({"mail": 5.0, "push": 1.0, "no_action": 0.5})


def sold(rounds: int = 4, n: int = 400, **more: Any) -> Agent:
    """An agent with rewards for all but its last round."""
    agent, dice = leaning(**more), np.random.default_rng(3)
    for day in range(rounds):
        now = NOON + 3 * day * DAY
        batch = agent.decide_many(names(n), columns(n, day), now=now)
        glad = np.flatnonzero(dice.random(n) < np.where(batch.action_ids == "push", 0.5, 0.2))
        agent.record_many(batch.take(glad).ids, "sale", at=now + timedelta(hours=1))
        if day < rounds - 1:
            agent.learn(now=now + DAY)
    return agent


MADE = sold()


def logged(agent: Agent) -> tuple[list[Any], list[dict[str, Any]]]:
    """Every decision and what was known, in the order of the log."""
    batches = list(agent._archive.batches())
    return [d for b in batches for d in b], [
        agent.schema.describe(v, s)
        for b in batches
        for v, s in zip(b.columns["values"], b.columns["status"], strict=True)
    ]


def test_transitions_and_segments_are_those_counted_by_hand() -> None:
    """Decision by decision, with the same draws."""
    replayed = MADE.replay(policy=OTHER)
    changes = replayed.changes
    assert changes is not None
    decisions, known = logged(MADE)
    after = []
    for decision in decisions:
        one = MADE.replay(decision.id, policy=OTHER)
        (now,) = [action for action, count in one.after.items() if count]
        after.append(now)
        assert one.worth is None
    moved = [(d.action.id, a) for d, a in zip(decisions, after, strict=True) if d.action.id != a]
    assert changes.transitions == Counter(moved)
    assert list(changes.transitions.values()) == sorted(Counter(moved).values(), reverse=True)
    assert (changes.decisions, changes.changed) == (len(decisions), len(moved))
    assert changes.share == len(moved) / len(decisions)
    assert replayed.same == len(decisions) - len(moved)
    odd = [d.id for d, a in zip(decisions, after, strict=True) if d.action.id != a]
    assert list(replayed.changed) == odd[:1000]
    for name, values in (("arm", [d.arm for d in decisions]), ("tier", [k["tier"] for k in known])):
        all_, some = (
            Counter(values),
            Counter(v for v, d, a in zip(values, decisions, after, strict=True) if d.action.id != a),
        )
        found = changes.by(name)
        assert {value: (s.decisions, s.changed) for value, s in found.items()} == {
            value: (all_[value], some[value]) for value in all_
        }
    assert changes.by("arm")["holdout"].changed == 0 == changes.by("arm")["holdout"].share
    versions = changes.by("policy_version")
    assert list(versions) == [MADE.policy_version]
    quarters = list(changes.by("x").values())
    assert len(quarters) == 4
    assert sum(s.decisions for s in quarters) == len(decisions)
    assert sum(s.changed for s in quarters) == len(moved)
    assert max(s.decisions for s in quarters) < 0.3 * len(decisions)
    assert f"{len(moved):,} ({changes.share:.1%}) come out otherwise" in str(replayed)


def test_missing_values_flags_and_other_texts_are_segments_of_their_own() -> None:
    """A number that many have is one; none of it is lost."""
    made = leaning(guardrails=[])
    made.decide_many(
        names(60),
        {"x": [0.5] * 20 + [None] * 20 + [0.25] * 20, "tier": ["gold"] * 30 + ["odd"] * 10 + [None] * 20},
        now=NOON,
    )
    changes = made.replay(policy=Uniform()).changes
    assert changes is not None
    assert {v: s.decisions for v, s in changes.by("x").items()} == {"0.25": 20, "0.5": 20, "missing": 20}
    assert {v: s.decisions for v, s in changes.by("tier").items()} == {
        "gold": 30,
        "another value": 10,
        "missing": 20,
    }


def test_nothing_to_replay_changes_nothing() -> None:
    """No rows, no shares, no worth."""
    replayed = leaning().replay(policy=OTHER)
    assert replayed.changes is not None
    assert (replayed.changes.share, replayed.changes.segments, replayed.worth) == (0.0, (), None)
    assert replayed.identical


@given(st.lists(st.floats(allow_nan=False), min_size=2, max_size=30))
def test_numbers_are_filed_in_their_order_by_what_they_nearly_are(values: list[float]) -> None:
    """The edge is within 1 % below in size, and whole numbers up to 128 are exact."""
    ordered = np.sort(np.array(values))
    codes = _filed(ordered)
    assert (np.diff(codes) >= 0).all()
    for value, code in zip(ordered.tolist(), codes.tolist(), strict=True):
        edge = _least(code)
        assert abs(edge) <= abs(value)
        if 2.0**-63 < abs(value) < 2.0**63:
            assert abs(value - edge) < abs(value) / 128
    whole = np.arange(-128.0, 129.0)
    assert [_least(code) for code in _filed(whole).tolist()] == whole.tolist()


@pytest.mark.parametrize("other", [OTHER, Uniform(), Fixed("push"), Fixed("no_action")], ids=str)
def test_worth_is_what_evaluation_estimates_from_the_same_rows(other: Any) -> None:
    """To ten digits: one estimator, two ways to it."""
    worth = MADE.replay(policy=other).worth
    found = evaluate(MADE, other, estimator=SNIPW(), arms=("policy",))
    assert worth is not None
    mine, theirs = worth.estimate, found
    for name in ("value", "low", "high", "standard_error", "n"):
        assert getattr(mine, name) == pytest.approx(getattr(theirs, name), rel=1e-10, abs=1e-10), name
    assert mine.method == theirs.method
    for name in ("effective_rows", "mean_weight", "unseen_mass", "carrying_rows", "largest_weight"):
        here, there = getattr(mine.diagnostics, name), getattr(theirs.diagnostics, name)
        assert here == pytest.approx(there, rel=1e-10, abs=1e-10), name
    assert (mine.diagnostics.verdict, mine.diagnostics.reasons) == (
        theirs.diagnostics.verdict,
        theirs.diagnostics.reasons,
    )


def test_worth_is_the_textbook_formula() -> None:
    """sum(w r) / sum(w), by hand; decisions without a final reward are left out and counted."""
    worth = MADE.replay(policy=OTHER).worth
    assert worth is not None
    rows = joined(MADE).of(["policy"])
    target, _ = target_probabilities(MADE, OTHER, rows)
    weight = target[np.arange(len(rows)), rows.action] / rows.probability
    assert worth.estimate.value == pytest.approx(weight @ rows.reward / weight.sum(), rel=1e-12)
    assert worth.earned == pytest.approx(rows.reward.mean(), rel=1e-12)
    assert worth.decisions == len(rows)
    arms = np.concatenate([b.columns["arm"] for b in MADE._archive.batches()])
    assert worth.decisions + worth.pending == np.count_nonzero(arms == 0)
    assert worth.pending > 0
    assert f"({worth.pending:,} decisions without a final reward left out)" in str(MADE.replay(policy=OTHER))


def test_rows_that_nobody_can_have_logged_are_left_out() -> None:
    """An impossible probability weighs nothing, and is counted."""

    def forge(held: dict[str, Any], _: Any) -> None:
        held["probability"][2] = 0.0
        held["action"][3] = 99

    found = leaning(log=copied(MADE, forge)).replay(policy=OTHER)
    assert found.verdicts[Verdict.UNREADABLE] == 2
    assert found.worth is not None
    assert found.decisions == 1600 - 2


def test_the_interval_holds_the_truth_of_a_world_that_is_known() -> None:
    """Half the time `a` would have sold where x is high, so always `a` earns 2 x 0.5."""
    worth = filled(2000).replay(policy=Fixed("a")).worth
    assert worth is not None
    assert worth.estimate.low < 1.0 < worth.estimate.high
    assert worth.estimate.high - worth.estimate.low < 0.2


def test_without_support_there_is_no_precision() -> None:
    """What the log never did, it cannot price: no bounds, and the reason why."""
    made = small(policy=Fixed("a"), others=2)
    batch = made.decide_many(names(500), {"x": np.full(500, 0.5)}, now=NOON)
    made.record_many(batch.take(np.arange(100)).ids, "sale", at=NOON)
    made.learn(now=NOON + 2 * DAY)
    worth = made.replay(policy=Fixed("b")).worth
    assert worth is not None
    assert worth.estimate.diagnostics.verdict == "insufficient support"
    assert (worth.estimate.low, worth.estimate.high) == (-math.inf, math.inf)
    assert math.isinf(worth.estimate.standard_error)


def test_a_policy_that_learned_from_these_rows_is_doubted_as_evaluation_doubts_it() -> None:
    """It knows its luck."""
    made = sold(policy=LinearThompson())
    worth = made.replay(policy=made.policy).worth
    assert worth is not None
    assert "may have learned from" in worth.estimate.diagnostics.reasons[0]
    assert worth.estimate.diagnostics.verdict == "weak"


def test_slates_are_judged_by_their_first_slot() -> None:
    """As everywhere; a change in any slot is a change."""
    made = Agent(
        "slates",
        [Action("a"), Action("b"), Action("c")],
        features=[Number("x", low=0, high=1)],
        policy=Uniform(),
        goals=Goals({"sale": 1.0}, window=DAY),
    )
    batch = made.decide_many(names(800), {"x": np.full(800, 0.5)}, slots=2, now=NOON)
    made.record_many(batch.take(np.arange(0, 800, 3)).ids, "sale", slots=[0] * 267, at=NOON)
    made.learn(now=NOON + 2 * DAY)
    other = Fixed({"a": 2.0, "b": 1.0, "no_action": 1.0})
    replayed = made.replay(policy=other)
    found = evaluate(made, other, estimator=SNIPW(), arms=("policy",))
    assert replayed.worth is not None
    assert replayed.worth.estimate.value == pytest.approx(found.value, rel=1e-10)
    assert replayed.changes is not None
    assert sum(replayed.changes.transitions.values()) >= replayed.changes.changed
    assert replayed.decisions == 800
