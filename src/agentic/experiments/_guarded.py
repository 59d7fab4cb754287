"""Did anything get worse that must not: several guardrail metrics, judged together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, Literal

import attrs
import numpy as np

from agentic._offpolicy import reject
from agentic.experiments._difference import Difference
from agentic.experiments._multiple import stepped_down

HARM: Final = "harm"
NO_HARM: Final = "no harm"
DOUBT: Final = "doubt"


@attrs.frozen
class GuardrailMetric:
    """Holds a metric that must not get worse, and by how much it may without anybody minding.

    Attributes:
        name: What it is called in the report.
        difference: What was measured.
        margin: In the metric's own unit, above 0: worse by less than this is no harm.
        worse: Which way is worse, ``"lower"`` or ``"higher"``.
    """

    name: str
    difference: Difference
    margin: float
    worse: Literal["lower", "higher"] = "lower"

    def __attrs_post_init__(self) -> None:
        """Refuse what cannot be judged.

        Raises:
            EvaluationError: The margin is not a number above 0, or the direction is none.
        """
        if not 0.0 < self.margin < math.inf:
            remedy = "say how much worse would not matter: that nothing changed at all can never be proven"
            reject("margin", None, self.margin, "a number above 0", remedy)
        if self.worse not in {"lower", "higher"}:
            reject("worse", None, self.worse, "'lower' or 'higher'", "say which way is worse")

    def p_harm(self) -> float:
        """Small when it is proven that the metric is worse at all."""
        return self.difference.p_below() if self.worse == "lower" else self.difference.p_above()

    def p_no_harm(self) -> float:
        """Small when it is proven that the metric is not worse by the margin."""
        if self.worse == "lower":
            return self.difference.p_above(-self.margin)
        return self.difference.p_below(self.margin)


@attrs.frozen
class Guarded:
    """Says what is proven of one guardrail metric.

    Attributes:
        metric: The metric, its difference and its margin.
        p_harm: Of "it is worse", adjusted for all that were asked.
        p_no_harm: Of "it is not worse by the margin", adjusted for all that were asked.
        verdict: ``"no harm"`` where it is proven not to be worse by the margin, ``"harm"`` where that is not
            proven but that it is worse is, else ``"doubt"``.
    """

    metric: GuardrailMetric
    p_harm: float
    p_no_harm: float
    verdict: Literal["harm", "no harm", "doubt"]

    def __str__(self) -> str:
        found = self.metric.difference
        return (
            f"{self.metric.name}: {self.verdict} ({found.value:+.6g}, {found.low:+.6g} to {found.high:+.6g};"
            f" margin {self.metric.margin:g}, {self.metric.worse} is worse;"
            f" adjusted p of harm {self.p_harm:.3g}, of no harm {self.p_no_harm:.3g})"
        )


@attrs.frozen
class GuardrailReport:
    """Says what is proven of all guardrail metrics: with chance alpha, one verdict or more is wrong.

    "Doubt" is never wrong: it proves nothing.

    Attributes:
        metrics: One for each, in the order given.
        alpha: Chance of any wrong "harm" or "no harm" among them.
    """

    metrics: tuple[Guarded, ...]
    alpha: float

    @property
    def verdict(self) -> Literal["harm", "no harm", "doubt"]:
        """Harm where one metric is harmed, no harm where none can be, else doubt."""
        verdicts = {one.verdict for one in self.metrics}
        if HARM in verdicts:
            return HARM
        return DOUBT if DOUBT in verdicts else NO_HARM

    def __str__(self) -> str:
        return "\n".join([f"guardrail metrics: {self.verdict}", *(f"  {one}" for one in self.metrics)])


def guardrail_report(metrics: Sequence[GuardrailMetric], /, *, alpha: float = 0.05) -> GuardrailReport:
    """Judge several guardrail metrics together, so that one wrong verdict among them is rare.

    Each metric asks two things: is it worse, and is it not worse by the margin. At most one of the two can
    be falsely proven, because a metric cannot be both unharmed and worse by the margin; so of 2m hypotheses
    at most m are true, and the correction is that for m. Metrics may depend on each other in any way.

    Args:
        metrics: At least one, with names of their own.
        alpha: Chance of any wrong verdict, in (0, 1).

    Raises:
        EvaluationError: No metric, a name that occurs twice, or alpha is out of range.

    Source: Shaffer 1986, Modified sequentially rejective multiple test procedures, procedure S1; with one
    hypothesis for each metric it would be Holm's.
    """
    if not 0.0 < alpha < 1.0:
        reject("alpha", None, alpha, "more than 0 and less than 1", "give 0.05 for 5 %")
    metrics = tuple(metrics)
    names = [metric.name for metric in metrics]
    if not names:
        reject("metrics", None, 0, "one guardrail metric or more", "say what must not get worse")
    for name in names:
        if names.count(name) > 1:
            reject("metrics", None, name, "a name of its own for each metric", "rename one")
    m = len(names)
    asked = [p for metric in metrics for p in (metric.p_harm(), metric.p_no_harm())]
    adjusted = stepped_down(asked, np.minimum(m, np.arange(2 * m, 0, -1))).reshape(m, 2).tolist()
    return GuardrailReport(
        tuple(
            Guarded(metric, harm, no_harm, _verdict(harm, no_harm, alpha))
            for metric, (harm, no_harm) in zip(metrics, adjusted, strict=True)
        ),
        alpha,
    )


def _verdict(harm: float, no_harm: float, alpha: float) -> Literal["harm", "no harm", "doubt"]:
    if no_harm <= alpha:
        return NO_HARM
    return HARM if harm <= alpha else DOUBT
