"""A world of customers to try policies on, with taste, fatigue, trust and churn: the loop of production."""

from agentic.simulation._campaign import BEST_GUESS, campaign, contact_policy, playbook, templates
from agentic.simulation._connectivity import Connectivity
from agentic.simulation._courses import courses
from agentic.simulation._greed import FearedLoop, careful, feared_loop, greedy
from agentic.simulation._lifetime import Lifetime, Observation
from agentic.simulation._oracle import Oracle, truths
from agentic.simulation._presets import SCENARIOS, scenario
from agentic.simulation._rehearsal import MEASURES, PairedDifference, Rehearsal, Staging, rehearse
from agentic.simulation._scenario import Appeal, Country, Reach, Scenario
from agentic.simulation._simulate import Simulated, one_step_value, simulate
from agentic.simulation._trials import Making, Trial, Trials, alone_in_charge
from agentic.simulation._weekly import Weekly
from agentic.simulation._world import RETAIL, Moment, Response, World

__all__ = [
    "BEST_GUESS",
    "MEASURES",
    "RETAIL",
    "SCENARIOS",
    "Appeal",
    "Connectivity",
    "Country",
    "FearedLoop",
    "Lifetime",
    "Making",
    "Moment",
    "Observation",
    "Oracle",
    "PairedDifference",
    "Reach",
    "Rehearsal",
    "Response",
    "Scenario",
    "Simulated",
    "Staging",
    "Trial",
    "Trials",
    "Weekly",
    "World",
    "alone_in_charge",
    "campaign",
    "careful",
    "contact_policy",
    "courses",
    "feared_loop",
    "greedy",
    "one_step_value",
    "playbook",
    "rehearse",
    "scenario",
    "simulate",
    "templates",
    "truths",
]
