"""Thompson sampling without features: one Beta posterior per action."""

from __future__ import annotations

from typing import Any, ClassVar, Final, Self

import attrs
import numpy as np

from agentic.arrays import F64, Batch, Feedback, Proposal, Space
from agentic.errors import ConfigurationError, LearningError
from agentic.policies._checks import is_number

_MASKS: Final = 1024
_REACH: Final = 9.0
_TAIL: Final = 36.0
_STEPS: Final = 128
_FEWEST, _MOST, _WORK = 256, 4096, 1_000_000


@attrs.frozen(kw_only=True, eq=False)
class BetaThompson:
    """Thompson sampling for rewards between ``low`` and ``high``, ignoring all features.

    A reward counts as (reward - low) / (high - low) of a success. The weight of a candidate is the
    probability that its draw is the largest, by quadrature: see ``beta_wins``.

    Attributes:
        prior: Prior successes and failures of every action, > 0.
        low: Reward of a failure.
        high: Reward of a success.
        ids: Action ids, in the order of ``wins`` and ``losses``.
        wins: Shape (k,), float64: successes seen.
        losses: Shape (k,), float64: failures seen.

    Source: Chapelle & Li 2011, An empirical evaluation of Thompson sampling, algorithm 2. Ours returns the
    win probabilities where theirs draws one sample, and counts a fractional reward as a part of a success.
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
        prior: Any = self.prior  # what a caller wrote, whatever the annotation says
        if (
            not isinstance(prior, tuple | list)
            or len(prior) != 2
            or not all(is_number(part) and 0 < part < float("inf") for part in prior)
        ):
            raise ConfigurationError(
                f"prior must be two positive numbers (successes, failures), got {prior!r}", value=prior
            )
        bounds = (self.low, self.high)
        if not all(map(is_number, bounds)) or not -float("inf") < self.low < self.high < float("inf"):
            raise ConfigurationError(
                f"low must be a number below high, got {self.low!r} and {self.high!r}", value=bounds
            )
        if not len(self.ids) == len(self.wins) == len(self.losses):
            raise ConfigurationError(
                f"wins and losses need one entry for each of {len(self.ids)} actions, got {len(self.wins)}"
                f" and {len(self.losses)}",
                value=(len(self.wins), len(self.losses)),
            )

    def bind(self, space: Space, /) -> Self:
        """Size the counts for the catalogue; actions are matched by id, new ones start from the prior."""
        ids = space.catalogue.ids
        if ids == self.ids:
            return self
        old = {action_id: column for column, action_id in enumerate(self.ids)}
        wins = np.array([self.wins[old[a]] if a in old else 0.0 for a in ids])
        losses = np.array([self.losses[old[a]] if a in old else 0.0 for a in ids])
        return attrs.evolve(self, ids=ids, wins=wins, losses=losses)

    def learn(self, feedback: Feedback, /) -> Self:
        """Return the policy that has also counted this feedback.

        Raises:
            LearningError: A reward lies outside ``low`` to ``high``, or the feedback is about other actions.
        """
        if feedback.catalogue.ids != self.ids:
            raise LearningError(
                f"the policy counts {len(self.ids)} actions, the feedback has {len(feedback.catalogue)} or"
                " others: bind the policy to the catalogue of the feedback",
                value=feedback.catalogue.ids,
                expected=self.ids,
            )
        reward, action = feedback.reward, feedback.action
        good = (reward >= self.low) & (reward <= self.high)
        if not good.all():
            worst = float(reward[good.argmin()])
            raise LearningError(
                f"BetaThompson counts rewards from {self.low} to {self.high}, got {worst!r}: set low and high"
                " to the range of your goals",
                value=worst,
            )
        k = len(self.ids)
        if len(action) and not 0 <= int(action.min()) <= int(action.max()) < k:
            raise LearningError(
                f"an action is a column from 0 to {k - 1}, got {int(action.min())} to {int(action.max())}",
                value=(int(action.min()), int(action.max())),
            )
        share = (reward - self.low) / (self.high - self.low)
        return attrs.evolve(
            self,
            wins=self.wins + np.bincount(action, weights=share, minlength=k),
            losses=self.losses + np.bincount(action, weights=1.0 - share, minlength=k),
        )

    def propose(self, batch: Batch, /) -> Proposal:
        """Weigh candidates by the probability that each has the highest rate.

        Raises:
            ConfigurationError: The policy is not bound to the catalogue of the batch.
        """
        n, k = shape = batch.allowed.shape
        if len(self.ids) != k:
            raise ConfigurationError(
                f"BetaThompson is bound to {len(self.ids)} actions, the batch has {k}: call bind(space)",
                value=k,
                expected=len(self.ids),
            )
        weights = np.zeros(shape)
        if n:
            packed = np.packbits(batch.allowed, axis=1)
            masks, back = np.unique(packed.view(f"V{packed.shape[1]}"), return_inverse=True)
            weights = np.stack([self._won(mask.tobytes()) for mask in masks])[back.reshape(-1)]
        a, b = self.prior[0] + self.wins, self.prior[1] + self.losses
        rate = a / (a + b)
        scale = self.high - self.low
        return Proposal(
            weights,
            np.broadcast_to(self.low + scale * rate, shape),
            np.broadcast_to(scale * np.sqrt(rate * (1 - rate) / (a + b + 1)), shape),
        )

    def _won(self, packed: bytes) -> F64:
        """Win probabilities of the candidates in a mask, shape (k,); 0 for the others."""
        found = self._known.get(packed)
        if found is None:
            k = len(self.ids)
            bits = np.unpackbits(np.frombuffer(packed, dtype=np.uint8), count=k).astype(np.bool_)
            found = np.zeros(k)
            if bits.any():
                found[bits] = beta_wins(self.prior[0] + self.wins[bits], self.prior[1] + self.losses[bits])
            if len(self._known) >= _MASKS:
                self._known.clear()
            self._known[packed] = found
        return found


def beta_wins(a: F64, b: F64, /) -> F64:
    """Probability that each of several independent Beta variables is the largest.

    Trapezoid rule in log odds, where no density has a pole, over the union of every variable's own nodes, so
    narrow ones are resolved among wide ones; distribution functions are running sums of the densities.

    Args:
        a: Shape (k,), > 0.
        b: Shape (k,), > 0.

    Returns:
        Shape (k,), sums to 1; measured against adaptive quadrature, off by at most 2e-4.
    """
    centre = np.log(a / b)
    # A density falls off like a normal near its centre, and like exp(-a t) and exp(-b t) far from it.
    near = _REACH * np.sqrt(1.0 / a + 1.0 / b)
    left, right = near + _TAIL / a, near + _TAIL / b
    alive = (centre + right > (centre - left).max()).nonzero()[0]
    out = np.zeros(len(a))
    if len(alive) == 1:
        out[alive] = 1.0
        return out
    a, b, centre, left, right = (part[alive, None] for part in (a, b, centre, left, right))
    steps = np.sinh(np.linspace(0.0, np.arcsinh(_REACH), _STEPS)) / _REACH
    nodes = np.unique(np.concatenate([centre - left * steps, centre + right * steps]))
    # A thousand wide variables need no thousand sets of nodes: quantiles of their union will do.
    most = min(max(_WORK // len(alive), _FEWEST), _MOST)
    if len(nodes) > most:
        nodes = nodes[np.linspace(0, len(nodes) - 1, most).astype(np.int64)]
    log_x, log_y = -np.logaddexp(0.0, -nodes), -np.logaddexp(0.0, nodes)
    density = a * log_x + b * log_y
    density -= density.max(axis=1, keepdims=True)
    np.exp(density, out=density)
    mass = (density[:, 1:] + density[:, :-1]) * np.diff(nodes)
    below = np.add.accumulate(mass, axis=1)
    whole = below[:, -1:].copy()
    # The mean of the distribution function over each cell; at least what keeps its logarithm finite.
    below -= 0.5 * mass
    below /= whole
    np.maximum(below, 1e-300, out=below)
    np.log(below, out=below)
    np.exp(np.add.reduce(below, axis=0) - below, out=below)
    below *= mass
    won = np.add.reduce(below, axis=1) / whole[:, 0]
    out[alive] = won / won.sum()
    return out
