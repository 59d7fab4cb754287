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
from agentic.experiments import Difference, difference, paired_difference
from agentic.policies import SquareCB
from agentic.simulation import (
    BEST_GUESS,
    FearedLoop,
    Gain,
    Lifetime,
    Observation,
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

market = scenario("retail")
assert_type(market, Scenario)
rehearsed = rehearse(SquareCB(), playbook(), market, seeds=(1, 2))
assert_type(rehearsed, Rehearsal)
assert_type(rehearsed.gains["value"], Gain)
assert_type(rehearsed.harms, tuple[str, ...])
loop = feared_loop(scenario=market)
assert_type(loop, FearedLoop)
assert_type(loop.greedy, tuple[Weekly, ...])
assert_type(courses(loop), str)
seen, reward, terminated, truncated, _ = Lifetime().step(0)
assert_type(seen, Observation)
assert_type((reward, terminated, truncated), tuple[float, bool, bool])
