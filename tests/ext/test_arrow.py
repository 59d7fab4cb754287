"""Parquet holds what was written, and says what does not go together."""

from __future__ import annotations

import io
import sys
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest

from agentic.arrays import Block
from agentic.errors import ConfigurationError
from agentic.ext import write_parquet


def forms(kind: str, columns: dict[str, np.ndarray[Any, Any]]) -> list[tuple[str, str, str, int]]:
    return [(kind, name, column.dtype.str, column.ndim - 1) for name, column in columns.items()]


def table(*blocks: Block, more: Any = ()) -> Any:
    stream = io.BytesIO()
    columns = [form for block in blocks for form in forms(block.kind, dict(block.columns))]
    firsts = np.cumsum([0, *(len(block) for block in blocks)]).tolist()
    write_parquet(stream, zip(firsts, blocks, strict=False), [*columns, *more])
    return pyarrow.parquet.read_table(io.BytesIO(stream.getvalue()))


def test_every_dtype_comes_back() -> None:
    """As the type that it is, and with its values."""
    texts = np.empty(2, dtype=object)
    texts[:] = ["ü", ""]
    columns: dict[str, Any] = {
        "i": np.array([-1, 2], dtype=np.int16),
        "u": np.array([2**64 - 1, 0], dtype=np.uint64),
        "f": np.array([1.5, np.nan]),
        "b": np.array([True, False]),
        "t": texts,
        "w": np.array(["a", "bb"]),
        "s": np.array([b"x", b"\xff"]),
        "m": np.array([1, 2]).astype("datetime64[us]"),
        "l": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "e": np.zeros((2, 0)),
    }
    found = table(Block("a", columns, {"z": 1, "a": "ü"}))
    assert found.column("meta").to_pylist() == ['{"a":"ü","z":1}'] * 2
    assert found.column("kind").to_pylist() == ["a", "a"]
    assert found.column("position").to_pylist() == [0, 1]
    for name in ("i", "u", "b", "t", "w", "s"):
        assert found.column(name).to_pylist() == columns[name].tolist()
    assert str(found.schema.field("u").type) == "uint64"
    assert found.column("l").to_pylist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
    assert found.column("e").to_pylist() == [[], []]
    assert np.isnan(found.column("f").to_pylist()[1])


def test_kinds_share_a_table() -> None:
    """Columns of one name become wide enough; where a kind has none of it there is nothing."""
    one = Block("a", {"x": np.array([1], dtype=np.int8), "y": np.array([[1.0]])}, {})
    two = Block("b", {"x": np.array([300], dtype=np.int32), "kind": np.array(["k"])}, {})
    found = table(one, two)
    assert found.column("x").to_pylist() == [1, 300]
    assert found.column("y").to_pylist() == [[1.0], None]
    assert found.column("kind").to_pylist() == ["a", "b"]
    assert found.column("kind_").to_pylist() == [None, "k"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (np.array([1]), np.array(["a"])),
        (np.array([1]), np.array([1.5])),
        (np.array([1]), np.array([1], dtype=np.uint64)),
        (np.array([1]), np.array([[1]])),
        (np.array(["a"]), np.array([["a"]])),
    ],
    ids=["text", "float", "unsigned", "axes", "texts"],
)
def test_columns_that_do_not_go_together_are_told(one: Any, other: Any) -> None:
    """By name; nothing is rounded or turned into text to make them fit."""
    with pytest.raises(ConfigurationError, match=r"column 'x' of 'b' records.*--kind"):
        table(Block("a", {"x": one}, {}), Block("b", {"x": other}, {}))


def test_complex_numbers_are_refused() -> None:
    """Parquet has none."""
    with pytest.raises(ConfigurationError, match="complex"):
        table(Block("a", {"x": np.array([1j])}, {}))


def test_a_surrogate_is_hex_digits() -> None:
    """Also where the header tells of numbers."""
    texts = np.empty(1, dtype=object)
    texts[:] = ["0" * 32]
    stream = io.BytesIO()
    write_parquet(stream, [(0, Block("a", {"surrogate": texts}, {}))], [("a", "surrogate", "<u8", 1)])
    assert pyarrow.parquet.read_table(stream).column("surrogate").to_pylist() == ["0" * 32]


def test_without_pyarrow_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra by its name, and the way without."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ConfigurationError, match=r"\[arrow\].*JSON lines"):
        write_parquet(io.BytesIO(), [], [])
