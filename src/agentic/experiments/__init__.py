"""What does a policy change: experiments, and tests that stay valid however often one looks."""

from typing import TYPE_CHECKING

from agentic._doors import door

if TYPE_CHECKING:
    from agentic._sequential import CountTest, Evidences, MeanTest, Moments, asymptotic_radius
else:
    __getattr__, __dir__ = door(
        __name__,
        {
            "agentic._sequential": ["CountTest", "Evidences", "MeanTest", "Moments", "asymptotic_radius"],
        },
    )

__all__ = ["CountTest", "Evidences", "MeanTest", "Moments", "asymptotic_radius"]
