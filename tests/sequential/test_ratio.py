"""The sample-ratio test finds lost rows at any look and accuses honest plans rarely."""

import json
import math
from typing import Any

import attrs
import numpy as np
import pytest

from agentic.errors import EvaluationError
from agentic.experiments import SampleRatioTest, multinomial_e_value
from peeking import allowed


def test_honest_ramps_are_rarely_accused_under_200_peeks() -> None:
    """Three arms whose planned shares change; at an alpha of 5 % to have something to count."""
    runs, generator = 150, np.random.default_rng(71)
    skewed = 0
    for _ in range(runs):
        test = SampleRatioTest(alpha=0.05)
        for share in np.repeat([0.01, 0.05, 0.1, 0.25, 0.4], 40):
            plan = (1.0 - 2.0 * share, share, share)
            test = test.observe(counts=generator.multinomial(60, plan).tolist(), shares=plan)
        skewed += test.skewed
    assert skewed / runs <= allowed(0.05, runs)


def test_lost_rows_are_found() -> None:
    """One treated row in ten is lost: shown at 0.001 within 20,000 rows, during a ramp."""
    generator = np.random.default_rng(72)
    test = SampleRatioTest()
    for share in np.repeat([0.1, 0.25, 0.5], 10):
        treated = generator.binomial(int(generator.binomial(700, share)), 0.9)
        test = test.observe(counts=(700 - treated, treated), shares=(1.0 - share, share))
    assert test.skewed
    assert test.peak >= test.e_value > 1000.0


@pytest.mark.parametrize("share", [0.5, 0.03])
def test_the_average_e_value_of_one_batch_is_one(share: float) -> None:
    """Over all counts of 30 rows, for both mixtures: no simulation."""
    tilted = mixed = 0.0
    for treated in range(31):
        chance = math.comb(30, treated) * share**treated * (1.0 - share) ** (30 - treated)
        counts, shares = (30 - treated, treated), (1.0 - share, share)
        tilted += chance * SampleRatioTest().observe(counts=counts, shares=shares).e_value
        mixed += chance * multinomial_e_value(counts, shares, concentration=20.0)
    assert tilted == pytest.approx(1.0, abs=1e-12)
    assert mixed == pytest.approx(1.0, abs=1e-12)


def test_the_multinomial_mixture_is_its_predictions_multiplied() -> None:
    """Row by row, the chance of the arm under the Dirichlet posterior over the planned one."""
    shares, concentration = (0.5, 0.3, 0.2), 4.0
    counts, product = np.zeros(3), 1.0
    for arm in (0, 2, 2, 1, 2, 0, 2):
        predicted = (concentration * shares[arm] + counts[arm]) / (concentration + counts.sum())
        product *= predicted / shares[arm]
        counts[arm] += 1
    assert multinomial_e_value(counts.tolist(), shares, concentration=concentration) == pytest.approx(product)


def test_shards_merge_and_json_brings_it_back() -> None:
    """Counts and evidence are sums."""
    one = SampleRatioTest().observe(counts=(500, 300), shares=(0.5, 0.5))
    two = SampleRatioTest().observe(counts=(90, 10), shares=(0.9, 0.1))
    merged = one.merged(two)
    assert merged.counts == (590.0, 310.0)
    assert merged.planned == pytest.approx((490.0, 410.0))
    assert merged.e_value == pytest.approx(two.merged(one).e_value)
    assert SampleRatioTest().merged(one) == one
    assert one.merged(SampleRatioTest()) == one
    again = SampleRatioTest(**json.loads(json.dumps(attrs.asdict(merged))))
    assert again == merged
    assert json.loads(json.dumps(merged.facts, allow_nan=False))["skewed"] is True
    assert SampleRatioTest().e_value == 1.0


@pytest.mark.parametrize(
    ("batch", "field"),
    [
        pytest.param({"counts": (1, 2), "shares": (0.5, 0.6)}, "shares", id="more than all"),
        pytest.param({"counts": (1, 2), "shares": (1.0, 0.0)}, "shares", id="an arm without share"),
        pytest.param({"counts": (1, 2), "shares": (0.5, 0.25, 0.25)}, "shares", id="other arms"),
        pytest.param({"counts": (1, 2.5), "shares": (0.5, 0.5)}, "counts", id="half a row"),
        pytest.param({"counts": (1,), "shares": (1.0,)}, "counts", id="one arm"),
        pytest.param({"counts": (1, 2, 3), "shares": (0.4, 0.3, 0.3)}, "counts", id="an arm more"),
    ],
)
def test_an_impossible_batch_is_refused(batch: dict[str, Any], field: str) -> None:
    """The error names what is wrong."""
    with pytest.raises(EvaluationError, match="expected") as caught:
        SampleRatioTest().observe(counts=(5, 5), shares=(0.5, 0.5)).observe(**batch)
    assert caught.value.facts["field"] == field


def test_other_questions_do_not_merge() -> None:
    """Neither another alpha nor other arms."""
    one = SampleRatioTest().observe(counts=(5, 5), shares=(0.5, 0.5))
    three = SampleRatioTest().observe(counts=(5, 5, 5), shares=(0.4, 0.3, 0.3))
    for other in (three, SampleRatioTest(alpha=0.05)):
        with pytest.raises(EvaluationError, match="like with like"):
            one.merged(other)
