"""The sizes of groups, against SciPy and by enumeration."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from scipy import stats

from agentic.errors import EvaluationError
from agentic.experiments import exact_sample_ratio, sample_ratio


@given(some.lists(some.tuples(some.integers(0, 10**7), some.floats(0.01, 1)), min_size=2, max_size=8))
def test_the_statistic_is_pearsons(groups: list[tuple[int, float]]) -> None:
    """Of any number of groups, in any shares."""
    observed, shares = (list(part) for part in zip(*groups, strict=True))
    if not sum(observed):
        return
    expected = np.array(shares) / sum(shares) * sum(observed)
    reference = stats.chisquare(observed, expected)
    found = sample_ratio(observed, shares)
    assert found.chi_square == pytest.approx(reference.statistic, rel=1e-9, abs=1e-9)
    assert found.p_value == pytest.approx(reference.pvalue, rel=1e-7, abs=1e-290)


@given(some.integers(1, 60), some.data())
def test_two_equal_groups_are_tossed_like_a_coin(n: int, data: some.DataObject) -> None:
    """The exact p-value is the binomial one."""
    x = data.draw(some.integers(0, n))
    expected = stats.binomtest(x, n).pvalue
    assert exact_sample_ratio([x, n - x], [1, 1]).p_value == pytest.approx(expected, rel=1e-9)


def test_three_groups_are_counted_out() -> None:
    """Every way to part nine subjects that is at least as far off as the one seen."""
    shares, observed = np.array([0.5, 0.3, 0.2]), (1, 3, 5)
    expected, total = shares * 9, 0.0

    def far(one: tuple[int, ...]) -> float:
        return float(((np.array(one) - expected) ** 2 / expected).sum())

    for one in itertools.product(range(10), repeat=3):
        if sum(one) == 9 and far(one) >= far(observed) - 1e-9:
            total += stats.multinomial.pmf(one, 9, shares)
    found = exact_sample_ratio(observed, shares.tolist())
    assert found.p_value == pytest.approx(total, rel=1e-9)
    assert found.chi_square == pytest.approx(far(observed))


def test_false_alarms_are_as_rare_as_they_should_be() -> None:
    """Of 4,000 honest experiments no more than one in a thousand, and four binomial errors, are suspected."""
    dice = np.random.default_rng(1)
    draws = dice.multinomial(2000, [0.5, 0.3, 0.2], 4000)
    wrong = sum(sample_ratio(one, [5, 3, 2]).mismatch for one in draws.tolist())
    assert wrong <= 4 + 4 * math.sqrt(4)


def test_the_verdict_is_in_words() -> None:
    """A mismatch says not to trust the comparison."""
    bad, good = sample_ratio([50_810, 49_190], [0.5, 0.5]), sample_ratio([50_000, 50_100], [1, 1])
    assert bad.mismatch
    assert str(bad) == (
        "50810, 49190 subjects where 50000.0, 50000.0 were expected (p = 3.01e-07):"
        " sample ratio mismatch: do not trust the comparison"
    )
    assert "sizes as planned" in str(good)


@pytest.mark.parametrize(
    ("observed", "shares", "message"),
    [
        ([5], [1], "two groups or more"),
        ([5, -1], [1, 1], "observed at row 1"),
        ([5, 5], [1, 1, 1], "2 shares"),
        ([5, 5], [1, 0], "shares at row 1"),
        ([5, 5], [1, math.nan], "shares at row 1"),
        ([0, 0], [1, 1], "some subjects"),
        ([1.5, 2.0], [1, 1], "whole numbers"),
        ([[1, 2]], [1, 1], "two groups or more"),
    ],
)
def test_what_is_no_size_is_refused(observed: list[int], shares: list[float], message: str) -> None:
    """By both checks."""
    for check in (sample_ratio, exact_sample_ratio):
        with pytest.raises(EvaluationError, match=message):
            check(observed, shares)


def test_too_many_ways_are_not_counted() -> None:
    """The approximate check is close enough for so many."""
    with pytest.raises(EvaluationError, match="use sample_ratio"):
        exact_sample_ratio([5000, 5000, 5000], [1, 1, 1])
