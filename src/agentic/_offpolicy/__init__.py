"""What would another policy have earned, by weighed rows: the arithmetic that replay and evaluation share.

Its public names are those of ``agentic.evaluation``.
"""

from agentic._offpolicy._anytime import AnytimeBernstein, AnytimeBetting, AnytimeHedged
from agentic._offpolicy._bootstrap import AcceleratedBootstrap, Bootstrap, resampled
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
from agentic._offpolicy._weighting import IPW, SNIPW, SubgaussianIPW

__all__ = [
    "DM",
    "DR",
    "IPW",
    "SNDR",
    "SNIPW",
    "AcceleratedBootstrap",
    "AnytimeBernstein",
    "AnytimeBetting",
    "AnytimeHedged",
    "Bootstrap",
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
    "SwitchDR",
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
    "overlap",
    "reject",
    "resampled",
    "standard_error",
]
