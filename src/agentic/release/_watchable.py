"""What must be known of an agent to watch over what is released to it?"""

from __future__ import annotations

from collections.abc import Sized
from typing import Protocol

from agentic._releases import Releases
from agentic.evaluation import Judged
from agentic.protocols import ProvenanceLog
from agentic.rewards import Goals


class Watchable(Judged, Protocol):
    """An agent whose log is followed: every ``Agent`` is one."""

    @property
    def releases(self) -> Releases:
        """What people did to it and to its decisions."""

    @property
    def goals(self) -> Goals | None:
        """What turns outcomes into rewards."""


def end_of(log: ProvenanceLog, /) -> int:
    """The number that the next record of a log gets."""
    if isinstance(log, Sized):
        return len(log)
    end = 0
    for receipt, _ in log.read():
        end = receipt.first + receipt.count
    return end
