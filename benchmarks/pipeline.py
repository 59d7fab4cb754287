"""What is measured: an agent as an application would have it, and the rows it decides."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from agentic import Action, Agent, ConsentGranted, ZoneKnown
from agentic.arrays import Batch, Block, Feedback, Receipt, Space
from agentic.catalogue import Catalogue
from agentic.features import Category, Flag, Number, Schema
from agentic.guardrails import Budget, Consent, FrequencyCap, QuietHours
from agentic.policies import LinearThompson
from agentic.protocols import Feature, Policy, ProvenanceLog
from agentic.rewards import Goals

NOON: Final = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
DAY: Final = timedelta(days=1)
APART: Final = 3 * DAY  # decisions of one subject, so that the caps look at sends but leave a choice
ZONES: Final = ("Europe/Berlin", "Europe/London", "Asia/Kolkata")  # none is quiet at noon in UTC
TIERS: Final = ("free", "silver", "gold")
NUMBERS: Final = tuple(f"number_{i}" for i in range(15))

# 15 numbers, 3 columns of a category, a flag and the constant: d = 20.
FEATURES: Final[tuple[Feature, ...]] = (
    *(Number(name, low=0, high=100) for name in NUMBERS),
    Category("tier", TIERS),
    Flag("app"),
)


class CountingLog:
    """Keeps nothing but numbers: a log for measuring what else takes memory."""

    def __init__(self) -> None:
        self.count = 0

    def append(self, block: Block, /) -> Receipt:
        first = self.count
        self.count += len(block)
        return Receipt(first, len(block))

    def read(self, after: int = 0, /) -> Iterator[tuple[Receipt, Block]]:
        return iter(())


def actions(k: int) -> list[Action]:
    """Candidates that make ``k`` together with doing nothing."""
    channels = (("email", 0.01), ("sms", 0.12), ("push", 0.0))
    return [
        Action(f"action_{i:03}", channel=channels[i % 3][0], cost=channels[i % 3][1]) for i in range(k - 1)
    ]


def context(n: int, seed: int = 0) -> dict[str, Any]:  # columns of any kind
    """Features of ``n`` subjects, by column."""
    dice = np.random.default_rng(seed)
    columns: dict[str, Any] = {name: dice.uniform(0, 100, n) for name in NUMBERS}
    columns["tier"] = [TIERS[i] for i in dice.integers(0, len(TIERS), n).tolist()]
    columns["app"] = dice.random(n) < 0.5
    return columns


def space(k: int) -> Space:
    schema = Schema.of(FEATURES)
    return Space(
        Catalogue.of(actions(k)), schema.width, schema.encoded, schema.fields, dict(schema.categories)
    )


def encoded(n: int, seed: int = 0) -> npt.NDArray[np.float64]:
    """The same features as a policy sees them, shape (n, 20)."""
    schema = Schema.of(FEATURES)
    return schema.encode(schema.gather([""] * n, context(n, seed), (), 0).matrix)


def batch(n: int, k: int) -> Batch:
    """Rows for a bare policy: nobody is denied anything."""
    X, zeros = encoded(n), np.zeros(n, dtype=np.int64)
    return Batch(
        catalogue=space(k).catalogue,
        keys=np.arange(n, dtype=np.uint64),
        now=zeros,
        delivery=np.broadcast_to(zeros[:, None], (n, k)),
        zone=np.full(n, -1, dtype=np.int16),
        X=X,
        columns={},
        allowed=np.ones((n, k), dtype=np.bool_),
    )


def feedback(n: int, k: int, seed: int = 1) -> Feedback:
    """Rewards of actions taken by lot, one in ten; each action suits other subjects."""
    dice = np.random.default_rng(seed)
    X, action = encoded(n, seed), dice.integers(0, k, n)
    taste = dice.normal(0, 0.03, (k, X.shape[1]))
    reward = (dice.random(n) < 0.1 + np.einsum("nd,nd->n", X, taste[action])).astype(np.float64)
    return Feedback(
        catalogue=space(k).catalogue,
        X=X,
        action=action,
        reward=reward,
        probability=np.full(n, 1.0 / k),
        allowed=np.ones((n, k), dtype=np.bool_),
        keys=np.arange(n, dtype=np.uint64),
        at=np.zeros(n, dtype=np.int64),
    )


def names(n: int, start: int = 0) -> list[str]:
    return [f"c{i}" for i in range(start, start + n)]


def agent(
    k: int = 10,
    *,
    log: ProvenanceLog | None = None,
    goals: Goals | None = None,
    trained_on: int = 20_000,
    policy: Policy | None = None,
) -> Agent:
    """The full pipeline: consent, two caps, quiet hours, a budget, and Thompson sampling that has learned."""
    if policy is None:
        policy = LinearThompson().bind(space(k)).learn(feedback(trained_on, k))
    return Agent(
        "benchmark",
        actions(k),
        features=FEATURES,
        policy=policy,
        guardrails=[
            Consent("marketing"),
            FrequencyCap(3, per=7 * DAY),
            FrequencyCap(1, per=DAY, each="channel"),
            QuietHours("21:00", "09:00"),
            Budget(1e9),
        ],
        goals=goals,
        log=log,
    )


def introduce(agent: Agent, subjects: list[str]) -> None:
    """Tell the agent what it must know before it may send anything."""
    agent.tell_many(subjects, ConsentGranted("marketing"), now=NOON)
    for i, zone in enumerate(ZONES):
        if subjects[i :: len(ZONES)]:
            agent.tell_many(subjects[i :: len(ZONES)], ZoneKnown(zone), now=NOON)
