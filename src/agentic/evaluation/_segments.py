"""Which decisions have something in common that was known before they were made?"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any, Final, Protocol

import attrs
import numpy as np

from agentic import _noise
from agentic._flow import ARMS
from agentic._offpolicy import reject
from agentic.arrays import F64, I64, U64
from agentic.conditions import Coded
from agentic.evaluation._matured import Matured
from agentic.features import Schema

MOST: Final = 100
"""Segments of one name: the others are put together."""

_SAMPLE: Final = 1 << 14
_FEW: Final = 5
_STREAM: Final = 0x5E6

Labels = tuple[str, ...]


def _edges(given: Any) -> tuple[float, ...]:  # numbers, or a mistake
    try:
        edges = tuple(float(edge) for edge in given)
    except (TypeError, ValueError):
        reject("edges", None, repr(given)[:80], "ascending numbers", "write Bins('age', (18, 30, 50))")
    ascending = all(low < high for low, high in itertools.pairwise(edges))
    if not edges or not ascending or not all(math.isfinite(edge) for edge in edges) or len(edges) >= MOST:
        reject("edges", None, edges, f"1 to {MOST - 1} ascending finite numbers", "leave double ones out")
    return edges


@attrs.frozen
class Bins:
    """Cuts a feature that is a number, for ``by``: below the first edge, from one to the next, from the last.

    Attributes:
        feature: Its name.
        edges: Ascending; a value on an edge is above it.

    Raises:
        EvaluationError: The edges are none, too many, not finite or not in order.

    .. versionadded:: 0.1
    """

    feature: str
    edges: tuple[float, ...] = attrs.field(converter=_edges)

    @property
    def labels(self) -> Labels:
        """Of the bins."""
        shown = [f"{edge:.6g}" for edge in self.edges]
        between = [f"{low} to {high}" for low, high in itertools.pairwise(shown)]
        return (f"below {shown[0]}", *between, f"{shown[-1]} or more")


class Division(Protocol):
    """Puts decisions into segments."""

    @property
    def name(self) -> str:
        """What they are divided by."""

    @property
    def labels(self) -> Labels:
        """Of the segments, in the order in which they are shown."""

    def codes(self, rows: Matured, /) -> I64:
        """Return the number of each row's segment, shape (n,)."""


@attrs.frozen
class _ByArm:
    name: str = "arm"
    labels: Labels = ARMS

    def codes(self, rows: Matured, /) -> I64:
        return rows.found.columns["arm"].astype(np.int64)


@attrs.define
class _ByVersion:
    """Divides by the version that was in charge; what versions there are is known when all are read."""

    name: str = "policy_version"
    _seen: dict[str, int] = attrs.field(factory=dict)

    @property
    def labels(self) -> Labels:
        return (
            *(version[:12] for version in self._seen),
            *(["other versions"] if len(self._seen) == MOST - 1 else []),
        )

    def codes(self, rows: Matured, /) -> I64:
        version = str(rows.found.metas[0].get("policy"))
        if len(self._seen) < MOST - 1:
            self._seen.setdefault(version, len(self._seen))
        return np.full(len(rows), self._seen.get(version, MOST - 1))


@attrs.frozen
class _ByText:
    schema: Schema
    name: str
    texts: Labels

    @property
    def labels(self) -> Labels:
        return (*self.texts[:MOST], "another value", "missing")

    def codes(self, rows: Matured, /) -> I64:
        column: Any = self.schema.columns(rows.found.columns["values"])[self.name]
        codes = np.nan_to_num(column.codes.astype(np.float64), nan=-2.0).astype(np.int64)
        many = min(len(self.texts), MOST)
        codes = np.where((codes == -1) | (codes >= many), many, codes)
        return np.where(codes < 0, many + 1, codes)


@attrs.frozen
class _ByNumber:
    """Divides by a number; an edge is the least value of its bin."""

    name: str
    place: int
    edges: F64
    shown: Labels

    @property
    def labels(self) -> Labels:
        return (*self.shown, "missing")

    def codes(self, rows: Matured, /) -> I64:
        values = rows.found.columns["values"][:, self.place]
        codes = np.searchsorted(self.edges, values, side="right")
        return np.where(np.isnan(values), len(self.edges) + 1, codes).astype(np.int64)


class Quarters:
    """Finds, in a pass before, where a number is to be cut into quarters: by 16,384 rows taken by their hash.

    The cuts are good to about 1 % of the rows. Of a number with up to five values each is a segment.
    """

    def __init__(self, name: str, place: int) -> None:
        self.name, self._place = name, place
        self._hash, self._value = np.zeros(0, np.uint64), np.zeros(0)

    def add(self, rows: Matured, /) -> None:
        """Look at rows."""
        values = rows.found.columns["values"][:, self._place]
        known = ~np.isnan(values)
        keys: U64 = rows.found.columns["key"][known]
        hashes = _noise.fold(_STREAM, keys, rows.found.positions[known].astype(np.uint64))
        hashes, values = np.concatenate([self._hash, hashes]), np.concatenate([self._value, values[known]])
        if len(hashes) > _SAMPLE:
            least = np.argpartition(hashes, _SAMPLE)[:_SAMPLE]
            hashes, values = hashes[least], values[least]
        self._hash, self._value = hashes, values

    def division(self) -> Division:
        """The cuts."""
        found = np.unique(self._value)
        if len(found) <= _FEW:
            shown = tuple(f"{value:.6g}" for value in found.tolist())
            return _ByNumber(self.name, self._place, found[1:], shown or ("any",))
        # At three digits: nobody wants to read of ages below 36.1041.
        quarters = np.quantile(self._value, [0.25, 0.5, 0.75], method="higher").tolist()
        cuts = np.unique([float(f"{cut:.3g}") for cut in quarters])
        # What begins at the least value has nothing below it.
        bins = Bins(self.name, cuts[cuts > found[0]])
        return _ByNumber(self.name, self._place, np.array(bins.edges), bins.labels)


By = str | Bins
"""What to divide by: the name of a feature, ``"arm"``, ``"policy_version"``, or bins."""


def divisions(schema: Schema, by: By | Sequence[By], /) -> list[Division | Quarters]:
    """What each name divides by; of numbers without bins the quarters are still to be found.

    Raises:
        EvaluationError: Nothing of that name was known before decisions were made.
    """
    asked: Sequence[By] = [by] if isinstance(by, str | Bins) else list(by)
    found: list[Division | Quarters] = []
    for each in asked:
        name = each.feature if isinstance(each, Bins) else each
        if any(other.name == name for other in found):
            reject("by", None, name, "each name once", "leave the second one out")
        found.append(_division(schema, name, each.edges if isinstance(each, Bins) else None))
    return found


def _division(schema: Schema, name: str, edges: tuple[float, ...] | None) -> Division | Quarters:
    special: dict[str, Division] = {"arm": _ByArm(), "policy_version": _ByVersion()}
    features = [each for each in schema.names if each in schema.fields]
    if edges is None and name in special and name not in features:
        return special[name]
    if name not in features:
        names = ", ".join(repr(each) for each in (*features, *special))
        remedy = "choose what was known before the decision: policies differ in what they do afterwards"
        reject("by", None, name, f"one of {names}", remedy)
    place = schema.names.index(name)
    column = schema.columns(np.full((1, len(schema.names)), np.nan))[name]
    if isinstance(column, Coded):
        if edges is not None:
            reject("by", None, name, "a number, to be cut into bins", "give the name alone")
        return _ByText(schema, name, column.categories)
    if edges is None:
        return Quarters(name, place)
    return _ByNumber(name, place, np.array(edges), Bins(name, edges).labels)
