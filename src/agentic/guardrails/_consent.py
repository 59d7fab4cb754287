"""Did the subject agree to this purpose on this channel?"""

from __future__ import annotations

from typing import Final

import attrs
import numpy as np

from agentic.arrays import I64, Batch, Bools, Chosen, Field, Records, Review, Space
from agentic.errors import ConfigurationError
from agentic.guardrails._scope import (
    EVERYTHING,
    Spread,
    bound,
    by_group,
    check_name,
    concerned,
    listed,
    ready,
    spared,
    together,
)
from agentic.types import MANDATORY, ConsentGranted, ConsentWithdrawn, Fact

UNKNOWN: Final = 0
GRANTED: Final = 1
WITHDRAWN: Final = 2


def _check_purpose(_: object, __: attrs.Attribute[str], value: str) -> None:
    if not isinstance(value, str) or not value or len(value) > 100 or not value.isprintable():
        raise ConfigurationError(
            f"a purpose must be 1 to 100 printable characters such as 'marketing', got {value!r}", value=value
        )


@attrs.frozen(eq=False)
class _Plan:
    fields: tuple[Field, ...]
    names: tuple[str, ...]
    spread: Spread
    source: I64


@attrs.frozen
class Consent:
    """Denies what the subject did not agree to.

    For every channel of the catalogue, and for all channels together, the record holds what was heard
    last: unknown, granted or withdrawn. A fact about one channel speaks for that channel; a fact about
    all channels speaks for all and takes the place of what was said before about single ones, because
    facts are told in order and the last word counts. A candidate is allowed if its channel is granted, or
    if nothing is known of its channel and all channels together are granted. Nothing known at all is a
    denial, marked as unknown, unless ``feature`` says that the subject agreed elsewhere.

    A fact about a channel that no action uses changes nothing, so it widens no permission either;
    ``hear`` then answers ``False``. An action without a channel needs consent to all channels together.

    Attributes:
        purpose: What the consent is for; facts about other purposes are not heard.
        feature: Name of a yes-or-no feature that counts where nothing is recorded: 1 allows, 0 denies,
            missing denies as unknown. What is recorded always wins over it.
        channels: Only for these channels; ``None`` means all.
        message_classes: Only for these message classes; ``None`` means all.
        actions: Only for these actions; ``None`` means all.
        exempt: Message classes left alone.
        name: Of the guardrail.
    """

    purpose: str = attrs.field(validator=_check_purpose)
    feature: str | None = attrs.field(default=None, kw_only=True)
    channels: tuple[str, ...] | None = attrs.field(default=None, kw_only=True, converter=listed)
    message_classes: tuple[str, ...] | None = attrs.field(default=None, kw_only=True, converter=listed)
    actions: tuple[str, ...] | None = attrs.field(default=None, kw_only=True, converter=listed)
    exempt: tuple[str, ...] = attrs.field(default=(MANDATORY,), kw_only=True, converter=spared)
    name: str = attrs.field(default="consent", kw_only=True, validator=check_name)
    _plan: _Plan | None = attrs.field(default=None, init=False, eq=False, repr=False)

    def bind(self, space: Space, /) -> Consent:
        """Lay out one state per channel of the catalogue.

        Raises:
            ConfigurationError: ``feature`` is not declared or not yes-or-no, or the scope names something
                that is not in the catalogue.
        """
        if self.feature is not None and (
            self.feature not in space.fields or self.feature in space.categories
        ):
            raise ConfigurationError(
                f"Consent({self.purpose!r}) reads the feature {self.feature!r}, expected a yes-or-no feature "
                f"among the declared {sorted(space.fields - space.categories.keys())!r}: declare it",
                value=self.feature,
            )
        # Names carry purpose and channel, so that no stored consent is ever read as another one.
        names = (self.purpose, *(f"{self.purpose}:{channel}" for channel in space.catalogue.channels))
        fields = tuple(Field(name, np.int8, default=UNKNOWN, role="profile") for name in names)
        labels = by_group(space.catalogue, "channel", self.purpose)
        spread = Spread.of(labels, concerned(self, space))
        source = np.array([names.index(name) for name in spread.names], dtype=np.int64)
        return bound(self, _Plan(fields, names, spread, source))

    def concerns(self, space: Space, /) -> Bools:
        """Mark the candidates it is about: shape (k,)."""
        return concerned(self, space)

    @property
    def fields(self) -> tuple[Field, ...]:
        """One state for all channels and one for each; known once bound."""
        return () if self._plan is None else self._plan.fields

    def review(self, batch: Batch, /) -> Review:
        """Allow what is granted."""
        plan = ready(self._plan, self.name)
        if not plan.spread.names:
            return Review(EVERYTHING, "NO_CONSENT")
        # Out of the records once, then column by column: shape (channels, n), turned round at the end.
        states = np.ascontiguousarray(together(batch.rows, plan.names, ()).T)
        own = states[plan.source]
        state = np.where(own == UNKNOWN, states[0], own)
        granted = (state == GRANTED).T
        if np.count_nonzero(granted) == granted.size:
            return Review(EVERYTHING, "NO_CONSENT")
        unknown = (state == UNKNOWN).T
        if self.feature is not None:
            said = np.asarray(batch.columns[self.feature])[:, None]
            granted |= unknown & (said == 1)
            unknown &= (said != 1) & (said != 0)
        return plan.spread.review(granted, "NO_CONSENT", unknown)

    def settle(self, batch: Batch, chosen: Chosen, /) -> None:
        """Nothing: what was sent changes no consent."""

    def hear(self, rows: Records, fact: Fact, now: int, /) -> bool:
        """Note a consent granted or withdrawn for this purpose."""
        if not isinstance(fact, ConsentGranted | ConsentWithdrawn) or fact.purpose != self.purpose:
            return False
        names = ready(self._plan, self.name).names
        state = GRANTED if isinstance(fact, ConsentGranted) else WITHDRAWN
        if fact.channel is None:
            rows[names[0]] = state
            for name in names[1:]:
                rows[name] = UNKNOWN
            return True
        name = f"{self.purpose}:{fact.channel}"
        if name not in names[1:]:
            return False
        rows[name] = state
        return True
