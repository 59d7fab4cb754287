"""What people do while something is tried: they look at every message, say no, and let old records go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest

from agentic import Agent
from agentic.policies import Fixed, LinearThompson
from agentic.release import Move, Registry, Requirements
from trials_of_two import ACTIONS, NEW, OLD, at, parts, serve, shop, trying


@pytest.mark.parametrize("level", ["suggest_only", "approve_each"])
def test_what_was_not_done_is_no_evidence(level: str) -> None:
    """Neither suggestions nor what waits in vain: else it is nothing that looks the same on both sides."""
    agent = shop()
    rollout = trying(agent)
    rollout.start(now=at(0))
    agent.oversight.set(level, by="Ann", reason="a new policy", now=at(0))
    serve(agent, 0, 500, rates={"old": 1.0, "new": 0.0})
    agent.learn(now=at(3))
    assert rollout.look(now=at(3)).total == (0, 0)
    agent.oversight.set("autonomous", by="Ann", reason="it is fine", now=at(3))
    serve(agent, 3, 500, first=500)
    agent.learn(now=at(6))
    assert sum(rollout.look(now=at(6)).total) == 500


def test_what_people_said_no_to_is_no_evidence_and_what_they_said_yes_to_is() -> None:
    """Who rejects what the challenger says would do it harm that customers never saw."""
    agent = shop()
    rollout = trying(agent, steps=(0.5,))
    rollout.start(now=at(0))
    agent.oversight.set("approve_each", by="Ann", reason="a new policy", now=at(0))
    batch = serve(agent, 0, 60, rates={"old": 1.0, "new": 1.0})
    kept = 0
    for row, decision in enumerate(batch):
        if row % 3 == 0:
            agent.oversight.approve(decision.id, by="Ann", now=at(0.2))
            kept += 1
        elif row % 3 == 1:
            agent.oversight.reject(decision.id, by="Ann", reason="no", now=at(0.2))
        else:
            agent.oversight.override(decision.id, "old", by="Ann", reason="better", now=at(0.2))
    agent.learn(now=at(3))
    assert sum(rollout.look(now=at(3)).total) == kept


def test_what_a_look_finds_outlives_the_records_that_told_of_the_beginning(tmp_path: Path) -> None:
    """Events are carried over to the end of the log; the steps are where they were."""

    def opened() -> Agent:
        return Agent.open(tmp_path / "shop.db", "shop", ACTIONS, challengers=[NEW], **parts())

    with opened() as agent:
        rollout = trying(agent, least=10**6)
        rollout.start(now=at(0))
        for day in range(1, 7):
            serve(agent, day, 5000, first=5000 * day)
        agent.learn(now=at(12))
        before = rollout.look(now=at(12))
        assert agent.privacy.drop(at(4), now=at(12))
        here = trying(agent, least=10**6).look(now=at(12))
    with opened() as agent:
        after = trying(agent, least=10**6).look(now=at(12))
        assert after.total == here.total
        assert 0 < sum(after.total) <= sum(before.total) == 30_000
        serve(agent, 12, 5000)
        agent.learn(now=at(15))
        assert sum(trying(agent, least=10**6).look(now=at(15)).total) == sum(after.total) + 5000


def test_a_rollback_and_what_the_registry_says_of_it_stand_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who dies before the registry was told leaves the rollback to be completed, all of it, once."""
    challenger = LinearThompson()
    made: dict[str, Any] = parts(policy=Fixed({"old": 1.0, "new": 1.0}))
    with Agent.open(tmp_path / "shop.db", "shop", ACTIONS, challengers=[challenger], **made) as agent:
        registry = Registry(agent)
        registry.govern(Requirements(), by="gil")
        registry.register(challenger, owner="olga")
        registry.override(challenger, "canary_50", by="gil", reason="a hurry")
        rollout = trying(agent, challenger=challenger, registry=registry, steps=(0.01,))
        rollout.start(now=at(0))
        real = agent.releases.append

        def dies(what: str, *rest: Any, **more: Any) -> Any:
            if what == "retired":
                raise KeyboardInterrupt
            return real(what, *rest, **more)

        with monkeypatch.context() as patched:
            patched.setattr(agent.releases, "append", dies)
            with pytest.raises(KeyboardInterrupt):
                rollout.roll_back("a call", by="ann", now=at(1))
    with Agent.open(tmp_path / "shop.db", "shop", ACTIONS, challengers=[challenger], **made) as agent:
        registry = Registry(agent)
        rollout = trying(agent, challenger=challenger, registry=registry, steps=(0.01,))
        assert rollout.look(now=at(2)).move is Move.ROLL_BACK
        assert registry.stage(challenger) == "retired"
        assert [len(registry.history(challenger)), len(agent.releases.events("rollout.moved"))] == [3, 2]
        rollout.look(now=at(3))
        assert [len(registry.history(challenger)), len(agent.releases.events("rollout.moved"))] == [3, 2]


@pytest.mark.parametrize("change", ["more", "less", "another", "none"])
def test_who_changes_shares_by_hand_ends_it(change: str) -> None:
    """What was decided by whom is not what the steps say any more; the challenger can still be taken out."""
    agent = shop()
    rollout = trying(agent, steps=(0.2, 0.5), least=1)
    rollout.start(now=at(0))
    challengers: dict[str, Any] = {
        "more": [(NEW, 0.3)],
        "less": [(NEW, 0.05)],
        "another": [(NEW, 0.2), (Fixed({"old": 1.0, "new": 1.0}), 0.2)],
        "none": [],
    }
    agent.policy = changed = attrs.evolve(agent.policy, challengers=challengers[change])
    serve(agent, 1, 500)
    agent.learn(now=at(5))
    look = rollout.look(now=at(5))
    assert (look.move, look.ended, agent.policy) == (Move.GIVE_UP, True, changed)
    assert "by hand" in look.reasons[0]
    rollout.roll_back("a call", by="ann", now=at(6))
    assert agent.policy == OLD


def test_a_person_rolls_back_what_somebody_changed_by_hand() -> None:
    """Before anybody has looked."""
    agent = shop()
    rollout = trying(agent)
    rollout.start(now=at(0))
    agent.policy = attrs.evolve(agent.policy, challengers=[(NEW, 0.3), (Fixed({"new": 2.0}), 0.2)])
    assert rollout.roll_back("a call", by="ann", now=at(1)).ended
    assert agent.policy == OLD


@pytest.mark.parametrize(
    "facts",
    [
        {"move": "nonsense"},
        {"move": ["ramp"]},
        {"move": "ramp"},
        {"move": "ramp", "share": "x", "reasons": 3},
    ],
    ids=str,
)
@pytest.mark.parametrize("what", ["rollout.moving", "rollout.moved"])
def test_what_no_rollout_says_stops_no_rollout(what: str, facts: dict[str, Any]) -> None:
    """Anybody may log events with a dot in their name."""
    agent = shop()
    rollout = trying(agent)
    rollout.start(now=at(0))
    agent.releases.append(what, {"rollout": "trial", **facts}, by="x")
    assert rollout.look(now=at(1)).move is Move.HOLD
    assert rollout.roll_back("a call", by="ann", now=at(1)).ended
    assert agent.policy == OLD
