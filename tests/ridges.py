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
    """Coefficients (k, d), inverses of A (k, d, d) and noise of ridge regression about the mean reward."""
    weight = np.ones(len(of)) if weight is None else weight
    level = weight @ of.reward / weight.sum()
    prior = precision * variances(of.X, weight)
    prior[-1] = min(precision, 1.0)
    coefficients, inverses, residual = [], [], 0.0
    for action in range(of.allowed.shape[1]):
        mine = of.action == action
        X, y, w = of.X[mine], of.reward[mine] - level, weight[mine]
        inverse = np.linalg.inv((X * w[:, None]).T @ X + np.diag(prior))
        theta = inverse @ (X * w[:, None]).T @ y
        residual += w @ (y - X @ theta) ** 2 + prior @ theta**2
        theta[-1] += level
        coefficients.append(theta)
        inverses.append(inverse)
    variance = weight @ (of.reward - level) ** 2 / weight.sum()
    noise = math.sqrt((5 * variance + residual) / (5 + weight.sum()))
    return np.array(coefficients), np.array(inverses), noise
