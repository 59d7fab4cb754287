"""What was decided, and what came of it: logs of columnar blocks, and what proves them."""

from typing import TYPE_CHECKING

from agentic._doors import door
from agentic.provenance._memory import MemoryLog

if TYPE_CHECKING:
    from agentic.provenance._bundle import Evidence, check_bundle, check_growth
    from agentic.provenance._durable import DurableLog
    from agentic.provenance._merkle import verify_consistency, verify_inclusion
    from agentic.provenance._notes import Checkpoint, Ed25519Public, HmacKey, open_checkpoint
else:
    __getattr__, __dir__ = door(
        __name__,
        {
            "._bundle": ["Evidence", "check_bundle", "check_growth"],
            "._durable": ["DurableLog"],
            "._merkle": ["verify_consistency", "verify_inclusion"],
            "._notes": ["Checkpoint", "Ed25519Public", "HmacKey", "open_checkpoint"],
        },
    )

__all__ = [
    "Checkpoint",
    "DurableLog",
    "Ed25519Public",
    "Evidence",
    "HmacKey",
    "MemoryLog",
    "check_bundle",
    "check_growth",
    "open_checkpoint",
    "verify_consistency",
    "verify_inclusion",
]
