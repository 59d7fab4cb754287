"""What tests of replay share: an agent with every arm and failure in its log, and copies of that log."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import attrs
import numpy as np

from agentic import Action, Agent, F
from agentic.arrays import Block, Proposal
from agentic.features import Category, Number
from agentic.guardrails import FrequencyCap
from agentic.policies import Fixed
from agentic.provenance import MemoryLog
from agentic.rewards import Goals
from agents import DAY, NOON, names


@attrs.frozen
class Leans:
    """Odds by two features, with scores; fails on everybody whose ``x`` is below ``fails_below``."""

    name: str = "leans"
    slope: float = 1.0
    fails_below: float = attrs.field(default=-1.0, metadata={"derived": True})

    def propose(self, batch, /):
        x, tier = batch.X[:, 0], batch.X[:, 1]
        lean = np.linspace(0.0, self.slope, batch.allowed.shape[1])
        score = x[:, None] * lean + tier[:, None] * lean[::-1]
        weights = 0.1 + score
        weights[x < self.fails_below] = np.nan
        return Proposal(weights, score, 0.5 + score)


def leaning(policy: Any = None, **more: Any) -> Agent:
    """An agent with eligibility, a cap, a holdout, random control and an exploration floor."""
    parts: dict[str, Any] = {
        "features": [Number("x", low=0, high=1), Category("tier", ["free", "gold"])],
        "policy": Leans() if policy is None else policy,
        "guardrails": [FrequencyCap(1, per=DAY, each="channel")],
        "goals": Goals({"sale": 1.0}, window=DAY),
        "fallback": Fixed({"mail": 3.0, "push": 1.0}),
        "control": Fixed({"mail": 1.0, "no_action": 1.0}),
        "holdout": 0.2,
        "random_control": 0.1,
        "exploration_floor": 0.05,
        "zone": "UTC",
        "clock": lambda: NOON,
    }
    actions = [
        Action("mail", channel="email", cost=0.01),
        Action("push", channel="push"),
        Action("sms", channel="sms", cost=0.06, eligible=F("tier") == "gold"),
    ]
    return Agent("leaning", more.pop("actions", actions), **(parts | more))


def columns(n: int, seed: int = 0) -> dict[str, Any]:
    dice = np.random.default_rng(seed)
    return {"x": 0.01 + 0.98 * dice.random(n), "tier": np.array(["free", "gold"])[dice.integers(0, 2, n)]}


def worked(n: int = 300, **more: Any) -> Agent:
    """Two rounds for everybody; in the second the policy fails on a third of them."""
    agent = leaning(policy=Leans(fails_below=0.0), **more)
    agent.decide_many(names(n), columns(n), now=NOON)
    agent.policy = Leans(fails_below=0.3)
    agent.decide_many(names(n), columns(n, 1), now=NOON + timedelta(hours=1), slots=1)
    agent.policy = Leans()
    return agent


Change = Callable[[dict[str, Any], dict[str, Any]], None]


def copied(agent: Agent, change: Change, *, number: int = 0) -> MemoryLog:
    """The agent's log, with one decision block changed: columns are fresh copies, metas too."""
    log, seen = MemoryLog(), 0
    for _, block in agent.log.read():
        columns_: dict[str, Any] = {name: column.copy() for name, column in block.columns.items()}
        meta = dict(block.meta)
        if block.kind == "decision":
            if seen == number:
                change(columns_, meta)
            seen += 1
        log.append(Block(block.kind, columns_, meta))
    return log


def reopened(agent: Agent, log: MemoryLog, **more: Any) -> Agent:
    """The agent again, with another log and all the versions of its policy."""
    again = leaning(log=log, **more)
    for policy in list(agent._versions._held.values()):
        again.policy = policy
    return again
