"""Which registered version did a version come from, that learned since?

A learner becomes another version every day. Who was cleared is its whole line: what it learned in charge of
this agent, step by step, as the log tells. What somebody learned elsewhere is in no line.
"""

from __future__ import annotations

import threading
from collections.abc import Container, Iterable, Mapping
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


def members_learned(policy: Policy, before: Policy, /) -> list[list[str]]:
    """What each member of a policy that parts the subjects was learned from: pairs of versions.

    Args:
        policy: Learned from ``before``; both bound.
        before: The one before.
    """
    new, old = list(parts_of(policy)), list(parts_of(before))
    if len(new) != len(old) or len(new) < 2:
        return []
    return [[fingerprint(a.policy), fingerprint(b.policy)] for a, b in zip(new, old, strict=True)]


def pairs_in(block: Block, /) -> list[tuple[str, str]]:
    """The pairs that a block tells, of a version and the one it was learned from; whoever wrote it."""
    found: Any = block.meta.get("after")  # whatever somebody logged
    if block.kind == LINEAGE:
        columns = [block.columns[name].tolist() for name in ("version", "after") if name in block.columns]
        found = [list(pair) for pair in zip(*columns, strict=False)]
    return [
        (pair[0], pair[1])
        for pair in (found if isinstance(found, list) else [])
        if isinstance(pair, list) and len(pair) == 2 and all(isinstance(each, str) for each in pair)
    ]


class Lines:
    """What was learned from what, by one agent. Safe for threads.

    Args:
        agent: Whose.
        log: Where the policies in charge are told.
        own: What no log tells; it grows.
    """

    def __init__(self, agent: str, log: ProvenanceLog, own: Mapping[str, str]) -> None:
        self._agent = agent
        self._log = log
        self._own = own
        self._after: dict[str, str] = {}
        self._read = False
        self._lock = threading.Lock()

    def forked(self) -> None:
        """In a child process: nobody holds this lock."""
        self._lock = threading.Lock()

    def _note(self, pairs: Iterable[tuple[str, str]], /) -> None:
        """Take note of pairs: a version, and the one it was learned from."""
        for version, before in pairs:
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
        if block.meta.get("agent") == self._agent:
            self._note(pairs_in(block))

    def _before(self, version: str) -> str | None:
        return self._after.get(version, self._own.get(version))

    def roots(self, version: str, known: Container[str], /) -> tuple[str, ...]:
        """Those of the known versions that lie on the way back from one, itself first if it is known.

        Args:
            version: To begin with.
            known: The registered ones.
        """
        with self._lock:
            if not self._read:
                for kind in (LINEAGE, "policy"):
                    for _, block in blocks_of(self._log, kind):
                        self._hear(block)
                self._read = True
            way = dict.fromkeys([version])
            while (before := self._before(version)) is not None and before not in way:
                way[before] = None
                version = before
        return tuple(each for each in way if each in known)
