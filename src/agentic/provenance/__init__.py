"""What was decided, and what came of it: logs of columnar blocks, and what proves them."""

from typing import TYPE_CHECKING

from agentic._doors import door
from agentic.provenance._memory import MemoryLog

if TYPE_CHECKING:
    from agentic.provenance._bundle import Evidence, check_bundle, check_growth, verifier_source
    from agentic.provenance._checkpoints import StoredCheckpoint
    from agentic.provenance._durable import DurableLog
    from agentic.provenance._merkle import verify_consistency, verify_inclusion
    from agentic.provenance._notes import (
        Checkpoint,
        Ed25519Public,
        HmacKey,
        Signer,
        Verifier,
        open_checkpoint,
    )
    from agentic.provenance._proving import Consistency, Inclusion, Leaf
    from agentic.provenance._rechecking import Verified
else:
    __getattr__, __dir__ = door(
        __name__,
        {
            "._bundle": ["Evidence", "check_bundle", "check_growth", "verifier_source"],
            "._checkpoints": ["StoredCheckpoint"],
            "._durable": ["DurableLog"],
            "._merkle": ["verify_consistency", "verify_inclusion"],
            "._notes": ["Checkpoint", "Ed25519Public", "HmacKey", "Signer", "Verifier", "open_checkpoint"],
            "._proving": ["Consistency", "Inclusion", "Leaf"],
            "._rechecking": ["Verified"],
        },
    )

__all__ = [
    "Checkpoint",
    "Consistency",
    "DurableLog",
    "Ed25519Public",
    "Evidence",
    "HmacKey",
    "Inclusion",
    "Leaf",
    "MemoryLog",
    "Signer",
    "StoredCheckpoint",
    "Verified",
    "Verifier",
    "check_bundle",
    "check_growth",
    "open_checkpoint",
    "verifier_source",
    "verify_consistency",
    "verify_inclusion",
]
