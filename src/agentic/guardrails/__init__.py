"""Hard rules at decision time: what may be sent to whom, when, and how often."""

from typing import TYPE_CHECKING

from agentic._doors import door

if TYPE_CHECKING:
    from agentic.guardrails._consent import Consent
    from agentic.guardrails._frequency import Cooldown, FrequencyCap
    from agentic.guardrails._pools import Budget, VolumeLimit
    from agentic.guardrails._quiet import QuietHours
    from agentic.guardrails._suppression import Suppression
    from agentic.guardrails._switch import KillSwitch
else:
    __getattr__, __dir__ = door(
        __name__,
        {
            "._consent": ["Consent"],
            "._frequency": ["Cooldown", "FrequencyCap"],
            "._pools": ["Budget", "VolumeLimit"],
            "._quiet": ["QuietHours"],
            "._suppression": ["Suppression"],
            "._switch": ["KillSwitch"],
        },
    )

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
