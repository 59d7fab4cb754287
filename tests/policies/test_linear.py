"""The policies over a linear model: each weighs as its closed form says."""

import math
from datetime import timedelta

import attrs
import numpy as np
import pytest
from scipy import special

from agentic.catalogue import Catalogue
from agentic.errors import ConfigurationError, LearningError
from agentic.policies import EpsilonGreedy, LinearModel, LinearThompson, LinearUCB, Softmax, SquareCB
from agentic.testing import batch, catalogue, feedback, space
from agentic.types import Action
from ridges import textbook

POLICIES = [EpsilonGreedy, LinearThompson, LinearUCB, Softmax, SquareCB]


def learned(policy, n=300):
    """A policy that has seen feedback, a batch to ask it with, and its scores there."""
    of = batch(n)
    policy = policy.bind(space(of)).learn(feedback(of))
    asked = batch(100, seed=1)
    return policy, asked, policy.fitted.mean(asked.X)


def reference(of, told, precision=8.0):
    """Mean and posterior standard deviation of every action by explicit inverses, shape (n, k)."""
    theta, inverses, noise = textbook(told, precision)
    return of.X @ theta.T, noise * np.sqrt(np.einsum("nd,kde,ne->nk", of.X, inverses, of.X))


def best(score, allowed):
    return np.where(allowed, score, -np.inf).argmax(axis=1)


@pytest.mark.parametrize("optimism", [0.0, 0.7])
def test_thompson_weighs_by_the_chance_to_be_best(optimism):
    """Row by row the weights are the win probabilities of normals, by brute force."""
    policy, of, mean = learned(LinearThompson(exploration=0.5, optimism=optimism))
    proposal = policy.propose(of)
    want_mean, sd = reference(of, feedback(batch(300)))
    np.testing.assert_allclose(proposal.score, want_mean, rtol=0, atol=1e-9)
    np.testing.assert_allclose(proposal.spread, sd, rtol=1e-5)
    dice = np.random.default_rng(0)
    draws = 40_000
    for row in range(6):
        # 300 rewards of seven actions.
        early = 1 + 2 / (1 + 300 / 7 / 30)
        drawn = (dice.standard_normal((draws, mean.shape[1])) * 0.5 + optimism) * early
        drawn = drawn * sd[row] + want_mean[row]
        share = np.bincount(best(drawn, of.allowed[row]), minlength=mean.shape[1]) / draws
        weights = proposal.weights[row]
        # Five standard deviations of a share, and the stated error of the quadrature.
        assert (np.abs(share - weights) <= 5 * np.sqrt(weights * (1 - weights) / draws) + 1e-3).all()
    assert (proposal.weights[~of.allowed] == 0).all()


def test_units_do_not_matter():
    """Rewards times a thousand or plus a hundred, and features in other units, leave Thompson's weights."""
    of, asked = batch(300), batch(100, seed=1)
    told = feedback(of)
    policy = LinearThompson().bind(space(of))
    want = policy.learn(told).propose(asked).weights
    for scale, shift in ((1000.0, 0.0), (0.001, 0.0), (1.0, 100.0), (50.0, -3.0)):
        other = policy.learn(attrs.evolve(told, reward=told.reward * scale + shift))
        # A spread is float32, and a weight follows from the ratio of two.
        np.testing.assert_allclose(other.propose(asked).weights, want, rtol=0, atol=2e-5)
    units = 2.0 ** np.arange(of.X.shape[1] - 1.0, -1.0, -1.0)
    other = policy.learn(attrs.evolve(told, X=told.X * units))
    got = other.propose(attrs.evolve(asked, X=asked.X * units)).weights
    np.testing.assert_allclose(got, want, rtol=0, atol=2e-5)


def test_thompson_does_not_need_a_spread():
    """Where X is 0 there is no spread, and the same means share the weight."""
    policy, of, _ = learned(LinearThompson())
    nothing = attrs.evolve(of.take(slice(0, 1)), X=np.zeros((1, of.X.shape[1])), allowed=of.allowed[:1])
    proposal = policy.propose(nothing)
    assert (proposal.spread == 0).all()
    np.testing.assert_allclose(proposal.weights[0], 1 / 7, rtol=1e-6)


@pytest.mark.parametrize("alpha", [0.3, 1.0, 4.0])
def test_ucb_takes_the_highest_bound(alpha):
    """All weight is on the argmax of mean + alpha times the standard deviation, among those allowed."""
    policy, of, _ = learned(LinearUCB(alpha=alpha))
    proposal = policy.propose(of)
    mean, sd = reference(of, feedback(batch(300)))
    np.testing.assert_array_equal(proposal.weights, np.eye(7)[best(mean + alpha * sd, of.allowed)])
    np.testing.assert_allclose(proposal.score, mean, rtol=0, atol=1e-9)
    np.testing.assert_allclose(proposal.spread, sd, rtol=1e-5)


@pytest.mark.parametrize("gamma", [0.5, 10.0, 1e6])
@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
def test_square_cb_weighs_by_the_inverse_gap(gamma, exponent):
    """1 / (m + gamma gap) for all but the best, the rest for the best; exactly 0 for what is not allowed."""
    policy, of, mean = learned(SquareCB(gamma=gamma, exponent=exponent))
    proposal = policy.propose(of)
    for row in range(len(of)):
        allowed = np.flatnonzero(of.allowed[row])
        top = allowed[mean[row, allowed].argmax()]
        want = np.zeros(7)
        want[allowed] = 1 / (len(allowed) + gamma * 300**exponent * (mean[row, top] - mean[row, allowed]))
        want[top] += 1 - want.sum()
        # Sums of at most seven numbers below 1.
        np.testing.assert_allclose(proposal.weights[row], want, rtol=1e-12, atol=7 * 2.3e-16)
        assert proposal.weights[row].min() >= 0
        assert proposal.weights[row, top] >= 1 / len(allowed) - 1e-15
    assert proposal.spread is None


def test_square_cb_starts_uniform():
    """Before anything is seen all gaps are 0."""
    of = batch(40)
    want = of.allowed / of.allowed.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(SquareCB().bind(space(of)).propose(of).weights, want, rtol=1e-14)


@pytest.mark.parametrize("epsilon", [0.0, 0.1, 1.0])
def test_epsilon_greedy_spreads_a_share(epsilon):
    """Epsilon is shared by all that are allowed, the rest goes to the best."""
    policy, of, mean = learned(EpsilonGreedy(epsilon=epsilon))
    want = of.allowed * (epsilon / of.allowed.sum(axis=1, keepdims=True))
    want[np.arange(100), best(mean, of.allowed)] += 1 - epsilon
    np.testing.assert_allclose(policy.propose(of).weights, want, rtol=1e-15)


@pytest.mark.parametrize("temperature", [0.01, 0.1, 5.0])
def test_softmax_weighs_exponentially(temperature):
    """Normalised, the weights are scipy's softmax over what is allowed."""
    policy, of, mean = learned(Softmax(temperature=temperature))
    weights = policy.propose(of).weights
    want = special.softmax(np.where(of.allowed, mean / temperature, -np.inf), axis=1)
    # The exponent, up to 800, is rounded to 2^-53 of itself.
    np.testing.assert_allclose(weights / weights.sum(axis=1, keepdims=True), want, rtol=1e-10, atol=1e-300)
    assert (weights.max(axis=1) == 1.0).all()


@pytest.mark.parametrize("temperature", [5e-324, 1e-300, 1e300])
def test_no_temperature_overflows(temperature):
    """Near 0 only the best counts, far above all count the same."""
    policy, of, mean = learned(Softmax(temperature=temperature))
    weights = policy.propose(of).weights
    if temperature < 1:
        np.testing.assert_array_equal(weights, np.eye(7)[best(mean, of.allowed)])
    else:
        np.testing.assert_array_equal(weights, of.allowed)


@pytest.mark.parametrize("kind", [LinearUCB, EpsilonGreedy])
def test_ties_go_to_the_smaller_id(kind):
    """Before anything is learned all scores are equal; the first allowed id is the best."""
    of = batch(20)
    policy = kind(epsilon=0.0) if kind is EpsilonGreedy else kind()
    weights = policy.bind(space(of)).propose(of).weights
    np.testing.assert_array_equal(weights.argmax(axis=1), of.allowed.argmax(axis=1))


@pytest.mark.parametrize("kind", POLICIES)
def test_a_row_alone_has_the_bits_it_has_in_company(kind):
    """Weights, scores and spreads of a row do not depend on where it stands or on who stands beside it."""
    policy, _, _ = learned(kind())
    of = batch(300, seed=2)
    whole = policy.propose(of)
    dice = np.random.default_rng(0)
    for rows in [np.array([r]) for r in range(0, 300, 23)] + [
        dice.permutation(300)[:n] for n in (2, 7, 9, 64, 257)
    ]:
        got = policy.propose(of.take(rows))
        for name in ("weights", "score", "spread"):
            whole_values, values = getattr(whole, name), getattr(got, name)
            assert (values is None) is (whole_values is None)
            if values is not None:
                np.testing.assert_array_equal(values, whole_values[rows])


@pytest.mark.parametrize("kind", POLICIES)
def test_nothing_allowed_weighs_nothing_that_is_not_finite(kind):
    """A row without candidates is answered without a warning; the flow strikes out whatever is left."""
    policy, of, _ = learned(kind())
    of.allowed[3] = False
    weights = policy.propose(of).weights
    assert np.isfinite(weights).all()
    assert (weights >= 0).all()


@pytest.mark.parametrize("kind", POLICIES)
def test_a_policy_that_is_not_bound_says_so(kind):
    """It cannot weigh, learn or explain."""
    of = batch(3)
    for ask in (
        lambda: kind().propose(of),
        lambda: kind().learn(feedback(of)),
        lambda: kind().explain(of, 0),
    ):
        with pytest.raises(ConfigurationError, match=f"{kind.__name__} is not bound to an agent yet"):
            ask()


def test_learning_is_the_model_s():
    """A policy hands feedback to its model, and stays as it is."""
    of = batch(50)
    policy = LinearThompson(half_life=timedelta(days=2), precision=3.0).bind(space(of))
    after = policy.learn(feedback(of))
    assert not policy.fitted.count.any()
    np.testing.assert_array_equal(after.fitted.moment, policy.fitted.observe(feedback(of)).moment)
    assert after.exploration == policy.exploration
    with pytest.raises(LearningError, match="must be finite"):
        policy.learn(attrs.evolve(feedback(of), reward=np.full(50, math.nan)))


def test_a_policy_moves_to_another_catalogue():
    """Bound again, it keeps what it knows of actions that stay."""
    of = batch(60)
    policy = LinearThompson().bind(space(of)).learn(feedback(of))
    fewer = Catalogue.of([*(a for a in catalogue().actions if a.id != "a1"), Action("brand_new")])
    moved = policy.bind(attrs.evolve(space(of), catalogue=fewer))
    assert moved.fitted.ids == fewer.ids
    assert moved.fitted.count[fewer.column("a2")] == policy.fitted.count[of.catalogue.column("a2")]
    assert moved.fitted.count[fewer.column("brand_new")] == 0
    with pytest.raises(ConfigurationError, match="start a new policy when features change"):
        policy.bind(attrs.evolve(space(of), width=5))


def test_the_policy_s_settings_hold_for_a_model_it_is_given():
    """Another prior or half-life takes effect with the next binding, on the same sums."""
    of = batch(60)
    model = LinearThompson().bind(space(of)).learn(feedback(of)).fitted
    for changed in (
        LinearUCB(model=model, precision=9.0),
        LinearUCB(model=model, half_life=timedelta(days=1)),
    ):
        bound = changed.bind(space(of)).fitted
        assert (bound.precision, bound.half_life) == (changed.precision, changed.half_life)
        np.testing.assert_array_equal(bound.gram, model.gram)
    same = LinearUCB(model=model).bind(space(of)).fitted
    assert same is model


def test_an_explanation_adds_up_to_the_score():
    """The parts of a row, by number of the column, sum to the score of the best candidate that is allowed."""
    policy, of, mean = learned(LinearThompson())
    for row in range(10):
        parts = policy.explain(of, row)
        assert list(parts) == [str(column) for column in range(of.X.shape[1])]
        top = best(mean[row : row + 1], of.allowed[row : row + 1])[0]
        assert sum(parts.values()) == pytest.approx(mean[row, top], abs=1e-12)


NOT_POSITIVE = [0, -1.0, math.nan, math.inf, True, "1", None]
NOT_SHARES = [-0.1, 1.1, math.nan, math.inf, True, "0.5", None]
NOT_SPANS = [timedelta(0), timedelta(days=-1), 7, "7d"]


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        pytest.param(kind, field, value, id=f"{kind.__name__}-{field}-{value}")
        for kinds, field, values in (
            (POLICIES, "precision", NOT_POSITIVE),
            (POLICIES, "half_life", NOT_SPANS),
            (POLICIES, "model", ["model", LinearModel]),
            ([LinearThompson], "exploration", NOT_POSITIVE),
            ([LinearThompson], "optimism", [-1.0, math.nan, math.inf, True, "1", None]),
            ([LinearUCB], "alpha", NOT_POSITIVE),
            ([SquareCB], "gamma", NOT_POSITIVE),
            ([SquareCB], "exponent", NOT_SHARES),
            ([EpsilonGreedy], "epsilon", NOT_SHARES),
            ([Softmax], "temperature", NOT_POSITIVE),
        )
        for kind in kinds
        for value in values
    ],
)
def test_settings_are_checked(kind, field, value):
    """Each setting says by name what it must be, and what it was given."""
    with pytest.raises(ConfigurationError, match=f"{field} must be") as caught:
        kind(**{field: value})
    assert caught.value.facts["value"] is value


def test_settings_are_given_by_name():
    """A bare number would not say what it is."""
    with pytest.raises(TypeError):
        EpsilonGreedy(0.1)
