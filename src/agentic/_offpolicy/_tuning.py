"""Which clip, threshold or shrinkage to take: one estimator chosen from several by the log itself."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import ClassVar, Literal, Protocol, runtime_checkable

import attrs
import numpy as np

from agentic._offpolicy._columns import Floats, reject
from agentic._offpolicy._estimator import Estimator, ModelFree
from agentic._offpolicy._intervals import Contributions, standard_error
from agentic._offpolicy._logged import Rows
from agentic._statistics import student_t
from agentic.errors import EvaluationError

GRID = (1.0, 5.0, 10.0, 50.0, 100.0, 500.0, 1000.0, math.inf)
"""Clips, thresholds and shrinkages that are worth a try; infinity changes no weight."""

STRENGTHS = (0.001, 0.01, 0.05, 0.1, 0.5)
"""Strengths of the sub-Gaussian estimators that are worth a try."""


@runtime_checkable
class Adaptive(Protocol):
    """Capability: an estimator that settles by the rows which estimator it is."""

    def settle(self, rows: Rows, /) -> Estimator:
        """Return the estimator for these rows."""


class Criterion(Protocol):
    """Chooses among estimators by what they make of the same rows."""

    @property
    def name(self) -> str:
        """How reports call it."""

    def choose(self, rows: Rows, found: list[Contributions], /) -> int:
        """Return the position of the best of them."""


def _check_delta(delta: float) -> None:
    if not 0.0 < delta < 1.0:
        reject("delta", None, delta, "more than 0 and less than 1", "give 0.1 for bounds that hold in 90 %")


@attrs.frozen
class Slope:
    """Takes the least spread that does not contradict the wider, less biased estimates.

    From the widest bound to the narrowest, a candidate is taken as long as its value lies within the
    bounds of every wider one, by the margin width + (sqrt(6) - 1) wider width. The last before the first
    contradiction is the choice. Nothing need be known of the bias but that it comes with narrowness.
    Of equally wide candidates the one listed first comes last.

    Attributes:
        delta: Chance, in (0, 1), that a one-sided bound of a candidate misses.

    Source: Su, Srinath, Krishnamurthy 2020, Adaptive Estimator Selection for Off-Policy Evaluation
    (SLOPE); in the order of widths as in Tucker and Lee 2021, Improved Estimator Selection for
    Off-Policy Evaluation (SLOPE++). Widths are Student's, as in Open Bandit Pipeline.

    .. versionadded:: 0.1
    """

    delta: float = 0.1
    name = "SLOPE"

    def __attrs_post_init__(self) -> None:
        """Refuse a delta that is no chance."""
        _check_delta(self.delta)

    def choose(self, rows: Rows, found: list[Contributions], /) -> int:
        """Return the position of the last candidate that contradicts no wider one."""
        n = rows.weight.size if rows.groups is None else int(rows.groups.max()) + 1
        reach = student_t(1.0 - 2.0 * self.delta, max(1, n - 1)) if self.delta < 0.5 else 0.0
        values = np.array([one.value for one in found])
        widths = reach * _errors(rows, found)
        order = np.argsort(widths, kind="stable")[::-1]
        for place, candidate in enumerate(order[1:].tolist(), start=1):
            wider = order[:place]
            margin = widths[candidate] + (math.sqrt(6.0) - 1.0) * widths[wider]
            if not (np.abs(values[wider] - values[candidate]) <= margin).all():
                return int(order[place - 1])
        return int(order[-1])


@attrs.frozen
class LeastError:
    """Takes the least estimated mean squared error: the variance and the squared bias.

    The bias is that of the altered weights as the rows show it, made safe by what chance may hide of it.

    Attributes:
        delta: Chance, in (0, 1), that the bias is larger than taken.
        reach: Largest distance of a reward from its prediction (from 0, where there is none): 1 for clicks.

    Source: Su, Dimakopoulou, Krishnamurthy, Dudik 2020, Doubly robust off-policy evaluation with
    shrinkage, section 5 and the direct bias estimate of its appendix, with Bernstein's bound as in Open
    Bandit Pipeline.

    .. versionadded:: 0.1
    """

    delta: float = 0.1
    reach: float = attrs.field(default=1.0, kw_only=True)
    name = "estimated error"

    def __attrs_post_init__(self) -> None:
        """Refuse a delta that is no chance, and a reach that is no distance."""
        _check_delta(self.delta)
        if not 0.0 < self.reach < math.inf:
            reject("reach", None, self.reach, "a finite number above 0", "1 suits clicks")

    def choose(self, rows: Rows, found: list[Contributions], /) -> int:
        """Return the position of the first candidate of least error."""
        w, n = rows.weight, rows.weight.size
        unlikely = math.log(2.0 / self.delta)
        hidden = math.sqrt(2.0 * float(w @ w) * unlikely) / n + 2.0 * float(w.max()) * unlikely / (3.0 * n)
        bias = np.array([_bias(rows, one) for one in found]) + self.reach * hidden
        error = _errors(rows, found) ** 2 + bias**2
        return int(np.argmin(error))


def _bias(rows: Rows, found: Contributions) -> float:
    """What altering the weights did to the value, by the rows."""
    residual = rows.reward
    if found.modelled and rows.predicted is not None:
        residual = residual - rows.predicted
    whole = float(rows.weight @ residual)
    used = 0.0 if found.weight is None else float(found.weight @ residual)
    return abs(whole - used) / rows.weight.size


def _errors(rows: Rows, found: list[Contributions]) -> Floats:
    return np.array([standard_error(one.influence, degrees=one.degrees, groups=rows.groups) for one in found])


@attrs.frozen
class Tuned:
    """Lets the log choose among estimators, such as one estimator with several clips.

    The interval is the chosen one's, as if it had been named beforehand: choosing by the same rows
    makes it a little too sure. ``Estimate.estimator`` says which it was.

    Attributes:
        candidates: At least one, none of them tuned itself.
        by: How to choose: `Slope` needs nothing to be known; `LeastError` the reach of the rewards.

    .. versionadded:: 0.1
    """

    candidates: tuple[Estimator, ...]
    by: Criterion = attrs.field(factory=Slope)

    def __attrs_post_init__(self) -> None:
        """Refuse to choose among nothing."""
        if not self.candidates:
            remedy = "give estimators, such as map(SwitchDR, GRID)"
            reject("candidates", None, (), "one estimator or more", remedy)

    @property
    def name(self) -> str:
        """How reports call it."""
        return f"{self.by.name} over {len(self.candidates)} estimators"

    def settle(self, rows: Rows, /) -> Estimator:
        """Return the candidate that the rows speak for.

        Raises:
            EvaluationError: A candidate has no value on such rows.
        """
        found = [candidate.contribute(rows) for candidate in self.candidates]
        for candidate, one in zip(self.candidates, found, strict=True):
            if math.isnan(one.value):
                message = (
                    f"{candidate.name} has no value on these rows, expected a number from every candidate; "
                    "leave it out, or see whether any row has weight"
                )
                raise EvaluationError(message, field="candidates", value=candidate.name, expected="a number")
        return self.candidates[self.by.choose(rows, found)]

    def contribute(self, rows: Rows, /) -> Contributions:
        """Return what the chosen candidate makes of the rows."""
        return self.settle(rows).contribute(rows)


@attrs.frozen
class TunedModelFree(Tuned):
    """Is `Tuned` where no candidate needs reward predictions."""

    model_free: ClassVar[Literal[True]] = True


def tuned(candidates: Iterable[Estimator], /, *, by: Criterion | None = None) -> Tuned:
    """Return an estimator that chooses among others by the log.

    Args:
        candidates: Such as ``map(SwitchDR, GRID)`` or ``[IPW(clip=clip) for clip in GRID]``.
        by: How to choose; by default `Slope`.

    Raises:
        EvaluationError: There are none.

    .. versionadded:: 0.1
    """
    each = tuple(candidates)
    plain = all(isinstance(one, ModelFree) for one in each)
    return (TunedModelFree if plain else Tuned)(each, Slope() if by is None else by)
