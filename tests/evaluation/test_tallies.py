"""Estimates from sums: the same as from all rows at once, however the rows are cut, sent about and merged."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentic.errors import EvaluationError
from agentic.evaluation import (
    DM,
    DR,
    IPW,
    SNDR,
    SNIPW,
    CressieRead,
    Diagnostics,
    DRos,
    EmpiricalLikelihood,
    Estimate,
    Estimator,
    Logged,
    ModelFree,
    Normal,
    SubgaussianDR,
    SubgaussianIPW,
    SwitchDR,
    Tally,
    estimate,
)

ESTIMATORS: list[Estimator] = [
    IPW(),
    IPW(clip=2.0),
    SNIPW(),
    DM(),
    DR(),
    DR(clip=2.0),
    SNDR(),
    SwitchDR(2.0),
    DRos(5.0),
    SubgaussianIPW(0.1),
    SubgaussianDR(0.1),
]
GROUPS = ["none", "numbers", "names"]


@attrs.frozen(eq=False)
class Rows:
    """Logged rows with what a target and a model say of them."""

    logged: Logged
    target: np.ndarray[Any, np.dtype[np.float64]]
    q: np.ndarray[Any, np.dtype[np.float64]]

    def take(self, part: slice) -> Rows:
        log = self.logged
        groups = None if log.groups is None else log.groups[part]
        cut = Logged(log.action[part], log.reward[part], probability=log.probability[part], groups=groups)
        return Rows(cut, self.target[part], self.q[part])


def drawn(seed: int, n: int, kind: str = "none", *, k: int = 3, level: float = 0.0) -> Rows:
    """Rows of a log that explores, with rewards about ``level``."""
    dice = np.random.default_rng(seed)
    likely = dice.dirichlet(np.ones(k) * 2.0, n) * 0.9 + 0.1 / k
    action = (likely.cumsum(axis=1) > dice.random((n, 1))).argmax(axis=1)
    target = dice.dirichlet(np.ones(k), n)
    reward = level + (dice.random(n) < 0.3 + 0.2 * (action == 1))
    who = dice.integers(0, max(2, n // 3), n)
    groups = {"none": None, "numbers": who - 5, "names": np.array([f"s{i}" for i in who])}[kind]
    logged = Logged(action, reward, probability=likely[np.arange(n), action], groups=groups)
    return Rows(logged, target, dice.random((n, k)) + level)


def whole(rows: Rows, estimator: Estimator, **more: Any) -> Estimate:
    q = None if isinstance(estimator, ModelFree) else rows.q
    return estimate(rows.logged, rows.target, estimator=estimator, q=q, **more)


def tallied(rows: Rows, estimator: Estimator, cuts: Sequence[int] = (), **more: Any) -> list[Tally]:
    """A tally of each chunk."""
    ends = [0, *sorted(cuts), rows.logged.n]
    found = []
    for lo, hi in itertools.pairwise(ends):
        tally = Tally(estimator, **more)
        if hi > lo:
            part = rows.take(slice(lo, hi))
            q = None if isinstance(estimator, ModelFree) else part.q
            tally = tally.observe(part.logged, part.target, q=q)
        found.append(tally)
    return found


def merged(tallies: Sequence[Tally], order: np.random.Generator) -> Tally:
    """All of them, two by two in any order."""
    left = list(tallies)
    while len(left) > 1:
        one, other = (left.pop(int(order.integers(len(left)))) for _ in range(2))
        left.append(one.merge(other))
    return left[0]


def assert_same(found: Estimate, expected: Estimate, *, top: float = 1 / 256) -> None:
    """Every figure to 1e-10, but for the share of the heaviest rows."""
    for pair, cls in (
        ((found, expected), Estimate),
        ((found.diagnostics, expected.diagnostics), Diagnostics),
    ):
        for field in attrs.fields(cls):
            mine, other = (getattr(each, field.name) for each in pair)
            if field.name == "top_weight_share":
                assert mine == pytest.approx(other, rel=top, abs=1e-12)
            elif isinstance(mine, float):
                assert mine == pytest.approx(other, rel=1e-10, abs=1e-10, nan_ok=True), field.name
            elif field.name not in {"diagnostics", "reasons"}:
                assert mine == other, field.name
    assert len(found.diagnostics.reasons) == len(expected.diagnostics.reasons)


@pytest.mark.parametrize("kind", GROUPS)
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda one: one.name)
def test_a_tally_says_what_all_rows_say(estimator: Estimator, kind: str) -> None:
    """Value, bounds, error and every diagnostic, whichever way the chunks are merged."""
    rows = drawn(1, 1500, kind)
    expected = whole(rows, estimator)
    parts = tallied(rows, estimator, [1, 90, 91, 700, 701, 1400])
    for seed in range(3):
        assert_same(merged(parts, np.random.default_rng(seed)).estimate(), expected)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32),
    st.integers(2, 120),
    st.lists(st.integers(0, 120), max_size=6),
    st.sampled_from(ESTIMATORS),
    st.sampled_from(GROUPS),
    st.sampled_from([0.0, -1.0, 1e4]),
)
def test_any_cut_and_any_order_of_merging_will_do(
    seed: int, n: int, cuts: list[int], estimator: Estimator, kind: str, level: float
) -> None:
    """Chunks of one row, chunks of none, rewards far from zero."""
    rows = drawn(seed, n, kind, level=level)
    parts = tallied(rows, estimator, [min(cut, n) for cut in cuts])
    found = merged(parts, np.random.default_rng(seed)).estimate(level=0.9)
    expected = whole(rows, estimator, level=0.9)
    scale = max(1.0, abs(level))
    for name in ("value", "low", "high", "standard_error"):
        mine, other = getattr(found, name), getattr(expected, name)
        assert mine == pytest.approx(other, rel=1e-10, abs=1e-10 * scale, nan_ok=True), name
    assert found.diagnostics.verdict == expected.diagnostics.verdict


@pytest.mark.parametrize("estimator", [IPW(), SNIPW()], ids=["IPW", "SNIPW"])
@pytest.mark.parametrize("kind", ["none", "single"])
def test_cressie_read_needs_no_rows(estimator: Estimator, kind: str) -> None:
    """Its bounds come from sums, too, and its refusals stay; groups of one row each are independent."""
    rows = drawn(2, 800)
    ends = (-0.5, 1.5)
    if kind == "single":
        rows = attrs.evolve(rows, logged=attrs.evolve(rows.logged, groups=np.arange(800)))
    tally = merged(tallied(rows, estimator, [100, 500]), np.random.default_rng(0))
    for interval in (
        CressieRead(),
        CressieRead(weight_cap=40.0),
        CressieRead(weight_cap=40.0, weight_floor=0.0),
    ):
        expected = whole(rows, estimator, interval=interval, reward_range=ends)
        assert_same(tally.estimate(interval=interval, reward_range=ends), expected)
    with pytest.raises(EvaluationError, match="reward_range"):
        tally.estimate(interval=CressieRead())
    with pytest.raises(EvaluationError, match="weight_cap"):
        tally.estimate(interval=CressieRead(weight_cap=1.1), reward_range=ends)
    clipped = tallied(rows, IPW(clip=2.0))[0]
    with pytest.raises(EvaluationError, match="expected the estimator"):
        clipped.estimate(interval=CressieRead(), reward_range=ends)
    grouped = tallied(drawn(2, 800, "names"), estimator)[0]
    with pytest.raises(EvaluationError, match="independent"):
        grouped.estimate(interval=CressieRead(), reward_range=ends)


@pytest.mark.parametrize("kind", GROUPS)
@pytest.mark.parametrize("estimator", [IPW(), SNIPW(), SNDR()], ids=lambda one: one.name)
def test_equal_rewards_are_bounded_as_ever(estimator: Estimator, kind: str) -> None:
    """Where no spread can be measured, a range gives the bounds and nothing else does."""
    rows = drawn(3, 300, kind)
    same = attrs.evolve(rows.logged, reward=np.full(300, 0.3))
    rows = attrs.evolve(rows, logged=same, q=np.full((300, 3), 0.3))
    tally = merged(tallied(rows, estimator, [150]), np.random.default_rng(0))
    for ends in (None, (0.0, 1.0)):
        found, expected = (
            tally.estimate(reward_range=ends),
            whole(rows, estimator, reward_range=ends, interval=Normal()),
        )
        assert found.diagnostics.alike
        for name in ("value", "low", "high"):
            assert getattr(found, name) == pytest.approx(getattr(expected, name), abs=1e-7)
        assert found.diagnostics.verdict == expected.diagnostics.verdict


def test_a_target_that_no_row_followed_is_unsupported() -> None:
    """No weight at all: SNIPW has no value, and whatever was unseen in one chunk may be seen in the next."""
    rows = drawn(4, 200)
    never = np.zeros((200, 4))
    never[:, 3] = 1.0
    tally = Tally(SNIPW()).observe(rows.logged, never)
    assert math.isnan(tally.estimate().value)
    assert_same(tally.estimate(), estimate(rows.logged, never, estimator=SNIPW()))
    halves = [rows.take(slice(100)), rows.take(slice(100, 200))]
    first = attrs.evolve(halves[0].logged, action=np.zeros(100, np.int64))
    joined = np.concatenate([first.action, halves[1].logged.action])
    both = attrs.evolve(rows.logged, action=joined)
    expected = estimate(both, rows.target, estimator=IPW())
    parts = [
        Tally(IPW()).observe(first, halves[0].target),
        Tally(IPW()).observe(halves[1].logged, halves[1].target),
    ]
    assert parts[0].estimate().diagnostics.unseen_mass > 0.3
    assert (
        parts[0].merge(parts[1]).estimate().diagnostics.unseen_mass == expected.diagnostics.unseen_mass == 0.0
    )


def test_the_probability_of_the_logged_action_alone_will_do() -> None:
    """Then nothing is known of unseen actions."""
    rows = drawn(5, 400)
    chosen = rows.target[np.arange(400), rows.logged.action]
    found = Tally(SNIPW()).observe(rows.logged, chosen).estimate()
    assert_same(found, estimate(rows.logged, chosen, estimator=SNIPW()))
    assert math.isnan(found.diagnostics.unseen_mass)


def test_many_subjects_share_places() -> None:
    """With more subjects than places the error is still that of subjects, and the order does not matter.

    There are at least half as many lots as places, 256, so the square of the error spreads by sqrt(2 / 256).
    Four of these are 36 % of it, 17 % of the error.
    """
    rows = drawn(6, 12_000, "names")
    exact = whole(rows, IPW())
    parts = tallied(rows, IPW(), range(1000, 12_000, 1000), most_groups=512)
    found = [merged(parts, np.random.default_rng(seed)).estimate() for seed in range(3)]
    for one in found:
        assert one.value == pytest.approx(exact.value, rel=1e-12)
        assert one.standard_error == pytest.approx(exact.standard_error, rel=0.17)
        assert one.standard_error == pytest.approx(found[0].standard_error, rel=1e-10)
    with pytest.raises(EvaluationError, match="independent"):
        parts[0].merge(parts[1]).estimate(interval=CressieRead(), reward_range=(0.0, 1.0))


def test_the_heaviest_rows_are_found_by_their_leading_bits() -> None:
    """To 1 part in 256 for weights of all sizes; exactly, for a few sizes."""
    rows = drawn(7, 5000)
    assert_same(
        tallied(rows, IPW(), [2000])[0].merge(tallied(rows, IPW(), [2000])[1]).estimate(), whole(rows, IPW())
    )
    even = attrs.evolve(rows.logged, probability=np.where(np.arange(5000) % 90 == 0, 0.01, 0.5))
    target = np.broadcast_to(np.array([0.2, 0.3, 0.5]), (5000, 3))
    expected = estimate(even, target, estimator=IPW())
    assert_same(Tally(IPW()).observe(even, target).estimate(), expected, top=1e-12)


def test_what_a_policy_would_gain_is_surer_than_what_it_would_earn() -> None:
    """The policy that made the log gains nothing, surely; any other has the paired error."""
    rows = drawn(8, 2000, "numbers")
    logged = rows.logged
    tally = Tally(IPW()).observe(logged, logged.probability)
    assert tally.earned == pytest.approx(logged.reward.mean())
    value, error = tally.gain()
    assert abs(value) < 1e-12
    assert error < 1e-9
    other = Tally(SNIPW()).observe(logged, rows.target)
    found = other.gain()
    assert found[0] == pytest.approx(other.estimate().value - logged.reward.mean(), abs=1e-12)
    # By subject, from the definition.
    weight = rows.target[np.arange(2000), logged.action] / logged.probability
    moved = (
        weight * (logged.reward - other.estimate().value) / weight.mean()
        - logged.reward
        + logged.reward.mean()
    )
    assert logged.groups is not None
    sums = np.bincount(np.unique(logged.groups, return_inverse=True)[1], weights=moved)
    g = len(sums)
    assert found[1] == pytest.approx(math.sqrt(float(sums @ sums) * g / (g - 1)) / 2000, rel=1e-10)


def test_a_tally_stays_as_it_is() -> None:
    """Observing and merging make new ones; nothing observed changes nothing."""
    rows = drawn(9, 100)
    empty = Tally(IPW())
    full = empty.observe(rows.logged, rows.target)
    assert (empty.n, full.n) == (0, 100)
    assert full.merge(empty) is full
    assert empty.merge(full) is full
    value = full.estimate().value
    full.merge(full)
    assert full.estimate().value == value


def test_what_does_not_fit_together_is_refused() -> None:
    """Estimators, groups, actions, and what is asked of a tally."""
    rows = drawn(10, 100, "numbers")
    plain = Logged(rows.logged.action, rows.logged.reward, probability=rows.logged.probability)
    tally = Tally(IPW()).observe(rows.logged, rows.target)
    with pytest.raises(EvaluationError, match="estimator"):
        tally.merge(Tally(SNIPW()))
    with pytest.raises(EvaluationError, match="groups"):
        tally.observe(plain, rows.target)
    with pytest.raises(EvaluationError, match="groups"):
        Tally(IPW()).observe(plain, rows.target).observe(rows.logged, rows.target)
    wide = np.concatenate([rows.target, np.zeros((100, 1))], axis=1)
    with pytest.raises(EvaluationError, match="3 columns"):
        tally.observe(rows.logged, wide)
    with pytest.raises(EvaluationError, match="most_groups"):
        tally.merge(Tally(IPW(), most_groups=5))
    with pytest.raises(EvaluationError, match="most_groups"):
        Tally(IPW(), most_groups=1)
    with pytest.raises(EvaluationError, match="observe rows first"):
        Tally(IPW()).estimate()
    with pytest.raises(EvaluationError, match="observe rows first"):
        Tally(IPW()).gain()
    with pytest.raises(EvaluationError, match="level"):
        tally.estimate(level=1.0)
    with pytest.raises(EvaluationError, match="from sums"):
        tally.estimate(interval=EmpiricalLikelihood(), reward_range=(0.0, 1.0))
    for ends, told in (((0.2, 1.0), "widen"), ((1.0, 0.0), "in order")):
        with pytest.raises(EvaluationError, match=told):
            tally.estimate(reward_range=ends)
    with pytest.raises(EvaluationError, match="q is None"):
        Tally(DR()).observe(rows.logged, rows.target)


def test_bounds_outside_of_the_range_are_no_bounds() -> None:
    """As in ``estimate``: weights that lead beyond what rewards can be are wrong."""
    rows = drawn(11, 500)
    halved = attrs.evolve(rows.logged, probability=np.maximum(rows.logged.probability / 4.0, 1e-3))
    found = Tally(IPW()).observe(halved, rows.target).estimate(reward_range=(0.0, 1.0), interval=Normal())
    expected = estimate(halved, rows.target, estimator=IPW(), reward_range=(0.0, 1.0))
    assert_same(found, expected)
    assert found.diagnostics.verdict == "insufficient support"
