"""Input that nobody should give, and what a stranger gives by mistake: refused, or judged for what it is."""

from __future__ import annotations

import math

import numpy as np
import pytest

from agentic.errors import EvaluationError
from agentic.evaluation import (
    IPW,
    SNIPW,
    AcceleratedBootstrap,
    Bootstrap,
    EmpiricalLikelihood,
    Interval,
    Logged,
    Normal,
    Tally,
    alike_bounds,
    cross_fit,
    estimate,
    judge,
    weighed,
)

N = 200
_DICE = np.random.default_rng(5)
ACTION = _DICE.integers(0, 3, N)
REWARD = _DICE.random(N)
TARGET = np.tile([0.2, 0.3, 0.5], (N, 1))
EVEN = np.full(N, 1.0 / 3.0)


@pytest.mark.parametrize("scale", [1e200, 1e308], ids=["squares", "sums"])
@pytest.mark.parametrize(
    "interval",
    [
        pytest.param(one, id=one.name)
        for one in (Normal(), EmpiricalLikelihood(), Bootstrap(resamples=100), AcceleratedBootstrap())
    ],
)
def test_rewards_too_large_for_squares_have_no_support(interval: Interval, scale: float) -> None:
    logged = Logged(ACTION, REWARD * scale, probability=EVEN)
    found = estimate(logged, TARGET, estimator=SNIPW(), interval=interval, reward_range=(0.0, scale))
    assert found.diagnostics.verdict == "insufficient support"
    assert "larger unit" in found.diagnostics.reasons[0]
    assert (found.low, found.high, found.standard_error) == (0.0, scale, math.inf)


def test_rows_of_one_subject_have_no_support() -> None:
    logged = Logged(ACTION, REWARD, probability=EVEN, groups=np.full(N, 7))
    found = estimate(logged, TARGET, estimator=SNIPW(), interval=EmpiricalLikelihood(), reward_range=(0, 1))
    assert found.diagnostics.verdict == "insufficient support"
    assert found.diagnostics.reasons[0].startswith("all 200 rows are of one subject")
    assert (found.low, found.high) == (0.0, 1.0)


def test_objects_that_are_all_text_or_all_integers_are_groups() -> None:
    subjects = [f"ü{row % 40}" for row in range(N)]
    expected = estimate(
        Logged(ACTION, REWARD, probability=EVEN, groups=subjects), TARGET, estimator=SNIPW()
    ).standard_error
    text = np.array(subjects, dtype=object)
    whole = np.array([row % 40 for row in range(N)], dtype=object)
    for groups in (text, whole):
        logged = Logged(ACTION, REWARD, probability=EVEN, groups=groups)
        found = estimate(logged, TARGET, estimator=SNIPW())
        assert math.isclose(found.standard_error, expected, rel_tol=1e-12)
    X = _DICE.normal(size=(N, 2))
    plain = cross_fit(X, ACTION, REWARD, 3, groups=subjects)
    assert np.array_equal(plain, cross_fit(X, ACTION, REWARD, 3, groups=text))


@pytest.mark.parametrize("bad", [[1, "a"], [None, "a"], [1.5, 2.5], [True, False]], ids=str)
def test_other_objects_are_no_groups(bad: list[object]) -> None:
    groups = np.array(bad * (N // 2), dtype=object)
    with pytest.raises(EvaluationError, match=r"groups is 'object \(200,\)'.*astype\(str\)"):
        Logged(ACTION, REWARD, probability=EVEN, groups=groups)


def test_a_class_in_place_of_its_value_is_refused() -> None:
    logged = Logged(ACTION, REWARD, probability=EVEN)
    with pytest.raises(EvaluationError, match=r"estimator is 'IPW', expected .* such as IPW\(\)"):
        estimate(logged, TARGET, estimator=IPW)  # type: ignore[arg-type] # the mistake
    with pytest.raises(EvaluationError, match=r"interval is 'Normal', expected .* such as Normal\(\)"):
        estimate(logged, TARGET, estimator=IPW(), interval=Normal)  # type: ignore[arg-type]


@pytest.mark.parametrize("bad", [1.0, (0.0, 1.0, 2.0), (0.0, None), ("a", "b")], ids=str)
def test_a_reward_range_that_is_no_pair_of_numbers_is_refused(bad: object) -> None:
    logged = Logged(ACTION, REWARD, probability=EVEN)
    with pytest.raises(EvaluationError, match=r"reward_range is .*, expected two finite numbers in order"):
        estimate(logged, TARGET, estimator=IPW(), reward_range=bad)  # type: ignore[arg-type]


def test_judge_checks_what_estimate_checks() -> None:
    rows = weighed(np.ones(N), REWARD)
    with pytest.raises(EvaluationError, match="level is 95"):
        judge(rows, estimator=SNIPW(), level=95)
    with pytest.raises(EvaluationError, match="widen reward_range"):
        judge(rows, estimator=SNIPW(), reward_range=(0.5, 0.6))


@pytest.mark.parametrize(
    ("field", "given"),
    [
        ("n", {"n": 0}),
        ("weight_cap", {"weight_cap": math.nan}),
        ("level", {"level": 1.5}),
        ("reward", {"reward": 5.0}),
    ],
    ids=["n", "weight_cap", "level", "reward"],
)
def test_alike_bounds_refuse_what_bounds_nothing(field: str, given: dict[str, float]) -> None:
    sound = {"reward": 0.5, "n": 10, "weight_cap": 2.0, "level": 0.95}
    asked = {**sound, **given}
    with pytest.raises(EvaluationError, match=f"{field} is "):
        alike_bounds(
            asked["reward"],
            n=int(asked["n"]),
            weight_cap=asked["weight_cap"],
            level=asked["level"],
            reward_range=(0.0, 1.0),
        )


def test_a_tally_withholds_what_an_estimate_does() -> None:
    for scale, groups in ((1e200, None), (1.0, np.full(N, 7))):
        logged = Logged(ACTION, REWARD * scale, probability=EVEN, groups=groups)
        tally = Tally(SNIPW()).observe(logged, TARGET)
        whole = estimate(logged, TARGET, estimator=SNIPW())
        found = tally.estimate()
        assert found.diagnostics.verdict == whole.diagnostics.verdict == "insufficient support"
        assert found.diagnostics.reasons[0] == whole.diagnostics.reasons[0]
