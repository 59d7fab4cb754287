"""The life of a policy: who registers it, what is known of it, who lets it go on, and back.

Watched in the shadows first, then share by share.
"""

from typing import TYPE_CHECKING

from agentic._doors import door

if TYPE_CHECKING:
    from agentic._flow import LEVELS
    from agentic._oversight import Oversight
    from agentic._releases import (
        CANARY,
        EVIDENCE_KINDS,
        STAGES,
        Approval,
        Event,
        Evidence,
        Evidential,
        Need,
        Refused,
        Releases,
        Requirements,
        State,
        Version,
        is_learned,
        share_of,
    )
    from agentic.release._builders import evaluation_evidence, simulation_evidence
    from agentic.release._metrics import Happens, Metric, Reward, Spent, Tripwires
    from agentic.release._registry import Registry
    from agentic.release._rollout import Rollout
    from agentic.release._shadow import Shadow
    from agentic.release._shadowed import Gain, Shadowed
    from agentic.release._story import Move
    from agentic.release._training import training_digest
    from agentic.release._verdict import Look
else:
    __getattr__, __dir__ = door(
        __name__,
        {
            "agentic._flow": ["LEVELS"],
            "agentic._oversight": ["Oversight"],
            "agentic._releases": [
                "CANARY",
                "EVIDENCE_KINDS",
                "STAGES",
                "Approval",
                "Event",
                "Evidence",
                "Evidential",
                "Need",
                "Refused",
                "Releases",
                "Requirements",
                "State",
                "Version",
                "is_learned",
                "share_of",
            ],
            "._builders": ["evaluation_evidence", "simulation_evidence"],
            "._metrics": ["Happens", "Metric", "Reward", "Spent", "Tripwires"],
            "._registry": ["Registry"],
            "._rollout": ["Rollout"],
            "._shadow": ["Shadow"],
            "._shadowed": ["Gain", "Shadowed"],
            "._story": ["Move"],
            "._training": ["training_digest"],
            "._verdict": ["Look"],
        },
    )

__all__ = [
    "CANARY",
    "EVIDENCE_KINDS",
    "LEVELS",
    "STAGES",
    "Approval",
    "Event",
    "Evidence",
    "Evidential",
    "Gain",
    "Happens",
    "Look",
    "Metric",
    "Move",
    "Need",
    "Oversight",
    "Refused",
    "Registry",
    "Releases",
    "Requirements",
    "Reward",
    "Rollout",
    "Shadow",
    "Shadowed",
    "Spent",
    "State",
    "Tripwires",
    "Version",
    "evaluation_evidence",
    "is_learned",
    "share_of",
    "simulation_evidence",
    "training_digest",
]
