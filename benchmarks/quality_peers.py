"""The peers of ``quality.py``, each only where it is installed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def learners() -> tuple[dict[str, Callable[[int, int, int], Any]], list[str]]:
    """Peers by name, and a note for each that is missing."""
    return {}, []
