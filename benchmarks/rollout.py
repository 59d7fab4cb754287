"""How often is a harmless challenger rolled back, how soon a harmful one, and is a worse one ever promoted?

    python benchmarks/rollout.py [--runs 2000] [--rate 0.05] [--subjects 50000] [--seed 1] [--json]

Every run is a rollout of its own: a metric of yes and no, and one complaint in two hundred as a guardrail
metric, by the tests and in the batches of ``release.Rollout``; the moves follow from them. Customers are
drawn, not simulated one by one, so thousands of rollouts take seconds. What is left out is that a ramp is put
off while an e-value of harm is at least 4, which makes rollouts longer and errs on the safe side.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from agentic.experiments import CountTest
from agentic.release._watch import BATCH, GROWTH

STEPS = (0.01, 0.05, 0.10, 0.25, 0.50)
COMPLAINTS = 0.005

# What tests did in a study at a rate of 5 %, alpha 5 % and one metric, with an even split, 200 looks and up
# to 50,000 subjects a side: share rolled back, and median subjects of the challenger until then.
REFERENCE = {
    "z-test, peeked": {0.0: (0.354, None), -0.1: (0.997, 4_300), -0.2: (1.0, 1_500), -0.5: (1.0, 500)},
    "asymptotic, tuned at 20,000": {
        0.0: (0.029, None),
        -0.1: (0.889, 19_300),
        -0.2: (1.0, 6_000),
        -0.5: (1.0, 1_500),
    },
    "count e-process": {0.0: (0.023, None), -0.1: (0.756, 22_500), -0.2: (1.0, 6_500), -0.5: (1.0, 1_000)},
}


@attrs.frozen
class Outcome:
    """What became of many rollouts.

    Attributes:
        change: By which share the challenger's rate differs from the champion's.
        runs: How many rollouts.
        rolled_back: Share of them that was rolled back.
        promoted: Share that was promoted.
        met: Median number of the challenger's subjects until a rollback; None without one.
        met_90: The same of nine tenths.
        decided: Median number of the challenger's subjects until a promotion; None without one.
    """

    change: float
    runs: int
    rolled_back: float
    promoted: float
    met: float | None
    met_90: float | None
    decided: float | None


def batches(steps: Sequence[float], least: int, most: int) -> tuple[NDArray[Any], NDArray[Any], int]:
    """Subjects of the challenger in each batch, the chance to be one, and where the last step begins."""
    ours, chance, before, total, begin = [], [], 0.0, 0, 0
    for place, step in enumerate(steps):
        last, count = place == len(steps) - 1, 0
        begin = len(ours)
        while count < least or (last and total < most):
            size = max(count + BATCH, int(count * (1 + GROWTH))) - count
            count, total = count + size, total + size
            ours.append(size)
            chance.append((step - before) / (1 - before))
        before = step
    return np.array(ours), np.array(chance), begin


def rollouts(
    change: float,
    *,
    runs: int = 2000,
    rate: float = 0.05,
    complaints: float = 0.0,
    steps: Sequence[float] = STEPS,
    least: int = 200,
    most: int = 50_000,
    alpha: float = 0.05,
    margin: float = 0.1,
    guarded: bool = True,
    seed: int = 1,
) -> Outcome:
    """Run many rollouts.

    Args:
        change: Of the rate of yes, as a share of the champion's: -0.2 is a fifth fewer.
        runs: How many.
        rate: The champion's.
        complaints: Change of the rate of complaints.
        steps: Shares.
        least: Subjects of the challenger in each step.
        most: Subjects of the challenger in all.
        alpha: Of a false rollback, and of a false promotion.
        margin: What loss is still none, as a share of the champion's rate.
        guarded: Whether complaints are watched too, and alpha is shared with them.
        seed: Of the dice.
    """
    dice = np.random.default_rng([seed, round(1e6 * (change + 1)), round(1e6 * (complaints + 1))])
    ours, chance, begin = batches(steps, least, most)
    shape = (runs, len(ours))
    theirs = dice.negative_binomial(ours, chance, shape)
    each = alpha / (2 if guarded else 1)

    def drawn(base: float, factor: float, worse: str) -> Any:  # EValues
        test = CountTest(alpha=each, margin=margin, worse=worse)  # type: ignore[arg-type]  # one of two texts
        return test.trajectory(
            control_rows=theirs,
            control_successes=dice.binomial(theirs, base),
            treatment_rows=np.broadcast_to(ours, shape),
            treatment_successes=dice.binomial(np.broadcast_to(ours, shape), base * (1 + factor)),
        )

    sale = drawn(rate, change, "lower")
    never = len(ours)
    harm = np.where((first := sale.first(each)) < 0, never, first)
    if guarded:
        other = drawn(COMPLAINTS, complaints, "higher").first(each)
        harm = np.minimum(harm, np.where(other < 0, never, other))
    safe = np.maximum.accumulate(sale.safe, axis=1) >= 1 / alpha
    safe[:, :begin] = False
    proven = np.where(safe.any(axis=1), safe.argmax(axis=1), never)
    reached = np.append(np.cumsum(ours), 0)
    back, through = harm <= np.minimum(proven, never - 1), proven < harm
    met, decided = reached[harm[back]], reached[proven[through]]
    return Outcome(
        change=change,
        runs=runs,
        rolled_back=float(back.mean()),
        promoted=float(through.mean()),
        met=float(np.median(met)) if len(met) else None,
        met_90=float(np.quantile(met, 0.9)) if len(met) else None,
        decided=float(np.median(decided)) if len(decided) else None,
    )


def table(title: str, outcomes: Sequence[Outcome]) -> str:
    """Rows of figures, with their Monte Carlo error."""
    lines = [title, "    change  rolled back    +-   median of its subjects (9 in 10)   promoted   median"]
    for one in outcomes:
        error = math.sqrt(max(one.rolled_back * (1 - one.rolled_back), 1e-9) / one.runs)
        met = "-" if one.met is None else f"{one.met:,.0f} ({one.met_90:,.0f})"
        decided = "-" if one.decided is None else f"{one.decided:,.0f}"
        lines.append(
            f"    {one.change:+6.0%}      {one.rolled_back:6.1%}  {error:4.1%}   {met:>24}"
            f"        {one.promoted:8.1%}  {decided:>7}"
        )
    return "\n".join(lines)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--rate", type=float, default=0.05)
    parser.add_argument("--subjects", type=int, default=50_000, help="of the challenger, at most")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    common: dict[str, Any] = {
        "runs": asked.runs,
        "rate": asked.rate,
        "most": asked.subjects,
        "seed": asked.seed,
    }
    changes = (0.1, 0.0, -0.1, -0.2, -0.5)
    found = {
        "even": [rollouts(change, steps=(0.5,), guarded=False, **common) for change in changes],
        "ramped": [rollouts(change, **common) for change in changes],
        "complaints": [rollouts(0.0, complaints=more, **common) for more in (0.5, 1.0, 2.0)],
    }
    if asked.json:
        print(json.dumps({name: [attrs.asdict(one) for one in some] for name, some in found.items()}))
        return
    print(
        f"{asked.runs:,} rollouts each, rate {asked.rate:.1%}, margin 10 %, up to {asked.subjects:,} subjects"
    )
    print("of the challenger. If it is worse by the margin, at most 5 % should be promoted.\n")
    print(table("An even split from the start, one metric:", found["even"]))
    print("  beside it, from a study of tests at a rate of 5 %:")
    for name, known in REFERENCE.items():
        told = [
            f"{change:+.0%}: {share:.1%}" + ("" if met is None else f" at {met:,}")
            for change, (share, met) in known.items()
        ]
        print(f"    {name}: {', '.join(told)}")
    print()
    print(table("1, 5, 10, 25, 50 %, two metrics:", found["ramped"]))
    print()
    print("The same, sales unchanged, and complaints half as many more, twice, three times as many:")
    for one in found["complaints"]:
        print(f"    rolled back {one.rolled_back:.1%}, median {one.met or 0:,.0f} of its subjects")


if __name__ == "__main__":
    main()
