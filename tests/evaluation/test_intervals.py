"""How often intervals hold, how wide they are, and what they refuse.

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

from agentic._statistics import student_t
from agentic.errors import EvaluationError
from agentic.evaluation import (
    DR,
    IPW,
    SNDR,
    SNIPW,
    CressieRead,
    Estimate,
    Estimator,
    Interval,
    Logged,
    Normal,
    Rows,
    alike_bounds,
    estimate,
    standard_error,
)

LEVEL = 0.95
CLICK = (0.0, 1.0)


@attrs.frozen
class Scenario:
    """One action out of ten is the target's; the log explores it with a known floor."""

    rate: float
    floor: float
    n: int

    @property
    def cap(self) -> float:
        return 1.0 / self.floor

    def log(self, dice: np.random.Generator) -> tuple[Logged, npt.NDArray[np.float64]]:
        action = (dice.random(self.n) < self.floor).astype(np.int64)
        probability = np.where(action == 1, self.floor, 1.0 - self.floor)
        reward = (dice.random(self.n) < self.rate).astype(np.float64)
        return Logged(action, reward, probability=probability), action.astype(np.float64)


# As in the reference: one target action logged with 5 %, at three rates, two lengths.
EPSILON = Scenario(rate=0.12, floor=0.05, n=2000)
RARE_SHORT = Scenario(rate=0.015, floor=0.1, n=200)
RARE = Scenario(rate=0.015, floor=0.1, n=2000)
OFFSET = Scenario(rate=0.885, floor=0.1, n=2000)


def simulate(
    scenario: Scenario, estimator: Estimator, interval: Interval, *, samples: int = 400
) -> tuple[float, float]:
    """Return the share of samples whose interval holds the truth, and the mean width."""
    dice = np.random.default_rng(20240607)
    held, width = 0, 0.0
    for _ in range(samples):
        logged, target = scenario.log(dice)
        rows = Rows(target / logged.probability, logged.reward)
        found = estimator.contribute(rows)
        error = standard_error(found.influence, degrees=found.degrees)
        low, high = interval.bounds(rows, found, standard_error=error, level=LEVEL, reward_range=CLICK)
        held += low <= scenario.rate <= high
        width += high - low
    return held / samples, width / samples


def floor(coverage: float, samples: int = 400) -> float:
    return coverage - 4.0 * math.sqrt(coverage * (1.0 - coverage) / samples)


@pytest.mark.parametrize("scenario", [EPSILON, RARE_SHORT, RARE, OFFSET], ids=str)
def test_cressie_read_holds_at_every_rate(scenario: Scenario) -> None:
    """With the true largest weight it covers at least its level, rare rewards or not."""
    coverage, _ = simulate(scenario, SNIPW(), CressieRead(weight_cap=scenario.cap))
    assert coverage >= floor(LEVEL)


def test_cressie_read_costs_little_width_where_the_delta_method_holds() -> None:
    """At rewards near 1 it is at most 1.2 times as wide (the reference implementation: 1.06 to 1.18)."""
    _, delta = simulate(OFFSET, SNIPW(), Normal())
    _, likelihood = simulate(OFFSET, SNIPW(), CressieRead(weight_cap=OFFSET.cap))
    assert likelihood < 1.2 * delta


def test_the_delta_method_holds_where_many_rows_carry_the_spread() -> None:
    """SNIPW covers at its level at rewards near 1, at less than half the width of IPW."""
    coverage, width = simulate(OFFSET, SNIPW(), Normal())
    _, plain = simulate(OFFSET, IPW(), Normal())
    # 23 of the 200 target rows have no reward: a skewed binomial, covered 93 % by its normal interval.
    assert coverage >= floor(0.93)
    assert width < 0.5 * plain


def test_the_normal_interval_fails_at_rare_rewards() -> None:
    """Three expected clicks are too few, as the diagnostics say in most such samples."""
    coverage, _ = simulate(RARE, IPW(), Normal())
    assert coverage < floor(LEVEL)
    dice = np.random.default_rng(1)
    verdicts = [
        estimate(*RARE.log(dice), estimator=IPW(), reward_range=CLICK).diagnostics.verdict for _ in range(50)
    ]
    assert "ok" not in verdicts


def test_dr_holds_at_its_level() -> None:
    """With an honest model and ample support the normal interval of DR and SNDR covers."""
    dice = np.random.default_rng(3)
    rate = np.array([0.3, 0.6])
    held = {"DR": 0, "SNDR": 0}
    for _ in range(300):
        action = dice.integers(0, 2, 500)
        logged = Logged(
            action, (dice.random(500) < rate[action]).astype(float), probability=np.full(500, 0.5)
        )
        target, q = (np.broadcast_to(np.array(row), (500, 2)) for row in ([0.2, 0.8], [0.4, 0.5]))
        for estimator in (DR(), SNDR()):
            found = estimate(logged, target, estimator=estimator, q=q)
            held[estimator.name] += found.low <= 0.54 <= found.high
    assert min(held.values()) / 300 >= floor(LEVEL, 300)


def grouped(dice: np.random.Generator, *, named: bool) -> Estimate:
    """Fifty subjects with twenty identical rows each: fifty observations, not a thousand."""
    reward = np.repeat((dice.random(50) < 0.5).astype(float), 20)
    subjects = np.repeat([f"s{number}" for number in range(50)], 20) if named else None
    logged = Logged(np.zeros(1000, dtype=int), reward, probability=np.ones(1000), groups=subjects)
    return estimate(logged, np.ones(1000), estimator=IPW())


def test_rows_of_one_subject_count_as_one() -> None:
    """With groups the interval covers; without, identical rows make it far too narrow."""
    coverage = {}
    for named in (True, False):
        dice = np.random.default_rng(4)
        found = [grouped(dice, named=named) for _ in range(300)]
        coverage[named] = sum(one.low <= 0.5 <= one.high for one in found) / 300
    # The normal interval of 50 fair coins covers 93.5 %.
    assert coverage[True] >= floor(0.935, 300)
    assert coverage[False] < 0.5


def test_groups_of_one_row_are_independent_rows() -> None:
    """The standard error between singletons is that of the mean."""
    influence = np.array([0.5, -1.0, 0.25, 0.25])
    alone = standard_error(influence, degrees=3, groups=np.arange(4))
    assert alone == pytest.approx(standard_error(influence, degrees=3))
    assert alone == pytest.approx(influence.std(ddof=1) / 2.0)


def test_a_single_row_or_group_has_no_measurable_spread() -> None:
    """The standard error is infinite rather than 0 or NaN."""
    assert standard_error(np.zeros(1), degrees=0) == math.inf
    assert standard_error(np.array([1.0, -1.0]), degrees=1, groups=np.zeros(2, dtype=np.int64)) == math.inf


@pytest.mark.parametrize("level", [0.5, 0.9, 0.95, 0.999])
@pytest.mark.parametrize("degrees", [1, 2, 3, 10, 51, 199, 200, 1000, 1_000_000])
def test_student_quantiles_are_those_of_scipy(level: float, degrees: int) -> None:
    """Both the finite sums and the series agree to ten digits."""
    expected = float(stats.t.isf((1.0 - level) / 2.0, degrees))
    assert student_t(level, degrees) == pytest.approx(expected, rel=1e-10)


def test_all_zero_rewards_give_a_bound_of_the_rule_of_three() -> None:
    """Without a click in 1000 on-policy rows the rate may be 3.69 in 1000, not 0."""
    logged = Logged(np.zeros(1000, dtype=int), np.zeros(1000), probability=np.ones(1000))
    found = estimate(logged, np.ones(1000), estimator=IPW(), reward_range=CLICK, interval=Normal())
    assert (found.value, found.low) == (0.0, 0.0)
    assert found.high == pytest.approx(1.0 - 0.025 ** (1 / 1000), rel=1e-12)
    assert found.diagnostics.verdict == "weak"


def test_the_bound_for_equal_rewards_holds() -> None:
    """Where no click is seen, the bound misses as rarely as it says: it is exact for the worst case."""
    scenario = Scenario(rate=0.03, floor=0.1, n=200)
    low, high = alike_bounds(0.0, n=scenario.n, weight_cap=scenario.cap, level=LEVEL, reward_range=CLICK)
    assert low == 0.0
    # The chance that no target row clicks, at the very rate the bound allows, is half of 1 - level.
    assert (1.0 - scenario.floor * high) ** scenario.n == pytest.approx(0.025)
    assert alike_bounds(1.0, n=200, weight_cap=10.0, level=LEVEL, reward_range=CLICK) == pytest.approx(
        (1.0 - high, 1.0)
    )


def test_cressie_read_leans_on_the_bound_when_weights_and_rewards_are_equal() -> None:
    """Its own bounds collapse to a point there; the estimate's do not."""
    logged = Logged(np.zeros(100, dtype=int), np.zeros(100), probability=np.ones(100))
    rows = Rows(np.ones(100), np.zeros(100))
    own = CressieRead().bounds(
        rows, IPW().contribute(rows), standard_error=0.0, level=LEVEL, reward_range=CLICK
    )
    assert own == pytest.approx((0.0, 0.0), abs=1e-12)
    found = estimate(logged, np.ones(100), estimator=IPW(), interval=CressieRead(), reward_range=CLICK)
    assert found.high == pytest.approx(1.0 - 0.025 ** (1 / 100))


def test_weights_that_all_sit_at_the_floor_or_cap_leave_the_range() -> None:
    """When no row has the mean weight near one, the unseen row decides."""
    rows = Rows(np.zeros(5), np.zeros(5))
    contributions = IPW().contribute(rows)
    contributions = attrs.evolve(contributions, weight=rows.weight)
    low, high = CressieRead(weight_cap=2.0).bounds(
        rows, contributions, standard_error=0.0, level=LEVEL, reward_range=CLICK
    )
    assert (low, high) == (0.0, 1.0)


def test_a_wider_reward_range_never_narrows_the_interval() -> None:
    """What might have been drawn can only add to the doubt."""
    logged, target = EPSILON.log(np.random.default_rng(5))
    narrow, wide = (
        estimate(logged, target, estimator=SNIPW(), interval=CressieRead(weight_cap=20.0), reward_range=ends)
        for ends in (CLICK, (-1.0, 2.0))
    )
    assert wide.low <= narrow.low < narrow.high <= wide.high


def test_a_higher_level_widens_every_interval() -> None:
    """0.99 contains 0.9."""
    logged, target = EPSILON.log(np.random.default_rng(6))
    for interval in (Normal(), CressieRead(weight_cap=20.0)):
        inner, outer = (
            estimate(logged, target, estimator=SNIPW(), interval=interval, level=level, reward_range=CLICK)
            for level in (0.9, 0.99)
        )
        assert outer.low < inner.low < inner.high < outer.high


def test_bounds_are_cut_to_the_reward_range() -> None:
    """A normal interval that reaches below 0 clicks is cut at 0."""
    dice = np.random.default_rng(8)
    reward = (dice.random(2000) < 0.001).astype(float)
    logged, target = Logged(np.zeros(2000, dtype=int), reward, probability=np.ones(2000)), np.ones(2000)
    free = estimate(logged, target, estimator=IPW())
    cut = estimate(logged, target, estimator=IPW(), reward_range=CLICK, interval=Normal())
    assert free.low < 0.0 == cut.low
    assert free.high == cut.high


def test_an_interval_outside_the_range_is_no_interval() -> None:
    """Bounds that lie beyond every possible reward show that the weights are wrong."""
    dice = np.random.default_rng(9)
    reward = (dice.random(400) < 0.95).astype(float)
    logged = Logged(np.zeros(400, dtype=int), reward, probability=np.full(400, 0.92))
    found = estimate(logged, np.ones(400), estimator=IPW(), reward_range=CLICK, level=0.5, interval=Normal())
    assert found.value > 1.0
    assert (found.low, found.high, found.diagnostics.verdict) == (0.0, 1.0, "insufficient support")
    assert "outside reward_range" in found.diagnostics.reasons[0]


@pytest.mark.parametrize(
    ("estimator", "interval", "reward_range", "message"),
    [
        (IPW(), CressieRead(), None, "reward_range is None"),
        (IPW(clip=3.0), CressieRead(), CLICK, r"expected the estimator IPW\(\) or SNIPW\(\)"),
        (
            IPW(),
            CressieRead(weight_cap=19.0),
            CLICK,
            "weight at row .*, expected at most",
        ),
        (IPW(), CressieRead(weight_floor=0.5), CLICK, "weight at row .* is 0.0, expected at least"),
    ],
    ids=["range", "clip", "cap", "floor"],
)
def test_cressie_read_refuses_what_it_cannot_bound(
    estimator: Estimator, interval: Interval, reward_range: tuple[float, float] | None, message: str
) -> None:
    """A missing range, altered weights, or a weight beyond the given ends is an error."""
    logged, target = EPSILON.log(np.random.default_rng(10))
    with pytest.raises(EvaluationError, match=message):
        estimate(logged, target, estimator=estimator, interval=interval, reward_range=reward_range)


def test_cressie_read_refuses_groups_and_models() -> None:
    """It takes rows as independent, which groups of one row are, and rewards as they are."""
    logged, target = EPSILON.log(np.random.default_rng(11))
    together = attrs.evolve(logged, groups=np.arange(logged.n) // 2)
    both = np.stack([1.0 - target, target], axis=1)
    with pytest.raises(EvaluationError, match="expected no groups"):
        estimate(together, target, estimator=IPW(), interval=CressieRead(), reward_range=CLICK)
    alone = attrs.evolve(logged, groups=np.arange(logged.n)[::-1])
    own, free = (
        estimate(one, target, estimator=IPW(), interval=CressieRead(), reward_range=CLICK)
        for one in (alone, logged)
    )
    assert (own.low, own.high) == (free.low, free.high)
    with pytest.raises(EvaluationError, match="predicts"):
        estimate(logged, both, q=both, interval=CressieRead(), reward_range=CLICK)


@pytest.mark.parametrize("ends", [{"weight_cap": 1.0}, {"weight_cap": math.nan}, {"weight_floor": 1.0}])
def test_the_ends_of_the_weights_must_hold_one_between_them(ends: dict[str, float]) -> None:
    """A mean weight of one must be possible."""
    with pytest.raises(EvaluationError, match="weight_"):
        CressieRead(**ends)


def test_both_intervals_follow_the_protocol() -> None:
    """What ships is what a stranger may write."""
    assert all(isinstance(one, Interval) for one in (Normal(), CressieRead()))


def test_the_usual_interval_holds_at_rare_rewards_where_the_range_is_known() -> None:
    """Empirical likelihood with a range, normal without; what was asked for is used."""
    logged = Logged(np.zeros(100, dtype=int), np.zeros(100), probability=np.ones(100))
    target = np.ones(100)
    assert "empirical likelihood" in estimate(logged, target, estimator=IPW(), reward_range=CLICK).method
    assert "empirical" not in estimate(logged, target, estimator=IPW()).method
    asked = estimate(logged, target, estimator=IPW(), reward_range=CLICK, interval=Normal())
    assert "normal" in asked.method
