"""Ratios of sums by subject, and lifts: against simulations in which the truth is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from scipy import stats

from agentic.errors import EvaluationError
from agentic.experiments import Arm, Before, Ratio, cuped, difference, ratio_difference, relative_lift


def clicks(dice: np.random.Generator, n: int, rate: float) -> Ratio:
    """Subjects differ in how many decisions and how many clicks they have, and the two go together."""
    taste = dice.beta(1.0, 4.0, n)
    count = 1 + dice.poisson(2.0 + 12.0 * taste)
    return Ratio(dice.binomial(count, taste * rate), count)


def test_ratio_bounds_cover_although_decisions_of_a_subject_go_together() -> None:
    """As often as they say, to four binomial errors; decisions taken as independent cover far less."""
    dice, covered, wrong, runs = np.random.default_rng(1), 0, 0, 800
    for _ in range(runs):
        first, second = clicks(dice, 400, 1.0), clicks(dice, 400, 1.0)
        found = ratio_difference(first, second)
        covered += found.low <= 0.0 <= found.high
        variance = sum(one.value * (1 - one.value) / one.denominator.sum() for one in (first, second))
        wrong += abs(found.value) <= 1.96 * math.sqrt(variance)
    slack = 4.0 * math.sqrt(0.95 * 0.05 / runs)
    assert abs(covered / runs - 0.95) < slack
    assert wrong / runs < 0.95 - slack


def test_p_values_of_nothing_are_uniform() -> None:
    """In 1,000 comparisons of the same, of the ratio and of the ratio adjusted by taste.

    The bound is Dvoretzky, Kiefer, Wolfowitz and Massart's for a chance of one in a million, and 0.01 for
    what a normal bound is not exact with 250 skewed subjects.
    """
    dice, runs = np.random.default_rng(6), 1000
    plain, adjusted = [], []
    for _ in range(runs):
        taste = dice.beta(1.0, 4.0, 600)
        count = 1 + dice.poisson(2.0 + 12.0 * taste)
        hits = dice.binomial(count, taste)
        first, second = Ratio(hits[:350], count[:350]), Ratio(hits[350:], count[350:])
        plain.append(ratio_difference(first, second).p_value)
        known = Before(first.linearised(), taste[:350]), Before(second.linearised(), taste[350:])
        adjusted.append(cuped(*known).p_value)
    bound = math.sqrt(math.log(2e6) / (2 * runs)) + 0.01
    assert stats.kstest(plain, "uniform").statistic < bound
    assert stats.kstest(adjusted, "uniform").statistic < bound


@given(some.lists(some.tuples(some.floats(-50, 50), some.floats(0.1, 50)), min_size=2, max_size=30))
def test_linearised_values_average_to_the_ratio(rows: list[tuple[float, float]]) -> None:
    """So that whatever compares means compares ratios."""
    above, below = np.array(rows).T
    found = Ratio(above, below)
    assert found.value == pytest.approx(above.sum() / below.sum(), rel=1e-9, abs=1e-9)
    assert found.linearised().mean() == pytest.approx(found.value, rel=1e-7, abs=1e-7)


def test_a_ratio_per_subject_is_the_mean() -> None:
    """With one decision each, sum over sum is the mean, with its error."""
    dice = np.random.default_rng(2)
    first, second = dice.normal(1.0, 2.0, 60), dice.normal(0.0, 1.0, 40)
    found = ratio_difference(Ratio(first, np.ones(60)), Ratio(second, np.ones(40)))
    plain = difference(first, second)
    assert found.value == pytest.approx(plain.value)
    assert found.standard_error == pytest.approx(plain.standard_error)
    assert found.degrees == math.inf


@pytest.mark.parametrize(
    ("above", "below", "message"),
    [
        ([1.0, 2.0], [1.0, math.nan], "denominator at row 1 is nan"),
        ([1.0, math.inf], [1.0, 1.0], "numerator at row 1 is inf"),
        ([1.0, 2.0], [1.0, -1.0], "denominator at row 1 is 'negative'"),
        ([1.0, 2.0], [0.0, 0.0], "a sum above 0"),
        ([1.0, 2.0], [1.0, 1.0, 1.0], "as many as numerator"),
        ([1.0], [1.0], "two values or more"),
        ([], [], "two values or more"),
        ([1.0, 1e101], [1.0, 1.0], "up to 1e\\+100"),
        ([1.0, 1e99], [1e-300, 1e-300], "a ratio up to"),
    ],
)
def test_what_is_no_ratio_is_refused(above: list[float], below: list[float], message: str) -> None:
    """With the row, and what to do."""
    with pytest.raises(EvaluationError, match=message):
        Ratio(above, below)


@pytest.mark.parametrize(("distance", "exact"), [(9.0, True), (3.0, False), (1.0, False)])
def test_fiellers_bounds_cover_however_near_the_control_is_to_zero(distance: float, exact: bool) -> None:
    """As often as they say far from 0, at least so often near it, where the delta method fails."""
    dice, runs = np.random.default_rng(3), 20_000
    truth = 0.5
    control = dice.normal(distance, 1.0, runs)
    treatment = dice.normal(distance * (1.0 + truth), 0.7, runs)
    covered = 0
    for t, c in zip(treatment.tolist(), control.tolist(), strict=True):
        found = relative_lift(Arm(t, 0.7, 10), Arm(c, 1.0, 10))
        covered += found.low <= truth <= found.high
    slack = 4.0 * math.sqrt(0.95 * 0.05 / runs)
    assert covered / runs > 0.95 - slack
    if exact:
        assert covered / runs < 0.95 + slack


def test_dependent_groups_are_bounded_by_their_covariance() -> None:
    """Pairs that go together have a surer lift: the bounds are those of a normal pair, simulated."""
    dice, runs, covered, independent = np.random.default_rng(4), 8000, 0, 0
    shared = dice.normal(0.0, 0.8, runs)
    control = 10.0 + shared + dice.normal(0.0, 0.6, runs)
    treatment = 11.0 + shared + dice.normal(0.0, 0.6, runs)
    for t, c in zip(treatment.tolist(), control.tolist(), strict=True):
        found = relative_lift(Arm(t, 1.0, 10), Arm(c, 1.0, 10), covariance=0.64)
        covered += found.low <= 0.1 <= found.high
        loose = relative_lift(Arm(t, 1.0, 10), Arm(c, 1.0, 10))
        independent += loose.high - loose.low > found.high - found.low
    assert abs(covered / runs - 0.95) < 4.0 * math.sqrt(0.95 * 0.05 / runs)
    assert independent > 0.99 * runs


def test_a_lift_over_nothing_is_not_bounded() -> None:
    """Where the control is 0 or may be, the data say nothing about a share of it."""
    none = relative_lift(Arm(1.0, 0.1, 5), Arm(0.0, 0.1, 5))
    assert math.isnan(none.value)
    assert (none.low, none.high) == (-math.inf, math.inf)
    near = relative_lift(Arm(1.0, 0.1, 5), Arm(0.1, 0.1, 5))
    assert near.value == pytest.approx(9.0)
    assert (near.low, near.high) == (-math.inf, math.inf)


@given(some.floats(-5, 5), some.floats(0.01, 1), some.floats(2, 9), some.floats(0.01, 0.5))
def test_fiellers_bounds_are_where_the_test_turns(t: float, et: float, c: float, ec: float) -> None:
    """At either bound the treatment is 1.96 errors from that share of the control."""
    found = relative_lift(Arm(t, et, 9), Arm(c, ec, 9))
    for bound in (found.low, found.high):
        share = 1.0 + bound
        z = (t - share * c) / math.hypot(et, share * ec)
        assert abs(z) == pytest.approx(1.959963984540054, rel=1e-6)
    assert found.low <= found.value <= found.high
