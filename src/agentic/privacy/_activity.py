"""Whom does the log tell of, and since when have they been silent?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from agentic._noise import text_keys
from agentic.arrays import I64, U64, Block, Receipt
from agentic.privacy._ledger import CONSENT
from agentic.privacy._schedules import NEVER

Blocks = Iterable[tuple[Receipt, Block]]


def touched(blocks: Blocks, agent: str, since: int, until: int, /) -> list[str]:
    """The subjects whom an agent decided for in a span of time, each once, sorted.

    Args:
        blocks: Of the log.
        agent: Its name; others may share the log.
        since: Microseconds since 1970, the first that counts.
        until: The first that does not.
    """
    found: set[str] = set()
    for _, block in blocks:
        if block.kind == "decision" and block.meta["agent"] == agent:
            at = block.columns["at"]
            found.update(block.columns["subject"][(since <= at) & (at < until)].tolist())
    return sorted(found - {""})  # what is erased has no name


@attrs.frozen(eq=False)
class Activity:
    """When subjects were last heard of.

    Attributes:
        keys: Shape (n,), uint64, ascending.
        last: Shape (n,), int64: their last activity, microseconds since 1970. What somebody does counts: an
            outcome, a fact told by or about them. What is decided for them does not, but for the first time.
        told: Shape (n,), int64: when they were told that their data will go; `NEVER` for most.
        subjects: Shape (n,), object: their ids.
    """

    keys: U64
    last: I64
    told: I64
    subjects: NDArray[Any]

    @classmethod
    def of(cls, blocks: Blocks, agent: str, /) -> Activity:
        """Fold the log of an agent.

        Args:
            blocks: Of the log, from the first.
            agent: Its name; others may share the log.
        """
        seen: list[_Seen] = []
        positions: list[I64] = []
        outcomes: list[tuple[I64, I64]] = []
        for receipt, block in blocks:
            if block.meta.get("agent") != agent:
                continue
            columns = block.columns
            if block.kind == "decision":
                seen.append(_Seen(columns["key"], columns["subject"], columns["at"], _FIRST))
                positions.append(np.arange(receipt.first, receipt.first + len(block)))
            elif block.kind == "outcome":
                outcomes.append((columns["decision"], columns["at"]))
            elif block.kind == "notice" or (block.kind == "fact" and block.meta["fact"] in CONSENT):
                keys = text_keys(columns["subject"].tolist())
                seen.append(
                    _Seen(keys, columns["subject"], columns["at"], _TOLD if block.kind == "notice" else _DID)
                )
        if not seen:
            nothing = np.empty(0, np.int64)
            return cls(nothing.astype(np.uint64), nothing, nothing, np.empty(0, dtype=object))
        keys, place = np.unique(np.concatenate([one.keys for one in seen]), return_inverse=True)
        subjects = np.empty(len(keys), dtype=object)
        subjects[place] = np.concatenate([one.subjects for one in seen])
        whose = np.split(place, np.cumsum([len(one.keys) for one in seen])[:-1])
        first = np.full(len(keys), np.iinfo(np.int64).max)
        last, told = np.full(len(keys), NEVER), np.full(len(keys), NEVER)
        for one, rows in zip(seen, whose, strict=True):
            if one.what == _FIRST:
                np.minimum.at(first, rows, one.at)
            else:
                np.maximum.at(last if one.what == _DID else told, rows, one.at)
        if positions and outcomes:
            number = np.concatenate(positions)
            row = np.concatenate([rows for one, rows in zip(seen, whose, strict=True) if one.what == _FIRST])
            decision, at = (np.concatenate(part) for part in zip(*outcomes, strict=True))
            found = np.searchsorted(number, decision)
            there = (found < len(number)) & (number[np.minimum(found, len(number) - 1)] == decision)
            np.maximum.at(last, row[found[there]], at[there])
        last = np.where(last == NEVER, first, last)
        known = subjects != ""  # what is erased has no name
        known &= last < np.iinfo(np.int64).max  # a notice alone is no sign of life
        return cls(keys[known], last[known], told[known], subjects[known])


_FIRST, _DID, _TOLD = range(3)


@attrs.frozen(eq=False)
class _Seen:
    """Records about subjects: their keys, ids and times, shape (m,) each, and what kind of sign it is."""

    keys: U64
    subjects: NDArray[Any]
    at: I64
    what: int
