"""How often may a subject be contacted?"""

from __future__ import annotations

from datetime import timedelta
from typing import Final, Literal

import attrs
import numpy as np

from agentic.arrays import I64, Batch, Bools, Chosen, Field, Review, Space
from agentic.errors import ConfigurationError
from agentic.guardrails._checks import one_of, whole
from agentic.guardrails._scope import (
    EVERYTHING,
    Spread,
    bound,
    by_arrival,
    by_group,
    check_name,
    columns,
    concerned,
    listed,
    ready,
    spared,
    together,
)
from agentic.types import MANDATORY, span

NEVER: Final = int(np.iinfo(np.int64).min)
_GROUPS: Final = ("channel", "message_class", "action")
_MOST: Final = 256


@attrs.frozen(eq=False)
class _CapPlan:
    fields: tuple[Field, ...]
    spread: Spread
    per: int


@attrs.frozen
class FrequencyCap:
    """At most ``count`` sends in any window of length ``per``: an exact sliding-window log.

    The record holds the times of the last ``count`` deliveries, oldest first. A candidate is allowed if
    fewer than ``count`` of them are later than ``now - per``. The window is half-open: a send exactly
    ``per`` ago no longer counts. A time in the future counts too, be it a scheduled delivery or what a
    clock left behind that was set back. That makes forgetting safe: a time is only forgotten for a newer
    one when it is the oldest and at least ``per`` ago, so no window of length ``per`` ever holds more than
    ``count`` deliveries, whatever the clock does. For sends without delay the rule is exact both ways:
    whatever keeps to the cap is allowed.

    In a slate one slot does not see another, so a candidate must find as many free places as slots could
    take from its group: the number of slots, or of candidates in the group if that is smaller, since a
    slate holds no action twice. A cap smaller than that therefore denies the group.

    Attributes:
        count: Sends allowed, at least 1.
        per: Length of the sliding window.
        each: Counts apart for every ``"channel"``, ``"message_class"`` or ``"action"``; ``None`` counts
            together. Actions without a channel are one group.
        channels: Counts and denies only these channels; ``None`` means all.
        message_classes: Counts and denies only these message classes; ``None`` means all.
        actions: Counts and denies only these actions; ``None`` means all.
        exempt: Message classes left alone, and not counted.
        name: Of the guardrail.
    """

    count: int = attrs.field()
    per: timedelta = attrs.field(kw_only=True)
    each: Literal["channel", "message_class", "action"] | None = attrs.field(default=None, kw_only=True)
    channels: tuple[str, ...] | None = attrs.field(default=None, kw_only=True, converter=listed)
    message_classes: tuple[str, ...] | None = attrs.field(default=None, kw_only=True, converter=listed)
    actions: tuple[str, ...] | None = attrs.field(default=None, kw_only=True, converter=listed)
    exempt: tuple[str, ...] = attrs.field(default=(MANDATORY,), kw_only=True, converter=spared)
    name: str = attrs.field(default="frequency_cap", kw_only=True, validator=check_name)
    _plan: _CapPlan | None = attrs.field(default=None, init=False, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        whole(self.count, "count")
        span(self.per, "per")
        one_of(self.each, _GROUPS, "each")

    def bind(self, space: Space, /) -> FrequencyCap:
        """Lay out one ring of times per group.

        Raises:
            ConfigurationError: The rings would take more than 256 times per subject, or the scope names
                something that is not in the catalogue.
        """
        spread = Spread.of(by_group(space.catalogue, self.each, "sent"), concerned(self, space))
        times = len(spread.names) * self.count
        if times > _MOST:
            raise ConfigurationError(
                f"guardrail {self.name!r} would keep {times:,} times for every subject "
                f"({len(spread.names)} groups x {self.count}), expected at most {_MOST}: "
                "use a smaller count, a narrower scope, or each='channel'",
                value=times,
                expected=_MOST,
            )
        fields = tuple(Field(name, np.int64, (self.count,), NEVER) for name in spread.names)
        return bound(self, _CapPlan(fields, spread, span(self.per, "per")))

    def concerns(self, space: Space, /) -> Bools:
        """Mark the candidates it is about: shape (k,)."""
        return concerned(self, space)

    @property
    def fields(self) -> tuple[Field, ...]:
        """A ring of times for each group; known once bound."""
        return () if self._plan is None else self._plan.fields

    def review(self, batch: Batch, /) -> Review:
        """Allow groups with enough free places."""
        plan = ready(self._plan, self.name)
        spread = plan.spread
        if not spread.names:
            return Review(EVERYTHING, "FREQUENCY_CAP")
        rings = together(batch.rows, spread.names, (self.count,))
        edge = batch.now - plan.per
        # A ring is in order of time: as many places are free as times have left the window.
        if batch.slots == 1:
            return spread.review(rings[:, :, 0] <= edge[:, None], "FREQUENCY_CAP")
        need = np.minimum(spread.members, batch.slots)
        last = rings[:, np.arange(len(need)), np.minimum(need, self.count) - 1]
        free = (last <= edge[:, None]) & (need <= self.count)
        return spread.review(free, "FREQUENCY_CAP")

    def settle(self, batch: Batch, chosen: Chosen, /) -> None:
        """Put each delivery in the place of the oldest time of its group."""
        plan = ready(self._plan, self.name)
        spread = plan.spread
        if not spread.names or not np.count_nonzero(chosen.sends):
            return
        rings = together(batch.rows, spread.names, (self.count,))
        for slot in range(chosen.action.shape[1]):
            hit, place = _taken(spread, chosen, slot)
            if self.count == 1:
                rings[hit, place, 0] = chosen.delivery[hit, slot]
            elif len(hit):
                ring = rings[hit, place]
                ring[:, :-1] = ring[:, 1:]
                ring[:, -1] = chosen.delivery[hit, slot]
                if np.count_nonzero(ring[:, -1] < ring[:, -2]):  # something later is scheduled already
                    ring.sort(axis=1)
                rings[hit, place] = ring


@attrs.frozen(eq=False)
class _GapPlan:
    fields: tuple[Field, ...]
    groups: Spread
    arrivals: Spread
    group: I64
    mixed: I64
    gap: int


@attrs.frozen
class Cooldown:
    """At least ``gap`` between two deliveries.

    The record holds the latest delivery of each group; a candidate is allowed if it would arrive ``gap``
    after it or later. A delivery that is still to come counts, so with delays the rule may be stricter
    than needed, never looser.

    Choices of one decision that arrive at the same moment are one contact: they need no gap. Where slots
    could fill with candidates that arrive at different moments, none of their group is allowed, because
    one slot does not see another; use ``each`` or a narrower scope.

    Attributes:
        gap: Shortest time between two deliveries; exactly ``gap`` is enough.
        each: Watches apart every ``"channel"``, ``"message_class"`` or ``"action"``; ``None`` watches them
            together. Actions without a channel are one group.
        channels: Watches only these channels; ``None`` means all.
        message_classes: Watches only these message classes; ``None`` means all.
        actions: Watches only these actions; ``None`` means all.
        exempt: Message classes left alone, and not watched.
        name: Of the guardrail.
    """

    gap: timedelta = attrs.field()
    each: Literal["channel", "message_class", "action"] | None = attrs.field(default=None, kw_only=True)
    channels: tuple[str, ...] | None = attrs.field(default=None, kw_only=True, converter=listed)
    message_classes: tuple[str, ...] | None = attrs.field(default=None, kw_only=True, converter=listed)
    actions: tuple[str, ...] | None = attrs.field(default=None, kw_only=True, converter=listed)
    exempt: tuple[str, ...] = attrs.field(default=(MANDATORY,), kw_only=True, converter=spared)
    name: str = attrs.field(default="cooldown", kw_only=True, validator=check_name)
    _plan: _GapPlan | None = attrs.field(default=None, init=False, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        span(self.gap, "gap")
        one_of(self.each, _GROUPS, "each")

    def bind(self, space: Space, /) -> Cooldown:
        """Lay out one time per group.

        Raises:
            ConfigurationError: There would be more than 256 groups, or the scope names something that is
                not in the catalogue.
        """
        mask = concerned(self, space)
        labels = by_group(space.catalogue, self.each, "last")
        groups = Spread.of(labels, mask)
        if len(groups.names) > _MOST:
            raise ConfigurationError(
                f"guardrail {self.name!r} would keep {len(groups.names):,} times for every subject, "
                f"expected at most {_MOST}: use a narrower scope, or each='channel'",
                value=len(groups.names),
                expected=_MOST,
            )
        # Candidates of one group that arrive together share an answer.
        timing = by_arrival(space.catalogue)
        arrivals = Spread.of([f"{a} {b}" for a, b in zip(labels, timing, strict=True)], mask)
        group = groups.place[arrivals.first]
        mixed = np.flatnonzero(np.bincount(group, minlength=1)[group] > 1)
        fields = tuple(Field(name, np.int64, (), NEVER) for name in groups.names)
        return bound(self, _GapPlan(fields, groups, arrivals, group, mixed, span(self.gap, "gap")))

    def concerns(self, space: Space, /) -> Bools:
        """Mark the candidates it is about: shape (k,)."""
        return concerned(self, space)

    @property
    def fields(self) -> tuple[Field, ...]:
        """The latest delivery of each group; known once bound."""
        return () if self._plan is None else self._plan.fields

    def review(self, batch: Batch, /) -> Review:
        """Allow what arrives late enough."""
        plan = ready(self._plan, self.name)
        if not plan.groups.names:
            return Review(EVERYTHING, "COOLDOWN")
        last = columns(together(batch.rows, plan.groups.names, ()), plan.group)
        rested = columns(batch.delivery, plan.arrivals.first) - plan.gap >= last
        if batch.slots > 1:
            rested[:, plan.mixed] = False
        return plan.arrivals.review(rested, "COOLDOWN")

    def settle(self, batch: Batch, chosen: Chosen, /) -> None:
        """Note the latest delivery of each group."""
        plan = ready(self._plan, self.name)
        if not plan.groups.names or not chosen.sends.any():
            return
        last = together(batch.rows, plan.groups.names, ())
        for slot in range(chosen.action.shape[1]):
            hit, place = _taken(plan.groups, chosen, slot)
            last[hit, place] = np.maximum(last[hit, place], chosen.delivery[hit, slot])


def _taken(spread: Spread, chosen: Chosen, slot: int) -> tuple[I64, I64]:
    """Rows that sent something in scope in this slot, and the group of what they sent."""
    place = spread.place[chosen.action[:, slot]]
    hit = (chosen.sends[:, slot] & (place < len(spread.names))).nonzero()[0]
    return hit, place[hit]
