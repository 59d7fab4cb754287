"""Can this estimate be believed: support, weights and who carries the spread, with a verdict.

The thresholds below are conventions, not theorems: they were set so that the usual failures (a
logging probability near zero, an action the log never took, probabilities logged wrongly, a handful
of clicks) do not pass for "ok".
"""

from __future__ import annotations

import math
from typing import Final, Literal

import attrs
import numpy as np

from agentic._offpolicy._calibration import Miscalibrated
from agentic._offpolicy._intervals import Contributions, independent, standard_error
from agentic._offpolicy._logged import Floats, Ints, Rows

Verdict = Literal["ok", "weak", "insufficient support"]

UNSUPPORTED: Final = "insufficient support"
"""The verdict where the log cannot say."""

TOP_SHARE = 0.01
FEWEST_EFFECTIVE_ROWS = 10.0
FEW_EFFECTIVE_ROWS = 100.0
FEW_CARRYING_ROWS = 20.0
HEAVY_TOP = 0.5
HEAVY_ROW = 0.1
MEAN_WEIGHT_Z_WEAK = 3.0
MEAN_WEIGHT_Z_UNSUPPORTED = 4.0
MEAN_WEIGHT_OFF = 0.1
MISPLACED_MASS_UNSUPPORTED = 0.1
MOST_NAMED = 3
_BLOCK = 32_768  # doubles that stay in a core's cache
UNSEEN_MASS_WEAK = 0.01
UNSEEN_MASS_UNSUPPORTED = 0.1
ALTERED_SHARE_WEAK = 0.05
_SAMPLED = 10_000


@attrs.frozen
class Diagnostics:
    """Says how far the log supports an estimate, and why.

    Weights are those before any clipping or shrinking.

    Attributes:
        n: Number of rows.
        effective_rows: (sum w)^2 / sum w^2, 0 to n: how many equally weighted rows tell as much.
        effective_share: The same over n.
        mean_weight: 1 when the logged probabilities are right and support is complete; short of 1
            by the target's mass on actions the log could not take.
        mean_weight_z: Its distance from 1 in standard errors.
        largest_weight: Highest weight of a row.
        largest_weight_share: Its share of all weight, 0 to 1.
        top_weight_share: Share of all weight in the heaviest 1 % of the rows.
        zero_weight_share: Share of rows whose action the target never takes.
        unseen_mass: Mean probability of the target on actions that no row took; NaN when unknown.
        min_probability: Lowest logged probability; NaN where there are none.
        altered_share: Share of the weight that clipping or shrinking removed; 0 without, and 1 for
            an estimator that uses no weights.
        carrying_rows: (sum f^2)^2 / sum f^4 over influence values f (of groups, if given): how many
            rows carry the spread. A third of n for normal data, few at rare rewards.
        alike: Whether no spread can be measured: every row with weight has the same reward, or no
            row moves the estimate.
        verdict: "ok"; "weak": read the reasons before using the interval; "insufficient support":
            the log cannot say.
        uniform_weight: Mean weight of the uniform target, 1 / (k p): 1 when the logged probabilities are
            right and every action could be taken everywhere, less where not; above 1 they are too
            low. NaN when only the target's probability of the logged action is known.
        miscalibrated: Actions whose logged probabilities contradict how often they were taken, the
            most harmful first. Long logs are sampled for it.
        reasons: One sentence for each finding, the gravest first; empty when ok.

    Source: Kong 1992, A note on importance sampling using standardized weights, for the effective
    sample size.

    .. versionadded:: 0.1
    """

    n: int
    effective_rows: float
    effective_share: float
    mean_weight: float
    mean_weight_z: float
    largest_weight: float
    largest_weight_share: float
    top_weight_share: float
    zero_weight_share: float
    unseen_mass: float
    min_probability: float
    altered_share: float
    carrying_rows: float
    alike: bool
    verdict: Verdict = "ok"
    uniform_weight: float = math.nan
    miscalibrated: tuple[Miscalibrated, ...] = ()
    reasons: tuple[str, ...] = ()


def diagnose(
    rows: Rows,
    contributions: Contributions,
    *,
    probability: Floats,
    bounded: bool = False,
) -> Diagnostics:
    """Measure the support of an estimate and judge it.

    Args:
        rows: The weighed rows.
        contributions: What an estimator made of them.
        probability: Shape (n,), float64: the logged probabilities.
        bounded: Whether the range of the reward is known, so that equal rewards can be bounded.

    .. versionadded:: 0.1
    """
    w, n = rows.weight, rows.weight.size
    total, squares = float(w.sum()), float(w @ w)
    effective = total * total / squares if squares > 0.0 else 0.0
    largest = float(w.max())
    top = max(1, math.ceil(TOP_SHARE * n))
    heaviest = _heaviest(w, top)
    mean = total / n
    error = (
        _spread(w, mean) if rows.groups is None else standard_error(w - mean, degrees=1, groups=rows.groups)
    )
    zeros = n - int(np.count_nonzero(w))
    reward = rows.reward[w > 0.0] if zeros else rows.reward
    used = 0.0 if contributions.weight is None else float(contributions.weight.sum())
    plain = contributions.weight is w or total == 0.0
    facts = Diagnostics(
        n=n,
        effective_rows=effective,
        effective_share=effective / n,
        mean_weight=mean,
        mean_weight_z=_distance(mean - 1.0, error),
        largest_weight=largest,
        largest_weight_share=largest / total if total else 0.0,
        top_weight_share=heaviest / total if total else 0.0,
        zero_weight_share=zeros / n,
        unseen_mass=rows.unseen_mass,
        min_probability=float(probability.min()),
        altered_share=0.0 if plain else 1.0 - used / total,
        carrying_rows=_carrying(contributions.influence, rows.groups),
        alike=_alike(reward, contributions.influence),
        uniform_weight=math.nan if rows.calibration is None else rows.calibration.uniform_weight,
        miscalibrated=() if rows.calibration is None else rows.calibration.findings(),
    )
    subjects = n if rows.groups is None else int(rows.groups.max()) + 1
    grave = _grave(facts, bounded=bounded, subjects=subjects)
    mild = _mild(facts, model_only=contributions.weight is None, alone=independent(rows))
    verdict: Verdict = UNSUPPORTED if grave else "weak" if mild else "ok"
    return attrs.evolve(facts, verdict=verdict, reasons=(*grave, *mild))


def _heaviest(w: Floats, top: int) -> float:
    """Return the sum of the `top` largest weights."""
    n = w.size
    if n > _SAMPLED:  # most are too light by a sample of them, and need not be sorted
        sample = w[:: n // _SAMPLED]
        many = min(sample.size, 2 * math.ceil(top / n * sample.size))
        heavy = w[w >= np.partition(sample, sample.size - many)[sample.size - many]]
        if heavy.size >= top:
            w, n = heavy, heavy.size
    return float(np.partition(w, n - top)[n - top :].sum())


def _distance(difference: float, error: float) -> float:
    if abs(difference) < 1e-12:
        return 0.0
    # Equal weights have a spread of rounding only.
    return difference / error if error > 1e-12 else math.copysign(math.inf, difference)


def _spread(values: Floats, mean: float) -> float:
    """Return the standard error of a mean of independent values, without a copy of them."""
    if values.size < 2:
        return math.inf
    squares = 0.0
    for start in range(0, values.size, _BLOCK):
        off = values[start : start + _BLOCK] - mean
        squares += float(off @ off)
    return math.sqrt(squares / (values.size * (values.size - 1)))


def _carrying(influence: Floats, groups: Ints | None) -> float:
    values = influence if groups is None else np.bincount(groups, weights=influence)
    second = fourth = 0.0
    for start in range(0, values.size, _BLOCK):
        block = values[start : start + _BLOCK]
        squares = block * block
        second += float(squares.sum())
        fourth += float(squares @ squares)
    return second * second / fourth if fourth > 0.0 else 0.0


def _alike(reward: Floats, influence: Floats) -> bool:
    if not reward.size:
        return True
    low, high = float(reward.min()), float(reward.max())
    if low == high:
        return True
    most = max(float(influence.max()), -float(influence.min()))
    return bool(most <= 1e-12 * max(abs(low), abs(high)))  # rounding of equal terms, not spread


def _grave(facts: Diagnostics, *, bounded: bool, subjects: int) -> list[str]:
    """Return what leaves the estimate without support; comparisons are such that NaN is grave."""
    reasons = []
    if not facts.effective_rows >= FEWEST_EFFECTIVE_ROWS:
        reasons.append(
            f"the {facts.n} rows weigh as much as {facts.effective_rows:.1f} equal ones, fewer than "
            f"{FEWEST_EFFECTIVE_ROWS:.0f}: the logging policy hardly ever did what the target would do"
        )
    if facts.unseen_mass > UNSEEN_MASS_UNSUPPORTED:
        reasons.append(
            f"{facts.unseen_mass:.1%} of the target's probability lies on actions that no row took: "
            "nothing is known of their reward"
        )
    off = facts.mean_weight - 1.0
    if abs(off) > MEAN_WEIGHT_OFF and abs(facts.mean_weight_z) > MEAN_WEIGHT_Z_UNSUPPORTED:
        cause = (
            "the target takes actions the logging policy could not, or logged probabilities are too high"
            if off < 0.0
            else "logged probabilities are too low, or are not those of the final action"
        )
        reasons.append(
            f"the mean weight is {facts.mean_weight:.3g} where 1 is expected "
            f"({facts.mean_weight_z:+.1f} standard errors): {cause}"
        )
    if _misplaced(facts) > MISPLACED_MASS_UNSUPPORTED:
        reasons.append(_contradicted(facts))
    if facts.n > 1 and subjects < 2:
        reasons.append(
            f"all {facts.n} rows are of one subject or group: how others differ from it cannot be measured"
        )
    if facts.alike and not bounded:
        reasons.append(
            "every row with weight says the same, so no spread can be measured: pass reward_range to bound it"
        )
    return reasons


def withheld(value: float, error: float, low: float, high: float, /, *, interval: str) -> str | None:
    """Return why bounds cannot be given although rows support them, or None where they can."""
    if not (math.isfinite(value) and math.isfinite(error)) or math.isnan(low) or math.isnan(high):
        return "rewards or weights are too large to add up their squares: measure in a larger unit"
    if low > high:
        return (
            f"the {interval} interval lies outside reward_range: the mean weight is off, by chance or "
            "because the weights cannot be right; a self-normalised estimator such as SNIPW() stays inside"
        )
    return None


def _misplaced(facts: Diagnostics, /) -> float:
    """How much of the target's probability surely wrong propensities move elsewhere, 0 or more."""
    return sum(one.mass for one in facts.miscalibrated if one.sure)


def _contradicted(facts: Diagnostics) -> str:
    named = "; ".join(str(one) for one in facts.miscalibrated[:MOST_NAMED])
    more = len(facts.miscalibrated) - MOST_NAMED
    rest = f"; and of {more} more action{'s' if more > 1 else ''}" if more > 0 else ""
    return f"logged probabilities do not fit how often actions were taken: {named}{rest}"


def _mild(facts: Diagnostics, *, model_only: bool, alone: bool) -> list[str]:
    """Return what makes the interval doubtful."""
    reasons = []
    if FEWEST_EFFECTIVE_ROWS <= facts.effective_rows < FEW_EFFECTIVE_ROWS:
        reasons.append(f"the {facts.n} rows weigh as much as {facts.effective_rows:.0f} equal ones")
    if facts.largest_weight_share > HEAVY_ROW:
        reasons.append(f"one row holds {facts.largest_weight_share:.0%} of all weight")
    if facts.top_weight_share > HEAVY_TOP:
        reasons.append(f"1 % of the rows hold {facts.top_weight_share:.0%} of all weight")
    if UNSEEN_MASS_WEAK < facts.unseen_mass <= UNSEEN_MASS_UNSUPPORTED:
        reasons.append(f"{facts.unseen_mass:.1%} of the target's probability lies on actions no row took")
    off, distance = abs(facts.mean_weight - 1.0), abs(facts.mean_weight_z)
    already_grave = off > MEAN_WEIGHT_OFF and distance > MEAN_WEIGHT_Z_UNSUPPORTED
    if distance > MEAN_WEIGHT_Z_WEAK and not already_grave:
        reasons.append(
            f"the mean weight is {facts.mean_weight:.3g} where 1 is expected "
            f"({facts.mean_weight_z:+.1f} standard errors)"
        )
    if facts.miscalibrated and _misplaced(facts) <= MISPLACED_MASS_UNSUPPORTED:
        reasons.append(_contradicted(facts))
    if facts.alike:
        reasons.append("every row with weight says the same: the interval is a bound, not a measurement")
    elif facts.carrying_rows < FEW_CARRYING_ROWS:
        reasons.append(
            f"about {facts.carrying_rows:.0f} {'rows' if alone else 'subjects'} carry the whole spread, too "
            "few for a normal interval: with reward_range, EmpiricalLikelihood() bounds what they leave open"
        )
    if model_only:
        reasons.append("the interval takes the reward predictions for exact: it leaves out the model's error")
    elif facts.altered_share > ALTERED_SHARE_WEAK:
        reasons.append(
            f"clipping or shrinking removed {facts.altered_share:.0%} of the weight: the interval "
            "leaves out the bias"
        )
    return reasons
