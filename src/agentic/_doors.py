"""How does a room show names without importing the files they are in?

A policy, a feature or a rule costs a process something only when the process uses one: most of what an
import takes is the making of classes.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def door(
    room: str, files: Mapping[str, Sequence[str]], /
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:  # a name is whatever it is
    """Make ``__getattr__`` and ``__dir__`` of a room that imports a file when a name is asked for.

    Type checkers read the ordinary imports that stand beside it, under ``TYPE_CHECKING``.

    Args:
        room: The package's ``__name__``.
        files: Names by the module they are in, relative to the room or absolute.

    Raises:
        AttributeError: Later, when a name is asked for that no file has.
    """
    homes = {name: file for file, names in files.items() for name in names}

    def find(name: str, /) -> Any:
        if name not in homes:
            raise AttributeError(f"module {room!r} has no attribute {name!r}")
        found = getattr(importlib.import_module(homes[name], room), name)
        setattr(sys.modules[room], name, found)  # the next time it is simply there
        return found

    def names() -> list[str]:
        return sorted({*vars(sys.modules[room]), *homes})

    return find, names
