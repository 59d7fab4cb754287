"""What would another policy have earned by this agent's log: taught on one part of it, judged by another.

What ``evaluate`` estimates is a one-step counterfactual: the reward per decision, had the other policy
decided *this once* in each of the states that the log holds. Those states are what the policy in charge
made of its customers, by how often it wrote to them. What another policy would make of them over months,
tired or rested, is not in the log, so it is not in the estimate.

A policy that learned from a row knows its luck. Judged by that row it looks better than it is, and no
weighting mends that: judge by rows it has not seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from agentic._again import logged_batch
from agentic._flow import POLICIES, probabilities
from agentic._learning import lessons_of, with_records
from agentic._offpolicy import DR, Estimate, Estimator, Interval, usual_interval
from agentic._plan import bind, checked, fields_of, remembering
from agentic.arrays import F64, Records
from agentic.errors import ConfigurationError
from agentic.evaluation._compare import ARMS, Judging, walked
from agentic.evaluation._joined import Joined
from agentic.evaluation._judged import Judged, archive
from agentic.evaluation._recall import logged_it, recall
from agentic.protocols import Learner, Policy, Remembers

Learning = TypeVar("Learning", bound=Learner)

_DOUBLY_ROBUST = DR()


def target_probabilities(agent: Judged, policy: Policy, rows: Joined, /) -> tuple[F64, F64]:
    """How likely another policy would have made each choice, by the rules and features as logged.

    A policy that remembers subjects knows of each what it knew then, if it made the log; what it would have
    known by then, had it listened to the log, if another policy did.

    Args:
        agent: Whose log it is; its rules and its exploration floor hold for the policy too.
        policy: The other policy.
        rows: Decisions of this agent.

    Returns:
        The probabilities, shape (n, k), and the features of the rows, X, shape (n, d).

    Raises:
        EvaluationError: The policy fails.
        ConfigurationError: It does not fit the agent.
    """
    schema = agent.schema
    asked: Policy = bind(checked(policy), agent.plan.space)
    plan = remembering(agent.plan, asked)
    target = np.empty((len(rows), len(plan.catalogue)))
    X = np.empty((len(rows), plan.space.width))
    known: Records | None = None
    for where, found in archive(agent).parts(rows.position):
        batch = logged_batch(plan, schema, found)
        if fields_of(asked) and not logged_it(asked, found):
            if known is None:
                known = recall(agent, plan, asked, rows)
            batch.rows = known[where]
        target[where] = probabilities(plan, asked, batch)
        X[where] = batch.X
    return target, X


def teach(agent: Judged, policy: Learning, rows: Joined, /) -> Learning:
    """Return the policy that has also learned from these rows; the agent and its policy stay as they are.

    Feedback comes as in ``agent.learn()``: in the order of the log, without the holdout. Of a policy that
    remembers subjects, what it learns of all of them together is returned; what it would keep of each is
    kept only while it learns.

    Args:
        agent: Whose log it is.
        policy: Has learned nothing yet, if it is to be judged by other rows of this log.
        rows: Decisions of this agent; of slates the first slot is learned from.

    Raises:
        ConfigurationError: The policy does not learn, or does not fit the agent.
        LearningError: It cannot learn from such rewards.
    """
    if not isinstance(checked(policy), Learner):
        raise ConfigurationError(
            f"the policy {policy.name!r} does not learn, expected one with learn(feedback): judge it as is",
            value=policy,
        )
    plan = agent.plan
    taught: Learning = bind(policy, plan.space)
    slot = np.zeros(len(rows), np.int64)
    where = rows.position, slot, rows.reward
    if not fields_of(taught):
        for lesson in lessons_of(agent.name, plan, agent.schema, agent.log, *where):
            taught = taught.learn(lesson.feedback)
        return taught
    layout, keys = remembering(plan, taught).layout, np.unique(rows.key)
    held = layout.part(layout.new(len(keys)), POLICIES)
    for lesson in lessons_of(agent.name, plan, agent.schema, agent.log, *where, named=True):
        feedback = with_records(lesson.feedback, keys, held)
        taught = taught.learn(feedback)
        if isinstance(taught, Remembers):
            taught.remember(feedback, held)
    return taught


def evaluate(
    agent: Judged,
    policy: Policy,
    *,
    rows: Joined | None = None,
    estimator: Estimator = _DOUBLY_ROBUST,
    arms: Sequence[str] = ARMS,
    level: float = 0.95,
    reward_range: tuple[float, float] | None = None,
    interval: Interval | None = None,
    folds: int = 2,
    seed: int = 0,
    penalty: float = 1.0,
) -> Estimate:
    """Estimate what another policy would earn per decision, from this agent's own log.

    The other policy is asked in every logged state, under the rules as they were, and with the agent's
    exploration floor; of slates the first slot is judged. Where the estimator wants them, rewards are
    predicted by ridge regressions, one for each action, fitted to other subjects only; rows of a subject
    stay together there and in the standard error.

    The log is read part by part, twice where rewards are predicted. Memory grows with the number of
    subjects, up to 262,144, and not with that of decisions: see ``Tally``. Decisions made among other actions
    than those of now are read as what they were: what was no candidate then could not have been chosen, and
    what is no action any more has no weight.

    Judge a policy by rows it did not learn from: by those it learned from it looks better than it is.
    Where the agent's own log shows that the policy was published after some of these rewards were known, as
    for ``agent.policy``, the verdict is "weak" and the first reason says of how many rows. What was
    learned elsewhere the log cannot show. The honest way is to ``split`` the rows, ``teach`` a policy
    that has learned nothing yet on one part, and give the other as ``rows``.

    It is a one-step counterfactual over the logged states: long-run effects of another rhythm, such as
    fatigue, are not in it. Run the policy in ``random_control`` or a challenger's share to see those.

    Args:
        agent: Whose log it is.
        policy: The other policy, as it would go into charge.
        rows: By which decisions; by default all that have a final reward.
        estimator: How rows contribute.
        arms: Whose decisions count. The holdout's say nothing about sending.
        level: Share of samples in which the bounds are to hold, in (0, 1).
        reward_range: Lowest and highest reward there can be.
        interval: How contributions become bounds: by default ``EmpiricalLikelihood`` where ``reward_range``
            is given, and ``Normal`` otherwise. ``CressieRead`` takes rows as independent: give it
            ``rows`` with one decision of each subject. Those that need every row, as ``EmpiricalLikelihood``
            does, keep 56 bytes of each.
        folds: Parts for the reward model, each predicted from the others.
        seed: Of the folds.
        penalty: Of the reward model, in rows.

    Raises:
        EvaluationError: No decision of these arms has a final reward, the policy fails, or an argument is
            out of range.
        ConfigurationError: The policy does not fit the agent.
    """
    judging = Judging(
        estimator, arms, level, reward_range, usual_interval(interval, reward_range), folds, seed, penalty
    )
    found = walked(
        agent,
        {checked(policy).name: policy},
        judging=judging,
        by=(),
        rows=rows,
        progress=None,
        logged=False,
    )
    return found.rows[0].estimate
