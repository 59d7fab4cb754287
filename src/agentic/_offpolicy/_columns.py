"""Is this column what it should be: checks at the door that name row, field, value and remedy."""

from __future__ import annotations

from typing import NoReturn

import numpy as np
import numpy.typing as npt

from agentic.errors import EvaluationError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def reject(field: str, row: int | None, value: object, expected: str, remedy: str) -> NoReturn:
    """Raise the error that names row, field, value, expectation and what to do."""
    where = field if row is None else f"{field} at row {row}"
    shown = value.item() if isinstance(value, np.generic) else value
    message = f"{where} is {shown!r}, expected {expected}; {remedy}"
    raise EvaluationError(message, field=field, row=row, value=shown, expected=expected)


def as_array(field: str, values: npt.ArrayLike, *, ndim: int) -> npt.NDArray[np.generic]:
    """Return `values` as a numeric array of `ndim` dimensions with at least one row, uncopied if it is one.

    Raises:
        EvaluationError: Ragged, empty, not numeric, or of other dimensions.
    """
    array = as_given(field, values)
    if array.dtype.kind not in "fiu":
        reject(field, None, array.dtype.name, "numbers", "convert the column to int or float first")
    if array.ndim != ndim or array.size == 0:
        reject(field, None, array.shape, f"a shape of {ndim} dimensions, none of them 0", "reshape it")
    return array


def as_floats(field: str, values: npt.ArrayLike, *, ndim: int, remedy: str) -> Floats:
    """Return `values` as finite float64, uncopied if they are.

    Raises:
        EvaluationError: As `as_array`, or NaN or infinite; the message names the row.
    """
    array = as_array(field, values, ndim=ndim).astype(np.float64, copy=False)
    finite = np.isfinite(array)
    if not finite.all():
        row = int(np.argmin(finite)) // (array.size // array.shape[0])
        bad = array[row][~finite[row]][0] if ndim > 1 else array[row]
        reject(field, row, bad, "a finite number", remedy)
    return array


def as_actions(field: str, values: npt.ArrayLike) -> Ints:
    """Return `values` as one int64 position per row, not negative.

    Raises:
        EvaluationError: Ragged, empty, not integer, or negative.
    """
    array = as_given(field, values)
    if array.ndim != 1 or array.size == 0:
        reject(field, None, array.shape, "a shape (n,) with n > 0", "give one action position per row")
    if array.dtype.kind not in "iu":
        reject(field, None, array.dtype.name, "integers", "give the action's position among the k actions")
    actions = array.astype(np.int64, copy=False)
    if actions.min() < 0:
        row = int(np.argmax(actions < 0))
        reject(field, row, actions[row], "a position of 0 or more", "number the actions from 0")
    return actions


def as_names(field: str, values: npt.ArrayLike) -> npt.NDArray[np.generic]:
    """Return `values` as one integer or string per row; objects that are all one or the other are taken too.

    Raises:
        EvaluationError: Ragged, of other dimensions, or something else.
    """
    array = as_given(field, values)
    if array.dtype == np.object_ and array.ndim == 1:
        kinds = set(map(type, array.tolist()))
        if kinds in ({str}, {int}):  # a table's text column comes as objects
            array = np.asarray(array.tolist())
    if array.ndim != 1 or array.dtype.kind not in "iuSU":
        found = f"{array.dtype.name} {array.shape}"
        remedy = f"give the {field} of every row; convert other kinds, as by astype(str)"
        reject(field, None, found, "one integer or string per row", remedy)
    return array


def check_length(field: str, length: int, n: int) -> None:
    """Raise unless a column is as long as `action`.

    Raises:
        EvaluationError: Of another length.
    """
    if length != n:
        reject(field, None, length, f"{n} rows, as many as action", "give every column one entry per row")


def check_below(actions: Ints, k: int) -> None:
    """Raise if an action lies outside the `k` actions of a matrix.

    Raises:
        EvaluationError: Names the first such row.
    """
    if actions.max() >= k:
        row = int(np.argmax(actions >= k))
        remedy = "give every action its own column, in the order of the log"
        reject("action", row, actions[row], f"a position below {k}, the number of columns", remedy)


def as_given(field: str, values: npt.ArrayLike) -> npt.NDArray[np.generic]:
    """Return `values` as an array, uncopied if it is one.

    Raises:
        EvaluationError: Ragged.
    """
    try:
        return np.asarray(values)
    except ValueError:
        reject(field, None, "ragged", "rows of one length", "pad or drop the rows that differ")
