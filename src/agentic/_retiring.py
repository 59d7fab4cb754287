"""How does a log drop what is too old, and keep what is still needed, or has to be kept longer?"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray

from agentic._folding import blocks_of
from agentic._releases import carried_over
from agentic.arrays import Block, Bools
from agentic.errors import ConfigurationError
from agentic.privacy import Regime
from agentic.protocols import ProvenanceLog
from agentic.types import micros

CARRIED: Final = ("fact", "restriction", "erasure")
"""Kinds of records that outlive their segment: what was agreed, and who is to be forgotten."""


@attrs.define(eq=False)
class Retirement:
    """Drops the oldest segments of a log that agents may share.

    Attributes:
        log: Where records are.
        append: Logs a block, or raises.
        writing: One transaction.
        needed: Number of the first record that some agent of the file still needs.
    """

    log: ProvenanceLog
    append: Callable[[Block], Any]
    writing: Callable[[], AbstractContextManager[Any]]
    needed: Callable[[], int]

    def drop(
        self,
        older: datetime,
        regime: Regime | None,
        now: datetime,
        note: Callable[[int, bytes], str] | None,
        /,
    ) -> int:
        """Drop whole segments of what is older, in one transaction; return how many records that were.

        Raises:
            ConfigurationError: The log cannot drop, or the regime says that it is too early.
        """
        log: Any = self.log  # one that can drop, as is asked now
        if not callable(getattr(log, "boundary", None)):
            raise ConfigurationError(
                f"a {type(log).__name__} drops nothing: open the agent on a file, Agent.open(...)",
                value=type(log).__name__,
            )
        if regime is not None:
            regime.check_drop("decisions", older, now)
            regime.check_drop("outcomes", older, now)
        with self.writing():
            before = min(log.boundary(micros(older)), self.needed())
            for kind in CARRIED:
                self._carry(kind, before)
            for block in carried_over(self.log, before, micros(now)):
                self.append(block)
            signed = {} if note is None else {"note": note}
            dropped: int = log.drop(before, at=micros(now), **signed)
            return dropped

    def _carry(self, kind: str, before: int) -> None:
        """Write records of this kind once more, at the end, with the times they were written at.

        With them goes what was said later about the same subjects: the last word must stay the last.
        """
        blocks = [(receipt.first, block, _whom(block)) for receipt, block in blocks_of(self.log, kind)]
        old = [
            whom[_stands(block) & (first + np.arange(len(block)) < before)] for first, block, whom in blocks
        ]
        about = np.unique(np.concatenate(old)) if old else np.zeros(0)
        for _, block, whom in blocks if len(about) else ():
            kept = _stands(block) & np.isin(whom, about)
            if kept.any():
                columns = {name: column[kept] for name, column in block.columns.items()}
                self.append(Block(kind, columns, {**block.meta, "carried": True}))


def _whom(block: Block) -> NDArray[Any]:
    """Whom records are about: shape (n,), as what can be compared."""
    surrogates = np.ascontiguousarray(block.columns["surrogate"], dtype=np.uint64)
    return surrogates.view([("high", np.uint64), ("low", np.uint64)]).reshape(len(block))


def _stands(block: Block) -> Bools:
    """Which records are to be kept: what was erased stays behind."""
    names = block.columns.get("subject")
    return np.ones(len(block), dtype=np.bool_) if names is None else np.asarray(names != "", dtype=np.bool_)
