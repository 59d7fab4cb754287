"""How many records a second does the log in memory take?"""

from __future__ import annotations

import functools

from benchmarks import pipeline
from benchmarks.measure import Figure, Options, Report, rate, seconds, tell

from agentic.arrays import Block
from agentic.provenance import MemoryLog

AIM = 1e6


def fill(log: MemoryLog, blocks: list[Block]) -> None:
    for block in blocks:
        log.append(block)


def run(options: Options) -> Report:
    n = options.size(100_000, 1_000)
    agent = pipeline.agent(10, trained_on=500)
    subjects = pipeline.names(n)
    pipeline.introduce(agent, subjects)
    decided = agent.decide_many(subjects, pipeline.context(n), now=pipeline.NOON)
    figures: list[Figure] = []
    for size in (1, 100, 10_000):
        many = max(min(n, 200 * size) // size, 1)
        blocks = [
            Block(
                "decision",
                {name: column[lo : lo + size] for name, column in decided.columns.items()},
                decided.meta,
            )
            for lo in range(0, many * size, size)
        ]
        runs = [seconds(functools.partial(fill, MemoryLog(), blocks)) for _ in range(options.repeat)]
        count = sum(map(len, blocks))
        figures.append(rate(f"append, blocks of {size:,}", count, runs, "records/s", aim=AIM))
    wide = sum(column[:1].nbytes for column in decided.columns.values())
    notes = [f"a record of a decision is {wide} bytes wide; large blocks are kept as they are, not copied"]
    return Report("decisions of the full pipeline, k=10, d=20, in memory", figures, notes)


if __name__ == "__main__":
    tell(run)
