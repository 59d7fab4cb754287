"""What classes declare is what they are built from, and their types say what fits."""

import dataclasses
import typing
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import timedelta
from typing import Any, Generic, Literal, NamedTuple, Protocol, TypeVar

import attrs
import numpy as np
import pytest
from numpy.typing import NDArray

from agentic._declared import build, fits, mentioned, parts
from agentic.protocols import Policy

T = TypeVar("T")


class Quiet(Protocol):
    """Not for run time."""

    def speak(self) -> str: ...


@attrs.frozen
class Box(Generic[T]):
    held: T


@attrs.frozen
class Several:
    """Built by a constructor of its own."""

    names: tuple[str, ...]

    def __init__(self, *names):
        self.__attrs_init__(names)


@attrs.frozen
class More(Several):
    """Built by its parent's."""

    count: int = 0


class Named(More):
    """Built by its grandparent's."""


@attrs.frozen(kw_only=True)
class Fields:
    needed: "Box[int]"
    shown: float = 1.0
    _private: str = "p"
    sloppy: int = None
    unknown: "Nowhere" = ()  # noqa: F821
    untyped: Any = 3
    of_self: int = attrs.field(default=attrs.Factory(lambda self: 2, takes_self=True))
    made: list[int] = attrs.field(factory=list)
    derived: int = attrs.field(default=0, metadata={"derived": True})
    later: int = attrs.field(init=False, default=0)


@dataclasses.dataclass
class Data:
    needed: int
    plain: str = "x"
    made: dict[str, int] = dataclasses.field(default_factory=dict)
    later: int = dataclasses.field(init=False, default=0)


class Pair(NamedTuple):
    first: int
    second: "str | None" = None


def test_parts_are_the_arguments():
    """What is no argument is left out, as is what is derived; private fields are passed by their alias."""
    found = {part.name: part for part in parts(Fields)}
    assert list(found) == ["needed", "shown", "_private", "sloppy", "unknown", "untyped", "of_self", "made"]
    assert [part.argument for part in found.values()][2] == "private"
    assert [part.needed for part in found.values()] == [True] + [False] * 7
    made = {name: part.default() for name, part in found.items() if part.default is not None}
    assert made == {"shown": 1.0, "_private": "p", "sloppy": None, "unknown": (), "untyped": 3, "made": []}
    assert found["needed"].hint == Box[int]
    assert found["sloppy"].hint == int | None
    assert found["unknown"].hint is found["untyped"].hint is Any


def test_dataclasses_and_named_tuples_declare_their_parts():
    """Defaults and types are read from either."""
    assert [(part.name, part.needed, part.hint) for part in parts(Data)] == [
        ("needed", True, int),
        ("plain", False, str),
        ("made", False, dict[str, int]),
    ]
    assert [part.default() for part in parts(Data)[1:]] == ["x", {}]
    assert [(part.name, part.needed, part.hint) for part in parts(Pair)] == [
        ("first", True, int),
        ("second", False, str | None),
    ]
    assert parts(int) is parts(dict) is parts(object) is None


def test_objects_are_built_as_attrs_builds_them():
    """A constructor that takes other arguments than the parts is not asked; its checks are."""
    assert build(Several, {"names": ("a", "b")}) == Several("a", "b")
    assert build(Data, {"needed": 1}) == Data(1)
    assert build(Pair, {"first": 1, "second": "x"}) == Pair(1, "x")
    assert build(More, {"names": ("a",), "count": 2}).count == 2
    assert type(build(Named, {"names": ("a",), "count": 2})) is Named
    with pytest.raises(TypeError):
        build(Several, {"name": "a"})


def test_classes_are_found_in_types():
    """Also where they are arguments of others."""
    assert set(mentioned(dict[str, "list[int]"])) >= {dict, str}
    found = set(mentioned(Mapping[str, tuple[Box[int] | None, ...]]))
    assert {Mapping, str, tuple, Box, int} <= found
    assert set(mentioned(Any)) <= {Any}
    assert list(mentioned(T)) == []


def test_a_field_without_a_type_declares_nothing():
    """Classes made without annotations have parts too."""
    kind = attrs.make_class("Bare", ["a"])
    assert [(part.name, part.needed, part.hint) for part in parts(kind)] == [("a", True, Any)]


FITS = [
    (Any, [None, 1, "x"], []),
    (T, [None, 1], []),
    (None, [None], [0]),
    (type(None), [None], [0]),
    (int | None, [None, 1, True, np.int8(1)], ["1", 1.0, np.float64(1)]),
    (float, [1, 1.0, True, np.float32(1), np.int64(1)], ["1", None, 1j]),
    (complex, [1, 1j, np.complex64(1)], ["1"]),
    (bool, [True, np.True_], [1, None]),
    (str, ["x", np.str_("x")], [1, None, ["x"]]),
    (Literal["a", "b"], ["a"], ["c", None]),
    (tuple[int, ...], [(), (1, 2), [1]], [1, "1", (1, "x"), None]),
    (tuple[int, str], [(1, "x")], [(1,), (1, 2), (1, "x", 2)]),
    (tuple, [(), (1, "x")], ["x", 1]),
    (list[str], [[], ["x"]], ["x", [1]]),
    (Sequence[float], [(1, 2.0)], ["12", ("1",)]),
    (dict[str, int], [{}, {"a": 1}], [{1: 1}, {"a": "x"}, []]),
    (Mapping, [{}, {1: 2}], [[]]),
    (set[int], [{1}, frozenset({1}), set()], [{"x"}, [1]]),
    (AbstractSet, [set(), {"x"}], [[1]]),
    (NDArray[np.float64], [np.ones(1), np.ones(1, int), np.ones(1, bool)], [np.array(["x"]), [1.0], 1.0]),
    (NDArray[np.str_], [np.array(["x"])], [np.ones(1)]),
    (NDArray[Any], [np.ones(1), np.array(["x"])], [()]),
    (np.ndarray, [np.ones(1)], [1.0]),
    (timedelta, [timedelta(1)], [1]),
    (Box[int], [Box(1), Box("x")], [1]),
    (Box, [Box(1)], [1]),
    (type[int], [int, str], [1]),
    (Callable[[int], int], [len], [1]),
    (Policy, [], [1]),
    (Quiet, [1], []),
    (typing.NewType("Id", str), [1], []),
]


@pytest.mark.parametrize(("hint", "good", "bad"), FITS, ids=[str(hint) for hint, *_ in FITS])
def test_what_fits_a_type(hint, good, bad):
    """A type checker's rules, and more lenient where numbers and arrays are concerned."""
    for value in good:
        assert fits(value, hint), value
    for value in bad:
        assert not fits(value, hint), value
