"""Policies that rank by a linear model of the reward."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar, Final, Self

import attrs
import numpy as np
from numpy.typing import NDArray

from agentic._numerics import win_probabilities
from agentic.arrays import F64, Batch, Bools, Feedback, Proposal, Space
from agentic.errors import ConfigurationError
from agentic.policies._checks import not_negative, optional_span, positive, share
from agentic.policies._linear_model import LinearModel

NARROWEST: Final = 1e-9
"""Standard deviations that win probabilities are worked out with are no smaller."""

# What exploration and optimism gain at the start, and observations per action at which half of it is left.
_EARLY, _SETTLED = 2.0, 30.0


def _optional_model(_: object, __: object, value: Any) -> None:  # may be anything
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

    precision: float = attrs.field(default=8.0, validator=positive("prior precision of a coefficient"))
    half_life: timedelta | None = attrs.field(default=None, validator=optional_span)
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


def eagerness(count: float, models: int, /) -> float:
    """What exploration is multiplied by while little is known: from 3 down to 1.

    Args:
        count: Observations.
        models: Over which they are spread.
    """
    return 1.0 + _EARLY / (1.0 + count / (models * _SETTLED))


@attrs.frozen(kw_only=True, eq=False)
class LinearThompson(_Linear):
    """Thompson sampling over one Bayesian linear model per action, with exact probabilities.

    Each candidate's expected reward is a normal whose mean is the model's plus ``optimism`` standard
    deviations and whose standard deviation is ``exploration`` times the model's; the weight of a candidate is
    the probability that it is the largest. Optimism finds out about what is uncertain; chance keeps every
    candidate that may be best in the log, and a batch that is decided before the next reward from going one
    way. Units of rewards and features do not matter: see ``LinearModel``.

    A noise that was estimated from few residuals per action is not to be trusted: both factors start at three
    times their value, and have come half the way down when an action has been observed thirty times on
    average.

    Attributes:
        exploration: Factor on the posterior standard deviation, > 0.
        optimism: Posterior standard deviations added to the mean, not negative. 0 is plain Thompson sampling.

    Source: Agrawal & Goyal 2013, Thompson sampling for contextual bandits with linear payoffs,
    algorithm 1; Li, Chu, Langford & Schapire 2010, A contextual-bandit approach to personalized news article
    recommendation, algorithm 1, for the optimism. Ours has a model per action, pools the noise estimate over
    all residuals, and returns the win probabilities (``agentic._numerics.win_probabilities``) where theirs
    draws one sample.
    """

    name: ClassVar[str] = "linear_thompson"
    exploration: float = attrs.field(default=0.2, validator=positive("factor on the standard deviation"))
    optimism: float = attrs.field(default=0.5, validator=not_negative("standard deviations"))

    def propose(self, batch: Batch, /) -> Proposal:
        """Weigh candidates by the probability that each is best."""
        mean, spread = self.fitted.mean(batch.X), self.fitted.spread(batch.X)
        return Proposal(self.wins(mean, spread, batch.allowed), mean, spread)

    def wins(self, mean: F64, spread: F64, allowed: Bools, /) -> F64:
        """Probability that each candidate is drawn as the best, shape (n, k).

        Args:
            mean: Shape (n, k), expected rewards.
            spread: Shape (n, k), their posterior standard deviations.
            allowed: Shape (n, k); others get 0.
        """
        early = eagerness(float(np.add.reduce(self.fitted.count)), len(self.fitted.ids))
        wide = spread * (self.exploration * early)
        np.maximum(wide, NARROWEST, out=wide)
        return win_probabilities(mean + spread * (self.optimism * early), wide, allowed)


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
    alpha: float = attrs.field(default=1.0, validator=positive("standard deviations"))

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
    gamma: float = attrs.field(default=10.0, validator=positive("1 / units of reward"))
    exponent: float = attrs.field(default=0.5, validator=share)

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
    epsilon: float = attrs.field(default=0.1, validator=share)

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
    temperature: float = attrs.field(default=0.1, validator=positive("units of reward"))

    def propose(self, batch: Batch, /) -> Proposal:
        """Weigh candidates by their exponentiated score."""
        mean = self.fitted.mean(batch.X)
        top = mean[np.arange(len(batch)), _best(mean, batch)][:, None]
        # Bounded before the division, so that no temperature overflows: exp(-800) is 0.
        ahead = np.clip(mean - top, -800.0 * self.temperature, 0.0)
        weights: F64 = np.exp(ahead / self.temperature)
        weights *= batch.allowed
        return Proposal(weights, mean)
