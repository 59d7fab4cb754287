"""How rewards find the decisions they belong to: the join of closed windows with the log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray

from agentic._flow import BY_HAND, HOLDOUT, PROTECTED, RESTRICTED, Plan
from agentic._records import catalogue_of
from agentic.arrays import F64, I64, U64, Block, Feedback, Records
from agentic.errors import masked
from agentic.features import Schema
from agentic.protocols import ProvenanceLog

_AT_ONCE: Final = 1 << 16

_Parts = dict[str, NDArray[Any]]


@attrs.frozen(eq=False)
class Lesson:
    """Feedback with what the agent needs to keep its books.

    Attributes:
        feedback: What the policy learns from.
        subjects: Whom the rows of ``feedback.rows`` would be about, g distinct ids; none unless asked for.
        done: How many of the closed rewards this lesson and those before it have used up.
    """

    feedback: Feedback
    subjects: list[str] = attrs.field(repr=masked)
    done: int


def lessons_of(
    agent: str,
    plan: Plan,
    schema: Schema,
    log: ProvenanceLog,
    position: I64,
    slot: I64,
    reward: F64,
    /,
    *,
    named: bool = False,
    without: U64 | None = None,
) -> Iterator[Lesson]:
    """Join rewards with what was logged of their decisions, without whom nobody may learn from.

    These are the holdout, protected and restricted subjects, and those who were erased. Columns of actions
    are those of the agent, whatever actions there were then; left out is what was decided in favour of an
    action that is gone, or by features that were declared otherwise: what was logged of them means nothing
    to the agent any more.

    Feedback comes in the order of the log, 65,536 choices at a time however the log's blocks are cut,
    so that what is learned from a log does not depend on how it was written.

    Args:
        agent: Its name; others may share the log.
        plan: The agent's.
        schema: Encodes the values that were logged.
        log: Where the decisions are.
        position: Shape (m,), ascending: log numbers of decisions.
        slot: Shape (m,).
        reward: Shape (m,).
        named: Tell whom the feedback is about, with the feature columns, for policies that remember.
        without: Shape (h,): keys of subjects from whom nothing may be learned.
    """
    waiting: list[_Parts] = []
    count = 0
    for receipt, block in log.read(int(position[0])) if len(position) else ():
        if receipt.first > position[-1]:
            break
        if block.kind != "decision" or block.meta["agent"] != agent:
            continue
        if not understood(schema, block.meta):
            continue
        lo, hi = np.searchsorted(position, [receipt.first, receipt.first + receipt.count])
        parts = _choices(plan, block, position[lo:hi] - receipt.first, slot[lo:hi], reward[lo:hi])
        parts["closed"] += lo
        if without is not None and len(without):
            keep = ~np.isin(parts["keys"], without)
            parts = {name: part[keep] for name, part in parts.items()}
        if named:
            parts["subjects"] = block.columns["subject"][parts["row"]]
        del parts["row"]
        waiting.append(parts)
        count += len(parts["action"])
        while count >= _AT_ONCE:
            whole = _joined(waiting)
            yield _lesson(plan, schema, {name: part[:_AT_ONCE] for name, part in whole.items()})
            waiting = [{name: part[_AT_ONCE:] for name, part in whole.items()}]
            count -= _AT_ONCE
    if count:
        yield _lesson(plan, schema, _joined(waiting))


def readable(agent: str, schema: Schema, log: ProvenanceLog, position: I64, /) -> int:
    """How many decisions the log still holds as they were: not erased, not dropped, of features as now.

    Args:
        agent: Whose.
        schema: The features as now.
        log: Where the decisions are.
        position: Shape (m,), ascending, distinct: log numbers of decisions.
    """
    found = 0
    for receipt, block in log.read(int(position[0])) if len(position) else ():
        if receipt.first > position[-1]:
            break
        if block.kind != "decision" or block.meta["agent"] != agent:
            continue
        if understood(schema, block.meta):
            lo, hi = np.searchsorted(position, [receipt.first, receipt.first + receipt.count])
            found += int(np.count_nonzero(block.columns["key"][position[lo:hi] - receipt.first]))
    return found


def with_records(feedback: Feedback, keys: U64, held: Records, /) -> Feedback:
    """What feedback says about these subjects, with a copy of what is remembered of each so far.

    Args:
        feedback: About these subjects and perhaps others.
        keys: Shape (g,), ascending: who they are.
        held: Shape (g,): the policies' part of their records.
    """
    known = np.isin(feedback.keys, keys)
    told = feedback.take(known)
    return attrs.evolve(told, rows=held.copy(), subject=np.searchsorted(keys, told.keys))


def _choices(plan: Plan, block: Block, rows: I64, slot: I64, reward: F64) -> _Parts:
    """The logged columns of these choices, without those nobody may learn from."""
    columns, then = block.columns, catalogue_of(block.meta, plan.catalogue)
    idle = then.idle
    there = slot < columns["action"].shape[1]
    number = there.nonzero()[0]
    rows, slot, reward = rows[there], slot[there], reward[there]
    action = columns["action"][rows, slot]
    # Slots after the one that ended a slate were no choice.
    ends = np.cumsum(columns["action"][rows] == idle, axis=1)[np.arange(len(rows)), slot]
    arm = columns["arm"][rows]
    keep = ~np.isin(arm, (HOLDOUT, PROTECTED, BY_HAND)) & ((ends == 0) | ((ends == 1) & (action == idle)))
    keep &= columns["key"][rows] != 0  # erased
    keep &= ((columns["denied"][rows] & RESTRICTED) != RESTRICTED).all(axis=1)
    place = None
    if then.ids != plan.catalogue.ids:
        column = {action_id: number for number, action_id in enumerate(plan.catalogue.ids)}
        place = np.array([column.get(action_id, -1) for action_id in then.ids])
        action = place[action]
        keep &= action >= 0
    rows, slot = rows[keep], slot[keep]
    allowed = columns["denied"][rows] == 0
    if place is not None:
        before, allowed = allowed, np.zeros((len(rows), len(plan.catalogue)), dtype=np.bool_)
        allowed[:, place[place >= 0]] = before[:, place >= 0]
    return {
        "row": rows,
        "closed": number[keep],
        "values": columns["values"][rows],
        "action": action[keep],
        "reward": reward[keep],
        "probability": columns["probability"][rows, slot],
        "allowed": allowed,
        "keys": columns["key"][rows],
        "at": columns["at"][rows],
    }


def understood(schema: Schema, meta: Mapping[str, Any]) -> bool:
    """Whether values that were logged with a block are values of these features."""
    if list(schema.names) != meta.get("features", list(schema.names)):
        return False
    told = meta.get("encoding")
    return not told or not schema.encoding or bool(told == schema.encoding)


def _joined(parts: list[_Parts]) -> _Parts:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _lesson(plan: Plan, schema: Schema, parts: _Parts) -> Lesson:
    values = np.asfortranarray(parts.pop("values"))
    done = int(parts.pop("closed")[-1]) + 1
    subjects = parts.pop("subjects", None)
    known: dict[str, Any] = parts
    feedback = Feedback(catalogue=plan.catalogue, X=schema.encode(values), **known)
    if subjects is None:
        return Lesson(feedback, [], done)
    _, first, number = np.unique(feedback.keys, return_index=True, return_inverse=True)
    feedback = attrs.evolve(feedback, columns=schema.columns(values), subject=number.reshape(-1))
    return Lesson(feedback, subjects[first].tolist(), done)
