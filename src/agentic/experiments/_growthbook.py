"""Which variation would GrowthBook give: its hashes and ranges, so that a team keeps its assignments.

Source: GrowthBook 2024, Build your own SDK (docs.growthbook.io/lib/build-your-own), spec version 0.7.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np
from numpy.typing import NDArray

from agentic.arrays import F64, I64, Bools
from agentic.errors import ConfigurationError
from agentic.experiments._buckets import fnv32a, fnv32a_of_decimals

Range = tuple[float, float]


def growthbook_hash(seed: str, values: Sequence[str], /, *, version: int = 1) -> F64:
    """Return where on [0, 1) GrowthBook puts each value.

    Args:
        seed: The experiment's key or seed.
        values: n texts: the hash attribute of each subject.
        version: 1 for thousandths, biased between experiments; 2 for ten-thousandths.

    Returns:
        Shape (n,), float64.

    Raises:
        ConfigurationError: There is no such version.
    """
    if version == 1:
        return (fnv32a(values, suffix=seed) % 1000).astype(np.float64) / 1000.0
    if version == 2:
        return (fnv32a_of_decimals(fnv32a(values, prefix=seed)) % 10_000).astype(np.float64) / 10_000.0
    raise ConfigurationError(f"version must be 1 or 2, got {version!r}", value=version, expected=(1, 2))


def bucket_ranges(
    variations: int, /, *, coverage: float = 1.0, weights: Sequence[float] | None = None
) -> list[Range]:
    """Return the range of each variation, as GrowthBook lays them out.

    Weights that are not one for each variation, or do not sum to about 1, count as equal ones.
    """
    coverage = min(max(coverage, 0.0), 1.0)
    equal = [1.0 / variations] * variations if variations > 0 else []
    if weights is None or len(weights) != variations or not 0.99 <= sum(weights) <= 1.01:
        weights = equal
    out, cumulative = [], 0.0
    for weight in weights:
        out.append((cumulative, cumulative + coverage * weight))
        cumulative += weight
    return out


def choose_variation(places: F64, ranges: Sequence[Range], /) -> I64:
    """Return the first range that each place lies in, shape (n,), int64: -1 for none."""
    out = np.full(len(places), -1, dtype=np.int64)
    for code in reversed(range(len(ranges))):
        low, high = ranges[code]
        out[(places >= low) & (places < high)] = code
    return out


@attrs.frozen
class Filter:
    """Lets in the values that hash into some ranges: how GrowthBook keeps experiments apart.

    Attributes:
        seed: Of the hash.
        ranges: Of [0, 1).
        version: Of the hash.
    """

    seed: str
    ranges: Sequence[Range]
    version: int = 2

    def includes(self, values: Sequence[str], /) -> Bools:
        """Whether each value is let in, shape (n,), bool."""
        return choose_variation(growthbook_hash(self.seed, values, version=self.version), self.ranges) >= 0


def namespace(name: str, low: float, high: float, /) -> Filter:
    """Return the filter that a GrowthBook namespace is: version 1 of the hash, one range."""
    return Filter(f"__{name}", [(low, high)], version=1)


def _names(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(names)


@attrs.frozen
class GrowthBook:
    """Assigns as GrowthBook does, by the hash attribute of each subject.

    It knows of buckets, weights, coverage, ranges, filters and namespaces. Targeting conditions,
    prerequisites and forced variations are not bucketing: ask them before.

    Attributes:
        key: The experiment's.
        names: The variations, in order; the first is the control.
        weights: One for each; equal where left out.
        coverage: Share of subjects that takes part, 0 to 1.
        seed: Where it is not the key.
        version: Of the hash: ``hashVersion``.
        ranges: One for each variation, in place of weights and coverage.
        filters: All must let a subject in.
    """

    key: str
    names: tuple[str, ...] = attrs.field(converter=_names)
    weights: Sequence[float] | None = attrs.field(default=None, kw_only=True)
    coverage: float = attrs.field(default=1.0, kw_only=True)
    seed: str | None = attrs.field(default=None, kw_only=True)
    version: int = attrs.field(default=1, kw_only=True)
    ranges: Sequence[Range] | None = attrs.field(default=None, kw_only=True)
    filters: Sequence[Filter] = attrs.field(default=(), kw_only=True)

    def __attrs_post_init__(self) -> None:
        """Refuse what GrowthBook could not run.

        Raises:
            ConfigurationError: Fewer than two variations, two of one name, as many ranges as none, or an
                unknown version.
        """
        if len(set(self.names)) < len(self.names):
            raise ConfigurationError(
                f"each variation must have a name of its own, got {list(self.names)!r}", value=self.names
            )
        if len(self.names) < 2:
            raise ConfigurationError(
                f"an experiment has two variations or more, got {len(self.names)}", value=self.names
            )
        if self.ranges is not None and len(self.ranges) != len(self.names):
            raise ConfigurationError(
                f"ranges must be {len(self.names)}, one for each variation, got {len(self.ranges)}",
                value=len(self.ranges),
                expected=len(self.names),
            )
        growthbook_hash("", [], version=self.version)

    def assign(self, subjects: Sequence[str], /) -> I64:
        """Return each subject's variation, shape (n,), int64: -1 for none, and for an empty text."""
        ranges = self.ranges
        if ranges is None:
            ranges = bucket_ranges(len(self.names), coverage=self.coverage, weights=self.weights)
        seed = self.key if self.seed is None else self.seed
        out = choose_variation(growthbook_hash(seed, subjects, version=self.version), ranges)
        out[_absent(subjects)] = -1
        for one in self.filters:
            out[~one.includes(subjects)] = -1
        return out


@attrs.frozen
class GrowthBookRollout:
    """Says who is in the share of subjects that a forced GrowthBook rule is rolled out to: one variant, `on`.

    Attributes:
        key: The feature's.
        coverage: Share of subjects, 0 to 1.
        seed: Where it is not the key.
        version: Of the hash.
        range: In place of the coverage.
        filters: All must let a subject in.
    """

    key: str
    coverage: float = 1.0
    seed: str | None = attrs.field(default=None, kw_only=True)
    version: int = attrs.field(default=1, kw_only=True)
    range: Range | None = attrs.field(default=None, kw_only=True)
    filters: Sequence[Filter] = attrs.field(default=(), kw_only=True)
    names = ("on",)

    def assign(self, subjects: Sequence[str], /) -> I64:
        """Return 0 for each subject that is in, shape (n,), int64, and -1 for the others."""
        seed = self.key if self.seed is None else self.seed
        places = growthbook_hash(seed, subjects, version=self.version)
        if self.range is not None:
            inside = choose_variation(places, [self.range]) == 0
        else:
            inside = (places <= self.coverage) & (self.coverage > 0.0)
        for one in self.filters:
            inside &= one.includes(subjects)
        return np.where(inside & ~_absent(subjects), 0, -1)


def _absent(subjects: Sequence[str]) -> NDArray[np.bool_]:
    return np.fromiter((not subject for subject in subjects), dtype=np.bool_, count=len(subjects))
