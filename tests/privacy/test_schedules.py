"""Retention: who must be told, who must go, and what starts the time again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from agentic.arrays import Block, Receipt
from agentic.errors import ConfigurationError
from agentic.privacy import NEVER, Activity, Period, Regime, Schedule, touched
from agentic.types import micros

HOUR = timedelta(hours=1)
LAST = datetime(2024, 2, 29, 12, tzinfo=UTC)  # over a leap day
END = datetime(2027, 3, 1, tzinfo=UTC)
SCHEDULE = Schedule.of(Regime.load("in-dpdp"))


def last(*times: datetime) -> np.ndarray:
    return np.array([micros(time) for time in times], dtype=np.int64)


def test_notice_is_due_two_days_before_the_end_of_three_years() -> None:
    """To the microsecond."""
    tick = timedelta(microseconds=1)
    assert not SCHEDULE.due_for_notice(last(LAST), END - 48 * HOUR - tick)[0]
    assert SCHEDULE.due_for_notice(last(LAST), END - 48 * HOUR)[0]
    assert not SCHEDULE.due_for_erasure(last(LAST), END - tick)[0]
    assert SCHEDULE.due_for_erasure(last(LAST), END)[0]


def test_activity_in_the_last_hour_cancels() -> None:
    """The time starts again, and the notice that was given counts no more."""
    told = last(END - 48 * HOUR)
    assert SCHEDULE.due_for_erasure(last(LAST), END, told)[0]
    active = last(END - HOUR)
    assert not SCHEDULE.due_for_erasure(active, END, told)[0]
    later = Period(years=3).after(END - HOUR)
    assert SCHEDULE.due_for_notice(active, later - 48 * HOUR, told)[0]
    assert not SCHEDULE.due_for_erasure(active, later, told)[0]


def test_nobody_goes_who_was_not_told_in_time() -> None:
    """A job that did not run for a week must tell first, and wait."""
    late = END + timedelta(days=7)
    nobody = np.array([NEVER])
    assert SCHEDULE.due_for_notice(last(LAST), late, nobody)[0]
    assert not SCHEDULE.due_for_erasure(last(LAST), late, nobody)[0]
    told = last(late)
    assert not SCHEDULE.due_for_notice(last(LAST), late, told)[0]
    assert not SCHEDULE.due_for_erasure(last(LAST), late + 47 * HOUR, told)[0]
    assert SCHEDULE.due_for_erasure(last(LAST), late + 48 * HOUR, told)[0]


def test_a_schedule_without_notice_needs_none() -> None:
    """Periods of your own."""
    schedule = Schedule(Period(days=30))
    assert schedule.due_for_erasure(last(LAST), LAST + timedelta(days=30), np.array([NEVER]))[0]
    with pytest.raises(ConfigurationError, match="says nothing about subjects who stay away"):
        Schedule.of(Regime.load("eu-gdpr"))
    early = datetime(3, 1, 1, tzinfo=UTC)
    assert not Schedule(Period(years=50)).due_for_erasure(last(early), early)[0]


def block(kind: str, at: list[int], agent: str = "shop", **columns: object) -> Block:
    parts = {"at": np.array(at)} | {name: np.array(column) for name, column in columns.items()}
    if "subject" in parts:
        parts["subject"] = parts["subject"].astype(object)
    return Block(kind, parts, {"agent": agent, "fact": "consent_granted"})


def numbered(*blocks: Block) -> list[tuple[Receipt, Block]]:
    first, out = 0, []
    for one in blocks:
        out.append((Receipt(first, len(one)), one))
        first += len(one)
    return out


def keys(*names: str) -> list[int]:
    from agentic._noise import text_keys

    return text_keys(list(names)).tolist()


def test_activity_is_what_subjects_do() -> None:
    """Outcomes and consents count; decisions only where there is nothing else, and then the first."""
    log = numbered(
        block("decision", [10, 20], subject=["a", "b"], key=keys("a", "b")),
        block("decision", [500, 500], "other", subject=["a", "b"], key=keys("a", "b")),
        block("decision", [30, 40], subject=["a", "c"], key=keys("a", "c")),
        block("fact", [25], subject=["b"]),
        block("outcome", [90, 95], decision=[4, 2]),  # of a, and of the other agent
        block("fact", [99], "other", subject=["c"]),
        block("notice", [77], subject=["c"]),
        block("notice", [78], subject=["gone"]),
    )
    seen = Activity.of(log, "shop")
    found = dict(zip(seen.subjects.tolist(), seen.last.tolist(), strict=True))
    assert found == {"a": 90, "b": 25, "c": 40}
    told = dict(zip(seen.subjects.tolist(), seen.told.tolist(), strict=True))
    assert told == {"a": NEVER, "b": NEVER, "c": 77}


def test_what_is_erased_has_no_activity() -> None:
    """Its name is empty, and its key zero."""
    log = numbered(block("decision", [10, 20], subject=["", "b"], key=[0, *keys("b")]))
    assert Activity.of(log, "shop").subjects.tolist() == ["b"]
    assert len(Activity.of([], "shop").keys) == 0


def test_who_was_touched_is_the_exact_set() -> None:
    """From one time until before another, of this agent, whoever is not erased."""
    log = numbered(
        block("decision", [10, 20, 30], subject=["a", "b", ""], key=[1, 2, 0]),
        block("decision", [25], "other", subject=["z"], key=[9]),
        block("fact", [25], subject=["y"]),
        block("decision", [29, 30], subject=["c", "d"], key=[3, 4]),
    )
    assert touched(log, "shop", 20, 30) == ["b", "c"]
    assert touched(log, "shop", 0, 10) == []
    assert touched(log, "shop", 30, 31) == ["d"]
