"""How does a log forget what is too old, and stay one that can be proved?

Whole segments go: records, personal values and commitments. Their roots stay, 32 bytes for 4,096 records, so
all later records can still be proved to be in the log, and the log to have grown from what it was where the
dropping ends. A checkpoint is kept there.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Final

from agentic._database import Database
from agentic.provenance._pieces import SEGMENT, Reader, kept_from
from agentic.provenance._proving import Prover
from agentic.provenance._sealing import State, seal

_AT_ONCE: Final = 16  # segments dropped in one transaction
Note = Callable[[int, bytes], str]


def unsigned(size: int, root: bytes, /) -> str:
    """The text of a checkpoint that nobody signed: origin, size and root, a line each.

    Source: C2SP, ``tlog-checkpoint``.
    """
    return f"agentic/log\n{size}\n{base64.b64encode(root).decode()}\n"


def too_old(database: Database, than: int, /) -> int:
    """Number of the first record of the first segment that has something as new as ``than``."""
    with database.reading() as connection:
        rows = connection.execute(
            "SELECT first, last_at FROM segments WHERE dropped_at IS NULL ORDER BY first"
        ).fetchall()
    boundary = 0
    for first, last_at in rows:
        if last_at is not None:  # records without times are as old as the next ones that have some
            if last_at >= than:
                break
            boundary = first + SEGMENT
    return boundary


def drop(database: Database, reader: Reader, before: int, at: int, note: Note, /) -> int:
    """Drop whole segments of records before this one; return how many records that were."""
    seal(database, reader, before)
    dropped = 0
    while True:
        with database.writing() as connection:
            full = State.load(database, connection).frontier.size // SEGMENT * SEGMENT
            boundary = min(full, before // SEGMENT * SEGMENT)
            first = kept_from(connection)
            if first >= boundary:
                return dropped
            if not connection.execute("SELECT 1 FROM checkpoints WHERE size = ?", (boundary,)).fetchone():
                root = Prover(database, reader, connection).root(boundary)
                connection.execute(
                    "INSERT INTO checkpoints VALUES (?, ?, ?)", (boundary, at, note(boundary, root))
                )
            stop = min(boundary, first + _AT_ONCE * SEGMENT)
            for table in ("blocks", "vault", "commitments"):
                connection.execute(f"DELETE FROM {table} WHERE first >= ? AND first < ?", (first, stop))  # noqa: S608 - our own words
            connection.execute(
                "UPDATE segments SET dropped_at = ? WHERE first >= ? AND first < ?", (at, first, stop)
            )
        dropped += stop - first
