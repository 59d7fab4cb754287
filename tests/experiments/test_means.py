"""By how much two groups differ, against SciPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
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
