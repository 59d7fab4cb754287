"""What was decided, and what came of it: logs of columnar blocks."""

from typing import TYPE_CHECKING

from agentic._doors import door
from agentic.provenance._memory import MemoryLog

if TYPE_CHECKING:
    from agentic.provenance._durable import DurableLog

__all__ = ["DurableLog", "MemoryLog"]

__getattr__, __dir__ = door(__name__, {"._durable": ["DurableLog"]})
