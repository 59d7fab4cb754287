"""How much reward does a learner collect? Supervised data, decided one by one, each told only its own reward.

python benchmarks/quality.py [--data FILE.npz] [--sets NAME ...] [--rows 3000] [--seeds 5] [--delays 1 100]
                             [--only TEXT ...] [--agent] [--no-peers] [--json]

Features are the context, classes the actions; the reward is 1 when the action is the right class, else 0.
Each seed is one pass over a shuffle. A learner learns when ``delay`` rewards are there, all of them at once.
Data are arrays ``NAME_X`` and ``NAME_y`` of one npz file: by default ``data/classification.npz`` in the
folder that AGENTIC_SHARED names, else sets made up here. Features are standardised, and a constant is
appended where there is none; everybody gets the same.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import attrs
import numpy as np
import numpy.typing as npt

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import quality_ours, quality_peers

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

# What is known of four sets, 3,000 rows, five shuffles: the mean that each kind of learner has to reach.
KNOWN_SETS = ("breast_cancer", "digits", "satimage", "letter")
BARS = {
    1: {"default": 0.735, "best": 0.78, "ridge that sees every label": 0.778},
    100: {"default": 0.69, "best": 0.74},
}


class Learner(Protocol):
    """What is compared. It is made anew for each pass."""

    def decide(self, X: F64, /) -> I64:
        """Actions for rows (n, d) between which nothing is learned."""

    def learn(self, X: F64, action: I64, reward: F64, /) -> None:
        """Learn from rows that were decided."""


Make = Callable[[int, int, int], Learner]
"""Makes a learner for this many actions, this many features and this seed."""


@attrs.frozen
class Score:
    """Mean reward of one learner on one set at one delay, with its standard error over the seeds."""

    learner: str
    data: str
    delay: int
    mean: float
    error: float
    us: float


def standardised(X: F64) -> F64:
    """Columns of mean 0 and variance 1, and a last one of 1; constant columns are left out."""
    X = np.asarray(X, dtype=np.float64)
    spread = X.std(axis=0)
    X = X[:, spread > 0]
    return np.column_stack([(X - X.mean(axis=0)) / X.std(axis=0), np.ones(len(X))])


def made_up() -> dict[str, tuple[F64, I64]]:
    """Sets that need no file: a linear teacher, clusters, and rings that no line divides."""
    dice = np.random.default_rng(0)
    out = {}
    X = dice.standard_normal((4000, 12))
    out["teacher"] = X, (X @ dice.standard_normal((12, 5)) + dice.gumbel(size=(4000, 5))).argmax(axis=1)
    centre = dice.standard_normal((20, 10)) * 1.2
    cluster = dice.integers(0, 20, 4000)
    out["clusters"] = centre[cluster] + dice.standard_normal((4000, 10)), cluster % 10
    X = dice.standard_normal((4000, 4))
    radius = (X[:, :3] ** 2).sum(axis=1)
    out["rings"] = X, np.searchsorted(np.quantile(radius, [0.33, 0.66]), radius)
    return out


def loaded(path: Path | None) -> dict[str, tuple[F64, I64]]:
    """Sets by name: features (n, d), standardised, and classes from 0."""
    if path is None:
        sets = made_up()
    else:
        with np.load(path) as arrays:
            names = [name[:-2] for name in arrays.files if name.endswith("_X")]
            sets = {name: (arrays[f"{name}_X"], arrays[f"{name}_y"]) for name in names}
    return {
        name: (standardised(X), np.unique(y, return_inverse=True)[1].astype(np.int64))
        for name, (X, y) in sets.items()
    }


def passed(learner: Learner, X: F64, y: I64, delay: int) -> float:
    """Mean reward of one pass."""
    right = 0.0
    for lo in range(0, len(X), delay):
        rows = X[lo : lo + delay]
        action = learner.decide(rows)
        reward = (action == y[lo : lo + delay]).astype(np.float64)
        learner.learn(rows, action, reward)
        right += reward.sum()
    return right / len(X)


def scored(
    name: str, make: Make, data: str, X: F64, y: I64, *, delay: int, rows: int | None, seeds: int
) -> Score:
    """One line of the table."""
    got = []
    began = time.perf_counter()
    for seed in range(seeds):
        order = np.random.default_rng(seed).permutation(len(X))[:rows]
        learner = make(int(y.max()) + 1, X.shape[1], seed)
        got.append(passed(learner, X[order], y[order], delay))
    us = (time.perf_counter() - began) * 1e6 / (seeds * min(len(X), rows or len(X)))
    error = float(np.std(got, ddof=1) / np.sqrt(seeds)) if seeds > 1 else float("nan")
    return Score(name, data, delay, float(np.mean(got)), error, us)


def table(scores: Sequence[Score], sets: Sequence[str], delay: int) -> list[str]:
    """Learners by mean over the sets, best first; the difference to the best peer in the last column."""
    mine = [score for score in scores if score.delay == delay]
    by: dict[str, dict[str, Score]] = {}
    for score in mine:
        by.setdefault(score.learner, {})[score.data] = score
    whole = {name: row for name, row in by.items() if len(row) == len(sets)}
    means = {name: float(np.mean([score.mean for score in row.values()])) for name, row in whole.items()}
    peers = [name for name in means if not name.startswith("ours")]
    best = max((means[name] for name in peers), default=None)
    wide = max(map(len, by), default=0) + 2
    titles = "".join(f"{name[:13]:>15}" for name in sets)
    head = f"{'':{wide}}{titles}{'mean':>9}{'ratio':>8}{'us/row':>9}"
    lines = [f"learning after every {'row' if delay == 1 else f'{delay} rows'}", head]
    for name in sorted(by, key=lambda name: -means.get(name, -1.0)):
        row = by[name]
        cells = "".join(f"{row[s].mean:>9.3f} ±{row[s].error:.3f}" if s in row else " " * 15 for s in sets)
        mean = f"{means[name]:9.4f}" if name in means else f"{'-':>9}"
        ratio = f"{means[name] / best:8.3f}" if name in means and best else f"{'-':>8}"
        us = float(np.mean([score.us for score in by[name].values()]))
        lines.append(f"{name:{wide}}{cells}{mean}{ratio}{us:9.0f}")
    if peers:
        top = "".join(f"{max(by[p][s].mean for p in peers):>9.3f}      " for s in sets)
        lines.append(f"{'best peer on each set':{wide}}{top}")
    if set(sets) == set(KNOWN_SETS):
        told = ", ".join(f"{what} {bar}" for what, bar in BARS.get(delay, {}).items())
        lines.append(f"bars for the mean: {told}")
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, help="an npz file of NAME_X and NAME_y")
    parser.add_argument("--sets", nargs="+", help="names of sets; all of the file by default")
    parser.add_argument("--rows", type=int, default=3000, help="of each shuffle; 0 for all")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--delays", type=int, nargs="+", default=[1, 100])
    parser.add_argument("--only", nargs="+", help="learners whose name holds one of these")
    parser.add_argument("--agent", action="store_true", help="ours through a whole Agent, too")
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    shared = os.environ.get("AGENTIC_SHARED")
    path = options.data or (Path(shared, "data", "classification.npz") if shared else None)
    sets = loaded(path)
    wanted = options.sets or (KNOWN_SETS if set(KNOWN_SETS) <= set(sets) else list(sets))
    if missing := [name for name in wanted if name not in sets]:
        parser.error(f"there is no set {', '.join(missing)}: there are {', '.join(sets)}")
    learners: dict[str, Make] = {**quality_ours.learners(agent=options.agent)}
    notes: list[str] = []
    if not options.no_peers:
        peers, notes = quality_peers.learners()
        learners.update(peers)
    if options.only:
        learners = {name: m for name, m in learners.items() if any(text in name for text in options.only)}
    scores = []
    for delay in options.delays:
        for name, make in learners.items():
            for data in wanted:
                X, y = sets[data]
                score = scored(
                    name, make, data, X, y, delay=delay, rows=options.rows or None, seeds=options.seeds
                )
                scores.append(score)
                print(f"{delay:>4} {name} {data} {score.mean:.4f} {score.us:.0f} us", file=sys.stderr)
    if options.json:
        print(json.dumps({"scores": [attrs.asdict(score) for score in scores], "notes": notes}))
        return 0
    for delay in options.delays:
        print(*table(scores, wanted, delay), "", sep="\n")
    print(*notes, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
