"""Thompson sampling on counts: exact chances to be best, cached by mask."""

import math

import attrs
import numpy as np
import pytest
from scipy import integrate, special, stats

from agentic._codec import fingerprint
from agentic.catalogue import Catalogue
from agentic.errors import ConfigurationError, LearningError
from agentic.policies import BetaThompson
from agentic.policies import _beta as beta
from agentic.policies._beta import beta_wins
from agentic.testing import batch, catalogue, feedback, space
from agentic.types import Action

SHAPES = {
    "flat": ([1, 1], [1, 1]),
    "flat three": ([1, 1, 1], [1, 1, 1]),
    "poles": ([0.5, 0.5, 1], [0.5, 0.5, 1]),
    "sharp poles": ([0.1, 0.1], [0.1, 0.9]),
    "mixed": ([1, 2, 30, 400], [1, 3, 20, 390]),
    "sure": ([1e5, 1.0005e5, 1.001e5], [9e5, 9e5, 9e5]),
    "sure and vague": ([1e5, 1.0005e5, 1, 50], [9e5, 9e5, 1, 400]),
    "rare": ([4, 6, 5], [1e6, 1e6, 2e6]),
    "rare and new": ([4, 6, 1], [1e6, 1e6, 1]),
    "lopsided": ([0.5, 200], [200, 0.5]),
    "ten": (np.arange(1, 11), np.arange(20, 10, -1)),
}


def chances(a, b):
    """Win probabilities by scipy: one adaptive integral for each variable, over its quantiles."""
    a, b = np.asarray(a, float), np.asarray(b, float)
    out = []
    for j in range(len(a)):

        def integrand(q, j=j):
            others = special.betainc(np.delete(a, j), np.delete(b, j), special.betaincinv(a[j], b[j], q))
            return others.prod()

        out.append(integrate.quad(integrand, 0, 1, limit=500, epsabs=1e-7)[0])
    return np.array(out)


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_win_probabilities_equal_quadrature(name):
    """To 2e-4, for flat, peaked, lopsided and singular densities, alone and together."""
    a, b = SHAPES[name]
    want = chances(a, b)
    assert want.sum() == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(beta_wins(np.array(a, float), np.array(b, float)), want, rtol=0, atol=2e-4)


def test_win_probabilities_of_the_smallest_counts_equal_brute_force():
    """Priors of a hundredth put their mass below the smallest float; log odds can still tell who wins."""
    a, b = np.array([0.01, 0.01, 1.0]), np.array([0.01, 0.02, 1.0])
    draws = 400_000
    dice = np.random.default_rng(0)

    def log_gamma(shape):
        return np.log(dice.gamma(shape + 1.0, size=(draws, 3))) + np.log(dice.random((draws, 3))) / shape

    share = np.bincount((log_gamma(a) - log_gamma(b)).argmax(axis=1), minlength=3) / draws
    got = beta_wins(a, b)
    assert (np.abs(share - got) <= 5 * np.sqrt(got * (1 - got) / draws) + 2e-4).all()


@pytest.mark.parametrize("k", [1, 2, 10, 1000])
def test_the_same_counts_win_equally_often(k):
    """Whatever the counts."""
    for a, b in ((1.0, 1.0), (0.5, 0.5), (1e5, 9e5)):
        np.testing.assert_allclose(beta_wins(np.full(k, a), np.full(k, b)), 1 / k, rtol=1e-9)


@pytest.mark.parametrize("k", [2, 30, 1000])
def test_powers_have_a_closed_form(k):
    """Beta(a, 1) has x^a below x, so each of many wins with a over the sum of all."""
    dice = np.random.default_rng(k)
    for a in (np.append(np.ones(k - 1), 400.0), dice.uniform(0.5, 400.0, k), np.exp(dice.uniform(-2, 6, k))):
        np.testing.assert_allclose(beta_wins(a, np.ones(k)), a / a.sum(), rtol=0, atol=2e-4)


def test_what_cannot_win_has_nothing():
    """Far below the best there is no mass, and with one left it is certain."""
    got = beta_wins(np.array([9e5, 1e5, 1e5]), np.array([1e5, 9e5, 9e5]))
    assert got.tolist() == [1.0, 0.0, 0.0]


def bound(of, **settings):
    return BetaThompson(**settings).bind(space(of))


def test_rewards_are_counted():
    """A reward is the part of a success that its place between low and high says."""
    of = batch(200)
    told = attrs.evolve(feedback(of), reward=np.random.default_rng(0).uniform(-5, 3, 200))
    policy = bound(of, low=-5.0, high=3.0)
    learned = policy.learn(told)
    part = (told.reward + 5) / 8
    np.testing.assert_allclose(learned.wins, np.bincount(told.action, part, 7), rtol=1e-12)
    np.testing.assert_allclose(learned.losses, np.bincount(told.action, 1 - part, 7), rtol=1e-12)
    assert not policy.wins.any()
    assert fingerprint(learned) != fingerprint(policy)
    nothing = told.__class__(
        of.catalogue,
        *(getattr(told, n)[:0] for n in ("X", "action", "reward", "probability", "allowed", "keys", "at")),
    )
    np.testing.assert_array_equal(learned.learn(nothing).wins, learned.wins)


def test_learning_in_parts_is_learning_at_once():
    """Counts add."""
    of = batch(200)
    told = feedback(of)
    policy = bound(of)
    first, second = (
        attrs.evolve(
            told,
            **{
                n: getattr(told, n)[rows]
                for n in ("X", "action", "reward", "probability", "allowed", "keys", "at")
            },
        )
        for rows in (slice(0, 77), slice(77, 200))
    )
    np.testing.assert_allclose(policy.learn(second).learn(first).wins, policy.learn(told).wins, rtol=1e-12)


def test_score_and_spread_are_the_posterior_s():
    """In units of the reward."""
    of = batch(5)
    policy = bound(of, low=-1.0, high=3.0, prior=(2.0, 3.0)).learn(
        attrs.evolve(feedback(of), reward=np.full(5, 2.0))
    )
    proposal = policy.propose(of)
    dist = stats.beta(2 + policy.wins, 3 + policy.losses)
    np.testing.assert_allclose(proposal.score, np.tile(-1 + 4 * dist.mean(), (5, 1)), rtol=1e-12)
    np.testing.assert_allclose(proposal.spread, np.tile(4 * dist.std(), (5, 1)), rtol=1e-12)


@pytest.mark.parametrize("k", [2, 8, 9, 20])
def test_each_row_has_the_weights_of_its_mask(k):
    """Masked candidates have 0, the others the chances among themselves, alone or in company."""
    of = batch(60, k)
    policy = bound(of).learn(feedback(of))
    weights = policy.propose(of).weights
    for row in range(60):
        keep = of.allowed[row]
        np.testing.assert_array_equal(
            weights[row, keep], beta_wins(1 + policy.wins[keep], 1 + policy.losses[keep])
        )
        assert not weights[row, ~keep].any()
        alone = BetaThompson(ids=policy.ids, wins=policy.wins, losses=policy.losses).propose(
            of.take(slice(row, row + 1))
        )
        np.testing.assert_array_equal(alone.weights[0], weights[row])


def test_a_mask_is_computed_once(monkeypatch):
    """The quadrature runs once for each mask, across batches; the memory of masks is bounded."""
    calls = []

    def counted(a, b):
        calls.append(len(a))
        return beta_wins(a, b)

    monkeypatch.setattr(beta, "beta_wins", counted)
    monkeypatch.setattr(beta, "_MASKS", 8)
    of = batch(50, 3)
    policy = bound(of)
    want = policy.propose(of).weights
    masks = len({row.tobytes() for row in of.allowed})
    assert len(calls) == masks <= 8
    np.testing.assert_array_equal(policy.propose(of).weights, want)
    assert len(calls) == masks
    many = batch(300, 9)
    policy = bound(many)
    policy.propose(many)
    assert len(policy._known) <= 8


def test_nothing_allowed_and_no_rows_are_answered():
    """A row without candidates has no weight; a batch without rows has no rows."""
    of = batch(3)
    of.allowed[1] = False
    policy = bound(of)
    weights = policy.propose(of).weights
    assert not weights[1].any()
    assert weights[0].sum() == pytest.approx(1)
    assert policy.propose(of.take(slice(0, 0))).weights.shape == (0, 7)


def test_counts_are_matched_by_id():
    """In another catalogue an action keeps its counts, and a new one starts from the prior."""
    of = batch(60)
    policy = bound(of).learn(feedback(of))
    other = Catalogue.of([*(a for a in catalogue().actions if a.id != "a1"), Action("brand_new")])
    moved = policy.bind(attrs.evolve(space(of), catalogue=other))
    assert moved.ids == other.ids
    assert moved.wins[other.column("a2")] == policy.wins[of.catalogue.column("a2")]
    assert moved.losses[other.column("brand_new")] == 0.0
    assert policy.bind(space(of)) is policy


def test_a_policy_for_another_catalogue_says_so():
    """Asked or taught without having been bound, it refuses."""
    of = batch(5)
    with pytest.raises(ConfigurationError, match=r"bound to 0 actions, the batch has 7: call bind\(space\)"):
        BetaThompson().propose(of)
    with pytest.raises(LearningError, match="counts 0 actions, the feedback has 7"):
        BetaThompson().learn(feedback(of))


@pytest.mark.parametrize("reward", [-0.1, 1.1, math.nan, math.inf, -math.inf])
def test_a_reward_out_of_range_is_refused(reward):
    """The message names the reward and the range."""
    of = batch(5)
    told = feedback(of)
    told.reward[3] = reward
    with pytest.raises(LearningError, match=r"counts rewards from 0\.0 to 1\.0, got") as caught:
        bound(of).learn(told)
    assert caught.value.facts["value"] == pytest.approx(reward, nan_ok=True)


@pytest.mark.parametrize("action", [-1, 7])
def test_an_action_that_is_no_column_is_refused(action):
    """It would be counted for another, or for none."""
    of = batch(5)
    told = feedback(of)
    told.action[3] = action
    with pytest.raises(LearningError, match="an action is a column from 0 to 6"):
        bound(of).learn(told)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"prior": (1.0,)}, "prior must be two positive numbers"),
        ({"prior": (1.0, 0.0)}, "prior must be"),
        ({"prior": (math.nan, 1.0)}, "prior must be"),
        ({"prior": (math.inf, 1.0)}, "prior must be"),
        ({"prior": (True, 1.0)}, "prior must be"),
        ({"prior": ("1", 1.0)}, "prior must be"),
        ({"prior": 1.0}, "prior must be"),
        ({"low": 1.0}, "low must be a number below high, got 1.0 and 1.0"),
        ({"low": math.nan}, "low must be"),
        ({"high": math.inf}, "low must be"),
        ({"low": -math.inf}, "low must be"),
        ({"high": "1"}, "low must be"),
        ({"low": False}, "low must be"),
        ({"wins": np.zeros(2)}, "one entry for each of 0 actions, got 2 and 0"),
        ({"ids": ("a",)}, "one entry for each of 1 actions, got 0 and 0"),
    ],
    ids=range(15),
)
def test_settings_are_checked(settings, message):
    """Each setting says by name what it must be, and what it was given."""
    with pytest.raises(ConfigurationError, match=message):
        BetaThompson(**settings)
