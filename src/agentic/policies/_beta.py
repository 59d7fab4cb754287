"""Thompson sampling without features: one Beta posterior per action."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Final, Self

import attrs
import numpy as np
from numpy.typing import NDArray

from agentic.arrays import F64, Batch, Feedback, Proposal, Space
from agentic.errors import ConfigurationError, LearningError

_REACH: Final = 9.0
_STEPS: Final = 49


@attrs.frozen(kw_only=True, eq=False)
class BetaThompson:
    """Thompson sampling for rewards between ``low`` and ``high``, ignoring all features.

    A reward counts as (reward - low) / (high - low) of a success. The weight of a candidate is the
    exact probability that its draw is the largest, by quadrature.

    Attributes:
        prior: Prior successes and failures of every action, > 0.
        low: Reward of a failure.
        high: Reward of a success.
        ids: Action ids, in the order of ``wins`` and ``losses``.
        wins: Shape (k,): successes seen.
        losses: Shape (k,): failures seen.

    Source: Chapelle & Li 2011, An empirical evaluation of Thompson sampling, algorithm 2.
    """

    name: ClassVar[str] = "beta_thompson"
    prior: tuple[float, float] = (1.0, 1.0)
    low: float = 0.0
    high: float = 1.0
    ids: tuple[str, ...] = ()
    wins: F64 = attrs.field(factory=lambda: np.zeros(0))
    losses: F64 = attrs.field(factory=lambda: np.zeros(0))
    # Win probabilities by candidate mask: derived, bounded, safe to fill from many threads.
    _known: dict[bytes, F64] = attrs.field(factory=dict, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        if len(self.prior) != 2 or not all(0 < part < float("inf") for part in self.prior):
            raise ConfigurationError(
                f"prior must be two positive numbers (successes, failures), got {self.prior!r}",
                value=self.prior,
            )
        if not -float("inf") < self.low < self.high < float("inf"):
            raise ConfigurationError(
                f"low must be below high, got {self.low!r} and {self.high!r}", value=(self.low, self.high)
            )

    def bind(self, space: Space, /) -> Self:
        """Size the counts for the catalogue; actions are matched by id."""
        ids = space.catalogue.ids
        if ids == self.ids:
            return self
        old = {action_id: i for i, action_id in enumerate(self.ids)}
        wins = np.array([self.wins[old[a]] if a in old else 0.0 for a in ids])
        losses = np.array([self.losses[old[a]] if a in old else 0.0 for a in ids])
        return attrs.evolve(self, ids=ids, wins=wins, losses=losses)

    def learn(self, feedback: Feedback, /) -> Self:
        """Return the policy that has also counted this feedback.

        Raises:
            LearningError: A reward lies outside ``low`` to ``high``.
        """
        share = (feedback.reward - self.low) / (self.high - self.low)
        if len(share) and not (np.isfinite(share).all() and share.min() >= 0 and share.max() <= 1):
            worst = feedback.reward[np.argmax(np.abs(np.nan_to_num(share, nan=np.inf) - 0.5))]
            raise LearningError(
                f"BetaThompson counts rewards from {self.low} to {self.high}, got {float(worst)!r}: set low"
                " and high to the range of your goals",
                value=float(worst),
            )
        wins, losses = self.wins.copy(), self.losses.copy()
        wins += np.bincount(feedback.action, weights=share, minlength=len(wins))
        losses += np.bincount(feedback.action, weights=1.0 - share, minlength=len(losses))
        return attrs.evolve(self, wins=wins, losses=losses)

    def propose(self, batch: Batch, /) -> Proposal:
        """Weigh candidates by the probability that each has the highest rate."""
        if len(self.ids) != batch.allowed.shape[1]:
            raise ConfigurationError("BetaThompson is not bound to this catalogue: call bind(space)")
        packed = np.packbits(batch.allowed, axis=1)
        width = packed.shape[1]
        masks, back = np.unique(packed.view(f"V{width}")[:, 0], return_inverse=True)
        table = (
            np.stack([self._won(mask.tobytes()) for mask in masks])
            if len(masks)
            else np.zeros((0, len(self.ids)))
        )
        a, b = self.prior[0] + self.wins, self.prior[1] + self.losses
        rate = a / (a + b)
        sd = np.sqrt(rate * (1 - rate) / (a + b + 1))
        scale = self.high - self.low
        shape = batch.allowed.shape
        return Proposal(
            table[back.reshape(-1)],
            np.broadcast_to(self.low + scale * rate, shape),
            np.broadcast_to(scale * sd, shape),
        )

    def _won(self, packed: bytes) -> F64:
        found = self._known.get(packed)
        if found is None:
            bits = np.unpackbits(np.frombuffer(packed, dtype=np.uint8), count=len(self.ids)).astype(np.bool_)
            found = np.zeros(len(self.ids))
            if bits.any():
                found[bits] = beta_wins(self.prior[0] + self.wins[bits], self.prior[1] + self.losses[bits])
            if len(self._known) >= 1024:
                self._known.clear()
            self._known[packed] = found
        return found


def beta_wins(a: F64, b: F64, /) -> F64:
    """Probability that each of several independent Beta variables is the largest.

    Trapezoid rule over the union of every variable's own nodes, so narrow ones are resolved among
    wide ones; distribution functions are running sums of the densities.

    Args:
        a: Shape (k,), > 0.
        b: Shape (k,), > 0.

    Returns:
        Shape (k,), sums to 1.
    """
    mean = a / (a + b)
    sd = np.sqrt(mean * (1 - mean) / (a + b + 1))
    floor = float(np.max(np.maximum(mean - _REACH * sd, 0.0)))
    alive = np.flatnonzero(np.minimum(mean + _REACH * sd, 1.0) >= floor)
    if len(alive) == 1:
        out = np.zeros(len(a))
        out[alive] = 1.0
        return out
    steps = np.sinh(np.linspace(-np.arcsinh(_REACH), np.arcsinh(_REACH), _STEPS))
    # A thousand wide variables need no thousand sets of nodes: quantiles of their union will do.
    nodes = (mean[alive, None] + sd[alive, None] * steps).ravel()
    ends = 1.0 / (1.0 + np.exp(-np.linspace(-30.0, 30.0, 241)))
    nodes = np.unique(np.clip(np.concatenate([nodes, ends]), 1e-13, 1 - 1e-13))
    if len(nodes) > 4096:
        nodes = nodes[np.linspace(0, len(nodes) - 1, 4096).astype(np.int64)]
    step = np.diff(nodes)
    log_x, log_y = np.log(nodes), np.log1p(-nodes)
    below: list[F64] = []
    mass: list[F64] = []
    for i in alive.tolist():
        density = np.exp((a[i] - 1) * log_x + (b[i] - 1) * log_y + _log_norm(float(a[i]), float(b[i])))
        cells = 0.5 * (density[1:] + density[:-1]) * step
        cells /= max(float(cells.sum()), 1e-300)
        cdf = np.concatenate([[0.0], np.cumsum(cells)])
        middle = np.maximum(0.5 * (cdf[1:] + cdf[:-1]), 1e-300)
        below.append(middle)
        mass.append(cells)
    log_all: NDArray[Any] = np.sum([np.log(middle) for middle in below], axis=0)
    won = np.array(
        [
            float(np.sum(cells * np.exp(log_all - np.log(middle))))
            for cells, middle in zip(mass, below, strict=True)
        ]
    )
    out = np.zeros(len(a))
    out[alive] = won / won.sum()
    return out


def _log_norm(a: float, b: float) -> float:
    return math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
