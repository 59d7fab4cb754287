"""Did the groups come out as large as they were meant to: the sample-ratio check."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import attrs
import numpy as np

from agentic._offpolicy import as_floats, reject
from agentic._statistics import chi_square_tail
from agentic.arrays import F64, I64

SUSPECT: Final = 0.001
"""Below this p-value a sample ratio is taken for wrong: the check is made often, and chance is to be rare."""
_MOST_TABLES: Final = 2_000_000


@attrs.frozen
class SampleRatio:
    """Says whether groups are as large as their shares say.

    A mismatch means that the assignment, the logging or the filter before the analysis is broken, and that
    no comparison of these groups is to be trusted.

    Attributes:
        observed: Subjects in each group.
        expected: What the shares make of their sum.
        chi_square: The statistic.
        degrees: Of freedom: groups less one.
        p_value: How often chance alone would part them as far.
    """

    observed: tuple[int, ...]
    expected: tuple[float, ...]
    chi_square: float
    degrees: int
    p_value: float

    @property
    def mismatch(self) -> bool:
        """Whether the p-value is below 0.001."""
        return self.p_value < SUSPECT

    @property
    def verdict(self) -> str:
        """In words."""
        return "sample ratio mismatch: do not trust the comparison" if self.mismatch else "sizes as planned"

    def __str__(self) -> str:
        expected = ", ".join(f"{one:.1f}" for one in self.expected)
        observed = ", ".join(str(one) for one in self.observed)
        return f"{observed} subjects where {expected} were expected (p = {self.p_value:.3g}): {self.verdict}"


def sample_ratio(observed: Sequence[int], shares: Sequence[float], /) -> SampleRatio:
    """Check the sizes of two or more groups against their shares.

    For one look, with five or more expected in each group; with fewer, use `exact_sample_ratio`.

    Args:
        observed: Subjects in each group; all subjects who were assigned, not only those with an outcome.
        shares: What each was to have, in any unit; above 0.

    Raises:
        EvaluationError: Not as many shares as groups, fewer than two, a negative count, or nobody at all.

    Source: Pearson 1900; Fabijan et al. 2019, Diagnosing sample ratio mismatch in online controlled
    experiments, for the threshold of the verdict.
    """
    counts, expected = _checked(observed, shares)
    value = float(((counts - expected) ** 2 / expected).sum())
    return _found(counts, expected, value, chi_square_tail(value, len(counts) - 1))


def exact_sample_ratio(observed: Sequence[int], shares: Sequence[float], /) -> SampleRatio:
    """Check sizes as `sample_ratio` does, with the exact distribution of the statistic.

    It counts every way in which the subjects could have been parted, so it is for few.

    Args:
        observed: Subjects in each group.
        shares: What each was to have, in any unit; above 0.

    Raises:
        EvaluationError: As `sample_ratio`; or there are more than two million ways.

    Source: the multinomial distribution, ordered by Pearson's statistic.
    """
    counts, expected = _checked(observed, shares)
    n, groups = int(counts.sum()), len(counts)
    ways = math.comb(n + groups - 1, groups - 1)
    if ways > _MOST_TABLES:
        reject("observed", None, n, "few subjects", "use sample_ratio, which is close enough for so many")
    value = float(((counts - expected) ** 2 / expected).sum())
    factorial = np.cumsum(np.log(np.maximum(1.0, np.arange(n + 1))))
    log_share = np.log(expected / n)
    # Left over after each group, with the statistic and the log-probability so far.
    left, far, log = np.array([n]), np.zeros(1), np.array([factorial[n]])
    for group in range(groups):
        if group == groups - 1:
            taken, row = left, np.arange(len(left))
        else:
            row = np.repeat(np.arange(len(left)), left + 1)
            ends = np.cumsum(left + 1)
            taken = np.arange(ends[-1]) - np.repeat(ends - left - 1, left + 1)
        far = far[row] + (taken - expected[group]) ** 2 / expected[group]
        log = log[row] + taken * log_share[group] - factorial[taken]
        left = left[row] - taken
    mass = np.exp(log)
    beyond = far >= value * (1.0 - 1e-9) - 1e-12
    return _found(counts, expected, value, min(1.0, float(mass[beyond].sum() / mass.sum())))


def _checked(observed: Sequence[int], shares: Sequence[float]) -> tuple[I64, F64]:
    counts = np.asarray(observed)
    parts = as_floats("shares", shares, ndim=1, remedy="give a number above 0 for each group")
    if counts.ndim != 1 or len(counts) < 2:
        reject("observed", None, counts.shape, "two groups or more", "count every group, the empty ones too")
    if counts.dtype.kind not in "iu":
        reject("observed", None, counts.dtype.name, "whole numbers", "count subjects")
    if (counts < 0).any():
        row = int(np.argmax(counts < 0))
        reject("observed", row, counts[row], "0 or more", "count subjects")
    if parts.shape != counts.shape:
        reject(
            "shares", None, parts.shape, f"{len(counts)} shares, one for each group", "add what is missing"
        )
    bad = ~(np.isfinite(parts) & (parts > 0.0))
    if bad.any():
        row = int(np.argmax(bad))
        reject("shares", row, parts[row], "a number above 0", "leave out groups that were to have nobody")
    if not counts.any():
        reject("observed", None, 0, "some subjects", "wait until somebody was assigned")
    parts = parts / parts.max()  # so that their sum is finite
    return counts.astype(np.int64), parts / parts.sum() * float(counts.sum())


def _found(counts: I64, expected: F64, value: float, p_value: float) -> SampleRatio:
    return SampleRatio(tuple(counts.tolist()), tuple(expected.tolist()), value, len(counts) - 1, p_value)
