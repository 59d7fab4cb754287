"""Suppression and restriction beat everything, in every agent, whatever it lists."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentic import (
    NO_ACTION,
    Action,
    Agent,
    ConsentGranted,
    F,
    Released,
    Restricted,
    RestrictionLifted,
    Suppressed,
)
from agentic.arrays import Batch, Proposal, Review
from agentic.features import Number
from agentic.guardrails import Consent, FrequencyCap, KillSwitch, QuietHours, Suppression
from agentic.policies import Fixed, Uniform
from agentic.rewards import Goals
from agentic.state import MemoryStore
from agents import DAY, NOON

ACTIONS = [
    Action("push", channel="push"),
    Action("sms", channel="sms", cost=0.1),
    Action("later", channel="email", delay=timedelta(hours=3)),
    Action("evening", channel="email", send_at="18:30"),
    Action("help", channel="email", message_class="service"),
    Action("recall", channel="email", message_class="mandatory"),
]


class Raises:
    """A policy that fails."""

    name = "raises"

    def propose(self, batch: Batch, /) -> Proposal:
        raise RuntimeError(len(batch))


class Insists:
    """A policy that wants everything but doing nothing."""

    name = "insists"

    def propose(self, batch: Batch, /) -> Proposal:
        weights = np.ones((len(batch), len(batch.catalogue)))
        weights[:, batch.catalogue.idle] = 0.0
        return Proposal(weights)


class Allows:
    """A guardrail that allows everything, whoever asks."""

    name = "allows"

    def review(self, batch: Batch, /) -> Review:
        batch.allowed = np.ones_like(batch.allowed)
        return Review(np.ones((1, 1), dtype=np.bool_), "ALLOWS")


RULES: list[Any] = [
    Consent("marketing"),
    FrequencyCap(5, per=DAY),
    QuietHours("02:00", "03:00"),
    KillSwitch(),
    Allows(),
    Suppression(),
    Suppression(channels=["sms"], name="no_sms"),
    Suppression(actions=["push"], exempt=["service"], name="no_push"),
]
POLICIES: list[Any] = [Uniform(), Fixed("recall"), Raises(), Insists()]


def sent(agent: Agent, subject: str, slots: int) -> set[str]:
    decision = agent.decide(subject, slots=slots)
    return {choice.action.id for choice in decision.choices} - {NO_ACTION.id}


@given(
    rules=st.permutations(RULES).flatmap(lambda some: st.integers(0, len(some)).map(lambda n: some[:n])),
    policy=st.sampled_from(POLICIES),
    stand_ins=st.tuples(st.sampled_from(POLICIES), st.sampled_from(POLICIES)),
    shares=st.sampled_from([(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (0.3, 0.3)]),
    floor=st.sampled_from([0.0, 0.5]),
    slots=st.integers(1, 3),
    fact=st.sampled_from([Suppressed(), Suppressed(NOON + 2 * DAY), Restricted()]),
)
@settings(max_examples=150)
def test_nothing_reaches_who_is_stopped(
    rules: list[Any],
    policy: Any,
    stand_ins: tuple[Any, Any],
    shares: tuple[float, float],
    floor: float,
    slots: int,
    fact: Any,
) -> None:
    """No rule, order, arm, experiment, stand-in, floor or slate lets anything through, mandatory or not."""
    agent = Agent(
        "stopped",
        ACTIONS,
        policy=policy,
        guardrails=rules,
        control=stand_ins[0],
        fallback=stand_ins[1],
        holdout=shares[0],
        random_control=shares[1],
        exploration_floor=floor,
        zone="UTC",
        clock=lambda: NOON,
    )
    if any(rule.name == "consent" for rule in rules):
        agent.tell("anna", ConsentGranted("marketing"))
    agent.tell("anna", fact)
    code = "RESTRICTED" if isinstance(fact, Restricted) else "SUPPRESSED"
    for _ in range(3):
        assert not sent(agent, "anna", slots)
    decision = agent.decide("anna")
    assert decision.probability == 1.0
    assert set(decision.reasons[code]) == {action.id for action in ACTIONS}


def test_message_classes_are_exempt_only_by_name() -> None:
    """As a `Suppression` without another scope says; a narrower one exempts nobody from the rest."""
    rules = [Suppression(exempt=["mandatory"]), Suppression(channels=["sms"], name="no_sms")]
    agent = Agent("exempt", ACTIONS, policy=Uniform(), guardrails=rules, zone="UTC", clock=lambda: NOON)
    agent.privacy.suppress("anna")
    assert agent.decide("anna").action.id == "recall"
    both = [Suppression(exempt=["mandatory", "service"]), Suppression(exempt=["service"], name="other")]
    agent = Agent("exempt", ACTIONS, policy=Uniform(), guardrails=both, zone="UTC", clock=lambda: NOON)
    agent.privacy.suppress("anna")
    assert "help" not in agent.decide("anna").reasons["SUPPRESSED"]
    assert "recall" in agent.decide("anna").reasons["SUPPRESSED"]
    agent.tell("anna", Restricted())
    assert agent.decide("anna").action == NO_ACTION


def test_what_arrives_after_the_end_is_not_denied() -> None:
    """As with the guardrail: judged is the delivery."""
    agent = Agent("until", ACTIONS, policy=Uniform(), zone="UTC", clock=lambda: NOON)
    agent.privacy.suppress("anna", NOON + timedelta(hours=3))
    assert set(agent.decide("anna").reasons["SUPPRESSED"]) == {"push", "sms", "help", "recall"}
    agent.privacy.suppress("anna", NOON + timedelta(hours=1))  # the longest holds
    assert "push" in agent.decide("anna").reasons["SUPPRESSED"]
    assert "SUPPRESSED" not in agent.decide("anna", now=NOON + timedelta(hours=3)).reasons


def test_release_lifts_a_suppression_and_not_a_restriction() -> None:
    """And lifting the restriction leaves a suppression that was there before."""
    agent = Agent("lifted", ACTIONS, policy=Fixed("push"), zone="UTC", clock=lambda: NOON)
    agent.privacy.suppress("anna")
    agent.tell("anna", Restricted())
    agent.privacy.release("anna")
    assert set(agent.decide("anna").reasons) == {"RESTRICTED"}
    agent.privacy.suppress("anna")
    agent.tell("anna", RestrictionLifted())
    assert set(agent.decide("anna").reasons) == {"SUPPRESSED"}
    agent.tell("anna", Released())
    assert set(agent.decide("anna").reasons) == {"OUTRANKED"}


@pytest.mark.parametrize("before", [[], [Suppression()]], ids=["none", "listed"])
@pytest.mark.parametrize(
    "after", [[], [Suppression()], [Suppression(exempt=["service"])]], ids=["none", "listed", "exempt"]
)
def test_a_suppression_outlives_the_list_of_rules(before: list[Any], after: list[Any]) -> None:
    """An agent that lists other rules the next day still knows who is suppressed."""
    store = MemoryStore()
    one = Agent(
        "shop", ACTIONS, policy=Insists(), guardrails=before, store=store, zone="UTC", clock=lambda: NOON
    )
    one.privacy.suppress("anna")
    two = Agent(
        "shop", ACTIONS, policy=Insists(), guardrails=after, store=store, zone="UTC", clock=lambda: NOON
    )
    assert "push" in two.decide("anna").reasons["SUPPRESSED"]
    assert two.decide("anna").action.id in ("no_action", "help")


def test_others_are_decided_for_as_before() -> None:
    """In one batch with those who are stopped, with the same draw."""
    parts: dict[str, Any] = {"policy": Uniform(), "zone": "UTC", "clock": lambda: NOON}
    one, two = Agent("batch", ACTIONS, **parts), Agent("batch", ACTIONS, **parts)
    names = [f"s{i}" for i in range(50)]
    two.tell_many(names[::5], Suppressed())
    two.tell_many(names[::7], Restricted())
    free = np.array([i % 5 != 0 and i % 7 != 0 for i in range(50)])
    first, second = one.decide_many(names), two.decide_many(names)
    assert (first.action[free] == second.action[free]).all()
    assert (first.probability[free] == second.probability[free]).all()
    assert not second.sends[~free].any()
    denials = second.denials()
    assert denials["SUPPRESSED"] == 10 * len(ACTIONS)
    assert denials["RESTRICTED"] == 8 * len(ACTIONS)
    assert set(denials) == {"SUPPRESSED", "RESTRICTED", "OUTRANKED"}


def test_reasons_that_share_bits_are_told_apart() -> None:
    """Not eligible, unknown, contended or without state: nobody is taken for stopped, nor the other way."""
    actions = [Action("adult", channel="push", eligible=F("age") >= 18), Action("push", channel="push")]
    agent = Agent(
        "bits",
        actions,
        features=[Number("age", low=0, high=120)],
        policy=Uniform(),
        clock=lambda: NOON,
    )
    assert dict(agent.decide("a", {"age": 3}).reasons) == {"NOT_ELIGIBLE": ("adult",)}
    assert dict(agent.decide("a", {}).reasons) == {"ELIGIBILITY_UNKNOWN": ("adult",)}
    agent.privacy.suppress("a")
    assert dict(agent.decide("a", {"age": 3}).reasons) == {"SUPPRESSED": ("adult", "push")}
    agent.privacy.release("a")
    agent.tell("a", Restricted())
    assert dict(agent.decide("a", {"age": 3}).reasons) == {
        "NOT_ELIGIBLE": ("adult",),
        "RESTRICTED": ("adult", "push"),
    }


def test_nothing_is_learned_from_who_is_restricted() -> None:
    """Neither from what was decided before, nor since; whoever is not is learned from."""
    goals = Goals({"buy": 1.0}, window=DAY)
    agent = Agent("learns", ACTIONS, goals=goals, zone="UTC", clock=lambda: NOON)
    names = ["anna", "ben", "carl"]
    batch = agent.decide_many(names)
    agent.record_many(batch.ids, "buy")
    agent.tell("anna", Restricted())
    agent.decide("anna")
    learned = agent.learn(now=NOON + 2 * DAY)
    assert (learned.closed, learned.used) == (4, 2)
    agent.decide("anna", now=NOON + 2 * DAY)
    agent.tell("anna", RestrictionLifted())
    agent.decide("anna", now=NOON + 2 * DAY)
    assert agent.learn(now=NOON + 4 * DAY).used == 1


def test_who_is_protected_can_be_left_alone_too() -> None:
    """Of a child nothing is remembered but that it is to be left alone."""
    agent = Agent(
        "shop",
        ACTIONS,
        features=[Number("age", low=0, high=120)],
        policy=Uniform(),
        protect=F("age") < 18,
        protected=Fixed("help"),
        zone="UTC",
        clock=lambda: NOON,
    )
    assert agent.decide("child", {"age": 9}).action.id == "recall"  # a mandatory message
    for fact, code in ((Suppressed(), "SUPPRESSED"), (Restricted(), "RESTRICTED")):
        agent.tell("child", fact)
        decision = agent.decide("child", {"age": 9})
        assert decision.arm == "protected"
        assert decision.action == NO_ACTION
        assert set(decision.reasons[code]) == {action.id for action in ACTIONS}
    agent.privacy.erase("child")
    assert not agent.privacy.export("child")["decisions"]


def test_decisions_of_who_is_stopped_replay() -> None:
    """Bits that share a place with those of eligibility are not taken for them."""
    agent = Agent(
        "shop",
        [*ACTIONS, Action("adult", channel="push", eligible=F("age") >= 18)],
        features=[Number("age", low=0, high=120)],
        policy=Uniform(),
        clock=lambda: NOON,
    )
    for age in (9, 31, None):
        agent.decide("anna", {"age": age})
    for fact in (Suppressed(), Restricted(), Released()):
        agent.tell("anna", fact)
        for age in (9, 31, None):
            agent.decide("anna", {"age": age})
    replayed = agent.replay()
    assert (replayed.decisions, replayed.identical) == (12, True)
    agent.privacy.erase("anna")
    replayed = agent.replay()
    assert (replayed.decisions, replayed.erased, replayed.identical) == (0, 12, True)
