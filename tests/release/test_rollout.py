"""A rollout ramps on final outcomes, rolls back on proven harm, holds on doubt, and moves once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest

from agentic import Agent
from agentic._codec import fingerprint
from agentic.arrays import Batch, Proposal
from agentic.errors import ConfigurationError, ReleaseError
from agentic.experiments import BettingTest, CountTest, MeanTest
from agentic.policies import Fixed, LinearThompson, Split
from agentic.release import (
    Happens,
    Look,
    Move,
    Need,
    Registry,
    Requirements,
    Reward,
    Rollout,
    Spent,
    Tripwires,
)
from agentic.rewards import Goals
from agents import DAY
from trials_of_two import ACTIONS, METRICS, NEW, OLD, at, parts, serve, shop, trying


def run(agent: Agent, rollout: Rollout, days: range, n: int = 5000, **more: Any) -> list[Look]:
    """Serve and look, day by day, until it is over."""
    looks = []
    for day in days:
        serve(agent, day, n, **more)
        looks.append(rollout.look(now=at(day)))
        if looks[-1].ended:
            break
    return looks


def whats(agent: Agent) -> list[str]:
    return [event.what for event in agent.releases.events("rollout.")]


def moved(agent: Agent) -> list[tuple[str, float]]:
    events = agent.releases.events("rollout.moved")
    return [(event.facts["move"], event.facts["share"]) for event in events]


def test_a_challenger_that_is_no_worse_goes_through_every_share_and_is_promoted() -> None:
    """Step by step, each time when enough is final; then it decides for all."""
    agent = shop()
    rollout = trying(agent)
    assert rollout.start(now=at(0)).move is Move.RAMP
    assert isinstance(agent.policy, Split)
    assert agent.policy.shares == (0.9, 0.1)
    looks = run(agent, rollout, range(1, 12))
    assert [look.move for look in looks if look.move is not Move.HOLD] == [Move.RAMP, Move.PROMOTE]
    assert moved(agent) == [("ramp", 0.1), ("ramp", 0.5), ("promote", 1.0)]
    assert (agent.policy, rollout.share, looks[-1].share) == (NEW, 1.0, 1.0)
    assert "is within its margin" in str(looks[-1])
    assert rollout.look(now=at(13)).reasons[0].startswith("it is over: sale is within")
    with pytest.raises(ReleaseError, match="is over"):
        rollout.start()


def test_proven_harm_rolls_back_to_the_champion() -> None:
    """Half the sales, a tenth of the customers, and one look."""
    agent = shop()
    rollout = trying(agent)
    rollout.start(now=at(0))
    last = run(agent, rollout, range(1, 12), rates={"old": 0.2, "new": 0.1})[-1]
    assert (last.move, last.share, last.ended) == (Move.ROLL_BACK, 0.0, True)
    assert last.reasons == ("sale is worse, that is proven",)
    assert (agent.policy, rollout.share) == (OLD, 0.0)
    batch = serve(agent, 13, 200)
    assert set(batch.action_ids) == {"old"}
    event = agent.releases.events("rollout.moving")[-1]
    assert event.facts["facts"]["sale"]["harmed"] is True
    assert event.facts["facts"]["sale"]["peak"] >= 2 / 0.05


def test_harm_on_a_guardrail_metric_rolls_back_however_good_the_reward() -> None:
    """It sells more, and annoys."""
    agent = shop()
    rollout = trying(agent)
    rollout.start(now=at(0))
    rates, complaints = {"old": 0.2, "new": 0.3}, {"old": 0.01, "new": 0.06}
    last = run(agent, rollout, range(1, 12), rates=rates, complaints=complaints)[-1]
    assert (last.move, last.reasons) == (Move.ROLL_BACK, ("complaint is worse, that is proven",))


def test_doubt_holds() -> None:
    """Somewhat fewer sales than the margin allows: neither proven harm nor proven safety, and no move."""
    agent = shop()
    rollout = trying(agent, steps=(0.5,))
    rollout.start(now=at(0))
    looks = run(agent, rollout, range(1, 8), n=400, rates={"old": 0.2, "new": 0.19})
    assert {look.move for look in looks} == {Move.HOLD}
    assert looks[-1].reasons == ("sale is not proven to be within its margin",)
    assert (rollout.share, looks[-1].ended) == (0.5, False)


def test_a_ramp_waits_while_harm_is_likely_but_not_proven() -> None:
    """An e-value of four is no proof, and no encouragement."""
    agent = shop()
    rollout = trying(agent, doubt=0.0)
    rollout.start(now=at(0))
    looks = run(agent, rollout, range(1, 6))
    assert {look.move for look in looks} == {Move.HOLD}
    assert looks[-1].reasons == ("sale may be worse", "complaint may be worse")


def test_only_final_outcomes_count_and_late_or_doubled_ones_do_not() -> None:
    """Nothing before the windows are over; repeats and latecomers change no number."""
    agent, twin = shop(), shop()
    rollouts = [trying(each) for each in (agent, twin)]
    for each, rollout in zip((agent, twin), rollouts, strict=True):
        rollout.start(now=at(0))
        ids = serve(each, 1, 3000).ids
        assert rollout.look(now=at(2.9)).matured == (0, 0)
        each.record_many(ids[:1000], "sale", at=at(1.1))
        if each is twin:
            each.record_many(ids[:1000], "sale", at=at(1.1))
            each.record_many(ids, "complaint", at=at(2.5))  # out of the window
        each.learn(now=at(3))
        if each is twin:
            each.record_many(ids, "sale", at=at(1.2))  # after it was final
            each.record_many(ids, "complaint", at=at(1.2))
    looks = [rollout.look(now=at(3)) for rollout in rollouts]
    assert looks[0].matured == looks[1].matured
    assert sum(looks[0].matured) == 3000
    assert looks[0].facts == looks[1].facts


def test_subjects_are_compared_once_a_step_however_often_they_come() -> None:
    """Their decisions within the time of observation add up to one."""
    agent = shop()
    rollout = trying(
        agent, steps=(0.5,), observe=3 * DAY, least=10_000, metrics=(Reward(MeanTest(margin=0.1)),)
    )
    rollout.start(now=at(0))
    look = run(agent, rollout, range(1, 12), n=300)[-1]
    assert sum(look.total) == 300
    facts = look.facts["reward"]
    assert facts["control_rows"] + facts["treatment_rows"] <= 300
    rewards = [block.columns["reward"].sum() for _, block in agent.log.read() if block.kind == "reward"]
    assert sum(rewards) > 0
    # Three days of four sales in twenty, of the twelve that were served.
    assert facts["estimate"] == pytest.approx(0.0, abs=0.4)


def test_holdout_random_and_earlier_decisions_do_not_count() -> None:
    """Whoever is not decided for by the policy in charge is on no side."""
    agent = shop(holdout=0.2, random_control=0.1)
    serve(agent, 0, 1000)
    rollout = trying(agent)
    rollout.start(now=at(0.5))
    look = run(agent, rollout, range(1, 4), n=1000)[-1]
    arms = [block.columns["arm"] for _, block in agent.log.read() if block.kind == "decision"][1]
    assert sum(look.total) == np.count_nonzero(arms == 0)


def test_those_who_moved_before_are_left_out_of_the_next_step() -> None:
    """A step compares who moves with who stays; the others know the challenger already."""
    agent = shop()
    rollout = trying(agent)
    rollout.start(now=at(0))
    looks = run(agent, rollout, range(1, 6), n=2000)
    ramp = next(look for look in looks if look.move is Move.RAMP)
    last = rollout.look(now=at(6))
    agent.learn(now=at(7))
    last = rollout.look(now=at(7))
    assert sum(last.matured) == 2000 - ramp.matured[1]


def test_a_sample_that_is_not_split_as_planned_pauses_everything() -> None:
    """Bots that one side attracts: no outcome is believed, and nothing moves, for better or worse."""
    agent = shop()
    rollout = trying(agent, steps=(0.5,))
    rollout.start(now=at(0))
    split = agent.policy
    assert isinstance(split, Split)
    batch = agent.decide_many([f"customer-{i}" for i in range(4000)], {"x": np.zeros(4000)}, now=at(1))
    rare = [name for name, key in zip(batch.subjects, batch.columns["key"], strict=True)]
    ours = split.side(batch.columns["key"]) == 1
    copies = [f"bot-{i}" for i in range(8000)]
    bots = agent.decide_many(copies[:1], {"x": np.zeros(1)}, now=at(1))
    assert len(bots) == 1
    keys = agent.decide_many(copies, {"x": np.zeros(8000)}, now=at(0.1))
    assert len(rare) == len(ours) == 4000
    bad = [name for name, side in zip(copies, split.side(keys.columns["key"]), strict=True) if side]
    # A new rollout, in which only those of one side ever come.
    rollout.roll_back("to begin anew", by="ann", now=at(1))
    other = trying(agent, Fixed({"new": 2.0, "old": 1.0}), name="second", steps=(0.5,))
    other.start(now=at(1))
    later = agent.policy
    assert isinstance(later, Split)
    keys = agent.plan and keys.columns["key"]
    theirs = [name for name, side in zip(copies, later.side(keys), strict=True) if side]
    assert bad != theirs
    agent.decide_many(theirs, {"x": np.zeros(len(theirs))}, now=at(1))
    agent.learn(now=at(4))
    look = other.look(now=at(4))
    assert (look.move, look.share) == (Move.HOLD, 0.5)
    assert "do not fall to the sides as planned" in look.reasons[0]
    assert look.facts["sample_ratio"]["skewed"] is True


@attrs.frozen
class Fails:
    """Raises for everybody, or answers with no numbers for some."""

    name: str = "fails"

    def propose(self, batch: Batch, /) -> Proposal:
        weights = np.where(batch.X[:, :1] < 0.1, np.nan, 1.0) * np.ones(batch.allowed.shape)
        return Proposal(weights)


@attrs.frozen
class Scores:
    """Gives scores, one of them infinite."""

    name: str = "scores"

    def propose(self, batch: Batch, /) -> Proposal:
        weights = np.ones(batch.allowed.shape)
        return Proposal(weights, np.where(batch.X[:, :1] < 0.2, np.inf, weights))


@pytest.mark.parametrize(
    ("champion", "challenger", "wires", "told"),
    [
        pytest.param(OLD, Fails(), Tripwires(), "it failed on", id="failing"),
        pytest.param(
            Fixed({"old": 1.0, "new": 1.0, "no_action": 1.0}),
            Fixed("no_action"),
            Tripwires(alike=0.995),
            "it chose one action 100.0% of the time",
            id="collapsed",
        ),
        pytest.param(OLD, Scores(), Tripwires(), "or an infinite one", id="infinite scores"),
        pytest.param(OLD, NEW, Tripwires(slowest_us=1e-6), "us on average", id="slow"),
    ],
)
def test_a_challenger_that_does_not_work_is_rolled_back_at_once(
    champion: Any, challenger: Any, wires: Tripwires, told: str
) -> None:
    """Before any outcome is final."""
    agent = shop(policy=champion)
    rollout = trying(agent, challenger, tripwires=wires)
    rollout.start(now=at(0))
    serve(agent, 1, 500)
    assert rollout.look(now=at(1)).move is Move.HOLD
    serve(agent, 1.5, 3000, first=500)
    look = rollout.look(now=at(1.5))
    assert (look.move, agent.policy) == (Move.ROLL_BACK, champion)
    assert told in look.reasons[0]


def test_a_policy_that_collapsed_like_its_champion_is_no_reason() -> None:
    """Rules choose one action for everybody, and so do others."""
    agent = shop()
    rollout = trying(agent, tripwires=Tripwires(alike=0.995))
    rollout.start(now=at(0))
    serve(agent, 1, 3000)
    assert rollout.look(now=at(1)).move is Move.HOLD


def test_a_rollback_keeps_what_the_champion_has_learned_meanwhile() -> None:
    """It returns to the champion of today, not to the one of when it began."""
    champion = LinearThompson()
    agent = shop(policy=champion)
    before = agent.policy
    rollout = trying(agent)
    rollout.start(now=at(0))
    for day in range(1, 4):
        serve(agent, day, 300)
    split = agent.policy
    assert isinstance(split, Split)
    assert fingerprint(split.champion) != fingerprint(before)
    rollout.roll_back("enough", by="ann", now=at(4))
    assert fingerprint(agent.policy) == fingerprint(split.champion)
    assert rollout.look(now=at(5)).reasons == ("it is over: enough",)
    assert agent.releases.events("rollout.moving")[-1].by == "ann"


def test_what_was_rolled_back_does_not_go_out_again_by_itself() -> None:
    """Neither under its name nor under another."""
    agent = shop()
    rollout = trying(agent)
    rollout.start(now=at(0))
    rollout.roll_back("a call", by="ann", now=at(1))
    assert rollout.roll_back("a call", by="ann", now=at(1)).reasons == ("it is over: a call",)
    with pytest.raises(ReleaseError, match="does not begin again"):
        rollout.start(now=at(2))
    for _ in range(3):
        assert rollout.look(now=at(3)).ended
    with pytest.raises(ReleaseError, match="was rolled back in rollout"):
        trying(agent, name="again").start(now=at(2))
    assert agent.policy == OLD
    assert moved(agent) == [("ramp", 0.1), ("roll_back", 0.0)]


def test_somebody_who_puts_another_policy_in_charge_ends_it() -> None:
    """Nothing is changed behind their back."""
    agent = shop()
    rollout = trying(agent)
    rollout.start(now=at(0))
    other = Fixed({"old": 1.0, "new": 2.0})
    agent.policy = other
    look = rollout.look(now=at(1))
    assert (look.move, look.ended, agent.policy) == (Move.GIVE_UP, True, other)
    assert rollout.share == 0.0


@pytest.mark.parametrize("stage", ["before the exchange", "after the exchange"])
@pytest.mark.parametrize("harm", [True, False], ids=["rollback", "ramp"])
def test_a_monitor_that_dies_between_two_steps_of_a_move_is_completed(
    monkeypatch: pytest.MonkeyPatch, stage: str, harm: bool
) -> None:
    """By whoever looks next, once."""
    agent = shop()
    dying, next_ = trying(agent), trying(agent)
    dying.start(now=at(0))
    for day in (1, 2, 3):
        serve(agent, day, 5000, rates={"old": 0.2, "new": 0.1 if harm else 0.2})
    real = agent.exchange

    def dies(expected: str, policy: Any) -> bool:
        if stage == "after the exchange":
            real(expected, policy)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(agent, "exchange", dies)
        with pytest.raises(KeyboardInterrupt):
            dying.look(now=at(3))
    assert whats(agent)[-1] == "rollout.moving"
    look = next_.look(now=at(3.5))
    assert moved(agent)[1:] == [("roll_back", 0.0) if harm else ("ramp", 0.5)]
    assert rollout_share(agent) == (0.0 if harm else 0.5)
    assert look.share == rollout_share(agent)
    serve(agent, 4, 500)
    next_.look(now=at(4))
    assert len(moved(agent)) == 2


def rollout_share(agent: Agent) -> float:
    return agent.policy.shares[1] if isinstance(agent.policy, Split) else 0.0


@pytest.mark.parametrize(
    "rates", [{"old": 0.2, "new": 0.1}, {"old": 0.2, "new": 0.2}], ids=["harm", "no harm"]
)
def test_monitors_that_race_make_one_move(tmp_path: Path, rates: dict[str, float]) -> None:
    """Eight of them in two agents on one file, all at once."""
    path = tmp_path / "shop.db"
    with (
        Agent.open(path, "shop", ACTIONS, challengers=[NEW], **parts()) as agent,
        Agent.open(path, "shop", ACTIONS, challengers=[NEW], **parts()) as other,
    ):
        trying(agent).start(now=at(0))
        for day in (1, 2, 3):
            serve(agent, day, 4000, rates=rates)
        looks: list[Look] = []
        gate = threading.Barrier(8)

        def watch(rollout: Rollout) -> None:
            gate.wait()
            looks.append(rollout.look(now=at(3)))

        threads = [threading.Thread(target=watch, args=[trying(each)]) for each in (agent, other) * 4]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(looks) == 8
        expected = ("roll_back", 0.0) if rates["new"] < 0.2 else ("ramp", 0.5)
        assert moved(agent) == [("ramp", 0.1), expected]
        assert whats(agent).count("rollout.moving") == 2
        for each in (agent, other):
            each.decide("somebody", {"x": 0.5}, now=at(3))
            assert rollout_share(each) == expected[1]


def test_a_look_changes_nothing_by_looking_again() -> None:
    """Neither what the tests say, nor the log: what is known is a function of the log."""
    agent = shop()
    rollout = trying(agent, least=10_000)
    rollout.start(now=at(0))
    once = run(agent, rollout, range(1, 6))[-1]
    many, length = [trying(agent, least=10_000).look(now=at(5)) for _ in range(3)], len(whats(agent))
    assert all(look.facts == once.facts for look in many)
    assert len(whats(agent)) == length


def test_looks_seldom_and_often_say_the_same() -> None:
    """What is proven does not hang on when somebody looked."""
    often, seldom = shop(), shop()
    rollouts = [trying(each, least=10_000) for each in (often, seldom)]
    for rollout in rollouts:
        rollout.start(now=at(0))
    run(often, rollouts[0], range(1, 9), n=1500)
    for day in range(1, 9):
        serve(seldom, day, 1500)
    assert rollouts[0].look(now=at(9)).facts == rollouts[1].look(now=at(9)).facts


@pytest.mark.parametrize(
    "test",
    [MeanTest(relative_margin=0.2), BettingTest(low=0.0, high=1.0, relative_margin=0.2)],
    ids=["mean", "betting"],
)
@pytest.mark.parametrize(
    ("rate", "move"), [(0.08, Move.ROLL_BACK), (0.3, Move.PROMOTE)], ids=["worse", "better"]
)
def test_rewards_are_compared_by_either_test(test: Any, rate: float, move: Move) -> None:
    """By means with a limit theorem, or by bets without one."""
    agent = shop()
    rollout = trying(agent, metrics=(Reward(test), Spent(MeanTest(worse="higher", least_carrying=1e9))))
    rollout.start(now=at(0))
    assert run(agent, rollout, range(1, 12), rates={"old": 0.2, "new": rate})[-1].move is move


def test_money_spent_is_a_metric() -> None:
    """The challenger's messages cost, the champion's do not."""
    agent = shop()
    rollout = trying(agent, metrics=(*METRICS, Spent(BettingTest(low=0.0, high=1.0, worse="higher"))))
    rollout.start(now=at(0))
    assert run(agent, rollout, range(1, 12))[-1].reasons == ("spent is worse, that is proven",)


def governed(agent: Agent) -> tuple[Registry, Any, str]:
    """A learned challenger that needs an approval to begin and one to end."""
    registry, challenger = Registry(agent), LinearThompson()
    needs = Requirements(evaluated=Need(), canary_1=Need((), 1), champion=Need(("promotion",), 1))
    registry.govern(needs, by="gil")
    version = registry.register(challenger, owner="olga").version
    return registry, challenger, version


def test_the_registry_goes_along_and_people_have_the_last_word() -> None:
    """Canary by canary with evidence; approvals are waited for, and asked for once; the champion changes."""
    agent = shop(policy=Fixed({"old": 1.0, "new": 1.0}))
    registry, challenger, version = governed(agent)
    settings: dict[str, Any] = {"steps": (0.01, 0.05, 0.1), "least": 20, "doubt": 1e9}
    metrics = (Happens("sale", CountTest(worse="lower", margin=0.5)),)
    rollout = trying(agent, challenger, registry=registry, metrics=metrics, **settings)
    waits = rollout.start(now=at(0))
    assert (waits.move, waits.share, agent.policy.name) == (Move.HOLD, 0.0, "fixed")
    assert all(reason.startswith("the registry waits for") for reason in waits.reasons)
    assert rollout.look(now=at(0)).reasons == waits.reasons
    registry.approve(version, "canary_1", by="ann")
    assert rollout.look(now=at(0)).move is Move.RAMP
    assert registry.stage(version) == "canary_1"
    rates = dict.fromkeys(("old", "new", "no_action"), 0.5)
    looks = run(agent, rollout, range(1, 14), n=6000, rates=rates)
    assert looks[-1].reasons[0].startswith("the registry waits for")
    assert (looks[-1].share, registry.stage(version)) == (0.1, "canary_10")
    kinds = [(each.kind, each.summary["share"]) for each in registry.get(version).evidence]
    assert kinds == [("canary", 0.01), ("canary", 0.05), ("canary", 0.1), ("promotion", 0.1)]
    registry.approve(version, "champion", by="ann")
    last = rollout.look(now=at(14))
    assert (last.move, last.ended) == (Move.PROMOTE, True)
    champion = registry.champion
    assert champion is not None
    assert champion.version == version


def test_a_rollback_retires_it_and_only_people_bring_it_back() -> None:
    """Registered anew it may be tried again, under another name."""
    agent = shop(policy=Fixed({"old": 1.0, "new": 1.0}))
    registry, challenger, version = governed(agent)
    rollout = trying(agent, challenger, registry=registry, steps=(0.01,))
    registry.advance(version, by="gil")
    registry.advance(version, by="gil")
    registry.approve(version, "canary_1", by="ann")
    rollout.start(now=at(0))
    rollout.roll_back("a call", by="ann", now=at(1))
    assert registry.stage(version) == "retired"
    again = trying(agent, challenger, registry=registry, name="again", steps=(0.01,))
    with pytest.raises(ReleaseError, match="was rolled back"):
        again.start(now=at(2))
    registry.register(challenger, owner="olga", now=at(2))
    assert again.start(now=at(3)).reasons[0].startswith("the registry waits for")


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"steps": ()}, "steps must be"),
        ({"steps": (0.5, 0.1)}, "steps must be"),
        ({"steps": (0.5, 1.0)}, "steps must be"),
        ({"metrics": ()}, "metrics must list"),
        ({"metrics": [Happens("refund")]}, "none of the agent's goals"),
        ({"metrics": [Happens("complaint")]}, "no metric has a margin"),
        ({"metrics": [*METRICS, Happens("complaint")]}, "a name of its own"),
        ({"alpha": 1.5}, "alpha must be"),
        ({"skew": 0}, "skew must be"),
        ({"least": 0}, "least must be"),
        ({"name": ""}, "name must be"),
        ({"observe": timedelta(0)}, "observe"),
        ({"registry": "here"}, "with a registry the steps are"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_nonsense_is_refused(wrong: dict[str, Any], told: str) -> None:
    """Before anything is logged."""
    agent = shop()
    with pytest.raises(ConfigurationError, match=told):
        trying(agent, **wrong)
    assert whats(agent) == []


def test_what_cannot_be_tried_is_refused() -> None:
    """No goals, no beginning, the champion itself, a second one at once."""
    with pytest.raises(ConfigurationError, match="has no goals"):
        trying(Agent("shop", ACTIONS))
    agent = shop()
    rollout = trying(agent)
    calls: list[Callable[[], Any]] = [rollout.look, lambda: rollout.roll_back("so", by="ann")]
    for call in calls:
        with pytest.raises(ReleaseError, match="has not begun"):
            call()
    with pytest.raises(ConfigurationError, match="is in charge of agent 'shop' already"):
        trying(agent, OLD).start()
    rollout.start(now=at(0))
    assert rollout.start(now=at(0)).reasons == ("it has begun before",)
    with pytest.raises(ConfigurationError, match="with 1 challengers is in charge"):
        trying(agent, Fixed("no_action"), name="other").start()
    with pytest.raises(ConfigurationError, match="began with other alpha"):
        trying(agent, alpha=0.1).look()
    with pytest.raises(ConfigurationError, match="test must be a test"):
        Reward("mean")
    with pytest.raises(ConfigurationError, match="test must be a test"):
        Happens("sale", CountTest)
    with pytest.raises(ConfigurationError, match="failed must be"):
        Tripwires(failed=-1)


def test_exposed_windows_are_waited_for_twice_as_long() -> None:
    """A window that starts at exposure may end two lengths after the decision."""
    goals = Goals({"sale": 1.0, "complaint": 0.0}, window=DAY, start="exposure")
    agent = shop(goals=goals)
    rollout = trying(agent)
    rollout.start(now=at(0))
    batch = serve(agent, 1, 1000)
    agent.record_many(batch.ids, "exposed", at=at(1.05))
    others = serve(agent, 2, 10, first=5000)
    agent.record_many(others.ids, "exposed", at=at(2.5))
    serve(agent, 3, 10, first=6000)
    assert rollout.look(now=at(3)).matured == (0, 0)
    serve(agent, 4, 10, first=7000)
    assert sum(rollout.look(now=at(4)).matured) == 1000


def test_nobody_is_named_in_what_is_logged() -> None:
    """Counts and estimates only."""
    agent = shop()
    rollout = trying(agent)
    rollout.start(now=at(0))
    look = run(agent, rollout, range(1, 5))[-1]
    told = str([event.facts for event in agent.releases.events()]) + str(look) + repr(look)
    assert "customer-" not in told
    assert CountTest().facts.keys() <= look.facts["sale"].keys()
