"""Does a resample divide by its own weights, and does drawing cells instead of rows change anything."""

import math

import attrs
import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from agentic.errors import EvaluationError
from agentic.evaluation import (
    DM,
    DR,
    IPW,
    SNDR,
    SNIPW,
    AcceleratedBootstrap,
    Bootstrap,
    Estimator,
    Interval,
    Logged,
    Rows,
    estimate,
    resampled,
    standard_error,
)

ESTIMATORS: list[Estimator] = [IPW(), SNIPW(), IPW(clip=2.0), DM(), DR(), SNDR()]
NAMES = [one.name for one in ESTIMATORS]


def some(n: int, seed: int = 1) -> Rows:
    """Return rows with skewed weights, clicks and predictions, none like another."""
    dice = np.random.default_rng(seed)
    weight = dice.lognormal(0.0, 1.0, n)
    reward = (dice.random(n) < 0.3).astype(np.float64)
    return Rows(weight, reward, dice.random(n), dice.random(n))


def taken(rows: Rows, at: npt.NDArray[np.int64]) -> Rows:
    assert rows.predicted is not None
    assert rows.modelled is not None
    return Rows(rows.weight[at], rows.reward[at], rows.predicted[at], rows.modelled[at])


def naive(rows: Rows, estimator: Estimator, resamples: int) -> npt.NDArray[np.float64]:
    """Draw row numbers and ask the estimator every time."""
    dice = np.random.default_rng(2)
    n = rows.weight.size
    return np.array(
        [estimator.contribute(taken(rows, dice.integers(0, n, n))).value for _ in range(resamples)]
    )


def bounds(interval: Interval, rows: Rows, estimator: Estimator) -> tuple[float, float]:
    found = estimator.contribute(rows)
    return interval.bounds(rows, found, standard_error=0.0, level=0.95, reward_range=None)


@pytest.mark.parametrize("n", [50, 3000], ids=["rows", "cells"])
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=NAMES)
def test_values_are_those_of_drawing_rows_and_asking_the_estimator(estimator: Estimator, n: int) -> None:
    """A thousand naive resamples and ours come from one distribution, by Kolmogorov and Smirnov."""
    rows = some(n)
    ours = resampled(rows, estimator.contribute(rows), resamples=4000, seed=3)
    # A right implementation fails once in a hundred thousand seeds.
    assert stats.ks_2samp(ours, naive(rows, estimator, 1000)).pvalue > 1e-5


def test_distinct_rows_are_drawn_exactly_however_many() -> None:
    """Of 20,000 rows with four kinds the clicks of a resample are binomial."""
    weight = np.tile([0.0, 0.0, 2.0, 2.0], 5000)
    rows = Rows(weight, np.where(np.arange(20_000) < 100, 1.0, 0.0))
    found = resampled(rows, SNIPW().contribute(rows), resamples=5000, seed=1)
    matched = SNIPW().contribute(rows).value
    assert matched == pytest.approx(0.005)
    expected = math.sqrt(matched * (1.0 - matched) / 10_000)
    # The variance of a variance of nearly normal values is 2 / B of its square.
    assert found.std() == pytest.approx(expected, rel=4.0 / math.sqrt(2 * 5000))


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=NAMES)
@pytest.mark.parametrize("groups", [False, True], ids=["rows", "groups"])
def test_the_spread_is_the_standard_error(estimator: Estimator, *, groups: bool) -> None:
    """Of 30,000 rows, alone or in threes that agree, resamples spread as the delta method says."""
    rows = some(10_000)
    if groups:
        rows = attrs.evolve(
            taken(rows, np.repeat(np.arange(10_000), 3)), groups=np.repeat(np.arange(10_000), 3)
        )
    contributions = estimator.contribute(rows)
    found = resampled(rows, contributions, resamples=3000, seed=4)
    error = standard_error(contributions.influence, degrees=contributions.degrees, groups=rows.groups)
    assert found.mean() == pytest.approx(contributions.value, abs=0.1 * error)
    # Four standard deviations of the spread of 3,000 draws, and a little for the curvature.
    assert found.std() == pytest.approx(error, rel=0.06)


def test_a_resample_divides_by_its_own_weights() -> None:
    """Equal rewards give equal values in every resample, whatever weights it drew."""
    rows = attrs.evolve(some(500), reward=np.full(500, 0.885))
    found = resampled(rows, SNIPW().contribute(rows), resamples=1000, seed=5)
    assert found == pytest.approx(np.full(1000, 0.885), abs=1e-12)


@pytest.mark.parametrize("interval", [Bootstrap(), AcceleratedBootstrap()], ids=["plain", "BCa"])
def test_the_seed_decides(interval: Bootstrap | AcceleratedBootstrap) -> None:
    """The same seed gives the same bounds, another gives others."""
    rows = some(300)
    assert bounds(interval, rows, SNIPW()) == bounds(interval, rows, SNIPW())
    assert bounds(attrs.evolve(interval, seed=1), rows, SNIPW()) != bounds(interval, rows, SNIPW())


def test_acceleration_moves_the_bounds_as_scipy_does() -> None:
    """BCa of a mean agrees with scipy's to two hundredths of the width."""
    sample = np.random.default_rng(6).exponential(1.0, 60)
    rows = Rows(np.ones(60), sample)
    low, high = bounds(AcceleratedBootstrap(resamples=40_000), rows, IPW())
    theirs = stats.bootstrap(
        (sample,), np.mean, n_resamples=40_000, method="BCa", rng=np.random.default_rng(7)
    ).confidence_interval
    # Quantiles of 40,000 draws near 2.5 % have a standard deviation of a two-hundredth of the width.
    assert [low, high] == pytest.approx(list(theirs), abs=0.02 * (high - low))


def test_acceleration_covers_the_mean_of_skewed_rewards_more_often() -> None:
    """Of 30 exponential rewards plain quantiles miss too often; BCa misses more rarely."""
    dice = np.random.default_rng(8)
    held = np.zeros(2)
    for _ in range(300):
        rows = Rows(np.ones(30), dice.exponential(1.0, 30))
        for which, interval in enumerate((Bootstrap(resamples=1000), AcceleratedBootstrap(resamples=1000))):
            low, high = bounds(interval, rows, IPW())
            held[which] += low <= 1.0 <= high
    assert held[0] <= held[1]
    # Its true coverage here is 93 %: four standard deviations of 300 samples below.
    assert held[1] / 300 >= 0.93 - 4.0 * math.sqrt(0.93 * 0.07 / 300)


@pytest.mark.parametrize("interval", [Bootstrap(), AcceleratedBootstrap()], ids=["plain", "BCa"])
def test_without_any_spread_the_bounds_are_a_point(interval: Interval) -> None:
    """Rewards that are all alike, weights too, leave nothing to draw."""
    rows = Rows(np.ones(3000), np.zeros(3000))
    assert bounds(interval, rows, IPW()) == (0.0, 0.0)


def test_rows_that_hardly_move_the_value_share_a_cell() -> None:
    """Where all but a thousand rows say exactly the same, the thousand are drawn one by one."""
    weight = np.ones(50_000)
    reward = np.zeros(50_000)
    reward[:3000] = np.random.default_rng(9).random(3000)
    rows = Rows(weight, reward)
    found = resampled(rows, IPW().contribute(rows), resamples=3000, seed=1)
    assert found.std() == pytest.approx(reward.std() / math.sqrt(50_000), rel=4.0 / math.sqrt(6000))


def test_resamples_without_weight_are_left_out() -> None:
    """One row with weight of three is absent from 8 of 27 resamples; with none there is nothing to say."""
    rows = Rows(np.array([1.0, 0.0, 0.0]), np.array([0.5, 0.0, 0.0]))
    found = resampled(rows, SNIPW().contribute(rows), resamples=2000, seed=1)
    assert found.size / 2000 == pytest.approx(19 / 27, abs=4.0 * math.sqrt(19 * 8 / 27**2 / 2000))
    assert set(found) == {0.5}


@pytest.mark.parametrize("interval", [Bootstrap(), AcceleratedBootstrap()], ids=["plain", "BCa"])
def test_groups_are_drawn_whole(interval: Interval) -> None:
    """Five copies of each row under one name leave the bounds as they were, to the noise of the draws."""
    rows = some(300)
    copies = attrs.evolve(taken(rows, np.repeat(np.arange(300), 5)), groups=np.repeat(np.arange(300), 5))
    one, five = bounds(interval, rows, SNIPW()), bounds(interval, copies, SNIPW())
    # A quantile of 10,000 draws near 2.5 % has a standard deviation of a hundredth of the width.
    assert five == pytest.approx(one, abs=0.04 * (one[1] - one[0]))


@pytest.mark.parametrize("interval", [Bootstrap(), AcceleratedBootstrap()], ids=["plain", "BCa"])
def test_overflow_ends_without_an_exception(interval: Interval) -> None:
    """Where no resample has a value there are no bounds, and it is for the diagnostics to say so."""
    rows = Rows(np.full(50, 1e200), np.full(50, 1e200))
    with np.errstate(over="ignore", invalid="ignore"):
        assert np.isnan(bounds(interval, rows, IPW())).all()


@pytest.mark.parametrize("kind", [Bootstrap, AcceleratedBootstrap])
def test_too_few_resamples_are_refused(kind: type[Bootstrap | AcceleratedBootstrap]) -> None:
    """A quantile of ten draws is none."""
    with pytest.raises(EvaluationError, match="resamples is 10, expected 100 or more"):
        kind(resamples=10)


def test_it_goes_into_an_estimate() -> None:
    """The front door takes it as any interval."""
    rows = some(400)
    logged = Logged(np.zeros(400, dtype=int), rows.reward, probability=np.full(400, 0.5))
    found = estimate(logged, np.full(400, 0.5), estimator=IPW(), interval=Bootstrap(resamples=500))
    assert found.low < found.value < found.high
    assert found.method == "IPW, bootstrap interval"
