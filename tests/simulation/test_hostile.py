"""What a stranger passes to the simulator by mistake is refused in words."""

import math

import numpy as np
import pytest

from agentic.errors import ConfigurationError
from agentic.simulation import Lifetime, World, playbook, rehearse


def test_a_scenario_by_its_name_alone_says_how_to_find_it() -> None:
    with pytest.raises(ConfigurationError, match=r"scenario must be a Scenario, got 'retail': find one by"):
        rehearse(playbook(), playbook(), "retail", seeds=[1, 2], customers=5, weeks=1)  # type: ignore[arg-type]


def test_integers_of_arrays_are_integers() -> None:
    world = World.of(np.int64(5), seed=np.int64(3))  # type: ignore[arg-type]
    assert world.subjects == World.of(5, seed=3).subjects
    assert np.array_equal(world.thrift, World.of(5, seed=3).thrift)


@pytest.mark.parametrize("action", [math.nan, math.inf, "a", None, 1.5, -1, 10_000], ids=str)
def test_a_step_is_one_of_the_actions(action: object) -> None:
    life = Lifetime(weeks=1)
    life.reset(seed=1)
    with pytest.raises(ConfigurationError, match="an action is a whole number from 0 to"):
        life.step(action)  # type: ignore[arg-type]
    life.step(np.int64(0))  # type: ignore[arg-type]


@pytest.mark.parametrize("margin", [math.nan, math.inf])
def test_a_margin_is_a_number(margin: float) -> None:
    with pytest.raises(ConfigurationError, match="margin must be a finite number"):
        rehearse(playbook(), playbook(), seeds=[1, 2], customers=5, weeks=1, margin=margin)
