"""How is something measured, and how is it told to ``run.py``?"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import attrs


@attrs.frozen
class Options:
    """How much to measure.

    Attributes:
        repeat: Runs of which the median is told.
        quick: Tiny sizes, to see that everything runs.
    """

    repeat: int
    quick: bool

    def size(self, full: int, quick: int, /) -> int:
        return quick if self.quick else full


@attrs.frozen(kw_only=True)
class Figure:
    """One line of a table.

    Attributes:
        what: Was measured.
        median: Over the runs; likewise ``low`` and ``high``, the smallest and the largest.
        unit: Of these.
        ratio: To what it is compared with; above 1 is better, whatever the unit.
        against: Names that.
    """

    what: str
    median: float
    low: float
    high: float
    unit: str
    ratio: float | None = None
    against: str = ""


@attrs.frozen
class Report:
    """What one benchmark found.

    Attributes:
        title: Says what is the same for all figures.
        figures: The lines of its table.
        notes: What a reader must know.
        page: Its table in Markdown, where the page on performance needs another one.
    """

    title: str
    figures: Sequence[Figure]
    notes: Sequence[str] = ()
    page: str = ""


def seconds(action: Callable[[], object], /) -> float:
    """Wall time of one call, garbage of earlier ones collected before."""
    gc.collect()
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def by_turns(
    contenders: Mapping[str, Callable[[], object]],
    turns: int,
    /,
    *,
    before: Callable[[str], None] | None = None,
    after: Callable[[str], None] | None = None,
) -> dict[str, list[float]]:
    """Seconds of each contender, one turn after another, so that what else the machine does hits all alike.

    One turn before the first is not counted. Who begins changes from turn to turn.

    Args:
        contenders: What is timed, by label.
        turns: That count.
        before: Prepares the contender of this label each time, untimed.
        after: Looks at what it did, untimed.

    Returns:
        For each contender ``turns`` numbers; numbers at one place belong to one turn.
    """
    labels = list(contenders)
    spent: dict[str, list[float]] = {label: [] for label in labels}
    for turn in range(-1, turns):
        first = turn % max(len(labels), 1)
        for label in (*labels[first:], *labels[:first]):
            if before is not None:
                before(label)
            took = seconds(contenders[label])
            if after is not None:
                after(label)
            if turn >= 0:
                spent[label].append(took)
    return spent


def figure(
    what: str,
    runs: Sequence[float],
    unit: str,
    *,
    aim: float | None = None,
    against: str = "",
    less_is_better: bool = False,
) -> Figure:
    """Sum up several runs.

    Args:
        what: Was measured.
        runs: One number each.
        unit: Of these.
        aim: What the median is compared with, in the same unit.
        against: Names that; the aim itself when empty.
        less_is_better: Times and sizes, not rates.
    """
    median = statistics.median(runs)
    ratio = None
    if aim is not None:
        ratio = aim / median if less_is_better else median / aim
        against = against or f"the aim of {aim:,g}"
    return Figure(
        what=what, median=median, low=min(runs), high=max(runs), unit=unit, ratio=ratio, against=against
    )


def rate(
    what: str, count: int, runs: Sequence[float], unit: str, *, aim: float | None = None, against: str = ""
) -> Figure:
    """Sum up several runs of ``count`` things each, given in seconds."""
    return figure(what, [count / run for run in runs], unit, aim=aim, against=against)


def versus(ours: Figure, theirs: Figure, *, less_is_better: bool = False) -> Figure:
    """Our figure with its ratio to that of a peer; above 1 is better."""
    ratio = theirs.median / ours.median if less_is_better else ours.median / theirs.median
    return attrs.evolve(ours, ratio=ratio, against=theirs.what)


def best(figures: Sequence[Figure], /, *, less_is_better: bool = False) -> Figure | None:
    """The best of these, or none where there are none."""
    ranked = sorted(figures, key=lambda figure: figure.median, reverse=not less_is_better)
    return ranked[0] if ranked else None


def resident_bytes() -> int:
    """Memory of this process that is in RAM; its peak where the system tells no more."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text(encoding="utf-8").splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    import resource  # not on Windows
    import sys

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def tell(run: Callable[[Options], Report], /) -> None:
    """Run one benchmark with the options of the command line and print its report for ``run.py``."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    print(json.dumps(attrs.asdict(run(Options(options.repeat, options.quick)))))
