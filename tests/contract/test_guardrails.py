"""Every guardrail in the box passes the kit that strangers' guardrails pass."""

from datetime import timedelta

import pytest

import agentic.guardrails
from agentic.guardrails import (
    Budget,
    Consent,
    Cooldown,
    FrequencyCap,
    KillSwitch,
    QuietHours,
    Suppression,
    VolumeLimit,
)
from agentic.testing import GuardrailConformance, StatefulConformance

WEEK = timedelta(days=7)

PLAIN = {
    "budget": lambda: Budget(100.0, per=WEEK),
    "kill_switch": KillSwitch,
    "quiet_hours": lambda: QuietHours("21:00", "10:00"),
    "quiet_hours_of_one_channel": lambda: QuietHours("12:00", "14:00", channels=["sms"]),
    "volume_limit": lambda: VolumeLimit(1000, per=WEEK),
}
STATEFUL = {
    "consent": lambda: Consent("marketing"),
    "cooldown": lambda: Cooldown(timedelta(hours=20)),
    "cooldown_by_channel": lambda: Cooldown(timedelta(hours=40), each="channel"),
    "frequency_cap": lambda: FrequencyCap(3, per=WEEK),
    "frequency_cap_by_channel": lambda: FrequencyCap(2, per=WEEK, each="channel"),
    "suppression": Suppression,
}


@pytest.mark.parametrize("name", sorted(PLAIN))
class TestPlain(GuardrailConformance):
    """A guardrail in the box keeps every promise of a guardrail."""

    @pytest.fixture(autouse=True)
    def _named(self, name):
        self.name = name

    def make(self):
        return PLAIN[self.name]()


@pytest.mark.parametrize("name", sorted(STATEFUL))
class TestStateful(GuardrailConformance, StatefulConformance):
    """A guardrail in the box with fields of its own also keeps every promise of a stateful component."""

    @pytest.fixture(autouse=True)
    def _named(self, name):
        self.name = name

    def make(self):
        return STATEFUL[self.name]()


def test_every_public_guardrail_is_listed():
    """A guardrail that the room exports and this file does not try fails here."""
    room = {name: getattr(agentic.guardrails, name) for name in agentic.guardrails.__all__}
    public = {part for part in room.values() if isinstance(part, type) and hasattr(part, "review")}
    assert {type(make()) for make in (PLAIN | STATEFUL).values()} == public


def test_every_stateful_guardrail_is_tried_as_one():
    """What can settle is listed among the stateful."""
    assert not [name for name, make in PLAIN.items() if hasattr(make(), "settle")]
