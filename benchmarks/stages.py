"""Where does the time of a decision go? Stages of the full pipeline, each in a stopwatch of its own."""

from __future__ import annotations

import functools
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


def table(title: str, runs: list[dict[str, float]], totals: list[float], n: int) -> list[Figure]:
    """Microseconds per decision, by stage, and what no stopwatch saw."""
    figures = [figure(f"{title}: all", [total / n * 1e6 for total in totals], "us/decision")]
    figures += [
        figure(f"  {stage}", [run[stage] / n * 1e6 for run in runs], "us/decision") for stage in runs[0]
    ]
    outer = [sum(time for stage, time in run.items() if not stage.startswith(" ")) for run in runs]
    rest = [max(total - inner, 0.0) / n * 1e6 for total, inner in zip(totals, outer, strict=True)]
    return [*figures, figure("  everything else", rest, "us/decision")]


def run(options: Options) -> Report:
    n, calls = options.size(100_000, 200), options.size(2_000, 20)
    agent = pipeline.agent(10, trained_on=options.size(20_000, 500))
    subjects, context = pipeline.names(n), pipeline.context(n)
    pipeline.introduce(agent, subjects)
    contexts = [{name: column[i] for name, column in context.items()} for i in range(calls)]
    agent.decide_many(subjects, context, now=pipeline.NOON)
    for i in range(calls):
        agent.decide(subjects[i], contexts[i], now=pipeline.NOON)

    def one_by_one(day: int) -> None:
        now = pipeline.NOON + day * pipeline.DAY
        for i in range(calls):
            agent.decide(subjects[i], contexts[i], now=now)

    in_bulk, single = [], []
    bulk_totals, single_totals = [], []
    for turn in range(options.repeat):
        now = pipeline.NOON + 2 * (turn + 1) * pipeline.DAY
        with stopwatches() as spent:
            bulk_totals.append(seconds(functools.partial(agent.decide_many, subjects, context, now=now)))
        in_bulk.append(dict(spent))
    for turn in range(options.repeat):
        with stopwatches() as spent:
            day = 2 * (options.repeat + turn + 1)
            single_totals.append(seconds(functools.partial(one_by_one, day)))
        single.append(dict(spent))
    figures = table(f"decide_many, {n:,} rows", in_bulk, bulk_totals, n)
    figures += table(f"decide, {calls:,} calls", single, single_totals, calls)
    lost = [stage for stage, _, _ in STAGES if stage not in in_bulk[0]]
    notes = [f"not found in this version: {', '.join(lost)}"] if lost else []
    notes.append("a stopwatch takes about a microsecond a stage: only the single call feels it")
    return Report("full pipeline, k=10, d=20; indented stages are parts of the one above", figures, notes)


if __name__ == "__main__":
    tell(run)
