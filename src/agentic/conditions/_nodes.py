"""What is a rule made of, and how do its parts answer?

`agentic.conditions` is the door. This file is over its length because it is one knot: the operators of the
two families below make nodes, and the nodes are of these families. A node is its stored form, its answer for
a row and for columns, its Python source and its words for an explanation. It decides nothing about values
(`_values`) and sets no limits (`_literals`).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NoReturn

import attrs

from agentic.conditions._condition import Columns, Condition, Node, Row
from agentic.conditions._literals import MAX_ITEMS, checked_literal, refusal
from agentic.conditions._values import (
    MIRRORED,
    NEGATED,
    Masks,
    Members,
    Scalar,
    Values,
    affix,
    affix_column,
    calculate,
    calculate_columns,
    compare,
    compare_columns,
    constant,
    fill_column,
    known_column,
    plain,
    read_column,
    show,
)
from agentic.errors import ConditionError

_ABSENT = object()
_SHOWN = 5


@attrs.frozen(eq=False, repr=False)
class Expression(Node):
    """A value computed from a row: a field, or arithmetic on fields. Comparing one makes a `Condition`."""

    # numpy: leave operators with our kind on the right to us
    __array_ufunc__ = None

    @abstractmethod
    def to_json(self) -> dict[str, object] | Scalar:
        """Return the stored form: JsonLogic as the `json` module takes it."""

    def evaluate(self, row: Row, /) -> Scalar | None:
        """Return the value for one row; ``None`` when it is missing or not a flag, number or text."""
        value = self._value(row)
        return value if isinstance(value, bool | int | float | str) else None

    def is_in(self, items: Iterable[Scalar], /) -> Condition:
        """Make a condition: the value is one of these literals."""
        return membership(self, items)

    def between(self, low: Expression | Scalar, high: Expression | Scalar, /) -> Condition:
        """Make a condition: the value is at least `low` and at most `high`."""
        return (self >= low) & (self <= high)

    def is_true(self) -> Condition:
        """Make a condition of a flag: ``F("vip") == True`` without the linter's frown."""
        return comparison("==", self, True)

    def starts_with(self, text: str, /) -> Condition:
        """Make a condition: the value is a text that starts so."""
        return affixed("starts_with", self, text)

    def ends_with(self, text: str, /) -> Condition:
        """Make a condition: the value is a text that ends so."""
        return affixed("ends_with", self, text)

    def __eq__(self, other: object) -> Condition:  # type: ignore[override] # it writes a rule, as in any query builder
        return comparison("==", self, other)

    def __ne__(self, other: object) -> Condition:  # type: ignore[override] # as above
        return comparison("!=", self, other)

    __hash__ = Node.__hash__

    def __lt__(self, other: Expression | Scalar) -> Condition:
        return comparison("<", self, other)

    def __le__(self, other: Expression | Scalar) -> Condition:
        return comparison("<=", self, other)

    def __gt__(self, other: Expression | Scalar) -> Condition:
        return comparison(">", self, other)

    def __ge__(self, other: Expression | Scalar) -> Condition:
        return comparison(">=", self, other)

    def __add__(self, other: Expression | float) -> Expression:
        return arithmetic("+", self, other)

    def __radd__(self, other: float) -> Expression:
        return arithmetic("+", other, self)

    def __sub__(self, other: Expression | float) -> Expression:
        return arithmetic("-", self, other)

    def __rsub__(self, other: float) -> Expression:
        return arithmetic("-", other, self)

    def __mul__(self, other: Expression | float) -> Expression:
        return arithmetic("*", self, other)

    def __rmul__(self, other: float) -> Expression:
        return arithmetic("*", other, self)

    def __truediv__(self, other: Expression | float) -> Expression:
        return arithmetic("/", self, other)

    def __rtruediv__(self, other: float) -> Expression:
        return arithmetic("/", other, self)

    def __mod__(self, other: Expression | float) -> Expression:
        return arithmetic("%", self, other)

    def __rmod__(self, other: float) -> Expression:
        return arithmetic("%", other, self)

    def __neg__(self) -> Expression:
        return arithmetic("-", 0, self)

    def __and__(self, other: object) -> NoReturn:
        raise _not_a_condition(self)

    __rand__ = __or__ = __ror__ = __and__

    def __invert__(self) -> NoReturn:
        raise _not_a_condition(self)

    @abstractmethod
    def _value(self, row: Row) -> object: ...

    @abstractmethod
    def _values(self, columns: Columns, n: int) -> Values: ...

    @abstractmethod
    def _words(self) -> str:
        """Return the expression for the reader of an explanation."""


def _checked_name(name: object) -> str:
    checked = checked_literal(name)
    if isinstance(checked, str) and checked:
        return checked
    raise refusal("a field's name", expected="a text that is not empty", value=name, advice="name a feature")


@attrs.frozen(eq=False, repr=False)
class Field(Expression):
    """What a row has under a name. Written ``F("age")``."""

    name: str = attrs.field(converter=_checked_name)

    def exists(self) -> Condition:
        """Make a condition: there is a value. Never unknown."""
        return Presence(self)

    def is_missing(self) -> Condition:
        """Make a condition: there is no value. Never unknown."""
        return Not(Presence(self))

    def or_else(self, default: Scalar, /) -> Expression:
        """Make an expression with a value where the field has none."""
        return Fallback(self, checked_literal(default))

    def to_json(self) -> dict[str, object]:
        return {"var": self.name}

    def __repr__(self) -> str:
        return f"F({self.name!r})"

    def _leaves(self) -> Iterator[Field]:
        yield self

    def _value(self, row: Row) -> object:
        value = row.get(self.name, _ABSENT)
        if value is _ABSENT:
            if "." not in self.name:
                return None
            value = row
            for part in self.name.split("."):
                if not isinstance(value, Mapping):
                    return None
                value = value.get(part)
        return plain(value)

    def _values(self, columns: Columns, n: int) -> Values:
        return read_column(columns, self.name, n)

    def _words(self) -> str:
        return self.name


F = Field


@attrs.frozen(eq=False, repr=False)
class Fallback(Expression):
    field: Field
    default: Scalar

    def to_json(self) -> dict[str, object]:
        return {"var": [self.field.name, self.default]}

    def __repr__(self) -> str:
        return f"{self.field!r}.or_else({self.default!r})"

    def _parts(self) -> tuple[Node, ...]:
        return (self.field,)

    def _value(self, row: Row) -> object:
        value = self.field._value(row)
        return self.default if value is None else value

    def _values(self, columns: Columns, n: int) -> Values:
        return fill_column(read_column(columns, self.field.name, n), self.default, n)

    def _words(self) -> str:
        return f"{self.field.name} (or {self.default!r})"


@attrs.frozen(eq=False, repr=False)
class Literal(Expression):
    value: Scalar

    def to_json(self) -> Scalar:
        return self.value

    def __repr__(self) -> str:
        return repr(self.value)

    def _value(self, row: Row) -> Scalar:
        return self.value

    def _values(self, columns: Columns, n: int) -> Scalar:
        return self.value

    def _words(self) -> str:
        return repr(self.value)


@attrs.frozen(eq=False, repr=False)
class Arithmetic(Expression):
    op: str
    left: Expression
    right: Expression

    def to_json(self) -> dict[str, object]:
        return {self.op: [self.left.to_json(), self.right.to_json()]}

    def __repr__(self) -> str:
        return f"{self._side(self.left, repr)} {self.op} {self._side(self.right, repr)}"

    def _parts(self) -> tuple[Node, ...]:
        return self.left, self.right

    def _value(self, row: Row) -> object:
        return calculate(self.op, self.left._value(row), self.right._value(row))

    def _values(self, columns: Columns, n: int) -> Values:
        return calculate_columns(self.op, self.left._values(columns, n), self.right._values(columns, n), n)

    def _words(self) -> str:
        return f"{self._side(self.left, _spelled)} {self.op} {self._side(self.right, _spelled)}"

    def _side(self, side: Expression, spell: Callable[[Expression], str]) -> str:
        return f"({spell(side)})" if isinstance(side, Arithmetic) else spell(side)


@attrs.frozen(eq=False, repr=False)
class Constant(Condition):
    value: bool

    def to_json(self) -> bool:
        return self.value

    def evaluate(self, row: Row, /) -> bool:
        return self.value

    def __repr__(self) -> str:
        return "always" if self.value else "never"

    def _masks(self, columns: Columns, n: int) -> Masks:
        return constant(self.value, n)

    def _reasons(self, row: Row, *, wanted: bool) -> list[str]:
        return [] if self.value is wanted else [f"{self!r}: the rule says so"]


always: Condition = Constant(True)
never: Condition = Constant(False)


class Clause(Condition):
    """A condition about values, the leaf of an explanation."""

    __slots__ = ()

    def _reasons(self, row: Row, *, wanted: bool) -> list[str]:
        answer = self.evaluate(row)
        if answer is wanted:
            return []
        seen = {field.name: field._value(row) for field in self._leaves()}
        text = ", ".join(f"{name} is {show(value)}" for name, value in seen.items())
        hint = " (cannot be judged)" if answer is None and None not in seen.values() else ""
        return [f"{self._wording(wanted=wanted)}: {text}{hint}"]

    @abstractmethod
    def _wording(self, *, wanted: bool) -> str:
        """Return what is wanted, or its opposite, for the reader of an explanation."""


@attrs.frozen(eq=False, repr=False)
class Comparison(Clause):
    op: str
    left: Expression
    right: Expression

    def to_json(self) -> dict[str, object]:
        return {self.op: [self.left.to_json(), self.right.to_json()]}

    def evaluate(self, row: Row, /) -> bool | None:
        return compare(self.op, self.left._value(row), self.right._value(row))

    def __repr__(self) -> str:
        return f"{self.left!r} {self.op} {self.right!r}"

    def _parts(self) -> tuple[Node, ...]:
        return self.left, self.right

    def _masks(self, columns: Columns, n: int) -> Masks:
        return compare_columns(self.op, self.left._values(columns, n), self.right._values(columns, n), n)

    def _wording(self, *, wanted: bool) -> str:
        return f"{self.left._words()} {self.op if wanted else NEGATED[self.op]} {self.right._words()}"


@attrs.frozen(eq=False, repr=False)
class Membership(Clause):
    operand: Expression
    items: tuple[Scalar, ...]
    _members: Members = attrs.field(init=False)

    @_members.default
    def _sort_items(self) -> Members:
        return Members(self.items)

    def to_json(self) -> dict[str, object]:
        return {"in": [self.operand.to_json(), [*self.items]]}

    def evaluate(self, row: Row, /) -> bool | None:
        return self._members.contains(self.operand._value(row))

    def __repr__(self) -> str:
        return f"{_dotted(self.operand)}.is_in({[*self.items]!r})"

    def _parts(self) -> tuple[Node, ...]:
        return (self.operand,)

    def _masks(self, columns: Columns, n: int) -> Masks:
        return self._members.contains_column(self.operand._values(columns, n), n)

    def _wording(self, *, wanted: bool) -> str:
        shown = [show(item) for item in self.items[:_SHOWN]]
        if len(self.items) > _SHOWN:
            shown.append(f"... {len(self.items):,} values")
        return f"{self.operand._words()} {'in' if wanted else 'not in'} [{', '.join(shown)}]"


@attrs.frozen(eq=False, repr=False)
class Affix(Clause):
    op: str
    operand: Expression
    text: str

    def to_json(self) -> dict[str, object]:
        return {self.op: [self.operand.to_json(), self.text]}

    def evaluate(self, row: Row, /) -> bool | None:
        return affix(self.op, self.operand._value(row), self.text)

    def __repr__(self) -> str:
        return f"{_dotted(self.operand)}.{self.op}({self.text!r})"

    def _parts(self) -> tuple[Node, ...]:
        return (self.operand,)

    def _masks(self, columns: Columns, n: int) -> Masks:
        return affix_column(self.op, self.operand._values(columns, n), self.text, n)

    def _wording(self, *, wanted: bool) -> str:
        verb = self.op.replace("_", " ") if wanted else "does not " + self.op.replace("s_", " ")
        return f"{self.operand._words()} {verb} {self.text!r}"


@attrs.frozen(eq=False, repr=False)
class Presence(Clause):
    field: Field

    def to_json(self) -> dict[str, object]:
        # the community's operator takes a path of keys
        return {"exists": self.field.name.split(".")}

    def evaluate(self, row: Row, /) -> bool:
        return self.field._value(row) is not None

    def __repr__(self) -> str:
        return f"{self.field!r}.exists()"

    def _parts(self) -> tuple[Node, ...]:
        return (self.field,)

    def _masks(self, columns: Columns, n: int) -> Masks:
        return known_column(read_column(columns, self.field.name, n), n)

    def _wording(self, *, wanted: bool) -> str:
        return f"{self.field.name} {'known' if wanted else 'missing'}"


@attrs.frozen(eq=False, repr=False)
class Not(Condition):
    part: Condition

    def to_json(self) -> dict[str, object]:
        return {"!": [self.part.to_json()]}

    def evaluate(self, row: Row, /) -> bool | None:
        answer = self.part.evaluate(row)
        return None if answer is None else not answer

    def __repr__(self) -> str:
        if isinstance(self.part, Presence):
            return f"{self.part.field!r}.is_missing()"
        return f"~{_bracketed(self.part)}"

    def _parts(self) -> tuple[Node, ...]:
        return (self.part,)

    def _masks(self, columns: Columns, n: int) -> Masks:
        true, false = self.part._masks(columns, n)
        return false, true

    def _reasons(self, row: Row, *, wanted: bool) -> list[str]:
        return self.part._reasons(row, wanted=not wanted)


@attrs.frozen(eq=False, repr=False)
class Joined(Condition):
    """Conditions of which all, or any, must hold. By de Morgan the two are one, seen from either side."""

    parts: tuple[Condition, ...]

    def evaluate(self, row: Row, /) -> bool | None:
        decisive = isinstance(self, AnyOf)
        answer: bool | None = not decisive
        for part in self.parts:
            found = part.evaluate(row)
            if found is decisive:
                return decisive
            if found is None:
                answer = None
        return answer

    def _parts(self) -> tuple[Node, ...]:
        return self.parts

    def _masks(self, columns: Columns, n: int) -> Masks:
        true, false = self.parts[0]._masks(columns, n)
        is_any = isinstance(self, AnyOf)
        for part in self.parts[1:]:
            more_true, more_false = part._masks(columns, n)
            if is_any:
                true, false = true | more_true, false & more_false
            else:
                true, false = true & more_true, false | more_false
        return true, false

    def _reasons(self, row: Row, *, wanted: bool) -> list[str]:
        if self.evaluate(row) is wanted:
            return []
        lines = [part._reasons(row, wanted=wanted) for part in self.parts]
        if isinstance(self, AllOf) is wanted:
            return [line for reasons in lines for line in reasons]
        return [", or ".join(" and ".join(reasons) for reasons in lines)]


class AllOf(Joined):
    __slots__ = ()

    def to_json(self) -> dict[str, object]:
        return {"and": [part.to_json() for part in self.parts]}

    def __repr__(self) -> str:
        return " & ".join(map(_bracketed, self.parts))


class AnyOf(Joined):
    __slots__ = ()

    def to_json(self) -> dict[str, object]:
        return {"or": [part.to_json() for part in self.parts]}

    def __repr__(self) -> str:
        return " | ".join(map(_bracketed, self.parts))


def _not_a_condition(value: object) -> ConditionError:
    return refusal(
        "an operand of & | ~",
        expected="a rule such as F('age') >= 18",
        value=value,
        seen=f"{value!r:.200}" if isinstance(value, Node) else "",
        advice="compare the value with something; for a flag write F('vip').is_true()",
    )


def _lifted(value: object) -> Expression:
    if isinstance(value, Condition):
        seen, advice = f"{value!r:.200}", "combine rules with & | ~, and mind that & binds tighter than =="
        raise refusal("an operand", expected="a field or a literal", value=value, seen=seen, advice=advice)
    return value if isinstance(value, Expression) else Literal(checked_literal(value))


def comparison(op: str, left: object, right: object) -> Condition:
    """Compare; literals go to the right, and two of them are compared at once."""
    left, right = _lifted(left), _lifted(right)
    if isinstance(left, Literal):
        if isinstance(right, Literal):
            answer = compare(op, left.value, right.value)
            if answer is None:
                advice = "it can never be known; compare a field"
                what = f"the comparison {left!r} {op} {right!r}"
                raise refusal(what, expected="two numbers or two texts", value=left.value, advice=advice)
            return always if answer else never
        left, right, op = right, left, MIRRORED[op]
    if isinstance(right, Literal) and isinstance(right.value, bool) and op not in {"==", "!="}:
        advice = "it can never be known; use == or !="
        raise refusal(
            f"the right side of {op}", expected="a number or a text", value=right.value, advice=advice
        )
    return Comparison(op, left, right)


def arithmetic(op: str, left: object, right: object) -> Expression:
    """Calculate; two literals at once."""
    left, right = _lifted(left), _lifted(right)
    for side in (left, right):
        if isinstance(side, Literal) and type(side.value) not in {int, float}:
            raise refusal(f"an operand of {op}", expected="a number", value=side.value, advice="use a number")
    if isinstance(left, Literal) and isinstance(right, Literal):
        return Literal(checked_literal(calculate(op, left.value, right.value)))
    return Arithmetic(op, left, right)


def membership(operand: Expression, items: object) -> Condition:
    """Look a value up in a list of literals; a literal at once."""
    if isinstance(items, str | bytes | Mapping) or not isinstance(items, Iterable):
        advice = "write .is_in(['a', 'b'])"
        raise refusal("the values of is_in", expected="a list of literals", value=items, advice=advice)
    # a set is ordered, so that the stored form does not depend on the process
    listed = sorted(items, key=repr) if isinstance(items, set | frozenset) else list(items)
    if len(listed) > MAX_ITEMS:
        advice = "make the list a feature of its own"
        expected = f"at most {MAX_ITEMS:,}"
        raise refusal("the number of values of is_in", expected=expected, value=len(listed), advice=advice)
    rule = Membership(operand, tuple(map(checked_literal, listed)))
    return (always if rule.evaluate({}) else never) if isinstance(operand, Literal) else rule


def affixed(op: str, operand: Expression, text: object) -> Condition:
    """Look at the start or the end of a text."""
    if not isinstance(text, str):
        raise refusal(
            f"the second operand of {op}", expected="a text", value=text, advice="write a literal text"
        )
    if isinstance(operand, Literal):
        raise refusal(
            f"the first operand of {op}", expected="a field", value=operand.value, advice="name a field"
        )
    return Affix(op, operand, str(checked_literal(text)))


def joined(kind: type[AllOf | AnyOf], parts: Sequence[object]) -> Condition:
    """Join; a part of the same kind is taken apart, so that a long chain is not a deep one."""
    flat: list[Condition] = []
    for part in parts:
        if not isinstance(part, Condition):
            raise _not_a_condition(part)
        flat.extend(part.parts if isinstance(part, kind) else (part,))
    return kind(tuple(flat)) if len(flat) > 1 else flat[0]


def _bracketed(part: Condition) -> str:
    return f"({part!r})" if isinstance(part, Comparison | Joined) else repr(part)


def _spelled(operand: Expression) -> str:
    return operand._words()


def _dotted(operand: Expression) -> str:
    return f"({operand!r})" if isinstance(operand, Arithmetic) else repr(operand)
