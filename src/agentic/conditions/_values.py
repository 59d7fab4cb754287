"""What do the values of a condition mean, one at a time and by the column?

How a rule is written, stored and explained is in `agentic.conditions`; here is when ``a >= b`` holds.
Everything here exists twice, for one value and for a column, and the two must agree: a reader who checks that
needs both on one page and nothing else.

A value is missing (``None``), a flag, a number, a text, or one that no condition can judge. NaN is missing.

* Anything compared with a missing value is unknown.
* Numbers compare exactly, whole with fractional too, as in Python; they are calculated with as float64.
* Texts order by code point. Flags and numbers are different things: ``True == 1`` is false.
* Values of two kinds are not equal, and their order is unknown.
* A result that is not a number (a division by zero, a text in a sum) is missing.

By column an answer is two masks, "surely true" and "surely false": *and* is then one ``&`` and one ``|``,
*not* is a swap, and NaN, which compares false either way, needs no mask of its own.
"""

from __future__ import annotations

import math
import numbers
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import attrs
import numpy as np
import numpy.typing as npt

from agentic.errors import InvalidContextError

Scalar: TypeAlias = bool | int | float | str
Mask: TypeAlias = npt.NDArray[np.bool_]
Masks: TypeAlias = tuple[Mask, Mask]
# Any: a column's dtype is only known by looking, and an object column holds whatever the caller put there.
Array: TypeAlias = npt.NDArray[Any]

EXACT = 2**53
"""Whole numbers up to here are exact in float64."""

_FEW = 8
_NUMBERS = frozenset({int, float})
_ORDERED = frozenset({int, float, str})
# Any: operands are checked to be of one kind before the operator sees them.
_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
NEGATED = {"==": "!=", "!=": "==", "<": ">=", "<=": ">", ">": "<=", ">=": "<"}
MIRRORED = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
# ``%`` takes the sign of the dividend, as JsonLogic and SQL do: a rule means the same wherever it runs.
_CALCULATE: dict[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "%": math.fmod,
}
_CALCULATE_COLUMNS: dict[str, np.ufunc] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "%": np.fmod,
}


@attrs.frozen
class Opaque:
    """A value that is there and that no condition can judge, such as a list or a date.

    Attributes:
        kind: The name of its type, for the reader of an explanation.
    """

    kind: str


@attrs.frozen
class Unlisted:
    """A text known only to be none of some categories: what a coded column keeps of a value it never saw.

    Attributes:
        categories: What the text is not.
    """

    categories: tuple[str, ...]


def _tupled(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(texts)


@attrs.frozen(eq=False)
class Coded:
    """A text column kept as numbers.

    Attributes:
        codes: Shape (n,), float or signed int. From 0: the place in `categories`. -1: some other text.
            NaN, or any other negative number: missing.
        categories: The texts that have a code, each once.

    Raises:
        InvalidContextError: When `codes` is not a one-dimensional array of floats or signed ints.
    """

    codes: Array = attrs.field()
    categories: tuple[str, ...] = attrs.field(converter=_tupled)

    @codes.validator
    def _check_codes(self, _: attrs.Attribute[Array], codes: Array) -> None:
        if not isinstance(codes, np.ndarray) or codes.ndim != 1 or codes.dtype.kind not in "fi":
            seen = _kind_of_array(codes)
            message = f"codes must be one row of floats or signed ints, not {seen}; convert them"
            raise InvalidContextError(message, value=seen, expected="shape (n,), float or signed int")

    @property
    def known(self) -> Mask:
        """Where the column has a value at all."""
        known: Mask = self.codes >= -1
        return known

    def places(self) -> npt.NDArray[np.intp]:
        """Return for every row its place in the table: ``(missing, other, *categories)``."""
        codes = np.where(self.known, self.codes, -2)
        return np.where(codes < len(self.categories), codes, -1).astype(np.intp) + 2

    def values(self) -> list[str | Unlisted | None]:
        """Return the column as a list, with ``None`` for missing and `Unlisted` for some other text."""
        table = (None, Unlisted(self.categories), *self.categories)
        return [table[place] for place in self.places().tolist()]


Column: TypeAlias = Array | Coded
# What an expression yields by the column: a column, one value for all rows, or None: missing in all rows.
Values: TypeAlias = Column | Scalar | None


@attrs.frozen(eq=False)
class Truth:
    """The answers of a condition for a batch: each row is true, false or unknown.

    Attributes:
        true: Shape (n,), bool. Where the condition is satisfied; unknown is not satisfied.
        false: Shape (n,), bool. Where it surely is not.
    """

    true: Mask
    false: Mask

    @property
    def unknown(self) -> Mask:
        """Shape (n,), bool. Where a missing or incomparable value leaves the answer open."""
        return ~(self.true | self.false)


def plain(value: object) -> object:
    """Return a value from outside as ``None``, bool, int, float, str, `Unlisted` or `Opaque`; never raise."""
    kind = type(value)
    if kind is str or kind is int or kind is bool or value is None:
        return value
    if kind is float:
        return value if value == value else None  # noqa: PLR0124 - NaN is the one value unequal to itself
    if isinstance(value, Opaque | Unlisted):
        return value
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, str):
        return str.__str__(value)  # a subclass may print as something else: an enum prints its name
    try:
        if isinstance(value, numbers.Integral):
            return int(value)
        from decimal import Decimal  # who has one has imported it before

        if isinstance(value, numbers.Real | Decimal):
            return plain(float(value))
    except (ArithmeticError, ValueError, TypeError):
        pass  # a signalling NaN, a fraction beyond all floats: it is there and cannot be judged
    return Opaque(kind.__name__)


def show(value: object) -> str:
    """Return a value for a message: short, and safe for any value."""
    if value is None:
        return "missing"
    if isinstance(value, str):
        return repr(value) if len(value) <= 80 else f"{value[:80]!r}... ({len(value):,} characters)"
    if isinstance(value, int) and value.bit_length() > 64:
        return f"a whole number of {value.bit_length():,} bits"
    if isinstance(value, bool | int | float):
        return repr(value)
    if isinstance(value, Unlisted):
        return "a value outside the known categories"
    return f"a {value.kind if isinstance(value, Opaque) else type(value).__name__}"


def compare(op: str, a: object, b: object) -> bool | None:
    """Compare two plain values; ``None`` is unknown."""
    if a is None or b is None:
        return None
    kind, other = type(a), type(b)
    if (kind is other and kind in _ORDERED) or (kind in _NUMBERS and other in _NUMBERS):
        return bool(_COMPARE[op](a, b))
    if op not in {"==", "!="} or kind is Opaque or other is Opaque:
        return None
    if kind is Unlisted or other is Unlisted:
        if kind is other or _may_be(a, b) or _may_be(b, a):
            return None
    elif kind is other:
        return bool(_COMPARE[op](a, b))
    return op == "!="


def calculate(op: str, a: object, b: object) -> float | None:
    """Calculate with two plain values; ``None`` is missing."""
    if type(a) not in _NUMBERS or type(b) not in _NUMBERS:
        return None
    try:
        result = _CALCULATE[op](float(a), float(b))  # type: ignore[arg-type] # both are numbers: checked above
    except (ArithmeticError, ValueError):  # by zero, or a whole number beyond all floats
        return None
    return None if math.isnan(result) else result


class Members:
    """The literals of a list, by kind, so that ``True`` is not found among numbers."""

    __slots__ = ("flags", "numbers", "texts")

    def __init__(self, items: Sequence[Scalar]) -> None:
        kinds = (bool,), (int, float), (str,)
        self.flags, self.numbers, self.texts = (
            frozenset(item for item in items if type(item) in kind) for kind in kinds
        )

    def contains(self, value: object) -> bool | None:
        """Say whether a plain value is in the list; ``None`` is unknown."""
        kind = type(value)
        if kind is str:
            return value in self.texts
        if kind in _NUMBERS:
            return value in self.numbers
        if kind is bool:
            return value in self.flags
        if kind is Unlisted and not any(_may_be(value, text) for text in self.texts):
            return False
        return None

    def contains_column(self, value: Values, n: int) -> Masks:
        """Say for every row whether its value is in the list."""
        kind = _kind(value)
        if not isinstance(value, np.ndarray) or kind == "mixed":
            return test_column(self.contains, value, n)
        if kind == "number":
            items: list[Any] = [*self.numbers]  # Any: numpy takes a list of whatever fits the column
            if value.dtype.kind != "f":
                bounds = np.iinfo(value.dtype)
                items = [int(x) for x in items if x == int(x) and bounds.min <= x <= bounds.max]
            if len(items) > _FEW:
                true = np.isin(value, np.array(items, dtype=value.dtype))
                return true, _known(value, n) & ~true
        elif kind == "text":
            # numpy drops trailing NULs, so no element of a text column ends in one
            items = [item for item in self.texts if not str(item).endswith("\0")]
            if len(items) > _FEW:
                true = np.fromiter((text in self.texts for text in value.tolist()), np.bool_, n)
                return true, ~true
        else:
            items = [*self.flags]
        true = np.zeros(n, np.bool_)
        for item in items:
            true |= value == item
        return true, _known(value, n) & ~true


def read_column(columns: Mapping[str, Column], name: str, n: int) -> Column | None:
    """Return a column ready to compute with: floats as float64, exotic types as objects.

    Raises:
        InvalidContextError: When it is not an array of shape (n,).
    """
    column = columns.get(name)
    if column is None:
        return None
    array = column.codes if isinstance(column, Coded) else column
    if not isinstance(array, np.ndarray) or array.shape != (n,):
        seen = _kind_of_array(array)
        message = f"column {name!r} must be an array of shape ({n},), not {seen}; align the columns"
        raise InvalidContextError(message, name=name, value=seen, expected=(n,))
    kind = array.dtype.kind
    if isinstance(column, Coded) or kind in "iubUO":
        return column
    if kind == "f":
        return array.astype(np.float64, copy=False)
    objects = np.empty(n, np.object_)
    for row, value in enumerate(array):  # one by one: in bulk numpy turns dates into ints
        objects[row] = value
    return objects


def constant(answer: bool | None, n: int) -> Masks:
    """Return one answer for all rows."""
    return np.full(n, answer is True), np.full(n, answer is False)


def test_column(test: Callable[[object], bool | None], value: Values, n: int) -> Masks:
    """Apply a test of one plain value to every row; a coded column is tested once per category."""
    if isinstance(value, Coded) and len(value.categories) < n:
        true, false = _masks([test(item) for item in (None, Unlisted(value.categories), *value.categories)])
        places = value.places()
        return true[places], false[places]
    if not isinstance(value, np.ndarray | Coded):
        return constant(test(value), n)
    return _masks([test(item) for item in _objects(value, n)])


def compare_columns(op: str, a: Values, b: Values, n: int) -> Masks:
    """Compare row by row, as `compare` does."""
    kind, other = _kind(a), _kind(b)
    if not isinstance(a, np.ndarray | Coded) and not isinstance(b, np.ndarray | Coded):
        return constant(compare(op, a, b), n)
    if kind == "missing" or other == "missing":
        return constant(None, n)
    if isinstance(a, Coded) and not isinstance(b, np.ndarray | Coded):
        if op in {"==", "!="} and isinstance(b, str):
            return _compare_codes(op, a, b)
        return test_column(lambda value: compare(op, value, b), a, n)
    if "coded" in (kind, other) or "mixed" in (kind, other):
        return _compare_objects(op, a, b, n)
    if kind != other or (kind == "flag" and op not in {"==", "!="}):
        if op not in {"==", "!="}:
            return constant(None, n)
        known = _known(a, n) & _known(b, n)
        return (known, np.zeros(n, np.bool_)) if op == "!=" else (np.zeros(n, np.bool_), known)
    if not _is_exact(a, b):
        return _compare_objects(op, a, b, n)
    return _compare_arrays(op, a, b, n)


def calculate_columns(op: str, a: Values, b: Values, n: int) -> Array:
    """Calculate row by row, as `calculate` does; NaN is missing."""
    left, right = _floats(a, n), _floats(b, n)
    with np.errstate(all="ignore"):
        result: Array = _CALCULATE_COLUMNS[op](left, right)
    if op == "/":
        result[right == 0] = np.nan
    return result


def known_column(value: Values, n: int) -> Masks:
    """Say for every row whether it has a value."""
    if _kind(value) == "mixed":
        return test_column(lambda item: item is not None, value, n)
    known = np.zeros(n, np.bool_) if value is None else _known(value, n)
    return known, ~known


def fill_column(value: Column | None, default: Scalar, n: int) -> Values:
    """Put a literal where a column has no value."""
    kind = _kind(value)
    if value is None:
        return default
    if isinstance(value, Coded):
        if default in value.categories:
            place = value.categories.index(str(default))
            return Coded(np.where(value.known, value.codes, float(place)), value.categories)
    elif value.dtype.kind in "iubU":
        return value
    elif kind == "number" and type(default) in _NUMBERS:
        return np.where(np.isnan(value), float(default), value)
    filled = np.empty(n, np.object_)
    filled[:] = [default if item is None else item for item in _objects(value, n)]
    return filled


def affix_column(op: str, value: Values, text: str, n: int) -> Masks:
    """Say for every row whether its text starts or ends with `text`."""
    if isinstance(value, np.ndarray) and value.dtype.kind == "U" and "\0" not in text:
        true = np.char.startswith(value, text) if op == "starts_with" else np.char.endswith(value, text)
        return true, ~true
    return test_column(lambda item: affix(op, item, text), value, n)


def affix(op: str, value: object, text: str) -> bool | None:
    """Say whether a plain value is a text that starts or ends with `text`; ``None`` is unknown."""
    if not isinstance(value, str):
        return None
    return value.startswith(text) if op == "starts_with" else value.endswith(text)


def _may_be(a: object, b: object) -> bool:
    return isinstance(a, Unlisted) and isinstance(b, str) and b not in a.categories


def _kind(value: Values) -> str:
    if isinstance(value, np.ndarray):
        return {"U": "text", "b": "flag", "O": "mixed"}.get(value.dtype.kind, "number")
    if isinstance(value, Coded):
        return "coded"
    if value is None:
        return "missing"
    return "text" if isinstance(value, str) else "flag" if isinstance(value, bool) else "number"


def _kind_of_array(value: object) -> str:
    return f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else f"a {type(value).__name__}"


def _known(value: Values, n: int) -> Mask:
    if isinstance(value, Coded):
        return value.known
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        known: Mask = value == value  # noqa: PLR0124 - NaN is the one value unequal to itself
        return known
    return np.ones(n, np.bool_)


def _objects(value: Values, n: int) -> list[object]:
    if isinstance(value, Coded):
        return [*value.values()]
    return [plain(item) for item in value.tolist()] if isinstance(value, np.ndarray) else [value] * n


def _floats(value: Values, n: int) -> Array:
    kind = _kind(value)
    if kind == "number":
        return value.astype(np.float64) if isinstance(value, np.ndarray) else np.full(n, value, np.float64)
    if kind != "mixed":
        return np.full(n, np.nan)
    # adding zero is how `calculate` tells numbers from the rest
    sums = (calculate("+", item, 0) for item in _objects(value, n))
    return np.fromiter((math.nan if item is None else item for item in sums), np.float64, n)


def _masks(answers: Sequence[bool | None]) -> Masks:
    count = len(answers)
    true = np.fromiter((answer is True for answer in answers), np.bool_, count)
    return true, np.fromiter((answer is False for answer in answers), np.bool_, count)


def _compare_codes(op: str, a: Coded, text: str) -> Masks:
    codes, count = a.codes, len(a.categories)
    if text in a.categories:
        same: Mask = codes == a.categories.index(text)
        differs = (codes >= -1) & ~same
    else:  # a listed text differs from it; some other text might be it
        same = np.zeros(codes.shape, np.bool_)
        differs = (codes >= 0) & (codes < count)
    return (same, differs) if op == "==" else (differs, same)


def _compare_objects(op: str, a: Values, b: Values, n: int) -> Masks:
    return _masks([compare(op, *pair) for pair in zip(_objects(a, n), _objects(b, n), strict=True)])


def _compare_arrays(op: str, a: Values, b: Values, n: int) -> Masks:
    if isinstance(a, float) or isinstance(b, float):  # numpy 1 would choose a float by the literal's size
        a, b = (x.astype(np.float64, copy=False) if isinstance(x, np.ndarray) else x for x in (a, b))
    true: Mask = _COMPARE[op](a, b)
    floats = [x for x in (a, b) if isinstance(x, np.ndarray) and x.dtype.kind == "f"]
    if not floats:
        return true, ~true
    if op not in {"==", "!="}:
        return true, _COMPARE[NEGATED[op]](a, b)
    false = ~true
    for x in floats:
        known = _known(x, n)
        true &= known
        false &= known
    return true, false


def _is_exact(a: Values, b: Values) -> bool:
    """Say whether numpy compares these as Python compares their elements."""
    if isinstance(a, str) or isinstance(b, str):
        return not any(isinstance(x, str) and x.endswith("\0") for x in (a, b))
    kinds = [x.dtype.kind if isinstance(x, np.ndarray) else type(x).__name__[0] for x in (a, b)]
    if kinds[0] == kinds[1] or isinstance(a, int) or isinstance(b, int):
        return True
    whole = [x for x in (a, b) if isinstance(x, np.ndarray) and x.dtype.kind in "iu" and x.size]
    return not any(x.max() > EXACT or x.min() < -EXACT for x in whole)
