"""What does each guardrail cost: what the policy in charge would have earned without this one alone."""

from __future__ import annotations

import math
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from agentic._again import logged_batch
from agentic._flow import MOST_GUARDRAILS, OUTRANKED, REASONS, STOPPED, Plan, deny_outranked, probabilities
from agentic._offpolicy import standard_error
from agentic._plan import bind, fields_of, remembering
from agentic.arrays import F64, I64, Bools
from agentic.errors import ConfigurationError
from agentic.evaluation import Joined
from agentic.experiments._paired import bounds, two_sided
from agentic.experiments._worth import Deciding, logged_parts
from agentic.guardrails import Consent, KillSwitch, Suppression
from agentic.protocols import Policy

LAWFUL: Final = (Consent, KillSwitch, Suppression)
"""What these forbid is not for sale: only how often is told."""
_FEWEST: Final = 30  # rows of an action from which anything can be said of it
_EXTRAPOLATED: Final = 0.1
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
        verdict: ``"it costs"``, ``"it pays"``, ``"no price proven"``, ``"insufficient support"``, ``"never
            alone"``, or ``"not for sale"``.
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
    changed: float
    messages_saved: float
    modelled: float
    extrapolated: float
    verdict: str

    def __str__(self) -> str:
        does = f"alone in {self.struck:.1%} of decisions"
        if math.isfinite(self.changed):
            does += f", changes {self.changed:.1%}, keeps back {self.messages_saved:.3g} messages a decision"
        if not math.isfinite(self.price):
            return f"{self.name}: {self.verdict} ({does})"
        return (
            f"{self.name}: {self.price:+.6g} per decision ({self.low:+.6g} to {self.high:+.6g},"
            f" p = {self.p_value:.3g}): {self.verdict} ({does};"
            f" {self.extrapolated:.0%} of what moves goes where nothing was seen)"
        )


@attrs.define(eq=False)
class _Moved:
    """Gathers, for one guardrail, what removing it moves: only rows in which it moves anything."""

    row: list[I64] = attrs.field(factory=list)
    change: list[F64] = attrs.field(factory=list)  # (m, k): new less old probability
    fresh: list[F64] = attrs.field(factory=list)  # (m, k): new probability of what was struck out
    struck: int = 0


def guardrail_prices(
    agent: Deciding,
    policy: Policy,
    rows: Joined,
    q: F64,
    taught: tuple[F64, I64, F64, NDArray[np.generic]],
    X: F64,
    /,
    *,
    level: float,
) -> tuple[GuardrailPrice, ...]:
    """Price every guardrail by the log: one at a time, all others as they were.

    Args:
        agent: Whose log it is.
        policy: The one in charge.
        rows: Decisions of the policy arm; their reward is what counts.
        q: Shape (n, k): predicted reward of every action at these rows.
        taught: Of the rows that predictions were learned from: features (N, d), actions, rewards, subjects.
        X: Shape (n, d): features of these rows.
        level: Of the bounds.
    """
    names = list(agent.plan.guardrails)
    moved = {name: _Moved() for name in names}
    asked: Policy = bind(policy, agent.plan.space)
    plan = remembering(agent.plan, asked)
    if fields_of(asked):
        raise ConfigurationError(
            f"policy {asked.name!r} keeps something of each subject, expected one that does not: what it"
            " would do under other rules depends on what it would then have known",
            value=asked.name,
        )
    counted = 0
    for where, found in logged_parts(agent, rows.position):
        meta = found.metas[0]
        listed = list(meta.get("guardrails", ()))
        if found.catalogue.ids != agent.plan.catalogue.ids:
            continue
        counted += len(found)
        batch = logged_batch(plan, agent.schema, found)
        denied = found.columns["denied"]
        before: F64 | None = None
        for name in names:
            if name not in listed:
                continue
            wider = without(plan, denied, listed.index(name))
            rows_here = (wider != (denied == 0)).any(axis=1).nonzero()[0]
            moved[name].struck += len(rows_here)
            if not len(rows_here) or isinstance(agent.plan.guardrails[name], LAWFUL):
                continue
            if before is None:
                before = probabilities(plan, asked, batch)
            part = batch.take(rows_here)
            part.allowed = wider[rows_here]
            part.allowed.flags.writeable = False
            after = probabilities(plan, asked, part)
            one = moved[name]
            one.row.append(rows_here + where.start)
            one.change.append(after - before[rows_here])
            one.fresh.append(after * (denied[rows_here] != 0))
    support = _Support.of(*taught, q.shape[1])
    return tuple(
        _priced(name, agent.plan, moved[name], rows, q, X, support, counted, level) for name in names
    )


def without(plan: Plan, denied: NDArray[np.unsignedinteger], index: int, /) -> Bools:
    """What would have been allowed had this one guardrail not been asked: shape (n, k).

    Args:
        plan: The agent.
        denied: Shape (n, k): reason bits, as logged.
        index: Its place among the guardrails at the time.
    """
    dtype = denied.dtype
    if not 0 <= index < MOST_GUARDRAILS:
        raise ConfigurationError(f"no guardrail has place {index}", value=index)
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
    moved: _Moved,
    rows: Joined,
    q: F64,
    X: F64,
    support: _Support,
    counted: int,
    level: float,
) -> GuardrailPrice:
    struck = moved.struck / counted if counted else 0.0

    def untold(verdict: str) -> GuardrailPrice:
        nan = math.nan
        return GuardrailPrice(
            name, nan, nan, nan, nan, 1.0, level, counted, struck, nan, nan, nan, nan, verdict
        )

    if isinstance(plan.guardrails[name], LAWFUL):
        return untold("not for sale")
    if not moved.row:
        return untold("never alone")
    row = np.concatenate(moved.row)
    change, fresh = np.concatenate(moved.change), np.concatenate(moved.fresh)
    at = row, rows.action[row]
    gap = np.zeros(len(rows))
    corrected = change[np.arange(len(row)), rows.action[row]] / rows.probability[row]
    gap[row] = (change * q[row]).sum(axis=1) + corrected * (rows.reward[row] - q[at])
    value = float(gap.mean())
    groups = np.unique(rows.key, return_inverse=True)[1]
    sampled = standard_error(gap - value, degrees=max(len(gap) - 1, 1), groups=groups)
    error = math.hypot(sampled, support.error(fresh, X[row]) / len(rows))
    mass = float(fresh.sum())
    beyond = float((fresh * support.far(X[row])).sum()) / mass if mass > 0.0 else 0.0
    low, high = bounds(value, error, level)
    p_value = two_sided(value, error)
    verdict = "no price proven" if p_value >= 1.0 - level else "it costs" if value > 0.0 else "it pays"
    if beyond > _EXTRAPOLATED:
        value, low, high, error, p_value = math.nan, -math.inf, math.inf, math.inf, 1.0
        verdict = "insufficient support"
    sends = np.arange(len(plan.catalogue)) != plan.catalogue.idle
    return GuardrailPrice(
        name,
        value,
        low,
        high,
        error,
        p_value,
        level,
        counted,
        struck,
        float(np.abs(change).sum()) / 2.0 / counted,
        float(change[:, sends].sum()) / counted,
        mass / counted,
        beyond,
        verdict,
    )


@attrs.frozen(eq=False)
class _Support:
    """What the log knows of each action: how many rows, where they lie, and how far rewards stray."""

    centre: F64  # (k, d)
    inverse: F64  # (k, d + 1, d + 1), of one and the centred features
    meat: F64  # likewise: squared residuals, by subject
    limit: F64  # (k,): leverage beyond which nothing was seen

    @classmethod
    def of(cls, X: F64, action: I64, reward: F64, key: NDArray[np.generic], k: int) -> _Support:
        """Fit each action's rows once more, for the errors."""
        d = X.shape[1]
        centre, limit = np.zeros((k, d)), np.full(k, -1.0)
        inverse, meat = np.zeros((k, d + 1, d + 1)), np.zeros((k, d + 1, d + 1))
        for number in range(k):
            mine = (action == number).nonzero()[0]
            if len(mine) < _FEWEST:
                continue
            centre[number] = X[mine].mean(axis=0)
            design = np.column_stack([np.ones(len(mine)), X[mine] - centre[number]])
            inverse[number] = np.linalg.inv(design.T @ design + np.eye(d + 1))  # a penalty of one row
            rest = reward[mine] - design @ (inverse[number] @ (design.T @ reward[mine]))
            limit[number] = np.quantile(_leverage(design, inverse[number]), _FAR)
            order = np.argsort(key[mine], kind="stable")
            starts = np.unique(key[mine][order], return_index=True)[1]
            sums = np.add.reduceat((design * rest[:, None])[order], starts, axis=0)
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
