"""Our learners for ``quality.py``: through the policy protocol, and through a whole agent."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt

from agentic import Action, Agent
from agentic._noise import fold, keyed, uniform
from agentic.arrays import Batch, Feedback, Space
from agentic.catalogue import Catalogue
from agentic.features import Number
from agentic.policies import LinearThompson, LinearUCB, RandomFeatures, SquareCB
from agentic.protocols import Learner
from agentic.rewards import Goals

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
AT = int(NOON.timestamp()) * 1_000_000


def _catalogue(k: int) -> Catalogue:
    """One action for each class; doing nothing is the last one."""
    return Catalogue.of([Action(f"class_{i:05d}") for i in range(k - 1)])


class ThroughPolicy:
    """Binds, proposes, draws and learns as an agent does, and nothing else."""

    def __init__(self, policy: Any, k: int, d: int, seed: int) -> None:
        self.catalogue = _catalogue(k)
        encoded = (*(f"x{i}" for i in range(d - 1)), "bias")
        space = Space(self.catalogue, d, encoded, frozenset(), {})
        self.policy: Learner = policy.bind(space)
        self.seed = int(fold(seed, 1)[0])
        self.row = 0

    def _batch(self, X: F64) -> Batch:
        n, k = len(X), len(self.catalogue)
        keys = np.arange(self.row, self.row + n, dtype=np.uint64)
        now = np.full(n, AT)
        return Batch(
            catalogue=self.catalogue,
            keys=keys,
            now=now,
            delivery=np.broadcast_to(now[:, None], (n, k)),
            zone=np.zeros(n, dtype=np.int16),
            X=X,
            columns={},
            allowed=np.ones((n, k), dtype=np.bool_),
        )

    def decide(self, X: F64, /) -> I64:
        of = self._batch(X)
        weights = self.policy.propose(of).weights
        drawn = uniform(keyed(self.seed, of.keys, np.zeros(len(X), dtype=np.uint64)))
        ladder = np.add.accumulate(weights, axis=1)
        action: I64 = (ladder <= (drawn * ladder[:, -1])[:, None]).sum(axis=1)
        np.minimum(action, len(self.catalogue) - 1, out=action)
        self.probability = weights[np.arange(len(X)), action] / ladder[:, -1]
        return action

    def learn(self, X: F64, action: I64, reward: F64, /) -> None:
        n, k = len(X), len(self.catalogue)
        self.policy = self.policy.learn(
            Feedback(
                catalogue=self.catalogue,
                X=X,
                action=action,
                reward=reward,
                probability=self.probability,
                allowed=np.ones((n, k), dtype=np.bool_),
                keys=np.arange(self.row, self.row + n, dtype=np.uint64),
                at=np.full(n, AT),
            )
        )
        self.row += n


class ThroughAgent:
    """A whole agent: numbers with a declared range, logged decisions, rewards when their windows close."""

    def __init__(self, policy: Any, k: int, d: int, seed: int) -> None:
        self.ids = _catalogue(k).ids
        self.names = [f"x{i}" for i in range(d - 1)]
        settings = {} if policy is None else {"policy": policy}
        self.agent = Agent(
            f"quality-{seed}",
            actions=[Action(each) for each in self.ids if each != "no_action"],
            features=[Number(name, low=-10.0, high=10.0) for name in self.names],
            goals=Goals({"right": 1.0}, window=timedelta(hours=1), terminal=["right"]),
            seed=seed,
            clock=lambda: self.now,
            **settings,
        )
        self.now = NOON
        self.row = 0

    def decide(self, X: F64, /) -> I64:
        subjects = [f"s{self.row + i}" for i in range(len(X))]
        self.row += len(X)
        context = {name: X[:, i] for i, name in enumerate(self.names)}
        self.decided = self.agent.decide_many(subjects, context, now=self.now)
        place = {each: column for column, each in enumerate(self.ids)}
        return np.array([place[each] for each in self.decided.action_ids.tolist()])

    def learn(self, X: F64, action: I64, reward: F64, /) -> None:
        ids = [each for each, right in zip(self.decided.ids, reward, strict=True) if right]
        if ids:
            self.agent.record_many(ids, "right", at=self.now)
        self.now += timedelta(hours=2)
        self.agent.learn(now=self.now)


def _policies() -> dict[str, Any]:
    return {
        "ours LinearThompson()": LinearThompson(),
        "ours LinearUCB()": LinearUCB(),
        "ours RandomFeatures()": RandomFeatures(),
        "ours SquareCB()": SquareCB(),
    }


def learners(*, agent: bool) -> dict[str, Callable[[int, int, int], Any]]:
    """Our learners by name, at their defaults."""

    def through(policy: Any, kind: Any) -> Callable[[int, int, int], Any]:
        return lambda k, d, seed: kind(policy, k, d, seed)

    made = {name: through(policy, ThroughPolicy) for name, policy in _policies().items()}
    if agent:
        made["ours Agent()"] = through(None, ThroughAgent)
        made["ours Agent(LinearThompson())"] = through(LinearThompson(), ThroughAgent)
    return made
