"""The linear model by the textbook: explicit inverses over all rows, nothing incremental."""

import math

import numpy as np


def variances(X, weight):
    """Variance of each column, leaning to the mean square while little was seen, to a power of two."""
    seen = weight.sum()
    squares, totals = weight @ X**2, weight @ X
    scale = np.exp2(np.rint(np.log2((squares - totals**2 / (seen + 1)) / seen)))
    scale[-1] = 1.0
    return scale


def textbook(of, precision, weight=None):
    """Coefficients (k, d), inverses of A (k, d, d) and noise of ridge regression about a common level."""
    weight = np.ones(len(of)) if weight is None else weight
    prior = precision * variances(of.X, weight)
    prior[-1] = min(precision, 1.0)
    parts = []
    for action in range(of.allowed.shape[1]):
        mine = of.action == action
        X, w = of.X[mine], weight[mine]
        parts.append((X, of.reward[mine], w, np.linalg.inv((X * w[:, None]).T @ X + np.diag(prior))))
    # Generalised least squares: covariances of the rewards over noise^2 are I / w + X prior^-1 X'.
    whitened = [np.linalg.inv(np.diag(1 / w) + (X / prior) @ X.T).sum(axis=0) for X, _, w, _ in parts]
    level = sum(o @ y for o, (_, y, _, _) in zip(whitened, parts, strict=True)) / sum(
        o.sum() for o in whitened
    )
    coefficients, residual = [], 0.0
    for X, y, w, inverse in parts:
        theta = inverse @ (X * w[:, None]).T @ (y - level)
        residual += w @ (y - level - X @ theta) ** 2 + prior @ theta**2
        theta[-1] += level
        coefficients.append(theta)
    variance = weight @ (of.reward - level) ** 2 / weight.sum()
    noise = math.sqrt((5 * variance + residual) / (5 + weight.sum()))
    return np.array(coefficients), np.array([inverse for *_, inverse in parts]), noise
