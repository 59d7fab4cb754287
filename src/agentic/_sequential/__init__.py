"""What may be claimed at any time: tests and bounds that stay valid however often one looks.

Its public names are those of ``agentic.experiments``.
"""

from agentic._sequential._asymptotic import asymptotic_radius
from agentic._sequential._betting import BettingTest
from agentic._sequential._boundaries import (
    beta_binomial_boundary,
    gamma_exponential_boundary,
    gamma_poisson_boundary,
    normal_boundary,
    one_sided_normal_boundary,
    stitched_boundary,
)
from agentic._sequential._bounded import (
    ConfidenceSequence,
    asymptotic_sequence,
    bernoulli_bounds,
    bernoulli_sequence,
    bernstein_lower,
    bernstein_sequence,
    check_alpha,
    gamma_mixture_sequence,
    hoeffding_sequence,
    normal_mixture_sequence,
)
from agentic._sequential._checks import check_open_unit
from agentic._sequential._claims import Claims
from agentic._sequential._count import CountTest
from agentic._sequential._e_values import EValues
from agentic._sequential._mean import MeanTest
from agentic._sequential._moments import Moments
from agentic._sequential._msprt import MSPRT, msprt
from agentic._sequential._ratio import SampleRatioTest, multinomial_e_value
from agentic._sequential._wealth import betting_lower, betting_sequence, hedged_lower, hedged_sequence

__all__ = [
    "MSPRT",
    "BettingTest",
    "Claims",
    "ConfidenceSequence",
    "CountTest",
    "EValues",
    "MeanTest",
    "Moments",
    "SampleRatioTest",
    "asymptotic_radius",
    "asymptotic_sequence",
    "bernoulli_bounds",
    "bernoulli_sequence",
    "bernstein_lower",
    "bernstein_sequence",
    "beta_binomial_boundary",
    "betting_lower",
    "betting_sequence",
    "check_alpha",
    "check_open_unit",
    "gamma_exponential_boundary",
    "gamma_mixture_sequence",
    "gamma_poisson_boundary",
    "hedged_lower",
    "hedged_sequence",
    "hoeffding_sequence",
    "msprt",
    "multinomial_e_value",
    "normal_boundary",
    "normal_mixture_sequence",
    "one_sided_normal_boundary",
    "stitched_boundary",
]
