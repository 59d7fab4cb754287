"""What does a replay report: a verdict on every decision, counted, and the first of each in words."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Mapping
from typing import Final

import attrs
import numpy as np

from agentic._records import DecisionBatch
from agentic._whatif import Changes, Worth
from agentic.arrays import I64

MOST_CHANGED: Final = 1000
MOST_FINDINGS: Final = 200


class Verdict(enum.StrEnum):
    """What became of one decision that was to be decided again."""

    SAME = "same"
    """Decided again, and the same: actions, probabilities, arm, draw and all that was logged of them."""

    POLICY_VERSION_MISSING = "policy_version_missing"
    """The policy version that it names is not kept any more, so it cannot be decided again."""

    ERASED = "erased"
    """Its personal part was erased, so it cannot be decided again; that is no mismatch."""

    ACTIONS_DIFFER = "actions_differ"
    """The agent's actions are not those of the decision: other ids, or other costs, times or eligibility."""

    FEATURES_DIFFER = "features_differ"
    """The agent's features are not those of the decision: other names, or another encoding."""

    CONTROL_DIFFERS = "control_differs"
    """It was decided by another control policy than the agent's, and comes out otherwise by this one."""

    FALLBACK_DIFFERS = "fallback_differs"
    """It was decided by another fallback policy than the agent's, and comes out otherwise by this one."""

    POLICY_DIFFERS = "policy_differs"
    """The policy kept under this version is not what decided: it changed, answers otherwise each time, or
    fails now."""

    RECORD_TAMPERED = "record_tampered"
    """Version and inputs are at hand, and what was logged does not follow from them: an input or an answer
    was changed after the fact, or the policy goes by something that is not logged."""

    UNREADABLE = "unreadable"
    """What was logged cannot be a decision of this agent."""

    CHANGED = "changed"
    """Another policy would have chosen otherwise."""


_SAYS: Final[Mapping[Verdict, str]] = {
    Verdict.POLICY_VERSION_MISSING: "the policy version is not kept any more",
    Verdict.ERASED: "the personal part was erased",
    Verdict.ACTIONS_DIFFER: "the agent's actions are not those it was decided with",
    Verdict.FEATURES_DIFFER: "the agent's features are not those it was decided with",
    Verdict.CONTROL_DIFFERS: "the agent's control policy is not the one that decided",
    Verdict.FALLBACK_DIFFERS: "the agent's fallback policy is not the one that decided",
    Verdict.POLICY_DIFFERS: "the policy kept under this version is not what decided",
    Verdict.RECORD_TAMPERED: "what was logged does not follow from what was known",
    Verdict.UNREADABLE: "what was logged cannot be a decision of this agent",
    Verdict.CHANGED: "another action",
}
# Nothing was decided again, and nobody can say whether it would have come out the same.
_NOT_DECIDED: Final = frozenset({Verdict.POLICY_VERSION_MISSING, Verdict.ERASED, Verdict.UNREADABLE})


@attrs.frozen
class Finding:
    """One decision that did not come out the same.

    Attributes:
        decision_id: Whose.
        verdict: What became of it.
        details: What disagrees: columns of the record (``"action"``, ``"probability"``, ``"arm"``, ``"tag"``,
            ...), names of actions or features, or what is the matter with the policy.
    """

    decision_id: str
    verdict: Verdict
    details: tuple[str, ...] = ()

    def __str__(self) -> str:
        more = f" ({', '.join(self.details)})" if self.details else ""
        return f"{self.decision_id}: {_SAYS[self.verdict]}{more}"


@attrs.frozen(eq=False)
class Replayed:
    """What deciding again gave; ``str()`` of it is for people.

    Attributes:
        decisions: How many were decided again.
        same: How many chose the same actions with the same probabilities, and agree in all that was logged;
            with another policy, how many chose the same actions.
        missing: How many could not be, because their policy version is not kept any more.
        changed: Shape (m,): ids of up to 1,000 decisions that came out otherwise.
        before: How often each action was logged, over the replayed.
        after: How often each is chosen now.
        verdicts: How many decisions each verdict holds for; those that hold for none are left out.
        disagreeing: In how many decisions each column of the record disagrees.
        settings: How many decisions were made under another setting than the agent's now: a seed, a share,
            the floor, the guardrails, the record layout. They are decided again under their own.
        findings: Up to 200 decisions of each verdict but ``SAME``.
        changes: With another policy, what it would have changed, and for whom.
        worth: With another policy, what it would have been worth; ``None`` where no reward is final.
    """

    decisions: int
    same: int
    missing: int
    changed: tuple[str, ...]
    before: Mapping[str, int]
    after: Mapping[str, int]
    verdicts: Mapping[Verdict, int] = attrs.field(factory=dict)
    disagreeing: Mapping[str, int] = attrs.field(factory=dict)
    settings: Mapping[str, int] = attrs.field(factory=dict)
    findings: tuple[Finding, ...] = ()
    changes: Changes | None = None
    worth: Worth | None = None

    @property
    def identical(self) -> bool:
        """Every decision, but for those that were erased, was decided again and came out the same."""
        return self.same == self.decisions and not set(self.verdicts) - {Verdict.SAME, Verdict.ERASED}

    @property
    def erased(self) -> int:
        """How many could not be decided again because their personal part was erased."""
        return self.verdicts.get(Verdict.ERASED, 0)

    def __str__(self) -> str:
        if self.changes is None:
            lines = [f"{self.decisions:,} decisions decided again: {self.same:,} came out the same"]
        else:
            lines = _told_changes(self.changes, self.decisions)
        for verdict, count in self.verdicts.items():
            if verdict not in (Verdict.SAME, Verdict.CHANGED):
                lines.append(f"  {count:,}: {_SAYS[verdict]}")
        if self.disagreeing:
            told = ", ".join(f"{name} in {count:,}" for name, count in self.disagreeing.items())
            lines.append(f"  what disagrees: {told}")
        if self.settings:
            told = ", ".join(f"{name} of {count:,}" for name, count in self.settings.items())
            lines.append(f"  decided under other settings than the agent's, and again so: {told}")
        shown = [finding for finding in self.findings if finding.verdict is not Verdict.CHANGED][:5]
        lines += [f"  {finding}" for finding in shown]
        if self.worth is not None:
            lines.append(
                f"  worth {self.worth.estimate} where {self.worth.earned:.6g} was earned"
                f" ({self.worth.pending:,} decisions without a final reward left out)"
            )
        return "\n".join(lines)


def _told_changes(changes: Changes, decisions: int) -> list[str]:
    told = f"{changes.changed:,} ({changes.share:.1%}) come out otherwise"
    lines = [f"{decisions:,} decisions with the other policy: {told}"]
    lines += [
        f"  {count:,}: {before} becomes {after}"
        for (before, after), count in list(changes.transitions.items())[:5]
    ]
    most = sorted(changes.segments, key=lambda segment: (-segment.share, -segment.decisions))
    large = [segment for segment in most if segment.changed > 0 and segment.decisions * 100 >= decisions][:5]
    lines += [f"  {s.share:.1%} of the {s.decisions:,} with {s.name} {s.value}" for s in large]
    return lines


@attrs.define(eq=False)
class Account:
    """Adds up what is found, part by part."""

    ids: tuple[str, ...]
    decisions: int = 0
    same: int = 0
    changed: list[str] = attrs.field(factory=list)
    verdicts: Counter[Verdict] = attrs.field(factory=Counter)
    disagreeing: Counter[str] = attrs.field(factory=Counter)
    settings: Counter[str] = attrs.field(factory=Counter)
    findings: list[Finding] = attrs.field(factory=list)
    before: I64 = attrs.field(init=False)
    after: I64 = attrs.field(init=False)
    _found: Counter[Verdict] = attrs.field(factory=Counter, init=False)

    def __attrs_post_init__(self) -> None:
        self.before, self.after = (np.zeros(len(self.ids), np.int64) for _ in range(2))

    def again(self, part: DecisionBatch, action: I64, same: int) -> None:
        """Count rows that were decided again."""
        logged = part.action.reshape(-1).astype(np.int64)
        logged = logged[(logged >= 0) & (logged < len(self.ids))]
        self.before += np.bincount(logged, minlength=len(self.ids))
        self.after += np.bincount(action.reshape(-1), minlength=len(self.ids))
        self.decisions += len(part)
        self.same += same
        if same:
            self.verdicts[Verdict.SAME] += same

    def note(self, part: DecisionBatch, verdict: Verdict, details: tuple[str, ...] = ()) -> None:
        """Count rows with one verdict, and list the first of them."""
        self.verdicts[verdict] += len(part)
        if verdict not in _NOT_DECIDED and len(self.changed) < MOST_CHANGED:
            self.changed += part.take(slice(MOST_CHANGED - len(self.changed))).ids
        left = MOST_FINDINGS - self._found[verdict]
        if left > 0:
            ids = part.take(slice(left)).ids
            self._found[verdict] += len(ids)
            self.findings += [Finding(decision_id, verdict, details) for decision_id in ids]

    def result(self, changes: Changes | None = None, worth: Worth | None = None) -> Replayed:
        return Replayed(
            self.decisions,
            self.same,
            self.verdicts[Verdict.POLICY_VERSION_MISSING],
            tuple(self.changed),
            _counts(self.ids, self.before),
            _counts(self.ids, self.after),
            {verdict: self.verdicts[verdict] for verdict in Verdict if self.verdicts[verdict]},
            dict(self.disagreeing),
            dict(self.settings),
            tuple(self.findings),
            changes,
            worth,
        )


def _counts(ids: tuple[str, ...], found: I64) -> dict[str, int]:
    return {action_id: int(count) for action_id, count in zip(ids, found, strict=True)}
