"""Which policy decides for a subject, when a champion and its challengers share the customers?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, Final, Self

import attrs
import numpy as np

from agentic import _noise
from agentic.arrays import F64, I64, U64, Batch, Feedback, Field, Proposal, Records, Space
from agentic.errors import ConfigurationError
from agentic.policies._combine import bound, filled, member, taught
from agentic.protocols import Explainer, Policy, Remembers

_STREAM: Final = 0x59117  # keeps sides apart from holdouts, halves of a log and draws


def _challengers(pairs: Any) -> tuple[tuple[Policy, float], ...]:  # an iterable of pairs, or a mistake
    listed = list(pairs) if isinstance(pairs, Iterable) else None
    if listed is None or not all(isinstance(pair, tuple | list) and len(pair) == 2 for pair in listed):
        raise ConfigurationError(
            f"Split needs (challenger, share) pairs, got {pairs!r:.200}: write"
            " Split(champion, [(challenger, 0.01)])",
            value=pairs,
        )
    shares = [share for _, share in listed]
    sound = all(isinstance(share, int | float) and not isinstance(share, bool) for share in shares)
    if not sound or not all(0 < share < 1 for share in shares) or not sum(shares) < 1:
        raise ConfigurationError(
            f"shares of challengers must be above 0 and leave the champion something, got {shares!r:.200}:"
            " the champion decides for the rest",
            value=shares,
            expected="each above 0, together below 1",
        )
    return tuple((member(policy), float(share)) for policy, share in listed)


def _fitting(weights: F64, shape: tuple[int, int]) -> F64:
    given = np.asarray(weights, dtype=np.float64)
    if given.shape != shape:
        raise ValueError(f"weights must have shape {shape}, got {given.shape}")
    return given


def _salts(policy: Policy) -> Iterator[str]:
    """By which salts a policy, or one that is in it, parts the subjects."""
    if isinstance(policy, Split):
        yield policy.salt
        for each in policy.members:
            yield from _salts(each)


@attrs.frozen
class Split:
    """A champion decides for most subjects, each challenger for a share of them: canaries, A/B tests.

    A salted hash of the subject says who decides, so that a subject is always asked of the same policy, in
    every process. The probability of a decision is that of the policy that was asked. One that fails, fails
    for its own subjects only. Everyone learns from all feedback; what a policy keeps about a subject is
    written by the one who decides for the subject.

    With one challenger a growing share takes subjects from the champion, and gives none back. With several,
    the hash is cut in their order: one that grows pushes those behind it on.

    Attributes:
        champion: Decides for the rest.
        challengers: Pairs of policy and share, which is above 0; together below 1.
        salt: Another salt, other subjects. Give each new challenger one of its own, so that it is not always
            the same people who are tried on. A split inside another needs another salt than that one: by the
            same hash, a tenth of a tenth would be all of it.
    """

    name: ClassVar[str] = "split"
    learned: ClassVar[bool] = False  # itself; its members may
    champion: Any = attrs.field(converter=member)  # Policy; attrs resolves annotations
    challengers: tuple[tuple[Any, float], ...] = attrs.field(converter=_challengers, default=())
    salt: str = attrs.field(default="", kw_only=True)
    _key: int = attrs.field(init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.salt, str) or len(self.salt) > 200 or not self.salt.isascii():
            raise ConfigurationError(
                f"salt must be an ASCII text of at most 200 characters, got {self.salt!r:.200}",
                value=self.salt,
            )
        if self.salt in {salt for policy in self.members for salt in _salts(policy)}:
            raise ConfigurationError(
                f"a split has the salt {self.salt!r}, and another one that is in it too: the same hash would"
                " part the subjects twice, so that shares are not what they say: give one another salt",
                value=self.salt,
            )
        object.__setattr__(self, "_key", _noise.text_key(self.salt))

    @property
    def members(self) -> tuple[Policy, ...]:
        """The champion, then the challengers: as ``side`` counts them."""
        return (self.champion, *(policy for policy, _ in self.challengers))

    @property
    def shares(self) -> tuple[float, ...]:
        """Of the members; together 1."""
        given = [share for _, share in self.challengers]
        return (1.0 - sum(given), *given)

    def side(self, keys: U64, /) -> I64:
        """Who decides for these subjects: places in ``members``.

        Args:
            keys: Shape (n,), uint64: hashes of subjects, as in ``batch.keys`` and in the log.

        Returns:
            Shape (n,), int64.
        """
        ends = np.cumsum([share for _, share in self.challengers])
        place = np.searchsorted(ends, _noise.uniform(_noise.fold(_STREAM, self._key, keys)), side="right")
        sides: I64 = (place.astype(np.int64) + 1) % len(self.members)
        return sides

    def bind(self, space: Space, /) -> Self:
        """Bind every member."""
        return self._each(lambda policy: bound(policy, space))

    def learn(self, feedback: Feedback, /) -> Self:
        """Teach every member that learns."""
        return self._each(lambda policy: taught(policy, feedback))

    def _each(self, change: Any) -> Self:  # Callable[[Policy], Policy]
        challengers = [(change(policy), share) for policy, share in self.challengers]
        return attrs.evolve(self, champion=change(self.champion), challengers=challengers)

    @property
    def fields(self) -> tuple[Field, ...]:
        """What the members keep about a subject; members of one kind share it."""
        held: dict[str, list[Field]] = {}
        for policy in self.members:
            for field in policy.fields if isinstance(policy, Remembers) else ():
                known = held.setdefault(field.name, [])
                if field not in known:
                    known.append(field)
        return tuple(field for fields in held.values() for field in fields)

    def remember(self, feedback: Feedback, rows: Records, /) -> None:
        """Let each member write what it is to know of the subjects it decides for."""
        sides = self.side(feedback.keys)
        for place, policy in enumerate(self.members):
            if isinstance(policy, Remembers) and policy.fields and (sides == place).any():
                policy.remember(feedback.take(sides == place), rows)

    def propose(self, batch: Batch, /) -> Proposal:
        """Ask each member about its own subjects."""
        sides = self.side(batch.keys)
        if len(sides) and (sides == sides[0]).all():
            whole: Proposal = self.members[sides[0]].propose(batch)
            return whole
        k = len(batch.catalogue)
        weights = np.zeros((len(batch), k))
        score: F64 | None = None
        spread: F64 | None = None
        for place, policy in enumerate(self.members):
            rows = (sides == place).nonzero()[0]
            if len(rows):
                try:
                    proposal = policy.propose(batch.take(rows))
                    weights[rows] = _fitting(proposal.weights, (len(rows), k))
                except Exception:  # noqa: BLE001 - a plugin is called: it fails for its own subjects only
                    weights[rows] = np.nan  # for which the flow asks the fallback
                    continue
                score = filled(score, proposal.score, rows, weights.shape)
                spread = filled(spread, proposal.spread, rows, weights.shape)
        return Proposal(weights, score, spread)

    def explain(self, batch: Batch, row: int, /) -> Mapping[str, float]:
        """What moved the scores of the member that was asked; nothing if it does not say."""
        asked = self.members[self.side(batch.keys[row : row + 1])[0]]
        return asked.explain(batch, row) if isinstance(asked, Explainer) else {}
