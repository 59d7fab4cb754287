"""What an agent knows because of its log: blocks are written, heard, and heard again after a restart."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sized
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import attrs

from agentic.arrays import Block, Receipt
from agentic.errors import DamagedError, DatabaseError, LogError
from agentic.protocols import ProvenanceLog, Transactions

Hear = Callable[[int, Block], Any]
"""Told the number of its first record and the block: takes note of what a block of the log changes."""


@attrs.define(eq=False)
class Entry:
    """A block that was appended, and what was made of it when it was heard."""

    block: Block
    receipt: Receipt
    heard: Any = None


class Books:
    """The log of one process: what is appended is heard at once, in the order of the log.

    Attributes:
        known: Log number before which everything was heard as it was when it was appended, when what comes
            next is heard; what comes between may have been erased since.
    """

    def __init__(self, log: ProvenanceLog, hear: Hear) -> None:
        self._log = log
        self._hear = hear
        self._lock = threading.RLock()
        self.known = 0

    def deciding(self) -> AbstractContextManager[Any]:
        """What decisions are made in: here they need nobody's leave."""
        return nullcontext()

    def writing(self) -> AbstractContextManager[Any]:
        """Hold the log: nobody else appends meanwhile."""
        return self._lock

    def tear(self) -> None:
        """What was heard was left half done: hear it anew, where that can be."""

    def append(self, block: Block) -> Entry:
        """Append a block and hear it.

        Raises:
            Exception: The log's own.
        """
        with self._lock:
            receipt = self._log.append(block)
            self.known = receipt.first
            return Entry(block, receipt, self._hear(receipt.first, block) if receipt.count else None)


class SharedBooks(Books):
    """The log of a database that several processes write to: one at a time, in transactions.

    Whoever begins has first heard what others appended. What is appended in a transaction is heard when it
    is committed, so it must not be part of one that somebody else commits later, or never; what was not heard
    then, because somebody pressed Ctrl-C, is heard when the next one begins. Who was interrupted while
    hearing knows half of it, and hears it anew then, with all before it.
    """

    def __init__(
        self,
        log: ProvenanceLog,
        hear: Hear,
        database: Transactions,
        undone: Callable[[], None],
        anew: Callable[[], int],
        settle: Callable[[], None],
    ) -> None:
        super().__init__(log, hear)
        self._settle = settle
        self._database = database
        self._undone = undone
        self._anew = anew
        self._process = os.getpid()
        self._heard = 0
        # What is known is not what the log says:
        self._torn = False  # somebody left it so
        self._half = False  # a block is being heard, or was in part
        self._entries: list[Entry] | None = None

    def start_at(self, position: int) -> None:
        """Take what lies before a log position as heard."""
        self._heard = position

    def tear(self) -> None:
        """Have the next transaction begin with hearing the log anew, as after a restart."""
        self._torn = True

    def deciding(self) -> AbstractContextManager[Any]:
        """A transaction: what was decided is settled and logged, or neither."""
        return self._transaction()

    def writing(self) -> AbstractContextManager[Any]:
        """A transaction; one that has begun in this thread goes on."""
        return self._transaction()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        if os.getpid() != self._process:
            self._fork()
        with self._lock:
            writing = self._database.in_writing
            if self._entries is not None and writing:  # Ctrl-C may have left entries behind
                yield
                return
            if writing:
                raise LogError(
                    "an agent's calls are transactions of their own: call it outside of `database.writing()`"
                )
            entries: list[Entry] = []
            try:
                with self._database.writing():
                    self._catch_up()
                    self._settle()
                    self._entries = entries
                    yield
            except BaseException as error:
                self._undone()
                if isinstance(error, DatabaseError):
                    raise LogError(f"the log could not be written ({error}): nothing of it stands") from error
                raise
            finally:
                if self._entries is entries:
                    self._entries = None
            for entry in entries:
                self._take(entry)
            self._settle()

    def _fork(self) -> None:
        """In a child process: nobody holds this lock here, and what was leased is the parent's."""
        self._lock, self._entries, self._process = threading.RLock(), None, os.getpid()
        self._undone()

    def append(self, block: Block) -> Entry:
        """Append a block; it is heard when the transaction is committed.

        Raises:
            Exception: The log's own.
        """
        with self._transaction():
            entry = Entry(block, self._log.append(block))
            if self._entries is not None and entry.receipt.count:
                self._entries.append(entry)
        return entry

    def _take(self, entry: Entry) -> None:
        if entry.receipt.first == self._heard:
            self.known = self._heard
            entry.heard = self._listen(entry.receipt.first, entry.block)

    def _listen(self, first: int, block: Block) -> Any:
        self._half = True
        heard = self._hear(first, block)
        self._heard = first + len(block)
        self._half = False
        return heard

    def _catch_up(self) -> None:
        """Hear what others appended, or all of it anew."""
        if self._torn or self._half:
            self._half, self._torn = True, False  # in this order: somebody may tear it meanwhile
            self._heard = self._anew()
            self._half = False
        if isinstance(self._log, Sized) and len(self._log) == self._heard:
            return
        self.known = self._heard
        for receipt, block in self._log.read(self._heard):
            first = max(self._heard, receipt.first)
            columns = {name: column[first - receipt.first :] for name, column in block.columns.items()}
            if first < receipt.first + receipt.count:
                try:
                    self._listen(first, Block(block.kind, columns, block.meta))
                except (KeyError, IndexError, TypeError, OverflowError) as error:
                    raise DamagedError(
                        f"records from {first} on do not say what {block.kind!r} records say: restore the"
                        " file from a backup",
                        first=first,
                    ) from error


def books(
    log: ProvenanceLog,
    hear: Hear,
    undone: Callable[[], None],
    anew: Callable[[], int],
    settle: Callable[[], None],
    /,
) -> Books:
    """Books for this log, shared if it is.

    Args:
        log: The log.
        hear: Told every block.
        undone: Told when a transaction was rolled back.
        anew: Forgets what was heard, and says from which record on it is to be heard again.
        settle: Told when there is nothing more to be heard for now.
    """
    database = database_of(log)
    return Books(log, hear) if database is None else SharedBooks(log, hear, database, undone, anew, settle)


def blocks_of(
    log: ProvenanceLog, kind: str, /, *names: str, after: int = 0
) -> Iterator[tuple[Receipt, Block]]:
    """The blocks of a kind; where the log cannot tell them apart, all of them are read for it.

    Args:
        log: To be read.
        kind: Of blocks.
        names: The columns that are wanted, where the log can leave out the others; all by default.
        after: Log number to begin at.
    """
    scan, read_kind = getattr(log, "scan", None), getattr(log, "read_kind", None)
    found: Iterator[tuple[Receipt, Block]]
    if names and scan is not None:
        found = scan(kind, names, after)
    else:
        found = log.read(after) if read_kind is None else read_kind(kind, after)
    return ((receipt, block) for receipt, block in found if block.kind == kind)


def database_of(part: object, /) -> Transactions | None:
    """Whose transactions a store or a log takes part in; ``None`` if it stands alone."""
    database = getattr(part, "database", None)
    return database if isinstance(database, Transactions) else None
