"""Where does everything durable lie? One SQLite file: who may write, what a commit survives, what is refused."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import stat
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import get_ident
from typing import Final, Protocol

import attrs

from agentic.errors import (
    ConfigurationError,
    DamagedError,
    DatabaseBusyError,
    DatabaseError,
    DatabaseFullError,
    ForeignDatabaseError,
)

APPLICATION_ID: Final = 0x61676E74  # "agnt"
VERSION: Final = 1
SCHEMA: Final = (
    "CREATE TABLE meta(key TEXT PRIMARY KEY, value ANY) WITHOUT ROWID",
    "CREATE TABLE headers(id INTEGER PRIMARY KEY, digest BLOB UNIQUE, body BLOB)",
    "CREATE TABLE blocks(first INTEGER PRIMARY KEY, count INTEGER, kind TEXT, header INTEGER, fixed BLOB,"
    " public BLOB, digest BLOB)",
    "CREATE INDEX other_blocks ON blocks(kind, first) WHERE kind <> 'decision'",
    "CREATE TABLE vault(first INTEGER PRIMARY KEY, fixed BLOB, personal BLOB, salts BLOB, digest BLOB)",
    "CREATE TABLE commitments(first INTEGER PRIMARY KEY, hashes BLOB)",
    "CREATE TABLE segments(first INTEGER PRIMARY KEY, root BLOB, first_at INTEGER, last_at INTEGER,"
    " dropped_at INTEGER)",
    "CREATE TABLE checkpoints(size INTEGER PRIMARY KEY, at INTEGER, note TEXT)",
    "CREATE TABLE journal(seq INTEGER PRIMARY KEY AUTOINCREMENT, layout TEXT, names BLOB, rows BLOB,"
    " digest BLOB)",
    "CREATE TABLE pages(layout TEXT, page INTEGER, names BLOB, versions BLOB, rows BLOB, digest BLOB,"
    " PRIMARY KEY(layout, page))",
    "CREATE TABLE layouts(name TEXT PRIMARY KEY, descr TEXT, digest BLOB)",
    "CREATE TABLE policies(version TEXT, agent TEXT, template TEXT, body BLOB, digest BLOB,"
    " PRIMARY KEY(agent, version))",
    "CREATE TABLE beat(id INTEGER PRIMARY KEY, n INTEGER)",
)
_PAGE: Final = 16_384
_WAL_PAGES: Final = 4_096  # 64 MB
_READERS: Final = 8
_SHA: Final = 32


@attrs.frozen
class Durability:
    """What a committed transaction survives.

    ``memory``: the end of this process by ordinary means, and mostly a kill; promises nothing.
    ``process``: that of the process by whatever means, ``kill -9`` among them; not that of the machine.
    ``bounded``: as ``process``; and what is older than ``bound_ms`` survives the machine, such as a power cut.
    ``power``: the machine, once the call has returned, as far as its disk keeps what it says it has kept.

    Attributes:
        name: One of these four.
        bound_ms: Milliseconds, at least 1; for ``bounded`` only.
    """

    name: str = attrs.field(
        default="bounded", validator=attrs.validators.in_(("memory", "process", "bounded", "power"))
    )
    bound_ms: int = attrs.field(default=100, kw_only=True, validator=attrs.validators.ge(1))

    @property
    def synchronous(self) -> str:
        """What SQLite calls it, for the connection that writes."""
        return {"memory": "OFF", "power": "FULL"}.get(self.name, "NORMAL")


class Participant(Protocol):
    """What takes part in transactions: a store, a log, an agent."""

    def begin(self, changed: bool, /) -> None:
        """Take note that a transaction has begun; ``changed``: others have committed since the last."""

    def undo(self, /) -> None:
        """Forget what was done since ``begin``: the transaction was rolled back. May come twice."""


@attrs.define(eq=False)
class _Seat:
    participant: Participant
    seen: int | None = None  # the data_version at its last transaction


class Database:
    """One SQLite file that holds log, state and policies, shared by threads and processes.

    One writer at a time: ``writing`` waits for the lock of the file, has every participant catch up with what
    others wrote, and commits what was done, or undoes it.

    Args:
        path: Of the file; made, for its owner only, where there is none.
        durability: What a commit survives: a ``Durability`` or the name of one.
        wait: Seconds to wait for another writer.

    Raises:
        DatabaseError: It cannot be opened: no regular file, a symbolic link, in no folder or one that may not
            be written to, or on a file system that cannot share memory.
        ForeignDatabaseError: It belongs to another program, or to a newer version of this one.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, durability: str | Durability = "bounded", wait: float = 30.0
    ) -> None:
        self.path: Final = _checked_path(path)
        self.durability: Final = _durability(durability)
        self._wait = wait
        self._lock = threading.RLock()
        self._seats: list[_Seat] = []
        self._depth = 0
        self._owner = 0
        self._open = False
        self._doomed: BaseException | None = None
        self._poison: str | None = None
        self._closed = False
        self._readers: list[sqlite3.Connection] = []
        self._writer: sqlite3.Connection | None = None
        self._left_behind: list[object] = []
        self._heart: _Heart | None = None
        with mapped(self.path):
            self._writer = _create(self.path, self.durability.synchronous, wait)
        _OPEN.add(self)

    def __repr__(self) -> str:
        return f"Database({self.path!r}, durability={self.durability.name!r})"

    @property
    def in_writing(self) -> bool:
        """Whether this thread is inside ``writing``."""
        return self._owner == get_ident()

    def join(self, participant: Participant, /) -> None:
        """Have a participant take part from now on, after those that joined before."""
        with self._lock:
            seat = _Seat(participant)
            self._seats.append(seat)
            if self._open:
                self._seat(seat)

    def leave(self, participant: Participant, /) -> None:
        """Have a participant take part no more."""
        with self._lock:
            self._seats = [seat for seat in self._seats if seat.participant is not participant]

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Run a transaction: commit it at the end, or roll it back and undo it where anything is raised.

        Inside another one of this thread it is part of that. What fails inside it makes all of it fail, even
        where that was caught.

        Raises:
            DatabaseBusyError: Somebody else has been writing for longer than ``wait``.
            DatabaseFullError: No room is left; nothing was written.
            DatabaseError: The file cannot be written to, or the database was closed.
        """
        with self._lock:
            if self._depth:
                with self._joined() as connection:
                    yield connection
                return
            connection = self._ready()
            committing = False
            try:
                with mapped(self.path):
                    self._begin(connection)
                    yield connection
                    if self._doomed is not None:
                        raise DatabaseError(
                            f"nothing was written to {self.path!r}: a part of the transaction had failed"
                            f" with {type(self._doomed).__name__}"
                        ) from self._doomed
                    committing = True
                    connection.execute("COMMIT")
                self._over()
            except BaseException as error:
                if committing and not isinstance(error, DatabaseError) and not connection.in_transaction:
                    self._over()  # Ctrl-C came when all was written
                else:
                    self._abandon(connection, error)
                raise

    @contextmanager
    def _joined(self) -> Iterator[sqlite3.Connection]:
        if self._doomed is not None or self._writer is None:
            raise DatabaseError(
                f"the transaction on {self.path!r} has failed already, nothing can be added to it"
            ) from self._doomed
        self._depth += 1
        try:
            yield self._writer
        except BaseException as error:
            self._doomed = error
            raise
        finally:
            self._depth -= 1

    def _ready(self) -> sqlite3.Connection:
        """The connection that writes, made anew where the last one cannot be trusted."""
        if self._closed:
            raise DatabaseError(f"{self.path!r} was closed: open it again")
        if self._poison is not None:
            raise DatabaseError(self._poison)
        if self._open:  # Ctrl-C came while it was being undone
            self._abandon(self._writer, None)
        if self._writer is None:
            for seat in self._seats:
                seat.seen = None
            with mapped(self.path):
                self._writer = _create(self.path, self.durability.synchronous, self._wait)
        return self._writer

    def _begin(self, connection: sqlite3.Connection) -> None:
        self._open, self._doomed = True, None
        connection.execute("BEGIN IMMEDIATE")
        self._depth, self._owner = 1, get_ident()
        (version,) = connection.execute("PRAGMA data_version").fetchone()
        for seat in self._seats:
            self._seat(seat, version)

    def _seat(self, seat: _Seat, version: int | None = None) -> None:
        if version is None and self._writer is not None:
            (version,) = self._writer.execute("PRAGMA data_version").fetchone()
        changed, seat.seen = seat.seen != version, None
        seat.participant.begin(changed)
        seat.seen = version

    def _over(self) -> None:
        self._depth = self._owner = 0
        self._open = False
        if self.durability.name == "bounded":
            if self._heart is None:
                self._heart = _Heart(self)
            self._heart.wanted.set()

    def _abandon(self, connection: sqlite3.Connection | None, error: BaseException | None) -> None:
        """Roll back and undo; a connection that the system failed is given up."""
        self._depth = self._owner = 0
        broken = _broke(error) or _broke(self._doomed)
        try:
            if connection is not None and connection.in_transaction:
                connection.execute("ROLLBACK")
        except sqlite3.Error:
            broken = True
        for seat in reversed(self._seats):
            seat.participant.undo()
        if broken and self._writer is not None:
            with suppress(sqlite3.Error):
                self._writer.close()
            self._writer = None
        self._open = False

    @contextmanager
    def alone(self) -> Iterator[sqlite3.Connection]:
        """Hold other threads off and read with the connection that writes, inside a transaction or not."""
        with self._lock:
            if self._depth:
                with self._joined() as connection:
                    yield connection
                return
            connection = self._ready()
            with mapped(self.path):
                yield connection

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Read what was committed, without waiting for writers; inside ``writing`` what is being written too."""
        if self.in_writing:
            with self._joined() as connection:
                yield connection
            return
        if self._closed:
            raise DatabaseError(f"{self.path!r} was closed: open it again")
        with mapped(self.path):
            try:
                connection = self._readers.pop()
            except IndexError:
                connection = _connect(self.path, "NORMAL", self._wait)
                connection.execute("PRAGMA query_only = ON")
            try:
                yield connection
            except BaseException:
                connection.close()
                raise
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            if self._closed or len(self._readers) >= _READERS:
                connection.close()
            else:
                self._readers.append(connection)

    def note(self, key: str, value: bytes, /) -> None:
        """Keep a value under a key, in the transaction of this thread."""
        with self.writing() as connection:
            sealed = digest("meta", key, value) + value
            connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, sealed))

    def noted(self, key: str, /, connection: sqlite3.Connection | None = None) -> bytes | None:
        """Return the value kept under a key; ``None`` where there is none.

        Raises:
            DamagedError: It is not what was written.
        """
        if connection is None:
            with self.reading() as own:
                return self.noted(key, own)
        found = connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        if found is None:
            return None
        (sealed,) = found
        if not isinstance(sealed, bytes) or digest("meta", key, sealed[_SHA:]) != sealed[:_SHA]:
            raise damaged(self.path, "meta", key)
        return sealed[_SHA:]

    def scrub(self) -> None:
        """Overwrite what was deleted where it may still lie beside the file: in the write-ahead log.

        Raises:
            DatabaseBusyError: Somebody has been reading or writing for longer than ``wait``.
        """
        with self.alone() as connection:
            if self._depth:
                raise DatabaseError("scrub needs what was deleted to be committed: call it after `writing`")
            (busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if busy:
                raise DatabaseBusyError(
                    f"{self.path!r} is being read or written: what was deleted still lies in its write-ahead"
                    " log, try again"
                )

    def close(self) -> None:
        """Let go of the file; what was committed stays. Does nothing the second time."""
        with self._lock:
            if self._closed:
                return
            if self._open:
                raise DatabaseError(f"{self.path!r} cannot be closed inside a transaction")
            self._closed = True
            heart, self._heart = self._heart, None
        if heart is not None:
            heart.stop()
        with self._lock, suppress(sqlite3.Error):
            while self._readers:
                self._readers.pop().close()
            if self._writer is not None:
                self._writer.close()
                self._writer = None

    def poison(self, why: str) -> None:
        """Refuse to write from now on."""
        self._poison = why

    def _forked(self) -> None:
        """In the child: leave all connections alone, they are the parent's; make new ones when needed."""
        self._left_behind += [self._writer, self._readers, self._heart]
        self._writer, self._readers, self._heart = None, [], None
        self._lock = threading.RLock()
        self._depth = self._owner = 0
        self._doomed = None
        for seat in self._seats:
            seat.seen = None


class _Heart:
    """Makes what was committed survive a power cut, soon after: a commit that waits for the disk."""

    def __init__(self, database: Database) -> None:
        self.wanted = threading.Event()
        self._database = weakref.ref(database)
        self._path, self._bound = database.path, database.durability.bound_ms / 1000
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="agentic-heart", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Beat once more where it is wanted, and end."""
        self._stopped.set()
        self.wanted.set()
        self._thread.join()

    def _beat(self) -> None:
        connection: sqlite3.Connection | None = None
        while True:
            self.wanted.wait()
            stopped = self._stopped.wait(self._bound / 2)
            if self.wanted.is_set():
                self.wanted.clear()
                try:
                    with mapped(self._path):
                        if connection is None:
                            connection = _connect(self._path, "FULL", self._bound)
                        connection.execute(
                            "INSERT OR REPLACE INTO beat VALUES (1, 1 + coalesce((SELECT n FROM beat), 0))"
                        )
                except DatabaseBusyError:
                    self.wanted.set()
                except DatabaseError as error:
                    database = self._database()
                    if database is not None:
                        database.poison(
                            f"{self._path!r} could not be made safe against power cuts: {error}; what was committed"
                            " last may be lost, open the database again"
                        )
                    return
            if stopped:
                if connection is not None:
                    connection.close()
                return


_OPEN: Final[weakref.WeakSet[Database]] = weakref.WeakSet()


def _after_fork() -> None:
    for database in list(_OPEN):
        database._forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def digest(*parts: str | bytes | int | memoryview) -> bytes:
    """SHA-256 over parts that cannot run into each other: each after its kind and length."""
    made = hashlib.sha256()
    for part in parts:
        if isinstance(part, str):
            part = part.encode("utf-8", "surrogatepass")
        elif isinstance(part, int):
            part = b"%d" % part
        made.update(b"%d:" % (part.nbytes if isinstance(part, memoryview) else len(part)))
        made.update(part)
    return made.digest()


def damaged(path: str, table: str, row: object) -> DamagedError:
    """The error that says which row is not what was written."""
    return DamagedError(
        f"row {row!r} of {table!r} in {path!r} is not what was written: restore the file from a backup",
        value=row,
        table=table,
    )


def _durability(asked: str | Durability) -> Durability:
    if isinstance(asked, Durability):
        return asked
    try:
        return Durability(asked)
    except ValueError as error:
        raise ConfigurationError(
            f"durability must be 'memory', 'process', 'bounded', 'power' or a Durability, got {asked!r}",
            value=asked,
        ) from error


def _checked_path(path: str | os.PathLike[str]) -> str:
    """The absolute path of a file that is there or can be made."""
    text = os.path.abspath(os.fspath(path))
    try:
        mode = os.lstat(text).st_mode
    except FileNotFoundError:
        folder = os.path.dirname(text)
        if not os.path.isdir(folder) or not os.access(folder, os.W_OK | os.X_OK):
            raise DatabaseError(
                f"cannot make {text!r}: expected a folder that there is and that may be written to",
                value=text,
            ) from None
        return text
    except (OSError, ValueError) as error:
        raise DatabaseError(f"cannot open {text!r}: {error}", value=text) from error
    if stat.S_ISLNK(mode):
        raise DatabaseError(
            f"{text!r} is a symbolic link, give the file itself: {os.path.realpath(text)!r}", value=text
        )
    if not stat.S_ISREG(mode):
        raise DatabaseError(f"{text!r} is no file: expected the path of a database", value=text)
    if not os.access(text, os.R_OK | os.W_OK) or not os.access(os.path.dirname(text), os.W_OK | os.X_OK):
        raise DatabaseError(f"{text!r} or its folder may not be read and written: change who may", value=text)
    return text


def _connect(path: str, synchronous: str, wait: float) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, timeout=wait, isolation_level=None, check_same_thread=False, cached_statements=256
    )
    for pragma in (
        f"page_size = {_PAGE}",
        "trusted_schema = OFF",
        "cell_size_check = ON",
        "secure_delete = ON",
        "temp_store = MEMORY",
        "cache_size = -32768",
        f"synchronous = {synchronous}",
        f"wal_autocheckpoint = {_WAL_PAGES}",
        f"journal_size_limit = {_WAL_PAGES * _PAGE}",
    ):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def _create(path: str, synchronous: str, wait: float) -> sqlite3.Connection:
    """Open the file to write; make it what it must be where it is empty."""
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    connection = _connect(path, synchronous, wait)
    try:
        if _belongs(connection, path):
            _to_wal(connection, path, wait)
            return connection
        _to_wal(connection, path, wait)
        connection.execute("BEGIN IMMEDIATE")
        if not _belongs(connection, path):
            for statement in SCHEMA:
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        connection.close()
        raise
    return connection


def _belongs(connection: sqlite3.Connection, path: str) -> bool:
    """Whether the file is ours; False when it is empty."""
    alone = not connection.in_transaction
    if alone:  # else another process may make the tables between one question and the next
        connection.execute("BEGIN")
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if alone:
        connection.execute("ROLLBACK")
    if not application and not version and not tables:
        return False
    if application != APPLICATION_ID:
        raise ForeignDatabaseError(
            f"{path!r} is a database of another program: choose another path", value=path
        )
    if version != VERSION:
        raise ForeignDatabaseError(
            f"{path!r} was written by a newer version of agentic (its schema is {version}, this one knows"
            f" {VERSION}): upgrade",
            value=version,
            expected=VERSION,
        )
    return True


def _to_wal(connection: sqlite3.Connection, path: str, wait: float) -> None:
    until = time.monotonic() + wait
    while True:
        try:
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        except sqlite3.OperationalError as error:  # SQLite does not wait here
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(0.005)
            continue
        if mode != "wal":
            raise DatabaseError(
                f"{path!r} cannot be shared by processes where it lies (journal mode {mode!r}): put it on a"
                " disk of this machine, not on a network",
                value=mode,
            )
        return


_KINDS: Final[dict[int, tuple[type[DatabaseError], str]]] = {
    sqlite3.SQLITE_BUSY: (DatabaseBusyError, "somebody else has been writing for too long: try again"),
    sqlite3.SQLITE_LOCKED: (DatabaseBusyError, "somebody else has been writing for too long: try again"),
    sqlite3.SQLITE_FULL: (DatabaseFullError, "no room is left: nothing was written, free some"),
    sqlite3.SQLITE_NOTADB: (ForeignDatabaseError, "it is no SQLite database: choose another path"),
    sqlite3.SQLITE_CORRUPT: (DamagedError, "it is malformed: restore it from a backup"),
    sqlite3.SQLITE_IOERR: (DatabaseError, "the system failed to read or write: see to the disk"),
    sqlite3.SQLITE_CANTOPEN: (DatabaseError, "it cannot be opened: see who may read and write it"),
    sqlite3.SQLITE_READONLY: (DatabaseError, "it may not be written to: change who may"),
    sqlite3.SQLITE_PERM: (DatabaseError, "it may not be written to: change who may"),
}
_HARMLESS: Final = (DatabaseBusyError, DatabaseFullError, ForeignDatabaseError, DamagedError)


def _broke(error: BaseException | None) -> bool:
    """Whether the system failed: the connection must not be used again."""
    return (
        isinstance(error, DatabaseError)
        and isinstance(error.__cause__, sqlite3.Error)
        and (not isinstance(error, _HARMLESS))
    )


@contextmanager
def mapped(path: str) -> Iterator[None]:
    """Raise what SQLite raises as one of ours."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", None)
        kind, told = _KINDS.get((code or 0) & 0xFF, (DatabaseError, "see to the cause"))
        raise kind(f"{path!r}: {error}; {told}", value=path, code=code) from error
