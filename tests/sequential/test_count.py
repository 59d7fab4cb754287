"""The count test keeps its error at every look, whatever shares, rates and seasons do."""

import json
import math
from typing import Any, Literal

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentic.errors import EvaluationError
from agentic.experiments import CountTest
from peeking import allowed

RAMP = np.repeat([0.01, 0.05, 0.10, 0.25, 0.50], 40)
RUNS = 1500

Batch = tuple[tuple[int, int], tuple[int, int]]


@st.composite
def batches(draw: st.DrawFn) -> list[Batch]:
    def arm() -> tuple[int, int]:
        rows = draw(st.integers(0, 60))
        return rows, draw(st.integers(0, rows))

    return [(arm(), arm()) for _ in range(draw(st.integers(1, 6)))]


def fed(test: CountTest, seen: list[Batch]) -> CountTest:
    for control, treatment in seen:
        test = test.observe_counts(control=control, treatment=treatment)
    return test


@pytest.mark.parametrize(("rate", "per_look"), [(0.05, 250), (0.05, 10), (0.002, 500), (0.6, 50)])
@pytest.mark.parametrize("worse", ["lower", "higher"])
def test_equal_arms_are_rarely_accused_under_200_peeks(
    rate: float, per_look: int, worse: Literal["lower", "higher"]
) -> None:
    """At any rate, from the first row on; 200 looks."""
    generator = np.random.default_rng([int(1000 * rate), per_look])
    x = generator.binomial(per_look, rate, (2, RUNS, 200))
    found = CountTest(worse=worse).trajectory(
        control_rows=per_look, control_successes=x[0], treatment_rows=per_look, treatment_successes=x[1]
    )
    assert (found.first(0.05) >= 0).mean() <= allowed(0.05, RUNS)


@pytest.mark.parametrize("worse", ["lower", "higher"])
def test_a_ramp_through_seasons_accuses_as_rarely(worse: Literal["lower", "higher"]) -> None:
    """Shares grow from 1 to 50 % while the rate of both arms doubles and halves."""
    rates = 0.05 * np.exp(0.7 * np.sin(np.arange(200) / 12.0))
    n1 = (500 * RAMP).astype(int)
    generator = np.random.default_rng(41)
    x0, x1 = (generator.binomial(n, rates, (RUNS, 200)) for n in (500 - n1, n1))
    found = CountTest(worse=worse).trajectory(
        control_rows=500 - n1, control_successes=x0, treatment_rows=n1, treatment_successes=x1
    )
    assert (found.first(0.05) >= 0).mean() <= allowed(0.05, RUNS)


@pytest.mark.parametrize(("worse", "factor"), [("lower", 0.9), ("higher", 1.1)])
def test_a_loss_of_just_the_margin_is_rarely_called_safe(
    worse: Literal["lower", "higher"], factor: float
) -> None:
    """The edge of what is to be ruled out is where it is hardest."""
    generator = np.random.default_rng(42)
    x0, x1 = (generator.binomial(400, rate, (RUNS, 200)) for rate in (0.1, 0.1 * factor))
    found = CountTest(margin=0.1, worse=worse).trajectory(
        control_rows=400, control_successes=x0, treatment_rows=400, treatment_successes=x1
    )
    assert (found.safe >= 20.0).any(axis=-1).mean() <= allowed(0.05, RUNS)
    better = CountTest(margin=0.1, worse=worse).trajectory(
        control_rows=400, control_successes=x1, treatment_rows=400, treatment_successes=x0
    )
    assert (better.safe >= 20.0).any(axis=-1).mean() > 0.95


def test_a_fifth_fewer_is_found_by_8000_customers_of_an_arm() -> None:
    """Half of the campaigns are stopped by then, at a base rate of 5 %; a half fewer by 1,500."""
    generator = np.random.default_rng(43)
    for lift, within in ((-0.2, 8000), (-0.5, 1500)):
        x0, x1 = (generator.binomial(250, r, (400, 200)) for r in (0.05, 0.05 * (1 + lift)))
        found = CountTest().trajectory(
            control_rows=250, control_successes=x0, treatment_rows=250, treatment_successes=x1
        )
        first = found.first(0.05)
        assert (first >= 0).mean() > 0.98
        assert np.median((first + 1) * 250) <= within


@pytest.mark.parametrize(("rate", "ratio"), [(0.05, 1.0), (0.3, 0.8), (0.01, 1.5)])
def test_the_average_e_value_of_one_batch_is_at_most_one(rate: float, ratio: float) -> None:
    """Summed over all outcomes of two arms of 12 and 5 rows: no simulation."""
    margin = max(0.0, 1.0 - ratio)
    test = CountTest(margin=margin, worse="lower" if ratio <= 1.0 else "higher")
    p0, p1 = rate, rate * ratio
    total = total_safe = 0.0
    for x0 in range(13):
        for x1 in range(6):
            chance = math.comb(12, x0) * p0**x0 * (1 - p0) ** (12 - x0)
            chance *= math.comb(5, x1) * p1**x1 * (1 - p1) ** (5 - x1)
            after = test.observe_counts(control=(12, x0), treatment=(5, x1))
            total += chance * after.e_value
            total_safe += chance * after.safe_e_value
    assert total_safe <= 1.0 + 1e-12
    if ratio == 1.0:
        assert total <= 1.0 + 1e-12


def test_a_known_chance_lets_single_rows_speak_and_is_exact() -> None:
    """One row: nothing, a success of the control or one of the treatment; e-values average to one."""
    test, p = CountTest(), 0.3
    one = test.observe_counts(control=(1, 1), treatment=(0, 0), share=0.1)
    other = test.observe_counts(control=(0, 0), treatment=(1, 1), share=0.1)
    none = test.observe_counts(control=(1, 0), treatment=(0, 0), share=0.1)
    assert none.e_value == pytest.approx(1.0)
    average = (1 - p) * none.e_value + p * (0.9 * one.e_value + 0.1 * other.e_value)
    assert average == pytest.approx(1.0, abs=1e-12)
    assert test.observe_counts(control=(1, 1), treatment=(0, 0)).e_value == pytest.approx(1.0)


@given(batches())
def test_a_trajectory_is_the_test_step_by_step(seen: list[Batch]) -> None:
    """Both give the same e-values, and the peak is the largest of them."""
    columns = np.array(seen)
    path = CountTest(margin=0.2).trajectory(
        control_rows=columns[:, 0, 0],
        control_successes=columns[:, 0, 1],
        treatment_rows=columns[:, 1, 0],
        treatment_successes=columns[:, 1, 1],
    )
    test = CountTest(margin=0.2)
    for look, (control, treatment) in enumerate(seen):
        test = test.observe_counts(control=control, treatment=treatment)
        assert test.e_value == pytest.approx(path.harm[look], rel=1e-9)
        assert test.safe_e_value == pytest.approx(path.safe[look], rel=1e-9)
    assert test.peak == pytest.approx(max(1.0, path.harm.max()), rel=1e-9)
    assert test.safe_peak == pytest.approx(max(1.0, path.safe.max()), rel=1e-9)


@settings(max_examples=40)
@given(batches(), batches())
def test_shards_merge_in_any_order(first: list[Batch], second: list[Batch]) -> None:
    """What both saw together is what one would have seen, peaks aside."""
    test = CountTest(margin=0.1)
    whole = fed(test, first + second)
    for merged in (
        fed(test, first).merged(fed(test, second)),
        fed(test, second).merged(fed(test, first)),
    ):
        assert merged.e_value == pytest.approx(whole.e_value, rel=1e-9)
        assert merged.safe_e_value == pytest.approx(whole.safe_e_value, rel=1e-9)
        assert merged.bounds == pytest.approx(whole.bounds, rel=1e-6, abs=1e-9)
        assert merged.rows == whole.rows
        assert merged.peak == pytest.approx(max(1.0, merged.e_value))


@settings(max_examples=40)
@given(batches())
def test_swapping_arms_and_direction_changes_nothing(seen: list[Batch]) -> None:
    """Fewer in the treatment is more in the control."""
    lower = fed(CountTest(), seen)
    higher = fed(CountTest(worse="higher"), [(treatment, control) for control, treatment in seen])
    assert lower.e_value == pytest.approx(higher.e_value, rel=1e-9)
    if lower.estimate and math.isfinite(lower.bounds[1]) and lower.bounds[0] > -1.0:
        assert 1.0 + lower.estimate == pytest.approx(1.0 / (1.0 + higher.estimate), rel=1e-3)
        assert 1.0 + lower.bounds[0] == pytest.approx(1.0 / (1.0 + higher.bounds[1]), rel=1e-3)


def test_the_bounds_exclude_no_change_exactly_when_harm_is_shown() -> None:
    """The e-value and the bounds are one statement, to the precision at which the likelihood is kept."""
    generator = np.random.default_rng(6)
    test, near = CountTest(), 0
    for _ in range(150):
        test = test.observe(control=generator.random(240) < 0.08, treatment=generator.random(100) < 0.06)
        if abs(test.log_e - math.log(20.0)) > 0.01:
            assert (test.bounds[1] < 0.0) == (test.e_value >= 20.0)
            near += 1
    assert near > 100


def test_the_bounds_hold_the_truth_at_all_looks() -> None:
    """A ratio of 0.7 under a ramp: each bound misses at any of 20 looks in at most 5 % of runs."""
    generator = np.random.default_rng(7)
    missed = np.zeros(2)
    runs = 60
    for _ in range(runs):
        test, out = CountTest(), np.zeros(2, dtype=bool)
        for share in np.repeat([0.05, 0.2, 0.5, 0.5], 5):
            n1 = int(1200 * share)
            x0, x1 = generator.binomial(1200 - n1, 0.1), generator.binomial(n1, 0.07)
            test = test.observe_counts(control=(1200 - n1, x0), treatment=(n1, x1))
            low, high = test.bounds
            out |= [low > -0.3, high < -0.3]
        missed += out
        assert -0.9 < test.estimate < 0.5
    assert (missed / runs <= allowed(0.05, runs)).all()


def test_a_test_is_json_and_back() -> None:
    """A value that a monitor keeps between looks."""
    generator = np.random.default_rng(8)
    test = CountTest(alpha=0.01, margin=0.1, worse="higher")
    test = test.observe(control=generator.random(300) < 0.1, treatment=[True, False, True])
    again = CountTest(**json.loads(json.dumps(attrs.asdict(test))))
    assert again == test
    assert again.bounds == test.bounds
    facts = json.loads(json.dumps(test.facts, allow_nan=False))
    assert facts["e_value"] == test.e_value
    assert (test.ready, test.harmed, test.safe) == (True, False, False)


def test_before_any_success_nothing_is_known() -> None:
    """No estimate, infinite bounds, and they are still JSON."""
    test = CountTest().observe(control=[0, 0], treatment=[0])
    assert (test.estimate, test.bounds, test.e_value) == (0.0, (-1.0, math.inf), pytest.approx(1.0))
    json.dumps(test.facts, allow_nan=False)


def test_overwhelming_evidence_stays_a_finite_number() -> None:
    """A million rows of which all differ."""
    test = CountTest(margin=0.5).observe_counts(control=(10**6, 900_000), treatment=(10**6, 0))
    assert test.harmed
    assert math.isfinite(test.e_value)
    assert -1.0 < test.estimate < -0.97
    other = CountTest(margin=0.5).observe_counts(control=(10**6, 0), treatment=(10**6, 900_000))
    assert other.safe
    assert other.estimate > 40.0
    assert other.bounds[0] > 1.0
    json.dumps(other.facts, allow_nan=False)


@pytest.mark.parametrize(
    ("options", "field"),
    [
        pytest.param({"alpha": 0.0}, "alpha", id="no error"),
        pytest.param({"alpha": math.nan}, "alpha", id="nan"),
        pytest.param({"margin": 1.0}, "margin", id="whole margin"),
        pytest.param({"worse": "down"}, "worse", id="direction"),
        pytest.param({"control_rows": -1.0}, "control_rows", id="negative rows"),
    ],
)
def test_an_impossible_question_is_refused(options: dict[str, Any], field: str) -> None:
    """The error names the field and tells what would do."""
    with pytest.raises(EvaluationError, match="expected") as caught:
        CountTest(**options)
    assert caught.value.facts["field"] == field


@pytest.mark.parametrize(
    ("batch", "field"),
    [
        pytest.param({"control": (10, 11), "treatment": (1, 1)}, "control", id="too many"),
        pytest.param({"control": (10, 1.5), "treatment": (1, 1)}, "control", id="half a success"),
        pytest.param({"control": (10, 1), "treatment": (5, -1)}, "treatment", id="negative"),
        pytest.param({"control": (10, 1), "treatment": (5, 1), "share": 1.0}, "share", id="share"),
    ],
)
def test_impossible_counts_are_refused(batch: dict[str, Any], field: str) -> None:
    """Counts since the start instead of the batch's are the usual cause."""
    with pytest.raises(EvaluationError, match="expected") as caught:
        CountTest().observe_counts(**batch)
    assert caught.value.facts["field"] == field


@pytest.mark.parametrize(
    "outcomes",
    [
        pytest.param([0.0, 0.5], id="between"),
        pytest.param([0.0, math.nan], id="nan"),
        pytest.param([[0, 1]], id="matrix"),
        pytest.param([[0], [1, 0]], id="ragged"),
        pytest.param(["yes"], id="text"),
    ],
)
def test_other_outcomes_are_refused(outcomes: list[Any]) -> None:
    """What somebody did stands in no message."""
    with pytest.raises(EvaluationError, match="control") as caught:
        CountTest().observe(control=outcomes, treatment=[1])
    assert "0.5" not in str(caught.value)


def test_an_empty_arm_says_nothing() -> None:
    """A window without canary traffic."""
    test = CountTest().observe(control=[1, 0, 1], treatment=[])
    assert test.e_value == pytest.approx(1.0)
    assert test.rows == (3.0, 0.0)


def test_other_questions_do_not_merge() -> None:
    """Neither another margin nor another direction."""
    with pytest.raises(EvaluationError, match="the same question"):
        CountTest().merged(CountTest(margin=0.1))
