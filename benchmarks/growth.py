"""How does the cost of a decision grow? One thing at a time gets larger, everything else stays as it is.

For every axis a table, the slope of the cost on logarithmic scales with what it should be, and a plot.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import attrs
import numpy as np
from benchmarks import pipeline, plot
from benchmarks.measure import Figure, Options, Report, figure, seconds, tell
from benchmarks.page import number

from agentic import Agent
from agentic.guardrails import FrequencyCap
from agentic.protocols import Guardrail

ROOT: Final = Path(__file__).resolve().parents[1]
PLOT: Final = ROOT / "docs" / "_static" / "growth.svg"
ROWS: Final = 16_384  # decided in a call where n is not what grows
DECIDE, MANY = "decide", "decide_many"


@attrs.frozen
class Axis:
    """One thing that grows.

    Attributes:
        name: What grows, in words.
        letter: On the axis of the plot.
        sizes: How large.
        build: Makes the agent that is asked, given a size.
        rows: In one call, given a size.
        known: Subjects the agent knows, given a size.
        fit: The slope is fitted over sizes from here on.
        ideal: Slope that it should have at most, of microseconds a decision.
        why: In words.
        single: Measured for ``decide`` as well.
        d: Columns of the features, given a size.
        slots: Given a size.
    """

    name: str
    letter: str
    sizes: Sequence[int]
    build: Callable[[int, Options], Agent]
    fit: int
    ideal: float
    why: str
    rows: Callable[[int], int] = lambda size: ROWS
    known: Callable[[int], int] = lambda size: 4 * ROWS
    single: bool = True
    d: Callable[[int], int] = lambda size: 20
    slots: Callable[[int], int] = lambda size: 1


@attrs.frozen
class Curve:
    """Microseconds a decision at each size of an axis, by ``decide`` or ``decide_many``."""

    axis: Axis
    how: str
    sizes: list[int]
    runs: list[list[float]]

    @property
    def medians(self) -> list[float]:
        return [statistics.median(run) for run in self.runs]

    @property
    def slope(self) -> float:
        """Slope of a straight line through the logarithms, by least squares, from ``axis.fit`` on."""
        points = [(s, m) for s, m in zip(self.sizes, self.medians, strict=True) if s >= self.axis.fit]
        if len(points) < 2:
            points = list(zip(self.sizes, self.medians, strict=True))
        return slope(points)


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Slope of the line through the logarithms of these points, by least squares."""
    x, y = np.log(np.array(points, dtype=np.float64)).T
    x -= x.mean()
    return float(x @ (y - y.mean()) / (x @ x))


def plain(size: int, options: Options) -> Agent:
    return pipeline.agent(log=pipeline.RecentLog(), trained_on=options.size(20_000, 300))


def wider(size: int, options: Options) -> Agent:
    return pipeline.agent(log=pipeline.RecentLog(), d=size, trained_on=options.size(20_000, 300))


def richer(size: int, options: Options) -> Agent:
    return pipeline.agent(size, log=pipeline.RecentLog(), trained_on=options.size(40_000, 300))


def caps(many: int) -> list[Guardrail]:
    """So many caps of five sends each, none of which ever denies."""
    return [FrequencyCap(5, per=timedelta(hours=1 + i), name=f"cap_{i}") for i in range(many)]


def stricter(size: int, options: Options) -> Agent:
    trained = options.size(20_000, 300)
    return pipeline.agent(log=pipeline.RecentLog(), guardrails=caps(size), trained_on=trained)


AXES: Final = (
    Axis(
        "rows in a call",
        "n",
        (1, 10, 100, 1_000, 10_000, 100_000),
        plain,
        1_000,
        0.0,
        "flat from about a thousand rows on: the price of a call is spread over its rows",
        rows=lambda size: size,
        known=lambda size: max(4 * ROWS, size),
        single=False,
    ),
    Axis("candidates", "k", (2, 5, 10, 20, 50, 100, 200), richer, 20, 1.0, "linear"),
    Axis(
        "feature columns",
        "d",
        (10, 20, 40, 80, 160),
        wider,
        40,
        2.0,
        "quadratic at most: the variances of Thompson sampling; everything else is linear",
        d=lambda size: size,
    ),
    Axis("guardrails", "g", (1, 2, 4, 8, 16), stricter, 4, 1.0, "linear at most"),
    Axis(
        "subjects known",
        "s",
        (20_000, 60_000, 200_000, 600_000, 2_000_000),
        plain,
        20_000,
        0.0,
        "flat, up to what the caches of the processor hold",
        known=lambda size: size,
    ),
    Axis(
        "slots",
        "slots",
        (1, 2, 4, 8),
        plain,
        1,
        1.0,
        "linear at most: one proposal serves all slots",
        slots=lambda size: size,
    ),
)
QUICK: Final = {"n": (1, 30), "k": (2, 5), "d": (10, 20), "g": (1, 2), "s": (100, 200), "slots": (1, 2)}


@attrs.define
class Place:
    """An agent at one size of an axis, ready to be asked again and again."""

    agent: Agent
    subjects: list[str]
    columns: dict[str, Any]
    contexts: list[dict[str, Any]]
    rows: int
    slots: int
    calls: int = 0

    @classmethod
    def of(cls, axis: Axis, size: int, options: Options) -> Place:
        agent = axis.build(size, options)
        known = axis.known(size) if not options.quick else max(200, axis.known(size) // 1000)
        rows = axis.rows(size) if not options.quick else min(axis.rows(size), 100)
        order = np.random.default_rng(7).permutation(known).tolist()
        names = pipeline.names(known)
        if agent.plan.guardrails.keys() & {"consent"}:
            pipeline.introduce(agent, names)
        columns = pipeline.context(max(rows, 200), d=axis.d(size))
        contexts = [pipeline.single(columns, row) for row in range(200)]
        columns = {name: column[:rows] for name, column in columns.items()}
        place = cls(agent, [names[i] for i in order], columns, contexts, rows, axis.slots(size))
        place.meet()
        return place

    def meet(self) -> None:
        """Decide once for everybody, so that nobody is a stranger."""
        for _ in range(0, len(self.subjects), max(self.rows, 5_000)):
            n = min(len(self.subjects), max(self.rows, 5_000))
            columns = {
                name: [column[i % self.rows] for i in range(n)] for name, column in self.columns.items()
            }
            self.agent.decide_many(self._next(n), columns, now=pipeline.NOON)
        self._empty()

    def _empty(self) -> None:
        log = self.agent.log
        assert isinstance(log, pipeline.RecentLog)
        log.empty()

    def _next(self, n: int) -> list[str]:
        lo = self.calls % max(len(self.subjects) - n + 1, 1)
        self.calls += n
        return self.subjects[lo : lo + n]

    def many(self, turn: int) -> float:
        """Microseconds a decision in bulk."""
        self._empty()
        now = pipeline.NOON + (turn + 1) * pipeline.APART
        times = []
        for _ in range(max(1, min(ROWS // self.rows, 200))):
            subjects = self._next(self.rows)
            times.append(
                seconds(lambda s=subjects: self.agent.decide_many(s, self.columns, slots=self.slots, now=now))
                if self.rows > 100
                else self._quickly(subjects, now)
            )
        return statistics.median(times) / self.rows * 1e6

    def _quickly(self, subjects: list[str], now: Any) -> float:
        began = time.perf_counter()
        self.agent.decide_many(subjects, self.columns, slots=self.slots, now=now)
        return time.perf_counter() - began

    def one(self, turn: int, calls: int) -> float:
        """Microseconds of a single decision: the median of many."""
        self._empty()
        gc.collect()
        now = pipeline.NOON + (turn + 1) * pipeline.APART + pipeline.DAY
        times = []
        for call in range(calls):
            (subject,) = self._next(1)
            began = time.perf_counter()
            self.agent.decide(subject, self.contexts[call % 200], slots=self.slots, now=now)
            times.append(time.perf_counter() - began)
        return statistics.median(times) * 1e6


def measured(axis: Axis, options: Options) -> list[Curve]:
    """All sizes of one axis by turns."""
    sizes = list(QUICK[axis.letter] if options.quick else axis.sizes)
    places = [Place.of(axis, size, options) for size in sizes]
    many: list[list[float]] = [[] for _ in sizes]
    one: list[list[float]] = [[] for _ in sizes]
    for turn in range(-1, options.repeat):
        for at, place in enumerate(places):
            bulk = place.many(turn + 1)
            single = place.one(turn + 1, options.size(300, 10)) if axis.single else 0.0
            if turn >= 0:
                many[at].append(bulk)
                one[at].append(single)
    for place in places:
        assert not place.agent.failures, place.agent.failures
    curves = [Curve(axis, MANY, sizes, many)]
    return [*curves, Curve(axis, DECIDE, sizes, one)] if axis.single else curves


def told(curve: Curve) -> list[Figure]:
    """The lines of one curve: a cost for each size, then the slope."""
    axis = curve.axis
    lines = [
        figure(f"{axis.name}, {axis.letter}={size:,}, {curve.how}", run, "us/decision")
        for size, run in zip(curve.sizes, curve.runs, strict=True)
    ]
    found = figure(f"  slope of {curve.how} from {axis.letter}={axis.fit:,}", [curve.slope], "slope")
    return [*lines, attrs.evolve(found, against=f"should be at most {axis.ideal:g}: {axis.why}")]


def page_table(curves: Sequence[Curve]) -> str:
    """A line for each curve: sizes with their cost, the slope, and what it should be at most."""
    lines = [
        "| grows | asked by | microseconds a decision at each size | slope | at most |",
        "|---|---|---|---:|---|",
    ]
    for curve in curves:
        axis = curve.axis
        costs = ", ".join(
            f"{size:,}: **{number(cost)}**" for size, cost in zip(curve.sizes, curve.medians, strict=True)
        )
        name = axis.name if axis.name == axis.letter else f"{axis.name}, {axis.letter}"
        lines.append(
            f"| {name} | `{curve.how}` | {costs} | {curve.slope:.2f} from {axis.fit:,} |"
            f" {axis.ideal:g}: {axis.why} |"
        )
    return "\n".join(lines)


def panels(curves: Sequence[Curve]) -> list[plot.Panel]:
    """One panel an axis, its curves and the slope that each should have."""
    found: dict[str, plot.Panel] = {}
    for curve in curves:
        axis = curve.axis
        since = axis.fit if curve.sizes[-1] > axis.fit else curve.sizes[0]
        title = axis.name if axis.name == axis.letter else f"{axis.name} ({axis.letter})"
        panel = found.setdefault(axis.name, plot.Panel(title, axis.ideal, since))
        points = [(float(s), m) for s, m in zip(curve.sizes, curve.medians, strict=True)]
        panel.lines[f"{curve.how}, slope {curve.slope:.2f}"] = points
    return list(found.values())


def run(options: Options) -> Report:
    curves = [curve for axis in AXES for curve in measured(axis, options)]
    picture = plot.svg("Microseconds a decision", panels(curves))
    notes = [
        (
            "LinearThompson with exact probabilities, all rules; k=10, d=20, one slot, 16,384 rows a call"
            " and 65,536 known subjects where these do not grow; guardrails are caps of five sends"
        ),
        "a slope of 1 is linear, 0 is flat; costs that do not grow press it below what it tends to",
    ]
    if not options.quick:
        PLOT.write_text(picture, encoding="utf-8")
        notes.append(f"plotted in {PLOT.relative_to(ROOT)}")
    figures = [line for curve in curves for line in told(curve)]
    return Report("the cost of one decision while one thing grows", figures, notes, page_table(curves))


if __name__ == "__main__":
    tell(run)
