"""Which logged decisions have final rewards, part by part of the log, so that nobody holds all of them?

Rewards follow their decisions in the log, some sooner, some later. They are taken in lots of 262,144, in the
order in which they became final, and for each lot the decisions are read that lie between the first and the
last of them. Memory does not grow with the log. What is read twice is what lies between decisions of which
some had to wait much longer than others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sized
from typing import Any, Final

import attrs
import numpy as np

from agentic._flow import NOT_ELIGIBLE
from agentic._folding import blocks_of
from agentic._learning import understood
from agentic._records import DecisionBatch, found_batch
from agentic.arrays import F64, I64, Bools
from agentic.catalogue import Catalogue
from agentic.evaluation._joined import Joined, places
from agentic.evaluation._judged import Judged

Progress = Callable[[str, int, int], object]
"""Told what is done, how far it has come, and how far there is to go."""

LOT: Final = 1 << 18
_CHUNK: Final = 8192
_COLUMNS: Final = ("key", "arm", "at", "action", "probability", "zone", "values", "denied", "remembered")


@attrs.frozen(eq=False)
class Matured:
    """Decisions with final rewards, in the order of the log, among the actions that the agent has now.

    Attributes:
        found: The decisions, n rows; of an action that is gone the column is that of doing nothing.
        action: Shape (n,), int64: of the first slot.
        gone: Shape (n,), bool: the agent does not have that action any more.
        reward: Shape (n,), float64.
        heard: Shape (n,), int64: log number of the lot of rewards that this one was in; -1 if unknown.
    """

    found: DecisionBatch
    action: I64
    gone: Bools
    reward: F64
    heard: I64

    def __len__(self) -> int:
        return len(self.action)


@attrs.define(eq=False)
class LeftOut:
    """Counts the decisions of whom too little is known for them to be decided again.

    Attributes:
        erased: Their subjects were erased.
        features: They were decided by features that were declared otherwise.
    """

    erased: int = 0
    features: int = 0


_Lot = tuple[I64, F64, I64]
"""Places of decisions, ascending; their rewards; and where these are in the log."""


def matured(
    agent: Judged, rows: Joined | None, arms: I64, left_out: LeftOut, progress: Progress, what: str, /
) -> Iterator[Matured]:
    """Go through the decisions of these arms whose reward is final, up to 8,192 at a time.

    Args:
        agent: Whose log it is.
        rows: Which decisions; all, for ``None``.
        arms: Numbers of the arms.
        left_out: Counts those that cannot be decided again.
        progress: Told how far this is.
        what: What it is told.
    """
    lots = _lots(agent, progress, what) if rows is None else _given(rows, progress, what)
    for position, reward, heard in lots:
        for found in _between(agent, position, left_out):
            first = int(found.positions[0])
            lo, hi = np.searchsorted(position, [first, first + len(found)]).tolist()
            mine = np.isin(found.columns["arm"][position[lo:hi] - first], arms)
            erased = found.columns["key"][position[lo:hi] - first] == 0
            left_out.erased += int(np.count_nonzero(mine & erased))
            at = np.arange(lo, hi)[mine & ~erased]
            for start in range(0, len(at), _CHUNK):
                part = at[start : start + _CHUNK]
                yield _taken(
                    found.take(position[part] - first), agent.plan.catalogue, reward[part], heard[part]
                )


def _lots(agent: Judged, progress: Progress, what: str) -> Iterator[_Lot]:
    """Rewards in the order in which they became final."""
    waiting: list[_Lot] = []
    count = 0
    total = len(agent.log) if isinstance(agent.log, Sized) else 0
    for receipt, block in blocks_of(agent.log, "reward", "decision", "slot", "reward"):
        if block.meta["agent"] != agent.name:
            continue
        for start in range(0, len(block), LOT):
            part = slice(start, start + LOT)
            first = block.columns["slot"][part] == 0
            position, reward = block.columns["decision"][part][first], block.columns["reward"][part][first]
            waiting.append((position, reward, np.full(len(position), receipt.first)))
            count += len(position)
            if count >= LOT:
                yield _lot(waiting)
                waiting, count = [], 0
                progress(what, receipt.first, total)
    if count:
        yield _lot(waiting)
        progress(what, total, total)


def _lot(parts: list[_Lot]) -> _Lot:
    position, reward, heard = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.argsort(position, kind="stable")
    return position[order], reward[order], heard[order]


def _given(rows: Joined, progress: Progress, what: str) -> Iterator[_Lot]:
    for start in range(0, len(rows), LOT):
        part = slice(start, start + LOT)
        position = rows.position[part]
        yield position, rows.reward[part], np.full(len(position), -1)
        progress(what, min(start + LOT, len(rows)), len(rows))


def _between(agent: Judged, position: I64, left_out: LeftOut) -> Iterator[DecisionBatch]:
    """The blocks in which these decisions are, without what is not needed."""
    for receipt, block in blocks_of(agent.log, "decision", *_COLUMNS, after=int(position[0])):
        if receipt.first > position[-1]:
            return
        lo, hi = np.searchsorted(position, [receipt.first, receipt.first + receipt.count]).tolist()
        if lo == hi or block.meta["agent"] != agent.name:
            continue
        if not understood(agent.schema, block.meta):
            left_out.features += hi - lo
            continue
        yield found_batch(block, receipt.first, agent.plan.catalogue)


def _taken(found: DecisionBatch, now: Catalogue, reward: F64, heard: I64) -> Matured:
    """The decisions as they would look if they had been made among the actions of now."""
    action: I64 = found.columns["action"][:, 0].astype(np.int64)
    there = places(found.catalogue, now)
    if there is None:
        return Matured(found, action, np.zeros(len(action), dtype=np.bool_), reward, heard)
    columns: dict[str, Any] = dict(found.columns)  # of several dtypes
    denied = columns["denied"]
    # What was no candidate then could not have been chosen.
    columns["denied"] = np.full((len(found), len(now)), NOT_ELIGIBLE, dtype=denied.dtype)
    columns["denied"][:, there[there >= 0]] = denied[:, there >= 0]
    action = there[action]
    gone = action < 0
    action[gone] = now.idle
    again = DecisionBatch(columns, found.metas, found.positions, now, found.meta_of)
    return Matured(again, action, gone, reward, heard)
