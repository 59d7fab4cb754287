"""Does the interval to leave as it is hold where users live, and at what width.

Coverage is simulated with fixed seeds. With m samples the share that holds has standard deviation
sqrt(c (1 - c) / m) at true coverage c, so a floor of c less four of these fails a right
implementation once in 30,000 seeds.
"""

import math

import attrs
import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from agentic.evaluation import (
    SNIPW,
    CressieRead,
    EmpiricalLikelihood,
    Estimator,
    Interval,
    Normal,
    Rows,
)

LEVEL = 0.95
CLICK = (0.0, 1.0)
Floats = npt.NDArray[np.float64]


def bounds(
    rows: Rows,
    estimator: Estimator | None = None,
    interval: Interval | None = None,
    *,
    level: float = LEVEL,
    reward_range: tuple[float, float] | None = CLICK,
) -> tuple[float, float]:
    found = (estimator or SNIPW()).contribute(rows)
    error = math.sqrt(float(found.influence @ found.influence)) / found.influence.size
    return (interval or EmpiricalLikelihood()).bounds(
        rows, found, standard_error=error, level=level, reward_range=reward_range
    )


@attrs.frozen
class Scenario:
    """Of k actions the one liked best is taken with 1 - (k - 1) floor, every other with the floor.

    The target takes an action that has nothing to do with it, and its reward comes at `rate`.
    """

    rate: float
    k: int
    floor: float
    n: int

    def log(self, dice: np.random.Generator) -> Rows:
        liked, wanted = dice.integers(0, self.k, (2, self.n))
        explored = dice.random(self.n) < self.k * self.floor
        action = np.where(explored, dice.integers(0, self.k, self.n), liked)
        probability = np.where(action == liked, 1.0 - (self.k - 1) * self.floor, self.floor)
        reward = (dice.random(self.n) < self.rate).astype(np.float64)
        return Rows((action == wanted) / probability, reward, weight_cap=1.0 / self.floor)


EPSILON = Scenario(rate=0.12, k=4, floor=0.05, n=2000)
CTR = Scenario(rate=0.015, k=10, floor=0.1, n=2000)
OFFSET = Scenario(rate=0.885, k=5, floor=0.2, n=2000)
RARER = Scenario(rate=0.005, k=3, floor=0.1, n=3000)
CLICKS = Scenario(rate=0.05, k=2, floor=0.05, n=500)
SCENARIOS = [
    attrs.evolve(EPSILON, n=200),
    EPSILON,
    attrs.evolve(CTR, n=200),
    CTR,
    attrs.evolve(OFFSET, n=200),
    OFFSET,
    RARER,
    CLICKS,
]


def floor(coverage: float, samples: int) -> float:
    return coverage - 4.0 * math.sqrt(coverage * (1.0 - coverage) / samples)


def simulate(scenario: Scenario, interval: Interval, *, samples: int = 300) -> tuple[float, float]:
    """Return the share of samples whose interval holds the truth, and the mean width."""
    dice = np.random.default_rng(20261123)
    found = np.array([bounds(scenario.log(dice), interval=interval) for _ in range(samples)])
    held = (found[:, 0] <= scenario.rate) & (scenario.rate <= found[:, 1])
    return float(held.mean()), float((found[:, 1] - found[:, 0]).mean())


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_it_holds_where_users_live(scenario: Scenario) -> None:
    """At rates of 0.5 % to 12 % and near the ceiling, with weights up to 20, it covers at its level."""
    coverage, _ = simulate(scenario, EmpiricalLikelihood())
    assert coverage >= floor(LEVEL, 300)


@pytest.mark.parametrize("scenario", SCENARIOS[:6], ids=str)
def test_it_is_hardly_wider_than_the_best_that_holds(scenario: Scenario) -> None:
    """Its mean width is within 5 % of the narrower of delta method and Cressie-Read, of those that cover."""
    _, width = simulate(scenario, EmpiricalLikelihood())
    peers = [simulate(scenario, peer) for peer in (Normal(), CressieRead(weight_cap=1.0 / scenario.floor))]
    best = min(wide for coverage, wide in peers if coverage >= floor(LEVEL, 300))
    assert width <= 1.05 * best


@pytest.mark.parametrize("clicks", [0, 1, 2, 7, 40, 79, 80])
@pytest.mark.parametrize("level", [0.5, 0.95, 0.999])
def test_of_equal_weights_it_is_the_mid_p_interval(clicks: int, level: float) -> None:
    """Where no row is weighted, the chances of both bounds are the mid-P values of the binomial."""
    n = 80
    rows = Rows(np.ones(n), (np.arange(n) < clicks).astype(float), weight_cap=1.0)
    low, high = bounds(rows, level=level)
    tail = (1.0 - level) / 2.0
    if clicks > 0:
        chance = stats.binom.sf(clicks, n, low) + stats.binom.pmf(clicks, n, low) / 2.0
        assert chance == pytest.approx(tail, rel=0.05)  # the saddlepoint's error at so small a count
    else:
        assert low == 0.0
    if clicks < n:
        chance = stats.binom.cdf(clicks, n, high) - stats.binom.pmf(clicks, n, high) / 2.0
        assert chance == pytest.approx(tail, rel=0.05)
    else:
        assert high == 1.0


def test_of_many_rows_it_is_the_normal_interval() -> None:
    """With a hundred thousand rows the delta method gives the same bounds to a hundredth of their width."""
    dice = np.random.default_rng(1)
    rows = Rows(dice.exponential(1.0, 100_000), dice.random(100_000))
    ours, normal = np.array(bounds(rows)), np.array(bounds(rows, interval=Normal()))
    assert np.abs(ours - normal).max() < 0.01 * (normal[1] - normal[0])


def test_cells_change_nothing_that_counts() -> None:
    """Twenty thousand distinct observations gathered into cells give the bounds of all of them."""
    dice = np.random.default_rng(2)
    weight = dice.exponential(1.0, 2000)
    some = Rows(weight, dice.random(2000))
    often = Rows(np.repeat(weight, 10), np.repeat(some.reward, 10))
    groups = np.repeat(np.arange(2000), 10)
    alone, together = bounds(some), bounds(attrs.evolve(often, groups=groups))
    assert alone == pytest.approx(together, abs=1e-9)
    jittered = attrs.evolve(often, reward=often.reward + dice.random(20_000) * 1e-9)
    assert bounds(jittered, reward_range=(0.0, 1.1)) == pytest.approx(
        bounds(often, reward_range=(0.0, 1.1)), abs=1e-6
    )
