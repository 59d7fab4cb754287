"""How does what was committed reach the disk beside whoever writes, and a long log the file?"""

from __future__ import annotations

import os
import sys
import threading
import time
import weakref
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

from agentic._sqlite import connect, mapped
from agentic.errors import DatabaseError

if sys.platform == "darwin":
    import fcntl

_LOOK_S: Final = 60.0  # after which a heart looks whether its database is still there


class Beating(Protocol):
    """A database, as its heart knows it."""

    @property
    def path(self) -> str:
        """Of the file."""

    @property
    def unsafe(self) -> bool:
        """Something was committed that a power cut may still take."""

    def made_safe(self, since: float | None, /) -> None:
        """Take note that it cannot any more, but for what was committed since."""

    def poison(self, why: BaseException | None, /) -> None:
        """Refuse to write from now on."""


class Heart:
    """Has what was committed survive a power cut soon, without holding up who writes meanwhile.

    SQLite does not wait for the disk when it commits at this level; the heart does, with a descriptor of its
    own on the write-ahead log. Before SQLite empties that log it waits for the disk itself.
    """

    def __init__(self, database: Beating, bound: float) -> None:
        self.wanted = threading.Event()
        self._stopped = threading.Event()
        self._database = weakref.ref(database)
        self._path, self._bound = database.path, bound
        self._file: int | None = None  # kept open: what goes wrong from now on is told to it
        self._thread = threading.Thread(target=self._run, name="agentic-heart", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Beat once more if it is wanted, and end."""
        self._stopped.set()
        self.wanted.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            while True:
                # Asked in this order no wish is missed: `stop` says that it stops, and then wakes.
                while not self._stopped.is_set() and not self.wanted.wait(_LOOK_S):
                    if self._database() is None:
                        return
                stopped = self._stopped.wait(self._bound / 2)
                self._beat()
                if stopped:
                    return
        except OSError as error:
            if (database := self._database()) is not None:
                database.poison(error)
        finally:
            self._let_go()

    def _beat(self) -> None:
        begun = time.monotonic()
        self.wanted.clear()  # first: who commits from now on wants another
        database = self._database()  # held no longer than this: what nobody uses is to go
        if database is None or not database.unsafe:
            return
        self._sync()
        database.made_safe(begun if self.wanted.is_set() else None)

    def _sync(self) -> None:
        """Have the write-ahead log on the disk.

        Raises:
            OSError: The disk refuses.
        """
        path = f"{self._path}-wal"
        try:
            there = Path(path).stat()
        except FileNotFoundError:  # emptied into the database file, on the disk, and removed
            return
        if self._file is None or not os.path.samestat(os.fstat(self._file), there):
            self._let_go()
            # There are no locks on this file that closing it could let go of.
            self._file = os.open(path, os.O_RDWR | getattr(os, "O_CLOEXEC", 0))
            if hasattr(os, "O_DIRECTORY"):
                folder = os.open(Path(path).parent, os.O_RDONLY | os.O_DIRECTORY)
                try:
                    os.fsync(folder)  # the file's name, too
                finally:
                    os.close(folder)
        sync(self._file)

    def _let_go(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            os.close(file)


def move(path: str) -> None:
    """Move what is in the write-ahead log into the file, as far as no reader needs it; wait for nobody."""
    with suppress(DatabaseError), mapped(path):  # whoever commits when the log is very long does it again
        connection = connect(path, "NORMAL", 0.0)
        try:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        finally:
            connection.close()


def sync(file: int) -> None:
    """Have what was written to a file on the disk, and not in the disk's own memory where that can be told.

    Raises:
        OSError: The disk refuses.
    """
    if sys.platform == "darwin":
        fcntl.fcntl(file, fcntl.F_FULLFSYNC)
    else:
        getattr(os, "fdatasync", os.fsync)(file)
