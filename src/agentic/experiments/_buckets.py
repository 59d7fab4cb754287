"""What number does another system make of a text: its hashes, over many texts at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import (
    Any,  # tables of either width
    Final,
)

import numpy as np
from numpy.typing import NDArray

from agentic.errors import ConfigurationError

U32 = NDArray[np.uint32]

_CHUNK: Final = 16_384
_FNV_OFFSET: Final = np.uint32(0x811C9DC5)
_FNV_PRIME: Final = np.uint32(0x01000193)
_MURMUR_1: Final = np.uint32(0xCC9E2D51)
_MURMUR_2: Final = np.uint32(0x1B873593)


def fnv32a(texts: Sequence[str], /, *, prefix: str = "", suffix: str = "") -> U32:
    """Hash each text, between a prefix and a suffix, by FNV-1a over its UTF-16 units, 32 bits.

    For ASCII it is the FNV-1a of the bytes. GrowthBook's SDK for JavaScript hashes UTF-16 units; its SDKs
    for other languages agree on the basic plane at most.

    Source: Fowler, Noll and Vo 1991, FNV-1a.
    """
    _check(texts)
    start = np.full(1, _FNV_OFFSET, dtype=np.uint32)
    start = _fnv(start, _units([prefix])) if prefix else start
    out = np.empty(len(texts), dtype=np.uint32)
    for first in range(0, len(texts), _CHUNK):
        part = texts[first : first + _CHUNK]
        state = _fnv(np.repeat(start, len(part)), _units(part))
        out[first : first + len(part)] = _fnv(state, _units([suffix])) if suffix else state
    return out


def fnv32a_of_decimals(numbers: U32, /) -> U32:
    """Hash each number as the text of its decimal digits, by FNV-1a, 32 bits."""
    out = np.full(len(numbers), _FNV_OFFSET, dtype=np.uint32)
    for power in range(9, -1, -1):
        digit = (numbers // np.uint32(10**power)) % np.uint32(10)
        longer = (numbers >= np.uint32(10**power)) | (power == 0)
        out = np.where(longer, (out ^ (digit + np.uint32(ord("0")))) * _FNV_PRIME, out)
    return out


def murmur3(texts: Sequence[str], /, *, prefix: str = "", seed: int = 0) -> U32:
    """Hash each text, after a prefix, by MurmurHash3 x86 32 over its UTF-8 bytes.

    Half a surrogate pair counts as U+FFFD, as JavaScript encodes it.

    Source: Appleby 2011, MurmurHash3_x86_32.
    """
    _check(texts)
    head = np.frombuffer(_utf8(prefix), dtype=np.uint8)
    out = np.empty(len(texts), dtype=np.uint32)
    for first in range(0, len(texts), _CHUNK):
        part = texts[first : first + _CHUNK]
        table, length = _table(list(map(_utf8, part)), np.dtype(np.uint8), head)
        out[first : first + len(part)] = _murmur(table, length, seed)
    return out


def _check(texts: Sequence[str]) -> None:
    """Refuse one text for many, and what is no text; names places, never ids.

    Raises:
        ConfigurationError: It is either.
    """
    if isinstance(texts, str | bytes):
        raise ConfigurationError(
            "subjects must be a sequence of texts, got a single one: put it into a list",
            value=type(texts).__name__,
        )
    for place, text in enumerate(texts):
        if not isinstance(text, str):
            name = type(text).__name__
            raise ConfigurationError(
                f"subject {place} must be a text, got {name}: write the id as the other system does, as by"
                " str(id)",
                value=name,
                expected="str",
            )


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:  # half a surrogate pair
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


def _murmur(table: NDArray[np.uint8], length: NDArray[np.int64], seed: int) -> U32:
    """Of each row, which is zero after its length; an absent word is 0 and changes nothing."""
    words = table.view("<u4").astype(np.uint32)
    words *= _MURMUR_1
    words = words << np.uint32(15) | words >> np.uint32(17)
    words *= _MURMUR_2
    state = np.full(len(table), seed, dtype=np.uint32)
    blocks = length // 4
    for block in range(words.shape[1]):
        mixed = state ^ words[:, block]
        whole = (mixed << np.uint32(13) | mixed >> np.uint32(19)) * np.uint32(5) + np.uint32(0xE6546B64)
        state = np.where(block < blocks, whole, mixed)
    state ^= length.astype(np.uint32)
    state ^= state >> np.uint32(16)
    state *= np.uint32(0x85EBCA6B)
    state ^= state >> np.uint32(13)
    state *= np.uint32(0xC2B2AE35)
    return state ^ state >> np.uint32(16)


def _fnv(state: U32, units: tuple[NDArray[np.uint16], NDArray[np.int64]]) -> U32:
    table, length = units
    for column in range(table.shape[1]):
        mixed = (state ^ table[:, column]) * _FNV_PRIME
        state = np.where(column < length, mixed, state).astype(np.uint32, copy=False)
    return state


def _units(texts: Sequence[str]) -> tuple[NDArray[np.uint16], NDArray[np.int64]]:
    encoded = [text.encode("utf-16-le", "surrogatepass") for text in texts]
    return _table(encoded, np.dtype("<u2"), np.zeros(0, np.uint16))


def _table(
    encoded: Sequence[bytes], dtype: np.dtype[Any], head: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Texts as rows of a table, each after the head and zero after its length; widths are whole words."""
    length = np.fromiter(map(len, encoded), dtype=np.int64, count=len(encoded)) // dtype.itemsize
    width = len(head) + int(length.max(initial=0))
    table = np.zeros((len(encoded), -(-width // 4) * 4), dtype=dtype)
    table[:, : len(head)] = head
    table[:, len(head) :][np.arange(table.shape[1] - len(head)) < length[:, None]] = np.frombuffer(
        b"".join(encoded), dtype=dtype
    )
    return table, length + len(head)
