"""What is known of a subject: how features are declared, fetched, judged for freshness and encoded."""

from agentic.features._cached import Cached
from agentic.features._numeric import Cyclic, Flag, Number
from agentic.features._providers import CallableProvider, Chained, MappingProvider
from agentic.features._rule_only import RuleOnly
from agentic.features._schema import Schema, Values
from agentic.features._textual import Category, Hashed, TimeZone

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
