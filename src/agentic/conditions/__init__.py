"""How is a rule written, stored, judged and explained?

>>> from agentic.conditions import F, load
>>> rule = (F("age") >= 18) & F("country").is_in(["IN", "LK"])
>>> rule.evaluate({"age": 20, "country": "IN"})
True
>>> rule.explain({"age": 16, "country": "IN"})
['age >= 18: age is 16']
>>> load(rule.to_json()) == rule
True

A rule is true, false or unknown: a missing value makes it unknown unless the rest decides (Kleene's logic,
which is SQL's). Unknown is not satisfied, and callers can tell it from false. What values mean, one at a time
and by the column, is in `agentic.conditions._values`.

The stored form is a strict subset of JsonLogic: no coercions, no truthiness, no regular expressions (Python's
can be made to run forever). ``%`` takes the sign of the dividend, as there. A rule has at most `MAX_DEPTH`
levels and `MAX_NODES` nodes, however it was made, so that one from a stranger costs what one from a friend
does, and whatever can be written can be read back.
"""

from typing import TYPE_CHECKING

from agentic._doors import door
from agentic.conditions._condition import Condition
from agentic.conditions._literals import MAX_DEPTH, MAX_ITEMS, MAX_NODES, MAX_TEXT
from agentic.conditions._values import Coded, Column, Scalar, Truth, Unlisted

if TYPE_CHECKING:
    from agentic.conditions._nodes import Expression, F, Field, always, never
    from agentic.conditions._wire import load, load_expression
else:
    __getattr__, __dir__ = door(
        __name__,
        {
            "._nodes": ["Expression", "F", "Field", "always", "never"],
            "._wire": ["load", "load_expression"],
        },
    )

__all__ = [
    "MAX_DEPTH",
    "MAX_ITEMS",
    "MAX_NODES",
    "MAX_TEXT",
    "Coded",
    "Column",
    "Condition",
    "Expression",
    "F",
    "Field",
    "Scalar",
    "Truth",
    "Unlisted",
    "always",
    "load",
    "load_expression",
    "never",
]
