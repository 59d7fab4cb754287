"""What would another policy have earned: estimates from logged decisions, judged by their support."""

from agentic.evaluation._diagnostics import Diagnostics, diagnose
from agentic.evaluation._estimators import (
    DM,
    DR,
    IPW,
    SNDR,
    SNIPW,
    DRos,
    Estimate,
    Estimator,
    SubgaussianDR,
    SubgaussianIPW,
    SwitchDR,
    estimate,
)
from agentic.evaluation._intervals import (
    Contributions,
    CressieRead,
    Interval,
    Normal,
    alike_bounds,
    standard_error,
)
from agentic.evaluation._logged import Logged, Rows, overlap
from agentic.evaluation._reward_models import RewardModel, cross_fit, fit_ridge

__all__ = [
    "DM",
    "DR",
    "IPW",
    "SNDR",
    "SNIPW",
    "Contributions",
    "CressieRead",
    "DRos",
    "Diagnostics",
    "Estimate",
    "Estimator",
    "Interval",
    "Logged",
    "Normal",
    "RewardModel",
    "Rows",
    "SubgaussianDR",
    "SubgaussianIPW",
    "SwitchDR",
    "alike_bounds",
    "cross_fit",
    "diagnose",
    "estimate",
    "fit_ridge",
    "overlap",
    "standard_error",
]
