"""Adjusting by what was known before: against regressions of one's own, and against the truth."""

from __future__ import annotations

import math

import numpy as np
import pytest

from agentic.errors import EvaluationError
from agentic.experiments import (
    Before,
    Difference,
    ancova,
    cuped,
    difference,
    lin,
    ratio_difference,
    robust_ancova,
)
from agentic.experiments import Ratio as RatioOf

ALL = [cuped, ancova, robust_ancova, lin]


def groups(seed: int, m: int, n: int, *, d: int = 2, effect: float = 0.3) -> tuple[Before, Before]:
    dice = np.random.default_rng(seed)
    slopes = np.arange(1.0, d + 1)

    def one(size: int, shift: float) -> Before:
        x = dice.normal(5.0, 2.0, (size, d))
        return Before(x @ slopes + shift + dice.normal(0.0, 1.5, size), x)

    return one(m, effect), one(n, 0.0)


def regressed(treatment: Before, control: Before) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    y = np.concatenate([treatment.value, control.value])
    group = np.repeat([1.0, 0.0], [len(treatment.value), len(control.value)])
    x = np.concatenate([treatment.covariates, control.covariates])
    design = np.column_stack([np.ones_like(y), group, x])
    found, *_ = np.linalg.lstsq(design, y, rcond=None)
    return design, y, found, y - design @ found


def test_ancova_is_the_regression_on_group_and_covariates() -> None:
    """Effect, slopes, classical and HC1 errors, of two covariates and groups of two sizes."""
    treatment, control = groups(1, 90, 140)
    design, _, found, rest = regressed(treatment, control)
    inverse, degrees = np.linalg.inv(design.T @ design), len(rest) - 4
    plain, robust = ancova(treatment, control), robust_ancova(treatment, control)
    assert plain.value == robust.value == pytest.approx(found[1], rel=1e-10)
    assert plain.slopes == pytest.approx(tuple(found[2:]), rel=1e-10)
    assert plain.degrees == degrees
    assert plain.standard_error == pytest.approx(math.sqrt(rest @ rest / degrees * inverse[1, 1]), rel=1e-9)
    meat = (design * rest[:, None] ** 2).T @ design
    hc1 = (inverse @ meat @ inverse)[1, 1] * len(rest) / degrees
    assert robust.standard_error == pytest.approx(math.sqrt(hc1), rel=1e-9)


def test_lin_is_a_regression_for_each_group() -> None:
    """The difference of what the two predict for the average subject of both."""
    treatment, control = groups(2, 60, 200)
    centre = np.concatenate([treatment.covariates, control.covariates]).mean(axis=0)
    means = []
    for group in (treatment, control):
        design = np.column_stack([np.ones(len(group.value)), group.covariates - centre])
        means.append(np.linalg.lstsq(design, group.value, rcond=None)[0][0])
    found = lin(treatment, control)
    assert found.value == pytest.approx(means[0] - means[1], rel=1e-9)
    assert (found.treatment.value, found.control.value) == pytest.approx(tuple(means), rel=1e-9)


@pytest.mark.parametrize("adjust", ALL)
def test_units_of_the_covariates_do_not_matter(adjust: object) -> None:
    """Nor where they begin: days or microseconds since 1970, the effect is the same."""
    treatment, control = groups(3, 80, 70)
    found = adjust(treatment, control)  # type: ignore[operator]
    moved = [Before(one.value, one.covariates * [1e9, -1e-6] + [1e12, 7.0]) for one in (treatment, control)]
    again = adjust(*moved)  # type: ignore[operator]
    assert again.value == pytest.approx(found.value, rel=1e-5)
    assert again.standard_error == pytest.approx(found.standard_error, rel=1e-5)


@pytest.mark.parametrize("adjust", ALL)
def test_one_covariate_may_be_a_plain_column(adjust: object) -> None:
    """Shape (n,) or (n, 1) is the same."""
    treatment, control = groups(4, 30, 40, d=1)
    flat = [Before(one.value, one.covariates[:, 0]) for one in (treatment, control)]
    assert adjust(*flat) == adjust(treatment, control)  # type: ignore[operator]


def test_what_is_explained_is_the_squared_correlation() -> None:
    """The variance falls by rho squared, to five standard errors of a squared correlation."""
    dice, rho, n = np.random.default_rng(5), 0.8, 20_000
    x = dice.normal(size=2 * n)
    y = rho * x + math.sqrt(1.0 - rho**2) * dice.normal(size=2 * n)
    found = cuped(Before(y[:n], x[:n]), Before(y[n:], x[n:]))
    slack = 5.0 * 2.0 * rho * (1.0 - rho**2) / math.sqrt(2 * n)
    assert found.variance_reduction == pytest.approx(rho**2, abs=slack)
    assert found.slopes == pytest.approx((rho,), abs=5.0 * math.sqrt((1 - rho**2) / (2 * n)))


def test_what_explains_nothing_changes_nothing_much() -> None:
    """An unrelated covariate takes away no more variance than chance: a few parts in n."""
    dice = np.random.default_rng(6)
    y, x = dice.normal(size=4000), dice.normal(size=4000)
    found = cuped(Before(y[:2000], x[:2000]), Before(y[2000:], x[2000:]))
    assert abs(found.variance_reduction) < 25.0 / 4000


def test_a_ratio_is_adjusted_by_what_it_is_made_of() -> None:
    """Linearised values are a metric: CUPED of them keeps the effect near, and is surer."""
    dice = np.random.default_rng(7)

    def one(n: int, rate: float) -> tuple[RatioOf, np.ndarray]:
        taste = dice.beta(2.0, 8.0, n)
        count = 1 + dice.poisson(5.0, n)
        return RatioOf(dice.binomial(count, np.clip(taste * rate, 0, 1)), count), taste

    (first, taste), (second, other) = one(4000, 1.1), one(4000, 1.0)
    plain = ratio_difference(first, second)
    found = cuped(Before(first.linearised(), taste), Before(second.linearised(), other))
    assert found.variance_reduction > 0.1
    assert abs(found.value - plain.value) < 4.0 * plain.standard_error
    assert difference(first.linearised(), second.linearised()).value == pytest.approx(plain.value)


@pytest.mark.parametrize("adjust", ALL)
def test_intervals_cover_what_is_true(adjust: object) -> None:
    """In 600 experiments with skewed noise, as often as they say, to four binomial errors."""
    dice, covered = np.random.default_rng(8), 0
    for _ in range(600):
        parts = []
        for n, effect in ((60, 0.5), (120, 0.0)):
            x = dice.exponential(1.0, n)
            parts.append(Before(2.0 * x + effect + dice.gamma(2.0, 1.0, n), x))
        found = adjust(*parts)  # type: ignore[operator]
        covered += found.low <= 0.5 <= found.high
    assert abs(covered / 600 - 0.95) < 4.0 * math.sqrt(0.95 * 0.05 / 600)


@pytest.mark.parametrize(
    ("value", "covariates", "message"),
    [
        ([1.0, math.nan], [1.0, 2.0], "value at row 1 is nan"),
        ([1.0, 2.0], [1.0, math.inf], "covariates at row 1"),
        ([1.0, 2.0], [1.0, 2.0, 3.0], "a row for each value"),
        ([1.0, 2.0], [[[1.0]], [[2.0]]], "2 dimensions"),
        ([1.0, 2.0], [[1.0], [2.0, 3.0]], "ragged"),
        ([1.0, 2.0], [[], []], "2 dimensions"),
        ([1.0, 2.0], 5.0, "2 dimensions"),
        ([1.0], [1.0], "two values or more"),
        ([1.0, 2.0], ["a", "b"], "numbers"),
        ([1.0, 2.0], [1.0, -1e101], "covariates at row 1 is 'larger'"),
    ],
)
def test_what_cannot_be_adjusted_is_refused(value: list[float], covariates: object, message: str) -> None:
    """With the row, and what to do."""
    with pytest.raises(EvaluationError, match=message):
        Before(value, covariates)  # type: ignore[arg-type]


def test_whose_values_they_are_is_not_shown() -> None:
    """A repr tells shapes: values may be somebody's."""
    assert (
        repr(Before([31.5, 2.0], [1.0, 77.25])) == "Before(value=<float64 (2,)>, covariates=<float64 (2, 1)>)"
    )
    assert "77.25" not in repr(RatioOf([31.5, 2.0], [1.0, 77.25]))


@pytest.mark.parametrize("adjust", ALL)
def test_covariates_that_explain_nothing_at_all_are_refused(adjust: object) -> None:
    """A column that does not vary, other columns in one group than in the other, and a level that is none."""
    treatment, control = groups(9, 20, 20)
    still = Before(control.value, np.column_stack([control.covariates[:, 0], np.ones(20)]))
    same = Before(treatment.value, np.column_stack([treatment.covariates[:, 0], np.ones(20)]))
    with pytest.raises(EvaluationError, match="column 1"):
        adjust(same, still)  # type: ignore[operator]
    with pytest.raises(EvaluationError, match="as many as the treatment"):
        adjust(treatment, Before(control.value, control.covariates[:, 0]))  # type: ignore[operator]
    with pytest.raises(EvaluationError, match="level"):
        adjust(treatment, control, level=1.0)  # type: ignore[operator]


@pytest.mark.parametrize("adjust", [ancova, robust_ancova, lin])
def test_regressions_need_more_subjects_than_coefficients(adjust: object) -> None:
    """And columns that vary by themselves."""
    treatment, control = groups(10, 2, 2)
    with pytest.raises(EvaluationError, match="number of coefficients"):
        adjust(treatment, control)  # type: ignore[operator]
    treatment, control = groups(11, 30, 30, d=1)
    twice = [Before(one.value, np.column_stack([one.covariates] * 2)) for one in (treatment, control)]
    with pytest.raises(EvaluationError, match="collinear"):
        adjust(*twice)  # type: ignore[operator]


def test_values_that_do_not_vary_prove_nothing() -> None:
    """No spread is measured, so error and bounds are infinite."""
    found = cuped(Before([1.0, 1.0, 1.0], [1.0, 2.0, 4.0]), Before([1.0, 1.0], [3.0, 2.0]))
    assert isinstance(found, Difference)
    assert found.standard_error == math.inf
    assert found.variance_reduction == 0.0
