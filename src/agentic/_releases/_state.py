"""What is known of the versions of a policy, and what does one lack to go on?"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from agentic._releases._events import START, canonical_json, digest_of
from agentic._releases._evidence import Evidence
from agentic._releases._people import person
from agentic._releases._requirements import Requirements
from agentic._releases._stages import CANARY, reachable, share_of
from agentic.errors import ReleaseError


@attrs.frozen
class Approval:
    """A yes of somebody to one move of one version, as the evidence was then.

    Attributes:
        stage: To which the version may go.
        by: Who said so.
        dossier: Digest of the evidence that was there; another dossier, and the yes is void.
        at: When, microseconds since 1970.
        reason: Why.
    """

    stage: str
    by: str
    dossier: str
    at: int
    reason: str = ""


@attrs.frozen
class Version:
    """A policy as the registry knows it: one content, one version.

    Attributes:
        version: Hash of the policy's content, as ``agent.policy_version`` would be.
        policy: The policy's name.
        owner: Whose it is; may not approve it.
        stage: One of ``STAGES``.
        parent: The version it was made from; ``None`` for none.
        training: Digest of what it was trained on; ``None`` for nothing.
        notes: What its owner says of it.
        learned: Whether it learned or can learn, so that the gate holds for it.
        life: How often it was registered; each time it begins as a draft again.
        evidence: What was found out in this life, the oldest first.
        approvals: What people said in this life and did not take back.
        registered_at: When, microseconds since 1970.
        former: It was champion, and may become so again without evidence: a rollback.
        crowned: It was champion in this life.
        overridden: Why it is at this stage without what the stage needs; ``None`` where it has that.
        involved: Owners and whoever registered it, in every life: their approvals count for nothing.
    """

    version: str
    policy: str
    owner: str
    stage: str = "draft"
    parent: str | None = None
    training: str | None = None
    notes: str = attrs.field(default="", repr=False)
    learned: bool = True
    life: int = 1
    evidence: tuple[Evidence, ...] = attrs.field(default=(), repr=False)
    approvals: tuple[Approval, ...] = attrs.field(default=(), repr=False)
    registered_at: int = 0
    former: bool = False
    crowned: bool = False
    overridden: str | None = None
    involved: tuple[str, ...] = attrs.field(default=(), repr=False)

    @property
    def dossier(self) -> str:
        """Digest of all evidence of this life: what an approval is bound to."""
        found = [self.version, self.life, *(each.digest for each in self.evidence)]
        return digest_of(canonical_json(found, "a dossier"))

    @property
    def share(self) -> float:
        """For which share of the subjects it may decide, 0 to 1."""
        return 1.0 if self.former else share_of(self.stage)


@attrs.frozen
class State:
    """Everything that the events say.

    Attributes:
        count: Events there were.
        tail: Digest of the last.
        governed: Learned policies need the registry's leave to go in charge.
        requirements: What each move needs.
        versions: By hash, in the order of their first registration.
        champion: The version that is champion; ``None`` for none.
        left: Former champions that may be rolled back to, the last one last.
        newer: An event that this version of the library does not know; nothing is let through or added then.
    """

    count: int = 0
    tail: str = START
    governed: bool = False
    requirements: Requirements = attrs.field(factory=Requirements)
    versions: Mapping[str, Version] = attrs.field(factory=dict, hash=False)
    champion: str | None = None
    left: tuple[str, ...] = ()
    newer: str | None = None

    def get(self, version: str, /) -> Version:
        """The version of this hash.

        Raises:
            ReleaseError: It was never registered.
        """
        found = self.versions.get(version)
        if found is None:
            raise ReleaseError(
                f"version {version!r:.80} is not registered: registry.register(policy, owner=...)",
                version=version,
                missing=("registration",),
            )
        return found

    @property
    def fallback(self) -> str | None:
        """The former champion that a rollback leads to; ``None`` for none."""
        return self.left[-1] if self.left else None

    def missing(self, version: str, stage: str, /, *, by: str | None = None) -> tuple[str, ...]:
        """What this version lacks to go to this stage, in words; nothing if it may.

        Args:
            version: Which.
            stage: Where to.
            by: Who would make the move, and does not count among those who approve.
        """
        found, wanted = self.get(version), self.requirements.of(stage)
        told = [one for kind in wanted.evidence if (one := _lacking(found, kind))]
        told += self.unapproved(found, stage, wanted.approvals, by)
        return tuple(told)

    def approved(self, found: Version, stage: str, by: str | None, /) -> list[Approval]:
        """The approvals of this move that count: of different people, neither the owner's nor the mover's."""
        people: dict[str, Approval] = {}
        barred = {person(name) for name in (*found.involved, by) if name is not None}
        for each in found.approvals:
            who = person(each.by)
            stands = each.stage == stage and each.dossier == found.dossier
            if stands and who not in barred and self.requirements.may_approve(each.by):
                people.setdefault(who, each)
        return list(people.values())

    def unapproved(self, found: Version, stage: str, wanted: int, by: str | None, /) -> list[str]:
        """The approvals that are missing, in words."""
        given = len(self.approved(found, stage, by))
        if given >= wanted:
            return []
        void = sum(one.stage == stage and one.dossier != found.dossier for one in found.approvals)
        more = f", {void} more were given before the evidence changed" if void else ""
        count = "1 person" if wanted - given == 1 else f"{wanted - given} people"
        return [f"approval of {stage} by {count} other than the owner and who makes the move{more}"]

    def next_of(self, found: Version, /) -> tuple[str, ...]:
        """The stages this version may go on to."""
        return reachable(found.stage, proven=self.requirements.proven)

    def with_(self, found: Version, /) -> State:
        """The same with another state of this version."""
        return attrs.evolve(self, versions={**self.versions, found.version: found})

    def crowned(self, found: Version, /) -> State:
        """The same with this version as champion, and the one before retired: there is but one."""
        state = self
        if self.champion is not None and self.champion != found.version:
            before = self.get(self.champion)
            state = state.with_(attrs.evolve(before, stage="retired", former=True))
            state = attrs.evolve(state, left=(*(v for v in self.left if v != self.champion), self.champion))
        left = tuple(version for version in state.left if version != found.version)
        found = attrs.evolve(found, stage="champion", former=False, crowned=True)
        return attrs.evolve(state.with_(found), champion=found.version, left=left)


def _lacking(found: Version, kind: str) -> str:
    """What is wrong with a version's evidence of a kind; empty for nothing."""
    tried = CANARY.get(found.stage)
    parts = [each for each in found.evidence if each.kind == kind]
    if kind == "canary" and tried is not None:  # of this step, not of an earlier one
        parts = [each for each in parts if each.summary["share"] >= tried - 1e-9]
    what = f"{kind} evidence" + ("" if tried is None or kind != "canary" else f" at a share of {tried:g}")
    if not parts:
        return what
    last = parts[-1]
    if last.verdict == "fail":
        return f"{what} that does not fail, the last one does"
    if kind == "evaluation":
        return _unfit(found, last)
    if kind in ("promotion", "canary") and last.verdict != "pass":
        return f"{what} that passes, the last one is weak"
    return ""


def _unfit(found: Version, last: Evidence) -> str:
    """What is wrong with an evaluation that does not fail."""
    if last.summary.get("verdict") == "insufficient support":
        return "evaluation evidence that the log supports"
    if last.summary.get("seen") != 0:
        return "evaluation evidence by rows it did not learn from"
    if last.summary.get("training") != found.training:
        return "evaluation evidence that names the rows it was trained on, so that they are other rows"
    return ""
