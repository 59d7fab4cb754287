"""Does an agent know exactly what its log says? The log is told to the model, and both are compared."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from agentic import Agent
from agentic._codec import fingerprint
from agentic._learning import lessons_of
from agentic._plan import bind
from torture.model import GRANTED, NEVER, WITHDRAWN, Model
from torture.scene import ACTIONS, CAP, NAME, PER, TERMINAL, WEIGHTS, WINDOW

US = 1_000_000


def model(name: str = NAME, *, budget: float | None = None) -> Model:
    ordered = sorted(
        [(a.id, a.channel, math.ceil(round(a.cost * US, 6))) for a in ACTIONS] + [("no_action", None, 0)]
    )
    goals = ["exposed", *sorted(WEIGHTS)]
    return Model(
        name,
        (
            [channel for _, channel, _ in ordered],
            [price for _, _, price in ordered],
            [action for action, _, _ in ordered].index("no_action"),
        ),
        (
            [WEIGHTS.get(goal, 0.0) for goal in goals],
            {goals.index(goal) for goal in TERMINAL},
            int(WINDOW.total_seconds() * US),
        ),
        (CAP, int(PER.total_seconds() * US)),
        None if budget is None else int(budget * US),
    )


def tell(told: Model, log: Any) -> Model:
    """Have the model hear what is new in the log."""
    for receipt, block in log.read(told.end):
        skip = max(0, told.end - receipt.first)
        if skip < receipt.count:
            columns = {name: column[skip:].tolist() for name, column in block.columns.items()}
            told.hear(receipt.first + skip, block.kind, block.meta, columns)
    return told


def check(agent: Agent, told: Model) -> None:
    """The log holds together, and the agent's records, windows and policy are what the log says."""
    assert told.breaches == [], told.breaches[:5]
    assert told.end == len(agent.log)
    subjects = sorted({*told.surrogate})
    assert sorted(agent.store.subjects()) == subjects
    if not subjects:
        return
    records = agent.store.load(subjects, agent.plan.layout).rows
    expected = {
        "frequency_cap.sent": [told.rings.get(one, [NEVER] * told.cap) for one in subjects],
        "agentic.decisions": [told.decided[one] for one in subjects],
        "agentic.surrogate": [told.surrogate[one] for one in subjects],
        "suppression.until": [told.until.get(one, NEVER) for one in subjects],
        "consent.marketing": [told.consent[one][None] for one in subjects],
        **{
            f"consent.marketing:{channel}": [told.consent[one][channel] for one in subjects]
            for channel in told.channels
            if channel is not None
        },
    }
    for name, column in expected.items():
        want = np.array(column, dtype=records[name].dtype).reshape(records[name].shape)
        wrong = np.flatnonzero((records[name] != want).reshape(len(subjects), -1).any(axis=1))
        assert not len(wrong), (
            f"{name} of {subjects[wrong[0]]}: {records[name][wrong[0]]}, not {want[wrong[0]]}"
        )
    assert {*np.unique(records["consent.marketing"])} <= {0, GRANTED, WITHDRAWN}
    assert agent.pending == len(told.windows)
    assert agent.policy_version == told.versions[-1][0]
    if told.amount is not None:
        left = agent.budgets["budget"]
        assert 0 <= left * US <= told.amount - told.spent


def settled(agent: Agent, told: Model) -> Model:
    """Check at one moment, whoever else is writing."""
    with agent._books.writing():  # this agent has heard what the others did, and they do nothing now
        check(agent, tell(told, agent.log))
    return told


def learned(agent: Agent) -> Iterator[tuple[str, str]]:
    """Versions as the log has them, each with the version that the lessons between them lead to."""
    policy, done, closed = bind(agent.policy, agent.plan.space), 0, []
    policy, name = None, agent.name
    for receipt, block in agent.log.read():
        if block.meta.get("agent") != name:
            continue
        if block.kind == "reward":
            columns = (block.columns[column] for column in ("decision", "slot", "reward"))
            closed += [(receipt.first + i, *row) for i, row in enumerate(zip(*columns, strict=True))]
        elif block.kind == "policy":
            version, cause, end = block.meta["policy"], block.meta["cause"], int(block.columns["learned"][-1])
            if cause == "learned" and policy is not None:
                lesson = sorted(row[1:] for row in closed if done <= row[0] < end)
                where = (np.array(column) for column in zip(*lesson, strict=True))
                for part in lessons_of(name, agent.plan, agent.schema, agent.log, *where):
                    policy = policy.learn(part.feedback)
                yield version, fingerprint(policy)
            policy, done = agent._versions.get(version), end
