"""What happens at the very moment of a move: others who move too, or stand in the way."""

from __future__ import annotations

from typing import Any

import pytest

from agentic import Agent
from agentic.errors import ReleaseError
from agentic.policies import Fixed, LinearThompson, Split
from agentic.provenance import MemoryLog
from agentic.release import Move, Registry, Requirements, Shadow
from agentic.release._story import BEGAN, MOVED, Story, told
from trials_of_two import ACTIONS, NEW, OLD, at, serve, shop, trying


def begun(agent: Agent, **more: Any) -> Any:  # a Rollout
    rollout = trying(agent, **more)
    rollout.start(now=at(0))
    return rollout


def test_a_monitor_that_promotes_while_a_person_rolls_back_does_not_win(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The promotion went by what was known before."""
    agent = shop()
    rollout, real, times = begun(agent), agent.exchange, 0

    def late(expected: str, policy: Any) -> bool:
        nonlocal times
        times += 1
        if times == 1:
            agent.policy = NEW  # what a promotion does
        return real(expected, policy)

    with monkeypatch.context() as patched:
        patched.setattr(agent, "exchange", late)
        look = rollout.roll_back("a call", by="ann", now=at(1))
    assert (look.move, agent.policy, times) == (Move.ROLL_BACK, OLD, 2)


def test_a_person_who_rolls_back_outranks_a_promotion_that_was_decided(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And a monitor that decided something else waits for the next look."""
    agent = shop()
    rollout, mover = begun(agent), trying(agent)._mover
    story = mover.story()

    def dies(_: str, __: Any) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(agent, "exchange", dies)
        with pytest.raises(KeyboardInterrupt):
            mover.make(story, Move.PROMOTE, 1.0, ["fine"], {}, None)
    assert mover.make(story, Move.RAMP, 0.5, ["more"], {}, None) is False
    assert rollout.roll_back("a call", by="ann", now=at(1)).ended
    assert agent.policy == OLD
    assert mover.make(story, Move.RAMP, 0.5, ["more"], {}, None) is False


def test_a_promotion_that_was_decided_is_completed_by_the_next_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its proof was logged with it."""
    agent = shop()
    rollout, mover = begun(agent), trying(agent)._mover

    def dies(_: str, __: Any) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(agent, "exchange", dies)
        with pytest.raises(KeyboardInterrupt):
            mover.make(mover.story(), Move.PROMOTE, 1.0, ["it is proven"], {}, None)
    look = rollout.look(now=at(1))
    assert (look.move, look.share, look.reasons, agent.policy) == (Move.PROMOTE, 1.0, ("it is proven",), NEW)


def test_nobody_gives_up_while_the_split_is_in_charge_and_nobody_ramps_what_is_not() -> None:
    """Whoever was told otherwise was told before."""
    agent = shop()
    rollout, mover = begun(agent), trying(agent)._mover
    assert mover.make(mover.story(), Move.GIVE_UP, 0.0, ["gone"], {}, None) is False
    moving = agent.releases.events("rollout.moving")[0]
    other = Fixed({"old": 1.0, "new": 2.0})
    agent.policy = other
    assert mover.finish(moving, None) is False
    assert mover.make(mover.story(), Move.RAMP, 0.5, ["more"], {}, None) is False
    assert (agent.policy, rollout.share) == (other, 0.1)


def test_a_policy_that_changes_all_the_time_is_given_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a thousand tries, with an error that says so; the move stays decided."""
    agent = shop()
    rollout = begun(agent)
    with monkeypatch.context() as patched:
        patched.setattr(agent, "exchange", lambda *_: False)
        with pytest.raises(ReleaseError, match="1,000 times"):
            rollout.roll_back("a call", by="ann", now=at(1))
    assert rollout.look(now=at(2)).move is Move.ROLL_BACK
    assert agent.policy == OLD


def test_stories_leave_out_what_they_do_not_know() -> None:
    """Events of other rollouts, of other kinds, and from before the beginning."""
    agent = shop()
    rollout = begun(agent)
    events = agent.releases.events("rollout.")
    assert told(events, "nobody's").began is None
    assert told([event for event in events if event.what != BEGAN], "trial").steps == ()
    agent.releases.append("rollout.danced", {"rollout": "trial"}, by="ann")
    assert rollout.share == 0.1
    rollout.roll_back("a call", by="ann", now=at(1))
    story = told(agent.releases.events("rollout."), "trial")
    assert story.after(events[0]) is story
    first = next(event for event in events if event.what == MOVED)
    assert Story().after(first).steps == ()


def test_agents_that_share_a_log_have_rollouts_of_their_own() -> None:
    """One's decisions are none of the other's."""
    log = MemoryLog()
    mine = shop(log=log)
    theirs = Agent("other", ACTIONS, policy=OLD, goals=mine.goals, log=log)
    rollout = begun(mine)
    for day in (1, 2, 3):
        serve(mine, day, 500)
        theirs.decide_many([f"somebody-{i}" for i in range(50)], now=at(day))
        theirs.learn(now=at(day))
    assert sum(rollout.look(now=at(3)).total) == 500


def test_the_registry_may_be_ahead_or_have_retired_it() -> None:
    """An override needs no evidence; what is retired goes no further; a champion is rolled back."""
    agent = shop(policy=Fixed({"old": 1.0, "new": 1.0}))
    registry, challenger = Registry(agent), LinearThompson()
    registry.govern(Requirements(), by="gil")
    version = registry.register(challenger, owner="olga").version
    registry.override(version, "canary_50", by="gil", reason="a hurry")
    rollout = begun(agent, challenger=challenger, registry=registry, steps=(0.01, 0.05), least=10, doubt=1e9)
    assert isinstance(agent.policy, Split)
    registry.retire(version, by="ann", reason="a doubt")
    for day in (1, 2, 3):
        serve(agent, day, 5000, rates=dict.fromkeys(("old", "new", "no_action"), 0.5))
    look = rollout.look(now=at(3))
    assert look.reasons == ("the registry has retired it: register it anew",)
    assert rollout.roll_back("a call", by="ann", now=at(4)).ended
    assert registry.stage(version) == "retired"


def test_a_champion_of_the_registry_that_is_rolled_back_gives_way() -> None:
    """The registry knew of a promotion that never came to be."""
    agent = shop(policy=Fixed({"old": 1.0, "new": 1.0}))
    registry, challenger = Registry(agent), LinearThompson()
    registry.register(agent.policy, owner="olga")
    registry.override(agent.policy, "champion", by="gil", reason="it always was")
    version = registry.register(challenger, owner="olga").version
    registry.override(version, "champion", by="gil", reason="a hurry")
    rollout = begun(agent, challenger=challenger, registry=registry, steps=(0.01,))
    assert rollout.name == "trial"
    assert rollout.roll_back("a call", by="ann", now=at(4)).ended
    champion = registry.champion
    assert champion is not None
    assert champion.version == agent.policy_version


def test_nothing_is_final_before_anything_was_decided() -> None:
    """An outcome of before the rollout belongs to nobody in it."""
    agent = shop()
    ids = serve(agent, 0, 50).ids
    rollout = begun(agent)
    agent.record_many(ids, "complaint", at=at(0.2))
    agent.learn(now=at(2))
    assert rollout.look(now=at(2)).total == (0, 0)


class Grows(MemoryLog):
    """A log to which others append while it is read."""

    end: int | None = None

    def __len__(self) -> int:
        return super().__len__() if self.end is None else self.end


def test_what_is_appended_while_somebody_looks_waits_for_the_next_look() -> None:
    """Decisions, rewards and outcomes alike."""
    log = Grows()
    agent = shop(log=log)
    rollout = begun(agent)
    shadow = Shadow(agent, NEW, share=1.0, most_us=1e9)
    serve(agent, 1, 400)
    log.end = len(log)
    serve(agent, 2, 300, first=400)
    serve(agent, 3, 10, first=1000)
    assert (shadow.look().passed, rollout.look(now=at(3)).total) == (400, (0, 0))
    log.end = None
    assert (shadow.look().passed, sum(rollout.look(now=at(3)).total)) == (710, 400)
    assert shadow.report().pending < 710
