"""How is what the log knows of a person taken out of it, while everything else stays proved?

The personal values and the salt of a record become zero. Its commitment stays, and with it the leaf, the
root and all proofs; without the salt nobody can tell what the commitment was to. What the records of a piece
shared is written into each of those that are left: the bytes that their commitments are over stay the same.
"""

from __future__ import annotations

import bisect
import sqlite3
from collections.abc import Sequence
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from agentic._database import Database
from agentic.arrays import I64, U64
from agentic.errors import InvalidSubjectError, LogError
from agentic.provenance._encoding import blank_rows, unpack
from agentic.provenance._pieces import Piece, Reader, damaged, kept_from, vault_digest
from agentic.provenance._sealing import seal

Surrogates: TypeAlias = U64 | Sequence[Sequence[int]]

_NAMED: Final = frozenset(["surrogate", "decision"])
_AT_ONCE: Final = 16  # blocks blanked in one transaction


def erase(database: Database, reader: Reader, surrogates: Surrogates, /) -> int:
    """Erase what is personal about some subjects; return how many records that was."""
    return _erase(database, reader, _checked(surrogates), np.empty(0, dtype=np.int64))


def erase_records(database: Database, reader: Reader, positions: I64 | Sequence[int], /) -> int:
    """Erase what is personal in some records, and in those about these decisions; return how many."""
    wanted = np.unique(np.asarray(positions, dtype=np.int64))
    if not len(wanted):
        return 0
    with database.reading() as connection:
        (end,) = connection.execute("SELECT coalesce(max(first + count), 0) FROM blocks").fetchone()
    if wanted[0] < 0 or wanted[-1] >= end:
        odd = int(wanted[0] if wanted[0] < 0 else wanted[-1])
        raise LogError(f"there is no record {odd} in this log: it has {end}; nothing was erased", value=odd)
    return _erase(database, reader, np.empty((0, 2), dtype=np.uint64), wanted)


def _checked(surrogates: Surrogates) -> U64:
    found = np.asarray(surrogates, dtype=np.uint64)
    if not found.size:
        return np.empty((0, 2), dtype=np.uint64)
    if found.ndim != 2 or found.shape[1] != 2:
        raise InvalidSubjectError(
            f"surrogates are pairs of 64-bit numbers, shape (m, 2), got shape {found.shape}",
            value=found.shape,
        )
    if not found.any(axis=1).all():
        raise InvalidSubjectError(
            "the surrogate zero stands for subjects that have none: give the one of the subject's record"
        )
    return found


def _erase(database: Database, reader: Reader, surrogates: U64, wanted: I64) -> int:
    if not len(surrogates) and not len(wanted):
        return 0
    hits = _about(reader, surrogates, wanted)
    if not hits:
        return 0
    seal(database, reader, hits[-1] + 1)
    at = count = 0
    while at < len(hits):
        with database.writing() as connection:
            for _ in range(_AT_ONCE):
                at += bisect.bisect_left(hits[at:], kept_from(connection))  # what was dropped meanwhile
                if at == len(hits):
                    break
                piece = _block_of(connection, reader, hits[at])
                stop = at
                while stop < len(hits) and hits[stop] < piece.end:
                    stop += 1
                rows = np.array(hits[at:stop], dtype=np.int64) - piece.first
                count += _blank(connection, piece, rows)
                at = stop
    return count


def _about(reader: Reader, surrogates: U64, wanted: I64) -> list[int]:
    """Numbers of records with something personal about these subjects, or of or about these records."""
    firsts, pairs = np.unique(surrogates[:, 0]), set(map(tuple, surrogates.tolist()))
    first = 0 if len(surrogates) else int(wanted[0])
    decisions = wanted  # sorted; of theirs
    hits: list[int] = []
    for piece in reader.pieces(first, names=_NAMED):
        columns = {column.name: column for column in piece.header.columns if column.name in _NAMED}
        numbers = np.arange(piece.first, piece.end)
        found = np.isin(numbers, wanted)
        if not columns and not found.any():
            continue
        held = unpack(piece.header, piece.count, piece.parts, None, _NAMED)
        surrogate = held.get("surrogate")
        if pairs and surrogate is not None and surrogate.dtype == np.uint64 and surrogate.shape[1:] == (2,):
            for row in np.flatnonzero(np.isin(surrogate[:, 0], firsts)).tolist():
                found[row] |= tuple(surrogate[row].tolist()) in pairs
        if piece.header.kind == "decision":
            decisions = np.union1d(decisions, numbers[found]) if found.any() else decisions
        about = held.get("decision")
        if len(decisions) and about is not None and about.dtype.kind in "iu" and about.ndim == 1:
            found |= np.isin(about, decisions)
        if piece.header.is_personal:
            hits += numbers[found].tolist()
    return hits


def _block_of(connection: sqlite3.Connection, reader: Reader, position: int) -> Piece:
    (first,) = connection.execute("SELECT max(first) FROM blocks WHERE first <= ?", (position,)).fetchone()
    found = [] if first is None else reader.fetch(connection, first, first + 1)
    if not found or found[0].end <= position:
        raise damaged(position, 1)
    return found[0]


def _blank(connection: sqlite3.Connection, piece: Piece, rows: I64) -> int:
    """Write zeros over these rows of a block; return how many had not been zero already."""
    known = ~blank_rows(piece.salts)[rows]
    if not known.any():
        return 0
    salts = _table(piece, piece.salts)
    shared, own = piece.header.widths["shared"], piece.header.widths["personal"]
    personal = np.zeros((piece.count, shared + own), dtype=np.uint8)
    if piece.parts["shared"]:
        personal[:, :shared] = np.frombuffer(piece.parts["shared"], dtype=np.uint8)
        personal[:, shared:] = _table(piece, piece.parts["personal"])
    else:
        personal[:] = _table(piece, piece.parts["personal"])
    salts[rows] = 0
    personal[blank_rows(salts.tobytes())] = 0
    stored = b"", personal.tobytes(), salts.tobytes()
    connection.execute(
        "UPDATE vault SET fixed = ?, personal = ?, salts = ?, digest = ? WHERE first = ?",
        (*stored, vault_digest(piece.first, *stored), piece.first),
    )
    return int(known.sum())


def _table(piece: Piece, data: bytes) -> NDArray[np.uint8]:
    """One's own copy of bytes, a line for each record of the piece."""
    return np.frombuffer(data, dtype=np.uint8).reshape(piece.count, len(data) // piece.count).copy()
