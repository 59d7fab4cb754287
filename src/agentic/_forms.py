"""Which form has a value, and which value has a form, where forms never name code?

A form is JSON in which every object has one key, which says what it is. It covers what
``agentic._codec.fingerprint`` covers, and tells apart what that does not: tuples and lists, numbers of numpy
and of Python, the order of a mapping.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from types import MappingProxyType
from typing import Any, Final

import attrs
import numpy as np

from agentic import _declared, _packing
from agentic._codec import canonical
from agentic._known import CODE, Known, code_key, name_of, object_key
from agentic.catalogue import Catalogue
from agentic.conditions import Condition, load
from agentic.errors import AgenticError, CodecError
from agentic.protocols import Storable

_KEY_BITS: Final = 64
_LISTS: Final[Mapping[type, str]] = {tuple: "tuple", list: "list"}
_SETS: Final[Mapping[type, str]] = {set: "set", frozenset: "frozenset"}
_MAPS: Final[Mapping[type, str]] = {dict: "dict", MappingProxyType: "proxy"}


@attrs.frozen(eq=False)
class Writer:
    """Turns values into forms: JSON in which every object has one key, which says what it is."""

    known: Known
    arrays: list[np.ndarray[Any, Any]] = attrs.field(factory=list)

    def form(self, value: Any, path: str, depth: int, /) -> Any:  # JSON
        """The form of a value.

        Raises:
            CodecError: It has none.
        """
        if depth > _packing.DEEPEST:
            raise CodecError(f"{path:.200} nests more than {_packing.DEEPEST} deep")
        kind = type(value)
        if value is None or kind in (bool, int, str):
            return value
        if kind is float:
            return value if math.isfinite(value) else {"float": repr(value)}
        if kind in _LISTS:
            return {
                _LISTS[kind]: [self.form(each, f"{path}[{i}]", depth + 1) for i, each in enumerate(value)]
            }
        if kind is np.ndarray or isinstance(value, np.generic):
            array = np.asarray(value)
            try:
                told = _packing.described(array)
            except CodecError as error:
                raise CodecError(f"{path}: {error}", **error.facts) from None
            self.arrays.append(array)
            return {"array" if kind is np.ndarray else "scalar": told}
        if kind in _MAPS:
            return {_MAPS[kind]: self._pairs(value, path, depth + 1)}
        if kind in _SETS:
            items = sorted(value, key=canonical)
            return {_SETS[kind]: [self.form(each, f"{path}[{i}]", depth + 1) for i, each in enumerate(items)]}
        if isinstance(value, Condition):
            return {"condition": _packing.written(value.to_json()).decode("ascii")}
        if isinstance(value, Catalogue):
            return {"catalogue": self.form(value.actions, f"{path}.actions", depth + 1)}
        if kind is timedelta:
            return {"span": [value.days, value.seconds, value.microseconds]}
        if kind is datetime:
            if value.tzinfo is not None and type(value.tzinfo) is not timezone:
                raise CodecError(f"{path} holds a time of {value.tzinfo!r}: keep times in UTC", value=value)
            return {"time": value.isoformat()}
        return self._object(value, path, depth)

    def _pairs(self, value: Mapping[Any, Any], path: str, depth: int) -> list[Any]:
        return [
            [self.form(key, f"{path}, key {i}", depth + 1), self.form(item, f"{path}, item {i}", depth + 1)]
            for i, (key, item) in enumerate(value.items())
        ]

    def _object(self, value: Any, path: str, depth: int) -> Any:  # JSON
        kind = type(value)
        if isinstance(value, enum.Enum):
            if kind.__members__.get(value.name) is not value:
                raise CodecError(f"{path} is no member of {kind.__qualname__} with a name", value=value)
            return {"member": [self._named(kind, path), value.name]}
        if isinstance(value, CODE):
            return self._kept(code_key(value), value, path)
        if isinstance(value, Storable):
            name = name_of(kind)
            if type(self.known.storable.get(name)) is not kind:
                raise CodecError(f"{path} holds a {kind.__qualname__}, of which the template holds none")
            return {"made": [name, self.form(dict(value.to_data()), f"{path}.to_data()", depth + 1)]}
        parts = _declared.parts(kind)
        if parts is None:
            try:
                key = object_key(value)
            except CodecError as error:
                raise CodecError(f"{path}: {error}", **error.facts) from error
            return self._kept(key, value, path)
        name = self._named(kind, path)
        fields = {}
        for part in parts:
            held, where = getattr(value, part.name), f"{path}.{part.name}"
            _check_fit(held, part, where)
            fields[part.name] = self.form(held, where, depth + 1)
        return {"object": [name, fields]}

    def _named(self, kind: type[Any], path: str) -> str:
        name = self.known.name(kind)
        if name is None:
            raise CodecError(
                f"{path} holds a {kind.__qualname__}, a class that the template does not lead to: declare"
                f" what the field may hold, such as '{kind.__qualname__} | None', and name no two alike",
                value=kind.__qualname__,
            )
        return name

    def _kept(self, key: str, value: Any, path: str) -> Any:  # JSON
        if key not in self.known.kept or key in self.known.twins:
            raise CodecError(
                f"{path} holds a {type(value).__qualname__} that has no stored form and is not as the"
                " template holds it: make its class an attrs class, or give it to_data and from_data",
                value=key,
            )
        return {"kept": key}


def _check_fit(held: Any, part: _declared.Part, path: str) -> None:
    if not _declared.fits(held, part.hint):
        raise CodecError(
            f"{path} is declared as {part.hint!r:.200} and holds a {type(held).__qualname__}",
            value=type(held).__qualname__,
            expected=part.hint,
        )


@attrs.frozen(eq=False)
class Reader:
    """Turns forms into values, trusting nothing about them."""

    known: Known
    arrays: _packing.Arrays

    def value(self, form: Any, path: str, /) -> Any:  # anything
        """The value of a form.

        Raises:
            CodecError: It is none, or one of something the template does not know.
        """
        if isinstance(form, float) and not math.isfinite(form):
            raise CodecError(f"{path} is a number too large for a float")
        if form is None or isinstance(form, bool | int | float | str):
            return form
        if not isinstance(form, dict) or len(form) != 1:
            raise CodecError(
                f"{path} is no stored form: expected an object with one key, got a {type(form).__name__}"
            )
        ((tag, content),) = form.items()
        read = _READ.get(tag)
        if read is None:
            raise CodecError(f"{path} is a {tag!r:.40}, expected one of {sorted(_READ)!r}", value=tag)
        try:
            return read(self, content, path)
        except CodecError:
            raise
        except AgenticError as error:
            raise CodecError(f"{path} cannot be made of what is stored: {error}", **error.facts) from error
        except Exception as error:  # constructors of plugins, on data that may be anything
            raise CodecError(
                f"{path} cannot be made of what is stored: {type(error).__name__}", value=tag
            ) from error

    def items(self, content: Any, path: str) -> list[Any]:
        if not isinstance(content, list):
            raise CodecError(f"{path} is no list, but a {type(content).__name__}")
        return [self.value(each, f"{path}[{i}]") for i, each in enumerate(content)]

    def pairs(self, content: Any, path: str) -> dict[Any, Any]:
        if not isinstance(content, list):
            raise CodecError(f"{path} is no list of pairs, but a {type(content).__name__}")
        found = {}
        for i, (key, item) in enumerate(content):
            read = _key(self.value(key, f"{path}, key {i}"), path)
            if read in found:
                raise CodecError(f"{path} has a key twice")
            found[read] = self.value(item, f"{path}, item {i}")
        return found

    def distinct(self, content: Any, path: str) -> list[Any]:
        items = [_key(item, path) for item in self.items(content, path)]
        if len(set(items)) < len(items):
            raise CodecError(f"{path} has an item twice")
        return items

    def array(self, content: Any, path: str) -> np.ndarray[Any, Any]:
        try:
            return self.arrays.take(content)
        except CodecError as error:
            raise CodecError(f"{path}: {error}", **error.facts) from error

    def float(self, content: Any, path: str) -> float:
        if content not in ("nan", "inf", "-inf"):
            raise CodecError(f"{path} is no float: {content!r:.40}")
        return float(content)

    def span(self, content: Any, path: str) -> timedelta:
        days, seconds, micros = content
        if not all(type(each) is int for each in content):
            raise CodecError(f"{path} is no length of time, but a {type(content).__name__}")
        return timedelta(days, seconds, micros)

    def catalogue(self, content: Any, path: str) -> Catalogue:
        return Catalogue.of(self.value(content, f"{path}.actions"))

    def member(self, content: Any, path: str) -> Any:  # of an enumeration
        name, member = content
        kind = self.known.named(name, path)
        if not issubclass(kind, enum.Enum) or member not in kind.__members__:
            raise CodecError(f"{path} is no member of {name}: {member!r:.200}")
        return kind[member]

    def kept(self, content: Any, path: str) -> Any:  # anything the template holds
        if not isinstance(content, str) or content in self.known.twins or content not in self.known.kept:
            raise CodecError(f"{path} is {content!r:.200}, which the template does not hold", value=content)
        return self.known.kept[content]

    def made(self, content: Any, path: str) -> Any:  # by the component itself
        name, data = content
        maker = self.known.storable.get(name)
        if maker is None or name in self.known.twins:
            raise CodecError(f"{path} is a {name!r:.200}, which the template does not hold", value=name)
        out = maker.from_data(self.value(data, path))
        if type(out) is not type(maker):
            raise CodecError(f"{path}: from_data must return a {name}, got {type(out).__name__}")
        return out

    def object(self, content: Any, path: str) -> Any:  # of a class the template knows
        name, fields = content
        kind = self.known.named(name, path)
        parts = {part.name: part for part in _declared.parts(kind) or ()}
        if not isinstance(fields, dict) or issubclass(kind, enum.Enum):
            raise CodecError(f"{path} is no {name}", value=name)
        if unknown := sorted(fields.keys() - parts.keys()):
            raise CodecError(f"{path} has fields that a {name} has not: {unknown!r:.500}", value=unknown)
        arguments = {}
        for field, form in fields.items():
            part, where = parts[field], f"{path}.{field}"
            held = self.value(form, where)
            _check_fit(held, part, where)
            arguments[part.argument] = held
        if missing := [each.name for each in parts.values() if each.needed and each.name not in fields]:
            raise CodecError(f"{path} lacks {missing!r} of a {name}", value=missing)
        return _declared.build(kind, arguments)


def _key(value: Any, path: str) -> Any:  # anything that can be hashed
    """A key or an item of a set, unless it was made to collide with others."""
    for number in value if isinstance(value, tuple) else (value,):
        if isinstance(number, int) and number.bit_length() > _KEY_BITS:
            raise CodecError(f"{path} has a key of more than {_KEY_BITS} bits")
    return value


def _text(content: Any, path: str) -> str:
    if not isinstance(content, str):
        raise CodecError(f"{path} is no text, but a {type(content).__name__}")
    return content


_READ: Final[Mapping[str, Any]] = {  # functions of a reader, a content and a path
    "float": Reader.float,
    "tuple": lambda reader, content, path: tuple(reader.items(content, path)),
    "list": Reader.items,
    "set": lambda reader, content, path: set(reader.distinct(content, path)),
    "frozenset": lambda reader, content, path: frozenset(reader.distinct(content, path)),
    "dict": Reader.pairs,
    "proxy": lambda reader, content, path: MappingProxyType(reader.pairs(content, path)),
    "array": Reader.array,
    "scalar": lambda reader, content, path: reader.array(content, path)[()],
    "condition": lambda _, content, path: load(_packing.parsed(_text(content, path).encode("ascii"))),
    "catalogue": Reader.catalogue,
    "span": Reader.span,
    "time": lambda _, content, path: datetime.fromisoformat(_text(content, path)),
    "member": Reader.member,
    "kept": Reader.kept,
    "made": Reader.made,
    "object": Reader.object,
}
