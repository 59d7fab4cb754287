"""How much may all subjects together cost, or get?"""

from __future__ import annotations

import functools
from datetime import timedelta
from decimal import Decimal
from typing import Final

import attrs
import numpy as np

from agentic.arrays import I64, Batch, Review, Space
from agentic.catalogue import MICROS
from agentic.errors import ConfigurationError
from agentic.guardrails._checks import money, optional_span, whole
from agentic.guardrails._scope import bound, check_name, concerned, listed, ready, spared
from agentic.types import MANDATORY

_SHARE: Final = 100
"""A process takes a hundredth of the pool at a time, unless told otherwise."""


@attrs.frozen
class Budget:
    """Spends at most ``amount`` on all subjects together, in all or in each period.

    Money is counted in millionths, so that ten times 0.1 is 1: costs are rounded up to the next millionth
    and the amount down. Periods are aligned to 1970-01-01 UTC: a period of one day is a day in UTC. A
    slate is allowed a candidate only if the pool could pay it in every slot. Free actions are never denied.

    Attributes:
        amount: In the currency of the actions' costs.
        per: Length of a period, at whose start the pool is full again; ``None`` for one pool for good.
        lease_amount: Most that one process takes out of the pool at once, in the same currency, which is
            by how much a crash can leave the pool underused. A hundredth of the amount, or the dearest
            action if that is more, unless said otherwise.
        channels: Pays only for these channels; ``None`` means all.
        message_classes: Pays only for these message classes; ``None`` means all.
        actions: Pays only for these actions; ``None`` means all.
        exempt: Message classes left alone, and not charged.
        name: Of the guardrail.
    """

    amount: float = attrs.field()
    per: timedelta | None = attrs.field(default=None, kw_only=True)
    lease_amount: float | None = attrs.field(default=None, kw_only=True, alias="lease")
    channels: tuple[str, ...] | None = attrs.field(default=None, kw_only=True, converter=listed)
    message_classes: tuple[str, ...] | None = attrs.field(default=None, kw_only=True, converter=listed)
    actions: tuple[str, ...] | None = attrs.field(default=None, kw_only=True, converter=listed)
    exempt: tuple[str, ...] = attrs.field(default=(MANDATORY,), kw_only=True, converter=spared)
    name: str = attrs.field(default="budget", kw_only=True, validator=check_name)
    _plan: I64 | None = attrs.field(default=None, init=False, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        money(self.amount, "amount")
        optional_span(self.per, "per")
        if self.lease_amount is not None:
            money(self.lease_amount, "lease")
            _check_lease(_millionths(self.lease_amount), _millionths(self.amount), self.lease_amount)

    def bind(self, space: Space, /) -> Budget:
        """Look up what the candidates cost.

        Raises:
            ConfigurationError: The scope names something that is not in the catalogue.
        """
        return bound(self, self.charge(space))

    def charge(self, space: Space, /) -> I64:
        """Price of each candidate in millionths, shape (k,)."""
        return np.where(concerned(self, space), space.catalogue.cost_micros, 0)

    def allowance(self, now: int, /) -> tuple[int, int]:
        """Number of the period, and the amount in millionths."""
        return _period(self.per, now), _millionths(self.amount)

    @property
    def lease(self) -> int:
        """Most that one process takes out of the pool at once, in millionths."""
        if self.lease_amount is not None:
            return _millionths(self.lease_amount)
        return _lease(_millionths(self.amount), self._plan)

    def review(self, batch: Batch, /) -> Review:
        """Allow what the pool can pay."""
        return _payable(ready(self._plan, self.name), batch, "BUDGET_EXHAUSTED")


@attrs.frozen
class VolumeLimit:
    """Sends at most ``count`` times to all subjects together, in all or in each period.

    A budget of sends instead of money: it counts how many, not how dear.

    Attributes:
        count: Sends allowed, at least 1.
        per: Length of a period, at whose start the count begins again, aligned to 1970-01-01 UTC;
            ``None`` for one count for good.
        lease_count: Most sends that one process takes out of the pool at once. A hundredth of the count,
            at least one, unless said otherwise.
        channels: Counts only these channels; ``None`` means all.
        message_classes: Counts only these message classes; ``None`` means all.
        actions: Counts only these actions; ``None`` means all.
        exempt: Message classes left alone, and not counted.
        name: Of the guardrail.
    """

    count: int = attrs.field()
    per: timedelta | None = attrs.field(default=None, kw_only=True)
    lease_count: int | None = attrs.field(default=None, kw_only=True, alias="lease")
    channels: tuple[str, ...] | None = attrs.field(default=None, kw_only=True, converter=listed)
    message_classes: tuple[str, ...] | None = attrs.field(default=None, kw_only=True, converter=listed)
    actions: tuple[str, ...] | None = attrs.field(default=None, kw_only=True, converter=listed)
    exempt: tuple[str, ...] = attrs.field(default=(MANDATORY,), kw_only=True, converter=spared)
    name: str = attrs.field(default="volume_limit", kw_only=True, validator=check_name)
    _plan: I64 | None = attrs.field(default=None, init=False, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        whole(self.count, "count")
        optional_span(self.per, "per")
        if self.lease_count is not None:
            _check_lease(whole(self.lease_count, "lease"), self.count, self.lease_count)

    def bind(self, space: Space, /) -> VolumeLimit:
        """Look up which candidates count.

        Raises:
            ConfigurationError: The scope names something that is not in the catalogue.
        """
        return bound(self, self.charge(space))

    def charge(self, space: Space, /) -> I64:
        """A whole unit, in millionths, for each candidate that counts, shape (k,)."""
        return np.where(concerned(self, space), np.int64(MICROS), 0)

    def allowance(self, now: int, /) -> tuple[int, int]:
        """Number of the period, and the count in millionths."""
        return _period(self.per, now), self.count * MICROS

    @property
    def lease(self) -> int:
        """Most that one process takes out of the pool at once, in millionths."""
        if self.lease_count is not None:
            return self.lease_count * MICROS
        return max(self.count // _SHARE, 1) * MICROS

    def review(self, batch: Batch, /) -> Review:
        """Allow what still has a place."""
        return _payable(ready(self._plan, self.name), batch, "VOLUME_LIMIT")


@functools.lru_cache(maxsize=1024)
def _millionths(amount: float) -> int:
    # As it was written: the product of binary fractions is off, 0.29 * 1e6 is 289999.99999999994.
    return int(Decimal(repr(amount)) * MICROS)


def _period(per: timedelta | None, now: int) -> int:
    length = optional_span(per, "per")
    return 0 if length is None else now // length


def _lease(amount: int, charge: I64 | None) -> int:
    dearest = 0 if charge is None else int(charge.max())
    return min(max(amount // _SHARE, dearest, 1), amount)


def _check_lease(lease: int, amount: int, value: object) -> None:
    if lease > amount:
        raise ConfigurationError(
            f"lease must be at most the whole pool, got {value!r}: leave it out for a hundredth", value=value
        )


def _payable(charge: I64, batch: Batch, reason: str) -> Review:
    """What the pool can pay in every slot, shape (1, k); without a pool only what costs nothing."""
    if batch.available is None:
        free = (charge == 0)[None, :]
        return Review(free, reason, ~free)
    return Review(((charge == 0) | (charge * batch.slots <= batch.available))[None, :], reason)
