"""What an agent leaves in a database besides its log and its records: policies, and where to begin again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from agentic._sqlite import damaged, digest
from agentic.errors import DamagedError

if TYPE_CHECKING:
    from agentic._database import Database

_MOST: Final = 1 << 62  # records of a log


class Shelf:
    """Policy versions and bookmarks of agents in one database; safe for threads and processes."""

    def __init__(self, database: Database, /) -> None:
        self._database = database

    def put(self, agent: str, version: str, template: str, body: bytes | None, /) -> None:
        """Put a version on the shelf, before all others of its template.

        Args:
            body: Its content; ``None`` for what has no stored form.

        Raises:
            DatabaseError: The file cannot be written.
        """
        with self._database.writing() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO policies(version, agent, template, body, digest)"
                " VALUES(?, ?, ?, ?, ?)",
                (version, agent, template, body, _digest(agent, version, template, body)),
            )

    def get(self, agent: str, version: str, /) -> tuple[str, bytes | None] | None:
        """Template and content of a version.

        Raises:
            DamagedError: It is not what was stored.
        """
        with self._database.reading() as connection:
            row = connection.execute(
                "SELECT template, body, digest FROM policies WHERE agent = ? AND version = ?",
                (agent, version),
            ).fetchone()
        if row is None:
            return None
        template, body, told = row
        self.check(agent, version, template, body, told)
        return template, body

    def has(self, agent: str, /) -> bool:
        """Whether there is anything of this agent, even where the index does not know."""
        with self._database.reading() as connection:
            row = connection.execute(
                "SELECT 1 FROM policies NOT INDEXED WHERE agent = ? LIMIT 1", (agent,)
            ).fetchone()
        return row is not None

    def last(self, agent: str, template: str, /) -> tuple[str, bytes | None] | None:
        """Version and content of what was put last for this template.

        Raises:
            DamagedError: It is not what was stored.
        """
        with self._database.reading() as connection:
            row = connection.execute(
                "SELECT version, body, digest FROM policies WHERE agent = ? AND template = ?"
                " ORDER BY rowid DESC LIMIT 1",
                (agent, template),
            ).fetchone()
        if row is None:
            return None
        version, body, told = row
        self.check(agent, version, template, body, told)
        return version, body

    def mark(self, agent: str, begin: int, learned: int, version: str, /) -> None:
        """Note where the agent takes up its log after a restart.

        Raises:
            DatabaseError: The file cannot be written.
        """
        told = json.dumps([begin, learned, version])
        self._database.note(f"mark/{agent}", told.encode())

    def marked(self, agent: str, /) -> tuple[int, int, str] | None:
        """What was noted last; ``None`` before anything was.

        Raises:
            DamagedError: It is not what was noted.
        """
        told = self._database.noted(f"mark/{agent}")
        if told is None:
            return None
        try:
            begin, learned, version = json.loads(told.decode())
        except (ValueError, TypeError, RecursionError):
            begin = learned = version = None
        if type(begin) is type(learned) is int and isinstance(version, str) and 0 <= begin < _MOST:
            return begin, learned, version
        raise damaged(self._database.path, "meta", "mark")

    def needed(self) -> int:
        """Number of the first record that some agent of the file has to hear again after a restart."""
        with self._database.reading() as connection:
            keys = connection.execute("SELECT key FROM meta WHERE key LIKE 'mark/%'").fetchall()
        marks = [self.marked(str(key).removeprefix("mark/")) for (key,) in keys]
        return min((mark[0] for mark in marks if mark is not None), default=0)

    def forget(self, agent: str, keys: Sequence[int], /) -> list[str]:
        """Take the content of those versions away in which some subjects can be found by their keys.

        Args:
            keys: Of the subjects, as policies see them.

        Returns:
            The versions.

        Raises:
            DatabaseError: The file cannot be written.
        """
        gone: list[str] = []
        with self._database.writing() as connection:
            for key in keys:
                found = connection.execute(
                    "SELECT version, template FROM policies"
                    " WHERE agent = ? AND instr(CAST(body AS BLOB), CAST(? AS BLOB))",
                    (agent, key.to_bytes(8, "little")),
                ).fetchall()
                for version, template in found:
                    connection.execute(
                        "UPDATE policies SET body = NULL, digest = ? WHERE agent = ? AND version = ?",
                        (_digest(agent, version, template, None), agent, version),
                    )
                    gone.append(version)
        return gone

    @staticmethod
    def check(agent: str, version: str, template: str, body: bytes | None, told: bytes, /) -> None:
        """Compare a row of ``policies`` with its digest.

        Raises:
            DamagedError: It is not what was stored.
        """
        whole = isinstance(version, str) and isinstance(template, str) and isinstance(body, bytes | None)
        if not whole or told != _digest(agent, version, template, body):
            raise DamagedError(
                f"policy version {version!r} of agent {agent!r} is not what was stored: restore the file from"
                " a backup, or delete all rows of this agent from the table policies to begin anew",
                value=version,
            )


def _digest(agent: str, version: str, template: str, body: bytes | None) -> bytes:
    return digest("policies", agent, version, template, "not" if body is None else "stored", body or b"")
