"""Anytime-valid intervals hold at every row of a growing log, at rates where normal ones fail."""

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from agentic.errors import EvaluationError
from agentic.evaluation import (
    DM,
    IPW,
    SNIPW,
    AnytimeBernstein,
    AnytimeBetting,
    AnytimeHedged,
    Interval,
    Logged,
    estimate,
)
from peeking import allowed
from shared_data import shared

METHODS: dict[str, AnytimeBernstein | AnytimeBetting | AnytimeHedged] = {
    "bernstein": AnytimeBernstein(),
    "betting": AnytimeBetting(),
    "hedged": AnytimeHedged(breaks=100),
}


def logged(
    generator: np.random.Generator, n: int, rates: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """A log that explores by a tenth, weighed for the policy that always takes the second action."""
    second = generator.random(n) < 0.1
    reward = (generator.random(n) < np.where(second, rates[1], rates[0])).astype(float)
    return np.where(second, 10.0, 0.0), reward


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("rate", [0.015, 0.5, 0.95])
def test_the_value_is_rarely_missed_at_any_row(name: str, rate: float) -> None:
    """Weights of 0 and 10, click rates of 1.5 %, and rewards near the ceiling."""
    generator = np.random.default_rng(int(1000 * rate))
    runs = 60
    missed = 0
    for _ in range(runs):
        weight, reward = logged(generator, 800, (0.3, rate))
        found = METHODS[name].sequence(weight, reward)
        missed += bool(found.misses(rate))
        assert (np.diff(found.width) <= 1e-12).all()
    assert missed / runs <= allowed(0.05, runs)


def test_betting_is_the_tightest() -> None:
    """On 5,000 rows; and asked at the last row alone it says nearly the same."""
    weight, reward = logged(np.random.default_rng(91), 5000, (0.3, 0.4))
    widths = {
        name: float(method.sequence(weight, reward, at=np.array([5000])).width[0])
        for name, method in METHODS.items()
    }
    assert min(widths, key=lambda name: widths[name]) == "betting"
    assert widths["betting"] < 0.25


@pytest.mark.parametrize("case", ["opecs_eps_s11_n2000", "opecs_softmax_s12_n5000"])
def test_sequences_are_those_of_the_authors(case: str) -> None:
    """At every row: closed form to 1e-9, the grid to one step."""
    told = json.loads(shared("gold", "ope_vw", f"{case}.json").read_text(encoding="utf-8"))
    with np.load(shared("gold", "ope_vw", told["inputs"])) as arrays:
        rows = told["rows_used"]
        weight, reward = arrays["p_pred"][:rows] / arrays["p_log"][:rows], arrays["r"][:rows]
    with np.load(shared("gold", "ope_vw", f"{case}.npz")) as arrays:
        expected = {name: arrays[name] for name in arrays.files}
    found = AnytimeBernstein().sequence(weight, reward)
    assert found.lower == pytest.approx(expected["predmix_eb__l"], abs=1e-9)
    assert found.upper == pytest.approx(expected["predmix_eb__u"], abs=1e-9)
    found = AnytimeHedged().sequence(weight, reward)
    assert found.lower == pytest.approx(expected["betting__l"], abs=1e-3)
    assert found.upper == pytest.approx(expected["betting__u"], abs=1e-3)


@pytest.mark.parametrize("name", METHODS)
def test_an_estimate_takes_them_as_its_interval(name: str) -> None:
    """Rewards of any range; the bounds are those of the sequence at the last row."""
    generator = np.random.default_rng(92)
    n = 600
    action = generator.integers(0, 2, n)
    reward = 3.0 * (generator.random(n) < 0.3 + 0.2 * action) - 1.0
    log = Logged(action=action, reward=reward, probability=np.full(n, 0.5))
    target = np.tile([0.2, 0.8], (n, 1))
    method = METHODS[name]
    assert isinstance(method, Interval)
    weight = target[np.arange(n), action] / 0.5
    for estimator in (IPW(), SNIPW()):
        found = estimate(log, target, estimator=estimator, interval=method, reward_range=(-1.0, 2.0))
        sequence = method.sequence(weight, reward, reward_range=(-1.0, 2.0))
        close = {"abs": 1e-3 if name == "betting" else 1e-9}  # all rows are looked at, or the last alone
        assert found.low <= sequence.lower[-1] + 1e-9
        assert found.high >= sequence.upper[-1] - 1e-9
        assert -1.0 <= found.low < 0.38 < found.high <= 2.0
        if name != "betting":
            assert (found.low, found.high) == pytest.approx((sequence.lower[-1], sequence.upper[-1]), **close)


def misuse(options: dict[str, Any]) -> None:
    groups = options.pop("groups", None)
    log = Logged(action=[0, 1, 0], reward=[0.0, 1.0, 1.0], probability=np.full(3, 0.5), groups=groups)
    defaults = {"estimator": IPW(), "interval": AnytimeBetting(), "reward_range": (0.0, 1.0)}
    estimate(log, np.full((3, 2), 0.5), **{**defaults, **options})


@pytest.mark.parametrize(
    ("options", "what"),
    [
        pytest.param({"reward_range": None}, "the ends of the reward", id="no range"),
        pytest.param({"estimator": IPW(clip=1.0)}, "plain weighted rewards", id="clipped"),
        pytest.param({"estimator": DM(), "q": np.zeros((3, 2))}, "plain weighted rewards", id="modelled"),
        pytest.param({"groups": ["a", "b", "a"]}, "rows as independent", id="groups"),
    ],
)
def test_what_it_cannot_bound_is_refused(options: dict[str, Any], what: str) -> None:
    """As by the other intervals of weighted rewards."""
    with pytest.raises(EvaluationError, match=what):
        misuse(dict(options))


@pytest.mark.parametrize(
    ("call", "field"),
    [
        pytest.param(lambda: AnytimeBetting().sequence([-1.0], [0.5]), "weight", id="negative weight"),
        pytest.param(lambda: AnytimeBetting().sequence([math.inf], [0.5]), "weight", id="infinite weight"),
        pytest.param(lambda: AnytimeBetting().sequence([], []), "weight", id="no rows"),
        pytest.param(lambda: AnytimeBetting().sequence([1.0], [1.5]), "reward", id="reward outside"),
        pytest.param(lambda: AnytimeBetting().sequence([1.0], [0.5, 0.5]), "reward", id="other length"),
        pytest.param(
            lambda: AnytimeBetting().sequence([1.0], [1.0], reward_range=(1.0, 1.0)),
            "reward_range",
            id="range",
        ),
        pytest.param(lambda: AnytimeBernstein(truncation=1.0), "truncation", id="ruin"),
    ],
)
def test_impossible_rows_are_refused(call: Callable[[], object], field: str) -> None:
    """The error names the field."""
    with pytest.raises(EvaluationError, match="expected") as caught:
        call()
    assert caught.value.facts["field"] == field
