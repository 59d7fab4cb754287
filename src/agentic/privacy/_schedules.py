"""Who has stayed away so long that their data must go, and who must be told first?"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from agentic.arrays import I64, Bools
from agentic.errors import ConfigurationError
from agentic.privacy._periods import Period
from agentic.privacy._regimes import Regime
from agentic.types import micros

NEVER: Final = int(np.iinfo(np.int64).min)
"""A time before all others: nobody was told."""


@attrs.frozen
class Schedule:
    """Data is kept so long after the last activity, and its subjects are told some time before.

    Activity starts the time again, and makes a notice that went before it count no more.

    Attributes:
        keep: From the last activity on.
        notice: Subjects are told at least this long before.
        basis: The legal basis.

    .. versionadded:: 0.1
    """

    keep: Period
    notice: Period = attrs.field(factory=Period)
    basis: str = ""

    @classmethod
    def of(cls, regime: Regime, /) -> Schedule:
        """The schedule a regime sets for subjects who stay away.

        Raises:
            ConfigurationError: It sets none.
        """
        if regime.inactivity is None:
            raise ConfigurationError(
                f"regime {regime.id!r} says nothing about subjects who stay away: use Schedule(keep, notice)"
                " with periods of your own",
                value=regime.id,
            )
        return cls(regime.inactivity.keep, regime.inactivity.notice, regime.inactivity.basis)

    def due_for_notice(self, last: I64, now: datetime, /, told: I64 | None = None) -> Bools:
        """Who must be told now that their data will go.

        Args:
            last: Shape (n,), int64: their last activity, microseconds since 1970.
            now: The time.
            told: Shape (n,), int64: when they were told; `NEVER` for those who were not. ``None`` means
                nobody was.

        Returns:
            Shape (n,), bool.
        """
        soon = _until(last, self.keep, self.notice.after(now))
        return soon if told is None else soon & ~(told > last)

    def due_for_erasure(self, last: I64, now: datetime, /, told: I64 | None = None) -> Bools:
        """Whose data must go now: they stayed away long enough, and were told in time where that is asked.

        Args:
            last: Shape (n,), int64: their last activity, microseconds since 1970.
            now: The time.
            told: Shape (n,), int64: when they were told; `NEVER` for those who were not. ``None`` means that
                all were told in time.

        Returns:
            Shape (n,), bool.
        """
        over = _until(last, self.keep, now)
        if told is None or not self.notice:
            return over
        return over & (told > last) & _until(told, self.notice, now)


def _until(begin: NDArray[np.int64], period: Period, now: datetime) -> Bools:
    """Whether the period that begins at each of these times is over by now: shape (n,)."""
    last = period.before(now)
    return np.zeros(len(begin), dtype=np.bool_) if last is None else begin <= micros(last)
