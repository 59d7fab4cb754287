"""What of releases outlives the segments of the log in which it was told?

All of it: who approved what, and why, is asked for years after the decisions are gone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from agentic._folding import blocks_of
from agentic._releases._events import KIND, told
from agentic._releases._journal import Fold, in_order
from agentic._releases._lines import KEPT, LINEAGE, pairs_in
from agentic.arrays import Block
from agentic.protocols import ProvenanceLog


def carried_over(log: ProvenanceLog, before: int, now: int, /) -> Iterator[Block]:
    """What is to be written once more, at the end, before the records ahead of one are dropped.

    Events that count, of all agents of the log of which one would be lost, with the times they had; and what
    these agents learned from what.

    Args:
        log: Records are dropped from it.
        before: Number of the first record that stays.
        now: Microseconds since 1970.
    """
    blocks = [(receipt.first, block) for receipt, block in blocks_of(log, KIND)]
    lost = {_agent(block) for first, block in blocks if first < before}
    for agent in sorted(lost):
        fold = Fold()
        for one in in_order(
            one for first, block in blocks if _agent(block) == agent for one in told(first, block)
        ):
            fold.take(one)
        texts = np.empty(len(fold.texts), dtype=object)
        texts[:] = fold.texts
        at = np.array([event.at for event in fold.events], dtype=np.int64)
        yield _block(KIND, agent, at=at, event=texts)
    for agent in sorted({_agent(block) for _, block in blocks}):
        pairs = _pairs(log, agent, before)
        if pairs:
            texts = np.empty((2, len(pairs)), dtype=object)
            texts[0], texts[1] = list(pairs), list(pairs.values())
            at = np.full(len(pairs), now, dtype=np.int64)
            yield _block(LINEAGE, agent, at=at, version=texts[0], after=texts[1])


def _pairs(log: ProvenanceLog, agent: str, before: int) -> dict[str, str]:
    """What an agent learned from what, as far as it would be lost; the last ones."""
    found: dict[str, str] = {}
    for kind in (LINEAGE, "policy"):
        for receipt, block in blocks_of(log, kind):
            if receipt.first < before and _agent(block) == agent:
                found.update(pairs_in(block))
    return dict(list(found.items())[-KEPT:])


def _agent(block: Block) -> str:
    return str(block.meta.get("agent"))


def _block(kind: str, agent: str, **columns: Any) -> Block:  # arrays
    meta = {"schema": 1, "agent": agent, "carried": True, "public": list(columns)}
    return Block(kind, columns, meta)
