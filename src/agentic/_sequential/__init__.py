"""What may be claimed at any time: tests and bounds that stay valid however often one looks.

Its public names are those of ``agentic.experiments``.
"""

from agentic._sequential._count import CountTest, Evidences
from agentic._sequential._mean import MeanTest, Moments, asymptotic_radius

__all__ = ["CountTest", "Evidences", "MeanTest", "Moments", "asymptotic_radius"]
