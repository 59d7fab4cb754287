"""What is a class made of, by its own declaration: its parts, their types, and how it is built from them?

Attrs classes, dataclasses and named tuples declare their parts. Annotations are those of classes that are
at hand already; a name that means nothing at run time says nothing.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import sys
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final

import attrs
import numpy as np

_NUMBERS: Final = "biufc"
_TYPES: Final[Mapping[Any, tuple[type, ...]]] = {
    float: (int, float, np.integer, np.floating),
    int: (int, np.integer),
    complex: (int, float, complex, np.number),
    bool: (bool, np.bool_),
}


@attrs.frozen(eq=False)
class Part:
    """One part of a class.

    Attributes:
        name: As which an object has it.
        argument: As which it is passed when an object is built.
        needed: There is no object without.
        default: Makes what it is otherwise; ``None`` where that takes more than the class.
        hint: The declared type; ``Any`` where nothing is declared, or nothing that means something.
    """

    name: str
    argument: str
    needed: bool
    default: Callable[[], Any] | None
    hint: Any


def parts(kind: type[Any], /) -> tuple[Part, ...] | None:
    """What objects of this class are built from; ``None`` if it does not say.

    Left out is what ``agentic._codec.plain`` leaves out: fields of attrs classes that are no arguments, or
    whose metadata says ``derived``.
    """
    return _parts(kind)  # type: ignore[arg-type]  # mypy takes classes for unhashable


@functools.lru_cache(maxsize=512)
def _parts(kind: type[Any]) -> tuple[Part, ...] | None:
    if attrs.has(kind):
        return tuple(
            _part(kind, field.name, field.alias or field.name, _default(field.default), field.type)
            for field in attrs.fields(kind)
            if field.init and not field.metadata.get("derived")
        )
    if dataclasses.is_dataclass(kind):
        return tuple(
            _part(kind, field.name, field.name, _factory(field) or _default(field.default), field.type)
            for field in dataclasses.fields(kind)
            if field.init
        )
    names = getattr(kind, "_fields", None)
    if issubclass(kind, tuple) and isinstance(names, tuple):
        declared, defaults = getattr(kind, "__annotations__", {}), getattr(kind, "_field_defaults", {})
        return tuple(
            _part(kind, name, name, _default(defaults.get(name, attrs.NOTHING)), declared.get(name))
            for name in names
        )
    return None


def _default(value: Any) -> Callable[[], Any] | bool:  # a value, or what makes one
    """What makes the default; ``True`` where that takes an object, ``False`` where there is none."""
    if value is attrs.NOTHING or value is dataclasses.MISSING:
        return False
    if isinstance(value, attrs.Factory):  # type: ignore[arg-type]  # a class, whatever its stub says
        return True if value.takes_self else value.factory
    return lambda: value


def _factory(field: dataclasses.Field[Any]) -> Callable[[], Any] | None:
    return None if field.default_factory is dataclasses.MISSING else field.default_factory


def _part(kind: type[Any], name: str, argument: str, default: Callable[[], Any] | bool, told: Any) -> Part:
    hint = _hint(kind, name, told)
    make = None if isinstance(default, bool) else default
    if make is not None and hint is not Any and make() is None:  # declared or not, it may be None
        hint = typing.Optional[hint]  # noqa: UP045 - a hint may be of a type that knows no bar
    return Part(name, argument, default is False, make, hint)


def build(kind: type[Any], arguments: Mapping[str, Any], /) -> Any:  # an object of the class
    """Build an object from its parts; an attrs class with an ``__init__`` of its own by that of attrs."""
    if not attrs.has(kind):
        return kind(**arguments)
    made = kind.__new__(kind)
    names = ("__attrs_init__", "__init__")
    init = next(each.__dict__[name] for each in kind.__mro__ for name in names if name in each.__dict__)
    init(made, **arguments)
    return made


def mentioned(hint: Any, /) -> Iterator[type[Any]]:  # hints are of many types
    """The classes that a type is made of."""
    kind = typing.get_origin(hint) or hint
    if isinstance(kind, type):
        yield kind
    for each in typing.get_args(hint):
        yield from mentioned(each)


def fits(value: Any, hint: Any, /) -> bool:  # anything, and a type
    """Whether a value is what a type says, as far as that is easily told.

    Any real number will do for a float, any array of numbers for one of floats, a list for a tuple.
    """
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, each) for each in typing.get_args(hint))
    if origin is typing.Literal:
        return value in typing.get_args(hint)
    if hint is None:
        return value is None
    if hint in _TYPES:
        return isinstance(value, _TYPES[hint])
    kind = origin or hint
    if not isinstance(kind, type):
        return True
    check = next((check for of, check in _CONTAINERS.items() if kind is of), None)
    if check is not None:
        return check(value, typing.get_args(hint))
    try:
        return isinstance(value, kind)
    except TypeError:  # a protocol that is not for run time
        return True


def _fits_sequence(value: Any, args: tuple[Any, ...]) -> bool:
    if not isinstance(value, Sequence) or isinstance(value, str):
        return False
    if not args:
        return True
    if len(args) == 1 or args[1:] == (...,):
        return all(fits(item, args[0]) for item in value)
    return len(value) == len(args) and all(map(fits, value, args))


def _fits_mapping(value: Any, args: tuple[Any, ...]) -> bool:
    if not isinstance(value, Mapping):
        return False
    return len(args) != 2 or all(fits(k, args[0]) and fits(v, args[1]) for k, v in value.items())


def _fits_set(value: Any, args: tuple[Any, ...]) -> bool:
    return isinstance(value, AbstractSet) and all(fits(item, args[0]) for item in (value if args else ()))


def _fits_array(value: Any, args: tuple[Any, ...]) -> bool:
    if not isinstance(value, np.ndarray):
        return False
    told = [each for arg in args[1:] for each in typing.get_args(arg)]
    if len(told) != 1 or not (isinstance(told[0], type) and issubclass(told[0], np.generic)):
        return True
    declared = told[0]
    numbers = issubclass(declared, np.number | np.bool_)
    return value.dtype.kind in _NUMBERS if numbers else np.issubdtype(value.dtype, declared)


_CONTAINERS: Final[Mapping[type, Callable[[Any, tuple[Any, ...]], bool]]] = {
    tuple: _fits_sequence,
    list: _fits_sequence,
    Sequence: _fits_sequence,
    dict: _fits_mapping,
    Mapping: _fits_mapping,
    set: _fits_set,
    frozenset: _fits_set,
    AbstractSet: _fits_set,
    np.ndarray: _fits_array,
}


def _hint(kind: type[Any], name: str, told: Any) -> Any:  # types
    """The declared type of a field, where it means something."""
    if told is None:
        return Any
    owner = next((each for each in kind.__mro__ if name in inspect.get_annotations(each)), kind)
    module = sys.modules.get(owner.__module__)
    try:
        return typing.get_type_hints(
            types.SimpleNamespace(__annotations__={name: told}),
            globalns=vars(module) if module else {},
            localns=dict(vars(owner)),
        )[name]
    except Exception:  # noqa: BLE001 - a plugin's annotation, which may be anything
        return Any
