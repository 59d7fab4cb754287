"""Which event may come next, and what does it change?

The fold and the door are one: an event that the registry would refuse is refused by everybody who reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs

from agentic._releases._events import Event, Json
from agentic._releases._evidence import Evidence
from agentic._releases._people import checked_name, person
from agentic._releases._requirements import TARGETS, Requirements
from agentic._releases._stages import CANARY, checked_stage, following, place
from agentic._releases._state import Approval, State, Version
from agentic.errors import ReleaseError

NOTES: Final = 10_000
"""Longest notes and reasons, in characters."""
_MOST_VERSIONS: Final = 10_000
_MOST_EVIDENCE: Final = 1_000  # of one life of a version
_VERSION: Final = 200


def after(state: State, event: Event, /) -> State:
    """The state with one more event.

    Raises:
        ReleaseError: That must not happen now.
    """
    step = _STEPS.get(event.what)
    found = state if step is None else step(state, _Facts(event))
    if step is None and "." not in event.what:
        found = attrs.evolve(state, newer=event.what)
    return attrs.evolve(found, count=state.count + 1, tail=event.digest)


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
            f"version {version} is there already, at stage {before.stage}, owned by {before.owner!r}:"
            " identical content is one version",
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
            f"nobody approves their own: {facts.by!r} owns or registered version {found.version}, so ask"
            " somebody else",
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
        onward = following(found.stage)
        last = "register it again" if found.stage == "retired" else "that is the last"
        raise ReleaseError(
            f"version {found.version} is at stage {found.stage}, from where it cannot go to {stage}:"
            f" {last if onward is None else f'next is {onward}'}",
            version=found.version,
            stage=found.stage,
            missing=() if onward is None else (onward,),
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
    lacking = state.unapproved(found, stage, state.requirements.override.approvals, facts.by)
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
    # Whoever is left did harm, or might have: nobody rolls back to it. There is one, or nobody were former.
    left, state = str(state.champion), state.crowned(found)
    gone = attrs.evolve(state.get(left), former=False)
    return attrs.evolve(state.with_(gone), left=tuple(v for v in state.left if v != left))


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
