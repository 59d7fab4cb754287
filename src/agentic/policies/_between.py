"""How much do subjects differ, and how much does a reward vary about its mean: estimated from sums that add.

For each kind of effect (a subject's level, being contacted, the levels of each dimension) the variance
between subjects is the sum of squared posterior means, less what they would be by chance alone, over what
they would be were the variance one. Each subject counts once, with what is known of it now: what it said
before is taken back.

Source: Searle, Casella & McCulloch 1992, Variance components, sections 6.2 and 8.3: the score equations of
maximum likelihood for normal random effects and their iteration, here one step for each batch of rewards.
Ours ignores how the estimates of two kinds depend on each other, and weighs by the last estimate.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import attrs
import numpy as np

from agentic.arrays import F64
from agentic.errors import ConfigurationError, LearningError
from agentic.policies._effects import IDLE, SENT, Effects

_LEAST: Final = 0.01  # effects are weighed as if they varied at least so much, in noise variances
_MOST: Final = 1e2
_SUBJECTS_AT_ONCE: Final = 2048


@attrs.frozen(eq=False)
class Between:
    """Variances between subjects, and of the noise.

    Attributes:
        kinds: Names of the g + 2 kinds of effects: ``level``, ``contact``, then the dimensions.
        guess: What each variance is taken to be, in units of the noise variance, until data say more; it
            counts like one subject whose effect is known exactly.
        square: Shape (g + 2,), float64: sums of squared posterior means.
        chance: Shape (g + 2,): what these would be by chance, in units of the noise variance.
        weight: Shape (g + 2,): how much each unit of variance would add to ``square``.
        residual: Shape (3,): sum of squared residuals, what the effects explain of it, and how many.
        as_of: Microseconds since 1970 that the sums are discounted to.
        noise: Estimated standard deviation of a reward about its subject's mean. Derived, like what follows.
        variance: Shape (g + 2,): estimated variance of each kind of effect, in squared units of the reward,
            not negative.
        ratio: Shape (g + 2,): the same in units of the noise variance, at most 100.
    """

    kinds: tuple[str, ...]
    guess: float
    square: F64
    chance: F64
    weight: F64
    residual: F64
    as_of: int = 0
    noise: float = attrs.field(init=False)
    variance: F64 = attrs.field(init=False)
    ratio: F64 = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        shapes = {array.shape for array in (self.square, self.chance, self.weight)}
        if shapes != {(len(self.kinds),)} or self.residual.shape != (3,):
            raise ConfigurationError(
                f"variances of {len(self.kinds)} kinds need square, chance and weight of shape"
                f" ({len(self.kinds)},) and residual (3,), got {sorted(shapes)!r} and {self.residual.shape}",
                value=self.residual.shape,
            )
        total, explained, count = self.residual.tolist()
        noise = max((total - explained + 0.25) / (count + 1.0), 1e-12 * (1.0 + total))
        found = (self.square - noise * self.chance + noise * self.guess) / np.maximum(self.weight + 1.0, 1.0)
        variance = np.clip(found, 0.0, _MOST * noise)
        ratio = variance / noise
        variance.flags.writeable = ratio.flags.writeable = False
        for name, value in (("noise", noise**0.5), ("variance", variance), ("ratio", ratio)):
            object.__setattr__(self, name, value)

    @classmethod
    def zero(cls, dimensions: Sequence[str], guess: float, /) -> Between:
        """Before any reward."""
        kinds = ("level", "contact", *dimensions)
        nothing = np.zeros(len(kinds))
        return cls(kinds, guess, nothing, nothing, nothing, np.zeros(3))

    def over(self, dimensions: Sequence[str], guess: float, /) -> Between:
        """The same for other dimensions: those that stay keep what was learned."""
        kinds = ("level", "contact", *dimensions)
        if kinds == self.kinds and guess == self.guess:
            return self
        place = {kind: number for number, kind in enumerate(self.kinds)}

        def moved(sums: F64) -> F64:
            return np.array([sums[place[kind]] if kind in place else 0.0 for kind in kinds])

        sums = (moved(self.square), moved(self.chance), moved(self.weight))
        return Between(kinds, guess, *sums, self.residual, self.as_of)

    @property
    def working(self) -> F64:
        """The ratios that effects are weighed by while they are estimated: never nothing. Shape (g + 2,)."""
        return np.maximum(self.ratio, _LEAST)

    def faded(self, keep: float, as_of: int, /) -> Between:
        """The estimate of which this share is left, discounted to another time."""
        if keep == 1.0:
            return attrs.evolve(self, as_of=as_of)
        return attrs.evolve(
            self,
            square=self.square * keep,
            chance=self.chance * keep,
            weight=self.weight * keep,
            residual=self.residual * keep,
            as_of=as_of,
        )

    def observe(
        self,
        effects: Effects,
        before: tuple[F64, F64],
        after: tuple[F64, F64],
        residual: F64,
        /,
    ) -> Between:
        """The estimate that has also heard how some subjects' sums changed.

        Args:
            effects: What the sums are about.
            before: Counts and totals, shape (c, g) each.
            after: The same with the new rewards.
            residual: Shape (2,): weighted sum of squared residuals of the new rewards, and how many.
        """
        gained = [np.zeros(len(self.kinds)) for _ in range(3)] + [np.zeros(1)]
        for lo in range(0, before[0].shape[1], _SUBJECTS_AT_ONCE):
            part = slice(lo, lo + _SUBJECTS_AT_ONCE)
            pairs = [(then[:, part], now[:, part]) for then, now in zip(before, after, strict=True)]
            count, total = (np.concatenate(pair, axis=1) for pair in pairs)
            said = self._said(effects, count, total, pairs[0][0].shape[1])
            gained = [sums + now - then for sums, (then, now) in zip(gained, said, strict=True)]
        return attrs.evolve(
            self,
            square=self.square + gained[0],
            chance=self.chance + gained[1],
            weight=self.weight + gained[2],
            residual=self.residual + np.array([residual[0], gained[3][0], residual[1]]),
        )

    def _said(self, effects: Effects, count: F64, total: F64, size: int) -> Iterator[F64]:
        """Square, chance, weight, what is explained: of the first ``size`` subjects and of the others."""
        prior = effects.prior(self.working)
        known = effects.known(count, total, prior)
        mean, kind = effects.means(known), effects.components()
        variance = self.working[kind][:, None]
        heard = 1.0 - effects.variances(known, prior) / variance  # 0 nothing is known, 1 everything
        of_kind = np.zeros((len(self.kinds), len(kind)))
        of_kind[kind, np.arange(len(kind))] = 1.0
        totals = total.copy()
        totals[IDLE] += total[SENT]
        explained = mean * totals
        for values in (mean**2, heard * (1.0 - heard) * variance, heard**2, explained):
            by_part = np.stack([values[:, :size].sum(axis=1), values[:, size:].sum(axis=1)])
            yield by_part @ of_kind.T if values is not explained else by_part.sum(axis=1, keepdims=True)

    def merge(self, other: Between, /) -> Between:
        """The estimate from the subjects of either; the two must not share any.

        Raises:
            LearningError: They are about other kinds, or started from another guess.
        """
        if (self.kinds, self.guess, self.as_of) != (other.kinds, other.guess, other.as_of):
            raise LearningError(
                "only estimates of the same kinds, guess and time merge, got"
                f" {(other.kinds, other.guess, other.as_of)!r} for"
                f" {(self.kinds, self.guess, self.as_of)!r}: discount them to one time first",
                value=other.kinds,
                expected=self.kinds,
            )
        return attrs.evolve(
            self,
            square=self.square + other.square,
            chance=self.chance + other.chance,
            weight=self.weight + other.weight,
            residual=self.residual + other.residual,
        )
