"""What slates would have earned, in worlds whose truth is known, and which slates are refused."""

import itertools
import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentic.errors import EvaluationError
from agentic.evaluation import (
    IIPS,
    IPW,
    RIPS,
    SIPS,
    SNIIPS,
    SNIPW,
    SNRIPS,
    SNSIPS,
    CascadeDR,
    CressieRead,
    Logged,
    LoggedSlates,
    SlateEstimator,
    SlateTarget,
    estimate,
    estimate_slates,
    overlap_slates,
)

Floats = npt.NDArray[np.float64]
ALL: list[SlateEstimator] = [SIPS(), IIPS(), RIPS(), SNSIPS(), SNIIPS(), SNRIPS(), CascadeDR()]

# Two places, three actions. The second choice depends on the first.
FIRST = np.array([0.5, 0.3, 0.2])
SECOND = np.array([[0.2, 0.5, 0.3], [0.6, 0.2, 0.2], [0.3, 0.3, 0.4]])
AIM_FIRST = np.array([0.2, 0.2, 0.6])
AIM_SECOND = np.array([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8], [0.3, 0.4, 0.3]])
# What the second place earns depends on what stands above it.
EARNED_FIRST = np.array([0.2, 0.5, 0.7])
EARNED_SECOND = np.array([[0.1, 0.4, 0.9], [0.8, 0.2, 0.3], [0.5, 0.6, 0.1]])
PAIRS = np.array(list(itertools.product(range(3), repeat=2)))
TRUTH = float(
    sum(AIM_FIRST[a] * AIM_SECOND[a, b] * (EARNED_FIRST[a] + EARNED_SECOND[a, b]) for a, b in PAIRS)
)


def slates(pairs: npt.NDArray[np.int64]) -> tuple[LoggedSlates, SlateTarget, Floats]:
    """Return slates that earned exactly what is expected, their target, and what choices are worth."""
    m = len(pairs)
    a, b = pairs.T
    joint, aim = FIRST[a] * SECOND[a, b], AIM_FIRST[a] * AIM_SECOND[a, b]
    marginal, aim_marginal = FIRST @ SECOND, AIM_FIRST @ AIM_SECOND

    def rows(first: Floats, second: Floats) -> Floats:
        return np.stack([first, second], axis=1).ravel()

    logged = LoggedSlates(
        pairs.ravel(),
        rows(EARNED_FIRST[a], EARNED_SECOND[a, b]),
        slate=np.repeat(np.arange(m), 2),
        position=np.tile([0, 1], m),
        joint=rows(joint, joint),
        item=rows(FIRST[a], marginal[b]),
        cascade=rows(FIRST[a], joint),
    )
    choice = np.stack([np.broadcast_to(AIM_FIRST, (m, 3)), AIM_SECOND[a]], axis=1).reshape(-1, 3)
    target = SlateTarget(
        joint=rows(aim, aim),
        item=rows(AIM_FIRST[a], aim_marginal[b]),
        cascade=rows(AIM_FIRST[a], aim),
        choice=choice,
    )
    below = EARNED_FIRST + (AIM_SECOND * EARNED_SECOND).sum(axis=1)
    worth = np.stack([np.broadcast_to(below, (m, 3)), EARNED_SECOND[a]], axis=1).reshape(-1, 3)
    return logged, target, worth


def drawn(m: int, seed: int) -> tuple[LoggedSlates, SlateTarget, Floats]:
    dice = np.random.default_rng(seed)
    a = dice.choice(3, size=m, p=FIRST)
    b = (dice.random(m)[:, None] > SECOND[a].cumsum(axis=1)).sum(axis=1)
    return slates(np.stack([a, b], axis=1))


def expectation(estimator: SlateEstimator, worth: Floats | None = None) -> float:
    """Return what an estimator's terms average to over all nine slates, by their probabilities."""
    logged, target, exact = slates(PAIRS)
    q = exact if worth is None else worth
    terms = estimator.contribute(overlap_slates(logged, target, q=q)).term
    return float(FIRST[PAIRS[:, 0]] * SECOND[PAIRS[:, 0], PAIRS[:, 1]] @ terms)


@pytest.mark.parametrize("estimator", [SIPS(), RIPS(), CascadeDR()], ids=lambda one: one.name)
def test_where_places_work_on_those_below_three_are_unbiased(estimator: SlateEstimator) -> None:
    """Over all possible slates the terms average to the truth exactly."""
    assert expectation(estimator) == pytest.approx(TRUTH, abs=1e-14)


def test_independent_weights_are_biased_where_places_work_on_each_other() -> None:
    """They take the second place for what it earns on average."""
    assert abs(expectation(IIPS()) - TRUTH) > 0.02


def test_cascade_dr_is_unbiased_with_wrong_predictions() -> None:
    """Predictions may be anything when the probabilities are right."""
    wrong = np.random.default_rng(3).random((18, 3))
    wrong[0::2] = wrong[0]  # the first place knows nothing of what follows
    for a in range(3):  # the second knows the first
        wrong[6 * a + 1 : 6 * a + 6 : 2] = wrong[6 * a + 1]
    assert expectation(CascadeDR(), wrong) == pytest.approx(TRUTH, abs=1e-14)


def test_right_predictions_leave_cascade_dr_no_spread() -> None:
    """Where rewards are as predicted, every slate says the truth."""
    logged, target, worth = slates(PAIRS)
    terms = CascadeDR().contribute(overlap_slates(logged, target, q=worth)).term
    np.testing.assert_allclose(terms, TRUTH, atol=1e-14)


@pytest.mark.parametrize(
    "estimator", [SIPS(), RIPS(), SNSIPS(), SNRIPS(), CascadeDR()], ids=lambda one: one.name
)
def test_estimates_come_within_five_standard_errors_of_the_truth(estimator: SlateEstimator) -> None:
    """In 20,000 slates a consistent estimator errs by chance alone (1 in a million fails)."""
    logged, target, worth = drawn(20_000, seed=1)
    found = estimate_slates(logged, target, estimator=estimator, q=worth / 2.0)
    assert abs(found.value - TRUTH) < 5.0 * found.standard_error
    assert found.diagnostics.verdict == "ok"
    assert found.n == 20_000


def test_the_delta_method_is_about_what_repetition_shows() -> None:
    """The errors of 300 repetitions spread as the standard error says, within 4 of their own errors."""
    values, errors = [], []
    for seed in range(300):
        logged, target, _ = drawn(400, seed)
        found = estimate_slates(logged, target, estimator=SNRIPS())
        values.append(found.value)
        errors.append(found.standard_error)
    # A standard deviation of 300 normal values has a relative error of 1 / sqrt(2 * 299).
    assert np.std(values, ddof=1) / np.mean(errors) == pytest.approx(1.0, abs=4.0 / math.sqrt(598))


def test_slates_of_one_place_are_rows() -> None:
    """All three weights are then the same, and the estimates those of single choices."""
    dice = np.random.default_rng(5)
    action = dice.choice(3, size=500, p=FIRST)
    reward = (dice.random(500) < EARNED_FIRST[action]).astype(float)
    p, t = FIRST[action], AIM_FIRST[action]
    logged = LoggedSlates(
        action, reward, slate=np.arange(500), position=np.zeros(500, int), joint=p, item=p, cascade=p
    )
    target = SlateTarget(joint=t, item=t, cascade=t)
    plain = Logged(action, reward, probability=p)
    for estimator, twin in ((SIPS(), IPW()), (IIPS(), IPW()), (SNRIPS(), SNIPW()), (SNSIPS(), SNIPW())):
        found = estimate_slates(logged, target, estimator=estimator)
        same = estimate(plain, np.broadcast_to(AIM_FIRST, (500, 3)), estimator=twin)
        assert found.value == pytest.approx(same.value, rel=1e-12)
        assert found.standard_error == pytest.approx(same.standard_error, rel=1e-12)
        assert found.diagnostics.effective_rows == pytest.approx(same.diagnostics.effective_rows)
        assert found.diagnostics.min_probability == same.diagnostics.min_probability


@given(st.data())
def test_the_order_of_rows_does_not_matter(data: st.DataObject) -> None:
    """Shuffled rows, with slates named by text, give the same values."""
    m = data.draw(st.integers(1, 20))
    logged, target, worth = drawn(m, data.draw(st.integers(0, 99)))
    order = np.array(data.draw(st.permutations(range(2 * m))))
    names = np.array([f"slate {number}" for number in range(m)])
    mixed = LoggedSlates(
        logged.action[order],
        logged.reward[order],
        slate=names[logged.slate.astype(int)][order],
        position=logged.position[order],
        joint=logged.joint[order],
        item=logged.item[order],
        cascade=logged.cascade[order],
    )
    aim = SlateTarget(
        joint=target.joint[order],
        item=target.item[order],
        cascade=target.cascade[order],
        choice=target.choice[order],
    )
    for estimator in ALL:
        before = estimate_slates(logged, target, estimator=estimator, q=worth).value
        after = estimate_slates(mixed, aim, estimator=estimator, q=worth[order]).value
        assert after == pytest.approx(before, rel=1e-12)


def test_slates_may_differ_in_length() -> None:
    """A place that some slates lack is normalised over those that have it."""
    logged = LoggedSlates(
        [0, 1, 0],
        [1.0, 3.0, 5.0],
        slate=["long", "long", "short"],
        position=[0, 1, 0],
        item=[0.5, 0.5, 0.5],
    )
    target = SlateTarget(item=[0.25, 0.5, 0.75])
    plain = estimate_slates(logged, target, estimator=IIPS())
    assert plain.value == pytest.approx((0.5 * 1.0 + 1.0 * 3.0 + 1.5 * 5.0) / 2.0)
    shared = estimate_slates(logged, target, estimator=SNIIPS())
    assert shared.value == pytest.approx((0.5 * 1.0 + 1.5 * 5.0) / 2.0 + 3.0 / 2.0)


def test_a_place_without_weight_has_no_normalised_value() -> None:
    """The target never does what was logged at the second place."""
    logged = LoggedSlates([0, 1], [1.0, 1.0], slate=[0, 0], position=[0, 1], item=[0.5, 0.5])
    found = estimate_slates(logged, SlateTarget(item=[0.5, 0.0]), estimator=SNIIPS())
    assert math.isnan(found.value)
    assert found.diagnostics.verdict == "insufficient support"


def test_the_verdict_is_that_of_the_worst_place() -> None:
    """Support that is missing at one place is missing, and the reason says where."""
    dice = np.random.default_rng(2)
    logged, target, _ = drawn(1000, seed=2)
    item = target.item.copy()
    item[1::2] = np.where(dice.random(1000) < 0.005, item[1::2], 0.0)
    found = estimate_slates(logged, SlateTarget(item=item), estimator=IIPS())
    assert found.diagnostics.verdict == "insufficient support"
    assert str(found).startswith("insufficient support (IIPS, no interval; 1,000 rows worth ")
    assert any(reason.startswith("at place 1: the 1000 rows weigh") for reason in found.diagnostics.reasons)
    assert (found.low, found.high) == (-math.inf, math.inf)


def test_slates_of_one_subject_are_not_independent() -> None:
    """Doubling every slate within its subject leaves the standard error as it was, about."""
    logged, target, _ = drawn(500, seed=7)
    n = logged.n

    def twice(column: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        return np.concatenate([column, column])

    again = LoggedSlates(
        twice(logged.action),
        twice(logged.reward),
        slate=np.concatenate([logged.slate, logged.slate.astype(int) + n]),
        position=twice(logged.position),
        cascade=twice(logged.cascade),
        groups=twice(logged.slate),
    )
    once = estimate_slates(logged, target, estimator=RIPS())
    both = estimate_slates(again, SlateTarget(cascade=twice(target.cascade)), estimator=RIPS())
    assert both.value == pytest.approx(once.value)
    assert both.standard_error == pytest.approx(once.standard_error, rel=1e-6)


def test_whole_slates_take_the_interval_for_rare_rewards() -> None:
    """Their weights are plain weights; those of places are not, and are refused."""
    logged, target, _ = drawn(2000, seed=4)
    options = {"interval": CressieRead(), "reward_range": (0.0, 2.0)}
    found = estimate_slates(logged, target, estimator=SIPS(), **options)
    assert found.low < TRUTH < found.high
    assert found.method == "SIPS, Cressie-Read interval"
    with pytest.raises(EvaluationError, match="plain weighted rewards"):
        estimate_slates(logged, target, estimator=RIPS(), **options)


def test_a_slates_reward_must_lie_in_its_range() -> None:
    """The range is that of the whole slate."""
    logged, target, _ = drawn(50, seed=4)
    with pytest.raises(EvaluationError, match="reward at row"):
        estimate_slates(logged, target, estimator=SIPS(), reward_range=(0.0, 0.5))
    with pytest.raises(EvaluationError, match="level is 95"):
        estimate_slates(logged, target, estimator=SIPS(), level=95.0)


@pytest.mark.parametrize(
    ("estimator", "field"),
    [
        (SIPS(), "joint"),
        (SNSIPS(), "joint"),
        (IIPS(), "item"),
        (SNIIPS(), "item"),
        (RIPS(), "cascade"),
        (SNRIPS(), "cascade"),
        (CascadeDR(), "cascade"),
    ],
    ids=lambda one: getattr(one, "name", one),
)
def test_an_estimator_says_which_probability_it_needs(estimator: SlateEstimator, field: str) -> None:
    """The error names the column."""
    logged = LoggedSlates([0], [1.0], slate=[0], position=[0])
    with pytest.raises(EvaluationError, match=f"weighs by the {field} probability") as caught:
        estimate_slates(logged, SlateTarget(), estimator=estimator)
    assert caught.value.facts["field"] == field


GOOD = {
    "action": [0, 1, 2, 0],
    "reward": [0.0, 1.0, 0.0, 1.0],
    "slate": [7, 7, 9, 9],
    "position": [0, 1, 0, 1],
    "joint": [0.1, 0.1, 0.2, 0.2],
    "item": [0.5, 0.2, 0.4, 0.5],
    "cascade": [0.5, 0.1, 0.4, 0.2],
    "groups": ["a", "a", "b", "b"],
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"position": [0, 1, 0, 2]}, "position at row 3 is 2, expected 1, the slate's next place"),
        ({"position": [0, 0, 0, 1]}, "position at row 1 is 0, expected 1"),
        ({"position": [1, 2, 0, 1]}, "position at row 0 is 1, expected 0"),
        ({"position": [0, -1, 0, 1]}, "position at row 1 is -1"),
        ({"joint": [0.1, 0.1, 0.2, 0.3]}, "joint at row 3 is 'unlike the rest of its slate', expected one"),
        ({"joint": [0.1, 0.1, 0.0, 0.0]}, "joint at row 2 is 0.0, expected more than 0 and at most 1"),
        ({"item": [0.5, math.nan, 0.4, 0.5]}, "item at row 1 is nan"),
        ({"item": [0.5, 1.5, 0.4, 0.5]}, "item at row 1 is 1.5"),
        ({"cascade": [0.5, 0.6, 0.4, 0.2]}, "cascade at row 1 is 0.6, expected at most 0.5"),
        ({"reward": [0.0, math.nan, 0.0, 1.0]}, "reward at row 1 is nan.*pending"),
        ({"reward": [0.0, 1.0]}, "reward is 2, expected 4 rows"),
        ({"slate": [7.0, 7.0, 9.0, 9.0]}, r"slate is 'float64 \(4,\)'"),
        ({"slate": [7, 7, 9]}, "slate is 3, expected 4 rows"),
        ({"groups": ["a", "b", "c", "c"]}, "groups at row 1 .*expected one subject for a slate"),
        ({"groups": [[1], [2], [3], [4]]}, r"groups is 'int64 \(4, 1\)'"),
        ({"action": [0.5, 1.0, 2.0, 0.0]}, "action is 'float64'"),
    ],
)
def test_slates_that_do_not_hold_together_are_refused(change: dict[str, object], message: str) -> None:
    """The error names field, row and value."""
    columns = {**GOOD, **change}
    action, reward = columns.pop("action"), columns.pop("reward")
    with pytest.raises(EvaluationError, match=message):
        LoggedSlates(action, reward, **columns)  # type: ignore[arg-type]


def good() -> LoggedSlates:
    columns = dict(GOOD)
    action, reward = columns.pop("action"), columns.pop("reward")
    return LoggedSlates(action, reward, **columns)  # type: ignore[arg-type]


CHOICE = np.full((4, 3), 1.0 / 3.0)


@pytest.mark.parametrize(
    ("make", "q", "message"),
    [
        (lambda: SlateTarget(joint=[0.1, 0.2, 0.2, 0.2]), None, "target joint at row 1"),
        (lambda: SlateTarget(joint=[0.1, 0.1]), None, "target joint is 2, expected 4 rows"),
        (lambda: SlateTarget(item=[0.1, 0.1, 0.1, -0.1]), None, "target item at row 3 is -0.1"),
        (lambda: SlateTarget(item=[0.1, 0.1]), None, "target item is 2, expected 4 rows"),
        (lambda: SlateTarget(cascade=[0.1, math.nan, 0.1, 0.1]), None, "target cascade at row 1 is nan"),
        (SlateTarget, CHOICE, "target choice is None"),
        (lambda: SlateTarget(choice=CHOICE[:2]), CHOICE, "target choice is 2, expected 4 rows"),
        (lambda: SlateTarget(choice=CHOICE), CHOICE[:, :2], r"q is \(4, 2\), expected \(4, 3\)"),
        (lambda: SlateTarget(choice=CHOICE * 2.0), CHOICE, "target choice at row 0 .* sum to 1"),
        (lambda: SlateTarget(choice=CHOICE[:, :2] * 1.5), CHOICE[:, :2], "action at row 2 is 2"),
        (lambda: SlateTarget(choice=CHOICE), CHOICE * math.inf, "q at row 0 is inf"),
    ],
)
def test_a_malformed_target_is_refused(
    make: Callable[[], SlateTarget], q: Floats | None, message: str
) -> None:
    """Shape, range, sum and finiteness are checked against the slates."""
    with pytest.raises(EvaluationError, match=message):
        overlap_slates(good(), make(), q=q)


def test_cascade_dr_without_predictions_names_one_that_needs_none() -> None:
    """The error says what to pass, or to use instead."""
    target = SlateTarget(cascade=[0.5, 0.1, 0.4, 0.2])
    with pytest.raises(EvaluationError, match=r"q is None.*estimator=RIPS\(\)"):
        estimate_slates(good(), target, estimator=CascadeDR())


def test_a_probability_too_small_to_divide_by_is_refused() -> None:
    """A weight that overflows names the row that caused it."""
    logged = LoggedSlates([0], [1.0], slate=[0], position=[0], item=[1e-310])
    with pytest.raises(EvaluationError, match="item at row 0 is 1e-310"):
        overlap_slates(logged, SlateTarget(item=[1.0]))
