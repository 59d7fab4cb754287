"""How do subjects, records and layouts look in a database? Bytes, made and read by column.

What is read has passed its check, so it is what was once written; but whoever can write the file can make
checks, so nothing is taken for granted: what does not fit raises a ``ValueError``.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Container, Sequence
from typing import Any, Final

import numpy as np

from agentic.arrays import I64, Layout, Records
from agentic.state._index import Texts

_COUNT: Final = 4  # bytes
_GONE: Final = -1  # the length of a name that was forgotten
_WORD: Final = 8
_LONGEST: Final = 1 << 24  # characters of a layout
_DTYPE: Final = re.compile(r"[<>|=]?(?:[biufcSU][0-9]{1,6}|[mM]8(?:\[[0-9]{0,9}[A-Za-z]{1,2}\])?|b1|\?)")


def pack(subjects: Sequence[str]) -> bytes:
    """Names one after the other, after how many they are, and how long each is: int32, little-endian."""
    texts = Texts(subjects)
    return b"".join(
        (
            len(subjects).to_bytes(_COUNT, "little"),
            texts.size.astype("<i4").tobytes(),
            texts.bytes[:-_WORD].tobytes(),
        )
    )


def unpack(names: bytes) -> tuple[list[str], I64]:
    """Names that were not forgotten, and their places among all.

    Raises:
        ValueError: They are not what ``pack`` makes.
    """
    sizes = _sizes(names)
    places = np.flatnonzero(sizes != _GONE)
    ends = np.cumsum(sizes[places], dtype=np.int64)
    text = names[_COUNT + sizes.nbytes :]
    if (sizes < _GONE).any() or (int(ends[-1]) if len(ends) else 0) != len(text):
        raise ValueError("names and their lengths do not fit")
    spans = zip((ends - sizes[places]).tolist(), ends.tolist(), strict=True)
    if text.isascii():
        letters = text.decode("ascii")
        return [letters[lo:hi] for lo, hi in spans], places
    return [text[lo:hi].decode("utf-8", "surrogatepass") for lo, hi in spans], places


def _sizes(names: bytes) -> np.ndarray[Any, np.dtype[np.int32]]:
    count = int.from_bytes(names[:_COUNT], "little")
    return np.frombuffer(names, dtype="<i4", count=count, offset=_COUNT)


def forget(names: bytes, rows: bytes, gone: Container[str]) -> tuple[bytes, bytes] | None:
    """Both without those who are to be forgotten, the others in their places; ``None`` if none is there.

    Raises:
        ValueError: They do not fit each other.
    """
    subjects, places = unpack(names)
    drop = [i for i, subject in enumerate(subjects) if subject in gone]
    if not drop:
        return None
    sizes = _sizes(names).copy()
    sizes[places[drop]] = _GONE
    blank = np.frombuffer(rows, dtype=np.uint8).copy().reshape(len(sizes), -1)
    blank[places[drop]] = 0
    kept = "".join([subject for subject in subjects if subject not in gone])
    left = names[:_COUNT] + sizes.tobytes() + kept.encode("utf-8", "surrogatepass")
    return left, blank.tobytes()


def records(rows: bytes, dtype: np.dtype[Any], count: int) -> Records:
    """Rows of a dtype, shape (count,).

    Raises:
        ValueError: There are not as many.
    """
    if len(rows) != count * dtype.itemsize:
        raise ValueError("rows and their number do not fit")
    found: Records = np.ndarray((count,), dtype, rows)
    return found


def describe(layout: Layout) -> str:
    """Write a layout as JSON: its name, its fields, and the blank record."""
    dtype = layout.dtype
    fields = [[name, dtype[name].base.str, list(dtype[name].shape)] for name in dtype.names or ()]
    blank = base64.b64encode(layout.blank.tobytes()).decode()
    return json.dumps({"name": layout.name, "fields": fields, "blank": blank})


def read_layout(descr: str) -> Layout:
    """Read what ``describe`` wrote.

    Raises:
        ValueError: It is something else.
    """
    if not isinstance(descr, str) or len(descr) > _LONGEST:  # SQLite keeps bytes in a text column too
        raise ValueError("a layout is too long, or no text")
    try:
        told = json.loads(descr)
        fields = [(str(name), _dtype(kind), tuple(map(int, shape))) for name, kind, shape in told["fields"]]
        dtype = np.dtype(fields)
        blank = records(base64.b64decode(told["blank"], validate=True), dtype, 1)
        return Layout.stored(str(told["name"]), dtype, blank[0])
    except (TypeError, KeyError, RecursionError, OverflowError, MemoryError) as error:
        raise ValueError("a layout has another form") from error


def _dtype(text: object) -> np.dtype[Any]:
    if not isinstance(text, str) or not _DTYPE.fullmatch(text):
        raise ValueError("a field has no known dtype")
    return np.dtype(text)
