"""What tests of releases share: an agent with a registry, evidence, and a version taken to a stage."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from agentic import Action, Agent
from agentic.policies import EpsilonGreedy, Fixed, LinearThompson, Softmax, SquareCB
from agentic.release import STAGES, Evidence, Registry, Version
from agentic.rewards import Goals

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
RULES = Fixed("push")
LEARNERS: list[Callable[[], Any]] = [SquareCB, EpsilonGreedy, Softmax, LinearThompson]

PASSED = {
    "evaluation": Evidence("evaluation", "pass", {"seen": 0, "training": None, "verdict": "ok"}),
    "simulation": Evidence("simulation", "pass", {"difference": 0.5}),
    "shadow": Evidence("shadow", "pass", {"rows": 1000}),
    "canary": Evidence("canary", "pass", {"share": 0.5}),
    "promotion": Evidence("promotion", "pass", {"lower": 0.01}),
}
_NEEDED = {
    "evaluated": ("evaluation", "simulation"),
    "canary_1": ("shadow",),
    "canary_5": ("canary",),
    "champion": ("promotion",),
}


def made(path: Path | None = None, *, name: str = "shop", **parts: Any) -> Agent:
    """An agent whose clock stands still: in memory, or on a file."""
    given: dict[str, Any] = {
        "policy": RULES,
        "goals": Goals({"purchase": 1.0}, window=timedelta(hours=1)),
        "clock": lambda: NOON,
        **parts,
    }
    actions = [Action("push", channel="push"), Action("sms", channel="sms", cost=0.1)]
    if path is None:
        return Agent(name, actions, **given)
    return Agent.open(path, name, actions, durability="process", **given)


def carried(registry: Registry, policy: Any, stage: str) -> Version:
    """Take a registered policy to a stage, the honest way."""
    here = STAGES.index(registry.stage(policy))
    for after in STAGES[here + 1 : STAGES.index(stage) + 1]:
        for kind in _NEEDED.get(after, ()):
            registry.attach(policy, PASSED[kind], by="Bob")
        if registry.requirements.of(after).approvals:
            registry.approve(policy, after, by="Ann")
        registry.advance(policy, after, by="Bob")
    return registry.get(policy)


def taught(agent: Agent, n: int = 30, day: int = 0) -> None:
    """Have it decide for some, let some of them buy, and learn."""
    at = NOON + timedelta(days=2 * day)
    batch = agent.decide_many([f"customer-{i}" for i in range(n)], now=at)
    agent.record_many(batch.ids[::3], "purchase", at=at)
    agent.learn(now=at + timedelta(days=1))
