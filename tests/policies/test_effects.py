"""What is known of a subject's effects: against the dense posterior, and how it is kept."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentic import Action
from agentic.catalogue import Catalogue, product
from agentic.errors import ConfigurationError
from agentic.policies import Between
from agentic.policies._effects import IDLE, LEVELS, SENT, Effects

FLAT = Catalogue.of(Action(f"a{i}") for i in range(5))
CROSSED = Catalogue.of(product({"message": ["m", "n", "o"], "channel": ["p", "q"]}))
MIXED = Catalogue.of(
    [*product({"message": ["m", "n"], "channel": ["p", "q"]}), Action("recall"), Action("z", channel="p")]
)


def full_design(effects: Effects) -> Any:
    """One line for each action: which effects it has, the subject's own level first."""
    design = effects.design(np.arange(len(effects.sends))).T
    design[:, IDLE] = 1.0
    return design


def dense(effects: Effects, counts: Any, totals: Any, ratio: Any) -> tuple[Any, Any]:
    """The exact posterior from rewards by action: mean, and covariance in noise variances."""
    Z = full_design(effects)
    prior = ratio[effects.components()]
    covariance = np.linalg.inv(np.diag(1.0 / prior) + Z.T @ (counts[:, None] * Z))
    return covariance @ (Z.T @ totals), covariance


def sums(effects: Effects, counts: Any, totals: Any) -> tuple[Any, Any]:
    """The same by level, of eight subjects alike."""
    design = effects.design(np.arange(len(effects.sends)))
    return tuple(np.repeat((design @ by_action)[:, None], 8, axis=1) for by_action in (counts, totals))


def assert_exact(effects: Effects, counts: Any, totals: Any, ratio: Any) -> None:
    mean, covariance = dense(effects, counts, totals, ratio)
    prior = effects.prior(ratio)
    known = effects.known(*sums(effects, counts, totals), prior)
    Z = full_design(effects)
    own, whole, choice = effects.of_actions(known, prior)
    for got, want in (
        (effects.means(known), mean),
        (effects.variances(known, prior), np.diag(covariance)),
        (own, Z @ mean),
        (whole, np.einsum("ac,cd,ad->a", Z, covariance, Z)),
    ):
        assert np.allclose(got, np.asarray(want)[:, None], rtol=1e-9, atol=1e-10)
    Z = Z.copy()
    Z[:, [IDLE, SENT]] = 0.0
    Z[~effects.sends, SENT] = 1.0
    assert np.allclose(choice, np.einsum("ac,cd,ad->a", Z, covariance, Z)[:, None], rtol=1e-9, atol=1e-10)


def ratios(effects: Effects, seed: int) -> Any:
    return np.random.default_rng(seed).uniform(0.01, 2.0, len(effects.dimensions) + 2)


@given(st.lists(st.integers(0, 60), min_size=6, max_size=6), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_with_one_dimension_the_posterior_is_exact(counts: list[int], seed: int) -> None:
    """Whatever a subject was sent, and whatever came of it."""
    effects = Effects.of(FLAT, None)
    totals = np.random.default_rng(seed).normal(size=6) * np.sqrt(counts)
    assert_exact(effects, np.array(counts, float), totals, ratios(effects, seed))


@given(st.integers(0, 9), st.integers(0, 9), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_levels_combined_evenly_leave_an_exact_posterior(each: int, idle: int, seed: int) -> None:
    """With any number of dimensions."""
    effects = Effects.of(CROSSED, None)
    counts = np.full(len(CROSSED), float(each))
    counts[CROSSED.idle] = idle
    totals = np.random.default_rng(seed).normal(size=len(counts)) * np.sqrt(counts)
    assert_exact(effects, counts, totals, ratios(effects, seed))


@given(st.integers(0, 6), st.integers(0, 40), st.integers(0, 9), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_one_action_over_and_over_leaves_an_exact_posterior(
    column: int, often: int, idle: int, seed: int
) -> None:
    """Effects that always came together are told apart by their priors only."""
    effects = Effects.of(CROSSED, None)
    counts = np.zeros(len(CROSSED))
    counts[column] = often
    counts[CROSSED.idle] += idle
    totals = np.random.default_rng(seed).normal(size=len(counts)) * np.sqrt(counts)
    assert_exact(effects, counts, totals, ratios(effects, seed))


@pytest.mark.parametrize("catalogue", [CROSSED, MIXED], ids=["crossed", "mixed"])
def test_uneven_combinations_come_close(catalogue: Catalogue) -> None:
    """Two actions that differ in every dimension: what is expected of them is what exact inference says.

    Were rewards simply added to the sums of their levels, each of the two dimensions would claim the whole
    difference. Kept in step, what remains is less than a third of the error of that.
    """
    effects = Effects.of(catalogue, None)
    ratio = np.array([0.1, 0.1, 0.2, 0.2])
    prior = effects.prior(ratio)
    ids = list(catalogue.ids)
    pair = [ids.index("m/p"), ids.index("n/q")]
    dice = np.random.default_rng(0)
    off, plain = [], []
    for _ in range(50):
        own = dice.normal(size=len(effects.parts)) * np.sqrt(ratio[effects.components()])
        effect = full_design(effects) @ own
        count, total = np.zeros((len(effects.parts), 8)), np.zeros((len(effects.parts), 8))
        counts, totals = np.zeros(len(ids)), np.zeros(len(ids))
        for turn in range(40):
            action = pair[turn % 2]
            reward = effect[action] + dice.normal()
            counts[action] += 1.0
            totals[action] += reward
            count, total = effects.observe(
                count, total, prior, np.full(8, action), np.ones(8), np.full(8, reward)
            )
        exact = full_design(effects) @ dense(effects, counts, totals, ratio)[0]
        got = effects.of_actions(effects.known(count, total, prior), prior)[0][:, 0]
        added = effects.of_actions(effects.known(*sums(effects, counts, totals), prior), prior)[0][:, 0]
        for errors, found in ((off, got), (plain, added)):
            errors.append((found[pair[0]] - found[pair[1]]) - (exact[pair[0]] - exact[pair[1]]))
    assert np.sqrt(np.mean(np.square(off))) < np.sqrt(np.mean(np.square(plain))) / 3


@given(st.lists(st.integers(0, 6), min_size=1, max_size=30), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_counts_are_what_was_sent(actions: list[int], seed: int) -> None:
    """However totals are kept in step, counts stay counts; and whole rewards of sends add up."""
    effects = Effects.of(CROSSED, None)
    prior = effects.prior(ratios(effects, seed))
    count, total = np.zeros((7, 8)), np.zeros((7, 8))
    dice = np.random.default_rng(seed)
    for action in actions:
        reward = np.full(8, dice.normal())
        count, total = effects.observe(count, total, prior, np.full(8, action), np.ones(8), reward)
    assert np.allclose(count[:, 0], effects.design(np.array(actions)).sum(axis=1))
    assert np.isfinite(total).all()
    assert (np.ptp(total, axis=1) == 0).all()


@given(st.lists(st.integers(0, 5), min_size=1, max_size=20), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_with_one_dimension_totals_are_sums(actions: list[int], seed: int) -> None:
    """What a reward is beyond the population is added to its levels, weighted, and nothing else moves."""
    effects = Effects.of(FLAT, None)
    prior = effects.prior(ratios(effects, seed))
    dice = np.random.default_rng(seed)
    count = total = np.zeros((7, 8))
    want = np.zeros(7)
    for action in actions:
        weight, reward = dice.random(), dice.normal()
        told = np.full(8, action), np.full(8, weight), np.full(8, reward)
        count, total = effects.observe(count, total, prior, *told)
        want += effects.design(np.array([action]))[:, 0] * weight * reward
    assert np.allclose(total, want[:, None])


def test_without_differences_nothing_is_known() -> None:
    """Ratios of 0: means and variances are 0 whatever the sums say."""
    effects = Effects.of(CROSSED, None)
    prior = effects.prior(np.zeros(4))
    count = np.full((7, 8), 9.0)
    for values in effects.of_actions(effects.known(count, count * 5, prior), prior):
        assert (values == 0).all()


@pytest.mark.parametrize("often", [10, 1000, 10_000], ids=str)
def test_sums_may_be_kept_in_single_precision(often: float) -> None:
    """However much subjects differ: means are off by less than a hundredth of their standard deviation."""
    dice = np.random.default_rng(3)
    for catalogue in (CROSSED, FLAT):
        effects = Effects.of(catalogue, None)
        for ratio in ([100.0, 100, 100, 100], [100.0, 0, 1e-6, 5], [0.05, 0.05, 0.05, 0.05]):
            variances = np.array(ratio[: len(effects.dimensions) + 2])
            by_action = dice.uniform(0, often, (len(catalogue), 64))
            design = effects.design(np.arange(len(catalogue)))
            effect = full_design(effects) @ (
                dice.normal(size=(len(design), 64)) * np.sqrt(variances[effects.components()])[:, None]
            )
            noise = np.sqrt(by_action) * dice.normal(size=by_action.shape)
            count, total = design @ by_action, design @ (by_action * effect + noise)
            prior = effects.prior(variances)
            want = effects.of_actions(effects.known(count, total, prior), prior)
            short = [sums.astype(np.float32).astype(np.float64) for sums in (count, total)]
            got = effects.of_actions(effects.known(*short, prior), prior)
            assert np.abs((got[0] - want[0]) / np.sqrt(want[1])).max() < 0.01
            for few, many in zip(got[1:], want[1:], strict=True):
                assert np.allclose(few, many, rtol=1e-3, atol=1e-12)


def test_dimensions_are_found_and_named() -> None:
    """All that actions have; their ids where they have none; a channel where it is asked for."""
    assert Effects.of(CROSSED, None).dimensions == ("channel", "message")
    assert Effects.of(CROSSED, None).parts == (
        "idle", "sent", "channel=p", "channel=q", "message=m", "message=n", "message=o",
    )  # fmt: skip
    assert Effects.of(FLAT, None).levels == (("a0", "a1", "a2", "a3", "a4"),)
    assert Effects.of(CROSSED, ["action"]).levels[0] == tuple(i for i in CROSSED.ids if i != "no_action")
    mixed = Effects.of(MIXED, ["channel"])
    assert mixed.levels == (("p", "q"),)
    assert mixed.at[0, MIXED.ids.index("recall")] == 2
    assert mixed.at[0, MIXED.ids.index("z")] == 0
    assert Effects.of(Catalogue.of([Action("only")]), None).dimensions == ()
    assert LEVELS == 2


def test_one_action_has_a_contact_effect_only() -> None:
    """Without a dimension that tells actions apart, subjects may still differ in level and contact."""
    effects = Effects.of(Catalogue.of([Action("only")]), None)
    assert_exact(effects, np.array([3.0, 4.0]), np.array([0.5, 1.5]), np.array([0.3, 0.2]))


@pytest.mark.parametrize("name", ["colour", "Message", ""], ids=["absent", "case", "empty"])
def test_an_unknown_dimension_is_refused(name: str) -> None:
    """The message says which there are."""
    with pytest.raises(ConfigurationError, match="there are \\['channel', 'message'\\]"):
        Effects.of(CROSSED, [name])


def test_variances_of_other_shapes_are_refused() -> None:
    """Sums that do not fit the kinds are not taken."""
    with pytest.raises(ConfigurationError, match="variances of 2 kinds need"):
        Between(("level", "contact"), 0.02, np.zeros(2), np.zeros(3), np.zeros(2), np.zeros(3))


def test_records_do_not_grow_beyond_two_kilobytes() -> None:
    """Too many levels are refused with what they would take."""
    many = Catalogue.of(Action(f"a{i:03}") for i in range(255))
    with pytest.raises(ConfigurationError, match="255 levels, so that a record would take 2056 bytes"):
        Effects.of(many, None)
    assert len(Effects.of(Catalogue.of(many.actions[:254]), None).parts) == 256
