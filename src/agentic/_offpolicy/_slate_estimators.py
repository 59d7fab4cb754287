"""What would the target's slates have earned: estimators over logged slates, and their front function."""

from __future__ import annotations

import math
from typing import Protocol, runtime_checkable

import attrs
import numpy as np
import numpy.typing as npt

from agentic._offpolicy._columns import Floats
from agentic._offpolicy._diagnostics import UNSUPPORTED, Diagnostics, diagnose
from agentic._offpolicy._estimate import Estimate, check_asked, check_range, concluded
from agentic._offpolicy._intervals import Contributions, Interval, Normal, standard_error
from agentic._offpolicy._logged import Rows, codes_of
from agentic._offpolicy._slates import LoggedSlates, SlateRows, SlateTarget, Weighing, overlap_slates
from agentic.errors import EvaluationError

_NORMAL = Normal()
_GRAVITY = ("ok", "weak", UNSUPPORTED)


@runtime_checkable
class SlateEstimator(Protocol):
    """Says what every slate contributes to the value of the target."""

    @property
    def name(self) -> str:
        """How reports call it."""

    def weighing(self, rows: SlateRows, /) -> Weighing:
        """Return the weights that it goes by."""

    def contribute(self, rows: SlateRows, /) -> Contributions:
        """Return the terms of every slate, shape (m,), their value and its influence values."""


def _need(found: Weighing | None, field: str, name: str) -> Weighing:
    if found is None:
        message = (
            f"{name} weighs by the {field} probability and the logged slates or the target have none, "
            f"expected {field}=... of shape (n,) in both; give it, or choose another estimator"
        )
        raise EvaluationError(message, field=field, value=None, expected="shape (n,)")
    return found


def _summed(rows: SlateRows, weight: Floats, *, whole: Floats | None = None) -> Contributions:
    term = rows.by_slate(weight * rows.reward)
    value = float(term.mean())
    return Contributions(value, term, term - value, degrees=term.size - 1, weight=whole, modelled=False)


def _shared(rows: SlateRows, weight: Floats, *, whole: Floats | None = None) -> Contributions:
    """Divide the weights of every place by their mean over the slates that have it."""
    place, m = rows.layout.position, rows.layout.slates
    total, count = rows.by_place(weight), np.bincount(place)
    if not total.all():
        nothing = np.zeros(m)
        return Contributions(math.nan, nothing, nothing, degrees=m, weight=whole, modelled=False)
    share = weight * (count / total)[place]
    level = (rows.by_place(share * rows.reward) / count)[place]
    term = rows.by_slate(share * rows.reward)
    value = float(term.mean())
    influence = rows.by_slate(share * (rows.reward - level) + level) - value
    return Contributions(value, term, influence, degrees=m, weight=whole, modelled=False)


@attrs.frozen
class SIPS:
    """Weighs every reward by the whole slate (standard): right however places work on each other.

    Needs the joint probability. Its weights are the heaviest: with long slates hardly any is left.

    Source: Swaminathan et al. 2017, Off-policy Evaluation for Slate Recommendation (their IPS).
    Value: mean over slates of the sum over places of w r.

    .. versionadded:: 0.1
    """

    name = "SIPS"

    def weighing(self, rows: SlateRows, /) -> Weighing:
        """Return the weights of whole slates."""
        return _need(rows.joint, "joint", self.name)

    def contribute(self, rows: SlateRows, /) -> Contributions:
        """Return the sums over places of w r."""
        weight = self.weighing(rows).weight
        return _summed(rows, weight, whole=weight[rows.layout.starts])


@attrs.frozen
class IIPS:
    """Weighs every reward by its own place (independent): right if no place works on another.

    Needs the item probability.

    Source: Li et al. 2018, Offline Evaluation of Ranking Policies with Click Models (item-position).
    Value: as `SIPS`, with the weights of single places.

    .. versionadded:: 0.1
    """

    name = "IIPS"

    def weighing(self, rows: SlateRows, /) -> Weighing:
        """Return the weights of single places."""
        return _need(rows.item, "item", self.name)

    def contribute(self, rows: SlateRows, /) -> Contributions:
        """Return the sums over places of w r."""
        return _summed(rows, self.weighing(rows).weight)


@attrs.frozen
class RIPS:
    """Weighs every reward by the slate down to its place (reward interaction).

    Right if people look from the top down, so that a place works on those below it only. Needs the
    cascade probability.

    Source: McInerney et al. 2020, Counterfactual Evaluation of Slate Recommendations with
    Sequential Reward Interactions. Value: as `SIPS`, with the weights down to a place.

    .. versionadded:: 0.1
    """

    name = "RIPS"

    def weighing(self, rows: SlateRows, /) -> Weighing:
        """Return the weights down to a place."""
        return _need(rows.cascade, "cascade", self.name)

    def contribute(self, rows: SlateRows, /) -> Contributions:
        """Return the sums over places of w r."""
        return _summed(rows, self.weighing(rows).weight)


@attrs.frozen
class SNSIPS:
    """Divides the weights of `SIPS` by their mean at each place.

    Value: sum over places of sum(w r) / sum(w); standard error by the delta method. NaN when a place
    has no weight.

    .. versionadded:: 0.1
    """

    name = "SNSIPS"

    def weighing(self, rows: SlateRows, /) -> Weighing:
        """Return the weights of whole slates."""
        return _need(rows.joint, "joint", self.name)

    def contribute(self, rows: SlateRows, /) -> Contributions:
        """Return the sums over places of w r / mean(w)."""
        weight = self.weighing(rows).weight
        return _shared(rows, weight, whole=weight[rows.layout.starts])


@attrs.frozen
class SNIIPS:
    """Divides the weights of `IIPS` by their mean at each place, otherwise as `SNSIPS`.

    .. versionadded:: 0.1
    """

    name = "SNIIPS"

    def weighing(self, rows: SlateRows, /) -> Weighing:
        """Return the weights of single places."""
        return _need(rows.item, "item", self.name)

    def contribute(self, rows: SlateRows, /) -> Contributions:
        """Return the sums over places of w r / mean(w)."""
        return _shared(rows, self.weighing(rows).weight)


@attrs.frozen
class SNRIPS:
    """Divides the weights of `RIPS` by their mean at each place, otherwise as `SNSIPS`.

    .. versionadded:: 0.1
    """

    name = "SNRIPS"

    def weighing(self, rows: SlateRows, /) -> Weighing:
        """Return the weights down to a place."""
        return _need(rows.cascade, "cascade", self.name)

    def contribute(self, rows: SlateRows, /) -> Contributions:
        """Return the sums over places of w r / mean(w)."""
        return _shared(rows, self.weighing(rows).weight)


@attrs.frozen
class CascadeDR:
    """Starts from predictions at every place and corrects them with `RIPS`'s weights.

    Right if `RIPS` is, whatever the predictions; with good ones of less variance. Needs the cascade
    probability, ``SlateTarget(choice=...)`` and ``q``: of every action at a place the reward
    there and at the places below it.

    Source: Kiyohara et al. 2022, Doubly Robust Off-Policy Evaluation for Ranking Policies under the
    Cascade Behavior Model. Value: mean over slates of the sum over places of
    w (r - predicted) + (w of the place above) modelled.

    .. versionadded:: 0.1
    """

    name = "CascadeDR"

    def weighing(self, rows: SlateRows, /) -> Weighing:
        """Return the weights down to a place."""
        return _need(rows.cascade, "cascade", self.name)

    def contribute(self, rows: SlateRows, /) -> Contributions:
        """Return the sums over places of w (r - predicted) + (w above) modelled."""
        weight = self.weighing(rows).weight
        if rows.predicted is None or rows.modelled is None:
            message = (
                "CascadeDR predicts rewards and q is None, expected predictions of shape (n, k); pass q=..., "
                "or estimator=RIPS(), which needs none"
            )
            raise EvaluationError(message, field="q", value=None, expected="shape (n, k)")
        above = np.ones_like(weight)
        above[1:] = np.where(rows.layout.starts[1:], 1.0, weight[:-1])
        term = rows.by_slate(weight * (rows.reward - rows.predicted) + above * rows.modelled)
        value = float(term.mean())
        return Contributions(value, term, term - value, degrees=term.size - 1, weight=None, modelled=True)


def estimate_slates(
    logged: LoggedSlates,
    target: SlateTarget,
    /,
    *,
    estimator: SlateEstimator,
    q: npt.ArrayLike | None = None,
    level: float = 0.95,
    reward_range: tuple[float, float] | None = None,
    interval: Interval = _NORMAL,
) -> Estimate:
    """Estimate the mean reward of a target's slates from slates that another policy logged.

    The verdict is that of the place whose weights support the estimate least. Otherwise as `estimate`.

    Args:
        logged: The slates.
        target: How likely the target would have made them.
        estimator: How slates contribute.
        q: Shape (n, k), finite: for `CascadeDR`, predicted reward of every action at a place and of what
            follows it.
        level: Share of samples in which the bounds are to hold, in (0, 1).
        reward_range: Lowest and highest reward that a whole slate can have.
        interval: How contributions become bounds; `CressieRead` for `SIPS` of independent slates.

    Raises:
        EvaluationError: Malformed input, named by row and field; a probability or prediction that the
            estimator needs is missing; or an interval that does not apply.

    .. versionadded:: 0.1
    """
    check_asked(estimator, interval, level)
    rows = overlap_slates(logged, target, q=q)
    total = rows.by_slate(rows.reward)
    if reward_range is not None:
        check_range(total, reward_range)
    with np.errstate(over="ignore", invalid="ignore"):
        found = estimator.contribute(rows)
        weighing = estimator.weighing(rows)
        facts = _judged(rows, weighing, found, total, bounded=reward_range is not None)
        error = standard_error(found.influence, degrees=found.degrees, groups=rows.groups)
        # Where a slate has one weight it is one weighed row; elsewhere its heaviest place stands for it.
        weight = found.weight
        if weight is None:
            weight = np.maximum.reduceat(weighing.weight, np.flatnonzero(rows.layout.starts))
        whole = Rows(weight, total, groups=rows.groups)
        low, high = interval.bounds(
            whole, found, standard_error=error, level=level, reward_range=reward_range
        )
    base = Estimate(found.value, low, high, error, rows.layout.slates, level, estimator.name, facts)
    return concluded(base, whole, found, interval=interval.name, reward_range=reward_range)


def _judged(
    rows: SlateRows, weighing: Weighing, found: Contributions, total: Floats, *, bounded: bool
) -> Diagnostics:
    """Diagnose the weights of every place, and return the gravest of the diagnoses."""
    place, slate = rows.layout.position, rows.layout.slate
    each = []
    for number in range(int(place.max()) + 1):
        there = place == number
        held = slate[there]
        weight = weighing.weight[there]
        seen = Rows(weight, total[held], groups=None if rows.groups is None else codes_of(rows.groups[held]))
        part = attrs.evolve(found, influence=found.influence[held], weight=weight)
        each.append(diagnose(seen, part, probability=weighing.probability[there], bounded=bounded))
    order = [(_GRAVITY.index(one.verdict), -one.effective_rows) for one in each]
    worst = max(range(len(each)), key=order.__getitem__)
    everywhere = set.intersection(*(set(one.reasons) for one in each))
    return attrs.evolve(
        each[worst],
        reasons=tuple(
            reason if reason in everywhere else f"at place {worst}: {reason}"
            for reason in each[worst].reasons
        ),
    )
