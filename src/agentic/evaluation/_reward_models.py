"""Which reward to expect of every action: predictions for DM and DR, never from the row itself."""

from __future__ import annotations

import attrs
import numpy as np
import numpy.typing as npt

from agentic import _noise
from agentic._offpolicy import (
    Floats,
    Ints,
    as_actions,
    as_floats,
    check_below,
    check_length,
    reject,
)
from agentic.arrays import U64

_X_REMEDY = "give every feature its declared default before fitting"
_REWARD_REMEDY = "leave rows out while their reward is pending: a missing reward is not a number"


@attrs.frozen(eq=False)
class RewardModel:
    """Predicts the reward of every action, linear in the features.

    Attributes:
        intercept: Shape (k,), float64.
        coefficient: Shape (k, d), float64.

    .. versionadded:: 0.1
    """

    intercept: Floats
    coefficient: Floats

    def predict(self, X: npt.ArrayLike, /) -> Floats:
        """Return the predicted reward of every action, shape (n, k), float64.

        Args:
            X: Shape (n, d), finite.

        Raises:
            EvaluationError: Not finite, or of another number of features.
        """
        features = as_floats("X", X, ndim=2, remedy=_X_REMEDY)
        d = self.coefficient.shape[1]
        if features.shape[1] != d:
            reject("X", None, features.shape, f"{d} columns, as fitted", "give the features of the fit")
        return self._predict(features)

    def _predict(self, features: Floats) -> Floats:
        q = features @ self.coefficient.T
        q += self.intercept
        return q


def fit_ridge(
    X: npt.ArrayLike,
    action: npt.ArrayLike,
    reward: npt.ArrayLike,
    k: int,
    *,
    penalty: float = 1.0,
    weight: npt.ArrayLike | None = None,
) -> RewardModel:
    """Fit one ridge regression for each action, drawn towards the overall mean reward.

    Features are centred within each action and the action's own level is penalised like the
    slopes, as its distance from the overall mean. So an action seen twice stays near that mean, an
    action never seen is predicted by it, and constant or collinear features do no harm.

    Args:
        X: Shape (n, d), finite; of comparable scales, since one penalty serves all.
        action: Shape (n,), positions 0 to k - 1.
        reward: Shape (n,), finite.
        k: Number of actions.
        penalty: In rows: the prior weighs as much as this many rows of unit variance. 0 or more; at 0
            the least-norm solution.
        weight: Shape (n,), finite, not negative: importance of every row, such as target over
            logged probability; None for equal ones.

    Raises:
        EvaluationError: Malformed input, named by row and field.

    Source: Hoerl and Kennard 1970, Ridge Regression: Biased Estimation for Nonorthogonal Problems;
    drawn towards the overall mean rather than 0.

    .. versionadded:: 0.1
    """
    features, actions, rewards = _checked(X, action, reward, k)
    _check_penalty(penalty)
    return _fit(features, actions, rewards, _checked_weight(weight, actions.size), k, penalty)


def cross_fit(
    X: npt.ArrayLike,
    action: npt.ArrayLike,
    reward: npt.ArrayLike,
    k: int,
    *,
    folds: int = 2,
    seed: int = 0,
    groups: npt.ArrayLike | None = None,
    penalty: float = 1.0,
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
        folds: Number of parts, 2 or more; each is predicted from the others.
        seed: Chooses among the foldings.
        groups: Shape (n,), integers or strings, such as subjects; None when rows are independent.
        penalty: As `fit_ridge`.
        weight: As `fit_ridge`.

    Returns:
        q: Shape (n, k), float64.

    Raises:
        EvaluationError: Malformed input, or too few rows or groups for every fold to learn from others.

    Source: Chernozhukov et al. 2018, Double/debiased machine learning (cross-fitting).

    .. versionadded:: 0.1
    """
    features, actions, rewards = _checked(X, action, reward, k)
    _check_penalty(penalty)
    n = actions.size
    weights = _checked_weight(weight, n)
    if folds < 2:
        reject("folds", None, folds, "2 or more", "use fit_ridge to learn from all rows")
    fold = _folds(n, groups, folds=folds, seed=seed)
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
        model = _fit(features[others], actions[others], rewards[others], importance, k, penalty)
        q[held] = model._predict(features[held])
    return q


def _checked(
    X: npt.ArrayLike,
    action: npt.ArrayLike,
    reward: npt.ArrayLike,
    k: int,
) -> tuple[Floats, Ints, Floats]:
    actions = as_actions("action", action)
    features = as_floats("X", X, ndim=2, remedy=_X_REMEDY)
    rewards = as_floats("reward", reward, ndim=1, remedy=_REWARD_REMEDY)
    check_length("X", features.shape[0], actions.size)
    check_length("reward", rewards.size, actions.size)
    check_below(actions, k)
    return features, actions, rewards


def _checked_weight(weight: npt.ArrayLike | None, n: int) -> Floats | None:
    if weight is None:
        return None
    weights = as_floats("weight", weight, ndim=1, remedy="give a finite importance, or leave weight out")
    check_length("weight", weights.size, n)
    if weights.min() < 0.0 or weights.max() == 0.0:
        row = int(weights.argmin())
        remedy = "give each row the importance it should have"
        reject("weight", row, weights[row], "0 or more, and some row above 0", remedy)
    return weights


def _check_penalty(penalty: float) -> None:
    if not 0.0 <= penalty < np.inf:
        reject("penalty", None, penalty, "a finite number of 0 or more", "1.0 suits standardised features")


def _fit(
    features: Floats, actions: Ints, rewards: Floats, weights: Floats | None, k: int, penalty: float
) -> RewardModel:
    d = features.shape[1]
    overall = float(np.average(rewards, weights=weights))
    # A sort groups the rows of each action, so that each Gram matrix is one BLAS call.
    small = actions.astype(np.uint16) if k <= np.iinfo(np.uint16).max else actions
    order = np.argsort(small, kind="stable")
    ends = np.cumsum(np.bincount(actions, minlength=k))
    sorted_features, sorted_rewards = features[order], rewards[order]
    sorted_weights = None if weights is None else weights[order]
    grams, moments = np.zeros((k, d, d)), np.zeros((k, d))
    centres, levels = np.zeros((k, d)), np.zeros(k)
    start = 0
    for column, end in enumerate(ends.tolist()):
        x, r = sorted_features[start:end], sorted_rewards[start:end] - overall
        w = None if sorted_weights is None else sorted_weights[start:end]
        start = end
        mass = float(r.size) if w is None else float(w.sum())
        if mass <= 0.0:
            continue
        centres[column] = x.mean(axis=0) if w is None else w @ x / mass
        x = x - centres[column]
        weighted = x if w is None else x * w[:, None]
        grams[column], moments[column] = weighted.T @ x, weighted.T @ r
        levels[column] = float(r.sum() if w is None else w @ r) / (mass + penalty)
    diagonal = np.arange(d)
    grams[:, diagonal, diagonal] += penalty
    coefficient = _solve(grams, moments, penalty)
    return RewardModel(overall + levels - np.einsum("kd,kd->k", centres, coefficient), coefficient)


def _solve(grams: Floats, moments: Floats, penalty: float) -> Floats:
    # A penalty lost in rounding beside the data leaves a matrix that cannot be solved safely.
    right = moments[:, :, None]
    if penalty > 1e-10 * float(np.abs(grams).max()):
        solution = np.linalg.solve(grams, right)
    else:
        solution = np.linalg.pinv(grams, rcond=1e-10, hermitian=True) @ right
    coefficient: Floats = solution[:, :, 0].astype(np.float64, copy=False)
    return coefficient


def _folds(n: int, groups: npt.ArrayLike | None, *, folds: int, seed: int) -> Ints:
    """Return the fold of every row, shape (n,), int64."""
    if groups is None:
        return _fold(np.arange(n, dtype=np.uint64), seed, folds)
    keys = np.asarray(groups)
    if keys.ndim != 1 or keys.dtype.kind not in "iuSU":
        found = f"{keys.dtype.name} {keys.shape}"
        reject("groups", None, found, "one integer or string per row", "give the subject of every row")
    check_length("groups", keys.size, n)
    if keys.dtype.kind in "iu":
        return _fold(keys.astype(np.uint64), seed, folds)
    names, codes = np.unique(keys, return_inverse=True)
    return _fold(_noise.text_keys([_text(name) for name in names.tolist()]), seed, folds)[codes]


def _text(name: str | bytes) -> str:
    """A name as text that UTF-8 can hold, whatever is in it."""
    raw = name if isinstance(name, bytes) else name.encode("utf-8", "surrogatepass")
    return raw.decode("latin-1")


def _fold(keys: U64, seed: int, folds: int) -> Ints:
    return (_noise.fold(seed, keys) % np.uint64(folds)).astype(np.int64)
