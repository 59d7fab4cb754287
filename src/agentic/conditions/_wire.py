"""How a rule is read from its stored form, trusting nothing about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial, reduce
from itertools import pairwise
from typing import Generic, TypeVar

import attrs

from agentic.conditions._condition import Condition, Node
from agentic.conditions._literals import (
    MAX_DEPTH,
    MAX_NODES,
    MAX_TEXT,
    checked_key,
    checked_literal,
    located,
    refusal,
    too_large,
)
from agentic.conditions._nodes import (
    AllOf,
    AnyOf,
    Expression,
    Fallback,
    Field,
    Literal,
    Not,
    Presence,
    affixed,
    always,
    arithmetic,
    comparison,
    joined,
    membership,
    never,
)
from agentic.errors import ConditionError

_N = TypeVar("_N", bound=Node)


def load(data: object, /) -> Condition:
    """Read a rule from its stored form, trusting nothing about it.

    Args:
        data: What the `json` module made of the text. Besides what `Condition.to_json` writes, ``===`` and
            ``!==`` are read as ``==`` and ``!=`` (which are strict here), ``{"<": [a, b, c]}`` as a range,
            and a bare operand as a list of one.

    Raises:
        ConditionError: When it is malformed, too large, or can never be known. ``facts["path"]`` says where.
    """
    return _Reader().condition(data, "$", 1)


def load_expression(data: object, /) -> Expression:
    """Read a value expression, such as ``(F("ltv") / F("orders"))``, from its stored form.

    Raises:
        ConditionError: As `load`.
    """
    return _Reader().expression(data, "$", 1)


@attrs.define
class _Reader:
    """Reads the stored form, counting nodes, so that no input is followed further than a rule may go."""

    nodes: int = 0

    def condition(self, data: object, path: str, depth: int) -> Condition:
        if isinstance(data, bool):
            self._enter(path, depth)
            return always if data else never
        return self._read(data, path, depth, _CONDITIONS)

    def expression(self, data: object, path: str, depth: int) -> Expression:
        if isinstance(data, dict):
            return self._read(data, path, depth, _EXPRESSIONS)
        self._enter(path, depth)
        try:
            return Literal(checked_literal(data))
        except ConditionError as error:
            raise located(error, path) from None

    def conditions(self, operands: Sequence[object], path: str, depth: int) -> list[Condition]:
        return [self.condition(operand, f"{path}[{i}]", depth + 1) for i, operand in enumerate(operands)]

    def expressions(self, operands: Sequence[object], path: str, depth: int) -> list[Expression]:
        return [self.expression(operand, f"{path}[{i}]", depth + 1) for i, operand in enumerate(operands)]

    def _enter(self, path: str, depth: int) -> None:
        self.nodes += 1
        for name, value, limit in (("size", self.nodes, MAX_NODES), ("depth", depth, MAX_DEPTH)):
            if value > limit:
                raise located(too_large(name, value, limit), path)

    def _read(self, data: object, path: str, depth: int, table: Mapping[str, _Operator[_N]]) -> _N:
        self._enter(path, depth)
        try:
            op, operands, operator = _operation(data, table)
            return operator.read(self, op, operands, f"{path}.{op}", depth)
        except ConditionError as error:
            raise located(error, path) from None


@attrs.frozen
class _Operator(Generic[_N]):
    """How many operands an operator takes, and what it makes of them."""

    least: int
    most: int
    read: Callable[[_Reader, str, list[object], str, int], _N]


def _read_joined(reader: _Reader, op: str, operands: list[object], path: str, depth: int) -> Condition:
    return joined(AllOf if op == "and" else AnyOf, reader.conditions(operands, path, depth))


def _read_not(reader: _Reader, _: str, operands: list[object], path: str, depth: int) -> Condition:
    return Not(*reader.conditions(operands, path, depth))


def _read_comparison(reader: _Reader, op: str, operands: list[object], path: str, depth: int) -> Condition:
    op = {"===": "==", "!==": "!="}.get(op, op)
    sides = reader.expressions(operands, path, depth)
    return joined(AllOf, [comparison(op, left, right) for left, right in pairwise(sides)])


def _read_membership(reader: _Reader, _: str, operands: list[object], path: str, depth: int) -> Condition:
    if not isinstance(operands[1], list):
        advice = "write [x, [a, b]]; a text within a text is not supported"
        what = "the second operand of 'in'"
        raise refusal(what, expected="a list of literals", value=operands[1], advice=advice)
    return membership(reader.expressions(operands[:1], path, depth)[0], operands[1])


def _read_affix(reader: _Reader, op: str, operands: list[object], path: str, depth: int) -> Condition:
    return affixed(op, reader.expressions(operands[:1], path, depth)[0], operands[1])


def _read_presence(_: _Reader, op: str, operands: list[object], path: str, depth: int) -> Condition:
    return Presence(Field(".".join(map(checked_key, operands))))


def _read_field(_: _Reader, op: str, operands: list[object], path: str, depth: int) -> Expression:
    field = Field(operands[0])
    return field if len(operands) == 1 else Fallback(field, checked_literal(operands[1]))


def _read_arithmetic(reader: _Reader, op: str, operands: list[object], path: str, depth: int) -> Expression:
    values = reader.expressions(operands, path, depth)
    return reduce(partial(arithmetic, op), values if len(values) > 1 else [Literal(0), *values])


_CONDITIONS: dict[str, _Operator[Condition]] = {
    **dict.fromkeys(("and", "or"), _Operator(1, MAX_NODES, _read_joined)),
    "!": _Operator(1, 1, _read_not),
    **dict.fromkeys(("==", "!=", "===", "!==", ">", ">="), _Operator(2, 2, _read_comparison)),
    **dict.fromkeys(("<", "<="), _Operator(2, 3, _read_comparison)),
    "in": _Operator(2, 2, _read_membership),
    **dict.fromkeys(("starts_with", "ends_with"), _Operator(2, 2, _read_affix)),
    "exists": _Operator(1, MAX_TEXT, _read_presence),
}
_EXPRESSIONS: dict[str, _Operator[Expression]] = {
    "var": _Operator(1, 2, _read_field),
    **dict.fromkeys(("+", "*"), _Operator(2, MAX_DEPTH, _read_arithmetic)),
    "-": _Operator(1, 2, _read_arithmetic),
    **dict.fromkeys(("/", "%"), _Operator(2, 2, _read_arithmetic)),
}


def _operation(data: object, table: Mapping[str, _Operator[_N]]) -> tuple[str, list[object], _Operator[_N]]:
    """Take ``{"operator": operands}`` apart."""
    expected = "one of " + " ".join(table)
    if not isinstance(data, dict) or len(data) != 1:
        raise refusal(
            "this part of the rule",
            expected='true, false or {"operator": [operands]} with ' + expected,
            value=data,
            advice="write one operator per object; a flag is {'==': [{'var': name}, true]}",
        )
    ((op, operands),) = data.items()
    if not isinstance(op, str) or op not in table:
        elsewhere = isinstance(op, str) and (op in _CONDITIONS or op in _EXPRESSIONS)
        advice = "and or ! join rules, the rest compare values" if elsewhere else "it is not supported"
        raise refusal("the operator", expected=expected, value=op, advice=advice)
    operator = table[op]
    least, most = operator.least, operator.most
    operands = operands if isinstance(operands, list) else [operands]
    if not least <= len(operands) <= most:
        wanted = f"{least:,}" if least == most else f"{least:,} to {most:,}"
        raise refusal(
            f"the number of operands of {op!r}",
            expected=wanted,
            value=len(operands),
            advice="correct the list",
        )
    return op, operands, operator
