"""A document and its arrays in one run of bytes: what goes in comes out, and nothing else is taken."""

import json

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from agentic._packing import (
    DEEPEST,
    MOST_BYTES,
    MOST_TEXT,
    Arrays,
    described,
    is_deeper,
    pack,
    parsed,
    unpack,
)
from agentic.errors import CodecError

MAGIC = b"agentic packed 1"

dtypes = (
    arrays_of.boolean_dtypes()
    | arrays_of.integer_dtypes(endianness="?")
    | arrays_of.unsigned_integer_dtypes(endianness="?")
    | arrays_of.floating_dtypes(endianness="?", sizes=(16, 32, 64))
    | arrays_of.complex_number_dtypes(endianness="?", sizes=(64, 128))
    | arrays_of.datetime64_dtypes(endianness="?")
    | arrays_of.timedelta64_dtypes(endianness="?")
    | arrays_of.byte_string_dtypes(endianness="?", min_len=1)
    | arrays_of.unicode_string_dtypes(endianness="?", min_len=1)
)
arrays = arrays_of.arrays(dtypes, arrays_of.array_shapes(min_dims=0, max_dims=4, min_side=0))


def bits(array):
    little = array.astype(array.dtype.newbyteorder("<"))
    return little.dtype.str, little.shape, little.tobytes()


def packed(text, rest=b""):
    """Bytes around a document that nobody checked."""
    return MAGIC + len(text).to_bytes(8, "little") + text + rest


@given(st.lists(arrays, max_size=4), st.booleans())
def test_arrays_come_back_bit_for_bit(held, turned):
    """Every dtype and shape comes back with the same bits, native, writeable and in the same order."""
    held = [array.T if turned else array for array in held]
    document, found = unpack(pack([described(array) for array in held], held))
    for form, array in zip(document, held, strict=True):
        back = found.take(form)
        assert bits(back) == bits(array)
        assert back.dtype.isnative
        assert back.flags.writeable
        assert back.flags.aligned
        if array.flags.c_contiguous or array.flags.f_contiguous:
            assert back.flags.f_contiguous == array.flags.f_contiguous
            assert back.flags.c_contiguous == array.flags.c_contiguous
    found.end()


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
@example("\ud800 alone")
@example({'"': [["\\"], "[[[["]})
def test_documents_come_back(document):
    """Any JSON comes back the same, lone surrogates and brackets in texts included."""
    found, rest = unpack(pack(document, []))
    assert found == document
    rest.end()


def test_a_strided_array_is_written_as_its_values():
    """A view that skips is stored without what it skips."""
    of = np.arange(24.0).reshape(4, 6)[::2, ::3]
    data = pack([described(of)], [of])
    (form,), found = unpack(data)
    np.testing.assert_array_equal(found.take(form), of)
    assert len(data) == 16 + 8 + len(json.dumps([form], separators=(",", ":"))) + of.nbytes


@pytest.mark.parametrize(
    "array",
    [
        np.array([None]),
        np.zeros(2, dtype="i4,f8"),
        np.zeros(2, dtype=np.longdouble),
        np.ma.zeros(2),
        np.zeros(2, dtype="V3"),
    ],
    ids=["objects", "records", "long_double", "masked", "void"],
)
def test_what_has_no_bytes_of_its_own_is_refused(array):
    """Objects, records, masks and numbers whose width depends on the machine have no stored form."""
    with pytest.raises(CodecError, match="has no stored form"):
        described(array)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "begin with"),
        (MAGIC, "begin with"),
        (MAGIC[:-1] + b"2" + packed(b"[]")[16:], "newer version"),
        (b"\x80\x04" + packed(b"[]"), "another program"),
        (packed(b"[]")[:-1], "takes 2 bytes, there are 1"),
        (MAGIC + b"\xff" * 8, "there are 0"),
        (packed(b""), "not JSON"),
        (packed(b"[1"), "not JSON"),
        (packed(b"[] []"), "not JSON"),
        (packed(b"nan"), "not JSON"),
        (packed(b"[NaN]"), "NaN is no number"),
        (packed(b"[-Infinity]"), "-Infinity is no number"),
        (packed(b'{"a":1,"a":1}'), "a key twice"),
        (packed('"ä"'.encode()), "not JSON"),
        (packed(b"9" * 5000), "not JSON"),
        (packed(b"[" * (DEEPEST + 1) + b"]" * (DEEPEST + 1)), "at most 100 deep"),
        (packed(b'{"":' * (DEEPEST + 1) + b"1" + b"}" * (DEEPEST + 1)), "at most 100 deep"),
        (packed(b"[" * 1_000_000), "at most 100 deep"),
        (packed(b'["' + b'\\"' * 100_000 + b"[" * 1_000_000), "not JSON"),
    ],
    ids=lambda value: value.replace(" ", "_") if isinstance(value, str) else f"{value[:40]!r}:{len(value)}",
)
def test_bytes_that_are_no_packed_data_are_refused(data, says):
    """Whatever is wrong, the error is one and says what; nothing is parsed that nests too deep."""
    with pytest.raises(CodecError, match=says):
        unpack(data)


def test_brackets_in_texts_do_not_nest():
    """Depth counts lists and objects, not what texts look like."""
    document = ["[" * 500, '\\"[{' * 500]
    assert parsed(json.dumps(document).encode()) == document
    deepest = b"[" * DEEPEST + b"]" * DEEPEST
    assert parsed(deepest) == json.loads(deepest)
    assert len(parsed(b"[" + b"[]," * 500 + b"[]]")) == 501


FORM = ["<f8", [2], "C"]


@pytest.mark.parametrize(
    "form",
    [
        None,
        "<f8",
        [],
        ["<f8", [2]],
        [None, [2], "C"],
        [["<f8"], [2], "C"],
        ["|O", [2], "C"],
        [">f8", [2], "C"],
        ["<f16", [1], "C"],
        ["f8", [2], "C"],
        ["<f8,<f8", [1], "C"],
        ["|V8", [2], "C"],
        ["<U0", [2], "C"],
        ["|S0", [2], "C"],
        ["<M8[lightyears]", [2], "C"],
        ["<M8[0s]", [2], "C"],
        ["numpy.float64", [2], "C"],
        ["<f8", 2, "C"],
        ["<f8", [2.0], "C"],
        ["<f8", [True], "C"],
        ["<f8", [-1], "C"],
        ["<f8", [-1, -2], "C"],
        ["<f8", ["2"], "C"],
        ["<f8", [1] * 33, "C"],
        ["<f8", [10**30], "C"],
        ["<f8", [0, MOST_BYTES], "C"],
        ["<f8", [1 << 31, 1 << 31, 0], "C"],
        ["<f8", [3], "C"],
        ["<f8", [2], "K"],
        ["<f8", [2], None],
        ["<f8", [2], []],
        ["<U999999999", [1], "C"],
        ["<U999999999", [0], "C"],
    ],
    ids=lambda form: str(form)[:60],
)
def test_arrays_that_are_told_wrongly_are_refused(form):
    """Dtypes that are not in the list, shapes that are none, and more bytes than there are."""
    with pytest.raises(CodecError):
        Arrays(memoryview(bytes(16))).take(form)


def test_bytes_are_taken_once_and_all():
    """What is left over is refused, and so is what was taken already."""
    found = Arrays(memoryview(bytes(16)))
    with pytest.raises(CodecError, match="16 bytes are left over"):
        found.end()
    found.take(FORM)
    found.end()
    with pytest.raises(CodecError, match="there are 0"):
        found.take(FORM)


def test_bytes_that_are_no_value_are_refused():
    """A bool is 0 or 1, a character one that exists."""
    with pytest.raises(CodecError, match="neither 0 nor 1"):
        Arrays(memoryview(b"\x02")).take(["|b1", [1], "C"])
    with pytest.raises(CodecError, match="no character"):
        Arrays(memoryview(b"\xff\xff\xff\xff")).take(["<U1", [1], "C"])


def test_too_much_is_refused_before_it_is_read():
    """A run of bytes and a document have a longest length, which is asked first."""
    with pytest.raises(CodecError, match=f"at most {MOST_TEXT}"):
        parsed(b" " * (MOST_TEXT + 1))
    many = np.broadcast_to(np.zeros(1), (MOST_BYTES // 8 + 1,))
    with pytest.raises(CodecError, match=f"at most {MOST_BYTES}"):
        pack([described(many)], [many])


def test_what_json_cannot_hold_is_refused():
    """Infinite numbers, and lists that hold themselves."""
    endless = []
    endless.append(endless)
    for document in (float("inf"), endless, 10**5000):
        with pytest.raises(CodecError, match="cannot be written as JSON"):
            pack(document, [])


def test_depth_is_told_in_time_as_the_length() -> None:
    """A megabyte of quotes that nothing closes is looked through once."""
    assert is_deeper(b"[" * 40 + b'"' + b'\\"' * 500_000, 32)
    assert not is_deeper(b"[" * 32 + b'"' + b"[" * 500_000 + b'"', 32)
