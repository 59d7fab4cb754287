"""How is a logged row decided again: what the policy saw, who was asked, and the draw?

Guardrails are not asked again, because what they went by (a counter, a budget, a consent) has moved on since:
what they struck out is taken from the log. What follows from the logged features alone, who is eligible and
whose zone is known, is worked out again.
"""

from __future__ import annotations

from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from agentic._flow import (
    BY_HAND,
    ELIGIBILITY_UNKNOWN,
    NOT_ELIGIBLE,
    OUTRANKED,
    POLICIES,
    PROTECTED,
    STOPPED,
    SUPPRESSED,
    ZONE_UNKNOWN,
    Drawn,
    Plan,
    Weighed,
    assign,
    delivery_times,
    deny_ineligible,
    deny_outranked,
    deny_unzoned,
    draw,
    propose,
)
from agentic._records import DecisionBatch
from agentic.arrays import Batch, Bools, Proposal, Records
from agentic.errors import EvaluationError
from agentic.features import Schema
from agentic.protocols import Policy

_WORKED_OUT: Final = NOT_ELIGIBLE | ELIGIBILITY_UNKNOWN | ZONE_UNKNOWN


@attrs.frozen
class _Failed:
    """Stands where a policy failed, so that whoever stood in for it is asked."""

    name: str = "failed"

    def propose(self, _: Batch, /) -> Proposal:
        raise EvaluationError("the log says that the policy failed")


_FAILED: Final = _Failed()


@attrs.frozen(eq=False)
class Again:
    """Rows decided again, beside the batch they were decided from.

    Attributes:
        batch: What the policy saw.
        arm: Shape (n,), uint8: by the subjects' keys.
        drawn: The draw.
        failed: Shape (n,), bool: somebody else than the policy decided.
    """

    batch: Batch
    arm: NDArray[np.uint8]
    drawn: Drawn
    failed: Bools


def decided_again(plan: Plan, schema: Schema, policy: Policy, found: DecisionBatch, /) -> Again:
    """Decide logged rows again: arm, weights and draw.

    Where the log says that the policy failed, it is not asked: whoever stands in for it decides.
    """
    columns = found.columns
    batch = logged_batch(plan, schema, found)
    arm = assign(plan, batch.keys)
    for told in (PROTECTED, BY_HAND):
        arm[columns["arm"] == told] = told  # not by the key
    weighed = weighed_again(plan, policy, batch, arm, columns["policy_failed"])
    by_hand = (arm == BY_HAND).nonzero()[0]
    if len(by_hand):  # what a person chose does not follow from anything
        weights = weighed.weights.copy()
        weights[by_hand] = 0.0
        weights[by_hand, columns["action"][by_hand, 0]] = batch.allowed[
            by_hand, columns["action"][by_hand, 0]
        ]
        weighed = attrs.evolve(weighed, weights=weights, running=np.add.accumulate(weights, axis=1))
    drawn = draw(plan, batch, weighed, columns["ticket"], arm)
    return Again(batch, arm, drawn, weighed.failed)


def weighed_again(
    plan: Plan, policy: Policy, batch: Batch, arm: NDArray[np.uint8], failed: Bools, /
) -> Weighed:
    """Ask the policy again, and whoever stands in for it where it failed.

    Args:
        plan: The agent as it was.
        policy: The policy that made the decisions.
        batch: What it saw.
        arm: Shape (n,).
        failed: Shape (n,): where the log says that it failed.
    """
    lost = np.count_nonzero(failed)
    if not lost:
        return propose(plan, policy, batch, arm, [])
    if lost == len(batch):
        return propose(plan, _FAILED, batch, arm, [])
    rows = (~failed).nonzero()[0], failed.nonzero()[0]
    answers = [
        propose(plan, asked, batch.take(part), arm[part], [])
        for asked, part in zip((policy, _FAILED), rows, strict=True)
    ]
    order = np.argsort(np.concatenate(rows))
    weights, running, fell = (
        np.concatenate([getattr(answer, name) for answer in answers])[order]
        for name in ("weights", "running", "failed")
    )
    told, shape = answers[0].proposal, weights.shape
    score, spread = (
        None if given is None else _spread_out(given, rows[0], shape) for given in (told.score, told.spread)
    )
    return Weighed(weights, running, Proposal(weights, score, spread), fell)


def _spread_out(
    given: NDArray[np.float64], rows: NDArray[np.int64], shape: tuple[int, ...]
) -> NDArray[np.float64]:
    whole = np.full(shape, np.nan)
    whole[rows] = given
    return whole


def logged_batch(plan: Plan, schema: Schema, found: DecisionBatch, /) -> Batch:
    """The batch as a policy saw it, from the log; ``allowed`` is what the rules left.

    What policies remembered is as it was used; fields that were not logged have their defaults.
    """
    columns = found.columns
    matrix = np.asfortranarray(columns["values"])
    return Batch(
        plan.catalogue,
        columns["key"],
        columns["at"],
        delivery_times(plan.catalogue, columns["at"], columns["zone"]),
        columns["zone"],
        schema.encode(matrix),
        schema.columns(matrix),
        columns["denied"] == 0,
        columns["action"].shape[1],
        _recalled(plan, found) if plan.remembered else None,
    )


def _recalled(plan: Plan, found: DecisionBatch) -> Records:
    meta = found.metas[0]
    packed = found.columns.get("remembered")
    if packed is None or found.meta_of is not None:
        packed = np.zeros((len(found), 0), dtype=np.uint8)
        meta = {}
    rows = plan.layout.unpack(packed, meta.get("remembered", ()), POLICIES)
    rows.flags.writeable = False
    return rows


def rules_hold(plan: Plan, batch: Batch, denied: NDArray[np.unsignedinteger], /) -> Bools:
    """Where the logged denials are those that the logged features call for: shape (n,), bool.

    Eligibility, unknown zones and what a mandatory message outranks; of guardrails nothing can be said.

    Args:
        plan: The agent.
        batch: What was logged.
        denied: Shape (n, k): reason bits, as logged.
    """
    catalogue, dtype = plan.catalogue, denied.dtype
    fine = (denied[:, catalogue.idle] & ~dtype.type(OUTRANKED)) == 0
    if not (plan.eligible or len(catalogue.slotted) or catalogue.outranks):
        return np.asarray(fine, dtype=np.bool_)
    expected = np.zeros_like(denied)
    deny_ineligible(plan, batch.columns, expected)
    deny_unzoned(catalogue, batch.zone, expected)
    expected[:, catalogue.idle] = 0
    # Who was suppressed has both bits of eligibility, whatever it was.
    stopped = (denied & dtype.type(SUPPRESSED)) == SUPPRESSED
    looked = np.where(stopped, dtype.type(ZONE_UNKNOWN), dtype.type(_WORKED_OUT))
    fine &= ((denied & looked) == (expected & looked)).all(axis=1)
    before = denied & ~dtype.type(OUTRANKED)
    deny_outranked(catalogue, before)
    by_hand = (denied & dtype.type(STOPPED)) == STOPPED
    fine &= ((before == denied) | by_hand).all(axis=1)
    return np.asarray(fine, dtype=np.bool_)
