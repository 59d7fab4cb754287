"""How often rollouts err, and how soon they find harm, over many seeds."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest

from agentic.experiments import CountTest
from agentic.release import Happens
from agentic.release._trail import Trail
from agentic.release._watch import BATCH, Observed, Step, _batches, observe, weigh
from trials_of_two import shop

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "rollout.py"
SALE = Happens("sale", CountTest(worse="lower", margin=0.1))


@pytest.fixture(scope="module")
def figures() -> Any:  # JSON
    """Two thousand rollouts of each kind, of up to 12,000 of the challenger's subjects."""
    words = [sys.executable, str(SCRIPT), "--json", "--runs", "2000", "--subjects", "12000"]
    return json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)


def of(figures: Any, kind: str, change: float) -> Any:  # JSON
    return next(one for one in figures[kind] if one["change"] == change)


def most(alpha: float, runs: int = 2000) -> float:
    """A share that an error of at most alpha exceeds once in 700 simulations."""
    return alpha + 3 * float(np.sqrt(alpha * (1 - alpha) / runs))


@pytest.mark.parametrize("kind", ["even", "ramped"])
def test_a_harmless_challenger_is_hardly_ever_rolled_back(figures: Any, kind: str) -> None:
    """At most alpha, whatever the number of looks, steps and metrics."""
    assert of(figures, kind, 0.0)["rolled_back"] <= most(0.05)


@pytest.mark.parametrize("kind", ["even", "ramped"])
def test_a_challenger_that_is_worse_by_the_margin_is_hardly_ever_promoted(figures: Any, kind: str) -> None:
    """At most alpha, and less the worse it is."""
    assert of(figures, kind, -0.1)["promoted"] <= most(0.05)
    assert of(figures, kind, -0.2)["promoted"] <= most(0.01)
    assert of(figures, kind, -0.5)["promoted"] == 0.0


def test_harm_is_found_as_soon_as_by_the_reference_or_sooner(figures: Any) -> None:
    """Count e-process at 5 %, even split, one metric: -20 % at 6,500 of its subjects, -50 % at 1,000."""
    strong, grave = of(figures, "even", -0.2), of(figures, "even", -0.5)
    assert strong["rolled_back"] >= 0.85
    assert grave["rolled_back"] >= 0.999
    assert strong["met"] <= 7_000
    assert grave["met"] <= 1_100


def test_a_ramp_finds_grave_harm_while_few_meet_it(figures: Any) -> None:
    """Half the sales gone: nine in ten rollouts end before 1,500 subjects have met the challenger."""
    grave = of(figures, "ramped", -0.5)
    assert grave["rolled_back"] >= 0.999
    assert grave["met_90"] <= 1_500
    assert of(figures, "ramped", 0.1)["promoted"] >= 0.9


def test_a_guardrail_metric_ends_it_though_sales_are_the_same(figures: Any) -> None:
    """Three complaints for every one."""
    assert figures["complaints"][-1]["rolled_back"] >= 0.8


def test_what_is_simulated_is_what_a_rollout_computes() -> None:
    """One run, subject by subject through the code of a look, and by the counts of its batches."""
    dice = np.random.default_rng(3)
    step = Step(0.1, 0.0, 0)
    n = 30_000
    side = (dice.random(n) < step.chance).astype(np.int64)
    sale = (dice.random(n) < np.where(side == 1, 0.04, 0.05)).astype(np.float64)
    order = np.arange(n)
    observed = Observed(np.zeros(n, np.int64), side, order, order, {"sale": sale})
    found = weigh(observed, [step], [SALE], closed=n, alpha=0.05, skew=0.001)
    cuts = _batches(side, whole=False)
    assert [int(side[lo:hi].sum()) for lo, hi in cuts[:3]] == [BATCH] * 3
    counts = np.array(
        [
            [hi - lo - side[lo:hi].sum(), side[lo:hi].sum(), *np.bincount(side[lo:hi], sale[lo:hi], 2)]
            for lo, hi in cuts
        ]
    )
    seen = SALE.test.trajectory(
        control_rows=counts[:, 0],
        treatment_rows=counts[:, 1],
        control_successes=counts[:, 2],
        treatment_successes=counts[:, 3],
    )
    assert found.tests["sale"].peak == pytest.approx(seen.harm.max())
    assert found.tests["sale"].e_value == pytest.approx(seen.harm[-1])
    assert found.tests["sale"].safe_peak == pytest.approx(seen.safe.max())


def visited(dice: np.random.Generator, step: Step, *, subjects: int = 400, visits: int = 20) -> Trail:
    """A log in which some customers always buy, and the others never: nobody is harmed by anything."""
    trail = Trail(shop(), 0)
    rows = np.zeros(subjects * visits, trail.decisions.dtype)
    rows["position"] = np.arange(len(rows))
    rows["key"] = np.tile(dice.integers(1, 1 << 62, subjects).astype(np.uint64), visits)
    rows["at"] = rows["position"]
    buys = np.tile(dice.random(subjects) < 0.3, visits)
    events = np.zeros(int(buys.sum()), trail.outcomes.dtype)
    events["decision"], events["at"] = rows["position"][buys], rows["at"][buys]
    events["goal"] = 2
    trail._decisions, trail._outcomes = [rows], [events]
    trail.closed = 1 << 40
    del step
    return trail


def test_subjects_who_come_often_do_not_make_luck_look_like_harm() -> None:
    """Counted by decision, one harmless challenger in four would be rolled back; by subject hardly any is."""
    dice, step = np.random.default_rng(8), Step(0.5, 0.0, 0)
    naive = ours = 0
    for _ in range(120):
        trail = visited(dice, step)
        sides = dice.permutation(2)

        def split(keys: Any, _: float, sides: Any = sides) -> Any:  # a hash of the key
            return sides[(keys >> np.uint64(17)).astype(np.int64) & 1]

        seen = observe(trail, [step], [SALE], split, lasts=1 << 30, window=1 << 30)
        assert len(seen) == 400
        ours += weigh(seen, [step], [SALE], closed=1 << 40, alpha=0.05, skew=0.001).tests["sale"].harmed
        every = attrs.evolve(step)
        rows = trail.decisions
        bought = np.isin(rows["position"], trail.outcomes["decision"]).astype(np.float64)
        side = split(rows["key"], 0.5)
        order = np.arange(len(rows))
        one_by_one = Observed(np.zeros(len(rows), np.int64), side, order, order, {"sale": bought})
        naive += (
            weigh(one_by_one, [every], [SALE], closed=1 << 40, alpha=0.05, skew=0.001).tests["sale"].harmed
        )
    assert ours <= 120 * most(0.05, 120)
    assert naive > 3 * 120 * 0.05


@pytest.mark.parametrize("whole", [False, True])
def test_batches_grow_and_the_last_one_waits_until_it_is_full_or_the_step_is_over(whole: bool) -> None:
    """So what was said once is never said otherwise with more rows."""
    side = np.ones(5000, np.int64)
    cuts = _batches(side, whole=whole)
    assert cuts[0] == (0, 50)
    assert all(hi == lo for (_, hi), (lo, _) in itertools.pairwise(cuts))
    assert (cuts[-1][1] == 5000) is whole
    shorter = _batches(side[:3000], whole=False)
    assert shorter == cuts[: len(shorter)]
    assert _batches(np.zeros(10, np.int64), whole=False) == []
