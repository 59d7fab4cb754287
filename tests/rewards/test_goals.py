from datetime import timedelta

import attrs
import numpy as np
import pytest

from agentic.errors import ConfigurationError, InvalidOutcomeError, UnknownGoalError
from agentic.rewards import Goals

DAY = timedelta(days=1)
GOALS = Goals({"purchase": 2.0, "click": 1, "unsubscribe": -5.0}, window=DAY)


def test_an_outcome_is_worth_weight_times_value():
    """Value scales the weight of the goal; exposure is worth nothing, whatever its value."""
    worth = GOALS.worth(["purchase", "click", "unsubscribe", "exposed"], [3.5, 1.0, 1.0, 7.0])
    assert worth.tolist() == [7.0, 1.0, -5.0, 0.0]


def test_names_have_codes_in_order():
    """Exposure is 0, goals follow by name; names and codes mean the same."""
    assert GOALS.names == ("exposed", "click", "purchase", "unsubscribe")
    assert GOALS.codes(["unsubscribe", "exposed", "click"]).tolist() == [3, 0, 1]
    assert GOALS.codes(np.array([3, 0, 1], np.int16)).tolist() == [3, 0, 1]
    assert GOALS.codes([]).dtype == np.int64


@pytest.mark.parametrize("goal", [["purchas"], ["click", ""], np.array([4]), np.array([-1])], ids=str)
def test_an_outcome_nobody_counts_is_an_error(goal):
    """A name or code that is no goal is named in the error."""
    with pytest.raises(UnknownGoalError) as caught:
        GOALS.codes(goal)
    assert caught.value.facts["value"] in ("purchas", "", 4, -1)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1e200, -1e150])
def test_a_value_must_be_finite_and_of_a_size_that_can_be_summed(value):
    """A value that is not finite, or worth more than a sum can bear, is refused."""
    with pytest.raises(InvalidOutcomeError, match="'purchase'"):
        GOALS.worth(["click", "purchase"], [1.0, value])


def test_exposure_needs_a_finite_value_too():
    """Nothing that is not finite gets into the books, even where it is worth nothing."""
    with pytest.raises(InvalidOutcomeError):
        GOALS.worth(["exposed"], [float("inf")])


@pytest.mark.parametrize(
    "values",
    [
        {},
        None,
        ["purchase"],
        {"": 1.0},
        {"a\nb": 1.0},
        {3: 1.0},
        {"exposed": 1.0},
        {"a": float("nan")},
        {"a": float("inf")},
        {"a": 1e151},
        {"a": True},
        {"a": "1"},
        {"a": None},
    ],
    ids=str,
)
def test_goals_map_printable_names_to_finite_weights(values):
    """No goals, unprintable names, the reserved name and weights that are no numbers are refused."""
    with pytest.raises(ConfigurationError) as caught:
        Goals(values, window=DAY)
    assert "value" in caught.value.facts


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"window": timedelta(0)}, "window must be a positive timedelta"),
        ({"window": 3600}, "window must be a positive timedelta"),
        ({"default": float("nan")}, "default must be a finite number"),
        ({"default": None}, "default must be a finite number"),
        ({"aggregate": "last"}, "aggregate must be one of"),
        ({"start": "delivery"}, "start must be one of"),
        ({"terminal": ["refund"]}, "which is not a goal"),
        ({"terminal": ["exposed"]}, "which is not a goal"),
        ({"terminal": "purchase"}, "terminal must list names"),
        ({"terminal": 3}, "terminal must list names"),
    ],
    ids=str,
)
def test_settings_are_checked_when_goals_are_made(wrong, message):
    """Each setting says what it must be."""
    with pytest.raises(ConfigurationError, match=message):
        Goals({"purchase": 1.0}, **{"window": DAY, **wrong})


def test_goals_are_values():
    """Goals with the same settings are equal, and nothing about them can be changed."""
    same = Goals({"unsubscribe": -5, "purchase": 2, "click": 1}, window=DAY)
    assert same == GOALS
    assert hash(same) == hash(GOALS)
    assert same != Goals({"purchase": 2.0}, window=DAY)
    with pytest.raises(TypeError):
        GOALS.values["purchase"] = 3.0
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        GOALS.window = DAY


def test_goals_do_not_follow_the_mapping_they_were_made_of():
    """A mapping that changes later leaves the goals as they were."""
    values = {"purchase": 1.0}
    goals = Goals(values, window=DAY)
    values["purchase"] = 100.0
    assert goals.worth(["purchase"], [1.0]).tolist() == [1.0]
