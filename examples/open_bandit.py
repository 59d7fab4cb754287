"""Would the Thompson policy have earned more clicks? Ask the logs of the random one.

The Open Bandit Dataset (small, campaign "men") holds 10,000 recommendations drawn uniformly among 34
items and 10,000 drawn by Bernoulli Thompson sampling, at three positions of a fashion site. From the
random logs alone this script estimates what Thompson sampling earns, then shows what it did earn.

    python examples/open_bandit.py [--data DIR] [--policy FILE.npz] [--json]

The Thompson policy is taken from --policy: an array `pi_e (items, positions)` and, if present, reward
predictions `q_hat_pos (rows, items)` in the order of the file's first column. Without it, the policy
is the share of each item among the Thompson logs at each position: its average over a week in which
it kept learning, known only as closely as 10,000 rows tell. Predictions are then cross-fitted ridge
regressions on the position.

Source: Saito, Aihara, Matsutani, Narita 2020, Open Bandit Dataset and Pipeline, arXiv 2008.07146.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from agentic.evaluation import (
    DM,
    DR,
    IPW,
    SNIPW,
    CressieRead,
    Estimate,
    Estimator,
    Interval,
    Logged,
    Normal,
    cross_fit,
    estimate,
)

CLICK = (0.0, 1.0)
MISSING = """\
no Open Bandit Dataset in {folder}: clone https://github.com/st-tech/zr-obp and gzip obd/random/men/men.csv
to random_men.csv.gz and obd/bts/men/men.csv to bts_men.csv.gz, then pass their folder with --data"""

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def default_folder() -> Path:
    shared = os.environ.get("AGENTIC_SHARED") or Path(__file__).resolve().parents[2] / "shared"
    return Path(shared) / "data" / "obd"


def read_logs(path: Path) -> tuple[Logged, Ints]:
    """Return the logged rows in the order of their id, and the position of each, from 0."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        rows = [
            (row[""], row["item_id"], row["position"], row["click"], row["propensity_score"])
            for row in csv.DictReader(file)
        ]
    table = np.array(rows, dtype=np.float64)
    table = table[np.argsort(table[:, 0], kind="stable")]
    item, position = table[:, 1].astype(np.int64), table[:, 2].astype(np.int64) - 1
    return Logged(item, table[:, 3], probability=table[:, 4]), position


def shares(item: Ints, position: Ints, items: int, positions: int) -> Floats:
    """Return how often each item stood at each position, shape (items, positions), columns summing to 1."""
    counts = np.zeros((items, positions))
    np.add.at(counts, (item, position), 1.0)
    counts /= counts.sum(axis=0)
    return counts


def evaluate(folder: Path, policy: Path | None) -> tuple[str, dict[str, Estimate]]:
    random, position = read_logs(folder / "random_men.csv.gz")
    thompson, thompson_position = read_logs(folder / "bts_men.csv.gz")
    items = int(max(random.action.max(), thompson.action.max())) + 1
    positions = int(max(position.max(), thompson_position.max())) + 1
    q: Floats | None = None
    if policy is None:
        source = "item shares per position in the Thompson logs"
        table = shares(thompson.action, thompson_position, items, positions)
    else:
        source = policy.name
        with np.load(policy) as arrays:
            table = arrays["pi_e"]
            q = arrays.get("q_hat_pos")
    if q is None:
        q = cross_fit(np.eye(positions)[position], random.action, random.reward, items)
    target = table.T[position]

    # The random policy gives every item 1/34, so no weight can exceed 34.
    cap = 1.0 / float(random.probability.min())
    questions: dict[str, tuple[Estimator, Interval]] = {
        "IPW": (IPW(), Normal()),
        "SNIPW": (SNIPW(), Normal()),
        "SNIPW, rare clicks": (SNIPW(), CressieRead(weight_cap=cap)),
        "DM": (DM(), Normal()),
        "DR": (DR(), Normal()),
    }
    found = {
        name: estimate(random, target, estimator=estimator, q=q, interval=interval, reward_range=CLICK)
        for name, (estimator, interval) in questions.items()
    }
    # A policy judged by its own logs: every weight is one, and IPW is the mean.
    found["on-policy"] = estimate(thompson, thompson.probability, estimator=IPW(), reward_range=CLICK)
    return source, found


def number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def as_json(source: str, found: dict[str, Estimate]) -> str:
    answer = {
        name: {
            "value": number(one.value),
            "low": number(one.low),
            "high": number(one.high),
            "standard_error": number(one.standard_error),
            "n": one.n,
            "level": one.level,
            "method": one.method,
            "effective_rows": number(one.diagnostics.effective_rows),
            "mean_weight": number(one.diagnostics.mean_weight),
            "verdict": one.diagnostics.verdict,
            "reasons": one.diagnostics.reasons,
        }
        for name, one in found.items()
    }
    return json.dumps({"policy": source, "estimates": answer}, indent=2)


def as_text(source: str, found: dict[str, Estimate]) -> str:
    lines = [
        f"Clicks per recommendation under Thompson sampling ({source}),",
        "estimated from the random logs; the last line is what it earned in its own logs:",
        "",
        f"{'':20}{'value':>9}  {'95 % interval':<22}{'effective rows':>14}  verdict",
    ]
    for name, one in found.items():
        bounds = f"{one.low:.5f} to {one.high:.5f}"
        effective = f"{one.diagnostics.effective_rows:,.0f}"
        lines.append(f"{name:20}{one.value:9.5f}  {bounds:<22}{effective:>14}  {one.diagnostics.verdict}")
    lines += ["", "Why not simply ok:"]
    lines += [f"  {name}: {reason}" for name, one in found.items() for reason in one.diagnostics.reasons]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Estimate a Thompson policy's click rate from random logs.")
    parser.add_argument("--data", type=Path, default=default_folder(), help="folder of the .csv.gz files")
    parser.add_argument("--policy", type=Path, help=".npz with pi_e and, optionally, q_hat_pos")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args(arguments)
    if not all((options.data / name).is_file() for name in ("random_men.csv.gz", "bts_men.csv.gz")):
        print(MISSING.format(folder=options.data), file=sys.stderr)
        return 2
    source, found = evaluate(options.data, options.policy)
    print(as_json(source, found) if options.json else as_text(source, found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
