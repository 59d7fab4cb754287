"""A simulated customer is an environment as Gymnasium checks it."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from agentic.ext import CustomerLife
from agentic.simulation import Lifetime


def test_it_passes_gymnasiums_own_check() -> None:
    """Spaces, seeding, determinism, types of what is returned; a warning would be an error here."""
    check_env(CustomerLife(Lifetime(weeks=2)), skip_render_check=True)


def test_by_default_it_is_twelve_weeks_of_the_stock_campaign() -> None:
    """Spaces are those of the catalogue and the features; a sample under the mask is allowed."""
    env = CustomerLife()
    assert env.life.weeks == 12
    assert env.observation_space.shape == (env.life.width,)
    seen, info = env.reset(seed=4)
    assert env.observation_space.contains(seen)
    for _ in range(20):
        choice = env.action_space.sample(info["action_mask"])
        seen, reward, _, _, info = env.step(choice)
        assert env.observation_space.contains(seen)
        assert isinstance(reward, float)
        assert info["sent"] == env.life.actions[choice]


def test_many_lives_side_by_side() -> None:
    """Gymnasium's own vector of environments runs it, the same twice."""
    runs = []
    for _ in range(2):
        lives = gymnasium.vector.SyncVectorEnv([lambda: CustomerLife(Lifetime(weeks=1))] * 3)
        seen, info = lives.reset(seed=7)
        assert info["action_mask"].shape == (3, len(CustomerLife().life.actions))
        steps = [lives.step(np.zeros(3, np.int64))[:2] for _ in range(9)]
        runs.append((seen, *(part for step in steps for part in step)))
    for one, other in zip(*runs, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_step_before_the_beginning_is_refused() -> None:
    """As everywhere, with what to do."""
    from agentic.errors import EvaluationError

    with pytest.raises(EvaluationError, match="call reset"):
        CustomerLife(Lifetime(weeks=1)).step(np.int64(0))
