"""What the reward model predicts, and that no row is predicted by itself."""

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentic.errors import EvaluationError
from agentic.evaluation import cross_fit, fit_ridge
from agentic.evaluation._training import folded as _folds

Floats = npt.NDArray[np.float64]


def sample(
    n: int = 400, d: int = 5, k: int = 4, seed: int = 0
) -> tuple[Floats, npt.NDArray[np.int64], Floats]:
    dice = np.random.default_rng(seed)
    features, action = dice.normal(size=(n, d)), dice.integers(0, k, n)
    slope = dice.normal(size=(k, d))
    return features, action, (features * slope[action]).sum(axis=1) + action + dice.normal(size=n) / 10


@pytest.mark.parametrize("weighted", [False, True], ids=["equal", "weighted"])
def test_the_fit_solves_the_ridge_equations(weighted: bool) -> None:
    """Each action's fit is that of the normal equations, written out plainly."""
    features, action, reward = sample()
    weight = np.random.default_rng(1).random(400) if weighted else np.ones(400)
    model = fit_ridge(features, action, reward, 4, penalty=2.5, weight=weight if weighted else None)
    overall = np.average(reward, weights=weight)
    for column in range(4):
        x, r, w = features[action == column], reward[action == column] - overall, weight[action == column]
        centre = np.average(x, axis=0, weights=w)
        design = np.column_stack([np.ones(len(x)), x - centre])
        beta = np.linalg.solve(design.T @ (w[:, None] * design) + 2.5 * np.eye(6), design.T @ (w * r))
        np.testing.assert_allclose(model.coefficient[column], beta[1:], rtol=1e-10, atol=1e-12)
        assert model.intercept[column] == pytest.approx(overall + beta[0] - centre @ beta[1:], rel=1e-10)


def test_enough_rows_recover_the_truth() -> None:
    """Without a penalty and noise the slopes are found exactly."""
    features, action, _ = sample()
    slope = np.arange(20.0).reshape(4, 5)
    reward = (features * slope[action]).sum(axis=1) + 7.0 * action
    model = fit_ridge(features, action, reward, 4, penalty=0.0)
    np.testing.assert_allclose(model.coefficient, slope, atol=1e-9)
    np.testing.assert_allclose(model.intercept, 7.0 * np.arange(4), atol=1e-9)


def test_an_action_never_seen_is_predicted_by_the_overall_mean() -> None:
    """Nothing is invented for an action without rows, or without weight."""
    features, action, reward = sample(k=3)
    weight = (action != 1).astype(float)
    for model, mean in (
        (fit_ridge(features, action, reward, 5), reward.mean()),
        (fit_ridge(features, action, reward, 5, penalty=0.0), reward.mean()),
    ):
        np.testing.assert_allclose(model.predict(features)[:, 3:], mean)
    light = fit_ridge(features, action, reward, 3, weight=weight).predict(features)
    np.testing.assert_allclose(light[:, 1], np.average(reward, weights=weight))


def test_an_action_seen_once_stays_near_the_mean() -> None:
    """One reward of 1 among zeros moves its action half the way at a penalty of one row."""
    model = fit_ridge(np.zeros((100, 1)), [1] + [0] * 99, [1.0] + [0.0] * 99, 2)
    assert model.predict([[0.0]])[0, 1] == pytest.approx(0.01 + 0.99 / 2.0)


@pytest.mark.parametrize("penalty", [0.0, 1e-300, 1.0])
def test_rank_deficient_features_are_harmless(penalty: float) -> None:
    """Constant, repeated and huge columns predict as the plain ones do, finitely."""
    features, action, reward = sample(seed=3)
    wide = np.column_stack([features, features, np.ones(400), 1e6 + features[:, :1]])
    q = fit_ridge(wide, action, reward, 4, penalty=penalty).predict(wide)
    assert np.isfinite(q).all()
    at = np.arange(400)
    plain = fit_ridge(features, action, reward, 4, penalty=penalty).predict(features)
    assert np.abs(q[at, action] - plain[at, action]).max() < 0.2


def test_more_features_than_rows_is_no_obstacle() -> None:
    """Two rows and ten features give finite predictions."""
    features = np.random.default_rng(5).normal(size=(2, 10))
    assert np.isfinite(fit_ridge(features, [0, 0], [0.0, 1.0], 1, penalty=0.0).predict(features)).all()


@given(st.integers(0, 500), st.integers(2, 5), st.integers(0, 39), st.booleans())
def test_no_row_is_predicted_from_itself(seed: int, folds: int, row: int, grouped: bool) -> None:
    """Changing the rewards of a row's group leaves the predictions of that group as they were."""
    features, action, reward = sample(n=40, seed=seed)
    groups = np.arange(40) // 4 if grouped else np.arange(40)
    changed = np.where(groups == groups[row], reward + 1000.0, reward)
    before, after = (
        cross_fit(features, action, rewards, 4, folds=folds, seed=seed, groups=groups if grouped else None)
        for rewards in (reward, changed)
    )
    mine = groups == groups[row]
    np.testing.assert_array_equal(before[mine], after[mine])
    assert (before[~mine] != after[~mine]).any()


@pytest.mark.parametrize("kind", ["int", "str", "bytes"])
def test_one_subject_is_one_fold(kind: str) -> None:
    """Groups of integers, strings and bytes stay together and spread over the folds."""
    subjects = np.arange(3000) % 1000
    keys = {"int": subjects - 500, "str": subjects.astype(str), "bytes": subjects.astype("S4")}[kind]
    fold = _folds(3000, keys, folds=4, seed=1)
    np.testing.assert_array_equal(fold[:1000], fold[1000:2000])
    # 1000 subjects over four folds: a binomial of mean 250 and standard deviation 13.7.
    assert np.abs(np.bincount(fold[:1000], minlength=4) - 250).max() < 5 * 13.7


def test_appended_rows_move_nobody() -> None:
    """A row's fold is its own, whatever comes after it."""
    np.testing.assert_array_equal(
        _folds(100, None, folds=3, seed=2), _folds(200, None, folds=3, seed=2)[:100]
    )
    names = np.array(["x", "y", "z"])
    assert _folds(3, names, folds=97, seed=0)[0] == _folds(2, names[[0, 2]], folds=97, seed=0)[0]


def test_the_seed_chooses_the_folds() -> None:
    """Same seed, same predictions; another seed, other ones."""
    features, action, reward = sample()
    first, again, other = (cross_fit(features, action, reward, 4, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_importance_weights_reach_every_fold() -> None:
    """Rows of weight 0 teach nothing in any fold."""
    features, action, reward = sample()
    weight = (np.arange(400) % 2).astype(float)
    spoilt = np.where(weight == 0.0, 1e6, reward)
    plain, other = (cross_fit(features, action, one, 4, weight=weight) for one in (reward, spoilt))
    np.testing.assert_allclose(plain, other)


def test_a_fold_without_rows_is_passed_over() -> None:
    """More folds than rows is no error as long as there are others to learn from."""
    features, action, reward = sample(n=6)
    assert np.isfinite(cross_fit(features, action, reward, 4, folds=50)).all()


def test_many_actions_need_no_small_integers() -> None:
    """More actions than two bytes hold are sorted all the same."""
    model = fit_ridge([[1.0], [2.0]], [0, 69_999], [0.0, 1.0], 70_000)
    assert model.intercept.shape == (70_000,)
    assert model.intercept[69_999] == pytest.approx(0.75)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"X": [[0.0], [math.nan], [1.0]]}, "X at row 1 is nan"),
        ({"X": [[0.0], [1.0]]}, "X is 2, expected 3 rows"),
        ({"X": [0.0, 1.0, 2.0]}, r"X is \(3,\)"),
        ({"action": [0, 1, 5]}, "action at row 2 is 5, expected a position below 2"),
        ({"action": [0.0, 1.0, 1.0]}, "action is 'float64'"),
        ({"reward": [0.0, math.nan, 1.0]}, "reward at row 1 is nan.*pending"),
        ({"reward": [0.0, 1.0]}, "reward is 2, expected 3 rows"),
        ({"weight": [1.0, -1.0, 1.0]}, "weight at row 1 is -1.0"),
        ({"weight": [0.0, 0.0, 0.0]}, "weight at row 0 is 0.0"),
        ({"weight": [1.0, 1.0]}, "weight is 2, expected 3 rows"),
        ({"penalty": -1.0}, "penalty is -1.0"),
        ({"penalty": math.inf}, "penalty is inf"),
    ],
)
@pytest.mark.parametrize("fit", [fit_ridge, cross_fit])
def test_malformed_input_is_refused(fit: object, change: dict[str, object], message: str) -> None:
    """The error names field, row and value, in both doors."""
    given_ = {"X": [[0.0], [1.0], [2.0]], "action": [0, 1, 1], "reward": [0.0, 1.0, 1.0], "k": 2}
    with pytest.raises(EvaluationError, match=message):
        fit(**{**given_, **change})  # type: ignore[operator]


def test_impossible_folds_are_refused() -> None:
    """One fold, one group, or malformed groups leave nothing to learn from."""
    features, action, reward = sample(n=10)
    for options, message in (
        ({"folds": 1}, "folds is 1, expected 2 or more"),
        ({"weight": [1.0] + [0.0] * 9}, "fold is ., expected some row or group outside it"),
        ({"groups": ["one"] * 10}, "fold is ., expected some row or group outside it"),
        ({"groups": [0.5] * 10}, r"groups is 'float64 \(10,\)'"),
        ({"groups": [1, 2]}, "groups is 2, expected 10 rows"),
    ):
        with pytest.raises(EvaluationError, match=message):
            cross_fit(features, action, reward, 4, **options)


def test_prediction_needs_the_features_of_the_fit() -> None:
    """Another number of columns, or a NaN, is refused."""
    model = fit_ridge(*sample()[:3], 4)
    with pytest.raises(EvaluationError, match="expected 5 columns, as fitted"):
        model.predict(np.zeros((2, 4)))
    with pytest.raises(EvaluationError, match="X at row 0 is nan"):
        model.predict([[math.nan] * 5])
