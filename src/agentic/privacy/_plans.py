"""What happens to a subject's data when it asks to be forgotten: erased now, or held until when, and why?"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

import attrs

from agentic.privacy._regimes import Data, Regime

_POOLED: Final = (
    "Models that all subjects share have learned from this one too. Its contribution cannot be taken out of"
    " them exactly: learn again from the log without the subject where that is asked for."
)
_BACKUPS: Final = (
    "Backups keep what they hold until they expire; restored ones are erased again from the list of erasures."
)
_PROOF: Final = (
    "That nothing is left anywhere cannot be proved, only that the erasure is on record and that the payload"
    " no longer opens."
)
NOTES: Final = (_POOLED, _BACKUPS, _PROOF)
"""What every plan says besides."""


@attrs.frozen
class Hold:
    """Something that is kept for now because it must be.

    Attributes:
        data: What.
        until: When it is erased.
        basis: Which law asks for it.
    """

    data: Data
    until: datetime
    basis: str


@attrs.frozen
class ErasurePlan:
    """What is done about a subject's data, and when. It does not say whose.

    Attributes:
        regime: Id of the regime it follows.
        version: Of the regime.
        at: When it was made.
        basis: Why anything is erased.
        restricted_now: What nobody decides by or learns from, from now on.
        erased_now: What is erased at once.
        held_until: What is erased later.
        deadline: Until when the law wants it done; ``None`` when it names no time.
        notes: What cannot be erased, or not be proved.

    .. versionadded:: 0.1
    """

    regime: str
    version: int
    at: datetime
    basis: str
    restricted_now: tuple[Data, ...]
    erased_now: tuple[Data, ...]
    held_until: tuple[Hold, ...]
    deadline: datetime | None
    notes: tuple[str, ...]

    @property
    def due(self) -> datetime | None:
        """When what is held is erased; ``None`` when nothing is."""
        return max((hold.until for hold in self.held_until), default=None)

    def __str__(self) -> str:
        lines = [f"{self.regime} version {self.version} at {self.at:%Y-%m-%d %H:%M} UTC ({self.basis})"]
        if self.restricted_now:
            lines.append(f"  restricted now: {', '.join(self.restricted_now)}")
        if self.erased_now:
            lines.append(f"  erased now: {', '.join(self.erased_now)}")
        lines += [
            f"  held until {hold.until:%Y-%m-%d %H:%M} UTC: {hold.data} ({hold.basis})"
            for hold in self.held_until
        ]
        if not self.restricted_now and not self.erased_now:
            lines.append("  nothing is held about the subject")
        return "\n".join([*lines, *(f"  {note}" for note in self.notes)])


def plan_erasure(regime: Regime, held: Mapping[Data, datetime], now: datetime, /) -> ErasurePlan:
    """Plan the erasure of everything that is held about one subject.

    What has to be kept for a while is restricted at once and erased when the longest hold ends: a record and
    what the log says about it belong together, so they go together.

    Args:
        regime: The law.
        held: Classes of data there are, each with the time until which it was written.
        now: The time.
    """
    floors = {data: regime.floor(data) for data in held}
    holds = {
        data: (floor.period.after(held[data]), floor.basis)
        for data, floor in floors.items()
        if floor is not None and floor.period.after(held[data]) > now
    }
    erasing = regime.erasing
    latest = max(holds.values(), default=None)
    return ErasurePlan(
        regime.id,
        regime.version,
        now,
        "the subject asked for it" if erasing is None else erasing.basis,
        tuple(held) if latest else (),
        () if latest else tuple(held),
        () if latest is None else tuple(Hold(data, latest[0], holds.get(data, latest)[1]) for data in held),
        None if erasing is None or erasing.within is None else erasing.within.after(now),
        NOTES,
    )
