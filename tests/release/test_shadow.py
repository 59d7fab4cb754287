"""A shadow sees what a policy would do on live traffic, touches nothing, and costs no more than allowed."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

import attrs
import numpy as np
import pytest

from agentic import Agent
from agentic.arrays import Batch, Proposal
from agentic.errors import ConfigurationError
from agentic.evaluation import joined
from agentic.policies import Fixed, Uniform
from agentic.provenance import MemoryLog
from agentic.release import Shadow
from agents import DAY, NOON, names
from logs import filled, small, work
from replaying import Leans, columns, copied, leaning

OTHER = Fixed({"mail": 5.0, "push": 1.0, "no_action": 0.5})
OTHER_OF_SMALL = Fixed({"a": 1.0, "b": 3.0, "no_action": 1.0})


def rounds(agent: Agent, many: int = 3, n: int = 400, *, first: int = 0) -> Agent:
    """Decisions for everybody, outcomes of some, and all rewards but those of the last round closed."""
    dice = np.random.default_rng(first)
    for day in range(first, first + many):
        now = NOON + 3 * day * DAY
        agent.learn(now=now)
        batch = agent.decide_many(names(n), columns(n, day), now=now)
        glad = np.flatnonzero(dice.random(n) < np.where(batch.action_ids == "push", 0.5, 0.2))
        agent.record_many(batch.take(glad).ids, "sale", at=now + timedelta(hours=1))
    return agent


def everybody(agent: Agent, policy: Any, **more: Any) -> Shadow:
    return Shadow(agent, policy, **({"share": 1.0, "most_us": 1e9, "after": 0} | more))


@attrs.frozen
class Broken:
    """Raises, on everybody."""

    name: str = "broken"

    def propose(self, batch: Batch, /) -> Proposal:
        raise ZeroDivisionError("canary 42")


def test_a_shadow_counts_what_a_replay_with_another_policy_counts() -> None:
    """Of the policy arm: same draws, same worth."""
    agent = rounds(leaning())
    seen = everybody(agent, OTHER).look()
    changes = agent.replay(policy=OTHER).changes
    worth = agent.replay(policy=OTHER).worth
    assert changes is not None
    assert worth is not None
    by_arm = changes.by("arm")["policy"]
    assert (seen.weighed, seen.changes.changed) == (by_arm.decisions, by_arm.changed)
    assert seen.disagreement == by_arm.share
    assert seen.passed == 1200
    assert seen.value is not None
    assert seen.value.value == pytest.approx(worth.estimate.value, rel=1e-12)
    assert seen.value.standard_error == pytest.approx(worth.estimate.standard_error, rel=1e-12)
    assert seen.earned == pytest.approx(worth.earned)
    assert seen.pending == worth.pending


def test_looks_in_pieces_see_what_one_look_sees() -> None:
    """However often, however little at a time, and whoever was ahead when rewards came."""
    agent = leaning()
    often, little = everybody(agent, OTHER), everybody(agent, OTHER)
    for day in range(4):
        rounds(agent, 1, first=day)
        often.look()
    for _ in range(8):
        little.look(most=1)
    last = little.look(most=1)
    whole = everybody(agent, OTHER).look()
    for seen in (often.look(), last):
        assert seen.changes == whole.changes
        mine, theirs = ({k: v for k, v in s.facts.items() if "_us" not in k} for s in (seen, whole))
        assert mine.pop("verdict") == theirs.pop("verdict")
        assert mine == pytest.approx(theirs, rel=1e-9)


def test_distance_and_chance_are_those_of_the_two_policies() -> None:
    """Known in closed form: estimated from logged probabilities alone, within four standard errors."""
    agent = small(policy=Fixed({"a": 3.0, "b": 1.0, "no_action": 1.0}))
    dice = np.random.default_rng(5)
    for day in range(3):
        work(agent, day, 2000, dice)
    seen = everybody(agent, Fixed({"a": 1.0, "b": 3.0, "no_action": 1.0})).look()
    # p = .6 .2 .2, q = .2 .6 .2: distance .4; chance of another action 1 - sum p q = 1 - .28.
    assert seen.weighed == 6000
    assert seen.distance == pytest.approx(0.4, abs=4 * (2 / 3) * np.sqrt(0.6 * 0.4 / 6000))
    assert seen.other == pytest.approx(0.72, abs=4 * 0.4 * np.sqrt(0.24 / 6000))


def test_the_champion_in_its_own_shadow_agrees_with_itself() -> None:
    """Nothing changes, the distance is 0, and so is the gain."""
    agent = filled()
    seen = everybody(agent, agent.policy).look()
    assert (seen.disagreement, seen.distance) == (0.0, 0.0)
    assert seen.gain is not None
    assert seen.gain.value == pytest.approx(0.0, abs=1e-12)


def test_the_gain_holds_the_truth_and_knows_who_is_better() -> None:
    """A policy that always takes the better of two known actions, under a uniform champion."""
    agent = filled(2000)
    rows = joined(agent).of(["policy"])
    best = everybody(agent, Fixed("a")).look()
    assert best.value is not None
    assert best.gain is not None
    # "a" earns 2 x on average, x uniform: 1; by the log it is the mean of its rows.
    assert best.value.low <= 1.0 <= best.value.high
    assert best.gain.value == pytest.approx(best.value.value - rows.reward.mean(), rel=1e-9)
    assert 0.0 < best.gain.low < best.gain.high
    assert best.facts["verdict"] == "ok"
    assert "gain +" in str(best)


def test_a_share_of_subjects_is_followed_and_always_the_same() -> None:
    """By a hash, so within binomial error; another salt follows others."""
    agent = filled(3000)
    tenth = everybody(agent, Uniform(), share=0.1)
    seen = tenth.look()
    assert seen.passed == 9000
    assert seen.weighed % 3 == 0  # all three decisions of a subject, or none
    assert seen.weighed / 9000 == pytest.approx(0.1, abs=4 * np.sqrt(0.09 / 3000))
    assert everybody(agent, Uniform(), share=0.1).look().weighed == seen.weighed
    other = everybody(agent, Uniform(), share=0.1, salt="other").look()
    assert other.weighed != seen.weighed


def test_a_shadow_that_fails_is_counted_and_changes_no_decision() -> None:
    """It is not in the request path; what it raised is told by kind only."""
    agent, twin = leaning(), leaning()
    shadow = everybody(agent, Broken())
    for day in range(3):
        rounds(agent, 1, first=day)
        rounds(twin, 1, first=day)
        shadow.look()
    seen = shadow.report()
    for mine, theirs in zip(agent.log.read(), twin.log.read(), strict=True):
        if mine[1].kind == "decision":
            assert (mine[1].columns["action"] == theirs[1].columns["action"]).all()
    assert agent.failures == {}
    assert (seen.weighed, seen.value, seen.disagreement, seen.distance) == (0, None, 0.0, 0.0)
    assert seen.failed > 700
    assert seen.errors.keys() == {"ZeroDivisionError"}
    assert "canary" not in str(seen)
    assert "failed on" in str(seen)


def test_rows_on_which_it_answers_no_numbers_are_failures_and_the_others_count() -> None:
    """As the flow would take it: for those rows the fallback would have decided."""
    agent = rounds(leaning())
    seen = everybody(agent, Leans(fails_below=0.3)).look()
    assert seen.failed > 150
    assert seen.weighed > 400
    assert seen.errors.keys() == {"ValueError"}
    # Where it has an opinion it is that of the champion.
    assert seen.disagreement == 0.0
    assert seen.distance == pytest.approx(0.0, abs=1e-12)


def test_what_would_cost_more_than_allowed_is_skipped_and_counted() -> None:
    """By a timer that takes 2 ms a part: at 1 us a decision that pays for one part in two thousand rows."""
    agent = small()
    ticks = itertools.count(0, 2_000_000)
    shadow = Shadow(agent, Uniform(), share=1.0, most_us=1.0, timer=lambda: next(ticks))
    dice = np.random.default_rng(5)
    for day in range(40):
        work(agent, day, 200, dice)
        shadow.look()
    seen = shadow.report()
    assert seen.passed == 8000
    assert seen.weighed + seen.skipped == 8000
    assert seen.skipped > 6000
    assert seen.weighed >= 600  # and never gives up
    assert 0.5 < seen.cost_us <= 1.3
    assert f"{seen.skipped:,} skipped" in str(seen)


def test_a_shadow_begins_where_the_log_ends() -> None:
    """What is past is not live traffic, unless one asks for it."""
    agent = filled()
    shadow = Shadow(agent, Uniform(), share=1.0, most_us=1e9)
    assert shadow.look().passed == 0
    work(agent, 4, 50, np.random.default_rng(0))
    assert shadow.look().passed == 50
    assert shadow.next == len(agent.log)


def test_shadows_of_several_logs_are_reported_together() -> None:
    """Shards of one population: what adds up adds up, and the estimate is that of all rows."""
    whole, parts = leaning(), [leaning(), leaning()]
    rounds(whole)
    for part in parts:
        rounds(part)
    first, second = (everybody(part, OTHER) for part in parts)
    one, _ = first.look(), second.look()
    both = first.report(second)
    assert both.weighed == 2 * one.weighed
    assert both.passed == 2 * one.passed
    assert both.disagreement == pytest.approx(one.disagreement)
    assert both.changes.by("x").keys() == one.changes.by("x").keys()
    assert both.value is not None
    assert one.value is not None
    assert both.value.value == pytest.approx(one.value.value)
    assert first.report().weighed == one.weighed
    with pytest.raises(ConfigurationError, match="other actions"):
        first.report(everybody(small(), Uniform()))


def test_decisions_of_other_actions_are_not_guessed_at() -> None:
    """They are counted as unreadable."""
    agent = filled()
    older = Agent(
        "small",
        agent.plan.catalogue.actions[:1],
        features=agent.schema.features,
        policy=Uniform(),
        goals=agent.goals,
        log=agent.log,
    )
    seen = everybody(older, Uniform()).look()
    assert (seen.weighed, seen.unreadable) == (0, seen.passed)
    assert "could not be read" in str(seen)


@pytest.mark.parametrize(
    "wrong",
    [{"share": 0.0}, {"share": 1.5}, {"share": True}, {"most_us": 0}, {"most_us": float("nan")}, {"salt": 5}],
    ids=str,
)
def test_nonsense_is_refused(wrong: dict[str, Any]) -> None:
    """With the name and the value."""
    with pytest.raises(ConfigurationError, match=f"{next(iter(wrong))} must be"):
        Shadow(small(), Uniform(), **wrong)


def test_what_is_no_policy_is_refused() -> None:
    """Before anything is read."""
    with pytest.raises(ConfigurationError, match="policy"):
        everybody(small(), "champion")


def test_figures_can_be_stored_as_json() -> None:
    """What is not known is None, never NaN."""
    told = everybody(leaning(), OTHER).look().facts
    assert told["earned"] is None
    assert told["weighed"] == 0
    assert {type(fact) for fact in told.values()} <= {int, float, str, type(None)}


def test_evidence_passes_is_weak_or_fails() -> None:
    """As a registry keeps it."""
    agent = filled(2000)
    assert everybody(agent, Fixed("a")).look().as_evidence().verdict == "pass"
    assert everybody(agent, Fixed("no_action")).look().as_evidence().verdict == "fail"
    assert everybody(agent, Broken()).look().as_evidence().verdict == "fail"
    assert everybody(small(), OTHER_OF_SMALL).look().as_evidence().verdict == "fail"
    fresh = small()
    fresh.decide_many(names(50), now=NOON)
    seen = everybody(fresh, OTHER_OF_SMALL).look()
    assert (seen.value, seen.as_evidence().verdict) == (None, "weak")
    assert seen.as_evidence().summary["weighed"] == 50


def test_agents_that_share_a_log_are_kept_apart() -> None:
    """And an agent that never learns is shadowed without its worth."""
    log = MemoryLog()
    mine, theirs = small(log=log), small("other", log=log)
    for day in range(3):
        work(mine, day, 100, np.random.default_rng(day))
        work(theirs, day, 70, np.random.default_rng(day))
    shadow = everybody(mine, OTHER_OF_SMALL)
    assert shadow.policy == OTHER_OF_SMALL
    assert shadow.look().passed == 300
    alone = Agent("small", mine.plan.catalogue.actions[:2], log=MemoryLog())
    seen = everybody(alone, Fixed("a"))
    alone.decide_many(names(20), now=NOON)
    assert seen.look().weighed == 20


def test_subjects_that_nobody_follows_cost_nothing() -> None:
    """A part of the log without any of them."""
    agent = small(holdout=1.0)
    agent.decide_many(names(20), now=NOON)
    seen = everybody(agent, Uniform()).look()
    assert (seen.passed, seen.weighed, seen.cost_us) == (20, 0, 0.0)


class Reads:
    """A log that can be read, and does not tell how long it is."""

    def __init__(self) -> None:
        self._log = MemoryLog()

    def append(self, block: Any) -> Any:
        return self._log.append(block)

    def read(self, after: int = 0) -> Any:
        return self._log.read(after)


def test_a_log_that_does_not_tell_its_length_is_read_for_it() -> None:
    """Once a look."""
    agent = filled(100, log=Reads())
    assert Shadow(agent, Uniform()).next > 300
    assert everybody(agent, Uniform()).look().passed == 300
    assert Shadow(small(log=Reads()), Uniform()).next == 0


def test_a_damaged_record_is_not_guessed_at() -> None:
    """Features that cannot be encoded any more: unreadable, and the shadow goes on."""

    def damage(columns: dict[str, Any], meta: dict[str, Any]) -> None:
        columns["values"] = columns["values"].astype(object)
        columns["values"][:] = None

    agent = rounds(leaning(), 1)
    broken = leaning(log=copied(agent, damage))
    seen = everybody(broken, OTHER).look()
    assert (seen.weighed, seen.unreadable > 0) == (0, True)
