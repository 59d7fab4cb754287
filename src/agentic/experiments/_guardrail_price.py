"""What does each guardrail cost: what the policy in charge would have earned without this one alone."""

from __future__ import annotations

import math
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from agentic import _noise
from agentic._again import logged_batch
from agentic._archive import Archive, taught_by
from agentic._flow import (
    OUTRANKED,
    POLICY,
    REASONS,
    STOPPED,
    Plan,
    deny_outranked,
    probabilities,
)
from agentic._offpolicy import UNSUPPORTED, standard_error
from agentic._plan import bind
from agentic.arrays import F64, I64, Bools
from agentic.evaluation import Joined, Logistic, fit_ridge, predict_rewards, teach
from agentic.experiments._paired import bounds, features_of, two_sided
from agentic.experiments._worth import Deciding, archive
from agentic.guardrails import Consent, KillSwitch, Suppression
from agentic.protocols import Learner, Policy

LAWFUL: Final = (Consent, KillSwitch, Suppression)
"""What these forbid is not for sale: only how often is told."""
_FEWEST: Final = 30  # rows of an action from which anything can be said of it
_EXTRAPOLATED: Final = 0.1
_ALWAYS: Final = 0.9  # of ten such states, more than nine are struck out: next to nothing is known of them
COSTS, PAYS, WEAK, NEVER_ALONE = "it costs", "it pays", "weak", "never alone"
UNPROVEN, NOT_FOR_SALE = "no price proven", "not for sale"
_FAR: Final = 0.999  # quantile of the leverages of the rows that a model learned from


@attrs.frozen
class GuardrailPrice:
    """Says what one guardrail costs per decision, and what it does.

    Attributes:
        name: Of the guardrail.
        price: What the policy in charge would have earned more per decision without it, in money, net of
            messages; NaN where nothing can be said, or where it is not for sale.
        low: Lower bound.
        high: Upper bound.
        standard_error: Of the price, with what the reward model does not know.
        p_value: Two-sided.
        level: Share of samples in which the bounds are to hold.
        n: Decisions looked at.
        struck: Share of decisions in which it alone struck out a candidate.
        changed: Share of decisions that would have come out otherwise.
        messages_saved: Messages per decision that it kept back; less than 0 where more was sent with it.
        modelled: Probability per decision that moves to what it struck out: there nothing was logged, and
            only the reward model speaks.
        extrapolated: Share of that which goes to actions that were hardly ever taken, or to states unlike
            any in which they were; beyond 10 % the support is insufficient.
        verdict: ``"it costs"``, ``"it pays"``, ``"no price proven"``, ``"insufficient support"``, ``"weak"``
            (see the notes), ``"never alone"``, or ``"not for sale"``.
        notes: What to keep in mind.
    """

    name: str
    price: float
    low: float
    high: float
    standard_error: float
    p_value: float
    level: float
    n: int
    struck: float
    changed: float = math.nan
    messages_saved: float = math.nan
    modelled: float = math.nan
    extrapolated: float = math.nan
    verdict: str = ""
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        does = f"alone in {self.struck:.1%} of decisions"
        if math.isfinite(self.changed):
            does += f", changes {self.changed:.1%}, keeps back {self.messages_saved:.3g} messages a decision"
            does += f"; {self.extrapolated:.0%} of what moves goes where little was seen"
        if not math.isfinite(self.price):
            return f"{self.name}: {self.verdict} ({does})"
        return (
            f"{self.name}: {self.price:+.6g} per decision ({self.low:+.6g} to {self.high:+.6g},"
            f" p = {self.p_value:.3g}): {self.verdict} ({does})"
        )


@attrs.define(eq=False)
class Moved:
    """Gathers, for one guardrail, what removing it moves: only rows in which it moves anything."""

    row: list[I64] = attrs.field(factory=list)  # places among all rows of the policy arm
    change: list[F64] = attrs.field(factory=list)  # (m, k): new less old probability
    fresh: list[F64] = attrs.field(factory=list)  # (m, k): new probability of what was struck out
    counted: list[I64] = attrs.field(factory=list)  # rows for which it was asked
    struck: int = 0


def moves(agent: Deciding, policy: Policy, rows: Joined, place: I64, into: dict[str, Moved], /) -> None:
    """Gather what a policy would do without each guardrail, one at a time, all others as they were.

    Args:
        agent: Whose log it is.
        policy: Keeps nothing of single subjects.
        rows: Some decisions of the policy arm.
        place: Shape (n,): their places among all of them.
        into: By name of the guardrail.
    """
    asked: Policy = bind(policy, agent.plan.space)
    plan = agent.plan
    for where, found in archive(agent).parts(rows.position):
        listed = list(found.metas[0].get("guardrails", ()))
        if found.catalogue.ids != plan.catalogue.ids:
            continue
        batch = logged_batch(plan, agent.schema, found)
        denied = found.columns["denied"]
        before: F64 | None = None
        for name, one in into.items():
            if name not in listed:
                continue
            one.counted.append(place[where])
            wider = without(plan, denied, listed.index(name))
            here = (wider != (denied == 0)).any(axis=1).nonzero()[0]
            one.struck += len(here)
            if not len(here) or isinstance(plan.guardrails[name], LAWFUL):
                continue
            if before is None:
                before = probabilities(plan, asked, batch)
            part = batch.take(here)
            part.allowed = wider[here]
            part.allowed.flags.writeable = False
            after = probabilities(plan, asked, part)
            one.row.append(place[where][here])
            one.change.append(after - before[here])
            one.fresh.append(after * (denied[here] != 0))


def guardrail_prices(
    agent: Deciding,
    policy: Policy,
    rows: Joined,
    q: F64,
    /,
    *,
    untaught: Learner | None,
    level: float,
    seed: int,
) -> tuple[GuardrailPrice, ...]:
    """Price every guardrail by the log.

    Args:
        agent: Whose log it is.
        policy: The one in charge.
        rows: Decisions of all arms, whose reward is what counts.
        q: Shape (n, k): predicted reward of every action at those of the policy arm.
        untaught: The policy in charge before it learned anything; or ``None``.
        level: Of the bounds.
        seed: Of the parts.
    """
    X = features_of(agent, rows)
    mine = (rows.arm == POLICY).nonzero()[0]
    own = rows.take(mine)
    found = {name: Moved() for name in agent.plan.guardrails}
    notes: tuple[str, ...] = ()
    if untaught is None:
        archive = Archive(agent.name, agent.log, agent.plan.catalogue)
        asked: Policy = bind(policy, agent.plan.space)
        seen = int(np.isin(own.position, taught_by(archive, asked, agent.policy_version)).sum())
        if seen:
            learned = f"the policy may have learned from {seen:,} of these decisions"
            notes = (f"{learned}, so prices look higher than they are: pass untaught=...",)
        moves(agent, policy, own, np.arange(len(own)), found)
    else:
        # Who is judged, who teaches the policy and who teaches the model are other subjects: a policy likes
        # what was lucky, and a model of the same rows would believe the luck. Rows weigh by the inverse of
        # their probability, because whoever learned while it decided left early what was unlucky.
        q, k, weight = q.copy(), q.shape[1], 1.0 / rows.probability
        part = (_noise.fold(seed, rows.key) % np.uint64(3)).astype(np.int64)
        for number in range(3):
            taught = teach(agent, untaught, rows.take(part == number))
            others = part == (number + 1) % 3
            model = fit_ridge(X[others], rows.action[others], rows.reward[others], k, weight=weight[others])
            judged = (part[mine] == (number + 2) % 3).nonzero()[0]
            q[judged] = model.predict(X[mine][judged])
            moves(agent, taught, own.take(judged), judged, found)
    support = _Support.of(X, rows, q.shape[1])
    return tuple(
        _priced(name, agent.plan, one, own, q, X[mine], support, notes, level) for name, one in found.items()
    )


def without(plan: Plan, denied: NDArray[np.unsignedinteger], index: int, /) -> Bools:
    """What would have been allowed had this one guardrail not been asked: shape (n, k).

    Args:
        plan: The agent.
        denied: Shape (n, k): reason bits, as logged.
        index: Its place among the guardrails at the time.
    """
    dtype = denied.dtype
    low = len(REASONS) + 2 * index
    rest = denied & dtype.type(~(3 << low) & np.iinfo(dtype).max)
    # What was outranked is worked out anew: without the guardrail something mandatory may be left.
    stopped = (denied & dtype.type(STOPPED)) == STOPPED
    rest = np.where(stopped, rest, rest & ~dtype.type(OUTRANKED))
    if plan.catalogue.outranks:
        deny_outranked(plan.catalogue, rest)
    return np.asarray(rest == 0)


def _priced(
    name: str,
    plan: Plan,
    moved: Moved,
    rows: Joined,
    q: F64,
    X: F64,
    support: _Support,
    notes: tuple[str, ...],
    level: float,
) -> GuardrailPrice:
    counted, nan = sum(map(len, moved.counted)), math.nan
    told = GuardrailPrice(
        name, nan, -math.inf, math.inf, math.inf, 1.0, level, counted, moved.struck / max(counted, 1)
    )
    if isinstance(plan.guardrails[name], LAWFUL):
        return attrs.evolve(told, verdict=NOT_FOR_SALE)
    if not moved.row:
        return attrs.evolve(told, verdict=NEVER_ALONE)
    row = np.concatenate(moved.row)
    change, fresh = np.concatenate(moved.change), np.concatenate(moved.fresh)
    gap = np.zeros(len(rows))
    corrected = change[np.arange(len(row)), rows.action[row]] / rows.probability[row]
    gap[row] = (change * q[row]).sum(axis=1) + corrected * (rows.reward[row] - q[row, rows.action[row]])
    asked = np.concatenate(moved.counted)
    value = float(gap[asked].mean())
    groups = np.unique(rows.key[asked], return_inverse=True)[1]
    sampled = standard_error(gap[asked] - value, degrees=max(counted - 1, 1), groups=groups)
    error = math.hypot(sampled, support.error(fresh, X[row]) / counted)
    mass = float(fresh.sum())
    alone = np.zeros(len(rows))
    alone[row] = 1.0
    unlike = support.far(X[row]) | (_chance(X, alone)[row] > _ALWAYS)[:, None]
    beyond = float((fresh * unlike).sum()) / mass if mass > 0.0 else 0.0
    sends = np.arange(len(plan.catalogue)) != plan.catalogue.idle
    told = attrs.evolve(
        told,
        changed=float(np.abs(change).sum()) / 2.0 / counted,
        messages_saved=float(change[:, sends].sum()) / counted,
        modelled=mass / counted,
        extrapolated=beyond,
    )
    if beyond > _EXTRAPOLATED:
        return attrs.evolve(told, verdict=UNSUPPORTED)
    p_value = two_sided(value, error)
    proven = COSTS if value > 0.0 else PAYS
    low, high = bounds(value, error, level)
    return attrs.evolve(
        told,
        price=value,
        low=low,
        high=high,
        standard_error=error,
        p_value=p_value,
        verdict=UNPROVEN if p_value >= 1.0 - level else WEAK if notes else proven,
        notes=notes,
    )


def _chance(X: F64, struck: F64) -> F64:
    """How likely a rule alone strikes something out in such a state, shape (n,)."""
    if struck.all():
        return np.ones(len(struck))
    fitted = Logistic().fit(X, np.zeros(len(X), np.int64), struck, 1)
    return predict_rewards(fitted, X, 1)[:, 0]


@attrs.frozen(eq=False)
class _Support:
    """What the log knows of each action: how many rows, where they lie, and how far rewards stray."""

    centre: F64  # (k, d)
    inverse: F64  # (k, d + 1, d + 1), of one and the centred features
    meat: F64  # likewise: squared residuals, by subject
    limit: F64  # (k,): leverage beyond which nothing was seen

    @classmethod
    def of(cls, X: F64, rows: Joined, k: int) -> _Support:
        """Fit each action's rows once more, for the errors."""
        d = X.shape[1]
        centre, limit = np.zeros((k, d)), np.full(k, -1.0)
        inverse, meat = np.zeros((k, d + 1, d + 1)), np.zeros((k, d + 1, d + 1))
        for number in range(k):
            mine = (rows.action == number).nonzero()[0]
            if len(mine) < _FEWEST:
                continue
            centre[number] = X[mine].mean(axis=0)
            design = np.column_stack([np.ones(len(mine)), X[mine] - centre[number]])
            weighted = design / rows.probability[mine, None]
            inverse[number] = np.linalg.inv(weighted.T @ design + np.eye(d + 1))  # a penalty of one row
            reward, key = rows.reward[mine], rows.key[mine]
            rest = reward - design @ (inverse[number] @ (weighted.T @ reward))
            limit[number] = np.quantile(_leverage(design, inverse[number]), _FAR)
            order = np.argsort(key, kind="stable")
            starts = np.unique(key[order], return_index=True)[1]
            sums = np.add.reduceat((weighted * rest[:, None])[order], starts, axis=0)
            meat[number] = sums.T @ sums
        return cls(centre, inverse, meat, limit)

    def far(self, X: F64) -> Bools:
        """Where an action would be taken unlike anywhere that it was: shape (m, k)."""
        out = np.ones((len(X), len(self.limit)), dtype=np.bool_)
        for number in (self.limit >= 0.0).nonzero()[0].tolist():
            out[:, number] = (
                _leverage(self._design(X, number), self.inverse[number]) > self.limit[number] * 1.0000001
            )
        return out

    def error(self, weight: F64, X: F64) -> float:
        """Standard error of a sum of predictions with these weights, shape (m, k)."""
        total = 0.0
        for number in (self.limit >= 0.0).nonzero()[0].tolist():
            towards = self.inverse[number] @ (weight[:, number] @ self._design(X, number))
            total += float(towards @ self.meat[number] @ towards)
        return math.sqrt(total)

    def _design(self, X: F64, number: int) -> F64:
        return np.column_stack([np.ones(len(X)), X - self.centre[number]])


def _leverage(design: F64, inverse: F64) -> F64:
    return np.asarray(np.einsum("ij,jk,ik->i", design, inverse, design))
