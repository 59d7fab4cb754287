"""What do the events of an agent add up to, and which event may come next?

The fold and the door are one: an event that the registry would refuse is refused by everybody who reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs

from agentic._releases._events import START, Event, Json, canonical_json, digest_of
from agentic._releases._evidence import Evidence
from agentic._releases._people import checked_name, person
from agentic._releases._requirements import TARGETS, Requirements
from agentic._releases._stages import CANARY, checked_stage, following, place, reachable, share_of
from agentic.errors import ReleaseError

NOTES: Final = 10_000
"""Longest notes and reasons, in characters."""
_MOST_VERSIONS: Final = 10_000
_MOST_EVIDENCE: Final = 1_000  # of one life of a version
_VERSION: Final = 200


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

    def last(self, kind: str, /) -> Evidence | None:
        """The last word of a kind of evidence."""
        found = [each for each in self.evidence if each.kind == kind]
        return found[-1] if found else None


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
        newer: An event that this version of the library does not know; nothing is let through or added then.
    """

    count: int = 0
    tail: str = START
    governed: bool = False
    requirements: Requirements = Requirements()
    versions: Mapping[str, Version] = attrs.field(factory=dict, hash=False)
    champion: str | None = None
    newer: str | None = None
    _left: tuple[str, ...] = ()  # former champions, the last one last

    def after(self, event: Event, /) -> State:
        """The state with one more event.

        Raises:
            ReleaseError: That must not happen now.
        """
        step = _STEPS.get(event.what)
        state = self if step is None else step(self, _Facts(event))
        if step is None and "." not in event.what:
            state = attrs.evolve(self, newer=event.what)
        return attrs.evolve(state, count=self.count + 1, tail=event.digest)

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
        return self._left[-1] if self._left else None

    def missing(self, version: str, stage: str, /, *, by: str | None = None) -> tuple[str, ...]:
        """What this version lacks to go to this stage, in words; nothing if it may.

        Args:
            version: Which.
            stage: Where to.
            by: Who would make the move, and does not count among those who approve.
        """
        found, wanted = self.get(version), self.requirements.of(stage)
        told = [one for kind in wanted.evidence if (one := _lacking(found, kind))]
        told += self._unapproved(found, stage, wanted.approvals, by)
        return tuple(told)

    def approved(self, found: Version, stage: str, by: str | None, /) -> list[Approval]:
        """The approvals of this move that count: of different people, neither the owner's nor the mover's."""
        people: dict[str, Approval] = {}
        barred = {person(name) for name in (*found.involved, by) if name is not None}
        for each in found.approvals:
            who = person(each.by)
            if each.stage == stage and each.dossier == found.dossier and who not in barred:
                if self.requirements.may_approve(each.by):
                    people.setdefault(who, each)
        return list(people.values())

    def _unapproved(self, found: Version, stage: str, wanted: int, by: str | None) -> list[str]:
        given = len(self.approved(found, stage, by))
        if given >= wanted:
            return []
        void = sum(one.stage == stage and one.dossier != found.dossier for one in found.approvals)
        more = f", {void} more were given before the evidence changed" if void else ""
        return [
            f"approval of {stage} by {wanted - given} more of {wanted} people other than the owner and who"
            f" makes the move{more}"
        ]

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
            state = attrs.evolve(state, left=(*(v for v in self._left if v != self.champion), self.champion))
        left = tuple(version for version in state._left if version != found.version)
        found = attrs.evolve(found, stage="champion", former=False)
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
    if last.summary.get("verdict") == "unsupported":
        return "evaluation evidence that the log supports"
    if last.summary.get("seen") != 0:
        return "evaluation evidence by rows it did not learn from"
    if last.summary.get("training") != found.training:
        return "evaluation evidence that names the rows it was trained on, so that they are other rows"
    return ""


class _Facts:
    """The facts of an event, as they should be."""

    def __init__(self, event: Event) -> None:
        self.event = event
        self.by = event.by
        self._facts = event.facts

    def only(self, *names: str) -> None:
        """Refuse facts under other names."""
        if self._facts.keys() != set(names):
            raise ReleaseError(f"an event {self.event.what!r} has other facts than {sorted(names)}")

    def text(self, name: str, most: int = _VERSION, *, empty: bool = False) -> str:
        """A text."""
        value = self._facts.get(name)
        if not isinstance(value, str) or len(value) > most or not (value or empty):
            shown = f"{len(value):,} characters" if isinstance(value, str) else f"a {type(value).__name__}"
            raise ReleaseError(
                f"{name} must be a text of {'0' if empty else '1'} to {most:,} characters, got {shown}",
                value=name,
                expected=most,
            )
        return value

    def maybe(self, name: str) -> str | None:
        """A text, or nothing."""
        return None if self._facts.get(name) is None else self.text(name)

    def value(self, name: str) -> Json:
        """Whatever it is."""
        return self._facts.get(name)

    def stage(self) -> str:
        """The stage that is meant."""
        return checked_stage(self._facts.get("stage"))


def _governed(state: State, facts: _Facts) -> State:
    facts.only("adopted", "approved_by", "requirements")
    requirements, second = Requirements.from_data(facts.value("requirements")), facts.maybe("approved_by")
    if state.governed:
        if second is None or person(second) == person(facts.by):
            raise ReleaseError(
                "what releases need is changed by two people: give approved_by, somebody else than `by`",
                missing=("approval by a second person",),
            )
        if not state.requirements.may_approve(checked_name(second, "approved_by")):
            raise ReleaseError(
                "approved_by is not among those who may approve: see registry.requirements.approvers",
                missing=("approval by one of the approvers",),
            )
    adopted = facts.value("adopted")
    if adopted is not None:
        state = _adopt(state, adopted, facts)
    return attrs.evolve(state, governed=True, requirements=requirements)


def _adopt(state: State, adopted: Json, facts: _Facts) -> State:
    """Take the policy that is in charge, when governing begins, for the champion."""
    right = isinstance(adopted, dict) and adopted.keys() == {"learned", "policy", "version"}
    if not right or state.governed or state.champion is not None:
        raise ReleaseError("a policy is adopted when governing begins, where there is no champion")
    version, name, learned = adopted["version"], adopted["policy"], adopted["learned"]
    if not (isinstance(version, str) and isinstance(name, str) and isinstance(learned, bool)):
        raise ReleaseError("what is adopted has a version and a name")
    found = state.versions.get(version)
    if found is None:
        at, who = facts.event.at, facts.by
        found = Version(version, name, who, learned=learned, registered_at=at, involved=(who,))
    why = "it was in charge when governing began"
    return state.crowned(attrs.evolve(found, overridden=why))


def _registered(state: State, facts: _Facts) -> State:
    facts.only("learned", "notes", "owner", "parent", "policy", "training", "version")
    version, parent = facts.text("version"), facts.maybe("parent")
    before, learned = state.versions.get(version), facts.value("learned")
    if before is not None and before.stage != "retired":
        raise ReleaseError(
            f"version {version} is registered already, at stage {before.stage}, by {before.owner!r}: identical"
            " content is one version",
            version=version,
            stage=before.stage,
        )
    if parent is not None and (parent == version or parent not in state.versions):
        raise ReleaseError(
            f"the parent {parent!r:.80} is not registered, or is the version itself: register it first",
            version=version,
            missing=("registration of the parent",),
        )
    if not isinstance(learned, bool) or len(state.versions) >= _MOST_VERSIONS:
        raise ReleaseError(f"a version is learned or not, and there are at most {_MOST_VERSIONS:,}")
    owner = checked_name(facts.value("owner"), "owner")
    involved = (*(() if before is None else before.involved), owner, facts.by)
    found = Version(
        version,
        facts.text("policy"),
        owner,
        parent=before.parent if before is not None and parent is None else parent,
        training=facts.maybe("training"),
        notes=facts.text("notes", NOTES, empty=True),
        learned=learned,
        life=1 if before is None else before.life + 1,
        registered_at=facts.event.at,
        former=before is not None and before.former,
        involved=tuple(dict.fromkeys(involved)),
    )
    return state.with_(found)


def _evidenced(state: State, facts: _Facts) -> State:
    facts.only("digest", "evidence", "version")
    found, evidence = state.get(facts.text("version")), Evidence.from_data(facts.value("evidence"))
    if facts.value("digest") != evidence.digest:
        raise ReleaseError("evidence does not have the digest that is told of it", version=found.version)
    if found.stage == "retired":
        raise ReleaseError(
            f"version {found.version} is retired: register it again before more is found out about it",
            version=found.version,
            stage=found.stage,
            missing=("registration",),
        )
    if len(found.evidence) >= _MOST_EVIDENCE:
        raise ReleaseError(f"version {found.version} has {_MOST_EVIDENCE:,} pieces of evidence: that is all")
    return state.with_(attrs.evolve(found, evidence=(*found.evidence, evidence)))


def _approved(state: State, facts: _Facts) -> State:
    facts.only("dossier", "reason", "stage", "version")
    found, stage = state.get(facts.text("version")), facts.stage()
    if stage not in TARGETS or found.stage in ("retired", "champion") or place(stage) <= place(found.stage):
        raise ReleaseError(
            f"version {found.version} is at stage {found.stage}: {stage} is nothing to approve for it",
            version=found.version,
            stage=found.stage,
        )
    if person(facts.by) in {person(name) for name in found.involved}:
        raise ReleaseError(
            f"nobody approves their own: {facts.by!r} owns or registered version {found.version}, ask somebody"
            " else",
            version=found.version,
            stage=stage,
            missing=("approval by somebody else than the owner",),
        )
    if not state.requirements.may_approve(facts.by):
        raise ReleaseError(
            f"{facts.by!r} is not among those who may approve: see registry.requirements.approvers",
            version=found.version,
            stage=stage,
            missing=("approval by one of the approvers",),
        )
    if facts.text("dossier") != found.dossier:
        raise ReleaseError(
            f"the evidence of version {found.version} is not what was looked at any more: look again",
            version=found.version,
            stage=stage,
        )
    reason = facts.text("reason", NOTES, empty=True)
    yes = Approval(stage, facts.by, found.dossier, facts.event.at, reason)
    others = [each for each in found.approvals if each.stage != stage or person(each.by) != person(yes.by)]
    return state.with_(attrs.evolve(found, approvals=(*others, yes)))


def _revoked(state: State, facts: _Facts) -> State:
    facts.only("reason", "stage", "version")
    found, stage, who = state.get(facts.text("version")), facts.stage(), person(facts.by)
    facts.text("reason", NOTES, empty=True)
    kept = tuple(each for each in found.approvals if each.stage != stage or person(each.by) != who)
    if len(kept) == len(found.approvals):
        raise ReleaseError(
            f"{facts.by!r} has not approved {stage} of version {found.version}: there is nothing to revoke",
            version=found.version,
            stage=stage,
        )
    return state.with_(attrs.evolve(found, approvals=kept))


def _moved(state: State, facts: _Facts) -> State:
    facts.only("stage", "version")
    found, stage = state.get(facts.text("version")), facts.stage()
    if stage not in state.next_of(found):
        after = following(found.stage)
        raise ReleaseError(
            f"version {found.version} is at stage {found.stage}, from where it cannot go to {stage}: "
            + (
                f"next is {after}"
                if after
                else "register it again"
                if found.stage == "retired"
                else "it rules"
            ),
            version=found.version,
            stage=found.stage,
            missing=(after,) if after else (),
        )
    if missing := state.missing(found.version, stage, by=facts.by):
        raise ReleaseError(
            f"version {found.version} cannot go from {found.stage} to {stage}: it lacks {'; '.join(missing)}."
            " registry.attach(...) and registry.approve(...) give it, registry.override(...) does without",
            version=found.version,
            stage=stage,
            missing=missing,
        )
    return _placed(state, attrs.evolve(found, overridden=None), stage)


def _placed(state: State, found: Version, stage: str) -> State:
    return state.crowned(found) if stage == "champion" else state.with_(attrs.evolve(found, stage=stage))


def _overridden(state: State, facts: _Facts) -> State:
    facts.only("reason", "stage", "version")
    found, stage, reason = state.get(facts.text("version")), facts.stage(), facts.text("reason", NOTES)
    if stage not in TARGETS or found.stage in ("retired", "champion") or not reason.strip():
        raise ReleaseError(
            f"version {found.version} is at stage {found.stage}: an override takes what is not retired, nor"
            " champion already, to a stage where it decides or weighs, and gives a reason",
            version=found.version,
            stage=found.stage,
        )
    lacking = state._unapproved(found, stage, state.requirements.override.approvals, facts.by)
    if lacking:
        raise ReleaseError(
            f"an override of version {found.version} to {stage} lacks {lacking[0]}",
            version=found.version,
            stage=stage,
            missing=tuple(lacking),
        )
    return _placed(state, attrs.evolve(found, overridden=f"{facts.by}: {reason}"), stage)


def _stepped_back(state: State, facts: _Facts) -> State:
    facts.only("reason", "stage", "version")
    found, stage = state.get(facts.text("version")), facts.stage()
    facts.text("reason", NOTES)
    if found.stage not in CANARY or stage not in ("shadow", *CANARY) or place(stage) >= place(found.stage):
        raise ReleaseError(
            f"version {found.version} is at stage {found.stage}, from where {stage} is no step back: a canary"
            " goes back to an earlier step or to shadow",
            version=found.version,
            stage=found.stage,
        )
    # What was found out and approved on the way up does not carry it up again.
    kept = tuple(each for each in found.evidence if each.kind not in ("canary", "promotion"))
    return state.with_(attrs.evolve(found, stage=stage, evidence=kept, approvals=(), overridden=None))


def _rolled_back(state: State, facts: _Facts) -> State:
    facts.only("left", "reason", "version")
    found = state.get(facts.text("version"))
    facts.text("reason", NOTES)
    if not found.former or facts.value("left") != state.champion:
        raise ReleaseError(
            f"version {found.version} is no former champion, or another one is champion by now: a rollback"
            " leads to who was champion before",
            version=found.version,
            stage=found.stage,
        )
    left, state = state.champion, state.crowned(found)
    if left is not None:  # it did harm, or might have: nobody rolls back to it
        gone = attrs.evolve(state.get(left), former=False)
        state = attrs.evolve(state.with_(gone), left=tuple(v for v in state._left if v != left))
    return state


def _retired(state: State, facts: _Facts) -> State:
    facts.only("reason", "version")
    found = state.get(facts.text("version"))
    facts.text("reason", NOTES)
    if found.stage == "retired" or found.version == state.champion:
        raise ReleaseError(
            f"version {found.version} is {found.stage}: "
            + (
                "there must be one, promote another or roll back"
                if found.stage == "champion"
                else "it stays so"
            ),
            version=found.version,
            stage=found.stage,
        )
    return state.with_(attrs.evolve(found, stage="retired", overridden=None))


_STEPS: Final[Mapping[str, Callable[[State, Any], State]]] = {
    "governed": _governed,
    "registered": _registered,
    "evidenced": _evidenced,
    "approved": _approved,
    "revoked": _revoked,
    "moved": _moved,
    "overridden": _overridden,
    "stepped_back": _stepped_back,
    "rolled_back": _rolled_back,
    "retired": _retired,
}
KNOWN: Final = frozenset(_STEPS)
"""Events that change the state; what has a dot in its name does not."""
