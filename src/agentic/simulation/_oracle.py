"""What could be earned by who knows everything: a policy that is told the truth, as no policy ever is."""

from __future__ import annotations

from typing import ClassVar, Final

import attrs
import numpy as np

from agentic.arrays import Batch, Proposal
from agentic.conditions import Column
from agentic.features import Number, RuleOnly
from agentic.protocols import Feature
from agentic.rewards import Goals
from agentic.simulation._world import Moment, World

ROW, FATIGUE, TRUST, GONE, IDLE = "true_row", "true_fatigue", "true_trust", "true_gone", "true_idle_days"
_MOST: Final = 1e9


def truths() -> list[Feature]:
    """Features that show how customers really are; they take no columns of ``X``."""
    return [RuleOnly(Number(name, low=0.0, high=_MOST)) for name in (ROW, FATIGUE, TRUST, GONE, IDLE)]


def true_columns(moment: Moment, /) -> dict[str, Column]:
    """What fills those features, for an agent that declares them."""
    return {
        ROW: moment.row.astype(np.float64),
        FATIGUE: moment.fatigue,
        TRUST: moment.trust,
        GONE: moment.gone.astype(np.float64),
        IDLE: moment.idle_days,
    }


@attrs.frozen(eq=False)
class Oracle:
    """Knows the world, and takes the action whose outcomes are truly worth most, among those allowed.

    It knows each customer's tastes, fatigue and trust, and is wrong about nothing but luck. It looks one
    decision ahead, as a reward window does: what a contact does to later ones, and what is left of a
    budget, it does not weigh. Its agent declares the features ``truths()`` and lives in the same world.

    Attributes:
        world: The customers.
        goals: What their outcomes are worth.
    """

    name: ClassVar[str] = "oracle"
    world: World
    goals: Goals

    def propose(self, batch: Batch, /) -> Proposal:
        """Put all weight on the action that is worth most; ties go to the smaller action id."""
        shape = batch.allowed.shape
        score, weights = np.zeros(shape), np.zeros(shape)
        for now in np.unique(batch.now).tolist():
            rows = np.flatnonzero(batch.now == now)
            part = batch.take(rows)
            known = [np.asarray(part.columns[name]) for name in (ROW, FATIGUE, TRUST, GONE, IDLE)]
            row, fatigue, trust, gone, idle_days = known
            moment = Moment(row.astype(np.int64), fatigue, trust, gone > 0.0, idle_days)
            every = np.broadcast_to(np.arange(shape[1]), part.allowed.shape)
            answer = self.world.response(moment, batch.catalogue, every, now)
            score[rows] = sum(answer.worth(self.goals).values())
        best = np.where(batch.allowed, score, -np.inf).argmax(axis=1)
        weights[np.arange(len(batch)), best] = 1.0
        return Proposal(weights, score)
