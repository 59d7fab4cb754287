"""How many decisions a second, in bulk? Bare policies, and the full pipeline."""

from __future__ import annotations

import functools
import itertools

import numpy as np
from benchmarks import peers, pipeline
from benchmarks.measure import Figure, Options, Report, rate, seconds, tell

from agentic.arrays import Batch
from agentic.policies import EpsilonGreedy, LinearThompson, SquareCB
from agentic.protocols import Policy

AIM = 100_000.0
AT_ONCE = 8192  # rows that an agent lays before its policy together


def every(policy: Policy, parts: list[Batch]) -> None:
    for part in parts:
        policy.propose(part)


def bare(k: int, n: int, options: Options) -> tuple[list[Figure], list[str]]:
    """Weigh only: ``propose`` on rows that are laid out already."""
    rows = pipeline.batch(n, k)
    parts = [rows.take(slice(lo, lo + AT_ONCE)) for lo in range(0, n, AT_ONCE)]
    seen = pipeline.feedback(options.size(20_000, 500), k)
    space = pipeline.space(k)
    figures, notes = [], []
    for policy in (LinearThompson(), SquareCB(), EpsilonGreedy()):
        taught = policy.bind(space).learn(seen)
        weigh = functools.partial(every, taught, parts)
        runs = [seconds(weigh) for _ in range(options.repeat)]
        figures.append(rate(f"{type(policy).__name__}.propose, k={k}", n, runs, "decisions/s", aim=AIM))
        if policy.name == LinearThompson.name:
            theirs = peers.mabwiser_thompson(seen, rows.X, k, options)
            if theirs is None:
                notes.append(peers.absent("mabwiser"))
            else:
                told = f"mabwiser LinTS.predict, k={k}"
                other = rate(told, n, theirs, "decisions/s")
                ours = f"{type(policy).__name__}.propose, k={k}, likewise"
                figures += [other, rate(ours, n, runs, "decisions/s", aim=other.median, against=told)]
    return figures, notes


def full(k: int, n: int, options: Options) -> Figure:
    """Everything from ``decide_many`` to the log, for subjects that are known."""
    agent = pipeline.agent(k, trained_on=options.size(20_000, 500))
    subjects, context = pipeline.names(n), pipeline.context(n)
    pipeline.introduce(agent, subjects)
    turns = itertools.count(1)
    agent.decide_many(subjects, context, now=pipeline.NOON)

    def next_time() -> None:
        agent.decide_many(subjects, context, now=pipeline.NOON + next(turns) * pipeline.APART)

    runs = [seconds(next_time) for _ in range(options.repeat)]
    assert not agent.failures
    return rate(f"full pipeline, k={k}", n, runs, "decisions/s", aim=AIM)


def run(options: Options) -> Report:
    n = options.size(100_000, 300)
    figures: list[Figure] = []
    notes: list[str] = []
    for k in (10, 50):
        found, said = bare(k, n, options)
        figures += [*found, full(k, n, options)]
        notes += said
    title = f"{n:,} rows, d={pipeline.space(2).width}, one BLAS thread, memory log; k counts doing nothing"
    return Report(title, figures, tuple(dict.fromkeys(notes)))


if __name__ == "__main__":
    np.seterr(all="raise", under="ignore")
    tell(run)
