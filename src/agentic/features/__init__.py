"""What is known of a subject: how features are declared, fetched, judged for freshness and encoded."""

from typing import TYPE_CHECKING

from agentic._doors import door

if TYPE_CHECKING:
    from agentic.features._cached import Cached
    from agentic.features._numeric import Cyclic, Flag, Number
    from agentic.features._providers import CallableProvider, Chained, MappingProvider
    from agentic.features._rule_only import RuleOnly
    from agentic.features._schema import Schema, Values
    from agentic.features._textual import Category, Hashed, TimeZone
else:
    __getattr__, __dir__ = door(
        __name__,
        {
            "._cached": ["Cached"],
            "._numeric": ["Cyclic", "Flag", "Number"],
            "._providers": ["CallableProvider", "Chained", "MappingProvider"],
            "._rule_only": ["RuleOnly"],
            "._schema": ["Schema", "Values"],
            "._textual": ["Category", "Hashed", "TimeZone"],
        },
    )

__all__ = [
    "Cached",
    "CallableProvider",
    "Category",
    "Chained",
    "Cyclic",
    "Flag",
    "Hashed",
    "MappingProvider",
    "Number",
    "RuleOnly",
    "Schema",
    "TimeZone",
    "Values",
]
