"""Does an agent inside a web server leave the cores to others? Eight threads decide at once, BLAS unbridled.

Each line of the table is a fresh process, with the number of BLAS threads that its label says. A matrix
product large enough for several threads shows beside it what BLAS would take if it were let.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Final

import numpy as np
from benchmarks import pipeline
from benchmarks.measure import Figure, Options, Report, figure, tell

VARIABLES: Final = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
MANY: Final = 8
LARGE: Final = 200  # candidates whose products BLAS takes for large


def decide_at_once(threads: int, calls: int, trained: int, k: int) -> dict[str, float]:
    """Let threads share ``calls`` decisions of one agent; say what it took."""
    agent = pipeline.agent(k, log=pipeline.RecentLog(), trained_on=trained)
    each = calls // threads
    subjects = pipeline.names(each * threads)
    pipeline.introduce(agent, subjects)
    columns = pipeline.context(200)
    contexts = [pipeline.single(columns, row) for row in range(200)]
    times = np.empty((threads, each))
    start = threading.Barrier(threads + 1)

    def work(thread: int) -> None:
        mine = subjects[thread * each : (thread + 1) * each]
        start.wait()
        for at, subject in enumerate(mine):
            began = time.perf_counter()
            agent.decide(subject, contexts[at % 200], now=pipeline.NOON)
            times[thread, at] = time.perf_counter() - began

    for subject in subjects[: min(200, len(subjects))]:  # warms up; time of the day before
        agent.decide(subject, contexts[0], now=pipeline.NOON - pipeline.APART)
    workers = [threading.Thread(target=work, args=(thread,)) for thread in range(threads)]
    for worker in workers:
        worker.start()
    began, worked = time.perf_counter(), time.process_time()
    start.wait()
    for worker in workers:
        worker.join()
    took, spent = time.perf_counter() - began, time.process_time() - worked
    assert not agent.failures, agent.failures
    done = each * threads
    return {
        "rate": done / took,
        "cpu_us": spent / done * 1e6,
        "cores": spent / took,
        "p50": float(np.percentile(times, 50)) * 1e6,
        "p99": float(np.percentile(times, 99)) * 1e6,
        "product": cores_of_a_product(),
    }


def cores_of_a_product() -> float:
    """Cores that BLAS takes for a large matrix product when nobody stops it."""
    left = np.ones((1024, 1024))
    left @ left
    began, worked = time.perf_counter(), time.process_time()
    while time.perf_counter() - began < 0.2:
        left @ left
    return (time.process_time() - worked) / (time.perf_counter() - began)


def fresh(threads: int, blas: int | None, k: int, calls: int, trained: int) -> dict[str, float]:
    """The same in a process whose BLAS has this many threads; as it likes where ``None``."""
    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    if blas is not None:
        environment |= dict.fromkeys(VARIABLES, str(blas))
    command = [sys.executable, "-m", "benchmarks.threads", "--threads", str(threads)]
    command += ["--calls", str(calls), "--trained", str(trained), "--candidates", str(k)]
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run(
        command, cwd=root, env=environment, stdout=subprocess.PIPE, text=True, check=True, timeout=300
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def run(options: Options) -> Report:
    calls, trained = options.size(3_000, 80), options.size(20_000, 300)
    kinds: dict[str, tuple[int, int | None, int]] = {}
    for k in (10, LARGE):
        for threads, name in ((1, "1 thread"), (MANY, f"{MANY} threads")):
            kinds[f"{name}, one BLAS thread, k={k}"] = threads, 1, k
            kinds[f"{name}, default BLAS, k={k}"] = threads, None, k
    runs: dict[str, list[dict[str, float]]] = {label: [] for label in kinds}
    for _ in range(options.repeat):
        for label, (threads, blas, k) in kinds.items():
            runs[label].append(fresh(threads, blas, k, calls if k < LARGE else calls // 4, trained))

    def line(label: str, what: str, key: str, unit: str, *, less: bool) -> Figure:
        values = [found[key] for found in runs[label]]
        reference = next(other for other in kinds if kinds[other] == (1, 1, kinds[label][2]))
        aim = None
        if label != reference:
            aim = float(np.median([found[key] for found in runs[reference]]))
        against = "" if aim is None else reference
        return figure(what, values, unit, aim=aim, against=against, less_is_better=less)

    figures = []
    for label in kinds:
        figures += [
            line(label, label, "rate", "decisions/s", less=False),
            line(label, "  processor time of a decision, all threads", "cpu_us", "us", less=True),
            line(label, "  cores taken", "cores", "cores", less=True),
            line(label, "  p50", "p50", "us", less=True),
            line(label, "  p99", "p99", "us", less=True),
        ]
    default = [found["product"] for found in runs[f"{MANY} threads, default BLAS, k=10"]]
    bridled = [found["product"] for found in runs["1 thread, one BLAS thread, k=10"]]
    figures += [
        figure("a large matrix product, one BLAS thread", bridled, "cores"),
        figure("a large matrix product, default BLAS", default, "cores"),
    ]
    notes = [
        (
            "cores taken is processor time over wall time: decisions hold Python's lock most of the time, so"
            " threads share about one core, and what is above it is numpy or BLAS beside the lock"
        ),
        (
            "OpenBLAS wakes its threads for products of more than 262,144 multiplications; a block of 8 rows"
            f" has 8 x d x d x k of them with a model for each action, more at k={LARGE}: that one is cut up"
        ),
        f"a thread runs for {sys.getswitchinterval() * 1e3:g} ms, then waits for the other seven: see p99",
    ]
    return Report(
        f"{calls:,} single decisions of one agent in all, {calls // 4:,} at k={LARGE}, d=20, all rules",
        figures,
        notes,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--calls", type=int, default=0)
    parser.add_argument("--trained", type=int, default=0)
    parser.add_argument("--candidates", type=int, default=10)
    asked, _ = parser.parse_known_args()
    if asked.threads is None:
        tell(run)
    else:
        print(json.dumps(decide_at_once(asked.threads, asked.calls, asked.trained, asked.candidates)))
