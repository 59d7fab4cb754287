"""How rules agree with the published cases of JsonLogic and GrowthBook, and where they mean to differ.

The profile is strict: what it cannot mean the same way it refuses, when the rule is read. What is left and
still differs is listed here, case by case, so that a change of meaning is a decision.
"""

import json
from collections.abc import Mapping
from typing import Any

from agentic.conditions import Condition, F, always, load, load_expression
from agentic.errors import ConditionError
from shared_data import shared

REFUSED = "refused"
OPERATORS = {"$eq": "==", "$ne": "!=", "$lt": "<", "$lte": "<=", "$gt": ">", "$gte": ">="}

COERCED = "JavaScript takes '1' for 1; here a text and a number are different things"
INDEXED = "JavaScript takes a text for a place in an array; here a row has names"
LISTED = "a list is no scalar, so it is unknown whether it is one of these"
MISSING = "JavaScript takes a missing value for 0 or null; here it is unknown"
NUMERIC = "JavaScript orders a text and a number as numbers; here that is unknown"

JSONLOGIC_DIFFERENT = {
    '{"==": [1, "1"]} of {}': (False, COERCED),
    '{"!=": [1, "1"]} of {}': (True, COERCED),
    '{"var": "1"} of ["apple", "banana"]': (None, INDEXED),
    '{"var": "1.1"} of ["apple", ["banana", "beer"]]': (None, INDEXED),
}
GROWTHBOOK_DIFFERENT = {
    "$in - array pass 1": (False, LISTED),
    "$in - array pass 2": (False, LISTED),
    "$in - array pass 3": (False, LISTED),
    "$nin - array pass 1": (False, LISTED),
    "$nin - array pass 2": (False, LISTED),
    "missing attribute with comparison operators": (False, MISSING),
    "comparing numbers and strings": (False, NUMERIC),
    "comparing numbers and strings - v2": (False, NUMERIC),
}


def jsonlogic(rule: object, data: object) -> object:
    """Answer as a rule if it is one, else as a value; data that is no mapping has no fields."""
    row = data if isinstance(data, Mapping) else {}
    for read in (load, load_expression):
        try:
            return read(rule).evaluate(row)
        except ConditionError:
            continue
    return REFUSED


def from_growthbook(condition: Mapping[str, Any]) -> Condition:
    """Translate what a strict profile holds of GrowthBook's conditions; refuse the rest."""
    rule = always
    for key, value in condition.items():
        rule = rule & _of_key(key, value)
    return rule


def _of_key(key: str, value: Any) -> Condition:
    if key in {"$and", "$or", "$nor"}:
        parts = [from_growthbook(part) for part in value]
        if key == "$and":
            return load({"and": [True, *(part.to_json() for part in parts)]})
        either = load({"or": [not parts, *(part.to_json() for part in parts)]})
        return ~either if key == "$nor" else either
    if key == "$not":
        return ~from_growthbook(value)
    if isinstance(value, dict) and value and all(op.startswith("$") for op in value):
        rule = always
        for op, operand in value.items():
            rule = rule & _of_operator(key, op, operand)
        return rule
    return F(key).is_missing() if value is None else F(key) == value


def _of_operator(name: str, op: str, operand: Any) -> Condition:
    if op in OPERATORS:
        return load({OPERATORS[op]: [{"var": name}, operand]})
    if op in {"$in", "$nin"}:
        found = load({"in": [{"var": name}, operand]})
        return found if op == "$in" else ~found
    if op == "$exists":
        return F(name).exists() if operand else F(name).is_missing()
    if op == "$not":
        return ~_of_key(name, operand)
    raise ConditionError(f"the operator {op!r} has no strict meaning", value=op)


def tally(results: list[tuple[str, object, object]]) -> tuple[int, int, dict[str, object]]:
    """Count what is the same and what is refused; return what differs."""
    refused = sum(ours == REFUSED for _, ours, _ in results)
    different = {
        name: ours
        for name, ours, theirs in results
        if ours != REFUSED and not (ours == theirs and isinstance(ours, bool) == isinstance(theirs, bool))
    }
    return len(results) - refused - len(different), refused, different


def test_jsonlogic() -> None:
    """Of JsonLogic's 275 cases 87 are the same, 184 are refused when read, and 4 differ on purpose.

    More agree and fewer differ than in the study before this code (76, 187, 12): values can be read on their
    own, and an order between literals of two kinds, which can never be known, is refused.
    """
    cases = json.loads(shared("vectors", "jsonlogic", "tests.json").read_text(encoding="utf-8"))
    results = [
        (f"{json.dumps(rule)} of {json.dumps(data)}", jsonlogic(rule, data), expected)
        for rule, data, expected in (case for case in cases if isinstance(case, list))
    ]
    same, refused, different = tally(results)
    assert (len(results), same, refused) == (275, 87, 184)
    assert different == {name: ours for name, (ours, _) in JSONLOGIC_DIFFERENT.items()}


def test_growthbook() -> None:
    """Of GrowthBook's 235 conditions 54 are the same, 173 are refused when read, and 8 differ on purpose."""
    cases = json.loads(shared("vectors", "growthbook", "cases.json").read_text(encoding="utf-8"))
    results: list[tuple[str, object, object]] = []
    for name, condition, row, expected, *_ in cases["evalCondition"]:
        try:
            results.append((name, from_growthbook(condition).evaluate(row) is True, expected))
        except ConditionError:
            results.append((name, REFUSED, expected))
    same, refused, different = tally(results)
    assert (len(results), same, refused) == (235, 54, 173)
    assert different == {name: ours for name, (ours, _) in GROWTHBOOK_DIFFERENT.items()}
