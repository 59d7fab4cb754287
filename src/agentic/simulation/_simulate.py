"""What would an agent have done in a simulated world: the loop of production over it, and its truth."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray

from agentic._agent import Agent
from agentic._records import DecisionBatch, write_ids
from agentic.arrays import F64, I64, Bools
from agentic.catalogue import Catalogue
from agentic.conditions import Column
from agentic.errors import ConfigurationError, EvaluationError
from agentic.evaluation import Joined, target_probabilities
from agentic.protocols import Policy
from agentic.rewards import Goals, Recorded
from agentic.simulation._dice import Dice, Stream
from agentic.simulation._life import DAY, Calendar, Events, Life, delays
from agentic.simulation._offers import Offers
from agentic.simulation._oracle import true_columns
from agentic.simulation._weekly import Weekly
from agentic.simulation._world import (
    OUTCOMES,
    PURPOSE,
    RUNS,
    Moment,
    World,
)
from agentic.types import (
    EXPOSED,
    ConsentGranted,
    ConsentWithdrawn,
    Fact,
    Suppressed,
    instant,
    micros,
    span,
)

START: Final = datetime(2026, 2, 19, tzinfo=UTC)
"""A Thursday, as 1970-01-01 was, so that weeks of a budget are weeks of a simulation."""

_RECEIPT: Final = 3  # the code of an exposure; of outcomes beyond it the code is one more than their place
_GOALS: Final = (*OUTCOMES[:_RECEIPT], EXPOSED, *OUTCOMES[_RECEIPT:])
_AMOUNT_SPREAD: Final = 0.25  # of the logarithm of a basket


@attrs.frozen(eq=False)
class Simulated:
    """What came of a simulation, as columns.

    Decisions have one row each, in the order of the agent's log; customers one each.

    Attributes:
        world: The customers.
        weeks: How long decisions were made.
        position: Shape (d,), int64: place of each decision in the agent's log.
        moment: How the customer was when it was made, d rows.
        now: Shape (d,), int64: when that was.
        value: Shape (n,), float64: what each customer's outcomes were really worth by the agent's goals,
            whether or not they were reported or came in time.
        contacts: Shape (n,), int64: how often each was contacted.
        gone: Shape (n,), bool: who has left.
        trust: Shape (n,), float64, 0 to 1, when last seen.
        recorded: How many outcomes the agent counted, and how many it refused, by ``Recorded``.
        worth: Shape (d,), float64: what the outcomes of each decision are worth on average, given the
            customer then and the action; ``value`` is this and luck.
        decide_us: Shape (w,), float64: microseconds of processor time per decision of each call of
            ``decide_many``, in order. Measured, so never the same twice, like what follows.
        learn_us: Shape (t,), float64: microseconds of processor time of each call of ``learn``, in order.
        weekly: How the weeks went, whatever the agent's goals are.
    """

    world: World
    weeks: int
    position: I64
    moment: Moment
    now: I64
    value: F64
    contacts: I64
    gone: Bools
    trust: F64
    recorded: Mapping[str, int]
    worth: F64
    decide_us: F64
    learn_us: F64
    weekly: Weekly

    def expected(self, goals: Goals, catalogue: Catalogue, decision: I64, /) -> F64:
        """The true expected reward of every action at logged decisions, shape (m, k).

        It is in closed form: no draws, and outcomes that come too late or are lost left out.

        Args:
            goals: What outcomes are worth; the sum of them, counted from the decision.
            catalogue: The actions.
            decision: Shape (m,): rows of ``position``, all made at the same time.

        Raises:
            EvaluationError: The goals are not a plain sum from the decision on, or times differ.
        """
        when = np.unique(self.now[decision])
        if len(when) != 1:
            raise EvaluationError(f"decisions of one time are needed, got {len(when)} times", value=len(when))
        return self.world.expected(self.moment.take(decision), catalogue, goals, int(when[0]))


def one_step_value(agent: Agent, policy: Policy, simulated: Simulated, rows: Joined, /) -> float:
    """The true value per decision that ``evaluate`` estimates: known to the simulator, and to nobody else.

    In each of these logged states the policy decides once, under the rules as they were; what that would do
    to the customer afterwards is left out, as it is in the estimate.

    Args:
        agent: That was simulated.
        policy: The policy in question.
        simulated: What came of the simulation.
        rows: Which decisions of the log.

    Raises:
        EvaluationError: There are no rows, or the goals are not a plain sum from the decision on.
    """
    if not len(rows) or agent.goals is None:
        raise EvaluationError("one_step_value needs decisions with final rewards, got none", value=len(rows))
    target, _ = target_probabilities(agent, policy, rows)
    decision = np.searchsorted(simulated.position, rows.position)
    total = 0.0
    cuts = np.flatnonzero(np.diff(simulated.now[decision])) + 1
    for lo, hi in itertools.pairwise([0, *cuts.tolist(), len(rows)]):
        reward = simulated.expected(agent.goals, rows.catalogue, decision[lo:hi])
        total += float((reward * target[lo:hi]).sum())
    return total / len(rows)


def simulate(
    agent: Agent,
    world: World,
    *,
    weeks: int,
    start: datetime = START,
    decisions_per_week: float = 2.5,
    progress: Callable[[int, int], None] | None = None,
) -> Simulated:
    """Run an agent on a world, by the same calls as in production.

    Three times a day the agent decides for the customers whose turn it is; before that it is told what has
    happened meanwhile: outcomes, some of them twice, late or never, and consents withdrawn. Once a day it
    learns. After the last week it decides no more, until every reward window is closed.

    Args:
        agent: A fresh one, with goals; of its features those are filled that the world knows.
        world: The customers.
        weeks: How long to decide, 1 or more.
        start: A midnight in UTC.
        decisions_per_week: How often each customer's turn comes, on average; above 0, at most 7.
        progress: Told how many runs are done, and out of how many.

    Raises:
        ConfigurationError: The agent has no goals, or an argument is out of range.
    """
    if agent.goals is None:
        raise ConfigurationError(f"agent {agent.name!r} needs goals to be simulated: pass goals=Goals(...)")
    check_length(weeks, decisions_per_week)
    if micros(start) % DAY:
        raise ConfigurationError(f"start must be a midnight in UTC, got {start!r}", value=start)
    days = 7 * weeks
    after = -(-span(agent.goals.window, "window") * (2 if agent.goals.start == "exposure" else 1) // DAY) + 1
    loop = Loop.begin(agent, agent.goals, world, micros(start), weeks, (after + 1) * len(RUNS))
    total = (days + after) * len(RUNS)
    for day in range(days + after):
        turns = world.visitors(day, per_week=decisions_per_week) if day < days else []
        loop.begin_day(day)
        for run in range(len(RUNS)):
            number = day * len(RUNS) + run
            now = micros(start) + day * DAY + RUNS[run]
            loop.hear(number, now)
            if run == 0:
                loop.learn(now)
            if turns and len(turns[run]):
                loop.decide(loop.meet(turns[run], number, day, now))
            if day % 7 == 6 and day < days and run == len(RUNS) - 1:
                loop.weekly._close(day // 7, world, loop.life, now)
            if progress is not None:
                progress(number + 1, total)
    return loop.result(weeks)


def check_length(weeks: int, decisions_per_week: float, /) -> None:
    """Refuse a simulation that would have no end, or no turns.

    Raises:
        ConfigurationError: A number is out of range.
    """
    if isinstance(weeks, bool) or not isinstance(weeks, int) or not 1 <= weeks <= 520:
        raise ConfigurationError(f"weeks must be a whole number from 1 to 520, got {weeks!r}", value=weeks)
    if not 0 < decisions_per_week <= 7:
        raise ConfigurationError(
            f"decisions_per_week must be above 0 and at most 7, got {decisions_per_week!r}",
            value=decisions_per_week,
        )


@attrs.frozen(eq=False)
class Turn:
    """Customers to decide for now, m rows: who they are, what is known of them, and how they really are."""

    subjects: list[str]
    known: dict[str, Column]
    moment: Moment
    number: int  # of the run
    day: int
    now: int


@attrs.define(eq=False)
class Loop:
    """One simulation under way."""

    agent: Agent
    goals: Goals
    world: World
    life: Life
    offers: Offers
    calendar: Calendar
    weekly: Weekly
    logged: list[tuple[I64, Moment, int]] = attrs.field(factory=list)
    worth: list[F64] = attrs.field(factory=list)
    decide_us: list[float] = attrs.field(factory=list)
    learn_us: list[float] = attrs.field(factory=list)
    recorded: dict[str, int] = attrs.field(factory=dict)

    @classmethod
    def begin(cls, agent: Agent, goals: Goals, world: World, start: int, weeks: int, late: int) -> Loop:
        """Tell the agent what is known of consent before the first decision."""
        life, offers = Life.begin(world, start), Offers.of(agent.plan.catalogue, world.seed, world.scenario)
        loop = cls(agent, goals, world, life, offers, Calendar(world, start, late), Weekly.empty(weeks))
        loop.tell(np.flatnonzero(world.agrees), ConsentGranted(PURPOSE), start)
        loop.tell(np.flatnonzero(world.refuses), ConsentWithdrawn(PURPOSE), start)
        if "sms" in agent.plan.catalogue.channels:
            loop.tell(np.flatnonzero(world.refuses_sms), ConsentWithdrawn(PURPOSE, "sms"), start)
        loop.tell(np.flatnonzero(world.complains), Suppressed(instant(start + 21 * DAY)), start)
        return loop

    def begin_day(self, day: int) -> None:
        """The recall becomes known in the second week."""
        if day == 7:
            self.life.recall |= self.world.recalled

    def tell(self, row: I64, fact: Fact, now: int) -> None:
        """Tell a fact; an agent without a guardrail that listens goes on as before."""
        if len(row):
            with suppress(ConfigurationError):
                self.agent.tell_many([self.world.subjects[i] for i in row.tolist()], fact, now=instant(now))

    def hear(self, number: int, now: int) -> None:
        """Let happen what was to happen by now, and record what is reported of it."""
        events = self.calendar.due(number)
        if events is None:
            return
        fresh = events.take(events.heard > now - 2 * DAY)
        buys = fresh.goal == 0
        np.maximum.at(self.life.bought, fresh.row[buys], fresh.at[buys])
        leaves = np.unique(fresh.row[fresh.goal == 2])
        self.life.unsubscribed[leaves] = True
        self.tell(leaves, ConsentWithdrawn(PURPOSE), now)
        told = events.take(events.told)
        for code, goal in enumerate(_GOALS):
            if goal == EXPOSED or goal in self.goals.values:
                self._record(told.take(told.goal == code), goal)

    def _record(self, events: Events, goal: str) -> None:
        if not len(events.row):
            return
        ids = write_ids(events.tag, events.decision)
        at = [instant(one) for one in events.at.tolist()]
        for status in self.agent.record_many(ids, goal, events.amount, at=at):
            name = Recorded(status).name.lower()
            self.recorded[name] = self.recorded.get(name, 0) + 1

    def learn(self, now: int) -> None:
        """Let the agent learn."""
        began = time.process_time_ns()
        self.agent.learn(now=instant(now))
        self.learn_us.append((time.process_time_ns() - began) / 1e3)

    def meet(self, row: I64, number: int, day: int, now: int) -> Turn:
        """See these customers, whose turn it is, and what the agent may know of them."""
        moment = self.life.visit(row, now, day)
        context = self.world.context(moment, self.life.recent(row, now), self.life.recall[row], now)
        context |= true_columns(moment)
        fields = self.agent.plan.space.fields
        known = {name: column for name, column in context.items() if name in fields}
        return Turn([self.world.subjects[i] for i in row.tolist()], known, moment, number, day, now)

    def decide(self, turn: Turn) -> DecisionBatch:
        """Decide for these customers, and draw what will come of it."""
        began = time.process_time_ns()
        batch = self.agent.decide_many(turn.subjects, turn.known, now=instant(turn.now))
        self.decide_us.append((time.process_time_ns() - began) / 1e3 / len(batch))
        self.logged.append((batch.positions, turn.moment, turn.now))
        self._answer(batch, turn.moment, turn.number, turn.day // 7, turn.now)
        return batch

    def _answer(self, batch: DecisionBatch, moment: Moment, number: int, week: int, now: int) -> None:
        catalogue, offers, row = batch.catalogue, self.offers, moment.row
        action = batch.action[:, :1]
        answer = self.world.response(moment, catalogue, action, now)
        self.worth.append(sum(answer.worth(self.goals).values(), np.zeros_like(answer.click))[:, 0])
        chosen, sends = action[:, 0], catalogue.sends[action[:, 0]]
        self.weekly._add(week, answer, int(sends.sum()), float(batch.columns["cost"].sum()))
        met, arrives = self.world.arrivals(moment, catalogue, action, now)
        begin, arrives = met[:, 0], arrives[:, 0]
        self.life.contact(row[sends], (offers.intrusion[chosen] * arrives)[sends], begin[sends])
        told = catalogue.mandatory[chosen]
        self.life.recall[row[told]] = False
        dice = Dice(self.world.seed, row.astype(np.uint64))
        noise = np.exp(_AMOUNT_SPREAD * dice.normal(Stream.AMOUNT, number) - _AMOUNT_SPREAD**2 / 2)
        amounts = answer.amount[:, 0] * noise
        ones = np.ones(len(row))
        for code, (stream, chance, amount) in enumerate(
            (
                (Stream.BUY, answer.purchase[:, 0], amounts),
                (Stream.CLICKS, answer.click[:, 0], ones),
                (Stream.LEAVE, answer.unsubscribe[:, 0], ones),
                (Stream.COMPLAIN, answer.complaint[:, 0], ones),
            )
        ):
            goal, mean = OUTCOMES[code], self.world.scenario.means_hours[code]
            hit = np.flatnonzero(dice.uniform(stream, number) < chance)
            if not len(hit):
                continue
            # A purchase is made after the message, or after the occasion where no message sells anything.
            after = np.full(len(hit), now) if code == 0 and self.world.scenario.lift == 0.0 else begin[hit]
            at = after + delays(mean, dice.uniform(Stream.SOON, stream, number)[hit])
            np.add.at(self.life.value, row[hit], self.goals.values.get(goal, 0.0) * amount[hit])
            self.calendar.add(batch, row, hit, _GOALS.index(goal), amount[hit], at, number)
        # Text messages come with a receipt; the other channels report nothing unless it matters.
        arrived = sends & arrives
        reports = arrived if self.goals.start == "exposure" else arrived & (offers.channel[chosen] == 2)
        hit = np.flatnonzero(reports & (dice.uniform(Stream.REPORT, 9, number) < offers.reach[chosen]))
        if len(hit):
            self.calendar.add(batch, row, hit, _RECEIPT, ones[hit], begin[hit], number)

    def result(self, weeks: int) -> Simulated:
        """Put the columns together."""
        moments = [moment for _, moment, _ in self.logged]
        count = [len(moment.row) for moment in moments]
        return Simulated(
            world=self.world,
            weeks=weeks,
            position=_stacked([position for position, _, _ in self.logged], np.int64),
            moment=Moment(
                _stacked([m.row for m in moments], np.int64),
                _stacked([m.fatigue for m in moments], np.float64),
                _stacked([m.trust for m in moments], np.float64),
                _stacked([m.gone for m in moments], np.bool_),
                _stacked([m.idle_days for m in moments], np.float64),
            ),
            now=np.repeat(np.array([now for _, _, now in self.logged], np.int64), count),
            value=self.life.value,
            contacts=self.life.sent,
            gone=self.life.gone,
            trust=self.life.trust,
            recorded=dict(sorted(self.recorded.items())),
            worth=_stacked(self.worth, np.float64),
            decide_us=np.array(self.decide_us),
            learn_us=np.array(self.learn_us),
            weekly=self.weekly,
        )


def _stacked(parts: list[NDArray[Any]], dtype: type) -> NDArray[Any]:  # the dtype says which
    return np.concatenate(parts) if parts else np.zeros(0, dtype=dtype)
