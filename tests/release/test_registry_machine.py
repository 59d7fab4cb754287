"""The registry against a small model of it, whatever is done in whatever order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import attrs
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from agentic import Action, Agent
from agentic.errors import ReleaseError
from agentic.policies import EpsilonGreedy, Softmax, Split, SquareCB
from agentic.provenance import MemoryLog
from agentic.release import CANARY, STAGES, Evidence, Registry
from releasing import NOON, RULES

POLICIES: dict[str, Callable[[], object]] = {"a": SquareCB, "b": EpsilonGreedy, "c": Softmax}
PEOPLE = ["Ann", "Bob", "Zoe"]
SHARES = [0.01, 0.05, 0.1, 0.25, 0.5]
KINDS = ["evaluation", "simulation", "shadow", "canary", "promotion"]
_ORDER = [*STAGES[:-1]]

which = st.sampled_from(sorted(POLICIES))
people = st.sampled_from(PEOPLE)


@attrs.define
class Known:
    """What the model knows of one version."""

    owners: set[str]
    stage: str = "draft"
    evidence: list[tuple[str, str, float]] = attrs.field(factory=list)
    changed: int = 0  # how often the evidence did
    yes: dict[tuple[str, str], int] = attrs.field(factory=dict)  # who to what, when it had changed so often
    former: bool = False


class Machine(RuleBasedStateMachine):
    """Does to a registry what people do, and expects of it what the model says."""

    def __init__(self) -> None:
        super().__init__()
        self.known: dict[str, Known] = {}
        self.champion: str | None = None
        self.left: list[str] = []
        self.log = MemoryLog()
        self.open()

    def open(self) -> None:
        """As another process would."""
        actions = [Action("push", channel="push")]
        self.agent = Agent("shop", actions, policy=RULES, log=self.log, clock=lambda: NOON)
        self.registry = Registry(self.agent)

    @initialize()
    def govern(self) -> None:
        self.registry.govern(by="Zoe")
        self.rules = self.registry.version_of(RULES)
        self.known["rules"] = Known({"zoe"}, "champion")
        self.champion = "rules"
        self.register("a", "Ann")
        self.register("b", "Bob")

    @contextmanager
    def expecting(self, allowed: bool) -> Iterator[None]:
        """It happens if it is allowed, and is refused if not."""
        if allowed:
            yield
        else:
            with pytest.raises(ReleaseError):
                yield

    def policy(self, one: str) -> object:
        return RULES if one == "rules" else POLICIES[one]()

    def has(self, one: Known, kind: str) -> bool:
        found = [(verdict, share) for name, verdict, share in one.evidence if name == kind]
        if kind == "canary":
            found = [each for each in found if each[1] >= CANARY.get(one.stage, 0.0)]
        if not found:
            return False
        verdict = found[-1][0]
        return verdict == "pass" or (verdict == "weak" and kind not in ("canary", "promotion"))

    def approved(self, one: Known, stage: str, mover: str) -> bool:
        return any(
            to == stage and when == one.changed and who not in one.owners and who != mover.lower()
            for (who, to), when in one.yes.items()
        )

    def may(self, one: Known, stage: str, mover: str) -> bool:
        kinds = {"evaluated": KINDS[:2], "shadow": [], "canary_1": ["shadow"], "champion": ["promotion"]}
        needed = kinds.get(stage, ["canary"])
        second = stage not in ("canary_1", "champion") or self.approved(one, stage, mover)
        return all(self.has(one, kind) for kind in needed) and second

    def crown(self, one: str) -> None:
        if self.champion is not None and self.champion != one:
            before = self.known[self.champion]
            before.stage, before.former = "retired", True
            self.left = [each for each in self.left if each != self.champion] + [self.champion]
        self.left = [each for each in self.left if each != one]
        self.known[one].stage, self.known[one].former, self.champion = "champion", False, one

    @rule(one=which, owner=people)
    def register(self, one: str, owner: str) -> None:
        self.registry.register(self.policy(one), owner=owner)  # type: ignore[arg-type]
        before = self.known.get(one)
        if before is None:
            self.known[one] = Known({owner.lower()})
        elif before.stage == "retired":
            self.known[one] = Known(before.owners | {owner.lower()}, former=before.former)

    @rule(
        one=which,
        kind=st.sampled_from(KINDS),
        verdict=st.sampled_from(["pass", "pass", "weak", "fail"]),
        share=st.sampled_from(SHARES),
    )
    def attach(self, one: str, kind: str, verdict: str, share: float) -> None:
        known = self.known.get(one)
        with self.expecting(known is not None and known.stage != "retired"):
            summary = {
                "seen": 0,
                "training": None,
                "share": share,
                "n": 0 if known is None else known.changed,
            }
            self.registry.attach(self.policy(one), Evidence(kind, verdict, summary), by="Bob")  # type: ignore[arg-type]
        if known is not None and known.stage != "retired":
            known.evidence.append((kind, verdict, share))
            known.changed += 1

    @rule(one=which, by=people)
    def attach_all(self, one: str, by: str) -> None:
        for kind in KINDS:
            self.attach(one, kind, "pass", 0.5)

    @rule(one=which, stage=st.sampled_from(STAGES), by=people)
    def approve(self, one: str, stage: str, by: str) -> None:
        known = self.known.get(one)
        ahead = (
            known is not None
            and known.stage not in ("retired", "champion")
            and stage in _ORDER
            and _ORDER.index(stage) > _ORDER.index(known.stage)
            and by.lower() not in known.owners
        )
        with self.expecting(ahead):
            self.registry.approve(self.policy(one), stage, by=f" {by.upper()}")  # type: ignore[arg-type]
        if ahead and known is not None:
            known.yes[by.lower(), stage] = known.changed

    @rule(one=which, stage=st.sampled_from(STAGES), by=people)
    def revoke(self, one: str, stage: str, by: str) -> None:
        known = self.known.get(one)
        there = known is not None and (by.lower(), stage) in known.yes
        with self.expecting(there):
            self.registry.revoke(self.policy(one), stage, by=by)  # type: ignore[arg-type]
        if there and known is not None:
            del known.yes[by.lower(), stage]

    @rule(one=which, stage=st.sampled_from(STAGES), by=people)
    def advance_to(self, one: str, stage: str, by: str) -> None:
        known = self.known.get(one)
        allowed = False
        if known is not None and known.stage not in ("retired", "champion"):
            onward = _ORDER[_ORDER.index(known.stage) + 1]
            early = stage == "champion" and known.stage in CANARY
            allowed = (stage == onward or early) and self.may(known, stage, by)
        with self.expecting(allowed):
            self.registry.advance(self.policy(one), stage, by=by)  # type: ignore[arg-type]
        if allowed and known is not None:
            known.stage = stage
            if stage == "champion":
                self.crown(one)

    @rule(one=which, by=people)
    def advance(self, one: str, by: str) -> None:
        known = self.known.get(one)
        if known is not None and known.stage not in ("retired", "champion"):
            self.advance_to(one, _ORDER[_ORDER.index(known.stage) + 1], by)

    @rule(one=which, steps=st.integers(1, 9))
    def go_on(self, one: str, steps: int) -> None:
        """The honest way, as far as it leads."""
        for _ in range(steps):
            known = self.known.get(one)
            if known is None or known.stage in ("retired", "champion"):
                return
            self.attach_all(one, "Bob")
            onward = _ORDER[_ORDER.index(known.stage) + 1]
            for by in PEOPLE:
                self.approve(one, onward, by)
            self.advance_to(one, onward, "Carl")

    @rule(one=which, stage=st.sampled_from(STAGES))
    def step_back(self, one: str, stage: str) -> None:
        known = self.known.get(one)
        behind = (
            known is not None
            and known.stage in CANARY
            and stage in ("shadow", *CANARY)
            and _ORDER.index(stage) < _ORDER.index(known.stage)
        )
        with self.expecting(behind):
            self.registry.step_back(self.policy(one), stage, by="rollout", reason="doubt")  # type: ignore[arg-type]
        if behind and known is not None:
            known.stage, known.yes = stage, {}
            known.evidence = [each for each in known.evidence if each[0] not in ("canary", "promotion")]
            known.changed += 1

    @rule(one=which)
    def retire(self, one: str) -> None:
        known = self.known.get(one)
        allowed = known is not None and known.stage not in ("retired", "champion")
        with self.expecting(allowed):
            self.registry.retire(self.policy(one), by="Zoe", reason="why not")  # type: ignore[arg-type]
        if allowed and known is not None:
            known.stage = "retired"

    @rule(one=which, stage=st.sampled_from(STAGES))
    def override(self, one: str, stage: str) -> None:
        known = self.known.get(one)
        allowed = (
            known is not None
            and known.stage not in ("retired", "champion")
            and stage not in ("draft", "retired")
        )
        with self.expecting(allowed):
            self.registry.override(self.policy(one), stage, by="Zoe", reason="why not")  # type: ignore[arg-type]
        if allowed and known is not None:
            known.stage = stage
            if stage == "champion":
                self.crown(one)

    @rule(one=st.none() | st.sampled_from(["a", "b", "c", "rules"]))
    def roll_back(self, one: str | None) -> None:
        to = one if one is not None else self.left[-1] if self.left else None
        known = None if to is None else self.known.get(to)
        allowed = known is not None and known.former
        with self.expecting(allowed):
            self.registry.rollback(None if one is None else self.policy(one), by="Zoe", reason="harm")  # type: ignore[arg-type]
        if allowed and to is not None:
            left = self.champion
            self.crown(to)
            if left is not None and left != to:
                self.known[left].former = False
                self.left.remove(left)

    @rule(one=which)
    def put_in_charge(self, one: str) -> None:
        known = self.known.get(one)
        policy = self.policy(one)
        same = self.agent.policy_version == self.registry.version_of(policy)  # type: ignore[arg-type]
        allowed = same or (known is not None and (known.stage == "champion" or known.former))
        with self.expecting(allowed):
            self.agent.policy = policy  # type: ignore[assignment]

    @rule(one=which, share=st.sampled_from(SHARES))
    def give_a_share(self, one: str, share: float) -> None:
        known = self.known.get(one)
        cleared = 0.0 if known is None else CANARY.get(known.stage, 0.0)
        if known is not None and (known.stage == "champion" or known.former):
            cleared = 1.0
        policy = Split(RULES, [(self.policy(one), share)])
        same = self.agent.policy_version == self.registry.version_of(policy)
        with self.expecting(same or share <= cleared):
            self.agent.policy = policy

    @rule()
    def open_anew(self) -> None:
        before = self.registry.to_json()
        self.open()
        assert self.registry.to_json() == before
        assert self.agent.releases.refused == ()

    @invariant()
    def both_say_the_same(self) -> None:
        state = self.agent.releases.state
        mine = {self.registry.version_of(self.policy(one)): known for one, known in self.known.items()}  # type: ignore[arg-type]
        assert {version: found.stage for version, found in state.versions.items()} == {
            version: known.stage for version, known in mine.items()
        }
        assert {version for version, found in state.versions.items() if found.former} == {
            version for version, known in mine.items() if known.former
        }
        champions = [version for version, found in state.versions.items() if found.stage == "champion"]
        assert champions == ([] if state.champion is None else [state.champion])
        assert set(state.left) <= set(state.versions)


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
