"""What does the log say of releases, and may this policy go in charge? What agent and registry share.

Its public names are those of ``agentic.release``.
"""

from agentic._releases._carrying import carried_over
from agentic._releases._events import KIND as RELEASE
from agentic._releases._events import Event, told
from agentic._releases._evidence import EVIDENCE_KINDS, Evidence, Evidential
from agentic._releases._gate import is_learned, parts_of
from agentic._releases._journal import Refused, Releases
from agentic._releases._lines import LINEAGE, Lines, members_learned
from agentic._releases._oversight import APPROVED, LAPSED, LEVEL, OVERRIDDEN, REJECTED, concerned, set_aside
from agentic._releases._people import checked_name, person
from agentic._releases._requirements import Need, Requirements
from agentic._releases._stages import CANARY, STAGES, checked_stage, share_of
from agentic._releases._state import Approval, State, Version
from agentic._releases._steps import NOTES

__all__ = [
    "APPROVED",
    "CANARY",
    "EVIDENCE_KINDS",
    "LAPSED",
    "LEVEL",
    "LINEAGE",
    "NOTES",
    "OVERRIDDEN",
    "REJECTED",
    "RELEASE",
    "STAGES",
    "Approval",
    "Event",
    "Evidence",
    "Evidential",
    "Lines",
    "Need",
    "Refused",
    "Releases",
    "Requirements",
    "State",
    "Version",
    "carried_over",
    "checked_name",
    "checked_stage",
    "concerned",
    "is_learned",
    "members_learned",
    "parts_of",
    "person",
    "set_aside",
    "share_of",
    "told",
]
