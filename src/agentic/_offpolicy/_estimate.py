"""What would the target policy have earned: the front function, from logged rows to a judged estimate.

An estimator turns weighed rows into per-row contributions; an interval turns contributions into
bounds; diagnostics say whether either can be believed.
"""

from __future__ import annotations

import math

import attrs
import numpy as np
import numpy.typing as npt

from agentic._offpolicy._diagnostics import UNSUPPORTED, Diagnostics, diagnose, withheld
from agentic._offpolicy._empirical_likelihood import EmpiricalLikelihood
from agentic._offpolicy._estimator import Estimator
from agentic._offpolicy._intervals import (
    Contributions,
    CountsUnseen,
    Interval,
    Normal,
    alike_bounds,
    standard_error,
)
from agentic._offpolicy._logged import Floats, Logged, Rows, overlap, reject
from agentic._offpolicy._modelled import DR
from agentic._offpolicy._tuning import Adaptive


@attrs.frozen(repr=False)
class Estimate:
    """Says what the target policy would have earned per decision, how surely, and on what support.

    Attributes:
        value: The estimate. Given even without support, as arithmetic; NaN if no row has weight and
            the estimator divides by it.
        low: Lower bound.
        high: Upper bound.
        standard_error: Of the value; infinite without support.
        n: Number of rows.
        level: Share of samples in which the bounds are to hold the true value, in (0, 1).
        method: Estimator and interval, in words.
        diagnostics: How far the log supports all this.
        estimator: How rows contributed; of a tuned one, the candidate that was chosen.

    .. versionadded:: 0.1
    """

    value: float
    low: float
    high: float
    standard_error: float
    n: int
    level: float
    method: str
    diagnostics: Diagnostics
    estimator: Estimator | None = None

    def __repr__(self) -> str:
        """Return the first line of the same: a number without support is not shown as one."""
        return f"<Estimate: {self._line()}>"

    def __str__(self) -> str:
        """Return one line, and one more for every reason to doubt it."""
        return "\n".join([self._line(), *(f"  - {reason}" for reason in self.diagnostics.reasons)])

    def _line(self) -> str:
        found = self.diagnostics
        basis = f"{self.method}; {self.n:,} rows worth {found.effective_rows:,.0f}"
        if found.verdict == UNSUPPORTED:
            return f"{UNSUPPORTED} ({basis})"
        bounds = f"{100 * self.level:g} % interval {self.low:.6g} to {self.high:.6g}"
        return f"{self.value:.6g}, {bounds} ({basis}): {found.verdict}"


_DOUBLY_ROBUST = DR()
_NORMAL = Normal()
_BOUNDED = EmpiricalLikelihood()


def estimate(
    logged: Logged,
    target: npt.ArrayLike,
    *,
    estimator: Estimator = _DOUBLY_ROBUST,
    q: npt.ArrayLike | None = None,
    logging: npt.ArrayLike | None = None,
    level: float = 0.95,
    reward_range: tuple[float, float] | None = None,
    interval: Interval | None = None,
) -> Estimate:
    """Estimate the mean reward of a target policy from rows that another policy logged.

    Without support (verdict "insufficient support") the bounds are those of `reward_range`, or infinite, and
    the standard error is infinite: the value stays, to be looked at but not believed. With a
    range, bounds are cut to it, while the value is left as it came: IPW can leave the range. When
    all rewards with weight are equal or the measured spread is 0, the bounds are at least those
    of `alike_bounds`, with the largest weight seen as its cap.

    Args:
        logged: The rows.
        target: Shape (n, k), the target's probability of every action for every row; or shape (n,),
            of the logged action alone, for estimators without a model. `np.broadcast_to` serves
            for a target that ignores the row.
        estimator: How rows contribute. The default, DR, needs `q`; SNIPW and IPW do not.
        q: Shape (n, k), finite: predicted reward of every action for every row, from `cross_fit`.
        logging: Shape (n, k), the logging policy's probability of every action, where the log holds it, to
            prove the logged probabilities by.
        level: Share of samples in which the bounds are to hold, in (0, 1).
        reward_range: Lowest and highest reward there can be.
        interval: How contributions become bounds: by default `EmpiricalLikelihood` where `reward_range` is
            given, and `Normal` otherwise.

    Raises:
        EvaluationError: Malformed input, named by row and field; predictions missing; or an
            interval that does not apply.

    .. versionadded:: 0.1
    """
    check_asked(estimator, interval, level)
    if reward_range is not None:
        check_range(logged.reward, reward_range)
    interval = usual_interval(interval, reward_range)
    capped = isinstance(interval, CountsUnseen)
    rows = overlap(logged, target, q=q, logging=logging, capped=capped)
    return judge(
        rows,
        probability=logged.probability,
        estimator=estimator,
        level=level,
        reward_range=reward_range,
        interval=interval,
    )


def judge(
    rows: Rows,
    /,
    *,
    probability: Floats | None = None,
    estimator: Estimator,
    level: float = 0.95,
    reward_range: tuple[float, float] | None = None,
    interval: Interval | None = None,
) -> Estimate:
    """Estimate from rows that are weighed already: what ``estimate`` does once it has weighed them.

    Args:
        rows: The weighed rows.
        probability: Shape (n,), float64, in (0, 1]: the logged probabilities; by default those of the rows.
        estimator: How rows contribute.
        level: Share of samples in which the bounds are to hold, in (0, 1).
        reward_range: Lowest and highest reward there can be.
        interval: How contributions become bounds; by default as of ``estimate``.

    Raises:
        EvaluationError: The estimator or the interval does not apply to such rows, or the level or a reward
            is out of range.

    .. versionadded:: 0.1
    """
    interval = usual_interval(interval, reward_range)
    check_asked(estimator, interval, level)
    if reward_range is not None:
        check_range(rows.reward, reward_range)
    n = rows.reward.size
    if probability is None:
        probability = np.array([math.nan]) if rows.probability is None else rows.probability
    with np.errstate(over="ignore", invalid="ignore"):  # overflow ends as an unsupported estimate
        chosen = estimator.settle(rows) if isinstance(estimator, Adaptive) else estimator
        found = chosen.contribute(rows)
        error = standard_error(found.influence, degrees=found.degrees, groups=rows.groups)
        facts = diagnose(rows, found, probability=probability, bounded=reward_range is not None)
        # Asked even when its answer will not be used, so that a misuse never depends on the data.
        low, high = interval.bounds(rows, found, standard_error=error, level=level, reward_range=reward_range)
    name = chosen.name if chosen is estimator else f"{chosen.name} by {estimator.name}"
    base = Estimate(found.value, low, high, error, n, level, name, facts, chosen)
    unseen = isinstance(interval, CountsUnseen)
    return concluded(
        base, rows, found, interval=interval.name, reward_range=reward_range, counts_unseen=unseen
    )


def usual_interval(interval: Interval | None, reward_range: tuple[float, float] | None, /) -> Interval:
    """The interval that was asked for; else one that holds at rare rewards, where their range is known."""
    if interval is not None:
        return interval
    return _NORMAL if reward_range is None else _BOUNDED


def concluded(
    base: Estimate,
    rows: Rows,
    found: Contributions,
    /,
    *,
    interval: str,
    reward_range: tuple[float, float] | None,
    counts_unseen: bool = False,
) -> Estimate:
    """Cut or stretch the bounds to what the range allows, or withdraw them where support is missing."""
    facts, low, high = base.diagnostics, base.low, base.high
    if facts.verdict != UNSUPPORTED:
        if reward_range is not None:
            if facts.alike and not counts_unseen:
                low, high = _widened(low, high, rows, found, facts, base.level, reward_range)
            low, high = max(low, reward_range[0]), min(high, reward_range[1])
        reason = withheld(base.value, base.standard_error, low, high, interval=interval)
        if reason is None:
            return attrs.evolve(base, low=low, high=high, method=f"{base.method}, {interval} interval")
        facts = attrs.evolve(facts, verdict=UNSUPPORTED, reasons=(reason, *facts.reasons))
    low, high = reward_range or (-math.inf, math.inf)
    return attrs.evolve(
        base,
        low=low,
        high=high,
        standard_error=math.inf,
        method=f"{base.method}, no interval",
        diagnostics=facts,
    )


def doubted(found: Estimate, seen: int, /) -> Estimate:
    """The same, at best weak where the policy may know the answers of so many of the rows."""
    if not seen:
        return found
    facts = found.diagnostics
    reason = (
        f"the policy may have learned from {seen:,} of these {found.n:,} rows, so it looks better than it is:"
        " teach it on one part of joined(agent).split() and judge it by the other"
    )
    if facts.verdict == UNSUPPORTED:
        facts = attrs.evolve(facts, reasons=(*facts.reasons, reason))
    else:
        facts = attrs.evolve(facts, verdict="weak", reasons=(reason, *facts.reasons))
    return attrs.evolve(found, diagnostics=facts)


def _widened(
    low: float,
    high: float,
    rows: Rows,
    found: Contributions,
    facts: Diagnostics,
    level: float,
    reward_range: tuple[float, float],
) -> tuple[float, float]:
    """Stretch bounds that no spread supports to those that equal rewards allow."""
    seen = rows.reward[rows.weight > 0.0]
    same = float(seen[0]) if seen.min() == seen.max() else found.value
    n = rows.reward.size if rows.groups is None else int(rows.groups.max()) + 1
    cap = max(1.0, facts.largest_weight)
    inside = min(max(same, reward_range[0]), reward_range[1])
    least, most = alike_bounds(inside, n=n, weight_cap=cap, level=level, reward_range=reward_range)
    return min(low, least), max(high, most)


def check_asked(estimator: object, interval: object, level: float) -> None:
    """Raise for a level that is no share, and for a class where one of its values is wanted."""
    check_level(level)
    for field, value in (("estimator", estimator), ("interval", interval)):
        if isinstance(value, type):
            name = value.__name__
            reject(
                field, None, name, f"a value of the class, such as {name}()", "call it, with its parameters"
            )


def check_level(level: float) -> None:
    """Raise unless the level is a share."""
    if not 0.0 < level < 1.0:
        reject("level", None, level, "more than 0 and less than 1", "give 0.95 for 95 %")


def check_range(reward: Floats, reward_range: tuple[float, float]) -> None:
    """Raise unless the range is two numbers in order that hold every reward."""
    low = high = math.nan
    try:
        low, high = reward_range
        ordered = -math.inf < low < high < math.inf
    except (TypeError, ValueError):  # one number, three, or none at all
        ordered = False
    if not ordered:
        remedy = "give the lowest and the highest reward there can be"
        reject("reward_range", None, reward_range, "two finite numbers in order", remedy)
    for row in (int(reward.argmin()), int(reward.argmax())):
        if not low <= reward[row] <= high:
            remedy = "widen reward_range to every reward that can occur"
            reject("reward", row, reward[row], f"a number from {low} to {high}", remedy)
