"""What may a rule contain, and how is one refused?"""

from __future__ import annotations

import math
import re

from agentic.conditions._values import EXACT, Scalar, plain, show
from agentic.errors import ConditionError

MAX_DEPTH = 32
"""How deep a rule may nest."""
MAX_NODES = 2_000
"""How many fields, literals and operators a rule may have."""
MAX_ITEMS = 10_000
"""How many literals a list may have."""
MAX_TEXT = 1_000
"""How many characters a text or a field's name may have."""

_SURROGATE = "[\ud800-\udfff]"


def refusal(what: str, *, expected: str, value: object, advice: str, seen: str = "") -> ConditionError:
    """Return the error for a part of a rule, with its facts; `seen` is how to print a value `show` cannot."""
    seen = seen or ("None" if value is None else show(value))
    message = f"{what}: expected {expected}, got {seen}; {advice}"
    return ConditionError(message, what=what, expected=expected, value=value, advice=advice, path="")


def too_large(name: str, value: int, limit: int) -> ConditionError:
    """Return the error for a rule past a limit."""
    return refusal(
        f"the {name} of a rule", expected=f"at most {limit:,}", value=value, advice="split the rule"
    )


def located(error: ConditionError, path: str) -> ConditionError:
    """Return an error that says where; one that does already is left alone."""
    if error.facts["path"]:
        return error
    return ConditionError(f"at {path}: {error}", **{**error.facts, "path": path})


def checked_literal(value: object) -> Scalar:
    """Return a literal in its one spelling: a whole number is an int."""
    literal = plain(value)
    if isinstance(literal, float) and literal.is_integer() and abs(literal) < EXACT:
        literal = int(literal)
    expected, advice = "a flag, a number or a text", "for a missing value use .exists() or .is_missing()"
    if isinstance(literal, bool):
        return literal
    if isinstance(literal, int):
        if abs(literal) < EXACT:
            return literal
        expected, advice = "a whole number within 2**53 - 1 either way", "keep long ids as texts"
    elif isinstance(literal, float):
        if math.isfinite(literal):
            return literal
        expected, advice = "a finite number", "leave the comparison out"
    elif isinstance(literal, str):
        if len(literal) <= MAX_TEXT and not re.search(_SURROGATE, literal):
            return literal
        expected, advice = f"at most {MAX_TEXT:,} characters that UTF-8 can hold", "shorten or clean it"
    raise refusal("a literal", expected=expected, value=value, advice=advice)


def checked_key(value: object) -> str:
    """Return a part of a path."""
    if isinstance(value, str):
        return value
    raise refusal(
        "a part of a path", expected="a text", value=value, advice="write the keys as a list of texts"
    )
