"""What would several policies have earned by one log, on the whole and by segment, read part by part?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Any, Final

import attrs
import numpy as np

from agentic._again import logged_batch
from agentic._archive import Archive, taught_by
from agentic._codec import fingerprint
from agentic._flow import COMPARED, Plan, probabilities
from agentic._offpolicy import (
    DR,
    IPW,
    Adaptive,
    Estimate,
    Estimator,
    Interval,
    Logged,
    ModelFree,
    Normal,
    Replay,
    Rows,
    SummedInterval,
    Tally,
    doubted,
    overlap,
    reject,
    usual_interval,
)
from agentic._plan import bind, checked, fields_of, remembering
from agentic.arrays import I64, Batch, Bools, Records
from agentic.errors import CodecError, ConfigurationError, EvaluationError
from agentic.evaluation._fitting import CrossFit, Fitting
from agentic.evaluation._gathering import Gathered
from agentic.evaluation._joined import Joined, joined
from agentic.evaluation._judged import Judged, archive
from agentic.evaluation._matured import LeftOut, Matured, Progress, matured
from agentic.evaluation._recall import logged_it, recall
from agentic.evaluation._segments import By, Division, Quarters, divisions
from agentic.evaluation._table import AS_LOGGED, Compared, Comparison
from agentic.protocols import Learner, Policy

NORMAL: Final = Normal()
_DOUBLY_ROBUST: Final = DR()
ARMS: Final = ("policy", "random_control")
_EARNED: Final = IPW()


@attrs.frozen
class Judging:
    """How policies are judged: what ``compare`` and ``evaluate`` are told besides the policies."""

    estimator: Estimator
    arms: Sequence[str]
    level: float
    reward_range: tuple[float, float] | None
    interval: Interval
    folds: int
    seed: int
    penalty: float


_Sums = Tally | Gathered
_Where = tuple[int, int]
"""Which division, -1 for the whole, and which of its segments."""


@attrs.define(eq=False)
class _Asked:
    """One policy that is judged.

    Attributes:
        name: How the table calls it.
        policy: Bound; ``None`` for what was logged.
        plan: The agent's, with room for what the policy keeps.
        known: What it would have known of each subject, row by row of ``rows``, if others made the log.
        rows: Whose these are.
        since: Log number from which on it was in charge: it may know the rewards before; -1 if it never was.
        seen: How many of the rows it may have learned from.
        sums: By segment.
    """

    name: str
    policy: Policy | None
    plan: Plan
    rows: Joined | None = None
    since: int = -1
    taught: I64 | None = None
    known: Records | None = None
    seen: int = 0
    sums: dict[_Where, _Sums] = attrs.field(factory=dict)

    def batch(self, agent: Judged, rows: Matured, shared: Batch) -> Batch:
        """What the policy would have seen."""
        policy = self.policy
        assert policy is not None  # noqa: S101 - for the type checker
        if not fields_of(policy):
            return shared
        batch = logged_batch(self.plan, agent.schema, rows.found)
        if not logged_it(policy, rows.found):
            if self.rows is None:
                self.rows = joined(agent)
            if self.known is None:
                self.known = recall(agent, self.plan, policy, self.rows)
            batch.rows = self.known[np.searchsorted(self.rows.position, rows.found.positions)]
        return batch

    def note(self, rows: Matured) -> None:
        """Count what it may have learned from."""
        if self.taught is not None:
            self.seen += int(np.isin(rows.found.positions, self.taught).sum())
        else:
            self.seen += int(np.count_nonzero(rows.heard < self.since))


def compare(
    agent: Judged,
    policies: Policy | Mapping[str, Policy],
    /,
    *,
    by: By | Sequence[By] = (),
    rows: Joined | None = None,
    estimator: Estimator = _DOUBLY_ROBUST,
    arms: Sequence[str] = ARMS,
    level: float = 0.95,
    reward_range: tuple[float, float] | None = None,
    interval: Interval | None = None,
    folds: int = 2,
    seed: int = 0,
    penalty: float = 1.0,
    progress: Progress | None = None,
) -> Comparison:
    """Compare policies with what was logged, on the whole and by segment, in one pass; as ``evaluate``.

    Every policy is asked of the same decisions, so that what it would gain over what was earned is surer
    than either. A pass before fits the reward models, and finds the quarters of numbers, where needed.

    Args:
        agent: Whose log it is.
        policies: The other policy, or several by name.
        by: What to divide decisions by: the name of a feature, ``"arm"``, ``"policy_version"``, or ``Bins``
            of a number; or several of these, each by itself. Numbers without bins are cut into quarters. What
            it is must be known before the decision: to divide by the action is to choose by the answer.
        rows: By which decisions; by default all that have a final reward.
        estimator: As of ``evaluate``; likewise the following.
        arms: Whose decisions count.
        level: Share of samples in which the bounds of each row are to hold, in (0, 1).
        reward_range: Lowest and highest reward there can be.
        interval: How sums become bounds; by default as of ``evaluate``.
        folds: Parts for the reward model.
        seed: Of the folds.
        penalty: Of the reward model, in rows.
        progress: Told how far this is: what is done, how far it has come, how far there is to go.

    Raises:
        EvaluationError: As ``evaluate``; or nothing of the name in ``by`` was known before decisions.
        ConfigurationError: A policy does not fit the agent, or one has the name ``"as logged"``.

    .. versionadded:: 0.1
    """
    listed = policies if isinstance(policies, Mapping) else {checked(policies).name: policies}
    if not listed or AS_LOGGED in listed:
        raise ConfigurationError(
            f"policies must be at least one, and none called {AS_LOGGED!r}, got {list(listed)!r:.200}",
            value=list(listed),
        )
    judging = Judging(
        estimator, arms, level, reward_range, usual_interval(interval, reward_range), folds, seed, penalty
    )
    return walked(agent, listed, judging=judging, by=by, rows=rows, progress=progress, logged=True)


def walked(
    agent: Judged,
    policies: Mapping[str, Policy],
    /,
    *,
    judging: Judging,
    by: By | Sequence[By],
    rows: Joined | None,
    progress: Progress | None,
    logged: bool,
) -> Comparison:
    """Go through the log once, and once before where rewards are predicted or quarters are to be found."""
    if not 0.0 < judging.level < 1.0:
        reject("level", None, judging.level, "more than 0 and less than 1", "give 0.95 for 95 %")
    for arm in judging.arms:
        if arm not in COMPARED:
            reject("arms", None, arm, f"some of {list(COMPARED)!r}", "correct the name")
    told = progress or (lambda *_: None)
    arms = np.array([COMPARED.index(arm) for arm in judging.arms], dtype=np.int64)
    asked = [_asked(agent, name, policy, rows) for name, policy in policies.items()]
    cut = divisions(agent.schema, by)
    left, predicts = LeftOut(), not isinstance(judging.estimator, ModelFree)
    model = None
    if predicts or any(isinstance(each, Quarters) for each in cut):
        first = matured(agent, rows, arms, LeftOut(), told, "reading")
        model, cut = _prepared(agent, first, judging, cut, predicts=predicts)
    divided = [each for each in cut if not isinstance(each, Quarters)]
    if logged:
        asked.insert(0, _Asked(AS_LOGGED, None, agent.plan))
    for part in matured(agent, rows, arms, left, told, "weighing"):
        _weigh(agent, part, asked, divided, model, judging)
    if not asked[0].sums:
        raise EvaluationError(
            "no decision of these arms has a final reward, expected some: record outcomes, and call"
            " learn() once their windows are over",
            value=0,
        )
    return _comparison(agent, asked, divided, judging, left)


def _asked(agent: Judged, name: str, policy: Policy, rows: Joined | None) -> _Asked:
    bound: Policy = bind(checked(policy), agent.plan.space)
    plan = remembering(agent.plan, bound)
    found = _Asked(name, bound, plan, rows)
    if rows is None:
        found.since = _in_charge_from(archive(agent), bound, agent.policy_version)
    else:
        found.taught = taught_by(archive(agent), bound, agent.policy_version)
    return found


def _in_charge_from(found_in: Archive, policy: Policy, published: str) -> int:
    """Log number of its first decision; beyond all if it is still to come, -1 if it never did.

    Of a policy that cannot learn, too, it is -1: rewards tell it nothing.
    """
    if not isinstance(policy, Learner):
        return -1
    try:
        version = fingerprint(policy)
    except CodecError:  # without a version it was never published
        return -1
    for batch in found_in.headers():
        if batch[1].get("policy") == version:
            return batch[0]
    return 1 << 62 if version == published else -1


def _prepared(
    agent: Judged,
    parts: Any,  # an iterator of Matured
    judging: Judging,
    cut: list[Division | Quarters],
    *,
    predicts: bool,
) -> tuple[CrossFit | None, list[Division | Quarters]]:
    """The first pass: models, and quarters."""
    plan = agent.plan
    fitting = None
    if predicts:
        k, d = len(plan.catalogue), plan.space.width
        fitting = Fitting(k, d, folds=judging.folds, seed=judging.seed, penalty=judging.penalty)
    some = False
    for part in parts:
        some = True
        for each in cut:
            if isinstance(each, Quarters):
                each.add(part)
        if fitting is not None:
            matrix = np.asfortranarray(part.found.columns["values"])
            kept = ~part.gone
            X, keys = agent.schema.encode(matrix), part.found.columns["key"]
            fitting.add(X[kept], part.action[kept], part.reward[kept], keys[kept])
    if not some:
        return None, cut
    found = [each.division() if isinstance(each, Quarters) else each for each in cut]
    return None if fitting is None else fitting.fitted(), list(found)


def _weigh(
    agent: Judged,
    part: Matured,
    asked: list[_Asked],
    cut: list[Division],
    model: CrossFit | None,
    judging: Judging,
) -> None:
    """Add decisions to the sums of every policy."""
    columns = part.found.columns
    keys, probability = columns["key"], columns["probability"][:, 0]
    shared = logged_batch(agent.plan, agent.schema, part.found)
    logged = Logged(part.action, part.reward, probability=probability)
    q = None if model is None else model.predict(shared.X, keys)
    segments = [(-1, 0, slice(None))]
    for number, division in enumerate(cut):
        segments += [(number, code, where) for code, where in _split(division.codes(part))]
    for each in asked:
        if each.policy is None:
            rows, target = overlap(logged, logged.probability), None
            if part.gone.any():
                rows = attrs.evolve(rows, calibration=None)
        else:
            each.note(part)
            target = probabilities(each.plan, each.policy, each.batch(agent, part, shared))
            rows = _without(overlap(logged, target, q=q), part.gone)
        for number, code, where in segments:
            sums = each.sums.get((number, code))
            if sums is None:
                sums = _started(_EARNED if each.policy is None else judging.estimator, judging.interval)
            here = part.action[where]
            each.sums[number, code] = sums.add(
                rows if number < 0 else _of(rows, where),
                probability=logged.probability[where],
                action=here[~part.gone[where]] if each.policy is not None else here,
                keys=keys[where],
                mass=None if target is None else target[where].sum(axis=0),
            )


def _started(estimator: Estimator, interval: Interval) -> _Sums:
    single = isinstance(interval, SummedInterval) and not isinstance(estimator, Adaptive | Replay)
    return Tally(estimator) if single else Gathered(estimator)


def _split(codes: I64) -> list[tuple[int, Any]]:
    """Each code that occurs, and its rows."""
    order = np.argsort(codes, kind="stable")
    found, starts = np.unique(codes[order], return_index=True)
    return list(zip(found.tolist(), np.split(order, starts[1:]), strict=True))


def _without(rows: Rows, gone: Bools) -> Rows:
    """Rows whose action is gone have no weight: the policy could not have chosen it."""
    if not gone.any():
        return rows
    # What was taken is not known among the actions of now, so nothing is said of how often it was.
    return attrs.evolve(rows, weight=np.where(gone, 0.0, rows.weight), calibration=None)


def _of(rows: Rows, where: Any) -> Rows:
    return Rows(
        rows.weight[where],
        rows.reward[where],
        None if rows.predicted is None else rows.predicted[where],
        None if rows.modelled is None else rows.modelled[where],
        weight_cap=rows.weight_cap,
    )


def _comparison(
    agent: Judged, asked: list[_Asked], cut: list[Division], judging: Judging, left: LeftOut
) -> Comparison:
    found = [_compared(each, "", "", (-1, 0), judging) for each in asked]
    for number, division in enumerate(cut):
        for code, label in enumerate(division.labels):
            found += [
                _compared(each, division.name, label, (number, code), judging)
                for each in asked
                if (number, code) in each.sums
            ]
    return Comparison(agent.name, judging.level, tuple(found), left.erased, left.features)


def _compared(each: _Asked, by: str, segment: str, where: _Where, judging: Judging) -> Compared:
    sums = each.sums[where]
    interval = judging.interval
    if each.policy is None:
        interval = NORMAL if isinstance(sums, Tally) else interval
    estimate = sums.estimate(level=judging.level, reward_range=judging.reward_range, interval=interval)
    if not by:
        estimate = doubted(estimate, each.seen)
    elif each.seen:
        estimate = _weakened(estimate)
    value, error = (0.0, 0.0) if each.policy is None else sums.gain()
    if not math.isfinite(estimate.standard_error):
        error = math.inf
    margin = NormalDist().inv_cdf(0.5 + judging.level / 2.0) * error
    return Compared(each.name, by, segment, estimate, value, value - margin, value + margin)


def _weakened(estimate: Estimate) -> Estimate:
    facts = estimate.diagnostics
    if facts.verdict != "ok":
        return estimate
    reason = "the policy may have learned from some of these rows, so it looks better than it is"
    return attrs.evolve(estimate, diagnostics=attrs.evolve(facts, verdict="weak", reasons=(reason,)))
