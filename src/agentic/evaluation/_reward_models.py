"""Which reward to expect of every action: predictions for DM and DR, never from the row itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import attrs
import numpy as np
import numpy.typing as npt

from agentic._offpolicy import Floats, as_floats, reject
from agentic.errors import EvaluationError, reason
from agentic.evaluation._logistic import by_action
from agentic.evaluation._ridge import Ridge
from agentic.evaluation._training import FEATURES_REMEDY, checked, checked_weight, folded


@runtime_checkable
class RewardPredictor(Protocol):
    """Predicts the reward of every action."""

    def predict(self, X: Floats, /) -> npt.ArrayLike:
        """Return predictions of shape (n, k) for features of shape (n, d)."""


@runtime_checkable
class RewardLearner(Protocol):
    """Learns to predict rewards; frozen, so that every fold starts from the same."""

    def fit(
        self,
        X: Floats,
        action: npt.NDArray[np.int64],
        reward: Floats,
        k: int,
        /,
        *,
        weight: Floats | None = None,
    ) -> RewardPredictor:
        """Return what was learned from n rows.

        Args:
            X: Shape (n, d), float64, finite.
            action: Shape (n,), int64, positions 0 to k - 1.
            reward: Shape (n,), float64, finite.
            k: Number of actions; some may have no row.
            weight: Shape (n,), float64, not negative: importance of every row, or None.
        """


_RIDGE = Ridge()


def cross_fit(
    X: npt.ArrayLike,
    action: npt.ArrayLike,
    reward: npt.ArrayLike,
    k: int,
    *,
    model: RewardLearner | None = None,
    folds: int = 2,
    seed: int = 0,
    groups: npt.ArrayLike | None = None,
    penalty: float | None = None,
    weight: npt.ArrayLike | None = None,
) -> Floats:
    """Predict every row's rewards from models fitted on other rows only.

    A row's fold is a hash of its group, or of its position without groups, so that appending rows
    moves none and one subject's rows stay together.

    Args:
        X: Shape (n, d), finite.
        action: Shape (n,), positions 0 to k - 1.
        reward: Shape (n,), finite.
        k: Number of actions.
        model: What learns: `Ridge`, `Logistic`, `PerAction` or `Pooled` around any library's model, or
            your own `RewardLearner`. By default ``Ridge(penalty=penalty)``.
        folds: Number of parts, 2 or more; each is predicted from the others.
        seed: Chooses among the foldings.
        groups: Shape (n,), integers or strings, such as subjects; None when rows are independent.
        penalty: Of the ridge regression where `model` is left out; 1.0 by default.
        weight: Shape (n,), finite, not negative: importance of every row, such as target over
            logged probability; None for equal ones.

    Returns:
        q: Shape (n, k), float64.

    Raises:
        EvaluationError: Malformed input, or too few rows or groups for every fold to learn from others;
            or the model fails, or predicts something else than k finite rewards a row.

    Source: Chernozhukov et al. 2018, Double/debiased machine learning (cross-fitting).

    .. versionadded:: 0.1
    """
    features, actions, rewards = checked(X, action, reward, k)
    if model is not None and penalty is not None:
        reject("penalty", None, penalty, "none beside model", "give it to the model: Ridge(penalty=...)")
    learner: RewardLearner = model or (_RIDGE if penalty is None else Ridge(penalty=penalty))
    n = actions.size
    weights = checked_weight(weight, n)
    if folds < 2:
        reject("folds", None, folds, "2 or more", "use the model's fit to learn from all rows")
    fold = folded(n, groups, folds=folds, seed=seed)
    q = np.empty((n, k))
    for part in range(folds):
        held = np.flatnonzero(fold == part)
        if not held.size:
            continue
        others = np.flatnonzero(fold != part)
        importance = None if weights is None else weights[others]
        if not others.size or (importance is not None and importance.max() == 0.0):
            remedy = "give more rows or groups, or another seed"
            reject("fold", None, part, "some row or group outside it to learn from", remedy)
        learned = learner.fit(features[others], actions[others], rewards[others], k, weight=importance)
        q[held] = predict_rewards(learned, features[held], k)
    return q


def predict_rewards(model: RewardPredictor, X: npt.ArrayLike, k: int, /) -> Floats:
    """Return what any fitted model predicts, once it is what estimators need.

    For a model that was fitted elsewhere, on other rows than those to be judged.

    Args:
        model: Anything whose ``predict(X)`` returns shape (n, k).
        X: Shape (n, d), finite.
        k: Number of actions.

    Returns:
        q: Shape (n, k), float64.

    Raises:
        EvaluationError: The model fails, or predicts another shape, NaN or infinity.

    .. versionadded:: 0.1
    """
    features = as_floats("X", X, ndim=2, remedy=FEATURES_REMEDY)
    return _shaped(_called("predict", None, lambda: model.predict(features)), (len(features), k))


def _shaped(found: Any, shape: tuple[int, ...]) -> Floats:  # Any: whatever a stranger's model returns
    if found is None:
        reject("predictions", None, None, f"shape {shape}", "return the predictions of every action")
    remedy = "predict one finite reward for every action of every row"
    values = as_floats("predictions", found, ndim=len(shape), remedy=remedy)
    if values.shape != shape:
        reject("predictions", None, values.shape, f"shape {shape}", remedy)
    return values


def _called(verb: str, action: int | None, call: Callable[[], Any]) -> Any:  # Any: a stranger's model
    try:
        return call()
    except EvaluationError:
        raise
    except Exception as error:  # a plugin: its own message may hold customers' values
        whose = "the reward model" if action is None else f"the reward model of action {action}"
        message = f"{whose} failed to {verb} ({reason(error)}), expected it to; see the cause"
        raise EvaluationError(message, field="model", value=type(error).__name__) from error


@attrs.frozen
class PerAction:
    """Learns one model of any library for each action: whatever has ``fit(X, y)`` and ``predict(X)``.

    Of a model with ``predict_proba``, a classifier, the chance of class 1 is the prediction. An action
    whose rewards are all equal is predicted by that reward, and one without rows by the overall mean.

    Attributes:
        make: Returns a fresh model, such as ``lambda: GradientBoostingRegressor()``. With importance
            weights its ``fit`` must take ``sample_weight``.

    .. versionadded:: 0.1
    """

    make: Callable[[], Any]  # Any: the models of other libraries share no type

    def fit(
        self,
        X: npt.ArrayLike,
        action: npt.ArrayLike,
        reward: npt.ArrayLike,
        k: int,
        /,
        *,
        weight: npt.ArrayLike | None = None,
    ) -> RewardPredictor:
        """Learn one model for each action that has rows of different rewards."""
        features, actions, rewards = checked(X, action, reward, k)
        weights = checked_weight(weight, actions.size)
        level = np.full(k, float(np.average(rewards, weights=weights)))
        models: list[Any] = [None] * k
        for number, rows in enumerate(by_action(actions, k)):
            mine = rows if weights is None else rows[weights[rows] > 0.0]
            if not mine.size:
                continue
            level[number] = float(rewards[mine[0]])
            if (rewards[mine] != level[number]).any():
                importance = None if weights is None else weights[mine]
                models[number] = _fitted(self.make, number, features[mine], rewards[mine], importance)
        return _Several(models, level)


@attrs.frozen
class Pooled:
    """Learns one model of any library for all actions, from the features and which action it was.

    The columns are those of X and one for each action, 0 or 1. For models that find interactions by
    themselves, such as trees; a linear one would only shift with the action. Classifiers as in `PerAction`.

    Attributes:
        make: Returns a fresh model, as in `PerAction`.

    .. versionadded:: 0.1
    """

    make: Callable[[], Any]  # Any: the models of other libraries share no type

    def fit(
        self,
        X: npt.ArrayLike,
        action: npt.ArrayLike,
        reward: npt.ArrayLike,
        k: int,
        /,
        *,
        weight: npt.ArrayLike | None = None,
    ) -> RewardPredictor:
        """Learn one model from all rows."""
        features, actions, rewards = checked(X, action, reward, k)
        weights = checked_weight(weight, actions.size)
        known = slice(None) if weights is None else weights > 0.0
        if (rewards[known] == rewards[known][0]).all():
            return _Several([None] * k, np.full(k, float(rewards[known][0])))
        wide = np.concatenate([features, np.eye(k)[actions]], axis=1)
        return _Asked(_fitted(self.make, None, wide, rewards, weights), k)


@attrs.frozen(eq=False)
class _Several:
    models: list[Any]
    level: Floats

    def predict(self, X: Floats, /) -> Floats:
        q = np.tile(self.level, (len(X), 1))
        for number, model in enumerate(self.models):
            if model is not None:
                q[:, number] = _answers(model, number, X)
        return q


@attrs.frozen(eq=False)
class _Asked:
    model: Any
    k: int

    def predict(self, X: Floats, /) -> Floats:
        q = np.empty((len(X), self.k))
        for number in range(self.k):
            mark = np.zeros((len(X), self.k))
            mark[:, number] = 1.0
            q[:, number] = _answers(self.model, None, np.concatenate([X, mark], axis=1))
        return q


def _fitted(
    make: Callable[[], Any], action: int | None, x: Floats, y: Floats, weight: Floats | None
) -> Any:  # Any: a stranger's model
    model = _called("be made", action, make)
    for verb in ("fit", "predict"):
        if not callable(getattr(model, verb, None)):
            name = type(model).__name__
            reject("model", None, name, f"something with {verb}()", "return a fresh model from make()")
    given = {} if weight is None else {"sample_weight": weight}
    _called("fit", action, lambda: model.fit(x, y, **given))
    return model


def _answers(model: Any, action: int | None, x: Floats) -> Floats:
    if not callable(getattr(model, "predict_proba", None)):
        return _shaped(_called("predict", action, lambda: model.predict(x)), (len(x),))
    chances = np.asarray(_called("predict", action, lambda: model.predict_proba(x)))
    classes = np.asarray(model.classes_).tolist()
    found = _shaped(chances, (len(x), len(classes)))
    if not set(classes) <= {0, 1}:
        reject("model", None, classes, "the classes 0 and 1", "use a regressor for other rewards")
    return found[:, classes.index(1)]
