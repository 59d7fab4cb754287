"""Which reward to expect of every action: ridge regression, one for each action."""

from __future__ import annotations

import attrs
import numpy as np
import numpy.typing as npt

from agentic._offpolicy import Floats, Ints, as_floats, reject
from agentic.evaluation._training import FEATURES_REMEDY, checked, checked_weight


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
        features = as_floats("X", X, ndim=2, remedy=FEATURES_REMEDY)
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
    features, actions, rewards = checked(X, action, reward, k)
    _check_penalty(penalty)
    return _fit(features, actions, rewards, checked_weight(weight, actions.size), k, penalty)


@attrs.frozen
class Ridge:
    """Fits `fit_ridge`, for `cross_fit`.

    Attributes:
        penalty: As `fit_ridge`.

    .. versionadded:: 0.1
    """

    penalty: float = attrs.field(default=1.0, kw_only=True)

    def __attrs_post_init__(self) -> None:
        """Refuse a penalty that is none."""
        _check_penalty(self.penalty)

    def fit(
        self,
        X: npt.ArrayLike,
        action: npt.ArrayLike,
        reward: npt.ArrayLike,
        k: int,
        /,
        *,
        weight: npt.ArrayLike | None = None,
    ) -> RewardModel:
        """Learn from rows, as `fit_ridge`."""
        return fit_ridge(X, action, reward, k, penalty=self.penalty, weight=weight)


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
