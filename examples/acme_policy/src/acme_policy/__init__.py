"""A policy for `agentic`: candidates in proportion to exp(priority / temperature)."""

from collections.abc import Mapping
from typing import ClassVar

import attrs
import numpy as np

from agentic.arrays import Batch, Proposal


@attrs.frozen
class PriorityOdds:
    """Choose by priorities that somebody set; actions without one have priority 0."""

    name: ClassVar[str] = "acme_softmax"
    priorities: Mapping[str, float]
    temperature: float = attrs.field(default=1.0, validator=attrs.validators.gt(0))

    def propose(self, batch: Batch, /) -> Proposal:
        row = np.array([self.priorities.get(action_id, 0.0) for action_id in batch.action_ids])
        return Proposal(np.tile(np.exp((row - row.max()) / self.temperature), (len(batch), 1)))
