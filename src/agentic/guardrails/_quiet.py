"""Is it the wrong time of day where the subject lives?"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import attrs
import numpy as np

from agentic import zones
from agentic.arrays import Batch, Review, Space
from agentic.errors import ConfigurationError, InvalidTimeError
from agentic.guardrails._scope import (
    EVERYTHING,
    Spread,
    bound,
    by_arrival,
    check_name,
    concerned,
    listed,
    ready,
    spared,
)
from agentic.types import MANDATORY, clock_time, instant, micros

_SECOND = 1_000_000
_MINUTE = 60 * _SECOND
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR


@attrs.frozen
class QuietHours:
    """Denies what would arrive between two local times of day.

    The window is half-open: ``start`` is quiet, ``end`` is not. It may wrap midnight. Judged is the local
    minute of *delivery*, in the subject's own time zone, through every change of the clocks.

    An unknown zone is a denial, marked as unknown. Clocks on earth run from 12 hours behind UTC to 14
    hours ahead of it, with a zone at every whole hour. Whatever the instant, they show every hour of the
    day somewhere, so in any quiet window of an hour or more there is always a place where it is quiet,
    and the subject may be there.

    Attributes:
        start: Local time of day when quiet begins, ``"21:00"``.
        end: Local time of day when it ends, ``"10:00"``.
        channels: Only for these channels; ``None`` means all.
        message_classes: Only for these message classes; ``None`` means all.
        actions: Only for these actions; ``None`` means all.
        exempt: Message classes left alone.
        name: Of the guardrail.
    """

    start: str = attrs.field()
    end: str = attrs.field()
    channels: tuple[str, ...] | None = attrs.field(default=None, kw_only=True, converter=listed)
    message_classes: tuple[str, ...] | None = attrs.field(default=None, kw_only=True, converter=listed)
    actions: tuple[str, ...] | None = attrs.field(default=None, kw_only=True, converter=listed)
    exempt: tuple[str, ...] = attrs.field(default=(MANDATORY,), kw_only=True, converter=spared)
    name: str = attrs.field(default="quiet_hours", kw_only=True, validator=check_name)
    _from: int = attrs.field(init=False, eq=False, repr=False)
    _length: int = attrs.field(init=False, eq=False, repr=False)
    _plan: Spread | None = attrs.field(default=None, init=False, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        start, end = clock_time(self.start, "start"), clock_time(self.end, "end")
        if start == end:
            raise ConfigurationError(
                f"quiet hours must start and end at different times, got {self.start!r} twice: "
                "to send nothing at all use KillSwitch",
                value=self.start,
            )
        object.__setattr__(self, "_from", start)
        object.__setattr__(self, "_length", (end - start) % 1440)

    def bind(self, space: Space, /) -> QuietHours:
        """Group the candidates that arrive together.

        Raises:
            ConfigurationError: The scope names something that is not in the catalogue.
        """
        return bound(self, Spread.of(by_arrival(space.catalogue), concerned(self, space)))

    def review(self, batch: Batch, /) -> Review:
        """Allow what arrives outside the window."""
        spread = ready(self._plan, self.name)
        if not spread.names:
            return Review(EVERYTHING, "QUIET_HOURS")
        awake = np.empty((len(batch), len(spread.names)), dtype=np.bool_)
        for index, column in enumerate(spread.first.tolist()):
            arrival = batch.delivery[:, column]
            minute = zones.shared_minute(batch.zone, arrival) if len(batch) else None
            if minute is None:
                awake[:, index] = self._awake(zones.local_minute(batch.zone, arrival))
            else:
                awake[:, index] = self._awake(minute)
        known = zones.known(batch.zone)
        if np.count_nonzero(known) == len(known):
            return spread.review(awake, "QUIET_HOURS")
        awake &= known[:, None]
        return spread.review(awake, "QUIET_HOURS", np.broadcast_to(~known[:, None], awake.shape))

    def _awake(self, minute: Any) -> Any:  # int to bool, column to column
        """Whether a minute of the local day lies outside the window."""
        since = minute - self._from  # or before it begins; a window that wraps began yesterday as well
        return (since >= self._length) | (since < 0) & (since >= self._length - 1440)

    def next_allowed_at(self, zone: str, at: datetime, /) -> datetime:
        """The first time from ``at`` on, to the minute, when a delivery is allowed.

        Args:
            zone: An IANA time zone.
            at: Any aware time; returned as it is, in UTC, when it is allowed itself.

        Raises:
            ConfigurationError: There is no such zone.
            InvalidTimeError: ``at`` has no zone, or lies at the very end of the calendar.
        """
        zones.check(zone, "zone")
        place = ZoneInfo(zone)
        try:
            now = micros(at)
            left = self._left(place, now)
            while left:
                now = _unchanged(place, now, now + left)
                left = self._left(place, now)
            return instant(now)
        except OverflowError:
            raise InvalidTimeError(
                f"a time must leave a day for the quiet hours to end, got {at!r}: use an earlier one",
                value=at,
            ) from None

    def _left(self, place: ZoneInfo, at: int) -> int:
        """Microseconds until the window ends if nobody touches the clocks; 0 outside the window."""
        inside = (at + _offset(place, at) - self._from * _MINUTE) % _DAY
        return max(self._length * _MINUTE - inside, 0)


def _offset(place: ZoneInfo, at: int) -> int:
    offset = instant(at).astimezone(place).utcoffset() or timedelta(0)
    return offset // timedelta(microseconds=1)


def _unchanged(place: ZoneInfo, start: int, end: int) -> int:
    """The first time in (start, end] when the clocks change; ``end`` when they do not.

    Looks every hour: two changes that cancel each other within one would be missed, and no zone has them.
    """
    before = _offset(place, start)
    low = start
    while low < end:
        high = min(low + _HOUR, end)
        if _offset(place, high) != before:
            # Clocks change on whole seconds.
            low, high = low // _SECOND, high // _SECOND
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if _offset(place, middle * _SECOND) == before else (low, middle)
            return high * _SECOND
        low = high
    return end
