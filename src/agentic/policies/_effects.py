"""What is known of how one subject differs from the population, from a few sums about that subject.

A subject's *effects* are a level of its own, one more for being contacted at all, and one for each level of
each dimension of the actions; an action's effect is the sum of those that it has. Each is normal about 0,
independent of the others, with a variance that is common to all subjects and to all levels of a dimension.
Of the subject's rewards, less what the population predicts, sums are kept for each level: how many, and
their total. The posterior is in closed form, elementwise over subjects.

It is exact where there is one dimension, and with several where a subject's levels were combined evenly, or
always in the same way: how often two levels came together is not kept but taken to be as if they were
independent. ``observe`` keeps the totals in step with that, so that what is expected of an action the
subject has often had is right also where they were not.

Source: Robinson 1991, That BLUP is a good thing, section 2: mixed model equations; Henderson 1975. The
closed form is theirs with the counts of pairs replaced, by the identity of Sherman, Morrison and Woodbury.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray

from agentic.arrays import I64, Bools
from agentic.catalogue import Catalogue
from agentic.errors import ConfigurationError
from agentic.types import NO_ACTION, Action

# float32 or float64, the same in and out.
Floats = NDArray[Any]

IDLE, SENT, LEVELS = 0, 1, 2
"""Rows of the sums: rewards of doing nothing, of anything that was sent, and of each level."""

_TINY: Final = 1e-12
_MOST: Final = 512


@attrs.frozen(eq=False)
class Known:
    """The posterior of some subjects' effects, in units of the reward: shape (c, n) or (n,) each.

    Attributes:
        mean: Shape (c, n): row 0 the subject's own level, row 1 of being contacted, then of the levels.
        baseline: Variance of the subject's level before what was sent is heard; in units of the noise
            variance, like what follows.
        contact: Prior variance of being contacted, a scalar.
        sent: How many rewards of sends.
        inner: Shape (c - 2, n): variance of each level's effect, were the sum of all effects known.
        share: Shape (c - 2, n): how much of what is learned about that sum goes to each level, per reward.
        scale: What is known of that sum: 1 when nothing.
    """

    mean: Floats
    baseline: Floats
    contact: Any  # a numpy scalar of the same dtype
    sent: Floats
    inner: Floats
    share: Floats
    scale: Floats


@attrs.frozen(eq=False)
class Effects:
    """Which effects the actions of a catalogue have.

    Attributes:
        dimensions: Their names.
        levels: Of each dimension, those that differ.
        at: Shape (g, k), int64: for each dimension and action the number of its level, over all
            dimensions; one beyond the last where the action has none.
        sends: Shape (k,), bool.
    """

    dimensions: tuple[str, ...]
    levels: tuple[tuple[str, ...], ...]
    at: I64
    sends: Bools
    _bounds: tuple[slice, ...] = attrs.field(init=False, repr=False)
    _of: I64 = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        ends = np.cumsum([0, *map(len, self.levels)]).tolist()
        bounds = tuple(slice(lo, hi) for lo, hi in zip(ends, ends[1:], strict=False))
        object.__setattr__(self, "_bounds", bounds)
        object.__setattr__(self, "_of", np.repeat(np.arange(len(bounds)), [len(one) for one in self.levels]))

    @classmethod
    def of(cls, catalogue: Catalogue, dimensions: Sequence[str] | None, /) -> Effects:
        """The effects of these dimensions.

        Args:
            catalogue: The actions.
            dimensions: Names; by default all that the actions have. ``"channel"`` and ``"action"``, the
                action's id, can be named where no action has a dimension of that name; where no action has
                any dimension, ``"action"`` is the default. One without two levels tells nothing apart and
                is left out.

        Raises:
            ConfigurationError: No action has such a dimension, or there are more than 254 levels.
        """
        known = sorted({name for action in catalogue.actions for name in action.dimensions})
        asked = dimensions if dimensions is not None else known or ["action"]
        names, levels, at = [], [], []
        count = 0
        for name in asked:
            found = [_level(action, name) for action in catalogue.actions]
            distinct = sorted({level for level in found if level is not None})
            if not distinct:
                raise ConfigurationError(
                    f"no action has the dimension {name!r}: there are {known!r}, 'channel' and 'action'",
                    value=name,
                    expected=known,
                )
            if len(distinct) > 1:
                names.append(name)
                levels.append(tuple(distinct))
                place = {level: number + count for number, level in enumerate(distinct)}
                at.append([-1 if level is None else place[level] for level in found])
                count += len(distinct)
        if 2 * (count + LEVELS) > _MOST:
            raise ConfigurationError(
                f"the dimensions {names!r} have {count} levels, so that a record would take"
                f" {8 * (count + LEVELS)} bytes: name dimensions with at most {_MOST // 2 - LEVELS} levels in all",
                value=count,
                expected=_MOST // 2 - LEVELS,
            )
        where = np.array(at, dtype=np.int64).reshape(len(names), len(catalogue))
        return cls(tuple(names), tuple(levels), np.where(where < 0, count, where), catalogue.sends)

    @property
    def parts(self) -> tuple[str, ...]:
        """What the sums are about, c names: of rewards of doing nothing, of sends, of each level."""
        named = (
            f"{name}={level}" for name, of in zip(self.dimensions, self.levels, strict=True) for level in of
        )
        return ("idle", "sent", *named)

    def components(self) -> I64:
        """Which variance each effect has, shape (c,): 0 the level, 1 contact, then the dimensions."""
        return np.concatenate([[0, 1], self._of + 2])

    def design(self, action: I64, /) -> Floats:
        """Which sums a reward of each action goes to, shape (c, n), float64, 0 or 1."""
        out = np.zeros((LEVELS + len(self._of) + 1, len(action)))
        sends = self.sends[action]
        out[IDLE], out[SENT] = ~sends, sends
        rows = np.arange(len(action))
        for at in self.at:
            out[LEVELS + at[action], rows] = 1.0
        return out[:-1]

    def known(self, count: Floats, total: Floats, ratio: Floats, /) -> Known:
        """The posterior of the effects.

        Args:
            count: Shape (c, n), float32 or float64, not negative: rewards for each of ``parts``.
            total: Shape (c, n): sums of what they were beyond the population.
            ratio: Shape (2 + g,): variances between subjects in units of the noise variance.
        """
        ratio = ratio.astype(count.dtype)
        idle, sent = count[IDLE], count[SENT]
        n, S = count[LEVELS:], total[LEVELS:]
        prior = ratio[2:][self._of][:, None]
        keep = 1.0 / (1.0 + n * prior)
        alone = prior * keep  # variance of a level's effect, were it the only one
        shrink = n * alone
        baseline, contact = ratio[0] / (1.0 + idle * ratio[0]), ratio[1]
        whole = total[IDLE] + total[SENT]
        scale = 1.0 + sent * (baseline + contact)
        pull = baseline * whole + contact * total[SENT]
        # From here on: `share`, `inner` and what a dimension says about the sum of all effects.
        open_ = n * keep
        told = shrink * S
        share, inner = np.empty_like(n), np.empty_like(n)
        heard = []
        for part in self._bounds:
            left = np.add.reduce(open_[part], axis=0)
            # Rewards of actions without a level in this dimension.
            left += np.maximum(sent - np.add.reduce(n[part], axis=0), 0.0)
            weight = 1.0 / np.maximum(left, _TINY)
            one = np.add.reduce(told[part], axis=0)
            heard.append(one)
            scale += weight * (sent - left)
            pull += weight * one
            np.multiply(shrink[part], weight, out=share[part])
        pull /= scale
        pull *= sent
        np.multiply(shrink, share, out=inner)
        inner += alone
        mean = np.empty_like(count)
        mean[IDLE] = baseline * (whole - pull)
        mean[SENT] = contact * (total[SENT] - pull)
        levels = mean[LEVELS:]
        np.multiply(alone, S, out=levels)
        for part, one in zip(self._bounds, heard, strict=True):
            levels[part] += share[part] * (one - pull)
        return Known(mean, baseline, contact, sent, inner, share, scale)

    def variances(self, known: Known, /) -> Floats:
        """Posterior variance of each effect in units of the noise variance, shape (c, n)."""
        out = np.empty_like(known.mean)
        out[IDLE] = known.baseline - known.sent * known.baseline**2 / known.scale
        out[SENT] = known.contact - known.sent * known.contact**2 / known.scale
        out[LEVELS:] = known.inner - known.sent * known.share**2 / known.scale
        return np.maximum(out, 0.0, out=out)

    def of_actions(self, known: Known, /) -> tuple[Floats, Floats, Floats]:
        """Effects of all actions: mean, variance, and variance for comparing them; shape (k, n) each.

        What all actions have in common says nothing about which is best, so it is left out of the third:
        the subject's level everywhere, and of contact all but what sets it against doing nothing. Taken as
        independent, the rest has the right variance for the difference of any two actions that share no
        level, but for what the posterior ties together.
        """
        levels = known.mean[LEVELS:]
        n = levels.shape[1]
        shape = len(self.sends), n
        mean = np.empty(shape, levels.dtype)
        mean[:] = known.mean[IDLE]
        own, pooled = np.zeros(shape, levels.dtype), np.zeros(shape, levels.dtype)
        blank = np.zeros((1, n), levels.dtype)
        for out, part in ((mean, levels), (own, known.inner), (pooled, known.share)):
            padded = np.concatenate([part, blank])
            for at in self.at:
                out += padded.take(at, axis=0)
        sends = self.sends
        mean[sends] += known.mean[SENT]
        heard = known.sent / known.scale
        idle = ~sends
        own[idle], pooled[idle] = known.contact, known.contact
        choice = own - heard * pooled * pooled
        own[idle], pooled[idle] = 0.0, 0.0
        common = np.where(sends[:, None], known.baseline + known.contact, known.baseline)
        own += common
        pooled += common
        whole = own - heard * pooled * pooled
        return mean, np.maximum(whole, 0.0, out=whole), np.maximum(choice, 0.0, out=choice)

    def observe(
        self, count: Floats, total: Floats, ratio: Floats, action: I64, weight: Floats, residual: Floats, /
    ) -> tuple[Floats, Floats]:
        """Counts and totals after one more reward of each subject.

        With one dimension ``weight`` is added to the counts and ``weight * residual`` to the totals. With
        several, the mean moves as a Kalman filter moves it, and the totals are those that say so.

        Args:
            count: Shape (c, n), float64.
            total: Shape (c, n), float64.
            ratio: Shape (2 + g,), > 0.
            action: Shape (n,).
            weight: Shape (n,): what a reward counts, 0 to 1.
            residual: Shape (n,): what it was beyond the population.
        """
        design = self.design(action)
        more = count + weight * design
        if len(self._bounds) < 2:
            return more, total + weight * residual * design
        known = self.known(count, total, ratio)
        sends, levels = design[SENT], design[LEVELS:]
        prior = ratio[2:][self._of][:, None]
        shrink = count[LEVELS:] * prior / (1.0 + count[LEVELS:] * prior)
        move = np.empty_like(count)  # covariance of the effects with this action's
        pooled = known.baseline + known.contact * sends + np.add.reduce(known.share * levels, axis=0)
        reach = pooled * (known.sent / known.scale)
        move[IDLE] = known.baseline * (1.0 - reach)
        move[SENT] = known.contact * (sends - reach)
        for part in self._bounds:
            met = np.add.reduce(shrink[part] * levels[part], axis=0)
            move[LEVELS:][part] = prior[part] / (1.0 + count[LEVELS:][part] * prior[part]) * levels[
                part
            ] + known.share[part] * (met - reach)
        effect = (
            known.mean[IDLE] + known.mean[SENT] * sends + np.add.reduce(known.mean[LEVELS:] * levels, axis=0)
        )
        variance = move[IDLE] + move[SENT] * sends + np.add.reduce(move[LEVELS:] * levels, axis=0)
        mean = known.mean + move * (weight * (residual - effect) / (1.0 + weight * variance))
        rest = residual - mean[IDLE] - mean[SENT] * sends - np.add.reduce(mean[LEVELS:] * levels, axis=0)
        turned = self._fitted(more, mean) - self._fitted(count, mean) + weight * rest * design
        return more, total + turned

    def _fitted(self, count: Floats, mean: Floats) -> Floats:
        """Totals that these means would leave, were levels combined as if independent; shape (c, n)."""
        sent, n, levels = count[SENT], count[LEVELS:], mean[LEVELS:]
        of = [np.add.reduce(n[p] * levels[p], axis=0) / np.maximum(sent, _TINY) for p in self._bounds]
        whole = mean[IDLE] + mean[SENT] + np.add.reduce(of, axis=0)
        out = np.empty_like(mean)
        out[IDLE], out[SENT] = count[IDLE] * mean[IDLE], sent * whole
        for part, one in zip(self._bounds, of, strict=True):
            out[LEVELS:][part] = n[part] * (levels[part] + (whole - one))
        return out


def _level(action: Action, dimension: str) -> str | None:
    """The action's level; ``NO_ACTION`` has none."""
    if action == NO_ACTION:
        return None
    if dimension in action.dimensions:
        return action.dimensions[dimension]
    if dimension == "channel":
        return action.channel
    return action.id if dimension == "action" else None
