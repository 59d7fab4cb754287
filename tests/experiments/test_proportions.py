"""Rates, against SciPy and by enumeration."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from scipy import stats

from agentic.errors import EvaluationError
from agentic.experiments import (
    Proportion,
    agresti_caffo,
    clopper_pearson,
    fisher_exact,
    newcombe,
    proportion_difference,
    wald,
    wilson,
)

COUNTS = some.integers(1, 400).flatmap(lambda n: some.tuples(some.integers(0, n), some.just(n)))


@given(COUNTS, some.sampled_from([0.5, 0.9, 0.95, 0.999]))
def test_bounds_of_a_rate_are_scipys(count: tuple[int, int], level: float) -> None:
    """Wilson's and the exact ones."""
    group, reference = Proportion(*count), stats.binomtest(*count)
    exact, score = (reference.proportion_ci(level, method) for method in ("exact", "wilson"))
    assert clopper_pearson(group, level=level) == pytest.approx((exact.low, exact.high), rel=1e-8, abs=1e-12)
    assert wilson(group, level=level) == pytest.approx((score.low, score.high), rel=1e-8, abs=1e-12)


@given(COUNTS, COUNTS)
def test_fishers_test_is_scipys(first: tuple[int, int], second: tuple[int, int]) -> None:
    """To 1e-8 of itself."""
    table = [[x, n - x] for x, n in (first, second)]
    expected = stats.fisher_exact(table).pvalue
    assert fisher_exact(Proportion(*first), Proportion(*second)) == pytest.approx(expected, rel=1e-8)


@given(COUNTS, COUNTS)
def test_turning_the_groups_round_turns_the_bounds_round(a: tuple[int, int], b: tuple[int, int]) -> None:
    """And they hold the difference, within what differences there can be."""
    first, second = Proportion(*a), Proportion(*b)
    for bounds in (newcombe, agresti_caffo, wald):
        low, high = bounds(first, second)
        assert bounds(second, first) == pytest.approx((-high, -low), abs=1e-12)
    low, high = newcombe(first, second)
    assert -1.0 - 1e-12 <= low <= first.value - second.value <= high <= 1.0 + 1e-12
    found = proportion_difference(first, second)
    assert (found.low, found.high) == (low, high)
    assert 0.0 <= found.p_value <= 1.0


def test_newcombes_bounds_cover_at_rare_events() -> None:
    """On average over rates from 0.2 % to 5 %, by enumeration, at least 95 %; Wald's do not."""
    n, m = 120, 200
    covered = {newcombe: 0.0, wald: 0.0}
    rates = [0.002, 0.01, 0.05]
    mass = sum(
        np.outer(*(stats.binom.pmf(np.arange(32), size, rate) for size in (n, m))) / len(rates)
        for rate in rates
    )
    for bounds in covered:
        for x, y in np.ndindex(mass.shape):
            low, high = bounds(Proportion(x, n), Proportion(y, m))
            covered[bounds] += mass[x, y] * (low <= 0.0 <= high and high > low)
    assert covered[newcombe] > 0.95
    assert covered[wald] < 0.9


def test_the_test_is_that_of_the_pooled_rate() -> None:
    """Which is the root of Pearson's chi-square without correction."""
    found = proportion_difference(Proportion(30, 200), Proportion(50, 210))
    reference = stats.chi2_contingency([[30, 170], [50, 160]], correction=False)
    assert found.p_value == pytest.approx(reference.pvalue, rel=1e-10)
    assert found.lift.value == pytest.approx(30 / 200 / (50 / 210) - 1.0)


def test_rates_of_nobody_and_of_everybody_prove_nothing() -> None:
    """Without a spread there is no error, but Newcombe's bounds still hold."""
    for one, other in ((0, 0), (40, 50)):
        found = proportion_difference(Proportion(one, 40), Proportion(other, 50))
        assert found.p_value == 1.0
        assert found.standard_error == math.inf
        assert found.low < 0.0 < found.high
        assert found.p_above() == found.p_below() == 1.0


@pytest.mark.parametrize(
    ("successes", "n", "message"),
    [
        (3, 2, "0 to n = 2"),
        (-1, 2, "0 to n"),
        (0, 0, "1 or more"),
        (1.5, 2, "whole"),
        (True, 2, "whole"),
        (1, math.nan, "whole"),
    ],
)
def test_what_is_no_count_is_refused(successes: int, n: int, message: str) -> None:
    """With what was expected."""
    with pytest.raises(EvaluationError, match=message):
        Proportion(successes, n)
    with pytest.raises(EvaluationError, match="level"):
        wilson(Proportion(1, 2), level=0.0)
