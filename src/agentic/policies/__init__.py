"""Policies: they weigh the candidates, the agent draws."""

from agentic.policies._beta import BetaThompson
from agentic.policies._combine import FirstOf, Mixture, TemplateRanking
from agentic.policies._factored import FactoredThompson
from agentic.policies._features import Lens, RandomFeatures
from agentic.policies._fixed import Fixed, Rule, Rules, Uniform
from agentic.policies._linear import (
    EpsilonGreedy,
    LinearThompson,
    LinearUCB,
    Softmax,
    SquareCB,
)
from agentic.policies._linear_model import LinearModel
from agentic.policies._ridge import Solution

__all__ = [
    "BetaThompson",
    "EpsilonGreedy",
    "FactoredThompson",
    "FirstOf",
    "Fixed",
    "Lens",
    "LinearModel",
    "LinearThompson",
    "LinearUCB",
    "Mixture",
    "RandomFeatures",
    "Rule",
    "Rules",
    "Softmax",
    "Solution",
    "SquareCB",
    "TemplateRanking",
    "Uniform",
]
