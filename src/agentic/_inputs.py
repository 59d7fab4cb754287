"""What comes in at the front door, checked in one pass over all rows where all is well."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from agentic.conditions import Coded
from agentic.errors import InvalidOutcomeError, InvalidSubjectError

_MOST_BYTES: Final = 512


def checked_subjects(subjects: Sequence[str]) -> list[str]:
    """The ids as a list, if each can be stored."""
    if isinstance(subjects, str | bytes):
        raise InvalidSubjectError(f"subjects must be a list of ids, got one: {subjects!r}", value=subjects)
    names = subjects if type(subjects) is list else list(subjects)
    try:
        # One pass in C over all ids: not a string, a lone surrogate, too long, empty, reserved.
        joined = "\n".join(names)
        encoded = joined.encode()
        longest = max(map(len, names), default=1)
        if (
            len(encoded) == len(joined)
            and longest <= _MOST_BYTES
            and "" not in names
            and "\x00" not in joined
        ):
            return names
    except (TypeError, UnicodeEncodeError):
        pass
    for name in names:
        if not isinstance(name, str):
            raise InvalidSubjectError(f"a subject must be a string, got {name!r}: use str(...)", value=name)
        try:
            size = len(name.encode())
        except UnicodeEncodeError:
            raise InvalidSubjectError(
                f"a subject must be encodable as UTF-8, got {name!r} with a lone surrogate", value=name
            ) from None
        if not 1 <= size <= _MOST_BYTES:
            raise InvalidSubjectError(
                f"a subject must be 1 to {_MOST_BYTES} bytes of UTF-8, got {size}: hash longer ids",
                value=name[:80],
            )
        if name.startswith("\x00"):
            raise InvalidSubjectError(f"a subject must not begin with a NUL, got {name!r}", value=name)
    return names


def checked_values(values: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    listed = values.tolist() if isinstance(values, np.ndarray) else list(values)
    for value in listed:
        good = isinstance(value, int | float) and not isinstance(value, bool)
        if not good or not -1e15 < value < 1e15:
            raise InvalidOutcomeError(
                f"an outcome's value must be a finite number between -1e15 and 1e15, got {value!r}",
                value=value,
            )
    return np.array(listed, dtype=np.float64)


def rows_of(column: Any, rows: list[int]) -> Any:  # a column of any kind, some of its rows
    if isinstance(column, Coded):
        return Coded(column.codes[np.array(rows)], column.categories)
    if isinstance(column, np.ndarray):
        return column[rows]
    return [column[row] for row in rows]
