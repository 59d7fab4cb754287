"""Is everything in a database file what was written, and what was signed?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

import attrs

from agentic._database import Database
from agentic.errors import DamagedError, DatabaseError, ProofError
from agentic.provenance import Checkpoint, DurableLog, Verified, Verifier, open_checkpoint
from agentic.state import Rechecked, recheck

Progress: TypeAlias = Callable[[str, int, int], object]


@attrs.frozen
class Signed:
    """A checkpoint in the file, and what is known of its signatures.

    Attributes:
        size: How many records it is on.
        at: When it was made, in microseconds, as its maker said.
        signed: Whether anybody signed it.
        known: Whether one of the keys given did; ``False`` where none was given.
    """

    size: int
    at: int
    signed: bool
    known: bool


@attrs.frozen
class Checked:
    """What a check of a whole file found.

    Attributes:
        log: Of the log.
        state: Of everything else.
        unsealed: How many records came after the last that has its place in the tree.
        origin: The log's own name; ``None`` before its first checkpoint.
        checkpoints: Those in the file, the smallest first.
        since: The checkpoint that somebody kept and that the log was compared with.
        problems: What is not right, the first of each part; empty where everything is.
    """

    log: Verified
    state: Rechecked
    unsealed: int
    origin: str | None
    checkpoints: tuple[Signed, ...]
    since: Checkpoint | None
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether everything is right."""
        return not self.problems


def check(
    database: Database,
    keys: Sequence[Verifier] = (),
    since: str | None = None,
    progress: Progress | None = None,
    /,
) -> Checked:
    """Recompute everything in a file from its bytes; changes nothing.

    Args:
        database: To look at; others may go on writing.
        keys: Those trusted to sign checkpoints; without any, signatures are not looked at.
        since: A note that was kept outside: the log is to begin with what it is on.
        progress: Called with what is being done, how much is done, and of how much.

    Raises:
        DatabaseError: The file cannot be read at all.
    """
    problems: list[str] = []
    try:
        _check_structure(database)
    except DatabaseError as error:
        problems.append(str(error))
    log = DurableLog(database)
    found = log.verify(_part(progress, "records"))
    state = recheck(database, _part(progress, "state"))
    problems += [part.problem for part in (found, state) if part.problem is not None]
    checkpoints: tuple[Signed, ...] = ()
    kept = None
    origin = None
    unsealed = 0
    try:
        unsealed = len(log) - log.size
        origin = log.origin
        checkpoints = tuple(_signed(log, keys, origin))
        if keys and not any(each.known for each in checkpoints):
            raise ProofError(
                f"none of the {len(checkpoints)} checkpoints in the file is signed with a key that was given:"
                " is it another key, or another log?"
            )
        if since is not None:
            kept = _grown(log, since, keys, origin)
    except (DatabaseError, ProofError) as error:
        if str(error) not in problems:
            problems.append(str(error))
    return Checked(found, state, unsealed, origin, checkpoints, kept, tuple(problems))


def _part(progress: Progress | None, what: str) -> Callable[[int, int], object] | None:
    return None if progress is None else lambda done, of: progress(what, done, of)


def _check_structure(database: Database) -> None:
    """Have SQLite look at its trees and indexes."""
    with database.reading() as connection:
        lines = [str(line) for (line,) in connection.execute("PRAGMA integrity_check(1)")]
    if lines != ["ok"]:
        told = " ".join(" ".join(lines).split())
        raise DamagedError(
            f"the structure of {database.path!r} is damaged ({told:.300}): restore the file from a backup",
            value=database.path,
        )


def _signed(log: DurableLog, keys: Sequence[Verifier], origin: str | None) -> Iterator[Signed]:
    for held in log.checkpoints():
        if held.signed:
            told = Checkpoint.of(held.note)
            if told.origin != origin:
                raise ProofError(
                    f"the checkpoint of {held.size} records is of {told.origin!r}, and the log is {origin!r}:"
                    " it is another log's",
                    value=told.origin,
                    expected=origin,
                )
        try:
            known = held.signed_by(keys)
        except ProofError as error:
            raise ProofError(f"the checkpoint of {held.size} records: {error}", value=held.size) from error
        yield Signed(held.size, held.at, held.signed, known)


def _grown(log: DurableLog, note: str, keys: Sequence[Verifier], origin: str | None) -> Checkpoint:
    """The checkpoint that somebody kept, if the log begins with what it is on."""
    kept = open_checkpoint(note, keys) if keys else Checkpoint.of(note)
    if not kept.size:
        raise ProofError("the checkpoint that was kept is on no records, so every log begins with them")
    if origin is not None and kept.origin != origin:
        raise ProofError(
            f"the checkpoint that was kept is of {kept.origin!r}, the log is {origin!r}: another log's",
            value=kept.origin,
            expected=origin,
        )
    if kept.size > log.size:
        raise ProofError(
            f"the checkpoint that was kept is on {kept.size} records, sealed are {log.size}: the log was"
            " cut, or is an older copy",
            value=kept.size,
        )
    if log.root(kept.size) != kept.root:
        raise ProofError(
            f"the first {kept.size} records are not those of the checkpoint that was kept: the log was"
            " rewritten",
            value=kept.size,
        )
    return kept
