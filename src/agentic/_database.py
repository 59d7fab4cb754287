"""Where does everything durable lie? One SQLite file: who may write when, and what a commit survives."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import get_ident
from typing import Final, Protocol

import attrs

from agentic._sqlite import (
    Turnstile,
    check_path,
    connect,
    create,
    damaged,
    digest,
    failed_us,
    lost_sync,
    mapped,
)
from agentic._syncing import Heart, move
from agentic.errors import ConfigurationError, DatabaseBusyError, DatabaseError

_LEVELS: Final = {"memory": "OFF", "process": "NORMAL", "bounded": "NORMAL", "power": "FULL"}
_IDLE: Final = 8  # readers kept for the next
_SHA: Final = 32
_LONG: Final = 64 << 20  # bytes of a write-ahead log that is to be moved into the file
_REST_S: Final = 0.2  # between two beginnings of that: what others are reading must stay for them


@attrs.frozen
class Durability:
    """What a committed transaction survives.

    - ``memory``: the ordinary end of this process. Nothing is promised of any other; the file may be damaged
      by a power cut.
    - ``process``: any end of this process, ``kill -9`` among them. After a power cut or a crash of the system
      the latest transactions may be missing, however many; the file is whole.
    - ``bounded``: as ``process``, and a power cut takes at most what was committed in the last ``bound_ms``,
      as long as the disk answers within that. If it ever refuses, no more is written until the database is
      opened again.
    - ``power``: a power cut from the moment the call has returned, on disks that keep what they say they have
      kept. A commit waits for the disk.

    Attributes:
        name: One of these four.
        bound_ms: Milliseconds, at least 1; of ``bounded`` only.
    """

    name: str = attrs.field(default="bounded", validator=attrs.validators.in_(_LEVELS))
    bound_ms: int = attrs.field(default=100, kw_only=True, validator=attrs.validators.ge(1))


class Participant(Protocol):
    """What takes part in transactions: a store, a log, an agent."""

    def begin(self, changed: bool, /) -> None:
        """Take note that a transaction has begun; ``changed``: others may have committed since the last."""

    def undo(self, /) -> None:
        """Forget what was done since ``begin`` returned: it was rolled back. May come twice."""


Token = tuple[int, int]
"""Differs when another connection has committed: which connection asked, and what it was told."""


@attrs.define(eq=False)
class _Seat:
    participant: Participant
    seen: Token | None = None


class Database:
    """One SQLite file that holds log, state and policies, shared by threads and processes.

    One writer at a time: ``writing`` waits for the lock of the file, has every participant catch up with what
    others wrote, and commits what was done, or undoes it. Readers wait for nobody.

    ``os.fork`` waits until no other thread uses a database, and lets go of the file: SQLite's locks do not
    pass to a child, and its own memory of them does, so that a child which opened the file again would write
    without any. Parent and child open it anew when they need it. Inside ``writing`` or ``reading`` that
    cannot be done: the child must not use the database then, and is told so.

    Args:
        path: Of the file; made, for its owner only, where there is none.
        durability: What a commit survives: a ``Durability``, or the name of one.
        wait: Seconds to wait for another writer.

    Raises:
        DatabaseError: It cannot be opened: no regular file, a symbolic link, in no folder or in one that may
            not be written to, or on a file system that processes cannot share.
        ForeignDatabaseError: It belongs to another program, or was made by a newer version.
        ConfigurationError: There is no such durability.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, durability: str | Durability = "bounded", wait: float = 30.0
    ) -> None:
        self.path: Final = self._checked(path)
        self.durability: Final = _durability(durability)
        self._wait = wait
        self._bound = self.durability.bound_ms / 1000 if self.durability.name == "bounded" else None
        self._lock = threading.RLock()
        self._seats: list[_Seat] = []
        self._closed = False
        self._poison: str | None = None
        self._pid = os.getpid()
        # Of the transaction that is going on:
        self._depth = self._owner = 0
        self._number = 0  # which one it is
        self._open = False  # it has begun, and neither has it been committed nor undone
        self._doomed: BaseException | None = None
        self._begun: list[_Seat] = []
        # Connections:
        self._writer: sqlite3.Connection | None = None
        self._made = 0  # writers so far
        self._idle: list[sqlite3.Connection] = []
        self._busy: dict[sqlite3.Connection, int] = {}  # readers, and the threads that use them
        self._gate = threading.Lock()  # held while a reader comes into use; taken last
        self._heart: Heart | None = None
        self._moving: threading.Thread | None = None
        self._moved = 0.0
        self.syncs = 0  # of the heart, so far
        self._since: float | None = None  # when the first commit came that a power cut may still take
        _refuse_carried(self.path)
        self._ready()
        _OPEN.add(self)

    def __repr__(self) -> str:
        return f"Database({self.path!r}, durability={self.durability.name!r})"

    @property
    def closed(self) -> bool:
        """Whether ``close`` was called."""
        return self._closed

    @property
    def in_writing(self) -> bool:
        """Whether this thread is inside ``writing``."""
        return self._owner == get_ident()

    def join(self, participant: Participant, /) -> None:
        """Have a participant take part, after those that joined before; it is told to begin next."""
        with self._lock:
            seat = _Seat(participant)
            self._seats.append(seat)
            if self._open:
                self._begin(seat, self.token())

    def leave(self, participant: Participant, /) -> None:
        """Have a participant take part no more."""
        with self._lock:
            self._seats = [seat for seat in self._seats if seat.participant is not participant]

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Run a transaction: commit it at the end, or roll it back and undo it if anything is raised.

        Inside another one of this thread it is a part of that. What fails in a part fails the whole, even
        where it was caught.

        Raises:
            DatabaseBusyError: Somebody else has been writing for longer than ``wait``.
            DatabaseFullError: No room is left; nothing was written.
            DatabaseError: The file cannot be written, or the database was closed.
        """
        with self._lock:
            if self._depth:
                with self._part() as connection:
                    yield connection
                return
            connection = self._ready()
            full = committing = False
            self._number += 1
            number = self._number
            try:
                with mapped(self.path):
                    full = self._start(connection)
                    yield connection
                    self._check(connection)
                    committing = True
                    connection.execute("COMMIT")
                self._finish(connection, full=full)
            except BaseException as error:
                if self._number != number:  # Ctrl-C left this one behind, and it was undone since
                    raise
                if committing and not isinstance(error, DatabaseError) and not connection.in_transaction:
                    self._finish(connection, full=full)  # Ctrl-C came when all was written
                else:
                    self._abandon(connection, error)
                raise

    @contextmanager
    def _part(self) -> Iterator[sqlite3.Connection]:
        if self._writer is None or self._doomed is not None:
            raise DatabaseError(
                f"the transaction on {self.path!r} has failed already: nothing can be added to it"
            ) from self._doomed
        number = self._number
        self._depth += 1
        try:
            with mapped(self.path):
                yield self._writer
        except BaseException as error:
            if self._number == number:
                self._doomed = error
            raise
        finally:
            # Where Ctrl-C came between two lines of `contextlib`, parts end after the whole.
            if self._number == number and self._depth:
                self._depth -= 1

    def _ready(self) -> sqlite3.Connection:
        """The connection that writes, made anew where the last one cannot be trusted."""
        if self._pid != os.getpid():  # a fork that Python was not told of
            self._forked()
        if self._closed:
            raise DatabaseError(f"{self.path!r} was closed: open it again")
        if self._poison is not None:
            raise DatabaseError(self._poison)
        if self._open:  # Ctrl-C came while it was being undone
            self._abandon(self._writer, None)
        if self._writer is None:
            with mapped(self.path):
                self._writer = create(self.path, _LEVELS[self.durability.name], self._wait)
            self._made += 1
            self._turnstile = Turnstile(self.path)
        return self._writer

    def _start(self, connection: sqlite3.Connection) -> bool:
        """Begin, and have all catch up; say whether this commit waits for the disk for those before it."""
        self._open, self._doomed = True, None
        full = self._since is not None and time.monotonic() - self._since > (self._bound or 0) / 2
        if full:  # the heart may not get its turn when there is much to write
            connection.execute("PRAGMA synchronous = FULL")
        self._turnstile.begin(connection, self._wait)
        self._depth, self._owner = 1, get_ident()
        token = self.token()
        for seat in self._seats:
            self._begin(seat, token)
        return full

    def _begin(self, seat: _Seat, token: Token) -> None:
        changed, seat.seen = seat.seen != token, None
        seat.participant.begin(changed)
        seat.seen = token
        self._begun.append(seat)

    def _check(self, connection: sqlite3.Connection) -> None:
        if self._writer is not connection:
            raise DatabaseError(_carried(self.path))
        if self._doomed is not None:
            raise DatabaseError(
                f"nothing was written to {self.path!r}: a part of the transaction had failed"
            ) from self._doomed

    def _finish(self, connection: sqlite3.Connection, *, full: bool) -> None:
        self._begun = []  # there is nothing to undo any more
        self._depth = self._owner = 0
        self._open = False
        self._move_on()
        if self._bound is None:
            return
        if full:
            self._since = None
            if self._heart is not None:
                self._heart.wanted.clear()
            connection.execute("PRAGMA synchronous = NORMAL")
            return
        if self._since is None:
            self._since = time.monotonic()
        if self._heart is None:
            self._heart = Heart(self, self._bound)
        self._heart.wanted.set()

    def _move_on(self) -> None:
        """Have another thread move the write-ahead log into the file once it is long, while others write."""
        moving = self._moving
        if moving is not None and (moving.is_alive() or time.monotonic() - self._moved < _REST_S):
            return
        with suppress(OSError):  # who writes next will say what is wrong
            if Path(f"{self.path}-wal").stat().st_size > _LONG:
                self._moved = time.monotonic()
                self._moving = threading.Thread(
                    target=move, args=(self.path,), name="agentic-mover", daemon=True
                )
                self._moving.start()

    def _abandon(self, connection: sqlite3.Connection | None, error: BaseException | None) -> None:
        """Roll back and undo; a connection that the system failed is given up."""
        self._depth = self._owner = 0
        mine = connection is not None and connection is self._writer
        broken = failed_us(error) or failed_us(self._doomed)
        if mine and connection is not None:
            try:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                if self._bound is not None:
                    connection.execute("PRAGMA synchronous = NORMAL")
            except sqlite3.Error:
                broken = True
        for seat in reversed(self._begun):
            seat.participant.undo()
        if self._since is not None and (lost_sync(error) or lost_sync(self._doomed)):
            self.poison(error)  # what was committed before has not reached the disk either
        if mine and broken and connection is not None:
            self._give_up(connection)
        self._begun, self._open = [], False

    @contextmanager
    def alone(self) -> Iterator[sqlite3.Connection]:
        """Hold the threads of this process off, and read with the connection that writes.

        Raises:
            DatabaseError: The file cannot be read, or the database was closed.
        """
        with self._lock:
            if self._depth:
                with self._part() as connection:
                    yield connection
                return
            connection = self._ready()
            try:
                with mapped(self.path):
                    yield connection
            except DatabaseError as error:
                if failed_us(error):
                    self._give_up(connection)
                raise

    def _give_up(self, connection: sqlite3.Connection) -> None:
        self._writer = None
        self._turnstile.close()
        with suppress(sqlite3.Error):
            connection.close()

    def token(self) -> Token:
        """What differs when others have committed, inside ``alone`` or ``writing``."""
        writer = self._writer or self._ready()
        (version,) = writer.execute("PRAGMA data_version").fetchone()
        return self._made, version

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Read what was committed, waiting for nobody; inside ``writing`` what is being written too.

        Each statement sees the file as it is then; ``BEGIN`` makes several see it as it is at the first.

        Raises:
            DatabaseError: The file cannot be read, or the database was closed.
        """
        if self.in_writing:
            with self._part() as connection:
                yield connection
            return
        if self._closed or self._pid != os.getpid():
            self._ready()
        with mapped(self.path):
            with self._gate:  # a fork finds it either not there or at work
                if self._idle:
                    connection = self._idle.pop()
                else:
                    _refuse_carried(self.path)
                    connection = self._reader()
                self._busy[connection] = get_ident()
            try:
                yield connection
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
            except BaseException:
                if self._busy.pop(connection, None) is not None:
                    connection.close()
                raise
            if self._busy.pop(connection, None) is None:
                return  # the parent's
            if self._closed or len(self._idle) >= _IDLE:
                connection.close()
            else:
                self._idle.append(connection)

    @staticmethod
    def _checked(path: str | os.PathLike[str]) -> str:
        return check_path(path)

    def _reader(self) -> sqlite3.Connection:
        """A new connection that reads."""
        connection = connect(self.path, "NORMAL", self._wait)
        connection.execute("PRAGMA query_only = ON")
        return connection

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """Read what was committed at one moment, whatever others write meanwhile; raises as ``reading``."""
        with self.reading() as connection:
            if not connection.in_transaction:
                connection.execute("BEGIN")
            yield connection

    def note(self, key: str, value: bytes, /) -> None:
        """Keep a value under a key."""
        with self.writing() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, digest("meta", key, value) + value)
            )

    def noted(self, key: str, /, connection: sqlite3.Connection | None = None) -> bytes | None:
        """Return the value kept under a key, as a connection sees it; ``None`` where there is none.

        Raises:
            DamagedError: It is not what was written.
        """
        if connection is None:
            with self.reading() as reader:
                return self.noted(key, reader)
        with mapped(self.path):
            found = connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        if found is None:
            return None
        (sealed,) = found
        if not isinstance(sealed, bytes) or digest("meta", key, sealed[_SHA:]) != sealed[:_SHA]:
            raise damaged(self.path, "meta", key)
        return sealed[_SHA:]

    def scrub(self) -> None:
        """Empty the write-ahead log, where bytes may lie that were overwritten in the file itself.

        Raises:
            DatabaseBusyError: Somebody has been reading or writing for longer than ``wait``.
            DatabaseError: This thread is inside ``writing``: what it deleted has not been committed.
        """
        with self.alone() as connection:
            self._rest()
            if self._depth:
                raise DatabaseError("scrub empties the log of what was committed: call it after `writing`")
            (busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise DatabaseBusyError(
                f"{self.path!r} is being read or written: what was deleted still lies in its write-ahead log,"
                " try again"
            )

    def close(self) -> None:
        """Let go of the file; what was committed stays. Does nothing the second time.

        Raises:
            DatabaseError: This thread is inside ``writing``.
        """
        with self._lock:
            if self._depth:
                raise DatabaseError(f"{self.path!r} cannot be closed inside a transaction")
            if not self._closed:
                self._closed = True
                self._let_go()

    @property
    def unsafe(self) -> bool:
        """Something was committed that a power cut may still take."""
        return self._since is not None

    def made_safe(self, since: float | None, /) -> None:
        """Take note that the heart has waited for the disk.

        Args:
            since: When the first commit came that may have come too late for it; ``None`` for none.
        """
        self.syncs += 1
        self._since = since

    def poison(self, why: BaseException | None, /) -> None:
        """Refuse to write from now on: what was committed may not have reached the disk, and never will."""
        self._poison = (
            f"the system failed to write {self.path!r} ({why}): what was committed last may not survive a"
            " power cut, see to the disk and open the database again"
        )

    def _let_go(self) -> None:
        """Close every connection that no thread is using."""
        heart, self._heart = self._heart, None
        if heart is not None:
            heart.stop()
        self._rest()
        with suppress(sqlite3.Error):
            while self._idle:
                self._idle.pop().close()
            if self._writer is not None:
                writer, self._writer = self._writer, None
                self._turnstile.close()
                writer.close()

    def _rest(self) -> None:
        """Wait for the thread that moves the write-ahead log, if there is one."""
        if self._moving is not None:
            self._moving.join()
            self._moving = None

    def _before_fork(self) -> None:
        """In the parent: let go of the file, as far as that can be done."""
        until = time.monotonic() + self._wait
        if not self._lock.acquire(timeout=self._wait):
            return
        me = get_ident()
        self._gate.acquire()
        while any(thread != me for thread in list(self._busy.values())) and time.monotonic() < until:
            self._gate.release()
            time.sleep(0.001)
            self._gate.acquire()
        if not self._depth:
            self._let_go()

    def _after_fork(self) -> None:
        """In the parent: go on."""
        with suppress(RuntimeError):  # they could not be had
            self._lock.release()
            self._gate.release()

    def _forked(self) -> None:
        """In the child: whatever is still open is the parent's, and must not be touched, nor made twice."""
        self._pid = os.getpid()
        left = [self._writer, *self._idle, *self._busy]
        left = [connection for connection in left if connection is not None]
        if left or self._heart is not None:
            import ctypes  # the one way to have an object outlive the interpreter

            for connection in left:
                ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))
            _CARRIED.add(self.path)
            self._poison = _carried(self.path)
        self._writer, self._heart, self._moving = None, None, None
        self._idle, self._busy = [], {}
        self._lock, self._gate = threading.RLock(), threading.Lock()
        self._depth = self._owner = 0


_OPEN: Final[weakref.WeakSet[Database]] = weakref.WeakSet()
# Paths of files that SQLite, in this process, takes for locked though only the parent has locks.
_CARRIED: Final[set[str]] = set()


def _carried(path: str) -> str:
    return (
        f"this process was forked while {path!r} was being used, and must not use it: fork outside of"
        " `writing` and `reading`, or start processes with spawn"
    )


def _refuse_carried(path: str) -> None:
    if path in _CARRIED:
        raise DatabaseError(_carried(path), value=path)


def _before_fork() -> None:
    for database in list(_OPEN):
        database._before_fork()


def _after_fork() -> None:
    for database in list(_OPEN):
        database._after_fork()


def _forked() -> None:
    for database in list(_OPEN):
        database._forked()


if hasattr(os, "register_at_fork"):  # pragma: no branch (there is no fork on Windows)
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_forked)


def _durability(asked: str | Durability) -> Durability:
    if isinstance(asked, Durability):
        return asked
    if asked not in _LEVELS:
        raise ConfigurationError(
            f"durability must be one of {', '.join(map(repr, _LEVELS))}, or a Durability, got {asked!r}",
            value=asked,
            expected=tuple(_LEVELS),
        )
    return Durability(asked)
