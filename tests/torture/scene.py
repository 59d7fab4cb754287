"""The agent that is tortured: small, with every kind of rule, of record and of lesson."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from agentic import Action, Agent
from agentic.features import Category, Number
from agentic.guardrails import Budget, Consent, FrequencyCap, Suppression
from agentic.policies import LinearThompson
from agentic.rewards import Goals

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
NAME = "tortured"
CAP = 2
PER = 7 * DAY
WINDOW = 3 * DAY
WEIGHTS = {"purchase": 1.0, "unsubscribe": -5.0, "visit": 0.25}
TERMINAL = ("unsubscribe",)
AMOUNT = 40.0
LEASE = 0.2
ACTIONS = [
    Action("sms", channel="sms", cost=0.12),
    Action("push", channel="push", cost=0.03),
    Action("email", channel="email", cost=0.01),
]


def parts(*, budget: float | None = AMOUNT, **more: Any) -> dict[str, Any]:
    rules = [Consent("marketing"), Suppression(), FrequencyCap(CAP, per=PER)]
    if budget is not None:
        rules.append(Budget(budget, lease=LEASE))
    usual: dict[str, Any] = {
        "features": [Number("x", low=0, high=1), Category("tier", ["free", "gold"])],
        "policy": LinearThompson(),
        "guardrails": rules,
        "goals": Goals(WEIGHTS, window=WINDOW, terminal=TERMINAL),
        "clock": lambda: NOON,
        "exploration_floor": 0.05,
    }
    return usual | more


def opened(
    path: str | Path,
    name: str = NAME,
    *,
    durability: Any = "process",
    budget: float | None = AMOUNT,
    **more: Any,
) -> Agent:
    """The agent on this file."""
    return Agent.open(path, name, ACTIONS, durability=durability, **parts(budget=budget, **more))


def in_memory(name: str = NAME, *, budget: float | None = AMOUNT, **more: Any) -> Agent:
    """Its twin that has no file."""
    return Agent(name, ACTIONS, **parts(budget=budget, **more))
