"""Every comparison against SciPy's and statsmodels' answers, for data they have seen."""

import json
from typing import Any

import numpy as np
import pytest

from agentic import experiments
from agentic.experiments import (
    Before,
    Difference,
    MeanBaseline,
    Proportion,
    Ratio,
    RatioBaseline,
    ancova,
    benjamini_hochberg,
    benjamini_yekutieli,
    bonferroni,
    cuped,
    difference,
    holm,
    lin,
    power,
    proportion_difference,
    ratio_difference,
    robust_ancova,
    sample_ratio,
    sample_size,
)
from shared_data import shared


@pytest.fixture(scope="module")
def answers() -> dict[str, Any]:
    text = shared("gold", "ab", "ab_s55.json").read_text(encoding="utf-8")
    return dict(json.loads(text)["results"])


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    with np.load(shared("gold", "ab", "ab_s55.npz")) as found:
        return dict(found)


@pytest.fixture(scope="module")
def before(arrays: dict[str, np.ndarray]) -> tuple[Before, Before]:
    return (
        Before(arrays["y_treatment"], arrays["pre_treatment"]),
        Before(arrays["y_control"], arrays["pre_control"]),
    )


def close(value: float) -> Any:
    return pytest.approx(value, rel=0.0, abs=1e-9)


def p(value: float) -> Any:
    return pytest.approx(value, rel=1e-8, abs=0.0)


def test_welch(answers: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    """Difference, error, degrees, bounds and p-value; the lift by Fieller and by the delta method."""
    expected = answers["welch"]
    found = difference(arrays["y_treatment"], arrays["y_control"])
    assert found.value == close(expected["diff"])
    assert found.standard_error == close(expected["se"])
    assert found.statistic == close(expected["t"])
    assert found.degrees == pytest.approx(expected["df"], rel=1e-12)
    assert [found.low, found.high] == close(expected["ci95"])
    assert found.p_value == p(expected["p"])
    lift, expected = found.lift, answers["relative_lift_means"]
    assert lift.value == close(expected["lift"])
    assert lift.standard_error == close(expected["delta_se"])
    assert [lift.delta_low, lift.delta_high] == close(expected["delta_ci95"])
    assert [lift.low, lift.high] == close(expected["fieller_ci95"])


def test_cuped(answers: dict[str, Any], before: tuple[Before, Before]) -> None:
    """Slope, difference, error, bounds, p-value and the variance that it takes away."""
    expected = answers["cuped_pooled_theta"]
    found = cuped(*before)
    assert found.slopes == close((expected["theta"],))
    assert found.value == close(expected["diff"])
    assert found.standard_error == close(expected["se"])
    assert found.statistic == close(expected["t"])
    assert [found.low, found.high] == close(expected["ci95"])
    assert found.p_value == p(expected["p"])
    assert found.variance_reduction == close(expected["variance_reduction"])


def test_regressions(answers: dict[str, Any], before: tuple[Before, Before]) -> None:
    """ANCOVA with either error, and Lin's interacted regression."""
    expected = answers["ancova_ols"]
    plain, robust, interacted = ancova(*before), robust_ancova(*before), lin(*before)
    assert plain.slopes == close((answers["ancova_theta_within"],))
    assert plain.value == robust.value == close(expected["effect"])
    assert plain.standard_error == close(expected["se"])
    assert plain.p_value == p(expected["p"])
    assert robust.standard_error == close(expected["se_hc1"])
    assert interacted.value == close(answers["lin_interacted_hc2"]["effect"])
    assert interacted.standard_error == close(answers["lin_interacted_hc2"]["se"])


def test_ratios(answers: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    """A ratio of sums by the delta method, clustered by subject, and its lift."""
    expected = answers["ratio_delta"]
    found = ratio_difference(
        Ratio(arrays["num_treatment"], arrays["den_treatment"]),
        Ratio(arrays["num_control"], arrays["den_control"]),
    )
    assert found.treatment.value == close(expected["ratio_t"])
    assert found.control.value == close(expected["ratio_c"])
    assert found.treatment.standard_error**2 == pytest.approx(expected["var_t"], rel=1e-9)
    assert found.control.standard_error**2 == pytest.approx(expected["var_c"], rel=1e-9)
    assert found.value == close(expected["diff"])
    assert found.standard_error == close(expected["se"])
    assert found.statistic == close(expected["z"])
    assert [found.low, found.high] == close(expected["ci95"])
    assert found.p_value == p(expected["p"])
    assert found.lift.value == close(expected["rel_lift"])
    assert found.lift.standard_error == close(expected["rel_lift_se"])


def test_proportions(answers: dict[str, Any]) -> None:
    """The pooled z-test, five intervals and Fisher's exact test."""
    expected = answers["proportions"]
    treatment, control = (Proportion(*one) for one in zip(expected["x"], expected["n"], strict=True))
    found = proportion_difference(treatment, control)
    assert found.p_value == p(expected["p_pooled"])
    assert found.statistic == close(expected["z_pooled"])
    assert (found.low, found.high) == close(tuple(expected["newcombe_ci95"]))
    for name in ("newcombe", "wald", "agresti_caffo"):
        assert getattr(experiments, name)(treatment, control) == close(tuple(expected[f"{name}_ci95"]))
    for name in ("wilson", "clopper_pearson"):
        assert getattr(experiments, name)(treatment) == close(tuple(expected[f"{name}_t"]))
    assert experiments.fisher_exact(treatment, control) == p(expected["fisher_p"])


def test_sample_ratios(answers: dict[str, Any]) -> None:
    """Statistic, p-value and verdict of each case."""
    for case in answers["srm"]:
        found = sample_ratio(case["observed"], case["ratio"])
        assert found.chi_square == close(case["chi2"])
        assert found.p_value == p(case["p"])
        assert found.mismatch is case["srm_at_0_001"]


def test_adjusted_p_values(answers: dict[str, Any]) -> None:
    """Bonferroni, Holm, Benjamini-Hochberg and Benjamini-Yekutieli."""
    expected = answers["multitest"]
    for name, adjust in (
        ("bonferroni", bonferroni),
        ("holm", holm),
        ("fdr_bh", benjamini_hochberg),
        ("fdr_by", benjamini_yekutieli),
    ):
        assert adjust(expected["pvalues"]) == pytest.approx(expected[name], rel=1e-12)


def test_power(answers: dict[str, Any]) -> None:
    """The t-test's and the normal one's size, and the t-test's power."""
    expected = answers["power"]
    mean, ratio = MeanBaseline(0.0, 1.0), RatioBaseline(0.0, 1.0)
    assert sample_size(mean, 0.1).exact == pytest.approx(expected["ttest_n_per_arm_d0_1_a05_p80"], abs=1e-4)
    assert sample_size(ratio, 0.1).exact == pytest.approx(expected["normal_n_per_arm_d0_1_a05_p80"], abs=1e-4)
    found = power(mean, 0.1, treatment=1000, control=1000)
    assert found == pytest.approx(expected["ttest_power_d0_1_n1000"], abs=1e-9)


def test_a_difference_reads_as_a_sentence(answers: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    """With both values, the lift, the bounds, the p-value and what is proven."""
    found = difference(arrays["y_treatment"], arrays["y_control"])
    assert isinstance(found, Difference)
    assert str(found) == (
        "3.38202 against 3.25461: +0.127414, +3.9% (95% interval -0.00939048 to +0.264219, p = 0.0679,"
        " Welch): no difference proven"
    )
