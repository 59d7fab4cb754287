"""Where is the mean of bounded outcomes? Found by betting against every value it might have."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from agentic._sequential._bounded import (
    ConfidenceSequence,
    as_unit,
    check_alpha,
    predictable_stakes,
)
from agentic._sequential._checks import Floats, log_sum, reject

# Tilts of the odds, as logarithms: most weight where 100 to 2,000 outcomes of usual spread decide, and
# some everywhere from 1 % to a factor of three thousand.
_TILTS: Final = np.geomspace(0.01, 8.0, 40)
_BELL: Final = -0.5 * np.log(_TILTS / 0.6) ** 2
_LOG_WEIGHTS: Final = np.log(0.9 * np.exp(_BELL - log_sum(_BELL)) + 0.1 / _TILTS.size)
_ROWS: Final = 16_384
_COLUMNS: Final = 64
_STEPS: Final = 45


def betting_sequence(
    x: npt.ArrayLike, /, *, alpha: float = 0.05, at: npt.ArrayLike | None = None
) -> ConfidenceSequence:
    """Return the betting sequence with a fixed mixture of stakes: tight, exact, and fast at chosen times.

    A stake on the odds of an outcome is worth, against any value of the mean, a sum over the outcomes less
    a term for that value; so one pass serves all values, and bounds are roots instead of a grid's steps.

    Args:
        x: Shape (n,), in [0, 1], in the order they came.
        alpha: Chance of ever missing the mean, in (0, 1).
        at: Shape (times,), rising numbers of outcomes at which bounds are wanted; None for all.

    Returns:
        Bounds of shape (times,), each as tight as any before.

    Source: Waudby-Smith and Ramdas 2024, section 4, with the mixture of Orabona and Jun 2024, Tight
    concentrations and confidence sequences from the regret of universal portfolio, replaced by one over
    tilts of the odds, whose wealth splits into a sum and a term for the mean.

    .. versionadded:: 0.1
    """
    values = as_unit(x)
    check_alpha(alpha)
    if values.ndim != 1:
        reject("x", values.shape, "a shape (n,)", "give one sequence")
    times = _chosen(at, values.size)
    lower = betting_lower(values, alpha=alpha / 2.0, times=times)
    upper = 1.0 - betting_lower(1.0 - values, alpha=alpha / 2.0, times=times)
    return ConfidenceSequence(lower, upper).narrowed


def betting_lower(
    x: Floats,
    *,
    alpha: float,
    times: npt.NDArray[np.int64],
    stakes: Floats | None = None,
    log_weights: Floats | None = None,
) -> Floats:
    """Return a lower confidence sequence for a mean in [0, 1] of outcomes of 0 or more.

    Args:
        x: Shape (n,), 0 or more, not bounded above.
        alpha: Chance of ever lying above the mean.
        times: Shape (times,), rising, 1 to n.
        stakes: Shape (stakes,), above 0: what is put on an outcome, against a mean of 0.
        log_weights: Shape (stakes,): logarithms of weights that sum to 1.
    """
    put = np.expm1(_TILTS) if stakes is None else stakes
    weights = _LOG_WEIGHTS if log_weights is None else log_weights
    out = np.empty(times.size)
    won = np.zeros(put.size)
    for start in range(0, x.size, _ROWS):
        block = x[start : start + _ROWS]
        wealth = np.log1p(np.multiply.outer(block, put)).cumsum(axis=0) + won
        won = wealth[-1]
        chosen = slice(*np.searchsorted(times, [start + 1, start + block.size + 1]))
        if times[chosen].size:
            at = times[chosen]
            out[chosen] = _roots(wealth[at - 1 - start] + weights, at, put, -math.log(alpha))
    return out


def _roots(wealth: Floats, at: npt.NDArray[np.int64], put: Floats, threshold: float) -> Floats:
    """Return at each time the largest mean that, with all below it, is ruled out; 0 if none is."""
    low, high = np.zeros(at.size), np.ones(at.size)
    for _ in range(_STEPS):
        middle = 0.5 * (low + high)
        terms = wealth - at[:, None] * np.log1p(middle[:, None] * put)
        top = terms.max(axis=1)
        against = top + np.log(np.exp(terms - top[:, None]).sum(axis=1))
        out = against >= threshold
        low, high = np.where(out, middle, low), np.where(out, high, middle)
    return low


def _chosen(at: npt.ArrayLike | None, n: int) -> npt.NDArray[np.int64]:
    if at is None:
        return np.arange(1, n + 1)
    times = np.asarray(at)
    good = times.ndim == 1 and times.size and times.dtype.kind in "iu"
    if not good or times[0] < 1 or times[-1] > n or (np.diff(times) <= 0).any():
        reject("at", times.shape, f"rising whole numbers from 1 to {n}", "say after how many outcomes")
    return times.astype(np.int64)


def hedged_sequence(
    x: npt.ArrayLike,
    /,
    *,
    alpha: float = 0.05,
    breaks: int = 1000,
    truncation: float = 0.5,
) -> ConfidenceSequence:
    """Return the hedged-capital sequence on a grid of means: stakes follow the spread seen so far.

    Takes n times `breaks` steps; `betting_sequence` is faster and as tight.

    Args:
        x: Shape (n,), in [0, 1], in the order they came.
        alpha: Chance of ever missing the mean, in (0, 1).
        breaks: Steps of the grid; bounds are widened by one of them.
        truncation: The largest stake, as a share of the one that could ruin, in (0, 1).

    Source: Waudby-Smith and Ramdas 2024, theorem 3, with half of the capital on either side.

    .. versionadded:: 0.1
    """
    values = as_unit(x)
    check_alpha(alpha)
    if values.ndim != 1:
        reject("x", values.shape, "a shape (n,)", "give one sequence")
    stakes = predictable_stakes(values, alpha=alpha / 2.0)
    grid = np.arange(breaks + 1) / breaks
    first = np.full(values.size, breaks + 1)
    last = np.full(values.size, -1)
    threshold = -math.log(alpha / 2.0)
    for start in range(0, grid.size, _COLUMNS):
        means = grid[start : start + _COLUMNS, None]
        kept = (_capital(values, means, stakes, truncation) <= threshold) & (
            _capital(1.0 - values, 1.0 - means, stakes, truncation) <= threshold
        )
        some = kept.any(axis=0)
        first = np.where(some, np.minimum(first, start + kept.argmax(axis=0)), first)
        last = np.where(some, start + len(means) - 1 - kept[::-1].argmax(axis=0), last)
    empty = last < 0
    lower = np.where(empty, 0.0, np.maximum(0.0, (first - 1) / breaks))
    upper = np.where(empty, 1.0, np.minimum(1.0, (last + 1) / breaks))
    return ConfidenceSequence(lower, upper)


def hedged_lower(x: Floats, *, alpha: float, breaks: int = 1000, truncation: float = 0.5) -> Floats:
    """Return a lower confidence sequence for a mean in [0, 1] of outcomes of 0 or more, on a grid.

    Args:
        x: Shape (n,), 0 or more, not bounded above.
        alpha: Chance of ever lying above the mean.
        breaks: Steps of the grid; the bound is lowered by one of them.
        truncation: The largest stake, as a share of the one that could ruin, in (0, 1).
    """
    stakes = predictable_stakes(x, alpha=alpha)
    grid = np.arange(breaks + 1) / breaks
    first = np.full(x.size, breaks + 1)
    for start in range(0, grid.size, _COLUMNS):
        means = grid[start : start + _COLUMNS, None]
        kept = _capital(x, means, stakes, truncation) <= -math.log(alpha)
        first = np.where(kept.any(axis=0), np.minimum(first, start + kept.argmax(axis=0)), first)
    lower: Floats = np.where(first > breaks, 0.0, np.maximum(0.0, (first - 1) / breaks))
    return lower


def _capital(x: Floats, means: Floats, stakes: Floats, truncation: float) -> Floats:
    """Return the logarithm of what bets that the mean is higher have won: shape (means, n)."""
    with np.errstate(divide="ignore"):
        put = np.minimum(stakes, truncation / means)
    capital: Floats = np.log1p(put * (x - means)).cumsum(axis=1)
    return capital
