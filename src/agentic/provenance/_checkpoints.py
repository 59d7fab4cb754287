"""What was signed of a log, and which of it proves a record?

Checkpoints lie in the log's own file, as convenience: what makes them worth something is that somebody keeps
them where the log's operator cannot reach.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Final

import attrs

from agentic._database import Database
from agentic._sqlite import damaged
from agentic.errors import ProofError
from agentic.provenance._bundle import Evidence
from agentic.provenance._notes import Checkpoint, Signer, Verifier, open_checkpoint, parted
from agentic.provenance._pieces import Reader
from agentic.provenance._proving import Prover
from agentic.provenance._sealing import State, seal

_ORIGIN: Final = "log.origin"


@attrs.frozen
class StoredCheckpoint:
    """A checkpoint as a log keeps it.

    Attributes:
        size: How many records it is on.
        at: When it was made, in microseconds, as its maker said; no signature covers that.
        note: The signed note; three lines and no more where nobody signed.
    """

    size: int
    at: int
    note: str = attrs.field(repr=False)

    @property
    def signed(self) -> bool:
        """Whether anybody signed it, as it says."""
        return "\n\n" in self.note

    def signed_by(self, keys: Sequence[Verifier], /) -> bool:
        """Whether one of these keys signed it.

        Raises:
            ProofError: A signature by one of them is false, or this is no note.
        """
        by = {(name, blob[:4]) for name, blob in parted(self.note)[1]} if self.signed else set()
        known = [key for key in keys if (key.name, key.id) in by]
        if known:
            open_checkpoint(self.note, known)
        return bool(known)


def origin_of(database: Database, /) -> str | None:
    """The log's own name; ``None`` before anything of it was signed.

    Raises:
        DamagedError: A checkpoint or the note of the name is not what was written.
        ProofError: A checkpoint is none.
    """
    told = database.noted(_ORIGIN)
    if told is not None:
        return told.decode("utf-8", "replace")
    signed = [held for held in stored(database) if held.signed]  # where the log was dropped
    return Checkpoint.of(signed[0].note).origin if signed else None


def checkpoint(
    database: Database, reader: Reader, signers: Sequence[Signer], origin: str | None, at: int, /
) -> str:
    """Seal everything, sign it, keep the note and return it; nobody waits while keys sign."""
    if not signers:
        raise ProofError("a checkpoint needs at least one signer: give a HmacKey or an Ed25519Key")
    seal(database, reader)
    name = _named(database, origin)
    with database.reading() as connection:
        frontier = State.load(database, connection).frontier
    if not frontier.size:
        raise ProofError("the log has no records: a checkpoint of nothing would prove nothing")
    note = Checkpoint(name, frontier.size, frontier.root()).signed(signers)
    by = {(signer.name, signer.id) for signer in signers}
    with database.writing() as connection:
        held = connection.execute("SELECT note FROM checkpoints WHERE size = ?", (frontier.size,)).fetchone()
        if held is not None:
            note = _joined(note, held[0], by)
        connection.execute("INSERT OR REPLACE INTO checkpoints VALUES (?, ?, ?)", (frontier.size, at, note))
    return note


def stored(database: Database, /) -> list[StoredCheckpoint]:
    """All checkpoints that the file holds, the smallest first.

    Raises:
        DamagedError: One is not what a checkpoint is.
    """
    with database.reading() as connection:
        rows = connection.execute("SELECT size, at, note FROM checkpoints ORDER BY size").fetchall()
    for size, at, note in rows:
        if type(at) is not int or not isinstance(note, str):
            raise damaged(database.path, "checkpoints", size)
    return [StoredCheckpoint(*row) for row in rows]


def evidence(database: Database, reader: Reader, position: int, note: str | None, /) -> Evidence:
    """Put together what proves a record, under a note or the latest that was signed."""
    if note is None:
        notes = [held.note for held in stored(database) if held.signed and held.size > position]
        if not notes:
            raise ProofError(
                f"no signed checkpoint is on record {position} yet: make one with `checkpoint(key)`",
                value=position,
            )
        note = notes[-1]
    asked = Checkpoint.of(note)
    with database.reading() as connection:
        prover = Prover(database, reader, connection)
        proof = prover.inclusion(position, asked.size)
        if proof.root != asked.root:
            raise ProofError(
                f"the note of {asked.size} records of {asked.origin!r} is not on this log",
                value=asked.size,
            )
        return Evidence.of(prover.leaf(position), proof.path, note)


def _named(database: Database, origin: str | None) -> str:
    """The log's own name, which is given once or made up, and stays."""
    told = origin_of(database)
    if told is None:
        told = Checkpoint(origin or f"agentic/log/{secrets.token_hex(8)}", 0, bytes(32)).origin
    if database.noted(_ORIGIN) is None and origin in (None, told):
        with database.writing():
            told = origin_of(database) or told  # another process may have been faster
            database.note(_ORIGIN, told.encode())
    if origin is not None and origin != told:
        raise ProofError(
            f"this log signs as {told!r}, asked was {origin!r}: a log keeps its name, auditors go by it",
            value=origin,
            expected=told,
        )
    return told


def _joined(note: str, held: object, by: set[tuple[str, bytes]]) -> str:
    """A note, with the signatures of another one on the same tree where they are by other keys."""
    text, _ = parted(note)
    if not isinstance(held, str) or not held.startswith(text + "\n"):
        return note  # nobody had signed
    others = [
        line
        for line, (name, blob) in zip(held[len(text) + 1 :].splitlines(), parted(held)[1], strict=True)
        if (name, blob[:4]) not in by
    ]
    return note + "".join(f"{line}\n" for line in others)
