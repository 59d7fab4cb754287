"""Personal data on a file: only where it can be erased, and then nowhere."""

from __future__ import annotations

import struct
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agentic import Agent
from agentic._noise import text_key
from agentic._telling import surrogates_of
from agentic.features import Category, Number
from agentic.guardrails import Consent, FrequencyCap
from agentic.policies import LinearThompson, Personal, RandomFeatures
from agentic.rewards import Goals
from agents import ACTIONS, DAY, NOON, names
from canaries import CANARIES, EVIDENCE, REQUEST, SUBJECT, VALUE, outside, scan

AGE = 12_345.678_901
"""A value that nobody else has; as it lies on the disk it is eight bytes."""


def reopen(path: Path, policy: Any) -> Agent:
    return Agent.open(
        path,
        "shop",
        ACTIONS,
        features=[Number("age", low=0, high=1e6), Category("need", ["food", VALUE])],
        policy=policy,
        guardrails=[Consent("marketing"), FrequencyCap(2, per=7 * DAY)],
        goals=Goals({"purchase": 1.0}, window=3 * DAY),
        clock=lambda: NOON,
        durability="process",
    )


def lived(path: Path, policy: Any) -> Agent:
    """Somebody agreed, was decided for, bought, and was learned from; so were others."""
    agent = reopen(path, policy)
    agent.privacy.grant(SUBJECT, "marketing", evidence=EVIDENCE, method=EVIDENCE)
    for name in names(20):
        agent.privacy.grant(name, "marketing")
        agent.decide(name, {"age": 30.0, "need": "food"}, now=NOON)
    decision = agent.decide(SUBJECT, {"age": AGE, "need": VALUE}, request_id=REQUEST, now=NOON)
    agent.record(decision.id, "purchase", 77.25, at=NOON, event_id=REQUEST)
    agent.learn(now=NOON + 4 * DAY)
    agent.decide(SUBJECT, {"age": AGE, "need": VALUE}, now=NOON + 5 * DAY)
    return agent


POLICIES = {
    "linear": LinearThompson(),
    "personal": Personal(),
    "still_waiting": RandomFeatures(),
}


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
def test_the_immutable_part_names_nobody(tmp_path: Path, policy: Any) -> None:
    """Ids, values, evidence, requests: none is in a table that outlives erasure."""
    path = tmp_path / "shop.db"
    agent = lived(path, policy)
    agent.log.seal()  # type: ignore[attr-defined]
    agent.close()
    found = scan(path)
    assert SUBJECT in found
    assert EVIDENCE in found
    assert not outside(found)


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
def test_whoever_is_erased_is_nowhere_in_the_file(tmp_path: Path, policy: Any) -> None:
    """Neither as text nor as a number nor as a hash that could be computed again; proofs still hold."""
    path = tmp_path / "shop.db"
    agent = lived(path, policy)
    raw = {
        "key": struct.pack("<Q", text_key(SUBJECT)),
        "age": struct.pack("<d", AGE),
        "surrogate": surrogates_of(agent._chair.desk, [SUBJECT]).tobytes(),
    }
    agent.privacy.erase(SUBJECT, "eu-gdpr")
    assert agent.log.verify().ok  # type: ignore[attr-defined]
    agent.learn(now=NOON + 9 * DAY)
    agent.close()
    agent = reopen(path, policy)
    agent.decide("customer-3", {"age": 30.0}, now=NOON + timedelta(days=20))
    agent.close()
    assert not scan(path, CANARIES)
    held = {name: path.read_bytes().count(needle) for name, needle in raw.items()}
    assert held["key"] == held["age"] == 0
    assert held["surrogate"] > 0  # it stands for nobody any more
