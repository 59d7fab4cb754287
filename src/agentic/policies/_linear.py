"""A linear model of the reward per action, and the policies that rank by it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from datetime import timedelta
from typing import Any, ClassVar, Final, Self

import attrs
import numpy as np
from numpy.typing import NDArray

from agentic._numerics import matmul, win_probabilities
from agentic.arrays import F64, Batch, Feedback, Proposal, Space
from agentic.errors import ConfigurationError, LearningError

_ROWS_AT_ONCE: Final = 512
_TINY: Final = 1e-9
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


# Validators take `Any`: what is checked may be anything, and mypy reads a field's type off its validator.


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _positive(what: str) -> Callable[[object, attrs.Attribute[Any], Any], None]:
    def check(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
        if not _number(value) or not 0 < value < float("inf"):
            raise ConfigurationError(
                f"{attribute.name} must be a positive number ({what}), got {value!r}", value=value
            )

    return check


def _share(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not _number(value) or not 0 <= value <= 1:
        raise ConfigurationError(f"{attribute.name} must be a number from 0 to 1, got {value!r}", value=value)


def _optional_span(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if value is not None and (not isinstance(value, timedelta) or value <= timedelta(0)):
        raise ConfigurationError(
            f"{attribute.name} must be a positive timedelta or None, got {value!r}", value=value
        )


def _optional_model(_: object, __: object, value: Any) -> None:
    if value is not None and not isinstance(value, LinearModel):
        raise ConfigurationError(f"model must be a LinearModel or None, got {value!r:.200}", value=value)


@attrs.frozen(kw_only=True, eq=False)
class _Linear:
    """What the linear policies share: a model that is fitted to the space and learns.

    Attributes:
        precision: Prior precision of a coefficient, > 0: ``LinearModel.precision``.
        half_life: Time after which an observation counts half; ``None`` never forgets.
        model: What was learned; ``None`` until the policy is bound.
    """

    precision: float = attrs.field(default=1.0, validator=_positive("prior precision of a coefficient"))
    half_life: timedelta | None = attrs.field(default=None, validator=_optional_span)
    model: LinearModel | None = attrs.field(default=None, validator=_optional_model)

    def bind(self, space: Space, /) -> Self:
        """Size the model for the catalogue and features, keeping what was learned.

        Raises:
            ConfigurationError: The features have another width than those the model has seen.
        """
        ids = space.catalogue.ids
        if self.model is None:
            model = LinearModel.zero(ids, space.width, self.precision, self.half_life)
        else:
            model = self.model.over(ids, space.width)
            if (model.precision, model.half_life) != (self.precision, self.half_life):
                model = attrs.evolve(model, precision=self.precision, half_life=self.half_life)
        return attrs.evolve(self, model=model)

    def learn(self, feedback: Feedback, /) -> Self:
        """Return the policy that has also seen this feedback.

        Raises:
            LearningError: The feedback is not finite, or about other actions or features.
        """
        return attrs.evolve(self, model=self.fitted.observe(feedback))

    @property
    def fitted(self) -> LinearModel:
        """The model; there is one once the policy is bound.

        Raises:
            ConfigurationError: The policy is not bound.
        """
        if self.model is None:
            raise ConfigurationError(
                f"{type(self).__name__} is not bound to an agent yet: pass it to Agent, or call bind(space)"
            )
        return self.model

    def explain(self, batch: Batch, row: int, /) -> dict[str, float]:
        """Contribution of each column of ``X``, by its number, to the best candidate's expected reward."""
        model = self.fitted
        score = np.where(batch.allowed[row], model.mean(batch.X[row : row + 1])[0], -np.inf)
        parts = batch.X[row] * model.theta[:, int(np.argmax(score))]
        return {str(i): float(part) for i, part in enumerate(parts)}


def _best(score: F64, batch: Batch) -> NDArray[np.int64]:
    """Column of the highest allowed score; ties go to the smaller action id."""
    best: NDArray[np.int64] = np.where(batch.allowed, score, -np.inf).argmax(axis=1)
    return best


def _many(batch: Batch) -> NDArray[np.int64]:
    """How many candidates are allowed, at least 1: shape (n, 1)."""
    many: NDArray[np.int64] = batch.allowed.sum(axis=1, keepdims=True)
    return np.maximum(many, 1)


@attrs.frozen(kw_only=True, eq=False)
class LinearThompson(_Linear):
    """Thompson sampling over one Bayesian linear model per action, with exact probabilities.

    Each candidate's expected reward is a normal with the model's mean and ``exploration`` times its
    standard deviation; the weight of a candidate is the probability that it is the largest.

    Attributes:
        exploration: Factor on the posterior standard deviation, > 0.

    Source: Agrawal & Goyal 2013, Thompson sampling for contextual bandits with linear payoffs,
    algorithm 1. Ours has a model per action, pools the noise estimate over all residuals, and returns
    the win probabilities (``agentic._numerics.win_probabilities``) where theirs draws one sample.
    """

    name: ClassVar[str] = "linear_thompson"
    exploration: float = attrs.field(default=0.3, validator=_positive("factor on the standard deviation"))

    def propose(self, batch: Batch, /) -> Proposal:
        """Weigh candidates by the probability that each is best."""
        model = self.fitted
        mean = model.mean(batch.X)
        spread = model.spread(batch.X)
        wide = spread * self.exploration
        np.maximum(wide, _TINY, out=wide)
        return Proposal(win_probabilities(mean, wide, batch.allowed), mean, spread)


@attrs.frozen(kw_only=True, eq=False)
class LinearUCB(_Linear):
    """Optimism: the candidate with the highest upper bound of its expected reward.

    All weight goes to one candidate; give the agent an ``exploration_floor`` where the log must
    support off-policy evaluation.

    Attributes:
        alpha: Standard deviations added to the mean, > 0.

    Source: Li, Chu, Langford & Schapire 2010, A contextual-bandit approach to personalized news
    article recommendation, algorithm 1. Ours scales the bound by the estimated noise.
    """

    name: ClassVar[str] = "linear_ucb"
    alpha: float = attrs.field(default=1.0, validator=_positive("standard deviations"))

    def propose(self, batch: Batch, /) -> Proposal:
        """Put all weight on the highest bound."""
        model = self.fitted
        mean, spread = model.mean(batch.X), model.spread(batch.X)
        weights = np.zeros(mean.shape)
        weights[np.arange(len(batch)), _best(mean + self.alpha * spread, batch)] = 1.0
        return Proposal(weights, mean, spread)


@attrs.frozen(kw_only=True, eq=False)
class SquareCB(_Linear):
    """Inverse gap weighting: the further behind the best, the less likely. Frugal: no variances.

    With m allowed candidates, one that is ``gap`` behind the best gets 1 / (m + gamma * gap), and the
    best gets the rest; gamma = ``gamma`` * observations ** ``exponent``.

    Attributes:
        gamma: How fast exploration is concentrated, > 0, in 1 / units of reward.
        exponent: Growth of gamma with what was observed, from 0 to 1.

    Source: Foster & Rakhlin 2020, Beyond UCB: optimal and efficient contextual bandits with regression
    oracles, algorithm 1; the schedule is the one of Vowpal Wabbit.
    """

    name: ClassVar[str] = "square_cb"
    gamma: float = attrs.field(default=10.0, validator=_positive("1 / units of reward"))
    exponent: float = attrs.field(default=0.5, validator=_share)

    def propose(self, batch: Batch, /) -> Proposal:
        """Weigh candidates by the inverse of their gap."""
        model = self.fitted
        mean = model.mean(batch.X)
        gamma = self.gamma * max(float(model.count.sum()), 1.0) ** self.exponent
        best = _best(mean, batch)
        rows = np.arange(len(batch))
        # Only what is not allowed can be ahead of the best, and its weight is 0 anyway.
        gap = np.maximum(mean[rows, best][:, None] - mean, 0.0)
        weights = batch.allowed / (_many(batch) + gamma * gap)
        weights[rows, best] = 0.0
        weights[rows, best] = 1.0 - np.add.accumulate(weights, axis=1)[:, -1]
        return Proposal(weights, mean)


@attrs.frozen(kw_only=True, eq=False)
class EpsilonGreedy(_Linear):
    """The best candidate, except for a share of decisions that go to any allowed one.

    Attributes:
        epsilon: That share, from 0 to 1.
    """

    name: ClassVar[str] = "epsilon_greedy"
    epsilon: float = attrs.field(default=0.1, validator=_share)

    def propose(self, batch: Batch, /) -> Proposal:
        """Give every candidate its part of epsilon and the best one the rest."""
        mean = self.fitted.mean(batch.X)
        weights = batch.allowed * (self.epsilon / _many(batch))
        weights[np.arange(len(batch)), _best(mean, batch)] += 1.0 - self.epsilon
        return Proposal(weights, mean)


@attrs.frozen(kw_only=True, eq=False)
class Softmax(_Linear):
    """Candidates in proportion to exp(expected reward / temperature).

    Attributes:
        temperature: In units of reward, > 0; small is greedy.
    """

    name: ClassVar[str] = "softmax"
    temperature: float = attrs.field(default=0.1, validator=_positive("units of reward"))

    def propose(self, batch: Batch, /) -> Proposal:
        """Weigh candidates by their exponentiated score."""
        mean = self.fitted.mean(batch.X)
        top = mean[np.arange(len(batch)), _best(mean, batch)][:, None]
        # Bounded before the division, so that no temperature overflows: exp(-800) is 0.
        ahead = np.clip(mean - top, -800.0 * self.temperature, 0.0)
        weights: F64 = np.exp(ahead / self.temperature)
        weights *= batch.allowed
        return Proposal(weights, mean)
