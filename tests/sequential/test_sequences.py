"""Confidence sequences hold at all times together, and are as narrow as the best known."""

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentic.errors import EvaluationError
from agentic.experiments import (
    ConfidenceSequence,
    asymptotic_sequence,
    bernoulli_bounds,
    bernoulli_sequence,
    bernstein_sequence,
    beta_binomial_boundary,
    betting_sequence,
    gamma_exponential_boundary,
    gamma_mixture_sequence,
    gamma_poisson_boundary,
    hedged_sequence,
    hoeffding_sequence,
    msprt,
    normal_boundary,
    normal_mixture_sequence,
    one_sided_normal_boundary,
    stitched_boundary,
)
from peeking import allowed
from shared_data import shared

Draw = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]

POPULATIONS: dict[str, tuple[Draw, float]] = {
    "bernoulli_0.3": (lambda g, shape: (g.random(shape) < 0.3).astype(float), 0.3),
    "beta_2_5": (lambda g, shape: g.beta(2.0, 5.0, shape), 2.0 / 7.0),
    "ctr_0.02": (lambda g, shape: (g.random(shape) < 0.02).astype(float), 0.02),
    "uniform": (lambda g, shape: g.random(shape), 0.5),
}
CLOSED: dict[str, Callable[[np.ndarray], ConfidenceSequence]] = {
    "bernstein": bernstein_sequence,
    "hoeffding": hoeffding_sequence,
    "normal mixture": normal_mixture_sequence,
    "gamma mixture": gamma_mixture_sequence,
}
SINGLE: dict[str, Callable[[np.ndarray], ConfidenceSequence]] = {
    "betting": betting_sequence,
    "hedged": lambda x: hedged_sequence(x, breaks=200),
}
TIMES = np.unique([*np.geomspace(20, 2000, 60).astype(np.int64), 100, 500])


@pytest.mark.parametrize("method", CLOSED)
@pytest.mark.parametrize("population", POPULATIONS)
def test_the_mean_is_rarely_missed_at_any_time(method: str, population: str) -> None:
    """Looked at after every observation."""
    draw, mean = POPULATIONS[population]
    runs, n = (200, 2000) if method != "gamma mixture" else (40, 400)
    x = draw(np.random.default_rng(81), (runs, n))
    found = CLOSED[method](x)
    assert found.misses(np.full(runs, mean)).mean() <= allowed(0.05, runs)
    assert (found.lower >= 0.0).all()
    assert (found.upper <= 1.0).all()


@pytest.mark.parametrize("population", POPULATIONS)
def test_betting_rarely_misses_and_is_within_5_percent_of_the_best(population: str) -> None:
    """Width at 100, 500 and 2,000 against the best exact sequence of the reference table."""
    draw, mean = POPULATIONS[population]
    runs, generator = 60, np.random.default_rng(82)
    found = [betting_sequence(draw(generator, (2000,)), at=TIMES) for _ in range(runs)]
    missed = [bool(one.misses(mean)) for one in found]
    assert np.mean(missed) <= allowed(0.05, runs)
    told = shared("gold", "coverage_reference.json").read_text(encoding="utf-8")
    rows: dict[str, Any] = json.loads(told)["results"][population]
    exact = [row for name, row in rows.items() if "asymptotic" not in name and "naive" not in name]
    for time in (100, 500, 2000):
        widths = [one.width[np.searchsorted(TIMES, time)] for one in found]
        error = np.std(widths) / math.sqrt(runs)
        assert np.mean(widths) - 3.0 * error <= 1.05 * min(row["width"][str(time)] for row in exact)


@pytest.mark.parametrize(("rate", "rows"), [(0.3, 1000), (0.02, 3000)])
def test_the_bernoulli_sequence_rarely_misses(rate: float, rows: int) -> None:
    """Exact at rare rates too, where the asymptotic one is not."""
    runs = 300
    x = (np.random.default_rng(83).random((runs, rows)) < rate).cumsum(axis=1)
    at = np.unique(np.geomspace(1, rows, 80).astype(int))
    found = bernoulli_bounds(x[:, at - 1], at)
    assert found.misses(np.full(runs, rate)).mean() <= allowed(0.05, runs)


def test_an_asymptotic_sequence_waits_where_outcomes_are_rare() -> None:
    """At 2 % it would miss in most runs if it spoke from the start; waiting for 30 mends that."""
    runs = 300
    x = (np.random.default_rng(84).random((runs, 2000)) < 0.02).astype(float)
    hasty = asymptotic_sequence(x, least_carrying=0.0)
    patient = asymptotic_sequence(x)
    truth = np.full(runs, 0.02)
    late = ConfidenceSequence(hasty.lower[:, 20:], hasty.upper[:, 20:])
    assert late.misses(truth).mean() > 0.5
    assert patient.misses(truth).mean() <= allowed(0.05, runs)
    assert np.isinf(patient.width[:, 0]).all()
    assert np.isfinite(patient.width[:, -1]).any()


def test_an_asymptotic_sequence_may_be_shifted() -> None:
    """A mean of a million costs no digits that matter."""
    x = np.random.default_rng(85).normal(size=500)
    near, far = (asymptotic_sequence(x + shift, least_carrying=0.0) for shift in (0.0, 2.0**20))
    assert far.lower - 2.0**20 == pytest.approx(near.lower, abs=1e-8)


@settings(max_examples=40)
@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=25))
def test_mirrored_outcomes_have_mirrored_bounds(x: list[float]) -> None:
    """Nothing favours a side, the bounds hold the mean, and a single betting pass is many."""
    values = np.array(x)
    for method in (*CLOSED.values(), *SINGLE.values()):
        one, other = method(values), method(1.0 - values)
        assert one.lower == pytest.approx(1.0 - other.upper, abs=1e-9)
        assert (one.lower <= one.upper + 1e-9).all()
    at = np.array([values.size])
    last = betting_sequence(values, at=at)
    raw = betting_sequence(values)
    assert last.lower[-1] <= raw.lower[-1] + 1e-9
    assert raw.narrowed.lower == pytest.approx(raw.lower)


def test_a_long_sequence_is_the_same_in_pieces() -> None:
    """What is kept between blocks of rows is a sum."""
    x = np.random.default_rng(86).random(40_000)
    at = np.array([10, 16_384, 16_385, 40_000])
    found = betting_sequence(x, at=at)
    direct = betting_sequence(x[:16_384], at=np.array([10, 16_384]))
    assert found.lower[:2] == pytest.approx(direct.lower)
    assert betting_sequence(x, at=[40_000]).width[0] == pytest.approx(found.width[-1], rel=0.1)
    assert (np.diff(found.width) < 0.0).all()
    assert found.width[-1] < 0.02


def test_a_grid_that_excludes_everything_says_so_by_saying_nothing() -> None:
    """Outcomes whose mean moves from 0 to 1 leave no mean that fits all of them."""
    x = np.concatenate([np.zeros(300), np.ones(300)])
    found = hedged_sequence(x, breaks=50)
    assert found.lower.shape == (600,)
    assert ((found.lower <= found.upper) & (found.lower >= 0.0) & (found.upper <= 1.0)).all()


GOLD: dict[str, tuple[Callable[..., ConfidenceSequence], float]] = {
    "predmix_eb": (lambda x, _: bernstein_sequence(x), 1e-9),
    "predmix_hoeffding": (lambda x, _: hoeffding_sequence(x), 1e-9),
    "conjmix_hoeffding_topt500": (lambda x, _: normal_mixture_sequence(x), 1e-9),
    # The package halves alpha once more.
    "conjmix_eb_topt500": (lambda x, p: gamma_mixture_sequence(x, alpha=0.025, tuned_at=p["v_opt"]), 1e-8),
    "conjmix_bernoulli_topt500": (lambda x, _: bernoulli_sequence(x, tuned_alpha=0.025), 2e-3),
    "asymp_cs_topt500": (lambda x, _: asymptotic_sequence(x, least_carrying=0.0), 1e-9),
    "hedged_cs": (lambda x, _: hedged_sequence(x).narrowed, 1e-9),
    "betting_cs_default": (lambda x, _: hedged_sequence(x), 1e-9),
}


@pytest.mark.parametrize("method", GOLD)
@pytest.mark.parametrize("population", POPULATIONS)
def test_sequences_are_those_of_the_authors(method: str, population: str) -> None:
    """At every time, to the tolerance of the method."""
    told = json.loads(shared("gold", "confseq", "cs_s2024.json").read_text(encoding="utf-8"))
    key = f"{population}__{method}"
    if key not in told["sequences"]:
        pytest.skip(f"the reference has no {key}")
    with np.load(shared("gold", "confseq", "cs_s2024.npz")) as arrays:
        x, lower, upper = (arrays[name] for name in (f"{population}__x", f"{key}__l", f"{key}__u"))
    call, tolerance = GOLD[method]
    found = call(x, told["sequences"][key]["params"])
    assert found.lower == pytest.approx(lower, abs=tolerance)
    assert found.upper == pytest.approx(upper, abs=tolerance)


@pytest.mark.parametrize("population", ["bernoulli_0.3", "ctr_0.02"])
def test_rates_are_bounded_as_by_the_authors(population: str) -> None:
    """Root-found, at a few times."""
    told = json.loads(shared("gold", "confseq", "cs_s2024.json").read_text(encoding="utf-8"))
    key = f"{population}__bernoulli_ci"
    at = {int(time): bounds for time, bounds in told["sequences"][key]["at"].items()}
    with np.load(shared("gold", "confseq", "cs_s2024.npz")) as arrays:
        counts = arrays[f"{population}__x"].cumsum()
    times = np.array(list(at))
    found = bernoulli_bounds(counts[times - 1], times)
    expected = np.array(list(at.values()))
    assert found.lower == pytest.approx(expected[:, 0], rel=1e-8, abs=1e-10)
    assert found.upper == pytest.approx(expected[:, 1], rel=1e-8)


def boundary(name: str, v: np.ndarray) -> np.ndarray:
    kind, alpha = name.rsplit("alpha", 1)
    error = float(alpha.split("_", maxsplit=1)[0])
    calls: dict[str, Callable[[], np.ndarray]] = {
        "normal_mixture_two_sided_": lambda: normal_boundary(v, alpha=error, tuned_at=100.0),
        "normal_mixture_one_sided_": lambda: one_sided_normal_boundary(v, alpha=error, tuned_at=100.0),
        "gamma_exponential_c1_": lambda: gamma_exponential_boundary(v, alpha=error, tuned_at=100.0),
        "gamma_poisson_c1_": lambda: gamma_poisson_boundary(v, alpha=error, tuned_at=100.0),
        "beta_binomial_two_sided_g.3_h.7_": lambda: beta_binomial_boundary(
            v, alpha=error, tuned_at=100.0, below=0.3, above=0.7
        ),
        "poly_stitching_c0_vmin1_": lambda: stitched_boundary(v, alpha=error),
        "poly_stitching_c1_vmin1_": lambda: stitched_boundary(v, alpha=error, scale=1.0),
    }
    return calls[kind]()


def test_boundaries_are_those_of_the_authors() -> None:
    """Closed forms and roots, from intrinsic time 1 to 10,000."""
    told = json.loads(shared("gold", "confseq", "cs_s2024.json").read_text(encoding="utf-8"))["boundaries"]
    assert len(told["tables"]) == 14
    for name, expected in told["tables"].items():
        closed = name.startswith(("normal_mixture_two", "poly"))
        found = boundary(name, np.array(told["v"]))
        assert found == pytest.approx(expected, rel=1e-12 if closed else 1e-8), name


@settings(max_examples=12)
@given(st.floats(0.001, 0.1), st.floats(1.0, 300.0), st.floats(1.0, 300.0))
def test_one_side_is_tighter_than_two(alpha: float, v: float, tuned_at: float) -> None:
    """The one-sided normal mixture at alpha lies below the two-sided one; the gamma mixtures nest."""
    times = np.array([v])
    one = one_sided_normal_boundary(times, alpha=alpha, tuned_at=tuned_at)
    assert one <= normal_boundary(times, alpha=alpha, tuned_at=tuned_at)
    poisson = gamma_poisson_boundary(times, alpha=alpha, tuned_at=tuned_at)
    exponential = gamma_exponential_boundary(times, alpha=alpha, tuned_at=tuned_at)
    assert poisson <= exponential * (1.0 + 1e-9)


def test_the_msprt_is_the_published_one() -> None:
    """Ratios, always valid p-values by the running least, and bounds."""
    told = json.loads(shared("gold", "ab", "ab_s55.json").read_text(encoding="utf-8"))
    case = told["results"]["msprt_paired_known_variance"]
    with np.load(shared("gold", "ab", "ab_s55.npz")) as arrays:
        pairs = arrays["y_treatment"][: case["n"]] - arrays["y_control"][: case["n"]]
    for mixing, rows in case["at"].items():
        found = msprt(pairs, variance=case["sigma2"], mixing_variance=float(mixing))
        for time, expected in rows.items():
            at = int(time) - 1
            assert found.ratio[at] == pytest.approx(expected["lambda_"], abs=1e-9)
            assert found.p_value[at] == pytest.approx(expected["p_always_valid"], abs=1e-9)
            bounds = [found.sequence.lower[at], found.sequence.upper[at]]
            assert bounds == pytest.approx(expected["ci95"], abs=1e-9)


def test_the_msprt_rarely_errs_under_peeking() -> None:
    """p-values never rise, and fall to alpha in at most that share of runs."""
    generator, runs = np.random.default_rng(87), 400
    least = []
    for _ in range(runs):
        found = msprt(generator.normal(size=500), variance=1.0, mixing_variance=0.05)
        assert (np.diff(found.p_value) <= 0.0).all()
        least.append(found.p_value[-1])
    assert np.mean(np.array(least) <= 0.05) <= allowed(0.05, runs)


@pytest.mark.parametrize(
    ("call", "field"),
    [
        pytest.param(lambda: bernstein_sequence([0.5, 1.1]), "x", id="above one"),
        pytest.param(lambda: betting_sequence([0.5, math.nan]), "x", id="nan"),
        pytest.param(lambda: hoeffding_sequence([]), "x", id="empty"),
        pytest.param(lambda: betting_sequence([[0.5], [0.5]]), "x", id="two sequences"),
        pytest.param(lambda: hedged_sequence([[0.5], [0.5]]), "x", id="two sequences, grid"),
        pytest.param(lambda: betting_sequence([0.5, 0.5], at=[2, 1]), "at", id="falling times"),
        pytest.param(lambda: betting_sequence([0.5, 0.5], at=[3]), "at", id="beyond the end"),
        pytest.param(lambda: betting_sequence([0.5, 0.5], at=[0.5]), "at", id="half a time"),
        pytest.param(lambda: bernstein_sequence([0.5], alpha=1.0), "alpha", id="alpha"),
        pytest.param(lambda: bernoulli_sequence([0.0, 0.5]), "x", id="no rate"),
        pytest.param(lambda: bernoulli_bounds(5, 4), "successes", id="too many"),
        pytest.param(lambda: asymptotic_sequence([0.5, math.inf]), "x", id="infinite"),
        pytest.param(lambda: normal_boundary([-1.0], alpha=0.05, tuned_at=1.0), "v", id="negative time"),
        pytest.param(lambda: msprt([], variance=1.0, mixing_variance=1.0), "differences", id="no pairs"),
        pytest.param(lambda: msprt([1.0], variance=0.0, mixing_variance=1.0), "variance", id="no variance"),
    ],
)
def test_impossible_input_is_refused(call: Callable[[], object], field: str) -> None:
    """The error names the field and quotes no observation."""
    with pytest.raises(EvaluationError, match="expected") as caught:
        call()
    assert caught.value.facts["field"] == field
    assert "1.1" not in str(caught.value)
