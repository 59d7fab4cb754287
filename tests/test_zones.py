import functools
import hashlib
import zoneinfo
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentic import zones
from agentic.errors import ConfigurationError
from agentic.types import instant, micros
from batches import moments

MINUTE = 60_000_000
DAY = 1440 * MINUTE

ODD = (
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "America/Nuuk",
    "Africa/Casablanca",
    "Antarctica/Troll",
    "Pacific/Kiritimati",
    "Pacific/Apia",
    "America/New_York",
    "Europe/London",
    "UTC",
)

# Days around which clocks change, in some of them by half an hour, two hours, or a whole day.
CHANGES = {
    "America/New_York": ("2026-03-08", "2026-11-01"),
    "Australia/Lord_Howe": ("2026-04-04", "2026-10-03"),
    "America/Nuuk": ("2024-03-30", "2024-10-26"),
    "Africa/Casablanca": ("2026-02-15", "2026-03-22"),
    "Antarctica/Troll": ("2026-03-29", "2026-10-25"),
    "Pacific/Apia": ("2011-12-30",),
    "Asia/Kathmandu": ("2026-03-08",),
}


def column(*names):
    return np.array(
        [zones.UNKNOWN if name is None else zones.check(name, "zone") for name in names], np.int16
    )


def times(*at):
    return np.array(at, dtype=np.int64)


@functools.cache
def reference(name, at):
    """Offset in microseconds, by the standard library."""
    return instant(at).astimezone(ZoneInfo(name)).utcoffset() // timedelta(microseconds=1)


def local(name, at):
    return (at + reference(name, at)) % DAY


def next_local_by_search(name, at, minute):
    """Step through the minutes: the first that shows the time of day, or lies as far behind a gap."""
    if local(name, at) == minute * MINUTE:
        return at
    before, now = at, at - at % MINUTE
    while True:
        now += MINUTE
        if local(name, now) == minute * MINUTE:
            return now
        jump = reference(name, now) - reference(name, before)
        inside = (minute * MINUTE - local(name, now) + jump) % DAY
        if jump > 0 and inside < jump:
            return now + inside
        before = now


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "", "Mars/Phobos", "\0", "/UTC", "utc", "UTC ", None, 3, b"UTC"]
)
def test_names_that_are_no_zones_are_unknown(name):
    """A text that is not an IANA name has no number, whatever file it might point to."""
    assert zones.number(name) == zones.UNKNOWN
    with pytest.raises(ConfigurationError, match="home must be an IANA time zone") as caught:
        zones.check(name, "home")
    assert caught.value.facts["value"] == name


def test_a_machine_without_zone_data_is_told_what_to_install(monkeypatch):
    """Without time zone data every zone is unknown, and the error names the remedy."""
    monkeypatch.setattr(zones, "_numbers", dict)
    with pytest.raises(ConfigurationError, match="install tzdata"):
        zones.check("UTC", "zone")


def test_zones_are_those_that_python_finds(monkeypatch):
    """In the system's folders, and where a name is missing there, wherever Python looks."""
    found = zoneinfo.available_timezones()
    assert set(zones._numbers.__wrapped__()) == found & set(zones.names())
    monkeypatch.setattr(zoneinfo, "TZPATH", ())
    monkeypatch.setattr(zoneinfo, "available_timezones", lambda: {"UTC", "Mars/Phobos"})
    assert zones._numbers.__wrapped__() == {"UTC": zones.number("UTC")}


def test_numbers_never_change():
    """A zone's number is stored in records, so it is pinned here: names are only added at the end."""
    first = "\n".join(zones.names()[:597])
    assert hashlib.sha256(first.encode()).hexdigest()[:16] == "e662bd9ba4b0674e"


def test_names_are_distinct_and_fit_the_stored_number():
    """Every name has one number, and every number is an int16."""
    names = zones.names()
    assert len(set(names)) == len(names) <= np.iinfo(np.int16).max


@pytest.mark.parametrize("name", ODD)
def test_a_number_leads_back_to_its_zone(name):
    """A number is the place of the name among all names."""
    assert zones.names()[zones.number(name)] == name


def test_any_stored_number_is_known_or_not():
    """Numbers that no zone has, even damaged ones, are unknown and not an error."""
    every = np.arange(-(1 << 15), 1 << 15).astype(np.int16)
    known = zones.known(every)
    assert known.sum() > 400
    assert not known[every < 0].any()
    assert not known[every >= len(zones.names())].any()
    assert not zones.offsets(every[~known], np.zeros((~known).sum(), np.int64)).any()


def test_no_rows_have_no_offsets():
    """An empty column is converted to an empty column."""
    assert len(zones.offsets(column(), times())) == 0
    assert len(zones.next_local(column(), times(), 600)) == 0


@given(
    st.lists(
        st.tuples(
            st.sampled_from([*ODD, None]),
            moments(1972, 2037),
        ),
        min_size=1,
        max_size=12,
    ),
    st.booleans(),
)
def test_offsets_agree_with_zoneinfo(rows, together):
    """A column of zones and times is converted as zoneinfo converts each, whatever the neighbours are."""
    names = [name for name, _ in rows]
    at = [micros(rows[0][1] if together else moment) for _, moment in rows]
    expected = [0 if name is None else reference(name, t) for name, t in zip(names, at, strict=True)]
    assert zones.offsets(column(*names), times(*at)).tolist() == expected


@pytest.mark.parametrize(("name", "day"), [(n, d) for n, days in CHANGES.items() for d in days])
def test_local_minutes_follow_every_change_of_the_clocks(name, day):
    """Around a change every second minute of three days, all in one column, shows what zoneinfo shows."""
    middle = micros(datetime.fromisoformat(day).replace(tzinfo=UTC))
    at = np.arange(middle - DAY - 1, middle + 2 * DAY, 2 * MINUTE + 1)
    expected = [local(name, t) // MINUTE for t in at.tolist()]
    assert zones.local_minute(column(name).repeat(len(at)), at).tolist() == expected


def test_the_minute_of_an_unknown_zone_is_that_of_utc():
    """An unknown zone has offset 0; who needs to know asks whether it is known."""
    assert zones.local_minute(column(None, "UTC"), times(61 * MINUTE, 61 * MINUTE)).tolist() == [61, 61]


@pytest.mark.parametrize(("name", "day"), [(n, d) for n, days in CHANGES.items() for d in days])
def test_next_local_finds_what_a_search_finds(name, day):
    """Around a change, through gaps and repeated hours, the first instant is found, in one column."""
    middle = micros(datetime.fromisoformat(day).replace(tzinfo=UTC))
    at = np.arange(middle - DAY, middle + DAY, 157 * MINUTE)
    for minute in (0, 30, 105, 150, 1410):
        expected = [next_local_by_search(name, t, minute) for t in at.tolist()]
        assert zones.next_local(column(name).repeat(len(at)), at, minute).tolist() == expected


@given(
    st.lists(
        st.tuples(
            st.sampled_from(ODD),
            moments(2000, 2037),
        ),
        min_size=1,
        max_size=3,
    ),
    st.integers(0, 1439),
)
def test_next_local_agrees_with_a_search_anywhere(rows, minute):
    """Zones and times at random, to the microsecond: the answer is the first instant that will do."""
    names, at = [name for name, _ in rows], [micros(moment) for _, moment in rows]
    expected = [next_local_by_search(name, t, minute) for name, t in zip(names, at, strict=True)]
    assert zones.next_local(column(*names), times(*at), minute).tolist() == expected


def test_a_time_the_clocks_skip_comes_as_much_later():
    """On the night New York skips 02:00 to 03:00, half past two is half past three."""
    early = micros(datetime(2026, 3, 8, 0, 0, tzinfo=ZoneInfo("America/New_York")))
    late = micros(datetime(2026, 3, 8, 1, 59, tzinfo=ZoneInfo("America/New_York")))
    expected = micros(datetime(2026, 3, 8, 3, 30, tzinfo=ZoneInfo("America/New_York")))
    found = zones.next_local(column("America/New_York", "America/New_York"), times(early, late), 150)
    assert found.tolist() == [expected, expected]


def test_a_repeated_time_comes_twice():
    """On the night New York shows 01:15 twice, the second follows the first by an hour."""
    zone = ZoneInfo("America/New_York")
    first = micros(datetime(2026, 11, 1, 1, 15, tzinfo=zone))
    second = micros(datetime(2026, 11, 1, 1, 15, fold=1, tzinfo=zone))
    assert zones.next_local(column("America/New_York"), times(first), 75).tolist() == [first]
    assert zones.next_local(column("America/New_York"), times(first + 1), 75).tolist() == [second]
    assert second - first == 60 * MINUTE


def test_a_day_that_is_missing_is_passed_over():
    """Apia had no 2011-12-30: half past six that evening is half past six the day after."""
    zone = ZoneInfo("Pacific/Apia")
    at = micros(datetime(2011, 12, 29, 20, 0, tzinfo=zone))
    expected = micros(datetime(2011, 12, 31, 18, 30, tzinfo=zone))
    assert zones.next_local(column("Pacific/Apia"), times(at), 1110).tolist() == [expected]
