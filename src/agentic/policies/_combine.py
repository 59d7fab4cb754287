"""Policies made of policies: fallbacks, mixtures, templates with a learned ranking."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Self

import attrs
import numpy as np

from agentic.arrays import F64, Batch, Feedback, Field, Proposal, Records, Space
from agentic.conditions import Condition
from agentic.errors import ConfigurationError
from agentic.policies._fixed import check_fields
from agentic.protocols import Binds, Learner, Policy, Remembers
from agentic.types import NO_ACTION


def bound(policy: Policy, space: Space, /) -> Policy:
    """Bind a policy that wants to be bound."""
    return policy.bind(space) if isinstance(policy, Binds) else policy


def taught(policy: Policy, feedback: Feedback, /) -> Policy:
    """Teach a policy that learns; return others as they are."""
    return policy.learn(feedback) if isinstance(policy, Learner) else policy


def held(policies: Iterable[Policy], /) -> tuple[Field, ...]:
    """What these policies keep about a subject, together."""
    return tuple(field for policy in policies if isinstance(policy, Remembers) for field in policy.fields)


def reminded(policies: Iterable[Policy], feedback: Feedback, rows: Records, /) -> None:
    """Let those that keep something about a subject write it; each finds its own fields."""
    for policy in policies:
        if isinstance(policy, Remembers) and policy.fields:
            policy.remember(feedback, rows)


def member(policy: object, /) -> Policy:
    """The policy, if it is one.

    Raises:
        ConfigurationError: It lacks a name or ``propose``, or is a class.
    """
    if isinstance(policy, type) or not isinstance(policy, Policy):
        raise ConfigurationError(
            f"{policy!r} is not a policy: pass an object with a name and propose(batch)", value=policy
        )
    return policy


def _struck(weights: F64, batch: Batch) -> tuple[F64, F64]:
    """Weights of allowed candidates, and their total (n, 1)."""
    kept = np.where(batch.allowed, weights, 0.0)
    total: F64 = np.add.accumulate(kept, axis=1)[:, -1:]
    return kept, total


def filled(values: F64 | None, more: F64 | None, rows: Any, shape: tuple[int, ...], /) -> F64 | None:
    """``values`` with ``more`` in these rows; ``nan`` stands for what a policy does not give."""
    if values is None and more is None:
        return None
    out = np.full(shape, np.nan) if values is None else np.array(values, dtype=np.float64)
    out[rows] = np.nan if more is None else more
    return out


def _several(policies: Any) -> tuple[Policy, ...]:  # what a caller wrote
    if not isinstance(policies, Iterable) or len(listed := tuple(policies)) < 2:
        raise ConfigurationError(
            f"FirstOf needs at least two policies, got {policies!r}: FirstOf(Rules(...), Uniform())",
            value=policies,
        )
    return tuple(map(member, listed))


@attrs.frozen(init=False)
class FirstOf:
    """The first policy that gives an allowed candidate any weight decides, row by row.

    A row's score and spread are those of the policy that decided it.
    """

    name: ClassVar[str] = "first_of"
    learned: ClassVar[bool] = False  # itself; its members may
    policies: tuple[Any, ...] = attrs.field(converter=_several)  # Policy; attrs resolves annotations

    def __init__(self, *policies: Policy) -> None:
        self.__attrs_init__(policies)

    def bind(self, space: Space, /) -> Self:
        """Bind every member."""
        return type(self)(*(bound(policy, space) for policy in self.policies))

    def learn(self, feedback: Feedback, /) -> Self:
        """Teach every member that learns."""
        return type(self)(*(taught(policy, feedback) for policy in self.policies))

    @property
    def fields(self) -> tuple[Field, ...]:
        """What the members keep about a subject."""
        return held(self.policies)

    def remember(self, feedback: Feedback, rows: Records, /) -> None:
        """Let the members write it."""
        reminded(self.policies, feedback, rows)

    def propose(self, batch: Batch, /) -> Proposal:
        """Ask in order; a later policy only fills rows the earlier ones left empty."""
        first = self.policies[0].propose(batch)
        weights, total = _struck(first.weights, batch)
        score, spread = first.score, first.spread
        for policy in self.policies[1:]:
            # Weights that are no numbers are no opinion either, but a failure: the flow sees to it.
            empty = (total[:, 0] == 0).nonzero()[0]
            if not len(empty):
                break
            part = batch.take(empty)
            other = policy.propose(part)
            weights[empty], total[empty] = _struck(other.weights, part)
            score = filled(score, other.score, empty, weights.shape)
            spread = filled(spread, other.spread, empty, weights.shape)
        return Proposal(weights, score, spread)


def _members(members: Any) -> tuple[tuple[Policy, float], ...]:  # an iterable of pairs, or a mistake
    listed = list(members) if isinstance(members, Iterable) else []
    pairs = [pair for pair in listed if isinstance(pair, tuple | list) and len(pair) == 2]
    shares = [share for _, share in pairs if isinstance(share, int | float) and not isinstance(share, bool)]
    if not listed or len(shares) < len(listed) or not all(0 < share < float("inf") for share in shares):
        raise ConfigurationError(
            f"Mixture needs (policy, share) pairs with positive shares, got {members!r}", value=members
        )
    return tuple((member(policy), float(share)) for policy, share in pairs)


@attrs.frozen
class Mixture:
    """Each policy decides a share of the time; the probability is the mixed one, exactly.

    Attributes:
        members: Pairs of policy and share; shares are positive and are normalised to 1.
    """

    name: ClassVar[str] = "mixture"
    learned: ClassVar[bool] = False  # itself; its members may
    members: tuple[tuple[Any, float], ...] = attrs.field(converter=_members)  # Policy; as above

    def bind(self, space: Space, /) -> Self:
        """Bind every member."""
        return attrs.evolve(self, members=[(bound(policy, space), share) for policy, share in self.members])

    def learn(self, feedback: Feedback, /) -> Self:
        """Teach every member that learns."""
        return attrs.evolve(
            self, members=[(taught(policy, feedback), share) for policy, share in self.members]
        )

    @property
    def fields(self) -> tuple[Field, ...]:
        """What the members keep about a subject."""
        return held(policy for policy, _ in self.members)

    def remember(self, feedback: Feedback, rows: Records, /) -> None:
        """Let the members write it."""
        reminded((policy for policy, _ in self.members), feedback, rows)

    def propose(self, batch: Batch, /) -> Proposal:
        """Add up the members' probabilities; a member without an opinion leaves its share to the others.

        Score and spread are those of the first member that has a score.
        """
        whole = sum(share for _, share in self.members)
        mixed = np.zeros(batch.allowed.shape)
        score: F64 | None = None
        spread: F64 | None = None
        for policy, share in self.members:
            proposal = policy.propose(batch)
            kept, total = _struck(proposal.weights, batch)
            total[~(total > 0)] = np.inf
            mixed += kept / total * (share / whole)
            if score is None:
                score, spread = proposal.score, proposal.spread
        return Proposal(mixed, score, spread)


def _templates(templates: Any) -> dict[str, Condition | None]:  # a mapping of them, or a mistake
    if not isinstance(templates, Mapping) or not templates:
        raise ConfigurationError(
            f"TemplateRanking needs a condition or None by template, got {templates!r}", value=templates
        )
    for template, condition in templates.items():
        if not isinstance(template, str) or not (condition is None or isinstance(condition, Condition)):
            raise ConfigurationError(
                f"template {template!r} needs a condition such as F('age') >= 18, or None, got {condition!r}",
                value=condition,
            )
    if templates.get(NO_ACTION.id) is not None:
        raise ConfigurationError(
            f"{NO_ACTION.id!r} is always a candidate, got the condition {templates[NO_ACTION.id]!r}: leave it"
            " out",
            value=templates[NO_ACTION.id],
        )
    return dict(templates)


@attrs.frozen
class TemplateRanking:
    """Rules pick the candidate templates, a ranker orders them: the phased start.

    An action is a candidate when the condition of its template holds. ``NO_ACTION`` always is one.

    Attributes:
        templates: Condition by template; ``None`` means always. A template is the level of ``dimension``,
            or the action id where an action lacks that dimension. Templates not listed are not sent.
        ranker: Orders what the rules leave; usually one that learns.
        dimension: Name of the dimension that holds the template.
    """

    name: ClassVar[str] = "template_ranking"
    learned: ClassVar[bool] = False  # itself; its members may
    templates: Mapping[str, Condition | None] = attrs.field(converter=_templates, hash=False)
    ranker: Any = attrs.field(converter=member)  # Policy; as above
    dimension: str = attrs.field(default="message", kw_only=True)

    @dimension.validator
    def _check(self, _: object, value: Any) -> None:
        if not isinstance(value, str):
            raise ConfigurationError(f"dimension must be a text, got {value!r}", value=value)

    def bind(self, space: Space, /) -> Self:
        """Check templates and conditions, and bind the ranker.

        Raises:
            ConfigurationError: A template or a field does not exist.
        """
        known = {action.dimensions.get(self.dimension, action.id) for action in space.catalogue.actions}
        if unknown := sorted(self.templates.keys() - known):
            raise ConfigurationError(
                f"templates {unknown!r} are neither levels of {self.dimension!r} nor action ids:"
                f" there are {sorted(known)!r}",
                value=unknown,
                expected=sorted(known),
            )
        for condition in self.templates.values():
            if condition is not None:
                check_fields(condition, space)
        return attrs.evolve(self, ranker=bound(self.ranker, space))

    def learn(self, feedback: Feedback, /) -> Self:
        """Teach the ranker."""
        return attrs.evolve(self, ranker=taught(self.ranker, feedback))

    @property
    def fields(self) -> tuple[Field, ...]:
        """What the ranker keeps about a subject."""
        return held([self.ranker])

    def remember(self, feedback: Feedback, rows: Records, /) -> None:
        """Let the ranker write it."""
        reminded([self.ranker], feedback, rows)

    def propose(self, batch: Batch, /) -> Proposal:
        """Narrow the candidates to the templates whose rule holds, then ask the ranker."""
        holds = {
            template: True
            if condition is None
            else condition.evaluate_columns(batch.columns, len(batch)).true
            for template, condition in self.templates.items()
        }
        mask = np.zeros(batch.allowed.shape, dtype=np.bool_)
        for column, action in enumerate(batch.catalogue.actions):
            mask[:, column] = holds.get(action.dimensions.get(self.dimension, action.id), False)
        mask[:, batch.catalogue.idle] = True
        narrowed = batch.narrow(mask)
        proposal: Proposal = self.ranker.propose(narrowed)
        return attrs.evolve(proposal, weights=np.where(narrowed.allowed, proposal.weights, 0.0))
