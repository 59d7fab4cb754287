"""What do several p-values prove together: adjusted for how many there are."""

from __future__ import annotations

from typing import Any  # factors are whole numbers or not

import numpy as np
import numpy.typing as npt

from agentic._offpolicy import as_floats, reject
from agentic.arrays import F64


def bonferroni(p_values: npt.ArrayLike, /) -> F64:
    """Adjust so that the chance of any false alarm among all is controlled, whatever depends on what.

    Args:
        p_values: Shape (m,), 0 to 1.

    Returns:
        Shape (m,): what is below alpha may be called proven at alpha, in the order given.

    Raises:
        EvaluationError: Not numbers from 0 to 1.

    Source: Dunn 1961, Multiple comparisons among means.
    """
    p = _checked(p_values)
    return np.minimum(1.0, p * len(p))


def holm(p_values: npt.ArrayLike, /) -> F64:
    """Adjust as `bonferroni` does, step by step down from the smallest: never less powerful.

    Source: Holm 1979, A simple sequentially rejective multiple test procedure.
    """
    p = _checked(p_values)
    return _stepped_down(p, np.arange(len(p), 0, -1))


def hochberg(p_values: npt.ArrayLike, /) -> F64:
    """Adjust step by step up from the largest; for p-values that are independent or rise together.

    Source: Hochberg 1988, A sharper Bonferroni procedure for multiple tests of significance.
    """
    p = _checked(p_values)
    return _stepped_up(p, np.arange(len(p), 0, -1))


def benjamini_hochberg(p_values: npt.ArrayLike, /) -> F64:
    """Adjust so that the share of false ones among what is called proven is controlled.

    For p-values that are independent or rise together.

    Source: Benjamini and Hochberg 1995, Controlling the false discovery rate.
    """
    p = _checked(p_values)
    return _stepped_up(p, len(p) / np.arange(1, len(p) + 1))


def benjamini_yekutieli(p_values: npt.ArrayLike, /) -> F64:
    """Adjust as `benjamini_hochberg` does, whatever depends on what.

    Source: Benjamini and Yekutieli 2001, The control of the false discovery rate in multiple testing under
    dependency, theorem 1.3.
    """
    p = _checked(p_values)
    ranks = np.arange(1, len(p) + 1)
    return _stepped_up(p, len(p) / ranks * (1.0 / ranks).sum())


def stepped_down(p_values: npt.ArrayLike, factors: npt.ArrayLike, /) -> F64:
    """Adjust p-values step by step down from the smallest, by a factor for each step.

    Args:
        p_values: Shape (m,), 0 to 1.
        factors: Shape (m,): how many of the hypotheses may still be true when a step is reached.
    """
    return _stepped_down(_checked(p_values), np.asarray(factors, dtype=np.float64))


def _stepped_down(p: F64, factors: npt.NDArray[Any]) -> F64:
    order = np.argsort(p, kind="stable")
    out = np.empty_like(p)
    out[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * factors))
    return out


def _stepped_up(p: F64, factors: npt.NDArray[Any]) -> F64:
    order = np.argsort(p, kind="stable")
    out = np.empty_like(p)
    out[order] = np.minimum(1.0, np.minimum.accumulate((p[order] * factors)[::-1])[::-1])
    return out


def _checked(p_values: npt.ArrayLike) -> F64:
    p = as_floats("p_values", p_values, ndim=1, remedy="leave out tests that were not made")
    outside = (p < 0.0) | (p > 1.0)
    if outside.any():
        row = int(np.argmax(outside))
        reject("p_values", row, p[row], "0 to 1", "give p-values, not statistics")
    return p
