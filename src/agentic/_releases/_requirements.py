"""What must be on the table before a version may go on, and who has to say yes?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import attrs

from agentic._releases._events import Json
from agentic._releases._evidence import EVIDENCE_KINDS
from agentic._releases._people import checked_name, person
from agentic._releases._stages import STAGES
from agentic.errors import ReleaseError

_MOST: Final = 20
TARGETS: Final = tuple(stage for stage in STAGES if stage not in ("draft", "retired"))
"""Stages that something has to be shown for."""


def _kinds(kinds: Any) -> tuple[str, ...]:  # an iterable of names, or a mistake
    found = tuple(kinds) if isinstance(kinds, Iterable) and not isinstance(kinds, str) else (kinds,)
    for kind in found:
        if kind not in EVIDENCE_KINDS:
            raise ReleaseError(
                f"there is no evidence of kind {kind!r:.80}, expected some of {', '.join(EVIDENCE_KINDS)}",
                value=kind,
                expected=EVIDENCE_KINDS,
            )
    return tuple(dict.fromkeys(found))


@attrs.frozen
class Need:
    """What one move needs.

    Attributes:
        evidence: Kinds of evidence; of each kind the last word counts, and it must not be ``"fail"``.
        approvals: By how many people who are neither the owner nor whoever makes the move.
    """

    evidence: tuple[str, ...] = attrs.field(converter=_kinds, default=())
    approvals: int = 0

    def __attrs_post_init__(self) -> None:
        if type(self.approvals) is not int or not 0 <= self.approvals <= _MOST:
            raise ReleaseError(
                f"approvals must be a whole number from 0 to {_MOST}, got {self.approvals!r:.40}",
                value=self.approvals,
            )


def _approvers(names: Any) -> tuple[str, ...]:  # an iterable of names, or a mistake
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise ReleaseError("approvers must be a list of names: Requirements(approvers=['Ann', 'Bob'])")
    return tuple(checked_name(name, "an approver") for name in names)


@attrs.frozen(kw_only=True)
class Requirements:
    """What each move needs; by default evidence for every one, and a second person where customers are met.

    Attributes:
        evaluated: By the log and in a simulation.
        shadow: To weigh beside the champion.
        canary_1: To decide for the first customers.
        canary_5: To go on; the evidence is that of the step before.
        canary_10: As before.
        canary_25: As before.
        canary_50: As before.
        champion: To decide for all. Where ``"promotion"`` is asked for, proven non-inferiority, it may come
            at any canary step; where it is not, after the last.
        override: To let a version through without what its stage needs. It is logged in any case.
        approvers: Who may approve; anybody but the owner and whoever makes the move, where empty.
    """

    evaluated: Need = Need(("evaluation", "simulation"))
    shadow: Need = Need()
    canary_1: Need = Need(("shadow",), 1)
    canary_5: Need = Need(("canary",))
    canary_10: Need = Need(("canary",))
    canary_25: Need = Need(("canary",))
    canary_50: Need = Need(("canary",))
    champion: Need = Need(("promotion",), 1)
    override: Need = Need()
    approvers: tuple[str, ...] = attrs.field(converter=_approvers, default=())

    def __attrs_post_init__(self) -> None:
        for name in (*TARGETS, "override"):
            if not isinstance(getattr(self, name), Need):
                raise ReleaseError(f"{name} must be a Need(...), got {getattr(self, name)!r:.80}", value=name)
        if self.override.evidence:
            raise ReleaseError("an override needs no evidence, or it were none: give it approvals alone")
        most = max(getattr(self, name).approvals for name in (*TARGETS, "override"))
        if self.approvers and len({person(name) for name in self.approvers}) < most:
            raise ReleaseError(
                f"{most} approvals are asked for, and there are fewer approvers: name more, or ask for fewer",
                value=len(self.approvers),
                expected=most,
            )

    def of(self, stage: str, /) -> Need:
        """What it takes to come to this stage."""
        need: Need = getattr(self, stage)
        return need

    @property
    def proven(self) -> bool:
        """Whether becoming champion asks for proven non-inferiority."""
        return "promotion" in self.champion.evidence

    def may_approve(self, name: str, /) -> bool:
        """Whether somebody of this name is among those who may approve."""
        return not self.approvers or person(name) in {person(each) for each in self.approvers}

    def to_data(self) -> dict[str, Json]:
        """As JSON."""
        needs = {name: [list(need.evidence), need.approvals] for name, need in self._needs().items()}
        return {"approvers": list(self.approvers), "needs": needs}

    @classmethod
    def from_data(cls, data: Json, /) -> Requirements:
        """Read what ``to_data`` returned.

        Raises:
            ReleaseError: It is something else.
        """
        names = {*TARGETS, "override"}
        if not isinstance(data, dict) or data.keys() != {"approvers", "needs"}:
            raise ReleaseError("requirements have needs and approvers, and nothing else")
        needs = data["needs"]
        if not isinstance(needs, dict) or needs.keys() != names or not all(map(_is_need, needs.values())):
            raise ReleaseError("needs of requirements are kinds of evidence and a number, for each stage")
        found: Mapping[str, Any] = {name: Need(*need) for name, need in needs.items()}
        return cls(**found, approvers=data["approvers"])

    def _needs(self) -> dict[str, Need]:
        return {name: getattr(self, name) for name in (*TARGETS, "override")}


def _is_need(value: Json) -> bool:
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], list)
