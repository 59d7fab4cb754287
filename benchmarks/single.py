"""How long does one decision take? The full pipeline, one call after another, by turns with VW."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from benchmarks import peers, pipeline
from benchmarks.measure import Figure, Options, Report, figure, tell, versus

TAIL = 4.0  # the 99th percentile may be this many medians
K = 10
IN_A_ROW = 250  # calls before the next one has its turn

Times = npt.NDArray[np.float64]


def timed(call: Callable[[int], object], first: int, calls: int) -> Times:
    """Microseconds of each call by the clock, and on the processor: shape (2, calls)."""
    times = np.empty((2, calls))
    for at in range(calls):
        began, worked = time.perf_counter(), time.process_time()
        call(first + at)
        times[:, at] = time.perf_counter() - began, time.process_time() - worked
    return times * 1e6


def by_turns(contenders: dict[str, Callable[[int], object]], calls: int) -> dict[str, Times]:
    """One run: ``IN_A_ROW`` calls of one, then of the next, and so on; garbage is collected as usual."""
    gc.collect()
    found: dict[str, list[Times]] = {label: [] for label in contenders}
    for first in range(0, calls, IN_A_ROW):
        for label, call in contenders.items():
            found[label].append(timed(call, first, min(IN_A_ROW, calls - first)))
    return {label: np.concatenate(times, axis=1) for label, times in found.items()}


def percentile(what: str, share: int, runs: list[Times], clock: int = 0) -> Figure:
    return figure(what, [float(np.percentile(times[clock], share)) for times in runs], "us")


def run(options: Options) -> Report:
    calls, known = options.size(5_000, 100), options.size(1_000_000, 500)
    log = pipeline.RecentLog()
    agent = pipeline.agent(K, log=log, trained_on=options.size(20_000, 500))
    subjects = pipeline.names(known)
    pipeline.introduce(agent, subjects)
    order = np.random.default_rng(7).permutation(known).tolist()
    some = pipeline.context(min(calls, known))
    contexts = [pipeline.single(some, row) for row in range(min(calls, known))]
    made = 0

    def ours(at: int) -> None:
        nonlocal made
        now = pipeline.NOON + (made // known) * pipeline.APART
        agent.decide(subjects[order[made % known]], contexts[at % len(contexts)], now=now)
        made += 1

    decide = f"decide, all rules, memory log, {known:,} known"
    contenders: dict[str, Callable[[int], object]] = {decide: ours}
    seen = pipeline.feedback(options.size(5_000, 200), K)
    vowpal = peers.vowpal(seen, K)
    if vowpal is not None:
        contenders[peers.Vowpal.LABEL] = lambda at: vowpal.predict(at % len(seen))
    assert gc.isenabled()
    by_turns(contenders, options.size(1_000, 20))  # warms up
    runs: dict[str, list[Times]] = {label: [] for label in contenders}
    for _ in range(options.repeat):
        log.empty()
        for label, times in by_turns(contenders, calls).items():
            runs[label].append(times)
    assert not agent.failures, agent.failures

    p50, p99 = (percentile(f"{decide}: p{share}", share, runs[decide]) for share in (50, 99))
    tails = [
        figure(
            f"  p99 in medians{how}",
            [float(np.divide(*np.percentile(times[clock], (99, 50)))) for times in runs[decide]],
            "p50",
            aim=TAIL,
            less_is_better=True,
        )
        for clock, how in enumerate(("", ", processor time"))
    ]
    worked = [percentile(f"  p{s}, processor time", s, runs[decide], 1) for s in (50, 99)]
    figures = [p50, p99, *tails, *worked]
    notes = [
        f"turns of {IN_A_ROW} calls; garbage is collected as usual",
        "where clock and processor differ, others had the core meanwhile",
        "VW makes a text of 20 numbers, parses it and answers probabilities; no draw, rules, state, log",
    ]
    if vowpal is None:
        notes.append(peers.absent("vowpalwabbit"))
    else:
        theirs = [
            percentile(f"{peers.Vowpal.LABEL}: p{share}", share, runs[peers.Vowpal.LABEL])
            for share in (50, 99)
        ]
        figures[:2] = [
            versus(mine, other, less_is_better=True) for mine, other in zip((p50, p99), theirs, strict=True)
        ]
        figures += theirs
    return Report(f"{calls:,} calls a run, k={K}, d=20, Thompson with exact probabilities", figures, notes)


if __name__ == "__main__":
    tell(run)
