"""Forgetting while others work: what comes later, from elsewhere or again brings nobody back."""

from __future__ import annotations

import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from agentic import Action, Agent
from agentic._noise import text_key
from agentic.features import Number
from agentic.guardrails import Consent, FrequencyCap
from agentic.policies import LinearThompson
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
