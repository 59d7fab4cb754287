"""What lives for one batch: columns and matrices; every shape is stated here, once.

``n`` rows are subjects, ``k`` columns are actions in order of id, ``d`` is the width of the encoded
features, ``s`` slots. Times are int64 microseconds since 1970 UTC. Arrays handed to a plugin are to be
read, except a component's own fields of ``rows`` in ``settle``, ``hear`` and ``remember``.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, Self

import attrs
import numpy as np
from numpy.typing import DTypeLike, NDArray

from agentic.catalogue import Catalogue
from agentic.conditions import Coded, Column
from agentic.errors import LayoutError, LearningError

Bools = NDArray[np.bool_]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
U64 = NDArray[np.uint64]
# A structured array: its fields are only known at run time.
Records = NDArray[Any]


class Status(enum.IntEnum):
    """Where a feature value came from, or why there is none; 1 to 4 are numbered as Feast does."""

    PRESENT = 1
    NULL = 2
    NOT_FOUND = 3
    STALE = 4
    DEFAULTED = 5
    ERROR = 6
    INVALID = 7
    CLIPPED = 8
    OTHER = 9
    WITHHELD = 10


USABLE: Final = (Status.PRESENT, Status.CLIPPED, Status.OTHER)
"""Statuses with a value."""

SOUND: Final = (*USABLE, Status.WITHHELD)
"""Statuses that are as they should be; every other one marks the decision degraded.

``WITHHELD`` has no value either, but nothing failed: the subject did not agree to its use.
"""


def _told(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"<{value.dtype} {value.shape}>"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key!r}: {_told(item)}' for key, item in value.items())}}}"
    return repr(value)


def shown(self: attrs.AttrsInstance) -> str:
    """Show arrays by dtype and shape: of their values there may be millions, and they may be somebody's."""
    fields = (f"{field.name}={_told(getattr(self, field.name))}" for field in attrs.fields(type(self)))
    return f"{type(self).__name__}({', '.join(fields)})"


@attrs.frozen(eq=False)
class Columns:
    """What a feature provider returns: one column per name, a value or a reason for each row.

    Attributes:
        values: Shape (n,) each: numbers, bools or texts; entries whose status is not usable are ignored.
        status: Shape (n,) each, uint8, a ``Status``; a missing name means all ``PRESENT``.
        at: Shape (n,) each, float64: seconds since 1970 when the value was true, ``nan`` when unknown.
    """

    __repr__ = shown

    values: Mapping[str, NDArray[Any]]
    status: Mapping[str, NDArray[np.uint8]] = attrs.field(factory=dict)
    at: Mapping[str, F64] = attrs.field(factory=dict)


@attrs.frozen(eq=False)
class Field:
    """One field of the subject record.

    Attributes:
        name: Unique in its component.
        dtype: A fixed-width numpy dtype without objects.
        shape: Of one subject's value.
        default: What a subject nobody has seen has.
        role: ``"behaviour"`` (short-lived) or ``"profile"`` (kept until erased).
    """

    __repr__ = shown

    name: str
    dtype: DTypeLike
    shape: tuple[int, ...] = ()
    default: Any = 0  # a scalar or array of the dtype
    role: Literal["behaviour", "profile"] = "behaviour"


@attrs.frozen(eq=False)
class Layout:
    """The subject record of one agent: the fields of its components as one structured dtype.

    Attributes:
        name: Whose record it is.
        dtype: Structured, packed; field names are ``component.field``.
        blank: Shape (), the record of a subject nobody has seen.
        fingerprint: Hash of names, dtypes, shapes and defaults.
        parts: For each component the dtype that shows only its fields, under their own names.
    """

    __repr__ = shown

    name: str
    dtype: np.dtype[Any]
    blank: Records
    fingerprint: str
    parts: Mapping[str, np.dtype[Any]]

    @classmethod
    def compose(cls, name: str, components: Mapping[str, Sequence[Field]], /) -> Layout:
        """Lay the components' fields out, widest first, so that every field is aligned.

        Raises:
            LayoutError: A field appears twice, or its dtype holds objects.
        """
        placed: list[tuple[str, str, Field, np.dtype[Any]]] = []
        for component, fields in components.items():
            if len({field.name for field in fields}) < len(fields):
                raise LayoutError(f"component {component!r} declares a field twice", value=component)
            for field in fields:
                dtype = np.dtype(field.dtype)
                if dtype.hasobject or dtype.itemsize == 0:
                    raise LayoutError(
                        f"field {component}.{field.name} needs a fixed-width dtype, got {dtype!r}",
                        value=dtype,
                    )
                placed.append((component, field.name, field, dtype))
        placed.sort(key=lambda item: (-item[3].alignment, item[0], item[1]))
        dtype = np.dtype([(f"{c}.{f}", t, field.shape) for c, f, field, t in placed])
        blank: Records = np.zeros((), dtype=dtype)
        for component, field_name, field, _ in placed:
            blank[f"{component}.{field_name}"] = field.default
        parts = {}
        for component in components:
            own = [(f, f"{c}.{f}") for c, f, _, _ in placed if c == component]
            formats = [dtype.fields[full] for _, full in own] if dtype.fields is not None else []
            parts[component] = np.dtype(
                {
                    "names": [f for f, _ in own],
                    "formats": [entry[0] for entry in formats],
                    "offsets": [entry[1] for entry in formats],
                    "itemsize": max(dtype.itemsize, 1),
                }
            )
        return cls._of(name, dtype, blank, parts)

    @classmethod
    def stored(cls, name: str, dtype: np.dtype[Any], blank: Records, /) -> Layout:
        """The layout of rows as a file holds them, where nobody knows which component has which field."""
        held: Records = np.zeros((), dtype=dtype)
        held[()] = blank
        return cls._of(name, dtype, held, {})

    @classmethod
    def _of(
        cls, name: str, dtype: np.dtype[Any], blank: Records, parts: Mapping[str, np.dtype[Any]]
    ) -> Layout:
        import hashlib  # loads OpenSSL

        told = repr((name, dtype.descr)).encode() + blank.tobytes()
        blank.flags.writeable = False
        return cls(
            name=name,
            dtype=dtype,
            blank=blank,
            parts=parts,
            fingerprint=hashlib.sha256(told).hexdigest()[:16],
        )

    def new(self, n: int, /) -> Records:
        """Records of ``n`` subjects nobody has seen, shape (n,)."""
        rows: Records = np.empty(n, dtype=self.dtype)
        rows[:] = self.blank
        return rows

    def part(self, rows: Records, component: str, /) -> Records:
        """Show a component its own fields of ``rows``: a view, shape (n,)."""
        if rows.flags.c_contiguous:  # what `view` does, at half its price
            return np.ndarray(rows.shape, self.parts[component], rows)
        return rows.view(self.parts[component])

    def pack(self, rows: Records, component: str, /) -> NDArray[np.uint8]:
        """A component's fields of ``rows`` as they are stored, and nothing else: bytes, shape (n, w)."""
        width = self.dtype.itemsize
        whole = np.ascontiguousarray(rows).view(np.uint8).reshape(len(rows), width)
        spans = [whole[:, lo:hi] for lo, hi in _spans(self.parts[component])]
        return spans[0].copy() if len(spans) == 1 else np.concatenate([whole[:, :0], *spans], axis=1)

    def packing(self, component: str, /) -> list[list[Any]]:  # JSON-compatible
        """How to read what ``pack`` returns: name, dtype, shape and first byte of each field."""
        dtype = self.parts[component]
        found: list[list[Any]] = []
        begin = 0
        for lo, hi in _spans(dtype):
            for name, (kind, offset) in _entries(dtype):
                if lo <= offset < hi:
                    found.append([name, kind.base.str, list(kind.shape), begin + offset - lo])
            begin += hi - lo
        return found

    def unpack(
        self, packed: NDArray[np.uint8], packing: Sequence[Sequence[Any]], component: str, /
    ) -> Records:
        """A component's fields from what ``pack`` returned, perhaps of another layout: shape (n,).

        Fields are found by name. Those that were not packed, or that were of another dtype or shape, have
        their defaults.
        """
        part = self.part(self.new(len(packed)), component)
        for name, dtype, shape, begin in packing:
            kind = np.dtype((np.dtype(dtype), tuple(shape)))
            if name in (part.dtype.names or ()) and part.dtype[name] == kind:
                raw = np.ascontiguousarray(packed[:, begin : begin + kind.itemsize])
                part[name] = raw.view(kind.base).reshape(len(packed), *kind.shape)
        return part


def _entries(dtype: np.dtype[Any]) -> list[tuple[str, tuple[np.dtype[Any], int]]]:
    """Name, dtype and offset of each field, by offset."""
    fields: Mapping[str, Any] = dtype.fields or {}  # numpy has no one type of them
    return sorted(
        ((name, (entry[0], entry[1])) for name, entry in fields.items()), key=lambda item: item[1][1]
    )


def _spans(dtype: np.dtype[Any]) -> list[tuple[int, int]]:
    """The bytes of a record that these fields take, as few ranges as possible."""
    spans: list[tuple[int, int]] = []
    for _, (kind, offset) in _entries(dtype):
        if spans and spans[-1][1] == offset:
            spans[-1] = spans[-1][0], offset + kind.itemsize
        else:
            spans.append((offset, offset + kind.itemsize))
    return spans


@attrs.define(eq=False)
class Rows:
    """Subject records as a store hands them out.

    Attributes:
        rows: Shape (n,), structured as the layout says; a private copy.
        versions: Shape (n,), int64; 0 for a subject the store does not know.
    """

    __repr__ = shown

    rows: Records
    versions: I64


@attrs.frozen(eq=False)
class Space:
    """What a component is bound to before it works: the candidates, and what is known of subjects.

    Attributes:
        catalogue: The actions.
        width: Columns of ``X``.
        encoded: Name of each column of ``X``.
        fields: Names that conditions may use.
        categories: Declared values by the name of a category.
    """

    __repr__ = shown

    catalogue: Catalogue
    width: int
    encoded: tuple[str, ...]
    fields: frozenset[str]
    categories: Mapping[str, tuple[str, ...]]


@attrs.define(eq=False)
class Batch:
    """What a policy or guardrail may see of the rows being decided. Read it; do not write to it.

    Attributes:
        catalogue: The actions.
        keys: Shape (n,), uint64: a hash of each subject, for keyed randomness and assignment.
        now: Shape (n,), int64: when each row is decided.
        delivery: Shape (n, k), int64: when each candidate would reach the subject.
        zone: Shape (n,), int16: the subject's time zone as ``agentic.zones`` numbers it, -1 unknown.
        X: Shape (n, d), float64, finite: encoded features; the last column is 1.
        columns: Feature values before defaults, for conditions: ``nan`` where missing.
        allowed: Shape (n, k), bool: candidates that may still be chosen.
        slots: How many actions each row gets.
        rows: Shape (n,), structured: the component's own fields, a private copy; ``None`` without fields.
            To a policy, the fields of all policies of the agent, read-only.
        available: The component's shared pool in millionths; ``None`` without a pool.
    """

    __repr__ = shown

    catalogue: Catalogue
    keys: U64
    now: I64
    delivery: I64
    zone: NDArray[np.int16]
    X: F64
    columns: Mapping[str, Column]
    allowed: Bools
    slots: int = 1
    rows: Records | None = None
    available: int | None = None

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def action_ids(self) -> tuple[str, ...]:
        """Ids of the candidates, in column order."""
        return self.catalogue.ids

    def take(self, index: I64 | slice, /) -> Self:
        """The same batch with only these rows."""
        return type(self)(
            catalogue=self.catalogue,
            keys=self.keys[index],
            now=self.now[index],
            delivery=self.delivery[index],
            zone=self.zone[index],
            X=self.X[index],
            columns={name: take_column(column, index) for name, column in self.columns.items()},
            allowed=self.allowed[index],
            slots=self.slots,
            rows=None if self.rows is None else self.rows[index],
            available=self.available,
        )

    def narrow(self, allowed: Bools, /) -> Self:
        """The same batch with fewer candidates: shape (n, k)."""
        return type(self)(
            self.catalogue,
            self.keys,
            self.now,
            self.delivery,
            self.zone,
            self.X,
            self.columns,
            self.allowed & allowed,
            self.slots,
            self.rows,
            self.available,
        )


def take_column(column: Column, index: I64 | Bools | slice, /) -> Column:
    """The same column with only these rows."""
    if isinstance(column, Coded):
        return Coded(column.codes[index], column.categories)
    return column[index]


@attrs.define(eq=False)
class Proposal:
    """What a policy answers.

    Attributes:
        weights: Shape (n, k), float64, finite, not negative; need not sum to 1. Candidates that are not
            allowed are struck out by the flow whatever their weight.
        score: Shape (n, k), the policy's estimate of the reward, or ``None``.
        spread: Shape (n, k), standard deviation of that estimate, or ``None``.
    """

    __repr__ = shown

    weights: F64
    score: F64 | None = None
    spread: F64 | None = None


@attrs.define(eq=False)
class Review:
    """What a guardrail answers.

    Attributes:
        allowed: Bool, broadcastable to (n, k).
        reason: Upper-case code of the denials, ``"QUIET_HOURS"``.
        unknown: Bool, broadcastable to (n, k): denials made because something was not known.
    """

    __repr__ = shown

    allowed: Bools
    reason: str
    unknown: Bools | None = None


@attrs.define(eq=False)
class Chosen:
    """What was drawn, for ``settle``.

    Attributes:
        action: Shape (n, s), int64: columns of the catalogue; ``idle`` fills slots with nothing to send.
        delivery: Shape (n, s), int64: when each reaches the subject.
        sends: Shape (n, s), bool: the slot really sends something.
    """

    __repr__ = shown

    action: I64
    delivery: I64
    sends: Bools


@attrs.frozen(eq=False)
class Feedback:
    """What a policy learns from: closed decisions, everything as logged.

    Attributes:
        catalogue: The actions, as the columns of ``allowed`` count them.
        X: Shape (n, d), float64.
        action: Shape (n,), int64.
        reward: Shape (n,), float64, finite.
        probability: Shape (n,), float64, in (0, 1].
        allowed: Shape (n, k), bool: the candidates there were.
        keys: Shape (n,), uint64: subjects.
        at: Shape (n,), int64: when it was decided.
        columns: Feature values before defaults, for conditions, as logged; only for policies with fields.
        rows: Shape (g,), structured: what the records of the g subjects hold of the policies' fields now,
            read-only; ``None`` for policies without.
        subject: Shape (n,), int64: whose of ``rows`` each is; ``None`` without ``rows``.
    """

    __repr__ = shown

    catalogue: Catalogue
    X: F64
    action: I64
    reward: F64
    probability: F64
    allowed: Bools
    keys: U64
    at: I64
    columns: Mapping[str, Column] = attrs.field(factory=dict)
    rows: Records | None = None
    subject: I64 | None = None

    def __len__(self) -> int:
        return len(self.action)

    def take(self, index: I64 | Bools | slice, /) -> Self:
        """The same with only these choices; ``rows`` stay as they are."""
        return attrs.evolve(
            self,
            X=self.X[index],
            action=self.action[index],
            reward=self.reward[index],
            probability=self.probability[index],
            allowed=self.allowed[index],
            keys=self.keys[index],
            at=self.at[index],
            columns={name: take_column(column, index) for name, column in self.columns.items()},
            subject=None if self.subject is None else self.subject[index],
        )

    def about(self, which: I64, /) -> Self:
        """The same with only the choices of some subjects, who are numbered anew in this order.

        Args:
            which: Shape (h,), distinct: rows of ``rows``.

        Raises:
            LearningError: The feedback has no ``rows``.
        """
        if self.rows is None or self.subject is None:
            raise LearningError(
                "feedback without rows does not say whom it is about: give it rows and subject"
            )
        number = np.full(len(self.rows), -1)
        number[which] = np.arange(len(which))
        part = self.take(number[self.subject] >= 0)
        return attrs.evolve(part, rows=self.rows[which], subject=number[part.subject])


@attrs.define(eq=False)
class Block:
    """A columnar batch of logged records of one kind.

    Attributes:
        kind: ``"decision"``, ``"outcome"``, ``"fact"`` or a plugin's own.
        columns: Arrays of the same length, by name.
        meta: What holds for all records of the block: JSON-compatible. Its repr shows the names only: what a
            fact holds may be somebody's.
    """

    kind: str
    columns: dict[str, NDArray[Any]]
    meta: dict[str, Any]  # JSON-compatible

    def __repr__(self) -> str:
        return f"Block(kind={self.kind!r}, columns={_told(self.columns)}, meta={list(self.meta)!r})"

    def __len__(self) -> int:
        first = next(iter(self.columns.values()), None)
        return 0 if first is None or not first.ndim else len(first)


@attrs.frozen
class Receipt:
    """Where a log put a block: records ``first`` to ``first + count - 1``."""

    first: int
    count: int
