"""How often do intervals of off-policy estimates hold, and how wide are they? In worlds that are known.

Each scenario is one that users live in: a target logged with 5 % by an epsilon-greedy policy, clicks of
1.5 %, rewards near the ceiling, weights that are heavy where the target differs. ``repeat`` runs of 300 logs
each; run ``i`` has seed ``i``. An interval counts as holding if it covers at least its level less two Monte
Carlo errors.

Where the folder named by AGENTIC_SHARED has ``gold/coverage_ope_reference.json``, widths are set beside the
narrowest row there that holds, as well as beside our own delta method, bootstrap and Cressie-Read in the
same logs.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt
from benchmarks.measure import Figure, Options, Report, figure, tell

from agentic.evaluation import (
    SNIPW,
    Bootstrap,
    CressieRead,
    EmpiricalLikelihood,
    Interval,
    Logged,
    Normal,
    Rows,
    overlap,
    resampled,
    standard_error,
)

LEVEL = 0.95
LOGS = 300
OURS = "empirical likelihood"
Dice = np.random.Generator


@attrs.frozen
class Scenario:
    """A world and how many rows its logs have.

    Attributes:
        draw: Draws the weighed rows of one log.
        value: Of the target, true.
        reference: Its name in the reference, if it is there.
    """

    draw: Callable[[Dice], Rows]
    value: float
    reference: str = ""


def epsilon(n: int, *, k: int, floor: float, rate: float, other: float) -> Callable[[Dice], Rows]:
    """Every action but the one liked is logged with the floor; target and liked one are independent."""

    def draw(dice: Dice) -> Rows:
        liked, wanted = dice.integers(0, k, (2, n))
        explored = dice.random(n) < k * floor
        action = np.where(explored, dice.integers(0, k, n), liked)
        probability = np.where(action == liked, 1.0 - (k - 1) * floor, floor)
        matched = action == wanted
        reward = (dice.random(n) < np.where(matched, rate, other)).astype(np.float64)
        return overlap(Logged(action, reward, probability=probability), matched.astype(np.float64))

    return draw


MEAN_RATE = 0.05


def opposed(n: int, *, k: int = 5) -> Callable[[Dice], Rows]:
    """The log likes what the target does not, by softmax, with a floor of 0.1 / k; both are stochastic."""

    def draw(dice: Dice) -> Rows:
        score = dice.normal(size=(n, k))
        liked = np.exp(score)
        probability = 0.9 * liked / liked.sum(axis=1, keepdims=True) + 0.1 / k
        wanted = np.exp(-score)
        target = wanted / wanted.sum(axis=1, keepdims=True)
        action = np.minimum((probability.cumsum(axis=1) < dice.random((n, 1))).sum(axis=1), k - 1)
        at = np.arange(n)
        reward = (dice.random(n) < MEAN_RATE).astype(np.float64)
        return overlap(Logged(action, reward, probability=probability[at, action]), target)

    return draw


def scenarios() -> dict[str, Scenario]:
    found = {}
    for n in (200, 2000):
        for name, k, floor, rate, other in (
            ("eps", 4, 0.05, 0.12, 0.06),
            ("ctr", 10, 0.1, 0.015, 0.015),
            ("offset", 5, 0.2, 0.885, 0.885),
        ):
            world = epsilon(n, k=k, floor=floor, rate=rate, other=other)
            found[f"{name}, n={n}"] = Scenario(world, rate, f"{name}_n{n}")
        world = epsilon(n, k=10, floor=0.02, rate=0.005, other=0.005)
        found[f"rare and heavy, n={n}"] = Scenario(world, 0.005)
        found[f"opposed, n={n}"] = Scenario(opposed(n), MEAN_RATE)
    return found


def intervals(weight_cap: float) -> dict[str, Interval]:
    return {
        OURS: EmpiricalLikelihood(),
        "delta method": Normal(),
        "Cressie-Read": CressieRead(weight_cap=weight_cap),
        "bootstrap": Bootstrap(resamples=400),
    }


def simulate(scenario: Scenario, logs: int, seed: int) -> dict[str, tuple[float, float]]:
    """Coverage and mean width of each interval over so many logs."""
    dice = np.random.default_rng(seed)
    held: dict[str, list[tuple[bool, float]]] = {}
    for _ in range(logs):
        rows = scenario.draw(dice)
        contributions = SNIPW().contribute(rows)
        error = standard_error(contributions.influence, degrees=contributions.degrees)
        for name, interval in intervals(rows.weight_cap or math.inf).items():
            low, high = 0.0, 1.0
            if math.isfinite(contributions.value):
                low, high = interval.bounds(
                    rows, contributions, standard_error=error, level=LEVEL, reward_range=(0.0, 1.0)
                )
            held.setdefault(name, []).append((low <= scenario.value <= high, high - low))
    return {
        name: (sum(hit for hit, _ in found) / logs, math.fsum(wide for _, wide in found) / logs)
        for name, found in held.items()
    }


def holds(coverage: float, logs: int) -> bool:
    return coverage >= LEVEL - 2.0 * math.sqrt(LEVEL * (1.0 - LEVEL) / logs)


def reference() -> dict[str, dict[str, tuple[float, float]]]:
    """Coverage and mean width by scenario and method, of one look at fixed n; nothing where there is none."""
    folder = os.environ.get("AGENTIC_SHARED")
    path = Path(folder or ".") / "gold" / "coverage_ope_reference.json"
    if folder is None or not path.exists():
        return {}
    told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["results"]
    return {
        scenario: {
            name: (row["coverage"], row["mean_width"] or math.inf)
            for name, row in found["fixed_n"].items()
            if row["mean_width"] is None or row["mean_width"] > 0.0
        }
        for scenario, found in told.items()
    }


def narrowest(rows: dict[str, tuple[float, float]], logs: int) -> tuple[str, float]:
    """Of the rows that hold."""
    valid = {name: wide for name, (coverage, wide) in rows.items() if holds(coverage, logs)}
    name = min(valid, key=lambda one: valid[one])
    return name, valid[name]


def resampling(options: Options) -> Figure:
    """Seconds that ten thousand resamples of a million rows take."""
    n, resamples = options.size(1_000_000, 5000), options.size(10_000, 100)
    dice = np.random.default_rng(0)
    weight: npt.NDArray[np.float64] = dice.lognormal(0.0, 1.0, n)
    rows = Rows(weight, (dice.random(n) < MEAN_RATE).astype(np.float64))
    contributions = SNIPW().contribute(rows)
    spent = []
    for _ in range(options.repeat):
        began = time.perf_counter()
        resampled(rows, contributions, resamples=resamples, seed=0)
        spent.append(time.perf_counter() - began)
    return figure(f"bootstrap, {resamples:,} of {n:,} rows", spent, "s")


def run(options: Options) -> Report:
    logs = options.size(LOGS, 10)
    figures, peers = [], reference()
    for name, scenario in scenarios().items():
        runs = [simulate(scenario, logs, seed) for seed in range(options.repeat)]
        pooled = {
            one: (
                math.fsum(found[one][0] for found in runs) / len(runs),
                math.fsum(found[one][1] for found in runs) / len(runs),
            )
            for one in runs[0]
        }
        coverage = [found[OURS][0] for found in runs]
        widths = [found[OURS][1] for found in runs]
        figures.append(figure(f"{name}: coverage", coverage, "", aim=LEVEL))
        others = {one: row for one, row in pooled.items() if one != OURS}
        if any(holds(row[0], logs * len(runs)) for row in others.values()):
            best, wide = narrowest(others, logs * len(runs))
            figures.append(
                figure(f"{name}: width", widths, "", aim=wide, against=f"our {best}", less_is_better=True)
            )
        else:
            figures.append(figure(f"{name}: width", widths, ""))
        if scenario.reference in peers:
            best, wide = narrowest(peers[scenario.reference], LOGS)
            figures.append(
                figure(f"{name}: width again", widths, "", aim=wide, against=best, less_is_better=True)
            )
        for one, (share, wide) in others.items():
            figures.append(figure(f"  {one}: coverage", [share], ""))
            figures.append(figure(f"  {one}: width", [wide], ""))
    figures.append(resampling(options))
    error = math.sqrt(LEVEL * (1.0 - LEVEL) / logs)
    notes = (
        f"{logs} logs a run, so coverage near {LEVEL} is told to {error:.3f} (one Monte Carlo error)",
        "ratios of widths are to the narrowest interval that holds its level less two of these errors",
        *(() if peers else ("the reference is not there: AGENTIC_SHARED names no folder that has it",)),
    )
    return Report(f"intervals of level {LEVEL}, SNIPW, rewards 0 or 1", figures, notes)


if __name__ == "__main__":
    tell(run)
