"""How does a command write its files: whole or not at all, and refused before the work if they cannot be."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from agentic.errors import AgenticError, ConfigurationError


def check_paths(paths: Sequence[str], /) -> None:
    """Refuse paths that could not be written to, or that are one and the same.

    Raises:
        ConfigurationError: A path is none, names a folder, lies in none, may not be written to, or appears
            twice. What takes a new file in its place needs a folder that may be written to.
    """
    places = []
    for text in paths:
        place, mode = _look(text)
        if place.is_dir() or not place.parent.is_dir():
            raise ConfigurationError(
                f"cannot write {text!r}: expected the path of a file in a folder that there is", value=text
            )
        asked = [place] if mode is not None else []
        if mode is None or stat.S_ISREG(mode):
            asked.append(place.parent)
        if not all(os.access(one, os.W_OK) for one in asked):
            raise ConfigurationError(
                f"cannot write {text!r}: it or its folder may not be written to, choose another place",
                value=text,
            )
        places.append(place)
    if len(set(places)) < len(places):
        raise ConfigurationError(
            f"cannot write two documents into {paths[0]!r}: give each a file of its own", value=paths[0]
        )


def write_whole(text_path: str, text: str, /) -> None:
    """Write a file beside its place and move it there, so that nobody ever finds half of it.

    Who may read and write the file there was may do so with the new one. What is no regular file, such as a
    pipe, is written to as it is.

    Raises:
        AgenticError: The system refused; a file of that name is as it was.
    """
    place, mode = _look(text_path)
    try:
        if mode is not None and not stat.S_ISREG(mode):
            place.write_text(text, encoding="utf-8")
            return
        # A letter takes up to 4 bytes, and a name mostly 255.
        beside = place.with_name(f"{place.name[:50]}.{os.getpid()}.part")
        try:
            with beside.open("x", encoding="utf-8") as stream:
                if mode is not None:
                    beside.chmod(stat.S_IMODE(mode))
                stream.write(text)
            beside.replace(place)
        except BaseException:
            with suppress(OSError):
                beside.unlink()
            raise
    except BrokenPipeError:
        raise
    except OSError as error:
        raise AgenticError(
            f"cannot write {text_path!r}: {error.strerror or error}", value=text_path
        ) from error


def _look(text: str) -> tuple[Path, int | None]:
    """Where a path leads behind all links, and the mode of what is there; None for nothing.

    What is no regular file keeps the name it was given: behind that of a pipe there may be none.

    Raises:
        ConfigurationError: The system takes it for no path: too long, with a NUL, links in a circle, or in a
            folder that may not be searched.
    """
    try:
        try:
            mode = Path(text).stat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            mode = None
        if mode is not None and not stat.S_ISREG(mode):
            return Path(text), mode
        return Path(os.path.realpath(text)), mode
    except (OSError, ValueError) as error:
        told = getattr(error, "strerror", None) or error
        raise ConfigurationError(
            f"cannot write {text!r}: {told}, expected the path of a file", value=text
        ) from error
