"""Input that nobody should give to a comparison, and groups too small for what is asked of them."""

from __future__ import annotations

import numpy as np
import pytest

from agentic.errors import EvaluationError
from agentic.experiments import (
    Before,
    GuardrailMetric,
    Proportion,
    cuped,
    difference,
    exact_sample_ratio,
    fisher_exact,
    guardrail_report,
    lin,
    proportion_difference,
    sample_ratio,
)

DICE = np.random.default_rng(6)


def _group(n: int, scale: float = 1.0) -> Before:
    past = DICE.normal(size=n)
    return Before(past + DICE.normal(size=n), past * scale)


def test_counts_of_narrow_integers_are_as_good_as_others() -> None:
    narrow = Proportion(np.uint8(200), np.uint8(250)), Proportion(np.uint8(150), np.uint8(250))
    wide = Proportion(200, 250), Proportion(150, 250)
    assert proportion_difference(*narrow) == proportion_difference(*wide)
    assert fisher_exact(*narrow) == fisher_exact(*wide)
    large = Proportion(np.int32(2_000_000_000), np.int32(2_100_000_000))
    assert proportion_difference(large, large).p_value == 1.0


def test_slopes_of_their_own_need_more_subjects_than_coefficients() -> None:
    """Through two values goes a line that leaves no spread: the group would seem known exactly."""
    for small, field in (((2, 60), "treatment"), ((60, 2), "control")):
        with pytest.raises(EvaluationError, match=f"{field} is 2, expected more than 2"):
            lin(_group(small[0]), _group(small[1]))
    assert np.isfinite(lin(_group(3), _group(60)).standard_error)


def test_covariates_of_next_to_no_spread_are_refused() -> None:
    with pytest.raises(EvaluationError, match=r"column 0 is 'nearly the same in all rows'.*smaller unit"):
        cuped(_group(20, 1e-200), _group(20, 1e-200))
    assert cuped(_group(20, 1e-90), _group(20, 1e-90)).variance_reduction > 0.0


def test_shares_in_any_unit_and_in_words() -> None:
    for check in (sample_ratio, exact_sample_ratio):
        assert check([5, 5, 5], [1e308] * 3).p_value == 1.0
        shares = np.array([2.0, 2.0])
        check([3, 4], shares)
        assert shares.tolist() == [2.0, 2.0]
        with pytest.raises(EvaluationError, match="shares is 'str"):
            check([1, 2], ["a", "b"])  # type: ignore[list-item]


def test_guardrail_metrics_may_come_one_by_one() -> None:
    found = difference(DICE.normal(size=30), DICE.normal(size=30))
    metrics = [GuardrailMetric(name, found, 1.0) for name in ("a", "b")]
    assert guardrail_report(iter(metrics)) == guardrail_report(metrics)  # type: ignore[arg-type]
