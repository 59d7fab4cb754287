"""Who is decided for without being known: children, and those of whom it is not known that they are none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs
import numpy as np
from numpy.typing import NDArray

from agentic.arrays import Batch, Bools, Review, Space
from agentic.conditions import Column, Condition
from agentic.errors import ConfigurationError
from agentic.protocols import Concerns, Guardrail, Stateful
from agentic.types import MARKETING

REASON = "PROTECTED"


@attrs.frozen(eq=False)
class Protection:
    """Denies protected subjects marketing, and whatever a rule with a memory would have to allow.

    It is a guardrail like any other: its denials are explained, logged and counted as ``PROTECTED``, or
    ``PROTECTED_UNKNOWN`` where nobody knows whether the condition holds.

    Attributes:
        condition: Who is protected: for whom it is true, and for whom it is unknown.
        barred: Shape (k,), bool: what protected subjects never get.
        reads: Shape (f,), bool: the features that the condition reads.
        name: Of the guardrail.
    """

    condition: Condition
    barred: Bools
    reads: Bools
    name: str = "protected"

    def holds(self, columns: Mapping[str, Column], n: int, /) -> Bools:
        """Who is protected: shape (n,), bool."""
        truth = self.condition.evaluate_columns(columns, n)
        found: Bools = truth.true | truth.unknown
        return found

    def review(self, batch: Batch, /) -> Review:
        """Deny what is barred to those who are protected."""
        truth = self.condition.evaluate_columns(batch.columns, len(batch))
        unknown = truth.unknown[:, None] & self.barred
        return Review(~(truth.true[:, None] & self.barred | unknown), REASON, unknown)


def protection(
    condition: Condition,
    names: tuple[str, ...],
    purposes: Mapping[str, str],
    space: Space,
    guardrails: Iterable[Guardrail],
    /,
) -> Protection:
    """Check the condition, and find what those it protects never get.

    Args:
        condition: Who is protected.
        names: Of all features.
        purposes: Of the features that have one, by name.
        space: Catalogue and features.
        guardrails: Bound.

    Raises:
        ConfigurationError: It is no condition, reads nothing or what no feature declares, or reads what may
            only be read with consent.
    """
    if not isinstance(condition, Condition):
        raise ConfigurationError(
            f"protect must be a condition such as F('age') < 18, got {condition!r}", value=condition
        )
    if not condition.fields or (unknown := condition.fields - space.fields):
        found = sorted(condition.fields and unknown)
        raise ConfigurationError(
            f"protect must read declared features, got {found!r} which no feature declares: declared are"
            f" {sorted(space.fields)!r}",
            value=found,
            expected=sorted(space.fields),
        )
    if needing := sorted(name for name in condition.fields if name in purposes):
        raise ConfigurationError(
            f"protect reads {needing!r}, which have a purpose: whom to protect is found out before anybody's"
            " consent is read, so declare them without one",
            value=needing,
        )
    reads: NDArray[np.bool_] = np.array([name in condition.fields for name in names], dtype=np.bool_)
    return Protection(condition, _barred(space, guardrails), reads)


def _barred(space: Space, guardrails: Iterable[Guardrail]) -> Bools:
    """Marketing, and what guardrails with fields of their own are about: their memory is empty here."""
    catalogue = space.catalogue
    barred = np.array([action.message_class == MARKETING for action in catalogue.actions], dtype=np.bool_)
    for guardrail in guardrails:
        if isinstance(guardrail, Concerns):
            barred |= np.asarray(guardrail.concerns(space), dtype=np.bool_)
        elif isinstance(guardrail, Stateful):
            barred[:] = True
    barred[catalogue.idle] = False
    barred.flags.writeable = False
    return barred
