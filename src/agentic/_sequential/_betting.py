"""Do two arms have the same mean? An exact test by bets, for outcomes between bounds."""

from __future__ import annotations

import math
from typing import Final, Literal, Self

import attrs
import numpy as np
import numpy.typing as npt

from agentic._sequential._checks import (
    LARGEST_LOG,
    Floats,
    as_numbers,
    as_outcomes,
    check_not_negative,
    check_open_unit,
    check_share,
    check_worse,
    log_sum,
    reject,
)
from agentic._sequential._claims import Claims
from agentic._sequential._e_values import EValues

# Stakes as shares of the largest that cannot ruin; small ones win by small differences of many rows.
_STAKES: Final = np.geomspace(0.002, 0.98, 28)
_BELL: Final = -0.5 * (np.log(_STAKES / 0.2) / 1.0) ** 2
_LOG_WEIGHTS: Final = np.log(0.8 * np.exp(_BELL - log_sum(_BELL)) + 0.2 / _STAKES.size)
_NOTHING: Final = (0.0,) * _STAKES.size


def dealt(control: Floats, treatment: Floats, /) -> tuple[Floats, Floats]:
    """Return as many groups of the larger arm as the smaller has rows, each arm's groups by their means.

    Rows are dealt in the order they have, sizes of groups differ by at most one.

    Args:
        control: Shape (..., n0), n0 may be 0.
        treatment: Shape (..., n1).

    Returns:
        Two arrays of shape (..., min(n0, n1)).
    """
    groups = min(control.shape[-1], treatment.shape[-1])
    return _grouped(control, groups), _grouped(treatment, groups)


def _grouped(values: Floats, groups: int) -> Floats:
    n = values.shape[-1]
    if n == groups or not groups:
        return values[..., :groups]
    starts = -(-np.arange(groups) * n // groups)
    sizes = np.diff(starts, append=n)
    means: Floats = np.add.reduceat(values, starts, axis=-1) / sizes
    return means


@attrs.frozen(kw_only=True)
class BettingTest(Claims):
    """Compares the means of two arms whose outcomes lie between bounds, exactly, at any look.

    For revenue, minutes or a cost where a few rows carry most of the sum and no limit theorem can be
    trusted yet. Each row of the smaller arm is set against its share of the larger arm's rows, and many
    stakes are put on their difference at once; what they are worth is an e-process. Nothing is
    approximated, from the first row on. The price is the bound: the further it lies from what is usual,
    the smaller a stake must be. Choose the lowest bound that is meaningful, before looking; what lies
    outside is cut to it, counted, and the test is then about the means of what was cut.

    Shares may be unequal and may change from batch to batch, and means may drift with the season, since
    rows are compared within their batch. A batch without rows of both arms says nothing. Valid for rows
    that are independent and within an arm in an order that does not depend on their outcomes.

    The test is a value: ``attrs.asdict(test)`` is JSON and ``BettingTest(**that)`` the same test.

    Attributes:
        low: The lowest outcome there is.
        high: The highest outcome there is, above `low`.
        alpha: The largest chance of ever claiming what is not so, for each claim; in (0, 1).
        margin: What loss is still no harm, in the metric's own unit, 0 or more.
        relative_margin: The same as a share of the control's mean, in [0, 1); for metrics above 0. Both
            margins add up.
        worse: Which way the mean moves when it gets worse.

    Source: Waudby-Smith and Ramdas 2024, Estimating means of bounded random variables by betting
    (JRSS B 86), for two arms; stakes are a fixed mixture, as in a universal portfolio, which makes
    what is kept a sum over rows.

    .. versionadded:: 0.1
    """

    low: float = attrs.field(kw_only=True)
    high: float = attrs.field(kw_only=True)
    alpha: float = attrs.field(default=0.05, validator=check_open_unit)
    margin: float = attrs.field(default=0.0, validator=check_not_negative)
    relative_margin: float = attrs.field(default=0.0, validator=check_share)
    worse: Literal["lower", "higher"] = attrs.field(default="lower", validator=check_worse)
    control_rows: float = attrs.field(default=0.0, validator=check_not_negative)
    treatment_rows: float = attrs.field(default=0.0, validator=check_not_negative)
    groups: float = attrs.field(default=0.0, validator=check_not_negative)
    difference: float = 0.0
    clipped: float = attrs.field(default=0.0, validator=check_not_negative)
    up: tuple[float, ...] = attrs.field(default=_NOTHING, converter=as_numbers, repr=False)
    down: tuple[float, ...] = attrs.field(default=_NOTHING, converter=as_numbers, repr=False)
    safe_up: tuple[float, ...] = attrs.field(default=_NOTHING, converter=as_numbers, repr=False)
    log_peak: float = 0.0
    safe_log_peak: float = 0.0

    def __attrs_post_init__(self) -> None:
        """Refuse bounds between which nothing lies, and margins beyond them."""
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            reject(
                "high", (self.low, self.high), "two finite bounds, low below high", "give the metric's bounds"
            )
        if self._worst >= 0.0:
            remedy = "give a margin that an outcome between the bounds can miss"
            reject("margin", (self.margin, self.relative_margin), "less than the bounds allow", remedy)

    def observe(self, *, control: npt.ArrayLike, treatment: npt.ArrayLike) -> Self:
        """Return the test after one batch of matured outcomes.

        Args:
            control: Shape (n0,), finite.
            treatment: Shape (n1,), finite.
        """
        arms = [as_outcomes("control", control), as_outcomes("treatment", treatment)]
        clipped = sum(int(np.count_nonzero((arm < self.low) | (arm > self.high))) for arm in arms)
        y0, y1 = dealt(*(arm.clip(self.low, self.high) for arm in arms))
        gain, safe_gain = self._gains(y0, y1)
        grown = attrs.evolve(
            self,
            control_rows=self.control_rows + arms[0].size,
            treatment_rows=self.treatment_rows + arms[1].size,
            groups=self.groups + y0.size,
            difference=self.difference + float((y1 - y0).sum()),
            clipped=self.clipped + clipped,
            up=np.add(self.up, _won(gain)),
            down=np.add(self.down, _won(-gain)),
            safe_up=np.add(self.safe_up, _won(safe_gain)),
        )
        return attrs.evolve(
            grown,
            log_peak=max(self.log_peak, grown.log_e),
            safe_log_peak=max(self.safe_log_peak, grown.safe_log_e),
        )

    def merged(self, other: Self, /) -> Self:
        """Return the test that saw both shards' batches; its peaks are those of one look at both.

        Raises:
            EvaluationError: The other asks another question.
        """
        if self._question != other._question:
            remedy = "merge tests of one alpha, direction, bounds and margins"
            reject("other", other._question, f"the same question, {self._question}", remedy)
        both = attrs.evolve(
            self,
            control_rows=self.control_rows + other.control_rows,
            treatment_rows=self.treatment_rows + other.treatment_rows,
            groups=self.groups + other.groups,
            difference=self.difference + other.difference,
            clipped=self.clipped + other.clipped,
            up=np.add(self.up, other.up),
            down=np.add(self.down, other.down),
            safe_up=np.add(self.safe_up, other.safe_up),
        )
        return attrs.evolve(both, log_peak=max(0.0, both.log_e), safe_log_peak=max(0.0, both.safe_log_e))

    @property
    def log_e(self) -> float:
        """The logarithm of `e_value`."""
        return log_sum(np.asarray(self.down if self.worse == "lower" else self.up) + _LOG_WEIGHTS)

    @property
    def safe_log_e(self) -> float:
        """The logarithm of `safe_e_value`."""
        return log_sum(np.asarray(self.safe_up) + _LOG_WEIGHTS)

    @property
    def ready(self) -> bool:
        """Whether the test may conclude: always, it is exact from the first row."""
        return True

    @property
    def rows(self) -> tuple[float, float]:
        """Rows of the control and of the treatment."""
        return self.control_rows, self.treatment_rows

    @property
    def estimate(self) -> float:
        """Treatment's mean less the control's, within batches; 0 before any batch of both."""
        return self.difference / self.groups if self.groups else 0.0

    @property
    def bounds(self) -> tuple[float, float]:
        """Lower and upper bound on the difference, each missing at any look with `alpha` at most."""
        span = self.high - self.low
        return span * self._edge(np.asarray(self.up)), -span * self._edge(np.asarray(self.down))

    @property
    def facts(self) -> dict[str, float | str | bool]:
        """What a monitor logs of this look: numbers that JSON can hold."""
        low, high = self.bounds
        return {
            "test": "betting",
            "alpha": self.alpha,
            "margin": self.margin,
            "relative_margin": self.relative_margin,
            "worse": self.worse,
            "control_rows": self.control_rows,
            "treatment_rows": self.treatment_rows,
            "clipped": self.clipped,
            "estimate": self.estimate,
            "lower": low,
            "upper": high,
            "e_value": self.e_value,
            "peak": self.peak,
            "safe_e_value": self.safe_e_value,
            "safe_peak": self.safe_peak,
            "harmed": self.harmed,
            "safe": self.safe,
        }

    def trajectory(self, *, control: npt.ArrayLike, treatment: npt.ArrayLike) -> EValues:
        """Return the e-values after each of many batches from an empty test, for many runs at once.

        Args:
            control: Shape (..., looks, n0): the outcomes of each batch.
            treatment: Shape (..., looks, n1).
        """
        y0, y1 = dealt(
            *(np.asarray(arm, np.float64).clip(self.low, self.high) for arm in (control, treatment))
        )
        gain, safe_gain = self._gains(y0, y1)

        def mixed(won: Floats) -> Floats:
            total = np.full(won.shape[:-1], -np.inf)
            for stake, weight in zip(_STAKES, _LOG_WEIGHTS, strict=True):
                along = np.log1p(stake * won).sum(axis=-1).cumsum(axis=-1)
                total = np.logaddexp(total, along + weight)
            e_values: Floats = np.exp(total.clip(max=LARGEST_LOG))
            return e_values

        return EValues(harm=mixed(-gain if self.worse == "lower" else gain), safe=mixed(safe_gain))

    @property
    def _sign(self) -> float:
        return 1.0 if self.worse == "lower" else -1.0

    @property
    def _question(self) -> tuple[object, ...]:
        return self.alpha, self.worse, self.low, self.high, self.margin, self.relative_margin

    @property
    def _worst(self) -> float:
        """The least that one group can say for the treatment, margins granted; below 0."""
        kept = 1.0 - self._sign * self.relative_margin
        best, worst = (self.high, self.low) if self.worse == "lower" else (self.low, self.high)
        return self._sign * (worst - kept * best) + self.margin

    def _gains(self, y0: Floats, y1: Floats) -> tuple[Floats, Floats]:
        """Return differences in units of the span, and what the margins leave of them, -1 at worst."""
        kept = 1.0 - self._sign * self.relative_margin
        left = self._sign * (y1 - kept * y0) + self.margin
        return (y1 - y0) / (self.high - self.low), left / -self._worst

    def _edge(self, won: Floats) -> float:
        """Return the largest mean, in units of the span, that with all below it is ruled out; -1 if none is.

        A stake s on differences d against a mean m is one of s / (1 + s m) on d - m, so its worth is what the
        stake won against 0, less a logarithm for every group.
        """
        low, high = -1.0, 1.0
        for _ in range(50):
            middle = 0.5 * (low + high)
            against = log_sum(won - self.groups * np.log1p(_STAKES * middle) + _LOG_WEIGHTS)
            low, high = (middle, high) if against >= -math.log(self.alpha) else (low, middle)
        return low


def _won(gains: Floats) -> Floats:
    """Return what each stake won, as logarithms: shape (stakes,)."""
    won: Floats = np.log1p(np.multiply.outer(_STAKES, gains)).sum(axis=-1)
    return won
