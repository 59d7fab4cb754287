"""Policies that do not learn: a fixed choice, chance, rules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar, Self

import attrs
import numpy as np

from agentic.arrays import Batch, Proposal, Space
from agentic.conditions import Condition
from agentic.errors import ConfigurationError
from agentic.types import NO_ACTION, Action


def _weights(value: Mapping[str, float] | str | Action) -> dict[str, float]:
    if isinstance(value, Action):
        return {value.id: 1.0}
    if isinstance(value, str):
        return {value: 1.0}
    return dict(value)


@attrs.frozen
class Fixed:
    """Always the same choice, or the same odds.

    Attributes:
        weights: An action, its id, or weights by action id; at least one positive.
    """

    name: ClassVar[str] = "fixed"
    weights: Mapping[str, float] = attrs.field(converter=_weights, hash=False)

    @weights.validator
    def _check(self, _: object, value: Mapping[str, float]) -> None:
        bad = {a: w for a, w in value.items() if not (isinstance(w, int | float) and 0 <= w < float("inf"))}
        if bad or not any(value.values()):
            raise ConfigurationError(
                f"Fixed needs finite weights of at least 0, one of them positive, got {dict(value)!r}",
                value=dict(value),
            )

    def bind(self, space: Space, /) -> Self:
        """Check that every named action exists."""
        for action_id in self.weights:
            space.catalogue.column(action_id)
        return self

    def propose(self, batch: Batch, /) -> Proposal:
        """Give every row the same weights."""
        row = np.array([float(self.weights.get(action_id, 0.0)) for action_id in batch.action_ids])
        return Proposal(np.broadcast_to(row, batch.allowed.shape))


@attrs.frozen
class Uniform:
    """Every allowed candidate is as likely as any other."""

    name: ClassVar[str] = "uniform"

    def propose(self, batch: Batch, /) -> Proposal:
        """Give every candidate weight 1."""
        return Proposal(np.broadcast_to(np.ones(1), batch.allowed.shape))


@attrs.frozen
class Rule:
    """If the condition holds, choose the action.

    Attributes:
        condition: Unknown counts as not holding.
        action: Action id.
    """

    condition: Condition = attrs.field()
    action: str = attrs.field(converter=lambda value: value.id if isinstance(value, Action) else value)

    @condition.validator
    def _check(self, _: object, value: object) -> None:
        if not isinstance(value, Condition):
            raise ConfigurationError(
                f"a rule needs a condition such as F('age') >= 18, got {value!r}", value=value
            )


def _rules(rules: Iterable[Rule | tuple[Condition, str | Action]]) -> tuple[Rule, ...]:
    return tuple(rule if isinstance(rule, Rule) else Rule(*rule) for rule in rules)


@attrs.frozen
class Rules:
    """The first rule whose condition holds and whose action is allowed decides.

    Attributes:
        rules: ``Rule`` values, or pairs of condition and action, in order.
        otherwise: Action id when no rule applies.
    """

    name: ClassVar[str] = "rules"
    rules: tuple[Rule, ...] = attrs.field(converter=_rules)
    otherwise: str = attrs.field(
        default=NO_ACTION.id, converter=lambda value: value.id if isinstance(value, Action) else value
    )

    def bind(self, space: Space, /) -> Self:
        """Check that the actions and the fields of the conditions exist."""
        for action_id in (*(rule.action for rule in self.rules), self.otherwise):
            space.catalogue.column(action_id)
        for rule in self.rules:
            check_fields(rule.condition, space)
        return self

    def propose(self, batch: Batch, /) -> Proposal:
        """Put all weight on the deciding rule's action."""
        weights = np.zeros(batch.allowed.shape)
        open_rows = np.ones(len(batch), dtype=np.bool_)
        for rule in self.rules:
            column = batch.catalogue.column(rule.action)
            hit = rule.condition.evaluate_columns(batch.columns, len(batch)).true & open_rows
            hit &= batch.allowed[:, column]
            weights[hit, column] = 1.0
            open_rows &= ~hit
        weights[open_rows, batch.catalogue.column(self.otherwise)] = 1.0
        return Proposal(weights)


def check_fields(condition: Condition, space: Space, /) -> None:
    """Refuse a condition that names what nobody declared.

    Raises:
        ConfigurationError: It names a field that is not in the space.
    """
    if unknown := condition.fields - space.fields:
        raise ConfigurationError(
            f"condition {condition!r} names {sorted(unknown)!r}, declared are {sorted(space.fields)!r}:"
            " declare it as a feature",
            value=sorted(unknown),
            expected=sorted(space.fields),
        )
