"""Is one thing better than another: who gets which, and what the difference proves."""

from typing import TYPE_CHECKING

from agentic._doors import door

if TYPE_CHECKING:
    from agentic.experiments._adjust import Before, ancova, cuped, lin, robust_ancova
    from agentic.experiments._difference import Arm, Difference, Lift, relative_lift
    from agentic.experiments._guarded import Guarded, GuardrailMetric, GuardrailReport, guardrail_report
    from agentic.experiments._means import difference, paired_difference
    from agentic.experiments._multiple import (
        benjamini_hochberg,
        benjamini_yekutieli,
        bonferroni,
        hochberg,
        holm,
    )
    from agentic.experiments._power import (
        Baseline,
        MeanBaseline,
        RateBaseline,
        RatioBaseline,
        SampleSize,
        minimal_effect,
        power,
        sample_size,
    )
    from agentic.experiments._proportions import (
        Proportion,
        agresti_caffo,
        clopper_pearson,
        fisher_exact,
        newcombe,
        proportion_difference,
        wald,
        wilson,
    )
    from agentic.experiments._ratios import Ratio, ratio_difference
    from agentic.experiments._samples import SampleRatio, exact_sample_ratio, sample_ratio
else:
    __getattr__, __dir__ = door(
        __name__,
        {
            "._adjust": ["Before", "ancova", "cuped", "lin", "robust_ancova"],
            "._difference": ["Arm", "Difference", "Lift", "relative_lift"],
            "._guarded": ["Guarded", "GuardrailMetric", "GuardrailReport", "guardrail_report"],
            "._means": ["difference", "paired_difference"],
            "._multiple": [
                "benjamini_hochberg",
                "benjamini_yekutieli",
                "bonferroni",
                "hochberg",
                "holm",
            ],
            "._power": [
                "Baseline",
                "MeanBaseline",
                "RateBaseline",
                "RatioBaseline",
                "SampleSize",
                "minimal_effect",
                "power",
                "sample_size",
            ],
            "._proportions": [
                "Proportion",
                "agresti_caffo",
                "clopper_pearson",
                "fisher_exact",
                "newcombe",
                "proportion_difference",
                "wald",
                "wilson",
            ],
            "._ratios": ["Ratio", "ratio_difference"],
            "._samples": ["SampleRatio", "exact_sample_ratio", "sample_ratio"],
        },
    )

__all__ = [
    "Arm",
    "Baseline",
    "Before",
    "Difference",
    "Guarded",
    "GuardrailMetric",
    "GuardrailReport",
    "Lift",
    "MeanBaseline",
    "Proportion",
    "RateBaseline",
    "Ratio",
    "RatioBaseline",
    "SampleRatio",
    "SampleSize",
    "agresti_caffo",
    "ancova",
    "benjamini_hochberg",
    "benjamini_yekutieli",
    "bonferroni",
    "clopper_pearson",
    "cuped",
    "difference",
    "exact_sample_ratio",
    "fisher_exact",
    "guardrail_report",
    "hochberg",
    "holm",
    "lin",
    "minimal_effect",
    "newcombe",
    "paired_difference",
    "power",
    "proportion_difference",
    "ratio_difference",
    "relative_lift",
    "robust_ancova",
    "sample_ratio",
    "sample_size",
    "wald",
    "wilson",
]
