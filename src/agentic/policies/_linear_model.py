"""The linear model of the reward per action: ridge regression from sums that add."""

from __future__ import annotations

import itertools
import math
from datetime import timedelta
from typing import Any, Final, Self

import attrs
import numpy as np
from numpy.typing import NDArray

from agentic._numerics import matmul
from agentic.arrays import F64, Feedback
from agentic.errors import ConfigurationError, LearningError

_ROWS_AT_ONCE: Final = 512
_LARGEST: Final = 1e60


@attrs.frozen(eq=False)
class LinearModel:
    """Ridge regression of the reward on the features, one for each action.

    Keeps sufficient statistics that add, so that batches, shards and hosts merge to the same model. The
    posterior of an action's coefficients is normal with mean ``A^-1 moment`` and covariance
    ``noise^2 A^-1``, where A is ``gram + precision I``, but for the last column, the constant: it carries
    the action's own level, and a prior that holds the features back must not move that. The reward noise
    is one number, estimated from the residuals of all actions, with a prior of one observation whose
    squared residual is 1/4.

    Attributes:
        precision: Prior precision of a feature's coefficient in units of 1 / noise^2, > 0; the constant's is
            the same, but at most 1.
        half_life: Time after which an observation counts half; ``None`` never forgets.
        ids: Action ids, in the order of the arrays below.
        gram: Shape (k, d, d), float64: sums of x x'.
        moment: Shape (k, d), float64: sums of x times reward.
        count: Shape (k,), float64: observations, forgetting applied.
        square: Shape (k,), float64: sums of squared rewards.
        as_of: Microseconds since 1970 that the sums are discounted to.
        theta: Shape (d, k), float64: posterior means. Derived, like what follows.
        root: Shape (d, k * d), float32: a root of each action's ``A^-1``, side by side.
        noise: Estimated standard deviation of a reward about its mean.

    Source: Bishop 2006, Pattern recognition and machine learning, equations 3.53 and 3.54. Ours estimates
    the noise.
    """

    precision: float
    half_life: timedelta | None
    ids: tuple[str, ...]
    gram: F64
    moment: F64
    count: F64
    square: F64
    as_of: int = 0
    # The model this one came from, and the actions whose sums changed: the rest is copied, not solved again.
    _changed: tuple[LinearModel, NDArray[np.int64]] | None = attrs.field(
        default=None, repr=False, metadata={"derived": True}
    )
    theta: F64 = attrs.field(init=False, repr=False)
    root: NDArray[np.float32] = attrs.field(init=False, repr=False)
    noise: float = attrs.field(init=False, repr=False)
    _residual: F64 = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        k, d = self.moment.shape
        if (self.gram.shape, self.count.shape, self.square.shape, len(self.ids)) != (
            (k, d, d),
            (k,),
            (k,),
            k,
        ):
            raise ConfigurationError(
                f"a model of {len(self.ids)} actions needs gram (k, d, d), moment (k, d), count (k,) and"
                f" square (k,), got {self.gram.shape}, {self.moment.shape}, {self.count.shape} and"
                f" {self.square.shape}",
                value=self.gram.shape,
            )
        if self._changed is None:
            which: NDArray[np.int64] = np.arange(k)
            theta, root, residual = np.empty((d, k)), np.empty((d, k, d), dtype=np.float32), np.empty(k)
        else:
            before, which = self._changed
            theta, root = before.theta.copy(), before.root.reshape(d, k, d).copy()
            residual = before._residual.copy()
        moment = self.moment[which]
        lower = _inverse_root(self.gram[which], self.precision)
        upper = lower.transpose(0, 2, 1)
        solved = np.matmul(upper, np.matmul(lower, moment[:, :, None]))[:, :, 0]
        theta[:, which] = solved.T
        root[:, which] = upper.transpose(1, 0, 2)
        residual[which] = np.maximum(self.square[which] - np.add.reduce(solved * moment, axis=1), 0.0)
        noise = math.sqrt((0.25 + residual.sum()) / (1.0 + self.count.sum()))
        for array in (theta, root, residual):
            array.flags.writeable = False
        for name, value in (
            ("theta", theta),
            ("root", root.reshape(d, k * d)),
            ("noise", noise),
            ("_residual", residual),
            ("_changed", None),
        ):
            object.__setattr__(self, name, value)

    @classmethod
    def zero(cls, ids: tuple[str, ...], width: int, precision: float, half_life: timedelta | None) -> Self:
        """The model that has seen nothing."""
        k = len(ids)
        return cls(
            precision,
            half_life,
            ids,
            np.zeros((k, width, width)),
            np.zeros((k, width)),
            np.zeros(k),
            np.zeros(k),
        )

    def over(self, ids: tuple[str, ...], width: int, /) -> Self:
        """The model for another catalogue: actions are matched by id, new ones start from the prior.

        Raises:
            ConfigurationError: The features have another width.
        """
        if self.moment.shape[1] != width:
            raise ConfigurationError(
                f"the model has seen {self.moment.shape[1]} feature columns, the agent encodes {width}:"
                " start a new policy when features change",
                value=width,
                expected=self.moment.shape[1],
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
            gram=moved(self.gram),
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
        for values, what in ((feedback.reward, "reward"), (feedback.X, "feature")):
            low, high = values.min(initial=0.0), values.max(initial=0.0)
            # Asked this way round because nan answers no to everything.
            if not (low > -_LARGEST and high < _LARGEST):
                raise LearningError(
                    f"feedback must be finite and within {_LARGEST:g}, got a {what} from {low} to {high}:"
                    " leave such rows out",
                    value=(float(low), float(high)),
                )
        as_of = max(self.as_of, int(feedback.at.max()))
        keep = self._fade(as_of - self.as_of)
        gram, moment = self.gram * keep, self.moment * keep
        count, square = self.count * keep, self.square * keep
        order = np.argsort(feedback.action, kind="stable")
        actions, X, reward = feedback.action[order], feedback.X[order], feedback.reward[order]
        if actions[0] < 0 or actions[-1] >= len(self.ids):
            raise LearningError(
                f"an action is a column from 0 to {len(self.ids) - 1}, got {int(actions[0])} to"
                f" {int(actions[-1])}",
                value=(int(actions[0]), int(actions[-1])),
            )
        weight = None if self.half_life is None else self._fade(as_of - feedback.at[order])
        starts = (actions[1:] != actions[:-1]).nonzero()[0] + 1
        bounds = [0, *starts.tolist(), len(actions)]
        for lo, hi in itertools.pairwise(bounds):
            action = actions[lo]
            rows, rewards = X[lo:hi], reward[lo:hi]
            weighted = rows if weight is None else rows * weight[lo:hi, None]
            weighted_rewards = rewards if weight is None else rewards * weight[lo:hi]
            gram[action] += weighted.T @ rows
            moment[action] += rewards @ weighted
            count[action] += hi - lo if weight is None else weight[lo:hi].sum()
            square[action] += weighted_rewards @ rewards
        touched = actions[bounds[:-1]]
        return attrs.evolve(
            self,
            gram=gram,
            moment=moment,
            count=count,
            square=square,
            as_of=as_of,
            changed=(self, touched) if keep == 1.0 else None,
        )

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
            gram=self.gram * keep + other.gram * take,
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
        rows = X.astype(np.float32)
        out = np.empty((len(X), k))
        for lo in range(0, len(X), _ROWS_AT_ONCE):
            parts = matmul(rows[lo : lo + _ROWS_AT_ONCE], self.root).reshape(-1, k, d)
            out[lo : lo + _ROWS_AT_ONCE] = np.einsum("nkd,nkd->nk", parts, parts)
        np.sqrt(out, out=out)
        out *= self.noise
        return out


def _inverse_root(gram: F64, precision: float) -> F64:
    """Lower triangular L with L'L = A^-1 for ``A`` as the model has it, shape (k, d, d).

    Where features repeat each other at a large scale the prior drowns in rounding, and there is no such
    root; there, and only there, the diagonal is raised by a trillionth of itself, or as much as it takes.
    """
    identity = np.eye(gram.shape[1])
    ridge = gram + precision * identity
    ridge[:, -1, -1] = gram[:, -1, -1] + min(precision, 1.0)
    for share in (0.0, 1e-12, 1e-9, 1e-6):
        try:
            lower = np.linalg.inv(np.linalg.cholesky(ridge * (1.0 + share * identity)))
            if np.isfinite(lower).all():
                return np.asarray(lower)
        except np.linalg.LinAlgError:
            if len(gram) > 1:  # one action must not change the bits of another
                return np.concatenate([_inverse_root(part[None], precision) for part in gram])
    raise LearningError(
        "gram is no sum of x x': its smallest eigenvalue is negative or not a number", value=gram
    )
