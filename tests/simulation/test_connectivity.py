"""Customers come and go online by a hash of the time; messages wait or expire, and outcomes are told late."""

from __future__ import annotations

from datetime import timedelta

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentic import Agent, product
from agentic.guardrails import Consent
from agentic.policies import Fixed
from agentic.rewards import Goals
from agentic.simulation import (
    RETAIL,
    SCENARIOS,
    Connectivity,
    Moment,
    Reach,
    Scenario,
    Simulated,
    World,
    campaign,
    simulate,
)

HOUR = 3_600_000_000
START = 20_503 * 24 * HOUR
PATCHY = Connectivity(seed=7, patchy=0.6, offline=0.55, spell_hours=8.0)


def test_shares_and_stretches_are_as_declared() -> None:
    """The share offline, and the length of a stretch, within four standard errors of the closed form."""
    row = np.repeat(np.arange(4000), 60)
    at = START + np.tile(np.arange(60) * 8 * HOUR, 4000)
    online = PATCHY.online(row, at).reshape(4000, 60)
    patchy = ~online.all(axis=1)  # of 60 spells one is offline but with probability 0.45^60
    assert abs(patchy.mean() - 0.6) < 4 * np.sqrt(0.6 * 0.4 / 4000)
    off = ~online[patchy]
    assert abs(off.mean() - 0.55) < 4 * np.sqrt(0.55 * 0.45 / off.size)
    ends = off[:, :-1] & ~off[:, 1:]  # a stretch ends after each spell with probability 0.45
    assert abs(ends.sum() / off[:, :-1].sum() - 0.45) < 4 * np.sqrt(0.45 * 0.55 / off[:, :-1].sum())


@given(st.integers(0, 10**6), st.integers(START, START + 400 * 24 * HOUR))
def test_the_next_time_online_is_the_first(row: int, at: int) -> None:
    """Not before, online then, and at no time in between; what was told before is what was online last."""
    who, when = np.array([row]), np.array([at])
    (then,), (since,) = PATCHY.next_online(who, when).tolist(), PATCHY.reported_until(who, when).tolist()
    assert since <= at <= then
    assert PATCHY.online(who, np.array([then]))[0]
    if then == at:
        assert since == at
        return
    between = np.arange(at, then, HOUR // 2)
    assert not PATCHY.online(np.full(len(between), row), between).any()
    assert PATCHY.online(who, np.array([since - 1]))[0]
    assert not PATCHY.online(who, np.array([since]))[0]


def test_one_is_online_in_the_end_whatever_happens() -> None:
    """With 95 % offline a stretch may be long, and it ends; nobody waits for those who are always online."""
    lost = Connectivity(seed=1, patchy=1.0, offline=0.95, spell_hours=1.0)
    row, at = np.arange(5000), np.full(5000, START)
    assert lost.online(row, lost.next_online(row, at)).all()
    assert (lost.reported_until(row, at) <= at).all()
    for steady in (Connectivity(1, 0.0, 0.9, 8.0), Connectivity(1, 1.0, 0.0, 8.0)):
        assert steady.steady
        assert steady.online(row, at).all()
        assert steady.next_online(row, at) is at is steady.reported_until(row, at)


def test_spells_do_not_depend_on_how_they_are_asked() -> None:
    """One by one or all together, the same."""
    row, at = np.arange(300), START + np.arange(300) * HOUR
    together = PATCHY.next_online(row, at)
    alone = [int(PATCHY.next_online(row[i : i + 1], at[i : i + 1])[0]) for i in range(300)]
    np.testing.assert_array_equal(together, alone)


def test_a_message_waits_or_expires() -> None:
    """It arrives when the customer is next online, unless the channel gives up; silence always does."""
    world = World.of(500, seed=3, scenario=SCENARIOS["india_prepaid"])
    agent, _ = campaign(customers=1)
    catalogue, now, n = agent.plan.catalogue, START + 10 * HOUR, 500
    pair = [catalogue.column("voucher/push/now"), catalogue.idle]
    moment = Moment(np.arange(n), np.zeros(n), np.ones(n), np.zeros(n, np.bool_), np.full(n, 30.0))
    action = np.broadcast_to(pair, (n, 2))
    met, arrives = world.arrivals(moment, catalogue, action, now)
    then = world.connectivity.next_online(np.arange(n), np.full(n, now))
    in_time = then - now <= 24 * HOUR
    assert 0 < np.count_nonzero(~in_time) < np.count_nonzero(then > now) < n
    np.testing.assert_array_equal(arrives[:, 0], in_time)
    np.testing.assert_array_equal(met[:, 0], np.where(in_time, then, now))
    assert arrives[:, 1].all()
    assert (met[:, 1] == now).all()
    answer = world.response(moment, catalogue, action, now)
    assert (answer.click[~in_time, 0] == 0.0).all()
    assert (answer.unsubscribe[~in_time, 0] == 0.0).all()
    assert (answer.click[in_time, 0] > 0.0).all()


def texts(scenario: Scenario, start: str = "decision") -> tuple[Agent, Simulated]:
    agent = Agent(
        "texts",
        product({"message": ["voucher"], "channel": ["sms"]}),
        policy=Fixed("voucher/sms"),
        guardrails=[Consent("marketing")],
        goals=Goals({"click": 1.0}, window=timedelta(hours=72), start=start),  # type: ignore[arg-type]
        seed=1,
    )
    world = World.of(300, seed=2, scenario=scenario)
    return agent, simulate(agent, world, weeks=2)


@pytest.mark.parametrize("start", ["decision", "exposure"])
def test_outcomes_are_told_late_and_in_bursts(start: str) -> None:
    """Between the same clicks and their reports lies more time when connections come and go.

    Who is never offline long enough to lose a message fares the same; what expires tires nobody.
    """
    waits = {**RETAIL.channels, "sms": Reach(1.4, 0.98, waits_hours=2.0)}
    steady, patchy = (
        texts(attrs.evolve(RETAIL, channels=waits, patchy=share, offline=0.7, spell_hours=12.0), start)
        for share in (0.0, 0.8)
    )
    told = []
    for agent, _ in (steady, patchy):
        blocks = [block.columns for _, block in agent.log.read() if block.kind == "outcome"]
        assert agent.pending == 0
        told.append(sum(len(block["at"]) for block in blocks))
    assert 0 < told[1] < told[0]
    assert patchy[1].weekly.clicks.sum() < steady[1].weekly.clicks.sum()
    assert patchy[1].trust.mean() > steady[1].trust.mean()
    assert patchy[1].recorded["counted"] > 0


def test_an_unsubscription_is_heard_when_the_customer_is_online_again() -> None:
    """It holds from then on, and the customer is offline meanwhile."""
    rude = attrs.evolve(SCENARIOS["india_prepaid"], annoyance=0.2, patchy=1.0)
    agent, simulated = texts(rude)
    blocks = [(block.meta, block.columns) for _, block in agent.log.read() if block.kind == "fact"]
    row = {subject: i for i, subject in enumerate(simulated.world.subjects)}
    start = int(simulated.now[0]) // (24 * HOUR) * 24 * HOUR
    heard = 0
    for meta, columns in blocks:
        if meta["fact"] != "consent_withdrawn":
            continue
        for subject, at in zip(columns["subject"], columns["at"].tolist(), strict=True):
            if at > start:
                heard += 1
                who = np.array([row[subject]])
                # Told in a run after it was online: within the eight hours between two runs, or nine.
                since = simulated.world.connectivity.reported_until(who, np.array([at]))[0]
                assert at - since < 9 * HOUR
    assert heard > 30
