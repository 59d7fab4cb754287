"""All that a file holds, as an application would come to know it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from agentic import Agent, ConsentGranted
from agentic.errors import DamagedError
from agentic.provenance import DurableLog
from agentic.state import DurableStore
from agentic.types import ConsentWithdrawn, Suppressed
from torture.scene import DAY, NOON, opened

SUBJECTS = [f"customer-{number}" for number in range(12)]
NOW = NOON + 8 * DAY


def filled(path: Path) -> Agent:
    """An agent that has lived on this file: with facts, lessons, pages and a journal, and a tree."""
    agent = opened(path, clock=lambda: NOW)
    context = {"x": [number / 12 for number in range(12)], "tier": ["free", "gold"] * 6}
    agent.tell_many(SUBJECTS[:10], ConsentGranted("marketing"), now=NOON)
    agent.tell(SUBJECTS[1], ConsentWithdrawn("marketing", "sms"), now=NOON)
    first = agent.decide_many(SUBJECTS, context, now=NOON)
    agent.record_many(first.ids[:5], "purchase", at=NOON + DAY)
    agent.learn(now=NOON + 4 * DAY)
    store, log = agent.store, agent.log
    assert isinstance(store, DurableStore)
    assert isinstance(log, DurableLog)
    store.compact()
    agent.tell(SUBJECTS[2], Suppressed(NOON + 30 * DAY), now=NOON + 5 * DAY)
    second = agent.decide_many(SUBJECTS, context, now=NOON + 5 * DAY, request_ids=list("abcdefghijkl"))
    agent.record(second.ids[0], "unsubscribe", at=NOON + 5 * DAY)
    log.seal()
    agent.decide(SUBJECTS[3], now=NOON + 6 * DAY)
    return agent


def records(log: Any) -> list[bytes]:
    """A digest of each record with all its columns, in the order of the log."""
    found = []
    for receipt, block in log.read():
        meta = repr(sorted(block.meta.items()))
        for row in range(receipt.count):
            told = [
                (name, column.dtype.str, column[row : row + 1].tolist())
                for name, column in block.columns.items()
            ]
            said = repr((receipt.first + row, block.kind, meta, told))
            found.append(hashlib.sha256(said.encode("utf-8", "surrogatepass")).digest())
    return found


def content(path: Path) -> dict[str, Any]:
    """Open the file, read everything, decide everything again, and learn once more."""
    with opened(path, clock=lambda: NOW) as agent:
        log: Any = agent.log
        subjects = agent.store.subjects()
        rows = agent.store.load(sorted(subjects), agent.plan.layout).rows
        verified = log.verify()
        if verified.problem is not None:
            raise DamagedError(verified.problem)
        replayed = agent.replay()
        if replayed.missing:
            raise DamagedError("a policy that decided is gone, says replay")
        told = {
            "log": records(log),
            "subjects": sorted(subjects),
            "records": rows.tobytes(),
            "policy": agent.policy_version,
            "pending": agent.pending,
            "budgets": agent.budgets,
            "replay": replayed.identical,
            "tree": (log.size, log.root(), verified.records),
        }
        learned = agent.learn(now=NOON + 20 * DAY)
        told["learned"] = (learned.closed, learned.policy_version)
        again = agent.decide(SUBJECTS[0], request_id="a")
        told["request"] = again.id
        told["next"] = np.asarray(agent.decide_many(SUBJECTS, now=NOON + 40 * DAY).probability).tobytes()
    return told
