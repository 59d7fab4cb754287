"""How sure is an estimate at every row of a growing log: bounds that may be looked at all the time."""

from __future__ import annotations

from typing import ClassVar, Literal

import attrs
import numpy as np
import numpy.typing as npt

from agentic._offpolicy._intervals import Contributions, independent
from agentic._offpolicy._logged import Floats, Ints, Rows, as_array, as_floats, check_length, reject
from agentic._sequential import (
    ConfidenceSequence,
    bernstein_lower,
    betting_lower,
    check_alpha,
    check_open_unit,
    hedged_lower,
)
from agentic.errors import EvaluationError


def _weighted(
    weight: npt.ArrayLike, reward: npt.ArrayLike, alpha: float, reward_range: tuple[float, float]
) -> tuple[Floats, Floats]:
    """Return weighted rewards and weighted misses, with rewards scaled to lie between 0 and 1."""
    check_alpha(alpha)
    w, r = (
        as_floats(field, values, ndim=1, remedy="leave out rows that are not known yet")
        for field, values in (("weight", weight), ("reward", reward))
    )
    check_length("reward", r.size, w.size)
    low, high = reward_range
    if not -np.inf < low < high < np.inf:
        reject("reward_range", None, reward_range, "(lowest, highest)", "give the ends there can be")
    for field, values, ends in (("weight", w, (0.0, np.inf)), ("reward", r, (low, high))):
        good = (values >= ends[0]) & (values <= ends[1])
        if not good.all():
            row = int(np.argmin(good))
            remedy = "a weight is not negative, a reward within reward_range"
            reject(field, row, values[row], f"a finite number in {ends}", remedy)
    unit = (r - low) / (high - low)
    return w * unit, w * (1.0 - unit)


def _looks(at: npt.ArrayLike | None, n: int) -> Ints:
    """Return after how many rows bounds are asked for: all of them, or as `at` says."""
    if at is None:
        return np.arange(1, n + 1)
    expected, remedy = f"rising whole numbers of rows from 1 to {n}", "count the rows seen by each look"
    looks = as_array("at", at, ndim=1)
    if looks.dtype.kind not in "iu":
        reject("at", None, looks.dtype.name, expected, remedy)
    whole: Ints = looks.astype(np.int64, copy=False)
    good = (np.diff(whole, prepend=0) > 0) & (whole <= n)
    if not good.all():
        row = int(np.argmin(good))
        reject("at", row, whole[row], expected, remedy)
    return whole


def _scaled(lower: Floats, upper: Floats, reward_range: tuple[float, float]) -> ConfidenceSequence:
    low, high = reward_range
    narrowed = ConfidenceSequence(lower, 1.0 - upper).narrowed
    return ConfidenceSequence(low + (high - low) * narrowed.lower, low + (high - low) * narrowed.upper)


def _last(
    interval: AnytimeBernstein | AnytimeBetting | AnytimeHedged,
    rows: Rows,
    contributions: Contributions,
    level: float,
    reward_range: tuple[float, float] | None,
) -> tuple[float, float]:
    """Return the bounds after the last row, once it is clear that they bound what is asked.

    Raises:
        EvaluationError: No reward range, several rows of one group, or an estimator with a model or
            altered weights.
    """
    if reward_range is None:
        remedy = "pass reward_range=(lowest, highest) or use Normal()"
        reject("reward_range", None, None, "the ends of the reward, which this interval needs", remedy)
    if contributions.modelled or contributions.weight is not rows.weight:
        message = (
            f"the {interval.name} interval bounds plain weighted rewards, expected the estimator IPW() or "
            "SNIPW(); use Normal() with an estimator that predicts, clips or shrinks"
        )
        raise EvaluationError(message, expected="IPW() or SNIPW()")
    if not independent(rows):
        message = (
            f"the {interval.name} interval takes rows as independent, expected no groups of several rows; "
            "give one row of each subject, or use Normal()"
        )
        raise EvaluationError(message, field="groups", expected="one row each")
    at = np.array([rows.weight.size])
    found = interval.sequence(rows.weight, rows.reward, alpha=1.0 - level, reward_range=reward_range, at=at)
    return float(found.lower[-1]), float(found.upper[-1])


@attrs.frozen
class AnytimeBernstein:
    """Bounds the target's value at every row by a predictable empirical Bernstein sequence.

    Valid under peeking: the bounds of all rows hold together. No largest weight need be known, but a weight
    that is far larger than those before widens the bounds for long. Rows come in the order they were
    logged; the logging policy may have learned from earlier ones.

    Attributes:
        truncation: The largest stake, in (0, 1).

    Source: Waudby-Smith, Wu, Ramdas, Karampatziakis and Mineiro 2022 (arXiv 2210.10768), proposition 1: the
    lower bound is that of w r, the upper one less that of w (1 - r).

    .. versionadded:: 0.1
    """

    truncation: float = attrs.field(default=0.5, kw_only=True, validator=check_open_unit)
    name = "anytime Bernstein"
    counts_unseen: ClassVar[Literal[True]] = True

    def sequence(
        self,
        weight: npt.ArrayLike,
        reward: npt.ArrayLike,
        /,
        *,
        alpha: float = 0.05,
        reward_range: tuple[float, float] = (0.0, 1.0),
        at: npt.ArrayLike | None = None,
    ) -> ConfidenceSequence:
        """Return the bounds after each row, or after as many rows as `at` says: shape (times,).

        Args:
            weight: Shape (n,), 0 or more, in the order of the log.
            reward: Shape (n,), within `reward_range`.
            alpha: Chance of ever missing the value, in (0, 1).
            reward_range: Lowest and highest reward there can be.
            at: Shape (times,), rising numbers of rows; all if None.

        Raises:
            EvaluationError: An argument is malformed or out of range.
        """
        parts = _weighted(weight, reward, alpha, reward_range)
        looks = _looks(at, parts[0].size)
        lower, upper = (
            bernstein_lower(part, alpha=alpha / 2.0, truncation=self.truncation, mean_cap=1.0)
            for part in parts
        )
        found = _scaled(lower, upper, reward_range)
        return ConfidenceSequence(found.lower[looks - 1], found.upper[looks - 1])

    def bounds(
        self,
        rows: Rows,
        contributions: Contributions,
        /,
        *,
        standard_error: float,
        level: float,
        reward_range: tuple[float, float] | None,
    ) -> tuple[float, float]:
        """Return the bounds after the last row."""
        return _last(self, rows, contributions, level, reward_range)


@attrs.frozen
class AnytimeBetting:
    """Bounds the target's value at every row by bets, with a fixed mixture of stakes: the tightest of these.

    Valid under peeking, as `AnytimeBernstein`. What is computed is a sum over rows for each stake, so a
    million rows take seconds; give the rows at which bounds are wanted as `at`.

    Source: Waudby-Smith and others 2022 (arXiv 2210.10768), section 3, with the mixture of
    `agentic.experiments.betting_sequence` for stakes.

    .. versionadded:: 0.1
    """

    name = "anytime betting"
    counts_unseen: ClassVar[Literal[True]] = True

    def sequence(
        self,
        weight: npt.ArrayLike,
        reward: npt.ArrayLike,
        /,
        *,
        alpha: float = 0.05,
        reward_range: tuple[float, float] = (0.0, 1.0),
        at: npt.ArrayLike | None = None,
    ) -> ConfidenceSequence:
        """Return the bounds after each row, or after as many rows as `at` says: see `AnytimeBernstein`."""
        parts = _weighted(weight, reward, alpha, reward_range)
        looks = _looks(at, parts[0].size)
        lower, upper = (betting_lower(part, alpha=alpha / 2.0, times=looks) for part in parts)
        return _scaled(lower, upper, reward_range)

    def bounds(
        self,
        rows: Rows,
        contributions: Contributions,
        /,
        *,
        standard_error: float,
        level: float,
        reward_range: tuple[float, float] | None,
    ) -> tuple[float, float]:
        """Return the bounds after the last row."""
        return _last(self, rows, contributions, level, reward_range)


@attrs.frozen
class AnytimeHedged:
    """Bounds the target's value at every row by bets whose stakes follow the spread seen so far, on a grid.

    As in the paper's own experiments. Takes n times `breaks` steps; `AnytimeBetting` is faster and tighter.

    Attributes:
        breaks: Steps of the grid over the values there can be.
        truncation: The largest stake, as a share of the one that could ruin, in (0, 1).

    Source: Waudby-Smith and others 2022 (arXiv 2210.10768), section 3.

    .. versionadded:: 0.1
    """

    breaks: int = attrs.field(default=1000, kw_only=True)
    truncation: float = attrs.field(default=0.5, kw_only=True, validator=check_open_unit)
    name = "anytime hedged"
    counts_unseen: ClassVar[Literal[True]] = True

    def __attrs_post_init__(self) -> None:
        """Refuse a grid without steps.

        Raises:
            EvaluationError: Fewer than two.
        """
        if not self.breaks >= 2:
            reject("breaks", None, self.breaks, "2 or more", "1000 is fine enough for three digits")

    def sequence(
        self,
        weight: npt.ArrayLike,
        reward: npt.ArrayLike,
        /,
        *,
        alpha: float = 0.05,
        reward_range: tuple[float, float] = (0.0, 1.0),
        at: npt.ArrayLike | None = None,
    ) -> ConfidenceSequence:
        """Return the bounds after each row, or after as many rows as `at` says: see `AnytimeBernstein`."""
        parts = _weighted(weight, reward, alpha, reward_range)
        looks = _looks(at, parts[0].size)
        lower, upper = (
            hedged_lower(part, alpha=alpha / 2.0, breaks=self.breaks, truncation=self.truncation)
            for part in parts
        )
        found = _scaled(lower, upper, reward_range)
        return ConfidenceSequence(found.lower[looks - 1], found.upper[looks - 1])

    def bounds(
        self,
        rows: Rows,
        contributions: Contributions,
        /,
        *,
        standard_error: float,
        level: float,
        reward_range: tuple[float, float] | None,
    ) -> tuple[float, float]:
        """Return the bounds after the last row."""
        return _last(self, rows, contributions, level, reward_range)
