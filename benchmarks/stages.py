"""Where does the time of a decision go? Stages of the full pipeline, each in a stopwatch of its own."""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks import pipeline
from benchmarks.measure import Figure, Options, Report, figure, seconds, tell

from agentic import Agent, _flow
from agentic._deciding import Desk
from agentic.features import Schema
from agentic.guardrails import Budget, Consent, FrequencyCap, QuietHours
from agentic.policies import LinearThompson

ALL, REST = "all", "everything else"
# A stage that begins with spaces is a part of the one before.
STAGES: tuple[tuple[str, Any, str], ...] = (  # owners are modules and classes
    ("recall: load the records", Desk, "_load"),
    ("enrich: gather features", Schema, "gather"),
    ("encode", Schema, "encode"),
    ("columns for conditions", Schema, "columns"),
    ("lay out", _flow, "lay_out"),
    ("guard", _flow, "guard"),
    ("  consent", Consent, "review"),
    ("  caps", FrequencyCap, "review"),
    ("  quiet hours", QuietHours, "review"),
    ("  budget", Budget, "review"),
    ("propose", _flow, "propose"),
    ("  policy", LinearThompson, "propose"),
    ("draw", _flow, "draw"),
    ("settle", _flow, "settle"),
    ("store the records", Desk, "_save"),
    ("pools", Desk, "_take"),
    ("record: append to the log", Agent, "_append"),
)


@contextmanager
def stopwatches() -> Iterator[dict[str, float]]:
    """Wrap every stage; seconds by stage are added up in what is given."""
    spent: dict[str, float] = {}
    saved: list[tuple[Any, str, Any]] = []  # owners and functions

    def watched(stage: str, function: Callable[..., Any]) -> Callable[..., Any]:  # any stage's signature
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:  # passed through
            began = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                spent[stage] += time.perf_counter() - began

        return wrapper

    for stage, owner, name in STAGES:
        original = getattr(owner, name, None)
        if original is None:
            continue
        spent[stage] = 0.0
        saved.append((owner, name, original))
        setattr(owner, name, watched(stage, original))
    try:
        yield spent
    finally:
        for owner, name, original in saved:
            setattr(owner, name, original)


def table(title: str, runs: list[dict[str, float]]) -> list[Figure]:
    """Microseconds per decision, by stage."""
    return [
        figure(f"{title}: all" if stage == ALL else f"  {stage}", [run[stage] for run in runs], "us/decision")
        for stage in runs[0]
    ]


def with_rest(total: float, spent: dict[str, float], per: float) -> dict[str, float]:
    """Seconds as microseconds for each of ``per`` decisions, with the total and what no stopwatch saw."""
    outer = sum(time for stage, time in spent.items() if not stage.startswith(" "))
    found = {ALL: total, **spent, REST: max(total - outer, 0.0)}
    return {stage: time / per * 1e6 for stage, time in found.items()}


def run(options: Options) -> Report:
    n, calls = options.size(100_000, 200), options.size(2_000, 20)
    agent = pipeline.agent(10, trained_on=options.size(20_000, 500))
    subjects, context = pipeline.names(n), pipeline.context(n)
    pipeline.introduce(agent, subjects)
    contexts = [{name: column[i] for name, column in context.items()} for i in range(calls)]
    agent.decide_many(subjects, context, now=pipeline.NOON)
    for i in range(calls):
        agent.decide(subjects[i], contexts[i], now=pipeline.NOON + pipeline.APART)

    in_bulk = []
    for turn in range(options.repeat):
        now = pipeline.NOON + (turn + 2) * pipeline.APART
        with stopwatches() as spent:
            total = seconds(functools.partial(agent.decide_many, subjects, context, now=now))
        in_bulk.append(with_rest(total, spent, n))

    single = []
    for turn in range(options.repeat):
        now = pipeline.NOON + (options.repeat + turn + 2) * pipeline.APART
        each: dict[str, list[float]] = {}
        with stopwatches() as spent:
            for i in range(calls):
                for stage in spent:
                    spent[stage] = 0.0
                began = time.perf_counter()
                agent.decide(subjects[i], contexts[i], now=now)
                took = with_rest(time.perf_counter() - began, spent, 1)
                for stage, micros in took.items():
                    each.setdefault(stage, []).append(micros)
        # Medians over calls: a mean would mostly tell what else the machine was doing.
        single.append({stage: statistics.median(micros) for stage, micros in each.items()})

    figures = table(f"decide_many, {n:,} rows", in_bulk) + table(f"decide, p50 of {calls:,} calls", single)
    lost = [stage for stage, _, _ in STAGES if stage not in in_bulk[0]]
    notes = [f"not found in this version: {', '.join(lost)}"] if lost else []
    notes.append("a stopwatch takes about a microsecond a stage: only the single call feels it")
    return Report("full pipeline, k=10, d=20; indented stages are parts of the one above", figures, notes)


if __name__ == "__main__":
    tell(run)
