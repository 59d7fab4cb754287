"""Decide, for every customer, what to send, on which channel, when, how often, and whether at all."""

from typing import TYPE_CHECKING, Any

from agentic import errors
from agentic._agent import Agent
from agentic._doors import door
from agentic._plugins import load
from agentic._records import DecisionBatch
from agentic._teaching import Learned, Relearned
from agentic.catalogue import Level, product
from agentic.types import (
    NO_ACTION,
    Action,
    Choice,
    ConsentGranted,
    ConsentWithdrawn,
    Decision,
    Released,
    Restricted,
    RestrictionLifted,
    Suppressed,
    ZoneKnown,
)

if TYPE_CHECKING:
    from agentic._explaining import Candidate, Explanation
    from agentic._verdicts import Finding, Replayed, Verdict
    from agentic._whatif import Changes, Segment, Worth
    from agentic.conditions import F

    __version__: str
else:
    _find, _names = door(
        __name__,
        {
            "agentic._explaining": ["Candidate", "Explanation"],
            "agentic._verdicts": ["Finding", "Replayed", "Verdict"],
            "agentic._whatif": ["Changes", "Segment", "Worth"],
            "agentic.conditions": ["F"],
        },
    )

    def __getattr__(name: str) -> Any:  # a name is whatever it is
        if name == "__version__":
            from agentic._plugins import version

            return version()
        return _find(name)

    def __dir__() -> list[str]:
        return sorted({"__version__", *_names()})


__all__ = [
    "NO_ACTION",
    "Action",
    "Agent",
    "Candidate",
    "Changes",
    "Choice",
    "ConsentGranted",
    "ConsentWithdrawn",
    "Decision",
    "DecisionBatch",
    "Explanation",
    "F",
    "Finding",
    "Learned",
    "Level",
    "Relearned",
    "Released",
    "Replayed",
    "Restricted",
    "RestrictionLifted",
    "Segment",
    "Suppressed",
    "Verdict",
    "Worth",
    "ZoneKnown",
    "errors",
    "load",
    "product",
]
