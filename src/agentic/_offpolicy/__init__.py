"""What would another policy have earned, by weighed rows: the arithmetic that replay and evaluation share.

Its public names are those of ``agentic.evaluation``.
"""

from agentic._offpolicy._cressie_read import CressieRead
from agentic._offpolicy._diagnostics import Diagnostics, diagnose
from agentic._offpolicy._empirical_likelihood import EmpiricalLikelihood
from agentic._offpolicy._estimate import Estimate, doubted, estimate, judge
from agentic._offpolicy._estimator import Estimator, ModelFree
from agentic._offpolicy._intervals import (
    Contributions,
    CountsUnseen,
    Interval,
    Normal,
    alike_bounds,
    standard_error,
)
from agentic._offpolicy._logged import (
    Floats,
    Ints,
    Logged,
    Rows,
    as_actions,
    as_array,
    as_floats,
    check_below,
    check_length,
    overlap,
    reject,
)
from agentic._offpolicy._modelled import DM, DR, SNDR, DRos, SubgaussianDR, SwitchDR
from agentic._offpolicy._sums import SummedInterval, Sums
from agentic._offpolicy._tally import Tally, keys_of
from agentic._offpolicy._weighting import IPW, SNIPW, SubgaussianIPW

__all__ = [
    "DM",
    "DR",
    "IPW",
    "SNDR",
    "SNIPW",
    "Contributions",
    "CountsUnseen",
    "CressieRead",
    "DRos",
    "Diagnostics",
    "EmpiricalLikelihood",
    "Estimate",
    "Estimator",
    "Floats",
    "Interval",
    "Ints",
    "Logged",
    "ModelFree",
    "Normal",
    "Rows",
    "SubgaussianDR",
    "SubgaussianIPW",
    "SummedInterval",
    "Sums",
    "SwitchDR",
    "Tally",
    "alike_bounds",
    "as_actions",
    "as_array",
    "as_floats",
    "check_below",
    "check_length",
    "diagnose",
    "doubted",
    "estimate",
    "judge",
    "keys_of",
    "overlap",
    "reject",
    "standard_error",
]
