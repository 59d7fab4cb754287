"""How rewards find the decisions they belong to: the join of closed windows with the log."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from agentic._flow import HOLDOUT, Plan
from agentic.arrays import I64, Feedback
from agentic.features import Schema
from agentic.protocols import ProvenanceLog


def feedback_of(
    plan: Plan,
    schema: Schema,
    log: ProvenanceLog,
    position: I64,
    slot: I64,
    reward: NDArray[np.float64],
    /,
) -> Iterator[Feedback]:
    """Join rewards with what was logged of their decisions, block by block, without the holdout.

    Args:
        plan: The agent's.
        schema: Encodes the values that were logged.
        log: Where the decisions are.
        position: Shape (m,), ascending: log numbers of decisions.
        slot: Shape (m,).
        reward: Shape (m,).
    """
    catalogue = plan.catalogue
    end = int(position[-1]) if len(position) else -1
    for receipt, block in log.read(int(position[0]) if len(position) else 0):
        if receipt.first > end:
            break
        if block.kind != "decision":
            continue
        lo, hi = np.searchsorted(position, [receipt.first, receipt.first + receipt.count])
        rows, place = position[lo:hi] - receipt.first, slot[lo:hi]
        columns = block.columns
        action = columns["action"][rows, np.minimum(place, columns["action"].shape[1] - 1)]
        # Slots after the one that ended a slate were no choice.
        ended = np.cumsum(columns["action"] == catalogue.idle, axis=1)[
            rows, np.minimum(place, columns["action"].shape[1] - 1)
        ]
        keep = (columns["arm"][rows] != HOLDOUT) & (
            (ended == 0) | ((action == catalogue.idle) & (ended == 1))
        )
        if not keep.any():
            continue
        rows, place, action = rows[keep], place[keep], action[keep]
        yield Feedback(
            catalogue=catalogue,
            X=schema.encode(np.asfortranarray(columns["values"][rows])),
            action=action,
            reward=reward[lo:hi][keep],
            probability=columns["probability"][rows, place],
            allowed=columns["denied"][rows] == 0,
            keys=columns["key"][rows],
            at=columns["at"][rows],
        )
