"""The public surface of evaluation as a type checker sees it. Checked, not run."""

from typing import assert_type

import numpy as np

from agentic import Action, Agent
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
    BettingTest,
    ConfidenceSequence,
    CountTest,
    Difference,
    MeanTest,
    SampleRatioTest,
    betting_sequence,
    difference,
    paired_difference,
)
from agentic.policies import SquareCB
from agentic.simulation import BEST_GUESS, Trial, Trials, playbook, templates

agent = Agent("name", [Action("sms")])
rows = joined(agent)
assert_type(rows, Joined)
assert_type(rows.split(0.5, salt="spring"), tuple[Joined, Joined])
assert_type(teach(agent, SquareCB(), rows), SquareCB)
assert_type(evaluate(agent, SquareCB(), rows=rows, estimator=IPW()), Estimate)
assert_type(difference(np.ones(2), np.zeros(2)), Difference)
assert_type(paired_difference(np.ones(2), np.zeros(2)), Difference)

for test in (CountTest(margin=0.1), MeanTest(), BettingTest(low=0.0, high=1.0)):
    assert_type(test.harmed, bool)
    assert_type(test.bounds, tuple[float, float])
assert_type(CountTest().observe(control=[0, 1], treatment=[1]), CountTest)
assert_type(SampleRatioTest().observe(counts=(9, 1), shares=(0.9, 0.1)), SampleRatioTest)
assert_type(betting_sequence([0.5, 1.0]), ConfidenceSequence)
anytime: Interval = AnytimeBetting()

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
