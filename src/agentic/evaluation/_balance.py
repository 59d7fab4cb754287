"""How much likelier would the target have taken this action: importances that a classifier estimates."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from agentic._offpolicy import (
    Floats,
    Ints,
    as_actions,
    as_floats,
    check_below,
    check_length,
    reject,
)
from agentic.errors import EvaluationError
from agentic.evaluation._logistic import newton
from agentic.evaluation._training import FEATURES_REMEDY, folded

_SUM_TOLERANCE = 1e-6


def balanced_weights(
    X: npt.ArrayLike,
    action: npt.ArrayLike,
    target: npt.ArrayLike,
    /,
    *,
    folds: int = 2,
    seed: int = 0,
    groups: npt.ArrayLike | None = None,
    penalty: float = 1.0,
) -> Floats:
    """Estimate target over logging probability of every logged action, without logged probabilities.

    A classifier tells the logged pairs of features and action from those that the target would make; its
    odds are the importance. Here it is one logistic regression for each action, fitted to the target's
    probabilities themselves rather than to draws from it, and no row is weighed by a classifier that has seen
    it. It can only balance what the features tell: what the logging policy knew besides stays a bias.

    Args:
        X: Shape (n, d), finite; of comparable scales.
        action: Shape (n,), positions 0 to k - 1.
        target: Shape (n, k), the target's probability of every action, rows summing to 1.
        folds: Number of parts, 2 or more; each is weighed by a classifier of the others.
        seed: Chooses among the foldings.
        groups: Shape (n,), integers or strings, such as subjects; None when rows are independent.
        penalty: More than 0, as in `Logistic`: drawn towards the plain ratio of frequencies.

    Returns:
        Weights for `weighed`, shape (n,), float64, not negative.

    Raises:
        EvaluationError: Malformed input, named by row and field; too few rows or groups; or the fit of an
            action does not converge.

    Source: Sondhi, Arbour, Dimmery 2020, Balanced Off-Policy Evaluation in General Action Spaces.

    .. versionadded:: 0.1
    """
    actions = as_actions("action", action)
    features = as_floats("X", X, ndim=2, remedy=FEATURES_REMEDY)
    policy = as_floats("target", target, ndim=2, remedy="check the policy being evaluated")
    n, k = actions.size, policy.shape[1]
    check_length("X", len(features), n)
    check_length("target", len(policy), n)
    check_below(actions, k)
    off = (policy.min(axis=1) < 0.0) | (np.abs(policy.sum(axis=1) - 1.0) > _SUM_TOLERANCE)
    if off.any():
        row = int(np.argmax(off))
        reject("target", row, float(policy[row].sum()), "probabilities that sum to 1", "normalise every row")
    if folds < 2:
        reject("folds", None, folds, "2 or more", "give 2, so that no row is weighed by its own classifier")
    if not 0.0 < penalty < math.inf:
        reject("penalty", None, penalty, "a finite number above 0", "1.0 suits standardised features")
    fold = folded(n, groups, folds=folds, seed=seed)
    weight = np.zeros(n)
    for part in range(folds):
        held, others = np.flatnonzero(fold == part), np.flatnonzero(fold != part)
        if held.size and not others.size:
            remedy = "give more rows or groups, or another seed"
            reject("fold", None, part, "some row or group outside it to learn from", remedy)
        for number in np.unique(actions[held]).tolist():
            mine = held[actions[held] == number]
            weight[mine] = _ratio(features, actions, policy[:, number], others, mine, number, penalty)
    return weight


def _ratio(
    features: Floats,
    actions: Ints,
    target: Floats,
    others: Ints,
    mine: Ints,
    number: int,
    penalty: float,
) -> Floats:
    """Return the odds that a row of one action came from the target, for rows that taught nothing."""
    logged = others[actions[others] == number]
    wanted = others[target[others] > 0.0]
    mass = float(target[wanted].sum())
    if mass == 0.0:
        return np.zeros(mine.size)
    x = features[np.concatenate([wanted, logged])]
    y = np.concatenate([np.ones(wanted.size), np.zeros(logged.size)])
    importance = np.concatenate([target[wanted], np.ones(logged.size)])
    # An action that the others never took counts as taken half a time.
    offset = math.log(mass / max(0.5, float(logged.size)))
    try:
        intercept, slope = newton(x, y, importance, offset, penalty)
    except ArithmeticError as error:
        message = (
            f"the classifier of action {number} is unsettled, expected it to converge; scale the features "
            "to comparable sizes, or raise the penalty"
        )
        raise EvaluationError(message, field="action", value=number) from error
    ratio: Floats = np.exp(features[mine] @ slope + intercept)
    return ratio
