"""How many subjects, and how many days, does it take to see a difference of this size?"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, Protocol

import attrs
import numpy.typing as npt

from agentic._offpolicy import reject
from agentic._statistics import noncentral_t_tail, normal_quantile, normal_tail, student_t
from agentic.experiments._difference import check_level
from agentic.experiments._means import sample, variance
from agentic.experiments._ratios import Ratio

_MOST_SUBJECTS: Final = 1e15


class Baseline(Protocol):
    """What a metric is like before anything is changed: enough to plan an experiment on it."""

    @property
    def value(self) -> float:
        """The metric itself."""

    @property
    def largest(self) -> float:
        """The largest effect there can be."""

    def power(self, effect: float, /, *, treatment: float, control: float, level: float) -> float:
        """How often an effect of this size would be proven."""


@attrs.frozen
class MeanBaseline:
    """Holds the mean of a metric by subject, and its spread; for `difference` and `cuped`.

    Attributes:
        value: The mean.
        spread: Standard deviation over subjects, above 0.
    """

    value: float
    spread: float
    largest = math.inf

    def __attrs_post_init__(self) -> None:
        """Refuse what has no spread.

        Raises:
            EvaluationError: The mean is not finite, or the spread not above 0.
        """
        if not math.isfinite(self.value):
            reject("value", None, self.value, "a finite number", "measure it on past subjects")
        if not 0.0 < self.spread < math.inf:
            reject("spread", None, self.spread, "a number above 0", "measure it on past subjects")

    @classmethod
    def of(cls, values: npt.ArrayLike, /) -> MeanBaseline:
        """Measure it on past subjects, shape (n,)."""
        found = sample("values", values)
        return cls(float(found.mean()), math.sqrt(variance(found)))

    def adjusted(self, correlation: float, /) -> MeanBaseline:
        """The same where covariates explain part: their correlation with the metric, -1 to 1."""
        if not -1.0 < correlation < 1.0:
            reject("correlation", None, correlation, "more than -1 and less than 1", "measure it")
        return MeanBaseline(self.value, self.spread * math.sqrt(1.0 - correlation**2))

    def power(self, effect: float, /, *, treatment: float, control: float, level: float) -> float:
        """By the noncentral t distribution, both sides."""
        parts = 1.0 / treatment, 1.0 / control
        weights = sum(part * part / (n - 1.0) for part, n in zip(parts, (treatment, control), strict=True))
        degrees = sum(parts) ** 2 / weights
        shift = abs(effect) / (self.spread * math.sqrt(sum(parts)))
        cut = student_t(level, degrees)
        return noncentral_t_tail(cut, degrees, shift) + noncentral_t_tail(cut, degrees, -shift)


@attrs.frozen
class RateBaseline:
    """Holds the rate of a metric that a subject either meets or not; for `proportion_difference`.

    Attributes:
        value: The rate, in (0, 1).
    """

    value: float

    def __attrs_post_init__(self) -> None:
        """Refuse what is no rate.

        Raises:
            EvaluationError: It is not in (0, 1).
        """
        if not 0.0 < self.value < 1.0:
            reject("value", None, self.value, "more than 0 and less than 1", "measure it on past subjects")

    @property
    def largest(self) -> float:
        """As far as a rate can rise."""
        return 1.0 - self.value

    def power(self, effect: float, /, *, treatment: float, control: float, level: float) -> float:
        """By the normal distribution: pooled under no effect, each group's own spread under this one.

        Source: Fleiss, Levin and Paik 2003, Statistical methods for rates and proportions, section 4.2.
        """
        rate = self.value + effect
        if not 0.0 <= rate <= 1.0:
            expected = f"{-self.value:g} to {1.0 - self.value:g}, so that the rate stays one"
            reject("effect", None, effect, expected, "give the difference of rates: 0.01 for one point")
        pooled = (rate * treatment + self.value * control) / (treatment + control)
        null = math.sqrt(pooled * (1.0 - pooled) * (1.0 / treatment + 1.0 / control))
        error = math.sqrt(rate * (1.0 - rate) / treatment + self.value * (1.0 - self.value) / control)
        cut = _deviate(level) * null
        return normal_tail((cut - abs(effect)) / error) + normal_tail((cut + abs(effect)) / error)


@attrs.frozen
class RatioBaseline:
    """Holds a ratio of sums, and the spread of what each subject contributes; for `ratio_difference`.

    Attributes:
        value: Sum over sum.
        spread: Standard deviation over subjects of `Ratio.linearised`, above 0.
    """

    value: float
    spread: float
    largest = math.inf

    def __attrs_post_init__(self) -> None:
        """Refuse what has no spread.

        Raises:
            EvaluationError: The ratio is not finite, or the spread not above 0.
        """
        MeanBaseline(self.value, self.spread)

    @classmethod
    def of(cls, past: Ratio, /) -> RatioBaseline:
        """Measure it on past subjects."""
        return cls(past.value, math.sqrt(variance(past.linearised())))

    def power(self, effect: float, /, *, treatment: float, control: float, level: float) -> float:
        """By the normal distribution, both sides."""
        shift = abs(effect) / (self.spread * math.sqrt(1.0 / treatment + 1.0 / control))
        cut = _deviate(level)
        return normal_tail(cut - shift) + normal_tail(cut + shift)


@attrs.frozen
class SampleSize:
    """Holds how many subjects an experiment needs.

    Attributes:
        treatment: In the treatment.
        control: In the control.
        exact: The treatment's before it was rounded up.
        effect: The difference that is to be seen.
        power: How often it is then proven.
        level: The level of the bounds.
    """

    treatment: int
    control: int
    exact: float
    effect: float
    power: float
    level: float

    @property
    def total(self) -> int:
        """Both groups."""
        return self.treatment + self.control

    def days(self, subjects_per_day: float) -> int:
        """How many whole days until that many have come, if so many new subjects come to both groups a day.

        Customers come in weeks: round up to whole ones.

        Raises:
            EvaluationError: Not a number above 0.
        """
        if not 0.0 < subjects_per_day < math.inf:
            reject("subjects_per_day", None, subjects_per_day, "a number above 0", "count new subjects a day")
        return math.ceil(self.total / subjects_per_day)

    def __str__(self) -> str:
        return (
            f"{self.treatment:,} subjects in the treatment and {self.control:,} in the control show a"
            f" difference of {self.effect:g} in {self.power:.0%} of experiments at level {self.level:g}"
        )


def power(
    baseline: Baseline, effect: float, /, *, treatment: float, control: float, level: float = 0.95
) -> float:
    """How often would an experiment of this size prove a difference of that size?

    Args:
        baseline: The metric.
        effect: Treatment minus control, in the metric's own unit.
        treatment: Subjects in the treatment, at least 2.
        control: Subjects in the control, at least 2.
        level: Of the two-sided test, in (0, 1).

    Returns:
        The share of experiments that prove a difference, 0 to 1.

    Raises:
        EvaluationError: An argument is out of range.
    """
    return _power(baseline, effect, treatment, control, level)


def sample_size(
    baseline: Baseline, effect: float, /, *, power: float = 0.8, level: float = 0.95, share: float = 0.5
) -> SampleSize:
    """How many subjects does it take to see a difference of this size?

    For one look at the end: who looks more often needs more, and a test that allows it.

    Args:
        baseline: The metric.
        effect: Treatment minus control, in the metric's own unit; not 0.
        power: How often it is to be proven, more than 1 - level and less than 1.
        level: Of the two-sided test, in (0, 1).
        share: Of the subjects who are in the treatment, in (0, 1).

    Raises:
        EvaluationError: An argument is out of range, or no number of subjects is enough.
    """
    _check_plan(power, level)
    _check_effect(effect, zero=False)
    if not 0.0 < share < 1.0:
        reject("share", None, share, "more than 0 and less than 1", "give 0.5 for two halves")

    def reached(total: float) -> float:
        return baseline.power(effect, treatment=total * share, control=total * (1.0 - share), level=level)

    least = 2.0 / min(share, 1.0 - share)
    if reached(_MOST_SUBJECTS) < power:
        reject("effect", None, effect, "a difference that can be seen", "give it in the metric's own unit")
    total = least if reached(least) >= power else _rising(reached, power, least, _MOST_SUBJECTS)
    treatment, control = math.ceil(total * share - 1e-9), math.ceil(total * (1.0 - share) - 1e-9)
    found = baseline.power(effect, treatment=treatment, control=control, level=level)
    return SampleSize(treatment, control, total * share, effect, found, level)


def minimal_effect(
    baseline: Baseline, /, *, treatment: float, control: float, power: float = 0.8, level: float = 0.95
) -> float:
    """How small a difference would an experiment of this size still prove, upwards?

    Args:
        baseline: The metric.
        treatment: Subjects in the treatment, at least 2.
        control: Subjects in the control, at least 2.
        power: How often it is to be proven, more than 1 - level and less than 1.
        level: Of the two-sided test, in (0, 1).

    Returns:
        Treatment minus control, in the metric's own unit; infinity where not even the largest effect would
        be proven so often.

    Raises:
        EvaluationError: An argument is out of range.
    """
    _check_plan(power, level)

    def reached(effect: float) -> float:
        return _power(baseline, effect, treatment, control, level)

    most = min(baseline.largest, 1.0)
    while reached(most) < power:
        if most == baseline.largest:
            return math.inf
        most *= 16.0
    least = most
    while reached(least) >= power:
        least /= 16.0
    return _rising(reached, power, least, most)


def _power(baseline: Baseline, effect: float, treatment: float, control: float, level: float) -> float:
    check_level(level)
    _check_effect(effect, zero=True)
    for field, n in (("treatment", treatment), ("control", control)):
        if not 2.0 <= n < math.inf:
            reject(field, None, n, "two subjects or more", "say how many subjects the group has")
    return baseline.power(effect, treatment=treatment, control=control, level=level)


def _rising(function: Callable[[float], float], wanted: float, low: float, high: float) -> float:
    """Where a function that rises reaches this, by bisection on the log."""
    while high - low > 1e-13 * high:
        middle = low * math.sqrt(high / low)
        low, high = (middle, high) if function(middle) < wanted else (low, middle)
    return high


def _check_plan(power: float, level: float) -> None:
    check_level(level)
    if not 1.0 - level < power < 1.0:
        reject("power", None, power, f"more than {1.0 - level:g} and less than 1", "give 0.8 for 80 %")


def _check_effect(effect: float, *, zero: bool) -> None:
    if not math.isfinite(effect) or (effect == 0.0 and not zero):
        expected = "a finite number" if zero else "a finite number other than 0"
        reject("effect", None, effect, expected, "give the difference in the metric's own unit")


def _deviate(level: float) -> float:
    return -normal_quantile((1.0 - level) / 2.0)
