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
import numpy.typing as npt

from agentic._offpolicy._columns import Floats, Ints

FALSE_ALARMS = 1e-4
"""Of how many sound logs one action or another is wrongly named, where the finding is `sure`."""

OFF = 0.1
"""By which part the sums must be off for an action to be named."""

Side = Literal["low", "high"]


@attrs.frozen
class Miscalibrated:
    """One action whose logged probabilities contradict how often it was taken.

    Attributes:
        action: Its position; None for all actions together.
        factor: About how many times too low or too high the probabilities are, more than 1.
        side: ``"low"`` or ``"high"``.
        sure: Whether nothing else explains it. Without the logging policy's whole distribution,
            probabilities that look too high may be right where the log could hardly take the action.
        z: The contradiction in standard errors.
        mass: How much of the target's probability it misplaces, 0 or more.

    .. versionadded:: 0.1
    """

    action: int | None
    factor: float
    side: Side
    sure: bool
    z: float
    mass: float

    def __str__(self) -> str:
        """Return the finding as half a sentence."""
        doubt = "" if self.sure else ", unless the log could hardly take it where the target does"
        whose = "on the whole" if self.action is None else f"of action {self.action}"
        found = f"about {self.factor:.1f} times too {self.side} ({self.z:+.1f} standard errors)"
        return f"{whose} {found}{doubt}"


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
        target_spread: Shape (k,), float64: its square over all rows.
        lowest: Shape (k,), float64: lowest logged probability of the action; infinity where it was not
            taken. Of two parts the lower counts.
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
    target_spread: Floats
    lowest: Floats
    drawn: Floats
    expected: Floats

    @classmethod
    def of(
        cls,
        action: Ints,
        probability: Floats,
        weight: Floats,
        target: Floats,
        target_spread: Floats,
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
            target_spread: Shape (k,), float64: its square over the rows.
            expected: Shape (k,), float64: the logging policy's, where it is known.
        """
        k = target.size
        inverse = 1.0 / probability
        lowest = np.full(k, np.inf)
        np.minimum.at(lowest, action, probability)

        def by_action(values: Floats) -> Floats:
            sums: Floats = np.bincount(action, weights=values, minlength=k).astype(np.float64, copy=False)
            return sums

        with np.errstate(over="ignore"):  # the effective rows say so
            inverse_square, weight_square = inverse * inverse, weight * weight
        return cls(
            action.size,
            by_action(inverse),
            by_action(inverse_square),
            by_action(weight),
            by_action(weight_square),
            target,
            target_spread,
            lowest,
            np.bincount(action, minlength=k).astype(np.float64),
            np.full(k, np.nan) if expected is None else expected,
        )

    def __add__(self, other: Calibration, /) -> Calibration:
        """Return the sums over both parts of a log, with as many actions as the longer of the two."""
        k = max(self.target.size, other.target.size)

        def longer(mine: Floats, *, rest: float) -> Floats:
            return np.concatenate([mine, np.full(k - mine.size, rest)])

        def total(mine: Floats, theirs: Floats) -> Floats:
            return longer(mine, rest=0.0) + longer(theirs, rest=0.0)

        return Calibration(
            self.rows + other.rows,
            total(self.inverse, other.inverse),
            total(self.inverse_spread, other.inverse_spread),
            total(self.weight, other.weight),
            total(self.weight_spread, other.weight_spread),
            total(self.target, other.target),
            total(self.target_spread, other.target_spread),
            np.minimum(longer(self.lowest, rest=np.inf), longer(other.lowest, rest=np.inf)),
            total(self.drawn, other.drawn),
            total(self.expected, other.expected),
        )

    @property
    def uniform_weight(self) -> float:
        """Mean weight of the uniform target: 1 where every action can be taken everywhere, less where not."""
        known = not math.isnan(float(self.target.sum()))
        return float(self.inverse.sum()) / (self.rows * self.target.size) if known else math.nan

    def findings(self) -> tuple[Miscalibrated, ...]:
        """Return the actions whose probabilities look wrong, the heaviest in the target first.

        An action is named when it is off by more than `OFF` and by so many standard errors that chance does
        so in about one of 1 / `FALSE_ALARMS` logs, whatever the number of actions. That is no promise for
        findings that are not `sure`: where the log took an action only when it was likely, and the target
        takes it elsewhere, a sound log is named too, in a few of a hundred. Where the whole logging
        policy is known it was to take every action about as often as it says. Elsewhere the inverse
        probabilities of an action's rows must not exceed the number of rows, which shows what is too low,
        and its weights must add up to what the target gives it, which shows both.
        """
        seen = self.inverse > 0.0
        far = NormalDist().inv_cdf(1.0 - FALSE_ALARMS / (4.0 * (1 + int(np.count_nonzero(seen)))))
        known = not math.isnan(self.expected[0])
        share = self.weight / self.rows
        rows = np.full(seen.size, float(self.rows))
        stood = _Sums(self.inverse, rows, self.inverse_spread, both=False)
        if known:
            tests = [_Sums(self.drawn, self.expected, self.drawn, both=True)]
        else:
            # With probabilities no lower than the lowest seen, weights vary no more than this.
            most = self.target_spread / self.lowest
            tests = [_Sums(self.weight, self.target, self.weight_spread, both=True, most=most), stood]
        named = np.zeros(seen.size, dtype=np.bool_)
        found = []
        for test in tests:
            flagged = test.flagged(far) & seen & ~named
            named |= flagged
            found += [
                test.finding(at, at, float(share[at]), known=known) for at in np.flatnonzero(flagged).tolist()
            ]
        rest = ~named
        if not known and rest.any():
            whole = stood.together(rest)
            if whole.flagged(far)[0]:
                found.append(whole.finding(0, None, float(share[rest].sum()), known=False))
        return tuple(sorted(found, key=lambda one: -one.mass))


@attrs.frozen(eq=False)
class _Sums:
    """Sums over rows, what they should be or, unless `both`, at most be, and squares that say how surely.

    Attributes:
        total: Shape (k,).
        expected: Shape (k,).
        squares: Shape (k,), over the same rows as `total`.
        both: Whether too small a sum counts too.
        most: Shape (k,): the square of the error is at least this.
    """

    total: Floats
    expected: Floats
    squares: Floats
    both: bool = attrs.field(kw_only=True)
    most: Floats | float = attrs.field(default=0.0, kw_only=True)

    @property
    def error(self) -> Floats:
        """Standard errors: the larger of what was seen and of what the expectation would have brought.

        So neither a few rows too many nor a few too few look like many.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            squares = self.squares * np.maximum(1.0, self.expected / self.total)
            error: Floats = np.sqrt(np.maximum(squares, self.most))
        return error

    def flagged(self, far: float) -> npt.NDArray[np.bool_]:
        """Which sums contradict what they should be; NaN does not."""
        off = self.total - self.expected
        with np.errstate(invalid="ignore"):
            sides = np.abs(off) if self.both else off
            flags: npt.NDArray[np.bool_] = (sides > OFF * self.expected) & (sides > far * self.error)
        return flags

    def together(self, which: npt.NDArray[np.bool_]) -> _Sums:
        """The same of some actions as one."""
        parts = (self.total, self.expected, self.squares)
        return _Sums(*(part[which].sum(keepdims=True) for part in parts), both=self.both)

    def finding(self, at: int, action: int | None, share: float, /, *, known: bool) -> Miscalibrated:
        """What a flagged sum says."""
        total, expected = float(self.total[at]), float(self.expected[at])
        off = total - expected
        return Miscalibrated(
            action,
            factor=total / expected if off > 0.0 else expected / total if total > 0.0 else math.inf,
            side="low" if off > 0.0 else "high",
            sure=off > 0.0 or known,
            z=off / float(self.error[at]),
            mass=share * abs(off) / total if total > 0.0 else 0.0,
        )
