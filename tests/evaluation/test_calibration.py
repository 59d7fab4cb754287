"""Whether logged probabilities that cannot be right are caught, named, and not mistaken for others."""

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentic.errors import EvaluationError
from agentic.evaluation import SNIPW, Calibration, Estimate, Logged, estimate, overlap

Floats = npt.NDArray[np.float64]
Actions = npt.NDArray[np.int64]


def world(kind: str, n: int, k: int, seed: int) -> tuple[Floats, Floats, Actions]:
    """Return the logging policy, a target it can support, and the actions taken."""
    dice = np.random.default_rng(seed)
    x = dice.normal(size=(n, 3))
    logging = np.exp(x @ dice.normal(size=(3, k)) * (3.0 if kind == "steep" else 1.0))
    if kind == "floor":
        best = logging.argmax(axis=1)
        logging = np.full((n, k), 0.1 / k)
        logging[np.arange(n), best] += 0.9
    if kind == "masked":
        logging *= dice.random((n, k)) < 0.6
        logging[:, 0] += 0.1
    logging /= logging.sum(axis=1, keepdims=True)
    target = np.exp(x @ dice.normal(size=(3, k))) * (logging > 0.0)
    target /= target.sum(axis=1, keepdims=True)
    action = (dice.random(n)[:, None] > logging.cumsum(axis=1)).sum(axis=1).clip(0, k - 1)
    return logging, target, action


def judged(logging: Floats, target: Floats, action: Actions, factor: Floats | float) -> Estimate:
    """Judge a log whose probabilities were multiplied by a factor, of each action or of all."""
    n = action.size
    wrong = logging[np.arange(n), action] * np.broadcast_to(factor, logging.shape[1:])[action]
    reward = (np.random.default_rng(0).random(n) < 0.5) * 1.0
    logged = Logged(action, reward, probability=np.minimum(wrong, 1.0))
    return estimate(logged, target, estimator=SNIPW())


@pytest.mark.parametrize("kind", ["softmax", "floor", "masked", "steep"])
def test_sound_logs_are_not_accused(kind: str) -> None:
    """Of 50 logs, masks, floors and near-certainties included, none is said to be surely wrong."""
    for seed in range(50):
        logging, target, action = world(kind, 2000, 6, seed)
        probability = logging[np.arange(2000), action]
        logged = Logged(action, np.zeros(2000), probability=probability)
        for known in (None, logging):
            rows = overlap(logged, target, logging=known)
            assert rows.calibration is not None
            assert not [found for found in rows.calibration.findings() if found.sure]


@pytest.mark.parametrize("kind", ["softmax", "floor", "masked"])
@pytest.mark.parametrize(("factor", "side"), [(0.5, "low"), (2.0, "high")])
def test_probabilities_twice_wrong_are_caught_whoever_logged(kind: str, factor: float, side: str) -> None:
    """Half or twice the true probabilities never pass for sound."""
    for seed in range(5):
        found = judged(*world(kind, 20_000, 6, seed), factor)
        assert found.diagnostics.verdict == "insufficient support"
        assert any(f"too {side}" in reason for reason in found.diagnostics.reasons)


def test_one_wrong_action_is_named_with_its_factor() -> None:
    """Others are right, so the mean weight hardly moves; the action, factor and side are told."""
    dice = np.random.default_rng(4)
    k, n = 10, 20_000
    logging, target = np.full((n, k), 0.1), dice.dirichlet(np.ones(k), n)
    action = dice.integers(0, k, n)
    for factor, side in ((0.5, "low"), (2.0, "high")):
        wrong = np.ones(k)
        wrong[3] = factor
        found = judged(logging, target, action, wrong).diagnostics
        assert [one.action for one in found.miscalibrated] == [3]
        assert found.miscalibrated[0].factor == pytest.approx(2.0, abs=0.4)
        assert found.miscalibrated[0].side == side
        assert found.verdict != "ok"
        assert any(f"of action 3 about 2.0 times too {side}"[:12] in reason for reason in found.reasons)


def test_a_wrong_action_that_the_target_never_takes_is_told_all_the_same() -> None:
    """The estimate does not use it, and the log is suspect: weak."""
    dice = np.random.default_rng(5)
    n = 20_000
    logging = np.full((n, 4), 0.25)
    target = np.broadcast_to([0.5, 0.3, 0.2, 0.0], (n, 4))
    found = judged(logging, target, dice.integers(0, 4, n), np.array([1.0, 1.0, 1.0, 0.5])).diagnostics
    assert found.verdict == "weak"
    assert [(one.action, one.side, one.mass) for one in found.miscalibrated] == [(3, "low", 0.0)]


def test_the_uniform_target_weighs_one_where_everything_can_be_taken() -> None:
    """Half of it where half the actions are struck out."""
    dice = np.random.default_rng(6)
    action = dice.integers(0, 4, 40_000)
    for k, expected in ((4, 1.0), (8, 0.5)):
        logged = Logged(action, np.zeros(40_000), probability=np.full(40_000, 0.25))
        rows = overlap(logged, np.broadcast_to(np.eye(k)[0], (40_000, k)))
        assert rows.calibration is not None
        assert rows.calibration.uniform_weight == pytest.approx(expected)


def test_without_the_other_actions_too_low_is_caught_and_too_high_is_left_to_the_mean() -> None:
    """A target given by row alone still shows that rows stand for more rows than there are."""
    dice = np.random.default_rng(7)
    n = 5000
    action = dice.integers(0, 4, n)
    for factor in (0.5, 2.0):
        logged = Logged(action, dice.random(n), probability=np.full(n, 0.25 * factor))
        facts = estimate(logged, np.full(n, 0.25), estimator=SNIPW()).diagnostics
        assert facts.verdict == "insufficient support"
        assert bool(facts.miscalibrated) == (factor == 0.5)
        assert math.isnan(facts.uniform_weight)


def test_a_column_of_one_action_is_a_placeholder() -> None:
    """Where the target is given by row, nobody need say which action it was."""
    logged = Logged(np.zeros(500, int), np.arange(500.0), probability=np.full(500, 0.25))
    assert estimate(logged, np.full(500, 0.25), estimator=SNIPW()).diagnostics.verdict == "ok"


def test_the_whole_logging_policy_proves_the_log() -> None:
    """Sound logs pass; frequencies that contradict it are named, high and low, for sure."""
    logging, target, action = world("softmax", 20_000, 5, 8)
    reward = np.zeros(20_000)
    at = np.arange(20_000)
    sound = Logged(action, reward, probability=logging[at, action])
    by_row = target[at, action] / target[at, action].max()
    for aim in (target, by_row):
        rows = overlap(sound, aim, logging=logging)
        assert rows.calibration is not None
        assert rows.calibration.findings() == ()
    claimed = np.broadcast_to([0.4, 0.3, 0.1, 0.1, 0.1], (20_000, 5))
    drawn = np.random.default_rng(1).choice(5, 20_000, p=[0.2, 0.3, 0.2, 0.2, 0.1])
    lied = Logged(drawn, reward, probability=claimed[at, drawn])
    rows = overlap(lied, claimed, logging=claimed)
    assert rows.calibration is not None
    found = {one.action: (one.side, one.sure) for one in rows.calibration.findings()}
    assert found == {0: ("high", True), 2: ("low", True), 3: ("low", True)}


@pytest.mark.parametrize(
    ("logging", "message"),
    [
        ([[0.5, 0.5], [0.9, 0.1]], "probability at row 1 is 0.5, expected 0.1, what logging says"),
        ([[0.5, 0.5]], r"logging is \(1, 2\), expected \(2, 2\)"),
        ([[0.5, 0.5], [0.9, 0.5]], "logging at row 1 .* probabilities that sum to 1"),
        ([[0.5, 0.5], [1.5, -0.5]], "logging at row 1 .* probabilities that sum to 1"),
        ([[0.5, 0.5], [math.nan, 0.5]], "logging at row 1 is nan"),
        ([0.5, 0.5], r"logging is \(2,\)"),
    ],
)
def test_a_probability_that_is_not_that_of_the_action_taken_is_refused(
    logging: npt.ArrayLike, message: str
) -> None:
    """The error names the row and both probabilities."""
    logged = Logged([0, 1], [0.0, 1.0], probability=[0.5, 0.5])
    for target in ([[0.5, 0.5], [0.5, 0.5]], [0.5, 0.5]):
        with pytest.raises(EvaluationError, match=message):
            overlap(logged, target, logging=logging)


@given(st.integers(0, 999), st.integers(1, 199))
def test_parts_of_a_log_add_up(seed: int, cut: int) -> None:
    """The sums of two parts are those of the whole, also where the second part has more actions."""
    dice = np.random.default_rng(seed)
    action = np.sort(dice.integers(0, 5, 200))
    p, target = dice.uniform(0.05, 1.0, 200), dice.dirichlet(np.ones(5), 200)
    weight = target[np.arange(200), action] / p

    def part(rows: slice, k: int) -> Calibration:
        aim = target[rows, :k]
        return Calibration.of(action[rows], p[rows], weight[rows], aim.sum(axis=0), (aim * aim).sum(axis=0))

    k = int(action[:cut].max()) + 1
    both, whole = part(slice(0, cut), k) + part(slice(cut, 200), 5), part(slice(0, 200), 5)
    assert both.rows == 200
    for name in ("inverse", "inverse_spread", "weight", "weight_spread", "lowest", "drawn"):
        np.testing.assert_allclose(getattr(both, name), getattr(whole, name))
    np.testing.assert_allclose(both.target[:k], whole.target[:k])


def test_long_logs_are_sampled_evenly() -> None:
    """What is wrong in a long log is found by part of its rows, wherever it is."""
    dice = np.random.default_rng(9)
    n = 300_000
    action = dice.integers(0, 4, n)
    logged = Logged(action, np.zeros(n), probability=np.full(n, 0.125))
    rows = overlap(logged, np.broadcast_to(np.full(4, 0.25), (n, 4)))
    assert rows.calibration is not None
    assert 50_000 < rows.calibration.rows < 150_000
    assert {one.action for one in rows.calibration.findings()} == {0, 1, 2, 3}
    facts = estimate(logged, np.broadcast_to(np.full(4, 0.25), (n, 4)), estimator=SNIPW()).diagnostics
    assert "about 2.0 times too low" in "\n".join(facts.reasons)
    assert "and of 1 more action" in "\n".join(facts.reasons)


def test_what_no_action_shows_alone_shows_on_the_whole() -> None:
    """A low floor leaves each action a few heavy rows; together they stand for too many."""
    found = judged(*world("floor", 5000, 20, 1), 0.5).diagnostics
    whole = [one for one in found.miscalibrated if one.action is None]
    assert len(whole) == 1
    assert whole[0].factor == pytest.approx(2.0, abs=0.3)
    assert any("on the whole about" in reason for reason in found.reasons)
