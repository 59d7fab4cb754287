"""The linear model: its posterior is that of ridge regression, however the feedback came in."""

import math
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentic.arrays import Feedback
from agentic.catalogue import Catalogue
from agentic.errors import ConfigurationError, LearningError
from agentic.policies import LinearModel, _ridge
from agentic.types import Action
from ridges import textbook, variances

DAY_US = 86_400_000_000
NOW = 1_770_000_000_000_000


def actions(k):
    return Catalogue.of([Action(f"a{i}") for i in range(k - 1)])


def told(n, k=4, d=5, seed=0, *, catalogue=None, scale=1.0):
    """Feedback whose rewards follow a linear model per action, spread over thirty days."""
    dice = np.random.default_rng([seed, n, k, d])
    X = dice.standard_normal((n, d)) * scale
    X[:, -1] = 1.0
    action = dice.integers(0, k, n)
    truth = dice.standard_normal((k, d))
    return Feedback(
        catalogue=catalogue or actions(k),
        X=X,
        action=action,
        reward=(X * truth[action]).sum(axis=1) / scale + 0.3 * dice.standard_normal(n),
        probability=np.full(n, 1 / k),
        allowed=np.ones((n, k), dtype=np.bool_),
        keys=np.arange(n, dtype=np.uint64),
        at=NOW + dice.integers(0, 30 * DAY_US, n),
    )


def part(of, rows):
    return attrs.evolve(
        of,
        **{
            name: getattr(of, name)[rows]
            for name in ("X", "action", "reward", "probability", "allowed", "keys", "at")
        },
    )


def blank(of, precision=1.0, half_life=None):
    return LinearModel.zero(of.catalogue.ids, of.X.shape[1], precision, half_life)


SUMS = ("gram", "moment", "count", "square")


def require_same(one, other, rtol=1e-9):
    """The same posterior: sums and what is derived from them, relative to the largest of each."""
    for name in (*SUMS, "theta", "noise"):
        a, b = np.asarray(getattr(one, name)), np.asarray(getattr(other, name))
        np.testing.assert_allclose(a, b, rtol=0, atol=rtol * max(1.0, np.abs(b).max()), err_msg=name)
    assert one.as_of == other.as_of


@pytest.mark.parametrize("half_life", [None, timedelta(days=7)], ids=["keeps", "forgets"])
@pytest.mark.parametrize("precision", [0.1, 1.0, 30.0])
def test_the_posterior_is_ridge_regression(precision, half_life):
    """Mean, standard deviation and noise equal the explicit solution, with weights halving by age."""
    of = told(400)
    model = blank(of, precision, half_life).observe(of)
    age = (of.at.max() - of.at) / DAY_US
    weight = np.ones(400) if half_life is None else 0.5 ** (age / 7)
    theta, inverses, noise = textbook(of, precision, weight)
    assert model.noise == pytest.approx(noise, rel=1e-9)
    X = np.random.default_rng(1).standard_normal((50, 5))
    np.testing.assert_allclose(model.mean(X), X @ theta.T, rtol=0, atol=1e-9)
    spread = noise * np.sqrt(np.einsum("nd,kde,ne->nk", X, inverses, X))
    # Five products in float32 under a root: ten roundings of 6e-8.
    np.testing.assert_allclose(model.spread(X), spread, rtol=6e-7)
    np.testing.assert_allclose(model.count, np.bincount(of.action, weight, 4), rtol=1e-12)


def test_nothing_seen_is_the_prior():
    """The mean is 0, the noise that of one observation, the spread that of the prior."""
    model = LinearModel.zero(("a", "no_action"), 3, 4.0, None)
    X = np.array([[3.0, 0.0, 4.0], [0.0, 0.0, 0.0]])
    np.testing.assert_array_equal(model.mean(X), np.zeros((2, 2)))
    assert model.noise == 0.5
    np.testing.assert_allclose(model.spread(X), [[0.5 * (9 / 4 + 16 / 1) ** 0.5] * 2, [0.0] * 2], rtol=1e-6)


def test_a_strong_prior_holds_back_features_and_not_the_level():
    """With a precision of a billion the prediction is the mean reward, shrunk by one observation of all's."""
    of = told(400)
    model = blank(of, precision=1e9).observe(of)
    count, total = np.bincount(of.action, minlength=4), np.bincount(of.action, of.reward, 4)
    level = (total / (count + 1)).sum() / (count / (count + 1)).sum()
    # A feature of size 5 and 400 rewards of size 10, each with a feature of size 5: 5 * 400 * 50 / 1e9.
    np.testing.assert_allclose(
        model.mean(of.X), np.tile((total + level) / (count + 1), (400, 1)), rtol=0, atol=1e-4
    )


def test_the_noise_is_found():
    """With many observations the estimate is the standard deviation that rewards were made with."""
    of = told(20_000)
    # The standard error of a standard deviation is sigma / sqrt(2 n); five of them.
    assert blank(of).observe(of).noise == pytest.approx(0.3, abs=5 * 0.3 / math.sqrt(40_000))


@settings(max_examples=50)
@given(
    st.integers(0, 2**31),
    st.lists(st.integers(0, 120), max_size=4),
    st.sampled_from([None, timedelta(hours=5), timedelta(days=9)]),
)
def test_parts_teach_what_the_whole_does(seed, cuts, half_life):
    """Feedback in batches, in any order, sums to the same posterior, forgetting or not."""
    of = told(120, seed=seed % 50)
    rows = np.random.default_rng(seed).permutation(120)
    model = blank(of, 1.0, half_life)
    for piece in np.split(rows, sorted(cuts)):
        model = model.observe(part(of, piece))
    require_same(model, blank(of, 1.0, half_life).observe(of))


@pytest.mark.parametrize("half_life", [None, timedelta(days=3)], ids=["keeps", "forgets"])
def test_models_merge_in_any_order(half_life):
    """Merging commutes, associates, and is learning together; with nothing it changes nothing."""
    of = told(300)
    start = blank(of, 2.0, half_life)
    a, b, c = (start.observe(part(of, slice(lo, lo + 100))) for lo in (0, 100, 200))
    whole = start.observe(of)
    for merged in (a.merge(b).merge(c), c.merge(b.merge(a)), b.merge(c).merge(a).merge(start)):
        require_same(merged, whole)
    require_same(a.merge(b), b.merge(a), rtol=1e-15)


def test_only_the_same_kind_of_model_merges():
    """Other actions, features, priors or ways of forgetting are refused."""
    of = told(10)
    model = blank(of)
    for other in (
        blank(told(10, k=5)),
        blank(told(10, d=6)),
        blank(of, precision=2.0),
        blank(of, half_life=timedelta(days=1)),
    ):
        with pytest.raises(LearningError, match="only models of the same actions, features, precision"):
            model.merge(other)


def test_an_observation_counts_half_after_the_half_life():
    """And a quarter after two; what comes late counts as much as if it had come in time."""
    of = told(1)
    later = attrs.evolve(of, at=of.at + 2 * DAY_US)
    model = blank(of, 1.0, timedelta(days=1)).observe(of).observe(later)
    assert model.count.sum() == pytest.approx(1.25, rel=1e-12)
    require_same(blank(of, 1.0, timedelta(days=1)).observe(later).observe(of), model)


def test_what_is_very_old_is_forgotten():
    """Ages of thousands of half-lives underflow to nothing, without a warning."""
    of = told(50)
    later = attrs.evolve(told(50, seed=1), at=of.at + 10_000 * DAY_US)
    forgetful = blank(of, 1.0, timedelta(seconds=1))
    require_same(forgetful.observe(of).observe(later), forgetful.observe(later))


def test_learning_leaves_the_old_model_alone():
    """Not a number of it changes, and its derived arrays cannot be written to."""
    of = told(100)
    model = blank(of).observe(of)
    before = {name: np.copy(getattr(model, name)) for name in (*SUMS, "theta", "root")}
    model.observe(told(100, seed=1, catalogue=of.catalogue)).merge(model)
    for name, value in before.items():
        np.testing.assert_array_equal(getattr(model, name), value)
    for array in (model.theta, model.root):
        assert not array.flags.writeable


def test_learning_from_nothing_is_the_same_model():
    """Feedback without rows changes nothing."""
    of = told(10)
    model = blank(of).observe(of)
    assert model.observe(part(of, slice(0, 0))) is model


@pytest.mark.parametrize("half_life", [None, timedelta(days=1)], ids=["keeps", "forgets"])
def test_one_more_reward_gives_the_bits_of_a_fresh_model(half_life):
    """What is not solved again is what solving it again would give: a reopened agent decides the same."""
    of = told(60)
    model = blank(of, 1.0, half_life)
    for row in range(60):
        model = model.observe(part(of, slice(row, row + 1)))
    fresh = attrs.evolve(model)
    for name in ("theta", "root", "noise"):
        np.testing.assert_array_equal(getattr(model, name), getattr(fresh, name))


def test_actions_are_matched_by_id():
    """In another catalogue an action keeps what it knows, and a new one starts from the prior."""
    of = told(100, catalogue=Catalogue.of([Action("b"), Action("d"), Action("f")]))
    model = blank(of).observe(of)
    assert model.ids == ("b", "d", "f", "no_action")
    moved = model.over(("a", "d", "no_action"), 5)
    assert moved.ids == ("a", "d", "no_action")
    for name in SUMS:
        sums = np.asarray(getattr(moved, name))
        np.testing.assert_array_equal(sums[1:], np.asarray(getattr(model, name))[[1, 3]])
        assert not sums[0].any()
    np.testing.assert_allclose(moved.theta[:, 0], [0, 0, 0, 0, moved.solution.level], rtol=0, atol=1e-12)
    assert moved.as_of == model.as_of
    assert model.over(model.ids, 5) is model


def test_another_width_is_refused():
    """A model cannot know which column is which."""
    with pytest.raises(ConfigurationError, match="has seen 5 feature columns, the agent encodes 6"):
        blank(told(1)).over(("a", "no_action"), 6)


def wrong(**changes):
    return lambda of: attrs.evolve(
        of, **{name: change(getattr(of, name)) for name, change in changes.items()}
    )


def put(row, value):
    def change(values):
        out = values.copy()
        out[row] = value
        return out

    return change


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (wrong(reward=put(3, math.nan)), "got a reward from nan to nan"),
        (wrong(reward=put(3, math.inf)), "got a reward from .* to inf"),
        (wrong(reward=put(3, -1e60)), r"got a reward from -1e\+60 to"),
        (wrong(X=put((3, 1), math.nan)), "got a feature from nan to nan"),
        (wrong(X=put((3, 1), -math.inf)), "got a feature from -inf to"),
        (wrong(X=put((3, 1), 1e200)), r"got a feature from .* to 1e\+200"),
        (wrong(action=put(3, 4)), "an action is a column from 0 to 3, got 0 to 4"),
        (wrong(action=put(3, -1)), "an action is a column from 0 to 3, got -1 to 3"),
        (wrong(X=lambda X: X[:, 1:]), "5 feature columns, the feedback of 4 and"),
        (wrong(catalogue=lambda _: actions(5)), "the feedback of 5 and"),
    ],
    ids=["nan", "inf", "huge", "nan x", "inf x", "huge x", "column", "negative", "width", "catalogue"],
)
def test_feedback_that_cannot_be_learned_from_is_refused(spoil, message):
    """Nothing of it is learned, and the message says what was found."""
    of = told(20)
    model = blank(of)
    with pytest.raises(LearningError, match=message):
        model.observe(spoil(of))
    assert not model.count.any()


def test_features_that_repeat_each_other_are_shared_out():
    """With X of less than full rank the prior decides, and the answer is that of the explicit solution."""
    of = told(200)
    X = of.X.copy()
    X[:, 1] = X[:, 0]
    X[:, 2] = 0.0
    of = attrs.evolve(of, X=X)
    model = blank(of).observe(of)
    prior = np.ones(5)  # of a column that says nothing, too
    prior[:2] = variances(X[:, [0, 1, 4]], np.ones(200))[:2]
    prior[3:] = variances(X[:, 3:], np.ones(200))
    level = model.solution.level
    want = np.array(
        [
            np.linalg.inv(X[of.action == a].T @ X[of.action == a] + np.diag(prior))
            @ (X[of.action == a].T @ (of.reward[of.action == a] - level))
            for a in range(4)
        ]
    ).T
    want[-1] += level
    np.testing.assert_allclose(model.theta, want, rtol=0, atol=1e-9)
    np.testing.assert_allclose(model.theta[0], model.theta[1], rtol=0, atol=1e-9)


def test_features_of_a_million_are_fitted():
    """At a scale of 1e6 the prediction equals least squares to what the scale leaves of float64."""
    of = told(500, scale=1e6)
    model = blank(of).observe(of)
    X = of.X[:40]
    # Normal equations lose the square of the condition, 1e12, of 16 digits.
    np.testing.assert_allclose(model.mean(X), X @ textbook(of, 1.0)[0].T, rtol=0, atol=1e-3)
    assert np.isfinite(model.spread(X)).all()


def test_features_that_drown_the_prior_in_rounding_are_learned_from():
    """Copies of a feature at a scale of 1e9 leave a matrix without a root; the others keep their bits."""
    of = told(2000, d=12)
    sizes = 1e9 * np.linspace(0.3, 1.1, 11)
    X = of.X.copy()
    X[:, :-1] *= sizes
    plain = blank(of, 1e-17).observe(attrs.evolve(of, X=X))
    first = of.action == 0
    X[first, :-1] = of.X[first, :1] * sizes
    odd = blank(of, 1e-17).observe(attrs.evolve(of, X=X))
    np.testing.assert_array_equal(odd.solution.scale, plain.solution.scale)
    with pytest.raises(np.linalg.LinAlgError):
        np.linalg.cholesky(odd.gram[0] + np.diag(1e-17 * odd.solution.scale))
    assert np.isfinite(odd.theta).all()
    assert np.isfinite(odd.root).all()
    np.testing.assert_array_equal(odd.solution.by_moment[1:], plain.solution.by_moment[1:])
    got = odd.mean(X[first])[:, 0]
    line = np.polynomial.Polynomial.fit(of.X[first, 0], of.reward[first], 1)(of.X[first, 0])
    # The best line, but for the prior's one observation; the raised diagonal costs a millionth.
    np.testing.assert_allclose(got, line, rtol=0, atol=0.02)


def test_sums_that_belong_to_no_data_are_refused():
    """A gram matrix with a negative eigenvalue, or with nan, has no posterior, and says so when asked."""
    for bad in (-np.eye(2) * 5, np.full((2, 2), math.nan)):
        model = LinearModel(1.0, None, ("a",), bad[None], np.zeros((1, 2)), np.zeros(1), np.zeros(1))
        with pytest.raises(LearningError, match="gram is no sum of"):
            model.mean(np.ones((1, 2)))


def test_a_model_is_solved_when_it_is_asked_and_only_what_changed(monkeypatch):
    """Learning solves nothing; a look solves what feedback was about, and a second one nothing."""
    of = told(400)
    model = blank(of).observe(of)
    counted = []
    roots = _ridge.inverse_root
    monkeypatch.setattr(
        _ridge, "inverse_root", lambda gram, prior: counted.append(len(gram)) or roots(gram, prior)
    )
    for row in range(5):
        model = model.observe(part(of, slice(row, row + 1)))
    assert counted == []
    assert model.noise
    assert counted == [4]
    for row in range(5):
        model = model.observe(part(of, slice(row, row + 1)))
    assert counted == [4]
    assert model.noise
    assert model.root.any()
    assert counted == [4, len(set(of.action[:5].tolist()))]


def test_learning_one_reward_copies_one_action_s_matrix():
    """The others' are shared with the model before, whatever their number."""
    of = told(50, k=6)
    model = blank(of).observe(of)
    after = model.observe(part(of, slice(0, 1)))
    same = [new is old for new, old in zip(after.gram, model.gram, strict=True)]
    assert same == [column != of.action[0] for column in range(6)]


def test_eight_threads_solve_to_the_same_bits():
    """A model nobody has asked yet, asked by eight threads at once, tells all of them the same."""
    of = told(300)
    model = blank(of).observe(part(of, slice(0, 200)))
    assert model.noise
    for lo in range(200, 300, 10):
        model = model.observe(part(of, slice(lo, lo + 10)))
        with ThreadPoolExecutor(8) as pool:
            found = list(
                pool.map(lambda _, model=model: model.theta.tobytes() + model.root.tobytes(), range(8))
            )
        fresh = attrs.evolve(model)
        assert set(found) == {fresh.theta.tobytes() + fresh.root.tobytes()}


@settings(max_examples=30)
@given(st.floats(-1e4, 1e4), st.sampled_from([1e-3, 0.5, 1e3]), st.integers(0, 20))
def test_other_units_of_reward_give_the_same_model_in_those_units(shift, scale, seed):
    """Mean, spread and noise of rewards times a number plus another follow exactly, but for rounding."""
    of = told(200, seed=seed)
    one, other = (
        blank(of, 8.0).observe(attrs.evolve(of, reward=reward))
        for reward in (of.reward, of.reward * scale + shift)
    )
    # The squares of what is shifted far lose digits.
    lost = 1e-11 * (1 + (shift / scale) ** 2)
    np.testing.assert_allclose((other.mean(of.X) - shift) / scale, one.mean(of.X), rtol=0, atol=1e-6 + lost)
    np.testing.assert_allclose(other.noise / scale, one.noise, rtol=1e-6 + lost)


def test_rewards_that_are_all_the_same_leave_nothing_to_choose():
    """The mean is that reward for every action, and the noise is positive, unless it is 0 from the start."""
    of = told(100)
    model = blank(of).observe(attrs.evolve(of, reward=np.full(100, 7.0)))
    np.testing.assert_allclose(model.mean(of.X), 7.0, rtol=1e-9)
    assert 0 < model.noise < 1e-3
    assert blank(of).observe(attrs.evolve(of, reward=np.zeros(100))).noise == 0.5


@pytest.mark.parametrize("field", [*SUMS, "ids"])
def test_arrays_of_other_shapes_are_refused(field):
    """A model is put together from sums of one number of actions and one width."""
    arrays = {
        "ids": ("a", "b"),
        "gram": np.zeros((2, 3, 3)),
        "moment": np.zeros((2, 3)),
        "count": np.zeros(2),
        "square": np.zeros(2),
    }
    LinearModel(1.0, None, **arrays)
    with pytest.raises(ConfigurationError, match=r"needs gram \(k, d, d\)"):
        LinearModel(1.0, None, **{**arrays, field: arrays[field][:1]})


def test_a_spread_is_computed_in_pages():
    """More rows than fit a page have the spread they have alone, bit for bit."""
    of = told(300)
    model = blank(of).observe(of)
    X = np.random.default_rng(2).standard_normal((5000, 5))
    whole = model.spread(X)
    for row in (0, 511, 512, 1023, 4999):
        np.testing.assert_array_equal(model.spread(X[row : row + 1])[0], whole[row])
