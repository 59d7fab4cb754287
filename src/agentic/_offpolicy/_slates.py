"""What did a policy put into slates, and what does a target make of it: logged lists, checked and weighed.

A slate is one decision with several choices. How far the reward of a place depends on the others decides
by which probability it must be weighed: of the whole slate, of its own place, or of the places down to it.
"""

from __future__ import annotations

import attrs
import numpy as np
import numpy.typing as npt

from agentic._offpolicy._columns import (
    Floats,
    Ints,
    as_actions,
    as_array,
    as_floats,
    as_names,
    check_below,
    check_length,
    reject,
)
from agentic._offpolicy._logged import SUM_TOLERANCE, codes_of

_ROUNDING = 1e-9
_PENDING = "leave slates out while their reward is pending: a missing reward is not a number"


def _logged(field: str, values: npt.ArrayLike | None) -> Floats | None:
    if values is None:
        return None
    array = as_array(field, values, ndim=1).astype(np.float64, copy=False)
    valid = (array > 0.0) & (array <= 1.0)  # NaN fails both
    if not valid.all():
        row = int(np.argmin(valid))
        remedy = "log the probability with which the final slate was drawn, or drop the slate"
        reject(field, row, array[row], "more than 0 and at most 1", remedy)
    return array


def _wanted(field: str, values: npt.ArrayLike | None) -> Floats | None:
    if values is None:
        return None
    array = as_array(field, values, ndim=1).astype(np.float64, copy=False)
    valid = (array >= 0.0) & (array <= 1.0)
    if not valid.all():
        row = int(np.argmin(valid))
        reject(field, row, array[row], "a probability from 0 to 1", "check the policy being evaluated")
    return array


def _names(field: str, values: npt.ArrayLike) -> npt.NDArray[np.generic]:
    array = as_names(field, values)
    if not array.size:
        reject(field, None, array.shape, "one integer or string per row", f"give the {field} of every row")
    return array


def _action(values: npt.ArrayLike) -> Ints:
    return as_actions("action", values)


def _position(values: npt.ArrayLike) -> Ints:
    return as_actions("position", values)


def _reward(values: npt.ArrayLike) -> Floats:
    return as_floats("reward", values, ndim=1, remedy=_PENDING)


def _slate(values: npt.ArrayLike) -> npt.NDArray[np.generic]:
    return _names("slate", values)


def _groups(values: npt.ArrayLike | None) -> npt.NDArray[np.generic] | None:
    return None if values is None else _names("groups", values)


def _joint(values: npt.ArrayLike | None) -> Floats | None:
    return _logged("joint", values)


def _item(values: npt.ArrayLike | None) -> Floats | None:
    return _logged("item", values)


def _cascade(values: npt.ArrayLike | None) -> Floats | None:
    return _logged("cascade", values)


def _target_joint(values: npt.ArrayLike | None) -> Floats | None:
    return _wanted("target joint", values)


def _target_item(values: npt.ArrayLike | None) -> Floats | None:
    return _wanted("target item", values)


def _target_cascade(values: npt.ArrayLike | None) -> Floats | None:
    return _wanted("target cascade", values)


def _choice(values: npt.ArrayLike | None) -> Floats | None:
    remedy = "give the target's probability of every action at every place"
    return None if values is None else as_floats("target choice", values, ndim=2, remedy=remedy)


@attrs.frozen(eq=False)
class LoggedSlates:
    """Holds what a policy put into slates and what came of it, one row for every place of every slate.

    Rows may come in any order. A slate's places are 0, 1, ... without a gap; slates may differ in length.
    Give the probabilities that your estimators need.

    Attributes:
        action: Shape (n,), int64: the action at the place.
        reward: Shape (n,), float64, finite: of the place. What a slate earns is the sum over its places.
        slate: Shape (n,), integers or strings: to which slate the row belongs.
        position: Shape (n,), int64: its place, from 0.
        joint: Shape (n,), float64, in (0, 1], or None: probability of the whole slate, the same in all
            its rows.
        item: Shape (n,), float64, in (0, 1], or None: probability of the action at its place, whatever
            else the slate holds.
        cascade: Shape (n,), float64, in (0, 1], or None: probability of the slate down to its place.
        groups: Shape (n,), integers or strings, or None: the subject, the same in all rows of a slate.

    Raises:
        EvaluationError: A column is malformed, a slate has a place twice or lacks one, or the
            probabilities of its rows contradict each other.

    .. versionadded:: 0.1
    """

    action: Ints = attrs.field(converter=_action)
    reward: Floats = attrs.field(converter=_reward)
    slate: npt.NDArray[np.generic] = attrs.field(converter=_slate, kw_only=True)
    position: Ints = attrs.field(converter=_position, kw_only=True)
    joint: Floats | None = attrs.field(default=None, converter=_joint, kw_only=True)
    item: Floats | None = attrs.field(default=None, converter=_item, kw_only=True)
    cascade: Floats | None = attrs.field(default=None, converter=_cascade, kw_only=True)
    groups: npt.NDArray[np.generic] | None = attrs.field(default=None, converter=_groups, kw_only=True)

    def __attrs_post_init__(self) -> None:
        """Refuse columns of different lengths, and slates that do not hold together."""
        for field in ("reward", "slate", "position", "joint", "item", "cascade", "groups"):
            column = getattr(self, field)
            if column is not None:
                check_length(field, column.size, self.action.size)
        layout = SlateLayout.of(self)
        if self.joint is not None:
            layout.check_same("joint", self.joint, "one probability for all rows of a slate")
        if self.cascade is not None:
            layout.check_falling(self.cascade)
        if self.groups is not None:
            layout.check_same("groups", codes_of(self.groups).astype(np.float64), "one subject for a slate")

    @property
    def n(self) -> int:
        """Number of rows: places of all slates."""
        return self.action.size


@attrs.frozen(eq=False)
class SlateLayout:
    """Says which rows make up which slate, in the order of slates and places.

    Attributes:
        order: Shape (n,), int64: the rows, slate by slate and place by place.
        slate: Shape (n,), int64, in that order: number of the slate, 0 to m - 1.
        position: Shape (n,), int64, in that order.
        slates: Their number m.
    """

    order: Ints
    slate: Ints
    position: Ints
    slates: int

    @classmethod
    def of(cls, logged: LoggedSlates, /) -> SlateLayout:
        """Sort the rows.

        Raises:
            EvaluationError: A slate has a place twice, or lacks one.
        """
        codes, position = codes_of(logged.slate), logged.position
        order = np.lexsort((position, codes)).astype(np.int64, copy=False)
        slate, place = codes[order], position[order]
        first = np.flatnonzero(np.diff(slate, prepend=-1))
        expected = np.arange(slate.size) - np.repeat(first, np.diff(first, append=slate.size))
        if not np.array_equal(place, expected):
            at = int(np.argmax(place != expected))
            remedy = "give every place of a slate one row, numbered from 0 without a gap"
            reject("position", int(order[at]), place[at], f"{expected[at]}, the slate's next place", remedy)
        return cls(order, slate, place, first.size)

    @property
    def starts(self) -> npt.NDArray[np.bool_]:
        """Shape (n,): which rows are a slate's first place."""
        first: npt.NDArray[np.bool_] = self.position == 0
        return first

    def check_same(self, field: str, values: Floats, expected: str) -> None:
        """Raise unless all rows of a slate agree."""
        sorted_values = values[self.order]
        leader = sorted_values[self.starts][self.slate]
        off = np.abs(sorted_values - leader) > _ROUNDING * leader
        if off.any():
            row = int(self.order[int(np.argmax(off))])
            reject(field, row, "unlike the rest of its slate", expected, "correct the column")

    def check_falling(self, cascade: Floats) -> None:
        """Raise if a slate becomes likelier from one place to the next."""
        values = cascade[self.order]
        rising = (values[1:] > values[:-1] * (1.0 + _ROUNDING)) & ~self.starts[1:]
        if rising.any():
            at = int(np.argmax(rising)) + 1
            remedy = "give the probability of all places down to this one, not of this one alone"
            reject("cascade", int(self.order[at]), values[at], f"at most {values[at - 1]}", remedy)


@attrs.frozen(eq=False)
class SlateTarget:
    """Holds how likely the target would have made the logged slates, row by row as they are logged.

    Attributes:
        joint: Shape (n,), float64, 0 to 1, or None: of the whole slate, the same in all its rows.
        item: Shape (n,), float64, 0 to 1, or None: of the action at its place, whatever else it holds.
        cascade: Shape (n,), float64, 0 to 1, or None: of the slate down to its place.
        choice: Shape (n, k), float64, rows summing to 1, or None: of every action at this place, given
            the logged actions before it. `CascadeDR` needs it.

    .. versionadded:: 0.1
    """

    joint: Floats | None = attrs.field(default=None, converter=_target_joint, kw_only=True)
    item: Floats | None = attrs.field(default=None, converter=_target_item, kw_only=True)
    cascade: Floats | None = attrs.field(default=None, converter=_target_cascade, kw_only=True)
    choice: Floats | None = attrs.field(default=None, converter=_choice, kw_only=True)


@attrs.frozen(eq=False)
class Weighing:
    """Holds one kind of weights of slate rows, in the order of slates and places.

    Attributes:
        weight: Shape (n,), float64, not negative: target over logged probability.
        probability: Shape (n,), float64, in (0, 1]: the logged one.
    """

    weight: Floats
    probability: Floats


@attrs.frozen(eq=False)
class SlateRows:
    """Holds logged slates as one target sees them: all that an estimator needs, slate by slate.

    Attributes:
        layout: Which rows make up which slate; the columns below are in its order.
        reward: Shape (n,), float64.
        joint: Weights of whole slates, or None.
        item: Weights of single places, or None.
        cascade: Weights down to a place, or None.
        predicted: Shape (n,), float64, or None: predicted reward of the logged action, and of what
            follows it.
        modelled: Shape (n,), float64, or None: the same averaged over the target's choices at the place.
        groups: Shape (m,), int64 codes of dependent slates, or None.

    .. versionadded:: 0.1
    """

    layout: SlateLayout
    reward: Floats
    joint: Weighing | None = None
    item: Weighing | None = None
    cascade: Weighing | None = None
    predicted: Floats | None = None
    modelled: Floats | None = None
    groups: Ints | None = None

    def by_slate(self, values: Floats, /) -> Floats:
        """Sum over the places of each slate, shape (m,)."""
        sums: Floats = np.bincount(self.layout.slate, weights=values).astype(np.float64, copy=False)
        return sums

    def by_place(self, values: Floats, /) -> Floats:
        """Sum over the slates at each place, shape (places,)."""
        sums: Floats = np.bincount(self.layout.position, weights=values).astype(np.float64, copy=False)
        return sums


def overlap_slates(
    logged: LoggedSlates, target: SlateTarget, /, *, q: npt.ArrayLike | None = None
) -> SlateRows:
    """Weigh logged slates by a target, with every probability that both sides have.

    Args:
        logged: The slates.
        target: The target's probabilities, row by row.
        q: Shape (n, k), finite: predicted reward of every action at the place and of what follows it.

    Raises:
        EvaluationError: Lengths differ, a slate's rows contradict each other, a choice is no
            distribution, or a prediction is not finite.

    .. versionadded:: 0.1
    """
    layout = SlateLayout.of(logged)
    if target.joint is not None:
        check_length("target joint", target.joint.size, logged.n)
        layout.check_same("target joint", target.joint, "one probability for all rows of a slate")
    predicted, modelled = (None, None) if q is None else _modelled(logged, target, q)
    order = layout.order
    return SlateRows(
        layout,
        logged.reward[order],
        joint=_weighing("joint", logged.joint, target.joint, order),
        item=_weighing("item", logged.item, target.item, order),
        cascade=_weighing("cascade", logged.cascade, target.cascade, order),
        predicted=None if predicted is None else predicted[order],
        modelled=None if modelled is None else modelled[order],
        groups=None if logged.groups is None else codes_of(logged.groups)[order][layout.starts],
    )


def _weighing(field: str, logged: Floats | None, target: Floats | None, order: Ints) -> Weighing | None:
    if logged is None or target is None:
        return None
    check_length(f"target {field}", target.size, logged.size)
    with np.errstate(over="ignore"):
        weight = target / logged
    if not np.isfinite(weight.max()):
        row = int(weight.argmax())
        remedy = "correct the logged probability, or drop the slate"
        reject(field, row, logged[row], "large enough to divide by", remedy)
    return Weighing(weight[order], logged[order])


def _modelled(logged: LoggedSlates, target: SlateTarget, q: npt.ArrayLike) -> tuple[Floats, Floats]:
    if target.choice is None:
        remedy = "give SlateTarget(choice=...), the target's probability of every action at every place"
        reject("target choice", None, None, "a shape (n, k) beside q", remedy)
    choice = target.choice
    guess = as_floats("q", q, ndim=2, remedy="predict every action of every row")
    check_length("target choice", choice.shape[0], logged.n)
    if guess.shape != choice.shape:
        reject("q", None, guess.shape, f"{choice.shape}, the shape of target choice", "predict every action")
    check_below(logged.action, choice.shape[1])
    off = (choice.min(axis=1) < 0.0) | (np.abs(choice.sum(axis=1) - 1.0) > SUM_TOLERANCE)
    if off.any():
        row = int(np.argmax(off))
        expected = f"probabilities that sum to 1 within {SUM_TOLERANCE}"
        reject("target choice", row, choice[row].tolist(), expected, "normalise every row over its actions")
    at = np.arange(logged.n)
    return guess[at, logged.action], np.einsum("nk,nk->n", choice, guess)
