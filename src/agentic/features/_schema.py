"""How do declared features become columns: gathered, judged, encoded, shown to rules and to readers?"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray

from agentic._codec import fingerprint
from agentic.arrays import F64, SOUND, Bools, Status, shown
from agentic.conditions import Coded, Column, Unlisted
from agentic.errors import CodecError, ConfigurationError, InvalidContextError, UnknownFeatureError
from agentic.features._answers import Answer, answers, as_column, better, failure, usable
from agentic.features._raw import NAN, PRESENT, Reading, Statuses, affine
from agentic.features._rule_only import capability
from agentic.protocols import Feature, FeatureProvider

# Up to here rows are read one value at a time, which costs less than an array for each column.
_FEW: Final = 8
# Rows encoded at once, so that turning columns into rows stays in the processor's cache.
_CHUNK: Final = 4096
_NOT_FOUND: Final = int(Status.NOT_FOUND)
_ERROR: Final = int(Status.ERROR)
_WITHHELD: Final = np.uint8(Status.WITHHELD)
_CONSTANT: Final = "1"


@attrs.frozen(eq=False)
class Values:
    """What was gathered for a batch.

    Attributes:
        matrix: Shape (n, f), float64, in columns: resolved values, ``nan`` where there is no usable one.
        status: Shape (n, f), uint8: a ``Status`` for each.
        failed: Class names of providers that raised, or answered something that could not be used, and of
            features that raised.
    """

    __repr__ = shown

    matrix: F64
    status: Statuses
    failed: tuple[str, ...] = ()

    def withhold(self, rows: slice | NDArray[np.intp], cells: Bools, /) -> None:
        """Forget values that must not be used, and mark them ``WITHHELD``.

        Args:
            rows: Which m rows.
            cells: Shape (m, f): what to forget of them.
        """
        if not np.count_nonzero(cells):
            return
        matrix, status = self.matrix[rows], self.status[rows]
        locked = not self.matrix.flags.writeable
        self.matrix.flags.writeable = True
        self.matrix[rows] = np.where(cells, NAN, matrix)
        self.status[rows] = np.where(cells, _WITHHELD, status)
        self.matrix.flags.writeable = not locked


@attrs.frozen(eq=False)
class _Affine:
    """Features whose encoding is ``(value - offset) / divisor``: done for all at once.

    Attributes:
        source: Their columns of the matrix; a slice where they are neighbours.
        target: Their columns of ``X``; likewise.
        offset: Shape (c, 1); likewise ``divisor`` and ``default``.
    """

    source: slice | NDArray[np.intp]
    target: slice | NDArray[np.intp]
    offset: F64
    divisor: F64
    default: F64


# Column of the matrix, declared values, and what makes a condition's column of it.
_Showing = tuple[int, tuple[str, ...] | None, Callable[[F64], Column] | None]


class _Shown(Mapping[str, Column]):
    """Columns for conditions, made when somebody looks."""

    __slots__ = ("_matrix", "_shown")

    def __init__(self, shown: Mapping[str, _Showing], matrix: F64) -> None:
        self._shown, self._matrix = shown, matrix

    def __getitem__(self, name: str) -> Column:
        j, categories, column = self._shown[name]
        values = self._matrix[:, j]
        if categories is not None:
            return Coded(values, categories)
        return values if column is None else column(values)

    def __iter__(self) -> Iterator[str]:
        return iter(self._shown)

    def __len__(self) -> int:
        return len(self._shown)


@attrs.frozen(eq=False)
class Schema:
    """The features of an agent, in order; values are columns of a matrix with one column for each.

    Attributes:
        features: In the order in which they were declared.
        names: Of the features.
        width: Columns of ``X``: those of all features and one more, last, that is always 1.
        encoded: Name of each column of ``X``; the last is ``"1"``.
        fields: Names that conditions may use: all but those of hashed features.
        categories: Declared values by the name of a category.
        purposes: What subjects must have agreed to for some feature, in order of the alphabet.
    """

    features: tuple[Feature, ...]
    names: tuple[str, ...]
    width: int
    encoded: tuple[str, ...]
    fields: frozenset[str]
    categories: Mapping[str, tuple[str, ...]]
    purposes: tuple[str, ...]
    _index: Mapping[str, int] = attrs.field(alias="index", repr=False)
    _readers: tuple[Callable[[object], Reading] | None, ...] = attrs.field(alias="readers", repr=False)
    _affine: _Affine | None = attrs.field(alias="affine", repr=False)
    _others: tuple[tuple[int, slice], ...] = attrs.field(alias="others", repr=False)
    _shown: Mapping[str, _Showing] = attrs.field(alias="shown", repr=False)
    _purpose: NDArray[np.intp] = attrs.field(alias="purpose", repr=False)

    @functools.cached_property
    def encoding(self) -> str:
        """Hash of what the features are: who shares it encodes alike; empty where one has no stored form."""
        try:
            return fingerprint(self.features)
        except CodecError:
            return ""

    @classmethod
    def of(cls, features: Sequence[Feature], /) -> Schema:
        """Check the features and lay out their columns.

        Raises:
            ConfigurationError: One is not a feature, or a name appears twice.
        """
        listed = _checked(features)
        names = tuple(feature.name for feature in listed)
        encoded = (*itertools.chain.from_iterable(feature.encoded for feature in listed), _CONSTANT)
        for what, told in (("feature", names), ("encoded column", encoded)):
            if len(set(told)) < len(told):
                twice = sorted({name for name in told if told.count(name) > 1})
                raise ConfigurationError(
                    f"each {what} needs its own name, got {twice[:20]!r} more than once: rename one",
                    value=twice,
                )
        together: list[tuple[int, int, tuple[float, float, float]]] = []
        others: list[tuple[int, slice]] = []
        start = 0
        for j, feature in enumerate(listed):
            scale = getattr(feature, "affine_encoding", None)
            if scale is not None:
                together.append((j, start, scale))
            elif feature.width:
                others.append((j, slice(start, start + feature.width)))
            start += feature.width
        open_to_rules = [
            j for j, feature in enumerate(listed) if not capability(feature, "hidden_from_rules")
        ]
        categories = {f.name: f.categories for f in listed if f.categories is not None}
        asked = [capability(feature, "purpose") for feature in listed]
        purposes = tuple(sorted({purpose for purpose in asked if purpose is not None}))
        return cls(
            features=listed,
            names=names,
            width=start + 1,
            encoded=encoded,
            fields=frozenset(names[j] for j in open_to_rules),
            categories=categories,
            purposes=purposes,
            index={name: j for j, name in enumerate(names)},
            readers=tuple(capability(feature, "resolve_one") for feature in listed),
            affine=_together(together),
            others=tuple(others),
            shown={
                names[j]: (j, listed[j].categories, capability(listed[j], "condition_column"))
                for j in open_to_rules
            },
            # A feature without a purpose stands after all purposes, with what everybody has agreed to.
            purpose=np.array([(*purposes, None).index(purpose) for purpose in asked], dtype=np.intp),
        )

    def __len__(self) -> int:
        return len(self.features)

    @property
    def needing(self) -> Mapping[str, str]:
        """Purpose by name, of the features that have one."""
        return {
            name: self.purposes[place]
            for name, place in zip(self.names, self._purpose.tolist(), strict=True)
            if place < len(self.purposes)
        }

    def gather(
        self,
        subjects: Sequence[str],
        context: Mapping[str, Any],
        providers: Sequence[FeatureProvider],
        now_us: int,
        granted: Bools | None = None,
    ) -> Values:
        """Bring the values together that the caller sends and that providers know.

        The context wins over providers, and an earlier provider over a later one, row by row. A provider
        is asked once, for the names that some row still lacks. Where nobody has a value, the status says
        the first reason; that a provider failed or a value was not usable outweighs that there was none.

        Args:
            subjects: Length n.
            context: Raw columns of length n, by name: lists, arrays, or ``Coded``.
            providers: In order of precedence.
            now_us: Microseconds since 1970, for freshness. A time in the future is fresh.
            granted: Shape (n, p): which of ``purposes`` each subject agreed to; ``None`` means to none. What
                is not covered is ``WITHHELD``: nobody is asked for it, and what the context says is dropped.

        Raises:
            UnknownFeatureError: The context names a feature that is not declared.
            InvalidContextError: A column of the context does not have n rows.
        """
        values, may = self.read(context, len(subjects)), None
        if self.purposes:
            agreed = np.zeros((len(subjects), len(self.purposes)), np.bool_) if granted is None else granted
            may = self.covered(agreed)
            values.withhold(slice(None), ~may)
        return self.ask(values, subjects, providers, now_us, may) if providers else values

    def covered(self, granted: Bools, /) -> Bools:
        """Which features may be used of whom: shape (n, f).

        Args:
            granted: Shape (n, p): which of ``purposes`` each subject agreed to.
        """
        agreed = np.ones((len(granted), len(self.purposes) + 1), dtype=np.bool_, order="F")
        agreed[:, :-1] = granted
        return np.asfortranarray(agreed[:, self._purpose])

    def read(self, context: Mapping[str, Any], n: int, /) -> Values:
        """Read what the caller sends; raises as ``gather`` does."""
        matrix, status = self._read(context, n)
        failed: list[str] = []
        # Only a feature that raised says so before providers are asked.
        if np.count_nonzero(status == _ERROR):
            broken = (status == _ERROR).any(axis=0)
            failed.extend(type(f).__name__ for f, fails in zip(self.features, broken, strict=True) if fails)
        return Values(matrix, status, tuple(failed))

    def ask(
        self,
        values: Values,
        subjects: Sequence[str],
        providers: Sequence[FeatureProvider],
        now_us: int,
        may: Bools | None = None,
    ) -> Values:
        """Ask providers for what is lacking; the arrays of ``values`` are written to.

        Features that may be asked of the same subjects are asked together, and only about these subjects:
        one call where nothing or the same is withheld of all, and never more than one for each purpose and
        one for the features without.

        Args:
            values: What is known.
            subjects: Length n.
            providers: In order of precedence.
            now_us: Microseconds since 1970, for freshness.
            may: Shape (n, f): what may be asked of whom; ``None`` means everything.
        """
        matrix, status, failed = values.matrix, values.status, list(values.failed)
        for provider in providers:
            lacking = ~usable(status)
            if may is not None:
                lacking &= may
            wanted = np.flatnonzero(lacking.any(axis=0)).tolist()
            if not wanted:
                break
            failing = False
            for rows, places in _alike(wanted, may):
                who = subjects if rows is None else [subjects[row] for row in rows.tolist()]
                asked = [self.names[j] for j in places]
                try:
                    found = answers(provider.fetch(who, asked, now_us), asked, len(who))
                except Exception:  # noqa: BLE001  # a plugin may raise anything; defaults step in, and `failed` tells
                    found = dict.fromkeys(asked, failure(len(who)))
                failing |= bool(found) and self._take(matrix, status, found, now_us, rows)
            if failing:
                failed.append(type(provider).__name__)
        return Values(matrix, status, tuple(failed))

    def encode(self, matrix: F64, /) -> F64:
        """Encode resolved values, with defaults in place of ``nan``: what policies see.

        Args:
            matrix: Shape (n, f), float64.

        Returns:
            ``X``, shape (n, width), float64, finite, C-contiguous; the last column is 1. A row depends on
            that row of ``matrix`` alone, bit for bit.
        """
        n = len(matrix)
        X = np.empty((n, self.width), dtype=np.float64)
        X[:, -1] = 1.0
        together = self._affine
        if together is not None:
            # Without a look for nan: rarely is any missing, and then all of it is done again below.
            for start in range(0, n, _CHUNK):
                rows = slice(start, start + _CHUNK)
                source = matrix[rows, together.source].T
                scaled = source - together.offset
                scaled /= together.divisor
                X[rows, together.target] = scaled.T
        for j, columns in self._others:
            self.features[j].encode(matrix[:, j], X[:, columns])
        finite = np.isfinite(X)
        if np.count_nonzero(finite) == finite.size:
            return X
        if together is not None:
            X[:, together.target] = affine(
                matrix[:, together.source].T, together.offset, together.divisor, together.default
            ).T
            finite = np.isfinite(X)
        X[~finite] = 0.0  # only a plugin's encoding comes here, and no model may ever see it
        return X

    def columns(self, matrix: F64, /) -> Mapping[str, Column]:
        """Show resolved values to conditions, before defaults: views where possible, by name, when asked.

        Args:
            matrix: Shape (n, f), float64.
        """
        return _Shown(self._shown, matrix)

    def degraded(self, status: Statuses, /) -> NDArray[np.bool_]:
        """Return which rows lack a feature that was not withheld: shape (n,), bool.

        Args:
            status: Shape (n, f).
        """
        if (status == PRESENT).all():
            return np.zeros(len(status), dtype=np.bool_)
        return np.logical_not(np.isin(status, SOUND).all(axis=1))

    def describe(self, values: F64, status: Statuses, /) -> dict[str, object]:
        """Say one row's values as a reader would, by name: category, zone, flag or number.

        Args:
            values: Shape (f,), a row of the matrix.
            status: Shape (f,).

        Returns:
            ``None`` where there is no usable value, ``Unlisted`` for a text nobody declared. A condition's
            ``explain`` takes it as it is.
        """
        told: dict[str, object] = {}
        there = usable(status).tolist()
        for feature, value, known in zip(self.features, values.tolist(), there, strict=True):
            describe, categories = capability(feature, "describe_value"), feature.categories
            if not known or value != value:  # noqa: PLR0124  # nan
                told[feature.name] = None
            elif describe is not None:
                told[feature.name] = describe(value)
            elif categories is None:
                told[feature.name] = value
            else:
                code = int(value)
                told[feature.name] = categories[code] if 0 <= code < len(categories) else Unlisted(categories)
        return told

    def _read(self, columns: Mapping[str, Any], n: int) -> tuple[F64, Statuses]:
        return self._few(columns, n) if n <= _FEW else self._many(columns, n)

    def _many(self, context: Mapping[str, Any], n: int) -> tuple[F64, Statuses]:
        matrix = np.empty((n, len(self)), dtype=np.float64, order="F")
        status = np.empty((n, len(self)), dtype=np.uint8, order="F")
        absent = [True] * len(self)
        for name, column in context.items():
            j = self._place(name)
            matrix[:, j], status[:, j] = self._resolve(j, _column(name, column, n), n)
            absent[j] = False
        if any(absent):
            matrix[:, absent] = NAN
            status[:, absent] = _NOT_FOUND
        return matrix, status

    def _few(self, context: Mapping[str, Any], n: int) -> tuple[F64, Statuses]:
        # The same answers as `_many`, read value by value into lists that become arrays once.
        index, readers = self._index, self._readers
        numbers = [NAN] * (n * len(self))
        statuses = [_NOT_FOUND] * (n * len(self))
        for name, given in context.items():
            j = index[name] if name in index else self._place(name)
            column = given if type(given) is list and len(given) == n else _column(name, given, n)
            if type(column) is np.ndarray and column.dtype.kind == "O":
                column = column.tolist()
            reader, at = readers[j], j * n
            if reader is not None and (type(column) is list or type(column) is tuple):
                try:
                    for value in column:
                        numbers[at], statuses[at] = reader(value)
                        at += 1
                    continue
                except Exception:  # noqa: BLE001  # a plugin may raise anything; `_resolve` answers for it
                    at = j * n
            resolved, told = self._resolve(j, column, n)
            numbers[at : at + n], statuses[at : at + n] = resolved.tolist(), told.tolist()
        try:
            matrix = np.array(numbers, dtype=np.float64).reshape(len(self), n).T
            return matrix, np.frombuffer(bytearray(statuses), dtype=np.uint8).reshape(len(self), n).T
        except (TypeError, ValueError, OverflowError):  # a plugin's `resolve_one` returned something else
            return self._many(context, n)

    def _place(self, name: str) -> int:
        found = self._index.get(name)
        if found is None:
            import difflib  # only a mistake needs it

            close = difflib.get_close_matches(str(name)[:200], self.names, n=1)
            there = ", ".join(self.names[:20]) or "none"
            hint = f"did you mean {close[0]!r}?" if close else f"there are {there}"
            raise UnknownFeatureError(
                f"no feature {str(name)[:200]!r} is declared: {hint}", value=name, expected=self.names
            )
        return found

    def _resolve(self, j: int, column: Any, n: int) -> tuple[F64, Statuses]:
        try:
            numbers, status = self.features[j].resolve(column)
            if numbers.shape == (n,) == status.shape:
                return np.asarray(numbers, dtype=np.float64), np.asarray(status, dtype=np.uint8)
        except Exception:  # noqa: BLE001, S110  # a plugin may raise anything; its default steps in, marked ERROR
            pass
        return np.full(n, NAN), np.full(n, _ERROR, dtype=np.uint8)

    def _take(
        self,
        matrix: F64,
        status: Statuses,
        found: Mapping[str, Answer],
        now_us: int,
        rows: NDArray[np.intp] | None = None,
    ) -> bool:
        """Let answers step in where they are better than what there is; return whether some failed."""
        if rows is not None:
            part, told = matrix[rows], status[rows]
            failing = self._take(part, told, found, now_us)
            matrix[rows], status[rows] = part, told
            return failing
        places = [self._index[name] for name in found]
        told = np.array([answer.status for answer in found.values()]).T
        numbers, judged = self._read({name: answer.values for name, answer in found.items()}, len(matrix))
        believed = usable(told)
        judged = np.where(believed, judged[:, places], told)
        numbers = np.where(believed, numbers[:, places], NAN)
        failing = bool((judged == _ERROR).any())
        for i, answer in enumerate(found.values()):
            limit = self.features[places[i]].max_age_s
            if limit is not None and answer.at is not None:
                late = (now_us / 1e6 - answer.at >= limit) & usable(judged[:, i])
                numbers[late, i] = NAN
                judged[late, i] = Status.STALE
        current = status[:, places]
        take = better(judged, current)
        matrix[:, places] = np.where(take, numbers, matrix[:, places])
        status[:, places] = np.where(take, judged, current)
        return failing


def _alike(
    wanted: Sequence[int], may: Bools | None, /
) -> Sequence[tuple[NDArray[np.intp] | None, Sequence[int]]]:
    """Features that may be asked of the same subjects: whose rows, ``None`` for everybody's, and which."""
    if may is None:
        return [(None, wanted)]
    groups: dict[bytes, list[int]] = {}
    for j in wanted:
        groups.setdefault(np.packbits(may[:, j]).tobytes(), []).append(j)
    found = []
    for places in groups.values():
        rows = np.flatnonzero(may[:, places[0]])
        found.append((None if len(rows) == len(may) else rows, places))
    return found


def _checked(features: object) -> tuple[Feature, ...]:
    if isinstance(features, str) or not isinstance(features, Sequence):
        raise ConfigurationError(
            f"features must be a list such as [Number('age', low=0, high=120)], got {features!r}",
            value=features,
        )
    for feature in features:
        if isinstance(feature, type) or not isinstance(feature, Feature):
            raise ConfigurationError(
                f"a feature must be declared as Number, Category, Flag or the like, got {feature!r}",
                value=feature,
            )
        if not isinstance(feature.name, str) or len(feature.encoded) != feature.width:
            raise ConfigurationError(
                f"feature {feature.name!r} must name each of its {feature.width!r} columns, "
                f"got {feature.encoded!r}",
                value=feature.encoded,
                expected=feature.width,
            )
        purpose = capability(feature, "purpose")
        if purpose is not None and not isinstance(purpose, str):
            raise ConfigurationError(
                f"feature {feature.name!r}: purpose must be a text or None, got {purpose!r}", value=purpose
            )
    return tuple(features)


def _together(parts: Sequence[tuple[int, int, tuple[float, float, float]]]) -> _Affine | None:
    if not parts:
        return None
    sources, targets, scales = zip(*parts, strict=True)
    offset, divisor, default = np.array(scales, dtype=np.float64).T[:, :, None]
    places = np.array([sources, targets], dtype=np.intp)
    # Neighbours in the matrix need not be neighbours in `X`, nor the other way round: both, or indices.
    if sources[-1] - sources[0] == len(parts) - 1 == targets[-1] - targets[0]:
        return _Affine(
            slice(sources[0], sources[-1] + 1), slice(targets[0], targets[-1] + 1), offset, divisor, default
        )
    return _Affine(places[0], places[1], offset, divisor, default)


def _column(name: str, given: object, n: int) -> Any:  # a list, a tuple, an array or Coded
    column = as_column(given, n)
    if column is None:
        got = f"{len(given)} of them" if isinstance(given, list | tuple) else f"a {type(given).__name__}"
        if isinstance(given, np.ndarray):
            got = f"shape {given.shape!r}"
        raise InvalidContextError(
            f"the column of feature {name!r} must be a list or one-dimensional array of {n} values, "
            f"one for each subject, got {got}",
            value=got,
            expected=n,
            name=name,
        )
    return column
