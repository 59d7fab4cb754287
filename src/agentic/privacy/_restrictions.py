"""From whose decisions may nothing be learned?"""

from __future__ import annotations

from typing import Final

import numpy as np

from agentic._noise import text_keys
from agentic.arrays import U64, Block
from agentic.types import Fact, Restricted, RestrictionLifted

_KINDS: Final = {"restricted": True, "restriction_lifted": False}


class Restrictions:
    """The subjects of one agent that are restricted, as a fold of the facts in the order of the log.

    Args:
        agent: Its name; others may share the log.
    """

    def __init__(self, agent: str, /) -> None:
        self._agent = agent
        self._keys: set[int] = set()

    def hear(self, block: Block, /) -> None:
        """Take note of a block of the log, whatever it holds."""
        if block.kind != "fact" or block.meta["agent"] != self._agent or block.meta["fact"] not in _KINDS:
            return
        names = [name for name in block.columns["subject"].tolist() if name]  # what is erased has no name
        self._note(names, holds=_KINDS[block.meta["fact"]])

    def told(self, names: list[str], fact: Fact, /) -> None:
        """Take note of a fact about subjects."""
        if isinstance(fact, Restricted | RestrictionLifted):
            self._note(names, holds=isinstance(fact, Restricted))

    def _note(self, names: list[str], *, holds: bool) -> None:
        keys = text_keys(names).tolist() if names else []
        self._keys = self._keys | set(keys) if holds else self._keys - set(keys)

    @property
    def keys(self) -> U64:
        """Shape (m,), uint64: keys of those restricted now."""
        return np.array(sorted(self._keys), dtype=np.uint64)
