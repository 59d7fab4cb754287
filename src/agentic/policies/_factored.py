"""Thompson sampling over what actions have in common: the levels of their dimensions."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any, ClassVar, Final, Self

import attrs
import numpy as np
from numpy.typing import NDArray

from agentic._numerics import matmul, win_probabilities
from agentic.arrays import F64, I64, Batch, Feedback, Proposal, Space
from agentic.catalogue import Catalogue
from agentic.errors import ConfigurationError, LearningError
from agentic.policies._checks import LARGEST, not_negative, optional_span, positive
from agentic.policies._linear import NARROWEST, eagerness
from agentic.policies._ridge import inverse_root, noise_of, scales_of

_ROWS_AT_ONCE: Final = 512


@attrs.frozen(eq=False)
class _Solved:
    """What follows from the sums, and which action has which level: ``has``, shape (levels, k), 0 or 1."""

    has: F64
    theta: F64
    root: NDArray[np.float32]
    level: float
    noise: float


@attrs.frozen(kw_only=True, eq=False)
class FactoredThompson:
    """Thompson sampling where an action's reward is the sum of what its levels earn.

    Every level of every dimension has coefficients for the features, and an action's expected reward is the
    sum over its levels: what is learned of one action is learned of all that share a level with it, so a
    thousand actions need about as many rewards as they have levels, and a new combination of known levels
    is known. What only the combination earns is not seen. An action without dimensions, such as doing
    nothing, is a level of its own.

    The posterior mean is that of all coefficients together; the spread of an action adds up the variances of
    its levels as if the others were known (the mean-field approximation), so the cost of a row grows with
    the number of levels and not with that of actions, but for adding up and weighing.

    Attributes:
        precision: As of ``LinearModel``, for each level.
        half_life: Time after which an observation counts half; ``None`` never forgets.
        exploration: Factor on the standard deviation, > 0; both as ``LinearThompson`` uses them.
        optimism: Standard deviations added to the mean, not negative.
        levels: ``dimension=level`` of each level, in the order of the arrays below; empty until bound.
        gram: Shape (levels, levels, d, d), float64: sums of x x' where an action has both.
        moment: Shape (levels, d), float64: sums of x times reward.
        total: Sum of rewards.
        square: Sum of squared rewards.
        count: Observations, forgetting applied.
        as_of: Microseconds since 1970 that the sums are discounted to.
        places: Shape (k, most dimensions), int64: levels of each action, padded with their number.

    Source: Li, Chu, Langford & Schapire 2010, section 3.2, for sharing between actions. Ours shares
    through levels, and returns win probabilities.
    """

    name: ClassVar[str] = "factored_thompson"
    precision: float = attrs.field(default=8.0, validator=positive("prior precision of a coefficient"))
    half_life: timedelta | None = attrs.field(default=None, validator=optional_span)
    exploration: float = attrs.field(default=0.2, validator=positive("factor on the standard deviation"))
    optimism: float = attrs.field(default=0.5, validator=not_negative("standard deviations"))
    levels: tuple[str, ...] = ()
    gram: F64 = attrs.field(factory=lambda: np.zeros((0, 0, 0, 0)))
    moment: F64 = attrs.field(factory=lambda: np.zeros((0, 0)))
    total: float = 0.0
    square: float = 0.0
    count: float = 0.0
    as_of: int = 0
    places: I64 = attrs.field(factory=lambda: np.zeros((0, 0), dtype=np.int64))
    # Derived: the ids that ``places`` is about, and the solution, safe to fill from many threads.
    _ids: tuple[str, ...] = attrs.field(default=(), alias="ids", repr=False, metadata={"derived": True})
    _known: dict[str, _Solved] = attrs.field(factory=dict, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        size, d = len(self.levels), self.moment.shape[-1]
        if self.moment.shape != (size, d) or self.gram.shape != (size, size, d, d) or self.places.ndim != 2:
            raise ConfigurationError(
                f"sums of {size} levels need gram ({size}, {size}, d, d), moment ({size}, d) and places"
                f" (k, most), got {self.gram.shape}, {self.moment.shape} and {self.places.shape}",
                value=self.moment.shape,
            )

    def bind(self, space: Space, /) -> Self:
        """Size the model for the levels and features, keeping what was learned; levels are matched by name.

        Raises:
            ConfigurationError: The features have another width than those the model has seen.
        """
        d = self.moment.shape[1]
        if self.levels and d != space.width:
            raise ConfigurationError(
                f"the model has seen {d} feature columns, the agent encodes {space.width}:"
                " start a new policy when features change",
                value=space.width,
                expected=d,
            )
        named, places = _levels(space.catalogue)
        # What is known of levels that are gone for now is kept.
        levels = (*self.levels, *(level for level in named if level not in self.levels))
        to = {level: i for i, level in enumerate(levels)}
        index = np.array([*(to[level] for level in named), len(levels)])
        gram = np.zeros((len(levels), len(levels), space.width, space.width))
        moment = np.zeros((len(levels), space.width))
        old = len(self.levels)
        if old:
            gram[:old, :old], moment[:old] = self.gram, self.moment
        return attrs.evolve(
            self, levels=levels, gram=gram, moment=moment, places=index[places], ids=space.catalogue.ids
        )

    def learn(self, feedback: Feedback, /) -> Self:
        """Return the policy that has also seen this feedback.

        Raises:
            LearningError: The feedback is not finite, or about other actions or features.
        """
        self._bound()
        if feedback.catalogue.ids != self._ids or feedback.X.shape[1] != self.moment.shape[1]:
            raise LearningError(
                f"the policy is of {len(self._ids)} actions and {self.moment.shape[1]} feature columns, the"
                f" feedback of {len(feedback.catalogue)} and {feedback.X.shape[1]}, or of others: bind the"
                " policy to the catalogue of the feedback",
                value=feedback.catalogue.ids,
                expected=self._ids,
            )
        if not len(feedback):
            return self
        for values, what in ((feedback.reward, "reward"), (feedback.X, "feature")):
            if not (np.minimum.reduce(values, axis=None) > -LARGEST) or not (
                np.maximum.reduce(values, axis=None) < LARGEST
            ):
                raise LearningError(
                    f"feedback must be finite and within {LARGEST:g}, got a {what} that is not: leave such"
                    " rows out",
                    value=what,
                )
        action = feedback.action
        if action.min() < 0 or action.max() >= len(self._ids):
            raise LearningError(
                f"an action is a column from 0 to {len(self._ids) - 1}, got {int(action.min())} to"
                f" {int(action.max())}",
                value=(int(action.min()), int(action.max())),
            )
        as_of = max(self.as_of, int(feedback.at.max()))
        keep = self._fade(as_of - self.as_of)
        weight = np.broadcast_to(self._fade(as_of - feedback.at), (len(action),))
        gram, moment = self.gram * keep, self.moment * keep
        order = np.argsort(action, kind="stable")
        action, X, reward, weight = action[order], feedback.X[order], feedback.reward[order], weight[order]
        bounds = [0, *((action[1:] != action[:-1]).nonzero()[0] + 1).tolist(), len(action)]
        for lo, hi in itertools.pairwise(bounds):
            rows = X[lo:hi] * weight[lo:hi, None]
            outer, total = rows.T @ X[lo:hi], reward[lo:hi] @ rows
            mine = [place for place in self.places[action[lo]].tolist() if place < len(self.levels)]
            for one in mine:
                moment[one] += total
                for other in mine:
                    gram[one, other] += outer
        return attrs.evolve(
            self,
            gram=gram,
            moment=moment,
            total=self.total * keep + float(weight @ reward),
            square=self.square * keep + float(weight @ (reward * reward)),
            count=self.count * keep + float(weight.sum()),
            as_of=as_of,
        )

    def _fade(self, age_us: Any) -> Any:  # int to float, array to array
        """What is left of an observation of this age."""
        if self.half_life is None:
            return 1.0
        return 0.5 ** (age_us / (self.half_life / timedelta(microseconds=1)))

    def _bound(self) -> None:
        if not self.levels:
            raise ConfigurationError(
                "FactoredThompson is not bound to an agent yet: pass it to Agent, or call bind(space)"
            )

    @property
    def _posterior(self) -> _Solved:
        """The posterior, solved at the first look."""
        known = self._known.get("it")
        if known is None:
            known = self._known["it"] = self._solve()
        return known

    def _solve(self) -> _Solved:
        size, d = self.moment.shape
        blocks = self.gram[np.arange(size), np.arange(size)]
        scale = scales_of(np.einsum("lii->i", blocks), blocks[:, -1].sum(axis=0))
        prior = self.precision * scale
        prior[-1] = min(self.precision, 1.0)
        joint = self.gram.transpose(0, 2, 1, 3).reshape(size * d, size * d)
        # What rewards of 1 would have for a moment: the sums of the features by level.
        total = blocks[:, -1].ravel()
        lower = inverse_root(joint[None], np.tile(prior, size))[0]
        parts = lower.T @ (lower @ np.column_stack([self.moment.ravel(), total]))
        by_moment, by_total = parts[:, 0], parts[:, 1]
        reward = self.total
        untold = self.count - float(total @ by_total)
        level = (reward - float(total @ by_moment)) / untold if untold > 0.0 else 0.0
        theta = by_moment - level * by_total
        varied = max(self.square - level * (2.0 * reward - level * self.count), 0.0)
        residual = max(varied - float(theta @ (self.moment.ravel() - level * total)), 0.0)
        noise = noise_of(varied, residual, self.count, self.square)
        root = inverse_root(blocks, prior).transpose(0, 2, 1)
        wide = np.ascontiguousarray(root.transpose(1, 0, 2).reshape(d, size * d), dtype=np.float32)
        has = (self.places[:, :, None] == np.arange(size)).any(axis=1).T.astype(np.float64)
        return _Solved(has, np.ascontiguousarray(theta.reshape(size, d).T), wide, level, noise)

    def propose(self, batch: Batch, /) -> Proposal:
        """Weigh candidates by the probability that each is best."""
        self._bound()
        solution = self._posterior
        size, d = self.moment.shape
        rows = batch.X.astype(np.float32)
        variance = np.empty((len(rows), size), dtype=np.float32)
        for lo in range(0, len(rows), _ROWS_AT_ONCE):
            parts = matmul(rows[lo : lo + _ROWS_AT_ONCE], solution.root).reshape(-1, size, d)
            variance[lo : lo + _ROWS_AT_ONCE] = np.einsum("nld,nld->nl", parts, parts)
        score = matmul(matmul(batch.X, solution.theta), solution.has)
        score += solution.level
        spread = matmul(variance, solution.has.astype(np.float32)).astype(np.float64)
        np.sqrt(spread, out=spread)
        spread *= solution.noise
        early = eagerness(self.count, len(self.levels))
        wide = np.maximum(spread * (self.exploration * early), NARROWEST)
        centre = score + spread * (self.optimism * early)
        return Proposal(win_probabilities(centre, wide, batch.allowed), score, spread)


def _levels(catalogue: Catalogue) -> tuple[list[str], I64]:
    """Levels by name, sorted; and for each action its levels (k, most), padded with their number."""
    named = [
        sorted(f"{dimension}={level}" for dimension, level in action.dimensions.items())
        or [f"action={action.id}"]
        for action in catalogue.actions
    ]
    levels = sorted(set(itertools.chain.from_iterable(named)))
    to = {level: i for i, level in enumerate(levels)}
    places = np.full((len(named), max(map(len, named))), len(levels), dtype=np.int64)
    for row, each in zip(places, named, strict=True):
        row[: len(each)] = [to[level] for level in each]
    return levels, places
