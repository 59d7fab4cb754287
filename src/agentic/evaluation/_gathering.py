"""What is kept of weighed rows for an interval that has to look at each of them?"""

from __future__ import annotations

import math
from typing import Any

import attrs
import numpy as np

from agentic._offpolicy import (
    Adaptive,
    Contributions,
    Estimate,
    Estimator,
    Interval,
    Rows,
    judge,
    standard_error,
)
from agentic.arrays import F64, I64, U64


@attrs.define(eq=False)
class Gathered:
    """Keeps what an estimator makes of rows, for an interval that has to look at each: 56 bytes a row.

    Attributes:
        estimator: How rows contribute.
    """

    estimator: Estimator
    _parts: list[tuple[Any, ...]] = attrs.field(factory=list, init=False)
    _mass: F64 | None = attrs.field(default=None, init=False)
    _taken: set[int] = attrs.field(factory=set, init=False)
    _likeliest: float = attrs.field(default=0.0, init=False)

    def add(
        self, rows: Rows, /, *, probability: F64, action: I64, keys: U64 | None, mass: F64 | None
    ) -> Gathered:
        """Keep rows; as of ``Tally``."""
        self._parts.append((rows.weight, rows.reward, rows.predicted, rows.modelled, probability, keys))
        if mass is not None:
            self._mass = mass if self._mass is None else self._mass + mass
        self._taken.update(np.unique(action).tolist())
        if rows.weight_cap is not None:
            self._likeliest = max(self._likeliest, rows.weight_cap * float(probability.min()))
        return self

    def _rows(self) -> tuple[Rows, F64]:
        columns = [
            None if column[0] is None else np.concatenate(column) for column in zip(*self._parts, strict=True)
        ]
        weight, reward, predicted, modelled, probability, keys = columns
        assert weight is not None and reward is not None and probability is not None  # noqa: S101, PT018
        hidden = math.nan
        if self._mass is not None:
            hidden = float(np.delete(self._mass, sorted(self._taken)).sum()) / len(weight)
        codes = None if keys is None else np.unique(keys, return_inverse=True)[1].astype(np.int64)
        cap = self._likeliest / float(probability.min())
        return Rows(
            weight, reward, predicted, modelled, hidden, codes, cap, probability=probability
        ), probability

    def estimate(
        self, *, level: float, reward_range: tuple[float, float] | None, interval: Interval
    ) -> Estimate:
        """Return the estimate from all rows."""
        rows, probability = self._rows()
        return judge(
            rows,
            probability=probability,
            estimator=self.estimator,
            level=level,
            reward_range=reward_range,
            interval=interval,
        )

    def gain(self) -> tuple[float, float]:
        """Return by how much the value exceeds what the rows earned, and the standard error of that."""
        rows, _ = self._rows()
        with np.errstate(over="ignore", invalid="ignore"):
            chosen = self.estimator.settle(rows) if isinstance(self.estimator, Adaptive) else self.estimator
            found: Contributions = chosen.contribute(rows)
            earned = float(rows.reward.mean())
            moved = found.influence - (rows.reward - earned)
            return found.value - earned, standard_error(moved, degrees=found.degrees, groups=rows.groups)
