"""Which places are whose: shares of [0, 1) that can grow without moving anybody who need not be moved."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import attrs
import numpy as np

from agentic.arrays import F64, I64
from agentic.errors import ConfigurationError

PLACES: Final = 1_000_000
"""Into how many places subjects are hashed: a share is kept to a millionth."""


@attrs.frozen
class Shares:
    """Holds which of a million places belong to which name; nobody's places are in no variant.

    Made from shares alone, name i of k begins at i / k, so that any share may grow to 1 / k without moving
    a subject from one name to another. `resized` goes further: it moves none but those it must.

    Attributes:
        names: In order.
        spans: Of places: start, stop and the name's number; sorted, and none overlaps another.
    """

    names: tuple[str, ...]
    spans: tuple[tuple[int, int, int], ...]

    @classmethod
    def of(cls, shares: Mapping[str, float], /) -> Shares:
        """Lay them out afresh.

        Raises:
            ConfigurationError: There are none, a name is no text, a share is not from 0 to 1, or their sum
                is above 1.
        """
        wanted = _checked(shares)
        names, k = tuple(wanted), len(wanted)
        own, over = [], []
        for code, size in enumerate(wanted.values()):
            start, stop = code * PLACES // k, (code + 1) * PLACES // k
            own.append((start, min(stop, start + size), code))
            over.append((code, max(0, size - (stop - start))))
        return cls(names, _given(own, over))

    def resized(self, shares: Mapping[str, float], /) -> Shares:
        """The next shares, with as few subjects moved as can be.

        A name that shrinks gives up its last places; a name that grows takes nobody's places first, and
        then what others gave up. Names that are left out keep their share; new names join at the end.

        Raises:
            ConfigurationError: As `of`.
        """
        held = {name: self.share(name) for name in self.names}
        wanted = _checked({**held, **shares})
        names = tuple(wanted)
        kept, over = [], []
        for code, (name, size) in enumerate(wanted.items()):
            left = size
            for start, stop, owner in self.spans:
                if self.names[owner] == name and left > 0:
                    end = min(stop, start + left)
                    kept.append((start, end, code))
                    left -= end - start
            over.append((code, left))
        before = {(start, stop) for start, stop, _ in self.spans}
        return Shares(names, _given(kept, over, last=sorted(before)))

    def share(self, name: str, /) -> float:
        """The share of this name.

        Raises:
            ConfigurationError: There is no such name.
        """
        code = self.code(name)
        return sum(stop - start for start, stop, owner in self.spans if owner == code) / PLACES

    def code(self, name: str, /) -> int:
        """The number of this name.

        Raises:
            ConfigurationError: There is no such name.
        """
        if name not in self.names:
            raise ConfigurationError(
                f"there is no {name!r}, expected one of {list(self.names)!r}", value=name, expected=self.names
            )
        return self.names.index(name)

    def at(self, uniform: F64, /) -> I64:
        """Whose place it is, shape (n,), int64: -1 where it is nobody's.

        Args:
            uniform: Shape (n,), in [0, 1).
        """
        place = (uniform * PLACES).astype(np.int64)
        starts = np.array([start for start, _, _ in self.spans] or [PLACES], dtype=np.int64)
        stops = np.array([stop for _, stop, _ in self.spans] or [PLACES], dtype=np.int64)
        codes = np.array([code for _, _, code in self.spans] or [-1], dtype=np.int64)
        span = np.maximum(np.searchsorted(starts, place, side="right") - 1, 0)
        inside = (place >= starts[span]) & (place < stops[span])
        return np.where(inside, codes[span], -1)


def _given(
    held: list[tuple[int, int, int]],
    wanted: list[tuple[int, int]],
    *,
    last: list[tuple[int, int]] | None = None,
) -> tuple[tuple[int, int, int], ...]:
    """Give free places to whoever still wants some: those that were nobody's before, then the others."""
    spans = [span for span in held if span[0] < span[1]]
    free = _without([(0, PLACES)], [(start, stop) for start, stop, _ in spans])
    first = _without(free, last or [])
    order = first + _without(free, first)
    for code, size in wanted:
        left = size
        while left > 0:
            start, stop = order.pop(0)
            end = min(stop, start + left)
            spans.append((start, end, code))
            left -= end - start
            if end < stop:
                order.insert(0, (end, stop))
    joined: list[tuple[int, int, int]] = []
    for start, stop, code in sorted(spans):
        if joined and joined[-1][1] == start and joined[-1][2] == code:
            joined[-1] = (joined[-1][0], stop, code)
        else:
            joined.append((start, stop, code))
    return tuple(joined)


def _without(spans: list[tuple[int, int]], taken: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """These spans less those."""
    for first, end in sorted(taken):
        left = []
        for start, stop in spans:
            left += [(start, min(stop, first)), (max(start, end), stop)]
        spans = [(start, stop) for start, stop in left if start < stop]
    return spans


def _checked(shares: Mapping[str, Any]) -> dict[str, int]:
    """Shares as places, largest remainders rounded so that whole shares stay whole."""
    if not isinstance(shares, Mapping) or not shares:
        raise ConfigurationError(
            f"shares must be a mapping from name to share, with one at least, got {shares!r}: write"
            " {'control': 0.5, 'treatment': 0.5}",
            value=shares,
        )
    exact: dict[str, float] = {}
    for name, share in shares.items():
        if not isinstance(name, str) or not name:
            raise ConfigurationError(f"a name must be a text that is not empty, got {name!r}", value=name)
        if isinstance(share, bool) or not isinstance(share, int | float | np.number) or not 0 <= share <= 1:
            raise ConfigurationError(
                f"the share of {name!r} must be a number from 0 to 1, got {share!r}", value=share
            )
        exact[name] = float(share) * PLACES
    total = math.fsum(exact.values())
    if total > PLACES * (1.0 + 1e-9):
        raise ConfigurationError(
            f"shares must not sum to more than 1, got {total / PLACES:.9g}: make some smaller",
            value=total / PLACES,
            expected=1.0,
        )
    sizes = {name: math.floor(size + 1e-6) for name, size in exact.items()}
    missing = round(total) - sum(sizes.values())
    for name in sorted(exact, key=lambda one: sizes[one] - exact[one])[:missing]:
        sizes[name] += 1
    return sizes
