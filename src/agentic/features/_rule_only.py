"""How does a feature serve rules without being learned from?"""

from __future__ import annotations

from typing import Any

import attrs

from agentic.arrays import F64
from agentic.errors import ConfigurationError
from agentic.features._raw import Statuses
from agentic.protocols import Feature


@attrs.frozen
class RuleOnly:
    """A feature that conditions use and models do not: it takes no columns of ``X``.

    ``RuleOnly(Category("country", ["IN", "LK"]))`` may decide who is eligible without being learned from.

    Attributes:
        feature: What it wraps.
    """

    feature: Feature

    def __attrs_post_init__(self) -> None:
        if isinstance(self.feature, type) or not isinstance(self.feature, Feature):
            raise ConfigurationError(
                f"RuleOnly must wrap a feature such as Flag('vip'), got {self.feature!r}", value=self.feature
            )
        if capability(self.feature, "hidden_from_rules") or self.feature.width == 0:
            raise ConfigurationError(
                f"feature {self.feature.name!r}: RuleOnly must wrap a feature that both rules and models can "
                f"use, got {self.feature!r}: pass it as it is, or leave it out",
                value=self.feature,
            )

    @property
    def name(self) -> str:
        return self.feature.name

    @property
    def width(self) -> int:
        return 0

    @property
    def max_age_s(self) -> float | None:
        return self.feature.max_age_s

    @property
    def categories(self) -> tuple[str, ...] | None:
        return self.feature.categories

    @property
    def encoded(self) -> tuple[str, ...]:
        return ()

    @property
    def purpose(self) -> str | None:
        """Capability: what the subject must have agreed to."""
        purpose: str | None = capability(self.feature, "purpose")
        return purpose

    def resolve(self, values: Any, /) -> tuple[F64, Statuses]:
        return self.feature.resolve(values)

    def encode(self, values: F64, out: F64, /) -> None:
        """Write nothing."""


def capability(feature: Feature, name: str, /) -> Any:  # whatever the capability is
    """Return what a feature offers beyond its protocol, or ``None``; a wrapper offers what it wraps.

    Any feature may offer these, and is then as fast, or as readable, as the ones in the box:

    - ``resolve_one(value) -> (number, status)``: ``resolve`` for one value, for single decisions.
    - ``affine_encoding``: the floats ``(offset, divisor, default)`` of an encoding of width 1 that is
      ``(value - offset) / divisor``, with a default in place of ``nan``; done for all features at once.
    - ``condition_column(values) -> Column``: what conditions see instead of the resolved numbers.
    - ``describe_value(value) -> object``: what readers see instead of a resolved number.
    - ``hidden_from_rules``: true where conditions cannot use the resolved numbers.
    - ``purpose``: a text, what a subject must have agreed to before its value is asked for or used.
    """
    return getattr(feature.feature if isinstance(feature, RuleOnly) else feature, name, None)
