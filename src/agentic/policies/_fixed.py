"""Policies that do not learn: a fixed choice, chance, rules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Self

import attrs
import numpy as np

from agentic.arrays import Batch, Proposal, Space
from agentic.conditions import Condition
from agentic.errors import ConfigurationError
from agentic.types import NO_ACTION, Action


def _id_of(value: object) -> object:
    return value.id if isinstance(value, Action) else value


def _weights(value: object) -> object:
    named = _id_of(value)
    if isinstance(named, str):
        return {named: 1.0}
    return dict(value) if isinstance(value, Mapping) else value


# Validators take `Any`: what is checked may be anything, and mypy reads a field's type off its validator.


def _check_id(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not isinstance(value, str):
        raise ConfigurationError(f"{attribute.name} must be an Action or its id, got {value!r}", value=value)


def _check_optional_id(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if value is not None:
        _check_id(_, attribute, value)


@attrs.frozen
class Fixed:
    """Always the same choice, or the same odds.

    Attributes:
        weights: An action, its id, or weights by action id; at least one positive.
    """

    name: ClassVar[str] = "fixed"
    weights: Mapping[str, float] = attrs.field(converter=_weights, hash=False)

    @weights.validator
    def _check(self, _: object, value: Any) -> None:
        good = isinstance(value, dict) and all(
            isinstance(w, int | float) and not isinstance(w, bool) and 0 <= w < float("inf")
            for w in value.values()
        )
        if not good or not any(value.values()):
            raise ConfigurationError(
                "Fixed needs an action, its id, or finite weights of at least 0 by action id, one of them"
                f" positive, got {value!r}",
                value=value,
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
        action: An action or its id.
    """

    condition: Condition = attrs.field()
    action: str = attrs.field(converter=_id_of, validator=_check_id)

    @condition.validator
    def _check(self, _: object, value: Any) -> None:
        if not isinstance(value, Condition):
            raise ConfigurationError(
                f"a rule needs a condition such as F('age') >= 18, got {value!r}", value=value
            )


def _rule(value: Any) -> Rule:  # a rule, a pair, or a mistake
    if isinstance(value, Rule):
        return value
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise ConfigurationError(
            f"a rule is a pair of condition and action, got {value!r}: use (F('age') >= 18, 'offer')",
            value=value,
        )
    return Rule(*value)


def _rules(rules: Any) -> tuple[Rule, ...]:  # an iterable of them, or a mistake
    if not isinstance(rules, Iterable):
        raise ConfigurationError(f"Rules needs a list of rules, got {rules!r}", value=rules)
    return tuple(map(_rule, rules))


@attrs.frozen
class Rules:
    """The first rule whose condition holds and whose action is allowed decides.

    Attributes:
        rules: ``Rule`` values, or pairs of condition and action, in order.
        otherwise: An action or its id when no rule applies; ``None`` gives no weight, so that the next
            policy of a ``FirstOf`` decides.
    """

    name: ClassVar[str] = "rules"
    rules: tuple[Rule, ...] = attrs.field(converter=_rules)
    otherwise: str | None = attrs.field(default=NO_ACTION.id, converter=_id_of, validator=_check_optional_id)

    def bind(self, space: Space, /) -> Self:
        """Check that the actions and the fields of the conditions exist.

        Raises:
            ConfigurationError: One does not.
        """
        for rule in self.rules:
            space.catalogue.column(rule.action)
            check_fields(rule.condition, space)
        if self.otherwise is not None:
            space.catalogue.column(self.otherwise)
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
        if self.otherwise is not None:
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
