"""What would another policy have earned: from logged decisions, judged by their support, or simulated."""

from agentic.evaluation._campaign import campaign, contact_policy, playbook
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
from agentic.evaluation._joined import (
    BySubject,
    Difference,
    Joined,
    difference,
    evaluate,
    joined,
    target_probabilities,
)
from agentic.evaluation._logged import Logged, Rows, overlap
from agentic.evaluation._reward_models import RewardModel, cross_fit, fit_ridge
from agentic.evaluation._simulator import Moment, Response, Simulated, World, one_step_value, simulate

__all__ = [
    "DM",
    "DR",
    "IPW",
    "SNDR",
    "SNIPW",
    "BySubject",
    "Contributions",
    "CressieRead",
    "DRos",
    "Diagnostics",
    "Difference",
    "Estimate",
    "Estimator",
    "Interval",
    "Joined",
    "Logged",
    "Moment",
    "Normal",
    "Response",
    "RewardModel",
    "Rows",
    "Simulated",
    "SubgaussianDR",
    "SubgaussianIPW",
    "SwitchDR",
    "World",
    "alike_bounds",
    "campaign",
    "contact_policy",
    "cross_fit",
    "diagnose",
    "difference",
    "estimate",
    "evaluate",
    "fit_ridge",
    "joined",
    "one_step_value",
    "overlap",
    "playbook",
    "simulate",
    "standard_error",
    "target_probabilities",
]
