"""An agent for every customer: what it learns of populations whose individual differences are known."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import attrs
import numpy as np
import pytest

from agentic import Action
from agentic.arrays import Batch, Feedback, Layout, Space
from agentic.catalogue import Catalogue, product
from agentic.conditions import F
from agentic.errors import ConfigurationError, LearningError
from agentic.policies import LinearThompson, Personal, SquareCB
from agentic.policies._effects import IDLE

HOUR = 3_600_000_000
FLAT = Catalogue.of(Action(f"a{i}") for i in range(5))
CROSSED = Catalogue.of(product({"message": ["m", "n", "o"], "channel": ["p", "q", "r"]}))
NOISE = 0.5


@attrs.define(slots=False)
class Town:
    """Subjects with effects of their own, decided for in rounds; rewards are known after each round.

    Attributes:
        catalogue: The actions.
        differences: Standard deviation of each kind of effect: level, contact, then the dimensions.
        subjects: How many.
        seed: Of everything.
    """

    catalogue: Catalogue
    differences: list[float]
    subjects: int
    seed: int
    effect: Any = None

    def __attrs_post_init__(self) -> None:
        self.dice = np.random.default_rng(self.seed)
        self.space = Space(self.catalogue, 3, ("x", "y", "bias"), frozenset({"adult"}), {})
        effects = Personal().bind(self.space).effects
        assert effects is not None
        spread = np.array(self.differences)[effects.components()]
        self.own = self.dice.normal(size=(self.subjects, len(spread))) * spread
        design = effects.design(np.arange(len(self.catalogue)))
        design[IDLE] = 1.0
        self.effect = self.own @ design
        self.theta = self.dice.normal(0, 0.1, (3, len(self.catalogue)))

    def rounds(self, policy: Any, many: int, *, hours: float = 1.0) -> tuple[Any, Any, float]:
        """Let a policy live here; what it is then, the records, and the mean reward of the later half."""
        policy = policy.bind(self.space)
        fields = getattr(policy, "fields", ())
        layout = Layout.compose("town", {"policies": fields})
        rows = layout.part(layout.new(self.subjects), "policies") if fields else None
        n, k = self.subjects, len(self.catalogue)
        earned = []
        for turn in range(many):
            X = np.concatenate([self.dice.normal(size=(n, 2)), np.ones((n, 1))], axis=1)
            now = np.full(n, int((1 + turn * hours) * HOUR))
            batch = Batch(
                self.catalogue,
                np.arange(1, n + 1, dtype=np.uint64),
                now,
                np.broadcast_to(now[:, None], (n, k)),
                np.full(n, -1, np.int16),
                X,
                {"adult": np.ones(n)},
                np.ones((n, k), dtype=np.bool_),
                rows=rows,
            )
            weights = np.cumsum(policy.propose(batch).weights, axis=1)
            action = (weights < self.dice.random((n, 1)) * weights[:, -1:]).sum(axis=1)
            mean = (X @ self.theta + self.effect)[np.arange(n), action]
            earned.append(mean.mean())
            told = Feedback(
                self.catalogue,
                X,
                action,
                mean + self.dice.normal(0, NOISE, n),
                np.ones(n),
                batch.allowed,
                batch.keys,
                now,
                batch.columns,
                None if rows is None else rows.copy(),
                None if rows is None else np.arange(n),
            )
            policy = policy.learn(told)
            if rows is not None:
                policy.remember(told, rows)
        return policy, rows, float(np.mean(earned[many // 2 :]))


def paired(catalogue: Catalogue, differences: list[float], seeds: int, **more: Any) -> Any:
    """By how much the personal agent earned more than the pooled one, town by town."""
    found = []
    for seed in range(seeds):
        pooled = Town(catalogue, differences, seed=seed, **more).rounds(LinearThompson(), 40)[2]
        own = Town(catalogue, differences, seed=seed, **more).rounds(Personal(), 40)[2]
        found.append(own - pooled)
    return np.array(found)


def test_it_beats_the_pooled_policy_where_individuals_differ() -> None:
    """In every town, with one dimension and with two, and on average by more than four standard errors."""
    for catalogue, differences in ((FLAT, [0.0, 0.0, 0.3]), (CROSSED, [0.2, 0.1, 0.2, 0.2])):
        gain = paired(catalogue, differences, 6, subjects=150)
        assert (gain > 0).all()
        assert gain.mean() > 4 * gain.std(ddof=1) / np.sqrt(len(gain))


def test_it_matches_the_pooled_policy_where_they_do_not() -> None:
    """The loss over eight towns is within three standard errors of nothing, and these are small."""
    for catalogue, kinds in ((FLAT, 3), (CROSSED, 4)):
        gain = paired(catalogue, [0.0] * kinds, 8, subjects=150)
        error = gain.std(ddof=1) / np.sqrt(len(gain))
        assert error < 0.02
        assert gain.mean() > -3 * error


def test_the_spread_between_subjects_is_found() -> None:
    """One dimension: within three standard errors of the truth, as they were known; noise within 2 %.

    Of s subjects whose effects are known with reliability r, a variance is known to sqrt(2 / s) / r of
    itself at best. 600 subjects with 60 rewards and five actions: r is at least 1/2 where it matters.
    """
    for seed, differences in enumerate(([0.0, 0.0, 0.3], [0.3, 0.0, 0.0], [0.2, 0.2, 0.2])):
        policy, _, _ = Town(FLAT, differences, 600, seed).rounds(Personal(), 60)
        found = policy.between.variance
        truth = np.square(differences)
        bound = 3 * np.sqrt(2 / 600) / 0.5
        assert abs(found[2] - truth[2]) < bound * max(truth[2], 0.1 * truth.sum())
        # Level and contact are told apart by rewards of doing nothing only: their sum is what is known.
        assert abs(found[:2].sum() - truth[:2].sum()) < 6 * np.sqrt(2 / 600) / 0.5 * max(
            truth[:2].sum(), 0.1**2
        )
        assert policy.between.noise == pytest.approx(NOISE, rel=0.02)


def test_without_differences_the_estimate_is_nothing() -> None:
    """Not 0 in every town, because chance is chance; but below a tenth of the noise, and 0 in most kinds."""
    found = np.array(
        [Town(FLAT, [0.0, 0.0, 0.0], 200, seed).rounds(Personal(), 40)[0].between.ratio for seed in range(6)]
    )
    assert (np.sqrt(found) < 0.1).all()
    assert (found == 0).mean() > 0.4


def test_intervals_hold_the_true_effects() -> None:
    """Of 90 % intervals for differences between actions at least 84 % and at most 95 % hold.

    Individual effects are taken to be about a population that is known; it is not, quite, and levels are
    combined by choice, not at random, so the share falls a little short of 90 %.
    """
    for catalogue, differences in ((FLAT, [0.2, 0.1, 0.3]), (CROSSED, [0.2, 0.1, 0.2, 0.2])):
        town = Town(catalogue, differences, 300, 5)
        policy, rows, _ = town.rounds(Personal(), 40)
        effects, between = policy.effects, policy.between
        sums = policy._sums(rows, len(rows))[:, : len(rows)]
        half = len(sums) // 2
        prior = effects.prior(between.ratio)
        mean, whole, _ = effects.of_actions(effects.known(sums[:half], sums[half:], prior), prior)
        predicted = mean.T + (policy.population.model.theta - town.theta)[-1]
        z = (predicted - town.effect) / np.sqrt(whole.T * between.noise**2)
        assert 0.84 < (np.abs(z) < 1.645).mean() < 0.95, catalogue


def test_a_stranger_is_treated_as_the_population_is() -> None:
    """Without rewards of its own a subject's scores are the population's, and more is explored."""
    town = Town(FLAT, [0.1, 0.1, 0.3], 200, 0)
    policy, rows, _ = town.rounds(Personal(), 20)
    blank = np.zeros(9, dtype=rows.dtype)
    X = np.ones((9, 3))
    now = np.full(9, 30 * HOUR)
    batch = Batch(
        FLAT, np.arange(9, dtype=np.uint64), now, now[:, None], np.full(9, -1, np.int16), X, {},
        np.ones((9, 6), dtype=np.bool_), rows=blank,
    )  # fmt: skip
    proposal = policy.propose(batch)
    assert np.allclose(proposal.score, policy.population.model.mean(X))
    assert (proposal.spread > policy.population.model.spread(X)).all()
    assert np.array_equal(policy.propose(attrs.evolve(batch, rows=None)).weights, proposal.weights)


def test_without_differences_it_is_the_pooled_policy_to_the_bit() -> None:
    """Where the estimated spread is 0 in every kind, nothing is added."""
    town = Town(FLAT, [0.0, 0.0, 0.0], 50, 1)
    policy, rows, _ = town.rounds(Personal(), 3)
    same = attrs.evolve(policy.between, square=np.full(3, -9.0))
    assert not same.ratio.any()
    batch = Batch(
        FLAT, np.arange(50, dtype=np.uint64), np.zeros(50, np.int64), np.zeros((50, 6), np.int64),
        np.full(50, -1, np.int16), np.ones((50, 3)), {}, np.ones((50, 6), dtype=np.bool_), rows=rows,
    )  # fmt: skip
    got, want = attrs.evolve(policy, between=same).propose(batch), policy.population.propose(batch)
    assert np.array_equal(got.weights, want.weights)
    assert np.array_equal(got.spread, want.spread)


def test_old_rewards_count_less() -> None:
    """With a half-life, what was learned of a subject fades as the population's knowledge does."""
    population = LinearThompson(half_life=timedelta(hours=10))
    policy, rows, _ = Town(FLAT, [0.0, 0.0, 0.3], 40, 2).rounds(Personal(population=population), 60)
    count = rows["personal.count.idle"] + rows["personal.count.sent"]
    assert (count <= 1 / (1 - 0.5**0.1)).all()
    assert count.mean() > 0.5 / (1 - 0.5**0.1)
    batch = Batch(
        FLAT, np.arange(40, dtype=np.uint64), np.full(40, 61 * HOUR), np.zeros((40, 6), np.int64),
        np.full(40, -1, np.int16), np.ones((40, 3)), {}, np.ones((40, 6), dtype=np.bool_), rows=rows,
    )  # fmt: skip
    soon, late = (policy.propose(attrs.evolve(batch, now=np.full(40, at * HOUR))).score for at in (61, 2000))
    population_score = policy.population.model.mean(batch.X)
    assert np.abs(soon - population_score).max() > 0.05
    assert np.allclose(late, population_score)


def test_nothing_is_remembered_of_those_who_must_not() -> None:
    """Where the condition does not hold, or is unknown, records stay blank and are not used."""
    town = Town(FLAT, [0.1, 0.1, 0.3], 60, 3)
    policy = Personal(only_if=F("adult") > 0).bind(town.space)
    assert {field.role for field in policy.fields} == {"profile"}
    layout = Layout.compose("town", {"policies": policy.fields})
    rows = layout.part(layout.new(60), "policies")
    dice = np.random.default_rng(0)
    adult = np.repeat([1.0, 0.0, np.nan], 20)
    told = Feedback(
        FLAT, np.ones((60, 3)), dice.integers(0, 6, 60), dice.normal(size=60), np.ones(60),
        np.ones((60, 6), dtype=np.bool_), np.arange(1, 61, dtype=np.uint64), np.full(60, HOUR),
        {"adult": adult}, rows.copy(), np.arange(60),
    )  # fmt: skip
    for _ in range(3):
        policy = policy.learn(told)
        policy.remember(told, rows)
    count = rows["personal.count.idle"] + rows["personal.count.sent"]
    assert (count[:20] > 0).all()
    assert (count[20:] == 0).all()
    assert (rows["personal.minute"][20:] == 0).all()
    rows["personal.total.sent"] = rows["personal.count.sent"] = 5.0
    batch = Batch(
        FLAT, told.keys, told.at, told.at[:, None], np.full(60, -1, np.int16), told.X, {"adult": adult},
        told.allowed, rows=rows,
    )  # fmt: skip
    proposal = policy.propose(batch)
    model = policy.population.model
    assert np.array_equal(proposal.score[20:], model.mean(told.X)[20:])
    assert np.allclose(proposal.spread[20:], model.spread(told.X)[20:], rtol=1e-12)
    assert (proposal.score[:20] != model.mean(told.X)[:20]).any()
    assert policy.explain(batch, 30).keys() > {"0", "1", "2"}
    blind = policy.propose(attrs.evolve(batch, columns={}))
    assert np.array_equal(blind.score, model.mean(told.X))


def test_two_halves_of_the_subjects_merge_to_the_whole() -> None:
    """Population and variances are sums: learned apart and merged they are what they are learned together."""
    town = Town(FLAT, [0.1, 0.1, 0.3], 80, 4)
    start = Personal().bind(town.space)
    dice = np.random.default_rng(1)
    told = Feedback(
        FLAT, np.ones((400, 3)), dice.integers(0, 6, 400), dice.normal(size=400), np.ones(400),
        np.ones((400, 6), dtype=np.bool_), dice.integers(1, 80, 400).astype(np.uint64), np.full(400, HOUR),
    )  # fmt: skip
    whole = start.learn(told)
    left, right = (start.learn(told.take(told.keys % 2 == side)) for side in (0, 1))
    merged = left.merge(right)
    assert np.allclose(merged.population.model.theta, whole.population.model.theta)
    assert merged.between.residual[2] == whole.between.residual[2]
    assert np.allclose(merged.between.weight, whole.between.weight, rtol=0.15)
    with pytest.raises(LearningError, match="of the same kinds"):
        left.merge(Personal(guess=0.3).bind(town.space).learn(told))


def test_new_actions_and_levels_keep_what_was_known() -> None:
    """Bound to a larger catalogue, the estimates of dimensions that stay are kept; records match by name."""
    policy, rows, _ = Town(CROSSED, [0.2, 0.1, 0.2, 0.2], 60, 6).rounds(Personal(), 10)
    more = Catalogue.of(
        product({"message": ["m", "n", "o", "x"], "channel": ["p", "q", "r"], "when": ["am", "pm"]})
    )
    wider = policy.bind(Space(more, 3, ("x", "y", "bias"), frozenset({"adult"}), {}))
    assert wider.between.kinds == ("level", "contact", "channel", "message", "when")
    assert np.array_equal(wider.between.square[:4], policy.between.square)
    assert wider.between.square[4] == 0
    assert {field.name for field in policy.fields} < {field.name for field in wider.fields}
    layout = Layout.compose("town", {"policies": wider.fields})
    fresh = layout.part(layout.new(60), "policies")
    for field in policy.fields:
        fresh[field.name] = rows[field.name]
    n = len(fresh)
    batch = Batch(
        more, np.arange(n, dtype=np.uint64), np.full(n, 99 * HOUR), np.zeros((n, 25), np.int64),
        np.full(n, -1, np.int16), np.ones((n, 3)), {}, np.ones((n, 25), dtype=np.bool_), rows=fresh,
    )  # fmt: skip
    score = wider.propose(batch).score
    assert np.ptp(score, axis=0).min() > 0


def test_records_of_another_make_are_understood() -> None:
    """Fields far apart, or in another order, are found by name."""
    policy, rows, _ = Town(FLAT, [0.1, 0.1, 0.3], 30, 7).rounds(Personal(), 6)
    spaced = [
        part
        for name in reversed(rows.dtype.names)
        for part in ((name, rows.dtype[name]), (f"-{name}", "i8", 4))
    ]
    other = np.zeros(30, dtype=spaced)
    for name in rows.dtype.names:
        other[name] = rows[name]
    assert np.array_equal(policy._sums(other, 30), policy._sums(rows, 30))
    dice = np.random.default_rng(0)
    told = Feedback(
        FLAT, np.ones((30, 3)), dice.integers(0, 6, 30), dice.normal(size=30), np.ones(30),
        np.ones((30, 6), dtype=np.bool_), np.arange(30, dtype=np.uint64), np.full(30, HOUR),
        {}, rows.copy(), np.arange(30),
    )  # fmt: skip
    policy.remember(told, rows)
    policy.remember(told, other)
    assert all(np.array_equal(other[name], rows[name]) for name in rows.dtype.names)
    with pytest.raises(ConfigurationError, match=r"have no field 'personal\.count\.idle'"):
        policy._sums(np.zeros(3, dtype=[("x", "f4")]), 3)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"name": "not a word"}, "must be a word"),
        ({"name": 3}, "must be a word"),
        ({"population": SquareCB()}, "must be a LinearThompson"),
        ({"dimensions": "channel"}, "must be a list of names"),
        ({"dimensions": 3}, "must be a list of names"),
        ({"dimensions": ["channel", "channel"]}, "each once"),
        ({"dimensions": [1]}, "each once"),
        ({"guess": 0.0}, "above 0 and at most 10"),
        ({"guess": True}, "above 0 and at most 10"),
        ({"guess": float("nan")}, "above 0 and at most 10"),
        ({"only_if": "adult"}, "must be a condition"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, Any], message: str) -> None:
    """With what was expected and what was given."""
    with pytest.raises(ConfigurationError, match=message):
        Personal(**wrong)


def test_conditions_and_dimensions_must_exist() -> None:
    """Found when the policy is bound."""
    space = Town(FLAT, [0, 0, 0], 1, 0).space
    with pytest.raises(ConfigurationError, match="colour"):
        Personal(only_if=F("colour") == "red").bind(space)
    with pytest.raises(ConfigurationError, match="no action has the dimension 'channel'"):
        Personal(dimensions=["channel"]).bind(space)


def test_an_unbound_policy_says_so() -> None:
    """Nothing can be asked of it, and it keeps nothing."""
    assert Personal().fields == ()
    with pytest.raises(ConfigurationError, match="not bound"):
        Personal().explain(None, 0)  # type: ignore[arg-type]


def test_feedback_about_other_actions_is_refused() -> None:
    """As the population refuses it."""
    policy = Personal().bind(Town(FLAT, [0, 0, 0], 1, 0).space)
    told = Feedback(
        FLAT, np.ones((2, 3)), np.array([0, 9]), np.zeros(2), np.ones(2), np.ones((2, 6), dtype=np.bool_),
        np.arange(2, dtype=np.uint64), np.zeros(2, np.int64),
    )  # fmt: skip
    with pytest.raises(LearningError, match="an action is a column"):
        policy.learn(told)
    with pytest.raises(LearningError, match="finite"):
        policy.learn(attrs.evolve(told, action=np.zeros(2, np.int64), reward=np.array([0.0, np.nan])))
    with pytest.raises(LearningError, match="does not say whom"):
        told.about(np.array([0]))
