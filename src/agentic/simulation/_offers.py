"""What does a catalogue look like to a customer: what each action appeals to, and when it arrives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from agentic import _noise, zones
from agentic.arrays import F64, I64, U64, Bools
from agentic.catalogue import Catalogue
from agentic.types import MARKETING, Action

CHANNELS: Final = ("email", "push", "sms")
HOUR: Final = 3_600_000_000

# Message: answers to thrift, to novelty, to time since the last purchase; level; part of the price kept.
_MESSAGES: Final[Mapping[str, tuple[float, float, float, float, float]]] = {
    "voucher": (3.2, -0.3, 0.6, -2.2, 0.85),
    "new_arrivals": (-0.6, 3.2, -0.4, -2.0, 1.0),
    "reminder": (0.0, -0.4, 3.4, -1.9, 1.0),
}
# Channel: how much it intrudes, and the share of messages that reach somebody.
_REACH: Final[Mapping[str, tuple[float, float]]] = {
    "email": (0.8, 0.90),
    "push": (0.9, 0.85),
    "sms": (1.4, 0.98),
}


@attrs.frozen(eq=False)
class Offers:
    """The actions of a catalogue as customers see them: shape (k,) each."""

    taste: F64  # (k, 3): thrift, novelty, time since the last purchase
    level: F64
    keeps: F64
    channel: I64
    intrusion: F64
    reach: F64
    courts: Bools
    own: U64

    @classmethod
    def of(cls, catalogue: Catalogue, seed: int) -> Offers:
        told = [_message(action, seed) for action in catalogue.actions]
        channels = [_REACH.get(action.channel or "", (1.0, 0.9)) for action in catalogue.actions]
        courts = np.array([action.message_class == MARKETING for action in catalogue.actions])
        return cls(
            taste=np.array([one[:3] for one in told]),
            level=np.array([one[3] for one in told]),
            keeps=np.array([one[4] for one in told]),
            channel=np.array([_place(CHANNELS, action.channel) for action in catalogue.actions]),
            intrusion=np.array([one[0] for one in channels]) * catalogue.sends * np.where(courts, 1.0, 0.3),
            reach=np.array([one[1] for one in channels]) * catalogue.sends,
            courts=courts & catalogue.sends,
            own=_noise.text_keys([_name(action) for action in catalogue.actions]),
        )


def _name(action: Action) -> str:
    return action.dimensions.get("message", action.id)


def _message(action: Action, seed: int) -> tuple[float, float, float, float, float]:
    """What a message appeals to; for one the world does not know, a hash of its name decides."""
    name = _name(action)
    if name in _MESSAGES:
        return _MESSAGES[name]
    dice = _noise.uniform(_noise.fold(seed, np.arange(4, dtype=np.uint64), _noise.text_key(name))).tolist()
    return 5.0 * dice[0] - 2.0, 5.0 * dice[1] - 2.0, 4.0 * dice[2] - 1.0, -2.6 + dice[3], 1.0


def _place(names: tuple[str, ...], name: str | None) -> int:
    return names.index(name) if name in names else -1


def delivery_hours(catalogue: Catalogue, zone: NDArray[np.int16], now: int) -> F64:
    """Local hour at which each action would arrive, shape (m, k)."""
    at_once = zones.local_minute(zone, np.full(len(zone), now, np.int64)) / 60.0
    hours = at_once[:, None] + catalogue.delay_us / HOUR
    fixed = catalogue.send_minute >= 0
    hours[:, fixed] = catalogue.send_minute[fixed] / 60.0
    return hours


def waiting_times(catalogue: Catalogue, zone: NDArray[np.int16], now: int) -> I64:
    """Microseconds until each action would arrive, shape (m, k)."""
    there, back = np.unique(zone, return_inverse=True)
    table = np.broadcast_to(catalogue.delay_us, (len(there), len(catalogue))).copy()
    for column in np.flatnonzero(catalogue.send_minute >= 0).tolist():
        begin = np.full(len(there), now + int(catalogue.delay_us[column]), np.int64)
        table[:, column] = zones.next_local(there, begin, int(catalogue.send_minute[column])) - now
    return np.asarray(table[back])
