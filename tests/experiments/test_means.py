"""By how much two groups differ, against SciPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as some
from scipy import stats

from agentic.errors import EvaluationError
from agentic.experiments import difference, paired_difference


def test_the_difference_of_means_is_welchs() -> None:
    """Value and error agree with SciPy's Welch test; the bounds with its t, and p."""
    dice = np.random.default_rng(3)
    for m, n in ((40, 300), (5, 1000), (800, 700)):
        first, second = dice.exponential(2.0, m), dice.normal(1.0, 3.0, n)
        found = difference(first, second, level=0.9)
        reference = stats.ttest_ind(first, second, equal_var=False)
        assert found.value == pytest.approx(first.mean() - second.mean())
        assert found.standard_error == pytest.approx(found.value / reference.statistic)
        assert found.p_value == pytest.approx(reference.pvalue, rel=1e-9)
        assert found.degrees == pytest.approx(reference.df, rel=1e-12)
        margin = stats.t.ppf(0.95, reference.df) * found.standard_error
        assert (found.low, found.high) == pytest.approx((found.value - margin, found.value + margin))


def test_the_difference_of_pairs_is_students() -> None:
    """Value, error and bounds are those of SciPy's one-sample test of the gaps."""
    dice = np.random.default_rng(4)
    first = dice.exponential(2.0, 50)
    second = first + dice.normal(0.5, 1.0, 50)
    found = paired_difference(first, second, level=0.9)
    reference = stats.ttest_rel(first, second)
    assert found.standard_error == pytest.approx(found.value / reference.statistic)
    assert (found.low, found.high) == pytest.approx(tuple(reference.confidence_interval(0.9)))


@pytest.mark.parametrize("compare", [difference, paired_difference])
def test_samples_without_spread_have_no_bounds(compare: object) -> None:
    """Where every value is the same no spread was measured, so nothing is certain."""
    found = compare(np.full(3, 2.0), np.ones(3))  # type: ignore[operator]
    assert (found.value, found.low, found.high, found.standard_error) == (1.0, -math.inf, math.inf, math.inf)


@pytest.mark.parametrize("compare", [difference, paired_difference])
def test_a_difference_needs_two_values_on_each_side(compare: object) -> None:
    """Less cannot be compared, and a level is a share."""
    with pytest.raises(EvaluationError, match="two values"):
        compare(np.ones(1), np.ones(5))  # type: ignore[operator]
    with pytest.raises(EvaluationError, match="level"):
        compare(np.ones(2), np.ones(2), level=1.0)  # type: ignore[operator]


def test_pairs_are_pairs() -> None:
    """Samples of two lengths are no pairs."""
    with pytest.raises(EvaluationError, match="as many as first"):
        paired_difference(np.ones(2), np.ones(3))


def test_p_values_of_nothing_are_uniform() -> None:
    """In 3,000 comparisons of the same, of groups unlike in size and spread.

    The bound is Dvoretzky, Kiefer, Wolfowitz and Massart's for a chance of one in a million, and 0.005 for
    what Welch's degrees of freedom are not exact.
    """
    dice, runs = np.random.default_rng(9), 3000
    for compare in (difference, paired_difference):
        m, n = (12, 40) if compare is difference else (15, 15)
        p = [compare(dice.normal(1, 3, m), dice.normal(1, 1, n)).p_value for _ in range(runs)]
        bound = math.sqrt(math.log(2e6) / (2 * runs)) + 0.005
        assert stats.kstest(p, "uniform").statistic < bound


@given(
    some.lists(some.floats(-1e6, 1e6), min_size=2, max_size=20),
    some.lists(some.floats(-1e6, 1e6), min_size=2, max_size=20),
)
def test_verdict_bounds_and_p_value_agree(first: list[float], second: list[float]) -> None:
    """A difference is proven exactly where the bounds leave out 0; turned round, all signs turn."""
    found, turned = difference(first, second), difference(second, first)
    assert (turned.value, turned.low, turned.high) == (-found.value, -found.high, -found.low)
    assert turned.p_value == found.p_value
    assume(abs(found.p_value - 0.05) > 1e-9)
    assert (found.verdict != "no difference proven") == (found.low > 0.0 or found.high < 0.0)
    assert found.p_above() + found.p_below() == pytest.approx(1.0 if math.isfinite(found.high) else 2.0)
    if math.isfinite(found.high):
        assert found.p_above(found.low) == pytest.approx(0.025, rel=1e-6)
        assert found.p_below(found.high) == pytest.approx(0.025, rel=1e-6)
    assert str(found).endswith(found.verdict)


def test_whole_numbers_and_truth_values_are_numbers() -> None:
    """Did or did not, and counts: lists as well as arrays."""
    bools = difference(np.array([True, False, True]), np.array([False, False, True]))
    assert bools == difference([1, 0, 1], [0.0, 0.0, 1.0])


def test_pairs_that_go_together_are_surer() -> None:
    """Their lift knows the covariance."""
    dice = np.random.default_rng(11)
    one = dice.normal(20.0, 4.0, 200)
    other = one + dice.normal(1.0, 0.5, 200)
    paired, apart = paired_difference(other, one), difference(other, one)
    assert paired.lift.high - paired.lift.low < 0.3 * (apart.lift.high - apart.lift.low)


@pytest.mark.parametrize("compare", [difference, paired_difference])
@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ([1.0, math.nan], "at row 1 is nan"),
        ([-math.inf, 1.0], "at row 0 is -inf"),
        ([[1.0, 2.0], [3.0, 4.0]], "dimensions"),
        ([[1.0], [2.0, 3.0]], "ragged"),
        (["a", "b"], "numbers"),
        ([None, 1.0], "numbers"),
        ([1.0, -1e101], "row 1 is 'larger'"),
        ([], "two values"),
        (3.0, "two values"),
    ],
    ids=repr,
)
def test_what_is_no_sample_is_refused(compare: object, bad: object, message: str) -> None:
    """On either side."""
    for pair in ((bad, [1.0, 2.0]), ([1.0, 2.0], bad)):
        with pytest.raises(EvaluationError, match=message):
            compare(*pair)  # type: ignore[operator]
