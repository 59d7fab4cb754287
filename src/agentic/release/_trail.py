"""What has the log told since a rollout began: decisions, rewards and outcomes as columns."""

from __future__ import annotations

from typing import Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray

from agentic._flow import APPROVE_EACH, SUGGEST_ONLY
from agentic._folding import blocks_of
from agentic._records import catalogue_of
from agentic._releases import APPROVED, set_aside
from agentic.arrays import I64, Block
from agentic.release._watchable import Watchable, end_of

_DECISION: Final = np.dtype(
    {
        "names": ["position", "key", "at", "arm", "failed", "action", "cost", "us", "score", "waits"],
        "formats": ["i8", "u8", "i8", "u1", "?", "i8", "f8", "f8", "f8", "?"],
    }
)
_TOLD: Final = np.dtype(
    {"names": ["decision", "value", "goal", "at", "told"], "formats": ["i8", "f8", "i8", "i8", "i8"]}
)


@attrs.define(eq=False)
class Trail:
    """Follows the log of an agent; what was read once is kept, some 65 bytes a decision.

    Attributes:
        agent: Whose log it is.
        next: Number of the first record that was not read.
        closed: Until when reward windows were closed, microseconds since 1970; 0 before any was.
    """

    agent: Watchable
    next: int
    closed: int = 0
    _decisions: list[NDArray[Any]] = attrs.field(factory=lambda: [np.zeros(0, _DECISION)], init=False)
    _rewards: list[NDArray[Any]] = attrs.field(factory=lambda: [np.zeros(0, _TOLD)], init=False)
    _outcomes: list[NDArray[Any]] = attrs.field(factory=lambda: [np.zeros(0, _TOLD)], init=False)

    def read(self) -> None:
        """Read what the log holds more than the last time."""
        begin, end = self.next, end_of(self.agent.log)
        for kind, names, take in (
            (
                "decision",
                ("key", "at", "arm", "policy_failed", "action", "cost", "compute_us", "score"),
                self._decide,
            ),
            ("reward", ("decision", "slot", "reward"), self._reward),
            ("outcome", ("decision", "goal", "at"), self._happen),
        ):
            for receipt, block in blocks_of(self.agent.log, kind, *names, after=begin):
                if receipt.first >= end:
                    break
                if block.meta.get("agent") == self.agent.name:
                    rows = slice(max(0, begin - receipt.first), max(0, end - receipt.first))
                    take(receipt.first, block, rows)
        self.next = max(begin, end)

    @property
    def decisions(self) -> NDArray[Any]:
        """Structured, in the order of the log, of all that were done; ``key`` 0 was erased.

        What nobody has said yes to, where that is needed, what people set aside, and what was only suggested
        was not.
        """
        rows = _whole(self._decisions)
        events = self.agent.releases.events("oversight.")
        aside = [found[0] for event in events if (found := set_aside(event)) is not None]
        approved = [event.facts.get("position", -1) for event in events if event.what == APPROVED]
        done = ~rows["waits"]
        if approved:
            done |= np.isin(rows["position"], np.array(approved, np.int64))
        if aside:
            done &= ~np.isin(rows["position"], np.array(aside, np.int64))
        return rows if done.all() else rows[done]

    @property
    def rewards(self) -> NDArray[Any]:
        """Structured: final rewards of decisions, slot by slot."""
        return _whole(self._rewards)

    @property
    def outcomes(self) -> NDArray[Any]:
        """Structured: outcomes of decisions, as codes of the agent's goals; some may not count."""
        return _whole(self._outcomes)

    def _decide(self, first: int, block: Block, rows: slice) -> None:
        autonomy = block.meta.get("autonomy")
        if autonomy == SUGGEST_ONLY:
            return
        columns = {name: column[rows] for name, column in block.columns.items()}
        found = np.empty(len(columns["key"]), _DECISION)
        found["position"] = np.arange(first, first + len(block))[rows]
        for name, column in (
            ("key", "key"),
            ("at", "at"),
            ("arm", "arm"),
            ("failed", "policy_failed"),
            ("cost", "cost"),
            ("us", "compute_us"),
        ):
            found[name] = columns[column]
        found["action"], found["score"] = columns["action"][:, 0], columns["score"][:, 0]
        catalogue = catalogue_of(block.meta, self.agent.plan.catalogue)
        found["waits"] = (autonomy == APPROVE_EACH) & catalogue.sends[columns["action"]].any(axis=1)
        self._decisions.append(found)

    def _reward(self, first: int, block: Block, rows: slice) -> None:
        found = np.zeros(len(block.columns["decision"][rows]), _TOLD)
        found["decision"] = block.columns["decision"][rows]
        found["value"] = block.columns["reward"][rows]
        found["told"] = first
        self._rewards.append(found)
        self.closed = max(self.closed, int(block.meta["at"]))

    def _happen(self, first: int, block: Block, rows: slice) -> None:
        goals = () if self.agent.goals is None else self.agent.goals.names
        told = tuple(block.meta.get("goals", goals))
        place = np.array([goals.index(name) if name in goals else -1 for name in told] or [-1], np.int64)
        found = np.zeros(len(block.columns["decision"][rows]), _TOLD)
        found["decision"], found["at"] = block.columns["decision"][rows], block.columns["at"][rows]
        found["goal"] = place[block.columns["goal"][rows]]
        found["told"] = np.arange(first, first + len(block))[rows]
        self._outcomes.append(found)


def _whole(parts: list[NDArray[Any]]) -> NDArray[Any]:
    """Parts as one; they become one."""
    if len(parts) > 1:
        parts[:] = [np.concatenate(parts)]
    return parts[0]


def places(positions: I64, wanted: I64, /) -> tuple[I64, NDArray[np.bool_]]:
    """Where each wanted number stands among ascending ones, and whether it is there."""
    if not len(positions):
        return np.zeros(len(wanted), np.int64), np.zeros(len(wanted), np.bool_)
    at = np.minimum(np.searchsorted(positions, wanted), len(positions) - 1)
    return at, positions[at] == wanted
