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

import itertools
from collections.abc import Sequence
from typing import Final

import attrs
import numpy as np

from agentic.arrays import F64, I64, Bools
from agentic.catalogue import Catalogue
from agentic.errors import ConfigurationError
from agentic.types import NO_ACTION, Action

IDLE, SENT, LEVELS = 0, 1, 2
"""Rows of the sums: rewards of doing nothing, of anything that was sent, and of each level."""

_TINY: Final = 1e-12
_MOST: Final = 512


@attrs.frozen(eq=False)
class Prior:
    """How much subjects differ, as arrays that the posterior is made with; in units of the noise variance.

    Attributes:
        level: Variance of a subject's own level.
        contact: Of being contacted.
        levels: Of each level's effect, shape (c - 2, 1).
        signed: Shape (k, 1): ``contact`` for actions that send, less than nothing for those that do not.
    """

    level: float
    contact: float
    levels: F64
    signed: F64


@attrs.frozen(eq=False)
class Known:
    """The posterior of some subjects' effects: shape (n,) where nothing else is said.

    Means are in units of the reward, everything else in units of the noise variance.

    Attributes:
        level: Mean of the subject's own level.
        contact: Mean of the effect of being contacted.
        parts: Shape (3, c, n). Of each level's effect: the mean; the variance, were the sum of all effects
            known; its share in what is learned about that sum by one reward. The last two lines are those
            of no level at all, and of doing nothing as set against being contacted.
        baseline: Variance of the subject's level before what was sent is heard.
        heard: How much the sum of all effects is pinned down: rewards of sends over what is open.
    """

    level: F64
    contact: F64
    parts: F64
    baseline: F64
    heard: F64


@attrs.frozen(eq=False)
class Effects:
    """Which effects the actions of a catalogue have.

    Attributes:
        dimensions: Their names.
        levels: Of each dimension, those that differ.
        at: Shape (g, k), int64: for each dimension and action the number of its level, over all
            dimensions; one beyond the last where the action has none.
        sends: Shape (k,), bool.
        parts: What the sums are about, c names: rewards of doing nothing, of sends, of each level. Derived.
    """

    dimensions: tuple[str, ...]
    levels: tuple[tuple[str, ...], ...]
    at: I64
    sends: Bools
    parts: tuple[str, ...] = attrs.field(init=False, repr=False)
    _bounds: tuple[slice, ...] = attrs.field(init=False, repr=False)
    _of: I64 = attrs.field(init=False, repr=False)
    _lines: I64 = attrs.field(init=False, repr=False)
    _complete: bool = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        ends = np.cumsum([0, *map(len, self.levels)]).tolist()
        none = ends[-1]
        named = [
            f"{name}={level}" for name, of in zip(self.dimensions, self.levels, strict=True) for level in of
        ]
        # The line of doing nothing stands in for its level in the first dimension, if there is one.
        first = self.at[:1] if len(self.at) else np.full((1, len(self.sends)), none)
        lines = np.concatenate([np.where(self.sends, first, none + 1), self.at[1:]])
        for name, value in (
            ("parts", ("idle", "sent", *named)),
            ("_bounds", tuple(slice(lo, hi) for lo, hi in itertools.pairwise(ends))),
            ("_of", np.repeat(np.arange(len(self.levels)), [len(one) for one in self.levels])),
            ("_lines", lines),
            ("_complete", bool((self.at[:, self.sends] < none).all())),
        ):
            object.__setattr__(self, name, value)

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
                f" {8 * (count + LEVELS)} bytes: name dimensions with at most {_MOST // 2 - LEVELS} levels",
                value=count,
                expected=_MOST // 2 - LEVELS,
            )
        where = np.array(at, dtype=np.int64).reshape(len(names), len(catalogue))
        return cls(tuple(names), tuple(levels), np.where(where < 0, count, where), catalogue.sends)

    def components(self) -> I64:
        """Which variance each effect has, shape (c,): 0 the level, 1 contact, then the dimensions."""
        return np.concatenate([[0, 1], self._of + 2])

    def design(self, action: I64, /) -> F64:
        """Which sums a reward of each action goes to, shape (c, n), float64, 0 or 1."""
        out = np.zeros((LEVELS + len(self._of) + 1, len(action)))
        sends = self.sends[action]
        out[IDLE], out[SENT] = ~sends, sends
        rows = np.arange(len(action))
        for at in self.at:
            out[LEVELS + at[action], rows] = 1.0
        return out[:-1]

    def prior(self, ratio: F64, /) -> Prior:
        """The prior for these ratios of the variances to the noise variance, shape (2 + g,)."""
        level, contact = ratio[:2].tolist()
        signed = np.where(self.sends, contact, -contact)[:, None]
        return Prior(level, contact, ratio[2:][self._of][:, None], signed)

    def known(self, count: F64, total: F64, prior: Prior, /) -> Known:
        """The posterior of the effects.

        A row of the answer is that row's alone, to the bit, from 8 rows on.

        Args:
            count: Shape (c, n), not negative: rewards for each of ``parts``.
            total: Shape (c, n): sums of what they were beyond the population.
            prior: How much subjects differ.
        """
        sent, n, S = count[SENT], count[LEVELS:], total[LEVELS:]
        m, rows = n.shape
        sums = np.empty((3, m, rows))
        left, told, shrink = sums
        keep = n * prior.levels
        keep += 1.0
        np.reciprocal(keep, out=keep)
        np.multiply(n, keep, out=left)
        np.multiply(left, prior.levels, out=shrink)
        np.multiply(shrink, S, out=told)
        keep *= prior.levels  # from here on the variance of a level's effect, were it the only one
        parts = np.empty((3, m + 2, rows))
        mean, inner, share = parts[:, :m]
        np.multiply(keep, S, out=mean)
        whole = total[IDLE] + total[SENT]
        baseline = prior.level / (1.0 + count[IDLE] * prior.level)
        scale = sent * (baseline + prior.contact)
        scale += 1.0
        pull = baseline * whole
        pull += prior.contact * total[SENT]
        heard = []
        for part in self._bounds:
            rest, one = np.add.reduce(sums[:2, part], axis=1)
            if not self._complete:  # rewards of actions without a level in this dimension
                rest += np.maximum(sent - np.add.reduce(n[part], axis=0), 0.0)
            weight = 1.0 / np.maximum(rest, _TINY)
            heard.append(one)
            scale += weight * (sent - rest)
            pull += weight * one
            np.multiply(shrink[part], weight, out=share[part])
        pull *= sent
        pull /= scale
        np.multiply(shrink, share, out=inner)
        inner += keep
        for part, one in zip(self._bounds, heard, strict=True):
            mean[part] += share[part] * (one - pull)
        contact = prior.contact * (total[SENT] - pull)
        parts[:, m] = 0.0
        parts[1:, m + 1] = prior.contact
        np.negative(contact, out=parts[0, m + 1])
        whole -= pull
        whole *= baseline
        return Known(whole, contact, parts, baseline, sent / scale)

    def means(self, known: Known, /) -> F64:
        """Posterior mean of each effect, shape (c, n)."""
        return np.concatenate([known.level[None], known.contact[None], known.parts[0, :-2]])

    def variances(self, known: Known, prior: Prior, /) -> F64:
        """Posterior variance of each effect in units of the noise variance, shape (c, n)."""
        _, inner, share = known.parts[:, :-2]
        level = known.baseline - known.heard * known.baseline**2
        contact = prior.contact - known.heard * prior.contact**2
        out = np.concatenate([level[None], contact[None], inner - known.heard * share**2])
        np.maximum(out, 0.0, out=out)
        return out

    def of_actions(self, known: Known, prior: Prior, /) -> tuple[F64, F64, F64]:
        """Effects of all actions: mean, variance, and variance for comparing them; shape (k, n) each.

        Variances are in units of the noise variance; rounding may leave them just below 0. What all actions
        have in common says nothing about which is best, so it is left out of the third: the subject's level
        everywhere, and of contact all but what sets it against doing nothing. Taken as independent, the rest
        has the right variance for the difference of any two actions that share no level, but for what
        the posterior ties together.
        """
        found = known.parts.take(self._lines[0], axis=1)
        for lines in self._lines[1:]:
            found += known.parts.take(lines, axis=1)
        mean, own, pooled = found
        mean += known.level + known.contact
        choice = pooled * pooled
        choice *= known.heard
        np.subtract(own, choice, out=choice)
        common = known.baseline + prior.signed
        own += common
        pooled += common
        pooled *= pooled
        pooled *= known.heard
        own -= pooled
        return mean, own, choice

    def observe(
        self, count: F64, total: F64, prior: Prior, action: I64, weight: F64, residual: F64, /
    ) -> tuple[F64, F64]:
        """Counts and totals after one more reward of each subject.

        ``weight`` is added to the counts. The mean moves as a Kalman filter moves it, and the totals are
        those that say so: with one dimension, ``weight * residual`` more.

        Args:
            count: Shape (c, n).
            total: Shape (c, n).
            prior: How much subjects differ.
            action: Shape (n,).
            weight: Shape (n,): what a reward counts, 0 to 1.
            residual: Shape (n,): what it was beyond the population.
        """
        design = self.design(action)
        more = count + weight * design
        known = self.known(count, total, prior)
        share = known.parts[2, :-2]
        sends, levels = design[SENT], design[LEVELS:]
        alone = prior.levels / (1.0 + count[LEVELS:] * prior.levels)
        shrink = count[LEVELS:] * alone
        # Covariance of each effect with this action's.
        move = np.empty_like(count)
        reach = known.baseline + prior.contact * sends + np.add.reduce(share * levels, axis=0)
        reach *= known.heard
        move[IDLE] = known.baseline * (1.0 - reach)
        move[SENT] = prior.contact * (sends - reach)
        for part in self._bounds:
            met = np.add.reduce(shrink[part] * levels[part], axis=0)
            move[LEVELS:][part] = alone[part] * levels[part] + share[part] * (met - reach)
        has = design.copy()
        has[IDLE] = 1.0  # a subject's own level is part of every reward
        old = self.means(known)
        variance = np.add.reduce(has * move, axis=0)
        ahead = residual - np.add.reduce(has * old, axis=0)
        mean = old + move * (weight * ahead / (1.0 + weight * variance))
        rest = weight * (residual - np.add.reduce(has * mean, axis=0))
        turned = self._fitted(more, mean) - self._fitted(count, mean) + rest * design
        return more, total + turned

    def _fitted(self, count: F64, mean: F64) -> F64:
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
