"""What is remembered about a subject: one fixed-width record each, and the stores that keep them."""

from typing import TYPE_CHECKING

from agentic._doors import door
from agentic.state._memory import MemoryStore
from agentic.state._migrate import migrate
from agentic.state._pools import Pools

if TYPE_CHECKING:
    from agentic._database import Database, Durability
    from agentic.state._durable import DurableStore
    from agentic.state._rechecking import Rechecked, recheck
    from agentic.state._shelf import Shelf
else:
    __getattr__, __dir__ = door(
        __name__,
        {
            "agentic._database": ["Database", "Durability"],
            "._durable": ["DurableStore"],
            "._rechecking": ["Rechecked", "recheck"],
            "._shelf": ["Shelf"],
        },
    )

__all__ = [
    "Database",
    "Durability",
    "DurableStore",
    "MemoryStore",
    "Pools",
    "Rechecked",
    "Shelf",
    "migrate",
    "recheck",
]
