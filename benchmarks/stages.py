"""Where does the time of a decision go? Each stage in a stopwatch of its own, beside what the machine allows.

Stages are functions, found by name: the first column of ``STAGES`` says what is timed, the second where it
is. Whoever renames one of them corrects the table; until then this benchmark says which name is gone and
stops.
"""

from __future__ import annotations

import functools
import importlib
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import attrs
from benchmarks import limits, pipeline
from benchmarks.limits import D, K, Primitive
from benchmarks.measure import Figure, Options, Report, figure, seconds, tell
from benchmarks.page import number

ALL, REST = "all", "everything else"
NODES: Final = 16  # of the quadrature; most rows take the fewest
GUARDRAILS: Final = 5
FEATURES: Final = 17


@attrs.frozen
class Machine:
    """What limits are made of.

    Attributes:
        primitives: What this machine does at most, by name.
        state: Bytes of a subject's record.
        logged: Bytes of a decision in the log.
    """

    primitives: Mapping[str, Primitive]
    state: int
    logged: int

    def __getitem__(self, name: str) -> float:
        return self.primitives[name].median


@attrs.frozen
class Limit:
    """What a stage would take if nothing but the necessary were done, and that at the machine's pace.

    Attributes:
        why: What is necessary, in words.
        bulk: Nanoseconds of a decision among many, given the machine's primitives.
        calls: Of numpy that a single decision needs at least, each at the price of an empty one.
    """

    why: str
    bulk: Callable[[Machine], float]
    calls: int

    def single(self, machine: Machine) -> float:
        """Nanoseconds of a decision alone."""
        return self.bulk(machine) + self.calls * machine["call"]


@attrs.frozen
class Stage:
    """One stage: what it is, where its functions are, and its limit.

    Attributes:
        what: For the table; begins with spaces where it is a part.
        names: ``module:function`` or ``module:Class.method`` where it is called from; those that there are,
            at least one.
        limit: ``None`` where nothing is necessary.
    """

    what: str
    names: tuple[str, ...]
    limit: Limit | None = None


STAGES: Final = (
    Stage("check the ids", ("agentic._agent:checked_subjects",)),
    Stage(
        "gather features",
        ("agentic.features:Schema.gather",),
        Limit(
            "17 values read and written, 17 statuses written",
            lambda m: FEATURES * 17 / m["copy"],
            2,
        ),
    ),
    Stage(
        "load the records",
        ("agentic._deciding:Desk._load",),
        Limit("a lookup and a read", lambda m: m["lookup"] + m["gather"], 2),
    ),
    Stage(
        "  subject index, in loading and storing",
        (
            "agentic.state._memory:_Slab.find",
            "agentic.state._index:Index.find",
            "agentic.state._index:Index.find_one",
        ),
        Limit("one lookup in a dict of everybody", lambda m: m["lookup"], 1),
    ),
    Stage(
        "encode",
        ("agentic.features:Schema.encode",),
        Limit("20 values read and written", lambda m: D * 16 / m["near"], 3),
    ),
    Stage("columns for conditions", ("agentic.features:Schema.columns",)),
    Stage("lay out", ("agentic._flow:lay_out",), Limit("denials set", lambda m: K * 2 / m["near"], 1)),
    Stage(
        "guard",
        ("agentic._flow:guard",),
        Limit(
            "5 times a mask read and denials changed",
            lambda m: GUARDRAILS * K * 5 / m["near"],
            2 * GUARDRAILS,
        ),
    ),
    Stage("  consent", ("agentic.guardrails:Consent.review",)),
    Stage("  two caps", ("agentic.guardrails:FrequencyCap.review",)),
    Stage("  quiet hours", ("agentic.guardrails:QuietHours.review",)),
    Stage("  budget", ("agentic.guardrails:Budget.review",)),
    Stage("propose", ("agentic._flow:propose",)),
    Stage(
        "  score",
        ("agentic.policies:LinearModel.mean",),
        Limit("a matrix product in f64", lambda m: 2 * D * K / m["dgemm"], 1),
    ),
    Stage(
        "  variance",
        ("agentic.policies:LinearModel.spread",),
        Limit(
            "a matrix product in f32, a pass for the squares",
            lambda m: 2 * D * D * K / m["sgemm"] + D * K * m["pass"],
            3,
        ),
    ),
    Stage(
        "  win probabilities",
        ("agentic.policies._linear:win_probabilities",),
        Limit(
            "16 nodes, for each action a tanh and 16 passes in f32",
            lambda m: NODES * K * (m["tanh"] + 16 * m["pass"]),
            25,
        ),
    ),
    Stage(
        "draw",
        ("agentic._flow:draw",),
        Limit(
            "a word of noise, weights summed and compared",
            lambda m: m["splitmix"] + 3 * K * 8 / m["near"],
            6,
        ),
    ),
    Stage(
        "settle",
        ("agentic._flow:settle",),
        Limit("a record read and written", lambda m: 2 * m.state / m["near"], GUARDRAILS),
    ),
    Stage("pools", ("agentic._deciding:Desk._take", "agentic._deciding:Desk._give")),
    Stage(
        "store the records",
        ("agentic._deciding:Desk._save",),
        Limit("a write", lambda m: m["scatter"], 2),
    ),
    Stage(
        "append to the log",
        ("agentic._agent:Agent._append",),
        Limit("what is logged, copied", lambda m: 2 * m.logged / m["copy"], 1),
    ),
)


def find(name: str) -> tuple[Any, str, Callable[..., Any]] | None:  # an owner, of any kind
    """The owner, attribute and function of a name such as ``module:Class.method``, if there is one."""
    place, _, path = name.partition(":")
    try:
        owner: Any = importlib.import_module(place)  # a module, then a class
    except ImportError:
        return None
    *classes, last = path.split(".")
    for part in classes:
        owner = getattr(owner, part, None)
    function = getattr(owner, last, None)
    return None if owner is None or function is None else (owner, last, function)


def found(stages: tuple[Stage, ...] = STAGES) -> dict[str, list[tuple[Any, str, Callable[..., Any]]]]:
    """Everything that is timed, by stage.

    Raises:
        SystemExit: A stage has no function left.
    """
    places = {stage.what: [place for name in stage.names if (place := find(name))] for stage in stages}
    gone = [stage for stage in stages if not places[stage.what]]
    if gone:
        told = "; ".join(f"{stage.what.strip()!r} was {' or '.join(stage.names)}" for stage in gone)
        raise SystemExit(
            f"benchmarks/stages.py times functions by name, and these are gone: {told}. Say in its STAGES"
            " where these stages are now, or drop them."
        )
    return places


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

    for stage, places in found().items():
        spent[stage] = 0.0
        for owner, name, original in places:
            saved.append((owner, name, original))
            setattr(owner, name, watched(stage, original))
    try:
        yield spent
    finally:
        for owner, name, original in saved:
            setattr(owner, name, original)


def with_rest(total: float, spent: dict[str, float], per: float) -> dict[str, float]:
    """Seconds as nanoseconds for each of ``per`` decisions, with the total and what no stopwatch saw."""
    outer = sum(time for stage, time in spent.items() if not stage.startswith(" "))
    parts = {ALL: total, **spent, REST: max(total - outer, 0.0)}
    return {stage: time / per * 1e9 for stage, time in parts.items()}


def table(
    title: str, runs: list[dict[str, float]], bound: Callable[[Limit], float], unit: str, scale: float
) -> tuple[list[Figure], list[str]]:
    """A line for each stage that ran, with its limit; the names of those that did not."""
    by_name = {stage.what: stage.limit for stage in STAGES}
    lines, idle = [], []
    # The subject index is a part of two stages; what is necessary of it stands in one of them.
    needed = sum(
        bound(stage.limit)
        for stage in STAGES
        if stage.limit is not None and (not stage.what.startswith(" ") or stage.what.strip() in IN_PROPOSE)
    )
    for stage in runs[0]:
        values = [run[stage] / scale for run in runs]
        if not any(values):
            idle.append(stage.strip())
            continue
        limit = by_name.get(stage)
        what = f"{title}: all" if stage == ALL else f"  {stage}"
        if stage == ALL:
            least, why = needed / scale, "all limits together"
        elif limit is not None:
            least, why = bound(limit) / scale, limit.why
        else:
            lines.append(figure(what, values, unit))
            continue
        aim = figure(
            what, values, unit, aim=least, against=f"{least:,.3g} {unit}: {why}", less_is_better=True
        )
        lines.append(aim)
    return lines, idle


def page_table(bulk: list[Figure], alone: list[Figure]) -> str:
    """Both tables side by side: time, limit, and how many times the limit."""
    single = {one.what.split(":")[-1]: one for one in alone}
    lines = [
        "| stage | in bulk, ns | limit | times | alone, us | limit | times | what is necessary |",
        "|---|---:|---:|---:|---:|---:|---:|---|",
    ]
    for many in bulk:
        name = many.what.split(":")[-1]
        label = name.removeprefix("  ") if name.startswith("  ") else name.strip()
        label = f"&emsp;{label.strip()}" if label.startswith(" ") else label.strip()
        cells = []
        for one in (many, single.get(name)):
            if one is None:
                cells += ["", "", ""]
            elif one.ratio is None:
                cells += [number(one.median), "", ""]
            else:
                cells += [number(one.median), number(one.median * one.ratio), number(1 / one.ratio)]
        why = many.against.partition(": ")[2]
        lines.append(f"| {label} | {' | '.join(cells)} | {why} |")
    return "\n".join(lines)


IN_PROPOSE: Final = ("score", "variance", "win probabilities")


def run(options: Options) -> Report:
    known, n, calls = options.size(1_000_000, 400), options.size(100_000, 200), options.size(2_000, 20)
    primitives = limits.measured(attrs.evolve(options, repeat=min(options.repeat, 3)))
    log = pipeline.RecentLog()
    agent = pipeline.agent(K, trained_on=options.size(20_000, 500), log=log)
    crowd = pipeline.Crowd.of(known, n)
    pipeline.introduce(agent, crowd.subjects)
    contexts = [pipeline.single(crowd.columns, i) for i in range(calls)]

    in_bulk, single = [], []
    for turn in range(options.repeat + 1):
        log.empty()
        asked = crowd.next(n)
        with stopwatches() as spent:
            total = seconds(functools.partial(agent.decide_many, **asked))
        if turn:
            in_bulk.append(with_rest(total, spent, n))
        asked = crowd.next(calls)
        each: dict[str, list[float]] = {}
        with stopwatches() as spent:
            for subject, values in zip(asked["subjects"], contexts, strict=True):
                for stage in spent:
                    spent[stage] = 0.0
                began = time.perf_counter()
                agent.decide(subject, values, now=asked["now"])
                took = with_rest(time.perf_counter() - began, spent, 1)
                for stage, nanos in took.items():
                    each.setdefault(stage, []).append(nanos)
        if turn:
            # Medians over calls: a mean would mostly tell what else the machine was doing.
            single.append({stage: statistics.median(nanos) for stage, nanos in each.items()})
    assert not agent.failures, agent.failures

    decided = agent.decide_many(**crowd.next(100)).columns.values()
    logged = sum(column[:1].nbytes for column in decided)
    machine = Machine(primitives, agent.plan.layout.dtype.itemsize, logged)
    bulk, unused = table("decide_many", in_bulk, lambda limit: limit.bulk(machine), "ns", 1.0)
    alone, idle = table("decide", single, lambda limit: limit.single(machine), "us", 1e3)
    notes = [
        (
            f"{n:,} rows a call; {calls:,} single calls a run, medians over the calls; {known:,} known"
            " subjects, in the order in which they became known"
        ),
        "indented stages are parts of the one above, so they do not add to the whole",
        (
            "a ratio is the limit over the time: 0.5 is twice the limit. A single decision's limit adds"
            " the price of the fewest numpy calls that would do to that of the arithmetic"
        ),
        "a stopwatch takes half a microsecond a stage: only the single call feels it",
        *(f"decide_many does not call: {stage}" for stage in unused),
        *(f"decide does not call: {stage}" for stage in idle),
    ]
    return Report("full pipeline, k=10, d=20, one thread", [*bulk, *alone], notes, page_table(bulk, alone))


if __name__ == "__main__":
    tell(run)
