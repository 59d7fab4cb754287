"""A policy's whole life on simulated customers: from draft to champion, and a harmful one to rollback."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import attrs
import numpy as np
import pytest

from agentic import Agent
from agentic.errors import ReleaseError
from agentic.evaluation import Joined, evaluate, joined, teach
from agentic.experiments import BettingTest
from agentic.policies import LinearThompson, Split, Uniform
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


def rolled_out(agent: Agent, world: World, challenger: Any, start: datetime, **more: Any) -> list[Look]:
    """Weeks of customers, and a monitor that looks every morning until it is over."""
    rollout = Rollout(agent, challenger, metrics=METRICS, observe=2 * DAY, least=50, **more)
    looks = [rollout.start(now=start)]

    def morning(done: int, _: int) -> None:
        if done % 3 == 0 and not looks[-1].ended:
            looks.append(rollout.look(now=start + done // 3 * DAY))

    simulate(agent, world, weeks=8, start=start, progress=morning)
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
    looks: list[Look] = []

    def morning(done: int, _: int) -> None:
        if done % 3 == 0 and not (looks and looks[-1].ended):
            looks.append(rollout.look(now=start + done // 3 * DAY))
            if any("waits for" in reason for reason in looks[-1].reasons) and looks[-1].share == 0.5:
                registry.approve(version, "champion", by="ann", reason="proven")

    simulate(agent, world, weeks=8, start=start, progress=morning)
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

    # Somebody overrides that. It is on record, and the rollout takes it back.
    registry.override(worse, "canary_50", by="bob", reason="we are in a hurry")
    later = rolled_out(agent, world, bad, start + 84 * DAY, registry=registry)
    assert later[-1].move is Move.ROLL_BACK
    assert later[-1].reasons[0].endswith("is worse, that is proven")
    assert registry.stage(worse) == "retired"
    assert registry.get(agent.policy_version).version == version
    after = agent.decide_many(world.subjects[:500], now=start + timedelta(days=170))
    assert {after.meta(row)["policy"] for row in range(500)} == {agent.policy_version}
    with pytest.raises(ReleaseError):
        Rollout(agent, bad, metrics=METRICS, name="again", registry=registry).start()
    told = [event.what for event in registry.history()]
    assert told.count("overridden") == 1
    assert (
        np.count_nonzero([event.what == "rollout.moved" for event in agent.releases.events()])
        == 6 + len({look.share for look in later if look.share}) + 1
    )
