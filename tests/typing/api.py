"""The public surface as a type checker sees it. Checked, not run."""

from datetime import timedelta
from typing import assert_type

import numpy as np

from agentic import Action, Agent, Decision, DecisionBatch, Explanation, F, Learned, Replayed, product
from agentic.arrays import Field
from agentic.conditions import Condition
from agentic.features import Category, Number
from agentic.guardrails import Budget, Consent, FrequencyCap
from agentic.policies import Between, FirstOf, LinearThompson, Personal, Rules, Uniform
from agentic.privacy import ConsentEntry, ErasurePlan, Regime
from agentic.protocols import Erases, Guardrail, Learner, Policy, ProvenanceLog, Remembers, StateStore
from agentic.provenance import MemoryLog
from agentic.rewards import Goals, Recorded
from agentic.state import MemoryStore

policy: Policy = LinearThompson()
learner: Learner = LinearThompson()
mixed: Policy = FirstOf(Rules([(F("tier") == "gold", "sms")]), Uniform())
cap: Guardrail = FrequencyCap(2, per=timedelta(days=7))
store: StateStore = MemoryStore()
log: ProvenanceLog = MemoryLog()

assert_type((F("age") >= 18) & F("tier").is_in(["gold"]), Condition)
assert_type(product({"message": ["a"], "channel": ["sms"]}), list[Action])

personal = Personal(population=LinearThompson(), dimensions=["channel"], only_if=F("age") >= 18)
remembers: Remembers = personal
also_learns: Learner = personal
assert_type(personal.between, Between | None)
assert_type(Personal().fields, tuple[Field, ...])

agent = Agent(
    "name",
    [Action("sms", channel="sms", cost=0.1)],
    features=[Number("age", low=0, high=120), Category("tier", ["gold"])],
    policy=policy,
    guardrails=[cap, Consent("marketing"), Budget(100.0)],
    goals=Goals({"purchase": 1.0}, window=timedelta(days=3)),
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
assert_type(agent.replay(), Replayed)

privacy = agent.privacy
assert_type(privacy.grant("s", "marketing", "sms", evidence="form 17"), None)
assert_type(privacy.consents("s"), list[ConsentEntry])
assert_type(privacy.may("s", "marketing"), bool)
assert_type(privacy.erase("s", Regime.load("eu-gdpr")), ErasurePlan)
assert_type(privacy.touched(decision.at, decision.at), list[str])
erases: Erases = MemoryLog()
