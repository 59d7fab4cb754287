"""Every estimator and interval against the answers of Open Bandit Pipeline and VowpalWabbit."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agentic.evaluation import (
    BIPW,
    DM,
    DR,
    GRID,
    IIPS,
    IPW,
    RIPS,
    SIPS,
    SNDR,
    SNIIPS,
    SNIPW,
    SNRIPS,
    SNSIPS,
    STRENGTHS,
    CascadeDR,
    CressieRead,
    DRos,
    Estimator,
    Interval,
    LeastError,
    Logged,
    LoggedSlates,
    Normal,
    Replay,
    Rows,
    SlateEstimator,
    SlateTarget,
    Slope,
    SubgaussianDR,
    SubgaussianIPW,
    SwitchDR,
    Tuned,
    estimate,
    estimate_slates,
    judge,
    overlap,
    standard_error,
    tuned,
    weighed,
)
from shared_data import shared

ESTIMATORS: dict[str, Estimator] = {
    "ipw": IPW(),
    "ipw_clip10": IPW(clip=10.0),
    "ipw_clip2": IPW(clip=2.0),
    "snipw": SNIPW(),
    "dm": DM(),
    "dr": DR(),
    "dr_clip2": DR(clip=2.0),
    "sndr": SNDR(),
    "switch_dr_2": SwitchDR(2.0),
    "switch_dr_10": SwitchDR(10.0),
    "dros_1": DRos(1.0),
    "dros_100": DRos(100.0),
    "sg_ipw_0.1": SubgaussianIPW(0.1),
    "sg_ipw_0.5": SubgaussianIPW(0.5),
    "sg_dr_0.1": SubgaussianDR(0.1),
    "sg_dr_0.5": SubgaussianDR(0.5),
}
CASES = {
    "obd_men_bts_from_random": "ope_obd",
    "obd_men_random_from_bts": "ope_obd",
    "syn_bin_s12345": "ope_synthetic",
    "syn_bin_det_s12347": "ope_synthetic",
    "syn_bin_heavy_s12348": "ope_synthetic",
    "syn_cont_s12346": "ope_synthetic",
}
RATIOS = ("snipw", "sndr")
SLATES: dict[str, SlateEstimator] = {
    "sips": SIPS(),
    "iips": IIPS(),
    "rips": RIPS(),
    "snsips": SNSIPS(),
    "sniips": SNIIPS(),
    "snrips": SNRIPS(),
    "cascade_dr": CascadeDR(),
}
TUNED: dict[str, list[Estimator]] = {
    "ipw": [IPW(clip=clip) for clip in GRID],
    "dr": [DR(clip=clip) for clip in GRID],
    "switch_dr": [SwitchDR(threshold) for threshold in GRID],
    "dros": [DRos(shrinkage) for shrinkage in GRID],
    "sg_ipw": [SubgaussianIPW(strength) for strength in STRENGTHS],
    "sg_dr": [SubgaussianDR(strength) for strength in STRENGTHS],
}
PARAMETER = {
    "ipw": "clip",
    "dr": "clip",
    "switch_dr": "threshold",
    "dros": "shrinkage",
    "sg_ipw": "strength",
    "sg_dr": "strength",
}
CRITERIA = {"slope": Slope(), "mse": LeastError()}
SYNTHETIC = [case for case, folder in CASES.items() if folder == "ope_synthetic"]


def load(folder: str, case: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    answer = json.loads(shared("gold", folder, f"{case}.json").read_text(encoding="utf-8"))
    with np.load(shared("gold", folder, f"{case}.npz")) as arrays:
        return dict(arrays), answer


def logs(case: str) -> tuple[Logged, np.ndarray, np.ndarray, dict[str, np.ndarray], dict[str, Any]]:
    arrays, answer = load(CASES[case], case)
    logged = Logged(arrays["action"], arrays["reward"], probability=arrays["pscore"])
    if "q_hat_pos" in arrays:
        return logged, arrays["pi_e"].T[arrays["position"]], arrays["q_hat_pos"], arrays, answer
    return logged, arrays["pi_e"], arrays["q_hat"], arrays, answer


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("case", CASES)
def test_values_and_normal_intervals_are_those_of_open_bandit_pipeline(case: str, name: str) -> None:
    """A value agrees to 1e-10, a normal interval, per-row spread and delta-method error to 1e-9."""
    logged, target, q, _, answer = logs(case)
    expected = answer["estimates"][name]
    found = estimate(logged, target, estimator=ESTIMATORS[name], q=q)
    terms = ESTIMATORS[name].contribute(overlap(logged, target, q=q)).term
    assert found.value == pytest.approx(expected["value"], rel=0.0, abs=1e-10)
    assert terms.mean() == pytest.approx(expected["value"], rel=0.0, abs=1e-10)
    assert terms.std(ddof=1) == pytest.approx(expected["round_reward_std_ddof1"], rel=0.0, abs=1e-9)
    if name in RATIOS:
        assert found.standard_error == pytest.approx(expected["delta_method_se"], rel=0.0, abs=1e-9)
    else:
        assert [found.low, found.high] == pytest.approx(expected["normal_ci95"], rel=0.0, abs=1e-9)


@pytest.mark.parametrize("case", CASES)
def test_diagnostics_are_those_of_the_reference(case: str) -> None:
    """Effective rows, mean weight and largest weight agree with an independent computation."""
    logged, target, q, _, answer = logs(case)
    found, expected = estimate(logged, target, q=q).diagnostics, answer["diagnostics"]
    assert found.effective_rows == pytest.approx(expected["ess"], rel=1e-12)
    assert found.mean_weight == pytest.approx(expected["mean_w"], rel=1e-12)
    assert found.largest_weight == pytest.approx(expected["max_w"], rel=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_no_reference_estimate_is_left_out(case: str) -> None:
    """Every estimate of the reference has its estimator here."""
    _, _, _, _, answer = logs(case)
    assert set(answer["estimates"]) <= {*ESTIMATORS, "b_ipw", "replay"}
    criteria = {f"{name}_tuned_{how}" for name in TUNED for how in CRITERIA}
    assert set(answer.get("tuned", {})) <= criteria


@pytest.mark.parametrize("case", [case for case in CASES if case.startswith("obd")])
def test_segments_by_position_are_those_of_the_reference(case: str) -> None:
    """The rows of one position alone give its values and effective rows."""
    logged, target, _, arrays, answer = logs(case)
    for position, expected in answer["per_position"].items():
        rows = arrays["position"] == int(position)
        part = Logged(logged.action[rows], logged.reward[rows], probability=logged.probability[rows])
        for name in ("ipw", "snipw"):
            found = estimate(part, target[rows], estimator=ESTIMATORS[name])
            assert found.value == pytest.approx(expected[name], rel=0.0, abs=1e-10)
            assert found.diagnostics.effective_rows == pytest.approx(expected["ess"], rel=1e-12)


@pytest.mark.parametrize("case", SYNTHETIC)
def test_estimated_weights_give_the_balanced_estimate(case: str) -> None:
    """B-IPW over weights from a classifier is that of the reference, spread and all."""
    logged, _, _, arrays, answer = logs(case)
    expected = answer["estimates"]["b_ipw"]
    rows = weighed(arrays["estimated_importance_weights"], logged.reward)
    found = judge(rows, estimator=BIPW())
    assert found.value == pytest.approx(expected["value"], rel=0.0, abs=1e-10)
    spread = BIPW().contribute(rows).term.std(ddof=1)
    assert spread == pytest.approx(expected["round_reward_std_ddof1"], rel=0.0, abs=1e-9)


def test_replay_is_that_of_the_reference() -> None:
    """Matching rows of a one-hot target average to the replay value."""
    logged, target, _, _, answer = logs("syn_bin_det_s12347")
    found = estimate(logged, target, estimator=Replay()).value
    assert found == pytest.approx(answer["estimates"]["replay"]["value"], rel=0.0, abs=1e-10)


@pytest.mark.parametrize("how", CRITERIA)
@pytest.mark.parametrize("name", TUNED)
@pytest.mark.parametrize("case", SYNTHETIC)
def test_the_log_chooses_what_open_bandit_pipeline_chooses(case: str, name: str, how: str) -> None:
    """The chosen parameter is the same, and the value agrees to 1e-10."""
    logged, target, q, _, answer = logs(case)
    expected = answer["tuned"][f"{name}_tuned_{how}"]
    estimator = tuned(TUNED[name], by=CRITERIA[how])
    assert isinstance(estimator, Tuned)
    found = estimate(logged, target, estimator=estimator, q=q)
    best = math.inf if expected["best_lambda"] is None else expected["best_lambda"]
    assert getattr(found.estimator, PARAMETER[name]) == best
    assert found.value == pytest.approx(expected["value"], rel=0.0, abs=1e-10)


@pytest.mark.parametrize("shuffled", [False, True], ids=["as-stored", "shuffled"])
@pytest.mark.parametrize("name", SLATES)
def test_slate_values_are_those_of_open_bandit_pipeline(name: str, shuffled: bool) -> None:
    """A value agrees to 1e-10 in whatever order the rows come, and the bounds with the bootstrap."""
    arrays, answer = load("ope_slate", "slate_cascade_additive_s12345")
    order = np.random.default_rng(1).permutation(6000) if shuffled else np.arange(6000)
    logged = LoggedSlates(
        arrays["action"][order],
        arrays["reward"][order],
        slate=arrays["slate_id"][order],
        position=arrays["position"][order],
        joint=arrays["pscore"][order],
        item=arrays["pscore_item_position"][order],
        cascade=arrays["pscore_cascade"][order],
    )
    target = SlateTarget(
        joint=arrays["evaluation_policy_pscore"][order],
        item=arrays["evaluation_policy_pscore_item_position"][order],
        cascade=arrays["evaluation_policy_pscore_cascade"][order],
        choice=arrays["evaluation_policy_action_dist"].reshape(6000, 5)[order],
    )
    q = arrays["q_hat"].reshape(6000, 5)[order]
    expected = answer["estimates"][name]
    found = estimate_slates(logged, target, estimator=SLATES[name], q=q)
    assert found.value == pytest.approx(expected["value"], rel=0.0, abs=1e-10)
    assert found.diagnostics.verdict == "ok"
    assert found.n == answer["n_slates"]
    _, low, high = expected["obp_bootstrap_1000_seed12345"]
    # Both ends of a bootstrap of 1,000 move by up to 15 % of the width. Of ratios it holds the divisor fixed.
    if not name.startswith("sn"):
        assert abs(found.low - low) < 0.15 * (high - low)
        assert abs(found.high - high) < 0.15 * (high - low)
    else:
        assert found.high - found.low < 1.02 * (high - low)


@pytest.mark.parametrize("level", [0.95, 0.9])
@pytest.mark.parametrize("case", ["vw_eps_s11_n2000", "vw_softmax_s12_n5000"])
def test_cressie_read_bounds_are_those_of_vowpal_wabbit(case: str, level: float) -> None:
    """Bounds agree to 1e-8 with the largest weight known and unknown."""
    arrays, answer = load("ope_vw", case)
    logged = Logged(np.zeros(arrays["r"].size, dtype=np.int64), arrays["r"], probability=arrays["p_log"])
    expected = answer["intervals"]["0.05" if level == 0.95 else "0.1"]
    cap = answer["estimators"]["cressieread_wmax"]["wmax"]
    for interval, name in (
        (CressieRead(), "cressieread"),
        (CressieRead(weight_cap=cap), "cressieread_wmax"),
    ):
        found = estimate(
            logged,
            arrays["p_pred"],
            estimator=IPW(),
            interval=interval,
            level=level,
            reward_range=(0.0, 1.0),
        )
        assert [found.low, found.high] == pytest.approx(expected[name], rel=0.0, abs=1e-8)


@pytest.mark.parametrize("case", ["vw_eps_s11_n2000", "vw_softmax_s12_n5000"])
def test_cressie_read_bounds_agree_at_every_length_of_the_log(case: str) -> None:
    """The first 10, 50, ... rows give the reference's bounds, no click among them or many."""
    arrays, answer = load("ope_vw", case)
    for length, expected in answer["path_alpha0_05"].items():
        n = int(length)
        rows = Rows((arrays["p_pred"] / arrays["p_log"])[:n], arrays["r"][:n])
        found = CressieRead().bounds(
            rows, IPW().contribute(rows), standard_error=0.0, level=0.95, reward_range=(0.0, 1.0)
        )
        assert list(found) == pytest.approx(expected["cressieread"], rel=0.0, abs=1e-8)


@pytest.mark.parametrize("case", ["vw_eps_s11_n2000", "vw_softmax_s12_n5000"])
def test_normal_bounds_are_the_gaussian_ones_of_vowpal_wabbit(case: str) -> None:
    """At both levels and at every length of the log they agree to 1e-8."""
    arrays, answer = load("ope_vw", case)
    weight, n = arrays["p_pred"] / arrays["p_log"], arrays["r"].size
    wanted = [(0.95, int(length), one["gaussian"]) for length, one in answer["path_alpha0_05"].items()]
    wanted += [(1.0 - float(alpha), n, one["gaussian"]) for alpha, one in answer["intervals"].items()]
    for level, length, expected in wanted:
        found = IPW().contribute(Rows(weight[:length], arrays["r"][:length]))
        error = standard_error(found.influence, degrees=found.degrees)
        rows = Rows(weight[:length], arrays["r"][:length])
        bounds = Normal().bounds(rows, found, standard_error=error, level=level, reward_range=None)
        assert list(bounds) == pytest.approx(expected, rel=0.0, abs=1e-8)


@pytest.mark.parametrize("case", ["vw_eps_s11_n2000", "vw_softmax_s12_n5000"])
@pytest.mark.parametrize("interval", [Normal(), CressieRead()], ids=["gaussian", "cressieread"])
def test_bounds_of_a_sampled_log_are_those_of_vowpal_wabbit(case: str, interval: Interval) -> None:
    """Where every row was kept with a chance of 0.75 they agree to 1e-8."""
    arrays, answer = load("ope_vw", case)
    n = arrays["r"].size
    kept = np.full(n, 0.75)
    logged = Logged(np.zeros(n, dtype=np.int64), arrays["r"], probability=arrays["p_log"], kept=kept)
    expected = answer["p_drop_0_25_alpha0_05"]["gaussian" if interval == Normal() else "cressieread"]
    found = estimate(logged, arrays["p_pred"], estimator=IPW(), interval=interval, reward_range=(0.0, 1.0))
    assert found.value == pytest.approx(answer["estimators"]["ips"], rel=0.0, abs=1e-10)
    assert [found.low, found.high] == pytest.approx(expected, rel=0.0, abs=1e-8)


def test_dropped_rows_count_in_the_error_of_a_ratio() -> None:
    """Of rows that stand for two, a ratio's error is that of twice as many, half of them without weight."""
    dice = np.random.default_rng(3)
    n = 400
    weight, reward, q = dice.exponential(1.0, n), dice.random(n), dice.random(n)
    part = Rows(weight, reward, q, q, stands=np.full(n, 2.0))
    nothing = np.zeros(n)
    whole = Rows(*(np.concatenate([one, nothing]) for one in (2.0 * weight, reward, q, 2.0 * q)))
    for estimator in (SNIPW(), SNDR()):
        few, all_of_them = estimator.contribute(part), estimator.contribute(whole)
        assert few.value == pytest.approx(all_of_them.value)
        error = standard_error(all_of_them.influence, degrees=all_of_them.degrees)
        bounds = [
            Normal().bounds(rows, found, standard_error=error, level=0.95, reward_range=None)
            for rows, found in ((part, few), (whole, all_of_them))
        ]
        assert bounds[0] == pytest.approx(bounds[1])


def test_missing_reference_data_skip_the_test_and_name_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A checkout without reference data says which file a test would have needed."""
    monkeypatch.setenv("AGENTIC_SHARED", str(tmp_path))
    with pytest.raises(pytest.skip.Exception, match=r"needs gold/none\.json"):
        shared("gold", "none.json")
