"""What does a provider's answer say, and which of two answers stands?"""

from __future__ import annotations

import array
from collections.abc import Iterable, Sequence
from typing import Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray

from agentic.arrays import F64, USABLE, Columns, Status, shown
from agentic.conditions import Coded
from agentic.errors import InvalidContextError
from agentic.features._raw import PRESENT, Statuses, listed

_RANK: Final = np.full(256, 2, dtype=np.uint8)
_RANK[list(USABLE)] = 3
_RANK[Status.NULL] = 1
_RANK[Status.NOT_FOUND] = 0
# What is no status at all tells that something went wrong.
_TOLD: Final = np.full(256, Status.ERROR, dtype=np.uint8)
_TOLD[list(Status)] = list(Status)


@attrs.frozen(eq=False)
class Answer:
    """One column of a provider's answer, checked.

    Attributes:
        values: Length n, raw.
        status: Shape (n,).
        at: Shape (n,), seconds since 1970, ``nan`` where unknown; ``None`` where all are unknown.
    """

    __repr__ = shown

    values: Any  # whatever a provider sends
    status: Statuses
    at: F64 | None


def usable(status: Statuses, /) -> NDArray[np.bool_]:
    """Return where there is a value: any shape, bool."""
    out = np.equal(status, USABLE[0])
    for code in USABLE[1:]:
        out |= np.equal(status, code)
    return out


def better(status: Statuses, than: Statuses, /) -> NDArray[np.bool_]:
    """Return where one status replaces another: shape (n,), bool.

    A value stands, whatever comes later. Of two reasons why there is none, the first stands, but that
    nobody knew gives way to any other, and that somebody knew there is nothing, to a failure.
    """
    return np.greater(_RANK[status], _RANK[than])


def as_column(column: object, n: int, /) -> Any:  # a list, a tuple, an array or Coded
    """Return a raw column that has n rows, or ``None``; a text and a matrix are no columns."""
    if isinstance(column, list | tuple):
        found = len(column)
    elif isinstance(column, Coded):
        found = len(column.codes)
    elif isinstance(column, str | bytes | bytearray | memoryview):
        return None
    else:
        if not isinstance(column, np.ndarray) and hasattr(column, "__array__"):
            column = np.asarray(column)
        elif isinstance(column, Sequence | array.array):
            column = list(column)
            return column if len(column) == n else None
        if not isinstance(column, np.ndarray) or column.ndim != 1:
            return None
        found = len(column)
    return column if found == n else None


def objects(values: Any, /) -> NDArray[Any]:
    """Return a raw column as an array of objects: shape (n,)."""
    column = listed(values)
    return np.fromiter(column, dtype=object, count=len(column))


def failure(n: int, /) -> Answer:
    """Return the answer of somebody who could not."""
    return Answer([None] * n, np.full(n, Status.ERROR, dtype=np.uint8), None)


def answers(columns: object, names: Iterable[str], n: int, /) -> dict[str, Answer]:
    """Check what a provider returned; a column that is wrong counts as ``ERROR``, one not there is left out.

    Raises:
        InvalidContextError: It is not ``Columns`` at all.
    """
    if not isinstance(columns, Columns):
        raise InvalidContextError(
            f"a feature provider must return Columns, got {type(columns).__name__}",
            value=type(columns).__name__,
            expected="Columns",
        )
    return {name: _answer(columns, name, n) for name in names if name in columns.values}


def _answer(columns: Columns, name: str, n: int) -> Answer:
    told, at = columns.status.get(name), columns.at.get(name)
    try:
        if told is None:
            status = np.full(n, PRESENT, dtype=np.uint8)
        else:
            codes = np.asarray(told)
            if codes.dtype.kind not in "iu" or codes.shape != (n,):
                return failure(n)
            if codes.dtype != np.uint8:
                codes = np.where((codes >= 0) & (codes < len(_TOLD)), codes, 0).astype(np.uint8)
            status = _TOLD[codes]
        at = None if at is None else np.asarray(at, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        return failure(n)
    column = as_column(columns.values[name], n)
    if column is None or (at is not None and at.shape != (n,)):
        return failure(n)
    return Answer(column, status, at)
