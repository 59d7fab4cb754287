"""The public surface of evaluation as a type checker sees it. Checked, not run."""

from typing import assert_type

import numpy as np

from agentic import Action, Agent
from agentic.economics import Frontier, Prices, Row, frontier, ladder, plot
from agentic.evaluation import (
    BEST_GUESS,
    DR,
    GRID,
    IPW,
    RIPS,
    Difference,
    Estimate,
    Estimator,
    Joined,
    Logged,
    LoggedSlates,
    Logistic,
    ModelFree,
    PerAction,
    Replay,
    RewardLearner,
    SlateEstimator,
    SlateTarget,
    Slope,
    SwitchDR,
    Trial,
    Trials,
    Tuned,
    balanced_weights,
    cross_fit,
    difference,
    estimate,
    estimate_slates,
    evaluate,
    joined,
    judge,
    paired_difference,
    playbook,
    teach,
    templates,
    tuned,
    weighed,
)
from agentic.policies import SquareCB

agent = Agent("name", [Action("sms")])
rows = joined(agent)
assert_type(rows, Joined)
assert_type(rows.split(0.5, salt="spring"), tuple[Joined, Joined])
assert_type(teach(agent, SquareCB(), rows), SquareCB)
assert_type(evaluate(agent, SquareCB(), rows=rows, estimator=IPW()), Estimate)
assert_type(difference(np.ones(2), np.zeros(2)), Difference)
assert_type(paired_difference(np.ones(2), np.zeros(2)), Difference)

logged = Logged([0, 1], [0.0, 1.0], probability=[0.5, 0.5])
chosen = tuned(map(SwitchDR, GRID), by=Slope())
assert_type(chosen, Tuned)
clicks: RewardLearner = Logistic(penalty=2.0)
others: RewardLearner = PerAction(dict)
q = cross_fit(np.ones((2, 1)), [0, 1], [0.0, 1.0], 2, model=clicks)
found_by_log = estimate(logged, np.full((2, 2), 0.5), estimator=chosen, q=q)
assert_type(found_by_log.estimator, Estimator | None)
importance = balanced_weights(np.ones((2, 1)), [0, 1], np.full((2, 2), 0.5))
assert_type(judge(weighed(importance, [0.0, 1.0]), estimator=Replay()), Estimate)
slates = LoggedSlates([0], [1.0], slate=["a"], position=[0], cascade=[0.5])
by_place: SlateEstimator = RIPS()
assert_type(estimate_slates(slates, SlateTarget(cascade=[0.5]), estimator=by_place), Estimate)

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
