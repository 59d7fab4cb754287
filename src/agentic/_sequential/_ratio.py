"""Do rows fall to the arms in the shares that were planned?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, Self

import attrs
import numpy as np

from agentic._sequential._checks import Floats, as_numbers, check_open_unit, e_of, log_sum, reject

# How far an arm's odds may be from plan, as logarithms: from half a per cent to a factor of four.
_SIZES: Final = np.geomspace(0.005, 1.5, 16)
_TILTS: Final = np.concatenate([-_SIZES, _SIZES])
_FAR: Final = 1e-6


def multinomial_e_value(
    counts: Sequence[float], shares: Sequence[float], /, *, concentration: float = 10_000.0
) -> float:
    """Return the e-value of counts against fixed planned shares.

    Args:
        counts: Rows of each arm since the start, whole numbers.
        shares: Planned share of each arm, above 0, summing to 1.
        concentration: How close to plan the alternatives lie: as close as this many rows would tell; above 0.

    Raises:
        EvaluationError: Other than that.

    Source: Lindon and Malek 2022, Anytime-valid inference for multinomial count data, equation 6: the
    Dirichlet mixture centred at the planned shares.

    .. versionadded:: 0.1
    """
    n, plan = _checked(counts, shares)
    if not 0.0 < concentration < math.inf:
        reject("concentration", concentration, "a finite number above 0", "10,000 rows suit most experiments")
    prior = concentration * plan
    log_e = math.lgamma(concentration) - math.lgamma(concentration + float(n.sum()))
    for count, weight, share in zip(n.tolist(), prior.tolist(), plan.tolist(), strict=True):
        log_e += math.lgamma(weight + count) - math.lgamma(weight) - count * math.log(share)
    return e_of(log_e)


@attrs.frozen(kw_only=True)
class SampleRatioTest:
    """Tests the shares in which rows fall to the arms, at any look, while the plan may change.

    A sample that is not split as planned means that rows were lost, counted twice or assigned by
    something else than the plan, and then no comparison of the arms can be trusted: pause. Each batch is
    held against the shares planned for it, so a ramp from 1 % to 50 % is one test. Exact for rows assigned
    independently; subjects, not their messages.

    The test is a value: ``attrs.asdict(test)`` is JSON and ``SampleRatioTest(**that)`` the same test.

    Attributes:
        alpha: The largest chance of ever claiming a mismatch where there is none; in (0, 1). Small,
            since a mismatch stops everything.

    Source: Lindon and Malek 2022, Anytime-valid inference for multinomial count data. Instead of a
    Dirichlet distribution (`multinomial_e_value`) we mix over one arm's odds being off by a factor, which
    stays one test while planned shares change.

    .. versionadded:: 0.1
    """

    alpha: float = attrs.field(default=0.001, validator=check_open_unit)
    counts: tuple[float, ...] = attrs.field(default=(), converter=as_numbers)
    planned: tuple[float, ...] = attrs.field(default=(), converter=as_numbers)
    evidence: tuple[float, ...] = attrs.field(default=(), converter=as_numbers, repr=False)
    log_peak: float = 0.0

    def observe(self, *, counts: Sequence[float], shares: Sequence[float]) -> Self:
        """Return the test after one batch.

        Args:
            counts: Rows of each arm in this batch, whole numbers.
            shares: Each arm's share planned for this batch, above 0, summing to 1.

        Raises:
            EvaluationError: Other than that, or another number of arms than before.
        """
        n, plan = _checked(counts, shares)
        if self.counts and len(self.counts) != n.size:
            reject("counts", n.size, f"{len(self.counts)} arms as before", "start a new test for other arms")
        won = n[:, None] * _TILTS - n.sum() * np.log1p(plan[:, None] * np.expm1(_TILTS))
        grown = attrs.evolve(
            self,
            counts=_added(self.counts, n),
            planned=_added(self.planned, n.sum() * plan),
            evidence=_added(self.evidence, won.ravel()),
        )
        return attrs.evolve(grown, log_peak=max(self.log_peak, grown.log_e))

    def merged(self, other: Self, /) -> Self:
        """Return the test that saw both shards' batches; its peak is that of one look at both.

        Raises:
            EvaluationError: The other has another alpha or another number of arms.
        """
        if self.alpha != other.alpha or (
            self.counts and other.counts and len(self.counts) != len(other.counts)
        ):
            found = (other.alpha, len(other.counts))
            reject("other", found, f"alpha and arms {(self.alpha, len(self.counts))}", "merge like with like")
        if not other.counts:
            return self
        both = attrs.evolve(
            self,
            counts=_added(self.counts, np.asarray(other.counts)),
            planned=_added(self.planned, np.asarray(other.planned)),
            evidence=_added(self.evidence, np.asarray(other.evidence)),
        )
        return attrs.evolve(both, log_peak=max(0.0, both.log_e))

    @property
    def log_e(self) -> float:
        """The logarithm of `e_value`."""
        if not self.evidence:
            return 0.0
        return log_sum(np.asarray(self.evidence)) - math.log(len(self.evidence))

    @property
    def e_value(self) -> float:
        """How much the counts speak against the planned shares: at most 1 on average where they hold."""
        return e_of(self.log_e)

    @property
    def peak(self) -> float:
        """The largest `e_value` at any look so far, 1 at least."""
        return e_of(self.log_peak)

    @property
    def skewed(self) -> bool:
        """Whether a mismatch is shown: wrong with a chance of at most `alpha`, however often one looked."""
        return self.log_peak >= -math.log(self.alpha)

    @property
    def facts(self) -> dict[str, object]:
        """What a monitor logs of this look: values that JSON can hold."""
        return {
            "test": "sample ratio",
            "alpha": self.alpha,
            "counts": list(self.counts),
            "planned": list(self.planned),
            "e_value": self.e_value,
            "peak": self.peak,
            "skewed": self.skewed,
        }


def _added(kept: tuple[float, ...], more: Floats) -> Floats:
    """Return the sums, taking nothing kept as zeros."""
    return np.add(kept, more) if kept else more


def _checked(counts: Sequence[float], shares: Sequence[float]) -> tuple[Floats, Floats]:
    try:
        n, plan = np.asarray(counts, dtype=np.float64), np.asarray(shares, dtype=np.float64)
    except (TypeError, ValueError):  # text, or lists within lists
        n = plan = np.empty(0)
    if n.ndim != 1 or n.size < 2 or not (np.isfinite(n) & (n >= 0) & (n == np.floor(n))).all():
        reject("counts", list(counts), "a whole number of rows for each of two or more arms", "count rows")
    if plan.shape != n.shape or not (plan > 0.0).all() or abs(float(plan.sum()) - 1.0) > _FAR:
        remedy = "give every arm its planned share; leave out arms that got none"
        reject("shares", list(shares), f"{n.size} shares above 0 that sum to 1", remedy)
    return n, plan
