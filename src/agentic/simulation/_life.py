"""What has happened to simulated customers: fatigue, trust, purchases, and what is still to come of them."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray

from agentic._records import DecisionBatch
from agentic.arrays import F64, I64, U64, Bools
from agentic.simulation._dice import Dice, Stream
from agentic.simulation._offers import HOUR
from agentic.simulation._world import LATE, LOST, RUNS, Moment, World

DAY: Final = 24 * HOUR

_FATIGUE_HALF_LIFE: Final = 5.0  # days
_TRUST_HALF_LIFE: Final = 60.0  # days, back to what it was
_DOUBLE: Final = 0.02  # share of outcomes that is reported twice


@attrs.define(eq=False)
class Life:
    """What changes about the customers while the weeks go by: shape (n,) each."""

    world: World
    fatigue: F64
    trust: F64
    gone: Bools
    seen: I64  # when fatigue and trust were last brought up to date
    bought: I64
    contacts: I64  # (n, 4): the last deliveries
    recall: Bools
    value: F64
    sent: I64

    @classmethod
    def begin(cls, world: World, start: int) -> Life:
        n = len(world)
        return cls(
            world,
            np.zeros(n),
            np.ones(n),
            np.zeros(n, np.bool_),
            np.full(n, start, np.int64),
            start - (world.bought_days * DAY).astype(np.int64),
            np.full((n, 4), start - 1000 * DAY, np.int64),
            np.zeros(n, np.bool_),
            np.zeros(n),
            np.zeros(n, np.int64),
        )

    def visit(self, row: I64, now: int, day: int) -> Moment:
        """Let time pass for these customers, and some of them leave."""
        days = np.maximum(now - self.seen[row], 0) / DAY
        fatigue = self.fatigue[row] * 0.5 ** (days / _FATIGUE_HALF_LIFE)
        trust = 1.0 - (1.0 - self.trust[row]) * 0.5 ** (days / _TRUST_HALF_LIFE)
        hazard = 0.0008 + 0.06 * np.maximum(0.75 - trust, 0.0)
        luck = Dice(self.world.seed, row.astype(np.uint64)).uniform(Stream.CHURN, day)
        self.fatigue[row], self.trust[row], self.seen[row] = fatigue, trust, now
        self.gone[row] |= luck < hazard
        idle = np.maximum(now - self.bought[row], 0) / DAY
        return Moment(row, fatigue, trust, self.gone[row].copy(), idle)

    def contact(self, row: I64, intrusion: F64, delivery: I64) -> None:
        """Tire customers by a contact; those who are tired already lose trust."""
        self.trust[row] *= 1.0 - np.minimum(0.035 * np.maximum(self.fatigue[row] - 0.8, 0.0), 0.5)
        self.fatigue[row] += intrusion
        self.contacts[row] = np.sort(np.concatenate([self.contacts[row][:, 1:], delivery[:, None]], axis=1))
        self.sent[row] += 1

    def recent(self, row: I64, now: int) -> I64:
        found: I64 = (self.contacts[row] > now - 14 * DAY).sum(axis=1)
        return found


@attrs.frozen(eq=False)
class Events:
    """Outcomes that wait for their time: shape (e,) each."""

    row: I64
    decision: I64
    tag: U64
    goal: NDArray[np.int8]
    amount: F64
    at: I64
    told: Bools

    def take(self, index: I64 | Bools) -> Events:
        return Events(*(column[index] for column in self._columns()))

    def _columns(self) -> tuple[NDArray[Any], ...]:
        return self.row, self.decision, self.tag, self.goal, self.amount, self.at, self.told

    @classmethod
    def joined(cls, parts: list[Events]) -> Events:
        return cls(*(np.concatenate(columns) for columns in zip(*(p._columns() for p in parts), strict=True)))


@attrs.define(eq=False)
class Calendar:
    """Outcomes by the run in which they are reported: some are lost, some come late, some come twice.

    Attributes:
        seed: Of the luck.
        start: Midnight of the first day.
        late: Runs by which a late report misses the closing of its window.
        waiting: Outcomes by the number of a run.
    """

    seed: int
    start: int
    late: int
    waiting: dict[int, list[Events]] = attrs.field(factory=lambda: defaultdict(list))

    def due(self, number: int) -> Events | None:
        """Take out what is to be reported in this run."""
        parts = self.waiting.pop(number, None)
        return None if parts is None else Events.joined(parts)

    def add(
        self, batch: DecisionBatch, row: I64, hit: I64, code: int, amount: F64, at: I64, number: int
    ) -> None:
        """Enter outcomes of one kind.

        Args:
            batch: The decisions, made in run ``number``.
            row: Shape (n,): whom they are for.
            hit: Shape (h,): of which decisions something comes.
            code: Its kind.
            amount: Shape (h,).
            at: Shape (h,): when it happens.
            number: Of the run.
        """
        dice = Dice(self.seed, row[hit].astype(np.uint64))
        luck, twice = dice.uniform(Stream.REPORT, code, number), dice.uniform(Stream.TWICE, code, number)
        events = Events(
            row[hit],
            batch.positions[hit],
            batch.columns["tag"][hit],
            np.full(len(hit), code, np.int8),
            amount,
            at,
            luck >= LOST + LATE,
        )
        due = self._run_after(at)
        self._put(events, due)
        self._put(events.take(events.told & (twice < _DOUBLE)), due[events.told & (twice < _DOUBLE)] + 1)
        late = (luck >= LOST) & ~events.told
        if late.any():
            again = events.take(late)
            self._put(attrs.evolve(again, told=np.ones(len(again.row), np.bool_)), due[late] + self.late)

    def _put(self, events: Events, due: I64) -> None:
        for number in np.unique(due).tolist():
            self.waiting[number].append(events.take(due == number))

    def _run_after(self, at: I64) -> I64:
        """Number of the first run at or after a time."""
        day, rest = np.divmod(at - self.start, DAY)
        found: I64 = day * len(RUNS) + np.searchsorted(RUNS, rest, side="left")
        return found


def delays(mean_hours: float, luck: F64) -> I64:
    """Exponential delays in microseconds."""
    found: I64 = (-mean_hours * HOUR * np.log1p(-luck)).astype(np.int64)
    return found
