"""What does a policy change: experiments, and tests that stay valid however often one looks."""

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
        },
    )

__all__ = [
    "BettingTest",
    "CountTest",
    "Evidences",
    "MeanTest",
    "Moments",
    "SampleRatioTest",
    "asymptotic_radius",
    "multinomial_e_value",
]
