"""What comes in at the front door, checked in one pass over all rows where all is well."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from agentic._noise import text_keys
from agentic.arrays import F64
from agentic.conditions import Coded
from agentic.errors import (
    InvalidContextError,
    InvalidOutcomeError,
    InvalidSubjectError,
    InvalidTimeError,
    masked,
)
from agentic.rewards import Goals
from agentic.types import micros

_MOST_BYTES: Final = 512
_FIRST: Final = micros(datetime(2, 1, 1, tzinfo=UTC))
_LAST: Final = micros(datetime(9998, 1, 1, tzinfo=UTC))
_MOST_SLOTS: Final = 100
_MOST: Final = 1e15  # beyond any currency


def checked_subjects(subjects: Sequence[str]) -> list[str]:
    """The ids as a list, if each can be stored."""
    if isinstance(subjects, str | bytes):
        told = masked(subjects)
        raise InvalidSubjectError(f"subjects must be a list of ids, got one: {told}", value=told)
    try:
        names = list(subjects)
    except TypeError:
        told = masked(subjects)
        raise InvalidSubjectError(f"subjects must be a list of ids, got {told}", value=told) from None
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
            told = masked(name)
            raise InvalidSubjectError(f"a subject must be a string, got {told}: use str(...)", value=told)
        try:
            size = len(name.encode())
        except UnicodeEncodeError:
            raise InvalidSubjectError(
                f"a subject must be encodable as UTF-8, got {masked(name)} with a lone surrogate",
                value=masked(name),
            ) from None
        if not 1 <= size <= _MOST_BYTES:
            raise InvalidSubjectError(
                f"a subject must be 1 to {_MOST_BYTES} bytes of UTF-8, got {size}: hash longer ids",
                value=size,
            )
        if name.startswith("\x00"):
            told = masked(name)
            raise InvalidSubjectError(f"a subject must not begin with a NUL, got {told}", value=told)
    return names


def checked_time(at: datetime, /) -> int:
    """A time in microseconds since 1970, with room for delays, windows and zones on either side.

    Raises:
        InvalidTimeError: It has no zone, or lies outside the years 2 to 9997.
    """
    found = micros(at)
    if not _FIRST <= found <= _LAST:
        raise InvalidTimeError(f"a time must lie in the years 2 to 9997, got {at!r}", value=at)
    return found


def checked_requests(request_ids: Sequence[str], n: int, /) -> list[str]:
    """The request ids as a list, if each is a text that can be hashed.

    Raises:
        InvalidContextError: There is not one for each of n subjects, or one is no text.
    """
    if isinstance(request_ids, str) or len(request_ids) != n:
        raise InvalidContextError(
            f"request_ids must be {n} strings, one for each subject, got {masked(request_ids)}",
            value=masked(request_ids),
        )
    for request_id in request_ids:
        if not isinstance(request_id, str) or (not request_id.isascii() and not _encodable(request_id)):
            raise InvalidContextError(
                f"request_ids must be strings that can be encoded as UTF-8, got {masked(request_id)}",
                value=masked(request_id),
            )
    return list(request_ids)


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def checked_outcomes(
    goals: Goals,
    decision_ids: Sequence[str],
    outcomes: Sequence[str] | str,
    values: Sequence[float] | F64 | None,
    *,
    slots: Sequence[int] | None,
    at: Sequence[datetime] | datetime | int,
    event_ids: Sequence[str] | None,
) -> dict[str, NDArray[Any]]:
    """Outcomes as the columns that are logged: goal codes, values, slots, times, event keys.

    Raises:
        UnknownGoalError: No goal counts an outcome of this name.
        InvalidOutcomeError: A value, slot or event id cannot be used, or lists differ in length.
        InvalidTimeError: A time has no zone.
    """
    m = len(decision_ids)
    names = [outcomes] * m if isinstance(outcomes, str) else list(outcomes)
    if isinstance(at, int):
        times = np.full(m, at, dtype=np.int64)
    elif isinstance(at, Sequence) and not isinstance(at, str):
        times = np.array([micros(one) for one in at], dtype=np.int64)
    else:
        times = np.full(m, micros(at), dtype=np.int64)
    amounts = np.ones(m) if values is None else _checked_values(values)
    places = np.zeros(m, dtype=np.int64) if slots is None else np.asarray(slots)
    for column, what in ((names, "outcomes"), (amounts, "values"), (places, "slots"), (times, "at")):
        if len(column) != m:
            raise InvalidOutcomeError(
                f"{what} must have {m} entries, one for each decision, got {len(column)}", value=len(column)
            )
    if m and (places.dtype.kind not in "iu" or not 0 <= places.min() <= places.max() < _MOST_SLOTS):
        raise InvalidOutcomeError(
            f"a slot must be an integer from 0 to 99, got {masked(slots)}", value=masked(slots)
        )
    if event_ids is not None and (
        isinstance(event_ids, str) or len(event_ids) != m or not all(isinstance(e, str) for e in event_ids)
    ):
        raise InvalidOutcomeError(
            f"event_ids must be {m} strings, got {masked(event_ids)}", value=masked(event_ids)
        )
    goal = goals.codes(names)
    goals.worth(goal, amounts)
    # Without an event id a goal counts once for a choice: a second report of it is the same event.
    if event_ids is None:
        events = [f"goal/{slot}/{name}" for slot, name in zip(places.tolist(), names, strict=True)]
    else:
        events = [f"event/{event_id}" for event_id in event_ids]
    return {
        "slot": places.astype(np.int64),
        "goal": goal,
        "value": amounts,
        "at": times,
        "event": text_keys([event.encode("utf-8", "surrogatepass").decode("latin-1") for event in events]),
    }


def _checked_values(values: Sequence[float] | F64) -> F64:
    listed = values.tolist() if isinstance(values, np.ndarray) else list(values)
    for value in listed:
        number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
        if not number or not -_MOST <= value <= _MOST:
            raise InvalidOutcomeError(
                f"an outcome's value must be a number between -1e15 and 1e15, got {masked(value)}",
                value=masked(value),
            )
    return np.array(listed, dtype=np.float64)


def rows_of(column: Any, rows: list[int]) -> Any:  # a column of any kind, some of its rows
    if isinstance(column, Coded):
        return Coded(column.codes[np.array(rows)], column.categories)
    if isinstance(column, np.ndarray):
        return column[rows]
    return [column[row] for row in rows]


def texts(values: Sequence[str]) -> NDArray[Any]:
    """A column of texts: shape (n,), object."""
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column
