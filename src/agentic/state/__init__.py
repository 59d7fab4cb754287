"""What is remembered about a subject: one fixed-width record each, and the stores that keep them."""

from agentic.state._durable import DurableStore
from agentic.state._memory import MemoryStore
from agentic.state._migrate import migrate
from agentic.state._pools import Pools

__all__ = ["DurableStore", "MemoryStore", "Pools", "migrate"]
