"""The words that are stored or sent: what an action may be, and times to the microsecond."""

import math
from datetime import UTC, datetime, time, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agentic.conditions import F
from agentic.errors import CatalogueError, ConfigurationError, InvalidTimeError
from agentic.types import NO_ACTION, Action, Choice, Cost, Decision, clock_time, instant, micros, span

# With a summer time of half an hour, a day left out of the calendar, and offsets in seconds long ago.
ZONES = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kathmandu", "UTC"]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

aware = st.datetimes(
    min_value=datetime(2, 1, 1),  # noqa: DTZ001 - the strategy adds the zone
    max_value=datetime(9998, 12, 31),  # noqa: DTZ001
    timezones=st.sampled_from(ZONES).map(ZoneInfo),
    allow_imaginary=True,
)


@given(aware)
@example(datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin")))
@example(datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin")))
@example(datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))))
@example(datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=timezone(-timedelta(hours=12))))
def test_micros_count_from_1970_exactly(at):
    """Any aware time is a whole number of microseconds after the epoch, on either side of a clock change."""
    offset = at.utcoffset()
    wall = at.replace(tzinfo=None) - EPOCH.replace(tzinfo=None)
    assert timedelta(microseconds=micros(at)) == wall - offset


@given(aware)
def test_an_instant_comes_back(at):
    """The way to microseconds and back is the same moment, in UTC."""
    back = instant(micros(at))
    assert back == at.astimezone(UTC)
    assert back.utcoffset() == timedelta(0)


@given(st.integers(micros(datetime(1, 1, 1, tzinfo=UTC)), micros(datetime.max.replace(tzinfo=UTC))))
def test_microseconds_come_back(at_us):
    """The way to a datetime and back loses nothing, over all years there are."""
    assert micros(instant(at_us)) == at_us


def test_the_hour_that_comes_twice_is_two_hours():
    """The first and the second half past two of an autumn night are an hour apart."""
    first = datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"))
    assert micros(first.replace(fold=1)) - micros(first) == 3_600_000_000


class Nowhere(tzinfo):
    def utcoffset(self, _):
        return None


@pytest.mark.parametrize(
    "value",
    [
        datetime(2026, 1, 1),  # noqa: DTZ001 - that is the mistake
        datetime(2026, 1, 1, tzinfo=Nowhere()),
        EPOCH.date(),
        0,
        "2026-01-01T00:00:00Z",
        None,
    ],
    ids=["naive", "nowhere", "date", "number", "text", "none"],
)
def test_a_time_without_zone_is_refused(value):
    """Naive datetimes, dates, numbers and texts are no moments."""
    with pytest.raises(InvalidTimeError, match="datetime with a zone") as caught:
        micros(value)
    assert caught.value.facts["value"] is value


@pytest.mark.parametrize("at_us", [10**18, -(10**17), 10**30])
def test_an_instant_beyond_the_calendar_is_refused(at_us):
    """A count in the wrong unit says so instead of overflowing."""
    with pytest.raises(InvalidTimeError, match="years 1 to 9999"):
        instant(at_us)


@pytest.mark.parametrize("value", [timedelta(0), timedelta(days=-1), 7, "7d", None], ids=str)
def test_a_span_is_a_positive_timedelta(value):
    """A duration argument that is not one is refused by the name of the argument."""
    with pytest.raises(ConfigurationError, match="per must be a positive timedelta"):
        span(value, "per")


@given(st.timedeltas(min_value=timedelta(microseconds=1), max_value=timedelta(days=36_525)))
def test_a_span_is_exact(length):
    """A duration is a whole number of microseconds."""
    assert timedelta(microseconds=span(length, "per")) == length


@given(st.integers(0, 1439))
def test_a_clock_time_is_minutes_since_midnight(minute):
    """Every minute of the day can be written and read."""
    assert clock_time(f"{minute // 60:02}:{minute % 60:02}", "start") == minute


@pytest.mark.parametrize(
    "value", ["25:00", "9 pm", "", "21:00:30", "21:00:00.5", "21:00Z", 21, None, time(21)], ids=str
)
def test_a_clock_time_has_hours_and_minutes(value):
    """Seconds, zones, words and numbers are refused."""
    with pytest.raises(ConfigurationError, match="start must be a time of day like '21:00'"):
        clock_time(value, "start")


BAD = {
    "id": ["", " \n", "a\tb", "x" * 201, "\ud800", 5, None, b"a"],
    "channel": ["", 5, ("sms",)],
    "message_class": ["", "Marketing", "two words", "1st", "x" * 41, None, 5],
    "cost": [-0.01, math.nan, math.inf, 1e9, True, "0.1", None],
    "value": [-1, math.nan, math.inf, 1e9, True, "1"],
    "eligible": [True, "age > 18", lambda row: True],
    "delay": [timedelta(microseconds=-1), timedelta(days=367), 60, None],
    "send_at": ["25:00", "noon", 9, "18:30:15"],
    "dimensions": [None, ["message"], {"message": 1}, {1: "message"}, "message"],
}


@pytest.mark.parametrize(
    ("field", "value"),
    [pytest.param(field, value, id=f"{field}{i}") for field in BAD for i, value in enumerate(BAD[field])],
)
def test_an_action_refuses_what_it_cannot_be(field, value):
    """Every field is checked where the action is written, with the value in the message and on the error."""
    with pytest.raises(CatalogueError) as caught:
        Action(**{"id": "a", field: value})
    assert caught.value.facts["value"] is value or caught.value.facts["value"] == value
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    "given_",
    [
        {"id": "x" * 200},
        {"id": "späte Erinnerung / 20 %"},
        {"cost": 0, "value": 999_999_999.99},
        {"cost": 0.1, "channel": "sms"},
        {"delay": timedelta(days=366), "send_at": "00:00"},
        {"eligible": (F("age") >= 18) & F("country").is_in(["IN"])},
        {"dimensions": {"message": "reminder", "time": "evening"}},
    ],
    ids=lambda given_: next(iter(given_)) + str(len(str(given_))),
)
def test_an_action_may_be_anything_else(given_):
    """Values at the edge of what is allowed are kept as they are."""
    action = Action(**{"id": "a", **given_})
    for field, value in given_.items():
        assert getattr(action, field) == value


def test_actions_are_values():
    """Equal content is the same action, and what goes in cannot be changed from outside."""
    levels = {"message": "m"}
    one, other = Action("a", dimensions=levels), Action("a", dimensions={"message": "m"})
    levels["message"] = "changed"
    assert one == other
    assert hash(one) == hash(other)
    assert one != attrs.evolve(one, cost=1.0)
    with pytest.raises(TypeError):
        one.dimensions["message"] = "changed"
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        one.cost = 2.0
    with pytest.raises(TypeError):
        Action("a", "sms")


def test_doing_nothing_is_free():
    """NO_ACTION has no channel, no price and no condition."""
    assert Action("no_action") == NO_ACTION
    assert (NO_ACTION.channel, NO_ACTION.cost, NO_ACTION.eligible) == (None, 0.0, None)


def test_a_decision_shows_its_first_slot():
    """The shortcuts of a decision are those of its first choice."""
    choices = tuple(
        Choice(Action(name), chance, name == "b", 0.1, 0.2) for name, chance in (("a", 0.25), ("b", 1.0))
    )
    decision = Decision(
        id="0" * 32,
        subject="customer-42",
        agent="win-back",
        at=EPOCH,
        choices=choices,
        arm="policy",
        policy_version="0" * 16,
        reasons={},
        degraded=(),
        cost=Cost(0.0, 10.0, 3),
    )
    assert (decision.action, decision.probability, decision.explored) == (Action("a"), 0.25, False)
