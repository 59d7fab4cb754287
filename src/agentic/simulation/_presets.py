"""Which scenarios come in the box: markets that differ in what is hard about them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from agentic.errors import ConfigurationError
from agentic.simulation._scenario import Appeal, Country, Reach, Scenario
from agentic.simulation._world import RETAIL

_DAY: Final = 24.0

_PRESETS: Final = (
    RETAIL,
    Scenario(
        name="india_prepaid",
        about="prepaid mobile in India: connections come and go, consent is rare, baskets are small",
        # Migrants and travellers are the small shares; one of them is half a day away.
        countries=(
            Country("IN", "Asia/Kolkata", 0.92),
            Country("AE", "Asia/Dubai", 0.05),
            Country("NP", "Asia/Kathmandu", 0.02),
            Country("US", "America/New_York", 0.01),
        ),
        # Consent must be given in so many words (DPDP Act 2023, and the registry of the regulator TRAI).
        agrees=0.45,
        refuses=0.20,
        refuses_sms=0.45,
        # Small recharges, often: at most one in a few weeks is due to a message.
        basket=(3.0, 5.0, 9.0),
        organic=(0.06, 0.08, 0.10),
        complaints=0.02,
        # Data packs run out and coverage is patchy; push waits a day at the gateway, a text message two.
        patchy=0.6,
        offline=0.55,
        spell_hours=8.0,
        channels={
            "email": Reach(0.8, 0.35),  # few prepaid customers read e-mail
            "push": Reach(0.9, 0.80, waits_hours=1 * _DAY),
            "sms": Reach(1.4, 0.97, waits_hours=2 * _DAY),
        },
        lost=0.03,
        late=0.01,
        double=0.05,  # phones send again what they are not sure of
    ),
    Scenario(
        name="win_back_fatigued",
        about="customers who were written to too often: trust is fragile, one message a week is much",
        basket=(28.0, 40.0, 58.0),
        organic=(0.012, 0.018, 0.030),  # they have nearly stopped buying
        # Two messages a week, which an ordinary shop may send, lose four in ten of them in half a year: twice
        # what people say they would do (Localytics 2017, see ``news_clicks``).
        annoyance=0.005,
        annoyance_growth=0.5,
        complaints=0.03,
        fatigue_half_life_days=7.0,
        tolerance=0.5,
        trust_loss=0.02,
        trust_half_life_days=90.0,
        churn=0.0012,
        churn_growth=0.02,
        churn_below=0.9,
    ),
    Scenario(
        name="news_clicks",
        about="a publisher: clicks are many and cheap, readers pay by staying, and tired readers leave",
        # What a "purchase" is here: a paid read or a renewal, which comes of habit and hardly of messages.
        basket=(5.0, 8.0, 12.0),
        organic=(0.08, 0.10, 0.12),
        lift=0.02,
        clicks=0.6,
        # One message a day, of which six are felt at once, makes four readers in five unsubscribe and one in
        # five more leave within half a year; two a week do next to nothing. Of 1,000 people asked, 80 % would
        # turn off an app that sends 6 to 10 messages a week and a third would stop using it (Localytics 2017,
        # survey in the United States). An ordinary message loses 1 to 5 readers in 1,000.
        annoyance=0.002,
        annoyance_growth=0.25,
        complaints=0.02,
        fatigue_half_life_days=4.0,
        tolerance=1.2,
        trust_loss=0.004,
        churn=0.0004,
        churn_growth=0.01,
        churn_below=0.9,
    ),
    Scenario(
        name="seasonal_shift",
        about="tastes turn within eight weeks: what was best at first is worst later, and memory misleads",
        # A year in sixteen weeks, so that a simulation of eight weeks sees the turn from sales to novelties.
        swing=(0.9, -0.9),
        season_days=112.0,
    ),
    Scenario(
        name="rare_rewards",
        about="one occasion in several hundred comes to anything: learning from little, intervals near zero",
        basket=(180.0, 260.0, 420.0),  # furniture, travel: dear and seldom
        organic=(0.0015, 0.002, 0.003),
        lift=0.008,
        clicks=0.03,
    ),
    Scenario(
        name="nothing_works",
        about="no message has any effect, so any difference between policies is luck: false alarms",
        lift=0.0,
        clicks=0.0,
        annoyance=0.0,
        trust_loss=0.0,
        messages={  # as ever, but nobody gets a discount
            "voucher": Appeal(3.2, -0.3, 0.6, -2.2),
            "new_arrivals": Appeal(-0.6, 3.2, -0.4, -2.0),
            "reminder": Appeal(0.0, -0.4, 3.4, -1.9),
        },
    ),
    Scenario(
        name="quick_harm",
        about="one message, the reminder, is clicked and drives people away: a rollback has to see it",
        complaints=0.05,
        trust_loss=0.06,
        messages={
            "voucher": Appeal(3.2, -0.3, 0.6, -2.2, keeps=0.85),
            "new_arrivals": Appeal(-0.6, 3.2, -0.4, -2.0),
            "reminder": Appeal(0.0, -0.4, 3.4, -0.9, irritates=8.0),
        },
    ),
)

SCENARIOS: Final[Mapping[str, Scenario]] = MappingProxyType({one.name: one for one in _PRESETS})
"""The scenarios in the box by name; make your own with ``attrs.evolve``."""


def scenario(name: str, /) -> Scenario:
    """The scenario in the box of this name.

    Raises:
        ConfigurationError: There is none.
    """
    if name not in SCENARIOS:
        raise ConfigurationError(
            f"no scenario {name!r}: choose one of {', '.join(SCENARIOS)}, or make a Scenario of your own",
            value=name,
            expected=list(SCENARIOS),
        )
    return SCENARIOS[name]
