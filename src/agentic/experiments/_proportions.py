"""By how much do two rates differ, and how far can a rate be trusted: of subjects who did, or did not."""

from __future__ import annotations

import math

import attrs
import numpy as np

from agentic._offpolicy import reject
from agentic._statistics import beta_quantile, normal_quantile, normal_tail
from agentic.experiments._difference import Arm, Difference, check_level


@attrs.frozen
class Proportion:
    """Holds how many of a group's subjects did something.

    Attributes:
        successes: 0 to n.
        n: How many subjects; at least 1.
    """

    successes: int
    n: int

    def __attrs_post_init__(self) -> None:
        """Refuse what is no count.

        Raises:
            EvaluationError: Not whole numbers with 0 <= successes <= n.
        """
        for field, count in (("successes", self.successes), ("n", self.n)):
            if not isinstance(count, int | np.integer) or isinstance(count, bool):
                reject(field, None, count, "a whole number", "count subjects")
        # A narrow integer of an array would overflow in the sums to come.
        object.__setattr__(self, "successes", int(self.successes))
        object.__setattr__(self, "n", int(self.n))
        if self.n < 1:
            reject("n", None, self.n, "1 or more", "wait until the group has some subjects")
        if not 0 <= self.successes <= self.n:
            reject("successes", None, self.successes, f"0 to n = {self.n}", "count each subject once")

    @property
    def value(self) -> float:
        """The rate."""
        return self.successes / self.n

    def _arm(self) -> Arm:
        rate = self.value
        return Arm(rate, math.sqrt(rate * (1.0 - rate) / self.n), self.n)


@attrs.frozen
class RateDifference(Difference):
    """Says by how much two rates differ: a `Difference` whose tests hold at rare events."""

    @property
    def statistic(self) -> float:
        """The value in the errors it would have if both rates were the same."""
        return self._score(0.0)

    def p_above(self, than: float = 0.0, /) -> float:
        """As `Difference.p_above`, by the score test of a difference of rates.

        Source: Farrington and Manning 1990, Test statistics and sample size formulae for comparative
        binomial trials with null hypothesis of non-zero risk difference or non-unity relative risk.
        """
        return normal_tail(self._score(than))

    def p_below(self, than: float = 0.0, /) -> float:
        """As `Difference.p_below`, by the score test of a difference of rates."""
        return normal_tail(-self._score(than))

    def _score(self, than: float) -> float:
        """The difference less this, in the errors that the rates would have if it were this."""
        if not -1.0 < than < 1.0:
            return math.copysign(math.inf, -than)
        n, m = self.treatment.n, self.control.n
        t, c = self.treatment.value, self.control.value
        # The rates that are likeliest with this difference: the root of a cubic, in closed form.
        ratio = m / n
        a = 1.0 + ratio
        b = -(1.0 + ratio + t + ratio * c + than * (ratio + 2.0))
        k = than * than + than * (2.0 * t + ratio + 1.0) + t + ratio * c
        d = -t * than * (1.0 + than)
        v = (b / (3.0 * a)) ** 3 - b * k / (6.0 * a * a) + d / (2.0 * a)
        u = math.copysign(math.sqrt(max(0.0, (b / (3.0 * a)) ** 2 - k / (3.0 * a))), v)
        turn = math.acos(min(1.0, max(-1.0, v / u**3))) if u else math.pi / 2.0
        rate = 2.0 * u * math.cos((math.pi + turn) / 3.0) - b / (3.0 * a)
        rate = min(max(rate, 0.0, than), 1.0, 1.0 + than)
        other = rate - than
        squared = rate * (1.0 - rate) / n + other * (1.0 - other) / m
        gap = t - c - than
        if squared <= 0.0:
            return math.copysign(math.inf, gap) if gap else 0.0
        return gap / math.sqrt(squared)


def proportion_difference(
    treatment: Proportion, control: Proportion, /, *, level: float = 0.95
) -> RateDifference:
    """Compare two rates: Newcombe's interval, which holds at rare events, and the pooled z-test.

    Interval and p-value are of two constructions and may part company where the p-value is next to
    1 - level. Both need about one success or more to be expected in the smaller group: with 50 subjects
    against 5,000 at a rate of 0.3 %, one success by chance looks like a difference in a tenth of the
    experiments. `fisher_exact` holds there.

    Args:
        treatment: The group that is compared.
        control: The group it is compared with.
        level: Share of samples in which the bounds are to hold, in (0, 1).

    Raises:
        EvaluationError: The level is out of range.

    Source: Newcombe 1998, Interval estimation for the difference between independent proportions,
    method 10; the z-test with the rate of both groups pooled.
    """
    low, high = newcombe(treatment, control, level=level)
    groups = treatment._arm(), control._arm()
    value = groups[0].value - groups[1].value
    pooled = (treatment.successes + control.successes) / (treatment.n + control.n)
    null = math.sqrt(pooled * (1.0 - pooled) * (1.0 / treatment.n + 1.0 / control.n))
    error = math.hypot(groups[0].standard_error, groups[1].standard_error)
    return RateDifference(
        value,
        low,
        high,
        error if error > 0.0 else math.inf,
        level,
        math.inf,
        2.0 * normal_tail(abs(value) / null) if null > 0.0 else 1.0,
        *groups,
        covariance=0.0,
        method="pooled z, Newcombe",
    )


def newcombe(treatment: Proportion, control: Proportion, /, *, level: float = 0.95) -> tuple[float, float]:
    """Bound the difference of two rates by the score intervals of each.

    Source: Newcombe 1998, Interval estimation for the difference between independent proportions,
    method 10.
    """
    (low_t, high_t), (low_c, high_c) = wilson(treatment, level=level), wilson(control, level=level)
    t, c = treatment.value, control.value
    return t - c - math.hypot(t - low_t, high_c - c), t - c + math.hypot(high_t - t, c - low_c)


def agresti_caffo(
    treatment: Proportion, control: Proportion, /, *, level: float = 0.95
) -> tuple[float, float]:
    """Bound the difference of two rates after adding a success and a failure to each group.

    Source: Agresti and Caffo 2000, Simple and effective confidence intervals for proportions and
    differences of proportions result from adding two successes and two failures.
    """
    added = (Proportion(one.successes + 1, one.n + 2) for one in (treatment, control))
    return wald(*added, level=level)


def wald(treatment: Proportion, control: Proportion, /, *, level: float = 0.95) -> tuple[float, float]:
    """Bound the difference of two rates by the normal approximation, which fails at rare events."""
    groups = treatment._arm(), control._arm()
    margin = _deviate(level) * math.hypot(groups[0].standard_error, groups[1].standard_error)
    value = groups[0].value - groups[1].value
    return value - margin, value + margin


def wilson(group: Proportion, /, *, level: float = 0.95) -> tuple[float, float]:
    """Bound a rate by the score interval.

    Source: Wilson 1927, Probable inference, the law of succession, and statistical inference.
    """
    z, n, rate = _deviate(level), group.n, group.value
    whole = 1.0 + z * z / n
    centre = (rate + z * z / (2.0 * n)) / whole
    margin = z * math.sqrt(rate * (1.0 - rate) / n + z * z / (4.0 * n * n)) / whole
    low = 0.0 if group.successes == 0 else centre - margin
    return low, 1.0 if group.successes == n else centre + margin


def clopper_pearson(group: Proportion, /, *, level: float = 0.95) -> tuple[float, float]:
    """Bound a rate by the exact binomial interval, which never covers less than it says.

    Source: Clopper and Pearson 1934, The use of confidence or fiducial limits illustrated in the case of the
    binomial.
    """
    check_level(level)
    tail, x, n = (1.0 - level) / 2.0, int(group.successes), int(group.n)
    low = beta_quantile(tail, x, n - x + 1) if x > 0 else 0.0
    return low, 1.0 - beta_quantile(tail, n - x, x + 1) if x < n else 1.0


def fisher_exact(treatment: Proportion, control: Proportion, /) -> float:
    """Return the two-sided p-value of two rates, exact for any numbers however small.

    Every table with the same margins that is no likelier than the one seen counts.

    Source: Fisher 1935, The logic of inductive inference.
    """
    whole, hits, n = treatment.n + control.n, treatment.successes + control.successes, treatment.n
    first = max(0, hits - control.n)
    x = np.arange(first, min(hits, n) + 1, dtype=np.float64)
    # The log of each table's probability over that of the one before.
    steps = np.log((hits - x[:-1]) * (n - x[:-1])) - np.log((x[1:]) * (whole - hits - n + x[1:]))
    log = np.concatenate([[0.0], np.cumsum(steps)])
    mass = np.exp(log - log.max())
    seen = mass[int(treatment.successes) - first]
    return min(1.0, float(mass[mass <= seen * (1.0 + 1e-9)].sum() / mass.sum()))


def _deviate(level: float) -> float:
    check_level(level)
    return -normal_quantile((1.0 - level) / 2.0)
