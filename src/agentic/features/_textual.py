"""Which features are texts: categories, hashed texts and time zones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from itertools import repeat
from typing import Any, Final

import attrs
import numpy as np

from agentic import zones
from agentic._noise import text_key
from agentic.arrays import F64
from agentic.conditions import Coded, Unlisted
from agentic.errors import ConfigurationError
from agentic.features._raw import (
    INVALID,
    KEYS,
    NAN,
    NULL,
    OTHER,
    PRESENT,
    TEXTS,
    Reading,
    Statuses,
    check_max_age,
    check_name,
    check_purpose,
    filled,
    is_whole,
    one_by_one,
    one_text,
    plain_text,
    plain_texts,
    seconds,
    whole,
)

_MAX_VALUES: Final = 10_000
_MAX_BUCKETS: Final = 100_000
# Up to here comparing with every category costs less than picking one.
_FEW: Final = 8


def _looked_up(values: Any, codes: Mapping[str | None, float], /) -> F64 | None:
    """Look a column of plain texts up: shape (n,), -1 for another text, ``nan`` for ``None``.

    Returns ``None`` where the column holds anything else.
    """
    texts = plain_texts(values, TEXTS)
    if texts is None:
        return None
    return np.fromiter(map(codes.get, texts, repeat(-1.0)), np.float64, len(texts))


def _decoded(values: Coded, read: Callable[[object], Reading], /) -> tuple[F64, Statuses]:
    """Read a coded column, each of its categories once: numbers (n,) and statuses (n,)."""
    numbers, status = one_by_one([None, Unlisted(values.categories), *values.categories], read)
    places = values.places()
    return numbers[places], status[places]


def _judged(codes: F64, unlisted: int, /) -> Statuses:
    """Say of each code what it is, shape (n,): a value, ``unlisted`` at -1, or missing at ``nan``."""
    status = np.full(len(codes), PRESENT, dtype=np.uint8)
    known = codes >= 0
    if not known.all():
        status[~known] = unlisted
        status[np.isnan(codes)] = NULL
    return status


def _own_codes(values: Coded, /) -> F64:
    """Return the codes of a column that is coded as the feature is, ``nan`` where missing: shape (n,)."""
    codes = values.places().astype(np.float64)
    codes -= 2.0
    codes[codes < -1] = NAN
    return codes


def _marked(codes: F64, out: F64, marks: F64 | None = None, /) -> None:
    """Write 1, or a mark, into the column that each code names; 0 elsewhere, and for -1 and ``nan``."""
    out[...] = 0.0
    rows = np.flatnonzero(codes >= 0)
    out[rows, codes[rows].astype(np.intp)] = 1.0 if marks is None else marks[rows]


def _texts(value: Any) -> tuple[Any, ...]:
    # A text is a sequence of texts, and never meant as one here. An Enum of texts becomes plain ones.
    listed = (value,) if isinstance(value, str) or not isinstance(value, Iterable) else tuple(value)
    return tuple(plain_text(item) if isinstance(item, str) else item for item in listed)


def _text(value: Any) -> Any:
    return plain_text(value) if isinstance(value, str) else value


@attrs.frozen
class Category:
    """One of some declared texts; it is encoded as one column for each, of which at most one is 1.

    A text nobody declared is known to be none of them: it is marked ``OTHER`` and encoded as zeros.

    Attributes:
        name: Its name in the context, in providers and in conditions.
        values: The texts, each once, at most 10,000.
        default: Which of them a missing value counts as; none when ``None``.
        max_age: Age from which a value with a known time is stale.
        purpose: What the subject must have agreed to before it is asked for or used; ``None`` for nothing.
    """

    name: str = attrs.field(validator=check_name)
    values: tuple[str, ...] = attrs.field(converter=_texts)
    default: str | None = attrs.field(default=None, kw_only=True, converter=_text)
    max_age: timedelta | None = attrs.field(default=None, kw_only=True, validator=check_max_age)
    purpose: str | None = attrs.field(default=None, kw_only=True, validator=check_purpose)
    _codes: Mapping[str | None, float] = attrs.field(init=False, eq=False, repr=False)
    _places: F64 = attrs.field(init=False, eq=False, repr=False)

    @values.validator
    def _check_values(self, _: object, values: tuple[object, ...]) -> None:
        if not 1 <= len(values) <= _MAX_VALUES or not all(isinstance(v, str) and v for v in values):
            raise ConfigurationError(
                f"feature {self.name!r}: values must list 1 to {_MAX_VALUES:,} texts that are not empty, "
                f"got {values[:20]!r}: declare what is frequent, or use Hashed",
                value=values,
                expected="a list of texts",
            )
        if len(set(values)) < len(values):
            twice = sorted({str(value) for value in values if values.count(value) > 1})[:20]
            raise ConfigurationError(
                f"feature {self.name!r}: each value must be listed once, got {twice!r} more often",
                value=twice,
            )

    def __attrs_post_init__(self) -> None:
        if self.default is not None and self.default not in self.values:
            raise ConfigurationError(
                f"feature {self.name!r}: default must be one of its values or None, got {self.default!r}",
                value=self.default,
                expected=self.values,
            )
        codes: dict[str | None, float] = {text: float(code) for code, text in enumerate(self.values)}
        codes[None] = NAN
        object.__setattr__(self, "_codes", codes)
        object.__setattr__(self, "_places", np.arange(len(self.values), dtype=np.float64))

    @property
    def width(self) -> int:
        return len(self.values)

    @property
    def max_age_s(self) -> float | None:
        return seconds(self.max_age)

    @property
    def categories(self) -> tuple[str, ...]:
        return self.values

    @property
    def encoded(self) -> tuple[str, ...]:
        return tuple(f"{self.name}={value}" for value in self.values)

    def resolve_one(self, value: object, /) -> Reading:
        """Resolve one value: its place among the declared ones, -1 for another text, and its status."""
        if type(value) is Unlisted and set(self.values) <= set(value.categories):
            return -1.0, OTHER
        text = one_text(value)
        if isinstance(text, tuple):
            return text
        code = self._codes.get(text, -1.0)
        return code, PRESENT if code >= 0 else OTHER

    def resolve(self, values: Any, /) -> tuple[F64, Statuses]:
        if isinstance(values, Coded):
            if values.categories != self.values:
                return _decoded(values, self.resolve_one)
            codes: F64 | None = _own_codes(values)
        else:
            codes = _looked_up(values, self._codes)
        return one_by_one(values, self.resolve_one) if codes is None else (codes, _judged(codes, OTHER))

    def encode(self, values: F64, out: F64, /) -> None:
        if self.default is not None:
            values = filled(values, self._codes[self.default])
        if len(values) <= _FEW:
            np.equal(values[:, None], self._places, out=out)
        else:
            _marked(values, out)


@attrs.frozen
class Hashed:
    """A text or integer out of too many to declare; it is hashed to one of some columns, as 1 or -1.

    Resolved, it is the number of the bucket, from 1, with the sign folded in: -3 puts -1 into the third
    column. So a log can hold it as a number, but to a rule it means nothing: conditions cannot use it.
    The hash is keyed by the feature's name and the same everywhere. ``42`` and ``"42"`` are the same.

    Attributes:
        name: Its name in the context and in providers.
        buckets: How many columns; texts in one bucket cannot be told apart.
        default: What a missing value counts as; zeros when ``None``.
        max_age: Age from which a value with a known time is stale.
        purpose: What the subject must have agreed to before it is asked for or used; ``None`` for nothing.

    Source: Weinberger et al. 2009, Feature hashing for large scale multitask learning, section 2.
    """

    name: str = attrs.field(validator=check_name)
    buckets: int = attrs.field(default=32, kw_only=True)
    default: str | int | None = attrs.field(default=None, kw_only=True)
    max_age: timedelta | None = attrs.field(default=None, kw_only=True, validator=check_max_age)
    purpose: str | None = attrs.field(default=None, kw_only=True, validator=check_purpose)
    _salt: bytes = attrs.field(init=False, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        if type(self.buckets) is not int or not 1 <= self.buckets <= _MAX_BUCKETS:
            raise ConfigurationError(
                f"feature {self.name!r}: buckets must be an integer from 1 to {_MAX_BUCKETS:,}, "
                f"got {self.buckets!r}",
                value=self.buckets,
            )
        object.__setattr__(self, "_salt", self.name.encode()[:64])
        if self.default is not None and self.resolve_one(self.default)[1] != PRESENT:
            raise ConfigurationError(
                f"feature {self.name!r}: default must be a text, an integer or None, got {self.default!r}",
                value=self.default,
            )

    @property
    def width(self) -> int:
        return self.buckets

    @property
    def max_age_s(self) -> float | None:
        return seconds(self.max_age)

    @property
    def categories(self) -> None:
        return None

    @property
    def encoded(self) -> tuple[str, ...]:
        return tuple(f"{self.name}#{bucket + 1}" for bucket in range(self.buckets))

    @property
    def hidden_from_rules(self) -> bool:
        """Capability: keep the values from conditions, to which they mean nothing."""
        return True

    def resolve_one(self, value: object, /) -> Reading:
        """Resolve one value: the number of its bucket, from 1, with its sign, and its status."""
        text: str | Reading
        if is_whole(value):
            try:
                text = str(whole(value))
            except ValueError:  # Python does not write integers of more than 4,300 digits
                return NAN, INVALID
        else:
            text = one_text(value)
        if isinstance(text, tuple):
            return text
        try:
            key = text_key(text, salt=self._salt)
        except UnicodeEncodeError:  # a lone surrogate
            return NAN, INVALID
        bucket = 1 + (key >> 1) % self.buckets
        return float(bucket if key & 1 else -bucket), PRESENT

    def resolve(self, values: Any, /) -> tuple[F64, Statuses]:
        if isinstance(values, Coded):
            return _decoded(values, self.resolve_one)
        plain = plain_texts(values, KEYS)
        if plain is None:
            return one_by_one(values, self.resolve_one)
        # Each text is hashed once, however often it stands in the column.
        readings = {value: self.resolve_one(value) for value in set(plain)}
        codes = {value: code for value, (code, _) in readings.items()}
        found = np.fromiter(map(codes.__getitem__, plain), np.float64, len(plain))
        status = np.full(len(found), PRESENT, dtype=np.uint8)
        if np.isnan(found).any():
            reasons = {value: reason for value, (_, reason) in readings.items()}
            status[:] = np.fromiter(map(reasons.__getitem__, plain), np.uint8, len(plain))
        return found, status

    def encode(self, values: F64, out: F64, /) -> None:
        if self.default is not None:
            values = filled(values, self.resolve_one(self.default)[0])
        _marked(np.abs(values) - 1.0, out, np.sign(values))


@attrs.frozen
class TimeZone:
    """Where a subject's clock stands: the name of an IANA time zone, for rules about local time.

    It is not encoded. Resolved, it is the zone's number in ``agentic.zones``; a name that is no zone on
    this machine is ``INVALID``.

    Attributes:
        name: Its name in the context, in providers and in conditions.
        max_age: Age from which a value with a known time is stale.
        purpose: What the subject must have agreed to before it is asked for or used; ``None`` for nothing.
        default: The zone a missing value counts as where ``numbers`` is asked; unknown when ``None``.
    """

    name: str = attrs.field(default="time_zone", validator=check_name)
    default: str | None = attrs.field(default=None, kw_only=True)
    max_age: timedelta | None = attrs.field(default=None, kw_only=True, validator=check_max_age)
    purpose: str | None = attrs.field(default=None, kw_only=True, validator=check_purpose)
    _codes: Mapping[str | None, float] = attrs.field(init=False, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        if self.default is not None:
            zones.check(self.default, f"feature {self.name!r}: default")
        # A zone without data on this machine has a number, but no local time.
        codes: dict[str | None, float] = {
            zone: float(code) for zone in zones.names() if (code := zones.number(zone)) != zones.UNKNOWN
        }
        codes[None] = NAN
        object.__setattr__(self, "_codes", codes)

    @property
    def width(self) -> int:
        return 0

    @property
    def max_age_s(self) -> float | None:
        return seconds(self.max_age)

    @property
    def categories(self) -> tuple[str, ...]:
        return zones.names()

    @property
    def encoded(self) -> tuple[str, ...]:
        return ()

    def resolve_one(self, value: object, /) -> Reading:
        """Resolve one value: the number of the zone, ``nan`` where unknown, and its status."""
        text = one_text(value)
        if isinstance(text, tuple):
            return text
        code = self._codes.get(text, NAN)
        return code, PRESENT if code >= 0 else INVALID

    def resolve(self, values: Any, /) -> tuple[F64, Statuses]:
        if isinstance(values, Coded):
            return _decoded(values, self.resolve_one)
        codes = _looked_up(values, self._codes)
        if codes is None:
            return one_by_one(values, self.resolve_one)
        status = _judged(codes, INVALID)
        codes[codes < 0] = NAN
        return codes, status

    def encode(self, values: F64, out: F64, /) -> None:
        """Write nothing: a zone's number means nothing to a model."""

    def numbers(self, values: F64, /) -> np.ndarray[Any, np.dtype[np.int16]]:
        """Return resolved values as ``agentic.zones`` numbers them, the default or -1 in place of ``nan``."""
        default = zones.UNKNOWN if self.default is None else self._codes[self.default]
        return filled(values, float(default)).astype(np.int16)
