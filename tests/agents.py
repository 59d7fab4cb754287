"""What tests of the agent share: a whole agent, its customers, and what they are like."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from agentic import Action, Agent, ConsentGranted
from agentic.arrays import Feedback
from agentic.catalogue import Catalogue
from agentic.features import Category, Number
from agentic.guardrails import Consent, Cooldown, FrequencyCap, QuietHours
from agentic.policies import LinearThompson
from agentic.rewards import Goals

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
"""A Monday noon in UTC."""

DAY = timedelta(days=1)

ACTIONS = [
    Action("push_new", channel="push"),
    Action("push_old", channel="push"),
    Action("sms_voucher", channel="sms", cost=0.12),
    Action("sms_plain", channel="sms", cost=0.06),
    Action("email_digest", channel="email", cost=0.01),
    Action("email_offer", channel="email", cost=0.01),
]
FEATURES = [
    *(Number(f"f{i}", low=-3, high=3) for i in range(6)),
    Category("tier", ["free", "silver", "gold"]),
]


def names(n: int, first: int = 0) -> list[str]:
    return [f"customer-{i}" for i in range(first, first + n)]


def context(n: int, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    columns: dict[str, Any] = {f"f{i}": rng.standard_normal(n) for i in range(6)}
    columns["tier"] = np.array(["free", "silver", "gold"])[rng.integers(0, 3, n)]
    return columns


def rows(columns: dict[str, Any], index: Any) -> dict[str, Any]:
    return {name: column[index] for name, column in columns.items()}


def one(columns: dict[str, Any], row: int) -> dict[str, Any]:
    return {name: column[row].item() for name, column in columns.items()}


def agent(name: str = "test", *, guardrails: Sequence[Any] | None = None, **more: Any) -> Agent:
    rules = [
        Consent("marketing"),
        FrequencyCap(2, per=7 * DAY),
        FrequencyCap(1, per=2 * DAY, each="channel"),
        Cooldown(timedelta(hours=20)),
        QuietHours("21:00", "08:00"),
    ]
    parts: dict[str, Any] = {
        "features": FEATURES,
        "policy": LinearThompson(),
        "goals": Goals({"purchase": 1.0, "unsubscribe": -5.0}, window=3 * DAY),
        "zone": "UTC",
        "clock": lambda: NOON,
    }
    return Agent(name, ACTIONS, guardrails=rules if guardrails is None else guardrails, **(parts | more))


def consenting(agent: Agent, subjects: Sequence[str]) -> Agent:
    agent.tell_many(subjects, ConsentGranted("marketing"))
    return agent


def teach(agent: Agent, n: int = 4000, seed: int = 9) -> None:
    """Publish a policy with opinions, learned from made-up feedback."""
    rng = np.random.default_rng(seed)
    catalogue: Catalogue = agent.plan.catalogue
    k, width = len(catalogue), agent.plan.space.width
    X = rng.random((n, width))
    X[:, -1] = 1.0
    action = rng.integers(0, k, n)
    truth = rng.normal(0, 0.3, (width, k))
    feedback = Feedback(
        catalogue=catalogue,
        X=X,
        action=action,
        reward=(X @ truth)[np.arange(n), action] + rng.normal(0, 0.5, n),
        probability=np.full(n, 1 / k),
        allowed=np.ones((n, k), dtype=np.bool_),
        keys=rng.integers(1, 1 << 62, n).astype(np.uint64),
        at=np.full(n, 1_000_000),
    )
    agent.policy = agent.policy.learn(feedback)  # type: ignore[attr-defined]
