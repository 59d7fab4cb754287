"""What a linear policy cannot see: bends, and features that matter together."""

from __future__ import annotations

from typing import Any, ClassVar, Final, Self

import attrs
import numpy as np

from agentic._numerics import matmul, padded
from agentic.arrays import F64, U64, Batch, Feedback, Field, Proposal, Records, Space
from agentic.errors import ConfigurationError
from agentic.policies._checks import whole
from agentic.policies._combine import bound, held, member, reminded, taught
from agentic.policies._linear import LinearThompson

_FAR: Final = 3.0


@attrs.frozen(eq=False)
class Lens:
    """Turns features into the columns of ``RandomFeatures``: fixed numbers, so that sums over them add.

    Attributes:
        centre: Shape (d - 1,), float64: mean of each feature without the constant.
        size: Shape (d - 1,), float64: its standard deviation, > 0.
        directions: Shape (d - 1, width), float64, of length sqrt(d - 1) each.
        offset: Shape (width,), float64: where each direction bends.
    """

    centre: F64
    size: F64
    directions: F64
    offset: F64

    def __attrs_post_init__(self) -> None:
        m, width = self.centre.shape, self.offset.shape
        if not len(m) == len(width) == 1 or self.size.shape != m or self.directions.shape != m + width:
            raise ConfigurationError(
                "a lens needs centre and size (d - 1,), directions (d - 1, width) and offset (width,), got"
                f" {m}, {self.size.shape}, {self.directions.shape} and {width}",
                value=self.directions.shape,
            )

    @classmethod
    def of(cls, X: F64, width: int, seed: int, /) -> Lens:
        """The lens for rows like these, shape (n, d), whose last column is the constant."""
        rows = X[:, :-1]
        m = rows.shape[1]
        dice = np.random.default_rng([seed, width, m])
        turns = [
            np.linalg.qr(dice.standard_normal((m, m)))[0] for _ in range(-(-width // max(m, 1)) if m else 0)
        ]
        directions = np.concatenate(turns, axis=1)[:, :width] if turns else np.zeros((m, width))
        deviation = rows.std(axis=0)
        return cls(
            rows.mean(axis=0),
            np.where(deviation > 0.0, deviation, 1.0),
            np.ascontiguousarray(directions),
            dice.standard_normal(width),
        )

    def seen(self, X: F64, /) -> F64:
        """Columns for rows (n, d): (n, d + width). A row's depend on that row alone, bit for bit."""
        n, m = len(X), len(self.centre)
        rows = padded(np.clip((X[:, :-1] - self.centre) / self.size, -_FAR, _FAR))
        length = np.add.reduce(np.ascontiguousarray((rows * rows).T), axis=0) if m else np.zeros(len(rows))
        rows *= np.sqrt(2.0 / (1.0 + length / max(m, 1)))[:, None]
        out = np.ones((n, m + len(self.offset) + 1))
        out[:, :m] = rows[:n]
        out[:, m:-1] = np.abs(matmul(rows, self.directions)[:n] + self.offset)
        return out


@attrs.frozen(kw_only=True, eq=False)
class RandomFeatures:
    """A policy over more columns than the agent encodes: ``width`` random bends beside the features.

    Features are standardised, drawn in where they lie far out, and joined by columns ``|w'x + b|`` for random
    orthogonal directions w and normal offsets b; over these a linear policy is the random-feature form of a
    kernel machine, and its statistics still add. Where lines are enough it needs more rewards to find that
    out, so take it where ``evaluate`` or the benchmark says that it pays.

    What standard is, the first ``warmup`` rewards tell. Until they are there, lens and policy inside are made
    anew from those there are; then the lens is fixed. From there on statistics add, and policies that shall
    be merged start from one whose lens is fixed.

    Cost: that of the policy inside for ``d + width`` columns: for a decision of k candidates about
    2 k (d + width)^2 operations in float32, for the first decision after learning (d + width)^3 for each
    action that rewards were about.

    Attributes:
        policy: Decides over the columns; one that is linear in ``X``.
        width: Bends, from 0 to 16,384.
        seed: Of the directions.
        warmup: Rewards after which the lens is fixed, >= 1.
        lens: What turns features into columns; ``None`` before the first reward.
        waiting: All feedback there was, until the lens is fixed; then ``None``.
        untaught: The policy inside as it was before, likewise.

    Source: Rahimi & Recht 2007, Random features for large-scale kernel machines; Cho & Saul 2009, Kernel
    methods for deep learning, section 2, for the kernel of the bends; Yu, Suresh, Choromanski,
    Holtmann-Rice & Kumar 2016, Orthogonal random features. Ours keeps the features themselves as columns.
    """

    name: ClassVar[str] = "random_features"
    policy: Any = attrs.field(  # Policy; attrs resolves annotations
        factory=lambda: LinearThompson(precision=48.0), converter=member
    )
    width: int = attrs.field(default=256, validator=whole(0, 16_384))
    seed: int = attrs.field(default=0, validator=whole(0))
    warmup: int = attrs.field(default=50, validator=whole(1))
    lens: Lens | None = None
    waiting: Feedback | None = None
    untaught: Any = None  # Policy | None; as above

    def bind(self, space: Space, /) -> Self:
        """Bind the policy inside to the columns it will see.

        Raises:
            ConfigurationError: The features have another width than those the lens was made for.
        """
        had = None if self.lens is None else len(self.lens.centre) + 1
        if had is not None and had != space.width:
            raise ConfigurationError(
                f"the lens is for {had} feature columns, the agent encodes {space.width}:"
                " start a new policy when features change",
                value=space.width,
                expected=had,
            )
        bends = tuple(f"bend:{i}" for i in range(self.width))
        inner = attrs.evolve(
            space, width=space.width + self.width, encoded=(*space.encoded[:-1], *bends, space.encoded[-1])
        )
        if self.waiting is None:
            return attrs.evolve(self, policy=bound(self.policy, inner))
        start = attrs.evolve(self, policy=bound(self.untaught, inner), lens=None, waiting=None, untaught=None)
        return start.learn(_over(self.waiting, space))

    def learn(self, feedback: Feedback, /) -> Self:
        """Return the policy that has also seen this feedback.

        Raises:
            LearningError: The policy inside cannot learn from it.
        """
        if not len(feedback):
            return self
        if self.lens is not None and self.waiting is None:
            return attrs.evolve(self, policy=taught(self.policy, self._seen(self.lens, feedback)))
        untaught = self.policy if self.waiting is None else self.untaught
        # What records hold is for those who remember, now; it is not kept.
        held_back = feedback.columns or feedback.rows is not None or feedback.subject is not None
        bare = attrs.evolve(feedback, columns={}, rows=None, subject=None) if held_back else feedback
        known = bare if self.waiting is None else _joined(self.waiting, bare)
        lens = Lens.of(known.X, self.width, self.seed)
        policy = taught(untaught, self._seen(lens, known))
        if len(known) >= self.warmup:
            return attrs.evolve(self, policy=policy, lens=lens, waiting=None, untaught=None)
        return attrs.evolve(self, policy=policy, lens=lens, waiting=known, untaught=untaught)

    def unlearn(self, keys: U64, /) -> Self:
        """Return the policy without what waits of these subjects; what was taught on cannot be found."""
        if self.waiting is None:
            return self
        theirs = np.isin(self.waiting.keys, keys)
        if not theirs.any():
            return self
        start = attrs.evolve(self, policy=self.untaught, lens=None, waiting=None, untaught=None)
        return start.learn(self.waiting.take(~theirs))

    @property
    def fields(self) -> tuple[Field, ...]:
        """What the policy inside keeps about a subject."""
        return held([self.policy])

    def remember(self, feedback: Feedback, rows: Records, /) -> None:
        """Let the policy inside write it."""
        if self.lens is not None and len(feedback):
            reminded([self.policy], self._seen(self.lens, feedback), rows)

    def propose(self, batch: Batch, /) -> Proposal:
        """Ask the policy inside."""
        lens = self.lens
        if lens is None:
            X = np.zeros((len(batch), batch.X.shape[1] + self.width))
            X[:, -1] = 1.0
        else:
            X = lens.seen(batch.X)
        proposal: Proposal = self.policy.propose(attrs.evolve(batch, X=X))
        return proposal

    @staticmethod
    def _seen(lens: Lens, feedback: Feedback) -> Feedback:
        return attrs.evolve(feedback, X=lens.seen(feedback.X))


_COLUMNS: Final = ("X", "action", "reward", "probability", "allowed", "keys", "at")


def _joined(one: Feedback, other: Feedback) -> Feedback:
    columns: dict[str, Any] = {  # of several dtypes
        name: np.concatenate([getattr(one, name), getattr(other, name)]) for name in _COLUMNS
    }
    return attrs.evolve(other, **columns)


def _over(waiting: Feedback, space: Space) -> Feedback:
    """What is left of the feedback in another catalogue; actions are matched by id."""
    if waiting.catalogue.ids == space.catalogue.ids:
        return waiting
    place = {action_id: column for column, action_id in enumerate(space.catalogue.ids)}
    columns = np.array([place.get(action_id, -1) for action_id in waiting.catalogue.ids])
    keep = (columns[waiting.action] >= 0).nonzero()[0]
    rows: dict[str, Any] = {name: getattr(waiting, name)[keep] for name in _COLUMNS}  # as above
    rows["action"] = columns[rows["action"]]
    rows["allowed"] = np.ones((len(keep), len(place)), dtype=np.bool_)
    return attrs.evolve(waiting, catalogue=space.catalogue, **rows)
