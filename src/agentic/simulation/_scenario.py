"""What kind of market is it: every constant of a simulated world in one value, with units and reasons."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import attrs

from agentic import zones
from agentic.errors import ConfigurationError


def _within(owner: object, name: str, low: float, high: float) -> None:
    _check(getattr(owner, name), name, low, high)


def _each(owner: object, name: str, count: int, low: float, high: float) -> None:
    values = getattr(owner, name)
    if not isinstance(values, tuple) or len(values) != count:
        raise ConfigurationError(f"{name} must be {count} numbers, got {values!r}", value=values)
    for value in values:
        _check(value, name, low, high)


def _check(value: object, name: str, low: float, high: float) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not low <= value <= high:  # type: ignore[operator]  # a number
        raise ConfigurationError(f"{name} must be from {low:g} to {high:g}, got {value!r}", value=value)


@attrs.frozen
class Appeal:
    """What a message says to customers; appeals are added up and squashed, as in a logistic regression.

    Attributes:
        thrift: Answer to a customer's taste for discounts.
        novelty: Answer to a taste for what is new.
        craving: Answer to being due for the next purchase, which is 0 to 1.
        level: What it appeals to anybody.
        keeps: Share of the price that a customer who was sent it still pays, above 0, at most 1.
        irritates: Factor on the chance that it makes somebody unsubscribe, 0 or more.
    """

    thrift: float
    novelty: float
    craving: float
    level: float
    keeps: float = attrs.field(default=1.0, kw_only=True)
    irritates: float = attrs.field(default=1.0, kw_only=True)

    def __attrs_post_init__(self) -> None:
        for name in ("thrift", "novelty", "craving", "level"):
            _within(self, name, -20.0, 20.0)
        _within(self, "keeps", 0.01, 1.0)
        _within(self, "irritates", 0.0, 100.0)


@attrs.frozen
class Reach:
    """What a channel does to customers.

    Attributes:
        intrusion: How much one message tires, in contacts: 1 is what an ordinary one does.
        share: Share of messages that are seen, 0 to 1, of those that arrive.
        waits_hours: How long a message waits for a customer who is offline before it expires.
    """

    intrusion: float
    share: float
    waits_hours: float = attrs.field(default=math.inf, kw_only=True)

    def __attrs_post_init__(self) -> None:
        _within(self, "intrusion", 0.0, 20.0)
        _within(self, "share", 0.0, 1.0)
        _within(self, "waits_hours", 0.0, math.inf)


@attrs.frozen
class Country:
    """Where some of the customers live.

    Attributes:
        code: Two letters, unique in a scenario.
        zone: Time zone, as the time zone database names it.
        share: Of the customers, above 0; the shares of a scenario add up to 1.
    """

    code: str
    zone: str
    share: float

    def __attrs_post_init__(self) -> None:
        zones.check(self.zone, "a country's zone")
        _within(self, "share", 0.0, 1.0)


_MESSAGES: Final = {
    "voucher": Appeal(3.2, -0.3, 0.6, -2.2, keeps=0.85),
    "new_arrivals": Appeal(-0.6, 3.2, -0.4, -2.0),
    "reminder": Appeal(0.0, -0.4, 3.4, -1.9),
}
_CHANNELS: Final = {"email": Reach(0.8, 0.90), "push": Reach(0.9, 0.85), "sms": Reach(1.4, 0.98)}
_COUNTRIES: Final = (
    Country("IN", "Asia/Kolkata", 0.4),
    Country("US", "America/New_York", 0.3),
    Country("GB", "Europe/London", 0.2),
    Country("DE", "Europe/Berlin", 0.1),
)


def _messages(values: Mapping[str, Appeal]) -> Mapping[str, Appeal]:
    return MappingProxyType(dict(values))


def _channels(values: Mapping[str, Reach]) -> Mapping[str, Reach]:
    return MappingProxyType(dict(values))


@attrs.frozen(kw_only=True)
class Scenario:
    """A market: how its customers live, answer, tire, trust, leave and report.

    The defaults are those of ``"retail"``. All figures are invented, of the size that campaigns see and of
    the direction that the sources name; none was fitted to anybody's data. What is said below as a reason
    is why a default is of its size. "Per occasion" means per time that a customer's turn comes, two or
    three times a week unless ``simulate`` is told otherwise.

    Attributes:
        name: Its name.
        about: What it is for, in a sentence.
        countries: Where customers live.
        agrees: Share of customers who consented to marketing.
        refuses: Share who said no; the others said nothing.
        refuses_sms: Share, of those who agreed, who do not want text messages.
        basket: What a purchase comes to, in the caller's currency, by tier: free, silver, gold.
        organic: Probability of a purchase without any message, per occasion and tier, at full trust and
            middling need. A customer of a shop buys something every two to four months.
        lift: Probability of a purchase that a message which appeals to all of its readers adds. 0.15 with
            the appeals below makes about 4 in 100 messages sell something. With 0 the time of a message
            does not move purchases either.
        clicks: The same of a click; 0.35 makes about 8 in 100 messages clicked.
        annoyance: Probability that an ordinary message makes a rested customer unsubscribe; campaigns see
            1 to 5 in 1,000.
        annoyance_growth: By what the logarithm of that grows with each contact still felt.
        complaints: Probability that a message makes a customer without any trust complain (mark it as
            spam); with trust it falls to 0 in proportion. 0: nobody ever does.
        dulling: Appeal that each contact still felt takes away, in logits.
        fatigue_half_life_days: After which half of a contact is forgotten. Days, so that two messages a
            week are bearable and one a day is not.
        tolerance: Contacts felt at once that cost no trust.
        trust_loss: Share of trust that a message costs for each contact felt beyond the tolerance, at most
            a half at once.
        trust_half_life_days: In which half of the trust that was lost comes back. Long: trust is slow.
        churn: Probability of leaving for good, per occasion, at full trust.
        churn_growth: What is added to it for all trust lost beyond ``churn_below``.
        churn_below: Trust, 0 to 1, above which nobody leaves for want of it.
        messages: What messages appeal to. A message that is not named here appeals to what a hash of its
            name says.
        channels: What channels do. Another channel is an ordinary one.
        means_hours: From a message, or the occasion, to what comes of it, on average: purchase, click,
            unsubscribe and complaint.
        lost: Share of outcomes that nobody ever reports.
        late: Share reported so late that the books are closed.
        double: Share reported twice.
        patchy: Share of customers whose connection comes and goes; the others are always online.
        offline: Share of the time that those are offline, below 1.
        spell_hours: Shortest time online or offline; a stretch offline lasts ``spell_hours / (1 -
            offline)`` on average. A message meant for a customer offline waits, and expires when its
            channel says so; what such a customer does is reported when he is online again.
        swing: By how much tastes for discounts and for what is new move with the season, up and down.
        season_days: Length of a season's cycle; tastes stand at their highest on 2026-02-19, where
            simulations begin, and at their lowest half a cycle later.

    Raises:
        ConfigurationError: A figure is out of range.
    """

    name: str = "retail"
    about: str = "a shop in four countries, as the demo has it: the scenario to begin with"
    countries: tuple[Country, ...] = attrs.field(default=_COUNTRIES)
    agrees: float = 0.86
    refuses: float = 0.06
    refuses_sms: float = 0.3
    basket: tuple[float, float, float] = (30.0, 42.0, 60.0)
    organic: tuple[float, float, float] = (0.030, 0.042, 0.060)
    lift: float = 0.15
    clicks: float = 0.35
    annoyance: float = 0.0045
    annoyance_growth: float = 0.55
    complaints: float = 0.0
    dulling: float = 0.55
    fatigue_half_life_days: float = 5.0
    tolerance: float = 0.8
    trust_loss: float = 0.035
    trust_half_life_days: float = 60.0
    churn: float = 0.0008
    churn_growth: float = 0.06
    churn_below: float = 0.75
    messages: Mapping[str, Appeal] = attrs.field(default=_MESSAGES, converter=_messages, hash=False)
    channels: Mapping[str, Reach] = attrs.field(default=_CHANNELS, converter=_channels, hash=False)
    means_hours: tuple[float, float, float, float] = (26.0, 4.0, 6.0, 6.0)
    lost: float = 0.01
    late: float = 0.002
    double: float = 0.02
    patchy: float = 0.0
    offline: float = 0.0
    spell_hours: float = 8.0
    swing: tuple[float, float] = (0.0, 0.0)
    season_days: float = 365.25

    def __attrs_post_init__(self) -> None:
        for name in _SHARES:
            _within(self, name, 0.0, 1.0)
        for name in ("annoyance_growth", "dulling", "tolerance"):
            _within(self, name, 0.0, 10.0)
        for name in ("fatigue_half_life_days", "trust_half_life_days", "season_days"):
            _within(self, name, 0.01, 1e6)
        _within(self, "offline", 0.0, 0.95)
        _within(self, "spell_hours", 1.0, 24.0 * 7)
        _each(self, "basket", 3, 0.0, 1e6)
        _each(self, "organic", 3, 0.0, 0.25)
        _each(self, "means_hours", 4, 1e-3, 1e4)
        _each(self, "swing", 2, -10.0, 10.0)
        if self.agrees + self.refuses > 1.0:
            raise ConfigurationError(
                f"agrees and refuses are shares of the same customers, got {self.agrees!r} and"
                f" {self.refuses!r}: lower one",
                value=(self.agrees, self.refuses),
            )
        if not isinstance(self.countries, tuple) or not self.countries:
            raise ConfigurationError(
                f"countries must be a tuple of at least one Country, got {self.countries!r}",
                value=self.countries,
            )
        total = math.fsum(country.share for country in self.countries)
        if abs(total - 1.0) > 1e-9 or len({country.code for country in self.countries}) < len(self.countries):
            raise ConfigurationError(
                "countries must have codes of their own and shares that add up to 1, got"
                f" {[(country.code, country.share) for country in self.countries]!r}",
                value=self.countries,
            )

    @property
    def facts(self) -> dict[str, Any]:  # JSON-compatible
        """All of it as plain values, for a report or a digest; the keys are the attributes' names."""
        return {field.name: _plain(getattr(self, field.name)) for field in attrs.fields(type(self))}


_SHARES: Final = (
    "agrees",
    "refuses",
    "refuses_sms",
    "lift",
    "clicks",
    "annoyance",
    "complaints",
    "trust_loss",
    "churn",
    "churn_growth",
    "churn_below",
    "lost",
    "late",
    "double",
    "patchy",
)


def _plain(value: Any) -> Any:  # JSON-compatible
    if isinstance(value, Mapping):
        return {name: _plain(part) for name, part in sorted(value.items())}
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    if attrs.has(type(value)):
        return {field.name: _plain(getattr(value, field.name)) for field in attrs.fields(type(value))}
    return "never" if value == math.inf else value
