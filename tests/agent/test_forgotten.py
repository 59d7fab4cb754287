"""Forgetting while others work: what comes later, from elsewhere, or again brings nobody back."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agentic import Action, Agent, Verdict
from agentic._noise import text_key
from agentic.arrays import Block, Receipt
from agentic.conditions import F
from agentic.errors import DatabaseBusyError, UnknownDecisionError
from agentic.features import Number
from agentic.guardrails import Consent, FrequencyCap
from agentic.policies import LinearThompson, RandomFeatures
from agentic.provenance import DurableLog
from agentic.rewards import Goals
from agentic.testing import FakeClock

START = datetime(2026, 1, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
WHO, REQUEST, AGE = "canary-subject-é", "canary-request", 123.456789
ACTIONS = [Action("push", channel="push"), Action("sms", channel="sms")]


def opened(path: Path, clock: FakeClock, name: str = "shop", **other: Any) -> Agent:
    parts: dict[str, Any] = {
        "features": [Number("age", low=0, high=1000)],
        "policy": LinearThompson(),
        "guardrails": [Consent("marketing"), FrequencyCap(9, per=DAY)],
        "goals": Goals({"buy": 1.0}, window=DAY),
        "clock": clock,
        "durability": "process",
    } | other
    return Agent.open(path, name, ACTIONS, **parts)


def live(agent: Agent) -> dict[str, str]:
    ids = {}
    for name in ("anna", WHO, "ben"):
        agent.privacy.grant(name, "marketing", evidence=f"form of {name}")
        known = {"age": AGE if name == WHO else 30.0}
        ids[name] = agent.decide(name, known, request_id=REQUEST if name == WHO else None).id
        agent.record(ids[name], "buy")
    return ids


def traces(folder: Path) -> list[tuple[str, str]]:
    """Files in which there is the id, its hash, a value or the request, and which of them."""
    wanted = {
        "id": WHO.encode(),
        "key": struct.pack("<Q", text_key(WHO)),
        "request": REQUEST.encode(),
        "ticket": struct.pack("<Q", text_key(REQUEST) | 1 << 63)[:7],
        "value": struct.pack("<d", AGE),
    }
    held = [(path.name, path.read_bytes()) for path in folder.iterdir()]
    return [(name, what) for name, raw in held for what, trace in wanted.items() if trace in raw]


def test_learning_again_tells_what_was_forgotten_from_what_was_changed(tmp_path: Path) -> None:
    """A version that learned from somebody who was restricted or erased since is no sign of tampering."""
    clock = FakeClock(START)
    with opened(tmp_path / "agent.db", clock) as agent:
        live(agent)
        clock.advance(2 * DAY)
        agent.learn()
        agent.privacy.erase(WHO, "in-dpdp")
        again = agent.relearn()
        assert (again.same, again.lost, again.differ) == (1, 0, ())
        clock.advance(800 * DAY)
        agent.privacy.carry_out()
        again = agent.relearn()
        assert (again.same, again.lost, again.differ) == (0, 1, ())
        assert again.identical


def test_a_policy_that_keeps_lessons_keeps_nobodys_hash(tmp_path: Path) -> None:
    """Random features keep the first rewards until there are enough of them to fix the lens."""
    clock = FakeClock(START)
    with opened(tmp_path / "agent.db", clock, policy=RandomFeatures()) as agent:
        live(agent)
        clock.advance(2 * DAY)
        assert agent.learn().changed
        agent.privacy.erase(WHO)
        assert traces(tmp_path) == []


def test_who_is_held_is_erased_in_agents_that_met_them_later(tmp_path: Path) -> None:
    """Each agent has a surrogate of its own for a subject, also one that is made while the request waits."""
    clock = FakeClock(START)
    with opened(tmp_path / "agent.db", clock) as one, opened(tmp_path / "agent.db", clock, "two") as two:
        live(one)
        one.privacy.erase(WHO, "in-dpdp")
        two.decide(WHO, {"age": AGE}, request_id=REQUEST)
        clock.advance(800 * DAY)
        assert one.privacy.carry_out() == 1
        assert traces(tmp_path) == []


def test_a_child_that_is_held_is_erased_with_every_decision(tmp_path: Path) -> None:
    """Nothing is kept of a child, so each of its decisions has another surrogate."""
    clock = FakeClock(START)
    with opened(tmp_path / "agent.db", clock, protect=F("age") < 400) as agent:
        agent.decide(WHO, {"age": AGE})
        agent.privacy.erase(WHO, "in-dpdp")
        agent.decide(WHO, {"age": AGE}, request_id=REQUEST)
        clock.advance(800 * DAY)
        assert agent.privacy.carry_out() == 1
        assert traces(tmp_path) == []


def test_who_was_forgotten_asks_for_the_first_time(tmp_path: Path) -> None:
    """The same request id does not bring back an answer that was given with a consent that is gone."""
    clock, path = FakeClock(START), tmp_path / "agent.db"
    with opened(path, clock) as one, opened(path, clock) as other:
        first = live(one)[WHO]
        other.decide("ben")
        one.privacy.erase(WHO)
        again = one.decide(WHO, request_id=REQUEST)
        assert (again.subject, again.action.id) == (WHO, "no_action")
        assert again.id != first
        assert other.decide(WHO, request_id=REQUEST).id == again.id
        both = other.decide_many(["ben", WHO, WHO], request_ids=["new", REQUEST, REQUEST])
        assert both.ids[1:] == [again.id] * 2


def test_nothing_can_be_told_of_a_decision_that_was_erased(tmp_path: Path) -> None:
    """Also not by the id that it reads as now, which anybody can make up."""
    clock = FakeClock(START)
    with opened(tmp_path / "agent.db", clock) as agent:
        decision_id = live(agent)[WHO]
        agent.privacy.erase(WHO)
        records = len(agent.log)
        for made_up in (decision_id, "0" * 16 + decision_id[16:]):
            with pytest.raises(UnknownDecisionError):
                agent.record(made_up, "buy", event_id="later")
        assert len(agent.log) == records


def test_a_stranger_who_was_restricted_once_is_learned_from(tmp_path: Path) -> None:
    """As by an agent that opens the file afterwards, and never knew."""
    clock, path = FakeClock(START), tmp_path / "agent.db"
    with opened(path, clock, guardrails=[]) as agent:
        agent.decide(WHO)
        agent.privacy.erase(WHO, "in-dpdp")
        clock.advance(800 * DAY)
        agent.learn()
        agent.privacy.carry_out()
        agent.decide(WHO)
        clock.advance(2 * DAY)
        assert agent.learn().used == 1


def _held_up(_: object) -> None:
    raise DatabaseBusyError("somebody reads")


def test_an_erasure_that_a_crash_left_in_the_write_ahead_log_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was committed but not scrubbed is scrubbed when the file is opened again."""
    from agentic._database import Database

    clock, path, crashed = FakeClock(START), tmp_path / "one" / "agent.db", tmp_path / "two"
    path.parent.mkdir()
    with opened(path, clock) as agent:
        live(agent)
        with monkeypatch.context() as patch, pytest.raises(DatabaseBusyError):
            patch.setattr(Database, "scrub", _held_up)
            agent.privacy.erase(WHO)
        assert traces(path.parent)
        shutil.copytree(path.parent, crashed)  # as a killed process leaves it
    with opened(crashed / path.name, clock) as agent:
        assert traces(crashed) == []
        assert agent.privacy.reapply() == 0


def test_whom_a_decision_in_a_file_was_about_cannot_be_swapped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Replayed alone, a decision must have the key of the subject that it names."""
    with opened(tmp_path / "agent.db", FakeClock(START)) as agent:
        decision_id = live(agent)[WHO]
        assert agent.replay(decision_id).identical
        read = DurableLog.read

        def swapped(log: DurableLog, after: int = 0, /) -> Iterator[tuple[Receipt, Block]]:
            for receipt, block in read(log, after):
                columns = dict(block.columns)
                if block.kind == "decision":
                    columns["subject"] = np.array(["anna"] * len(block), dtype=object)
                yield receipt, Block(block.kind, columns, block.meta)

        monkeypatch.setattr(DurableLog, "read", swapped)
        assert set(agent.replay(decision_id).verdicts) == {Verdict.RECORD_TAMPERED}


def test_an_old_backup_brings_nobody_back_to_another_agent_of_the_file(tmp_path: Path) -> None:
    """Also where the agent that was asked to erase does not open the file."""
    clock, path, backup = FakeClock(START), tmp_path / "one" / "agent.db", tmp_path / "backup"
    path.parent.mkdir()
    for name in ("shop", "other"):
        with opened(path, clock, name) as agent:
            live(agent)
    shutil.copy(path, backup)
    with opened(path, clock) as agent:
        agent.privacy.erase(WHO)
    shutil.copy(backup, path)
    with opened(path, clock, "other") as agent:
        assert traces(path.parent) == []
        assert set(agent.decide(WHO).reasons) == {"NO_CONSENT_UNKNOWN"}
        assert agent.decide("anna").reasons == {}
        assert agent.privacy.reapply() == 0
