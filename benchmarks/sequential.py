"""How soon do peeked tests find a worse arm, and how often do they accuse one that is not worse?"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from statistics import NormalDist

import numpy as np
from benchmarks.measure import Figure, Options, Report, figure, rate, seconds, tell

from agentic.experiments import BettingTest, CountTest, EValues, MeanTest

ALPHA = 0.05
RATE = 0.05
PER_LOOK = 250
TRUTHS = {"no harm": 0.0, "-10 %": -0.1, "-20 %": -0.2, "-50 %": -0.5}
COLUMNS = {"peeked z": 0, "mean": 1, "count": 3, "betting": 4}  # of the reference table
RAMP = np.repeat([0.01, 0.05, 0.10, 0.25, 0.50], 40)


def reference() -> dict[tuple[str, str], tuple[float, float | None]]:
    """Read the reference table: share found in per cent and median delay, by truth and test."""
    root = os.environ.get("AGENTIC_SHARED")
    page = Path(root, "reference", "reliability.md") if root else None
    if page is None or not page.exists():
        return {}
    told: dict[tuple[str, str], tuple[float, float | None]] = {}
    for line in page.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        truth = next((t for t in TRUTHS if cells[0].replace("%", " %").startswith(t)), None)
        if truth is None or len(cells) <= max(COLUMNS.values()) + 1 or "margin" in cells[0]:
            continue
        for test, column in COLUMNS.items():
            found = re.match(r"\**([\d.]+)%\**(?:, ([\d.]+)(k?))?$", cells[1 + column])
            if found:
                delay = float(found[2]) * (1000.0 if found[3] else 1.0) if found[2] else None
                told[truth, test] = (float(found[1]), delay)
    return told


def looks(test: str, lift: float, runs: int, total: int, generator: np.random.Generator) -> EValues:
    """Run one test on even arms, many times."""
    if test == "betting":
        shape = (runs, total, PER_LOOK)
        arms = [(generator.random(shape) < rate).astype(float) for rate in (RATE, RATE * (1.0 + lift))]
        return BettingTest(low=0.0, high=1.0).trajectory(control=arms[0], treatment=arms[1])
    x0 = generator.binomial(PER_LOOK, RATE, (runs, total))
    x1 = generator.binomial(PER_LOOK, RATE * (1.0 + lift), (runs, total))
    return counted(test, np.full(total, PER_LOOK), x0, np.full(total, PER_LOOK), x1)


def counted(test: str, n0: np.ndarray, x0: np.ndarray, n1: np.ndarray, x1: np.ndarray) -> EValues:
    if test == "peeked z":
        rates = [x.cumsum(axis=-1) / n.cumsum(axis=-1) for n, x in ((n0, x0), (n1, x1))]
        spread = sum(p * (1.0 - p) / n.cumsum(axis=-1) for p, n in zip(rates, (n0, n1), strict=True))
        with np.errstate(divide="ignore", invalid="ignore"):
            found = (rates[0] - rates[1]) / np.sqrt(spread) > NormalDist().inv_cdf(1.0 - ALPHA)
        return EValues(harm=np.where(found, 1.0 / ALPHA, 1.0), safe=np.ones(found.shape))
    if test == "mean":
        return MeanTest().trajectory(control=(n0, x0, x0, n0 - x0, x0), treatment=(n1, x1, x1, n1 - x1, x1))
    return CountTest().trajectory(
        control_rows=n0, control_successes=x0, treatment_rows=n1, treatment_successes=x1
    )


def delays(
    test: str, options: Options, told: dict[tuple[str, str], tuple[float, float | None]]
) -> list[Figure]:
    """Share found and median delay for each truth; a figure's runs are seeds."""
    runs = options.size(60 if test == "betting" else 1000, 4)
    total = options.size(80 if test == "betting" else 200, 20)
    found: list[Figure] = []
    for truth, lift in TRUTHS.items():
        shares, waits = [], []
        for seed in range(options.repeat):
            first = looks(test, lift, runs, total, np.random.default_rng([seed, 77])).first(ALPHA)
            shares.append(100.0 * float((first >= 0).mean()))
            if (first >= 0).any():
                waits.append(float(np.median((first[first >= 0] + 1) * PER_LOOK)))
        share, delay = told.get((truth, test), (None, None))
        if not lift:
            what = f"{test}, no harm: accused all the same"
            aim = 100.0 * ALPHA if all(shares) else None
            found.append(figure(what, shares, "%", aim=aim, against="alpha, 5 %", less_is_better=True))
            continue
        found.append(figure(f"{test}, {truth}: found", shares, "%", aim=share, against="reference"))
        if waits:
            what = f"{test}, {truth}: customers of an arm"
            found.append(
                figure(what, waits, "customers", aim=delay, against="reference", less_is_better=True)
            )
    return found


def ramped(test: str, options: Options) -> list[Figure]:
    """The same while the treatment's share grows 1, 5, 10, 25, 50 % and rates swing with the season."""
    runs, total = options.size(1000, 4), RAMP.size
    rates = RATE * (1.0 + 0.4 * np.sin(np.arange(total) / 15.0))
    n1 = (2 * PER_LOOK * RAMP).astype(np.int64)
    n0 = 2 * PER_LOOK - n1
    found = []
    for truth, lift in TRUTHS.items():
        shares = []
        for seed in range(options.repeat):
            generator = np.random.default_rng([seed, 78])
            x0 = generator.binomial(n0, rates, (runs, total))
            x1 = generator.binomial(n1, rates * (1.0 + lift), (runs, total))
            shares.append(100.0 * float((counted(test, n0, x0, n1, x1).first(ALPHA) >= 0).mean()))
        found.append(figure(f"{test}, {truth}, ramp 1 to 50 %, season", shares, "% found"))
    return found


def speed(options: Options) -> list[Figure]:
    """What one look of a monitor takes."""
    generator = np.random.default_rng(1)
    n = options.size(10_000, 100)
    batches = [(generator.random(n) < RATE).astype(float) for _ in range(2)]
    tests = {
        "count": CountTest(),
        "mean": MeanTest(),
        "betting": BettingTest(low=0.0, high=1.0),
    }
    found = []
    for name, test in tests.items():

        def look(test: CountTest | MeanTest | BettingTest = test) -> None:
            after = test.observe(control=batches[0], treatment=batches[1])
            _ = (after.harmed, after.bounds)

        look()
        found.append(rate(f"{name}, a look", 2 * n, repeated(look, options), "rows/s"))
    return found


def repeated(action: Callable[[], None], options: Options) -> list[float]:
    return [seconds(action) for _ in range(options.repeat)]


def run(options: Options) -> Report:
    told = reference()
    figures = [
        *(line for test in ("peeked z", "count", "mean", "betting") for line in delays(test, options, told)),
        *(line for test in ("count", "mean") for line in ramped(test, options)),
        *speed(options),
    ]
    notes = [
        "a run is one seed: 1,000 campaigns, 60 for betting; delays are medians of those found",
        "up to 50,000 customers of an arm, betting up to 20,000; looks after every 250 of either arm",
        "reference: count e-process, asymptotic sequence at 5,000, paired betting"
        if told
        else "no reference",
    ]
    title = f"base rate {RATE:.0%}, 200 looks, alpha {ALPHA:.0%} on one side"
    return Report(title, figures, notes)


if __name__ == "__main__":
    tell(run)
