"""The mean test keeps its error once enough rows carry the spread, and says nothing before."""

import json
import math
from typing import Any, Literal

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentic.errors import EvaluationError
from agentic.experiments import EValues, MeanTest, Moments, asymptotic_radius
from peeking import allowed
from shared_data import shared

RAMP = np.repeat([0.01, 0.05, 0.10, 0.25, 0.50], 40)
RUNS = 2000

Sums = tuple[Any, Any, Any, Any, Any]


def binary(n: np.ndarray, x: np.ndarray) -> Sums:
    return n, x, x, n - x, x


def revenue(n: np.ndarray, shape: tuple[int, int], generator: np.random.Generator) -> Sums:
    """Sums of batches of which one in twenty buys, for log-normal amounts."""
    buyers = generator.binomial(n, 0.05, shape)
    total, squares = np.zeros(shape), np.zeros(shape)
    for buyer in range(int(buyers.max())):
        amount = generator.lognormal(0.0, 1.0, shape) * (buyers > buyer)
        total += amount
        squares += amount * amount
    return np.broadcast_to(n, shape), total, squares, n - buyers, np.zeros(shape)


def accused(found: EValues) -> float:
    return float((found.first(0.05) >= 0).mean())


@pytest.mark.parametrize("worse", ["lower", "higher"])
@pytest.mark.parametrize(
    ("rate", "per_look", "share"),
    [(0.05, 500, 0.5), (0.05, 500, 0.05), (0.02, 40, 0.5), (0.003, 600, 0.1), (0.5, 20, 0.2)],
)
def test_equal_rates_are_rarely_accused_under_200_peeks(
    rate: float, per_look: int, share: float, worse: Literal["lower", "higher"]
) -> None:
    """Rare rates and small arms included: there it waits."""
    generator = np.random.default_rng([int(1000 * rate), per_look])
    n1 = np.full(200, max(1, round(per_look * share)))
    n0 = per_look - n1
    x0, x1 = (generator.binomial(n, rate, (RUNS, 200)) for n in (n0, n1))
    found = MeanTest(worse=worse).trajectory(control=binary(n0, x0), treatment=binary(n1, x1))
    assert accused(found) <= allowed(0.05, RUNS)


@pytest.mark.parametrize("share", [0.5, 0.04])
@pytest.mark.parametrize("worse", ["lower", "higher"])
def test_equal_revenue_is_rarely_accused(share: float, worse: Literal["lower", "higher"]) -> None:
    """In a small arm of skewed amounts, own variance alone would accuse one run in ten."""
    runs = 300
    generator = np.random.default_rng(51)
    n1 = np.full(100, round(500 * share))
    arms = [revenue(n, (runs, 100), generator) for n in (500 - n1, n1)]
    found = MeanTest(worse=worse).trajectory(control=arms[0], treatment=arms[1])
    assert accused(found) <= allowed(0.05, runs)


@pytest.mark.parametrize("worse", ["lower", "higher"])
def test_a_ramp_through_seasons_accuses_as_rarely(worse: Literal["lower", "higher"]) -> None:
    """Pooled over batches, arms that are alike would seem to differ as shares and rates move together."""
    rates = 0.05 * np.exp(0.7 * np.sin(np.arange(200) / 12.0))
    n1 = (500 * RAMP).astype(int)
    generator = np.random.default_rng(52)
    x0, x1 = (generator.binomial(n, rates, (RUNS, 200)) for n in (500 - n1, n1))
    found = MeanTest(worse=worse).trajectory(control=binary(500 - n1, x0), treatment=binary(n1, x1))
    assert accused(found) <= allowed(0.05, RUNS)


@pytest.mark.parametrize(
    ("options", "factor"),
    [
        ({"relative_margin": 0.1}, 0.9),
        ({"relative_margin": 0.1, "worse": "higher"}, 1.1),
        ({"margin": 0.01}, 0.9),
        ({"margin": 0.005, "relative_margin": 0.05}, 0.9),
    ],
    ids=["relative", "relative, higher", "own unit", "both"],
)
def test_a_loss_of_just_the_margin_is_rarely_called_safe(options: dict[str, Any], factor: float) -> None:
    """And its mirror image, a gain, nearly always."""
    generator = np.random.default_rng(53)
    n = np.full(200, 400)
    x0, x1 = (generator.binomial(400, rate, (RUNS, 200)) for rate in (0.1, 0.1 * factor))
    test = MeanTest(**options)
    edge = test.trajectory(control=binary(n, x0), treatment=binary(n, x1)).safe
    assert (edge >= 20.0).any(axis=-1).mean() <= allowed(0.05, RUNS)
    gain = test.trajectory(control=binary(n, x1), treatment=binary(n, x0)).safe
    assert (gain >= 20.0).any(axis=-1).mean() > 0.95


def test_rare_outcomes_make_it_wait() -> None:
    """At a rate of 0.02, 500 rows carry too little: infinite bounds, no e-value, and it says so."""
    rows = np.zeros(500)
    rows[:10] = 1.0
    test = MeanTest().observe(control=rows, treatment=rows[250:])
    assert not test.ready
    assert test.bounds == (-math.inf, math.inf)
    assert (test.e_value, test.safe_e_value, test.peak) == (1.0, 1.0, 1.0)
    assert json.loads(json.dumps(test.facts, allow_nan=False))["upper"] == "inf"
    common = MeanTest().observe(control=1.0 - rows, treatment=1.0 - rows)
    assert not common.ready  # so do outcomes that are nearly always 1
    assert MeanTest().bounds == (-math.inf, math.inf)
    assert (MeanTest().estimate, MeanTest().standard_error, MeanTest().safe_log_e) == (0.0, math.inf, 0.0)


def vectors() -> list[dict[str, Any]]:
    told = shared("vectors", "growthbook-sequential", "vectors.json").read_text(encoding="utf-8")
    cases: list[dict[str, Any]] = json.loads(told)["cases"]
    return cases


def test_growthbooks_figures_come_out() -> None:
    """The radius on either side, and a whole test of one batch."""
    for case in vectors():
        rows = case["a"]["n"] + case["b"]["n"]
        sides: Literal[1, 2] = 2 if case.get("two_sided") else 1
        radius = asymptotic_radius(
            case["se"], rows, alpha=case["alpha"], tuned_at=case["n_star"], sides=sides
        )
        middle = case["absolute"] if "absolute" in case else case["relative_uplift"]
        if sides == 2:
            digits = 2e-4 if case["kind"] == "mean" else 2e-5
            assert [middle - radius, middle + radius] == pytest.approx(case["ci"], abs=digits)
        else:
            assert middle - radius == pytest.approx(case["lower"], abs=1e-12)


def test_growthbooks_bound_is_the_tests_own() -> None:
    """Absolute difference of two means, one-sided, even arms: the published radius at the same rows."""
    generator = np.random.default_rng(54)
    y0, y1 = generator.normal(1.0, 2.0, 3000), generator.normal(1.1, 2.0, 3000)
    test = MeanTest(tuned_at=5000.0).observe(control=y0, treatment=y1)
    error = math.sqrt(y0.var(ddof=1) / 3000 + y1.var(ddof=1) / 3000)
    assert test.standard_error == pytest.approx(error, rel=1e-12)
    radius = asymptotic_radius(error, 6000, alpha=0.05, tuned_at=5000.0, sides=1)
    assert test.bounds == pytest.approx((test.estimate - radius, test.estimate + radius), rel=1e-12)


def test_one_bound_at_a_large_lead_is_the_other() -> None:
    """Radii: none without rows, shrinking with them, wider on two sides."""
    assert asymptotic_radius(1.0, 0.0, alpha=0.05, tuned_at=100.0, sides=1) == math.inf
    assert asymptotic_radius(math.inf, 10.0, alpha=0.05, tuned_at=100.0, sides=2) == math.inf
    one, two = (asymptotic_radius(1.0, 100.0, alpha=0.05, tuned_at=100.0, sides=s) for s in (1, 2))
    assert one < two


moments = st.lists(st.floats(-1e3, 1e3), max_size=20)


@given(moments, moments)
def test_moments_merge(first: list[float], second: list[float]) -> None:
    """Two parts are the whole, to rounding."""
    merged = Moments.of(first).merged(Moments.of(second))
    whole = Moments.of(first + second)
    assert merged.rows == whole.rows
    assert (merged.zeros, merged.ones) == (whole.zeros, whole.ones)
    assert merged.mean == pytest.approx(whole.mean, abs=1e-9)
    assert merged.squares == pytest.approx(whole.squares, rel=1e-9, abs=1e-6)


@given(st.lists(st.tuples(*[st.lists(st.floats(0, 9), max_size=9)] * 2), min_size=1, max_size=8))
def test_a_trajectory_is_the_test_step_by_step(seen: list[tuple[list[float], list[float]]]) -> None:
    """With batches of any sizes, empty ones included."""
    test = MeanTest(least_rows=2.0, least_carrying=1.0, relative_margin=0.1, margin=0.5)
    columns = [
        [np.array([f(np.array(b[arm])) for b in seen]) for f in (len, np.sum, lambda y: np.sum(y * y))]
        + [np.array([float(np.sum(np.array(b[arm]) == v)) for b in seen]) for v in (0.0, 1.0)]
        for arm in (0, 1)
    ]
    path = test.trajectory(control=columns[0], treatment=columns[1])
    for look, (control, treatment) in enumerate(seen):
        test = test.observe(control=control, treatment=treatment)
        spread = test.standard_error
        if test.ready and spread > 1e-6:
            close = {"rel": 1e-6, "abs": 1e-12}
            assert test.e_value == pytest.approx(path.harm[look], **close)
            assert test.safe_e_value == pytest.approx(path.safe[look], **close)
        elif not test.ready:
            assert (path.harm[look], path.safe[look]) == (1.0, 1.0)


def test_the_bound_leaves_zero_exactly_when_harm_is_shown() -> None:
    """The e-value is one over the error at which the bound reaches zero."""
    generator = np.random.default_rng(55)
    test, looks = MeanTest(), 0
    for _ in range(300):
        test = test.observe(control=generator.exponential(1.0, 40), treatment=generator.exponential(0.93, 25))
        if test.ready:
            assert (test.bounds[1] < 0.0) == (test.e_value >= 20.0)
            looks += 1
    assert looks > 250
    assert test.harmed
    assert not test.safe


def test_arms_that_never_vary_are_told_apart_at_once() -> None:
    """No spread at all: whatever differs is certain, whatever is the same is not evidence."""
    test = MeanTest(margin=1.0).observe(control=np.full(300, 7.0), treatment=np.full(300, 6.5))
    assert test.harmed
    assert test.safe
    assert math.isfinite(test.e_value)
    assert test.bounds == (-0.5, -0.5)
    same = MeanTest().observe(control=np.full(300, 7.0), treatment=np.full(300, 7.0))
    assert not same.harmed


def test_a_test_is_json_and_back() -> None:
    """A value that a monitor keeps between looks."""
    generator = np.random.default_rng(56)
    test = MeanTest(alpha=0.01, worse="higher")
    test = test.observe(control=generator.normal(size=300), treatment=generator.normal(size=400))
    again = MeanTest.of_json(json.loads(json.dumps(attrs.asdict(test))))
    assert again == test
    assert again.facts == test.facts
    assert test.rows == (300.0, 400.0)


def test_shards_merge() -> None:
    """Two monitors' batches together."""
    generator = np.random.default_rng(57)
    parts = []
    for _ in range(2):
        test = MeanTest()
        for size in (200, 300):
            test = test.observe(
                control=generator.normal(size=size), treatment=generator.normal(-0.4, 1.0, 150)
            )
        parts.append(test)
    merged = parts[0].merged(parts[1])
    assert merged.weight == pytest.approx(parts[0].weight + parts[1].weight)
    assert merged.peak == merged.e_value
    assert merged.harmed
    assert MeanTest().merged(MeanTest()).peak == 1.0
    with pytest.raises(EvaluationError, match="the same question"):
        merged.merged(MeanTest(tuned_at=5.0))


@pytest.mark.parametrize(
    ("options", "field"),
    [
        pytest.param({"margin": -1.0}, "margin", id="negative margin"),
        pytest.param({"margin": math.inf}, "margin", id="infinite margin"),
        pytest.param({"tuned_at": 0.0}, "tuned_at", id="tuned at nothing"),
    ],
)
def test_an_impossible_question_is_refused(options: dict[str, Any], field: str) -> None:
    """The error names the field."""
    with pytest.raises(EvaluationError, match="expected") as caught:
        MeanTest(**options)
    assert caught.value.facts["field"] == field


def test_an_unknown_outcome_is_refused() -> None:
    """Pending is not NaN; the row is named, the outcome is not."""
    with pytest.raises(EvaluationError, match=r"outcomes at row 1 is 'nan'.*not known yet"):
        MeanTest().observe(control=[1.0, math.nan], treatment=[2.0])


def test_moments_from_sums_are_those_of_rows() -> None:
    """As a database sums them; no rows are no moments."""
    rows = np.array([0.0, 1.0, 2.5, 0.0])
    sums = Moments.of_sums(4, rows.sum(), (rows * rows).sum(), zeros=2, ones=1)
    assert attrs.astuple(sums) == pytest.approx(attrs.astuple(Moments.of(rows)))
    assert sums.carrying == 2.0
    assert Moments.of_sums(0, 0.0, 0.0, zeros=0, ones=0) == Moments() == Moments.of([])
