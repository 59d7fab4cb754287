"""How is a database file looked at without leaving a trace, while others may be writing it?"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agentic._database import Database
from agentic._sqlite import Turnstile, check_readable, connect_to_read, mapped
from agentic.errors import DatabaseBusyError, DatabaseError


class Onlooker(Database):
    """A database file opened to be read: nothing in it or beside it is changed.

    Where another process has it open, what is committed is read as by anybody. Where nobody has, no locks
    are taken and no files are made beside it, so that a copy on a medium that cannot be written to can be
    read; who opens it meanwhile is noticed.

    Args:
        path: Of the file.
        wait: Seconds to wait for locks.

    Raises:
        DatabaseError: There is no such file, or it cannot be read.
        ForeignDatabaseError: It belongs to another program, was made by a newer version, or is empty.
    """

    def __init__(self, path: str | os.PathLike[str], *, wait: float = 30.0) -> None:
        self._turnstile = Turnstile(None)
        self._calm: tuple[int, int] | None = None  # how the file stood when nobody had it open
        super().__init__(path, durability="memory", wait=wait)

    @staticmethod
    def _checked(path: str | os.PathLike[str]) -> str:
        return check_readable(path)

    def _ready(self) -> sqlite3.Connection:
        if self._closed:
            raise DatabaseError(f"{self.path!r} was closed: open it again")
        with self._lock:
            if self._writer is None:
                self._calm = self._stand()
                with mapped(self.path):
                    self._writer = self._reader()
            return self._writer

    def _reader(self) -> sqlite3.Connection:
        return connect_to_read(self.path, self._wait, calm=self._calm is not None)

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Refuse.

        Raises:
            DatabaseError: Always.
        """
        raise DatabaseError(f"{self.path!r} was opened to be read only: open it as a Database")
        yield  # a context manager has one

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Read what was committed, waiting for nobody; as ``Database.reading``.

        Raises:
            DatabaseError: The file cannot be read, or was closed.
            DatabaseBusyError: Somebody opened the file and wrote it meanwhile.
        """
        if self._calm is not None and self._stand() != self._calm:  # somebody has come
            self._let_go()
        self._ready()
        calm = self._calm
        with super().reading() as connection:
            yield connection
        if calm is not None and self._size() != calm:
            raise DatabaseBusyError(f"{self.path!r} was opened and written while it was read: read it again")

    def _size(self) -> tuple[int, int]:
        """When the file was last written, in nanoseconds, and its size in bytes."""
        told = Path(self.path).stat()
        return told.st_mtime_ns, told.st_size

    def _stand(self) -> tuple[int, int] | None:
        """How the file stands; ``None`` where somebody has it open, or left without closing it."""
        return None if Path(f"{self.path}-wal").exists() else self._size()
