"""Which versions of a policy are there, how far along is each, and who said so?"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from agentic._codec import fingerprint
from agentic._inputs import checked_time
from agentic._plan import bind, checked
from agentic._releases import (
    Event,
    Evidential,
    Releases,
    Requirements,
    State,
    Version,
    checked_stage,
    is_learned,
    parts_of,
)
from agentic.errors import ConfigurationError, ReleaseError
from agentic.protocols import Policy
from agentic.release._export import as_json
from agentic.release._governing import adopted, check_stand_ins
from agentic.release._training import digest_of_training

if TYPE_CHECKING:
    from agentic import provenance
    from agentic._agent import Agent


class Registry:
    """The versions of an agent's policy: whose they are, what is known of them, how far along they are.

    All of it is in the agent's log, event by event, and nowhere else: any process that opens the same file,
    now or later, sees the same registry, and what an event says can be proved to a stranger. Two processes
    cannot both do what only one may.

    Names of people are told, not proven: see to it that whoever calls is who they say. They stay in the log;
    give roles or ids of staff where that is not wanted.

    Args:
        agent: Whose policies.
    """

    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    def __repr__(self) -> str:
        return (
            f"Registry({self._agent.name!r}, {len(self.versions)} versions, champion {self._state.champion})"
        )

    def __str__(self) -> str:
        state = self._state
        governed = "governed" if state.governed else "not governed"
        lines = [f"Policies of {self._agent.name}, {governed}"]
        for found in state.versions.values():
            share = f", decides for up to {found.share:.0%}" if 0 < found.share < 1 else ""
            lines.append(
                f"  {found.version}  {found.stage:<9}  {found.policy}, owned by {found.owner}{share}"
            )
            if found.overridden is not None:
                lines.append(f"    without what it needs: {found.overridden[:200]}")
            for stage in state.next_of(found):
                lacking = state.missing(found.version, stage)
                lines.append(f"    to {stage}: {'; '.join(lacking) if lacking else 'nothing is missing'}")
        return "\n".join(lines)

    @property
    def _releases(self) -> Releases:
        return self._agent.releases

    @property
    def _state(self) -> State:
        releases = self._releases
        releases.refresh()
        return releases.state

    @property
    def governed(self) -> bool:
        """Whether learned policies need the registry's leave to go in charge."""
        return self._state.governed

    @property
    def requirements(self) -> Requirements:
        """What each move needs."""
        return self._state.requirements

    @property
    def versions(self) -> tuple[Version, ...]:
        """All of them, in the order of their first registration."""
        return tuple(self._state.versions.values())

    @property
    def champion(self) -> Version | None:
        """The version that may decide for all; ``None`` before there was one."""
        state = self._state
        return None if state.champion is None else state.get(state.champion)

    def version_of(self, policy: Policy, /) -> str:
        """The hash of a policy's content, as ``agent.policy_version`` would be with it in charge.

        Raises:
            CodecError: It has no stored form.
            ConfigurationError: It does not fit the agent.
        """
        return fingerprint(self._bound(policy))

    def get(self, version: str | Policy, /) -> Version:
        """A version; for what was learned from a registered one, that one.

        Raises:
            ReleaseError: It is not registered.
        """
        return self._state.get(self._named(version))

    def stage(self, version: str | Policy, /) -> str:
        """How far along a version is.

        Raises:
            ReleaseError: It is not registered.
        """
        return self.get(version).stage

    def govern(
        self,
        requirements: Requirements | None = None,
        *,
        by: str,
        approved_by: str | None = None,
        now: datetime | None = None,
    ) -> None:
        """From now on, let no learned policy in charge that the registry did not clear, in any process.

        Whoever is in charge now, and is not registered as champion, is taken for the champion. Rules go in
        charge as ever. Called again, it changes what moves need.

        Args:
            requirements: What moves need; by default the defaults.
            by: Who governs.
            approved_by: Somebody else; needed to change requirements.
            now: The time; the agent's clock by default.

        Raises:
            ReleaseError: A challenger in charge is not cleared for its share; whoever decides for the
                holdout, for the protected or where the policy fails is learned; requirements are changed
                by one.
        """
        wanted = Requirements() if requirements is None else requirements
        if not isinstance(wanted, Requirements):
            raise ReleaseError(f"requirements must be Requirements(...), got a {type(wanted).__name__}")
        with self._releases.writing() as state:
            check_stand_ins(self._agent.plan, self._releases, state)
            facts: dict[str, Any] = {
                "requirements": wanted.to_data(),
                "approved_by": approved_by,
                "adopted": None if state.governed else adopted(self._agent.policy, self._releases, state),
            }
            self._log("governed", facts, by, now)

    def register(
        self,
        policy: Policy,
        *,
        owner: str,
        by: str | None = None,
        parent: str | Policy | None = None,
        training: object = None,
        notes: str = "",
        now: datetime | None = None,
    ) -> Version:
        """Put a policy on record as a draft; content that is there already, and not retired, stays as it is.

        What it learns in charge of this agent belongs to it: versions that ``agent.learn()`` makes of it go
        by its stage. One that is retired begins anew, without evidence and approvals.

        Args:
            policy: Its content is its name: another weight, another version.
            owner: Whose it is; neither they nor who registers it may approve it.
            by: Who registers it; the owner by default.
            parent: The version it was made from.
            training: The rows it was trained on (``Joined``), or their digest (``training_digest``).
            notes: Up to 10,000 characters.
            now: The time; the agent's clock by default.

        Raises:
            ReleaseError: The parent is not registered, or something cannot be logged.
            CodecError: The policy has no stored form.
            ConfigurationError: It does not fit the agent.
        """
        bound = self._bound(policy)
        if len(list(parts_of(bound))) > 1:
            raise ReleaseError(
                f"{bound.name} parts the subjects among several policies: register each of them",
                value=bound.name,
            )
        version = fingerprint(bound)
        facts = {
            "version": version,
            "policy": bound.name,
            "owner": owner,
            "parent": None if parent is None else self._named(parent),
            "training": digest_of_training(training),
            "notes": notes,
            "learned": is_learned(bound),
        }
        with self._releases.writing() as state:
            before = state.versions.get(version)
            if before is None or before.stage == "retired":
                self._log("registered", facts, owner if by is None else by, now)
        return self.get(version)

    def attach(
        self, version: str | Policy, evidence: Evidential, *, by: str, now: datetime | None = None
    ) -> Version:
        """Put on record what was found out about a version. Approvals given before are void then.

        Args:
            version: Which.
            evidence: Or whatever can be shown as such. The last word of its kind counts.
            by: Who found out.
            now: The time; the agent's clock by default.

        Raises:
            ReleaseError: The version is not registered or is retired, or this is no evidence.
        """
        if not isinstance(evidence, Evidential):
            raise ReleaseError(
                f"evidence is Evidence(kind, verdict, summary), or has as_evidence(), got a"
                f" {type(evidence).__name__}",
                value=type(evidence).__name__,
            )
        found = evidence.as_evidence()
        facts = {"evidence": found.to_data(), "digest": found.digest}
        return self._do("evidenced", version, facts, by, now)

    def approve(
        self,
        version: str | Policy,
        stage: str,
        *,
        by: str,
        reason: str = "",
        seen: str | None = None,
        now: datetime | None = None,
    ) -> Version:
        """Say yes to one move of a version, by the evidence as it is.

        Args:
            version: Which.
            stage: Where to.
            by: Who says so; not its owner, nor who registered it. One person counts once.
            reason: Why.
            seen: ``Version.dossier`` of what was looked at, so that a yes to other evidence is refused.
            now: The time; the agent's clock by default.

        Raises:
            ReleaseError: The owner approves their own, or the evidence is not what was seen.
        """
        root = self._named(version)
        with self._releases.writing() as state:
            dossier = state.get(root).dossier if seen is None else seen
            facts = {"version": root, "stage": checked_stage(stage), "reason": reason, "dossier": dossier}
            self._log("approved", facts, by, now)
        return self.get(root)

    def revoke(
        self, version: str | Policy, stage: str, *, by: str, reason: str = "", now: datetime | None = None
    ) -> Version:
        """Take an approval back; what was done with it stays done.

        Raises:
            ReleaseError: Nobody of that name approved this.
        """
        return self._do("revoked", version, {"stage": stage, "reason": reason}, by, now)

    def missing(self, version: str | Policy, stage: str | None = None) -> tuple[str, ...]:
        """What a version lacks to go to a stage, by default the next; nothing if it may, or is at the end.

        Raises:
            ReleaseError: It is not registered, or nothing leads to that stage.
        """
        state = self._state
        found = state.get(self._named(version))
        if stage is None:
            onward = state.next_of(found)
            return state.missing(found.version, onward[0]) if onward else ()
        if checked_stage(stage) not in state.next_of(found):
            return (f"a way from {found.stage} to {stage}",)
        return state.missing(found.version, stage)

    def advance(
        self,
        version: str | Policy,
        stage: str | None = None,
        *,
        by: str,
        now: datetime | None = None,
    ) -> Version:
        """Take a version to its next stage, if it has what that needs.

        Args:
            version: Which.
            stage: Where to, so that nobody takes it one step further than meant; the next by default.
            by: Who does it; their own approval does not count.
            now: The time; the agent's clock by default.

        Raises:
            ReleaseError: ``facts["missing"]`` says what it lacks.
        """
        root = self._named(version)
        with self._releases.writing() as state:
            onward = state.next_of(state.get(root))
            wanted = stage if stage is not None else onward[0] if onward else "champion"
            self._log("moved", {"version": root, "stage": wanted}, by, now)
        return self.get(root)

    def promote(self, version: str | Policy, *, by: str, now: datetime | None = None) -> Version:
        """Make a version the champion, if it has what that needs; the one before can be rolled back to.

        It is put in charge by assigning it: ``agent.policy = policy``.

        Raises:
            ReleaseError: ``facts["missing"]`` says what it lacks.
        """
        return self.advance(version, "champion", by=by, now=now)

    def step_back(
        self, version: str | Policy, stage: str, *, by: str, reason: str, now: datetime | None = None
    ) -> Version:
        """Take a canary to an earlier step, or to shadow; to come up again it needs new evidence.

        Raises:
            ReleaseError: It is no canary, or the stage is not behind it.
        """
        return self._do("stepped_back", version, {"stage": stage, "reason": reason}, by, now)

    def rollback(
        self, to: str | Policy | None = None, *, by: str, reason: str, now: datetime | None = None
    ) -> Version:
        """Make a former champion champion again, without more evidence.

        Nobody rolls back to the one it replaces: that one has to be registered anew.
        It is put in charge by assigning it: ``agent.policy = policy``. That is always let through.

        Args:
            to: Which; the last one by default.
            by: Who does it.
            reason: Why.
            now: The time; the agent's clock by default.

        Raises:
            ReleaseError: It never was champion, or there is none to go back to.
        """
        root = None if to is None else self._named(to)
        with self._releases.writing() as state:
            target = state.fallback if root is None else root
            if target is None:
                raise ReleaseError(
                    "there is no former champion to roll back to: put rules in charge, they always may",
                    missing=("a former champion",),
                )
            self._log("rolled_back", {"version": target, "reason": reason, "left": state.champion}, by, now)
        return self.get(target)

    def retire(self, version: str | Policy, *, by: str, reason: str, now: datetime | None = None) -> Version:
        """Take a version out, from any stage but champion; it may be registered anew.

        Raises:
            ReleaseError: It is champion, or retired already.
        """
        return self._do("retired", version, {"reason": reason}, by, now)

    def override(
        self,
        version: str | Policy,
        stage: str = "champion",
        *,
        by: str,
        reason: str,
        now: datetime | None = None,
    ) -> Version:
        """Let a version through without what its stage needs; who did it and why stays on record.

        Raises:
            ReleaseError: No reason, the version is retired or champion, or the requirements ask for approvals
                of overrides, and they are not there.
        """
        return self._do("overridden", version, {"stage": stage, "reason": reason}, by, now)

    def clearance(self, policy: Policy, /) -> tuple[str, ...]:
        """Why a policy would not be let in charge now, in words; nothing if it would."""
        return self._releases.clearance(self._bound(policy))

    def history(self, version: str | Policy | None = None) -> tuple[Event, ...]:
        """What happened, to one version or at all, the oldest first."""
        self._releases.refresh()
        events = self._releases.events()
        if version is None:
            return events
        root = self._named(version)
        return tuple(event for event in events if _is_about(event, root))

    def proof(self, event: Event, /) -> provenance.Evidence:
        """What proves an event to who does not trust you; its ``to_json()`` is the audit bundle.

        Raises:
            ConfigurationError: The log is in memory, which cannot be proved.
            ReleaseError: It is no event of this registry.
            ProofError: No checkpoint is on it yet: ``agent.checkpoint(key)``.
        """
        found = next((one for one in self.history() if one == event), None)
        if found is None:
            raise ReleaseError("this is no event of this registry: take one from registry.history()")
        prove: Any = getattr(self._agent.log, "evidence", None)
        if not callable(prove):
            raise ConfigurationError(
                f"a {type(self._agent.log).__name__} proves nothing: keep it in a file, Agent.open(...)",
                value=type(self._agent.log).__name__,
            )
        proof: provenance.Evidence = prove(found.position)
        return proof

    def to_json(self) -> str:
        """The registry as JSON: requirements, versions, events. The same text in every process."""
        releases = self._releases
        releases.refresh()
        return as_json(self._agent.name, releases.state, releases.events())

    def _bound(self, policy: Policy) -> Policy:
        bound: Policy = bind(checked(policy), self._agent.plan.space)
        return bound

    def _named(self, version: str | Policy) -> str:
        """The registered version that is meant; what is not registered, as it is."""
        told = version if isinstance(version, str) else self.version_of(version)
        self._releases.refresh()
        root = self._releases.root(told)
        return told if root is None else root

    def _do(
        self, what: str, version: str | Policy, facts: dict[str, Any], by: str, now: datetime | None
    ) -> Version:
        root = self._named(version)
        self._log(what, {"version": root, **facts}, by, now)
        return self.get(root)

    def _log(self, what: str, facts: dict[str, Any], by: str, now: datetime | None) -> Event:
        at = None if now is None else checked_time(now)
        return self._releases.append(what, facts, by=by, at=at)


def _is_about(event: Event, version: str) -> bool:
    adopted = event.facts.get("adopted")
    about = (event.facts.get("version"), event.facts.get("left"))
    return version in about or (isinstance(adopted, dict) and adopted.get("version") == version)
