"""What tests of rollouts share: customers who answer two actions each with its own rate, day after day."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from agentic import Action, Agent
from agentic.experiments import CountTest
from agentic.features import Number
from agentic.policies import Fixed
from agentic.release import Happens, Rollout
from agentic.rewards import Goals
from agents import DAY, NOON

OLD, NEW = Fixed({"old": 1.0}), Fixed({"new": 1.0})
RATES = {"old": 0.2, "new": 0.2}
GOALS = Goals({"sale": 1.0, "complaint": 0.0}, window=DAY)
ACTIONS = [Action("old", channel="email"), Action("new", channel="push", cost=0.1)]
METRICS = (Happens("sale", CountTest(worse="lower", margin=0.2)), Happens("complaint"))


def parts(**more: Any) -> dict[str, Any]:
    made = {"features": [Number("x", low=0, high=1)], "policy": OLD, "goals": GOALS, "clock": lambda: NOON}
    return made | more


def shop(**more: Any) -> Agent:
    return Agent("shop", ACTIONS, **parts(**more))


def trying(agent: Agent, challenger: Any = NEW, **more: Any) -> Rollout:
    """A rollout in few and large steps."""
    settings: dict[str, Any] = {
        "name": "trial",
        "metrics": METRICS,
        "steps": (0.1, 0.5),
        "least": 50,
        "observe": DAY,
    }
    return Rollout(agent, challenger, **(settings | more))


def at(day: float) -> datetime:
    return NOON + timedelta(days=day)


def serve(
    agent: Agent,
    day: float,
    n: int = 2000,
    *,
    first: int = 0,
    rates: Mapping[str, float] = RATES,
    complaints: Mapping[str, float] | None = None,
    seed: int = 0,
) -> Any:  # a DecisionBatch
    """A day: everybody is decided for, some answer, and rewards of two days ago are final."""
    dice = np.random.default_rng([seed, round(10 * day)])
    agent.learn(now=at(day))
    names = [f"customer-{i}" for i in range(first, first + n)]
    batch = agent.decide_many(names, {"x": dice.random(n)}, now=at(day))
    for outcome, rate in (("sale", rates), ("complaint", complaints or {})):
        chance = np.array([rate.get(action, 0.0) for action in batch.action_ids])
        glad = np.flatnonzero(dice.random(n) < chance)
        agent.record_many(batch.take(glad).ids, outcome, at=at(day + 0.1))
    return batch
