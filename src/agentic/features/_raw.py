"""What does a raw column hold, whatever the caller sent?

A column is read in one of two ways, and both must agree. Where all its values are plain, it is read at
once, in C. Otherwise each value is read by itself, by exact rules that trust nothing: nothing here calls
a method that a value could have overridden, and nothing is hashed that is not known to be a text or an
integer, so that a tuple nested a thousand deep is merely not a number.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray

from agentic.arrays import F64, Status
from agentic.conditions import Coded
from agentic.errors import ConfigurationError

Statuses = NDArray[np.uint8]
# A value with its status, before they become arrays.
Reading = tuple[float, int]

# Looking a member up on an enum costs as much as reading a number.
PRESENT: Final = int(Status.PRESENT)
NULL: Final = int(Status.NULL)
INVALID: Final = int(Status.INVALID)
CLIPPED: Final = int(Status.CLIPPED)
OTHER: Final = int(Status.OTHER)
NAN: Final = math.nan

_NO_VALUE: Final = (NAN, NULL)
_NO_NUMBER: Final = (NAN, INVALID)
_MAX_NAME: Final = 200
_MAX_PURPOSE: Final = 100
_WHOLE: Final = (int, np.integer)
_NUMBER: Final = (float, np.floating, *_WHOLE)
_NOT_NUMBER: Final = (bool, np.timedelta64)  # Python and numpy call these integers

INTEGERS: Final[frozenset[type]] = frozenset(
    {int, np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64}
)
NUMBERS: Final[frozenset[type]] = INTEGERS | {float, np.float64, np.float32, np.float16, type(None)}
FLAGS: Final[frozenset[type]] = NUMBERS | {bool, np.bool_}
TEXTS: Final[frozenset[type]] = frozenset({str, np.str_, type(None)})
KEYS: Final[frozenset[type]] = INTEGERS | TEXTS


def listed(values: Any, /) -> list[Any] | tuple[Any, ...]:  # whatever a caller sends
    """Return a column as Python values, without letting a date pass for an integer."""
    if type(values) in {list, tuple}:
        column: list[Any] | tuple[Any, ...] = values
        return column
    if isinstance(values, Coded):
        return values.values()
    # `tolist` turns nanoseconds into integers, and rows of a matrix into lists, which are no numbers either.
    if isinstance(values, np.ndarray) and values.dtype.kind not in "mM":
        return list(values.tolist())
    return list(values)


def plain_numbers(values: Any, kinds: str, types: frozenset[type], /) -> F64 | None:
    """Read a column of plain numbers at once: shape (n,), float64, ``nan`` for ``None``; else ``None``.

    Args:
        values: Whatever a caller sends.
        kinds: Kinds of numpy dtypes that are plain.
        types: Types of Python values that are plain.
    """
    if type(values) is np.ndarray and values.ndim == 1:
        if values.dtype.kind in kinds:
            with np.errstate(over="ignore"):  # a long double may not fit, and is then infinite
                return values.astype(np.float64, copy=False)
        if values.dtype.kind == "O":
            values = values.tolist()
    if _all_of(types, values):
        try:
            return np.array(values, dtype=np.float64)
        except OverflowError:  # an integer beyond float64 spoils its row, not the column
            return None
    return None


def plain_texts(values: Any, types: frozenset[type], /) -> list[Any] | tuple[Any, ...] | None:
    """Return a column as Python values where all of them are plain texts or ``None``; else ``None``."""
    if type(values) is np.ndarray and values.ndim == 1 and values.dtype.kind in "OTUiu":
        values = values.tolist()
    if _all_of(types, values):
        column: list[Any] | tuple[Any, ...] = values
        return column
    return None


def _all_of(types: frozenset[type], values: Any) -> bool:
    """Return whether this is a list or tuple of values of these very types."""
    try:
        return type(values) in {list, tuple} and types.issuperset(map(type, values))
    except TypeError:  # a metaclass may make its types unhashable
        return False


def one_by_one(values: Any, read: Callable[[object], Reading], /) -> tuple[F64, Statuses]:
    """Read each value by itself: numbers (n,) and statuses (n,)."""
    readings = [read(value) for value in listed(values)]
    numbers = np.array([number for number, _ in readings], dtype=np.float64)
    return numbers, np.array([status for _, status in readings], dtype=np.uint8)


def one_number(value: object, /) -> Reading:
    """Read one finite number; a flag, a text, a date and an integer beyond float64 are none."""
    # The type is asked and never the value, whose ``__class__`` may be anybody's code.
    kind = type(value)
    if kind is not float:
        if value is None:
            return _NO_VALUE
        if not issubclass(kind, _NUMBER) or issubclass(kind, _NOT_NUMBER):
            return _NO_NUMBER
        try:
            value = whole(value) if issubclass(kind, _WHOLE) else value
            value = float.__float__(value) if isinstance(value, float) else float(value)  # type: ignore[arg-type]
        except OverflowError:
            return _NO_NUMBER
    number: float = value  # type: ignore[assignment]  # all other types have returned
    if number - number == 0.0:  # finite
        return number + 0.0, PRESENT  # and -0.0 becomes 0.0
    return _NO_VALUE if number != number else _NO_NUMBER  # noqa: PLR0124  # nan


def whole(value: Any, /) -> int:  # an integer of Python or numpy
    """Return an integer as a plain one: an ``IntEnum`` is its number, whatever it overrides."""
    return int.__index__(value) if issubclass(type(value), int) else int(value)


def is_whole(value: object, /) -> bool:
    """Return whether a value is an integer; a flag and a duration are none."""
    kind = type(value)
    return issubclass(kind, _WHOLE) and not issubclass(kind, _NOT_NUMBER)


def one_text(value: object, /) -> str | Reading:
    """Read one text, or say why there is none; ``nan`` is how tables of texts say missing."""
    if type(value) is str:
        return value
    if issubclass(type(value), str):
        return plain_text(value)
    if value is None or one_number(value)[1] == NULL:
        return _NO_VALUE
    return _NO_NUMBER


def plain_text(value: Any, /) -> str:  # a text of any type
    """Return a text as a plain one: an Enum of texts is its value, whatever it overrides."""
    return str.__str__(value)


def judged(numbers: F64, /) -> tuple[F64, Statuses]:
    """Say of each number whether it is one: a copy (n,), ``nan`` where not finite, and statuses (n,)."""
    status = np.full(len(numbers), PRESENT, dtype=np.uint8)
    finite = np.isfinite(numbers)
    numbers = numbers + 0.0  # also turns -0.0 into 0.0
    if not finite.all():
        status[~finite] = INVALID
        status[np.isnan(numbers)] = NULL
        numbers[~finite] = NAN
    return numbers, status


def check_name(_: object, __: attrs.Attribute[str], value: str) -> None:
    """Refuse a feature name that conditions and logs could not show."""
    if not isinstance(value, str) or not 0 < len(value) <= _MAX_NAME or not value.isprintable():
        raise ConfigurationError(
            f"a feature's name must be 1 to {_MAX_NAME} printable characters, got {value!r}", value=value
        )


def check_max_age(
    owner: object, attribute: attrs.Attribute[timedelta | None], value: timedelta | None
) -> None:
    """Refuse an age that is not a positive duration."""
    if value is not None and (not isinstance(value, timedelta) or value <= timedelta(0)):
        raise ConfigurationError(
            f"feature {getattr(owner, 'name', None)!r}: max_age must be a positive timedelta or None, "
            f"got {value!r}: use timedelta(hours=1), for example",
            value=value,
            expected="a positive timedelta",
        )


def check_purpose(owner: object, _: object, value: Any) -> None:
    """Refuse a purpose that no fact about consent could name."""
    good = value is None or (
        isinstance(value, str) and 0 < len(value) <= _MAX_PURPOSE and value.isprintable()
    )
    if not good:
        raise ConfigurationError(
            f"feature {getattr(owner, 'name', None)!r}: purpose must be 1 to {_MAX_PURPOSE} printable"
            f" characters such as 'personalisation', or None, got {value!r}",
            value=value,
        )


def declared_number(name: object, what: str, value: object, /) -> float:
    """Read a number in a declaration.

    Raises:
        ConfigurationError: It is not a finite number.
    """
    number, status = one_number(value)
    if status != PRESENT:
        raise ConfigurationError(
            f"feature {name!r}: {what} must be a finite number, got {value!r}",
            value=value,
            expected="a finite number",
        )
    return number


def seconds(age: timedelta | None, /) -> float | None:
    """Return a duration in seconds."""
    return None if age is None else age.total_seconds()


def filled(values: F64, default: float, /) -> F64:
    """Return values with a default in place of ``nan``; the same array where none is missing."""
    missing = np.isnan(values)
    return np.where(missing, default, values) if missing.any() else values


def affine(values: F64, offset: Any, divisor: Any, default: Any, /) -> F64:  # scalars, or one for each row
    """Return ``(values - offset) / divisor``, with defaults in place of ``nan``.

    Args:
        values: Float64, any shape.
        offset: Broadcastable to it; likewise ``divisor``, not 0, and ``default``, which is not yet scaled.
    """
    missing = np.isnan(values)
    if missing.any():
        values = np.where(missing, default, values)
    out: F64 = np.subtract(values, offset)
    out /= divisor
    return out
