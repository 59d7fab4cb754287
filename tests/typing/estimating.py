"""The public surface of estimators as a type checker sees it. Checked, not run."""

from typing import assert_type

import numpy as np

from agentic.evaluation import (
    GRID,
    RIPS,
    Estimate,
    Estimator,
    Logged,
    LoggedSlates,
    Logistic,
    PerAction,
    Replay,
    RewardLearner,
    SlateEstimator,
    SlateTarget,
    Slope,
    SwitchDR,
    Tuned,
    balanced_weights,
    cross_fit,
    estimate,
    estimate_slates,
    judge,
    tuned,
    weighed,
)

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
