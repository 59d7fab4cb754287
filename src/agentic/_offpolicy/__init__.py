"""What would another policy have earned, by weighed rows: the arithmetic that replay and evaluation share.

Its public names are those of ``agentic.evaluation``.
"""

from agentic._offpolicy._anytime import AnytimeBernstein, AnytimeBetting, AnytimeHedged
from agentic._offpolicy._bootstrap import AcceleratedBootstrap, Bootstrap, resampled
from agentic._offpolicy._calibration import Calibration, Miscalibrated
from agentic._offpolicy._cressie_read import CressieRead
from agentic._offpolicy._diagnostics import UNSUPPORTED, Diagnostics, diagnose
from agentic._offpolicy._empirical_likelihood import EmpiricalLikelihood
from agentic._offpolicy._estimate import Estimate, doubted, estimate, judge, usual_interval
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
    as_names,
    check_below,
    check_length,
    overlap,
    reject,
    weighed,
)
from agentic._offpolicy._modelled import DM, DR, SNDR, DRos, SubgaussianDR, SwitchDR
from agentic._offpolicy._slate_estimators import (
    IIPS,
    RIPS,
    SIPS,
    SNIIPS,
    SNRIPS,
    SNSIPS,
    CascadeDR,
    SlateEstimator,
    estimate_slates,
)
from agentic._offpolicy._slates import (
    LoggedSlates,
    SlateLayout,
    SlateRows,
    SlateTarget,
    Weighing,
    overlap_slates,
)
from agentic._offpolicy._sums import SummedInterval, Sums
from agentic._offpolicy._tally import Tally, keys_of
from agentic._offpolicy._tuning import GRID, STRENGTHS, Adaptive, Criterion, LeastError, Slope, Tuned, tuned
from agentic._offpolicy._weighting import BIPW, IPW, SNIPW, Replay, SubgaussianIPW

__all__ = [
    "BIPW",
    "DM",
    "DR",
    "GRID",
    "IIPS",
    "IPW",
    "RIPS",
    "SIPS",
    "SNDR",
    "SNIIPS",
    "SNIPW",
    "SNRIPS",
    "SNSIPS",
    "STRENGTHS",
    "UNSUPPORTED",
    "AcceleratedBootstrap",
    "Adaptive",
    "AnytimeBernstein",
    "AnytimeBetting",
    "AnytimeHedged",
    "Bootstrap",
    "Calibration",
    "CascadeDR",
    "Contributions",
    "CountsUnseen",
    "CressieRead",
    "Criterion",
    "DRos",
    "Diagnostics",
    "EmpiricalLikelihood",
    "Estimate",
    "Estimator",
    "Floats",
    "Interval",
    "Ints",
    "LeastError",
    "Logged",
    "LoggedSlates",
    "Miscalibrated",
    "ModelFree",
    "Normal",
    "Replay",
    "Rows",
    "SlateEstimator",
    "SlateLayout",
    "SlateRows",
    "SlateTarget",
    "Slope",
    "SubgaussianDR",
    "SubgaussianIPW",
    "SummedInterval",
    "Sums",
    "SwitchDR",
    "Tally",
    "Tuned",
    "Weighing",
    "alike_bounds",
    "as_actions",
    "as_array",
    "as_floats",
    "as_names",
    "check_below",
    "check_length",
    "diagnose",
    "doubted",
    "estimate",
    "estimate_slates",
    "judge",
    "keys_of",
    "overlap",
    "overlap_slates",
    "reject",
    "resampled",
    "standard_error",
    "tuned",
    "usual_interval",
    "weighed",
]
