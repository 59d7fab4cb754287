"""The public surface of evaluation as a type checker sees it. Checked, not run."""

from typing import assert_type

import numpy as np

from agentic import Action, Agent
from agentic.arrays import F64, I64
from agentic.economics import Frontier, Prices, Row, frontier, ladder, plot
from agentic.evaluation import (
    DR,
    IPW,
    AcceleratedBootstrap,
    AnytimeBetting,
    Bootstrap,
    CountsUnseen,
    EmpiricalLikelihood,
    Estimate,
    Estimator,
    Interval,
    Joined,
    ModelFree,
    evaluate,
    joined,
    teach,
)
from agentic.experiments import (
    Assignment,
    Before,
    BettingTest,
    ConfidenceSequence,
    CountTest,
    Difference,
    Experiment,
    GrowthBook,
    GuardrailMetric,
    GuardrailReport,
    Hashed,
    Increment,
    Keyed,
    Lift,
    MeanBaseline,
    MeanTest,
    Proportion,
    Qini,
    RateDifference,
    Ratio,
    SampleRatio,
    SampleRatioTest,
    SampleSize,
    Shares,
    StandingAnswers,
    Unleash,
    Uplift,
    betting_sequence,
    by_arm,
    cuped,
    difference,
    guardrail_report,
    holm,
    increment,
    paired_difference,
    power,
    predicted_uplift,
    proportion_difference,
    qini,
    qini_plot,
    ratio_difference,
    sample_ratio,
    sample_size,
    standing_questions,
    uplift,
)
from agentic.policies import SquareCB
from agentic.release import (
    Event,
    Evidential,
    Gain,
    Happens,
    Look,
    Metric,
    Move,
    Need,
    Registry,
    Requirements,
    Reward,
    Rollout,
    Shadow,
    Shadowed,
    Spent,
    Tripwires,
    Version,
    evaluation_evidence,
)
from agentic.simulation import (
    BEST_GUESS,
    FearedLoop,
    Lifetime,
    Observation,
    PairedDifference,
    Rehearsal,
    Scenario,
    Trial,
    Trials,
    Weekly,
    courses,
    feared_loop,
    playbook,
    rehearse,
    scenario,
    templates,
)

agent = Agent("name", [Action("sms")])
rows = joined(agent)
assert_type(rows, Joined)
assert_type(rows.split(0.5, salt="spring"), tuple[Joined, Joined])
assert_type(teach(agent, SquareCB(), rows), SquareCB)
assert_type(evaluate(agent, SquareCB(), rows=rows, estimator=IPW()), Estimate)
assert_type(difference(np.ones(2), np.zeros(2)), Difference)
assert_type(paired_difference(np.ones(2), np.zeros(2)), Difference)
assert_type(difference([1, 2], [0.5, 1.5]).lift, Lift)
assert_type(cuped(Before([1, 2], [0, 1]), Before([1, 3], [0, 1])), Difference)
assert_type(ratio_difference(Ratio([1, 2], [1, 1]), Ratio([1, 3], [1, 1])), Difference)
assert_type(proportion_difference(Proportion(1, 2), Proportion(1, 3)), RateDifference)
assert_type(sample_ratio([10, 12], [0.5, 0.5]), SampleRatio)
assert_type(sample_size(MeanBaseline(0.0, 1.0), 0.1), SampleSize)
assert_type(power(MeanBaseline(0.0, 1.0), 0.1, treatment=9, control=9), float)
assert_type(holm([0.1, 0.2]), F64)
metric = GuardrailMetric("clicks", difference([1, 2], [0, 1]), margin=0.1)
assert_type(guardrail_report([metric]), GuardrailReport)

hashed: Assignment = Hashed(Shares.of({"control": 0.5, "treatment": 0.5}), "salt")
keyed: Keyed = Hashed(Shares.of({"control": 0.5, "treatment": 0.5}), "salt")
kept: Assignment = GrowthBook("key", ("control", "treatment"))
kept = Unleash("group", {"control": 1, "treatment": 1})
assert_type(Experiment("name", kept).variant("anna"), str | None)
assert_type(Experiment("name", {"control": 0.5}).assign_keys(rows.key), I64)

bounds: list[Interval] = [Bootstrap(seed=1), AcceleratedBootstrap(), EmpiricalLikelihood(weight_cap=20.0)]
aware: CountsUnseen = EmpiricalLikelihood()
for test in (CountTest(margin=0.1), MeanTest(), BettingTest(low=0.0, high=1.0)):
    assert_type(test.harmed, bool)
    assert_type(test.bounds, tuple[float, float])
assert_type(CountTest().observe(control=[0, 1], treatment=[1]), CountTest)
assert_type(SampleRatioTest().observe(counts=(9, 1), shares=(0.9, 0.1)), SampleRatioTest)
assert_type(betting_sequence([0.5, 1.0]), ConfidenceSequence)
anytime: Interval = AnytimeBetting()

frugal: ModelFree = IPW()
thorough: Estimator = DR()

trials = Trials(customers=10, weeks=1)
assert_type(trials.run(SquareCB(), 0), Trial)
found = frontier(
    ladder(BEST_GUESS, playbook(), templates()), trials, seeds=range(2), prices=Prices(core_hour=1)
)
assert_type(found, Frontier)
assert_type(found.efficient("compute"), tuple[Row, ...])
assert_type(plot(found), str)

market = scenario("retail")
assert_type(market, Scenario)
rehearsed = rehearse(SquareCB(), playbook(), market, seeds=(1, 2))
assert_type(rehearsed, Rehearsal)
assert_type(rehearsed.differences["value"], PairedDifference)
assert_type(rehearsed.harms, tuple[str, ...])
loop = feared_loop(scenario=market)
assert_type(loop, FearedLoop)
assert_type(loop.greedy, tuple[Weekly, ...])
assert_type(courses(loop), str)
seen, reward, terminated, truncated, _ = Lifetime().step(0)
assert_type(seen, Observation)
assert_type((reward, terminated, truncated), tuple[float, bool, bool])
registry = Registry(agent)
registry.govern(Requirements(canary_1=Need(("shadow",), 2), approvers=["Ann", "Bob", "Carl"]), by="Zoe")
assert_type(registry.register(SquareCB(), owner="Bob", training=rows), Version)
shown: Evidential = evaluation_evidence(evaluate(agent, SquareCB(), rows=rows), rows=rows)
assert_type(registry.attach(SquareCB(), shown, by="Bob"), Version)
assert_type(registry.missing(SquareCB()), tuple[str, ...])
assert_type(registry.champion, Version | None)
assert_type(agent.releases.events("rollout."), tuple[Event, ...])

shadow = Shadow(agent, SquareCB(), share=0.1, most_us=5.0)
assert_type(shadow.look(), Shadowed)
assert_type(shadow.look().gain, Gain | None)
metrics: list[Metric] = [Reward(MeanTest(margin=0.1)), Happens("unsubscribe"), Spent()]
rollout = Rollout(agent, SquareCB(), metrics=metrics, tripwires=Tripwires(failed=0.001), registry=registry)
assert_type(rollout.start(), Look)
assert_type(rollout.look().move, Move)
assert_type(rollout.roll_back("a call", by="Ann").matured, tuple[int, int])


def worth(agent: Agent) -> None:
    """What an agent is worth."""
    contrast = by_arm(agent, "policy", "holdout")
    assert_type(increment(contrast, value=2.0), Increment)
    assert_type(uplift(contrast, "tier"), Uplift)
    assert_type(qini(*predicted_uplift(contrast)), Qini)
    assert_type(qini_plot(qini([1.0, 2.0], np.array([True, False]), [0.0, 1.0])), str)
    assert_type(standing_questions(agent), StandingAnswers)
