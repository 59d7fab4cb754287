"""How sure is an estimate, counting on rewards that no row shows: empirical likelihood with an unseen row."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import ClassVar, Literal

import attrs
import numpy as np

from agentic._offpolicy._intervals import Contributions
from agentic._offpolicy._logged import Floats, Rows, reject

_NORMAL = NormalDist()
_TINIEST = 1e-300
# Above so many distinct observations they are gathered into cells that keep count, mean and variance.
_CELLS = 2048


@attrs.frozen
class EmpiricalLikelihood:
    """Bounds the value by the reweightings of rows, and of one that was never drawn, that remain plausible.

    The interval to leave as it is: it holds at rare rewards and at rewards near the ceiling, where a normal
    interval does not, and is hardly wider than one where that holds. It takes every estimator, and rows
    that depend on each other by groups. It is for one look at a fixed number of rows: it is not valid
    under peeking.

    Every row's observation is what it adds to a self-normalised estimate, w (r - q) - c (w - 1) beside
    the prediction averaged over the target's actions, with c the estimate's own shift: the mean weight is
    known to be one. Observations are weighted at random, exponentially, and a bound is where the weighted
    mean crosses with probability (1 - level) / 2. Half of the time the row added is the worst that could have
    been drawn: the largest possible weight with the end of the reward range. The other half it pulls to the
    other side as far as the skewness of the observations warrants. For equal weights and rewards of 0 and 1
    that is exactly the mid-P interval of a binomial share.

    Of slates that are weighed place by place, the worst one more is a slate that earns all it can at the
    heaviest weight of any place.

    Without a reward range the ends are the least and the greatest reward seen, and of a share that was never
    seen to happen nothing is known: pass the range.

    Attributes:
        weight_cap: The largest weight that can occur, more than 1. By default that of the rows: the highest
            probability of the target over the lowest that was logged, which is right where the logging policy
            explores by a floor. Never less than the largest weight seen.

    Source: Owen 1988, Empirical likelihood ratio confidence intervals for a single functional; Learned-Miller
    and Thomas 2019, A New Confidence Interval for the Mean of a Bounded Random Variable, for exponential
    weights with one worst row; Lancaster 1961, Significance tests in discrete distributions, for mid-P;
    Barndorff-Nielsen 1986, Inference on full or partial parameters based on the standardized signed log
    likelihood ratio, for the tail, whose signed root is that of the empirical likelihood. The half that
    pulls back by skewness is ours; coverage is simulated, not proved.

    .. versionadded:: 0.1
    """

    weight_cap: float | None = attrs.field(default=None, kw_only=True)
    name = "empirical likelihood"
    counts_unseen: ClassVar[Literal[True]] = True

    def __attrs_post_init__(self) -> None:
        """Refuse a cap below which a mean weight of one does not fit."""
        if self.weight_cap is not None and not 1.0 < self.weight_cap < math.inf:
            remedy = "give the largest weight that can occur, or None for what the log shows"
            reject("weight_cap", None, self.weight_cap, "more than 1 and finite", remedy)

    def bounds(
        self,
        rows: Rows,
        contributions: Contributions,
        /,
        *,
        standard_error: float,
        level: float,
        reward_range: tuple[float, float] | None,
    ) -> tuple[float, float]:
        """Return the values that the weighted mean stays above and below, each with (1 + level) / 2."""
        cap = self.weight_cap or rows.weight_cap or 1.0
        if self.weight_cap is not None and rows.stands is not None:
            cap *= float(rows.stands.max() / rows.stands.mean())
        cap = max(1.0, float(rows.weight.max()), cap)
        least, most = reward_range or (float(rows.reward.min()), float(rows.reward.max()))
        tail = (1.0 - level) / 2.0
        down = _observed(rows, contributions, cap=cap, end=least, sign=-1.0)
        up = _observed(rows, contributions, cap=cap, end=most, sign=1.0)
        lower, upper = -max(_upper(down, tail), down.normalised), max(_upper(up, tail), up.normalised)
        if reward_range is None or lower > reward_range[1] or upper < reward_range[0]:
            return lower, upper  # beyond what can be: whoever asked is to see that
        return max(lower, reward_range[0]), min(upper, reward_range[1])


@attrs.frozen(eq=False)
class _Observations:
    """What the rows, or their groups, say each.

    Attributes:
        value: Shape (m,), float64, distinct or of cells.
        count: Shape (m,), float64.
        mean: Of all.
        most: What one more could say.
        normalised: What a self-normalised estimate makes of them, which no bound leaves out.
    """

    value: Floats
    count: Floats
    mean: float
    most: float
    normalised: float


def _upper(found: _Observations, tail: float) -> float:
    """Return where the randomly weighted mean lies above with probability `tail`."""
    if not (math.isfinite(found.mean) and math.isfinite(found.most)):
        return math.inf  # too large for floating point: anything may be
    off = found.value - found.mean
    scale = max(found.most - found.mean, float(np.abs(off).max()))
    if not scale > 0.0:
        return found.mean
    off /= scale
    squares = float(found.count @ (off * off))
    top = (found.most - found.mean) / scale
    # Second-order correct where both rows added lie as far apart from the mean as the skewness says.
    skewness = float(found.count @ off**3) / squares if squares > 1e-24 else 0.0
    back = min(0.0, max(skewness - top, float(off.min())))
    draws = [_Weighted(np.append(off, end), np.append(found.count, 1.0)) for end in (top, back)]
    return found.mean + scale * _crossing(draws, tail, top)


def _crossing(draws: list[_Weighted], tail: float, most: float) -> float:
    """Return x at which the mean chance that a draw lies above x is `tail`: false position, by quantiles."""

    def excess(x: float) -> float:
        chance = sum(one.above(x) for one in draws) / len(draws)
        return _NORMAL.inv_cdf(min(max(chance, _TINIEST), 1.0 - 1e-16)) - aim

    aim = _NORMAL.inv_cdf(tail)
    low, high = 0.0, most
    at_low, at_high = excess(low), excess(high)
    if at_low <= 0.0:
        return low
    side, middle = 0, high
    for _ in range(100):  # pragma: no branch - a dozen will do
        middle = (low * at_high - high * at_low) / (at_high - at_low)
        found = excess(middle)
        if abs(found) < 1e-10 or high - low < 1e-13 * most:
            break
        if found > 0.0:
            low, at_low, at_high = middle, found, at_high / 2.0 if side > 0 else at_high
            side = 1
        else:
            high, at_high, at_low = middle, found, at_low / 2.0 if side < 0 else at_low
            side = -1
    return middle


@attrs.frozen(eq=False)
class _Weighted:
    """The mean of observations weighted at random: each by a gamma variable of shape `count`."""

    value: Floats
    count: Floats

    def above(self, x: float) -> float:
        """Return the chance that the mean exceeds x, by the saddlepoint."""
        off = self.value - x
        least, most = float(off.min()), float(off.max())
        if most <= 0.0:
            return 0.0
        if least >= 0.0:
            return 1.0
        # The sum of gamma variables g_i off_i exceeds 0: its cumulants are those of -sum log(1 - t off_i).
        low, high, t = 1.0 / least, 1.0 / most, 0.0
        for _ in range(200):  # pragma: no branch - a dozen will do
            part = off / (1.0 - t * off)
            slope, bend = float(self.count @ part), float(self.count @ (part * part))
            low, high = (low, t) if slope > 0.0 else (t, high)
            step = t - slope / bend
            if not low < step < high:
                step = (low + high) / 2.0
            near = abs(step - t) * (most - least) <= 1e-13
            t = step
            if near:
                break
        part = off / (1.0 - t * off)
        root = math.copysign(math.sqrt(max(0.0, -2.0 * float(self.count @ _log_excess(t * part)))), t)
        bend = float(self.count @ (part * part))
        if abs(root) < 1e-4:  # the limit of the correction
            return _NORMAL.cdf(-root - float(self.count @ part**3) / (3.0 * bend**1.5))
        return _NORMAL.cdf(-root - math.log(t * math.sqrt(bend) / root) / root)


def _log_excess(u: Floats) -> Floats:
    """Return log(1 + u) - u, to the last digits where u is small and they would cancel."""
    series = u * u * (-1 / 2 + u * (1 / 3 + u * (-1 / 4 + u * (1 / 5 + u * (-1 / 6 + u / 7)))))
    excess: Floats = np.where(np.abs(u) < 1e-2, series, np.log1p(u) - u)
    return excess


def _observed(
    rows: Rows, contributions: Contributions, *, cap: float, end: float, sign: float
) -> _Observations:
    """What each row or group adds, turned by `sign`, and the most that one more could."""
    used = contributions.weight
    if used is None:  # nothing but predictions: no reward was left unseen
        best = term = _summed(sign * contributions.term, rows)
        most = normalised = -math.inf
        if rows.modelled is None:  # a slate weighed place by place: at most its heaviest place earns it all
            weight = _summed(rows.weight, rows)
            most = max(float(weight.max()), cap * weight.size / rows.weight.size) * max(0.0, sign * end)
    else:
        predicted = modelled = np.zeros(used.size)
        if contributions.modelled and rows.predicted is not None and rows.modelled is not None:
            predicted, modelled = rows.predicted, rows.modelled
        weight = _summed(used, rows)
        gain = _summed(sign * used * (rows.reward - predicted), rows)
        base = _summed(sign * modelled, rows)
        best = base + _summed(sign * used * (end - predicted), rows)
        total = float(used.sum())
        room = sign * (end - (float(used @ predicted) / total if total > 0.0 else 0.0))
        highest, usual, normalised = float(weight.max()), float(base.mean()), -math.inf
        if used is rows.weight:  # the mean weight is one: its distance from that tells what the mean is off
            highest = max(highest, cap * weight.size / used.size)
            size = _size(rows)
            off, mean = weight - size, float(gain.sum() / weight.sum()) if total > 0.0 else 0.0
            normalised = usual + mean
            slope = _slope(off, gain - mean * size, highest - 1.0, highest * room - mean)
            gain, best, room = gain - slope * off, best - slope * off, room - slope
            usual += slope
        term = base + gain
        most = usual + highest * max(0.0, room)
    mean = float(term.mean())
    beyond = mean * (_size(rows) - 1.0)
    value, count = _gathered(term - beyond)
    most = max(most, float((best - beyond).max()), float(value.max()))
    return _Observations(value, count, mean, most, normalised)


def _summed(column: Floats, rows: Rows) -> Floats:
    """Return a column as it is, or its sums by group, over the mean number of rows of a group."""
    if rows.groups is None:
        return column
    sums: Floats = np.bincount(rows.groups, weights=column).astype(np.float64)
    return sums * (sums.size / column.size)


def _size(rows: Rows) -> Floats:
    """Return for how many rows each row or group stands, over their mean number."""
    if rows.stands is not None:
        return _summed(rows.stands / rows.stands.mean(), rows)
    return np.ones(1) if rows.groups is None else _summed(np.ones(rows.groups.size), rows)


def _slope(off: Floats, gain: Floats, off_unseen: float, gain_unseen: float) -> float:
    """Regress gains on the weights, both less their means, with the row that was never drawn."""
    squares = float(off @ off) + off_unseen * off_unseen
    return (float(off @ gain) + off_unseen * gain_unseen) / squares if squares > 0.0 else 0.0


def _gathered(term: Floats) -> tuple[Floats, Floats]:
    """Return distinct values and their counts, or two points for each cell, of its mean and variance."""
    least, most = float(term.min()), float(term.max())
    if term.size > _CELLS and 0.0 < most - least < math.inf:
        code = np.minimum((term - least) * (_CELLS / (most - least)), _CELLS - 1).astype(np.int64)
        number = np.bincount(code, minlength=_CELLS).astype(np.float64)
        held = np.flatnonzero(number)
        number = number[held]
        centre = np.bincount(code, weights=term, minlength=_CELLS)[held] / number
        middle = np.zeros(_CELLS)
        middle[held] = centre
        off = term - middle[code]
        spread = np.sqrt(np.bincount(code, weights=off * off, minlength=_CELLS)[held] / number)
        return np.concatenate([centre - spread, centre + spread]), np.concatenate([number, number]) / 2.0
    value, times = np.unique(term, return_counts=True)
    return value, times.astype(np.float64)
