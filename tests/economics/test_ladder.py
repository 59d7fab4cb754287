"""The rungs: who stands on the ladder, what a blind policy sees, and how work is counted."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import attrs
import numpy as np
import pytest

from agentic.arrays import Layout
from agentic.conditions import F
from agentic.economics import Rung, WithoutFeatures, ladder
from agentic.errors import ConfigurationError
from agentic.policies import LinearThompson, Personal, Rules, SquareCB, Uniform
from agentic.simulation import BEST_GUESS, campaign, playbook, templates
from agentic.testing import LearnerConformance, PolicyConformance, batch, feedback, space

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
NAMES = [
    "random",
    "fixed",
    "rules",
    "context_free",
    "template_ranking",
    "epsilon_greedy",
    "square_cb",
    "linear_thompson",
    "personal",
]


class TestBlind(LearnerConformance):
    """A policy without features keeps every promise of a learner."""

    def make(self):
        return WithoutFeatures(LinearThompson())


class TestBlindAndUntaught(PolicyConformance):
    """So does one that neither binds nor learns."""

    def make(self):
        return WithoutFeatures(Uniform())


def test_the_ladder_goes_from_chance_to_what_learns_most() -> None:
    """All of its policies fit the stock campaign, and a rung of one's own is one plus sign away."""
    rungs = ladder(BEST_GUESS, playbook(), templates())
    assert [rung.name for rung in rungs] == NAMES
    for rung in (*rungs, Rung("mine", SquareCB(gamma=1.0))):
        agent, _ = campaign(rung.policy, customers=1)
        assert agent.policy.name == rung.policy.name


def test_a_blind_policy_sees_the_constant_alone() -> None:
    """Other features change nothing, before and after learning; without blindness they do."""
    rows, seen = batch(6), feedback(batch(200))
    here, dice = space(rows), np.random.default_rng(1)
    other = attrs.evolve(rows, X=np.concatenate([dice.random((6, here.width - 1)), rows.X[:, -1:]], axis=1))
    for policy, same in ((WithoutFeatures(LinearThompson()), True), (LinearThompson(), False)):
        taught: Any = policy.bind(here).learn(seen)
        alike = np.array_equal(taught.propose(rows).weights, taught.propose(other).weights)
        assert alike == same
    blind = WithoutFeatures(LinearThompson()).bind(here).learn(seen).policy.model
    assert blind.moment.shape[1] == 1
    assert [block[0, 0] for block in blind.gram] == pytest.approx(
        np.bincount(seen.action, minlength=len(here.catalogue))
    )


def test_a_blind_policy_remembers_as_the_one_inside_does() -> None:
    """It has the same fields, and writes what the policy would write had it seen the constant alone."""
    rows, seen = batch(6), feedback(batch(40))
    here = space(rows)
    blind: Any = WithoutFeatures(Personal()).bind(here).learn(seen)
    assert blind.fields == blind.policy.fields != ()
    keys, subject = np.unique(seen.keys, return_inverse=True)
    told = attrs.evolve(seen, subject=subject.reshape(-1))
    bare = attrs.evolve(told, X=told.X[:, -1:])
    layout = Layout.compose("blind", {"policy": blind.fields})
    mine, same = (layout.part(layout.new(len(keys)), "policy") for _ in range(2))
    blind.remember(attrs.evolve(told, rows=mine.copy()), mine)
    blind.policy.remember(attrs.evolve(bare, rows=same.copy()), same)
    assert mine.tobytes() == same.tobytes()
    assert any(mine[field.name].any() for field in blind.fields)
    assert WithoutFeatures(Uniform()).fields == ()


def test_a_blind_policy_that_does_not_learn_stays_as_it_is() -> None:
    """Feedback is offered to everybody, and ignored by those who do not learn."""
    policy = WithoutFeatures(Rules([(F("age") > 1, "a0")])).bind(space())
    assert policy.learn(feedback()) is policy


@pytest.mark.parametrize("policy", [Uniform, "uniform", None])
def test_what_is_no_policy_is_refused(policy: Any) -> None:
    """Classes and names among it."""
    with pytest.raises(ConfigurationError, match="a rung needs a policy"):
        Rung("a", policy)
    with pytest.raises(ConfigurationError, match="a rung needs a policy"):
        WithoutFeatures(policy)


@pytest.mark.parametrize("name", ["", "a" * 61, "a\nb", "\x1b[31m", 7])
def test_a_name_can_be_shown(name: Any) -> None:
    """Names go into tables and plots, so they are printable and no novels."""
    with pytest.raises(ConfigurationError, match="printable characters"):
        Rung(name, Uniform())


@pytest.mark.parametrize("name", NAMES)
def test_work_is_what_is_really_multiplied(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Multiply-adds of products in one decision, counted as they happen, are within twice what is said.

    The quadrature of win probabilities and a subject's effects are no products, so they are left out on both
    sides.
    """
    (rung,) = [one for one in ladder(BEST_GUESS, playbook(), templates()) if one.name == name]
    agent, _ = campaign(rung.policy, customers=1)
    k, d = len(agent.plan.catalogue), agent.plan.space.width
    counted = 0
    matmul, einsum = np.matmul, np.einsum

    def count_matmul(left: Any, right: Any, **options: Any) -> Any:
        nonlocal counted
        out = matmul(left, right, **options)
        counted += out.size * left.shape[-1]
        return out

    def count_einsum(form: str, *parts: Any, **options: Any) -> Any:
        nonlocal counted
        counted += max(part.size for part in parts)
        return einsum(form, *parts, **options)

    subjects = [f"s{i}" for i in range(64)]  # a whole number of blocks
    agent.decide_many(subjects, now=NOON)  # the first product of a shape is probed
    monkeypatch.setattr(np, "matmul", count_matmul)
    monkeypatch.setattr(np, "einsum", count_einsum)
    agent.decide_many(subjects, now=NOON)
    assert rung.work is not None
    elsewhere = {"context_free": 256, "linear_thompson": 256, "personal": 256 + 34}
    said = rung.work(k, d) - k * elsewhere.get(name, 0)
    if said == 0:
        assert counted == 0
    else:
        assert said / 2 <= counted / 64 <= said * 2
