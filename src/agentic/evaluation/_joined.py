"""What does an agent's own log say: decisions joined with their rewards, and another policy judged by them.

Only decisions whose reward is final take part: an open window says nothing yet. Of a slate the first slot
counts. The log is read block by block, and matrices of candidates live for one block only.

What ``evaluate`` estimates is a one-step counterfactual: the reward per decision, had the other policy
decided *this once* in each of the states that the log holds. Those states are what the policy in charge
made of its customers, by how often it wrote to them. What another policy would make of them over months,
tired or rested, is not in the log, so it is not in the estimate.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray

from agentic._agent import Agent
from agentic._flow import ARMS, probabilities
from agentic._plan import bind, checked
from agentic._records import DecisionBatch, batch_of
from agentic._replay import logged_batch
from agentic.arrays import F64, I64, U64, Bools
from agentic.catalogue import Catalogue
from agentic.errors import EvaluationError
from agentic.evaluation._estimators import DR, Estimate, Estimator, estimate
from agentic.evaluation._intervals import Interval, Normal, student_t
from agentic.evaluation._logged import Logged, reject
from agentic.evaluation._reward_models import cross_fit
from agentic.protocols import Policy

_CHUNK: Final = 8192
_TAKEN: Final[Mapping[str, type]] = {
    "key": np.uint64,
    "arm": np.int64,
    "at": np.int64,
    "action": np.int64,
    "probability": np.float64,
    "cost": np.float64,
}
_DOUBLY_ROBUST = DR()
_NORMAL = Normal()


@attrs.frozen(eq=False)
class Joined:
    """Holds decisions whose reward is final, one row each, in the order of the log.

    Attributes:
        catalogue: The actions.
        position: Shape (n,), int64: place in the log.
        key: Shape (n,), uint64: hash of the subject.
        arm: Shape (n,), uint8: place in ``("policy", "holdout", "random_control")``.
        at: Shape (n,), int64: when it was decided, microseconds since 1970.
        action: Shape (n,), int64: column of the catalogue.
        probability: Shape (n,), float64, in (0, 1].
        cost: Shape (n,), float64: price of what was sent.
        reward: Shape (n,), float64.
    """

    catalogue: Catalogue
    position: I64
    key: U64
    arm: I64
    at: I64
    action: I64
    probability: F64
    cost: F64
    reward: F64

    def __len__(self) -> int:
        return len(self.position)

    def take(self, index: I64 | Bools, /) -> Joined:
        """The same with only these rows."""
        return Joined(
            self.catalogue,
            self.position[index],
            self.key[index],
            self.arm[index],
            self.at[index],
            self.action[index],
            self.probability[index],
            self.cost[index],
            self.reward[index],
        )

    def of(self, arms: Sequence[str], /) -> Joined:
        """The same with only the decisions of these arms.

        Raises:
            EvaluationError: There is no such arm.
        """
        for arm in arms:
            if arm not in ARMS:
                reject("arms", None, arm, f"some of {list(ARMS)!r}", "correct the name")
        return self.take(np.isin(self.arm, [ARMS.index(arm) for arm in arms]))

    def logged(self) -> Logged:
        """The rows as estimators take them; the rows of one subject are a group.

        Raises:
            EvaluationError: There are no rows.
        """
        if not len(self):
            raise EvaluationError(
                "no decision of these arms has a final reward, expected some: record outcomes, and call"
                " learn() once their windows are over",
                value=0,
            )
        return Logged(self.action, self.reward, probability=self.probability, groups=self.key)

    def by_subject(self) -> BySubject:
        """Sums for each subject that was decided for, arm by arm."""
        key, first, row = np.unique(self.key, return_index=True, return_inverse=True)

        def total(column: F64 | Bools) -> F64:
            return np.asarray(np.bincount(row, weights=column, minlength=len(key)), dtype=np.float64)

        return BySubject(
            key=key,
            arm=self.arm[first],
            decisions=total(np.ones(len(self))),
            reward=total(self.reward),
            cost=total(self.cost),
            contacts=total(self.action != self.catalogue.idle),
        )


@attrs.frozen(eq=False)
class BySubject:
    """Holds what was done for each subject, and what came of it: shape (g,) each.

    Attributes:
        key: Hash of the subject.
        arm: Its arm.
        decisions: How many with a final reward.
        reward: Their sum.
        cost: Price of what was sent.
        contacts: How many of them sent something.
    """

    key: U64
    arm: I64
    decisions: F64
    reward: F64
    cost: F64
    contacts: F64

    def of(self, arm: str, /) -> BySubject:
        """The same with only the subjects of this arm.

        Raises:
            EvaluationError: There is no such arm.
        """
        if arm not in ARMS:
            reject("arm", None, arm, f"one of {list(ARMS)!r}", "correct the name")
        rows = self.arm == ARMS.index(arm)
        return BySubject(*(getattr(self, field.name)[rows] for field in attrs.fields(BySubject)))

    def __len__(self) -> int:
        return len(self.key)


@attrs.frozen
class Difference:
    """Says by how much the means of two groups differ.

    Attributes:
        value: First mean minus second.
        low: Lower bound.
        high: Upper bound.
        standard_error: Of the value.
        level: Share of samples in which the bounds are to hold, in (0, 1).
    """

    value: float
    low: float
    high: float
    standard_error: float
    level: float


def difference(first: F64, second: F64, /, *, level: float = 0.95) -> Difference:
    """Compare two independent samples by their means, whatever their spreads.

    Args:
        first: Shape (m,), at least 2.
        second: Shape (n,), at least 2.
        level: Share of samples in which the bounds are to hold, in (0, 1).

    Raises:
        EvaluationError: A sample has fewer than two values, or the level is out of range.

    Source: Welch 1947, The generalization of Student's problem when several different population
    variances are involved, with the degrees of freedom rounded down to a whole number.
    """
    for field, sample in (("first", first), ("second", second)):
        if len(sample) < 2:
            reject(field, None, len(sample), "two values or more", "wait until both groups have some")
    if not 0.0 < level < 1.0:
        reject("level", None, level, "more than 0 and less than 1", "give 0.95 for 95 %")
    parts = [float(sample.var(ddof=1)) / len(sample) for sample in (first, second)]
    value, squared = float(first.mean() - second.mean()), sum(parts)
    if squared == 0.0:
        return Difference(value, value, value, 0.0, level)
    weights = [part * part / (len(s) - 1) for part, s in zip(parts, (first, second), strict=True)]
    degrees = max(1, math.floor(squared * squared / sum(weights)))
    error = math.sqrt(squared)
    margin = student_t(level, degrees) * error
    return Difference(value, value - margin, value + margin, error, level)


def joined(agent: Agent, /) -> Joined:
    """Join an agent's decisions with the rewards that are final, the holdout's too.

    Rewards become final when ``agent.learn()`` finds their window over.
    """
    position, reward = _rewards(agent)
    parts: dict[str, list[NDArray[Any]]] = {name: [] for name in _TAKEN}  # of several dtypes
    order = [np.zeros(0, np.int64)]
    for first, batch in _decisions(agent):
        lo, hi = np.searchsorted(position, [first, first + len(batch)]).tolist()
        rows = position[lo:hi] - first
        order.append(np.arange(lo, hi))
        for name, column in parts.items():
            found = batch.columns[name][rows]
            column.append(found[:, 0] if found.ndim > 1 else found)
    kept = np.concatenate(order)

    def whole(name: str) -> NDArray[Any]:  # of the dtype that the table says
        found = np.concatenate(parts[name]) if parts[name] else np.zeros(0)
        return found.astype(_TAKEN[name], copy=False)

    return Joined(
        agent.plan.catalogue,
        position=position[kept],
        key=whole("key"),
        arm=whole("arm"),
        at=whole("at"),
        action=whole("action"),
        probability=whole("probability"),
        cost=whole("cost"),
        reward=reward[kept],
    )


def target_probabilities(agent: Agent, policy: Policy, rows: Joined, /) -> tuple[F64, F64]:
    """How likely another policy would have made each choice, by the rules and features as logged.

    Args:
        agent: Whose log it is; its rules and its exploration floor hold for the policy too.
        policy: The other policy.
        rows: Decisions of this agent.

    Returns:
        The probabilities, shape (n, k), and the features of the rows, X, shape (n, d).
    """
    plan, schema = agent.plan, agent.schema
    asked = bind(checked(policy), plan.space)
    target = np.empty((len(rows), len(plan.catalogue)))
    X = np.empty((len(rows), plan.space.width))
    for where, found in logged_decisions(agent, rows.position):
        batch = logged_batch(plan, schema, found)
        target[where] = probabilities(plan, asked, batch)
        X[where] = batch.X
    return target, X


def logged_decisions(agent: Agent, position: I64, /) -> Iterator[tuple[slice, DecisionBatch]]:
    """Find logged decisions again, in parts: which of the positions, and the decisions.

    Args:
        agent: Whose log it is.
        position: Shape (n,), ascending.
    """
    for first, batch in _decisions(agent):
        lo, hi = np.searchsorted(position, [first, first + len(batch)]).tolist()
        for start in range(lo, hi, _CHUNK):
            stop = min(start + _CHUNK, hi)
            yield slice(start, stop), batch.take(position[start:stop] - first)


def evaluate(
    agent: Agent,
    policy: Policy,
    *,
    estimator: Estimator = _DOUBLY_ROBUST,
    arms: Sequence[str] = ("policy", "random_control"),
    level: float = 0.95,
    reward_range: tuple[float, float] | None = None,
    interval: Interval = _NORMAL,
    folds: int = 2,
    seed: int = 0,
    penalty: float = 1.0,
) -> Estimate:
    """Estimate what another policy would earn per decision, from this agent's own log.

    The other policy is asked in every logged state, under the rules as they were, and with the agent's
    exploration floor. Rewards are predicted by ridge regressions, one for each action, fitted to other
    subjects only; rows of a subject stay together there and in the standard error.

    It is a one-step counterfactual over the logged states: long-run effects of another rhythm, such as
    fatigue, are not in it. Run the policy in ``random_control`` or a challenger's share to see those.

    Args:
        agent: Whose log it is.
        policy: The other policy, as it would go into charge.
        estimator: How rows contribute.
        arms: Whose decisions count. The holdout's say nothing about sending.
        level: Share of samples in which the bounds are to hold, in (0, 1).
        reward_range: Lowest and highest reward there can be.
        interval: How contributions become bounds.
        folds: Parts for the reward model, each predicted from the others.
        seed: Of the folds.
        penalty: Of the reward model, in rows.

    Raises:
        EvaluationError: No decision of these arms has a final reward, or an argument is out of range.
        ConfigurationError: The policy does not fit the agent.
    """
    rows = joined(agent).of(arms)
    logged = rows.logged()
    target, X = target_probabilities(agent, policy, rows)
    q = cross_fit(
        X,
        rows.action,
        rows.reward,
        target.shape[1],
        folds=folds,
        seed=seed,
        groups=rows.key.view(np.int64),
        penalty=penalty,
    )
    return estimate(
        logged,
        target,
        estimator=estimator,
        q=q,
        level=level,
        reward_range=reward_range,
        interval=interval,
    )


def _rewards(agent: Agent) -> tuple[I64, F64]:
    """Final rewards of first slots in order of position."""
    positions, rewards = [np.zeros(0, np.int64)], [np.zeros(0)]
    for _, block in agent.log.read():
        if block.kind == "reward":
            first = block.columns["slot"] == 0
            positions.append(block.columns["decision"][first])
            rewards.append(block.columns["reward"][first])
    position, reward = np.concatenate(positions), np.concatenate(rewards)
    order = np.argsort(position, kind="stable")
    return position[order], reward[order]


def _decisions(agent: Agent) -> Iterator[tuple[int, DecisionBatch]]:
    for receipt, block in agent.log.read():
        if block.kind == "decision":
            yield receipt.first, batch_of(block, receipt.first, agent.plan.catalogue)
