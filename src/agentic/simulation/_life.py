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
from agentic.simulation._world import RUNS, Moment, World

DAY: Final = 24 * HOUR


@attrs.define(eq=False)
class Life:
    """What changes about the customers while the weeks go by: shape (n,) each."""

    world: World
    fatigue: F64
    trust: F64
    gone: Bools
    unsubscribed: Bools  # as far as the company has heard
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
        like = self.world.scenario
        days = np.maximum(now - self.seen[row], 0) / DAY
        fatigue = self.fatigue[row] * 0.5 ** (days / like.fatigue_half_life_days)
        trust = self.trust_at(row, now)
        hazard = like.churn + like.churn_growth * np.maximum(like.churn_below - trust, 0.0)
        luck = Dice(self.world.seed, row.astype(np.uint64)).uniform(Stream.CHURN, day)
        self.fatigue[row], self.trust[row], self.seen[row] = fatigue, trust, now
        self.gone[row] |= luck < hazard
        idle = np.maximum(now - self.bought[row], 0) / DAY
        return Moment(row, fatigue, trust, self.gone[row].copy(), idle)

    def trust_at(self, row: I64, now: int) -> F64:
        """Trust of these customers, part of what was lost having come back."""
        days = np.maximum(now - self.seen[row], 0) / DAY
        back = 0.5 ** (days / self.world.scenario.trust_half_life_days)
        return np.asarray(1.0 - (1.0 - self.trust[row]) * back)

    def contact(self, row: I64, intrusion: F64, delivery: I64) -> None:
        """Tire customers by a contact, which intrudes not at all where it does not arrive.

        Those who are tired already lose trust.
        """
        like, felt = self.world.scenario, self.fatigue[row]
        loss = np.minimum(like.trust_loss * np.maximum(felt - like.tolerance, 0.0), 0.5)
        self.trust[row] *= 1.0 - np.where(intrusion > 0.0, loss, 0.0)
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
    heard: I64  # when the customer is online to tell of it
    told: Bools

    def take(self, index: I64 | Bools) -> Events:
        return Events(*(column[index] for column in self._columns()))

    def _columns(self) -> tuple[NDArray[Any], ...]:
        return self.row, self.decision, self.tag, self.goal, self.amount, self.at, self.heard, self.told

    @classmethod
    def joined(cls, parts: list[Events]) -> Events:
        return cls(*(np.concatenate(columns) for columns in zip(*(p._columns() for p in parts), strict=True)))


@attrs.define(eq=False)
class Calendar:
    """Outcomes by the run in which they are reported: some are lost, some come late, some come twice.

    Attributes:
        world: Whose customers they are.
        start: Midnight of the first day.
        late: Runs by which a late report misses the closing of its window.
        waiting: Outcomes by the number of a run.
    """

    world: World
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
        dice, like = Dice(self.world.seed, row[hit].astype(np.uint64)), self.world.scenario
        luck, twice = dice.uniform(Stream.REPORT, code, number), dice.uniform(Stream.TWICE, code, number)
        heard = self.world.connectivity.next_online(row[hit], at)
        events = Events(
            row[hit],
            batch.positions[hit],
            batch.columns["tag"][hit],
            np.full(len(hit), code, np.int8),
            amount,
            at,
            heard,
            luck >= like.lost + like.late,
        )
        due = self._run_after(heard)
        self._put(events, due)
        self._put(
            events.take(events.told & (twice < like.double)), due[events.told & (twice < like.double)] + 1
        )
        late = (luck >= like.lost) & ~events.told
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
