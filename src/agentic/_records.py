"""How decisions look: ids, columnar batches of them, and the view of one."""

from __future__ import annotations

import functools
import operator
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray

from agentic._flow import ARMS, NOT_ELIGIBLE, OUTRANKED, REASONS, RESTRICTED, STOPPED, SUPPRESSED
from agentic.arrays import F64, I64, SOUND, U64, Block, Bools, shown
from agentic.catalogue import Catalogue
from agentic.errors import AgenticError, UnknownDecisionError, masked
from agentic.types import Action, Choice, Cost, Decision, instant

_DIGITS: Final = 32
_EXCLUSIVE: Final = {
    bit: pair for pair in (SUPPRESSED, RESTRICTED) for bit in (pair & -pair, pair & (pair - 1))
} | {OUTRANKED: STOPPED}
_HEX: Final = frozenset("0123456789abcdef")
_SOUND: Final = frozenset(int(status) for status in SOUND)


def write_ids(tags: U64, positions: I64, /) -> list[str]:
    """Name records: 16 hexadecimal digits of tag, 16 of position."""
    pairs = np.empty((len(tags), 2), dtype=">u8")
    pairs[:, 0] = tags
    pairs[:, 1] = positions.astype(np.uint64)
    text = pairs.tobytes().hex()
    return [text[at : at + _DIGITS] for at in range(0, len(text), _DIGITS)]


def read_ids(ids: Sequence[str], /) -> tuple[U64, I64]:
    """Split names of records into tags and positions; position -1 where a text is no decision id."""
    texts = [
        text if isinstance(text, str) and len(text) == _DIGITS and text.isascii() else "" for text in ids
    ]
    pairs = np.zeros((len(texts), 2), dtype=">u8")
    good = np.array([bool(text) for text in texts], dtype=np.bool_)
    try:
        pairs[good] = np.frombuffer(bytes.fromhex("".join(texts)), dtype=">u8").reshape(-1, 2)
    except ValueError:
        for row, text in enumerate(texts):
            try:
                pairs[row] = np.frombuffer(bytes.fromhex(text), dtype=">u8") if text else 0
            except ValueError:
                good[row] = False
    positions = pairs[:, 1].astype(np.uint64)
    good &= positions < 1 << 62
    return pairs[:, 0].astype(np.uint64), np.where(good, positions, 0).astype(np.int64) - ~good


def unknown_decision(decision_id: object, /) -> UnknownDecisionError:
    """The error for an id that names no record."""
    # What looks like an id of ours is one, and nobody's name.
    ours = isinstance(decision_id, str) and len(decision_id) == _DIGITS and set(decision_id) <= _HEX
    told = repr(decision_id) if ours else f"called {masked(decision_id)}"
    return UnknownDecisionError(
        f"no decision {told} in this agent's log: pass the id of a decision this agent made",
        value=decision_id if ours else masked(decision_id),
    )


@attrs.define(eq=False)
class DecisionBatch:
    """Many decisions as columns; a ``Decision`` is a row of it, made when somebody looks.

    Attributes:
        columns: The logged columns, shape (n, ...) each; ``docs/reference`` lists them.
        metas: What holds for many of them: agent, policy version, reason codes. A batch has one, unless
            it repeats answers that were given earlier.
        positions: Shape (n,), int64: where the log keeps each.
        catalogue: The actions.
        meta_of: Shape (n,), int64: which of ``metas`` holds for each; ``None`` when there is one.
    """

    __repr__ = shown

    columns: dict[str, NDArray[Any]]
    metas: tuple[dict[str, Any], ...]  # JSON-compatible
    positions: I64
    catalogue: Catalogue
    meta_of: I64 | None = None

    def __len__(self) -> int:
        return len(self.positions)

    def __iter__(self) -> Iterator[Decision]:
        return (self[row] for row in range(len(self)))

    @property
    def ids(self) -> list[str]:
        """Decision ids."""
        return write_ids(self.columns["tag"], self.positions)

    @property
    def subjects(self) -> list[str]:
        """Whom each is for."""
        subjects: list[str] = self.columns["subject"].tolist()
        return subjects

    @property
    def action(self) -> I64:
        """Shape (n, s), int: columns of the catalogue."""
        return self.columns["action"]

    @property
    def action_ids(self) -> NDArray[np.object_]:
        """Shape (n,): id of the action in the first slot."""
        return np.array(self.catalogue.ids, dtype=object)[self.action[:, 0]]

    @property
    def probability(self) -> F64:
        """Shape (n, s): exact probability of each choice."""
        return self.columns["probability"]

    @property
    def explored(self) -> Bools:
        """Shape (n, s)."""
        return self.columns["explored"]

    @property
    def sends(self) -> Bools:
        """Shape (n,): the decision sends at least one thing."""
        found: Bools = (self.action != self.catalogue.idle).any(axis=1)
        return found

    @property
    def arms(self) -> list[str]:
        """Arm of each."""
        return [ARMS[arm] for arm in self.columns["arm"].tolist()]

    @property
    def cost(self) -> F64:
        """Shape (n,): price of the messages."""
        return self.columns["cost"]

    @property
    def degraded(self) -> Bools:
        """Shape (n,): a feature was missing, stale or bad, or the policy failed."""
        sound = np.isin(self.columns["status"], SOUND).all(axis=1)
        found: Bools = ~sound | self.columns["policy_failed"]
        return found

    def counts(self) -> dict[str, int]:
        """How often each action was chosen, by id."""
        found = np.bincount(self.action.reshape(-1), minlength=len(self.catalogue))
        return {action_id: int(count) for action_id, count in zip(self.catalogue.ids, found, strict=True)}

    def take(self, rows: I64 | slice, /) -> DecisionBatch:
        """The same batch with only these rows."""
        columns = {name: column[rows] for name, column in self.columns.items()}
        meta_of = None if self.meta_of is None else self.meta_of[rows]
        return DecisionBatch(columns, self.metas, self.positions[rows], self.catalogue, meta_of)

    def meta(self, row: int, /) -> dict[str, Any]:  # JSON-compatible
        """What holds for this row."""
        return self.metas[0 if self.meta_of is None else int(self.meta_of[row])]

    def denials(self) -> dict[str, int]:
        """How many candidates each reason struck out; a candidate may have several reasons."""
        counted: Counter[str] = Counter()
        for which, meta in enumerate(self.metas):
            bits = self.columns["denied"]
            if self.meta_of is not None:
                bits = bits[self.meta_of == which]
            found: dict[str, Bools] = {}
            for code, mask, value in reason_bits(meta["reasons"]):
                struck = (bits & mask) == value
                found[code] = found[code] | struck if code in found else struck
            counted.update({code: int(struck.sum()) for code, struck in found.items()})
        return {code: count for code, count in counted.items() if count}

    def __getitem__(self, row: int, /) -> Decision:
        n = len(self)
        if isinstance(row, slice):
            raise TypeError(
                "a batch gives one decision for one row: for some of its rows use take(slice(...))"
            )
        if not -n <= row < n:
            raise IndexError(f"row {row} of a batch of {n} decisions")
        row %= n
        meta = self.meta(row)
        columns, actions, ids = self.columns, self.catalogue.actions, self.catalogue.ids
        bits = columns["denied"][row].tolist()
        status = columns["status"][row].tolist()
        degraded = (
            []
            if _SOUND.issuperset(status)
            # Answers given before a feature was declared have no status of it.
            else [name for name, code in zip(meta["features"], status, strict=False) if code not in _SOUND]
        )
        if columns["policy_failed"][row]:
            degraded.append("policy")
        return Decision(
            id=f"{int(columns['tag'][row]):016x}{int(self.positions[row]):016x}",
            subject=columns["subject"][row],
            agent=meta["agent"],
            at=instant(columns["at"][row]),
            choices=tuple(
                Choice(actions[a], p, e, _known(s), _known(d))
                for a, p, e, s, d in zip(
                    columns["action"][row].tolist(),
                    columns["probability"][row].tolist(),
                    columns["explored"][row].tolist(),
                    columns["score"][row].tolist(),
                    columns["spread"][row].tolist(),
                    strict=True,
                )
            ),
            arm=ARMS[columns["arm"][row]],
            policy_version=meta["policy"],
            reasons=_reasons(bits, ids, meta["reasons"]) if any(bits) else {},
            degraded=tuple(degraded),
            cost=Cost(float(columns["cost"][row]), float(columns["compute_us"][row]), bits.count(0)),
            autonomy=meta.get("autonomy", "autonomous"),
        )


def _known(value: float) -> float | None:
    return None if value != value else value  # noqa: PLR0124 - not a number


def _reasons(bits: list[int], ids: Sequence[str], codes: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
    """Why candidates were struck out: reason code to action ids."""
    found: dict[str, list[str]] = {}
    seen = functools.reduce(operator.or_, bits)
    for code, mask, value in reason_bits(codes):
        if seen & mask:
            for action_id, bit in zip(ids, bits, strict=True):
                # Two guardrails may have one code: an action is struck out for a reason once.
                if bit & mask == value and action_id not in found.setdefault(code, []):
                    found[code].append(action_id)
    return {code: tuple(sorted(struck)) for code, struck in found.items() if struck}


def reason_bits(reasons: Sequence[str], /) -> Sequence[tuple[str, int, int]]:
    """How to read ``denied``: (code, mask, value) triples; a code holds where bits & mask == value.

    Args:
        reasons: The guardrails' reason codes, in order.
    """
    return _reason_bits(tuple(reasons))


@functools.lru_cache(maxsize=256)
def _reason_bits(reasons: tuple[str, ...]) -> Sequence[tuple[str, int, int]]:
    found = [(code, _EXCLUSIVE.get(1 << bit, 1 << bit), 1 << bit) for bit, code in enumerate(REASONS)]
    found += [("SUPPRESSED", SUPPRESSED, SUPPRESSED), ("RESTRICTED", STOPPED, RESTRICTED)]
    found.append(("STOPPED", STOPPED, STOPPED))
    for index, code in enumerate(reasons):
        low = 1 << (len(REASONS) + 2 * index)
        both = low | low << 1
        found += [(code, both, low), (f"{code}_UNKNOWN", both, low << 1), (f"{code}_FAILED", both, both)]
    return found


def batch_of(block: Block, first: int, catalogue: Catalogue, /) -> DecisionBatch:
    """Show a block of the log as decisions."""
    return DecisionBatch(block.columns, (block.meta,), np.arange(first, first + len(block)), catalogue)


def found_batch(block: Block, first: int, catalogue: Catalogue, /) -> DecisionBatch:
    """Show a block of the log as decisions among the actions that there were then."""
    return batch_of(block, first, catalogue_of(block.meta, catalogue))


def catalogue_of(meta: Mapping[str, Any], catalogue: Catalogue, /) -> Catalogue:
    """The actions that columns of a logged block stand for.

    Args:
        meta: Of the block.
        catalogue: The agent's actions now; of those it has no more nothing is known but the id.
    """
    told = meta.get("actions")
    if told == list(catalogue.ids) or not isinstance(told, list):
        return catalogue
    return _former(tuple(told), catalogue) if all(isinstance(item, str) for item in told) else catalogue


@functools.lru_cache(maxsize=64)
def _former(ids: tuple[str, ...], catalogue: Catalogue) -> Catalogue:
    known = dict(zip(catalogue.ids, catalogue.actions, strict=True))
    try:
        former = Catalogue.of([known.get(item) or Action(item) for item in ids])
    except AgenticError:
        return catalogue
    return former if former.ids == ids else catalogue


def _together(batches: Sequence[DecisionBatch]) -> Sequence[DecisionBatch]:
    """Batches that were decided among other actions, or by other features, with columns of one shape."""
    catalogue = batches[0].catalogue
    if any(batch.catalogue.ids != catalogue.ids for batch in batches):
        catalogue = Catalogue.of(
            {action.id: action for batch in reversed(batches) for action in batch.catalogue.actions}.values()
        )
    width = max(batch.columns["values"].shape[1] for batch in batches)
    return [_widened(batch, catalogue, width) for batch in batches]


def _widened(batch: DecisionBatch, catalogue: Catalogue, width: int) -> DecisionBatch:
    columns, n = dict(batch.columns), len(batch)
    if batch.catalogue.ids != catalogue.ids:
        place = np.array([catalogue.column(item) for item in batch.catalogue.ids])
        denied = np.full((n, len(catalogue)), NOT_ELIGIBLE, dtype=columns["denied"].dtype)
        denied[:, place] = columns["denied"]
        columns |= {"action": place[columns["action"]], "denied": denied}
    more = width - columns["values"].shape[1]
    if more:
        columns["values"] = np.pad(columns["values"], ((0, 0), (0, more)), constant_values=np.nan)
        columns["status"] = np.pad(columns["status"], ((0, 0), (0, more)), constant_values=SOUND[0])
    return attrs.evolve(batch, columns=columns, catalogue=catalogue)


def joined(batches: Sequence[DecisionBatch], /) -> DecisionBatch:
    """One batch of several, at least one, in their order."""
    batches = _together(batches)
    metas: list[dict[str, Any]] = []
    which = []
    for batch in batches:
        for meta in batch.metas:
            if meta not in metas:
                metas.append(meta)
        which.append([metas.index(batch.meta(row)) for row in range(len(batch))])
    first = batches[0]
    # What policies remembered is packed differently, or not at all, under different policies.
    alike = [
        name
        for name, column in first.columns.items()
        if all(name in b.columns and b.columns[name].shape[1:] == column.shape[1:] for b in batches)
    ]
    return DecisionBatch(
        {name: np.concatenate([batch.columns[name] for batch in batches]) for name in alike},
        tuple(metas),
        np.concatenate([batch.positions for batch in batches]),
        first.catalogue,
        np.concatenate(which).astype(np.int64),
    )
