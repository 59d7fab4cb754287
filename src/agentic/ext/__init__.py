"""What needs a package of its own: one file and one extra each."""

from typing import TYPE_CHECKING

from agentic._doors import door

if TYPE_CHECKING:
    from agentic.ext._arrow import write_parquet
    from agentic.ext._ed25519 import Ed25519Key
    from agentic.ext._gymnasium import CustomerLife
else:
    __getattr__, __dir__ = door(
        __name__,
        {
            "._arrow": ["write_parquet"],
            "._ed25519": ["Ed25519Key"],
            "._gymnasium": ["CustomerLife"],
        },
    )

__all__ = ["CustomerLife", "Ed25519Key", "write_parquet"]
