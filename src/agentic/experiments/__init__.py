"""Is one thing better than another: who gets which, and what the difference proves."""

from typing import TYPE_CHECKING

from agentic._doors import door

if TYPE_CHECKING:
    from agentic._sequential import (
        BettingTest,
        CountTest,
        Evidences,
        MeanTest,
        Moments,
        SampleRatioTest,
        asymptotic_radius,
        multinomial_e_value,
    )
    from agentic.experiments._difference import Arm, Difference, Lift, relative_lift
    from agentic.experiments._means import difference, paired_difference
else:
    __getattr__, __dir__ = door(
        __name__,
        {
            "agentic._sequential": [
                "BettingTest",
                "CountTest",
                "Evidences",
                "MeanTest",
                "Moments",
                "SampleRatioTest",
                "asymptotic_radius",
                "multinomial_e_value",
            ],
            "._difference": ["Arm", "Difference", "Lift", "relative_lift"],
            "._means": ["difference", "paired_difference"],
        },
    )

__all__ = [
    "Arm",
    "BettingTest",
    "CountTest",
    "Difference",
    "Evidences",
    "Lift",
    "MeanTest",
    "Moments",
    "SampleRatioTest",
    "asymptotic_radius",
    "difference",
    "multinomial_e_value",
    "paired_difference",
    "relative_lift",
]
