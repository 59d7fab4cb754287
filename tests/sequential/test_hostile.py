"""Input that nobody should give to a sequential test: refused in words."""

from __future__ import annotations

import math

import numpy as np
import pytest

from agentic.errors import EvaluationError
from agentic.evaluation import AnytimeBernstein, AnytimeBetting, AnytimeHedged
from agentic.experiments import CountTest, SampleRatioTest, multinomial_e_value

WEIGHT = np.ones(50)
REWARD = np.random.default_rng(4).random(50)

intervals = pytest.mark.parametrize(
    "interval",
    [
        pytest.param(one, id=one.name)
        for one in (AnytimeBernstein(), AnytimeBetting(), AnytimeHedged(breaks=50))
    ],
)


@intervals
@pytest.mark.parametrize("at", [[0], [-1], [5, 3], [4, 4], [10, 51], [2.5], [[1, 2]], []], ids=str)
def test_looks_that_never_were_are_refused(
    interval: AnytimeBernstein | AnytimeBetting | AnytimeHedged, at: list[int]
) -> None:
    """After none, after more than there are, or back in time: no bounds of some other look instead."""
    with pytest.raises(EvaluationError, match="at "):
        interval.sequence(WEIGHT, REWARD, at=at)


@intervals
def test_looks_may_be_a_list(interval: AnytimeBernstein | AnytimeBetting | AnytimeHedged) -> None:
    whole = interval.sequence(WEIGHT, REWARD)
    some = interval.sequence(WEIGHT, REWARD, at=[3, 20, 50])
    assert (some.lower <= whole.lower[[2, 19, 49]] + 1e-12).all()
    assert (some.upper >= whole.upper[[2, 19, 49]] - 1e-12).all()


@intervals
@pytest.mark.parametrize("alpha", [0.0, 1.0, 2.0, -1.0, math.nan])
def test_an_alpha_that_is_no_chance_is_refused(
    interval: AnytimeBernstein | AnytimeBetting | AnytimeHedged, alpha: float
) -> None:
    with pytest.raises(EvaluationError, match="alpha is "):
        interval.sequence(WEIGHT, REWARD, alpha=alpha)


@intervals
def test_columns_that_are_no_numbers_and_endless_ranges_are_refused(
    interval: AnytimeBernstein | AnytimeBetting | AnytimeHedged,
) -> None:
    with pytest.raises(EvaluationError, match="weight is 'str"):
        interval.sequence(["a"], [1.0])
    with pytest.raises(EvaluationError, match=r"reward is \(5, 10\)"):
        interval.sequence(WEIGHT, REWARD.reshape(5, 10))
    with pytest.raises(EvaluationError, match="reward_range is "):
        interval.sequence(WEIGHT, REWARD, reward_range=(0.0, math.inf))


def test_a_grid_without_steps_is_refused() -> None:
    with pytest.raises(EvaluationError, match="breaks is 1, expected 2 or more"):
        AnytimeHedged(breaks=1)


@pytest.mark.parametrize("bad", [(math.nan, 1), (math.inf, 1), (5, math.nan)], ids=str)
def test_counts_that_are_not_finite_are_refused(bad: tuple[float, float]) -> None:
    with pytest.raises(EvaluationError, match=r"control is .*, expected whole numbers"):
        CountTest().observe_counts(control=bad, treatment=(5, 1))


def test_shares_and_counts_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(EvaluationError, match="counts is "):
        SampleRatioTest().observe(counts=["a", "b"], shares=[0.5, 0.5])  # type: ignore[list-item]
    with pytest.raises(EvaluationError, match="concentration is nan"):
        multinomial_e_value([1, 2], [0.5, 0.5], concentration=math.nan)
    with pytest.raises(EvaluationError, match="concentration is 0"):
        multinomial_e_value([1, 2], [0.5, 0.5], concentration=0)
