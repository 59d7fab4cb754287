"""What says how the bytes of records are to be read?

A header: canonical JSON that many pieces of a log share, named by its SHA-256. It is checked for size and
depth before it is parsed, and believed in nothing that would not fit the bytes it describes.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Sequence
from typing import Any, Final

import attrs
import numpy as np

from agentic._packing import is_deeper
from agentic.errors import DamagedError, LogError

PLACES: Final = ("fixed", "rows", "shared", "personal")
_VERSION: Final = 1
_MOST_BODY: Final = 1 << 20  # bytes of a header
_MOST_DEPTH: Final = 32  # of its JSON
_MOST_ROW: Final = 1 << 28  # bytes of a record
_MOST_COLUMNS: Final = 4096

DTYPES: Final = re.compile(
    r"\|b1|\|[iu]1|[<>](?:[iu][248]|f[248]|c8|c16|U[1-9]\d{0,8}|[Mm]8(?:\[\d{0,9}(?:Y|M|W|D|h|m|s|ms|us|ns|ps|fs|as)\])?)"
    r"|\|S[1-9]\d{0,8}|\|O"
)
_STORED: Final = re.compile(r"text:[1-9]\d{0,8}|\|[iu]1|<(?:[iu][248]|f[248]|c8|c16)|\|S[1-9]\d{0,8}")

write_json: Final = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
).encode


@attrs.frozen
class Column:
    """Where a column is and how to read it.

    Attributes:
        name: Of the column.
        dtype: What it had, as ``numpy.dtype.str``; ``"|O"`` for text.
        stored: What its bytes are: a dtype, or ``"text:w"`` for texts of up to w bytes.
        shape: Of one record's value.
        place: One of ``PLACES``.
        order: ``"F"`` where the array had its columns together, else ``"C"``.
    """

    name: str
    dtype: str
    stored: str
    shape: tuple[int, ...]
    place: str
    order: str

    @property
    def size(self) -> int:
        """Bytes of one record's value."""
        return math.prod(self.shape) * _width(self.stored)

    def written(self) -> list[Any]:  # JSON-compatible
        """As the header has it."""
        return [self.name, self.dtype, self.stored, list(self.shape), self.place, self.order]


def _width(stored: str) -> int:
    """Bytes of a value of this stored form."""
    if stored.startswith("text:"):
        width = int(stored[5:])
        return width + (2 if width < 1 << 16 else 4)
    return int(stored[2:])


def _slots(columns: Sequence[Column]) -> np.dtype[np.void]:
    """The bytes of one record's values in these columns, as a structured dtype; a text takes two fields."""
    names: list[str] = []
    formats: list[Any] = []  # dtypes, with shapes
    for index, column in enumerate(columns):
        if not column.size:
            continue
        if column.stored.startswith("text:"):
            width = int(column.stored[5:])
            inner = [("n", "<u2" if width < 1 << 16 else "<u4"), ("t", f"S{width}")]
            names.append(str(index))
            formats.append((np.dtype(inner), column.shape))
        else:
            names.append(str(index))
            formats.append((np.dtype(column.stored), column.shape))
    return np.dtype({"names": names, "formats": formats})


@attrs.frozen(eq=False)
class Header:
    """What holds for all records of a piece, and how to read them.

    Attributes:
        body: Canonical JSON, UTF-8.
        digest: SHA-256 of the body.
        kind: Of the records.
        meta_text: What the block said of all its records, as canonical JSON.
        columns: In the order of the block.
    """

    body: bytes
    digest: bytes
    kind: str
    meta_text: str
    columns: tuple[Column, ...]
    by_place: dict[str, tuple[Column, ...]] = attrs.field(init=False)
    slots: dict[str, np.dtype[np.void]] = attrs.field(init=False)
    widths: dict[str, int] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        by_place = {place: tuple(c for c in self.columns if c.place == place) for place in PLACES}
        slots = {place: _slots(columns) for place, columns in by_place.items()}
        object.__setattr__(self, "by_place", by_place)
        object.__setattr__(self, "slots", slots)
        object.__setattr__(self, "widths", {place: dtype.itemsize for place, dtype in slots.items()})

    @property
    def meta(self) -> dict[str, Any]:  # JSON-compatible
        """What the block said of all its records: one's own copy."""
        found: dict[str, Any] = json.loads(self.meta_text)
        return found

    @property
    def is_personal(self) -> bool:
        """Whether there is anything that could be erased, so that records have salts."""
        return bool(self.by_place["shared"] or self.by_place["personal"])

    @classmethod
    def make(cls, kind: str, meta_text: str, columns: tuple[Column, ...], /) -> Header:
        """Write a header.

        Raises:
            LogError: It is larger than a header may be, or its kind or a name cannot be written as UTF-8.
        """
        written = write_json([column.written() for column in columns])
        text = f'{{"columns":{written},"kind":{write_json(kind)},"meta":{meta_text},"v":{_VERSION}}}'
        try:
            body = text.encode()
        except UnicodeEncodeError:
            raise LogError(
                f"a {kind!a} block has a lone surrogate in its kind, its meta or the name of a column, and"
                " UTF-8 has no bytes for that: nothing was appended"
            ) from None
        if len(body) > _MOST_BODY or is_deeper(body, _MOST_DEPTH):
            raise LogError(
                f"the meta of a {kind!r} block, {len(body)} bytes, is too much: at most {_MOST_BODY} bytes"
                f" and {_MOST_DEPTH} levels of JSON fit into a header, put what differs between records into"
                " columns"
            )
        if sum(column.size for column in columns) > _MOST_ROW:
            raise LogError(
                f"a record of a {kind!r} block takes {sum(c.size for c in columns)} bytes, at most"
                f" {_MOST_ROW} can be stored: nothing was appended"
            )
        return cls(body, hashlib.sha256(body).digest(), kind, meta_text, columns)

    @classmethod
    def read(cls, body: bytes, digest: bytes, /) -> Header:
        """Read a stored header.

        Raises:
            DamagedError: It is not what was written, or not a header.
        """
        if not isinstance(body, bytes) or len(body) > _MOST_BODY:
            raise DamagedError("a stored header is no bytes, or more of them than a header may have")
        if hashlib.sha256(body).digest() != digest:
            raise DamagedError(
                "a stored header does not match its digest: restore the file from a backup", digest=digest
            )
        try:
            text = body.decode()
            if is_deeper(body, _MOST_DEPTH):
                raise ValueError
            found = json.loads(text, parse_constant=_no_constant)
            if found.keys() != {"columns", "kind", "meta", "v"} or found["v"] != _VERSION:
                raise ValueError
            kind, meta = found["kind"], found["meta"]
            if (
                not (isinstance(kind, str) and isinstance(meta, dict))
                or len(found["columns"]) > _MOST_COLUMNS
            ):
                raise ValueError
            columns = tuple(_column(*each) for each in found["columns"])
            if len({column.name for column in columns}) < len(columns) or not columns:
                raise ValueError
            if sum(column.size for column in columns) > _MOST_ROW:
                raise ValueError
            kind.encode()  # no lone surrogate
            return cls(body, digest, kind, write_json(meta), columns)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise DamagedError(
                "a stored header does not say how to read its records: the file was written by something"
                " else, restore it from a backup",
                digest=digest,
            ) from None


def _no_constant(text: str) -> None:
    raise ValueError(text)


def _column(name: Any, dtype: Any, stored: Any, shape: Any, place: Any, order: Any) -> Column:  # any JSON
    """A column as a header has it.

    Raises:
        ValueError: It is none.
    """
    right = (
        isinstance(name, str)
        and isinstance(dtype, str)
        and DTYPES.fullmatch(dtype)
        and isinstance(stored, str)
        and _STORED.fullmatch(stored)
        and isinstance(shape, list)
        and len(shape) <= 8
        and all(type(length) is int and 0 <= length <= _MOST_ROW for length in shape)
        and place in PLACES
        and order in {"C", "F"}
    )
    if not right or _width(stored) > _MOST_ROW or not _readable(dtype, stored):
        raise ValueError
    return Column(name, dtype, stored, tuple(shape), place, order)


def _readable(dtype: str, stored: str) -> bool:
    """Whether values stored like this can be read as that."""
    kind = dtype[1]
    if kind in "OU":
        return stored.startswith("text:")
    if stored.startswith("text:"):
        return False
    into, size = stored[1], int(stored[2:])
    if kind == "b":
        return stored == "|u1"
    if kind in "Mm":
        return stored == "<i8"
    if kind == "f":
        return into == "f" and (size == int(dtype[2:]) or (dtype[2:], size) == ("8", 4))
    if kind in "iu":
        return into == kind and size <= int(dtype[2:])
    return into == kind and size == int(dtype[2:])
