"""Decide, for every customer, what to send, on which channel, when, how often, and whether at all."""

from agentic import errors
from agentic._agent import Agent, Learned
from agentic._plugins import load
from agentic._records import DecisionBatch
from agentic._replay import Candidate, Explanation, Replayed
from agentic.catalogue import Level, product
from agentic.conditions import F
from agentic.types import (
    NO_ACTION,
    Action,
    Choice,
    ConsentGranted,
    ConsentWithdrawn,
    Decision,
    Released,
    Suppressed,
    ZoneKnown,
)

__all__ = [
    "NO_ACTION",
    "Action",
    "Agent",
    "Candidate",
    "Choice",
    "ConsentGranted",
    "ConsentWithdrawn",
    "Decision",
    "DecisionBatch",
    "Explanation",
    "F",
    "Learned",
    "Level",
    "Released",
    "Replayed",
    "Suppressed",
    "ZoneKnown",
    "errors",
    "load",
    "product",
]


def __getattr__(name: str) -> str:
    if name == "__version__":
        from importlib.metadata import version

        return version("agentic-decisioning")
    raise AttributeError(f"module 'agentic' has no attribute {name!r}")
