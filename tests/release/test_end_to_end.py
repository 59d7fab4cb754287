"""A policy's whole life on simulated customers: from draft to champion, and a harmful one to rollback."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any

import attrs
import pytest

from agentic import Agent
from agentic.errors import ReleaseError
from agentic.evaluation import Joined, evaluate, joined, teach
from agentic.experiments import BettingTest
from agentic.policies import Fixed, LinearThompson, Split, Uniform
from agentic.release import (
    Evidence,
    Happens,
    Look,
    Move,
    Registry,
    Reward,
    Rollout,
    Shadow,
    evaluation_evidence,
    simulation_evidence,
)
from agentic.simulation import Trials, World, campaign, simulate
from agents import DAY

START = datetime.fromisoformat("2026-02-19T00:00:00+00:00")
METRICS = (Reward(BettingTest(low=-10.0, high=30.0, margin=0.05)), Happens("unsubscribe"))


class Over(Exception):  # noqa: N818 - no error
    """The rest of a simulation is of no interest."""


def watched(
    agent: Agent, world: World, rollout: Rollout, start: datetime, asked: Callable[[Look], None]
) -> list[Look]:
    """Weeks of customers, and a monitor that looks every morning until it is over."""
    looks: list[Look] = []

    def morning(done: int, _: int) -> None:
        if done % 3 == 0:
            looks.append(rollout.look(now=start + done // 3 * DAY))
            asked(looks[-1])
            if looks[-1].ended:
                raise Over

    with suppress(Over):
        simulate(agent, world, weeks=9, start=start, progress=morning)
    return looks


def judged(agent: Agent, policy: Any, first: Joined, second: Joined) -> Evidence:
    """By rows it was not taught on; it must earn nearly what was earned."""
    least = float(second.reward.mean()) - 0.25
    found = evaluate(agent, policy, rows=second)
    return evaluation_evidence(found, rows=second, training=first, at_least=least)


@pytest.fixture(scope="module")
def made() -> tuple[Agent, World, Joined, Joined]:
    """A campaign that has been decided at random for two weeks, and its log in two parts."""
    agent, world = campaign(Uniform(), customers=8000, seed=3, holdout=0.05, random_control=0.05)
    simulate(agent, world, weeks=2, start=START)
    first, second = joined(agent).split()
    return agent, world, first, second


def test_a_policy_goes_from_draft_to_champion_and_a_harmful_one_back(
    made: tuple[Agent, World, Joined, Joined],
) -> None:
    """Evidence at every step, people where they are asked, and the log tells all of it."""
    agent, world, first, second = made
    registry = Registry(agent)
    registry.govern(by="gil")
    good = teach(agent, LinearThompson(), first)
    version = registry.register(good, owner="olga", training=first).version

    # Draft: nobody puts it in charge, not even for a few.
    with pytest.raises(ReleaseError):
        agent.policy = good
    with pytest.raises(ReleaseError):
        agent.policy = Split(agent.policy, [(good, 0.01)])

    # Evaluated: by rows it did not learn from, and in a simulation.
    registry.attach(version, judged(agent, good, first, second), by="olga")
    trials = Trials(customers=1500, weeks=2)
    worth = [[trials.run(each, seed).benefit for seed in (1, 2, 3)] for each in (good, Uniform())]
    registry.attach(version, simulation_evidence(*worth), by="olga")
    assert registry.advance(version, by="olga").stage == "evaluated"

    # Shadow: beside the champion, on live traffic.
    assert registry.advance(version, by="olga").stage == "shadow"
    shadow = Shadow(agent, good, share=0.3, most_us=1e6)
    simulate(agent, world, weeks=1, start=START + 28 * DAY)
    seen = shadow.look()
    assert seen.weighed > 3000
    assert 0.2 < seen.distance < seen.other
    assert seen.value is not None
    assert seen.as_evidence().verdict in ("pass", "weak")
    registry.attach(version, seen, by="olga")

    # Canary: it waits for an approval, then ramps; promotion waits for another one.
    start = START + 56 * DAY
    rollout = Rollout(agent, good, metrics=METRICS, observe=2 * DAY, least=50, registry=registry)
    waits = rollout.start(now=start)
    assert (waits.move, waits.share) == (Move.HOLD, 0.0)
    assert "the registry waits for" in waits.reasons[0]
    registry.approve(version, "canary_1", by="ann", reason="shadow looks fine")

    def approve(look: Look) -> None:
        if look.share == 0.5 and "the registry waits for" in look.reasons[0]:
            registry.approve(version, "champion", by="ann", reason="proven")

    looks = watched(agent, world, rollout, start, approve)
    shares = list(dict.fromkeys(look.share for look in looks))
    assert shares == [0.01, 0.05, 0.1, 0.25, 0.5, 1.0]
    assert looks[-1].move is Move.PROMOTE
    champion = registry.champion
    assert champion is not None
    assert champion.version == version
    assert not isinstance(agent.policy, Split)
    # It went on learning all the while, so it is not the very one that began.
    assert registry.get(agent.policy_version).version == version

    # A policy that was taught with the wrong sign: evaluation shows it, and the gate refuses it.
    bad = teach(agent, LinearThompson(), attrs.evolve(first, reward=-first.reward))
    worse = registry.register(bad, owner="olga", training=first).version
    registry.attach(worse, judged(agent, bad, first, second), by="olga")
    with pytest.raises(ReleaseError):
        registry.advance(worse, by="olga")

    # A rule needs no evidence, and is harmful all the same: the rollout takes it back.
    rule = Fixed("voucher/email/morning")
    start += 84 * DAY
    rollout = Rollout(agent, rule, metrics=METRICS, observe=2 * DAY, least=50)
    rollout.start(now=start)
    looks = watched(agent, world, rollout, start, lambda _: None)
    assert looks[-1].move is Move.ROLL_BACK
    assert looks[-1].reasons == ("reward is worse, that is proven",)
    assert registry.get(agent.policy_version).version == version
    after = agent.decide_many(world.subjects[:500], now=start + 70 * DAY)
    assert {after.meta(row)["policy"] for row in range(500)} == {agent.policy_version}
    with pytest.raises(ReleaseError, match="was rolled back"):
        Rollout(agent, rule, metrics=METRICS, name="again").start()
    ends = [event.facts["move"] for event in agent.releases.events("rollout.moved")]
    assert [end for end in ends if end != "ramp"] == ["promote", "roll_back"]
