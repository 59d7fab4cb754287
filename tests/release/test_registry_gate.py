"""The gate: who may go in charge of a governed agent, in every process of its file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import attrs
import numpy as np
import pytest

from agentic import NO_ACTION, Action, Agent, F
from agentic.errors import ReleaseError
from agentic.policies import (
    BetaThompson,
    EpsilonGreedy,
    FirstOf,
    Fixed,
    LinearThompson,
    Mixture,
    Personal,
    Rule,
    Rules,
    Softmax,
    Split,
    SquareCB,
    TemplateRanking,
    Uniform,
)
from agentic.provenance import MemoryLog
from agentic.release import Need, Registry, Requirements, is_learned
from releasing import NOON, PASSED, RULES, carried, made, taught

Open = Callable[..., Agent]


@pytest.fixture(params=["memory", "file"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """Makes agents: in memory, or on one file."""
    agents: list[Agent] = []
    log = MemoryLog()

    def make(**parts: Any) -> Agent:
        if request.param == "memory":
            agent = Agent(
                "shop",
                [Action("push", channel="push"), Action("sms", channel="sms", cost=0.1)],
                **{"policy": RULES, "log": log, "clock": lambda: NOON, **parts},
            )
        else:
            agent = made(tmp_path / "agent.db", **parts)
        agents.append(agent)
        return agent

    yield make
    for agent in agents:
        agent.close()


@attrs.frozen
class Written:
    """A policy whose owner says where it comes from."""

    propose: ClassVar[Any] = Uniform.propose
    learned: bool
    name: str = "written"


@attrs.frozen
class Table:
    """Numbers that somebody fitted elsewhere."""

    propose: ClassVar[Any] = Uniform.propose
    weights: Any
    name: str = "table"


class Plain:
    """A learner that declares nothing."""

    name = "plain"
    propose: ClassVar[Any] = Uniform.propose
    learn: ClassVar[Any] = BetaThompson.learn


class Wrapped:
    """Something that hides a policy in an attribute."""

    name = "wrapped"
    propose: ClassVar[Any] = Uniform.propose

    def __init__(self, policy: Any) -> None:
        self.policy = policy


@attrs.frozen
class Model:
    """No policy, and fitted."""

    weights: Any


class Slotted:
    """Something that hides a policy where no dictionary lists it."""

    __slots__ = ("name", "policy")
    propose: ClassVar[Any] = Uniform.propose

    def __init__(self, policy: Any) -> None:
        self.name, self.policy = "slotted", policy


@attrs.frozen
class Hedge:
    """Learns which of several rules to believe, as plain numbers."""

    propose: ClassVar[Any] = Uniform.propose
    experts: tuple[Any, ...]
    weights: tuple[float, ...] = (0.5, 0.5)
    name: str = "hedge"

    def learn(self, feedback: Any, /) -> Any:
        """Believe the first."""
        return attrs.evolve(self, weights=(0.9, 0.1))


@attrs.frozen
class Passing:
    """Only passes lessons on."""

    propose: ClassVar[Any] = Uniform.propose
    learned: ClassVar[bool] = False
    policy: Any
    name: str = "passing"

    def learn(self, feedback: Any, /) -> Any:
        """Teach the member."""
        return self


@attrs.frozen
class Routed:
    """Says whom it asks for which share, and has something else in it that learned."""

    propose: ClassVar[Any] = Uniform.propose
    members: tuple[Any, ...]
    shares: tuple[float, ...]
    router: Any
    name: str = "routed"


WRITTEN = Rules([Rule(F("age") >= 18, "push")])

LEARNED = [
    SquareCB(),
    BetaThompson(),
    Personal(),
    FirstOf(RULES, LinearThompson()),
    FirstOf(RULES, FirstOf(RULES, SquareCB())),
    Mixture([(RULES, 0.99), (SquareCB(), 0.01)]),
    TemplateRanking({"push": None}, SquareCB()),
    Split(RULES, [(SquareCB(), 0.01)]),
    Written(learned=True),
    Table(np.array([0.1, 0.2, 0.7])),
    FirstOf(RULES, Table(np.array([0.1, 0.2, 0.7]))),
    Plain(),
    Wrapped(SquareCB()),
    Wrapped(Model(np.ones(3))),
    Wrapped(frozenset([SquareCB()])),
    Table({"a": (Model(np.ones(3)),)}),
    Slotted(SquareCB()),
    Hedge((RULES, Uniform())),
    Passing(SquareCB()),
]
RULED = [
    RULES,
    Uniform(),
    WRITTEN,
    Written(learned=False),
    FirstOf(WRITTEN, Uniform()),
    Mixture([(RULES, 1.0), (Uniform(), 2.0)]),
    TemplateRanking({"push": None}, Uniform()),
    Split(RULES, [(Uniform(), 0.5)]),
    Wrapped(RULES),
    Wrapped({"a": [RULES]}),
    Wrapped(Model((0.5, "a"))),
    Slotted(RULES),
    Passing(RULES),
]


@pytest.mark.parametrize("policy", LEARNED, ids=list(map(str, range(len(LEARNED)))))
def test_what_learns_or_was_fitted_is_learned(policy: Any) -> None:
    """Wherever in a policy it is."""
    assert is_learned(policy)


@pytest.mark.parametrize("policy", RULED, ids=list(map(str, range(len(RULED)))))
def test_what_somebody_wrote_down_is_not(policy: Any) -> None:
    """Rules, and rules made of rules."""
    assert not is_learned(policy)


class TestGate:
    def test_without_governing_anything_goes(self, opened: Open) -> None:
        """A registry alone refuses nothing."""
        agent = opened()
        Registry(agent).register(SquareCB(), owner="Bob")
        agent.policy = SquareCB()
        assert Registry(agent).clearance(EpsilonGreedy()) == ()
        assert not Registry(agent).governed

    @pytest.mark.parametrize("policy", LEARNED[:8], ids=list(map(str, range(8))))
    def test_a_learned_policy_needs_leave(self, opened: Open, policy: Any) -> None:
        """The error says what is missing and what to do; who was in charge stays."""
        agent = opened()
        Registry(agent).govern(by="Ann")
        before = agent.policy_version
        with pytest.raises(ReleaseError, match=r"registry\.register.*registry\.override") as told:
            agent.policy = policy
        assert any("registration" in one for one in told.value.missing)
        with pytest.raises(ReleaseError):
            agent.exchange(before, policy)
        assert agent.policy_version == before
        assert Registry(agent).clearance(policy) == told.value.missing
        agent.decide("customer", now=NOON)

    @pytest.mark.parametrize("stage", ["draft", "evaluated", "shadow", "canary_50", "retired"])
    def test_a_stage_short_of_champion_is_not_enough_for_all(self, opened: Open, stage: str) -> None:
        """Half of the customers is not all of them."""
        agent = opened()
        registry = Registry(agent)
        registry.govern(by="Ann")
        registry.register(SquareCB(), owner="Bob")
        if stage == "retired":
            registry.retire(SquareCB(), by="Bob", reason="why not")
        else:
            carried(registry, SquareCB(), stage)
        with pytest.raises(ReleaseError, match=f"at stage {stage}"):
            agent.policy = SquareCB()

    def test_a_champion_goes_in_charge(self, opened: Open) -> None:
        """And what it learns there stays in charge, and may come back."""
        agent = opened()
        registry = Registry(agent)
        registry.govern(by="Ann")
        registry.register(SquareCB(), owner="Bob")
        carried(registry, SquareCB(), "champion")
        agent.policy = SquareCB()
        assert agent.policy_version == registry.champion.version  # type: ignore[union-attr]

    def test_rules_always_pass(self, opened: Open) -> None:
        """Nobody has to ask before switching learning off."""
        agent = opened()
        Registry(agent).govern(by="Ann")
        for policy in (Uniform(), FirstOf(Uniform(), RULES), Fixed(NO_ACTION)):
            agent.policy = policy
            assert Registry(agent).clearance(policy) == ()

    def test_an_override_lets_it_through_and_says_who(self, opened: Open) -> None:
        """What was done without evidence stays on record."""
        agent = opened()
        registry = Registry(agent)
        registry.govern(by="Ann")
        registry.register(SquareCB(), owner="Bob")
        registry.override(SquareCB(), by="Bob", reason="black Friday")
        agent.policy = SquareCB()
        event = registry.history(SquareCB())[-1]
        assert (event.what, event.by, event.facts["reason"]) == ("overridden", "Bob", "black Friday")

    def test_who_is_in_charge_when_governing_begins_is_champion(self, opened: Open) -> None:
        """So there is somebody to go back to."""
        agent = opened(policy=SquareCB())
        registry = Registry(agent)
        registry.govern(by="Ann")
        champion = registry.champion
        assert champion is not None
        assert champion.version == agent.policy_version
        assert champion.overridden == "it was in charge when governing began"
        agent.policy = RULES
        agent.policy = SquareCB()

    def test_a_former_champion_may_always_come_back(self, opened: Open) -> None:
        """Before the registry says rollback, and after; who was left may not."""
        agent = opened(policy=SquareCB())
        registry = Registry(agent)
        registry.govern(by="Ann")
        registry.register(EpsilonGreedy(), owner="Bob")
        carried(registry, EpsilonGreedy(), "champion")
        agent.policy = EpsilonGreedy()
        agent.policy = SquareCB()
        agent.policy = EpsilonGreedy()
        registry.rollback(by="Ann", reason="harm")
        agent.policy = SquareCB()
        with pytest.raises(ReleaseError, match="at stage retired"):
            agent.policy = EpsilonGreedy()


class TestSplit:
    @pytest.fixture
    def agent(self, opened: Open) -> Agent:
        agent = opened(policy=SquareCB())
        registry = Registry(agent)
        registry.govern(by="Ann")
        registry.register(EpsilonGreedy(), owner="Bob")
        carried(registry, EpsilonGreedy(), "canary_5")
        return agent

    def test_a_challenger_gets_what_it_is_cleared_for(self, agent: Agent) -> None:
        """And no more."""
        for share in (0.01, 0.05):
            agent.policy = Split(SquareCB(), [(EpsilonGreedy(), share)])
        for share in (0.0501, 0.1, 0.9):
            with pytest.raises(ReleaseError, match=r"it has it for 0\.05"):
                agent.policy = Split(SquareCB(), [(EpsilonGreedy(), share)])

    @pytest.mark.parametrize(
        "make",
        [
            lambda: Split(SquareCB(), [(EpsilonGreedy(), 0.03), (EpsilonGreedy(), 0.03)]),
            lambda: Split(EpsilonGreedy(), [(SquareCB(), 0.05)]),
            lambda: Split(EpsilonGreedy()),
            lambda: Split(SquareCB(), [(Split(EpsilonGreedy(), salt="b"), 0.06)]),
            lambda: Split(Split(SquareCB(), [(EpsilonGreedy(), 0.05)], salt="b"), [(EpsilonGreedy(), 0.05)]),
            lambda: Split(SquareCB(), [(FirstOf(EpsilonGreedy(), RULES), 0.01)]),
            lambda: Split(SquareCB(), [(Mixture([(EpsilonGreedy(), 1), (RULES, 1)]), 0.01)]),
            lambda: Split(SquareCB(), [(Softmax(), 0.01)]),
            lambda: Split(SquareCB(), [(RULES, 0.01), (Softmax(), 0.0001)]),
            lambda: Routed((SquareCB(), EpsilonGreedy()), (0.95, 0.05), Softmax()),
        ],
        ids=[
            "twice",
            "swapped",
            "alone",
            "nested",
            "beside",
            "hidden",
            "mixed",
            "unknown",
            "second",
            "routed",
        ],
    )
    def test_there_is_no_way_round(self, agent: Agent, make: Callable[[], Any]) -> None:
        """Shares of one version add up, however it is wrapped."""
        with pytest.raises(ReleaseError):
            agent.policy = make()

    def test_nested_shares_multiply(self, agent: Agent) -> None:
        """A twentieth of a half is a fortieth."""
        registry = Registry(agent)
        for share, passes in ((0.1, True), (0.2, False)):
            inner = Split(RULES, [(EpsilonGreedy(), share)], salt="inner")
            assert (registry.clearance(Split(SquareCB(), [(inner, 0.5)])) == ()) is passes

    def test_who_decides_for_nobody_gets_nobody(self, agent: Agent) -> None:
        """Not even one in a billion."""
        Registry(agent).step_back(EpsilonGreedy(), "shadow", by="Ann", reason="doubt")
        with pytest.raises(ReleaseError, match="at stage shadow"):
            agent.policy = Split(SquareCB(), [(EpsilonGreedy(), 1e-10)])

    def test_a_step_back_takes_hold_of_the_next_assignment(self, agent: Agent) -> None:
        """What was allowed before is not, once the registry says so."""
        agent.policy = Split(SquareCB(), [(EpsilonGreedy(), 0.05)])
        Registry(agent).step_back(EpsilonGreedy(), "canary_1", by="rollout", reason="doubt")
        with pytest.raises(ReleaseError):
            agent.exchange(agent.policy_version, Split(SquareCB(), [(EpsilonGreedy(), 0.04)]))
        assert agent.exchange(agent.policy_version, Split(SquareCB(), [(EpsilonGreedy(), 0.01)]))

    def test_challengers_may_always_be_taken_out(self, opened: Open) -> None:
        """Also where people have left the champion meanwhile; it gets no other challenger, nor comes back."""
        agent = opened(policy=SquareCB())
        registry = Registry(agent)
        registry.govern(by="Ann")
        for policy, stage in ((EpsilonGreedy(), "champion"), (Softmax(), "canary_50")):
            registry.register(policy, owner="Bob")
            registry.override(policy, stage, by="Ann", reason="a hurry")
            if stage == "champion":
                agent.policy = policy
        agent.policy = Split(EpsilonGreedy(), [(Softmax(), 0.5)])
        registry.rollback(by="Ann", reason="it does harm as well")
        with pytest.raises(ReleaseError):
            agent.policy = Split(EpsilonGreedy(), [(Softmax(), 0.1)])
        agent.policy = EpsilonGreedy()
        agent.policy = SquareCB()
        with pytest.raises(ReleaseError):
            agent.policy = EpsilonGreedy()

    def test_a_challenger_in_the_champions_place_does_not_stay_alone(self, agent: Agent) -> None:
        """It never was champion."""
        Registry(agent).override(EpsilonGreedy(), "canary_50", by="Ann", reason="a hurry")
        agent.policy = Split(EpsilonGreedy(), [(RULES, 0.5)])
        with pytest.raises(ReleaseError, match="at stage canary_50"):
            agent.policy = EpsilonGreedy()

    def test_a_split_is_nothing_to_register(self, agent: Agent) -> None:
        """Its members are."""
        with pytest.raises(ReleaseError, match="register each of them"):
            Registry(agent).register(Split(RULES, [(SquareCB(), 0.5)]), owner="Bob")

    def test_governing_begins_with_what_is_cleared(self, opened: Open) -> None:
        """An unknown challenger in charge has to be seen to first."""
        agent = opened(policy=Split(RULES, [(EpsilonGreedy(), 0.05)]))
        registry = Registry(agent)
        with pytest.raises(ReleaseError, match="take it through its stages first"):
            registry.govern(by="Ann")
        registry.register(EpsilonGreedy(), owner="Bob")
        registry.override(EpsilonGreedy(), "canary_5", by="Ann", reason="it is there")
        registry.govern(by="Ann")
        assert registry.governed
        assert registry.champion == registry.get(RULES)

    def test_another_champion_than_the_one_in_charge_is_settled_first(self, opened: Open) -> None:
        """Or nobody knew who is."""
        agent = opened(policy=SquareCB())
        registry = Registry(agent)
        registry.register(EpsilonGreedy(), owner="Bob")
        carried(registry, EpsilonGreedy(), "champion")
        with pytest.raises(ReleaseError, match="put the champion in"):
            registry.govern(by="Ann")
        agent.policy = EpsilonGreedy()
        registry.govern(by="Ann")
        assert registry.champion == registry.get(EpsilonGreedy())


GOALS = made().goals


class TestLines:
    def test_what_a_champion_learns_is_of_its_line(self, opened: Open) -> None:
        """It goes by the champion's stage, after a restart too."""
        agent = opened(policy=BetaThompson(), goals=GOALS)
        registry = Registry(agent)
        registry.govern(by="Ann")
        taught(agent)
        learned = agent.policy
        version = agent.policy_version
        assert registry.get(version) == registry.champion
        assert registry.champion.version != version  # type: ignore[union-attr]
        agent.policy = RULES
        agent.policy = learned
        assert agent.policy_version == version

    def test_what_was_learned_elsewhere_is_not(self, opened: Open) -> None:
        """The same template, but nobody saw what it learned from."""
        agent = opened(policy=BetaThompson(), goals=GOALS)
        Registry(agent).govern(by="Ann")
        elsewhere = made(policy=BetaThompson())
        taught(elsewhere)
        with pytest.raises(ReleaseError, match="registration"):
            agent.policy = elsewhere.policy

    def test_what_members_learn_together_is_of_each_ones_line(self, opened: Open) -> None:
        """A challenger that learned in its share gets no more than its share."""
        agent = opened(policy=BetaThompson(), goals=GOALS, challengers=[SquareCB()])
        registry = Registry(agent)
        registry.govern(by="Ann")
        registry.register(SquareCB(), owner="Bob")
        carried(registry, SquareCB(), "canary_50")
        agent.policy = Split(BetaThompson(), [(SquareCB(), 0.5)])
        taught(agent)
        whole: Any = agent.policy
        champion, challenger = whole.members
        assert registry.get(champion).policy == "beta_thompson"
        assert registry.get(challenger) == registry.get(SquareCB())
        assert registry.version_of(challenger) != registry.version_of(SquareCB())
        with pytest.raises(ReleaseError, match="at stage canary_50"):
            agent.policy = challenger
        agent.policy = champion
        agent.policy = Split(champion, [(challenger, 0.4)])

    def test_registering_what_was_learned_takes_nothing_from_it(self, opened: Open) -> None:
        """A draft of its own goes by its champion's stage, until it goes further itself."""
        agent = opened(policy=BetaThompson(), goals=GOALS)
        registry = Registry(agent)
        registry.govern(by="Ann")
        taught(agent)
        learned = agent.policy
        assert registry.register(learned, owner="Bob", parent=BetaThompson()).stage == "draft"
        agent.policy = RULES
        agent.policy = learned
        registry.retire(learned, by="Ann", reason="strange")
        agent.policy = RULES
        with pytest.raises(ReleaseError, match="at stage retired"):
            agent.policy = learned


class TestOpening:
    def test_what_is_configured_has_to_pass_too(self, opened: Open) -> None:
        """Opening an agent with another policy is no way round."""
        Registry(opened()).govern(by="Ann")
        with pytest.raises(ReleaseError, match="registration"):
            opened(policy=SquareCB())
        assert opened().policy_version == Registry(opened()).champion.version  # type: ignore[union-attr]
        opened(policy=Uniform())

    @pytest.mark.parametrize("part", ["control", "fallback"])
    def test_who_decides_beside_it_has_to_pass_too(self, opened: Open, part: str) -> None:
        """Whoever decides for the holdout, or where the policy fails, decides for customers."""
        agent = opened(**{part: SquareCB()})
        registry = Registry(agent)
        with pytest.raises(ReleaseError, match=part):
            registry.govern(by="Ann")
        Registry(opened()).govern(by="Ann")
        with pytest.raises(ReleaseError, match="registration"):
            opened(**{part: EpsilonGreedy()})
        registry.register(SquareCB(), owner="Bob")
        registry.override(SquareCB(), by="Ann", reason="it is the control")
        opened(**{part: SquareCB()})

    def test_who_decides_for_the_protected_has_to_pass_too(self, opened: Open) -> None:
        """It may not learn, and somebody may have fitted it all the same."""
        fitted = Table(np.ones(3))
        agent = opened(protected=fitted)
        with pytest.raises(ReleaseError, match="protected"):
            Registry(agent).govern(by="Ann")
        Registry(opened()).govern(by="Ann")
        with pytest.raises(ReleaseError, match="registration"):
            opened(protected=fitted)

    def test_the_template_of_who_is_in_charge_opens_it(self, tmp_path: Path) -> None:
        """What it has learned since is in charge, not the template; a trained copy is refused."""
        path = tmp_path / "agent.db"
        with made(path, policy=BetaThompson()) as agent:
            Registry(agent).govern(by="Ann")
            taught(agent)
            version, learned = agent.policy_version, agent.policy
        with made(path, policy=BetaThompson()) as agent:
            assert agent.policy_version == version
        elsewhere = made(policy=BetaThompson())
        taught(elsewhere, 60)
        with pytest.raises(ReleaseError, match="registration"):
            made(path, policy=elsewhere.policy)
        with made(path, policy=learned) as agent:
            assert agent.policy_version == version

    def test_a_champion_fitted_to_other_actions_is_still_champion(self, tmp_path: Path) -> None:
        """A new action in the catalogue is no new policy; the version in charge is another all the same."""
        path = tmp_path / "agent.db"
        with made(path, policy=BetaThompson()) as agent:
            Registry(agent).govern(by="Ann")
            taught(agent)
            version = agent.policy_version
        more = [Action("push", channel="push"), Action("mail"), Action("sms", channel="sms", cost=0.1)]
        with Agent.open(path, "shop", more, policy=BetaThompson(), goals=GOALS, clock=lambda: NOON) as agent:
            assert agent.policy_version != version
            assert Registry(agent).get(agent.policy_version) == Registry(agent).champion

    def test_a_former_champion_comes_back_to_other_actions(self, tmp_path: Path) -> None:
        """The rules are in charge, the catalogue has changed, and the champion before is asked for."""
        path = tmp_path / "agent.db"
        with made(path, policy=SquareCB()) as agent:
            Registry(agent).govern(by="Ann")
            agent.policy = RULES
        more = [Action("push", channel="push"), Action("mail"), Action("sms", channel="sms", cost=0.1)]
        parts: dict[str, Any] = {"policy": RULES, "challengers": [SquareCB()], "clock": lambda: NOON}
        with Agent.open(path, "shop", more, **parts) as agent:
            agent.policy = SquareCB()
            assert Registry(agent).get(agent.policy_version) == Registry(agent).champion
            with pytest.raises(ReleaseError):
                agent.policy = EpsilonGreedy()

    def test_every_process_knows_at_once(self, tmp_path: Path) -> None:
        """Two agents on one file: what one is told, the other holds to."""
        path = tmp_path / "agent.db"
        with made(path) as one, made(path) as other:
            Registry(one).govern(Requirements(override=Need((), 1)), by="Ann")
            with pytest.raises(ReleaseError):
                other.policy = SquareCB()
            registry = Registry(other)
            registry.register(SquareCB(), owner="Bob")
            registry.approve(SquareCB(), "champion", by="Ann")
            Registry(one).override(SquareCB(), by="Bob", reason="go")
            other.policy = SquareCB()
            Registry(one).register(EpsilonGreedy(), owner="Bob")
            assert registry.to_json() == Registry(one).to_json()
            registry.attach(EpsilonGreedy(), PASSED["shadow"], by="Bob")
            assert Registry(one).get(EpsilonGreedy()).evidence == (PASSED["shadow"],)
