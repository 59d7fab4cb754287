"""What tests of the commands share: an application with a factory, and a file that it left behind."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from agentic import Action, Agent, ConsentGranted
from agentic.features import Number
from agentic.guardrails import Consent, FrequencyCap
from agentic.policies import BetaThompson, Fixed
from agentic.provenance import HmacKey
from agentic.rewards import Goals

KEY = HmacKey("shop.example/a", bytes(range(16)))
START = datetime(2026, 11, 1, 12, tzinfo=UTC)
_PARTS: dict[str, Any] = {
    "features": [Number("age", low=0, high=120)],
    "guardrails": [Consent("marketing"), FrequencyCap(1, per=timedelta(days=7))],
    "goals": Goals({"purchase": 1.0}, window=timedelta(hours=72)),
    "clock": lambda: START + timedelta(days=10),
}
_ACTIONS = [Action("sms", channel="sms", cost=0.12), Action("push", channel="push")]


def make(path: str | None = None) -> Agent:
    """The application's agent: on a file, or in memory."""
    if path is None:
        return Agent("shop", _ACTIONS, policy=BetaThompson(), **_PARTS)
    return Agent.open(path, "shop", _ACTIONS, policy=BetaThompson(), **_PARTS)


def other(path: str) -> Agent:
    """An application that was changed since: other actions."""
    return Agent.open(path, "shop", [Action("sms", cost=0.5)], policy=Fixed("sms"), **_PARTS)


def plain(path: str) -> Agent:
    """An agent without goals."""
    return Agent.open(path, "plain", _ACTIONS, policy=BetaThompson())


def nothing() -> str:
    """No agent."""
    return "nothing"


def broken(path: str) -> Agent:
    """An application that does not start."""
    raise RuntimeError(f"no {path}")


NUMBER = 7


def filled(path: Path, n: int = 40) -> list[str]:
    """Leave a file behind with something of everything, as a killed process does; return decision ids."""
    agent: Any = make(str(path))  # Any: it is not closed as it ought to be
    with closing(agent.log.database):
        names = [f"anna-{i}" for i in range(n)]
        ages = {"age": [float(i % 90) for i in range(n)]}
        agent.tell_many(names, ConsentGranted("marketing"), now=START)
        ids = agent.decide_many(names, ages, now=START).ids
        agent.record_many(ids[: n // 2], "purchase", at=START + timedelta(hours=1))
        agent.learn(now=START + timedelta(days=4))
        agent.checkpoint(KEY)
        agent.store.compact()
        ids += agent.decide_many(names, ages, now=START + timedelta(days=8)).ids
    return ids


def rows(path: Path, table: str) -> Iterator[tuple[list[str], tuple[Any, ...]]]:
    """Names of columns, and the values of each row."""
    with closing(sqlite3.connect(path)) as connection:
        cursor = connection.execute(f"SELECT * FROM {table}")
        names = [each[0] for each in cursor.description]
        yield from ((names, row) for row in cursor.fetchall())
