"""How many subjects: against SciPy's distributions, and against experiments that were run."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from scipy import stats

from agentic.errors import EvaluationError
from agentic.experiments import (
    MeanBaseline,
    Proportion,
    RateBaseline,
    Ratio,
    RatioBaseline,
    difference,
    minimal_effect,
    power,
    proportion_difference,
    sample_size,
)
from agentic.experiments._power import Baseline

BASELINES = [MeanBaseline(10.0, 3.0), RateBaseline(0.1), RatioBaseline(0.2, 0.6)]


@given(some.integers(2, 500), some.floats(0.0, 2.0))
def test_the_power_of_equal_groups_is_the_t_tests(n: int, effect: float) -> None:
    """By SciPy's noncentral t, both sides."""
    degrees, shift = 2 * n - 2, effect / math.sqrt(2 / n)
    cut = stats.t.ppf(0.975, degrees)
    other = np.nan_to_num(stats.nct.cdf(-cut, degrees, shift))  # where it is as good as 0 SciPy has no answer
    expected = stats.nct.sf(cut, degrees, shift) + other
    found = power(MeanBaseline(0.0, 1.0), effect, treatment=n, control=n)
    assert found == pytest.approx(float(expected), abs=1e-7)


@pytest.mark.parametrize("baseline", BASELINES, ids=["mean", "rate", "ratio"])
@pytest.mark.parametrize("share", [0.5, 0.1], ids=["half", "tenth"])
def test_size_effect_and_power_answer_each_other(baseline: Baseline, share: float) -> None:
    """What needs so many subjects is the smallest effect that so many show, with that power."""
    size = sample_size(baseline, 0.05, power=0.9, level=0.99, share=share)
    found = power(baseline, 0.05, treatment=size.treatment, control=size.control, level=0.99)
    assert size.power == found >= 0.9
    fewer = power(baseline, 0.05, treatment=size.treatment - 2, control=size.control - 2, level=0.99)
    assert fewer < 0.9
    smallest = minimal_effect(baseline, treatment=size.treatment, control=size.control, power=0.9, level=0.99)
    assert smallest == pytest.approx(0.05, rel=2e-2 if size.total < 10_000 else 2e-3)
    assert size.treatment / size.total == pytest.approx(share, abs=1e-3)
    exact = power(baseline, smallest, treatment=size.treatment, control=size.control, level=0.99)
    assert exact == pytest.approx(0.9, abs=1e-9)


def test_planned_power_is_what_experiments_have() -> None:
    """Of 1,500 experiments of the planned size as many prove it, to four binomial errors: rates and means."""
    dice, runs = np.random.default_rng(1), 1500
    slack = 4 * math.sqrt(0.8 * 0.2 / runs)
    size = sample_size(RateBaseline(0.1), 0.04)
    hits = dice.binomial(size.treatment, 0.14, runs), dice.binomial(size.control, 0.1, runs)
    proven = sum(
        proportion_difference(Proportion(x, size.treatment), Proportion(y, size.control)).p_value < 0.05
        for x, y in zip(*(one.tolist() for one in hits), strict=True)
    )
    assert abs(proven / runs - size.power) < slack
    plan = sample_size(MeanBaseline(0.0, 2.0), 1.0, share=0.3)
    proven = sum(
        difference(dice.normal(1.0, 2.0, plan.treatment), dice.normal(0.0, 2.0, plan.control)).p_value < 0.05
        for _ in range(runs)
    )
    assert abs(proven / runs - plan.power) < slack


def test_a_baseline_is_measured_on_past_subjects() -> None:
    """And covariates shrink its spread by what they explain."""
    values = np.array([1.0, 2.0, 6.0, 7.0])
    found = MeanBaseline.of(values)
    assert (found.value, found.spread) == pytest.approx((4.0, values.std(ddof=1)))
    assert found.adjusted(0.8).spread == pytest.approx(0.6 * found.spread)
    ratio = RatioBaseline.of(Ratio(values, np.ones(4)))
    assert (ratio.value, ratio.spread) == pytest.approx((found.value, found.spread))
    less = sample_size(found.adjusted(0.8), 1.0)
    assert less.exact / sample_size(found, 1.0).exact == pytest.approx(0.36, abs=0.03)


def test_days_are_whole_and_enough() -> None:
    """As many as it takes until that many subjects have come."""
    size = sample_size(RatioBaseline(0.0, 1.0), 0.1)
    assert (size.treatment, size.control, size.total) == (1570, 1570, 3140)
    assert [size.days(per_day) for per_day in (3140, 3139, 500, 0.5)] == [1, 2, 7, 6280]
    assert str(size) == (
        "1,570 subjects in the treatment and 1,570 in the control show a difference of 0.1 in 80% of"
        " experiments at level 0.95"
    )
    with pytest.raises(EvaluationError, match="subjects_per_day"):
        size.days(0.0)


def test_an_effect_that_is_large_takes_few() -> None:
    """Two subjects in each group at least; downwards is as good as upwards."""
    size = sample_size(RatioBaseline(0.0, 1.0), 100.0)
    assert (size.treatment, size.control, size.power) == (2, 2, 1.0)
    down, up = (sample_size(MeanBaseline(0.0, 1.0), effect).exact for effect in (-0.2, 0.2))
    assert down == pytest.approx(up)
    tiny = minimal_effect(MeanBaseline(0.0, 1e-30), treatment=50, control=50)
    huge = minimal_effect(MeanBaseline(0.0, 1e30), treatment=50, control=50)
    assert tiny / 1e-30 == pytest.approx(huge / 1e30)
    assert minimal_effect(RateBaseline(0.99), treatment=5, control=5) == math.inf


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: MeanBaseline(math.nan, 1.0), "value"),
        (lambda: MeanBaseline(0.0, 0.0), "spread"),
        (lambda: MeanBaseline(0.0, 1.0).adjusted(1.0), "correlation"),
        (lambda: MeanBaseline.of([3.0, 3.0]), "spread"),
        (lambda: RateBaseline(0.0), "value"),
        (lambda: RatioBaseline(1.0, math.inf), "spread"),
        (lambda: power(RateBaseline(0.9), 0.2, treatment=9, control=9), "effect"),
        (lambda: power(RateBaseline(0.9), math.nan, treatment=9, control=9), "effect"),
        (lambda: power(RateBaseline(0.9), 0.1, treatment=1, control=9), "treatment"),
        (lambda: power(RateBaseline(0.9), 0.1, treatment=9, control=math.nan), "control"),
        (lambda: sample_size(RateBaseline(0.9), 0.0), "effect"),
        (lambda: sample_size(RateBaseline(0.1), 1e-12), "can be seen"),
        (lambda: sample_size(RateBaseline(0.1), 0.1, power=0.04), "power"),
        (lambda: sample_size(RateBaseline(0.1), 0.1, share=0.0), "share"),
        (lambda: sample_size(RateBaseline(0.1), 0.1, level=1.0), "level"),
        (lambda: minimal_effect(RateBaseline(0.1), treatment=9, control=9, power=1.0), "power"),
    ],
    ids=range(16),
)
def test_what_cannot_be_planned_is_refused(ask: object, message: str) -> None:
    """With what was expected."""
    with pytest.raises(EvaluationError, match=message):
        ask()  # type: ignore[operator]
