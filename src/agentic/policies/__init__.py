"""Policies: they weigh the candidates, the agent draws."""

from agentic.policies._beta import BetaThompson
from agentic.policies._between import Between
from agentic.policies._combine import FirstOf, Mixture, TemplateRanking
from agentic.policies._fixed import Fixed, Rule, Rules, Uniform
from agentic.policies._linear import (
    EpsilonGreedy,
    LinearModel,
    LinearThompson,
    LinearUCB,
    Softmax,
    SquareCB,
)
from agentic.policies._personal import Personal

__all__ = [
    "BetaThompson",
    "Between",
    "EpsilonGreedy",
    "FirstOf",
    "Fixed",
    "LinearModel",
    "LinearThompson",
    "LinearUCB",
    "Mixture",
    "Personal",
    "Rule",
    "Rules",
    "Softmax",
    "SquareCB",
    "TemplateRanking",
    "Uniform",
]
