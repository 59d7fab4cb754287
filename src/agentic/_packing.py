"""How do a document and arrays share one run of bytes, and how are they read from bytes nobody vouches for?

Sixteen bytes say what it is and in which version, eight how long the document is; the document follows,
which is JSON in ASCII, and then the bytes of the arrays one after the other, little-endian. Where an array
stands follows from those before it, so that no two can share bytes and few bytes cannot claim to be many.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray

from agentic.errors import CodecError

Array = NDArray[Any]  # of any dtype

MOST_BYTES: Final = 999_000_000
"""Longest run of bytes, in bytes: a little less than SQLite keeps in one row."""
MOST_TEXT: Final = 32 * 1024 * 1024
"""Longest document, in bytes: what has more belongs into arrays."""
DEEPEST: Final = 100
"""How deep lists and objects of a document may nest."""

_MAGIC: Final = b"agentic packed 1"
_LENGTH: Final = 8
_DTYPE: Final = re.compile(
    r"\|b1|\|[iu]1|<[iu][248]|<f[248]|<c(?:8|16)"
    r"|<[mM]8(?:\[(?:[1-9][0-9]{0,8})?(?:Y|M|W|D|h|m|s|ms|us|ns|ps|fs|as)\])?|\|S[1-9][0-9]{0,8}|<U[1-9][0-9]{0,8}"
)
# A text without an end goes on to the end of all: it must not be looked for again from every quote in it.
_TEXTS: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_MOST_AXES: Final = 32
_LAST_CHARACTER: Final = 0x10FFFF


def described(array: Array, /) -> list[Any]:  # JSON
    """Say what the bytes of an array mean: dtype, shape, and ``"C"`` or ``"F"`` for their order.

    Raises:
        CodecError: Its dtype has no stored form.
    """
    dtype = array.dtype.newbyteorder("<")
    if type(array) is not np.ndarray or not _DTYPE.fullmatch(dtype.str):
        raise CodecError(
            f"an array of {array.dtype} ({type(array).__name__}) has no stored form: use a plain array of"
            " numbers up to 64 bits, bools, times or fixed-width text",
            value=str(array.dtype),
        )
    flat = array.flags.f_contiguous and not array.flags.c_contiguous
    return [dtype.str, list(array.shape), "F" if flat else "C"]


def pack(document: object, arrays: Sequence[Array], /) -> bytes:
    """Write a document and the arrays it speaks of, in its order.

    Raises:
        CodecError: It is too large or nests too deep.
    """
    text = written(document)
    size = len(_MAGIC) + _LENGTH + len(text) + sum(array.nbytes for array in arrays)
    _check_size(size)
    parts: list[Any] = [_MAGIC, len(text).to_bytes(_LENGTH, "little"), text]  # bytes and views of memory
    for array in arrays:
        little = array.astype(array.dtype.newbyteorder("<"), copy=False)
        parts.append(little.reshape(-1, order=described(array)[2]).view(np.uint8).data)
    return b"".join(parts)


def unpack(data: bytes, /) -> tuple[Any, Arrays]:
    """Read a document, and what its arrays are taken from in its order.

    Raises:
        CodecError: It is not what ``pack`` writes.
    """
    _check_size(len(data))
    start = len(_MAGIC) + _LENGTH
    if len(data) < start or not data.startswith(_MAGIC):
        raise CodecError(
            f"packed data begin with {_MAGIC!r} and a length, got {bytes(data[:start])!r}: they are of"
            " another program, or of a newer version of this one"
        )
    length = int.from_bytes(data[len(_MAGIC) : start], "little")
    if length > len(data) - start:
        raise CodecError(
            f"the document of packed data takes {length} bytes, there are {len(data) - start}", value=length
        )
    return parsed(data[start : start + length]), Arrays(memoryview(data)[start + length :])


def written(document: object, /) -> bytes:
    """Write JSON that ``parsed`` reads.

    Raises:
        CodecError: It is no JSON, too long or too deep.
    """
    try:
        text = json.dumps(document, separators=(",", ":"), allow_nan=False).encode("ascii")
    except (TypeError, ValueError, RecursionError) as error:
        raise CodecError(f"the document cannot be written as JSON: {error}") from error
    _check_text(text)
    return text


def parsed(text: bytes, /) -> Any:  # JSON
    """Read JSON that nobody vouches for.

    Raises:
        CodecError: It is malformed, too long or too deep, names a key twice, or holds a number that is none.
    """
    _check_text(text)
    try:
        return json.loads(text.decode("ascii"), object_pairs_hook=_object, parse_constant=_refused)
    except CodecError:
        raise
    except (ValueError, RecursionError) as error:
        raise CodecError(f"the document is not JSON: {error}") from error


@attrs.define
class Arrays:
    """The bytes of arrays, taken one after the other."""

    _left: memoryview

    def take(self, form: object, /) -> Array:
        """The next array, a copy of its own.

        Raises:
            CodecError: It is described wrongly, or there are too few bytes.
        """
        if not (isinstance(form, list) and len(form) == 3):
            raise CodecError(f"an array is told by dtype, shape and order, got {form!r:.200}")
        name, shape, order = form
        if not isinstance(name, str) or not _DTYPE.fullmatch(name) or order not in ("C", "F"):
            raise CodecError(f"there is no stored form of arrays of {name!r:.40}, order {order!r:.40}")
        if not (
            isinstance(shape, list)
            and len(shape) <= _MOST_AXES
            and all(type(length) is int and 0 <= length <= MOST_BYTES for length in shape)
        ):
            raise CodecError(f"the shape of an array is a list of lengths, got {shape!r:.200}")
        try:
            dtype = np.dtype(name)
        except (TypeError, ValueError) as error:
            raise CodecError(f"there are no arrays of {name!r}") from error
        # Empty ones too: what has no rows may still claim to have many columns.
        claimed = dtype.itemsize
        for length in shape:
            claimed *= max(length, 1)
        size = 0 if 0 in shape else claimed
        if claimed > MOST_BYTES or size > len(self._left):
            raise CodecError(
                f"an array of {name}, shape {shape!r:.200}, takes {claimed} bytes, there are"
                f" {len(self._left)}"
            )
        flat = np.frombuffer(self._left[:size], dtype=dtype)
        _check_values(flat)
        self._left = self._left[size:]
        native = flat.astype(dtype.newbyteorder("="))  # always a copy: aligned, and its own
        return native.reshape(shape, order=order)

    def end(self) -> None:
        """Refuse what is left over.

        Raises:
            CodecError: There is.
        """
        if len(self._left):
            raise CodecError(f"{len(self._left)} bytes are left over after the last array")


def _check_values(flat: Array) -> None:
    """Refuse bytes that are no value of the dtype."""
    if flat.dtype.kind == "b" and flat.view(np.uint8).max(initial=0) > 1:
        raise CodecError("a stored bool is neither 0 nor 1")
    if flat.dtype.kind == "U" and flat.view("<u4").max(initial=0) > _LAST_CHARACTER:
        raise CodecError("a stored text holds what is no character")


def _check_size(size: int) -> None:
    if size > MOST_BYTES:
        raise CodecError(f"packed data take at most {MOST_BYTES} bytes, got {size}", value=size)


def _check_text(text: bytes) -> None:
    if len(text) > MOST_TEXT:
        raise CodecError(
            f"a document takes at most {MOST_TEXT} bytes, got {len(text)}: keep what is much in arrays",
            value=len(text),
        )
    if is_deeper(text, DEEPEST):
        raise CodecError(f"a document nests at most {DEEPEST} deep, got more", expected=DEEPEST)


def is_deeper(text: bytes, most: int, /) -> bool:
    """Whether lists and objects nest deeper in a JSON text, told before it is parsed, in time as its length.

    Args:
        text: UTF-8; may be anything.
        most: So many levels are not too deep.
    """
    if text.count(b"[") + text.count(b"{") <= most:
        return False
    bare = np.frombuffer(_TEXTS.sub(b"", text), dtype=np.uint8)
    opened = (bare == ord("[")) | (bare == ord("{"))
    closed = (bare == ord("]")) | (bare == ord("}"))
    depth = np.add.accumulate(opened.astype(np.int8) - closed.astype(np.int8), dtype=np.int32)
    return bool(depth.max(initial=0) > most)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise CodecError("a document names a key twice")
    return found


def _refused(constant: str) -> None:
    raise CodecError(f"{constant} is no number of JSON")
