"""What was decided, and what came of it: logs of columnar blocks, and what proves them."""

from typing import TYPE_CHECKING

from agentic._doors import door
from agentic.provenance._memory import MemoryLog

if TYPE_CHECKING:
    from agentic.provenance._durable import DurableLog
    from agentic.provenance._proving import Consistency, Inclusion, Leaf
    from agentic.provenance._rechecking import Verified
else:
    __getattr__, __dir__ = door(
        __name__,
        {
            "._durable": ["DurableLog"],
            "._proving": ["Consistency", "Inclusion", "Leaf"],
            "._rechecking": ["Verified"],
        },
    )

__all__ = ["Consistency", "DurableLog", "Inclusion", "Leaf", "MemoryLog", "Verified"]
