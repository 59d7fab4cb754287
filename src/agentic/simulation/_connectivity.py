"""When is a simulated customer online: spells that hash the customer and the time, whatever is decided."""

from __future__ import annotations

import attrs
import numpy as np

from agentic import _noise
from agentic.arrays import I64, Bools
from agentic.simulation._dice import Dice, Stream
from agentic.simulation._offers import HOUR


@attrs.frozen
class Connectivity:
    """Which customers have a connection that comes and goes, and when.

    Time is cut into spells of equal length, beginning at another hour for each customer; in every spell a
    customer with a patchy connection is offline with the same probability, so that stretches offline are
    geometric. Nothing is kept: any time can be asked for, by any number of agents.

    Attributes:
        seed: Of the world.
        patchy: Share of customers whose connection comes and goes.
        offline: Share of the time that those are offline.
        spell_hours: Length of a spell.
    """

    seed: int
    patchy: float
    offline: float
    spell_hours: float

    @property
    def steady(self) -> bool:
        """Everybody is always online."""
        return self.patchy == 0.0 or self.offline == 0.0

    def online(self, row: I64, at: I64, /) -> Bools:
        """Whether these customers are online at these times, both of one shape."""
        return self._open(row, self._spell(row, at))

    def next_online(self, row: I64, at: I64, /) -> I64:
        """The first time from ``at`` on at which each is online; both of one shape, microseconds."""
        if self.steady:
            return at
        spell = self._spell(row, at)
        found, waiting = spell.copy(), np.nonzero(~self._open(row, spell))
        while len(waiting[0]):
            found[waiting] += 1
            shut = ~self._open(row[waiting], found[waiting])
            waiting = tuple(place[shut] for place in waiting)
        return np.where(found == spell, at, self._begins(row, found))

    def reported_until(self, row: I64, at: I64, /) -> I64:
        """Until when what a customer did is known at ``at``: since he was last online, microseconds."""
        if self.steady:
            return at
        spell = self._spell(row, at)
        found, waiting = spell.copy(), np.nonzero(~self._open(row, spell))
        while len(waiting[0]):
            found[waiting] -= 1
            shut = ~self._open(row[waiting], found[waiting])
            waiting = tuple(place[shut] for place in waiting)
        return np.where(found == spell, at, self._begins(row, found + 1))

    @property
    def _length(self) -> int:
        return int(self.spell_hours * HOUR)

    def _phase(self, row: I64) -> I64:
        luck = Dice(self.seed, row.astype(np.uint64)).uniform(Stream.PHASE)
        return np.asarray((luck * self._length).astype(np.int64))

    def _spell(self, row: I64, at: I64) -> I64:
        return np.asarray((at + self._phase(row)) // self._length)

    def _begins(self, row: I64, spell: I64) -> I64:
        return np.asarray(spell * self._length - self._phase(row))

    def _open(self, row: I64, spell: I64) -> Bools:
        who = row.astype(np.uint64)
        patchy = Dice(self.seed, who).uniform(Stream.PATCHY) < self.patchy
        luck = _noise.uniform(_noise.fold(self.seed, who, Stream.ONLINE, spell.astype(np.uint64)))
        return np.asarray(~patchy | (luck >= self.offline))
