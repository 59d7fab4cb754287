"""Do two arms have the same rate of yes? An exact test by counts, valid at every look."""

from __future__ import annotations

import math
from typing import Final, Literal, Self

import attrs
import numpy as np
import numpy.typing as npt

from agentic._sequential._checks import (
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

# Alternatives: how far, in logarithms of the ratio of rates, a rate may lie from what is to be ruled out.
# Even in the logarithm, from 1 % to a factor of twelve, most weight near a quarter.
_STEPS: Final = np.geomspace(0.01, 2.5, 40)
_BELL: Final = -0.5 * (np.log(_STEPS / 0.25) / 0.8) ** 2
_LOG_WEIGHTS: Final = _BELL - log_sum(_BELL)
# Where the likelihood is kept for the bounds: between a fiftieth and fifty times the control's rate.
_SPACING: Final = 0.05
_REACH: Final = 4.0
_PROFILE: Final = np.arange(-80, 81) * _SPACING


def _log_likelihood(
    log_ratio: npt.ArrayLike, share: npt.ArrayLike, control: npt.ArrayLike, treatment: npt.ArrayLike
) -> Floats:
    """Return the log-likelihood ratio of a ratio of rates against a ratio of one.

    Args:
        log_ratio: Logarithm of the treatment's rate over the control's.
        share: The treatment's share of the rows of the batch.
        control: Successes of the control.
        treatment: Successes of the treatment.
    """
    u, w, x0, x1 = map(np.asarray, (log_ratio, share, control, treatment))
    likelihood: Floats = x1 * u - (x0 + x1) * np.log1p(w * np.expm1(u))
    return likelihood


@attrs.frozen(kw_only=True)
class CountTest(Claims):
    """Compares the rates of yes in two arms, and may be looked at after every batch for ever.

    Each batch brings rows and successes of both arms. Given how many rows each arm had, a success falls
    to the treatment with a chance that depends on the ratio of the two rates alone; a likelihood ratio
    of that, mixed over alternatives, is an e-process. Nothing is approximated, at any rate and from the
    first row. Shares may be unequal and may change from batch to batch, and the rates may drift with the
    season, since batches are compared each within itself. A batch without rows of both arms says
    nothing. Near a rate of one half it takes up to twice the rows a test of differences does: count the
    rarer of yes and no.

    Valid for independent rows whose number in each arm does not depend on their outcomes; rates may differ
    from row to row. The rows of one subject who came several times are not independent: give each subject
    once.

    The test is a value: every field is a number, a text or a tuple of numbers, so that
    ``attrs.asdict(test)`` is JSON and ``CountTest(**that)`` the same test.

    Attributes:
        alpha: The largest chance of ever claiming what is not so, for each claim; in (0, 1).
        margin: What loss is still no harm, as a share of the control's rate: with 0.1 and a control at
            5 %, a treatment proven above 4.5 % is safe. In [0, 1).
        worse: Which way the rate moves when it gets worse: ``"lower"`` for conversions, ``"higher"``
            for complaints.

    Source: Lindon and Malek 2022, Anytime-valid inference for multinomial count data, for successes as
    draws of an arm; we take each batch's own numbers of rows for the odds, which a bound of
    1 + x by exp(x) shows to stay an e-process, and mix over alternatives on one side of what is to
    be ruled out.

    .. versionadded:: 0.1
    """

    alpha: float = attrs.field(default=0.05, validator=check_open_unit)
    margin: float = attrs.field(default=0.0, validator=check_share)
    worse: Literal["lower", "higher"] = attrs.field(default="lower", validator=check_worse)
    control_rows: float = attrs.field(default=0.0, validator=check_not_negative)
    control_successes: float = attrs.field(default=0.0, validator=check_not_negative)
    treatment_rows: float = attrs.field(default=0.0, validator=check_not_negative)
    treatment_successes: float = attrs.field(default=0.0, validator=check_not_negative)
    harm_evidence: tuple[float, ...] = attrs.field(
        default=(0.0,) * _STEPS.size, converter=as_numbers, repr=False
    )
    safe_evidence: tuple[float, ...] = attrs.field(
        default=(0.0,) * (_STEPS.size + 1), converter=as_numbers, repr=False
    )
    profile: tuple[float, ...] = attrs.field(default=(0.0,) * _PROFILE.size, converter=as_numbers, repr=False)
    log_peak: float = 0.0
    safe_log_peak: float = 0.0

    def observe(self, *, control: npt.ArrayLike, treatment: npt.ArrayLike) -> Self:
        """Return the test after one batch of matured outcomes.

        Args:
            control: Shape (n0,), 0 or 1 (or bool).
            treatment: Shape (n1,), 0 or 1.

        Raises:
            EvaluationError: Anything but 0 and 1.
        """
        arms = []
        for field, values in (("control", control), ("treatment", treatment)):
            outcomes = as_outcomes(field, values)
            other = (outcomes != 0.0) & (outcomes != 1.0)
            if other.any():
                remedy = "use BettingTest for outcomes between bounds, MeanTest for many others"
                reject(f"{field} at row {int(other.argmax())}", "neither", "0 or 1", remedy)
            arms.append((outcomes.size, int(outcomes.sum())))
        return self.observe_counts(control=arms[0], treatment=arms[1])

    def observe_counts(
        self, *, control: tuple[float, float], treatment: tuple[float, float], share: float | None = None
    ) -> Self:
        """Return the test after one batch that was counted elsewhere.

        Args:
            control: Rows and successes of the control.
            treatment: Rows and successes of the treatment.
            share: Each row's chance of being the treatment's, in (0, 1), when it was drawn and is known
                exactly. Then batches may be as small as one row. Without it, the batch's own numbers of
                rows stand for it, which asks nothing of how rows were assigned.

        Raises:
            EvaluationError: Not whole numbers, more successes than rows, or a share outside (0, 1).
        """
        for field, (rows, successes) in (("control", control), ("treatment", treatment)):
            finite = math.isfinite(rows) and math.isfinite(successes)
            whole = finite and rows == math.floor(rows) and successes == math.floor(successes)
            if not (whole and 0 <= successes <= rows):
                remedy = "give (rows, successes) of this batch alone, not since the start"
                reject(field, (rows, successes), "whole numbers with 0 <= successes <= rows", remedy)
        (n0, x0), (n1, x1) = control, treatment
        if share is None:
            share = n1 / (n0 + n1) if n0 and n1 else math.nan
        elif not 0.0 < share < 1.0:
            reject("share", share, "a chance above 0 and below 1", "leave it out when no draw decided")
        grown = attrs.evolve(
            self,
            control_rows=self.control_rows + n0,
            control_successes=self.control_successes + x0,
            treatment_rows=self.treatment_rows + n1,
            treatment_successes=self.treatment_successes + x1,
        )
        if math.isnan(share) or not x0 + x1:
            return grown
        grown = attrs.evolve(
            grown,
            harm_evidence=np.asarray(self.harm_evidence) + _log_likelihood(self._harm_nodes, share, x0, x1),
            safe_evidence=np.asarray(self.safe_evidence) + _log_likelihood(self._safe_nodes, share, x0, x1),
            profile=np.asarray(self.profile) + _log_likelihood(_PROFILE, share, x0, x1),
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
        if (self.alpha, self.margin, self.worse) != (other.alpha, other.margin, other.worse):
            remedy = "merge tests of one alpha, margin and direction"
            reject("other", (other.alpha, other.margin, other.worse), "the same question", remedy)
        both = attrs.evolve(
            self,
            control_rows=self.control_rows + other.control_rows,
            control_successes=self.control_successes + other.control_successes,
            treatment_rows=self.treatment_rows + other.treatment_rows,
            treatment_successes=self.treatment_successes + other.treatment_successes,
            harm_evidence=np.add(self.harm_evidence, other.harm_evidence),
            safe_evidence=np.add(self.safe_evidence, other.safe_evidence),
            profile=np.add(self.profile, other.profile),
        )
        return attrs.evolve(both, log_peak=max(0.0, both.log_e), safe_log_peak=max(0.0, both.safe_log_e))

    @property
    def log_e(self) -> float:
        """The logarithm of `e_value`."""
        return log_sum(np.asarray(self.harm_evidence) + _LOG_WEIGHTS)

    @property
    def safe_log_e(self) -> float:
        """The logarithm of `safe_e_value`."""
        evidence = np.asarray(self.safe_evidence)
        return log_sum(evidence[1:] + _LOG_WEIGHTS) - float(evidence[0])

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
        """The change of the rate as a share of the control's: -0.2 is a fifth fewer; 0 before any success.

        Within batches, so that changing shares and drifting rates do not bias it; cut to what lies
        between a fiftieth and fifty times the control's rate.
        """
        profile = np.asarray(self.profile)
        at = int(profile.argmax())
        if not self.control_successes + self.treatment_successes:
            return 0.0
        left, middle, right = (profile[min(max(at + step, 0), profile.size - 1)] for step in (-1, 0, 1))
        bend = left - 2 * middle + right
        shift = 0.5 * (left - right) / bend if bend < 0.0 and 0 < at < profile.size - 1 else 0.0
        return math.expm1(float(_PROFILE[at]) + float(shift) * _SPACING)

    @property
    def bounds(self) -> tuple[float, float]:
        """Lower and upper bound on the change as a share of the control's rate.

        Each misses with a chance of at most `alpha`, at all looks together, for a ratio of rates that
        stays the same. Beyond a fiftieth and fifty times the control's rate they are -1 and infinity.
        """
        profile = np.asarray(self.profile)
        low = self._edge(profile)
        high = -self._edge(profile[::-1])
        return (math.expm1(low) if low > -_REACH else -1.0, math.expm1(high) if high < _REACH else math.inf)

    @property
    def facts(self) -> dict[str, float | str | bool]:
        """What a monitor logs of this look: numbers that JSON can hold."""
        low, high = self.bounds
        return {
            "test": "count",
            "alpha": self.alpha,
            "margin": self.margin,
            "worse": self.worse,
            "control_rows": self.control_rows,
            "control_successes": self.control_successes,
            "treatment_rows": self.treatment_rows,
            "treatment_successes": self.treatment_successes,
            "estimate": self.estimate,
            "lower": low,
            "upper": high if math.isfinite(high) else "inf",
            "e_value": self.e_value,
            "peak": self.peak,
            "safe_e_value": self.safe_e_value,
            "safe_peak": self.safe_peak,
            "harmed": self.harmed,
            "safe": self.safe,
        }

    def trajectory(
        self,
        *,
        control_rows: npt.ArrayLike,
        control_successes: npt.ArrayLike,
        treatment_rows: npt.ArrayLike,
        treatment_successes: npt.ArrayLike,
    ) -> EValues:
        """Return the e-values after each of many batches from an empty test, for many runs at once.

        Args:
            control_rows: Shape (..., looks): rows of each batch, broadcast against the others.
            control_successes: As `control_rows`.
            treatment_rows: As `control_rows`.
            treatment_successes: As `control_rows`.
        """
        columns = (control_rows, control_successes, treatment_rows, treatment_successes)
        n0, x0, n1, x1 = np.broadcast_arrays(*(np.asarray(column, dtype=np.float64) for column in columns))
        both = (n0 > 0) & (n1 > 0)
        share = np.where(both, n1 / np.maximum(n0 + n1, 1.0), 0.5)
        x0, x1 = np.where(both, x0, 0.0), np.where(both, x1, 0.0)

        def mixed(nodes: Floats, reference: float) -> Floats:
            base = _log_likelihood(reference, share, x0, x1).cumsum(axis=-1)
            total = np.full(x0.shape, -np.inf)
            for node, weight in zip(nodes, _LOG_WEIGHTS, strict=True):
                along = _log_likelihood(node, share, x0, x1).cumsum(axis=-1) - base
                total = np.logaddexp(total, along + weight)
            e_values: Floats = np.exp(total.clip(max=700.0))
            return e_values

        safe = self._safe_nodes
        return EValues(harm=mixed(self._harm_nodes, 0.0), safe=mixed(safe[1:], float(safe[0])))

    @property
    def _sign(self) -> float:
        return 1.0 if self.worse == "lower" else -1.0

    @property
    def _harm_nodes(self) -> Floats:
        return -self._sign * _STEPS

    @property
    def _safe_nodes(self) -> Floats:
        null = math.log1p(-self._sign * self.margin)
        return null + self._sign * np.concatenate([[0.0], _STEPS])

    def _edge(self, profile: Floats) -> float:
        """Return the largest log ratio that, with all below it, is ruled out; minus the reach if none is."""
        # The likelihood is concave, so what speaks against "at most u" falls with u.
        low, high = -_REACH, _REACH
        for _ in range(6):
            points = np.linspace(low, high, 18)[1:-1]
            terms = _between(profile, np.add.outer(points, _STEPS)) + _LOG_WEIGHTS
            top = terms.max(axis=1)
            against = top + np.log(np.exp(terms - top[:, None]).sum(axis=1)) - _between(profile, points)
            out = int((against >= -math.log(self.alpha)).sum())
            edges = np.concatenate([[low], points, [high]])
            low, high = edges[out : out + 2].tolist()
        return low


def _between(profile: Floats, points: npt.ArrayLike) -> Floats:
    """Return the likelihood between the places it is kept at, by the cubic through the four nearest."""
    at = (np.asarray(points) + _REACH) / _SPACING
    start = np.floor(at).astype(np.int64).clip(1, profile.size - 3)
    t = at.clip(0.0, profile.size - 1.0) - start
    y0, y1, y2, y3 = (profile[start + step] for step in (-1, 0, 1, 2))
    cubic: Floats = (
        -y0 * t * (t - 1.0) * (t - 2.0) / 6.0
        + y1 * (t + 1.0) * (t - 1.0) * (t - 2.0) / 2.0
        - y2 * (t + 1.0) * t * (t - 2.0) / 2.0
        + y3 * (t + 1.0) * t * (t - 1.0) / 6.0
    )
    return cubic
