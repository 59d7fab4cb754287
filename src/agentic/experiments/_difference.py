"""By how much do two groups of subjects differ: the one result that every comparison gives."""

from __future__ import annotations

import math
from typing import Final

import attrs

from agentic._offpolicy import reject
from agentic._statistics import normal_quantile, student_t, t_tail

HIGHER: Final = "higher than control"
LOWER: Final = "lower than control"
UNPROVEN: Final = "no difference proven"


@attrs.frozen
class Arm:
    """Holds what one group was measured at.

    Attributes:
        value: Its mean, rate or ratio.
        standard_error: Of the value.
        n: How many subjects it has.
    """

    value: float
    standard_error: float
    n: int


@attrs.frozen
class Lift:
    """Holds by what share of the control the treatment is above it: 0.04 for four percent.

    Attributes:
        value: Difference over control; NaN where the control is 0.
        low: Fieller's lower bound; minus infinity where the data bound nothing, as when the control may
            well be 0.
        high: Fieller's upper bound, or infinity.
        standard_error: By the delta method.
        delta_low: Lower bound by the delta method, which is symmetric and trusts that the control is not
            near 0.
        delta_high: Upper bound by the delta method.
    """

    value: float
    low: float
    high: float
    standard_error: float
    delta_low: float
    delta_high: float


@attrs.frozen
class Difference:
    """Says by how much the means of two groups differ, and how sure that is.

    ``str`` of it is a sentence.

    Attributes:
        value: Treatment minus control; of pairs, first minus second.
        low: Lower bound.
        high: Upper bound.
        standard_error: Of the value; infinite where no spread was seen, and the bounds with it.
        level: Share of samples in which the bounds are to hold, in (0, 1).
        degrees: Degrees of freedom of the spread; infinite for a normal bound.
        p_value: Two-sided: how often chance alone would show this much or more.
        treatment: The group that is compared.
        control: The group it is compared with.
        covariance: Of the two groups' values; 0 where the groups are independent.
        method: How it was found, in a few words.
        slopes: By how much the value rises with each covariate, where it was adjusted.
        variance_reduction: Share of the squared standard error that the adjustment took away.
    """

    value: float
    low: float
    high: float
    standard_error: float
    level: float
    degrees: float
    p_value: float
    treatment: Arm
    control: Arm
    covariance: float
    method: str
    slopes: tuple[float, ...] = ()
    variance_reduction: float = 0.0

    @property
    def statistic(self) -> float:
        """The value in standard errors; 0 where no spread was seen."""
        return self.value / self.standard_error

    @property
    def verdict(self) -> str:
        """What is proven at this level: that it is higher, that it is lower, or no difference."""
        if self.p_value >= 1.0 - self.level:
            return UNPROVEN
        return HIGHER if self.value > 0.0 else LOWER

    @property
    def lift(self) -> Lift:
        """By what share of the control the treatment is above it."""
        return relative_lift(
            self.treatment,
            self.control,
            covariance=self.covariance,
            level=self.level,
        )

    def p_above(self, than: float = 0.0, /) -> float:
        """How often chance would show this or more if the difference were no higher than this; one-sided.

        Small when the difference is proven to be above ``than``.
        """
        if math.isinf(self.standard_error):
            return 1.0
        return t_tail((self.value - than) / self.standard_error, self.degrees)

    def p_below(self, than: float = 0.0, /) -> float:
        """How often chance would show this or less if the difference were no lower than this; one-sided.

        Small when the difference is proven to be below ``than``.
        """
        if math.isinf(self.standard_error):
            return 1.0
        return t_tail((than - self.value) / self.standard_error, self.degrees)

    def __str__(self) -> str:
        lift = self.lift
        share = f", {lift.value:+.1%}" if math.isfinite(lift.value) else ""
        return (
            f"{self.treatment.value:.6g} against {self.control.value:.6g}: {self.value:+.6g}{share}"
            f" ({100 * self.level:.4g}% interval {self.low:+.6g} to {self.high:+.6g}, p = {self.p_value:.3g},"
            f" {self.method}): {self.verdict}"
        )


def bounded(
    treatment: Arm,
    control: Arm,
    /,
    *,
    level: float,
    degrees: float,
    method: str,
    value: float | None = None,
    squared: float | None = None,
    covariance: float = 0.0,
) -> Difference:
    """Make the result of two measured groups: bounds and p-value from the error and its degrees of freedom.

    Args:
        treatment: The group that is compared.
        control: The group it is compared with.
        level: Share of samples in which the bounds are to hold.
        degrees: Of freedom; infinite for normal bounds.
        method: A few words.
        value: Difference, where it is not simply that of the two values.
        squared: Squared standard error of the difference, where it is not the sum of the two.
        covariance: Of the two values.
    """
    found = treatment.value - control.value if value is None else value
    if squared is None:
        squared = treatment.standard_error**2 + control.standard_error**2
    if not squared > 0.0:
        return Difference(
            found,
            -math.inf,
            math.inf,
            math.inf,
            level,
            degrees,
            1.0,
            treatment,
            control,
            covariance,
            method,
        )
    error = math.sqrt(squared)
    margin = student_t(level, degrees) * error
    p_value = 2.0 * t_tail(abs(found) / error, degrees)
    return Difference(
        found,
        found - margin,
        found + margin,
        error,
        level,
        degrees,
        p_value,
        treatment,
        control,
        covariance,
        method,
    )


def relative_lift(treatment: Arm, control: Arm, /, *, covariance: float = 0.0, level: float = 0.95) -> Lift:
    """Bound by what share of the control the treatment is above it.

    Fieller's bounds hold however near to 0 the control may be; where it may be 0, or have either sign, they
    are infinite, because the data bound nothing.

    Args:
        treatment: The group that is compared.
        control: The group it is compared with.
        covariance: Of the two groups' values; 0 where the groups are independent.
        level: Share of samples in which the bounds are to hold, in (0, 1).

    Source: Fieller 1954, Some problems in interval estimation; the delta method for the standard error and
    its bounds. Both with a normal quantile.
    """
    check_level(level)
    z = -normal_quantile((1.0 - level) / 2.0)
    t, c = treatment.value, control.value
    var_t, var_c = treatment.standard_error**2, control.standard_error**2
    if c == 0.0:
        return Lift(math.nan, -math.inf, math.inf, math.inf, -math.inf, math.inf)
    ratio = t / c
    error = math.sqrt(max(0.0, var_t - 2.0 * ratio * covariance + ratio * ratio * var_c)) / abs(c)
    margin = z * error
    # The ratios r for which t - r c is within z standard errors of 0: a quadratic in r.
    a = c * c - z * z * var_c
    if not a > 0.0:
        low, high = -math.inf, math.inf
    else:
        b = t * c - z * z * covariance
        # b^2 - a (t^2 - z^2 var_t), its squares multiplied out so that nothing cancels
        inside = z * z * (var_t * c * c - 2.0 * covariance * t * c + var_c * t * t)
        inside -= z**4 * (var_t * var_c - covariance * covariance)
        root = math.sqrt(max(0.0, inside))
        low, high = (b - root) / a - 1.0, (b + root) / a - 1.0
    value = (t - c) / c
    return Lift(value, low, high, error, value - margin, value + margin)


def check_level(level: float, /) -> None:
    """Refuse a level that is no share.

    Raises:
        EvaluationError: It is not more than 0 and less than 1.
    """
    if not 0.0 < level < 1.0:
        reject("level", None, level, "more than 0 and less than 1", "give 0.95 for 95 %")
