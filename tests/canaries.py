"""Personal data that must stay where it was put: what looks like it, and who watches whether it gets out.

A canary is a text that stands for somebody: a subject, a feature's value, a request, some evidence. The whole
suite is watched, see ``conftest.py``: what it calls its customers is a canary too.
"""

from __future__ import annotations

import logging
import re
import sqlite3
import traceback
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.request import pathname2url

from agentic.errors import AgenticError

SUBJECT, VALUE, REQUEST, EVIDENCE = CANARIES = (
    "kanarie-ada@example.org",
    "kanarie-diabetes",
    "kanarie-order-7",
    "kanarie-signed-by-ada",
)

LOOKS_PERSONAL = re.compile(r"kanarie-|customer-\d")
"""Canaries, and the subjects of ``agents.names``."""

ERASABLE = frozenset({"vault", "journal", "pages"})
"""Tables of a database file that may hold personal data, until it is erased."""


_watches: list[list[str]] = []


@contextmanager
def watching() -> Iterator[list[str]]:
    """Note every canary in an error of the library, its facts, or a line that the library logs.

    Where one watch stands inside another, the inner one notes.
    """
    leaks: list[str] = []
    init, factory = AgenticError.__init__, logging.getLogRecordFactory()

    def raised(self: AgenticError, message: str, /, **facts: object) -> None:
        init(self, message, **facts)
        try:
            told = f"{message} {facts!r}"
        except ValueError:  # an integer too long to be written
            told = message
        if _watches[-1] is leaks and LOOKS_PERSONAL.search(told):
            place = traceback.extract_stack(limit=2)[0]
            leaks.append(f"{type(self).__name__} at {place.filename}:{place.lineno}: {told[:500]}")

    def logged(*args: Any, **more: Any) -> logging.LogRecord:
        record = factory(*args, **more)
        if _watches[-1] is leaks and record.name.split(".")[0] == "agentic":
            text = logging.Formatter().format(record)
            if LOOKS_PERSONAL.search(text):
                leaks.append(f"log {record.name} at {record.pathname}:{record.lineno}: {text[:500]}")
        return record

    AgenticError.__init__ = raised  # type: ignore[method-assign]
    logging.setLogRecordFactory(logged)
    _watches.append(leaks)
    try:
        yield leaks
    finally:
        _watches.pop()
        AgenticError.__init__ = init  # type: ignore[method-assign]
        logging.setLogRecordFactory(factory)


def scan(path: str | Path, canaries: Iterable[str] = CANARIES) -> dict[str, set[str]]:
    """Find canaries in a SQLite file, wherever they lie.

    Returns:
        For each canary found the places: ``table.column`` for what a query sees, and ``file``, ``wal`` or
        ``journal file`` for the bytes on the disk, which hold what was deleted and not overwritten too.
    """
    wanted = {canary: canary.encode() for canary in canaries}
    found: dict[str, set[str]] = {}

    def look(place: str, value: object) -> None:
        raw = value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")
        for canary, needle in wanted.items():
            if needle in raw:
                found.setdefault(canary, set()).add(place)

    with closing(sqlite3.connect(f"file:{pathname2url(str(path))}?mode=ro", uri=True)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (table,) in tables:
            rows = connection.execute(f'SELECT * FROM "{table}"')
            columns = [column[0] for column in rows.description]
            for row in rows:
                for column, value in zip(columns, row, strict=True):
                    look(f"{table}.{column}", value)
    for suffix, place in (("", "file"), ("-wal", "wal"), ("-journal", "journal file")):
        beside = Path(f"{path}{suffix}")
        if beside.exists():
            look(place, beside.read_bytes())
    return found


def outside(found: dict[str, set[str]]) -> dict[str, set[str]]:
    """Of what ``scan`` found, what lies in tables that are never erased."""
    kept = {
        c: {p for p in places if "." in p and p.split(".")[0] not in ERASABLE} for c, places in found.items()
    }
    return {canary: places for canary, places in kept.items() if places}
