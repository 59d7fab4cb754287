"""What can be done with any rule, whatever it is made of?

The parts of a rule are in `_nodes`, and come when somebody writes one: most agents have no rule, or few, and
classes take most of the time of an import.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, NoReturn, TypeAlias

import attrs

from agentic.conditions._literals import MAX_DEPTH, MAX_NODES, refusal, too_large
from agentic.conditions._values import Column, Masks, Truth
from agentic.errors import UnknownFeatureError

if TYPE_CHECKING:
    from agentic.conditions._nodes import Field

Row: TypeAlias = Mapping[str, object]
Columns: TypeAlias = Mapping[str, Column]


@attrs.frozen(eq=False, repr=False)
class Node(ABC):
    """A part of a rule: knows its size, its fields and its stored form."""

    _size: int = attrs.field(init=False)
    _depth: int = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        """Measure the node, and refuse what `load` would refuse to read back."""
        parts = self._parts()
        for name, value, limit in (
            ("_size", 1 + sum(part._size for part in parts), MAX_NODES),
            ("_depth", 1 + max((part._depth for part in parts), default=0), MAX_DEPTH),
        ):
            if value > limit:
                raise too_large(name[1:], value, limit)
            object.__setattr__(self, name, value)

    @property
    def fields(self) -> frozenset[str]:
        """The names it reads: what to fetch, and to ask consent for."""
        return frozenset(field.name for field in self._leaves())

    def check_fields(self, known: Collection[str]) -> None:
        """Refuse a name that is not among the declared ones.

        Raises:
            UnknownFeatureError: For the first such name, in the order of the alphabet.
        """
        for name in sorted(self.fields.difference(known)):
            import difflib  # only a mistake needs it

            near = difflib.get_close_matches(name, known, n=1)
            advice = f"did you mean {near[0]!r}?" if near else "declare it or correct the name"
            message = f"field {name!r} is not declared, expected one of {sorted(known)!r}; {advice}"
            raise UnknownFeatureError(message, name=name, expected=sorted(known))

    def same_as(self, other: object) -> bool:
        """Say whether `other` is the same rule or expression, part by part."""
        return isinstance(other, Node) and self._canonical() == other._canonical()

    @abstractmethod
    def to_json(self) -> object:
        """Return the stored form."""

    def __hash__(self) -> int:
        return hash(self._canonical())

    def __bool__(self) -> NoReturn:
        raise refusal(
            "a rule is not yet true or false",
            expected="& | ~ between rules, and .is_in or .between instead of 'in' or a chain",
            value=self,
            seen=f"{self!r:.200}",
            advice="write (a) & (b), (a) | (b) or ~(a) to combine, and .evaluate(row) for the answer",
        )

    def _canonical(self) -> str:
        import json  # only those who compare or hash rules need it

        return json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    def _parts(self) -> tuple[Node, ...]:
        return ()

    def _leaves(self) -> Iterator[Field]:
        for part in self._parts():
            yield from part._leaves()


class Condition(Node):
    """A rule: true, false or unknown for a row.

    Combine with ``&``, ``|`` and ``~``. Conditions are values: ``==`` and ``hash`` go by what they say.
    """

    __slots__ = ()

    @abstractmethod
    def to_json(self) -> dict[str, object] | bool:
        """Return the stored form: JsonLogic as the `json` module takes it."""

    @abstractmethod
    def evaluate(self, row: Row, /) -> bool | None:
        """Judge one row; ``None`` is unknown, which does not satisfy.

        Args:
            row: Values by name. ``a.b`` is the entry of that name or, without one, ``b`` within ``a``.
        """

    def evaluate_columns(self, columns: Columns, n: int) -> Truth:
        """Judge a batch: row by row the answers of `evaluate`.

        Args:
            columns: Shape (n,) each, by name. An absent column is missing in all rows; NaN in a float column
                and ``None`` in an object column are missing values.
            n: How many rows there are.

        Raises:
            InvalidContextError: When a column is not of shape (n,).
        """
        return Truth(*self._masks(columns, n))

    def explain(self, row: Row, /) -> list[str]:
        """Say what keeps a row from satisfying the rule: what is false or unknown, with the values seen.

        Returns:
            One line per thing to change, all of which are needed; none when the rule is satisfied.
        """
        return self._reasons(row, wanted=True)

    def __eq__(self, other: object) -> bool:
        return self.same_as(other) if isinstance(other, Condition) else NotImplemented

    __hash__ = Node.__hash__

    def __and__(self, other: Condition) -> Condition:
        from agentic.conditions import _nodes

        return _nodes.joined(_nodes.AllOf, (self, other))

    def __or__(self, other: Condition) -> Condition:
        from agentic.conditions import _nodes

        return _nodes.joined(_nodes.AnyOf, (self, other))

    def __invert__(self) -> Condition:
        from agentic.conditions import _nodes

        return _nodes.Not(self)

    @abstractmethod
    def _masks(self, columns: Columns, n: int) -> Masks: ...

    @abstractmethod
    def _reasons(self, row: Row, *, wanted: bool) -> list[str]: ...
