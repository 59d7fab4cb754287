"""What does a catalogue look like to a customer: what each action appeals to, and when it arrives."""

from __future__ import annotations

from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from agentic import _noise, zones
from agentic.arrays import F64, I64, U64, Bools
from agentic.catalogue import Catalogue
from agentic.simulation._scenario import Appeal, Reach, Scenario
from agentic.types import MARKETING, Action

CHANNELS: Final = ("email", "push", "sms")
HOUR: Final = 3_600_000_000


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
    sends: Bools
    irritates: F64
    waits_hours: F64
    own: U64

    @classmethod
    def of(cls, catalogue: Catalogue, seed: int, scenario: Scenario) -> Offers:
        told = [_message(action, seed, scenario) for action in catalogue.actions]
        channels = [scenario.channels.get(action.channel or "", _ORDINARY) for action in catalogue.actions]
        courts = np.array([action.message_class == MARKETING for action in catalogue.actions])
        tires = np.where(courts, 1.0, 0.3)
        return cls(
            taste=np.array([(one.thrift, one.novelty, one.craving) for one in told]),
            level=np.array([one.level for one in told]),
            keeps=np.array([one.keeps for one in told]),
            channel=np.array([_place(CHANNELS, action.channel) for action in catalogue.actions]),
            intrusion=np.array([one.intrusion for one in channels]) * catalogue.sends * tires,
            reach=np.array([one.share for one in channels]) * catalogue.sends,
            courts=courts & catalogue.sends,
            sends=catalogue.sends,
            irritates=np.array([one.irritates for one in told]),
            waits_hours=np.array([one.waits_hours for one in channels]),
            own=_noise.text_keys([_name(action) for action in catalogue.actions]),
        )


_ORDINARY: Final = Reach(1.0, 0.9)


def _name(action: Action) -> str:
    return action.dimensions.get("message", action.id)


def _message(action: Action, seed: int, scenario: Scenario) -> Appeal:
    """What a message appeals to; for one the scenario does not know, a hash of its name decides."""
    name = _name(action)
    if name in scenario.messages:
        return scenario.messages[name]
    dice = _noise.uniform(_noise.fold(seed, np.arange(4, dtype=np.uint64), _noise.text_key(name))).tolist()
    return Appeal(5.0 * dice[0] - 2.0, 5.0 * dice[1] - 2.0, 4.0 * dice[2] - 1.0, -2.6 + dice[3])


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
    shared: dict[tuple[int, int], I64] = {}
    for column in np.flatnonzero(catalogue.send_minute >= 0).tolist():
        slot = int(catalogue.delay_us[column]), int(catalogue.send_minute[column])
        if slot not in shared:
            begin = np.full(len(there), now + slot[0], np.int64)
            shared[slot] = zones.next_local(there, begin, slot[1]) - now
        table[:, column] = shared[slot]
    return np.asarray(table[back])
