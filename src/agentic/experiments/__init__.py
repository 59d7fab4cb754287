"""Is one thing better than another: who gets which, and what the difference proves."""

from typing import TYPE_CHECKING

from agentic._doors import door

if TYPE_CHECKING:
    from agentic.experiments._adjust import Before, ancova, cuped, lin, robust_ancova
    from agentic.experiments._assignment import (
        Assignment,
        Experiment,
        Hashed,
        Holdout,
        Keyed,
        Layer,
        counted,
    )
    from agentic.experiments._difference import Arm, Difference, Lift, relative_lift
    from agentic.experiments._growthbook import (
        Filter,
        GrowthBook,
        GrowthBookRollout,
        bucket_ranges,
        choose_variation,
        growthbook_hash,
        namespace,
    )
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
    from agentic.experiments._shares import Shares
    from agentic.experiments._unleash import Unleash, unleash_number
else:
    __getattr__, __dir__ = door(
        __name__,
        {
            "._adjust": ["Before", "ancova", "cuped", "lin", "robust_ancova"],
            "._assignment": [
                "Assignment",
                "Experiment",
                "Hashed",
                "Holdout",
                "Keyed",
                "Layer",
                "counted",
            ],
            "._difference": ["Arm", "Difference", "Lift", "relative_lift"],
            "._growthbook": [
                "Filter",
                "GrowthBook",
                "GrowthBookRollout",
                "bucket_ranges",
                "choose_variation",
                "growthbook_hash",
                "namespace",
            ],
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
            "._shares": ["Shares"],
            "._unleash": ["Unleash", "unleash_number"],
        },
    )

__all__ = [
    "Arm",
    "Assignment",
    "Baseline",
    "Before",
    "Difference",
    "Experiment",
    "Filter",
    "GrowthBook",
    "GrowthBookRollout",
    "Guarded",
    "GuardrailMetric",
    "GuardrailReport",
    "Hashed",
    "Holdout",
    "Keyed",
    "Layer",
    "Lift",
    "MeanBaseline",
    "Proportion",
    "RateBaseline",
    "Ratio",
    "RatioBaseline",
    "SampleRatio",
    "SampleSize",
    "Shares",
    "Unleash",
    "agresti_caffo",
    "ancova",
    "benjamini_hochberg",
    "benjamini_yekutieli",
    "bonferroni",
    "bucket_ranges",
    "choose_variation",
    "clopper_pearson",
    "counted",
    "cuped",
    "difference",
    "exact_sample_ratio",
    "fisher_exact",
    "growthbook_hash",
    "guardrail_report",
    "hochberg",
    "holm",
    "lin",
    "minimal_effect",
    "namespace",
    "newcombe",
    "paired_difference",
    "power",
    "proportion_difference",
    "ratio_difference",
    "relative_lift",
    "robust_ancova",
    "sample_ratio",
    "sample_size",
    "unleash_number",
    "wald",
    "wilson",
]
