"""Thompson sampling over levels: its mean is that of one regression on the levels of all dimensions."""

import math
from datetime import timedelta

import attrs
import numpy as np
import pytest

from agentic.catalogue import Catalogue, product
from agentic.errors import ConfigurationError, LearningError
from agentic.policies import FactoredThompson
from agentic.testing import batch, feedback, space

DAY_US = 86_400_000_000
NAMES = {"message": ["m0", "m1", "m2"], "channel": ["sms", "push"]}


def world(n=400, d=4, names=NAMES):
    """A batch about factored actions, all of them allowed, and feedback for it."""
    of = batch(n, actions=Catalogue.of(product(names)), d=d)
    of = attrs.evolve(of, allowed=np.ones((n, len(of.catalogue)), dtype=np.bool_))
    dice = np.random.default_rng(3)
    told = feedback(of)
    action = dice.integers(0, len(of.catalogue), n)
    return of, attrs.evolve(told, action=action, reward=dice.standard_normal(n) + action / 3)


def spelled(of, levels):
    """Which action has which level, from the catalogue: shape (k, levels)."""
    out = np.zeros((len(of.catalogue), len(levels)))
    for row, action in zip(out, of.catalogue.actions, strict=True):
        names = [f"{d}={v}" for d, v in action.dimensions.items()] or [f"action={action.id}"]
        row[[levels.index(name) for name in names]] = 1.0
    return out


def test_the_mean_is_one_regression_on_all_levels():
    """With a column for each level and feature, about the level that generalised least squares finds."""
    of, told = world()
    policy = FactoredThompson().bind(space(of)).learn(told)
    has = spelled(of, policy.levels)
    Z = (has[told.action][:, :, None] * told.X[:, None, :]).reshape(len(told), -1)
    blocks = policy.gram[np.arange(len(policy.levels)), np.arange(len(policy.levels))]
    seen, squares, totals = (
        blocks[:, -1, -1].sum(),
        np.einsum("lii->i", blocks),
        blocks[:, -1].sum(axis=0),
    )
    scale = np.exp2(np.rint(np.log2((squares - totals**2 / (seen + 1)) / seen)))
    prior = 8.0 * scale
    prior[-1] = 1.0
    prior = np.tile(prior, len(policy.levels))
    covariance = np.linalg.inv(np.eye(len(told)) + (Z / prior) @ Z.T)
    level = covariance.sum(axis=0) @ told.reward / covariance.sum()
    theta = np.linalg.solve(Z.T @ Z + np.diag(prior), Z.T @ (told.reward - level))
    want = level + of.X @ (has @ theta.reshape(len(policy.levels), -1)).T
    np.testing.assert_allclose(policy.propose(of).score, want, rtol=0, atol=1e-9)
    residual = ((told.reward - level - Z @ theta) ** 2).sum() + prior @ theta**2
    variance = ((told.reward - level) ** 2).mean()
    noise = math.sqrt((5 * variance + residual) / (5 + len(told)))
    assert policy.solution.noise == pytest.approx(noise, rel=1e-9)


def test_the_spread_adds_up_the_levels():
    """The variance of an action is the sum of those of its levels, each as if the others were known."""
    of, told = world()
    policy = FactoredThompson().bind(space(of)).learn(told)
    size = len(policy.levels)
    blocks = policy.gram[np.arange(size), np.arange(size)]
    squares, totals, seen = np.einsum("lii->i", blocks), blocks[:, -1].sum(axis=0), blocks[:, -1, -1].sum()
    prior = 8.0 * np.exp2(np.rint(np.log2((squares - totals**2 / (seen + 1)) / seen)))
    prior[-1] = 1.0
    inverse = np.linalg.inv(blocks + np.diag(prior))
    variance = np.einsum("nd,lde,ne->nl", of.X, inverse, of.X) @ spelled(of, policy.levels).T
    np.testing.assert_allclose(
        policy.propose(of).spread, policy.solution.noise * np.sqrt(variance), rtol=1e-5
    )


def test_a_new_combination_of_known_levels_is_known():
    """What was learned of others tells which is the best of actions that were never tried."""
    of, told = world(2000)
    has = spelled(of, sorted({f"{d}={v}" for d, vs in NAMES.items() for v in vs} | {"action=no_action"}))
    worth = np.linspace(0.0, 1.0, has.shape[1]) @ has.T
    ids = of.catalogue.ids
    never = [i for i, action in enumerate(ids) if action == "m2/push" or action.startswith("m2/push")]
    assert len(never) == 1
    keep = ~np.isin(told.action, never)
    rows = {
        name: getattr(told, name)[keep] for name in ("X", "action", "probability", "allowed", "keys", "at")
    }
    noise = 0.1 * np.random.default_rng(1).standard_normal(keep.sum())
    told = attrs.evolve(told, reward=worth[rows["action"]] + noise, **rows)
    policy = FactoredThompson().bind(space(of)).learn(told)
    score = policy.propose(of).score.mean(axis=0)
    assert score[never[0]] == pytest.approx(worth[never[0]], abs=0.1)


def test_old_rewards_fade():
    """After a half-life an observation counts half, in whatever order rewards come."""
    of, told = world(50)
    told = attrs.evolve(told, at=np.full(50, DAY_US))
    later = attrs.evolve(told, at=told.at + DAY_US)
    policy = FactoredThompson(half_life=timedelta(days=1)).bind(space(of))
    one, other = policy.learn(told).learn(later), policy.learn(later).learn(told)
    assert one.count == pytest.approx(75.0)
    np.testing.assert_allclose(one.gram, other.gram, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(one.moment, other.moment, rtol=1e-12, atol=1e-12)


def test_levels_are_kept_by_name():
    """In another catalogue a level keeps what it knows, one that is gone waits, and a new one is blank."""
    of, told = world()
    policy = FactoredThompson().bind(space(of)).learn(told)
    fewer = Catalogue.of(product({"message": ["m1", "m9"], "channel": ["sms", "push"]}))
    moved = policy.bind(attrs.evolve(space(of), catalogue=fewer))
    assert set(moved.levels) == {*policy.levels, "message=m9"}
    known, new = moved.levels.index("message=m1"), moved.levels.index("message=m9")
    np.testing.assert_array_equal(moved.moment[known], policy.moment[policy.levels.index("message=m1")])
    assert not moved.moment[new].any()
    back = moved.bind(space(of))
    np.testing.assert_allclose(back.propose(of).score, policy.propose(of).score, rtol=0, atol=1e-9)
    with pytest.raises(ConfigurationError, match="start a new policy when features change"):
        policy.bind(attrs.evolve(space(of), width=9))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reward": np.full(400, math.nan)}, "got a reward that is not"),
        ({"X": np.full((400, 4), 1e61)}, "got a feature that is not"),
        ({"action": np.full(400, 99)}, "an action is a column from 0 to 6, got 99 to 99"),
        ({"X": np.ones((400, 3))}, "4 feature columns, the feedback of 7 and 3"),
    ],
    ids=["nan", "huge", "column", "width"],
)
def test_feedback_that_cannot_be_learned_from_is_refused(change, message):
    """And the message says what was found."""
    of, told = world()
    with pytest.raises(LearningError, match=message):
        FactoredThompson().bind(space(of)).learn(attrs.evolve(told, **change))


def test_a_policy_that_is_not_bound_says_so():
    """It can neither weigh nor learn."""
    of, told = world(10)
    for ask in (lambda: FactoredThompson().propose(of), lambda: FactoredThompson().learn(told)):
        with pytest.raises(ConfigurationError, match="FactoredThompson is not bound to an agent yet"):
            ask()


def test_nothing_told_is_nothing_learned():
    """Feedback without rows leaves the very policy."""
    of, told = world(10)
    policy = FactoredThompson().bind(space(of))
    names = ("X", "action", "reward", "probability", "allowed", "keys", "at")
    empty = attrs.evolve(told, **{name: getattr(told, name)[:0] for name in names})
    assert policy.learn(empty) is policy
