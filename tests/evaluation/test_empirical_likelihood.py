"""Does the interval to leave as it is hold where users live, and at what width.

Coverage is simulated with fixed seeds. With m samples the share that holds has standard deviation
sqrt(c (1 - c) / m) at true coverage c, so a floor of c less four of these fails a right
implementation once in 30,000 seeds.
"""

import functools
import math

import attrs
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from agentic._offpolicy._empirical_likelihood import _Weighted
from agentic.errors import EvaluationError
from agentic.evaluation import (
    DM,
    DR,
    IPW,
    SNDR,
    SNIPW,
    CountsUnseen,
    CressieRead,
    DRos,
    EmpiricalLikelihood,
    Estimator,
    Interval,
    Logged,
    Normal,
    Rows,
    SwitchDR,
    estimate,
    overlap,
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


@functools.cache
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


def grouped(dice: np.random.Generator) -> Rows:
    """Return rows of 150 subjects with about eight each and a click rate of their own, 5 % on average."""
    size = 1 + dice.geometric(1.0 / 7.0, 150)
    groups = np.repeat(np.arange(150), size)
    rate = dice.beta(0.05, 0.95, 150)[groups]
    drawn = dice.random(groups.size) < 0.25
    reward = (dice.random(groups.size) < rate).astype(np.float64)
    return Rows(drawn * 4.0, reward, groups=groups, weight_cap=4.0)


def test_rows_of_one_subject_depend_on_each_other() -> None:
    """By groups it covers rare clicks of some subjects only; without, it takes them for many."""
    dice = np.random.default_rng(3)
    held = {True: 0, False: 0}
    for _ in range(300):
        rows = grouped(dice)
        for together in held:
            low, high = bounds(rows if together else attrs.evolve(rows, groups=None))
            held[together] += low <= 0.05 <= high
    assert held[True] / 300 >= floor(LEVEL, 300)
    assert held[False] / 300 < 0.9


def test_every_estimator_covers_at_rare_rewards() -> None:
    """With predictions that are off by half or without, two clicks in a hundred are covered."""
    dice = np.random.default_rng(4)
    held = dict.fromkeys((SNIPW(), DR(), SNDR()), 0)
    for _ in range(300):
        action = dice.integers(0, 4, 600)
        rate = np.array([0.01, 0.02, 0.03, 0.04])
        reward = (dice.random(600) < rate[action]).astype(np.float64)
        logged = Logged(action, reward, probability=np.full(600, 0.25))
        target, q = np.broadcast_to([0.5, 0.0, 0.5, 0.0], (600, 4)), np.broadcast_to(rate * 1.5, (600, 4))
        rows = overlap(logged, target, q=q)
        assert rows.weight_cap == 2.0
        for estimator in held:
            low, high = bounds(rows, estimator)
            held[estimator] += low <= 0.02 <= high
    assert min(held.values()) / 300 >= floor(LEVEL, 300)


def test_plain_weighting_is_bounded_as_the_self_normalised_one() -> None:
    """That the mean weight is one is known whichever is asked for."""
    rows = CTR.log(np.random.default_rng(12))
    assert bounds(rows, IPW()) == bounds(rows, SNIPW())


def test_predictions_alone_leave_no_reward_unseen() -> None:
    """The direct method is bounded by how contexts vary."""
    dice = np.random.default_rng(5)
    modelled = dice.random(400)
    rows = Rows(np.ones(400), np.zeros(400), modelled, modelled, weight_cap=50.0)
    ours, normal = bounds(rows, DM()), bounds(rows, DM(), Normal())
    assert ours == pytest.approx(normal, abs=0.03 * (normal[1] - normal[0]))


@pytest.mark.parametrize("estimator", [IPW(clip=3.0), SwitchDR(3.0), DRos(5.0)], ids=lambda one: one.name)
def test_altered_weights_are_bounded_by_what_they_were_altered_to(estimator: Estimator) -> None:
    """A clipped estimate is not widened by the weight that it does not use."""
    dice = np.random.default_rng(6)
    weight = dice.lognormal(0.0, 1.0, 800)
    rows = Rows(weight, (dice.random(800) < 0.2).astype(float), np.full(800, 0.2), np.full(800, 0.2))
    assert bounds(attrs.evolve(rows, weight_cap=1e6), estimator) == bounds(rows, estimator)


def test_the_cap_comes_from_the_log() -> None:
    """It is the target's highest probability over the lowest logged one, or 1 over that."""
    logged = Logged([0, 1, 0], [0.0, 1.0, 0.0], probability=[0.5, 0.1, 0.9])
    whole = overlap(logged, [[0.2, 0.8], [0.3, 0.7], [0.4, 0.6]])
    assert whole.weight_cap == pytest.approx(8.0)
    assert overlap(logged, [0.2, 0.7, 0.4]).weight_cap == pytest.approx(10.0)
    assert bounds(whole) == pytest.approx(bounds(whole, interval=EmpiricalLikelihood(weight_cap=8.0)))
    wider = bounds(whole, interval=EmpiricalLikelihood(weight_cap=80.0))
    assert wider[1] > bounds(whole)[1]


def test_a_cap_below_the_weights_seen_is_no_cap() -> None:
    """The largest weight seen could occur, whatever was said."""
    rows = Rows(np.array([0.0, 3.0, 0.0]), np.array([0.0, 1.0, 0.0]))
    assert bounds(rows, interval=EmpiricalLikelihood(weight_cap=2.0)) == bounds(rows)


@pytest.mark.parametrize("cap", [1.0, 0.5, math.nan, math.inf])
def test_a_cap_must_leave_room_for_a_mean_weight_of_one(cap: float) -> None:
    """Without any bound on the weights nothing can be said of what was not drawn."""
    with pytest.raises(EvaluationError, match="weight_cap"):
        EmpiricalLikelihood(weight_cap=cap)


def test_without_a_range_it_knows_the_rewards_that_it_saw() -> None:
    """The ends are those seen, and bounds may lie beyond them."""
    dice = np.random.default_rng(7)
    rows = Rows(dice.exponential(1.0, 300), dice.normal(5.0, 1.0, 300))
    ends = float(rows.reward.min()), float(rows.reward.max())
    assert bounds(rows, reward_range=None) == bounds(rows, reward_range=ends)
    nothing = Rows(np.ones(10), np.zeros(10))
    assert bounds(nothing, reward_range=None) == (0.0, 0.0)


def test_bounds_beyond_the_range_are_told_as_they_are() -> None:
    """An estimate whose interval lies outside of all rewards has wrong weights, and says so."""
    rows = Rows(np.full(500, 2.0), np.linspace(0.9, 1.0, 500))
    low, high = bounds(rows, IPW(clip=2.0))
    assert 1.0 < low < high
    logged = Logged(np.zeros(500, dtype=int), rows.reward, probability=np.full(500, 0.5))
    found = estimate(
        logged, np.ones(500), estimator=IPW(clip=2.0), interval=EmpiricalLikelihood(), reward_range=CLICK
    )
    assert found.diagnostics.verdict == "insufficient support"
    assert (found.low, found.high) == CLICK


def test_without_any_weight_everything_is_possible() -> None:
    """Five rows that the target would never have shown rule nothing out."""
    rows = Rows(np.zeros(5), np.zeros(5), weight_cap=4.0)
    assert bounds(rows) == (0.0, 1.0)


def test_equal_rewards_need_no_other_bound() -> None:
    """Of a thousand rows without a click the estimate has its bound, which is 3.0 in a thousand."""
    interval = EmpiricalLikelihood()
    assert isinstance(interval, CountsUnseen)
    assert isinstance(interval, Interval)
    logged = Logged(np.zeros(1000, dtype=int), np.zeros(1000), probability=np.ones(1000))
    found = estimate(logged, np.ones(1000), estimator=IPW(), interval=interval, reward_range=CLICK)
    assert found.low == 0.0
    assert found.high == pytest.approx(1.0 - 0.05 ** (1 / 1000), rel=0.01)
    assert found.method == "IPW, empirical likelihood interval"


@given(
    rewards=st.lists(st.floats(0.0, 1.0), min_size=2, max_size=30),
    weights=st.lists(st.floats(0.0, 50.0), min_size=30, max_size=30),
    level=st.floats(0.01, 0.999),
)
def test_bounds_are_ordered_and_within_the_range(
    rewards: list[float], weights: list[float], level: float
) -> None:
    """Whatever the rows, the lower bound is at most the upper, both rewards; more level is no narrower."""
    rows = Rows(np.array(weights[: len(rewards)]), np.array(rewards), weight_cap=60.0)
    low, high = bounds(rows, level=level)
    assert 0.0 <= low <= high <= 1.0
    least, most = bounds(rows, level=(1.0 + level) / 2.0)
    assert least <= low + 1e-7
    assert high <= most + 1e-7


@given(scale=st.floats(1e-6, 1e6), shift=st.floats(-10.0, 10.0))
def test_bounds_move_with_the_unit_of_the_reward(scale: float, shift: float) -> None:
    """Another currency or another zero changes the bounds as it changes the rewards."""
    dice = np.random.default_rng(8)
    rows = Rows(dice.exponential(1.0, 200), (dice.random(200) < 0.1).astype(float), weight_cap=30.0)
    other = attrs.evolve(rows, reward=rows.reward * scale + shift * scale)
    moved = bounds(other, reward_range=(shift * scale, (1.0 + shift) * scale))
    assert np.array(moved) / scale - shift == pytest.approx(np.array(bounds(rows)), abs=1e-7)


def test_a_mirrored_reward_mirrors_the_bounds() -> None:
    """Misses in place of clicks give the same interval, upside down."""
    dice = np.random.default_rng(9)
    rows = Rows(dice.exponential(1.0, 300), (dice.random(300) < 0.03).astype(float), weight_cap=30.0)
    low, high = bounds(rows)
    assert bounds(attrs.evolve(rows, reward=1.0 - rows.reward)) == pytest.approx((1.0 - high, 1.0 - low))


def test_a_cap_that_is_given_is_one_of_the_whole_log() -> None:
    """Rows that stand for ten weigh ten times what they could."""
    logged = Logged(
        np.zeros(40, dtype=int), np.zeros(40), probability=np.full(40, 0.5), kept=np.full(40, 0.1)
    )
    alike = overlap(logged, np.full(40, 0.5))
    assert bounds(alike, interval=EmpiricalLikelihood(weight_cap=2.0)) == pytest.approx(bounds(alike))
    uneven = attrs.evolve(alike, stands=np.where(np.arange(40) < 20, 1.0, 10.0), weight_cap=None)
    _, high = bounds(uneven, interval=EmpiricalLikelihood(weight_cap=2.0))
    _, same = bounds(attrs.evolve(uneven, weight_cap=20.0 / 5.5))
    assert high == pytest.approx(same)


@pytest.mark.parametrize("n", [50, 5000])
@pytest.mark.parametrize("estimator", [IPW(), SNIPW(), DR(), IPW(clip=1e190)], ids=lambda one: one.name)
def test_overflow_leaves_everything_possible(estimator: Estimator, n: int) -> None:
    """Rewards and weights whose product no double holds rule nothing out."""
    rows = Rows(np.full(n, 1e200), np.linspace(-1e300, 1e300, n), np.zeros(n), np.zeros(n))
    with np.errstate(over="ignore", invalid="ignore"):
        assert bounds(rows, estimator, reward_range=(-1e300, 1e300)) == (-1e300, 1e300)
        assert bounds(rows, estimator, reward_range=None) == (-math.inf, math.inf)


def test_the_tail_of_a_weighted_mean_is_that_of_a_beta_variable() -> None:
    """Of zeros and ones under exponential weights, to a few thousandths, and smooth through its middle."""
    mean = _Weighted(np.array([0.0, 1.0]), np.array([30.0, 10.0]))
    for x in (0.1, 0.2, 0.25, 0.3, 0.4, 0.5):
        assert mean.above(x) == pytest.approx(stats.beta.sf(x, 10, 30), rel=3e-3)
    around = [mean.above(0.25 + step) for step in (-1e-5, -1e-7, 0.0, 1e-7, 1e-5)]
    assert around[2] == pytest.approx((around[1] + around[3]) / 2.0, abs=1e-9)
    assert around[2] == pytest.approx((around[0] + around[4]) / 2.0, abs=1e-7)
    assert _Weighted(np.array([-1.0, 1.0]), np.array([5.0, 5.0])).above(0.0) == pytest.approx(0.5)


def test_a_sampled_log_covers_as_the_whole_one_would() -> None:
    """Of a log with all clicks and a tenth of the rest kept, the rate is covered, twice as wide at most."""
    dice = np.random.default_rng(10)
    held, widths = 0, np.zeros(2)
    for _ in range(200):
        reward = (dice.random(3000) < 0.02).astype(np.float64)
        action = dice.integers(0, 2, 3000)
        chance = np.where(reward > 0.0, 1.0, 0.1)
        kept = dice.random(3000) < chance
        whole = Logged(action, reward, probability=np.full(3000, 0.5))
        part = Logged(action[kept], reward[kept], probability=np.full(kept.sum(), 0.5), kept=chance[kept])
        for which, logged in enumerate((whole, part)):
            rows = overlap(logged, np.broadcast_to([0.0, 1.0], (logged.n, 2)))
            low, high = bounds(rows)
            widths[which] += high - low
        held += low <= 0.02 <= high
    assert held / 200 >= floor(LEVEL, 200)
    # A click that was never seen might have been of those of which a tenth was kept.
    assert widths[0] < widths[1] < 2.0 * widths[0]
