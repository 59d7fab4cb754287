"""How does a command write its files: whole or not at all, and refused before the work if they cannot be."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

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


@contextmanager
def written_whole(text_path: str, /) -> Iterator[BinaryIO]:
    """Write a file beside its place, readable by its owner only, and move it there when all is written.

    For what is personal: a link is refused, whoever made it may have led it anywhere.

    Raises:
        ConfigurationError: There is something else than a regular file, or no folder.
        AgenticError: The system refused; a file of that name is as it was.
    """
    place = Path(text_path)
    _refuse_link(text_path)
    check_paths([text_path])
    beside = place.with_name(f"{place.name[:50]}.{os.getpid()}.part")
    try:
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
        try:
            with os.fdopen(handle, "wb") as stream:
                yield stream
            beside.replace(place)
        except BaseException:
            with suppress(OSError):
                beside.unlink()
            raise
    except OSError as error:
        raise AgenticError(
            f"cannot write {text_path!r}: {error.strerror or error}", value=text_path
        ) from error


def create_secret(text_path: str, text: str, /) -> None:
    """Write a file that was not there, readable by its owner only.

    Raises:
        ConfigurationError: There is something of that name, or no such folder.
        AgenticError: The system refused; nothing is left.
    """
    place = Path(text_path)
    try:
        handle = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise ConfigurationError(
            f"{text_path!r} is there already and is not overwritten: choose another name", value=text_path
        ) from error
    except (OSError, ValueError) as error:
        told = getattr(error, "strerror", None) or error
        raise ConfigurationError(f"cannot write {text_path!r}: {told}", value=text_path) from error
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        with suppress(OSError):
            place.unlink()
        raise AgenticError(
            f"cannot write {text_path!r}: {error.strerror or error}", value=text_path
        ) from error


def _refuse_link(text: str) -> None:
    try:
        mode = Path(text).lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return
    except (OSError, ValueError) as error:
        told = getattr(error, "strerror", None) or error
        raise ConfigurationError(f"cannot write {text!r}: {told}", value=text) from error
    if not stat.S_ISREG(mode):
        raise ConfigurationError(
            f"cannot write {text!r}: it is a link, a folder or a device, expected a file",
            value=text,
        )


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
