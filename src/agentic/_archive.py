"""How are an agent's decisions found again in the log?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol, runtime_checkable

import attrs
import numpy as np
from numpy.typing import NDArray

from agentic._codec import fingerprint
from agentic._folding import blocks_of
from agentic._records import DecisionBatch, found_batch, joined, read_ids, unknown_decision
from agentic.arrays import F64, I64, U64, Block
from agentic.catalogue import Catalogue
from agentic.errors import CodecError, ConfigurationError, InvalidOutcomeError, LogError
from agentic.protocols import Learner, Policy, ProvenanceLog

if TYPE_CHECKING:
    from agentic.provenance import Evidence, Signer  # only for who proves something

_PART: Final = 8192  # decisions that are taken from a block at once


@runtime_checkable
class Proofs(Protocol):
    """A log that can be signed and proved, as a ``DurableLog``."""

    def checkpoint(self, *signers: Signer, at: int, origin: str | None = None) -> str:
        """Sign the whole log."""

    def evidence(self, position: int, /) -> Evidence:
        """What proves a record."""


@attrs.define(eq=False)
class Archive:
    """The decisions of one agent in a log that others may share.

    Attributes:
        name: The agent's.
        log: Where they are.
        catalogue: The actions, in the order of the columns.
    """

    name: str
    log: ProvenanceLog
    catalogue: Catalogue
    _first: int = attrs.field(default=0, init=False)  # log number of this agent's first decision
    _end: int = attrs.field(default=0, init=False)  # after its last

    def note(self, first: int, count: int) -> None:
        """Take note that so many decisions begin at this log number."""
        self._first, self._end = (self._first if self._end else first), first + count

    @property
    def end(self) -> int:
        """Log number after the last decision that was noted."""
        return self._end

    def about(self, whom: NDArray[Any], after: int, before: int) -> Iterator[tuple[I64, int]]:
        """Places of the decisions about some subjects that were noted, block by block, and their slots.

        Args:
            whom: Surrogates, shape (g, 2), where the log has such; otherwise ids, shape (g,).
            after: Log number to begin at.
            before: Log number to stop at.
        """
        name = "surrogate" if whom.ndim == 2 else "subject"
        for receipt, block in blocks_of(self.log, "decision", name, "action", after=after):
            if receipt.first >= before:
                return
            if not self.is_mine(block):
                continue
            if whom.ndim == 2:
                own = block.columns["surrogate"]
                rows = np.isin(own[:, 0], whom[:, 0]) & np.isin(own[:, 1], whom[:, 1])
            else:
                rows = np.isin(block.columns["subject"], whom)
            if rows.any():
                yield np.flatnonzero(rows) + receipt.first, block.columns["action"].shape[1]

    def is_mine(self, block: Block) -> bool:
        """Whether a block holds decisions of this agent."""
        return block.kind == "decision" and bool(block.meta["agent"] == self.name)

    def check(self, decision_ids: Sequence[str], tags: U64, positions: I64, slots: I64) -> None:
        """Refuse ids that name no decision of this agent; one pass over the blocks they lie in.

        Raises:
            UnknownDecisionError: No such decision.
            InvalidOutcomeError: It has no such slot.
        """
        known = np.zeros(len(positions), dtype=np.bool_)
        order = np.argsort(positions, kind="stable")
        ordered = positions[order]
        at = int(np.searchsorted(ordered, self._first))
        end = int(np.searchsorted(ordered, self._end))
        while at < end:
            found = next(self.log.read(int(ordered[at])), None)
            if found is None:
                break
            receipt, block = found
            at = int(np.searchsorted(ordered[:end], receipt.first))  # those before were dropped
            stop = int(np.searchsorted(ordered[:end], receipt.first + receipt.count))
            here = order[at:stop]
            at = stop
            if not self.is_mine(block):
                continue
            rows = positions[here] - receipt.first
            # What is erased has neither tag nor key, and nothing can be told of it any more.
            known[here] = (block.columns["tag"][rows] == tags[here]) & (block.columns["key"][rows] != 0)
            width = block.columns["action"].shape[1]
            for row in here[known[here] & (slots[here] >= width)].tolist():
                raise InvalidOutcomeError(
                    f"decision {decision_ids[row]!r} has {width} slots, got slot {int(slots[row])}",
                    value=int(slots[row]),
                    expected=width,
                )
        for row in np.flatnonzero(~known).tolist():
            raise unknown_decision(decision_ids[row])

    def batches(self) -> Iterator[DecisionBatch]:
        """All decisions, block by block."""
        for receipt, block in self.log.read():
            if self.is_mine(block):
                yield found_batch(block, receipt.first, self.catalogue)

    def parts(self, position: I64, /) -> Iterator[tuple[slice, DecisionBatch]]:
        """Find logged decisions again, in parts: which of the positions, and the decisions.

        Args:
            position: Log numbers, shape (n,), ascending.
        """
        for batch in self.batches():
            first = int(batch.positions[0])
            lo, hi = np.searchsorted(position, [first, first + len(batch)]).tolist()
            for start in range(lo, hi, _PART):
                stop = min(start + _PART, hi)
                yield slice(start, stop), batch.take(position[start:stop] - first)

    def headers(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Log number of the first record, and meta, of each block of decisions; reads one column of each."""
        for receipt, block in blocks_of(self.log, "decision", "arm"):
            if self.is_mine(block):
                yield receipt.first, block.meta

    def rewards(self) -> tuple[I64, F64]:
        """Final rewards of first slots, and the places of their decisions: shape (m,), ascending."""
        positions, rewards = [np.zeros(0, np.int64)], [np.zeros(0)]
        for _, block in blocks_of(self.log, "reward"):
            if block.meta["agent"] == self.name:
                first = block.columns["slot"] == 0
                positions.append(block.columns["decision"][first])
                rewards.append(block.columns["reward"][first])
        position, reward = np.concatenate(positions), np.concatenate(rewards)
        order = np.argsort(position, kind="stable")
        return position[order], reward[order]

    def named(self, decision_id: str) -> DecisionBatch:
        """The decision of this id, as a batch of one.

        Raises:
            UnknownDecisionError: No such decision.
        """
        tags, positions = read_ids([decision_id])
        found = self._find(int(positions[0]))
        if found is None or found.columns["tag"][0] != tags[0]:
            raise unknown_decision(decision_id)
        return found

    def at(self, positions: Sequence[int]) -> Iterator[DecisionBatch]:
        """The decisions with these log numbers, block by block; without what was dropped or erased.

        Args:
            positions: Ascending.
        """
        wanted, start = np.array(positions, np.int64), 0
        while start < len(wanted):
            found = next(self.log.read(int(wanted[start])), None)
            if found is None:
                return
            receipt, block = found
            start += int(np.searchsorted(wanted[start:], receipt.first))  # those before were dropped
            stop = start + int(np.searchsorted(wanted[start:], receipt.first + receipt.count))
            if self.is_mine(block):
                rows = wanted[start:stop] - receipt.first
                rows = rows[block.columns["key"][rows] != 0]
                yield found_batch(block, receipt.first, self.catalogue).take(rows)
            start = stop

    def checkpoint(self, signers: Sequence[Signer], at: int, origin: str | None) -> str:
        """Sign the whole log.

        Raises:
            ConfigurationError: It cannot be signed.
            ProofError: There is no signer, nothing to sign, or the log has another name.
        """
        return self._proofs().checkpoint(*signers, at=at, origin=origin)

    def evidence(self, decision_id: str) -> Evidence:
        """What proves the decision of this id.

        Raises:
            ConfigurationError: The log proves nothing.
            UnknownDecisionError: No such decision.
            ProofError: No checkpoint is on it.
        """
        proofs = self._proofs()
        tags, positions = read_ids([decision_id])
        found = self._find(int(positions[0]))
        # An erased decision has no tag any more; what is left of it can be proved all the same.
        if found is None or (found.columns["tag"][0] != tags[0] and found.columns["key"][0]):
            raise unknown_decision(decision_id)
        return proofs.evidence(int(positions[0]))

    def _proofs(self) -> Proofs:
        if not isinstance(self.log, Proofs):
            raise ConfigurationError(
                f"the log of agent {self.name!r} is a {type(self.log).__name__}, which cannot be signed or"
                " proved: keep it in a file, with Agent.open(path, ...)",
                value=type(self.log).__name__,
            )
        return self.log

    def fetch(self, positions: Sequence[int]) -> DecisionBatch:
        """Decisions by their places in the log, in the order asked.

        Raises:
            LogError: The log no longer holds one of them.
        """
        found = [self._find(position) for position in positions]
        there = [batch for batch in found if batch is not None]
        if len(there) < len(found):
            raise LogError("the log no longer holds the first answer of a request: give it another id")
        return joined(there)

    def _find(self, position: int) -> DecisionBatch | None:
        """The decision at a place in the log, as a batch of one."""
        if position < 0:
            return None
        for receipt, block in self.log.read(position):
            if not (self.is_mine(block) and receipt.first <= position < receipt.first + receipt.count):
                return None
            return found_batch(block, receipt.first, self.catalogue).take(
                np.array([position - receipt.first])
            )
        return None


def taught_by(archive: Archive, policy: Policy, published: str, /) -> I64:
    """Places of the decisions whose reward was final when this policy first went into charge.

    Of a policy that never did, or cannot learn, there are none: what it learned elsewhere no log can show.

    Args:
        archive: Where decisions and rewards are.
        policy: Bound.
        published: Version of the policy in charge, which knows all of them if it has not decided yet.
    """
    known = [np.zeros(0, np.int64)]
    if not isinstance(policy, Learner):
        return known[0]
    try:
        version = fingerprint(policy)
    except CodecError:  # without a version it was never published
        return known[0]
    for _, block in archive.log.read():
        if block.kind == "reward" and block.meta["agent"] == archive.name:
            known.append(block.columns["decision"])
        elif archive.is_mine(block) and block.meta["policy"] == version:
            break
    else:
        if version != published:
            return known[0]
    return np.concatenate(known)
