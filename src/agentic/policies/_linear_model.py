"""The linear model of the reward per action: ridge regression from sums that add."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from datetime import timedelta
from typing import Any, Final, Self

import attrs
import numpy as np

from agentic._numerics import ROWS, matmul
from agentic.arrays import F64, Feedback
from agentic.errors import ConfigurationError, LearningError
from agentic.policies._checks import LARGEST
from agentic.policies._ridge import Solution, solved

_AT_ONCE: Final = 1 << 17  # numbers that stay in the processor's cache


def _blocks(gram: Any) -> tuple[F64, ...]:  # one array, or one for each action
    return gram if isinstance(gram, tuple) else tuple(gram)


@attrs.frozen(eq=False)
class LinearModel:
    """Ridge regression of the reward on the features, one for each action.

    Keeps sufficient statistics that add, so that batches, shards and hosts merge to the same model. The
    posterior of an action's coefficients is normal. A priori a coefficient is 0, but for the last column, the
    constant: it is the level that actions have in common, because one of which nothing is known is like the
    others. How far coefficients may be from there is told in units that do not change when rewards
    or features are measured in others: see ``precision``. The reward noise is one number, estimated from the
    residuals of all actions; a priori, which counts as five observations, all of the variance of rewards is
    noise.

    What follows from the sums is solved when it is first asked for, and only for actions whose sums changed.

    Attributes:
        precision: Prior precision of the coefficient of a feature whose variance is 1, in units of
            1 / noise^2, > 0; in proportion to the variance for others (to the nearest power of two). The
            constant's is the same, but at most 1.
        half_life: Time after which an observation counts half; ``None`` never forgets.
        ids: Action ids, in the order of the arrays below.
        gram: k arrays of shape (d, d), float64: sums of x x'. One array (k, d, d) is taken apart.
        moment: Shape (k, d), float64: sums of x times reward.
        count: Shape (k,), float64: observations, forgetting applied.
        square: Shape (k,), float64: sums of squared rewards.
        as_of: Microseconds since 1970 that the sums are discounted to.

    Source: Bishop 2006, Pattern recognition and machine learning, equations 3.53 and 3.54. Ours estimates
    the noise, the common level and the scale of the features.
    """

    precision: float
    half_life: timedelta | None
    ids: tuple[str, ...]
    gram: tuple[F64, ...] = attrs.field(converter=_blocks)
    moment: F64
    count: F64
    square: F64
    as_of: int = 0
    # Derived, safe to fill from many threads: the solution, or an older one and what changed since.
    _solution: Solution | None = attrs.field(default=None, init=False, repr=False)
    _before: tuple[Solution, frozenset[int]] | None = attrs.field(default=None, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        k, d = self.moment.shape
        shapes = {block.shape for block in self.gram}
        if (len(self.gram), self.count.shape, self.square.shape, len(self.ids)) != (k, (k,), (k,), k) or (
            shapes - {(d, d)}
        ):
            raise ConfigurationError(
                f"a model of {len(self.ids)} actions needs gram (k, d, d), moment (k, d), count (k,) and"
                f" square (k,), got {len(self.gram)} of {sorted(shapes)}, {self.moment.shape},"
                f" {self.count.shape} and {self.square.shape}",
                value=self.moment.shape,
            )

    @classmethod
    def zero(cls, ids: tuple[str, ...], width: int, precision: float, half_life: timedelta | None) -> Self:
        """The model that has seen nothing."""
        k = len(ids)
        gram = np.zeros((k, width, width))
        return cls(precision, half_life, ids, gram, np.zeros((k, width)), np.zeros(k), np.zeros(k))

    def over(self, ids: tuple[str, ...], width: int, /) -> Self:
        """The model for another catalogue: actions are matched by id, new ones start from the prior.

        Raises:
            ConfigurationError: The features have another width.
        """
        d = self.moment.shape[1]
        if d != width:
            raise ConfigurationError(
                f"the model has seen {d} feature columns, the agent encodes {width}:"
                " start a new policy when features change",
                value=width,
                expected=d,
            )
        if ids == self.ids:
            return self
        old = {action_id: column for column, action_id in enumerate(self.ids)}
        to = [column for column, action_id in enumerate(ids) if action_id in old]
        source = [old[ids[column]] for column in to]

        def moved(sums: F64) -> F64:
            out = np.zeros((len(ids), *sums.shape[1:]))
            out[to] = sums[source]
            return out

        return attrs.evolve(
            self,
            ids=ids,
            gram=tuple(self.gram[old[each]] if each in old else np.zeros((d, d)) for each in ids),
            moment=moved(self.moment),
            count=moved(self.count),
            square=moved(self.square),
        )

    def observe(self, feedback: Feedback, /) -> Self:
        """The model that has also seen this feedback.

        Raises:
            LearningError: A reward or feature is not finite or beyond 1e60, or the feedback is about other
                actions or features.
        """
        if feedback.catalogue.ids != self.ids or feedback.X.shape[1:] != self.moment.shape[1:]:
            raise LearningError(
                f"the model is of {len(self.ids)} actions and {self.moment.shape[1]} feature columns, the"
                f" feedback of {len(feedback.catalogue)} and {feedback.X.shape[1:]}, or of others: bind the"
                " policy to the catalogue of the feedback",
                value=feedback.catalogue.ids,
                expected=self.ids,
            )
        if not len(feedback):
            return self
        X, action, reward = feedback.X, feedback.action, feedback.reward
        for values, what in ((reward, "reward"), (X, "feature")):
            low = np.minimum.reduce(values, axis=None, initial=0.0)
            high = np.maximum.reduce(values, axis=None, initial=0.0)
            # Asked this way round because nan answers no to everything.
            if not (low > -LARGEST and high < LARGEST):
                raise LearningError(
                    f"feedback must be finite and within {LARGEST:g}, got a {what} from {low} to {high}:"
                    " leave such rows out",
                    value=(float(low), float(high)),
                )
        first, last = int(np.minimum.reduce(action)), int(np.maximum.reduce(action))
        if first < 0 or last >= len(self.ids):
            raise LearningError(
                f"an action is a column from 0 to {len(self.ids) - 1}, got {first} to {last}",
                value=(first, last),
            )
        as_of = max(self.as_of, int(np.maximum.reduce(feedback.at)))
        keep = self._fade(as_of - self.as_of)
        gram, moment, count, square = self._kept(keep)
        weight = None if self.half_life is None else self._fade(as_of - feedback.at)
        bounds = [0, len(action)]
        if last > first:
            # Sixteen bits are sorted by radix, ten times as fast.
            order = np.argsort(action.astype(np.int16) if last < 1 << 15 else action, kind="stable")
            X, action, reward = X.take(order, axis=0), action[order], reward[order]
            weight = None if weight is None else weight[order]
            bounds[1:1] = ((action[1:] != action[:-1]).nonzero()[0] + 1).tolist()
        for lo, hi in itertools.pairwise(bounds):
            column = int(action[lo])
            rows, rewards = X[lo:hi], reward[lo:hi]
            weighted = rows if weight is None else rows * weight[lo:hi, None]
            weighted_rewards = rewards if weight is None else rewards * weight[lo:hi]
            gram[column] = gram[column] + weighted.T @ rows
            moment[column] += rewards @ weighted
            count[column] += hi - lo if weight is None else weight[lo:hi].sum()
            square[column] += weighted_rewards @ rewards
        after = type(self)(
            self.precision, self.half_life, self.ids, tuple(gram), moment, count, square, as_of
        )
        if keep == 1.0:
            after._follow(self, action[bounds[:-1]].tolist())
        return after

    def _kept(self, keep: float) -> tuple[list[F64], F64, F64, F64]:
        """What is left of the sums, to be added to; the arrays of the first are not to be written to."""
        if keep == 1.0:
            return list(self.gram), self.moment.copy(), self.count.copy(), self.square.copy()
        return (
            [block * keep for block in self.gram],
            self.moment * keep,
            self.count * keep,
            self.square * keep,
        )

    def _follow(self, before: LinearModel, changed: Iterable[int]) -> None:
        """Take over what was solved for the model before, but for the actions whose sums changed."""
        # Read once: another thread may solve, which drops the one and sets the other, in that order.
        older, solution = before._before, before._solution
        if solution is not None:
            older = solution, frozenset()
        if older is not None:
            object.__setattr__(self, "_before", (older[0], older[1].union(changed)))

    def merge(self, other: Self, /) -> Self:
        """The model that has seen what either has seen; the two must not share observations.

        Raises:
            LearningError: They are models of different actions or features, or forget differently.
        """
        mine = (self.ids, self.moment.shape, self.precision, self.half_life)
        theirs = (other.ids, other.moment.shape, other.precision, other.half_life)
        if mine != theirs:
            raise LearningError(
                "only models of the same actions, features, precision and half-life merge, got"
                f" {theirs!r:.200} for {mine!r:.200}",
                value=theirs,
                expected=mine,
            )
        as_of = max(self.as_of, other.as_of)
        keep, take = self._fade(as_of - self.as_of), self._fade(as_of - other.as_of)
        return attrs.evolve(
            self,
            gram=tuple(a * keep + b * take for a, b in zip(self.gram, other.gram, strict=True)),
            moment=self.moment * keep + other.moment * take,
            count=self.count * keep + other.count * take,
            square=self.square * keep + other.square * take,
            as_of=as_of,
        )

    def _fade(self, age_us: Any) -> Any:  # int to float, array to array
        """What is left of an observation of this age."""
        if self.half_life is None:
            return 1.0
        return 0.5 ** (age_us / (self.half_life / timedelta(microseconds=1)))

    @property
    def solution(self) -> Solution:
        """What follows from the sums: solved at the first look, and then kept.

        Raises:
            LearningError: The sums belong to no data.
        """
        known = self._solution
        if known is None:
            known = solved(
                self.gram, self.moment, self.count, self.square, precision=self.precision, before=self._before
            )
            object.__setattr__(self, "_solution", known)
            object.__setattr__(self, "_before", None)
        return known

    @property
    def theta(self) -> F64:
        """Posterior means of the coefficients, shape (d, k), float64."""
        return self.solution.theta

    @property
    def root(self) -> np.ndarray[Any, np.dtype[np.float32]]:
        """A root of each action's posterior covariance over noise^2, side by side: (d, k * d), float32."""
        return self.solution.root

    @property
    def noise(self) -> float:
        """Estimated standard deviation of a reward about its mean."""
        return self.solution.noise

    def mean(self, X: F64, /) -> F64:
        """Expected reward, shape (n, k).

        Args:
            X: Shape (n, d), float64.
        """
        scores: F64 = matmul(X, self.theta)
        return scores

    def spread(self, X: F64, /) -> F64:
        """Standard deviation of the expected reward under the posterior, shape (n, k).

        Computed in float32: a spread needs no more.

        Args:
            X: Shape (n, d), float64.
        """
        k, d = self.moment.shape
        solution = self.solution
        rows = X.astype(np.float32)
        out = np.empty((len(X), k))
        step = max(_AT_ONCE // (k * d) // ROWS, 1) * ROWS
        for lo in range(0, len(X), step):
            parts = matmul(rows[lo : lo + step], solution.root).reshape(-1, k, d)
            out[lo : lo + step] = np.einsum("nkd,nkd->nk", parts, parts)
        np.sqrt(out, out=out)
        out *= solution.noise
        return out
