"""Which registered version did a version come from, that learned since?

A learner becomes another version every day. Who was cleared is its whole line: what it learned in charge of
this agent, step by step, as the log tells. What somebody learned elsewhere is in no line.
"""

from __future__ import annotations

import threading
from collections.abc import Container, Iterable
from typing import Any, Final

from agentic._codec import fingerprint
from agentic._folding import blocks_of
from agentic._releases._gate import parts_of
from agentic.arrays import Block
from agentic.protocols import Policy, ProvenanceLog

LINEAGE: Final = "lineage"
"""Kind of blocks that tell, in columns ``version`` and ``after``, what dropped records told."""
KEPT: Final = 1 << 16
"""How many learned versions of an agent are known, the last ones."""


def pairs_of(after: Policy, before: Policy, /) -> list[list[str]]:
    """What each part of a policy was learned from, where it changed: pairs of versions.

    Args:
        after: Learned from ``before``; both bound.
        before: The one before.
    """
    pairs = [(fingerprint(after), fingerprint(before))]
    new, old = list(parts_of(after)), list(parts_of(before))
    if len(new) == len(old) > 1:
        pairs += [(fingerprint(a.policy), fingerprint(b.policy)) for a, b in zip(new, old, strict=True)]
    return [[one, other] for one, other in pairs if one != other]


class Lines:
    """What was learned from what, by one agent. Safe for threads.

    Args:
        agent: Whose.
        log: Where the policies in charge are told.
    """

    def __init__(self, agent: str, log: ProvenanceLog) -> None:
        self._agent = agent
        self._log = log
        self._after: dict[str, str] = {}
        self._read = False
        self._lock = threading.Lock()

    def note(self, pairs: Iterable[Any], /) -> None:  # of texts, or whatever somebody logged
        """Take note of pairs: a version, and the one it was learned from."""
        for pair in pairs:
            if isinstance(pair, list) and len(pair) == 2 and all(isinstance(each, str) for each in pair):
                version, before = pair
                self._after.pop(version, None)
                self._after[version] = before
        while len(self._after) > KEPT:
            del self._after[next(iter(self._after))]

    def hear(self, block: Block, /) -> None:
        """Take note of what a block of policies in charge, or of dropped ones, tells."""
        if self._read:
            with self._lock:
                self._hear(block)

    def _hear(self, block: Block) -> None:
        if block.meta.get("agent") != self._agent:
            return
        if block.kind == LINEAGE:
            columns = [block.columns[name].tolist() for name in ("version", "after") if name in block.columns]
            self.note([list(pair) for pair in zip(*columns, strict=False)])
            return
        pairs = block.meta.get("after", [])
        self.note(pairs if isinstance(pairs, list) else [])

    def roots(self, version: str, known: Container[str], /) -> tuple[str, ...]:
        """Those of the known versions that lie on the way back from one, itself first if it is known.

        Args:
            version: To begin with.
            known: The registered ones.
        """
        with self._lock:
            if not self._read:
                mine, self._after = self._after, {}
                for kind in (LINEAGE, "policy"):
                    for _, block in blocks_of(self._log, kind):
                        self._hear(block)
                self.note([list(pair) for pair in mine.items()])
                self._read = True
            way = dict.fromkeys([version])
            while (before := self._after.get(version)) is not None and before not in way:
                way[before] = None
                version = before
        return tuple(each for each in way if each in known)
