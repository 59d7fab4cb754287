"""Random features: what a linear policy cannot see, as columns that it can."""

import math

import attrs
import numpy as np
import pytest

from agentic._codec import fingerprint
from agentic.catalogue import Catalogue
from agentic.errors import ConfigurationError, LearningError
from agentic.policies import LinearThompson, RandomFeatures
from agentic.policies._features import Lens
from agentic.testing import batch, catalogue, feedback, space
from agentic.types import Action


def part(told, rows):
    columns = ("X", "action", "reward", "probability", "allowed", "keys", "at")
    return attrs.evolve(told, **{name: getattr(told, name)[rows] for name in columns})


def rings(n, seed=0):
    """Two features whose best action of two depends on their length alone."""
    dice = np.random.default_rng(seed)
    X = np.column_stack([dice.standard_normal((n, 2)), np.ones(n)])
    return X, ((X[:, :2] ** 2).sum(axis=1) > 1.4).astype(int)


def share_of_the_best(policy, n=2000):
    """Weight on the right action after 1,500 rewards of actions drawn uniformly."""
    actions = Catalogue.of([Action("a0")])
    of = batch(n, actions=actions, d=3)
    X, best = rings(n)
    of = attrs.evolve(of, X=X, allowed=np.ones((n, 2), dtype=np.bool_))
    told = feedback(of)
    told = attrs.evolve(told, reward=(told.action == best).astype(float))
    policy = policy.bind(space(of)).learn(part(told, slice(0, 1500)))
    rest = of.take(slice(1500, n))
    return policy.propose(rest).weights[np.arange(n - 1500), best[1500:]].mean()


def test_what_no_line_divides_is_learned():
    """Where the best action depends on a length, lines find nothing and bends nearly all."""
    assert share_of_the_best(LinearThompson()) < 0.75
    assert share_of_the_best(RandomFeatures(width=64)) > 0.9


def test_units_and_places_of_features_do_not_matter():
    """Features times one number plus another are seen as the same columns, but for rounding."""
    X = batch(200).X
    moved = X.copy()
    moved[:, :-1] = X[:, :-1] * 1000.0 + 77.0
    one, other = Lens.of(X, 16, 0).seen(X), Lens.of(moved, 16, 0).seen(moved)
    np.testing.assert_allclose(one, other, rtol=0, atol=1e-9)


def test_columns_are_bounded_and_end_with_the_constant():
    """However far out a row lies, no column is larger than its direction allows, and the last is 1."""
    X = batch(200).X
    lens = Lens.of(X, 40, 3)
    m = X.shape[1] - 1
    far = lens.seen(X * 1e12)
    assert far.shape == (200, m + 41)
    assert (far[:, -1] == 1.0).all()
    # Rows are drawn in to a length of sqrt(2 m), and directions have length 1.
    assert (np.abs(far[:, :m]) <= math.sqrt(2 * m) + 1e-9).all()
    assert (far[:, m:-1] <= math.sqrt(2 * m) + np.abs(lens.offset) + 1e-9).all()
    np.testing.assert_allclose((lens.directions**2).sum(axis=0), 1.0, rtol=1e-12)


def test_a_feature_that_never_changes_and_none_at_all_are_seen():
    """A constant has size 1, and where there is only the constant the bends are numbers."""
    X = np.column_stack([np.full(30, 5.0), np.ones(30)])
    assert Lens.of(X, 4, 0).size.tolist() == [1.0]
    assert np.isfinite(Lens.of(X[:, 1:], 4, 0).seen(X[:, 1:])).all()


def test_until_the_lens_is_fixed_all_is_made_anew_from_all():
    """Rewards in parts teach what they teach at once, until the warm-up is over; then the lens stays."""
    of = batch(60)
    told = feedback(of)
    policy = RandomFeatures(width=8, warmup=40).bind(space(of))
    early = policy.learn(part(told, slice(0, 12))).learn(part(told, slice(12, 30)))
    at_once = policy.learn(part(told, slice(0, 30)))
    np.testing.assert_array_equal(early.lens.centre, at_once.lens.centre)
    np.testing.assert_allclose(early.propose(of).weights, at_once.propose(of).weights, rtol=0, atol=1e-6)
    assert early.policy.fitted.count.sum() == 30
    late = early.learn(part(told, slice(30, 45)))
    assert late.waiting is None
    assert late.untaught is None
    last = late.learn(part(told, slice(45, 60)))
    assert last.lens is late.lens
    assert last.policy.fitted.count.sum() == 60


def test_with_its_lens_learning_in_parts_is_learning_at_once():
    """The statistics add, and models of two shards that began with one lens merge."""
    of = batch(400)
    told = feedback(of)
    start = RandomFeatures(width=8).bind(space(of)).learn(part(told, slice(0, 60)))
    whole = start.learn(part(told, slice(60, 400)))
    parts = start.learn(part(told, slice(200, 400))).learn(part(told, slice(60, 200)))
    np.testing.assert_allclose(parts.propose(of).weights, whole.propose(of).weights, rtol=0, atol=1e-6)


def test_whoever_is_to_be_forgotten_waits_no_more():
    """What still waits goes as if it had never come; what the lens was fixed with cannot be told apart."""
    of = batch(30)
    told = feedback(of)
    start = RandomFeatures(width=8, warmup=40).bind(space(of))
    gone = told.keys[:3]
    waiting = start.learn(told).unlearn(gone)
    never = start.learn(part(told, ~np.isin(told.keys, gone)))
    assert fingerprint(waiting) == fingerprint(never)
    assert not np.isin(waiting.waiting.keys, gone).any()
    assert waiting.unlearn(gone) is waiting
    assert fingerprint(waiting.unlearn(told.keys)) == fingerprint(start)
    fixed = RandomFeatures(width=8, warmup=20).bind(space(of)).learn(told)
    assert fixed.unlearn(gone) is fixed


def test_feedback_that_waits_moves_to_another_catalogue():
    """Rewards of actions that stay are kept, those of actions that are gone are not."""
    of = batch(15)
    told = feedback(of)
    policy = RandomFeatures(width=8).bind(space(of)).learn(told)
    fewer = Catalogue.of([*(a for a in catalogue().actions if a.id != "a1"), Action("brand_new")])
    moved = policy.bind(attrs.evolve(space(of), catalogue=fewer))
    want = [of.action_ids[a] for a in told.action if of.action_ids[a] != "a1"]
    assert [fewer.ids[a] for a in moved.waiting.action] == want
    assert moved.policy.fitted.count.sum() == len(want)
    np.testing.assert_array_equal(policy.bind(space(of)).waiting.X, policy.waiting.X)
    only = part(told, told.action == of.action_ids.index("a1"))
    only = only if len(only) else part(attrs.evolve(told, action=np.full(15, 1)), slice(0, 3))
    alone = RandomFeatures(width=8).bind(space(of)).learn(only)
    assert alone.bind(attrs.evolve(space(of), catalogue=fewer)).waiting is None


def test_another_width_of_features_is_refused():
    """Before and after the lens is made."""
    of = batch(60)
    for rows in (5, 60):
        policy = RandomFeatures(width=8).bind(space(of)).learn(part(feedback(of), slice(0, rows)))
        with pytest.raises(ConfigurationError, match="start a new policy when features change"):
            policy.bind(attrs.evolve(space(of), width=4))


def test_what_cannot_be_learned_is_refused_before_it_waits():
    """A reward that is no number never enters the policy."""
    of = batch(5)
    told = attrs.evolve(feedback(of), reward=np.full(5, math.nan))
    with pytest.raises(LearningError, match="must be finite"):
        RandomFeatures(width=8).bind(space(of)).learn(told)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("width", -1),
        ("width", 16_385),
        ("width", 2.0),
        ("width", True),
        ("seed", -1),
        ("warmup", 0),
        ("warmup", None),
    ],
)
def test_settings_are_whole_numbers(field, value):
    """Each says by name what it must be."""
    with pytest.raises(ConfigurationError, match=f"{field} must be a whole number from"):
        RandomFeatures(**{field: value})
