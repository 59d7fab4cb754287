"""What would another policy have earned more in the very states in which the agent decided?"""

from __future__ import annotations

import math

import attrs
import numpy as np

from agentic._archive import Archive, taught_by
from agentic._offpolicy import DR, Diagnostics, Logged, diagnose, overlap, standard_error
from agentic._plan import bind
from agentic._statistics import normal_quantile, normal_tail
from agentic.arrays import F64, I64
from agentic.evaluation import Joined, cross_fit, target_probabilities
from agentic.experiments._worth import Deciding, archive
from agentic.protocols import Policy


@attrs.frozen
class Ahead:
    """Holds by how much an agent is ahead of a policy per decision, and on what support.

    Attributes:
        value: The difference.
        low: Lower bound.
        high: Upper bound.
        standard_error: Of the value.
        p_value: Two-sided.
        diagnostics: How far the log supports what was valued off-policy.
        seen: Decisions that the policy may have learned from.
        n: Decisions.
    """

    value: float
    low: float
    high: float
    standard_error: float
    p_value: float
    diagnostics: Diagnostics
    seen: int
    n: int


def ahead_of(agent: Deciding, policy: Policy, rows: Joined, q: F64, /, *, level: float) -> Ahead:
    """How much more the agent earned than another policy would have, in the states as logged.

    The other policy is valued by DR, the agent by what it did earn, row by row: what both share drops out of
    the error.

    Args:
        agent: Whose log it is.
        policy: The other one.
        rows: Decisions of the policy arm; their reward is what counts.
        q: Shape (n, k): predicted reward of every action.
        level: Of the bounds.
    """
    target, _ = target_probabilities(agent, policy, rows)
    logged = Logged(rows.action, rows.reward, probability=rows.probability, groups=rows.key)
    weighed = overlap(logged, target, q=q)
    other = DR().contribute(weighed)
    facts = diagnose(weighed, other, probability=logged.probability)
    gap = rows.reward - other.term
    asked: Policy = bind(policy, agent.plan.space)
    archive = Archive(agent.name, agent.log, agent.plan.catalogue)
    known = taught_by(archive, asked, agent.policy_version)
    value = float(gap.mean())
    error = standard_error(gap - value, degrees=max(len(gap) - 1, 1), groups=weighed.groups)
    return Ahead(
        value,
        *bounds(value, error, level),
        error,
        two_sided(value, error),
        facts,
        int(np.isin(rows.position, known).sum()),
        len(gap),
    )


def predicted(agent: Deciding, rows: Joined, judged: I64, /, *, folds: int, seed: int) -> F64:
    """Predict the reward of every action at some rows, by models of all rows but those of the same subjects.

    Args:
        agent: Whose log it is.
        rows: Decisions of all arms: the others show what the policy avoids.
        judged: Shape (m,): which of them to predict.
        folds: Parts of the subjects.
        seed: Of the parts.

    Returns:
        q, shape (m, k).
    """
    X = features_of(agent, rows)
    k = len(agent.plan.catalogue)
    q = cross_fit(
        X,
        rows.action,
        rows.reward,
        k,
        folds=folds,
        seed=seed,
        groups=rows.key.view(np.int64),
        weight=1.0 / rows.probability,  # a policy that learns left early what was unlucky
    )
    return q[judged]


def features_of(agent: Deciding, rows: Joined, /) -> F64:
    """The encoded features of logged decisions, X, shape (n, d)."""
    X = np.empty((len(rows), agent.plan.space.width))
    for where, found in archive(agent).parts(rows.position):
        X[where] = agent.schema.encode(np.asfortranarray(found.columns["values"]))
    return X


def bounds(value: float, error: float, level: float, /) -> tuple[float, float]:
    """Normal bounds; infinite where no spread was seen."""
    if not 0.0 < error < math.inf:
        return -math.inf, math.inf
    margin = -normal_quantile((1.0 - level) / 2.0) * error
    return value - margin, value + margin


def two_sided(value: float, error: float, /) -> float:
    """The normal p-value; 1 where no spread was seen."""
    return 2.0 * normal_tail(abs(value) / error) if 0.0 < error < math.inf else 1.0
