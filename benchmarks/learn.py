"""How fast is learning? By the policy alone beside peers, and through the agent; in bulk and one by one."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from datetime import timedelta

import attrs
import numpy as np
from benchmarks import peers, pipeline
from benchmarks.measure import Figure, Options, Report, best, by_turns, figure, rate, seconds, tell, versus

from agentic.policies import FactoredThompson, LinearThompson, SquareCB
from agentic.protocols import Learner
from agentic.rewards import Goals

WINDOW = timedelta(days=3)
AIM_US = 20.0


def alone(k: int, n: int, options: Options) -> list[Figure]:
    """``policy.learn`` on feedback that is at hand, by turns with the peers."""
    seen = pipeline.feedback(n, k)
    acts: dict[str, Callable[[], object]] = {}
    for policy in (LinearThompson(), FactoredThompson()):
        ready = pipeline.taught(policy, k, 500)
        assert isinstance(ready, Learner)
        acts[f"{type(policy).__name__}.learn, k={k}"] = functools.partial(ready.learn, seen)
    theirs = {f"{label}, k={k}": act for label, act in peers.learners(seen, k).items()}
    spent = by_turns(acts | theirs, options.repeat)
    found = {label: rate(label, n, runs, "rows/s") for label, runs in spent.items()}
    other = best([found[label] for label in theirs])
    if other is not None:
        found |= {label: versus(found[label], other) for label in acts}
    return list(found.values())


@attrs.define
class OneByOne:
    """A policy that learns row after row, each time from what it knew before."""

    policy: Learner
    k: int
    seen: list[object] = attrs.field(factory=list)

    def prepare(self, rows: int) -> None:
        whole = pipeline.feedback(rows, self.k)
        self.seen = [
            attrs.evolve(
                whole,
                **{
                    name: getattr(whole, name)[row : row + 1]
                    for name in ("X", "action", "reward", "probability", "allowed", "keys", "at")
                },
            )
            for row in range(rows)
        ]

    def __call__(self, row: int) -> None:
        self.policy = self.policy.learn(self.seen[row])  # type: ignore[arg-type]


def single(k: int, options: Options) -> list[Figure]:
    """One reward at a time: median of the calls of each run, by turns with the peers."""
    calls = options.size(1_000, 10)
    acts: dict[str, Callable[[int], object]] = {}
    ours = []
    for policy in (LinearThompson(), SquareCB(), FactoredThompson()):
        ready = pipeline.taught(policy, k, options.size(20_000, 500))
        assert isinstance(ready, Learner)
        act = OneByOne(ready, k)
        act.prepare(calls)
        ours.append(f"{type(policy).__name__}.learn, one reward, p50")
        acts[ours[-1]] = act
    theirs = {
        f"{label}, one reward, p50": act
        for label, act in peers.single_learners(pipeline.feedback(calls, k), k).items()
    }
    runs: dict[str, list[float]] = {label: [] for label in acts | theirs}
    for _ in range(options.repeat):
        for label, act_one in (acts | theirs).items():
            times = []
            for row in range(calls):
                began = time.perf_counter()
                act_one(row)
                times.append(time.perf_counter() - began)
            runs[label].append(float(np.median(times)) * 1e6)
    found = {label: figure(label, values, "us") for label, values in runs.items()}
    other = best([found[label] for label in theirs], less_is_better=True)
    for label in ours:
        if other is not None:
            found[label] = versus(found[label], other, less_is_better=True)
        else:
            found[label] = figure(label, runs[label], "us", aim=AIM_US, less_is_better=True)
    return list(found.values())


def whole(k: int, n: int, options: Options) -> list[Figure]:
    """Close windows and learn: ``agent.learn`` for ``n`` decisions, some of them with an outcome."""
    learning, recording = [], []
    m = max(n // 100, 1)
    for _ in range(options.repeat):
        goals = Goals({"purchase": 1.0}, window=WINDOW)
        agent = pipeline.agent(k, goals=goals, trained_on=options.size(20_000, 500))
        subjects = pipeline.names(n)
        pipeline.introduce(agent, subjects)
        ids = agent.decide_many(subjects, pipeline.context(n), now=pipeline.NOON).ids
        some = ids[:: n // m][:m]
        noon_after, closed = pipeline.NOON + pipeline.DAY, pipeline.NOON + WINDOW
        recording.append(seconds(functools.partial(agent.record_many, some, "purchase", at=noon_after)))
        learning.append(seconds(functools.partial(agent.learn, now=closed)))
        assert agent.pending == 0
    return [
        rate(f"agent.learn, {n:,} decisions, k={k}", n, learning, "rewards/s"),
        rate(f"agent.record_many, {m:,} outcomes", m, recording, "outcomes/s"),
    ]


def through(k: int, options: Options) -> list[Figure]:
    """One reward from ``record`` to the published policy."""
    calls = options.size(300, 10)
    recorded, learned = [], []
    for _ in range(options.repeat):
        goals = Goals({"purchase": 1.0}, window=WINDOW, terminal=["purchase"])
        agent = pipeline.agent(k, goals=goals, trained_on=500)
        subjects = pipeline.names(calls)
        pipeline.introduce(agent, subjects)
        ids = agent.decide_many(subjects, pipeline.context(calls), now=pipeline.NOON).ids
        times = np.empty((2, calls))
        for at, decision_id in enumerate(ids):
            began = time.perf_counter()
            agent.record(decision_id, "purchase", at=pipeline.NOON)
            then = time.perf_counter()
            agent.learn(now=pipeline.NOON)
            times[:, at] = then - began, time.perf_counter() - then
        record, learn = np.median(times, axis=1) * 1e6
        recorded.append(float(record))
        learned.append(float(learn))
    return [
        figure("agent.record, one outcome, p50", recorded, "us"),
        figure("agent.learn, one reward, p50", learned, "us"),
    ]


def run(options: Options) -> Report:
    n = options.size(100_000, 200)
    figures = [
        *alone(10, n, options),
        *alone(50, n, options),
        *single(10, options),
        *whole(10, n, options),
        *through(10, options),
    ]
    notes = [
        "all keep an exact posterior; the peers change theirs in place, ours returns the next one",
        "contextualbandits learns with its default settings here, the fastest it has",
        *peers.missing("contextualbandits.online", "mabwiser.mab", "river.bandit", "obp.policy"),
    ]
    return Report(f"{n:,} rewards in bulk, d=20; one by one at k=10", figures, notes)


if __name__ == "__main__":
    tell(run)
