"""Tails and quantiles, against SciPy and against each other."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from scipy import special, stats

from agentic import _statistics as ours

DEGREES = some.floats(0.5, 1e7)
TAILS = some.floats(1e-12, 1 - 1e-12)


@given(some.floats(-37.0, -0.001) | some.floats(0.001, 37.0), DEGREES)  # nearer to 0 SciPy's digits go
def test_the_tail_of_t_is_scipys(t: float, degrees: float) -> None:
    """To 1e-11 of itself, however small it is and however many degrees there are."""
    expected = stats.t.sf(t, degrees)
    assert ours.t_tail(t, degrees) == pytest.approx(expected, rel=1e-11, abs=1e-290)


@pytest.mark.parametrize("degrees", [0.7, 1.0, 3.3, 50.0, 499.9, 500.1, 4000.0, 19_999.0, 20_001.0, 1e9])
def test_the_tail_of_t_has_no_seams(degrees: float) -> None:
    """Where one formula takes over from another, they agree."""
    for t in (0.01, 0.3, 1.96, math.sqrt(degrees / 16.0) * (1 - 1e-12), math.sqrt(degrees / 16.0) + 1e-9):
        assert ours.t_tail(t, degrees) == pytest.approx(stats.t.sf(t, degrees), rel=1e-11)
        assert ours.t_tail(-t, degrees) == pytest.approx(stats.t.cdf(t, degrees), rel=1e-11)


@given(TAILS, DEGREES)
def test_the_quantile_of_t_has_the_level_asked_for(level: float, degrees: float) -> None:
    """The mass in the middle, or outside of it, is what was asked for."""
    t = ours.student_t(level, degrees)
    if level < 0.5:
        inside = ours.beta_tails(t * t / (degrees + t * t), 0.5, degrees / 2.0)[0]
        assert inside == pytest.approx(level, rel=1e-9)
    else:
        assert 2.0 * ours.t_tail(t, degrees) == pytest.approx(1.0 - level, rel=1e-11)


def test_infinite_degrees_are_the_normal_distribution() -> None:
    """And the ends are ends."""
    assert ours.student_t(0.95, math.inf) == pytest.approx(1.959963984540054, rel=1e-14)
    assert ours.t_tail(2.0, math.inf) == ours.normal_tail(2.0)
    assert ours.t_tail(math.inf, 3.0) == 0.0
    assert ours.t_tail(-math.inf, 3.0) == 1.0
    assert ours.t_tail(math.inf, 1e6) == 0.0
    assert ours.noncentral_t_tail(2.0, math.inf, 1.0) == ours.normal_tail(1.0)


@given(some.floats(1e-6, 1 - 1e-6), some.floats(0.05, 3e4), some.floats(0.05, 3e4))
def test_the_beta_integral_is_scipys(x: float, a: float, b: float) -> None:
    """Each side to 1e-10 of itself where it is the smaller one."""
    low, high = ours.beta_tails(x, a, b)
    expected = special.betainc(a, b, x), special.betaincc(a, b, x)
    small = 0 if expected[0] <= expected[1] else 1
    assert (low, high)[small] == pytest.approx(expected[small], rel=1e-10, abs=1e-280)
    assert low + high == pytest.approx(1.0)


@given(some.floats(0.05, 1e5), some.floats(-6.0, 6.0))
def test_the_gamma_integral_is_scipys(shape: float, deviate: float) -> None:
    """Each side to 1e-11 of itself where it is the smaller one."""
    x = max(shape + deviate * math.sqrt(shape), shape * 1e-4)
    found = ours.gamma_tails(shape, x)
    expected = special.gammainc(shape, x), special.gammaincc(shape, x)
    small = 0 if expected[0] <= expected[1] else 1
    assert found[small] == pytest.approx(expected[small], rel=1e-11)


def test_the_ends_of_both_integrals_are_ends() -> None:
    """Nothing lies outside."""
    assert ours.beta_tails(0.0, 2.0, 3.0) == (0.0, 1.0)
    assert ours.beta_tails(1.0, 2.0, 3.0) == (1.0, 0.0)
    assert ours.gamma_tails(2.0, 0.0) == (0.0, 1.0)
    assert ours.gamma_tails(2.0, 1e9) == (1.0, 0.0)
    assert ours.gamma_tails(1e9, 2.0) == (0.0, 1.0)
    assert ours.gamma_tails(2.0, math.inf) == (1.0, 0.0)
    assert ours.f_tail(math.inf, 2.0, 3.0) == 0.0
    assert ours.chi_square_tail(0.0, 1.0) == 1.0


@given(some.floats(1e-9, 1 - 1e-9), some.floats(0.5, 1e4), some.floats(0.5, 1e4))
def test_quantiles_have_the_mass_asked_for(mass: float, one: float, other: float) -> None:
    """Of chi-square, F and beta: what lies beyond is the rest, to 1e-9 of the smaller of the two."""
    small = min(mass, 1.0 - mass)
    found = ours.gamma_tails(one / 2.0, ours.chi_square_quantile(mass, one) / 2.0)
    assert min(found) == pytest.approx(small, rel=1e-9)
    assert 1.0 - ours.f_tail(ours.f_quantile(mass, one, other), one, other) == pytest.approx(mass, abs=1e-12)
    x = ours.beta_quantile(mass, one, other)
    slack = 4e-16 * stats.beta.pdf(x, one, other)  # x itself has only so many digits below 1
    assert ours.beta_tails(x, one, other)[0] == pytest.approx(mass, rel=1e-9, abs=slack)


@given(some.floats(-2.0, 6.0), some.floats(2.0, 1e5), some.floats(-3.0, 8.0))
def test_the_noncentral_tail_is_scipys(t: float, degrees: float, shift: float) -> None:
    """To 1e-8, which is more than a power is asked for."""
    assert ours.noncentral_t_tail(t, degrees, shift) == pytest.approx(
        float(stats.nct.sf(t, degrees, shift)), abs=1e-8
    )


def test_quantiles_are_the_tables() -> None:
    """Against SciPy at the levels everybody uses."""
    for degrees in (1.0, 2.5, 9.0, 60.0, 5777.3):
        for mass in (0.025, 0.5, 0.95, 0.999):
            assert ours.chi_square_quantile(mass, degrees) == pytest.approx(
                stats.chi2.ppf(mass, degrees), rel=1e-10
            )
            assert ours.f_quantile(mass, degrees, 7.5) == pytest.approx(
                stats.f.ppf(mass, degrees, 7.5), rel=1e-9
            )
            assert ours.beta_quantile(mass, degrees, 7.5) == pytest.approx(
                stats.beta.ppf(mass, degrees, 7.5), rel=1e-9
            )
    levels = np.array([0.5, 0.9, 0.95, 0.999])
    for degrees in (1.0, 2.5, 9.0, 60.0, 5777.3, 1e5):
        found = [ours.student_t(level, degrees) for level in levels]
        assert found == pytest.approx(stats.t.ppf((1.0 + levels) / 2.0, degrees).tolist(), rel=1e-11)
