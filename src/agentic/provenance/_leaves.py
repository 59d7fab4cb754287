"""What is hashed of a record, so that it can be proved and its personal values can still be erased?

Leaf n of the tree of RFC 9162 is record n::

    commitment = SHA-256(salt || shared personal values || own personal values)
    leaf       = SHA-256(0x00 || header digest || fixed public values || own public values || commitment)

The commitment of a record without personal columns is 32 zero bytes. Salts are random, so once salt and
values are erased a commitment says nothing, not even to who guesses them; the leaf stays what it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from agentic.provenance._encoding import SALT, unpack
from agentic.provenance._merkle import HASH
from agentic.provenance._pieces import Piece, damaged

NO_COMMITMENT: Final = bytes(HASH)
_AT: Final = frozenset(["at"])


def covered(piece: Piece, /) -> list[bytes]:
    """The bytes each commitment of a piece is over: salt, shared values, own values."""
    salts = np.frombuffer(piece.salts, dtype=np.uint8).reshape(piece.count, SALT)
    shared = np.frombuffer(piece.parts["shared"], dtype=np.uint8)
    return _lines(salts, shared, _matrix(piece.parts["personal"], piece.count))


def commitments(piece: Piece, /) -> list[bytes]:
    """What stands in the leaves of a piece for its personal values, 32 bytes each."""
    if not piece.header.is_personal:
        return [NO_COMMITMENT] * piece.count
    return [each.digest() for each in map(hashlib.sha256, covered(piece))]


def leaf_data(piece: Piece, hashes: Sequence[bytes], /, prefix: bytes = b"") -> list[bytes]:
    """The bytes each leaf of a piece is over, after ``0x00``.

    Args:
        piece: Its public part.
        hashes: Its commitments.
        prefix: Put before each.
    """
    start = np.frombuffer(prefix + piece.header.digest + piece.parts["fixed"], dtype=np.uint8)
    return _lines(start, _matrix(piece.parts["rows"], piece.count), _matrix(b"".join(hashes), piece.count))


def leaf_hashes(piece: Piece, hashes: Sequence[bytes], /) -> list[bytes]:
    """The leaves of a piece, given its commitments."""
    return [each.digest() for each in map(hashlib.sha256, leaf_data(piece, hashes, b"\x00"))]


def _matrix(data: bytes, count: int) -> NDArray[np.uint8]:
    return np.frombuffer(data, dtype=np.uint8).reshape(count, len(data) // count)


def _lines(*parts: NDArray[np.uint8]) -> list[bytes]:
    """Put parts side by side, those with one dimension in each line, and return the lines."""
    count = max(len(part) if part.ndim == 2 else 1 for part in parts)
    width = sum(part.shape[-1] for part in parts)
    out = np.empty((count, width), dtype=np.uint8)
    at = 0
    for part in parts:
        out[:, at : at + part.shape[-1]] = part
        at += part.shape[-1]
    found: list[bytes] = out.view(f"V{width}").ravel().tolist()
    return found


def times_of(piece: Piece, /) -> tuple[int, int] | None:
    """Least and greatest public ``at`` of a piece, in microseconds; ``None`` where it has none."""
    for column in piece.header.columns:
        if (
            column.name == "at"
            and column.place in {"fixed", "rows"}
            and column.dtype == "<i8"
            and not column.shape
        ):
            at = unpack(piece.header, piece.count, piece.parts, None, _AT)["at"]
            return int(at.min()), int(at.max())
    return None


def commitments_in(rows: Iterable[Any], first: int, stop: int, /) -> list[bytes]:
    """Pick those of records ``first`` to ``stop - 1`` from rows of ``commitments``.

    Raises:
        DamagedError: Some are missing.
    """
    found: list[bytes] = []
    at: int | None = None
    for start, hashes in rows:
        if not isinstance(hashes, bytes) or len(hashes) % HASH or at not in {None, start}:
            raise damaged(start, None)
        at = start + len(hashes) // HASH
        if start < stop and at > first:
            lo, hi = max(first, start) - start, min(stop, at) - start
            found += np.frombuffer(hashes, dtype=f"V{HASH}")[lo:hi].tolist()
    if len(found) != stop - first:
        raise damaged(first, stop - first)
    return found
