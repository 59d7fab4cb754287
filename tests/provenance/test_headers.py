"""A header from a file is believed in nothing that it does not say as we would have."""

from __future__ import annotations

import hashlib
import json
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentic.arrays import Block
from agentic.errors import DamagedError, LogError
from agentic.provenance._encoding import Packer, public_columns, unpack, written_meta
from agentic.provenance._headers import Header

GOOD = {
    "columns": [["x", "<f8", "<f4", [2], "rows", "C"], ["who", "|O", "text:8", [], "personal", "C"]],
    "kind": "fact",
    "meta": {"a": [1]},
    "v": 1,
}


def read(found: Any) -> Header:
    body = found if isinstance(found, bytes) else json.dumps(found).encode()
    return Header.read(body, hashlib.sha256(body).digest())


def test_a_good_header_is_read() -> None:
    """The example that the others are made of."""
    header = read(GOOD)
    assert header.widths == {"fixed": 0, "rows": 8, "shared": 0, "personal": 10}
    assert (header.kind, header.meta, header.is_personal) == ("fact", {"a": [1]}, True)


def column(**change: Any) -> dict[str, Any]:
    names = ("name", "dtype", "stored", "shape", "place", "order")
    own = {**dict(zip(names, GOOD["columns"][0], strict=True)), **change}  # type: ignore[arg-type]
    return {**GOOD, "columns": [list(own.values())]}


WITH = b'{"columns":[["x","<f8","<f4",[],"rows","C"]],"kind":"a","meta":{"a":%s},"v":1}'
HOSTILE = {
    "no JSON": b"{",
    "no UTF-8": b"\xff",
    "a list": [],
    "nothing": {},
    "more": {**GOOD, "more": 1},
    "less": {name: GOOD[name] for name in ("columns", "kind", "meta")},
    "another version": {**GOOD, "v": 2},
    "kind": {**GOOD, "kind": 1},
    "meta": {**GOOD, "meta": []},
    "no columns": {**GOOD, "columns": []},
    "columns": {**GOOD, "columns": {"x": 1}},
    "column": {**GOOD, "columns": [1]},
    "short column": {**GOOD, "columns": [["x"]]},
    "twice": {**GOOD, "columns": [GOOD["columns"][0]] * 2},  # type: ignore[index]
    "many": {**GOOD, "columns": [[str(i), "<f8", "<f8", [], "rows", "C"] for i in range(5000)]},
    "name": column(name=None),
    "object": column(dtype="|O", stored="|O"),
    "void": column(dtype="|V8", stored="|V8"),
    "structured": column(dtype="f8,i4"),
    "module": column(dtype="numpy.float64"),
    "long double": column(dtype="<f16", stored="<f16"),
    "big stored": column(stored=">f8"),
    "wide text": column(dtype="|O", stored="text:999999999"),
    "empty text": column(dtype="|O", stored="text:0"),
    "text as number": column(stored="text:8"),
    "number as text": column(dtype="<U4", stored="<f8"),
    "float as int": column(stored="<i4"),
    "int as float": column(dtype="<i8", stored="<f8"),
    "signs": column(dtype="<i8", stored="|u1"),
    "wider": column(dtype="<i2", stored="<i8"),
    "halved": column(dtype="<f8", stored="<f2"),
    "bool": column(dtype="|b1", stored="|b1"),
    "time": column(dtype="<M8[us]", stored="<M8[us]"),
    "unit": column(dtype="<M8[years]", stored="<i8"),
    "bytes": column(dtype="|S4", stored="|S5"),
    "shape": column(shape=-1),
    "negative": column(shape=[-1]),
    "true": column(shape=[True]),
    "float length": column(shape=[1.0]),
    "deep shape": column(shape=[1] * 9),
    "huge": column(shape=[1 << 28]),
    "huge together": column(shape=[1 << 20, 1 << 20]),
    "place": column(place="elsewhere"),
    "order": column(order="K"),
    "nan": b'{"columns":[["x","<f8","<f4",[],"rows","C"]],"kind":"a","meta":{"a":NaN},"v":1}',
    "deep": b'{"columns":[["x","<f8","<f4",[],"rows","C"]],"kind":"a","meta":{"a":'
    + b"[" * 50_000
    + b"]" * 50_000
    + b'},"v":1}',
    "long": b" " * (1 << 20) + json.dumps(GOOD).encode(),
    "digits": b'{"columns":[["x","<f8","<f4",[],"rows","C"]],"kind":"a","meta":{"a":'
    + b"1" * 5000
    + b'},"v":1}',
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_header_is_damage(name: str) -> None:
    """Whatever else it is, it is a typed error, and no module is imported for it."""
    before = set(sys.modules)
    with pytest.raises(DamagedError):
        read(HOSTILE[name])
    assert set(sys.modules) == before


@pytest.mark.parametrize("body", [None, 1, "text", b""], ids=str)
def test_a_body_of_another_type_is_damage(body: Any) -> None:
    """SQLite keeps what it is given, of any type."""
    with pytest.raises(DamagedError):
        Header.read(body, hashlib.sha256(b"").digest())


@given(st.data())
def test_a_changed_header_does_not_match_its_digest(data: st.DataObject) -> None:
    """Any byte of it."""
    body = json.dumps(GOOD).encode()
    at = data.draw(st.integers(0, len(body) - 1))
    odd = bytearray(body)
    odd[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(DamagedError, match="digest"):
        Header.read(bytes(odd), hashlib.sha256(body).digest())


TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
NUMBERS = st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
)


@given(JSON, TEXTS)
def test_any_meta_and_kind_come_back(value: Any, kind: str) -> None:
    """What JSON can say is said, and read back equal."""
    block = Block(kind, {"x": np.zeros(1)}, {"value": value})
    piece = Packer().pack(block, written_meta(block), public_columns(block), 0, 1)
    header = read(piece.header.body)
    assert (header.kind, header.meta) == (kind, block.meta)
    assert header.meta_text == piece.header.meta_text


def test_a_meta_too_large_or_too_deep_is_refused() -> None:
    """What a reader would not believe is not written."""
    deep: list[Any] = []
    for _ in range(40):
        deep = [deep]
    for meta in ({"text": "x" * (1 << 20)}, {"deep": deep}):
        block = Block("fact", {"x": np.zeros(1)}, meta)
        with pytest.raises(LogError, match="fit into a header"):
            Packer().pack(block, written_meta(block), frozenset(), 0, 1)
    brackets = Block("fact", {"x": np.zeros(1)}, {"text": "[" * 1000})
    piece = Packer().pack(brackets, written_meta(brackets), frozenset(), 0, 1)
    assert read(piece.header.body).meta == brackets.meta


def test_texts_that_are_none_are_damage() -> None:
    """A length beyond the width, or bytes that are not UTF-8."""
    header = read(GOOD)
    rows = bytes(16)
    for text in (b"\x09\x00" + b"12345678", b"\xff\xff" + bytes(8), b"\x02\x00" + b"\xff\xfe" + bytes(6)):
        parts = {"fixed": b"", "rows": rows, "shared": b"", "personal": text * 2}
        with pytest.raises(DamagedError, match="'who'"):
            unpack(header, 2, parts, None)


def test_columns_that_would_not_fit_into_memory_are_damage() -> None:
    """A few bytes cannot ask for gigabytes."""
    found = {**GOOD, "columns": [["x", "<U99999999", "text:8", [], "fixed", "C"]]}
    parts = {"fixed": bytes(10), "rows": b"", "shared": b"", "personal": b""}
    with pytest.raises(DamagedError, match="'x' would take"):
        unpack(read(found), 4096, parts, None)
