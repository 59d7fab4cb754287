"""What was decided, and what came of it: logs of columnar blocks."""

from agentic.provenance._memory import MemoryLog

__all__ = ["MemoryLog"]
