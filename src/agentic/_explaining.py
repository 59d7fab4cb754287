"""Why did a decision come out as it did: in words, and candidate by candidate?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from agentic._again import logged_batch, weighed_again
from agentic._flow import REASONS, Plan, probabilities
from agentic._records import DecisionBatch
from agentic.arrays import Status
from agentic.conditions import Unlisted
from agentic.features import Schema
from agentic.protocols import Explainer, Policy
from agentic.types import Decision

_SEEN = 5e-4  # smaller contributions would be printed as zero


@attrs.frozen
class Candidate:
    """One candidate of an explained decision.

    Attributes:
        action: Its id.
        probability: Of the first slot; exactly 0 when denied; ``nan`` when the policy version is gone.
        reasons: Why it was struck out; empty when it was allowed.
    """

    action: str
    probability: float
    reasons: tuple[str, ...]


@attrs.frozen
class Explanation:
    """Why a decision came out as it did. ``str`` of it is for people and says all; its repr names nobody.

    Attributes:
        decision: The decision.
        candidates: Every candidate, in order of id.
        features: Values as used, by name; ``None`` where there was none.
        statuses: Where each value came from.
        denied_by: Which guardrail struck out which candidates, by the guardrail's name.
        contributions: What each feature column added to the best candidate's score, largest first;
            empty when the policy cannot say.
    """

    decision: Decision
    candidates: tuple[Candidate, ...]
    features: Mapping[str, object] = attrs.field(repr=lambda found: repr(list(found)))
    statuses: Mapping[str, str]
    denied_by: Mapping[str, tuple[str, ...]]
    contributions: Mapping[str, float]

    def __str__(self) -> str:
        decision, choice = self.decision, self.decision.choices[0]
        how = "explored" if choice.explored else "the most probable"
        first = f"{decision.subject} at {decision.at:%Y-%m-%d %H:%M} UTC: {choice.action.id}"
        lines = [f"{first} with probability {choice.probability:.3f} ({how}, arm {decision.arm})"]
        known = ", ".join(
            f"{name} {_told(value)}"
            + ("" if self.statuses[name] == "present" else f" ({self.statuses[name]})")
            for name, value in self.features.items()
        )
        if known:
            lines.append(f"  knew: {known}")
        allowed = sorted(
            (c for c in self.candidates if not c.reasons), key=lambda c: (-c.probability, c.action)
        )
        lines += [f"  {candidate.probability:6.3f}  {candidate.action}" for candidate in allowed[:8]]
        if len(allowed) > 8:
            lines.append(f"          and {len(allowed) - 8} more")
        for reason, actions in decision.reasons.items():
            some = ", ".join(actions[:4]) + (f" and {len(actions) - 4} more" if len(actions) > 4 else "")
            lines.append(f"  struck out by {reason}: {some}")
        if self.contributions:
            moved = [(name, part) for name, part in self.contributions.items() if abs(part) >= _SEEN][:5]
            lines.append(
                "  moved by: " + (", ".join(f"{name} {part:+.3f}" for name, part in moved) or "nothing yet")
            )
        if decision.degraded:
            lines.append(f"  degraded: {', '.join(decision.degraded)}")
        return "\n".join(lines)


def explain_row(plan: Plan, schema: Schema, policy: Policy | None, found: DecisionBatch, /) -> Explanation:
    """Explain a batch of one; where actions or features are others now, by what was logged alone."""
    decision = found[0]
    odds = np.full(len(found.catalogue), np.nan)
    contributions: dict[str, float] = {}
    names = list(found.meta(0).get("features", schema.names))
    if policy is not None and found.catalogue.ids == plan.catalogue.ids and names == list(schema.names):
        batch = logged_batch(plan, schema, found)
        failed = bool(found.columns["policy_failed"][0])  # the fallback decided
        if decision.arm == "policy" and not failed:
            odds = probabilities(plan, policy, batch)[0]
        else:
            told = found.columns["arm"], found.columns["policy_failed"]
            weights = weighed_again(plan, policy, batch, *told).weights
            odds = weights[0] / weights[0].sum()
        if isinstance(policy, Explainer) and not failed and decision.arm != "protected":
            contributions = _readable(policy.explain(batch, 0), plan)
    struck: dict[str, list[str]] = {}
    for reason, actions in decision.reasons.items():
        for action in actions:
            struck.setdefault(action, []).append(reason)
    values, status = found.columns["values"][0], found.columns["status"][0]
    return Explanation(
        decision,
        tuple(
            Candidate(action_id, float(chance), tuple(struck.get(action_id, ())))
            for action_id, chance in zip(found.catalogue.ids, odds, strict=True)
        ),
        described(schema, names, values, status),
        {name: _status(code) for name, code in zip(names, status.tolist(), strict=False)},
        _denied_by(plan, found),
        contributions,
    )


def described(
    schema: Schema, names: Sequence[str], values: NDArray[np.float64], status: NDArray[Any], /
) -> dict[str, object]:
    """What was known, by name, in words; as the numbers that were logged where features are others now."""
    if list(names) == list(schema.names):
        return schema.describe(values, status)
    return {
        name: None if math.isnan(value) else value
        for name, value in zip(names, values.tolist(), strict=False)
    }


def _denied_by(plan: Plan, found: DecisionBatch) -> dict[str, tuple[str, ...]]:
    bits = found.columns["denied"][0].tolist()
    out = {}
    for index, name in enumerate(found.meta(0).get("guardrails", list(plan.guardrails))):
        both = 3 << (len(REASONS) + 2 * index)
        struck = tuple(a for a, bit in zip(found.catalogue.ids, bits, strict=True) if bit & both)
        if struck:
            out[name] = struck
    return out


def _told(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return "another value" if isinstance(value, Unlisted) else repr(value)


def _status(code: int) -> str:
    return Status(code).name.lower()


def _readable(parts: Mapping[str, float], plan: Plan) -> dict[str, float]:
    named: dict[str, Any] = {}
    for key, part in parts.items():
        name = plan.space.encoded[int(key)] if key.isdigit() and int(key) < plan.space.width else key
        named[name] = float(part)
    return dict(sorted(named.items(), key=lambda item: (-abs(item[1]), item[0])))
