"""Periods by the calendar: years, working days, leap years."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentic.errors import ConfigurationError, InvalidTimeError
from agentic.privacy import Period

small = st.integers(0, 40)
periods = st.builds(Period, years=small, days=small, hours=small, working_days=small)
times = st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("begin", "period", "end"),
    [
        ("2024-02-29T12:00", {"years": 1}, "2025-03-01"),
        ("2024-02-28T12:00", {"years": 1}, "2025-02-28T12:00"),
        ("2024-03-01", {"years": 1}, "2025-03-01"),
        ("2024-02-29T23:59", {"years": 4}, "2028-02-29T23:59"),
        ("2025-02-28T12:00", {"years": 3}, "2028-02-28T12:00"),
        ("2026-03-29", {"days": 1}, "2026-03-30"),
        ("2026-01-01", {"hours": 48}, "2026-01-03"),
        ("2026-11-20T09:00", {"working_days": 1}, "2026-11-23T09:00"),  # a Friday
        ("2026-11-21T09:00", {"working_days": 1}, "2026-11-24"),  # a Saturday: all of Monday
        ("2026-11-20T09:00", {"working_days": 10}, "2026-12-04T09:00"),
        ("2026-11-23T09:00", {"working_days": 4}, "2026-11-27T09:00"),
        ("2026-11-24T09:00", {"working_days": 4}, "2026-11-30T09:00"),
        ("2026-01-01", {}, "2026-01-01"),
    ],
    ids=str,
)
def test_a_period_ends_when_the_calendar_says(begin: str, period: dict[str, int], end: str) -> None:
    """A year from 29 February is over when March begins; weekends are no working days."""
    assert Period(**period).after(at(begin)) == at(end)


@given(periods, times, st.timedeltas(timedelta(0), timedelta(days=500)))
def test_what_begins_later_ends_no_earlier(period: Period, begin: datetime, later: timedelta) -> None:
    """Otherwise data that is older could be due later."""
    assert begin <= period.after(begin) <= period.after(begin + later)


@given(periods, times)
def test_before_is_the_last_beginning(period: Period, now: datetime) -> None:
    """From which the period is over; a microsecond later it is not."""
    last = period.before(now)
    assert last is not None
    assert period.after(last) <= now < period.after(last + timedelta(microseconds=1))


@given(st.integers(0, 1500), times)
def test_working_days_are_counted_one_by_one(days: int, begin: datetime) -> None:
    """The closed form is what counting gives."""
    end, left = begin, days
    if days and begin.weekday() >= 5:
        end = begin.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=7 - begin.weekday())
    while left:
        end += timedelta(days=1)
        left -= end.weekday() < 5
    assert Period(working_days=days).after(begin) == end


@pytest.mark.parametrize("wrong", [-1, 1.5, True, "1", 36_526, None], ids=repr)
def test_numbers_of_a_period_are_whole_and_bounded(wrong: Any) -> None:
    """A flag is no number either."""
    with pytest.raises(ConfigurationError, match="years of a period"):
        Period(years=wrong)


def test_a_period_knows_the_end_of_the_calendar_and_of_words() -> None:
    """It refuses what ends after 9999, and a time without a zone."""
    with pytest.raises(ConfigurationError, match="9999"):
        Period(years=36_000).after(at("2026-01-01"))
    with pytest.raises(InvalidTimeError):
        Period(days=1).after(datetime(2026, 1, 1))  # noqa: DTZ001
    assert Period(years=10_000 - 9_000).before(at("0500-01-01")) is None
    assert str(Period(years=1, days=2, hours=1)) == "1 year, 2 days, 1 hour"
    assert str(Period()) == "at once"
    assert not Period()
    assert Period(hours=1)
