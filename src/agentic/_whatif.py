"""What would another policy have changed: which choices, of whom, and worth how much?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray

from agentic._flow import ARMS, POLICY
from agentic._offpolicy import SNIPW, Estimate, Logged, doubted, judge, overlap
from agentic._records import DecisionBatch
from agentic.arrays import F64, I64, U64, Bools
from agentic.conditions import Coded
from agentic.features import Schema

MOST_FEATURES: Final = 64
MOST_VALUES: Final = 100
MOST_TRANSITIONS: Final = 1000
_PARTS: Final = 4
# A number is filed by sign, exponent (2^-64 to 2^64) and seven bits of mantissa.
_SHIFT: Final = 45
_ZERO: Final = 1 << 14
_OFFSET: Final = (1023 - 64) << 7


@attrs.frozen
class Segment:
    """Decisions that have something in common, and how many of them would have come out otherwise.

    Attributes:
        name: ``"arm"``, ``"policy_version"`` or the name of a feature.
        value: What they have in common: an arm, a version, a category, a span of numbers such as
            ``"12 to 31"`` whose ends are good to 0.8 %, ``"another value"`` or ``"missing"``.
        decisions: How many there are.
        changed: How many of them would have come out otherwise.
    """

    name: str
    value: str
    decisions: int
    changed: int

    @property
    def share(self) -> float:
        """Share that would have come out otherwise, 0 to 1."""
        return self.changed / self.decisions if self.decisions else 0.0


@attrs.frozen
class Changes:
    """What another policy would have changed, with the same draws: rows whose action differs.

    Attributes:
        decisions: How many were decided by it.
        changed: How many chose another action in some slot.
        transitions: How often which action would have become which, by (logged, now), the most frequent
            first; up to 1,000 pairs.
        segments: The same for those who have something in common: by arm, by policy version, by every
            value of up to 64 features (100 values each), numbers in quarters of about equal size.
    """

    decisions: int
    changed: int
    transitions: Mapping[tuple[str, str], int]
    segments: tuple[Segment, ...]

    @property
    def share(self) -> float:
        """Share of decisions that would have come out otherwise, 0 to 1."""
        return self.changed / self.decisions if self.decisions else 0.0

    def by(self, name: str, /) -> dict[str, Segment]:
        """The segments of one feature, of ``"arm"`` or of ``"policy_version"``, by value."""
        return {segment.value: segment for segment in self.segments if segment.name == name}


@attrs.frozen
class Worth:
    """What another policy would have been worth, by the decisions of the policy arm whose reward is final.

    Attributes:
        estimate: Reward per decision, self-normalised and inverse to the logged probabilities, with its
            interval by subject; without support it has no bounds and says why.
        earned: Mean reward of the same decisions as they were made.
        decisions: How many it goes by.
        pending: Decisions of the policy arm that were left out because their reward is not final.
    """

    estimate: Estimate
    earned: float
    decisions: int
    pending: int


@attrs.define(eq=False)
class Tally:
    """Counts what changes, part by part of the log; memory does not grow with it.

    Attributes:
        ids: Action ids.
        schema: Of the features.
    """

    ids: tuple[str, ...]
    schema: Schema
    decisions: int = attrs.field(default=0, init=False)
    changed: int = attrs.field(default=0, init=False)
    _moves: dict[int, int] = attrs.field(factory=dict, init=False)
    _named: dict[tuple[str, str], I64] = attrs.field(factory=dict, init=False)
    _numbers: dict[str, I64] = attrs.field(factory=dict, init=False)

    def add(self, part: DecisionBatch, action: I64, changed: Bools, /) -> None:
        """Count rows of one policy version.

        Args:
            part: As logged, n rows.
            action: Shape (n, s): what would be chosen now.
            changed: Shape (n,).
        """
        self.decisions += len(part)
        self.changed += int(np.count_nonzero(changed))
        before = part.action
        moved = before != action
        codes, counts = np.unique(before[moved] * len(self.ids) + action[moved], return_counts=True)
        for code, count in zip(codes.tolist(), counts.tolist(), strict=True):
            self._moves[code] = self._moves.get(code, 0) + count
        self._count("arm", part.columns["arm"].astype(np.int64), ARMS, changed)
        self._count(
            "policy_version", np.zeros(len(part), np.int64), (str(part.meta(0).get("policy")),), changed
        )
        self._count_features(part, changed)

    def _count_features(self, part: DecisionBatch, changed: Bools) -> None:
        matrix = part.columns["values"]
        shown = self.schema.columns(matrix)
        place = {name: j for j, name in enumerate(self.schema.names)}
        for name in [name for name in self.schema.names if name in self.schema.fields][:MOST_FEATURES]:
            column = shown[name]
            if isinstance(column, Coded):
                codes = np.nan_to_num(column.codes.astype(np.float64), nan=-2.0)
                self._count(
                    name,
                    np.clip(codes, -2, len(column.categories)).astype(np.int64),
                    column.categories,
                    changed,
                )
            else:
                self._file(name, matrix[:, place[name]], changed)

    def _count(self, name: str, codes: I64, texts: tuple[str, ...], changed: Bools) -> None:
        """Count codes from 0 by their text, -1 as another value, -2 as missing."""
        all_, some = (np.bincount(found + 2, minlength=2) for found in (codes, codes[changed]))
        for code in all_.nonzero()[0].tolist():
            at = code - 2
            text = "missing" if at == -2 else texts[at] if 0 <= at < len(texts) else "another value"
            there = self._named.setdefault((name, text), np.zeros(2, np.int64))
            there += all_[code], some[code] if code < len(some) else 0

    def _file(self, name: str, values: F64, changed: Bools) -> None:
        """File numbers by their leading bits."""
        known = ~np.isnan(values)
        if np.count_nonzero(known) < len(known):
            self._count(name, np.full(int((~known).sum()), -2), (), changed[~known])
            values, changed = values[known], changed[known]
        filed = self._numbers.setdefault(name, np.zeros((2, 2 * _ZERO), np.int64))
        codes = _filed(values)
        np.add.at(filed[0], codes, 1)
        np.add.at(filed[1], codes[changed], 1)

    def merge(self, other: Tally, /) -> None:
        """Count what another one counted, of the same actions and features."""
        self.decisions += other.decisions
        self.changed += other.changed
        for code, count in other._moves.items():
            self._moves[code] = self._moves.get(code, 0) + count
        for named, counts in other._named.items():
            self._named[named] = self._named.get(named, 0) + counts
        for name, filed in other._numbers.items():
            self._numbers[name] = self._numbers.get(name, 0) + filed

    def changes(self) -> Changes:
        """What was counted."""
        k = len(self.ids)
        moves = sorted(self._moves.items(), key=lambda item: (-item[1], item[0]))[:MOST_TRANSITIONS]
        transitions = {(self.ids[code // k], self.ids[code % k]): count for code, count in moves}
        order = {"arm": -2, "policy_version": -1} | {n: j for j, n in enumerate(self.schema.names)}
        found: dict[str, list[Segment]] = {name: [] for name in order}
        for name, filed in self._numbers.items():
            found[name] += _quarters(name, filed)
        for (name, text), (many, some) in self._named.items():
            found[name].append(Segment(name, text, int(many), int(some)))
        segments = []
        for name in order:
            fewest = sorted(found[name], key=lambda segment: -segment.decisions)[:MOST_VALUES]
            segments += [segment for segment in found[name] if segment in fewest]
        return Changes(self.decisions, self.changed, transitions, tuple(segments))


def _filed(values: F64) -> I64:
    """Where each number is filed: from 0, in their order."""
    size = (np.abs(values).view(np.int64) >> _SHIFT) - _OFFSET
    size = np.clip(size, 0, _ZERO - 1)
    return np.asarray(_ZERO + np.where(values < 0, -size, size), dtype=np.int64)


def _least(code: int) -> float:
    """The number nearest to 0 that is filed here."""
    size = abs(code - _ZERO)
    if not size:
        return 0.0
    number = float(np.array(size + _OFFSET << _SHIFT, dtype=np.int64).view(np.float64))
    return number if code > _ZERO else -number


def _quarters(name: str, filed: I64) -> Iterator[Segment]:
    """Spans of about equal size; a number that many have is a span of its own."""
    there = filed[0].nonzero()[0]
    running = np.cumsum(filed[0][there])
    before = running - filed[0][there]
    part = np.minimum(before * _PARTS // max(int(running[-1]), 1), _PARTS - 1) if len(there) else before
    for which in np.unique(part).tolist():
        codes = there[part == which]
        low, high = (f"{_least(int(code)):.4g}" for code in (codes[0], codes[-1]))
        value = low if low == high else f"{low} to {high}"
        yield Segment(name, value, int(filed[0][codes].sum()), int(filed[1][codes].sum()))


@attrs.define(eq=False)
class Weighing:
    """Gathers what the worth of a policy is estimated from: 40 bytes for each final reward.

    Attributes:
        position: Shape (m,), ascending: places of decisions whose reward is final.
        reward: Shape (m,): of their first slots.
        k: Number of actions.
    """

    position: I64
    reward: F64
    k: int
    _pending: int = attrs.field(default=0, init=False)
    _parts: list[tuple[NDArray[Any], ...]] = attrs.field(factory=list, init=False)
    _mass: F64 = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._mass = np.zeros(self.k)

    def add(self, part: DecisionBatch, target: F64, /) -> None:
        """Gather decisions of the policy arm.

        Args:
            part: As logged, n rows.
            target: Shape (n, k): with which probability the policy would choose each candidate.
        """
        if not len(self.position):
            self._pending += len(part)
            return
        at = np.minimum(np.searchsorted(self.position, part.positions), len(self.position) - 1)
        known = self.position[at] == part.positions
        self._pending += len(part) - int(np.count_nonzero(known))
        rows = known.nonzero()[0]
        action = part.action[rows, 0]
        self._mass += target[rows].sum(axis=0)
        self._parts.append(
            (
                part.positions[rows],
                part.columns["key"][rows],
                action,
                part.probability[rows, 0],
                target[rows, action],
                self.reward[at[rows]],
            )
        )

    def worth(self, known_before: I64, /) -> Worth | None:
        """The estimate; ``None`` where no reward is final.

        Args:
            known_before: Places of decisions that the policy may have learned from.
        """
        if not sum(len(part[0]) for part in self._parts):
            return None
        columns = [np.concatenate(column) for column in zip(*self._parts, strict=True)]
        position, key, action, probability, chosen, reward = columns
        groups: U64 = key
        logged = Logged(action, reward, probability=probability, groups=groups)
        unseen = np.ones(self.k, dtype=np.bool_)
        unseen[action] = False
        hidden = float(self._mass[unseen].sum()) / len(action)
        rows = attrs.evolve(overlap(logged, chosen), unseen_mass=hidden)
        estimate = judge(rows, probability=logged.probability, estimator=SNIPW())
        seen = int(np.isin(position, known_before).sum())
        return Worth(doubted(estimate, seen), float(reward.mean()), len(reward), self._pending)


def of_policy_arm(part: DecisionBatch, /) -> I64:
    """Rows that the policy in charge decided, or should have."""
    return np.asarray((part.columns["arm"] == POLICY).nonzero()[0], dtype=np.int64)
