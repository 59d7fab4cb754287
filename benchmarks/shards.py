"""What do two cores bring? Subjects are sharded over threads and over processes, and nothing else changes."""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from benchmarks import pipeline
from benchmarks.measure import Options, Report, by_turns, rate, tell, versus

from agentic import Agent

SHARDS: Final = 2
AIM: Final = 330_000.0
Answers = tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]


class Half:
    """An agent, and its part of each turn's subjects.

    Its own are those whose number is ``shard`` modulo ``shards``; the only shard of one is everybody.
    """

    def __init__(
        self, known: int, n: int, trained: int, shard: int, shards: int, agent: Agent | None = None
    ) -> None:
        self.known, self.n, self.shard, self.shards = known, n, shard, shards
        self.log = pipeline.RecentLog()
        self.agent = pipeline.agent(10, log=self.log, trained_on=trained) if agent is None else agent
        self.order = np.random.default_rng(7).permutation(known)
        self.columns = pipeline.context(n)
        if agent is None:
            self.introduce()

    def introduce(self) -> None:
        numbers = np.arange(self.shard, self.known, self.shards)
        pipeline.introduce(self.agent, [f"c{i}" for i in numbers.tolist()], numbers)

    def prepare(self, turn: int) -> None:
        """Find this turn's subjects, untimed."""
        self.log.empty()
        self.turn = turn
        numbers = self.order[(np.arange(self.n) + turn * self.n) % self.known]
        self.rows = np.flatnonzero(numbers % self.shards == self.shard)
        self.subjects = [f"c{i}" for i in numbers[self.rows].tolist()]
        self.context = pipeline.some(self.columns, self.rows)

    def decide(self) -> None:
        now = pipeline.NOON + (self.turn + 1) * pipeline.APART
        columns = self.agent.decide_many(self.subjects, self.context, now=now).columns
        self.answers: Answers = columns["action"], columns["probability"]


def work(pipe: Connection, known: int, n: int, trained: int, shard: int) -> None:
    """What a process does: prepare, decide, and tell what it decided, each when asked to."""
    half = Half(known, n, trained, shard, SHARDS)
    pipe.send("ready")
    while (asked := pipe.recv()) is not None:
        what, turn = asked
        if what == "prepare":
            half.prepare(turn)
        elif what == "decide":
            half.decide()
        else:
            pipe.send((half.rows, half.answers, half.agent.failures))
            continue
        pipe.send("done")


def ask(pipes: list[Connection], what: str, turn: int = 0) -> list[Any]:
    for pipe in pipes:
        pipe.send((what, turn))
    return [pipe.recv() for pipe in pipes]


def whole(n: int, parts: list[tuple[npt.NDArray[np.int64], Answers]]) -> Answers:
    """The answers of all shards, each in its place."""
    action, probability = np.full((n, 1), -1), np.full((n, 1), np.nan)
    for rows, (actions, probabilities) in parts:
        action[rows], probability[rows] = actions, probabilities
    return action, probability


def run(options: Options) -> Report:
    known, n = options.size(1_000_000, 1_000), options.size(200_000, 400)
    trained = options.size(20_000, 500)
    context = multiprocessing.get_context("spawn")
    pipes: list[Connection] = []
    workers = []
    for shard in range(SHARDS):
        mine, theirs = context.Pipe()
        worker = context.Process(target=work, args=(theirs, known, n, trained, shard), daemon=True)
        worker.start()
        theirs.close()
        pipes.append(mine)
        workers.append(worker)
    alone = Half(known, n, trained, 0, 1)
    together = Half(known, n, trained, 0, 1)  # one agent, asked by two threads
    threads = [Half(known, n, trained, shard, SHARDS, together.agent) for shard in range(SHARDS)]
    assert [pipe.recv() for pipe in pipes] == ["ready"] * SHARDS

    one, many, apart = "one thread", f"{SHARDS} threads, one agent", f"{SHARDS} processes, an agent each"
    turns = dict.fromkeys((one, many, apart), -1)
    first: dict[int, Answers] = {}
    compared = 0

    def before(label: str) -> None:
        turns[label] += 1
        if label == one:
            alone.prepare(turns[label])
        elif label == many:
            together.log.empty()
            for half in threads:
                half.prepare(turns[label])
        else:
            ask(pipes, "prepare", turns[label])

    def after(label: str) -> None:
        nonlocal compared
        if label == one:
            answers = alone.answers
        elif label == many:
            answers = whole(n, [(half.rows, half.answers) for half in threads])
        else:
            told = ask(pipes, "tell")
            assert not any(failures for _, _, failures in told), told
            answers = whole(n, [(rows, found) for rows, found, _ in told])
        expected = first.setdefault(turns[label], answers)
        if expected is not answers:
            same = all(np.array_equal(*pair) for pair in zip(expected, answers, strict=True))
            assert same, f"{label} decides otherwise in turn {turns[label]}: results depend on sharding"
            compared += n

    with ThreadPoolExecutor(SHARDS) as pool:
        acts = {
            one: alone.decide,
            many: lambda: list(pool.map(Half.decide, threads)),
            apart: lambda: ask(pipes, "decide"),
        }
        spent = by_turns(acts, options.repeat, before=before, after=after)
    assert not alone.agent.failures
    assert not together.agent.failures
    for pipe, worker in zip(pipes, workers, strict=True):
        pipe.send(None)
        worker.join()
    alone_rate = rate(one, n, spent[one], "decisions/s", aim=AIM)
    figures = [
        alone_rate,
        *(versus(rate(label, n, spent[label], "decisions/s"), alone_rate) for label in (many, apart)),
    ]
    notes = [
        (
            f"actions and probabilities are the same, bit for bit, however subjects are sharded:"
            f" {compared:,} rows compared"
        ),
        f"this machine has {os.cpu_count()} cores; a ratio of {SHARDS} to one thread would be linear",
    ]
    title = f"{n:,} of {known:,} known subjects a call, LinearThompson, k=10, d=20, all rules, memory log"
    return Report(title, figures, notes)


if __name__ == "__main__":
    np.seterr(all="raise", under="ignore")
    tell(run)
