"""By how much do two ratios of sums differ, when subjects are what was assigned: revenue per decision."""

from __future__ import annotations

import math

import attrs
import numpy as np
import numpy.typing as npt

from agentic import arrays
from agentic._offpolicy import reject
from agentic.arrays import F64
from agentic.experiments._difference import Difference, bounded, check_level
from agentic.experiments._means import LARGEST, arm, sample


@attrs.frozen(eq=False, init=False)
class Ratio:
    """Holds one group's sums by subject: what is counted, and what it is counted per.

    The decisions of one subject depend on each other, so the subject is the row. Taking every decision for
    an observation of its own makes errors too small.

    Attributes:
        numerator: Shape (n,), float64: clicks, revenue or cost of each subject.
        denominator: Shape (n,), float64, from 0: decisions or messages of each subject.
    """

    __repr__ = arrays.shown

    numerator: F64
    denominator: F64

    def __init__(self, numerator: npt.ArrayLike, denominator: npt.ArrayLike) -> None:
        """Check both.

        Raises:
            EvaluationError: A value is not finite, lengths differ, or the denominators sum to 0.
        """
        above, below = sample("numerator", numerator), sample("denominator", denominator)
        if len(above) != len(below):
            expected = f"{len(above)} values, as many as numerator"
            reject("denominator", None, len(below), expected, "give both one entry per subject")
        if (below < 0.0).any():
            row = int(np.argmax(below < 0.0))
            reject("denominator", row, "negative", "0 or more", "count decisions or amounts, not changes")
        if not below.any():
            reject("denominator", None, 0.0, "a sum above 0", "wait until something was counted")
        if not np.abs(above).sum() / LARGEST <= below.sum():
            reject("denominator", None, "small", f"a ratio up to {LARGEST:g}", "measure it in a smaller unit")
        self.__attrs_init__(above, below)

    @property
    def value(self) -> float:
        """Sum over sum."""
        return float(self.numerator.sum() / self.denominator.sum())

    def linearised(self) -> F64:
        """What each subject contributes: values whose mean is the ratio, and whose spread is its error.

        They may be compared and adjusted as if they were a metric of their own: `cuped` of them adjusts a
        ratio.

        Source: Budylin, Drutsa, Katsev and Tsoy 2018, Consistent transformation of ratio metrics for
        efficient online controlled experiments, with the ratio of the group itself.
        """
        ratio = self.value
        out: F64 = ratio + (self.numerator - ratio * self.denominator) / self.denominator.mean()
        return out


def ratio_difference(treatment: Ratio, control: Ratio, /, *, level: float = 0.95) -> Difference:
    """Compare two ratios of sums by the delta method, clustered by subject.

    Args:
        treatment: Sums by subject of the group that is compared.
        control: The same of the group it is compared with.
        level: Share of samples in which the bounds are to hold, in (0, 1).

    Raises:
        EvaluationError: The level is out of range.

    Source: Deng, Knoblich and Lu 2018, Applying the delta method in metric analytics, equation 3, with
    variances of n - 1 and normal bounds.
    """
    check_level(level)
    groups = [attrs.evolve(arm(one.linearised()), value=one.value) for one in (treatment, control)]
    return bounded(*groups, level=level, degrees=math.inf, method="delta method")
