"""Hard rules at decision time: what may be sent to whom, when, and how often."""

from agentic.guardrails._consent import Consent
from agentic.guardrails._frequency import Cooldown, FrequencyCap
from agentic.guardrails._pools import Budget, VolumeLimit
from agentic.guardrails._quiet import QuietHours
from agentic.guardrails._suppression import Suppression
from agentic.guardrails._switch import KillSwitch

__all__ = [
    "Budget",
    "Consent",
    "Cooldown",
    "FrequencyCap",
    "KillSwitch",
    "QuietHours",
    "Suppression",
    "VolumeLimit",
]
