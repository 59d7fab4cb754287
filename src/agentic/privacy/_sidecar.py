"""Which erasures must be done again when an old backup comes back?"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import attrs

from agentic.errors import DamagedError, DatabaseError

_LINE: Final = re.compile(
    r"(held|erased|lifted) ([0-9a-f]{32}) (-?[0-9]{1,18}) (-?[0-9]{1,18}) ([a-z0-9-]{1,100}) ([0-9a-f]{16})"
)
_MOST_BYTES: Final = 1 << 30


@attrs.frozen
class Erasure:
    """One line of the list: what became of a request to be forgotten.

    Attributes:
        state: ``"held"`` until it is due, ``"erased"``, or ``"lifted"``: the subject stays after all.
        surrogate: Whose, two words of 64 bits: a random number, no longer linked to anybody once erased.
        at: When, microseconds since 1970.
        due: When what is held is erased; ``at`` otherwise.
        regime: Id of the law it follows.
        agent: Hash of the name of the agent that was asked.
    """

    state: str
    surrogate: tuple[int, int]
    at: int
    due: int
    regime: str
    agent: int


def _whole(handle: int) -> int:
    """Bytes of the lines that have an end."""
    end = os.fstat(handle).st_size
    tail = os.pread(handle, 512, max(end - 512, 0))
    return end - len(tail) + tail.rfind(b"\n") + 1


class ErasureList:
    """A file beside the database that grows by a line for every erasure, and holds no personal data.

    Who adds to it must hold the database's right to write.

    It is written before the database is, so that what it says and the database does not know yet is done
    when the database is opened the next time. Keep it out of the backup of the database, or restore the
    newest one of it: restoring both from one old backup forgets the erasures since.

    Args:
        path: Of the file; it need not exist.

    .. versionadded:: 0.1
    """

    def __init__(self, path: str | Path, /) -> None:
        self.path = Path(path)

    def add(self, erasures: Iterable[Erasure], /) -> None:
        """Append lines; when the call returns they are on the disk.

        Raises:
            DatabaseError: The file cannot be written, or is a link.
        """
        lines = "".join(
            f"{one.state} {one.surrogate[0]:016x}{one.surrogate[1]:016x} {one.at} {one.due} {one.regime}"
            f" {one.agent:016x}\n"
            for one in erasures
        )
        if not lines:
            return
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
        try:
            handle = os.open(self.path, flags, 0o600)
            try:
                os.ftruncate(handle, _whole(handle))  # a line that a crash cut off was never promised
                left = lines.encode()
                while left:
                    left = left[os.write(handle, left) :]
                os.fsync(handle)
            finally:
                os.close(handle)
            self._sync_folder()
        except OSError as error:
            raise DatabaseError(
                f"the list of erasures {str(self.path)!r} cannot be written ({error.strerror}): nothing was"
                " erased, make room for it or mend its permissions and ask again",
                value=str(self.path),
            ) from error

    def read(self, agent: int | None = None, /) -> dict[tuple[int, int], Erasure]:
        """The last line of an agent, or of any, about each surrogate; empty when there is no file.

        A last line without an end was cut off by a crash, before anything was erased: it does not count.

        Raises:
            DatabaseError: The file cannot be read, or is a link.
            DamagedError: A line is none of ours.
        """
        try:
            handle = os.open(self.path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise DatabaseError(
                f"the list of erasures {str(self.path)!r} cannot be read ({error.strerror}): mend its"
                " permissions; without it, restored backups are not erased again",
                value=str(self.path),
            ) from error
        with os.fdopen(handle, "rb") as file:
            raw = file.read(_MOST_BYTES)
        found: dict[tuple[int, int], Erasure] = {}
        whole, _, _ = raw.rpartition(b"\n")
        for number, line in enumerate(whole.split(b"\n") if whole else (), 1):
            match = _LINE.fullmatch(line.decode("ascii", "replace"))
            if match is None:
                raise DamagedError(
                    f"line {number} of the list of erasures {str(self.path)!r} cannot be read: restore the"
                    " list from a copy, or take the line out if you know whose it was",
                    value=number,
                )
            state, surrogate, at, due, regime, whose = match.groups()
            key = int(surrogate[:16], 16), int(surrogate[16:], 16)
            if agent is None or int(whose, 16) == agent:
                found[key] = Erasure(state, key, int(at), int(due), regime, int(whose, 16))
        return found

    def _sync_folder(self) -> None:
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
