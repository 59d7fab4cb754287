"""What logistic reward models and other libraries' models predict, and what they refuse."""

import math
from collections.abc import Callable
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentic.errors import EvaluationError
from agentic.evaluation import (
    BIPW,
    DM,
    DR,
    IPW,
    Logged,
    Logistic,
    PerAction,
    Pooled,
    RewardLearner,
    Ridge,
    balanced_weights,
    cross_fit,
    estimate,
    fit_ridge,
    judge,
    predict_rewards,
    weighed,
)

Floats = npt.NDArray[np.float64]
Actions = npt.NDArray[np.int64]


def clicks(n: int = 600, d: int = 3, k: int = 3, seed: int = 0) -> tuple[Floats, Actions, Floats]:
    dice = np.random.default_rng(seed)
    features, action = dice.normal(size=(n, d)), dice.integers(0, k, n)
    odds = (features * dice.normal(size=(k, d))[action]).sum(axis=1) - 0.5 * action
    return features, action, (dice.random(n) < 1.0 / (1.0 + np.exp(-odds))).astype(float)


@pytest.mark.parametrize("weighted", [False, True], ids=["equal", "weighted"])
def test_the_fit_is_where_the_penalised_loss_is_flat(weighted: bool) -> None:
    """The gradient, written out plainly, is 0 in every direction for every action."""
    features, action, reward = clicks()
    weight = np.random.default_rng(1).random(600) if weighted else np.ones(600)
    model = Logistic(penalty=2.5).fit(features, action, reward, 3, weight=weight if weighted else None)
    rate = (weight @ reward + 0.5) / (weight.sum() + 1.0)
    overall = math.log(rate / (1.0 - rate))
    for column in range(3):
        mine = action == column
        x, r, w = features[mine], reward[mine], weight[mine]
        centre, slope = np.average(x, axis=0, weights=w), model.coefficient[column]
        level = model.intercept[column] + centre @ slope - overall
        miss = w * (1.0 / (1.0 + np.exp(-(model.intercept[column] + x @ slope))) - r)
        assert miss.sum() + 2.5 * level == pytest.approx(0.0, abs=1e-9)
        np.testing.assert_allclose((x - centre).T @ miss + 2.5 * slope, 0.0, atol=1e-9)


def test_one_level_solves_a_known_equation() -> None:
    """Ten rows, all clicks, beside ten without: level b solves 10 p(b) = 10 - b for the odds of a half."""
    model = Logistic().fit(np.zeros((20, 1)), [0] * 10 + [1] * 10, [1.0] * 10 + [0.0] * 10, 3)
    level = float(model.intercept[0])
    assert 10.0 / (1.0 + math.exp(-level)) == pytest.approx(10.0 - level, abs=1e-9)
    assert model.intercept[1] == pytest.approx(-level)
    assert model.predict([[7.0]])[0, 2] == pytest.approx(0.5)


def test_rows_that_repeat_are_rows_that_weigh() -> None:
    """Weight 3 is the same row three times, and weight 0 is none."""
    features, action, reward = clicks(n=90)
    weight = np.arange(90) % 4
    again = np.repeat(np.arange(90), weight)
    light = Logistic().fit(features, action, reward, 3, weight=weight.astype(float))
    plain = Logistic().fit(features[again], action[again], reward[again], 3)
    np.testing.assert_allclose(light.coefficient, plain.coefficient, atol=1e-8)
    np.testing.assert_allclose(light.intercept, plain.intercept, atol=1e-8)


def test_many_rows_recover_the_truth() -> None:
    """Log-odds are found within five of their standard errors (1 in a million fails)."""
    dice = np.random.default_rng(2)
    n = 40_000
    features, action = dice.normal(size=(n, 2)), np.zeros(n, int)
    truth = np.array([0.8, -0.4])
    odds = features @ truth - 1.0
    reward = (dice.random(n) < 1.0 / (1.0 + np.exp(-odds))).astype(float)
    model = Logistic(penalty=1e-6).fit(features, action, reward, 1)
    p = 1.0 / (1.0 + np.exp(-odds))
    design = np.column_stack([np.ones(n), features])
    error = np.sqrt(np.diag(np.linalg.inv((design * (p * (1.0 - p))[:, None]).T @ design)))
    found = np.concatenate([model.intercept, model.coefficient[0]])
    assert (np.abs(found - [-1.0, *truth]) < 5.0 * error).all()


@pytest.mark.parametrize("share", [0.0, 1.0])
@pytest.mark.parametrize("penalty", [1e-6, 1.0])
def test_rewards_that_are_all_alike_are_predicted_so(share: float, penalty: float) -> None:
    """Without a miss, or without a click, chances come near the end and stay inside."""
    features, action, _ = clicks()
    q = Logistic(penalty=penalty).fit(features, action, np.full(600, share), 4).predict(features)
    assert ((q > 0.0) & (q < 1.0)).all()
    assert np.abs(q - share).max() < 0.01


@given(st.integers(0, 10_000), st.integers(2, 40), st.floats(1e-3, 1e3), st.floats(1e-4, 1e4))
def test_small_separable_and_unscaled_samples_converge(
    seed: int, n: int, scale: float, penalty: float
) -> None:
    """Predictions are chances whatever the sample, the scale and the penalty."""
    features, action, reward = clicks(n=n, seed=seed)
    separable = (features[:, 0] > 0.0).astype(float)
    for rewards in (reward, separable):
        q = Logistic(penalty=penalty).fit(features * scale, action, rewards, 3).predict(features * scale)
        assert ((q >= 0.0) & (q <= 1.0)).all()


def test_a_fit_that_does_not_settle_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Too few steps are an error that names the action, not a model."""
    monkeypatch.setattr("agentic.evaluation._logistic._MOST_STEPS", 2)
    with pytest.raises(EvaluationError, match="the fit of action 0 is unsettled after 2 steps"):
        Logistic().fit(*clicks(), 3)
    features, action, _ = clicks()
    with pytest.raises(EvaluationError, match=r"the classifier of action \d is unsettled"):
        balanced_weights(features, action, np.full((600, 3), 1.0 / 3.0))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reward": [0.0, 2.0, 1.0]}, "reward at row 1 is 2.0, expected 0, 1 or a share"),
        ({"reward": [0.0, -0.1, 1.0]}, "reward at row 1 is -0.1"),
        ({"reward": [0.0, math.nan, 1.0]}, "reward at row 1 is nan.*pending"),
        ({"X": [[0.0], [math.inf], [1.0]]}, "X at row 1 is inf"),
        ({"action": [0, 1, 2]}, "action at row 2 is 2, expected a position below 2"),
        ({"weight": [1.0, -1.0, 1.0]}, "weight at row 1 is -1.0"),
    ],
)
def test_malformed_rows_are_refused(change: dict[str, Any], message: str) -> None:
    """The error names field, row and value."""
    given_ = {"X": [[0.0], [1.0], [2.0]], "action": [0, 1, 1], "reward": [0.0, 1.0, 1.0], **change}
    weight = given_.get("weight")
    with pytest.raises(EvaluationError, match=message):
        Logistic().fit(given_["X"], given_["action"], given_["reward"], 2, weight=weight)


def test_a_penalty_is_more_than_nothing() -> None:
    """Without one, separable rewards have no fit."""
    for penalty in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(EvaluationError, match="penalty is "):
            Logistic(penalty=penalty)
        with pytest.raises(EvaluationError, match="penalty is "):
            balanced_weights([[0.0], [1.0]], [0, 1], [[0.5, 0.5]] * 2, penalty=penalty)
    with pytest.raises(EvaluationError, match=r"penalty is -1\.0"):
        Ridge(penalty=-1.0)


def test_prediction_needs_the_features_of_the_fit() -> None:
    """Another number of columns is refused."""
    with pytest.raises(EvaluationError, match="expected 3 columns, as fitted"):
        Logistic().fit(*clicks(), 3).predict(np.zeros((2, 2)))


@attrs.define
class Means:
    """A stranger's regressor: predicts the mean, and notes whose rows it saw."""

    seen: Floats = attrs.field(factory=lambda: np.zeros(0))
    mean: float = 0.0

    def fit(self, x: Floats, y: Floats, sample_weight: Floats | None = None) -> None:
        self.seen, self.mean = x[:, 0], float(np.average(y, weights=sample_weight))

    def predict(self, x: Floats) -> Floats:
        assert not np.isin(x[:, 0], self.seen).any()
        return np.full(len(x), self.mean)


@attrs.define
class Votes:
    """A stranger's classifier, whose plain answer is a label."""

    classes_: Floats = attrs.field(factory=lambda: np.zeros(0))
    share: float = 0.0

    def fit(self, x: Floats, y: Floats) -> None:
        self.classes_, self.share = np.unique(y), float(y.mean())

    predict = np.sign  # labels: not to be asked for

    def predict_proba(self, x: Floats) -> Floats:
        return np.tile([1.0 - self.share, self.share], (len(x), 1))


@attrs.define
class Tree:
    """A stranger's model that looks at the columns of the action alone."""

    level: Floats = attrs.field(factory=lambda: np.zeros(0))

    def fit(self, x: Floats, y: Floats) -> None:
        marks = x[:, -3:]
        self.level = marks.T @ y / marks.sum(axis=0)

    def predict(self, x: Floats) -> Floats:
        return x[:, -3:] @ self.level


@pytest.mark.parametrize("weighted", [False, True], ids=["equal", "weighted"])
def test_any_regressor_learns_one_action_and_never_predicts_what_it_saw(weighted: bool) -> None:
    """Subjects stay together: the stranger's model checks that it is shown none of its rows."""
    _, action, reward = clicks(n=300)
    subject = np.arange(300) // 3
    features = np.column_stack([subject.astype(float)])
    weight = np.where(action == 2, 0.0, 1.0) if weighted else None
    q = cross_fit(features, action, reward, 4, model=PerAction(Means), groups=subject, weight=weight)
    assert q.shape == (300, 4)
    # An action without rows, or without weight, is predicted by the overall mean of the other part.
    assert len(np.unique(q[:, 3])) == 2
    assert (q[:, 3] == q[:, 2]).all() == weighted


def test_of_a_classifier_the_chance_counts_not_the_label() -> None:
    """What has predict_proba is asked for the chance of class 1."""
    features, action, reward = clicks()
    q = PerAction(Votes).fit(features, action, reward, 3).predict(features[:2])
    for column in range(3):
        assert q[0, column] == pytest.approx(reward[action == column].mean())
    pooled = Pooled(Votes).fit(features, action, reward, 3).predict(features[:2])
    np.testing.assert_allclose(pooled, reward.mean())


def test_a_pooled_model_is_told_which_action() -> None:
    """One model learns all actions from one column each."""
    features, action, reward = clicks()
    q = predict_rewards(Pooled(Tree).fit(features, action, reward, 3), features, 3)
    np.testing.assert_allclose(q[5], [reward[action == column].mean() for column in range(3)])


@pytest.mark.parametrize("wrapped", [PerAction(Votes), Pooled(Votes)], ids=["per-action", "pooled"])
def test_equal_rewards_need_no_classifier(wrapped: RewardLearner) -> None:
    """A classifier of one class would fail; the one reward is the prediction."""
    features, action, _ = clicks(n=30)
    q = cross_fit(features, action, np.ones(30), 3, model=wrapped)
    np.testing.assert_array_equal(q, 1.0)
    weight = np.arange(30) % 2 * 1.0
    q = cross_fit(features, action, weight, 3, model=wrapped, weight=weight)
    np.testing.assert_array_equal(q, 1.0)


@attrs.define
class Broken:
    answer: Any = None
    classes_: Any = None

    def fit(self, x: Floats, y: Floats) -> None:
        if self.answer is None:
            raise KeyError("anna@example.org")

    def predict(self, x: Floats) -> Any:
        return self.answer(len(x))


class Labels(Votes):
    def fit(self, x: Floats, y: Floats) -> None:
        self.classes_ = np.array(["no", "yes"])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (Broken, r"the reward model of action 0 failed to fit \(KeyError\)"),
        (lambda: Broken(lambda n: np.zeros(n + 1)), r"predictions is \(\d+,\), expected shape"),
        (lambda: Broken(lambda n: np.full(n, math.nan)), "predictions at row 0 is nan"),
        (lambda: Broken(lambda n: ["x"] * n), "predictions is 'str"),
        (lambda: Broken(lambda n: np.zeros((n, 2))), r"predictions is \(\d+, 2\), expected a shape of 1"),
        (lambda: Broken(lambda _: None), "predictions is None, expected shape"),
        (lambda: Broken(lambda _: 1 / 0), r"failed to predict \(ZeroDivisionError\)"),
        (lambda: Broken(lambda n: predict_rewards(None, np.zeros((n, 1)), 1)), "failed to predict"),
        (lambda: 1 / 0, r"failed to be made \(ZeroDivisionError\)"),
        (object, r"model is 'object', expected something with fit\(\)"),
        (Labels, r"model is \['no', 'yes'\], expected the classes 0 and 1"),
    ],
)
def test_a_model_that_misbehaves_is_told_on_without_its_words(make: Callable[[], Any], message: str) -> None:
    """Its own message may hold customers' values, so only its kind is repeated."""
    with pytest.raises(EvaluationError, match=message) as caught:
        cross_fit(*clicks(), 3, model=PerAction(make))
    assert "anna" not in str(caught.value)


def test_a_fitted_model_must_predict_every_action() -> None:
    """What was fitted elsewhere is checked in the same way."""
    features, action, reward = clicks()
    model = fit_ridge(features, action, reward, 3)
    np.testing.assert_array_equal(predict_rewards(model, features, 3), model.predict(features))
    with pytest.raises(EvaluationError, match=r"predictions is \(600, 3\), expected shape \(600, 4\)"):
        predict_rewards(model, features, 4)


def test_learners_are_exchangeable() -> None:
    """Ridge by name is the default; a penalty beside a model is refused."""
    features, action, reward = clicks()
    plain = cross_fit(features, action, reward, 3, penalty=3.0)
    np.testing.assert_array_equal(plain, cross_fit(features, action, reward, 3, model=Ridge(penalty=3.0)))
    with pytest.raises(EvaluationError, match=r"penalty is 3\.0, expected none beside model"):
        cross_fit(features, action, reward, 3, model=Logistic(), penalty=3.0)
    assert isinstance(Logistic(), RewardLearner)


def test_a_logistic_model_is_closer_to_rare_clicks_than_a_line() -> None:
    """Steep chances at a click rate of some percent: the log loss of held-out rows is smaller."""
    dice = np.random.default_rng(3)
    features = dice.normal(size=(20_000, 2))
    truth = 1.0 / (1.0 + np.exp(-(features @ [1.5, 1.0] - 4.0)))
    reward = (dice.random(20_000) < truth).astype(float)
    action = np.zeros(20_000, int)
    errors = [
        float(np.mean((cross_fit(features, action, reward, 1, model=model)[:, 0] - truth) ** 2))
        for model in (Logistic(), Ridge())
    ]
    assert errors[0] < 0.1 * errors[1]


def balance_world(n: int, seed: int) -> tuple[Floats, Actions, Floats, Floats, float]:
    """A log whose probabilities nobody kept; what the target would earn is known."""
    dice = np.random.default_rng(seed)
    x = dice.normal(size=(n, 1))
    chance = 1.0 / (1.0 + np.exp(-x[:, 0]))
    action = (dice.random(n) < chance).astype(int)
    target = np.column_stack([chance, 1.0 - chance])
    worth = np.column_stack([0.3 + 0.1 * np.tanh(x[:, 0]), 0.5 + 0.2 * np.tanh(x[:, 0])])
    reward = (dice.random(n) < worth[np.arange(n), action]).astype(float)
    return x, action, reward, target, float((target * worth).sum(axis=1).mean())


def test_estimated_importances_come_near_the_true_ones() -> None:
    """Where log-odds are linear in the features the classifier finds the ratio, and B-IPW the value."""
    x, action, reward, target, truth = balance_world(20_000, seed=4)
    weight = balanced_weights(x, action, target)
    at = np.arange(20_000)
    true = target[at, action] / (1.0 - target[at, action])
    middle = np.abs(x[:, 0]) < 1.5
    assert np.abs(weight / true - 1.0)[middle].max() < 0.2
    rows = weighed(weight, reward, groups=at)
    found = judge(rows, estimator=BIPW())
    assert abs(found.value - truth) < 5.0 * found.standard_error
    assert found.diagnostics.verdict == "ok"
    assert math.isnan(found.diagnostics.min_probability)
    assert abs(reward.mean() - truth) > 3.0 * found.standard_error


def test_without_features_importances_are_ratios_of_frequencies() -> None:
    """Each action's rows share what the target gives it: the value is the target's mix of means."""
    action = np.array([0] * 30 + [1] * 10)
    target = np.broadcast_to([0.2, 0.8], (40, 2))
    weight = balanced_weights(np.zeros((40, 1)), action, target, groups=np.arange(40), seed=3)
    reward = action * 1.0
    assert judge(weighed(weight, reward), estimator=BIPW()).value == pytest.approx(0.8, abs=0.1)
    assert np.ptp(weight[action == 0]) < 0.2


def test_an_action_that_the_target_never_takes_weighs_nothing() -> None:
    """And one that only a fold took is weighed by its target all the same."""
    target = np.broadcast_to([1.0, 0.0, 0.0], (20, 3))
    action = np.array([0] * 9 + [1] * 10 + [2])
    weight = balanced_weights(np.zeros((20, 1)), action, target)
    assert (weight[action > 0] == 0.0).all()
    assert (weight[action == 0] > 0.0).all()
    lone = balanced_weights(np.zeros((20, 1)), action, np.full((20, 3), 1.0 / 3.0))
    assert np.isfinite(lone).all()
    assert lone[-1] > 1.0


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (([[0.0]] * 2, [0, 1], [[0.5, 0.6]] * 2), {}, "target at row 0 is 1.1"),
        (([[0.0]] * 2, [0, 1], [[0.5, 0.5]]), {}, "target is 1, expected 2 rows"),
        (([[0.0]], [0, 1], [[0.5, 0.5]] * 2), {}, "X is 1, expected 2 rows"),
        (([[0.0]] * 2, [0, 2], [[0.5, 0.5]] * 2), {}, "action at row 1 is 2"),
        (([[0.0]] * 2, [0, 1], [[0.5, 0.5]] * 2), {"folds": 1}, "folds is 1, expected 2 or more"),
        (([[0.0]] * 2, [0, 1], [[0.5, 0.5]] * 2), {"groups": [1, 1]}, "fold is ., expected some row"),
    ],
)
def test_what_cannot_be_balanced_is_refused(
    arguments: tuple[Any, ...], options: dict[str, Any], message: str
) -> None:
    """The error names field, row and value."""
    with pytest.raises(EvaluationError, match=message):
        balanced_weights(*arguments, **options)


@pytest.mark.parametrize(
    ("weight", "reward", "groups", "message"),
    [
        ([1.0, -1.0], [0.0, 1.0], None, "weight at row 1 is -1.0"),
        ([1.0, math.nan], [0.0, 1.0], None, "weight at row 1 is nan"),
        ([1.0, 1.0], [0.0, math.nan], None, "reward at row 1 is nan"),
        ([1.0, 1.0], [0.0], None, "reward is 1, expected 2 rows"),
        ([1.0, 1.0], [0.0, 1.0], [1], "groups is 1, expected 2 rows"),
    ],
)
def test_weights_from_elsewhere_are_checked(
    weight: list[float], reward: list[float], groups: list[int] | None, message: str
) -> None:
    """The error names field, row and value."""
    with pytest.raises(EvaluationError, match=message):
        weighed(weight, reward, groups=groups)


def test_logistic_predictions_serve_an_estimate() -> None:
    """DM by cross-fitted chances is nearer the truth than IPW is precise."""
    x, action, reward, target, truth = balance_world(5000, seed=6)
    logged = Logged(action, reward, probability=1.0 - target[np.arange(5000), action])
    q = cross_fit(x, action, reward, 2, model=Logistic())
    modelled, plain, corrected = (estimate(logged, target, estimator=one, q=q) for one in (DM(), IPW(), DR()))
    assert abs(modelled.value - truth) < 5.0 * plain.standard_error
    assert corrected.standard_error < plain.standard_error
    assert (
        estimate(logged, target, q=q).standard_error
        < estimate(logged, target, estimator=IPW()).standard_error
    )
