"""How many bytes does a subject take? Measured as growth of a fresh process."""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
from datetime import timedelta

from benchmarks import pipeline
from benchmarks.measure import Figure, Options, Report, figure, resident_bytes, tell

from agentic.rewards import Goals
from agentic.state import MemoryStore

AIM_BYTES = 200.0
AIM_GIB = 4.0
GIB = 1 << 30
CHUNK = 50_000
KINDS = ("state", "pending", "log")


def grow(kind: str, n: int) -> dict[str, float]:
    """Introduce and decide for ``n`` subjects; bytes for each, and of the whole process at the end.

    Args:
        kind: ``"state"`` keeps no log and expects no outcomes, ``"pending"`` also waits for the reward of
            every decision, ``"log"`` keeps the log in memory.
        n: Subjects.
    """
    goals = Goals({"purchase": 1.0}, window=timedelta(days=3)) if kind == "pending" else None
    log = None if kind == "log" else pipeline.CountingLog()
    agent = pipeline.agent(log=log, goals=goals, trained_on=500)
    store = agent.store
    assert isinstance(store, MemoryStore)
    step = min(CHUNK, n)
    context = pipeline.context(step)
    # Once through on few, so that what every process needs once is there.
    pipeline.introduce(agent, warm := pipeline.names(step, -step))
    agent.decide_many(warm, context, now=pipeline.NOON)
    store.delete(warm)
    del warm
    gc.collect()
    before = resident_bytes()
    text = 0
    for start in range(0, n, step):
        subjects = pipeline.names(min(step, n - start), start)
        text += len("".join(subjects).encode())
        pipeline.introduce(agent, subjects)
        rows = {name: column[: len(subjects)] for name, column in context.items()}
        agent.decide_many(subjects, rows, now=pipeline.NOON)
        del subjects
    gc.collect()
    grown = resident_bytes() - before
    return {
        "total": grown / n,
        "held": store.bytes_held / n,
        "text": text / n,
        "record": float(agent.plan.layout.dtype.itemsize),
        "process": float(before + grown),
    }


def measured(kind: str, n: int) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.memory", "--kind", kind, "--subjects", str(n)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def run(options: Options) -> Report:
    n, most = options.size(1_000_000, 2_000), options.size(10_000_000, 4_000)
    # Memory hardly varies, and a million subjects take their time: one run is enough.
    state, pending, log = (measured(kind, n) for kind in KINDS)
    many = measured("state", most)

    def one(what: str, value: float, aim: float | None = None) -> Figure:
        return figure(what, [value], "bytes/subject", aim=aim, less_is_better=True)

    figures = [
        one("a subject, without the log", max(state["total"], 1.0), AIM_BYTES),
        one("  of this one record", state["record"]),
        one("  its id in UTF-8", state["text"]),
        one("  all that the store has allocated, room for more included", state["held"]),
        one("a decision that waits for its reward", max(pending["total"] - state["total"], 0.0)),
        one("a decision and two facts in the memory log", max(log["total"] - state["total"], 0.0)),
        one(f"a subject, when there are {most:,}", max(many["total"], 1.0), AIM_BYTES),
        figure(
            f"the whole process with {most:,} subjects",
            [many["process"] / GIB],
            "GiB",
            aim=AIM_GIB,
            less_is_better=True,
        ),
    ]
    notes = [
        "records grow by half and the table doubles, so there may be room for more, which is not resident",
        "nothing of the ids is shared with the caller: the store keeps no string it was given",
    ]
    return Report(f"{n:,} subjects told of and decided for once; resident memory, one run", figures, notes)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--kind", choices=KINDS)
    parser.add_argument("--subjects", type=int, default=0)
    asked, _ = parser.parse_known_args()
    if asked.kind is None:
        tell(run)
    else:
        print(json.dumps(grow(asked.kind, asked.subjects)))
