"""How much do people leave to an agent, and which of its decisions did they set aside?"""

from __future__ import annotations

from typing import Final

from agentic._flow import LEVELS
from agentic._releases._events import Event

LEVEL: Final = "oversight.level"
APPROVED, REJECTED, OVERRIDDEN = (f"oversight.{word}" for word in ("approved", "rejected", "overridden"))
LAPSED: Final = "oversight.lapsed"


def level_of(event: Event, /) -> str:
    """The level that an event sets; the lowest, where it says something else."""
    level = event.facts.get("level")
    return level if isinstance(level, str) and level in LEVELS else LEVELS[0]


def set_aside(event: Event, /) -> tuple[int, int] | None:
    """Log number and slots of a decision that nothing came of, because somebody said no."""
    return concerned(event) if event.what in (REJECTED, OVERRIDDEN, LAPSED) else None


def concerned(event: Event, /) -> tuple[int, int] | None:
    """Log number and slots of the decision that an event is about; ``None`` if it is about none."""
    position, slots = event.facts.get("position"), event.facts.get("slots")
    if type(position) is not int or type(slots) is not int:
        return None
    return (position, slots) if 0 <= position < 1 << 62 and 0 < slots < 1 << 16 else None
