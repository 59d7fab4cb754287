"""Where does chance come from in a simulated world: keyed uniforms, one stream for each trait or question."""

from __future__ import annotations

import enum
import math

import attrs
import numpy as np

from agentic import _noise
from agentic.arrays import F64, U64


class Stream(enum.IntEnum):
    """What is drawn; numbers stay, or every world becomes another."""

    TIER = 1
    AGE = 2
    COUNTRY = 3
    THRIFT = 4
    NOVELTY = 5
    FAVOURITE = 6
    EVENING = 7
    BASKET = 8
    ORGANIC = 9
    BOUGHT = 10
    CONSENT = 11
    NO_SMS = 12
    SEEN = 13
    GAPS = 14
    RECALL = 15
    TASTE = 16
    VISIT = 17
    WHEN = 18
    BUY = 19
    AMOUNT = 20
    SOON = 21
    CLICKS = 22
    LEAVE = 23
    CHURN = 24
    REPORT = 25
    TWICE = 26
    PATCHY = 27
    ONLINE = 28
    PHASE = 29
    COMPLAIN = 30


@attrs.frozen(eq=False)
class Dice:
    """Keyed uniforms for some customers."""

    seed: int
    key: U64

    def uniform(self, *stream: int) -> F64:
        return _noise.uniform(_noise.fold(self.seed, self.key, *stream))

    def normal(self, *stream: int) -> F64:
        radius = np.sqrt(-2.0 * np.log1p(-self.uniform(*stream, 1)))
        return np.asarray(radius * np.cos(2.0 * math.pi * self.uniform(*stream, 2)))
