"""Which local time it is for a subject: IANA zones as small numbers, conversions by column."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from datetime import timedelta
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import numpy as np
from numpy.typing import NDArray

from agentic.errors import ConfigurationError
from agentic.types import instant

UNKNOWN: Final = -1
_MINUTE: Final = 60_000_000
_DAY: Final = 1440 * _MINUTE


@functools.cache
def names() -> tuple[str, ...]:
    """Every zone this machine knows, sorted; a zone's number is its place here."""
    return tuple(sorted(available_timezones()))


@functools.cache
def _numbers() -> Mapping[str, int]:
    return {name: number for number, name in enumerate(names())}


def number(name: str, /) -> int:
    """Number of a zone, ``UNKNOWN`` for a name that is not an IANA zone."""
    return _numbers().get(name, UNKNOWN) if isinstance(name, str) else UNKNOWN


def check(name: str, what: str, /) -> int:
    """Number of a zone that must exist.

    Raises:
        ConfigurationError: It does not, or this machine has no time zone data.
    """
    found = number(name)
    if found == UNKNOWN:
        hint = "" if names() else "; this machine has no time zone data, install tzdata"
        raise ConfigurationError(
            f"{what} must be an IANA time zone such as 'Asia/Kolkata', got {name!r}{hint}", value=name
        )
    return found


@functools.cache
def _zone(index: int) -> ZoneInfo | None:
    try:
        return ZoneInfo(names()[index])
    except (ZoneInfoNotFoundError, ValueError, OSError):  # pragma: no cover - damaged zone data
        return None


@functools.lru_cache(maxsize=1 << 16)
def _offset(index: int, at_us: int) -> int | None:
    zone = _zone(index)
    if zone is None:  # pragma: no cover - damaged zone data
        return None
    offset = instant(at_us).astimezone(zone).utcoffset()
    return None if offset is None else offset // timedelta(microseconds=1)


def offsets(zone: NDArray[np.int16], at_us: NDArray[np.int64], /) -> NDArray[np.int64]:
    """Offset of local time from UTC in microseconds, shape (n,); 0 where the zone is unknown.

    Args:
        zone: Shape (n,), zone numbers, ``UNKNOWN`` allowed.
        at_us: Shape (n,).
    """
    out = np.zeros(len(zone), dtype=np.int64)
    if len(zone) == 0:
        return out
    first = int(at_us[0])
    if (zone == zone[0]).all() and (at_us == first).all():
        out[:] = _one(int(zone[0]), first)
    elif (at_us == first).all():
        # One instant, many zones: a table over the zones that occur.
        table = np.zeros(len(names()) + 1, dtype=np.int64)
        there = np.zeros(len(names()) + 1, dtype=np.bool_)
        there[zone] = True
        for index in np.flatnonzero(there[:-1]).tolist():
            table[index] = _one(index, first)
        out = table[zone]
    else:
        pairs, back = np.unique(np.stack([zone.astype(np.int64), at_us]), axis=1, return_inverse=True)
        found = [_one(int(index), int(at)) for index, at in pairs.T.tolist()]
        out = np.array(found, dtype=np.int64)[back.reshape(-1)]
    return out


def _one(index: int, at_us: int) -> int:
    return 0 if index == UNKNOWN else (_offset(index, at_us) or 0)


def local_minute(zone: NDArray[np.int16], at_us: NDArray[np.int64], /) -> NDArray[np.int64]:
    """Minute of the local day, 0 to 1,439, shape (n,); of the UTC day where the zone is unknown."""
    out: NDArray[np.int64] = (at_us + offsets(zone, at_us)) % _DAY // _MINUTE
    return out


def next_local(zone: NDArray[np.int16], at_us: NDArray[np.int64], minute: int, /) -> NDArray[np.int64]:
    """First instant at or after ``at_us`` whose local time of day is ``minute``, shape (n,).

    A time of day that the clocks skip is taken as many minutes after the gap as it lies inside it.
    """
    offset = offsets(zone, at_us)
    ahead = (minute * _MINUTE - (at_us + offset)) % _DAY
    there = at_us + ahead
    # The offset may change between now and then; a day later it is asked again.
    moved = there + (offset - offsets(zone, there))
    late = moved < at_us
    if late.any():
        there = np.where(late, there + _DAY, there)
        moved = there + (offset - offsets(zone, there))
    return moved
