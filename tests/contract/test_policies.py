"""Every policy in the box passes the kit that strangers' policies pass."""

from datetime import timedelta

import pytest

import agentic.policies
from agentic.conditions import F
from agentic.policies import (
    BetaThompson,
    EpsilonGreedy,
    FactoredThompson,
    FirstOf,
    Fixed,
    LinearThompson,
    LinearUCB,
    Mixture,
    Personal,
    RandomFeatures,
    Rules,
    Softmax,
    Split,
    SquareCB,
    TemplateRanking,
    Uniform,
)
from agentic.testing import (
    AdditiveLearnerConformance,
    LearnerConformance,
    PolicyConformance,
    RememberingConformance,
)

UNTAUGHT = {
    "fixed": lambda: Fixed({"a0": 1.0, "a2": 0.5}),
    "rules": lambda: Rules([(F("age") > 40, "a1"), (F("tier") == "gold", "a2")], otherwise="a0"),
    "uniform": Uniform,
}
LEARNING = {
    "beta_thompson": BetaThompson,
    "epsilon_greedy": EpsilonGreedy,
    "factored_thompson": FactoredThompson,
    "first_of": lambda: FirstOf(Rules([(F("age") > 40, "a1")], otherwise="a0"), LinearThompson()),
    "linear_thompson": LinearThompson,
    "linear_ucb": LinearUCB,
    "mixture": lambda: Mixture([(Uniform(), 1.0), (LinearUCB(), 3.0), (SquareCB(), 2.0)]),
    "softmax": Softmax,
    "split": lambda: Split(LinearUCB(), [(SquareCB(), 0.4), (Uniform(), 0.2)], salt="s"),
    "square_cb": SquareCB,
    "template_ranking": lambda: TemplateRanking({"m0": None, "m1": F("age") > 40}, Softmax()),
}
REMEMBERING = {
    "personal": Personal,
}
"""Policies in the box that keep something about each subject, by the name they give."""

TWISTS = {
    "adults": lambda: Personal(only_if=F("age") >= 18),
    "bends": lambda: RandomFeatures(policy=Personal(), width=8),
    "crossed": lambda: Personal(dimensions=["message", "channel"]),
    "each_action": lambda: Personal(dimensions=["action"], guess=1.0),
    "fading": lambda: Personal(
        population=LinearThompson(half_life=timedelta(days=20)), dimensions=["message", "channel"]
    ),
    "first_of": lambda: FirstOf(Rules([(F("age") > 60, "a1")]), Personal()),
    "mixture": lambda: Mixture([(Personal(), 1.0), (Personal(name="other", guess=0.5), 3.0)]),
    "split": lambda: Split(Personal(), [(Personal(guess=0.5), 0.4), (LinearThompson(), 0.2)]),
    "ranker": lambda: TemplateRanking({"m0": None, "m1": F("age") > 40}, Personal()),
}
"""Others that remember: with other settings, and inside policies made of policies."""


@pytest.mark.parametrize("name", sorted(UNTAUGHT))
class TestUntaught(PolicyConformance):
    """A policy in the box that does not learn keeps every promise of a policy."""

    @pytest.fixture(autouse=True)
    def _named(self, name):
        self.name = name

    def make(self):
        return UNTAUGHT[self.name]()


@pytest.mark.parametrize("name", sorted(LEARNING))
class TestLearning(AdditiveLearnerConformance):
    """A policy in the box that learns keeps every promise of a learner whose statistics add."""

    @pytest.fixture(autouse=True)
    def _named(self, name):
        self.name = name

    def make(self):
        return LEARNING[self.name]()


FREEZING = {"random_features": lambda: RandomFeatures(width=12)}


@pytest.mark.parametrize("name", sorted(FREEZING))
class TestFreezing(LearnerConformance):
    """A policy whose first feedback fixes how it sees keeps every promise of a learner."""

    @pytest.fixture(autouse=True)
    def _named(self, name):
        self.name = name

    def make(self):
        return FREEZING[self.name]()


@pytest.mark.parametrize("name", sorted(REMEMBERING | TWISTS))
class TestRemembering(RememberingConformance):
    """A policy in the box that remembers keeps every promise of one, alone and inside another policy."""

    @pytest.fixture(autouse=True)
    def _named(self, name):
        self.name = name

    def make(self):
        return (REMEMBERING | TWISTS)[self.name]()


def test_every_public_policy_is_listed():
    """A policy that the room exports and this file does not try fails here."""
    room = {name: getattr(agentic.policies, name) for name in agentic.policies.__all__}
    public = {part for part in room.values() if isinstance(part, type) and hasattr(part, "propose")}
    assert {type(make()) for make in (UNTAUGHT | LEARNING | FREEZING | REMEMBERING).values()} == public


def test_every_policy_is_listed_by_its_name():
    """The name that a policy gives is the one it is listed under, and learners are tried as learners."""
    listed = UNTAUGHT | LEARNING | FREEZING | REMEMBERING
    assert {name: make().name for name, make in listed.items()} == {name: name for name in listed}
    assert not [name for name, make in UNTAUGHT.items() if hasattr(make(), "learn")]
