"""What the verdict says of logs that cannot answer the question."""

import math

import attrs
import numpy as np
import pytest

from agentic._offpolicy._diagnostics import _heaviest
from agentic.errors import EvaluationError
from agentic.evaluation import DM, IPW, SNDR, SNIPW, Estimate, Logged, Normal, estimate

CLICK = (0.0, 1.0)


def uniform(n: int, k: int, seed: int = 0, rate: float = 0.5) -> Logged:
    dice = np.random.default_rng(seed)
    reward = (dice.random(n) < rate).astype(float)
    return Logged(dice.integers(0, k, n), reward, probability=np.full(n, 1.0 / k))


def always(action: int, n: int, k: int) -> np.ndarray:
    return np.broadcast_to(np.eye(k)[action], (n, k))


def refuses(found: Estimate, reason: str) -> bool:
    assert found.diagnostics.verdict == "insufficient support"
    assert any(reason in one for one in found.diagnostics.reasons)
    return found.standard_error == math.inf


def test_a_good_log_is_ok() -> None:
    """With ample rows and even weights there is nothing to say."""
    found = estimate(uniform(5000, 4), always(1, 5000, 4), estimator=SNIPW()).diagnostics
    assert (found.verdict, found.reasons) == ("ok", ())
    assert found.n == 5000
    assert found.effective_share == pytest.approx(found.effective_rows / 5000)
    # A binomial share of 5000 rows: four standard deviations.
    assert abs(found.zero_weight_share - 0.75) < 4.0 * math.sqrt(0.75 * 0.25 / 5000)
    assert found.min_probability == 0.25
    assert found.largest_weight == 4.0
    assert found.top_weight_share == pytest.approx(50 * 4.0 / (5000 * found.mean_weight))
    assert abs(found.mean_weight_z) < 3.0


def test_no_overlap_is_unsupported() -> None:
    """When the log never did what the target does, IPW is 0, SNIPW NaN, and neither has bounds."""
    logged = attrs.evolve(uniform(100, 2), action=np.zeros(100, dtype=int))
    plain = estimate(logged, always(1, 100, 2), estimator=IPW())
    assert refuses(plain, "fewer than 10")
    assert refuses(plain, "100.0% of the target's probability lies on actions that no row took")
    assert (plain.value, plain.low, plain.high) == (0.0, -math.inf, math.inf)
    ranged = estimate(logged, always(1, 100, 2), estimator=SNIPW(), reward_range=CLICK)
    assert math.isnan(ranged.value)
    assert (ranged.low, ranged.high) == CLICK
    doubly = estimate(logged, always(1, 100, 2), estimator=SNDR(), q=np.full((100, 2), 0.5))
    assert math.isnan(doubly.value)
    assert doubly.method == "SNDR, no interval"


def test_one_tiny_probability_is_unsupported() -> None:
    """A single row of weight 20,000 among 10,000 leaves about one effective row."""
    probability = np.ones(10_000)
    probability[17] = 5e-5
    logged = Logged(np.zeros(10_000, dtype=int), uniform(10_000, 2).reward, probability=probability)
    weighed = estimate(logged, np.ones(10_000), estimator=IPW())
    assert refuses(weighed, "fewer than 10")
    assert weighed.diagnostics.mean_weight == pytest.approx(3.0, abs=0.01)
    assert weighed.diagnostics.largest_weight_share > 0.6
    assert any("one row holds" in reason for reason in weighed.diagnostics.reasons)
    assert any("1 % of the rows hold" in reason for reason in weighed.diagnostics.reasons)


@pytest.mark.parametrize(("factor", "cause"), [(0.5, "too low"), (2.0, "too high")])
def test_probabilities_wrong_by_two_are_noticed(factor: float, cause: str) -> None:
    """The mean weight says so, whatever the value looks like."""
    logged = uniform(2000, 4)
    wrong = Logged(logged.action, logged.reward, probability=logged.probability * factor)
    found = estimate(wrong, np.full((2000, 4), 0.25), estimator=SNIPW())
    assert refuses(found, cause)
    assert found.diagnostics.mean_weight == pytest.approx(1.0 / factor)
    assert abs(found.diagnostics.mean_weight_z) == math.inf


def test_a_slight_misfit_of_the_weights_is_weak() -> None:
    """Five percent off, with certainty, doubts the interval without denying it."""
    logged = uniform(2000, 4)
    wrong = Logged(logged.action, logged.reward, probability=logged.probability / 1.05)
    found = estimate(wrong, np.full((2000, 4), 0.25), estimator=SNIPW()).diagnostics
    assert found.verdict == "weak"
    assert found.reasons == ("the mean weight is 1.05 where 1 is expected (+inf standard errors)",)


@pytest.mark.parametrize(("mass", "verdict"), [(0.005, "ok"), (0.05, "weak"), (0.2, "insufficient support")])
def test_mass_on_actions_never_logged_is_counted(mass: float, verdict: str) -> None:
    """What the target would do and the log never did cannot be known."""
    logged = uniform(2000, 2)
    target = np.broadcast_to(np.array([0.5 - mass / 2, 0.5 - mass / 2, mass]), (2000, 3))
    found = estimate(logged, target, estimator=SNIPW()).diagnostics
    assert found.unseen_mass == pytest.approx(mass)
    reasons = [reason for reason in found.reasons if "actions" in reason and "%" in reason]
    assert bool(reasons) == (verdict != "ok")
    if verdict == "insufficient support":
        assert found.verdict == "insufficient support"


def test_few_effective_rows_are_weak() -> None:
    """Fifty rows that agree with the target are few."""
    found = estimate(uniform(100, 2), always(0, 100, 2), estimator=SNIPW()).diagnostics
    assert found.verdict == "weak"
    assert found.reasons[0].startswith("the 100 rows weigh as much as ")


def test_equal_rewards_without_a_range_have_no_bounds() -> None:
    """Nothing is known of a spread that was never seen."""
    logged = attrs.evolve(uniform(1000, 2), reward=np.zeros(1000))
    found = estimate(logged, always(0, 1000, 2), estimator=SNIPW())
    assert refuses(found, "pass reward_range")
    assert (found.low, found.high) == (-math.inf, math.inf)


def test_rewards_where_the_target_never_goes_are_no_spread() -> None:
    """Clicks on rows of weight 0 tell nothing: the bound for equal rewards applies."""
    logged = uniform(1000, 2)
    logged = attrs.evolve(logged, reward=(logged.action == 1).astype(float))
    found = estimate(logged, always(0, 1000, 2), estimator=IPW(), reward_range=CLICK, interval=Normal())
    assert found.diagnostics.alike
    assert (found.value, found.low) == (0.0, 0.0)
    assert found.high == pytest.approx(2.0 * (1.0 - 0.025 ** (1 / 1000)))


def test_a_perfect_model_does_not_make_certain() -> None:
    """DR with predictions that hit every reward has no spread, and a bound all the same."""
    logged = uniform(1000, 2)
    q = np.stack([logged.reward, logged.reward], axis=1)
    half = np.full((1000, 2), 0.5)
    constant = attrs.evolve(logged, reward=np.where(logged.action == 0, 0.25, 0.75))
    found = estimate(constant, half, q=np.full((1000, 2), [0.25, 0.75]), reward_range=CLICK)
    assert found.value == 0.5
    assert found.low < 0.5 < found.high
    assert found.diagnostics.alike
    assert not estimate(logged, half, q=q).diagnostics.alike


def test_subjects_with_equal_rewards_count_once() -> None:
    """The bound for equal rewards counts groups, not rows."""
    logged = attrs.evolve(uniform(1000, 2), reward=np.zeros(1000), groups=np.arange(1000) // 10)
    found = estimate(logged, np.full((1000, 2), 0.5), estimator=IPW(), reward_range=CLICK, interval=Normal())
    assert found.high == pytest.approx(1.0 - 0.025 ** (1 / 100))


def test_the_direct_method_is_never_better_than_weak() -> None:
    """Its interval leaves out what the model does not know."""
    q = np.random.default_rng(1).random((5000, 2))
    found = estimate(uniform(5000, 2), np.full((5000, 2), 0.5), estimator=DM(), q=q)
    assert found.diagnostics.verdict == "weak"
    assert found.diagnostics.altered_share == 1.0
    assert "model's error" in found.diagnostics.reasons[-1]


def test_rare_rewards_are_said_to_be_rare() -> None:
    """A handful of clicks carries the spread, and the reason names the interval that holds."""
    found = estimate(uniform(2000, 2, rate=0.004), np.full((2000, 2), 0.5), estimator=IPW()).diagnostics
    assert found.carrying_rows < 20.0
    assert any("EmpiricalLikelihood()" in reason for reason in found.reasons)


def test_the_interval_for_rare_rewards_is_advised_for_subjects_too() -> None:
    """It says whether rows or subjects carry the spread."""
    rare = uniform(2000, 2, rate=0.004)
    told = []
    for groups in (np.arange(2000), np.arange(2000) // 2):
        found = estimate(attrs.evolve(rare, groups=groups), np.full((2000, 2), 0.5), estimator=IPW())
        told += [reason for reason in found.diagnostics.reasons if "EmpiricalLikelihood()" in reason]
    assert ["subject" in reason for reason in told] == [False, True]


def test_carrying_rows_are_a_third_of_normal_data() -> None:
    """The kurtosis of a normal variable is three."""
    dice = np.random.default_rng(0)
    logged = Logged(np.zeros(30_000, dtype=int), dice.normal(size=30_000), probability=np.ones(30_000))
    found = estimate(logged, np.ones(30_000), estimator=IPW()).diagnostics
    # The kurtosis of n normal draws has standard error sqrt(24 / n): 2.8 % of 3, four times that.
    assert found.carrying_rows == pytest.approx(10_000, rel=4 * math.sqrt(24 / 30_000) / 3)


def test_one_group_is_unsupported() -> None:
    """All rows of one subject leave nothing to compare, and the mean weight no standard error."""
    logged = attrs.evolve(uniform(500, 2), groups=np.zeros(500, dtype=int))
    found = estimate(logged, np.full((500, 2), 0.5), estimator=IPW())
    assert found.standard_error == math.inf
    assert (found.low, found.high) == (-math.inf, math.inf)


SOUND = {"action": [0, 1, 1, 0], "reward": [0.0, 1.0, 0.0, 1.0], "probability": [0.5, 0.5, 0.25, 1.0]}


@pytest.mark.parametrize(
    ("field", "row", "value", "remedy"),
    [
        ("probability", 2, math.nan, "log the probability"),
        ("probability", 1, 1.7, "log the probability"),
        ("probability", 0, 0.0, "log the probability"),
        ("probability", 3, -0.5, "log the probability"),
        ("probability", 3, math.inf, "log the probability"),
        ("reward", 2, math.nan, "pending"),
        ("reward", 0, math.inf, "pending"),
        ("action", 1, -1, "number the actions from 0"),
    ],
)
def test_a_bad_row_is_named(field: str, row: int, value: float, remedy: str) -> None:
    """NaN, 0, more than 1 and pending rewards are errors that name row, field and value, not numbers."""
    columns = {name: list(values) for name, values in SOUND.items()}
    columns[field][row] = value
    with pytest.raises(EvaluationError, match=f"{field} at row {row} is .*{remedy}") as caught:
        Logged(columns["action"], columns["reward"], probability=columns["probability"])
    told = caught.value.facts
    assert (told["field"], told["row"]) == (field, row)
    assert told["value"] == value or math.isnan(value)


def test_a_tiny_probability_does_not_pass_for_an_estimate() -> None:
    """One of 1e-12 among sound rows makes a value of millions, which is not shown."""
    logged = uniform(10_000, 2)
    probability = logged.probability.copy()
    probability[7] = 1e-12
    wrong = Logged(logged.action, np.ones(10_000), probability=probability)
    found = estimate(wrong, np.full((10_000, 2), 0.5), estimator=IPW())
    assert found.value > 1e7
    assert refuses(found, "fewer than 10")
    assert str(found).startswith("insufficient support (IPW, no interval; 10,000 rows worth 1)")


def test_without_support_no_number_is_shown() -> None:
    """Text and repr say insufficient support where a number would look precise; programs still see it."""
    logged = attrs.evolve(uniform(100, 2), action=np.zeros(100, dtype=int))
    found = estimate(logged, always(1, 100, 2), estimator=IPW(), reward_range=CLICK)
    assert repr(found) == "<Estimate: insufficient support (IPW, no interval; 100 rows worth 0)>"
    assert str(found).splitlines()[0] == "insufficient support (IPW, no interval; 100 rows worth 0)"
    assert len(str(found).splitlines()) == 1 + len(found.diagnostics.reasons)
    assert (found.value, found.low, found.high) == (0.0, 0.0, 1.0)
    sound = estimate(uniform(5000, 4), always(1, 5000, 4), estimator=SNIPW())
    assert repr(sound) == f"<Estimate: {sound}>"
    assert f"{sound.value:.6g}, 95 % interval " in str(sound)
    assert str(sound).endswith("): ok")


@pytest.mark.parametrize("shape", [0.3, 3.0], ids=["heavy", "light"])
@pytest.mark.parametrize("ties", [False, True], ids=["distinct", "ties"])
def test_the_heaviest_rows_of_a_long_log_are_found(shape: float, ties: bool) -> None:
    """As by sorting all of them, in whatever order they lie."""
    dice = np.random.default_rng(4)
    weight = dice.gamma(shape, size=50_000)
    weight = np.round(weight) if ties else np.sort(weight)
    for top in (1, 500, 25_000, 50_000):
        assert _heaviest(weight, top) == pytest.approx(np.sort(weight)[50_000 - top :].sum(), rel=1e-12)
    assert _heaviest(weight[::-1], 500) == pytest.approx(_heaviest(weight, 500), rel=1e-12)
