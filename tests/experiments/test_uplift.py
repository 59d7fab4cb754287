"""Uplift by segment and the Qini curve: against closed forms, hand-computed cases and simulations."""

from __future__ import annotations

import json
import math
from datetime import timedelta
from xml.etree import ElementTree as ET

import attrs
import numpy as np
import pytest

from agentic import NO_ACTION, Action, Agent
from agentic.errors import EvaluationError
from agentic.experiments import (
    Contrast,
    benjamini_hochberg,
    by_arm,
    difference,
    predicted_uplift,
    qini,
    qini_plot,
    uplift,
)
from agentic.features import Category, Flag, Number
from agentic.policies import Fixed
from agentic.rewards import Goals
from agentic.testing import FakeClock


def stepped(seed: int, n: int, *, share: float = 0.4, effect: float = 2.0, treated: float = 0.5) -> tuple:
    """Subjects of whom a share gains by treatment, and the others nothing."""
    dice = np.random.default_rng(seed)
    gains = dice.random(n) < share
    given = dice.random(n) < treated
    return gains, given, dice.normal(5.0, 1.0, n) + effect * gains * given


def test_a_curve_worked_out_by_hand() -> None:
    """Four scores, two treated and two not: gains are shares times differences of means so far."""
    found = qini([4, 3, 2, 1], np.array([True, False, True, False]), [5.0, 1.0, 3.0, 1.0])
    assert found.share.tolist() == [0.0, 0.25, 0.5, 0.75, 1.0]
    # One treated alone tells nothing: straight from 0 to 0.5 (5 - 1); then 0.75 (4 - 1), then 1 (4 - 1).
    assert found.gain == pytest.approx([0.0, 1.0, 2.0, 2.25, 3.0])
    area = 0.25 * (0.5 + 1.5 + 2.125 + 2.625)
    assert found.coefficient == pytest.approx(area - 1.5)
    assert found.normalised == pytest.approx((area - 1.5) / 1.5)
    assert found.whole.value == 3.0


def test_perfect_ranking_of_a_step_has_a_closed_form() -> None:
    """Effect times share times (1 - share) over 2, and 1 - share normalised, to five standard errors."""
    gains, given, reward = stepped(1, 40_000, treated=0.8)
    found = qini(gains.astype(float), given, reward)
    assert found.coefficient == pytest.approx(2.0 * 0.4 * 0.6 / 2.0, abs=5.0 * found.standard_error)
    width = (found.normalised_high - found.normalised_low) / 1.96
    assert found.normalised == pytest.approx(0.6, abs=5.0 * width / 2.0)
    assert found.verdict == "better than chance"
    assert qini(-gains.astype(float), given, reward).verdict == "worse than chance"


def test_bounds_hold_the_truth_whatever_the_sizes_of_the_groups() -> None:
    """For a noisy score of a step, and for one that says nothing; to four binomial errors each.

    The truth for the noisy score is integrated over a million subjects whose effects are known.
    """
    dice = np.random.default_rng(2)

    def score(gains: np.ndarray) -> np.ndarray:
        return gains + dice.normal(0.0, 1.0, len(gains))

    gains = dice.random(1_000_000) < 0.4
    order = np.argsort(-score(gains))
    curve = np.cumsum(2.0 * gains[order]) / len(gains)
    truth = float(curve.mean() - curve[-1] / 2.0)
    runs, held, null = 500, 0, 0
    for run in range(runs):
        gains, given, reward = stepped(10 + run, 600, treated=0.75)
        found = qini(score(gains), given, reward)
        held += found.low <= truth <= found.high
        null += qini(dice.random(600), given, reward).p_value < 0.05
    slack = 4.0 * math.sqrt(0.05 * 0.95 / runs)
    assert abs(held / runs - 0.95) < slack
    assert abs(null / runs - 0.05) < slack


def test_the_error_is_that_of_drawing_the_subjects_again() -> None:
    """Of 400 resamples; the bootstrap's own error of a spread is one part in the root of 800."""
    dice = np.random.default_rng(3)
    gains, given, reward = stepped(4, 3000, treated=0.3)
    score = gains + dice.normal(0.0, 0.7, 3000)
    found = qini(score, given, reward)
    values = []
    for _ in range(400):
        rows = dice.integers(0, 3000, 3000)
        values.append(qini(score[rows], given[rows], reward[rows]).coefficient)
    assert found.standard_error == pytest.approx(np.std(values), rel=4.0 / math.sqrt(800) + 0.02)


def test_a_constant_score_says_nothing() -> None:
    """Everybody comes in at once, so the curve is the straight line."""
    _, given, reward = stepped(5, 200)
    found = qini(np.ones(200), given, reward)
    assert (found.coefficient, found.p_value) == (0.0, 1.0)
    assert found.verdict == "not proven better than chance"
    assert found.gain.tolist() == [0.0, pytest.approx(found.whole.value)]


def test_neither_order_nor_scale_matter() -> None:
    """Rows may be shuffled, scores stretched, and ties come in together."""
    gains, given, reward = stepped(6, 500)
    score = np.round(gains + np.random.default_rng(7).normal(size=500), 1)
    rows = np.random.default_rng(8).permutation(500)
    one, other = qini(score, given, reward), qini(np.exp(score[rows]), given[rows], reward[rows])
    assert one.coefficient == pytest.approx(other.coefficient, rel=1e-9)
    assert one.standard_error == pytest.approx(other.standard_error, rel=1e-9)
    moved = qini(score, given, reward + 1000.0)
    assert moved.coefficient == pytest.approx(one.coefficient, rel=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(([1, 2, 3], [1, 0, 1], [1, 2, 3]), "treated is", id="not-bool"),
        pytest.param(([1, 2], [True, False, True], [1, 2]), "treated is 3", id="lengths"),
        pytest.param(([1, math.nan, 3], [True, False, True], [1, 2, 3]), "score at row 1 is nan", id="nan"),
        pytest.param(([1, 2, 3], [True, True, True], [1, 2, 3]), "control is", id="no-control"),
    ],
)
def test_bad_input_is_named(arguments: tuple, message: str) -> None:
    """By field, with what to do."""
    with pytest.raises(EvaluationError, match=message):
        qini(*arguments)


def test_the_picture_is_sound_xml_and_says_what_it_shows() -> None:
    """It has a title, a description, a band and a line, and no more than 200 points."""
    gains, given, reward = stepped(9, 3000)
    found = qini(gains + np.random.default_rng(1).normal(size=3000), given, reward)
    assert len(found.share) <= 200
    root = ET.fromstring(qini_plot(found, title="Who & where"))
    space = "{http://www.w3.org/2000/svg}"
    assert root.find(f"{space}title").text == "Who & where"
    assert "Qini coefficient" in root.find(f"{space}desc").text
    assert root.find(f"{space}polygon") is not None
    json.dumps(found.facts)


@pytest.fixture(scope="module")
def contrast() -> Contrast:
    """Messages help the young by 30 points, the old not at all; four in ten are held out."""
    clock = FakeClock()
    agent = Agent(
        "uplift",
        [Action("sms", cost=0.1)],
        features=[Category("age", ["young", "old"]), Number("visits", low=0, high=10), Flag("loyal")],
        policy=Fixed("sms"),
        goals=Goals({"purchase": 1.0}, window=timedelta(days=1)),
        holdout=0.4,
        clock=clock,
    )
    dice, n = np.random.default_rng(11), 4000
    age, visits = np.where(dice.random(n) < 0.5, "young", "old"), dice.integers(0, 11, n).astype(float)
    names = [f"s{i}" for i in range(n)]
    for _ in range(2):
        batch = agent.decide_many(names, {"age": age.tolist(), "visits": visits, "loyal": visits > 5})
        chance = 0.2 + 0.02 * visits + 0.3 * (batch.action_ids != NO_ACTION.id) * (age == "young")
        bought = dice.random(n) < chance
        agent.record_many([name for name, one in zip(batch.ids, bought, strict=True) if one], "purchase")
        clock.advance(timedelta(days=2))
        agent.learn()
        age = np.full(n, "old")  # what changes later moves nobody into another segment
    return by_arm(agent)


def test_segments_are_those_of_the_first_decision(contrast: Contrast) -> None:
    """The young gain what is true of them within five errors, the old lose what messages cost."""
    found = uplift(contrast, "age")
    young, old = found.segments
    assert (young.value, old.value) == ("young", "old")
    assert young.share == pytest.approx(0.5, abs=5 * 0.5 / math.sqrt(4000))
    assert young.difference is not None
    assert old.difference is not None
    # Two decisions: 30 points once, for the second time nobody is young; less two messages of 10.
    assert young.difference.value == pytest.approx(0.1, abs=5 * young.difference.standard_error)
    assert old.difference.value == pytest.approx(-0.2, abs=5 * old.difference.standard_error)
    assert (young.verdict, old.verdict) == ("higher than control", "lower than control")
    assert found.p_alike < 1e-6
    assert young.treated + young.control + old.treated + old.control == 4000
    assert "young" in str(found)
    json.dumps(found.facts)


def test_segments_are_corrected_for(contrast: Contrast) -> None:
    """Holm by default; every corrected p-value is at least its own, Benjamini's at most Holm's."""
    by_holm = uplift(contrast, "visits").segments
    by_rate = uplift(contrast, "visits", correct=benjamini_hochberg).segments
    assert len(by_holm) == 4
    for one, other in zip(by_holm, by_rate, strict=True):
        assert one.difference is not None
        assert one.difference.p_value <= other.p_value <= one.p_value
    assert sum(one.share for one in by_holm) == pytest.approx(1.0)


def test_numbers_are_cut_where_one_says(contrast: Contrast) -> None:
    """Segments begin at the edges; the whole is the plain difference."""
    found = uplift(contrast, "visits", edges=[5.0])
    assert [one.value for one in found.segments] == ["below 5", "from 5"]
    net = [one.reward - one.cost for one in (contrast.treated, contrast.plain)]
    assert found.whole == difference(*net)
    with pytest.raises(EvaluationError, match="ascending"):
        uplift(contrast, "visits", edges=[5.0, 5.0])
    with pytest.raises(EvaluationError, match="leave them out"):
        uplift(contrast, "age", edges=[1.0])
    loyal = uplift(contrast, "loyal").segments
    assert [one.value for one in loyal] == ["0", "1"]
    with pytest.raises(EvaluationError, match="by is 'colour'"):
        uplift(contrast, "colour")


def test_a_segment_of_few_is_no_error(contrast: Contrast) -> None:
    """It has no difference, proves nothing, and takes no part in the correction."""
    found = uplift(contrast, "visits", edges=[-1.0])
    assert [one.value for one in found.segments] == ["from -1"]
    assert found.p_alike == 1.0


def test_predicted_uplift_ranks_subjects_it_was_not_taught_by(contrast: Contrast) -> None:
    """It finds the young: half of all, who gain 0.1 where the others lose 0.2."""
    found = qini(*predicted_uplift(contrast))
    assert found.verdict == "better than chance"
    truth = 0.3 * 0.5 * 0.5 / 2.0
    assert found.coefficient == pytest.approx(truth, abs=5 * found.standard_error)


def test_rewards_that_are_all_the_same_say_nothing() -> None:
    """There is no gain to share out, and no error to measure."""
    found = qini([4, 3, 2, 1], np.array([True, False, True, False]), [1.0, 1.0, 1.0, 1.0])
    assert math.isnan(found.normalised)
    assert (found.coefficient, found.p_value) == (0.0, 1.0)
    assert "normalised" not in str(found)


def test_segments_of_groups_of_the_wrong_size_are_not_to_be_read(contrast: Contrast) -> None:
    """It stands in the first line."""
    off = attrs.evolve(contrast, shares=(0.9, 0.1))
    assert "do not read" in str(uplift(off, "age"))
