"""How long does one decision take? The full pipeline, one call after another."""

from __future__ import annotations

import gc
import time

import numpy as np
from benchmarks import peers, pipeline
from benchmarks.measure import Figure, Options, Report, figure, tell

AIM_US = 200.0
K = 10


def latencies(options: Options) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Microseconds of every call, by the clock and on the processor, shape (2, calls)."""
    calls, known = options.size(5_000, 100), options.size(1_000, 50)
    agent = pipeline.agent(K, trained_on=options.size(20_000, 500))
    subjects, columns = pipeline.names(known), pipeline.context(known)
    pipeline.introduce(agent, subjects)
    contexts = [{name: column[i] for name, column in columns.items()} for i in range(known)]
    times = np.empty((2, calls))
    assert gc.isenabled()
    for call in range(-known, calls):  # the first round warms up
        row = call % known
        now = pipeline.NOON + (call // known + 1) * pipeline.APART
        began, worked = time.perf_counter(), time.process_time()
        agent.decide(subjects[row], contexts[row], now=now)
        if call >= 0:
            times[:, call] = time.perf_counter() - began, time.process_time() - worked
    assert not agent.failures
    return times * 1e6


def run(options: Options) -> Report:
    rounds = [latencies(options) for _ in range(options.repeat)]
    figures: list[Figure] = [
        figure(
            f"decide, p{share}{how}",
            [float(np.percentile(one[clock], share)) for one in rounds],
            "us",
            aim=AIM_US if (share, clock) == (50, 0) else None,
            less_is_better=True,
        )
        for clock, how in enumerate(("", ", processor time"))
        for share in (50, 99)
    ]
    notes = ["garbage is collected as usual; where clock and processor differ, others had the core meanwhile"]
    theirs = peers.vowpal_single(pipeline.feedback(1_000, K), K, options.size(5_000, 100))
    if theirs is None:
        notes.append(peers.absent("vowpalwabbit"))
    else:
        told = "VW squarecb, bare predict from text, p50"
        p50 = float(np.percentile(theirs, 50)) * 1e6
        ours = [float(np.percentile(one[0], 50)) for one in rounds]
        figures += [
            figure(told, [p50], "us"),
            figure("decide, p50, the full pipeline", ours, "us", aim=p50, against=told, less_is_better=True),
        ]
    return Report(f"{rounds[0].shape[1]:,} calls a run, k={K}, d=20, all rules, memory log", figures, notes)


if __name__ == "__main__":
    tell(run)
