"""Does a score find those whom treatment moves: the Qini curve and its coefficient."""

from __future__ import annotations

import math
from typing import Any, Final

import attrs
import numpy as np
import numpy.typing as npt

from agentic import arrays
from agentic._offpolicy import reject
from agentic._statistics import normal_quantile, normal_tail
from agentic.arrays import F64, Bools
from agentic.evaluation import cross_fit
from agentic.experiments._difference import UNPROVEN, Difference, check_level
from agentic.experiments._increment import plain
from agentic.experiments._means import difference, sample
from agentic.experiments._worth import Contrast

_POINTS: Final = 200
BETTER, WORSE, NO_BETTER = "better than chance", "worse than chance", "not proven better than chance"


@attrs.frozen(eq=False)
class Qini:
    """Holds the incremental gain of treating only those with the highest score, and how good the score is.

    Attributes:
        share: Shape (p,), float64: share of subjects that is treated, from 0 to 1.
        gain: Shape (p,), float64: what treating them earns more than treating nobody, per subject of *all*;
            times the number of subjects it is the gain in all.
        error: Shape (p,), float64: standard error of the gain, each point by itself.
        whole: Treating everybody against nobody; its value is where the curve ends.
        coefficient: Area between the curve and the straight line of treating as many at random.
        low: Lower bound of the coefficient.
        high: Upper bound.
        standard_error: Of the coefficient; infinite where no spread was seen.
        normalised: Coefficient over the area under the straight line: 0 for chance, 1 where all the gain
            comes from very few who stand first, more where the score also spares whom treatment harms.
            NaN where treating everybody gains nothing.
        normalised_low: Its lower bound; minus infinity where it may well be that everybody gains nothing.
        normalised_high: Its upper bound, or infinity.
        level: Share of samples in which the bounds are to hold, in (0, 1).
        p_value: Two-sided: how often a score that says nothing would look as good or as bad.
        n: Subjects.
    """

    __repr__ = arrays.shown

    share: F64
    gain: F64
    error: F64
    whole: Difference
    coefficient: float
    low: float
    high: float
    standard_error: float
    normalised: float
    normalised_low: float
    normalised_high: float
    level: float
    p_value: float
    n: int

    @property
    def verdict(self) -> str:
        """Whether the score is proven to rank better than chance."""
        if self.p_value >= 1.0 - self.level:
            return NO_BETTER
        return BETTER if self.coefficient > 0.0 else WORSE

    def __str__(self) -> str:
        share = ""
        if math.isfinite(self.normalised):
            share = (
                f"; normalised {self.normalised:.3g}, {self.normalised_low:.3g} to {self.normalised_high:.3g}"
            )
        return (
            f"Qini coefficient {self.coefficient:.6g} ({100 * self.level:.4g}% interval {self.low:.6g} to"
            f" {self.high:.6g}, p = {self.p_value:.3g}{share}): {self.verdict}"
        )

    @property
    def facts(self) -> dict[str, Any]:  # JSON-compatible
        """The same as JSON-compatible values; what is not finite is ``None``."""
        out: dict[str, Any] = plain(attrs.asdict(self) | {"verdict": self.verdict})
        return out


def qini(
    score: npt.ArrayLike, treated: npt.ArrayLike, reward: npt.ArrayLike, /, *, level: float = 0.95
) -> Qini:
    """Draw the Qini curve of a score over subjects of whom chance decided who was treated.

    The score must not have been learned from these very subjects: it would know their luck.
    ``predicted_uplift`` makes one that was not. Subjects with the same score come in together. Groups may be
    of any two sizes.

    Args:
        score: Shape (n,), finite: who should be treated first has the highest.
        treated: Shape (n,), bool: who was.
        reward: Shape (n,), finite: one value for each subject, such as net revenue.
        level: Share of samples in which the bounds are to hold, in (0, 1).

    Raises:
        EvaluationError: Malformed input, or fewer than two subjects in a group.

    Source: Radcliffe 2007, Using control groups to target on predicted lift: the control's gain is scaled to
    the treated among those taken so far; here per subject, with the straight line of chance. The error is
    that of the influence function of Yadlowsky, Fleming, Shah, Brunskill and Wager 2025, Evaluating treatment
    prioritization rules via rank-weighted average treatment effects, worked out for the difference of the two
    groups' means. Normalised as the area for a curve that rises at once to its end (Radcliffe's optimum
    without downlift, for rewards of any size).
    """
    check_level(level)
    scores, rewards = sample("score", score), sample("reward", reward)
    which = np.asarray(treated)
    if which.ndim != 1 or which.dtype != np.bool_:
        found = f"{which.dtype.name} {which.shape}"
        reject("treated", None, found, "one bool for each subject", "say True for who was treated")
    for field, column in (("treated", which), ("reward", rewards)):
        if len(column) != len(scores):
            reject(
                field, None, len(column), f"{len(scores)} values, as many as score", "give one per subject"
            )
    whole = difference(rewards[which], rewards[~which], level=level)
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.diff(scores[order]) != 0.0, True).nonzero()[0]  # of each score the last subject
    curve = _Curve.of(which[order], rewards[order], last)
    influence = curve.influence(which[order], rewards[order])
    half = whole.value / 2.0
    moves = influence[0] - influence[1] / 2.0
    coefficient = curve.area - half if len(last) > 1 else 0.0
    error = _error(moves) if len(last) > 1 else math.inf
    z = -normal_quantile((1.0 - level) / 2.0)
    normalised, margin = math.nan, math.inf
    if half:
        normalised = coefficient / abs(half)
        if whole.verdict != UNPROVEN:  # else it may be divided by 0
            margin = z * _error(moves - coefficient / half * influence[1] / 2.0) / abs(half)
    at = _thinned(curve.share)
    return Qini(
        curve.share[at],
        curve.gain[at],
        curve.error[at],
        whole,
        coefficient,
        coefficient - z * error,
        coefficient + z * error,
        error,
        normalised,
        normalised - margin,
        normalised + margin,
        level,
        2.0 * normal_tail(abs(coefficient) / error) if math.isfinite(error) else 1.0,
        len(scores),
    )


def predicted_uplift(
    contrast: Contrast,
    /,
    *,
    value: float = 1.0,
    folds: int = 5,
    seed: int = 0,
    penalty: float = 1.0,
) -> tuple[F64, Bools, F64]:
    """Predict for each subject what treatment adds, from what was known of it first; for ``qini``.

    Two ridge regressions of net reward on features, one for each group, fitted on other subjects only.

    Args:
        contrast: Of ``by_arm`` or ``by_side``.
        value: Money for one unit of reward.
        folds: Parts of the subjects, 2 or more; each is predicted from the others.
        seed: Of the parts.
        penalty: Of the regressions, in rows.

    Returns:
        Score, who was treated, and the net reward: shape (n,) each.

    Raises:
        EvaluationError: As ``cross_fit``.

    Source: the T-learner; Chernozhukov et al. 2018 for cross-fitting.
    """
    X, _ = contrast.seen_first()
    groups = contrast.treated, contrast.plain
    treated = np.repeat([True, False], [len(one.key) for one in groups])
    net = np.concatenate([value * one.reward - one.cost for one in groups])
    keys = np.concatenate([one.key for one in groups]).view(np.int64)
    q = cross_fit(X, treated.astype(np.int64), net, 2, folds=folds, seed=seed, groups=keys, penalty=penalty)
    return q[:, 1] - q[:, 0], treated, net


def _error(influence: F64) -> float:
    squares, n = float(influence @ influence), len(influence)
    return math.sqrt(squares) / n if squares > 0.0 else math.inf


def _thinned(share: F64) -> npt.NDArray[np.int64]:
    """Places of at most 200 points, evenly over the shares, with both ends."""
    if len(share) <= _POINTS:
        return np.arange(len(share))
    return np.unique(np.searchsorted(share, np.linspace(0.0, 1.0, _POINTS)).clip(0, len(share) - 1))


@attrs.frozen(eq=False)
class _Curve:
    """The curve at the end of every score, with the mean of each group so far."""

    share: F64  # (p + 1,), from 0
    gain: F64
    error: F64
    area: float
    means: tuple[F64, F64]  # (p,) of control and treated, among those so far
    last: npt.NDArray[np.int64]  # (p,)

    @classmethod
    def of(cls, treated: Bools, reward: F64, last: npt.NDArray[np.int64]) -> _Curve:
        """Sum up subjects in the order of their scores."""
        n, means, squared = len(reward), [], np.zeros(len(last))
        for group in (~treated, treated):
            many = np.cumsum(group)[last].astype(np.float64)
            centre = float(reward[group].mean())  # so that nothing cancels in the squares
            off = np.where(group, reward - centre, 0.0)
            some = np.maximum(many, 1.0)
            mean = np.cumsum(off)[last] / some
            spread = np.cumsum(off * off)[last] / some - mean * mean
            squared += np.where(many > 1.0, np.maximum(spread, 0.0) / np.maximum(many - 1.0, 1.0), 0.0)
            means.append(np.where(many > 0.0, mean + centre, np.nan))
        share = (last + 1.0) / n
        gain = share * (means[1] - means[0])
        told = np.isfinite(gain)  # before both groups have somebody, the curve is straight from 0
        gain = np.interp(share, np.append(0.0, share[told]), np.append(0.0, gain[told]))
        share, gain = np.append(0.0, share), np.append(0.0, gain)
        error = np.append(0.0, share[1:] * np.sqrt(squared))
        area = float(np.sum((gain[1:] + gain[:-1]) / 2.0 * np.diff(share)))
        return cls(share, gain, error, area, (means[0], means[1]), last)

    def influence(self, treated: Bools, reward: F64) -> tuple[F64, F64]:
        """How far each subject moves the area and the end of the curve, times n: shape (n,) each."""
        n, out, end = len(reward), np.zeros(len(reward)), np.zeros(len(reward))
        width = np.diff(self.share)
        block = np.searchsorted(self.last, np.arange(n))
        for sign, group, mean in ((-1.0, ~treated, self.means[0]), (1.0, treated, self.means[1])):
            known = np.where(np.isfinite(mean), mean, mean[np.isfinite(mean)][0])
            # A subject counts from the middle of its score on: the curve is straight within one.
            behind = np.cumsum((known * width)[::-1])[::-1] - known * width / 2.0
            after = 1.0 - self.share[1:] + width / 2.0
            rows = group.nonzero()[0]
            of = float(len(rows)) / n
            out[rows] += sign * (after[block[rows]] * reward[rows] - behind[block[rows]]) / of
            end[rows] += sign * (reward[rows] - known[-1]) / of
        middle = (self.gain[1:] + self.gain[:-1]) / 2.0
        out += middle[block] - self.area  # who comes in moves everybody behind back by a place
        return out - out.mean(), end
