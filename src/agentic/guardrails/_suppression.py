"""Is the subject not to be contacted at all for now?"""

from __future__ import annotations

from typing import Final

import attrs
import numpy as np

from agentic.arrays import Batch, Bools, Chosen, Field, Records, Review, Space
from agentic.guardrails._scope import (
    EVERYTHING,
    Spread,
    bound,
    by_arrival,
    check_name,
    columns,
    concerned,
    listed,
    ready,
    spared,
    together,
)
from agentic.types import Fact, Released, Suppressed, micros

_NOT: Final = int(np.iinfo(np.int64).min)
_FOR_GOOD: Final = int(np.iinfo(np.int64).max)
_FIELD: Final = Field("until", np.int64, default=_NOT, role="profile")


@attrs.frozen
class Suppression:
    """Denies every delivery before the suppression ends.

    Judged is the delivery, as in every rule about time: what leaves at once is denied until the end, and
    what is scheduled for after the end is not. Of several suppressions the longest holds, whatever order
    they are told in; only ``Released`` lifts it.

    Attributes:
        channels: Only for these channels; ``None`` means all.
        message_classes: Only for these message classes; ``None`` means all.
        actions: Only for these actions; ``None`` means all.
        exempt: Message classes left alone; none unless said otherwise.
        name: Of the guardrail.
    """

    channels: tuple[str, ...] | None = attrs.field(default=None, kw_only=True, converter=listed)
    message_classes: tuple[str, ...] | None = attrs.field(default=None, kw_only=True, converter=listed)
    actions: tuple[str, ...] | None = attrs.field(default=None, kw_only=True, converter=listed)
    exempt: tuple[str, ...] = attrs.field(default=(), kw_only=True, converter=spared)
    name: str = attrs.field(default="suppression", kw_only=True, validator=check_name)
    _plan: Spread | None = attrs.field(default=None, init=False, eq=False, repr=False)

    def bind(self, space: Space, /) -> Suppression:
        """Group the candidates that arrive together.

        Raises:
            ConfigurationError: The scope names something that is not in the catalogue.
        """
        return bound(self, Spread.of(by_arrival(space.catalogue), concerned(self, space)))

    def concerns(self, space: Space, /) -> Bools:
        """Mark the candidates it is about: shape (k,)."""
        return concerned(self, space)

    @property
    def fields(self) -> tuple[Field, ...]:
        """When the suppression ends."""
        return (_FIELD,)

    def review(self, batch: Batch, /) -> Review:
        """Allow what arrives after the end."""
        spread = ready(self._plan, self.name)
        if not spread.names:
            return Review(EVERYTHING, "SUPPRESSED")
        until = together(batch.rows, (_FIELD.name,), ())
        return spread.review(columns(batch.delivery, spread.first) >= until, "SUPPRESSED")

    def settle(self, batch: Batch, chosen: Chosen, /) -> None:
        """Nothing: what was sent changes no suppression."""

    def hear(self, rows: Records, fact: Fact, now: int, /) -> bool:
        """Note a suppression or its release."""
        if isinstance(fact, Suppressed):
            end = _FOR_GOOD if fact.until is None else micros(fact.until)
            rows[_FIELD.name] = np.maximum(rows[_FIELD.name], end)
            return True
        if isinstance(fact, Released):
            rows[_FIELD.name] = _NOT
            return True
        return False
