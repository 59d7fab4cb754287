"""What does a command show while it works, and where does it complain?"""

from __future__ import annotations

import sys
from typing import Final, TextIO

import attrs

FAILED: Final = 1
WRONG_USE: Final = 2
_WIDTH: Final = 30


def complain(line: str, /) -> None:
    """Print a line for people, apart from what is printed for programs."""
    if sys.stderr is not None:  # else print would turn to standard output
        print(line, file=sys.stderr)


def is_watched() -> bool:
    """Whether somebody sits at a terminal."""
    return sys.stderr is not None and sys.stderr.isatty()


@attrs.define
class Bar:
    """A progress bar on a terminal."""

    stream: TextIO
    shown: str = ""

    def show(self, what: str, done: int, total: int) -> None:
        """Draw it again if it has moved."""
        full = _WIDTH * done // max(total, 1)
        line = f"{what:<10} [{'#' * full}{'.' * (_WIDTH - full)}] {100 * done // max(total, 1):>3} %"
        if line != self.shown:
            self.shown = line
            self.stream.write(f"\r{line}")
            self.stream.flush()

    def clear(self) -> None:
        """Wipe it out."""
        if self.shown:
            self.stream.write("\r" + " " * len(self.shown) + "\r")
            self.stream.flush()
