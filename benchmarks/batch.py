"""How many rows a second does a policy weigh, bare, and how many does a peer decide?"""

from __future__ import annotations

import functools

import numpy as np
from benchmarks import peers, pipeline
from benchmarks.measure import Figure, Options, Report, best, by_turns, rate, tell, versus

from agentic.arrays import Batch
from agentic.policies import EpsilonGreedy, FactoredThompson, LinearThompson, SquareCB
from agentic.protocols import Policy


def every(policy: Policy, parts: list[Batch]) -> None:
    for part in parts:
        policy.propose(part)


def bare(k: int, n: int, options: Options) -> list[Figure]:
    """``propose`` on rows that are laid out already, by turns with the peers' ``predict``."""
    rows = pipeline.batch(n, k)
    parts = [rows.take(slice(lo, lo + pipeline.AT_ONCE)) for lo in range(0, n, pipeline.AT_ONCE)]
    trained = options.size(20_000, 1_000)
    ours: dict[str, Policy] = {
        "LinearThompson": LinearThompson(),
        "FactoredThompson": FactoredThompson(),
        "SquareCB": SquareCB(),
        "EpsilonGreedy": EpsilonGreedy(),
        "Rules": pipeline.rules(rows.catalogue.ids),
    }
    acts: dict[str, peers.Act] = {
        f"{name}.propose, k={k}": functools.partial(every, pipeline.taught(policy, k, trained), parts)
        for name, policy in ours.items()
    }
    theirs = peers.deciders(pipeline.feedback(trained, k), rows.X, k)
    spent = by_turns({**acts, **{f"{label}, k={k}": act for label, act in theirs.items()}}, options.repeat)
    found = {label: rate(label, n, runs, "decisions/s") for label, runs in spent.items()}
    thompson = best([found[f"{label}, k={k}"] for label in theirs if "a draw a row" in label])
    greedy = found.get(f"{peers.GREEDY}, k={k}")
    for label in acts:
        # What weighs by the whole posterior is compared with what draws from it, the rest with the greedy.
        other = thompson if "Thompson" in label else greedy
        if other is not None:
            found[label] = versus(found[label], other)
    return list(found.values())


def run(options: Options) -> Report:
    sizes = {10: options.size(100_000, 300), 50: options.size(50_000, 300)}
    figures = [figure for k, n in sizes.items() for figure in bare(k, n, options)]
    title = f"{sizes[10]:,} rows at k=10, {sizes[50]:,} at k=50, d=20, one thread; k counts doing nothing"
    notes = [
        "ours return the exact probability of every action of every row; a peer returns one action",
        "bayesianbandits gives every row of a call the same draw: not comparable, told for its price",
        *peers.missing("contextualbandits.online", "mabwiser.mab", "bayesianbandits"),
    ]
    return Report(title, figures, notes)


if __name__ == "__main__":
    np.seterr(all="raise", under="ignore")
    tell(run)
