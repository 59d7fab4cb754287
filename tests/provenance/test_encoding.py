"""Records become bytes and bytes records, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from agentic.arrays import Block
from agentic.errors import LogError
from agentic.provenance import _encoding, _headers
from agentic.provenance._encoding import Packer, TooWide, public_columns, unpack, written_meta
from agentic.provenance._headers import Header

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=80)
DTYPES = st.one_of(
    hnp.boolean_dtypes(),
    hnp.integer_dtypes(endianness="?"),
    hnp.unsigned_integer_dtypes(endianness="?"),
    hnp.floating_dtypes(endianness="?", sizes=(16, 32, 64)),
    hnp.complex_number_dtypes(endianness="?", sizes=(64, 128)),
    hnp.datetime64_dtypes(endianness="?"),
    hnp.timedelta64_dtypes(endianness="?"),
    hnp.byte_string_dtypes(endianness="?", min_len=1, max_len=9),
)


@st.composite
def columns(draw: st.DrawFn, count: int) -> np.ndarray[Any, Any]:
    """A column of any stored dtype and shape, with few different values or many."""
    shape = (count, *draw(st.lists(st.integers(0, 3), max_size=2)))
    if draw(st.booleans()):
        cells = int(np.prod(shape))
        out = np.empty(cells, dtype=object)
        out[:] = draw(st.lists(TEXTS, min_size=cells, max_size=cells))
        out = out.reshape(shape)
        if draw(st.booleans()):
            out = out.astype("U")
    else:
        out = draw(hnp.arrays(draw(DTYPES), shape))
    if count and draw(st.booleans()):
        out = np.repeat(out[:1], count, axis=0)
    if draw(st.booleans()):
        out = np.asfortranarray(out)
    return out


@st.composite
def blocks(draw: st.DrawFn) -> Block:
    count = draw(st.integers(1, 6))
    names = draw(st.lists(TEXTS, min_size=1, max_size=5, unique=True))
    named = draw(st.lists(st.sampled_from(names), unique=True))
    return Block(
        draw(st.sampled_from(["decision", "policy", "plugin"])),
        {name: draw(columns(count)) for name in names},
        {"public": named, "other": [1, None, {"a": 1.5}]},
    )


def packed(block: Block, lo: int = 0, hi: int | None = None) -> Any:
    hi = len(block) if hi is None else hi
    return Packer().pack(block, written_meta(block), public_columns(block), lo, hi)


def restored(piece: Any, header: Header | None = None) -> dict[str, np.ndarray[Any, Any]]:
    parts = {
        "fixed": piece.fixed,
        "rows": piece.rows,
        "shared": piece.shared,
        "personal": piece.personal,
    }
    return unpack(header or piece.header, piece.count, parts, None)


def same(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> None:
    assert one.dtype == other.dtype
    assert one.dtype.str == other.dtype.str
    assert one.shape == other.shape
    if one.dtype.kind == "O":
        assert one.tolist() == other.tolist()
    else:
        assert one.tobytes() == other.tobytes()


@given(blocks(), st.data())
def test_a_piece_reads_back_bit_for_bit(block: Block, data: st.DataObject) -> None:
    """Dtype, shape, order, meta and every bit survive, of the block and of any part of it."""
    lo = data.draw(st.integers(0, len(block) - 1))
    hi = data.draw(st.integers(lo + 1, len(block)))
    for a, b in ((0, len(block)), (lo, hi)):
        piece = packed(block, a, b)
        header = Header.read(piece.header.body, piece.header.digest)
        assert header.columns == piece.header.columns
        assert header.meta == block.meta
        assert header.kind == block.kind
        found = restored(piece, header)
        assert list(found) == list(block.columns)
        for name, column in block.columns.items():
            same(column[a:b], found[name])
            assert not found[name].flags.writeable


def test_what_all_records_share_is_written_once() -> None:
    """A column with one value takes its bytes once, and an integer no more than its range needs."""
    count = 1000
    block = Block(
        "policy",
        {
            "same": np.full(count, 1 << 60),
            "small": np.arange(count) % 200,
            "single": (np.arange(count) / 4).astype("f8"),
            "double": np.arange(count) / 3,
            "unsigned": np.arange(count, dtype=np.uint64),
        },
        {},
    )
    piece = packed(block)
    assert len(piece.fixed) == 8
    assert len(piece.rows) == count * (2 + 4 + 8 + 2)


@pytest.mark.parametrize(
    "odd",
    [np.array([1, "a"], dtype=object), np.zeros(2, "g"), np.zeros(2, "i4,f8")],
    ids=["mixed", "long", "void"],
)
def test_what_has_no_stored_form_is_refused_by_name(odd: np.ndarray[Any, Any]) -> None:
    """The error names the column and holds none of its values."""
    with pytest.raises(LogError, match="column 'odd' of a 'fact' block"):
        packed(Block("fact", {"at": np.zeros(2), "odd": odd}, {}))


def test_a_lone_surrogate_is_refused() -> None:
    """Half a character has no UTF-8, and the error does not repeat the text."""
    for block in (
        Block("fact", {"subject": np.array(["ok", "secret\ud800"], dtype=object)}, {}),
        Block("fact", {"sub\ud800ject": np.zeros(2)}, {}),
        Block("fact", {"subject": np.zeros(2)}, {"a": "secret\ud800"}),
    ):
        with pytest.raises(LogError, match="lone surrogate") as caught:
            packed(block)
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "meta",
    [{"a": np.zeros(1)}, {"a": float("nan")}, {(1, 2): 3}, {"a": [{1: 2}]}],
    ids=["array", "nan", "key", "number as key"],
)
def test_a_meta_that_is_no_json_is_refused(meta: dict[Any, Any]) -> None:
    """What cannot be written as JSON is refused before anything is stored."""
    with pytest.raises(LogError, match="must be JSON"):
        packed(Block("fact", {"at": np.zeros(2)}, meta))


@pytest.mark.parametrize("public", ["at", [1], {"at": 1}], ids=str)
def test_public_columns_are_named_in_a_list(public: Any) -> None:
    """A text is not taken for a list of its letters."""
    with pytest.raises(LogError, match="meta\\['public'\\]"):
        packed(Block("plugin", {"at": np.zeros(2)}, {"public": public}))


def test_only_named_columns_are_public() -> None:
    """Of a kind nobody knows, nothing is, and of a decision what the box decides."""
    columns = {"at": np.arange(3), "key": np.arange(3)}
    assert packed(Block("plugin", columns, {})).rows == b""
    assert len(packed(Block("plugin", columns, {"public": ["key"]})).rows) == 3
    decision = packed(Block("decision", columns, {}))
    assert (len(decision.rows), len(decision.personal)) == (3, 3)
    assert not packed(Block("erasure", columns, {})).header.is_personal


def test_records_too_large_for_memory_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many that are large together are packed in parts, a single one has a limit."""
    monkeypatch.setattr(_encoding, "_MOST_COLUMN", 1000)
    block = Block("fact", {"at": np.zeros((2, 100))}, {})
    with pytest.raises(TooWide):
        packed(block)
    assert packed(block, 0, 1).count == 1
    with pytest.raises(LogError, match="takes 1600 bytes"):
        packed(Block("fact", {"at": np.zeros((1, 200))}, {}))
    monkeypatch.setattr(_headers, "_MOST_ROW", 100)
    with pytest.raises(LogError, match="takes 160 bytes"):
        packed(Block("fact", {"at": np.zeros((1, 20))}, {}))


@given(blocks(), st.data())
def test_erased_rows_say_that_nothing_is_known(block: Block, data: st.DataObject) -> None:
    """Of any dtype; rows that were not erased are as they were."""
    piece = packed(block)
    blank = np.array(data.draw(st.lists(st.booleans(), min_size=len(block), max_size=len(block))))
    parts = {"fixed": piece.fixed, "rows": piece.rows, "shared": piece.shared, "personal": piece.personal}
    found = unpack(piece.header, piece.count, parts, blank)
    public = public_columns(block)
    for name, column in block.columns.items():
        if public is None or name in public:
            same(column, found[name])
            continue
        same(column[~blank], found[name][~blank])
        gone = found[name][blank]
        kind = gone.dtype.kind
        if kind in "fc":
            assert np.isnan(gone).all()
        elif kind in "mM":
            assert np.isnat(gone).all()
        else:
            assert not gone.astype(bool).any() or name == "status"
