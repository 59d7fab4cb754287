"""How likely is a click by the features: penalised logistic regression, one for each action."""

from __future__ import annotations

import math
from typing import Final

import attrs
import numpy as np
import numpy.typing as npt

from agentic._offpolicy import Floats, Ints, as_floats, reject
from agentic.errors import EvaluationError
from agentic.evaluation._training import FEATURES_REMEDY, checked, checked_weight

_MOST_STEPS: Final = 100
_SMALL: Final = 1e-8  # a Newton step this small leaves an error of about its square


@attrs.frozen(eq=False)
class LogisticModel:
    """Predicts the chance of a reward of 1 for every action, log-odds linear in the features.

    Attributes:
        intercept: Shape (k,), float64, log-odds.
        coefficient: Shape (k, d), float64, log-odds per unit of a feature.

    .. versionadded:: 0.1
    """

    intercept: Floats
    coefficient: Floats

    def predict(self, X: npt.ArrayLike, /) -> Floats:
        """Return the chance of every action, shape (n, k), float64, 0 to 1.

        Args:
            X: Shape (n, d), finite.

        Raises:
            EvaluationError: Not finite, or of another number of features.
        """
        features = as_floats("X", X, ndim=2, remedy=FEATURES_REMEDY)
        d = self.coefficient.shape[1]
        if features.shape[1] != d:
            reject("X", None, features.shape, f"{d} columns, as fitted", "give the features of the fit")
        return chance(features @ self.coefficient.T + self.intercept)


@attrs.frozen
class Logistic:
    """Fits one logistic regression for each action, drawn towards the overall rate.

    For rewards of 0 and 1, or shares between. Features are centred within each action, and the action's own
    level is penalised like the slopes, as its distance from the overall log-odds; so an action never seen
    is predicted by the overall rate, and separable data do no harm.

    Attributes:
        penalty: More than 0: log-odds move by about 1 / sqrt(penalty) before the data must insist.

    Source: le Cessie and van Houwelingen 1992, Ridge Estimators in Logistic Regression, drawn towards the
    overall log-odds rather than 0, by Newton's method with halved steps.

    .. versionadded:: 0.1
    """

    penalty: float = attrs.field(default=1.0, kw_only=True)

    def __attrs_post_init__(self) -> None:
        """Refuse a penalty under which separable rewards have no fit."""
        if not 0.0 < self.penalty < math.inf:
            remedy = "1.0 suits standardised features"
            reject("penalty", None, self.penalty, "a finite number above 0", remedy)

    def fit(
        self,
        X: npt.ArrayLike,
        action: npt.ArrayLike,
        reward: npt.ArrayLike,
        k: int,
        /,
        *,
        weight: npt.ArrayLike | None = None,
    ) -> LogisticModel:
        """Learn from rows.

        Args:
            X: Shape (n, d), finite; of comparable scales, since one penalty serves all.
            action: Shape (n,), positions 0 to k - 1.
            reward: Shape (n,), 0 to 1.
            k: Number of actions.
            weight: Shape (n,), finite, not negative: importance of every row; None for equal ones.

        Raises:
            EvaluationError: Malformed input, named by row and field; or the fit of an action does not
                converge.
        """
        features, actions, rewards = checked(X, action, reward, k)
        outside = (rewards < 0.0) | (rewards > 1.0)
        if outside.any():
            row = int(np.argmax(outside))
            reject("reward", row, rewards[row], "0, 1 or a share between", "use Ridge() for other rewards")
        weights = checked_weight(weight, actions.size)
        masses = np.ones(actions.size) if weights is None else weights
        # Half a click and half a miss more keep the log-odds finite.
        overall = logit((float(masses @ rewards) + 0.5) / (float(masses.sum()) + 1.0))
        d = features.shape[1]
        intercept, coefficient = np.full(k, overall), np.zeros((k, d))
        for number, rows in enumerate(by_action(actions, k)):
            mass = masses[rows]
            if not mass.any():
                continue
            try:
                intercept[number], coefficient[number] = newton(
                    features[rows], rewards[rows], mass, overall, self.penalty
                )
            except ArithmeticError as error:
                message = (
                    f"the fit of action {number} is unsettled after {_MOST_STEPS} steps, expected it to "
                    "converge; scale the features to comparable sizes, or raise the penalty"
                )
                raise EvaluationError(message, field="action", value=number) from error
        return LogisticModel(intercept, coefficient)


def by_action(actions: Ints, k: int) -> list[Ints]:
    """Return the rows of every action, in order."""
    order = np.argsort(actions, kind="stable")
    return list(np.split(order, np.cumsum(np.bincount(actions, minlength=k))[:-1]))


def logit(share: float) -> float:
    """Return the log-odds of a share."""
    return math.log(share / (1.0 - share))


def chance(log_odds: Floats) -> Floats:
    """Return the chances of log-odds, without overflow."""
    half: Floats = 0.5 + 0.5 * np.tanh(0.5 * log_odds)
    return half


def newton(x: Floats, y: Floats, mass: Floats, offset: float, penalty: float) -> tuple[float, Floats]:
    """Return the intercept and the slopes of least penalised loss.

    The loss is the sum of mass times the log loss, plus penalty / 2 times the squares of the slopes and of
    the level at the mean of x, as its distance from `offset`.

    Args:
        x: Shape (m, d), float64.
        y: Shape (m,), float64, 0 to 1.
        mass: Shape (m,), float64, not negative, not all 0.
        offset: Log-odds to which the level is drawn.
        penalty: More than 0.

    Raises:
        ArithmeticError: The steps do not become small.
    """
    centre = mass @ x / mass.sum()
    design = np.empty((len(x), x.shape[1] + 1))
    design[:, 0] = 1.0
    np.subtract(x, centre, out=design[:, 1:])
    theta = np.zeros(design.shape[1])

    def loss(at: Floats) -> float:
        eta = design @ at + offset
        return float(mass @ (np.logaddexp(0.0, eta) - y * eta)) + 0.5 * penalty * float(at @ at)

    now = loss(theta)
    for _ in range(_MOST_STEPS):
        fitted = chance(design @ theta + offset)
        slope = design.T @ (mass * (fitted - y)) + penalty * theta
        curve = (design * (mass * fitted * (1.0 - fitted))[:, None]).T @ design
        curve[np.diag_indices_from(curve)] += penalty
        step = np.linalg.solve(curve, slope)
        if np.abs(step).max() <= _SMALL * (1.0 + np.abs(theta).max()):
            theta = theta - step
            return offset + float(theta[0]) - float(centre @ theta[1:]), theta[1:]
        size = 1.0
        after = loss(theta - step)
        # Rounding of a large loss is no climb.
        while after > now + 1e-12 * abs(now) and size > 1e-6:
            size /= 2.0
            after = loss(theta - size * step)
        theta, now = theta - size * step, after
    raise ArithmeticError
