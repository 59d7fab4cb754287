"""Policies made of policies: fallbacks, mixtures, templates with a learned ranking."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import attrs
import numpy as np

from agentic.arrays import F64, Batch, Feedback, Proposal, Space
from agentic.conditions import Condition
from agentic.errors import ConfigurationError
from agentic.policies._fixed import check_fields
from agentic.protocols import Binds, Learner, Policy


def bound(policy: Policy, space: Space, /) -> Policy:
    """Bind a policy that wants to be bound."""
    # A runtime-checkable protocol cannot promise that Self is still a Policy.
    return policy.bind(space) if isinstance(policy, Binds) else policy  # type: ignore[return-value]


def taught(policy: Policy, feedback: Feedback, /) -> Policy:
    """Teach a policy that learns; return others as they are."""
    return policy.learn(feedback) if isinstance(policy, Learner) else policy


def _struck(weights: F64, batch: Batch) -> tuple[F64, F64]:
    """Weights of allowed candidates, and their total (n, 1)."""
    kept = np.where(batch.allowed, weights, 0.0)
    total: F64 = np.cumsum(kept, axis=1)[:, -1:]
    return kept, total


def _known(values: F64 | None, like: F64) -> F64:
    return np.full(like.shape, np.nan) if values is None else np.asarray(values, dtype=np.float64)


@attrs.frozen
class FirstOf:
    """The first policy that gives an allowed candidate any weight decides, row by row."""

    name: ClassVar[str] = "first_of"
    policies: tuple[Any, ...] = attrs.field(converter=tuple)  # Policy; attrs resolves annotations

    def __init__(self, *policies: Policy) -> None:
        if len(policies) < 2:
            raise ConfigurationError(
                f"FirstOf needs at least two policies, got {len(policies)}", value=policies
            )
        self.__attrs_init__(policies)  # type: ignore[attr-defined]  # attrs adds it

    def bind(self, space: Space, /) -> Self:
        """Bind every member."""
        return type(self)(*(bound(policy, space) for policy in self.policies))

    def learn(self, feedback: Feedback, /) -> Self:
        """Teach every member that learns."""
        return type(self)(*(taught(policy, feedback) for policy in self.policies))

    def propose(self, batch: Batch, /) -> Proposal:
        """Ask in order; a later policy only fills rows the earlier ones left empty."""
        first = self.policies[0].propose(batch)
        weights, total = _struck(first.weights, batch)
        score, spread = first.score, first.spread
        for policy in self.policies[1:]:
            empty = np.flatnonzero(~(total[:, 0] > 0))
            if not len(empty):
                break
            part = batch.take(empty)
            other = policy.propose(part)
            weights[empty], total[empty] = _struck(other.weights, part)
            if score is not None or other.score is not None:
                score = _known(score, weights).copy()
                score[empty] = _known(other.score, weights[empty])
            if spread is not None or other.spread is not None:
                spread = _known(spread, weights).copy()
                spread[empty] = _known(other.spread, weights[empty])
        return Proposal(weights, score, spread)


@attrs.frozen
class Mixture:
    """Each policy decides a share of the time; the probability is the mixed one, exactly.

    Attributes:
        members: Pairs of policy and share; shares are positive and are normalised to 1.
    """

    name: ClassVar[str] = "mixture"
    members: tuple[tuple[Any, float], ...] = attrs.field(  # Policy; attrs resolves annotations
        converter=lambda members: tuple((policy, float(share)) for policy, share in members)
    )

    @members.validator
    def _check(self, _: object, value: tuple[tuple[Policy, float], ...]) -> None:
        if not value or not all(0 < share < float("inf") for _, share in value):
            raise ConfigurationError(
                f"Mixture needs (policy, share) pairs with positive shares, got {value!r}", value=value
            )

    def bind(self, space: Space, /) -> Self:
        """Bind every member."""
        return attrs.evolve(self, members=[(bound(policy, space), share) for policy, share in self.members])

    def learn(self, feedback: Feedback, /) -> Self:
        """Teach every member that learns."""
        return attrs.evolve(
            self, members=[(taught(policy, feedback), share) for policy, share in self.members]
        )

    def propose(self, batch: Batch, /) -> Proposal:
        """Add up the members' probabilities; a member without an opinion leaves its share to the others."""
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
    templates: Mapping[str, Condition | None] = attrs.field(converter=dict, hash=False)
    ranker: Any  # Policy; attrs resolves annotations
    dimension: str = attrs.field(default="message", kw_only=True)

    def bind(self, space: Space, /) -> Self:
        """Check templates and conditions, and bind the ranker."""
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

    def propose(self, batch: Batch, /) -> Proposal:
        """Narrow the candidates to the templates whose rule holds, then ask the ranker."""
        holds = {
            template: None
            if condition is None
            else condition.evaluate_columns(batch.columns, len(batch)).true
            for template, condition in self.templates.items()
        }
        mask = np.zeros(batch.allowed.shape, dtype=np.bool_)
        for column, action in enumerate(batch.catalogue.actions):
            template = action.dimensions.get(self.dimension, action.id)
            if column == batch.catalogue.idle:
                mask[:, column] = True
            elif template in holds:
                mask[:, column] = True if holds[template] is None else holds[template]
        narrowed = batch.narrow(mask)
        proposal = self.ranker.propose(narrowed)
        return attrs.evolve(proposal, weights=np.where(narrowed.allowed, proposal.weights, 0.0))
