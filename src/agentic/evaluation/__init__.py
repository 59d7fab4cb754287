"""What would another policy have earned: from logged decisions, judged by their support, or simulated."""

from agentic.evaluation._campaign import BEST_GUESS, campaign, contact_policy, playbook, templates
from agentic.evaluation._diagnostics import Diagnostics, diagnose
from agentic.evaluation._differences import Difference, difference, paired_difference
from agentic.evaluation._estimators import (
    DM,
    DR,
    IPW,
    SNDR,
    SNIPW,
    DRos,
    Estimate,
    Estimator,
    ModelFree,
    SubgaussianDR,
    SubgaussianIPW,
    SwitchDR,
    estimate,
)
from agentic.evaluation._evaluate import evaluate, target_probabilities, teach
from agentic.evaluation._intervals import (
    Contributions,
    CressieRead,
    Interval,
    Normal,
    alike_bounds,
    standard_error,
)
from agentic.evaluation._joined import BySubject, Joined, joined
from agentic.evaluation._logged import Logged, Rows, overlap
from agentic.evaluation._oracle import Oracle, truths
from agentic.evaluation._reward_models import RewardModel, cross_fit, fit_ridge
from agentic.evaluation._simulate import Simulated, one_step_value, simulate
from agentic.evaluation._trials import Making, Trial, Trials, alone_in_charge
from agentic.evaluation._world import Moment, Response, World

__all__ = [
    "BEST_GUESS",
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
    "Making",
    "ModelFree",
    "Moment",
    "Normal",
    "Oracle",
    "Response",
    "RewardModel",
    "Rows",
    "Simulated",
    "SubgaussianDR",
    "SubgaussianIPW",
    "SwitchDR",
    "Trial",
    "Trials",
    "World",
    "alike_bounds",
    "alone_in_charge",
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
    "paired_difference",
    "playbook",
    "simulate",
    "standard_error",
    "target_probabilities",
    "teach",
    "templates",
    "truths",
]
