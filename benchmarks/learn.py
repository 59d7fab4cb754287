"""How fast is learning? Through the agent, by the policy alone, and one reward at a time."""

from __future__ import annotations

import functools
import time
from datetime import timedelta

import numpy as np
from benchmarks import peers, pipeline
from benchmarks.measure import Figure, Options, Report, figure, rate, seconds, tell

from agentic.policies import LinearThompson
from agentic.rewards import Goals

K = 10
WINDOW = timedelta(days=3)


def whole(n: int, options: Options) -> list[Figure]:
    """Close windows and learn: ``agent.learn`` for ``n`` decisions, some of them with an outcome."""
    learning, recording = [], []
    m = max(n // 100, 1)
    for _ in range(options.repeat):
        goals = Goals({"purchase": 1.0}, window=WINDOW)
        agent = pipeline.agent(K, goals=goals, trained_on=options.size(20_000, 500))
        subjects = pipeline.names(n)
        pipeline.introduce(agent, subjects)
        ids = agent.decide_many(subjects, pipeline.context(n), now=pipeline.NOON).ids
        some = ids[:: n // m][:m]
        noon_after, closed = pipeline.NOON + pipeline.DAY, pipeline.NOON + WINDOW
        recording.append(seconds(functools.partial(agent.record_many, some, "purchase", at=noon_after)))
        learning.append(seconds(functools.partial(agent.learn, now=closed)))
        assert agent.pending == 0
    return [
        rate(f"agent.learn, {n:,} decisions", n, learning, "rewards/s"),
        rate(f"agent.record_many, {m:,} outcomes", m, recording, "outcomes/s"),
    ]


def alone(n: int, options: Options) -> tuple[list[Figure], list[str]]:
    """``policy.learn`` on feedback that is at hand."""
    policy, seen = LinearThompson().bind(pipeline.space(K)), pipeline.feedback(n, K)
    runs = [seconds(lambda: policy.learn(seen)) for _ in range(options.repeat)]
    theirs = peers.mabwiser_learning(seen, K, options)
    if theirs is None:
        return [rate(f"policy.learn, {n:,} rows", n, runs, "rows/s")], [peers.absent("mabwiser")]
    told = "mabwiser LinTS.partial_fit"
    other = rate(told, n, theirs, "rows/s")
    return [rate(f"policy.learn, {n:,} rows", n, runs, "rows/s", aim=other.median, against=told), other], []


def single(options: Options) -> list[Figure]:
    """One reward: by the policy alone, and from ``record`` to the published policy."""
    calls = options.size(500, 10)
    policy, one = LinearThompson().bind(pipeline.space(K)), pipeline.feedback(1, K)
    bare = []
    for _ in range(options.repeat):
        times = []
        for _ in range(calls):
            began = time.perf_counter()
            policy.learn(one)
            times.append((time.perf_counter() - began) * 1e6)
        bare.append(float(np.median(times)))
    through = []
    for _ in range(options.repeat):
        goals = Goals({"purchase": 1.0}, window=WINDOW, terminal=["purchase"])
        agent = pipeline.agent(K, goals=goals, trained_on=500)
        subjects = pipeline.names(calls)
        pipeline.introduce(agent, subjects)
        ids = agent.decide_many(subjects, pipeline.context(calls), now=pipeline.NOON).ids
        times = []
        for decision_id in ids:
            began = time.perf_counter()
            agent.record(decision_id, "purchase", at=pipeline.NOON)
            agent.learn(now=pipeline.NOON)
            times.append((time.perf_counter() - began) * 1e6)
        through.append(float(np.median(times)))
    return [
        figure("policy.learn, one row, p50", bare, "us", aim=50.0, less_is_better=True),
        figure("agent.record and agent.learn, one, p50", through, "us"),
    ]


def run(options: Options) -> Report:
    n = options.size(100_000, 200)
    found, notes = alone(n, options)
    return Report(f"LinearThompson, k={K}, d=20", [*found, *whole(n, options), *single(options)], notes)


if __name__ == "__main__":
    tell(run)
