from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentic import zones
from agentic.errors import ConfigurationError, InvalidTimeError
from agentic.guardrails import QuietHours
from agentic.types import Action, instant, micros
from batches import NOW, allowed, batch, ids, missing, moments, space

MINUTE = 60_000_000
WORLD = space(
    Action("evening", send_at="18:30"),
    Action("later", delay=timedelta(hours=10)),
    Action("recall", message_class="mandatory"),
    Action("text"),
)
SIMPLE = space(Action("text"))
WINDOWS = [("21:00", "10:00"), ("09:00", "17:30"), ("00:00", "00:01"), ("02:15", "02:45"), ("02:30", "01:45")]

# Three days around each: clocks that differ by half or three quarters of an hour, that change by half an
# hour, at midnight, for Ramadan, by two hours, by a whole day; and an ordinary one over both its changes.
PLACES = [
    ("Asia/Kolkata", "2026-03-02"),
    ("Asia/Kathmandu", "2026-03-02"),
    ("Australia/Lord_Howe", "2026-04-04"),
    ("Australia/Lord_Howe", "2026-10-03"),
    ("America/Nuuk", "2024-03-30"),
    ("America/Nuuk", "2024-10-26"),
    ("Africa/Casablanca", "2026-02-15"),
    ("Africa/Casablanca", "2026-03-22"),
    ("Antarctica/Troll", "2026-03-29"),
    ("Antarctica/Troll", "2026-10-25"),
    ("Pacific/Kiritimati", "2026-03-02"),
    ("Pacific/Apia", "2011-12-30"),
    ("America/New_York", "2026-03-08"),
    ("America/New_York", "2026-11-01"),
]


def quiet(start, end, zone, at):
    """The rule, by the standard library, for one instant."""
    now = instant(at).astimezone(ZoneInfo(zone)).time().replace(tzinfo=None)
    begin, finish = (datetime.strptime(text, "%H:%M").time() for text in (start, end))  # noqa: DTZ007 - a time of day
    return begin <= now < finish if begin < finish else now >= begin or now < finish


@pytest.mark.parametrize(("zone", "day"), PLACES)
@pytest.mark.parametrize(("start", "end"), WINDOWS)
def test_every_minute_is_judged_by_the_wall_clock(start, end, zone, day):
    """Minute by minute, and a microsecond before, the rule says what the clock on the wall says."""
    noon = micros(datetime.fromisoformat(day).replace(tzinfo=UTC))
    at = np.arange(noon - 1440 * MINUTE, noon + 2880 * MINUTE, MINUTE)
    at = np.stack([at - 1, at], axis=1).ravel()
    rule = QuietHours(start, end).bind(SIMPLE)
    kept = allowed(rule, batch(SIMPLE, now=at, zone=zone))[:, SIMPLE.catalogue.column("text")]
    assert kept.tolist() == [not quiet(start, end, zone, t) for t in at.tolist()]


@pytest.mark.parametrize(("zone", "day"), PLACES)
@pytest.mark.parametrize(("start", "end"), WINDOWS)
def test_the_next_allowed_time_is_the_first(start, end, zone, day):
    """Around every change of the clocks it is allowed itself, and every minute before it is quiet."""
    rule = QuietHours(start, end)
    noon = micros(datetime.fromisoformat(day).replace(tzinfo=UTC))
    for at in range(noon - 1440 * MINUTE, noon + 1440 * MINUTE, 61 * MINUTE + 7_000_001):
        found = micros(rule.next_allowed_at(zone, instant(at)))
        assert found >= at
        assert not quiet(start, end, zone, found)
        assert found == at or (found % MINUTE == 0 and quiet(start, end, zone, found - 1))
        assert all(quiet(start, end, zone, t) for t in range(at, found, MINUTE))


@given(
    st.sampled_from(sorted({zone for zone, _ in PLACES})),
    moments(2000, 2037),
    st.integers(0, 1439),
    st.integers(1, 1439),
)
def test_there_always_is_a_next_allowed_time(zone, at, start, length):
    """Whatever the window, zone and time, an answer comes, it is allowed, and nothing before it is."""
    start, end = (f"{m // 60:02}:{m % 60:02}" for m in (start, (start + length) % 1440))
    found = QuietHours(start, end).next_allowed_at(zone, at)
    assert found.tzinfo is UTC
    assert not quiet(start, end, zone, micros(found))
    assert all(quiet(start, end, zone, t) for t in range(micros(at), micros(found), MINUTE))


@pytest.mark.parametrize("zone", ["../../etc/passwd", "", "Mars/Phobos", "\0"])
def test_the_next_allowed_time_needs_a_real_zone(zone):
    """A name that is no zone is an error of ours, whatever zoneinfo would have raised."""
    with pytest.raises(ConfigurationError, match="zone must be an IANA time zone"):
        QuietHours("21:00", "10:00").next_allowed_at(zone, datetime(2026, 3, 2, tzinfo=UTC))


@pytest.mark.parametrize(
    ("at", "zone"),
    [
        (datetime(2026, 3, 2), "UTC"),  # noqa: DTZ001 - that is the point
        (datetime(9999, 12, 31, 23, 0, tzinfo=UTC), "UTC"),
        (datetime(9999, 12, 31, 23, 0, tzinfo=UTC), "Asia/Tokyo"),
        (datetime(1, 1, 1, tzinfo=UTC), "America/New_York"),
    ],
)
def test_the_next_allowed_time_needs_a_usable_time(at, zone):
    """A naive time, and one without a day to spare in the calendar, are errors of ours."""
    with pytest.raises(InvalidTimeError, match="a time must"):
        QuietHours("21:00", "10:00").next_allowed_at(zone, at)


def test_the_window_is_half_open_and_may_wrap_midnight():
    """The start is quiet, the end is not."""
    rule = QuietHours("21:00", "10:00").bind(SIMPLE)
    midnight = NOW - NOW % (1440 * MINUTE)
    asked = {"20:59": 1259, "21:00": 1260, "23:59": 1439, "00:00": 0, "09:59": 599, "10:00": 600}
    now = [midnight + minute * MINUTE for minute in asked.values()]
    kept = allowed(rule, batch(SIMPLE, now=now))[:, 1]
    assert dict(zip(asked, kept.tolist(), strict=True)) == {
        "20:59": True,
        "21:00": False,
        "23:59": False,
        "00:00": False,
        "09:59": False,
        "10:00": True,
    }


def test_the_delivery_is_judged_and_not_the_decision():
    """At noon what arrives at once or this evening is allowed, what arrives ten hours later is not."""
    rule = QuietHours("21:00", "10:00").bind(WORLD)
    assert ids(rule, batch(WORLD)) == {"evening", "recall", "text"}
    assert ids(rule, batch(WORLD, now=NOW + 12 * 60 * MINUTE)) == {"evening", "later", "recall"}


def test_subjects_are_judged_where_they_live():
    """One instant is quiet for some rows and not for others."""
    rule = QuietHours("21:00", "10:00").bind(SIMPLE)
    where = ["UTC", "Asia/Tokyo", "America/Los_Angeles", "Europe/Paris"]
    assert allowed(rule, batch(SIMPLE, zone=where))[:, 1].tolist() == [True, False, False, True]


def test_an_unknown_zone_is_denied_as_unknown():
    """Where the subject lives nowhere we know, it may be quiet there: denied, mandatory messages excepted."""
    rule = QuietHours("21:00", "10:00").bind(WORLD)
    asked = batch(WORLD, zone=[None, "UTC"])
    assert ids(rule, asked, 0) == {"recall"}
    assert missing(rule, asked).sum(axis=1).tolist() == [3, 0]


def test_a_damaged_zone_number_is_an_unknown_zone():
    """A number no zone has denies its own row and nobody else's."""
    rule = QuietHours("21:00", "10:00").bind(SIMPLE)
    asked = batch(SIMPLE, zone=["UTC", "UTC"])
    asked.zone[0] = 12_345
    assert allowed(rule, asked)[:, 1].tolist() == [False, True]
    assert missing(rule, asked)[:, 1].tolist() == [True, False]


@pytest.mark.parametrize("window", [(60 * h, 60 * h + 60) for h in range(24)], ids=str)
def test_somewhere_it_is_always_quiet(window):
    """For any window of an hour there is a zone inside it at any instant: so unknown must mean no."""
    every = np.array([zones.number(name) for name in zones.names() if name.startswith("Etc/GMT")], np.int16)
    for minute in range(0, 1440, 7):
        shown = zones.local_minute(every, np.full(len(every), NOW + minute * MINUTE))
        assert ((shown >= window[0]) & (shown < window[1])).any()


def test_columns_that_arrive_together_are_converted_once(monkeypatch):
    """A catalogue without delays costs one conversion of the column of times, however many actions."""
    asked = []
    for name in ("local_minute", "shared_minute"):
        real = getattr(zones, name)

        def counted(zone, at, real=real, name=name):
            found = real(zone, at)
            if found is not None:
                asked.append(name)
            return found

        monkeypatch.setattr(zones, name, counted)
    many = space(*(Action(f"a{i:03}") for i in range(100)))
    QuietHours("21:00", "10:00").bind(many).review(batch(many))
    assert len(asked) == 1
    QuietHours("21:00", "10:00").bind(WORLD).review(batch(WORLD))
    assert len(asked) == 4


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("21:00", "21:00"),
        ("25:00", "10:00"),
        ("21:00", "10:00:30"),
        ("21:00", None),
        (21, 10),
        ("21:00+01:00", "10:00"),
    ],
)
def test_a_window_needs_two_times_of_day(start, end):
    """Equal, malformed and zoned times are errors when the rule is made."""
    with pytest.raises(ConfigurationError, match="must"):
        QuietHours(start, end)
