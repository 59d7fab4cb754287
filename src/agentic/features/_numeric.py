"""Which features are numbers: ranges, cycles and flags."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray

from agentic.arrays import F64
from agentic.errors import ConfigurationError
from agentic.features._raw import (
    CLIPPED,
    FLAGS,
    INVALID,
    NAN,
    NUMBERS,
    PRESENT,
    Reading,
    Statuses,
    affine,
    check_max_age,
    check_name,
    check_purpose,
    declared_number,
    filled,
    judged,
    one_by_one,
    one_number,
    plain_numbers,
    seconds,
)

_FLAGS: Final = np.array([False, True, None], dtype=object)


@attrs.frozen
class Number:
    """A number in a known range; it is encoded from 0 (``low``) to 1 (``high``).

    A value outside is taken as the nearer end and marked ``CLIPPED``. A text is not a number, whatever
    it says, and neither is a flag, nor an integer that does not fit into a float64: they are ``INVALID``.

    Attributes:
        name: Its name in the context, in providers and in conditions.
        low: Least value.
        high: Greatest value.
        default: What a missing value counts as; the middle of the range when ``None``.
        max_age: Age from which a value with a known time is stale.
        purpose: What the subject must have agreed to before it is asked for or used; ``None`` for nothing.
    """

    name: str = attrs.field(validator=check_name)
    low: float = attrs.field(kw_only=True)
    high: float = attrs.field(kw_only=True)
    default: float | None = attrs.field(default=None, kw_only=True)
    max_age: timedelta | None = attrs.field(default=None, kw_only=True, validator=check_max_age)
    purpose: str | None = attrs.field(default=None, kw_only=True, validator=check_purpose)

    def __attrs_post_init__(self) -> None:
        low = declared_number(self.name, "low", self.low)
        high = declared_number(self.name, "high", self.high)
        if not low < high or not math.isfinite(high - low):
            raise ConfigurationError(
                f"feature {self.name!r}: low must be less than high, and their distance a finite float64, "
                f"got {self.low!r} and {self.high!r}",
                value=(self.low, self.high),
                expected="low < high",
            )
        object.__setattr__(self, "low", low)
        object.__setattr__(self, "high", high)
        if self.default is not None:
            default = declared_number(self.name, "default", self.default)
            if not low <= default <= high:
                raise ConfigurationError(
                    f"feature {self.name!r}: default must lie between {low} and {high}, got {self.default!r}",
                    value=self.default,
                    expected=(low, high),
                )
            object.__setattr__(self, "default", default)

    @property
    def width(self) -> int:
        return 1

    @property
    def max_age_s(self) -> float | None:
        return seconds(self.max_age)

    @property
    def categories(self) -> None:
        return None

    @property
    def encoded(self) -> tuple[str, ...]:
        return (self.name,)

    @property
    def affine_encoding(self) -> tuple[float, float, float]:
        """Capability: offset, divisor and default of an encoding that a schema may do for many at once."""
        middle = self.low + (self.high - self.low) / 2
        return self.low, self.high - self.low, middle if self.default is None else self.default

    def resolve_one(self, value: object, /) -> Reading:
        """Resolve one value: a number, ``nan`` where unusable, and its status."""
        number, status = (value, PRESENT) if type(value) is float else one_number(value)
        if self.low <= number <= self.high:
            return number + 0.0, status  # -0.0 becomes 0.0
        number, status = one_number(value)
        if number < self.low:
            return self.low, CLIPPED
        if number > self.high:
            return self.high, CLIPPED
        return number, status

    def resolve(self, values: Any, /) -> tuple[F64, Statuses]:
        numbers = plain_numbers(values, "fiu", NUMBERS)
        if numbers is None:
            return one_by_one(values, self.resolve_one)
        # The ends of a column with a `nan` are `nan`, so this also finds that none is missing.
        if len(numbers) and self.low <= numbers.min() and numbers.max() <= self.high:
            return numbers + 0.0, np.full(len(numbers), PRESENT, dtype=np.uint8)
        numbers, status = judged(numbers)
        status[(numbers < self.low) | (numbers > self.high)] = CLIPPED
        return np.clip(numbers, self.low, self.high, out=numbers), status

    def encode(self, values: F64, out: F64, /) -> None:
        out[:, 0] = affine(values, *self.affine_encoding)


@attrs.frozen
class Cyclic:
    """A number that comes round again, such as the hour of the day; it is encoded as a point on a circle.

    Any finite number is taken modulo the period. A missing value without a default is the centre, (0, 0).

    Attributes:
        name: Its name in the context, in providers and in conditions.
        period: After how much it starts again: 24 for hours of the day.
        default: What a missing value counts as.
        max_age: Age from which a value with a known time is stale.
        purpose: What the subject must have agreed to before it is asked for or used; ``None`` for nothing.
    """

    name: str = attrs.field(validator=check_name)
    period: float = attrs.field(kw_only=True)
    default: float | None = attrs.field(default=None, kw_only=True)
    max_age: timedelta | None = attrs.field(default=None, kw_only=True, validator=check_max_age)
    purpose: str | None = attrs.field(default=None, kw_only=True, validator=check_purpose)

    def __attrs_post_init__(self) -> None:
        period = declared_number(self.name, "period", self.period)
        if period <= 0:
            raise ConfigurationError(
                f"feature {self.name!r}: period must be greater than 0, got {self.period!r}",
                value=self.period,
                expected="a positive number",
            )
        object.__setattr__(self, "period", period)
        if self.default is not None:
            object.__setattr__(self, "default", declared_number(self.name, "default", self.default))

    @property
    def width(self) -> int:
        return 2

    @property
    def max_age_s(self) -> float | None:
        return seconds(self.max_age)

    @property
    def categories(self) -> None:
        return None

    @property
    def encoded(self) -> tuple[str, ...]:
        return (f"{self.name}:sin", f"{self.name}:cos")

    def resolve_one(self, value: object, /) -> Reading:
        """Resolve one value: a number from 0 to below the period, ``nan`` where unusable, and its status."""
        number, status = one_number(value)
        if status == PRESENT:
            number %= self.period
            # The remainder of a tiny negative number rounds up to the period itself.
            number = 0.0 if number == self.period else number + 0.0
        return number, status

    def resolve(self, values: Any, /) -> tuple[F64, Statuses]:
        numbers = plain_numbers(values, "fiu", NUMBERS)
        if numbers is None:
            return one_by_one(values, self.resolve_one)
        numbers, status = judged(numbers)
        numbers = np.mod(numbers, self.period)
        numbers[numbers == self.period] = 0.0
        return numbers + 0.0, status

    def encode(self, values: F64, out: F64, /) -> None:
        if self.default is not None:
            values = filled(values, self.resolve_one(self.default)[0])
        # Dividing first keeps a tiny period from overflowing. Sine and cosine see a contiguous array, for
        # which numpy's loops give each number the same bits wherever it stands; strided, they may not.
        turn = np.ascontiguousarray(values / self.period)
        turn *= 2 * math.pi
        out[:, 0] = np.sin(turn)
        out[:, 1] = np.cos(turn)
        missing = np.isnan(values)
        if missing.any():
            out[missing] = 0.0


@attrs.frozen
class Flag:
    """Yes or no: a bool, or the number 0 or 1; anything else is ``INVALID``.

    Conditions see it as a flag: ``F("vip") == True``.

    Attributes:
        name: Its name in the context, in providers and in conditions.
        default: What a missing value counts as.
        max_age: Age from which a value with a known time is stale.
        purpose: What the subject must have agreed to before it is asked for or used; ``None`` for nothing.
    """

    name: str = attrs.field(validator=check_name)
    default: bool = attrs.field(default=False, kw_only=True)
    max_age: timedelta | None = attrs.field(default=None, kw_only=True, validator=check_max_age)
    purpose: str | None = attrs.field(default=None, kw_only=True, validator=check_purpose)

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.default, bool):
            raise ConfigurationError(
                f"feature {self.name!r}: default must be True or False, got {self.default!r}",
                value=self.default,
                expected="a bool",
            )

    @property
    def width(self) -> int:
        return 1

    @property
    def max_age_s(self) -> float | None:
        return seconds(self.max_age)

    @property
    def categories(self) -> None:
        return None

    @property
    def encoded(self) -> tuple[str, ...]:
        return (self.name,)

    @property
    def affine_encoding(self) -> tuple[float, float, float]:
        """Capability: offset, divisor and default of an encoding that a schema may do for many at once."""
        return 0.0, 1.0, float(self.default)

    def resolve_one(self, value: object, /) -> Reading:
        """Resolve one value: 0, 1 or ``nan``, and its status."""
        if type(value) is bool or type(value) is np.bool_:
            return (1.0 if value else 0.0), PRESENT
        number, status = one_number(value)
        return (NAN, INVALID) if status == PRESENT and number not in {0.0, 1.0} else (number, status)

    def resolve(self, values: Any, /) -> tuple[F64, Statuses]:
        numbers = plain_numbers(values, "fiub", FLAGS)
        if numbers is None:
            return one_by_one(values, self.resolve_one)
        numbers, status = judged(numbers)
        wrong = (numbers != 0.0) & (numbers != 1.0) & (status == PRESENT)
        if wrong.any():
            numbers[wrong] = NAN
            status[wrong] = INVALID
        return numbers, status

    def encode(self, values: F64, out: F64, /) -> None:
        out[:, 0] = affine(values, *self.affine_encoding)

    def condition_column(self, values: F64, /) -> NDArray[Any]:  # bool, or objects where some are missing
        """Capability: show conditions flags and not numbers, ``None`` where missing."""
        missing = np.isnan(values)
        if not missing.any():
            return np.equal(values, 1.0)
        return np.asarray(_FLAGS[np.where(missing, 2.0, values).astype(np.intp)])

    def describe_value(self, value: float, /) -> bool:
        """Capability: say a resolved value as a reader would."""
        return value == 1.0
