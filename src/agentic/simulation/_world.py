"""Who are the simulated customers, and how do they answer: a population, and the closed form of its answers.

A ``World`` is a value. It holds who the customers are and how they answer, and no state, so any number of
agents can be run against one and the same world. Every draw is a hash of the world's seed, the customer
and the occasion, never of what was decided: two agents meet the same customers at the same hours with
the same luck, and what differs between two runs comes from the decisions (common random numbers).

What makes it worth learning from, in short. An answer depends on the message, the channel and the local
hour, each to a customer's taste, of which the features show a part. Every contact tires: a tired customer
answers less, unsubscribes more and loses trust; trust carries what customers buy on their own and comes
back slowly, and those who lost it leave. So what is greedy over a reward window is punished over months.
The figures are invented, of the size that campaigns see; they were not fitted to anybody's data.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray

from agentic import _noise, zones
from agentic.arrays import F64, I64, Bools
from agentic.catalogue import Catalogue
from agentic.conditions import Coded, Column
from agentic.errors import ConfigurationError, EvaluationError
from agentic.rewards import Goals
from agentic.simulation._connectivity import Connectivity
from agentic.simulation._dice import Dice, Stream
from agentic.simulation._offers import CHANNELS, HOUR, Offers, delivery_hours, waiting_times
from agentic.simulation._scenario import Scenario
from agentic.types import instant, span

TIERS: Final = ("free", "silver", "gold")
AGES: Final = ("18-24", "25-39", "40-59", "60+")
STAGES: Final = ("fresh", "due", "lapsed")
PURPOSE: Final = "marketing"
PURCHASE, CLICK, UNSUBSCRIBE, COMPLAINT = "purchase", "click", "unsubscribe", "complaint"
OUTCOMES: Final = (PURCHASE, CLICK, UNSUBSCRIBE, COMPLAINT)
RUNS: Final = (4 * HOUR + HOUR // 2, 10 * HOUR, 16 * HOUR)
"""When decisions are made each day, after midnight UTC: some customers are asleep at each of them."""

RETAIL: Final = Scenario()
HIGH_SEASON: Final = 20_503 * 24 * HOUR
"""Midnight of 2026-02-19, where simulations begin and seasons are at their height."""

_MOST_CUSTOMERS: Final = 2_000_000


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
        complaint: Probability of a complaint.
    """

    purchase: F64
    amount: F64
    click: F64
    unsubscribe: F64
    complaint: F64

    def worth(self, goals: Goals, /) -> dict[str, F64]:
        """What each kind of outcome is worth on average, by these goals, whenever it comes."""
        return {
            PURCHASE: goals.values.get(PURCHASE, 0.0) * self.purchase * self.amount,
            CLICK: goals.values.get(CLICK, 0.0) * self.click,
            UNSUBSCRIBE: goals.values.get(UNSUBSCRIBE, 0.0) * self.unsubscribe,
            COMPLAINT: goals.values.get(COMPLAINT, 0.0) * self.complaint,
        }


@attrs.frozen(eq=False)
class World:
    """Customers, and how they answer: the same for the same number and seed.

    Traits are columns of shape (n,). A smaller world of the same seed is the beginning of a larger one.

    Attributes:
        seed: Of everything in it.
        subjects: Their ids.
        tier: Place in ``TIERS``.
        age: Place in ``AGES``.
        country: Place in the scenario's countries.
        zone: Number of the time zone where they really are.
        thrift: How much they look for discounts: 0.18 on average, standard deviation 0.52, unbounded.
        novelty: How much they look for what is new: 0 on average, standard deviation 0.53, unbounded.
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
        scenario: How they live, answer and tire.
        connectivity: When they are online.
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
    scenario: Scenario
    connectivity: Connectivity

    @classmethod
    def of(cls, customers: int, *, seed: int = 0, scenario: Scenario = RETAIL) -> World:
        """Make a world.

        Args:
            customers: 1 to 2,000,000.
            seed: Any integer.
            scenario: How they live, answer and tire.

        Raises:
            ConfigurationError: The number of customers, the seed or the scenario is something else.
        """
        if not isinstance(scenario, Scenario):
            raise ConfigurationError(
                f"scenario must be a Scenario, got {scenario!r}: find one by scenario('retail')",
                value=scenario,
            )
        if (
            isinstance(customers, bool)
            or not isinstance(customers, int | np.integer)
            or not 1 <= customers <= _MOST_CUSTOMERS
        ):
            raise ConfigurationError(
                f"customers must be a whole number from 1 to {_MOST_CUSTOMERS:,}, got {customers!r}",
                value=customers,
            )
        if isinstance(seed, bool) or not isinstance(seed, int | np.integer):
            raise ConfigurationError(f"seed must be an integer, got {seed!r}", value=seed)
        customers, seed = int(customers), int(seed)
        dice = Dice(seed, np.arange(customers, dtype=np.uint64))
        tier = np.searchsorted([0.55, 0.85], dice.uniform(Stream.TIER), side="right")
        age = np.searchsorted([0.2, 0.55, 0.85], dice.uniform(Stream.AGE), side="right")
        borders = np.round(np.cumsum([one.share for one in scenario.countries])[:-1], 12)
        country = np.searchsorted(borders, dice.uniform(Stream.COUNTRY), side="right")
        thrift = 0.35 - 0.35 * tier + 0.2 * (age == 0) + 0.45 * dice.normal(Stream.THRIFT)
        novelty = 0.45 - 0.35 * age + 0.25 * (tier == 2) + 0.4 * dice.normal(Stream.NOVELTY)
        young = np.array([0.15, 0.3, 0.55, 0.7])[age]
        lot = dice.uniform(Stream.FAVOURITE)
        favourite = np.where(lot < young, 0, np.where(lot < young + (1.0 - young) * 0.65, 1, 2))
        evening = dice.uniform(Stream.EVENING) < np.array([0.8, 0.7, 0.5, 0.25])[age]
        hour = np.where(evening, 19.5, 9.0) + 1.2 * dice.normal(Stream.EVENING)
        consent = dice.uniform(Stream.CONSENT)
        gaps = dice.uniform(Stream.GAPS)
        special = dice.uniform(Stream.RECALL)
        places = [zones.check(one.zone, "a country's zone") for one in scenario.countries]
        zone = np.array(places, dtype=np.int16)[country]
        known = {
            "tier": np.where(gaps < 0.01, np.nan, tier),
            "age": np.where((gaps > 0.01) & (gaps < 0.04), np.nan, age),
            "country": country.astype(np.float64),
            # Two thirds of what customers do shows; the rest is noise.
            "discount_share": np.clip(0.5 + 0.35 * thrift + 0.12 * dice.normal(Stream.SEEN), 0.0, 1.0),
            "favourite_channel": np.where(dice.uniform(Stream.SEEN, 12) < 0.2, len(CHANNELS), favourite),
            "reads_evenings": np.where(dice.uniform(Stream.SEEN, 13) < 0.15, ~evening, evening),
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
            basket=np.array(scenario.basket)[tier] * np.exp(0.25 * dice.normal(Stream.BASKET)),
            organic=np.array(scenario.organic)[tier] * np.exp(0.3 * dice.normal(Stream.ORGANIC)),
            bought_days=-45.0 * np.log1p(-dice.uniform(Stream.BOUGHT)),
            agrees=consent < scenario.agrees,
            refuses=consent > 1.0 - scenario.refuses,
            refuses_sms=(consent < scenario.agrees) & (dice.uniform(Stream.NO_SMS) < scenario.refuses_sms),
            complains=special > 0.992,
            recalled=special < 0.004,
            known=known,
            scenario=scenario,
            connectivity=Connectivity(seed, scenario.patchy, scenario.offline, scenario.spell_hours),
        )

    def __len__(self) -> int:
        return len(self.subjects)

    def visitors(self, day: int, *, per_week: float) -> list[I64]:
        """Whose turn it is: the customers to decide for in each run of a day, at most one run each."""
        dice = Dice(self.seed, np.arange(len(self), dtype=np.uint64))
        due = dice.uniform(Stream.VISIT, day) < per_week / 7.0
        run = (dice.uniform(Stream.WHEN, day) * len(RUNS)).astype(np.int64)
        return [np.flatnonzero(due & (run == one)) for one in range(len(RUNS))]

    def response(self, moment: Moment, catalogue: Catalogue, action: I64, now: int, /) -> Response:
        """How likely these customers are to answer these actions, decided now.

        Args:
            moment: The customers, m rows.
            catalogue: The actions. Messages, channels and classes go by name; any catalogue will do.
            action: Shape (m, j): columns of the catalogue.
            now: When it is decided, for all rows.
        """
        like, offers = self.scenario, Offers.of(catalogue, self.seed, self.scenario)
        row = moment.row
        appeal = self._appeal(offers, moment, catalogue, action, now)
        keen = 1.0 / (1.0 + np.exp(-appeal))
        there = np.where(moment.gone, 0.0, 1.0)[:, None]
        met = (
            there
            if self.connectivity.steady
            else there * self._arrives(offers, moment, catalogue, action, now)
        )
        courts = offers.courts[action]
        felt = offers.reach[action] * courts * met
        trust = moment.trust[:, None]
        lift = like.lift * keen * felt * trust
        own = (self.organic[row] * (0.6 + 0.8 * _craving(moment.idle_days)))[:, None] * trust * there
        tired = np.exp(like.annoyance_growth * moment.fatigue)[:, None]
        annoyed = like.annoyance * offers.intrusion[action] * tired * (1.5 - keen)
        return Response(
            purchase=own + lift,
            amount=self.basket[row][:, None] * offers.keeps[action],
            click=like.clicks * keen * felt * trust,
            unsubscribe=np.minimum(annoyed * offers.irritates[action], 0.5) * courts * met,
            complaint=like.complaints * (1.0 - trust) * felt,
        )

    def arrivals(self, moment: Moment, catalogue: Catalogue, action: I64, now: int, /) -> tuple[I64, Bools]:
        """When these actions reach these customers, and whether they do, shape (m, j) each.

        Args:
            moment: The customers, m rows.
            catalogue: The actions.
            action: Shape (m, j): columns of the catalogue.
            now: When it is decided, for all rows.

        Returns:
            Microseconds since 1970, and False where a message expires before the customer is online; the
            time is then the one that was planned.
        """
        waits = np.take_along_axis(waiting_times(catalogue, self.zone[moment.row], now), action, axis=1)
        planned = now + waits
        if self.connectivity.steady:
            return planned, np.ones(planned.shape, np.bool_)
        offers = Offers.of(catalogue, self.seed, self.scenario)
        who = np.broadcast_to(moment.row[:, None], planned.shape)
        met = np.where(offers.sends[action], self.connectivity.next_online(who, planned), planned)
        arrives = (met - planned) / HOUR <= offers.waits_hours[action]
        return np.where(arrives, met, planned), arrives

    def _arrives(self, offers: Offers, moment: Moment, catalogue: Catalogue, action: I64, now: int) -> Bools:
        return self.arrivals(moment, catalogue, action, now)[1]

    def _appeal(self, offers: Offers, moment: Moment, catalogue: Catalogue, action: I64, now: int) -> F64:
        row = moment.row
        thrift, novelty = self.thrift[row], self.novelty[row]
        if any(self.scenario.swing):
            high = math.cos(2.0 * math.pi * (now - HIGH_SEASON) / (24 * HOUR * self.scenario.season_days))
            thrift, novelty = (
                taste + swing * high
                for taste, swing in zip((thrift, novelty), self.scenario.swing, strict=True)
            )
        traits = np.stack([thrift, novelty, _craving(moment.idle_days)], axis=1)
        taste = np.einsum("md,kd->mk", traits, offers.taste)
        quirk = _noise.uniform(
            _noise.fold(self.seed, Stream.TASTE, row.astype(np.uint64)[:, None], offers.own[None, :])
        )
        taste += offers.level + 1.2 * (quirk - 0.5)
        channel = offers.channel[None, :]
        taste += np.where(channel < 0, 0.0, np.where(channel == self.favourite[row][:, None], 1.0, -0.45))
        turn = (delivery_hours(catalogue, self.zone[row], now) - self.hour[row][:, None]) / 24.0
        taste += 0.6 * np.cos(2.0 * math.pi * turn)
        taste -= self.scenario.dulling * moment.fatigue[:, None]
        return np.take_along_axis(taste, action, axis=1)

    def expected(self, moment: Moment, catalogue: Catalogue, goals: Goals, now: int, /) -> F64:
        """The true expected reward of every action, decided now, shape (m, k).

        It is in closed form: no draws, and outcomes that come too late or are lost left out.

        Args:
            moment: The customers, m rows.
            catalogue: The actions.
            goals: What outcomes are worth; the sum of them, counted from the decision.
            now: When it is decided, for all rows.

        Raises:
            EvaluationError: The goals are not a plain sum from the decision on.
        """
        if goals.aggregate != "sum" or goals.start != "decision" or goals.terminal or goals.default:
            raise EvaluationError(
                "the expected reward is known for goals that sum up from the decision on, without a default "
                f"and without terminal ones, got {goals!r}",
                value=goals,
            )
        m, k = len(moment.row), len(catalogue)
        every = np.broadcast_to(np.arange(k), (m, k))
        answer = self.response(moment, catalogue, every, now)
        met, _ = self.arrivals(moment, catalogue, every, now)
        closes = now + span(goals.window, "window")
        ends: I64 | int = closes
        if not self.connectivity.steady:
            # Who is offline when the books are closed has not reported what he did since he was online.
            books = -(-(closes - RUNS[0]) // (24 * HOUR)) * 24 * HOUR + RUNS[0]
            last = self.connectivity.reported_until(moment.row, np.full(m, books, np.int64))
            ends = np.minimum(closes, last)[:, None]
        reported = 1.0 - self.scenario.lost - self.scenario.late
        out = np.zeros((m, k))
        for (goal, worth), mean in zip(answer.worth(goals).items(), self.scenario.means_hours, strict=True):
            begin = now if goal == PURCHASE and self.scenario.lift == 0.0 else met
            out += worth * reported * -np.expm1(-np.maximum(ends - begin, 0) / HOUR / mean)
        return out

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
            "country": Coded(known["country"], tuple(one.code for one in self.scenario.countries)),
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


def _craving(days: F64) -> F64:
    """How ready customers are to buy again: most some forty days after the last time, 0 to 1."""
    return np.asarray(np.exp(-(((days - 40.0) / 22.0) ** 2)))
