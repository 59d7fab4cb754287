"""Which candidate the log chooses, and what cannot be chosen from."""

import math

import numpy as np
import numpy.typing as npt
import pytest

from agentic.errors import EvaluationError
from agentic.evaluation import (
    DM,
    DR,
    GRID,
    IPW,
    SNIPW,
    STRENGTHS,
    Criterion,
    DRos,
    Estimator,
    LeastError,
    Logged,
    ModelFree,
    Slope,
    SubgaussianIPW,
    SwitchDR,
    Tuned,
    estimate,
    overlap,
    tuned,
)

Floats = npt.NDArray[np.float64]


def heavy(n: int, seed: int, *, rate: float = 0.5) -> tuple[Logged, Floats, Floats]:
    """A log that rarely does what the target nearly always does: weights of 0.1 and of 90."""
    dice = np.random.default_rng(seed)
    action = (dice.random(n) < 0.01).astype(int)
    logged = Logged(action, (dice.random(n) < rate) * 1.0, probability=np.where(action == 1, 0.01, 0.99))
    return logged, np.broadcast_to([0.1, 0.9], (n, 2)), np.full((n, 2), rate)


def clips() -> list[Estimator]:
    return [IPW(clip=clip) for clip in GRID]


@pytest.mark.parametrize("by", [Slope(), LeastError()], ids=lambda one: one.name)
def test_the_chosen_estimate_is_that_of_the_chosen_candidate(by: Criterion) -> None:
    """Value, bounds and diagnostics are those of the candidate by itself; the method names both."""
    logged, target, _ = heavy(3000, seed=1)
    found = estimate(logged, target, estimator=tuned(clips(), by=by))
    assert found.estimator in clips()
    assert found.estimator is not None
    alone = estimate(logged, target, estimator=found.estimator)
    assert (found.value, found.low, found.high) == (alone.value, alone.low, alone.high)
    assert found.diagnostics == alone.diagnostics
    assert found.method == f"{found.estimator.name} by {by.name} over 8 estimators, normal interval"


def test_right_predictions_let_the_threshold_fall() -> None:
    """Where the model is right nothing contradicts the narrowest estimate, and error is variance alone."""
    logged, target, q = heavy(3000, seed=2)
    found = estimate(logged, target, q=q, estimator=tuned(map(SwitchDR, GRID)))
    assert found.estimator == SwitchDR(1.0)


def test_wrong_predictions_raise_the_threshold() -> None:
    """A model that is wrong everywhere is contradicted by the wide, unbiased estimate."""
    logged, target, _ = heavy(100_000, seed=3)
    q = np.full((100_000, 2), 5.0)
    found = estimate(logged, target, q=q, estimator=tuned(map(SwitchDR, GRID)))
    assert found.estimator == SwitchDR(math.inf) or found.estimator in [SwitchDR(c) for c in GRID if c > 90.0]


@pytest.mark.parametrize("by", [Slope(), LeastError()], ids=lambda one: one.name)
def test_choosing_does_not_err_more_than_the_worst_and_about_as_little_as_the_best(by: Criterion) -> None:
    """Over 60 logs the squared error stays within 3 times that of the best candidate."""
    grid = [IPW(clip=clip) for clip in (1.0, 10.0, math.inf)]
    errors: dict[str, list[float]] = {}
    for seed in range(60):
        logged, target, _ = heavy(2000, seed)
        for one in [*grid, tuned(grid, by=by)]:
            value = estimate(logged, target, estimator=one).value
            errors.setdefault(one.name, []).append((value - 0.5) ** 2)
    means = {name: float(np.mean(all_)) for name, all_ in errors.items()}
    chosen = means.pop(tuned(grid, by=by).name)
    assert chosen < 3.0 * min(means.values())
    assert chosen < max(means.values())


def test_equal_candidates_give_the_first() -> None:
    """Clips that no weight reaches are all the same: the smallest of them is taken."""
    dice = np.random.default_rng(0)
    logged = Logged(dice.integers(0, 2, 500), dice.random(500), probability=np.full(500, 0.5))
    for by in (Slope(), LeastError()):
        found = estimate(logged, np.full((500, 2), 0.5), estimator=tuned(clips(), by=by))
        assert found.estimator == IPW(clip=1.0)


def test_subjects_widen_what_is_compared() -> None:
    """Errors between groups are those of groups: rows doubled within a subject choose the same."""
    logged, target, _ = heavy(2000, seed=5)
    twice = Logged(
        np.repeat(logged.action, 2),
        np.repeat(logged.reward, 2),
        probability=np.repeat(logged.probability, 2),
        groups=np.repeat(np.arange(2000), 2),
    )
    for by in (Slope(), LeastError()):
        once = estimate(logged, target, estimator=tuned(clips(), by=by))
        both = estimate(twice, np.repeat(target, 2, axis=0), estimator=tuned(clips(), by=by))
        assert both.value == pytest.approx(once.value)


def test_a_choice_is_model_free_if_all_candidates_are() -> None:
    """Nobody makes predictions for candidates that need none."""
    assert isinstance(tuned(clips()), ModelFree)
    assert isinstance(tuned(map(SubgaussianIPW, STRENGTHS)), ModelFree)
    assert not isinstance(tuned([IPW(), DR()]), ModelFree)


def test_a_tuned_estimator_contributes_as_its_choice() -> None:
    """Called directly, it is the chosen candidate."""
    logged, target, q = heavy(1000, seed=6)
    rows = overlap(logged, target, q=q)
    estimator = tuned([DM(), DR(), DRos(10.0)])
    direct = estimator.contribute(rows)
    assert direct.value == estimator.settle(rows).contribute(rows).value


def test_infinite_thresholds_and_shrinkages_are_dr() -> None:
    """The grid's end changes no weight, bit for bit."""
    logged, target, q = heavy(500, seed=7)
    rows = overlap(logged, target, q=q)
    whole = DR().contribute(rows)
    for estimator in (SwitchDR(math.inf), DRos(math.inf), DR(clip=math.inf)):
        found = estimator.contribute(rows)
        assert found.value == whole.value
        assert found.weight is rows.weight


def test_what_cannot_be_chosen_from_is_refused() -> None:
    """No candidate, no value, no chance, no distance."""
    logged, _, _ = heavy(50, seed=8)
    none = Logged(np.zeros(50, int), logged.reward, probability=np.full(50, 0.5))
    with pytest.raises(EvaluationError, match=r"candidates is \(\), expected one estimator or more"):
        tuned([])
    with pytest.raises(EvaluationError, match="SNIPW has no value on these rows"):
        estimate(none, np.broadcast_to([0.0, 1.0], (50, 2)), estimator=Tuned((IPW(), SNIPW())))
    for delta in (0.0, 1.0, math.nan):
        with pytest.raises(EvaluationError, match="delta is "):
            Slope(delta)
        with pytest.raises(EvaluationError, match="delta is "):
            LeastError(delta)
    with pytest.raises(EvaluationError, match=r"reach is 0\.0"):
        LeastError(reach=0.0)


def test_a_likely_miss_leaves_widths_of_nothing() -> None:
    """At a delta of a half the bounds have no width: only what agrees exactly is taken."""
    logged, target, _ = heavy(2000, seed=9)
    found = estimate(logged, target, estimator=tuned([IPW(clip=1.0), IPW()], by=Slope(0.5)))
    assert found.estimator == IPW()
