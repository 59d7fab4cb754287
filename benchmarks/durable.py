"""What does it cost to lose nothing? The pipeline on a file, level by level, beside the one in memory."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks import pipeline
from benchmarks.measure import Figure, Options, Report, by_turns, figure, rate, tell

from agentic import Agent
from agentic._database import Database
from agentic.provenance import DurableLog
from agentic.state import DurableStore, MemoryStore

LEVELS = ("memory", "process", "bounded", "power")
AIM = 0.6  # of the rate in memory


def durable(folder: Path, level: str, trained_on: int) -> Agent:
    database = Database(folder / f"{level}.db", durability=level)
    return pipeline.agent(store=DurableStore(database), log=DurableLog(database), trained_on=trained_on)


def syncs_per_second(folder: Path, seconds: float) -> float:
    """How often this disk says that four kilobytes are safe: what the level ``power`` depends on."""
    with (folder / "probe").open("wb") as file:
        count, began = 0, time.perf_counter()
        while time.perf_counter() - began < seconds:
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())
            count += 1
        return count / (time.perf_counter() - began)


def single_runs(agents: dict[str, Agent], crowd: pipeline.Crowd, calls: int) -> dict[str, list[float]]:
    """Microseconds of each ``decide``, agents by turns."""
    spent: dict[str, list[float]] = {name: [] for name in agents}
    asked = crowd.next(calls)
    for row in range(calls):
        context = pipeline.single(asked["context"], row)
        for name, agent in agents.items():
            began = time.perf_counter()
            agent.decide(asked["subjects"][row], context, now=asked["now"])
            spent[name].append((time.perf_counter() - began) * 1e6)
    return spent


def once(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def run(options: Options) -> Report:
    known, n = options.size(200_000, 500), options.size(100_000, 300)
    trained = options.size(20_000, 500)
    crowd = pipeline.Crowd.of(known, known)
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="agentic-bench-") as name:
        folder = Path(name)
        syncs = syncs_per_second(folder, options.size(2, 0) or 0.1)
        agents = {"in memory": pipeline.agent(store=MemoryStore(), trained_on=trained)}
        agents |= {f"durability {level}": durable(folder, level, trained) for level in LEVELS}
        for agent in agents.values():
            pipeline.introduce(agent, crowd.subjects)
        asked: dict[str, Any] = {}

        def before(label: str) -> None:
            asked.clear()
            asked.update(crowd.next(n))

        acts = {
            label: (lambda agent=agent: agent.decide_many(**asked))  # type: ignore[misc]
            for label, agent in agents.items()
        }
        spent = by_turns(acts, options.repeat, before=before)
        base = float(np.median(spent["in memory"]))
        for label, runs in spent.items():
            against = "in memory" if label != "in memory" else ""
            told = rate(f"batches of {n:,}, {label}", n, runs, "decisions/s")
            ratio = base / float(np.median(runs))
            figures.append(figure(told.what, [n / took for took in runs], "decisions/s"))
            if against:
                figures.append(figure(f"  of the rate in memory, {label}", [ratio], "times", aim=AIM))
        for label, micros in single_runs(agents, crowd, options.size(400, 20)).items():
            figures.append(figure(f"one decide, {label}", [float(np.median(micros))], "us"))
        log: Any = agents["durability process"].log
        size = Path(folder / "process.db").stat().st_size
        count = len(log)
        sealing = once(log.seal)
        verifying = once(log.verify)
        figures.append(figure("seal", [count / sealing], "records/s"))
        figures.append(figure("verify", [count / verifying], "records/s", aim=200_000.0))
        database = log.database
        reopening = once(lambda: DurableStore(Database(database.path, durability="process")))
        figures.append(figure(f"reopen, {known:,} subjects", [reopening * 1e3], "ms"))
    notes = [
        f"this disk makes {syncs:,.0f} fsyncs a second; the level power waits for one in each call",
        f"a record takes {size / count:,.0f} bytes of the file, what is known of subjects included",
        f"{known:,} known subjects; sealing is no part of deciding, it comes with the next checkpoint",
    ]
    return Report("the full pipeline on a file, k=10, d=20, one core", figures, notes)


if __name__ == "__main__":
    np.seterr(all="raise", under="ignore")
    tell(run)
