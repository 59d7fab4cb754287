"""Which variant would Unleash give: its hashes and weights, so that a team keeps its assignments.

Source: Unleash 2024, client specification 5, gradual rollout and variants; normalised murmur hashes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import attrs
import numpy as np

from agentic.arrays import I64
from agentic.errors import ConfigurationError
from agentic.experiments._buckets import murmur3

_VARIANT_SEED: Final = 86_028_157


def unleash_number(group: str, values: Sequence[str], /, *, buckets: int = 100, seed: int = 0) -> I64:
    """Return the number from 1 to ``buckets`` that Unleash gives each value, shape (n,), int64.

    Args:
        group: The group id: the name of the feature, unless it was set.
        values: n texts: what the rollout sticks to, a user's or a session's id.
        buckets: 100 for rollouts, the sum of weights for variants.
        seed: 0 for rollouts, 86028157 for variants.

    Raises:
        ConfigurationError: Fewer than one bucket, or a value is no text.
    """
    if buckets < 1:
        raise ConfigurationError(f"buckets must be 1 or more, got {buckets!r}", value=buckets)
    return (murmur3(values, prefix=f"{group}:", seed=seed) % np.uint32(buckets)).astype(np.int64) + 1


@attrs.frozen
class Unleash:
    """Assigns as Unleash does, by what the rollout sticks to.

    It knows of rollout, group and weighted variants. Constraints, segments and overrides are not bucketing:
    ask them before, or give overrides as ``remembered``.

    Attributes:
        group: The strategy's group id.
        weights: Whole numbers by variant, in Unleash's order; mostly thousandths.
        rollout: Percentage of subjects, 0 to 100.
        variant_group: What the variant's hash has for a group: the feature's name for variants of a
            feature, the same group for those of a strategy.
    """

    group: str
    weights: Mapping[str, int]
    rollout: int = attrs.field(default=100, kw_only=True)
    variant_group: str | None = attrs.field(default=None, kw_only=True)

    def __attrs_post_init__(self) -> None:
        """Refuse what Unleash could not run.

        Raises:
            ConfigurationError: No variant, a weight that is no whole number from 0, or no percentage.
        """
        if not isinstance(self.weights, Mapping) or not self.weights:
            raise ConfigurationError(
                "weights must map the name of one variant or more to its weight: write {'on': 1}",
                value=self.weights,
            )
        for name, weight in self.weights.items():
            if isinstance(weight, bool) or not isinstance(weight, int) or weight < 0:
                raise ConfigurationError(
                    f"the weight of {name!r} must be a whole number from 0, got {weight!r}", value=weight
                )
        if not 0 <= self.rollout <= 100:
            raise ConfigurationError(f"rollout must be 0 to 100, got {self.rollout!r}", value=self.rollout)

    @property
    def names(self) -> tuple[str, ...]:
        """The variants, in order."""
        return tuple(self.weights)

    def assign(self, subjects: Sequence[str], /) -> I64:
        """Return each subject's variant, shape (n,), int64: -1 for none."""
        total = sum(self.weights.values())
        if total == 0:
            return np.full(len(subjects), -1, dtype=np.int64)
        group = self.group if self.variant_group is None else self.variant_group
        number = unleash_number(group, subjects, buckets=total, seed=_VARIANT_SEED)
        out = np.searchsorted(np.cumsum(list(self.weights.values())), number).astype(np.int64)
        out[unleash_number(self.group, subjects) > self.rollout] = -1
        return out
