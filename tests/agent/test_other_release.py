"""A file outlives releases: actions, features and goals change, while what was logged before stays true."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agentic import Action, Agent
from agentic._verdicts import Verdict
from agentic.evaluation import joined
from agentic.features import Category, Number
from agentic.guardrails import FrequencyCap
from agentic.policies import Fixed, LinearThompson
from agentic.rewards import Goals
from agentic.testing import FakeClock

START = datetime(2026, 3, 2, 12, tzinfo=UTC)
DAY = timedelta(days=1)
PUSH, SMS = Action("push", channel="push"), Action("sms", channel="sms")
BEFORE, AFTER = Action("aaa", channel="push"), Action("zzz", channel="email")
AGE, TIER = Number("age", low=0, high=120), Category("tier", ["free", "gold"])

ALARMING = {Verdict.RECORD_TAMPERED, Verdict.UNREADABLE, Verdict.POLICY_DIFFERS}
OTHER = [
    pytest.param({"actions": [PUSH, SMS, AFTER]}, id="an action more, last"),
    pytest.param({"actions": [BEFORE, PUSH, SMS]}, id="an action more, first"),
    pytest.param({"actions": [SMS]}, id="an action less"),
    pytest.param({"actions": [BEFORE, SMS]}, id="an action in the place of another"),
    pytest.param({"features": [AGE, TIER]}, id="a feature more"),
    pytest.param({"features": [TIER]}, id="a feature in the place of another"),
    pytest.param({"features": []}, id="a feature less"),
    pytest.param({"features": [Number("age", low=0, high=9)]}, id="a feature encoded otherwise"),
    pytest.param({"goals": Goals({"aaa": 5.0, "buy": 1.0}, window=DAY)}, id="a goal more"),
    pytest.param({"goals": Goals({"aaa": 5.0}, window=DAY)}, id="a goal in the place of another"),
]


def release(path: Path, clock: FakeClock, **other: Any) -> Agent:
    parts: dict[str, Any] = {
        "actions": [PUSH, SMS],
        "features": [AGE],
        "policy": LinearThompson(),
        "guardrails": [FrequencyCap(3, per=DAY)],
        "goals": Goals({"buy": 1.0, "see": 0.5}, window=DAY),
        "clock": clock,
        "durability": "process",
    } | other
    return Agent.open(path, "shop", parts.pop("actions"), **parts)


def work(agent: Agent, prefix: str, n: int = 30) -> list[str]:
    known = {"age": [30.0 + i for i in range(n)]} if "age" in agent.schema.names else {}
    goal = next(iter(agent.goals.values)) if agent.goals is not None else ""
    ids = agent.decide_many([f"{prefix}{i}" for i in range(n)], known).ids
    agent.record_many(ids[::2], goal)
    return ids


@pytest.mark.parametrize("other", OTHER)
def test_the_next_release_goes_on(other: dict[str, Any], tmp_path: Path) -> None:
    """With what the one before learned, as far as that fits, and with the rewards that are still to come."""
    path, clock = tmp_path / "agent.db", FakeClock(START)
    with release(path, clock) as old:
        before = work(old, "a")
        clock.advance(2 * DAY)
        old.learn()
        first = old.decide("anna", {"age": 40.0}, request_id="q").choices[0].action.id
        before += work(old, "b")
        told = {one: old.explain(one).decision.choices[0].action.id for one in before}
        struck = {one: old.explain(one).decision.reasons for one in before}
    with release(path, clock, **other) as new:
        work(new, "c")
        assert new.decide("anna", request_id="q").choices[0].action.id == first
        assert {one: new.explain(one).decision.choices[0].action.id for one in before} == told
        assert {one: new.explain(one).decision.reasons for one in before} == struck
        assert new.privacy.export("a1")["decisions"]
        both = new.decide_many(["anna", "new"], request_ids=["q", "q"])
        assert both[0].choices[0].action.id == first
        assert set(both[1].reasons) <= {"NOT_ELIGIBLE"}  # what there is no more
        assert both[0].degraded == ()
        clock.advance(2 * DAY)
        assert new.learn().closed == 62
        assert new.learn().closed == 0
        assert new.relearn().differ == ()
        assert not ALARMING & set(new.replay().verdicts)
        rows = joined(new)
        assert len(rows)
        assert rows.action.max() < len(rows.catalogue)


@pytest.mark.parametrize("other", OTHER)
def test_releases_work_side_by_side(other: dict[str, Any], tmp_path: Path) -> None:
    """Neither stumbles over what the other decides, records and learns."""
    path, clock = tmp_path / "agent.db", FakeClock(START)
    with release(path, clock) as old, release(path, clock, **other) as new:
        for _ in range(3):
            for agent in (old, new):
                work(agent, f"{len(agent.log)}-", 5)
            clock.advance(2 * DAY)
            for agent in (new, old):
                agent.learn()
                assert agent.pending == 0
        assert not ALARMING & set(old.replay().verdicts)
        assert not ALARMING & set(new.replay().verdicts)


def test_rewards_stay_with_the_action_they_are_about(tmp_path: Path) -> None:
    """An action took the place of another in the catalogue: what the other earned does not pass to it."""
    path, clock = tmp_path / "agent.db", FakeClock(START)
    with release(path, clock, policy=Fixed(PUSH)) as old:
        work(old, "a")
    with release(path, clock, actions=[BEFORE, SMS], policy=LinearThompson()) as new:
        clock.advance(2 * DAY)
        assert (new.learn().used, len(joined(new))) == (0, 0)


def test_outcomes_stay_what_they_were_called(tmp_path: Path) -> None:
    """A goal took the place of another: what was told of the other earns nothing."""
    path, clock = tmp_path / "agent.db", FakeClock(START)
    with release(path, clock, goals=Goals({"buy": 1.0}, window=DAY)) as old:
        work(old, "a")
    with release(path, clock, goals=Goals({"aaa": 100.0}, window=DAY)) as new:
        assert new.privacy.export("a0")["outcomes"][0]["outcome"] == "buy"
        clock.advance(2 * DAY)
        new.learn()
        assert joined(new).reward.max() == 0.0
