"""Are the logged probabilities those of the actions taken: sums by action, and what contradicts them.

A row that took an action with probability p stands for 1 / p rows in which it could have been taken. So
the inverse probabilities of the rows that took an action add up to the rows in which it was possible, never
to more than there are; weighed by a target they add up to what the target gives to that action. Draws are
independent given their probabilities, also those of one subject, so no grouping is needed.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Literal

import attrs
import numpy as np

from agentic._offpolicy._columns import Floats, Ints

FALSE_ALARMS = 1e-4
"""Of how many sound logs one action or another is wrongly named."""

OFF = 0.1
"""By which part the sums must be off for an action to be named."""

Side = Literal["low", "high"]


@attrs.frozen
class Miscalibrated:
    """One action whose logged probabilities contradict how often it was taken.

    Attributes:
        action: Its position.
        factor: About how many times too low the probabilities are, more than 1; or too high.
        side: ``"low"`` or ``"high"``.
        z: The contradiction in standard errors.
        mass: How much of the target's probability it misplaces, 0 or more.

    .. versionadded:: 0.1
    """

    action: int
    factor: float
    side: Side
    z: float
    mass: float

    def __str__(self) -> str:
        """Return the finding as half a sentence."""
        return (
            f"of action {self.action} {self.factor:.1f} times too {self.side} ({self.z:+.1f} standard errors)"
        )


@attrs.frozen(eq=False)
class Calibration:
    """Holds sums over rows, action by action; those of two parts of a log add up to those of both.

    Attributes:
        rows: How many rows were counted: all of a small log, and evenly spaced stretches of a long one.
        inverse: Shape (k,), float64: 1 / p over the rows that took the action.
        inverse_spread: Shape (k,), float64: (1 / p) ** 2 over the same.
        weight: Shape (k,), float64: the weights w of the same.
        weight_spread: Shape (k,), float64: w ** 2 of the same.
        target: Shape (k,), float64: the target's probability of the action over all rows; NaN when only
            that of the logged action is known.
        drawn: Shape (k,), float64: rows that took the action.
        expected: Shape (k,), float64: the logging policy's probability of the action over all rows; NaN
            when only that of the logged action is known.

    .. versionadded:: 0.1
    """

    rows: int
    inverse: Floats
    inverse_spread: Floats
    weight: Floats
    weight_spread: Floats
    target: Floats
    drawn: Floats
    expected: Floats

    @classmethod
    def of(
        cls,
        action: Ints,
        probability: Floats,
        weight: Floats,
        target: Floats,
        /,
        *,
        expected: Floats | None = None,
    ) -> Calibration:
        """Count rows.

        Args:
            action: Shape (n,), positions 0 to k - 1.
            probability: Shape (n,), float64, in (0, 1].
            weight: Shape (n,), float64: target over logged probability of the action taken.
            target: Shape (k,), float64: the target's probability of every action, over the rows.
            expected: Shape (k,), float64: the logging policy's, where it is known.
        """
        k = target.size
        inverse = 1.0 / probability

        def by_action(values: Floats) -> Floats:
            sums: Floats = np.bincount(action, weights=values, minlength=k).astype(np.float64, copy=False)
            return sums

        return cls(
            action.size,
            by_action(inverse),
            by_action(inverse * inverse),
            by_action(weight),
            by_action(weight * weight),
            target,
            np.bincount(action, minlength=k).astype(np.float64),
            np.full(k, np.nan) if expected is None else expected,
        )

    def __add__(self, other: Calibration, /) -> Calibration:
        """Return the sums over both parts of a log, with as many actions as the longer of the two."""
        k = max(self.target.size, other.target.size)

        def total(mine: Floats, theirs: Floats) -> Floats:
            out = np.zeros(k)
            out[: mine.size] += mine
            out[: theirs.size] += theirs
            return out

        return Calibration(
            self.rows + other.rows,
            total(self.inverse, other.inverse),
            total(self.inverse_spread, other.inverse_spread),
            total(self.weight, other.weight),
            total(self.weight_spread, other.weight_spread),
            total(self.target, other.target),
            total(self.drawn, other.drawn),
            total(self.expected, other.expected),
        )

    @property
    def uniform_weight(self) -> float:
        """Mean weight of the uniform target: 1 where every action can be taken everywhere, less where not."""
        known = not math.isnan(float(self.target.sum()))
        return float(self.inverse.sum()) / (self.rows * self.target.size) if known else math.nan

    def findings(self) -> tuple[Miscalibrated, ...]:
        """Return the actions whose probabilities cannot be right, the heaviest in the target first.

        An action is named when it is off by more than `OFF` and by so many standard errors that chance does
        so in one of 1 / `FALSE_ALARMS` logs, whatever the number of actions. Too low probabilities need no
        target to show; too high ones do, as an action taken too rarely may not have been possible.
        """
        seen = self.inverse > 0.0
        k = max(1, int(np.count_nonzero(seen)))
        far = NormalDist().inv_cdf(1.0 - FALSE_ALARMS / (6.0 * k))
        most = np.full(self.inverse.size, float(self.rows))
        free = _distance(self.inverse, most, self.inverse_spread)
        led = _distance(self.weight, self.target, self.weight_spread)
        known = _distance(self.drawn, self.expected, self.drawn)
        found = []
        for action in np.flatnonzero(seen).tolist():
            # What is off for the target tells most: the rows that it never takes say nothing of the others.
            for total, expected, z in (
                (float(self.weight[action]), float(self.target[action]), float(led[action])),
                (float(self.inverse[action]), float(self.rows), max(0.0, float(free[action]))),
                (float(self.drawn[action]), float(self.expected[action]), float(known[action])),
            ):
                if not (abs(z) > far and abs(total - expected) > OFF * expected):
                    continue
                side: Side = "low" if total > expected else "high"
                factor = total / expected if total > expected else expected / total
                misplaced = float(self.weight[action]) * abs(1.0 - expected / total) / self.rows
                found.append(Miscalibrated(action, factor, side, z, misplaced))
                break
        return tuple(sorted(found, key=lambda one: -one.mass))


def _distance(total: Floats, expected: Floats, squares: Floats) -> Floats:
    """Return sums less their expectations in standard errors, shape (k,); NaN where unknown or empty.

    The square of the error is the larger of what was seen and of what the expectation would have
    brought, so that neither a few rows too many nor a few too few look like many.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        distance: Floats = (total - expected) / np.sqrt(squares / total * np.maximum(total, expected))
    return distance
