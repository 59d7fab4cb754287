"""A linear model of the reward per action, and the policies that rank by it."""

from __future__ import annotations

from collections.abc import Mapping
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


@attrs.frozen(eq=False)
class LinearModel:
    """Ridge regression of the reward on the features, one for each action.

    Keeps sufficient statistics that add, so that batches, shards and hosts merge to the same model.
    The reward noise is one number, estimated from the residuals of all actions, with one observation's
    worth of prior.

    Attributes:
        precision: Prior precision of every coefficient, > 0.
        half_life: Time after which an observation counts half; ``None`` never forgets.
        ids: Action ids, in the order of the arrays below.
        gram: Shape (k, d, d): sums of x x'.
        moment: Shape (k, d): sums of x times reward.
        count: Shape (k,): observations, forgetting applied.
        square: Shape (k,): sums of squared rewards.
        as_of: Microseconds since 1970 that the sums are discounted to.
    """

    precision: float
    half_life: timedelta | None
    ids: tuple[str, ...]
    gram: F64
    moment: F64
    count: F64
    square: F64
    as_of: int = 0
    theta: F64 = attrs.field(init=False, repr=False)
    root: NDArray[np.float32] = attrs.field(init=False, repr=False)
    noise: float = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        k, d = self.moment.shape
        ridge = self.gram + self.precision * np.eye(d)
        lower = np.linalg.inv(np.linalg.cholesky(ridge))
        upper = lower.transpose(0, 2, 1)
        theta = np.matmul(upper, np.matmul(lower, self.moment[:, :, None]))[:, :, 0]
        residual = np.maximum(self.square - np.sum(theta * self.moment, axis=1), 0.0).sum()
        noise = np.sqrt((0.25 + residual) / (1.0 + self.count.sum()))
        root = upper.transpose(1, 0, 2).reshape(d, k * d).astype(np.float32)
        for name, value in (
            ("theta", np.ascontiguousarray(theta.T)),
            ("root", root),
            ("noise", float(noise)),
        ):
            if isinstance(value, np.ndarray):
                value.flags.writeable = False
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
        fresh = type(self).zero(ids, width, self.precision, self.half_life)
        old = {action_id: i for i, action_id in enumerate(self.ids)}
        new = [(i, old[action_id]) for i, action_id in enumerate(ids) if action_id in old]
        to, source = [i for i, _ in new], [j for _, j in new]
        for mine, theirs in (
            (fresh.gram, self.gram),
            (fresh.moment, self.moment),
            (fresh.count, self.count),
            (fresh.square, self.square),
        ):
            mine[to] = theirs[source]
        return type(self)(
            self.precision,
            self.half_life,
            ids,
            fresh.gram,
            fresh.moment,
            fresh.count,
            fresh.square,
            self.as_of,
        )

    def _fade(self, micros: NDArray[np.int64] | int) -> Any:  # float or array, as the argument
        if self.half_life is None:
            return np.ones_like(micros, dtype=np.float64)
        return 0.5 ** (np.maximum(micros, 0) / (self.half_life / timedelta(microseconds=1)))

    def observe(self, feedback: Feedback, /) -> Self:
        """The model that has also seen this feedback.

        Raises:
            LearningError: A reward or feature is not finite.
        """
        if not len(feedback):
            return self
        if not (np.isfinite(feedback.reward).all() and np.isfinite(feedback.X).all()):
            raise LearningError("feedback must be finite: a reward or a feature is nan or infinite")
        as_of = max(self.as_of, int(feedback.at.max()))
        keep = float(self._fade(as_of - self.as_of))
        gram, moment = self.gram * keep, self.moment * keep
        count, square = self.count * keep, self.square * keep
        weight = self._fade(as_of - feedback.at)
        order = np.argsort(feedback.action, kind="stable")
        actions = feedback.action[order]
        X, reward, weight = feedback.X[order], feedback.reward[order], weight[order]
        starts = np.flatnonzero(np.diff(actions, prepend=-1))
        for lo, hi in zip(starts.tolist(), [*starts[1:].tolist(), len(actions)], strict=True):
            action = int(actions[lo])
            rows, weighted = X[lo:hi], X[lo:hi] * weight[lo:hi, None]
            gram[action] += weighted.T @ rows
            moment[action] += reward[lo:hi] @ weighted
            count[action] += weight[lo:hi].sum()
            square[action] += weight[lo:hi] @ (reward[lo:hi] ** 2)
        return type(self)(self.precision, self.half_life, self.ids, gram, moment, count, square, as_of)

    def merge(self, other: Self, /) -> Self:
        """The model that has seen what either has seen; the two must not share observations.

        Raises:
            LearningError: They are models of different actions or features.
        """
        if other.ids != self.ids or other.moment.shape != self.moment.shape:
            raise LearningError("only models of the same actions and features merge", value=other.ids)
        as_of = max(self.as_of, other.as_of)
        mine, theirs = float(self._fade(as_of - self.as_of)), float(self._fade(as_of - other.as_of))
        return type(self)(
            self.precision,
            self.half_life,
            self.ids,
            self.gram * mine + other.gram * theirs,
            self.moment * mine + other.moment * theirs,
            self.count * mine + other.count * theirs,
            self.square * mine + other.square * theirs,
            as_of,
        )

    def mean(self, X: F64, /) -> F64:
        """Expected reward, shape (n, k)."""
        scores: F64 = matmul(X, self.theta)
        return scores

    def spread(self, X: F64, /) -> F64:
        """Standard deviation of the expected reward under the posterior, shape (n, k).

        Computed in float32: a spread needs no more.
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


def _positive(what: str) -> Any:  # an attrs validator
    def check(_: object, attribute: attrs.Attribute[float], value: object) -> None:
        good = isinstance(value, int | float) and not isinstance(value, bool)
        if not good or not 0 < value < float("inf"):  # type: ignore[operator]  # narrowed by `good`
            raise ConfigurationError(
                f"{attribute.name} must be a positive number ({what}), got {value!r}", value=value
            )

    return check


def _share(_: object, attribute: attrs.Attribute[float], value: object) -> None:
    good = isinstance(value, int | float) and not isinstance(value, bool)
    if not good or not 0 <= value <= 1:  # type: ignore[operator]  # narrowed by `good`
        raise ConfigurationError(f"{attribute.name} must be from 0 to 1, got {value!r}", value=value)


def _optional_span(_: object, attribute: attrs.Attribute[timedelta | None], value: object) -> None:
    if value is not None and (not isinstance(value, timedelta) or value <= timedelta(0)):
        raise ConfigurationError(
            f"{attribute.name} must be a positive timedelta or None, got {value!r}", value=value
        )


@attrs.frozen(kw_only=True, eq=False)
class _Linear:
    """What the linear policies share: a model that is fitted to the space and learns."""

    precision: float = attrs.field(default=1.0, validator=_positive("prior precision of a coefficient"))
    half_life: timedelta | None = attrs.field(default=None, validator=_optional_span)
    model: LinearModel | None = None

    def bind(self, space: Space, /) -> Self:
        """Size the model for the catalogue and features, keeping what was learned."""
        ids = space.catalogue.ids
        model = (
            LinearModel.zero(ids, space.width, self.precision, self.half_life)
            if self.model is None
            else self.model.over(ids, space.width)
        )
        return attrs.evolve(self, model=model)

    def learn(self, feedback: Feedback, /) -> Self:
        """Return the policy that has also seen this feedback."""
        return attrs.evolve(self, model=self.fitted.observe(feedback))

    @property
    def fitted(self) -> LinearModel:
        """The model; there is one once the policy is bound."""
        if self.model is None:
            raise ConfigurationError(
                f"{type(self).__name__} is not bound to an agent yet: pass it to Agent, or call bind(space)"
            )
        return self.model

    def explain(self, batch: Batch, row: int, /) -> Mapping[str, float]:
        """Contribution of each feature column to the best candidate's expected reward."""
        model = self.fitted
        score = np.where(batch.allowed[row], model.mean(batch.X[row : row + 1])[0], -np.inf)
        parts = batch.X[row] * model.theta[:, int(np.argmax(score))]
        return {str(i): float(part) for i, part in enumerate(parts)}


def _best(score: F64, batch: Batch) -> NDArray[np.int64]:
    """Column of the highest allowed score; ties go to the smaller action id."""
    best: NDArray[np.int64] = np.argmax(np.where(batch.allowed, score, -np.inf), axis=1)
    return best


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
        spread *= self.exploration
        np.maximum(spread, _TINY, out=spread)
        return Proposal(win_probabilities(mean, spread, batch.allowed), mean, spread)


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
        gap = mean[rows, best][:, None] - mean
        many = batch.allowed.sum(axis=1, keepdims=True)
        with np.errstate(divide="ignore"):
            weights = np.where(batch.allowed, 1.0 / (many + gamma * np.maximum(gap, 0.0)), 0.0)
        weights[rows, best] = 0.0
        weights[rows, best] = 1.0 - np.cumsum(weights, axis=1)[:, -1]
        np.maximum(weights, 0.0, out=weights)
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
        many = np.maximum(batch.allowed.sum(axis=1, keepdims=True), 1)
        weights = np.where(batch.allowed, self.epsilon / many, 0.0)
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
        top = np.where(batch.allowed, mean, -np.inf).max(axis=1, keepdims=True)
        weights = np.where(batch.allowed, np.exp(np.minimum(mean - top, 0.0) / self.temperature), 0.0)
        return Proposal(weights, mean)
