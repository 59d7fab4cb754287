"""What tests of evaluation share: a small agent, and a log of it whose truth is known."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from agentic import Action, Agent
from agentic.features import Number
from agentic.policies import Uniform
from agentic.rewards import Goals

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)


def small(name: str = "small", *, others: int = 0, **more: Any) -> Agent:
    """An agent with two actions, and as many others as wanted."""
    return Agent(
        name,
        [
            Action("a", channel="push", cost=0.5),
            Action("b", channel="email"),
            *(Action(f"c{i}", channel="email") for i in range(others)),
        ],
        features=[Number("x", low=0, high=1)],
        policy=more.pop("policy", Uniform()),
        goals=Goals({"sale": 2.0}, window=DAY),
        **more,
    )


def work(agent: Agent, day: int, n: int, dice: np.random.Generator) -> None:
    """One round of decisions; a sale follows ``a`` where x is high and ``b`` where it is low."""
    x = dice.random(n)
    now = NOON + 2 * day * DAY
    batch = agent.decide_many([f"s{i}" for i in range(n)], {"x": x}, now=now)
    likes = np.where(batch.action_ids == "a", x, np.where(batch.action_ids == "b", 1 - x, 0.1))
    sold = np.flatnonzero(dice.random(n) < likes)
    agent.record_many(batch.take(sold).ids, "sale", at=now + timedelta(hours=1))
    agent.learn(now=now + DAY)


def filled(n: int = 600, **more: Any) -> Agent:
    """Three rounds of ``work``."""
    agent = small(**more)
    dice = np.random.default_rng(1)
    for day in range(3):
        work(agent, day, n, dice)
    return agent
