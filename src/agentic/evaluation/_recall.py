"""What would a policy have known of each subject by then, had it listened to the log from the start?

A policy that remembers decides by what its fields of the subject's record say. Where it made the log, or
one of the same name did, what it went by was logged with each decision and is used as it is. Where another
policy did, the log is read again in its order: each reward is remembered when it became final, each
decision asks what was known before. What the policy itself has learned of the population stays as it is.
"""

from __future__ import annotations

import numpy as np

from agentic._flow import POLICIES, Plan
from agentic._learning import lessons_of, with_records
from agentic._plan import fields_of
from agentic._records import DecisionBatch
from agentic.arrays import Records
from agentic.evaluation._joined import Joined
from agentic.evaluation._judged import Judged
from agentic.protocols import Policy, Remembers


def logged_it(policy: Policy, found: DecisionBatch, /) -> bool:
    """Whether these decisions were logged with everything that this policy keeps of a subject."""
    packed = found.metas[0].get("remembered", ()) if "remembered" in found.columns else ()
    told = {name: (dtype, tuple(shape)) for name, dtype, shape, _ in packed}
    return all(
        told.get(field.name) == (np.dtype(field.dtype).str, tuple(field.shape)) for field in fields_of(policy)
    )


def recall(agent: Judged, plan: Plan, policy: Policy, rows: Joined, /) -> Records:
    """What the records would hold at each of these decisions, had the policy listened: shape (n,).

    Args:
        agent: Whose log it is.
        plan: The agent's, with room for what the policy keeps.
        policy: Bound; it is not taught anything about the population.
        rows: Decisions of this agent.
    """
    keys, whose = np.unique(rows.key, return_inverse=True)
    whose = whose.reshape(-1)
    held = plan.layout.part(plan.layout.new(len(keys)), POLICIES)
    out = plan.layout.part(plan.layout.new(len(rows)), POLICIES)
    done = 0
    for receipt, block in agent.log.read():
        if block.meta.get("agent") != agent.name:
            continue
        if block.kind == "decision":
            stop = int(np.searchsorted(rows.position, receipt.first + receipt.count))
            out[done:stop] = held[whose[done:stop]]
            done = stop
        elif block.kind == "reward" and isinstance(policy, Remembers):
            columns = block.columns
            order = np.lexsort((columns["slot"], columns["decision"]))
            where = (columns[name][order] for name in ("decision", "slot", "reward"))
            for lesson in lessons_of(agent.name, plan, agent.schema, agent.log, *where, named=True):
                policy.remember(with_records(lesson.feedback, keys, held), held)
    return out
