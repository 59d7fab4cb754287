"""What would customers have answered: a simulated population, and the loop of production over it.

A ``World`` is a value. It holds who the customers are and how they answer, and no state, so any number of
agents can be run against one and the same world. Every draw is a hash of the world's seed, the customer
and the occasion, never of what was decided: two agents meet the same customers at the same hours with
the same luck, and what differs between two runs comes from the decisions (common random numbers).

What makes it worth learning from, in short. An answer depends on the message, the channel and the local
hour, each to a customer's taste, of which the features show a part. Every contact tires: a tired customer
answers less, unsubscribes more and loses trust; trust carries what customers buy on their own and comes
back slowly, and those who lost it leave. So what is greedy over a reward window is punished over months.
The figures are invented, of the size that campaigns see; they were not fitted to anybody's data.

The file is long because the closed form of what is expected and the draws of what happens are kept side by
side: the truth that estimates are held against is only one as long as both say the same.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray

from agentic import _noise, zones
from agentic._agent import Agent
from agentic._records import DecisionBatch, write_ids
from agentic.arrays import F64, I64, U64, Bools
from agentic.catalogue import Catalogue
from agentic.conditions import Coded, Column
from agentic.errors import ConfigurationError, EvaluationError
from agentic.evaluation._joined import Joined, target_probabilities
from agentic.protocols import Policy
from agentic.rewards import Goals, Recorded
from agentic.types import (
    EXPOSED,
    MARKETING,
    Action,
    ConsentGranted,
    ConsentWithdrawn,
    Fact,
    Suppressed,
    instant,
    micros,
    span,
)

TIERS: Final = ("free", "silver", "gold")
AGES: Final = ("18-24", "25-39", "40-59", "60+")
COUNTRIES: Final = ("IN", "US", "GB", "DE")
ZONES: Final = ("Asia/Kolkata", "America/New_York", "Europe/London", "Europe/Berlin")
CHANNELS: Final = ("email", "push", "sms")
STAGES: Final = ("fresh", "due", "lapsed")
PURPOSE: Final = "marketing"
START: Final = datetime(2026, 2, 19, tzinfo=UTC)
"""A Thursday, as 1970-01-01 was, so that weeks of a budget are weeks of a simulation."""

PURCHASE, CLICK, UNSUBSCRIBE = "purchase", "click", "unsubscribe"
_GOALS: Final = (PURCHASE, CLICK, UNSUBSCRIBE)
_MOST_CUSTOMERS: Final = 2_000_000

_HOUR: Final = 3_600_000_000
_DAY: Final = 24 * _HOUR
_RUNS: Final = (4 * _HOUR + _HOUR // 2, 10 * _HOUR, 16 * _HOUR)
"""When decisions are made each day, after midnight UTC: some customers are asleep at each of them."""

# Streams of the noise: one for each trait or question.
(
    _TIER, _AGE, _COUNTRY, _THRIFT, _NOVELTY, _FAVOURITE, _EVENING, _BASKET, _ORGANIC, _BOUGHT, _CONSENT,
    _NO_SMS, _SEEN, _GAPS, _RECALL, _TASTE, _VISIT, _WHEN, _BUY, _AMOUNT, _SOON, _CLICKS, _LEAVE, _CHURN,
    _REPORT, _TWICE,
) = range(1, 27)  # fmt: skip

_FATIGUE_HALF_LIFE: Final = 5.0  # days
_TRUST_HALF_LIFE: Final = 60.0  # days, back to what it was
_BUY_MEAN: Final = 26.0  # hours from the message, or the occasion, to the purchase
_CLICK_MEAN: Final = 4.0
_LEAVE_MEAN: Final = 6.0
_MEANS: Final = {PURCHASE: _BUY_MEAN, CLICK: _CLICK_MEAN, UNSUBSCRIBE: _LEAVE_MEAN}
_LOST: Final = 0.01  # share of outcomes that nobody ever reports
_LATE: Final = 0.002  # share that is reported so late that the books are closed
_DOUBLE: Final = 0.02  # share that is reported twice
_AMOUNT_SPREAD: Final = 0.25  # of the logarithm of a basket

# Message: answers to thrift, to novelty, to time since the last purchase; level; part of the price kept.
_MESSAGES: Final[Mapping[str, tuple[float, float, float, float, float]]] = {
    "voucher": (3.2, -0.3, 0.6, -2.2, 0.85),
    "new_arrivals": (-0.6, 3.2, -0.4, -2.0, 1.0),
    "reminder": (0.0, -0.4, 3.4, -1.9, 1.0),
}
# Channel: how much it intrudes, and the share of messages that reach somebody.
_REACH: Final[Mapping[str, tuple[float, float]]] = {
    "email": (0.8, 0.90),
    "push": (0.9, 0.85),
    "sms": (1.4, 0.98),
}


@attrs.frozen(eq=False)
class Moment:
    """How some customers are at one time: one row each.

    Attributes:
        row: Shape (m,), int64: which customers.
        fatigue: Shape (m,), float64, from 0: about the number of contacts still felt.
        trust: Shape (m,), float64, 0 to 1.
        gone: Shape (m,), bool: left for good, without telling.
        idle_days: Shape (m,), float64: days since the last purchase.
    """

    row: I64
    fatigue: F64
    trust: F64
    gone: Bools
    idle_days: F64

    def take(self, index: I64 | slice, /) -> Moment:
        """The same with only these rows."""
        return Moment(
            self.row[index], self.fatigue[index], self.trust[index], self.gone[index], self.idle_days[index]
        )


@attrs.frozen(eq=False)
class Response:
    """How likely customers are to answer: shape (m, j) each, for j actions of each row.

    Attributes:
        purchase: Probability of a purchase.
        amount: Expected amount of that purchase, in the caller's currency.
        click: Probability of a click.
        unsubscribe: Probability of an unsubscription.
    """

    purchase: F64
    amount: F64
    click: F64
    unsubscribe: F64


@attrs.frozen(eq=False)
class _Offers:
    """The actions of a catalogue as customers see them: shape (k,) each."""

    taste: F64  # (k, 3): thrift, novelty, time since the last purchase
    level: F64
    keeps: F64
    channel: I64
    intrusion: F64
    reach: F64
    courts: Bools
    own: U64

    @classmethod
    def of(cls, catalogue: Catalogue, seed: int) -> _Offers:
        told = [_message(action, seed) for action in catalogue.actions]
        channels = [_REACH.get(action.channel or "", (1.0, 0.9)) for action in catalogue.actions]
        courts = np.array([action.message_class == MARKETING for action in catalogue.actions])
        return cls(
            taste=np.array([one[:3] for one in told]),
            level=np.array([one[3] for one in told]),
            keeps=np.array([one[4] for one in told]),
            channel=np.array([_place(CHANNELS, action.channel) for action in catalogue.actions]),
            intrusion=np.array([one[0] for one in channels]) * catalogue.sends * np.where(courts, 1.0, 0.3),
            reach=np.array([one[1] for one in channels]) * catalogue.sends,
            courts=courts & catalogue.sends,
            own=_noise.text_keys([_name(action) for action in catalogue.actions]),
        )


def _name(action: Action) -> str:
    return action.dimensions.get("message", action.id)


def _message(action: Action, seed: int) -> tuple[float, float, float, float, float]:
    """What a message appeals to; for one the world does not know, a hash of its name decides."""
    name = _name(action)
    if name in _MESSAGES:
        return _MESSAGES[name]
    dice = _noise.uniform(_noise.fold(seed, np.arange(4, dtype=np.uint64), _noise.text_key(name))).tolist()
    return 5.0 * dice[0] - 2.0, 5.0 * dice[1] - 2.0, 4.0 * dice[2] - 1.0, -2.6 + dice[3], 1.0


def _place(names: tuple[str, ...], name: str | None) -> int:
    return names.index(name) if name in names else -1


@attrs.frozen(eq=False)
class World:
    """Customers, and how they answer: the same for the same number and seed.

    Traits are columns of shape (n,). A smaller world of the same seed is the beginning of a larger one.

    Attributes:
        seed: Of everything in it.
        subjects: Their ids.
        tier: Place in ``TIERS``.
        age: Place in ``AGES``.
        country: Place in ``COUNTRIES``.
        zone: Number of the time zone where they really are.
        thrift: How much they look for discounts, about -1 to 1.
        novelty: How much they look for what is new, about -1 to 1.
        favourite: Place in ``CHANNELS`` of the one they like best.
        hour: Local hour at which they like to read.
        basket: What a purchase comes to on average.
        organic: Probability of a purchase without any message, per occasion, at full trust.
        bought_days: Days since the last purchase, at the start.
        agrees: Bool: gave consent to marketing; the others said nothing, or said no.
        refuses: Bool: said no.
        refuses_sms: Bool: agreed, but not to text messages.
        complains: Bool: has an open complaint for the first three weeks and is not to be contacted.
        recalled: Bool: owns a recalled product and must be told from the second week on.
        known: What the company knows, by feature: shape (n,) each.
    """

    seed: int
    subjects: list[str]
    tier: I64
    age: I64
    country: I64
    zone: NDArray[np.int16]
    thrift: F64
    novelty: F64
    favourite: I64
    hour: F64
    basket: F64
    organic: F64
    bought_days: F64
    agrees: Bools
    refuses: Bools
    refuses_sms: Bools
    complains: Bools
    recalled: Bools
    known: Mapping[str, NDArray[Any]]

    @classmethod
    def of(cls, customers: int, *, seed: int = 0) -> World:
        """Make a world.

        Args:
            customers: 1 to 2,000,000.
            seed: Any integer.

        Raises:
            ConfigurationError: The number of customers is something else.
        """
        if (
            isinstance(customers, bool)
            or not isinstance(customers, int)
            or not 1 <= customers <= _MOST_CUSTOMERS
        ):
            raise ConfigurationError(
                f"customers must be a whole number from 1 to {_MOST_CUSTOMERS:,}, got {customers!r}",
                value=customers,
            )
        if isinstance(seed, bool) or not isinstance(seed, int):
            raise ConfigurationError(f"seed must be an integer, got {seed!r}", value=seed)
        dice = _Dice(seed, np.arange(customers, dtype=np.uint64))
        tier = np.searchsorted([0.55, 0.85], dice.uniform(_TIER), side="right")
        age = np.searchsorted([0.2, 0.55, 0.85], dice.uniform(_AGE), side="right")
        country = np.searchsorted([0.4, 0.7, 0.9], dice.uniform(_COUNTRY), side="right")
        thrift = 0.35 - 0.35 * tier + 0.2 * (age == 0) + 0.45 * dice.normal(_THRIFT)
        novelty = 0.45 - 0.35 * age + 0.25 * (tier == 2) + 0.4 * dice.normal(_NOVELTY)
        young = np.array([0.15, 0.3, 0.55, 0.7])[age]
        lot = dice.uniform(_FAVOURITE)
        favourite = np.where(lot < young, 0, np.where(lot < young + (1.0 - young) * 0.65, 1, 2))
        evening = dice.uniform(_EVENING) < np.array([0.8, 0.7, 0.5, 0.25])[age]
        hour = np.where(evening, 19.5, 9.0) + 1.2 * dice.normal(_EVENING)
        consent = dice.uniform(_CONSENT)
        gaps = dice.uniform(_GAPS)
        special = dice.uniform(_RECALL)
        zone = np.array([zones.check(name, "a country's zone") for name in ZONES], dtype=np.int16)[country]
        known = {
            "tier": np.where(gaps < 0.01, np.nan, tier),
            "age": np.where((gaps > 0.01) & (gaps < 0.04), np.nan, age),
            "country": country.astype(np.float64),
            # Two thirds of what customers do shows; the rest is noise.
            "discount_share": np.clip(0.5 + 0.35 * thrift + 0.12 * dice.normal(_SEEN), 0.0, 1.0),
            "favourite_channel": np.where(dice.uniform(_SEEN, 12) < 0.2, len(CHANNELS), favourite),
            "reads_evenings": np.where(dice.uniform(_SEEN, 13) < 0.15, ~evening, evening),
            "time_zone": np.where(gaps > 0.985, np.nan, zone),
        }
        return cls(
            seed=seed,
            subjects=[f"customer-{row:06}" for row in range(customers)],
            tier=tier,
            age=age,
            country=country,
            zone=zone,
            thrift=thrift,
            novelty=novelty,
            favourite=favourite,
            hour=hour % 24.0,
            basket=np.array([30.0, 42.0, 60.0])[tier] * np.exp(0.25 * dice.normal(_BASKET)),
            organic=np.array([0.030, 0.042, 0.060])[tier] * np.exp(0.3 * dice.normal(_ORGANIC)),
            bought_days=-45.0 * np.log1p(-dice.uniform(_BOUGHT)),
            agrees=consent < 0.86,
            refuses=consent > 0.94,
            refuses_sms=(consent < 0.86) & (dice.uniform(_NO_SMS) < 0.3),
            complains=special > 0.992,
            recalled=special < 0.004,
            known=known,
        )

    def __len__(self) -> int:
        return len(self.subjects)

    def visitors(self, day: int, *, per_week: float) -> list[I64]:
        """Whose turn it is: the customers to decide for in each run of a day, at most one run each."""
        dice = _Dice(self.seed, np.arange(len(self), dtype=np.uint64))
        due = dice.uniform(_VISIT, day) < per_week / 7.0
        run = (dice.uniform(_WHEN, day) * len(_RUNS)).astype(np.int64)
        return [np.flatnonzero(due & (run == one)) for one in range(len(_RUNS))]

    def response(self, moment: Moment, catalogue: Catalogue, action: I64, now: int, /) -> Response:
        """How likely these customers are to answer these actions, decided now.

        Args:
            moment: The customers, m rows.
            catalogue: The actions. Messages, channels and classes go by name; any catalogue will do.
            action: Shape (m, j): columns of the catalogue.
            now: When it is decided, for all rows.
        """
        return self._response(_Offers.of(catalogue, self.seed), moment, catalogue, action, now)

    def _response(
        self, offers: _Offers, moment: Moment, catalogue: Catalogue, action: I64, now: int
    ) -> Response:
        row = moment.row
        appeal = self._appeal(offers, moment, catalogue, action, now)
        keen = 1.0 / (1.0 + np.exp(-appeal))
        there = np.where(moment.gone, 0.0, 1.0)[:, None]
        courts = offers.courts[action]
        felt = offers.reach[action] * courts * there
        trust = moment.trust[:, None]
        lift = 0.15 * keen * felt * trust
        own = (self.organic[row] * (0.6 + 0.8 * _craving(moment.idle_days)))[:, None] * trust * there
        annoyed = 0.0045 * offers.intrusion[action] * np.exp(0.55 * moment.fatigue)[:, None] * (1.5 - keen)
        return Response(
            purchase=own + lift,
            amount=self.basket[row][:, None] * offers.keeps[action],
            click=0.35 * keen * felt * trust,
            unsubscribe=np.minimum(annoyed, 0.5) * courts * there,
        )

    def _appeal(self, offers: _Offers, moment: Moment, catalogue: Catalogue, action: I64, now: int) -> F64:
        row = moment.row
        traits = np.stack([self.thrift[row], self.novelty[row], _craving(moment.idle_days)], axis=1)
        taste = np.einsum("md,kd->mk", traits, offers.taste)
        quirk = _noise.uniform(
            _noise.fold(self.seed, _TASTE, row.astype(np.uint64)[:, None], offers.own[None, :])
        )
        taste += offers.level + 1.2 * (quirk - 0.5)
        channel = offers.channel[None, :]
        taste += np.where(channel < 0, 0.0, np.where(channel == self.favourite[row][:, None], 1.0, -0.45))
        turn = (_delivery_hours(catalogue, self.zone[row], now) - self.hour[row][:, None]) / 24.0
        taste += 0.6 * np.cos(2.0 * math.pi * turn)
        taste -= 0.55 * moment.fatigue[:, None]
        return np.take_along_axis(taste, action, axis=1)

    def context(self, moment: Moment, recent: I64, recall: Bools, now: int) -> dict[str, Column]:
        """What the company knows of these customers now, by feature."""
        row = moment.row
        known = {name: column[row] for name, column in self.known.items()}
        zone = known["time_zone"]
        seen = np.where(np.isnan(zone), zones.UNKNOWN, zone).astype(np.int16)
        minute = zones.local_minute(seen, np.full(len(row), now, np.int64)).astype(np.float64)
        favourite = (*CHANNELS, "unknown")
        return {
            "tier": Coded(known["tier"], TIERS),
            "age": Coded(known["age"], AGES),
            "country": Coded(known["country"], COUNTRIES),
            "discount_share": np.round(known["discount_share"], 2),
            "favourite_channel": Coded(known["favourite_channel"].astype(np.float64), favourite),
            "reads_evenings": known["reads_evenings"],
            "time_zone": Coded(zone, zones.names()),
            "stage": Coded(np.searchsorted([18.0, 62.0], moment.idle_days).astype(np.float64), STAGES),
            "days_since_purchase": np.round(np.round(np.minimum(moment.idle_days, 365.0), 1), 1),
            "recent_contacts": recent.astype(np.float64),
            "hour": np.where(seen == zones.UNKNOWN, np.nan, minute / 60.0),
            "weekend": np.full(len(row), instant(now).weekday() >= 5),
            "recall": recall,
        }


@attrs.frozen(eq=False)
class _Dice:
    """Keyed uniforms for some customers."""

    seed: int
    key: U64

    def uniform(self, *stream: int) -> F64:
        return _noise.uniform(_noise.fold(self.seed, self.key, *stream))

    def normal(self, *stream: int) -> F64:
        radius = np.sqrt(-2.0 * np.log1p(-self.uniform(*stream, 1)))
        return np.asarray(radius * np.cos(2.0 * math.pi * self.uniform(*stream, 2)))


def _craving(days: F64) -> F64:
    """How ready customers are to buy again: most some forty days after the last time, 0 to 1."""
    return np.asarray(np.exp(-(((days - 40.0) / 22.0) ** 2)))


def _delivery_hours(catalogue: Catalogue, zone: NDArray[np.int16], now: int) -> F64:
    """Local hour at which each action would arrive, shape (m, k)."""
    at_once = zones.local_minute(zone, np.full(len(zone), now, np.int64)) / 60.0
    hours = at_once[:, None] + catalogue.delay_us / _HOUR
    fixed = catalogue.send_minute >= 0
    hours[:, fixed] = catalogue.send_minute[fixed] / 60.0
    return hours


@attrs.define(eq=False)
class _Life:
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
    def begin(cls, world: World, start: int) -> _Life:
        n = len(world)
        return cls(
            world,
            np.zeros(n),
            np.ones(n),
            np.zeros(n, np.bool_),
            np.full(n, start, np.int64),
            start - (world.bought_days * _DAY).astype(np.int64),
            np.full((n, 4), start - 1000 * _DAY, np.int64),
            np.zeros(n, np.bool_),
            np.zeros(n),
            np.zeros(n, np.int64),
        )

    def visit(self, row: I64, now: int, day: int) -> Moment:
        """Let time pass for these customers, and some of them leave."""
        days = np.maximum(now - self.seen[row], 0) / _DAY
        fatigue = self.fatigue[row] * 0.5 ** (days / _FATIGUE_HALF_LIFE)
        trust = 1.0 - (1.0 - self.trust[row]) * 0.5 ** (days / _TRUST_HALF_LIFE)
        hazard = 0.0008 + 0.06 * np.maximum(0.75 - trust, 0.0)
        luck = _Dice(self.world.seed, row.astype(np.uint64)).uniform(_CHURN, day)
        self.fatigue[row], self.trust[row], self.seen[row] = fatigue, trust, now
        self.gone[row] |= luck < hazard
        idle = np.maximum(now - self.bought[row], 0) / _DAY
        return Moment(row, fatigue, trust, self.gone[row].copy(), idle)

    def contact(self, row: I64, intrusion: F64, delivery: I64) -> None:
        """Tire customers by a contact; those who are tired already lose trust."""
        self.trust[row] *= 1.0 - np.minimum(0.035 * np.maximum(self.fatigue[row] - 0.8, 0.0), 0.5)
        self.fatigue[row] += intrusion
        self.contacts[row] = np.sort(np.concatenate([self.contacts[row][:, 1:], delivery[:, None]], axis=1))
        self.sent[row] += 1

    def recent(self, row: I64, now: int) -> I64:
        found: I64 = (self.contacts[row] > now - 14 * _DAY).sum(axis=1)
        return found


@attrs.frozen(eq=False)
class _Events:
    """Outcomes that wait for their time: shape (e,) each."""

    row: I64
    decision: I64
    tag: U64
    goal: NDArray[np.int8]
    amount: F64
    at: I64
    told: Bools

    def take(self, index: I64 | Bools) -> _Events:
        return _Events(*(column[index] for column in self._columns()))

    def _columns(self) -> tuple[NDArray[Any], ...]:
        return self.row, self.decision, self.tag, self.goal, self.amount, self.at, self.told

    @classmethod
    def joined(cls, parts: list[_Events]) -> _Events:
        return cls(*(np.concatenate(columns) for columns in zip(*(p._columns() for p in parts), strict=True)))


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
        if goals.aggregate != "sum" or goals.start != "decision" or goals.terminal or goals.default:
            raise EvaluationError(
                "the expected reward is known for goals that sum up from the decision on, without a default "
                f"and without terminal ones, got {goals!r}",
                value=goals,
            )
        when = np.unique(self.now[decision])
        if len(when) != 1:
            raise EvaluationError(f"decisions of one time are needed, got {len(when)} times", value=len(when))
        moment, now, k = self.moment.take(decision), int(when[0]), len(catalogue)
        every = np.broadcast_to(np.arange(k), (len(decision), k))
        answer = self.world.response(moment, catalogue, every, now)
        waits = _waits(catalogue, self.world.zone[moment.row], now)
        chances = {
            PURCHASE: answer.purchase * answer.amount,
            CLICK: answer.click,
            UNSUBSCRIBE: answer.unsubscribe,
        }
        window = span(goals.window, "window")
        out = np.zeros((len(decision), k))
        for goal, chance in chances.items():
            left = np.maximum(window - waits, 0) / _HOUR
            share = (1.0 - _LOST - _LATE) * -np.expm1(-left / _MEANS[goal])
            out += goals.values.get(goal, 0.0) * chance * share
        return out


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


def _waits(catalogue: Catalogue, zone: NDArray[np.int16], now: int) -> I64:
    """Microseconds until each action would arrive, shape (m, k)."""
    there, back = np.unique(zone, return_inverse=True)
    table = np.broadcast_to(catalogue.delay_us, (len(there), len(catalogue))).copy()
    for column in np.flatnonzero(catalogue.send_minute >= 0).tolist():
        begin = np.full(len(there), now + int(catalogue.delay_us[column]), np.int64)
        table[:, column] = zones.next_local(there, begin, int(catalogue.send_minute[column])) - now
    return np.asarray(table[back])


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
    if isinstance(weeks, bool) or not isinstance(weeks, int) or not 1 <= weeks <= 520:
        raise ConfigurationError(f"weeks must be a whole number from 1 to 520, got {weeks!r}", value=weeks)
    if not 0 < decisions_per_week <= 7:
        raise ConfigurationError(
            f"decisions_per_week must be above 0 and at most 7, got {decisions_per_week!r}",
            value=decisions_per_week,
        )
    if micros(start) % _DAY:
        raise ConfigurationError(f"start must be a midnight in UTC, got {start!r}", value=start)
    days = 7 * weeks
    after = -(-span(agent.goals.window, "window") * (2 if agent.goals.start == "exposure" else 1) // _DAY) + 1
    loop = _Loop.begin(agent, agent.goals, world, micros(start), (after + 1) * len(_RUNS))
    total = (days + after) * len(_RUNS)
    for day in range(days + after):
        turns = world.visitors(day, per_week=decisions_per_week) if day < days else []
        loop.begin_day(day)
        for run in range(len(_RUNS)):
            number = day * len(_RUNS) + run
            now = micros(start) + day * _DAY + _RUNS[run]
            loop.hear(number, now)
            if run == 0:
                agent.learn(now=instant(now))
            if turns and len(turns[run]):
                loop.decide(turns[run], number, day, now)
            if progress is not None:
                progress(number + 1, total)
    return loop.result(weeks)


@attrs.define(eq=False)
class _Loop:
    """One simulation under way."""

    agent: Agent
    goals: Goals
    world: World
    life: _Life
    offers: _Offers
    start: int
    late: int  # runs by which a late report misses the closing of its window
    waiting: dict[int, list[_Events]] = attrs.field(factory=lambda: defaultdict(list))
    logged: list[tuple[I64, Moment, int]] = attrs.field(factory=list)
    recorded: dict[str, int] = attrs.field(factory=dict)

    @classmethod
    def begin(cls, agent: Agent, goals: Goals, world: World, start: int, late: int) -> _Loop:
        """Tell the agent what is known of consent before the first decision."""
        life, offers = _Life.begin(world, start), _Offers.of(agent.plan.catalogue, world.seed)
        loop = cls(agent, goals, world, life, offers, start, late)
        loop.tell(np.flatnonzero(world.agrees), ConsentGranted(PURPOSE), start)
        loop.tell(np.flatnonzero(world.refuses), ConsentWithdrawn(PURPOSE), start)
        if "sms" in agent.plan.catalogue.channels:
            loop.tell(np.flatnonzero(world.refuses_sms), ConsentWithdrawn(PURPOSE, "sms"), start)
        loop.tell(np.flatnonzero(world.complains), Suppressed(instant(start + 21 * _DAY)), start)
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
        parts = self.waiting.pop(number, None)
        if parts is None:
            return
        events = _Events.joined(parts)
        fresh = events.take(events.at > now - 2 * _DAY)
        buys = fresh.goal == 0
        np.maximum.at(self.life.bought, fresh.row[buys], fresh.at[buys])
        leaves = np.unique(fresh.row[fresh.goal == 2])
        self.tell(leaves, ConsentWithdrawn(PURPOSE), now)
        told = events.take(events.told)
        for code, goal in enumerate((*_GOALS, EXPOSED)):
            if goal == EXPOSED or goal in self.goals.values:
                self._record(told.take(told.goal == code), goal)

    def _record(self, events: _Events, goal: str) -> None:
        if not len(events.row):
            return
        ids = write_ids(events.tag, events.decision)
        at = [instant(one) for one in events.at.tolist()]
        for status in self.agent.record_many(ids, goal, events.amount, at=at):
            name = Recorded(status).name.lower()
            self.recorded[name] = self.recorded.get(name, 0) + 1

    def decide(self, row: I64, number: int, day: int, now: int) -> None:
        """Decide for these customers, and draw what will come of it."""
        moment = self.life.visit(row, now, day)
        context = self.world.context(moment, self.life.recent(row, now), self.life.recall[row], now)
        fields = self.agent.plan.space.fields
        batch = self.agent.decide_many(
            [self.world.subjects[i] for i in row.tolist()],
            {name: column for name, column in context.items() if name in fields},
            now=instant(now),
        )
        self.logged.append((batch.positions, moment, now))
        self._answer(batch, moment, number, now)

    def _answer(self, batch: DecisionBatch, moment: Moment, number: int, now: int) -> None:
        catalogue, offers, row = batch.catalogue, self.offers, moment.row
        action = batch.action[:, :1]
        answer = self.world._response(offers, moment, catalogue, action, now)
        chosen, sends = action[:, 0], catalogue.sends[action[:, 0]]
        waits = _waits(catalogue, self.world.zone[row], now)
        begin = now + np.take_along_axis(waits, action, axis=1)[:, 0]
        self.life.contact(row[sends], offers.intrusion[chosen[sends]], begin[sends])
        told = catalogue.mandatory[chosen]
        self.life.recall[row[told]] = False
        dice = _Dice(self.world.seed, row.astype(np.uint64))
        noise = np.exp(_AMOUNT_SPREAD * dice.normal(_AMOUNT, number) - _AMOUNT_SPREAD**2 / 2)
        amounts = answer.amount[:, 0] * noise
        ones = np.ones(len(row))
        for code, (stream, chance, amount) in enumerate(
            (
                (_BUY, answer.purchase[:, 0], amounts),
                (_CLICKS, answer.click[:, 0], ones),
                (_LEAVE, answer.unsubscribe[:, 0], ones),
            )
        ):
            goal = _GOALS[code]
            hit = np.flatnonzero(dice.uniform(stream, number) < chance)
            if not len(hit):
                continue
            at = begin[hit] + _delay(_MEANS[goal], dice.uniform(_SOON, stream, number)[hit])
            np.add.at(self.life.value, row[hit], self.goals.values.get(goal, 0.0) * amount[hit])
            self._schedule(batch, row, hit, code, amount[hit], at, number)
        # Text messages come with a receipt; the other channels report nothing unless it matters.
        reports = sends if self.goals.start == "exposure" else sends & (offers.channel[chosen] == 2)
        hit = np.flatnonzero(reports & (dice.uniform(_REPORT, 9, number) < offers.reach[chosen]))
        if len(hit):
            self._schedule(batch, row, hit, len(_GOALS), ones[hit], begin[hit], number)

    def _schedule(
        self, batch: DecisionBatch, row: I64, hit: I64, code: int, amount: F64, at: I64, number: int
    ) -> None:
        """Put outcomes on the calendar: some are lost, some come late, some come twice."""
        dice = _Dice(self.world.seed, row[hit].astype(np.uint64))
        luck, twice = dice.uniform(_REPORT, code, number), dice.uniform(_TWICE, code, number)
        events = _Events(
            row[hit],
            batch.positions[hit],
            batch.columns["tag"][hit],
            np.full(len(hit), code, np.int8),
            amount,
            at,
            luck >= _LOST + _LATE,
        )
        due = self._run_after(at)
        self._put(events, due)
        self._put(events.take(events.told & (twice < _DOUBLE)), due[events.told & (twice < _DOUBLE)] + 1)
        late = (luck >= _LOST) & ~events.told
        if late.any():
            again = events.take(late)
            self._put(attrs.evolve(again, told=np.ones(len(again.row), np.bool_)), due[late] + self.late)

    def _put(self, events: _Events, due: I64) -> None:
        for number in np.unique(due).tolist():
            self.waiting[number].append(events.take(due == number))

    def _run_after(self, at: I64) -> I64:
        """Number of the first run at or after a time."""
        day, rest = np.divmod(at - self.start, _DAY)
        found: I64 = day * len(_RUNS) + np.searchsorted(_RUNS, rest, side="left")
        return found

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
        )


def _stacked(parts: list[NDArray[Any]], dtype: type) -> NDArray[Any]:  # the dtype says which
    return np.concatenate(parts) if parts else np.zeros(0, dtype=dtype)


def _delay(mean_hours: float, luck: F64) -> I64:
    """Exponential delays in microseconds."""
    found: I64 = (-mean_hours * _HOUR * np.log1p(-luck)).astype(np.int64)
    return found
