"""Policies: they weigh the candidates, the agent draws."""

from typing import TYPE_CHECKING

from agentic._doors import door

if TYPE_CHECKING:
    from agentic.policies._beta import BetaThompson
    from agentic.policies._between import Between
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
    from agentic.policies._personal import Personal
    from agentic.policies._ridge import Solution
    from agentic.policies._split import Split
else:
    __getattr__, __dir__ = door(
        __name__,
        {
            "._beta": ["BetaThompson"],
            "._between": ["Between"],
            "._combine": ["FirstOf", "Mixture", "TemplateRanking"],
            "._factored": ["FactoredThompson"],
            "._features": ["Lens", "RandomFeatures"],
            "._fixed": ["Fixed", "Rule", "Rules", "Uniform"],
            "._linear": [
                "EpsilonGreedy",
                "LinearThompson",
                "LinearUCB",
                "Softmax",
                "SquareCB",
            ],
            "._linear_model": ["LinearModel"],
            "._personal": ["Personal"],
            "._ridge": ["Solution"],
            "._split": ["Split"],
        },
    )

__all__ = [
    "BetaThompson",
    "Between",
    "EpsilonGreedy",
    "FactoredThompson",
    "FirstOf",
    "Fixed",
    "Lens",
    "LinearModel",
    "LinearThompson",
    "LinearUCB",
    "Mixture",
    "Personal",
    "RandomFeatures",
    "Rule",
    "Rules",
    "Softmax",
    "Solution",
    "Split",
    "SquareCB",
    "TemplateRanking",
    "Uniform",
]
