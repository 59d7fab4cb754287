"""How many decisions a second does the whole pipeline make, for subjects that are known? One core."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
from benchmarks import pipeline
from benchmarks.measure import Figure, Options, Report, by_turns, rate, tell

from agentic import NO_ACTION
from agentic.policies import EpsilonGreedy, FactoredThompson, Fixed, LinearThompson, SquareCB
from agentic.protocols import Policy
from agentic.state import MemoryStore

AIM = 330_000.0  # 200 billion a week


@attrs.define
class Entry:
    """One agent that takes part."""

    policy: Policy
    k: int
    n: int
    product: bool = False
    shuffled: bool = False


def contend(
    entries: dict[str, Entry], crowd: pipeline.Crowd, store: MemoryStore, options: Options
) -> list[Figure]:
    """Decide by turns: every agent from its front door to its log."""
    logs = {label: pipeline.RecentLog() for label in entries}
    agents = {
        label: pipeline.agent(
            entry.k,
            policy=entry.policy,
            store=store,
            log=logs[label],
            trained_on=options.size(20_000, 500),
            product=entry.product,
        )
        for label, entry in entries.items()
    }
    asked: dict[str, dict[str, Any]] = {}

    def before(label: str) -> None:
        logs[label].empty()
        asked.clear()
        asked[label] = crowd.next(entries[label].n, shuffled=entries[label].shuffled)

    def act(label: str) -> None:
        agents[label].decide_many(**asked[label])

    acts = {label: (lambda label=label: act(label)) for label in entries}  # type: ignore[misc]
    spent = by_turns(acts, options.repeat, before=before)
    for agent in agents.values():
        assert not agent.failures, agent.failures
    return [
        rate(label, entries[label].n, runs, "decisions/s", aim=AIM if entries[label].k == 10 else None)
        for label, runs in spent.items()
    ]


def run(options: Options) -> Report:
    known, n = options.size(1_000_000, 1_000), options.size(100_000, 300)
    crowd, store = pipeline.Crowd.of(known, known), MemoryStore()
    pipeline.introduce(pipeline.agent(store=store, trained_on=500), crowd.subjects)
    ids = pipeline.space(10).catalogue.ids
    entries = {
        "LinearThompson, k=10": Entry(LinearThompson(), 10, n),
        "LinearThompson, k=10, subjects shuffled": Entry(LinearThompson(), 10, n, shuffled=True),
        f"LinearThompson, k=10, all {known:,} in one call": Entry(LinearThompson(), 10, known),
        "SquareCB, k=10": Entry(SquareCB(), 10, n),
        "EpsilonGreedy, k=10": Entry(EpsilonGreedy(), 10, n),
        "Rules, k=10": Entry(pipeline.rules(ids), 10, n),
        "Fixed, k=10": Entry(Fixed({ids[0]: 1.0, NO_ACTION.id: 1.0}), 10, n),
    }
    for k, rows in ((50, n // 2), (200, n // 5)):
        entries[f"FactoredThompson, k={k} factored"] = Entry(FactoredThompson(), k, rows, True)
        entries[f"LinearThompson, k={k} factored"] = Entry(LinearThompson(), k, rows, True)
        entries[f"SquareCB, k={k} factored"] = Entry(SquareCB(), k, rows, True)
    figures = contend(entries, crowd, store, options)
    thompson = figures[0]
    figures = [
        figure
        if figure.ratio is not None and "Thompson" in figure.what
        else attrs.evolve(figure, ratio=figure.median / thompson.median, against=thompson.what)
        for figure in figures
    ]
    notes = [
        (
            f"calls are for {n:,} of {known:,} known subjects at k=10, {n // 2:,} at k=50 and"
            f" {n // 5:,} at k=200, in the order in which they became known but where it says shuffled"
        ),
        "factored actions are a product of message, offer and channel",
    ]
    title = (
        "consent, 2 caps, quiet hours, budget, exact probabilities, memory log, d=20; one core, one thread"
    )
    return Report(title, figures, notes)


if __name__ == "__main__":
    np.seterr(all="raise", under="ignore")
    tell(run)
