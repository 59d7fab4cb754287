"""What did the log see of the target policy: logged rows, checked at the door and weighed once.

The checks run block by block in the same pass that gathers the target's probabilities, so that
a matrix of millions of rows is read from memory once.
"""

from __future__ import annotations

from typing import NoReturn, TypeVar

import attrs
import numpy as np
import numpy.typing as npt

from agentic._offpolicy._calibration import Calibration
from agentic._offpolicy._columns import (
    Floats,
    Ints,
    as_actions,
    as_array,
    as_floats,
    as_given,
    as_names,
    check_below,
    check_length,
    reject,
)

__all__ = [
    "Floats",
    "Ints",
    "Logged",
    "Rows",
    "as_actions",
    "as_array",
    "as_floats",
    "as_names",
    "check_below",
    "check_length",
    "codes_of",
    "overlap",
    "reject",
    "weighed",
]

Element = TypeVar("Element", bound=np.generic)

SUM_TOLERANCE = 1e-6
"""How far a row of the target may sum from one."""

# 64 Ki doubles are 512 KiB: the block, its predictions and their product stay in a core's cache.
_BLOCK_CELLS = 65_536
# A probability wrong by two shows in a few hundred rows; more than these would only cost time.
_CALIBRATED_ROWS = 65_536


def _read_only(array: npt.NDArray[Element]) -> npt.NDArray[Element]:
    view = array.view()
    view.flags.writeable = False
    return view


def _action(values: npt.ArrayLike) -> Ints:
    return _read_only(as_actions("action", values))


def _reward(values: npt.ArrayLike) -> Floats:
    remedy = "leave rows out while their reward is pending: a missing reward is not a number"
    return _read_only(as_floats("reward", values, ndim=1, remedy=remedy))


def _probability(values: npt.ArrayLike) -> Floats:
    remedy = "log the probability with which the final action was drawn, or drop the row"
    return _chances("probability", values, remedy)


def _kept(values: npt.ArrayLike | None) -> Floats | None:
    if values is None:
        return None
    return _chances("kept", values, "give the chance with which the row came into the sample")


def _chances(field: str, values: npt.ArrayLike, remedy: str) -> Floats:
    array = as_array(field, values, ndim=1).astype(np.float64, copy=False)
    # Written so that NaN, which fails every comparison, fails this one.
    if not (array.min() > 0.0 and array.max() <= 1.0):
        row = int(np.argmin((array > 0.0) & (array <= 1.0)))
        reject(field, row, array[row], "more than 0 and at most 1", remedy)
    return _read_only(array)


def _groups(values: npt.ArrayLike | None) -> npt.NDArray[np.generic] | None:
    if values is None:
        return None
    return _read_only(as_names("groups", values))


@attrs.frozen(eq=False)
class Logged:
    """Holds what a policy did and what came of it, one row per decision.

    Arrays are kept by reference as read-only views; later changes by the caller are not checked again.

    Attributes:
        action: Shape (n,), int64: position of the action taken, 0 to k - 1.
        reward: Shape (n,), float64, finite. Rows whose reward is pending do not belong here.
        probability: Shape (n,), float64, in (0, 1]: with which the logging policy drew that action.
        groups: Shape (n,), integers or strings, or None: rows of one group (a subject) are not
            independent, so standard errors are computed between groups.
        kept: Shape (n,), float64, in (0, 1], or None: of a log of which only a sample was kept, the
            chance with which each of these rows was. Each then stands for 1 / kept rows.

    Raises:
        EvaluationError: A column is empty, ragged, of another length, or holds a value out of range.

    .. versionadded:: 0.1
    """

    action: Ints = attrs.field(converter=_action)
    reward: Floats = attrs.field(converter=_reward)
    probability: Floats = attrs.field(converter=_probability, kw_only=True)
    groups: npt.NDArray[np.generic] | None = attrs.field(default=None, converter=_groups, kw_only=True)
    kept: Floats | None = attrs.field(default=None, converter=_kept, kw_only=True)

    def __attrs_post_init__(self) -> None:
        """Refuse columns of different lengths."""
        check_length("reward", self.reward.size, self.n)
        check_length("probability", self.probability.size, self.n)
        if self.groups is not None:
            check_length("groups", self.groups.size, self.n)
        if self.kept is not None:
            check_length("kept", self.kept.size, self.n)

    @property
    def n(self) -> int:
        """Number of rows."""
        return self.action.size


@attrs.frozen(eq=False)
class Rows:
    """Holds logged rows as one target policy sees them: all that an estimator needs.

    Attributes:
        weight: Shape (n,), float64, not negative: target over logged probability of the action taken.
        reward: Shape (n,), float64.
        predicted: Shape (n,), float64, or None: predicted reward of the action taken.
        modelled: Shape (n,), float64, or None: predicted reward averaged over the target's actions.
        unseen_mass: Mean probability the target gives to actions that no row took, 0 to 1;
            NaN when only the probability of the logged action is known.
        groups: Shape (n,), int64 codes 0 to g - 1 of dependent rows, or None.
        weight_cap: The largest weight that could have occurred: the target's highest probability of
            any action over the lowest logged probability. None when unknown.
        stands: Shape (n,), float64, or None: for how many rows of the whole log each stands, where only a
            sample was kept. Weights and averaged predictions are in proportion to it already, so that
            plain means of the rows are those of the whole log.
        probability: Shape (n,), float64, in (0, 1], or None: with which the logging policy took the action.
        calibration: Sums that tell whether the logged probabilities can be right, or None.

    .. versionadded:: 0.1
    """

    weight: Floats
    reward: Floats
    predicted: Floats | None = None
    modelled: Floats | None = None
    unseen_mass: float = float("nan")
    groups: Ints | None = None
    weight_cap: float | None = None
    stands: Floats | None = None
    probability: Floats | None = None
    calibration: Calibration | None = None


def overlap(
    logged: Logged,
    target: npt.ArrayLike,
    *,
    q: npt.ArrayLike | None = None,
    logging: npt.ArrayLike | None = None,
    capped: bool = True,
) -> Rows:
    """Weigh the logged rows by the target policy, checking target and predictions on the way.

    Args:
        logged: The rows.
        target: Shape (n, k), the target's probability of every action, rows summing to 1; or
            shape (n,), of the logged action alone. Any float or integer dtype, never copied whole.
        q: Shape (n, k), finite: predicted reward of every action.
        logging: Shape (n, k), the logging policy's probability of every action, where the log holds it:
            every logged probability must be that of the action taken, and actions must have been taken
            as often as it says.
        capped: Whether to find the largest weight that could have occurred, which some intervals need: it
            takes a pass over the target.

    Raises:
        EvaluationError: Shapes differ, an action has no column, a probability is negative or NaN,
            a row does not sum to 1, a prediction is not finite, or a logged probability is not that of
            the action taken.

    .. versionadded:: 0.1
    """
    raw = as_given("target", target)
    if raw.ndim == 1:
        return _overlap_at_action(logged, raw, q, logging)
    policy = as_array("target", raw, ndim=2)
    check_length("target", policy.shape[0], logged.n)
    n, k = policy.shape
    check_below(logged.action, k)
    predictions = None if q is None else as_array("q", q, ndim=2)
    if predictions is not None and predictions.shape != (n, k):
        reject(
            "q", None, predictions.shape, f"{(n, k)}, the shape of target", "predict every action of a row"
        )

    unseen = np.ones(k, dtype=np.bool_)
    unseen[logged.action] = False
    hidden = np.flatnonzero(unseen)
    height = min(n, max(1, _BLOCK_CELLS // k))
    ones, offsets = np.ones(k), np.arange(height, dtype=np.int64) * k
    chosen = np.empty(n)
    model = None
    if predictions is not None:
        model = predictions, np.empty(n), np.empty(n), np.empty((height, k))
    hidden_mass = likeliest = 0.0
    every = max(1, n // _CALIBRATED_ROWS)
    counted: list[slice] = []
    totals, squares, upright = np.zeros(k), np.zeros(k), np.ones(height)
    # NaN and infinity are found after the arithmetic, by what they leave behind.
    with np.errstate(invalid="ignore", over="ignore"):
        for start in range(0, n, height):
            stop = min(n, start + height)
            block = policy[start:stop].astype(np.float64, copy=False)
            if not (block.min() >= 0.0 and np.abs(block @ ones - 1.0).max() <= SUM_TOLERANCE):
                _reject_target(block, start)
            at = offsets[: stop - start] + logged.action[start:stop]
            chosen[start:stop] = block.reshape(-1).take(at)
            if capped:
                likeliest = max(likeliest, float(block.max()))
            if hidden.size:
                hidden_mass += float(block[:, hidden].sum())
            if start // height % every == 0:
                counted.append(slice(start, stop))
                totals += upright[: stop - start] @ block
                squares += upright[: stop - start] @ (block * block)
            if model is not None:
                source, predicted, modelled, product = model
                guess = source[start:stop].astype(np.float64, copy=False)
                predicted[start:stop] = guess.reshape(-1).take(at)
                modelled[start:stop] = np.multiply(block, guess, out=product[: stop - start]) @ ones
    weight, cap = _divide(chosen, logged), _cap(likeliest, logged) if capped else None
    rows = Rows(
        weight,
        logged.reward,
        unseen_mass=hidden_mass / n,
        groups=_codes(logged.groups),
        weight_cap=cap,
        probability=logged.probability,
        calibration=_calibrated(logged, weight, (totals, squares), counted, logging),
    )
    if model is None:
        return _standing(rows, logged)
    source, predicted, modelled, _ = model
    if not np.isfinite(modelled).all():
        as_floats("q", source, ndim=2, remedy="predict every action of every row")
        row = int(np.argmin(np.isfinite(modelled)))
        reject("q", row, modelled[row], "predictions whose mean is finite", "scale the rewards down")
    return _standing(attrs.evolve(rows, predicted=predicted, modelled=modelled), logged)


def weighed(weight: npt.ArrayLike, reward: npt.ArrayLike, *, groups: npt.ArrayLike | None = None) -> Rows:
    """Take rows whose weights come from elsewhere, such as `balanced_weights`, for `judge`.

    Args:
        weight: Shape (n,), finite, not negative.
        reward: Shape (n,), finite.
        groups: Shape (n,), integers or strings, or None: as in `Logged`.

    Raises:
        EvaluationError: Malformed input, named by row and field.

    .. versionadded:: 0.1
    """
    remedy = "give every row the importance that it was estimated to have"
    weights = as_floats("weight", weight, ndim=1, remedy=remedy)
    if weights.min() < 0.0:
        row = int(weights.argmin())
        reject("weight", row, weights[row], "0 or more", remedy)
    rewards, subjects = _reward(reward), _groups(groups)
    check_length("reward", rewards.size, weights.size)
    if subjects is not None:
        check_length("groups", subjects.size, weights.size)
    return Rows(weights, rewards, groups=_codes(subjects))


def _overlap_at_action(
    logged: Logged,
    target: npt.NDArray[np.generic],
    q: npt.ArrayLike | None,
    logging: npt.ArrayLike | None,
) -> Rows:
    if q is not None:
        remedy = "give the probability of every action, or leave q out"
        reject("target", None, target.shape, "a shape (n, k) beside q", remedy)
    chosen = as_array("target", target, ndim=1).astype(np.float64, copy=False)
    check_length("target", chosen.size, logged.n)
    if not (chosen.min() >= 0.0 and chosen.max() <= 1.0):
        row = int(np.argmin((chosen >= 0.0) & (chosen <= 1.0)))
        reject("target", row, chosen[row], "a probability from 0 to 1", "check the policy being evaluated")
    height = max(1, _BLOCK_CELLS // 16)
    every = max(1, chosen.size // _CALIBRATED_ROWS)
    counted = [slice(start, start + height) for start in range(0, chosen.size, height * every)]
    weight = _divide(chosen.copy(), logged)
    k = int(logged.action.max()) + 1 if logging is None else np.shape(logging)[-1]
    # A column of one action is a placeholder where the target is given by row.
    alone = logging is None and logged.action.min() == k - 1
    unknown = np.full(k, np.nan)
    found = Rows(
        weight,
        logged.reward,
        groups=_codes(logged.groups),
        weight_cap=_cap(1.0, logged),
        probability=logged.probability,
        calibration=None if alone else _calibrated(logged, weight, (unknown, unknown), counted, logging),
    )
    return _standing(found, logged)


def _standing(rows: Rows, logged: Logged) -> Rows:
    """Let rows of a sample weigh as the rows they stand for."""
    if logged.kept is None:
        return rows
    stands = 1.0 / logged.kept
    share = stands / stands.mean()
    return attrs.evolve(
        rows,
        weight=rows.weight * share,
        modelled=None if rows.modelled is None else rows.modelled * share,
        weight_cap=None if rows.weight_cap is None else rows.weight_cap * float(share.max()),
        stands=stands,
    )


def _cap(likeliest: float, logged: Logged) -> float:
    with np.errstate(over="ignore"):
        return float(np.float64(likeliest) / logged.probability.min())


def _calibrated(
    logged: Logged,
    weight: Floats,
    totals: tuple[Floats, Floats],
    counted: list[slice],
    logging: npt.ArrayLike | None,
) -> Calibration:
    """Count the rows of these stretches, and hold every row against the logging policy if it is known."""

    def picked(column: npt.NDArray[Element]) -> npt.NDArray[Element]:
        return column[counted[0]] if len(counted) == 1 else np.concatenate([column[one] for one in counted])

    expected = None
    if logging is not None:
        k = totals[0].size
        source = _checked_logging(logged, logging, k)
        expected = sum((source[one].sum(axis=0) for one in counted), np.zeros(k))
    return Calibration.of(
        picked(logged.action), picked(logged.probability), picked(weight), *totals, expected=expected
    )


def _checked_logging(logged: Logged, logging: npt.ArrayLike, k: int) -> Floats:
    source = as_floats("logging", logging, ndim=2, remedy="give the logging policy's probabilities as logged")
    if source.shape != (logged.n, k):
        expected = f"{(logged.n, k)}, a row for every decision and a column for every action"
        reject("logging", None, source.shape, expected, "give the probability of every action")
    off = (source.min(axis=1) < 0.0) | (np.abs(source.sum(axis=1) - 1.0) > SUM_TOLERANCE)
    if off.any():
        row = int(np.argmax(off))
        remedy = "normalise every row over its actions"
        reject("logging", row, source[row].tolist(), "probabilities that sum to 1", remedy)
    said = source[np.arange(logged.n), logged.action]
    wrong = np.abs(said - logged.probability) > SUM_TOLERANCE
    if wrong.any():
        row = int(np.argmax(wrong))
        expected = f"{said[row]:.6g}, what logging says of the action taken"
        remedy = "log the probability of the final action, after every rule"
        reject("probability", row, logged.probability[row], expected, remedy)
    return source


def codes_of(names: npt.NDArray[np.generic], /) -> Ints:
    """Number distinct names from 0, shape (n,), int64."""
    codes: Ints = np.unique(names, return_inverse=True)[1].astype(np.int64, copy=False)
    return codes


def _codes(groups: npt.NDArray[np.generic] | None) -> Ints | None:
    return None if groups is None else codes_of(groups)


def _divide(chosen: Floats, logged: Logged) -> Floats:
    """Turn the target's probabilities of the actions taken into weights, in place."""
    with np.errstate(over="ignore"):
        weight = np.divide(chosen, logged.probability, out=chosen)
    if not np.isfinite(weight.max()):
        row = int(weight.argmax())
        remedy = "correct the logged probability, or drop the row"
        reject("probability", row, logged.probability[row], "large enough to divide by", remedy)
    return weight


def _reject_target(block: Floats, start: int) -> NoReturn:
    valid = block >= 0.0
    if not valid.all():
        row, column = divmod(int(np.argmin(valid)), block.shape[1])
        field = f"target of action {column}"
        reject(field, start + row, block[row, column], "a probability from 0 to 1", "check the policy")
    totals = block.sum(axis=1)
    row = int(np.argmax(np.abs(totals - 1.0)))
    expected = f"1 within {SUM_TOLERANCE}"
    reject("sum of target", start + row, totals[row], expected, "normalise every row over its actions")
