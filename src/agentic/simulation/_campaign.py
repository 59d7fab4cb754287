"""What does a whole campaign look like: the stock one that the demo, the benchmarks and tests run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from agentic._agent import Agent
from agentic.catalogue import Level, product
from agentic.conditions import Condition, F
from agentic.features import Category, Cyclic, Flag, Number, TimeZone
from agentic.guardrails import (
    Budget,
    Consent,
    Cooldown,
    FrequencyCap,
    KillSwitch,
    QuietHours,
    Suppression,
)
from agentic.policies import LinearThompson, Rules
from agentic.protocols import Feature, Guardrail, Policy
from agentic.rewards import Goals
from agentic.simulation._offers import CHANNELS
from agentic.simulation._scenario import Scenario
from agentic.simulation._world import AGES, PURPOSE, RETAIL, STAGES, TIERS, World
from agentic.types import MANDATORY, Action

MARGIN = 0.25
"""What is earned of a purchase's amount."""

BEST_GUESS = "new_arrivals/email/morning"
"""What a marketer would send to everybody who had to choose one action for all."""


def campaign(
    policy: Policy | None = None,
    *,
    customers: int,
    seed: int = 0,
    guardrails: list[Guardrail] | None = None,
    holdout: float = 0.1,
    random_control: float = 0.1,
    exploration_floor: float = 0.02,
    more_features: Sequence[Feature] = (),
    scenario: Scenario = RETAIL,
) -> tuple[Agent, World]:
    """Set up the stock campaign and a world for it.

    Three messages on three channels at two or three times of day, where a combination makes sense; a
    recall notice that a few customers must get; every kind of guardrail; a tenth of the customers held out
    and a tenth decided at random.

    Args:
        policy: Decides; ``LinearThompson()`` by default.
        customers: In the world; the budget grows with them.
        seed: Of the world, of the agent's draws, and of who is held out.
        guardrails: In place of ``contact_policy(customers)``.
        holdout: Share of customers that get nothing but the recall notice.
        random_control: Share of customers decided uniformly among what the rules allow.
        exploration_floor: Share of probability spread evenly over what the rules allow.
        more_features: Declared besides those of the campaign; those that the world knows are filled.
        scenario: How the customers live, answer and tire.

    Raises:
        ConfigurationError: An argument is out of range.
    """
    world = World.of(customers, seed=seed, scenario=scenario)
    agent = Agent(
        "win-back",
        actions=actions(),
        features=[*features(scenario), *more_features],
        policy=LinearThompson() if policy is None else policy,
        guardrails=contact_policy(customers) if guardrails is None else guardrails,
        goals=Goals({"purchase": MARGIN, "click": 0.05, "unsubscribe": -5.0}, window=timedelta(hours=72)),
        holdout=holdout,
        random_control=random_control,
        exploration_floor=exploration_floor,
        seed=seed,
        salt=f"win-back/{seed}",
    )
    return agent, world


def actions() -> list[Action]:
    """Message by channel by send time, and the recall notice."""
    offers = product(
        {
            "message": ["voucher", "new_arrivals", "reminder"],
            "channel": [
                Level("email", cost=0.01),
                Level("push"),
                Level("sms", cost=0.08),
            ],
            "when": ["now", Level("morning", send_at="09:30"), Level("evening", send_at="19:30")],
        },
        # Nobody opens an e-mail at once, and text messages go out when people have finished work.
        where=((F("channel") != "email") | (F("when") != "now"))
        & ((F("channel") != "sms") | (F("when") == "evening")),
    )
    recall = Action(
        "recall_notice", channel="email", message_class=MANDATORY, cost=0.01, eligible=F("recall").is_true()
    )
    return [*offers, recall]


def features(scenario: Scenario = RETAIL) -> list[Feature]:
    """What the company knows of a customer."""
    return [
        Number("days_since_purchase", low=0, high=120),
        Number("recent_contacts", low=0, high=4),
        Number("discount_share", low=0, high=1),
        Category("stage", STAGES),
        Category("tier", TIERS),
        Category("age", AGES),
        Category("country", [one.code for one in scenario.countries]),
        Category("favourite_channel", [*CHANNELS, "unknown"]),
        Flag("reads_evenings"),
        Flag("weekend"),
        Flag("recall"),
        Cyclic("hour", period=24),
        TimeZone("time_zone"),
    ]


def contact_policy(customers: int) -> list[Guardrail]:
    """The guardrails of the campaign; a budget of 12 a week for a thousand customers."""
    week, budget = timedelta(days=7), max(0.012 * customers, 1.0)
    return [
        KillSwitch(),
        Consent(PURPOSE),
        Suppression(),
        QuietHours("21:00", "08:00"),
        FrequencyCap(2, per=week, name="weekly_cap"),
        FrequencyCap(1, per=week, channels=["sms"], name="sms_cap"),
        Cooldown(timedelta(hours=36)),
        Budget(budget, per=week, lease=budget / 10),
    ]


def playbook() -> Rules:
    """The rules a marketer would write by hand for this campaign."""
    return Rules(
        [
            ((F("stage") == "due") & (F("discount_share") >= 0.6), "voucher/sms/evening"),
            (F("stage") == "due", "reminder/email/morning"),
            (F("discount_share") >= 0.6, "voucher/email/morning"),
            (F("age").is_in(["18-24", "25-39"]), "new_arrivals/push/evening"),
        ],
        otherwise=BEST_GUESS,
    )


def templates() -> Mapping[str, Condition | None]:
    """To whom each message may go, by a marketer's rules, for a policy that ranks what they leave."""
    return {
        "reminder": F("stage") == "due",
        "voucher": F("discount_share") >= 0.4,
        "new_arrivals": None,
    }
