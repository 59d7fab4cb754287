"""A policy that remembers, small enough to count by hand what it must have kept."""

from __future__ import annotations

import attrs
import numpy as np

from agentic.arrays import Field, Proposal
from agentic.errors import LearningError


@attrs.frozen
class Counts:
    """Keeps how many rewards each subject had, and their sum; the more, the likelier the first action."""

    name: str = "counts"
    learned: int = 0

    @property
    def fields(self):
        return (Field(f"{self.name}.n", "i8"), Field(f"{self.name}.sum", "f8", (2,)))

    def propose(self, batch, /):
        weights = np.ones(batch.allowed.shape)
        weights[:, 0] += batch.rows[f"{self.name}.n"]
        return Proposal(weights)

    def learn(self, feedback, /):
        if (feedback.reward < 0).any():
            raise LearningError("no reward may be negative")
        return attrs.evolve(self, learned=self.learned + len(feedback))

    def remember(self, feedback, rows, /):
        np.add.at(rows[f"{self.name}.n"], feedback.subject, 1)
        np.add.at(rows[f"{self.name}.sum"], (feedback.subject, 0), feedback.reward)
