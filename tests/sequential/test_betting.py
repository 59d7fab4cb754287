"""The betting test is exact for outcomes between bounds, however few rows carry the sum."""

import json
import math
from typing import Any, Literal

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentic.errors import EvaluationError
from agentic.experiments import BettingTest
from peeking import allowed

RUNS = 250


def amounts(generator: np.random.Generator, shape: tuple[int, ...], factor: float = 1.0) -> np.ndarray:
    """One in twenty buys, for log-normal amounts, cut at 20."""
    buys = generator.random(shape) < 0.05 * factor
    return np.minimum(buys * generator.lognormal(0.0, 1.5, shape), 20.0)


@pytest.mark.parametrize("worse", ["lower", "higher"])
@pytest.mark.parametrize(("n0", "n1"), [(40, 40), (97, 3), (10, 65)])
def test_equal_arms_are_rarely_accused_under_200_peeks(
    n0: int, n1: int, worse: Literal["lower", "higher"]
) -> None:
    """Heavy tails, arms of any sizes, 200 looks."""
    generator = np.random.default_rng([n0, n1])
    found = BettingTest(low=0.0, high=20.0, worse=worse).trajectory(
        control=amounts(generator, (RUNS, 200, n0)), treatment=amounts(generator, (RUNS, 200, n1))
    )
    assert (found.first(0.05) >= 0).mean() <= allowed(0.05, RUNS)


@pytest.mark.parametrize(
    ("options", "factor"),
    [
        ({"relative_margin": 0.25}, 0.75),
        ({"relative_margin": 0.25, "worse": "higher"}, 1.25),
        ({"margin": 0.3}, 0.75),
        ({"margin": 0.3, "worse": "higher"}, 1.25),
    ],
    ids=["relative", "relative, higher", "own unit", "own unit, higher"],
)
def test_a_loss_of_just_the_margin_is_rarely_called_safe(options: dict[str, Any], factor: float) -> None:
    """And equality is, in the end."""
    generator = np.random.default_rng(61)
    control, same = 6.0 * generator.beta(1.0, 4.0, (2, RUNS, 40, 60))  # a mean of 1.2
    test = BettingTest(low=0.0, high=6.0, **options)
    edge = test.trajectory(control=control, treatment=factor * same).safe
    assert (edge >= 20.0).any(axis=-1).mean() <= allowed(0.05, RUNS)
    assert (test.trajectory(control=control, treatment=same).safe >= 20.0).any(axis=-1).mean() > 0.95


def test_a_fifth_fewer_is_found() -> None:
    """Half of the campaigns are stopped within 8,000 customers of an arm."""
    generator = np.random.default_rng(62)
    arms = [(generator.random((60, 80, 250)) < rate).astype(float) for rate in (0.05, 0.04)]
    first = BettingTest(low=0.0, high=1.0).trajectory(control=arms[0], treatment=arms[1]).first(0.05)
    assert (first >= 0).mean() > 0.9
    assert np.median((first + 1) * 250) <= 8000


@pytest.mark.parametrize("rate", [0.05, 0.5, 0.9])
def test_the_average_e_value_of_one_group_is_one(rate: float) -> None:
    """One row against a group of two, over all outcomes: no simulation, and no power is given away."""
    average = 0.0
    for rows in range(8):
        y = [rows >> bit & 1 for bit in range(3)]
        chance = math.prod(rate if value else 1.0 - rate for value in y)
        after = BettingTest(low=0.0, high=1.0).observe(control=y[:2], treatment=y[2:])
        average += chance * after.e_value
    assert average == pytest.approx(1.0, abs=1e-12)


outcomes = st.lists(st.floats(-2.0, 5.0), max_size=7)


@given(st.lists(st.tuples(outcomes, outcomes), min_size=1, max_size=5))
def test_the_bounds_are_where_the_evidence_is_one_over_alpha(
    seen: list[tuple[list[float], list[float]]],
) -> None:
    """Shifting the treatment to the upper bound leaves no harm shown; just beyond, it is shown."""
    test = BettingTest(low=-2.0, high=5.0, alpha=0.3)
    for control, treatment in seen:
        test = test.observe(control=control, treatment=treatment)
    low, high = test.bounds
    assert -7.0 <= low <= high <= 7.0
    assert low - 1e-9 <= test.estimate <= high + 1e-9
    assert (high < 0.0) == (test.e_value >= 1.0 / 0.3) or abs(high) < 1e-9


def test_a_trajectory_is_the_test_step_by_step() -> None:
    """Arms of unequal sizes, both margins."""
    generator = np.random.default_rng(63)
    control, treatment = generator.random((5, 13)), generator.random((5, 4))
    test = BettingTest(low=0.0, high=1.0, margin=0.1, relative_margin=0.1)
    path = test.trajectory(control=control, treatment=treatment)
    for look in range(5):
        test = test.observe(control=control[look], treatment=treatment[look])
        assert test.e_value == pytest.approx(path.harm[look], rel=1e-9)
        assert test.safe_e_value == pytest.approx(path.safe[look], rel=1e-9)
    assert test.peak == pytest.approx(max(1.0, path.harm.max()))
    assert test.safe_peak == pytest.approx(max(1.0, path.safe.max()))
    assert (test.rows, test.groups) == ((65.0, 20.0), 20.0)


def test_shards_merge_and_json_brings_it_back() -> None:
    """A sum over groups, so the order does not matter."""
    generator = np.random.default_rng(64)
    parts = [
        BettingTest(low=0.0, high=1.0).observe(
            control=generator.random(50), treatment=generator.random(50) * 0.4
        )
        for _ in range(2)
    ]
    merged, other = parts[0].merged(parts[1]), parts[1].merged(parts[0])
    assert merged.e_value == pytest.approx(other.e_value)
    assert merged.harmed
    assert not merged.safe
    assert merged.ready
    again = BettingTest(**json.loads(json.dumps(attrs.asdict(merged))))
    assert again == merged
    assert json.loads(json.dumps(merged.facts, allow_nan=False))["upper"] < 0.0
    with pytest.raises(EvaluationError, match="the same question"):
        merged.merged(BettingTest(low=0.0, high=2.0))


def test_what_lies_outside_the_bounds_is_cut_and_counted() -> None:
    """So one order of a million moves nothing."""
    test = BettingTest(low=0.0, high=10.0).observe(control=[1e6, 3.0], treatment=[-5.0, 3.0])
    cut = BettingTest(low=0.0, high=10.0).observe(control=[10.0, 3.0], treatment=[0.0, 3.0])
    assert test.clipped == 2.0
    assert attrs.evolve(test, clipped=0.0) == cut


def test_an_empty_arm_says_nothing() -> None:
    """A window without canary traffic; nothing is known before a group is complete."""
    test = BettingTest(low=0.0, high=1.0).observe(control=[0.5], treatment=[])
    assert (test.e_value, test.estimate, test.bounds) == (pytest.approx(1.0), 0.0, (-1.0, 1.0))


@pytest.mark.parametrize(
    ("options", "field"),
    [
        pytest.param({"low": 1.0, "high": 1.0}, "high", id="no room"),
        pytest.param({"low": 0.0, "high": math.inf}, "high", id="no bound"),
        pytest.param({"low": 0.0, "high": 1.0, "margin": 1.0}, "margin", id="margin beyond"),
        pytest.param({"low": 0.0, "high": 1.0, "relative_margin": -0.1}, "relative_margin", id="negative"),
    ],
)
def test_an_impossible_question_is_refused(options: dict[str, Any], field: str) -> None:
    """The error names the field."""
    with pytest.raises(EvaluationError, match="expected") as caught:
        BettingTest(**options)
    assert caught.value.facts["field"] == field
