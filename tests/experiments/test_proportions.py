"""Rates, against SciPy and by enumeration."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from scipy import optimize, stats

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
        assert found.p_above() == found.p_below() == 0.5
        assert found.statistic == 0.0


def test_a_margin_is_asked_of_the_rates_that_are_likeliest_with_it() -> None:
    """The score test's errors are those of the best fit under the margin, found here by search."""
    for (x, n), (y, m), than in itertools.product(
        [(0, 20), (3, 50), (30, 200), (40, 40)],
        [(0, 30), (5, 60), (60, 60)],
        [-0.3, -0.05, 0.01, 0.2],
    ):

        def unlikely(rate: float) -> float:
            return -float(stats.binom.logpmf(x, n, rate) + stats.binom.logpmf(y, m, rate - than))  # noqa: B023

        ends = (max(0.0, than) + 1e-12, min(1.0, 1.0 + than) - 1e-12)
        rate = optimize.minimize_scalar(unlikely, bounds=ends, method="bounded", options={"xatol": 1e-12}).x
        error = math.sqrt(rate * (1 - rate) / n + (rate - than) * (1 - rate + than) / m)
        found = proportion_difference(Proportion(x, n), Proportion(y, m))
        z = (x / n - y / m - than) / error
        assert found.p_above(than) == pytest.approx(stats.norm.sf(z), rel=1e-3)
        assert found.p_below(than) == pytest.approx(stats.norm.cdf(z), rel=1e-3)


def test_nothing_seen_in_many_proves_no_harm() -> None:
    """Nobody complained among 100,000: the rates do not differ by a thousandth, and never by more than 1."""
    found = proportion_difference(Proportion(0, 100_000), Proportion(0, 100_000))
    assert found.p_below(0.001) < 1e-9
    assert (found.p_above(1.0), found.p_above(-1.0)) == (1.0, 0.0)
    assert proportion_difference(Proportion(9, 9), Proportion(0, 9)).p_above(0.0) < 1e-4


def test_tests_of_rare_events_are_as_wrong_as_they_say() -> None:
    """At 1 % in 2,000 and 6,000 subjects, by enumeration: 5 % to within 1 %, at 0 and at a margin."""
    for rate, other, than in ((0.01, 0.01, 0.0), (0.015, 0.01, 0.005)):
        x, y = np.arange(70), np.arange(20, 110)
        mass = np.outer(stats.binom.pmf(x, 2000, rate), stats.binom.pmf(y, 6000, other))
        wrong = sum(
            mass[i, j]
            for i, j in zip(*(mass > 1e-7).nonzero(), strict=True)
            if proportion_difference(Proportion(int(x[i]), 2000), Proportion(int(y[j]), 6000)).p_above(than)
            < 0.05
        )
        assert abs(wrong - 0.05) < 0.01


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
