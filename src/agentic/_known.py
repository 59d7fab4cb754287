"""What may data speak of that are read with a template? Of what it holds and declares, and of nothing else.

The table is closed, and nothing is ever imported: it holds the classes of what a template holds, and those
that the declared types of their fields name, and so on. Functions, classes and objects that declare no parts
are the template's own, as long as they are the same.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from types import BuiltinFunctionType, FunctionType, MappingProxyType
from typing import Any, Final

import attrs
import numpy as np

from agentic import _declared
from agentic._codec import fingerprint
from agentic._packing import DEEPEST
from agentic.catalogue import Catalogue
from agentic.conditions import Condition
from agentic.errors import CodecError
from agentic.protocols import Storable
from agentic.types import Action

CODE: Final = (FunctionType, BuiltinFunctionType, type)


def name_of(kind: type[Any], /) -> str:
    """A class by its distribution and its name: which file it stands in may change."""
    return f"{kind.__module__.partition('.')[0]}:{kind.__qualname__}"


@attrs.frozen(eq=False)
class Known:
    """What a template lets data speak of.

    Attributes:
        classes: By name; those that declare their parts, and enumerations.
        kept: Functions, classes and objects without declared parts, by what they are.
        storable: One object for each class that makes itself of data.
        twins: Names of which there are several of one kind: nothing is known by them.
    """

    classes: dict[str, type[Any]] = attrs.field(factory=dict)
    kept: dict[str, Any] = attrs.field(factory=dict)
    storable: dict[str, Storable] = attrs.field(factory=dict)
    twins: set[str] = attrs.field(factory=set, init=False)
    _met: set[int] = attrs.field(factory=set, init=False)
    _taken: set[type[Any]] = attrs.field(factory=set, init=False)

    @classmethod
    def by(cls, template: object, /) -> Known:
        """What this template holds, and what its classes declare that it may hold."""
        known = cls()
        known._meet(template, 0)
        return known

    def name(self, kind: type[Any], /) -> str | None:
        """The name of a class, if it is known, and the only one of that name."""
        name = name_of(kind)
        return name if self.classes.get(name) is kind and name not in self.twins else None

    def named(self, name: object, path: str, /) -> type[Any]:
        """The class of this name; ``path`` says who asks.

        Raises:
            CodecError: There is none, or more than one.
        """
        kind = self.classes.get(name) if isinstance(name, str) and name not in self.twins else None
        if kind is None:
            raise CodecError(
                f"{path} is a {name!r:.200}, a class that the template does not lead to: it leads to"
                f" {sorted(self.classes)!r:.500}",
                value=name,
                expected=sorted(self.classes),
            )
        return kind

    def _meet(self, value: Any, depth: int) -> None:
        kind = type(value)
        if isinstance(value, str | int | float | np.ndarray | np.generic | Condition | Catalogue | None):
            if isinstance(value, enum.Enum):
                self._declare(kind)
            elif isinstance(value, Catalogue):
                self._declare(Action)
            return
        if depth > DEEPEST or id(value) in self._met:
            return
        self._met.add(id(value))
        if kind in (tuple, list, set, frozenset):
            for item in value:
                self._meet(item, depth + 1)
        elif kind in (dict, MappingProxyType):
            for key, item in value.items():
                self._meet(key, depth + 1)
                self._meet(item, depth + 1)
        elif isinstance(value, enum.Enum):
            self._declare(kind)
        elif isinstance(value, CODE):
            self._keep(code_key(value), value)
        elif isinstance(value, Storable):
            self._set(self.storable, name_of(kind), value, same=lambda other: type(other) is kind)
        elif (parts := _declared.parts(kind)) is not None:
            self._declare(kind)
            for part in parts:
                self._meet(getattr(value, part.name), depth + 1)
        else:
            try:
                key = object_key(value)
            except CodecError:  # so that it has no stored form: said when it is to be written
                return
            self._keep(key, value)

    def _declare(self, kind: type[Any]) -> None:
        """Take in a class, and those that the types of its fields name."""
        if kind in self._taken:
            return
        self._taken.add(kind)
        self._set(self.classes, name_of(kind), kind, same=lambda other: other is kind)
        for part in _declared.parts(kind) or ():
            for each in _declared.mentioned(part.hint):
                if issubclass(each, Catalogue):
                    self._declare(Action)
                elif issubclass(each, enum.Enum) or (
                    not issubclass(each, Condition | Storable) and _declared.parts(each) is not None
                ):
                    self._declare(each)

    def _keep(self, key: str, value: Any) -> None:
        self._set(self.kept, key, value, same=lambda other: other is value or not isinstance(value, CODE))

    def _set(self, table: dict[str, Any], name: str, value: Any, *, same: Callable[[Any], bool]) -> None:
        if name in table and not same(table[name]):
            self.twins.add(name)
        table.setdefault(name, value)


def code_key(value: Any, /) -> str:  # a function or a class
    """By which name code is kept."""
    return f"{getattr(value, '__module__', None)}.{getattr(value, '__qualname__', value)}"


def object_key(value: Any, /) -> str:  # an object without declared parts
    """By what it holds an object is kept.

    Raises:
        CodecError: What it holds has no stored form.
    """
    return f"{name_of(type(value))}:{fingerprint(value)}"
