"""The public surface as a type checker sees it. Checked, not run."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Self, assert_type

import numpy as np

from agentic import (
    Action,
    Agent,
    Changes,
    Decision,
    DecisionBatch,
    Explanation,
    F,
    Finding,
    Learned,
    Replayed,
    Verdict,
    Worth,
    product,
)
from agentic.arrays import Field
from agentic.conditions import Condition
from agentic.ext import Ed25519Key
from agentic.features import Category, Number
from agentic.guardrails import Budget, Consent, FrequencyCap
from agentic.policies import Between, FirstOf, LinearThompson, Personal, Rules, Uniform
from agentic.privacy import ConsentEntry, ErasurePlan, Regime
from agentic.protocols import (
    Concerns,
    Erases,
    Guardrail,
    Learner,
    Policy,
    ProvenanceLog,
    Remembers,
    StateStore,
    Storable,
)
from agentic.provenance import (
    Checkpoint,
    DurableLog,
    Ed25519Public,
    Evidence,
    HmacKey,
    MemoryLog,
    Signer,
    StoredCheckpoint,
    Verifier,
    check_bundle,
    check_growth,
    open_checkpoint,
)
from agentic.rewards import Goals, Recorded
from agentic.state import MemoryStore

policy: Policy = LinearThompson()
learner: Learner = LinearThompson()
mixed: Policy = FirstOf(Rules([(F("tier") == "gold", "sms")]), Uniform())
cap: Guardrail = FrequencyCap(2, per=timedelta(days=7))
scoped: Concerns = FrequencyCap(2, per=timedelta(days=7))
store: StateStore = MemoryStore()
log: ProvenanceLog = MemoryLog()

assert_type((F("age") >= 18) & F("tier").is_in(["gold"]), Condition)
assert_type(product({"message": ["a"], "channel": ["sms"]}), list[Action])

personal = Personal(population=LinearThompson(), dimensions=["channel"], only_if=F("age") >= 18)
remembers: Remembers = personal
also_learns: Learner = personal
assert_type(personal.between, Between | None)
assert_type(Personal().fields, tuple[Field, ...])


class Stored:
    def __init__(self, sums: Mapping[str, float]) -> None:
        self.sums = sums

    def to_data(self) -> Mapping[str, Any]:
        return {"sums": self.sums}

    def from_data(self, data: Mapping[str, Any], /) -> Self:
        return type(self)(data["sums"])


storable: Storable = Stored({})

agent = Agent(
    "name",
    [Action("sms", channel="sms", cost=0.1)],
    features=[Number("age", low=0, high=120), Category("tier", ["gold"], purpose="ads")],
    policy=policy,
    guardrails=[cap, Consent("marketing"), Budget(100.0)],
    goals=Goals({"purchase": 1.0}, window=timedelta(days=3)),
    protect=F("age") < 18,
    protected=Uniform(),
)
decision = agent.decide("s", {"age": 31})
assert_type(decision, Decision)
assert_type(decision.action, Action)
assert_type(decision.probability, float)
batch = agent.decide_many(["s"], {"age": np.array([31.0])})
assert_type(batch, DecisionBatch)
assert_type(batch[0], Decision)
assert_type(agent.record(decision.id, "purchase"), Recorded)
assert_type(agent.learn(), Learned)
assert_type(agent.explain(decision.id), Explanation)
privacy = agent.privacy
assert_type(privacy.grant("s", "marketing", "sms", evidence="form 17"), None)
assert_type(privacy.consents("s"), list[ConsentEntry])
assert_type(privacy.may("s", "marketing"), bool)
assert_type(privacy.erase("s", Regime.load("eu-gdpr")), ErasurePlan)
assert_type(privacy.touched(decision.at, decision.at), list[str])
erases: Erases = MemoryLog()
replayed = agent.replay()
assert_type(replayed, Replayed)
assert_type(replayed.verdicts, Mapping[Verdict, int])
assert_type(replayed.findings, tuple[Finding, ...])
assert_type(replayed.changes, Changes | None)
assert_type(replayed.worth, Worth | None)
assert_type(agent.as_test(decision.id, "shop:make"), str)

pair = Ed25519Key.generate("shop.example")
signers: list[Signer] = [HmacKey.generate("shop.example"), pair]
ring: list[Verifier] = [HmacKey.from_environment("KEY"), pair.public()]
assert_type(pair.public(), Ed25519Public)
assert_type(agent.checkpoint(*signers, origin="shop.example"), str)
assert_type(agent.evidence(decision.id), Evidence)
note = Checkpoint("shop.example", 1, bytes(32)).signed(signers)
assert_type(note, str)
assert_type(open_checkpoint(note, ring), Checkpoint)
assert_type(check_growth(note, note, [], ring), Checkpoint)
assert_type(check_bundle("", ring), str)


def marks_of(log: DurableLog) -> list[StoredCheckpoint]:
    """What was signed of a log."""
    assert_type(log.checkpoint(*signers, at=1), str)
    assert_type(log.evidence(1), Evidence)
    assert_type(log.origin, str | None)
    return log.checkpoints()


def bundle_of(evidence: Evidence) -> str:
    """An auditor's copy without personal values."""
    assert_type(evidence.withheld(), Evidence)
    assert_type(evidence.leaf(), bytes)
    return evidence.withheld().to_json()
