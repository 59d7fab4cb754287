"""How do records become bytes, and bytes records?

A piece of a log is up to 4,096 records with the same columns. What is the same in all of its records is
written once (``fixed``); the others follow record by record, each as wide as the next. Columns nobody may
be recognised by are public and never change; all others are personal and can be erased, a record at a time.
A header says which column is where: canonical JSON that many pieces share, named by its SHA-256.

========  ==================================================  ==========================================
place     in                                                  holds
========  ==================================================  ==========================================
fixed     ``blocks.fixed``                                    public values all records of a piece share
rows      ``blocks.public``                                   public values, record by record
shared    ``vault.fixed``                                     personal values all records share
personal  ``vault.personal``                                  personal values, record by record
========  ==================================================  ==========================================

Within a place, columns follow each other in the order of the header, without gaps, in little-endian bytes.
A text is its length in bytes (2 bytes, or 4 from a width of 65,536), then UTF-8, padded with zeros.

Once a record of a piece has been erased, the shared personal values stand in every record that is left,
before the record's own: ``vault.fixed`` is empty and the records are wider by as much. What a commitment
covers, salt, shared values, own values, is the same bytes either way.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray

from agentic.arrays import Block, Status
from agentic.errors import DamagedError, LogError
from agentic.provenance._headers import DTYPES, PLACES, Column, Header, write_json

SALT: Final = 16
_MOST_COLUMN: Final = 1 << 28  # bytes in memory
MOST_PIECE: Final = 1 << 23  # bytes of its public or its personal values, unless it is a single record
_NOT_FOUND: Final = int(Status.NOT_FOUND)

_NARROWER: Final = {
    kind: [
        (np.dtype(f"{kind}{size}"), int(np.iinfo(f"{kind}{size}").min), int(np.iinfo(f"{kind}{size}").max))
        for size in (1, 2, 4)
    ]
    for kind in "iu"
}

PUBLIC: Final[Mapping[str, frozenset[str]]] = {
    "decision": frozenset(
        (
            "at",
            "surrogate",
            "arm",
            "denied",
            "action",
            "probability",
            "explored",
            "score",
            "spread",
            "cost",
            "compute_us",
            "policy_failed",
        )
    ),
    "outcome": frozenset(("decision", "slot", "goal", "at")),
    "reward": frozenset(("decision", "slot", "reward")),
    "fact": frozenset(("at", "surrogate")),
}
_ALL_PUBLIC: Final = frozenset(("policy", "erasure"))


@functools.lru_cache(maxsize=256)
def _forms(dtype: np.dtype[Any]) -> tuple[str, str, np.dtype[Any]] | None:
    """Name of a dtype, its stored form as a name and as a dtype; ``None`` for what is not stored."""
    name = dtype.str
    if not DTYPES.fullmatch(name) or dtype.names is not None or dtype.subdtype is not None:
        return None
    if dtype.kind in "OU":
        return name, "", dtype
    stored = {"b": "|u1", "M": "<i8", "m": "<i8"}.get(dtype.kind, dtype.newbyteorder("<").str)
    return name, stored, np.dtype(stored)


@attrs.frozen(eq=False)
class Packed:
    """A piece as bytes; salts come to it when it is stored."""

    header: Header
    count: int
    fixed: bytes
    rows: bytes
    shared: bytes
    personal: bytes


class TooWide(Exception):  # noqa: N818 - nothing is wrong
    """A text is so long that others had better not be made as wide: pack fewer records at once."""


class Packer:
    """Turns blocks into bytes; remembers the headers it made, the last 1,024 of them."""

    def __init__(self) -> None:
        self._headers: dict[tuple[Any, ...], Header] = {}

    def pack(
        self, block: Block, meta_text: str, public: frozenset[str] | None, lo: int, hi: int, /
    ) -> Packed:
        """Write records ``lo`` to ``hi - 1`` of a block.

        Args:
            block: Its columns have one length.
            meta_text: From ``written_meta``.
            public: From ``public_columns``.
            lo: First record.
            hi: After the last.

        Raises:
            LogError: A column holds what cannot be stored.
            TooWide: These records are better packed in two halves.
        """
        count = hi - lo
        whole = count == len(block)
        signature: list[tuple[str, str, str, tuple[int, ...], str, str]] = []
        held: list[Any] = []  # arrays; bytes of one record
        for name, column in block.columns.items():
            forms = _forms(column.dtype)
            if forms is None:
                raise LogError(
                    f"column {name!r} of a {block.kind!r} block has dtype {column.dtype}: numbers, bools,"
                    " times and texts are stored; nothing was appended",
                    value=name,
                )
            dtype, stored, form = forms
            shape = column.shape[1:]
            part = column if whole else column[lo:hi]
            if part.nbytes > _MOST_COLUMN:
                if count > 1:
                    raise TooWide
                raise LogError(
                    f"a record of column {name!r} of a {block.kind!r} block takes {part.nbytes} bytes, at"
                    f" most {_MOST_COLUMN} can be stored; nothing was appended",
                    value=part.nbytes,
                    expected=_MOST_COLUMN,
                )
            order = "F" if shape and column.flags.f_contiguous and not column.flags.c_contiguous else "C"
            if not stored:
                stored, same, values = _text(name, block.kind, part)
            elif count == 1:
                same, values = (
                    False,
                    part.astype(form).tobytes() if form is not column.dtype else part.tobytes(),
                )
            else:
                stored, same, values = _numbers(part, stored, form)
            if public is None or name in public:
                place = "fixed" if same else "rows"
            else:
                place = "shared" if same else "personal"
            signature.append((name, dtype, stored, shape, place, order))
            held.append(values)
        key = (block.kind, meta_text, *signature)
        header = self._headers.get(key)
        if header is None:
            _check_keys(block.kind, block.meta)
            header = Header.make(block.kind, meta_text, tuple(Column(*each) for each in signature))
            if len(self._headers) >= 1024:
                self._headers.clear()
            self._headers[key] = header
        return _filled(header, count, held)


def _filled(header: Header, count: int, held: Sequence[Any]) -> Packed:  # arrays; bytes of one record
    """Put the values where the header says."""
    parts: dict[str, bytes] = {}
    places: dict[str, list[Any]] = {place: [] for place in PLACES}
    for column, values in zip(header.columns, held, strict=True):
        places[column.place].append(values)
    for place in PLACES:
        values = places[place]
        if count == 1 or place in ("fixed", "shared"):
            parts[place] = b"".join(values)
            continue
        slots = header.slots[place]
        if not slots.itemsize:
            parts[place] = b""
            continue
        if count * slots.itemsize > MOST_PIECE:
            raise TooWide
        out = np.empty(count, dtype=slots)
        for index, array in enumerate(values):
            if header.by_place[place][index].size:
                if isinstance(array, tuple):
                    field = out[str(index)]
                    field["n"], field["t"] = array
                else:
                    out[str(index)] = array
        parts[place] = out.tobytes()
    return Packed(header, count, parts["fixed"], parts["rows"], parts["shared"], parts["personal"])


def _numbers(part: NDArray[Any], stored: str, form: np.dtype[Any]) -> tuple[str, bool, Any]:
    """Stored form, whether all records are the same, and the values: the bytes of one, or an array."""
    if not part.size:
        return stored, True, b""
    kind = part.dtype.kind
    if kind in "iu":
        low, high = int(part.min()), int(part.max())
        if low == high or (part.ndim > 1 and _alike(part)):
            return stored, True, part[:1].astype(form).tobytes()
        for narrower, least, most in _NARROWER[kind]:
            if narrower.itemsize < form.itemsize and least <= low and high <= most:
                return narrower.newbyteorder("<").str, False, part
        return stored, False, part
    if kind == "b":
        part = part.view(np.uint8)
        return (stored, True, part[:1].tobytes()) if _alike(part) else (stored, False, part)
    if kind in "Mm":
        part = part.view(part.dtype.str[0] + "i8")
    if _alike(part):
        return stored, True, part[:1].astype(form).tobytes()
    if stored == "<f8" and _fits_single(part):
        return "<f4", False, part
    return stored, False, part


def _bits(part: NDArray[Any]) -> NDArray[Any]:
    """The same values as integers, so that comparing them compares bytes."""
    size = part.dtype.itemsize
    if part.dtype.kind == "f":
        return part.view(f"{part.dtype.str[0]}u{size}")
    return part


def _alike(part: NDArray[Any]) -> bool:
    """Whether all records have the same bytes; most often the first and the last tell."""
    if part[:1].tobytes() != part[-1:].tobytes():
        return False
    if part.dtype.kind in "cS":
        flat = np.ascontiguousarray(part).view(np.uint8).reshape(len(part), -1)
        return bool((flat == flat[0]).all())
    bits = _bits(part)
    return bool((bits == bits[0]).all())


def _fits_single(part: NDArray[Any]) -> bool:
    """Whether all values are the same, bit for bit, after a journey through 32 bits."""
    with np.errstate(all="ignore"):
        few = part[:8]
        for some in (few, part):
            if not np.array_equal(_bits(some.astype("<f4").astype(part.dtype)), _bits(some)):
                return False
    return True


def _text(name: str, kind: str, part: NDArray[Any]) -> tuple[str, bool, Any]:
    """Stored form, whether all records are the same, and the values, of a column of text."""
    texts: list[Any] = part.ravel().tolist()
    if not texts:
        return "text:8", True, b""
    try:
        joined = "".join(texts)
    except TypeError:
        odd = next(type(text).__name__ for text in texts if not isinstance(text, str))
        raise LogError(
            f"column {name!r} of a {kind!r} block holds a value of type {odd}: a column of objects holds"
            " texts and nothing else; nothing was appended",
            value=name,
            expected="str",
        ) from None
    if joined.isascii():
        lengths = list(map(len, texts))
    else:
        try:
            texts = [text.encode() for text in texts]
        except UnicodeEncodeError:
            raise LogError(
                f"column {name!r} of a {kind!r} block holds a lone surrogate, and UTF-8 has no bytes for"
                " that: nothing was appended",
                value=name,
            ) from None
        lengths = list(map(len, texts))
    width = _roomy(max(lengths))
    stored = f"text:{width}"
    prefix = 2 if width < 1 << 16 else 4
    each = len(texts) // len(part)
    same = len(part) > 1 and texts[:each] == texts[-each:] and texts == texts[:each] * len(part)
    if same or len(part) == 1:
        values = b"".join(
            length.to_bytes(prefix, "little") + _as_bytes(text).ljust(width, b"\0")
            for text, length in zip(texts[:each], lengths, strict=False)
        )
        return stored, same, values
    if width * len(texts) > MOST_PIECE:
        raise TooWide
    shape = part.shape
    return (
        stored,
        False,
        (
            np.array(lengths, dtype=f"<u{prefix}").reshape(shape),
            np.array(texts, dtype=f"S{width}").reshape(shape),
        ),
    )


def _as_bytes(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text


def _roomy(length: int) -> int:
    """The width to give to texts: few different ones, so that headers are few."""
    if length <= 64:
        return max(8, -(-length // 8) * 8)
    if length <= 512:
        return -(-length // 64) * 64
    return 1 << (length - 1).bit_length()


def _check_keys(kind: str, value: Any) -> None:  # JSON-compatible
    """Refuse keys that JSON would turn into texts: they would not be read back as they were."""
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            odd = next(type(key).__name__ for key in value if not isinstance(key, str))
            raise LogError(
                f"the meta of a {kind!r} block must be JSON, its keys texts, got one of type {odd}; nothing"
                " was appended"
            )
        for each in value.values():
            _check_keys(kind, each)
    elif isinstance(value, list | tuple):
        for each in value:
            _check_keys(kind, each)


def written_meta(block: Block, /) -> str:
    """The block's meta as canonical JSON.

    Raises:
        LogError: Something in it is not JSON.
    """
    try:
        return write_json(block.meta)
    except (TypeError, ValueError, RecursionError) as error:
        raise LogError(
            f"the meta of a {block.kind!r} block must be JSON: texts, finite numbers, bools, None, lists, and"
            f" mappings from texts ({type(error).__name__}); nothing was appended"
        ) from None


def public_columns(block: Block, /) -> frozenset[str] | None:
    """Names that are public in such a block; ``None`` for all.

    Raises:
        LogError: ``meta["public"]`` is no list of names.
    """
    if block.kind in _ALL_PUBLIC:
        return None
    known = PUBLIC.get(block.kind, frozenset())
    named = block.meta.get("public")
    if named is None:
        return known
    if not isinstance(named, list | tuple) or not all(isinstance(name, str) for name in named):
        raise LogError(
            f"meta['public'] of a {block.kind!r} block must be a list of column names; nothing was appended"
        )
    return known | frozenset(named)


def blank_rows(salts: bytes, /) -> NDArray[np.bool_]:
    """Which records have been erased, shape (n,): their salt is zero."""
    halves = np.frombuffer(salts, dtype="<u8").reshape(-1, 2)
    found: NDArray[np.bool_] = (halves[:, 0] | halves[:, 1]) == 0
    return found


def unpack(
    header: Header,
    count: int,
    parts: Mapping[str, bytes],
    blank: NDArray[np.bool_] | None,
    names: frozenset[str] | None = None,
    /,
) -> dict[str, NDArray[Any]]:
    """Read columns back, read-only, as they were appended.

    Args:
        header: Of the piece.
        count: Records.
        parts: Bytes by place, of the lengths that its header says.
        blank: Shape (count,): which were erased; ``None`` for none.
        names: Which columns; ``None`` for all.

    Raises:
        DamagedError: A text is not UTF-8.
    """
    out: dict[str, NDArray[Any]] = {}
    # After an erasure what records shared stands in each of them.
    spread = bool(header.widths["shared"]) and not parts.get("shared")
    arrays: dict[str, NDArray[Any]] = {}
    for place in PLACES:
        if header.widths[place] and parts.get(place):
            slots = header.slots[place]
            if place == "personal" and spread:
                slots = np.dtype([("shared", header.slots["shared"]), ("own", slots)])
            arrays[place] = np.frombuffer(parts[place], dtype=slots)
    if spread and "personal" in arrays:
        arrays["shared"], arrays["personal"] = arrays["personal"]["shared"], arrays["personal"]["own"]
    elif spread and parts.get("personal"):
        arrays["shared"] = np.frombuffer(parts["personal"], dtype=header.slots["shared"])
    place_index = dict.fromkeys(PLACES, 0)
    for column in header.columns:
        index = place_index[column.place]
        place_index[column.place] += 1
        if names is not None and column.name not in names:
            continue
        personal = column.place in ("shared", "personal")
        array = arrays[column.place][str(index)] if column.size else None
        found = _restored(column, count, array)
        if personal and blank is not None:
            _blank(column.name, found, blank)
        found.flags.writeable = False
        out[column.name] = found
    return out


def _restored(column: Column, count: int, array: NDArray[Any] | None) -> NDArray[Any]:
    """The column as an array of one's own, shape (count, ...)."""
    shape = (count, *column.shape)
    dtype = np.dtype(column.dtype)
    if math.prod(shape) * dtype.itemsize > _MOST_COLUMN:
        raise DamagedError(
            f"column {column.name!r} would take {math.prod(shape) * dtype.itemsize} bytes, more than is ever"
            " stored: restore the file from a backup",
            value=column.name,
        )
    if array is None:
        return np.zeros(shape, dtype=dtype)
    if dtype.kind in "OU":
        return _restored_text(column, shape, dtype, array)
    if dtype.kind == "b":
        array = array != 0
    elif dtype.kind in "Mm":
        array = np.ascontiguousarray(array).view(dtype.newbyteorder("<"))
    out: NDArray[Any] = np.empty(shape, dtype=dtype, order="F" if column.order == "F" else "C")
    out[...] = array
    return out


def _restored_text(
    column: Column, shape: tuple[int, ...], dtype: np.dtype[Any], array: NDArray[Any]
) -> NDArray[Any]:
    raw, lengths = array["t"], array["n"]
    try:
        if (np.char.str_len(raw) != lengths).any():  # a text ends with a zero, or bytes are not ours
            width = raw.dtype.itemsize
            flat = np.ascontiguousarray(raw).tobytes()
            sizes = lengths.ravel().tolist()
            if max(sizes) > width:
                raise ValueError
            texts = [flat[at * width : at * width + size].decode() for at, size in enumerate(sizes)]
        else:
            texts = np.char.decode(raw, "utf-8").ravel().tolist()
    except ValueError:
        raise DamagedError(
            f"texts of column {column.name!r} are stored as something else than UTF-8: restore the file from"
            " a backup",
            value=column.name,
        ) from None
    flat_out = np.empty(len(texts), dtype=dtype)
    flat_out[:] = texts
    out: NDArray[Any] = np.empty(shape, dtype=dtype)
    out[...] = flat_out.reshape(array.shape)
    return out


def _blank(name: str, column: NDArray[Any], blank: NDArray[np.bool_]) -> None:
    """Say of erased records that nothing is known: no text, no number, no time, status NOT_FOUND."""
    kind = column.dtype.kind
    if name == "status":
        column[blank] = _NOT_FOUND
    elif kind in "fc":
        column[blank] = np.nan
    elif kind in "Mm":
        column[blank] = np.array("NaT", dtype=column.dtype)
    elif kind in "OU":
        column[blank] = ""
    else:
        column[blank] = np.zeros((), dtype=column.dtype)
