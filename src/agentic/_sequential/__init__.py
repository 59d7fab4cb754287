"""What may be claimed at any time: tests and bounds that stay valid however often one looks.

Its public names are those of ``agentic.experiments``.
"""

from agentic._sequential._betting import BettingTest
from agentic._sequential._count import CountTest, Evidences
from agentic._sequential._mean import MeanTest, Moments, asymptotic_radius
from agentic._sequential._ratio import SampleRatioTest, multinomial_e_value

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
