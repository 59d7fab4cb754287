"""How does a command write its files: whole or not at all, and refused before the work if they cannot be."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from agentic.errors import AgenticError, ConfigurationError


def check_paths(paths: Sequence[str], /) -> None:
    """Refuse paths that could not be written to, or that are one and the same.

    Raises:
        ConfigurationError: A path names a folder, lies in none, may not be written to, or appears twice.
    """
    for text in paths:
        path = Path(text)
        if path.is_dir() or not path.parent.is_dir():
            raise ConfigurationError(
                f"cannot write {text!r}: expected the path of a file in a folder that there is", value=text
            )
        if not os.access(path if path.exists() else path.parent, os.W_OK):
            raise ConfigurationError(
                f"cannot write {text!r}: it may not be written to, choose another place", value=text
            )
    if len({Path(text).resolve() for text in paths}) < len(paths):
        raise ConfigurationError(
            f"cannot write two documents into {paths[0]!r}: give each a file of its own", value=paths[0]
        )


def write_whole(text_path: str, text: str, /) -> None:
    """Write a file beside its place and move it there, so that nobody ever finds half of it.

    What is no regular file, such as a pipe, is written to as it is.

    Raises:
        AgenticError: The system refused; a file of that name is as it was.
    """
    path = Path(text_path)
    try:
        if path.exists() and not path.is_file():
            path.write_text(text, encoding="utf-8")
            return
        place = path.resolve()
        beside = place.with_name(f"{place.name[:200]}.{os.getpid()}.part")
        try:
            with beside.open("x", encoding="utf-8") as stream:
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
