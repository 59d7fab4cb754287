"""Do bounds hold where slates are weighed place by place and hardly any place earns anything?"""

import math

import numpy as np
import pytest

from agentic.evaluation import (
    IIPS,
    RIPS,
    SNRIPS,
    EmpiricalLikelihood,
    LoggedSlates,
    SlateEstimator,
    SlateTarget,
    estimate_slates,
)

RUNS, SLATES, RATE = 200, 300, 0.004
# Two places, three actions, drawn one without the other: by item the places have weights of their own.
LOGGED = np.array([[0.2, 0.3, 0.5], [0.5, 0.3, 0.2]])
WANTED = np.array([[0.6, 0.2, 0.2], [0.2, 0.2, 0.6]])
EARNS = RATE * np.array([0.5, 1.0, 1.5])
TRUTH = float((WANTED @ EARNS).sum())


def _covered(estimator: SlateEstimator, seed: int) -> bool:
    dice = np.random.default_rng(seed)
    action = np.stack([dice.choice(3, SLATES, p=chance) for chance in LOGGED], axis=1)
    place = np.arange(2)
    logged, wanted = LOGGED[place, action], WANTED[place, action]
    flat = action.ravel()
    slates = LoggedSlates(
        flat,
        (dice.random(flat.size) < EARNS[flat]).astype(np.float64),
        slate=np.repeat(np.arange(SLATES), 2),
        position=np.tile(place, SLATES),
        item=logged.ravel(),
        cascade=logged.cumprod(axis=1).ravel(),
    )
    target = SlateTarget(item=wanted.ravel(), cascade=wanted.cumprod(axis=1).ravel())
    found = estimate_slates(
        slates, target, estimator=estimator, interval=EmpiricalLikelihood(), reward_range=(0.0, 2.0)
    )
    return found.low <= TRUTH <= found.high


@pytest.mark.parametrize("estimator", [IIPS(), RIPS(), SNRIPS()], ids=lambda one: one.name)
def test_empirical_likelihood_counts_on_the_heaviest_place(estimator: SlateEstimator) -> None:
    """With some two rewards among 600 places the heaviest places were mostly not rewarded yet."""
    covered = sum(_covered(estimator, seed) for seed in range(RUNS)) / RUNS
    assert covered >= 0.95 - 3.0 * math.sqrt(0.95 * 0.05 / RUNS)
