"""How does a policy go into charge, and out of it: watched in the shadows first, then share by share."""

from typing import TYPE_CHECKING

from agentic._doors import door

if TYPE_CHECKING:
    from agentic.release._shadow import Shadow, Shadowed
else:
    __getattr__, __dir__ = door(__name__, {"._shadow": ["Shadow", "Shadowed"]})

__all__ = [
    "Shadow",
    "Shadowed",
]
