"""Is every row of what stores and agents keep in a database what was written?"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import attrs
import numpy as np

from agentic._sqlite import damaged, digest
from agentic.arrays import Layout
from agentic.errors import DatabaseError
from agentic.state._durable import is_page, is_row
from agentic.state._packed import read_layout, records, unpack
from agentic.state._shelf import Shelf

if TYPE_CHECKING:
    from agentic._database import Database

_OFTEN: Final = 64


@attrs.frozen
class Rechecked:
    """What a check of records, layouts, policies and notes found.

    Attributes:
        journal: How many rows the journal has.
        pages: How many pages of records there are.
        layouts: How many layouts.
        policies: How many policy versions.
        notes: How many notes.
        problem: What the first thing is that is not right; ``None`` where everything is.
    """

    journal: int
    pages: int
    layouts: int
    policies: int
    notes: int
    problem: str | None

    @property
    def ok(self) -> bool:
        """Whether everything is right."""
        return self.problem is None


def recheck(database: Database, progress: Callable[[int, int], object] | None = None, /) -> Rechecked:
    """Read every row of these tables and compare it with its digest, and with the others it belongs to.

    Others may go on writing; what is looked at is what is there when it begins. Holds one row in memory.

    Args:
        database: To look at.
        progress: Called with how many rows are done, and of how many.
    """
    look = _Look(database, progress)
    problem = None
    try:
        with database.snapshot() as connection:
            look.run(connection)
    except DatabaseError as error:
        problem = str(error)
    return Rechecked(**look.counts, problem=problem)


class _Look:
    def __init__(self, database: Database, progress: Callable[[int, int], object] | None) -> None:
        self._database, self._progress = database, progress
        self._layouts: dict[str, Layout] = {}
        self._done = self._all = 0
        self.counts = dict.fromkeys(("journal", "pages", "layouts", "policies", "notes"), 0)

    def run(self, connection: sqlite3.Connection) -> None:
        for table in ("journal", "pages"):
            self._all += connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608 - our own words
        self._notes(connection)
        self._read_layouts(connection)
        self._journal(connection, self._pages(connection))
        self._policies(connection)

    def _notes(self, connection: sqlite3.Connection) -> None:
        for (key,) in connection.execute("SELECT key FROM meta").fetchall():
            self._database.noted(key, connection)
            self.counts["notes"] += 1

    def _read_layouts(self, connection: sqlite3.Connection) -> None:
        for key, descr, check in connection.execute("SELECT name, descr, digest FROM layouts"):
            if (
                not (isinstance(key, str) and isinstance(descr, str))
                or key != digest(descr).hex()
                or check != digest("layouts", key, descr)
            ):
                raise self._wrong("layouts", key)
            try:
                self._layouts[key] = read_layout(descr)
            except ValueError as error:
                raise self._wrong("layouts", key) from error
            self.counts["layouts"] += 1

    def _pages(self, connection: sqlite3.Connection) -> int:
        """Check the pages; return the number of the journal row they are as of."""
        told = self._database.noted("state", connection)
        seq, listed = 0, set()
        if told is not None:
            try:
                state = json.loads(told.decode())
                seq = int(state["seq"])
                (found,) = connection.execute("SELECT count(*) FROM pages").fetchone()
                pages = [(str(key), int(count)) for key, count in state["pages"]]
                if sum(count for _, count in pages) != found or any(count < 0 for _, count in pages):
                    raise ValueError  # before that many are listed
                for key, count in pages:
                    listed |= {(key, page) for page in range(count)}
            except (ValueError, TypeError, KeyError, RecursionError) as error:
                raise self._wrong("meta", "state") from error
        for key, page, names, versions, rows, check in connection.execute(
            "SELECT layout, page, names, versions, rows, digest FROM pages"
        ):
            if (key, page) not in listed or not is_page(key, page, names, versions, rows, check):
                raise self._wrong("pages", (key, page))
            self._rows("pages", (key, page), key, names, rows)
            if len(versions) != 16 * int.from_bytes(names[:4], "little"):
                raise self._wrong("pages", (key, page))
            self._step("pages")  # as many as are listed, and no two alike
        return seq

    def _journal(self, connection: sqlite3.Connection, seq: int) -> None:
        for number, key, names, rows, check in connection.execute(
            "SELECT seq, layout, names, rows, digest FROM journal ORDER BY seq"
        ):
            if number != seq + 1 or not is_row(number, key, names, rows, check):
                raise self._wrong("journal", seq + 1)
            if rows is not None:
                self._rows("journal", number, key, names, rows)
            elif len(names) % np.dtype("<i8").itemsize:
                raise self._wrong("journal", number)
            seq = number
            self._step("journal")
        last = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'journal'").fetchone()
        if (last or (0,)) != (seq,):
            raise self._wrong("journal", seq + 1)

    def _policies(self, connection: sqlite3.Connection) -> None:
        for agent, version, template, body, check in connection.execute(
            "SELECT agent, version, template, body, digest FROM policies"
        ):
            Shelf.check(agent, version, template, body, check)
            self.counts["policies"] += 1

    def _rows(self, table: str, row: object, key: Any, names: bytes, rows: bytes) -> None:  # SQLite's
        layout = self._layouts.get(key)
        if layout is None:
            raise self._wrong("layouts", key)
        try:
            unpack(names)
            records(rows, layout.dtype, int.from_bytes(names[:4], "little"))
        except ValueError as error:
            raise self._wrong(table, row) from error

    def _step(self, table: str) -> None:
        self.counts[table] += 1
        self._done += 1
        if self._progress is not None and (self._done % _OFTEN == 0 or self._done == self._all):
            self._progress(self._done, self._all)

    def _wrong(self, table: str, row: object) -> Exception:
        return damaged(self._database.path, table, row)
