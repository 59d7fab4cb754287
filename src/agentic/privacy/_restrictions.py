"""From whose decisions may nothing be learned?"""

from __future__ import annotations

from typing import Final

import numpy as np

from agentic._noise import text_keys
from agentic.arrays import U64, Block

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
        if (
            block.kind != "restriction"
            or block.meta["agent"] != self._agent
            or block.meta["fact"] not in _KINDS
        ):
            return
        names = [name for name in block.columns["subject"].tolist() if name]  # what is erased has no name
        keys = set(text_keys(names).tolist() if names else ())
        self._keys = self._keys | keys if _KINDS[block.meta["fact"]] else self._keys - keys

    @property
    def keys(self) -> U64:
        """Shape (m,), uint64: keys of those restricted now."""
        return np.array(sorted(self._keys), dtype=np.uint64)
