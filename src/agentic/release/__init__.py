"""The life of a policy: who registers it, what is known of it, who lets it go on, and back."""

from typing import TYPE_CHECKING

from agentic._doors import door

if TYPE_CHECKING:
    from agentic._releases import (
        CANARY,
        EVIDENCE_KINDS,
        STAGES,
        Approval,
        Event,
        Evidence,
        Evidential,
        Need,
        Releases,
        Requirements,
        State,
        Version,
        is_learned,
        share_of,
    )
    from agentic.release._builders import evaluation_evidence, simulation_evidence
    from agentic.release._registry import Registry
    from agentic.release._training import training_digest
else:
    __getattr__, __dir__ = door(
        __name__,
        {
            "agentic._releases": [
                "CANARY",
                "EVIDENCE_KINDS",
                "STAGES",
                "Approval",
                "Event",
                "Evidence",
                "Evidential",
                "Need",
                "Releases",
                "Requirements",
                "State",
                "Version",
                "is_learned",
                "share_of",
            ],
            "._builders": ["evaluation_evidence", "simulation_evidence"],
            "._registry": ["Registry"],
            "._training": ["training_digest"],
        },
    )

__all__ = [
    "CANARY",
    "EVIDENCE_KINDS",
    "STAGES",
    "Approval",
    "Event",
    "Evidence",
    "Evidential",
    "Need",
    "Registry",
    "Releases",
    "Requirements",
    "State",
    "Version",
    "evaluation_evidence",
    "is_learned",
    "share_of",
    "simulation_evidence",
    "training_digest",
]
