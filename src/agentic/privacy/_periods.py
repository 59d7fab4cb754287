"""How long is a year, in law? Periods by the calendar, exact over leap years."""

from __future__ import annotations

import calendar
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import attrs

from agentic.errors import ConfigurationError
from agentic.types import instant, micros

_MOST: Final = 36_525
_FIRST: Final = micros(datetime(1, 1, 1, tzinfo=UTC))


def _check_number(_: object, attribute: Any, value: Any) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _MOST:
        raise ConfigurationError(
            f"{attribute.name} of a period must be a whole number from 0 to {_MOST}, got {value!r}",
            value=value,
        )


@attrs.frozen(kw_only=True)
class Period:
    """A length of time as laws state it: years by the calendar, days, hours, days on which people work.

    Years are counted first, then working days, then days and hours, all in UTC. A year from 29 February is
    over when 1 March begins: what has to be kept is never kept too short. Working days are Monday to Friday;
    public holidays, which differ by place, are not known, so a deadline in working days comes out too early
    rather than too late.

    Attributes:
        years: 0 to 36,525, as are the others.
        days: Of 24 hours.
        hours: Of 60 minutes.
        working_days: Monday to Friday.
    """

    years: int = attrs.field(default=0, validator=_check_number)
    days: int = attrs.field(default=0, validator=_check_number)
    hours: int = attrs.field(default=0, validator=_check_number)
    working_days: int = attrs.field(default=0, validator=_check_number)

    def __bool__(self) -> bool:
        return self != Period()

    def __str__(self) -> str:
        parts = [
            f"{number} {name if number > 1 else name[:-1]}"
            for name, number in (
                ("years", self.years),
                ("working days", self.working_days),
                ("days", self.days),
                ("hours", self.hours),
            )
            if number
        ]
        return ", ".join(parts) or "at once"

    def after(self, at: datetime, /) -> datetime:
        """When the period that begins at this time is over, in UTC.

        Raises:
            InvalidTimeError: ``at`` has no zone.
            ConfigurationError: It ends after the year 9999.
        """
        micros(at)
        at = at.astimezone(UTC)
        try:
            if self.years:
                year = at.year + self.years
                if (at.month, at.day) == (2, 29) and not calendar.isleap(year):
                    at = datetime(year, 3, 1, tzinfo=UTC)
                else:
                    at = at.replace(year=year)
            if self.working_days:
                if at.weekday() >= 5:  # counted from Monday morning
                    at = at.replace(hour=0, minute=0, second=0, microsecond=0)
                    at += timedelta(days=7 - at.weekday())
                weeks, left = divmod(self.working_days, 5)
                at += timedelta(weeks=weeks, days=left + 2 * (at.weekday() + left >= 5))
            return at + timedelta(days=self.days, hours=self.hours)
        except (ValueError, OverflowError):
            raise ConfigurationError(
                f"a period of {self} from {at:%Y-%m-%d} ends after the year 9999: shorten it", value=self
            ) from None

    def before(self, now: datetime, /) -> datetime | None:
        """The last time from which the period is over by now; ``None`` when there is none."""
        low, high = _FIRST, micros(now)
        if self.after(instant(low)) > now:
            return None
        while low < high:  # longer later: the end of a period never comes before that of an earlier one
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self.after(instant(middle)) <= now else (low, middle - 1)
        return instant(low)


def day(text: Any, what: str, /) -> date:
    """Read ``"2025-11-14"``.

    Raises:
        ConfigurationError: It is no date.
    """
    try:
        return date.fromisoformat(text)
    except (TypeError, ValueError):
        raise ConfigurationError(
            f"{what} must be a date such as '2025-11-14', got {text!r:.80}", value=text
        ) from None
