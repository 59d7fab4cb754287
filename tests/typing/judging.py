"""The public surface of evaluation as a type checker sees it. Checked, not run."""

from typing import assert_type

import numpy as np

from agentic import Action, Agent
from agentic.economics import Frontier, Prices, Row, frontier, ladder, plot
from agentic.evaluation import (
    DR,
    IPW,
    AcceleratedBootstrap,
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
from agentic.experiments import Difference, MeanTest, difference, paired_difference
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
from agentic.simulation import BEST_GUESS, Trial, Trials, playbook, templates

agent = Agent("name", [Action("sms")])
rows = joined(agent)
assert_type(rows, Joined)
assert_type(rows.split(0.5, salt="spring"), tuple[Joined, Joined])
assert_type(teach(agent, SquareCB(), rows), SquareCB)
assert_type(evaluate(agent, SquareCB(), rows=rows, estimator=IPW()), Estimate)
assert_type(difference(np.ones(2), np.zeros(2)), Difference)
assert_type(paired_difference(np.ones(2), np.zeros(2)), Difference)

bounds: list[Interval] = [Bootstrap(seed=1), AcceleratedBootstrap(), EmpiricalLikelihood(weight_cap=20.0)]
aware: CountsUnseen = EmpiricalLikelihood()
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
