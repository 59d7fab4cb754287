"""Plans of erasure: what goes now, what is held, until when and why."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import attrs

from agentic.privacy import Keeping, Period, Regime, plan_erasure

NOW = datetime(2024, 2, 29, 12, tzinfo=UTC)
ALL: Any = ("record", "decisions", "outcomes", "facts")


def test_in_europe_all_goes_at_once() -> None:
    """Nothing is restricted, nothing held, and there is a deadline."""
    plan = plan_erasure(Regime.load("eu-gdpr"), dict.fromkeys(ALL, NOW), NOW)
    assert (plan.erased_now, plan.restricted_now, plan.held_until, plan.due) == (ALL, (), (), None)
    assert plan.deadline == NOW + timedelta(days=28)
    assert "Article 17" in plan.basis


def test_in_india_all_is_restricted_now_and_erased_in_a_year() -> None:
    """A year by the calendar: from 29 February until March begins."""
    plan = plan_erasure(Regime.load("in-dpdp"), dict.fromkeys(ALL, NOW), NOW)
    assert (plan.erased_now, plan.restricted_now) == ((), ALL)
    assert {hold.data for hold in plan.held_until} == set(ALL)
    assert plan.due == datetime(2025, 3, 1, tzinfo=UTC)
    assert all("Rule 8(3)" in hold.basis for hold in plan.held_until)


def test_what_is_old_enough_is_not_held() -> None:
    """The floor is counted from when something was written, and ends at its end."""
    regime, year = Regime.load("in-dpdp"), timedelta(days=365)
    written = NOW - timedelta(days=366)
    assert plan_erasure(regime, dict.fromkeys(ALL, written), NOW - timedelta(days=1)).erased_now == ALL
    assert plan_erasure(regime, dict.fromkeys(ALL, NOW), NOW + year).restricted_now == ALL
    assert plan_erasure(regime, dict.fromkeys(ALL, NOW), datetime(2025, 3, 1, tzinfo=UTC)).erased_now == ALL


def test_what_belongs_together_is_held_together() -> None:
    """The longest floor of one class holds the others, which say whose it is."""
    regime = attrs.evolve(
        Regime.load("eu-gdpr"), keeping=(Keeping("facts", "proof of consent", at_least=Period(days=10)),)
    )
    plan = plan_erasure(regime, dict.fromkeys(ALL, NOW), NOW)
    assert plan.restricted_now == ALL
    assert {(hold.until, hold.basis) for hold in plan.held_until} == {
        (NOW + timedelta(days=10), "proof of consent")
    }
    assert plan_erasure(regime, {"record": NOW}, NOW).erased_now == ("record",)


def test_nothing_held_is_nothing_to_do() -> None:
    """And the plan says so."""
    plan = plan_erasure(Regime.load("in-dpdp"), {}, NOW)
    assert (plan.erased_now, plan.restricted_now, plan.due) == ((), (), None)
    assert "nothing is held" in str(plan)


def test_a_plan_says_what_cannot_be_done_or_proved() -> None:
    """Pooled models, backups, proof; a regime that says nothing about erasing can be followed."""
    regime = attrs.evolve(Regime.load("in-trai"))
    plan = plan_erasure(regime, {"record": NOW}, NOW)
    said = str(plan)
    assert plan.erased_now == ("record",)
    assert plan.deadline is None
    for word in ("Models that all subjects share", "Backups", "cannot be proved", "erased now: record"):
        assert word in said
    assert "held until 2025-03-01 00:00 UTC: record" in str(
        plan_erasure(Regime.load("in-dpdp"), {"record": NOW}, NOW)
    )
