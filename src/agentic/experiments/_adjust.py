"""What do we know of the subjects from before, and how much surer does it make the difference?"""

from __future__ import annotations

import math

import attrs
import numpy as np
import numpy.typing as npt

from agentic import arrays
from agentic._offpolicy import as_array, reject
from agentic.arrays import F64
from agentic.experiments._difference import Arm, Difference, bounded, check_level
from agentic.experiments._means import LARGEST, arm, difference, sample, welch


@attrs.frozen(eq=False, init=False)
class Before:
    """Holds one group's values, and what was known of the same subjects before the experiment began.

    What is measured after the start may have been moved by the treatment, and adjusting by it hides the
    effect.

    Attributes:
        value: Shape (n,), float64.
        covariates: Shape (n, d), float64; a single one may be given as shape (n,).
    """

    __repr__ = arrays.shown

    value: F64
    covariates: F64

    def __init__(self, value: npt.ArrayLike, covariates: npt.ArrayLike) -> None:
        """Check both.

        Raises:
            EvaluationError: A value is not finite, lengths differ, or there are too few subjects.
        """
        found = sample("value", value)
        try:
            flat = np.ndim(covariates) == 1
        except ValueError:  # ragged: what it is asked for next says so
            flat = False
        given = as_array("covariates", covariates, ndim=1 if flat else 2)
        if len(given) != len(found):
            expected = f"a shape ({len(found)},) or ({len(found)}, d), a row for each value"
            reject("covariates", None, given.shape, expected, "give one row of covariates per subject")
        columns: F64 = given.reshape(len(found), -1).astype(np.float64, copy=False)
        finite = np.isfinite(columns).all(axis=1)
        if not finite.all():
            row = int(np.argmin(finite))
            remedy = "give subjects without a past their group's mean, or 0 and a column that marks them"
            reject("covariates", row, "not finite", "finite numbers", remedy)
        if np.abs(columns).max(initial=0.0) > LARGEST:
            row = int(np.argmax(np.abs(columns).max(axis=1)))
            reject("covariates", row, "larger", f"numbers up to {LARGEST:g}", "measure it in a larger unit")
        self.__attrs_init__(found, columns)


def cuped(treatment: Before, control: Before, /, *, level: float = 0.95) -> Difference:
    """Compare two groups after taking away what the time before explains: CUPED.

    One slope for both groups, so that the adjustment cannot follow the treatment. Valid whatever the true
    relation is; its squared error falls by about the squared correlation with the covariates.

    Args:
        treatment: Values and covariates of the group that is compared.
        control: The same of the group it is compared with.
        level: Share of samples in which the bounds are to hold, in (0, 1).

    Raises:
        EvaluationError: The covariates do not vary, their numbers differ, or the level is out of range.

    Source: Deng, Xu, Kohavi and Walker 2013, Improving the sensitivity of online controlled experiments
    by utilizing pre-experiment data, equation 4, with the slope of all subjects pooled; then Welch.
    """
    check_level(level)
    value, covariates = _pooled(treatment, control)
    centre = covariates.mean(axis=0)
    slopes = _slopes(covariates - centre, value - value.mean())
    groups = [group.value - (group.covariates - centre) @ slopes for group in (treatment, control)]
    found = welch(arm(groups[0]), arm(groups[1]), level=level, method="CUPED")
    return _told(found, treatment, control, slopes)


def ancova(treatment: Before, control: Before, /, *, level: float = 0.95) -> Difference:
    """Compare two groups by regression on group and covariates, with one slope and one spread for both.

    Raises:
        EvaluationError: As `cuped`; or there are no more subjects than coefficients.

    Source: Fisher 1932, Statistical methods for research workers, the analysis of covariance.
    """
    fit = _Fit.of(treatment, control, interacted=False)
    scale = float(fit.residual @ fit.residual) / fit.degrees
    return fit.difference(fit.inverse * scale, level=level, method="ANCOVA")


def robust_ancova(treatment: Before, control: Before, /, *, level: float = 0.95) -> Difference:
    """Compare as `ancova` does, with an error that holds where spreads differ.

    Raises:
        EvaluationError: As `ancova`.

    Source: MacKinnon and White 1985, Some heteroskedasticity-consistent covariance matrix estimators with
    improved finite sample properties: HC1.
    """
    fit = _Fit.of(treatment, control, interacted=False)
    factor = len(fit.residual) / fit.degrees
    return fit.difference(fit.sandwich(fit.residual**2 * factor), level=level, method="ANCOVA, HC1")


def lin(treatment: Before, control: Before, /, *, level: float = 0.95) -> Difference:
    """Compare two groups by regression with slopes of their own: in large groups never less sure than none.

    For groups of unequal size it is the surest of these; otherwise much the same as `cuped`. Its degrees of
    freedom are those of both groups together, so its bounds are too narrow where one group has fewer than
    some dozens of subjects; `cuped` holds there.

    Raises:
        EvaluationError: As `ancova`; or a group has no more subjects than coefficients of its own.

    Source: Lin 2013, Agnostic notes on regression adjustments to experimental data, section 4, with the
    covariates centred on all subjects and HC2 errors.
    """
    own = treatment.covariates.shape[1] + 1
    for field, group in (("treatment", treatment), ("control", control)):
        if len(group.value) <= own:  # its regression would go through every value and leave no spread
            expected = f"more than {own}, the number of coefficients of each group"
            reject(field, None, len(group.value), expected, "wait for more subjects, or use cuped()")
    fit = _Fit.of(treatment, control, interacted=True)
    leverage = np.einsum("ij,jk,ik->i", fit.design, fit.inverse, fit.design)
    weights = fit.residual**2 / np.maximum(1.0 - leverage, 1e-12)
    return fit.difference(fit.sandwich(weights), level=level, method="Lin, HC2")


@attrs.frozen(eq=False)
class _Fit:
    """A regression: its columns are one, the treatment, the centred covariates, and perhaps their product."""

    treatment: Before
    control: Before
    design: F64
    coefficients: F64
    residual: F64
    inverse: F64
    degrees: int

    @classmethod
    def of(cls, treatment: Before, control: Before, /, *, interacted: bool) -> _Fit:
        value, covariates = _pooled(treatment, control)
        treated = np.repeat([1.0, 0.0], [len(treatment.value), len(control.value)])
        centred = covariates - covariates.mean(axis=0)
        centred /= centred.std(axis=0)  # slopes are scaled back when they are told
        parts = [np.ones_like(treated), treated, centred]
        if interacted:
            parts.append(treated[:, None] * centred)
        design = np.column_stack(parts)
        degrees = len(value) - design.shape[1]
        if degrees < 1:
            expected = f"more than {design.shape[1]}, the number of coefficients"
            reject("value", None, len(value), expected, "wait for more subjects, or adjust by fewer columns")
        square = design.T @ design
        if np.linalg.matrix_rank(square, hermitian=True) < len(square):
            remedy = "drop columns that others determine, and wait until both groups vary"
            reject("covariates", None, "collinear", "columns that vary by themselves", remedy)
        inverse = np.linalg.inv(square)
        coefficients = inverse @ (design.T @ value)
        return cls(treatment, control, design, coefficients, value - design @ coefficients, inverse, degrees)

    def sandwich(self, weights: F64) -> F64:
        meat = (self.design * weights[:, None]).T @ self.design
        out: F64 = self.inverse @ meat @ self.inverse
        return out

    def difference(self, covariance: F64, /, *, level: float, method: str) -> Difference:
        check_level(level)
        plain, effect = (float(one) for one in self.coefficients[:2])
        error_c, error = math.sqrt(covariance[0, 0]), math.sqrt(covariance[1, 1])
        error_t = math.sqrt(max(0.0, float(covariance[:2, :2].sum())))
        found = bounded(
            Arm(plain + effect, error_t, len(self.treatment.value)),
            Arm(plain, error_c, len(self.control.value)),
            level=level,
            degrees=float(self.degrees),
            method=method,
            value=effect,
            squared=error * error,
            covariance=float(covariance[0, 0] + covariance[0, 1]),
        )
        _, covariates = _pooled(self.treatment, self.control)
        width = covariates.shape[1]
        slopes = self.coefficients[2 : 2 + width] / covariates.std(axis=0)
        return _told(found, self.treatment, self.control, slopes)


def _pooled(treatment: Before, control: Before) -> tuple[F64, F64]:
    if treatment.covariates.shape[1] != control.covariates.shape[1]:
        expected = f"{treatment.covariates.shape[1]} columns, as many as the treatment's"
        found = control.covariates.shape[1]
        reject("control.covariates", None, found, expected, "give both groups the same columns")
    covariates = np.concatenate([treatment.covariates, control.covariates])
    spread = np.abs(covariates - covariates[0]).max(axis=0)
    slight = (spread > 0.0) & (spread < 1.0 / LARGEST)
    if slight.any():
        field, remedy = f"covariates, column {int(np.argmax(slight))}", "measure it in a smaller unit"
        reject(field, None, "nearly the same in all rows", "a column that varies", remedy)
    still = spread == 0.0
    if still.any():
        column = int(np.argmax(still))
        remedy = "drop it: what is the same for everybody explains nothing"
        reject(f"covariates, column {column}", None, "the same in all rows", "a column that varies", remedy)
    return np.concatenate([treatment.value, control.value]), covariates


def _slopes(covariates: F64, value: F64) -> F64:
    scale = np.sqrt(np.einsum("ij,ij->j", covariates, covariates))
    scaled = covariates / scale
    out: F64 = np.linalg.lstsq(scaled.T @ scaled, scaled.T @ value, rcond=None)[0] / scale
    return out


def _told(found: Difference, treatment: Before, control: Before, slopes: F64) -> Difference:
    plain = difference(treatment.value, control.value).standard_error
    reduction = 1.0 - (found.standard_error / plain) ** 2 if math.isfinite(plain) else 0.0
    return attrs.evolve(found, slopes=tuple(float(one) for one in slopes), variance_reduction=reduction)
