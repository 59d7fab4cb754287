"""How is the one file opened and told from others, and what do its errors mean to us?

Checks are SHA-256 over everything else in a row, so that a flipped bit is found whenever the row is read.
"""

from __future__ import annotations

import functools
import hashlib
import os
import sqlite3
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final

from agentic.errors import (
    DamagedError,
    DatabaseBusyError,
    DatabaseError,
    DatabaseFullError,
    ForeignDatabaseError,
)

if sys.platform != "win32":
    import fcntl
else:
    fcntl = None

APPLICATION_ID: Final = 0x61676E74  # "agnt"
VERSION: Final = 1
SCHEMA: Final = """
CREATE TABLE meta(key TEXT PRIMARY KEY, value ANY) WITHOUT ROWID;
CREATE TABLE headers(id INTEGER PRIMARY KEY, digest BLOB UNIQUE, body BLOB);
CREATE TABLE blocks(first INTEGER PRIMARY KEY, count INTEGER, kind TEXT, header INTEGER, fixed BLOB,
    public BLOB, digest BLOB);
CREATE INDEX other_blocks ON blocks(kind, first) WHERE kind <> 'decision';
CREATE TABLE vault(first INTEGER PRIMARY KEY, fixed BLOB, personal BLOB, salts BLOB, digest BLOB);
CREATE TABLE commitments(first INTEGER PRIMARY KEY, hashes BLOB);
CREATE TABLE segments(first INTEGER PRIMARY KEY, root BLOB, first_at INTEGER, last_at INTEGER,
    dropped_at INTEGER);
CREATE TABLE checkpoints(size INTEGER PRIMARY KEY, at INTEGER, note TEXT);
CREATE TABLE journal(seq INTEGER PRIMARY KEY AUTOINCREMENT, layout TEXT, names BLOB, rows BLOB, digest BLOB);
CREATE TABLE pages(layout TEXT, page INTEGER, names BLOB, versions BLOB, rows BLOB, digest BLOB,
    PRIMARY KEY(layout, page));
CREATE TABLE layouts(name TEXT PRIMARY KEY, descr TEXT, digest BLOB);
CREATE TABLE policies(version TEXT, agent TEXT, template TEXT, body BLOB, digest BLOB,
    PRIMARY KEY(agent, version));
"""
# Measured: a row of 400 bytes costs least at this size, in batches as alone.
_PAGE: Final = 16_384
_WAL_PAGES: Final = 16_384  # 256 MB, then who commits moves what is in the log into the file
_PATIENCE_S: Final = 0.02
_OBJECTS: Final = "SELECT type, name, tbl_name, sql FROM sqlite_master"
_SHORTEST_S: Final = 0.0002
_LONGEST_S: Final = 0.001


def digest(*parts: str | bytes | int | memoryview) -> bytes:
    """SHA-256 over parts that cannot run into each other: each after its length."""
    made = hashlib.sha256()
    for part in parts:
        raw = part if isinstance(part, bytes | memoryview) else str(part).encode("utf-8", "surrogatepass")
        made.update(b"%d:" % (raw.nbytes if isinstance(raw, memoryview) else len(raw)))
        made.update(raw)
    return made.digest()


def damaged(path: str, table: str, row: object) -> DamagedError:
    """The error that says which row is not what was written; ``row`` is its key, and nobody's name."""
    return DamagedError(
        f"row {row!r} of table {table!r} in {path!r} is not what was written: restore the file from a backup",
        value=row,
        table=table,
    )


def check_path(path: str | os.PathLike[str]) -> str:
    """The absolute path of a file that is there, or can be made.

    Raises:
        DatabaseError: There is something else, or it may not be read and written, or nothing can be made.
    """
    try:
        text = os.path.abspath(os.fspath(path))  # noqa: PTH100 (links are to be refused, not followed)
    except TypeError as error:
        raise DatabaseError(f"cannot open {path!r}: expected the path of a file", value=path) from error
    place = Path(text)
    try:
        mode = place.lstat().st_mode
    except FileNotFoundError:
        if not place.parent.is_dir() or not os.access(place.parent, os.W_OK | os.X_OK):
            raise DatabaseError(
                f"cannot make {text!r}: expected a folder that there is and that may be written to",
                value=text,
            ) from None
        return text
    except (OSError, ValueError) as error:
        raise DatabaseError(
            f"cannot open {path!r}: {error}, expected the path of a file", value=path
        ) from error
    if stat.S_ISLNK(mode):
        raise DatabaseError(
            f"{text!r} is a symbolic link: give the file itself, {os.path.realpath(text)!r}", value=text
        )
    if not stat.S_ISREG(mode):
        raise DatabaseError(f"{text!r} is no regular file: expected the path of a database", value=text)
    if not os.access(text, os.R_OK | os.W_OK) or not os.access(place.parent, os.W_OK | os.X_OK):
        raise DatabaseError(
            f"{text!r} or its folder may not be read and written: give this user the right to, for files are"
            " made beside it",
            value=text,
        )
    return text


def check_readable(path: str | os.PathLike[str]) -> str:
    """The absolute path of a file that is there and can be read.

    Raises:
        DatabaseError: It is not there, is something else, or may not be read.
    """
    try:
        text = os.path.abspath(os.fspath(path))  # noqa: PTH100 (links are to be refused, not followed)
        mode = Path(text).lstat().st_mode
    except (OSError, TypeError, ValueError) as error:
        told = getattr(error, "strerror", None) or error
        raise DatabaseError(
            f"cannot read {path!r}: {told}, expected the path of a file", value=path
        ) from error
    if stat.S_ISLNK(mode):
        raise DatabaseError(
            f"{text!r} is a symbolic link: give the file itself, {os.path.realpath(text)!r}", value=text
        )
    if not stat.S_ISREG(mode) or not os.access(text, os.R_OK):
        raise DatabaseError(f"{text!r} is no file that may be read: expected a database", value=text)
    return text


def connect_to_read(path: str, wait: float, *, calm: bool) -> sqlite3.Connection:
    """Open a connection that can change nothing; the file is to be one of ours.

    Args:
        path: Of the file.
        wait: Seconds to wait for locks.
        calm: Nobody has it open: then no files are made beside it, and no locks are taken.

    Raises:
        ForeignDatabaseError: The file is another program's, a newer version's, or empty.
    """
    how = "immutable=1" if calm else "mode=ro"
    connection = sqlite3.connect(
        f"{Path(path).as_uri()}?{how}", uri=True, timeout=wait, isolation_level=None, check_same_thread=False
    )
    try:
        for pragma in (
            "query_only = ON",
            "trusted_schema = OFF",
            "cell_size_check = ON",
            "temp_store = MEMORY",
            "cache_size = -32768",  # 32 MB
        ):
            connection.execute(f"PRAGMA {pragma}")
        if not _is_ours(connection, path):
            raise ForeignDatabaseError(f"{path!r} is empty: there is nothing to read", value=path)
    except BaseException:
        connection.close()
        raise
    return connection


def connect(path: str, synchronous: str, wait: float) -> sqlite3.Connection:
    """Open a connection; nothing is read or written."""
    connection = sqlite3.connect(path, timeout=wait, isolation_level=None, check_same_thread=False)
    for pragma in (
        f"page_size = {_PAGE}",
        "trusted_schema = OFF",
        "cell_size_check = ON",
        "secure_delete = ON",
        "temp_store = MEMORY",
        "cache_size = -32768",  # 32 MB
        f"synchronous = {synchronous}",
        f"wal_autocheckpoint = {_WAL_PAGES}",
        f"journal_size_limit = {_WAL_PAGES * _PAGE}",
    ):
        try:
            connection.execute(f"PRAGMA {pragma}")
        except UnicodeDecodeError as error:  # SQLite quotes what it cannot read
            connection.close()
            raise _malformed(path) from error
    return connection


def create(path: str, synchronous: str, wait: float) -> sqlite3.Connection:
    """Open the file to write, and make it what it must be where it is new or empty."""
    # Only who makes the file opens it here: closing it would let go of the locks that this process has on it.
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    connection = connect(path, synchronous, wait)
    try:
        ours = _is_ours(connection, path)
        _share(connection, path, wait)
        if not ours:
            connection.execute("BEGIN IMMEDIATE")
            if not _is_ours(connection, path):  # by now
                for statement in SCHEMA.split(";"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version = {VERSION}")
            connection.execute("COMMIT")
    except BaseException:
        connection.close()
        raise
    return connection


def _is_ours(connection: sqlite3.Connection, path: str) -> bool:
    """Whether it was made by us; False when it is empty.

    Raises:
        ForeignDatabaseError: It was made by another program, or by a newer version.
    """
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
            f"{path!r} is a database of another program (application id {application}): choose another path",
            value=application,
            expected=APPLICATION_ID,
        )
    if version != VERSION:
        raise ForeignDatabaseError(
            f"{path!r} has schema {version}, this version of agentic knows {VERSION}: upgrade agentic",
            value=version,
            expected=VERSION,
        )
    if set(connection.execute(_OBJECTS)) != _expected():
        raise _malformed(path)
    return True


@functools.cache
def _expected() -> frozenset[tuple[str, str, str, str]]:
    """What there is in a file that we made: tables and indexes, word for word, and nothing that acts."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(SCHEMA)
        return frozenset(connection.execute(_OBJECTS))


def _malformed(path: str) -> DamagedError:
    return DamagedError(
        f"{path!r} does not have the tables that it was made with: restore the file from a backup", value=path
    )


def _share(connection: sqlite3.Connection, path: str, wait: float) -> None:
    """Have readers and the writer not wait for each other: WAL, which stays with the file."""
    until = time.monotonic() + wait
    while True:
        try:
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        except sqlite3.OperationalError as error:  # here SQLite itself does not wait
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(_LONGEST_S)
            continue
        if mode != "wal":
            raise DatabaseError(
                f"{path!r} cannot be shared by processes where it lies (journal mode {mode!r}, expected"
                " 'wal'): put it on a disk of this machine, not on a network",
                value=mode,
                expected="wal",
            )
        return


class Turnstile:
    """Lets every process write before long: who has waited for a while goes before who has just written.

    SQLite has no queue. Who writes all the time finds the file free as soon as it has let go of it, and
    others, who look again after up to 100 ms, hardly ever do. So who has waited for 20 ms takes a lock, on a
    file of its own, that all pass before they begin. Where there are no such locks, as on Windows, all just
    look again every millisecond.
    """

    def __init__(self, path: str | None) -> None:
        self._file: int | None = None
        if fcntl is not None and path is not None:
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            with suppress(OSError):
                self._file = os.open(f"{path}-turn", flags, 0o600)

    def begin(self, connection: sqlite3.Connection, wait: float) -> None:
        """Begin a transaction that writes.

        Raises:
            sqlite3.OperationalError: Others have been writing for longer than ``wait`` seconds, or worse.
        """
        begun = time.monotonic()
        mine = False
        connection.execute("PRAGMA busy_timeout = 0")
        try:
            while True:
                if mine or self._pass():
                    try:
                        connection.execute("BEGIN IMMEDIATE")
                    except sqlite3.OperationalError as error:
                        waited = time.monotonic() - begun
                        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or waited >= wait:
                            raise
                        mine = waited >= _PATIENCE_S
                    else:
                        return
                    finally:
                        if not mine:
                            self._let_pass()
                elif time.monotonic() - begun >= wait:
                    mine = True  # as often as it takes to be told that it is busy
                time.sleep(_SHORTEST_S if mine else _LONGEST_S)
        finally:
            if mine:
                self._let_pass()
            connection.execute(f"PRAGMA busy_timeout = {int(wait * 1000)}")

    def _let_pass(self) -> None:
        if self._file is not None:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def _pass(self) -> bool:
        if self._file is None:
            return True
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            file, self._file = self._file, None
            os.close(file)


_BUSY: Final = DatabaseBusyError, "somebody else has held it for too long: try again, or wait longer"
_MEANING: Final[dict[int, tuple[type[DatabaseError], str]]] = {
    sqlite3.SQLITE_BUSY: _BUSY,
    sqlite3.SQLITE_LOCKED: _BUSY,
    sqlite3.SQLITE_FULL: (DatabaseFullError, "nothing was written: make room where it lies"),
    sqlite3.SQLITE_NOTADB: (ForeignDatabaseError, "it is of another program: choose another path"),
    sqlite3.SQLITE_CORRUPT: (DamagedError, "restore it from a backup"),
    sqlite3.SQLITE_IOERR: (DatabaseError, "nothing was written: see to the disk"),
    sqlite3.SQLITE_CANTOPEN: (DatabaseError, "see who may read and write the file and its folder"),
    sqlite3.SQLITE_READONLY: (DatabaseError, "see who may read and write the file and its folder"),
    sqlite3.SQLITE_PERM: (DatabaseError, "see who may read and write the file and its folder"),
}


@contextmanager
def mapped(path: str) -> Iterator[None]:
    """Raise what SQLite raises as one of ours, with the cause beside it."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0)
        kind, told = _MEANING.get(code & 0xFF, (DatabaseError, "see the cause"))
        if not code and "decode" in str(error):  # Python's module, of a text that is none, which it quotes
            raise DamagedError(
                f"{path!r} holds a text that is no UTF-8: restore it from a backup", value=path
            ) from None
        raise kind(f"{path!r}: {error}; {told}", value=path, code=code) from error


def failed_us(error: BaseException | None) -> bool:
    """Whether the system failed to read or write: the connection must not be trusted any more."""
    cause = error.__cause__ if isinstance(error, DatabaseError) else None
    code = getattr(cause, "sqlite_errorcode", 0) & 0xFF
    return isinstance(cause, sqlite3.Error) and code in (
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
    )


def lost_sync(error: BaseException | None) -> bool:
    """Whether the system failed to bring to the disk what it had taken: asked again it may say it has."""
    cause = error.__cause__ if isinstance(error, DatabaseError) else None
    return getattr(cause, "sqlite_errorcode", 0) in (
        sqlite3.SQLITE_IOERR_FSYNC,
        sqlite3.SQLITE_IOERR_DIR_FSYNC,
    )
