"""What an estimator gets right in a world whose truth is known, and what it refuses."""

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

import agentic.evaluation as room
from agentic.errors import EvaluationError
from agentic.evaluation import (
    BIPW,
    DM,
    DR,
    IPW,
    SNDR,
    SNIPW,
    DRos,
    Estimator,
    Logged,
    ModelFree,
    Replay,
    SubgaussianDR,
    SubgaussianIPW,
    SwitchDR,
    estimate,
    judge,
    overlap,
    weighed,
)

Floats = npt.NDArray[np.float64]

ALL: list[Estimator] = [
    IPW(),
    IPW(clip=2.0),
    SNIPW(),
    BIPW(),
    DM(),
    DR(),
    DR(clip=2.0),
    SNDR(),
    SwitchDR(2.0),
    DRos(5.0),
    SubgaussianIPW(0.2),
    SubgaussianDR(0.2),
]

# Two kinds of customer, three actions. Truth: the mean over kinds of sum target * rate.
LOGGING = np.array([[0.6, 0.3, 0.1], [0.2, 0.5, 0.3]])
TARGET = np.array([[0.1, 0.2, 0.7], [0.5, 0.25, 0.25]])
RATE = np.array([[0.2, 0.5, 0.7], [0.6, 0.3, 0.1]])
TRUTH = float((TARGET * RATE).sum(axis=1).mean())
WRONG = np.array([[0.9, 0.1, 0.2], [0.1, 0.8, 0.5]])


def draw(n: int, seed: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Floats]:
    """Return kinds, actions and clicks."""
    dice = np.random.default_rng(seed)
    kind = dice.integers(0, 2, n)
    action = (dice.random(n)[:, None] > LOGGING[kind].cumsum(axis=1)).sum(axis=1)
    return kind, action, (dice.random(n) < RATE[kind, action]).astype(np.float64)


def world(n: int, seed: int) -> tuple[Logged, Floats, Floats, Floats]:
    """Return the log, the target, the true rates and wrong ones."""
    kind, action, reward = draw(n, seed)
    logged = Logged(action, reward, probability=LOGGING[kind, action])
    return logged, TARGET[kind], RATE[kind], WRONG[kind]


def enumerated(estimator: Estimator, q: Floats, probability: Floats) -> float:
    """Return the expectation of a mean estimator by weighing each of the twelve possible rows."""
    kind, action, click = (grid.ravel() for grid in np.meshgrid(range(2), range(3), range(2), indexing="ij"))
    chance = 0.5 * LOGGING[kind, action] * np.where(click == 1, RATE[kind, action], 1.0 - RATE[kind, action])
    logged = Logged(action, click.astype(np.float64), probability=probability[kind, action])
    rows = overlap(logged, TARGET[kind], q=q[kind])
    return float(chance @ estimator.contribute(rows).term)


def test_ipw_is_unbiased() -> None:
    """Over all possible rows, weighted rewards average to the truth exactly."""
    assert enumerated(IPW(), WRONG, LOGGING) == pytest.approx(TRUTH, abs=1e-15)


def test_dr_is_unbiased_with_wrong_predictions_and_right_probabilities() -> None:
    """Predictions may be anything when the logged probabilities are right."""
    assert enumerated(DR(), WRONG, LOGGING) == pytest.approx(TRUTH, abs=1e-15)


def test_dr_is_unbiased_with_right_predictions_and_wrong_probabilities() -> None:
    """Logged probabilities may be anything when the predictions are right."""
    wrong = np.array([[0.2, 0.2, 0.6], [0.7, 0.2, 0.1]])
    assert enumerated(DR(), RATE, wrong) == pytest.approx(TRUTH, abs=1e-15)
    assert abs(enumerated(IPW(), RATE, wrong) - TRUTH) > 0.05


def test_dm_is_as_good_as_its_predictions() -> None:
    """The direct method is exact with true rates and off by their error otherwise."""
    assert enumerated(DM(), RATE, LOGGING) == pytest.approx(TRUTH, abs=1e-15)
    assert enumerated(DM(), WRONG, LOGGING) == pytest.approx((TARGET * WRONG).sum(axis=1).mean(), abs=1e-15)


@pytest.mark.parametrize("estimator", [IPW(), SNIPW(), DR(), SNDR()], ids=lambda one: one.name)
def test_estimates_come_within_five_standard_errors_of_the_truth(estimator: Estimator) -> None:
    """In a sample of 50,000 rows a consistent estimator errs by chance alone (1 in a million fails)."""
    logged, target, _, wrong = world(50_000, seed=1)
    found = estimate(logged, target, estimator=estimator, q=wrong)
    assert abs(found.value - TRUTH) < 5.0 * found.standard_error
    assert found.diagnostics.verdict == "ok"


@pytest.mark.parametrize("estimator", ALL, ids=lambda one: one.name)
def test_an_estimator_is_model_free_if_it_needs_no_predictions(estimator: Estimator) -> None:
    """Those that say so contribute without predictions; the others refuse to, and name one that does not."""
    logged, target, _, _ = world(100, seed=1)
    rows = overlap(logged, target)
    if isinstance(estimator, ModelFree):
        assert not estimator.contribute(rows).modelled
    else:
        with pytest.raises(EvaluationError, match=r"q is None.*estimator=SNIPW\(\)"):
            estimator.contribute(rows)


def test_right_predictions_narrow_the_interval() -> None:
    """DR with true rates is surer than IPW on the same rows."""
    logged, target, rate, _ = world(5_000, seed=2)
    assert estimate(logged, target, q=rate).standard_error < (
        0.8 * estimate(logged, target, estimator=IPW()).standard_error
    )


def test_a_target_at_the_logged_action_suffices_without_a_model() -> None:
    """The probability of the logged action gives the same value as the whole distribution."""
    logged, target, _, _ = world(500, seed=3)
    at_action = target[np.arange(logged.n), logged.action]
    for estimator in (IPW(), SNIPW()):
        whole, part = (estimate(logged, given, estimator=estimator) for given in (target, at_action))
        assert (whole.value, whole.low, whole.high) == (part.value, part.low, part.high)
        assert math.isnan(part.diagnostics.unseen_mass)


def test_a_log_longer_than_a_block_is_one_log() -> None:
    """Working block by block leaves no seam: terms equal those of plain array arithmetic."""
    logged, target, rate, _ = world(70_000, seed=4)
    rows = overlap(logged, target, q=rate)
    at = np.arange(logged.n)
    np.testing.assert_array_equal(rows.weight, target[at, logged.action] / logged.probability)
    np.testing.assert_array_equal(rows.predicted, rate[at, logged.action])
    assert rows.modelled is not None
    np.testing.assert_allclose(rows.modelled, (target * rate).sum(axis=1), rtol=0.0, atol=1e-15)


def test_other_dtypes_and_layouts_give_the_same_estimate() -> None:
    """Integers, column order and broadcast views are read as they are."""
    kind, action, reward = draw(300, seed=5)
    logged = Logged(action.astype(np.int8), reward.astype(np.int16), probability=LOGGING[kind, action])
    first = np.zeros((300, 3), dtype=np.int64)
    first[:, 1] = 1
    everywhere = np.broadcast_to(np.array([0.0, 1.0, 0.0]), (300, 3))
    values = {
        estimate(logged, target, estimator=IPW()).value
        for target in (first, np.asfortranarray(first), everywhere, first.astype(np.float32))
    }
    assert len(values) == 1


def test_the_log_is_not_copied_and_cannot_be_written_through() -> None:
    """Columns of the right type are kept by reference, read-only."""
    kind, action, reward = draw(10, seed=6)
    logged = Logged(action, reward, probability=LOGGING[kind, action])
    assert np.shares_memory(logged.reward, reward)
    with pytest.raises(ValueError, match="read-only"):
        logged.reward[0] = 2.0
    reward[0] = 0.5


def test_clipping_lowers_the_value_and_is_named_as_bias() -> None:
    """Cut weights are counted, and the verdict says the interval leaves their bias out."""
    logged, target, _, _ = world(5_000, seed=7)
    plain, cut = estimate(logged, target, estimator=IPW()), estimate(logged, target, estimator=IPW(clip=1.0))
    assert cut.value < plain.value
    assert cut.diagnostics.altered_share > 0.3
    assert cut.diagnostics.verdict == "weak"
    assert "bias" in str(cut)


def test_shrinking_to_nothing_is_the_direct_method() -> None:
    """DRos at 0 and SwitchDR at 0 keep the predictions, SwitchDR above every weight is DR."""
    logged, target, _, wrong = world(400, seed=8)
    value = {one.name: estimate(logged, target, estimator=one, q=wrong).value for one in (DM(), DR())}
    for estimator in (DRos(0.0), SwitchDR(0.0)):
        assert estimate(logged, target, estimator=estimator, q=wrong).value == value["DM"]
    assert estimate(logged, target, estimator=SwitchDR(1e9), q=wrong).value == value["DR"]
    assert estimate(logged, target, estimator=SubgaussianDR(0.0), q=wrong).value == pytest.approx(value["DR"])


def test_an_estimate_reads_as_one_line_and_its_reasons() -> None:
    """What is printed names value, bounds, method, rows and verdict."""
    logged, target, _, _ = world(2_000, seed=9)
    found = estimate(logged, target, estimator=SNIPW())
    line, *reasons = str(found).split("\n")
    assert line.startswith(f"{found.value:.6g}, 95 % interval ")
    assert "(SNIPW, normal interval; 2,000 rows worth " in line
    assert line.endswith(": ok")
    assert reasons == []


def test_names_say_what_was_set() -> None:
    """A parameter shows in the name unless it does nothing."""
    assert [one.name for one in ALL] == [
        "IPW",
        "IPW(clip=2)",
        "SNIPW",
        "B-IPW",
        "DM",
        "DR",
        "DR(clip=2)",
        "SNDR",
        "SwitchDR(threshold=2)",
        "DRos(shrinkage=5)",
        "SubgaussianIPW(strength=0.2)",
        "SubgaussianDR(strength=0.2)",
    ]
    assert all(isinstance(one, Estimator) for one in ALL)


def test_the_door_opens_to_every_name_once() -> None:
    """Every exported name exists and is exported once."""
    assert set(room.__all__) <= set(dir(room))
    assert len(set(room.__all__)) == len(room.__all__)


@pytest.mark.parametrize("estimator", [DM(), DR(), SNDR()], ids=lambda one: one.name)
def test_a_model_estimator_without_predictions_says_how_to_get_them(estimator: Estimator) -> None:
    """The error names q, its shape and cross_fit."""
    logged, target, _, _ = world(50, seed=10)
    with pytest.raises(EvaluationError, match=r"q is None.*\(n, k\).*cross_fit") as caught:
        estimate(logged, target, estimator=estimator)
    assert caught.value.facts["field"] == "q"


def good() -> dict[str, npt.ArrayLike]:
    return {"action": [0, 1, 2, 1], "reward": [0.0, 1.0, 0.0, 1.0], "probability": [0.5, 0.5, 0.2, 1.0]}


@pytest.mark.parametrize(
    ("field", "values", "message"),
    [
        ("action", [], r"action is \(0,\)"),
        ("action", [[0, 1], [2, 1]], r"action is \(2, 2\)"),
        ("action", [[0], [1, 2]], "action is 'ragged', expected rows of one length"),
        ("action", [0.0, 1.0, 2.0, 1.0], "action is 'float64', expected integers"),
        ("action", [0, 1, -1, 1], "action at row 2 is -1, expected a position of 0 or more"),
        ("reward", [0.0, math.nan, 0.0, 1.0], "reward at row 1 is nan, expected a finite number; .*pending"),
        ("reward", [0.0, 1.0, 0.0, math.inf], "reward at row 3 is inf, expected a finite number"),
        ("reward", [0.0, 1.0, 0.0], "reward is 3, expected 4 rows"),
        ("reward", ["a", "b", "c", "d"], "reward is 'str32', expected numbers"),
        ("reward", [None, 1.0, 0.0, 1.0], "reward is 'object', expected numbers"),
        ("probability", [0.5, 0.0, 0.2, 1.0], "probability at row 1 is 0.0, expected more than 0"),
        ("probability", [0.5, 0.5, -0.2, 1.0], "probability at row 2 is -0.2"),
        ("probability", [0.5, 0.5, 0.2, 1.7], "probability at row 3 is 1.7"),
        ("probability", [math.nan, 0.5, 0.2, 1.0], "probability at row 0 is nan"),
        ("probability", [0.5, 0.5], "probability is 2, expected 4 rows"),
        ("groups", [0.5, 0.5, 0.2, 1.0], r"groups is 'float64 \(4,\)'"),
        ("groups", ["a", "b"], "groups is 2, expected 4 rows"),
    ],
)
def test_a_malformed_column_is_refused(field: str, values: npt.ArrayLike, message: str) -> None:
    """The error names field, row, value and what to do."""
    with pytest.raises(EvaluationError, match=message) as caught:
        Logged(**{**good(), field: values})
    assert caught.value.facts["field"] == field


@pytest.mark.parametrize(
    ("target", "q", "message"),
    [
        ([[0.5, 0.5]] * 4, None, "action at row 2 is 2, expected a position below 2"),
        ([[0.2, 0.3, 0.5]] * 3, None, "target is 3, expected 4 rows"),
        ([[0.2, 0.3, 0.5]] * 3 + [[0.2, 0.3, 0.4]], None, "sum of target at row 3 is 0.9"),
        ([[0.2, 0.3, 0.5]] * 3 + [[0.2, math.nan, 0.8]], None, "target of action 1 at row 3 is nan"),
        ([[1.2, -0.2, 0.0]] * 4, None, "target of action 1 at row 0 is -0.2"),
        ([[0.2, 0.3, 0.5]] * 3 + [[0.2, math.inf, 0.8]], None, "sum of target at row 3 is inf"),
        ([[0.2, 0.3, 0.5]] * 3 + [[1.0]], None, "target is 'ragged'"),
        ([[[0.2]]], None, r"target is \(1, 1, 1\)"),
        ([0.5, 0.5, 0.5], None, "target is 3, expected 4 rows"),
        ([0.5, 0.5, 1.5, 0.5], None, "target at row 2 is 1.5"),
        ([0.5, 0.5, math.nan, 0.5], None, "target at row 2 is nan"),
        ([0.5, 0.5, 0.5, 0.5], [[0.0] * 3] * 4, r"target is \(4,\), expected a shape \(n, k\) beside q"),
        ([[0.2, 0.3, 0.5]] * 4, [[0.0] * 2] * 4, r"q is \(4, 2\), expected \(4, 3\)"),
        ([[0.2, 0.3, 0.5]] * 4, [[0.0] * 3] * 3 + [[0.0, 0.0, math.nan]], "q at row 3 is nan"),
        ([[0.2, 0.8, 0.0]] * 4, [[0.0] * 3] * 3 + [[0.0, 0.0, math.inf]], "q at row 3 is inf"),
        (
            [[0.5 + 4e-7, 0.5 + 4e-7, 0.0]] * 4,
            [[1.7976931348623157e308] * 3] * 4,
            "predictions whose mean is finite",
        ),
    ],
)
def test_a_malformed_target_or_prediction_is_refused(
    target: npt.ArrayLike, q: npt.ArrayLike | None, message: str
) -> None:
    """Shape, range, sum and finiteness are checked against the log."""
    logged = Logged([0, 1, 2, 1], [0.0, 1.0, 0.0, 1.0], probability=[0.5, 0.5, 0.2, 1.0])
    with pytest.raises(EvaluationError, match=message):
        overlap(logged, target, q=q)


def test_a_probability_too_small_to_divide_by_is_refused() -> None:
    """A weight that overflows names the row that caused it."""
    logged = Logged([0, 1], [0.0, 1.0], probability=[0.5, 1e-310])
    with pytest.raises(EvaluationError, match="probability at row 1 is 1e-310"):
        overlap(logged, [1.0, 1.0])


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: IPW(clip=0.0), "clip is 0.0, expected more than 0"),
        (lambda: DR(clip=math.nan), "clip is nan"),
        (lambda: SwitchDR(-1.0), "threshold is -1.0"),
        (lambda: DRos(math.nan), "shrinkage is nan"),
        (lambda: SubgaussianIPW(1.0), "strength is 1.0"),
        (lambda: SubgaussianDR(-0.1), "strength is -0.1"),
    ],
    ids=["clip", "clip-nan", "threshold", "shrinkage", "strength", "strength-dr"],
)
def test_a_meaningless_parameter_is_refused(build: Callable[[], Estimator], message: str) -> None:
    """Estimators check their parameter when they are made."""
    with pytest.raises(EvaluationError, match=message):
        build()


def test_replay_averages_the_rows_that_the_target_repeats() -> None:
    """Where logging was uniform nothing is altered; elsewhere the uneven weight counts as removed."""
    reward, target = [1.0, 0.0, 5.0, 0.5], np.eye(2)[[0, 0, 0, 1]]
    even = Logged([0, 0, 1, 1], reward, probability=[0.5] * 4)
    found = estimate(even, target, estimator=Replay())
    assert found.value == pytest.approx(0.5)
    assert found.value == estimate(even, target, estimator=SNIPW()).value
    assert found.diagnostics.altered_share == 0.0
    uneven = Logged([0, 0, 1, 1], reward, probability=[0.5, 0.5, 0.5, 0.25])
    found = estimate(uneven, target, estimator=Replay())
    assert found.value == pytest.approx(0.5)
    assert found.diagnostics.altered_share == pytest.approx(0.25)


def test_replay_needs_a_target_that_does_not_draw() -> None:
    """A drawn action is named by its row; without matches there is no value."""
    logged = Logged([0, 1], [0.0, 1.0], probability=[0.5, 0.5])
    with pytest.raises(EvaluationError, match=r"target at row 1 is 0\.3, expected 0 or 1; use SNIPW"):
        estimate(logged, [[1.0, 0.0], [0.7, 0.3]], estimator=Replay())
    assert math.isnan(estimate(logged, [[0.0, 1.0], [1.0, 0.0]], estimator=Replay()).value)
    with pytest.raises(EvaluationError, match="the rows have no logged probabilities"):
        judge(weighed([1.0, 2.0], [0.0, 1.0]), estimator=Replay())


@pytest.mark.parametrize("level", [0.0, 1.0, math.nan, 95.0])
def test_a_level_is_a_share(level: float) -> None:
    """95 is not a level, 0.95 is."""
    logged, target, _, _ = world(20, seed=11)
    with pytest.raises(EvaluationError, match=r"level is .*, expected more than 0 and less than 1"):
        estimate(logged, target, estimator=IPW(), level=level)


@pytest.mark.parametrize("ends", [(1.0, 0.0), (0.0, math.inf), (math.nan, 1.0)])
def test_a_reward_range_is_two_finite_numbers_in_order(ends: tuple[float, float]) -> None:
    """A range that bounds nothing is refused."""
    logged, target, _, _ = world(20, seed=11)
    with pytest.raises(EvaluationError, match="reward_range is "):
        estimate(logged, target, estimator=IPW(), reward_range=ends)


def test_a_reward_outside_the_range_is_refused() -> None:
    """The row whose reward contradicts the range is named."""
    logged = Logged([0, 1], [0.0, 2.0], probability=[0.5, 0.5])
    with pytest.raises(EvaluationError, match=r"reward at row 1 is 2.0, expected a number from 0.0 to 1.0"):
        estimate(logged, [0.5, 0.5], estimator=IPW(), reward_range=(0.0, 1.0))


@given(st.data())
def test_the_order_of_rows_does_not_matter(data: st.DataObject) -> None:
    """Permuting the rows moves no value by more than 1e-12."""
    logged, target, _, q = world(data.draw(st.integers(1, 60)), seed=data.draw(st.integers(0, 999)))
    order = np.array(data.draw(st.permutations(range(logged.n))))
    moved = Logged(logged.action[order], logged.reward[order], probability=logged.probability[order])
    for estimator in ALL:
        before = estimate(logged, target, estimator=estimator, q=q).value
        after = estimate(moved, target[order], estimator=estimator, q=q[order]).value
        assert after == pytest.approx(before, rel=0.0, abs=1e-12)


@given(
    st.lists(st.floats(-100.0, 100.0), min_size=1, max_size=50),
    st.integers(0, 999),
)
def test_judging_the_logging_policy_gives_the_mean_reward(rewards: list[float], seed: int) -> None:
    """With the logging policy as target, IPW and SNIPW are the mean of the rewards."""
    kind, action, _ = draw(len(rewards), seed)
    logged = Logged(action, rewards, probability=LOGGING[kind, action])
    for estimator in (IPW(), SNIPW()):
        found = estimate(logged, LOGGING[kind], estimator=estimator)
        assert found.value == pytest.approx(float(np.mean(rewards)), rel=1e-12, abs=1e-12)
        assert found.diagnostics.mean_weight == pytest.approx(1.0)


@given(st.integers(0, 999), st.floats(-5.0, 5.0))
def test_self_normalised_values_move_with_the_rewards(seed: int, shift: float) -> None:
    """Adding a constant to every reward adds it to SNIPW, and leaves its standard error."""
    logged, target, _, _ = world(200, seed)
    moved = Logged(logged.action, logged.reward + shift, probability=logged.probability)
    before, after = (estimate(one, target, estimator=SNIPW()) for one in (logged, moved))
    assert after.value == pytest.approx(before.value + shift, abs=1e-12)
    assert after.standard_error == pytest.approx(before.standard_error, rel=1e-9)
