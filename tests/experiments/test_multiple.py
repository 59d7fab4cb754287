"""Several tests at once: against closed testing, SciPy, and simulations of what they promise."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from scipy import stats

from agentic.errors import EvaluationError
from agentic.experiments import (
    Arm,
    GuardrailMetric,
    benjamini_hochberg,
    benjamini_yekutieli,
    bonferroni,
    difference,
    guardrail_report,
    hochberg,
    holm,
)
from agentic.experiments._difference import bounded

MANY = some.lists(some.floats(0.0, 1.0), min_size=1, max_size=6)


@given(MANY)
def test_holm_is_closed_testing_by_bonferroni(p: list[float]) -> None:
    """A hypothesis falls at the level at which every set with it falls."""
    for one, found in enumerate(holm(p).tolist()):
        worst = 0.0
        for size in range(1, len(p) + 1):
            for others in itertools.combinations(range(len(p)), size):
                if one in others:
                    worst = max(worst, min(1.0, size * min(p[other] for other in others)))
        assert found == pytest.approx(worst)


@given(MANY)
def test_false_discovery_rates_are_scipys(p: list[float]) -> None:
    """Benjamini and Hochberg's and Benjamini and Yekutieli's."""
    assert benjamini_hochberg(p) == pytest.approx(stats.false_discovery_control(p, method="bh"))
    assert benjamini_yekutieli(p) == pytest.approx(stats.false_discovery_control(p, method="by"))


@given(MANY)
def test_every_adjustment_keeps_order_and_only_raises(p: list[float]) -> None:
    """Bonferroni most, Holm less, Hochberg less still, the false discovery rate least."""
    adjusted = [adjust(p) for adjust in (bonferroni, holm, hochberg, benjamini_hochberg)]
    for more, less in itertools.pairwise(adjusted):
        assert (more >= less - 1e-12).all()
    for found in (*adjusted, benjamini_yekutieli(p)):
        assert (found >= np.array(p) - 1e-12).all()
        assert (found <= 1.0).all()
        assert (np.diff(found[np.argsort(p, kind="stable")]) >= -1e-12).all()


def test_hochberg_by_hand() -> None:
    """From the largest down: 0.04, then twice 0.03, held by 0.04, then three times 0.01."""
    assert hochberg([0.01, 0.04, 0.03]).tolist() == pytest.approx([0.03, 0.04, 0.04])


@pytest.mark.parametrize("bad", [[], [1.1], [-0.1], [math.nan], ["a"], [[0.1]]], ids=repr)
def test_what_is_no_p_value_is_refused(bad: list[float]) -> None:
    """By all of them."""
    for adjust in (bonferroni, holm, hochberg, benjamini_hochberg, benjamini_yekutieli):
        with pytest.raises(EvaluationError):
            adjust(bad)


def metric(name: str, value: float, **more: object) -> GuardrailMetric:
    """Measured with a standard error of 1."""
    found = bounded(Arm(value, 1.0, 9), Arm(0.0, 0.0, 9), level=0.95, degrees=math.inf, method="z")
    return GuardrailMetric(name, found, margin=3.0, **more)  # type: ignore[arg-type]


def test_a_verdict_for_each_metric_and_for_all() -> None:
    """Proven worse, proven not worse by the margin, or neither; higher is worse where it is said."""
    report = guardrail_report(
        [
            metric("opens", -5.0),
            metric("revenue", 2.0),
            metric("trust", -1.0),
            metric("unsubscribes", 6.0, worse="higher"),
            metric("complaints", -2.0, worse="higher"),
        ]
    )
    assert [one.verdict for one in report.metrics] == ["harm", "no harm", "doubt", "harm", "no harm"]
    assert report.verdict == "harm"
    assert guardrail_report([metric("a", 2.0), metric("b", -1.5)]).verdict == "doubt"
    assert guardrail_report([metric("a", 2.0), metric("b", 1.0)]).verdict == "no harm"
    told = str(report)
    assert told.startswith("guardrail metrics: harm\n  opens: harm (-5,")
    assert "unsubscribes: harm (+6," in told
    assert "higher is worse" in told


def test_worse_by_less_than_the_margin_is_no_harm() -> None:
    """Although it is proven to be worse: that is what the margin is for."""
    found = bounded(Arm(-1.0, 0.1, 9), Arm(0.0, 0.0, 9), level=0.95, degrees=math.inf, method="z")
    (one,) = guardrail_report([GuardrailMetric("opens", found, margin=3.0)]).metrics
    assert one.p_harm < 1e-9
    assert one.verdict == "no harm"


@pytest.mark.parametrize("effects", [(0.0,) * 6, (-3.0,) * 6, (0.0, -3.0) * 3], ids=["none", "all", "half"])
@pytest.mark.parametrize("shared", [0.0, 0.8], ids=["independent", "correlated"])
def test_one_wrong_verdict_among_all_is_rare(effects: tuple[float, ...], shared: float) -> None:
    """In at most alpha of 1,500 experiments and four binomial errors, at the effects where it is hardest."""
    dice, runs, wrong = np.random.default_rng(5), 1500, 0
    for _ in range(runs):
        noise = shared * dice.normal() + math.sqrt(1 - shared**2) * dice.normal(size=len(effects))
        report = guardrail_report(
            [metric(str(n), effect + off) for n, (effect, off) in enumerate(zip(effects, noise, strict=True))]
        )
        false = ("no harm" if effect < 0 else "harm" for effect in effects)
        wrong += any(one.verdict == bad for one, bad in zip(report.metrics, false, strict=True))
    assert wrong / runs < 0.05 + 4 * math.sqrt(0.05 * 0.95 / runs)


def test_what_cannot_be_judged_is_refused() -> None:
    """No metric, two of one name, a margin of nothing, a direction that is none, an alpha that is none."""
    found = difference([1.0, 2.0, 4.0], [1.0, 3.0])
    for margin in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(EvaluationError, match="margin"):
            GuardrailMetric("a", found, margin=margin)
    with pytest.raises(EvaluationError, match="worse"):
        GuardrailMetric("a", found, margin=1.0, worse="less")  # type: ignore[arg-type]
    with pytest.raises(EvaluationError, match="one guardrail metric"):
        guardrail_report([])
    one = GuardrailMetric("a", found, margin=1.0)
    with pytest.raises(EvaluationError, match="rename"):
        guardrail_report([one, one])
    with pytest.raises(EvaluationError, match="alpha"):
        guardrail_report([one], alpha=0.0)
