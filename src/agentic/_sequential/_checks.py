"""What is refused at the door of a sequential test, and how it is said."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NoReturn

import numpy as np
import numpy.typing as npt

from agentic.errors import EvaluationError

if TYPE_CHECKING:
    import attrs

Floats = npt.NDArray[np.float64]

LARGEST_LOG = 700.0
"""The largest logarithm of an e-value that is reported: its exponential still is a finite number."""


def reject(field: str, value: object, expected: str, remedy: str) -> NoReturn:
    """Raise the error that names field, value, expectation and what to do.

    Raises:
        EvaluationError: Always.
    """
    shown = value.item() if isinstance(value, np.generic) else value
    message = f"{field} is {shown!r}, expected {expected}; {remedy}"
    raise EvaluationError(message, field=field, value=shown, expected=expected)


def check_open_unit(_owner: object, field: attrs.Attribute[float], value: float) -> None:
    """Refuse what is not strictly between 0 and 1.

    Raises:
        EvaluationError: It is not.
    """
    if not 0.0 < value < 1.0:
        reject(field.name, value, "a number above 0 and below 1", "give a share, such as 0.05")


def check_worse(_owner: object, field: attrs.Attribute[str], value: str) -> None:
    """Refuse what is neither direction.

    Raises:
        EvaluationError: It is not.
    """
    if value not in {"lower", "higher"}:
        reject(field.name, value, "'lower' or 'higher'", "say which way the metric moves when it gets worse")


def check_positive(_owner: object, field: attrs.Attribute[float], value: float) -> None:
    """Refuse what is not a finite number above 0.

    Raises:
        EvaluationError: It is not.
    """
    if not (math.isfinite(value) and value > 0.0):
        reject(field.name, value, "a finite number above 0", "give one")


def check_not_negative(_owner: object, field: attrs.Attribute[float], value: float) -> None:
    """Refuse what is not a finite number of 0 or more.

    Raises:
        EvaluationError: It is not.
    """
    if not (math.isfinite(value) and value >= 0.0):
        reject(field.name, value, "a finite number of 0 or more", "give one")


def check_share(_owner: object, field: attrs.Attribute[float], value: float) -> None:
    """Refuse what is not 0 or more and below 1.

    Raises:
        EvaluationError: It is not.
    """
    if not 0.0 <= value < 1.0:
        reject(
            field.name,
            value,
            "0 or more and below 1",
            "give it as a share of the control's rate, such as 0.1",
        )


def as_outcomes(field: str, values: npt.ArrayLike) -> Floats:
    """Return outcomes as finite float64 of shape (n,), n may be 0; never quotes one in an error.

    Raises:
        EvaluationError: Ragged, of other dimensions, not numbers, NaN or infinite.
    """
    try:
        array = np.asarray(values)
    except ValueError:
        array = np.empty(0, dtype=object)
    if array.size == 0 and array.ndim == 1 and array.dtype.kind in "fiub":
        return np.empty(0)
    if array.ndim != 1 or array.dtype.kind not in "fiub":
        what = f"{array.dtype.name} of shape {array.shape}"
        reject(field, what, "numbers of shape (n,)", "give one matured outcome per row")
    floats = array.astype(np.float64, copy=False)
    if not np.isfinite(floats).all():
        row = int(np.argmin(np.isfinite(floats)))
        what = str(float(floats[row]))
        reject(
            f"{field} at row {row}", what, "a finite number", "leave out rows whose outcome is not known yet"
        )
    return floats


def as_numbers(values: object) -> tuple[float, ...]:
    """Return what a field holds as a tuple of floats, for fields that come back from JSON as lists."""
    return tuple(map(float, values))  # type: ignore[call-overload] # attrs converters take anything


def e_of(log_e: float) -> float:
    """Return the e-value of a logarithm, cut to what stays finite in JSON."""
    return math.exp(min(log_e, LARGEST_LOG))


def log_sum(terms: Floats) -> float:
    """Return the logarithm of the sum of the exponentials of `terms`."""
    top = float(terms.max())
    return top + math.log(float(np.exp(terms - top).sum()))
